"""Determinants, powers, products and norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import flambeau as fb
from flambeau.plugin import Call, broadcast_shapes, named

from .._records import Space, like
from ._checks import as_floats, fail, floats, matrices, square
from ._solve import inv
from ._spectral import svdvals

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = [
    "cross", "det", "diagonal", "matmul", "matrix_norm", "matrix_power", "multi_dot", "norm", "slogdet", "vander",
    "vecdot", "vector_norm",
]  # fmt: skip

linalg = Space("linalg")
numpy_linalg: Any = np.linalg  # its stubs know no arrays of any dtype


# Determinants


def _cofactors(A: Any) -> Any:
    # det(U V^H) U diag(products of the other singular values) V^H, conjugated: exact for singular matrices too.
    if not A.size:
        return np.zeros(A.shape, A.dtype)
    u, s, vh = numpy_linalg.svd(A)
    n = s.shape[-1]
    rest = np.stack([np.prod(np.delete(s, i, -1), -1) for i in range(n)], -1)
    sign = numpy_linalg.det(u) * numpy_linalg.det(vh)
    return (sign[..., None, None] * ((u.conj() * rest[..., None, :]) @ vh.conj())).astype(A.dtype, copy=False)


def _cofactors_vjp(g: Any, A: Any) -> Any:
    # d(det inv^T) in terms of the inverse: there is no other way for singular matrices.
    X = inv(A)
    d = det(A).conj().unsqueeze(-1).unsqueeze(-1)
    Xh = X.mH
    return d * ((g * X.mT.conj()).sum((-2, -1), keepdim=True) * Xh - Xh @ g.mT @ Xh)


@linalg.host(_cofactors, vjp={"A": _cofactors_vjp})
def cofactors(A: Tensor) -> Any:
    """The matrix of cofactors."""
    return Call(like(A))


def _det(A: Any) -> Any:
    return np.asarray(numpy_linalg.det(A), A.dtype)


@linalg.host(_det, vjp={"A": lambda g, A: g.unsqueeze(-1).unsqueeze(-1) * cofactors(A).conj()})
def determinant(A: Tensor) -> Any:
    """The determinant of checked matrices."""
    return Call(like(A, None, A.shape[:-2]))


@linalg.composite()
def det(A: Tensor) -> Any:
    """The determinant.

    Args:
        A: [..., N, N].

    >>> import flambeau as fb
    >>> fb.linalg.det(fb.tensor([[2., 0.], [0., 3.]]))
    tensor(6.)
    """
    square("linalg.det", A=A)
    floats("linalg.det", A=A)
    return A[..., 0, 0].clone() if A.shape[-1] == 1 else determinant(A)


def _slogdet(A: Any) -> Any:
    sign, log = numpy_linalg.slogdet(A)
    return np.asarray(sign, A.dtype), np.asarray(log, A.real.dtype)


def _slogdet_vjp(g0: Any, g1: Any, A: Any, out0: Any) -> Any:
    if not A.dtype.is_complex:
        scale = fb.zeros_like(out0) if g1 is None else g1
    else:
        scale = fb.zeros_like(out0) if g1 is None else g1.to(A.dtype)
        if g0 is not None:
            turned = (g0.conj() * out0).imag
            scale = scale - fb.complex(fb.zeros_like(turned), turned)
    return scale.unsqueeze(-1).unsqueeze(-1) * inv(A).mH


@linalg.host(_slogdet, vjp={"A": _slogdet_vjp})
def signed_log_determinant(A: Tensor) -> Any:
    """Sign and logarithm of the determinant of checked matrices."""
    return Call((like(A, None, A.shape[:-2]), like(A, A.dtype.to_real(), A.shape[:-2])))


@linalg.composite()
def slogdet(A: Tensor) -> Any:
    """The determinant as a sign (a number of modulus 1, or 0) and the logarithm of its absolute value.

    Args:
        A: [..., N, N].

    Returns:
        ``(sign, logabsdet)``.

    >>> import flambeau as fb
    >>> fb.linalg.slogdet(fb.tensor([[-1., 0.], [0., 1.]]))
    flambeau.return_types.linalg_slogdet(
    sign=tensor(-1.),
    logabsdet=tensor(0.))
    """
    square("linalg.slogdet", A=A)
    floats("linalg.slogdet", A=A)
    return named("linalg_slogdet", "sign logabsdet", *signed_log_determinant(A))


# Products


@linalg.composite()
def matrix_power(A: Tensor, n: int) -> Any:
    """``A @ A @ ...``, n times; of the inverse if n is negative.

    Args:
        A: [..., N, N].
        n: any integer.

    >>> import flambeau as fb
    >>> fb.linalg.matrix_power(fb.tensor([[2., 0.], [0., 3.]]), 2)
    tensor([[4., 0.],
            [0., 9.]])
    """
    square("linalg.matrix_power", A=A)
    if n < 0:
        floats("linalg.matrix_power", A=A)
        A, n = inv(A), -n
    if n == 0:
        return fb.eye(A.shape[-1], dtype=A.dtype, device=A.device).expand(A.shape) + A[..., :0].sum(
            dtype=A.dtype
        )
    result = None
    while n:
        if n & 1:
            result = A if result is None else result @ A
        n >>= 1
        if n:
            A = A @ A
    return result if result is not A else result.clone()


def _best_order(sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    """Where to split every chain of matrices (T. Cormen et al., Introduction to Algorithms, 15.2)."""
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            found = [
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            ]
            cost[i, j], split[i, j] = min(found)
    return split


@linalg.composite()
def multi_dot(tensors: Sequence[Tensor]) -> Any:
    """The product of two or more matrices in the order that costs least; the first and last may be vectors.

    Args:
        tensors: matrices.

    >>> import flambeau as fb
    >>> fb.linalg.multi_dot([fb.ones(2), fb.ones(2, 3), fb.ones(3)])
    tensor(6.)
    """
    op = "linalg.multi_dot"
    given = list(tensors)
    if len(given) < 2:
        fail(op, "expected at least 2 tensors", tensors=given)
    first, last = given[0], given[-1]
    if first.ndim not in (1, 2) or last.ndim not in (1, 2):
        fail(op, "the first and last tensor must be 1D or 2D", first=first, last=last)
    given[0] = first.unsqueeze(0) if first.ndim == 1 else first
    given[-1] = last.unsqueeze(-1) if last.ndim == 1 else last
    for k, t in enumerate(given):
        if t.ndim != 2:
            fail(op, f"tensor {k} must be 2D", tensor=t)
        if t.dtype is not first.dtype:
            fail(op, f"all tensors must have the same dtype, but tensor {k} differs", first=first, tensor=t)
        if k and given[k - 1].shape[1] != t.shape[0]:
            fail(op, f"tensors {k - 1} and {k} cannot be multiplied", left=given[k - 1], right=t)
    split = _best_order([given[0].shape[0], *(t.shape[1] for t in given)])

    def chain(i: int, j: int) -> Any:
        return given[i] if i == j else chain(i, split[i, j]) @ chain(split[i, j] + 1, j)

    out = chain(0, len(given) - 1)
    if first.ndim == 1:
        out = out.squeeze(0)
    return out.squeeze(-1) if last.ndim == 1 else out


@linalg.composite()
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Any:
    """The sum of ``conj(x) * y`` along a dimension; batches broadcast.

    Args:
        x, y: of one dtype.
        dim: the dimension that disappears.

    >>> import flambeau as fb
    >>> fb.linalg.vecdot(fb.tensor([1., 2.]), fb.tensor([3., 4.]))
    tensor(11.)
    """
    if x.dtype is not y.dtype:
        fail("linalg.vecdot", "expected operands of one dtype", x=x, y=y)
    n = max(x.ndim, y.ndim)
    if x.ndim < n:
        x = x.reshape((1,) * (n - x.ndim) + tuple(x.shape))
    if y.ndim < n:
        y = y.reshape((1,) * (n - y.ndim) + tuple(y.shape))
    if n and dim >= -n and dim < n and x.shape[dim] != y.shape[dim] and 1 not in (x.shape[dim], y.shape[dim]):
        fail("linalg.vecdot", "sizes along the dimension differ", x=x, y=y)
    return (x.conj() * y).sum(dim, dtype=x.dtype if x.dtype is not fb.bool else None)


@linalg.composite()
def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Any:
    """The cross product of vectors of 3 elements along a dimension; other dimensions broadcast.

    Args:
        input, other: of equal numbers of dimensions, with size 3 along ``dim``.

    >>> import flambeau as fb
    >>> fb.linalg.cross(fb.tensor([1., 0., 0.]), fb.tensor([0., 1., 0.]))
    tensor([0., 0., 1.])
    """
    op = "linalg.cross"
    if input.ndim != other.ndim:
        fail(op, "inputs must have the same number of dimensions", input=input, other=other)
    n = input.ndim or 1
    if not -n <= dim < n:
        raise IndexError(
            f"[{op}] Dimension out of range: got dim={dim}, needed: a number in [{-n}, {n - 1}]."
        )
    if not input.ndim or input.shape[dim] != 3 or other.shape[dim] != 3:
        fail(op, f"inputs dimension {dim} must have length 3", input=input, other=other)
    broadcast_shapes(input.shape, other.shape, op=op)
    a0, a1, a2 = input.unbind(dim)
    b0, b1, b2 = other.unbind(dim)
    return fb.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], dim)


@linalg.composite()
def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The diagonal of the last two dimensions, as a view.

    Args:
        A: [..., M, N].

    >>> import flambeau as fb
    >>> fb.linalg.diagonal(fb.eye(2))
    tensor([1., 1.])
    """
    return A.diagonal(offset, dim1, dim2)


