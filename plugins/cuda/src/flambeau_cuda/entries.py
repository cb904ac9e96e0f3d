"""The contract's entries as prepared launches of the kernels in kernels/."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau.plugin import Expr, Program, bad_index

from .codegen import C_TYPES, plan_program
from .launch import Launch, bind, ceil_div, nothing
from .layouts import collapse, walk_bytes
from .sorting import order_places
from .templates import BLOCK, carried, kernel, q

if TYPE_CHECKING:
    from flambeau.plugin import Spec

    from .backend import GpuBackend

__all__ = [
    "gather",
    "plan_copy",
    "plan_matmul",
    "plan_reduce",
    "plan_scan",
    "scatter",
    "take",
]

WORDS = {1: "u8", 2: "u16", 4: "u32", 8: "u64", 16: "c128"}

# Copies

_COPIES: dict[Any, Any] = {}


def plan_copy(backend: GpuBackend, out: Spec, src: Spec) -> Launch:
    """``launch(out, src)``: a copy with cast."""
    pair = (src.dtype, out.dtype)
    program = _COPIES.get(pair)
    if program is None:
        program = Program([Expr("in", (), 0)], 1, 0).typed((src.dtype,), (out.dtype,))
        _COPIES[pair] = program
    return plan_program(backend, program, (out,), (src,))


# Reductions

_OPS = {
    "sum": "Sum<{a}>", "prod": "Prod<{a}>", "max": "Extreme<{a}, true>", "min": "Extreme<{a}, false>",
    "argmax": "Place<{a}, true>", "argmin": "Place<{a}, false>", "any": "Truth<{a}, false>", "all": "Truth<{a}, true>",
    "mean": "Mean<{a}>", "sumsq": "SumSquares<{a}>", "norm2": "Norm2<{a}>", "var": "Variance<{a}, false>",
    "std": "Variance<{a}, true>", "logsumexp": "LogSumExp<{a}>",
}  # fmt: skip
#: Kinds that carry the input's type; the others carry the output's.
_BY_INPUT = frozenset(("max", "min", "argmax", "argmin", "any", "all"))
#: Blocks that a reduction is split into, at most: the same on every device, so that results are.
_SPLITS = 1024


def _power(n: int) -> int:
    """The least power of two that is not less."""
    return 1 << max(n - 1, 0).bit_length()


def plan_reduce(
    backend: GpuBackend, kind: str, out: Spec, src: Spec, dims: Sequence[int], extra: float = 0.0
) -> Launch:
    """``launch(out, src)``: a reduction over dimensions."""
    if not out.numel:
        return nothing
    index = out.device.slot
    kept = [d for d in range(src.ndim) if d not in dims]
    sizes = [src.shape[d] for d in kept]
    out_strides = _kept_strides(out, src, kept)
    places = kind in ("argmax", "argmin")
    kept_sizes, kept_steps = collapse(sizes, [out_strides, [src.strides[d] for d in kept]])
    red_sizes, red_steps = collapse(
        [src.shape[d] for d in dims], [[src.strides[d] for d in dims]], not places
    )
    count = 1
    for n in red_sizes:
        count *= n
    if any(src.shape[d] == 0 for d in dims):
        count, red_sizes, red_steps = 0, [0], [[1]]
    row_step = red_steps[0][-1] if red_sizes else 0
    column_step = kept_steps[1][-1] if kept_sizes else 0
    rows = not (kept_sizes and abs(column_step) == 1 and abs(row_step) != 1 and kept_sizes[-1] > 1)
    width = 16 // src.itemsize
    flat = width > 1 and len(red_sizes) == 1 and count > 0
    vectors = rows and flat and row_step == 1 and not count % width and count >= 2 * width
    vectors = vectors and all(not s % width for s in kept_steps[1])
    columns = not rows and flat and column_step == 1 and not kept_sizes[-1] % width and not row_step % width
    columns = columns and all(not s % width for s in kept_steps[1][:-1])
    wide = vectors or columns
    # Threads of a row: several accesses each, as long as that leaves enough of them.
    lanes = (
        _power(count) if not vectors else _power(ceil_div(count, 8 * width if out.numel >= 2048 else width))
    )
    across = min(lanes, BLOCK) if rows else max(8, min(BLOCK, BLOCK // _power(min(out.numel, 32))))
    if columns:
        across = 8
    per = BLOCK // across * (width if columns else 1)
    blocks = ceil_div(out.numel, per)
    splits = max(1, min(_SPLITS // blocks, ceil_div(count, across * 16)))
    part = ceil_div(ceil_div(count, splits), 16) * 16
    splits = max(1, ceil_div(count, part)) if count else 1
    acc = carried(src.dtype if kind in _BY_INPUT else out.dtype)
    op = _OPS[kind].format(a=acc)
    source, result = C_TYPES[src.dtype.name], C_TYPES[out.dtype.name]
    static = struct.pack("=d", extra) + q(out.numel, count, count, part, across, int(rows))
    walks = walk_bytes(kept_sizes, kept_steps) + walk_bytes(red_sizes, red_steps)

    def stage(call: str, n_splits: int, static: bytes, walks: bytes) -> Launch:
        by_column = columns and not call.endswith(" 1")
        name = "reduce_columns" if by_column else "reduce"
        fn = kernel(backend, "reduce.cuh", f"{name}<{call}>", "ReduceParams", index, True)
        grid = ceil_div(out.numel, per if by_column else BLOCK // across), n_splits
        return bind(backend, index, fn, "QQ", static + walks, grid, (BLOCK,))

    partial = "true" if splits > 1 else "false"
    slow_made: list[Launch] = []

    def slow() -> Launch:
        if not slow_made:
            slow_made.append(stage(f"{op}, {source}, {result}, {partial}, 1", splits, static, walks))
        return slow_made[0]

    first = stage(f"{op}, {source}, {result}, {partial}, {width}", splits, static, walks) if wide else slow()
    if splits == 1:
        if not wide:
            return first
        return lambda o, s: slow()(o, s) if s & 15 else first(o, s)
    # Join the parts: [splits, outs] of what is carried.
    join_across = min(_power(splits), BLOCK)
    join_blocks = ceil_div(out.numel, BLOCK // join_across)
    join_static = struct.pack("=d", extra) + q(out.numel, splits, count, splits, join_across, 1)
    # The parts lie in the order of the walk over the kept dimensions.
    lines = [1] * len(kept_sizes)
    for d in range(len(kept_sizes) - 2, -1, -1):
        lines[d] = lines[d + 1] * kept_sizes[d + 1]
    join_walks = walk_bytes(kept_sizes, [kept_steps[0], lines]) + walk_bytes([splits], [[out.numel]])
    call = f"Join<{op}>, {op}::acc, {result}, false, 1"
    fn = kernel(backend, "reduce.cuh", f"reduce<{call}>", "ReduceParams", index, True)
    second = bind(backend, index, fn, "QQ", join_static + join_walks, (join_blocks,), (BLOCK,))
    room = splits * out.numel * 48
    pool = backend.pools[index]

    def both(o: int, s: int) -> None:
        parts = pool.allocate(room)
        (slow() if wide and s & 15 else first)(parts, s)
        second(o, parts)
        pool.free(parts, room)

    return both


def _kept_strides(out: Spec, src: Spec, kept: Sequence[int]) -> list[int]:
    """The output's strides along the dimensions that stay; it lacks the others, or has them with size 1."""
    if out.ndim == len(kept):
        return list(out.strides)
    return [out.strides[d] for d in kept]


