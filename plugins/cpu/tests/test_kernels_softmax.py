"""softmax and the classification losses against PyTorch in float64."""

from __future__ import annotations

import numpy as np
import pytest
from test_kernels_support import T, layouts, threads_agree

from flambeau_cpu.kernels_softmax import KERNELS

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("isa")]
RNG = np.random.default_rng(3)


def close(got: np.ndarray, want: object, dtype: str) -> None:
    """Within the dtype's rounding."""
    np.testing.assert_allclose(
        got,
        np.asarray(want),
        **{
            "f4": {"rtol": 2e-5, "atol": 2e-6},
            "f8": {"rtol": 1e-12, "atol": 1e-13},
            "f2": {"rtol": 4e-3, "atol": 2e-3},
        }[dtype],
    )


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
@pytest.mark.parametrize(
    ("shape", "dim"),
    [
        ((), 0),
        ((7,), 0),
        ((5, 33), 1),
        ((33, 5), 0),
        ((3, 10, 70), 1),
        ((2, 9000), -1),
        ((4, 0), 1),
        ((0, 4), 1),
    ],
)
def test_softmax(dtype: str, shape: tuple[int, ...], dim: int) -> None:
    """Forward and backward, all layouts."""
    base = np.asarray(RNG.standard_normal(shape) * 4).astype(dtype).reshape(shape)
    for log in ("", "log_"):
        x = torch.from_numpy(np.asarray(base.astype("f8"))).requires_grad_()
        y = (torch.log_softmax if log else torch.softmax)(x, dim)
        g = np.asarray(RNG.standard_normal(shape)).astype(dtype)
        y.backward(torch.from_numpy(np.asarray(g.astype("f8"))))
        for a, b in zip(layouts(base), layouts(g), strict=True):
            for out in layouts(np.full(shape, 9, dtype)):
                KERNELS[f"{log}softmax"]((T(out),), (T(a),), {"dim": dim})
                close(out, y.detach(), dtype)
                gx = np.full(shape, 9, dtype)
                KERNELS[f"{log}softmax_backward"]((T(gx),), (T(b), T(out)), {"dim": dim})
                close(gx, x.grad, dtype)


def test_softmax_special() -> None:
    """-inf rows are NaN, masked entries are 0, large logits don't overflow."""
    x = np.array([[-np.inf, 0, 1], [-np.inf] * 3, [np.inf, 0, 1], [np.nan, 0, 1], [1e4, 1e4, -1e4]], "f4")
    for a in (x, np.ascontiguousarray(np.tile(x, (4, 1)).T).T[:5]):
        for name in ("softmax", "log_softmax"):
            out = np.zeros(a.shape, "f4")
            KERNELS[name]((T(out),), (T(a),), {"dim": 1})
            want = getattr(torch, name)(torch.from_numpy(x), 1).numpy()
            np.testing.assert_allclose(out[[0, 1, 3, 4]], want[[0, 1, 3, 4]], rtol=1e-5)


def test_threads() -> None:
    """One thread and three give the same bits."""
    x = RNG.standard_normal((300, 40, 64)).astype("f4")
    for dim in (1, 2):

        def call(dim: int = dim) -> np.ndarray:
            out = np.zeros_like(x)
            KERNELS["softmax"]((T(out),), (T(x),), {"dim": dim})
            return out

        threads_agree(call)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(6, 5), (5,), (3, 7, 4, 5), (2, 300), (0, 3), (2, 5, 9, 23)])
def test_cross_entropy(
    dtype: str, reduction: str, weighted: bool, smoothing: float, shape: tuple[int, ...]
) -> None:
    """Loss and gradient; class weights, ignored samples, smoothing."""
    cd = 1 if len(shape) > 1 else 0
    tshape = shape[:cd] + shape[cd + 1 :]
    x0 = (RNG.standard_normal(shape) * 3).astype(dtype)
    target = np.asarray(RNG.integers(0, shape[cd], tshape))
    if target.size > 3:
        target.flat[2] = 1
        target[target == 1] = -7
    w0 = (RNG.random(shape[cd]) + 0.5).astype(dtype) if weighted else None
    stat = "f8" if dtype == "f8" else "f4"
    attrs = {"ignore_index": -7, "reduction": reduction, "label_smoothing": smoothing}
    x = torch.from_numpy(x0.astype("f8")).requires_grad_()
    w = None if w0 is None else torch.from_numpy(w0.astype("f8"))
    want = torch.nn.functional.cross_entropy(x, torch.from_numpy(target), w, **attrs)
    lshape = tshape if reduction == "none" else ()
    g0 = RNG.standard_normal(lshape).astype(dtype)
    want.backward(torch.from_numpy(np.asarray(g0).astype("f8")))
    for xx in layouts(x0):
        loss, lse, total = np.full(lshape, 9, dtype), np.zeros(tshape, stat), np.zeros((), stat)
        weight = None if w0 is None else T(w0)
        KERNELS["cross_entropy"]((T(loss), T(lse), T(total)), (T(xx), T(target), weight), attrs)
        close(loss, want.detach(), dtype)
        gx = np.full(shape, 9, dtype)
        KERNELS["cross_entropy_backward"](
            (T(gx),), (T(np.asarray(g0)), T(xx), T(target), weight, T(lse), T(total)), attrs
        )
        close(gx, x.grad, dtype)
    if smoothing == 0:
        x = torch.from_numpy(x0.astype("f8")).requires_grad_()
        want = torch.nn.functional.nll_loss(
            x, torch.from_numpy(target), w, ignore_index=-7, reduction=reduction
        )
        want.backward(torch.from_numpy(np.asarray(g0).astype("f8")))
        loss, total, gx = np.full(lshape, 9, dtype), np.zeros((), stat), np.full(shape, 9, dtype)
        KERNELS["nll_loss"]((T(loss), T(total)), (T(x0), T(target), weight), attrs)
        close(loss, want.detach(), dtype)
        KERNELS["nll_loss_backward"]((T(gx),), (T(np.asarray(g0)), T(target), weight, T(total)), attrs)
        close(gx, x.grad, dtype)


def test_bad_class() -> None:
    """The first bad class is named."""
    x, target = np.zeros((2, 3), "f4"), np.array([1, 3])
    with pytest.raises(
        IndexError, match=r"\[cross_entropy\].*class 3 at position \[1\], the input has 3 classes"
    ):
        KERNELS["cross_entropy"](
            (T(np.zeros((), "f4")), T(np.zeros(2, "f4")), T(np.zeros((), "f4"))), (T(x), T(target), None), {}
        )
