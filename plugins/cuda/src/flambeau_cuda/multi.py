"""One elementwise program over many groups of tensors in one launch: what optimizers step with.

The addresses of all groups are part of the kernel's arguments (up to 32,764 bytes since CUDA 12.1); a block finds its
group by binary search.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any

from .codegen import (
    BLOCK,
    C_TYPES,
    HELD_FIELDS,
    HELD_LOADS,
    body_source,
    draws,
    fitted,
    plan_program,
    scalar_codes,
    scalar_fields,
)
from .launch import bind_raw, ceil_div
from .layouts import collapse

if TYPE_CHECKING:
    from flambeau.plugin import Spec, TypedProgram

    from .backend import GpuBackend

__all__ = ["plan_many"]

_WIDTH = 4  # elements per access and thread
_ROUNDS = 4  # accesses per thread
_CHUNK = BLOCK * _WIDTH * _ROUNDS
_ROOM = 30000  # bytes of arguments

ManyLaunch = Callable[[Sequence[Any], Any], None]


def _source(program: TypedProgram, groups: int, n_out: int, held: bool = False) -> str:
    width = len(program.ins)
    types = [C_TYPES[d.name] for d in program.ins]
    fields = [
        *(HELD_FIELDS if held else scalar_fields(program)),
        f"u64 at[{groups * width}];",
        f"i64 numel[{groups}];",
        f"i64 first[{groups + 1}];",
        "i64 groups;",
    ]
    loads = [
        f"vec<{t}, {_WIDTH}> x{k} = *(const vec<{t}, {_WIDTH}> *)(({t} *)at[{k}] + e);"
        for k, t in enumerate(types)
    ]
    names = [f"x{k}.v[v]" for k in range(width)]
    outs = [f"{C_TYPES[d.name]} y{k};" for k, d in enumerate(program.outs)]
    puts = [f"x{k}.v[v] = y{k};" for k in range(n_out)]
    stores = [f"*(vec<{t}, {_WIDTH}> *)(({t} *)at[{k}] + e) = x{k};" for k, t in enumerate(types[:n_out])]
    singles = [f"(({t} *)at[{k}])[e]" for k, t in enumerate(types)]
    results = ", ".join(f"y{k}" for k in range(n_out))
    return f"""#include "base.cuh"
struct P {{ {" ".join(fields)} }};
{body_source(program, held)}
FB_DEV void run(const P &p) {{
{chr(10).join(HELD_LOADS if held else ())}
    i64 low = 0, high = p.groups - 1, b = blockIdx.x;
    while (low < high) {{
        i64 mid = (low + high + 1) / 2;
        if (p.first[mid] <= b) low = mid;
        else high = mid - 1;
    }}
    const u64 *at = p.at + low * {width};
    u64 bits = 0;
    for (int k = 0; k < {width}; k++) bits |= at[k];
    i64 n = p.numel[low], e0 = (b - p.first[low]) * {_CHUNK};
    for (int r = 0; r < {_ROUNDS}; r++) {{
        i64 e = e0 + ((i64)r * {BLOCK} + threadIdx.x) * {_WIDTH};
        if (e + {_WIDTH} <= n && !(bits & {_WIDTH * 8 - 1})) {{
            {" ".join(loads)}
#pragma unroll
            for (int v = 0; v < {_WIDTH}; v++) {{
                {" ".join(outs)}
                point({"now" if held else "p"}, e + v, {", ".join(names)}, {results});
                {" ".join(puts)}
            }}
            {" ".join(stores)}
        }} else
            for (i64 end = e + {_WIDTH} < n ? e + {_WIDTH} : n; e < end; e++) {{
                {" ".join(outs)}
                point({"now" if held else "p"}, e, {", ".join(singles)}, {results});
                {" ".join(f"{single} = y{k};" for k, single in enumerate(singles[:n_out]))}
            }}
    }}
}}
FB_KERNEL(fb_many, P, run, {BLOCK})
"""


class _Part:
    """Groups that go into one launch."""

    def __init__(
        self,
        backend: GpuBackend,
        program: TypedProgram,
        index: int,
        numels: Sequence[int],
        start: int,
        n_out: int,
        held: bool,
    ) -> None:
        width, groups = len(program.ins), len(numels)
        self.slice = slice(start * width, (start + groups) * width)
        first = [0]
        for n in numels:
            first.append(first[-1] + ceil_div(n, _CHUNK))
        fn = backend.function(_source(program, groups, n_out, held), "fb_many", index, ("--fmad=false",))
        codes = ("QQ" if held else scalar_codes(program)) + f"{groups * width}Q"
        packer = Struct("=" + codes)
        static = struct.pack(f"={2 * groups + 2}q", *numels, *first, groups)
        self.launch = bind_raw(backend, index, fn, packer, static, (max(first[-1], 1),), (BLOCK,))


def _joined(backend: GpuBackend, launches: Sequence[Any], n_out: int, held: bool) -> list[_Part] | None:
    """Prepared launches of one program as few, or None where they don't fit together."""
    infos = [getattr(launch, "info", None) for launch in launches]
    if len(infos) < 2 or any(i is None for i in infos):
        return None
    known: list[Any] = [i for i in infos if i is not None]
    program = known[0][0]
    if any(i[0] is not program for i in known) or draws(program) or any(d.is_complex for d in program.ins):
        return None
    if not all(_flat(i[1]) for i in known):
        return None
    index, width = known[0][1][0].device.slot, len(program.ins)
    numels = [i[1][0].numel for i in known]
    most = _ROOM // (8 * (width + 2))
    return [
        _Part(backend, program, index, numels[k : k + most], k, n_out, held)
        for k in range(0, len(numels), most)
    ]


