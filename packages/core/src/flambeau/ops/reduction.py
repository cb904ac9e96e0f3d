"""Reductions: sums, products, extremes, means, variances, norms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes as dt
from .._alias import namespace
from .._tensor import Tensor
from ..errors import refuse
from ..layout import Spec, spec_of, wrap_dim, wrap_dims
from ..op import Call, composite, kernel
from ..op import view as view_op
from ..registry import OPS
from ._check import no_complex
from .results import named
from .views import ints

Dims = Any


def reduced(s: Spec, dims: Sequence[int], keepdim: bool, dtype: dt.DType) -> tuple[Spec, Spec]:
    """The result's spec, and the one without the reduced dimensions that the backend sees."""
    seen = spec_of(dtype, tuple(n for d, n in enumerate(s.shape) if d not in dims), s.device)
    if not keepdim:
        return seen, seen
    return spec_of(dtype, tuple(1 if d in dims else n for d, n in enumerate(s.shape)), s.device), seen


def dims_of(dim: Dims, ndim: int, op: str) -> tuple[int, ...]:
    """Dimensions to reduce, sorted; None and () mean all."""
    if ndim > 64:
        raise RuntimeError(f"[{op}] only tensors with up to 64 dims are supported: got {ndim}.")
    if dim is None or dim == ():
        return tuple(range(ndim))
    return tuple(sorted(wrap_dims(ints(dim), ndim, op)))


def count(s: Spec, dims: Sequence[int]) -> int:
    """How many elements go into one result."""
    n = 1
    for d in dims:
        n *= s.shape[d]
    return n


def spread(g: Any, spec: Spec, dims: Sequence[int]) -> Any:
    """A reduced gradient with its dimensions back, repeated over them."""
    return _spread(g, spec.shape, dims)


@view_op(
    public=False, name="spread", vjp={"self": lambda g, self_spec, dims: g.sum(dims).reshape(self_spec.shape)}
)
def _spread_view(self: Spec, shape: Sequence[int], dims: Sequence[int]) -> Any:
    left = iter(
        self.strides if self.ndim != len(shape) else [k for d, k in enumerate(self.strides) if d not in dims]
    )
    return shape, [0 if d in dims else next(left) for d in range(len(shape))], 0


_spread = _spread_view.short()


def _sum_dtype(d: dt.DType, dtype: dt.DType | None) -> dt.DType:
    return dtype or (dt.int64 if d.rank < 2 else d)


def _reduce(s: Spec, kind: str, dim: Dims, keepdim: bool, dtype: dt.DType, op: str) -> Call:
    dims = dims_of(dim, s.ndim, op)
    out, seen = reduced(s, dims, keepdim, dtype)
    return Call(out, "reduce", {"kind": kind, "dims": dims}, outs_as=(seen,))


@kernel(vjp={"self": lambda g, self_spec, dims: spread(g, self_spec, dims)})
def sum(self: Spec, dim: Dims = None, keepdim: bool = False, *, dtype: dt.DType | None = None) -> Any:
    """The sum over dimensions (all by default); integers add up as int64.

    Args:
        self: any shape.
        dim: one dimension or several.
        keepdim: keep reduced dimensions with size 1.
        dtype: the dtype to add up in.

    >>> import flambeau as fb
    >>> fb.ones(2, 3).sum(0)
    tensor([2., 2., 2.])
    """
    return _reduce(self, "sum", dim, keepdim, _sum_dtype(self.dtype, dtype), "sum")


@kernel(vjp={"self": lambda g, self, out, dims: _prod_gradient(g, self, out, dims)})
def prod(self: Spec, dim: Dims = None, keepdim: bool = False, *, dtype: dt.DType | None = None) -> Any:
    """The product over a dimension (all by default); integers multiply as int64."""
    return _reduce(self, "prod", dim, keepdim, _sum_dtype(self.dtype, dtype), "prod")


