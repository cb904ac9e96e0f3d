"""Gradients and gradients of gradients: by finite differences on the reference, elsewhere equal to the reference's."""

from __future__ import annotations

from typing import Any

import flambeau as fb

from ..cases import Case, compare, each, floats, records, run, takes
from ..samples import Target
from ..values import mapped, tensors_in
from .base import SuiteBase

__all__ = ["Gradients"]


def _differentiable(target: Target) -> bool:
    op = target.op
    if not target.samples[0].tensors or not takes(target, fb.float64):
        return False
    return op is None or not (
        (op.kind == "kernel" and not op.vjp) or getattr(op, "differentiable", True) is False
    )


def _cases(most: int) -> dict[str, Case]:
    found = {}
    for target, k, sample in records(_differentiable):
        if sample.grad and k < most:
            case = Case(target, fb.float64, sample)
            args, out = run(case, "reference", gradient=True)
            leaves = [t for t in tensors_in(args) if t.requires_grad]
            if 0 < sum(t.numel() for t in leaves) <= 3000 and any(t.requires_grad for t in tensors_in(out)):
                found[f"{target.name}-{k}"] = case
    return found


FIRST = _cases(8)
SECOND = {key: case for key, case in FIRST.items() if int(key.rpartition("-")[2]) < 3}


class Gradients(SuiteBase):
    """Gradients."""

    @each(FIRST)
    def test_gradient(self, case: Case) -> None:
        """First derivatives."""
        self._gradients(case, 1)

    @each(SECOND)
    def test_double_gradient(self, case: Case) -> None:
        """Second derivatives."""
        self._gradients(case, 2)

    def _gradients(self, case: Case, order: int) -> None:
        if self.device == "reference":
            leaves = [t for t in tensors_in(run(case, self.device, gradient=True)[0]) if t.requires_grad]
            if sum(t.numel() for t in leaves) <= (200 if order == 1 else 40):
                check = fb.autograd.gradcheck if order == 1 else fb.autograd.gradgradcheck
                assert check(_function(case), leaves, atol=2e-4, rtol=2e-3), str(case)
                return
        precise = floats(self.device)
        got = _derivatives(case._replace(dtype=precise), self.device, order)
        want = _derivatives(case, "reference", order)
        for k, (x, y) in enumerate(zip(got, want, strict=True)):
            assert (x is None) == (y is None), f"{case}: gradient {k} is {x}, expected {y}"
            if x is not None:
                assert x.device is fb.device(self.device).home
                compare(x, y, f"{case}: gradient {k}", 100)

    def test_gradient_accumulates(self) -> None:
        """Two backward passes add up; the gradient is on the tensor's device."""
        from flambeau.plugin import OPS

        x = OPS["ones"]((3, 2), device=self.device).requires_grad_()
        for n in (1, 2):
            (x * x).sum().backward()
            assert x.grad.tolist() == [[2.0 * n] * 2] * 3
            assert x.grad.device is x.device


def _function(case: Case) -> Any:
    """The op as a function of the leaves alone."""
    args, _ = run(case, "reference", gradient=True)
    n = len(case.sample.args)

    def fn(*leaves: Any) -> Any:
        left = iter(leaves)
        filled = mapped(args, lambda t: next(left) if t.requires_grad else t)
        out = case.target.call(*filled[:n], **dict(zip(case.sample.kwargs, filled[n:], strict=True)))
        return tuple(tensors_in(out))

    return fn


def _derivatives(case: Case, device: str, order: int) -> list[Any]:
    args, out = run(case, device, gradient=True)
    leaves = [t for t in tensors_in(args) if t.requires_grad]
    loss = _total([(o * o).sum() + o.sum() for o in tensors_in(out) if o.requires_grad])
    first = fb.autograd.grad(loss, leaves, create_graph=order == 2, allow_unused=True)
    if order == 1:
        return list(first)
    live = [g for g in first if g is not None and g.requires_grad]
    return (
        list(fb.autograd.grad(_total([(g * g).sum() for g in live]), leaves, allow_unused=True))
        if live
        else []
    )


def _total(terms: list[Any]) -> Any:
    total = terms[0]
    for t in terms[1:]:
        total = total + t
    return total