def _flat(specs: Sequence[Spec]) -> bool:
    """Whether the elements of all operands lie in the same order without gaps."""
    if specs[0].numel == 0 or all(s.dense for s in specs):
        return True
    if any(s.strides != specs[0].strides for s in specs):
        return False
    sizes, steps = collapse(specs[0].shape, [specs[0].strides])
    return len(sizes) == 1 and steps[0] == [1]


def plan_many(
    backend: GpuBackend, launches: Sequence[Any], n_out: int, one_by_one: Callable[[], ManyLaunch]
) -> ManyLaunch:
    """``launch(ptrs, scalars)`` for prepared launches of one program.

    Args:
        launches: what `plan_program` made.
        n_out: how many of the program's inputs are its outputs.
        one_by_one: makes the launch of all of them in turn.
    """
    parts = _joined(backend, launches, n_out, False)
    programs = {id(i[0]): i[0] for launch in launches if (i := getattr(launch, "info", None)) is not None}
    if parts is None:
        eager = one_by_one()
    else:
        (program,) = programs.values()
        plain = not any(d.is_complex or not d.is_floating_point for d in program.scalars)

        def eager(ptrs: Sequence[Any], scalars: Sequence[Any]) -> None:
            values = scalars if plain else fitted(program, scalars, 0)
            for part in parts:
                part.launch(*values, *ptrs[part.slice])

    made: list[ManyLaunch] = []

    def launch(ptrs: Sequence[Any], scalars: Any) -> None:
        if backend.capture is None:
            eager(ptrs, scalars)
            return
        if not made:
            made.append(_recorded(backend, launches, n_out))
        made[0](ptrs, scalars)

    return launch


def _recorded(backend: GpuBackend, launches: Sequence[Any], n_out: int) -> ManyLaunch:
    """The same while a graph is captured: replays ask for the scalars again."""
    parts = _joined(backend, launches, n_out, True)
    infos = [getattr(launch, "info", None) for launch in launches]
    singles: dict[Any, Any] = {}

    def launch(ptrs: Sequence[Any], scalars: Any) -> None:
        capture = backend.capture
        assert capture is not None
        if not callable(scalars) and scalars:
            warnings.warn(
                "[graph] an update of many tensors is captured with numbers, which stay as they are in replays. Give "
                "multi_apply a function that returns them.",
                RuntimeWarning,
                stacklevel=2,
            )
        skip = 0 if capture.skip is None else capture.skip.ptr
        width = len(ptrs) // len(launches)
        at: dict[TypedProgram, int] = {}
        for k, info in enumerate(infos):
            if info is None:  # no elements
                continue
            program, specs = info
            if program not in at:
                at[program] = capture.hold(program, scalars if callable(scalars) else lambda: scalars)
            if parts is None:
                key = program, tuple(specs)
                if key not in singles:
                    singles[key] = plan_program(backend, program, specs[:n_out], specs[n_out:], True)
                group = ptrs[k * width : (k + 1) * width]
                singles[key](*group[:n_out], *group, at[program], skip)
        for part in parts or ():
            part.launch(next(iter(at.values())), skip, *ptrs[part.slice])

    return launch
