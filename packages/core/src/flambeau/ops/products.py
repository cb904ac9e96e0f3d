"""Matrix products and what is written with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .._tensor import Tensor
from ..dtypes import bfloat16, float16, float32, promote_types
from ..errors import refuse
from ..layout import Spec, broadcast_shapes, expand_strides, spec_of
from ..op import Call, composite, kernel
from ..program import Number
from ..registry import OPS


def _same_dtype(op: str, a: Any, b: Any) -> None:
    if a.dtype is not b.dtype:
        refuse(
            op,
            "expected both operands to have the same dtype",
            do="Convert one with .to(dtype).",
            self=a,
            other=b,
        )


def _as_batch(s: Spec, batch: Sequence[int]) -> Spec | None:
    """A matrix or stack of matrices as [B, M, N] for a broadcast batch shape, or None where strides don't allow it."""
    rows = s.shape[-2:]
    strides = expand_strides(s.shape[:-2], s.strides[:-2], batch)
    n, step = 1, 0
    for size, st in zip(reversed(batch), reversed(strides), strict=True):
        if size == 1:
            continue
        if n == 1:
            n, step = size, st
        elif st == step * n:
            n *= size
        else:
            return None
    return spec_of(s.dtype, (n, *rows), s.device, (step, *s.strides[-2:]))


def _matmul_default(self: Any, other: Any) -> Any:
    """Batches that no single stride describes: copied first."""
    batch = broadcast_shapes(self.shape[:-2], other.shape[:-2], op="matmul")
    n = batch.numel()
    a = self.expand((*batch, *self.shape[-2:])).reshape((n, *self.shape[-2:]))
    b = other.expand((*batch, *other.shape[-2:])).reshape((n, *other.shape[-2:]))
    return bmm(a, b).reshape((*batch, self.shape[-2], other.shape[-1]))


def _left(g: Any, self_spec: Spec, other: Any) -> Any:
    if other.ndim == 1:
        v = other.conj()
        return g * v if self_spec.ndim == 1 else g.unsqueeze(-1) * v
    if self_spec.ndim == 1:
        return matmul(other.conj(), g.unsqueeze(-1)).squeeze(-1)
    if self_spec.ndim == 2 and other.ndim > 2:
        # The batch sums up inside one product.
        rows = g.movedim(-2, 0).flatten(1)
        return (
            matmul(rows, other.conj().movedim(-2, 0).flatten(1).mT)
            if g.ndim == other.ndim
            else matmul(g, other.mT.conj())
        )
    return matmul(g, other.mT.conj())


def _right(g: Any, self: Any, other_spec: Spec) -> Any:
    if self.ndim == 1:
        v = self.conj()
        return g * v if other_spec.ndim == 1 else v.unsqueeze(-1) * g.unsqueeze(-2)
    if other_spec.ndim == 1:
        return matmul(self.mT.conj(), g.unsqueeze(-1)).squeeze(-1)
    if other_spec.ndim == 2 and self.ndim > 2:
        return matmul(self.flatten(0, -2).mT.conj(), g.flatten(0, -2))
    return matmul(self.mT.conj(), g)


