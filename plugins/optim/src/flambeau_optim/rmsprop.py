"""RMSprop: steps divided by the root of a running mean of the squared gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from flambeau import Tensor

from .group import GroupOptimizer, check_at_least_zero, check_scalar, descend
from .optimizer import ParamsT

__all__ = ["RMSprop"]


class RMSprop(GroupOptimizer):
    """RMSprop (Hinton, 2012).

    With g the gradient (plus ``weight_decay * p``) and v the running mean of g², a step takes
    ``lr * g / (sqrt(v) + eps)`` from the parameter, by way of a momentum if there is one.

    Args:
        params: tensors, ``(name, tensor)`` pairs or dicts.
        lr: learning rate.
        alpha: how much of the running mean is kept.
        eps: keeps the quotient finite.
        weight_decay: L2 penalty.
        momentum: how much of the last step is kept.
        centered: divide by the standard deviation of the gradient instead.
        capturable, foreach: accepted for PyTorch's sake; every step is one fused call.
        maximize: climb instead of descending.
        differentiable: let gradients flow through the step.
    """

    _counters: ClassVar[tuple[str, ...]] = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_scalar("RMSprop", lr=lr)
        check_at_least_zero(
            "RMSprop", lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha
        )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""
        names = ["square_avg"]
        momentum, decay = float(group["momentum"]), float(group["weight_decay"])
        if momentum:
            names.append("momentum_buffer")
        if group["centered"]:
            names.append("grad_avg")
        update = _update(momentum != 0, group["centered"], group["maximize"], decay != 0)
        numbers = functools.partial(self.numbers, group)
        for _, rows, grads in self.steps(group, *names):
            self.apply(update, rows, (grads,), numbers, group["differentiable"])

    def numbers(self, group: dict[str, Any]) -> tuple[Any, ...]:
        """The numbers of an update."""
        lr, alpha, eps = self.number(group, "lr"), float(group["alpha"]), float(group["eps"])
        return lr, alpha, 1.0 - alpha, eps, float(group["weight_decay"]), float(group["momentum"])


@functools.cache
def _update(momentum: bool, centered: bool, maximize: bool, decays: bool) -> Callable[..., Any]:
    def rmsprop_step(p: Any, v: Any, *rest: Any) -> Any:
        *more, g, lr, keep, new, eps, decay, inertia = rest
        g = descend(g, p, maximize, decay if decays else None)
        v = keep * v + new * g * g
        mean = more[-1] + new * (g - more[-1]) if centered else None
        quotient = g / ((v if mean is None else v - mean * mean).sqrt() + eps)
        b = inertia * more[0] + quotient if momentum else quotient
        results = [p - lr * b, v, b if momentum else None, mean]
        return tuple(r for r in results if r is not None)

    return rmsprop_step
