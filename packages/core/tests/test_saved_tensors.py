"""Hooks on what the tape saves for backward."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as fb
from flambeau.autograd.graph import save_on_cpu, saved_tensors_hooks


def weights() -> tuple[Any, Any]:
    fb.manual_seed(0)
    return fb.randn(4, 4, requires_grad=True), fb.randn(3, 4, requires_grad=True)


def test_hooks_see_what_is_saved() -> None:
    w, x = weights()
    packed: list[tuple[int, ...]] = []

    def pack(t: Any) -> Any:
        assert not t.requires_grad
        packed.append(tuple(t.shape))
        return t

    with saved_tensors_hooks(pack, lambda t: t * 2):
        y = (x @ w).exp()
    assert packed == [(3, 4), (4, 4), (3, 4)]
    z = (x @ w).exp()
    (g,) = fb.autograd.grad(z.sum(), w, retain_graph=True)
    y.sum().backward()
    fb.testing.assert_close(w.grad, g * 4)  # the output of exp and the other factor, each doubled
    with save_on_cpu():
        y = (x @ w).exp()
    w.grad = None
    y.sum().backward()
    fb.testing.assert_close(w.grad, g)


def test_hooks_nest_and_must_give_tensors() -> None:
    x = fb.ones(2, requires_grad=True)
    with saved_tensors_hooks(lambda t: "outer", lambda k: fb.zeros(2)):
        with saved_tensors_hooks(lambda t: "inner", lambda k: fb.ones(2) * 5):
            y = x * x
        z = x * x
    y.sum().backward()
    assert x.grad.tolist() == [10.0, 10.0]
    x.grad = None
    z.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]
    with saved_tensors_hooks(lambda t: t, lambda t: None):
        y = x * x
    with pytest.raises(TypeError, match="unpack_hook must return a Tensor"):
        y.sum().backward()
