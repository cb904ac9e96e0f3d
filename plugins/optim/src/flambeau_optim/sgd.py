"""Stochastic gradient descent with momentum."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import message

from .group import GroupOptimizer, check_at_least_zero, check_scalar, descend
from .optimizer import ParamsT

__all__ = ["SGD"]


class SGD(GroupOptimizer):
    """Stochastic gradient descent.

    With g the gradient (plus ``weight_decay * p``), a step is ``b = momentum * b + (1 - dampening) * g`` (the first
    time ``b = g``) and ``p = p - lr * b``; with ``nesterov`` it is ``p = p - lr * (g + momentum * b)``.

    Args:
        params: tensors, ``(name, tensor)`` pairs or dicts.
        lr: learning rate.
        momentum: how much of the last step is kept.
        dampening: how much of the gradient is left out of the momentum.
        weight_decay: L2 penalty.
        nesterov: look ahead along the momentum.
        maximize: climb instead of descending.
        foreach, fused: accepted for PyTorch's sake; every step is one fused call.
        differentiable: let gradients flow through the step.

    >>> w = fb.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = fb.optim.SGD([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.0, 0.0]
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_scalar("SGD", lr=lr, weight_decay=weight_decay)
        check_at_least_zero("SGD", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            wrong = "Nesterov momentum requires a momentum and zero dampening"
            raise ValueError(message("SGD", wrong, momentum=momentum, dampening=dampening))
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""
        decay, momentum = float(group["weight_decay"]), float(group["momentum"])
        maximize, differentiable = group["maximize"], group["differentiable"]
        numbers = functools.partial(self.numbers, group, 4 if momentum else 2)
        params, grads, states = self.gather(group)
        if not momentum:
            self.apply(_plain(maximize, decay != 0), (params,), (grads,), numbers, differentiable)
            return
        fresh = [state.get("momentum_buffer") is None for state in states]
        for first in set(fresh):
            chosen = [k for k, new in enumerate(fresh) if new is first]
            for k in chosen if first else ():
                self.refuse_capture(params[k])
                states[k]["momentum_buffer"] = fb.zeros_like(params[k])
            rows = [params[k] for k in chosen], [states[k]["momentum_buffer"] for k in chosen]
            update = _with_momentum(maximize, decay != 0, group["nesterov"], first)
            self.apply(update, rows, ([grads[k] for k in chosen],), numbers, differentiable)

    def numbers(self, group: dict[str, Any], n: int) -> tuple[Any, ...]:
        """The first numbers of an update."""
        decay, momentum = float(group["weight_decay"]), float(group["momentum"])
        return (self.number(group, "lr"), decay, momentum, 1.0 - float(group["dampening"]))[:n]


@functools.cache
def _plain(maximize: bool, decays: bool) -> Callable[..., Any]:
    def sgd_step(p: Any, g: Any, lr: Any, decay: Any) -> Any:
        return (p - lr * descend(g, p, maximize, decay if decays else None),)

    return sgd_step


@functools.cache
def _with_momentum(maximize: bool, decays: bool, nesterov: bool, first: bool) -> Callable[..., Any]:
    def sgd_step(p: Any, b: Any, g: Any, lr: Any, decay: Any, momentum: Any, share: Any) -> Any:
        g = descend(g, p, maximize, decay if decays else None)
        b = g if first else momentum * b + share * g
        return p - lr * (g + momentum * b if nesterov else b), b

    return sgd_step
