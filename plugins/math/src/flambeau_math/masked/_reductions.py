"""Masked reductions: the elements left out are replaced by the identity, or not counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau.plugin import Op, whole

from .._records import Space

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]

masked = Space("masked")


def _dims(op: str, dim: Any, ndim: int) -> tuple[int, ...]:
    """Dimensions counted from the front; None and () are all.

    Raises:
        IndexError: out of range.
        RuntimeError: one twice.
    """
    if dim is None or dim == ():
        return tuple(range(ndim))
    given = (dim,) if isinstance(dim, int) else tuple(dim)
    n = ndim or 1
    for d in given:
        if not -n <= d < n:
            raise IndexError(
                f"[{op}] Dimension out of range: got dim={d}; needed: a number in [{-n}, {n - 1}]."
            )
    dims = tuple(sorted({d % n for d in given}))
    if len(dims) != len(given):
        raise RuntimeError(f"[{op}] dim appears multiple times in the list of dims: got dim={dim}.")
    return dims


def _dim(op: str, dim: Any, ndim: int) -> int:
    if not isinstance(dim, int):
        raise ValueError(f"[{op}] dim must be an int: got {dim!r}.")
    return _dims(op, dim, ndim)[0]


def _mask(op: str, x: Any, mask: Any) -> Any:
    if mask is not None and mask.ndim > x.ndim:
        raise IndexError(
            f"[{op}] _input_mask expected broadcastable mask (got mask dimensionality higher than of the input)."
        )
    return mask


def _held(op: str, x: Any, mask: Any, identity: Any) -> Any:
    """The operand with its other elements replaced."""
    mask = _mask(op, x, mask)
    if mask is None:
        return x
    low = isinstance(identity, float) and x.dtype.rank < 2
    if low:
        identity = _limit(x.dtype, identity)
    return fb.where(mask.to(fb.bool).expand(x.shape), x, fb.tensor(identity, dtype=x.dtype, device=x.device))


def _limit(dtype: Any, identity: float) -> Any:
    """The largest or smallest number of an integer dtype."""
    if dtype is fb.bool:
        return identity > 0
    info = fb.iinfo(dtype)
    return info.max if identity > 0 else info.min


def _cast(x: Any, dtype: Any, whole: bool = False) -> Any:
    """The operand in the dtype asked for; integers as int64 where sums need it."""
    if dtype is not None:
        return x.to(dtype)
    return x.to(fb.int64) if whole and x.dtype.rank < 2 else x


def _reduced(x: Any, dims: tuple[int, ...], keepdim: bool, fn: Any) -> Any:
    return fn(x, dims, keepdim) if x.ndim else fn(x.reshape((1,)), (0,), False)


def _flag(keepdim: Any) -> bool:
    return bool(keepdim)


@masked.composite()
def sum(input: Tensor, dim: Any = None, *, keepdim: Any = False, dtype: Any = None, mask: Any = None) -> Any:
    """The sum of what the mask selects.

    >>> import flambeau as fb
    >>> fb.masked.sum(fb.tensor([1., 2.]), mask=fb.tensor([True, False]))
    tensor(1.)
    """
    op = "masked.sum"
    x = _held(op, _cast(input, dtype, True), mask, 0)
    dims = _dims(op, dim, x.ndim)
    return _reduced(x, dims, _flag(keepdim), lambda t, d, k: t.sum(d, k))


@masked.composite()
def prod(input: Tensor, dim: Any = None, *, keepdim: Any = False, dtype: Any = None, mask: Any = None) -> Any:
    """The product of what the mask selects.

    >>> import flambeau as fb
    >>> fb.masked.prod(fb.tensor([2., 3.]), mask=fb.tensor([True, False]))
    tensor(2.)
    """
    op = "masked.prod"
    x = _held(op, _cast(input, dtype, True), mask, 1)
    dims = _dims(op, dim, x.ndim)
    for d in reversed(dims):
        x = x.prod(d, _flag(keepdim))
    return x


def _along(name: str, text: str, identity: Any) -> Op:
    def fn(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
        op = f"masked.{name}"
        x = _held(op, _cast(input, dtype), mask, identity)
        return getattr(x, name)(_dim(op, dim, x.ndim)).to(x.dtype)

    fn.__name__, fn.__doc__ = name, text
    return masked.composite()(fn)


cumsum = _along("cumsum", "The running sum along a dimension of what the mask selects.", 0)
cumprod = _along("cumprod", "The running product along a dimension of what the mask selects.", 1)


def _extreme(name: str, text: str, identity: float) -> Op:
    def fn(
        input: Tensor, dim: Any = None, *, keepdim: Any = False, dtype: Any = None, mask: Any = None
    ) -> Any:
        op = f"masked.{name}"
        x = _held(op, _cast(input, dtype), mask, identity)
        dims = _dims(op, dim, x.ndim)
        return _reduced(x, dims, _flag(keepdim), lambda t, d, k: getattr(t, name)(d, k))

    fn.__name__, fn.__doc__ = name, text
    return masked.composite()(fn)


amax = _extreme("amax", "The largest of what the mask selects.", float("-inf"))
amin = _extreme("amin", "The smallest of what the mask selects.", float("inf"))


def _place(name: str, text: str, identity: float) -> Op:
    def fn(
        input: Tensor, dim: Any = None, *, keepdim: Any = False, dtype: Any = None, mask: Any = None
    ) -> Any:
        op = f"masked.{name}"
        x = _held(op, _cast(input, dtype), mask, identity)
        return getattr(x, name)(dim, _flag(keepdim)).to(
            x.dtype
        )  # PyTorch gives places in the dtype of the values

    fn.__name__, fn.__doc__ = name, text
    return masked.composite()(fn)


argmax = _place("argmax", "The place of the largest of what the mask selects.", float("-inf"))
argmin = _place("argmin", "The place of the smallest of what the mask selects.", float("inf"))


def _count(op: str, x: Any, dims: tuple[int, ...], keepdim: bool, mask: Any) -> Any:
    if mask is None:
        n = 1
        for d in dims:
            n *= x.shape[d] if x.ndim else 1
        return n
    held = _mask(op, x, mask).to(fb.bool).expand(x.shape).to(fb.int64)
    return _reduced(held, dims, keepdim, lambda t, d, k: t.sum(d, k))


@masked.composite()
def mean(input: Tensor, dim: Any = None, *, keepdim: Any = False, dtype: Any = None, mask: Any = None) -> Any:
    """The mean of what the mask selects; NaN where it selects nothing.

    >>> import flambeau as fb
    >>> fb.masked.mean(fb.tensor([1., 2., 9.]), mask=fb.tensor([True, True, False]))
    tensor(1.5000)
    """
    op = "masked.mean"
    dtype = dtype or input.dtype
    if dtype.rank < 2:
        raise RuntimeError(
            f"[{op}] integer and bool dtypes have no mean: got {dtype}; needed: floating-point numbers."
        )
    dims = _dims(op, dim, input.ndim)
    keep = _flag(keepdim)
    n = _count(op, input, dims, keep, mask)
    total = sum(input.to(dtype), dims if input.ndim else None, keepdim=keep, mask=mask)
    return total / n


@masked.composite()
def median(input: Tensor, dim: int = -1, *, keepdim: Any = False, dtype: Any = None, mask: Any = None) -> Any:
    """The median along a dimension of what the mask selects; NaN where it selects nothing.

    >>> import flambeau as fb
    >>> fb.masked.median(fb.tensor([1., 2., 9.]), 0, mask=fb.tensor([True, True, False]))
    tensor(1.)
    """
    op = "masked.median"
    floating = input.dtype.is_floating_point
    d = _dim(op, dim, input.ndim)
    x = _held(op, input if floating else input.to(fb.float32), mask, float("nan"))
    if not x.ndim:
        return x.clone()
    # NaN comes last in order: the middle of those before it.
    inside = (~x.isnan()).sum(d, keepdim=True)
    out = x.sort(d).values.gather(d, ((inside - 1) // 2).clamp_min(0))
    if not _flag(keepdim):
        out = out.squeeze(d)
    if floating:
        return out
    if bool(whole(out).isnan().any()):
        raise ValueError(
            f"[{op}] expects no fully masked out rows if dtype is not floating point: got {input.dtype}."
        )
    return out.to(dtype or input.dtype)


def _moments(
    op: str, input: Any, dim: Any, unbiased: Any, keepdim: Any, dtype: Any, mask: Any, correction: Any
) -> Any:
    dtype = dtype or input.dtype
    if dtype.rank < 2:
        dtype = fb.float32
    x = input.to(dtype)
    dims = _dims(op, dim, x.ndim)
    keep = _flag(keepdim)
    if unbiased is not None and correction is not None:
        raise RuntimeError(f"[{op}] only one of unbiased and correction can be given.")
    taken = (1 if correction is None else correction) if unbiased is None else int(bool(unbiased))
    n = _count(op, x, dims, True, mask)
    if not isinstance(n, int) and n.ndim < x.ndim:
        n = n.reshape([1] * x.ndim)
    total = sum(x, dims if x.ndim else None, keepdim=True, mask=mask)
    centre = total / n
    gap = x - (centre if x.ndim else centre.reshape(()))
    squares = gap * gap.conj() if x.dtype.is_complex else gap * gap
    size = sum(squares, dims if x.ndim else None, keepdim=keep, mask=mask)
    if not isinstance(n, int):
        n = n.reshape(size.shape).to(size.dtype.to_real())
        left = (n - taken).clamp_min(0)
    else:
        left = max(n - taken, 0)
    return size / left


@masked.composite()
def var(
    input: Tensor, dim: Any = None, unbiased: Any = None, *, correction: Any = None, keepdim: Any = False,
    dtype: Any = None, mask: Any = None,
) -> Any:  # fmt: skip
    """The variance of what the mask selects.

    >>> import flambeau as fb
    >>> fb.masked.var(fb.tensor([1., 3., 9.]), mask=fb.tensor([True, True, False]))
    tensor(2.)
    """
    return _moments("masked.var", input, dim, unbiased, keepdim, dtype, mask, correction)


@masked.composite()
def std(
    input: Tensor, dim: Any = None, unbiased: Any = None, *, correction: Any = None, keepdim: Any = False,
    dtype: Any = None, mask: Any = None,
) -> Any:  # fmt: skip
    """The standard deviation of what the mask selects.

    >>> import flambeau as fb
    >>> fb.masked.std(fb.tensor([1., 3., 9.]), mask=fb.tensor([True, True, False]))
    tensor(1.4142)
    """
    return _moments("masked.std", input, dim, unbiased, keepdim, dtype, mask, correction).sqrt()


@masked.composite()
def norm(
    input: Tensor,
    ord: Any = 2.0,
    dim: Any = None,
    *,
    keepdim: Any = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """The vector norm of what the mask selects.

    >>> import flambeau as fb
    >>> fb.masked.norm(fb.tensor([3., 4., 9.]), mask=fb.tensor([True, True, False]))
    tensor(5.)
    """
    op = "masked.norm"
    x = _cast(input, dtype)
    dims = _dims(op, dim, x.ndim)
    x = _held(op, x, mask, float("inf") if ord == float("-inf") else 0.0)
    if not x.ndim:
        return fb.linalg.vector_norm(x.reshape((1,)), ord, 0)
    return fb.linalg.vector_norm(x, ord, dims, _flag(keepdim))


@masked.composite()
def logsumexp(
    input: Tensor, dim: Any = None, *, keepdim: Any = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The logarithm of the sum of exponentials of what the mask selects.

    >>> import flambeau as fb
    >>> fb.masked.logsumexp(fb.tensor([1., 9.]), mask=fb.tensor([True, False]))
    tensor(1.)
    """
    op = "masked.logsumexp"
    x = _held(op, _cast(input, dtype), mask, float("-inf"))
    dims = _dims(op, dim, x.ndim)
    return _reduced(x, dims, _flag(keepdim), lambda t, d, k: t.logsumexp(d, k)).to(x.dtype)


