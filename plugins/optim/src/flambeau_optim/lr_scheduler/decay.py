"""Schedules that lead from the initial rate downwards (or anywhere, for `LambdaLR`), without coming back.

Each rate follows from the last one by a factor, so that schedulers can be chained and a rate that the user
changed in between is kept; the closed forms serve `step(epoch)`.
"""

from __future__ import annotations

import math
import types
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from flambeau.plugin import message

from ..optimizer import Optimizer
from .base import LRScheduler, per_group

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "PolynomialLR",
    "StepLR",
]

Factor = Callable[[int], float]


class _FromFunctions(LRScheduler):
    """A schedule given by a function of the epoch, or by one per group."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | list[Factor], last_epoch: int = -1) -> None:
        self.lr_lambdas: list[Any] = per_group(type(self).__name__, optimizer, "lr_lambda", lr_lambda)
        for k, function in enumerate(self.lr_lambdas):
            if not callable(function):
                got = {f"lr_lambda[{k}]": function}
                raise TypeError(
                    message(type(self).__name__, "lr_lambda is not callable", "a function", **got)
                )
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and the functions; of callable objects their attributes."""
        state = {k: v for k, v in self.__dict__.items() if k not in ("optimizer", "lr_lambdas")}
        plain = (types.FunctionType, types.BuiltinFunctionType)
        state["lr_lambdas"] = [None if isinstance(f, plain) else dict(vars(f)) for f in self.lr_lambdas]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave; functions stay as they are."""
        saved = dict(state_dict)
        for function, attributes in zip(self.lr_lambdas, saved.pop("lr_lambdas"), strict=True):
            if attributes is not None:
                vars(function).update(attributes)
        self.__dict__.update(saved)


class LambdaLR(_FromFunctions):
    """The initial rate times a function of the epoch.

    Args:
        optimizer: whose rates are set.
        lr_lambda: epoch → factor, for all groups or a list with one for each.
        last_epoch: the number of steps done before.
    """

    def get_lr(self) -> list[Any]:
        """The rates of the step that is being taken."""
        self._current  # noqa: B018  (warns outside a step)
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(_FromFunctions):
    """The last rate times a function of the epoch.

    Args:
        optimizer: whose rates are set.
        lr_lambda: epoch → factor, for all groups or a list with one for each.
        last_epoch: the number of steps done before.
    """

    def get_lr(self) -> list[Any]:
        """The rates of the step that is being taken."""
        last = self._current
        if self._is_initial:
            return last
        return [lr * f(self.last_epoch) for lr, f in zip(last, self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """Multiply the rate by ``gamma`` every ``step_size`` epochs.

    Args:
        optimizer: whose rates are set.
        step_size: epochs between two changes.
        gamma: the factor.
        last_epoch: the number of steps done before.

    >>> import flambeau as fb
    >>> optimizer = fb.optim.SGD([fb.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fb.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> rates = []
    >>> for _ in range(5):
    ...     rates += scheduler.get_last_lr()
    ...     optimizer.step()
    ...     scheduler.step()
    >>> rates
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates of the step that is being taken."""
        last = self._current
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return last
        return [lr * self.gamma for lr in last]

    def _get_closed_form_lr(self) -> list[Any]:
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """Multiply the rate by ``gamma`` at given epochs.

    Args:
        optimizer: whose rates are set.
        milestones: the epochs; one that is listed twice counts twice.
        gamma: the factor.
        last_epoch: the number of steps done before.
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates of the step that is being taken."""
        times = self.milestones.get(self.last_epoch, 0)
        return [lr * self.gamma**times for lr in self._current]

    def _get_closed_form_lr(self) -> list[Any]:
        passed = sum(n for epoch, n in self.milestones.items() if epoch <= self.last_epoch)
        return [base * self.gamma**passed for base in self.base_lrs]


class ConstantLR(LRScheduler):
    """The initial rate times ``factor`` for the first ``total_iters`` epochs, then the initial rate.

    Args:
        optimizer: whose rates are set.
        factor: between 0 and 1.
        total_iters: how long.
        last_epoch: the number of steps done before.
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 < factor <= 1.0:
            raise ValueError(message("ConstantLR", "factor out of range", "0 < factor <= 1", factor=factor))
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates of the step that is being taken."""
        last = self._current
        if self.last_epoch == 0:
            return [lr * self.factor for lr in last]
        return [lr * (1.0 / self.factor) for lr in last] if self.last_epoch == self.total_iters else last

    def _get_closed_form_lr(self) -> list[Any]:
        return [base * (self.factor if self.last_epoch < self.total_iters else 1.0) for base in self.base_lrs]


class LinearLR(LRScheduler):
    """The initial rate times a factor that runs linearly from ``start_factor`` to ``end_factor``.

    Args:
        optimizer: whose rates are set.
        start_factor: the first factor.
        end_factor: the factor from ``total_iters`` on.
        total_iters: how long it takes.
        last_epoch: the number of steps done before.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1.0:
            need = "0 < start_factor <= 1"
            raise ValueError(
                message("LinearLR", "start_factor out of range", need, start_factor=start_factor)
            )
        if not 0 <= end_factor <= 1.0:
            raise ValueError(message("LinearLR", "end_factor out of range", "0..1", end_factor=end_factor))
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        done = min(epoch, self.total_iters) / self.total_iters if self.total_iters else 1.0
        return self.start_factor + (self.end_factor - self.start_factor) * done

    def get_lr(self) -> list[Any]:
        """The rates of the step that is being taken."""
        last = self._current
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in last]
        if self._is_initial or self.last_epoch > self.total_iters:
            return last
        ratio = self._factor(self.last_epoch) / self._factor(self.last_epoch - 1)
        return [lr * ratio for lr in last]

    def _get_closed_form_lr(self) -> list[Any]:
        return [base * self._factor(self.last_epoch) for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """Multiply the rate by ``gamma`` every epoch.

    Args:
        optimizer: whose rates are set.
        gamma: the factor.
        last_epoch: the number of steps done before.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates of the step that is being taken."""
        last = self._current
        return last if self._is_initial else [lr * self.gamma for lr in last]

    def _get_closed_form_lr(self) -> list[Any]:
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """The initial rate times ``(1 - epoch / total_iters) ** power``.

    Args:
        optimizer: whose rates are set.
        total_iters: when the rate reaches zero.
        power: the exponent.
        last_epoch: the number of steps done before.
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates of the step that is being taken."""
        last = self._current
        if self._is_initial or self.last_epoch > self.total_iters:
            return last
        left = (self.total_iters - self.last_epoch) / (self.total_iters - self.last_epoch + 1)
        return [lr * left**self.power for lr in last]

    def _get_closed_form_lr(self) -> list[Any]:
        left = 1.0 - min(self.last_epoch, self.total_iters) / self.total_iters
        return [base * left**self.power for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """From the initial rate to ``eta_min`` along half a cosine of ``T_max`` epochs.

    Args:
        optimizer: whose rates are set.
        T_max: epochs from the top to the bottom.
        eta_min: the lowest rate.
        last_epoch: the number of steps done before.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _height(self, epoch: int) -> float:
        return (1.0 + math.cos(math.pi * epoch / self.T_max)) / 2.0

    def get_lr(self) -> list[Any]:
        """The rates of the step that is being taken."""
        last = self._current
        if self._is_initial:
            return last
        if self._step_count == 1:  # resumed in the middle: there is no last rate of this schedule
            return self._get_closed_form_lr()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # on the way up from the bottom
            rise = (1.0 - math.cos(math.pi / self.T_max)) / 2.0
            return [lr + (base - self.eta_min) * rise for lr, base in zip(last, self.base_lrs, strict=True)]
        ratio = self._height(self.last_epoch) / self._height(self.last_epoch - 1)
        return [(lr - self.eta_min) * ratio + self.eta_min for lr in last]

    def _get_closed_form_lr(self) -> list[Any]:
        return [
            self.eta_min + (base - self.eta_min) * self._height(self.last_epoch) for base in self.base_lrs
        ]
