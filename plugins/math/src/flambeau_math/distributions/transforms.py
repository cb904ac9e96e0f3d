"""Invertible maps with the logarithm of their volume change."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any

import flambeau as fb

from . import constraints
from .discrete import softplus
from .distribution import sum_rightmost

__all__ = [
    "AbsTransform", "AffineTransform", "CatTransform", "ComposeTransform", "CorrCholeskyTransform",
    "CumulativeDistributionTransform", "ExpTransform", "IndependentTransform", "LowerCholeskyTransform",
    "PositiveDefiniteTransform", "PowerTransform", "ReshapeTransform", "SigmoidTransform", "SoftmaxTransform",
    "SoftplusTransform", "StackTransform", "StickBreakingTransform", "TanhTransform", "Transform",
    "identity_transform",
]  # fmt: skip


class Transform:
    """A map y = f(x).

    Subclasses define ``_call``, ``_inverse`` and ``log_abs_det_jacobian``.

    Attributes:
        domain, codomain: constraints of x and y; their ``event_dim`` says how many dimensions are mapped together.
        bijective: whether the inverse is one.
        sign: of the derivative, for maps of one variable.

    Args:
        cache_size: 1 keeps the last pair, so that inverting a result is free.
    """

    bijective = False
    domain: Any = constraints.real
    codomain: Any = constraints.real
    sign: Any = 1

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError(f"[Transform] cache_size must be 0 or 1: got {cache_size}.")
        self._cache_size = cache_size
        self._inv: Any = None
        self._last: tuple[Any, Any] | None = None

    @property
    def inv(self) -> Any:
        """The inverse."""
        if self._inv is None:
            self._inv = _Inverse(self)
        return self._inv

    def __call__(self, x: Any) -> Any:
        """f(x)."""
        if self._last is not None and self._last[0] is x:
            return self._last[1]
        y = self._call(x)
        if self._cache_size:
            self._last = (x, y)
        return y

    def _inv_call(self, y: Any) -> Any:
        if self._last is not None and self._last[1] is y:
            return self._last[0]
        x = self._inverse(y)
        if self._cache_size:
            self._last = (x, y)
        return x

    def _call(self, x: Any) -> Any:
        raise NotImplementedError(f"[{type(self).__name__}] has no forward map.")

    def _inverse(self, y: Any) -> Any:
        raise NotImplementedError(f"[{type(self).__name__}] has no inverse.")

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """log |det dy/dx|, one number for every event."""
        raise NotImplementedError(f"[{type(self).__name__}] has no log_abs_det_jacobian.")

    def forward_shape(self, shape: Sequence[int]) -> Any:
        """The shape of f(x)."""
        return fb.Size(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        """The shape of x."""
        return fb.Size(shape)

    def with_cache(self, cache_size: int = 1) -> Any:
        """The same map with another cache."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new._cache_size, new._inv, new._last = cache_size, None, None
        return new

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    """The inverse of a transform."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self._of = transform

    @property
    def domain(self) -> Any:
        return self._of.codomain

    @property
    def codomain(self) -> Any:
        return self._of.domain

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return self._of.bijective

    @property
    def sign(self) -> Any:
        return self._of.sign

    @property
    def inv(self) -> Any:
        return self._of

    def __call__(self, x: Any) -> Any:
        return self._of._inv_call(x)

    def _inv_call(self, y: Any) -> Any:
        return self._of(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -self._of.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Sequence[int]) -> Any:
        return self._of.inverse_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        return self._of.forward_shape(shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Inverse) and self._of == other._of

    def __hash__(self) -> int:
        return hash(self._of) + 1

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._of!r})"


class ComposeTransform(Transform):
    """Several maps, one after the other.

    Args:
        parts: the maps; the first is applied first.
    """

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = [p.with_cache(cache_size) if cache_size else p for p in parts]

    @property
    def domain(self) -> Any:
        if not self.parts:
            return constraints.real
        domain = self.parts[0].domain
        event_dim = self.parts[-1].codomain.event_dim
        for part in reversed(self.parts):
            event_dim = max(
                event_dim + part.domain.event_dim - part.codomain.event_dim, part.domain.event_dim
            )
        return constraints.independent(domain, event_dim - domain.event_dim)

    @property
    def codomain(self) -> Any:
        if not self.parts:
            return constraints.real
        codomain = self.parts[-1].codomain
        event_dim = self.parts[0].domain.event_dim
        for part in self.parts:
            event_dim = max(
                event_dim + part.codomain.event_dim - part.domain.event_dim, part.codomain.event_dim
            )
        return constraints.independent(codomain, event_dim - codomain.event_dim)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all(p.bijective for p in self.parts)

    @property
    def sign(self) -> Any:
        return reduce(operator.mul, (p.sign for p in self.parts), 1)

    @property
    def inv(self) -> Any:
        if self._inv is None:
            self._inv = ComposeTransform([p.inv for p in reversed(self.parts)])
            self._inv._inv = self
        return self._inv

    def __call__(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x

    def _inv_call(self, y: Any) -> Any:
        for part in reversed(self.parts):
            y = part._inv_call(y)
        return y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        if not self.parts:
            return fb.zeros_like(x)
        total: Any = 0
        event_dim = self.domain.event_dim
        for part in self.parts:
            out = part(x)
            total = total + sum_rightmost(
                part.log_abs_det_jacobian(x, out), event_dim - part.domain.event_dim
            )
            event_dim += part.codomain.event_dim - part.domain.event_dim
            x = out
        return total

    def forward_shape(self, shape: Sequence[int]) -> Any:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return fb.Size(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return fb.Size(shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComposeTransform) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(tuple(self.parts))

    def __repr__(self) -> str:
        return "ComposeTransform([" + ", ".join(map(repr, self.parts)) + "])"


identity_transform = ComposeTransform([])


class IndependentTransform(Transform):
    """A map whose last batch dimensions count as part of the event.

    Args:
        base_transform: the map.
        reinterpreted_batch_ndims: how many dimensions.
    """

    def __init__(
        self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.bijective, self.sign = base_transform.bijective, base_transform.sign
        self.domain = constraints.independent(base_transform.domain, reinterpreted_batch_ndims)
        self.codomain = constraints.independent(base_transform.codomain, reinterpreted_batch_ndims)

    def _call(self, x: Any) -> Any:
        return self.base_transform(x)

    def _inverse(self, y: Any) -> Any:
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return sum_rightmost(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Sequence[int]) -> Any:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        return self.base_transform.inverse_shape(shape)


class ReshapeTransform(Transform):
    """Another shape of the event.

    Args:
        in_shape, out_shape: of one size.
    """

    bijective = True

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.in_shape, self.out_shape = fb.Size(in_shape), fb.Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ValueError(
                f"[ReshapeTransform] in_shape, out_shape have different numbers of elements: got {in_shape}, "
                f"{out_shape}."
            )
        self.domain = constraints.independent(constraints.real, len(self.in_shape))
        self.codomain = constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Any) -> Any:
        return x.reshape((*x.shape[: x.ndim - len(self.in_shape)], *self.out_shape))

    def _inverse(self, y: Any) -> Any:
        return y.reshape((*y.shape[: y.ndim - len(self.out_shape)], *self.in_shape))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x.new_zeros(x.shape[: x.ndim - len(self.in_shape)])

    def forward_shape(self, shape: Sequence[int]) -> Any:
        n = len(self.in_shape)
        if len(shape) < n or tuple(shape[len(shape) - n :]) != tuple(self.in_shape):
            raise ValueError(
                f"[ReshapeTransform] Shape mismatch: expected {list(self.in_shape)} but got {list(shape)}."
            )
        return fb.Size((*shape[: len(shape) - n], *self.out_shape))

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        n = len(self.out_shape)
        if len(shape) < n or tuple(shape[len(shape) - n :]) != tuple(self.out_shape):
            raise ValueError(
                f"[ReshapeTransform] Shape mismatch: expected {list(self.out_shape)} but got {list(shape)}."
            )
        return fb.Size((*shape[: len(shape) - n], *self.in_shape))


class _Scalar(Transform):
    """A map of one variable without parameters: equal to any other of its class."""

    bijective = True

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class ExpTransform(_Scalar):
    """y = exp(x)."""

    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return x.exp()

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x


class PowerTransform(Transform):
    """y = x ** exponent.

    Args:
        exponent: a number or tensor.
    """

    bijective = True
    domain = codomain = constraints.positive

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent if isinstance(exponent, fb.Tensor) else fb.tensor(float(exponent))

    @property
    def sign(self) -> Any:
        return self.exponent.sign()

    def _call(self, x: Any) -> Any:
        return x**self.exponent

    def _inverse(self, y: Any) -> Any:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return (self.exponent * y / x).abs().log()

    def forward_shape(self, shape: Sequence[int]) -> Any:
        return fb.broadcast_shapes(shape, self.exponent.shape)

    inverse_shape = forward_shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PowerTransform) and bool((self.exponent == other.exponent).all())

    def __hash__(self) -> int:
        return hash(type(self))


class SigmoidTransform(_Scalar):
    """y = 1 / (1 + exp(-x))."""

    codomain = constraints.unit_interval

    def _call(self, x: Any) -> Any:
        info = fb.finfo(x.dtype)
        return x.sigmoid().clamp(info.tiny, 1 - info.eps)

    def _inverse(self, y: Any) -> Any:
        info = fb.finfo(y.dtype)
        y = y.clamp(info.tiny, 1 - info.eps)
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -softplus(-x) - softplus(x)


class SoftplusTransform(_Scalar):
    """y = log(1 + exp(x))."""

    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return softplus(x)

    def _inverse(self, y: Any) -> Any:
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -softplus(-x)


class TanhTransform(_Scalar):
    """y = tanh(x)."""

    codomain = constraints.interval(-1.0, 1.0)

    def _call(self, x: Any) -> Any:
        return x.tanh()

    def _inverse(self, y: Any) -> Any:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return 2.0 * (math.log(2.0) - x - softplus(-2.0 * x))


class AbsTransform(_Scalar):
    """y = abs(x), which has no inverse; the positive one is taken."""

    bijective = False
    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return x.abs()

    def _inverse(self, y: Any) -> Any:
        return y


class AffineTransform(Transform):
    """y = loc + scale * x.

    Args:
        loc, scale: numbers or tensors.
        event_dim: how many dimensions make one event.
    """

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self.event_dim = loc, scale, event_dim
        self.domain = self.codomain = constraints.independent(constraints.real, event_dim)

    @property
    def sign(self) -> Any:
        if isinstance(self.scale, fb.Tensor):
            return self.scale.sign()
        return int(self.scale > 0) - int(self.scale < 0)

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _inverse(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        if isinstance(self.scale, fb.Tensor):
            each = self.scale.abs().log().expand(fb.broadcast_shapes(x.shape, self.scale.shape))
        else:
            each = fb.full_like(x, math.log(abs(self.scale)))
        return sum_rightmost(each, self.event_dim)

    def forward_shape(self, shape: Sequence[int]) -> Any:
        return fb.broadcast_shapes(shape, getattr(self.loc, "shape", ()), getattr(self.scale, "shape", ()))

    inverse_shape = forward_shape

    def __eq__(self, other: object) -> bool:
        def same(a: Any, b: Any) -> bool:
            both = a == b
            return bool(both.all()) if isinstance(both, fb.Tensor) else bool(both)

        return (
            isinstance(other, AffineTransform) and same(self.loc, other.loc) and same(self.scale, other.scale)
        )

    def __hash__(self) -> int:
        return hash(type(self))


class SoftmaxTransform(_Scalar):
    """y = softmax(x) over the last dimension; not invertible, but log(y) is one preimage."""

    bijective = False
    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Any) -> Any:
        return x.softmax(-1)

    def _inverse(self, y: Any) -> Any:
        return y.log()


class StickBreakingTransform(_Scalar):
    """From n free numbers to n + 1 that sum to 1, each a share of what the former ones have left."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _offset(self, n: int, like: Any) -> Any:
        return fb.arange(n, 0, -1, dtype=like.dtype, device=like.device)

    def _call(self, x: Any) -> Any:
        z = SigmoidTransform()(x - self._offset(x.shape[-1], x).log())
        left = (1 - z).cumprod(-1)
        one = fb.ones_like(x[..., :1])
        return fb.cat([z, one], -1) * fb.cat([one, left], -1)

    def _inverse(self, y: Any) -> Any:
        head = y[..., :-1]
        left = (1 - head.cumsum(-1)).clamp_min(fb.finfo(y.dtype).tiny)
        return head.log() - left.log() + self._offset(head.shape[-1], y).log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        x = x - self._offset(x.shape[-1], x).log()
        return (-x - softplus(-x) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Sequence[int]) -> Any:
        if len(shape) < 1:
            raise ValueError("[StickBreakingTransform] Too few dimensions on input.")
        return fb.Size((*shape[:-1], shape[-1] + 1))

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        if len(shape) < 1:
            raise ValueError("[StickBreakingTransform] Too few dimensions on input.")
        return fb.Size((*shape[:-1], shape[-1] - 1))


