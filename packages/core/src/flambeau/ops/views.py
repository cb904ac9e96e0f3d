"""Views: ops whose result shares the input's memory; each is a rule on shape, strides and offset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._tensor import Tensor
from ..dtypes import DType
from ..errors import refuse
from ..layout import Spec, contiguous_strides, expand_strides, spec_of, view_strides, wrap_dim, wrap_dims
from ..op import Call, composite, kernel
from ..op import view as view_op
from ..registry import OPS


def ints(values: Any) -> tuple[int, ...]:
    """Sizes or dimensions given as one int, or a sequence of ints or 0-d tensors.

    Raises:
        TypeError: something else.
    """
    try:
        if isinstance(values, int) or not hasattr(values, "__iter__"):
            return (values.__index__(),)
        return tuple(v if type(v) is int else v.__index__() for v in values)
    except AttributeError:
        raise TypeError(
            f"[sizes] expected an int or a sequence of ints: got {type(values).__name__} {values!r}. "
            "Give whole numbers."
        ) from None


def infer_sizes(op: str, shape: Sequence[int], numel: int) -> tuple[int, ...]:
    """Replace one -1 by the size that keeps the number of elements.

    Raises:
        RuntimeError: the sizes don't fit.
    """
    sizes = ints(shape)
    unknown = [k for k, s in enumerate(sizes) if s == -1]
    known = 1
    for s in sizes:
        if s < -1:
            refuse(op, f"invalid shape dimension {s}: got {list(sizes)}, needed: sizes >= 0, or one -1")
        known *= 1 if s == -1 else s
    if len(unknown) > 1:
        refuse(op, f"only one dimension can be inferred: got {list(sizes)}", do="Give all but one size.")
    if unknown:
        if known == 0 or numel % known:
            raise RuntimeError(f"[{op}] shape '{list(sizes)}' is invalid for input of size {numel}.")
        k = unknown[0]
        return (*sizes[:k], numel // known, *sizes[k + 1 :])
    if known != numel:
        raise RuntimeError(f"[{op}] shape '{list(sizes)}' is invalid for input of size {numel}.")
    return sizes


@view_op(name="view_shape", public=False, vjp={"self": lambda g, self_spec: g.reshape(self_spec.shape)})
def _view_shape(self: Spec, shape: Sequence[int]) -> Any:
    sizes = infer_sizes("view", shape, self.numel)
    strides = contiguous_strides(sizes) if self.dense else view_strides(self.shape, self.strides, sizes)
    if strides is None:
        wrong = f"view size is not compatible with input tensor's size and stride: got {list(self.shape)} "
        wrong += f"with strides {list(self.strides)}, seen as {list(sizes)} a dimension would span two "
        wrong += "pieces of memory"
        refuse("view", wrong, do="Use .reshape(...).")
    return sizes, strides, 0


@view_op(name="view_dtype", public=False, vjp={})
def _view_dtype(self: Spec, dtype: DType) -> Any:
    have, want = self.itemsize, dtype.itemsize
    if have == want:
        return self.shape, self.strides, 0, dtype
    if not self.ndim or self.strides[-1] != 1 or (want > have and self.shape[-1] * have % want):
        wrong = f"can't view {self.dtype.name} of shape {list(self.shape)} and strides {list(self.strides)} "
        wrong += f"as {dtype.name}: the last dimension must be contiguous and its bytes a multiple of the "
        wrong += "new element's"
        refuse("view", wrong, do="Use .contiguous().")
    outer = [st * have // want for st in self.strides[:-1]]
    if any(st * have % want for st in self.strides[:-1]):
        wrong = f"strides {list(self.strides)} are no multiples of {dtype.name}"
        refuse("view", wrong, do="Use .contiguous().")
    return (*self.shape[:-1], self.shape[-1] * have // want), (*outer, 1), 0, dtype


#: `view_shape` as a function that finds known geometries at once.
see: Callable[[Tensor, Sequence[int]], Tensor] = _view_shape.short()


@composite(function=False, via=_view_shape)
def view(self: Tensor, shape: Sequence[int]) -> Tensor:
    """The same memory seen with another shape (or, given a dtype, with other elements).

    Raises:
        RuntimeError: the shape can't be seen in this memory without a copy.

    >>> import flambeau as fb
    >>> fb.arange(6).view(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    if isinstance(shape, DType):
        return _view_dtype(self, shape)  # type: ignore[no-any-return]
    return see(self, tuple(shape) if type(shape) is list else shape)


@composite(function=False)
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """The same memory seen with another tensor's shape."""
    return self.view(other.shape)


@composite(via=_view_shape)
def reshape(self: Tensor, shape: Sequence[int]) -> Tensor:
    """Another shape for the same elements; a view where the memory allows it, a copy where not."""
    s = self.spec
    sizes = tuple(shape) if type(shape) is list else shape
    if not s.dense:
        sizes = infer_sizes("reshape", sizes, s.numel)
        if view_strides(s.shape, s.strides, sizes) is None:
            self = self.contiguous()
    try:
        return see(self, sizes)
    except RuntimeError:
        infer_sizes("reshape", sizes, s.numel)  # says it under the right name
        raise


@composite(function=False)
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """Another tensor's shape for the same elements."""
    return self.reshape(other.shape)


@view_op(
    aliases=("swapaxes", "swapdims"),
    inplace=False,
    vjp={"self": lambda g, dim0, dim1: g.transpose(dim0, dim1)},
)
def transpose(self: Spec, dim0: int, dim1: int) -> Any:
    """Two dimensions swapped."""
    a, b = wrap_dim(dim0, self.ndim, "transpose", "dim0"), wrap_dim(dim1, self.ndim, "transpose", "dim1")
    shape, strides = list(self.shape), list(self.strides)
    if self.ndim:
        shape[a], shape[b], strides[a], strides[b] = shape[b], shape[a], strides[b], strides[a]
    return shape, strides, 0


def _inverse(dims: Sequence[int]) -> tuple[int, ...]:
    out = [0] * len(dims)
    for k, d in enumerate(dims):
        out[d % len(dims)] = k
    return tuple(out)


@view_op(vjp={"self": lambda g, dims: g.permute(_inverse(dims))})
def permute(self: Spec, dims: Sequence[int]) -> Any:
    """The dimensions in another order."""
    order = wrap_dims(ints(dims), self.ndim, "permute")
    if len(order) != self.ndim:
        wrong = f"number of dimensions differs: got dims={order} for {list(self.shape)}, needed: each of "
        wrong += f"its {self.ndim} dimensions once"
        refuse("permute", wrong)
    return [self.shape[d] for d in order], [self.strides[d] for d in order], 0


@view_op(vjp={"self": lambda g, self_spec: g.sum_to_size(self_spec.shape)})
def expand(self: Spec, size: Sequence[int], *, implicit: bool = False) -> Any:
    """Dimensions of size 1 repeated to a larger shape, without memory; -1 keeps a size."""
    sizes = list(ints(size))
    lead = len(sizes) - self.ndim
    if lead < 0:
        wrong = f"the number of sizes provided ({len(sizes)}) must be greater or equal to the number of "
        wrong += f"dimensions in the tensor ({self.ndim}): got {sizes} for {list(self.shape)}"
        refuse("expand", wrong)
    for k, n in enumerate(sizes):
        have = self.shape[k - lead] if k >= lead else 1
        if n == -1 and k >= lead:
            sizes[k] = have
        elif n < 0 or (have not in (1, n)):
            raise RuntimeError(
                f"[expand] the expanded size of the tensor ({n}) must match the existing size ({have}) at dimension "
                f"{k}: got {list(self.shape)} to {list(ints(size))}; only sizes of 1 can be repeated."
            )
    return sizes, expand_strides(self.shape, self.strides, sizes), 0


def _as_strided_gradient(
    g: Any, self_spec: Spec, size: Any, stride: Any, storage_offset: int, base_offset: int
) -> Any:
    return as_strided_backward(
        g, self_spec.shape, self_spec.strides, size, stride, storage_offset - base_offset
    )


@view_op(name="as_strided", public=False, vjp={"self": _as_strided_gradient})
def as_strided_base(
    self: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int, *, base_offset: int = 0
) -> Any:
    return ints(size), ints(stride), storage_offset - base_offset


@composite(name="as_strided_view", export="as_strided")
def _as_strided_view(
    self: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """A view of the whole memory with any sizes, strides and offset (in elements, from the memory's start)."""
    sizes, strides = ints(size), ints(stride)
    offset = self.offset if storage_offset is None else storage_offset
    if len(sizes) != len(strides):
        refuse("as_strided", f"mismatch in length of strides and shape: got {sizes} and {strides}")
    spec = spec_of(self.spec.dtype, sizes, self.spec.device, strides)
    low, high = spec.extent()
    if (
        min(strides, default=0) < 0
        or offset < 0
        or (high >= low and (offset + high + 1) * spec.itemsize > self.mem.nbytes)
    ):
        wrong = f"out of bounds: sizes {list(sizes)}, strides {list(strides)}, storage_offset {offset} need "
        wrong += f"{(offset + high + 1) * spec.itemsize} bytes of a memory of {self.mem.nbytes}; strides and "
        wrong += "offset must not be negative"
        refuse("as_strided", wrong)
    base = self.base if self.base is not None and self.base.spec.dtype is self.spec.dtype else self
    r: Tensor = as_strided_base(base, sizes, strides, offset, base_offset=base.offset)
    return r if r.spec.flipped == self.spec.flipped else OPS["flip_sign"](r)


@composite(name="as_strided_replaced", export="as_strided_scatter")
def _as_strided_replaced(
    self: Tensor, src: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """A copy with one of its `as_strided` views replaced by ``src``."""
    seen = _as_strided_view(self, size, stride, storage_offset)  # checks
    if src.spec.shape != seen.spec.shape:
        wrong = f"expected src to have the view's shape {list(seen.shape)}: got {list(src.shape)}"
        refuse("as_strided_scatter", wrong)
    offset = (self.offset if storage_offset is None else storage_offset) - self.offset
    r: Tensor = as_strided_scatter(self, src.to(self.spec.dtype), ints(size), ints(stride), offset)
    return r


@kernel(
    public=False,
    vjp={
        "g": lambda g0, shape, strides, size, stride, offset: _gather_strided(
            g0, shape, strides, size, stride, offset
        )
    },
    default=lambda g, shape, strides, size, stride, offset: _as_strided_backward(
        g, shape, strides, size, stride, offset
    ),
)
def as_strided_backward(
    g: Spec,
    shape: Sequence[int],
    strides: Sequence[int],
    size: Sequence[int],
    stride: Sequence[int],
    offset: int,
) -> Any:
    """The gradient of `as_strided`: elements of ``g`` added up at the places that they were read from."""
    return Call(g.like(shape=shape))


def _span(
    shape: Sequence[int], strides: Sequence[int], size: Sequence[int], stride: Sequence[int], offset: int
) -> tuple[int, int]:
    lows, highs = [], []
    for sizes, steps, at in ((shape, strides, 0), (size, stride, offset)):
        if 0 not in sizes:
            lows.append(at + sum((n - 1) * k for n, k in zip(sizes, steps, strict=True) if k < 0))
            highs.append(at + sum((n - 1) * k for n, k in zip(sizes, steps, strict=True) if k > 0))
    return min(lows, default=0), max(highs, default=-1)


def _as_strided_backward(g: Any, shape: Any, strides: Any, size: Any, stride: Any, offset: int) -> Any:
    low, high = _span(shape, strides, size, stride, offset)
    flat = g.new_zeros((high - low + 1,))
    places = as_strided_base(_arange(high - low + 1, g), tuple(size), tuple(stride), offset - low)
    flat = flat.index_add(0, places.reshape(-1), g.reshape(-1))
    out = as_strided_base(flat, tuple(shape), tuple(strides), -low).contiguous()
    repeats = _repeats(shape, strides)
    return out / repeats if repeats != 1 else out


def _repeats(shape: Sequence[int], strides: Sequence[int]) -> int:
    n = 1
    for s, k in zip(shape, strides, strict=True):
        n *= s if k == 0 else 1
    return n


def _arange(n: int, like: Any) -> Any:
    from ..dtypes import int64
    from .creation import arange

    return arange(n, dtype=int64, device=like.device)


def _gather_strided(g: Any, shape: Any, strides: Any, size: Any, stride: Any, offset: int) -> Any:
    """What `as_strided` reads from a tensor that is laid out with the given geometry."""
    low, high = _span(shape, strides, size, stride, offset)
    flat = g.new_zeros((high - low + 1,))
    at = as_strided_base(_arange(high - low + 1, g), tuple(shape), tuple(strides), -low)
    flat = flat.scatter(0, at.reshape(-1), g.reshape(-1))
    read = as_strided_base(_arange(high - low + 1, g), tuple(size), tuple(stride), offset - low)
    return flat.index_select(0, read.reshape(-1)).reshape(size)


@kernel(
    public=False,
    vjp={
        "self": lambda g, self_spec, size, stride, offset: _zero_part(g, self_spec, size, stride, offset),
        "src": lambda g, self_spec, size, stride, offset: _gather_strided(
            g, self_spec.shape, self_spec.strides, size, stride, offset
        ),
    },
    default=lambda self, src, size, stride, offset: _as_strided_scatter(self, src, size, stride, offset),
)
def as_strided_scatter(self: Spec, src: Spec, size: Sequence[int], stride: Sequence[int], offset: int) -> Any:
    """``self`` with one of its views replaced by ``src``; ``offset`` counts from its first element."""
    return Call(self.like())


def _as_strided_scatter(self: Any, src: Any, size: Any, stride: Any, offset: int) -> Any:
    shape, strides = self.spec.shape, self.spec.strides
    low, high = _span(shape, strides, size, stride, offset)
    flat = self.new_zeros((high - low + 1,))
    as_strided_base(flat, tuple(shape), tuple(strides), -low).copy_(self)
    as_strided_base(flat, tuple(size), tuple(stride), offset - low).copy_(src)
    return as_strided_base(flat, tuple(shape), tuple(strides), -low).contiguous()


def _zero_part(g: Any, spec: Spec, size: Any, stride: Any, offset: int) -> Any:
    """A gradient with zeros where a view of what it belongs to was replaced."""
    low, high = _span(spec.shape, spec.strides, size, stride, offset)
    keep = g.new_zeros((high - low + 1,)) + 1
    as_strided_base(keep, tuple(size), tuple(stride), offset - low).zero_()
    return g * as_strided_base(keep, tuple(spec.shape), tuple(spec.strides), -low)
