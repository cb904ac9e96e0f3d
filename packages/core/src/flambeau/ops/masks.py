"""Choosing by condition: where, masked_fill, masked_select, masked_scatter, nonzero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import dtypes as dt
from .. import registry
from .._tensor import Tensor
from ..errors import refuse
from ..inplace import inplace
from ..layout import Spec, broadcast_shapes
from ..op import Call, composite, kernel
from ..program import Number
from ..registry import OPS
from . import elementwise  # noqa: F401  (its records are read below)
from .creation import arange, check_number
from .gathering import gather_at, scatter_at, scatter_put
from .joining import stack
from .slicing import zeros_of

__all__ = ["count_true", "flat_nonzero"]

_where_values, _masked_fill_values = OPS["where_values"], OPS["masked_fill_values"]

# Where


@composite(method=False)
def where(
    condition: Tensor, self: Tensor | Number | None = None, other: Tensor | Number | None = None
) -> Any:
    """Elements of ``self`` where a condition holds, of ``other`` elsewhere; alone: where it holds, per dimension.

    >>> import flambeau as fb
    >>> fb.where(fb.tensor([True, False]), 1, fb.tensor([5, 6]))
    tensor([1, 6])
    """
    if self is None and other is None:
        return nonzero(condition, as_tuple=True)
    if self is None or other is None:
        raise TypeError("[where] needs both 'self' and 'other', or neither: got only one.")
    d = condition.spec.dtype
    if d is not dt.bool_ and d is not dt.uint8:
        refuse("where", "where expected condition to be a boolean tensor", condition=condition)
    return _where_values(condition, self, other)


@composite(function=False, name="where_method", export="where")
def where_method(self: Tensor, condition: Tensor, other: Tensor | Number) -> Tensor:
    """This tensor's elements where a condition holds, of ``other`` elsewhere."""
    return where(condition, self, other)  # type: ignore[no-any-return]


# Filling


def _fill_value(op: str, self: Any, mask: Any, value: Any) -> Any:
    if mask.spec.dtype is not dt.bool_:
        refuse(op, f"{op} only supports boolean masks", do="Use mask.bool() or a comparison.", mask=mask)
    if not hasattr(value, "spec"):
        return check_number(op, value, self.spec.dtype)
    if value.spec.ndim:
        refuse(op, f"{op} only supports a 0-dimensional value tensor", do="Use where().", value=value)
    if value.spec.dtype.is_complex and not self.spec.dtype.is_complex:
        return check_number(op, value.item(), self.spec.dtype)
    return value if value.spec.dtype is self.spec.dtype else value.to(self.spec.dtype)


@composite()
def masked_fill(self: Tensor, mask: Tensor, value: Tensor | Number) -> Tensor:
    """A copy with one value where a mask holds; the mask broadcasts.

    Raises:
        RuntimeError: the mask is not boolean, or the value doesn't fit into the dtype.
    """
    return _masked_fill_values(self, mask, _fill_value("masked_fill", self, mask, value))  # type: ignore[no-any-return]


@composite(function=False, name="masked_fill_in_place", export="masked_fill_")
def masked_fill_(self: Tensor, mask: Tensor, value: Tensor | Number) -> Tensor:
    """In-place form of `masked_fill`."""
    number = _fill_value("masked_fill_", self, mask, value)
    return inplace(OPS["masked_fill_values"], self, (mask, number), {})


# Where something is


def count_true(mask: Any) -> int:
    """How many elements of a mask (or of numbers: how many are not 0) hold."""
    return int((mask if mask.spec.dtype is dt.bool_ else mask != 0).sum())


def _flat_default(self: Any, n: int) -> Any:
    flat = (self if self.spec.dtype is dt.bool_ else self != 0).reshape(-1)
    size = flat.spec.shape[0]
    # Each element that holds goes to the place that its running count gives, the others to one past the end.
    place = OPS["where_values"](flat, flat.cumsum(0) - 1, n)
    room = zeros_of(flat.spec.like(dt.int64, (n + 1,)))
    registry.backend_of(self.spec.device).scatter(room, 0, place, arange(size, device=self.device), None)
    return room.narrow(0, 0, n).contiguous() if size else room.narrow(0, 0, 0).clone()


def _unravel(flat: Any, shape: Sequence[int]) -> list[Any]:
    """Coordinates of flat places, one tensor per dimension."""
    out: list[Any] = []
    for n in reversed(shape):
        out.append(flat % n if n else flat)
        flat = flat // n if n else flat
    return out[::-1]


def _nonzero_default(self: Any, n: int) -> Any:
    columns = _unravel(_flat_default(self, n), self.spec.shape)
    return stack(columns, 1) if columns else zeros_of(self.spec.like(dt.int64, (n, 0)))