class LowerCholeskyTransform(_Scalar):
    """From any matrix to a lower triangular one with positive diagonal."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(_Scalar):
    """From any matrix to a positive definite one."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Any) -> Any:
        x = LowerCholeskyTransform()(x)
        return x @ x.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(fb.linalg.cholesky(y))


class CorrCholeskyTransform(_Scalar):
    """From n (n - 1) / 2 free numbers to the Cholesky factor of a correlation matrix of size n.

    Source: D. Lewandowski, D. Kurowicka and H. Joe, "Generating random correlation matrices" (2009).
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky

    def _call(self, x: Any) -> Any:
        eps = fb.finfo(x.dtype).eps
        r = _filled(x.tanh().clamp(-1 + eps, 1 - eps))
        left = (1 - r * r).sqrt().cumprod(-1)
        n = r.shape[-1]
        shifted = fb.cat([fb.ones_like(left[..., :1]), left[..., : n - 1]], -1)
        return (r + fb.eye(n, dtype=x.dtype, device=x.device)) * shifted

    def _inverse(self, y: Any) -> Any:
        left = 1 - (y * y).cumsum(-1)
        n = y.shape[-1]
        shifted = fb.cat([fb.ones_like(left[..., :1]), left[..., : n - 1]], -1)
        rows, columns = fb.tril_indices(n, n, -1, device=y.device).unbind(0)
        t = y[..., rows, columns] / shifted[..., rows, columns].sqrt()
        return (t.log1p() - (-t).log1p()) / 2

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        left = 1 - (y * y).cumsum(-1)
        n = y.shape[-1]
        rows, columns = fb.tril_indices(n, n, -2, device=y.device).unbind(0)
        stick = 0.5 * left[..., rows, columns].log().sum(-1)
        return stick - 2 * (x + softplus(-2 * x) - math.log(2.0)).sum(-1)

    def forward_shape(self, shape: Sequence[int]) -> Any:
        n = round((0.25 + 2 * shape[-1]) ** 0.5 + 0.5)
        if n * (n - 1) // 2 != shape[-1]:
            raise ValueError("[CorrCholeskyTransform] Input is not a flattened lower-diagonal number.")
        return fb.Size((*shape[:-1], n, n))

    def inverse_shape(self, shape: Sequence[int]) -> Any:
        if len(shape) < 2 or shape[-2] != shape[-1]:
            raise ValueError(f"[CorrCholeskyTransform] Input is not square: got {list(shape)}.")
        n = shape[-1]
        return fb.Size((*shape[:-2], n * (n - 1) // 2))


def _filled(v: Any) -> Any:
    """Numbers as the strictly lower triangle of a matrix."""
    n = round((0.25 + 2 * v.shape[-1]) ** 0.5 + 0.5)
    rows, columns = fb.tril_indices(n, n, -1, device=v.device).unbind(0)
    place = rows * n + columns
    flat = v.new_zeros((*v.shape[:-1], n * n)).index_copy(-1, place, v)
    return flat.reshape((*v.shape[:-1], n, n))


class CatTransform(Transform):
    """Several maps, each of a part along a dimension.

    Args:
        tseq: the maps.
        dim: the dimension.
        lengths: the sizes of the parts; 1 each by default.
    """

    def __init__(
        self,
        tseq: Sequence[Transform],
        dim: int = 0,
        lengths: Sequence[int] | None = None,
        cache_size: int = 0,
    ) -> None:
        super().__init__(cache_size)
        self.transforms, self.dim = list(tseq), dim
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        self.bijective = all(t.bijective for t in self.transforms)
        self.domain = constraints.cat([t.domain for t in self.transforms], dim, self.lengths)
        self.codomain = constraints.cat([t.codomain for t in self.transforms], dim, self.lengths)

    def _parts(self, x: Any) -> Any:
        return x.split(self.lengths, self.dim)

    def _call(self, x: Any) -> Any:
        return fb.cat([t(p) for t, p in zip(self.transforms, self._parts(x), strict=True)], self.dim)

    def _inverse(self, y: Any) -> Any:
        return fb.cat([t.inv(p) for t, p in zip(self.transforms, self._parts(y), strict=True)], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        event = self.domain.event_dim
        found = [
            sum_rightmost(t.log_abs_det_jacobian(a, b), event - t.domain.event_dim)
            for t, a, b in zip(self.transforms, self._parts(x), self._parts(y), strict=True)
        ]
        dim = (self.dim - x.ndim if self.dim >= 0 else self.dim) + event
        return fb.cat(found, dim) if dim < 0 else sum(found)


class StackTransform(Transform):
    """Several maps, one for each place along a dimension.

    Args:
        tseq: the maps.
        dim: the dimension.
    """

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms, self.dim = list(tseq), dim
        self.bijective = all(t.bijective for t in self.transforms)
        self.domain = constraints.stack([t.domain for t in self.transforms], dim)
        self.codomain = constraints.stack([t.codomain for t in self.transforms], dim)

    def _parts(self, x: Any) -> Any:
        return x.unbind(self.dim)

    def _call(self, x: Any) -> Any:
        return fb.stack([t(p) for t, p in zip(self.transforms, self._parts(x), strict=True)], self.dim)

    def _inverse(self, y: Any) -> Any:
        return fb.stack([t.inv(p) for t, p in zip(self.transforms, self._parts(y), strict=True)], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        pairs = zip(self.transforms, self._parts(x), self._parts(y), strict=True)
        return fb.stack([t.log_abs_det_jacobian(a, b) for t, a, b in pairs], self.dim)


class CumulativeDistributionTransform(Transform):
    """y = cdf(x) of a distribution.

    Args:
        distribution: one of a single variable with `cdf` and `icdf`.
    """

    bijective = True
    codomain = constraints.unit_interval

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution
        self.domain = distribution.support

    def _call(self, x: Any) -> Any:
        return self.distribution.cdf(x)

    def _inverse(self, y: Any) -> Any:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return self.distribution.log_prob(x)
