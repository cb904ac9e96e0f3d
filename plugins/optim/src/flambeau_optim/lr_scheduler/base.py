"""The base class of the learning-rate schedulers.

A scheduler computes, from the rates of the last step or from the initial ones, the rates of the next step
(`get_lr`); `step` writes them into the optimizer's groups. Constructing one takes the step to epoch 0.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

from flambeau import Tensor
from flambeau.plugin import message

from ..optimizer import Optimizer

__all__ = ["LRScheduler", "Rate", "check_optimizer", "group_values", "per_group", "set_value"]

Rate: TypeAlias = float | Tensor


def set_value(group: dict[str, Any], name: str, value: Any) -> None:
    """Give an option of a group a new value; an option that is a tensor keeps its identity."""
    if isinstance(group[name], Tensor):
        group[name].fill_(float(value))
    else:
        group[name] = value


def group_values(optimizer: Optimizer, name: str) -> list[Any]:
    """An option of all groups; tensors are copied."""
    values = [group[name] for group in optimizer.param_groups]
    return [v.clone() if isinstance(v, Tensor) else v for v in values]


def check_optimizer(op: str, optimizer: Any) -> None:
    """Refuse what isn't an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(message(op, f"{type(optimizer).__name__} is not an Optimizer", "an Optimizer"))


def per_group(op: str, optimizer: Optimizer, name: str, value: Any) -> list[Any]:
    """An argument given once for all groups, or as a list with one value for each."""
    n = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * n
    if len(value) != n:
        got: dict[str, Any] = {name: value}
        raise ValueError(message(op, f"wrong number of values for {name}", f"{n}, one per group", **got))
    return list(value)


class LRScheduler:
    """Base class of the schedulers.

    A subclass defines ``get_lr()`` in terms of ``last_epoch``, ``base_lrs`` and the rates in
    ``optimizer.param_groups``, and may define ``_get_closed_form_lr()``, which needs no last rates.

    Args:
        optimizer: whose rates are set.
        last_epoch: the number of steps done before; -1 starts anew.

    Attributes:
        base_lrs: the groups' initial rates.
        last_epoch: how many steps were taken.
    """

    _is_initial: bool = False
    _get_lr_called_within_step: bool = False
    _get_closed_form_lr: Callable[[], list[Any]]

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        op = type(self).__name__
        check_optimizer(op, optimizer)
        self.optimizer = optimizer
        for k, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                lr = group["lr"]
                group.setdefault("initial_lr", lr.clone() if isinstance(lr, Tensor) else lr)
            elif "initial_lr" not in group:
                wrong = f"param 'initial_lr' is not specified in param_groups[{k}] when resuming a scheduler"
                do = "Load the optimizer's state_dict first, or leave last_epoch out."
                raise KeyError(message(op, wrong, "initial_lr in every group", do, last_epoch=last_epoch))
        self.base_lrs: list[Any] = group_values(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        """The step to the first rates."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """The rates that the last step set, one per group."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """The rates of the step that is being taken, one per group."""
        raise NotImplementedError(
            f"[{type(self).__name__}] has no get_lr(): a subclass of LRScheduler defines it."
        )

    def step(self, epoch: int | None = None) -> None:
        """Set the next rates; call it after ``optimizer.step()``.

        Args:
            epoch: jump to this epoch instead of the next one (deprecated in PyTorch too).
        """
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first rate of the schedule "
                "is skipped. Call them in the opposite order.",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            self._warn_epoch()
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed = epoch is not None and hasattr(self, "_get_closed_form_lr")
        self._apply(self._get_closed_form_lr if closed else self.get_lr)

    def _apply(self, rates: Callable[[], list[Any]]) -> None:
        """Write rates into the groups."""
        self._get_lr_called_within_step = True
        try:
            values = rates()
        finally:
            self._get_lr_called_within_step = False
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            set_value(group, "lr", lr)
        self._last_lr = group_values(self.optimizer, "lr")

    @property
    def _current(self) -> list[Any]:
        """The rates of the last step, as `get_lr` reads them."""
        if not self._get_lr_called_within_step:
            text = "To get the last learning rate computed by the scheduler, please use `get_last_lr()`."
            warnings.warn(text, UserWarning, stacklevel=3)
        return group_values(self.optimizer, "lr")

    @staticmethod
    def _warn_epoch() -> None:
        text = "The epoch argument of scheduler.step() is deprecated; call scheduler.step() once per epoch instead."
        warnings.warn(text, UserWarning, stacklevel=3)
