"""Inverses, solutions of linear systems, and what is written with them.

Gradients follow M. Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008); that of the
pseudo-inverse G. Golub and V. Pereyra, "The differentiation of pseudo-inverses" (1973).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import blas

import flambeau as fb
from flambeau.plugin import Call, broadcast_shapes, named, whole

from .._host import each
from .._records import Space, like
from ._checks import LinAlgError, fail, floats, matrices, same, square
from ._factor import _ZERO_PIVOT, _split, permutation, raise_first, routine

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = [
    "inv", "inv_ex", "lstsq", "lu_solve", "lu_unpack", "pinv", "solve", "solve_ex", "solve_triangular", "tensorinv",
    "tensorsolve",
]  # fmt: skip

linalg = Space("linalg")
numpy_linalg: Any = np.linalg  # its stubs know no arrays of any dtype
top = Space("")
_SINGULAR = (
    "the diagonal element {} is zero, {} because the input matrix is singular. Use a matrix of full rank."
)


# Inverse


def _inverse(A: Any) -> Any:
    info = np.zeros(A.shape[:-2], np.int32)
    try:
        return numpy_linalg.inv(A), info
    except np.linalg.LinAlgError:
        out = np.zeros(A.shape, A.dtype)
        getrf, getri = routine("getrf", A), routine("getri", A)
        for at, a in each(A.shape[:-2], A):
            lu, piv, info[at] = getrf(a)
            out[at] = lu if info[at] else getri(lu, piv)[0]
        return out, info


@linalg.host(_inverse, nondiff=(1,), vjp={"A": lambda g0, out0: -(out0.mH @ g0 @ out0.mH)})
def inverse(A: Tensor) -> Any:
    """The inverse and LAPACK's info."""
    return Call((like(A), like(A, fb.int32, A.shape[:-2])))


@linalg.composite()
def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """The inverse, and for every matrix 0 or the place of a zero on the diagonal of its factor U.

    Args:
        A: [..., N, N].

    Returns:
        ``(inverse, info)``.

    >>> import flambeau as fb
    >>> fb.linalg.inv_ex(fb.zeros(2, 2)).info
    tensor(1, dtype=flambeau.int32)
    """
    square("linalg.inv_ex", A=A)
    floats("linalg.inv_ex", A=A)
    out, info = inverse(A)
    if check_errors:
        raise_first("linalg.inv_ex", info, _SINGULAR.format("{}", "the inversion could not be completed"))
    return named("linalg_inv_ex", "inverse info", out, info)


@linalg.composite()
def inv(A: Tensor) -> Any:
    """The inverse of square matrices.

    Args:
        A: [..., N, N].

    Raises:
        LinAlgError: a matrix is singular.

    >>> import flambeau as fb
    >>> fb.linalg.inv(fb.tensor([[2., 0.], [0., 4.]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    square("linalg.inv", A=A)
    floats("linalg.inv", A=A)
    out, info = inverse(A)
    raise_first("linalg.inv", info, _SINGULAR.format("{}", "the inversion could not be completed"))
    return out


# Solutions


def _solve(A: Any, B: Any) -> Any:
    batch = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    info = np.zeros(A.shape[:-2], np.int32)
    shape = (*batch, *B.shape[-2:])
    if not A.size or not B.size:
        return np.zeros(shape, B.dtype), info
    try:
        return numpy_linalg.solve(A, B), info
    except np.linalg.LinAlgError:
        getrf, getrs = routine("getrf", A), routine("getrs", A)
        factors = {}
        for at, a in each(A.shape[:-2], A):
            lu, piv, info[at] = getrf(a)
            factors[at] = lu, piv
        place = np.broadcast_to(np.arange(max(len(factors), 1)).reshape(A.shape[:-2]), batch)
        held = list(factors.values())
        out = np.full(shape, np.nan, B.dtype)
        B = np.broadcast_to(B, shape)
        for at in np.ndindex(*batch):
            lu, piv = held[place[at]]
            if (lu.diagonal() != 0).all():
                out[at] = getrs(lu, piv, B[at])[0]
        return out, info


def _solve_vjp(g0: Any, A: Any, out0: Any) -> Any:
    gB, _ = solved(A.mH, g0)
    return -(gB @ out0.mH), gB


@linalg.host(_solve, nondiff=(1,), vjp=_solve_vjp)
def solved(A: Tensor, B: Tensor) -> Any:
    """The solution X of ``A @ X = B`` (NaN where A is singular) and LAPACK's info."""
    batch = broadcast_shapes(A.shape[:-2], B.shape[:-2], op="linalg.solve")
    return Call((like(B, None, (*batch, *B.shape[-2:])), like(A, fb.int32, A.shape[:-2])))


