"""Values between tensors and host memory: Python numbers, bytes, and arrays on a tensor's own memory."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Any

from .._tensor import Tensor
from ..devices import Device
from ..dtypes import DTYPES, DType, bfloat16
from ..errors import describe, refuse
from ..layout import spec_of
from ..op import resolved, unflipped
from ..plan import Table, tensor_on
from ..registry import backend_of
from ..storage import Storage
from .literals import nest, unpack

__all__ = ["data_ptr", "host_array", "host_bytes", "item", "storage_type", "tolist", "upload"]

#: How the first element of a buffer is read; other dtypes go through `unpack`.
_FIRST: dict[DType, Callable[[Any], tuple[Any, ...]]] = {
    d: struct.Struct(d.format).unpack_from for d in DTYPES if len(d.format) == 1
}
#: How a tensor's only element is read where the host sees the memory, by spec.
_readers = Table()
#: The names that NumPy's array interface has for dtypes; bfloat16 goes as its bits.
_TYPESTRS: dict[DType, str] = {
    d: ("<" if sys.byteorder == "little" else ">") + ("u2" if d is bfloat16 else f"{d.kind}{d.itemsize}")
    for d in DTYPES
}


def upload(buffer: Any, shape: tuple[int, ...], dtype: DType, device: Device) -> Tensor:
    """A new dense tensor with the contents of a contiguous host buffer."""
    backend = backend_of(device)
    spec = spec_of(dtype, shape, device)
    mem = Storage.allocate(backend, spec.nbytes, device)
    if spec.nbytes:
        backend.copy_in(mem.handle, 0, buffer)
    return tensor_on(mem, spec)


def host_bytes(t: Tensor) -> Any:
    """A tensor's values in row-major order as a bytes-like object on the host.

    Raises:
        NotImplementedError: a meta tensor, which holds none (PyTorch's exception type for it).
    """
    spec = t.spec
    if spec.device.type == "meta":
        wrong = f"Cannot copy out of meta tensor; no data: got {describe(t)}"
        refuse("tolist", wrong, do="Use empty_like(t, device=...) for memory.", error=NotImplementedError)
    if not spec.numel:
        return b""
    if not spec.dense:
        t = t.detach().contiguous()
    return backend_of(spec.device).copy_out(t.mem.handle, t.offset * spec.itemsize, spec.nbytes)


def tolist(t: Tensor) -> Any:
    """A tensor as nested lists of Python numbers; a 0-d tensor as one number.

    >>> import flambeau as fb
    >>> fb.tensor([[1, 2], [3, 4]]).tolist()
    [[1, 2], [3, 4]]
    """
    return nest(unpack(host_bytes(t), t.spec.dtype), t.spec.shape)


def item(t: Tensor) -> Any:
    """The value of a tensor of one element as a Python number.

    Raises:
        RuntimeError: another number of elements, or a meta tensor.
    """
    spec = t.spec
    read = _readers.get(spec)
    if read is not None:
        return read(t.ptr).value
    if spec.numel != 1:
        wrong = f"a Tensor with {spec.numel} elements cannot be converted to Scalar: got {describe(t)}"
        refuse("item", f"{wrong}, needed: one element", do="Index it, or use tolist().")
    if spec.device.type == "meta":
        raise RuntimeError("[item] Tensor.item() cannot be called on meta tensors: they hold no values.")
    if spec.flipped:
        return item(resolved(t.detach()))
    backend = backend_of(spec.device)
    if backend.addressed and backend.host_visible and not backend.asynchronous:
        import ctypes

        name = {"float32": "float", "float64": "double"}.get(spec.dtype.name, spec.dtype.name)
        if hasattr(ctypes, "c_" + name):
            _readers.keep(spec, getattr(ctypes, "c_" + name).from_address)
    data = backend.copy_out(t.mem.handle, t.offset * spec.itemsize, spec.itemsize)
    first = _FIRST.get(spec.dtype)
    return first(data)[0] if first is not None else unpack(data, spec.dtype)[0]


def data_ptr(t: Tensor) -> int:
    """The address of a tensor's first element; 0 where the host has none for it."""
    if not t.spec.numel:
        return 0
    if isinstance(t.ptr, int):
        return t.ptr
    view = backend_of(t.spec.device).host_buffer(t.mem)
    if view is None:
        return 0
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(view)) + t.offset * t.spec.itemsize


class _Exposed:
    """What an array on a tensor's memory keeps alive."""

    __slots__ = ("__array_interface__", "mem")

    def __init__(self, mem: Storage, interface: dict[str, Any]) -> None:
        self.mem = mem
        self.__array_interface__ = interface


def host_array(t: Tensor, address: int | None = None) -> Any:
    """A tensor's memory as an array (bfloat16 as uint16), or None where it isn't host memory.

    Args:
        address: where the first element lies, for memory that isn't host memory (nobody may read the array then).
    """
    import numpy as np

    spec = t.spec
    unflipped(spec, "numpy")
    if not spec.numel:
        return None if spec.device.type == "meta" else np.empty(spec.shape, storage_type(spec.dtype))
    if address is None:
        backend = backend_of(spec.device)
        if backend.host_buffer(t.mem) is None:
            return None
        if backend.asynchronous:
            backend.synchronize(spec.device.slot)
        address = data_ptr(t)
    interface = {
        "version": 3,
        "typestr": _TYPESTRS[spec.dtype],
        "shape": tuple(spec.shape),
        "strides": None if spec.dense else tuple(s * spec.itemsize for s in spec.strides),
        "data": (address, False),
    }
    return np.asarray(_Exposed(t.mem, interface))


def storage_type(dtype: DType) -> str:
    """The name of the NumPy type that holds a dtype's bits."""
    return "uint16" if dtype is bfloat16 else dtype.name
