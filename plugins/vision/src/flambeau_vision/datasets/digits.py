"""The digits data set: 1,797 real handwritten digits of 8 × 8 pixels, shipped with this package."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import message
from flambeau_data import Dataset

__all__ = ["Digits"]

FILE = Path(__file__).parent.parent / "data" / "digits.z"
SHA256 = "730fdf60871ec636d0bd854e65ef4e18d0201cbeec5aa06a0202dc6366870f09"
COUNT, SIDE = 1797, 8


class Digits(Dataset[tuple[Any, Any]]):
    """Optical recognition of handwritten digits (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository).

    13 people wrote on preprinted forms; each digit was scanned to 32 × 32 black and white pixels, of which those
    that are set were counted in blocks of 4 × 4: grey values from 0 to 16. This is the repository's test part,
    CC BY 4.0, https://doi.org/10.24432/C50P49.

    Sample i is ``(image, label)``: a uint8 tensor of shape [1, 8, 8] and an int. Of each class, every fifth digit
    in the order of the original file belongs to the test set (355 in all), the others to the training set (1,442):
    always the same, and every class has its share of both. The writers are the same in both.

    Args:
        root: accepted as in PyTorch's data sets; nothing is looked for there.
        train: the training set, or the test set.
        transform: applied to each image.
        target_transform: applied to each label.
        download: accepted; nothing needs to be downloaded.

    Attributes:
        data: all images, uint8 [N, 8, 8].
        targets: all labels, int64 [N].
        classes: the labels' names.

    >>> image, label = fb.vision.datasets.Digits(train=False)[0]
    >>> list(image.shape), int(image.max()), label
    ([1, 8, 8], 16, 5)
    """

    classes = [str(k) for k in range(10)]

    def __init__(
        self,
        root: Any = None,
        train: bool = True,
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        download: bool = False,
    ) -> None:
        pixels, labels = _read(FILE)
        seen = [0] * 10
        chosen = []
        for i, label in enumerate(labels):
            seen[label] += 1
            if (seen[label] % 5 == 0) != train:
                chosen.append(i)
        rows = fb.tensor(chosen, dtype=fb.int64)
        images = fb.frombuffer(bytearray(pixels), dtype=fb.uint8).reshape(COUNT, SIDE, SIDE)
        self.data: Tensor = images.index_select(0, rows)
        self.targets: Tensor = fb.tensor([labels[i] for i in chosen], dtype=fb.int64)
        self.train = train
        self.transform = transform
        self.target_transform = target_transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        image: Any = self.data[index].unsqueeze(0)
        label: Any = int(self.targets[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    def __getbatch__(self, indices: Sequence[int]) -> list[Tensor] | None:
        plain = self.transform is None and self.target_transform is None
        if not plain or type(indices[0]) is not int or min(indices) < 0:
            return None
        rows = fb.tensor(indices, dtype=fb.int64)
        return [self.data.index_select(0, rows).unsqueeze(1), self.targets.index_select(0, rows)]

    def __repr__(self) -> str:
        return f"Digits({'training' if self.train else 'test'} set, {len(self)} images of {SIDE} × {SIDE})"


def _read(path: Path) -> tuple[bytes, bytes]:
    """Pixels and labels, once the file has proved to be what was shipped."""
    do = "Reinstall the package: pip install --force-reinstall --no-deps flambeau-vision"
    try:
        packed = path.read_bytes()
    except OSError as e:
        wrong = f"can't read the data file {path} ({e.strerror})"
        raise type(e)(message("Digits", wrong, do=do)) from None
    found = hashlib.sha256(packed).hexdigest()
    if found != SHA256:
        wrong = f"the data file {path} is damaged: {len(packed)} bytes with SHA-256 {found[:16]}..."
        raise RuntimeError(message("Digits", wrong, f"SHA-256 {SHA256[:16]}...", do))
    raw = zlib.decompress(packed)
    return raw[: COUNT * SIDE * SIDE], raw[COUNT * SIDE * SIDE :]
