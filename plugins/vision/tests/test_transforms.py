"""Transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fb

T = fb.vision.transforms


def test_compose_and_lambda() -> None:
    t = T.Compose([T.Lambda(lambda x: x + 1), T.Lambda(lambda x: x * 2)])
    assert t(fb.tensor([1, 2])).tolist() == [4, 6]
    assert repr(t) == "Compose(\n    Lambda()\n    Lambda()\n)"


@pytest.mark.parametrize(
    ("old", "new", "value", "expected"),
    [
        ("uint8", "float32", 255, 1.0),
        ("float32", "uint8", 1.0, 255),
        ("float32", "uint8", 0.5, 127),
        ("uint8", "int16", 255, 32640),
        ("int16", "uint8", 32767, 255),
        ("float64", "float32", 0.25, 0.25),
        ("uint8", "uint8", 7, 7),
    ],
)
def test_dtypes_are_converted_with_their_range(old: str, new: str, value: float, expected: float) -> None:
    out = T.ConvertImageDtype(getattr(fb, new))(fb.tensor([value], dtype=getattr(fb, old)))
    assert out.dtype == getattr(fb, new)
    assert out.tolist() == [expected]


def test_arrays_become_tensors() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    x = T.ToTensor()(array)
    assert x.shape == (3, 2, 4)
    assert x[1, 0, 0].item() == pytest.approx(1 / 255)
    assert T.ToTensor()(array[..., 0]).shape == (1, 2, 4)
    assert T.ToTensor()(np.ones((2, 2, 1), np.float32)).max().item() == 1.0
    assert T.ToTensor()(fb.tensor([255], dtype=fb.uint8)).tolist() == [1.0]


def test_normalize() -> None:
    x = fb.ones(2, 3, 4, 4)
    y = T.Normalize([0.0, 1.0, 2.0], [1.0, 2.0, 4.0])(x)
    assert y[1, :, 2, 3].tolist() == [1.0, 0.0, -0.25]
    z = T.Normalize([0.5], [0.5], inplace=True)(x)
    assert z is x
    assert x[0, 0, 0, 0].item() == 1.0


def test_random_shift_moves_every_image_by_itself() -> None:
    fb.manual_seed(0)
    x = fb.zeros(200, 2, 5, 6)
    x[:, 0, 2, 3] = 1.0
    x[:, 1, 2, 3] = 2.0
    y = T.RandomShift(1, fill=0.0)(x)
    assert y.shape == x.shape
    assert y[:, 1].tolist() == (2 * y[:, 0]).tolist()
    places = {(r, c) for _, r, c in y[:, 0].nonzero().tolist()}
    assert places == {(r, c) for r in (1, 2, 3) for c in (2, 3, 4)}
    assert y[:, 0].sum().item() == 200.0


def test_random_shift_fills_the_border_and_takes_single_images() -> None:
    fb.manual_seed(1)
    x = fb.ones(1, 3, 3, dtype=fb.uint8)
    shapes = {tuple(map(tuple, T.RandomShift(2, fill=9)(x)[0].tolist())) for _ in range(100)}
    assert len(shapes) > 10
    assert {v for s in shapes for row in s for v in row} == {1, 9}
    assert T.RandomShift(0)(x).tolist() == x.tolist()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: T.Normalize([0.0], [0.0]), ValueError, "std has a zero"),
        (lambda: T.Normalize([0.0], [1.0])(fb.ones(1, 2, 2, dtype=fb.uint8)), TypeError, "ConvertImageDtype"),
        (lambda: T.Normalize([0.0], [1.0])(fb.ones(2, 2)), ValueError, "too few dimensions"),
        (lambda: T.ToTensor()("picture"), TypeError, "no image"),
        (lambda: T.ToTensor()(np.ones(3)), ValueError, "wrong number of dimensions"),
        (lambda: T.RandomShift(-1), ValueError, "negative"),
        (lambda: T.Lambda(3), TypeError, "not callable"),
    ],
)
def test_mistakes(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
