"""Losses over classes and over vectors, and the distances that some of them use."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import flambeau as fb

from .. import functional as F
from ..module import Module
from .losses import _Loss

__all__ = [
    "CosineEmbeddingLoss", "CosineSimilarity", "CrossEntropyLoss", "MarginRankingLoss", "MultiLabelSoftMarginLoss",
    "MultiMarginLoss", "NLLLoss", "NLLLoss2d", "PairwiseDistance", "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]  # fmt: skip


class _WeightedLoss(_Loss):
    weight: fb.Tensor | None

    def __init__(
        self, weight: fb.Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(_WeightedLoss):
    """The cross entropy between logits and classes, or class probabilities.

    Args:
        weight: a factor for each class.
        size_average, reduce: older forms of `reduction`.
        ignore_index: a class that counts neither in the loss nor in the mean.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        label_smoothing: the part of the target that is spread over all classes.

    Shape: logits ``(N, C, *)`` and classes ``(N, *)``, or ``(C)`` and ``()``, or probabilities like the logits.

    >>> from flambeau import nn
    >>> round(nn.CrossEntropyLoss()(fb.zeros(1, 4), fb.tensor([2])).item(), 4)
    1.3863
    """

    def __init__(
        self, weight: fb.Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
        reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.cross_entropy(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )  # fmt: skip


class NLLLoss(_WeightedLoss):
    """Minus the log-probability of the target class.

    Args:
        weight: a factor for each class.
        size_average, reduce: older forms of `reduction`.
        ignore_index: a class that counts neither in the loss nor in the mean.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape: log-probabilities ``(N, C, *)`` and classes ``(N, *)``, or ``(C)`` and ``()``.

    >>> from flambeau import nn
    >>> nn.NLLLoss()(fb.tensor([[-1.0, -2.0]]), fb.tensor([1])).item()
    2.0
    """

    def __init__(
        self, weight: fb.Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
        reduce: bool | None = None, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class NLLLoss2d(NLLLoss):
    """The older name of `NLLLoss`, with a FutureWarning.

    >>> from flambeau import nn
    >>> issubclass(nn.NLLLoss2d, nn.NLLLoss)
    True
    """

    def __init__(
        self, weight: fb.Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
        reduce: bool | None = None, reduction: str = "mean",
    ) -> None:  # fmt: skip
        warnings.warn(
            "[NLLLoss2d] `NLLLoss2d` has been deprecated. Please use `NLLLoss` instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__(weight, size_average, ignore_index, reduce, reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """The mean over classes of the binary cross entropy with logits.

    Args:
        weight: a factor for each class.
        size_average, reduce: older forms of `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape: two of ``(N, C)``, to ``()`` or with ``"none"`` ``(N)``.

    >>> from flambeau import nn
    >>> round(nn.MultiLabelSoftMarginLoss()(fb.zeros(1, 2), fb.tensor([[1.0, 0.0]])).item(), 4)
    0.6931
    """

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.multilabel_soft_margin_loss(input, target, weight=self.weight, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """The hinge loss over classes.

    Args:
        p: the power, 1 or 2.
        margin: by how much the target's value should be larger.
        weight: a factor for each class.
        size_average, reduce: older forms of `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape: values ``(N, C)`` and classes ``(N)``, or ``(C)`` and ``()``.

    >>> from flambeau import nn
    >>> nn.MultiMarginLoss()(fb.tensor([[0.0, 0.5]]), fb.tensor([0])).item()
    0.75
    """

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: fb.Tensor | None = None, size_average: bool | None = None,
        reduce: bool | None = None, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError(f"[MultiMarginLoss] only p == 1 and p == 2 supported: got {p}.")
        if weight is not None and weight.ndim != 1:
            raise AssertionError(f"[MultiMarginLoss] weight must be 1D: got {weight.ndim}D.")
        self.p = p
        self.margin = margin

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class _MarginLoss(_Loss):
    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin


class CosineEmbeddingLoss(_MarginLoss):
    """``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1.

    Args:
        margin: the cosine that dissimilar vectors may have.
        size_average, reduce: older forms of `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape: vectors ``(N, D)`` twice and targets ``(N)``, or without N.

    >>> from flambeau import nn
    >>> x = fb.tensor([[1.0, 0.0]])
    >>> nn.CosineEmbeddingLoss()(x, x, fb.tensor([-1])).item()
    1.0
    """

    def forward(self, input1: fb.Tensor, input2: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class MarginRankingLoss(_MarginLoss):
    """``max(0, -y * (x1 - x2) + margin)``: the first should rank higher where the target is 1.

    Args:
        margin: by how much.
        size_average, reduce: older forms of `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape: three equal ones, to ``()`` or with ``"none"`` the same.

    >>> from flambeau import nn
    >>> nn.MarginRankingLoss()(fb.tensor([1.0]), fb.tensor([3.0]), fb.tensor([1])).item()
    2.0
    """

    def forward(self, input1: fb.Tensor, input2: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)``.

    Args:
        margin: by how much the negative should be farther.
        p: the norm of the distance.
        eps: added to the differences.
        swap: take the nearer of the anchor's and the positive's distance to the negative.
        size_average, reduce: older forms of `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape: three of ``(N, D)`` or ``(D)``.

    >>> from flambeau import nn
    >>> near, far = fb.zeros(1, 2), fb.full((1, 2), 9.0)
    >>> nn.TripletMarginLoss()(near, near, far).item()
    0.0
    """

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False,
        size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ValueError(
                f"[TripletMarginLoss] expected margin to be greater than 0, got {margin} instead."
            )
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: fb.Tensor, positive: fb.Tensor, negative: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, reduction=self.reduction
        )


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` with a distance of your own.

    Args:
        distance_function: takes two tensors; `PairwiseDistance` when left out.
        margin: by how much the negative should be farther.
        swap: take the nearer of the anchor's and the positive's distance to the negative.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape: whatever the distance takes.

    >>> from flambeau import nn
    >>> loss = nn.TripletMarginWithDistanceLoss(distance_function=lambda x, y: (x - y).abs().sum(-1))
    >>> loss(fb.zeros(1, 2), fb.zeros(1, 2), fb.ones(1, 2)).item()
    0.0
    """

    def __init__(
        self, *, distance_function: Callable[[fb.Tensor, fb.Tensor], fb.Tensor] | None = None, margin: float = 1.0,
        swap: bool = False, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction)
        if margin <= 0:
            raise ValueError(
                f"[TripletMarginWithDistanceLoss] expected margin to be greater than 0, got {margin} instead."
            )
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: fb.Tensor, positive: fb.Tensor, negative: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.triplet_margin_with_distance_loss(
            anchor, positive, negative, distance_function=self.distance_function, margin=self.margin, swap=self.swap,
            reduction=self.reduction,
        )  # fmt: skip


class CosineSimilarity(Module):
    """The cosine of the angle between vectors.

    Args:
        dim: the dimension along which they lie.
        eps: the least length.

    Shape: two that broadcast, to theirs without `dim`.

    >>> from flambeau import nn
    >>> nn.CosineSimilarity()(fb.tensor([[1.0, 0.0]]), fb.tensor([[2.0, 0.0]])).tolist()
    [1.0]
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: fb.Tensor, x2: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of ``x1 - x2 + eps`` along the last dimension.

    Args:
        p: the norm.
        eps: keeps the gradient finite.
        keepdim: keep the last dimension with size 1.

    Shape: ``(N, D)`` twice, to ``(N)``.

    >>> from flambeau import nn
    >>> round(nn.PairwiseDistance()(fb.tensor([[0.0, 0.0]]), fb.tensor([[3.0, 4.0]])).item(), 3)
    5.0
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: fb.Tensor, x2: fb.Tensor) -> fb.Tensor:
        """Measure."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
