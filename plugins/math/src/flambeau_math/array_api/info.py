"""What the namespace says of itself: ``__array_namespace_info__``; the standard's questions about dtypes."""

from __future__ import annotations

from typing import Any, NamedTuple

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import DTYPES, loaded_backends

__all__ = ["__array_namespace_info__", "can_cast", "finfo", "iinfo", "isdtype", "result_type"]

VERSION = "2025.12"
#: Versions of the standard that the namespace fits; each contains the former.
VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", VERSION)

_SIGNED = ("int8", "int16", "int32", "int64")
_UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
_REAL = ("float32", "float64")
_COMPLEX = ("complex64", "complex128")
KINDS = {
    "bool": ("bool",), "signed integer": _SIGNED, "unsigned integer": _UNSIGNED, "integral": (*_SIGNED, *_UNSIGNED),
    "real floating": _REAL, "complex floating": _COMPLEX, "numeric": (*_SIGNED, *_UNSIGNED, *_REAL, *_COMPLEX),
}  # fmt: skip


_BY_NAME = {d.name: d for d in DTYPES}
#: The dtype that a Python number has on its own.
_NUMBERS: dict[type, Any] = {
    bool: lambda: fb.bool,
    int: lambda: fb.int64,
    float: fb.get_default_dtype,
    complex: lambda: fb.get_default_dtype().to_complex(),
}


class Info:
    """The answers of ``__array_namespace_info__``."""

    def capabilities(self) -> dict[str, Any]:
        """What may be relied upon."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> fb.device:
        """Where new arrays lie."""
        return fb.get_default_device()

    def default_dtypes(self, *, device: Any = None) -> dict[str, fb.dtype]:
        """The dtypes of new arrays and of indices."""
        real = fb.get_default_dtype()
        return {
            "real floating": real,
            "complex floating": real.to_complex(),
            "integral": fb.int64,
            "indexing": fb.int64,
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, fb.dtype]:
        """The dtypes of one kind, of several, or all."""
        kinds = ("bool", "numeric") if kind is None else (kind,) if isinstance(kind, str) else kind
        return {name: _BY_NAME[name] for k in kinds for name in KINDS[k]}

    def devices(self) -> tuple[fb.device, ...]:
        """The default device, the CPU, and the devices of the backends in use."""
        found = [fb.get_default_device(), fb.device("cpu")]
        for name, backend in loaded_backends().items():
            if name not in ("meta", "reference"):
                found += (
                    [fb.device(f"{name}:{k}") for k in range(backend.device_count())] if name != "cpu" else []
                )
        return tuple(dict.fromkeys(found))


def __array_namespace_info__() -> Info:  # noqa: N807
    """The namespace's devices, dtypes and defaults."""
    return Info()


def isdtype(dtype: fb.dtype, kind: Any) -> bool:
    """Whether a dtype is of a kind: a dtype, the name of a kind, or a tuple of those.

    Raises:
        ValueError: no such kind.
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, fb.dtype):
        return dtype is kind
    if kind not in KINDS:
        raise ValueError(
            f"[isdtype] unknown kind: got {kind!r}; needed: one of {', '.join(KINDS)}. Choose one."
        )
    return dtype.name in KINDS[kind] or (kind in ("real floating", "numeric") and dtype.is_floating_point)


def result_type(*arrays_and_dtypes: Any) -> fb.dtype:
    """The dtype that arrays, dtypes and Python numbers promote to; 0-d arrays count as any other.

    Raises:
        TypeError: only numbers, or none.
        RuntimeError: dtypes without a common one.
    """
    found = [d for d in map(_dtype_of, arrays_and_dtypes) if d is not None]
    if not found:
        raise TypeError(
            "[result_type] got no array and no dtype; needed: at least one. Give one beside the numbers."
        )
    common = found[0]
    for d in found[1:]:
        common = fb.promote_types(common, d)
    for v in arrays_and_dtypes:
        if _dtype_of(v) is None:
            common = with_number(common, v)
    return common


def _dtype_of(v: Any) -> fb.dtype | None:
    if isinstance(v, Tensor):
        return v.dtype
    return v if isinstance(v, fb.dtype) else None


def with_number(dtype: fb.dtype, number: Any) -> fb.dtype:
    """The dtype that one of arrays becomes beside a Python number: the same unless the number is of a higher kind."""
    own = _NUMBERS[type(number)]()
    if own.rank <= dtype.rank:
        return dtype
    return dtype.to_complex() if dtype.rank == 2 else own


def can_cast(from_: Any, to: fb.dtype, /) -> bool:
    """Whether values of a dtype, or of an array, can be converted without loss by promotion."""
    have = _dtype_of(from_)
    assert have is not None
    try:
        return fb.promote_types(have, to) is to
    except RuntimeError:
        return False


class FloatInfo(NamedTuple):
    """What `finfo` returns; as flambeau's own, but ``dtype`` is a dtype and not its name."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: fb.dtype


class IntInfo(NamedTuple):
    """What `iinfo` returns."""

    bits: int
    max: int
    min: int
    dtype: fb.dtype


def finfo(type: Any, /) -> FloatInfo:
    """Limits of a floating-point dtype, or of an array's."""
    dtype = _dtype_of(type)
    assert dtype is not None
    f = fb.finfo(dtype)
    return FloatInfo(f.bits, f.eps, f.max, f.min, f.smallest_normal, dtype.to_real())


def iinfo(type: Any, /) -> IntInfo:
    """Limits of an integer dtype, or of an array's."""
    dtype = _dtype_of(type)
    assert dtype is not None
    i = fb.iinfo(dtype)
    return IntInfo(i.bits, i.max, i.min, dtype)
