"""The C engine from Python: elementwise programs as plans, memory, threads, instruction sets.

A plan is a builtin function bound to compiled code for one program and one set of shapes:
`launch(*addresses of outputs, *addresses of inputs, *scalars)`. Calling it costs about as much as a Python method
call; it frees itself with its last reference. This file imports nothing but the C module.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ._C import alloc as allocate
from ._C import bind, ffi, free, lib
from ._C import plan as _plan
from ._C import plan_many as plan_many

__all__ = [
    "MemoryStats",
    "allocate",
    "available_isas",
    "bind",
    "blas_info",
    "copy_plan",
    "empty_cache",
    "encode",
    "fill_plan",
    "free",
    "get_isa",
    "get_num_threads",
    "has_opcode",
    "inject_failure",
    "memory_stats",
    "plan_many",
    "plan_program",
    "reset_peak",
    "set_fusing",
    "set_isa",
    "set_memory_limit",
    "set_num_threads",
]

Launch = Callable[..., None]
ISAS = ("base", "avx2", "avx512")


class DTypeLike(Protocol):
    """What the engine reads of a dtype: the core's DType."""

    @property
    def code(self) -> int: ...


class SpecLike(Protocol):
    """What the engine reads of a spec: the core's Spec."""

    @property
    def dtype(self) -> Any: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...


class ProgramLike(Protocol):
    """What the engine reads of a program: the core's TypedProgram."""

    ins: tuple[Any, ...]
    outs: tuple[Any, ...]
    scalars: tuple[Any, ...]
    consts: tuple[tuple[Any, Any], ...]
    code: tuple[Any, ...]
    results: tuple[int, ...]


# ---- programs ----
def _opcodes() -> dict[str, int]:
    names: dict[str, int] = {}
    while (name := lib.fbc_op_name(len(names))) != ffi.NULL:
        names[ffi.string(name).decode()] = len(names)
    return names


_OPS = _opcodes()
_CASTS = 16 * len(_OPS)
_INDEX_DTYPE = {"iota": 8, "philox32": 4, "philox64": 4}


def _row(op: str, operand: int, out: int, first: int) -> int:
    """The loop of an instruction. A cast, and only it, goes by two dtypes; `where` goes by that of its values."""
    if op == "cast":
        return _CASTS + 16 * first + out
    if op == "where":
        return 16 * _OPS["where"] + out
    return 16 * _OPS[op] + _INDEX_DTYPE.get(op, operand)


def encode(program: ProgramLike) -> tuple[bytes, tuple[Any, ...]]:
    """The program as the C side reads it, and the values of its constants.

    Words of 64 bits: the numbers of inputs, outputs, scalars, constants and instructions; their dtypes; six words
    for each instruction (loop, dtype of the result, number of sources, three sources); the register of each output.
    """
    ins, outs, scalars, consts = program.ins, program.outs, program.scalars, program.consts
    words = [len(ins), len(outs), len(scalars), len(consts), len(program.code)]
    dtypes = [d.code for d in ins]
    words += dtypes
    words += [d.code for d in outs]
    dtypes += [d.code for d in scalars]
    dtypes += [d.code for _, d in consts]
    words += dtypes[len(ins) :]
    for op, dtype, out, srcs in program.code:
        first = dtypes[srcs[0]] if srcs else dtype.code
        words += [_row(op, dtype.code, out.code, first), out.code, len(srcs), *srcs, *(0,) * (3 - len(srcs))]
        dtypes.append(out.code)
    words += program.results
    return array("q", words).tobytes(), tuple(value for value, _ in consts)


_encoded: dict[int, tuple[ProgramLike, bytes, tuple[Any, ...]]] = {}


def plan_program(program: ProgramLike, out_specs: Sequence[SpecLike], in_specs: Sequence[SpecLike]) -> Launch:
    """Make a program ready for operands of these specs (equal shapes; broadcast dims have stride 0).

    Args:
        program: what to run.
        out_specs: layouts of the outputs. They may be the memory of inputs, element for element, but not overlap
            them otherwise.
        in_specs: layouts of the inputs.

    Returns:
        ``launch(*addresses of outputs, *addresses of inputs, *scalars)``; an address is where element [0, ..., 0] lies.
    """
    found = _encoded.get(id(program))
    if found is None:
        if len(_encoded) > 4096:
            _encoded.clear()
        found = _encoded[id(program)] = (program, *encode(program))
    strides = [s.strides for s in out_specs]
    strides += [s.strides for s in in_specs]
    return _plan(found[1], found[2], (out_specs[0] if out_specs else in_specs[0]).shape, *strides)


