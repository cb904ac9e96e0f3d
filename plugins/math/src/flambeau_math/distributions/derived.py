"""Distributions made of others: transformed, independent, mixed; and those that are transforms of simple ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flambeau as fb

from . import constraints
from .continuous import Cauchy, Exponential, Gamma, Normal, Uniform
from .discrete import Bernoulli, Categorical, clamped
from .distribution import Distribution, broadcast_all, sum_rightmost
from .transforms import (
    AbsTransform,
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    PowerTransform,
    SigmoidTransform,
    StickBreakingTransform,
    Transform,
)

__all__ = [
    "Gumbel", "HalfCauchy", "HalfNormal", "Independent", "InverseGamma", "Kumaraswamy", "LogNormal", "LogisticNormal",
    "LogitRelaxedBernoulli", "MixtureSameFamily", "Pareto", "RelaxedBernoulli", "RelaxedOneHotCategorical",
    "TransformedDistribution", "Weibull",
]  # fmt: skip

_EULER = 0.57721566490153286060


class TransformedDistribution(Distribution):
    """The distribution of f(x) where x has a simpler one.

    Args:
        base_distribution: of x.
        transforms: f, or a list of maps that are applied one after the other.
    """

    arg_constraints = {}

    def __init__(self, base_distribution: Any, transforms: Any, validate_args: bool | None = None) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        chain = ComposeTransform(self.transforms)
        base_shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        domain, codomain = chain.domain.event_dim, chain.codomain.event_dim
        if len(base_shape) < domain:
            raise ValueError(
                f"[TransformedDistribution] base_distribution needs to have shape with size at least {domain}: got "
                f"{list(base_shape)}."
            )
        shape = chain.forward_shape(base_shape)
        whole = chain.inverse_shape(shape)
        if tuple(whole) != base_shape:
            n = len(base_distribution.event_shape)
            base_distribution = base_distribution.expand(whole[: len(whole) - n])
        extra = domain - len(base_distribution.event_shape)
        if extra > 0:
            base_distribution = Independent(base_distribution, extra)
        self.base_dist = base_distribution
        event = codomain + max(len(base_distribution.event_shape) - domain, 0)
        cut = len(shape) - event
        super().__init__(shape[:cut], shape[cut:], validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return bool(self.base_dist.has_rsample)

    @constraints.dependent_property
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        return constraints.independent(support, len(self._event_shape) - support.event_dim)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        new = super().expand(batch_shape)
        chain = ComposeTransform(self.transforms)
        shape = chain.inverse_shape((*batch_shape, *self._event_shape))
        n = len(self.base_dist.event_shape)
        new.base_dist = self.base_dist.expand(shape[: len(shape) - n])
        return new

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        with fb.no_grad():
            return self._mapped(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        return self._mapped(self.base_dist.rsample(sample_shape))

    def _mapped(self, x: Any) -> Any:
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Any) -> Any:
        y = self._checked_value(value)
        event = len(self._event_shape)
        total: Any = 0.0
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            event += transform.domain.event_dim - transform.codomain.event_dim
            change = transform.log_abs_det_jacobian(x, y)
            total = total - sum_rightmost(change, event - transform.domain.event_dim)
            y = x
        return total + sum_rightmost(self.base_dist.log_prob(y), event - len(self.base_dist.event_shape))

    def _by_sign(self, value: Any) -> Any:
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        return sign * (value - 0.5) + 0.5 if isinstance(sign, fb.Tensor) or sign != 1 else value

    def cdf(self, value: Any) -> Any:
        value = self._checked_value(value)
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        return self._by_sign(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Any:
        return self._mapped(self.base_dist.icdf(self._by_sign(value)))


class Independent(Distribution):
    """A distribution whose last batch dimensions count as part of the event.

    Args:
        base_distribution: the distribution.
        reinterpreted_batch_ndims: how many dimensions.

    >>> import flambeau as fb
    >>> d = fb.distributions.Independent(fb.distributions.Normal(fb.zeros(3), fb.ones(3)), 1)
    >>> d.batch_shape, d.event_shape
    (flambeau.Size([]), flambeau.Size([3]))
    """

    arg_constraints = {}

    def __init__(
        self, base_distribution: Any, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        n = len(base_distribution.batch_shape)
        if reinterpreted_batch_ndims > n:
            raise ValueError(
                f"[Independent] Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape): got "
                f"{reinterpreted_batch_ndims} vs {n}."
            )
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        cut = n - reinterpreted_batch_ndims
        super().__init__(shape[:cut], shape[cut:], validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return bool(self.base_dist.has_rsample)

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.independent(self.base_dist.support, self.reinterpreted_batch_ndims)

    @property
    def mean(self) -> Any:
        return self.base_dist.mean

    @property
    def mode(self) -> Any:
        return self.base_dist.mode

    @property
    def variance(self) -> Any:
        return self.base_dist.variance

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        extra = self._event_shape[: self.reinterpreted_batch_ndims]
        return Independent(
            self.base_dist.expand((*batch_shape, *extra)), self.reinterpreted_batch_ndims, False
        )

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Any:
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Any:
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamily(Distribution):
    """A mixture of distributions of one family.

    Args:
        mixture_distribution: a `Categorical` that picks the component.
        component_distribution: the components stand along its last batch dimension.
    """

    arg_constraints = {}

    def __init__(
        self, mixture_distribution: Any, component_distribution: Any, validate_args: bool | None = None
    ) -> None:
        self._mixture_distribution, self._component_distribution = (
            mixture_distribution,
            component_distribution,
        )
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError("[MixtureSameFamily] The Mixture distribution needs to be an instance of "
                             "distributions.Categorical.")  # fmt: skip
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "[MixtureSameFamily] The Component distribution needs to be an instance of Distribution."
            )
        batch = component_distribution.batch_shape
        k = mixture_distribution.logits.shape[-1]
        if batch[-1] != k:
            raise ValueError(f"[MixtureSameFamily] mixture_distribution component ({k}) does not equal "
                             f"component_distribution.batch_shape[-1] ({batch[-1]}).")  # fmt: skip
        fb.broadcast_shapes(mixture_distribution.batch_shape, batch[:-1])
        super().__init__(batch[:-1], component_distribution.event_shape, validate_args)

    @property
    def mixture_distribution(self) -> Any:
        """The distribution of components."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Any:
        """The components."""
        return self._component_distribution

    @constraints.dependent_property
    def support(self) -> Any:
        return self._component_distribution.support

    def _weights(self) -> Any:
        p = self._mixture_distribution.probs
        return p.reshape((*p.shape, *[1] * len(self._event_shape)))

    @property
    def _dim(self) -> int:
        return -1 - len(self._event_shape)

    @property
    def mean(self) -> Any:
        return (self._weights() * self._component_distribution.mean).sum(self._dim)

    @property
    def variance(self) -> Any:
        w, part = self._weights(), self._component_distribution
        inside = (w * part.variance).sum(self._dim)
        between = (w * (part.mean - self.mean.unsqueeze(self._dim)) ** 2).sum(self._dim)
        return inside + between

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        k = self._component_distribution.batch_shape[-1]
        return MixtureSameFamily(
            self._mixture_distribution.expand(batch_shape),
            self._component_distribution.expand((*batch_shape, k)),
        )

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        with fb.no_grad():
            which = self._mixture_distribution.sample(sample_shape)
            drawn = self._component_distribution.sample(sample_shape)
            n = len(self._event_shape)
            which = which.reshape((*which.shape, 1, *[1] * n))
            shape = list(drawn.shape)
            shape[self._dim] = 1
            return drawn.gather(self._dim, which.expand(shape)).squeeze(self._dim)

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value).unsqueeze(self._dim)
        logs = self._component_distribution.log_prob(value)
        return (logs + self._mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)

    def cdf(self, value: Any) -> Any:
        value = self._checked_value(value).unsqueeze(self._dim)
        return (self._component_distribution.cdf(value) * self._mixture_distribution.probs).sum(-1)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self._mixture_distribution},\n  {self._component_distribution})"


