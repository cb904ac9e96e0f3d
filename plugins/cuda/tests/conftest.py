"""The ops' defaults are tested where there is a native kernel in their place; elsewhere both are the same."""

from __future__ import annotations

from typing import Any

from flambeau.plugin import OPS
from flambeau_cuda.natives import KERNELS


def _native(item: Any) -> bool:
    target = getattr(item, "callspec", None) and item.callspec.params.get("op")
    if target is None:
        return True
    name = target.op.native if target.op is not None else target.name
    return name in KERNELS or any(
        op.native in KERNELS and (op.name == target.name or target.name in op.exports) for op in OPS.values()
    )


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Leave out what would run the same kernels twice."""
    twice = [
        item
        for item in items
        if item.cls is not None
        and item.cls.__name__ in ("TestSimDefaults", "TestGpuDefaults")
        and not _native(item)
    ]
    if twice:
        config.hook.pytest_deselected(items=twice)
        left = set(map(id, twice))
        items[:] = [item for item in items if id(item) not in left]
