"""The extension ``linalg``: `flambeau.linalg` of ``flambeau-math`` under the standard's signatures."""

from __future__ import annotations

from typing import Any

import flambeau as fb
from flambeau import Tensor

from .elementwise import together
from .functions import matmul, matrix_transpose, sum, tensordot, vecdot

_own: Any = fb.linalg
#: Functions of one array.
_PLAIN = ("det", "eig", "eigh", "eigvals", "eigvalsh", "inv", "slogdet", "svdvals")
__all__ = [
    *_PLAIN, "cholesky", "cross", "diagonal", "matmul", "matrix_norm", "matrix_power", "matrix_rank",
    "matrix_transpose", "outer", "pinv", "qr", "solve", "svd", "tensordot", "trace", "vecdot", "vector_norm",
]  # fmt: skip


def _plain(name: str) -> Any:
    def fn(x: Tensor, /) -> Any:
        return getattr(_own, name)(x)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"`flambeau.linalg.{name}`."
    return fn


globals().update({n: _plain(n) for n in _PLAIN})


def cholesky(x: Tensor, /, *, upper: bool = False) -> Any:
    """The triangular factor of positive definite matrices."""
    return _own.cholesky(x, upper=upper)


def cross(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The cross products of vectors of 3."""
    a, b = together(x1, x2)
    made: Tensor = _own.cross(*fb.broadcast_tensors(a.movedim(axis, -1), b.movedim(axis, -1)))
    return made.movedim(-1, axis)


def diagonal(x: Tensor, /, *, offset: int = 0) -> Tensor:
    """The diagonals of the matrices in the last two axes."""
    return x.diagonal(offset, -2, -1)


def matrix_norm(x: Tensor, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Norms of matrices."""
    return _own.matrix_norm(x, ord, keepdim=keepdims)


def matrix_power(x: Tensor, n: int, /) -> Any:
    """Powers of matrices."""
    return _own.matrix_power(x, n)


def matrix_rank(x: Tensor, /, *, rtol: Any = None) -> Any:
    """How many singular values are not 0, relative to the largest."""
    return _own.matrix_rank(x, rtol=rtol)


def outer(x1: Tensor, x2: Tensor, /) -> Tensor:
    """All products of elements of two vectors."""
    return fb.outer(*together(x1, x2))


def pinv(x: Tensor, /, *, rtol: Any = None) -> Any:
    """Pseudo-inverses; singular values below ``rtol`` times the largest count as 0."""
    return _own.pinv(x, rtol=rtol)


def qr(x: Tensor, /, *, mode: str = "reduced") -> Any:
    """Orthogonal and upper triangular factors."""
    return _own.qr(x, mode)


def solve(x1: Tensor, x2: Tensor, /) -> Any:
    """What ``x1`` must be multiplied with to give ``x2``: a vector if that is 1-d, else matrices."""
    a, b = together(x1, x2)
    if b.ndim == 1:
        return _own.solve(a, b.unsqueeze(-1)).squeeze(-1)
    batch = fb.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return _own.solve(a.expand((*batch, *a.shape[-2:])), b.expand((*batch, *b.shape[-2:])))


def svd(x: Tensor, /, *, full_matrices: bool = True) -> Any:
    """Singular values and vectors."""
    return _own.svd(x, full_matrices)


def trace(x: Tensor, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sums of diagonals."""
    return sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def vector_norm(x: Tensor, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """Norms of vectors, along axes."""
    if axis == ():
        return fb.abs(x) if ord != 0 else (x != 0).to(fb.abs(x).dtype)
    return _own.vector_norm(x, ord, axis, keepdims)
