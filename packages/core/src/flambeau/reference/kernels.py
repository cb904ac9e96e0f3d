"""The required entries of the backend contract in NumPy: programs, copies, reductions, scans, matmul, indices, sort."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import bool_, int64
from ..errors import bad_index, describe
from ..program import TypedProgram
from .arrays import NUMPY, Array, as_array, cast, load, store, widen, wider
from .opcodes import evaluate

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["copy", "gather", "matmul", "reduce", "run_program", "scan", "scan2", "scatter", "sort"]


def run_program(
    program: TypedProgram, outs: Sequence[Tensor], ins: Sequence[Tensor], scalars: Sequence[Any]
) -> None:
    """Instruction by instruction over whole arrays; outputs may share memory with inputs."""
    results = evaluate(program, outs[0].spec.shape, [as_array(t) for t in ins], scalars)
    if len(outs) > 1:  # a result that is an input must not change when another output is written
        results = [np.array(r) for r in results]
    for t, r in zip(outs, results, strict=True):
        as_array(t)[...] = r


def copy(out: Tensor, src: Tensor) -> None:
    """Copy with cast."""
    store(out, as_array(src), src.spec.dtype)


# Reductions

_TOTALS: dict[str, Callable[..., Array]] = {"sum": np.sum, "prod": np.prod}
_EXTREMES: dict[str, Callable[..., Array]] = {"max": np.max, "min": np.min}
_PLACES: dict[str, Callable[..., Array]] = {"argmax": np.argmax, "argmin": np.argmin}


def reduce(kind: str, out: Tensor, src: Tensor, dims: tuple[int, ...]) -> None:
    """Sums and products of floats accumulate in double precision."""
    shape = out.spec.shape
    if kind in _TOTALS:
        dtype = widen(out.spec.dtype)
        x = load(src, dtype)
        if dtype is bool_:
            total, dtype = (np.any if kind == "sum" else np.all)(x, axis=dims), bool_
        else:
            held = wider(dtype)
            total, dtype = _TOTALS[kind](x, axis=dims, dtype=NUMPY[held]), held
        store(out, np.reshape(total, shape), dtype)
    elif kind in _EXTREMES:
        x = load(src)
        store(out, np.reshape(_EXTREMES[kind](x, axis=dims), shape), widen(src.spec.dtype))
    elif kind in _PLACES:
        x = load(src)
        kept = [d for d in range(x.ndim) if d not in dims]
        rows = x.transpose(*kept, *dims).reshape(
            *(x.shape[d] for d in kept), math.prod(x.shape[d] for d in dims)
        )
        store(out, np.reshape(_PLACES[kind](rows, axis=-1), shape), int64)
    else:
        flags = np.not_equal(load(src), 0)
        store(out, np.reshape((np.any if kind == "any" else np.all)(flags, axis=dims), shape), bool_)


# Scans


def _lines(a: Array) -> Array:
    """An array with at least one dimension, on the same memory."""
    return a.reshape(1) if a.ndim == 0 else a


def _logcumsumexp(x: Array, dim: int) -> Array:
    if x.dtype.kind == "f":
        return np.logaddexp.accumulate(x, axis=dim)
    out = np.array(x)
    rows = np.moveaxis(out, dim, 0)
    for i in range(1, len(rows)):
        a, b = rows[i - 1], rows[i]
        swap = a.real < b.real
        big, small = np.where(swap, b, a), np.where(swap, a, b)
        rows[i] = np.where(np.isneginf(big.real), big, big + np.log(1 + np.exp(small - big)))
    return out


def scan(kind: str, out: Tensor, src: Tensor, dim: int) -> None:
    """Running values accumulate in double precision."""
    dtype = widen(out.spec.dtype)
    x = _lines(load(src, dtype))
    if dtype is bool_:
        result = (np.logical_or if kind == "cumsum" else np.logical_and).accumulate(x, axis=dim)
        store(out, result.reshape(out.spec.shape), bool_)
        return
    held = wider(dtype)
    x = cast(x, dtype, held)
    if kind == "logcumsumexp":
        result = _logcumsumexp(x, dim)
    else:
        result = (np.cumsum if kind == "cumsum" else np.cumprod)(x, axis=dim, dtype=NUMPY[held])
    store(out, result.reshape(out.spec.shape), held)


def scan2(kind: str, values: Tensor, indices: Tensor, src: Tensor, dim: int) -> None:
    """Of equal values the last is taken; the first NaN stays, its place moves on to later ones."""
    x = _lines(load(src))
    best = (np.maximum if kind == "cummax" else np.minimum).accumulate(x, axis=dim)
    found = (x == best) | (np.isnan(x) if x.dtype.kind in "fc" else False)
    place = np.arange(x.shape[dim]).reshape([-1 if d == dim else 1 for d in range(x.ndim)])
    last = np.maximum.accumulate(np.where(found, place, 0), axis=dim)
    shape = src.spec.shape
    store(values, np.take_along_axis(x, last, axis=dim).reshape(shape), widen(src.spec.dtype))
    store(indices, last.reshape(shape), int64)


# Matrices


def matmul(out: Tensor, a: Tensor, b: Tensor) -> None:
    """NumPy's: BLAS for floats and complex numbers, sums that wrap for integers, or-and for bool."""
    dtype = widen(out.spec.dtype)
    store(out, np.matmul(load(a, dtype), load(b, dtype)), dtype)


