"""Schedules that go up and down, some of them moving the momentum the other way."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from flambeau.plugin import message

from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, per_group, set_value

__all__ = ["CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"]


class _MomentumCycle(LRScheduler):
    """Shared by the schedules that move the momentum (or the first of Adam's betas) as well as the rate."""

    cycle_momentum: bool
    use_beta1: bool

    def _start_momentum(
        self, optimizer: Optimizer, low: Any, high: Any, fresh: bool
    ) -> tuple[list[Any], list[Any]]:
        op = type(self).__name__
        self.use_beta1 = "betas" in optimizer.defaults
        if not self.use_beta1 and "momentum" not in optimizer.defaults:
            wrong = f"optimizer must support momentum or beta1 to cycle it: {type(optimizer).__name__} has neither"
            raise ValueError(message(op, wrong, "an optimizer with a momentum", "Pass cycle_momentum=False."))
        lows = per_group(op, optimizer, "base_momentum", low)
        highs = per_group(op, optimizer, "max_momentum", high)
        if fresh:
            for lowest, highest, group in zip(lows, highs, optimizer.param_groups, strict=True):
                self._set_momentum(group, highest)
                group["max_momentum"], group["base_momentum"] = highest, lowest
        return lows, highs

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class OneCycleLR(_MomentumCycle):
    """Up to ``max_lr``, then down far below the start, in one cycle over the whole training (Smith, 2018).

    Args:
        optimizer: whose rates are set.
        max_lr: the top, for all groups or a list with one for each.
        total_steps: how many steps the training takes; or give ``epochs`` and ``steps_per_epoch``.
        epochs: how many epochs.
        steps_per_epoch: steps in each.
        pct_start: which part of the steps goes upwards.
        anneal_strategy: the shape, ``"cos"`` or ``"linear"``.
        cycle_momentum: move the momentum the other way.
        base_momentum: the lowest momentum, at the top.
        max_momentum: the highest, at both ends.
        div_factor: the first rate is ``max_lr / div_factor``.
        final_div_factor: the last rate is the first one divided by this.
        three_phase: come down as one went up, then go on downwards.
        last_epoch: the number of steps done before.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        op = "OneCycleLR"
        check_optimizer(op, optimizer)
        if total_steps is not None:
            self.total_steps = _positive(op, "total_steps", total_steps)
        elif epochs is not None and steps_per_epoch is not None:
            self.total_steps = _positive(op, "epochs", epochs) * _positive(
                op, "steps_per_epoch", steps_per_epoch
            )
        else:
            wrong = "length of the cycle is unknown"
            raise ValueError(message(op, wrong, "total_steps, or epochs and steps_per_epoch"))
        if not 0 <= pct_start <= 1:
            raise ValueError(
                message(op, "pct_start out of range", "a number between 0 and 1", pct_start=pct_start)
            )
        if anneal_strategy not in ("cos", "linear"):
            got = {"anneal_strategy": anneal_strategy}
            raise ValueError(message(op, "unknown anneal_strategy", "'cos' or 'linear'", **got))
        self._anneal_func_type = anneal_strategy
        peak, end = float(pct_start * self.total_steps) - 1, self.total_steps - 1
        up = _phase(peak, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        if three_phase:
            back = _phase(2 * peak, "max_lr", "initial_lr", "base_momentum", "max_momentum")
            rest = _phase(end, "initial_lr", "min_lr", "max_momentum", "max_momentum")
            self._schedule_phases = [up, back, rest]
        else:
            self._schedule_phases = [up, _phase(end, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        tops = per_group(op, optimizer, "max_lr", max_lr)
        if last_epoch == -1:
            for top, group in zip(tops, optimizer.param_groups, strict=True):
                group["initial_lr"] = top / div_factor
                group["max_lr"] = top
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._start_momentum(optimizer, base_momentum, max_momentum, last_epoch == -1)
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, part: float) -> float:
        if self._anneal_func_type == "linear":
            return start + (end - start) * part
        return end + (start - end) * (math.cos(math.pi * part) + 1.0) / 2.0

    def get_lr(self) -> list[Any]:
        """The rates of the step that is being taken; moves the momentum too."""
        self._current  # noqa: B018  (warns outside a step)
        step = self.last_epoch
        if step > self.total_steps:
            do = "Give total_steps (or epochs and steps_per_epoch) as large as the training really is."
            wrong = f"stepped {step} times, the schedule ends after {self.total_steps} total steps"
            raise ValueError(message("OneCycleLR", wrong, do=do))
        begin = 0.0
        phase = self._schedule_phases[0]
        for phase in self._schedule_phases:
            if step <= phase["end_step"] or phase is self._schedule_phases[-1]:
                break
            begin = phase["end_step"]
        length = phase["end_step"] - begin
        part = (step - begin) / length if length else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], part))
            if self.cycle_momentum:
                first, last = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._between(first, last, part))
        return rates


def _positive(op: str, name: str, value: Any) -> int:
    if not isinstance(value, int) or value <= 0:
        raise ValueError(message(op, f"{name} is not positive", "a positive integer", **{name: value}))
    return value


def _phase(end: float, lr0: str, lr1: str, momentum0: str, momentum1: str) -> dict[str, Any]:
    return {
        "end_step": end,
        "start_lr": lr0,
        "end_lr": lr1,
        "start_momentum": momentum0,
        "end_momentum": momentum1,
    }


class CyclicLR(_MomentumCycle):
    """Up and down between two rates, for ever (Smith, 2017).

    Args:
        optimizer: whose rates are set.
        base_lr: the lowest rate, for all groups or a list with one for each.
        max_lr: the top of the first cycle.
        step_size_up: steps from the lowest to the highest.
        step_size_down: steps back; as many by default.
        mode: ``"triangular"``, ``"triangular2"`` (half as high each cycle) or ``"exp_range"`` (times
            ``gamma`` each step).
        gamma: see ``mode``.
        scale_fn: a function that replaces the mode: of the cycle's number or the step → scale of the height.
        scale_mode: what ``scale_fn`` takes, ``"cycle"`` or ``"iterations"``.
        cycle_momentum: move the momentum the other way.
        base_momentum: the lowest momentum, at the top.
        max_momentum: the highest, at the bottom.
        last_epoch: the number of steps done before.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        op = "CyclicLR"
        check_optimizer(op, optimizer)
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            need = "'triangular', 'triangular2' or 'exp_range'"
            raise ValueError(message(op, "mode is invalid and scale_fn is None", need, mode=mode))
        lows = per_group(op, optimizer, "base_lr", base_lr)
        if last_epoch == -1:
            for lr, group in zip(lows, optimizer.param_groups, strict=True):
                set_value(group, "lr", lr)
        self.max_lrs = per_group(op, optimizer, "max_lr", max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = (
            scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        )
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            ends = self._start_momentum(optimizer, base_momentum, max_momentum, last_epoch == -1)
            self.base_momentums, self.max_momentums = ends
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lows

    def scale_fn(self, x: float) -> float:
        """How high the cycle (or step) ``x`` reaches, as a part of the first cycle's height."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "exp_range":
            return float(self.gamma**x)
        return float(0.5 ** (x - 1)) if self.mode == "triangular2" else 1.0

    def get_lr(self) -> list[Any]:
        """The rates of the step that is being taken; moves the momentum too."""
        self._current  # noqa: B018  (warns outside a step)
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            ends = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in ends:
                self._set_momentum(group, high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and a scale function; of a callable object its attributes."""
        state = super().state_dict()
        function = state.pop("_scale_fn_custom")
        keep = function is not None and hasattr(function, "__dict__") and not hasattr(function, "__code__")
        state["_scale_fn_custom"] = dict(vars(function)) if keep else None
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave; a scale function stays as it is."""
        saved = dict(state_dict)
        attributes = saved.pop("_scale_fn_custom", None)
        self.__dict__.update(saved)
        if attributes is not None:
            vars(self._scale_fn_custom).update(attributes)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Down along half a cosine, then up again at once, each time over longer (Loshchilov and Hutter, 2016).

    Args:
        optimizer: whose rates are set.
        T_0: epochs until the first restart.
        T_mult: how many times longer each next period is.
        eta_min: the lowest rate.
        last_epoch: the number of steps done before.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        op = "CosineAnnealingWarmRestarts"
        _positive(op, "T_0", T_0)
        _positive(op, "T_mult", T_mult)
        self.T_0 = T_0
        self.T_i: float = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates of the step that is being taken."""
        self._current  # noqa: B018  (warns outside a step)
        height = (1.0 + math.cos(math.pi * self.T_cur / self.T_i)) / 2.0
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Set the next rates.

        Args:
            epoch: where to go, also between two epochs (``epoch + batch / batches``); one on by default.
        """
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = 0 if epoch is None else epoch
            if epoch < 0:
                wrong, need = "Expected non-negative epoch", "an epoch >= 0"
                raise ValueError(message("CosineAnnealingWarmRestarts", wrong, need, epoch=epoch))
            self._go_to(epoch)
        self.last_epoch = math.floor(epoch)
        self._apply(self.get_lr)

    def _go_to(self, epoch: float) -> None:
        """Find the period in which an epoch lies, and how far in."""
        self.T_cur, self.T_i = epoch, self.T_0
        if self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            while self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
