"""Activations: elementwise non-linearities, softmax and its relatives.

Every function takes a floating point tensor of any shape. ``inplace=True`` writes the result into `input`.
"""

from __future__ import annotations

import warnings

import flambeau as fb
from flambeau.errors import message

from .. import ops as kernels
from ._common import in_place, need_tensors, written

__all__ = [
    "celu", "celu_", "elu", "elu_", "gelu", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid",
    "hardswish", "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "log_softmax", "logsigmoid", "mish",
    "prelu", "relu", "relu6", "relu_", "rrelu", "rrelu_", "selu", "selu_", "sigmoid", "silu", "softmax", "softmin",
    "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold", "threshold_",
]  # fmt: skip


def relu(input: fb.Tensor, inplace: bool = False) -> fb.Tensor:
    """``max(x, 0)``.

    >>> relu(fb.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return kernels.relu_(input) if inplace else kernels.relu(input)


def relu6(input: fb.Tensor, inplace: bool = False) -> fb.Tensor:
    """``min(max(x, 0), 6)``."""
    return kernels.relu6_(input) if inplace else kernels.relu6(input)


def silu(input: fb.Tensor, inplace: bool = False) -> fb.Tensor:
    """``x * sigmoid(x)``, also called swish."""
    if isinstance(input, fb.Tensor) and input.is_complex():
        return in_place(lambda x: x * fb.sigmoid(x), input) if inplace else input * fb.sigmoid(input)
    return kernels.silu_(input) if inplace else kernels.silu(input)


def mish(input: fb.Tensor, inplace: bool = False) -> fb.Tensor:
    """``x * tanh(softplus(x))``."""
    return kernels.mish_(input) if inplace else kernels.mish(input)


def selu(input: fb.Tensor, inplace: bool = False) -> fb.Tensor:
    """Scaled exponential linear unit, whose constants keep mean 0 and variance 1."""
    return kernels.selu_(input) if inplace else kernels.selu(input)


def elu(input: fb.Tensor, alpha: float = 1.0, inplace: bool = False) -> fb.Tensor:
    """``x`` where positive, else ``alpha * (exp(x) - 1)``."""
    return kernels.elu_(input, alpha) if inplace else kernels.elu(input, alpha)


def celu(input: fb.Tensor, alpha: float = 1.0, inplace: bool = False) -> fb.Tensor:
    """``x`` where positive, else ``alpha * (exp(x / alpha) - 1)``."""
    if alpha == 0:
        raise RuntimeError("[celu] ZeroDivisionError: alpha cannot be 0 for CELU.")
    return kernels.celu_(input, alpha) if inplace else kernels.celu(input, alpha)


def leaky_relu(input: fb.Tensor, negative_slope: float = 0.01, inplace: bool = False) -> fb.Tensor:
    """``x`` where positive, else ``negative_slope * x``."""
    if inplace:
        return kernels.leaky_relu_(input, negative_slope)
    return kernels.leaky_relu(input, negative_slope)


def hardtanh(
    input: fb.Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> fb.Tensor:
    """``x`` clamped to ``[min_val, max_val]``."""
    if min_val > max_val:
        raise ValueError(
            f"[hardtanh] min_val cannot be greater than max_val: got min_val {min_val}, max_val {max_val}."
        )
    need_tensors("hardtanh", input=input)
    if not input.is_floating_point():
        min_val, max_val = int(min_val), int(max_val)
    return (
        kernels.hardtanh_(input, min_val, max_val) if inplace else kernels.hardtanh(input, min_val, max_val)
    )


def hardsigmoid(input: fb.Tensor, inplace: bool = False) -> fb.Tensor:
    """``relu6(x + 3) / 6``."""
    return kernels.hardsigmoid_(input) if inplace else kernels.hardsigmoid(input)


def hardswish(input: fb.Tensor, inplace: bool = False) -> fb.Tensor:
    """``x * relu6(x + 3) / 6``."""
    return kernels.hardswish_(input) if inplace else kernels.hardswish(input)


def threshold(input: fb.Tensor, threshold: float, value: float, inplace: bool = False) -> fb.Tensor:
    """``x`` where greater than `threshold`, else `value`.

    >>> threshold_(fb.tensor([-1.0, 2.0]), 0.0, 9.0).tolist()
    [9.0, 2.0]
    """
    need_tensors("threshold", input=input)
    below = input <= threshold
    return input.masked_fill_(below, value) if inplace else input.masked_fill(below, value)


def relu_(input: fb.Tensor) -> fb.Tensor:
    """In-place `relu`."""
    return kernels.relu_(input)


def elu_(input: fb.Tensor, alpha: float = 1.0) -> fb.Tensor:
    """In-place `elu`."""
    return elu(input, alpha, inplace=True)


def selu_(input: fb.Tensor) -> fb.Tensor:
    """In-place `selu`."""
    return selu(input, inplace=True)


def celu_(input: fb.Tensor, alpha: float = 1.0) -> fb.Tensor:
    """In-place `celu`."""
    return celu(input, alpha, inplace=True)


def leaky_relu_(input: fb.Tensor, negative_slope: float = 0.01) -> fb.Tensor:
    """In-place `leaky_relu`."""
    return leaky_relu(input, negative_slope, inplace=True)


def rrelu_(
    input: fb.Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> fb.Tensor:
    """In-place `rrelu`."""
    return rrelu(input, lower, upper, training, inplace=True)


def hardtanh_(input: fb.Tensor, min_val: float = -1.0, max_val: float = 1.0) -> fb.Tensor:
    """In-place `hardtanh`."""
    return hardtanh(input, min_val, max_val, inplace=True)


def threshold_(input: fb.Tensor, threshold: float, value: float) -> fb.Tensor:
    """In-place `threshold`."""
    need_tensors("threshold_", input=input)
    return input.masked_fill_(input <= threshold, value)


def rrelu(
    input: fb.Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> fb.Tensor:
    """Leaky relu with slopes drawn from ``[lower, upper)`` in training, their mean otherwise."""
    if lower > upper:
        raise RuntimeError(
            f"[rrelu] Lower bound should be less than or equal to the upper bound: got {lower} and {upper}."
        )
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)

    def drawn(values: fb.Tensor) -> fb.Tensor:
        slopes = fb.empty_like(values.detach()).uniform_(lower, upper)
        return values.where(values >= 0, values * slopes)

    return in_place(drawn, input) if inplace else drawn(input)


def gelu(input: fb.Tensor, approximate: str = "none", *, out: fb.Tensor | None = None) -> fb.Tensor:
    """``x * Phi(x)``, the Gaussian error linear unit; ``approximate="tanh"`` uses the tanh formula."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"[gelu] approximate argument must be either none or tanh: got {approximate!r}.")
    return written("gelu", kernels.gelu(input, approximate), out, input)


