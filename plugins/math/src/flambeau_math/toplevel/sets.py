"""Sorted sequences and sets: unique, searchsorted, bucketize, isin, and counting: bincount, histc."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau.plugin import refuse, wrap_dim

from .._records import Space

if TYPE_CHECKING:
    from flambeau import Tensor
    from flambeau.plugin import Number

__all__: list[str] = []

top = Space("")

# Sets


def _order_of_rows(rows: Any) -> Any:
    """The order in which rows (or elements) are sorted, lexicographically."""
    if rows.spec.ndim == 1:
        return rows.sort(0, stable=True)[1]
    order = fb.arange(rows.spec.shape[0], device=rows.device)
    for column in rows.unbind(1)[::-1]:
        order = order.index_select(0, column.index_select(0, order).sort(0, stable=True)[1])
    return order


def _distinct(rows: Any, order: Any) -> tuple[Any, Any, Any]:
    """First rows of runs of equal ones, the run of each row, the runs' lengths."""
    n = rows.spec.shape[0]
    if not n:
        empty = fb.zeros((0,), dtype=fb.int64, device=rows.device)
        return rows, empty, empty
    other = rows.narrow(0, 1, n - 1) != rows.narrow(0, 0, n - 1)
    if rows.spec.ndim > 1:
        other = other.any(1)
    starts = fb.cat([fb.ones((1,), dtype=fb.bool, device=rows.device), other])
    places = starts.nonzero().reshape(-1)
    run = starts.cumsum(0) - 1
    inverse = run if order is None else run.scatter(0, order, run)
    ends = fb.cat([places.narrow(0, 1, places.spec.shape[0] - 1), places.new_full((1,), n)])
    return rows.index_select(0, places), inverse, ends - places


def _unique(op: str, self: Any, sort: bool, inverse: bool, counts: bool, dim: int | None) -> Any:
    if dim is None:
        rows, back = self.reshape(-1), None
    else:
        d = wrap_dim(dim, self.spec.ndim, op)
        back = self.movedim(d, 0)
        if 0 in back.spec.shape[1:]:
            refuse(op, "there are 0 sized dimensions, so unique cannot be applied", self=self)
        rows = back.flatten(1) if back.spec.ndim > 1 else back.unsqueeze(1)
    order = _order_of_rows(rows) if sort else None
    values, place, number = _distinct(rows if order is None else rows.index_select(0, order), order)
    if back is None:
        place = place.reshape(self.spec.shape)
    else:
        values = values.reshape((values.shape[0], *back.spec.shape[1:])).movedim(0, d)
    extra = [*([place] if inverse else []), *([number] if counts else [])]
    return (values, *extra) if extra else values


