"""What every opcode of elementwise programs computes, in NumPy; docs/programs.md says the same in words.

Operands are arrays of at least one dimension and of the instruction's dtype. Functions that are not exact are
computed in double precision and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..program import Instr, TypedProgram
from . import special
from .arrays import NUMPY, Array, cast, number
from .philox import words32, words64

__all__ = ["FUNCTIONS", "evaluate"]

Function = Callable[..., Any]

_DOUBLE = {"f": np.dtype("float64"), "c": np.dtype("complex128")}


def _rounded(fn: Function) -> Function:
    """The function in double precision, rounded to its operands' dtype."""

    def run(*args: Array) -> Array:
        dtype = args[0].dtype
        double = _DOUBLE[dtype.kind]
        out: Array = fn(*(a.astype(double, copy=False) for a in args))
        return out.astype(dtype, copy=False)

    return run


def _whole(fn: Function) -> Function:
    """The function for floats; integers are whole already."""
    return lambda x: fn(x) if x.dtype.kind == "f" else x


def _power(a: Array, b: Array) -> Array:
    if a.dtype.kind in "fc":
        return np.asarray(_rounded(np.power)(a, b))
    if a.dtype.kind == "u":
        return np.asarray(np.power(a, b))
    one = a.dtype.type(1)
    odd = b & one
    inverse = np.where(a == 1, one, np.where(a == -1, one - 2 * odd, a.dtype.type(0)))
    return np.where(b < 0, inverse, np.power(a, np.maximum(b, 0)))


def _shift_left(a: Array, n: Array) -> Array:
    inside = (n >= 0) & (n < a.dtype.itemsize * 8)
    return np.where(inside, np.left_shift(a, np.where(inside, n, 0)), a.dtype.type(0))


def _shift_right(a: Array, n: Array) -> Array:
    bits = a.dtype.itemsize * 8
    inside = (n >= 0) & (n < bits)
    out_of_bits = np.right_shift(a, a.dtype.type(bits - 1)) if a.dtype.kind == "i" else a.dtype.type(0)
    return np.where(inside, np.right_shift(a, np.where(inside, n, 0)), out_of_bits)


def _sigmoid(x: Array) -> Array:
    right = x.real >= 0
    e = np.exp(np.where(right, -x, x))  # never large
    return np.asarray(np.where(right, 1, e) / (1 + e))


def _log1p(x: Array) -> Array:
    if x.dtype.kind == "f":
        return np.asarray(np.log1p(x))
    re, im = x.real, x.imag
    near = np.hypot(re, im) < 0.5
    square = np.where(near, re * (2 + re) + im * im, 0)  # |1 + x|² - 1
    size = np.where(near, 0.5 * np.log1p(square), np.log(np.hypot(1 + re, im)))
    return _complex(size, np.arctan2(im, 1 + re))


def _exp2(x: Array) -> Array:
    return np.asarray(np.exp2(x) if x.dtype.kind == "f" else np.exp(x * np.log(2.0)))


def _complex(re: Array, im: Array) -> Array:
    out = np.empty(np.broadcast_shapes(re.shape, im.shape), np.result_type(re, np.complex64))
    out.real, out.imag = re, im
    return out


def _angle(z: Array) -> Array:
    return np.asarray(_rounded(np.arctan2)(z.imag, z.real))


def _signbit(x: Array) -> Array:
    return np.asarray(np.signbit(x) if x.dtype.kind == "f" else x < 0)


#: Opcode -> function of its operands.
FUNCTIONS: dict[str, Function] = {
    # Exact, or rounded once by the processor
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.true_divide,
    "floordiv": np.floor_divide,
    "rem": np.remainder,
    "fmod": np.fmod,
    "pow": _power,
    "neg": np.negative,
    "abs": np.absolute,
    "sign": np.sign,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "fmax": np.fmax,
    "fmin": np.fmin,
    "sqrt": np.sqrt,
    "floor": _whole(np.floor),
    "ceil": _whole(np.ceil),
    "round": _whole(np.rint),
    "trunc": _whole(np.trunc),
    "copysign": np.copysign,
    "nextafter": np.nextafter,
    # Rounded from double precision
    "exp": _rounded(np.exp),
    "exp2": _rounded(_exp2),
    "expm1": _rounded(np.expm1),
    "log": _rounded(np.log),
    "log2": _rounded(np.log2),
    "log10": _rounded(np.log10),
    "log1p": _rounded(_log1p),
    "rsqrt": _rounded(lambda x: 1 / np.sqrt(x)),
    "sin": _rounded(np.sin),
    "cos": _rounded(np.cos),
    "tan": _rounded(np.tan),
    "asin": _rounded(np.arcsin),
    "acos": _rounded(np.arccos),
    "atan": _rounded(np.arctan),
    "sinh": _rounded(np.sinh),
    "cosh": _rounded(np.cosh),
    "tanh": _rounded(np.tanh),
    "asinh": _rounded(np.arcsinh),
    "acosh": _rounded(np.arccosh),
    "atanh": _rounded(np.arctanh),
    "sigmoid": _rounded(_sigmoid),
    "erf": _rounded(special.erf),
    "erfc": _rounded(special.erfc),
    "erfinv": _rounded(special.erfinv),
    "lgamma": _rounded(special.lgamma),
    "digamma": _rounded(special.digamma),
    "atan2": _rounded(np.arctan2),
    "hypot": _rounded(np.hypot),
    # Comparisons
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "signbit": _signbit,
    # Bits
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
    "shl": _shift_left,
    "shr": _shift_right,
    # Choice and parts
    "where": np.where,
    "conj": np.conjugate,
    "real": np.real,
    "imag": np.imag,
    "angle": _angle,
    "complex": _complex,
}


def _iota(shape: Sequence[int]) -> Array:
    return np.arange(np.prod(shape, dtype=np.int64), dtype=np.int64).reshape(shape)


#: Opcodes that make their values from the shape of the output: opcode -> function(shape, *operands).
SOURCES: dict[str, Function] = {"iota": _iota, "philox32": words32, "philox64": words64}


def _step(i: Instr, shape: Sequence[int], srcs: Sequence[Array]) -> Array:
    if i.op == "cast":
        return cast(srcs[0], i.dtype, i.out)
    if i.op == "bitcast":
        return srcs[0].view(NUMPY[i.out])
    if i.op in SOURCES:
        return np.asarray(SOURCES[i.op](shape, *srcs))
    return np.asarray(FUNCTIONS[i.op](*srcs))


def evaluate(
    program: TypedProgram, shape: Sequence[int], ins: Sequence[Array], scalars: Sequence[Any]
) -> list[Array]:
    """Run a program on arrays of one shape (or that broadcast to it); results may be the inputs themselves."""
    shape = (1, *shape)  # 0-d arrays would turn into NumPy's scalars, which compute by other rules
    registers = [a[None] for a in ins]
    registers += [number(v, d) for v, d in zip(scalars, program.scalars, strict=True)]
    registers += [number(v, d) for v, d in program.consts]
    for i in program.code:
        registers.append(_step(i, shape, [registers[s] for s in i.srcs]))
    # A result of constants alone has one element, and broadcasts.
    return [np.broadcast_to(registers[r], shape)[0] for r in program.results]
