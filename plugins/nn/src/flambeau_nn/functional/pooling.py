"""Pooling: the largest or the mean value of each window.

Shapes: ``(N, C, *)`` or unbatched ``(C, *)``; the last one, two or three dimensions are pooled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau as fb
from flambeau.errors import message

from .. import ops as kernels
from ._common import check_window, need_tensors, tuple_of, written

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices", "avg_pool1d", "avg_pool2d", "lp_pool1d",
    "lp_pool2d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices",
]  # fmt: skip

Sizes = int | Sequence[int]
INTEGERS = (fb.int64, fb.int32, fb.int16, fb.int8, fb.uint8)


def _batched(op: str, n: int, input: fb.Tensor) -> fb.Tensor:
    """`input` with a batch dimension and with two dimensions to pool (height 1 is put in for one)."""
    need_tensors(op, input=input)
    if input.ndim not in (n + 1, n + 2):
        raise RuntimeError(
            message(op, f"expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {op}", input=input)
        )
    x = input if input.ndim == n + 2 else input.unsqueeze(0)
    return x if n == 2 else x.unsqueeze(2)


def _like(n: int, input: fb.Tensor, result: fb.Tensor) -> fb.Tensor:
    """Take away what `_batched` put in."""
    y = result if n == 2 else result.squeeze(2)
    return y if input.ndim == n + 2 else y.squeeze(0)


def _pair(n: int, op: str, name: str, value: Sizes, fill: int) -> tuple[int, ...]:
    sizes = tuple_of(n, op, name, value)
    return sizes if n == 2 else (fill, *sizes)


def check_sizes(op: str, n: int, input: fb.Tensor) -> None:
    """Channels and places must be there; the batch may be empty."""
    if 0 in input.shape[input.ndim - n - 1 :]:
        raise RuntimeError(
            message(op, "Expected the input's non-batch dimensions to have positive length", input=input)
        )


def _max_pool(
    n: int, op: str, input: fb.Tensor, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes,
    ceil_mode: bool, return_indices: bool,
) -> Any:  # fmt: skip
    x = _batched(op, n, input)
    kernel = _pair(n, op, "kernel_size", kernel_size, 1)
    pads = _pair(n, op, "padding", padding, 0)
    steps = kernel if stride is None or stride == () else _pair(n, op, "stride", stride, 1)
    if any(2 * pad > size for pad, size in zip(pads, kernel, strict=True)):
        raise RuntimeError(
            f"[{op}] padding should be at most half of kernel size: got padding {pads[-n:]}, kernel {kernel[-n:]}."
        )
    spread = _pair(n, op, "dilation", dilation, 1)
    check_window(op, n, kernel_size=kernel, stride=steps, padding=pads, dilation=spread)
    check_sizes(op, n, input)
    found = kernels.max_pool2d(x, kernel, steps, pads, spread, ceil_mode, return_indices)
    if return_indices:
        return _like(n, input, found[0]), _like(n, input, found[1])
    return _like(n, input, found)


def max_pool1d(
    input: fb.Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest value of each window along the last dimension; the arguments are `max_pool2d`'s."""
    return _max_pool(
        1, "max_pool1d", input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool2d(
    input: fb.Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest value of each window.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        kernel_size: the window.
        stride: its step; the window's size when left out.
        padding: minus infinities put on both sides, at most half of the window.
        dilation: distance between the window's elements.
        ceil_mode: also windows that reach over the edge.
        return_indices: return the places too, counted in each image.

    >>> max_pool2d(fb.arange(4.0).view(1, 1, 2, 2), 2).tolist()
    [[[[3.0]]]]
    """
    return _max_pool(
        2, "max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool1d_with_indices(
    input: fb.Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> tuple[fb.Tensor, fb.Tensor]:  # fmt: skip
    """`max_pool1d` and the places of the values."""
    found = _max_pool(1, "max_pool1d", input, kernel_size, stride, padding, dilation, ceil_mode, True)
    return found[0], found[1]


def max_pool2d_with_indices(
    input: fb.Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> tuple[fb.Tensor, fb.Tensor]:  # fmt: skip
    """`max_pool2d` and the places of the values."""
    found = _max_pool(2, "max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode, True)
    return found[0], found[1]


def _avg_pool(
    n: int, op: str, input: fb.Tensor, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> fb.Tensor:  # fmt: skip
    x = _batched(op, n, input)
    kernel = _pair(n, op, "kernel_size", kernel_size, 1)
    pads = _pair(n, op, "padding", padding, 0)
    steps = kernel if stride is None or stride == () else _pair(n, op, "stride", stride, 1)
    if any(2 * pad > size for pad, size in zip(pads, kernel, strict=True)):
        raise RuntimeError(
            f"[{op}] pad should be at most half of effective kernel size: got padding {pads[-n:]}, "
            f"kernel {kernel[-n:]}."
        )
    check_window(op, n, kernel_size=kernel, stride=steps, padding=pads)
    if divisor_override == 0:
        raise RuntimeError(f"[{op}] divisor must be not zero.")
    counted = x.to(fb.float64) if x.dtype in INTEGERS else x
    y = kernels.avg_pool2d(counted, kernel, steps, pads, ceil_mode, count_include_pad, divisor_override)
    return _like(n, input, y if counted is x else y.trunc().to(x.dtype))


def avg_pool1d(
    input: fb.Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> fb.Tensor:  # fmt: skip
    """The mean of each window along the last dimension; the arguments are `avg_pool2d`'s."""
    return _avg_pool(1, "avg_pool1d", input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: fb.Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None, *, out: fb.Tensor | None = None,
) -> fb.Tensor:  # fmt: skip
    """The mean of each window.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        kernel_size: the window.
        stride: its step; the window's size when left out.
        padding: zeros put on both sides, at most half of the window.
        ceil_mode: also windows that reach over the edge.
        count_include_pad: divide by the window's size even where it covers padding.
        divisor_override: divide by this instead.
        out: where to put the result.

    >>> avg_pool2d(fb.arange(4.0).view(1, 1, 2, 2), 2).tolist()
    [[[[1.5]]]]
    """
    means = _avg_pool(
        2, "avg_pool2d", input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
    return written("avg_pool2d", means, out, input, exact=True)


def adaptive_avg_pool1d(input: fb.Tensor, output_size: Sizes) -> fb.Tensor:
    """The means of `output_size` windows along the last dimension."""
    (size,) = adaptive_sizes("adaptive_avg_pool1d", 1, input, output_size)
    x = _batched("adaptive_avg_pool1d", 1, input)
    return _like(1, input, kernels.adaptive_avg_pool2d(x, (1, size)))


def adaptive_avg_pool2d(input: fb.Tensor, output_size: int | Sequence[int | None] | None) -> fb.Tensor:
    """The means of windows chosen so that the result has `output_size`; ``None`` keeps a dimension.

    >>> adaptive_avg_pool2d(fb.arange(4.0).view(1, 1, 2, 2), 1).tolist()
    [[[[1.5]]]]
    """
    size = adaptive_sizes("adaptive_avg_pool2d", 2, input, output_size)
    return _like(2, input, kernels.adaptive_avg_pool2d(_batched("adaptive_avg_pool2d", 2, input), size))


def adaptive_max_pool1d(input: fb.Tensor, output_size: Sizes, return_indices: bool = False) -> Any:
    """The largest values of `output_size` windows along the last dimension."""
    return adaptive_max(1, "adaptive_max_pool1d", input, output_size, return_indices)


def adaptive_max_pool2d(
    input: fb.Tensor, output_size: int | Sequence[int | None] | None, return_indices: bool = False
) -> Any:
    """The largest values of windows chosen so that the result has `output_size`; ``None`` keeps a dimension."""
    return adaptive_max(2, "adaptive_max_pool2d", input, output_size, return_indices)


def adaptive_max_pool1d_with_indices(
    input: fb.Tensor, output_size: Sizes, return_indices: bool = False
) -> tuple[fb.Tensor, fb.Tensor]:
    """`adaptive_max_pool1d` and the places of the values."""
    values, places = adaptive_max(1, "adaptive_max_pool1d", input, output_size, True)
    return values, places


def adaptive_max_pool2d_with_indices(
    input: fb.Tensor, output_size: int | Sequence[int | None] | None, return_indices: bool = False
) -> tuple[fb.Tensor, fb.Tensor]:
    """`adaptive_max_pool2d` and the places of the values."""
    values, places = adaptive_max(2, "adaptive_max_pool2d", input, output_size, True)
    return values, places


def adaptive_sizes(
    op: str, n: int, input: fb.Tensor, output_size: int | Sequence[int | None] | None
) -> tuple[int, ...]:
    """The size of the result, ``None`` replaced by the input's; the input's rank and size are checked."""
    need_tensors(op, input=input)
    if n > 1 and input.ndim <= n:
        raise ValueError(
            message(op, f"Input dimension should be at least {n + 1}", "(N, C, *) or (C, *)", input=input)
        )
    if input.ndim not in (n + 1, n + 2) or 0 in input.shape[input.ndim - n - 1 :]:
        raise RuntimeError(
            message(op, f"Expected {n + 1}D or {n + 2}D tensor with non-zero sizes of channels and places",
                    "(N, C, *) or (C, *)", input=input)
        )  # fmt: skip
    given = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * n
    given = given * n if len(given) == 1 else given
    if len(given) != n:
        raise RuntimeError(f"[{op}] output_size must be an int or {n} of them: got {given}.")
    sizes = tuple(
        full if size is None else int(size) for size, full in zip(given, input.shape[-n:], strict=True)
    )
    if min(sizes) < 0:
        raise RuntimeError(f"[{op}] elements of output_size must be greater than or equal to 0: got {sizes}.")
    return sizes


def adaptive_max(
    n: int, op: str, input: fb.Tensor, output_size: int | Sequence[int | None] | None, return_indices: bool
) -> Any:
    """Gather every window, short ones filled up with their last elements, and take the largest."""
    size = adaptive_sizes(op, n, input, output_size)
    x = input if input.ndim == n + 2 else input.unsqueeze(0)
    full = tuple(x.shape[2:])
    places: Any = fb.zeros((1,) * (2 * n), dtype=fb.int64, device=x.device)  # o1 o2 .. k1 k2 ..
    for k in range(n):
        index = fb.tensor(_window_places(full[k], size[k]), dtype=fb.int64, device=x.device)
        shape = [1] * (2 * n)
        shape[k], shape[n + k] = size[k], index.shape[-1] if index.ndim == 2 else 0
        places = places * full[k] + index.reshape(shape)
    batch, channels = x.shape[:2]
    windows = x.flatten(2).index_select(2, places.reshape(-1))
    longest = places.shape[n:].numel()
    values, which = windows.view(batch, channels, *size, longest).max(-1)
    found = [values if input is x else values.squeeze(0)]
    if return_indices:
        spread = places.reshape(1, 1, *size, longest).expand(batch, channels, *(-1,) * (n + 1))
        at = spread.gather(-1, which.unsqueeze(-1)).squeeze(-1)
        return found[0], at if input is x else at.squeeze(0)
    return found[0]


def _window_places(size: int, windows: int) -> list[list[int]]:
    """For each adaptive window the positions that it covers, all lists of one length."""
    spans = [(i * size // windows, -(-(i + 1) * size // windows)) for i in range(windows)]
    longest = max((stop - start for start, stop in spans), default=0)
    return [[min(start + k, stop - 1) for k in range(longest)] for start, stop in spans]


def lp_pool1d(
    input: fb.Tensor, norm_type: float, kernel_size: int, stride: Sizes | None = None, ceil_mode: bool = False
) -> fb.Tensor:
    """The p-norm of each window along the last dimension."""
    need_tensors("lp_pool1d", input=input)
    means = avg_pool1d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return root(means, kernel_size, norm_type)


def lp_pool2d(
    input: fb.Tensor,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> fb.Tensor:
    """The p-norm of each window."""
    kh, kw = tuple_of(2, "lp_pool2d", "kernel_size", kernel_size)
    need_tensors("lp_pool2d", input=input)
    means = avg_pool2d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return root(means, kh * kw, norm_type)


def root(means: fb.Tensor, count: int, norm_type: float) -> fb.Tensor:
    return (means.sign() * means.abs().relu() * count).pow(1.0 / norm_type)
