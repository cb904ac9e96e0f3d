"""Pooling against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_kernels_support import T, layouts, threads_agree

from flambeau_cpu.kernels_pool import KERNELS

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("isa")]
F = torch.nn.functional
RNG = np.random.default_rng(5)
SHAPES = [(2, 3, 12, 14), (1, 2, 7, 9), (3, 11, 13), (1, 1, 40, 70)]
POOLS: list[dict[str, Any]] = [
    {"kernel_size": (2, 2)},
    {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1)},
    {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0), "ceil_mode": True},
    {"kernel_size": (2, 2), "stride": (3, 3), "padding": (1, 1), "ceil_mode": True},
]


def both(x0: np.ndarray, fn: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """PyTorch's output, a gradient, and the input's gradient."""
    x = torch.from_numpy(x0.astype("f8")).requires_grad_()
    y = fn(x)
    g = RNG.standard_normal(tuple(y.shape))
    y.backward(torch.from_numpy(g))
    return y.detach().numpy(), g, x.grad.numpy()


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-5), ("f8", 1e-12), ("f2", 5e-3)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pool", range(len(POOLS)))
def test_max_and_avg(dtype: str, tol: float, shape: tuple[int, ...], pool: int) -> None:
    """Values, indices, gradients, over layouts."""
    attrs = POOLS[pool]
    x0 = RNG.standard_normal(shape).astype(dtype)
    want, g, gx0 = both(x0, lambda x: F.max_pool2d(x, **attrs))
    _, ind = F.max_pool2d(torch.from_numpy(x0.astype("f8")), return_indices=True, **attrs)
    for x, gg in zip(layouts(x0), layouts(g.astype(dtype)), strict=True):
        y, i = np.zeros_like(gg), np.zeros(want.shape, "i8")
        KERNELS["max_pool2d"]((T(y), T(i)), (T(x),), attrs)
        np.testing.assert_array_equal(y, want.astype(dtype))
        np.testing.assert_array_equal(i, ind.numpy())
        y[...] = 0
        KERNELS["max_pool2d"]((T(y), None), (T(x),), attrs)
        np.testing.assert_array_equal(y, want.astype(dtype))
        gx = np.full_like(x, 9)
        KERNELS["max_pool2d_backward"]((T(gx),), (T(gg), T(i)), {})
        np.testing.assert_allclose(gx, gx0, rtol=tol, atol=tol * 3)
    for extra in ({}, {"count_include_pad": False}, {"divisor_override": 5}):
        want, g, gx0 = both(x0, lambda x, extra=extra: F.avg_pool2d(x, **attrs, **extra))
        for x, gg in zip(layouts(x0), layouts(g.astype(dtype)), strict=True):
            y, gx = np.zeros_like(gg), np.full_like(x, 9)
            KERNELS["avg_pool2d"]((T(y),), (T(x),), {**attrs, **extra})
            np.testing.assert_allclose(y, want, rtol=tol, atol=tol)
            KERNELS["avg_pool2d_backward"]((T(gx),), (T(gg),), {**attrs, **extra})
            np.testing.assert_allclose(gx, gx0, rtol=tol, atol=tol * 3)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 7), (20, 3)])
def test_adaptive(size: tuple[int, int]) -> None:
    """Windows that overlap or repeat."""
    x0 = RNG.standard_normal((2, 3, 10, 13)).astype("f4")
    want, g, gx0 = both(x0, lambda x: F.adaptive_avg_pool2d(x, size))
    for x, gg in zip(layouts(x0), layouts(g.astype("f4")), strict=True):
        y, gx = np.zeros_like(gg), np.full_like(x, 9)
        KERNELS["adaptive_avg_pool2d"]((T(y),), (T(x),), {})
        np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-6)
        KERNELS["adaptive_avg_pool2d_backward"]((T(gx),), (T(gg),), {})
        np.testing.assert_allclose(gx, gx0, rtol=1e-5, atol=1e-6)


def test_dilation_and_special() -> None:
    """Dilated windows; NaN wins; a window of -inf names its first element."""
    x0 = RNG.standard_normal((2, 3, 12, 12)).astype("f4")
    x0[0, 0, 5, 5], x0[1, 1] = np.nan, -np.inf
    attrs = {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1), "dilation": (2, 2)}
    want, ind = F.max_pool2d(torch.from_numpy(x0), return_indices=True, **attrs)
    y, i = np.zeros(tuple(want.shape), "f4"), np.zeros(tuple(want.shape), "i8")
    threads_agree(lambda: KERNELS["max_pool2d"]((T(y), T(i)), (T(x0),), attrs) or y.copy())
    np.testing.assert_array_equal(y, want.numpy())
    np.testing.assert_array_equal(i, ind.numpy())
    empty = np.zeros((0, 3, 6, 6), "f4")
    KERNELS["max_pool2d"](
        (T(empty), T(np.zeros((0, 3, 6, 6), "i8"))),
        (T(np.zeros((0, 3, 12, 12), "f4")),),
        {"kernel_size": (2, 2)},
    )
