"""Losses of sequences and of large vocabularies: ctc_loss, linear_cross_entropy; and of sets of labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import flambeau as fb
from flambeau.errors import message

from ..ops.ctc import ctc_loss as ctc_values
from ._common import need_tensors, reduced, reduction_of
from .class_losses import cross_entropy
from .linear_maps import linear

__all__ = ["ctc_loss", "linear_cross_entropy", "multilabel_margin_loss"]


def ctc_loss(
    log_probs: fb.Tensor, targets: fb.Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: str = "mean", zero_infinity: bool = False,
) -> fb.Tensor:  # fmt: skip
    """Minus the log-probability of the targets, summed over all ways to align them with the input.

    Args:
        log_probs: ``(T, N, C)`` or ``(T, C)``: log-probabilities of classes in each step, as log_softmax gives them.
        targets: ``(N, S)``, or all targets after one another ``(sum(target_lengths))``.
        input_lengths: N numbers of steps that count, a tensor or a sequence.
        target_lengths: N lengths of targets.
        blank: the class that stands for no label.
        reduction: ``"mean"`` divides each loss by its target's length first.
        zero_infinity: make losses and gradients zero where the target doesn't fit into the input.

    >>> x = fb.zeros(3, 1, 2).log_softmax(-1)
    >>> round(ctc_loss(x, fb.tensor([[1]]), [3], [1]).item(), 4)
    0.2877
    """
    op = "ctc_loss"
    reduction = reduction_of(op, reduction, None, None)
    need_tensors(op, log_probs=log_probs, targets=targets)
    if log_probs.ndim not in (2, 3):
        raise RuntimeError(message(op, "expected (T, N, C) or (T, C)", log_probs=log_probs))
    batched = log_probs.ndim == 3
    x = log_probs if batched else log_probs.unsqueeze(1)
    steps, n, classes = x.shape
    if targets.dtype not in (fb.int64, fb.int32):
        raise RuntimeError(message(op, "targets must be integers", "int64 or int32", targets=targets))
    if not 0 <= blank < classes:
        raise RuntimeError(f"[{op}] blank must be in label range: got {blank}, there are {classes} classes.")
    inputs, lengths = (
        _lengths(op, "input_lengths", input_lengths),
        _lengths(op, "target_lengths", target_lengths),
    )
    if len(inputs) != n or len(lengths) != n:
        raise RuntimeError(
            f"[{op}] input_lengths and target_lengths must be of size batch_size: got {len(inputs)} and "
            f"{len(lengths)}, needed {n}."
        )
    if any(not 0 <= m <= steps for m in inputs):
        raise RuntimeError(f"[{op}] Expected input_lengths to have value at most {steps}: got {inputs}.")
    if any(m < 0 for m in lengths):
        raise RuntimeError(f"[{op}] Expected target_lengths to be non-negative: got {lengths}.")
    padded = _padded(op, targets.to(fb.int64), n, lengths)
    loss, _ = ctc_values(x, padded, inputs, lengths, blank)
    if zero_infinity:
        loss = loss.masked_fill(loss == float("inf"), 0)
    if reduction == "mean":
        sizes = fb.tensor(lengths, dtype=loss.dtype, device=loss.device).clamp(min=1)
        mean: fb.Tensor = (loss / sizes).mean()
        return mean
    if reduction == "sum":
        total: fb.Tensor = loss.sum()
        return total
    found: fb.Tensor = loss if batched else loss.squeeze(0)
    return found


def _lengths(op: str, name: str, given: Any) -> tuple[int, ...]:
    if isinstance(given, fb.Tensor):
        if given.is_floating_point():
            raise RuntimeError(message(op, f"{name} must be integral", "", "", **{name: given}))
        given = given.reshape(-1).tolist()
    return tuple(int(v) for v in ((given,) if isinstance(given, int) else given))


def _padded(op: str, targets: fb.Tensor, n: int, lengths: tuple[int, ...]) -> fb.Tensor:
    """Targets as ``(N, longest)``."""
    longest = max(lengths, default=0)
    if targets.ndim == 2 or (n == 1 and targets.ndim == 1 and targets.shape[0] >= longest):
        rows = targets if targets.ndim == 2 else targets.unsqueeze(0)
        if rows.shape[0] != n or rows.shape[1] < longest:
            raise RuntimeError(
                message(op, f"Expected targets of at least {longest} labels for {n} inputs", targets=targets)
            )
        return rows[:, :longest].contiguous()
    if targets.ndim != 1 or targets.shape[0] != sum(lengths):
        raise RuntimeError(
            message(op, "targets don't fit target_lengths", f"(N, S), or {sum(lengths)} labels after one another",
                    targets=targets)
        )  # fmt: skip
    padded = fb.zeros((n, longest), dtype=fb.int64, device=targets.device)
    at = 0
    for row, m in enumerate(lengths):
        padded[row, :m] = targets[at : at + m]
        at += m
    return padded


class LinearCrossEntropyOptions(NamedTuple):
    """How `linear_cross_entropy` splits the batch; taken for compatibility.

    Args:
        allow_retain_graph: no influence here: the graph may always be retained.
        batch_chunk_size: rows of the batch that are computed together.
        chunking_method: another way to say so; no influence here.
        acc_policy, acc_dtype: no influence here: sums are taken in float32 at least.

    >>> LinearCrossEntropyOptions(batch_chunk_size=256).batch_chunk_size
    256
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None


