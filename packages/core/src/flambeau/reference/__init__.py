"""The NumPy backend: device "reference", and device "cpu" where the CPU plugin is absent.

It implements the required entries of the contract and nothing else, plainly, and is what tests compare with.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import Backend
from ..storage import MemoryAccount
from . import kernels
from .arrays import numerics

if TYPE_CHECKING:
    from .._tensor import Tensor
    from ..program import TypedProgram
    from ..storage import Storage

__all__ = ["ReferenceBackend"]

_ALIGNMENT = 64


def _aligned(nbytes: int) -> np.ndarray[Any, Any]:
    room = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    return room[start : start + nbytes]


class ReferenceBackend(Backend):
    """Tensors in host memory, computed by NumPy. Handles are one-dimensional uint8 arrays.

    Attributes:
        account: counts the memory; its ``limit`` may be set.
    """

    name = "reference"
    host_visible = True

    def __init__(self) -> None:
        self.account = MemoryAccount(self.name)

    # Memory

    def allocate(self, nbytes: int, index: int) -> Any:
        return self.account.allocate(nbytes, _aligned)

    def free(self, handle: Any, nbytes: int, index: int) -> None:
        self.account.free(nbytes)

    def copy_in(self, handle: Any, offset: int, data: Any) -> None:
        if memoryview(data).nbytes:
            source = np.frombuffer(data, np.uint8)
            handle[offset : offset + source.size] = source

    def copy_out(self, handle: Any, offset: int, nbytes: int) -> Any:
        return bytearray(handle[offset : offset + nbytes])

    def copy_across(self, out: Any, src: Any, nbytes: int) -> None:
        out[:nbytes] = src[:nbytes]

    def host_buffer(self, mem: Storage) -> memoryview | None:
        return memoryview(mem.handle)

    def wrap_host(self, address: int, nbytes: int, owner: Any) -> Any:
        if not nbytes:
            return np.empty(0, np.uint8)
        room: Any = (ctypes.c_uint8 * nbytes).from_address(address)
        room.owner = owner  # lives as long as any view of the memory
        return np.frombuffer(room, np.uint8)

    # Properties

    def properties(self, index: int) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "name": f"NumPy {np.__version__} on {platform.machine()}",
            "threads": 1,
            "processors": os.cpu_count() or 1,
        }
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            facts["total_memory"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return facts

    def memory_stats(self, index: int) -> dict[str, int]:
        return self.account.stats()

    def reset_peak(self, index: int = 0) -> None:
        """Count the peak from now on."""
        self.account.peak = self.account.allocated

    # Compute

    def run_program(
        self, program: TypedProgram, outs: Sequence[Tensor], ins: Sequence[Tensor], scalars: Sequence[Any]
    ) -> None:
        with numerics("run_program"):
            kernels.run_program(program, outs, ins, scalars)

    def copy(self, out: Tensor, src: Tensor) -> None:
        with numerics("copy"):
            kernels.copy(out, src)

    def reduce(self, kind: str, out: Tensor, src: Tensor, dims: tuple[int, ...]) -> None:
        with numerics(kind):
            kernels.reduce(kind, out, src, dims)

    def scan(self, kind: str, out: Tensor, src: Tensor, dim: int) -> None:
        with numerics(kind):
            kernels.scan(kind, out, src, dim)

    def scan2(self, kind: str, values: Tensor, indices: Tensor, src: Tensor, dim: int) -> None:
        with numerics(kind):
            kernels.scan2(kind, values, indices, src, dim)

    def matmul(self, out: Tensor, a: Tensor, b: Tensor) -> None:
        with numerics("matmul"):
            kernels.matmul(out, a, b)

    def gather(self, out: Tensor, src: Tensor, dim: int, index: Tensor) -> None:
        with numerics("gather"):
            kernels.gather(out, src, dim, index)

    def scatter(self, out: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str | None) -> None:
        with numerics("scatter"):
            kernels.scatter(out, dim, index, src, reduce)

    def sort(
        self, values: Tensor, indices: Tensor, src: Tensor, dim: int, descending: bool, stable: bool
    ) -> None:
        with numerics("sort"):
            kernels.sort(values, indices, src, dim, descending, stable)
