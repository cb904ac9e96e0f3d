"""Shape, strides, dtype and device of a tensor in one interned object, and the geometry of views.

Equal specs are nearly always the same object, so that an op finds its plan by one dictionary look-up
on identities; correctness never rests on it (a missed identity costs a new plan, nothing else).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from .devices import Device
from .dtypes import DType
from .errors import refuse

__all__ = [
    "Size", "Spec", "broadcast_shapes", "contiguous_strides", "spec_of", "unflipped", "view_strides", "wrap_dim",
    "wrap_dims",
]  # fmt: skip


class Size(tuple[int, ...]):
    """A shape: a tuple of sizes that prints as PyTorch's ``torch.Size``.

    >>> Size((2, 3)).numel()
    6
    """

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        return prod(self)

    def __repr__(self) -> str:
        return f"flambeau.Size([{', '.join(map(str, self))}])"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Size, (tuple(self),))

    if not TYPE_CHECKING:

        def __getitem__(self, i):
            r = tuple.__getitem__(self, i)
            return Size(r) if type(i) is slice else r

        def __add__(self, other):
            return Size(tuple.__add__(self, tuple(other)))


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides, in elements."""
    return strides_in(range(len(shape) - 1, -1, -1), shape)


def strides_in(order: Iterable[int], shape: Sequence[int]) -> tuple[int, ...]:
    """Strides without gaps of dimensions that lie in an order, the innermost first."""
    out, step = [0] * len(shape), 1
    for d in order:
        out[d] = step
        step *= max(shape[d], 1)
    return tuple(out)


class Count(int):
    """What ``x.size`` is: the number of elements (the Array API's attribute), and PyTorch's method of that name."""

    shape: Size

    def __call__(self, dim: int | None = None) -> Any:
        """All sizes, or the size of one dimension."""
        return self.shape if dim is None else self.shape[wrap_dim(dim, len(self.shape), "size")]


def dense_strides(shape: Sequence[int], *strides: Sequence[int]) -> tuple[int, ...]:
    """Strides without gaps in the order of the given ones (of one or several operands of the shape), as PyTorch's
    elementwise ops lay out their results: the first operand that tells two dimensions apart decides.

    >>> dense_strides((2, 3, 4), (1, 2, 12))
    (1, 2, 6)
    """
    order = list(reversed(range(len(shape))))  # innermost first

    def later(a: int, b: int) -> int:
        for s in strides:
            if s[a] and s[b]:
                if s[a] != s[b]:
                    return 1 if s[a] > s[b] else -1
                if shape[a] > shape[b]:
                    return 1
        return 0

    for i in range(1, len(order)):
        for j in reversed(range(i)):
            found = later(order[j], order[i])
            if found > 0:
                order[j], order[i] = order[i], order[j]
                i = j
            elif found < 0:
                break
    return strides_in(order, shape)


#: Memory formats as orders of dimensions, innermost first, by rank.
FORMATS: dict[str, dict[int, tuple[int, ...]]] = {
    "channels_last": {4: (1, 3, 2, 0)},
    "channels_last_3d": {5: (1, 4, 3, 2, 0)},
}


def format_strides(op: str, spec: Spec, memory_format: str | None) -> tuple[int, ...] | None:
    """The strides that a memory format gives to a copy; None: row-major order.

    Raises:
        RuntimeError: the format needs another number of dimensions, or isn't known.
    """
    if memory_format == "contiguous_format":
        return None
    if memory_format is None or memory_format == "preserve_format":
        return None if spec.dense else dense_strides(spec.shape, spec.strides)
    if memory_format not in FORMATS:
        refuse(op, f"memory format is not known: got {memory_format!r}")
    order = FORMATS[memory_format].get(spec.ndim)
    if order is None:
        (rank,) = FORMATS[memory_format]
        refuse(op, f"required rank {rank} tensor to use {memory_format} format: got {list(spec.shape)}")
    return strides_in(order, spec.shape)


