"""Folding batch normalisation into the layer before it, for evaluation."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import flambeau as fb

from ..module import Module
from ..parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _scale(var: fb.Tensor, eps: float, weight: fb.Tensor | None) -> fb.Tensor:
    factor = (var + eps).rsqrt()
    return factor if weight is None else factor * weight


def _shifted(
    bias: fb.Tensor | None, mean: fb.Tensor, scale: fb.Tensor, shift: fb.Tensor | None, dtype: fb.dtype
) -> fb.Tensor:
    moved = ((0 if bias is None else bias) - mean) * scale
    return (moved if shift is None else moved + shift).to(dtype)


def fuse_conv_bn_weights(
    conv_w: fb.Tensor, conv_b: fb.Tensor | None, bn_rm: fb.Tensor, bn_rv: fb.Tensor, bn_eps: float,
    bn_w: fb.Tensor | None, bn_b: fb.Tensor | None, transpose: bool = False,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Weight and bias of a convolution that does what the convolution and the batch norm after it do.

    Args:
        conv_w, conv_b: of the convolution.
        bn_rm, bn_rv, bn_eps, bn_w, bn_b: running mean and variance, eps, weight and bias of the batch norm.
        transpose: the convolution is a transposed one.
    """
    with fb.no_grad():
        scale = _scale(bn_rv, bn_eps, bn_w)
        spread = scale.reshape((1, -1) if transpose else (-1, 1)).reshape(
            (1, -1, *[1] * (conv_w.ndim - 2)) if transpose else (-1, *[1] * (conv_w.ndim - 1))
        )
        weight = (conv_w * spread).to(conv_w.dtype)
        bias = _shifted(conv_b, bn_rm, scale, bn_b, conv_w.dtype if conv_b is None else conv_b.dtype)
    trained = conv_b.requires_grad if conv_b is not None else False
    return Parameter(weight, conv_w.requires_grad), Parameter(bias, trained)


def fuse_linear_bn_weights(
    linear_w: fb.Tensor, linear_b: fb.Tensor | None, bn_rm: fb.Tensor, bn_rv: fb.Tensor, bn_eps: float,
    bn_w: fb.Tensor, bn_b: fb.Tensor,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Weight and bias of a linear layer that does what the layer and the batch norm after it do."""
    with fb.no_grad():
        scale = _scale(bn_rv, bn_eps, bn_w)
        weight = (linear_w * scale.unsqueeze(-1)).to(linear_w.dtype)
        bias = _shifted(linear_b, bn_rm, scale, bn_b, linear_w.dtype if linear_b is None else linear_b.dtype)
    trained = linear_b.requires_grad if linear_b is not None else False
    return Parameter(weight, linear_w.requires_grad), Parameter(bias, trained)


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Module:
    """A copy of a convolution with the batch norm after it folded in; both must be in evaluation mode.

    >>> from flambeau import nn
    >>> conv, bn = nn.Conv2d(2, 3, 1).eval(), nn.BatchNorm2d(3).eval()
    >>> x = fb.ones(1, 2, 2, 2)
    >>> fb.allclose(fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-5)
    True
    """
    return _fused(conv, bn, partial(fuse_conv_bn_weights, transpose=transpose))


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Module:
    """A copy of a linear layer with the batch norm after it folded in; both must be in evaluation mode."""
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError(
            "[fuse_linear_bn_eval] to fuse, linear.out_features == bn.num_features or bn.num_features == 1: got "
            f"{linear.out_features} and {bn.num_features}."
        )
    return _fused(linear, bn, fuse_linear_bn_weights)


def _fused(layer: Any, bn: Any, weights: Any) -> Module:
    if layer.training or bn.training:
        raise AssertionError("[fuse] fusion only for eval: call .eval() on both modules.")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("[fuse] the batch norm has no running statistics.")
    made: Any = copy.deepcopy(layer)
    made.weight, made.bias = weights(
        made.weight, made.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    found: Module = made
    return found
