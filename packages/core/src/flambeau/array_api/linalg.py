"""The extension ``linalg``: `flambeau.linalg` of ``flambeau-math`` under the standard's signatures."""

from __future__ import annotations

from typing import Any

import flambeau as fb
from flambeau import Tensor

from .elementwise import together
from .functions import matmul, matrix_transpose, sum, tensordot, vecdot

__all__ = [
    "cholesky", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "matmul", "matrix_norm",
    "matrix_power", "matrix_rank", "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals",
    "tensordot", "trace", "vecdot", "vector_norm",
]  # fmt: skip

_own: Any = fb.linalg  # type: ignore[attr-defined]


def cholesky(x: Tensor, /, *, upper: bool = False) -> Tensor:
    """The triangular factor of positive definite matrices."""
    made: Tensor = _own.cholesky(x, upper=upper)
    return made


def cross(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The cross products of vectors of 3."""
    a, b = together(x1, x2)
    made: Tensor = _own.cross(*fb.broadcast_tensors(a.movedim(axis, -1), b.movedim(axis, -1)))
    return made.movedim(-1, axis)


def det(x: Tensor, /) -> Tensor:
    """Determinants."""
    made: Tensor = _own.det(x)
    return made


def diagonal(x: Tensor, /, *, offset: int = 0) -> Tensor:
    """The diagonals of the matrices in the last two axes."""
    return x.diagonal(offset, -2, -1)


def eig(x: Tensor, /) -> Any:
    """Eigenvalues and eigenvectors."""
    return _own.eig(x)


def eigvals(x: Tensor, /) -> Tensor:
    """Eigenvalues."""
    made: Tensor = _own.eigvals(x)
    return made


def eigh(x: Tensor, /) -> Any:
    """Eigenvalues and eigenvectors of Hermitian matrices."""
    return _own.eigh(x)


def eigvalsh(x: Tensor, /) -> Tensor:
    """Eigenvalues of Hermitian matrices."""
    made: Tensor = _own.eigvalsh(x)
    return made


def inv(x: Tensor, /) -> Tensor:
    """Inverses."""
    made: Tensor = _own.inv(x)
    return made


def matrix_norm(x: Tensor, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """Norms of matrices."""
    made: Tensor = _own.matrix_norm(x, ord, keepdim=keepdims)
    return made


def matrix_power(x: Tensor, n: int, /) -> Tensor:
    """Powers of matrices."""
    made: Tensor = _own.matrix_power(x, n)
    return made


def matrix_rank(x: Tensor, /, *, rtol: Any = None) -> Tensor:
    """How many singular values are not 0, relative to the largest."""
    made: Tensor = _own.matrix_rank(x, rtol=rtol)
    return made


def outer(x1: Tensor, x2: Tensor, /) -> Tensor:
    """All products of elements of two vectors."""
    return fb.outer(*together(x1, x2))


def pinv(x: Tensor, /, *, rtol: Any = None) -> Tensor:
    """Pseudo-inverses; singular values below ``rtol`` times the largest count as 0."""
    made: Tensor = _own.pinv(x, rtol=rtol)
    return made


def qr(x: Tensor, /, *, mode: str = "reduced") -> Any:
    """Orthogonal and upper triangular factors."""
    return _own.qr(x, mode)


def slogdet(x: Tensor, /) -> Any:
    """Signs and logarithms of determinants."""
    return _own.slogdet(x)


def solve(x1: Tensor, x2: Tensor, /) -> Tensor:
    """What ``x1`` must be multiplied with to give ``x2``: a vector if that is 1-d, else matrices."""
    a, b = together(x1, x2)
    if b.ndim == 1:
        made: Tensor = _own.solve(a, b.unsqueeze(-1)).squeeze(-1)
        return made
    batch = fb.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    made = _own.solve(a.expand((*batch, *a.shape[-2:])), b.expand((*batch, *b.shape[-2:])))
    return made


def svd(x: Tensor, /, *, full_matrices: bool = True) -> Any:
    """Singular values and vectors."""
    return _own.svd(x, full_matrices)


def svdvals(x: Tensor, /) -> Tensor:
    """Singular values."""
    made: Tensor = _own.svdvals(x)
    return made


def trace(x: Tensor, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sums of diagonals."""
    return sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def vector_norm(x: Tensor, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Tensor:
    """Norms of vectors, along axes."""
    if axis == ():
        return fb.abs(x) if ord != 0 else (x != 0).to(fb.abs(x).dtype)
    made: Tensor = _own.vector_norm(x, ord, axis, keepdims)
    return made
