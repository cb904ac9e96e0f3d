"""What values a parameter or a sample may have; `check` says so elementwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flambeau as fb

__all__ = [
    "Constraint", "boolean", "cat", "corr_cholesky", "dependent", "dependent_property", "greater_than",
    "greater_than_eq", "half_open_interval", "independent", "integer_interval", "interval", "is_dependent", "less_than",
    "lower_cholesky", "lower_triangular", "multinomial", "nonnegative", "nonnegative_integer", "one_hot", "positive",
    "positive_definite", "positive_integer", "positive_semidefinite", "real", "real_vector", "simplex", "square",
    "stack", "symmetric", "unit_interval",
]  # fmt: skip


class Constraint:
    """A region of values.

    Args:
        name: for messages.
        test: ``test(value)`` says which values (or events) lie inside.
        is_discrete: whether the values are integers.
        event_dim: how many dimensions make one event.
        fields: what else is to be known of it, such as bounds.
    """

    def __init__(
        self,
        name: str,
        test: Callable[[Any], Any],
        is_discrete: bool = False,
        event_dim: int = 0,
        **fields: Any,
    ) -> None:
        self.name, self.test, self.is_discrete, self.event_dim = name, test, is_discrete, event_dim
        self.fields = fields

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__.get("fields", {})
        if name in fields:
            return fields[name]
        raise AttributeError(f"constraint {self.__dict__.get('name')} has no attribute {name!r}")

    def check(self, value: Any) -> Any:
        """Whether each value (or event) lies inside.

        >>> import flambeau as fb
        >>> fb.distributions.constraints.positive.check(fb.tensor([-1., 1.]))
        tensor([False,  True])
        """
        return self.test(value)

    def __repr__(self) -> str:
        return self.name


def _dependent(value: Any) -> Any:
    raise ValueError("[constraints] a dependent constraint can't be checked: it needs the other parameters.")


def _whole(value: Any) -> Any:
    return value % 1 == 0


def _all(ok: Any, n: int) -> Any:
    for _ in range(n):
        ok = ok.all(-1)
    return ok


dependent = Constraint("Dependent()", _dependent)
boolean = Constraint("Boolean()", lambda v: (v == 0) | (v == 1), True)
real = Constraint("Real()", lambda v: v == v)
nonnegative_integer = Constraint("IntegerGreaterThan(lower_bound=0)", lambda v: _whole(v) & (v >= 0), True,
                                 lower_bound=0)  # fmt: skip
positive_integer = Constraint("IntegerGreaterThan(lower_bound=1)", lambda v: _whole(v) & (v >= 1), True,
                              lower_bound=1)  # fmt: skip


def is_dependent(constraint: Any) -> bool:
    """Whether a constraint depends on other parameters."""
    return constraint is dependent or getattr(constraint, "name", "") == "Dependent()"


class dependent_property(property):
    """A property of a distribution that is a constraint which depends on its parameters."""

    def __init__(self, fn: Any = None, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        super().__init__(fn)
        self.is_discrete, self.event_dim, self.name = is_discrete, event_dim, "Dependent()"

    def __call__(self, fn: Any) -> dependent_property:
        return dependent_property(fn, is_discrete=self.is_discrete, event_dim=self.event_dim)


def integer_interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """Integers from one bound to the other, both included."""
    return Constraint(
        f"IntegerInterval(lower_bound={lower_bound}, upper_bound={upper_bound})",
        lambda v: _whole(v) & (lower_bound <= v) & (v <= upper_bound), True,
        lower_bound=lower_bound, upper_bound=upper_bound,
    )  # fmt: skip


def interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """Numbers from one bound to the other, both included."""
    return Constraint(
        f"Interval(lower_bound={lower_bound}, upper_bound={upper_bound})",
        lambda v: (lower_bound <= v) & (v <= upper_bound), lower_bound=lower_bound, upper_bound=upper_bound,
    )  # fmt: skip


def half_open_interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """Numbers from the lower bound up to, without, the upper one."""
    return Constraint(
        f"HalfOpenInterval(lower_bound={lower_bound}, upper_bound={upper_bound})",
        lambda v: (lower_bound <= v) & (v < upper_bound), lower_bound=lower_bound, upper_bound=upper_bound,
    )  # fmt: skip


def greater_than(lower_bound: Any) -> Constraint:
    """Numbers above a bound."""
    return Constraint(
        f"GreaterThan(lower_bound={lower_bound})", lambda v: v > lower_bound, lower_bound=lower_bound
    )


def greater_than_eq(lower_bound: Any) -> Constraint:
    """Numbers at or above a bound."""
    return Constraint(
        f"GreaterThanEq(lower_bound={lower_bound})", lambda v: v >= lower_bound, lower_bound=lower_bound
    )


def less_than(upper_bound: Any) -> Constraint:
    """Numbers below a bound."""
    return Constraint(
        f"LessThan(upper_bound={upper_bound})", lambda v: v < upper_bound, upper_bound=upper_bound
    )


positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)


def independent(base_constraint: Any, reinterpreted_batch_ndims: int) -> Any:
    """A constraint of which the last dimensions count as one event."""
    if not reinterpreted_batch_ndims:
        return base_constraint
    return Constraint(
        f"Independent({base_constraint}, {reinterpreted_batch_ndims})",
        lambda v: _all(base_constraint.check(v), reinterpreted_batch_ndims), base_constraint.is_discrete,
        base_constraint.event_dim + reinterpreted_batch_ndims, base_constraint=base_constraint,
        reinterpreted_batch_ndims=reinterpreted_batch_ndims,
    )  # fmt: skip


real_vector = independent(real, 1)
simplex = Constraint("Simplex()", lambda v: (v >= 0).all(-1) & ((v.sum(-1) - 1).abs() < 1e-6), event_dim=1)
one_hot = Constraint("OneHot()", lambda v: ((v == 0) | (v == 1)).all(-1) & (v.sum(-1) == 1), True, 1)


def multinomial(upper_bound: Any) -> Constraint:
    """Counts that sum to at most a bound."""
    return Constraint(
        "Multinomial()",
        lambda v: (v >= 0).all(-1) & (v.sum(-1) <= upper_bound),
        True,
        1,
        upper_bound=upper_bound,
    )


square = Constraint(
    "Square()", lambda v: fb.full(v.shape[:-2], v.shape[-1] == v.shape[-2], dtype=fb.bool, device=v.device),
    event_dim=2,
)  # fmt: skip
lower_triangular = Constraint("LowerTriangular()", lambda v: _all(v.tril() == v, 2), event_dim=2)
lower_cholesky = Constraint(
    "LowerCholesky()",
    lambda v: _all(v.tril() == v, 2) & (v.diagonal(dim1=-2, dim2=-1) > 0).all(-1),
    event_dim=2,
)


def _corr(v: Any) -> Any:
    unit = ((v * v).sum(-1) - 1).abs() <= v.shape[-1] * 10 * fb.finfo(v.dtype).eps
    return lower_cholesky.check(v) & unit.all(-1)


def _symmetric(v: Any) -> Any:
    return square.check(v) & _all(v.isclose(v.mT, atol=1e-6), 2)


corr_cholesky = Constraint("CorrCholesky()", _corr, event_dim=2)
symmetric = Constraint("Symmetric()", _symmetric, event_dim=2)
positive_semidefinite = Constraint(
    "PositiveSemidefinite()", lambda v: _symmetric(v) & (fb.linalg.eigvalsh(v) >= 0).all(-1), event_dim=2
)
positive_definite = Constraint(
    "PositiveDefinite()", lambda v: _symmetric(v) & (fb.linalg.cholesky_ex(v).info == 0), event_dim=2
)


def cat(cseq: Sequence[Any], dim: int = 0, lengths: Sequence[int] | None = None) -> Constraint:
    """Several constraints, one behind the other along a dimension."""
    sizes = [1] * len(cseq) if lengths is None else list(lengths)

    def check(v: Any) -> Any:
        return fb.cat([c.check(part) for c, part in zip(cseq, v.split(sizes, dim), strict=True)], dim)

    return Constraint("Cat()", check, any(c.is_discrete for c in cseq), max(c.event_dim for c in cseq))


def stack(cseq: Sequence[Any], dim: int = 0) -> Constraint:
    """Several constraints, one for each place along a dimension."""

    def check(v: Any) -> Any:
        return fb.stack([c.check(part) for c, part in zip(cseq, v.unbind(dim), strict=True)], dim)

    return Constraint("Stack()", check, any(c.is_discrete for c in cseq), max(c.event_dim for c in cseq))
