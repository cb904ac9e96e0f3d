"""A CuPy whose GPUs are the simulator: what `rt_cupy` and the pools, streams and graphs on top of it do runs on the host.

``install(devices)`` before the first use of device "cuda". Products and convolutions go to the simulator's.
"""

from __future__ import annotations

import ctypes
import sys
import time
import types
from typing import Any

from flambeau_cuda import rt_cupy
from flambeau_cuda.blas import NumpyLt
from flambeau_cuda.rt_host import HostRuntime

MEMORY = 256 << 20


class CudaError(RuntimeError):
    """CUDA's errors."""


class Device:
    """`cupy.cuda.Device`."""

    now = 0

    def __init__(self, index: int) -> None:
        self.index = index

    def use(self) -> None:
        Device.now = self.index

    def __enter__(self) -> None:
        self.before, Device.now = Device.now, self.index

    def __exit__(self, *exc: object) -> None:
        Device.now = self.before


class Gpus:
    """The state of all devices: memory, streams, events, and the graph that is being captured."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.host = HostRuntime()
        self.blocks: dict[int, tuple[int, int]] = {}
        self.used = [0] * count
        self.streams: dict[int, int] = {}
        self.events: dict[int, tuple[int, float]] = {}
        self.next = 100

    def number(self) -> int:
        self.next += 1
        return self.next

    # cupy_backends.cuda.api.runtime

    def malloc(self, nbytes: int) -> int:
        if self.used[Device.now] + nbytes > MEMORY:
            raise CudaError("cudaErrorMemoryAllocation: out of memory")
        address = self.host.malloc(nbytes, 0)
        self.blocks[address] = Device.now, nbytes
        self.used[Device.now] += nbytes
        return address

    def free(self, address: int) -> None:
        index, nbytes = self.blocks.pop(address)
        self.used[index] -= nbytes
        self.host.release(address, nbytes, 0)

    def mem_get_info(self) -> tuple[int, int]:
        return MEMORY - self.used[Device.now], MEMORY

    def memcpy_async(self, to: int, source: int, nbytes: int, kind: int, stream: int) -> None:
        assert stream in self.streams
        assert kind == 4 or self.host.recording is None
        self.host.do(lambda: ctypes.memmove(to, source, nbytes))

    def memset_async(self, address: int, byte: int, nbytes: int, stream: int) -> None:
        assert self.streams[stream] == Device.now
        self.host.do(lambda: ctypes.memset(address, byte, nbytes))

    def pointer(self, address: int) -> Any:
        for start, (index, nbytes) in self.blocks.items():
            if start <= address < start + max(nbytes, 1):
                return types.SimpleNamespace(device=index)
        raise CudaError("cudaErrorInvalidValue")

    def event_record(self, event: int, stream: int) -> None:
        assert self.events[event][0] == self.streams[stream], "an event is recorded on its device"
        self.events[event] = self.events[event][0], time.perf_counter()

    def wait_event(self, stream: int, event: int) -> None:
        assert stream in self.streams
        assert event in self.events

    def graph_launch(self, graph: Any, stream: int) -> None:
        assert self.streams[stream] == Device.now
        self.host.replay(graph, 0)

    def launch(self, fn: int, *rest: Any) -> None:
        *sizes, stream, params, extra = rest
        assert self.streams[stream] == Device.now, "a kernel is launched on a stream of the current device"
        host: Any = self.host
        host.launch(fn, *sizes, 0, params, extra)


def install(count: int = 1) -> Gpus:
    """Put the modules in place."""
    gpus = Gpus(count)
    host = gpus.host

    class Stream:
        def __init__(self, non_blocking: bool = False) -> None:
            self.ptr = gpus.number()
            gpus.streams[self.ptr] = Device.now

        def begin_capture(self, mode: Any = None) -> None:
            host.begin_capture(self)

        def end_capture(self) -> Any:
            return types.SimpleNamespace(graphExec=host.end_capture(self))

    class Event:
        def __init__(
            self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
        ) -> None:
            self.ptr = gpus.number()
            gpus.events[self.ptr] = Device.now, 0.0

    class Module:
        def load(self, image: bytes) -> None:
            self.image = image

        def get_function(self, name: str) -> Any:
            return types.SimpleNamespace(ptr=host.load(self.image, (name,), 0).functions[name])

    def nothing(*args: Any) -> int:
        return 0

    runtime = types.ModuleType("cupy_backends.cuda.api.runtime")
    vars(runtime).update(
        CUDARuntimeError=CudaError, getDeviceCount=lambda: count, driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000, malloc=gpus.malloc, free=gpus.free, memGetInfo=gpus.mem_get_info,
        memcpyAsync=gpus.memcpy_async, memsetAsync=gpus.memset_async, deviceSynchronize=nothing,
        streamSynchronize=nothing, streamQuery=nothing, streamWaitEvent=gpus.wait_event, eventRecord=gpus.event_record,
        eventQuery=nothing, eventSynchronize=nothing, deviceCanAccessPeer=lambda a, b: 1,
        eventElapsedTime=lambda a, b: (gpus.events[b][1] - gpus.events[a][1]) * 1e3,
        hostAlloc=lambda n, flags: _pinned(n), freeHost=_free_pinned,
        memcpyHostToDevice=1, memcpyDeviceToHost=2, memcpyDefault=4, pointerGetAttributes=gpus.pointer,
        graphLaunch=gpus.graph_launch,
        getDeviceProperties=lambda k: {
            "name": b"fake GPU", "major": 9, "minor": 0, "totalGlobalMem": MEMORY, "multiProcessorCount": 4,
            "warpSize": 32, "l2CacheSize": 1 << 20, "sharedMemPerBlockOptin": 232448, "maxThreadsPerBlock": 1024,
        },
    )  # fmt: skip
    driver = types.ModuleType("cupy_backends.cuda.api.driver")
    vars(driver).update(launchKernel=gpus.launch, funcSetAttribute=nothing, funcGetAttribute=nothing)
    cupy, cuda = types.ModuleType("cupy"), types.ModuleType("cupy.cuda")
    vars(cuda).update(Device=Device, Stream=Stream, Event=Event, is_available=lambda: True)
    vars(cupy).update(__version__="14.2.0", cuda=cuda)
    function = types.ModuleType("cupy.cuda.function")
    vars(function)["Module"] = Module
    api = types.ModuleType("cupy_backends.cuda.api")
    vars(api).update(runtime=runtime, driver=driver)
    sys.modules.update({
        "cupy": cupy, "cupy.cuda": cuda, "cupy.cuda.function": function, "cupy_backends": types.ModuleType("cupy_backends"),
        "cupy_backends.cuda": types.ModuleType("cupy_backends.cuda"), "cupy_backends.cuda.api": api,
        "cupy_backends.cuda.api.runtime": runtime, "cupy_backends.cuda.api.driver": driver,
    })  # fmt: skip
    real: Any = rt_cupy.CupyRuntime
    real.compile = lambda self, source, names, options, index: host.compile(source, names, options, index)
    real.note_params = lambda self, params, nbytes: host.note_params(params, nbytes)
    real.blas = lambda self, index: NumpyLt(host)
    real.dnn = lambda self, backend, index: None
    return gpus


_rooms: dict[int, Any] = {}


def _pinned(nbytes: int) -> int:
    room = ctypes.create_string_buffer(nbytes)
    _rooms[ctypes.addressof(room)] = room
    return ctypes.addressof(room)


def _free_pinned(address: int) -> None:
    del _rooms[address]
