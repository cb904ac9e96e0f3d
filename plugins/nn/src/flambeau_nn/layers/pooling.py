"""Pooling layers: the largest or the mean value of each window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau as fb

from .. import functional as F
from ..functional._common import tuple_of
from ..module import Module

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AvgPool1d", "AvgPool2d",
    "LPPool1d", "LPPool2d", "MaxPool1d", "MaxPool2d",
]  # fmt: skip

Sizes = int | Sequence[int]


class _MaxPool(Module):
    def __init__(
        self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
        return_indices: bool = False, ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest value of each window of a sequence; the arguments are `MaxPool2d`'s.

    Shape: ``(N, C, L)`` or ``(C, L)``.

    >>> from flambeau import nn
    >>> nn.MaxPool1d(2)(fb.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
    [[3.0, 2.0]]
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pool; with `return_indices` a pair of values and places."""
        pooled: fb.Tensor = F.max_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )
        return pooled


class MaxPool2d(_MaxPool):
    """The largest value of each window of an image.

    Args:
        kernel_size: the window.
        stride: its step; the window's size when left out.
        padding: minus infinities put on both sides.
        dilation: distance between the window's elements.
        return_indices: give a pair of values and places.
        ceil_mode: also windows that reach over the edge.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``.

    >>> from flambeau import nn
    >>> nn.MaxPool2d(2)(fb.arange(4.0).view(1, 2, 2)).tolist()
    [[[3.0]]]
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pool; with `return_indices` a pair of values and places."""
        pooled: fb.Tensor = F.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )
        return pooled


class _AvgPool(Module):
    kernel_size: Any
    stride: Any
    padding: Any

    def extra_repr(self) -> str:
        """The arguments."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The mean of each window of a sequence; the arguments are `AvgPool2d`'s.

    Shape: ``(N, C, L)`` or ``(C, L)``.

    >>> from flambeau import nn
    >>> nn.AvgPool1d(2)(fb.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
    [[2.0, 1.0]]
    """

    def __init__(
        self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = tuple_of(1, "AvgPool1d", "kernel_size", kernel_size)
        self.stride = tuple_of(1, "AvgPool1d", "stride", kernel_size if stride is None else stride)
        self.padding = tuple_of(1, "AvgPool1d", "padding", padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pool."""
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )


class AvgPool2d(_AvgPool):
    """The mean of each window of an image.

    Args:
        kernel_size: the window.
        stride: its step; the window's size when left out.
        padding: zeros put on both sides.
        ceil_mode: also windows that reach over the edge.
        count_include_pad: divide by the window's size even where it covers padding.
        divisor_override: divide by this instead.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``.

    >>> from flambeau import nn
    >>> nn.AvgPool2d(2)(fb.arange(4.0).view(1, 2, 2)).tolist()
    [[[1.5]]]
    """

    def __init__(
        self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pool."""
        return F.avg_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip


class _Adaptive(Module):
    output_size: Any

    def extra_repr(self) -> str:
        """The arguments."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """The means of `output_size` windows of a sequence.

    Shape: ``(N, C, L)`` or ``(C, L)`` to ``(N, C, output_size)`` or without N.

    >>> from flambeau import nn
    >>> nn.AdaptiveAvgPool1d(2)(fb.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
    [[2.0, 1.0]]
    """

    def __init__(self, output_size: Sizes) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pool."""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_Adaptive):
    """The means of windows chosen so that the result has `output_size`.

    Args:
        output_size: an int or a pair; ``None`` keeps a dimension as it is.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)`` to ``(N, C, *output_size)`` or without N.

    >>> from flambeau import nn
    >>> nn.AdaptiveAvgPool2d(1)(fb.arange(4.0).view(1, 2, 2)).tolist()
    [[[1.5]]]
    """

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pool."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveMaxPool1d(_Adaptive):
    """The largest values of `output_size` windows of a sequence.

    Shape: ``(N, C, L)`` or ``(C, L)`` to ``(N, C, output_size)`` or without N.

    >>> from flambeau import nn
    >>> nn.AdaptiveMaxPool1d(2)(fb.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
    [[3.0, 2.0]]
    """

    def __init__(self, output_size: Sizes, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pool; with `return_indices` a pair of values and places."""
        pooled: fb.Tensor = F.adaptive_max_pool1d(input, self.output_size, self.return_indices)
        return pooled


class AdaptiveMaxPool2d(_Adaptive):
    """The largest values of windows chosen so that the result has `output_size`.

    Args:
        output_size: an int or a pair; ``None`` keeps a dimension as it is.
        return_indices: give a pair of values and places.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)`` to ``(N, C, *output_size)`` or without N.

    >>> from flambeau import nn
    >>> nn.AdaptiveMaxPool2d(1)(fb.arange(4.0).view(1, 2, 2)).tolist()
    [[[3.0]]]
    """

    def __init__(self, output_size: int | Sequence[int | None] | None, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pool; with `return_indices` a pair of values and places."""
        pooled: fb.Tensor = F.adaptive_max_pool2d(input, self.output_size, self.return_indices)
        return pooled


class _LPPool(Module):
    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Sizes | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The p-norm of each window of a sequence.

    Shape: ``(N, C, L)`` or ``(C, L)``.

    >>> from flambeau import nn
    >>> nn.LPPool1d(2, 2)(fb.tensor([[3.0, 4.0]])).tolist()
    [[5.0]]
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pool."""
        return F.lp_pool1d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPool):
    """The p-norm of each window of an image.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``.

    >>> from flambeau import nn
    >>> nn.LPPool2d(1, 2)(fb.ones(1, 2, 2)).tolist()
    [[[4.0]]]
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pool."""
        return F.lp_pool2d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)
