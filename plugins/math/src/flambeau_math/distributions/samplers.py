"""Samplers of gamma, Poisson and binomial numbers over our random streams, and the gradient of gamma numbers.

Sources: G. Marsaglia and W. Tsang, "A simple method for generating gamma variables" (2000); gradients by implicit
differentiation of the distribution function, M. Figurnov et al., "Implicit reparameterization gradients" (2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special as sp

import flambeau as fb
from flambeau.plugin import Call, kernel

from .._host import array_of, tensor_of
from .._records import Space, like
from ..special._gamma import gamma_slope

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["binomial", "poisson", "standard_gamma"]

top = Space("")


def _draw_gamma(shape: Any) -> Any:
    """Rejection in float64, round by round, so that every device draws the same numbers."""
    alpha = shape.detach().to(fb.float64)
    # For alpha < 1 a number of shape alpha + 1 is scaled by u ** (1 / alpha).
    small = alpha < 1
    d = fb.where(small, alpha + 1, alpha) - 1 / 3
    c = (9 * d).rsqrt()
    out = fb.zeros_like(d)
    waiting = fb.ones_like(d, dtype=fb.bool)
    while bool(waiting.any()):
        x = fb.randn(d.shape, dtype=fb.float64, device=d.device)
        u = fb.rand(d.shape, dtype=fb.float64, device=d.device)
        v = (1 + c * x) ** 3
        # A shape that is NaN is accepted as NaN.
        fits = (v > 0) & ((1 - u).log() < 0.5 * x * x + d - d * v + d * v.clamp_min(1e-300).log()) | (d != d)
        out = fb.where(waiting & fits, d * v, out)
        waiting = waiting & ~fits
    u = 1 - fb.rand(d.shape, dtype=fb.float64, device=d.device)
    return fb.where(small, out * u ** (1 / alpha), out).to(shape.dtype)


def _gamma_vjp(g: Any, self: Any, out: Any) -> Any:
    a, x = self.to(fb.float64), out.to(fb.float64)
    density = ((a - 1) * x.log() - x - a.lgamma()).exp()
    return g * (-gamma_slope(a, x) / density).to(g.dtype)


@kernel(name="standard_gamma", method=False, function=False, vjp={"self": _gamma_vjp}, default=_draw_gamma)
def standard_gamma(self: Tensor) -> Any:
    """Numbers of the gamma distribution of these shapes and scale 1, with gradients by the shapes."""
    return Call(like(self))


def _uniform(like_: Any, generator: Any) -> Any:
    return array_of(fb.rand(like_.shape, dtype=fb.float64, device=like_.device, generator=generator))


def _inverse(u: Any, guess: Any, cdf: Any) -> Any:
    """The least whole number whose distribution function reaches u, from a guess that may be off by a few."""
    k = np.maximum(np.where(np.isfinite(guess), np.ceil(guess), 0), 0)
    for _ in range(64):
        low = cdf(k) < u
        high = (k > 0) & (cdf(np.maximum(k - 1, 0)) >= u)
        if not (low | high).any():
            break
        k = k + low - high
    return k


@top.composite(method=False)
def poisson(self: Tensor, generator: Any = None) -> Any:
    """Numbers of Poisson distributions.

    Args:
        self: the rates, not negative.
        generator: where random numbers come from.

    >>> import flambeau as fb
    >>> fb.poisson(fb.zeros(2))
    tensor([0., 0.])
    """
    rate = array_of(self).astype(np.float64)
    if (rate < 0).any():
        raise RuntimeError("[poisson] invalid Poisson rate: got a negative one; needed: rates of at least 0.")
    u = _uniform(self, generator)
    with np.errstate(all="ignore"):
        guess = sp.pdtrik(u, np.where(rate > 0, rate, 1.0))
        out = _inverse(u, guess, lambda k: sp.pdtr(k, rate))
    return tensor_of(np.where(rate > 0, out, 0.0), self.device).to(self.dtype)


@top.composite(method=False)
def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Any:
    """Numbers of binomial distributions.

    Args:
        count: how many trials.
        prob: the probability of success.
        generator: where random numbers come from.

    >>> import flambeau as fb
    >>> fb.binomial(fb.tensor([3.]), fb.tensor([1.]))
    tensor([3.])
    """
    count, prob = fb.broadcast_tensors(count, prob)
    n, p = array_of(count).astype(np.float64), array_of(prob).astype(np.float64)
    u = _uniform(count, generator)
    with np.errstate(all="ignore"):
        inside = (p > 0) & (p < 1)
        q = np.where(inside, p, 0.5)
        guess = n * q + np.sqrt(n * q * (1 - q)) * sp.ndtri(u)
        steady = np.clip(guess, 0, n)
        # The distribution function is an incomplete beta function.
        out = _inverse(
            u, steady, lambda k: np.where(k >= n, 1.0, sp.betainc(np.maximum(n - k, 1e-300), k + 1, 1 - q))
        )
        out = np.minimum(out, n)
    return tensor_of(np.where(inside, out, np.where(p >= 1, n, 0.0)), count.device).to(prob.dtype)
