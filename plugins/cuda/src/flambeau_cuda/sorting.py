"""Sorting and the first k: which of the kernels in kernels/sort.cuh, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .codegen import C_TYPES
from .launch import Launch, bind, ceil_div
from .layouts import collapse, walk_bytes
from .templates import BLOCK, kernel, q

if TYPE_CHECKING:
    from flambeau.plugin import Spec

    from .backend import GpuBackend

__all__ = ["order_places", "plan_sort", "plan_topk", "sort"]

_SHORT = 512  # SORT_TILE of sort.cuh
_RADIX = 256
_TOPK_MOST = 1024


def _walk(
    src: Spec, dim: int, values: Sequence[int] | None, indices: Sequence[int] | None
) -> tuple[int, int, list[int], bytes]:
    """Lines, elements of a line, steps along it, and the walk over the lines: of values, indices and the source."""
    count = src.shape[dim] if src.ndim else 1
    rest = [d for d in range(src.ndim) if d != dim]
    none = (0,) * src.ndim
    strides = [values or none, indices or none, src.strides]
    sizes, steps = collapse([src.shape[d] for d in rest], [[s[d] for d in rest] for s in strides], False)
    return src.numel // count, count, [s[dim] if src.ndim else 0 for s in strides], walk_bytes(sizes, steps)


def plan_sort(
    backend: GpuBackend,
    src: Spec,
    dim: int,
    descending: bool,
    keep: int,
    values: Sequence[int] | None,
    indices: Sequence[int] | None,
    bits: int | None = None,
) -> Launch:
    """``launch(values, indices, src)``; strides of the results, or None for one that isn't wanted.

    Args:
        keep: how many leading elements are written.
        bits: how many low bits of the values differ (default: all).
    """
    slot = src.device.slot
    lines, count, along, walk = _walk(src, dim, values, indices)
    t = C_TYPES[src.dtype.name]
    passes = src.itemsize if bits is None else min(src.itemsize, max(ceil_div(bits, 8), 1))
    most = 8 if src.itemsize == 8 else 16
    items = most
    while items > 1 and count <= BLOCK * items // 2:
        items //= 2
    tiles = ceil_div(count, BLOCK * items)

    def stage(call: str, number: int, grid: int, sync: bool = True) -> Launch:
        fn = kernel(backend, "sort.cuh", call, "SortParams", slot, sync)
        first, last = int(number == 0), int(number == passes - 1)
        static = q(lines, count, tiles, 8 * number, passes, first, last, int(descending), *along, keep) + walk
        return bind(backend, slot, fn, "9Q", static, (grid,), (BLOCK,))

    if tiles == 1:
        call = f"sort_short<{t}>" if count <= _SHORT else f"sort_line<{t}, {items}>"
        only = stage(call, 0, lines)
        return lambda v, i, s: only(v, i, s, 0, 0, 0, 0, 0, 0)
    few = tiles <= 16
    rounds = [
        (
            stage(f"sort_count<{t}, {items}>", number, lines * tiles),
            stage("sort_offsets_few", number, lines, False)
            if few
            else stage("sort_offsets", number, lines * _RADIX),
            stage(f"sort_put<{t}, {items}>", number, lines * tiles),
        )
        for number in range(passes)
    ]
    codes, places = (src.numel * src.itemsize, src.numel * 4) if passes > 1 else (0, 0)
    sizes = (codes, places, codes, places, lines * _RADIX * tiles * 4, lines * _RADIX * 4)

    def launch(v: int, i: int, s: int) -> None:
        pool = backend.pools[slot]
        c, p, c2, p2, counts, totals = rooms = [pool.allocate(n) for n in sizes]
        for steps in rounds:
            for step in steps:
                step(v, i, s, c, p, c2, p2, counts, totals)
            c, p, c2, p2 = c2, p2, c, p
        for address, n in zip(rooms, sizes, strict=True):
            pool.free(address, n)

    return launch


def plan_topk(
    backend: GpuBackend,
    src: Spec,
    dim: int,
    largest: bool,
    k: int,
    values: Sequence[int],
    indices: Sequence[int],
) -> Launch:
    """``launch(values, indices, src)``: the first k in order."""
    if k > _TOPK_MOST:
        return plan_sort(backend, src, dim, largest, k, values, indices)
    slot = src.device.slot
    lines, count, along, walk = _walk(src, dim, values, indices)
    chunk = 16384 // max(src.itemsize, 4)
    fn = kernel(backend, "sort.cuh", f"topk<{C_TYPES[src.dtype.name]}>", "TopkParams", slot, True)
    rounds: list[Launch] = []
    sizes: list[int] = []
    left = count
    while True:
        chunks = ceil_div(left, chunk)
        static = q(left, chunk, chunks, k, int(largest), *along) + walk
        rounds.append(bind(backend, slot, fn, "7Q", static, (lines * chunks,), (BLOCK,)))
        if chunks == 1:
            break
        left = (chunks - 1) * k + min(left - (chunks - 1) * chunk, k)
        sizes += [lines * left * src.itemsize, lines * left * 4]

    def launch(v: int, i: int, s: int) -> None:
        pool = backend.pools[slot]
        rooms = [pool.allocate(n) for n in sizes]
        ways = [0, 0, *rooms, 0, 0]
        for n, step in enumerate(rounds):
            step(v, i, s, *ways[2 * n : 2 * n + 4])
        for address, n in zip(rooms, sizes, strict=True):
            pool.free(address, n)

    return launch


def sort(backend: GpuBackend, values: Any, indices: Any, src: Any, dim: int, descending: bool) -> None:
    """Sort along a dimension, stably."""
    if not src.spec.numel:
        return
    count = src.spec.shape[dim] if src.spec.ndim else 1
    key = ("sort", values.spec, indices.spec, src.spec, dim, descending)
    launch = backend.remembered(
        key,
        lambda: plan_sort(
            backend, src.spec, dim, descending, count, values.spec.strides, indices.spec.strides
        ),
    )
    launch(values.ptr, indices.ptr, src.ptr)


def order_places(
    backend: GpuBackend, order: int, index: Any, dim: int, lines: int, count: int, size: int
) -> None:
    """Write, for each line of an index, the places of its values in sorted order: int64 [lines, count].

    Args:
        size: what the values are below; others may stand anywhere.
    """
    spec = index.spec
    strides = [1] * spec.ndim
    step = count
    for d in range(spec.ndim - 1, -1, -1):
        if d != dim:
            strides[d] = step
            step *= spec.shape[d]
    bits = max(size - 1, 1).bit_length()
    key = ("order", spec, dim, bits)
    launch = backend.remembered(
        key, lambda: plan_sort(backend, spec, dim, False, count, None, strides if spec.ndim else (), bits)
    )
    launch(0, order, index.ptr)
