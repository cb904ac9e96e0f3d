"""Exchange with NumPy and Python: arrays, sequences and numbers to tensors and back. NumPy is imported on first use.

`from_numpy`, `to_numpy` and ``__array__`` share memory where the device's memory is host memory.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from .._alias import namespace
from .._tensor import Tensor
from ..devices import Device
from ..dtypes import BY_NAME, DType, bfloat16
from ..errors import describe, refuse
from ..layout import Size, spec_of
from ..op import resolved
from ..plan import new_tensor, tensor_on
from ..registry import backend_of
from ..state import default_device, default_dtype
from ..storage import Storage
from .host import host_array, storage_type, upload
from .literals import parse

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "array", "array_namespace", "array_wrap", "as_tensor", "asarray", "from_numpy", "frombuffer", "tensor", "to_numpy",
]  # fmt: skip


#: Types of data that are surely no arrays.
_PLAIN = frozenset((bool, int, float, complex, list, tuple, range))
#: The dtypes of NumPy's, as met; a name takes NumPy far longer.
_known: dict[Any, DType] = {}

# Making tensors


def tensor(
    data: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A new tensor from data, which is copied.

    Args:
        data: a number, nested sequences of numbers, an array or a tensor.
        dtype: the element type; by default the data's own, the default dtype for Python floats, int64 for ints.
        device: where it shall be; by default the data's device if it is a tensor, else the default device.
        requires_grad: whether operations on it are recorded.

    >>> import flambeau as fb
    >>> fb.tensor([[1, 2.5], [3, 4]])
    tensor([[1.0000, 2.5000],
            [3.0000, 4.0000]])
    """
    place = _place(data, device)
    if isinstance(data, Tensor):
        made = data.detach().to(device=place, dtype=dtype or data.dtype)
        made = made.clone() if made.mem is data.mem else made
    elif type(data) not in _PLAIN and (view := _as_array(data)) is not None:
        found = _dtype_of(view)
        if not (view.flags.c_contiguous and view.dtype.isnative):
            view = view.astype(view.dtype.newbyteorder("="), order="C")
        made = upload(view.view(storage_type(found)), view.shape, found, place)
        made = made if dtype is None or dtype is found else made.to(dtype)
    elif type(data) not in _PLAIN and (
        hasattr(data, "__dlpack__") or hasattr(data, "__cuda_array_interface__")
    ):
        made = as_tensor(data).clone()
        made = made.to(device=_place(data, device, made), dtype=dtype or made.dtype)
    else:
        buffer, shape, found = parse(data, dtype)
        made = upload(buffer, shape, found, place)
    return made.requires_grad_() if requires_grad else made


def legacy(args: list[Any]) -> Tensor:
    """What ``Tensor(2, 3)`` and ``Tensor([1, 2])`` stand for."""
    first = args[0] if len(args) == 1 else None
    if isinstance(first, Tensor):
        return first
    if first is not None and not isinstance(first, (int, Size)):
        return tensor(first, dtype=default_dtype())
    sizes = first if isinstance(first, Size) else args or (0,)
    return new_tensor(spec_of(default_dtype(), tuple(sizes), default_device()))


def as_tensor(data: Any, dtype: DType | None = None, device: Any = None) -> Tensor:
    """The data as a tensor, shared where dtype and device allow it; a tensor stays recorded.

    >>> import flambeau as fb
    >>> t = fb.ones(2)
    >>> fb.as_tensor(t) is t
    True
    """
    source, _ = _adopt(data)
    if source is None:
        return tensor(data, dtype=dtype, device=device)
    return source.to(device=_place(data, device, source), dtype=dtype or source.dtype)


