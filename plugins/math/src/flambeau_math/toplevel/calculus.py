"""Differences, integrals and products over sampled values: diff, gradient, trapezoid, cross, kron, renorm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau.plugin import OPS, broadcast_shapes, ints, message, wrap_dim

from .._records import Space

if TYPE_CHECKING:
    from flambeau import Tensor
    from flambeau.plugin import Number

__all__: list[str] = []

top = Space("")


@top.composite()
def diff(
    self: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Differences of neighbours along a dimension, ``n`` times; of bools: whether neighbours differ.

    >>> import flambeau as fb
    >>> fb.tensor([1, 4, 9]).diff()
    tensor([3, 5])
    """
    if not self.ndim:
        raise RuntimeError(message("diff", "diff expects input to be at least one-dimensional", self=self))
    d = wrap_dim(dim, self.ndim, "diff")
    if n < 0:
        raise RuntimeError(f"[diff] order must be non-negative: got {n}.")
    parts = [t for t in (prepend, self, append) if t is not None]
    x = fb.cat(parts, d) if len(parts) > 1 else self
    if not n:
        return self.clone()
    for _ in range(min(n, x.shape[d])):
        m = max(x.shape[d] - 1, 0)
        later, earlier = x.narrow(d, min(1, x.shape[d]), m), x.narrow(d, 0, m)
        x = later != earlier if x.dtype is fb.bool else later - earlier
    return x


# Derivatives on a grid


def _along(x: Any, dim: int, values: Any) -> Any:
    """A 1-d tensor that varies along one dimension of another."""
    return values.reshape([-1 if d == dim else 1 for d in range(x.ndim)])


def _slope(x: Any, dim: int, spacing: Any, order: int) -> Any:
    """Central differences inside, one-sided ones of an order at both ends (B. Fornberg, Math. Comp. 51, 1988)."""
    n = x.shape[dim]

    def part(start: int, length: int) -> Any:
        return x.narrow(dim, start, length)

    if not hasattr(spacing, "spec"):
        inner = (part(2, n - 2) - part(0, n - 2)) / (2.0 * spacing)
        if order == 1:
            left, right = (part(1, 1) - part(0, 1)) / spacing, (part(n - 1, 1) - part(n - 2, 1)) / spacing
        else:
            left = (part(1, 1) * 4 - part(0, 1) * 3 - part(2, 1)) / (2.0 * spacing)
            right = (part(n - 3, 1) + part(n - 1, 1) * 3 - part(n - 2, 1) * 4) / (2.0 * spacing)
        return fb.cat([left, inner, right], dim)
    h = spacing.narrow(0, 1, n - 1) - spacing.narrow(0, 0, n - 1)
    a, b = (_along(x, dim, h.narrow(0, k, n - 2)) for k in (0, 1))
    mid, low, high = part(1, n - 2), part(0, n - 2), part(2, n - 2)
    inner = low * (-b / (a * (a + b))) + mid * ((b - a) / (a * b)) + high * (a / (b * (a + b)))
    if order == 1:
        left, right = (part(1, 1) - part(0, 1)) / h[0], (part(n - 1, 1) - part(n - 2, 1)) / h[n - 2]
    else:
        p, q = h[0], h[1]
        a, b, c = -(2.0 * p + q) / (p * (p + q)), (p + q) / (p * q), -p / (q * (p + q))
        left = part(0, 1) * a + part(1, 1) * b + part(2, 1) * c
        p, q = h[n - 3], h[n - 2]
        a, b, c = q / (p * (p + q)), -(p + q) / (p * q), (2.0 * q + p) / (q * (p + q))
        right = part(n - 3, 1) * a + part(n - 2, 1) * b + part(n - 1, 1) * c
    return fb.cat([left, inner, right], dim)


@top.composite(method=False)
def gradient(self: Tensor, *, spacing: Any = 1.0, dim: Any = None, edge_order: int = 1) -> list[Tensor]:
    """Slopes along dimensions of values sampled on a grid.

    Args:
        self: the values.
        spacing: the distance of neighbours: a number, one per dimension, or tensors of coordinates.
        dim: the dimensions (default: all).
        edge_order: 1 or 2: the order of the one-sided differences at the ends.
    """
    if edge_order not in (1, 2):
        raise RuntimeError(f"[gradient] only supports edge_order=1 and edge_order=2: got {edge_order}.")
    several = isinstance(spacing, (list, tuple))
    given = range(self.ndim) if dim is None else ints(dim)
    dims = [wrap_dim(d, self.ndim, "gradient") for d in given]
    if several and dim is None and len(spacing) != self.ndim:
        raise RuntimeError(
            f"[gradient] expected spacing to be unspecified, a scalar, or a list of length {self.ndim} (the number of "
            f"dimensions): got {len(spacing)}."
        )
    if several and len(spacing) != len(dims):
        raise RuntimeError(
            f"[gradient] expected spacing and dim of one length: got {len(spacing)} and {len(dims)}."
        )
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"[gradient] dim {list(dims)} appears multiple times in the list of dims.")
    d0 = self.spec.dtype
    x = self.to(fb.float32) if d0 in (fb.float16, fb.bfloat16) else self
    out = []
    for k, d in enumerate(dims):
        step: Any = spacing[k] if several else 1.0 if spacing is None else spacing
        if x.shape[d] < edge_order + 1:
            raise RuntimeError(
                f"[gradient] expected each dimension size to be at least edge_order+1: got {list(x.shape)}."
            )
        if hasattr(step, "spec"):
            if step.device is not x.device:
                raise RuntimeError(message("gradient", "tensors must be on one device", spacing=step, self=x))
            if step.ndim != 1 or step.shape[0] != x.shape[d]:
                raise RuntimeError(
                    message(
                        "gradient",
                        "expected each coordinate tensor to be 1-d, of its dimension's size",
                        spacing=step,
                    )
                )
            if step.spec.dtype.rank < 2:
                step = step.to(x.spec.dtype if x.spec.dtype.rank > 1 else fb.float32)
        slope = _slope(x, d, step, edge_order)
        out.append(slope if x is self else slope.to(d0))
    return out