def _is_vector(A: Any, B: Any) -> bool:
    return bool(B.ndim == 1 or (A.ndim - 1 == B.ndim and B.shape == A.shape[:-1]))


def _solve_checked(op: str, A: Any, B: Any, left: bool) -> tuple[Any, Any]:
    square(op, A=A)
    floats(op, A=A, B=B)
    same(op, A=A, B=B)
    if B.ndim == 0:
        fail(op, "B must have at least 1 dimension", A=A, B=B)
    vector = _is_vector(A, B)
    if vector and not left:
        fail(op, "vector broadcasting of the left hand side is not supported for left=False", B=B)
    b = B.unsqueeze(-1) if vector else B
    if b.shape[-2 if left else -1] != A.shape[-1]:
        fail(
            op, f"incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'}", A=A, B=B
        )
    broadcast_shapes(A.shape[:-2], b.shape[:-2], op=op)
    x, info = solved(A, b) if left else solved(A.mT, b.mT)
    x = x if left else x.mT
    return (x.squeeze(-1) if vector else x), info


@linalg.composite()
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    """`solve`, and for every matrix 0 or the place of a zero on the diagonal of its factor U.

    Args:
        A: [..., N, N].
        B: [..., N, K] or [..., N].

    Returns:
        ``(result, info)``; the result is NaN where A is singular.

    >>> import flambeau as fb
    >>> fb.linalg.solve_ex(fb.zeros(1, 1), fb.ones(1)).info
    tensor(1, dtype=flambeau.int32)
    """
    x, info = _solve_checked("linalg.solve_ex", A, B, left)
    if check_errors:
        raise_first("linalg.solve_ex", info, _SINGULAR.format("{}", "the solve could not be completed"))
    return named("linalg_solve_ex", "result info", x, info)


@linalg.composite()
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Any:
    """The solution X of ``A @ X = B``, or of ``X @ A = B`` if not ``left``.

    Args:
        A: [..., N, N].
        B: [..., N, K], or [..., N] for one right-hand side a matrix.

    Raises:
        LinAlgError: a matrix is singular.

    >>> import flambeau as fb
    >>> fb.linalg.solve(fb.tensor([[2., 0.], [0., 4.]]), fb.tensor([2., 2.]))
    tensor([1.0000, 0.5000])
    """
    x, info = _solve_checked("linalg.solve", A, B, left)
    raise_first("linalg.solve", info, _SINGULAR.format("{}", "the solve could not be completed"))
    return x


def _trsm(A: Any, B: Any, upper: bool, unitriangular: bool) -> Any:
    batch = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    out = np.zeros((*batch, *B.shape[-2:]), B.dtype)
    if out.size:
        trsm = blas.get_blas_funcs("trsm", (A, B))
        a = np.broadcast_to(A, (*batch, *A.shape[-2:]))
        b = np.broadcast_to(B, out.shape)
        for at, x, y in each(batch, a, b):
            out[at] = trsm(1, x, y, lower=not upper, diag=unitriangular)
    return out


def _triangular_vjp(
    g: Any, A: Any, out: Any, upper: bool, unitriangular: bool, needs: Any
) -> tuple[Any, Any]:
    gB = triangular_solved(A.mH, g, not upper, unitriangular)
    if not needs[0]:
        return None, gB
    k = int(unitriangular)
    gA = -(gB @ out.mH)
    return (gA.triu(k) if upper else gA.tril(-k)), gB


@linalg.host(_trsm, vjp=_triangular_vjp)
def triangular_solved(A: Tensor, B: Tensor, upper: bool, unitriangular: bool) -> Any:
    """The solution of a triangular system."""
    batch = broadcast_shapes(A.shape[:-2], B.shape[:-2], op="linalg.solve_triangular")
    return Call(like(B, None, (*batch, *B.shape[-2:])))


@linalg.composite()
def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    """The solution of ``A @ X = B`` (``X @ A = B`` if not ``left``) for triangular matrices; nothing checks for zeros.

    Args:
        A: [..., N, N]; only one triangle is read.
        B: [..., N, K].
        upper: which triangle.
        unitriangular: take the diagonal for ones.

    >>> import flambeau as fb
    >>> fb.linalg.solve_triangular(fb.tensor([[2., 1.], [0., 4.]]), fb.tensor([[3.], [4.]]), upper=True)
    tensor([[1.],
            [1.]])
    """
    op = "linalg.solve_triangular"
    square(op, A=A)
    matrices(op, B=B)
    floats(op, A=A, B=B)
    same(op, A=A, B=B)
    if B.shape[-2 if left else -1] != A.shape[-1]:
        fail(
            op, f"incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'}", A=A, B=B
        )
    if left:
        return triangular_solved(A, B, upper, unitriangular)
    return triangular_solved(A.mT, B.mT, not upper, unitriangular).mT


