"""Special functions of float64 arrays, accurate to a few units in the last place (lgamma and digamma of negative
numbers near their zeros: of the terms that cancel).

Series and expansions are those of Abramowitz and Stegun, *Handbook of Mathematical Functions*, chapter 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

__all__ = ["digamma", "erf", "erfc", "erfinv", "lgamma"]

Array = np.ndarray[Any, Any]

#: Bernoulli numbers B2, B4, ...
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_EULER = 0.57721566490153286061
#: Where digamma vanishes, in two parts.
_ROOT = (1.4616321449683622, 9.549995429965697715e-17)


def _elementwise(fn: Callable[[float], float]) -> Callable[[Array], Array]:
    ufunc = np.frompyfunc(fn, 1, 1)
    return lambda x: np.asarray(ufunc(x)).astype(np.float64)


erf = _elementwise(math.erf)
erfc = _elementwise(math.erfc)


def erfinv(x: Array) -> Array:
    """The inverse of erf: Winitzki's approximation (2e-3), cubed three times by Halley's method."""
    size = np.abs(x)
    out = np.full(x.shape, np.nan)
    out[size == 1] = np.inf
    inside = size < 1
    p = size[inside]
    a = 0.147
    log = np.log1p(-p * p)
    half = 2 / (math.pi * a) + log / 2
    y = np.sqrt(np.sqrt(half * half - log / a) - half)
    tail = p > 0.5
    for _ in range(3):
        miss = np.empty_like(p)
        miss[~tail] = erf(y[~tail]) - p[~tail]
        miss[tail] = (1 - p[tail]) - erfc(y[tail])  # 1 - p is exact here
        step = miss * (math.sqrt(math.pi) / 2) * np.exp(y * y)
        y = y - step / (1 + y * step)
    out[inside] = y
    return np.asarray(np.copysign(out, x))


def _horner(coefficients: Sequence[float], x: Array) -> Array:
    """c0 + c1 x + c2 x² ..."""
    out = np.full(x.shape, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        out = out * x + c
    return out


def _zeta(s: int, a: float) -> float:
    """Hurwitz's zeta function by Euler and Maclaurin's formula."""
    n = 14
    end = a + n
    terms = [(a + k) ** -s for k in range(n)] + [end ** (1 - s) / (s - 1), 0.5 * end**-s]
    factor = s * end ** (-s - 1)
    for k, b in enumerate(_BERNOULLI, 1):
        terms.append(b * factor / math.factorial(2 * k))
        factor *= (s + 2 * k - 1) * (s + 2 * k) / (end * end)
    return math.fsum(terms)


@cache
def _lgamma_series() -> tuple[float, ...]:
    return (1 - _EULER, *((-1) ** k * _zeta(k, 2) / k for k in range(2, 30)))


@cache
def _digamma_series() -> tuple[float, ...]:
    return tuple((-1) ** (k + 1) * _zeta(k + 1, _ROOT[0]) for k in range(1, 26))


_LGAMMA_TAIL = tuple(b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, 1))
_DIGAMMA_TAIL = tuple(b / (2 * k) for k, b in enumerate(_BERNOULLI, 1))


def _lgamma_near_two(y: Array) -> Array:
    """lgamma(2 + y) for abs(y) <= 1/2 (6.1.33, with the first term of every zeta taken out)."""
    return y * _horner(_lgamma_series(), y)


def _lgamma_positive(x: Array) -> Array:
    """lgamma for x > 1/2."""
    z = np.minimum(x, 8.0)
    product = np.ones_like(x)
    for _ in range(6):
        above = z > 2.5
        z = np.where(above, z - 1, z)
        product = np.where(above, product * z, product)
    below = z < 1.5
    near = _lgamma_near_two(np.where(below, z - 1, z - 2)) - np.where(below, np.log1p(z - 1), 0)
    inverse = 1 / x
    stirling = (x - 0.5) * (np.log(x) - 1) + (0.5 * math.log(2 * math.pi) - 0.5)
    stirling += inverse * _horner(_LGAMMA_TAIL, inverse * inverse)
    return np.where(x < 8, near + np.log(product), stirling)


def lgamma(x: Array) -> Array:
    """The logarithm of the gamma function's size; infinite at 0, -1, -2 ..."""
    size = np.abs(x)
    small = size <= 0.5
    positive = _lgamma_positive(np.where(small, 1.0, size))
    tiny = np.where(small, x, 0.25)
    at_zero = _lgamma_near_two(tiny) - np.log1p(tiny) - np.log(np.abs(tiny))
    sine = np.abs(np.sin(math.pi * (x - np.rint(x))))
    reflected = math.log(math.pi) - np.log(sine) - np.log(size) - positive
    out = np.where(small, at_zero, np.where(x > 0, positive, reflected))
    return np.where(np.isnan(x), x, np.where(np.isinf(x), np.inf, out))


def _digamma_positive(x: Array) -> Array:
    z, total = x, np.zeros_like(x)
    for _ in range(10):
        below = z < 10
        total = np.where(below, total - 1 / z, total)
        z = np.where(below, z + 1, z)
    square = 1 / (z * z)
    total += np.log(z) - 0.5 / z - square * _horner(_DIGAMMA_TAIL, square)
    distance = (x - _ROOT[0]) - _ROOT[1]
    near = np.abs(distance) < 0.3
    distance = np.where(near, distance, 0)
    return np.where(near, distance * _horner(_digamma_series(), distance), total)


def digamma(x: Array) -> Array:
    """The derivative of lgamma; minus or plus infinity at 0 and -0, NaN at -1, -2 ..."""
    negative = x < 0
    positive = _digamma_positive(np.where(negative, 1 - x, x))
    off = np.where(negative, x - np.rint(x), 0.25)
    reflected = positive - math.pi / np.tan(math.pi * off)
    out = np.where(negative, np.where(off == 0, np.nan, reflected), positive)
    return np.where(x == 0, np.copysign(np.inf, -x), out)
