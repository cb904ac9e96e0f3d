"""A complete third-party backend: device "template", a fake accelerator to learn from and to copy.

It has what makes real accelerators hard: memory that the host can't read, a queue of work that runs behind the program,
two devices, and little memory. It implements the required entries of the contract and nothing else. Its processor is a
thread that computes with NumPy; in a backend of your own, that is where your hardware stands.
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from flambeau.plugin import DTYPES, Backend, MemoryAccount, TypedProgram, bad_index

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["TemplateBackend"]

Array = Any
#: The NumPy type of each dtype.
NUMPY = {d: np.dtype(ml_dtypes.bfloat16 if d.name == "bfloat16" else d.name) for d in DTYPES}


# [memory]
class Memory:
    """Memory of a device. Only the device's own thread can look inside: the host has no address for it."""

    __slots__ = ("_data", "device")

    def __init__(self, device: Device, nbytes: int) -> None:
        self.device = device
        self._data: np.ndarray[Any, Any] | None = np.empty(nbytes, np.uint8)

    @property
    def data(self) -> np.ndarray[Any, Any]:
        """The bytes; an error for the host, and after they were freed."""
        if threading.current_thread() is not self.device.thread:
            raise PermissionError("the host can't read device memory: copy it out first")
        if self._data is None:
            raise PermissionError("device memory was used after it was freed")
        return self._data

    def release(self) -> None:
        """Forget the bytes; runs on the device, behind all work that uses them."""
        self._data = None


# [memory end]
# [queue]
class Device:
    """One accelerator: a queue of work, and the thread that does it."""

    def __init__(self, name: str, memory: int) -> None:
        self.account = MemoryAccount(name, memory)
        self.failure: BaseException | None = None
        self.work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        np.seterr(all="ignore")  # of this thread
        while True:
            step = self.work.get()
            try:
                step()
            except BaseException as failure:  # told to the host when it next waits
                self.failure = self.failure or failure
            del step  # or it would hold its memory until the next one comes

    def wait(self) -> None:
        """Until everything queued so far is done; raises what went wrong in it."""
        done = threading.Event()
        self.work.put(done.set)
        done.wait()
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure


# [queue end]
class Part:
    """Where a tensor lies: what a kernel takes along into the queue, because the tensor may change until it runs."""

    def __init__(self, t: Tensor) -> None:
        self.memory: Memory = t.mem.handle
        self.spec, self.offset = t.spec, t.offset

    def array(self) -> Array:
        """The elements as a strided array; on the device only."""
        kind, spec = NUMPY[self.spec.dtype], self.spec
        if not spec.numel:
            return np.empty(spec.shape, kind)
        strides = tuple(s * kind.itemsize for s in spec.strides)
        return np.ndarray(spec.shape, kind, self.memory.data, self.offset * kind.itemsize, strides)

    def load(self) -> Array:
        """The elements with at least one dimension, 16-bit floats as float32."""
        a = self.array()
        a = a.astype(np.float32) if a.dtype.itemsize == 2 and self.spec.dtype.is_floating_point else a
        return a.reshape(1) if a.ndim == 0 else a

    def store(self, values: Array) -> None:
        """Write values, converted and brought into shape."""
        kind = NUMPY[self.spec.dtype]
        self.array()[...] = cast(np.reshape(values, self.spec.shape), kind)


def cast(a: Array, to: Any) -> Array:
    """Convert: to bool by ``!= 0``, complex to real by its real part, otherwise as NumPy does."""
    if to.kind == "b":
        return a != 0
    return (a.real if a.dtype.kind == "c" and to.kind != "c" else a).astype(to, copy=False)


# [launch]
def on_device(kernel: Callable[..., None]) -> Callable[..., None]:
    """An entry of the contract: puts the kernel into the queue of the device where its tensors lie."""

    def entry(self: TemplateBackend, *args: Any) -> None:
        where: list[Memory] = []
        taken = [parts_of(a, where) for a in args]
        where[0].device.work.put(lambda: kernel(*taken))

    return entry


def parts_of(value: Any, where: list[Memory]) -> Any:
    """Arguments with parts in place of tensors; notes their memory."""
    if isinstance(value, (list, tuple)):
        return [parts_of(v, where) for v in value]
    if not hasattr(value, "spec"):
        return value
    where.append(value.mem.handle)
    return Part(value)


