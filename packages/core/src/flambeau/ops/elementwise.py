"""Arithmetic, comparison, transcendental and bitwise ops: one program each.

The function of a record is traced: its arguments are values of a program (see `flambeau.program`), its body is
the definition. Gradients are derived.
"""

from __future__ import annotations

from typing import Any

from .. import dtypes as dt
from .._tensor import Tensor
from ..errors import refuse
from ..program import Expr, Number, call, select
from ._check import no_bool, no_complex, no_integers, only_bool_or_int, only_float, only_int, real_numbers
from .pointwise import pointwise

Any_ = Any


def _no_bool_sub(op: str, d: dt.DType) -> None:
    if d is dt.bool_:
        wrong = "Subtraction, the `-` operator, with a bool tensor is not supported: needed: numbers"
        refuse(op, wrong, do="Use `^` or logical_xor(), or `~` to invert a mask.")


def _no_zero(op: str, divisor: Any) -> None:
    zero = bool((divisor == 0).any()) if hasattr(divisor, "spec") else not divisor
    if zero:
        refuse(op, "ZeroDivisionError: integers can't be divided by zero", other=divisor)


def _no_negative(op: str, exponent: Any) -> None:
    if not hasattr(exponent, "spec") and exponent < 0:
        wrong = f"Integers to negative integer powers are not allowed: got {exponent}"
        refuse(op, wrong, do="Use x.float() ** exponent.")


# Arithmetic


@pointwise(inplace=True)
def add(self: Tensor | Number, other: Tensor | Number, *, alpha: Number = 1) -> Any_:
    """``self + alpha * other``.

    >>> import flambeau as fb
    >>> fb.add(fb.tensor([1, 2]), 10, alpha=2)
    tensor([21, 22])
    """
    return self + other * alpha


@pointwise(inplace=True, check=_no_bool_sub, each=True, aliases=("subtract",))
def sub(self: Tensor | Number, other: Tensor | Number, *, alpha: Number = 1) -> Any_:
    """``self - alpha * other``."""
    return self - other * alpha


