"""Averages of models: stochastic weight averaging (SWA), exponential moving averages (EMA), and SWA's schedule.

Needs `flambeau.nn`, and is therefore imported on first use.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Literal

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import message

from .lr_scheduler.base import LRScheduler, check_optimizer, per_group
from .multi import multi_apply
from .optimizer import Optimizer

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
    "update_bn",
]  # fmt: skip

AvgFn = Callable[[Tensor, Tensor, Any], Tensor]
MultiAvgFn = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def _lerp(a: Any, b: Any, share: Any) -> Any:
    return (a + share * (b - a),)


def _blend(averaged: Sequence[Tensor], current: Sequence[Tensor], share: float) -> None:
    """Move averages by a share of the way to the current values, all in one call."""
    floats = [k for k, t in enumerate(averaged) if t.is_floating_point() or t.is_complex()]
    rows = [[ts[k].detach() for k in floats] for ts in (averaged, current)]
    for device in {t.device for t in rows[0]}:
        pairs = [
            [fb.view_as_real(t) if t.is_complex() else t for t in pair]
            for pair in zip(*rows, strict=True)
            if pair[0].device == device
        ]
        multi_apply(_lerp, ([a for a, _ in pairs],), ([b for _, b in pairs],), (share,))
    for k in set(range(len(averaged))).difference(floats):
        a = averaged[k].detach()
        a.copy_((a + (current[k] - a) * share).to(a.dtype))


def _check_decay(op: str, decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(message(op, "Invalid decay value", "0..1", decay=decay))


def get_ema_avg_fn(decay: float = 0.999) -> AvgFn:
    """A function ``(average, current, n) -> average`` for an exponential moving average.

    Args:
        decay: how much of the average an update keeps, 0..1.
    """
    _check_decay("get_ema_avg_fn", decay)

    def ema_update(average: Tensor, current: Tensor, _: Any) -> Tensor:
        return decay * average + (1.0 - decay) * current

    return ema_update


def get_swa_avg_fn() -> AvgFn:
    """A function ``(average, current, n) -> average`` for the mean of n + 1 models."""

    def swa_update(average: Tensor, current: Tensor, n_averaged: Any) -> Tensor:
        mean: Tensor = average + (current - average) / (n_averaged + 1)
        return mean

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAvgFn:
    """A function ``(averages, currents, n)`` that updates all averages in one call.

    Args:
        decay: how much of the average an update keeps, 0..1.
    """
    _check_decay("get_ema_multi_avg_fn", decay)

    def ema_update(averaged: Sequence[Tensor], current: Sequence[Tensor], _: Any) -> None:
        _blend(averaged, current, 1.0 - decay)

    return ema_update


def get_swa_multi_avg_fn() -> MultiAvgFn:
    """A function ``(averages, currents, n)`` that makes all averages the means of n + 1 models, in one call."""

    def swa_update(averaged: Sequence[Tensor], current: Sequence[Tensor], n_averaged: Any) -> None:
        _blend(averaged, current, 1.0 / (float(n_averaged) + 1.0))

    return swa_update


class AveragedModel(fb.nn.Module):
    """A copy of a model whose parameters are averages of the model's over the updates.

    Args:
        model: the model; it is copied.
        device: where the averages lie (default: where the model does).
        avg_fn: ``(average, current, n) -> average`` (default: the mean of all models).
        multi_avg_fn: ``(averages, currents, n)``, writing into the averages; instead of ``avg_fn``.
        use_buffers: average buffers as well; otherwise they are copied from the model.

    Attributes:
        module: the copy.
        n_averaged: how many updates there were, an int64 tensor.

    >>> from flambeau import nn
    >>> model = nn.Linear(1, 1, bias=False)
    >>> averaged = fb.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     with fb.no_grad():
    ...         _ = model.weight.fill_(value)
    ...     averaged.update_parameters(model)
    >>> averaged.module.weight.item()
    3.0
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: fb.nn.Module,
        device: Any = None,
        avg_fn: AvgFn | None = None,
        multi_avg_fn: MultiAvgFn | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            need = "one of avg_fn and multi_avg_fn"
            raise AssertionError(
                message("AveragedModel", "Only one of avg_fn and multi_avg_fn should be provided", need)
            )
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", fb.tensor(0, dtype=fb.int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the averaged model."""
        return self.module(*args, **kwargs)

    def _values(self, model: fb.nn.Module) -> list[Tensor]:
        values = chain(model.parameters(), model.buffers()) if self.use_buffers else model.parameters()
        return [t.detach() for t in values]

    @fb.no_grad()
    def update_parameters(self, model: fb.nn.Module) -> None:
        """Take one more state of the model into the averages.

        Args:
            model: has the parameters and buffers of the model that was given first, in the same order.
        """
        mine = self._values(self.module)
        theirs = [t.to(a.device) for t, a in zip(self._values(model), mine, strict=True)]
        n = int(self.n_averaged)
        if n == 0:
            for average, current in zip(mine, theirs, strict=True):
                average.copy_(current)
        elif self.avg_fn is None:
            (self.multi_avg_fn or get_swa_multi_avg_fn())(mine, theirs, self.n_averaged)
        else:
            for average, current in zip(mine, theirs, strict=True):
                average.copy_(self.avg_fn(average, current, self.n_averaged.to(average.device)))
        if not self.use_buffers:
            for mine_b, theirs_b in zip(self.module.buffers(), model.buffers(), strict=True):
                mine_b.copy_(theirs_b)
        self.n_averaged += 1


@fb.no_grad()
def update_bn(loader: Iterable[Any], model: fb.nn.Module, device: Any = None) -> None:
    """Measure the running means and variances of a model's batch normalisations anew, as plain means over a loader.

    Args:
        loader: gives batches: tensors, or lists and tuples whose first item is the model's input.
        model: the model; in the end it is in the mode that it was in.
        device: where to move the batches first.
    """
    norms = [m for m in model.modules() if hasattr(m, "reset_running_stats") and hasattr(m, "momentum")]
    momenta = [m.momentum for m in norms]
    if not norms:
        return
    was_training = model.training
    model.train()
    try:
        for m in norms:
            m.reset_running_stats()
            m.momentum = None
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    finally:
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """From the rate of the moment to SWA's constant one.

    Args:
        optimizer: whose rates are set.
        swa_lr: the rate in the end, for all groups or a list with one for each.
        anneal_epochs: how many steps the change takes.
        anneal_strategy: its shape, ``"cos"`` or ``"linear"``.
        last_epoch: the number of steps done before.

    Raises:
        ValueError: an option is out of its range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("SWALR", optimizer)
        if anneal_strategy not in ("cos", "linear"):
            wrong = "anneal_strategy must be one of 'cos' or 'linear'"
            raise ValueError(message("SWALR", wrong, anneal_strategy=anneal_strategy))
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            wrong = "anneal_epochs must be equal or greater than 0"
            raise ValueError(message("SWALR", wrong, anneal_epochs=anneal_epochs))
        for lr, group in zip(
            per_group("SWALR", optimizer, "swa_lr", swa_lr), optimizer.param_groups, strict=True
        ):
            group["swa_lr"] = lr
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of the way is done after a number of steps."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1.0 - math.cos(math.pi * t)) / 2.0

    def get_lr(self) -> list[Any]:
        """The rates of the step that is being taken."""
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group, lr in zip(self.optimizer.param_groups, self._current, strict=True):
            goal = group["swa_lr"]
            start = goal if before == 1.0 else (lr - before * goal) / (1.0 - before)
            rates.append(goal * now + start * (1.0 - now))
        return rates
