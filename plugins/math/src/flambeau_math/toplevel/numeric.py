"""Elementwise functions beyond arithmetic: polar coordinates, exponents, neighbours, steps, common divisors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau.plugin import OPS, call, named, no_complex, only_float, only_int, refuse, select

from .._records import Space

if TYPE_CHECKING:
    from flambeau import Tensor
    from flambeau.plugin import Number

__all__: list[str] = []

top = Space("")


def _same(op: str, *tensors: Any) -> None:
    """Ops that don't promote.

    Raises:
        RuntimeError: dtypes differ.
    """
    if len({t.spec.dtype for t in tensors}) > 1:
        got = {f"operand{k}": t for k, t in enumerate(tensors)}
        refuse(op, "operands must have the same dtype", do="Convert one.", **got)


@top.pointwise(name="polar_values", result="complex", public=False, check=only_float)
def _polar(abs: Tensor, angle: Tensor) -> Any:
    return call("complex", call("mul", abs, call("cos", angle)), call("mul", abs, call("sin", angle)))


@top.composite(method=False)
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """Complex numbers from their size and angle (float32 or float64)."""
    OPS["complex"].check_tensors([abs, angle])
    _same("polar", abs, angle)
    only_float("polar", abs.spec.dtype)
    return OPS["polar_values"](abs, angle)  # type: ignore[no-any-return]


@top.composite(inplace=True)
def float_power(self: Tensor | Number, exponent: Tensor | Number) -> Tensor:
    """``self ** exponent`` in float64 (complex128 where either is complex)."""
    both: tuple[Any, Any] = (self, exponent)
    if not any(hasattr(v, "spec") for v in both):
        refuse("float_power", "needs at least one Tensor", self=self, exponent=exponent, error=TypeError)
    wide = any(v.is_complex() if hasattr(v, "spec") else isinstance(v, complex) for v in both)
    d = fb.complex128 if wide else fb.float64
    a, b = (v.to(d) if hasattr(v, "spec") else v for v in both)
    return fb.pow(a, b)


@top.composite(inplace=True)
def ldexp(self: Tensor, other: Tensor) -> Tensor:
    """``self * 2**other``."""
    OPS["ldexp"].check_tensors([self, other])
    return self * fb.pow(2.0, other)


@top.composite()
def frexp(self: Tensor) -> Any:
    """Mantissas, of size in [0.5, 1), and int32 exponents with ``self == mantissa * 2**exponent``."""
    only_float("frexp", self.spec.dtype)
    wide = self.detach().to(fb.float64)
    small = wide.abs() < 2.0**-1000
    bits = fb.where(small, wide * 2.0**64, wide).view(fb.int64)
    exponent = ((bits >> 52) & 0x7FF) - 1022 - small * 64
    exponent = fb.where((wide == 0) | (wide.abs() == math.inf) | (wide != wide), 0, exponent)
    half = exponent // 2
    # Two factors, because 2**-exponent itself may overflow.
    first, second = (fb.pow(2.0, -e.to(fb.float64)) for e in (half, exponent - half))
    mantissa = (self.to(fb.float64) * first * second).to(self.spec.dtype)
    return named("frexp", "mantissa exponent", mantissa, exponent.to(fb.int32))


@top.pointwise(
    inplace=True,
    check=only_float,
    vjp={"self": lambda g, o, a, b: select(a.eq(b), 0, g), "other": lambda g, o, a, b: g * 0},
)
def nextafter(self: Tensor, other: Tensor) -> Any:
    """The next floating-point number after each element towards the other."""
    return call("nextafter", self, other)


@top.pointwise(name="heaviside_values", check=no_complex, differentiable=False, public=False)
def _heaviside(self: Tensor, values: Tensor) -> Any:
    return select(call("eq", self, 0), values, select(call("gt", self, 0), 1, 0))


@top.composite(inplace=True)
def heaviside(self: Tensor, values: Tensor) -> Tensor:
    """0 where negative (or NaN), 1 where positive, ``values`` at 0."""
    OPS["heaviside"].check_tensors([self, values])
    _same("heaviside", self, values)
    return OPS["heaviside_values"](self, values)  # type: ignore[no-any-return]


# Integers


@top.composite(inplace=True, batch="loop")
def gcd(self: Tensor, other: Tensor) -> Tensor:
    """The greatest common divisor, by Euclid's algorithm."""
    OPS["gcd"].check_tensors([self, other])
    d = fb.promote_types(self.spec.dtype, other.spec.dtype)
    only_int("gcd", d)
    a, b = (t.to(d).abs() for t in fb.broadcast_tensors(self, other))
    while bool((b != 0).any()):
        rest = fb.where(b == 0, 0, a % fb.where(b == 0, 1, b))
        a, b = fb.where(b == 0, a, b), rest
    return a


@top.composite(inplace=True)
def lcm(self: Tensor, other: Tensor) -> Tensor:
    """The least common multiple; 0 where either is 0."""
    common = gcd(self, other)
    return (self // fb.where(common == 0, 1, common) * other).abs()  # type: ignore[no-any-return]


# Results whose out= may have any dtype that they cast to.
ldexp.casts_out = gcd.casts_out = lcm.casts_out = True
