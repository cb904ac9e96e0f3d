"""Training on the GPU equals training on the CPU: a small CNN on real digits, and a small GPT."""

from __future__ import annotations

from typing import Any

from models import gpt

import flambeau as fb

F = fb.nn.functional


def fill(model: Any) -> Any:
    """The same parameters on every device."""
    with fb.no_grad():
        for k, p in enumerate(model.parameters()):
            p.copy_(((fb.arange(p.numel(), dtype=fb.float32) * 0.37 + k).sin() * 0.1).reshape(p.shape))
    return model


def digits(device: str, steps: int = 40) -> list[float]:
    """Losses of a CNN on the digits of flambeau-vision."""
    from flambeau.vision.datasets import Digits

    data = Digits(train=True)
    items = [data[k] for k in range(256)]
    images = fb.stack([fb.as_tensor(image).to(fb.float32).reshape(1, 8, 8) for image, _ in items])
    images, labels = images / images.amax(), fb.tensor([int(label) for _, label in items])
    nn = fb.nn
    model = fill(
        nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10),
        )
    ).to(device)  # fmt: skip
    optimizer = fb.optim.AdamW(model.parameters(), lr=3e-3)
    x, t = images.to(device), labels.to(device)
    losses = []
    for k in range(steps):
        part = slice(k % 4 * 64, k % 4 * 64 + 64)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[part]), t[part])
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses


def text(device: str, steps: int = 20) -> list[float]:
    """Losses of a GPT with two layers."""
    model = fill(gpt(fb, vocabulary=96, width=128, layers=2, heads=2, context=64)).to(device)
    optimizer = fb.optim.AdamW(model.parameters(), lr=1e-3)
    ids = (fb.arange(8 * 64) * 7919 % 96).reshape(8, 64).to(device)
    places = fb.arange(64).to(device)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(ids, ids.roll(-1, 1), places)
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses


def main() -> None:
    """Compare both; the difference allowed grows with the steps."""
    for fn in (digits, text):
        here, there = fn("cuda"), fn("cpu")
        worst = max(abs(a - b) / max(abs(b), 1e-2) for a, b in zip(here, there, strict=True))
        print(
            f"{fn.__name__}: loss {there[0]:.4f} -> cpu {there[-1]:.6f}, cuda {here[-1]:.6f}, largest difference {worst:.1e}"
        )
        assert here[-1] < 0.99 * here[0], "it must learn"
        assert worst < 2e-2, (here, there)


if __name__ == "__main__":
    main()