@linalg.composite()
def matmul(input: Tensor, other: Tensor) -> Any:
    """The matrix product; see `flambeau.matmul`.

    >>> import flambeau as fb
    >>> fb.linalg.matmul(fb.ones(1, 2), fb.ones(2, 1))
    tensor([[2.]])
    """
    return fb.matmul(input, other)


@linalg.composite()
def vander(x: Tensor, *, N: Any = None) -> Any:
    """The Vandermonde matrix: column j is ``x ** j``.

    Args:
        x: [..., n].
        N: how many columns; n by default.

    >>> import flambeau as fb
    >>> fb.linalg.vander(fb.tensor([2., 3.]), N=3)
    tensor([[1., 2., 4.],
            [1., 3., 9.]])
    """
    op = "linalg.vander"
    if x.dtype is fb.bool:
        fail(op, "expected numbers", x=x)
    x = x if x.ndim else x.unsqueeze(0)
    if N is not None and N <= 1:
        fail(op, "N must be greater than 1", N=N)
    n = x.shape[-1] if N is None else N
    if x.dtype.rank < 2:
        x = x.to(fb.int64)
    one = fb.ones((*x.shape, 1), dtype=x.dtype, device=x.device)
    if n <= 1:
        return one[..., :n]
    columns = x.unsqueeze(-1)
    return fb.cat([one, columns if n == 2 else columns.expand((*x.shape, n - 1)).cumprod(-1)], -1)


