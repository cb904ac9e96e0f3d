"""Linear algebra against NumPy and SciPy, gradients by finite differences, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg

import flambeau as fb
from flambeau.autograd import gradcheck, gradgradcheck

L = fb.linalg
rng = np.random.default_rng(0)


def matrix(*shape: int, kind: str = "float64") -> Any:
    made = rng.standard_normal(shape)
    return (made + 1j * rng.standard_normal(shape) if kind == "complex128" else made).astype(kind)


def definite(n: int, kind: str = "float64") -> Any:
    a = matrix(n, n, kind=kind)
    return a @ a.conj().T + n * np.eye(n)


def close(ours: Any, theirs: Any, tol: float = 1e-10) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=tol, atol=tol)


@pytest.mark.parametrize("kind", ["float64", "complex128"])
@pytest.mark.parametrize("upper", [False, True])
def test_cholesky(kind: str, upper: bool) -> None:
    a = np.stack([definite(3, kind) for _ in range(2)])
    got = L.cholesky(fb.tensor(a), upper=upper)
    close(got, np.linalg.cholesky(a, upper=upper))
    close(fb.cholesky_inverse(got, upper), np.linalg.inv(a), 1e-9)


@pytest.mark.parametrize("kind", ["float64", "complex128"])
def test_gradients_of_functions_of_hermitian_matrices(kind: str) -> None:
    x = fb.tensor(matrix(3, 3, kind=kind)).requires_grad_()
    shift = fb.tensor(3 * np.eye(3)).to(x.dtype)

    def hermitian(t: Any) -> Any:
        return t @ t.mH + shift

    checks: list[Any] = [
        lambda t: L.cholesky(hermitian(t)).abs(),
        lambda t: L.eigvalsh(hermitian(t)),
        lambda t: L.eigh(hermitian(t)).eigenvectors.abs(),
        lambda t: L.inv(hermitian(t)).abs(),
    ]
    for fn in checks:
        assert gradcheck(fn, (x,), atol=1e-5, rtol=1e-4)
        assert gradgradcheck(fn, (x,), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
def test_gradients_of_decompositions(kind: str, shape: tuple[int, int]) -> None:
    x = fb.tensor(matrix(*shape, kind=kind)).requires_grad_()
    checks: list[Any] = [
        lambda t: L.svdvals(t),
        lambda t: L.svd(t, full_matrices=False).U.abs(),
        lambda t: L.pinv(t).abs(),
        lambda t: L.lu(t)[2].abs(),
    ]
    if shape[0] >= shape[1]:
        checks.append(lambda t: L.qr(t).R.abs())
    if shape[0] == shape[1]:
        checks += [lambda t: L.eigvals(t).abs(), lambda t: L.det(t).abs(), lambda t: L.matrix_exp(t).abs()]
    for k, fn in enumerate(checks):
        assert gradcheck(fn, (x,), atol=1e-5, rtol=1e-3), k


def test_factors_give_the_matrix_back() -> None:
    for kind in ("float32", "float64", "complex64", "complex128"):
        a = matrix(2, 4, 3, kind="complex128" if "complex" in kind else "float64").astype(kind)
        tol = 1e-4 if kind in ("float32", "complex64") else 1e-10
        t = fb.tensor(a)
        U, S, Vh = L.svd(t, full_matrices=False)
        close((U * S.unsqueeze(-2)) @ Vh, a, tol)
        Q, R = L.qr(t)
        close(Q @ R, a, tol)
        P, lower, upper = L.lu(t)
        close(P @ lower @ upper, a, tol)
        assert {x.dtype for x in (U, Vh, Q, R, P, lower)} == {t.dtype}
        w, V = L.eig(t[:, :3])
        close(V @ w.diag_embed(), (t[:, :3].to(V.dtype) @ V).numpy(), tol * 10)


@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("kind", ["float64", "complex128"])
def test_ldl(kind: str, hermitian: bool) -> None:
    for seed in range(5):
        a = np.random.default_rng(seed).standard_normal((6, 6)) + (
            0 if kind == "float64" else 1j * matrix(6, 6)
        )
        a = a + (a.conj().T if hermitian else a.T)
        b = matrix(6, 2, kind=kind)
        LD, pivots = L.ldl_factor(fb.tensor(a), hermitian=hermitian)
        close(L.ldl_solve(LD, pivots, fb.tensor(b), hermitian=hermitian), np.linalg.solve(a, b), 1e-8)


def test_solutions() -> None:
    a, b = matrix(4, 4), matrix(4, 3)
    A, B = fb.tensor(a), fb.tensor(b)
    want = np.linalg.solve(a, b)
    close(L.solve(A, B), want)
    close(L.solve(A, B[:, 0]), want[:, 0])
    close(L.solve(A, B.mT, left=False), np.linalg.solve(a.T, b).T)
    close(L.lu_solve(*L.lu_factor(A), B), want)
    close(L.lu_solve(*L.lu_factor(A), B, adjoint=True), np.linalg.solve(a.T, b))
    close(L.solve_triangular(A, B, upper=True), scipy.linalg.solve_triangular(a, b))
    tall, right = matrix(5, 3), matrix(5, 2)
    close(L.lstsq(fb.tensor(tall), fb.tensor(right)).solution, np.linalg.lstsq(tall, right, rcond=None)[0])
    close(L.matrix_exp(A), scipy.linalg.expm(a), 1e-8)
    assert int(L.matrix_rank(fb.tensor(tall[:, [0, 0, 1]]))) == 2


def test_empty_matrices() -> None:
    none, batch = fb.zeros(0, 0), fb.zeros(0, 3, 3)
    assert float(L.det(none)) == 1.0
    for fn in (L.inv, L.cholesky, L.det, L.svdvals, L.eigvalsh, L.eigvals, L.matrix_exp, L.pinv):
        assert fn(batch).shape[0] == 0
        assert fn(none).numel() in (0, 1)
    assert L.svd(fb.zeros(0, 3)).Vh.shape == (3, 3)
    assert L.solve(batch, fb.zeros(0, 3, 2)).shape == (0, 3, 2)


def test_matrices_that_have_none() -> None:
    for fn, bad in (
        (L.inv, fb.ones(2, 2)),
        (L.cholesky, -fb.eye(2)),
        (lambda t: L.solve(t, fb.ones(2)), fb.zeros(2, 2)),
    ):
        with pytest.raises(L.LinAlgError, match=r"\[linalg\.\w+\]"):
            fn(bad)
        with pytest.raises(L.LinAlgError, match="batch element 1"):
            fn(fb.stack([fb.eye(2), bad]))
    assert issubclass(L.LinAlgError, RuntimeError)
    assert L.inv_ex(fb.zeros(2, 2)).info == 1
    assert float(L.det(fb.ones(3, 3))) == 0.0
    singular = fb.ones(3, 3, dtype=fb.float64).requires_grad_()
    L.det(singular + fb.eye(3).double().diag().diag() * 0).backward()
    assert singular.grad is not None
    close(singular.grad, np.zeros((3, 3)))


def test_not_a_number() -> None:
    bad = fb.full((3, 3), float("nan"))
    for fn in (L.svd, L.svdvals, L.eigh, L.eig):
        with pytest.raises(RuntimeError):
            fn(bad)
    assert bool(L.det(bad).isnan())


@pytest.mark.parametrize(
    "call",
    [
        lambda: L.inv(fb.ones(2, 3)), lambda: L.inv(fb.ones(3)), lambda: L.inv(fb.ones(2, 2, dtype=fb.int64)),
        lambda: L.inv(fb.ones(2, 2, dtype=fb.float16)), lambda: L.solve(fb.eye(2), fb.ones(3)),
        lambda: L.solve(fb.eye(2), fb.ones(2).double()), lambda: L.cholesky(fb.ones(2, 3)), lambda: L.qr(fb.ones(3)),
        lambda: L.qr(fb.eye(2), "other"), lambda: L.eigh(fb.eye(2), "X"), lambda: L.svd(fb.ones(3)),
        lambda: L.matrix_norm(fb.eye(2), "other"), lambda: L.matrix_power(fb.ones(2, 3), 2),
        lambda: L.multi_dot([fb.eye(2)]), lambda: L.cross(fb.ones(2), fb.ones(2)), lambda: L.cond(fb.ones(2, 3), 1),
        lambda: L.lstsq(fb.ones(2, 2), fb.ones(3, 1)), lambda: L.tensorinv(fb.ones(2, 3)),
        lambda: fb.fft.rfft(fb.ones(2, dtype=fb.complex64)), lambda: fb.fft.fft(fb.ones(3), n=0),
        lambda: fb.stft(fb.ones(4), 8, return_complex=True, center=False),
        lambda: fb.cdist(fb.ones(2, 3), fb.ones(2, 2)),
    ],
)  # fmt: skip
def test_what_is_refused(call: Any) -> None:
    with pytest.raises(RuntimeError, match=r"^\[[\w.]+\] "):
        call()


def test_few_singular_values_and_eigenvectors() -> None:
    fb.manual_seed(0)
    low = matrix(20, 3) @ matrix(3, 15)
    U, S, V = fb.svd_lowrank(fb.tensor(low), 5)
    close((U * S) @ V.mT, low, 1e-6)
    U, S, V = fb.pca_lowrank(fb.tensor(low), 5)
    close((U * S) @ V.mT, low - low.mean(0), 1e-6)
    a = definite(30)
    w, X = fb.lobpcg(fb.tensor(a), 2, niter=200)
    close(w, np.linalg.eigvalsh(a)[::-1][:2], 1e-5)
    close(fb.tensor(a) @ X, (X * w).numpy(), 1e-2)


def test_transforms_and_windows() -> None:
    x = matrix(5, 6)
    close(fb.fft.fftn(fb.tensor(x)), np.fft.fftn(x))
    close(fb.fft.irfft(fb.fft.rfft(fb.tensor(x), 7), 7), np.fft.irfft(np.fft.rfft(x, 7), 7))
    assert fb.fft.fft(fb.ones(3)).dtype is fb.complex64
    from scipy.signal import windows

    for name in ("hann", "hamming", "blackman", "bartlett", "nuttall", "cosine"):
        for sym in (True, False):
            got = getattr(fb.signal.windows, name)(9, sym=sym, dtype=fb.float64)
            np.testing.assert_allclose(got.numpy(), getattr(windows, name)(9, sym=sym), atol=1e-7)


def test_contraction_with_lists_of_dimensions_into_out() -> None:
    x, out = fb.arange(6.0).reshape(2, 3), fb.empty(3, 3)
    for _ in range(2):
        assert fb.tensordot(x, x, dims=([0], [0]), out=out) is out
        assert fb.equal(out, x.T @ x)
