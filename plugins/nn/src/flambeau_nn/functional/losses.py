"""Losses between a prediction and a target of the same shape.

`reduction` is ``"none"``, ``"mean"`` or ``"sum"``. Shapes must be equal: nothing is broadcast silently.
"""

from __future__ import annotations

from math import log, pi

import flambeau as fb
from flambeau.errors import message

from .. import ops as kernels
from ._common import need_tensors, reduced, reduction_of, same_shape

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "gaussian_nll_loss", "hinge_embedding_loss",
    "huber_loss", "kl_div", "l1_loss", "mse_loss", "poisson_nll_loss", "smooth_l1_loss", "soft_margin_loss",
]  # fmt: skip


def mse_loss(
    input: fb.Tensor, target: fb.Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", weight: fb.Tensor | None = None,
) -> fb.Tensor:  # fmt: skip
    """The squared difference.

    Args:
        input: the prediction, any shape.
        target: of the same shape.
        size_average, reduce: older forms of `reduction`.
        reduction: what becomes of the elements.
        weight: a factor for each element; the mean divides by its sum.

    >>> mse_loss(fb.tensor([1.0, 2.0]), fb.tensor([1.0, 4.0])).item()
    2.0
    """
    reduction = reduction_of("mse_loss", reduction, size_average, reduce)
    same_shape("mse_loss", input, target)
    if weight is not None:
        return _weighted_mean("mse_loss", kernels.mse_loss(input, target, "none"), weight, reduction)
    return kernels.mse_loss(input, target, reduction)


def _weighted(op: str, loss: fb.Tensor, weight: fb.Tensor) -> fb.Tensor:
    if weight.shape != loss.shape:
        raise ValueError(message(op, "weights and input must have the same size", weight=weight, input=loss))
    return loss * weight


def _weighted_mean(op: str, loss: fb.Tensor, weight: fb.Tensor, reduction: str) -> fb.Tensor:
    total = _weighted(op, loss, weight)
    return total.sum() / weight.sum() if reduction == "mean" else reduced(total, reduction)


def l1_loss(
    input: fb.Tensor, target: fb.Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", weight: fb.Tensor | None = None,
) -> fb.Tensor:  # fmt: skip
    """The absolute difference; the arguments are `mse_loss`'s."""
    reduction = reduction_of("l1_loss", reduction, size_average, reduce)
    same_shape("l1_loss", input, target)
    if input.is_complex() or target.is_complex():
        return reduced((input - target).abs(), reduction)
    if weight is not None:
        return _weighted_mean("l1_loss", kernels.l1_loss(input, target, "none"), weight, reduction)
    return kernels.l1_loss(input, target, reduction)


def smooth_l1_loss(
    input: fb.Tensor, target: fb.Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", beta: float = 1.0,
) -> fb.Tensor:  # fmt: skip
    """The absolute difference, quadratic below `beta`: ``d * d / (2 * beta)``, else ``d - beta / 2``."""
    reduction = reduction_of("smooth_l1_loss", reduction, size_average, reduce)
    same_shape("smooth_l1_loss", input, target)
    if beta < 0:
        raise RuntimeError(f"[smooth_l1_loss] does not support negative values for beta: got {beta}.")
    if beta == 0:
        return kernels.l1_loss(input, target, reduction)
    return kernels.smooth_l1_loss(input, target, reduction, beta)


def huber_loss(
    input: fb.Tensor,
    target: fb.Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: fb.Tensor | None = None,
) -> fb.Tensor:
    """The squared difference halved, linear above `delta`: ``delta * (d - delta / 2)``.

    `weight` is a factor for each element; the mean divides by their number.
    """
    reduction = reduction_of("huber_loss", reduction, None, None)
    same_shape("huber_loss", input, target)
    if delta <= 0:
        raise RuntimeError(f"[huber_loss] does not support non-positive values for delta: got {delta}.")
    if weight is not None:
        loss = kernels.huber_loss(input, target, "none", delta)
        return reduced(_weighted("huber_loss", loss, weight), reduction)
    return kernels.huber_loss(input, target, reduction, delta)


def binary_cross_entropy(
    input: fb.Tensor, target: fb.Tensor, weight: fb.Tensor | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> fb.Tensor:  # fmt: skip
    """``-(y * log(x) + (1 - y) * log(1 - x))`` for probabilities x; logarithms stop at -100."""
    reduction = reduction_of("binary_cross_entropy", reduction, size_average, reduce)
    same_shape("binary_cross_entropy", input, target)
    if weight is not None:
        weight = weight.expand(input.shape)
    return kernels.binary_cross_entropy(input, target, weight, reduction)


def binary_cross_entropy_with_logits(
    input: fb.Tensor, target: fb.Tensor, weight: fb.Tensor | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean", pos_weight: fb.Tensor | None = None,
) -> fb.Tensor:  # fmt: skip
    """`binary_cross_entropy` of ``sigmoid(input)``, computed without overflow.

    Args:
        input: logits, any shape.
        target: of the same shape, between 0 and 1.
        weight: a factor for each element; broadcasts.
        size_average, reduce: older forms of `reduction`.
        reduction: what becomes of the elements.
        pos_weight: a factor for the positive part; broadcasts.
    """
    reduction = reduction_of("binary_cross_entropy_with_logits", reduction, size_average, reduce)
    same_shape("binary_cross_entropy_with_logits", input, target)
    return kernels.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)


