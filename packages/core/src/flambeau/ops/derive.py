"""Derivatives of programs: one rule per opcode, one walk; the result is a program again.

Complex numbers follow PyTorch's convention (the conjugate Wirtinger derivative): for a holomorphic f the
gradient of the input is g * conj(f'(x)); `conj` vanishes where the dtype is real.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import refuse
from ..program import Expr, Program, call, const, postorder, select

__all__ = ["RULES", "backward", "given"]

Rule = Callable[..., tuple[Any, ...]]


def _pow(g: Expr, o: Expr, a: Expr, b: Expr) -> tuple[Any, ...]:
    da = select(b.eq(0), 0, g * (b * call("pow", a, b - 1)).conj())
    db = g * select(a.eq(0) & select_real_nonneg(b), 0, o * a.log()).conj()
    return da, db


def select_real_nonneg(b: Expr) -> Expr:
    """Whether the real part is not negative."""
    return b.real() >= 0


def _angle(g: Expr, o: Expr, x: Expr) -> tuple[Any, ...]:
    # d angle = Im(conj(z) dz) / |z|^2; a real argument has a piecewise constant angle.
    size = (x * x.conj()).real()
    return (select(size.eq(0), 0, call("complex", -x.imag(), x.real()) * (g.real() / size)),)


def _atan2(g: Expr, o: Expr, y: Expr, x: Expr) -> tuple[Any, ...]:
    r = x * x + y * y
    return select(r.eq(0), 0, g * x / r), select(r.eq(0), 0, g * -y / r)


def _extreme(below: str) -> Rule:
    def rule(g: Expr, o: Expr, a: Expr, b: Expr) -> tuple[Any, ...]:
        half = select(a.eq(b), g / 2, g)
        return select(call(below, a, b), 0, half), select(call(below, b, a), 0, half)

    return rule


def _extreme_ignoring_nan(at_least: str) -> Rule:
    def rule(g: Expr, o: Expr, a: Expr, b: Expr) -> tuple[Any, ...]:
        first = call(at_least, a, b) | b.isnan()
        return select(first, g, 0), select(first, 0, g)

    return rule


def _trigamma(x: Expr) -> Expr:
    """The derivative of digamma: reflection, ten steps of the recurrence, the asymptotic series.

    Source: M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 6.4.6, 6.4.7 and 6.4.12.
    """
    left = x < 0.5
    z = select(left, 1 - x, x)
    total = 1 / (z * z)
    for k in range(1, 10):
        total = total + 1 / ((z + k) * (z + k))
    y = 1 / (z + 10)
    w = y * y
    series = y + w * 0.5 + y * w * (1 / 6 + w * (-1 / 30 + w * (1 / 42 + w * (-1 / 30 + w * (5 / 66)))))
    sine = (x * math.pi).sin()
    return select(left, math.pi**2 / (sine * sine) - (total + series), total + series)


def _sign(g: Expr, o: Expr, x: Expr) -> tuple[Any, ...]:
    # A complex sign turns with its argument; the part of g along it has no effect. For real numbers that is all of g.
    return (select(o.eq(0), 0, (g - o * (g * o.conj()).real()) / x.abs()),)


_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)


def _zeros(g: Expr, o: Expr, *srcs: Expr) -> tuple[Any, ...]:
    return tuple(g * 0 for _ in srcs)


#: Rules of opcodes with a real result take the real part of g: where that result meets complex numbers, g is complex.
#: opcode -> rule(g, out, *operands) -> a gradient per operand; None: not differentiable in that operand.
#: An opcode without a rule has no derivative yet (an error that names it); `_CONSTANT` ones never have any.
RULES: dict[str, Rule] = {
    "add": lambda g, o, a, b: (g, g),
    "sub": lambda g, o, a, b: (g, -g),
    "mul": lambda g, o, a, b: (g * b.conj(), g * a.conj()),
    "div": lambda g, o, a, b: (g / b.conj(), -g * (o / b).conj()),
    "rem": lambda g, o, a, b: (g, -g * (a / b).floor()),
    "fmod": lambda g, o, a, b: (g, -g * (a / b).trunc()),
    "pow": _pow,
    "neg": lambda g, o, x: (-g,),
    "abs": lambda g, o, x: (x.sign() * g.real(),),
    "maximum": _extreme("lt"),
    "minimum": _extreme("gt"),
    "fmax": _extreme_ignoring_nan("ge"),
    "fmin": _extreme_ignoring_nan("le"),
    "exp": lambda g, o, x: (g * o.conj(),),
    "exp2": lambda g, o, x: (g * o.conj() * math.log(2),),
    "expm1": lambda g, o, x: (g * (o.conj() + 1),),
    "log": lambda g, o, x: (g / x.conj(),),
    "log2": lambda g, o, x: (g / (x.conj() * math.log(2)),),
    "log10": lambda g, o, x: (g / (x.conj() * math.log(10)),),
    "log1p": lambda g, o, x: (g / (x.conj() + 1),),
    "sqrt": lambda g, o, x: (g / (o.conj() * 2),),
    "rsqrt": lambda g, o, x: (g * (o * o * o * -0.5).conj(),),
    "sin": lambda g, o, x: (g * x.cos().conj(),),
    "cos": lambda g, o, x: (g * -x.sin().conj(),),
    "tan": lambda g, o, x: (g * (o * o + 1).conj(),),
    "asin": lambda g, o, x: (g * (1 - x * x).rsqrt().conj(),),
    "acos": lambda g, o, x: (g * -(1 - x * x).rsqrt().conj(),),
    "atan": lambda g, o, x: (g / (x * x + 1).conj(),),
    "sinh": lambda g, o, x: (g * x.cosh().conj(),),
    "cosh": lambda g, o, x: (g * x.sinh().conj(),),
    "tanh": lambda g, o, x: (g * (1 - o * o).conj(),),
    "asinh": lambda g, o, x: (g * (x * x + 1).rsqrt().conj(),),
    "acosh": lambda g, o, x: (g * ((x - 1).rsqrt() * (x + 1).rsqrt()).conj(),),
    "atanh": lambda g, o, x: (g / (1 - x * x).conj(),),
    "sigmoid": lambda g, o, x: (g * ((1 - o) * o).conj(),),
    "erf": lambda g, o, x: (g * (-(x * x)).exp() * _TWO_OVER_SQRT_PI,),
    "erfc": lambda g, o, x: (g * (-(x * x)).exp() * -_TWO_OVER_SQRT_PI,),
    "erfinv": lambda g, o, x: (g * (o * o).exp() * (1 / _TWO_OVER_SQRT_PI),),
    "lgamma": lambda g, o, x: (g * x.digamma(),),
    "digamma": lambda g, o, x: (g * _trigamma(x),),
    "atan2": _atan2,
    "hypot": lambda g, o, a, b: (g * (a / o), g * (b / o)),
    "copysign": lambda g, o, a, b: (select(a.eq(0), 0, g * a.sign() * o.sign()), g * 0),
    "where": lambda g, o, c, a, b: (None, select(c, g, 0), select(c, 0, g)),
    "cast": lambda g, o, x: (g.like(x),),
    "conj": lambda g, o, x: (g.conj(),),
    "real": lambda g, o, x: (g.real(),),
    "imag": lambda g, o, x: (call("complex", g.real() * 0, g.real()),),
    "complex": lambda g, o, re, im: (g.real(), g.imag()),
    "angle": _angle,
    "sign": _sign,
    "castlike": lambda g, o, x, like: (g.like(x), None),
    **dict.fromkeys("floor ceil round trunc floordiv".split(), _zeros),
}

_CONSTANT = frozenset(
    "eq ne lt le gt ge isnan isinf isfinite signbit and or xor not shl shr bitcast iota philox32 philox64 "
    "nextafter".split()
)


def backward(program: Program, wrt: int, op: str, result: int = 0) -> tuple[Program, tuple[int, ...]] | None:
    """The program of a gradient.

    Args:
        program: the function.
        wrt: the input to differentiate by.
        op: the op's name, for messages.
        result: which output the gradient comes in through.

    Returns:
        The program and what it reads after the incoming gradient: indices of inputs, or -1 - k for output k.
        Its scalars are the function's. None where the output doesn't depend on the input differentiably.

    Raises:
        RuntimeError: an opcode on the way has no derivative rule.
    """
    outs = {e: k for k, e in enumerate(program.outs) if e.srcs}
    root = program.outs[result]
    order = postorder([root])
    depends: dict[Expr, bool] = {}
    for e in order:
        leaf = e.op == "in" and e.attr == wrt
        depends[e] = leaf or (e.op not in _CONSTANT and any(depends[s] for s in e.srcs))
    if not depends[root]:
        return None
    incoming = Expr("in", (), "g")
    grads: dict[Expr, Expr] = {root: incoming}
    for e in reversed(order):
        g = grads.get(e)
        if g is None or not depends[e] or not e.srcs:
            continue
        rule = RULES.get(e.op)
        if rule is None:
            wrong = f"has no gradient: its instruction {e.op!r} has no derivative rule"
            refuse(op, wrong, do="Detach its input, or compute the value under no_grad().")
        for src, part in zip(e.srcs, rule(g, e, *e.srcs), strict=True):
            if part is not None and depends[src]:
                part = const(part)
                grads[src] = part if src not in grads else grads[src] + part
    target = next(e for e in order if e.op == "in" and e.attr == wrt)
    return _close(grads[target], outs, program)


def given(program: Program, gradient: Any) -> tuple[Program, tuple[int, ...]]:
    """The program of a gradient that was written by hand, in terms of the incoming one (input "g") and the function's
    own expressions; what it reads is numbered as in `backward`.
    """
    return _close(const(gradient), {e: k for k, e in enumerate(program.outs) if e.srcs}, program)


def _close(expr: Expr, outs: dict[Expr, int], program: Program) -> tuple[Program, tuple[int, ...]]:
    """Renumber the leaves of a gradient: the incoming gradient first, then the inputs and outputs that it reads."""
    reads: list[int] = []
    memo: dict[Expr, Expr] = {}

    def leaf(which: int) -> Expr:
        if which not in reads:
            reads.append(which)
        return Expr("in", (), 1 + reads.index(which))

    for e in postorder([expr], until=outs):
        if e in outs:
            memo[e] = leaf(-1 - outs[e])
        elif e.op == "in":
            memo[e] = Expr("in", (), 0) if e.attr == "g" else leaf(e.attr)
        else:
            memo[e] = Expr(e.op, tuple(memo[s] for s in e.srcs), e.attr) if e.srcs else e
    return Program([memo[expr]], 1 + len(reads), program.n_scalar), tuple(reads)