# [launch end]
# [backend]
class TemplateBackend(Backend):
    """Device "template"."""

    contract = (1, 0)
    name = "template"
    asynchronous = True
    lacks = frozenset("erfc erfinv lgamma digamma nextafter scan.logcumsumexp".split())

    def __init__(self) -> None:
        self.devices = [Device(f"template:{index}", 256 << 20) for index in range(2)]

    def allocate(self, nbytes: int, index: int) -> Memory:
        device = self.devices[index]
        return device.account.allocate(nbytes, partial(Memory, device))

    def free(self, handle: Memory, nbytes: int, index: int) -> None:
        handle.device.account.free(nbytes)
        handle.device.work.put(handle.release)  # behind the work that still uses it

    def copy_in(self, handle: Memory, offset: int, data: Any) -> None:
        staged = np.frombuffer(bytes(data), np.uint8)  # the caller may change its data any time
        place = slice(offset, offset + staged.size)
        handle.device.work.put(lambda: handle.data.__setitem__(place, staged))

    def copy_out(self, handle: Memory, offset: int, nbytes: int) -> bytes:
        found: list[bytes] = []
        handle.device.work.put(lambda: found.append(handle.data[offset : offset + nbytes].tobytes()))
        handle.device.wait()
        return found[0]

    def synchronize(self, index: int) -> None:
        self.devices[index].wait()

    # [backend end]
    def device_count(self) -> int:
        return len(self.devices)

    def memory_stats(self, index: int) -> dict[str, int]:
        return self.devices[index].account.stats()

    # [kernel]
    @on_device
    def matmul(out: Part, a: Part, b: Part) -> None:
        out.store(np.matmul(a.load(), b.load()))

    # [kernel end]
    # [program]
    @on_device
    def run_program(program: TypedProgram, outs: list[Part], ins: list[Part], scalars: Sequence[Any]) -> None:
        shape = (1, *outs[0].spec.shape)  # NumPy computes with 0-d arrays by other rules
        numbers = [*zip(scalars, program.scalars, strict=True), *program.consts]
        registers = [part.array()[None] for part in ins] + [np.array([v], NUMPY[d]) for v, d in numbers]
        for step in program.code:
            operands = [registers[s] for s in step.srcs]
            if step.op in ("cast", "bitcast"):
                kind = NUMPY[step.out]
                registers.append(cast(operands[0], kind) if step.op == "cast" else operands[0].view(kind))
            elif step.op in SOURCES:
                registers.append(SOURCES[step.op](shape, *operands))
            else:
                registers.append(np.asarray(INSTRUCTIONS[step.op](*operands)))
        results = [np.array(np.broadcast_to(registers[r], shape)[0]) for r in program.results]
        for part, result in zip(outs, results, strict=True):  # all are computed by now: outputs may be inputs
            part.array()[...] = result

    # [program end]
    @on_device
    def reduce(kind: str, out: Part, src: Part, dims: list[int]) -> None:
        x = src.load()
        if kind in ("argmax", "argmin"):
            kept = [d for d in range(x.ndim) if d not in dims]
            rows = x.transpose(*kept, *dims).reshape(*(x.shape[d] for d in kept), -1)
            out.store(getattr(np, kind)(rows, axis=-1))
        else:
            x = cast(x, wide(out)) if kind in ("sum", "prod") else x
            how = {"dtype": x.dtype} if kind in ("sum", "prod") else {}
            out.store(getattr(np, kind)(x, axis=tuple(dims), **how))

    @on_device
    def scan(kind: str, out: Part, src: Part, dim: int) -> None:
        x = cast(src.load(), wide(out))
        out.store(getattr(np, kind)(x, axis=dim, dtype=x.dtype))

    @on_device
    def scan2(kind: str, values: Part, indices: Part, src: Part, dim: int) -> None:
        x = src.load()
        best = (np.maximum if kind == "cummax" else np.minimum).accumulate(x, axis=dim)
        at = np.arange(x.shape[dim]).reshape([-1 if d == dim else 1 for d in range(x.ndim)])
        last = np.maximum.accumulate(np.where((x == best) | (x != x), at, 0), axis=dim)
        values.store(np.take_along_axis(x, last, dim))
        indices.store(last)

    @on_device
    def gather(out: Part, src: Part, dim: int, index: Part) -> None:
        x, at = src.load(), checked("gather", index, dim, src)
        if at.size:
            x = x[tuple(slice(None) if d == dim else slice(n) for d, n in enumerate(at.shape))]
            out.store(np.take_along_axis(x, at, dim))

    @on_device
    def scatter(out: Part, dim: int, index: Part, src: Part, reduce: str | None) -> None:
        held, at = out.load().copy(), checked("scatter", index, dim, out)
        if at.size:
            values = cast(src.load(), held.dtype)[tuple(slice(n) for n in at.shape)]
            where = list(np.ogrid[tuple(slice(n) for n in at.shape)])
            where[dim] = at
            if reduce is None:
                held[tuple(where)] = values
            else:
                COMBINE[reduce].at(held, tuple(where), values)
            out.store(held)

    @on_device
    def sort(values: Part, indices: Part, src: Part, dim: int, descending: bool, stable: bool) -> None:
        x = src.load()
        order = np.argsort(np.flip(x, dim) if descending else x, axis=dim, kind="stable")
        if descending:  # the stable order of the reversed line, read from its end
            order = x.shape[dim] - 1 - np.flip(order, dim)
        values.store(np.take_along_axis(x, order, dim))
        indices.store(order)


