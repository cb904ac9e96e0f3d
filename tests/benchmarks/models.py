"""Models whose training steps are timed, written once for both libraries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .cases import filled, normal, of, table, trained

__all__: list[str] = []


def _mlp(t: Any, rng: Any) -> Callable[[], Any]:
    nn = t.nn
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    x, y, loss = normal(t, rng, 64, 784), of(t, rng.integers(0, 10, 64)), nn.CrossEntropyLoss()
    return trained(t, filled(t, model, rng), lambda m: loss(m(x), y))


def _cnn(t: Any, rng: Any) -> Callable[[], Any]:
    nn = t.nn
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64 * 7 * 7, 10),
    )  # fmt: skip
    x, y, loss = normal(t, rng, 64, 1, 28, 28), of(t, rng.integers(0, 10, 64)), nn.CrossEntropyLoss()
    return trained(t, filled(t, model, rng), lambda m: loss(m(x), y))


def _resnet18(t: Any, rng: Any) -> Callable[[], Any]:
    nn = t.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, c: int, k: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(c, k, 3, stride, 1, bias=False), nn.BatchNorm2d(k), nn.ReLU(),
                nn.Conv2d(k, k, 3, 1, 1, bias=False), nn.BatchNorm2d(k),
            )  # fmt: skip
            self.skip = (
                nn.Identity()
                if c == k and stride == 1
                else nn.Sequential(nn.Conv2d(c, k, 1, stride, bias=False), nn.BatchNorm2d(k))
            )

        def forward(self, x: Any) -> Any:
            return (self.body(x) + self.skip(x)).relu()

    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    c = 64
    for k, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(c, k, stride), Block(k, k, 1)]
        c = k
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 100))
    x, y, loss = normal(t, rng, 8, 3, 64, 64), of(t, rng.integers(0, 100, 8)), nn.CrossEntropyLoss()
    return trained(t, filled(t, model, rng), lambda m: loss(m(x), y))


def _gpt(t: Any, rng: Any) -> Callable[[], Any]:
    nn, F = t.nn, t.nn.functional

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, d: int, heads: int) -> None:
            super().__init__()
            self.heads = heads
            self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
            self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
            self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

        def forward(self, x: Any) -> Any:
            b, n, d = x.shape
            qkv = self.qkv(self.ln1(x)).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
            a = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], is_causal=True)
            x = x + self.out(a.transpose(1, 2).reshape(b, n, d))
            return x + self.mlp(self.ln2(x))

    class Model(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(1000, 384), nn.Embedding(128, 384)
            self.blocks = nn.Sequential(*[Block(384, 6) for _ in range(6)])
            self.norm, self.head = nn.LayerNorm(384), nn.Linear(384, 1000, bias=False)

        def forward(self, i: Any) -> Any:
            x = self.tokens(i) + self.places(t.arange(i.shape[1]))
            return self.head(self.norm(self.blocks(x)))

    model, i = filled(t, Model(), rng), of(t, rng.integers(0, 1000, (4, 129)))
    return trained(t, model, lambda m: F.cross_entropy(m(i[:, :-1]).reshape(-1, 1000), i[:, 1:].reshape(-1)))


def _lstm(t: Any, rng: Any) -> Callable[[], Any]:
    nn, F = t.nn, t.nn.functional

    class Model(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.rnn = nn.Embedding(1000, 128), nn.LSTM(128, 256, batch_first=True)
            self.head = nn.Linear(256, 1000)

        def forward(self, i: Any) -> Any:
            return self.head(self.rnn(self.embed(i))[0])

    model, i = filled(t, Model(), rng), of(t, rng.integers(0, 1000, (16, 33)))
    return trained(t, model, lambda m: F.cross_entropy(m(i[:, :-1]).reshape(-1, 1000), i[:, 1:].reshape(-1)))


def _vae(t: Any, rng: Any) -> Callable[[], Any]:
    nn, F = t.nn, t.nn.functional

    class Model(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.encode = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
            self.decode = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))

        def forward(self, x: Any, e: Any) -> Any:
            mu, logvar = self.encode(x).chunk(2, 1)
            return self.decode(mu + e * (0.5 * logvar).exp()), mu, logvar

    x, e = of(t, rng.random((64, 784), "f4")), normal(t, rng, 64, 20)

    def loss(m: Any) -> Any:
        y, mu, logvar = m(x, e)
        kl = -0.5 * (1 + logvar - mu * mu - logvar.exp()).sum()
        return F.binary_cross_entropy_with_logits(y, x, reduction="sum") + kl

    return trained(t, filled(t, Model(), rng), loss)


def _dcgan(t: Any, rng: Any) -> Callable[[], Any]:
    nn, F = t.nn, t.nn.functional
    generator = nn.Sequential(
        nn.ConvTranspose2d(64, 128, 4, 1, 0, bias=False), nn.BatchNorm2d(128), nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.ConvTranspose2d(32, 3, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    judge = nn.Sequential(
        nn.Conv2d(3, 32, 4, 2, 1, bias=False), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1, bias=False),
        nn.BatchNorm2d(64), nn.LeakyReLU(0.2), nn.Conv2d(64, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128),
        nn.LeakyReLU(0.2), nn.Conv2d(128, 1, 4, 1, 0, bias=False), nn.Flatten(),
    )  # fmt: skip
    both = filled(t, nn.ModuleList([generator, judge]), rng)
    real, z, ones = normal(t, rng, 16, 3, 32, 32), normal(t, rng, 16, 64, 1, 1), t.ones(16, 1)
    bce = F.binary_cross_entropy_with_logits
    return trained(t, both, lambda m: bce(m[1](real), ones) + bce(m[1](m[0](z)), ones * 0), 1e-4)


table("train", {
    "MLP 784-256-128-10, batch 64": _mlp, "CNN 28x28, batch 64": _cnn, "ResNet-18, 64x64, batch 8": _resnet18,
    "GPT, 6 layers of 384, 4x128 tokens": _gpt, "LSTM language model, 16x32": _lstm, "VAE 784-400-20, batch 64": _vae,
    "DCGAN 32x32, batch 16": _dcgan,
}, tolerance=1e-3)  # fmt: skip