# Indices


def _checked(op: str, index: Tensor, dim: int, size: int) -> Array:
    """The index as int64 with at least one dimension.

    Raises:
        OutOfRange: an index below 0 or not below the size.
    """
    places = _lines(as_array(index)).astype(np.int64, copy=False)
    bad = (places < 0) | (places >= size)
    if bad.any():
        at = [int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape)]
        where = f" at position {at if index.spec.ndim else []} (index: {describe(index)})"
        raise bad_index(op, int(places[tuple(at)]), dim, size, where)
    return places


def gather(out: Tensor, src: Tensor, dim: int, index: Tensor) -> None:
    """Take along a dimension; elements are moved as they are."""
    x = _lines(as_array(src))
    places = _checked("gather", index, dim, x.shape[dim])
    if not places.size:
        return
    x = x[tuple(slice(None) if d == dim else slice(n) for d, n in enumerate(places.shape))]
    store(out, np.take_along_axis(x, places, axis=dim).reshape(out.spec.shape), src.spec.dtype)


_INTO: dict[str, Callable[..., None]] = {
    "sum": np.add.at,
    "prod": np.multiply.at,
    "amax": np.maximum.at,
    "amin": np.minimum.at,
}


def scatter(out: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str | None) -> None:
    """Put along a dimension, one after the other in row-major order of the index."""
    target = _lines(as_array(out))
    places = _checked("scatter", index, dim, target.shape[dim])
    if not places.size:
        return
    dtype = out.spec.dtype if reduce is None else widen(out.spec.dtype)
    held = cast(target, out.spec.dtype, dtype)
    values = _lines(cast(as_array(src), src.spec.dtype, dtype))[tuple(slice(n) for n in places.shape)]
    where = list(np.ogrid[tuple(slice(n) for n in places.shape)])
    where[dim] = places
    flat = np.ravel_multi_index(np.broadcast_arrays(*where), target.shape).reshape(-1)
    result = np.array(held, order="C").reshape(-1)
    if reduce is None:
        result[flat] = values.reshape(-1)
    else:
        _INTO[reduce](result, flat, values.reshape(-1))
    store(out, result.reshape(out.spec.shape), dtype)


# Sorting


def sort(values: Tensor, indices: Tensor, src: Tensor, dim: int, descending: bool, stable: bool) -> None:
    """Always stable; NaN is the largest, so it comes last, or first in descending order."""
    x = _lines(load(src))
    if descending:  # the stable order of the reversed line, read from its end, keeps equal elements in order
        order = x.shape[dim] - 1 - np.flip(np.argsort(np.flip(x, dim), axis=dim, kind="stable"), dim)
    else:
        order = np.argsort(x, axis=dim, kind="stable")
    shape = src.spec.shape
    store(values, np.take_along_axis(x, order, axis=dim).reshape(shape), widen(src.spec.dtype))
    store(indices, order.reshape(shape), int64)
