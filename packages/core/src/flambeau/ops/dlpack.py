"""DLPack, both ways: memory of other array libraries as tensors, and tensors as capsules.

Import reads the producer's structure with ctypes and calls its deleter when the last tensor on it dies. Export lets
NumPy make the capsule, because a capsule's destructor and deleter may run while an exception is pending or the
interpreter is going down, where a ctypes callback would lose the exception or crash; NumPy's are written in C. What
NumPy doesn't know (bfloat16, other devices' memory) is corrected in the finished structure.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, NoReturn

from .._tensor import Tensor
from ..devices import Device
from ..dtypes import BY_NAME, DTYPES, bfloat16
from ..errors import refuse
from ..layout import Spec, contiguous_strides, spec_of
from ..plan import tensor_on
from ..registry import backend_of, loaded_backends
from ..storage import Storage
from .host import host_array

if TYPE_CHECKING:
    from ..backend import Backend

__all__ = ["dlpack_device", "from_dlpack", "to_dlpack"]

#: The newest version of the protocol that is spoken.
VERSION = (1, 0)
_READ_ONLY = 1
_CPU = (1, 0)

_INT, _UINT, _FLOAT, _BFLOAT, _COMPLEX, _BOOL = 0, 1, 2, 4, 5, 6
_CODES = {"i": _INT, "u": _UINT, "f": _FLOAT, "c": _COMPLEX, "b": _BOOL}
_DTYPES = {(_BFLOAT if d is bfloat16 else _CODES[d.kind], 8 * d.itemsize): d for d in DTYPES}


class _DLDevice(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int32), ("id", ctypes.c_int32))


class _DLDataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p), ("device", _DLDevice), ("ndim", ctypes.c_int32), ("dtype", _DLDataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )  # fmt: skip


class _Legacy(ctypes.Structure):
    _fields_ = (("tensor", _DLTensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64), ("tensor", _DLTensor),
    )  # fmt: skip


_KINDS: tuple[tuple[bytes, bytes, type[_Legacy | _Versioned]], ...] = (
    (b"dltensor_versioned", b"used_dltensor_versioned", _Versioned),
    (b"dltensor", b"used_dltensor", _Legacy),
)
_ASK = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)
_FIND = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
_is_valid, _rename = (_ASK((f"PyCapsule_{name}", ctypes.pythonapi)) for name in ("IsValid", "SetName"))
_pointer = _FIND(("PyCapsule_GetPointer", ctypes.pythonapi))
_DELETER = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)


def _no(op: str, wrong: str, do: str = "") -> NoReturn:
    """Refuse an exchange, with the exception that the protocol names for it."""
    refuse(op, wrong, do=do, error=BufferError)


class _Borrowed:
    """Keeps a producer's memory alive; gives it back with the last tensor on it."""

    __slots__ = ("address", "deleter")

    def __init__(self, address: int, deleter: int | None) -> None:
        self.address = address
        self.deleter = _DELETER(deleter) if deleter else None

    def __del__(self) -> None:
        if self.deleter is not None:
            self.deleter(self.address)


def _open(capsule: Any) -> tuple[Any, bytes]:
    """The structure in a fresh capsule, and the name that marks the capsule as used."""
    for name, used, kind in _KINDS:
        if _is_valid(capsule, name):
            return kind.from_address(_pointer(capsule, name)), used
    need = "a capsule that was not consumed yet, or an object with __dlpack__"
    wrong = f"not a DLPack capsule: got {capsule!r}, needed: {need}"
    raise RuntimeError(f"[from_dlpack] {wrong}. A capsule can be consumed once only.")


