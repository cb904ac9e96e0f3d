"""Elementwise functions beyond arithmetic: angles, exponents, logarithms of sums, steps, common divisors."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes as dt
from .._tensor import Tensor
from ..errors import message
from ..op import composite
from ..program import Number, call, select
from ..registry import OPS
from ._check import no_complex, no_integers, only_complex, only_float, only_int
from .pointwise import pointwise
from .results import named


def _same(op: str, *tensors: Any) -> None:
    """Ops that don't promote.

    Raises:
        RuntimeError: dtypes differ.
    """
    if len({t.spec.dtype for t in tensors}) > 1:
        got = {f"operand{k}": t for k, t in enumerate(tensors)}
        raise RuntimeError(message(op, "operands must have the same dtype", do="Convert one.", **got))


# Angles

_HALF_TURN = 180 / math.pi


@pointwise(name="angle_real", result="float", check=no_complex, public=False)
def _angle_real(self: Tensor) -> Any:
    return select(call("ne", self, self), self, select(call("lt", self, 0), math.pi, 0.0))


@pointwise(name="angle_complex", result="real", public=False, check=only_complex)
def _angle_complex(self: Tensor) -> Any:
    return call("angle", self)


@composite()
def angle(self: Tensor) -> Tensor:
    """The angle in radians of complex numbers; of real ones 0, or pi where negative."""
    return OPS["angle_complex" if self.is_complex() else "angle_real"](self)  # type: ignore[no-any-return]


@pointwise(inplace=True, result="float", check=no_complex)
def deg2rad(self: Tensor) -> Any:
    """Degrees as radians."""
    return self * (1 / _HALF_TURN)


@pointwise(inplace=True, result="float", check=no_complex)
def rad2deg(self: Tensor) -> Any:
    """Radians as degrees."""
    return self * _HALF_TURN


@pointwise(name="polar_values", result="complex", public=False, check=only_float)
def _polar(abs: Tensor, angle: Tensor) -> Any:
    return call("complex", call("mul", abs, call("cos", angle)), call("mul", abs, call("sin", angle)))


@composite(method=False)
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """Complex numbers from their size and angle (float32 or float64)."""
    OPS["complex"].check_tensors([abs, angle])
    _same("polar", abs, angle)
    only_float("polar", abs.spec.dtype)
    return OPS["polar_values"](abs, angle)  # type: ignore[no-any-return]


@pointwise(name="conj_values", public=False, check=only_complex)
def _conj_values(self: Tensor) -> Any:
    return call("conj", self)


@composite(inplace=True)
def conj_physical(self: Tensor) -> Tensor:
    """The complex conjugate, computed; real numbers: the tensor itself."""
    return OPS["conj_values"](self) if self.is_complex() else self


# Exponents and logarithms


def _share(g: Any, a: Any, b: Any, base: Any) -> Any:
    """The share of one term in a logarithm of a sum: 1 / (1 + base**(b - a))."""
    return g / (1 + base(b - a)).conj()


def _log_of_sum(a: Any, b: Any, one_more: Any) -> Any:
    """log(exp(a) + exp(b)) from the larger one, in the base of ``one_more(d) = log(1 + exp(d))``."""
    a_larger = call("ge", a.real(), b.real())
    top, low = select(a_larger, a, b), select(a_larger, b, a)
    return select(call("eq", a, b) & call("isinf", a.real()), a, top + one_more(low - top))


@pointwise(
    result="float",
    check=no_integers,
    vjp={
        "self": lambda g, out, a, b: _share(g, a, b, lambda d: d.exp()),
        "other": lambda g, out, a, b: _share(g, b, a, lambda d: d.exp()),
    },
)
def logaddexp(self: Tensor, other: Tensor) -> Any:
    """``log(exp(self) + exp(other))`` without overflow."""
    return _log_of_sum(call("mul", self, 1), call("mul", other, 1), lambda d: d.exp().log1p())


@pointwise(
    result="float",
    check=only_float,
    vjp={
        "self": lambda g, out, a, b: _share(g, a, b, lambda d: d.exp2()),
        "other": lambda g, out, a, b: _share(g, b, a, lambda d: d.exp2()),
    },
)
def logaddexp2(self: Tensor, other: Tensor) -> Any:
    """``log2(2**self + 2**other)`` without overflow."""
    return _log_of_sum(
        call("mul", self, 1), call("mul", other, 1), lambda d: d.exp2().log1p() * (1 / math.log(2))
    )


@composite(inplace=True)
def float_power(self: Tensor | Number, exponent: Tensor | Number) -> Tensor:
    """``self ** exponent`` in float64 (complex128 where either is complex)."""
    both: tuple[Any, Any] = (self, exponent)
    if not any(hasattr(v, "spec") for v in both):
        raise TypeError(message("float_power", "needs at least one Tensor", self=self, exponent=exponent))
    wide = any(v.is_complex() if hasattr(v, "spec") else isinstance(v, complex) for v in both)
    d = dt.complex128 if wide else dt.float64
    a, b = (v.to(d) if hasattr(v, "spec") else v for v in both)
    return OPS["pow"](a, b)  # type: ignore[no-any-return]


@composite(inplace=True)
def ldexp(self: Tensor, other: Tensor) -> Tensor:
    """``self * 2**other``."""
    OPS["ldexp"].check_tensors([self, other])
    return self * OPS["pow"](2.0, other)  # type: ignore[no-any-return]


@composite()
def frexp(self: Tensor) -> Any:
    """Mantissas, of size in [0.5, 1), and int32 exponents with ``self == mantissa * 2**exponent``."""
    only_float("frexp", self.spec.dtype)
    wide = self.detach().to(dt.float64)
    small = wide.abs() < 2.0**-1000
    bits = OPS["where_values"](small, wide * 2.0**64, wide).view(dt.int64)
    exponent = ((bits >> 52) & 0x7FF) - 1022 - small * 64
    exponent = OPS["where_values"]((wide == 0) | (wide.abs() == math.inf) | (wide != wide), 0, exponent)
    half = exponent // 2
    # Two factors, because 2**-exponent itself may overflow.
    first, second = (OPS["pow"](2.0, -e.to(dt.float64)) for e in (half, exponent - half))
    mantissa = (self.to(dt.float64) * first * second).to(self.spec.dtype)
    return named("frexp", "mantissa exponent", mantissa, exponent.to(dt.int32))


@pointwise(
    inplace=True,
    check=only_float,
    vjp={"self": lambda g, o, a, b: select(a.eq(b), 0, g), "other": lambda g, o, a, b: g * 0},
)
def nextafter(self: Tensor, other: Tensor) -> Any:
    """The next floating-point number after each element towards the other."""
    return call("nextafter", self, other)


@pointwise(name="heaviside_values", check=no_complex, differentiable=False, public=False)
def _heaviside(self: Tensor, values: Tensor) -> Any:
    return select(call("eq", self, 0), values, select(call("gt", self, 0), 1, 0))


@composite(inplace=True)
def heaviside(self: Tensor, values: Tensor) -> Tensor:
    """0 where negative (or NaN), 1 where positive, ``values`` at 0."""
    OPS["heaviside"].check_tensors([self, values])
    _same("heaviside", self, values)
    return OPS["heaviside_values"](self, values)  # type: ignore[no-any-return]


# Integers


@composite(inplace=True, batch="loop")
def gcd(self: Tensor, other: Tensor) -> Tensor:
    """The greatest common divisor, by Euclid's algorithm."""
    OPS["gcd"].check_tensors([self, other])
    d = dt.promote_types(self.spec.dtype, other.spec.dtype)
    only_int("gcd", d)
    a, b = (t.to(d).abs() for t in OPS["broadcast_tensors"](self, other))
    while bool((b != 0).any()):
        rest = OPS["where_values"](b == 0, 0, a % OPS["where_values"](b == 0, 1, b))
        a, b = OPS["where_values"](b == 0, a, b), rest
    return a  # type: ignore[no-any-return]


@composite(inplace=True)
def lcm(self: Tensor, other: Tensor) -> Tensor:
    """The least common multiple; 0 where either is 0."""
    common = gcd(self, other)
    return (self // OPS["where_values"](common == 0, 1, common) * other).abs()  # type: ignore[no-any-return]
