"""Eigenvalues, singular values, and the functions of matrices that follow from them.

Gradients follow M. Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008), for complex
matrices Z. Wan and S. Zhang, "Automatic differentiation for complex valued SVD" (2019). Vectors that are determined up
to a phase only have a gradient where the loss doesn't depend on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg

import flambeau as fb
from flambeau.plugin import Call, named, whole

from .._records import Space, like
from ._checks import fail, floats, matrices, square
from ._solve import _guarded, inv, solve, tolerances

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = [
    "cond", "eig", "eigh", "eigvals", "eigvalsh", "matrix_exp", "matrix_rank", "svd", "svdvals",
]  # fmt: skip

linalg = Space("linalg")
numpy_linalg: Any = np.linalg  # its stubs know no arrays of any dtype


def _gaps(x: Any) -> Any:
    """``x_j - x_i``, with 1 on the diagonal."""
    eye = fb.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    return x.unsqueeze(-2) - x.unsqueeze(-1) + eye


def _check_phase(op: str, what: str, turned: Any) -> None:
    """Refuse losses that depend on the phase of vectors.

    Raises:
        RuntimeError: this one does.
    """
    if turned.dtype.is_complex and turned.numel():
        slope = whole(turned).imag.detach()
        if not bool(slope.abs().max() <= 1e-2 * max(1.0, float(whole(turned).detach().abs().max()))):
            fail(f"{op}_backward", f"the {what} in the complex case are specified up to multiplication by e^{{i phi}}, "
                 "and the loss depends on this phase term, making it ill-defined",
                 do="Use a loss that doesn't change with the phase.")  # fmt: skip


# Hermitian


def _eigh(A: Any, upper: bool, vectors: bool) -> Any:
    uplo = "U" if upper else "L"
    if not vectors:
        return _guarded("linalg.eigh", lambda: numpy_linalg.eigvalsh(A, uplo)), None
    return tuple(_guarded("linalg.eigh", lambda: numpy_linalg.eigh(A, uplo)))


def _eigh_vjp(g0: Any, g1: Any, out0: Any, out1: Any) -> Any:
    V = out1
    if g1 is None:
        return (V * g0.unsqueeze(-2)) @ V.mH
    inner = V.mH @ g1
    _check_phase("linalg_eigh", "eigenvectors", inner.diagonal(dim1=-2, dim2=-1))
    inner = (inner - inner.mH) * 0.5 / _gaps(out0)
    inner = inner - inner.diagonal(dim1=-2, dim2=-1).diag_embed()
    if g0 is not None:
        inner = inner + g0.to(inner.dtype).diag_embed()
    return V @ inner @ V.mH


@linalg.host(_eigh, vjp={"A": _eigh_vjp})
def hermitian_eigen(A: Tensor, upper: bool, vectors: bool) -> Any:
    """Eigenvalues in ascending order, and orthonormal eigenvectors."""
    return Call((like(A, A.dtype.to_real(), A.shape[:-1]), like(A) if vectors else None))


def _uplo(op: str, UPLO: Any) -> bool:
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        fail(op, "Expected UPLO argument to be 'L' or 'U'", UPLO=UPLO)
    return str(UPLO).upper() == "U"


@linalg.composite()
def eigh(A: Tensor, UPLO: str = "L") -> Any:
    """Eigenvalues and eigenvectors of Hermitian matrices: ``A = V @ diag(w) @ V.mH``.

    Args:
        A: [..., N, N].
        UPLO: which triangle is read.

    Returns:
        ``(eigenvalues, eigenvectors)``: real [..., N], ascending; [..., N, N], in columns.

    Raises:
        LinAlgError: no convergence, as with NaN.

    >>> import flambeau as fb
    >>> fb.linalg.eigh(fb.tensor([[2., 0.], [0., 1.]])).eigenvalues
    tensor([1., 2.])
    """
    square("linalg.eigh", A=A)
    floats("linalg.eigh", A=A)
    return named(
        "linalg_eigh", "eigenvalues eigenvectors", *hermitian_eigen(A, _uplo("linalg.eigh", UPLO), True)
    )


@linalg.composite()
def eigvalsh(A: Tensor, UPLO: str = "L") -> Any:
    """The eigenvalues of Hermitian matrices, ascending.

    Args:
        A: [..., N, N].
        UPLO: which triangle is read.

    >>> import flambeau as fb
    >>> fb.linalg.eigvalsh(fb.tensor([[2., 0.], [0., 1.]]))
    tensor([1., 2.])
    """
    square("linalg.eigvalsh", A=A)
    floats("linalg.eigvalsh", A=A)
    wanted = A.requires_grad and fb.is_grad_enabled()
    return hermitian_eigen(A, _uplo("linalg.eigvalsh", UPLO), wanted)[0]


# General


def _eig(A: Any) -> Any:
    dtype = np.result_type(A.dtype, np.complex64)
    if not np.isfinite(A).all():
        fail("linalg.eig", "input tensor should not contain infs or NaNs")
    w, v = _guarded("linalg.eig", lambda: numpy_linalg.eig(A))
    return w.astype(dtype, copy=False), v.astype(dtype, copy=False)


def _eig_vjp(g0: Any, g1: Any, out0: Any, out1: Any, A_spec: Any) -> Any:
    V = out1
    if g1 is None:
        inner = g0.unsqueeze(-1) * V.mH
    else:
        VhgV = V.mH @ g1
        diagonal = VhgV.diagonal(dim1=-2, dim2=-1)
        _check_phase("linalg_eig", "eigenvectors", diagonal)
        inner = VhgV - V.mH @ (V * diagonal.real.unsqueeze(-2))
        inner = inner / _gaps(out0).conj()
        inner = inner - inner.diagonal(dim1=-2, dim2=-1).diag_embed()
        if g0 is not None:
            inner = inner + g0.diag_embed()
        inner = inner @ V.mH
    g = solve(V.mH, inner)
    return g if A_spec.dtype.is_complex else g.real


@linalg.host(_eig, vjp={"A": _eig_vjp})
def eigen(A: Tensor) -> Any:
    """Complex eigenvalues, and eigenvectors of length 1."""
    c = A.dtype.to_complex()
    return Call((like(A, c, A.shape[:-1]), like(A, c)))


@linalg.composite()
def eig(A: Tensor) -> Any:
    """Eigenvalues and eigenvectors of square matrices.

    Args:
        A: [..., N, N].

    Returns:
        ``(eigenvalues, eigenvectors)``: complex [..., N] and [..., N, N], columns of length 1.

    >>> import flambeau as fb
    >>> fb.linalg.eig(fb.tensor([[0., -1.], [1., 0.]])).eigenvalues.imag.abs()
    tensor([1., 1.])
    """
    square("linalg.eig", A=A)
    floats("linalg.eig", A=A)
    return named("linalg_eig", "eigenvalues eigenvectors", *eigen(A))


@linalg.composite()
def eigvals(A: Tensor) -> Any:
    """The complex eigenvalues of square matrices.

    Args:
        A: [..., N, N].

    >>> import flambeau as fb
    >>> fb.linalg.eigvals(fb.tensor([[2., 0.], [0., 3.]])).real
    tensor([2., 3.])
    """
    square("linalg.eigvals", A=A)
    floats("linalg.eigvals", A=A)
    return eigen(A)[0]


# Singular values


def _svd(A: Any, full_matrices: bool, vectors: bool) -> Any:
    if not vectors:
        return None, _guarded("linalg.svd", lambda: numpy_linalg.svd(A, compute_uv=False)), None
    return tuple(_guarded("linalg.svd", lambda: numpy_linalg.svd(A, full_matrices=full_matrices)))


def _skew(x: Any) -> Any:
    return x - x.mH


def _svd_vjp(g0: Any, g1: Any, g2: Any, out0: Any, out1: Any, out2: Any) -> Any:
    k = out1.shape[-1]
    U, S, Vh = out0[..., :k], out1, out2[..., :k, :]
    if g0 is None and g2 is None:
        return (U * g1.unsqueeze(-2)) @ Vh
    gU = None if g0 is None else g0[..., :k]
    gVh = None if g2 is None else g2[..., :k, :]
    skewed_u = None if gU is None else _skew(U.mH @ gU)
    skewed_v = None if gVh is None else _skew(Vh @ gVh.mH)
    if U.dtype.is_complex:
        turned = 0 if skewed_u is None else skewed_u.diagonal(dim1=-2, dim2=-1)
        turned = turned if skewed_v is None else turned + skewed_v.diagonal(dim1=-2, dim2=-1)
        _check_phase("linalg_svd", "singular vectors", turned)
    E = _gaps(S * S)
    E = E if U.dtype is S.dtype else E.to(U.dtype)
    s = S.to(U.dtype)
    inner: Any = 0
    if skewed_u is not None:
        inner = (skewed_u / E) * s.unsqueeze(-2)
    if skewed_v is not None:
        inner = inner + s.unsqueeze(-1) * (skewed_v / E)
    inner = inner - inner.diagonal(dim1=-2, dim2=-1).diag_embed()
    if g1 is not None:
        inner = inner + g1.to(U.dtype).diag_embed()
    if U.dtype.is_complex and skewed_u is not None and skewed_v is not None:
        inner = inner + (skewed_u.diagonal(dim1=-2, dim2=-1) / (2 * s)).diag_embed()
    g = U @ inner
    if gU is not None and U.shape[-2] > k:
        g = g + (gU - U @ (U.mH @ gU)) / s.unsqueeze(-2)
    g = g @ Vh
    if gVh is not None and Vh.shape[-1] > k:
        g = g + U @ ((gVh - (gVh @ Vh.mH) @ Vh) / s.unsqueeze(-1))
    return g


@linalg.host(_svd, vjp={"A": _svd_vjp})
def singular(A: Tensor, full_matrices: bool, vectors: bool) -> Any:
    """U, the singular values in descending order, V^H."""
    m, n = A.shape[-2:]
    k, batch = min(m, n), A.shape[:-2]
    u = like(A, None, (*batch, m, m if full_matrices else k)) if vectors else None
    vh = like(A, None, (*batch, n if full_matrices else k, n)) if vectors else None
    return Call((u, like(A, A.dtype.to_real(), (*batch, k)), vh))


def _driver(op: str, driver: Any) -> None:
    if driver is not None:
        fail(
            op,
            "keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend",
            driver=driver,
        )


@linalg.composite()
def svd(A: Tensor, full_matrices: bool = True, *, driver: Any = None) -> Any:
    """The singular value decomposition ``A = U @ diag(S) @ Vh``.

    Args:
        A: [..., M, N].
        full_matrices: square U and Vh; otherwise only the first min(M, N) columns and rows.

    Returns:
        ``(U, S, Vh)``; S is real, descending.

    Raises:
        LinAlgError: no convergence, as with NaN.

    >>> import flambeau as fb
    >>> fb.linalg.svd(fb.tensor([[3., 0.], [0., 4.]])).S
    tensor([4., 3.])
    """
    matrices("linalg.svd", A=A)
    floats("linalg.svd", A=A)
    _driver("linalg.svd", driver)
    return named("linalg_svd", "U S Vh", *singular(A, full_matrices, True))


@linalg.composite()
def svdvals(A: Tensor, *, driver: Any = None) -> Any:
    """The singular values, descending.

    Args:
        A: [..., M, N].

    >>> import flambeau as fb
    >>> fb.linalg.svdvals(fb.tensor([[3., 0.], [0., 4.]]))
    tensor([4., 3.])
    """
    matrices("linalg.svdvals", A=A)
    floats("linalg.svdvals", A=A)
    _driver("linalg.svdvals", driver)
    return singular(A, False, A.requires_grad and fb.is_grad_enabled())[1]


@linalg.composite()
def matrix_rank(
    A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Any:
    """How many singular values are above ``max(atol, rtol * largest)``.

    Args:
        A: [..., M, N].
        tol: the same as atol alone.
        hermitian: whether the matrices are Hermitian.

    >>> import flambeau as fb
    >>> fb.linalg.matrix_rank(fb.ones(3, 3))
    tensor(1)
    """
    op = "linalg.matrix_rank"
    matrices(op, A=A)
    floats(op, A=A)
    if hermitian:
        square(op, A=A)
    if tol is not None:
        low, share = tolerances(op, A, tol, 0.0)
    else:
        low, share = tolerances(op, A, atol, rtol)
    A = A.detach()
    S = eigvalsh(A).abs() if hermitian else svdvals(A)
    if not S.shape[-1]:
        return fb.zeros(A.shape[:-2], dtype=fb.int64, device=A.device)
    limit = fb.maximum(low.unsqueeze(-1), share.unsqueeze(-1) * S.to(fb.float64).amax(-1, keepdim=True))
    return (limit < S).sum(-1)


@linalg.composite()
def cond(A: Tensor, p: Any = None) -> Any:
    """The condition number: the product of the norms of a matrix and its inverse.

    Args:
        A: [..., M, N]; square unless p is None, 2 or -2.
        p: the norm, as `matrix_norm` names it; None is 2.

    >>> import flambeau as fb
    >>> fb.linalg.cond(fb.tensor([[4., 0.], [0., 2.]]))
    tensor(2.)
    """
    op = "linalg.cond"
    matrices(op, A=A)
    floats(op, A=A)
    if p is None or p in (2, -2):
        S = svdvals(A)
        if not S.shape[-1]:
            return S.new_zeros(A.shape[:-2])
        return S[..., -1] / S[..., 0] if p == -2 else S[..., 0] / S[..., -1]
    square(op, A=A)
    if isinstance(p, str) and p not in ("fro", "nuc"):
        fail(op, f"invalid norm type: {p}")
    out, info = fb.linalg.inv_ex(A)
    norm = fb.linalg.matrix_norm
    if p == "nuc":
        return norm(A, p) * norm(inv(A), p)
    bad = info != 0
    product = norm(A, p) * norm(out, p)
    return fb.where(bad, float("inf"), product) if bool(whole(bad).any()) else product


# The exponential


def _expm(A: Any) -> Any:
    if not A.size:
        return np.zeros(A.shape, A.dtype)
    # In double precision: SciPy's single precision loses a digit.
    wide = A.astype(np.result_type(A, np.float64), copy=False)
    return np.asarray(scipy.linalg.expm(wide)).astype(A.dtype, copy=False)


def _expm_vjp(g: Any, A: Any) -> Any:
    # The derivative stands in the corner of the exponential of a block matrix (R. Mathias, 1996).
    n = A.shape[-1]
    Ah = A.mH
    top = fb.cat([Ah, g], -1)
    bottom = fb.cat([fb.zeros_like(Ah), Ah], -1)
    return exponential(fb.cat([top, bottom], -2))[..., :n, n:]


@linalg.host(_expm, vjp={"A": _expm_vjp})
def exponential(A: Tensor) -> Any:
    """The exponential of checked matrices."""
    return Call(like(A))


@linalg.composite()
def matrix_exp(A: Tensor) -> Any:
    """The exponential of square matrices.

    Args:
        A: [..., N, N].

    >>> import flambeau as fb
    >>> fb.linalg.matrix_exp(fb.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    square("linalg.matrix_exp", A=A)
    floats("linalg.matrix_exp", low=True, A=A)
    if A.dtype in (fb.float16, fb.bfloat16):
        return exponential(A.to(fb.float32)).to(A.dtype)
    return exponential(A)


# out= may have any dtype that the result casts to, as PyTorch's.
matrix_rank.casts_out = True