# Scans

_SCANS = {
    "cumsum": "CumSum<{a}>", "cumprod": "CumProd<{a}>", "logcumsumexp": "LogCumSumExp<{a}>",
    "cummax": "CumExtreme<{a}, true>", "cummin": "CumExtreme<{a}, false>",
}  # fmt: skip


def plan_scan(backend: GpuBackend, kind: str, out: Spec, places: Spec | None, src: Spec, dim: int) -> Launch:
    """``launch(out, places, src)``: running values along a dimension."""
    if not out.numel:
        return nothing
    index = out.device.slot
    rest = [d for d in range(src.ndim) if d != dim] if src.ndim else []
    count = src.shape[dim] if src.ndim else 1
    specs = (out, places or out, src)
    sizes, steps = collapse([src.shape[d] for d in rest], [[s.strides[d] for d in rest] for s in specs])
    lines = src.numel // count
    along = [s.strides[dim] if src.ndim else 0 for s in specs]
    op = _SCANS[kind].format(a=carried(src.dtype if places else out.dtype))
    types = f"{op}, {C_TYPES[out.dtype.name]}, {C_TYPES[src.dtype.name]}"
    static = q(lines, count, *along) + walk_bytes(sizes, steps)
    if count <= 32 or (abs(along[2]) != 1 and lines >= 2048):
        fn = kernel(backend, "scan.cuh", f"scan_serial<{types}>", "ScanParams", index)
        return bind(backend, index, fn, "QQQ", static, (ceil_div(lines, BLOCK),), (BLOCK,))
    fn = kernel(backend, "scan.cuh", f"scan_block<{types}>", "ScanParams", index, True)
    return bind(backend, index, fn, "QQQ", static, (lines,), (BLOCK,))


