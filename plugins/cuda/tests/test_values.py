"""Kernels with several code paths, against float64 on the reference backend: widths, alignment, splits, sizes."""

from __future__ import annotations

import math
import os
from typing import Any

import pytest

import flambeau as fb

F = fb.nn.functional
DEVICES = ["cuda-sim", pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not fb.cuda.is_available(), reason="needs a GPU")])]  # fmt: skip
device = pytest.mark.parametrize("device", DEVICES)
#: The simulator compiles each kernel; `hatch run conformance:cuda-sim` runs the other dtypes too.
ALL = fb.cuda.is_available() or os.environ.get("FLAMBEAU_CONFORMANCE_SHARE") == "1"
dtypes = pytest.mark.parametrize("dtype", ["float32", "bfloat16", *(("float64", "float16") if ALL else ())])
TOLERANCE = {"float32": 2e-5, "float64": 1e-12, "bfloat16": 2e-2, "float16": 3e-3}


def error(got: Any, want: Any) -> float:
    a, b = got.detach().to("reference").double(), want.detach().double()
    assert a.shape == b.shape
    return float((a - b).norm() / (b.norm() + 1e-300))


def both(device: str, dtype: str, *shape: int, skip: int = 0) -> tuple[Any, Any]:
    """A tensor on the device (its address ``skip`` elements off) and the same numbers in float64 on the reference."""
    base = fb.randn(math.prod(shape) + skip, device="reference").to(getattr(fb, dtype))
    near = base.to(device)[skip:].reshape(shape).detach().requires_grad_()
    return near, base[skip:].reshape(shape).double().detach().requires_grad_()


CASES = {
    "sum0": lambda x: x.sum(0), "sum1": lambda x: x.sum(1), "mean0": lambda x: x.mean(0), "var0": lambda x: x.var(0),
    "var1": lambda x: x.var(1), "amax0": lambda x: x.amax(0), "amin1": lambda x: x.amin(1), "sort": lambda x: x.sort(1)[0],
    "logsumexp": lambda x: x.logsumexp(1), "cumsum": lambda x: x.cumsum(1), "topk": lambda x: x.topk(5, 1)[0],
    "softmax": lambda x: x.softmax(1), "log_softmax": lambda x: x.log_softmax(1), "norm": lambda x: x.norm(),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[1:]), "rms_norm": lambda x: F.rms_norm(x, x.shape[1:], eps=1e-5),
}  # fmt: skip


@device
@dtypes
@pytest.mark.parametrize("name", list(CASES))
def test_lines(device: str, dtype: str, name: str) -> None:
    fb.manual_seed(1)
    for shape in ((3, 64), (2, 1200), (40, 33)):
        for skip in (0, 1):
            x, y = both(device, dtype, *shape, skip=skip)
            got, want = CASES[name](x), CASES[name](y)
            assert error(got, want) < TOLERANCE[dtype], (shape, skip)
            if name not in ("sort", "topk", "amax0", "amin1"):
                g = fb.randn(got.shape, device="reference").to(got.dtype)
                got.backward(g.to(device))
                want.backward(g.double())
                assert error(x.grad, y.grad) < 3 * TOLERANCE[dtype], (shape, skip, "gradient")


@device
def test_a_long_sum_is_split_and_deterministic(device: str) -> None:
    x, y = both(device, "float32", 70000)
    assert error(x.sum(), y.sum()) < 1e-4
    assert float(x.sum()) == float(x.sum())
    assert int(x.argmax()) == int(y.argmax())


