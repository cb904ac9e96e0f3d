"""Normalisations: batch, layer, group, instance, root mean square, local response, and vectors of length 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import flambeau as fb
from flambeau.errors import message

from .. import ops as kernels
from ._common import need_tensors, written
from .pooling import avg_pool2d

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]


def batch_norm(
    input: fb.Tensor, running_mean: fb.Tensor | None, running_var: fb.Tensor | None, weight: fb.Tensor | None = None,
    bias: fb.Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> fb.Tensor:  # fmt: skip
    """Normalise each channel over the batch, or by running statistics.

    Args:
        input: ``(N, C, *)``.
        running_mean, running_var: ``(C)``; in training they move towards the batch's by `momentum`, in place.
        weight, bias: ``(C)``, applied to the result.
        training: use the batch's own statistics.
        momentum: the weight of the new statistics.
        eps: added to the variance.
    """
    if isinstance(input, fb.Tensor) and input.ndim == 1 and not input.numel():
        return input.clone()  # nothing to normalise; PyTorch takes it without channels
    if training:
        _more_than_one("batch_norm", input)
    elif running_mean is None or running_var is None:
        need_tensors("batch_norm", input=input)
        raise RuntimeError(
            "[batch_norm] expected running_mean and running_var to be defined when training=False."
        )
    return kernels.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def _more_than_one(op: str, input: fb.Tensor) -> None:
    need_tensors(op, input=input)
    if input.ndim >= 2 and input.numel() == input.shape[1]:
        raise ValueError(
            message(op, "expected more than 1 value per channel when training", do="Use a larger batch, or eval().",
                    input=input)
        )  # fmt: skip


def instance_norm(
    input: fb.Tensor, running_mean: fb.Tensor | None = None, running_var: fb.Tensor | None = None,
    weight: fb.Tensor | None = None, bias: fb.Tensor | None = None, use_input_stats: bool = True,
    momentum: float = 0.1, eps: float = 1e-5,
) -> fb.Tensor:  # fmt: skip
    """Normalise each channel of each sample by its own statistics, or by running ones."""
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "[instance_norm] expected running_mean and running_var to be defined when use_input_stats is false."
            )
        return kernels.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    need_tensors("instance_norm", input=input)
    n, c = input.shape[:2]
    if input.ndim > 2 and math.prod(input.shape[2:]) == 1:
        raise ValueError(
            message("instance_norm", "expected more than 1 spatial element when training", input=input)
        )
    flat = input.reshape(1, n * c, *input.shape[2:])
    mean = None if running_mean is None else running_mean.repeat(n)
    var = None if running_var is None else running_var.repeat(n)
    y = kernels.batch_norm(flat, mean, var, None, None, True, momentum, eps).view(input.shape)
    with fb.no_grad():
        if running_mean is not None and mean is not None:
            running_mean.copy_(mean.view(n, c).mean(0))
        if running_var is not None and var is not None:
            running_var.copy_(var.view(n, c).mean(0))
    shape = [1, c] + [1] * (input.ndim - 2)
    y = y if weight is None else y * weight.view(shape)
    return y if bias is None else y + bias.view(shape)


def layer_norm(
    input: fb.Tensor, normalized_shape: Sequence[int], weight: fb.Tensor | None = None, bias: fb.Tensor | None = None,
    eps: float = 1e-5,
) -> fb.Tensor:  # fmt: skip
    """Normalise over the last dimensions, whose sizes are `normalized_shape`."""
    return kernels.layer_norm(input, tuple(normalized_shape), weight, bias, eps)


def rms_norm(
    input: fb.Tensor,
    normalized_shape: Sequence[int],
    weight: fb.Tensor | None = None,
    eps: float | None = None,
) -> fb.Tensor:
    """Divide by the root mean square over the last dimensions; `eps` is the dtype's own when left out."""
    need_tensors("rms_norm", input=input)
    return kernels.rms_norm(input, tuple(normalized_shape), weight, eps)


def group_norm(
    input: fb.Tensor,
    num_groups: int,
    weight: fb.Tensor | None = None,
    bias: fb.Tensor | None = None,
    eps: float = 1e-5,
) -> fb.Tensor:
    """Normalise groups of channels of each sample: ``(N, C, *)``."""
    need_tensors("group_norm", input=input)
    if input.ndim < 2:
        raise RuntimeError(
            message("group_norm", "expected at least 2 dimensions for input tensor", input=input)
        )
    if num_groups <= 0 or input.shape[1] % num_groups:
        raise RuntimeError(
            message(
                "group_norm",
                "expected number of channels in input to be divisible by num_groups",
                input=input,
                num_groups=num_groups,
            )
        )
    return kernels.group_norm(input, num_groups, weight, bias, eps)


def local_response_norm(
    input: fb.Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> fb.Tensor:
    """Divide each channel by a power of the mean square over `size` channels around it."""
    need_tensors("local_response_norm", input=input)
    if input.ndim < 3:
        raise ValueError(
            message("local_response_norm", "expected 3D or higher dimensionality input", input=input)
        )
    if input.numel() == 0:
        return input
    n, c = input.shape[:2]
    squares = input.square().reshape(n, 1, c, -1)
    squares = kernels.pad(squares, (0, 0, size // 2, (size - 1) // 2), "constant", 0.0)
    means = avg_pool2d(squares, (size, 1), (1, 1)).view(input.shape)
    return input / (means * alpha + k).pow(beta)


def normalize(
    input: fb.Tensor,
    p: float = 2.0,
    dim: int | Sequence[int] = 1,
    eps: float = 1e-12,
    out: fb.Tensor | None = None,
) -> fb.Tensor:
    """Divide by the p-norm along `dim`, at least `eps`.

    >>> normalize(fb.tensor([[3.0, 4.0]])).tolist() == fb.tensor([[0.6, 0.8]]).tolist()
    True
    """
    need_tensors("normalize", input=input)
    result = input / input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return written("normalize", result, out, input)
