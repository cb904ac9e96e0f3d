"""The ops' defaults are tested where there is a native kernel in their place; elsewhere both are the same."""

from __future__ import annotations

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


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Leave out what would run the same kernels twice."""
    twice = [i for i in items if i.cls is not None and i.cls.__name__ in DEFAULTS and not _native(i)]
    if twice:
        config.hook.pytest_deselected(items=twice)
        left = set(map(id, twice))
        items[:] = [item for item in items if id(item) not in left]