class LogNormal(TransformedDistribution):
    """The exponential of a normal number.

    Args:
        loc, scale: mean and deviation of the logarithm.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args), ExpTransform(), validate_args)

    support = constraints.positive

    @property
    def loc(self) -> Any:
        """The mean of the logarithm."""
        return self.base_dist.loc

    @property
    def scale(self) -> Any:
        """The deviation of the logarithm."""
        return self.base_dist.scale

    @property
    def mean(self) -> Any:
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def mode(self) -> Any:
        return (self.loc - self.scale**2).exp()

    @property
    def variance(self) -> Any:
        s = self.scale**2
        return s.expm1() * (2 * self.loc + s).exp()

    def entropy(self) -> Any:
        return self.base_dist.entropy() + self.loc


class HalfNormal(TransformedDistribution):
    """The absolute value of a normal number with mean 0.

    Args:
        scale: its deviation.
    """

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(0, scale, False), AbsTransform(), validate_args)
        if self._validate_args and not bool((self.scale > 0).all()):
            raise ValueError(f"[HalfNormal] Expected parameter scale to be positive: got {scale}.")

    @property
    def scale(self) -> Any:
        """The deviation of the normal number."""
        return self.base_dist.scale

    @property
    def mean(self) -> Any:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def mode(self) -> Any:
        return fb.zeros_like(self.scale)

    @property
    def variance(self) -> Any:
        return self.scale**2 * (1 - 2 / math.pi)

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        return fb.where(value >= 0, self.base_dist.log_prob(value) + math.log(2), float("-inf"))

    def cdf(self, value: Any) -> Any:
        return 2 * self.base_dist.cdf(self._checked_value(value)) - 1

    def icdf(self, value: Any) -> Any:
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Any:
        return self.base_dist.entropy() - math.log(2)


class HalfCauchy(TransformedDistribution):
    """The absolute value of a Cauchy number with centre 0.

    Args:
        scale: its width.
    """

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Cauchy(0, scale, False), AbsTransform(), validate_args)

    @property
    def scale(self) -> Any:
        """The width of the Cauchy number."""
        return self.base_dist.scale

    @property
    def mean(self) -> Any:
        return fb.full_like(self.scale, float("inf"))

    @property
    def mode(self) -> Any:
        return fb.zeros_like(self.scale)

    @property
    def variance(self) -> Any:
        return fb.full_like(self.scale, float("inf"))

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        return fb.where(value >= 0, self.base_dist.log_prob(value) + math.log(2), float("-inf"))

    def cdf(self, value: Any) -> Any:
        return 2 * self.base_dist.cdf(self._checked_value(value)) - 1

    def icdf(self, value: Any) -> Any:
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Any:
        return self.base_dist.entropy() - math.log(2)


class InverseGamma(TransformedDistribution):
    """The inverse of a gamma number.

    Args:
        concentration: its shape.
        rate: the inverse of its scale.
    """

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.positive

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        base = Gamma(concentration, rate, validate_args)
        minus = fb.tensor(-1.0, dtype=base.rate.dtype, device=base.rate.device)
        super().__init__(base, PowerTransform(minus), validate_args)

    @property
    def concentration(self) -> Any:
        """The shape."""
        return self.base_dist.concentration

    @property
    def rate(self) -> Any:
        """The rate."""
        return self.base_dist.rate

    @property
    def mean(self) -> Any:
        return fb.where(self.concentration > 1, self.rate / (self.concentration - 1), float("inf"))

    @property
    def mode(self) -> Any:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Any:
        a = self.concentration
        return fb.where(a > 2, self.rate**2 / ((a - 1) ** 2 * (a - 2)), float("inf"))

    def entropy(self) -> Any:
        a = self.concentration
        return a + self.rate.log() + a.lgamma() - (1 + a) * a.digamma()


class Pareto(TransformedDistribution):
    """A power law above a bound.

    Args:
        scale: the bound.
        alpha: the exponent.
    """

    arg_constraints = {"alpha": constraints.positive, "scale": constraints.positive}

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = broadcast_all(scale, alpha)
        super().__init__(
            Exponential(self.alpha, validate_args),
            [ExpTransform(), AffineTransform(0, self.scale)],
            validate_args,
        )

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Any:
        a = self.alpha.clamp_min(1)
        return a * self.scale / (a - 1)

    @property
    def mode(self) -> Any:
        return self.scale

    @property
    def variance(self) -> Any:
        a = self.alpha.clamp_min(2)
        return self.scale**2 * a / ((a - 1) ** 2 * (a - 2))

    def entropy(self) -> Any:
        return (self.scale / self.alpha).log() + 1 + self.alpha.reciprocal()


class Weibull(TransformedDistribution):
    """The time until a failure whose rate is a power of time.

    Args:
        scale: the scale.
        concentration: the shape.
    """

    arg_constraints = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        base = Exponential(fb.ones_like(self.scale), validate_args)
        power = PowerTransform(self.concentration.reciprocal())
        super().__init__(base, [power, AffineTransform(0, self.scale)], validate_args)

    @property
    def mean(self) -> Any:
        return self.scale * (1 + 1 / self.concentration).lgamma().exp()

    @property
    def mode(self) -> Any:
        k = self.concentration
        return self.scale * ((k - 1) / k).clamp_min(0) ** (1 / k)

    @property
    def variance(self) -> Any:
        inverse = 1 / self.concentration
        return self.scale**2 * ((1 + 2 * inverse).lgamma().exp() - (2 * (1 + inverse).lgamma()).exp())

    def entropy(self) -> Any:
        inverse = self.concentration.reciprocal()
        return _EULER * (1 - inverse) + (self.scale * inverse).log() + 1


class Gumbel(TransformedDistribution):
    """The limit of the largest of many numbers.

    Args:
        loc: the mode.
        scale: the width.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        info = fb.finfo(self.loc.dtype)
        base = Uniform(fb.full_like(self.loc, info.tiny), fb.full_like(self.loc, 1 - info.eps), validate_args)
        one = fb.ones_like(self.scale)
        steps = [
            ExpTransform().inv,
            AffineTransform(0, -one),
            ExpTransform().inv,
            AffineTransform(loc, -self.scale),
        ]
        super().__init__(base, steps, validate_args)

    @property
    def mean(self) -> Any:
        return self.loc + self.scale * _EULER

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return self.stddev**2

    @property
    def stddev(self) -> Any:
        return math.pi / math.sqrt(6) * self.scale

    def log_prob(self, value: Any) -> Any:
        y = (self.loc - self._checked_value(value)) / self.scale
        return y - y.exp() - self.scale.log()

    def cdf(self, value: Any) -> Any:
        y = (self.loc - self._checked_value(value)) / self.scale
        return (-y.exp()).exp()

    def entropy(self) -> Any:
        return self.scale.log() + 1 + _EULER


