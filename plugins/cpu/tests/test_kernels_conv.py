"""Convolutions and their gradients against PyTorch in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_kernels_support import T, layouts, threads_agree

from flambeau_cpu.kernels_conv import KERNELS

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("isa")]
RNG = np.random.default_rng(4)


CASES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 9, 11), (4, 3, 3, 3), {"padding": (1, 1)}),
    ((1, 5, 7, 7), (9, 5, 1, 1), {}),
    ((2, 6, 8, 8), (4, 3, 3, 3), {"groups": 2, "stride": (2, 2), "padding": (1, 1)}),
    ((2, 4, 10, 9), (6, 4, 3, 2), {"stride": (2, 3), "padding": (2, 1), "dilation": (2, 1)}),
    ((3, 17, 14, 14), (33, 17, 3, 3), {"padding": (1, 1)}),
    ((1, 3, 20, 20), (8, 3, 7, 7), {"stride": (2, 2), "padding": (3, 3)}),
    ((2, 6, 9, 9), (6, 1, 3, 3), {"groups": 6, "padding": (1, 1)}),
    ((2, 6, 19, 40), (6, 1, 3, 3), {"groups": 6, "padding": (1, 1), "stride": (2, 2)}),
    ((2, 3, 8, 64), (6, 1, 3, 3), {"groups": 3, "padding": (0, 1), "stride": (2, 2)}),
    ((3, 4, 5, 3), (4, 1, 3, 3), {"groups": 4, "padding": (2, 2), "stride": (2, 2)}),
    ((1, 3, 7, 33), (6, 1, 3, 3), {"groups": 3, "padding": (0, 2)}),
    ((2, 4, 9, 21), (8, 1, 5, 3), {"groups": 4, "padding": (2, 2), "stride": (1, 2), "dilation": (1, 2)}),
    ((2, 4, 13), (5, 4, 3), {"padding": (1,), "stride": (2,)}),
    ((2, 8, 6, 6), (4, 8, 1, 1), {"stride": (2, 2)}),
    ((0, 3, 5, 5), (2, 3, 3, 3), {}),
    ((3, 17, 4, 4), (65, 17, 3, 3), {"padding": (1, 1)}),
    ((2, 33, 9, 8), (20, 33, 3, 4), {"padding": (1, 2), "stride": (2, 1)}),
    ((2, 5, 17, 20), (9, 5, 3, 3), {"padding": (1, 1)}),
    ((2, 3, 40, 78), (17, 3, 7, 7), {"padding": (3, 3), "stride": (2, 2)}),
    ((9, 20, 20, 21), (24, 20, 4, 4), {"padding": (1, 1), "stride": (2, 2)}),
    ((3, 2, 33, 20), (16, 2, 3, 3), {"padding": (1, 0)}),
    ((1, 3, 60, 61), (20, 3, 3, 3), {"padding": (1, 2), "stride": (3, 3)}),
    ((2, 3, 33, 40), (9, 3, 4, 4), {"padding": (1, 1), "stride": (2, 2)}),
    ((1, 40, 12, 12), (50, 40, 3, 3), {"padding": (2, 2), "dilation": (2, 2)}),
]


def reference(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, attrs: dict[str, Any]) -> Any:
    """PyTorch in float64: inputs with gradients, output."""
    xt, wt = (
        torch.from_numpy(x.astype("f8")).requires_grad_(),
        torch.from_numpy(w.astype("f8")).requires_grad_(),
    )
    bt = None if b is None else torch.from_numpy(b.astype("f8")).requires_grad_()
    fn = torch.nn.functional.conv1d if x.ndim == 3 else torch.nn.functional.conv2d
    return xt, wt, bt, fn(xt, wt, bt, **attrs)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_convolution(dtype: str, case: int) -> None:
    """Forward and gradients over layouts (channels-last, strided, reversed)."""
    xs, ws, attrs = CASES[case]
    x, w, b = (np.asarray(RNG.standard_normal(s)).astype(dtype) for s in (xs, ws, ws[:1]))
    xt, wt, bt, want = reference(x, w, b, attrs)
    g = RNG.standard_normal(tuple(want.shape)).astype(dtype)
    want.backward(torch.from_numpy(g.astype("f8")))
    tol = {"f4": 2e-5, "f8": 1e-12, "f2": 2e-2}[dtype]
    last = (0, *range(2, len(xs)), 1)
    back = tuple(np.argsort(last))
    views = [x, np.ascontiguousarray(x.transpose(last)).transpose(back), *layouts(x)[2:]]
    gviews = [g, np.ascontiguousarray(g.transpose(last)).transpose(back), *layouts(g)[2:]]
    wviews = layouts(w)
    for xv, gv, wv in zip(views, gviews, [w, *wviews[1:]], strict=True):
        for like in (g, gviews[1]):
            y = np.full_like(like, 9)
            KERNELS["convolution"]((T(y),), (T(xv), T(wv), T(b)), attrs)
            np.testing.assert_allclose(y, want.detach().numpy(), atol=tol * 20, rtol=tol)
        gx = np.full_like(xv, 9)
        KERNELS["convolution_backward_input"]((T(gx),), (T(gv), T(wv), None), attrs)
        np.testing.assert_allclose(gx, xt.grad.numpy(), atol=tol * 20, rtol=tol)
        gw, gb = np.full_like(wv, 9), np.full_like(b, 9)
        KERNELS["convolution_backward_weight"]((T(gw), T(gb)), (T(gv), T(xv)), attrs)
        scale = max(1.0, float(np.abs(wt.grad.numpy()).max()))
        np.testing.assert_allclose(gw, wt.grad.numpy(), atol=tol * 5 * scale, rtol=tol)
        np.testing.assert_allclose(gb, bt.grad.numpy(), atol=tol * 5 * scale, rtol=tol)


def test_transposed() -> None:
    """A transposed convolution with bias and output padding."""
    x, w, b = RNG.standard_normal((2, 6, 5, 7)), RNG.standard_normal((6, 4, 3, 3)), RNG.standard_normal(4)
    attrs = {"stride": (2, 2), "padding": (1, 1), "dilation": (1, 1)}
    want = torch.nn.functional.conv_transpose2d(
        *map(torch.from_numpy, (x, w, b)), output_padding=1, **attrs
    ).numpy()
    y = np.zeros_like(want)
    KERNELS["convolution_backward_input"]((T(y),), (T(x), T(w), T(b)), attrs)
    np.testing.assert_allclose(y, want, rtol=1e-10, atol=1e-12)


def test_threads() -> None:
    """One thread and three give the same bits."""
    for xs, ws, attrs in (
        ((4, 32, 20, 20), (48, 32, 3, 3), {"padding": (1, 1)}),
        ((2, 16, 30, 30), (16, 1, 3, 3), {"groups": 16, "padding": (1, 1)}),
        ((2, 70, 8, 8), (150, 70, 3, 3), {"padding": (1, 1)}),
    ):
        x, w = RNG.standard_normal(xs).astype("f4"), RNG.standard_normal(ws).astype("f4")

        def call(x: np.ndarray = x, w: np.ndarray = w, attrs: dict[str, Any] = attrs) -> Any:
            y = np.zeros((x.shape[0], w.shape[0], *x.shape[2:]), "f4")
            KERNELS["convolution"]((T(y),), (T(x), T(w), None), attrs)
            gx, gw = np.zeros_like(x), np.zeros_like(w)
            KERNELS["convolution_backward_input"]((T(gx),), (T(y), T(w), None), attrs)
            KERNELS["convolution_backward_weight"]((T(gw), None), (T(y), T(x)), attrs)
            return y, gx, gw

        threads_agree(call)
