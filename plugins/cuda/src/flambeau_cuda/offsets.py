"""What captured kernels add to their random seed and stream: two words on the device, set before each replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .launch import bind

if TYPE_CHECKING:
    from .backend import GpuBackend

__all__ = ["Offsets"]

_SOURCE = """#include "base.cuh"
struct P { u64 out, stream, seed; };
FB_DEV void run(const P &p) { ((u64 *)p.out)[0] = p.stream; ((u64 *)p.out)[1] = p.seed; }
FB_KERNEL(fb_set, P, run, 32)
"""


class Offsets:
    """The words of all devices, two each.

    Attributes:
        active: whether kernels that are started now read the words.
    """

    def __init__(self, backend: GpuBackend) -> None:
        self.backend = backend
        self.active = False
        self.words: dict[int, int] = {}
        self.launches: dict[int, Any] = {}

    def prepare(self, index: int) -> None:
        """Make a device's words, before anything is captured."""
        if index not in self.words:
            backend = self.backend
            self.words[index] = backend.runtime.malloc(16, index)
            fn = backend.function(_SOURCE, "fb_set", index)
            self.launches[index] = bind(backend, index, fn, "QQQ", b"", (1,), (1,))

    def set(self, index: int, stream: int, seed: int) -> None:
        """Set a device's words, in the order of its stream: what is added to streams, and to seeds (by xor)."""
        self.launches[index](self.words[index], stream & 0xFFFFFFFFFFFFFFFF, seed)

    def address(self, index: int) -> int:
        """The words' address while a graph is captured, else 0."""
        return self.words[index] if self.active else 0
