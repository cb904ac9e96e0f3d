"""Covariances, distances and histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import flambeau as fb
from flambeau.plugin import message, named

from .._records import Space

if TYPE_CHECKING:
    from flambeau import Tensor

__all__: list[str] = []

top = Space("")


def _fail(op: str, wrong: str, **got: Any) -> None:
    raise RuntimeError(message(op, wrong, **got))


@top.composite()
def cov(
    self: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Any:
    """The covariance matrix of variables that stand in rows.

    Args:
        self: [N, M] or [M]: M observations of N variables.
        correction: what is taken off the number of observations.
        fweights: how often each observation was made, integers [M].
        aweights: the weight of each, [M].

    >>> import flambeau as fb
    >>> fb.cov(fb.tensor([[0., 2.], [2., 0.]]))
    tensor([[ 2., -2.],
            [-2.,  2.]])
    """
    op = "cov"
    if self.ndim > 2:
        _fail(op, "expected input to have two or fewer dimensions", input=self)
    if self.dtype is fb.bool:
        _fail(op, "bool dtype is not supported for input", input=self)
    x = self.reshape((1, -1)) if self.ndim < 2 else self
    n = x.shape[1]
    w = None
    for name, weights in (("fweights", fweights), ("aweights", aweights)):
        if weights is None:
            continue
        if weights.ndim > 1:
            _fail(op, f"expected {name} to have one or fewer dimensions", **{name: weights})
        if name == "fweights" and weights.dtype.rank != 1:
            _fail(op, "expected fweights to have integral dtype", fweights=weights)
        if name == "aweights" and weights.dtype.rank != 2:
            _fail(op, "expected aweights to have floating point dtype", aweights=weights)
        if weights.numel() != n:
            _fail(op, f"expected {name} to have the same numel as there are observations", **{name: weights})
        if n and bool((weights < 0).any()):
            _fail(op, f"{name} cannot be negative", **{name: weights})
        w = weights if w is None else w * weights
    if x.dtype.rank < 2:
        x = x.to(fb.get_default_dtype())
    if w is None:
        total: Any = n
        mean = x.sum(1) / n
        norm: Any = n - correction
    else:
        total = w.sum()
        if n and bool(total == 0):
            _fail(op, "weights sum to zero, can't be normalized", weights=w)
        mean = (x * w).sum(1) / total
        if aweights is None or correction == 0:
            norm = total - correction
        else:
            norm = total - correction * (w * aweights).sum() / total
        norm = norm.clamp_min(0)
    if w is None and norm < 0:
        norm = 0
    if bool(norm <= 0):
        import warnings

        warnings.warn("cov(): degrees of freedom is <= 0. Correction should be strictly less than the number of "
                      "observations.", UserWarning, stacklevel=3)  # fmt: skip
    centred = x - mean.unsqueeze(1)
    weighted = centred if w is None else centred * w
    product = weighted @ centred.mT.conj()
    out = product / norm
    return out.squeeze() if self.ndim < 2 else out.reshape((x.shape[0], x.shape[0])).squeeze()


@top.composite()
def corrcoef(self: Tensor) -> Any:
    """The correlation coefficients of variables that stand in rows.

    Args:
        self: [N, M] or [M].

    >>> import flambeau as fb
    >>> fb.corrcoef(fb.tensor([[0., 2.], [2., 0.]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if self.ndim > 2:
        _fail("corrcoef", "expected input to have two or fewer dimensions", input=self)
    c = cov(self)
    if not c.ndim:
        return c / c
    deviation = c.diagonal().sqrt()
    if deviation.dtype.is_complex:
        deviation = deviation.real.to(c.dtype)
    c = c / deviation.unsqueeze(-1) / deviation.unsqueeze(0)
    if c.dtype.is_complex:
        return fb.view_as_complex(fb.view_as_real(c).clamp(-1, 1))
    return c.clamp(-1, 1)


@top.composite(method=False)
def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary"
) -> Any:
    """The p-norm distances of every row of one matrix from every row of another.

    Args:
        x1: [..., P, M].
        x2: [..., R, M].
        p: the norm's order, not negative; 0 counts, inf is the largest difference.
        compute_mode: accepted as PyTorch's; distances are always computed directly.

    Returns:
        [..., P, R].

    >>> import flambeau as fb
    >>> fb.cdist(fb.zeros(1, 2), fb.tensor([[3., 4.]]))
    tensor([[5.]])
    """
    op = "cdist"
    for name, t in (("X1", x1), ("X2", x2)):
        if t.dtype.rank != 2:
            _fail(op, f"only supports floating-point dtypes, {name} got another", **{name: t})
    if x1.ndim < 2 or x2.ndim < 2:
        _fail(op, "X1 and X2 must have at least 2 dimensions", X1=x1, X2=x2)
    if x1.shape[-1] != x2.shape[-1]:
        _fail(op, "X1 and X2 must have the same number of columns", X1=x1, X2=x2)
    if p < 0:
        _fail(op, "only supports non-negative p values", p=p)
    known = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")
    if compute_mode not in known and compute_mode is not None:
        raise ValueError(
            f"[cdist] {compute_mode} is not a valid value for compute_mode; needed: one of {known}."
        )
    gap = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    return fb.linalg.vector_norm(gap, p, -1)


# Histograms


def _edges(op: str, x: Any, bins: Sequence[int], given: Any) -> list[Any]:
    """Evenly spaced edges for every column of points, as arrays."""
    low = np.zeros(len(bins)) if not x.size else x.min(0)
    high = np.ones(len(bins)) if not x.size else x.max(0)
    if given is not None:
        flat = [float(v) for v in given]
        if len(flat) != 2 * len(bins):
            _fail(op, f"range should have {2 * len(bins)} elements, for {len(bins)} columns", range=given)
        low, high = np.array(flat[::2]), np.array(flat[1::2])
    made = []
    for k, n in enumerate(bins):
        if not (np.isfinite(low[k]) and np.isfinite(high[k])):
            _fail(op, f"dimension {k}'s range [{low[k]}, {high[k]}] is not finite")
        if low[k] > high[k]:
            _fail(op, f"min should not exceed max, but got min {low[k]} max {high[k]} for dimension {k}")
        a, b = (low[k] - 0.5, high[k] + 0.5) if low[k] == high[k] else (low[k], high[k])
        made.append(fb.linspace(float(a), float(b), n + 1, dtype=getattr(fb, x.dtype.name)).numpy())
    return made


def _count(x: Any, edges: Sequence[Any], weight: Any, density: bool) -> Any:
    shape = [len(e) - 1 for e in edges]
    out = np.zeros(shape, x.dtype)
    place, inside = np.zeros(len(x), np.int64), np.ones(len(x), bool)
    for k, e in enumerate(edges):
        at = np.searchsorted(e, x[:, k], side="right") - 1
        at = np.where(x[:, k] == e[-1], shape[k] - 1, at)
        inside &= (at >= 0) & (at < shape[k]) & (x[:, k] >= e[0]) & (x[:, k] <= e[-1])
        place = place * shape[k] + np.where(inside, at, 0)
    held = np.ones(len(x), x.dtype) if weight is None else weight
    np.add.at(out.reshape(-1), place[inside], held[inside])
    if density:
        volume: Any = np.ones(shape, x.dtype)
        for k, e in enumerate(edges):
            volume = volume * np.diff(e).reshape([-1 if j == k else 1 for j in range(len(edges))])
        out = out / (out.sum() * volume)
    return out.astype(x.dtype)


def _histogramdd(op: str, x: Any, bins: Any, given: Any, weight: Any, density: bool) -> tuple[Any, list[Any]]:
    from .._host import array_of, tensor_of

    if x.dtype.rank != 2:
        _fail(op, "not implemented for this dtype: needed: float32 or float64", input=x)
    if weight is not None and weight.dtype is not x.dtype:
        _fail(op, "if weight tensor is provided, input tensor and weight tensor should have the same dtype",
              input=x, weight=weight)  # fmt: skip
    n = x.shape[-1]
    a = array_of(x).reshape(-1, n)
    w = None if weight is None else array_of(weight).reshape(-1)
    if w is not None and len(w) != len(a):
        _fail(op, "if weight tensor is provided it should have the same shape as the input tensor excluding its "
              "innermost dimension", input=x, weight=weight)  # fmt: skip
    if isinstance(bins, int):
        bins = [bins] * n
    if isinstance(bins, fb.Tensor):
        bins = [bins]
    bins = list(bins)
    if len(bins) != n:
        _fail(op, f"expected {n} sequences of bin edges or numbers of bins for a {n}-dimensional histogram, but got "
              f"{len(bins)}", input=x)  # fmt: skip
    if all(isinstance(b, fb.Tensor) for b in bins):
        for k, b in enumerate(bins):
            if b.ndim != 1:
                _fail(op, f"bins tensor should have one dimension, but bins[{k}] hasn't", bins=b)
            if b.dtype is not x.dtype:
                _fail(op, "input tensor and bins tensors should have the same dtype", input=x, bins=b)
            if not b.numel():
                _fail(op, f"bins tensor should have at least 1 element, but bins[{k}] has 0", bins=b)
        edges = [array_of(b) for b in bins]
    else:
        for k, b in enumerate(bins):
            if b <= 0:
                _fail(op, f"bins[{k}] = {b}, but the number of bins must be positive")
        edges = _edges(op, a, bins, given)
    hist = _count(a, edges, w, density)
    shown = bins if isinstance(bins[0], fb.Tensor) else [tensor_of(e, x.device) for e in edges]
    return tensor_of(hist, x.device), shown


@top.composite(method=False, batch="loop")
def histogramdd(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: bool = False
) -> Any:
    """The histogram of points of several dimensions.

    Args:
        input: [..., N], the points.
        bins: a number of bins, a list of N numbers, or a list of N tensors of edges.
        range: the lowest and highest edge of every dimension; those of the points by default.
        weight: [...], the weight of each point.
        density: divide by the total and the bins' volumes.

    Returns:
        ``(hist, bin_edges)``.

    >>> import flambeau as fb
    >>> fb.histogramdd(fb.tensor([[0., 1.], [1., 0.]]), bins=[2, 2]).hist
    tensor([[0., 1.],
            [1., 0.]])
    """
    if input.ndim < 2:
        _fail("histogramdd", "input tensor should have at least 2 dimensions", input=input)
    return named(
        "histogramdd", "hist bin_edges", *_histogramdd("histogramdd", input, bins, range, weight, density)
    )


@top.composite(batch="loop")
def histogram(
    self: Tensor, bins: Any = 100, *, range: Any = None, weight: Tensor | None = None, density: bool = False
) -> Any:
    """The histogram of all elements.

    Args:
        self: any shape.
        bins: how many, or a tensor of edges.
        range: the lowest and highest edge; those of the elements by default.
        weight: the weight of each element, of the same shape.
        density: divide by the total and the bins' widths.

    Returns:
        ``(hist, bin_edges)``.

    >>> import flambeau as fb
    >>> fb.histogram(fb.tensor([1., 2., 1.]), bins=2, range=(0., 2.)).hist
    tensor([0., 3.])
    """
    if weight is not None and weight.shape != self.shape:
        _fail("histogram", "if weight tensor is provided it should have the same shape as the input tensor",
              input=self, weight=weight)  # fmt: skip
    flat = self.reshape((-1, 1))
    held = None if weight is None else weight.reshape((-1,))
    hist, edges = _histogramdd("histogram", flat, [bins], range, held, density)
    return named("histogram", "hist bin_edges", hist, edges[0].clone() if edges[0] is bins else edges[0])
