"""Ops with several forms over pointwise records: division by rounding mode, rounding, tests of floats, closeness."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes as dt
from .._tensor import Tensor
from ..errors import refuse
from ..op import composite
from ..program import Number
from ..registry import OPS


@composite(inplace=True, aliases=("divide",))
def div(self: Tensor | Number, other: Tensor | Number, *, rounding_mode: str | None = None) -> Tensor:
    """``self / other``; integers give floating-point numbers unless rounded.

    Args:
        self, other: tensors or numbers.
        rounding_mode: None, ``"trunc"`` (towards zero) or ``"floor"`` (down).
    """
    if rounding_mode is None:
        return OPS["div_true"](self, other)  # type: ignore[no-any-return]
    if rounding_mode == "floor":
        return OPS["floor_divide"](self, other)  # type: ignore[no-any-return]
    if rounding_mode != "trunc":
        raise RuntimeError(
            f"[div] expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}."
        )
    if all(t.spec.dtype.rank < 2 if hasattr(t, "spec") else isinstance(t, int) for t in (self, other)):
        return OPS["div_trunc_int"](self, other)  # type: ignore[no-any-return]
    return OPS["trunc_float"](OPS["div_true"](self, other))  # type: ignore[no-any-return]


@composite(inplace=True)
def true_divide(self: Tensor | Number, other: Tensor | Number) -> Tensor:
    """``self / other``."""
    return OPS["div_true"](self, other)  # type: ignore[no-any-return]


def _rounded(name: str, self: Any) -> Any:
    return self.clone() if self.spec.dtype.rank == 1 else OPS[name + "_float"](self)


@composite(inplace=True)
def floor(self: Tensor) -> Tensor:
    """Rounded down."""
    return _rounded("floor", self)  # type: ignore[no-any-return]


@composite(inplace=True)
def ceil(self: Tensor) -> Tensor:
    """Rounded up."""
    return _rounded("ceil", self)  # type: ignore[no-any-return]


@composite(inplace=True, aliases=("fix",))
def trunc(self: Tensor) -> Tensor:
    """Rounded towards zero."""
    return _rounded("trunc", self)  # type: ignore[no-any-return]


@composite(inplace=True)
def frac(self: Tensor) -> Tensor:
    """What `trunc` cuts off."""
    return self - trunc(self)  # type: ignore[no-any-return]


@composite(inplace=True, name="round")
def round_(self: Tensor, *, decimals: int = 0) -> Tensor:
    """Rounded to the nearest, halves to even; ``decimals`` counts places after the point."""
    if decimals and self.spec.dtype.rank >= 2:
        scale = 10.0 ** abs(decimals)
        x = self * scale if decimals > 0 else self / scale
        x = _rounded("round", x)
        return x / scale if decimals > 0 else x * scale  # type: ignore[no-any-return]
    return _rounded("round", self)  # type: ignore[no-any-return]


@composite()
def isinf(self: Tensor) -> Tensor:
    """Whether each element is infinite."""
    return self != self if self.spec.dtype.rank < 2 else OPS["isinf_float"](self)


@composite()
def isfinite(self: Tensor) -> Tensor:
    """Whether each element is neither infinite nor NaN."""
    return self == self if self.spec.dtype.rank < 2 else OPS["isfinite_float"](self)


@composite()
def signbit(self: Tensor) -> Tensor:
    """Whether the sign bit is set (also of -0.0)."""
    return self != self if self.spec.dtype is dt.bool_ else OPS["signbit_number"](self)


def _refuse_complex(op: str, x: Tensor) -> None:
    if x.spec.dtype.is_complex:
        refuse(op, "complex inputs have no sign", "a real tensor", "Ask for x.real.", self=x)


@composite()
def isposinf(self: Tensor) -> Tensor:
    """Whether each element is positive infinity."""
    _refuse_complex("isposinf", self)
    return self == math.inf if self.spec.dtype.rank >= 2 else self != self


@composite()
def isneginf(self: Tensor) -> Tensor:
    """Whether each element is negative infinity."""
    _refuse_complex("isneginf", self)
    return self == -math.inf if self.spec.dtype.rank >= 2 else self != self


@composite()
def isreal(self: Tensor) -> Tensor:
    """Whether each element has no imaginary part."""
    return self.imag == 0 if self.is_complex() else self == self


@composite(inplace=True)
def nan_to_num(
    self: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN and infinities replaced; infinities by the largest finite numbers where not given."""
    if self.spec.dtype.rank < 2:
        return self.clone()
    limits = dt.finfo(self.spec.dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    where = OPS["where_values"]
    x = where(self != self, nan or 0.0, self)
    return where(x == math.inf, high, where(x == -math.inf, low, x))  # type: ignore[no-any-return]


def _pair(op: str, a: Any, b: Any) -> None:
    if a.spec.dtype is not b.spec.dtype:
        refuse(op, "tensors must have the same dtype", do="Convert one.", self=a, other=b)


@composite()
def isclose(
    self: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Whether ``|self - other| <= atol + rtol * |other|``, elementwise."""
    _pair("isclose", self, other)
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"[isclose] rtol and atol must not be negative: got rtol={rtol}, atol={atol}.")
    close = self == other
    if equal_nan:
        close = close | ((self != self) & (other != other))
    if self.spec.dtype.rank < 2:
        if not rtol and not atol:
            return close
        a, b = self.double(), other.double()
    else:
        a, b = self, other
    gap = (a - b).abs()
    return close | (isfinite(gap) & (gap <= b.abs() * rtol + atol))  # type: ignore[no-any-return]


@composite()
def allclose(
    self: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close; see `isclose`."""
    return bool(isclose(self, other, rtol, atol, equal_nan).all())


@composite()
def equal(self: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and the same elements."""
    return self.spec.shape == other.spec.shape and bool((self == other).all())


@composite()
def dist(self: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of the difference."""
    return (self - other).norm(p)