def _prod_gradient(g: Any, x: Any, out: Any, dims: Sequence[int]) -> Any:
    if not bool((x == 0).any()):
        return spread(g * out.conj(), x.spec, dims) / x.conj()
    # A factor is 0: the product of the others, for each one, by replacing it with 1.
    rest = [d for d in range(x.ndim) if d not in dims]
    moved = x.permute([*rest, *dims])
    flat = moved.reshape([x.shape[d] for d in rest] + [-1])
    n = flat.shape[-1]
    one = OPS["eye"](n, dtype=dt.bool_, device=x.device)
    others = flat.unsqueeze(-2).masked_fill(one, 1).prod(-1)
    grad = (g.reshape(flat.shape[:-1]).unsqueeze(-1) * others.conj()).reshape(moved.shape)
    back = [0] * x.ndim
    for k, d in enumerate([*rest, *dims]):
        back[d] = k
    return grad.permute(back)


def _mean_default(
    self: Any, dim: Dims = None, keepdim: bool = False, *, dtype: dt.DType | None = None
) -> Any:
    dims = dims_of(dim, self.ndim, "mean")
    out = self.spec.dtype if dtype is None else dtype
    wide = dt.float32 if out in (dt.float16, dt.bfloat16) else out
    n = count(self.spec, dims)
    total = self.sum(dims, keepdim, dtype=wide)
    return (total / n if n else total * math.nan).to(out)


@kernel(
    vjp={"self": lambda g, self_spec, dims: spread(g / max(count(self_spec, dims), 1), self_spec, dims)},
    default=_mean_default,
)
def mean(self: Spec, dim: Dims = None, keepdim: bool = False, *, dtype: dt.DType | None = None) -> Any:
    """The mean over dimensions (all by default).

    Raises:
        RuntimeError: the input holds integers or bools and no dtype is given.
    """
    out = dtype or self.dtype
    if out.rank < 2:
        refuse(
            "mean",
            "could not infer output dtype; input dtype must be either a floating point or complex dtype",
            do="Convert with .float(), or give dtype=.",
            self=self,
        )
    dims = dims_of(dim, self.ndim, "mean")
    result, seen = reduced(self, dims, keepdim, out)
    if dtype is not None and dtype is not self.dtype:
        return Call(result, "default", {"dims": dims})
    return Call(result, "native", {"dims": dims, "dim": dims, "keepdim": keepdim}, outs_as=(seen,))


# Extremes


def _not_empty(s: Spec, dims: Sequence[int], op: str, whole: bool = False) -> None:
    if any(s.shape[d] == 0 for d in dims):
        raise (IndexError if s.ndim and len(dims) == 1 and not whole else RuntimeError)(
            f"[{op}] Expected reduction dim to be specified for input.numel() == 0, and to have non-zero size: got "
            f"{list(s.shape)}, dim={list(dims)}. The largest of no elements is not defined."
        )


def _even(g: Any, self: Any, out: Any, dims: Sequence[int]) -> Any:
    """The gradient of an extreme, shared evenly by all elements that are it."""
    x = self
    at = x == spread(out, x.spec, dims)
    at = at | (x != x) if x.is_floating_point() else at
    shares = at.sum(dims, keepdim=True)
    return spread(g, x.spec, dims) * at / shares


