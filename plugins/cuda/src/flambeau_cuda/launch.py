"""Prepared launches: arguments are packed into a buffer that stays, and the kernel is started.

Every kernel takes one struct of 8-byte fields: first what changes from call to call (addresses, scalars), then what
a plan knows (sizes, strides).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from struct import Struct
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backend import GpuBackend

__all__ = ["Launch", "bind", "bind_raw", "ceil_div", "nothing"]

Launch = Callable[..., None]


def ceil_div(a: int, b: int) -> int:
    """The quotient, rounded up."""
    return -(-a // b)


def nothing(*args: Any) -> None:
    """The launch of a plan that has nothing to do."""


class Buffer:
    """Where a kernel's struct is put together: its bytes and the address of the array that points to them."""

    __slots__ = ("array", "params", "room")

    def __init__(self, nbytes: int, static: bytes, at: int) -> None:
        self.room = ctypes.create_string_buffer(max(nbytes, 8))
        ctypes.memmove(ctypes.addressof(self.room) + at, static, len(static))
        self.array = (ctypes.c_uint64 * 1)(ctypes.addressof(self.room))
        self.params = ctypes.addressof(self.array)


def bind(
    backend: GpuBackend,
    index: int,
    fn: int,
    dynamic: str,
    static: bytes,
    grid: Sequence[int],
    block: Sequence[int],
    smem: int = 0,
) -> Launch:
    """A launch of a kernel.

    Args:
        index: the device's number.
        fn: the kernel.
        dynamic: `struct` codes of the values that ``launch`` takes.
        static: the rest of the kernel's struct.
        grid, block: up to three sizes each.
        smem: bytes of dynamic shared memory.

    Returns:
        ``launch(*values)``.
    """
    return bind_raw(backend, index, fn, Struct("=" + dynamic), static, grid, block, smem)


def bind_raw(
    backend: GpuBackend,
    index: int,
    fn: int,
    packer: Struct,
    static: bytes,
    grid: Sequence[int],
    block: Sequence[int],
    smem: int = 0,
) -> Launch:
    """`bind` with a packer in place of codes."""
    buffer = Buffer(packer.size + len(static), static, packer.size)
    gx, gy, gz = (*grid, 1, 1)[:3]
    bx, by, bz = (*block, 1, 1)[:3]
    room, params, pack = buffer.room, buffer.params, packer.pack_into
    start, stream, lock = backend.runtime.launch, backend.queues[index], Lock()
    if backend.note_params is not None:
        backend.note_params(params, packer.size + len(static))
    if packer.format in ("=QQ", "=QQQ"):
        launch: Launch = _short(
            packer.format, pack, start, lock, buffer, stream, fn, (gx, gy, gz), (bx, by, bz), smem
        )
    else:

        def launch(*values: Any, _keep: Any = buffer) -> None:
            with lock:
                pack(room, 0, *values)
                start(fn, gx, gy, gz, bx, by, bz, smem, stream[0], params, 0)

    return backend.guarded(launch, index)


def _short(
    codes: str, pack: Any, start: Any, lock: Lock, buffer: Buffer, stream: list[int], fn: int,
    grid: tuple[int, int, int], block: tuple[int, int, int], smem: int,
) -> Launch:  # fmt: skip
    """The launch for two or three addresses, which most calls have."""
    (gx, gy, gz), (bx, by, bz) = grid, block
    room, params, enter, leave = buffer.room, buffer.params, lock.acquire, lock.release

    def two(a: int, b: int, _keep: Any = buffer) -> None:
        enter()
        try:
            pack(room, 0, a, b)
            start(fn, gx, gy, gz, bx, by, bz, smem, stream[0], params, 0)
        finally:
            leave()

    def three(a: int, b: int, c: int, _keep: Any = buffer) -> None:
        enter()
        try:
            pack(room, 0, a, b, c)
            start(fn, gx, gy, gz, bx, by, bz, smem, stream[0], params, 0)
        finally:
            leave()

    return two if codes == "=QQ" else three
