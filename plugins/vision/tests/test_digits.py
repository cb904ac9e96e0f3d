"""The digits: what is in the file, how it is split, what happens when the file is damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import flambeau as fb

datasets = fb.vision.datasets


def test_the_two_sets() -> None:
    train, test = datasets.Digits(), datasets.Digits(train=False)
    assert (len(train), len(test)) == (1442, 355)
    assert train.data.shape == (1442, 8, 8)
    assert train.data.dtype == fb.uint8
    assert train.targets.dtype == fb.int64
    counts = [[(d.targets == k).sum().item() for k in range(10)] for d in (train, test)]
    assert [a + b for a, b in zip(*counts, strict=True)] == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert counts[1] == [35, 36, 35, 36, 36, 36, 36, 35, 34, 36]
    pixels = train.data.to(fb.int64).sum().item() + test.data.to(fb.int64).sum().item()
    assert pixels == 561718
    assert train.data.max().item() == 16


def test_the_first_digit_is_a_zero() -> None:
    image, label = datasets.Digits()[0]
    assert label == 0
    assert image.shape == (1, 8, 8)
    assert image[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert image[0, 7].tolist() == [0, 0, 6, 13, 10, 0, 0, 0]


def test_transforms_are_applied_to_images_and_labels() -> None:
    ds = datasets.Digits(
        "anywhere",
        train=True,
        transform=lambda x: x.float() / 16,
        target_transform=lambda y: -y,
        download=True,
    )
    image, label = ds[5]
    assert image.dtype == fb.float32
    assert image.max().item() == 1.0
    assert label == -5
    (x, y) = next(iter(fb.data.DataLoader(ds, batch_size=3)))
    assert x.dtype == fb.float32
    assert y.tolist() == [0, -1, -2]


def test_whole_batches_are_what_single_samples_give() -> None:
    ds = datasets.Digits(train=False)
    fast = next(iter(fb.data.DataLoader(ds, batch_size=7)))
    slow = fb.data.default_collate([ds[i] for i in range(7)])
    for a, b in zip(fast, slow, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert a.tolist() == b.tolist()


@pytest.mark.parametrize("damage", ["cut", "empty", "changed", "missing"])
def test_a_damaged_file_is_reported(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import flambeau_vision.datasets.digits as module

    good = module.FILE.read_bytes()
    assert len(good) < 100_000
    bad: dict[str, Any] = {"cut": good[:-1], "empty": b"", "changed": good[:99] + b"!" + good[100:]}
    copy = tmp_path / "digits.z"
    if damage in bad:
        copy.write_bytes(bad[damage])
    monkeypatch.setattr(module, "FILE", copy)
    error = FileNotFoundError if damage == "missing" else RuntimeError
    with pytest.raises(error, match=r"^\[Digits\] .*digits\.z.* Reinstall"):
        datasets.Digits()
