"""Index kernels against NumPy and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from test_kernels_support import T, layouts, threads_agree

from flambeau_cpu import kernels_index as ki

RNG = np.random.default_rng(2)
DTYPES = ["?", "u1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16"]


def values(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Small distinct-ish numbers of any dtype."""
    return RNG.integers(-3 if dtype[0] != "u" else 0, 4, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gather(dtype: str) -> None:
    """All layouts and dims."""
    src = values((5, 6, 7), dtype)
    for dim in range(3):
        shape = [4, 5, 6]
        index = RNG.integers(0, src.shape[dim], shape)
        want = np.take_along_axis(
            src[tuple(slice(0, n) if d != dim else slice(None) for d, n in enumerate(shape))], index, dim
        )
        for s in layouts(src):
            for i in layouts(index):
                out = np.zeros(shape, dtype)
                ki.gather(T(out), T(s), dim, T(i))
                assert np.array_equal(out, want)
    big, index = values((3, 70_000), dtype), RNG.integers(0, 70_000, (3, 70_000))

    def call() -> np.ndarray:
        out = np.zeros(big.shape, dtype)
        ki.gather(T(out), T(big), 1, T(index))
        return out

    assert np.array_equal(threads_agree(call), np.take_along_axis(big, index, 1))


def test_gather_errors_and_scalars() -> None:
    """The first bad index is named; 0-d works; negative indexes are refused."""
    src, index = values((3, 4), "f4"), np.array([[0, 1, 2, 0], [0, 7, 1, -1]])
    with pytest.raises(IndexError, match=r"dimension 0 with size 3: got 7 at position \[1, 1\]"):
        ki.gather(T(np.zeros((2, 4), "f4")), T(src), 0, T(index))
    out = np.zeros((), "f4")
    ki.gather(T(out), T(np.array(5, "f4")), 0, T(np.array(0)))
    assert out == 5
    ki.gather(T(np.zeros((0, 4), "f4")), T(src), 0, T(np.zeros((0, 4), "i8")))


def test_select_and_embedding() -> None:
    """Rows and columns by index; int32 too."""
    src = values((6, 8, 5), "f4")
    for s in layouts(src):
        for dim in range(3):
            index = RNG.integers(0, src.shape[dim], 9)
            for i in (index, index.astype("i4"), np.repeat(index, 2)[::2], index[::-1].copy()[::-1]):
                out = np.zeros([9 if d == dim else n for d, n in enumerate(src.shape)], "f4")
                ki.KERNELS["index_select"]((T(out),), (T(s), T(i)), {"dim": dim - 3})
                assert np.array_equal(out, src.take(index, dim))
    w, index = values((10, 16), "f4"), RNG.integers(0, 10, (3, 5))
    for ww in layouts(w):
        for i in layouts(index):
            out = np.zeros((3, 5, 16), "f4")
            ki.KERNELS["embedding"]((T(out),), (T(ww), T(i)), {})
            assert np.array_equal(out, w[index])
    with pytest.raises(IndexError, match=r"\[embedding\].*got 10 at position \[1\]"):
        ki.embedding(T(np.zeros((2, 16), "f4")), T(w), T(np.array([1, 10])))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduce", [None, "sum", "prod", "amax", "amin"])
def test_scatter(dtype: str, reduce: str | None) -> None:
    """Against a plain loop in index order."""
    if dtype[0] == "c" and reduce in ("amax", "amin"):
        pytest.skip("complex numbers have no order")
    ops = {
        None: lambda a, b: b,
        "sum": lambda a, b: a + b,
        "prod": lambda a, b: a * b,
        "amax": max,
        "amin": min,
    }
    for shape, ishape, dim in (
        ((5, 6), (4, 6), 0),
        ((5, 6), (5, 9), 1),
        ((3, 4, 5), (3, 7, 2), 1),
        ((), (), 0),
        ((9,), (30,), 0),
    ):
        start, src = values(shape, dtype), values(ishape, dtype)
        index = RNG.integers(0, shape[dim] if shape else 1, ishape)
        want = start.copy()
        for pos in np.ndindex(*ishape):
            at = tuple(int(index[pos]) if d == dim else p for d, p in enumerate(pos))
            want[at] = (
                ops[reduce](want[at], src[pos])
                if dtype != "?" or reduce is None
                else {
                    "sum": want[at] | src[pos],
                    "prod": want[at] & src[pos],
                    "amax": want[at] | src[pos],
                    "amin": want[at] & src[pos],
                }[reduce]
            )
        for i in layouts(index):
            for s in layouts(src):
                out = start.copy()
                ki.scatter(T(out), dim, T(i), T(s), reduce)
                assert np.array_equal(out, want)
    rows = np.broadcast_to(RNG.integers(0, 50, (300, 1)), (300, 70))
    src = values((300, 70), dtype)

    def call() -> np.ndarray:
        out = np.ones((50, 70), dtype)
        ki.scatter(T(out), 0, T(rows), T(src), reduce)
        return out

    threads_agree(call)


def test_scatter_numbers_and_errors() -> None:
    """A number as source; the bad index is named."""
    for dtype in DTYPES:
        out = np.zeros((3, 4), dtype)
        ki.scatter(T(out), 1, T(np.array([[0], [2], [3]])), 1)
        assert out.sum() == 3
        assert out[1, 2] == 1
    with pytest.raises(IndexError, match=r"dimension 1 with size 4: got 4 at position \[1, 0\]"):
        ki.scatter(T(np.zeros((3, 4), "f4")), 1, T(np.array([[0], [4], [3]])), 1.0)


def test_embedding_backward() -> None:
    """Sums in index order, padding left out, scaled by frequency."""
    index = RNG.integers(0, 11, (400, 30))
    for dtype, tol in (("f4", 1e-4), ("f8", 1e-12), ("f2", 2e-2)):
        g = RNG.standard_normal((400, 30, 24)).astype(dtype)
        for pad, scale in ((None, False), (3, False), (None, True)):
            want = np.zeros((11, 24))
            np.add.at(want, index, g.astype("f8"))
            if pad is not None:
                want[pad] = 0
            if scale:
                want /= np.bincount(index.ravel(), minlength=11)[:, None]

            def call(g: np.ndarray = g, pad: int | None = pad, scale: bool = scale) -> np.ndarray:
                out = np.full((11, 24), 7, g.dtype)
                ki.KERNELS["embedding_backward"](
                    (T(out),), (T(g), T(index)), {"padding_idx": pad, "scale_grad_by_freq": scale}
                )
                return out

            np.testing.assert_allclose(threads_agree(call), want, rtol=tol, atol=tol * 10)


@pytest.mark.parametrize("dtype", DTYPES)
def test_masks(dtype: str) -> None:
    """nonzero, masked_select and masked_scatter, across chunk borders."""
    for shape in ((), (5,), (0,), (3, 0), (7, 9), (3, 41, 900), (3, 2, 4, 5)):
        x = values(shape, dtype) * (RNG.random(shape) < 0.5).astype(dtype) if shape else np.array(1, dtype)
        for v in layouts(x):
            n = ki.nonzero_count(T(v))
            assert n == np.count_nonzero(x)
            out = np.full((n, x.ndim), -1)
            ki.KERNELS["nonzero"]((T(out),), (T(v),), {})
            assert np.array_equal(out, np.argwhere(x))
            for mask in layouts(np.asarray(RNG.random(shape) < 0.4)):
                k = int(mask.sum())
                flat = np.zeros(k, dtype)
                ki.KERNELS["masked_select"]((T(flat),), (T(v), T(mask)), {})
                assert np.array_equal(flat, x[mask])
                target, want = v.copy(), x.copy()
                source = values((k + 3,), dtype)
                want[mask] = source[:k]
                ki.KERNELS["masked_scatter"]((T(target),), (T(mask), T(source)), {})
                assert np.array_equal(target, want)
