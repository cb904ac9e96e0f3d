"""Schedules made of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from flambeau.plugin import message

from ..optimizer import Optimizer
from .base import LRScheduler, group_values, set_value
from .plateau import ReduceLROnPlateau

__all__ = ["ChainedScheduler", "SequentialLR"]


def _check(op: str, optimizer: Any, schedulers: Sequence[Any]) -> None:
    if not schedulers:
        raise ValueError(message(op, "got no scheduler", "at least one scheduler"))
    for k, scheduler in enumerate(schedulers):
        if not hasattr(scheduler, "optimizer"):
            raise TypeError(
                message(op, f"schedulers[{k}] is no scheduler", "a scheduler", scheduler=scheduler)
            )
        if isinstance(scheduler, ReduceLROnPlateau):
            do = "It needs a metric at every step; step it by itself."
            raise ValueError(message(op, f"ReduceLROnPlateau at schedulers[{k}] is not supported", do=do))
        if scheduler.optimizer is not optimizer:
            wrong = f"schedulers[{k}] ({type(scheduler).__name__}) belongs to another optimizer"
            raise ValueError(message(op, wrong, "all schedulers of one optimizer"))


def _save(scheduler: Any) -> dict[str, Any]:
    state = {k: v for k, v in scheduler.__dict__.items() if k not in ("optimizer", "_schedulers")}
    state["_schedulers"] = [s.state_dict() for s in scheduler._schedulers]
    return state


def _load(scheduler: Any, state_dict: dict[str, Any]) -> None:
    saved = dict(state_dict)
    parts = saved.pop("_schedulers")
    scheduler.__dict__.update(saved)
    for s, state in zip(scheduler._schedulers, parts, strict=True):
        s.load_state_dict(state)


class SequentialLR(LRScheduler):
    """One schedule after the other: a warm-up, then a decay.

    Args:
        optimizer: whose rates are set.
        schedulers: in order.
        milestones: the epochs at which the next one takes over (one fewer than schedulers).
        last_epoch: the number of steps done before.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        _check("SequentialLR", optimizer, schedulers)
        if len(milestones) != len(schedulers) - 1:
            wrong = "number of milestones doesn't fit the number of schedulers"
            got: dict[str, Any] = {"schedulers": schedulers, "milestones": milestones}
            raise ValueError(message("SequentialLR", wrong, f"{len(schedulers) - 1} milestones", **got))
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Each scheduler took its step to epoch 0 when it was made: take them back, and let only the first one go.
        for group in optimizer.param_groups:
            set_value(group, "lr", group["initial_lr"])
        _undo(self)
        first = self._schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        """Step the scheduler whose turn it is."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        k = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[k]
        if k and self._milestones[k - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, with the states of the schedulers."""
        return _save(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        _load(self, state_dict)


def _undo(scheduler: Any) -> None:
    parts = getattr(scheduler, "_schedulers", None)
    if parts is None:
        scheduler.last_epoch -= 1
    else:
        for s in parts:
            _undo(s)


class ChainedScheduler(LRScheduler):
    """Several schedules at once, each changing the rates that the one before it left.

    Args:
        schedulers: in order.
        optimizer: theirs; the first scheduler's by default.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        optimizer = optimizer or (schedulers[0].optimizer if schedulers else None)
        _check("ChainedScheduler", optimizer, schedulers)
        assert optimizer is not None
        self._schedulers = schedulers
        self.optimizer = optimizer
        self._last_lr = group_values(optimizer, "lr")

    def step(self, epoch: int | None = None) -> None:
        """Step all of them."""
        for scheduler in self._schedulers:
            scheduler.step() if epoch is None else scheduler.step(epoch)
        self._last_lr = group_values(self.optimizer, "lr")

    def state_dict(self) -> dict[str, Any]:
        """The states of the schedulers."""
        return _save(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        _load(self, state_dict)
