"""Layers of linear maps: Linear, Bilinear."""

from __future__ import annotations

import math
from typing import Any

import flambeau as fb

from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter

__all__ = ["Bilinear", "Linear"]


class Linear(Module):
    """``y = x W^T + b``.

    Args:
        in_features: the last size of the input.
        out_features: the last size of the output.
        bias: whether there is a b.
        device, dtype: of the parameters.

    Shape: ``(*, in_features)`` to ``(*, out_features)``.

    >>> from flambeau import nn
    >>> nn.Linear(3, 2)(fb.ones(5, 3)).shape == (5, 2)
    True
    """

    in_features: int
    out_features: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: fb.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(fb.empty((out_features, in_features), device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(fb.empty(out_features, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew: uniform within ``1 / sqrt(in_features)``."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the map to the last dimension."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


class Bilinear(Module):
    """``y_o = x1 W_o x2 + b_o``.

    Args:
        in1_features, in2_features: the last sizes of the inputs.
        out_features: the last size of the output.
        bias: whether there is a b.
        device, dtype: of the parameters.

    Shape: ``(*, in1_features)`` and ``(*, in2_features)`` to ``(*, out_features)``.

    >>> from flambeau import nn
    >>> nn.Bilinear(2, 3, 4)(fb.ones(5, 2), fb.ones(5, 3)).shape == (5, 4)
    True
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device: Any = None,
        dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"[Bilinear] in1_features must be > 0: got {in1_features}.")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = Parameter(
            fb.empty((out_features, in1_features, in2_features), device=device, dtype=dtype)
        )
        self.register_parameter(
            "bias", Parameter(fb.empty(out_features, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew: uniform within ``1 / sqrt(in1_features)``."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: fb.Tensor, input2: fb.Tensor) -> fb.Tensor:
        """Apply the form to the last dimensions."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
