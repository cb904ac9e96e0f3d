"""Programs with dtypes: what backends run, and the pass that makes it of a traced program.

Arithmetic never runs in 16-bit floats: the pass widens them to float32 on the way in and narrows on the way out, so
that no backend needs to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

from .dtypes import DType, bfloat16, bool_, float16, float32, int64, promote_types, uint64
from .expr import OPCODES, Expr, Number, postorder

__all__ = ["Instr", "TypedProgram", "Typing"]


class Instr(NamedTuple):
    """One instruction: opcode, dtype of the operands (of ``where``: of the values), dtype of the result, registers."""

    op: str
    dtype: DType
    out: DType
    srcs: tuple[int, ...]


class TypedProgram:
    """What a backend runs.

    Registers are numbered: inputs, then run-time scalars, then constants, then one per instruction.

    Attributes:
        ins, scalars, outs: dtypes.
        consts: values with their dtypes.
        code: the instructions.
        results: the register of each output.
    """

    __slots__ = ("cache", "code", "consts", "ins", "outs", "results", "scalars")

    def __init__(
        self,
        ins: tuple[DType, ...],
        scalars: tuple[DType, ...],
        consts: tuple[tuple[Number, DType], ...],
        code: tuple[Instr, ...],
        results: tuple[int, ...],
        outs: tuple[DType, ...],
    ) -> None:
        self.ins, self.scalars, self.consts = ins, scalars, consts
        self.code, self.results, self.outs = code, results, outs
        self.cache: dict[Any, Any] = {}  # for backends: what they made of this program

    def fit(self, numbers: Sequence[Any]) -> list[Number]:
        """Run-time numbers as `Backend.run_program` gets them: of the scalars' dtypes, integers wrapped."""
        return [_fit(value, dtype) for value, dtype in zip(numbers, self.scalars, strict=True)]

    def __repr__(self) -> str:
        lines = [f"r{k}: {d.name} = in" for k, d in enumerate(self.ins)]
        lines += [f"r{len(lines) + k}: {d.name} = scalar" for k, d in enumerate(self.scalars)]
        lines += [f"r{len(lines) + k}: {d.name} = {v}" for k, (v, d) in enumerate(self.consts)]
        for i in self.code:
            srcs = " ".join(f"r{s}" for s in i.srcs)
            lines.append(f"r{len(lines)}: {i.out.name} = {i.op}.{i.dtype.name} {srcs}")
        return "\n".join([*lines, "return " + " ".join(f"r{r}" for r in self.results)])


def _weak(value: Number) -> int:
    return next(k for k, kind in enumerate((bool, int, float, complex)) if isinstance(value, kind))