class Kumaraswamy(TransformedDistribution):
    """A distribution on [0, 1] much like the beta distribution, with a simple cdf.

    Args:
        concentration1, concentration0: its shapes.
    """

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        one = fb.ones_like(self.concentration0)
        steps = [
            PowerTransform(self.concentration0.reciprocal()), AffineTransform(1.0, -1.0),
            PowerTransform(self.concentration1.reciprocal()),
        ]  # fmt: skip
        super().__init__(Uniform(0 * one, one, False), steps, validate_args)

    def _moment(self, n: int) -> Any:
        a, b = self.concentration1, self.concentration0
        return (b.log() + (1 + n / a).lgamma() + b.lgamma() - (1 + b + n / a).lgamma()).exp()

    @property
    def mean(self) -> Any:
        return self._moment(1)

    @property
    def mode(self) -> Any:
        a, b = self.concentration1, self.concentration0
        value = ((a - 1) / (a * b - 1)) ** (1 / a)
        return fb.where((a < 1) | (b < 1), float("nan"), value)

    @property
    def variance(self) -> Any:
        return self._moment(2) - self.mean**2

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        return (1 - 1 / b) + (1 - 1 / a) * ((b + 1).digamma() + _EULER) - a.log() - b.log()


class LogisticNormal(TransformedDistribution):
    """Shares from normal numbers by breaking a stick.

    Args:
        loc, scale: [..., K] mean and deviation of the normal numbers; there are K + 1 shares.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args)
        if not base.batch_shape:
            base = base.expand((1,))
        super().__init__(base, StickBreakingTransform(), validate_args)

    @property
    def loc(self) -> Any:
        """The mean of the normal numbers."""
        return self.base_dist.base_dist.loc

    @property
    def scale(self) -> Any:
        """Their deviation."""
        return self.base_dist.base_dist.scale


class LogitRelaxedBernoulli(Distribution):
    """The log-odds of a relaxed Bernoulli number.

    Source: C. Maddison, A. Mnih and Y. Teh, "The concrete distribution" (2017).

    Args:
        temperature: how soft it is.
        probs or logits: as `Bernoulli` has them.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.real
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.temperature = temperature
        self._bernoulli = Bernoulli(probs, logits, validate_args)
        super().__init__(self._bernoulli.batch_shape, validate_args=validate_args)

    @property
    def probs(self) -> Any:
        """The probability."""
        return self._bernoulli.probs

    @property
    def logits(self) -> Any:
        """Its log-odds."""
        return self._bernoulli.logits

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        p = clamped(self.probs.expand(self._extended_shape(sample_shape)))
        u = clamped(fb.rand(p.shape, dtype=p.dtype, device=p.device))
        return (u.log() - (-u).log1p() + p.log() - (-p).log1p()) / self.temperature

    def log_prob(self, value: Any) -> Any:
        gap = self.logits - self._checked_value(value) * self.temperature
        log_t = (
            self.temperature.log() if isinstance(self.temperature, fb.Tensor) else math.log(self.temperature)
        )
        return log_t + gap - 2 * gap.exp().log1p()