class Spec:
    """What is known of a tensor without looking at its memory.

    Attributes:
        dtype: the element type.
        shape: the sizes.
        strides: steps in elements, signed; 0 repeats.
        device: where it lies.
        numel, ndim, itemsize, nbytes: derived sizes.
        count: numel as a function of a dimension, see `Count`.
        flipped: whether the elements are the conjugates (of real numbers: the negatives) of what the memory holds.
        dense: whether the memory holds the elements as they are, in row-major order without gaps.
    """

    __slots__ = (
        "__weakref__", "count", "dense", "device", "dtype", "flipped", "itemsize", "nbytes", "ndim", "numel", "shape",
        "strides",
    )  # fmt: skip

    def __init__(
        self, dtype: DType, shape: Size, strides: tuple[int, ...], device: Device, flipped: bool = False
    ) -> None:
        self.dtype = dtype
        self.flipped = flipped
        self.shape = shape
        self.strides = strides
        self.device = device
        self.ndim = len(shape)
        self.numel = shape.numel()
        self.count = Count(self.numel)
        self.count.shape = shape
        self.itemsize = dtype.itemsize
        self.nbytes = self.numel * dtype.itemsize
        if self.nbytes >> 63:
            wrong = f"storage size calculation overflowed: got sizes {list(shape)} of {dtype.name}"
            refuse("sizes", f"{wrong}, needed: fewer than 2**63 bytes")
        steps = zip(shape, strides, contiguous_strides(shape), strict=True)
        self.dense = not flipped and (self.numel == 0 or all(n == 1 or s == c for n, s, c in steps))

    def __repr__(self) -> str:
        flipped = ", flipped" if self.flipped else ""
        return f"Spec({self.dtype.name}, {list(self.shape)}, strides={list(self.strides)}, {self.device}{flipped})"

    def like(self, dtype: DType | None = None, shape: Sequence[int] | None = None) -> Spec:
        """A dense spec on the same device."""
        return spec_of(dtype or self.dtype, self.shape if shape is None else shape, self.device)

    def extent(self) -> tuple[int, int]:
        """Lowest and highest element offset, relative to the first element; (0, -1) where empty."""
        if self.numel == 0:
            return 0, -1
        ends = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        return sum(e for e in ends if e < 0), sum(e for e in ends if e > 0)


def unflipped(spec: Spec, op: str) -> None:
    """Refuse a flipped tensor where memory is read or written as it is.

    Raises:
        RuntimeError: it is one.
    """
    if spec.flipped:
        name = "conj" if spec.dtype.is_complex else "neg"
        wrong, do = (
            f"this doesn't work on a tensor with the {name} bit set",
            f"Use tensor.resolve_{name}() first.",
        )
        refuse(op, wrong, do=do, self=spec)


_CAPACITY = 1 << 15
_specs: dict[tuple[Any, ...], Spec] = {}
_dense: dict[tuple[DType, tuple[int, ...], Device], Spec] = {}


def spec_of(
    dtype: DType,
    shape: Sequence[int],
    device: Device,
    strides: tuple[int, ...] | None = None,
    flipped: bool = False,
) -> Spec:
    """The interned spec of a dtype, shape, device and strides (dense where not given)."""
    device = device.home
    if strides is None:
        key = (dtype, shape if isinstance(shape, tuple) else tuple(shape), device)
        spec = _dense.get(key)
        if spec is None:
            size = Size(shape)
            spec = spec_of(dtype, size, device, contiguous_strides(size))
            if len(_dense) >= _CAPACITY:
                _dense.clear()
            _dense[key] = spec
        return spec
    full = (dtype, shape if isinstance(shape, tuple) else tuple(shape), strides, device, flipped)
    spec = _specs.get(full)
    if spec is None:
        if len(_specs) >= _CAPACITY:
            _specs.clear()
        spec = _specs[full] = Spec(dtype, Size(full[1]), tuple(strides), device, flipped)
    return spec


