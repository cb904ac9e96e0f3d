"""Reading and writing along a dimension by index: gather, scatter and their reductions.

`gather` and `scatter` are entries of every backend; the others here are written in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import dtypes as dt
from .. import registry
from .._tensor import Tensor
from ..errors import refuse
from ..inplace import assign, check_writable, inplace, old_value, touched
from ..layout import Spec, spec_of, wrap_dim
from ..op import Call, composite, kernel, resolved
from ..program import Number
from ..registry import OPS
from ..state import GRAD_OFF, modes
from .creation import check_number, full
from .slicing import cut, slice_backward, zeros_of

__all__ = ["as_index", "put_along", "recording"]


def as_index(op: str, index: Any, name: str = "index") -> Any:
    """An index tensor as int64.

    Raises:
        RuntimeError: it holds no int32 or int64.
    """
    d = index.spec.dtype
    if d is dt.int64:
        return index
    if d is not dt.int32 and index.spec.numel:
        refuse(op, f"{op}(): Expected dtype int32/int64 for index", **{name: index})
    return index.to(dt.int64)


def recording(*tensors: Any) -> bool:
    """Whether a write that reads these tensors goes on the tape."""
    return (not GRAD_OFF or modes.grad) and any(
        t.rg or (t.base is not None and t.base.rg) for t in tensors if t is not None
    )


def _line(s: Spec) -> Spec:
    """A 0-d spec as one of a single element."""
    return s if s.ndim else spec_of(s.dtype, (1,), s.device)


def _check_index(op: str, s: Spec, dim: int, index: Spec, against: Spec, apart: bool) -> None:
    """Whether an index has the dimensions of a tensor and fits into it (but for one dimension)."""
    if max(index.ndim, 1) != max(against.ndim, 1):
        if index.numel == 0 and op == "gather":
            return
        wrong = f"Index tensor must have the same number of dimensions as {'input' if apart else 'src'} "
        wrong += f"tensor: got index {list(index.shape)} for {list(against.shape)}"
        refuse(op, wrong)
    for d, (n, m) in enumerate(zip(index.shape, against.shape, strict=False)):
        if n > m and not (apart and d == dim) and index.numel:
            raise RuntimeError(
                f"[{op}] Size does not match at dimension {d} expected index {list(index.shape)} to be no larger than "
                f"{'self' if apart else 'src'} {list(against.shape)}{f' apart from dimension {dim}' if apart else ''}."
            )


# Reading


@kernel(
    name="gather",
    public=False,
    vjp={"self": lambda g, self_spec, dim, index: gather_backward(g, self_spec.shape, dim, index)},  # type: ignore[has-type]
)
def gather_at(self: Spec, dim: int, index: Spec) -> Any:
    """What an index says along a dimension."""
    i: Any = index
    d = wrap_dim(dim, self.ndim, "gather")
    _check_index("gather", self, d, i, self, True)
    out = self.like(shape=i.shape)
    if self.ndim and i.ndim:
        return Call(out, "gather", {"dim": d})
    flat = spec_of(i.dtype, (1,), i.device) if not i.ndim else i
    return Call(out, "gather", {"dim": d}, outs_as=(_line(out),), ins_as=(_line(self), flat))


def _gather_back(grad: Any, shape: Any, dim: int, index: Any) -> Any:
    out = zeros_of(grad.spec.like(shape=shape))
    d = wrap_dim(dim, out.spec.ndim, "gather")
    if not (out.spec.ndim and grad.spec.ndim):
        return scatter_sum(out, d, index, grad)
    registry.backend_of(out.spec.device).scatter(out, d, index, grad, "sum")
    return out


@kernel(public=False, vjp={"grad": lambda g, dim, index: gather_at(g, dim, index)}, default=_gather_back)
def gather_backward(grad: Spec, shape: Sequence[int], dim: int, index: Spec) -> Any:
    """The gradient of `gather`: elements added up where they were read."""
    return Call(grad.like(shape=shape))


@composite(name="gather_along", export="gather")
def gather(self: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """Elements along a dimension where an index says: ``out[i][j] = self[index[i][j]][j]`` for dim 0.

    Raises:
        RuntimeError: the index has other dimensions, is larger than the tensor, or holds no integers.
        IndexError: an index is out of bounds.

    >>> import flambeau as fb
    >>> fb.tensor([[1, 2], [3, 4]]).gather(1, fb.tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    return gather_at(self, dim, as_index("gather", index))  # type: ignore[no-any-return]


# Writing

_REDUCTIONS = {
    None: None,
    "sum": "sum",
    "add": "sum",
    "prod": "prod",
    "multiply": "prod",
    "amax": "amax",
    "amin": "amin",
}


def _ties(g: Any, self: Any, src: Any, out: Any, dim: int, index: Any) -> Any:
    """The gradient of an extreme, shared evenly by all that are it; per target and per source element."""
    at_self = (self == out).to(g.dtype)
    at_src = (src_part(src, index) == gather_at(out, dim, index)).to(g.dtype)
    share = g / at_self.scatter_add(dim, index, at_src)
    return at_self * share, at_src * gather_at(share, dim, index)


def _products(g: Any, self: Any, src: Any, out: Any, dim: int, index: Any) -> Any:
    """The gradient of a product: all other factors; per target and per source element.

    Written so that it has the right derivatives also where factors are 0, unless two of a source are.
    """
    part = src_part(src, index)
    no_self, no_src = self == 0, part == 0
    mine, its = self.masked_fill(no_self, 1), part.masked_fill(no_src, 1)
    at_self = g * scatter_at(mine, dim, index, part, "prod") / mine
    zeros = no_self.long().fill_(0).scatter_add(dim, index, no_src.long())
    lone = gather_at(g * scatter_at(self, dim, index, its, "prod"), dim, index) * (
        gather_at(zeros, dim, index) == 1
    )
    return at_self, OPS["where_values"](no_src, lone, gather_at(g * out, dim, index) / its)


def src_part(src: Any, index: Any) -> Any:
    """The part of a source that an index covers."""
    if src.shape == index.shape or not src.ndim:
        return src
    return cut(src, tuple((0, n, 1) for n in index.shape))


def _pad_to(part: Any, spec: Spec) -> Any:
    """A gradient of the part of a source that was read, with zeros for the rest."""
    if part.shape == spec.shape:
        return part
    return slice_backward(part, spec.shape, tuple((0, n, 1) for n in part.shape))


def _scatter_self(g: Any, self: Any, src: Any, out: Any, dim: int, index: Any, reduce: str) -> Any:
    shares = _products if reduce == "prod" else _ties
    return shares(g, self, src, out, dim, index)[0]


def _scatter_src(g: Any, self: Any, src: Any, out: Any, dim: int, index: Any, reduce: str) -> Any:
    shares = _products if reduce == "prod" else _ties
    return _pad_to(shares(g, self, src, out, dim, index)[1], src.spec)


def _scatter_call(self: Any, dim: int, index: Any, src: Any, reduce: str | None, op: str) -> Call:
    d = wrap_dim(dim, self.ndim, op)
    if src.dtype is not self.dtype:
        refuse(op, f"{op}(): Expected self.dtype to be equal to src.dtype", self=self, src=src)
    _check_index(op, self, d, index, self, True)
    if src.ndim or not index.ndim:
        _check_index(op, self, d, index, src, False)
    ins = None
    if not (self.ndim and index.ndim and src.ndim):
        ins = tuple(_line(s) for s in (self, index, src))
    attrs = {"dim": d, "reduce": reduce}
    return Call(self.like(), "scatter", attrs, outs_as=(_line(self.like()),) if ins else None, ins_as=ins)


@kernel(
    name="scatter",
    public=False,
    vjp={
        "self": lambda g, dim, index: scatter_at(g, dim, index, g.new_zeros(index.shape), None),
        "src": lambda g, src_spec, dim, index: _pad_to(gather_at(g, dim, index), src_spec),
    },
)
def scatter_put(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Any:
    """A copy with elements replaced along a dimension."""
    return _scatter_call(self, dim, index, src, None, "scatter")


@kernel(
    name="scatter_sum",
    public=False,
    vjp={
        "self": lambda g: g,
        "src": lambda g, src_spec, dim, index: _pad_to(gather_at(g, dim, index), src_spec),
    },
)
def scatter_sum(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Any:
    """A copy with elements added along a dimension."""
    return _scatter_call(self, dim, index, src, "sum", "scatter_add")


@kernel(
    name="scatter_fold",
    public=False,
    vjp={
        "self": lambda g, self, dim, index, src, reduce, out: _scatter_self(
            g, self, src, out, dim, index, reduce
        ),
        "src": lambda g, self, dim, index, src, reduce, out: _scatter_src(
            g, self, src, out, dim, index, reduce
        ),
    },
)
def scatter_fold(self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str) -> Any:
    """A copy with elements multiplied in, or replaced by larger or smaller ones, along a dimension."""
    return _scatter_call(self, dim, index, src, reduce, "scatter_reduce")


def scatter_at(self: Any, dim: int, index: Any, src: Any, reduce: str | None) -> Any:
    """Scatter by whichever record has the gradient of the reduction."""
    if reduce is None:
        return scatter_put(self, dim, index, src)
    return (
        scatter_sum(self, dim, index, src) if reduce == "sum" else scatter_fold(self, dim, index, src, reduce)
    )


def _source(op: str, self: Any, index: Any, src: Any) -> Any:
    """A source that may be a number, as a tensor."""
    if hasattr(src, "spec"):
        return src
    d = self.spec.dtype
    return full((), check_number(op, src, d), dtype=d, device=self.device).expand(index.spec.shape)


def _reduction(op: str, reduce: str | None) -> str | None:
    if reduce not in _REDUCTIONS:
        raise RuntimeError(f"[{op}] reduce argument must be either add or multiply: got {reduce!r}.")
    return _REDUCTIONS[reduce]


@composite(name="scatter_along", export="scatter")
def scatter(
    self: Tensor, dim: int, index: Tensor, src: Tensor | Number, *, reduce: str | None = None
) -> Tensor:
    """A copy with ``src`` (a tensor or number) written where an index says: ``out[index[i][j]][j] = src[i][j]``.

    Args:
        self: what is copied first.
        dim: along which dimension indices count.
        index: places, int64; where one appears twice the later element wins.
        src: what is written; at least of the index's shape.
        reduce: None, ``add`` or ``multiply``.
    """
    i = as_index("scatter", index)
    return scatter_at(self, dim, i, _source("scatter", self, i, src), _reduction("scatter", reduce))  # type: ignore[no-any-return]


@composite()
def scatter_add(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy with ``src`` added where an index says along a dimension."""
    return scatter_sum(self, dim, as_index("scatter_add", index), src)  # type: ignore[no-any-return]


def _neutral(reduce: str, d: dt.DType) -> Any:
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if d.is_floating_point:
        return float("-inf" if reduce == "amax" else "inf")
    if d is dt.bool_:
        return reduce == "amin"
    return dt.iinfo(d).min if reduce == "amax" else dt.iinfo(d).max


@composite()
def scatter_reduce(
    self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Elements of ``src`` folded into a copy where an index says.

    Args:
        self: what is copied first.
        dim: along which dimension indices count.
        index: places, int64.
        src: what is folded in.
        reduce: ``sum``, ``prod``, ``mean``, ``amax`` or ``amin``.
        include_self: whether the elements that are written to take part.
    """
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        wrong = f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        refuse("scatter_reduce", wrong)
    i = as_index("scatter_reduce", index)
    start = self
    if not include_self:
        start = scatter_at(
            self, dim, i, _source("scatter_reduce", self, i, _neutral(reduce, self.spec.dtype)), None
        )
    if reduce != "mean":
        return scatter_at(start, dim, i, src, reduce)  # type: ignore[no-any-return]
    wide = self.spec.dtype if self.spec.dtype.rank > 1 else dt.int64
    count = full(self.spec.shape, int(include_self), dtype=wide, device=self.device)
    count = scatter_sum(count, dim, i, _source("scatter_reduce", count, i, 1))
    total = scatter_sum(start, dim, i, src)
    count = count.masked_fill(count == 0, 1)
    return total / count if self.spec.dtype.rank > 1 else (total // count).to(self.spec.dtype)  # type: ignore[no-any-return]


# In place: written directly where nothing is recorded


def put_along(self: Any, dim: int, index: Any, src: Any, reduce: str | None, op: str) -> Any:
    """``scatter_at`` over the tensor itself."""
    src = resolved(src)
    aside = self.mem in (src.mem, index.mem) or self.spec.flipped or recording(self, src)
    if aside or not (self.ndim and src.ndim):
        # The gradient of a product or extreme reads what was there before.
        start = old_value(self) if reduce not in (None, "sum") else self
        return assign(self, scatter_at(start, dim, index, src, reduce), op)
    check_writable(self, op)
    call = _scatter_call(self.spec, dim, index.spec, src.spec, reduce, op.rstrip("_"))
    registry.backend_of(self.spec.device).scatter(self, (call.attrs or {})["dim"], index, src, reduce)
    touched(op, self)
    return self


@composite(function=False, name="scatter_in_place", export="scatter_")
def scatter_(
    self: Tensor, dim: int, index: Tensor, src: Tensor | Number, *, reduce: str | None = None
) -> Tensor:
    """In-place form of `scatter`."""
    i = as_index("scatter_", index)
    return put_along(  # type: ignore[no-any-return]
        self, dim, i, _source("scatter_", self, i, src), _reduction("scatter_", reduce), "scatter_"
    )


@composite(function=False, name="scatter_add_in_place", export="scatter_add_")
def scatter_add_(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """In-place form of `scatter_add`."""
    return put_along(self, dim, as_index("scatter_add_", index), src, "sum", "scatter_add_")  # type: ignore[no-any-return]


@composite(function=False, name="scatter_reduce_in_place", export="scatter_reduce_")
def scatter_reduce_(
    self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place form of `scatter_reduce`."""
    return inplace(scatter_reduce, self, (dim, index, src, reduce), {"include_self": include_self})
