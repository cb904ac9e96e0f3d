"""Basic indexing as one view (ints, slices, new axes); the views select, narrow, diagonal and unfold.

A part is described by a key: per dimension a place (int, the dimension goes), a new axis (None), or a range
``(start, length, step)``; dimensions that the key doesn't name stay whole.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .. import registry
from ..errors import refuse
from ..layout import Spec, wrap_dim
from ..op import Call, composite, kernel
from ..op import view as view_op
from ..plan import Plan, Table, new_tensor
from ..state import GRAD_OFF, WATCHED, modes
from ..tape import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._tensor import Tensor

__all__ = ["Key", "Range", "cut", "cut_plan", "key_along", "take_cut", "zeros_of"]

Range = tuple[int, int, int]
Key = tuple[int | Range | None, ...]


def zeros_of(spec: Spec) -> Tensor:
    """Zeros of a spec, outside the tape."""
    from .creation import fill_with

    return fill_with(new_tensor(spec), 0)


@view_op(
    name="slice", public=False, vjp={"self": lambda g, self_spec, key: _slice_gradient(g, self_spec, key)}
)
def slice_view(self: Spec, key: Key) -> Any:
    """The part of a tensor that a key describes."""
    shape: list[int] = []
    strides: list[int] = []
    offset, d = 0, 0
    for item in key:
        if item is None:
            shape.append(1)
            strides.append(self.shape[d] * self.strides[d] if d < self.ndim else 1)
            continue
        step = self.strides[d]
        if type(item) is tuple:
            start, n, by = item
            shape.append(n)
            strides.append(step * by)
            offset += step * start
        else:
            offset += step * item  # type: ignore[operator]
        d += 1
    return (*shape, *self.shape[d:]), (*strides, *self.strides[d:]), offset


def _slice_gradient(g: Any, spec: Spec, key: Key) -> Any:
    if g.spec.numel == spec.numel and all(type(i) is not tuple or i[2] > 0 for i in key):
        return g.reshape(spec.shape)
    return slice_backward(g, spec.shape, key)


def _put_part(op: Any, grad: Any, shape: Sequence[int], *place: Any) -> Any:
    """Zeros with a gradient written into one of their views."""
    out = zeros_of(grad.spec.like(shape=shape))
    registry.backend_of(out.spec.device).copy(op(out, *place), grad)
    return out


@kernel(
    public=False,
    vjp={"grad": lambda g, key: slice_view(g, key)},
    default=lambda grad, shape, key: _put_part(slice_view, grad, shape, key),
)
def slice_backward(grad: Spec, shape: Sequence[int], key: Key) -> Any:
    """The gradient of a slice: zeros but for the part that was taken."""
    return Call(grad.like(shape=shape))


# The short way to a slice

_cuts = Table()


def cut_plan(spec: Spec, key: Key) -> Plan:
    """The prepared view of a part of tensors of a spec."""
    return _cuts.get((spec, key)) or _cuts.keep((spec, key), slice_view.plan(spec, {"key": key}))  # type: ignore[attr-defined,no-any-return]


def take_cut(t: Tensor, plan: Plan) -> Tensor:
    """The view that a plan describes, recorded if need be."""
    if WATCHED:
        watched: Tensor = slice_view(t, plan.attrs["key"])
        return watched
    out: Tensor = plan.run(t)
    if t.rg and (not GRAD_OFF or modes.grad):
        record(plan, (t,), (), out)
    return out


def cut(t: Tensor, key: Key) -> Tensor:
    """The part of a tensor that a key describes."""
    return take_cut(t, cut_plan(t.spec, key))


def key_along(shape: Sequence[int], dim: int, item: int | Range) -> Key:
    """The key of a part along one dimension."""
    return (*[(0, n, 1) for n in shape[:dim]], item)


@lru_cache(1 << 14)
def _select_key(shape: tuple[int, ...], dim: int, index: int) -> Key:
    if not shape:
        wrong = "select() cannot be applied to a 0-dim tensor"
        refuse("select", wrong, do="Use .item() or a larger tensor.", error=IndexError)
    d = wrap_dim(dim, len(shape), "select")
    n = shape[d]
    at = index.__index__()
    if not -n <= at < n:
        wrong = f"index {at} out of range for tensor of size {list(shape)} at dimension {d}: needed: a "
        wrong += f"number in [{-n}, {n - 1}]"
        refuse("select", wrong, error=IndexError)
    return key_along(shape, d, at % n)


@composite()
def select(self: Tensor, dim: int, index: int) -> Tensor:
    """The part at one place of a dimension, which goes; a view.

    Raises:
        IndexError: no such dimension or place.
    """
    return cut(self, _select_key(self.spec.shape, dim, index if type(index) is int else index.__index__()))


@lru_cache(1 << 14)
def _narrow_key(shape: tuple[int, ...], dim: int, first: int, count: int) -> Key:
    if not shape:
        raise RuntimeError("[narrow] narrow() cannot be applied to a 0-dim tensor. Use reshape first.")
    d = wrap_dim(dim, len(shape), "narrow")
    n = shape[d]
    if count < 0:
        raise RuntimeError(f"[narrow] length must be non-negative: got {count}.")
    if not -n <= first <= n:
        wrong = f"start out of range (expected to be in range of [{-n}, {n}], but got {first}) at dimension "
        wrong += f"{d} of {list(shape)}"
        refuse("narrow", wrong, error=IndexError)
    first = first + n if first < 0 else first
    if first + count > n:
        wrong = f"start ({first}) + length ({count}) exceeds dimension size ({n}): got dimension {d} of "
        wrong += f"{list(shape)}"
        refuse("narrow", wrong)
    return key_along(shape, d, (first, count, 1))


@composite()
def narrow(self: Tensor, dim: int, start: int, length: int) -> Tensor:
    """``length`` places of a dimension from ``start`` on; a view.

    Raises:
        IndexError: no such dimension, or the start is outside.
        RuntimeError: the end is outside.

    >>> import flambeau as fb
    >>> fb.arange(5).narrow(0, 1, 3)
    tensor([1, 2, 3])
    """
    if hasattr(start, "spec") and (start.spec.ndim or start.spec.dtype.rank != 1):
        refuse("narrow", "start must be an 0-dim integral Tensor", start=start)
    first = start if type(start) is int else start.__index__()
    return cut(self, _narrow_key(self.spec.shape, dim, first, length.__index__()))


# Diagonals


@view_op(
    vjp={
        "self": lambda g, self_spec, offset, dim1, dim2: diagonal_backward(  # type: ignore[has-type]
            g, self_spec.shape, offset, dim1, dim2
        )
    }
)
def diagonal(self: Spec, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of two dimensions as the last dimension; a view.

    >>> import flambeau as fb
    >>> fb.arange(9).reshape(3, 3).diagonal(1)
    tensor([1, 5])
    """
    a, b = wrap_dim(dim1, self.ndim, "diagonal", "dim1"), wrap_dim(dim2, self.ndim, "diagonal", "dim2")
    if a == b:
        raise RuntimeError(f"[diagonal] diagonal dimensions cannot be identical: got {dim1}, {dim2}.")
    n = max(min(self.shape[a] + min(offset, 0), self.shape[b] - max(offset, 0)), 0)
    start = (offset * self.strides[b] if offset >= 0 else -offset * self.strides[a]) if n else 0
    rest = [d for d in range(self.ndim) if d not in (a, b)]
    return (
        [*(self.shape[d] for d in rest), n],
        [*(self.strides[d] for d in rest), self.strides[a] + self.strides[b]],
        start,
    )