@pointwise(check=_no_bool_sub, each=True)
def rsub(self: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Any_:
    """``other - alpha * self``."""
    return other - self * alpha


@pointwise(inplace=True, aliases=("multiply",))
def mul(self: Tensor | Number, other: Tensor | Number) -> Any_:
    """``self * other``."""
    return call("mul", self, other)


@pointwise(inplace=True, result="float", name="div_true", public=False)
def _div_true(self: Tensor | Number, other: Tensor | Number) -> Any_:
    return call("div", self, other)


@pointwise(inplace=True, check=real_numbers, public=False)
def div_floor(self: Tensor | Number, other: Tensor | Number) -> Any_:
    """Division rounded down."""
    return call("floordiv", self, other)


@pointwise(check=only_int, public=False)
def div_trunc_int(self: Tensor | Number, other: Tensor | Number) -> Any_:
    """Integer division rounded towards zero."""
    q = call("floordiv", self, other)
    return select(call("lt", q, 0) & call("ne", call("mul", q, other), self), q + 1, q)


@pointwise(inplace=True, check=real_numbers, guard=_no_zero)
def floor_divide(self: Tensor | Number, other: Tensor | Number) -> Any_:
    """``self // other``: division rounded down."""
    return call("floordiv", self, other)


@pointwise(inplace=True, check=real_numbers, guard=_no_zero)
def remainder(self: Tensor | Number, other: Tensor | Number) -> Any_:
    """``self % other``, with the sign of the divisor."""
    return call("rem", self, other)


@pointwise(inplace=True, check=real_numbers, guard=_no_zero)
def fmod(self: Tensor, other: Tensor | Number) -> Any_:
    """The remainder of division with the sign of the dividend."""
    return call("fmod", self, other)


@pointwise(inplace=True, check=no_bool, guard=_no_negative)
def pow(self: Tensor | Number, exponent: Tensor | Number) -> Any_:
    """``self ** exponent``."""
    return call("pow", self, exponent)


@pointwise(name="square", inplace=True, result=lambda d: dt.int64 if d is dt.bool_ else d)
def square(self: Tensor) -> Any_:
    """``self * self``."""
    return self * self


@pointwise(inplace=True, check=no_bool, aliases=("negative",))
def neg(self: Tensor) -> Any_:
    """``-self``."""
    return call("neg", self)


@pointwise(name="abs", inplace=True, result="real", check=no_bool, aliases=("absolute",))
def abs_(self: Tensor) -> Any_:
    """The absolute value (of complex numbers: the real modulus)."""
    return call("abs", self)


@pointwise(inplace=True, check=no_complex)
def sign(self: Tensor) -> Any_:
    """-1, 0 or 1."""
    return call("sign", self)


@pointwise(inplace=True)
def sgn(self: Tensor) -> Any_:
    """``self / abs(self)``, 0 at 0."""
    return call("sign", self)


@pointwise(inplace=True, result="float")
def reciprocal(self: Tensor) -> Any_:
    """``1 / self``."""
    return 1 / self


@pointwise(inplace=True)
def addcmul(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Any_:
    """``self + value * tensor1 * tensor2``."""
    return call("add", self, call("mul", tensor1, tensor2) * value)


def _no_int_addcdiv(op: str, d: dt.DType) -> None:
    if d.rank < 2:
        refuse(op, "Integer division with addcdiv is not supported", do="Use floating-point tensors.")


@pointwise(inplace=True, check=_no_int_addcdiv)
def addcdiv(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Any_:
    """``self + value * tensor1 / tensor2``."""
    return call("add", self, call("div", call("mul", tensor1, value) if value != 1 else tensor1, tensor2))


@pointwise(inplace=True, check=no_integers)
def lerp(self: Tensor, end: Tensor, weight: Tensor | Number) -> Any_:
    """``self + weight * (end - self)``, computed from the nearer end."""
    span = call("sub", end, self)
    w = weight if isinstance(weight, Expr) else call("mul", weight, 1)
    near = call("lt", call("abs", w), 0.5)
    return select(
        near, call("add", self, call("mul", w, span)), call("sub", end, call("mul", span, call("sub", 1, w)))
    )


@pointwise(inplace=True, check=no_complex)
def maximum(self: Tensor, other: Tensor) -> Any_:
    """The larger of each pair; NaN if either is."""
    return call("maximum", self, other)


@pointwise(inplace=True, check=no_complex)
def minimum(self: Tensor, other: Tensor) -> Any_:
    """The smaller of each pair; NaN if either is."""
    return call("minimum", self, other)


@pointwise(check=no_complex)
def fmax(self: Tensor, other: Tensor) -> Any_:
    """The larger of each pair; the other one if one is NaN."""
    return call("fmax", self, other)


@pointwise(check=no_complex)
def fmin(self: Tensor, other: Tensor) -> Any_:
    """The smaller of each pair; the other one if one is NaN."""
    return call("fmin", self, other)


@pointwise(inplace=True, check=no_complex, aliases=("clip",))
def clamp(self: Tensor, min: Tensor | Number | None = None, max: Tensor | Number | None = None) -> Any_:
    """Values limited to ``[min, max]``; NaN stays.

    Raises:
        RuntimeError: neither limit is given.
    """
    if min is None and max is None:
        raise RuntimeError("[clamp] At least one of 'min' or 'max' must not be None: got neither.")
    out: Any = self
    if min is not None:
        inside = call("ge", self, min) | call("ne", self, self)
        out = select(inside, out, min)
    if max is not None:
        out = select(call("le", out, max) | call("ne", out, out), out, max)
    return out


@pointwise(inplace=True, check=no_complex)
def clamp_min(self: Tensor, min: Tensor | Number) -> Any_:
    """Values raised to at least ``min``."""
    return select(call("ge", self, min) | call("ne", self, self), self, min)


@pointwise(inplace=True, check=no_complex)
def clamp_max(self: Tensor, max: Tensor | Number) -> Any_:
    """Values lowered to at most ``max``."""
    return select(call("le", self, max) | call("ne", self, self), self, max)


# Selection


@pointwise(name="where_values", raw=("condition",), public=False)
def _where(condition: Tensor, self: Tensor | Number, other: Tensor | Number) -> Any_:
    return call("where", condition, self, other)


@pointwise(raw=("mask",), public=False, name="masked_fill_values", inplace=True)
def _masked_fill(self: Tensor, mask: Tensor, value: Tensor | Number) -> Any_:
    return call("where", mask, value, self)


# Comparison


@pointwise(result="bool", inplace=True)
def eq(self: Tensor, other: Tensor | Number) -> Any_:
    """``self == other``, elementwise."""
    return call("eq", self, other)


@pointwise(result="bool", inplace=True, aliases=("not_equal",))
def ne(self: Tensor, other: Tensor | Number) -> Any_:
    """``self != other``, elementwise."""
    return call("ne", self, other)


@pointwise(result="bool", inplace=True, check=no_complex, aliases=("less",))
def lt(self: Tensor, other: Tensor | Number) -> Any_:
    """``self < other``, elementwise."""
    return call("lt", self, other)


@pointwise(result="bool", inplace=True, check=no_complex, aliases=("less_equal",))
def le(self: Tensor, other: Tensor | Number) -> Any_:
    """``self <= other``, elementwise."""
    return call("le", self, other)


@pointwise(result="bool", inplace=True, check=no_complex, aliases=("greater",))
def gt(self: Tensor, other: Tensor | Number) -> Any_:
    """``self > other``, elementwise."""
    return call("gt", self, other)


@pointwise(result="bool", inplace=True, check=no_complex, aliases=("greater_equal",))
def ge(self: Tensor, other: Tensor | Number) -> Any_:
    """``self >= other``, elementwise."""
    return call("ge", self, other)


@pointwise(result="bool")
def isnan(self: Tensor) -> Any_:
    """Whether each element is NaN."""
    return call("ne", self, self)


@pointwise(result="bool", check=no_integers, name="isinf_float", public=False)
def _isinf(self: Tensor) -> Any_:
    return call("isinf", self)


@pointwise(result="bool", check=no_integers, name="isfinite_float", public=False)
def _isfinite(self: Tensor) -> Any_:
    return call("isfinite", self)


@pointwise(result="bool", check=real_numbers, name="signbit_number", public=False)
def _signbit(self: Tensor) -> Any_:
    """Whether the sign bit is set (also of -0.0)."""
    return call("signbit", self)


@pointwise(result="bool", inplace=True)
def logical_not(self: Tensor) -> Any_:
    """Whether each element is zero."""
    return call("eq", self, 0)


@pointwise(result="bool", inplace=True)
def logical_and(self: Tensor, other: Tensor) -> Any_:
    """Whether both are non-zero."""
    return call("ne", self, 0) & call("ne", other, 0)


@pointwise(result="bool", inplace=True)
def logical_or(self: Tensor, other: Tensor) -> Any_:
    """Whether either is non-zero."""
    return call("ne", self, 0) | call("ne", other, 0)


@pointwise(result="bool", inplace=True)
def logical_xor(self: Tensor, other: Tensor) -> Any_:
    """Whether exactly one is non-zero."""
    return call("ne", self, 0) ^ call("ne", other, 0)


# Bits


@pointwise(inplace=True, check=only_bool_or_int)
def bitwise_and(self: Tensor | Number, other: Tensor | Number) -> Any_:
    """``self & other``."""
    return call("and", self, other)


@pointwise(inplace=True, check=only_bool_or_int)
def bitwise_or(self: Tensor | Number, other: Tensor | Number) -> Any_:
    """``self | other``."""
    return call("or", self, other)


@pointwise(inplace=True, check=only_bool_or_int)
def bitwise_xor(self: Tensor | Number, other: Tensor | Number) -> Any_:
    """``self ^ other``."""
    return call("xor", self, other)


@pointwise(inplace=True, check=only_bool_or_int)
def bitwise_not(self: Tensor) -> Any_:
    """``~self``."""
    return call("not", self)


@pointwise(inplace=True, check=only_int)
def bitwise_left_shift(self: Tensor | Number, other: Tensor | Number) -> Any_:
    """``self << other``."""
    return call("shl", self, other)


@pointwise(inplace=True, check=only_int)
def bitwise_right_shift(self: Tensor | Number, other: Tensor | Number) -> Any_:
    """``self >> other``."""
    return call("shr", self, other)


# Functions of one variable: name -> (what it computes, whether complex numbers are taken)

_FLOAT_FUNCTIONS = {
    "exp": ("The exponential.", True), "exp2": ("Two to the power.", True), "expm1": ("exp(x) - 1.", True),
    "log": ("The natural logarithm.", True), "log2": ("The logarithm to base 2.", True),
    "log10": ("The logarithm to base 10.", True), "log1p": ("log(1 + x).", True),
    "sqrt": ("The square root.", True), "rsqrt": ("1 / sqrt(x).", True),
    "sin": ("The sine.", True), "cos": ("The cosine.", True), "tan": ("The tangent.", True),
    "asin": ("The inverse sine.", True), "acos": ("The inverse cosine.", True), "atan": ("The inverse tangent.", True),
    "sinh": ("The hyperbolic sine.", True), "cosh": ("The hyperbolic cosine.", True),
    "tanh": ("The hyperbolic tangent.", True), "asinh": ("The inverse hyperbolic sine.", True),
    "acosh": ("The inverse hyperbolic cosine.", True), "atanh": ("The inverse hyperbolic tangent.", True),
    "sigmoid": ("1 / (1 + exp(-x)).", True), "erf": ("The error function.", False),
    "erfc": ("1 - erf(x).", False), "erfinv": ("The inverse error function.", False),
    "lgamma": ("The logarithm of the absolute value of the gamma function.", False),
    "digamma": ("The logarithmic derivative of the gamma function.", False),
}  # fmt: skip
_ARC = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
}


def _one_variable(name: str, doc: str, takes_complex: bool) -> None:
    def fn(self: Tensor) -> Any_:
        return call(name, self)

    fn.__doc__ = doc
    aliases = (_ARC[name],) if name in _ARC else ()
    pointwise(
        name=name, inplace=True, result="float", check=None if takes_complex else no_complex, aliases=aliases
    )(fn)


for _name, (_doc, _complex) in _FLOAT_FUNCTIONS.items():
    _one_variable(_name, _doc, _complex)


def _rounding(name: str, doc: str) -> None:
    def fn(self: Tensor) -> Any_:
        return call(name, self)

    fn.__doc__ = doc
    pointwise(name=name + "_float", public=False, inplace=True, check=only_float)(fn)


for _name, _doc in {
    "floor": "Rounded down.",
    "ceil": "Rounded up.",
    "trunc": "Rounded towards zero.",
    "round": "Rounded to even.",
}.items():
    _rounding(_name, _doc)


@pointwise(inplace=True, result="float", check=no_complex, aliases=("arctan2",))
def atan2(self: Tensor, other: Tensor) -> Any_:
    """The angle of the point (other, self)."""
    return call("atan2", self, other)


@pointwise(inplace=True, result="float", check=no_complex)
def hypot(self: Tensor, other: Tensor) -> Any_:
    """sqrt(self**2 + other**2)."""
    return call("hypot", self, other)


@pointwise(inplace=True, result="float", check=no_complex)
def copysign(self: Tensor, other: Tensor | Number) -> Any_:
    """The magnitude of one with the sign of the other."""
    return call("copysign", self, other)


@pointwise(inplace=True, result="float")
def xlogy(self: Tensor | Number, other: Tensor | Number) -> Any_:
    """``self * log(other)``, 0 where self is 0."""
    # Only where the logarithm isn't finite, so that the derivative by self stays right at 0.
    finite = call("isfinite", call("real", call("log", other)))
    zero = call("eq", self, 0) & call("eq", other, other) & ~finite
    return select(zero, 0, call("mul", self, call("log", select(zero, 1, other))))


# Complex numbers


@pointwise(name="complex_values", result="complex", check=only_float, public=False)
def _complex_values(real: Tensor, imag: Tensor) -> Any_:
    return call("complex", real, imag)
