"""Convolutions by cuDNN, through ctypes; where it isn't installed our own kernels are used.

The graph interface is asked first (dnn_graph.py), the older one where that has no way. Algorithms are picked by cuDNN's
heuristics among the deterministic ones. float32 is computed in float32, unless
`flambeau.backends.cudnn.allow_tf32` allows TensorFloat-32, as it does unless it is turned off.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau.backends import cudnn

from .dnn_graph import Refused, convolution_plan, operation
from .errors import Unavailable
from .nvrtc import find_library

if TYPE_CHECKING:
    from .backend import GpuBackend

__all__ = ["Cudnn", "cudnn_version", "open_cudnn"]

Launch = Callable[..., None]
_TYPES = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 9}
_TENSOR_OPS, _FMA, _DEFAULT = 1, 3, 0
#: By kind (0: the result, 1: gradient of the input, 2: of the weight), parts of the functions' names.
_NAMES = ("Forward", "BackwardData", "BackwardFilter")
_MOST_SCRATCH = 1 << 30


class _Found(ctypes.Structure):
    _fields_ = (
        ("algo", ctypes.c_int), ("status", ctypes.c_int), ("time", ctypes.c_float), ("memory", ctypes.c_size_t),
        ("deterministic", ctypes.c_int), ("math", ctypes.c_int), ("reserved", ctypes.c_int * 3),
    )  # fmt: skip


def cudnn_version() -> int | None:
    """cuDNN's version as a number such as 91900, or None where it isn't installed."""
    try:
        lib = find_library("cudnn", ("libcudnn.so.9",), "cuDNN")
    except Unavailable:
        return None
    lib.cudnnGetVersion.restype = ctypes.c_size_t
    return int(lib.cudnnGetVersion())


def open_cudnn(backend: GpuBackend, index: int) -> Cudnn | None:
    """cuDNN on a device, or None where it isn't installed."""
    try:
        return Cudnn(backend, index, find_library("cudnn", ("libcudnn.so.9",), "cuDNN"))
    except Unavailable:
        return None


