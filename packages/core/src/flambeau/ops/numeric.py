"""Elementwise functions beyond arithmetic: angles, conjugates, logarithms of sums."""

from __future__ import annotations

import math
from typing import Any

from .._tensor import Tensor
from ..op import composite
from ..program import call, select
from ..registry import OPS
from ._check import no_complex, no_integers, only_complex, only_float
from .pointwise import pointwise

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
