"""Dropout: zero elements or whole channels at random in training."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import flambeau as fb

from .. import ops as kernels
from ._common import in_place, need_tensors

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]


def _apply(
    op: str, input: fb.Tensor, p: float, training: bool, inplace: bool, fn: Callable[[fb.Tensor], fb.Tensor]
) -> fb.Tensor:
    need_tensors(op, input=input)
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"[{op}] dropout probability has to be between 0 and 1: got {p}.")
    if not training or p == 0.0:
        return input
    return in_place(fn, input) if inplace else fn(input)


def dropout(input: fb.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> fb.Tensor:
    """Zero each element with probability `p` and multiply the others by ``1 / (1 - p)``; outside training, nothing."""
    return _apply("dropout", input, p, training, inplace, lambda x: kernels.dropout(x, p, True))


def dropout1d(input: fb.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> fb.Tensor:
    """`dropout` of whole channels: ``(N, C, L)`` or ``(C, L)``."""
    need_tensors("dropout1d", input=input)
    if input.ndim not in (2, 3):
        raise RuntimeError(f"[dropout1d] expected 2D or 3D input: got a {input.ndim}D input.")
    batched = input.ndim == 3
    return _apply("dropout1d", input, p, training, inplace, lambda x: _channels(x, p, batched))


def dropout2d(input: fb.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> fb.Tensor:
    """`dropout` of whole channels: ``(N, C, H, W)``."""
    return _apply("dropout2d", input, p, training, inplace, lambda x: _channels(x, p, True))


def dropout3d(input: fb.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> fb.Tensor:
    """`dropout` of whole channels: ``(N, C, D, H, W)``."""
    return _apply("dropout3d", input, p, training, inplace, lambda x: _channels(x, p, True))


def _channels(input: fb.Tensor, p: float, batched: bool) -> fb.Tensor:
    kept = 2 if batched else 1
    ones = fb.ones(
        [*input.shape[:kept], *([1] * (input.ndim - kept))], dtype=input.dtype, device=input.device
    )
    return input * kernels.dropout(ones, p, True)


def alpha_dropout(
    input: fb.Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> fb.Tensor:
    """Dropout that keeps mean and variance of `selu` activations."""
    return _apply("alpha_dropout", input, p, training, inplace, lambda x: _alpha(x, p, x.shape))


def feature_alpha_dropout(
    input: fb.Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> fb.Tensor:
    """`alpha_dropout` of whole channels."""

    def drop(x: fb.Tensor) -> fb.Tensor:
        return _alpha(x, p, (*x.shape[:2], *([1] * (x.ndim - 2))))

    return _apply("feature_alpha_dropout", input, p, training, inplace, drop)


def _alpha(input: fb.Tensor, p: float, shape: tuple[int, ...]) -> fb.Tensor:
    floor = -1.7580993408473766  # -scale * alpha of selu
    keep = fb.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1 - p)
    gain = 1.0 / sqrt((1 - p) * (1 + p * floor**2)) if p < 1 else 0.0
    return input * (keep * gain) + ((1 - keep) * floor + p * -floor) * gain
