"""Maps from unconstrained numbers to those of a constraint: `biject_to` (bijections) and `transform_to` (any)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import constraints, transforms

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """From constraints to transforms.

    Registered are constraints, or the functions that make them; a factory gets the constraint.
    """

    def __init__(self) -> None:
        self._made: dict[str, Callable[[Any], Any]] = {}

    def register(self, constraint: Any, factory: Callable[[Any], Any] | None = None) -> Any:
        """Name the factory for a constraint; usable as a decorator."""
        if factory is None:
            return lambda f: self.register(constraint, f)
        self._made[_kind(constraint)] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        """The transform for a constraint."""
        factory = self._made.get(_kind(constraint))
        if factory is None:
            raise NotImplementedError(f"[transform_to] Cannot transform {constraint!r} constraints.")
        return factory(constraint)


def _kind(constraint: Any) -> str:
    name = getattr(constraint, "name", None) or constraint.__name__
    return str(name).partition("(")[0]


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _both(constraint: Any, factory: Callable[[Any], Any]) -> None:
    biject_to.register(constraint, factory)
    transform_to.register(constraint, factory)


def _interval(c: Any) -> Any:
    low, high = c.lower_bound, c.upper_bound
    unit = isinstance(low, (int, float)) and isinstance(high, (int, float)) and low == 0 and high == 1
    if unit:
        return transforms.SigmoidTransform()
    return transforms.ComposeTransform(
        [transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low)]
    )


def _above(c: Any) -> Any:
    return transforms.ComposeTransform(
        [transforms.ExpTransform(), transforms.AffineTransform(c.lower_bound, 1)]
    )


def _positive(c: Any) -> Any:
    zero = isinstance(c.lower_bound, (int, float)) and c.lower_bound == 0
    return transforms.ExpTransform() if zero else _above(c)


_both(constraints.real, lambda c: transforms.identity_transform)
_both(constraints.positive, _positive)
_both(constraints.nonnegative, _positive)
_both(constraints.less_than(0), lambda c: transforms.ComposeTransform(
    [transforms.ExpTransform(), transforms.AffineTransform(c.upper_bound, -1)]))  # fmt: skip
_both(constraints.unit_interval, _interval)
_both(constraints.half_open_interval(0, 1), _interval)
_both(constraints.lower_cholesky, lambda c: transforms.LowerCholeskyTransform())
_both(constraints.positive_definite, lambda c: transforms.PositiveDefiniteTransform())
_both(constraints.positive_semidefinite, lambda c: transforms.PositiveDefiniteTransform())
_both(constraints.corr_cholesky, lambda c: transforms.CorrCholeskyTransform())
biject_to.register(constraints.simplex, lambda c: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: transforms.SoftmaxTransform())


def _independent(registry: ConstraintRegistry) -> Callable[[Any], Any]:
    return lambda c: transforms.IndependentTransform(registry(c.base_constraint), c.reinterpreted_batch_ndims)


for _registry in (biject_to, transform_to):
    _registry.register(constraints.real_vector, _independent(_registry))
