"""Orthogonal polynomials by their recurrences.

Source: M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 22.7 and 22.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.plugin import Op

from .._records import Space
from ._elementwise import of_two, promoted

if TYPE_CHECKING:
    from flambeau import Tensor
    from flambeau.plugin import Number

__all__ = [
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
]

special = Space("special")

#: name -> (value of order 1 from x, next value from (x, k, value of order k, of order k - 1)).
_Step = Callable[[Any, int, Any, Any], Any]
_RECURRENCES: dict[str, tuple[Callable[[Any], Any], _Step, str]] = {
    "chebyshev_polynomial_t": (lambda x: x, lambda x, k, p, q: 2 * x * p - q, "Chebyshev polynomial of the first kind"),
    "chebyshev_polynomial_u": (lambda x: 2 * x, lambda x, k, p, q: 2 * x * p - q,
                               "Chebyshev polynomial of the second kind"),
    "chebyshev_polynomial_v": (lambda x: 2 * x - 1, lambda x, k, p, q: 2 * x * p - q,
                               "Chebyshev polynomial of the third kind"),
    "chebyshev_polynomial_w": (lambda x: 2 * x + 1, lambda x, k, p, q: 2 * x * p - q,
                               "Chebyshev polynomial of the fourth kind"),
    "hermite_polynomial_h": (lambda x: 2 * x, lambda x, k, p, q: 2 * x * p - 2 * k * q,
                             "physicists' Hermite polynomial"),
    "hermite_polynomial_he": (lambda x: x, lambda x, k, p, q: x * p - k * q, "probabilists' Hermite polynomial"),
    "laguerre_polynomial_l": (lambda x: 1 - x, lambda x, k, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1),
                              "Laguerre polynomial"),
    "legendre_polynomial_p": (lambda x: x, lambda x, k, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1),
                              "Legendre polynomial"),
}  # fmt: skip
#: Orders beyond which Hermite polynomials overflow, so that nothing is computed.
_HERMITE_LIMIT = {"float32": 128, "float64": 512}


def _evaluated(name: str, shifted: bool) -> Callable[[Any, Any], Any]:
    first, step, _ = _RECURRENCES[name]

    def run(x: Any, n: Any) -> Any:
        limit = _HERMITE_LIMIT[x.dtype.name] if "hermite" in name else None
        bad = np.isnan(n)
        order = np.clip(np.where(bad, 0, n), -1, 2**31).astype(np.int64)
        x, order = np.broadcast_arrays(x.astype(np.float64), order)
        x = 2 * x - 1 if shifted else x
        most = int(order.max(initial=0)) if limit is None else min(int(order.max(initial=0)), limit)
        out = np.where(order == 0, 1.0, 0.0)
        before, now = np.ones(x.shape), first(x)
        for k in range(1, most + 1):
            out = np.where(order == k, now, out)
            before, now = now, step(x, k, now, before)
        if limit is not None:
            out = np.where(order > limit, np.nan, out)
        return out

    return run


def _record(name: str, base: str, shifted: bool) -> Op:
    values = of_two(f"special.{name}_values", _evaluated(base, shifted), None, None)

    def fn(self: Tensor | Number, n: Tensor | Number) -> Any:
        return values(*promoted(f"special.{name}", self, n))

    fn.__name__ = name
    fn.__doc__ = f"""The {_RECURRENCES[base][2]} of order n{", at 2x - 1" if shifted else ""}; 0 for negative orders.

    Args:
        self: the point x.
        n: the order; fractions are cut off.
    """
    return special.composite()(fn)


chebyshev_polynomial_t = _record("chebyshev_polynomial_t", "chebyshev_polynomial_t", False)
chebyshev_polynomial_u = _record("chebyshev_polynomial_u", "chebyshev_polynomial_u", False)
chebyshev_polynomial_v = _record("chebyshev_polynomial_v", "chebyshev_polynomial_v", False)
chebyshev_polynomial_w = _record("chebyshev_polynomial_w", "chebyshev_polynomial_w", False)
hermite_polynomial_h = _record("hermite_polynomial_h", "hermite_polynomial_h", False)
hermite_polynomial_he = _record("hermite_polynomial_he", "hermite_polynomial_he", False)
laguerre_polynomial_l = _record("laguerre_polynomial_l", "laguerre_polynomial_l", False)
legendre_polynomial_p = _record("legendre_polynomial_p", "legendre_polynomial_p", False)
shifted_chebyshev_polynomial_t = _record("shifted_chebyshev_polynomial_t", "chebyshev_polynomial_t", True)
shifted_chebyshev_polynomial_u = _record("shifted_chebyshev_polynomial_u", "chebyshev_polynomial_u", True)
shifted_chebyshev_polynomial_v = _record("shifted_chebyshev_polynomial_v", "chebyshev_polynomial_v", True)
shifted_chebyshev_polynomial_w = _record("shifted_chebyshev_polynomial_w", "chebyshev_polynomial_w", True)
