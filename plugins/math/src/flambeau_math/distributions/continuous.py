"""Continuous distributions of one variable.

Formulas are the textbook ones (N. Johnson, S. Kotz and N. Balakrishnan, Continuous Univariate Distributions).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flambeau as fb

from . import constraints
from .distribution import Distribution, broadcast_all
from .samplers import standard_gamma

__all__ = [
    "Beta", "Cauchy", "Chi2", "ContinuousBernoulli", "Exponential", "FisherSnedecor", "Gamma", "GeneralizedPareto",
    "Laplace", "Normal", "StudentT", "Uniform", "VonMises",
]  # fmt: skip

_positive, _real = constraints.positive, constraints.real


class _Simple(Distribution):
    """A distribution whose parameters broadcast against each other to the batch."""

    def __init__(self, validate_args: bool | None = None, **parameters: Any) -> None:
        values = broadcast_all(*parameters.values())
        for name, value in zip(parameters, values, strict=True):
            setattr(self, name, value)
        numbers = not any(isinstance(v, fb.Tensor) for v in parameters.values())
        super().__init__(() if numbers else values[0].shape, validate_args=validate_args)

    def _noise(self, sample_shape: Sequence[int], like: Any, kind: Any) -> Any:
        return kind(self._extended_shape(sample_shape), dtype=like.dtype, device=like.device)

    def _open_unit(self, sample_shape: Sequence[int], like: Any) -> Any:
        """Uniform numbers in (0, 1]."""
        return 1 - self._noise(sample_shape, like, fb.rand)


class Normal(_Simple):
    """The normal distribution.

    Args:
        loc: the mean.
        scale: the standard deviation.

    >>> import flambeau as fb
    >>> fb.distributions.Normal(0., 1.).log_prob(fb.tensor(0.))
    tensor(-0.9189)
    """

    arg_constraints = {"loc": _real, "scale": _positive}
    support = _real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(validate_args, loc=loc, scale=scale)

    @property
    def mean(self) -> Any:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Any:
        return self.scale**2

    @property
    def stddev(self) -> Any:
        return self.scale

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        return self.loc + self._noise(sample_shape, self.loc, fb.randn) * self.scale

    def log_prob(self, value: Any) -> Any:
        z = (self._checked_value(value) - self.loc) / self.scale
        return -(z * z) / 2 - self.scale.log() - math.log(math.sqrt(2 * math.pi))

    def cdf(self, value: Any) -> Any:
        return 0.5 * (1 + fb.erf((self._checked_value(value) - self.loc) / (self.scale * math.sqrt(2))))

    def icdf(self, value: Any) -> Any:
        return self.loc + self.scale * fb.erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self) -> Any:
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()


class Laplace(_Simple):
    """The double exponential distribution.

    Args:
        loc: the mean.
        scale: the mean distance from it.
    """

    arg_constraints = {"loc": _real, "scale": _positive}
    support = _real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(validate_args, loc=loc, scale=scale)

    @property
    def mean(self) -> Any:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Any:
        return 2 * self.scale**2

    @property
    def stddev(self) -> Any:
        return math.sqrt(2) * self.scale

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        u = self._open_unit(sample_shape, self.loc) - 0.5
        return self.loc - self.scale * u.sign() * (-2 * u.abs()).clamp_min(fb.finfo(u.dtype).eps - 1).log1p()

    def log_prob(self, value: Any) -> Any:
        return -(2 * self.scale).log() - (self._checked_value(value) - self.loc).abs() / self.scale

    def cdf(self, value: Any) -> Any:
        gap = self._checked_value(value) - self.loc
        return 0.5 - 0.5 * gap.sign() * (-gap.abs() / self.scale).expm1()

    def icdf(self, value: Any) -> Any:
        t = value - 0.5
        return self.loc - self.scale * t.sign() * (-2 * t.abs()).log1p()

    def entropy(self) -> Any:
        return 1 + (2 * self.scale).log()


class Uniform(_Simple):
    """Equal density between two bounds.

    Args:
        low: the lower bound.
        high: the upper bound, not reached.
    """

    arg_constraints = {"low": constraints.dependent, "high": constraints.dependent}
    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        super().__init__(validate_args, low=low, high=high)
        if self._validate_args and not bool((self.low < self.high).all()):
            raise ValueError("[Uniform] Uniform is not defined when low >= high.")

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Any:
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Any:
        return self.high * float("nan")

    @property
    def variance(self) -> Any:
        return (self.high - self.low) ** 2 / 12

    @property
    def stddev(self) -> Any:
        return (self.high - self.low) / math.sqrt(12)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        return self.low + self._noise(sample_shape, self.low, fb.rand) * (self.high - self.low)

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        inside = ((self.low <= value) & (self.high > value)).to(self.low.dtype)
        return inside.log() - (self.high - self.low).log()

    def cdf(self, value: Any) -> Any:
        return ((self._checked_value(value) - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Any) -> Any:
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Any:
        return (self.high - self.low).log()


class Exponential(_Simple):
    """The time until an event of constant rate.

    Args:
        rate: events in a unit of time.
    """

    arg_constraints = {"rate": _positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        super().__init__(validate_args, rate=rate)

    @property
    def mean(self) -> Any:
        return self.rate.reciprocal()

    stddev = mean

    @property
    def mode(self) -> Any:
        return fb.zeros_like(self.rate)

    @property
    def variance(self) -> Any:
        return self.rate**-2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        return -self._open_unit(sample_shape, self.rate).log() / self.rate

    def log_prob(self, value: Any) -> Any:
        return self.rate.log() - self.rate * self._checked_value(value)

    def cdf(self, value: Any) -> Any:
        return -(-self.rate * self._checked_value(value)).expm1()

    def icdf(self, value: Any) -> Any:
        return -(-value).log1p() / self.rate

    def entropy(self) -> Any:
        return 1 - self.rate.log()


class Gamma(_Simple):
    """The gamma distribution.

    Args:
        concentration: its shape.
        rate: the inverse of its scale.
    """

    arg_constraints = {"concentration": _positive, "rate": _positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        super().__init__(validate_args, concentration=concentration, rate=rate)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def mode(self) -> Any:
        return ((self.concentration - 1) / self.rate).clamp_min(0)

    @property
    def variance(self) -> Any:
        return self.concentration / self.rate**2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        value = standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)
        return value.clamp_min(fb.finfo(value.dtype).tiny)

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        a = self.concentration
        return fb.xlogy(a, self.rate) + fb.xlogy(a - 1, value) - self.rate * value - a.lgamma()

    def cdf(self, value: Any) -> Any:
        return fb.special.gammainc(self.concentration, self.rate * self._checked_value(value))

    def entropy(self) -> Any:
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1 - a) * a.digamma()


class Chi2(Gamma):
    """The sum of squares of ``df`` standard normal numbers.

    Args:
        df: degrees of freedom.
    """

    arg_constraints = {"df": _positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        super().__init__(df * 0.5, 0.5, validate_args)

    @property
    def df(self) -> Any:
        """Degrees of freedom."""
        return self.concentration * 2


class Beta(_Simple):
    """The beta distribution.

    Args:
        concentration1, concentration0: its shapes (alpha and beta).
    """

    arg_constraints = {"concentration1": _positive, "concentration0": _positive}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        super().__init__(validate_args, concentration1=concentration1, concentration0=concentration0)

    @property
    def mean(self) -> Any:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Any:
        a, b = self.concentration1 - 1, self.concentration0 - 1
        edge = fb.where(self.concentration1 > self.concentration0, 1.0, 0.0).to(a.dtype)
        edge = fb.where(self.concentration1 == self.concentration0, float("nan"), edge)
        return fb.where((a > 0) & (b > 0), a / (a + b), edge)

    @property
    def variance(self) -> Any:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total**2 * (total + 1))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        x = standard_gamma(self.concentration1.expand(shape))
        y = standard_gamma(self.concentration0.expand(shape))
        info = fb.finfo(x.dtype)
        return (x / (x + y).clamp_min(info.tiny)).clamp(info.tiny, 1 - info.eps)

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        a, b = self.concentration1, self.concentration0
        return (
            fb.xlogy(a - 1, value)
            + fb.special.xlog1py(b - 1, -value)
            + (a + b).lgamma()
            - a.lgamma()
            - b.lgamma()
        )

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        t = a + b
        return (
            a.lgamma() + b.lgamma() - t.lgamma() - (a - 1) * a.digamma() - (b - 1) * b.digamma()
            + (t - 2) * t.digamma()
        )  # fmt: skip


class Cauchy(_Simple):
    """The ratio of two independent normal numbers, moved and scaled.

    Args:
        loc: the median.
        scale: half the distance of the quartiles.
    """

    arg_constraints = {"loc": _real, "scale": _positive}
    support = _real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(validate_args, loc=loc, scale=scale)

    @property
    def mean(self) -> Any:
        return fb.full_like(self.loc, float("nan"))

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return fb.full_like(self.loc, float("inf"))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        return self.icdf(
            self._noise(sample_shape, self.loc, fb.rand).clamp_min(fb.finfo(self.loc.dtype).tiny)
        )

    def log_prob(self, value: Any) -> Any:
        z = (self._checked_value(value) - self.loc) / self.scale
        return -math.log(math.pi) - self.scale.log() - (z * z).log1p()

    def cdf(self, value: Any) -> Any:
        return ((self._checked_value(value) - self.loc) / self.scale).atan() / math.pi + 0.5

    def icdf(self, value: Any) -> Any:
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc

    def entropy(self) -> Any:
        return math.log(4 * math.pi) + self.scale.log()


class StudentT(_Simple):
    """Student's t distribution.

    Args:
        df: degrees of freedom.
        loc: the centre.
        scale: the width.
    """

    arg_constraints = {"df": _positive, "loc": _real, "scale": _positive}
    support = _real
    has_rsample = True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        super().__init__(validate_args, df=df, loc=loc, scale=scale)

    @property
    def mean(self) -> Any:
        return fb.where(self.df <= 1, float("nan"), self.loc)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        known = self.scale**2 * self.df / fb.where(self.df > 2, self.df - 2, 1.0)
        return fb.where(self.df > 2, known, fb.where(self.df > 1, float("inf"), float("nan")).to(known.dtype))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        x = self._noise(sample_shape, self.loc, fb.randn)
        z = standard_gamma((self.df * 0.5).expand(shape)) * 2
        return self.loc + self.scale * (x * (z / self.df).rsqrt())

    def log_prob(self, value: Any) -> Any:
        y = (self._checked_value(value) - self.loc) / self.scale
        n = self.df
        norm = (
            self.scale.log()
            + 0.5 * n.log()
            + 0.5 * math.log(math.pi)
            + (n / 2).lgamma()
            - ((n + 1) / 2).lgamma()
        )
        return -0.5 * (n + 1) * (y**2 / n).log1p() - norm

    def entropy(self) -> Any:
        n = self.df
        log_beta = (n / 2).lgamma() + math.lgamma(0.5) - ((n + 1) / 2).lgamma()
        change = ((n + 1) / 2).digamma() - (n / 2).digamma()
        return self.scale.log() + (n + 1) / 2 * change + 0.5 * n.log() + log_beta


class FisherSnedecor(_Simple):
    """The F distribution: a ratio of mean squares.

    Args:
        df1, df2: degrees of freedom of numerator and denominator.
    """

    arg_constraints = {"df1": _positive, "df2": _positive}
    support = _positive
    has_rsample = True

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        super().__init__(validate_args, df1=df1, df2=df2)

    @property
    def mean(self) -> Any:
        return fb.where(self.df2 > 2, self.df2 / (self.df2 - 2), float("nan"))

    @property
    def mode(self) -> Any:
        value = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return fb.where(self.df1 > 2, value, float("nan"))

    @property
    def variance(self) -> Any:
        a, b = self.df1, self.df2
        return fb.where(b > 4, 2 * b**2 * (a + b - 2) / (a * (b - 2) ** 2 * (b - 4)), float("nan"))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        top = standard_gamma((self.df1 / 2).expand(shape)) / (self.df1 / 2)
        low = standard_gamma((self.df2 / 2).expand(shape)) / (self.df2 / 2)
        tiny = fb.finfo(top.dtype).tiny
        return (top / low.clamp_min(tiny)).clamp_min(tiny)

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        a, b, r = self.df1 * 0.5, self.df2 * 0.5, self.df1 / self.df2
        norm = (a + b).lgamma() - a.lgamma() - b.lgamma()
        return norm + a * r.log() + (a - 1) * value.log() - (a + b) * (r * value).log1p()


class GeneralizedPareto(_Simple):
    """The distribution of exceedances of a threshold.

    Args:
        loc: the threshold.
        scale: the width.
        concentration: the shape; 0 is exponential, negative has an end.
    """

    arg_constraints = {"loc": _real, "scale": _positive, "concentration": _real}
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        super().__init__(validate_args, loc=loc, scale=scale, concentration=concentration)

    @constraints.dependent_property
    def support(self) -> Any:
        end = fb.where(self.concentration < 0, self.loc - self.scale / self.concentration, float("inf"))
        return constraints.interval(self.loc, end)

    def _shape(self) -> tuple[Any, Any]:
        flat = self.concentration.isclose(fb.zeros_like(self.concentration))
        return flat, fb.where(flat, 1.0, self.concentration)

    @property
    def mean(self) -> Any:
        return fb.where(
            self.concentration < 1, self.loc + self.scale / (1 - self.concentration), float("inf")
        )

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        k = self.concentration
        return fb.where(k < 0.5, self.scale**2 / ((1 - k) ** 2 * (1 - 2 * k)), float("inf"))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        return self.icdf(self._noise(sample_shape, self.loc, fb.rand))

    def log_prob(self, value: Any) -> Any:
        y = (self._checked_value(value) - self.loc) / self.scale
        flat, k = self._shape()
        return fb.where(flat, -y, -(1 + 1 / k) * (k * y).log1p()) - self.scale.log()

    def cdf(self, value: Any) -> Any:
        y = (self._checked_value(value) - self.loc) / self.scale
        flat, k = self._shape()
        return -fb.where(flat, -y, -(k * y).log1p() / k).expm1()

    def icdf(self, value: Any) -> Any:
        flat, k = self._shape()
        low = (-value).log1p()
        return self.loc + self.scale * fb.where(flat, -low, (-k * low).expm1() / k)

    def entropy(self) -> Any:
        return self.scale.log() + self.concentration + 1


class ContinuousBernoulli(_Simple):
    """A density on [0, 1] proportional to ``p**x * (1 - p)**(1 - x)``.

    Args:
        probs or logits: the parameter, one of them.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": _real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, probs: Any = None, logits: Any = None, lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        if (probs is None) == (logits is None):
            raise ValueError(
                "[ContinuousBernoulli] Either `probs` or `logits` must be specified, but not both."
            )
        self.lims = lims
        (value,) = broadcast_all(probs if logits is None else logits)
        p = value if logits is None else value.sigmoid()
        if (validate_args is None or validate_args) and not bool(((p >= 0) & (p <= 1)).all()):
            raise ValueError(f"[ContinuousBernoulli] The parameter probs has invalid values: got {p}.")
        eps = fb.finfo(p.dtype).eps
        super().__init__(False, probs=p.clamp(eps, 1 - eps))
        self._validate_args = Distribution._checked if validate_args is None else validate_args
        self._batch_shape = value.shape

    @property
    def logits(self) -> Any:
        """log(p / (1 - p))."""
        return self.probs.log() - (-self.probs).log1p()

    def _away(self) -> tuple[Any, Any]:
        """Where p isn't near 1/2, and p with those places moved away from it."""
        far = (self.probs <= self.lims[0]) | (self.probs > self.lims[1])
        return far, fb.where(far, self.probs, self.lims[0])

    def _log_norm(self) -> Any:
        far, p = self._away()
        x = (self.probs - 0.5) ** 2
        value = ((-p).log1p() - p.log()).abs().log() - (1 - 2 * p).abs().log()
        return fb.where(far, value, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x)

    @property
    def mean(self) -> Any:
        far, p = self._away()
        x = self.probs - 0.5
        value = p / (2 * p - 1) + 1 / ((-p).log1p() - p.log())
        return fb.where(far, value, 0.5 + (1 / 3 + 16 / 45 * x**2) * x)

    @property
    def variance(self) -> Any:
        far, p = self._away()
        x = (self.probs - 0.5) ** 2
        value = p * (p - 1) / (1 - 2 * p) ** 2 + 1 / ((-p).log1p() - p.log()) ** 2
        return fb.where(far, value, 1 / 12 - (1 / 15 - 128 / 945 * x) * x)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        return self.icdf(self._noise(sample_shape, self.probs, fb.rand))

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        return value * self.probs.log() + (1 - value) * (-self.probs).log1p() + self._log_norm()

    def cdf(self, value: Any) -> Any:
        value = self._checked_value(value)
        far, p = self._away()
        inside = (p**value * (1 - p) ** (1 - value) + p - 1) / (2 * p - 1)
        return fb.where(far, inside, value).clamp(0, 1)

    def icdf(self, value: Any) -> Any:
        far, p = self._away()
        inside = ((-p + value * (2 * p - 1)).log1p() - (-p).log1p()) / (p.log() - (-p).log1p())
        return fb.where(far, inside, value)

    def entropy(self) -> Any:
        low, high = (-self.probs).log1p(), self.probs.log()
        return self.mean * (low - high) - self._log_norm() - low


