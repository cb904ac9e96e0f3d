"""Matrix products by cuBLASLt, through ctypes; the simulator does the same products with NumPy.

cuBLASLt sees column-major matrices: a row-major [M, N] result is its [N, M], so the operands change places. A product
is described once (`Product`) and prepared by a library: `CublasLt` on a GPU, `NumpyLt` on the host. Every call gets an
explicit workspace, which makes it fit for graphs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from flambeau.backends.cuda import matmul

from .nvrtc import find_library

if TYPE_CHECKING:
    from flambeau.plugin import Spec

    from .backend import GpuBackend
    from .rt_host import HostRuntime
    from .runtime import Runtime

__all__ = ["CublasLt", "Lt", "NumpyLt", "Product"]

Launch = Callable[..., None]
WORKSPACE = 32 << 20


def _allowed() -> bool:
    """Whether float32 matrix products may round to TensorFloat-32."""
    return matmul.allow_tf32


_TYPES = {"float16": 2, "bfloat16": 14, "float32": 0, "float64": 1, "complex64": 4, "complex128": 5}
_COMPUTE_32F, _COMPUTE_64F, _COMPUTE_TF32 = 68, 70, 77
EPILOGUES = {"": 1, "relu": 2, "bias": 4, "relu_bias": 6, "gelu": 32, "gelu_bias": 36}


class Matrix(NamedTuple):
    """A column-major operand: sizes as they lie in memory, read transposed or not, leading dimension, batch step."""

    rows: int
    columns: int
    transposed: bool
    ld: int
    step: int


class Product(NamedTuple):
    """D[m, n] = op(A)[m, k] op(B)[k, n] (+ bias of m), column-major, `batch` times.

    Attributes:
        dtype: of all operands.
        tf32: whether float32 may be rounded to TensorFloat-32.
        epilogue: a key of `EPILOGUES`.
        aligned: bytes to which all addresses are aligned, at least.
    """

    dtype: str
    m: int
    n: int
    k: int
    batch: int
    a: Matrix
    b: Matrix
    d: Matrix
    tf32: bool
    epilogue: str
    aligned: int


def matrix(shape: Sequence[int], strides: Sequence[int], step: int) -> Matrix | None:
    """A row-major matrix [rows, columns] as the column-major [columns, rows]; None where no stride is 1."""
    r, c = shape
    sr, sc = strides
    if (sc == 1 or c == 1) and (sr >= c or r == 1):
        return Matrix(c, r, False, max(sr if r > 1 else c, c, 1), step)
    if (sr == 1 or r == 1) and (sc >= r or c == 1):
        return Matrix(r, c, True, max(sc if c > 1 else r, r, 1), step)
    return None


class Lt:
    """A library of products; what is common to both.

    Attributes:
        guard: makes a launch one that first makes its device the current one, where there are several.
    """

    guard: Callable[[Launch], Launch] = staticmethod(lambda launch: launch)

    def prepare(self, product: Product) -> Launch | None:
        """``launch(d, a, b, bias)``, or None where the library has no way to do it."""
        raise NotImplementedError

    def plan(
        self,
        backend: GpuBackend,
        out: Spec,
        a: Spec,
        b: Spec,
        epilogue: str = "",
        tf32: Callable[[], bool] = _allowed,
    ) -> Launch | None:
        """``launch(out, a, b)`` (with a bias: ``launch(out, a, b, bias)``) of [B, M, K] @ [B, K, N].

        None where it isn't for this library: the dtype, or strides that it can't express.

        Args:
            tf32: whether float32 operands may be rounded to TensorFloat-32; asked at every call.
        """
        if out.dtype.name not in _TYPES or a.dtype is not out.dtype or b.dtype is not out.dtype:
            return None
        if out.numel == 0 or a.shape[-1] == 0:
            return None
        (batch, m, n), (o0, o1, o2) = _three(out)
        (_, _, k), (a0, a1, a2) = _three(a)
        _, (b0, b1, b2) = _three(b)
        if batch > 1 and o0 == 0:
            return None
        d, x, y = matrix((m, n), (o1, o2), o0), matrix((m, k), (a1, a2), a0), matrix((k, n), (b1, b2), b0)
        if d is None:
            return None
        if x is None or y is None:
            return self._with_copies(backend, out, a, b, epilogue, tf32, x is None, y is None)
        if d.transposed:
            if epilogue:
                return None
            # The result is column-major already: the operands keep their places, read the other way round.
            d, x, y = _turned(d), _turned(y), _turned(x)
            m, n = n, m
        make = _Choice(self, out.dtype.name, m, n, k, batch, y, x, d, epilogue)
        if out.dtype.name == "float32":
            plain, rounded = make(False, 16), make(True, 16)
            if plain is None or rounded is None:
                return None
            return _checked(make, tf32, lambda: rounded if tf32() else plain, bool(epilogue))
        launch = make(False, 16)
        return None if launch is None else _checked(make, tf32, lambda: launch, bool(epilogue))

    def _with_copies(
        self,
        backend: GpuBackend,
        out: Spec,
        a: Spec,
        b: Spec,
        epilogue: str,
        tf32: Callable[[], bool],
        copy_a: bool,
        copy_b: bool,
    ) -> Launch | None:
        """The product of dense copies."""
        from .entries import plan_copy

        dense_a, dense_b = (a.like() if copy_a else a), (b.like() if copy_b else b)
        inner = self.plan(backend, out, dense_a, dense_b, epilogue, tf32)
        if inner is None:
            return None
        slot = out.device.slot
        first = plan_copy(backend, dense_a, a) if copy_a else None
        second = plan_copy(backend, dense_b, b) if copy_b else None

        def launch(o: int, x: int, y: int, *rest: int) -> None:
            held = []
            if first is not None:
                held.append((backend.allocate(dense_a.nbytes, slot), dense_a.nbytes))
                first(held[-1][0], x)
                x = held[-1][0]
            if second is not None:
                held.append((backend.allocate(dense_b.nbytes, slot), dense_b.nbytes))
                second(held[-1][0], y)
                y = held[-1][0]
            inner(o, x, y, *rest)
            for address, n in held:
                backend.free(address, n, slot)

        return launch


def _turned(m: Matrix) -> Matrix:
    return m._replace(transposed=not m.transposed)


def _three(spec: Spec) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if spec.ndim == 2:
        return (1, *spec.shape), (0, *spec.strides)
    return tuple(spec.shape), tuple(spec.strides)


class _Choice:
    """Prepared launches of one product by (TF32 or not, alignment)."""

    def __init__(
        self,
        lt: Lt,
        dtype: str,
        m: int,
        n: int,
        k: int,
        batch: int,
        y: Matrix,
        x: Matrix,
        d: Matrix,
        epilogue: str,
    ) -> None:
        self.lt = lt
        # cuBLASLt's A is our right operand: D^T [n, m] = B^T A^T.
        self.product = Product(dtype, n, m, k, batch, y, x, d, False, epilogue, 16)
        self.made: dict[tuple[bool, int], Launch | None] = {}

    def __call__(self, tf32: bool, aligned: int) -> Launch | None:
        key = tf32, aligned
        if key not in self.made:
            made = self.lt.prepare(self.product._replace(tf32=tf32, aligned=aligned))
            self.made[key] = None if made is None else self.lt.guard(made)
        return self.made[key]


def _checked(make: _Choice, tf32: Callable[[], bool], pick: Callable[[], Launch], biased: bool) -> Launch:
    """The launch for addresses that are aligned to 16 bytes, or one for any."""

    def any_address(o: int, a: int, b: int, bias: int = 0) -> None:
        if (o | a | b | bias) & 15:
            launch = make(make.product.dtype == "float32" and tf32(), 2)
            if launch is None:
                raise RuntimeError(
                    "[matmul] cuBLASLt has no kernel for operands at these addresses. Use clone()."
                )
        else:
            launch = pick()
        launch(o, b, a, bias)

    if biased:
        return any_address
    return lambda o, a, b: any_address(o, a, b)


class _Heuristic(ctypes.Structure):
    _fields_ = (
        ("algo", ctypes.c_uint64 * 8), ("workspace", ctypes.c_size_t), ("state", ctypes.c_int),
        ("waves", ctypes.c_float), ("reserved", ctypes.c_int * 4),
    )  # fmt: skip


def _library() -> Any:
    return find_library("cublas", ("libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"), "cuBLASLt")


class CublasLt(Lt):
    """cuBLASLt on a device.

    Args:
        runtime: the GPU's.
        index: the device's number.
    """

    def __init__(self, runtime: Runtime, index: int) -> None:
        self.runtime, self.index = runtime, index
        self.lib = _library()
        self.handle = ctypes.c_void_p()
        runtime.use(index)
        self._check(self.lib.cublasLtCreate(ctypes.byref(self.handle)), "create")
        self.run = self.lib.cublasLtMatmul
        self.run.argtypes = (ctypes.c_void_p,) * 14 + (ctypes.c_size_t, ctypes.c_void_p)
        self.workspaces: dict[int, int] = {}
        self.streams: list[int] = [0]

    def attach(self, streams: list[int]) -> CublasLt:
        """Follow the device's current stream."""
        self.streams = streams
        return self

    @staticmethod
    def _check(code: int, what: str) -> None:
        if code:
            raise RuntimeError(f"[matmul] cuBLASLt failed in {what}: status {code}.")

    def workspace(self, stream: int) -> int:
        """Scratch memory of a stream."""
        found = self.workspaces.get(stream)
        if found is None:
            found = self.workspaces[stream] = self.runtime.malloc(WORKSPACE, self.index)
            if not found:
                raise RuntimeError("[matmul] no memory for cuBLASLt's workspace of 32 MiB. Free tensors.")
        return found

    def _layout(self, m: Matrix, dtype: int, batch: int) -> Any:
        layout = ctypes.c_void_p()
        self._check(
            self.lib.cublasLtMatrixLayoutCreate(
                ctypes.byref(layout),
                dtype,
                ctypes.c_uint64(m.rows),
                ctypes.c_uint64(m.columns),
                ctypes.c_int64(m.ld),
            ),
            "layout",
        )
        if batch > 1:
            count, step = ctypes.c_int32(batch), ctypes.c_int64(m.step)
            set_ = self.lib.cublasLtMatrixLayoutSetAttribute
            self._check(set_(layout, 5, ctypes.byref(count), ctypes.c_size_t(4)), "batch")
            self._check(set_(layout, 6, ctypes.byref(step), ctypes.c_size_t(8)), "batch step")
        return layout

    def prepare(self, product: Product) -> Launch | None:
        p, lib = product, self.lib
        dtype = _TYPES[p.dtype]
        double = p.dtype in ("float64", "complex128")
        compute = _COMPUTE_64F if double else _COMPUTE_TF32 if p.tf32 else _COMPUTE_32F
        scale = dtype if double or p.dtype == "complex64" else 0
        desc = ctypes.c_void_p()
        self._check(lib.cublasLtMatmulDescCreate(ctypes.byref(desc), compute, scale), "description")

        def put(attribute: int, value: Any) -> None:
            self._check(
                lib.cublasLtMatmulDescSetAttribute(
                    desc, attribute, ctypes.byref(value), ctypes.c_size_t(ctypes.sizeof(value))
                ),
                "attribute",
            )

        put(3, ctypes.c_int32(int(p.a.transposed)))
        put(4, ctypes.c_int32(int(p.b.transposed)))
        put(7, ctypes.c_int32(EPILOGUES[p.epilogue]))
        a, b, d = (self._layout(m, dtype, p.batch) for m in (p.a, p.b, p.d))
        preference = ctypes.c_void_p()
        self._check(lib.cublasLtMatmulPreferenceCreate(ctypes.byref(preference)), "preference")
        room = ctypes.c_size_t(WORKSPACE)
        lib.cublasLtMatmulPreferenceSetAttribute(preference, 1, ctypes.byref(room), ctypes.c_size_t(8))
        for attribute in (5, 6, 7, 8):
            least = ctypes.c_uint32(p.aligned)
            lib.cublasLtMatmulPreferenceSetAttribute(
                preference, attribute, ctypes.byref(least), ctypes.c_size_t(4)
            )
        if "bias" in p.epilogue:  # some heuristics want to see an address
            put(8, ctypes.c_void_p(256))
        found, count = _Heuristic(), ctypes.c_int()
        code = lib.cublasLtMatmulAlgoGetHeuristic(
            self.handle, desc, a, b, d, d, preference, 1, ctypes.byref(found), ctypes.byref(count)
        )
        lib.cublasLtMatmulPreferenceDestroy(preference)
        if code or not count.value:
            return None
        part = ctypes.c_double if double else ctypes.c_float
        one, zero = (part * 2)(1, 0), (part * 2)(0, 0)
        run, handle, streams, workspaces = self.run, self.handle.value, self.streams, self.workspaces
        desc_at, a_at, b_at, d_at = desc.value, a.value, b.value, d.value
        one_at, zero_at, algo = ctypes.addressof(one), ctypes.addressof(zero), ctypes.addressof(found)
        biased = "bias" in p.epilogue
        bias_word = ctypes.c_void_p()
        bias_at, set_ = ctypes.byref(bias_word), lib.cublasLtMatmulDescSetAttribute
        eight = ctypes.c_size_t(8)

        def launch(o: int, x: int, y: int, bias: int = 0, _keep: Any = (one, zero, found)) -> None:
            stream = streams[0]
            if stream not in workspaces:
                self.workspace(stream)
            if biased:
                bias_word.value = bias
                set_(desc, 8, bias_at, eight)
            code = run(
                handle,
                desc_at,
                one_at,
                x,
                a_at,
                y,
                b_at,
                zero_at,
                o,
                d_at,
                o,
                d_at,
                algo,
                workspaces[stream],
                WORKSPACE,
                stream,
            )
            if code:
                self._check(code, "matmul")

        return launch


