"""Bad indices that kernels meet: reported by the device, raised by the host.

A kernel leaves the number of its launch and the place of its first bad index in a word on the device. The host looks
at once where `immediate` is set (the simulator, FLAMBEAU_CUDA_LAUNCH_BLOCKING=1), else the next time that it waits for
the device anyway.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backend import GpuBackend

__all__ = ["Faults"]

_NONE = (1 << 64) - 1
_KEPT = 4096
Describe = Callable[[int], Exception]


class Faults:
    """The word of one device and what its launches were.

    Args:
        backend: whose device.
        index: the device's number.
    """

    def __init__(self, backend: GpuBackend, index: int) -> None:
        self.backend, self.index = backend, index
        self.address = 0
        self.number = 0
        self.noted: dict[int, Describe] = {}
        self.pending = False

    def prepare(self) -> None:
        """Make the word."""
        if not self.address:
            self.address = self.backend.runtime.malloc(8, self.index)
            self.backend.fill(self.address, 0xFF, 8, self.index)

    def begin(self, describe: Describe) -> tuple[int, int]:
        """Before a launch: the word's address and the launch's number.

        Args:
            describe: makes the error from the place of the first bad index.
        """
        self.prepare()
        self.number = self.number % ((1 << 24) - 2) + 1
        self.noted[self.number] = describe
        if len(self.noted) > _KEPT:
            self.noted.pop(next(iter(self.noted)))
        self.pending = True
        return self.address, self.number

    def end(self) -> None:
        """After a launch: look, if the backend is immediate."""
        if self.backend.immediate and self.backend.capture is None:
            self.check()

    def check(self) -> None:
        """Raise what was reported.

        Raises:
            IndexError: a kernel met a bad index.
        """
        if not self.pending or self.backend.capture is not None:
            return
        runtime, stream = self.backend.runtime, self.backend.queues[self.index][0]
        word = ctypes.c_uint64()
        runtime.to_host(ctypes.addressof(word), self.address, 8, stream, True)
        self.pending = False
        if word.value == _NONE:
            self.noted.clear()
            return
        self.backend.fill(self.address, 0xFF, 8, self.index)
        describe = self.noted.get(word.value >> 40)
        self.noted.clear()
        if describe is None:
            raise IndexError("[cuda] an index of an earlier operation was out of bounds. Check the indices.")
        raise describe(word.value & ((1 << 40) - 1))
