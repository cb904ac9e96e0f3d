"""Small models trained for twenty steps: the losses are those of the reference in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.plugin import OPS

from ..cases import each
from .base import SuiteBase

__all__ = ["Models"]

Weights = dict[str, Any]
Model = tuple[dict[str, tuple[int, ...]], Callable[[Weights, Any, Any], Any]]


def _loss(logits: Any, labels: Any) -> Any:
    return -logits.log_softmax(1).gather(1, labels.unsqueeze(1)).mean()


def _norm(x: Any) -> Any:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def _mlp(w: Weights, x: Any, labels: Any) -> Any:
    hidden = (x.flatten(1) @ w["w1"] + w["b1"]).relu()
    return _loss((hidden @ w["w2"] + w["b2"]).tanh() @ w["w3"], labels)


def _cnn(w: Weights, x: Any, labels: Any) -> Any:
    import flambeau

    conv, pool = flambeau.nn.functional.conv2d, flambeau.nn.functional.max_pool2d
    y = pool(conv(x.unsqueeze(1), w["c1"], padding=1).relu(), 2)
    y = conv(y, w["c2"], stride=2).relu().flatten(1)
    return _loss(y @ w["w"], labels)


def _transformer(w: Weights, x: Any, labels: Any) -> Any:
    y = x @ w["embed"]
    q, k, v = ((_norm(y) @ w[name]).unflatten(-1, (2, 4)).transpose(1, 2) for name in ("q", "k", "v"))
    scores = (q @ k.transpose(-1, -2)) / 2.0
    mask = OPS["ones"](tuple(scores.shape[-2:]), device=x.device).tril() == 0
    mixed = scores.masked_fill(mask, float("-inf")).softmax(-1) @ v
    y = y + mixed.transpose(1, 2).flatten(2) @ w["o"]
    y = y + (_norm(y) @ w["up"]).sigmoid() @ w["down"]
    return _loss(_norm(y).mean(1) @ w["w"], labels)


def _lstm(w: Weights, x: Any, labels: Any) -> Any:
    h = c = OPS["zeros"]((x.shape[0], 8), dtype=x.dtype, device=x.device)
    for step in x.unbind(1):
        i, f, g, o = (step @ w["in"] + h @ w["rec"] + w["b"]).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
    return _loss(h @ w["w"], labels)


_MODELS: dict[str, Model] = {
    "mlp": ({"w1": (64, 16), "b1": (16,), "w2": (16, 8), "b2": (8,), "w3": (8, 5)}, _mlp),
    "cnn": ({"c1": (4, 1, 3, 3), "c2": (6, 4, 3, 3), "w": (6, 5)}, _cnn),
    "transformer": (
        {
            "embed": (8, 8),
            "q": (8, 8),
            "k": (8, 8),
            "v": (8, 8),
            "o": (8, 8),
            "up": (8, 16),
            "down": (16, 8),
            "w": (8, 5),
        },
        _transformer,
    ),
    "lstm": ({"in": (8, 32), "rec": (8, 32), "b": (32,), "w": (8, 5)}, _lstm),
}


def train(model: Model, device: str, dtype: fb.dtype, steps: int = 20) -> list[float]:
    """The losses of gradient descent with momentum on fixed data."""
    shapes, forward = model
    rng = np.random.default_rng(5)

    def put(values: Any) -> Any:
        return fb.from_numpy(values).to("reference").to(dtype).to(device)

    x = put(rng.standard_normal((12, 8, 8)))
    labels = fb.from_numpy(rng.integers(0, 5, 12)).to(device)
    weights = {
        name: put(rng.standard_normal(shape) / shape[0] ** 0.5).requires_grad_()
        for name, shape in shapes.items()
    }
    speeds = {name: OPS["zeros"](tuple(w.shape), dtype=dtype, device=device) for name, w in weights.items()}
    losses = []
    for _ in range(steps):
        loss = forward(weights, x, labels)
        for (name, w), g in zip(weights.items(), fb.autograd.grad(loss, list(weights.values())), strict=True):
            speeds[name].mul_(0.8).add_(g)
            w.detach().sub_(speeds[name] * 0.05)
        losses.append(float(loss))
    return losses


_WANTED: dict[str, list[float]] = {}


class Models(SuiteBase):
    """Models."""

    @each({f"{name}-{d.name}": (name, d) for name in _MODELS for d in (fb.float32, fb.float64)})
    def test_model(self, case: tuple[str, fb.dtype]) -> None:
        """Twenty steps of training lower the loss exactly as the reference in float64 lowers it."""
        name, dtype = case
        if name == "cnn":
            pytest.importorskip("flambeau.nn")
        if name not in _WANTED:
            _WANTED[name] = train(_MODELS[name], "reference", fb.float64)
        want = _WANTED[name]
        assert want[-1] < 0.9 * want[0]
        got = train(_MODELS[name], self.device, dtype)
        np.testing.assert_allclose(got, want, rtol=1e-9 if dtype is fb.float64 else 2e-4)
