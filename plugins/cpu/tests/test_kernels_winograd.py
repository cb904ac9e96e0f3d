"""3x3 convolutions with enough channels for Winograd's algorithm, against sums in float64."""

from __future__ import annotations

import numpy as np
import pytest
from test_kernels_support import T, layouts, threads_agree

from flambeau_cpu.kernels_conv import KERNELS

pytestmark = pytest.mark.usefixtures("isa")
RNG = np.random.default_rng(11)


def padded(x: np.ndarray, p: tuple[int, int]) -> np.ndarray:
    """Zeros around the planes, in float64."""
    return np.pad(x.astype("f8"), ((0, 0), (0, 0), (p[0],) * 2, (p[1],) * 2))


def convolved(x: np.ndarray, w: np.ndarray, p: tuple[int, int]) -> np.ndarray:
    """The definition, in float64."""
    windows = np.lib.stride_tricks.sliding_window_view(padded(x, p), (3, 3), (2, 3))
    return np.einsum("nchwij,kcij->nkhw", windows, w.astype("f8"))


CASES = [
    ((1, 32, 14, 14), 32, (1, 1)),
    ((2, 33, 17, 23), 49, (0, 2)),
    ((3, 47, 9, 8), 65, (2, 0)),
    ((1, 32, 3, 200), 40, (1, 1)),
    ((40, 32, 3, 3), 32, (0, 0)),
    ((4, 16, 30, 25), 150, (1, 1)),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_convolution_and_gradients(case: int) -> None:
    """Odd sizes and channel counts, paddings, layouts; as accurate as the direct sum."""
    shape, k, padding = CASES[case]
    x = RNG.standard_normal(shape).astype("f4")
    w, b = RNG.standard_normal((k, shape[1], 3, 3)).astype("f4"), RNG.standard_normal(k).astype("f4")
    want = convolved(x, w, padding) + b[:, None, None]
    attrs = {"padding": padding}
    g = RNG.standard_normal(want.shape).astype("f4")
    gx_want = convolved(g, w[:, :, ::-1, ::-1].swapaxes(0, 1), (2 - padding[0], 2 - padding[1]))
    for xv, gv in zip(layouts(x), layouts(g), strict=True):
        for wv in layouts(w):
            y = np.full_like(want, 9, "f4")
            KERNELS["convolution"]((T(y),), (T(xv), T(wv), T(b)), attrs)
            np.testing.assert_allclose(y, want, atol=2e-6 * np.abs(want).max(), rtol=0)
            gx = np.full_like(x, 9)
            KERNELS["convolution_backward_input"]((T(gx),), (T(gv), T(wv)), attrs)
            np.testing.assert_allclose(gx, gx_want, atol=2e-6 * np.abs(gx_want).max(), rtol=0)
    windows = np.lib.stride_tricks.sliding_window_view(padded(x, padding), (3, 3), (2, 3))
    gw_want = np.einsum("nchwij,nkhw->kcij", windows, g.astype("f8"))
    for xv, gv, like in zip(layouts(x), layouts(g), layouts(w), strict=True):
        gw = np.full_like(like, 9)
        KERNELS["convolution_backward_weight"]((T(gw), None), (T(gv), T(xv)), attrs)
        np.testing.assert_allclose(gw, gw_want, atol=2e-6 * np.abs(gw_want).max(), rtol=0)


def test_error_is_near_the_direct_sums() -> None:
    """256 channels: the error stays within ten times that of the direct sum in float32, its largest and its mean."""
    x, w = (
        RNG.standard_normal((1, 256, 18, 18)).astype("f4"),
        RNG.standard_normal((32, 256, 3, 3)).astype("f4"),
    )
    want, y = convolved(x, w, (1, 1)), np.zeros((1, 32, 18, 18), "f4")
    KERNELS["convolution"]((T(y),), (T(x), T(w), None), {"padding": (1, 1)})
    windows = np.lib.stride_tricks.sliding_window_view(padded(x, (1, 1)).astype("f4"), (3, 3), (2, 3))
    columns = np.ascontiguousarray(windows.transpose(0, 2, 3, 1, 4, 5)).reshape(-1, 256 * 9)
    direct = (columns @ w.reshape(32, -1).T).T.reshape(y.shape)
    for norm in (np.max, np.mean):
        assert norm(np.abs(y - want)) <= 10 * norm(np.abs(direct - want))


def test_infinity_and_nan_stay() -> None:
    """What isn't finite comes out as not finite, in the outputs that see it; it spreads to their 4x4 tiles alone."""
    x, w = RNG.standard_normal((1, 32, 16, 16)).astype("f4"), RNG.standard_normal((32, 32, 3, 3)).astype("f4")
    x[0, 3, 8, 8] = np.inf
    y = np.zeros((1, 32, 16, 16), "f4")
    KERNELS["convolution"]((T(y),), (T(x), T(w), None), {"padding": (1, 1)})
    assert not np.isfinite(y[0, :, 7:10, 7:10]).any()
    assert np.isfinite(y[0, :, :4]).all()


def test_threads() -> None:
    """The same bits with any number of threads."""
    x, w = RNG.standard_normal((4, 40, 30, 30)).astype("f4"), RNG.standard_normal((50, 40, 3, 3)).astype("f4")

    def run() -> tuple[np.ndarray, np.ndarray]:
        y, gw = np.zeros((4, 50, 28, 28), "f4"), np.zeros_like(w)
        KERNELS["convolution"]((T(y),), (T(x), T(w), None), {})
        KERNELS["convolution_backward_weight"]((T(gw), None), (T(y), T(x)), {})
        return y, gw

    threads_agree(run)
