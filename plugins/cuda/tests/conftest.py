"""Which tests of the conformance suite run: the GPU's where there is one, those of defaults that run other kernels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import flambeau as fb


def pytest_pycollect_makeitem(name: str, obj: Any) -> list[Any] | None:
    """Without a GPU its suites, tens of thousands of tests, aren't even collected."""
    return [] if name.startswith("TestGpu") and not fb.cuda.is_available() else None


@pytest.fixture(autouse=True)
def _exact() -> Iterator[None]:
    """float32 means float32 here: tests compare with the CPU."""
    with fb.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Leave out the tests of no op, and those left without a case, where the other suite has them."""
    left_out = [
        item
        for item in items
        if item.cls is not None
        and getattr(item.cls, "defaults", False)
        and not (hasattr(item, "callspec") and hasattr(item.callspec.params.get("case"), "target"))
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        ids = set(map(id, left_out))
        items[:] = [item for item in items if id(item) not in ids]
