"""Activations without an in-place form: sigmoid and softmax kin, shrinks, GLU, PReLU."""

from __future__ import annotations

from typing import Any

import flambeau as fb
from flambeau.errors import message

from .. import functional as F
from ..init import constant_
from ..module import Module
from ..parameter import Parameter

__all__ = [
    "GELU",
    "GLU",
    "Hardshrink",
    "LogSigmoid",
    "LogSoftmax",
    "PReLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
]


class Sigmoid(Module):
    """``1 / (1 + exp(-x))``.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.Sigmoid()(fb.zeros(1)).tolist()
    [0.5]
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return fb.sigmoid(input)


class Tanh(Module):
    """Hyperbolic tangent.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.Tanh()(fb.zeros(1)).tolist()
    [0.0]
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return fb.tanh(input)


class LogSigmoid(Module):
    """``log(sigmoid(x))``, without overflow.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> round(nn.LogSigmoid()(fb.tensor(0.0)).item(), 4)
    -0.6931
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.logsigmoid(input)


class GELU(Module):
    """``x * Phi(x)``, the Gaussian error linear unit.

    Args:
        approximate: ``"none"``, or ``"tanh"`` for the tanh formula.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> round(nn.GELU()(fb.tensor(1.0)).item(), 4)
    0.8413
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """``log(1 + exp(beta * x)) / beta``.

    Args:
        beta: the steepness.
        threshold: linear where ``beta * x`` is above it.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> round(nn.Softplus()(fb.tensor(0.0)).item(), 4)
    0.6931
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Softsign(Module):
    """``x / (1 + |x|)``.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.Softsign()(fb.ones(1)).tolist()
    [0.5]
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.softsign(input)


class Tanhshrink(Module):
    """``x - tanh(x)``.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.Tanhshrink()(fb.zeros(1)).tolist()
    [0.0]
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.tanhshrink(input)


class Hardshrink(Module):
    """``x`` where ``|x| > lambd``, else 0.

    Args:
        lambd: the edge.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.Hardshrink()(fb.tensor([0.25, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.lambd}"


class Softshrink(Module):
    """``x`` moved towards 0 by `lambd`, 0 in between.

    Args:
        lambd: the step.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.Softshrink()(fb.tensor([0.25, 2.0])).tolist()
    [0.0, 1.5]
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.lambd}"


class GLU(Module):
    """The first half along `dim` times the sigmoid of the second half.

    Args:
        dim: the dimension that is halved.

    Shape: ``(*, 2 N, *)`` to ``(*, N, *)``.

    >>> from flambeau import nn
    >>> nn.GLU()(fb.tensor([4.0, 0.0])).tolist()
    [2.0]
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"dim={self.dim}"


class PReLU(Module):
    """Leaky relu whose slope is learnt.

    Args:
        num_parameters: 1, or the number of channels (dimension 1).
        init: the slope at first.
        device, dtype: of the slopes.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.PReLU()(fb.tensor([-1.0, 2.0])).tolist()
    [-0.25, 2.0]
    """

    weight: Parameter

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: fb.dtype | None = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(fb.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """All slopes as at first."""
        constant_(self.weight, self.init)

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"num_parameters={self.num_parameters}"


class Softmax(Module):
    """Exponentials that sum to 1 along `dim`.

    Args:
        dim: the dimension along which they sum to 1.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.Softmax(dim=0)(fb.zeros(4)).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.softmax(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """The logarithm of `Softmax`, computed without overflow.

    Args:
        dim: the dimension along which they sum to 1.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.LogSoftmax(dim=0)(fb.zeros(1)).tolist()
    [0.0]
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.log_softmax(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"dim={self.dim}"


class Softmin(Module):
    """`Softmax` of the negative.

    Args:
        dim: the dimension along which they sum to 1.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.Softmin(dim=0)(fb.zeros(4)).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        return F.softmin(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"dim={self.dim}"


class Softmax2d(Module):
    """`Softmax` over the channels of each pixel.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``, the same.

    >>> from flambeau import nn
    >>> nn.Softmax2d()(fb.zeros(1, 2, 1, 1)).tolist()
    [[[[0.5]], [[0.5]]]]
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Apply the function."""
        if input.ndim not in (3, 4):
            raise ValueError(message("Softmax2d", "expected input to be 3D or 4D", input=input))
        return F.softmax(input, -3)
