"""Linear algebra at the top level: the older names, in terms of `flambeau.linalg`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau.plugin import Call, kernel, named

from .._records import Space, like
from ..linalg import (
    LinAlgError,
    cholesky_ex,
    det,
    householder_product,
    inv,
    lu_factor_ex,
    matrix_exp,
    matrix_power,
    multi_dot,
    pinv,
    slogdet,
    solve_triangular,
)
from ..linalg import lu_solve as solve_factored
from ..linalg import qr as factor_qr
from ..linalg._checks import fail, floats, matrices, same, square
from ..linalg._spectral import singular

if TYPE_CHECKING:
    from flambeau import Tensor

__all__: list[str] = []

top = Space("")


@top.composite()
def cholesky(self: Tensor, upper: bool = False) -> Any:
    """The Cholesky factor; see `flambeau.linalg.cholesky`."""
    square("cholesky", self=self)
    floats("cholesky", self=self)
    L, info = cholesky_ex(self, upper=upper)
    for k, order in enumerate(info.reshape((-1,)).tolist()):
        if order:
            raise LinAlgError(
                f"[cholesky] {f'(batch element {k}) ' if info.ndim else ''}the factorization could not be completed "
                f"because the input is not positive-definite (the leading minor of order {order} is not "
                "positive-definite). Add a small multiple of the identity."
            )
    return L


def _solve(B: Any, L: Any, upper: bool) -> Any:
    first, second = (L.mH, L) if upper else (L, L.mH)
    return solve_triangular(second, solve_triangular(first, B, upper=False), upper=True)


def _inverse(L: Any, upper: bool) -> Any:
    half = solve_triangular(L, fb.eye(L.shape[-1], dtype=L.dtype, device=L.device), upper=upper)
    return half @ half.mH if upper else half.mH @ half


def _factor_gradient(L: Any, common: Any, upper: bool) -> Any:
    """From the gradient by the matrix to that by its factor, neglecting that the factor is triangular."""
    return -(L @ common) if upper else -(common @ L)


def _solve_vjp(g: Any, L: Any, out: Any, upper: bool) -> Any:
    gB = solved(g, L, upper)
    common = gB @ out.mH
    return gB, _factor_gradient(L, common + common.mH, upper)


@kernel(name="cholesky_solved", method=False, function=False, vjp=_solve_vjp, default=_solve)
def solved(B: Tensor, L: Tensor, upper: bool) -> Any:
    """`cholesky_solve` of checked operands."""
    return Call(like(B, None, (*fb.broadcast_shapes(B.shape[:-2], L.shape[:-2]), *B.shape[-2:])))


@kernel(
    name="cholesky_inverted", method=False, function=False, default=_inverse,
    vjp={"L": lambda g, L, out, upper: _factor_gradient(L, out @ (g + g.mH) @ out, upper)},
)  # fmt: skip
def inverted(L: Tensor, upper: bool) -> Any:
    """`cholesky_inverse` of checked operands."""
    return Call(like(L))


@top.composite()
def cholesky_inverse(self: Tensor, upper: bool = False) -> Any:
    """The inverse of the matrix whose Cholesky factor this is.

    Args:
        self: [..., N, N], triangular.
        upper: which triangle.
    """
    square("cholesky_inverse", self=self)
    floats("cholesky_inverse", self=self)
    return inverted(self, upper)


@top.composite()
def cholesky_solve(self: Tensor, L: Tensor, upper: bool = False) -> Any:
    """The solution of ``A @ X = self`` where L is A's Cholesky factor.

    Args:
        self: [..., N, K].
        L: [..., N, N], triangular.
        upper: which triangle.
    """
    op = "cholesky_solve"
    if self.ndim < 2 or L.ndim < 2:
        fail(op, "b and u should have at least 2 dimensions", self=self, L=L)
    square(op, L=L)
    floats(op, self=self, L=L)
    same(op, self=self, L=L)
    if self.shape[-2] != L.shape[-1]:
        fail(op, "incompatible matrix sizes", self=self, L=L)
    return solved(self, L, upper)


@top.composite()
def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """Packed LU factors, pivots, and LAPACK's info if asked for."""
    LU, pivots, info = lu_factor_ex(A, pivot=pivot)
    return (
        named("lu_infos", "LU pivots infos", LU, pivots, info)
        if get_infos
        else named("lu", "LU pivots", LU, pivots)
    )


lu.casts_out = "any"


