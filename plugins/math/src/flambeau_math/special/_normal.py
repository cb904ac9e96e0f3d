"""Functions around the normal distribution, and the elementary ones that need care at a point."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from scipy import special as sp

from flambeau.plugin import Expr, call, no_complex, select

from .._records import Space
from ._elementwise import of_one

if TYPE_CHECKING:
    from flambeau import Tensor
    from flambeau.plugin import Number

__all__ = ["entr", "erfcx", "log_ndtr", "logit", "ndtr", "ndtri", "sinc", "xlog1py"]

special = Space("special")
top = Space("")
_ROOT_TWO_PI = math.sqrt(2 * math.pi)

erfcx = of_one(
    "special.erfcx", sp.erfcx, "The scaled complementary error function exp(x**2) * erfc(x).",
    lambda g, self, out: g * (2 * self * out - 2 / math.sqrt(math.pi)),
)  # fmt: skip
ndtri = of_one(
    "special.ndtri", sp.ndtri, "The inverse of `ndtr`.",
    lambda g, out: g * (out * out * 0.5).exp() * _ROOT_TWO_PI,
)  # fmt: skip
log_ndtr = of_one(
    "special.log_ndtr", sp.log_ndtr, "The logarithm of `ndtr`, precise far to the left.",
    lambda g, self, out: g * (self * self * -0.5 - out).exp() * (1 / _ROOT_TWO_PI),
)  # fmt: skip


@special.pointwise(result="float", check=no_complex)
def ndtr(self: Tensor) -> Any:
    """The area under the standard normal density to the left of x.

    >>> import flambeau as fb
    >>> fb.special.ndtr(fb.tensor([0.]))
    tensor([0.5000])
    """
    return call("erfc", self * -math.sqrt(0.5)) * 0.5


@special.pointwise(result="float", check=no_complex)
def entr(self: Tensor) -> Any:
    """``-x * log(x)``, 0 at 0, -inf for negative numbers.

    >>> import flambeau as fb
    >>> fb.special.entr(fb.tensor([-1., 0., 1.]))
    tensor([-inf, 0., -0.])
    """
    x: Any = self
    positive = call("gt", x, 0)
    inside = -(x * call("log", x))
    other = select(call("eq", x, 0), 0.0, -math.inf)
    return select(positive | call("ne", x, x), inside, other)


@special.pointwise(result="float", check=no_complex)
def xlog1py(self: Tensor | Number, other: Tensor | Number) -> Any:
    """``self * log1p(other)``, 0 where self is 0.

    >>> import flambeau as fb
    >>> fb.special.xlog1py(fb.tensor([0.]), fb.tensor([-1.]))
    tensor([0.])
    """
    # Only where the logarithm isn't finite, so that the derivative by self stays right at 0.
    zero = call("eq", self, 0) & (call("le", other, -1) | call("eq", other, math.inf))
    inside = select(zero, 0, other)
    return select(zero, 0, call("mul", self, call("log1p", inside)))


@top.pointwise(result="float", inplace=True)
def sinc(self: Tensor) -> Any:
    """sin(pi * x) / (pi * x), 1 at 0.

    >>> import flambeau as fb
    >>> fb.sinc(fb.tensor([0., 0.5]))
    tensor([1.0000, 0.6366])
    """
    zero = call("eq", self, 0)
    x: Expr = select(zero, 1, self) * math.pi
    return select(zero, 1, x.sin() / x)


@top.pointwise(result="float", inplace=True, check=no_complex)
def logit(self: Tensor, eps: float | None = None) -> Any:
    """log(x / (1 - x)), after a clamp to [eps, 1 - eps] if eps is given; NaN outside [0, 1].

    >>> import flambeau as fb
    >>> fb.logit(fb.tensor([0.5, 0.7]))
    tensor([0.0000, 0.8473])
    """
    x: Any = self
    if eps is not None:
        low = call("lt", x, eps)
        x = select(low, eps, select(call("gt", x, 1 - eps), 1 - eps, x))
    return (x / (1 - x)).log()


# out= may have any dtype that the result casts to, as PyTorch's.
sinc.casts_out = logit.casts_out = True
