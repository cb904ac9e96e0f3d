"""Dtypes that families of ops refuse; what to look at for values that break a rule."""

from __future__ import annotations

from typing import Any

from ..dtypes import DType, bool_

__all__ = [
    "no_bool", "no_complex", "no_float", "no_integers", "only_bool_or_int", "only_complex", "only_float", "only_int",
    "real_numbers", "whole",
]  # fmt: skip


def _refuse(op: str, d: DType, needed: str, do: str = "Convert with .to(dtype).") -> None:
    # PyTorch's exception type for a dtype that an op refuses
    raise NotImplementedError(f'[{op}] "{op}" not implemented for {d.name!r}: needed: {needed}. {do}')


def no_complex(op: str, d: DType) -> None:
    """Refuse complex numbers."""
    if d.is_complex:
        _refuse(op, d, "real numbers", "Use .real, .imag or .abs().")


def no_bool(op: str, d: DType) -> None:
    """Refuse bools."""
    if d is bool_:
        _refuse(op, d, "numbers", "Use ~x or logical_not() to invert a mask, or convert it with .to(dtype).")


def real_numbers(op: str, d: DType) -> None:
    """Refuse complex numbers and bools."""
    no_complex(op, d)
    no_bool(op, d)


def no_integers(op: str, d: DType) -> None:
    """Refuse integers and bools."""
    if d.rank < 2:
        _refuse(op, d, "floating-point or complex numbers")


def no_float(op: str, d: DType) -> None:
    """Refuse everything but integers and bools."""
    if d.rank > 1:
        _refuse(op, d, "integers or bools")


only_bool_or_int = no_float


def only_int(op: str, d: DType) -> None:
    """Refuse everything but integers."""
    if d.rank != 1:
        _refuse(op, d, "integers")


def only_complex(op: str, d: DType) -> None:
    """Refuse real numbers."""
    if not d.is_complex:
        _refuse(op, d, "complex numbers")


def only_float(op: str, d: DType) -> None:
    """Refuse everything but floating-point numbers."""
    if not d.is_floating_point:
        _refuse(op, d, "floating-point numbers")


def whole(t: Any) -> Any:
    """A tensor whose values are to be checked; inside of `vmap`, all examples."""
    while hasattr(t, "value"):
        t = t.value
    return t
