"""The dimensions of a walk over several operands: as few as possible, the output's fastest last."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

__all__ = ["MAX_DIMS", "collapse", "extent", "walk_bytes"]

#: As in kernels/base.cuh.
MAX_DIMS = 12


def collapse(
    shape: Sequence[int], strides: Sequence[Sequence[int]], reorder: bool = True
) -> tuple[list[int], list[list[int]]]:
    """Sizes and strides of the same elements with fewer dimensions.

    Args:
        shape: sizes.
        strides: for each operand.
        reorder: whether dimensions may change places (by the first operand's strides).

    >>> collapse((2, 3, 4), [(12, 4, 1), (0, 4, 1)])
    ([2, 12], [[12, 1], [0, 1]])
    """
    dims = [d for d, n in enumerate(shape) if n != 1]
    if reorder and strides:
        dims.sort(key=lambda d: [-abs(s[d]) for s in strides])
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for d in dims:
        n = shape[d]
        if sizes and all(s[-1] == strides[k][d] * n for k, s in enumerate(steps)):
            sizes[-1] *= n
            for k, s in enumerate(steps):
                s[-1] = strides[k][d]
        else:
            sizes.append(n)
            for k, s in enumerate(steps):
                s.append(strides[k][d])
    return sizes, steps


def extent(sizes: Sequence[int], strides: Sequence[int]) -> int:
    """The largest distance from the first element, in elements."""
    return sum((n - 1) * abs(s) for n, s in zip(sizes, strides, strict=True))


def walk_bytes(sizes: Sequence[int], strides: Sequence[Sequence[int]]) -> bytes:
    """A ``walk<N>`` of kernels/base.cuh."""
    if len(sizes) > MAX_DIMS:
        raise RuntimeError(
            f"[cuda] too many dimensions that can't be merged: got {len(sizes)}, needed: at most {MAX_DIMS}. "
            "Use contiguous() tensors."
        )
    numel = 1
    for n in sizes:
        numel *= n
    pad = [0] * (MAX_DIMS - len(sizes))
    words = [len(sizes), numel, *sizes, *pad]
    for s in strides:
        words += [*s, *pad]
    return array("q", words).tobytes()
