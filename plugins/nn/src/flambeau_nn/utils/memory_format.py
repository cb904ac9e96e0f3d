"""Convolutions' weights in another memory format (``flambeau.nn.utils``); values and shapes stay."""

from __future__ import annotations

from typing import Any, TypeVar

from ..layers.conv import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d
from ..module import Module

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]

M = TypeVar("M", bound=Module)


def convert_conv2d_weight_memory_format(module: M, memory_format: Any) -> M:
    """Lay out the weights of all two-dimensional convolutions in a module anew, in place.

    Args:
        module: a convolution, or what contains some.
        memory_format: ``flambeau.channels_last`` or ``flambeau.contiguous_format``.

    >>> import flambeau as fb
    >>> from flambeau import nn
    >>> net = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Linear(2, 2))
    >>> net = convert_conv2d_weight_memory_format(net, fb.channels_last)
    >>> net[0].weight.is_contiguous(memory_format=fb.channels_last)
    True
    """
    return _converted(module, memory_format, (Conv2d, ConvTranspose2d))


def convert_conv3d_weight_memory_format(module: M, memory_format: Any) -> M:
    """Lay out the weights of all three-dimensional convolutions in a module anew, in place.

    Args:
        module: a convolution, or what contains some.
        memory_format: ``flambeau.channels_last_3d`` or ``flambeau.contiguous_format``.
    """
    return _converted(module, memory_format, (Conv3d, ConvTranspose3d))


def _converted(module: M, memory_format: Any, kinds: tuple[type[Any], ...]) -> M:
    for layer in module.modules():
        if isinstance(layer, kinds):
            weight: Any = layer.weight
            weight.data = weight.detach().clone(memory_format=memory_format)
    return module
