"""Kullback-Leibler divergences in closed form, by the classes of both distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import flambeau as fb

from .continuous import Beta, Cauchy, ContinuousBernoulli, Exponential, Gamma, Laplace, Normal, Uniform
from .derived import Gumbel, HalfNormal, Independent, Pareto, TransformedDistribution
from .discrete import Bernoulli, Binomial, Categorical, Geometric, OneHotCategorical, Poisson, softplus
from .distribution import sum_rightmost
from .multivariate import Dirichlet, LowRankMultivariateNormal, MultivariateNormal, _mahalanobis

__all__ = ["kl_divergence", "register_kl"]

_EULER = 0.57721566490153286060
_RULES: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}


def register_kl(
    type_p: type, type_q: type
) -> Callable[[Callable[[Any, Any], Any]], Callable[[Any, Any], Any]]:
    """Decorator: the function is the divergence of a ``type_p`` from a ``type_q``."""

    def keep(fn: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        _RULES[type_p, type_q] = fn
        return fn

    return keep


def _rule(p: type, q: type) -> Callable[[Any, Any], Any] | None:
    for a in p.__mro__:
        for b in q.__mro__:
            if (a, b) in _RULES:
                return _RULES[a, b]
    return None


def kl_divergence(p: Any, q: Any) -> Any:
    """The divergence of p from q: the mean of log p - log q under p.

    Raises:
        NotImplementedError: no closed form is registered for the pair.

    >>> import flambeau as fb
    >>> D = fb.distributions
    >>> D.kl_divergence(D.Normal(0., 1.), D.Normal(1., 1.))
    tensor(0.5000)
    """
    fn = _rule(type(p), type(q))
    if fn is None:
        raise NotImplementedError(
            f"[kl_divergence] No KL(p || q) is implemented for p type {type(p).__name__} and q type "
            f"{type(q).__name__}. Register one with register_kl, or estimate it from samples."
        )
    return fn(p, q)


_INFINITE = [
    (Beta, Exponential), (Gamma, Uniform), (Laplace, Uniform), (Normal, Uniform), (Exponential, Uniform),
    (Poisson, Bernoulli), (Poisson, Binomial), (Laplace, Exponential), (Laplace, Gamma), (Normal, Exponential),
    (Normal, Gamma), (Normal, Beta), (Laplace, Beta), (Gamma, Beta), (Exponential, Beta),
]  # fmt: skip


def _infinite(p: Any, q: Any) -> Any:
    return (p.mean * 0 + q.mean * 0) + float("inf")


for _pair in _INFINITE[1:]:
    _RULES[_pair] = _infinite


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale) ** 2
    gap = ((p.loc - q.loc) / q.scale) ** 2
    return 0.5 * (ratio + gap - 1 - ratio.log())


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Any:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    t1 = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    t1 = fb.where(q.probs == 0, float("inf"), t1)
    t1 = fb.where(p.probs == 0, 0.0, t1)
    t2 = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    t2 = fb.where(q.probs == 1, float("inf"), t2)
    return t1 + fb.where(p.probs == 1, 0.0, t2)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Any:
    t = p.probs * (p.logits - q.logits)
    t = fb.where((q.probs == 0).expand(t.shape), float("inf"), t)
    return fb.where((p.probs == 0).expand(t.shape), 0.0, t).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Any:
    return _categorical(p._categorical, q._categorical)


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Any:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    t, u = a + b, c + d
    return (
        c.lgamma() + d.lgamma() + t.lgamma() - (a.lgamma() + b.lgamma() + u.lgamma()) + (a - c) * a.digamma()
        + (b - d) * b.digamma() + (u - t) * t.digamma()
    )  # fmt: skip


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    return (
        b * (p.rate / q.rate).log() + b.lgamma() - a.lgamma() + (a - b) * a.digamma()
        + (q.rate - p.rate) * (a / p.rate)
    )  # fmt: skip


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return (
        -q.concentration * ratio.log()
        + ratio
        + q.concentration.lgamma()
        + q.concentration * _EULER
        - (1 + _EULER)
    )


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    gap = (p.loc - q.loc).abs()
    return -ratio.log() + gap / q.scale + ratio * (-gap / p.scale).exp() - 1


@register_kl(Laplace, Normal)
def _laplace_normal(p: Any, q: Any) -> Any:
    variance = q.scale**2
    ratio = p.scale**2 / variance
    return (
        -0.5 * (2 * ratio / math.pi).log()
        + ratio
        + (0.5 * p.loc**2 - p.loc * q.loc + 0.5 * q.loc**2) / variance
        - 1
    )


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Any:
    gap = p.loc - q.loc
    ratio = p.scale / q.scale
    z = gap / p.scale
    t1 = ratio.log()
    t2 = math.sqrt(2 / math.pi) * p.scale * (-0.5 * z**2).exp()
    t3 = gap * fb.erf(math.sqrt(0.5) * z)
    return -t1 + (t2 + t3) / q.scale - 0.5 * (1 + math.log(0.5 * math.pi))


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Any:
    result = ((q.high - q.low) / (p.high - p.low)).log()
    return fb.where((q.low > p.low) | (q.high < p.high), float("inf"), result)


@register_kl(Uniform, Normal)
def _uniform_normal(p: Any, q: Any) -> Any:
    width = p.high - p.low
    return (
        (math.sqrt(math.pi * 2) * q.scale / width).log() + width**2 / 24 / q.scale**2
        + ((p.high + p.low - 2 * q.loc) / 2) ** 2 / (2 * q.scale**2)
    )  # fmt: skip


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Any, q: Any) -> Any:
    result = q.rate * (p.high + p.low) / 2 - ((p.high - p.low) * q.rate).log()
    return fb.where(p.low < 0, float("inf"), result)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Any:
    if bool((p.total_count < q.total_count).any()):
        raise NotImplementedError("[kl_divergence] KL between Binomials where q.total_count > p.total_count is not "
                                  "implemented.")  # fmt: skip
    kl = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return fb.where(p.total_count > q.total_count, float("inf"), kl)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Any:
    return ((p.scale + q.scale) ** 2 + (p.loc - q.loc) ** 2).log() - (4 * p.scale * q.scale).log()


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: Any, q: Any) -> Any:
    t1 = p.mean * (p.logits - q.logits)
    t2 = p._log_norm() + (-p.probs).log1p()
    return t1 + t2 - q._log_norm() - (-q.probs).log1p()


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    t1 = q.loc / q.scale
    t2 = p.loc / q.scale
    return (-ratio.log() - t1 + t2) + ratio * _EULER + (t1 + (1 + ratio).lgamma() - t2).exp() - (1 + _EULER)


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Any:
    scale = p.scale / q.scale
    alpha = q.alpha / p.alpha
    result = q.alpha * scale.log() - alpha.log() + alpha - 1
    return fb.where(p.scale < q.scale, float("inf"), result)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    return (
        total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
        + ((a - b) * (a.digamma() - total.digamma().unsqueeze(-1))).sum(-1)
    )  # fmt: skip


def _tril(d: Any) -> Any:
    return d._tril if isinstance(d, MultivariateNormal) else d.scale_tril


def _multivariate(p: Any, q: Any) -> Any:
    Lp, Lq = _tril(p), _tril(q)
    half = Lq.diagonal(dim1=-2, dim2=-1).log().sum(-1) - Lp.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    n = p.event_shape[0]
    batch = fb.broadcast_shapes(Lp.shape[:-2], Lq.shape[:-2])
    inner = fb.linalg.solve_triangular(Lq.expand((*batch, n, n)), Lp.expand((*batch, n, n)), upper=False)
    return half + 0.5 * ((inner**2).sum((-2, -1)) + _mahalanobis(Lq, q.loc - p.loc) - n)


for _a in (MultivariateNormal, LowRankMultivariateNormal):
    for _b in (MultivariateNormal, LowRankMultivariateNormal):
        _RULES[_a, _b] = _multivariate


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError(
            "[kl_divergence] of transformed distributions needs equal transforms and events."
        )
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError(
            "[kl_divergence] of Independent distributions needs equal reinterpreted_batch_ndims."
        )
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)
