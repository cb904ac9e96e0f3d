"""Bessel and Airy functions, by SciPy (Cephes and AMOS)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special as sp

import flambeau as fb
from flambeau.plugin import Op

from ._elementwise import of_one

__all__ = [
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "i0", "i0e", "i1", "i1e", "modified_bessel_i0",
    "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1", "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1", "spherical_bessel_j0",
]  # fmt: skip


def _over(value: Any, x: Any, at_zero: Any) -> Any:
    """``value / x``, with a value of its own at 0."""
    zero = x == 0
    return fb.where(zero, at_zero, value / fb.where(zero, 1.0, x))


# The derivatives: M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 9.1.27-28 and 9.6.26-28.
i0: Op = of_one(
    "i0", sp.i0, "The modified Bessel function of the first kind of order 0.", lambda g, self: g * i1(self),
    inplace=True,
)  # fmt: skip
i0e: Op = of_one(
    "special.i0e", sp.i0e, "`i0` times exp(-abs(x)).", lambda g, self, out: g * (i1e(self) - self.sgn() * out)
)
i1: Op = of_one(
    "special.i1", sp.i1, "The modified Bessel function of the first kind of order 1.",
    lambda g, self, out: g * (i0(self) - _over(out, self, 0.5)),
)  # fmt: skip
i1e: Op = of_one(
    "special.i1e", sp.i1e, "`i1` times exp(-abs(x)).",
    lambda g, self, out: g * (i0e(self) - _over(out, self, 0.5) - self.sgn() * out),
)  # fmt: skip
bessel_j0: Op = of_one(
    "special.bessel_j0",
    sp.j0,
    "The Bessel function of the first kind of order 0.",
    lambda g, self: -g * bessel_j1(self),
)
bessel_j1: Op = of_one(
    "special.bessel_j1", sp.j1, "The Bessel function of the first kind of order 1.",
    lambda g, self, out: g * (bessel_j0(self) - _over(out, self, 0.5)),
)  # fmt: skip
bessel_y0: Op = of_one(
    "special.bessel_y0", sp.y0, "The Bessel function of the second kind of order 0.",
    lambda g, self: -g * bessel_y1(self),
)  # fmt: skip
bessel_y1: Op = of_one(
    "special.bessel_y1", sp.y1, "The Bessel function of the second kind of order 1.",
    lambda g, self, out: g * (bessel_y0(self) - out / self),
)  # fmt: skip
modified_bessel_i0: Op = of_one(
    "special.modified_bessel_i0", sp.i0, "The same as `i0`.", lambda g, self: g * modified_bessel_i1(self)
)
modified_bessel_i1: Op = of_one(
    "special.modified_bessel_i1", sp.i1, "The same as `i1`.",
    lambda g, self, out: g * (modified_bessel_i0(self) - _over(out, self, 0.5)),
)  # fmt: skip
modified_bessel_k0: Op = of_one(
    "special.modified_bessel_k0", sp.k0, "The modified Bessel function of the second kind of order 0.",
    lambda g, self: -g * modified_bessel_k1(self),
)  # fmt: skip
modified_bessel_k1: Op = of_one(
    "special.modified_bessel_k1", sp.k1, "The modified Bessel function of the second kind of order 1.",
    lambda g, self, out: -g * (modified_bessel_k0(self) + out / self),
)  # fmt: skip
scaled_modified_bessel_k0: Op = of_one(
    "special.scaled_modified_bessel_k0", sp.k0e, "`modified_bessel_k0` times exp(x).",
    lambda g, self, out: g * (out - scaled_modified_bessel_k1(self)),
)  # fmt: skip
scaled_modified_bessel_k1: Op = of_one(
    "special.scaled_modified_bessel_k1", sp.k1e, "`modified_bessel_k1` times exp(x).",
    lambda g, self, out: g * (out - scaled_modified_bessel_k0(self) - out / self),
)  # fmt: skip
spherical_bessel_j0: Op = of_one(
    "special.spherical_bessel_j0", lambda x: np.where(np.isinf(x), 0, np.sinc(x.astype(np.float64) / np.pi)),
    "The spherical Bessel function of the first kind of order 0: sin(x) / x.",
)  # fmt: skip
airy_ai: Op = of_one("special.airy_ai", lambda x: sp.airy(x)[0], "The Airy function Ai.")
