"""The standard's other functions: shapes, searching, sets, sorting, statistics, products."""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import flambeau as fb
from flambeau import Tensor

from .elementwise import together
from .info import result_type

__all__ = [
    "all", "any", "argmax", "argmin", "argsort", "astype", "broadcast_arrays", "broadcast_shapes", "broadcast_to",
    "concat", "count_nonzero", "cumulative_prod", "cumulative_sum", "diff", "expand_dims", "flip", "isin", "matmul",
    "matrix_transpose", "max", "mean", "min", "moveaxis", "nonzero", "permute_dims", "prod", "repeat", "reshape",
    "roll", "searchsorted", "sort", "squeeze", "stack", "std", "sum", "take", "take_along_axis", "tensordot", "tile",
    "unique_all", "unique_counts", "unique_inverse", "unique_values", "unstack", "var", "vecdot", "where",
]  # fmt: skip

Axis = int | tuple[int, ...] | None
Any_ = Any


def astype(x: Tensor, dtype: Any_, /, *, copy: bool = True, device: Any_ = None) -> Tensor:
    """Another dtype; a copy unless ``copy`` is False and nothing changes."""
    if x.dtype.is_complex and not dtype.is_complex:
        x = x.real
    return x.to(dtype=dtype, device=device, copy=copy)


# Shapes


def broadcast_arrays(*arrays: Tensor) -> tuple[Tensor, ...]:
    """All arrays expanded to one shape."""
    return tuple(fb.broadcast_tensors(*arrays))


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that shapes broadcast to.

    Raises:
        ValueError: they don't.
    """
    try:
        return tuple(fb.broadcast_shapes(*shapes))
    except RuntimeError as e:
        raise ValueError(str(e)) from None


def broadcast_to(x: Tensor, /, shape: tuple[int, ...]) -> Tensor:
    """Expanded to a shape."""
    return fb.broadcast_to(x, shape)


def concat(arrays: Any_, /, *, axis: int | None = 0) -> Tensor:
    """Arrays one after the other; without an axis, flattened first."""
    dtype = result_type(*arrays)
    parts = [a.to(dtype) for a in arrays]
    return fb.cat([p.reshape(-1) for p in parts]) if axis is None else fb.cat(parts, axis)


def stack(arrays: Any_, /, *, axis: int = 0) -> Tensor:
    """Arrays along a new axis."""
    dtype = result_type(*arrays)
    return fb.stack([a.to(dtype) for a in arrays], axis)


def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The parts along an axis."""
    return tuple(fb.unbind(x, axis))


def expand_dims(x: Tensor, /, axis: int | tuple[int, ...]) -> Tensor:
    """New axes of size 1, at these places of the result."""
    axes = (axis,) if isinstance(axis, int) else axis
    for a in sorted(_wrapped(axes, x.ndim + len(axes), "expand_dims")):
        x = x.unsqueeze(a)
    return x


def _wrapped(axes: tuple[int, ...], ndim: int, op: str) -> tuple[int, ...]:
    if not ndim and axes:
        raise IndexError(f"[{op}] got axis {axes} for a 0-d array; needed: none. Leave it out.")
    if bad := [a for a in axes if not -ndim <= a < ndim]:
        raise IndexError(
            f"[{op}] got axis {bad[0]} of {ndim}; needed: from {-ndim} to {ndim - 1}. Name those."
        )
    found = tuple(a % ndim for a in axes)
    if len({*found}) < len(found):
        raise ValueError(f"[{op}] got axis {axes}; needed: every axis once. Leave out the repeated one.")
    return found


def squeeze(x: Tensor, /, axis: int | tuple[int, ...]) -> Tensor:
    """Without axes of size 1.

    Raises:
        ValueError: an axis has another size.
    """
    axes = _wrapped((axis,) if isinstance(axis, int) else axis, x.ndim, "squeeze")
    if any_wrong := [a for a in axes if x.shape[a] != 1]:
        raise ValueError(
            f"[squeeze] got axis {any_wrong[0]} of {list(x.shape)}; needed: axes of size 1. Name those."
        )
    return x.squeeze(axes) if axes else x


def flip(x: Tensor, /, *, axis: Axis = None) -> Tensor:
    """In reverse along axes; all by default."""
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis
    return fb.flip(x, axes) if axes else x


def moveaxis(x: Tensor, source: Any_, destination: Any_, /) -> Tensor:
    """Axes moved to other places."""
    return fb.movedim(x, source, destination)


def permute_dims(x: Tensor, /, axes: tuple[int, ...]) -> Tensor:
    """The axes in another order."""
    return fb.permute(x, axes)


def matrix_transpose(x: Tensor, /) -> Tensor:
    """The last two axes swapped."""
    return x.mT


def repeat(x: Tensor, repeats: Any_, /, *, axis: int | None = None) -> Tensor:
    """Each element repeated."""
    if isinstance(repeats, Tensor):
        repeats = repeats.to(fb.int64)
        if not repeats.ndim:
            repeats = int(repeats)
    return fb.repeat_interleave(x, repeats, axis)


