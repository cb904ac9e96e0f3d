"""Elementwise functions: flambeau's own under the standard's names, 0-d arrays promoting like others."""

from __future__ import annotations

from typing import Any

import flambeau as fb
from flambeau import Tensor

from .info import with_number

#: Standard name -> flambeau's, for functions of one array.
UNARY = {
    **{n: n for n in """abs acos acosh asin asinh atan atanh ceil cos cosh exp floor isfinite isinf isnan log
        log1p log2 log10 logical_not positive reciprocal signbit sin sinh square sqrt tan trunc""".split()},
    "bitwise_invert": "bitwise_not", "conj": "conj_physical", "negative": "neg",
}  # fmt: skip
#: The same for functions of two.
BINARY = {
    **{n: n for n in """add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign
        hypot logaddexp logical_and logical_or logical_xor maximum minimum nextafter pow
        remainder""".split()},
    "divide": "true_divide", "equal": "eq", "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le",
    "multiply": "mul", "not_equal": "ne", "subtract": "sub",
}  # fmt: skip

__all__ = ["clip", "expm1", "floor_divide", "imag", "real", "round", "sign", "tanh", *UNARY, *BINARY]


def together(x1: Any, x2: Any) -> tuple[Any, Any]:
    """Two operands as arrays of one dtype; at most one of them may be a Python number."""
    if isinstance(x1, Tensor) and isinstance(x2, Tensor):
        if x1.dtype is x2.dtype:
            return x1, x2
        common = fb.promote_types(x1.dtype, x2.dtype)
        return x1.to(common), x2.to(common)
    given, other = (x1, x2) if isinstance(x1, Tensor) else (x2, x1)
    common = with_number(given.dtype, other)
    filled = fb.full((), other, dtype=common, device=given.device)
    given = given.to(common)
    return (given, filled) if isinstance(x1, Tensor) else (filled, given)


def _unary(name: str, own: str) -> Any:
    def fn(x: Tensor, /) -> Tensor:
        made: Tensor = getattr(fb, own)(x)
        return made

    return _named(fn, name, own)


def _binary(name: str, own: str) -> Any:
    def fn(x1: Any, x2: Any, /) -> Tensor:
        made: Tensor = getattr(fb, own)(*together(x1, x2))
        return made

    return _named(fn, name, own)


def _named(fn: Any, name: str, own: str) -> Any:
    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"`flambeau.{own}`, as the standard has it."
    return fn


for _name, _own in UNARY.items():
    globals()[_name] = _unary(_name, _own)
for _name, _own in BINARY.items():
    globals()[_name] = _binary(_name, _own)


def sign(x: Tensor, /) -> Tensor:
    """The sign; of complex numbers, the number of size 1 in their direction."""
    return fb.sgn(x) if x.dtype.is_complex else fb.sign(x)


def expm1(x: Tensor, /) -> Tensor:
    """``exp(x) - 1`` without loss near 0; complex numbers at infinity as the standard has it."""
    if not x.dtype.is_complex:
        return fb.expm1(x)
    a, b = x.real, x.imag
    endless = ~fb.isfinite(b)
    half = fb.sin(b / 2)
    re = fb.where(b == 0, fb.expm1(a) + 0, fb.expm1(a) * fb.cos(b) - 2 * half * half)
    im = fb.where(b == 0, b, fb.exp(a) * fb.sin(b))
    re = fb.where(fb.isinf(a) & (endless | (a < 0)), fb.expm1(a), re)
    return fb.complex(re, fb.where((a == -float("inf")) & endless, fb.zeros_like(b), im))


def tanh(x: Tensor, /) -> Tensor:
    """The hyperbolic tangent; far out, the imaginary part is 0 with the sign of that of ``x``."""
    made: Tensor = fb.tanh(x)
    if x.dtype.is_complex:
        a, b = x.real, x.imag
        limit = fb.complex(fb.sign(a), fb.copysign(fb.zeros_like(b), b))
        made = fb.where(fb.isinf(a) & fb.isfinite(b), limit, made)
    return made


def floor_divide(x1: Any, x2: Any, /) -> Tensor:
    """The quotient rounded down; infinite where the numerator is, -0 where it vanishes below 0."""
    a, b = together(x1, x2)
    q: Tensor = fb.floor_divide(a, b)
    if a.dtype.is_floating_point:
        one = fb.isinf(a) ^ fb.isinf(b)
        q = fb.where(one & ~fb.isnan(a) & ~fb.isnan(b) & (b != 0), a / b, q)
    return q


def real(x: Tensor, /) -> Tensor:
    """The real parts."""
    return x.real


def imag(x: Tensor, /) -> Tensor:
    """The imaginary parts."""
    return x.imag


def round(x: Tensor, /) -> Tensor:
    """The nearest integers, halves to even; the parts of complex numbers each."""
    if x.dtype.is_complex:
        return fb.complex(fb.round(x.real), fb.round(x.imag))
    return fb.round(x)


def clip(x: Tensor, /, min: Any = None, max: Any = None) -> Tensor:
    """Values between bounds; the dtype stays that of ``x``."""
    bounds = [b.to(x.dtype) if isinstance(b, Tensor) else b for b in (min, max)]
    for b, pick in zip(bounds, (fb.maximum, fb.minimum), strict=True):
        if b is not None:
            x = pick(x, b if isinstance(b, Tensor) else fb.full((), b, dtype=x.dtype, device=x.device))
    return x.clone() if min is None and max is None else x
