"""Pooling of volumes, ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

A window of a volume is a window of an image in each slice and then a window of slices: both are pooling of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau as fb
from flambeau.errors import message

from .. import ops as kernels
from ._common import check_window, need_tensors, tuple_of, written
from .pooling import INTEGERS, Sizes, adaptive_max, adaptive_sizes, check_sizes, root

__all__ = [
    "adaptive_avg_pool3d", "adaptive_max_pool3d", "adaptive_max_pool3d_with_indices", "avg_pool3d", "lp_pool3d",
    "max_pool3d", "max_pool3d_with_indices",
]  # fmt: skip

Triple = tuple[int, ...]


def _windows(
    op: str, input: fb.Tensor, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes = 1
) -> tuple[fb.Tensor, Triple, Triple, Triple, Triple]:
    """The input with a batch dimension, and the checked sizes."""
    need_tensors(op, input=input)
    if input.ndim not in (4, 5):
        raise RuntimeError(message(op, f"expected 4D (unbatched) or 5D (batched) input to {op}", input=input))
    kernel = tuple_of(3, op, "kernel_size", kernel_size)
    steps = kernel if stride is None or stride == () else tuple_of(3, op, "stride", stride)
    pads = tuple_of(3, op, "padding", padding)
    spread = tuple_of(3, op, "dilation", dilation)
    if any(2 * pad > size for pad, size in zip(pads, kernel, strict=True)):
        raise RuntimeError(
            f"[{op}] pad should be at most half of effective kernel size: got padding {pads}, kernel {kernel}."
        )
    check_window(op, 3, kernel_size=kernel, stride=steps, padding=pads, dilation=spread)
    return (input if input.ndim == 5 else input.unsqueeze(0)), kernel, steps, pads, spread


def max_pool3d(
    input: fb.Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest value of each window; the arguments are `max_pool2d`'s.

    >>> max_pool3d(fb.arange(8.0).view(1, 2, 2, 2), 2).tolist()
    [[[[7.0]]]]
    """
    x, k, s, p, d = _windows("max_pool3d", input, kernel_size, stride, padding, dilation)
    check_sizes("max_pool3d", 3, input)
    n, c, depth, height, width = x.shape
    slices = x.reshape(n, c * depth, height, width)
    flat, at = kernels.max_pool2d(slices, k[1:], s[1:], p[1:], d[1:], ceil_mode, True)
    area = flat.shape[2] * flat.shape[3]
    stack = flat.reshape(n, c, depth, area)
    deep, level = kernels.max_pool2d(
        stack, (k[0], 1), (s[0], 1), (p[0], 0), (d[0], 1), ceil_mode, return_indices=True
    )
    shape = (n, c, deep.shape[2], *flat.shape[2:])
    values = deep.reshape(shape)
    values = values if input is x else values.squeeze(0)
    if not return_indices:
        return values
    inside = (
        at.reshape(n, c, depth * area).gather(2, level.reshape(n, c, deep.shape[2] * area)).reshape(shape)
    )
    places = level.reshape(shape) // area * (height * width) + inside
    return values, places if input is x else places.squeeze(0)


def max_pool3d_with_indices(
    input: fb.Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> tuple[fb.Tensor, fb.Tensor]:  # fmt: skip
    """`max_pool3d` and the places of the values."""
    values, places = max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode, True)
    return values, places


def avg_pool3d(
    input: fb.Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None, *, out: fb.Tensor | None = None,
) -> fb.Tensor:  # fmt: skip
    """The mean of each window; the arguments are `avg_pool2d`'s.

    >>> avg_pool3d(fb.arange(8.0).view(1, 2, 2, 2), 2).tolist()
    [[[[3.5]]]]
    """
    x, k, s, p, _ = _windows("avg_pool3d", input, kernel_size, stride, padding)
    if divisor_override == 0:
        raise RuntimeError("[avg_pool3d] divisor must be not zero.")
    n, c, depth, height, width = x.shape
    slices = _wide(x).reshape(n, c * depth, height, width)
    flat = kernels.avg_pool2d(slices, k[1:], s[1:], p[1:], ceil_mode, True, 1)
    stack = flat.reshape(n, c, depth, flat.shape[2] * flat.shape[3])
    deep = kernels.avg_pool2d(stack, (k[0], 1), (s[0], 1), (p[0], 0), ceil_mode, True, 1)
    sums = deep.reshape(n, c, deep.shape[2], *flat.shape[2:])
    counts: Any = divisor_override
    if counts is None:
        counts = fb.ones((), dtype=sums.dtype, device=x.device)
        for place, (size, m) in enumerate(zip(x.shape[2:], sums.shape[2:], strict=True)):
            start = fb.arange(m, device=x.device) * s[place] - p[place]
            end = start + k[place]
            pad = p[place] if count_include_pad else 0
            covered = end.clamp(max=size + pad) - start.clamp(min=-pad)
            counts = counts * covered.reshape(-1, *(1,) * (2 - place))
    means: fb.Tensor = sums / counts
    means = (means.trunc() if x.dtype in INTEGERS else means).to(x.dtype)
    return written("avg_pool3d", means if input is x else means.squeeze(0), out, input, exact=True)


def _wide(x: fb.Tensor) -> fb.Tensor:
    """Numbers that lose nothing between the two steps."""
    if x.dtype in INTEGERS:
        return x.to(fb.float64)
    return x.to(fb.float32) if x.dtype in (fb.float16, fb.bfloat16) else x


def adaptive_avg_pool3d(input: fb.Tensor, output_size: int | Sequence[int | None] | None) -> fb.Tensor:
    """The means of windows chosen so that the result has `output_size`; ``None`` keeps a dimension."""
    size = adaptive_sizes("adaptive_avg_pool3d", 3, input, output_size)
    x = input if input.ndim == 5 else input.unsqueeze(0)
    n, c, depth, height, width = x.shape
    flat = kernels.adaptive_avg_pool2d(_wide(x).reshape(n, c * depth, height, width), size[1:])
    deep = kernels.adaptive_avg_pool2d(
        flat.reshape(n, c, depth, size[1] * size[2]), (size[0], size[1] * size[2])
    )
    means = deep.reshape(n, c, *size).to(x.dtype)
    return means if input is x else means.squeeze(0)


def adaptive_max_pool3d(
    input: fb.Tensor, output_size: int | Sequence[int | None] | None, return_indices: bool = False
) -> Any:
    """The largest values of windows chosen so that the result has `output_size`; ``None`` keeps a dimension."""
    return adaptive_max(3, "adaptive_max_pool3d", input, output_size, return_indices)


def adaptive_max_pool3d_with_indices(
    input: fb.Tensor, output_size: int | Sequence[int | None] | None, return_indices: bool = False
) -> tuple[fb.Tensor, fb.Tensor]:
    """`adaptive_max_pool3d` and the places of the values."""
    values, places = adaptive_max(3, "adaptive_max_pool3d", input, output_size, True)
    return values, places


def lp_pool3d(
    input: fb.Tensor,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> fb.Tensor:
    """The p-norm of each window."""
    kd, kh, kw = tuple_of(3, "lp_pool3d", "kernel_size", kernel_size)
    need_tensors("lp_pool3d", input=input)
    means = avg_pool3d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return root(means, kd * kh * kw, norm_type)