@top.composite()
def lu_solve(self: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Any:
    """The solution of ``A @ X = self`` from A's packed LU factors."""
    return solve_factored(LU_data, LU_pivots, self)


@top.composite()
def qr(self: Tensor, some: bool = True) -> Any:
    """The QR factorisation; ``some=False`` gives a square Q."""
    return named("qr", "Q R", *factor_qr(self, "reduced" if some else "complete"))


@top.composite()
def svd(self: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    """The singular value decomposition with V, not its adjoint: ``U @ diag(S) @ V.mH``.

    Args:
        self: [..., M, N].
        some: only the first min(M, N) columns of U and V.
        compute_uv: without it, U and V are zeros.
    """
    matrices("svd", self=self)
    floats("svd", self=self)
    if not compute_uv:
        S = fb.linalg.svdvals(self)
        m, n = self.shape[-2:]
        batch = self.shape[:-2]
        return named("svd", "U S V", self.new_zeros((*batch, m, m)), S, self.new_zeros((*batch, n, n)))
    U, S, Vh = singular(self, not some, True)
    return named("svd", "U S V", U, S, Vh.mH)


@top.composite(name="det")
def det_(self: Tensor) -> Any:
    """The determinant; see `flambeau.linalg.det`."""
    return det(self)


@top.composite(name="slogdet")
def slogdet_(self: Tensor) -> Any:
    """Sign and logarithm of the determinant; see `flambeau.linalg.slogdet`."""
    return named("slogdet", "sign logabsdet", *slogdet(self))


@top.composite()
def logdet(self: Tensor) -> Any:
    """The logarithm of the determinant: NaN where it is negative, -inf where it is 0."""
    square("logdet", self=self)
    floats("logdet", self=self)
    sign, log = slogdet(self)
    if self.dtype.is_complex:
        return sign.log() + log
    return fb.where(sign == -1, float("nan"), log)


@top.composite(aliases=())
def inverse(self: Tensor) -> Any:
    """The inverse; see `flambeau.linalg.inv`."""
    return inv(self)


@top.composite()
def pinverse(self: Tensor, rcond: float = 1e-15) -> Any:
    """The pseudo-inverse; see `flambeau.linalg.pinv`."""
    return pinv(self, rcond)


@top.composite(name="matrix_power")
def matrix_power_(self: Tensor, n: int) -> Any:
    """A power of square matrices; see `flambeau.linalg.matrix_power`."""
    return matrix_power(self, n)


@top.composite(name="matrix_exp")
def matrix_exp_(self: Tensor) -> Any:
    """The exponential of square matrices; see `flambeau.linalg.matrix_exp`."""
    return matrix_exp(self)


@top.composite()
def orgqr(self: Tensor, tau: Tensor) -> Any:
    """The product of reflections; see `flambeau.linalg.householder_product`."""
    return householder_product(self, tau)


@top.composite(method=False)
def chain_matmul(*given: Tensor) -> Any:
    """The product of matrices in the order that costs least."""
    tensors: Sequence[Any] = given
    if len(tensors) == 1:
        return tensors[0]
    return multi_dot(list(tensors))


@top.composite()
def triangular_solve(
    self: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    """The solution of ``A @ X = self`` for triangular A, and A itself.

    Args:
        self: [..., N, K].
        A: [..., N, N].
        upper: which triangle of A is read.
        transpose: solve with ``A.mT``.
        unitriangular: take the diagonal for ones.

    Returns:
        ``(solution, cloned_coefficient)``.
    """
    op = "triangular_solve"
    if self.ndim < 2 or A.ndim < 2:
        fail(op, "both arguments should have at least 2 dimensions", self=self, A=A)
    square(op, A=A)
    same(op, self=self, A=A)
    floats(op, self=self, A=A)
    a, up = (A.mT, not upper) if transpose else (A, upper)
    X = solve_triangular(a, self, upper=up, unitriangular=unitriangular)
    batch = fb.broadcast_shapes(self.shape[:-2], A.shape[:-2])
    copied = A.expand((*batch, *A.shape[-2:])).clone()
    return named("triangular_solve", "solution cloned_coefficient", X, copied)


@top.composite(method=False)
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Any:
    """The Vandermonde matrix of a vector: its powers, falling from the first column on unless ``increasing``.

    Args:
        x: [n].
        N: how many columns; n by default.

    >>> import flambeau as fb
    >>> fb.vander(fb.tensor([2, 3]), 3)
    tensor([[4, 2, 1],
            [9, 3, 1]])
    """
    n = len(x) if N is None and x.ndim else N or 0
    if x.ndim != 1 or n < 0:
        fail("vander", "x must be a one-dimensional tensor and N not negative", x=x, N=N)
    wide = x if x.dtype.rank > 1 else x.to(fb.int64)
    powers = wide.unsqueeze(-1).pow(fb.arange(n, device=x.device))
    return powers if increasing else powers.flip(1)
