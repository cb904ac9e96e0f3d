"""What a graph that is captured does anew at each replay: numbers of the host, in device memory that kernels read.

A step's learning rate, bias corrections and the like are worked out on the host, by the same code as in an eager step,
just before each replay; one small launch puts them where the recorded kernels read them, in the order of the stream.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any

from .codegen import fitted, scalar_codes
from .launch import bind_raw

if TYPE_CHECKING:
    from flambeau.plugin import TypedProgram

    from .backend import GpuBackend

__all__ = ["Recording"]

_WORDS = 256
_SOURCE = f"""#include "base.cuh"
struct P {{ u64 out, n, word[{_WORDS}]; }};
FB_DEV void run(const P &p) {{ if (threadIdx.x < p.n) ((u64 *)p.out)[threadIdx.x] = p.word[threadIdx.x]; }}
FB_KERNEL(fb_words, P, run, {_WORDS})
"""


class _Block:
    """Words on the device and what they will be."""

    __slots__ = ("address", "n", "words")

    def __init__(self, address: int) -> None:
        self.address, self.n = address, 0
        self.words = ctypes.create_string_buffer(8 * _WORDS)


class Recording:
    """The recording that is under way, `Backend.capture`.

    Attributes:
        again: functions that are called before each replay, in this order.
        skip: None, or a float32 tensor of one element: updates that are recorded now do nothing where it isn't 0.
    """

    def __init__(self, backend: GpuBackend, index: int) -> None:
        self.backend, self.index = backend, index
        self.again: list[Callable[[], Any]] = []
        self.skip: Any = None
        self._blocks: list[_Block] = []
        fn = backend.function(_SOURCE, "fb_words", index)
        self._write = bind_raw(backend, index, fn, Struct(f"=QQ{8 * _WORDS}s"), b"", (1,), (_WORDS,))

    def hold(self, program: TypedProgram, numbers: Callable[[], Sequence[Any]]) -> int:
        """Where a program's scalars lie; ``numbers()`` gives them before each replay."""
        codes = Struct("=" + scalar_codes(program))
        if not codes.size:
            return 0
        if not self._blocks or self._blocks[-1].n + codes.size // 8 > _WORDS:
            self._blocks.append(_Block(int(self.backend.allocate(8 * _WORDS, self.index))))
        block = self._blocks[-1]
        at = 8 * block.n
        block.n += codes.size // 8
        self.again.append(lambda: codes.pack_into(block.words, at, *fitted(program, numbers(), 0)))
        return block.address + at

    def prepare(self) -> None:
        """Before a replay: work the numbers out and send them."""
        for fn in self.again:
            fn()
        for block in self._blocks:
            self._write(block.address, block.n, block.words.raw)
