"""Whole rows by index (index_select, index_add, index_copy, index_fill), and single elements by place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import dtypes as dt
from .. import registry
from .._tensor import Tensor
from ..errors import refuse
from ..inplace import inplace
from ..layout import Spec, broadcast_shapes, wrap_dim
from ..op import Call, composite, kernel
from ..program import Number
from ..registry import OPS
from .creation import check_number, full
from .gathering import as_index, gather_at, put_along, scatter_at, scatter_sum
from .slicing import zeros_of


def _vector(op: str, index: Spec) -> None:
    if index.ndim > 1:
        refuse(
            op,
            f"{op}(): Index is supposed to be a vector",
            "at most 1 dimension",
            index=index,
            error=IndexError,
        )
    if index.dtype not in (dt.int64, dt.int32):
        refuse(op, f"{op}(): Expected dtype int32 or int64 for index", index=index)


def _along(index: Any, dim: int, shape: Sequence[int]) -> Any:
    """A vector of places repeated over the other dimensions."""
    flat = index.long().reshape([-1 if d == dim else 1 for d in range(len(shape))] or (1,))
    return flat.expand(shape) if shape else flat.reshape(())


def _rows_of(s: Spec, dim: int, n: int) -> tuple[int, ...]:
    return tuple(n if d == dim else m for d, m in enumerate(s.shape))


def _index_select_default(self: Any, dim: int, index: Any) -> Any:
    d = wrap_dim(dim, self.spec.ndim, "index_select")
    return gather_at(self, d, _along(index, d, _rows_of(self.spec, d, index.spec.numel)))


@kernel(
    vjp={"self": lambda g, self_spec, dim, index: index_select_backward(g, self_spec.shape, dim, index)},  # type: ignore[has-type]
    default=_index_select_default,
)
def index_select(self: Spec, dim: int, index: Spec) -> Any:
    """The rows (of a dimension) that a vector of places names.

    Raises:
        IndexError: a place is out of range; negative places are.

    >>> import flambeau as fb
    >>> fb.tensor([5, 6, 7]).index_select(0, fb.tensor([2, 0]))
    tensor([7, 5])
    """
    i: Any = index
    _vector("index_select", i)
    d = wrap_dim(dim, self.ndim, "index_select")
    if not self.ndim:
        if i.numel != 1:
            refuse("index_select", "index of a 0-d tensor must have 1 element", index=i, error=IndexError)
        return Call(self.like(), "default", {"dim": 0})
    out = self.like(shape=_rows_of(self, d, i.numel))
    return Call(out, "native" if i.ndim and i.dtype is dt.int64 else "default", {"dim": d})


def _rows_back(grad: Any, shape: Sequence[int], dim: int, index: Any) -> Any:
    out = zeros_of(grad.spec.like(shape=shape))
    places = _along(index, dim, grad.spec.shape)
    if not grad.spec.ndim:
        return scatter_sum(out, 0, places, grad)
    registry.backend_of(out.spec.device).scatter(out, dim, places, grad, "sum")
    return out


@kernel(public=False, vjp={"grad": lambda g, dim, index: g.index_select(dim, index)}, default=_rows_back)
def index_select_backward(grad: Spec, shape: Sequence[int], dim: int, index: Spec) -> Any:
    """The gradient of `index_select`: rows added up where they were read."""
    return Call(grad.like(shape=shape))


def _rows_fit(op: str, s: Spec, dim: int, index: Spec, source: Spec) -> int:
    d = wrap_dim(dim, s.ndim, op)
    _vector(op, index)
    if source.dtype is not s.dtype:
        refuse(op, f"{op}(): self and source must have the same scalar type", self=s, source=source)
    if source.shape != _rows_of(s, d, index.numel) and source.numel + s.ndim != 1:
        refuse(
            op,
            f"{op}(): source must have self's shape with as many rows in dimension {d} as there are indices",
            f"{list(_rows_of(s, d, index.numel))}",
            self=s,
            index=index,
            source=source,
            error=IndexError if op == "index_copy" else RuntimeError,
        )
    return d


def _index_add_default(self: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    d = wrap_dim(dim, self.spec.ndim, "index_add")
    what = source if alpha == 1 else source * alpha
    return scatter_sum(self, d, _along(index, d, source.spec.shape), what)


@kernel(
    vjp={"self": lambda g: g, "source": lambda g, dim, index, alpha: g.index_select(dim, index) * alpha},
    default=_index_add_default,
)
def index_add(self: Spec, dim: int, index: Spec, source: Spec, *, alpha: Any = 1) -> Any:
    """A copy with the rows of ``source`` (times ``alpha``) added to the rows that an index names."""
    return Call(self.like(), attrs={"dim": _rows_fit("index_add", self, dim, index, source)})


@kernel(
    vjp={
        "self": lambda g, dim, index: g.index_fill(dim, index, 0),
        "source": lambda g, dim, index: g.index_select(dim, index),
    },
    default=lambda self, dim, index, source: scatter_at(
        self, dim, _along(index, wrap_dim(dim, self.spec.ndim, "index_copy"), source.spec.shape), source, None
    ),
)
def index_copy(self: Spec, dim: int, index: Spec, source: Spec) -> Any:
    """A copy with the rows that an index names replaced by those of ``source``."""
    return Call(self.like(), attrs={"dim": _rows_fit("index_copy", self, dim, index, source)})


def _filling(op: str, self: Any, dim: int, index: Any, value: Any) -> tuple[int, Any, Any]:
    d = wrap_dim(dim, self.spec.ndim, op)
    _vector(op, index.spec)
    n = self.spec.shape[d] if self.spec.ndim else 1
    i = index.long()
    i = i + (i < 0) * n  # negative places count from the end, unlike index_select's
    if hasattr(value, "spec"):
        if value.spec.ndim:
            refuse(op, "index_fill_ only supports a 0-dimensional value tensor", self=self, value=value)
        value = value.to(self.spec.dtype)
    else:
        value = full((), check_number(op, value, self.spec.dtype), dtype=self.spec.dtype, device=self.device)
    rows = _rows_of(self.spec, d, i.numel())
    return d, _along(i, d, rows), value.expand(rows)


@composite()
def index_fill(self: Tensor, dim: int, index: Tensor, value: Tensor | Number) -> Tensor:
    """A copy with one number in the rows that an index names."""
    d, places, rows = _filling("index_fill", self, dim, index, value)
    if rows.rg:  # a place named twice counts once in the value's gradient
        mask = scatter_at(zeros_of(self.spec.like(dt.bool_)), d, places, full(places.shape, True), None)
        return OPS["where_values"](mask, value, self)  # type: ignore[no-any-return]
    return scatter_at(self, d, places, rows, None)  # type: ignore[no-any-return]


@composite()
def index_reduce(
    self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Rows of ``source`` folded into the rows that an index names: ``prod``, ``mean``, ``amax`` or ``amin``."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"[index_reduce] reduce argument must be either prod, mean, amax or amin, got {reduce}."
        )
    d = _rows_fit("index_reduce", self.spec, dim, index.spec, source.spec)
    places = _along(index, d, source.spec.shape)
    return self.scatter_reduce(d, places, source, reduce, include_self=include_self)


# In place


def put_rows(self: Any, dim: int, index: Any, source: Any, reduce: str | None, op: str) -> Any:
    """Write rows into the tensor itself, where nothing is recorded."""
    d = wrap_dim(dim, self.spec.ndim, op)
    return put_along(self, d, _along(index, d, source.spec.shape), source, reduce, op)


@composite(function=False, name="index_add_in_place", export="index_add_")
def index_add_(self: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """In-place form of `index_add`."""
    d = _rows_fit("index_add", self.spec, dim, index.spec, source.spec)
    return put_rows(self, d, index, source if alpha == 1 else source * alpha, "sum", "index_add_")  # type: ignore[no-any-return]


@composite(function=False, name="index_copy_in_place", export="index_copy_")
def index_copy_(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """In-place form of `index_copy`."""
    d = _rows_fit("index_copy", self.spec, dim, index.spec, source.spec)
    return put_rows(self, d, index, source, None, "index_copy_")  # type: ignore[no-any-return]


@composite(function=False, name="index_fill_in_place", export="index_fill_")
def index_fill_(self: Tensor, dim: int, index: Tensor, value: Tensor | Number) -> Tensor:
    """In-place form of `index_fill`."""
    d, places, rows = _filling("index_fill_", self, dim, index, value)
    if rows.rg:
        return inplace(index_fill, self, (dim, index, value), {})
    return put_along(self, d, places, rows, None, "index_fill_")  # type: ignore[no-any-return]


@composite(function=False, name="index_reduce_in_place", export="index_reduce_")
def index_reduce_(
    self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place form of `index_reduce`."""
    return inplace(index_reduce, self, (dim, index, source, reduce), {"include_self": include_self})


