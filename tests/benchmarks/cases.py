"""What is timed: one table; a case builds the same call for flambeau and for PyTorch.

A case's builder gets the library (``t``) and its own source of numbers (``rng``, the same for both) and returns the
function to time; what that returns at its first call is compared between the libraries before any time counts.
``bytes`` or ``flops`` is what the machine must at least do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["BARS", "CASES", "Case", "table"]

Build = Callable[[Any, np.random.Generator], Callable[[], Any]]

#: Groups: title and the bar for the geometric mean of flambeau's time over PyTorch's.
BARS: dict[str, tuple[str, float]] = {
    "small": ("Small ops, with and without gradient; tiny training step", 0.8),
    "memory-small": ("Memory-bound ops, 256 KiB", 0.4),
    "memory": ("Memory-bound ops, 64 MiB", 0.25),
    "gemm": ("Matrix products, float32", 0.5),
    "bf16": ("Matrix products, bfloat16", 1.0),
    "conv": ("Convolutions, float32", 0.6),
    "attention": ("Attention", 0.45),
    "rnn": ("Recurrent layers", 0.7),
    "norm": ("Normalisations, softmax, cross-entropy: forward and backward", 0.5),
    "optim": ("Optimizer steps", 0.4),
    "train": ("Training steps end to end", 0.55),
}


class Case(NamedTuple):
    """A row: its group, name, builder, and least work (bytes moved or FLOPs; 0: not counted)."""

    group: str
    name: str
    build: Build
    bytes: float = 0
    flops: float = 0
    tolerance: float = 1e-4


CASES: list[Case] = []


def table(group: str, rows: dict[str, Build], **work: Any) -> None:
    """Add cases of one group that need the same work."""
    CASES.extend(Case(group, name, build, **work) for name, build in rows.items())


def of(t: Any, array: Any, grad: bool = False) -> Any:
    """An array as a tensor of the library."""
    x = t.from_numpy(np.ascontiguousarray(array))
    return x.requires_grad_() if grad else x


def normal(t: Any, rng: np.random.Generator, *shape: int, grad: bool = False) -> Any:
    """Normal float32 numbers."""
    return of(t, rng.standard_normal(shape, "f4"), grad)


# Small


def _small(body: Callable[[Any, Any, Any], Any], grad: bool) -> Build:
    def build(t: Any, rng: Any) -> Callable[[], Any]:
        x, y, m = normal(t, rng, 16, grad=grad), normal(t, rng, 16), normal(t, rng, 4, 4, grad=grad)
        return lambda: body(x, y, m)

    return build


_BODIES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "x + y, 16 floats": lambda x, y, m: x + y,
    "x + 2.0": lambda x, y, m: x + 2.0,
    "x.exp()": lambda x, y, m: x.exp(),
    "x.sum()": lambda x, y, m: x.sum(),
    "4x4 matmul": lambda x, y, m: m @ m,
    "x[1:3]": lambda x, y, m: x[1:3],
    "m.t()": lambda x, y, m: m.t(),
}
for _grad in (False, True):
    table("small", {n + (", recorded" if _grad else ""): _small(b, _grad) for n, b in _BODIES.items()})


def _chain(t: Any, rng: Any) -> Callable[[], Any]:
    x = normal(t, rng, 16, grad=True)

    def step() -> Any:
        ((x * 2 + 1).exp().sum() + (x * x).sum()).backward()
        g, x.grad = x.grad, None
        return g

    return step


def trained(t: Any, model: Any, loss_of: Callable[[Any], Any], lr: float = 1e-3) -> Callable[[], Any]:
    """A training step of a model with AdamW."""
    optimizer = t.optim.AdamW(model.parameters(), lr=lr)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def filled(t: Any, model: Any, rng: np.random.Generator) -> Any:
    """The model with weights from the case's own source of numbers."""
    with t.no_grad():
        for p in model.parameters():
            scale = (p.shape[-1] if len(p.shape) > 1 else 100) ** -0.5
            p.copy_(of(t, (rng.standard_normal(tuple(p.shape)) * scale).astype("f4")))
    return model


def _tiny_mlp(t: Any, rng: Any) -> Callable[[], Any]:
    nn = t.nn
    model = filled(t, nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)), rng)
    x, y, loss = normal(t, rng, 8, 16), normal(t, rng, 8, 4), nn.MSELoss()
    return trained(t, model, lambda m: loss(m(x), y))


table("small", {"small chain and its backward": _chain, "tiny MLP training step": _tiny_mlp})


