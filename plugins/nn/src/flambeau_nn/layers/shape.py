"""Layers that rearrange: Flatten, Unflatten, PixelShuffle, ChannelShuffle, Upsample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau as fb

from .. import functional as F
from ..module import Module

__all__ = [
    "ChannelShuffle", "Flatten", "PixelShuffle", "PixelUnshuffle", "Unflatten", "Upsample", "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
]  # fmt: skip


class Flatten(Module):
    """Make one dimension of the dimensions from `start_dim` to `end_dim`.

    Args:
        start_dim: the first one.
        end_dim: the last one.

    Shape: ``(N, *)`` to ``(N, product)`` by default.

    >>> from flambeau import nn
    >>> nn.Flatten()(fb.ones(2, 3, 4)).shape == (2, 12)
    True
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Flatten."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split one dimension into several.

    Args:
        dim: the dimension.
        unflattened_size: their sizes.

    Shape: ``(*, product, *)`` to ``(*, *unflattened_size, *)``.

    >>> from flambeau import nn
    >>> nn.Unflatten(1, (3, 4))(fb.ones(2, 12)).shape == (2, 3, 4)
    True
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        if not isinstance(dim, int):
            raise TypeError(f"[Unflatten] dim must be an int: got {type(dim).__name__}.")
        if not isinstance(unflattened_size, (tuple, list)) or not all(
            isinstance(n, int) for n in unflattened_size
        ):
            raise TypeError(
                f"[Unflatten] unflattened_size must be a tuple of ints: got {unflattened_size!r}."
            )
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Split."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class PixelShuffle(Module):
    """Turn channels into pixels.

    Args:
        upscale_factor: r.

    Shape: ``(*, C * r * r, H, W)`` to ``(*, C, H * r, W * r)``.

    >>> from flambeau import nn
    >>> nn.PixelShuffle(2)(fb.ones(1, 8, 3, 3)).shape == (1, 2, 6, 6)
    True
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Rearrange."""
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Turn pixels into channels.

    Args:
        downscale_factor: r.

    Shape: ``(*, C, H * r, W * r)`` to ``(*, C * r * r, H, W)``.

    >>> from flambeau import nn
    >>> nn.PixelUnshuffle(2)(fb.ones(1, 2, 6, 6)).shape == (1, 8, 3, 3)
    True
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Rearrange."""
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Deal the channels out over groups.

    Args:
        groups: their number.

    Shape: ``(N, C, *)``, the same.

    >>> from flambeau import nn
    >>> nn.ChannelShuffle(2)(fb.arange(4.0).view(1, 4, 1)).flatten().tolist()
    [0.0, 2.0, 1.0, 3.0]
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Rearrange."""
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"groups={self.groups}"


class Upsample(Module):
    """Resize sequences, images or volumes.

    Args:
        size: the sizes of the result.
        scale_factor: factors instead of sizes.
        mode: ``nearest``, ``linear``, ``bilinear``, ``bicubic``, ``trilinear``.
        align_corners: keep the corners' values.
        recompute_scale_factor: take the factor from the rounded size.

    Shape: ``(N, C, *)`` to ``(N, C, *size)``.

    >>> from flambeau import nn
    >>> nn.Upsample(scale_factor=2)(fb.ones(1, 1, 2, 3)).shape == (1, 1, 4, 6)
    True
    """

    def __init__(
        self, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        if isinstance(scale_factor, tuple):
            self.scale_factor: Any = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Resize."""
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        """The arguments."""
        text = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{text}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` in mode nearest.

    Shape: ``(N, C, H, W)`` to ``(N, C, *size)``.

    >>> from flambeau import nn
    >>> nn.UpsamplingNearest2d(scale_factor=2)(fb.ones(1, 1, 1, 1)).tolist()
    [[[[1.0, 1.0], [1.0, 1.0]]]]
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` in mode bilinear with aligned corners.

    Shape: ``(N, C, H, W)`` to ``(N, C, *size)``.

    >>> from flambeau import nn
    >>> nn.UpsamplingBilinear2d(size=(1, 3))(fb.tensor([[[[0.0, 2.0]]]])).tolist()
    [[[[0.0, 1.0, 2.0]]]]
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
