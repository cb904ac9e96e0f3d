"""Splitting a tensor into parts along a dimension; all parts are views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._tensor import Tensor
from ..errors import refuse
from ..layout import Spec, wrap_dim
from ..op import composite
from ..op import view as view_op
from .slicing import zeros_of
from .views import ints


def _stack_back(gs: Sequence[Any], spec: Spec, dim: int) -> Any:
    from .joining import stack

    d = wrap_dim(dim, spec.ndim, "unbind")
    part = spec.like(shape=(*spec.shape[:d], *spec.shape[d + 1 :]))
    return stack([zeros_of(part) if g is None else g for g in gs], d) if gs else zeros_of(spec)


@view_op(vjp={"self": lambda gs, self_spec, dim: _stack_back(gs, self_spec, dim)})
def unbind(self: Spec, dim: int = 0) -> Any:
    """The parts at each place of a dimension, which goes; a tuple of views."""
    if not self.ndim:
        raise IndexError("[unbind] Dimension specified as 0 but tensor has no dimensions.")
    d = wrap_dim(dim, self.ndim, "unbind")
    shape, strides = (*self.shape[:d], *self.shape[d + 1 :]), (*self.strides[:d], *self.strides[d + 1 :])
    return [(shape, strides, k * self.strides[d]) for k in range(self.shape[d])]


def _cat_back(gs: Sequence[Any], spec: Spec, sizes: Sequence[int], dim: int) -> Any:
    from .joining import cat

    d = wrap_dim(dim, spec.ndim, "split")
    parts = [
        zeros_of(spec.like(shape=(*spec.shape[:d], n, *spec.shape[d + 1 :]))) if g is None else g
        for g, n in zip(gs, sizes, strict=True)
    ]
    return cat(parts, d)


@view_op(
    name="split_parts",
    public=False,
    vjp={"self": lambda gs, self_spec, sizes, dim: _cat_back(gs, self_spec, sizes, dim)},
)
def split_parts(self: Spec, sizes: tuple[int, ...], dim: int) -> Any:
    """Parts of given sizes."""
    parts, at = [], 0
    for n in sizes:
        parts.append(((*self.shape[:dim], n, *self.shape[dim + 1 :]), self.strides, at * self.strides[dim]))
        at += n
    return parts


def _dim_of(op: str, self: Any, dim: int) -> tuple[int, int]:
    if not self.spec.ndim:
        raise RuntimeError(f"[{op}] {op} expects at least a 1-dimensional tensor: got a 0-d tensor.")
    d = wrap_dim(dim, self.spec.ndim, op)
    return d, self.spec.shape[d]


@composite(aliases=("unsafe_split",))
def split(self: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of one size (the last may be smaller), or of the sizes listed; views.

    >>> import flambeau as fb
    >>> [p.tolist() for p in fb.arange(5).split(2)]
    [[0, 1], [2, 3], [4]]
    """
    size = split_size_or_sections
    if not isinstance(size, int):
        return split_with_sizes(self, size, dim)  # type: ignore[no-any-return]
    d, n = _dim_of("split", self, dim)
    if size < 0 or (size == 0 and n):
        wrong = "split expects split_size be non-negative, and positive unless the dimension is empty: got "
        wrong += f"split_size={size} for dimension {d} of {list(self.shape)}"
        refuse("split", wrong)
    count = max(1, -(-n // size)) if size else 1
    sizes = (*[size] * (count - 1), n - size * (count - 1))
    return split_parts(self, sizes, d)  # type: ignore[no-any-return]


@composite(aliases=("unsafe_split_with_sizes",))
def split_with_sizes(self: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of the sizes listed; views."""
    d, n = _dim_of("split_with_sizes", self, dim)
    sizes = ints(split_sizes)
    if any(k < 0 for k in sizes):
        wrong = f"split_with_sizes expects split_sizes have only non-negative entries: got {list(sizes)}"
        refuse("split_with_sizes", wrong)
    if sum(sizes) != n:
        wrong = f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at "
        wrong += f"dimension {d}): got {list(sizes)}"
        refuse("split_with_sizes", wrong)
    return split_parts(self, sizes, d)  # type: ignore[no-any-return]


@composite(aliases=("unsafe_chunk",))
def chunk(self: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` parts of one size (the last may be smaller); views."""
    d, n = _dim_of("chunk", self, dim)
    if chunks <= 0:
        raise RuntimeError(f"[chunk] chunk expects `chunks` to be greater than 0: got {chunks}.")
    if not n:
        return split_parts(self, (0,) * chunks, d)  # type: ignore[no-any-return]
    return split(self, -(-n // chunks), d)  # type: ignore[no-any-return]


@composite()
def tensor_split(
    self: Tensor, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0
) -> tuple[Tensor, ...]:
    """So many parts of nearly equal size, or parts that end at the places listed; views."""
    d, n = _dim_of("tensor_split", self, dim)
    given: Any = indices_or_sections
    if hasattr(given, "spec"):
        if given.spec.ndim > 1 or given.spec.dtype.rank != 1:
            wrong = "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or "
            wrong += f"one-dimensional integer tensor: got {list(given.shape)} {given.dtype.name}"
            refuse("tensor_split", wrong)
        given = given.tolist()
    if isinstance(given, int):
        if given <= 0:
            raise RuntimeError(f"[tensor_split] number of sections must be larger than 0, got {given}.")
        low, more = divmod(n, given)
        return split_parts(self, (*[low + 1] * more, *[low] * (given - more)), d)  # type: ignore[no-any-return]
    parts, start = [], 0
    for end in (*ints(given), n):
        first, last, _ = slice(start, end).indices(n)
        parts.append(self.narrow(d, min(first, n), max(last - first, 0)))
        start = end
    return tuple(parts)


def _axis_split(op: str, self: Any, given: Any, dim: int, least: int) -> Any:
    if self.spec.ndim < least:
        wrong = f"{op} requires a tensor with at least {least} dimension{'s' if least > 1 else ''}, but got "
        wrong += f"a tensor with {self.spec.ndim} dimensions"
        refuse(op, wrong)
    if isinstance(given, int):
        n = self.spec.shape[dim]
        if given <= 0 or n % given:
            wrong = f"attempted to split along dimension {dim}, but the size of the dimension {n} is not "
            wrong += f"divisible by the split_size {given}"
            refuse(op, wrong)
    return tensor_split(self, given, dim)


@composite()
def hsplit(self: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Split along the second dimension (the first of vectors)."""
    return _axis_split("hsplit", self, indices_or_sections, 0 if self.spec.ndim == 1 else 1, 1)  # type: ignore[no-any-return]


@composite()
def vsplit(self: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Split along the first dimension."""
    return _axis_split("vsplit", self, indices_or_sections, 0, 2)  # type: ignore[no-any-return]


@composite()
def dsplit(self: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Split along the third dimension."""
    return _axis_split("dsplit", self, indices_or_sections, 2, 3)  # type: ignore[no-any-return]
