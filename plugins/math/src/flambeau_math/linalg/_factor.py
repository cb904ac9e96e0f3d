"""Factorisations by elimination and reflection: Cholesky, LU, LDL, QR, Householder products.

Gradients follow S. F. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions" (2010), and
I. Murray, "Differentiation of the Cholesky decomposition" (2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import lapack

import flambeau as fb
from flambeau.plugin import Call, named, whole

from .._host import each
from .._records import Space, like
from ._checks import LinAlgError, fail, floats, matrices, same, square

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = [
    "cholesky", "cholesky_ex", "geqrf", "householder_product", "ldl_factor", "ldl_factor_ex", "ldl_solve", "lu",
    "lu_factor", "lu_factor_ex", "ormqr", "qr",
]  # fmt: skip

linalg = Space("linalg")
numpy_linalg: Any = np.linalg  # its stubs know no arrays of any dtype


def routine(name: str, *arrays: Any) -> Any:
    """A LAPACK routine for the arrays' dtype."""
    return lapack.get_lapack_funcs((name,), arrays)[0]


def raise_first(op: str, info: Any, text: str) -> None:
    """Name the first matrix whose LAPACK info isn't 0.

    Raises:
        LinAlgError: there is one.
    """
    flat = whole(info).reshape((-1,)).tolist()
    k = next((i for i, v in enumerate(flat) if v), -1)
    if k >= 0:
        batch = f"(batch element {k}) " if info.ndim else ""
        raise LinAlgError(f"[{op}] {batch}{text.format(flat[k])}")


# Cholesky


def _cholesky(A: Any, upper: bool) -> Any:
    info = np.zeros(A.shape[:-2], np.int32)
    try:
        return numpy_linalg.cholesky(A, upper=upper), info
    except np.linalg.LinAlgError:
        out = np.zeros(A.shape, A.dtype)
        potrf = routine("potrf", A)
        for at, a in each(A.shape[:-2], A):
            out[at], info[at] = potrf(a, lower=not upper, clean=1)
        return out, info


def _cholesky_vjp(g0: Any, out0: Any, upper: bool) -> Any:
    # That of a function of Hermitian matrices: L^-H sym(tril(L^H g)) L^-1.
    L, g = (out0.mH, g0.mH) if upper else (out0, g0)
    phi = (L.mH @ g).tril()
    x = fb.linalg.solve_triangular(L.mH, (phi + phi.tril(-1).mH) * 0.5, upper=True)
    return fb.linalg.solve_triangular(L, x, upper=False, left=False)


@linalg.host(_cholesky, nondiff=(1,), vjp={"A": _cholesky_vjp})
def cholesky_factor(A: Tensor, upper: bool) -> Any:
    """The Cholesky factor and LAPACK's info; one triangle is read."""
    return Call((like(A), like(A, fb.int32, A.shape[:-2])))


_NOT_POSITIVE = (
    "the factorization could not be completed because the input is not positive-definite (the leading minor of order "
    "{} is not positive-definite). Add a small multiple of the identity, or use cholesky_ex."
)


@linalg.composite()
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """The Cholesky factor, and for every matrix 0 or the order of the minor that isn't positive definite.

    Args:
        A: [..., N, N], Hermitian; one triangle is read.
        upper: read the upper triangle and give the upper factor.
        check_errors: raise where a matrix isn't positive definite.

    Returns:
        ``(L, info)``: [..., N, N] and int32 [...].

    >>> import flambeau as fb
    >>> fb.linalg.cholesky_ex(fb.tensor([[-1.]])).info
    tensor(1, dtype=flambeau.int32)
    """
    square("linalg.cholesky_ex", A=A)
    floats("linalg.cholesky_ex", A=A)
    L, info = cholesky_factor(A, upper)
    if check_errors:
        raise_first("linalg.cholesky_ex", info, _NOT_POSITIVE)
    return named("linalg_cholesky_ex", "L info", L, info)


