"""The same elements in other places: flips, rolls, rotations, triangles, diagonals, borders of one value."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from .. import registry
from .._tensor import Tensor
from ..errors import refuse
from ..layout import Spec, wrap_dim, wrap_dims
from ..op import Call, composite, kernel
from ..plan import new_tensor
from ..program import Number, call, select
from .creation import arange, check_number, fill_with
from .pointwise import pointwise
from .slicing import Key, Range, cut, key_along, slice_view, zeros_of
from .slicing import diagonal as diagonal_view
from .views import ints

# Flips and rolls


def _flip_default(self: Any, dims: Sequence[int]) -> Any:
    turned = wrap_dims(ints(dims), self.spec.ndim, "flip")
    key = tuple((n - 1, n, -1) if d in turned and n else (0, n, 1) for d, n in enumerate(self.spec.shape))
    return cut(self, key).clone()


@kernel(vjp={"self": lambda g, dims: g.flip(dims)}, default=_flip_default)
def flip(self: Spec, dims: Sequence[int]) -> Any:
    """The order along dimensions reversed; a copy (``x[::-1]`` is a view)."""
    wrap_dims(ints(dims), self.ndim, "flip")
    return Call(self.like())


@composite()
def fliplr(self: Tensor) -> Tensor:
    """The order of columns reversed."""
    if self.spec.ndim < 2:
        raise RuntimeError(f"[fliplr] Input must be >= 2-d: got {list(self.shape)}.")
    return flip(self, (1,))  # type: ignore[no-any-return]


@composite()
def flipud(self: Tensor) -> Tensor:
    """The order of rows reversed."""
    if self.spec.ndim < 1:
        raise RuntimeError("[flipud] Input must be >= 1-d: got a 0-d tensor.")
    return flip(self, (0,))  # type: ignore[no-any-return]


def _roll_default(self: Any, shifts: Any, dims: Any) -> Any:
    by, along = ints(shifts), ints(dims)
    if not along:
        return _roll_default(self.reshape(-1), by, (0,)).reshape(self.spec.shape)
    x = self
    for shift, dim in zip(by, along, strict=True):
        spec = x.spec
        d = wrap_dim(dim, spec.ndim, "roll")
        n = spec.shape[d] if spec.ndim else 0
        k = shift % n if n else 0
        out = new_tensor(spec.like())
        copy = registry.backend_of(spec.device).copy
        for start, length, to in ((0, n - k, k), (n - k, k, 0)):
            if length:
                place = key_along(spec.shape, d, (to, length, 1))
                copy(slice_view(out, place), slice_view(x, key_along(spec.shape, d, (start, length, 1))))
        x = out if n else x.clone()
    return x if along else self.clone()


@kernel(
    vjp={"self": lambda g, shifts, dims: g.roll(tuple(-k for k in ints(shifts)), dims)}, default=_roll_default
)
def roll(self: Spec, shifts: int | Sequence[int], dims: int | Sequence[int] = ()) -> Any:
    """Elements moved along dimensions; those that leave at the end come in at the start."""
    by, along = ints(shifts), ints(dims if dims is not None else ())
    if not by:
        raise RuntimeError("[roll] `shifts` required: got none.")
    if len(by) != len(along) and not (not along and len(by) == 1):
        refuse("roll", f"shifts and dimensions must align: got shifts: {len(by)}, dims: {len(along)}")
    if along and not self.ndim:
        raise IndexError(f"[roll] Dimension specified as {along[0]} but tensor has no dimensions.")
    for d in along:
        wrap_dim(d, self.ndim, "roll")
    return Call(self.like(), attrs={"shifts": by, "dims": along})


# Triangles


@pointwise(raw=("row", "col"), public=False, name="tril_values")
def _tril(self: Tensor, row: Tensor, col: Tensor) -> Any:
    return select(call("le", col, row), self, 0)


@pointwise(raw=("row", "col"), public=False, name="triu_values")
def _triu(self: Tensor, row: Tensor, col: Tensor) -> Any:
    return select(call("ge", col, row), self, 0)


def _triangle(op: Any, name: str, self: Any, diagonal: int) -> Any:
    if self.spec.ndim < 2:
        refuse(name, f"{name}: input tensor must have at least 2 dimensions", self=self)
    n, m = self.spec.shape[-2:]
    make = _coordinates if n + m <= _KEPT else _coordinates.__wrapped__
    return op(self, *make(n, m, diagonal.__index__(), self.spec.device))


#: Coordinates of matrices up to this many rows and columns are kept.
_KEPT = 1 << 14


@lru_cache(64)
def _coordinates(n: int, m: int, k: int, device: Any) -> tuple[Any, Any]:
    """Rows, moved by ``k``, as a column, and columns as a row; kept, since masks of one size come again and again."""
    return arange(k, n + k, device=device).reshape(n, 1), arange(m, device=device)


@composite(inplace=True)
def tril(self: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangles of matrices, zeros above; ``diagonal`` moves the border up."""
    return _triangle(_tril, "tril", self, diagonal)  # type: ignore[no-any-return]


