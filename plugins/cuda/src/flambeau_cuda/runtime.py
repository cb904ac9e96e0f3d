"""What the plugin needs of a machine with a GPU: memory, streams, events, kernels, graphs.

`rt_cupy` has it on NVIDIA GPUs, `rt_host` on the host (the same kernels, compiled by the host's C++ compiler).
Addresses, streams and functions are plain integers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

__all__ = ["Module", "Runtime"]


class Module:
    """A loaded module: its functions by name, and what keeps them loaded.

    Args:
        functions: address of each kernel.
        owner: kept alive.
    """

    __slots__ = ("functions", "owner")

    def __init__(self, functions: dict[str, int], owner: Any) -> None:
        self.functions = functions
        self.owner = owner


class Runtime(ABC):
    """A way to run kernels.

    Attributes:
        device: the name of the device type.
        simulated: whether kernels run on the host.
        version: what is compiled for and with, for the keys of the cache of compiled kernels.
    """

    device: str
    simulated = False

    # Devices

    @abstractmethod
    def device_count(self) -> int:
        """How many devices there are."""

    @abstractmethod
    def properties(self, index: int) -> dict[str, Any]:
        """Name, compute capability, memory, multiprocessors of a device."""

    @abstractmethod
    def use(self, index: int) -> None:
        """Make a device the one that this thread's calls go to."""

    @abstractmethod
    def synchronize(self, index: int) -> None:
        """Wait for all work of a device."""

    # Memory

    def index_of(self, address: int) -> int:
        """The number of the device on which an address lies."""
        return 0

    @abstractmethod
    def malloc(self, nbytes: int, index: int) -> int:
        """The address of new device memory, aligned to 512 bytes, or 0 if there is none left."""

    @abstractmethod
    def release(self, address: int, nbytes: int, index: int) -> None:
        """Give memory back to the system."""

    @abstractmethod
    def memory_info(self, index: int) -> tuple[int, int]:
        """Bytes free and bytes in all."""

    @abstractmethod
    def to_device(self, address: int, host: int, nbytes: int, stream: int, wait: bool) -> None:
        """Copy from the host; without ``wait`` the host memory must be pinned and stay."""

    @abstractmethod
    def to_host(self, host: int, address: int, nbytes: int, stream: int, wait: bool) -> None:
        """Copy to the host."""

    @abstractmethod
    def across(self, to: int, source: int, nbytes: int, stream: int) -> None:
        """Copy between addresses of devices."""

    @abstractmethod
    def fill(self, address: int, byte: int, nbytes: int, stream: int) -> None:
        """Set every byte."""

    @abstractmethod
    def pinned(self, nbytes: int) -> tuple[int, Any]:
        """Page-locked host memory: its address and what keeps it."""

    # Streams and events

    @abstractmethod
    def new_stream(self, index: int, priority: int = 0) -> tuple[int, Any]:
        """A stream and what keeps it."""

    @abstractmethod
    def stream_synchronize(self, stream: int) -> None:
        """Wait for a stream."""

    @abstractmethod
    def stream_done(self, stream: int) -> bool:
        """Whether a stream has nothing left to do."""

    @abstractmethod
    def new_event(self, timing: bool) -> tuple[int, Any]:
        """An event and what keeps it."""

    @abstractmethod
    def record(self, event: int, stream: int) -> None:
        """Let an event happen when the stream gets there."""

    @abstractmethod
    def wait(self, stream: int, event: int) -> None:
        """Let a stream wait for an event."""

    @abstractmethod
    def event_synchronize(self, event: int) -> None:
        """Wait for an event."""

    @abstractmethod
    def event_done(self, event: int) -> bool:
        """Whether an event has happened."""

    @abstractmethod
    def elapsed(self, start: int, end: int) -> float:
        """Milliseconds between two events."""

    # Kernels

    @abstractmethod
    def compile(self, source: str, names: Sequence[str], options: Sequence[str], index: int) -> bytes:
        """Compile CUDA C++ for a device; from the cache where it was compiled before.

        Raises:
            CompileError: the compiler refuses it.
        """

    @abstractmethod
    def load(self, image: bytes, names: Sequence[str], index: int) -> Module:
        """Load a compiled image onto a device."""

    @abstractmethod
    def launch(
        self,
        fn: int,
        gx: int,
        gy: int,
        gz: int,
        bx: int,
        by: int,
        bz: int,
        smem: int,
        stream: int,
        params: int,
        extra: int,
    ) -> None:
        """Start a kernel; ``params`` is the address of an array of addresses of arguments."""

    def allow_shared(self, fn: int, nbytes: int) -> None:
        """Let a kernel have more dynamic shared memory than 48 KiB."""

    # Graphs

    @abstractmethod
    def begin_capture(self, stream: Any) -> None:
        """Record what is started on a stream instead of running it."""

    @abstractmethod
    def end_capture(self, stream: Any) -> Any:
        """The recorded graph."""

    @abstractmethod
    def replay(self, graph: Any, stream: int) -> None:
        """Run a recorded graph."""

    # Several devices

    def can_access_peer(self, index: int, other: int) -> bool:
        """Whether a device reads another's memory directly."""
        return True

    @abstractmethod
    def communicator(self, devices: Sequence[int]) -> Any:
        """What sums up and hands round over devices of this process (see nccl.py).

        Raises:
            RuntimeError: NCCL isn't installed.
        """

    # Products

    def dnn(self, backend: Any, index: int) -> Any:
        """The library of convolutions of a device, or None where there is none (own kernels are used)."""
        return None

    def blas(self, index: int) -> Any:
        """The library of matrix products of a device, or None where there is none (own kernels are used)."""
        return None
