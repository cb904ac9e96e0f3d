"""PyTorch's top-level names for ops of neural networks: arguments are completed, unbatched inputs taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau.plugin import composite, message

from . import batch_statistics, normalization, pooling
from .convolution import convolution
from .padding import pad
from .windows import sizes_of

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = [
    "adaptive_avg_pool1d", "avg_pool1d", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "max_pool1d",
]  # fmt: skip


def _batched(op: str, x: Any, n: int) -> Any:
    """The input with a batch dimension."""
    if x.ndim not in (n + 1, n + 2):
        raise RuntimeError(
            message(
                op,
                f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {op}, but got input of size "
                f"{list(x.shape)}",
            )
        )
    return x if x.ndim == n + 2 else x.unsqueeze(0)


def _conv(
    n: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    extra: Any = None,
) -> Tensor:
    op = f"conv{'_transpose' if extra is not None else ''}{n}d"
    x = _batched(op, input, n)
    steps, spread = sizes_of(n, op, "stride", stride), sizes_of(n, op, "dilation", dilation)
    pads = (0,) * n
    if isinstance(padding, str):
        if padding not in ("valid", "same"):
            raise RuntimeError(
                f"[{op}] Invalid padding string: {padding!r}, should be one of 'valid', 'same'."
            )
        if padding == "same":
            x, pads = _same(op, x, weight, steps, spread)
    else:
        pads = sizes_of(n, op, "padding", padding)
    more = (0,) * n if extra is None else sizes_of(n, op, "output_padding", extra)
    y: Tensor = convolution(x, weight, bias, steps, pads, spread, extra is not None, more, groups)
    return y if x.ndim == input.ndim else y.squeeze(0)


def _same(op: str, x: Any, weight: Any, stride: Any, dilation: Any) -> tuple[Any, tuple[int, ...]]:
    """The padding that keeps the size; where it is uneven, one more element behind."""
    if any(s != 1 for s in stride):
        raise RuntimeError(
            f"[{op}] padding='same' is not supported for strided convolutions: got stride={stride}."
        )
    total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    uneven = [t % 2 for t in total]
    if any(uneven):
        x = pad(x, tuple(v for u in reversed(uneven) for v in (0, u)), "constant", 0)
    return x, tuple(t // 2 for t in total)


@composite(method=False)
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of (N, C, L) with weights (O, C / groups, K)."""
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


@composite(method=False)
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of (N, C, H, W) with weights (O, C / groups, kH, kW).

    Args:
        input: (N, C, H, W), or (C, H, W).
        weight: the kernels.
        bias: (O).
        stride, padding, dilation: one size, or one for each dimension; padding also "valid" or "same".
        groups: into how many independent parts channels are split.
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


@composite(method=False)
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of (N, C, D, H, W) with weights (O, C / groups, kD, kH, kW)."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


@composite(method=False)
def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """The transposed convolution of (N, C, L) with weights (C, O / groups, K)."""
    return _conv(1, input, weight, bias, stride, padding, dilation, groups, output_padding)


@composite(method=False)
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """The transposed convolution of (N, C, H, W) with weights (C, O / groups, kH, kW): the gradient of `conv2d`."""
    return _conv(2, input, weight, bias, stride, padding, dilation, groups, output_padding)


@composite(method=False)
def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """The transposed convolution of (N, C, D, H, W) with weights (C, O / groups, kD, kH, kW)."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups, output_padding)


# Pooling: one dimension is a picture of height 1


def _flat(op: str, input: Any) -> Any:
    return _batched(op, input, 1).unsqueeze(2)


def _unflat(y: Any, input: Any) -> Tensor:
    flat: Tensor = y.squeeze(2) if input.ndim == 3 else y.squeeze(2).squeeze(0)
    return flat


def _steps(stride: Any, kernel: Any) -> Any:
    return kernel if stride is None or stride == () else stride


@composite(method=False)
def max_pool1d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: Any = (),
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest value of each window of (N, C, L)."""
    op = "max_pool1d"
    k, s, p, d = (
        sizes_of(1, op, "sizes", v)[0] for v in (kernel_size, _steps(stride, kernel_size), padding, dilation)
    )
    return _unflat(pooling.max_pool2d(_flat(op, input), (1, k), (1, s), (0, p), (1, d), ceil_mode), input)


@composite(method=False, name="max_pool2d_function", export="max_pool2d")
def _max_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: Any = (),
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest value of each window of (N, C, H, W)."""
    op = "max_pool2d"
    k, s, p, d = (
        sizes_of(2, op, "sizes", v) for v in (kernel_size, _steps(stride, kernel_size), padding, dilation)
    )
    x = _batched(op, input, 2)
    y: Tensor = pooling.max_pool2d(x, k, s, p, d, ceil_mode)
    return y if x is input else y.squeeze(0)


@composite(method=False)
def avg_pool1d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: Any = (),
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of (N, C, L)."""
    op = "avg_pool1d"
    k, s, p = (sizes_of(1, op, "sizes", v)[0] for v in (kernel_size, _steps(stride, kernel_size), padding))
    return _unflat(
        pooling.avg_pool2d(_flat(op, input), (1, k), (1, s), (0, p), ceil_mode, count_include_pad), input
    )


@composite(method=False)
def adaptive_avg_pool1d(input: Tensor, output_size: int | Sequence[int]) -> Tensor:
    """The means of ``output_size`` windows that cover (N, C, L) evenly."""
    n = sizes_of(1, "adaptive_avg_pool1d", "output_size", output_size)[0]
    return _unflat(pooling.adaptive_avg_pool2d(_flat("adaptive_avg_pool1d", input), (1, n)), input)


# Normalisation


@composite(method=False, name="layer_norm_function", export="layer_norm")
def _layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """The last dimensions, of sizes ``normalized_shape``, with mean 0 and variance 1, then scaled and shifted."""
    y: Tensor = normalization.layer_norm(input, normalized_shape, weight, bias, eps)
    return y


@composite(method=False, name="rms_norm_function", export="rms_norm")
def _rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """The last dimensions divided by their root mean square, then scaled."""
    y: Tensor = normalization.rms_norm(input, normalized_shape, weight, eps)
    return y


@composite(method=False, name="group_norm_function", export="group_norm")
def _group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Groups of channels of (N, C, *) with mean 0 and variance 1, then scaled and shifted per channel."""
    y: Tensor = batch_statistics.group_norm(input, num_groups, weight, bias, eps)
    return y


@composite(method=False, name="batch_norm_function", export="batch_norm")
def _batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Channels of (N, C, *) with mean 0 and variance 1 over the batch, then scaled and shifted."""
    y: Tensor = batch_statistics.batch_norm(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )
    return y