@top.composite(method=False)
def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> Any:
    """P, L and U from packed factors.

    Args:
        LU_data: [..., M, N].
        LU_pivots: int32 [..., min(M, N)].
        unpack_data, unpack_pivots: what to give; the rest is empty.

    Returns:
        ``(P, L, U)``.
    """
    op = "lu_unpack"
    matrices(op, LU_data=LU_data)
    if unpack_pivots and LU_pivots.dtype is not fb.int32:
        fail(op, "LU_pivots is expected to be a contiguous tensor of int32", do="Use what lu_factor gives.",
             LU_pivots=LU_pivots)  # fmt: skip
    empty = LU_data.new_empty((0,))
    P = permutation(LU_pivots, LU_data.shape[-2], LU_data.dtype) if unpack_pivots else empty
    L, U = _split(LU_data) if unpack_data else (empty, empty)
    return named("lu_unpack", "P L U", P, L, U)


@linalg.composite()
def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Any:
    """The solution of ``A @ X = B`` from the factors that `lu_factor` gives.

    Args:
        LU: [..., N, N].
        pivots: int32 [..., N].
        B: [..., N, K].
        left: whether A stands on the left.
        adjoint: solve with ``A.mH``.

    >>> import flambeau as fb
    >>> LU, pivots = fb.linalg.lu_factor(fb.tensor([[1., 2.], [4., 4.]]))
    >>> fb.linalg.lu_solve(LU, pivots, fb.tensor([[3.], [8.]]))
    tensor([[1.],
            [1.]])
    """
    op = "linalg.lu_solve"
    square(op, LU=LU)
    matrices(op, B=B)
    floats(op, LU=LU, B=B)
    same(op, LU=LU, B=B)
    if pivots.dtype is not fb.int32:
        fail(op, "pivots should be int32", do="Use what lu_factor gives.", pivots=pivots)
    if pivots.ndim < 1 or pivots.shape[-1] != LU.shape[-1]:
        fail(
            op,
            "Number of pivots per batch should be same as the dimension of the matrix",
            LU=LU,
            pivots=pivots,
        )
    if pivots.shape[:-1] != LU.shape[:-2]:
        fail(op, "Expected LU.shape[:-2] and pivots.shape[:-1] to be the same", LU=LU, pivots=pivots)
    if B.shape[-2 if left else -1] != LU.shape[-1]:
        fail(op, "incompatible shapes of A and B", LU=LU, B=B)
    if not left:
        return lu_solve(LU, pivots, B.mH, adjoint=not adjoint).mH
    P = permutation(pivots, LU.shape[-1], LU.dtype)
    if adjoint:
        y = solve_triangular(LU.mH, B, upper=False)
        return P @ solve_triangular(LU.mH, y, upper=True, unitriangular=True)
    return solve_triangular(LU, solve_triangular(LU, P.mT @ B, upper=False, unitriangular=True), upper=True)


# Pseudo-inverse and least squares


def _pinv(A: Any, atol: Any, rtol: Any, hermitian: bool) -> Any:
    if not A.size:
        return np.zeros((*A.shape[:-2], A.shape[-1], A.shape[-2]), A.dtype)
    if hermitian:
        w, u = _guarded("linalg.pinv", lambda: numpy_linalg.eigh(A))
        v, s = u, np.abs(w)
        keep = s > np.maximum(atol[..., None], rtol[..., None] * s.max(-1, keepdims=True))
        scale = np.where(keep, 1 / np.where(keep, w, 1), 0).astype(s.dtype)
        return (v * scale[..., None, :]) @ u.conj().swapaxes(-1, -2)
    u, s, vh = _guarded("linalg.pinv", lambda: numpy_linalg.svd(A, full_matrices=False))
    keep = s > np.maximum(atol[..., None], rtol[..., None] * s.max(-1, keepdims=True))
    scale = np.where(keep, 1 / np.where(keep, s, 1), 0).astype(s.dtype)
    return (vh.conj().swapaxes(-1, -2) * scale[..., None, :]) @ u.conj().swapaxes(-1, -2)


def _guarded(op: str, run: Any) -> Any:
    """Run an iterative routine of LAPACK.

    Raises:
        LinAlgError: it didn't converge.
    """
    try:
        return run()
    except np.linalg.LinAlgError as error:
        raise LinAlgError(
            f"[{op}] the algorithm failed to converge: {error}; needed: finite input. Look for NaN or infinity in it."
        ) from None