def linear_cross_entropy(
    input: fb.Tensor, linear_weight: fb.Tensor, target: fb.Tensor, *, linear_bias: fb.Tensor | None = None,
    weight: fb.Tensor | None = None, reduction: str = "mean", ignore_index: int | None = None,
    label_smoothing: float = 0.0, options: LinearCrossEntropyOptions | None = None,
) -> fb.Tensor:  # fmt: skip
    """`cross_entropy` of ``linear(input, linear_weight, linear_bias)``.

    Args:
        input: ``(K)`` or ``(N, K)``.
        linear_weight: ``(C, K)``, or ``(C, d1, ..., K)`` for a loss of more dimensions.
        target: as for `cross_entropy`.
        linear_bias: ``(C)`` or ``(C, d1, ...)``.
        weight, reduction, label_smoothing: as for `cross_entropy`.
        ignore_index: as for `cross_entropy`; only with class indices.
        options: how to split the batch; the result is the same.

    >>> x, w = fb.zeros(2, 3), fb.zeros(4, 3)
    >>> round(linear_cross_entropy(x, w, fb.tensor([0, 1])).item(), 4)
    1.3863
    """
    op = "linear_cross_entropy"
    need_tensors(op, input=input, linear_weight=linear_weight, target=target)
    if input.ndim not in (1, 2) or linear_weight.ndim < 2 or (linear_weight.ndim > 2 and input.ndim == 1):
        raise RuntimeError(
            message(op, "sizes don't fit", "input (N, K) or (K), linear_weight (C, K) or, with a batch, (C, *, K)",
                    input=input, linear_weight=linear_weight)
        )  # fmt: skip
    if ignore_index is not None and target.is_floating_point():
        raise RuntimeError(f"[{op}] ignore_index is not supported for floating point target.")
    shape = tuple(linear_weight.shape[:-1])
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = linear(input, linear_weight.reshape(-1, linear_weight.shape[-1]), bias)
    logits = logits.reshape(*input.shape[:-1], *shape)
    ignored = -100 if ignore_index is None else ignore_index
    return cross_entropy(logits, target, weight, None, ignored, None, reduction, label_smoothing)


def multilabel_margin_loss(
    input: fb.Tensor, target: fb.Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> fb.Tensor:  # fmt: skip
    """The mean over classes of ``max(0, 1 - (x[y] - x[i]))`` for every label y and every class i that is none.

    Args:
        input: ``(N, C)`` or ``(C)``.
        target: the same shape, int64: labels, ended by -1.
        size_average, reduce: older forms of `reduction`.
        reduction: what becomes of the batch's elements.

    >>> round(multilabel_margin_loss(fb.tensor([0.1, 0.2, 0.4, 0.8]), fb.tensor([3, 0, -1, 1])).item(), 4)
    0.85
    """
    op = "multilabel_margin_loss"
    reduction = reduction_of(op, reduction, size_average, reduce)
    need_tensors(op, input=input, target=target)
    if input.ndim > 2 or target.shape != input.shape or (input.ndim and not input.shape[-1]):
        raise RuntimeError(
            message(
                op,
                "inconsistent target size",
                "(N, C) and (N, C), or (C) and (C)",
                input=input,
                target=target,
            )
        )
    x, y = input.reshape(-1, input.shape[-1] if input.ndim else 1), target
    y = y.reshape(tuple(x.shape))
    if y.numel() and (int(y.amin()) < -1 or int(y.amax()) >= x.shape[1]):
        raise RuntimeError(
            message(op, f"target out of range: needed labels below {x.shape[1]}, or -1", target=target)
        )
    valid = (y < 0).to(fb.int64).cumsum(1) == 0
    labels = y.clamp(min=0)
    is_label = (
        fb.zeros(tuple(x.shape), dtype=fb.int64, device=x.device).scatter_add(1, labels, valid.to(fb.int64))
        > 0
    )
    gaps = (1 - x.gather(1, labels).unsqueeze(2) + x.unsqueeze(1)).clamp(min=0)
    counted = (valid.unsqueeze(2) & ~is_label.unsqueeze(1)).to(x.dtype)
    loss = (gaps * counted).sum((1, 2)) / x.shape[1]
    return reduced(loss if input.ndim == 2 else loss.squeeze(0), reduction)