# Matrix products


def plan_matmul(backend: GpuBackend, out: Spec, a: Spec, b: Spec) -> Launch:
    """``launch(out, a, b)``: [B, M, K] times [B, K, N]."""
    if not out.numel:
        return nothing
    blas = backend.blas(out.device.slot)
    if blas is not None and a.shape[-1]:
        launch: Launch | None = blas.plan(backend, out, a, b)
        if launch is not None:
            return launch
    own = plan_gemm(backend, out, a, b, None)
    return lambda o, x, y: own(o, x, y, 0, 1.0, 0.0)


def plan_gemm(backend: GpuBackend, out: Spec, a: Spec, b: Spec, c: Spec | None) -> Launch:
    """``launch(out, a, b, c, alpha, beta)``: our own product."""
    index = out.device.slot
    batch, m, n = _three(out)[0]
    k = a.shape[-1]
    cell = 1 if backend.runtime.simulated or max(m, n) <= 32 else 4
    steps = [s for spec in (out, a, b, c or out) for s in _three(spec)[1]]
    acc = carried(out.dtype)
    call = f"gemm<{acc}, {C_TYPES[out.dtype.name]}, {cell}>"
    fn = kernel(backend, "gemm.cuh", call, "GemmParams", index, True)
    tile = 16 * cell
    grid = (ceil_div(m, tile), ceil_div(n, tile), min(batch, 65535))
    return bind(backend, index, fn, "QQQQdd", q(batch, m, n, k, *steps), grid, (BLOCK,))


