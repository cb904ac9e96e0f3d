"""Which tests of the conformance suite run by default.

The ops' defaults are tested where there is a native kernel in their place; elsewhere both are the same. On the simulator,
which compiles a kernel for nearly every sample call, a part of the sample calls runs: one in twelve, the same every time.
``FLAMBEAU_CUDA_SUITE=whole`` runs them all (with ``hatch run conformance:cuda-sim``).
"""

from __future__ import annotations

import os
import zlib
from typing import Any

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
    if kind in DEFAULTS and not _native(item):
        return True
    if not kind.startswith("TestSim") or os.environ.get("FLAMBEAU_CUDA_SUITE") == "whole":
        return False
    case = item.callspec.params.get("case") if hasattr(item, "callspec") else None
    return hasattr(case, "target") and zlib.crc32(item.name.encode()) % 12 != 0


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Leave out what would run the same kernels twice, and most sample calls of the simulator."""
    left_out = [item for item in items if _left_out(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        ids = set(map(id, left_out))
        items[:] = [item for item in items if id(item) not in ids]