class RelaxedBernoulli(TransformedDistribution):
    """A number in (0, 1) that becomes a Bernoulli number as the temperature falls, with gradients.

    Args:
        temperature: how soft it is.
        probs or logits: as `Bernoulli` has them.
    """

    support = constraints.unit_interval

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(
            LogitRelaxedBernoulli(temperature, probs, logits, validate_args),
            SigmoidTransform(),
            validate_args,
        )

    @property
    def temperature(self) -> Any:
        """How soft it is."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """The log-odds."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """The probability."""
        return self.base_dist.probs


class _ExpRelaxedCategorical(Distribution):
    """The logarithm of a relaxed one-hot vector."""

    support = constraints.real_vector
    has_rsample = True

    def __init__(self, temperature: Any, probs: Any, logits: Any, validate_args: bool | None) -> None:
        self.temperature = temperature
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(
            self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args=validate_args
        )

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        logits = self._categorical.logits
        u = clamped(fb.rand(self._extended_shape(sample_shape), dtype=logits.dtype, device=logits.device))
        scores = (logits - (-u.log()).log()) / self.temperature
        return scores - scores.logsumexp(-1, keepdim=True)

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        logits, value = fb.broadcast_tensors(self._categorical.logits, value)
        k = logits.shape[-1]
        t = (
            self.temperature
            if isinstance(self.temperature, fb.Tensor)
            else fb.tensor(float(self.temperature))
        )
        scale = math.lgamma(k) + (k - 1) * t.log()
        score = logits - value * t
        return (score - score.logsumexp(-1, keepdim=True)).sum(-1) + scale


class RelaxedOneHotCategorical(TransformedDistribution):
    """Shares that become a one-hot vector as the temperature falls, with gradients.

    Args:
        temperature: how soft it is.
        probs or logits: as `Categorical` has them.
    """

    support = constraints.simplex

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(
            _ExpRelaxedCategorical(temperature, probs, logits, validate_args), ExpTransform(), validate_args
        )

    @property
    def temperature(self) -> Any:
        """How soft it is."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """The logarithms of probabilities."""
        return self.base_dist._categorical.logits

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return self.base_dist._categorical.probs
