"""Losses over classes and over vectors: cross_entropy, nll_loss, margins, embeddings, triplets."""

from __future__ import annotations

from collections.abc import Callable

import flambeau as fb
from flambeau.errors import message

from .. import ops as kernels
from ._common import need_tensors, reduced, reduction_of, same_shape
from .activations import logsigmoid
from .distances import pairwise_distance

__all__ = [
    "cosine_embedding_loss", "cross_entropy", "margin_ranking_loss", "multi_margin_loss",
    "multilabel_soft_margin_loss", "nll_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip


def cross_entropy(
    input: fb.Tensor, target: fb.Tensor, weight: fb.Tensor | None = None, size_average: bool | None = None,
    ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0,
) -> fb.Tensor:  # fmt: skip
    """The cross entropy between logits and classes, or class probabilities.

    Args:
        input: logits ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``.
        target: class indices without the dimension C, or probabilities of the input's shape.
        weight: a factor for each class, ``(C)``.
        size_average, reduce: older forms of `reduction`.
        ignore_index: a class that counts neither in the loss nor in the mean.
        reduction: what becomes of the elements.
        label_smoothing: the part of the target that is spread over all classes.

    >>> round(cross_entropy(fb.zeros(1, 4), fb.tensor([2])).item(), 4)
    1.3863
    """
    reduction = reduction_of("cross_entropy", reduction, size_average, reduce)
    need_tensors("cross_entropy", input=input, target=target)
    if target.shape != input.shape or not target.is_floating_point():
        _check_classes("cross_entropy", input, target)
    return kernels.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(
    input: fb.Tensor, target: fb.Tensor, weight: fb.Tensor | None = None, size_average: bool | None = None,
    ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean",
) -> fb.Tensor:  # fmt: skip
    """Minus the log-probability of the target class; the arguments are `cross_entropy`'s, with log-probabilities."""
    reduction = reduction_of("nll_loss", reduction, size_average, reduce)
    need_tensors("nll_loss", input=input, target=target)
    _check_classes("nll_loss", input, target)
    return kernels.nll_loss(input, target, weight, ignore_index, reduction)


def _check_classes(op: str, input: fb.Tensor, target: fb.Tensor) -> None:
    """Class indices have the input's shape without dimension 1 (or 0 of an unbatched input)."""
    if input.ndim == 0:
        raise ValueError(message(op, "expected 1 or more dimensions", "input (N, C)", input=input))
    needed = () if input.ndim == 1 else (*input.shape[:1], *input.shape[2:])
    if tuple(target.shape) == needed:
        if not target.is_floating_point():
            return
        raise RuntimeError(
            message(op, "class indices must be integers", "an int64 target, or probabilities of the input's shape",
                    "Use target.long().", target=target)
        )  # fmt: skip
    if target.ndim > 0 and needed and target.shape[0] != needed[0]:
        wrong = f"expected input batch_size ({needed[0]}) to match target batch_size ({target.shape[0]})"
    else:
        wrong = "the shapes of input and target don't fit"
    do = "Use target.squeeze(1)." if tuple(target.shape) == (*needed[:1], 1, *needed[1:]) else ""
    raise ValueError(message(op, wrong, f"a target of shape {list(needed)}", do, input=input, target=target))


def multilabel_soft_margin_loss(
    input: fb.Tensor, target: fb.Tensor, weight: fb.Tensor | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> fb.Tensor:  # fmt: skip
    """The mean over classes of the binary cross entropy with logits: ``(N, C)`` to ``(N)``."""
    reduction = reduction_of("multilabel_soft_margin_loss", reduction, size_average, reduce)
    same_shape("multilabel_soft_margin_loss", input, target)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(loss.mean(-1), reduction)


def multi_margin_loss(
    input: fb.Tensor, target: fb.Tensor, p: int = 1, margin: float = 1.0, weight: fb.Tensor | None = None,
    size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
) -> fb.Tensor:  # fmt: skip
    """The hinge loss over classes: the mean over C of ``max(0, margin - x[y] + x[i]) ** p`` for ``i != y``."""
    reduction = reduction_of("multi_margin_loss", reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError(f"[multi_margin_loss] only p == 1 and p == 2 supported: got {p}.")
    need_tensors("multi_margin_loss", input=input, target=target)
    x = input if input.ndim == 2 else input.reshape(1, -1)
    y = target if input.ndim == 2 else target.reshape(-1)
    if input.ndim > 2 or target.ndim > 1 or y.shape[0] != x.shape[0] or not x.shape[1]:
        raise RuntimeError(
            message("multi_margin_loss", "inconsistent target size", "(N, C) and (N), or (C) and ()", input=input,
                    target=target)
        )  # fmt: skip
    if weight is not None and tuple(weight.shape) != (x.shape[1],):
        needed = f"one-dimensional, of {x.shape[1]} elements"
        kind = ValueError if weight.ndim != 1 else RuntimeError
        raise kind(message("multi_margin_loss", "inconsistent size of weight", needed, weight=weight))
    if target.is_floating_point():
        raise RuntimeError(
            message("multi_margin_loss", "class indices must be integers", "int64", target=target)
        )
    place = y.unsqueeze(1)
    gaps = (margin - x.gather(1, place) + x).clamp_min(0)
    gaps = gaps if p == 1 else gaps.square()
    if weight is not None:
        gaps = gaps * weight[y].unsqueeze(1)
    others = fb.ones_like(x.detach()).scatter(1, place, 0.0)
    loss = (gaps * others).sum(1) / x.shape[1]
    return reduced(loss if input.ndim == 2 or target.ndim else loss.squeeze(0), reduction)


def margin_ranking_loss(
    input1: fb.Tensor, input2: fb.Tensor, target: fb.Tensor, margin: float = 0, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> fb.Tensor:  # fmt: skip
    """``max(0, -y * (x1 - x2) + margin)``: the first should rank higher where the target is 1, lower where -1."""
    reduction = reduction_of("margin_ranking_loss", reduction, size_average, reduce)
    need_tensors("margin_ranking_loss", input1=input1, input2=input2, target=target)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            message("margin_ranking_loss", "all inputs should have the same number of dimensions",
                    input1=input1, input2=input2, target=target)
        )  # fmt: skip
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)


def cosine_embedding_loss(
    input1: fb.Tensor, input2: fb.Tensor, target: fb.Tensor, margin: float = 0, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> fb.Tensor:  # fmt: skip
    """``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1. ``(N, D), (N, D), (N)``."""
    reduction = reduction_of("cosine_embedding_loss", reduction, size_average, reduce)
    need_tensors("cosine_embedding_loss", input1=input1, input2=input2, target=target)
    if target.ndim not in (0, 1) or input1.shape != input2.shape or input1.ndim != target.ndim + 1:
        raise RuntimeError(
            message("cosine_embedding_loss", "sizes don't fit together", "(N, D), (N, D), (N) or (D), (D), ()",
                    input1=input1, input2=input2, target=target)
        )  # fmt: skip
    tiny = 1e-12
    squares1, squares2 = input1.square().sum(-1) + tiny, input2.square().sum(-1) + tiny
    cosine = (input1 * input2).sum(-1) / (squares1 * squares2).sqrt()
    zero = fb.zeros_like(cosine.detach())
    apart = fb.where(target == -1, (cosine - margin).clamp_min(0), zero)
    return reduced(fb.where(target == 1, 1 - cosine, zero) + apart, reduction)


def triplet_margin_loss(
    anchor: fb.Tensor, positive: fb.Tensor, negative: fb.Tensor, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
    swap: bool = False, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
) -> fb.Tensor:  # fmt: skip
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` with the p-norm as d.

    `swap` takes the nearer of the anchor's and the positive's distance to the negative.
    """
    reduction = reduction_of("triplet_margin_loss", reduction, size_average, reduce)
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda x, y: pairwise_distance(x, y, p, eps),
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def triplet_margin_with_distance_loss(
    anchor: fb.Tensor,
    positive: fb.Tensor,
    negative: fb.Tensor,
    *,
    distance_function: Callable[[fb.Tensor, fb.Tensor], fb.Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> fb.Tensor:
    """`triplet_margin_loss` with a distance of your own."""
    reduction = reduction_of("triplet_margin_with_distance_loss", reduction, None, None)
    if margin <= 0:
        raise ValueError(f"[triplet_margin_loss] margin must be greater than 0: got {margin}.")
    need_tensors("triplet_margin_loss", anchor=anchor, positive=positive, negative=negative)
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            message("triplet_margin_loss", "expected all tensors to have the same number of dimensions",
                    anchor=anchor, positive=positive, negative=negative)
        )  # fmt: skip
    distance = distance_function or pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = fb.minimum(far, distance(positive, negative))
    return reduced((margin + near - far).clamp_min(0), reduction)
