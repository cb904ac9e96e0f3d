"""Sorting and the first k on the simulator, against NumPy: every way that lines of a length take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fb

GPU = fb.cuda.is_available()
DEVICES = [
    "cuda-sim",
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not GPU, reason="needs a GPU")]),
]
device = pytest.mark.parametrize("device", DEVICES)
#: One block's network, one block's digits, a few tiles, many tiles.
COUNTS = (3, 512, 2500, 5000, 70000)
DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")


def values(dtype: str, shape: tuple[int, ...]) -> Any:
    """Few different values in half of the lines, so that there are ties; numbers of special kinds."""
    rng = np.random.default_rng(len(dtype) + shape[-1])
    if dtype == "bool":
        return fb.tensor(rng.integers(0, 2, shape).astype(bool))
    kind = getattr(fb, dtype)
    if "float" not in dtype:
        info = fb.iinfo(kind)
        high = min(info.max, 2**62)
        x = rng.integers(max(info.min, -(2**62)), high, shape)
        x[..., : shape[-1] // 2] = rng.integers(0, 5, shape)[..., : shape[-1] // 2]
        return fb.tensor(x).to(kind)
    x = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)
    x[..., : shape[-1] // 2] = np.rint(x[..., : shape[-1] // 2])
    flat = x.reshape(-1)
    for k, special in enumerate((np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, np.nan)):
        flat[k * 7 % flat.size] = special
    return fb.tensor(x).to(kind)


def places(x: Any, descending: bool) -> Any:
    """Stable order along the last dimension, NaN as the largest: by ranks, that go down where the order does."""
    a = x.double().numpy() if x.is_floating_point() else x.to(fb.int64).numpy()
    rank = np.unique(a, return_inverse=True, equal_nan=True)[1].reshape(a.shape)
    return np.argsort(-rank if descending else rank, -1, kind="stable")


@device
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", COUNTS)
def test_sort(count: int, dtype: str, device: str) -> None:
    if device == "cuda-sim" and count > 5000 and dtype not in ("int16", "float32"):
        pytest.skip("a GPU's work")
    lines = 3 if count <= 5000 else 1
    x = values(dtype, (lines, count))
    for descending in (False, True):
        want = places(x, descending)
        got = x.to(device).sort(-1, descending=descending, stable=True)
        assert np.array_equal(got.indices.cpu().numpy(), want)
        assert bits(got.values.cpu()) == bits(x.gather(-1, fb.tensor(want)))


def bits(x: Any) -> bytes:
    if x.dtype is fb.bool:
        x = x.to(fb.uint8)
    return bytes(x.contiguous().view(fb.uint8).numpy().tobytes())


@device
def test_sort_along_any_dimension_of_any_strides(device: str) -> None:
    x = fb.tensor(np.random.default_rng(1).standard_normal((2, 600, 3))).to(device)
    for t in (x, x.transpose(0, 2), x.flip(1), x[:, ::2], x[:, :, :1].expand(2, 600, 2)):
        for dim in range(3):
            got = t.sort(dim, stable=True)
            want = np.argsort(t.cpu().numpy(), dim, kind="stable")
            assert np.array_equal(got.indices.cpu().numpy(), want)
            assert np.array_equal(got.values.cpu().numpy(), np.sort(t.cpu().numpy(), dim))


@device
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("count", "k"),
    [(1, 1), (7, 3), (1000, 5), (1000, 1000), (3000, 1024), (3000, 1500), (20000, 1024), (9000, 3)],
)
def test_topk(count: int, k: int, dtype: str, device: str) -> None:
    if device == "cuda-sim" and count > 3000 and dtype not in ("int64", "float32"):
        pytest.skip("a GPU's work")
    x = values(dtype, (2, count))
    for largest in (False, True):
        want = places(x, largest)[:, :k]
        got = x.to(device).topk(k, -1, largest)
        assert np.array_equal(got.indices.cpu().numpy(), want)
        assert bits(got.values.cpu()) == bits(x.gather(-1, fb.tensor(want)))


@device
def test_gradients_of_rows_by_sorted_places(device: str) -> None:
    index = fb.tensor(np.random.default_rng(2).integers(0, 700, (2000,)))
    table = fb.zeros(700, 3, device=device, requires_grad=True)
    g = fb.arange(6000.0).reshape(2000, 3)
    (fb.nn.functional.embedding(index.to(device), table) * g.to(device)).sum().backward()
    want = np.zeros((700, 3), np.float64)
    np.add.at(want, index.numpy(), g.double().numpy())
    assert table.grad is not None
    assert np.array_equal(table.grad.cpu().numpy(), want.astype(np.float32))
