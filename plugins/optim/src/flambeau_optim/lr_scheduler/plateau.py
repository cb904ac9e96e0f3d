"""A schedule driven by a metric: lower the rate when it stops improving."""

from __future__ import annotations

import math
from typing import Any, Literal, SupportsFloat

from flambeau.plugin import message

from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, group_values, per_group, set_value

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by ``factor`` when a metric hasn't improved for ``patience`` epochs.

    Args:
        optimizer: whose rates are set.
        mode: ``"min"`` if lower is better, ``"max"`` if higher.
        factor: below 1.
        patience: how many epochs without improvement are borne.
        threshold: how much better counts as better.
        threshold_mode: ``"rel"`` (a part of the best) or ``"abs"``.
        cooldown: epochs to wait after a change.
        min_lr: the lowest rate, for all groups or a list with one for each.
        eps: smaller changes of the rate are not made.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
    ) -> None:
        op = "ReduceLROnPlateau"
        if factor >= 1.0:
            raise ValueError(message(op, "Factor should be < 1.0", "a number below 1", factor=factor))
        check_optimizer(op, optimizer)
        if mode not in ("min", "max"):
            raise ValueError(message(op, f"mode {mode} is unknown!", "'min' or 'max'", mode=mode))
        if threshold_mode not in ("rel", "abs"):
            wrong = f"threshold mode {threshold_mode} is unknown!"
            raise ValueError(message(op, wrong, "'rel' or 'abs'", threshold_mode=threshold_mode))
        self.optimizer = optimizer
        self.factor = factor
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.min_lrs: list[Any] = per_group(op, optimizer, "min_lr", min_lr)
        self.patience = patience
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self._last_lr = group_values(optimizer, "lr")
        self.mode = mode
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self._reset()

    def _reset(self) -> None:
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]
        """Look at the metric of an epoch.

        Args:
            metrics: a number or a tensor of one element.
            epoch: which epoch it is (deprecated in PyTorch too).
        """
        current = float(metrics)
        if epoch is not None:
            self._warn_epoch()
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(current, self.best):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._lower()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = group_values(self.optimizer, "lr")

    def _lower(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                do = "Add a value to scheduler.min_lrs for every group that was added to the optimizer."
                wrong = "the optimizer's number of groups has changed"
                raise RuntimeError(message("ReduceLROnPlateau", wrong, f"{len(groups)} min_lrs", do))
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            old = float(group["lr"])
            new = max(old * self.factor, lowest)
            if old - new > self.eps:
                set_value(group, "lr", new)

    @property
    def in_cooldown(self) -> bool:
        """Whether the last change is too recent for another one."""
        return self.cooldown_counter > 0

    def _is_better(self, value: float, best: float) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        margin = self.threshold * best if self.threshold_mode == "rel" else self.threshold
        return (best - value) * sign > margin if math.isfinite(best) else value * sign < best * sign