# Memory


def _memory(nbytes: int, group: str) -> None:
    n = nbytes // 4
    rows = 1024 if nbytes > 1 << 20 else 64
    F = "functional"

    def one(body: Callable[[Any, Any], Any]) -> Build:
        def build(t: Any, rng: Any) -> Callable[[], Any]:
            x = of(t, rng.standard_normal(n, "f4"))
            return lambda: body(t, x)

        return build

    def two(body: Callable[[Any, Any, Any], Any], *shape: int, second: tuple[int, ...] = ()) -> Build:
        def build(t: Any, rng: Any) -> Callable[[], Any]:
            x = of(t, rng.standard_normal(shape or (n,), "f4"))
            y = of(t, rng.standard_normal(second or shape or (n,), "f4"))
            return lambda: body(t, x, y)

        return build

    def matrix(body: Callable[[Any, Any], Any]) -> Build:
        def build(t: Any, rng: Any) -> Callable[[], Any]:
            x = of(t, rng.standard_normal((rows, n // rows), "f4"))
            return lambda: body(t, x)

        return build

    def masked(body: Callable[[Any, Any, Any], Any]) -> Build:
        def build(t: Any, rng: Any) -> Callable[[], Any]:
            x, m = of(t, rng.standard_normal(n, "f4")), of(t, rng.random(n) < 0.5)
            return lambda: body(t, x, m)

        return build

    def indexed(body: Callable[[Any, Any, Any], Any]) -> Build:
        def build(t: Any, rng: Any) -> Callable[[], Any]:
            x = of(t, rng.standard_normal((n // 64, 64), "f4"))
            i = of(t, rng.integers(0, n // 64, n // 64))
            return lambda: body(t, x, i)

        return build

    table(group, {
        "x + y": two(lambda t, x, y: x + y), "x * y + x": two(lambda t, x, y: x * y + x),
        "where": masked(lambda t, x, m: t.where(m, x, -x)),
    }, bytes=3 * nbytes)  # fmt: skip
    table(group, {
        "exp": one(lambda t, x: x.exp()), "tanh": one(lambda t, x: x.tanh()), "log": one(lambda t, x: (x * x).log()),
        "gelu (tanh)": one(lambda t, x: t.nn.functional.gelu(x, approximate="tanh")),
        "masked_fill": masked(lambda t, x, m: x.masked_fill(m, 0.0)), "relu": one(lambda t, x: x.relu()),
        "transposed copy": matrix(lambda t, x: x.t().contiguous()),
        "x[::2] copy": one(lambda t, x: x[::2].contiguous()),
        "x + row": two(lambda t, x, y: x + y, rows, n // rows, second=(n // rows,)),
        "x + column": two(lambda t, x, y: x + y, rows, n // rows, second=(rows, 1)),
        "softmax, rows": matrix(lambda t, x: x.softmax(1)), "softmax, columns": matrix(lambda t, x: x.softmax(0)),
        "cumsum, rows": matrix(lambda t, x: x.cumsum(1)), "cumsum, columns": matrix(lambda t, x: x.cumsum(0)),
        "cat": two(lambda t, x, y: t.cat([x, y])), "flip": matrix(lambda t, x: x.flip(1)),
        "index_select rows": indexed(lambda t, x, i: x.index_select(0, i)),
        "gather": matrix(lambda t, x: x.gather(1, (x > 0).long())),
        "to bfloat16": one(lambda t, x: x.bfloat16()),
    }, bytes=2 * nbytes)  # fmt: skip
    table(group, {
        "sum": one(lambda t, x: x.sum()), "mean of rows": matrix(lambda t, x: x.mean(1)),
        "sum of columns": matrix(lambda t, x: x.sum(0)), "var of rows": matrix(lambda t, x: x.var(1)),
        "amax of rows": matrix(lambda t, x: x.amax(1)), "argmax of rows": matrix(lambda t, x: x.argmax(1)),
        "logsumexp of rows": matrix(lambda t, x: x.logsumexp(1)), "norm": one(lambda t, x: x.norm()),
    }, bytes=nbytes, tolerance=1e-3)  # fmt: skip
    table(
        group,
        {
            "sort": one(lambda t, x: x.sort().values),
            "topk 10 of rows": matrix(lambda t, x: x.topk(10).values),
        },
    )
    table(group, {
        "dropout": one(lambda t, x: t.nn.functional.dropout(x, 0.5)), "rand": one(lambda t, x: t.rand(n)),
        "randn": one(lambda t, x: t.randn(n)),
    }, bytes=nbytes, tolerance=-1)  # fmt: skip
    del F


_memory(256 << 10, "memory-small")
_memory(64 << 20, "memory")


# Products


def _product(
    m: int, k: int, n: int, batch: int = 0, ta: bool = False, tb: bool = False, half: bool = False
) -> Case:
    def build(t: Any, rng: Any) -> Callable[[], Any]:
        lead = (batch,) if batch else ()
        a = normal(t, rng, *lead, *((k, m) if ta else (m, k)))
        b = normal(t, rng, *lead, *((n, k) if tb else (k, n)))
        if half:
            a, b = a.bfloat16(), b.bfloat16()
        a, b = a.mT if ta else a, b.mT if tb else b
        return lambda: a @ b

    name = f"{f'{batch}x ' if batch else ''}{m}x{k} @ {k}x{n}{' A^T' if ta else ''}{' B^T' if tb else ''}"
    flops = 2.0 * m * k * n * max(batch, 1) / (2 if half else 1)
    return Case("bf16" if half else "gemm", name, build, flops=flops, tolerance=0.03 if half else 1e-4)


CASES += [_product(n, n, n) for n in (64, 128, 256, 512, 1024, 2048)]
CASES += [
    _product(512, 512, 512, ta=True), _product(512, 512, 512, tb=True), _product(128, 768, 3072, tb=True),
    _product(64, 64, 64, batch=64), _product(128, 64, 128, batch=32, tb=True), _product(1, 1024, 1024),
]  # fmt: skip
CASES += [_product(n, n, n, half=True) for n in (64, 256, 512, 1024, 2048)]
CASES += [_product(512, 512, 512, tb=True, half=True), _product(64, 64, 64, batch=64, half=True)]


# Convolutions: batch, channels, size, outputs, kernel, stride, padding, groups

_SHAPES = [
    (1, 3, 224, 64, 7, 2, 3, 1), (1, 64, 56, 64, 3, 1, 1, 1), (1, 64, 56, 256, 1, 1, 0, 1),
    (1, 128, 28, 128, 3, 1, 1, 1), (1, 256, 56, 128, 1, 1, 0, 1), (1, 128, 56, 128, 3, 2, 1, 1),
    (1, 256, 14, 256, 3, 1, 1, 1),
    (1, 512, 7, 512, 3, 1, 1, 1), (1, 144, 56, 144, 3, 1, 1, 144), (1, 96, 112, 96, 3, 2, 1, 96),
    (1, 24, 56, 144, 1, 1, 0, 1), (1, 64, 128, 64, 3, 1, 1, 1), (1, 128, 64, 64, 3, 1, 1, 1),
    (16, 3, 112, 64, 7, 2, 3, 1), (16, 64, 28, 64, 3, 1, 1, 1), (16, 256, 14, 256, 3, 1, 1, 1),
    (16, 256, 14, 1024, 1, 1, 0, 1), (16, 144, 28, 144, 3, 1, 1, 144),
]  # fmt: skip


def _convolution(s: tuple[int, ...], backward: bool, last: bool) -> Case:
    n, c, h, k, size, stride, pad, groups = s

    def build(t: Any, rng: Any) -> Callable[[], Any]:
        x = normal(t, rng, n, c, h, h, grad=backward)
        w = normal(t, rng, k, c // groups, size, size, grad=backward)
        if last and t.__name__ == "torch":  # PyTorch at its better layout
            x, w = (
                v.detach().contiguous(memory_format=t.channels_last).requires_grad_(backward) for v in (x, w)
            )
        conv = t.nn.functional.conv2d
        out = (h + 2 * pad - size) // stride + 1
        if not backward:
            return lambda: conv(x, w, None, stride, pad, 1, groups)
        g = normal(t, rng, n, k, out, out)
        if last and t.__name__ == "torch":
            g = g.contiguous(memory_format=t.channels_last)
        return lambda: t.autograd.grad(conv(x, w, None, stride, pad, 1, groups), (x, w), g)

    out = (h + 2 * pad - size) // stride + 1
    flops = 2.0 * n * k * out * out * c // groups * size * size * (3 if backward else 1)
    kind = "depthwise " if groups > 1 else ""
    name = f"{kind}{size}x{size}/{stride} {c}->{k}, {h}x{h}, batch {n}{', and backward' if backward else ''}"
    return Case("conv", name + ("|last" if last else ""), build, flops=flops, tolerance=1e-3)


CASES += [_convolution(s, b, last) for b in (False, True) for s in _SHAPES for last in (False, True)]


# Attention, recurrent layers, normalisations


def _attention(length: int, causal: bool, backward: bool) -> Case:
    def build(t: Any, rng: Any) -> Callable[[], Any]:
        q, k, v = (normal(t, rng, 1, 8, length, 64, grad=backward) for _ in range(3))
        f, g = t.nn.functional.scaled_dot_product_attention, normal(t, rng, 1, 8, length, 64)
        if not backward:
            return lambda: f(q, k, v, is_causal=causal)
        return lambda: t.autograd.grad(f(q, k, v, is_causal=causal), (q, k, v), g)

    flops = 4.0 * 8 * length * length * 64 * (3.5 if backward else 1) / (2 if causal else 1)
    name = f"{length} positions, 8 heads of 64{', causal' if causal else ''}{', and backward' if backward else ''}"
    return Case("attention", name, build, flops=flops)


CASES += [_attention(n, c, b) for n in (512, 2048) for c in (False, True) for b in (False, True)]


def _recurrent(kind: str, layers: int) -> Build:
    def build(t: Any, rng: Any) -> Callable[[], Any]:
        model = filled(t, getattr(t.nn, kind)(256, 256, layers), rng)
        x = normal(t, rng, 64, 16, 256, grad=True)

        def step() -> Any:
            y = model(x)[0]
            return t.autograd.grad(y.sum(), [x, *model.parameters()])[0]

        return step

    return build


table(
    "rnn",
    {
        f"{kind}, {n} layers, 64 steps, batch 16, forward and backward": _recurrent(kind, n)
        for kind in ("LSTM", "GRU")
        for n in (1, 2)
    },
)


def _normalised(make: Callable[[Any], Any], *shape: int) -> Build:
    def build(t: Any, rng: Any) -> Callable[[], Any]:
        f, x, g = make(t), normal(t, rng, *shape, grad=True), normal(t, rng, *shape)
        return lambda: t.autograd.grad(f(x), x, g)

    return build


def _loss(t: Any, rng: Any) -> Callable[[], Any]:
    x, y = normal(t, rng, 512, 8192, grad=True), of(t, rng.integers(0, 8192, 512))
    f = t.nn.functional.cross_entropy
    return lambda: t.autograd.grad(f(x, y), x)


table("norm", {
    "layer_norm 4096x768": _normalised(lambda t: t.nn.LayerNorm(768), 4096, 768),
    "rms_norm 4096x768": _normalised(lambda t: t.nn.RMSNorm(768), 4096, 768),
    "group_norm 16x64x28x28": _normalised(lambda t: t.nn.GroupNorm(8, 64), 16, 64, 28, 28),
    "batch_norm 16x64x56x56": _normalised(lambda t: t.nn.BatchNorm2d(64), 16, 64, 56, 56),
    "softmax 4096x1024": _normalised(lambda t: t.nn.Softmax(-1), 4096, 1024),
    "log_softmax 4096x1024": _normalised(lambda t: t.nn.LogSoftmax(-1), 4096, 1024),
    "cross_entropy 512x8192": _loss,
}, tolerance=1e-3)  # fmt: skip


# Optimizers


def _step(make: Callable[[Any, Any], Any]) -> Build:
    def build(t: Any, rng: Any) -> Callable[[], Any]:
        params = [normal(t, rng, *s, grad=True) for _ in range(20) for s in ((256, 256), (256,), (1024, 64))]
        for p in params:
            p.grad = normal(t, rng, *p.shape)
        optimizer = make(t, params)

        def step() -> Any:
            optimizer.step()
            return params[0].detach()

        return step

    return build


_NUMBERS = 20 * (256 * 256 + 256 + 1024 * 64) * 4
table("optim", {
    "SGD with momentum, 60 tensors": _step(lambda t, p: t.optim.SGD(p, lr=1e-3, momentum=0.9)),
}, bytes=5 * _NUMBERS)  # fmt: skip
table("optim", {
    "Adam, 60 tensors": _step(lambda t, p: t.optim.Adam(p, lr=1e-3)),
    "AdamW, 60 tensors": _step(lambda t, p: t.optim.AdamW(p, lr=1e-3)),
    "RMSprop with momentum, 60 tensors": _step(lambda t, p: t.optim.RMSprop(p, lr=1e-3, momentum=0.9)),
}, bytes=7 * _NUMBERS)  # fmt: skip
