"""The gamma function's relatives, by SciPy (Cephes and Boost)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special as sp

import flambeau as fb
from flambeau.plugin import Call, Op

from .._records import Space, like
from ._elementwise import _floating, _on_arrays, _refuse_complex, of_two, promoted

if TYPE_CHECKING:
    from flambeau import Tensor
    from flambeau.plugin import Number

__all__ = ["gammainc", "gammaincc", "multigammaln", "polygamma", "zeta"]

special = Space("special")
top = Space("")


def _density(self: Any, other: Any) -> Any:
    """The density of the gamma distribution of shape ``self``."""
    return (fb.xlogy(self - 1, other) - other - self.lgamma()).exp()


def _series(a: Any, x: Any) -> Any:
    """The derivative of the regularised lower incomplete gamma function by its first argument.

    Central differences of SciPy's function would lose half the digits; this is the series of the function,
    x**a e**-x sum x**k / Gamma(a + k + 1), differentiated term by term, for x up to about a + 1, and Gauss' continued
    fraction of the upper function, differentiated along, beyond (W. Gautschi, 1979, has both undifferentiated).
    """
    a, x = np.broadcast_arrays(a.astype(np.float64), x.astype(np.float64))
    out = np.zeros(a.shape)
    low = (x < a + 1) & (x > 0) & (a > 0)
    A, X = a[low], x[low]
    term, slope = 1 / A, -1 / A**2  # of sum x**k / (a (a+1) ... (a+k))
    total, total_slope = term.copy(), slope.copy()
    for k in range(1, 1000):
        slope = slope * X / (A + k) - term * X / (A + k) ** 2
        term = term * X / (A + k)
        total += term
        total_slope += slope
        if not A.size or (np.abs(slope) <= 1e-17 * np.abs(total_slope)).all():
            break
    front = np.exp(A * np.log(X) - X - sp.gammaln(A))
    out[low] = front * ((np.log(X) - sp.digamma(A)) * total + total_slope)
    high = (x >= a + 1) & np.isfinite(x) & (a > 0)
    A, X = a[high], x[high]
    # Q = front / F with F by Lentz' method, every quantity with its derivative by a.
    tiny = 1e-300
    b, db = X + 1 - A, -np.ones_like(A)
    c, dc = np.full_like(A, 1 / tiny), np.zeros_like(A)
    d = 1 / b
    dd = -d * d * db
    h, dh = d.copy(), dd.copy()
    for k in range(1, 2000):
        an, dan = -k * (k - A), np.full_like(A, float(k))
        b = b + 2
        t, dt = an * d + b, dan * d + an * dd + db
        t = np.where(np.abs(t) < tiny, tiny, t)
        d, dd = 1 / t, -dt / (t * t)
        dc = db + dan / c - an * dc / (c * c)
        c = b + an / c
        c = np.where(np.abs(c) < tiny, tiny, c)
        step, dstep = d * c, dd * c + d * dc
        dh = dh * step + h * dstep
        h = h * step
        if not A.size or ((np.abs(step - 1) <= 1e-15).all() and (np.abs(dstep) <= 1e-15).all()):
            break
    front = np.exp(A * np.log(X) - X - sp.gammaln(A))
    out[high] = -front * ((np.log(X) - sp.digamma(A)) * h + dh)
    return out


#: d P(a, x) / d a, which nobody differentiates further.
gamma_slope = of_two("special.gammainc_slope", _series, None, None)
_lower = of_two(
    "special.gammainc_values", sp.gammainc,
    lambda g, self, other: g * gamma_slope(self, other), lambda g, self, other: g * _density(self, other),
)  # fmt: skip
_upper = of_two(
    "special.gammaincc_values", sp.gammaincc,
    lambda g, self, other: -g * gamma_slope(self, other), lambda g, self, other: -g * _density(self, other),
)  # fmt: skip


@top.composite(name="igamma", inplace=True)
def gammainc(self: Tensor, other: Tensor) -> Any:
    """The regularised lower incomplete gamma function.

    Args:
        self: the shape a, not negative.
        other: the limit x, not negative.

    >>> import flambeau as fb
    >>> fb.igamma(fb.tensor(1.), fb.tensor(1.))
    tensor(0.6321)
    """
    for name, value in (("input", self), ("other", other)):
        if not isinstance(value, fb.Tensor):
            raise TypeError(f"[igamma] argument '{name}' must be Tensor, not {type(value).__name__}.")
    return _lower(*promoted("igamma", self, other, integers=False))


@top.composite(name="igammac", inplace=True)
def gammaincc(self: Tensor, other: Tensor) -> Any:
    """The regularised upper incomplete gamma function, 1 - `igamma`.

    >>> import flambeau as fb
    >>> fb.igammac(fb.tensor(1.), fb.tensor(1.))
    tensor(0.3679)
    """
    for name, value in (("input", self), ("other", other)):
        if not isinstance(value, fb.Tensor):
            raise TypeError(f"[igammac] argument '{name}' must be Tensor, not {type(value).__name__}.")
    return _upper(*promoted("igammac", self, other, integers=False))


_zeta: Op = of_two(
    "special.zeta_values", sp.zeta, None, lambda g, self, other: g * -self * _zeta(self + 1, other)
)


@special.composite()
def zeta(self: Tensor | Number, other: Tensor | Number) -> Any:
    """Hurwitz' zeta function: the sum of (k + other) ** -self.

    >>> import flambeau as fb
    >>> fb.special.zeta(fb.tensor([2.]), 1)
    tensor([1.6449])
    """
    return _zeta(*promoted("special.zeta", self, other))


def _trigamma(x: Any) -> Any:
    """By reflection, recurrence and the asymptotic series (Abramowitz & Stegun 6.4.7, 6.4.6, 6.4.12), in x's precision:
    so poles and their neighbourhoods have PyTorch's values."""
    low = x < 0.5
    pi = x.dtype.type(np.pi)
    turned = np.where(low, (pi / np.sin(pi * x)) ** 2, 0)
    z = np.where(low, 1 - x, x)
    out = np.zeros_like(x)
    for _ in range(6):
        out += 1 / (z * z)
        z = z + 1
    y = 1 / (z * z)
    out += (1 + 1 / (2 * z) + y * (1 / 6 - y * (1 / 30 - y / 42))) / z
    return np.where(low, turned - out, out)


