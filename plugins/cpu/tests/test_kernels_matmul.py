"""Matrix products against NumPy, over layouts, dtypes, instruction sets and thread counts."""

from __future__ import annotations

import numpy as np
import pytest
from test_kernels_support import T, bf16, layouts, threads_agree, to_f32

from flambeau_cpu import kernels_matmul as km

pytestmark = pytest.mark.usefixtures("isa")
RNG = np.random.default_rng(1)


SIZES = [
    (1, 1, 1),
    (1, 7, 5),
    (7, 1, 5),
    (5, 6, 1),
    (3, 4, 0),
    (0, 3, 4),
    (8, 48, 16),
    (9, 49, 17),
    (33, 65, 129),
    (17, 100, 300),
    (1, 700, 40),
    (700, 1, 40),
    (70, 3, 600),
    (130, 600, 270),
]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("size", SIZES)
def test_layouts(dtype: str, size: tuple[int, int, int]) -> None:
    """Every pair of operand layouts and every output layout."""
    m, n, k = size
    a, b = RNG.standard_normal((m, k)).astype(dtype), RNG.standard_normal((k, n)).astype(dtype)
    want = a.astype("f8") @ b.astype("f8")
    tol = {"f4": 3e-6, "f8": 1e-14}[dtype] * (k + 1)
    for x in layouts(a):
        for y in layouts(b):
            for out in layouts(np.full((m, n), 9, dtype)):
                km.matmul(T(out), T(x), T(y))
                np.testing.assert_allclose(out, want, atol=tol, rtol=0)


@pytest.mark.parametrize("dtype", ["?", "u1", "i4", "i8", "f2", "c8", "c16"])
def test_dtypes(dtype: str) -> None:
    """Integers are exact, bool is or-of-ands, complex and half are close."""
    d = np.dtype(dtype)
    a, b = (
        RNG.integers(0, 2 if d.kind == "b" else 5, (3, 13, 40)),
        RNG.integers(0, 2 if d.kind == "b" else 5, (3, 40, 21)),
    )
    if d.kind == "b":
        a = a * (RNG.random(a.shape) < 0.1)
    if d.kind == "c":
        a, b = a + 1j * a[:, ::-1], b - 2j * b[:, ::-1]
    x, y = a.astype(d), b.astype(d)
    for xx in layouts(x):
        for yy in layouts(y):
            for out in layouts(np.zeros((3, 13, 21), d)):
                km.matmul(T(out), T(xx), T(yy))
                want = x.astype("i8" if d.kind in "bui" else "c16" if d.kind == "c" else "f8") @ y.astype(
                    "i8" if d.kind in "bui" else "c16" if d.kind == "c" else "f8"
                )
                assert (
                    np.array_equal(out, want.astype(d))
                    if d.kind in "bui"
                    else np.allclose(out, want, rtol=1e-3 if d.itemsize == 2 else 1e-6)
                )


@pytest.mark.parametrize(
    "size", [(8, 48, 16), (33, 65, 129), (9, 49, 17), (17, 100, 300), (64, 3, 700), (300, 130, 513)]
)
def test_bfloat16_layouts(size: tuple[int, int, int]) -> None:
    """Every pair of layouts, odd depths and odd row lengths, up to the rounding of the result."""
    m, n, k = size
    a, b = bf16(RNG.standard_normal((m, k))), bf16(RNG.standard_normal((k, n)))
    want = to_f32(a).astype("f8") @ to_f32(b).astype("f8")
    for x in layouts(a):
        for y in layouts(b):
            out = np.zeros((m, n), np.uint16)
            km.matmul(T(out, "bfloat16"), T(x, "bfloat16"), T(y, "bfloat16"))
            np.testing.assert_allclose(to_f32(out), want, atol=2e-3 * k**0.5, rtol=8e-3)


def test_bfloat16() -> None:
    """Accumulates in float32, rounds once."""
    a, b = bf16(RNG.standard_normal((30, 50))), bf16(RNG.standard_normal((50, 20)))
    out = T(np.zeros((30, 20), np.uint16), "bfloat16")
    km.matmul(out, T(a, "bfloat16"), T(b, "bfloat16"))
    np.testing.assert_allclose(to_f32(out.array), to_f32(a) @ to_f32(b), rtol=8e-3, atol=1e-2)


def test_batches() -> None:
    """Batch dims of any stride: shared operands, merged rows, many small ones."""
    for shape in ((5,), (2, 3), (40,), (0,)):
        a, b = (
            RNG.standard_normal((*shape, 9, 11)).astype("f4"),
            RNG.standard_normal((*shape, 11, 7)).astype("f4"),
        )
        shared = np.broadcast_to(RNG.standard_normal((11, 7)).astype("f4"), b.shape)
        swapped = np.swapaxes(np.ascontiguousarray(np.swapaxes(a, 0, -2)), 0, -2)
        for x in (a, swapped):
            for y in (b, shared):
                out = np.zeros((*shape, 9, 7), "f4")
                km.matmul(T(out), T(x), T(y))
                np.testing.assert_allclose(out, x @ y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "i4"])
def test_addmm_linear(dtype: str) -> None:
    """Added matrices, scaled or broadcast; linear with and without bias."""
    for m, n, k in ((5, 7, 3), (40, 130, 70), (1, 33, 20), (33, 1, 20)):
        a, b, c = (RNG.integers(-3, 4, s).astype(dtype) for s in ((m, k), (k, n), (n,)))
        for alpha, beta in ((1, 1), (2, 3), (2, 0)):
            out = np.zeros((m, n), dtype)
            km.KERNELS["addmm"](
                (T(out),), (T(np.broadcast_to(c, (m, n))), T(a), T(b)), {"alpha": alpha, "beta": beta}
            )
            np.testing.assert_allclose(out, alpha * (a @ b) + beta * c)
            tall = np.zeros((m, n), dtype, order="F")
            km.KERNELS["addmm"](
                (T(tall),), (T(np.broadcast_to(c, (m, n))), T(a), T(b)), {"alpha": alpha, "beta": beta}
            )
            np.testing.assert_allclose(tall, out)
        w = np.ascontiguousarray(b.T)
        for lead in ((m,), (3, m), (2, 3, m), ()):
            x = RNG.integers(-3, 4, (*lead, k)).astype(dtype)
            y = np.zeros((*lead, n), dtype)
            km.KERNELS["linear"]((T(y),), (T(x), T(w), T(c)), {})
            np.testing.assert_allclose(y, x @ w.T + c)
            km.KERNELS["linear"]((T(y),), (T(x), T(w), None), {})
            np.testing.assert_allclose(y, x @ w.T)


def test_threads() -> None:
    """One thread and three give the same bits."""
    for shape in ((500, 400, 700), (1, 5000, 300), (5000, 1, 300), (70, 3000, 20)):
        m, n, k = shape
        a, b = RNG.standard_normal((m, k)).astype("f4"), RNG.standard_normal((k, n)).astype("f4")

        def call(a: np.ndarray = a, b: np.ndarray = b) -> np.ndarray:
            out = np.zeros((a.shape[0], b.shape[1]), "f4")
            km.matmul(T(out), T(a), T(b))
            return out

        np.testing.assert_allclose(threads_agree(call), a @ b, atol=1e-3)
