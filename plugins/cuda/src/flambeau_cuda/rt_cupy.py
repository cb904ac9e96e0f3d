"""The runtime of NVIDIA GPUs: context, streams, memory, modules, launches and graphs through CuPy.

The only module that imports CuPy. CuPy is not used as an array library.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from .errors import Unavailable
from .nvrtc import compile_for
from .runtime import Module, Runtime

__all__ = ["CUPY_NAMES", "CupyRuntime", "diagnose"]

#: Every name of CuPy that is used: (module, attribute); a test looks them up.
CUPY_NAMES = (
    ("cupy.cuda", "Device"), ("cupy.cuda", "is_available"), ("cupy.cuda", "Stream"), ("cupy.cuda", "Event"),
    ("cupy.cuda.function", "Module"), ("cupy_backends.cuda.api.driver", "launchKernel"),
    ("cupy_backends.cuda.api.driver", "funcGetAttribute"), ("cupy_backends.cuda.api.driver", "funcSetAttribute"),
    *(
        ("cupy_backends.cuda.api.runtime", name)
        for name in (
            "malloc", "free", "memcpy", "memcpyAsync", "memsetAsync", "memGetInfo", "getDeviceCount",
            "getDeviceProperties",
            "deviceSynchronize",
            "streamSynchronize", "streamQuery", "streamWaitEvent", "eventRecord", "eventQuery",
            "eventSynchronize", "eventElapsedTime", "hostAlloc", "freeHost", "driverGetVersion", "runtimeGetVersion",
            "memcpyHostToDevice", "memcpyDeviceToHost", "memcpyDefault", "CUDARuntimeError",
            "pointerGetAttributes", "graphLaunch", "deviceCanAccessPeer",
        )
    ),
)  # fmt: skip
#: Further properties under PyTorch's names; not every version of CUDA tells them all.
_PROPERTIES = {
    "max_threads_per_multi_processor": "maxThreadsPerMultiProcessor", "max_threads_per_block": "maxThreadsPerBlock",
    "regs_per_multiprocessor": "regsPerMultiprocessor", "shared_memory_per_block": "sharedMemPerBlock",
    "shared_memory_per_multiprocessor": "sharedMemPerMultiprocessor", "is_integrated": "integrated",
    "is_multi_gpu_board": "isMultiGpuBoard", "memory_bus_width": "memoryBusWidth", "pci_bus_id": "pciBusID",
    "pci_device_id": "pciDeviceID", "pci_domain_id": "pciDomainID", "clock_rate": "clockRate",
    "memory_clock_rate": "memoryClockRate",
}  # fmt: skip
_INSTALL = "pip install 'flambeau[cuda13]' (driver 580 or newer) or 'flambeau[cuda12]'"


@cache
def wheels() -> tuple[str, ...]:
    """The wheels of CuPy that are installed; they share one folder."""
    return tuple(name for name in ("cupy-cuda12x", "cupy-cuda13x", "cupy") if _installed(name))


def _installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def diagnose() -> str:
    """Why no GPU can be used, and what would mend it; empty where one can."""
    found = wheels()
    if len(found) > 1:
        return (
            f"{' and '.join(found)} are installed, whose files overwrite each other. Remove them (pip uninstall -y "
            f"{' '.join(found)}) and install one: {_INSTALL}."
        )
    try:
        import cupy
        from cupy_backends.cuda.api import runtime
    except Exception as error:  # its libraries may be broken in any way
        return f"CuPy can't be imported ({error}). Install it: {_INSTALL}."
    major = int(cupy.__version__.partition(".")[0])
    if major < 14:
        return f"CuPy is too old: got {cupy.__version__}, needed: 14. Install it: {_INSTALL}."
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        text = str(error)
        if "InsufficientDriver" in text:
            driver = _driver_version()
            got = f"the driver speaks CUDA {driver}" if driver else "no NVIDIA driver is loaded"
            wants = runtime.runtimeGetVersion()
            return (
                f"{got}, this CuPy needs CUDA {wants // 1000}.{wants % 1000 // 10} ({text}). Install or update the "
                f"NVIDIA driver, or the wheels for it: {_INSTALL}."
            )
        if "NoDevice" in text:
            return f"the NVIDIA driver sees no GPU ({text}). Check nvidia-smi and CUDA_VISIBLE_DEVICES."
        return f"CUDA fails ({text}). Check nvidia-smi; a lost GPU needs a restart of the machine."
    return "" if count else "the NVIDIA driver sees no GPU. Check nvidia-smi and CUDA_VISIBLE_DEVICES."


def _driver_version() -> str:
    try:
        from cupy_backends.cuda.api import runtime

        v = runtime.driverGetVersion()
    except Exception:  # whatever is wrong with the driver, the caller says so
        return ""
    return f"{v // 1000}.{v % 1000 // 10}" if v else ""


class CupyRuntime(Runtime):
    """NVIDIA GPUs.

    Raises:
        Unavailable: there is none that can be used.
    """

    device = "cuda"

    def __init__(self) -> None:
        trouble = diagnose()
        if trouble:
            raise Unavailable(trouble)
        import cupy
        from cupy_backends.cuda.api import driver, runtime

        self.cupy, self.api = cupy, runtime
        self.launch = driver.launchKernel  # type: ignore[method-assign]
        self._count = int(runtime.getDeviceCount())
        self._props: dict[int, dict[str, Any]] = {}
        self._ready: set[int] = set()

    # Devices

    def device_count(self) -> int:
        return self._count

    def properties(self, index: int) -> dict[str, Any]:
        found = self._props.get(index)
        if found is None:
            raw = self.api.getDeviceProperties(index)
            found = self._props[index] = {
                "name": raw["name"].decode(),
                "major": int(raw["major"]),
                "minor": int(raw["minor"]),
                "total_memory": int(raw["totalGlobalMem"]),
                "multi_processor_count": int(raw["multiProcessorCount"]),
                "warp_size": int(raw["warpSize"]),
                "l2_cache_size": int(raw["l2CacheSize"]),
                "L2_cache_size": int(raw["l2CacheSize"]),
                "shared_memory_per_block_optin": int(raw["sharedMemPerBlockOptin"]),
                "uuid": raw.get("uuid"),
            }
            found |= {name: int(raw[theirs]) for name, theirs in _PROPERTIES.items() if theirs in raw}
        return found

    def use(self, index: int) -> None:
        self.cupy.cuda.Device(index).use()
        if index not in self._ready:
            self.api.memGetInfo()  # makes and binds the context
            self._ready.add(index)

    def synchronize(self, index: int) -> None:
        with self.cupy.cuda.Device(index):
            self.api.deviceSynchronize()

    # Memory

    def malloc(self, nbytes: int, index: int) -> int:
        with self.cupy.cuda.Device(index):
            try:
                return int(self.api.malloc(nbytes))
            except self.api.CUDARuntimeError as error:
                if "MemoryAllocation" in str(error) or "out of memory" in str(error):
                    return 0
                raise

    def release(self, address: int, nbytes: int, index: int) -> None:
        self.api.free(address)

    def memory_info(self, index: int) -> tuple[int, int]:
        with self.cupy.cuda.Device(index):
            free, total = self.api.memGetInfo()
        return int(free), int(total)

    def to_device(self, address: int, host: int, nbytes: int, stream: int, wait: bool) -> None:
        self.api.memcpyAsync(address, host, nbytes, self.api.memcpyHostToDevice, stream)
        if wait:
            self.api.streamSynchronize(stream)

    def to_host(self, host: int, address: int, nbytes: int, stream: int, wait: bool) -> None:
        self.api.memcpyAsync(host, address, nbytes, self.api.memcpyDeviceToHost, stream)
        if wait:
            self.api.streamSynchronize(stream)

    def across(self, to: int, source: int, nbytes: int, stream: int) -> None:
        self.api.memcpyAsync(to, source, nbytes, self.api.memcpyDefault, stream)

    def fill(self, address: int, byte: int, nbytes: int, stream: int) -> None:
        self.api.memsetAsync(address, byte, nbytes, stream)

    def pinned(self, nbytes: int) -> tuple[int, Any]:
        address = int(self.api.hostAlloc(max(nbytes, 1), 0))
        return address, _Pinned(address, self.api)

    # Streams and events

    def new_stream(self, index: int, priority: int = 0) -> tuple[int, Any]:
        with self.cupy.cuda.Device(index):
            stream = self.cupy.cuda.Stream(non_blocking=True)
        return int(stream.ptr), stream

    def stream_synchronize(self, stream: int) -> None:
        self.api.streamSynchronize(stream)

    def stream_done(self, stream: int) -> bool:
        return int(self.api.streamQuery(stream)) == 0

    def new_event(self, timing: bool) -> tuple[int, Any]:
        event = self.cupy.cuda.Event(disable_timing=not timing)
        return int(event.ptr), event

    def record(self, event: int, stream: int) -> None:
        self.api.eventRecord(event, stream)

    def wait(self, stream: int, event: int) -> None:
        self.api.streamWaitEvent(stream, event)

    def event_synchronize(self, event: int) -> None:
        self.api.eventSynchronize(event)

    def event_done(self, event: int) -> bool:
        return int(self.api.eventQuery(event)) == 0

    def elapsed(self, start: int, end: int) -> float:
        return float(self.api.eventElapsedTime(start, end))

    # Kernels

    def architecture(self, index: int) -> str:
        """The compute capability as NVRTC names it."""
        p = self.properties(index)
        return f"{p['major']}{p['minor']}"

    def compile(self, source: str, names: Sequence[str], options: Sequence[str], index: int) -> bytes:
        return compile_for(self.architecture(index), source, options)

    def load(self, image: bytes, names: Sequence[str], index: int) -> Module:
        from cupy.cuda.function import Module as Loaded
        from cupy_backends.cuda.api import driver

        self.use(index)
        module = Loaded()
        module.load(image)
        functions = {}
        for name in names:
            functions[name] = int(module.get_function(name).ptr)
            # Asking for an attribute loads the kernel now; its first launch may be inside of a captured graph.
            driver.funcGetAttribute(0, functions[name])
        return Module(functions, module)

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
        """Replaced by CuPy's own function when the runtime is made."""
        raise AssertionError

    def allow_shared(self, fn: int, nbytes: int) -> None:
        from cupy_backends.cuda.api import driver

        driver.funcSetAttribute(fn, 8, nbytes)  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES

    # Graphs

    def index_of(self, address: int) -> int:
        """The number of the device on which an address lies."""
        return int(self.api.pointerGetAttributes(address).device)

    def begin_capture(self, stream: Any) -> None:
        stream.begin_capture()

    def end_capture(self, stream: Any) -> Any:
        return stream.end_capture()

    def replay(self, graph: Any, stream: int) -> None:
        from cupy_backends.cuda.api import runtime

        runtime.graphLaunch(graph.graphExec, stream)

    # Several devices

    def can_access_peer(self, index: int, other: int) -> bool:
        return index == other or bool(self.api.deviceCanAccessPeer(index, other))

    def communicator(self, devices: Sequence[int]) -> Any:
        try:
            from cupy.cuda import nccl
        except ImportError as error:
            raise RuntimeError(
                f"[nccl] NCCL can't be loaded: {error}. Install it: pip install nvidia-nccl-cu13 (or -cu12)."
            ) from None
        from .nccl import NcclCommunicator

        return NcclCommunicator(nccl, list(devices))

    # Products

    def dnn(self, backend: Any, index: int) -> Any:
        from .dnn import open_cudnn

        return open_cudnn(backend, index)

    def blas(self, index: int) -> Any:
        from .blas import CublasLt

        return CublasLt(self, index)


class _Pinned:
    """Page-locked memory, given back with the last reference."""

    def __init__(self, address: int, api: Any) -> None:
        self.address, self.api = address, api

    def __del__(self) -> None:
        self.api.freeHost(self.address)


def count() -> int:
    """How many GPUs there are."""
    from cupy_backends.cuda.api import runtime

    return int(runtime.getDeviceCount())
