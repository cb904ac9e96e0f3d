"""Adam and AdamW: steps scaled by running means of the gradient and of its square."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from flambeau import Tensor

from .group import GroupOptimizer, check_at_least_zero, check_betas, check_scalar, descend
from .optimizer import ParamsT

__all__ = ["Adam", "AdamW"]


class Adam(GroupOptimizer):
    """Adam (Kingma and Ba, 2014).

    With g the gradient and t the number of steps, ``m`` and ``v`` are running means of g and g² with weights
    ``1 - beta``, each divided by ``1 - beta**t`` because they start at zero; ``p = p - lr * m / (sqrt(v) + eps)``.

    Args:
        params: tensors, ``(name, tensor)`` pairs or dicts.
        lr: learning rate.
        betas: how much of the two running means is kept.
        eps: keeps the quotient finite.
        weight_decay: L2 penalty, or decay of the parameters themselves (see ``decoupled_weight_decay``).
        amsgrad: divide by the largest v so far (Reddi et al., 2018).
        maximize: climb instead of descending.
        foreach, capturable, fused: accepted for PyTorch's sake; every step is one fused call.
        differentiable: let gradients flow through the step.
        decoupled_weight_decay: what makes it `AdamW`.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0], requires_grad=True)
    >>> optimizer = fb.optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.9000])
    """

    _counters: ClassVar[tuple[str, ...]] = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        op = type(self).__name__
        check_scalar(op, lr=lr)
        check_at_least_zero(op, lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(op, betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""
        amsgrad, decoupled = group["amsgrad"], group["decoupled_weight_decay"]
        decay = self.number(group, "weight_decay")
        decays = "none" if isinstance(decay, float) and not decay else "own" if decoupled else "l2"
        update = _update(amsgrad, group["maximize"], decays)
        for states, rows, grads in self.steps(group, *_MEANS[: 3 if amsgrad else 2]):
            numbers = functools.partial(self.numbers, group, states[0])
            self.apply(update, rows, (grads,), numbers, group["differentiable"])

    def numbers(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        """The numbers of an update."""
        lr, decay = self.number(group, "lr"), self.number(group, "weight_decay")
        beta1, beta2 = map(float, group["betas"])
        step = state["step"]
        return (
            lr / (1.0 - beta1**step),
            1.0 - beta1,
            beta2,
            1.0 - beta2,
            (1.0 - beta2**step) ** -0.5,
            float(group["eps"]),
            1.0 - lr * decay if group["decoupled_weight_decay"] else decay,
        )


_MEANS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")


@functools.cache
def _update(amsgrad: bool, maximize: bool, decays: str) -> Callable[..., Any]:
    def adam_step(p: Any, m: Any, v: Any, *rest: Any) -> Any:
        *top, g, size, new1, keep2, new2, unbias, eps, decay = rest
        g = descend(g, p, maximize, decay if decays == "l2" else None)
        if decays == "own":
            p = decay * p
        m = m + new1 * (g - m)
        v = keep2 * v + new2 * g * g
        if not amsgrad:
            return p - size * (m / (v.sqrt() * unbias + eps)), m, v
        largest = top[0].maximum(v)
        return p - size * (m / (largest.sqrt() * unbias + eps)), m, v, largest

    return adam_step


class AdamW(Adam):
    """Adam with weight decay taken from the parameters, not added to the gradient (Loshchilov and Hutter, 2017).

    Args:
        params: tensors, ``(name, tensor)`` pairs or dicts.
        lr: learning rate.
        betas: how much of the two running means is kept.
        eps: keeps the quotient finite.
        weight_decay: a step first multiplies the parameters by ``1 - lr * weight_decay``.
        amsgrad: divide by the largest v so far.
        maximize: climb instead of descending.
        foreach, capturable, fused: accepted for PyTorch's sake; every step is one fused call.
        differentiable: let gradients flow through the step.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