def pinv_vjp(g: Any, A: Any, out: Any) -> Any:
    """The gradient of A from that of its pseudo-inverse ``out``."""
    p, ph, gh = out, out.mH, g.mH
    # dP = -P dA P + P P^H dA^H (1 - A P) + (1 - P A) dA^H P^H P
    middle = -(ph @ g @ ph)
    first = gh @ p @ ph
    second = ph @ p @ gh
    return middle + (first - A @ (p @ first)) + (second - (second @ p) @ A)


@linalg.host(_pinv, vjp={"A": lambda g, A, out: pinv_vjp(g, A, out), "atol": None, "rtol": None})
def pseudo_inverse(A: Tensor, atol: Tensor, rtol: Tensor, hermitian: bool) -> Any:
    """The pseudo-inverse, singular values up to the larger tolerance taken for 0."""
    return Call(like(A, None, (*A.shape[:-2], A.shape[-1], A.shape[-2])))


def tolerances(op: str, A: Any, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """Absolute and relative tolerance as tensors; relative by default max(M, N) * eps unless an absolute is given."""
    real = A.real.dtype if A.dtype.is_complex else A.dtype
    for name, t in (("atol", atol), ("rtol", rtol)):
        if isinstance(t, fb.Tensor) and t.dtype.is_complex:
            fail(op, f"{name} tensor of complex type is not supported", **{name: t})  # type: ignore[arg-type]
    if rtol is None:
        given = atol is not None and not isinstance(atol, fb.Tensor) and atol > 0
        rtol = 0.0 if given else fb.finfo(real).eps * max(A.shape[-2:])
        if isinstance(atol, fb.Tensor):
            rtol = fb.where(atol > 0, 0.0, rtol)
    atol = 0.0 if atol is None else atol
    return tuple(  # type: ignore[return-value]
        (t if isinstance(t, fb.Tensor) else fb.tensor(t)).to(device=A.device, dtype=fb.float64).detach()
        for t in (atol, rtol)
    )


@linalg.composite()
def pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """The Moore-Penrose pseudo-inverse.

    Args:
        A: [..., M, N].
        hermitian: whether the matrices are Hermitian (only the lower triangle is read).
        atol, rtol: singular values up to ``max(atol, rtol * largest)`` are taken for 0; numbers or tensors.
        rcond: the same as rtol.

    >>> import flambeau as fb
    >>> fb.linalg.pinv(fb.tensor([[2., 0.], [0., 0.]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.0000]])
    """
    op = "linalg.pinv"
    matrices(op, A=A)
    floats(op, A=A)
    if hermitian:
        square(op, A=A)
    low, share = tolerances(op, A, atol, rcond if rtol is None else rtol)
    return pseudo_inverse(A, low, share, hermitian)


_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


def _lstsq(A: Any, B: Any, rcond: float, driver: str) -> Any:
    batch = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    (m, n), k = A.shape[-2:], B.shape[-1]
    X = np.zeros((*batch, n, k), B.dtype)
    rank = np.zeros(batch, np.int64)
    s = np.zeros((*batch, min(m, n)), A.real.dtype)
    if A.size:
        A, B = np.broadcast_to(A, (*batch, m, n)), np.broadcast_to(B, (*batch, m, k))
        for at, a, b in each(batch, A, B):
            X[at], _, rank[at], s[at] = _guarded(
                "linalg.lstsq", lambda a=a, b=b: numpy_linalg.lstsq(a, b, rcond)
            )
    return X, rank, s


def _lstsq_vjp(g0: Any, A: Any, B: Any) -> tuple[Any, Any]:
    p = pinv(A)
    return pinv_vjp(g0 @ B.mH, A, p), p.mH @ g0


@linalg.host(_lstsq, vjp=_lstsq_vjp, nondiff=(1, 2))
def least_squares(A: Tensor, B: Tensor, rcond: float, driver: str) -> Any:
    """Solution, rank and singular values."""
    batch = broadcast_shapes(A.shape[:-2], B.shape[:-2], op="linalg.lstsq")
    real = A.dtype.to_real()
    return Call((like(B, None, (*batch, A.shape[-1], B.shape[-1])), like(A, fb.int64, batch),
                 like(A, real, (*batch, min(A.shape[-2:])))))  # fmt: skip


@linalg.composite()
def lstsq(A: Tensor, B: Tensor, rcond: Any = None, *, driver: Any = None) -> Any:
    """The X that minimises the norm of ``A @ X - B``, the smallest where there are several.

    Args:
        A: [..., M, N].
        B: [..., M, K] or [..., M].
        rcond: singular values up to this share of the largest are taken for 0; by default eps * max(M, N).
        driver: ``"gelsy"`` (default), ``"gels"``, ``"gelsd"`` or ``"gelss"``; they differ in what else is returned.

    Returns:
        ``(solution, residuals, rank, singular_values)``: residuals where M > N and all ranks are full, the rank unless
        the driver is gels, singular values for gelsd and gelss; empty tensors otherwise.

    >>> import flambeau as fb
    >>> fb.linalg.lstsq(fb.tensor([[1.], [1.]]), fb.tensor([[1.], [3.]])).solution
    tensor([[2.]])
    """
    op = "linalg.lstsq"
    matrices(op, A=A)
    if B.ndim < 1:
        fail(op, "input.dim() must be greater or equal to 2 and other.dim() to 1", A=A, B=B)
    same(op, A=A, B=B)
    floats(op, A=A, B=B)
    if A.ndim - B.ndim not in (0, 1) and not (A.ndim > B.ndim or B.ndim > A.ndim):
        fail(op, "input.dim() must be greater or equal to other.dim() and at most one more", A=A, B=B)
    if driver is None:
        driver = "gelsy"
    if driver not in _DRIVERS:
        fail(op, f"parameter `driver` should be one of {_DRIVERS}", driver=driver)
    vector = _is_vector(A, B) and B.ndim == A.ndim - 1
    b = B.unsqueeze(-1) if vector else B
    if b.shape[-2] != A.shape[-2]:
        fail(op, "input.size(-2) should match other.size(-2)", A=A, B=B)
    m, n = A.shape[-2:]
    eps = fb.finfo(A.dtype.to_real()).eps
    X, rank, s = least_squares(A, b, eps * max(m, n) if rcond is None else float(rcond), driver)
    residuals = X.abs().reshape((-1,))[:0]
    if m > n and driver != "gelsy" and bool((whole(rank) == n).all()):
        gap = A @ X - b
        residuals = (gap.abs() ** 2).sum(-2)
    if vector:
        X, residuals = X.squeeze(-1), residuals.squeeze(-1) if residuals.ndim > 1 else residuals
    return named(
        "linalg_lstsq", "solution residuals rank singular_values", X, residuals,
        rank.new_empty((0,)) if driver == "gels" else rank,
        s if driver in ("gelsd", "gelss") else s.new_empty((0,)),
    )  # fmt: skip


# Tensors as matrices


def _numel(shape: Any) -> int:
    n = 1
    for s in shape:
        n *= s
    return n


@linalg.composite()
def tensorinv(A: Tensor, ind: int = 2) -> Any:
    """The inverse of a tensor as a map between its last and its first ``ind`` dimensions.

    Args:
        A: its first ``ind`` sizes and the others have one product.
        ind: how many dimensions are rows.

    >>> import flambeau as fb
    >>> fb.linalg.tensorinv(fb.eye(4).reshape(2, 2, 4)).shape
    flambeau.Size([4, 2, 2])
    """
    op = "linalg.tensorinv"
    if ind <= 0:
        fail(op, "Expected a strictly positive integer for 'ind'", ind=ind)
    first, last = A.shape[:ind], A.shape[ind:]
    if _numel(first) != _numel(last):
        fail(op, f"Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
             f"{_numel(last)} != {_numel(first)}", A=A, ind=ind)  # fmt: skip
    return inv(A.reshape((_numel(first), _numel(last)))).reshape((*last, *first))


@linalg.composite()
def tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Any:
    """The X with ``tensordot(A, X, X.ndim) = B``.

    Args:
        A: its sizes after the first B.ndim are X's.
        B: the right-hand side.
        dims: dimensions of A to move to its end first.

    >>> import flambeau as fb
    >>> fb.linalg.tensorsolve(fb.eye(4).reshape(2, 2, 4), fb.ones(2, 2))
    tensor([1., 1., 1., 1.])
    """
    op = "linalg.tensorsolve"
    if dims is not None:
        dims = (dims,) if isinstance(dims, int) else tuple(dims)
        A = A.movedim(dims, tuple(range(A.ndim - len(dims), A.ndim)))
    rest = A.shape[B.ndim :]
    if _numel(rest) != _numel(B.shape):
        fail(op, "expected A to satisfy prod(A.shape[B.ndim:]) == prod(A.shape[:B.ndim])", A=A, B=B)
    n = _numel(rest)
    return solve(A.reshape((n, n)), B.reshape((n,))).reshape(rest)


ZERO_PIVOT = _ZERO_PIVOT