@linalg.composite()
def cholesky(A: Tensor, *, upper: bool = False) -> Any:
    """The Cholesky factor L of Hermitian positive-definite matrices: ``A = L @ L.mH``.

    Args:
        A: [..., N, N]; one triangle is read.
        upper: read the upper triangle and give ``L.mH``.

    Raises:
        LinAlgError: a matrix isn't positive definite.

    >>> import flambeau as fb
    >>> fb.linalg.cholesky(fb.tensor([[4., 2.], [2., 2.]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    square("linalg.cholesky", A=A)
    floats("linalg.cholesky", A=A)
    L, info = cholesky_factor(A, upper)
    raise_first("linalg.cholesky", info, _NOT_POSITIVE)
    return L


# LU


def _lu(A: Any) -> Any:
    m, n = A.shape[-2:]
    batch = A.shape[:-2]
    LU, info = np.zeros(A.shape, A.dtype), np.zeros(batch, np.int32)
    pivots = np.zeros((*batch, min(m, n)), np.int32)
    if A.size:
        getrf = routine("getrf", A)
        for at, a in each(batch, A):
            LU[at], piv, info[at] = getrf(a)
            pivots[at] = piv + 1
    return LU, pivots, info


def _split(LU: Any) -> tuple[Any, Any]:
    """Unit lower and upper factors of a packed one."""
    k = min(LU.shape[-2:])
    eye = fb.eye(LU.shape[-2], k, dtype=LU.dtype, device=LU.device)
    return LU[..., :, :k].tril(-1) + eye, LU[..., :k, :].triu()


def _lu_vjp(g0: Any, out0: Any, out1: Any) -> Any:
    m, n = out0.shape[-2:]
    k = min(m, n)
    solve = fb.linalg.solve_triangular
    L, U = _split(out0)
    P = permutation(out1, m, out0.dtype)
    gL, gU = g0[..., :, :k].tril(-1), g0[..., :k, :].triu()
    L1, U1 = L[..., :k, :], U[..., :, :k]
    lower = L1.mH @ gL[..., :k, :]
    upper = gU[..., :, :k] @ U1.mH
    if n > m:
        lower = lower - gU[..., :, k:] @ U[..., :, k:].mH
    if m > n:
        upper = upper - L[..., k:, :].mH @ gL[..., k:, :]
    inner = lower.tril(-1) + upper.triu()
    # [L1^-H inner U1^-H | L1^-H gU2] on top of [gL2 U1^-H]
    top = solve(U1, inner.mH, upper=True).mH if k else inner
    if n > m:
        top = fb.cat([top, gU[..., :, k:]], -1)
    top = solve(L1.mH, top, upper=True, unitriangular=True) if k else top
    if m > n:
        below = solve(U1, gL[..., k:, :].mH, upper=True).mH if k else gL[..., k:, :]
        top = fb.cat([top, below], -2)
    return P @ top


@linalg.host(_lu, nondiff=(1, 2), vjp={"A": _lu_vjp})
def lu_packed(A: Tensor) -> Any:
    """Packed LU factors, pivots counted from 1, LAPACK's info."""
    batch, k = A.shape[:-2], min(A.shape[-2:])
    return Call((like(A), like(A, fb.int32, (*batch, k)), like(A, fb.int32, batch)))


def _order(pivots: Any, m: int) -> Any:
    out = np.broadcast_to(np.arange(m), (*pivots.shape[:-1], m)).copy()
    for at in np.ndindex(*pivots.shape[:-1]):
        row = out[at]
        for i, p in enumerate(pivots[at]):
            row[i], row[p - 1] = row[p - 1], row[i]
    return out


@linalg.host(_order, vjp={})
def pivot_order(pivots: Tensor, m: int) -> Any:
    """The permutation of rows that a list of exchanges makes."""
    return Call(like(pivots, fb.int64, (*pivots.shape[:-1], m)))


def permutation(pivots: Any, m: int, dtype: Any) -> Any:
    """The matrix P of ``A = P @ L @ U``."""
    order = pivot_order(pivots, m)
    rows = fb.arange(m, device=pivots.device).unsqueeze(-1)
    return (order.unsqueeze(-2) == rows).to(dtype)