def kl_div(
    input: fb.Tensor, target: fb.Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", log_target: bool = False,
) -> fb.Tensor:  # fmt: skip
    """``y * (log(y) - x)`` for log-probabilities x: the divergence of target from input.

    Args:
        input: log-probabilities.
        target: probabilities of the same shape, or their logarithms with `log_target`.
        size_average, reduce: older forms of `reduction`.
        reduction: also ``"batchmean"``, the sum divided by the first size, which is the mathematical one.
        log_target: whether target holds logarithms.
    """
    if reduction != "batchmean" or size_average is not None or reduce is not None:
        reduction = reduction_of("kl_div", reduction, size_average, reduce)
    same_shape("kl_div", input, target)
    return kernels.kl_div(input, target, reduction, log_target)


def poisson_nll_loss(
    input: fb.Tensor, target: fb.Tensor, log_input: bool = True, full: bool = False, size_average: bool | None = None,
    eps: float = 1e-8, reduce: bool | None = None, reduction: str = "mean",
) -> fb.Tensor:  # fmt: skip
    """The negative log likelihood of counts under a Poisson distribution; `full` adds Stirling's term."""
    reduction = reduction_of("poisson_nll_loss", reduction, size_average, reduce)
    same_shape("poisson_nll_loss", input, target)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * pi * target).log()
        loss = loss + fb.where(target > 1, stirling, fb.zeros_like(stirling))
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: fb.Tensor, target: fb.Tensor, var: fb.Tensor | float, full: bool = False, eps: float = 1e-6,
    reduction: str = "mean",
) -> fb.Tensor:  # fmt: skip
    """The negative log likelihood under a normal distribution with mean `input` and variance `var`.

    Args:
        input: the mean, any shape.
        target: of the same shape, or a single number; where one of the two has size 1 in a dimension, it counts for
            all of the other there.
        var: of the input's shape, or without the last dimension, or of size 1 in one; or a number.
        full: add the constant ``log(2 pi) / 2``.
        eps: the smallest variance.
        reduction: what becomes of the elements.
    """
    reduction = reduction_of("gaussian_nll_loss", reduction, None, None)
    need_tensors("gaussian_nll_loss", input=input, target=target)
    pairs = list(zip(input.shape, target.shape, strict=False))
    if pairs and (input.ndim != target.ndim or any(n != m and 1 not in (n, m) for n, m in pairs)):
        same_shape("gaussian_nll_loss", input, target)
    variance = fb.full_like(input.detach(), var) if isinstance(var, (int, float)) else var
    if variance.shape != input.shape and variance.shape == input.shape[:-1]:
        variance = variance.unsqueeze(-1)
    other = [v for n, v in zip(input.shape, variance.shape, strict=False) if n != v]
    if variance.ndim != input.ndim or other not in ([], [1]):
        raise ValueError(message("gaussian_nll_loss", "var is of incorrect size", input=input, var=variance))
    if bool((variance < 0).any()):
        raise ValueError("[gaussian_nll_loss] var has negative entry/entries.")
    with fb.no_grad():  # the clamp has no gradient of its own
        lift = variance.clamp_min(eps) - variance
    variance = variance + lift
    loss = 0.5 * (variance.log() + (input - target).square() / variance)
    return reduced(loss + 0.5 * log(2 * pi) if full else loss, reduction)


def hinge_embedding_loss(
    input: fb.Tensor, target: fb.Tensor, margin: float = 1.0, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> fb.Tensor:  # fmt: skip
    """``x`` where the target is 1, ``max(0, margin - x)`` where it is -1."""
    reduction = reduction_of("hinge_embedding_loss", reduction, size_average, reduce)
    same_shape("hinge_embedding_loss", input, target)
    zero = fb.zeros_like(input.detach())
    loss = fb.where(target != 1, (margin - input).clamp_min(0), zero) + fb.where(target != -1, input, zero)
    return reduced(loss, reduction)


def soft_margin_loss(
    input: fb.Tensor, target: fb.Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> fb.Tensor:  # fmt: skip
    """``log(1 + exp(-y * x))`` for targets 1 and -1."""
    reduction = reduction_of("soft_margin_loss", reduction, size_average, reduce)
    same_shape("soft_margin_loss", input, target)
    return reduced(kernels.softplus(-target * input, 1.0, 36.0), reduction)