def broadcast_shapes(*shapes: Sequence[int] | int, op: str = "broadcast_shapes") -> Size:
    """The shape to which all broadcast.

    Raises:
        RuntimeError: where sizes differ and neither is 1.

    >>> broadcast_shapes((3, 1), (4,))
    flambeau.Size([3, 4])
    """
    given: list[Sequence[int]] = [(s,) if isinstance(s, int) else s for s in shapes]
    ndim = max((len(s) for s in given), default=0)
    out = [1] * ndim
    for shape in given:
        for i, n in enumerate(shape, ndim - len(shape)):
            if n != 1 and out[i] != n:
                if out[i] != 1:
                    got = f"got {' and '.join(str(list(s)) for s in given)}, sizes {out[i]} and {n} differ at"
                    wrong = f"shapes don't broadcast: {got} dimension {i - ndim} (counted from the end)"
                    refuse(op, f"{wrong}; needed: equal sizes, or 1", do="Use reshape, unsqueeze or expand.")
                out[i] = n
    return Size(out)


def expand_strides(shape: Sequence[int], strides: Sequence[int], to: Sequence[int]) -> tuple[int, ...]:
    """Strides that repeat a tensor to a broadcast shape."""
    lead = len(to) - len(shape)
    steps = zip(shape, strides, to[lead:], strict=True)
    return (0,) * lead + tuple(0 if n == 1 and m != 1 else s for n, s, m in steps)


def wrap_dim(dim: int, ndim: int, op: str, name: str = "dim") -> int:
    """A dimension counted from the front.

    Raises:
        IndexError: out of range (a 0-d tensor is taken as 1-d, as PyTorch does).
    """
    n = ndim or 1
    if not isinstance(dim, int):
        if not hasattr(dim, "__index__"):
            refuse(
                op,
                f"{name} is not an integer: got {type(dim).__name__} {dim!r}, needed: int",
                error=TypeError,
            )
        dim = dim.__index__()
    if not -n <= dim < n:
        wrong = f"Dimension out of range: got {name}={dim} for a tensor of {ndim} dimensions"
        refuse(op, f"{wrong}, needed: a number in [{-n}, {n - 1}]", error=IndexError)
    return dim % n


def wrap_dims(dims: int | Iterable[int] | None, ndim: int, op: str) -> tuple[int, ...]:
    """Dimensions counted from the front, in the order given; ``None`` means all.

    Raises:
        IndexError: out of range.
        RuntimeError: a dimension twice.
    """
    if dims is None:
        return tuple(range(ndim))
    given = (dims,) if isinstance(dims, int) else tuple(dims)
    out = tuple(wrap_dim(d, ndim, op) for d in given)
    if len(set(out)) != len(out):
        refuse(op, f"a dimension appears twice: got dim={given}", do="Name each dimension once.")
    return out if ndim else ()


def view_strides(shape: Sequence[int], strides: Sequence[int], to: Sequence[int]) -> tuple[int, ...] | None:
    """Strides with which memory of one shape is seen in another of equal size, or None where it can't be."""
    if 0 in shape:
        return contiguous_strides(to)
    out = [0] * len(to)
    j = len(to) - 1
    run, base = 1, strides[-1] if strides else 1
    view_n = 1
    for i in range(len(shape) - 1, -1, -1):
        run *= shape[i]
        # A chunk ends where the next outer dimension doesn't continue it.
        if i == 0 or (shape[i - 1] != 1 and strides[i - 1] != run * base):
            while j >= 0 and (view_n < run or to[j] == 1):
                out[j] = view_n * base
                view_n *= to[j]
                j -= 1
            if view_n != run:
                return None
            if i:
                run, view_n, base = 1, 1, strides[i - 1]
    for k in range(j, -1, -1):
        out[k] = 1 if j == len(to) - 1 else out[j + 1] * to[j + 1]
    return tuple(out)
