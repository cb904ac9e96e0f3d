"""Every module against PyTorch's: see modules.py, which also prints the counts."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
from parity.modules import failures, tiers

NAMES = [(tier, name) for tier, names in tiers().items() for name in names]


@pytest.mark.parity
@pytest.mark.parametrize(("tier", "name"), NAMES, ids=[name for _, name in NAMES])
def test_module(tier: str, name: str) -> None:
    count, found = failures(name)
    assert count
    assert not found, "\n".join(found[:5])
