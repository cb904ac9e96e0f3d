"""Stand-ins for the core's dtypes, specs and programs, and a NumPy runner of opcodes, for the tests of the C engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flambeau_cpu import engine

NAMES = (
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128"
).split()


@dataclass(frozen=True)
class DType:
    """As the core's DType, as far as the engine reads it."""

    name: str
    code: int

    @property
    def np(self) -> np.dtype[Any]:
        return np.dtype("uint16" if self.name == "bfloat16" else self.name)


DTYPES = {name: DType(name, code) for code, name in enumerate(NAMES)}


@dataclass(frozen=True)
class Spec:
    """As the core's Spec, as far as the engine reads it."""

    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass
class Program:
    """As the core's TypedProgram."""

    ins: tuple[DType, ...]
    outs: tuple[DType, ...]
    code: tuple[Any, ...]
    results: tuple[int, ...]
    scalars: tuple[DType, ...] = ()
    consts: tuple[tuple[Any, DType], ...] = field(default=())


def spec_of(a: np.ndarray[Any, Any], dtype: DType | None = None) -> Spec:
    return Spec(dtype or DTYPES[a.dtype.name], a.shape, tuple(s // a.itemsize for s in a.strides))


def run(
    program: Program, outs: list[np.ndarray[Any, Any]], ins: list[np.ndarray[Any, Any]], *scalars: Any
) -> None:
    """Plan and launch on arrays; bfloat16 arrays are uint16."""
    launch = engine.plan_program(
        program,
        [spec_of(a, d) for a, d in zip(outs, program.outs, strict=True)],
        [spec_of(a, d) for a, d in zip(ins, program.ins, strict=True)],
    )
    launch(*(a.ctypes.data for a in outs), *(a.ctypes.data for a in ins), *scalars)


def single(op: str, ins: list[str], out: str) -> Program:
    """The program of one instruction."""
    types = tuple(DTYPES[name] for name in ins)
    operand = types[-1] if op == "where" else types[0]
    return Program(types, (DTYPES[out],), ((op, operand, DTYPES[out], tuple(range(len(ins)))),), (len(ins),))


def apply(
    op: str, arrays: list[np.ndarray[Any, Any]], out: str, dtypes: list[str] | None = None
) -> np.ndarray[Any, Any]:
    """One opcode on arrays of one shape, into a new dense array."""
    names = dtypes or [a.dtype.name for a in arrays]
    result = np.empty(arrays[0].shape, DTYPES[out].np)
    run(single(op, names, out), [result], arrays)
    return result
