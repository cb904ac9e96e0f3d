"""Sorting and scans against NumPy and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from test_kernels_support import T, layouts, threads_agree

from flambeau_cpu import kernels_sort as ks

RNG = np.random.default_rng(7)
DTYPES = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]


def values(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Numbers with many ties, signs, extremes and NaN."""
    d = np.dtype(dtype)
    if d.kind == "f":
        x = (RNG.standard_normal(shape) * 3).astype(dtype)
        if x.size > 8:
            x.flat[::7], x.flat[3], x.flat[5], x.flat[6] = 1, np.nan, np.inf, -np.inf
            x.flat[1], x.flat[2] = -0.0, 0.0
        return np.asarray(x)
    if d.kind == "b":
        return np.asarray(RNG.integers(0, 2, shape)).astype(dtype)
    info = np.iinfo(d)
    x = np.asarray(RNG.integers(max(info.min, -50), min(info.max, 50), shape)).astype(dtype)
    if x.size > 8:
        x.flat[0], x.flat[4] = info.max, info.min
    return x


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "dim"),
    [
        ((), 0),
        ((1,), 0),
        ((9,), 0),
        ((5, 70), 1),
        ((70, 5), 0),
        ((3, 700), 1),
        ((5000,), 0),
        ((0,), 0),
        ((2, 3, 40), 1),
    ],
)
def test_sort_and_topk(dtype: str, shape: tuple[int, ...], dim: int) -> None:
    """Stable in both directions, all layouts."""
    x0 = values(shape, dtype)
    for descending in (False, True):
        wide = (
            x0.astype("f8") if x0.dtype.kind == "f" else x0.astype(object if dtype in ("u8", "i8") else "i8")
        )
        key = -wide if descending else wide
        if x0.dtype.kind == "f" and descending:
            key = np.where(np.isnan(x0), -np.inf, key)
            key = np.where(x0 == np.inf, -1e300, key)
        order = np.argsort(key, axis=dim, kind="stable") if x0.ndim else np.zeros((), "i8")
        want = np.take_along_axis(x0, order, dim) if x0.ndim else x0
        for x in layouts(x0):
            v, i = np.zeros_like(x), np.zeros(shape, "i8")
            ks.sort(T(v), T(i), T(x), dim, descending)
            np.testing.assert_array_equal(i, order)
            np.testing.assert_array_equal(v, want)
            n = shape[dim] if shape else 1
            for k in {0, min(1, n), min(3, n), n}:
                kshape = tuple(k if d == dim else s for d, s in enumerate(shape))
                tv, ti = np.zeros(kshape, dtype), np.zeros(kshape, "i8")
                if not shape and k == 0:
                    continue
                ks.KERNELS["topk"]((T(tv), T(ti)), (T(x),), {"k": k, "dim": dim, "largest": descending})
                np.testing.assert_array_equal(ti, order.take(range(k), dim) if shape else order)
                np.testing.assert_array_equal(tv, want.take(range(k), dim) if shape else want)


@pytest.mark.parametrize("dtype", [*DTYPES, "c8", "c16"])
def test_cumsum_cumprod(dtype: str) -> None:
    """Along each dim, wide accumulators, long rows over chunks."""
    d = np.dtype(dtype)
    for shape, dim in (
        ((), 0),
        ((6, 7), 0),
        ((6, 7), 1),
        ((2, 3, 4), 1),
        ((0, 3), 0),
        ((40_000,), 0),
        ((3, 600), 1),
    ):
        x0 = (
            np.asarray(RNG.integers(0, 3, shape)).astype(dtype)
            if d.kind != "c"
            else (RNG.integers(0, 2, shape) + 1j * RNG.integers(0, 2, shape)).astype(dtype)
        )
        out = np.dtype("i8") if d.kind in "bui" else d
        for kind, fn in (("cumsum", np.cumsum), ("cumprod", np.cumprod)):
            if kind == "cumprod" and shape == (40_000,):
                x0 = np.where(np.arange(40_000) % 5000 == 0, 2, 1).astype(dtype)
            if d.kind in "fc" and d.itemsize == 2 and len(shape) == 1:
                continue
            want = (
                fn(x0.astype("c16" if d.kind == "c" else "f8" if d.kind == "f" else "i8"), dim)
                if shape
                else x0
            )
            for x in layouts(x0):
                for y in layouts(np.zeros(shape, out)):
                    ks.scan(kind, T(y), T(x), dim)
                    np.testing.assert_allclose(y, want.astype(out), rtol=1e-3 if d.itemsize == 2 else 1e-6)


def test_against_torch() -> None:
    """logcumsumexp, cummax, cummin."""
    torch = pytest.importorskip("torch")
    for dtype in ("f4", "f8", "i4", "u1"):
        for shape, dim in (((7, 9), 0), ((7, 9), 1), ((3, 2000), 1)):
            x0 = values(shape, dtype)
            for kind in ("cummax", "cummin"):
                want, where = getattr(torch, kind)(torch.from_numpy(x0), dim)
                for x in layouts(x0):
                    v, i = np.zeros_like(x), np.zeros(shape, "i8")
                    ks.scan2(kind, T(v), T(i), T(x), dim)
                    np.testing.assert_array_equal(v, want.numpy())
                    np.testing.assert_array_equal(i, where.numpy())
    for shape, dim in (((40_000,), 0), ((7, 50), 0)):
        x = RNG.standard_normal(shape) * 20
        x.flat[:3] = -np.inf
        y = np.zeros(shape)
        ks.scan("logcumsumexp", T(y), T(x), dim)
        np.testing.assert_allclose(y, torch.logcumsumexp(torch.from_numpy(x), dim).numpy(), rtol=1e-12)


def test_threads() -> None:
    """One thread and three give the same bits."""
    x = RNG.standard_normal((4, 100_000)).astype("f4")

    def call() -> np.ndarray:
        y = np.zeros_like(x)
        ks.scan("cumsum", T(y), T(x), 1)
        return y

    np.testing.assert_allclose(threads_agree(call), np.cumsum(x.astype("f8"), 1), atol=1e-3)
