"""Ops of neural networks (type checkers read __init__.pyi).

Functions take positional arguments that are complete and checked by flambeau.nn.functional; they are the plugin API
for layers. Names with an underscore at the end write into their first argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau import log_softmax, relu, relu_, softmax
from flambeau.plugin import Pointwise, add_samples, inplace

from . import activations
from . import functions as functions
from . import sequences as sequences
from .attention import dropout, scaled_dot_product_attention
from .batch_statistics import batch_norm, group_norm
from .class_losses import cross_entropy, nll_loss
from .convolution import convolution
from .embedding import embedding, one_hot
from .linear import linear
from .losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from .normalization import layer_norm, rms_norm
from .padding import pad
from .pooling import adaptive_avg_pool2d, avg_pool2d, max_pool2d

__all__ = [
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "convolution", "cross_entropy", "dropout", "embedding", "group_norm", "huber_loss", "kl_div", "l1_loss",
    "layer_norm", "linear", "log_softmax", "max_pool2d", "mse_loss", "nll_loss", "one_hot", "pad", "prelu",
    "relu", "relu_", "rms_norm",
    "scaled_dot_product_attention", "smooth_l1_loss", "softmax",
]  # fmt: skip


prelu = activations.prelu


def _short(op: Pointwise) -> Callable[..., Any]:
    """The op for calls that give all arguments; where they are the defaults, the plan is found at once."""
    unary, defaults = op.short(), tuple(op.defaults[1:])

    def call(input: Any, *args: Any, **kwargs: Any) -> Any:
        return unary(input) if args == defaults and not kwargs else op(input, *args, **kwargs)

    call.__name__, call.__doc__ = op.name, op.__doc__
    return call if defaults else unary


def _in_place(op: Pointwise) -> Callable[..., Any]:
    def call(input: Any, *args: Any) -> Any:
        return inplace(op, input, args, {})

    call.__name__, call.__doc__ = op.name + "_", f"In-place form of `{op.name}`."
    return call


for _name, _op in vars(activations).items():
    if isinstance(_op, Pointwise) and _op.name == _name and _name != "prelu_values":
        globals()[_name], globals()[_name + "_"] = _short(_op), _in_place(_op)
        __all__ += [_name, _name + "_"]

add_samples("flambeau_nn.ops.samples")