COMBINE: dict[str, Any] = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def wide(part: Part) -> Any:
    """The type in which sums accumulate."""
    kind = NUMPY[part.spec.dtype]
    return np.dtype(
        "float64" if part.spec.dtype.is_floating_point else "complex128" if kind.kind == "c" else kind
    )


def checked(op: str, index: Part, dim: int, target: Part) -> Array:
    """The places; a bad one raises IndexError."""
    at = index.load()
    size = target.spec.shape[dim] if target.spec.ndim else 1
    bad = (at < 0) | (at >= size)
    if bad.any():
        raise bad_index(op, int(at[bad][0]), dim, size)
    return at


def philox(bits: int, shape: Sequence[int], seed: Array, stream: Array) -> Array:
    """Random words: docs/random.md says how they follow from seed, stream and place."""
    n, per = math.prod(shape), 128 // bits
    q, mask, shift = np.arange(-(-n // per), dtype=np.uint64), np.uint64(0xFFFFFFFF), np.uint64(32)
    s, k = np.uint64(stream.flat[0]), np.uint64(seed.flat[0])
    c = [q & mask, q >> shift, np.full_like(q, s & mask), np.full_like(q, s >> shift)]
    k0, k1 = int(k & mask), int(k >> shift)
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> shift) ^ c[1] ^ np.uint64(k0), p1 & mask, (p0 >> shift) ^ c[3] ^ np.uint64(k1), p0 & mask]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    words = c if bits == 32 else [c[0] | c[1] << shift, c[2] | c[3] << shift]
    return np.stack(words, 1).astype(f"u{bits // 8}").reshape(-1)[:n].reshape(shape)


def power(a: Array, b: Array) -> Array:
    """Integers to negative powers are 0, except those of 1 and -1."""
    if a.dtype.kind != "i":
        return np.power(a, b)
    inverse = np.where(a == 1, 1, np.where(a == -1, 1 - 2 * (b & 1), 0)).astype(a.dtype)
    return np.where(b < 0, inverse, np.power(a, np.maximum(b, 0)))


def shift(fn: Any) -> Callable[[Array, Array], Array]:
    """Shifts by more bits than there are give 0, to the right the sign."""

    def run(a: Array, n: Array) -> Array:
        bits = a.dtype.itemsize * 8
        inside = (n >= 0) & (n < bits)
        rest = a >> (bits - 1) if fn is np.right_shift and a.dtype.kind == "i" else np.zeros_like(a)
        return np.where(inside, fn(a, np.where(inside, n, 0).astype(a.dtype)), rest)

    return run


def joined(re: Array, im: Array) -> Array:
    return np.stack(np.broadcast_arrays(re, im), -1).view(np.result_type(re, np.complex64))[..., 0]


#: What the processor computes, by instruction; docs/programs.md says what each means.
INSTRUCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in "add exp exp2 expm1 log log2 log10 log1p sqrt sin cos tan sinh cosh tanh "
       "sign maximum minimum fmax fmin floor ceil trunc copysign hypot isnan isinf isfinite fmod where real imag "
       "angle".split()},
    "sub": np.subtract, "mul": np.multiply, "div": np.true_divide, "floordiv": np.floor_divide, "rem": np.remainder,
    "pow": power, "neg": np.negative, "abs": np.absolute, "round": np.rint, "rsqrt": lambda x: 1 / np.sqrt(x),
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "atan2": np.arctan2, "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": lambda x: np.vectorize(math.erf, [x.dtype])(x) if x.size else x,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "signbit": lambda x: np.signbit(x) if x.dtype.kind == "f" else x < 0, "and": np.bitwise_and, "or": np.bitwise_or,
    "xor": np.bitwise_xor, "not": np.invert, "shl": shift(np.left_shift), "shr": shift(np.right_shift),
    "conj": np.conjugate, "complex": joined,
}  # fmt: skip
#: Instructions whose values follow from the place of the element.
SOURCES: dict[str, Callable[..., Any]] = {
    "iota": lambda shape: np.arange(math.prod(shape), dtype=np.int64).reshape(shape),
    "philox32": partial(philox, 32),
    "philox64": partial(philox, 64),
}
