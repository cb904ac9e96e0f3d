"""Arrays from nothing or from data, under the standard's names."""

from __future__ import annotations

from typing import Any

import flambeau as fb
from flambeau import Tensor

__all__ = [
    "arange", "asarray", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like", "linspace", "meshgrid",
    "ones", "ones_like",
    "tril", "triu", "zeros", "zeros_like",
]  # fmt: skip

Shape = int | tuple[int, ...]


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Tensor:
    """Data as an array; shared where that is possible, unless ``copy`` says otherwise."""
    return fb.asarray(obj, dtype=dtype, device=device, copy=copy)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """An array on the memory of another library's; needs flambeau-io."""
    made: Tensor = fb.from_dlpack(x, device=device, copy=copy)
    return made


def arange(
    start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """Numbers from ``start`` (0 where only one bound is given) up to, not including, ``stop``."""
    if stop is None:
        start, stop = 0, start
    if (stop - start) * step <= 0:
        number = any(isinstance(v, float) for v in (start, stop, step))
        return fb.empty((0,), dtype=dtype or (None if number else fb.int64), device=device)
    return fb.arange(start, stop, step, dtype=dtype, device=device)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Tensor:
    """``num`` numbers at even distances from ``start`` to ``stop``."""
    if isinstance(start, complex) or isinstance(stop, complex):
        dtype = dtype or fb.get_default_dtype().to_complex()
    if not endpoint:
        return fb.linspace(start, stop, num + 1, dtype=dtype, device=device)[:num]
    return fb.linspace(start, stop, num, dtype=dtype, device=device)


def eye(
    n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None
) -> Tensor:
    """Ones on the ``k``-th diagonal, zeros elsewhere."""
    made = fb.zeros((n_rows, n_rows if n_cols is None else n_cols), dtype=dtype, device=device)
    if -made.shape[0] < k < made.shape[1]:
        made.diagonal(k).fill_(1)
    return made


def empty(shape: Shape, *, dtype: Any = None, device: Any = None) -> Tensor:
    """An array of a shape, its elements not set."""
    return fb.empty(shape, dtype=dtype, device=device)


def zeros(shape: Shape, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Zeros of a shape."""
    return fb.zeros(shape, dtype=dtype, device=device)


def ones(shape: Shape, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Ones of a shape."""
    return fb.ones(shape, dtype=dtype, device=device)


def full(shape: Shape, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """One value in a shape."""
    return fb.full((shape,) if isinstance(shape, int) else shape, fill_value, dtype=dtype, device=device)


def empty_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """As `empty`, of another array's shape, dtype and device."""
    return fb.empty_like(x, dtype=dtype, device=device)


def zeros_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """As `zeros`, of another array's shape, dtype and device."""
    return fb.zeros_like(x, dtype=dtype, device=device)


def ones_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """As `ones`, of another array's shape, dtype and device."""
    return fb.ones_like(x, dtype=dtype, device=device)


def full_like(x: Tensor, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """As `full`, of another array's shape, dtype and device."""
    return fb.full_like(x, fill_value, dtype=dtype, device=device)


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> tuple[Tensor, ...]:
    """Coordinates of a grid."""
    return tuple(fb.meshgrid(*arrays, indexing=indexing))


def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The lower triangle of matrices."""
    return fb.tril(x, k)


def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The upper triangle of matrices."""
    return fb.triu(x, k)
