"""Page-locked host memory: which there is, and what copies still read it."""

from __future__ import annotations

import ctypes
import weakref
from bisect import bisect_right, insort
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .runtime import Runtime

__all__ = ["Pinned"]


class Pinned:
    """The page-locked memory that a backend has handed out."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._rooms: dict[int, Any] = {}  # by address: size, and a weak reference to what is read
        self._reading: deque[tuple[int, Any, Any]] = deque()  # event, what keeps it, what it reads

    def allocate(self, runtime: Runtime, nbytes: int) -> Any:
        """Bytes of page-locked memory, as an object with the buffer protocol; freed with its last view."""
        address, keep = runtime.pinned(nbytes)
        room: Any = (ctypes.c_ubyte * nbytes).from_address(address)
        room.keep = keep
        insort(self._starts, address)
        self._rooms[address] = nbytes, weakref.ref(room)
        weakref.finalize(room, self._forget, address).atexit = False
        return room

    def _forget(self, address: int) -> None:
        self._starts.remove(address)
        del self._rooms[address]

    def find(self, address: int, nbytes: int) -> Any:
        """The page-locked memory that some bytes lie in, or None."""
        k = bisect_right(self._starts, address) - 1
        if k < 0:
            return None
        size, room = self._rooms[self._starts[k]]
        return room() if address + nbytes <= self._starts[k] + size else None

    def keep(self, runtime: Runtime, stream: int, read: Any) -> None:
        """Keep what a stream's latest copy reads until it is done."""
        while self._reading and runtime.event_done(self._reading[0][0]):
            self._reading.popleft()
        event, made = runtime.new_event(False)
        runtime.record(event, stream)
        self._reading.append((event, made, read))