@kernel(name="nonzero", vjp={}, public=False, default=_nonzero_default)
def nonzero_rows(self: Spec, n: int) -> Any:
    """Coordinates of the ``n`` elements that are not 0, one per row, in order."""
    return Call(self.like(dt.int64, (n, self.ndim)), "native" if self.ndim else "default")


def flat_nonzero(mask: Any) -> Any:
    """Flat places of the elements that are not 0, in order."""
    flat = mask if mask.spec.ndim == 1 else mask.reshape(-1)
    return nonzero_rows(flat, count_true(flat)).reshape(-1)


@composite(name="nonzero_places", export="nonzero")
def nonzero(self: Tensor, *, as_tuple: bool = False) -> Any:
    """Coordinates of the elements that are not 0: one per row, or with ``as_tuple`` a tensor per dimension.

    >>> import flambeau as fb
    >>> fb.tensor([0, 3, 0, 4]).nonzero()
    tensor([[1],
            [3]])
    """
    if not as_tuple:
        return nonzero_rows(self, count_true(self))
    x = self if self.spec.ndim else self.reshape(1)
    rows = nonzero_rows(x, count_true(x))
    return tuple(rows.select(1, d) for d in range(x.spec.ndim))


@composite()
def argwhere(self: Tensor) -> Tensor:
    """Coordinates of the elements that are not 0, one per row."""
    return nonzero_rows(self, count_true(self))  # type: ignore[no-any-return]


@composite()
def nonzero_static(self: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """Coordinates of the elements that are not 0: ``size`` rows, cut or filled up."""
    rows = nonzero(self)
    have = rows.spec.shape[0]
    if have >= size:
        return rows.narrow(0, 0, size).contiguous()  # type: ignore[no-any-return]
    out = rows.new_full((size, self.spec.ndim), fill_value)
    out.narrow(0, 0, have).copy_(rows)
    return out  # type: ignore[no-any-return]


# By mask


def _mask(op: str, mask: Any) -> Any:
    if mask.spec.dtype is not dt.bool_ and mask.spec.dtype is not dt.uint8:
        refuse(op, f"{op}: expected BoolTensor for mask", mask=mask)
    return mask if mask.spec.dtype is dt.bool_ else mask != 0


@kernel(
    name="masked_select",
    public=False,
    vjp={"self": lambda g, self_spec, mask: _unselect(g, self_spec, mask)},
    default=lambda self, mask, n: gather_at(self.reshape(-1), 0, _flat_default(mask, n)),
)
def masked_take(self: Spec, mask: Spec, n: int) -> Any:
    """The ``n`` elements where a mask of the same shape holds, in order."""
    return Call(self.like(shape=(n,)), "native" if self.ndim else "default")


def _unselect(g: Any, spec: Any, mask: Any) -> Any:
    flat = scatter_put(g.new_zeros((spec.numel,)), 0, flat_nonzero(mask), g)
    return flat.reshape(spec.shape)


@composite(name="masked_select_any", export="masked_select")
def masked_select(self: Tensor, mask: Tensor) -> Tensor:
    """The elements where a mask holds, in one dimension; both broadcast."""
    chosen = _mask("masked_select", mask)
    shape = broadcast_shapes(self.spec.shape, chosen.spec.shape, op="masked_select")
    x = self if self.spec.shape == shape else self.expand(shape)
    chosen = chosen if chosen.spec.shape == shape else chosen.expand(shape)
    return masked_take(x, chosen, count_true(chosen))  # type: ignore[no-any-return]


@composite(batch="loop")
def masked_scatter(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy with the first elements of ``source`` put, in order, where a mask holds."""
    if mask.spec.dtype is not dt.bool_:
        refuse("masked_scatter", "masked_scatter_ only supports boolean masks", mask=mask)
    chosen = mask
    if source.spec.dtype is not self.spec.dtype:
        refuse("masked_scatter", "expected self and source to have same dtypes", self=self, source=source)
    shape = broadcast_shapes(self.spec.shape, chosen.spec.shape, op="masked_scatter")
    places = flat_nonzero(chosen.expand(shape))
    n = places.spec.shape[0]
    if source.spec.numel < n:
        raise RuntimeError(
            f"[masked_scatter] Number of elements of source < number of ones in mask: got {source.spec.numel} and {n}."
        )
    flat = self.expand(shape).reshape(-1)
    return scatter_at(flat, 0, places, source.reshape(-1), None).reshape(shape)  # type: ignore[no-any-return]


@composite(function=False, name="masked_scatter_in_place", export="masked_scatter_")
def masked_scatter_(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """In-place form of `masked_scatter`."""
    return inplace(masked_scatter, self, (mask, source), {})