class Cudnn:
    """A handle of cuDNN.

    Args:
        backend: the GPU's.
        index: the device's number.
        lib: the library.
    """

    def __init__(self, backend: GpuBackend, index: int, lib: Any) -> None:
        self.backend, self.index, self.lib = backend, index, lib
        self.handle = ctypes.c_void_p()
        backend.runtime.use(index)
        self._check(lib.cudnnCreate(ctypes.byref(self.handle)), "create")
        self.stream = -1
        for name in _NAMES:
            getattr(lib, f"cudnnConvolution{name}").argtypes = (
                *(ctypes.c_void_p,) * 7, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_void_p,) * 3,
            )  # fmt: skip
        lib.cudnnAddTensor.argtypes = (ctypes.c_void_p,) * 7
        lib.cudnnSetStream.argtypes = (ctypes.c_void_p,) * 2
        lib.cudnnBackendExecute.argtypes = (ctypes.c_void_p,) * 3

    @staticmethod
    def _check(code: int, what: str) -> None:
        if code:
            raise RuntimeError(f"[convolution] cuDNN failed in {what}: status {code}.")

    def _ints(self, values: Sequence[int]) -> Any:
        return (ctypes.c_int * len(values))(*values)

    def _tensor(self, dtype: int, shape: Sequence[int]) -> int:
        """A descriptor of a dense tensor."""
        desc = ctypes.c_void_p()
        self._check(self.lib.cudnnCreateTensorDescriptor(ctypes.byref(desc)), "tensor")
        strides = [1] * len(shape)
        for d in range(len(shape) - 2, -1, -1):
            strides[d] = strides[d + 1] * shape[d + 1]
        code = self.lib.cudnnSetTensorNdDescriptor(
            desc, dtype, len(shape), self._ints(shape), self._ints(strides)
        )
        self._check(code, "tensor")
        return desc.value or 0

    def plan(
        self, kind: int, dtype: str, x: Sequence[int], w: Sequence[int], y: Sequence[int], stride: Sequence[int],
        padding: Sequence[int], dilation: Sequence[int], groups: int, biased: bool, tf32: bool,
    ) -> Launch | None:  # fmt: skip
        """``launch(out, a, b, bias)``, or None where cuDNN has no deterministic way.

        Args:
            kind: 0: ``out = y`` from input and weight; 1: gradient of the input, from that of the result and the
                weight; 2: gradient of the weight, from the input and the gradient of the result.
            x, w, y: shapes of input, weight and result.
        """
        if dtype not in _TYPES:
            return None
        if len(x) == 3:  # cuDNN has at least two spatial dimensions
            x, w, y = ((*s[:2], 1, s[2]) for s in (x, w, y))
            stride, padding, dilation = (1, *stride), (0, *padding), (1, *dilation)
        by_graph = self._graph_launch(kind, dtype, x, w, y, stride, padding, dilation, biased, tf32)
        older = functools.partial(
            self._older_plan, kind, dtype, x, w, y, stride, padding, dilation, groups, biased, tf32
        )
        return older() if by_graph is None else self._with_way_out(by_graph, older)

    def _with_way_out(self, first: Callable[..., int], older: Callable[[], Launch | None]) -> Launch:
        """A launch by the graph interface, and by the older one from where that fails."""
        made: list[Launch | None] = []

        def launch(out: int, a: int, b: int, bias: int = 0) -> None:
            if not made:
                status = first(out, a, b, bias)
                if not status:
                    return
                made.append(older())
                if made[0] is None:
                    made.clear()
                    self._check(status, "execute")
            chosen = made[0]
            assert chosen is not None
            chosen(out, a, b, bias)

        return launch

    def _graph_launch(
        self, kind: int, dtype: str, x: Sequence[int], w: Sequence[int], y: Sequence[int], stride: Sequence[int],
        padding: Sequence[int], dilation: Sequence[int], biased: bool, tf32: bool,
    ) -> Callable[..., int] | None:  # fmt: skip
        """``launch(out, a, b, bias)`` that returns cuDNN's status, or None where the graph interface has no way."""
        code, handle = _TYPES[dtype], self.handle.value or 0
        try:
            made = operation(self.lib, kind, code, dtype == "float64", x, w, y, stride, padding, dilation)
            plan = convolution_plan(self.lib, handle, made, dtype == "float32" and not tf32, _MOST_SCRATCH)
        except Refused:
            return None
        if plan is None:
            return None
        pool, queue = self.backend.pools[self.index], self.backend.queues[self.index]
        whole = y if kind == 0 else x
        result = self._tensor(code, whole)
        bd = self._tensor(code, (1, whole[1], *(1 for _ in whole[2:]))) if biased else 0
        part = ctypes.c_double if dtype == "float64" else ctypes.c_float
        one = part(1)
        one_at, add, room_of = ctypes.addressof(one), self.lib.cudnnAddTensor, plan.workspace

        def launch(out: int, a: int, b: int, bias: int = 0, _keep: Any = one) -> int:
            self.backend.enter(self.index)
            self._follow(queue[0])
            room = pool.allocate(room_of) if room_of else 0
            # Input, weight and result: of the gradients a, b are (weight, gradient) and (input, gradient).
            places = ((a, b, out), (out, a, b), (a, out, b))[kind]
            status = plan.run(*places, room)
            if room_of:
                pool.free(room, room_of)
            if not status and biased:
                self._check(add(handle, one_at, bd, bias, one_at, result, out), "bias")
            return status

        return launch

    def _follow(self, stream: int) -> None:
        """Let the handle's work go to a stream."""
        if self.stream != stream:
            self.lib.cudnnSetStream(self.handle.value, stream)
            self.stream = stream

    def _older_plan(
        self, kind: int, dtype: str, x: Sequence[int], w: Sequence[int], y: Sequence[int], stride: Sequence[int],
        padding: Sequence[int], dilation: Sequence[int], groups: int, biased: bool, tf32: bool,
    ) -> Launch | None:  # fmt: skip
        """The same by the older interface, which needs an algorithm for each call."""
        lib, code = self.lib, _TYPES[dtype]
        filter_desc, conv = ctypes.c_void_p(), ctypes.c_void_p()
        xd, yd = self._tensor(code, x), self._tensor(code, y)
        self._check(lib.cudnnCreateFilterDescriptor(ctypes.byref(filter_desc)), "filter")
        self._check(lib.cudnnSetFilterNdDescriptor(filter_desc, code, 0, len(w), self._ints(w)), "filter")
        self._check(lib.cudnnCreateConvolutionDescriptor(ctypes.byref(conv)), "convolution")
        compute = 1 if dtype == "float64" else 0
        made = lib.cudnnSetConvolutionNdDescriptor(
            conv, len(stride), self._ints(padding), self._ints(stride), self._ints(dilation), 1, compute
        )
        if made:
            return None
        self._check(lib.cudnnSetConvolutionGroupCount(conv, groups), "groups")
        half = dtype in ("float16", "bfloat16")
        self._check(
            lib.cudnnSetConvolutionMathType(conv, _TENSOR_OPS if half else _DEFAULT if tf32 else _FMA), "math"
        )
        wd, cd = filter_desc.value or 0, conv.value or 0
        order = ((xd, wd, cd, yd), (wd, yd, cd, xd), (xd, yd, cd, wd))[kind]
        found, count = (_Found * 8)(), ctypes.c_int()
        get = getattr(lib, f"cudnnGetConvolution{_NAMES[kind]}Algorithm_v7")
        pointers = [ctypes.c_void_p(d) for d in order]
        if get(self.handle, *pointers, 8, ctypes.byref(count), found):
            return None
        for f in found[: count.value]:
            if f.status == 0 and f.deterministic == 1 and f.memory <= _MOST_SCRATCH:
                self._check(lib.cudnnSetConvolutionMathType(conv, f.math if half or tf32 else _FMA), "math")
                return self._launch(
                    kind, order, f.algo, f.memory, yd if kind == 0 else xd, x, y, code, biased, compute
                )
        return None

    def _launch(
        self, kind: int, order: Sequence[int], algo: int, scratch: int, result: int, x: Sequence[int], y: Sequence[int],
        code: int, biased: bool, compute: int,
    ) -> Launch:  # fmt: skip
        run = getattr(self.lib, f"cudnnConvolution{_NAMES[kind]}")
        part = ctypes.c_double if compute else ctypes.c_float
        one, zero = part(1), part(0)
        one_at, zero_at, handle = ctypes.addressof(one), ctypes.addressof(zero), self.handle.value
        first, second, cd, last = order
        pool, queue, add = (
            self.backend.pools[self.index],
            self.backend.queues[self.index],
            self.lib.cudnnAddTensor,
        )
        whole = y if kind == 0 else x
        bd = self._tensor(code, (1, whole[1], *(1 for _ in whole[2:]))) if biased else 0

        def launch(out: int, a: int, b: int, bias: int = 0, _keep: Any = (one, zero)) -> None:
            self._follow(queue[0])
            room = pool.allocate(scratch) if scratch else 0
            code = run(handle, one_at, first, a, second, b, cd, algo, room, scratch, zero_at, last, out)
            if scratch:
                pool.free(room, scratch)
            if code:
                self._check(code, _NAMES[kind])
            if biased:
                self._check(add(handle, one_at, bd, bias, one_at, result, out), "bias")

        return self.backend.guarded(launch, self.index)

    def pick(self, *sizes: Any) -> Launch | None:
        """`plan` for the present setting of TensorFloat-32, which may change between calls."""
        plan: Any = self.plan
        now = cudnn.allow_tf32 and sizes[1] == "float32"
        made: dict[bool, Launch | None] = {now: plan(*sizes, now)}
        if made[now] is None or sizes[1] != "float32":
            return made[now]

        def launch(out: int, a: int, b: int, bias: int = 0) -> None:
            tf32 = cudnn.allow_tf32
            if tf32 not in made:
                made[tf32] = plan(*sizes, tf32)
                if made[tf32] is None:
                    raise RuntimeError(
                        f"[convolution] cuDNN has no deterministic way with allow_tf32={tf32}: got {sizes[1]} "
                        f"{list(sizes[2])} and {list(sizes[3])}. Set flambeau.backends.cudnn.allow_tf32 = {not tf32}."
                    )
            chosen = made[tf32]
            assert chosen is not None
            chosen(out, a, b, bias)

        return launch
