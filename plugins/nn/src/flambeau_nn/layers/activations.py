"""Activations that bend or clamp: ReLU and its kin, which may work in place."""

from __future__ import annotations

import flambeau as fb

from .. import functional as F
from ..module import Module

__all__ = [
    "CELU",
    "ELU",
    "SELU",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "Mish",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Threshold",
]


class ReLU(Module):
    """``max(x, 0)``.

    Args:
        inplace: write the result into the input.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.ReLU()(fb.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.relu(input, self.inplace)

    def extra_repr(self) -> str:
        """The arguments."""
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """``x`` where positive, else ``negative_slope * x``.

    Args:
        negative_slope: the slope below 0.
        inplace: write the result into the input.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.LeakyReLU(0.5)(fb.tensor([-1.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"negative_slope={self.negative_slope}{', inplace=True' if self.inplace else ''}"


class RReLU(Module):
    """Leaky relu with slopes drawn anew for each element in training, their mean in evaluation.

    Args:
        lower: the least slope.
        upper: the largest slope.
        inplace: write the result into the input.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.RReLU(0.5, 0.5)(fb.tensor([-1.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"lower={self.lower}, upper={self.upper}{', inplace=True' if self.inplace else ''}"


class ELU(Module):
    """``x`` where positive, else ``alpha * (exp(x) - 1)``.

    Args:
        alpha: minus the limit far below 0.
        inplace: write the result into the input.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.ELU()(fb.tensor([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"alpha={self.alpha}{', inplace=True' if self.inplace else ''}"


class CELU(Module):
    """``x`` where positive, else ``alpha * (exp(x / alpha) - 1)``.

    Args:
        alpha: minus the limit far below 0.
        inplace: write the result into the input.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.CELU()(fb.tensor([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"alpha={self.alpha}{', inplace=True' if self.inplace else ''}"


class SELU(Module):
    """Scaled `ELU` whose constants keep mean 0 and variance 1.

    Args:
        inplace: write the result into the input.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> round(nn.SELU()(fb.tensor(1.0)).item(), 4)
    1.0507
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.selu(input, self.inplace)

    def extra_repr(self) -> str:
        """The arguments."""
        return "inplace=True" if self.inplace else ""


class SiLU(Module):
    """``x * sigmoid(x)``, also called swish.

    Args:
        inplace: write the result into the input.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> round(nn.SiLU()(fb.tensor(1.0)).item(), 4)
    0.7311
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.silu(input, self.inplace)

    def extra_repr(self) -> str:
        """The arguments."""
        return "inplace=True" if self.inplace else ""


class Mish(Module):
    """``x * tanh(softplus(x))``.

    Args:
        inplace: write the result into the input.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> round(nn.Mish()(fb.tensor(1.0)).item(), 4)
    0.8651
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.mish(input, self.inplace)

    def extra_repr(self) -> str:
        """The arguments."""
        return "inplace=True" if self.inplace else ""


class Hardtanh(Module):
    """``x`` clamped.

    Args:
        min_val: the least value.
        max_val: the largest value.
        inplace: write the result into the input.
        min_value, max_value: older names.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.Hardtanh()(fb.tensor([-3.0, 0.5])).tolist()
    [-1.0, 0.5]
    """

    def __init__(
        self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False, min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if self.max_val <= self.min_val:
            raise AssertionError(
                f"[Hardtanh] min_val must be less than max_val: got {self.min_val} and {self.max_val}."
            )

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"min_val={self.min_val}, max_val={self.max_val}{', inplace=True' if self.inplace else ''}"


class ReLU6(Hardtanh):
    """``min(max(x, 0), 6)``.

    Args:
        inplace: write the result into the input.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.ReLU6()(fb.tensor([-1.0, 9.0])).tolist()
    [0.0, 6.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        """The arguments."""
        return "inplace=True" if self.inplace else ""


class Hardsigmoid(Module):
    """``relu6(x + 3) / 6``.

    Args:
        inplace: write the result into the input.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.Hardsigmoid()(fb.tensor([-4.0, 0.0])).tolist()
    [0.0, 0.5]
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.hardsigmoid(input, self.inplace)


class Hardswish(Module):
    """``x * relu6(x + 3) / 6``.

    Args:
        inplace: write the result into the input.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.Hardswish()(fb.tensor([0.0, 3.0])).tolist()
    [0.0, 3.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.hardswish(input, self.inplace)


class Threshold(Module):
    """``x`` where greater than `threshold`, else `value`.

    Args:
        threshold: the edge.
        value: what stands below it.
        inplace: write the result into the input.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.Threshold(0.0, 9.0)(fb.tensor([-1.0, 2.0])).tolist()
    [9.0, 2.0]
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"threshold={self.threshold}, value={self.value}{', inplace=True' if self.inplace else ''}"