# Single places


@composite()
def take_along_dim(self: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` with broadcasting; without a dimension along the flattened tensor."""
    index = as_index("take_along_dim", indices, "indices")
    # Negative places count from the end, unlike those of gather.
    if dim is None:
        return gather_at(self.reshape(-1), 0, index.reshape(-1))  # type: ignore[no-any-return]
    if self.spec.ndim != index.spec.ndim:
        refuse(
            "take_along_dim",
            "input and indices should have the same number of dimensions",
            self=self,
            indices=indices,
        )
    d = wrap_dim(dim, self.spec.ndim, "take_along_dim")
    mine, its = list(self.spec.shape), list(index.spec.shape)
    mine[d] = its[d] = 1
    both = broadcast_shapes(mine, its, op="take_along_dim")
    spread = (*both[:d], self.spec.shape[d], *both[d + 1 :])
    index = OPS["where_values"](index < 0, index + self.spec.shape[d], index)
    return gather_at(  # type: ignore[no-any-return]
        self.expand(spread), d, index.expand((*both[:d], index.spec.shape[d], *both[d + 1 :]))
    )


def flat_places(op: str, self: Any, index: Any) -> Any:
    """Places in the flattened tensor, negative ones counted from the end.

    Raises:
        IndexError: a place is out of range.
    """
    i = as_index(op, index)
    n = self.spec.numel
    if i.spec.numel and not n:
        raise IndexError(f"[{op}] tried to access an element of an empty tensor: got {list(self.shape)}.")
    return i + (i < 0) * n


@composite()
def take(self: Tensor, index: Tensor) -> Tensor:
    """Elements of the flattened tensor, in the index's shape."""
    places = flat_places("take", self, index)
    return gather_at(self.reshape(-1), 0, places.reshape(-1)).reshape(index.spec.shape)  # type: ignore[no-any-return]


@composite()
def put(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with elements of the flattened tensor replaced, or added to."""
    places = flat_places("put", self, index)
    if source.spec.numel != index.spec.numel:
        refuse(
            "put",
            "put_(): index and source must have the same number of elements",
            index=index,
            source=source,
        )
    flat = self.reshape(-1)
    out = scatter_at(flat, 0, places.reshape(-1), source.reshape(-1), "sum" if accumulate else None)
    return out.reshape(self.spec.shape)  # type: ignore[no-any-return]


@composite(function=False, name="put_in_place", export="put_")
def put_(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """In-place form of `put`."""
    return inplace(put, self, (index, source, accumulate), {})
