"""NVIDIA GPUs for flambeau: device "cuda", and "cuda-sim" that runs the same kernels on the host (``flambeau.cuda``).

Importing this and asking for properties makes no context on a GPU.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import Any as _Any

from .dnn import cudnn_version
from .doors import (
    can_device_access_peer,
    current_device,
    device,
    device_count,
    device_of,
    empty_cache,
    get_arch_list,
    get_device_capability,
    get_device_name,
    get_device_properties,
    get_per_process_memory_fraction,
    get_rng_state,
    get_rng_state_all,
    init,
    initial_seed,
    ipc_collect,
    is_available,
    is_bf16_supported,
    is_initialized,
    is_pinned,
    is_tf32_supported,
    manual_seed,
    manual_seed_all,
    max_memory_allocated,
    max_memory_cached,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_cached,
    memory_reserved,
    memory_stats,
    memory_summary,
    pin_memory,
    reset_accumulated_memory_stats,
    reset_max_memory_allocated,
    reset_max_memory_cached,
    reset_peak_memory_stats,
    seed,
    seed_all,
    set_device,
    set_per_process_memory_fraction,
    set_rng_state,
    set_rng_state_all,
    synchronize,
    unavailable_reason,
)
from .errors import CompileError
from .exchange import from_cuda_array
from .graphs import CUDAGraph, graph, graph_pool_handle, is_current_stream_capturing
from .streams import (
    Event,
    ExternalStream,
    Stream,
    StreamContext,
    current_stream,
    default_stream,
    get_stream_from_external,
    record_stream,
    set_stream,
    stream,
)

__all__ = [
    "CUDAGraph", "CompileError", "Event", "ExternalStream", "Stream", "StreamContext", "can_device_access_peer",
    "cudnn_version", "current_device", "current_stream", "default_stream", "device", "device_count", "device_of",
    "empty_cache", "from_cuda_array", "get_arch_list", "get_device_capability", "get_device_name",
    "get_device_properties", "get_per_process_memory_fraction", "get_rng_state", "get_rng_state_all",
    "get_stream_from_external", "graph", "graph_pool_handle", "init", "initial_seed", "ipc_collect", "is_available",
    "is_bf16_supported", "is_current_stream_capturing", "is_initialized", "is_pinned", "is_tf32_supported",
    "manual_seed", "manual_seed_all", "max_memory_allocated", "max_memory_cached", "max_memory_reserved",
    "mem_get_info", "memory_allocated", "memory_cached", "memory_reserved", "memory_stats", "memory_summary",
    "pin_memory", "record_stream", "reset_accumulated_memory_stats", "reset_max_memory_allocated",
    "reset_max_memory_cached", "reset_peak_memory_stats", "seed", "seed_all", "set_device",
    "set_per_process_memory_fraction", "set_rng_state", "set_rng_state_all", "set_stream", "stream", "synchronize",
    "unavailable_reason",
]  # fmt: skip


def __getattr__(name: str) -> _Any:
    if name == "amp":
        return _import_module("flambeau.cuda.amp")
    if name == "nccl":
        return _import_module("flambeau_cuda.nccl")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
