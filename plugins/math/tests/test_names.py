"""The core's tables of late names agree with the records; every namespace has PyTorch's names."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import flambeau as fb
from flambeau.ops import late
from flambeau.plugin import OPS

NAMESPACES = ("fft", "linalg", "masked", "special", "signal.windows")


def test_the_core_knows_the_names() -> None:
    late.load("math")
    records = [op for op in OPS.values() if op.fn.__module__.startswith("flambeau_math.") and not op.module]
    names = {n + e for op in records if op.function for n in op.exports for e in ("", "_")[: 1 + op.inplace]}
    methods = {n + e for op in records if op.method for n in op.exports for e in ("", "_")[: 1 + op.inplace]}
    assert names == set(late.NAMES["math"].split())
    assert methods == set(late.METHODS["math"].split())


@pytest.mark.parity
@pytest.mark.parametrize("name", NAMESPACES)
def test_every_name_of_pytorch_is_there(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    theirs: Any = importlib.import_module(f"torch.{name}")
    public = getattr(theirs, "__all__", None) or [n for n in dir(theirs) if not n.startswith("_")]
    ours: Any = fb
    for part in name.split("."):
        ours = getattr(ours, part)
    # MaskedTensor is a class of its own, not a reduction.
    other = {"MaskedTensor", "as_masked_tensor", "is_masked_tensor", "masked_tensor", "Tensor", "torch"}
    callable_names = [n for n in public if n not in other and callable(getattr(theirs, n))]
    assert [n for n in callable_names if not hasattr(ours, n)] == []
    assert callable_names
    del torch
