"""Top-level functions that no record stands behind: making tensors from data, asking about them, threads."""

from __future__ import annotations

from typing import Any

from ._tensor import Tensor
from .devices import Device
from .registry import backend_of

__all__ = [
    "get_num_threads", "is_complex", "is_floating_point", "is_tensor", "numel", "set_num_threads",
    "synchronize", "tensor",
]  # fmt: skip


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor from data, which is copied.

    Args:
        data: a number, nested sequences of numbers, an array or a tensor.
        dtype: the element type (default: inferred).
        device: where (default: the default device).
        requires_grad: whether to record what is computed with it.

    >>> import flambeau as fb
    >>> fb.tensor([[1, 2], [3, 4]]).shape
    flambeau.Size([2, 2])
    """
    from .ops.interop import tensor as make

    return make(data, dtype, device, requires_grad)


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
