"""Normalisations and their gradients against PyTorch in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_kernels_support import T, layouts, threads_agree

from flambeau_cpu.kernels_norm import KERNELS

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("isa")]
F = torch.nn.functional
RNG = np.random.default_rng(6)
TOL = {"f4": 2e-5, "f8": 1e-11, "f2": 6e-3}


def leaf(a: np.ndarray) -> Any:
    """A float64 PyTorch leaf."""
    return torch.from_numpy(a.astype("f8")).requires_grad_()


def close(got: np.ndarray, want: Any, dtype: str) -> None:
    """Within the dtype's rounding, relative to the largest value."""
    want = want.detach().numpy()
    scale = max(1.0, float(np.abs(want).max(initial=0)))
    np.testing.assert_allclose(got, want.reshape(got.shape), rtol=TOL[dtype], atol=TOL[dtype] * 2 * scale)


def channels_last(x: np.ndarray) -> np.ndarray:
    """The same values with the channels contiguous."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("shape", "nd"),
    [((5, 33), 1), ((2, 70, 24), 1), ((3, 4, 5, 6), 2), ((200, 8), 1), ((7,), 1), ((0, 6), 1)],
)
def test_layer_and_rms_norm(dtype: str, affine: bool, shape: tuple[int, ...], nd: int) -> None:
    """Forward, statistics, gradients, layouts."""
    tail = shape[-nd:]
    x0, g0 = (np.asarray(RNG.standard_normal(shape) * 3 + 1).astype(dtype) for _ in range(2))
    w0, b0 = (RNG.standard_normal(tail).astype(dtype) for _ in range(2))
    stat = "f8" if dtype == "f8" else "f4"
    for rms in (False, True):
        x, w, b = leaf(x0), leaf(w0), leaf(b0)
        used = (w, None if rms else b) if affine else (None, None)
        want = F.rms_norm(x, tail, used[0], 1e-5) if rms else F.layer_norm(x, tail, *used, 1e-5)
        want.backward(torch.from_numpy(g0.astype("f8")))
        attrs = {"normalized_shape": tail, "eps": 1e-5}
        ww, bb = (T(w0), T(b0)) if affine else (None, None)
        for xv, gv in zip(layouts(x0), layouts(g0), strict=True):
            y, gx = np.full_like(xv, 9), np.full_like(xv, 9)
            mean, rstd = np.zeros(shape[:-nd], stat), np.zeros(shape[:-nd], stat)
            gw, gb = np.zeros(tail, dtype), np.zeros(tail, dtype)
            if rms:
                KERNELS["rms_norm"]((T(y), T(rstd)), (T(xv), ww), attrs)
                KERNELS["rms_norm_backward"]((T(gx), T(gw)), (T(gv), T(xv), T(rstd), ww), attrs)
            else:
                KERNELS["layer_norm"]((T(y), T(mean), T(rstd)), (T(xv), ww, bb), attrs)
                KERNELS["layer_norm_backward"](
                    (T(gx), T(gw), T(gb)), (T(gv), T(xv), T(mean), T(rstd), ww), attrs
                )
            close(y, want, dtype)
            close(gx, x.grad, dtype)
            if affine:
                close(gw, w.grad, dtype)
                if not rms:
                    close(gb, b.grad, dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
@pytest.mark.parametrize(
    ("shape", "groups"), [((2, 6, 5, 7), 3), ((3, 8, 11), 8), ((2, 4, 3, 3, 2), 1), ((4, 6), 2)]
)
def test_group_norm(dtype: str, shape: tuple[int, ...], groups: int) -> None:
    """Forward, statistics, gradients, layouts."""
    x0, g0 = (np.asarray(RNG.standard_normal(shape) * 2 - 1).astype(dtype) for _ in range(2))
    w0, b0 = (RNG.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    stat = "f8" if dtype == "f8" else "f4"
    for affine in (True, False):
        x, w, b = leaf(x0), leaf(w0), leaf(b0)
        want = F.group_norm(x, groups, *((w, b) if affine else (None, None)))
        want.backward(torch.from_numpy(g0.astype("f8")))
        ww, bb = (T(w0), T(b0)) if affine else (None, None)
        for xv, gv in zip([*layouts(x0), channels_last(x0)], [*layouts(g0), channels_last(g0)], strict=True):
            y, gx = np.full_like(xv, 9), np.full_like(gv, 9)
            mean, rstd = np.zeros((shape[0], groups), stat), np.zeros((shape[0], groups), stat)
            gw, gb = np.zeros(shape[1], dtype), np.zeros(shape[1], dtype)
            KERNELS["group_norm"]((T(y), T(mean), T(rstd)), (T(xv), ww, bb), {"num_groups": groups})
            KERNELS["group_norm_backward"](
                (T(gx), T(gw), T(gb)), (T(gv), T(xv), T(mean), T(rstd), ww), {"num_groups": groups}
            )
            close(y, want, dtype)
            close(gx, x.grad, dtype)
            if affine:
                close(gw, w.grad, dtype)
                close(gb, b.grad, dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(4, 5, 6, 7), (9, 70), (3, 20, 11), (300, 3), (2, 300, 2, 2)])
def test_batch_norm(dtype: str, training: bool, shape: tuple[int, ...]) -> None:
    """Forward, running statistics, gradients, layouts."""
    x0, g0 = (np.asarray(RNG.standard_normal(shape) * 2 + 3).astype(dtype) for _ in range(2))
    w0, b0, rm0 = (RNG.standard_normal(shape[1]).astype(dtype) for _ in range(3))
    rv0 = (RNG.random(shape[1]) + 0.5).astype(dtype)
    stat = "f8" if dtype == "f8" else "f4"
    x, w, b = leaf(x0), leaf(w0), leaf(b0)
    rm, rv = torch.from_numpy(rm0.astype("f8")), torch.from_numpy(rv0.astype("f8"))
    want = F.batch_norm(x, rm, rv, w, b, training, 0.3, 1e-3)
    want.backward(torch.from_numpy(g0.astype("f8")))
    attrs = {"training": training, "momentum": 0.3, "eps": 1e-3}
    for xv, gv in zip([*layouts(x0), channels_last(x0)], [*layouts(g0), channels_last(g0)], strict=True):
        y, gx = np.full_like(xv, 9), np.full_like(gv, 9)
        mean, rstd = np.zeros(shape[1], stat), np.zeros(shape[1], stat)
        gw, gb, m, v = np.zeros_like(w0), np.zeros_like(w0), rm0.copy(), rv0.copy()
        KERNELS["batch_norm"]((T(y), T(mean), T(rstd)), (T(xv), T(w0), T(b0), T(m), T(v)), attrs)
        KERNELS["batch_norm_backward"]((T(gx), T(gw), T(gb)), (T(gv), T(xv), T(w0), T(mean), T(rstd)), attrs)
        close(y, want, dtype)
        close(gx, x.grad, dtype)
        close(gw, w.grad, dtype)
        close(gb, b.grad, dtype)
        close(m, rm, dtype)
        close(v, rv, dtype)


def test_threads() -> None:
    """One thread and three give the same bits."""
    for shape in ((8, 40, 30, 30), (5000, 70)):
        for x0 in (
            RNG.standard_normal(shape).astype("f4"),
            channels_last(RNG.standard_normal(shape).astype("f4")),
        ):

            def call(x0: np.ndarray = x0) -> Any:
                y, gx, stats = (
                    np.zeros_like(x0),
                    np.zeros_like(x0),
                    [np.zeros(x0.shape[1], "f4") for _ in range(4)],
                )
                mean, rstd, gw, gb = map(T, stats)
                KERNELS["batch_norm"](
                    (T(y), mean, rstd), (T(x0), None, None, None, None), {"training": True, "eps": 1e-5}
                )
                KERNELS["batch_norm_backward"](
                    (T(gx), gw, gb), (T(y), T(x0), None, mean, rstd), {"training": True}
                )
                rows, row = np.zeros(x0.shape[:-1], "f4"), np.zeros(x0.shape[-1], "f4")
                attrs = {"normalized_shape": x0.shape[-1:]}
                KERNELS["layer_norm"]((T(y), T(rows), T(rows)), (T(x0),), attrs)
                KERNELS["layer_norm_backward"](
                    (None, T(row), None), (T(y), T(x0), T(rows), T(rows), None), attrs
                )
                return (gx, row, *stats)

            threads_agree(call)
