"""Initialisers: fill a tensor in place and return it (``flambeau.nn.init``)."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import ParamSpec

import flambeau as fb
from flambeau.errors import message

__all__ = [
    "calculate_gain", "constant", "constant_", "dirac", "dirac_", "eye", "eye_", "kaiming_normal", "kaiming_normal_",
    "kaiming_uniform", "kaiming_uniform_", "normal", "normal_", "ones_", "orthogonal", "orthogonal_", "sparse",
    "sparse_", "trunc_normal_", "uniform", "uniform_", "xavier_normal", "xavier_normal_", "xavier_uniform",
    "xavier_uniform_", "zeros_",
]  # fmt: skip

_P = ParamSpec("_P")

_GAINS = {
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d", "sigmoid"), 1.0),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), 1.0),
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights in front of a non-linearity should be larger.

    >>> calculate_gain("leaky_relu", 1.0)
    1.0
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"[calculate_gain] negative_slope {param} not a valid number.")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ValueError(
            f"[calculate_gain] unsupported nonlinearity {nonlinearity}: needed one of leaky_relu, {', '.join(_GAINS)}."
        )
    return _GAINS[nonlinearity]


def uniform_(
    tensor: fb.Tensor, a: float = 0.0, b: float = 1.0, generator: fb.Generator | None = None
) -> fb.Tensor:
    """Uniform numbers in ``[a, b)``."""
    with fb.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(
    tensor: fb.Tensor, mean: float = 0.0, std: float = 1.0, generator: fb.Generator | None = None
) -> fb.Tensor:
    """Normal numbers."""
    with fb.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: fb.Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
    generator: fb.Generator | None = None,
) -> fb.Tensor:  # fmt: skip
    """Normal numbers, those outside of ``[a, b]`` drawn again: by the inverse of the distribution function."""
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "[trunc_normal_] mean is more than 2 std from [a, b]: the distribution of values may be incorrect.",
            stacklevel=2,
        )
    low, high = (math.erf((edge - mean) / (std * math.sqrt(2.0))) for edge in (a, b))
    with fb.no_grad():
        tensor.uniform_(low, high, generator=generator)
        return tensor.erfinv_().mul_(std * math.sqrt(2.0)).add_(mean).clamp_(a, b)


def constant_(tensor: fb.Tensor, val: float) -> fb.Tensor:
    """`val` everywhere."""
    with fb.no_grad():
        return tensor.fill_(val)


def ones_(tensor: fb.Tensor) -> fb.Tensor:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def zeros_(tensor: fb.Tensor) -> fb.Tensor:
    """0 everywhere."""
    return constant_(tensor, 0.0)


def eye_(tensor: fb.Tensor) -> fb.Tensor:
    """The identity matrix.

    >>> eye_(fb.empty(2, 2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if tensor.ndim != 2:
        raise ValueError(message("eye_", "only tensors with 2 dimensions are supported", tensor=tensor))
    with fb.no_grad():
        return tensor.copy_(fb.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def dirac_(tensor: fb.Tensor, groups: int = 1) -> fb.Tensor:
    """The convolution weight that keeps as many channels as it can."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(
            message("dirac_", "only tensors with 3, 4, or 5 dimensions are supported", tensor=tensor)
        )
    if tensor.shape[0] % groups:
        raise ValueError(message("dirac_", "dim 0 must be divisible by groups", tensor=tensor, groups=groups))
    out_per_group = tensor.shape[0] // groups
    centre = tuple(size // 2 for size in tensor.shape[2:])
    with fb.no_grad():
        tensor.zero_()
        for group in range(groups):
            for channel in range(min(out_per_group, tensor.shape[1])):
                tensor[(group * out_per_group + channel, channel, *centre)] = 1.0
    return tensor


def _fans(op: str, tensor: fb.Tensor) -> tuple[int, int]:
    if tensor.ndim < 2:
        raise ValueError(
            message(
                op,
                "fan in and fan out can not be computed for tensor with fewer than 2 dimensions",
                tensor=tensor,
            )
        )
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


def xavier_uniform_(tensor: fb.Tensor, gain: float = 1.0, generator: fb.Generator | None = None) -> fb.Tensor:
    """Uniform numbers with variance ``gain^2 * 2 / (fan_in + fan_out)``."""
    fan_in, fan_out = _fans("xavier_uniform_", tensor)
    bound = gain * math.sqrt(6.0 / (fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: fb.Tensor, gain: float = 1.0, generator: fb.Generator | None = None) -> fb.Tensor:
    """Normal numbers with variance ``gain^2 * 2 / (fan_in + fan_out)``."""
    fan_in, fan_out = _fans("xavier_normal_", tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)), generator)


def _kaiming_std(op: str, tensor: fb.Tensor, a: float, mode: str, nonlinearity: str) -> float | None:
    if 0 in tensor.shape:
        warnings.warn(f"[{op}] initializing zero-element tensors is a no-op.", stacklevel=3)
        return None
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"[{op}] mode {mode} not supported: please use one of fan_in, fan_out.")
    fan = _fans(op, tensor)[mode.lower() == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: fb.Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: fb.Generator | None = None,
) -> fb.Tensor:  # fmt: skip
    """Uniform numbers with variance ``gain^2 / fan``; `a` is the negative slope of a leaky relu."""
    std = _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: fb.Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: fb.Generator | None = None,
) -> fb.Tensor:  # fmt: skip
    """Normal numbers with variance ``gain^2 / fan``; `a` is the negative slope of a leaky relu."""
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return tensor if std is None else normal_(tensor, 0.0, std, generator)


def orthogonal_(tensor: fb.Tensor, gain: float = 1, generator: fb.Generator | None = None) -> fb.Tensor:
    """A random matrix with orthonormal rows or columns, whichever are fewer; later dimensions count as columns.

    >>> w = orthogonal_(fb.empty(2, 3))
    >>> fb.allclose(w @ w.t(), fb.eye(2), atol=1e-5)
    True
    """
    if tensor.ndim < 2:
        raise ValueError(
            message("orthogonal_", "only tensors with 2 or more dimensions are supported", tensor=tensor)
        )
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    few, many = min(rows, columns), max(rows, columns)
    with fb.no_grad():
        # Gram-Schmidt, each vector projected twice: as orthogonal as by reflections, and R's diagonal is positive
        drawn = fb.empty(few, many, dtype=fb.float64, device=tensor.device).normal_(generator=generator)
        basis = fb.empty_like(drawn)
        for place in range(few):
            vector, done = drawn[place], basis[:place]
            for _ in range(2 if place else 0):
                vector = vector - (done @ vector) @ done
            basis[place] = vector / vector.norm()
        matrix = basis if rows < columns else basis.t()
        return tensor.copy_((matrix * gain).reshape(tensor.shape))


def sparse_(
    tensor: fb.Tensor, sparsity: float, std: float = 0.01, generator: fb.Generator | None = None
) -> fb.Tensor:
    """Normal numbers of which the part `sparsity` in each column is set to 0."""
    if tensor.ndim != 2:
        raise ValueError(message("sparse_", "only tensors with 2 dimensions are supported", tensor=tensor))
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with fb.no_grad():
        tensor.normal_(0, std, generator=generator)
        for column in range(columns):
            tensor[fb.randperm(rows, generator=generator)[:zeros].to(tensor.device), column] = 0.0
    return tensor


def _old(fill: Callable[_P, fb.Tensor]) -> Callable[_P, fb.Tensor]:
    """The name without underscore, which warns."""
    new = fill.__name__
    old = new[:-1]

    @functools.wraps(fill)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> fb.Tensor:
        warnings.warn(
            f"[{old}] `nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.",
            FutureWarning,
            stacklevel=2,
        )
        return fill(*args, **kwargs)

    run.__name__ = run.__qualname__ = old
    run.__doc__ = f"The older name of `{new}`, with a FutureWarning."
    return run


constant = _old(constant_)
dirac = _old(dirac_)
eye = _old(eye_)
kaiming_normal = _old(kaiming_normal_)
kaiming_uniform = _old(kaiming_uniform_)
normal = _old(normal_)
orthogonal = _old(orthogonal_)
sparse = _old(sparse_)
uniform = _old(uniform_)
xavier_normal = _old(xavier_normal_)
xavier_uniform = _old(xavier_uniform_)