# Norms


def _norm_dtype(op: str, x: Any, dtype: Any) -> Any:
    """The operand in the dtype in which its norm is taken."""
    if dtype is None:
        floats(op, low=True, x=x)
        return x
    if dtype.rank < 2:
        fail(op, "dtype should be floating point or complex", dtype=dtype)
    if x.dtype.is_complex != dtype.is_complex:
        fail(op, "dtype should be complex for complex inputs and real for real ones", x=x, dtype=dtype)
    if fb.promote_types(x.dtype, dtype) is not dtype:
        fail(op, f"the dtype of the input should be convertible without narrowing to {dtype.name}", x=x)
    return x.to(dtype)


def _dims(dim: Any) -> tuple[int, ...] | None:
    return None if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)


@linalg.composite()
def vector_norm(x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The p-norm of vectors.

    Args:
        x: any shape.
        ord: p; inf and -inf are the largest and smallest size, 0 counts.
        dim: dimensions of the vectors; all of the flattened tensor by default.
        keepdim: keep them with size 1.
        dtype: in which to compute.

    >>> import flambeau as fb
    >>> fb.linalg.vector_norm(fb.tensor([3., 4.]))
    tensor(5.)
    """
    op = "linalg.vector_norm"
    if isinstance(ord, (str, complex)) or (
        not isinstance(ord, (int, float)) and not isinstance(ord, fb.Tensor)
    ):
        raise TypeError(f"[{op}] ord must be a real number: got {ord!r}. Use norm() for named norms.")
    x = _norm_dtype(op, x, dtype)
    dims = _dims(dim)
    if dims is not None and not dims:
        dims = None
    taken = tuple(range(x.ndim)) if dims is None else tuple(d % (x.ndim or 1) for d in dims)
    if (ord < 0 or ord == float("inf")) and any(x.shape[d] == 0 for d in taken if x.ndim):
        fail(
            op, f"cannot compute the {ord} norm on an empty tensor because the operation has no identity", x=x
        )
    if ord == 0:
        unchanging = fb.where(fb.zeros_like(x, dtype=fb.bool), x.abs(), 0)
        counted = fb.where(x != 0, 1, unchanging.detach()) + unchanging
        return counted.sum(taken, keepdim) if x.ndim else counted
    if abs(ord) not in (1, 2, float("inf")) or ord == -1 or ord == -2:
        low = x.dtype in (fb.float16, fb.bfloat16)
        out = _power_norm(x.to(fb.float32) if low else x, float(ord), taken, keepdim)
        return out.to(x.dtype) if low else out
    if dims is None and x.ndim != 1:
        shape = (1,) * x.ndim
        flat = fb.norm(x.reshape((-1,)) if x.ndim else x.reshape((1,)), _order(ord), 0)
        return flat.reshape(shape) if keepdim else flat
    if not x.ndim:
        for d in dims or ():
            if d not in (0, -1):
                raise IndexError(f"[{op}] Dimension out of range: got dim={d}, needed: a number in [-1, 0].")
        return fb.norm(x.reshape((1,)), _order(ord), 0)
    return fb.norm(x, _order(ord), dims if dims is not None else 0, keepdim)


def _order(ord: Any) -> Any:
    return float(ord)


def _power_norm(x: Any, p: float, dims: Any, keepdim: bool) -> Any:
    """Any finite p; where the norm isn't differentiable its gradient is 0."""
    size = x.abs()
    zero = size == 0
    powers = fb.where(zero, float("inf") if p < 0 else 0.0, fb.where(zero, 1.0, size) ** p)
    total = powers.sum(dims, keepdim) if x.ndim else powers
    none = total == 0
    return fb.where(none, 0.0, fb.where(none, 1.0, total) ** (1 / p))


@linalg.composite()
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, dtype: Any = None
) -> Any:
    """The norm of matrices.

    Args:
        A: [..., M, N].
        ord: ``"fro"``, ``"nuc"``, inf, -inf, 1, -1 (sums of rows or columns), 2 or -2 (singular values).
        dim: the two dimensions of the matrices.
        keepdim: keep them with size 1.
        dtype: in which to compute.

    >>> import flambeau as fb
    >>> fb.linalg.matrix_norm(fb.tensor([[3., 0.], [0., 4.]]))
    tensor(5.)
    """
    op = "linalg.matrix_norm"
    matrices(op, A=A)
    dims = _dims(dim)
    if dims is None or len(dims) != 2:
        fail(op, "dim must be a 2-tuple", dim=dim)
    assert dims is not None
    if isinstance(ord, str) and ord not in ("fro", "nuc"):
        fail(op, f"Order {ord} not supported", "'fro' or 'nuc'")
    if not isinstance(ord, str) and abs(ord) not in (1, 2, float("inf")):
        fail(op, f"Order {ord} not supported", "1, -1, 2, -2, inf or -inf")
    for d in dims:
        if not -A.ndim <= d < A.ndim:
            raise IndexError(
                f"[{op}] Dimension out of range: got dim={d}, needed: a number in [{-A.ndim}, {A.ndim - 1}]."
            )
    row, column = (d % A.ndim for d in dims)
    if row == column:
        fail(op, "dims must be different", dim=dims)
    if ord in ("nuc", 2, -2):
        floats(op, low=dtype is not None, A=A)
    A = _norm_dtype(op, A, dtype)
    if ord == "fro":
        return vector_norm(A, 2, (row, column), keepdim)
    A = A.movedim((row, column), (-2, -1))
    if ord in ("nuc", 2, -2):
        S = svdvals(A)
        if ord != "nuc" and not S.shape[-1]:
            fail(op, f"the order {ord} norm of an empty matrix has no identity", A=A)
        out = S.sum(-1) if ord == "nuc" else S.amax(-1) if ord == 2 else S.amin(-1)
    else:
        sums = A.abs().sum(-2 if abs(ord) == 1 else -1)
        if not sums.shape[-1]:
            fail(op, f"the order {ord} norm of an empty matrix has no identity", A=A)
        out = sums.amax(-1) if ord > 0 else sums.amin(-1)
    if keepdim:
        for d in sorted((row, column)):
            out = out.unsqueeze(d)
    return out


@linalg.composite()
def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The norm of vectors or matrices.

    Args:
        A: any shape; if ord is given without dim, 1-d or 2-d.
        ord: the vector norm's p, or a matrix norm's name; None is the 2-norm of the flattened tensor.
        dim: one dimension for vectors, two for matrices.
        keepdim: keep them with size 1.
        dtype: in which to compute.

    >>> import flambeau as fb
    >>> fb.linalg.norm(fb.tensor([[3., 0.], [0., 4.]]), "nuc")
    tensor(7.)
    """
    op = "linalg.norm"
    dims = _dims(dim)
    if ord is None:
        return vector_norm(A, 2, dims, keepdim, dtype=dtype)
    if dims is not None and len(dims) not in (1, 2):
        fail(op, "if dim is specified, it must be of length 1 or 2", dim=dims)
    if dims is None and A.ndim not in (1, 2):
        fail(op, "if dim is not specified but ord is, the input must be 1D or 2D", A=A)
    if isinstance(ord, str) or len(dims or A.shape) == 2:
        return matrix_norm(A, ord, dims if dims is not None else (-2, -1), keepdim, dtype=dtype)
    return vector_norm(A, ord, dims, keepdim, dtype=dtype)


__all__ += ["as_floats"]
