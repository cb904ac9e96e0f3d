"""The inverse of max pooling, and pooling with windows of random places (fractional max pooling)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flambeau as fb
from flambeau.errors import message

from ._common import need_tensors, tuple_of
from .pooling import Sizes

__all__ = [
    "fractional_max_pool2d", "fractional_max_pool2d_with_indices", "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip


def _unpool(
    n: int, input: fb.Tensor, indices: fb.Tensor, kernel_size: Sizes, stride: Sizes | None, padding: Sizes,
    output_size: Sequence[int] | None,
) -> fb.Tensor:  # fmt: skip
    op = f"max_unpool{n}d"
    need_tensors(op, input=input, indices=indices)
    if indices.dtype != fb.int64:
        raise RuntimeError(message(op, "elements in indices should be type int64", indices=indices))
    if input.ndim not in (n + 1, n + 2):
        raise RuntimeError(
            message(
                op,
                f"Input to {op} should be a {n + 1}d or {n + 2}d Tensor",
                "(N, C, *) or (C, *)",
                input=input,
            )
        )
    if indices.shape != input.shape:
        raise RuntimeError(
            message(
                op, "Expected shape of indices to be same as that of the input", input=input, indices=indices
            )
        )
    kernel = tuple_of(n, op, "kernel_size", kernel_size)
    steps = kernel if stride is None or stride == () else tuple_of(n, op, "stride", stride)
    pads = tuple_of(n, op, "padding", padding)
    size = _unpooled_size(op, n, input, kernel, steps, pads, output_size)
    count = 1
    for m in size:
        count *= m
    if indices.numel() and (int(indices.amin()) < 0 or int(indices.amax()) >= count):
        raise RuntimeError(
            message(op, "Found an invalid max index", f"indices below {count} (output size {list(size)})",
                    indices=indices)
        )  # fmt: skip
    lead = tuple(input.shape[: input.ndim - n])
    flat = input.new_zeros((*lead, count))
    whole = flat.scatter(-1, indices.flatten(len(lead)), input.flatten(len(lead)))
    return whole.reshape(*lead, *size)


def _unpooled_size(
    op: str, n: int, input: fb.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...],
    output_size: Sequence[int] | None,
) -> tuple[int, ...]:  # fmt: skip
    usual = tuple(
        (m - 1) * s + k - 2 * p for m, s, k, p in zip(input.shape[-n:], stride, kernel, padding, strict=True)
    )
    if output_size is None:
        return usual
    size = tuple(output_size)
    if len(size) == n + 2:
        size = size[2:]
    if len(size) != n:
        raise ValueError(
            f"[{op}] output_size should be a sequence containing {n} or {n + 2} elements: got a length of {len(size)}."
        )
    for got, want, step in zip(size, usual, stride, strict=True):
        if not want - step < got < want + step:
            raise ValueError(
                f"[{op}] invalid output_size {size}: each size must be within its stride of {usual}, exclusively."
            )
    return size


def max_unpool1d(
    input: fb.Tensor, indices: fb.Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> fb.Tensor:  # fmt: skip
    """Put values back where `max_pool1d` found them, zeros elsewhere; the arguments are `max_unpool2d`'s."""
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: fb.Tensor, indices: fb.Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> fb.Tensor:  # fmt: skip
    """Put values back where `max_pool2d` found them, zeros elsewhere.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        indices: the places that `max_pool2d` gave.
        kernel_size, stride, padding: of the pooling.
        output_size: picks among the sizes that pooling takes to the same size.

    >>> max_unpool2d(fb.tensor([[[3.0]]]), fb.tensor([[[2]]]), 2).tolist()
    [[[0.0, 0.0], [3.0, 0.0]]]
    """
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: fb.Tensor, indices: fb.Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> fb.Tensor:  # fmt: skip
    """Put values back where `max_pool3d` found them, zeros elsewhere; the arguments are `max_unpool2d`'s."""
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)


# Fractional max pooling (B. Graham, "Fractional max-pooling", 2014): overlapping windows at pseudo-random places


