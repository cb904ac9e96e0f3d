"""What the optimizers of this package share: a step that is one fused update per parameter group.

An update is a plain function of single elements, `update(*writes, *reads, *scalars)`, that returns the new
value of every write. Core traces it once into a program; the backend then runs that program over all tensors
of the group in one call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import message, multi_apply

from .optimizer import Optimizer

__all__ = ["GroupOptimizer", "Rows", "check_at_least_zero", "check_scalar"]

Rows: TypeAlias = Sequence[list[Tensor]]


class GroupOptimizer(Optimizer, ABC):
    """An optimizer whose step is one fused update per parameter group."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own."""
        super().add_param_group(param_group)
        self._find_complex()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._find_complex()

    def _find_complex(self) -> None:
        self._complex = any(p.is_complex() for group in self.param_groups for p in group["params"])

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward`` and returns the loss.
        """
        loss = None
        if closure is not None:
            with fb.enable_grad():
                loss = closure()
        with fb.set_grad_enabled(bool(self.defaults["differentiable"])):
            for group in self.param_groups:
                self.update_group(group)
        return loss

    @abstractmethod
    def update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""

    def gather(
        self, group: dict[str, Any], *names: str
    ) -> tuple[list[Tensor], list[Tensor], list[dict[str, Any]]]:
        """The parameters of a group that have a gradient, the gradients, and the parameters' states.

        A state that is still empty gets a step count and tensors of zeros under these names.
        """
        params, grads = [], []
        for p in group["params"]:
            g = p.grad
            if g is not None:
                params.append(p)
                grads.append(g)
        states = [self.state[p] for p in params]
        for p, state in zip(params, states, strict=True):
            if not state and names:
                state["step"] = 0.0
                for name in names:
                    state[name] = fb.zeros_like(p)
        return params, grads, states

    def apply(
        self,
        update: Callable[..., Any],
        writes: Rows,
        reads: Rows,
        scalars: Sequence[float],
        differentiable: bool,
    ) -> None:
        """Run an update in place over lists of tensors.

        Args:
            update: the update; the same object for the same arithmetic, since its trace is cached under it.
            writes: lists of equal length whose tensors are read and overwritten.
            reads: lists of that length whose tensors are only read.
            scalars: what changes from step to step (learning rate, bias corrections).
            differentiable: run op by op on the tape, so that a gradient flows through the update.
        """
        if self._complex:  # real and imaginary parts are updated independently
            writes, reads = _real(writes), _real(reads)
        if not differentiable:
            multi_apply(update, writes, reads, scalars)
            return
        for row in zip(*writes, *reads, strict=True):
            for old, new in zip(row, update(*row, *scalars), strict=False):
                old.copy_(new)


def _real(lists: Rows) -> list[list[Tensor]]:
    return [[fb.view_as_real(t) if t.is_complex() else t for t in tensors] for tensors in lists]


def check_at_least_zero(op: str, **options: Any) -> None:
    """Refuse negative and NaN options."""
    for name, value in options.items():
        if not value >= 0.0:
            what = {"lr": "learning rate", "eps": "epsilon value"}.get(name, f"{name} value")
            raise ValueError(message(op, f"Invalid {what}", "a number >= 0", **{name: value}))


def check_scalar(op: str, **options: Any) -> None:
    """Refuse options given as tensors of several elements."""
    for name, value in options.items():
        if isinstance(value, Tensor) and value.numel() != 1:
            got: dict[str, Any] = {name: value}
            raise ValueError(message(op, f"{name} as a tensor has several elements", "one element", **got))
