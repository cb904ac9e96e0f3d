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

from .codegen import BLOCK, C_TYPES, body_source, draws, fitted, scalar_codes, scalar_fields
from .launch import bind_raw, ceil_div

if TYPE_CHECKING:
    from flambeau.plugin import TypedProgram

    from .backend import GpuBackend

__all__ = ["plan_many"]

_WIDTH = 4  # elements per access and thread
_ROUNDS = 4  # accesses per thread
_CHUNK = BLOCK * _WIDTH * _ROUNDS
_ROOM = 30000  # bytes of arguments

ManyLaunch = Callable[[Sequence[Any], Sequence[Any]], None]


def _source(program: TypedProgram, groups: int, n_out: int) -> str:
    width = len(program.ins)
    types = [C_TYPES[d.name] for d in program.ins]
    fields = [
        *scalar_fields(program), f"u64 at[{groups * width}];", f"i64 numel[{groups}];", f"i64 first[{groups + 1}];",
        "i64 groups;",
    ]  # fmt: skip
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
{body_source(program)}
FB_DEV void run(const P &p) {{
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
                point(p, e + v, {", ".join(names)}, {results});
                {" ".join(puts)}
            }}
            {" ".join(stores)}
        }} else
            for (i64 end = e + {_WIDTH} < n ? e + {_WIDTH} : n; e < end; e++) {{
                {" ".join(outs)}
                point(p, e, {", ".join(singles)}, {results});
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
    ) -> None:
        width, groups = len(program.ins), len(numels)
        self.slice = slice(start * width, (start + groups) * width)
        first = [0]
        for n in numels:
            first.append(first[-1] + ceil_div(n, _CHUNK))
        fn = backend.function(_source(program, groups, n_out), "fb_many", index, ("--fmad=false",))
        codes = scalar_codes(program) + f"{groups * width}Q"
        packer = Struct("=" + codes)
        static = struct.pack(f"={2 * groups + 2}q", *numels, *first, groups)
        self.launch = bind_raw(backend, index, fn, packer, static, (max(first[-1], 1),), (BLOCK,))


def plan_many(backend: GpuBackend, launches: Sequence[Any], n_out: int) -> ManyLaunch | None:
    """``launch(ptrs, scalars)`` for prepared launches of one program, or None where they don't fit together."""
    infos = [getattr(launch, "info", None) for launch in launches]
    if len(infos) < 2 or any(i is None for i in infos):
        return None
    known: list[Any] = [i for i in infos if i is not None]
    program = known[0][0]
    if any(i[0] is not program for i in known) or draws(program) or any(d.is_complex for d in program.ins):
        return None
    if not all(s.dense or s.numel == 0 for i in known for s in i[1]):
        return None
    index, width = known[0][1][0].device.slot, len(program.ins)
    numels = [i[1][0].numel for i in known]
    most = _ROOM // (8 * (width + 2))
    parts = [
        _Part(backend, program, index, numels[k : k + most], k, n_out) for k in range(0, len(numels), most)
    ]
    plain = not any(d.is_complex or not d.is_floating_point for d in program.scalars)

    def launch(ptrs: Sequence[Any], scalars: Sequence[Any]) -> None:
        if backend.capturing and scalars:
            warnings.warn(
                "[graph] an optimizer step is captured: its learning rate and step count are Python numbers, which "
                "stay as they are in replays. Call step() after replay() instead.",
                RuntimeWarning,
                stacklevel=2,
            )
        values = scalars if plain else fitted(program, scalars, 0)
        for part in parts:
            part.launch(*values, *ptrs[part.slice])

    return launch
