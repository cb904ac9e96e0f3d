"""Dropout layers: elements or whole channels set to zero at random in training."""

from __future__ import annotations

import flambeau as fb

from .. import functional as F
from ..module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(
                f"[{type(self).__name__}] dropout probability has to be between 0 and 1, but got {p}."
            )
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The arguments."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, each element becomes 0 with probability `p`, the others are multiplied by ``1 / (1 - p)``.

    Args:
        p: the probability.
        inplace: write the result into the input.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.Dropout(0.5).eval()(fb.ones(2)).tolist()
    [1.0, 1.0]
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Drop."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """`Dropout` of whole channels of a sequence.

    Shape: ``(N, C, L)`` or ``(C, L)``, the same.

    >>> from flambeau import nn
    >>> nn.Dropout1d(1.0)(fb.ones(1, 2, 3)).sum().item()
    0.0
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Drop."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """`Dropout` of whole channels of an image.

    Shape: ``(N, C, H, W)``, the same.

    >>> from flambeau import nn
    >>> nn.Dropout2d(1.0)(fb.ones(1, 2, 3, 3)).sum().item()
    0.0
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Drop."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """`Dropout` of whole channels of a volume.

    Shape: ``(N, C, D, H, W)``, the same.

    >>> from flambeau import nn
    >>> nn.Dropout3d(1.0)(fb.ones(1, 2, 3, 3, 3)).sum().item()
    0.0
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Drop."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean and variance of `SELU` activations.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.AlphaDropout().eval()(fb.ones(2)).tolist()
    [1.0, 1.0]
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Drop."""
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels.

    Shape: ``(N, C, *)``, the same.

    >>> from flambeau import nn
    >>> nn.FeatureAlphaDropout().eval()(fb.ones(1, 2, 1)).tolist()
    [[[1.0], [1.0]]]
    """

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Drop."""
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
