"""Mistakes are errors of PyTorch's types in the grammar of messages, and leave the device working."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as fb
from flambeau.plugin import OPS

from ..cases import each
from .base import SuiteBase

__all__ = ["Mistakes"]

_CASES: dict[str, tuple[Any, type[Exception], str]] = {
    "broadcast": (
        lambda m: m.x + m.y,
        RuntimeError,
        r"\[add\] shapes don't broadcast: got \[2, 3\] and \[4\]",
    ),
    "matmul": (lambda m: m.x @ m.y, RuntimeError, r"\[matmul\] mat1 and mat2 shapes cannot be multiplied"),
    "dim": (lambda m: m.x.sum(2), IndexError, r"\[sum\] Dimension out of range: got dim=2"),
    "reshape": (
        lambda m: m.x.reshape(4, 2),
        RuntimeError,
        r"\[reshape\] shape '\[4, 2\]' is invalid for input of size 6",
    ),
    "leaf": (
        lambda m: m.leaf.add_(1),
        RuntimeError,
        r"\[add_\] a leaf Variable that requires grad is being used in an in-place",
    ),
    "not-scalar": (
        lambda m: (m.leaf * 2).backward(),
        RuntimeError,
        r"\[backward\] grad can be implicitly created only for scalar outputs",
    ),
    "gather": (
        lambda m: m.x.gather(1, OPS["full"]((2, 1), 7, device=m.device)).tolist(),
        IndexError,
        r"7",
    ),
    "mean": (lambda m: m.x.to(fb.int64).mean(), RuntimeError, r"\[mean\] could not infer output dtype"),
    "in-place-shape": (
        lambda m: m.x.add_(OPS["ones"]((5, 2, 3), device=m.device)),
        RuntimeError,
        r"doesn't match the broadcast shape",
    ),
    "in-place-dtype": (
        lambda m: m.x.to(fb.int64).add_(m.x),
        RuntimeError,
        r"\[add_\] result type float32 can't be cast to the desired output type int64",
    ),
    "index": (lambda m: m.x[2], IndexError, r"out of (range|bounds)"),
    "cat": (lambda m: OPS["cat"]([m.x, m.y]), RuntimeError, r"\[cat\] "),
    "item": (lambda m: m.x.item(), RuntimeError, r"\[item\] a Tensor with 6 elements cannot be converted"),
    "type": (lambda m: OPS["exp"]("x"), TypeError, r"\[exp\] argument 'self' must be a Tensor"),
    "keyword": (lambda m: OPS["sum"](m.x, dimm=1), TypeError, r"\[sum\] got an unexpected keyword argument 'dimm'"),
    "out-dtype": (
        lambda m: OPS["add"](m.x, m.x, out=OPS["zeros"]((2, 3), dtype=fb.int64, device=m.device)),
        RuntimeError,
        r"\[add\] result type float32 can't be cast to the desired output type int64",
    ),
    "out-grad": (
        lambda m: OPS["add"](m.leaf, 1, out=OPS["zeros"]((2,), device=m.device)),
        RuntimeError,
        r"out=\.\.\. arguments don't support automatic differentiation",
    ),
    "empty-max": (lambda m: m.x[:0].max(), (RuntimeError, IndexError), r"\[a?max\]"),  # type: ignore[dict-item]
    "expand": (lambda m: m.x.expand(4, 3), RuntimeError, r"\[expand\]"),
    "topk": (lambda m: m.y.topk(9), RuntimeError, r"\[topk\] "),
    "device": (lambda m: m.x.to("no-such-device"), RuntimeError, r"no plugin provides device 'no-such-device'"),
}  # fmt: skip


class _Operands:
    def __init__(self, device: str) -> None:
        self.device = device
        self.x = OPS["ones"]((2, 3), device=device)
        self.y = OPS["ones"]((4,), device=device)
        self.leaf = OPS["ones"]((2,), device=device).requires_grad_()


class Mistakes(SuiteBase):
    """Errors."""

    @each(_CASES)
    def test_error(self, case: tuple[Any, type[Exception], str]) -> None:
        """The error's type and text; afterwards the device computes as before."""
        call, kind, text = case
        operands = _Operands(self.device)
        with pytest.raises(kind, match=text):
            call(operands)
        assert (operands.x + 1).tolist() == [[2, 2, 2], [2, 2, 2]]

    def test_saved_tensor_changed_in_place(self) -> None:
        """Changing what backward needs is an error that names both ops."""
        x = OPS["ones"]((3,), device=self.device).requires_grad_()
        y = x.exp()
        z = y * y
        y.add_(1)
        with pytest.raises(RuntimeError, match=r"modified by an inplace operation.*add_ at .*mistakes\.py"):
            z.sum().backward()

    def test_backward_twice(self) -> None:
        """A second backward says that the first one freed what it needs."""
        x = OPS["ones"]((3,), device=self.device).requires_grad_()
        y = (x * x).sum()
        y.backward()
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            y.backward()
