"""The Python Array API standard: where the namespace differs from PyTorch's names, the public suite, and libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flambeau as fb

pytest.importorskip("flambeau_math")
from flambeau import array_api as xp

HERE = Path(__file__).parent / "array_api"


def test_namespace_of_a_tensor() -> None:
    x = fb.ones(2)
    assert x.__array_namespace__() is xp
    assert x.__array_namespace__(api_version="2024.12") is xp
    with pytest.raises(ValueError, match="api_version"):
        x.__array_namespace__(api_version="1999.12")
    assert x.to_device("cpu").device == x.device
    y = fb.ones(2, 3)
    assert y.size == 6  # the standard's attribute
    assert y.size() == (2, 3)  # PyTorch's method
    assert y.size(-1) == fb.Tensor.size(y, 1) == 3
    for name in xp.__all__:
        assert getattr(xp, name) is not None or name == "newaxis"
    info = xp.__array_namespace_info__()
    assert info.default_device() in info.devices()
    assert info.default_dtypes()["integral"] is fb.int64
    assert set(info.dtypes(kind="unsigned integer")) == {"uint8", "uint16", "uint32", "uint64"}


def test_extensions() -> None:
    assert float(xp.linalg.det(xp.eye(2))) == 1.0
    assert xp.fft.fft(xp.ones(4)).dtype is fb.complex64


def test_zero_d_arrays_promote_as_others_do() -> None:
    wide, x = fb.tensor(2.0, dtype=fb.float64), fb.ones(3, dtype=fb.float32)
    assert (x * wide).dtype is fb.float32  # PyTorch's operator
    assert xp.multiply(x, wide).dtype is fb.float64
    assert xp.result_type(x, wide, 1) is fb.float64
    assert xp.where(x > 0, x, wide).dtype is fb.float64
    assert xp.add(fb.ones(2, dtype=fb.int8), 1).dtype is fb.int8
    assert xp.add(1.5, fb.ones(2, dtype=fb.float64)).dtype is fb.float64


def test_what_differs_from_pytorch() -> None:
    small = fb.tensor([200, 100], dtype=fb.uint8)
    assert xp.sum(small).dtype is fb.uint64
    assert int(xp.sum(small)) == 300
    assert xp.sum(small, axis=()).dtype is fb.uint64
    assert xp.cumulative_sum(small, include_initial=True).tolist() == [0, 200, 300]
    x = fb.tensor([[1.0, 3.0], [5.0, 9.0]])
    assert float(xp.std(x[0])) == 1.0  # no correction
    assert xp.max(x, axis=(0, 1), keepdims=True).shape == (1, 1)
    assert xp.argmax(x, keepdims=True).tolist() == [[3]]
    assert xp.expand_dims(x, (0, -1)).shape == (1, 2, 2, 1)
    with pytest.raises(ValueError, match="squeeze"):
        xp.squeeze(x, 0)
    assert float(xp.floor_divide(fb.tensor(float("inf")), 2.0)) == float("inf")
    assert xp.astype(x, fb.float32, copy=False) is x
    assert xp.finfo(fb.float32).dtype is fb.float32
    assert xp.reshape(x, (4,), copy=False).data_ptr() == x.data_ptr()
    with pytest.raises(ValueError, match="copy=False"):
        xp.reshape(x.mT, (4,), copy=False)
    assert xp.round(fb.tensor([0.5 + 1.5j])).tolist() == [0 + 2j]
    assert xp.clip(fb.tensor([1, 5, 9]), 2, 6).tolist() == [2, 5, 6]


def test_sets_and_order() -> None:
    x = fb.tensor([[2.0, 1.0], [1.0, float("nan")]])
    found = xp.unique_all(x)
    assert found.values.tolist()[:2] == [1.0, 2.0]
    assert found.counts.tolist() == [2, 1, 1]
    assert found.indices.tolist() == [1, 0, 3]
    assert found.inverse_indices.shape == (2, 2)
    assert xp.isin(x, fb.tensor([2.0]), invert=True).tolist() == [[False, True], [True, True]]
    assert xp.take_along_axis(x, xp.argsort(x, axis=0, descending=True), axis=0)[0, 0] == 2.0
    assert xp.searchsorted(fb.tensor([1.0, 2.0]), fb.tensor([1.0]), side="right").tolist() == [1]


def test_gradients_pass_through() -> None:
    x = fb.tensor([1.0, 2.0], requires_grad=True)
    xp.sum(xp.multiply(x, xp.exp(x))).backward()
    assert fb.allclose(x.grad, x.exp() * (1 + x))


def test_every_expected_failure_has_a_reason() -> None:
    text = (HERE / "expected_failures.txt").read_text()
    groups = [
        g for g in text.split("\n\n") if "array_api_tests/" in g.replace("data-apis/array-api-tests", "")
    ]
    assert groups
    for group in groups:
        assert group.startswith("# ")


@pytest.mark.skipif(
    "ARRAY_API_TESTS" not in os.environ, reason="ARRAY_API_TESTS names no checkout of the suite"
)
def test_public_suite() -> None:
    found = subprocess.run(
        [sys.executable, str(HERE), os.environ["ARRAY_API_TESTS"]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-2000:]


@pytest.mark.parametrize("library", ["scipy", "sklearn"])
def test_libraries_take_tensors(library: str) -> None:
    pytest.importorskip(library)
    found = subprocess.run(
        [sys.executable, str(HERE / "consumers.py"), library], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr[-3000:]
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(rows) > 25
    for row in rows:
        assert row["gap"] < 1e-6, row
        # What is an array for NumPy's arrays is a tensor here; NumPy's scalars may be 0-d tensors.
        for got, want in zip(row["kinds"], row["expected"], strict=True):
            assert got == ("Tensor" if want == "ndarray" or got == "Tensor" else want), row
