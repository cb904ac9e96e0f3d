"""Element types and the rules by which they promote (PyTorch's tables).

Where PyTorch refuses to promote (uint16, uint32, uint64 with other integers), the Python Array API
standard's rule is used; only uint64 with a signed type has no common type.
"""

from __future__ import annotations

from typing import Any

__all__ = ["DTYPES", "DType", "can_cast", "finfo", "iinfo", "promote_types"]


class DType:
    """An element type.

    Attributes:
        name: the public name, e.g. ``"float32"``.
        code: its number in the tables of backends.
        itemsize: bytes per element.
        kind: ``"b"`` bool, ``"u"`` unsigned, ``"i"`` signed, ``"f"`` floating, ``"c"`` complex.
        format: the character of ``struct`` and buffer formats (``"e"`` for float16; bfloat16 has none).
    """

    __slots__ = (
        "code", "format", "is_complex", "is_floating_point", "is_signed", "itemsize", "kind", "name", "rank",
    )  # fmt: skip

    def __init__(self, name: str, code: int, itemsize: int, kind: str, fmt: str) -> None:
        self.name = name
        self.code = code
        self.itemsize = itemsize
        self.kind = kind
        self.format = fmt
        self.is_floating_point = kind == "f"
        self.is_complex = kind == "c"
        self.is_signed = kind in "ifc"
        self.rank = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}[kind]

    def __repr__(self) -> str:
        return f"flambeau.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_by_name, (self.name,))

    @property
    def is_integer(self) -> bool:
        """Whether it is an integer type; bool is not one."""
        return self.rank == 1

    def to_complex(self) -> DType:
        """The complex type whose parts have this type."""
        return self if self.kind == "c" else (complex128 if self is float64 else complex64)

    def to_real(self) -> DType:
        """The type of the real part."""
        return self if self.kind != "c" else (float64 if self is complex128 else float32)


def _by_name(name: str) -> DType:
    return BY_NAME[name]


_ROWS = (
    ("bool", 1, "b", "?"),
    ("uint8", 1, "u", "B"), ("uint16", 2, "u", "H"), ("uint32", 4, "u", "I"), ("uint64", 8, "u", "Q"),
    ("int8", 1, "i", "b"), ("int16", 2, "i", "h"), ("int32", 4, "i", "i"), ("int64", 8, "i", "q"),
    ("float16", 2, "f", "e"), ("bfloat16", 2, "f", ""), ("float32", 4, "f", "f"), ("float64", 8, "f", "d"),
    ("complex64", 8, "c", "Zf"), ("complex128", 16, "c", "Zd"),
)  # fmt: skip
DTYPES: tuple[DType, ...] = tuple(
    DType(name, code, size, kind, fmt) for code, (name, size, kind, fmt) in enumerate(_ROWS)
)
(bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64,
 float16, bfloat16, float32, float64, complex64, complex128) = DTYPES  # fmt: skip
BY_NAME: dict[str, DType] = {d.name: d for d in DTYPES}
ALIASES: dict[str, DType] = {
    "half": float16, "float": float32, "double": float64, "short": int16, "int": int32, "long": int64,
    "cfloat": complex64, "cdouble": complex128,
}  # fmt: skip


def _join(a: DType, b: DType) -> DType | None:
    if a is b:
        return a
    if a.rank > b.rank:
        a, b = b, a
    if a.rank != b.rank:
        if b.kind != "c":
            return b
        return complex128 if a is float64 else b
    if a.kind == "f":
        return float32 if a.itemsize == b.itemsize else max(a, b, key=lambda d: d.itemsize)
    if a.kind == b.kind:
        return max(a, b, key=lambda d: d.itemsize)
    unsigned, signed = (a, b) if a.kind == "u" else (b, a)
    size = max(signed.itemsize, 2 * unsigned.itemsize)
    return next((d for d in DTYPES if d.kind == "i" and d.itemsize == size), None)


_PROMOTE: dict[tuple[DType, DType], DType | None] = {(a, b): _join(a, b) for a in DTYPES for b in DTYPES}


def promote_types(a: DType, b: DType) -> DType:
    """The smallest type to which both convert.

    Raises:
        RuntimeError: for uint64 with a signed integer, which have no common type.

    >>> promote_types(float16, bfloat16)
    flambeau.float32
    """
    d = _PROMOTE[a, b]
    if d is None:
        wrong = f"no common type for {a.name} and {b.name}: no integer type holds both"
        raise RuntimeError(f"[promote_types] {wrong}. Convert one of them first, e.g. x.to(flambeau.int64).")
    return d


def can_cast(source: DType, to: DType) -> bool:
    """Whether results of one type may be written to another without changing category.

    >>> can_cast(float32, int64)
    False
    """
    return to.rank >= source.rank


class finfo:
    """Numerical limits of a floating-point type, as PyTorch's ``finfo``.

    >>> finfo(float32).eps
    1.1920928955078125e-07
    """

    _TABLE = {float16: (10, 15), bfloat16: (7, 127), float32: (23, 127), float64: (52, 1023)}

    def __init__(self, dtype: DType = float32) -> None:
        real = dtype.to_real()
        if real not in self._TABLE:
            raise TypeError(f"[finfo] not a floating-point type: got {dtype.name}. Use iinfo.")
        mantissa, emax = self._TABLE[real]
        self.dtype = real.name
        self.bits = real.itemsize * 8
        self.eps = 2.0**-mantissa
        self.max = (2.0 - 2.0**-mantissa) * 2.0**emax
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0 ** (1 - emax)
        self.resolution = float(f"1e-{int(mantissa * 0.30103)}")

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer type, as PyTorch's ``iinfo``.

    >>> iinfo(int8).max
    127
    """

    def __init__(self, dtype: DType) -> None:
        if not dtype.is_integer:
            raise TypeError(f"[iinfo] not an integer type: got {dtype.name}. Use finfo.")
        self.dtype = dtype.name
        self.bits = dtype.itemsize * 8
        self.min = -(1 << (self.bits - 1)) if dtype.kind == "i" else 0
        self.max = (1 << (self.bits - (dtype.kind == "i"))) - 1

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
