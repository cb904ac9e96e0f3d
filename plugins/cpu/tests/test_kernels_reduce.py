"""Reductions against NumPy in float64, over layouts, dtypes, instruction sets and thread counts."""

from __future__ import annotations

import numpy as np
import pytest
from test_kernels_support import T, bf16, layouts, threads_agree, to_f32

from flambeau_cpu import kernels_reduce as kr

pytestmark = pytest.mark.usefixtures("isa")
RNG = np.random.default_rng(0)
SHAPES = [
    ((), ()),
    ((1,), (0,)),
    ((7,), (0,)),
    ((0,), (0,)),
    ((3, 0), (0,)),
    ((100003,), (0,)),
    ((5, 33), (1,)),
    ((33, 5), (0,)),
    ((4, 3, 17, 19), (0, 2, 3)),
    ((4, 3, 17, 19), (1,)),
    ((2, 70, 3), (1,)),
    ((300, 1100), (0,)),
    ((3, 40000), (1,)),
    ((40000, 6), (0,)),
    ((40000, 6), (1,)),
    ((2, 3, 4, 5, 6), (1, 3)),
    ((2, 3, 4, 5, 6), (0, 2, 4)),
]
REF = {
    "sum": lambda x, d: x.sum(d),
    "prod": lambda x, d: x.prod(d),
    "mean": lambda x, d: x.mean(d),
    "sumsq": lambda x, d: (x * x).sum(d),
    "norm2": lambda x, d: np.sqrt((x * x).sum(d)),
    "max": lambda x, d: x.max(d),
    "min": lambda x, d: x.min(d),
    "any": lambda x, d: (x != 0).any(d),
    "all": lambda x, d: (x != 0).all(d),
    "logsumexp": lambda x, d: np.log(np.exp(x).sum(d)),
    "var": lambda x, d: x.var(d, ddof=1),
    "std": lambda x, d: x.std(d, ddof=0),
}


def run(kind: str, x: np.ndarray, dims: tuple[int, ...], out: np.dtype, keep: bool = False) -> np.ndarray:
    """The kernel's answer for `x`."""
    shape = (
        [1 if d in dims else s for d, s in enumerate(x.shape)]
        if keep
        else [s for d, s in enumerate(x.shape) if d not in dims]
    )
    y = np.full(shape, 77, out)
    if kind in ("var", "std"):
        kr.KERNELS[kind]((T(y),), (T(x),), {"dim": dims, "correction": 1 if kind == "var" else 0})
    else:
        kr.reduce(kind, T(y), T(x), dims)
    return y


@pytest.mark.parametrize("kind", list(REF))
@pytest.mark.parametrize(("shape", "dims"), SHAPES)
def test_float32(kind: str, shape: tuple[int, ...], dims: tuple[int, ...]) -> None:
    """All kinds on all layouts of each shape."""
    empty = 0 in [shape[d] for d in dims]
    if empty and kind in ("max", "min", "logsumexp", "mean", "var", "std"):
        pytest.skip("no such value of no elements")
    if kind == "var" and int(np.prod([shape[d] for d in dims])) < 2:
        pytest.skip("one value has no variance")
    for x in layouts(RNG.standard_normal(shape).astype(np.float32)):
        with np.errstate(all="ignore"):
            want = np.asarray(REF[kind](x.astype(np.float64), dims))
        got = run(kind, x, dims, np.dtype(bool if kind in ("any", "all") else np.float32))
        scale = np.sqrt(x.size + 1) if kind in ("sum", "sumsq") else 1
        np.testing.assert_allclose(got, want, rtol=3e-6 if kind != "prod" else 1e-5, atol=2e-6 * scale)
        assert np.array_equal(
            run(kind, x, dims, got.dtype, keep=True).reshape(got.shape), got, equal_nan=True
        )