# Integrals


def _trapezoids(op: str, y: Any, x: Any, dx: Any, dim: int) -> tuple[Any, int]:
    """The areas between neighbours, and the dimension."""
    d = wrap_dim(dim, y.ndim, op)
    if not y.ndim:
        raise IndexError(f"[{op}] a 0-d tensor has nothing to integrate along.")
    n = y.shape[d]
    m = max(n - 1, 0)
    mean = y.narrow(d, 0, m) + y.narrow(d, min(1, n), m)
    if x is None:
        return mean * (dx / 2.0) if not hasattr(dx, "spec") else mean * dx / 2.0, d
    if not x.ndim:
        raise IndexError(f"[{op}] There must be one x value for each sample point: got a 0-d tensor.")
    if x.ndim == 1:
        if x.shape[0] != n:
            raise RuntimeError(
                f"[{op}] There must be one x value for each sample point: got {x.shape[0]} for {n}."
            )
        gap = _along(y, d, x.diff())
    else:
        at = wrap_dim(dim, x.ndim, op)
        gap = x.diff(1, at)
    return mean * gap / 2.0, d


@top.composite(method=False, aliases=("trapz",))
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Number = 1, dim: int = -1) -> Tensor:
    """The integral along a dimension by the trapezoidal rule, at points ``x`` or with steps ``dx``."""
    areas, d = _trapezoids("trapezoid", y, x, dx, dim)
    return areas.sum(d if x is None or x.ndim == 1 else dim)  # type: ignore[no-any-return]


@top.composite(method=False)
def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Number = 1, dim: int = -1) -> Tensor:
    """The running integral along a dimension by the trapezoidal rule."""
    areas, d = _trapezoids("cumulative_trapezoid", y, x, dx, dim)
    return areas.cumsum(d if x is None or x.ndim == 1 else dim)  # type: ignore[no-any-return]


# Products


@top.composite()
def cross(self: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross products of vectors of 3 elements along a dimension (default: the first of size 3)."""
    if self.ndim != other.ndim:
        raise RuntimeError(
            message("cross", "inputs must have the same number of dimensions", self=self, other=other)
        )
    shape = broadcast_shapes(self.shape, other.shape, op="cross")
    if dim is None:
        dim = next((k for k, n in enumerate(self.shape) if n == 3), -1)
        if dim < 0:
            raise RuntimeError(message("cross", "no dimension of size 3 in input", self=self))
    d = wrap_dim(dim, self.ndim, "cross")
    if self.shape[d] != 3 or other.shape[d] != 3:
        raise RuntimeError(
            message("cross", f"inputs dimension {d} must have length 3", self=self, other=other)
        )
    a, b = (t.expand(shape).unbind(d) for t in (self, other))
    return fb.stack([a[k - 2] * b[k - 1] - a[k - 1] * b[k - 2] for k in range(3)], d)


@top.composite()
def kron(self: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product."""
    n = max(self.ndim, other.ndim)
    a = self.reshape([v for s in (1,) * (n - self.ndim) + tuple(self.shape) for v in (s, 1)])
    b = other.reshape([v for s in (1,) * (n - other.ndim) + tuple(other.shape) for v in (1, s)])
    product = a * b
    return product.reshape([product.shape[2 * k] * product.shape[2 * k + 1] for k in range(n)])


# Results whose out= may have any dtype that they cast to.
kron.casts_out = True
diff.casts_out = lambda x, n, *_: n > 0


@top.composite(inplace=True)
def renorm(self: Tensor, p: Number, dim: int, maxnorm: Number) -> Tensor:
    """Every part along a dimension scaled down to a p-norm of at most ``maxnorm``."""
    if self.ndim < 2:
        raise RuntimeError(message("renorm", "input needs at least 2 dimensions", self=self))
    if p <= 0 or maxnorm < 0:  # type: ignore[operator]
        raise RuntimeError(f"[renorm] needs p > 0 and maxnorm >= 0: got p={p}, maxnorm={maxnorm}.")
    d = wrap_dim(dim, self.ndim, "renorm")
    norm = self.norm(p, [k for k in range(self.ndim) if k != d], True)
    scale: Any = maxnorm / (norm + 1e-7)
    return self * OPS["where_values"](norm > maxnorm, scale, 1)  # type: ignore[no-any-return]
