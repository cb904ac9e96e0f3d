"""Top-level functions that no record stands behind: asking about tensors, threads."""

from __future__ import annotations

from typing import Any

from ._tensor import Tensor
from .devices import Device
from .registry import backend_of

__all__ = [
    "are_deterministic_algorithms_enabled", "compile", "get_num_threads", "is_complex", "is_floating_point",
    "is_tensor", "numel", "set_num_threads", "synchronize", "use_deterministic_algorithms",
]  # fmt: skip

_asked = {"deterministic": False}


def is_tensor(obj: Any) -> bool:
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether a tensor's dtype is a floating-point type."""
    return input.is_floating_point()


def is_complex(input: Tensor) -> bool:
    """Whether a tensor's dtype is complex."""
    return input.is_complex()


def numel(input: Tensor) -> int:
    """The number of a tensor's elements."""
    return input.numel()


def set_num_threads(n: int) -> None:
    """Set how many threads kernels on the CPU use; results don't depend on it."""
    backend_of(Device("cpu")).set_num_threads(n)


def get_num_threads() -> int:
    """How many threads kernels on the CPU use."""
    return backend_of(Device("cpu")).get_num_threads()


def synchronize(device: Any = "cpu") -> None:
    """Wait for all work of a device."""
    device = Device(device)
    backend_of(device).synchronize(device.slot)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for deterministic results; all results are, whatever is asked."""
    _asked["deterministic"] = bool(mode)


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was last told."""
    return _asked["deterministic"]


def compile(model: Any = None, **options: Any) -> Any:
    """The model or function itself: operators are compiled where they are defined, nothing is left to do here.

    Args:
        model: a module or function; without it, a decorator.
        options: PyTorch's, not used.
    """
    return (lambda fn: fn) if model is None else model