@kernel(
    vjp={
        "self": lambda g, self_spec, other: _left(g, self_spec, other),
        "other": lambda g, self, other_spec: _right(g, self, other_spec),
    },
    default=_matmul_default,
)
def matmul(self: Tensor, other: Tensor) -> Any:
    """The matrix product; vectors are rows on the left and columns on the right, further dimensions broadcast.

    Args:
        self: [..., M, K] or [K].
        other: [..., K, N] or [K].

    >>> import flambeau as fb
    >>> fb.tensor([[1., 2.], [3., 4.]]) @ fb.tensor([1., 1.])
    tensor([3., 7.])
    """
    a: Any = self
    b: Any = other
    _same_dtype("matmul", a, b)
    if not a.ndim or not b.ndim:
        refuse("matmul", "both arguments to matmul need to be at least 1D", self=a, other=b)
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        refuse(
            "matmul",
            f"mat1 and mat2 shapes cannot be multiplied ({a.shape[-1]} columns, "
            f"{b.shape[-2 if b.ndim > 1 else 0]} rows)",
            "as many columns on the left as rows on the right",
            "Transpose one with .mT, or reshape it.",
            self=a,
            other=b,
        )
    x = a if a.ndim > 1 else spec_of(a.dtype, (1, *a.shape), a.device, (0, *a.strides))
    y = b if b.ndim > 1 else spec_of(b.dtype, (*b.shape, 1), b.device, (*b.strides, 0))
    batch = broadcast_shapes(x.shape[:-2], y.shape[:-2], op="matmul")
    shape = [*batch, *([a.shape[-2]] if a.ndim > 1 else []), *([b.shape[-1]] if b.ndim > 1 else [])]
    out = spec_of(a.dtype, tuple(shape), a.device)
    if len(x.shape) > 2 and y.ndim == 2 and x.dense and x.numel:
        # One matrix for the whole batch: the batch is more rows.
        x = spec_of(x.dtype, (x.numel // x.shape[-1], x.shape[-1]), x.device)
        batch = broadcast_shapes(())
    xs, ys = _as_batch(x, batch), _as_batch(y, batch)
    if xs is None or ys is None:
        return Call(out, "default")
    n = max(xs.shape[0], ys.shape[0]) if batch.numel() else 0
    seen = spec_of(a.dtype, (n, x.shape[-2], y.shape[-1]), a.device)
    return Call(out, "matmul", outs_as=(seen,), ins_as=(xs, ys))


def _need(op: str, t: Any, ndim: int, name: str) -> None:
    if t.ndim != ndim:
        refuse(op, f"{name} must be a {('vector', 'matrix', '3D tensor')[ndim - 1]}", **{name: t})


@composite()
def mm(self: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, [M, K] and [K, N]."""
    _need("mm", self, 2, "self")
    _need("mm", mat2, 2, "mat2")
    return matmul(self, mat2)  # type: ignore[no-any-return]


@composite()
def bmm(self: Tensor, mat2: Tensor) -> Tensor:
    """The products of two stacks of matrices, [B, M, K] and [B, K, N]."""
    _need("bmm", self, 3, "batch1")
    _need("bmm", mat2, 3, "batch2")
    if self.shape[0] != mat2.shape[0]:
        refuse("bmm", "Expected batches of equal size", self=self, mat2=mat2)
    return matmul(self, mat2)  # type: ignore[no-any-return]


@composite()
def mv(self: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix [M, K] and a vector [K]."""
    _need("mv", self, 2, "self")
    _need("mv", vec, 1, "vec")
    return matmul(self, vec)  # type: ignore[no-any-return]


@composite()
def dot(self: Tensor, tensor: Tensor) -> Tensor:
    """The product of two vectors."""
    if self.ndim != 1 or tensor.ndim != 1:
        refuse("dot", "1D tensors expected", self=self, tensor=tensor)
    return matmul(self, tensor)  # type: ignore[no-any-return]


@composite()
def vdot(self: Tensor, other: Tensor) -> Tensor:
    """The product of two vectors, the first one conjugated."""
    return dot(self.conj(), other)  # type: ignore[no-any-return]


@composite()
def inner(self: Tensor, other: Tensor) -> Tensor:
    """The products over the last dimension of both."""
    if not self.ndim or not other.ndim:
        return self * other
    if self.shape[-1] != other.shape[-1]:
        refuse("inner", "inner() the last dimension must match on both input tensors", self=self, other=other)
    a, b = (t.reshape((math.prod(t.shape[:-1]), t.shape[-1])) for t in (self, other))
    return matmul(a, b.mT).reshape((*self.shape[:-1], *other.shape[:-1]))  # type: ignore[no-any-return]


@composite(aliases=("ger",))
def outer(self: Tensor, vec2: Tensor) -> Tensor:
    """All products of elements of two vectors."""
    _need("outer", self, 1, "self")
    _need("outer", vec2, 1, "vec2")
    return self.unsqueeze(-1) * vec2


def _scaled(x: Any, factor: Any) -> Any:
    if type(factor) in (int, float) and factor == 1:
        return x
    d = x.spec.dtype
    if d.rank < 2 and type(factor) in (
        bool,
        int,
        float,
    ):  # integers stay what they are: the factor becomes one
        return x * (bool(factor) if d.rank == 0 else int(factor))
    return x * factor


def _wide(*tensors: Any) -> tuple[Any, ...]:
    """Half floats as float32, for what adds up several times."""
    half = all(t.spec.dtype in (float16, bfloat16) for t in tensors)
    return tuple(t.to(float32) for t in tensors) if half else tensors


def _plus(c: Any, product: Any, beta: Any, alpha: Any) -> Any:
    product = _scaled(product, alpha)
    return product if beta == 0 else _scaled(c, beta) + product


@composite(inplace=True)
def addmm(self: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * self + alpha * (mat1 @ mat2)``."""
    return _plus(self, mm(mat1, mat2), beta, alpha)  # type: ignore[no-any-return]


@composite(inplace=True)
def baddbmm(self: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * self + alpha * bmm(batch1, batch2)``."""
    a, b, c = _wide(self, batch1, batch2)
    return _plus(a, bmm(b, c), beta, alpha).to(self.spec.dtype)  # type: ignore[no-any-return]


@composite(inplace=True)
def addbmm(self: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * self + alpha * bmm(batch1, batch2).sum(0)``."""
    a, b, c = _wide(self, batch1, batch2)
    product = bmm(b, c)
    return _plus(a, product.sum(0, dtype=product.dtype), beta, alpha).to(self.spec.dtype)  # type: ignore[no-any-return]


@composite(inplace=True)
def addmv(self: Tensor, mat: Tensor, vec: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * self + alpha * (mat @ vec)``."""
    return _plus(self, mv(mat, vec), beta, alpha)  # type: ignore[no-any-return]


@composite(inplace=True)
def addr(self: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * self + alpha * outer(vec1, vec2)``."""
    d = promote_types(self.spec.dtype, promote_types(vec1.spec.dtype, vec2.spec.dtype))
    a, b, c = _wide(self.to(d), vec1.to(d), vec2.to(d))
    return _plus(a, outer(b, c), beta, alpha).to(d)  # type: ignore[no-any-return]


__all__ = ["OPS", "promote_types"]
