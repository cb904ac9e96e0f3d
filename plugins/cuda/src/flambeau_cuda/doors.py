"""PyTorch's ``torch.cuda`` functions: devices, memory, seeds. A GPU is touched when a function needs one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import flambeau
from flambeau.plugin import BackendError, backend_of, forget_plans, loaded_backends

from .backend import GpuBackend
from .memory import human
from .nvrtc import ARCHITECTURES

__all__ = [
    "backend_for", "can_device_access_peer", "current_device", "device", "device_count", "device_of", "empty_cache",
    "get_arch_list", "get_device_capability", "get_device_name", "get_device_properties",
    "get_per_process_memory_fraction", "get_rng_state", "get_rng_state_all", "init", "initial_seed", "ipc_collect",
    "is_available", "is_bf16_supported", "is_initialized", "is_pinned", "is_tf32_supported", "manual_seed",
    "manual_seed_all", "max_memory_allocated", "max_memory_cached", "max_memory_reserved", "mem_get_info",
    "memory_allocated", "memory_cached", "memory_reserved", "memory_stats", "memory_summary", "pin_memory", "place",
    "reset_accumulated_memory_stats", "reset_max_memory_allocated", "reset_max_memory_cached",
    "reset_peak_memory_stats", "seed", "seed_all", "set_device", "set_per_process_memory_fraction", "set_rng_state",
    "set_rng_state_all", "synchronize", "unavailable_reason",
]  # fmt: skip

#: Which device "cuda" without a number is meant by functions of this module.
_current = [0]


def backend_for(kind: str = "cuda") -> GpuBackend:
    """The loaded backend of a device type.

    Raises:
        BackendError: it can't be used; the message says why.
    """
    made = backend_of(flambeau.device(kind))
    assert isinstance(made, GpuBackend)
    return made


def place(device: Any = None) -> tuple[GpuBackend, int]:
    """The backend and number that a device argument means.

    Args:
        device: a number, a name, a device, or None for the current one.

    Raises:
        ValueError: not a CUDA device.
    """
    if device is None:
        return backend_for(), _current[0]
    if isinstance(device, int):
        device = f"cuda:{device}"
    found = flambeau.device(device)
    if found.type not in ("cuda", "cuda-sim"):
        raise ValueError(f"[cuda] Expected a cuda device, but got: {found}. Give a number or 'cuda:0'.")
    return backend_for(found.type), found.slot if found.index is not None else _current[0]


def is_available() -> bool:
    """Whether a GPU can be used. Never raises.

    >>> import flambeau as fb
    >>> isinstance(fb.cuda.is_available(), bool)
    True
    """
    return not unavailable_reason()


def unavailable_reason() -> str:
    """Why no GPU can be used and what would mend it; empty where one can."""
    from .rt_cupy import diagnose

    return diagnose()


def is_initialized() -> bool:
    """Whether the backend has been started."""
    return "cuda" in loaded_backends()


def device_count() -> int:
    """How many GPUs there are; 0 where none can be used."""
    if not is_available():
        return 0
    from .rt_cupy import count

    return count()


def current_device() -> int:
    """The number of the current device."""
    backend_for()
    return _current[0]


def set_device(device: Any) -> None:
    """Make a device the current one of this module's functions.

    Raises:
        BackendError: there is no such device.
    """
    backend, index = place(device)
    if index >= backend.device_count():
        raise BackendError(
            f"[set_device] no device cuda:{index}: got {index}, needed: a number below {backend.device_count()}."
        )
    backend.runtime.use(index)
    _current[0] = index
    named: Any = flambeau.device(backend.name)  # tensors that are created on "cuda" are created there
    if named.slot != index:
        named.home, named.slot = flambeau.device(f"{backend.name}:{index}"), index
        forget_plans()  # they were made for where the name led before


class device:
    """Context manager: a device is the current one, which ``"cuda"`` without a number means.

    Args:
        device: a number or a device; a negative number or None changes nothing.
    """

    def __init__(self, device: Any) -> None:
        self.wanted = None if isinstance(device, int) and device < 0 else device

    def __enter__(self) -> None:
        if self.wanted is not None:
            backend, index = place(self.wanted)
            self.before = f"{backend.name}:{_current[0]}"
            set_device(f"{backend.name}:{index}")

    def __exit__(self, *exc: object) -> None:
        if self.wanted is not None:
            set_device(self.before)


def synchronize(device: Any = None) -> None:
    """Wait for all work of a device.

    Raises:
        IndexError: a kernel met a bad index.
    """
    backend, index = place(device)
    backend.synchronize(index)


def get_device_properties(device: Any = None) -> Any:
    """Name, compute capability, memory and multiprocessors of a device, as attributes."""
    backend, index = place(device)
    return SimpleNamespace(**backend.properties(index))


def device_of(obj: Any) -> device:
    """Context manager: a tensor's device is the current one; that of a tensor on the host changes nothing."""
    return device(obj.device if obj.device.type != "cpu" else None)


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Whether a device reads another one's memory directly.

    Raises:
        AssertionError: there is no such device.
    """
    (backend, index), (_, other) = place(device), place(peer_device)
    for k in (index, other):
        if k >= backend.device_count():
            raise AssertionError(
                f"[can_device_access_peer] Invalid device id: got {k}, there are {backend.device_count()}."
            )
    return backend.runtime.can_access_peer(index, other)


def get_arch_list() -> list[str]:
    """The architectures that kernels are tested for; they are compiled for the GPU at hand."""
    return [f"sm_{a}" for a in ARCHITECTURES] if is_available() else []


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether kernels take bfloat16: all do; tensor cores for it begin with compute capability 8.0."""
    return including_emulation or get_device_capability()[0] >= 8