@top.composite()
def unique(
    self: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements (or slices along ``dim``) in order, as asked also where each one went and how often.

    >>> import flambeau as fb
    >>> fb.unique(fb.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    return _unique("unique", self, True, return_inverse, return_counts, dim)


@top.composite()
def unique_consecutive(
    self: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or slices along ``dim``) without repetitions of the one before."""
    return _unique("unique_consecutive", self, False, return_inverse, return_counts, dim)


@top.composite(method=False)
def isin(
    elements: Tensor | Number,
    test_elements: Tensor | Number,
    *,
    assume_unique: bool = False,
    invert: bool = False,
) -> Tensor:
    """Whether each element is one of the tested ones."""

    some: Any = elements
    tests: Any = test_elements
    device = some.device if hasattr(some, "spec") else tests.device
    x, tested = (v if hasattr(v, "spec") else fb.as_tensor(v, device=device) for v in (some, tests))
    d = fb.result_type(x, tested)
    x, tested = x.to(d), tested.to(d).reshape(-1)
    n = tested.spec.shape[0]
    if not n:
        found = fb.zeros(x.spec.shape, dtype=fb.bool, device=device)
    else:
        ranked = tested.sort(0, stable=True)[0]
        place = searchsorted(ranked, x.reshape(-1)).clamp(max=n - 1)
        found = (ranked.index_select(0, place) == x.reshape(-1)).reshape(x.spec.shape)
    return ~found if invert else found


# Sorted sequences


@top.composite(method=False)
def searchsorted(
    sorted_sequence: Tensor,
    self: Tensor | Number,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where values would go into sorted sequences: before equal elements, or with ``right`` after them.

    Args:
        sorted_sequence: one sequence, or one per row of ``self`` (last dimension).
        self: the values.
        out_int32: give int32 instead of int64.
        right: after equal elements.
        side: ``"left"`` or ``"right"``, the same as a word.
        sorter: the order in which ``sorted_sequence`` is sorted.
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(f"[searchsorted] side can only be 'left' or 'right' but got {side!r}.")
    if side == "left" and right:
        raise RuntimeError(
            "[searchsorted] side and right can't be set to opposites: got side='left', right=True."
        )
    after = right or side == "right"
    seq: Any = sorted_sequence
    x: Any = self
    if not hasattr(x, "spec"):
        x = fb.as_tensor(x, device=seq.device)
    if seq.spec.ndim != 1 and (
        seq.spec.ndim == 0 or x.spec.shape[:-1] != seq.spec.shape[:-1] or not x.spec.ndim
    ):
        refuse(
            "searchsorted",
            "boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
            "tensor and input value tensor must match",
            sorted_sequence=seq,
            self=x,
        )
    if sorter is not None:
        seq = seq.gather(-1, sorter)
    shape = x.spec.shape
    values = x.reshape(-1) if seq.spec.ndim == 1 else x
    n = seq.spec.shape[-1]
    low = fb.zeros(values.spec.shape, dtype=fb.int64, device=seq.device)
    high = low + n
    for _ in range(n.bit_length()):
        mid = (low + high) // 2
        probe = seq.gather(-1, mid.clamp(max=n - 1))
        # Written so that NaN goes to the end.
        further = ~(probe > values) if after else ~(probe >= values)
        further = further & (low < high)
        low = fb.where(further, mid + 1, low)
        high = fb.where(further, high, mid)
    out = low.reshape(shape)
    return out.int() if out_int32 else out


@top.composite(method=False)
def bucketize(
    self: Tensor | Number, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """The number of the bucket between sorted boundaries that each value falls into."""
    if boundaries.spec.ndim != 1:
        refuse("bucketize", "boundaries tensor must be 1 dimension", boundaries=boundaries)
    return searchsorted(boundaries, self, out_int32=out_int32, right=right)  # type: ignore[no-any-return]


# Counting


@top.composite()
def bincount(self: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each number from 0 on occurs, or the sum of its weights.

    Raises:
        RuntimeError: not a vector of non-negative integers.
    """
    if self.spec.ndim != 1 or self.spec.dtype.rank != 1 or (self.spec.numel and int(self.amin()) < 0):
        refuse("bincount", "bincount only supports 1-d non-negative integral inputs", self=self)
    if minlength < 0:
        raise RuntimeError(f"[bincount] minlength should be >= 0: got {minlength}.")
    if weights is not None and weights.spec.shape != self.spec.shape:
        refuse(
            "bincount", "weights should be 1-d and have the same length as input", self=self, weights=weights
        )
    n = max(int(self.amax()) + 1 if self.spec.numel else 0, minlength)
    if weights is None:
        what = fb.ones(self.spec.shape, dtype=fb.int64, device=self.device)
    else:
        what = weights if weights.spec.dtype is fb.float32 else weights.double()
    return what.new_zeros((n,)).scatter_add(0, self.long(), what)


@top.composite()
def histc(self: Tensor, bins: int = 100, min: Number = 0, max: Number = 0) -> Tensor:
    """Counts of elements in equal bins between ``min`` and ``max`` (both 0: those of the data)."""
    if bins <= 0:
        raise RuntimeError(f"[histc] bins must be > 0: got {bins}.")
    x = self.reshape(-1)
    x = x.to(fb.float32) if x.dtype in (fb.float16, fb.bfloat16) else x
    low, high = (float(v) for v in (min, max))  # type: ignore[arg-type]
    if low == high and x.spec.numel:
        low, high = float(x.amin()), float(x.amax())
    if low == high:
        low, high = low - 1, high + 1
    if not low < high:
        raise RuntimeError(f"[histc] max must be larger than min: got min={low}, max={high}.")
    inside = (x >= low) & (x <= high)
    place = ((x - low) * (bins / (high - low))).clamp(0, bins - 1)
    place = fb.where(inside, place, 0).long()
    counts = x.new_zeros((bins,)).scatter_add(0, place, inside.to(x.dtype))
    return counts.to(self.spec.dtype)
