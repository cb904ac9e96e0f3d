"""Discrete distributions.

Formulas are the textbook ones (N. Johnson, A. Kemp and S. Kotz, Univariate Discrete Distributions).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau as fb

from . import constraints
from .continuous import Gamma
from .distribution import Distribution, broadcast_all
from .samplers import binomial, poisson

__all__ = [
    "Bernoulli", "Binomial", "Categorical", "Geometric", "Multinomial", "NegativeBinomial", "OneHotCategorical",
    "OneHotCategoricalStraightThrough", "Poisson",
]  # fmt: skip


def clamped(p: Any) -> Any:
    """Probabilities away from 0 and 1 by the rounding unit."""
    eps = fb.finfo(p.dtype).eps
    return p.clamp(eps, 1 - eps)


def softplus(x: Any) -> Any:
    """log(1 + exp(x))."""
    return x.clamp_min(0) + (-x.abs()).exp().log1p()


class _Odds(Distribution):
    """A distribution given by probabilities or by log-odds; the other one is worked out when asked for."""

    def _init(self, probs: Any, logits: Any, validate_args: bool | None, *others: Any) -> list[Any]:
        if (probs is None) == (logits is None):
            raise ValueError(
                f"[{type(self).__name__}] Either `probs` or `logits` must be specified, but not both."
            )
        values = broadcast_all(probs if logits is None else logits, *others)
        self.__dict__["probs" if logits is None else "logits"] = values[0]
        numbers = not any(isinstance(v, fb.Tensor) for v in (probs, logits, *others))
        self._numbers = fb.Size() if numbers else values[0].shape
        return values

    def __getattr__(self, name: str) -> Any:
        held = self.__dict__
        if name == "logits" and "probs" in held:
            p = clamped(held["probs"])
            return p.log() - (-p).log1p()
        if name == "probs" and "logits" in held:
            return held["logits"].sigmoid()
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def _param(self) -> Any:
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.__dict__["logits"]


class Bernoulli(_Odds):
    """1 with a probability, else 0.

    Args:
        probs or logits: the probability or its log-odds, one of them.

    >>> import flambeau as fb
    >>> fb.distributions.Bernoulli(0.25).log_prob(fb.tensor(1.)).exp()
    tensor(0.2500)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._init(probs, logits, validate_args)
        super().__init__(self._numbers, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        return fb.where(self.probs == 0.5, float("nan"), (self.probs >= 0.5).to(self.probs.dtype))

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        with fb.no_grad():
            return fb.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        return -(softplus(self.logits) - self.logits * value)

    def entropy(self) -> Any:
        return softplus(self.logits) - self.logits * self.probs

    def enumerate_support(self, expand: bool = True) -> Any:
        values = fb.arange(2, dtype=self._param.dtype, device=self._param.device)
        values = values.reshape((2, *[1] * len(self._batch_shape)))
        return values.expand((2, *self._batch_shape)) if expand else values


class Geometric(_Odds):
    """How many trials fail before one succeeds.

    Args:
        probs or logits: the probability of success or its log-odds, one of them.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._init(probs, logits, validate_args)
        super().__init__(self._numbers, validate_args=validate_args)
        if self._validate_args and probs is not None and not bool((self.probs > 0).all()):
            raise ValueError(
                f"[Geometric] Expected probs to be positive, but found invalid values: {self.probs}."
            )

    @property
    def mean(self) -> Any:
        return 1 / self.probs - 1

    @property
    def mode(self) -> Any:
        return fb.zeros_like(self.probs)

    @property
    def variance(self) -> Any:
        return (1 / self.probs - 1) / self.probs

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        with fb.no_grad():
            p = self.probs
            u = 1 - fb.rand(self._extended_shape(sample_shape), dtype=p.dtype, device=p.device)
            return (u.log() / (-p).log1p()).floor()

    def log_prob(self, value: Any) -> Any:
        value, p = fb.broadcast_tensors(self._checked_value(value), self.probs)
        p = fb.where((p == 1) & (value == 0), 0.0, p)
        return value * (-p).log1p() + self.probs.log()

    def entropy(self) -> Any:
        p = self.probs
        return (softplus(self.logits) - self.logits * p) / p


class Poisson(Distribution):
    """How many events of constant rate happen in a unit of time.

    Args:
        rate: the mean.
    """

    arg_constraints = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.rate

    variance = mean

    @property
    def mode(self) -> Any:
        return self.rate.floor()

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        with fb.no_grad():
            return poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        return fb.xlogy(value, self.rate) - self.rate - (value + 1).lgamma()


class Binomial(_Odds):
    """How many of several trials succeed.

    Args:
        total_count: how many trials.
        probs or logits: the probability of success or its log-odds, one of them.
    """

    arg_constraints = {
        "total_count": constraints.nonnegative_integer, "probs": constraints.unit_interval,
        "logits": constraints.real,
    }  # fmt: skip
    has_enumerate_support = True

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        values = self._init(probs, logits, validate_args, total_count)
        self.total_count = values[1].to(values[0].dtype)
        super().__init__(values[0].shape, validate_args=validate_args)

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Any:
        return self.total_count * self.probs

    @property
    def mode(self) -> Any:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        with fb.no_grad():
            shape = self._extended_shape(sample_shape)
            return binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        n, logits = self.total_count, self.logits
        norm = n * softplus(logits) - (n + 1).lgamma()
        return value * logits - (value + 1).lgamma() - (n - value + 1).lgamma() - norm

    def enumerate_support(self, expand: bool = True) -> Any:
        n = int(self.total_count.max())
        if int(self.total_count.min()) != n:
            raise NotImplementedError(
                "[Binomial] Inhomogeneous total count not supported by `enumerate_support`."
            )
        values = fb.arange(n + 1, dtype=self._param.dtype, device=self._param.device)
        values = values.reshape((-1, *[1] * len(self._batch_shape)))
        return values.expand((n + 1, *self._batch_shape)) if expand else values

    def entropy(self) -> Any:
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)


class NegativeBinomial(_Odds):
    """How many trials succeed before ``total_count`` have failed.

    Args:
        total_count: how many failures end it; any positive number.
        probs or logits: the probability of success or its log-odds, one of them.
    """

    arg_constraints = {
        "total_count": constraints.nonnegative, "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }  # fmt: skip
    support = constraints.nonnegative_integer

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        values = self._init(probs, logits, validate_args, total_count)
        self.total_count = values[1].to(values[0].dtype)
        super().__init__(values[0].shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Any:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp_min(0)

    @property
    def variance(self) -> Any:
        return self.mean / (-self.logits).sigmoid()

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        with fb.no_grad():
            rate = Gamma(self.total_count, (-self.logits).exp(), validate_args=False).sample(sample_shape)
            return poisson(rate)

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        n, logits = self.total_count, self.logits
        body = -n * softplus(logits) - value * softplus(-logits)
        norm = -(n + value).lgamma() + (value + 1).lgamma() + n.lgamma()
        return body - fb.where(n + value == 0.0, 0.0, norm)


class Categorical(Distribution):
    """One of several classes.

    Args:
        probs: [..., K], not negative; they are normalised.
        logits: [..., K], unnormalised logarithms; one of both.

    >>> import flambeau as fb
    >>> fb.distributions.Categorical(fb.tensor([1., 3.])).log_prob(fb.tensor(1)).exp()
    tensor(0.7500)
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    param_event_dims = {"probs": 1, "logits": 1}
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if (probs is None) == (logits is None):
            raise ValueError(
                f"[{type(self).__name__}] Either `probs` or `logits` must be specified, but not both."
            )
        given = probs if logits is None else logits
        if given.ndim < 1:
            raise ValueError(f"[{type(self).__name__}] `{'probs' if logits is None else 'logits'}` parameter must be "
                             "at least one-dimensional.")  # fmt: skip
        if logits is None:
            self.__dict__["probs"] = probs / probs.sum(-1, keepdim=True)
        else:
            self.__dict__["logits"] = logits - logits.logsumexp(-1, keepdim=True)
        self._num_events = given.shape[-1]
        super().__init__(given.shape[:-1], validate_args=validate_args)

    def __getattr__(self, name: str) -> Any:
        held = self.__dict__
        if name == "logits" and "probs" in held:
            return clamped(held["probs"]).log()
        if name == "probs" and "logits" in held:
            return held["logits"].softmax(-1)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def _param(self) -> Any:
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.__dict__["logits"]

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._param.shape

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Any:
        return fb.full(self._batch_shape, float("nan"), dtype=self._param.dtype, device=self._param.device)

    variance = mean

    @property
    def mode(self) -> Any:
        return self._param.argmax(-1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        with fb.no_grad():
            n = fb.Size(sample_shape).numel()
            if not n or not self._batch_shape.numel():
                return fb.zeros(self._extended_shape(sample_shape), dtype=fb.int64, device=self._param.device)
            flat = self.probs.reshape((-1, self._num_events))
            drawn = fb.multinomial(flat, n, True)
            return drawn.mT.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value).long().unsqueeze(-1)
        logits = self.logits
        shape = fb.broadcast_shapes(value.shape[:-1], logits.shape[:-1])
        value = value.expand((*shape, 1))
        return logits.expand((*shape, logits.shape[-1])).gather(-1, value).squeeze(-1)

    def entropy(self) -> Any:
        logits = self.logits.clamp_min(fb.finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Any:
        values = fb.arange(self._num_events, device=self._param.device)
        values = values.reshape((-1, *[1] * len(self._batch_shape)))
        return values.expand((self._num_events, *self._batch_shape)) if expand else values


class OneHotCategorical(Distribution):
    """One of several classes, as a vector of zeros with a one.

    Args:
        probs or logits: as `Categorical` has them.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.one_hot
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(
            self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args=validate_args
        )

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """Their logarithms."""
        return self._categorical.logits

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        return _one_hot(self.probs.argmax(-1), self.probs)

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        return _one_hot(self._categorical.sample(sample_shape), self.probs.detach())

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Any:
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Any:
        n = self._event_shape[0]
        values = fb.eye(n, dtype=self.probs.dtype, device=self.probs.device)
        values = values.reshape((n, *[1] * len(self._batch_shape), n))
        return values.expand((n, *self._batch_shape, n)) if expand else values


def _one_hot(place: Any, like: Any) -> Any:
    classes = fb.arange(like.shape[-1], device=like.device)
    return (place.unsqueeze(-1) == classes).to(like.dtype)


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """`OneHotCategorical` whose samples pass gradients on to the probabilities as if they were those."""

    has_rsample = True

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        return self.sample(sample_shape) + (self.probs - self.probs.detach())


class Multinomial(Distribution):
    """How often each of several classes comes up in several draws.

    Args:
        total_count: how many draws.
        probs or logits: as `Categorical` has them.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError(
                f"[Multinomial] inhomogeneous total_count is not supported: got {total_count!r}."
            )
        self.total_count = total_count
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(
            self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args=validate_args
        )

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """Their logarithms."""
        return self._categorical.logits

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        drawn = self._categorical.sample((self.total_count, *sample_shape))
        return _one_hot(drawn, self.probs.detach()).sum(0)

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        logits, value = fb.broadcast_tensors(self.logits, value)
        logits = fb.where((value == 0) & (logits == float("-inf")), 0.0, logits)
        return (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1) + (logits * value).sum(-1)

    def entropy(self) -> Any:
        n = self.total_count
        one = Binomial(n, self.probs, validate_args=False)
        values = fb.arange(n + 1, dtype=self.probs.dtype, device=self.probs.device)
        values = values.reshape((-1, *[1] * self.probs.ndim))[1:]
        weights = one.log_prob(values).exp()
        total = fb.tensor(float(n + 1), dtype=self.probs.dtype, device=self.probs.device).lgamma()
        return n * self._categorical.entropy() - total + (weights * (values + 1).lgamma()).sum((0, -1))
