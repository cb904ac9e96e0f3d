"""Losses between a prediction and a target of the same shape. Nothing is broadcast silently."""

from __future__ import annotations

import flambeau as fb

from .. import functional as F
from ..functional._common import reduction_of
from ..module import Module

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "GaussianNLLLoss", "HingeEmbeddingLoss", "HuberLoss", "KLDivLoss", "L1Loss",
    "MSELoss", "PoissonNLLLoss", "SmoothL1Loss", "SoftMarginLoss",
]  # fmt: skip


class _Loss(Module):
    reduction: str

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        if size_average is not None or reduce is not None:
            reduction = reduction_of(type(self).__name__, reduction, size_average, reduce)
        self.reduction = reduction


class MSELoss(_Loss):
    """The squared difference.

    Args:
        size_average, reduce: older forms of `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape: two equal ones, to ``()`` or with ``"none"`` the same.

    >>> from flambeau import nn
    >>> nn.MSELoss()(fb.tensor([1.0, 2.0]), fb.tensor([1.0, 4.0])).item()
    2.0
    """

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """The absolute difference; the arguments are `MSELoss`'s.

    Shape: two equal ones, to ``()`` or with ``"none"`` the same.

    >>> from flambeau import nn
    >>> nn.L1Loss()(fb.tensor([1.0, 2.0]), fb.tensor([1.0, 4.0])).item()
    1.0
    """

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """The absolute difference, quadratic below `beta`.

    Args:
        size_average, reduce: older forms of `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        beta: the edge.

    Shape: two equal ones, to ``()`` or with ``"none"`` the same.

    >>> from flambeau import nn
    >>> nn.SmoothL1Loss()(fb.tensor([0.0]), fb.tensor([3.0])).item()
    2.5
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """The squared difference halved, linear above `delta`.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        delta: the edge.

    Shape: two equal ones, to ``()`` or with ``"none"`` the same.

    >>> from flambeau import nn
    >>> nn.HuberLoss()(fb.tensor([0.0]), fb.tensor([3.0])).item()
    2.5
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.huber_loss(input, target, self.reduction, self.delta)


class BCELoss(_Loss):
    """The binary cross entropy of probabilities.

    Args:
        weight: a factor for each element; broadcasts.
        size_average, reduce: older forms of `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape: two equal ones, to ``()`` or with ``"none"`` the same.

    >>> from flambeau import nn
    >>> round(nn.BCELoss()(fb.tensor([0.5]), fb.tensor([1.0])).item(), 4)
    0.6931
    """

    weight: fb.Tensor | None

    def __init__(
        self, weight: fb.Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """The binary cross entropy of ``sigmoid(input)``, computed without overflow.

    Args:
        weight: a factor for each element; broadcasts.
        size_average, reduce: older forms of `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        pos_weight: a factor for the positive part; broadcasts.

    Shape: two equal ones, to ``()`` or with ``"none"`` the same.

    >>> from flambeau import nn
    >>> round(nn.BCEWithLogitsLoss()(fb.tensor([0.0]), fb.tensor([1.0])).item(), 4)
    0.6931
    """

    weight: fb.Tensor | None
    pos_weight: fb.Tensor | None

    def __init__(
        self, weight: fb.Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean", pos_weight: fb.Tensor | None = None,
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class KLDivLoss(_Loss):
    """The divergence of the target from the input's log-probabilities.

    Args:
        size_average, reduce: older forms of `reduction`.
        reduction: ``"mean"``, ``"batchmean"`` (the mathematical one), ``"sum"`` or ``"none"``.
        log_target: whether the target holds logarithms.

    Shape: two equal ones, to ``()`` or with ``"none"`` the same.

    >>> from flambeau import nn
    >>> p = fb.tensor([[0.5, 0.5]])
    >>> nn.KLDivLoss(reduction="batchmean")(p.log(), p).item()
    0.0
    """

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
        log_target: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(_Loss):
    """The negative log likelihood of counts under a Poisson distribution.

    Args:
        log_input: whether the input is the rate's logarithm.
        full: add Stirling's term.
        size_average, reduce: older forms of `reduction`.
        eps: added to the rate before its logarithm.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape: two equal ones, to ``()`` or with ``"none"`` the same.

    >>> from flambeau import nn
    >>> nn.PoissonNLLLoss()(fb.tensor([0.0]), fb.tensor([3.0])).item()
    1.0
    """

    def __init__(
        self, log_input: bool = True, full: bool = False, size_average: bool | None = None, eps: float = 1e-8,
        reduce: bool | None = None, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.poisson_nll_loss(
            log_input,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(_Loss):
    """The negative log likelihood under a normal distribution.

    Args:
        full: add the constant term.
        eps: the least variance.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape: mean and target equal; the variance too, or without the last dimension, or with size 1 there.

    >>> from flambeau import nn
    >>> nn.GaussianNLLLoss()(fb.tensor([1.0]), fb.tensor([3.0]), fb.tensor([1.0])).item()
    2.0
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: fb.Tensor, target: fb.Tensor, var: fb.Tensor | float) -> fb.Tensor:
        """Compare."""
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class HingeEmbeddingLoss(_Loss):
    """``x`` where the target is 1, ``max(0, margin - x)`` where it is -1.

    Args:
        margin: the edge.
        size_average, reduce: older forms of `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape: two equal ones, to ``()`` or with ``"none"`` the same.

    >>> from flambeau import nn
    >>> nn.HingeEmbeddingLoss()(fb.tensor([0.5, 0.5]), fb.tensor([1, -1])).item()
    0.5
    """

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """``log(1 + exp(-y * x))`` for targets 1 and -1.

    Shape: two equal ones, to ``()`` or with ``"none"`` the same.

    >>> from flambeau import nn
    >>> round(nn.SoftMarginLoss()(fb.tensor([0.0]), fb.tensor([1.0])).item(), 4)
    0.6931
    """

    def forward(self, input: fb.Tensor, target: fb.Tensor) -> fb.Tensor:
        """Compare."""
        return F.soft_margin_loss(input, target, reduction=self.reduction)
