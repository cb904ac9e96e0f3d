"""The number that captured kernels add to their random stream: a word on the device, set before each replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .launch import bind

if TYPE_CHECKING:
    from .backend import GpuBackend

__all__ = ["Offsets"]

_SOURCE = """#include "base.cuh"
struct P { u64 out, value; };
FB_DEV void run(const P &p) { *(u64 *)p.out = p.value; }
FB_KERNEL(fb_set, P, run, 32)
"""


class Offsets:
    """The words of all devices.

    Attributes:
        active: whether kernels that are started now read the word.
    """

    def __init__(self, backend: GpuBackend) -> None:
        self.backend = backend
        self.active = False
        self.words: dict[int, int] = {}
        self.launches: dict[int, Any] = {}

    def prepare(self, index: int) -> None:
        """Make a device's word, before anything is captured."""
        if index not in self.words:
            backend = self.backend
            self.words[index] = backend.runtime.malloc(8, index)
            fn = backend.function(_SOURCE, "fb_set", index)
            self.launches[index] = bind(backend, index, fn, "QQ", b"", (1,), (1,))

    def set(self, index: int, value: int) -> None:
        """Set a device's word, in the order of its stream."""
        self.launches[index](self.words[index], value & 0xFFFFFFFFFFFFFFFF)

    def address(self, index: int) -> int:
        """The word's address while a graph is captured, else 0."""
        return self.words[index] if self.active else 0
