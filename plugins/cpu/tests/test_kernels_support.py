"""Stand-in tensors over NumPy arrays and shared checks for the kernel tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from flambeau_cpu._C import lib

_NAMES = [
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


class DType(NamedTuple):
    """The core's dtype, as far as kernels read it."""

    name: str
    code: int
    itemsize: int
    is_floating_point: bool = True


class Spec(NamedTuple):
    """The core's Spec, as far as kernels read it."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: DType


class T:
    """A tensor-like over a NumPy array."""

    def __init__(self, array: np.ndarray, dtype: str | None = None) -> None:
        self.array = array
        name = dtype or array.dtype.name
        kind = DType(name, _NAMES.index(name), array.itemsize)
        self.spec = Spec(array.shape, tuple(s // array.itemsize for s in array.strides), kind)
        self.ptr = array.__array_interface__["data"][0]


def each_isa() -> list[int]:
    """The instruction sets this machine can run."""
    return list(range(lib.fbc_max_isa() + 1))


def layouts(x: np.ndarray) -> list[np.ndarray]:
    """The same values in several memory layouts."""
    out = [x]
    if x.ndim:
        out.append(np.ascontiguousarray(x.T).T)
        wide = np.zeros(tuple(2 * s for s in x.shape), x.dtype)
        view = wide[tuple(slice(None, None, 2) for _ in x.shape)]
        view[...] = x
        out.append(view)
        flipped = x[tuple(slice(None, None, -1) for _ in x.shape)].copy()
        out.append(flipped[tuple(slice(None, None, -1) for _ in x.shape)])
    return out


def threads_agree(call: Callable[[], Any]) -> Any:
    """One thread and three give the same bits."""
    before = lib.fbc_get_num_threads()
    try:
        lib.fbc_set_num_threads(1)
        one = call()
        lib.fbc_set_num_threads(3)
        many = call()
    finally:
        lib.fbc_set_num_threads(before)
    for a, b in zip(
        one if isinstance(one, tuple) else (one,), many if isinstance(many, tuple) else (many,), strict=True
    ):
        assert a.tobytes() == b.tobytes()
    return one


def bf16(x: np.ndarray) -> np.ndarray:
    """float32 rounded to bfloat16, as uint16."""
    u = x.astype(np.float32).view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


def to_f32(h: np.ndarray) -> np.ndarray:
    """bfloat16 bits as float32."""
    return (h.astype(np.uint32) << 16).view(np.float32)
