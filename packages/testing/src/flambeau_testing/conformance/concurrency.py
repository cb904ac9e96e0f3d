"""Several threads at once: each gets what it would get alone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flambeau as fb
from flambeau.plugin import OPS, forget_plans

from ..cases import each, snapshot
from .base import SuiteBase

__all__ = ["Concurrency"]

_WORK: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda x: (x * 3 + 1).tanh(),
    "reductions": lambda x: [x.sum(), x.max(0)[0], x.std(1)],
    "products": lambda x: x @ x.t() @ x,
    "sorting": lambda x: x.sort(0),
    "indexing": lambda x: [x[x > 0.3], x.gather(0, (x * 4).long())],
    "gradients": lambda x: _slope(x),
    "copies": lambda x: x.to("reference").to(x.device).t().clone(),
    "without-gradients": lambda x: _alone(x),
}


def _slope(x: Any) -> Any:
    leaf = x.detach().clone().requires_grad_()
    (leaf.exp() @ leaf.t()).square().sum().backward()
    return leaf.grad


def _alone(x: Any) -> Any:
    with fb.no_grad():
        y = x.requires_grad_() * 2
    assert not y.requires_grad
    return y


class Concurrency(SuiteBase):
    """Threads."""

    @each(_WORK)
    def test_threads(self, case: Callable[[Any], Any]) -> None:
        """Four threads, each on tensors of its own, beginning at once with cold caches."""
        sizes = [(16, 16), (33, 16), (16, 16), (5, 16)]

        def work(k: int) -> list[bytes]:
            x = OPS["rand"](sizes[k], generator=fb.Generator().manual_seed(k), device=self.device)
            return [b for _ in range(10) for b in snapshot(case(x))]

        alone = [work(k) for k in range(4)]
        forget_plans()
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(work, range(4)))
        assert together == alone