def _extremes(kind: str, word: str) -> Any:
    """The records of the largest, or of the smallest; returns the last."""

    def value(self: Spec, dim: Dims = (), keepdim: bool = False) -> Any:
        no_complex("a" + kind, self.dtype)
        _not_empty(self, dims_of(dim, self.ndim, "a" + kind), "a" + kind, dim is None or dim == ())
        return _reduce(self, kind, dim, keepdim, self.dtype, "a" + kind)

    def place(self: Spec, dim: int | None = None, keepdim: bool = False) -> Any:
        return _place_of(self, "arg" + kind, dim, keepdim)

    def both(self: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None) -> Any:
        return _extreme(kind, self, dim, keepdim, other)

    value.__doc__ = f"The {word} element over dimensions (all by default); NaN if there is one."
    place.__doc__ = f"The index of the {word} element; of equal ones the first."
    both.__doc__ = f"""The {word} element; with ``dim`` also where it is; with another tensor that of each pair.

    >>> import flambeau as fb
    >>> fb.tensor([[1, 5], [7, 2]]).{kind}(1).indices
    tensor({[1, 0] if kind == "max" else [0, 1]})
    """
    kernel(name="a" + kind, vjp={"self": _even})(value)
    in_order = "arg" + kind
    kernel(name=in_order, vjp={}, default=lambda self, *rest: OPS[in_order](self.contiguous(), *rest))(place)
    return composite(name=kind)(both)


