"""Device "meta": tensors that have a shape and a dtype and no data."""

from __future__ import annotations

from typing import Any

from .backend import Backend
from .errors import refuse

__all__ = ["MetaBackend"]


def _nothing(*args: Any, **kwargs: Any) -> Any:
    """What every kernel does: its outputs have no data."""


class MetaBackend(Backend):
    """Every kernel does nothing; only reading data is an error. Handles are None."""

    name = "meta"
    allocate = free = copy_in = copy_across = _nothing
    run_program = copy = reduce = scan = scan2 = matmul = gather = scatter = sort = _nothing

    def copy_out(self, handle: Any, offset: int, nbytes: int) -> Any:
        wrong = f"Cannot copy out of meta tensor; no data: got a request for {nbytes} bytes of device 'meta'"
        do = "Make one with empty_like(x, device='cpu') and fill it."
        refuse("copy", f"{wrong}, needed: a tensor on a device with memory", do=do)

    def properties(self, index: int) -> dict[str, Any]:
        return {"name": "meta", "total_memory": 0}

    def memory_stats(self, index: int) -> dict[str, int]:
        return {"allocated": 0, "reserved": 0, "peak": 0}

    def kernel(self, name: str, ins: Any, attrs: dict[str, Any]) -> Any:
        return _nothing