def asarray(
    obj: Any,
    *,
    dtype: DType | None = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Anything array-like as a tensor: a tensor, an array, a buffer, sequences, an object with ``__dlpack__`` or
    ``__cuda_array_interface__``.

    Args:
        dtype: the element type; needed for bytes and other buffers.
        copy: True copies always; False never, even if that is an error; None where sharing is not possible.

    Raises:
        ValueError: copy=False where only a copy is possible.
    """
    source, shared = _adopt(obj)
    if source is None and dtype is not None and isinstance(obj, (bytes, bytearray, memoryview)):
        source, shared = frombuffer(obj, dtype=dtype), True
    if source is None:
        made = tensor(obj, dtype=dtype, device=device)
        shared = False
    else:
        made = source.to(device=_place(obj, device, source), dtype=dtype or source.dtype)
        shared = shared and made.mem is source.mem
    if copy is False and not shared:
        wrong = f"can't alias this with copy=False: got {type(obj).__name__}"
        need = "memory that can be shared, of the same dtype and device"
        refuse("asarray", f"{wrong}; needed: {need}", do="Leave out copy=False.", error=ValueError)
    if copy and shared:
        made = made.clone()
    if made.requires_grad != requires_grad:
        made = made.detach()
    return made.requires_grad_() if requires_grad and not made.requires_grad else made


def frombuffer(
    buffer: Any, *, dtype: DType, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A 1-d tensor on the memory of an object with the buffer protocol.

    Args:
        count: how many elements; -1: as many as there are.
        offset: bytes to skip.

    Raises:
        ValueError: the buffer is too short, or its rest is not a whole number of elements.
    """
    room = memoryview(buffer).nbytes - offset
    n = room // dtype.itemsize if count < 0 else count
    if offset < 0 or n < 1 or n * dtype.itemsize > room or (count < 0 and room % dtype.itemsize):
        wrong = f"buffer size doesn't fit: got {room + offset} bytes, offset={offset}, count={count}"
        need = f"a whole number of {dtype.name} ({dtype.itemsize} bytes), at least one"
        refuse("frombuffer", f"{wrong}; needed: {need}", error=ValueError)
    made = _share(_numpy().frombuffer(buffer, storage_type(dtype), n, offset), dtype, "frombuffer")
    return made.requires_grad_() if requires_grad else made


def from_numpy(ndarray: Any) -> Tensor:
    """A tensor on the memory of an array; negative strides are kept.

    Raises:
        TypeError: not an array, or no such dtype.
        ValueError: foreign byte order, or strides between elements.

    >>> import numpy, flambeau as fb
    >>> a = numpy.arange(3.0)
    >>> t = fb.from_numpy(a)
    >>> t[0] = 7
    >>> a
    array([7., 1., 2.])
    """
    if not isinstance(ndarray, _numpy().ndarray):
        wrong = f"expected np.ndarray: got {type(ndarray).__name__}"
        refuse("from_numpy", wrong, do="Use tensor() for other data.", error=TypeError)
    dtype = _dtype_of(ndarray)
    trouble = _trouble(ndarray)
    if trouble is not None:
        do = "Copy it first with array.astype(...) or array.copy()."
        refuse("from_numpy", trouble, do=do, error=ValueError)
    return _share(ndarray, dtype, "from_numpy")


def _adopt(data: Any) -> tuple[Tensor | None, bool]:
    """The data as a tensor and whether it lies on the data's own memory; None: it is no tensor or array."""
    if isinstance(data, Tensor):
        return data, True
    if type(data) in _PLAIN:
        return None, False
    view = _as_array(data)
    if view is None and hasattr(data, "__dlpack__"):
        from .dlpack import from_dlpack

        return from_dlpack(data), True
    if view is None and hasattr(data, "__cuda_array_interface__"):
        return namespace("cuda").from_cuda_array(data), True
    if view is None:
        return None, False
    dtype = _dtype_of(view)
    if _trouble(view) is None:
        return _share(view, dtype, "asarray"), view is data
    return _share(view.astype(view.dtype.newbyteorder("=")), dtype, "asarray"), False


def _as_array(data: Any) -> Any:
    """A NumPy array or scalar, or what turns itself into one unless it speaks DLPack, as an array; else None."""
    if hasattr(data, "__array_interface__") or (
        hasattr(data, "__array__") and not hasattr(data, "__dlpack__")
    ):
        return _numpy().asarray(data)
    return None


def _share(ndarray: Any, dtype: DType, op: str) -> Tensor:
    """A tensor on the memory of an array without trouble; warns in the name of ``op`` if it is read-only."""
    if op and not ndarray.flags.writeable:
        wrong = (
            "the array is not writable: tensors know no read-only memory, so writing to this one is undefined"
        )
        warnings.warn(f"[{op}] {wrong}. Use tensor(array) for a copy.", UserWarning, stacklevel=3)
    device = Device("cpu")
    backend = backend_of(device)
    size = dtype.itemsize
    spec = spec_of(dtype, ndarray.shape, device, tuple(s // size for s in ndarray.strides))
    low, high = (0, spec.numel - 1) if spec.dense else spec.extent()
    nbytes = (high - low + 1) * size
    handle = None
    if nbytes:
        handle = backend.wrap_host(ndarray.__array_interface__["data"][0] + low * size, nbytes, ndarray)
    if handle is None:
        data = _numpy().ascontiguousarray(ndarray).reshape(-1).view(_numpy().uint8)
        return upload(data, ndarray.shape, dtype, device)
    return tensor_on(Storage.wrap(handle, nbytes, device, ndarray), spec, -low)


def _place(data: Any, device: Any, source: Tensor | None = None) -> Device:
    """The device asked for; else a tensor's own, that of memory off the host, or the default device."""
    if device is not None:
        return Device(device)
    if isinstance(data, Tensor):
        return data.device
    return default_device() if source is None or source.device.type == "cpu" else source.device


# To NumPy


def to_numpy(t: Tensor, *, force: bool = False) -> np.ndarray[Any, Any]:
    """A tensor as an array on the same memory.

    Args:
        force: detach and copy to the host where that is needed; the array may then have its own memory.

    Raises:
        RuntimeError: the tensor requires grad.
        TypeError: its memory is not host memory, or NumPy has no such dtype (bfloat16 needs ``ml_dtypes``).

    >>> import flambeau as fb
    >>> fb.ones(2).numpy()
    array([1., 1.], dtype=float32)
    """
    if force:
        t = resolved(t.detach())
        if t.spec.device.type != "cpu":
            t = t.to("cpu")
    elif t.requires_grad:
        wrong = "Can't call numpy() on Tensor that requires grad: changes of the array could not be recorded"
        refuse("numpy", wrong, do="Use tensor.detach().numpy() instead.")
    if t.spec.dtype is bfloat16:
        _bfloat16()
    words = host_array(t)
    if words is None:
        wrong = f"can't convert {t.spec.device.type} device type tensor to numpy: got {describe(t)}"
        do = "Use Tensor.cpu() to copy it first."
        refuse("numpy", f"{wrong}, needed: host memory", do=do, error=TypeError)
    made: np.ndarray[Any, Any] = words.view(_bfloat16()) if t.spec.dtype is bfloat16 else words
    return made


def array(t: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
    """A tensor as an array: NumPy's ``__array__`` protocol."""
    made = to_numpy(t)
    if dtype is not None and made.dtype != dtype:
        if copy is False:
            wrong = f"can't convert without copying: got {made.dtype}, needed: {dtype}"
            refuse("__array__", wrong, do="Leave out copy=False.", error=ValueError)
        return made.astype(dtype)
    return made.copy() if copy else made


def array_wrap(t: Tensor, result: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
    """A ufunc's result on a tensor, as a tensor: NumPy's ``__array_wrap__`` protocol."""
    return from_numpy(_numpy().asarray(result))


def array_namespace(t: Tensor, /, *, api_version: str | None = None) -> Any:
    """The namespace of the Python Array API standard: `flambeau.array_api`."""
    array_api = namespace("array_api")
    if api_version not in (None, *array_api.info.VERSIONS):
        known = ", ".join(array_api.info.VERSIONS)
        wrong = f"got api_version={api_version!r}; needed: one of {known}"
        refuse("__array_namespace__", wrong, do="Leave it out.", error=ValueError)
    return array_api


# What arrays are


def _numpy() -> Any:
    import numpy

    return numpy


def _bfloat16() -> Any:
    try:
        import ml_dtypes
    except ImportError:
        raise TypeError(
            "[numpy] Got unsupported ScalarType BFloat16: NumPy has no bfloat16 of its own. "
            "Convert it with .float() first, or pip install ml_dtypes."
        ) from None
    return ml_dtypes.bfloat16


def _dtype_of(ndarray: Any) -> DType:
    found = _known.get(ndarray.dtype)
    if found is None:
        found = BY_NAME.get(ndarray.dtype.name)
        if found is None:
            wrong = f"can't convert np.ndarray of type {ndarray.dtype}: needed: one of {', '.join(BY_NAME)}"
            refuse("from_numpy", wrong, do="Convert it first with astype.", error=TypeError)
        _known[ndarray.dtype] = found
    return found


def _trouble(ndarray: Any) -> str | None:
    """What forbids a tensor on an array's memory."""
    if not ndarray.dtype.isnative:
        return f"array has byte order different from the native byte order: got dtype {ndarray.dtype.str}"
    if any(s % ndarray.dtype.itemsize for s in ndarray.strides):
        return f"array strides are not a multiple of the element size: got {ndarray.strides} bytes"
    if not ndarray.flags.aligned:
        return "array is not aligned to its element size"
    return None