def reshape(x: Tensor, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Tensor:
    """Another shape; a view if ``copy`` is False, a copy if it is True.

    Raises:
        ValueError: ``copy=False`` where memory can't be seen in that shape.
    """
    if copy is False:
        try:
            return x.view(shape)
        except RuntimeError as e:
            raise ValueError(f"[reshape] copy=False: {e}") from None
    return fb.reshape(x.clone() if copy else x, shape)


def roll(x: Tensor, /, shift: Any_, *, axis: Axis = None) -> Tensor:
    """Elements moved around axes."""
    if axis is None:
        return fb.roll(x.reshape(-1), shift).reshape(x.shape)
    if isinstance(axis, tuple) and isinstance(shift, int):
        shift = (shift,) * len(axis)
    return fb.roll(x, shift, axis)


def tile(x: Tensor, repetitions: tuple[int, ...], /) -> Tensor:
    """An array repeated as a tile."""
    return fb.tile(x, tuple(repetitions))


# Indexing, searching, sets, sorting


def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """What indices name along an axis."""
    axis = 0 if axis is None else axis % x.ndim
    index = (slice(None),) * axis + (indices.to(fb.int64),)
    return x[index]


def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """What indices name along an axis, for each position of the other axes."""
    at = indices.to(fb.int64)
    n = x.shape[axis]
    axis %= x.ndim
    shape = [m if k == axis else n2 for k, (m, n2) in enumerate(zip(at.shape, x.shape, strict=True))]
    return fb.gather(x, axis, fb.where(at < 0, at + n, at).expand(shape))


def _arg(fn: Any_, x: Tensor, axis: int | None, keepdims: bool) -> Tensor:
    made: Tensor = fn(x.to(fb.uint8) if x.dtype is fb.bool else x, axis, keepdims)
    return made.reshape((1,) * x.ndim) if axis is None and keepdims else made


def argmax(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the largest element is."""
    return _arg(fb.argmax, x, axis, keepdims)


def argmin(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the smallest element is."""
    return _arg(fb.argmin, x, axis, keepdims)


def count_nonzero(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many elements are not 0."""
    return sum(x != 0, axis=axis, keepdims=keepdims, dtype=fb.int64)


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """The coordinates of elements that are not 0, one array per axis.

    Raises:
        ValueError: a 0-d array has no coordinates.
    """
    if not x.ndim:
        raise ValueError("[nonzero] got a 0-d array; needed: at least one axis. Use reshape(x, (1,)).")
    return tuple(fb.nonzero(x, as_tuple=True))


def searchsorted(x1: Tensor, x2: Any_, /, *, side: str = "left", sorter: Tensor | None = None) -> Tensor:
    """Where elements would stand in a sorted array."""
    a, b = together(x1, x2)
    if sorter is not None:
        sorter = sorter.to(fb.int64)
    return fb.searchsorted(a, b, side=side, sorter=sorter)


def where(condition: Tensor, x1: Any_, x2: Any_, /) -> Tensor:
    """Elements of the first where a condition holds, of the second elsewhere."""
    dtype = result_type(x1, x2)
    pair = [
        x.to(dtype) if isinstance(x, Tensor) else fb.full((), x, dtype=dtype, device=condition.device)
        for x in (x1, x2)
    ]
    made: Tensor = fb.where(condition, *pair)
    return made


def isin(x1: Any_, x2: Any_, /, *, invert: bool = False) -> Tensor:
    """Whether each element of the first is among the second's."""
    a, b = together(x1, x2)
    return fb.isin(a, b, invert=invert)


class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: Tensor
    inverse_indices: Tensor


def unique_all(x: Tensor, /) -> UniqueAll:
    """The distinct values, where each is first, where each element's is, how often; every NaN is distinct."""
    flat = x.reshape(-1)
    order = _order(flat, False)
    ranked = flat[order]
    first = fb.ones(ranked.shape, dtype=fb.bool, device=x.device)
    if len(flat) > 1:
        first[1:] = ranked[1:] != ranked[:-1]
    group = first.to(fb.int64).cumsum(0) - 1
    (starts,) = fb.nonzero(first, as_tuple=True)
    inverse = fb.empty(flat.shape, dtype=fb.int64, device=x.device)
    inverse[order] = group
    ends = fb.cat([starts[1:], fb.full((1,), len(flat), dtype=fb.int64, device=x.device)])[: len(starts)]
    return UniqueAll(ranked[starts], order[starts], inverse.reshape(x.shape), ends - starts)


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The distinct values, and how often each is there."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The distinct values, and where each element's is."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Tensor, /) -> Tensor:
    """The distinct values."""
    return unique_all(x).values


def _order(x: Tensor, descending: bool, axis: int = -1) -> Tensor:
    """Where sorted elements come from; complex numbers by real part, then imaginary part."""
    if x.dtype.is_complex:
        first = fb.argsort(x.imag, axis, descending)
        return fb.gather(first, axis, fb.argsort(fb.gather(x.real, axis, first), axis, descending))
    return fb.argsort(x, axis, descending)


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """In order along an axis."""
    values: Tensor = fb.sort(x, axis, descending)[0]
    return values


def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Where sorted elements come from."""
    return _order(x, descending, axis)


# Statistics


def _sum_dtype(x: Tensor, dtype: Any_) -> Any_:
    """The dtype to add up in: of the array's kind, at least the default one of that kind."""
    if dtype is not None:
        return dtype
    if x.dtype is fb.bool or x.dtype.is_floating_point or x.dtype.is_complex:
        return fb.int64 if x.dtype is fb.bool else x.dtype
    return fb.int64 if x.dtype.is_signed else fb.uint64


def sum(x: Tensor, /, *, axis: Axis = None, dtype: Any_ = None, keepdims: bool = False) -> Tensor:
    """The sum over axes."""
    return (
        x.to(_sum_dtype(x, dtype), copy=True)
        if axis == ()
        else fb.sum(x, axis, keepdims, dtype=_sum_dtype(x, dtype))
    )


def prod(x: Tensor, /, *, axis: Axis = None, dtype: Any_ = None, keepdims: bool = False) -> Tensor:
    """The product over axes."""
    return (
        x.to(_sum_dtype(x, dtype), copy=True)
        if axis == ()
        else fb.prod(x, axis, keepdims, dtype=_sum_dtype(x, dtype))
    )


def max(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element."""
    return x.clone() if axis == () else fb.amax(x, () if axis is None else axis, keepdims)


def min(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element."""
    return x.clone() if axis == () else fb.amin(x, () if axis is None else axis, keepdims)


def mean(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over axes."""
    return x.clone() if axis == () else fb.mean(x, axis, keepdims)


def var(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance over axes."""
    if axis == ():
        return x - x
    return fb.var(x, axis, keepdim=keepdims, correction=correction)


def std(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The standard deviation over axes."""
    return fb.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def _cumulative(
    name: str, first: int, x: Tensor, axis: int | None, dtype: Any_, include_initial: bool
) -> Tensor:
    if axis is None:
        if x.ndim > 1:
            raise ValueError(
                f"[{name}] got {list(x.shape)} without an axis; needed: an axis for arrays of several. Give one."
            )
        axis = 0
    out: Tensor = getattr(fb, name)(x, axis, dtype=_sum_dtype(x, dtype))
    if include_initial:
        shape = [1 if k == axis % x.ndim else n for k, n in enumerate(out.shape)]
        out = fb.cat([fb.full(shape, first, dtype=out.dtype, device=x.device), out], axis)
    return out


def cumulative_sum(
    x: Tensor, /, *, axis: int | None = None, dtype: Any_ = None, include_initial: bool = False
) -> Tensor:
    """The running sum."""
    return _cumulative("cumsum", 0, x, axis, dtype, include_initial)


def cumulative_prod(
    x: Tensor, /, *, axis: int | None = None, dtype: Any_ = None, include_initial: bool = False
) -> Tensor:
    """The running product."""
    return _cumulative("cumprod", 1, x, axis, dtype, include_initial)


def all(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements hold."""
    return (x != 0) if axis == () else fb.all(x != 0, axis, keepdims)


def any(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether any element holds."""
    return (x != 0) if axis == () else fb.any(x != 0, axis, keepdims)


def diff(
    x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Differences of neighbours, ``n`` times over."""
    x = concat([p for p in (prepend, x, append) if p is not None], axis=axis)
    for _ in range(n):
        count = builtins.max(x.shape[axis] - 1, 0)
        after, before = (x.narrow(axis, x.shape[axis] - count, count), x.narrow(axis, 0, count))
        x = (after ^ before) if x.dtype is fb.bool else after - before
    return x


# Linear algebra


def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The product of matrices."""
    return fb.matmul(*together(x1, x2))


def tensordot(x1: Tensor, x2: Tensor, /, *, axes: Any_ = 2) -> Tensor:
    """The sum of products over pairs of axes."""
    a, b = together(x1, x2)
    if isinstance(axes, tuple):
        axes = tuple([a_] if isinstance(a_, int) else list(a_) for a_ in axes)
    return fb.tensordot(a, b, axes)


def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The products of vectors along an axis, the first ones conjugated."""
    a, b = together(x1, x2)
    if a.shape[axis] != b.shape[axis]:
        raise ValueError(
            f"[vecdot] got {list(a.shape)} and {list(b.shape)}; needed: equal sizes along the axis."
        )
    a, b = fb.broadcast_tensors(a.movedim(axis, -1), b.movedim(axis, -1))
    return fb.matmul(a.conj().unsqueeze(-2), b.unsqueeze(-1)).squeeze(-1).squeeze(-1)
