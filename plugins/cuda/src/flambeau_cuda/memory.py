"""Device memory that is kept for reuse: lists of free blocks by size class, per stream or graph.

Blocks of up to 1 MiB are cut from slabs, larger ones are taken from the system one by one. A block goes back to the
list that it came from, so that it is reused in the order of that stream; other streams' work must be ordered by events.
"""

from __future__ import annotations

import gc
from typing import Any

from flambeau.plugin import OutOfMemoryError

from .holders import holders, human
from .runtime import Runtime

__all__ = ["Pool", "human", "make_pool", "new_bins", "size_class"]

_LEAST = 512
_SMALL = 1 << 20
_SLAB = 1 << 25


def size_class(nbytes: int) -> int:
    """The size of the block that a request gets: eight steps per power of two.

    >>> [size_class(n) for n in (0, 4, 5000, 1 << 20)]
    [512, 512, 5120, 1048576]
    """
    if nbytes <= _LEAST:
        return _LEAST
    step = max(_LEAST, 1 << (nbytes - 1).bit_length() - 4)
    return -(-nbytes // step) * step


class _Bins(dict[int, list[int]]):
    """Free blocks by size class, and the slab that small ones are cut from."""

    __slots__ = ("left", "slab")

    def __init__(self) -> None:
        super().__init__()
        self.slab = 0
        self.left = 0


class Pool:
    """The memory of one device.

    Attributes:
        current: the lists that allocations now come from.
        counts: bytes allocated now and at most, blocks freed and allocated so far, bytes taken from the system.
        limit: bytes that may be allocated at a time, or None.
    """

    def __init__(self, runtime: Runtime, index: int) -> None:
        self.runtime, self.index = runtime, index
        self.main = _Bins()
        self.current = [self.main]
        self.counts = [0, 0, 0, 0, 0]
        self.limit: int | None = None
        self.classes: dict[int, int] = {}
        self.elsewhere: dict[int, _Bins] = {}  # blocks in use that don't go back to the main list
        self.large: dict[int, int] = {}  # blocks that were taken from the system one by one
        self.retries = 0

    def calls(self) -> tuple[Any, Any]:
        """``allocate(nbytes, index)`` and ``free(address, nbytes, index)`` as functions without detours."""
        counts, classes, elsewhere, main, current = (
            self.counts,
            self.classes,
            self.elsewhere,
            self.main,
            self.current,
        )
        general, general_free = self.allocate, self.free

        def allocate(nbytes: int, index: int) -> int:
            try:
                size = classes[nbytes]
                address = main[size].pop()
            except (KeyError, IndexError):
                return general(nbytes)
            if current[0] is not main:
                main[size].append(address)
                return general(nbytes)
            used = counts[0] = counts[0] + size
            if used > counts[1]:
                counts[1] = used
            counts[3] += 1
            return address

        def free(address: int, nbytes: int, index: int) -> None:
            if elsewhere:
                general_free(address, nbytes)
                return
            size = classes[nbytes]
            main[size].append(address)
            counts[0] -= size
            counts[2] += 1

        return allocate, free

    def allocate(self, nbytes: int) -> int:
        """The address of a block.

        Raises:
            OutOfMemoryError: the device has no more; the message says what holds it.
        """
        size = self.classes.get(nbytes)
        if size is None:
            if len(self.classes) > 1 << 16:
                self.classes.clear()
            size = self.classes[nbytes] = size_class(nbytes)
            self.main.setdefault(size, [])
        bins = self.current[0]
        try:
            address = bins[size].pop()
        except (KeyError, IndexError):
            address = self._grow(size, nbytes, bins)
        counts = self.counts
        counts[0] += size
        if counts[0] > counts[1]:
            counts[1] = counts[0]
        counts[3] += 1
        if bins is not self.main:
            self.elsewhere[address] = bins
        return address

    def free(self, address: int, nbytes: int) -> None:
        """Take a block back."""
        size = self.classes.get(nbytes) or size_class(nbytes)
        bins = self.main
        if self.elsewhere:
            bins = self.elsewhere.pop(address, bins)
        bins.setdefault(size, []).append(address)
        self.counts[0] -= size
        self.counts[2] += 1

    def _grow(self, size: int, nbytes: int, bins: _Bins) -> int:
        if self.limit is not None and self.counts[0] + size > self.limit:
            raise self.out_of_memory(nbytes)
        if size <= _SMALL:
            if bins.left < size:
                slab = self._take(_SLAB, nbytes)
                bins.slab, bins.left = slab, _SLAB
            address = bins.slab
            bins.slab += size
            bins.left -= size
            return address
        address = self._take(size, nbytes)
        self.large[address] = size
        return address

    def _take(self, size: int, nbytes: int) -> int:
        malloc = self.runtime.malloc
        address = malloc(size, self.index)
        if not address:
            self.retries += 1
            self.empty()
            address = malloc(size, self.index)
        if not address:
            gc.collect()
            self.empty()
            address = malloc(size, self.index)
        if not address:
            raise self.out_of_memory(nbytes)
        self.counts[4] += size
        return address

    def swap(self, bins: Any) -> Any:
        """Let allocations come from other lists; returns those that they came from."""
        before, self.current[0] = self.current[0], bins
        return before

    def empty(self) -> None:
        """Give free large blocks of the main list back to the system."""
        self.runtime.synchronize(self.index)
        for size, blocks in self.main.items():
            if size > _SMALL:
                for address in blocks:
                    self.large.pop(address, None)
                    self.runtime.release(address, size, self.index)
                    self.counts[4] -= size
                blocks.clear()

    def out_of_memory(self, nbytes: int) -> OutOfMemoryError:
        """The error that says what holds the memory and what to try."""
        now, most, freed, made, reserved = self.counts
        blocks = made - freed
        free, total = self.runtime.memory_info(self.index)
        limit = f", limit {human(self.limit)}" if self.limit is not None else ""
        device = f"{self.runtime.device}:{self.index}"
        return OutOfMemoryError(
            f"[allocate] out of memory on {device}: asked for {human(nbytes)}; {human(free)} of {human(total)} free, "
            f"{human(now)} in use by {blocks} tensors' memory (at most {human(most)} so far, {human(reserved)} taken "
            f"from the system{limit}).{holders(self.runtime.device, self.index)} Use smaller batches, autocast, "
            "checkpointing, no_grad() where no gradient is needed, or free what is not needed."
        )

    def stats(self) -> dict[str, int]:
        """The counts by name, in bytes and numbers."""
        now, most, freed, ever, reserved = self.counts
        return {
            "allocated": now, "peak": most, "live": ever - freed, "allocations": ever, "reserved": reserved,
            "cached": reserved - now, "retries": self.retries,
        }  # fmt: skip


class GuardedPool(Pool):
    """Every block from the system anew, its red zones checked when it comes back: the simulator's."""

    def calls(self) -> tuple[Any, Any]:
        return (lambda nbytes, index: self.allocate(nbytes)), (
            lambda address, nbytes, index: self.free(address, nbytes)
        )

    kept: bool = False  # while a graph is captured, its blocks stay

    def swap(self, bins: Any) -> Any:
        self.kept = bins is not self.main
        return super().swap(bins)

    def allocate(self, nbytes: int) -> int:
        if self.limit is not None and self.counts[0] + nbytes > self.limit:
            raise self.out_of_memory(nbytes)
        address = self.runtime.malloc(nbytes, self.index)
        if not address:
            raise self.out_of_memory(nbytes)
        counts = self.counts
        counts[0] += nbytes
        counts[1] = max(counts[:2])
        counts[3] += 1
        counts[4] = counts[0]
        if self.kept:
            self.elsewhere[address] = self.current[0]
        return address

    def free(self, address: int, nbytes: int) -> None:
        self.counts[0] -= nbytes
        self.counts[2] += 1
        self.counts[4] = self.counts[0]
        if address in self.elsewhere:
            return
        self.runtime.release(address, nbytes, self.index)

    def empty(self) -> None:
        pass


def new_bins() -> Any:
    """Lists of free blocks of their own, for a stream or a graph."""
    return _Bins()


def make_pool(runtime: Runtime, index: int) -> Any:
    """The pool that suits a runtime."""
    return (GuardedPool if runtime.simulated else Pool)(runtime, index)
