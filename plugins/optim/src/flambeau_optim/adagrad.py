"""Steps divided by what has been summed up so far: Adagrad and Adadelta."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import message

from .group import GroupOptimizer, check_at_least_zero, check_scalar, descend
from .optimizer import ParamsT

__all__ = ["Adadelta", "Adagrad"]


class Adagrad(GroupOptimizer):
    """Adagrad (Duchi et al., 2011): steps divided by the root of the sum of all squared gradients.

    With g the gradient, ``s = s + g²`` and ``p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)``.

    Args:
        params: tensors, ``(name, tensor)`` pairs or dicts.
        lr: learning rate.
        lr_decay: how fast the learning rate falls.
        weight_decay: L2 penalty.
        initial_accumulator_value: where the sum of squares begins.
        eps: keeps the quotient finite.
        foreach, fused: accepted for PyTorch's sake; every step is one fused call.
        maximize: climb instead of descending.
        differentiable: let gradients flow through the step.

    Raises:
        ValueError: an option is out of its range.
    """

    _counters: ClassVar[tuple[str, ...]] = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_scalar("Adagrad", lr=lr)
        check_at_least_zero(
            "Adagrad",
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:  # unlike the others', this state is there before the first step
            for p in group["params"]:
                self.state[p].update(self.fresh_state(group, p, ("sum",)))

    def fresh_state(self, group: dict[str, Any], p: Tensor, names: Sequence[str]) -> dict[str, Any]:
        """The state of a parameter before its first step."""
        start: Any = self.defaults["initial_accumulator_value"]
        return {"step": 0.0, "sum": fb.full_like(p, complex(start, start) if p.is_complex() else start)}

    def update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""
        update = _adagrad(group["maximize"], float(group["weight_decay"]) != 0)
        for states, rows, grads in self.steps(group, "sum"):
            numbers = functools.partial(self.numbers, group, states[0])
            self.apply(update, rows, (grads,), numbers, group["differentiable"])

    def numbers(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        """The numbers of an update."""
        size = self.number(group, "lr") / (1.0 + (state["step"] - 1.0) * float(group["lr_decay"]))
        return size, float(group["eps"]), float(group["weight_decay"])


@functools.cache
def _adagrad(maximize: bool, decays: bool) -> Callable[..., Any]:
    def adagrad_step(p: Any, s: Any, g: Any, size: Any, eps: Any, decay: Any) -> Any:
        g = descend(g, p, maximize, decay if decays else None)
        s = s + g * g
        return p - size * (g / (s.sqrt() + eps)), s

    return adagrad_step


class Adadelta(GroupOptimizer):
    """Adadelta (Zeiler, 2012): the step's scale is the running size of past steps over that of the gradients.

    With v and u the running means of squared gradients and squared steps, a step is
    ``sqrt(u + eps) / sqrt(v + eps) * g``, times ``lr``.

    Args:
        params: tensors, ``(name, tensor)`` pairs or dicts.
        lr: a factor on the step.
        rho: how much of the running means is kept, 0..1.
        eps: keeps the quotient finite.
        weight_decay: L2 penalty.
        foreach, capturable: accepted for PyTorch's sake; every step is one fused call.
        maximize: climb instead of descending.
        differentiable: let gradients flow through the step.

    Raises:
        ValueError: an option is out of its range.
    """

    _counters: ClassVar[tuple[str, ...]] = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_scalar("Adadelta", lr=lr)
        check_at_least_zero("Adadelta", lr=lr, eps=eps, weight_decay=weight_decay)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(message("Adadelta", "Invalid rho value", "0..1", rho=rho))
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""
        update = _adadelta(group["maximize"], float(group["weight_decay"]) != 0)
        for _, rows, grads in self.steps(group, "square_avg", "acc_delta"):
            numbers = functools.partial(self.numbers, group)
            self.apply(update, rows, (grads,), numbers, group["differentiable"])

    def numbers(self, group: dict[str, Any]) -> tuple[Any, ...]:
        """The numbers of an update."""
        rho = float(group["rho"])
        return self.number(group, "lr"), rho, 1.0 - rho, float(group["eps"]), float(group["weight_decay"])


@functools.cache
def _adadelta(maximize: bool, decays: bool) -> Callable[..., Any]:
    def adadelta_step(
        p: Any, v: Any, u: Any, g: Any, lr: Any, keep: Any, new: Any, eps: Any, decay: Any
    ) -> Any:
        g = descend(g, p, maximize, decay if decays else None)
        v = keep * v + new * g * g
        step = (u + eps).sqrt() / (v + eps).sqrt() * g
        return p - lr * step, v, keep * u + new * step * step

    return adadelta_step
