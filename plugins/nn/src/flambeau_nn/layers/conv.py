"""Convolutional layers: Conv1d, Conv2d, Conv3d and their transposes, Unfold, Fold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import flambeau as fb

from .. import functional as F
from .. import init
from ..functional._common import tuple_of
from ..module import Module
from ..parameter import Parameter

__all__ = [
    "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Fold", "Unfold",
]  # fmt: skip

Sizes = int | Sequence[int]
_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all convolutional layers share: sizes, checks, parameters, repr."""

    ndim: int
    transposed = False
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes, padding: Sizes | str,
        output_padding: Sizes, dilation: Sizes, groups: int, bias: bool, padding_mode: str, device: Any,
        dtype: fb.dtype | None,
    ) -> None:  # fmt: skip
        super().__init__()
        name, n = type(self).__name__, self.ndim
        if groups <= 0:
            raise ValueError(f"[{name}] groups must be a positive integer: got {groups}.")
        if in_channels % groups:
            raise ValueError(
                f"[{name}] in_channels must be divisible by groups: got {in_channels} and {groups}."
            )
        if out_channels % groups:
            raise ValueError(
                f"[{name}] out_channels must be divisible by groups: got {out_channels} and {groups}."
            )
        if padding_mode not in _MODES:
            raise ValueError(f"[{name}] padding_mode must be one of {_MODES}: got {padding_mode!r}.")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = tuple_of(n, name, "kernel_size", kernel_size)
        self.stride = tuple_of(n, name, "stride", stride)
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"[{name}] invalid padding string {padding!r}: should be 'same' or 'valid'.")
            if padding == "same" and any(step != 1 for step in self.stride):
                raise ValueError(f"[{name}] padding='same' is not supported for strided convolutions.")
        self.padding = padding if isinstance(padding, str) else tuple_of(n, name, "padding", padding)
        self.output_padding = tuple_of(n, name, "output_padding", output_padding)
        self.dilation = tuple_of(n, name, "dilation", dilation)
        self.groups = groups
        self.padding_mode = padding_mode
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (first, second // groups, *self.kernel_size)
        self.weight = Parameter(fb.empty(shape, device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(fb.empty(out_channels, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew: uniform within ``1 / sqrt(fan_in)``."""
        if self.weight.numel() == 0:
            return
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = self.weight.shape[1] * math.prod(self.kernel_size)
            if fan_in:
                init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def _edge(self) -> tuple[int, ...]:
        """The padding as `pad` takes it: last dimension first, before and after."""
        sides: list[int] = []
        for k, d, place in zip(
            reversed(self.kernel_size), reversed(self.dilation), range(self.ndim), strict=True
        ):
            if isinstance(self.padding, str):
                total = d * (k - 1) if self.padding == "same" else 0
                sides += [total // 2, total - total // 2]
            else:
                sides += [self.padding[self.ndim - 1 - place]] * 2
        return tuple(sides)

    def _convolve(self, conv: Callable[..., fb.Tensor], input: fb.Tensor) -> fb.Tensor:
        if self.padding_mode == "zeros":
            return conv(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        padded = F.pad(input, self._edge(), self.padding_mode)
        return conv(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _upscale(
        self, conv: Callable[..., fb.Tensor], input: fb.Tensor, output_size: Sequence[int] | None
    ) -> fb.Tensor:
        extra = self.output_padding if output_size is None else self._extra_for(input, output_size)
        return conv(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )

    def _extra_for(self, input: fb.Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output padding that gives `output_size`."""
        n = self.ndim
        wanted = tuple(output_size)
        if len(wanted) == input.ndim:
            wanted = wanted[-n:]
        if len(wanted) != n:
            raise ValueError(
                f"[{type(self).__name__}] for {input.ndim}D input, output_size must have {n} or {input.ndim} elements: "
                f"got {len(wanted)}."
            )
        extra = []
        for place in range(n):
            pad = self.padding[place]
            assert isinstance(pad, int)
            least = (input.shape[place - n] - 1) * self.stride[place] - 2 * pad
            least += self.dilation[place] * (self.kernel_size[place] - 1) + 1
            most = least + self.stride[place] - 1
            if not least <= wanted[place] <= most:
                raise ValueError(
                    f"[{type(self).__name__}] requested an output size of {wanted}, but dimension {place} can only be "
                    f"{least} to {most} for an input of {list(input.shape)}."
                )
            extra.append(wanted[place] - least)
        return tuple(extra)

    def extra_repr(self) -> str:
        """Sizes, and what differs from the defaults."""
        zeros, ones = (0,) * self.ndim, (1,) * self.ndim
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        text += f", padding={self.padding}" if self.padding != zeros else ""
        text += f", dilation={self.dilation}" if self.dilation != ones else ""
        text += f", output_padding={self.output_padding}" if self.output_padding != zeros else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        text += ", bias=False" if self.bias is None else ""
        return text + (f", padding_mode={self.padding_mode}" if self.padding_mode != "zeros" else "")


class _Conv(_ConvNd):
    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1, padding: Sizes | str = 0,
        dilation: Sizes = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: Any = None,
        dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, 0, dilation, groups, bias, padding_mode, device,
            dtype,
        )  # fmt: skip


class Conv1d(_Conv):
    """Convolution along a sequence; the arguments are `Conv2d`'s.

    Shape: ``(N, C, L)`` or ``(C, L)``.

    >>> from flambeau import nn
    >>> nn.Conv1d(3, 8, 5, padding=2)(fb.ones(1, 3, 16)).shape == (1, 8, 16)
    True
    """

    ndim = 1

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Convolve."""
        return self._convolve(F.conv1d, input)


class Conv2d(_Conv):
    """Convolution over an image.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: the window, an int or a pair.
        stride: its step.
        padding: rows and columns added on both sides; or ``"same"``, ``"valid"``.
        dilation: distance between the weights.
        groups: parts that the channels are split into, each convolved on its own.
        bias: whether there is one.
        padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"``, ``"circular"``.
        device, dtype: of the parameters.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``; H becomes
    ``(H + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1``.

    >>> from flambeau import nn
    >>> nn.Conv2d(3, 8, 3, stride=2)(fb.ones(1, 3, 9, 9)).shape == (1, 8, 4, 4)
    True
    """

    ndim = 2

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Convolve."""
        return self._convolve(F.conv2d, input)


class Conv3d(_Conv):
    """Convolution over a volume; the arguments are `Conv2d`'s.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> from flambeau import nn
    >>> nn.Conv3d(1, 2, 3).weight.shape == (2, 1, 3, 3, 3)
    True
    """

    ndim = 3

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Convolve."""
        return self._convolve(F.conv3d, input)


class _ConvTranspose(_ConvNd):
    transposed = True

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1, padding: Sizes = 0,
        output_padding: Sizes = 0, groups: int = 1, bias: bool = True, dilation: Sizes = 1,
        padding_mode: str = "zeros", device: Any = None, dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        if padding_mode != "zeros":
            raise ValueError(
                f'[{type(self).__name__}] only "zeros" padding mode is supported for {type(self).__name__}: '
                f"got {padding_mode!r}."
            )
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, output_padding, dilation, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip


class ConvTranspose1d(_ConvTranspose):
    """The transpose of `Conv1d`; the arguments are `ConvTranspose2d`'s.

    Shape: ``(N, C, L)`` or ``(C, L)``.

    >>> from flambeau import nn
    >>> nn.ConvTranspose1d(3, 8, 2, stride=2)(fb.ones(1, 3, 5)).shape == (1, 8, 10)
    True
    """

    ndim = 1

    def forward(self, input: fb.Tensor, output_size: Sequence[int] | None = None) -> fb.Tensor:
        """Convolve; `output_size` picks among the sizes that give the same input size."""
        return self._upscale(F.conv_transpose1d, input, output_size)


class ConvTranspose2d(_ConvTranspose):
    """The transpose of `Conv2d`, which enlarges.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: the window.
        stride: its step in the output.
        padding: rows and columns cut off on both sides of the output.
        output_padding: rows and columns added on one side of the output.
        groups: parts that the channels are split into.
        bias: whether there is one.
        dilation: distance between the weights.
        padding_mode: ``"zeros"``.
        device, dtype: of the parameters.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``; H becomes
    ``(H - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1``.

    >>> from flambeau import nn
    >>> nn.ConvTranspose2d(3, 8, 2, stride=2)(fb.ones(1, 3, 4, 5)).shape == (1, 8, 8, 10)
    True
    """

    ndim = 2

    def forward(self, input: fb.Tensor, output_size: Sequence[int] | None = None) -> fb.Tensor:
        """Convolve; `output_size` picks among the sizes that give the same input size."""
        return self._upscale(F.conv_transpose2d, input, output_size)


class ConvTranspose3d(_ConvTranspose):
    """The transpose of `Conv3d`; the arguments are `ConvTranspose2d`'s.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> from flambeau import nn
    >>> nn.ConvTranspose3d(1, 2, 3).weight.shape == (1, 2, 3, 3, 3)
    True
    """

    ndim = 3

    def forward(self, input: fb.Tensor, output_size: Sequence[int] | None = None) -> fb.Tensor:
        """Convolve; `output_size` picks among the sizes that give the same input size."""
        return self._upscale(F.conv_transpose3d, input, output_size)


class Unfold(Module):
    """All windows of an image as columns.

    Shape: ``(N, C, H, W)`` to ``(N, C * kH * kW, L)``, L being the number of windows.

    >>> from flambeau import nn
    >>> nn.Unfold(2)(fb.ones(1, 3, 4, 4)).shape == (1, 12, 9)
    True
    """

    def __init__(
        self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Cut the windows out."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """All arguments."""
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Unfold):
    """Columns summed into an image: the transpose of `Unfold`.

    Shape: ``(N, C * kH * kW, L)`` to ``(N, C, *output_size)``.

    >>> from flambeau import nn
    >>> nn.Fold(4, 2)(fb.ones(1, 12, 9)).shape == (1, 3, 4, 4)
    True
    """

    def __init__(
        self,
        output_size: Sizes,
        kernel_size: Sizes,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        stride: Sizes = 1,
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Sum the columns."""
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """All arguments."""
        return f"output_size={self.output_size}, {super().extra_repr()}"
