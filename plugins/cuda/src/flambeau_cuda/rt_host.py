"""The simulator: kernels compiled by the host's C++ compiler and run on the host, device "cuda-sim".

It finds mistakes: new memory is poisoned, every allocation has red zones that are checked when it is freed, threads
run in a shuffled order (``FLAMBEAU_CUDA_SIM_SEED``), divergent barriers are errors. It is slow.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any

from flambeau.plugin import DeviceUnavailable

from .cache import KERNELS, cached
from .errors import CompileError
from .runtime import Module, Runtime

__all__ = ["HostRuntime"]

_ZONE = 512
_PATTERN = 0xA5
_FLAGS = (
    "-x",
    "c++",
    "-std=c++17",
    "-DHOST_SIM",
    "-fPIC",
    "-shared",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-w",
)


class _Launch(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint) for name in ("gx", "gy", "gz", "bx", "by", "bz")),
        ("smem", ctypes.c_ulong),
        ("params", ctypes.c_void_p),
        ("rt", ctypes.c_void_p),
        ("order", ctypes.c_uint),
    )


@cache
def compiler() -> tuple[str, str]:
    """The host's C++ compiler and its version.

    Raises:
        DeviceUnavailable: there is none.
    """
    for name in (os.environ.get("CXX"), "g++", "clang++", "c++"):
        path = shutil.which(name) if name else None
        if path:
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
            return path, said.partition("\n")[0]
    raise DeviceUnavailable(
        "[device] device 'cuda-sim' needs a C++17 compiler on the PATH: got none of $CXX, g++, clang++, c++. "
        "Install g++."
    )


def _build(source: str, options: Sequence[str]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "k.so"
        command = [compiler()[0], *_FLAGS, *options, f"-I{KERNELS}", "-o", str(out), "-", "-lm"]
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CompileError(
                f"[cuda-sim] {compiler()[0]} refuses a kernel:\n{done.stderr[:4000]}\n{source}"
            )
        return out.read_bytes()


def _nothing(address: int, nbytes: int, index: int) -> None:
    """Free no memory."""


class HostRuntime(Runtime):
    """Kernels on the host; addresses are the host's."""

    device = "cuda-sim"
    simulated = True

    def __init__(self) -> None:
        self._lock = RLock()
        self._rooms: dict[int, Any] = {}
        self._loaded: list[Any] = []
        self._entries: dict[int, Any] = {}
        self._order = int(os.environ.get("FLAMBEAU_CUDA_SIM_SEED", "0"))
        image, path = cached(
            ".so", ((KERNELS / "simrt.cpp").read_text(), compiler()[1]), self._build_scheduler
        )
        self._fibers = self._open(image, path)
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

    @staticmethod
    def _build_scheduler() -> bytes:
        return _build((KERNELS / "simrt.cpp").read_text(), ("-O1", "-U_FORTIFY_SOURCE", "-UHOST_SIM"))

    def _open(self, image: bytes, path: Path | None) -> Any:
        if path is not None:
            lib = ctypes.CDLL(str(path))
        else:
            with tempfile.NamedTemporaryFile(suffix=".so") as file:
                file.write(image)
                file.flush()
                lib = ctypes.CDLL(file.name)
        self._loaded.append(lib)
        return lib

    # Devices

    def device_count(self) -> int:
        return 1

    def properties(self, index: int) -> dict[str, Any]:
        return {
            "name": f"simulated GPU ({compiler()[1]})", "major": 9, "minor": 0, "multi_processor_count": 4,
            "total_memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "warp_size": 32,
        }  # fmt: skip

    def use(self, index: int) -> None:
        pass

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
        return address

    def release(self, address: int, nbytes: int, index: int) -> None:
        self.check(address, nbytes)
        self._rooms.pop(address)

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
        flags = tuple(o for o in options if o.startswith("-O")) or ("-O1",)
        image, path = cached(".so", (source, *flags, *_FLAGS, compiler()[1]), lambda: _build(source, flags))
        # What is loaded is the file; the image stands for it.
        return str(path).encode() if path is not None else image

    def load(self, image: bytes, names: Sequence[str], index: int) -> Module:
        path = Path(os.fsdecode(image)) if image.startswith(b"/") else None
        lib = self._open(image, path)
        functions = {}
        for name in names:
            fn = getattr(lib, name)
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

    # Products

    def blas(self, index: int) -> Any:
        from .blas import NumpyLt

        return NumpyLt(self)
