"""Tensors of host memory as NumPy arrays, and casts between all dtypes.

NumPy has no bfloat16: such arrays are uint16 here, and the functions below take and give the dtype beside the array.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import DTYPES, DType, bfloat16, bool_, complex64, complex128, float16, float32, float64
from ..errors import OutOfMemoryError

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["NUMPY", "Array", "as_array", "cast", "load", "number", "numerics", "store", "widen"]

Array = np.ndarray[Any, Any]

#: The NumPy type in which elements lie in memory.
NUMPY: dict[DType, np.dtype[Any]] = {d: np.dtype("uint16" if d is bfloat16 else d.name) for d in DTYPES}


@contextmanager
def numerics(op: str) -> Iterator[None]:
    """Around a kernel: no warnings of NumPy; memory that NumPy can't get is an `OutOfMemoryError`."""
    try:
        with np.errstate(all="ignore"):
            yield
    except MemoryError as e:
        raise OutOfMemoryError(
            f"[{op}] out of memory: no room for a temporary array: {e} Free tensors, or compute in smaller parts."
        ) from None


def as_array(t: Tensor) -> Array:
    """The tensor's elements as a strided array on its memory."""
    spec = t.spec
    kind = NUMPY[spec.dtype]
    if not spec.numel:
        return np.empty(spec.shape, kind)
    size = kind.itemsize
    strides = tuple(s * size for s in spec.strides)
    return np.ndarray(spec.shape, kind, t.mem.handle, t.offset * size, strides)


def widen(dtype: DType) -> DType:
    """The dtype in which arithmetic runs."""
    return float32 if dtype is float16 or dtype is bfloat16 else dtype


def wider(dtype: DType) -> DType:
    """The dtype in which sums and products accumulate."""
    if dtype.is_floating_point:
        return float64
    return complex128 if dtype is complex64 else dtype


def load(t: Tensor, to: DType | None = None) -> Array:
    """The elements in a dtype that NumPy computes in (16-bit floats as float32), possibly the memory itself."""
    dtype = t.spec.dtype
    return cast(as_array(t), dtype, widen(to or dtype))


def store(t: Tensor, values: Array, dtype: DType) -> None:
    """Write values of a dtype, cast to the tensor's; broadcasts, and may overlap with what was read."""
    as_array(t)[...] = cast(values, dtype, t.spec.dtype)


def number(value: Any, dtype: DType) -> Array:
    """A number that fits the dtype, as an array of one element."""
    if dtype is bfloat16:
        return _to_bfloat16(np.array([value], np.float32))
    try:
        return np.array([value], NUMPY[dtype])
    except OverflowError:
        raise OverflowError("[number] int too big to convert: needed: 64 bits. Use a float.") from None


def cast(a: Array, source: DType, to: DType) -> Array:
    """Convert: to bool by ``!= 0``, to integers towards zero, complex to real by its real part.

    16-bit floats are made from float32, rounded to nearest, ties to even. An integer type gets of what it can't
    hold the low bits of the next int32 or int64, and of what those can't hold (NaN too) their lowest number.
    """
    if source is to:
        return a
    if source is bfloat16:
        a, source = (a.astype(np.uint32) << 16).view(np.float32), float32
        if to is float32:
            return a
    if to is bool_:
        return np.not_equal(a, 0)
    if source.is_complex and not to.is_complex:
        a, source = a.real, source.to_real()
    if to is bfloat16:
        return _to_bfloat16(a.astype(np.float32))
    if to is float16 and source is not float32:
        a = a.astype(np.float32)
    if source.is_floating_point and to.is_integer:
        return _to_integer(a, to)
    return a.astype(NUMPY[to])


def _to_bfloat16(a: Array) -> Array:
    bits = a.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + (bits >> 16 & 1) >> 16
    return np.where(np.isnan(a), bits >> 16 & 0x8000 | 0x7FC0, rounded).astype(np.uint16)


def _to_integer(a: Array, to: DType) -> Array:
    # What x86's conversions give: there are only those to int32 and int64, and to uint64 in two halves.
    whole = np.trunc(a.astype(np.float64))
    if to.name == "uint64":
        high = whole >= 2.0**63
        words = _in_range(np.where(high, whole - 2.0**63, whole), 63)
        return words.view(np.uint64) ^ (high.astype(np.uint64) << 63)
    bits = 63 if to.itemsize == 8 or to.name == "uint32" else 31
    return _in_range(whole, bits).astype(NUMPY[to])


def _in_range(whole: Array, bits: int) -> Array:
    limit = 2.0**bits
    return np.where((whole >= -limit) & (whole < limit), whole, -limit).astype(np.int64)
