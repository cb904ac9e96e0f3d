"""Lets the test files of this folder import its test_*_support modules; the instruction sets that kernels run on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_kernels_support import each_isa

from flambeau_cpu._C import lib


@pytest.fixture(params=each_isa())
def isa(request: pytest.FixtureRequest) -> Iterator[int]:
    """Every variant that this machine can run."""
    before = lib.fbc_get_isa()
    lib.fbc_set_isa(request.param)
    yield request.param
    lib.fbc_set_isa(before)
