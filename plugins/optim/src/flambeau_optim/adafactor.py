"""Adafactor: Adam's second moment kept as one row and one column per matrix."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import message

from .group import GroupOptimizer, check_at_least_zero, check_scalar
from .optimizer import ParamsT

__all__ = ["Adafactor"]


class Adafactor(GroupOptimizer):
    """Adafactor (Shazeer and Stern, 2018), with PyTorch's reading of ``lr`` and of ``eps``.

    For a matrix the running mean of squared gradients is kept as the means of its rows r and columns c, its estimate
    is ``r * c / mean(r)``. A step is the gradient over the root of the estimate, clipped to a root mean square of
    ``d``, times ``min(lr, 1 / sqrt(t)) * max(eps[1], rms(p))``.

    Args:
        params: tensors, ``(name, tensor)`` pairs or dicts.
        lr: weight decay's factor and the greatest relative step.
        beta2_decay: the running mean keeps ``1 - t ** beta2_decay``; at most 0.
        eps: the least root of the estimate (None: the dtype's resolution), and the least scale of a parameter.
        d: the greatest root mean square of a step; at least 1.
        weight_decay: a step first multiplies the parameters by ``1 - lr * weight_decay``.
        foreach: accepted for PyTorch's sake.
        maximize: climb instead of descending.

    Raises:
        ValueError: an option is out of its range.
        RuntimeError: a parameter is complex.
    """

    _counters: ClassVar[tuple[str, ...]] = ("step",)
    _like_params: ClassVar[bool] = False

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        op = "Adafactor"
        check_scalar(op, lr=lr)
        check_at_least_zero(op, lr=lr, epsilon1=eps[0] or 0.0, epsilon2=eps[1], weight_decay=weight_decay)
        if not beta2_decay <= 0.0:
            raise ValueError(
                message(op, "Invalid beta2_decay value", "a number <= 0", beta2_decay=beta2_decay)
            )
        if not d >= 1.0:
            raise ValueError(message(op, "Invalid clipping threshold d", "a number >= 1", d=d))
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def fresh_state(self, group: dict[str, Any], p: Tensor, names: Sequence[str]) -> dict[str, Any]:
        """The state of a parameter before its first step."""
        if p.is_complex():
            raise RuntimeError(
                message("Adafactor", "Adafactor does not support complex parameters", params=p)
            )
        if p.dim() < 2:
            return {"step": 0.0, "variance": fb.zeros_like(p)}
        *batch, n, m = p.shape
        return {"step": 0.0, "row_var": p.new_zeros((*batch, n, 1)), "col_var": p.new_zeros((*batch, 1, m))}

    def update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""
        self.gather(group, "variance")
        for states, (params,), grads in self.steps(group):
            self._update_alike(group, params, grads, states)

    def _update_alike(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]]
    ) -> None:
        """Update parameters that have counted the same steps."""
        (eps1, eps2), d = group["eps"], float(group["d"])
        means: tuple[list[Tensor], list[Tensor]] = ([], [])  # running means, and what is new for them
        for g, state in zip(grads, states, strict=True):
            if "variance" in state:
                squares = [("variance", g * g)]
            else:
                squares = [("row_var", _mean_square(g, -1)), ("col_var", _mean_square(g, -2))]
            for name, square in squares:
                means[0].append(state[name])
                means[1].append(square)
        share = functools.partial(self.share, group, states[0])
        self.apply(_follow, means[:1], means[1:], share)
        updates, sizes = [], []
        for p, g, state in zip(params, grads, states, strict=True):
            least = fb.finfo(p.dtype).eps if eps1 is None else float(eps1)
            if "variance" in state:
                estimate = state["variance"]
            else:
                row = state["row_var"]
                estimate = row / row.mean(-2, keepdim=True).clamp(min=least) * state["col_var"]
            step = estimate.clamp(min=least * least).rsqrt() * g
            root = max(p.numel(), 1) ** 0.5
            relative = (p.norm() / root).clamp(min=eps2)
            sizes.append((relative / (step.norm() / (root * d)).clamp(min=1.0)).expand(p.shape))
            updates.append(step)
        numbers = functools.partial(self.numbers, group, states[0])
        self.apply(_walk(group["maximize"]), (params,), (updates, sizes), numbers)

    def share(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[float]:
        """What a new square counts in the running means."""
        return (state["step"] ** float(group["beta2_decay"]),)

    def numbers(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[float, float]:
        """What is kept of the parameters, and the size of the step."""
        lr = float(group["lr"])
        return 1.0 - lr * float(group["weight_decay"]), min(lr, state["step"] ** -0.5)


def _mean_square(g: Tensor, dim: int) -> Tensor:
    return (g * g).mean(dim, keepdim=True)


def _follow(mean: Any, new: Any, share: Any) -> Any:
    return (mean + share * (new - mean),)


@functools.cache
def _walk(maximize: bool) -> Callable[..., Any]:
    def adafactor_step(p: Any, update: Any, size: Any, keep: Any, rate: Any) -> Any:
        step = size * rate * update
        return (keep * p + step if maximize else keep * p - step,)

    return adafactor_step
