"""Elementwise programs: functions over expressions, traced once.

A pointwise op is a function over `Expr`, traced once into a `Program` that knows no dtypes. `Program.typed` turns it,
for given input dtypes, into the `TypedProgram` that backends run: a list of instructions over registers, each with one
operand dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .dtypes import DType, float32
from .expr import OPCODES, Expr, Number, call, const, postorder, select
from .typed import Instr, TypedProgram, Typing

__all__ = [
    "OPCODES", "Expr", "Instr", "Number", "Program", "TypedProgram", "call", "const", "postorder", "select",
]  # fmt: skip


class Program:
    """A traced elementwise function of tensors and run-time scalars, without dtypes.

    Args:
        outs: the traced results.
        n_in: how many tensors it reads.
        n_scalar: how many run-time scalars it reads.
    """

    __slots__ = ("_typed", "n_in", "n_scalar", "outs")

    def __init__(self, outs: Sequence[Expr], n_in: int, n_scalar: int) -> None:
        self.outs = tuple(outs)
        self.n_in = n_in
        self.n_scalar = n_scalar
        self._typed: dict[Any, TypedProgram] = {}

    @classmethod
    def trace(cls, fn: Callable[..., Any], n_in: int, n_scalar: int = 0) -> Program:
        """Trace ``fn(*inputs, *scalars)``.

        >>> Program.trace(lambda x, y: x * y + 1, 2).typed((float32, float32)).code[0].op
        'mul'
        """
        args = [Expr("in", (), k) for k in range(n_in)] + [Expr("scalar", (), k) for k in range(n_scalar)]
        outs = fn(*args)
        return cls([const(o) for o in (outs if isinstance(outs, tuple) else (outs,))], n_in, n_scalar)

    def reads(self) -> tuple[list[int], list[int]]:
        """Which inputs and which scalars the outputs depend on."""
        leaves = [(e.op, e.attr) for e in postorder(self.outs) if not e.srcs]
        ins, scalars = ({attr for op, attr in leaves if op == kind} for kind in ("in", "scalar"))
        return sorted(ins), sorted(scalars)

    def typed(
        self,
        ins: Sequence[DType],
        outs: Sequence[DType] | None = None,
        compute: DType | None = None,
        raw: frozenset[int] = frozenset(),
        scalars: Sequence[DType | None] = (),
        default: DType = float32,
    ) -> TypedProgram:
        """The program for given dtypes.

        Args:
            ins: the inputs' dtypes.
            outs: the outputs' dtypes (default: as computed).
            compute: the dtype that inputs are cast to first (default: none).
            raw: inputs that keep their dtype.
            scalars: the scalars' dtypes; None (the default) takes that of the other operand, as Python numbers do.
            default: the floating-point type that a Python float gives to an integer operand.
        """
        key = (tuple(ins), outs and tuple(outs), compute, raw, tuple(scalars), default)
        found = self._typed.get(key)
        if found is None:
            found = self._typed[key] = Typing(self, ins, outs, compute, raw, scalars, default).program()
        return found