@device
@pytest.mark.parametrize(
    ("dtype", "shape", "causal", "mask"),
    [
        ("float32", (1, 2, 37, 53, 16, 24), False, None), ("float64", (1, 2, 37, 53, 16, 16), True, None),
        ("float32", (1, 2, 37, 53, 16, 16), False, "bool"), ("float32", (1, 1, 20, 140, 16, 130), False, "float"),
        ("bfloat16", (1, 1, 70, 70, 64, 64), False, None), ("float16", (1, 2, 70, 90, 64, 64), True, None),
        ("bfloat16", (1, 1, 100, 100, 128, 128), True, None),
    ],
)  # fmt: skip
def test_attention(device: str, dtype: str, shape: tuple[int, ...], causal: bool, mask: str | None) -> None:
    fb.manual_seed(2)
    n, h, rows, cols, e, ve = shape
    (q, q2), (k, k2), (v, v2) = (both(device, dtype, n, h, *s) for s in ((rows, e), (cols, e), (cols, ve)))
    m = None
    if mask == "bool":
        m = fb.rand(n, h, rows, cols, device="reference") < 0.7
    elif mask == "float":
        m = fb.randn(n, h, rows, cols, device="reference")
    got = F.scaled_dot_product_attention(
        q, k, v, attn_mask=None if m is None else m.to(device), is_causal=causal
    )
    want = F.scaled_dot_product_attention(q2, k2, v2, attn_mask=m, is_causal=causal)
    g = fb.randn(got.shape, device="reference").to(got.dtype)
    got.backward(g.to(device))
    want.backward(g.double())
    for a, b in ((got, want), (q.grad, q2.grad), (k.grad, k2.grad), (v.grad, v2.grad)):
        assert error(a, b) < TOLERANCE[dtype]


@device
def test_scatter_in_order_by_sorting(device: str) -> None:
    """Long lines are sorted first; the last of equal indices wins, sums are in order."""
    index = (fb.arange(1500, device="reference") * 7919) % 97
    src = fb.randn(1500, device="reference")
    for reduce in (None, "sum", "prod", "amax", "amin"):
        out = fb.zeros(97, device="reference")
        kwargs = {"reduce": reduce} if reduce else {}
        name = "scatter_reduce" if reduce else "scatter"
        want = getattr(out, name)(0, index, src, **kwargs)
        got = getattr(out.to(device), name)(0, index.to(device), src.to(device), **kwargs)
        fb.testing.assert_close(got.to("reference"), want, rtol=1e-5, atol=1e-6)


@device
def test_embedding_gradient(device: str) -> None:
    w, w2 = both(device, "float32", 50, 24)
    index = (fb.arange(300, device="reference") * 31) % 50
    F.embedding(index.to(device), w, padding_idx=3).square().sum().backward()
    F.embedding(index, w2, padding_idx=3).square().sum().backward()
    assert error(w.grad, w2.grad) < 1e-6


@device
def test_optimizer_step_in_one_launch_equals_steps_one_by_one(device: str) -> None:
    shapes = ((3, 5), (700,), (33, 41), (), (5000,))
    fb.manual_seed(3)
    start = [fb.randn(s, device="reference") for s in shapes]
    ends = []
    for place in (device, "reference"):
        ps = [t.to(place).detach().clone().requires_grad_() for t in start]
        optimizer = fb.optim.AdamW(ps, lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            sum((p**3).sum() for p in ps).backward()  # type: ignore[union-attr]
            optimizer.step()
        ends.append([p.detach().to("reference") for p in ps])
    for a, b in zip(*ends, strict=True):
        fb.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@device
def test_products_of_all_layouts(device: str) -> None:
    """Row-major, column-major, batched, shared and padded operands."""
    for dtype in ("float32", "bfloat16", "float64", "complex64", "int64"):
        a = fb.randn(4, 9, 17, device="reference").mul(3).to(getattr(fb, dtype))
        b = fb.randn(4, 17, 6, device="reference").mul(3).to(getattr(fb, dtype))
        x, y = a.to(device), b.to(device)
        for f in (
            lambda x, y: x @ y, lambda x, y: x.mT.contiguous().mT @ y, lambda x, y: x @ y.mT.contiguous().mT,
            lambda x, y: x[0] @ y, lambda x, y: x @ y[1], lambda x, y: x[:, ::2, 1:] @ y[:, 1:, ::2], lambda x, y: (y.mT @ x.mT).mT,
        ):  # fmt: skip
            wide = fb.complex128 if dtype == "complex64" else fb.float64
            got, want = f(x, y).to("reference").to(wide), f(a.to(wide), b.to(wide))
            assert float((got - want).abs().max()) <= (0.5 if dtype == "bfloat16" else 1e-3)
