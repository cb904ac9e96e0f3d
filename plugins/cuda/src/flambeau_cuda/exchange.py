"""``__cuda_array_interface__``, both ways (version 3: Numba's documentation of CUDA arrays). DLPack is the core's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau import device
from flambeau.plugin import DTYPES, Storage, backend_of, spec_of, tensor_on

from .doors import backend_for

if TYPE_CHECKING:
    from flambeau import Tensor

    from .backend import GpuBackend

__all__ = ["cuda_array_interface", "describe", "from_cuda_array"]

_STREAM_OF_ALL = 1  # how the interface names the legacy default stream
_CODES = {"b": "b", "u": "u", "i": "i", "f": "f", "c": "c"}
_DTYPES = {f"{_CODES[d.kind]}{d.itemsize}": d for d in DTYPES if d.name != "bfloat16"}


def cuda_array_interface(t: Tensor) -> dict[str, Any]:
    """The property ``__cuda_array_interface__`` of tensors; those that aren't on a GPU have none."""
    if t.spec.device.type != "cuda":
        raise AttributeError(
            f"[__cuda_array_interface__] Can't get __cuda_array_interface__ on non-CUDA tensor: got {t.spec}, needed: "
            "one on a GPU. Use .cuda()."
        )
    backend: Any = backend_of(t.spec.device)
    return describe(t, backend)


def describe(t: Tensor, backend: GpuBackend) -> dict[str, Any]:
    """A tensor's memory as ``__cuda_array_interface__`` gives it, with the stream that its values are ready on.

    Raises:
        AttributeError: no memory of a GPU, or a dtype that the interface has no word for.
        RuntimeError: the tensor requires grad.
    """
    spec = t.spec
    if t.requires_grad:
        raise RuntimeError(
            "[__cuda_array_interface__] Can't get __cuda_array_interface__ on a tensor that requires grad: the "
            "consumer's changes could not be recorded. Use tensor.detach()."
        )
    if spec.dtype.name == "bfloat16" or spec.flipped:
        raise AttributeError(
            f"[__cuda_array_interface__] has no word for this tensor: got {spec}, needed: NumPy's dtypes and no "
            "conjugate bit. Use DLPack, or convert it."
        )
    code = f"{_CODES[spec.dtype.kind]}{spec.itemsize}"
    strides = None if spec.dense else tuple(s * spec.itemsize for s in spec.strides)
    return {
        "shape": tuple(spec.shape), "typestr": f"{'|' if spec.itemsize == 1 else '<'}{code}",
        "data": (t.ptr if spec.numel else 0, False), "version": 3, "strides": strides,
        "stream": backend.queues[spec.device.slot][0] or _STREAM_OF_ALL,
    }  # fmt: skip


def from_cuda_array(source: Any, backend: GpuBackend | None = None) -> Tensor:
    """A tensor on the memory of an object with ``__cuda_array_interface__``, which stays alive as long as the tensor.

    Later work on the current stream waits for what the object's stream has to do.

    Raises:
        BufferError: a mask, another byte order, or a dtype that isn't known here.
    """
    backend = backend or backend_for()
    given = source.__cuda_array_interface__
    order, code = given["typestr"][0], given["typestr"][1:]
    dtype = _DTYPES.get(code)
    if dtype is None or order == ">" or given.get("mask") is not None:
        raise BufferError(
            f"[as_tensor] can't share this CUDA array: got typestr {given['typestr']!r}, mask {given.get('mask')}; "
            f"needed: one of {', '.join(sorted(_DTYPES))} in little-endian order without a mask."
        )
    shape = tuple(given["shape"])
    steps = given.get("strides")
    if steps is not None and any(s % dtype.itemsize for s in steps):
        raise BufferError(
            f"[as_tensor] can't share this CUDA array: got strides {tuple(steps)} bytes, needed: multiples of the "
            f"{dtype.itemsize} bytes of an element."
        )
    address, read_only = given["data"]
    index = backend.runtime.index_of(address) if address else 0
    place = device(backend.name, index)
    strides = None if steps is None else tuple(s // dtype.itemsize for s in steps)
    spec = spec_of(dtype, shape, place, strides) if strides else spec_of(dtype, shape, place)
    stream = given.get("stream")
    if stream:
        _wait(backend, index, 0 if stream == _STREAM_OF_ALL else stream)
    low, high = spec.extent()
    nbytes = (high - low + 1) * dtype.itemsize if spec.numel else 0
    t = tensor_on(Storage.wrap(address + low * dtype.itemsize, nbytes, place, source), spec, -low)
    return t.clone() if read_only else t


def _wait(backend: GpuBackend, index: int, stream: int) -> None:
    """Let the current stream wait for another library's."""
    if stream != backend.queues[index][0]:
        backend.follow(index, stream, index)
