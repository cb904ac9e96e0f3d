"""Expressions of elementwise programs: the instruction set, and the values that a traced function computes with.

What each opcode computes is written in docs/programs.md and executed by `reference/opcodes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

from .dtypes import DType, int64, uint32, uint64
from .errors import refuse

__all__ = ["OPCODES", "Expr", "Number", "call", "const", "postorder", "select"]

#: Opcode -> how the result's dtype follows from the operands': "same", "bool", "real", "complex" or a dtype.
OPCODES: dict[str, str | DType] = (
    dict.fromkeys(
        "add sub mul div floordiv rem fmod pow neg abs sign maximum minimum fmax fmin "
        "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
        "sigmoid erf erfc erfinv lgamma digamma floor ceil round trunc atan2 hypot copysign nextafter "
        "and or xor not shl shr where conj cast bitcast".split(),
        "same",
    )
    | dict.fromkeys("eq ne lt le gt ge isnan isinf isfinite signbit".split(), "bool")
    | {"real": "real", "imag": "real", "angle": "real", "complex": "complex"}
    | {"iota": int64, "philox32": uint32, "philox64": uint64}
)

Number = bool | int | float | complex


def _operator(op: str, reflected: bool = False) -> Callable[[Expr, Any], Expr]:
    """A method that writes one instruction of two operands."""
    return (lambda self, o: call(op, o, self)) if reflected else (lambda self, o: call(op, self, o))


class Expr:
    """A value inside a program that is being traced; arithmetic on it writes instructions down.

    Attributes:
        op: an opcode, or ``"in"``, ``"scalar"``, ``"const"`` for leaves, or ``"castlike"``.
        srcs: the operands.
        attr: the index of an input or scalar, the value of a constant, the dtype of a cast.
    """

    __slots__ = ("attr", "op", "srcs")

    def __init__(self, op: str, srcs: tuple[Expr, ...] = (), attr: Any = None) -> None:
        self.op = op
        self.srcs = srcs
        self.attr = attr

    def __repr__(self) -> str:
        if self.op in ("in", "scalar", "const"):
            return f"{self.op}:{self.attr}"
        return f"{self.op}({', '.join(map(repr, self.srcs))})"

    def __mul__(self, o: Any) -> Expr:
        return self if type(o) in (int, float) and o == 1 else call("mul", self, o)

    def __rmul__(self, o: Any) -> Expr:
        return self if type(o) in (int, float) and o == 1 else call("mul", o, self)

    def __pow__(self, o: Any) -> Expr:
        if type(o) in (int, float) and o in (1, 2):
            return self if o == 1 else self * self
        return call("pow", self, o)

    __add__, __radd__ = _operator("add"), _operator("add", True)
    __sub__, __rsub__ = _operator("sub"), _operator("sub", True)
    __truediv__, __rtruediv__ = _operator("div"), _operator("div", True)
    __floordiv__, __mod__, __rpow__ = _operator("floordiv"), _operator("rem"), _operator("pow", True)
    __and__, __or__, __xor__ = _operator("and"), _operator("or"), _operator("xor")
    __lshift__, __rshift__ = _operator("shl"), _operator("shr")
    __lt__, __le__, __gt__, __ge__ = map(_operator, ("lt", "le", "gt", "ge"))
    #: Equality and inequality as values (``==`` stays identity, so that expressions can be keys).
    eq, ne = _operator("eq"), _operator("ne")

    def __neg__(self) -> Expr:
        return call("neg", self)

    def __invert__(self) -> Expr:
        return call("not", self)

    def __abs__(self) -> Expr:
        return call("abs", self)

    def __getattr__(self, name: str) -> Callable[..., Expr]:
        if name not in OPCODES:
            known = " ".join(sorted(OPCODES))
            raise AttributeError(f"programs have no instruction {name!r}; there are: {known}")
        return lambda *rest: call(name, self, *rest)

    def __bool__(self) -> bool:
        do = "Use select(cond, a, b) instead of if."
        refuse("pointwise", "a traced value has no truth value", do=do, error=TypeError)

    def to(self, dtype: DType) -> Expr:
        """Cast."""
        return Expr("cast", (self,), dtype)

    def bits_as(self, dtype: DType) -> Expr:
        """The same bits seen as another dtype of the same size."""
        return Expr("bitcast", (self,), dtype)

    def like(self, other: Expr) -> Expr:
        """Cast to the dtype that another expression will have."""
        return Expr("castlike", (self, other))


def const(value: Any) -> Expr:
    """A number as an expression."""
    return value if isinstance(value, Expr) else Expr("const", (), value)


def call(op: str, *srcs: Any) -> Expr:
    """Write one instruction."""
    return Expr(op, tuple(const(s) for s in srcs))


def select(cond: Expr, a: Any, b: Any) -> Expr:
    """``a`` where the condition holds, ``b`` elsewhere."""
    return call("where", cond, a, b)


def postorder(roots: Sequence[Expr], until: Container[Expr] = ()) -> list[Expr]:
    """Every expression that some are made of, each once and behind its operands, those of ``until`` without theirs."""
    order: list[Expr] = []
    done: set[Expr] = set()
    stack = [(e, False) for e in reversed(roots)]
    while stack:
        e, ready = stack.pop()
        if ready:
            order.append(e)
        elif e not in done:
            done.add(e)
            stack.append((e, True))
            stack.extend((s, False) for s in (() if e in until else reversed(e.srcs)))
    return order
