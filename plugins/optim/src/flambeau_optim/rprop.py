"""Rprop: a step size for every element, driven by the sign of its gradient alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import message

from .group import GroupOptimizer, check_at_least_zero, check_scalar, choose
from .optimizer import ParamsT

__all__ = ["Rprop"]


class Rprop(GroupOptimizer):
    """Resilient backpropagation (Riedmiller and Braun, 1993).

    An element's step size grows while its gradient keeps its sign and shrinks when the sign changes; after a change
    one step is left out. Made for gradients of the whole data set.

    Args:
        params: tensors, ``(name, tensor)`` pairs or dicts.
        lr: the first step size.
        etas: factors for shrinking (below 1) and growing (above 1).
        step_sizes: the least and the greatest step size.
        capturable, foreach: accepted for PyTorch's sake; every step is one fused call.
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
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_scalar("Rprop", lr=lr)
        check_at_least_zero("Rprop", lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(message("Rprop", "Invalid eta values", "0 < etas[0] < 1 < etas[1]", etas=etas))
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def fresh_state(self, group: dict[str, Any], p: Tensor, names: Sequence[str]) -> dict[str, Any]:
        """The state of a parameter before its first step."""
        lr = float(group["lr"])
        size = fb.full_like(p, complex(lr, lr) if p.is_complex() else lr)
        return {"step": 0.0, "prev": fb.zeros_like(p), "step_size": size}

    def update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""
        numbers = functools.partial(self.numbers, group)
        for _, rows, grads in self.steps(group, "prev", "step_size"):
            self.apply(_rprop(group["maximize"]), rows, (grads,), numbers, group["differentiable"])

    def numbers(self, group: dict[str, Any]) -> tuple[Any, ...]:
        """The numbers of an update."""
        return *map(float, group["etas"]), *map(float, group["step_sizes"])


@functools.cache
def _rprop(maximize: bool) -> Callable[..., Any]:
    def rprop_step(
        p: Any, prev: Any, size: Any, g: Any, shrink: Any, grow: Any, least: Any, most: Any
    ) -> Any:
        g = -g if maximize else g
        kept = g * prev
        size = size * choose(kept > 0.0, grow, choose(kept < 0.0, shrink, kept * 0.0 + 1.0))
        size = choose(size < least, least, choose(size > most, most, size))
        g = choose(kept < 0.0, 0.0, g)
        return p - g.sign() * size, g, size

    return rprop_step