class Typing:
    """One run of the typing pass."""

    def __init__(
        self,
        p: Any,
        ins: Sequence[DType],
        outs: Sequence[DType] | None,
        compute: DType | None,
        raw: frozenset[int],
        scalars: Sequence[DType | None],
        default: DType,
    ) -> None:
        self.p, self.ins, self.outs = p, tuple(ins), outs
        self.compute = _widen(compute) if compute else None
        self.raw = raw
        self.scalar_dtypes: list[DType | None] = [*scalars, *[None] * (p.n_scalar - len(scalars))]
        self.default = _widen(default)
        self.consts: dict[tuple[str, DType], tuple[int, Number]] = {}
        self.rows: list[tuple[str, DType, DType, tuple[Any, ...]]] = []
        self.seen: dict[Any, tuple[Any, DType]] = {}
        # A value is (register, dtype); a register is ("in", k), ("scalar", k), ("const", k) or ("row", k).
        self.values: dict[Expr, tuple[Any, DType | None]] = {}

    def emit(self, op: str, dtype: DType, out: DType, *srcs: Any) -> tuple[Any, DType]:
        key = (op, dtype, out, srcs)
        found = self.seen.get(key)
        if found is None:
            self.rows.append((op, dtype, out, srcs))
            found = self.seen[key] = (("row", len(self.rows) - 1), out)
        return found

    def cast(self, value: tuple[Any, DType | None], to: DType) -> tuple[Any, DType]:
        reg, dtype = value
        if dtype is None:  # a weak leaf
            if reg[0] == "scalar":
                k = reg[1]
                held = self.scalar_dtypes[k]
                if held is None:
                    self.scalar_dtypes[k] = held = to
                return self.cast((reg, held), to) if held is not to else (reg, to)
            return self.constant(reg[1], to)
        return (reg, dtype) if dtype is to else self.emit("cast", dtype, to, reg)

    def constant(self, value: Number, dtype: DType) -> tuple[Any, DType]:
        key = (repr(value), dtype)
        if key not in self.consts:
            self.consts[key] = (len(self.consts), value)
        return ("const", self.consts[key][0]), dtype

    def weak_type(self, reg: Any) -> DType:
        if reg[0] == "scalar":
            return self.compute or self.default
        # Constants among themselves are as precise as what they will meet.
        real = self.default if self.compute is None or self.compute.rank < 2 else self.compute.to_real()
        return (bool_, int64, real, real.to_complex())[_weak(reg[1])]

    def common(self, values: Sequence[tuple[Any, DType | None]]) -> DType:
        """The dtype that operands meet in: tensors decide, numbers follow unless their kind is higher."""
        strong = [d for _, d in values if d is not None]
        out = reduce(promote_types, strong or [self.weak_type(reg) for reg, _ in values])
        if not strong:
            return out
        for reg, held in values:
            if held is None and reg[0] == "const":
                weak = self.weak_type(reg)
                if weak.rank > out.rank:
                    out = out.to_complex() if weak.rank == 3 and out.rank == 2 else weak
        return out

    def leaf(self, e: Expr) -> tuple[Any, DType | None]:
        if e.op == "in":
            reg, dtype = ("in", e.attr), self.ins[e.attr]
            if self.compute is not None and e.attr not in self.raw:
                return self.cast((reg, dtype), self.compute)
            return self.cast((reg, dtype), _widen(dtype))
        if e.op == "scalar":
            return ("scalar", e.attr), self.scalar_dtypes[e.attr]
        return ("const", e.attr), None

    def visit(self, e: Expr) -> tuple[Any, DType | None]:
        if not e.srcs and e.op in ("in", "scalar", "const"):
            return self.leaf(e)
        srcs = [self.values[s] for s in e.srcs]
        op = e.op
        if op == "cast":
            return self.cast(srcs[0], _widen(e.attr)) if srcs[0][1] or e.attr else srcs[0]
        if op == "castlike":
            return self.cast(srcs[0], srcs[1][1]) if srcs[1][1] is not None else srcs[0]
        if op == "bitcast":
            reg, dtype = self.cast(srcs[0], self.common(srcs))
            return self.emit(op, dtype, e.attr, reg)
        if op == "where":
            cond = self.cast(srcs[0], bool_)
            dtype = self.common(srcs[1:])
            a, b = (self.cast(s, dtype) for s in srcs[1:])
            return self.emit(op, dtype, dtype, cond[0], a[0], b[0])
        if op in ("iota", "philox32", "philox64"):
            out = OPCODES[op]
            assert isinstance(out, DType)
            return self.emit(op, uint64, out, *(self.cast(s, uint64)[0] for s in srcs))
        if op in ("conj", "real") and srcs[0][0][0] == "const" and not isinstance(srcs[0][0][1], complex):
            return srcs[0]
        dtype = self.common(srcs)
        rule = OPCODES[op]
        if not dtype.is_complex and op in ("conj", "real"):
            return self.cast(srcs[0], dtype)
        if dtype is bool_ and op == "sign":
            return self.cast(srcs[0], dtype)
        if dtype.is_complex and op == "sign":
            return self.complex_sign(self.cast(srcs[0], dtype))
        if dtype.rank < 2 and op in _FLOAT_ONLY:
            dtype = self.compute if self.compute is not None and self.compute.rank >= 2 else self.default
        out = bool_ if rule == "bool" else dtype
        if rule == "real" or (op == "abs" and dtype.is_complex):
            out = dtype.to_real()
        elif rule == "complex":
            out = dtype.to_complex()
        return self.emit(op, dtype, out, *(self.cast(s, dtype)[0] for s in srcs))

    def complex_sign(self, z: tuple[Any, DType]) -> tuple[Any, DType]:
        c, r = z[1], z[1].to_real()
        size = self.emit("abs", c, r, z[0])
        zero = self.constant(0, r)
        at_zero = self.emit("eq", r, bool_, size[0], zero[0])
        unit = self.emit("div", c, c, z[0], self.cast(size, c)[0])
        return self.emit("where", c, c, at_zero[0], self.constant(0, c)[0], unit[0])

    def program(self) -> TypedProgram:
        for e in postorder(self.p.outs):
            self.values[e] = self.visit(e)
        results, out_dtypes = [], []
        for k, o in enumerate(self.p.outs):
            value = self.values[o]
            want = self.outs[k] if self.outs is not None else value[1] or self.common([value])
            reg, dtype = self.cast(value, want)
            results.append(reg)
            out_dtypes.append(dtype)
        n_in, n_sc, n_c = self.p.n_in, self.p.n_scalar, len(self.consts)
        base: dict[str, int] = {"in": 0, "scalar": n_in, "const": n_in + n_sc, "row": n_in + n_sc + n_c}
        live = self.live(results)
        place = {k: n for n, k in enumerate(sorted(live))}

        def number(reg: Any) -> int:
            return base[reg[0]] + (place[reg[1]] if reg[0] == "row" else reg[1])

        rows = [self.rows[k] for k in sorted(live)]
        code = tuple(Instr(op, dtype, out, tuple(map(number, srcs))) for op, dtype, out, srcs in rows)
        consts = tuple((_fit(v, d), d) for (_, d), (_, v) in self.consts.items())
        scalars = tuple(d or self.compute or self.default for d in self.scalar_dtypes)
        return TypedProgram(self.ins, scalars, consts, code, tuple(map(number, results)), tuple(out_dtypes))

    def live(self, results: Sequence[Any]) -> set[int]:
        live: set[int] = set()
        stack = [r[1] for r in results if r[0] == "row"]
        while stack:
            k = stack.pop()
            if k not in live:
                live.add(k)
                stack.extend(s[1] for s in self.rows[k][3] if s[0] == "row")
        return live


_FLOAT_ONLY = frozenset(
    "div exp exp2 expm1 log log2 log10 log1p sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
    "sigmoid erf erfc erfinv lgamma digamma atan2 hypot copysign nextafter complex".split()
)


def _widen(dtype: DType) -> DType:
    return float32 if dtype is float16 or dtype is bfloat16 else dtype


def _fit(value: Number, dtype: DType) -> Number:
    if dtype.is_complex:
        return complex(value)
    assert not isinstance(value, complex)
    if not dtype.is_integer:
        return bool(value) if dtype is bool_ else float(value)
    bits = dtype.itemsize * 8
    word = int(value) & ((1 << bits) - 1)
    return word - (1 << bits) if word >> (bits - 1) and dtype.is_signed else word
