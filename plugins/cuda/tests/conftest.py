"""Which tests of the conformance suite run: the GPU's where there is one, those of defaults where there is a native kernel."""

from __future__ import annotations

from typing import Any

import flambeau as fb
from flambeau_cuda.natives import KERNELS

DEFAULTS = ("TestSimDefaults", "TestGpuDefaults")


def _native(item: Any) -> bool:
    """Whether a test runs an op that has a native kernel."""
    case = item.callspec.params.get("case") if hasattr(item, "callspec") else None
    target = getattr(case, "target", None)
    op = getattr(target, "op", None)
    if op is not None and op.native in KERNELS:
        return True
    name = getattr(target, "name", "")
    return any(name and (name in native or native in name) for native in KERNELS)


def _left_out(item: Any) -> bool:
    kind = item.cls.__name__ if item.cls is not None else ""
    if kind.startswith("TestGpu") and not fb.cuda.is_available():
        return True
    return kind in DEFAULTS and not _native(item)


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Leave out what would run the same kernels twice, or can't run."""
    left_out = [item for item in items if _left_out(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        ids = set(map(id, left_out))
        items[:] = [item for item in items if id(item) not in ids]
