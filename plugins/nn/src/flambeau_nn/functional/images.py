"""Rearrangements of images and sequences: pad, pixel_shuffle, pixel_unshuffle, channel_shuffle."""

from __future__ import annotations

from collections.abc import Sequence

import flambeau as fb
from flambeau.errors import message

from .. import ops as kernels
from ._common import need_tensors

__all__ = [
    "channel_shuffle",
    "native_channel_shuffle",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
]


def pad(
    input: fb.Tensor, pad: int | Sequence[int], mode: str = "constant", value: float | None = None
) -> fb.Tensor:
    """Put elements around a tensor, or cut some off where the padding is negative.

    Args:
        input: any tensor; ``(N, C, *)`` or ``(C, *)`` unless `mode` is ``"constant"``.
        pad: pairs (before, after) from the last dimension on.
        mode: ``"constant"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        value: the constant, 0 when left out.

    >>> pad(fb.ones(1, 2), (1, 0)).tolist()
    [[0.0, 1.0, 1.0]]
    """
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise NotImplementedError(
            f"[pad] unrecognised padding mode: got {mode!r}, needed: constant, reflect, replicate or circular."
        )
    if mode != "constant" and value is not None and value != 0:
        raise ValueError(f"[pad] padding mode {mode!r} doesn't take in value argument: got value {value}.")
    need_tensors("pad", input=input)
    sizes = (pad, pad) if isinstance(pad, int) else tuple(pad)
    if len(sizes) % 2 or len(sizes) > 2 * input.ndim:
        raise RuntimeError(
            message("pad", "padding length must be divisible by 2 and at most twice the number of dimensions",
                    input=input, pad=sizes)
        )  # fmt: skip
    return kernels.pad(input, sizes, mode, 0.0 if value is None else value)


def pixel_shuffle(input: fb.Tensor, upscale_factor: int) -> fb.Tensor:
    """Turn channels into pixels: ``(*, C * r * r, H, W)`` to ``(*, C, H * r, W * r)``.

    >>> pixel_shuffle(fb.arange(4.0).view(1, 4, 1, 1), 2).tolist()
    [[[[0.0, 1.0], [2.0, 3.0]]]]
    """
    need_tensors("pixel_shuffle", input=input)
    r = upscale_factor
    if r == 1 and input.ndim >= 3:
        return input.clone()
    if input.ndim < 3:
        raise RuntimeError(
            message("pixel_shuffle", "expects input to have at least 3 dimensions", input=input)
        )
    if r <= 0:
        raise RuntimeError(f"[pixel_shuffle] expects a positive upscale_factor: got {r}.")
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise RuntimeError(
            message(
                "pixel_shuffle",
                f"expects its input's 'channel' dimension to be divisible by the square of upscale_factor, {r * r}",
                input=input,
            )
        )
    x = input.reshape(*lead, c // (r * r), r, r, h, w)
    n = len(lead)
    x = x.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return x.reshape(*lead, c // (r * r), h * r, w * r)


def pixel_unshuffle(input: fb.Tensor, downscale_factor: int) -> fb.Tensor:
    """Turn pixels into channels: ``(*, C, H * r, W * r)`` to ``(*, C * r * r, H, W)``."""
    need_tensors("pixel_unshuffle", input=input)
    r = downscale_factor
    if r == 1 and input.ndim >= 3:
        return input.clone()
    if input.ndim < 3:
        raise RuntimeError(
            message("pixel_unshuffle", "expects input to have at least 3 dimensions", input=input)
        )
    if r <= 0:
        raise RuntimeError(f"[pixel_unshuffle] expects a positive downscale_factor: got {r}.")
    *lead, c, h, w = input.shape
    if h % r or w % r:
        raise RuntimeError(
            message(
                "pixel_unshuffle",
                f"expects height and width to be divisible by downscale_factor {r}",
                input=input,
            )
        )
    n = len(lead)
    x = input.reshape(*lead, c, h // r, r, w // r, r)
    x = x.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return x.reshape(*lead, c * r * r, h // r, w // r)


def channel_shuffle(input: fb.Tensor, groups: int) -> fb.Tensor:
    """Deal the channels out over `groups` groups: ``(N, C, *)`` to the same."""
    need_tensors("channel_shuffle", input=input)
    if input.ndim < 3:
        raise RuntimeError(message("channel_shuffle", "expects input with more than 2 dims", input=input))
    n, c, *rest = input.shape
    if groups <= 0 or c % groups:
        raise RuntimeError(
            message(
                "channel_shuffle",
                "number of channels must be divisible by groups",
                input=input,
                groups=groups,
            )
        )
    return input.reshape(n, groups, c // groups, *rest).transpose(1, 2).reshape(input.shape)


def native_channel_shuffle(input: fb.Tensor, groups: int) -> fb.Tensor:
    """The same as `channel_shuffle`."""
    return channel_shuffle(input, groups)
