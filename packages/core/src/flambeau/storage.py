"""A buffer of a backend: who allocated it, how large it is, how often it was written in place; accounts of memory."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import OutOfMemoryError

if TYPE_CHECKING:
    from .backend import Backend
    from .devices import Device

__all__ = ["MemoryAccount", "Storage"]

T = TypeVar("T")


class Storage:
    """Memory on a device, freed with its last owner.

    Attributes:
        handle: the backend's handle; an int address where the backend has addresses.
        nbytes: its size.
        device: where it is.
        version: how often it was written in place since it was made.
        free: the backend's ``free``, or None for foreign memory.
        owner: what keeps foreign memory alive.
        watch: None, or the latest in-place writers once the tape has saved a tensor that lies here; False: it was
            made in inference mode and is never saved.
    """

    __slots__ = ("__weakref__", "device", "free", "handle", "nbytes", "owner", "version", "watch")

    def __init__(self, handle: Any, nbytes: int, device: Device, free: Any, owner: Any = None) -> None:
        self.handle = handle
        self.nbytes = nbytes
        self.device = device
        self.free = free
        self.owner = owner
        self.version = 0
        self.watch: tuple[str, ...] | bool | None = None

    def __del__(self) -> None:
        free = self.free
        if free is not None:
            free(self.handle, self.nbytes, self.device.slot)

    @classmethod
    def allocate(cls, backend: Backend, nbytes: int, device: Device) -> Storage:
        """New, uninitialised memory."""
        return cls(backend.allocate(nbytes, device.slot), nbytes, device, backend.free)

    @classmethod
    def wrap(cls, handle: Any, nbytes: int, device: Device, owner: Any) -> Storage:
        """Foreign memory: ``owner`` is kept alive; nothing is freed here."""
        return cls(handle, nbytes, device, None, owner)


class MemoryAccount:
    """How much memory of a device is in use: what a backend's ``allocate``, ``free`` and ``memory_stats`` stand on.

    Any thread may use it.

    Args:
        device: its name, for messages.
        limit: bytes that may be in use at a time; None: as many as there are.

    >>> account = MemoryAccount("npu:0", limit=100)
    >>> memory = account.allocate(60, bytearray)
    >>> account.free(60)
    >>> account.stats()["allocated"], account.stats()["peak"]
    (0, 60)
    """

    def __init__(self, device: str, limit: int | None = None) -> None:
        self.device = device
        self.limit = limit
        self.allocated = self.peak = self.live = self.total = 0
        self._lock = RLock()  # the garbage collector may free memory in the middle of counting

    def allocate(self, nbytes: int, make: Callable[[int], T]) -> T:
        """What ``make(nbytes)`` gives, counted.

        Raises:
            OutOfMemoryError: that goes beyond the limit, or ``make`` finds no memory.
        """
        with self._lock:
            try:
                if self.limit is not None and self.allocated + nbytes > self.limit:
                    raise MemoryError
                made = make(nbytes)
            except (MemoryError, ValueError, OverflowError):  # Python and NumPy say so that it is too much
                limit = "" if self.limit is None else f", limit {self.limit}"
                wrong = f"out of memory on {self.device}: got a request for {nbytes} bytes with {self.allocated} in use"
                text = f"[allocate] {wrong} by {self.live} allocations{limit}. Free tensors, or use smaller ones."
                raise OutOfMemoryError(text) from None
            self.allocated += nbytes
            self.peak = max(self.peak, self.allocated)
            self.live += 1
            self.total += 1
        return made

    def free(self, nbytes: int) -> None:
        """Count memory as given back."""
        with self._lock:
            self.allocated -= nbytes
            self.live -= 1

    def stats(self) -> dict[str, int]:
        """The counts, as `Backend.memory_stats` gives them."""
        with self._lock:
            stats = {
                "allocated": self.allocated, "reserved": self.allocated, "peak": self.peak, "allocations": self.live,
                "total_allocations": self.total,
            }  # fmt: skip
            return stats if self.limit is None else {**stats, "limit": self.limit}
