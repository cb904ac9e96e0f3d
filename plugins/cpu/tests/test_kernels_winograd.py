"""Convolutions with enough channels for Winograd's algorithm, against sums in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_kernels_support import T, layouts, threads_agree

from flambeau_cpu.kernels_conv import KERNELS

pytestmark = pytest.mark.usefixtures("isa")
RNG = np.random.default_rng(11)


def padded(x: np.ndarray, p: tuple[int, int]) -> np.ndarray:
    """Zeros around the planes, in float64."""
    return np.pad(x.astype("f8"), ((0, 0), (0, 0), (p[0],) * 2, (p[1],) * 2))


def windows(x: np.ndarray, size: int, p: tuple[int, int], step: int = 1) -> Any:
    """Windows of the padded planes: [n, c, h, w, size, size]."""
    seen = np.lib.stride_tricks.sliding_window_view(padded(x, p), (size, size), (2, 3))
    return seen[:, :, ::step, ::step]


def convolved(x: np.ndarray, w: np.ndarray, p: tuple[int, int], step: int = 1) -> np.ndarray:
    """The definition, in float64."""
    return np.einsum("nchwij,kcij->nkhw", windows(x, w.shape[-1], p, step), w.astype("f8"), optimize=True)


def image_gradient(
    g: np.ndarray, w: np.ndarray, p: tuple[int, int], step: int, size: tuple[int, ...]
) -> np.ndarray:
    """The definition, in float64: every output's gradient goes to the window that it saw."""
    n, c, h, v = size
    wide = np.zeros((n, c, h + 2 * p[0], v + 2 * p[1]))
    for i in range(w.shape[-2]):
        for j in range(w.shape[-1]):
            part = np.einsum("nkhw,kc->nchw", g.astype("f8"), w[:, :, i, j].astype("f8"), optimize=True)
            wide[:, :, i : i + step * g.shape[2] : step, j : j + step * g.shape[3] : step][
                :, :, : g.shape[2], : g.shape[3]
            ] += part
    return wide[:, :, p[0] : p[0] + h, p[1] : p[1] + v]


# image, outputs, kernel, stride, padding
CASES = [
    ((1, 32, 14, 14), 32, 3, 1, (1, 1)),
    ((2, 33, 17, 23), 49, 3, 1, (0, 2)),
    ((3, 47, 9, 8), 65, 3, 1, (2, 0)),
    ((1, 32, 3, 200), 40, 3, 1, (1, 1)),
    ((40, 32, 3, 3), 32, 3, 1, (0, 0)),
    ((4, 16, 30, 25), 150, 3, 1, (1, 1)),
    ((1, 130, 7, 7), 140, 3, 1, (1, 1)),
    ((2, 20, 21, 26), 33, 4, 1, (1, 2)),
    ((3, 20, 21, 16), 33, 2, 1, (0, 1)),
    ((2, 3, 45, 38), 40, 7, 2, (3, 3)),
    ((1, 5, 33, 100), 24, 8, 2, (0, 5)),
    ((2, 17, 32, 31), 36, 4, 2, (1, 1)),
    ((2, 33, 21, 20), 70, 3, 2, (1, 0)),
    ((1, 70, 22, 21), 90, 5, 2, (2, 2)),
    ((1, 17, 29, 40), 34, 6, 2, (4, 3)),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_convolution_and_gradients(case: int) -> None:
    """Odd sizes and channel counts, paddings, layouts; as accurate as the direct sum."""
    shape, k, size, step, padding = CASES[case]
    x = RNG.standard_normal(shape).astype("f4")
    w, b = RNG.standard_normal((k, shape[1], size, size)).astype("f4"), RNG.standard_normal(k).astype("f4")
    want = convolved(x, w, padding, step) + b[:, None, None]
    attrs = {"padding": padding, "stride": (step, step)}
    g = RNG.standard_normal(want.shape).astype("f4")
    gx_want = image_gradient(g, w, padding, step, shape)
    for xv, gv in zip(layouts(x), layouts(g), strict=True):
        for wv in layouts(w):
            y = np.full_like(want, 9, "f4")
            KERNELS["convolution"]((T(y),), (T(xv), T(wv), T(b)), attrs)
            np.testing.assert_allclose(y, want, atol=2e-6 * np.abs(want).max(), rtol=0)
            gx = np.full_like(x, 9)
            KERNELS["convolution_backward_input"]((T(gx),), (T(gv), T(wv)), attrs)
            np.testing.assert_allclose(gx, gx_want, atol=2e-6 * np.abs(gx_want).max(), rtol=0)
    gw_want = np.einsum("nchwij,nkhw->kcij", windows(x, size, padding, step), g.astype("f8"), optimize=True)
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
    seen = windows(x, 3, (1, 1)).astype("f4")
    columns = np.ascontiguousarray(seen.transpose(0, 2, 3, 1, 4, 5)).reshape(-1, 256 * 9)
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


@pytest.mark.parametrize(
    ("shape", "k", "size", "step"),
    [((4, 40, 30, 30), 50, 3, 1), ((1, 130, 7, 7), 140, 3, 1), ((2, 20, 40, 40), 64, 4, 2)],
)
def test_threads(shape: tuple[int, ...], k: int, size: int, step: int) -> None:
    """The same bits with any number of threads."""
    x = RNG.standard_normal(shape).astype("f4")
    w = RNG.standard_normal((k, shape[1], size, size)).astype("f4")
    attrs = {"padding": (1, 1), "stride": (step, step)}

    def run() -> tuple[np.ndarray, ...]:
        y = np.zeros(convolved(x[:1, :1], w[:1, :1], (1, 1), step).shape[2:], "f4")
        y = np.zeros((shape[0], k, *y.shape), "f4")
        gx, gw = np.zeros_like(x), np.zeros_like(w)
        KERNELS["convolution"]((T(y),), (T(x), T(w), None), attrs)
        KERNELS["convolution_backward_input"]((T(gx),), (T(y), T(w), None), attrs)
        KERNELS["convolution_backward_weight"]((T(gw), None), (T(y), T(x)), attrs)
        return y, gx, gw

    threads_agree(run)
