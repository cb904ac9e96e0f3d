"""Muon: momentum whose matrices are made nearly orthogonal before they are taken as a step."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import message

from .group import GroupOptimizer, check_at_least_zero, check_scalar
from .optimizer import ParamsT

__all__ = ["Muon"]


class Muon(GroupOptimizer):
    """Muon (Jordan et al., 2024), for the matrices of hidden layers; other parameters need another optimizer.

    The momentum is a running mean of the gradients. A few steps of Newton and Schulz's iteration in bfloat16 bring its
    singular values near 1; the result times a factor by the matrix's shape is the step.

    Args:
        params: matrices, ``(name, matrix)`` pairs or dicts.
        lr: learning rate.
        weight_decay: a step first multiplies the parameters by ``1 - lr * weight_decay``.
        momentum: how much of the running mean is kept.
        nesterov: look ahead along the momentum.
        ns_coefficients: ``(a, b, c)`` of the iteration ``X = a X + b (X Xᵀ) X + c (X Xᵀ)² X``.
        eps: the least norm that a matrix is divided by.
        ns_steps: how many iterations; below 100.
        adjust_lr_fn: ``"original"`` (the default): times ``sqrt(max(1, rows / columns))``; ``"match_rms_adamw"``:
            times ``0.2 * sqrt(max(rows, columns))`` (Liu et al., 2025).

    Raises:
        ValueError: an option is out of its range, or a parameter is no matrix.
        RuntimeError: a parameter is complex.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_scalar("Muon", lr=lr)
        check_at_least_zero("Muon", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if adjust_lr_fn not in (None, *_SHAPE_FACTORS):
            need = "None or one of " + ", ".join(map(repr, _SHAPE_FACTORS))
            wrong = f"Adjust learning rate function {adjust_lr_fn} is not supported"
            raise ValueError(message("Muon", wrong, need, adjust_lr_fn=adjust_lr_fn))
        if len(ns_coefficients) != 3:
            wrong = "Coefficients must be a tuple of exactly 3 values"
            raise ValueError(message("Muon", wrong, "(a, b, c)", ns_coefficients=ns_coefficients))
        if ns_steps >= 100:
            raise ValueError(message("Muon", "Number of steps must be less than 100", ns_steps=ns_steps))
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add matrices with options of their own."""
        super().add_param_group(param_group)
        for k, p in enumerate(param_group["params"]):
            if p.dim() != 2 or p.is_complex():
                del self.param_groups[-1]
                wrong = "Muon only supports real 2D parameters"
                do = "Give the others to an optimizer of their own, such as AdamW."
                error = RuntimeError if p.is_complex() else ValueError
                raise error(message("Muon", wrong, "matrices", do, **{f"params[{k}]": p}))

    def update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""
        params, grads, states = self.gather(group)
        for g, state in zip(grads, states, strict=True):
            if "momentum_buffer" not in state:
                self.refuse_capture(g)
                state["momentum_buffer"] = fb.zeros_like(g)
        buffers = [state["momentum_buffer"] for state in states]
        ahead = [fb.empty_like(g) for g in grads]
        self.apply(
            _momentum(group["nesterov"]), (buffers, ahead), (grads,), functools.partial(self.numbers, group)
        )
        steps = self._orthogonal(ahead, group)
        shapes: dict[float, list[int]] = {}
        for k, p in enumerate(params):
            shapes.setdefault(_SHAPE_FACTORS[group["adjust_lr_fn"] or "original"](*p.shape), []).append(k)
        for size, some in shapes.items():
            numbers = functools.partial(self.step_numbers, group, size)
            self.apply(_walk, ([params[k] for k in some],), ([steps[k] for k in some],), numbers)

    def numbers(self, group: dict[str, Any]) -> tuple[float, float]:
        """The numbers of the momentum's update."""
        momentum = float(group["momentum"])
        return momentum, 1.0 - momentum

    def step_numbers(self, group: dict[str, Any], size: float) -> tuple[float, float]:
        """The numbers of the step itself."""
        lr = float(group["lr"])
        return 1.0 - lr * float(group["weight_decay"]), lr * size

    def _orthogonal(self, matrices: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        """Matrices with nearly the same singular vectors and singular values between about 0.5 and 1.5, in bfloat16."""
        a, b, c = map(float, group["ns_coefficients"])
        tall = [g.shape[0] > g.shape[1] for g in matrices]
        xs = [(g.t() if t else g).bfloat16() for g, t in zip(matrices, tall, strict=True)]
        xs = [x / x.norm().clamp(min=float(group["eps"])) for x in xs]
        for _ in range(group["ns_steps"]):
            grams = [x @ x.t() for x in xs]
            mixed = [gram @ gram for gram in grams]
            self.apply(_mix, (mixed,), (grams,), lambda: (c, b))
            turned = [m @ x for m, x in zip(mixed, xs, strict=True)]
            self.apply(_mix, (turned,), (xs,), lambda: (1.0, a))
            xs = turned
        return [x.t() if t else x for x, t in zip(xs, tall, strict=True)]


_SHAPE_FACTORS: dict[str, Callable[[int, int], float]] = {
    "original": lambda rows, columns: math.sqrt(max(1.0, rows / columns)),
    "match_rms_adamw": lambda rows, columns: 0.2 * math.sqrt(max(rows, columns)),
}


@functools.cache
def _momentum(nesterov: bool) -> Callable[..., Any]:
    def muon_momentum(b: Any, ahead: Any, g: Any, keep: Any, new: Any) -> Any:
        b = b + new * (g - b)
        return b, g + keep * (b - g) if nesterov else b

    return muon_momentum


def _walk(p: Any, step: Any, keep: Any, size: Any) -> Any:
    return (keep * p - size * step,)


def _mix(x: Any, y: Any, of_x: Any, of_y: Any) -> Any:
    return (of_x * x + of_y * y,)