def softplus(
    input: fb.Tensor, beta: float = 1.0, threshold: float = 20.0, *, out: fb.Tensor | None = None
) -> fb.Tensor:
    """``log(1 + exp(beta * x)) / beta``; linear where ``beta * x`` is above `threshold`."""
    return written("softplus", kernels.softplus(input, beta, threshold), out, input)


def logsigmoid(input: fb.Tensor, *, out: fb.Tensor | None = None) -> fb.Tensor:
    """``log(sigmoid(x))``, without overflow."""
    return written("logsigmoid", kernels.logsigmoid(input), out, input)


def softsign(input: fb.Tensor) -> fb.Tensor:
    """``x / (1 + |x|)``."""
    need_tensors("softsign", input=input)
    return kernels.softsign(input) if input.is_floating_point() else input / (input.abs() + 1)


def tanhshrink(input: fb.Tensor) -> fb.Tensor:
    """``x - tanh(x)``."""
    need_tensors("tanhshrink", input=input)
    return kernels.tanhshrink(input) if input.is_floating_point() else input - fb.tanh(input)


def hardshrink(input: fb.Tensor, lambd: float = 0.5, *, out: fb.Tensor | None = None) -> fb.Tensor:
    """``x`` where ``|x| > lambd``, else 0."""
    return written("hardshrink", kernels.hardshrink(input, lambd), out, input)


def softshrink(input: fb.Tensor, lambd: float = 0.5, *, out: fb.Tensor | None = None) -> fb.Tensor:
    """``x`` moved towards 0 by `lambd`, 0 in between."""
    if lambd < 0:
        raise RuntimeError(f"[softshrink] lambda must be greater or equal to 0: got lambd {lambd}.")
    return written("softshrink", kernels.softshrink(input, lambd), out, input)


def sigmoid(input: fb.Tensor) -> fb.Tensor:
    """``1 / (1 + exp(-x))``."""
    return fb.sigmoid(input)


def tanh(input: fb.Tensor) -> fb.Tensor:
    """Hyperbolic tangent."""
    return fb.tanh(input)


def prelu(input: fb.Tensor, weight: fb.Tensor) -> fb.Tensor:
    """Leaky relu whose slope is learnt: one for all, or one for each channel (dimension 1)."""
    return kernels.prelu(input, weight)


def glu(input: fb.Tensor, dim: int = -1) -> fb.Tensor:
    """The first half along `dim` times the sigmoid of the second half."""
    need_tensors("glu", input=input)
    if input.ndim == 0:
        raise RuntimeError("[glu] glu does not support 0-dimensional tensors.")
    size = input.shape[dim]
    if size % 2:
        raise RuntimeError(
            message("glu", f"halving dimension must be even, but dimension {dim} is size {size}", input=input)
        )
    values, gates = input.chunk(2, dim)
    return values * gates.sigmoid()


def softmax(
    input: fb.Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: fb.dtype | None = None
) -> fb.Tensor:
    """Exponentials that sum to 1 along `dim`; computed in `dtype` if one is given.

    >>> softmax(fb.zeros(4), dim=0).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    return kernels.softmax(input, _softmax_dim("softmax", input, dim, _stacklevel), dtype)


def log_softmax(
    input: fb.Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: fb.dtype | None = None
) -> fb.Tensor:
    """The logarithm of `softmax`, computed without overflow."""
    return kernels.log_softmax(input, _softmax_dim("log_softmax", input, dim, _stacklevel), dtype)


def softmin(
    input: fb.Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: fb.dtype | None = None
) -> fb.Tensor:
    """`softmax` of the negative."""
    return kernels.softmax(-input, _softmax_dim("softmin", input, dim, _stacklevel), dtype)


def _softmax_dim(op: str, input: fb.Tensor, dim: int | None, stacklevel: int) -> int:
    if dim is not None:
        return dim
    need_tensors(op, input=input)
    warnings.warn(
        f"[{op}] implicit dimension choice for {op} has been deprecated. Change the call to include dim=X.",
        stacklevel=stacklevel,
    )
    return 0 if input.ndim in (0, 1, 3) else 1


def gumbel_softmax(
    logits: fb.Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> fb.Tensor:
    """A sample of the relaxed categorical distribution; `hard` makes it one-hot with the soft one's gradient."""
    need_tensors("gumbel_softmax", logits=logits)
    noise = -fb.empty_like(logits.detach()).uniform_(fb.finfo(logits.dtype).tiny, 1).log()  # exponential
    soft = softmax((logits - noise.log()) / tau, dim)
    if not hard:
        return soft
    place = soft.detach().argmax(dim, keepdim=True)
    return fb.zeros_like(soft.detach()).scatter_(dim, place, 1.0) - soft.detach() + soft
