"""Normalisation without running statistics: LayerNorm, RMSNorm, GroupNorm, and over neighbouring channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau as fb
from flambeau.errors import message

from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter

__all__ = ["CrossMapLRN2d", "GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


def _add_affine(
    module: Module, shape: Sequence[int], weight: bool, bias: bool, device: Any, dtype: fb.dtype | None
) -> None:
    for name, wanted in (("weight", weight), ("bias", bias)):
        value = Parameter(fb.empty(tuple(shape), device=device, dtype=dtype)) if wanted else None
        module.register_parameter(name, value)


def _reset_affine(module: Any) -> None:
    if module.weight is not None:
        init.ones_(module.weight)
    if module.bias is not None:
        init.zeros_(module.bias)


class LayerNorm(Module):
    """Normalise each sample over its last dimensions to mean 0 and variance 1, then scale and shift.

    Args:
        normalized_shape: the sizes of those dimensions, or the last one.
        eps: added to the variance.
        elementwise_affine: whether it scales, and shifts if `bias`.
        bias: whether it shifts.
        device, dtype: of the parameters.

    Shape: ``(*, *normalized_shape)``, the same.

    >>> from flambeau import nn
    >>> nn.LayerNorm(2)(fb.tensor([[1.0, 3.0]])).round().tolist()
    [[-1.0, 1.0]]
    """

    normalized_shape: tuple[int, ...]
    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, device: Any = None, dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        sizes = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape = sizes
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        _add_affine(self, sizes, elementwise_affine, elementwise_affine and bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale by 1, shift by 0."""
        _reset_affine(self)

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Normalise."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """All arguments."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Divide each sample by its root mean square over the last dimensions, then scale.

    Args:
        normalized_shape: the sizes of those dimensions, or the last one.
        eps: added to the mean square; the dtype's own when left out.
        elementwise_affine: whether it scales.
        device, dtype: of the parameter.

    Shape: ``(*, *normalized_shape)``, the same.

    >>> from flambeau import nn
    >>> nn.RMSNorm(2)(fb.tensor([[3.0, 3.0]])).round().tolist()
    [[1.0, 1.0]]
    """

    normalized_shape: tuple[int, ...]
    weight: Parameter | None

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True,
        device: Any = None, dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        sizes = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape = sizes
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        weight = Parameter(fb.empty(sizes, device=device, dtype=dtype)) if elementwise_affine else None
        self.register_parameter("weight", weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale by 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Normalise."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """All arguments."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalise groups of channels of each sample to mean 0 and variance 1, then scale and shift each channel.

    Args:
        num_groups: the number of groups.
        num_channels: the number of channels, which the groups share equally.
        eps: added to the variance.
        affine: whether it scales, and shifts if `bias`.
        device, dtype: of the parameters.
        bias: whether it shifts.

    Shape: ``(N, C, *)``, the same.

    >>> from flambeau import nn
    >>> nn.GroupNorm(2, 4)(fb.ones(1, 4, 3)).sum().item()
    0.0
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
        dtype: fb.dtype | None = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(
                f"[GroupNorm] num_channels must be divisible by num_groups: got {num_channels} and {num_groups}."
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        _add_affine(self, (num_channels,), affine, affine and bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale by 1, shift by 0."""
        _reset_affine(self)

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Normalise."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """All arguments."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """Divide each channel by a power of the mean square over the channels around it.

    Args:
        size: how many channels.
        alpha, beta, k: the divisor is ``(k + alpha * mean) ** beta``.

    Shape: ``(N, C, *)``, the same.

    >>> from flambeau import nn
    >>> nn.LocalResponseNorm(2)(fb.ones(1, 4, 3, 3)).shape == (1, 4, 3, 3)
    True
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Normalise."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """All arguments."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(Module):
    """Divide each channel of images by a power of the sum of squares over the channels around it, as older models do.

    `LocalResponseNorm` does the same with another window: here channel c sees those less than ``(size + 1) / 2`` away,
    and channels from ``(size + 1) / 2`` on see channel 0 too, as PyTorch's do.

    Args:
        size: the number of channels that the sum is divided by, and the width of the window.
        alpha, beta, k: the divisor is ``(k + alpha / size * sum) ** beta``.

    Shape: ``(N, C, H, W)``, the same.

    >>> from flambeau import nn
    >>> nn.CrossMapLRN2d(3, alpha=3.0, beta=1.0)(fb.ones(1, 3, 1, 1)).flatten()
    tensor([0.3333, 0.2500, 0.2500])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Normalise."""
        if input.ndim != 4:
            raise ValueError(
                message("CrossMapLRN2d", f"expected input to be 4D, got {input.ndim}D instead", input=input)
            )
        squares = (input * input).flatten(2)
        sums = self._window(input.shape[1], input).matmul(squares).view(input.shape)
        return input * (sums * (self.alpha / self.size) + self.k).pow(-self.beta)

    def _window(self, channels: int, like: fb.Tensor) -> fb.Tensor:
        """1 where the channel of the column is seen by that of the row."""
        reach = int((self.size - 1) / 2 + 1)
        place = fb.arange(channels, device=like.device)
        seen = (place.unsqueeze(1) - place).abs() < reach
        seen[reach:, :1] = True
        return seen.to(like.dtype)

    def extra_repr(self) -> str:
        """All arguments."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
