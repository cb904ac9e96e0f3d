"""The base of all distributions: shapes, checks of parameters and samples, expansion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import flambeau as fb

from . import constraints

__all__ = ["Distribution", "broadcast_all", "sum_rightmost"]


def broadcast_all(*values: Any) -> list[Any]:
    """Numbers and tensors as tensors of one shape and floating-point dtype.

    >>> [t.shape for t in broadcast_all(0., fb.ones(2))]
    [flambeau.Size([2]), flambeau.Size([2])]
    """
    tensors = [v for v in values if isinstance(v, fb.Tensor)]
    dtype = fb.get_default_dtype()
    found = [t.dtype for t in tensors if t.dtype.rank > 1]
    if found:
        dtype = found[0]
        for d in found[1:]:
            dtype = fb.promote_types(dtype, d)
    device = tensors[0].device if tensors else None
    for v in values:
        if not isinstance(v, (fb.Tensor, int, float)):
            raise ValueError(
                f"[distributions] parameters must be numbers or tensors: got {type(v).__name__}. Use flambeau.tensor()."
            )
    made = [
        v if isinstance(v, fb.Tensor) else fb.tensor(float(v), dtype=dtype, device=device) for v in values
    ]
    return list(fb.broadcast_tensors(*made))


def sum_rightmost(value: Any, n: int) -> Any:
    """The sum over the last n dimensions."""
    return value.sum(tuple(range(-n, 0))) if n else value


class Distribution:
    """A probability distribution.

    Subclasses set ``arg_constraints`` and ``support``, have their parameters as attributes of those names, and define
    ``rsample`` (or ``sample``), ``log_prob`` and what else is known in closed form.

    Args:
        batch_shape: the shape of independent distributions that parameters describe.
        event_shape: the shape of one sample.
        validate_args: whether parameters and values are checked; by default they are.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: ClassVar[dict[str, Any]] = {}
    support: Any = None
    #: Parameters' trailing dimensions that belong to the event, by name.
    param_event_dims: ClassVar[dict[str, int]] = {}
    _checked = True

    if TYPE_CHECKING:  # parameters are attributes

        def __getattr__(self, name: str) -> Any: ...

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions made from now on check their arguments."""
        if value not in (True, False):
            raise ValueError(f"[set_default_validate_args] expected a bool: got {value!r}.")
        Distribution._checked = value

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape, self._event_shape = fb.Size(batch_shape), fb.Size(event_shape)
        self._validate_args = Distribution._checked if validate_args is None else validate_args
        if self._validate_args:
            for name, constraint in self.arg_constraints.items():
                if constraints.is_dependent(constraint) or name not in self.__dict__:
                    continue
                value = self.__dict__[name]
                if not bool(constraint.check(value).all()):
                    raise ValueError(
                        f"[{type(self).__name__}] Expected parameter {name} ({type(value).__name__} of shape "
                        f"{tuple(value.shape)}) of distribution {self!r} to satisfy the constraint {constraint!r}, but "
                        f"found invalid values:\n{value}"
                    )

    @property
    def batch_shape(self) -> Any:
        """The shape of independent distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Any:
        """The shape of one sample."""
        return self._event_shape

    def _unknown(self, what: str) -> Any:
        raise NotImplementedError(
            f"[{type(self).__name__}] {what} has no closed form here. Estimate it from samples."
        )

    @property
    def mean(self) -> Any:
        """The mean."""
        return self._unknown("mean")

    @property
    def mode(self) -> Any:
        """Where the density is largest."""
        return self._unknown("mode")

    @property
    def variance(self) -> Any:
        """The variance."""
        return self._unknown("variance")

    @property
    def stddev(self) -> Any:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Samples without gradients: ``sample_shape + batch_shape + event_shape``."""
        with fb.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Samples that carry gradients by the parameters."""
        return self._unknown("rsample")

    def sample_n(self, n: int) -> Any:
        """``sample((n,))``."""
        return self.sample((n,))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density or probability of a value."""
        return self._unknown("log_prob")

    def cdf(self, value: Any) -> Any:
        """The probability of what is not larger than a value."""
        return self._unknown("cdf")

    def icdf(self, value: Any) -> Any:
        """The inverse of `cdf`."""
        return self._unknown("icdf")

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values of a discrete distribution along a new first dimension."""
        return self._unknown("enumerate_support")

    def entropy(self) -> Any:
        """The entropy, in nats."""
        return self._unknown("entropy")

    def perplexity(self) -> Any:
        """The exponential of the entropy."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> tuple[int, ...]:
        return (*sample_shape, *self._batch_shape, *self._event_shape)

    def _validate_sample(self, value: Any) -> None:
        if not isinstance(value, fb.Tensor):
            raise ValueError(
                f"[{type(self).__name__}] The value argument to log_prob must be a Tensor: got {value!r}."
            )
        n = len(self._event_shape)
        if tuple(value.shape[value.ndim - n :]) != tuple(self._event_shape):
            raise ValueError(
                f"[{type(self).__name__}] The right-most size of value must match event_shape: got "
                f"{list(value.shape)} vs {list(self._event_shape)}."
            )
        wanted = (*self._batch_shape, *self._event_shape)
        for i, j in zip(reversed(value.shape), reversed(wanted), strict=False):
            if i not in (1, j) and j != 1:
                raise ValueError(
                    f"[{type(self).__name__}] Value is not broadcastable with batch_shape+event_shape: got "
                    f"{list(value.shape)} vs {list(wanted)}."
                )
        support = self.support
        if (
            support is not None
            and not constraints.is_dependent(support)
            and not bool(support.check(value).all())
        ):
            raise ValueError(
                f"[{type(self).__name__}] Expected value argument ({type(value).__name__} of shape "
                f"{tuple(value.shape)}) to be within the support ({support!r}) of the distribution {self!r}, but "
                f"found invalid values:\n{value}"
            )

    def _checked_value(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return value

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution with its parameters expanded to a larger batch."""
        batch = tuple(batch_shape)
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        for name, value in self.__dict__.items():
            if isinstance(value, fb.Tensor):
                n = self.param_event_dims.get(name, 0)
                setattr(new, name, value.expand((*batch, *value.shape[value.ndim - n :])))
            elif isinstance(value, Distribution):
                extra = value.batch_shape[len(self._batch_shape) :]
                setattr(new, name, value.expand((*batch, *extra)))
        new._batch_shape = fb.Size(batch)
        return new

    def __repr__(self) -> str:
        held = [n for n in self.arg_constraints if n in self.__dict__]
        parts = [
            f"{n}: {self.__dict__[n] if self.__dict__[n].numel() == 1 else tuple(self.__dict__[n].shape)}"
            for n in held
        ]
        return f"{type(self).__name__}({', '.join(parts)})"