def is_tf32_supported() -> bool:
    """Whether the current device has tensor cores for TensorFloat-32."""
    return get_device_capability()[0] >= 8


def init() -> None:
    """Start the backend now, which the first use would do.

    Raises:
        BackendError: no GPU can be used.
    """
    backend_for()


def ipc_collect() -> None:
    """Nothing: memory isn't shared with other processes."""


def get_device_name(device: Any = None) -> str:
    """The name of a device."""
    return str(get_device_properties(device).name)


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Major and minor compute capability of a device."""
    found = get_device_properties(device)
    return found.major, found.minor


# Memory


def memory_stats(device: Any = None) -> dict[str, int]:
    """The counts of a device's pool, bytes and numbers: by short names, and by PyTorch's."""
    backend, index = place(device)
    stats = backend.memory_stats(index)
    ours = {
        "allocated_bytes.all.current": "allocated", "allocated_bytes.all.peak": "peak",
        "reserved_bytes.all.current": "reserved", "allocation.all.current": "live",
        "allocation.all.allocated": "allocations", "num_alloc_retries": "retries",
    }  # fmt: skip
    return stats | {name: stats.get(short, 0) for name, short in ours.items()}


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors hold."""
    return memory_stats(device)["allocated"]


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that tensors have held at a time."""
    return memory_stats(device)["peak"]


def memory_reserved(device: Any = None) -> int:
    """Bytes taken from the system."""
    return memory_stats(device)["reserved"]


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes taken from the system."""
    stats = memory_stats(device)
    return max(stats["reserved"], stats["peak"])


def reset_peak_memory_stats(device: Any = None) -> None:
    """Count the peak from now on."""
    backend, index = place(device)
    counts = backend.pools[index].counts
    counts[1] = counts[0]


memory_cached, max_memory_cached = memory_reserved, max_memory_reserved
reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats


def reset_accumulated_memory_stats(device: Any = None) -> None:
    """Count allocations from now on."""
    backend, index = place(device)
    counts = backend.pools[index].counts
    counts[2], counts[3] = 0, counts[3] - counts[2]


def empty_cache() -> None:
    """Give memory that is kept for reuse back to the system."""
    if is_initialized():
        for pool in backend_for().pools:
            pool.empty()


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Bytes free on a device and bytes in all."""
    backend, index = place(device)
    return backend.runtime.memory_info(index)


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Let tensors hold at most a part of a device's memory.

    Raises:
        ValueError: not between 0 and 1.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"[cuda] fraction must be above 0 and at most 1: got {fraction}.")
    backend, index = place(device)
    backend.pools[index].limit = int(fraction * backend.runtime.memory_info(index)[1])


def get_per_process_memory_fraction(device: Any = None) -> float:
    """The part of a device's memory that tensors may hold; 1 where none was set."""
    backend, index = place(device)
    limit = backend.pools[index].limit
    return 1.0 if limit is None else float(limit / backend.runtime.memory_info(index)[1])


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """A device's memory in words: the pool's counts, and what holds most of it.

    Args:
        abbreviated: leave out what holds it.
    """
    from .holders import report

    backend, index = place(device)
    stats = backend.memory_stats(index)
    lines = [f"{backend.name}:{index} {backend.properties(index)['name']}"]
    for name in ("allocated", "peak", "reserved", "cached"):
        lines.append(f"  {name:<12}{human(stats.get(name, 0)):>12}")
    lines.append(f"  {'tensors':<12}{stats['live']:>12}")
    lines.append(f"  {'allocations':<12}{stats['allocations']:>12}")
    if not abbreviated:
        lines += [f"  {human(n):>12}  {label}" for label, n in report(backend.name, index)[:12]]
    return "\n".join(lines)


def pin_memory(t: Any, device: Any = None) -> Any:
    """A copy of a CPU tensor in page-locked memory, from which ``to("cuda", non_blocking=True)`` doesn't wait.

    Args:
        device: for whose copies (default: the current device).

    Raises:
        RuntimeError: not a CPU tensor.
    """
    if t.device.type != "cpu":
        raise RuntimeError(f"[pin_memory] cannot pin a tensor on {t.device}: only CPU tensors can be pinned.")
    backend, _ = place(device)
    source = t.detach().contiguous()
    nbytes = source.numel() * source.element_size()
    if not nbytes:
        return source
    made = flambeau.frombuffer(backend.pinned.allocate(backend.runtime, nbytes), dtype=source.dtype)
    return made.reshape(source.shape).copy_(source)


def is_pinned(t: Any, device: Any = None) -> bool:
    """Whether a tensor lies in page-locked memory."""
    if t.device.type != "cpu" or (device is None and not is_initialized()):
        return False
    backend, _ = place(device)
    return backend.pinned.find(t.data_ptr(), t.numel() * t.element_size()) is not None


# Random numbers: one stream of seeds serves all devices


def manual_seed(seed: int) -> None:
    """Seed the default generator, which all devices share."""
    flambeau.manual_seed(seed)


manual_seed_all = manual_seed


def seed() -> None:
    """Seed the default generator from the operating system."""
    flambeau.seed()


seed_all = seed


def initial_seed() -> int:
    """The default generator's seed."""
    return flambeau.initial_seed()


def get_rng_state(device: Any = None) -> Any:
    """The default generator's state."""
    return flambeau.get_rng_state()


def get_rng_state_all() -> list[Any]:
    """The default generator's state, once for every device: they share it."""
    return [get_rng_state() for _ in range(device_count())]


def set_rng_state_all(new_states: Any) -> None:
    """Set the default generator's state to that of the first device."""
    for state in list(new_states)[:1]:
        set_rng_state(state)


def set_rng_state(new_state: Any, device: Any = None) -> None:
    """Set the default generator's state."""
    flambeau.set_rng_state(new_state)