def _pivoted(op: str, pivot: bool) -> None:
    if not pivot:
        fail(op, "LU without pivoting is not implemented on the CPU", "pivot=True")


@linalg.composite()
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """The packed LU factors of `lu_factor`, and for every matrix 0 or the place of a zero on U's diagonal.

    Args:
        A: [..., M, N].

    Returns:
        ``(LU, pivots, info)``.

    >>> import flambeau as fb
    >>> fb.linalg.lu_factor_ex(fb.zeros(2, 2)).info
    tensor(1, dtype=flambeau.int32)
    """
    matrices("linalg.lu_factor_ex", A=A)
    floats("linalg.lu_factor_ex", A=A)
    _pivoted("linalg.lu_factor_ex", pivot)
    LU, pivots, info = lu_packed(A)
    if check_errors:
        raise_first("linalg.lu_factor_ex", info, _ZERO_PIVOT)
    return named("linalg_lu_factor_ex", "LU pivots info", LU, pivots, info)


_ZERO_PIVOT = (
    "U[{0},{0}] is zero and using it on lu_solve would result in a division by zero. Use a full-rank matrix."
)


@linalg.composite()
def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """The LU factorisation with exchanges of rows, both factors packed in one matrix.

    Args:
        A: [..., M, N].

    Returns:
        ``(LU, pivots)``: [..., M, N], and int32 [..., min(M, N)] counted from 1.

    >>> import flambeau as fb
    >>> fb.linalg.lu_factor(fb.tensor([[1., 2.], [4., 4.]])).pivots
    tensor([2, 2], dtype=flambeau.int32)
    """
    matrices("linalg.lu_factor", A=A)
    floats("linalg.lu_factor", A=A)
    _pivoted("linalg.lu_factor", pivot)
    LU, pivots, _ = lu_packed(A)
    return named("linalg_lu_factor", "LU pivots", LU, pivots)


@linalg.composite()
def lu(A: Tensor, *, pivot: bool = True) -> Any:
    """The LU factorisation ``A = P @ L @ U``.

    Args:
        A: [..., M, N].

    Returns:
        ``(P, L, U)``: a permutation, unit lower and upper triangular.

    >>> import flambeau as fb
    >>> P, L, U = fb.linalg.lu(fb.tensor([[1., 2.], [4., 4.]]))
    >>> P @ L @ U
    tensor([[1., 2.],
            [4., 4.]])
    """
    matrices("linalg.lu", A=A)
    floats("linalg.lu", A=A)
    _pivoted("linalg.lu", pivot)
    LU, pivots, _ = lu_packed(A)
    L, U = _split(LU)
    return named("linalg_lu", "P L U", permutation(pivots, A.shape[-2], A.dtype), L, U)


# LDL


def _ldl(A: Any, hermitian: bool) -> Any:
    batch = A.shape[:-2]
    LD, pivots, info = np.zeros(A.shape, A.dtype), np.zeros(A.shape[:-1], np.int32), np.zeros(batch, np.int32)
    if A.size:
        trf = routine("hetrf" if hermitian and A.dtype.kind == "c" else "sytrf", A)
        for at, a in each(batch, A):
            LD[at], pivots[at], info[at] = trf(a, lower=1)
    return np.tril(LD), pivots, info


@linalg.host(_ldl, vjp={"A": None})
def ldl_packed(A: Tensor, hermitian: bool) -> Any:
    """Packed LDL factors, pivots as LAPACK gives them, LAPACK's info."""
    return Call((like(A), like(A, fb.int32, A.shape[:-1]), like(A, fb.int32, A.shape[:-2])))