class NumpyLt(Lt):
    """The same products on the host.

    Args:
        runtime: the simulator's.
    """

    def __init__(self, runtime: HostRuntime) -> None:
        self.runtime = runtime

    def prepare(self, product: Product) -> Launch | None:
        import numpy as np

        p = product
        store: Any = np.dtype("uint16" if p.dtype == "bfloat16" else p.dtype)
        size = store.itemsize

        def view(address: int, m: Matrix) -> Any:
            count = (m.rows - 1) + (m.columns - 1) * m.ld + 1 + (p.batch - 1) * m.step
            raw: Any = (ctypes.c_char * (count * size)).from_address(address)
            flat = np.frombuffer(raw, store)
            shape = (p.batch, m.rows, m.columns)
            steps = (m.step * size, size, m.ld * size)
            return np.lib.stride_tricks.as_strided(flat, shape, steps, writeable=True)

        def wide(x: Any) -> Any:
            if p.dtype == "bfloat16":
                return (x.astype(np.uint32) << 16).view(np.float32)
            return x.astype(np.float32) if p.dtype == "float16" else x

        def narrow(x: Any) -> Any:
            if p.dtype != "bfloat16":
                return x.astype(store)
            bits = x.astype(np.float32).view(np.uint32)
            rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
            return np.where(np.isnan(x), np.uint16(0x7FC0), rounded)

        def operand(address: int, m: Matrix) -> Any:
            x = wide(view(address, m))
            return x.swapaxes(1, 2) if m.transposed else x

        def launch(d: int, a: int, b: int, bias: int = 0) -> None:
            with np.errstate(all="ignore"):
                out = np.matmul(operand(a, p.a), operand(b, p.b))
                if "bias" in p.epilogue:
                    held: Any = (ctypes.c_char * (p.m * size)).from_address(bias)
                    vector = wide(np.frombuffer(held, store))
                    out = out + vector[None, :, None]
                if "relu" in p.epilogue:
                    out = np.maximum(out, 0)
                view(d, p.d)[...] = narrow(out)

        def later(d: int, a: int, b: int, bias: int = 0) -> None:
            self.runtime.do(lambda: launch(d, a, b, bias))

        return later
