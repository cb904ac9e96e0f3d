"""Averaged stochastic gradient descent."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from flambeau import Tensor

from .group import GroupOptimizer, check_at_least_zero, check_scalar, choose, descend
from .optimizer import ParamsT

__all__ = ["ASGD"]


class ASGD(GroupOptimizer):
    """Averaged stochastic gradient descent (Polyak and Juditsky, 1992).

    Steps shrink as ``eta(t) = lr / (1 + lambd * lr * t) ** alpha``; from step ``t0`` on the state ``ax`` is the mean
    of the parameters so far, which is what to use in the end.

    Args:
        params: tensors, ``(name, tensor)`` pairs or dicts.
        lr: learning rate.
        lambd: decay term.
        alpha: power of the shrinking.
        t0: where averaging begins.
        weight_decay: L2 penalty.
        foreach, capturable: accepted for PyTorch's sake; every step is one fused call.
        maximize: climb instead of descending.
        differentiable: let gradients flow through the step.

    Raises:
        ValueError: an option is out of its range.
    """

    _counters: ClassVar[tuple[str, ...]] = ("step", "eta", "mu")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_scalar("ASGD", lr=lr)
        check_at_least_zero("ASGD", lr=lr, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def fresh_state(self, group: dict[str, Any], p: Tensor, names: Sequence[str]) -> dict[str, Any]:
        """The state of a parameter before its first step."""
        return {"eta": float(group["lr"]), "mu": 1.0, **super().fresh_state(group, p, names)}

    def update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""
        update = _asgd(group["maximize"], float(group["weight_decay"]) != 0)
        for states, rows, grads in self.steps(group, "ax"):
            numbers = functools.partial(self.numbers, group, states[0])
            self.apply(update, rows, (grads,), numbers, group["differentiable"])
            self.each_step(rows[0][0], functools.partial(self.shrink, group, states))

    def numbers(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        """The numbers of an update."""
        return (
            state["eta"],
            1.0 - float(group["lambd"]) * state["eta"],
            state["mu"],
            float(group["weight_decay"]),
        )

    def shrink(self, group: dict[str, Any], states: Sequence[dict[str, Any]]) -> None:
        """What the next step takes from the state."""
        lr, lambd = float(group["lr"]), float(group["lambd"])
        for state in states:
            state["eta"] = lr / (1.0 + lambd * lr * state["step"]) ** float(group["alpha"])
            state["mu"] = 1.0 / max(1.0, state["step"] - float(group["t0"]))


@functools.cache
def _asgd(maximize: bool, decays: bool) -> Callable[..., Any]:
    def asgd_step(p: Any, ax: Any, g: Any, eta: Any, keep: Any, mu: Any, decay: Any) -> Any:
        p = keep * p - eta * descend(g, p, maximize, decay if decays else None)
        return p, choose(mu >= 1.0, p, ax + mu * (p - ax))

    return asgd_step
