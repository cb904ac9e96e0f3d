"""Running sums, products and extremes along a dimension; sorting and what follows from it."""

from __future__ import annotations

from typing import Any

from .. import dtypes as dt
from .._tensor import Tensor
from ..layout import Spec, wrap_dim
from ..op import Call, composite, kernel
from ..registry import OPS
from ._check import no_complex
from .results import named


def _reverse_cumsum(g: Any, dim: int) -> Any:
    return g.flip(dim).cumsum(dim).flip(dim) if g.ndim else g


def _scan(s: Spec, kind: str, dim: int, dtype: dt.DType | None) -> Call:
    d = wrap_dim(dim, s.ndim, kind)
    out = s.like(dtype or (dt.int64 if s.dtype.rank < 2 else s.dtype))
    if not s.ndim:
        return Call(out, "copy", {"dim": 0})
    return Call(out, "scan", {"kind": kind, "dim": d})


@kernel(inplace=True, vjp={"self": lambda g, dim: _reverse_cumsum(g, dim)})
def cumsum(self: Spec, dim: int, *, dtype: dt.DType | None = None) -> Any:
    """The running sum along a dimension."""
    return _scan(self, "cumsum", dim, dtype)


def _cumprod_gradient(g: Any, x: Any, out: Any, dim: int) -> Any:
    if not x.ndim:
        return g
    if not bool((x == 0).any()):
        return _reverse_cumsum(g * out.conj(), dim) / x.conj()
    # A factor is 0: the running product without each factor, by replacing that one with 1.
    n = x.shape[dim]
    moved = x.movedim(dim, -1)
    one = OPS["eye"](n, dtype=dt.bool_, device=x.device)
    others = moved.unsqueeze(-2).masked_fill(one, 1).cumprod(-1)
    after = OPS["ones"]((n, n), dtype=x.dtype, device=x.device).triu()
    return ((g.movedim(dim, -1).unsqueeze(-2) * others.conj() * after).sum(-1)).movedim(-1, dim)


@kernel(inplace=True, vjp={"self": lambda g, self, out, dim: _cumprod_gradient(g, self, out, dim)})
def cumprod(self: Spec, dim: int, *, dtype: dt.DType | None = None) -> Any:
    """The running product along a dimension."""
    return _scan(self, "cumprod", dim, dtype)


def _extreme_call(s: Spec, kind: str, dim: int) -> Call:
    no_complex(kind, s.dtype)
    d = wrap_dim(dim, s.ndim, kind)
    both = (s.like(), s.like(dt.int64))
    if not s.ndim:
        return Call(both, "default", {"dim": d})
    return Call(both, "scan2", {"kind": kind, "dim": d})


def _scatter_back(g: Any, index: Any, spec: Spec, dim: int) -> Any:
    if not spec.ndim:
        return g
    return g.new_zeros(spec.shape).scatter_add(dim, index, g)


def _single(self: Any, dim: int) -> Any:
    return self.clone(), OPS["zeros"]((), dtype=dt.int64, device=self.device)


_SCAN2 = {"self": lambda g, out1, self_spec, dim: _scatter_back(g, out1, self_spec, dim)}


@kernel(vjp=_SCAN2, nondiff=(1,), default=_single, public=False)
def cummax_pair(self: Spec, dim: int) -> Any:
    """Running maximum and its place."""
    return _extreme_call(self, "cummax", dim)


@kernel(vjp=_SCAN2, nondiff=(1,), default=_single, public=False)
def cummin_pair(self: Spec, dim: int) -> Any:
    """Running minimum and its place."""
    return _extreme_call(self, "cummin", dim)


@composite()
def cummax(self: Tensor, dim: int) -> Any:
    """The running maximum along a dimension and where it was found."""
    return named("cummax", "values indices", *cummax_pair(self, dim))


@composite()
def cummin(self: Tensor, dim: int) -> Any:
    """The running minimum along a dimension and where it was found."""
    return named("cummin", "values indices", *cummin_pair(self, dim))


# Sorting


@kernel(
    vjp={"self": lambda g, out1, self_spec, dim: _scatter_back(g, out1, self_spec, dim)},
    nondiff=(1,),
    default=lambda self, dim, descending, stable: _single(self, dim),
    public=False,
)
def sort_pair(self: Spec, dim: int, descending: bool, stable: bool) -> Any:
    """Sorted values and where they were."""
    no_complex("sort", self.dtype)
    d = wrap_dim(dim, self.ndim, "sort")
    both = (self.like(), self.like(dt.int64))
    return Call(both, "sort" if self.ndim else "default", {"dim": d})


@composite()
def sort(self: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Values in order along a dimension, and where they were; NaN counts as the largest; always stable.

    >>> import flambeau as fb
    >>> fb.tensor([3, 1, 2]).sort().indices
    tensor([1, 2, 0])
    """
    return named("sort", "values indices", *sort_pair(self, int(dim), bool(descending), bool(stable)))


@composite()
def argsort(self: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Where sorted values come from."""
    return sort_pair(self, int(dim), bool(descending), bool(stable))[1]  # type: ignore[no-any-return]


@composite()
def msort(self: Tensor) -> Tensor:
    """Sorted along the first dimension."""
    return sort_pair(self, 0, False, True)[0]  # type: ignore[no-any-return]


def _topk_default(self: Any, k: int, dim: int, largest: bool, sorted: bool) -> Any:
    if not self.ndim:
        return _single(self, dim)
    values, indices = sort_pair(self, dim, largest, True)
    return values.narrow(dim, 0, k).contiguous(), indices.narrow(dim, 0, k).contiguous()


@kernel(
    vjp={"self": lambda g, out1, self_spec, dim: _scatter_back(g, out1, self_spec, dim)},
    nondiff=(1,),
    default=_topk_default,
    public=False,
    name="topk_pair",
    native="topk",
)
def _topk_pair(self: Spec, k: int, dim: int, largest: bool, sorted: bool) -> Any:
    no_complex("topk", self.dtype)
    d = wrap_dim(dim, self.ndim, "topk")
    n = self.shape[d] if self.ndim else 1
    if not 0 <= k <= n:
        raise RuntimeError(
            f"[topk] selected index k out of range: got k={k} for size {n} of {list(self.shape)}, dim={dim}."
        )
    shape = [k if e == d else m for e, m in enumerate(self.shape)]
    return Call(
        (self.like(shape=shape), self.like(dt.int64, shape)), "native" if self.ndim else "default", {"dim": d}
    )


@composite()
def topk(self: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The k largest (or smallest) elements along a dimension, in order, and where they are."""
    return named("topk", "values indices", *_topk_pair(self, int(k), int(dim), bool(largest), bool(sorted)))