@kernel(
    public=False,
    vjp={"grad": lambda g, offset, dim1, dim2: g.diagonal(offset, dim1, dim2)},
    default=lambda grad, shape, offset, dim1, dim2: _put_part(diagonal, grad, shape, offset, dim1, dim2),
)
def diagonal_backward(grad: Spec, shape: Sequence[int], offset: int, dim1: int, dim2: int) -> Any:
    """The gradient of a diagonal: zeros but for it."""
    return Call(grad.like(shape=shape))


# Windows


@view_op(
    function=False,
    vjp={
        "self": lambda g, self_spec, dimension, size, step: unfold_backward(  # type: ignore[has-type]
            g, self_spec.shape, dimension, size, step
        )
    },
)
def unfold(self: Spec, dimension: int, size: int, step: int) -> Any:
    """All windows of a size along a dimension, ``step`` apart; each window lies in a new last dimension; a view.

    >>> import flambeau as fb
    >>> fb.arange(5).unfold(0, 3, 1)
    tensor([[0, 1, 2],
            [1, 2, 3],
            [2, 3, 4]])
    """
    d = wrap_dim(dimension, self.ndim, "unfold", "dimension")
    have = self.shape[d] if self.ndim else 1
    if size < 0 or step <= 0:
        raise RuntimeError(f"[unfold] size must be >= 0 and step > 0: got size={size}, step={step}.")
    if size > have:
        raise RuntimeError(
            f"[unfold] maximum size for tensor at dimension {d} is {have} but size is {size}: got {list(self.shape)}."
        )
    if not self.ndim:
        return (size,), (1,), 0
    shape, strides = list(self.shape), list(self.strides)
    shape[d], strides[d] = (have - size) // step + 1, strides[d] * step
    return [*shape, size], [*strides, self.strides[d]], 0


def _unfold_back(grad: Any, shape: Sequence[int], dimension: int, size: int, step: int) -> Any:
    if not shape:
        return grad.sum() if size else zeros_of(grad.spec.like(shape=()))
    from .creation import arange

    d = wrap_dim(dimension, len(shape), "unfold")
    n = grad.shape[d]
    flat = grad.movedim(-1, d + 1).flatten(d, d + 1)
    if step >= size:  # windows don't overlap
        out = zeros_of(grad.spec.like(shape=shape))
        registry.backend_of(out.spec.device).copy(unfold(out, d, size, step), grad)
        return out
    at = arange(n, device=grad.device).reshape(-1, 1) * step + arange(size, device=grad.device)
    return zeros_of(grad.spec.like(shape=shape)).index_add(d, at.reshape(-1), flat)


@kernel(
    public=False,
    vjp={"grad": lambda g, dimension, size, step: g.unfold(dimension, size, step)},
    default=_unfold_back,
)
def unfold_backward(grad: Spec, shape: Sequence[int], dimension: int, size: int, step: int) -> Any:
    """The gradient of `unfold`: windows added up where they lay."""
    return Call(grad.like(shape=shape))
