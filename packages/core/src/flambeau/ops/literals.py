"""Python numbers and nested sequences to packed bytes and back, without NumPy.

Numbers are packed as PyTorch's ``tensor`` takes them: floats too large become inf, a negative integer wraps in an
unsigned type, anything else that does not fit is an error. Knows dtypes, not tensors.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Sequence
from functools import reduce
from itertools import chain
from typing import Any, NoReturn

from ..dtypes import BY_NAME, DType, bfloat16, bool_, float16, float32, iinfo, int64, promote_types, uint64
from ..errors import refuse
from ..state import get_default_dtype

__all__ = ["nest", "pack", "parse", "unpack"]

_NUMBERS: frozenset[type] = frozenset((bool, int, float, complex))
#: Deeper nesting is taken for a list that contains itself.
_MAX_DIMS = 64


def parse(data: Any, dtype: DType | None = None) -> tuple[Any, tuple[int, ...], DType]:
    """Pack a number or nested sequence.

    Args:
        data: a number, or sequences of sequences ... of numbers; arrays and tensors may stand for inner sequences.
        dtype: the element type; by default found from the values.

    Returns:
        A contiguous buffer in row-major order, the shape and the element type.

    Raises:
        ValueError: ragged sequences, or an integer beyond int64.
        TypeError: something that is not a number.
        RuntimeError: a value that does not fit the dtype, or a type that no dtype stands for.

    >>> parse([[1, 2], [3, 4]])[1:]
    ((2, 2), flambeau.int64)
    """
    if dtype is not None and not isinstance(dtype, DType):
        wrong = (
            f"dtype is not a dtype: got {type(dtype).__name__} {dtype!r}, needed: such as flambeau.float32"
        )
        refuse("tensor", wrong, error=TypeError)
    kind = type(data)
    if kind in _NUMBERS:
        dtype = dtype or _python_dtype(kind)
        return pack((data,), dtype), (), dtype
    if kind is list and (types := set(map(type, data))) <= _NUMBERS:
        dtype = dtype or _infer(types, set())
        return pack(data, dtype), (len(data),), dtype
    flat, shape, found = _flatten(data)
    dtype = dtype or _infer(set(map(type, flat)), found)
    return pack(flat, dtype), shape, dtype


def nest(flat: Sequence[Any], shape: Sequence[int]) -> Any:
    """A flat row-major sequence as nested lists; its element where the shape is ().

    >>> nest([1, 2, 3, 4], (2, 2))
    [[1, 2], [3, 4]]
    """
    if not shape:
        return flat[0]
    rows: list[Any] = list(flat)
    for axis in range(len(shape) - 1, 0, -1):
        n = shape[axis]
        rows = [rows[i * n : (i + 1) * n] for i in range(math.prod(shape[:axis]))]
    return rows


def pack(values: Sequence[Any], dtype: DType) -> Any:
    """Python numbers as a contiguous buffer of an element type."""
    try:
        if dtype.kind == "b":
            return bytes(map(bool, values))
        if dtype.kind == "f":
            return _pack_floats(values, dtype)
        if dtype.kind == "c":
            parts = chain.from_iterable((z.real, z.imag) for z in map(complex, values))
            return array(dtype.to_real().format, parts)
        try:
            return array(dtype.format, values)
        except (OverflowError, TypeError):
            return array(dtype.format, [_to_integer(v, dtype) for v in values])
    except OverflowError as e:
        raise OverflowError(
            f"[tensor] value out of range for {dtype.name}: {e}. Use a wider dtype."
        ) from None
    except TypeError as e:
        raise TypeError(f"[tensor] value can't be converted to {dtype.name}: {e}.") from None


def unpack(buffer: Any, dtype: DType) -> list[Any]:
    """A contiguous buffer of an element type as a flat list of Python numbers."""
    data: Any = memoryview(buffer).cast("B")
    if dtype.kind == "c":
        parts = data.cast(dtype.to_real().format).tolist()
        return list(map(complex, parts[::2], parts[1::2]))
    if dtype is float16:
        return list(struct.unpack(f"{len(data) // 2}e", data))
    if dtype is bfloat16:
        words = array("I", [half << 16 for half in data.cast("H")])
        data, dtype = memoryview(words).cast("B"), float32
    values: list[Any] = data.cast(dtype.format).tolist()
    return values


def _flatten(data: Any) -> tuple[list[Any], tuple[int, ...], set[DType]]:
    """Elements in row-major order, the shape, and the dtypes of arrays and tensors met on the way."""
    level: list[Any] = [data]
    shape: list[int] = []
    found: set[DType] = set()
    mixed = False
    while not (types := set(map(type, level))) <= _NUMBERS:
        typed = {t for t in types if hasattr(t, "dtype") and hasattr(t, "tolist")}
        if typed:
            found |= {_dtype_of(x) for x in level if type(x) in typed}
            found |= {_python_dtype(t) for t in types & _NUMBERS}
            nested = bool(types - typed - _NUMBERS)
            mixed |= nested
            level = [_untyped(x, nested) if type(x) in typed else x for x in level]
            if any(type(x) in typed for x in level):
                # Number types of other packages, which only float() understands.
                level = [float(x) if type(x) in typed else x for x in level]
            continue
        if not any(map(_is_sequence, types)):
            if all(issubclass(t, (int, float, complex)) for t in types):
                break
            _refuse(next(x for x in level if not isinstance(x, (int, float, complex))))
        first = level[0]
        n = len(first) if _is_sequence(type(first)) else -1
        for item in level:
            if not _is_sequence(type(item)) or n < 0:
                other = first if n >= 0 else next(filter(_is_nested, level))
                got = f"got {type(item).__name__} beside {type(other).__name__}"
                wrong = f"numbers and sequences side by side at dim {len(shape)}: {got}"
                refuse("tensor", f"{wrong}; needed: sequences of one length, or numbers", error=TypeError)
            if len(item) != n:
                wrong = f"ragged data: expected sequence of length {n} at dim {len(shape)} (got {len(item)})"
                refuse("tensor", wrong, do="Pad the shorter ones.", error=ValueError)
        if len(shape) >= _MAX_DIMS:
            wrong = f"too many dimensions: {type(first).__name__} nested over {_MAX_DIMS} deep"
            refuse("tensor", wrong, error=ValueError)
        shape.append(n)
        level = list(chain.from_iterable(level))
    if mixed:
        found |= {_python_dtype(t) for t in set(map(type, level))}
    return level, tuple(shape), found


def _untyped(value: Any, nested: bool) -> Any:
    # PyTorch takes a tensor of one element for a number, whatever its shape, unless lists stand beside it.
    if not nested and isinstance(value.dtype, DType) and value.numel() == 1:
        return value.item()
    return value.tolist()


def _is_sequence(kind: type) -> bool:
    return (
        hasattr(kind, "__len__") and hasattr(kind, "__getitem__") and not issubclass(kind, (str, bytes, dict))
    )


def _is_nested(value: Any) -> bool:
    return _is_sequence(type(value))


def _refuse(value: Any) -> NoReturn:
    kind = type(value).__name__
    if isinstance(value, (str, bytes)):
        wrong = f"invalid data type {kind!r}: got {value!r:.40}, needed: numbers"
        refuse("tensor", wrong, do="Convert it first.", error=TypeError)
    wrong = f"Could not infer dtype of {kind}: needed: numbers, sequences of numbers, arrays or tensors"
    refuse("tensor", wrong, do="Convert it first, e.g. with float() or list().")


def _dtype_of(value: Any) -> DType:
    if isinstance(value.dtype, DType):
        return value.dtype
    name = getattr(value.dtype, "name", None) or str(value.dtype).rpartition(".")[2]
    if name not in BY_NAME:
        wrong = f"can't convert an array of type {name}: needed: one of {', '.join(BY_NAME)}"
        refuse("tensor", wrong, do="Convert it first with astype.", error=TypeError)
    return BY_NAME[name]


def _python_dtype(kind: type) -> DType:
    if issubclass(kind, bool):
        return bool_
    if issubclass(kind, int):
        return int64
    return get_default_dtype() if issubclass(kind, float) else get_default_dtype().to_complex()


def _infer(types: set[type], found: set[DType]) -> DType:
    """The type that holds all: of typed values theirs, of Python numbers the defaults."""
    candidates = found or {_python_dtype(t) for t in types}
    if not candidates:
        return get_default_dtype()
    # By code: the result does not depend on the set's order.
    return reduce(promote_types, sorted(candidates, key=lambda d: d.code))


def _pack_floats(values: Sequence[Any], dtype: DType) -> Any:
    if dtype.itemsize > 2:
        return array(dtype.format, values)
    # As PyTorch does, through float32: the two roundings are part of the result.
    single = array("f", values)
    if dtype is float16:
        try:
            return struct.pack(f"{len(single)}e", *single)
        except OverflowError:
            return b"".join(map(_pack_half, single))
    words = memoryview(single).cast("B").cast("I")
    return array("H", [_to_bfloat16(w) for w in words])


def _pack_half(value: float) -> bytes:
    try:
        return struct.pack("e", value)
    except OverflowError:
        return struct.pack("e", math.copysign(math.inf, value))


def _to_bfloat16(word: int) -> int:
    """The upper half of a float32's bits, rounded to nearest even; NaN stays NaN."""
    if word & 0x7FFFFFFF > 0x7F800000:
        return 0x7FC0 | word >> 16 & 0x8000
    return word + 0x7FFF + (word >> 16 & 1) >> 16


def _to_integer(value: Any, dtype: DType) -> int:
    """A number as an integer of the type, by PyTorch's rules for what overflows."""
    limits = iinfo(dtype)
    if isinstance(value, float):
        if not limits.min <= value <= limits.max:  # NaN too
            _overflow(value, dtype)
        return min(int(value), limits.max)
    if not isinstance(value, int):
        raise TypeError(f"{type(value).__name__!r} object cannot be interpreted as an integer")
    if limits.min <= value <= limits.max:
        return int(value)
    if dtype is not uint64 and not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"[tensor] Overflow when unpacking long long: got {value!s:.40}, needed: 64 bits.")
    if dtype is uint64:
        raise OverflowError(f"{value!s:.40} is not in [0, {limits.max}]")
    if dtype.kind != "u" or not -limits.max <= value < 0:
        _overflow(value, dtype)
    return value % (limits.max + 1)


def _overflow(value: Any, dtype: DType) -> NoReturn:
    limits = iinfo(dtype)
    wrong = f"value cannot be converted to type {dtype.name} without overflow: got {value}"
    refuse("tensor", f"{wrong}, needed: a number in [{limits.min}, {limits.max}]", do="Use a wider dtype.")
