"""Losses of sequences, large vocabularies and sets of labels."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import flambeau as fb
from flambeau.errors import message

from .. import functional as F
from ..containers import ModuleList, Sequential
from ..functional._common import reduction_of
from ..functional.sequence_losses import LinearCrossEntropyOptions
from ..module import Module
from .linear import Linear

__all__ = [
    "AdaptiveLogSoftmaxWithLoss", "CTCLoss", "LinearCrossEntropyLoss", "LinearCrossEntropyOptions",
    "MultiLabelMarginLoss",
]  # fmt: skip


class CTCLoss(Module):
    """Connectionist temporal classification: minus the log-probability of targets that aren't aligned with the input.

    Args:
        blank: the class that stands for no label.
        reduction: ``"mean"`` (each loss divided by its target's length), ``"sum"`` or ``"none"``.
        zero_infinity: make losses and gradients zero where the target doesn't fit into the input.

    Shape: log-probabilities ``(T, N, C)`` or ``(T, C)``; targets ``(N, S)`` or all after one another; two times N
    lengths.

    >>> from flambeau import nn
    >>> x = fb.zeros(3, 1, 2).log_softmax(-1)
    >>> round(nn.CTCLoss()(x, fb.tensor([[1]]), [3], [1]).item(), 4)
    0.2877
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__()
        self.reduction = reduction
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(
        self, log_probs: fb.Tensor, targets: fb.Tensor, input_lengths: Any, target_lengths: Any
    ) -> fb.Tensor:
        """Compare."""
        return F.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )


class MultiLabelMarginLoss(Module):
    """The mean over classes of ``max(0, 1 - (x[y] - x[i]))`` for every label y and every class i that is none.

    Args:
        size_average, reduce: older forms of `reduction`.
        reduction: what becomes of the batch's elements.

    Shape: ``(N, C)`` and int64 labels ``(N, C)``, ended by -1; or both without N.

    >>> from flambeau import nn
    >>> x, y = fb.tensor([[0.1, 0.2, 0.4, 0.8]]), fb.tensor([[3, 0, -1, 1]])
    >>> round(nn.MultiLabelMarginLoss()(x, y).item(), 4)
    0.85
    """

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.reduction = reduction_of("MultiLabelMarginLoss", reduction, size_average, reduce)

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class LinearCrossEntropyLoss(Module):
    """A linear layer and the cross entropy of its results.

    Args:
        in_features: K, the last size of the input.
        num_classes: C.
        out_features: further sizes of the logits.
        bias: whether the layer has one.
        device, dtype: of the parameters.
        reduction, weight, ignore_index, label_smoothing: as for `CrossEntropyLoss`.
        options: how the batch is split; the result is the same.

    Shape: ``(N, K)`` or ``(K)``, and classes ``(N, *out_features)`` or probabilities ``(N, C, *out_features)``.

    >>> from flambeau import nn
    >>> loss = nn.LinearCrossEntropyLoss(3, 4)
    >>> loss(fb.ones(2, 3), fb.tensor([0, 1])).shape == ()
    True
    """

    weight: fb.Tensor | None

    def __init__(
        self, in_features: int, num_classes: int, *, out_features: tuple[int, ...] = (), bias: bool = False,
        device: Any = None, dtype: fb.dtype | None = None, reduction: str = "mean", weight: fb.Tensor | None = None,
        ignore_index: int | None = None, label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
    ) -> None:  # fmt: skip
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise RuntimeError(
                message(
                    "LinearCrossEntropyLoss", f"expected weight shape to be ({num_classes},)", weight=weight
                )
            )
        if not 0 <= label_smoothing <= 1:
            raise RuntimeError(
                f"[LinearCrossEntropyLoss] expected label_smoothing to be in range [0, 1]: got {label_smoothing}."
            )
        super().__init__()
        self.register_buffer("weight", weight)
        self.reduction = reduction
        self.num_classes = num_classes
        self.out_features = tuple(out_features)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        rows = num_classes * math.prod(self.out_features)
        self.linear = Linear(in_features, rows, bias=bias, device=device, dtype=dtype)
        self.options = options

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        shape = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input, self.linear.weight.reshape(*shape, self.linear.in_features), target,
            linear_bias=None if bias is None else bias.reshape(shape), weight=self.weight, reduction=self.reduction,
            ignore_index=self.ignore_index, label_smoothing=self.label_smoothing, options=self.options,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """All arguments."""
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
            f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )


class _Found(NamedTuple):
    output: fb.Tensor
    loss: fb.Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """An approximation of softmax and its loss for many classes of very different frequency.

    Frequent classes are in the head; the others in clusters, whose layers are smaller the rarer the classes are
    (E. Grave and others, "Efficient softmax approximation for GPUs", 2017).

    Args:
        in_features: K, the last size of the input.
        n_classes: the number of classes, the most frequent first.
        cutoffs: the first class of each cluster.
        div_value: by how much each cluster's layer is narrower than the one before.
        head_bias: whether the head has a bias.
        device, dtype: of the parameters.

    Shape: ``(N, K)`` and ``(N)`` to log-probabilities of the targets ``(N)`` and the loss; or all without N.

    >>> from flambeau import nn
    >>> loss = nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2, 5], div_value=2.0)
    >>> loss(fb.ones(3, 8), fb.tensor([0, 4, 9])).output.shape == (3,)
    True
    """

    def __init__(
        self, in_features: int, n_classes: int, cutoffs: Any, div_value: float = 4.0, head_bias: bool = False,
        device: Any = None, dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        ends = list(cutoffs)
        if not ends:
            raise ValueError(
                "[AdaptiveLogSoftmaxWithLoss] cutoffs should be a sequence of length larger than 0."
            )
        if (
            any(int(c) != c for c in ends)
            or ends != sorted(set(ends))
            or ends[0] <= 0
            or ends[-1] > n_classes - 1
        ):
            raise ValueError(
                "[AdaptiveLogSoftmaxWithLoss] cutoffs should be a sequence of unique, positive integers sorted in an "
                f"increasing order, where each value is between 1 and n_classes-1: got {ends}, {n_classes} classes."
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*ends, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = ends[0]
        self.n_clusters = len(ends)
        self.head_size = self.shortlist_size + self.n_clusters
        where = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **where)
        self.tail = ModuleList()
        for k, (start, stop) in enumerate(pairwise(self.cutoffs)):
            width = int(in_features // div_value ** (k + 1))
            self.tail.append(
                Sequential(
                    Linear(in_features, width, bias=False, **where),
                    Linear(width, stop - start, bias=False, **where),
                )
            )

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        self.head.reset_parameters()
        for projection in self.tail:
            for layer in projection.children():
                assert isinstance(layer, Linear)
                layer.reset_parameters()

    def forward(self, input_: fb.Tensor, target_: fb.Tensor) -> _Found:
        """Log-probabilities of the targets, and minus their mean."""
        name = "AdaptiveLogSoftmaxWithLoss"
        if target_.ndim > 1:
            raise RuntimeError(
                message(name, "0D or 1D target tensor expected, multi-target not supported", target=target_)
            )
        if input_.ndim != target_.ndim + 1 or input_.shape[:-1] != target_.shape:
            raise RuntimeError(
                message(name, "Input and target should have the same size in the batch dimension", "(N, K) and (N)",
                        input=input_, target=target_)
            )  # fmt: skip
        batched = target_.ndim == 1
        x, target = (input_, target_) if batched else (input_.unsqueeze(0), target_.unsqueeze(0))
        low, high = (int(target.amin()), int(target.amax())) if target.numel() else (0, 0)
        if low < 0 or high >= self.n_classes:
            raise RuntimeError(
                f"[{name}] Target values should be in [0, {self.n_classes - 1}], but values in range [{low}, {high}] "
                "were found."
            )
        output = x.new_zeros(target.shape[0])
        places = target.clamp(max=self.shortlist_size)
        for k, (start, stop) in enumerate(pairwise(self.cutoffs)):
            inside = (target >= start) & (target < stop)
            rows = inside.nonzero().squeeze(1)
            if not rows.numel():
                continue
            logs = F.log_softmax(self.tail[k](x.index_select(0, rows)), dim=1)
            chosen = logs.gather(1, (target.index_select(0, rows) - start).unsqueeze(1)).squeeze(1)
            output = output.index_add(0, rows, chosen)
            places = places.index_fill(0, rows, self.shortlist_size + k)
        head = F.log_softmax(self.head(x), dim=1)
        output = output + head.gather(1, places.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _Found(output if batched else output.squeeze(0), loss)

    def log_prob(self, input: fb.Tensor) -> fb.Tensor:
        """The log-probabilities of all classes: ``(N, K)`` to ``(N, n_classes)``."""
        head = F.log_softmax(self.head(input), dim=1)
        parts = [head[:, : self.shortlist_size]]
        for k, projection in enumerate(self.tail):
            share = head[:, self.shortlist_size + k].unsqueeze(1)
            parts.append(F.log_softmax(projection(input), dim=1) + share)
        return fb.cat(parts, 1)

    def predict(self, input: fb.Tensor) -> fb.Tensor:
        """The most probable class: ``(N, K)`` to ``(N)``."""
        return self.log_prob(input).argmax(1)