@composite(inplace=True)
def triu(self: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangles of matrices, zeros below; ``diagonal`` moves the border up."""
    return _triangle(_triu, "triu", self, diagonal)  # type: ignore[no-any-return]


def _triangle_indices(name: str, row: int, col: int, offset: int, dtype: Any, device: Any) -> Any:
    from .creation import ones

    if row < 0 or col < 0:
        raise RuntimeError(f"[{name}] row and col must be non-negative: got row={row}, col={col}.")
    mask = ones((row, col), dtype=None, device=device)
    found = getattr(mask, name[:4])(offset).nonzero().t().contiguous()
    return found if dtype is None else found.to(dtype)


@composite(method=False)
def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Rows and columns of a lower triangle's elements."""
    return _triangle_indices("tril_indices", row, col, offset, dtype, device)  # type: ignore[no-any-return]


@composite(method=False)
def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Rows and columns of an upper triangle's elements."""
    return _triangle_indices("triu_indices", row, col, offset, dtype, device)  # type: ignore[no-any-return]


# Diagonals


def _diag_embed_default(self: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    out = zeros_of(diag_embed.fn(self.spec, offset, dim1, dim2).specs[0])
    registry.backend_of(out.spec.device).copy(diagonal_view(out, offset, dim1, dim2), self)
    return out


@kernel(
    vjp={"self": lambda g, offset, dim1, dim2: g.diagonal(offset, dim1, dim2)}, default=_diag_embed_default
)
def diag_embed(self: Spec, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices of zeros with the last dimension on their diagonals."""
    if not self.ndim:
        wrong = "Dimension out of range: got a 0-d tensor, needed: at least 1 dimension"
        refuse("diag_embed", wrong, error=IndexError)
    n = self.ndim + 1
    a, b = wrap_dim(dim1, n, "diag_embed", "dim1"), wrap_dim(dim2, n, "diag_embed", "dim2")
    if a == b:
        raise RuntimeError(f"[diag_embed] diagonal dimensions cannot be identical: got {dim1}, {dim2}.")
    size = self.shape[-1] + abs(offset)
    rest = iter(self.shape[:-1])
    return Call(self.like(shape=[size if d in (a, b) else next(rest) for d in range(n)]))


@composite()
def diag(self: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix (a copy), or a matrix with a vector on its diagonal."""
    if self.spec.ndim == 1:
        return diag_embed(self, diagonal)  # type: ignore[no-any-return]
    if self.spec.ndim != 2:
        raise RuntimeError(f"[diag] Supports 1D or 2D tensors. Got {self.spec.ndim}D: {list(self.shape)}.")
    return self.diagonal(diagonal).clone()


@composite()
def trace(self: Tensor) -> Tensor:
    """The sum of a matrix's diagonal."""
    if self.spec.ndim != 2:
        refuse("trace", "trace: expected a matrix", self=self)
    return self.diagonal().sum()


@composite()
def diagflat(self: Tensor, offset: int = 0) -> Tensor:
    """A matrix with all elements on its diagonal."""
    return diag_embed(self.reshape(-1), offset)  # type: ignore[no-any-return]


# Padding


def _pad_default(self: Any, widths: Sequence[int], value: Any) -> Any:
    """Widths are pairs per dimension, in order; negative ones cut."""
    spec = self.spec
    taken: list[Range] = []
    put: list[Range] = []
    for d, n in enumerate(spec.shape):
        low, high = widths[2 * d], widths[2 * d + 1]
        length = max(n + min(low, 0) + min(high, 0), 0)
        taken.append((max(-low, 0), length, 1))
        put.append((max(low, 0), length, 1))
    out = new_tensor(constant_pad.fn(spec, widths, value).specs[0])
    fill_with(out, check_number("pad", value, spec.dtype))
    to: Key = tuple(put)
    registry.backend_of(spec.device).copy(slice_view(out, to), slice_view(self, tuple(taken)))
    return out


@kernel(
    public=False,
    vjp={"self": lambda g, widths: constant_pad(g, tuple(-w for w in widths), 0)},  # type: ignore[has-type]
    default=_pad_default,
)
def constant_pad(self: Spec, widths: Sequence[int], value: Any) -> Any:
    """A border of one value around a tensor: two widths per dimension, from the first one on; negative ones cut."""
    shape = [n + widths[2 * d] + widths[2 * d + 1] for d, n in enumerate(self.shape)]
    for d, n in enumerate(shape):
        if n < 0:
            wrong = f"The input size {self.shape[d]}, plus negative padding {widths[2 * d]} and "
            wrong += f"{widths[2 * d + 1]} resulted in a negative output size, which is invalid"
            refuse("pad", wrong, do=f"Check dimension {d} of your input.")
    return Call(self.like(shape=shape))


@composite(function=False, name="fill_diagonal_in_place", export="fill_diagonal_")
def fill_diagonal_(self: Tensor, fill_value: Number, wrap: bool = False) -> Tensor:
    """Overwrite the main diagonal (of equal dimensions, where there are more than two) with a number.

    Args:
        self: at least two dimensions.
        fill_value: the number.
        wrap: begin again below, after a row, in matrices that are taller than wide.
    """
    shape, strides = self.spec.shape, self.spec.strides
    if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
        refuse("fill_diagonal_", "dimensions must be larger than 1, and equal if there are more", self=self)
    step = shape[1] + 1 if wrap and len(shape) == 2 else max(shape[0], 1)
    for top in range(0, shape[0], step):
        n = min(shape[0] - top, *shape[1:])
        self.as_strided((n,), (sum(strides),), self.offset + top * strides[0]).fill_(fill_value)
    return self
