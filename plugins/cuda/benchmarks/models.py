"""Models written against PyTorch's interface, built from either library: ``gpt(torch)`` or ``gpt(flambeau)``."""

from __future__ import annotations

from typing import Any

__all__ = ["gpt", "resnet50"]


def gpt(
    lib: Any,
    vocabulary: int = 50304,
    width: int = 768,
    layers: int = 12,
    heads: int = 12,
    context: int = 1024,
) -> Any:
    """GPT-2 small: pre-norm blocks, learned positions, tied to no output weights."""
    nn, functional = lib.nn, lib.nn.functional

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            b, t, c = x.shape
            qkv = self.qkv(self.norm1(x)).reshape(b, t, 3, heads, c // heads)
            q, k, v = (qkv[:, :, i].transpose(1, 2) for i in range(3))
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(b, t, c))
            return x + self.down(functional.gelu(self.up(self.norm2(x))))

    class Gpt(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

        def forward(self, ids: Any, targets: Any, places: Any) -> Any:
            x = self.tokens(ids) + self.places(places)
            for block in self.blocks:
                x = block(x)
            logits = self.head(self.norm(x))
            return functional.cross_entropy(logits.reshape(-1, vocabulary), targets.reshape(-1))

    return Gpt()


def resnet50(lib: Any, classes: int = 1000) -> Any:
    """ResNet-50 with stride in the 3x3 convolutions."""
    nn = lib.nn

    class Bottleneck(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inside: int, width: int, stride: int) -> None:
            super().__init__()
            outside = 4 * width
            self.conv1, self.bn1 = nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
            self.bn2, self.conv3 = nn.BatchNorm2d(width), nn.Conv2d(width, outside, 1, bias=False)
            self.bn3, self.relu = nn.BatchNorm2d(outside), nn.ReLU()
            self.short = None
            if stride != 1 or inside != outside:
                self.short = nn.Sequential(
                    nn.Conv2d(inside, outside, 1, stride=stride, bias=False), nn.BatchNorm2d(outside)
                )

        def forward(self, x: Any) -> Any:
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.relu(self.bn2(self.conv2(y)))
            y = self.bn3(self.conv3(y))
            return self.relu(y + (x if self.short is None else self.short(x)))

    parts = [
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]
    inside = 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for k in range(count):
            parts.append(Bottleneck(inside, width, stride if k == 0 else 1))
            inside = 4 * width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, classes))