def from_dlpack(source: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of another library's array.

    Memory that the producer marks as read-only is copied, because a tensor can be written to.

    Args:
        source: an object with ``__dlpack__``, or a capsule.
        device: where the tensor shall be; by default where the memory is.
        copy: True copies always; False never, even if that is an error; None where sharing is not possible.

    Raises:
        BufferError: the memory can't be shared, or its dtype or device is not known.

    >>> import numpy, flambeau as fb
    >>> fb.from_dlpack(numpy.arange(3))
    tensor([0, 1, 2])
    """
    target = None if device is None else Device(device)
    if hasattr(source, "__dlpack__"):
        kind, index = (int(part) for part in source.__dlpack_device__())
        wanted: dict[str, Any] = {"max_version": VERSION, "copy": copy}
        if target is not None and target.type == "cpu" and kind != _CPU[0]:
            wanted["dl_device"] = _CPU
        elif kind != _CPU[0]:
            wanted["stream"] = _find(kind, index, target)[0].current_stream(index)
        try:
            capsule = source.__dlpack__(**wanted)
        except TypeError:  # a producer of the protocol's first version
            capsule = source.__dlpack__(**{k: v for k, v in wanted.items() if k == "stream"})
    else:
        capsule = source
    tensor, shared = _consume(capsule, target, copy)
    if target is not None and target.type != tensor.device.type:
        if copy is False:
            wrong = f"can't share across devices: got memory on {tensor.device}, needed: {target}"
            _no("from_dlpack", wrong, "Leave out copy=False.")
        return tensor.to(target)
    return tensor.clone() if copy and shared else tensor


def _consume(capsule: Any, target: Device | None, copy: bool | None) -> tuple[Tensor, bool]:
    """The capsule's tensor, and whether it lies on the producer's memory."""
    managed, used = _open(capsule)
    if isinstance(managed, _Versioned) and managed.major != VERSION[0]:
        wrong = f"unknown version of DLPack: got {managed.major}.{managed.minor}, needed: {VERSION[0]}.x"
        _no("from_dlpack", wrong)
    source = managed.tensor
    dtype = _DTYPES.get((source.dtype.code, source.dtype.bits))
    if dtype is None or source.dtype.lanes != 1:
        got = f"type code {source.dtype.code} of {source.dtype.bits} bits and {source.dtype.lanes} lanes"
        wrong = f"no such dtype here: got {got}, needed: one of {', '.join(BY_NAME)}"
        _no("from_dlpack", wrong, "Convert it before the exchange.")
    backend, device = _find(source.device.type, source.device.id, target)
    shape = tuple(source.shape[: source.ndim])
    strides = tuple(source.strides[: source.ndim]) if source.strides else contiguous_strides(shape)
    spec = spec_of(dtype, shape, device, strides)
    low, high = spec.extent()
    nbytes = (high - low + 1) * dtype.itemsize
    address = (source.data or 0) + source.byte_offset + low * dtype.itemsize
    read_only = isinstance(managed, _Versioned) and bool(managed.flags & _READ_ONLY)
    if copy is False and read_only:
        wrong = "can't share read-only memory: a tensor can be written to"
        _no("from_dlpack", wrong, "Leave out copy=False.")
    _rename(capsule, used)
    owner = _Borrowed(ctypes.addressof(managed), managed.deleter)
    if not nbytes:
        return tensor_on(Storage.allocate(backend, 0, device), spec), False
    handle: Any = None
    if address % dtype.itemsize == 0:
        handle = backend.wrap_host(address, nbytes, owner) if source.device.type == _CPU[0] else address
    if handle is not None:
        tensor = tensor_on(Storage.wrap(handle, nbytes, device, owner), spec, -low)
        return (tensor.clone(), False) if read_only else (tensor, True)
    if copy is False:
        _no("from_dlpack", f"{device} can't use this memory in place", "Leave out copy=False.")
    mem = Storage.allocate(backend, nbytes, device)
    backend.copy_in(mem.handle, 0, memoryview((ctypes.c_char * nbytes).from_address(address)).cast("B"))
    return tensor_on(mem, spec, -low), False


def _find(kind: int, index: int, target: Device | None) -> tuple[Backend, Device]:
    """The backend that exchanges memory of a DLPack device type."""
    if kind == _CPU[0]:
        device = Device("cpu")
        return backend_of(device), device
    if target is not None and target.type != "cpu":
        backend_of(target)
    for name, backend in loaded_backends().items():
        if backend.dlpack_type == kind:
            return backend, Device(name, index)
    wrong = f"no backend for this memory: got DLPack device type {kind}, needed: one that a loaded backend exchanges"
    _no("from_dlpack", wrong, 'Name the device, e.g. device="cuda", or copy the array to the host first.')


def dlpack_device(t: Tensor) -> tuple[int, int]:
    """DLPack's device type and index of a tensor.

    Raises:
        BufferError: the device's backend doesn't exchange memory.
    """
    device = t.spec.device
    if device.type == "cpu":
        return _CPU
    kind = backend_of(device).dlpack_type
    if kind is None:
        wrong = f"memory of device {device} can't be exchanged: its backend names no DLPack device type"
        _no("__dlpack__", wrong, "Copy it with .cpu() first.")
    return kind, device.slot


def to_dlpack(
    t: Tensor,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A tensor's memory as a capsule.

    A tensor with negative strides is copied, because consumers (PyTorch among them) may crash on them.

    Args:
        stream: the stream on which the consumer will read; -1: it needs no synchronisation.
        max_version: the newest version that the consumer reads; None: it reads the old, unversioned structure.
        dl_device: where the consumer wants the memory: where it is, or on the CPU.
        copy: True copies always, False never.

    Raises:
        BufferError: the tensor requires grad or can't be exchanged in this way.
    """
    if t.requires_grad:
        wrong = "Can't export tensors that require gradient: the consumer's changes could not be recorded"
        _no("__dlpack__", wrong, "Use tensor.detach().")
    if t.spec.flipped:
        _no("__dlpack__", "Can't export tensors with the conjugate bit set", "Use tensor.resolve_conj().")
    place = dlpack_device(t)
    if dl_device is not None and tuple(dl_device) != place:
        if tuple(dl_device) != _CPU or copy is False:
            got = f"got a tensor on {t.spec.device} {place}, copy={copy}"
            need = f"needed: the same device, or the CPU {_CPU} with copying allowed"
            _no("__dlpack__", f"can't export to device {tuple(dl_device)}: {got}; {need}")
        t, place, copy = t.to("cpu"), _CPU, None
    if any(s < 0 for s in t.spec.strides):
        if copy is False:
            _no("__dlpack__", "can't export negative strides without copying", "Leave out copy=False.")
        t = t.contiguous()
    backend = backend_of(t.spec.device)
    if place != _CPU:
        if copy:
            t, copy = t.clone(), None
        if stream != -1:
            backend.wait_stream(stream, t.spec.device.slot)
    return _capsule(t, t.spec, backend, place, max_version, copy)


def _capsule(
    t: Tensor, spec: Spec, backend: Backend, place: tuple[int, int], max_version: Any, copy: bool | None
) -> Any:
    array = host_array(t, t.ptr if place != _CPU and backend.addressed else None)
    if array is None:
        _no("__dlpack__", f"memory of device {spec.device} has no address", "Copy it with .cpu() first.")
    capsule = array.__dlpack__(max_version=max_version, copy=copy)
    if spec.dtype is bfloat16 or place != _CPU:
        exported = _open(capsule)[0].tensor
        exported.device.type, exported.device.id = place
        if spec.dtype is bfloat16:
            exported.dtype.code = _BFLOAT
    return capsule
