"""Device "mlx": flambeau's tensors on MLX, an array library that knows nothing of flambeau, on the CPU.

MLX's arrays can't be written to and are computed when somebody looks. A handle holds the array that is its memory now;
writing makes another one. The device therefore runs behind the program without a thread of its own.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from flambeau.plugin import DTYPES, Backend, MemoryAccount, TypedProgram, bad_index

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["MlxBackend"]

Array = Any
KINDS = {d: getattr(mx, "bool_" if d.name == "bool" else d.name) for d in DTYPES if not d.is_complex}
LOCK = threading.RLock()  # MLX's graphs belong to one thread at a time
LIMIT = 1 << 40


class Memory:
    """Bytes as an MLX array."""

    __slots__ = ("bytes",)

    def __init__(self, nbytes: int) -> None:
        self.bytes = mx.zeros((nbytes,), mx.uint8)


def places(spec: Any, offset: int) -> np.ndarray[Any, Any]:
    """The number of each element of a tensor in its memory."""
    at = np.full(spec.shape, offset, np.int64)
    for dim, (n, step) in enumerate(zip(spec.shape, spec.strides, strict=True)):
        at += (np.arange(n) * step).reshape([-1 if d == dim else 1 for d in range(spec.ndim)])
    return at


def load(t: Tensor, lines: bool = False) -> Array:
    """A tensor's elements, with at least one dimension if asked; 16-bit floats stay."""
    spec, kind = t.spec, KINDS[t.spec.dtype]
    shape = (1,) if lines and not spec.ndim else tuple(spec.shape)
    if not spec.numel:
        return mx.zeros(shape, kind)
    flat = mx.view(t.mem.handle.bytes[: t.mem.nbytes // spec.itemsize * spec.itemsize], kind)
    if spec.dense:
        return flat[t.offset : t.offset + spec.numel].reshape(shape)
    return flat[mx.array(places(spec, t.offset).reshape(-1))].reshape(shape)


def store(t: Tensor, values: Array) -> None:
    """Write values, converted and brought into shape."""
    spec, kind = t.spec, KINDS[t.spec.dtype]
    if not spec.numel:
        return
    values = mx.broadcast_to(values, spec.shape) if values.size != spec.numel else values
    values = cast(values, kind).reshape(-1)
    memory, start = t.mem.handle, t.offset * spec.itemsize
    if spec.dense:
        written = mx.view(values, mx.uint8)
        whole = spec.nbytes == memory.bytes.size
        memory.bytes = written if whole else put(memory.bytes, slice(start, start + spec.nbytes), written)
    else:
        size = t.mem.nbytes // spec.itemsize * spec.itemsize
        flat = put(mx.view(memory.bytes[:size], kind), mx.array(places(spec, t.offset).reshape(-1)), values)
        memory.bytes = mx.concatenate([mx.view(flat, mx.uint8), memory.bytes[size:]])
    mx.async_eval(memory.bytes)


def put(array: Array, where: Any, values: Array) -> Array:
    """An array with a part replaced."""
    made = array + 0 if array.dtype != mx.bool_ else mx.array(array)
    made[where] = values
    return made


def cast(a: Array, kind: Any) -> Array:
    """Convert: to bool by ``!= 0``."""
    return a if a.dtype == kind else a != 0 if kind == mx.bool_ else a.astype(kind)


def wide(a: Array) -> Array:
    """In the type in which sums accumulate."""
    return a.astype(mx.float64) if mx.issubdtype(a.dtype, mx.floating) else a


def locked(entry: Callable[..., Any]) -> Callable[..., Any]:
    """An entry that has MLX for itself."""

    def run(*args: Any) -> Any:
        with LOCK, mx.stream(mx.cpu):
            return entry(*args)

    run.__wrapped__ = entry  # type: ignore[attr-defined]
    return run


class MlxBackend(Backend):
    """Device "mlx"."""

    contract = (1, 0)
    name = "mlx"
    asynchronous = True
    #: MLX has float64 on the CPU, but computes exp, sin and others of it in float32.
    dtypes = frozenset(d.name for d in KINDS if d.name != "float64")
    lacks = frozenset(
        "scan2 scan.logcumsumexp lgamma digamma nextafter erfc erfinv copysign hypot fmod".split()
    )

    def __init__(self) -> None:
        mx.set_default_device(mx.cpu)
        self.account = MemoryAccount(self.name, LIMIT)

    @locked
    def allocate(self, nbytes: int, index: int) -> Memory:
        return self.account.allocate(nbytes, Memory)

    def free(self, handle: Memory, nbytes: int, index: int) -> None:
        self.account.free(nbytes)

    @locked
    def copy_in(self, handle: Memory, offset: int, data: Any) -> None:
        values = mx.array(np.frombuffer(bytes(data), np.uint8))
        if values.size:
            whole = values.size == handle.bytes.size
            handle.bytes = values if whole else put(handle.bytes, slice(offset, offset + values.size), values)

    @locked
    def copy_out(self, handle: Memory, offset: int, nbytes: int) -> bytes:
        return np.array(handle.bytes[offset : offset + nbytes]).tobytes() if nbytes else b""

    @locked
    def synchronize(self, index: int) -> None:
        mx.synchronize()

    def properties(self, index: int) -> dict[str, Any]:
        return {"name": "MLX on the CPU"}

    def memory_stats(self, index: int) -> dict[str, int]:
        return self.account.stats()

    @locked
    def run_program(
        self, program: TypedProgram, outs: Sequence[Tensor], ins: Sequence[Tensor], scalars: Sequence[Any]
    ) -> None:
        shape = tuple(outs[0].spec.shape)
        registers = [load(t) for t in ins]
        numbers = [*zip(scalars, program.scalars, strict=True), *program.consts]
        registers += [number(value, dtype) for value, dtype in numbers]
        for step in program.code:
            operands = [registers[s] for s in step.srcs]
            if step.op == "cast":
                registers.append(cast(operands[0], KINDS[step.out]))
            elif step.op == "bitcast":
                registers.append(mx.view(operands[0], KINDS[step.out]))
            elif step.op in SOURCES:
                registers.append(SOURCES[step.op](shape, *operands))
            else:
                registers.append(INSTRUCTIONS[step.op](*operands))
        for t, r in zip(outs, program.results, strict=True):
            store(t, registers[r])

    @locked
    def matmul(self, out: Tensor, a: Tensor, b: Tensor) -> None:
        x, y = load(a), load(b)
        if not out.spec.numel:
            return
        if a.spec.dtype.is_floating_point:
            same = a.spec.dtype.name in ("float32", "float64")
            store(out, x @ y if same else x.astype(mx.float32) @ y.astype(mx.float32))
        elif not x.size:
            store(out, mx.zeros(out.spec.shape, x.dtype))
        elif x.dtype == mx.bool_:
            store(out, mx.any(x[:, :, :, None] & y[:, None], axis=2))
        else:
            store(out, mx.sum((x[:, :, :, None] * y[:, None]).astype(x.dtype), axis=2).astype(x.dtype))

    @locked
    def reduce(self, kind: str, out: Tensor, src: Tensor, dims: tuple[int, ...]) -> None:
        x = load(src)
        if kind in ("sum", "prod"):
            x = wide(cast(x, KINDS[out.spec.dtype]))
            if x.dtype == mx.bool_:
                store(out, (mx.any if kind == "sum" else mx.all)(x, axis=dims))
            else:
                store(out, getattr(mx, kind)(x, axis=dims))
        elif kind in ("any", "all"):
            store(out, getattr(mx, kind)(x != 0, axis=dims))
        else:
            kept = [d for d in range(x.ndim) if d not in dims]
            rows = x.transpose(*kept, *dims).reshape(-1, math.prod(x.shape[d] for d in dims))
            rows = rows.astype(mx.uint8) if rows.dtype == mx.bool_ else rows
            found = getattr(mx, kind[-3:])(rows, axis=1)
            best = rows == found[:, None]
            if mx.issubdtype(rows.dtype, mx.floating):
                nan = mx.isnan(rows)
                some = mx.any(nan, axis=1)
                found = mx.where(some, mx.array(math.nan, rows.dtype), found)
                best = mx.where(some[:, None], nan, best)
            store(out, mx.argmax(best.astype(mx.uint8), axis=1) if kind[:3] == "arg" else found)

    @locked
    def scan(self, kind: str, out: Tensor, src: Tensor, dim: int) -> None:
        x = wide(cast(load(src, True), KINDS[out.spec.dtype]))
        if x.size:
            store(out, getattr(mx, kind)(x, axis=dim))

    @locked
    def gather(self, out: Tensor, src: Tensor, dim: int, index: Tensor) -> None:
        x, at = load(src, True), checked("gather", load(index, True), dim, src)
        if at.size:
            x = x[tuple(slice(None) if d == dim else slice(n) for d, n in enumerate(at.shape))]
            store(out, mx.take_along_axis(x, at, axis=dim))

    @locked
    def scatter(self, out: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str | None) -> None:
        held, at = load(out, True), checked("scatter", load(index, True), dim, out)
        if not at.size:
            return
        values = load(src, True)[tuple(slice(n) for n in at.shape)]
        kind = held.dtype
        if reduce is not None and kind in (mx.float16, mx.bfloat16):
            held, values = held.astype(mx.float32), values.astype(mx.float32)
        where = [
            mx.arange(n).reshape([-1 if d == k else 1 for k in range(at.ndim)])
            for d, n in enumerate(at.shape)
        ]
        where[dim] = at
        steps = np.cumprod([1, *held.shape[:0:-1]])[::-1]
        flat = sum(w * int(s) for w, s in zip(where, steps, strict=True))
        order = np.array(flat).reshape(-1)
        if reduce is None:  # the last of equals stays: leave the others out
            last = order.size - 1 - np.unique(order[::-1], return_index=True)[1]
            made = put(held.reshape(-1), mx.array(order[last]), values.reshape(-1)[mx.array(last)])
        else:
            name = {"sum": "add", "prod": "multiply", "amax": "maximum", "amin": "minimum"}[reduce]
            made = getattr(held.reshape(-1).at[mx.array(order)], name)(values.reshape(-1))
        store(out, made)

    @locked
    def sort(
        self, values: Tensor, indices: Tensor, src: Tensor, dim: int, descending: bool, stable: bool
    ) -> None:
        x = load(src, True)
        if not x.size:
            return
        keys = np.array(
            x.astype(mx.float32) if x.dtype == mx.bfloat16 else x
        )  # MLX's sort isn't documented as stable
        order = np.argsort(np.flip(keys, dim) if descending else keys, axis=dim, kind="stable")
        order = keys.shape[dim] - 1 - np.flip(order, dim) if descending else order
        at = mx.array(np.ascontiguousarray(order))
        store(values, mx.take_along_axis(x, at, axis=dim))
        store(indices, at)


def number(value: Any, dtype: Any) -> Array:
    """A Python number as an array of one element; MLX takes large integers from NumPy only."""
    return mx.array(np.array([value], dtype.name) if dtype.is_integer else [value], KINDS[dtype])


def checked(op: str, at: Array, dim: int, target: Tensor) -> Array:
    """The places; a bad one raises IndexError."""
    size = target.spec.shape[dim] if target.spec.ndim else 1
    values = np.array(at)
    bad = (values < 0) | (values >= size)
    if bad.any():
        raise bad_index(op, int(values[bad][0]), dim, size)
    return at


def philox(bits: int) -> Callable[..., Array]:
    """Random words: docs/random.md says how they follow from seed, stream and place."""

    def words(shape: Sequence[int], seed: Array, stream: Array) -> Array:
        n, per = math.prod(shape), 128 // bits
        k, s, mask = int(np.array(seed).flat[0]), int(np.array(stream).flat[0]), 0xFFFFFFFF
        q = np.arange(-(-n // per), dtype=np.uint64)
        low, shift = np.uint64(mask), np.uint64(32)
        c = [q & low, q >> shift, np.full_like(q, s & mask), np.full_like(q, s >> 32)]
        k0, k1 = k & mask, k >> 32
        for _ in range(10):
            p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
            c = [
                (p1 >> shift) ^ c[1] ^ np.uint64(k0),
                p1 & low,
                (p0 >> shift) ^ c[3] ^ np.uint64(k1),
                p0 & low,
            ]
            k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
        made = c if bits == 32 else [c[0] | c[1] << shift, c[2] | c[3] << shift]
        return mx.array(np.stack(made, 1).astype(f"u{bits // 8}").reshape(-1)[:n].reshape(shape))

    return words


def floored(a: Array, b: Array) -> Array:
    """Division of integers towards minus infinity, 0 for division by zero."""
    if mx.issubdtype(a.dtype, mx.floating):
        return mx.floor(a / b)
    safe = mx.where(b == 0, mx.array(1, b.dtype), b)
    quotient = a // safe
    off = (quotient * safe > a) if a.dtype != mx.bool_ else False
    return mx.where(b == 0, mx.array(0, a.dtype), mx.where(off, quotient - 1, quotient)).astype(a.dtype)


def remainder(a: Array, b: Array) -> Array:
    """With the sign of the divisor."""
    if mx.issubdtype(a.dtype, mx.floating):
        return mx.array(np.remainder(np.array(a), np.array(b)))
    return mx.where(b == 0, mx.array(0, a.dtype), a - floored(a, b) * b).astype(a.dtype)


def power(a: Array, b: Array) -> Array:
    """Integers to negative powers are 0, except those of 1 and -1."""
    if mx.issubdtype(a.dtype, mx.floating) or mx.issubdtype(a.dtype, mx.unsignedinteger):
        return mx.power(a, b)
    inverse = mx.where(a == 1, 1, mx.where(a == -1, 1 - 2 * (b & 1), 0)).astype(a.dtype)
    return mx.where(b < 0, inverse, mx.power(a, mx.maximum(b, 0)).astype(a.dtype))


def shift(left: bool) -> Callable[[Array, Array], Array]:
    """Shifts by more bits than there are give 0, to the right the sign."""

    def run(a: Array, n: Array) -> Array:
        bits = a.itemsize * 8
        inside = (n >= 0) & (n < bits)
        safe = mx.where(inside, n, 0).astype(a.dtype)
        rest = mx.zeros_like(a) if left else -(a < 0).astype(a.dtype)
        return mx.where(inside, mx.left_shift(a, safe) if left else mx.right_shift(a, safe), rest)

    return run


def extreme(fn: Callable[..., Array], spread: bool) -> Callable[[Array, Array], Array]:
    """The larger or smaller; NaN spreads, or gives way."""

    def run(a: Array, b: Array) -> Array:
        found = fn(a, b)
        if not mx.issubdtype(found.dtype, mx.floating):
            return found
        if spread:
            return mx.where(mx.isnan(a), a, mx.where(mx.isnan(b), b, found))
        return mx.where(mx.isnan(a), b, mx.where(mx.isnan(b), a, found))

    return run


def boolean(logic: Callable[..., Array], other: Callable[..., Array]) -> Callable[..., Array]:
    """One function for bools, another for numbers."""
    return lambda *args: logic(*args) if args[0].dtype == mx.bool_ else other(*args)


def signbit(a: Array) -> Array:
    return mx.array(np.signbit(np.array(a))) if mx.issubdtype(a.dtype, mx.floating) else a < 0


#: What MLX computes, by instruction.
INSTRUCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(mx, name) for name in "exp expm1 log log2 log10 log1p sqrt rsqrt sin cos tan sinh cosh tanh "
       "sigmoid floor ceil isnan isinf isfinite where erf".split()},
    "add": boolean(mx.logical_or, mx.add), "sub": mx.subtract, "mul": boolean(mx.logical_and, mx.multiply),
    "div": mx.divide, "floordiv": floored, "rem": remainder, "pow": power, "neg": mx.negative, "abs": mx.abs,
    "sign": lambda a: mx.where(a != a, a, mx.sign(a)), "maximum": extreme(mx.maximum, True),
    "minimum": extreme(mx.minimum, True),
    "fmax": extreme(mx.maximum, False), "fmin": extreme(mx.minimum, False),
    "exp2": lambda a: mx.power(mx.array(2, a.dtype), a),
    "asin": mx.arcsin, "acos": mx.arccos, "atan": mx.arctan, "asinh": mx.arcsinh, "acosh": mx.arccosh,
    "atanh": mx.arctanh, "atan2": mx.arctan2, "round": mx.round,
    "trunc": lambda a: mx.where(a < 0, mx.ceil(a), mx.floor(a)),
    "eq": mx.equal, "ne": mx.not_equal, "lt": mx.less, "le": mx.less_equal, "gt": mx.greater, "ge": mx.greater_equal,
    "signbit": signbit, "and": mx.bitwise_and, "or": mx.bitwise_or, "xor": mx.bitwise_xor,
    "not": boolean(mx.logical_not, mx.bitwise_invert), "shl": shift(True), "shr": shift(False),
}  # fmt: skip
#: Instructions whose values follow from the place of the element.
SOURCES: dict[str, Callable[..., Any]] = {
    "iota": lambda shape: mx.arange(math.prod(shape), dtype=mx.int64).reshape(shape),
    "philox32": philox(32),
    "philox64": philox(64),
}
