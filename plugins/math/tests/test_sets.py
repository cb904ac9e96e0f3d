"""Sets, sorted sequences and counts, against PyTorch."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import flambeau as fb

torch: Any = pytest.importorskip("torch")


def flat(result: Any) -> list[Any]:
    """The tensors of a result, which may be one, or a sequence of them."""
    return [t for r in result for t in flat(r)] if isinstance(result, (tuple, list)) else [result]


def assert_same(ours: Any, theirs: Any) -> None:
    """Equal shapes, dtypes and values."""
    for a, b in zip(flat(ours), flat(theirs), strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        assert a.dtype.name == str(b.dtype).removeprefix("torch.")
        np.testing.assert_array_equal(np.asarray(a.tolist()), np.asarray(b.tolist()))


def test_unique() -> None:
    def calls(m: Any) -> list[Any]:
        x = m.tensor([[3, 1, 3], [1, 1, 0], [3, 1, 3]])
        every = {"return_inverse": True, "return_counts": True}
        return [
            m.unique(x),
            x.unique(**every),
            x.unique(dim=0, **every),
            x.unique(dim=1, **every),
            m.unique_consecutive(x),
            x.unique_consecutive(**every),
            m.unique_consecutive(x, dim=1, **every),
            m.unique(m.zeros(0)),
            x[:0].reshape(-1).unique(**every),
            (x > 1).unique(),
            (x / 2).unique(return_counts=True),
        ]

    assert_same(calls(fb), calls(torch))


def test_searchsorted() -> None:
    def calls(m: Any) -> list[Any]:
        seq, x = m.tensor([1.0, 2.0, 2.0, 5.0]), m.tensor([[0.0, 2.0], [3.0, float("nan")]])
        rows = m.stack([seq, seq * 2])
        return [
            m.searchsorted(seq, x),
            m.searchsorted(seq, x, right=True),
            m.searchsorted(rows, x, side="right"),
            m.searchsorted(seq, 2.0),
            m.bucketize(x, seq),
            m.bucketize(x, seq, right=True, out_int32=True),
            m.bucketize(7, seq),
            m.searchsorted(seq.flip(0), x, sorter=m.tensor([3, 2, 1, 0])),
            m.searchsorted(m.zeros(0), x),
        ]

    assert_same(calls(fb), calls(torch))


def test_counting() -> None:
    def calls(m: Any) -> list[Any]:
        x = m.tensor([1, 4, 1, 0])
        w = m.tensor([0.5, 1.0, 2.0, 3.0])
        return [
            m.bincount(x),
            x.bincount(minlength=7),
            x.bincount(w),
            m.bincount(x[:0]),
            x.bincount(x),
            x.bincount(w.double()),
            m.isin(x, m.tensor([4, 0])),
            m.isin(x, 1, invert=True),
            m.isin(x, x[:0]),
            w.histc(4),
            m.histc(w, 3, 0, 2),
            m.histc(w, bins=2, min=1, max=3),
        ]

    assert_same(calls(fb), calls(torch))


@pytest.mark.parametrize(
    ("fn", "text"),
    [
        (lambda m: m.bincount(m.zeros(3)), "1-d non-negative integral"),
        (lambda m: m.bincount(m.tensor([1, -1])), "1-d non-negative integral"),
        (lambda m: m.bincount(m.tensor([1]), minlength=-1), "minlength should be >= 0"),
        (lambda m: m.zeros(2, 0).unique(dim=0), "there are 0 sized dimensions"),
        (lambda m: m.searchsorted(m.zeros(3), m.zeros(2), side="middle"), "'left' or 'right'"),
        (lambda m: m.searchsorted(m.zeros(3), m.zeros(2), side="left", right=True), "opposites"),
        (lambda m: m.searchsorted(m.zeros(2, 3), m.zeros(3, 3)), "first N-1 dimensions"),
        (lambda m: m.bucketize(m.zeros(2), m.zeros(2, 2)), "must be 1 dimension"),
        (lambda m: m.histc(m.zeros(2), 0), "bins must be > 0"),
        (lambda m: m.histc(m.zeros(2), 3, 2, 1), "max must be larger than min"),
    ],
)
def test_errors(fn: Any, text: str) -> None:
    with pytest.raises(RuntimeError):
        fn(torch)
    with pytest.raises(RuntimeError, match=re.escape(text)):
        fn(fb)