@pytest.mark.parametrize(
    "kind", ["sum", "prod", "mean", "max", "min", "argmax", "argmin", "any", "all", "sumsq", "var"]
)
@pytest.mark.parametrize(
    "dtype", ["bool", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16"]
)
def test_dtypes(kind: str, dtype: str) -> None:
    """Each dtype along, across and over everything."""
    d = np.dtype(dtype)
    if d.kind == "c" and kind not in ("sum", "prod", "mean", "any", "all"):
        pytest.skip("complex numbers have no order")
    if d.kind in "bui" and kind in ("mean", "var", "sumsq"):
        pytest.skip("mean, var and sumsq are kernels of floats")
    base = (
        RNG.integers(0, 2, (40, 70))
        if d.kind == "b"
        else RNG.integers(1, 9, (40, 70)) * (1 if d.kind in "bu" else -1) / (4 if d.kind in "fc" else 1)
    )
    x0 = (base + 1j * base.T.reshape(base.shape) if d.kind == "c" else base).astype(d)
    for x in layouts(x0):
        for dims in ((0,), (1,), (0, 1)):
            wide = x.astype({"b": "i8", "u": "u8", "i": "i8", "f": "f8", "c": "c16"}[d.kind])
            if kind.startswith("arg"):
                if len(dims) == 2:
                    want = getattr(wide, kind)()
                else:
                    want = getattr(wide, kind)(dims[0])
                out = np.dtype("i8")
            else:
                with np.errstate(all="ignore"):
                    want = REF[kind](wide, dims)
                out = (
                    np.dtype(bool)
                    if kind in ("any", "all")
                    else np.dtype("i8")
                    if d.kind in "bui" and kind in ("sum", "prod")
                    else d
                )
            got = run(kind, x, dims, out)
            with np.errstate(all="ignore"):
                if d.kind in "fc" and not kind.startswith("a"):
                    np.testing.assert_allclose(
                        got,
                        want.astype(out),
                        rtol={2: 1e-3, 4: 1e-5, 8: 1e-5 if d.kind == "c" else 1e-12, 16: 1e-12}[d.itemsize],
                    )
                else:
                    assert np.array_equal(got, np.asarray(want).astype(out))


def test_nan_and_ties() -> None:
    """NaN wins, the first of equals wins, infinities pass."""
    x = np.zeros((70, 90), np.float32)
    x[3, 5] = x[40, 5] = np.nan
    x[9, 7] = x[11, 7] = 4
    for a in (x, np.ascontiguousarray(x.T).T, x.astype(np.float64)):
        for kind in ("argmax", "argmin"):
            for dims in ((0,), (1,), (0, 1)):
                want = getattr(a, kind)() if len(dims) == 2 else getattr(a, kind)(dims[0])
                assert np.array_equal(run(kind, a, dims, np.dtype("i8")), want)
        assert np.isnan(run("max", a, (0, 1), a.dtype))
        assert np.isnan(run("max", a, (0,), a.dtype)[5])
        assert np.isnan(run("logsumexp", a, (1,), a.dtype)[3])
    y = np.array([[-np.inf, -np.inf], [np.inf, 1], [-np.inf, 2]], np.float32)
    np.testing.assert_allclose(run("logsumexp", y, (1,), y.dtype), [-np.inf, np.inf, 2], rtol=1e-6)
    np.testing.assert_allclose(run("logsumexp", np.repeat(y.T, 4, 0).T.copy().T, (1,), y.dtype)[0], np.inf)


def test_bfloat16() -> None:
    """bfloat16 sums run in float32."""
    x = RNG.standard_normal((50, 60)).astype(np.float32)
    h = bf16(x)
    y = T(np.zeros(50, np.uint16), "bfloat16")
    kr.reduce("sum", y, T(h, "bfloat16"), (1,))
    np.testing.assert_allclose(to_f32(y.array), to_f32(h).sum(1), rtol=8e-3, atol=1e-3)


def test_sum_is_accurate() -> None:
    """A long float32 sum is as good as NumPy's pairwise one."""
    x = RNG.random(3_000_001).astype(np.float32)
    want = x.astype(np.float64).sum()
    assert abs(run("sum", x, (0,), x.dtype) - want) / want < 1e-7


@pytest.mark.parametrize("dim", [0, 1])
def test_variance_of_values_far_from_zero(dim: int) -> None:
    """The mean of a block is rounded to float32's steps at 10,000; the variance must not be."""
    x = (RNG.standard_normal((5, 70000)) + 1e4).astype(np.float32)
    want = x.astype(np.float64).var(1, ddof=1)
    got = run("var", x if dim else np.ascontiguousarray(x.T), (dim,), np.float32)
    np.testing.assert_allclose(got, want, rtol=1.2e-7)


@pytest.mark.parametrize("kind", ["sum", "var", "argmax", "logsumexp", "prod"])
def test_threads(kind: str) -> None:
    """One thread and two give the same bits."""
    for shape, dims in (
        ((500_000,), (0,)),
        ((3000, 200), (0,)),
        ((200, 3000), (1,)),
        ((50, 30, 200), (0, 2)),
    ):
        x = RNG.standard_normal(shape).astype(np.float32)
        threads_agree(lambda x=x, dims=dims: run(kind, x, dims, np.dtype("i8" if kind == "argmax" else "f4")))
