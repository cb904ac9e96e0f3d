"""Sliding windows: the geometry that convolution and pooling share, windows as views, and adding windows back up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from flambeau import bfloat16, float16, float32
from flambeau.plugin import OPS

as_strided_base = OPS["as_strided"]

__all__ = ["Ints", "add_windows", "padded", "sizes_of", "widened", "windows"]

Ints = tuple[int, ...]


def widened(x: Any) -> Any:
    """A tensor in the dtype that arithmetic is done in: 16-bit floats as float32."""
    return x.to(float32) if x.spec.dtype in (float16, bfloat16) else x


def sizes_of(n: int, op: str, name: str, value: int | Sequence[int]) -> Ints:
    """A tuple of ``n`` sizes; one number counts for all.

    Raises:
        RuntimeError: another number of sizes.
    """
    sizes = (value,) if isinstance(value, int) else tuple(int(v) for v in value)
    if len(sizes) == 1:
        return sizes * n
    if len(sizes) != n:
        raise RuntimeError(f"[{op}] {name} must have one size or {n}: got {sizes}.")
    return sizes


def padded(x: Any, before: Sequence[int], sizes: Sequence[int], value: Any = 0) -> Any:
    """A dense copy with ``before`` elements of ``value`` in front and as many behind as make the last dims ``sizes``.

    Elements for which there is no room are left out.
    """
    lead = x.ndim - len(sizes)
    room = x.new_full((*x.shape[:lead], *sizes), value)
    part, src = room, x
    for k, (at, size) in enumerate(zip(before, sizes, strict=True)):
        n = max(0, min(x.shape[lead + k], size - at))
        part, src = part.narrow(lead + k, at if n else 0, n), src.narrow(lead + k, 0, n)
    part.copy_(src)
    return room


def _steps(x: Any, n: int) -> tuple[Ints, Ints, Ints]:
    lead = x.ndim - n
    return tuple(x.shape[:lead]), x.stride()[:lead], x.stride()[lead:]


def windows(x: Any, kernel: Ints, stride: Ints, dilation: Ints, out: Ints) -> Any:
    """The windows of the last dimensions as a view: [..., *kernel, *out]."""
    lead, outer, inner = _steps(x, len(kernel))
    steps = [s * d for s, d in zip(inner, dilation, strict=True)]
    jumps = [s * t for s, t in zip(inner, stride, strict=True)]
    return as_strided_base(x, (*lead, *kernel, *out), (*outer, *steps, *jumps), 0)


def add_windows(x: Any, parts: Any, kernel: Ints, stride: Ints, dilation: Ints, out: Ints) -> None:
    """Add windows [..., *kernel, *out] into ``x`` where `windows` reads them."""
    lead, outer, inner = _steps(x, len(kernel))
    jumps = tuple(s * t for s, t in zip(inner, stride, strict=True))
    flat = parts.reshape((*lead, _product(kernel), *out))
    for k, place in enumerate(product(*map(range, kernel))):
        at = sum(p * d * s for p, d, s in zip(place, dilation, inner, strict=True))
        as_strided_base(x, (*lead, *out), (*outer, *jumps), at).add_(flat.select(len(lead), k))


def _product(sizes: Sequence[int]) -> int:
    n = 1
    for s in sizes:
        n *= s
    return n
