"""Logarithms of sums of exponentials: of two terms, and running ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau.plugin import Call, call, kernel, no_integers, only_float, refuse, select, wrap_dim

from .._records import Space

if TYPE_CHECKING:
    from flambeau import Tensor
    from flambeau.plugin import Spec

__all__: list[str] = []

top = Space("")


def _share(g: Any, a: Any, b: Any, base: Any) -> Any:
    """The share of one term in a logarithm of a sum: 1 / (1 + base**(b - a))."""
    return g / (1 + base(b - a)).conj()


def _log_of_sum(a: Any, b: Any, one_more: Any) -> Any:
    """log(exp(a) + exp(b)) from the larger one, in the base of ``one_more(d) = log(1 + exp(d))``."""
    a_larger = call("ge", a.real(), b.real())
    top, low = select(a_larger, a, b), select(a_larger, b, a)
    return select(call("eq", a, b) & call("isinf", a.real()), a, top + one_more(low - top))


@top.pointwise(
    result="float",
    check=no_integers,
    vjp={
        "self": lambda g, out, a, b: _share(g, a, b, lambda d: d.exp()),
        "other": lambda g, out, a, b: _share(g, b, a, lambda d: d.exp()),
    },
)
def logaddexp(self: Tensor, other: Tensor) -> Any:
    """``log(exp(self) + exp(other))`` without overflow."""
    return _log_of_sum(call("mul", self, 1), call("mul", other, 1), lambda d: d.exp().log1p())


@top.pointwise(
    result="float",
    check=only_float,
    vjp={
        "self": lambda g, out, a, b: _share(g, a, b, lambda d: d.exp2()),
        "other": lambda g, out, a, b: _share(g, b, a, lambda d: d.exp2()),
    },
)
def logaddexp2(self: Tensor, other: Tensor) -> Any:
    """``log2(2**self + 2**other)`` without overflow."""
    return _log_of_sum(
        call("mul", self, 1), call("mul", other, 1), lambda d: d.exp2().log1p() * (1 / math.log(2))
    )


def _logcumsumexp_default(self: Any, dim: int) -> Any:
    d = wrap_dim(dim, self.ndim, "logcumsumexp")
    if not self.numel() or not self.ndim:
        return self.clone()
    # One step after the other: the imaginary part runs on beyond pi, as PyTorch's does.
    out: list[Any] = []
    for part in self.unbind(d):
        out.append(fb.logaddexp(part, out[-1]) if out else part)
    return fb.stack(out, d)


@kernel(
    vjp={"self": lambda g, self, out, dim: _logcumsumexp_gradient(g, self, out, dim)},
    default=_logcumsumexp_default,
)
def logcumsumexp(self: Spec, dim: int) -> Any:
    """The logarithm of the running sum of exponentials."""
    if self.dtype.rank < 2:
        refuse("logcumsumexp", "needs floating-point or complex numbers", self=self)
    if self.dtype.is_complex:
        return Call(self.like(), "default")
    d = wrap_dim(dim, self.ndim, "logcumsumexp")
    if not self.ndim:
        return Call(self.like(), "copy", {"dim": 0})
    return Call(self.like(), "scan", {"kind": "logcumsumexp", "dim": d})


def _logcumsumexp_gradient(g: Any, x: Any, out: Any, dim: int) -> Any:
    if not x.ndim:
        return g

    if fb.is_grad_enabled() or x.is_complex():
        # To be differentiated again: all weights exp(x_j - out_i) at once, because logarithms of g have no slope at 0.
        n = x.shape[dim]
        xs, outs, gs = (t.movedim(dim, -1) for t in (x, out, g))
        before = fb.ones((n, n), dtype=fb.bool, device=x.device).tril()
        gap = fb.where(before, xs.unsqueeze(-2) - outs.unsqueeze(-1), 0)
        weights = fb.where(before, gap.exp().conj(), 0)
        return (gs.unsqueeze(-1) * weights).sum(-2).movedim(-1, dim)

    # g * exp(x_j - out_i) summed over i >= j; signs apart, so that logarithms exist.
    def part(v: Any) -> Any:
        return (_flip_lcse(v.log() - out, dim) + x).exp()

    return part(g.clamp(min=0)) - part((-g).clamp(min=0))


def _flip_lcse(v: Any, dim: int) -> Any:
    return v.flip(dim).logcumsumexp(dim).flip(dim)