def _three(spec: Spec) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Sizes and strides of a matrix or a batch of matrices."""
    if spec.ndim == 2:
        return (1, *spec.shape), (0, *spec.strides)
    return tuple(spec.shape), tuple(spec.strides)


# Indices


def _index_error(
    op: str, index: Any, dim: int, size: int, position: Sequence[int], value: int | None
) -> IndexError:
    where = f" at position {list(position)} (index: {list(index.shape)} {index.dtype.name} {index.device})"
    return bad_index(op, "a bad index" if value is None else value, dim, size, where)


def read_number(backend: GpuBackend, t: Any, position: Sequence[int]) -> int:
    """An element of an index tensor, on the host."""
    offset = sum(p * s for p, s in zip(position, t.spec.strides, strict=True)) * t.spec.itemsize
    size = t.spec.itemsize
    room = bytearray(size)
    from .backend import host_address

    address, _, keep = host_address(room)
    backend.runtime.to_host(address, t.ptr + offset, size, backend.queues[t.spec.device.slot][0], True)
    del keep
    return int.from_bytes(room, "little", signed=t.spec.dtype.is_signed)


def unravel(flat: int, shape: Sequence[int]) -> list[int]:
    """The position of an element by its row-major number."""
    out: list[int] = []
    for n in reversed(shape):
        out.insert(0, flat % n)
        flat //= n
    return out


def describer(backend: GpuBackend, op: str, index: Any, dim: int, size: int, where: Any) -> Any:
    """What makes the error of a bad index from the kernel's number of the place.

    The value is read only where the backend looks at once; later the index may have changed.
    """
    held = index if backend.immediate else None
    spec = index.spec

    def describe(flat: int) -> Exception:
        position = where(flat)
        value = read_number(backend, held, position) if held is not None else None
        return _index_error(op, spec, dim, size, position, value)

    return describe


def take(
    backend: GpuBackend,
    op: str,
    out: Any,
    src: Any,
    dim: int,
    index: Any,
    index_strides: Sequence[int],
    src_strides: Sequence[int],
    where: Any,
) -> None:
    """``out[i] = src[i, with the index along dim]``; strides are for the output's shape.

    Args:
        index_strides, src_strides: of each dimension of the output; the source's are 0 where the index decides.
        where: the position in the index from an element's number in the output.
    """
    if not out.spec.numel:
        return
    slot = out.spec.device.slot
    size = src.spec.shape[dim] if src.spec.ndim else 1
    step = src.spec.strides[dim] if src.spec.ndim else 0
    key = ("take", out.spec, src.spec, dim, index.spec, tuple(index_strides), tuple(src_strides))

    def make() -> Launch:
        sizes, steps = collapse(out.spec.shape, [out.spec.strides, src_strides, index_strides], False)
        call = f"gather<{WORDS[out.spec.itemsize]}, {C_TYPES[index.spec.dtype.name]}>"
        fn = kernel(backend, "index.cuh", call, "GatherParams", slot)
        static = q(size, step) + walk_bytes(sizes, steps)
        return bind(backend, slot, fn, "QQQQq", static, (ceil_div(out.spec.numel, BLOCK),), (BLOCK,))

    launch = backend.remembered(key, make)
    faults = backend.faults[slot]
    fault, number = faults.begin(describer(backend, op, index, dim, size, where))
    launch(out.ptr, src.ptr, index.ptr, fault, number)
    faults.end()


def gather(backend: GpuBackend, out: Any, src: Any, dim: int, index: Any) -> None:
    """Take along a dimension; ``out`` and ``index`` have one shape."""
    strides = [0 if d == dim else s for d, s in enumerate(src.spec.strides)]
    shape = index.spec.shape
    take(
        backend,
        "gather",
        out,
        src,
        dim,
        index,
        index.spec.strides,
        strides,
        lambda flat: unravel(flat, shape),
    )


_PUTS = {None: "Put", "sum": "PutSum", "add": "PutSum", "prod": "PutProd", "amax": "PutMax", "amin": "PutMin"}


def scatter(backend: GpuBackend, out: Any, dim: int, index: Any, src: Any, reduce: str | None) -> None:
    """Put along a dimension, in the order of the index."""
    spec = index.spec
    if not spec.numel:
        return
    slot = spec.device.slot
    size, step = (out.spec.shape[dim], out.spec.strides[dim]) if out.spec.ndim else (1, 0)
    count = spec.shape[dim] if spec.ndim else 1
    lines = spec.numel // count
    sorted_runs = count > 256 and lines < 16384
    key = ("scatter", out.spec, dim, spec, src.spec, reduce)
    rest = [d for d in range(spec.ndim) if d != dim]

    def make() -> Launch:
        sizes, steps = collapse(
            [spec.shape[d] for d in rest],
            [[t.strides[d] for d in rest] for t in (out.spec, src.spec, spec)],
            False,
        )
        acc = carried(out.spec.dtype) if reduce else C_TYPES[out.spec.dtype.name]
        types = f"{_PUTS[reduce]}<{acc}>, {acc}, {C_TYPES[out.spec.dtype.name]}, {C_TYPES[spec.dtype.name]}"
        name = "scatter_sorted" if sorted_runs else "scatter_lines"
        fn = kernel(backend, "index.cuh", f"{name}<{types}>", "ScatterParams", slot)
        along = [t.strides[dim] if spec.ndim else 0 for t in (src.spec, spec)]
        static = q(size, step, count, *along, lines) + walk_bytes(sizes, steps)
        threads = lines * count if sorted_runs else lines
        return bind(backend, slot, fn, "QQQQQq", static, (ceil_div(threads, BLOCK),), (BLOCK,))

    def where(flat: int) -> list[int]:
        position = unravel(flat % lines, [spec.shape[d] for d in rest])
        if spec.ndim:
            position.insert(dim, flat // lines)
        return position

    launch = backend.remembered(key, make)
    order, room = 0, 8 * spec.numel
    if sorted_runs:
        order = backend.allocate(room, slot)
        order_places(backend, order, index, dim, lines, count, size)
    faults = backend.faults[slot]
    fault, number = faults.begin(describer(backend, "scatter", index, dim, size, where))
    launch(out.ptr, src.ptr, index.ptr, order, fault, number)
    if order:
        backend.free(order, room, slot)
    faults.end()
