"""Attention and its gradients against float64, over sizes, masks, dtypes, instruction sets and thread counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_kernels_support import T, bf16, threads_agree, to_f32

from flambeau_cpu.kernels_attention import KERNELS

pytestmark = pytest.mark.usefixtures("isa")
RNG = np.random.default_rng(12)


def reference(q: Any, k: Any, v: Any, g: Any, mask: Any, causal: bool, scale: float) -> tuple[Any, ...]:
    """The definition in float64: result, logarithms, gradients."""
    q, k, v, g = (t.astype("f8") for t in (q, k, v, g))
    s = q @ k.swapaxes(-1, -2) * scale
    if causal:
        s = np.where(np.tri(*s.shape[-2:], dtype=bool), s, -np.inf)
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    top = s.max(-1, keepdims=True)
    e = np.exp(s - np.where(np.isinf(top), 0, top))
    total = e.sum(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        lse = np.where(total > 0, np.log(total) + top, np.inf)[..., 0]
    w = e / np.where(total > 0, total, 1)
    out = w @ v
    d = w * (g @ v.swapaxes(-1, -2) - (g * out).sum(-1, keepdims=True)) * scale
    return out, lse, d @ k, d.swapaxes(-1, -2) @ q, w.swapaxes(-1, -2) @ g


def run(q: Any, k: Any, v: Any, g: Any, mask: Any, causal: bool, scale: float, dtype: Any = None) -> Any:
    """The kernels' results."""
    attrs = {"causal": causal, "scale": scale}
    out, lse = np.full_like(g, 9), np.full(q.shape[:3], 9, "f4")
    ins = [T(t, dtype) for t in (q, k, v)]
    m = None if mask is None else T(mask)
    KERNELS["attention"]((T(out, dtype), T(lse)), (*ins, m), attrs)
    grads = [np.full_like(t, 9) for t in (q, k, v)]
    KERNELS["attention_backward"](
        [T(t, dtype) for t in grads], (T(g, dtype), *ins, T(out, dtype), T(lse), m), attrs
    )
    return (out, lse, *grads)


SIZES = [
    (2, 3, 5, 7, 4, 6),
    (1, 2, 130, 200, 64, 64),
    (1, 1, 257, 400, 80, 250),
    (1, 1, 1, 1, 1, 1),
    (2, 2, 64, 192, 16, 48),
]


def operands(size: tuple[int, ...]) -> list[Any]:
    """Query, key, value and the result's gradient; not all of them dense."""
    n, h, length, s, e, v = size
    q = RNG.standard_normal((n, length, h, e)).astype("f4").swapaxes(1, 2)
    k = RNG.standard_normal((n, h, s, 2 * e)).astype("f4")[..., ::2]
    values = RNG.standard_normal((n, h, v, s)).astype("f4").swapaxes(2, 3)
    return [q, k, values, RNG.standard_normal((n, h, length, v)).astype("f4")]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["plain", "causal", "bool", "added", "dead rows"])
def test_values(size: tuple[int, ...], kind: str) -> None:
    """Results and gradients; queries without any key give 0."""
    ts = operands(size)
    n, h, length, s = size[:4]
    mask = None
    if kind in ("bool", "dead rows"):
        mask = np.broadcast_to(RNG.random((1, h, length, s)) < 0.6, (n, h, length, s)).copy()
        if kind == "dead rows":
            mask[:, :, length // 2] = False
    elif kind == "added":
        mask = np.broadcast_to(RNG.standard_normal((length, s)).astype("f4"), (n, h, length, s))
    case = (*ts, mask, kind == "causal", 0.3)
    for got, want in zip(run(*case), reference(*case), strict=True):
        finite = np.abs(want[np.isfinite(want)])
        np.testing.assert_allclose(got, want, atol=1e-5 * max(1, finite.max(initial=0)), rtol=1e-5)


def test_sixteen_bits() -> None:
    """bfloat16 and float16 are computed in float32 and rounded once."""
    ts = operands((1, 2, 40, 70, 32, 24))
    want = reference(*[to_f32(bf16(t)) for t in ts], None, True, 0.2)
    got = run(*[bf16(t) for t in ts], None, True, 0.2, "bfloat16")
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a if a.dtype == np.float32 else to_f32(a), b, atol=0.04, rtol=0.02)
    halves = [t.astype("f2") for t in ts]
    for a, b in zip(run(*halves, None, False, 0.2), reference(*halves, None, False, 0.2), strict=True):
        np.testing.assert_allclose(a, b, atol=4e-3, rtol=4e-3)


def test_threads() -> None:
    """The same bits with any number of threads."""
    ts = operands((2, 3, 300, 300, 32, 32))
    threads_agree(lambda: run(*ts, None, True, 0.2))
