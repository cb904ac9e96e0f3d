"""Comparing calls with PyTorch's: values, dtypes, shapes, strides of views, gradients, second gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as fb

torch: Any = pytest.importorskip("torch")

Case = tuple[str, Callable[..., Any], tuple[Any, ...]]


def arrays(shapes: tuple[Any, ...], seed: int = 0) -> list[np.ndarray[Any, Any]]:
    """Float64 arrays of shapes; an array stands for itself."""
    rng = np.random.default_rng(seed)
    return [s if isinstance(s, np.ndarray) else rng.standard_normal(s) for s in shapes]


def flat(result: Any) -> list[Any]:
    """The tensors of a result, which may be one, or a sequence of them."""
    return [t for r in result for t in flat(r)] if isinstance(result, (tuple, list)) else [result]


def assert_same(ours: Any, theirs: Any, rtol: float = 1e-12) -> None:
    """Equal shapes, dtypes and (nearly) values."""
    for a, b in zip(flat(ours), flat(theirs), strict=True):
        if not isinstance(b, torch.Tensor):
            assert a == b
            continue
        assert tuple(a.shape) == tuple(b.shape)
        assert a.dtype.name == str(b.dtype).removeprefix("torch.")
        x, y = a.detach().cpu(), b.detach().resolve_conj()
        np.testing.assert_allclose(np.asarray(x.tolist()), np.asarray(y.tolist()), rtol=rtol, atol=1e-12)


def weighted(m: Any, outs: list[Any]) -> Any:
    """A number that depends on every element of every differentiable output in its own way."""
    total: Any = None
    for o in outs:
        if not o.requires_grad:
            continue
        o = m.view_as_real(o) if o.is_complex() else o
        w = m.arange(1, o.numel() + 1, dtype=m.float64).reshape(o.shape).cos()
        part = (o * o * w + o * w).sum()
        total = part if total is None else total + part
    return total


def compare(fn: Callable[..., Any], shapes: tuple[Any, ...]) -> None:
    """One call in both libraries; first and second gradients where the inputs are floating-point numbers."""
    data = arrays(shapes)
    results = []
    for m in (fb, torch):
        ins = [m.tensor(a) for a in data]
        for t in ins:
            if t.is_floating_point() or t.is_complex():
                t.requires_grad_()
        outs = fn(m, *ins)
        found: list[Any] = [outs]
        leaves = [t for t in ins if t.requires_grad]
        loss = weighted(m, flat(outs))
        if loss is not None:
            first = m.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
            found.append([g for g in first if g is not None])
            squares = [(g * g).sum() for g in found[1] if g.requires_grad and not g.is_complex()]
            second: Any = [None] * len(leaves)
            if squares:
                second = m.autograd.grad(sum(squares[1:], squares[0]), leaves, allow_unused=True)
            found.append([m.zeros_like(t) if g is None else g for t, g in zip(leaves, second, strict=True)])
        results.append(found)
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs, 1e-9)