class VonMises(_Simple):
    """The circular normal distribution, on [-pi, pi].

    Args:
        loc: the mean angle.
        concentration: how narrow it is.
    """

    arg_constraints = {"loc": _real, "concentration": _positive}
    support = _real

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        super().__init__(validate_args, loc=loc, concentration=concentration)

    @property
    def mean(self) -> Any:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Any:
        return 1 - fb.special.i1e(self.concentration) / fb.special.i0e(self.concentration)

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        k = self.concentration
        return k * ((value - self.loc).cos() - 1) - math.log(2 * math.pi) - fb.special.i0e(k).log()

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        # D. Best and N. Fisher (1979): rejection from a wrapped Cauchy distribution.
        with fb.no_grad():
            shape = self._extended_shape(sample_shape)
            k = self.concentration.to(fb.float64).expand(shape)
            tau = 1 + (1 + 4 * k * k).sqrt()
            rho = (tau - (2 * tau).sqrt()) / (2 * k)
            r = fb.where(k < 1e-5, 1 / k + k, (1 + rho * rho) / (2 * rho))
            angle = fb.zeros_like(k)
            waiting = fb.ones_like(k, dtype=fb.bool)
            while bool(waiting.any()):
                u1, u2, u3 = (fb.rand(shape, dtype=fb.float64, device=k.device) for _ in range(3))
                z = (math.pi * u1).cos()
                f = (1 + r * z) / (r + z)
                c = k * (r - f)
                fits = (c * (2 - c) - u2 > 0) | ((c / (1 - u2)).log() + 1 - c >= 0)
                angle = fb.where(waiting & fits, (u3 - 0.5).sign() * f.clamp(-1, 1).acos(), angle)
                waiting = waiting & ~fits
            found = (angle + math.pi + self.loc) % (2 * math.pi) - math.pi
            return found.to(self.loc.dtype)