@masked.composite()
def logaddexp(
    input: Tensor, other: Tensor, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None
) -> Any:
    """The logarithm of the sum of two exponentials, each with a mask of its own.

    >>> import flambeau as fb
    >>> fb.masked.logaddexp(fb.tensor([1.]), fb.tensor([9.]), other_mask=fb.tensor([False]))
    tensor([1.])
    """
    op = "masked.logaddexp"
    low = float("-inf")
    a, b = _held(op, _cast(input, dtype), input_mask, low), _held(op, _cast(other, dtype), other_mask, low)
    return fb.logaddexp(a, b)


def _soft(name: str, text: str, identity: float, run: Any) -> Op:
    def fn(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
        op = f"masked.{name}"
        x = _held(op, _cast(input, dtype), mask, identity)
        return run(x, _dim(op, dim, x.ndim))

    fn.__name__, fn.__doc__ = name, text
    return masked.composite()(fn)


softmax = _soft("softmax", "Softmax over what the mask selects.", float("-inf"), lambda x, d: x.softmax(d))
log_softmax = _soft("log_softmax", "The logarithm of softmax over what the mask selects.", float("-inf"),
      lambda x, d: x.log_softmax(d))  # fmt: skip
softmin = _soft(
    "softmin",
    "Softmax of the negatives of what the mask selects.",
    float("inf"),
    lambda x, d: (-x).softmax(d),
)


@masked.composite()
def normalize(
    input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None
) -> Any:
    """What the mask selects divided by its norm (at least ``eps``); elements left out are 0.

    >>> import flambeau as fb
    >>> fb.masked.normalize(fb.tensor([3., 4., 9.]), 2., 0, mask=fb.tensor([True, True, False]))
    tensor([0.6000, 0.8000, 0.0000])
    """
    x = _cast(input, dtype)
    size = norm(x, ord, dim, keepdim=True, mask=mask)
    return _held("masked.normalize", x, mask, 0) / size.clamp_min(eps)
