"""What is timed: small ops, large ops, products, optimizer and training steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau as fb

from .timing import Row, measure

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

__all__ = ["large", "products", "small", "steps"]


def pair(make: Callable[[Any], Callable[[], Any]]) -> tuple[Callable[[], Any], Callable[[], Any] | None]:
    """The same program for both libraries."""
    return make(fb), None if torch is None else make(torch)


def small() -> list[Row]:
    """Calls on a few numbers: what a call costs."""

    def vector(grad: bool) -> Callable[[Any], Any]:
        return lambda t: t.ones(16, requires_grad=grad)

    cases: list[tuple[str, Callable[[Any, Any, Any], Any]]] = [
        ("x + y, 16 floats", lambda x, y, m: x + y),
        ("x + 2.0", lambda x, y, m: x + 2.0),
        ("x.exp()", lambda x, y, m: x.exp()),
        ("x.sum()", lambda x, y, m: x.sum()),
        ("4x4 matmul", lambda x, y, m: m @ m),
        ("x[1:3]", lambda x, y, m: x[1:3]),
        ("m.t()", lambda x, y, m: m.t()),
    ]
    rows = []
    for grad in (False, True):
        for name, body in cases:

            def make(t: Any, body: Any = body, grad: bool = grad) -> Callable[[], Any]:
                x, y, m = vector(grad)(t), t.ones(16), t.ones(4, 4, requires_grad=grad)
                return lambda: body(x, y, m)

            rows.append(measure(name + (", recorded" if grad else ""), *pair(make)))

    def chain(t: Any) -> Callable[[], Any]:
        x = t.ones(16, requires_grad=True)

        def step() -> None:
            ((x * 2 + 1).exp().sum() + (x * x).sum()).backward()
            x.grad = None

        return step

    rows.append(measure("small chain and its backward", *pair(chain)))
    return rows


def large(nbytes: int = 64 << 20) -> list[Row]:
    """Ops on large tensors: memory bandwidth and functions."""
    n = nbytes // 4
    cases: list[tuple[str, Callable[[Any, Any], Any], int]] = [
        ("x + y", lambda x, y: x + y, 3),
        ("exp", lambda x, y: x.exp(), 2),
        ("tanh", lambda x, y: x.tanh(), 2),
        ("sum", lambda x, y: x.sum(), 1),
        ("x.t().contiguous()", lambda x, y: x.view(1024, -1).t().contiguous(), 2),
        ("softmax", lambda x, y: x.view(-1, 1024).softmax(1), 2),
    ]
    rows = []
    for name, body, passes in cases:

        def make(t: Any, body: Any = body) -> Callable[[], Any]:
            x, y = t.rand(n), t.rand(n)
            return lambda: body(x, y)

        rows.append(
            measure(
                f"{name}, {nbytes >> 20} MiB",
                *pair(make),
                1.5,
                5,
                lambda s, p=passes: f"{p * nbytes / s / 1e9:.1f} GB/s",
            )
        )
    return rows


def products() -> list[Row]:
    """Matrix products and convolutions."""
    rows = []
    for n in (256, 1024, 2048):

        def make(t: Any, n: int = n) -> Callable[[], Any]:
            a, b = t.rand(n, n), t.rand(n, n)
            return lambda: a @ b

        rows.append(
            measure(f"sgemm {n}", *pair(make), 1.0, 5, lambda s, n=n: f"{2 * n**3 / s / 1e9:.0f} GF/s")
        )

    def conv(t: Any) -> Callable[[], Any]:
        x, w = t.rand(16, 64, 28, 28), t.rand(64, 64, 3, 3)
        f = t.nn.functional.conv2d
        return lambda: f(x, w, padding=1)

    rows.append(
        measure(
            "conv2d 3x3, 64 channels, 28x28, batch 16",
            *pair(conv),
            1.0,
            5,
            lambda s: f"{2 * 16 * 64 * 64 * 9 * 784 / s / 1e9:.0f} GF/s",
        )
    )
    return rows


def steps() -> list[Row]:
    """Training steps."""

    def mlp(t: Any) -> Callable[[], Any]:
        t.manual_seed(0)
        model = t.nn.Sequential(t.nn.Linear(16, 32), t.nn.ReLU(), t.nn.Linear(32, 4))
        optimizer = t.optim.AdamW(model.parameters(), lr=1e-3)
        x, y = t.rand(8, 16), t.rand(8, 4)
        loss_of = t.nn.MSELoss()

        def step() -> None:
            optimizer.zero_grad()
            loss_of(model(x), y).backward()
            optimizer.step()

        return step

    def cnn(t: Any) -> Callable[[], Any]:
        t.manual_seed(0)
        nn = t.nn
        model = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(128, 10),
        )  # fmt: skip
        optimizer = t.optim.AdamW(model.parameters(), lr=1e-3)
        x, y = t.rand(64, 1, 8, 8), t.randint(0, 10, (64,))
        loss_of = nn.CrossEntropyLoss()

        def step() -> None:
            optimizer.zero_grad()
            loss_of(model(x), y).backward()
            optimizer.step()

        return step

    def adam(t: Any) -> Callable[[], Any]:
        params = [t.rand(256, 1024).requires_grad_() for _ in range(20)]
        for p in params:
            p.grad = t.rand(256, 1024)
        return t.optim.Adam(params, lr=1e-3).step

    return [
        measure("MLP training step", *pair(mlp)),
        measure("CNN training step, batch 64", *pair(cnn), 1.0),
        measure("Adam, 20 tensors of 1 MiB", *pair(adam), 1.0),
    ]
