"""Approximations of low rank and a few eigenvectors of large matrices.

Sources: N. Halko, P. Martinsson and J. Tropp, "Finding structure with randomness" (2011), algorithms 4.4 and 5.1;
A. Knyazev, "Toward the optimal preconditioned eigensolver: LOBPCG" (2001).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flambeau as fb

from .._records import Space
from ..linalg._checks import floats, matrices, square

if TYPE_CHECKING:
    from flambeau import Tensor

__all__: list[str] = []

top = Space("")


def _range(A: Any, q: int, niter: int) -> Any:
    """Orthonormal columns that nearly span the range of A, by iteration of a random subspace."""
    if A.dtype.is_complex:
        real = A.dtype.to_real()
        shape = (A.shape[-1], q)
        R = fb.complex(*(fb.randn(*shape, dtype=real, device=A.device) for _ in range(2)))
    else:
        R = fb.randn(A.shape[-1], q, dtype=A.dtype, device=A.device)
    Q = fb.linalg.qr(A @ R).Q
    for _ in range(niter):
        Q = fb.linalg.qr(A.mH @ Q).Q
        Q = fb.linalg.qr(A @ Q).Q
    return Q


@top.composite(method=False)
def svd_lowrank(A: Tensor, q: Any = 6, niter: Any = 2, M: Any = None) -> Any:
    """About the ``q`` largest singular values with their vectors, by random projection.

    Args:
        A: [..., M, N].
        q: how many; somewhat more than the expected rank.
        niter: how many iterations of the subspace.
        M: subtracted from A first, broadcast.

    Returns:
        ``(U, S, V)``.
    """
    matrices("svd_lowrank", A=A)
    floats("svd_lowrank", A=A)
    q = 6 if q is None else q
    if q < 0 or q > min(A.shape[-2:]):
        raise ValueError(
            f"[svd_lowrank] q must be a non-negative integer not greater than min(m, n)={min(A.shape[-2:])}: got {q}."
        )
    if M is not None:
        A = A - M
    wide = A.shape[-2] < A.shape[-1]
    B = A.mH if wide else A
    Q = _range(B, q, niter)
    U, S, Vh = fb.linalg.svd(Q.mH @ B, full_matrices=False)
    U, V = Q @ U, Vh.mH
    return (V, S, U) if wide else (U, S, V)


@top.composite(method=False)
def pca_lowrank(A: Tensor, q: Any = None, center: bool = True, niter: int = 2) -> Any:
    """The principal components of the rows of A: `svd_lowrank` with the columns' means taken out.

    Args:
        A: [..., M, N].
        q: how many; min(6, M, N) by default.
        center: take out the means.

    Returns:
        ``(U, S, V)``.
    """
    matrices("pca_lowrank", A=A)
    floats("pca_lowrank", A=A)
    m, n = A.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ValueError(
            f"[pca_lowrank] q must be non-negative and not greater than min(m, n)={min(m, n)}: got {q}."
        )
    if niter < 0:
        raise ValueError(f"[pca_lowrank] niter must be non-negative: got {niter}.")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


@top.composite(method=False)
def lobpcg(
    A: Tensor, k: Any = None, B: Any = None, X: Any = None, n: Any = None, iK: Any = None, niter: Any = None,
    tol: Any = None, largest: Any = None, method: Any = None, tracker: Any = None, ortho_iparams: Any = None,
    ortho_fparams: Any = None, ortho_bparams: Any = None,
) -> Any:  # fmt: skip
    """A few extreme eigenvalues of a symmetric matrix, by the locally optimal block method.

    Args:
        A: [..., N, N], symmetric.
        k: how many.
        B: symmetric positive definite, for ``A @ x = w * B @ x``.
        X: [..., N, n], where to start; random by default.
        n: size of the block, at least k.
        iK: a preconditioner, [N, N].
        niter: how many iterations at most.
        tol: the size of residuals at which to stop.
        largest: whether the largest eigenvalues are wanted (default).

    Returns:
        ``(eigenvalues, eigenvectors)``.
    """
    square("lobpcg", A=A)
    floats("lobpcg", A=A)
    N = A.shape[-1]
    k = (1 if X is None else X.shape[-1]) if k is None else k
    n = (k if X is None else X.shape[-1]) if n is None else n
    if 3 * n > N:
        raise ValueError(f"[lobpcg] LOBPCG algorithm is not applicable when the number of A rows (={N}) is smaller "
                         f"than 3 x the number of requested eigenpairs (={n}). Use linalg.eigh.")  # fmt: skip
    if A.ndim > 2:
        batch = A.shape[:-2]
        found = [
            lobpcg(a, k, None if B is None else B.reshape((-1, N, N))[i],
                   None if X is None else X.reshape((-1, *X.shape[-2:]))[i], n, iK, niter, tol, largest)
            for i, a in enumerate(A.reshape((-1, N, N)).unbind(0))
        ]  # fmt: skip
        return tuple(fb.stack([f[j] for f in found]).reshape((*batch, *found[0][j].shape)) for j in (0, 1))
    return _lobpcg(A, k, n, B, X, iK, 1000 if niter is None else niter, tol, largest is not False)


def _lobpcg(A: Any, k: int, n: int, B: Any, X: Any, iK: Any, niter: int, tol: Any, largest: bool) -> Any:
    tol = fb.finfo(A.dtype).eps ** 0.5 if tol is None else tol
    L = None if B is None else fb.linalg.cholesky(B)
    # In the coordinates y = L^H x the problem is an ordinary one.
    M = A if L is None else fb.linalg.solve_triangular(
        L, fb.linalg.solve_triangular(L, A, upper=False).mH, upper=False
    )  # fmt: skip
    with fb.no_grad():
        S = M.detach()
        Y = fb.randn(A.shape[-1], n, dtype=A.dtype, device=A.device) if X is None else X.detach()
        Y = Y if L is None or X is None else L.detach().mH @ Y
        Y = fb.linalg.qr(Y).Q
        P = None
        for _ in range(niter):
            w, V = fb.linalg.eigh(Y.mH @ S @ Y)
            order = w.argsort(descending=largest)
            w, Y = w[order], Y @ V[:, order]
            R = S @ Y - Y * w
            if bool((R.norm(dim=0)[:k] <= tol * w.abs().max().clamp(min=1e-30)).all()):
                break
            H = R if iK is None or L is not None else iK @ R
            basis = fb.linalg.qr(fb.cat([Y, H] if P is None else [Y, H, P], -1)).Q
            w, V = fb.linalg.eigh(basis.mH @ S @ basis)
            best = basis @ V[:, w.argsort(descending=largest)[:n]]
            P, Y = best - Y @ (Y.mH @ best), best
        Y = Y[:, :k]
    if not (A.requires_grad or (B is not None and B.requires_grad)):
        values = (Y * (M @ Y)).sum(0)
        return values, (Y if L is None else fb.linalg.solve_triangular(L.mH, Y, upper=True))
    # With gradients: the eigenvectors of the whole matrix, of which the iteration has told which are wanted.
    w, V = fb.linalg.eigh(M)
    order = w.detach().argsort(descending=largest)[:k]
    V = V[:, order]
    return w[order], (V if L is None else fb.linalg.solve_triangular(L.mH, V, upper=True))
