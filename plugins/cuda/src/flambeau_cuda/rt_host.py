"""The simulator: kernels compiled by the host's C++ compiler and run on the host, device "cuda-sim".

It finds mistakes: new memory is poisoned, every allocation has red zones that are checked when it is freed, threads
run in a shuffled order (``FLAMBEAU_CUDA_SIM_SEED``), divergent barriers are errors. It is slow.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import time
from collections.abc import Callable, Sequence
from threading import RLock
from typing import Any

from .cache import KERNELS, key_of, place
from .hostcc import Text, build, compiled, compiler, stored
from .runtime import Module, Runtime

__all__ = ["HostRuntime", "text_of"]

_ZONE = 512
_PATTERN = 0xA5
_SCHEDULER = ("-O2", "-U_FORTIFY_SOURCE", "-UHOST_SIM")  # checked longjmps refuse to change stacks


class _Launch(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint) for name in ("gx", "gy", "gz", "bx", "by", "bz")),
        ("smem", ctypes.c_ulong),
        ("params", ctypes.c_void_p),
        ("rt", ctypes.c_void_p),
        ("order", ctypes.c_uint),
    )


def text_of(source: str, names: Sequence[str], options: Sequence[str]) -> Text:
    """What the host's compiler makes of a kernel; of the options it takes the level of optimisation."""
    return Text(source, names[0], next((o for o in options if o.startswith("-O")), "-O1"))


def _nothing(address: int, nbytes: int, index: int) -> None:
    """Free no memory."""


