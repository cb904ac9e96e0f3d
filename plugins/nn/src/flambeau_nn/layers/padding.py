"""Padding layers: constants, zeros, reflection, replication and circular, for one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import flambeau as fb

from .. import functional as F
from ..functional._common import tuple_of
from ..module import Module

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d",
    "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Pad(Module):
    """Padding by `mode`: an int for all sides, or (before, after) pairs from the last dimension on."""

    ndim: int
    mode = "constant"
    value: float | None = None
    padding: tuple[int, ...]

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        self.padding = tuple_of(2 * self.ndim, type(self).__name__, "padding", padding)

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Pad."""
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        """The padding."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """The padding and the value."""
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_Pad):
    value = 0.0


class CircularPad1d(_Pad):
    """Pad a sequence with its other end.

    Shape: ``(N, C, L)`` or ``(C, L)``.

    >>> from flambeau import nn
    >>> nn.CircularPad1d((1, 0))(fb.tensor([[1.0, 2.0]])).tolist()
    [[2.0, 1.0, 2.0]]
    """

    ndim = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """Pad an image with its other end.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``.

    >>> from flambeau import nn
    >>> nn.CircularPad2d((1, 0, 0, 0))(fb.tensor([[[1.0, 2.0]]])).tolist()
    [[[2.0, 1.0, 2.0]]]
    """

    ndim = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """Pad a volume with its other end.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> from flambeau import nn
    >>> nn.CircularPad3d((1, 0, 0, 0, 0, 0))(fb.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[2.0, 1.0, 2.0]]]]
    """

    ndim = 3
    mode = "circular"


class ConstantPad1d(_ConstantPad):
    """Pad a sequence with a constant.

    Shape: ``(N, C, L)`` or ``(C, L)``.

    >>> from flambeau import nn
    >>> nn.ConstantPad1d((0, 1), 9.0)(fb.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 2.0, 9.0]]
    """

    ndim = 1


class ConstantPad2d(_ConstantPad):
    """Pad an image with a constant.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``.

    >>> from flambeau import nn
    >>> nn.ConstantPad2d((0, 1, 0, 0), 9.0)(fb.tensor([[[1.0, 2.0]]])).tolist()
    [[[1.0, 2.0, 9.0]]]
    """

    ndim = 2


class ConstantPad3d(_ConstantPad):
    """Pad a volume with a constant.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> from flambeau import nn
    >>> nn.ConstantPad3d((0, 1, 0, 0, 0, 0), 9.0)(fb.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 2.0, 9.0]]]]
    """

    ndim = 3


class ReflectionPad1d(_Pad):
    """Pad a sequence with its mirror image.

    Shape: ``(N, C, L)`` or ``(C, L)``.

    >>> from flambeau import nn
    >>> nn.ReflectionPad1d((1, 0))(fb.tensor([[1.0, 2.0]])).tolist()
    [[2.0, 1.0, 2.0]]
    """

    ndim = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """Pad an image with its mirror image.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``.

    >>> from flambeau import nn
    >>> nn.ReflectionPad2d((1, 0, 0, 0))(fb.tensor([[[1.0, 2.0]]])).tolist()
    [[[2.0, 1.0, 2.0]]]
    """

    ndim = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """Pad a volume with its mirror image.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> from flambeau import nn
    >>> nn.ReflectionPad3d((1, 0, 0, 0, 0, 0))(fb.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[2.0, 1.0, 2.0]]]]
    """

    ndim = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """Pad a sequence with its edge values.

    Shape: ``(N, C, L)`` or ``(C, L)``.

    >>> from flambeau import nn
    >>> nn.ReplicationPad1d((1, 0))(fb.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 1.0, 2.0]]
    """

    ndim = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """Pad an image with its edge values.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``.

    >>> from flambeau import nn
    >>> nn.ReplicationPad2d((1, 0, 0, 0))(fb.tensor([[[1.0, 2.0]]])).tolist()
    [[[1.0, 1.0, 2.0]]]
    """

    ndim = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """Pad a volume with its edge values.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> from flambeau import nn
    >>> nn.ReplicationPad3d((1, 0, 0, 0, 0, 0))(fb.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 1.0, 2.0]]]]
    """

    ndim = 3
    mode = "replicate"


class ZeroPad1d(_ZeroPad):
    """Pad a sequence with zeros.

    Shape: ``(N, C, L)`` or ``(C, L)``.

    >>> from flambeau import nn
    >>> nn.ZeroPad1d((1, 0))(fb.tensor([[1.0, 2.0]])).tolist()
    [[0.0, 1.0, 2.0]]
    """

    ndim = 1


class ZeroPad2d(_ZeroPad):
    """Pad an image with zeros.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``.

    >>> from flambeau import nn
    >>> nn.ZeroPad2d((1, 0, 0, 0))(fb.tensor([[[1.0, 2.0]]])).tolist()
    [[[0.0, 1.0, 2.0]]]
    """

    ndim = 2


class ZeroPad3d(_ZeroPad):
    """Pad a volume with zeros.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> from flambeau import nn
    >>> nn.ZeroPad3d((1, 0, 0, 0, 0, 0))(fb.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[0.0, 1.0, 2.0]]]]
    """

    ndim = 3