@linalg.composite()
def ldl_factor_ex(A: Tensor, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    """`ldl_factor`, and LAPACK's info for every matrix.

    Args:
        A: [..., N, N].

    Returns:
        ``(LD, pivots, info)``.

    >>> import flambeau as fb
    >>> fb.linalg.ldl_factor_ex(fb.eye(2)).info
    tensor(0, dtype=flambeau.int32)
    """
    square("linalg.ldl_factor_ex", A=A)
    floats("linalg.ldl_factor_ex", A=A)
    LD, pivots, info = ldl_packed(A, hermitian)
    if check_errors:
        raise_first("linalg.ldl_factor_ex", info, "D[{0},{0}] is zero. Use a matrix of full rank.")
    return named("linalg_ldl_factor_ex", "LD pivots info", LD, pivots, info)


@linalg.composite()
def ldl_factor(A: Tensor, *, hermitian: bool = False) -> Any:
    """The Bunch-Kaufman factorisation of symmetric (or Hermitian) matrices, packed.

    Args:
        A: [..., N, N]; the lower triangle is read.
        hermitian: whether complex matrices are Hermitian rather than symmetric.

    Returns:
        ``(LD, pivots)`` for `ldl_solve`.

    >>> import flambeau as fb
    >>> fb.linalg.ldl_factor(fb.eye(2)).pivots
    tensor([1, 2], dtype=flambeau.int32)
    """
    square("linalg.ldl_factor", A=A)
    floats("linalg.ldl_factor", A=A)
    LD, pivots, _ = ldl_packed(A, hermitian)
    return named("linalg_ldl_factor", "LD pivots", LD, pivots)


def _ldl_solve(LD: Any, pivots: Any, B: Any, hermitian: bool) -> Any:
    batch = np.broadcast_shapes(LD.shape[:-2], B.shape[:-2])
    LD = np.broadcast_to(LD, (*batch, *LD.shape[-2:]))
    pivots = np.broadcast_to(pivots, (*batch, pivots.shape[-1]))
    B = np.broadcast_to(B, (*batch, *B.shape[-2:]))
    out = np.zeros(B.shape, B.dtype)
    for at, ld, piv, b in each(batch, LD, pivots, B):
        out[at] = _ldl_apply(ld, piv, b, hermitian and LD.dtype.kind == "c")
    return out


def _ldl_apply(ld: Any, piv: Any, b: Any, hermitian: bool) -> Any:
    """Solve with LAPACK's packed lower factor: exchanges and columns of L forward, D, and back again."""
    n = len(piv)
    x = b.copy()
    turned: Any = np.conj if hermitian else np.asarray
    steps = []
    k = 0
    while k < n:
        size = 1 if piv[k] > 0 else 2
        steps.append((k, size, abs(int(piv[k + size - 1])) - 1))
        k += size
    for k, size, p in steps:
        x[[k + size - 1, p]] = x[[p, k + size - 1]]
        rest = slice(k + size, None)
        x[rest] -= ld[rest, k : k + size] @ x[k : k + size]
        block = ld[k : k + size, k : k + size].copy()
        if size == 2:
            block[0, 1] = turned(block[1, 0])
        if hermitian:
            np.fill_diagonal(block, block.diagonal().real)
        x[k : k + size] = (
            block[0, 0] ** -1 * x[k : k + 1] if size == 1 else numpy_linalg.solve(block, x[k : k + 2])
        )
    for k, size, p in reversed(steps):
        rest = slice(k + size, None)
        x[k : k + size] -= turned(ld[rest, k : k + size]).T @ x[rest]
        x[[k + size - 1, p]] = x[[p, k + size - 1]]
    return x


@linalg.host(_ldl_solve, vjp={"LD": None, "pivots": None, "B": None}, name="ldl_solved")
def ldl_solved(LD: Tensor, pivots: Tensor, B: Tensor, hermitian: bool) -> Any:
    """The solution from packed factors."""
    return Call(like(B, None, (*fb.broadcast_shapes(LD.shape[:-2], B.shape[:-2]), *B.shape[-2:])))


@linalg.composite()
def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Any:
    """The solution of ``A @ X = B`` from the factors that `ldl_factor` gives.

    Args:
        LD: [..., N, N].
        pivots: [..., N].
        B: [..., N, K].

    >>> import flambeau as fb
    >>> LD, pivots = fb.linalg.ldl_factor(fb.tensor([[2., 1.], [1., 2.]]))
    >>> fb.linalg.ldl_solve(LD, pivots, fb.tensor([[3.], [3.]]))
    tensor([[1.],
            [1.]])
    """
    op = "linalg.ldl_solve"
    square(op, LD=LD)
    matrices(op, B=B)
    floats(op, LD=LD, B=B)
    same(op, LD=LD, B=B)
    if B.shape[-2] != LD.shape[-1] or pivots.shape != LD.shape[:-1]:
        fail(
            op, "sizes don't fit", "LD [..., N, N], pivots [..., N], B [..., N, K]", LD=LD, pivots=pivots, B=B
        )
    if pivots.dtype.rank != 1:
        fail(op, "pivots must be integers", pivots=pivots)
    return ldl_solved(LD, pivots, B, hermitian)


# QR


def _qr(A: Any, mode: str) -> Any:
    return tuple(numpy_linalg.qr(A, mode=mode)) if mode != "r" else (None, numpy_linalg.qr(A, mode="r"))


def _qr_vjp(g0: Any, g1: Any, A: Any, out0: Any, out1: Any, mode: str) -> Any:
    m, n = A.shape[-2:]
    if mode == "r":
        fail("linalg.qr", "the derivative is not implemented when mode='r'", "mode='reduced'")
    if mode == "complete" and m > n:
        fail("linalg.qr", "the QR decomposition is not differentiable when mode='complete' and nrows > ncols",
             "mode='reduced'", A=A)  # fmt: skip
    k = min(m, n)
    Q, R = out0, out1
    gQ = fb.zeros_like(Q) if g0 is None else g0
    gR = fb.zeros_like(R) if g1 is None else g1
    rest = None
    if n > m:
        gR, gR2 = gR[..., :k], gR[..., k:]
        gQ = gQ + A[..., k:] @ gR2.mH
        rest = Q @ gR2
        R = R[..., :k]
    M = (gR @ R.mH - Q.mH @ gQ).triu()
    middle = M + M.mH - M.diagonal(dim1=-2, dim2=-1).real.to(M.dtype).diag_embed()
    left = gQ + Q @ middle
    g = fb.linalg.solve_triangular(R, left.mH, upper=True).mH
    return g if rest is None else fb.cat([g, rest], -1)


@linalg.host(_qr, vjp={"A": _qr_vjp})
def qr_factors(A: Tensor, mode: str) -> Any:
    """Q (left out in mode "r") and R."""
    m, n = A.shape[-2:]
    batch, k = A.shape[:-2], m if mode == "complete" else min(m, n)
    return Call((None if mode == "r" else like(A, None, (*batch, m, k)), like(A, None, (*batch, k, n))))


@linalg.composite()
def qr(A: Tensor, mode: str = "reduced") -> Any:
    """The factorisation ``A = Q @ R`` into orthonormal columns and an upper triangle.

    Args:
        A: [..., M, N].
        mode: ``"reduced"``, ``"complete"`` (Q is [..., M, M]) or ``"r"`` (Q is empty).

    Returns:
        ``(Q, R)``.

    >>> import flambeau as fb
    >>> Q, R = fb.linalg.qr(fb.tensor([[3., 1.], [4., 2.]]))
    >>> fb.allclose(Q @ R, fb.tensor([[3., 1.], [4., 2.]]), atol=1e-6)
    True
    """
    if mode not in ("reduced", "complete", "r"):
        fail("linalg.qr", f"unknown mode {mode!r}", "'reduced', 'complete' or 'r'")
    matrices("linalg.qr", A=A)
    floats("linalg.qr", A=A)
    Q, R = qr_factors(A, mode)
    return named("linalg_qr", "Q R", A.new_empty((0,)) if Q is None else Q, R)


# Householder reflections


def _reflectors(op: str, A: Any, tau: Any, name: str = "A") -> None:
    matrices(op, **{name: A})
    floats(op, **{name: A})
    same(op, **{name: A, "tau": tau})
    m, n = A.shape[-2:]
    if n > m:
        fail(op, f"{name}.shape[-2] must be greater than or equal to {name}.shape[-1]", **{name: A})
    if tau.ndim < 1 or tau.shape[-1] > n:
        fail(op, f"{name}.shape[-1] must be greater than or equal to tau.shape[-1]", **{name: A, "tau": tau})
    if tau.ndim != A.ndim - 1:
        fail(op, f"tau must have one dimension less than {name}", **{name: A, "tau": tau})
    if tau.shape[:-1] != A.shape[:-2]:
        fail(op, f"batch dimensions of tau should be equal to {name}.shape[:-2]", **{name: A, "tau": tau})


def reflect(A: Any, tau: Any, C: Any, transpose: bool = False) -> Any:
    """``Q @ C`` (or ``Q.mH @ C``) for the product Q of the reflections below A's diagonal, one after the other."""
    m, k = A.shape[-2], tau.shape[-1]
    if not k:
        return C + A[..., :0].sum()
    for i in range(k) if transpose else reversed(range(k)):
        one = A.new_ones((*A.shape[:-2], 1))
        v = fb.cat([A.new_zeros((*A.shape[:-2], i)), one, A[..., i + 1 : m, i]], -1)
        t = tau[..., i, None, None]
        w = v.conj().unsqueeze(-2) @ C
        C = C - (t.conj() if transpose else t) * v.unsqueeze(-1) @ w
    return C


@linalg.composite()
def householder_product(A: Tensor, tau: Tensor) -> Any:
    """The first N columns of the product of Householder reflections that `geqrf` gives.

    Args:
        A: [..., M, N], the vectors below its diagonal.
        tau: [..., K], K <= N.

    >>> import flambeau as fb
    >>> x = fb.tensor([[3., 1.], [4., 2.]])
    >>> fb.allclose(fb.linalg.householder_product(*fb.geqrf(x)), fb.linalg.qr(x).Q, atol=1e-6)
    True
    """
    _reflectors("linalg.householder_product", A, tau)
    m, n = A.shape[-2:]
    eye = fb.eye(m, n, dtype=A.dtype, device=A.device)
    return reflect(A, tau, eye.expand((*A.shape[:-2], m, n)) + A.new_zeros(()))


def _geqrf(A: Any) -> Any:
    if not A.size:
        return A.copy(), np.zeros((*A.shape[:-2], min(A.shape[-2:])), A.dtype)
    a, tau = numpy_linalg.qr(A, mode="raw")
    return np.ascontiguousarray(np.swapaxes(a, -1, -2)), tau


top = Space("")


@top.host(_geqrf, vjp={})
def geqrf(self: Tensor) -> Any:
    """LAPACK's QR: R in the upper triangle, the reflections below it and their factors.

    Args:
        self: [..., M, N].

    Returns:
        ``(a, tau)``.
    """
    matrices("geqrf", self=self)
    floats("geqrf", self=self)
    return Call((like(self), like(self, None, (*self.shape[:-2], min(self.shape[-2:])))))


@top.composite()
def ormqr(self: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False) -> Any:
    """The product of a matrix with the Q that `geqrf` gives.

    Args:
        self: [..., MN, K], the reflections.
        tau: [..., min(MN, K)].
        other: [..., M, N].
        left: ``Q @ other`` rather than ``other @ Q``.
        transpose: ``Q.mH`` in place of Q.
    """
    op = "ormqr"
    matrices(op, self=self, other=other)
    floats(op, self=self, other=other)
    same(op, self=self, tau=tau, other=other)
    side = -2 if left else -1
    if other.shape[side] < tau.shape[-1]:
        fail(op, f"other.shape[{side}] must be greater than or equal to tau.shape[-1]", other=other, tau=tau)
    if other.shape[side] != self.shape[-2]:
        fail(op, f"other.shape[{side}] must be equal to input.shape[-2]", other=other, input=self)
    if tau.shape[-1] > self.shape[-1]:
        fail(op, "tau.shape[-1] must be less than or equal to input.shape[-1]", tau=tau, input=self)
    if not (self.ndim == other.ndim == tau.ndim + 1) or self.shape[:-2] != tau.shape[:-1] or (
        self.shape[:-2] != other.shape[:-2]
    ):  # fmt: skip
        fail(op, "batch dimensions must be equal", input=self, tau=tau, other=other)
    if left:
        return reflect(self, tau, other, transpose)
    return reflect(self, tau, other.mH, not transpose).mH