class HostRuntime(Runtime):
    """Kernels on the host; addresses are the host's."""

    device = "cuda-sim"
    simulated = True

    def __init__(self) -> None:
        self._lock = RLock()
        self._rooms: dict[int, Any] = {}
        self._count = int(os.environ.get("FLAMBEAU_CUDA_SIM_DEVICES", "1"))
        self._now = 0
        #: The device of each allocation and stream, where there are several.
        self._places: dict[int, int] = {}
        self._streams: dict[int, int] = {}
        self._entries: dict[int, Any] = {}
        self._order = int(os.environ.get("FLAMBEAU_CUDA_SIM_SEED", "0"))
        scheduler = (KERNELS / "simrt.cpp").read_text()
        path = place(key_of((scheduler, *_SCHEDULER, compiler()[1])), ".so")
        self._fibers = ctypes.CDLL(str(path if path.exists() else stored(path, build(scheduler, _SCHEDULER))))
        self._fibers.simrt_get.restype = ctypes.c_void_p
        self._fibers.simrt_failure.restype = ctypes.c_char_p
        self._fibers.simrt_seed.argtypes = (ctypes.c_uint64,)
        self._fibers.simrt_seed(self._order)
        self._rt = self._fibers.simrt_get()
        self._next = 1
        self.recording: list[Any] | None = None
        self._sizes: dict[int, int] = {}
        self._events: dict[int, float] = {}
        atexit.register(self._leave)

    def _leave(self) -> None:
        # Tensors may outlive the modules that look at red zones: from here on their memory ends with the process.
        self.release = _nothing  # type: ignore[method-assign]

    # Devices

    def device_count(self) -> int:
        return self._count

    def properties(self, index: int) -> dict[str, Any]:
        return {
            "name": f"simulated GPU ({compiler()[1]})", "major": 9, "minor": 0, "multi_processor_count": 4,
            "total_memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "warp_size": 32,
        }  # fmt: skip

    def use(self, index: int) -> None:
        self._now = index

    def index_of(self, address: int) -> int:
        return self._places.get(address, 0)

    def synchronize(self, index: int) -> None:
        pass

    # Memory

    def malloc(self, nbytes: int, index: int) -> int:
        try:
            room = ctypes.create_string_buffer(nbytes + 3 * _ZONE)
        except (MemoryError, OverflowError, ValueError):
            return 0
        start = ctypes.addressof(room)
        address = start + _ZONE + (-(start + _ZONE)) % _ZONE
        ctypes.memset(start, _PATTERN, nbytes + 3 * _ZONE)
        ctypes.memset(address, 0xFF, nbytes)
        self._rooms[address] = room
        self._places[address] = index
        return address

    def release(self, address: int, nbytes: int, index: int) -> None:
        self.check(address, nbytes)
        self._rooms.pop(address)
        self._places.pop(address)

    def check(self, address: int, nbytes: int) -> None:
        """Look at an allocation's red zones.

        Raises:
            RuntimeError: a kernel wrote beyond it.
        """
        room = self._rooms[address]
        start = ctypes.addressof(room)
        for at, n in ((start, address - start), (address + nbytes, start + len(room) - 1 - address - nbytes)):
            if ctypes.string_at(at, n) != bytes([_PATTERN]) * n:
                raise RuntimeError(f"[cuda-sim] a kernel wrote beyond an allocation of {nbytes} bytes.")

    def memory_info(self, index: int) -> tuple[int, int]:
        page = os.sysconf("SC_PAGE_SIZE")
        return page * os.sysconf("SC_AVPHYS_PAGES"), page * os.sysconf("SC_PHYS_PAGES")

    def to_device(self, address: int, host: int, nbytes: int, stream: int, wait: bool) -> None:
        ctypes.memmove(address, host, nbytes)

    def to_host(self, host: int, address: int, nbytes: int, stream: int, wait: bool) -> None:
        ctypes.memmove(host, address, nbytes)

    def across(self, to: int, source: int, nbytes: int, stream: int) -> None:
        self.do(lambda: ctypes.memmove(to, source, nbytes))

    def fill(self, address: int, byte: int, nbytes: int, stream: int) -> None:
        self.do(lambda: ctypes.memset(address, byte, nbytes))

    def do(self, work: Callable[[], Any]) -> None:
        """Do work of the host that stands for the device's; while a graph is captured it is recorded."""
        if self.recording is not None:
            self.recording.append((work, None, b""))
        else:
            work()

    def pinned(self, nbytes: int) -> tuple[int, Any]:
        room = ctypes.create_string_buffer(nbytes)
        return ctypes.addressof(room), room

    # Streams and events: everything is done when its call returns

    def _number(self) -> int:
        self._next += 1
        return self._next

    def new_stream(self, index: int, priority: int = 0) -> tuple[int, Any]:
        n = self._number()
        self._streams[n] = index
        return n, n

    def stream_synchronize(self, stream: int) -> None:
        pass

    def stream_done(self, stream: int) -> bool:
        return True

    def new_event(self, timing: bool) -> tuple[int, Any]:
        n = self._number()
        return n, n

    def record(self, event: int, stream: int) -> None:
        self._events[event] = time.perf_counter()

    def wait(self, stream: int, event: int) -> None:
        pass

    def event_synchronize(self, event: int) -> None:
        pass

    def event_done(self, event: int) -> bool:
        return True

    def elapsed(self, start: int, end: int) -> float:
        return (self._events[end] - self._events[start]) * 1e3

    # Kernels

    def compile(self, source: str, names: Sequence[str], options: Sequence[str], index: int) -> bytes:
        text = text_of(source, names, options)
        return f"{text.key} {compiled(text)}".encode()  # what is loaded is the file

    def load(self, image: bytes, names: Sequence[str], index: int) -> Module:
        key, _, path = image.decode().partition(" ")
        lib = ctypes.CDLL(path)
        functions = {}
        for name in names:
            fn = getattr(lib, f"{name}_{key}")
            fn.restype = None
            address = ctypes.cast(fn, ctypes.c_void_p).value
            assert address is not None
            functions[name] = address
            self._entries[address] = fn
        return Module(functions, lib)

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
        if not (
            0 < gx < 1 << 31 and 0 < gy < 65536 and 0 < gz < 65536 and 0 < bx * by * bz <= 1024 and bz <= 64
        ):
            raise RuntimeError(f"[cuda-sim] invalid launch: grid {gx, gy, gz}, block {bx, by, bz}.")
        if self._streams.get(stream, self._now) != self._now:
            raise RuntimeError(
                f"[cuda-sim] invalid launch: got a stream of device {self._streams[stream]}, needed: one of the "
                f"current device, {self._now}."
            )
        first = ctypes.c_void_p.from_address(params).value
        if self.recording is not None:  # recorded, not run, as on a GPU
            struct = ctypes.string_at(first or 0, self._sizes[params])
            self.recording.append((fn, (gx, gy, gz, bx, by, bz, smem), struct))
            return
        with self._lock:
            self._order += 1
            call = _Launch(gx, gy, gz, bx, by, bz, smem, first, self._rt, self._order)
            self._entries[fn](ctypes.byref(call))
            failed = self._fibers.simrt_failure()
        if failed:
            raise RuntimeError(f"[cuda-sim] {failed.decode()}")

    def note_params(self, params: int, nbytes: int) -> None:
        """Remember how large the struct behind a launch's arguments is."""
        self._sizes[params] = nbytes

    # Graphs

    def begin_capture(self, stream: Any) -> None:
        self.recording = []

    def end_capture(self, stream: Any) -> Any:
        graph, self.recording = self.recording, None
        return graph

    def replay(self, graph: Any, stream: int) -> None:
        for fn, sizes, struct in graph:
            if sizes is None:
                fn()
                continue
            room = ctypes.create_string_buffer(struct, len(struct))
            array = (ctypes.c_void_p * 1)(ctypes.addressof(room))
            gx, gy, gz, bx, by, bz, smem = sizes
            self.launch(fn, gx, gy, gz, bx, by, bz, smem, stream, ctypes.addressof(array), 0)

    # Several devices

    def communicator(self, devices: Sequence[int]) -> Any:
        from .nccl import HostCommunicator

        return HostCommunicator()

    # Products

    def blas(self, index: int) -> Any:
        from .blas import NumpyLt

        return NumpyLt(self)
