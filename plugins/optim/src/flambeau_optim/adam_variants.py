"""Relatives of Adam: Adamax (largest gradient), NAdam (Nesterov momentum), RAdam (rectified variance)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from flambeau import Tensor

from .group import GroupOptimizer, check_at_least_zero, check_betas, check_scalar, choose, descend
from .optimizer import ParamsT

__all__ = ["Adamax", "NAdam", "RAdam"]


class Adamax(GroupOptimizer):
    """Adamax (Kingma and Ba, 2014): Adam with the largest recent gradient in place of the root of the mean square.

    With g the gradient, ``u = max(beta2 * u, |g| + eps)`` and m the running mean of g, a step takes
    ``lr / (1 - beta1**t) * m / u`` from the parameter.

    Args:
        params: tensors, ``(name, tensor)`` pairs or dicts.
        lr: learning rate.
        betas: how much of the running mean and of the largest gradient is kept.
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
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_scalar("Adamax", lr=lr)
        check_at_least_zero("Adamax", lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas("Adamax", betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""
        update = _adamax(group["maximize"], float(group["weight_decay"]) != 0)
        for states, rows, grads in self.steps(group, "exp_avg", "exp_inf"):
            numbers = functools.partial(self.numbers, group, states[0])
            self.apply(update, rows, (grads,), numbers, group["differentiable"])

    def numbers(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        """The numbers of an update."""
        beta1, beta2 = map(float, group["betas"])
        size = self.number(group, "lr") / (1.0 - beta1 ** state["step"])
        return size, 1.0 - beta1, beta2, float(group["eps"]), float(group["weight_decay"])


@functools.cache
def _adamax(maximize: bool, decays: bool) -> Callable[..., Any]:
    def adamax_step(
        p: Any, m: Any, u: Any, g: Any, size: Any, new: Any, keep: Any, eps: Any, decay: Any
    ) -> Any:
        g = descend(g, p, maximize, decay if decays else None)
        m = m + new * (g - m)
        u = (keep * u).maximum(g.abs() + eps)
        return p - size * (m / u), m, u

    return adamax_step


def _decayed(group: dict[str, Any], lr: Any) -> tuple[str, Any]:
    """How a step decays the weights, and the scalar that its update reads."""
    decay = float(group["weight_decay"])
    if not decay:
        return "none", 0.0
    return ("own", 1.0 - lr * decay) if group["decoupled_weight_decay"] else ("l2", decay)


def _moments(
    p: Any, m: Any, v: Any, g: Any, maximize: bool, decays: str, scalars: Sequence[Any]
) -> tuple[Any, Any, Any, Any]:
    """The decayed parameter, the gradient and both running means: what NAdam and RAdam begin with."""
    new1, keep2, new2, decay = scalars
    g = descend(g, p, maximize, decay if decays == "l2" else None)
    p = decay * p if decays == "own" else p
    return p, g, m + new1 * (g - m), keep2 * v + new2 * g * g


class NAdam(GroupOptimizer):
    """NAdam (Dozat, 2016): Adam that looks ahead along its momentum, as Nesterov's method does.

    The momentum of step t is ``mu(t) = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))``; the step goes along
    ``(1 - mu(t)) * g / (1 - mu(1)...mu(t)) + mu(t + 1) * m / (1 - mu(1)...mu(t + 1))``.

    Args:
        params: tensors, ``(name, tensor)`` pairs or dicts.
        lr: learning rate.
        betas: how much of the two running means is kept.
        eps: keeps the quotient finite.
        weight_decay: L2 penalty, or decay of the parameters themselves (see ``decoupled_weight_decay``).
        momentum_decay: how fast the momentum reaches ``beta1``.
        decoupled_weight_decay: take the decay from the parameters, as AdamW does.
        foreach, capturable: accepted for PyTorch's sake; every step is one fused call.
        maximize: climb instead of descending.
        differentiable: let gradients flow through the step.

    Raises:
        ValueError: an option is out of its range.
    """

    _counters: ClassVar[tuple[str, ...]] = ("step", "mu_product")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_scalar("NAdam", lr=lr)
        check_at_least_zero("NAdam", lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        check_betas("NAdam", betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def fresh_state(self, group: dict[str, Any], p: Tensor, names: Sequence[str]) -> dict[str, Any]:
        """The state of a parameter before its first step."""
        return {"mu_product": 1.0, **super().fresh_state(group, p, names)}

    def update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""
        update = _nadam(group["maximize"], _decayed(group, 0.0)[0])
        for states, rows, grads in self.steps(group, "exp_avg", "exp_avg_sq"):
            numbers = functools.partial(self.numbers, group, states[0])
            self.apply(update, rows, (grads,), numbers, group["differentiable"])

    def momentum(self, group: dict[str, Any], step: float) -> float:
        """The momentum of a step."""
        decayed: float = 0.96 ** (step * float(group["momentum_decay"]))
        return float(group["betas"][0]) * (1.0 - 0.5 * decayed)

    def count(self, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Count one more step; the product of momenta goes on."""
        super().count(group, state)
        state["mu_product"] *= self.momentum(group, state["step"])

    def numbers(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        """The numbers of an update."""
        beta1, beta2 = map(float, group["betas"])
        lr, eps = self.number(group, "lr"), float(group["eps"])
        step = state["step"]
        mu, mu_next = (self.momentum(group, t) for t in (step, step + 1.0))
        product = state["mu_product"]
        here, ahead = lr * (1.0 - mu) / (1.0 - product), lr * mu_next / (1.0 - product * mu_next)
        unbias = (1.0 - beta2**step) ** -0.5
        return here, ahead, unbias, eps, 1.0 - beta1, beta2, 1.0 - beta2, _decayed(group, lr)[1]


@functools.cache
def _nadam(maximize: bool, decays: str) -> Callable[..., Any]:
    def nadam_step(
        p: Any, m: Any, v: Any, g: Any, here: Any, ahead: Any, unbias: Any, eps: Any, *rest: Any
    ) -> Any:
        p, g, m, v = _moments(p, m, v, g, maximize, decays, rest)
        return p - (here * g + ahead * m) / (v.sqrt() * unbias + eps), m, v

    return nadam_step


class RAdam(GroupOptimizer):
    """RAdam (Liu et al., 2019): Adam that knows how uncertain its running mean of squares is at first.

    While the mean has seen too few gradients to have a variance, a step is ``lr * m / (1 - beta1**t)``; then it is
    Adam's times a factor that grows towards 1.

    Args:
        params: tensors, ``(name, tensor)`` pairs or dicts.
        lr: learning rate.
        betas: how much of the two running means is kept.
        eps: keeps the quotient finite.
        weight_decay: L2 penalty, or decay of the parameters themselves (see ``decoupled_weight_decay``).
        decoupled_weight_decay: take the decay from the parameters, as AdamW does.
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
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_scalar("RAdam", lr=lr)
        check_at_least_zero("RAdam", lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas("RAdam", betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""
        update = _radam(group["maximize"], _decayed(group, 0.0)[0])
        for states, rows, grads in self.steps(group, "exp_avg", "exp_avg_sq"):
            numbers = functools.partial(self.numbers, group, states[0])
            self.apply(update, rows, (grads,), numbers, group["differentiable"])

    def numbers(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        """The numbers of an update; the first two are the plain and the rectified size, one of them 0."""
        beta1, beta2 = map(float, group["betas"])
        lr, eps, step = self.number(group, "lr"), float(group["eps"]), state["step"]
        most, unbias2 = 2.0 / (1.0 - beta2) - 1.0, 1.0 - beta2**step
        seen = most - 2.0 * step * beta2**step / unbias2
        plain, rectified = lr / (1.0 - beta1**step), 0.0
        if seen > 5.0:
            variance = (seen - 4.0) * (seen - 2.0) * most / ((most - 4.0) * (most - 2.0) * seen)
            plain, rectified = 0.0, plain * (variance * unbias2) ** 0.5
        return plain, rectified, eps, 1.0 - beta1, beta2, 1.0 - beta2, _decayed(group, lr)[1]


@functools.cache
def _radam(maximize: bool, decays: str) -> Callable[..., Any]:
    def radam_step(p: Any, m: Any, v: Any, g: Any, plain: Any, rectified: Any, eps: Any, *rest: Any) -> Any:
        p, g, m, v = _moments(p, m, v, g, maximize, decays, rest)
        return p - choose(rectified > 0.0, rectified * (m / (v.sqrt() + eps)), plain * m), m, v

    return radam_step
