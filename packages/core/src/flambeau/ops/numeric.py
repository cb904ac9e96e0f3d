"""Elementwise functions beyond arithmetic: angles, conjugates, logarithms of sums."""

from __future__ import annotations

import math
from typing import Any

from .._tensor import Tensor
from ..op import composite
from ..program import call, select
from ..registry import OPS
from ._check import no_complex, only_complex
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