@composite()
def aminmax(self: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest and the largest element."""
    dims = () if dim is None else dim
    return named("aminmax", "min max", self.amin(dims, keepdim), self.amax(dims, keepdim))


def _place_of(s: Spec, kind: str, dim: int | None, keepdim: bool) -> Call:
    no_complex(kind, s.dtype)
    flat = spec_of(s.dtype, (s.numel,), s.device)
    if dim is None:
        _not_empty(flat, (0,), kind)
        shape = (1,) * s.ndim if keepdim else ()
        if not s.dense:
            return Call(spec_of(dt.int64, shape, s.device), "default")
        seen = spec_of(dt.int64, (), s.device)
        return Call(
            spec_of(dt.int64, shape, s.device),
            "reduce",
            {"kind": kind, "dims": (0,)},
            outs_as=(seen,),
            ins_as=(flat,),
        )
    d = wrap_dim(dim, s.ndim, kind)
    if not s.ndim:
        return Call(
            spec_of(dt.int64, (), s.device),
            "reduce",
            {"kind": kind, "dims": (0,)},
            None,
            (spec_of(s.dtype, (1,), s.device),),
        )
    _not_empty(s, (d,), kind)
    return _reduce(s, kind, d, keepdim, dt.int64, kind)


def _extreme(op: str, self: Any, dim: Any, keepdim: bool, other: Any) -> Any:
    if hasattr(dim, "spec") or other is not None:
        return OPS[op + "imum"](self, other if other is not None else dim)
    if dim is None:
        if not self.numel():
            refuse(
                op, "Expected reduction dim to be specified for input.numel() == 0", "an element", self=self
            )
        return OPS["a" + op](self)
    if not self.ndim:
        wrap_dim(dim, 0, op)
        return named(op, "values indices", self.clone(), OPS["arg" + op](self, 0))
    indices = OPS["arg" + op](self, dim, True)
    values = self.gather(dim, indices)
    if not keepdim:
        values, indices = values.squeeze(dim), indices.squeeze(dim)
    return named(op, "values indices", values, indices)


max_, min_ = _extremes("max", "largest"), _extremes("min", "smallest")


# Truth


def _truth(kind: str, doc: str) -> None:
    def fn(self: Spec, dim: Dims = None, keepdim: bool = False) -> Any:
        return _reduce(self, kind, dim, keepdim, dt.uint8 if self.dtype is dt.uint8 else dt.bool_, kind)

    fn.__doc__ = doc
    kernel(vjp={}, name=kind)(fn)


_truth("any", "Whether any element is non-zero.")
_truth("all", "Whether all elements are non-zero.")


@composite()
def count_nonzero(self: Tensor, dim: Dims = None) -> Tensor:
    """How many elements are not zero."""
    return (self != 0).sum(dim)


# Spread


def _var_default(self: Any, dim: Dims = None, *, correction: Any = 1, keepdim: bool = False) -> Any:
    dims = dims_of(dim, self.ndim, "var")
    n = count(self.spec, dims)
    wide = self.to(dt.float32) if self.spec.dtype in (dt.float16, dt.bfloat16) else self
    off = wide - wide.mean(dims, keepdim=True)
    square = (off * off.conj()).real if off.is_complex() else off * off
    total = square.sum(dims, keepdim)
    left = max(n - correction, 0)
    return (total / left if left else total * math.nan if n <= 1 or not n else total / 0.0).to(
        self.spec.dtype.to_real()
    )


def _var_gradient(g: Any, x: Any, dims: Sequence[int], correction: Any) -> Any:
    left = max(count(x.spec, dims) - correction, 0)
    factor = 2 / left if left else math.nan
    return spread(g * factor, x.spec, dims) * (x - x.mean(dims, keepdim=True))


@kernel(
    native="var",
    vjp={"self": lambda g, self, dims, correction: _var_gradient(g, self, dims, correction)},
    default=_var_default,
    public=False,
)
def variance(self: Spec, dim: Dims = None, *, correction: Any = 1, keepdim: bool = False) -> Any:
    """The variance with ``n - correction`` degrees of freedom."""
    if self.dtype.rank < 2:
        refuse("var", "var only supports floating point and complex dtypes", self=self)
    dims = dims_of(dim, self.ndim, "var")
    out, seen = reduced(self, dims, keepdim, self.dtype.to_real())
    entry = "default" if self.dtype.is_complex else "native"
    return Call(
        out,
        entry,
        {"dims": dims, "dim": dims, "correction": 1 if correction is None else correction},
        outs_as=(seen,),
    )


def _spread_of(name: str, doc: str, finish: Callable[..., Any]) -> None:
    """A record of the variance: ``finish(variance, tensor, dim, keepdim)``."""

    def fn(
        self: Tensor,
        dim: Dims = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: Any = None,
    ) -> Tensor:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        if correction is None:
            correction = 1 if unbiased is None else int(unbiased)
        v = variance(self, dim, correction=correction, keepdim=keepdim)
        return finish(v, self, dim, keepdim)  # type: ignore[no-any-return]

    fn.__doc__ = doc
    fn.__annotations__["return"] = "Any" if name.endswith("mean") else "Tensor"
    composite(name=name)(fn)


for _name, _doc, _finish in (
    ("var", "The variance over dimensions (all by default), with n - 1 in the denominator unless told otherwise.",
     lambda v, x, dim, keepdim: v),
    ("std", "The standard deviation over dimensions (all by default).", lambda v, x, dim, keepdim: v.sqrt()),
    ("var_mean", "Variance and mean.", lambda v, x, dim, keepdim: (v, x.mean(dim, keepdim))),
    ("std_mean", "Standard deviation and mean.", lambda v, x, dim, keepdim: (v.sqrt(), x.mean(dim, keepdim))),
):  # fmt: skip
    _spread_of(_name, _doc, _finish)


def _conj(x: Any) -> Any:
    return x.conj() if x.is_complex() else x


def _logsumexp_default(x: Any, dim: Dims, keepdim: bool) -> Any:
    from ..state import default_dtype

    if x.spec.dtype.rank < 2:
        x = x.to(default_dtype())
    dims = dims_of(dim, x.ndim, "logsumexp")
    if not x.numel():
        return x.exp().sum(dims, keepdim).log()
    top = (x.real if x.is_complex() else x).amax(dims, keepdim=True)
    top = OPS["where_values"](top.abs() == math.inf, 0, top)
    out = (x - top).exp().sum(dims, keepdim=True).log() + top
    return out if keepdim else out.reshape(reduced(x.spec, dims, False, x.spec.dtype)[0].shape)


@kernel(
    vjp={
        "self": lambda g, self, out, dims: (
            spread(g, self.spec, dims) * _conj((self - spread(out, self.spec, dims)).exp())
        )
    },
    default=_logsumexp_default,
)
def logsumexp(self: Spec, dim: Dims, keepdim: bool = False) -> Any:
    """The logarithm of the sum of exponentials, without overflow."""
    if self.dtype.rank < 2:
        return Call(
            self.like(
                dt.float32, reduced(self, dims_of(dim, self.ndim, "logsumexp"), keepdim, dt.float32)[0].shape
            ),
            "default",
        )
    dims = dims_of(dim, self.ndim, "logsumexp")
    out, seen = reduced(self, dims, keepdim, self.dtype)
    return Call(out, "native", {"dims": dims, "dim": dims}, outs_as=(seen,))


# Norms


def _norm(x: Any, p: Any, dims: Sequence[int], keepdim: bool) -> Any:
    if p == math.inf or p == -math.inf:
        return (x.abs().amax if p > 0 else x.abs().amin)(dims, keepdim)
    if p == 0:
        # Through x, so that the gradient is zeros and not missing.
        return OPS["where_values"](x != 0, x.abs().fill(1), 0).sum(dims, keepdim)
    if p == 1:
        return x.abs().sum(dims, keepdim)
    if p == 2:
        return norm2(x, dims, keepdim)
    wide = x.to(dt.float32) if x.dtype in (dt.float16, dt.bfloat16) else x  # powers overflow
    out = (wide.abs() ** p).sum(dims, keepdim) ** (1 / p)
    return out if wide is x else out.to(x.dtype)


def _norm2_gradient(g: Any, self: Any, out: Any, dims: Sequence[int]) -> Any:
    zero, where = out == 0, OPS["where_values"]
    scale = where(zero, 0, g / where(zero, 1, out))  # never through 0: derivatives of this are no NaN
    return self * spread(scale, self.spec, dims)


@kernel(
    vjp={"self": _norm2_gradient},
    default=lambda self, dim, keepdim: (
        ((self * self.conj()).real if self.is_complex() else self * self).sum(dim, keepdim).sqrt()
    ),
    public=False,
)
def norm2(self: Spec, dim: Dims = None, keepdim: bool = False) -> Any:
    """The Euclidean norm."""
    dims = dims_of(dim, self.ndim, "norm")
    out, seen = reduced(self, dims, keepdim, self.dtype.to_real())
    return Call(
        out, "default" if self.dtype.is_complex else "native", {"dims": dims, "dim": dims}, outs_as=(seen,)
    )


@composite()
def norm(
    self: Tensor, p: Any = "fro", dim: Dims = None, keepdim: bool = False, dtype: dt.DType | None = None
) -> Tensor:
    """The vector norm of order p over dimensions (all by default); "fro" is 2.

    >>> import flambeau as fb
    >>> fb.tensor([3., 4.]).norm()
    tensor(5.)
    """
    x = self if dtype is None else self.to(dtype)
    if x.dtype.rank < 2:
        refuse("norm", "Expected a floating point or complex tensor as input", self=self)
    order = 2.0 if p is None or p == "fro" else p
    if isinstance(order, str):
        if order != "nuc":
            raise RuntimeError(f"[norm] order {p!r} is not known: needed: a number, 'fro' or 'nuc'.")
        pair = (-2, -1) if dim is None else dim
        return namespace("linalg").matrix_norm(x, "nuc", pair, keepdim)  # type: ignore[no-any-return]
    return _norm(x, order, dims_of(dim, x.ndim, "norm"), keepdim)  # type: ignore[no-any-return]


@composite()
def nansum(self: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dt.DType | None = None) -> Tensor:
    """The sum with NaN counted as 0."""
    x = OPS["where_values"](self != self, 0, self) if self.is_floating_point() else self
    return x.sum(dim, keepdim, dtype=dtype)


@composite()
def nanmean(
    self: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dt.DType | None = None
) -> Tensor:
    """The mean of what is not NaN."""
    return nansum(self, dim, keepdim, dtype=dtype) / (self == self).sum(dim, keepdim)  # type: ignore[no-any-return]


__all__ = ["count", "dims_of", "reduced", "spread"]