def _fractional(
    n: int, input: fb.Tensor, kernel_size: Sizes, output_size: Sizes | None, output_ratio: Any,
    return_indices: bool, samples: fb.Tensor | None,
) -> Any:  # fmt: skip
    op = f"fractional_max_pool{n}d"
    need_tensors(op, input=input)
    if input.ndim not in (n + 1, n + 2):
        raise RuntimeError(
            message(op, f"Expected {n + 1}D or {n + 2}D tensor", "(N, C, *) or (C, *)", input=input)
        )
    x = input if input.ndim == n + 2 else input.unsqueeze(0)
    kernel, full = tuple_of(n, op, "kernel_size", kernel_size), tuple(x.shape[2:])
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"[{op}] one of output_size and output_ratio must be given.")
    if output_size is not None:
        out = tuple_of(n, op, "output_size", output_size)
    else:
        ratios = (output_ratio,) * n if isinstance(output_ratio, (int, float)) else tuple(output_ratio)
        out = tuple(int(m * r) for m, r in zip(full, ratios, strict=True))
    if any(o + k - 1 > m or k < 1 or o < 1 for o, k, m in zip(out, kernel, full, strict=True)):
        raise RuntimeError(
            message(op, f"kernel {kernel} and output size {out} are too large for the input", input=input)
        )
    batch, channels = x.shape[:2]
    if samples is None:
        samples = fb.rand((batch, channels, n), dtype=x.dtype, device=x.device)
    elif tuple(samples.shape) != (batch, channels, n):
        raise RuntimeError(
            message(op, "random samples don't fit the input", f"[{batch}, {channels}, {n}]", samples=samples)
        )
    places: Any = fb.zeros((1,) * (2 + 2 * n), dtype=fb.int64, device=x.device)  # N C o1 o2 .. k1 k2 ..
    for place in range(n):
        # PyTorch's order of the samples: width first for images, depth first for volumes.
        share = samples[:, :, n - 1 - place if n == 2 else place].unsqueeze(-1)
        start = _starts(share, full[place], out[place], kernel[place])
        shape = [batch, channels, *[1] * (2 * n)]
        shape[2 + place] = out[place]
        within = fb.arange(kernel[place], device=x.device)
        inner = [1] * (2 + 2 * n)
        inner[2 + n + place] = kernel[place]
        places = places * full[place] + (start.reshape(shape) + within.reshape(inner))
    flat = places.flatten(2)
    shape = [batch, channels, *out, math.prod(kernel)]
    windows = x.flatten(2).gather(2, flat).reshape(shape)
    values, which = windows.max(-1)
    values = values if input is x else values.squeeze(0)
    if not return_indices:
        return values
    at = flat.reshape(shape).gather(-1, which.unsqueeze(-1)).squeeze(-1)
    return values, at if input is x else at.squeeze(0)


def _starts(sample: fb.Tensor, size: int, out: int, kernel: int) -> fb.Tensor:
    """Where the windows of one dimension start: ``int((i + u) * alpha) - int(u * alpha)``, the last at the end."""
    if out == 1:
        return fb.full((*sample.shape[:-1], 1), size - kernel, dtype=fb.int64, device=sample.device)
    alpha = (size - kernel) / (out - 1)
    steps = fb.arange(out - 1, device=sample.device)
    inner = ((steps + sample) * alpha).to(fb.int64) - (sample * alpha).to(fb.int64)
    last = fb.full((*sample.shape[:-1], 1), size - kernel, dtype=fb.int64, device=sample.device)
    return fb.cat([inner, last], -1)


def fractional_max_pool2d(
    input: fb.Tensor, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: fb.Tensor | None = None,
) -> Any:  # fmt: skip
    """The largest value of windows at pseudo-random places.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        kernel_size: the window.
        output_size: the size of the result, or
        output_ratio: its ratio to the input's, between 0 and 1.
        return_indices: return the places too, counted in each image.

    >>> fractional_max_pool2d(fb.ones(1, 5, 5), 2, output_size=3).shape == (1, 3, 3)
    True
    """
    return _fractional(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool2d_with_indices(
    input: fb.Tensor, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: fb.Tensor | None = None,
) -> tuple[fb.Tensor, fb.Tensor]:  # fmt: skip
    """`fractional_max_pool2d` and the places of the values."""
    values, places = _fractional(2, input, kernel_size, output_size, output_ratio, True, _random_samples)
    return values, places


def fractional_max_pool3d(
    input: fb.Tensor, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: fb.Tensor | None = None,
) -> Any:  # fmt: skip
    """The largest value of windows at pseudo-random places; the arguments are `fractional_max_pool2d`'s."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool3d_with_indices(
    input: fb.Tensor, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: fb.Tensor | None = None,
) -> tuple[fb.Tensor, fb.Tensor]:  # fmt: skip
    """`fractional_max_pool3d` and the places of the values."""
    values, places = _fractional(3, input, kernel_size, output_size, output_ratio, True, _random_samples)
    return values, places
