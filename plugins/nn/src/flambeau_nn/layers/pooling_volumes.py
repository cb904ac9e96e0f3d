"""Pooling of volumes, unpooling, and fractional max pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau as fb

from .. import functional as F
from ..functional._common import tuple_of
from ..module import Module
from .pooling import Sizes, _Adaptive, _AvgPool, _LPPool, _MaxPool

__all__ = [
    "AdaptiveAvgPool3d", "AdaptiveMaxPool3d", "AvgPool3d", "FractionalMaxPool2d", "FractionalMaxPool3d", "LPPool3d",
    "MaxPool3d", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d",
]  # fmt: skip


class MaxPool3d(_MaxPool):
    """The largest value of each window of a volume; the arguments are `MaxPool2d`'s.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> from flambeau import nn
    >>> nn.MaxPool3d(2)(fb.arange(8.0).view(1, 2, 2, 2)).tolist()
    [[[[7.0]]]]
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pool; with `return_indices` a pair of values and places."""
        pooled: fb.Tensor = F.max_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )
        return pooled


class AvgPool3d(_AvgPool):
    """The mean of each window of a volume; the arguments are `AvgPool2d`'s.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> from flambeau import nn
    >>> nn.AvgPool3d(2)(fb.arange(8.0).view(1, 2, 2, 2)).tolist()
    [[[[3.5]]]]
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
        return F.avg_pool3d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip


class AdaptiveAvgPool3d(_Adaptive):
    """The means of windows of a volume chosen so that the result has `output_size`.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)`` to ``(N, C, *output_size)`` or without N.

    >>> from flambeau import nn
    >>> nn.AdaptiveAvgPool3d(1)(fb.arange(8.0).view(1, 2, 2, 2)).tolist()
    [[[[3.5]]]]
    """

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pool."""
        return F.adaptive_avg_pool3d(input, self.output_size)


class AdaptiveMaxPool3d(_Adaptive):
    """The largest values of windows of a volume chosen so that the result has `output_size`.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)`` to ``(N, C, *output_size)`` or without N.

    >>> from flambeau import nn
    >>> nn.AdaptiveMaxPool3d(1)(fb.arange(8.0).view(1, 2, 2, 2)).tolist()
    [[[[7.0]]]]
    """

    def __init__(self, output_size: int | Sequence[int | None] | None, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pool; with `return_indices` a pair of values and places."""
        pooled: fb.Tensor = F.adaptive_max_pool3d(input, self.output_size, self.return_indices)
        return pooled


class LPPool3d(_LPPool):
    """The p-norm of each window of a volume.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> from flambeau import nn
    >>> nn.LPPool3d(1, 2)(fb.ones(1, 2, 2, 2)).tolist()
    [[[[8.0]]]]
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pool."""
        return F.lp_pool3d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class _MaxUnpool(Module):
    ndim: int

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = tuple_of(self.ndim, name, "kernel_size", kernel_size)
        self.stride = tuple_of(self.ndim, name, "stride", kernel_size if stride is None else stride)
        self.padding = tuple_of(self.ndim, name, "padding", padding)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Put values back where `MaxPool1d` found them, zeros elsewhere; the arguments are `MaxUnpool2d`'s.

    Shape: ``(N, C, L)`` or ``(C, L)``.

    >>> from flambeau import nn
    >>> nn.MaxUnpool1d(2)(fb.tensor([[3.0]]), fb.tensor([[1]])).tolist()
    [[0.0, 3.0]]
    """

    ndim = 1

    def forward(
        self, input: fb.Tensor, indices: fb.Tensor, output_size: Sequence[int] | None = None
    ) -> fb.Tensor:
        """Put back; `output_size` picks among the sizes that pooling takes to the same size."""
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_MaxUnpool):
    """Put values back where `MaxPool2d` found them, zeros elsewhere.

    Args:
        kernel_size, stride, padding: of the pooling.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``.

    >>> from flambeau import nn
    >>> values, places = nn.MaxPool2d(2, return_indices=True)(fb.arange(4.0).view(1, 2, 2))
    >>> nn.MaxUnpool2d(2)(values, places).tolist()
    [[[0.0, 0.0], [0.0, 3.0]]]
    """

    ndim = 2

    def forward(
        self, input: fb.Tensor, indices: fb.Tensor, output_size: Sequence[int] | None = None
    ) -> fb.Tensor:
        """Put back; `output_size` picks among the sizes that pooling takes to the same size."""
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool3d(_MaxUnpool):
    """Put values back where `MaxPool3d` found them, zeros elsewhere; the arguments are `MaxUnpool2d`'s.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> from flambeau import nn
    >>> nn.MaxUnpool3d((1, 1, 2))(fb.ones(1, 1, 1, 1), fb.tensor([[[[1]]]])).tolist()
    [[[[0.0, 1.0]]]]
    """

    ndim = 3

    def forward(
        self, input: fb.Tensor, indices: fb.Tensor, output_size: Sequence[int] | None = None
    ) -> fb.Tensor:
        """Put back; `output_size` picks among the sizes that pooling takes to the same size."""
        return F.max_unpool3d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class _Fractional(Module):
    ndim: int

    def __init__(
        self, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
        return_indices: bool = False, _random_samples: fb.Tensor | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        name = type(self).__name__
        self.kernel_size = tuple_of(self.ndim, name, "kernel_size", kernel_size)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = (
            None if output_size is None else tuple_of(self.ndim, name, "output_size", output_size)
        )
        ratios = (output_ratio,) * self.ndim if isinstance(output_ratio, (int, float)) else output_ratio
        self.output_ratio = ratios
        if (output_size is None) == (output_ratio is None):
            raise ValueError(
                f"[{name}] requires specifying either an output size, or a pooling ratio, and only one of them."
            )
        if ratios is not None and not all(0 < ratio < 1 for ratio in ratios):
            raise ValueError(f"[{name}] output_ratio must be between 0 and 1: got {output_ratio}.")


class FractionalMaxPool2d(_Fractional):
    """The largest value of windows of an image at pseudo-random places.

    Args:
        kernel_size: the window.
        output_size: the size of the result, or
        output_ratio: its ratio to the input's, between 0 and 1.
        return_indices: give a pair of values and places.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``.

    >>> from flambeau import nn
    >>> nn.FractionalMaxPool2d(2, output_ratio=0.5)(fb.ones(1, 6, 6)).shape == (1, 3, 3)
    True
    """

    ndim = 2

    def forward(self, input: fb.Tensor) -> Any:
        """Pool; with `return_indices` a pair of values and places."""
        return F.fractional_max_pool2d(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            self._random_samples,
        )


class FractionalMaxPool3d(_Fractional):
    """The largest value of windows of a volume at pseudo-random places; the arguments are `FractionalMaxPool2d`'s.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> from flambeau import nn
    >>> nn.FractionalMaxPool3d(2, output_size=3)(fb.ones(1, 6, 6, 6)).shape == (1, 3, 3, 3)
    True
    """

    ndim = 3

    def forward(self, input: fb.Tensor) -> Any:
        """Pool; with `return_indices` a pair of values and places."""
        return F.fractional_max_pool3d(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            self._random_samples,
        )
