"""What must be refused, and how: overlapping writes, wrong out=, sizes that overflow, axes and indices out of range."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest

import flambeau as fb

x = fb.arange(6.0).reshape(2, 3)
BAD: dict[str, tuple[Callable[[], Any], type[Exception]]] = {
    "in place, overlapping views": (lambda: (lambda a: a[1:].add_(a[:-1]))(fb.arange(6.0)), RuntimeError),
    "in place, repeated memory": (lambda: fb.zeros(1).expand(3).add_(1), RuntimeError),
    "in place, a wider result": (lambda: fb.zeros(3, dtype=fb.int64).add_(0.5), RuntimeError),
    "in place, a larger result": (lambda: fb.zeros(1).add_(fb.zeros(3)), RuntimeError),
    "in place, a leaf": (lambda: fb.zeros(3, requires_grad=True).mul_(2), RuntimeError),
    "out= of another dtype": (lambda: fb.matmul(x, x.T, out=fb.empty(2, 2, dtype=fb.float64)), RuntimeError),
    "out= of a narrower dtype": (lambda: fb.exp(x, out=fb.empty(2, 3, dtype=fb.int64)), RuntimeError),
    "out= on another device": (lambda: fb.exp(x, out=fb.empty(2, 3, device="meta")), RuntimeError),
    "out= no tensor": (lambda: fb.exp(x, out=3), TypeError),
    "out= the input, where it is read again": (
        lambda: fb.gather(x, 1, fb.tensor([[0]]), out=x),
        RuntimeError,
    ),
    "out= part of the input": (lambda: (lambda a: fb.exp(a[1:], out=a[:-1]))(fb.zeros(5)), RuntimeError),
    "out= with gradients": (lambda: fb.exp(x.clone().requires_grad_(), out=fb.empty(2, 3)), RuntimeError),
    "a negative size": (lambda: fb.zeros(2, -1), RuntimeError),
    "a size beyond memory": (lambda: fb.empty(1 << 40, 1 << 40), RuntimeError),
    "a number of elements beyond 64 bits": (lambda: fb.zeros(1 << 62, 1 << 62), RuntimeError),
    "integers divided by zero": (lambda: fb.tensor([1, 2]) // fb.tensor([1, 0]), RuntimeError),
    "a remainder of zero": (lambda: fb.tensor([1, 2]) % 0, RuntimeError),
    "in place, integers divided by zero": (lambda: fb.tensor([1, 2]).floor_divide_(0), RuntimeError),
    "a negative power of integers": (lambda: fb.tensor([1, 2]) ** -1, RuntimeError),
    "a number beyond 64 bits": (lambda: fb.tensor([1, 2]) + 2**64, OverflowError),
    "a negative number beyond 64 bits": (lambda: fb.tensor([1, 2]) * -(2**70), OverflowError),
    "bools subtracted from": (lambda: fb.tensor([True]) - 1, RuntimeError),
    "arange of bools": (lambda: fb.arange(3, dtype=fb.bool), NotImplementedError),
    "linspace, infinite": (lambda: fb.linspace(0, float("inf"), 3, dtype=fb.int64), RuntimeError),
    "linspace, complex": (lambda: fb.linspace(0, 1j, 3, dtype=fb.float32), RuntimeError),
    "an index into nothing": (lambda: fb.ones(0, 3)[fb.tensor([0])], IndexError),
    "an index into nothing, for writing": (
        lambda: fb.ones(0, 3).index_put((fb.tensor([0]),), fb.tensor(1.0)),
        IndexError,
    ),
    "an index of small integers": (lambda: x[fb.tensor([0], dtype=fb.int16)], IndexError),
    "a view of another size": (lambda: x.view(4), RuntimeError),
    "two unknown sizes": (lambda: x.view(-1, -1), RuntimeError),
    "arange, step 0": (lambda: fb.arange(0, 3, 0), RuntimeError),
    "arange, infinite": (lambda: fb.arange(0, float("inf")), RuntimeError),
    "arange, NaN": (lambda: fb.arange(0.0, float("nan")), RuntimeError),
    "arange, wrong sign": (lambda: fb.arange(0, 3, -1), RuntimeError),
    "linspace, negative steps": (lambda: fb.linspace(0, 1, -1), RuntimeError),
    "linspace, fractional steps": (lambda: fb.linspace(0, 1, 2.5), TypeError),  # type: ignore[arg-type]
    "a number beyond the dtype": (lambda: fb.full((2,), 300, dtype=fb.uint8), RuntimeError),
    "an infinite integer": (lambda: fb.full((2,), float("inf"), dtype=fb.int32), RuntimeError),
    "NaN as an integer": (lambda: fb.zeros(2, dtype=fb.int64).fill_(float("nan")), RuntimeError),
    "an axis too high": (lambda: x.sum(2), IndexError),
    "an axis too low": (lambda: x.sum(-3), IndexError),
    "an axis twice": (lambda: x.sum((0, 0)), RuntimeError),
    "an axis that is no integer": (lambda: x.softmax(0.5), TypeError),  # type: ignore[arg-type]
    "an index too high": (lambda: x[2], IndexError),
    "an index too low": (lambda: x[-3], IndexError),
    "an index tensor too high": (lambda: x[fb.tensor([2])], IndexError),
    "an index tensor too low": (lambda: x[fb.tensor([-3])], IndexError),
    "an index of floats": (lambda: x[fb.tensor([0.5])], IndexError),
    "an index of NaN": (lambda: x[fb.tensor([float("nan")])], IndexError),
    "gather too high": (lambda: x.gather(1, fb.tensor([[3]])), RuntimeError),
    "gather too low": (lambda: x.gather(1, fb.tensor([[-1]])), RuntimeError),
    "scatter too high": (lambda: x.scatter(1, fb.tensor([[3]]), 1.0), RuntimeError),
    "index_select too high": (lambda: x.index_select(0, fb.tensor([2])), IndexError),
    "take too low": (lambda: x.take(fb.tensor([-7])), IndexError),
    "the largest of nothing": (lambda: fb.zeros(0).max(), RuntimeError),
    "the largest of nothing along an axis": (lambda: fb.zeros(2, 0).max(1), IndexError),
    "where the largest of nothing is": (lambda: fb.zeros(0).argmax(), IndexError),
    "the least of nothing": (lambda: fb.zeros(0, 3).amin(0), IndexError),
    "a product of wrong sizes": (lambda: x @ x, RuntimeError),
    "shapes that don't broadcast": (lambda: x + fb.zeros(2), RuntimeError),
    "too many samples": (lambda: fb.ones(3).multinomial(4), RuntimeError),
    "a mask of numbers": (lambda: x.masked_fill(fb.ones(2, 3), 0), RuntimeError),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str) -> None:
    call, kind = BAD[name]
    with pytest.raises(kind, match=r"^\[\w+\] "):
        call()


@pytest.mark.parametrize("name", BAD)
def test_pytorch_refuses_it_so(name: str) -> None:
    """The table's exception types are PyTorch's."""
    torch = pytest.importorskip("torch")
    call, kind = BAD[name]
    theirs = FunctionType(call.__code__, {**globals(), "fb": torch, "x": torch.arange(6.0).reshape(2, 3)})
    with pytest.raises(kind):
        theirs()