def copy_plan(
    to: int, source: int, shape: tuple[int, ...], strides: tuple[int, ...], source_strides: tuple[int, ...]
) -> Launch:
    """Plan a strided copy that converts from dtype code ``source`` to ``to``: ``launch(out, src)``."""
    if to == source:
        words = [1, 1, 0, 0, 0, source, to, 0]
    else:
        words = [1, 1, 0, 0, 1, source, to, _CASTS + 16 * source + to, to, 1, 0, 0, 0, 1]
    return _plan(array("q", words).tobytes(), (), shape, strides, source_strides)


def fill_plan(dtype: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Launch:
    """Plan a fill with a number: ``launch(out, value)``."""
    return _plan(array("q", [0, 1, 1, 0, 0, dtype, dtype, 0]).tobytes(), (), shape, strides)


def has_opcode(op: str, dtype: int, out: int | None = None) -> bool:
    """Whether the opcode is defined on operands of the dtype (of a cast: to ``out``)."""
    if op == "cast":
        return out is not None and bool(lib.fbc_has_cast(dtype, out))
    return op in _OPS and bool(lib.fbc_has_map(_OPS[op], _INDEX_DTYPE.get(op, dtype)))


# ---- memory ----
class MemoryStats(NamedTuple):
    """Bytes and counts of the caching allocator."""

    allocated: int
    peak: int
    reserved: int
    cached: int
    allocations: int
    frees: int
    system_allocations: int
    live: int
    limit: int


def memory_stats() -> MemoryStats:
    """What is allocated now, was at most, is taken from the system, is kept for reuse."""
    stats = ffi.new("fbc_memory_stats *")
    lib.fbc_get_memory_stats(stats)
    return MemoryStats(*(int(getattr(stats, name)) for name in MemoryStats._fields))


def reset_peak() -> None:
    """Let the peak be what is allocated now."""
    lib.fbc_reset_peak()


def set_memory_limit(nbytes: int | None) -> None:
    """Let allocations fail that would exceed this many bytes in use; None lifts the limit."""
    lib.fbc_set_memory_limit(nbytes or 0)


def empty_cache() -> None:
    """Give memory kept for reuse back to the system (blocks over 1 MiB; smaller ones stay)."""
    lib.fbc_empty_cache()


def inject_failure(countdown: int = 0, above: int = 0) -> None:
    """For tests: the ``countdown``-th allocation from now fails, and all of more than ``above`` bytes; 0: off."""
    lib.fbc_inject_failure(countdown, above)


# ---- threads and instruction sets ----
def get_num_threads() -> int:
    """Threads that a call may use: FLAMBEAU_NUM_THREADS, or what affinity and the control group's CPU quota allow."""
    return int(lib.fbc_get_num_threads())


def set_num_threads(n: int) -> None:
    """Set the number of threads that a call may use. Results don't depend on it."""
    lib.fbc_set_num_threads(n)


def get_isa() -> str:
    """The instruction set in use."""
    return ISAS[lib.fbc_get_isa()]


def available_isas() -> tuple[str, ...]:
    """The instruction sets that this machine has, least first."""
    return ISAS[: lib.fbc_max_isa() + 1]


def set_isa(name: str) -> None:
    """Use kernels compiled for ``base``, ``avx2`` or ``avx512``; for tests, not while kernels run."""
    if name not in ISAS or lib.fbc_set_isa(ISAS.index(name)) != 0:
        raise ValueError(
            f"[set_isa] unknown instruction set: got {name!r}, needed: one of {', '.join(available_isas())}."
        )


def set_fusing(on: bool) -> bool:
    """Let plans made from now on run simple 32-bit instructions as machine code of their own; returns what was set.

    The numbers are the same either way. The environment's ``FLAMBEAU_CPU_FUSE=0`` turns it off from the start.
    """
    return bool(lib.fbc_set_fusing(on))


# ---- BLAS ----
def _locate_blas() -> None:
    path = Path(__file__).parent / "_libs" / "libflambeau_openblas.so"
    if path.exists():
        core = os.environ.get("FLAMBEAU_CPU_BLAS_CORE")
        lib.fbc_blas_set_path(os.fsencode(path), core.encode() if core else ffi.NULL)


_locate_blas()


def blas_info() -> str:
    """The kernels that the bundled OpenBLAS picked, or why there is none. Loads it."""
    if lib.fbc_blas_load() != 0:
        return "none: " + str(ffi.string(lib.fbc_blas_error()).decode())
    return str(ffi.string(lib.fbc_blas_core()).decode())