def _polygamma(n: int, x: Any) -> Any:
    if n == 0:
        return sp.digamma(x)
    if n == 1:
        return _trigamma(x)
    return (1 if n % 2 else -1) * sp.gamma(n + 1.0) * sp.zeta(n + 1, x.astype(np.float64))


def _polygamma_infer(self: Tensor, n: int) -> Any:
    _refuse_complex("polygamma", self.dtype)
    return Call(like(self, _floating(self.dtype)))


_values: Op = special.host(
    lambda x, n: x, name="polygamma_values", vjp={"self": lambda g, self, n: g * _values(self, n + 1)}
)(_polygamma_infer)
_values.default = lambda self, n: _on_arrays("polygamma", lambda x: _polygamma(n, x), self)


@top.composite(name="polygamma", method=False)
def polygamma(n: int, self: Tensor) -> Any:
    """The n-th derivative of `digamma`.

    Args:
        n: the order, not negative.
        self: real numbers.

    >>> import flambeau as fb
    >>> fb.polygamma(1, fb.tensor([1.]))
    tensor([1.6449])
    """
    if n < 0:
        raise RuntimeError(f"[polygamma] polygamma(n, x) does not support negative n: got n={n}.")
    return _values(self, n)


@top.composite(name="polygamma_method", export="polygamma", function=False, inplace=True)
def _polygamma_method(self: Tensor, n: int) -> Any:
    """The n-th derivative of `digamma`; see `flambeau.special.polygamma`."""
    return polygamma(n, self)


@top.composite(name="mvlgamma", inplace=True)
def multigammaln(self: Tensor, p: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension p.

    Args:
        self: larger than (p - 1) / 2.
        p: the dimension.

    >>> import flambeau as fb
    >>> fb.mvlgamma(fb.tensor([2.]), 2)
    tensor([0.4516])
    """
    if p < 1:
        raise RuntimeError(f"[mvlgamma] p has to be greater than or equal to 1: got {p}.")
    _refuse_complex("mvlgamma", self.dtype)
    x = self.to(fb.get_default_dtype()) if self.dtype.rank < 2 else self
    steps = fb.arange(p, dtype=x.dtype, device=x.device) * -0.5
    return (x.unsqueeze(-1) + steps).lgamma().sum(-1) + p * (p - 1) / 4 * math.log(math.pi)


# out= may have any dtype that the result casts to, as PyTorch's.
multigammaln.casts_out = True
