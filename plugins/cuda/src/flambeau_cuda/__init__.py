"""NVIDIA GPUs for flambeau: device "cuda", and "cuda-sim" that runs the same kernels on the host (``flambeau.cuda``).

Importing this and asking for properties makes no context on a GPU.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import Any as _Any

from .dnn import cudnn_version
from .doors import (
    current_device,
    device,
    device_count,
    empty_cache,
    get_device_capability,
    get_device_name,
    get_device_properties,
    get_rng_state,
    initial_seed,
    is_available,
    is_initialized,
    manual_seed,
    manual_seed_all,
    max_memory_allocated,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_reserved,
    memory_stats,
    memory_summary,
    pin_memory,
    reset_peak_memory_stats,
    seed,
    set_device,
    set_per_process_memory_fraction,
    set_rng_state,
    synchronize,
    unavailable_reason,
)
from .errors import CompileError
from .exchange import from_cuda_array
from .graphs import CUDAGraph, graph, is_current_stream_capturing
from .streams import Event, Stream, current_stream, default_stream, set_stream, stream

__all__ = [
    "CUDAGraph", "CompileError", "Event", "Stream", "cudnn_version", "current_device", "current_stream",
    "default_stream", "device", "device_count", "empty_cache", "from_cuda_array", "get_device_capability",
    "get_device_name", "get_device_properties", "get_rng_state", "graph", "initial_seed", "is_available",
    "is_current_stream_capturing", "is_initialized", "manual_seed", "manual_seed_all", "max_memory_allocated",
    "max_memory_reserved", "mem_get_info", "memory_allocated", "memory_reserved", "memory_stats", "memory_summary",
    "pin_memory", "reset_peak_memory_stats", "seed", "set_device", "set_per_process_memory_fraction",
    "set_rng_state", "set_stream", "stream", "synchronize", "unavailable_reason",
]  # fmt: skip


def __getattr__(name: str) -> _Any:
    if name == "amp":
        return _import_module("flambeau.cuda.amp")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
