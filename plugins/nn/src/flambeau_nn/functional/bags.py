"""Sums, means and maxima of rows of a table: embedding_bag."""

from __future__ import annotations

import flambeau as fb
from flambeau.errors import message

from ._common import need_tensors
from .linear_maps import embedding

__all__ = ["embedding_bag"]


def embedding_bag(
    input: fb.Tensor, weight: fb.Tensor, offsets: fb.Tensor | None = None, max_norm: float | None = None,
    norm_type: float = 2, scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
    per_sample_weights: fb.Tensor | None = None, include_last_offset: bool = False, padding_idx: int | None = None,
) -> fb.Tensor:  # fmt: skip
    """The sum, mean or maximum of the rows of a table that each bag of indices names.

    Args:
        input: ``(B, L)``: bags of one length; or ``(N)``: bags after one another.
        weight: the table ``(V, D)``.
        offsets: ``(B)``: where each bag starts, for a one-dimensional input.
        max_norm: rows that are used are scaled down to this norm first, in place.
        norm_type: which norm.
        scale_grad_by_freq: divide gradients by how often a row is used; not with ``"max"``.
        mode: ``"sum"``, ``"mean"`` or ``"max"``.
        sparse: taken for compatibility; gradients are dense.
        per_sample_weights: factors for the rows, of the input's shape; only with ``"sum"``.
        include_last_offset: the last offset is the end of the last bag.
        padding_idx: a row that counts in no bag and gets no gradient.

    Returns:
        ``(B, D)``; an empty bag gives zeros.

    >>> table = fb.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> embedding_bag(fb.tensor([[0, 1], [1, 1]]), table, mode="sum").tolist()
    [[4.0, 6.0], [6.0, 8.0]]
    """
    op = "embedding_bag"
    need_tensors(op, input=input, weight=weight)
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"[{op}] mode has to be one of sum, mean or max: got {mode!r}.")
    if per_sample_weights is not None and per_sample_weights.shape != input.shape:
        raise ValueError(
            message(op, "expected per_sample_weights to have the shape of input", input=input,
                    per_sample_weights=per_sample_weights)
        )  # fmt: skip
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            f"[{op}] per_sample_weights is only supported for mode='sum': got {mode!r}."
        )
    if mode == "max" and (scale_grad_by_freq or sparse):
        raise ValueError(
            f"[{op}] max mode does not support scaling the gradient by frequency, nor sparse ones."
        )
    if padding_idx is not None and not -weight.shape[0] <= padding_idx < weight.shape[0]:
        raise RuntimeError(f"[{op}] padding_idx must be within the number of embeddings: got {padding_idx}.")
    skip = None if padding_idx is None else padding_idx % weight.shape[0]
    bag, count = _bags(op, input, offsets, include_last_offset)
    flat = input.reshape(-1)[: bag.shape[0]]
    rows = embedding(flat, weight, skip, max_norm, norm_type, scale_grad_by_freq)
    if rows.dtype in (fb.float16, fb.bfloat16):
        rows = rows.to(fb.float32)
    width = weight.shape[1]
    kept = None if skip is None else flat != skip
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)[: bag.shape[0]]
    if mode == "max":
        if kept is not None:
            rows, bag = rows[kept], bag[kept]
        empty = rows.new_zeros((count, width))
        return empty.index_reduce(0, bag, rows, "amax", include_self=False).to(weight.dtype)
    if kept is not None:
        rows = rows.masked_fill(~kept.unsqueeze(1), 0)
    sums = rows.new_zeros((count, width)).index_add(0, bag, rows)
    if mode == "sum":
        return sums.to(weight.dtype)
    ones = fb.ones(tuple(flat.shape), dtype=rows.dtype, device=rows.device)
    ones = ones if kept is None else kept.to(rows.dtype)
    sizes = rows.new_zeros((count,)).index_add(0, bag, ones)
    return (sums / sizes.clamp(min=1).unsqueeze(1)).to(weight.dtype)


def _bags(
    op: str, input: fb.Tensor, offsets: fb.Tensor | None, include_last_offset: bool
) -> tuple[fb.Tensor, int]:
    """For each index the number of its bag, and how many bags there are."""
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(
                message(op, "if input is 2D, then offsets has to be None, as input is treated as a mini-batch of "
                        "fixed length sequences", input=input, offsets=offsets)
            )  # fmt: skip
        count, length = input.shape
        place = fb.arange(count, device=input.device).unsqueeze(1).expand(count, length)
        return place.reshape(-1), count
    if input.ndim != 1:
        raise ValueError(message(op, "input has to be a 1D or 2D Tensor", input=input))
    if offsets is None:
        raise ValueError(message(op, "offsets has to be a 1D Tensor but got None", input=input))
    if offsets.ndim != 1:
        raise ValueError(message(op, "offsets has to be a 1D Tensor", offsets=offsets))
    starts = offsets.to(fb.int64)
    n = input.shape[0]
    if starts.numel():
        if int(starts[0]) != 0:
            raise RuntimeError(
                f"[{op}] offsets[0] has to be 0, i.e., the first sequence starts from position 0."
            )
        if int(starts[-1]) > n:
            raise RuntimeError(
                f"[{op}] offsets[-1] can not be greater than input's length {n}: got {int(starts[-1])}."
            )
    if include_last_offset:
        if not starts.numel():
            raise RuntimeError(f"[{op}] include_last_offset: number of offsets should be at least 1.")
        input, starts = input[: int(starts[-1])], starts[:-1]
        n = input.shape[0]
    count = starts.shape[0]
    # Each start after the first moves everything behind it into the next bag.
    steps = fb.zeros((n + 1,), dtype=fb.int64, device=input.device)
    if count > 1:
        steps = steps.index_add(0, starts[1:], fb.ones_like(starts[1:]))
    return steps.cumsum(0)[:n], count
