"""Convolutions of 1, 2 and 3 dimensions, their transposes, unfold and fold.

Shapes: input ``(N, C, *)`` or unbatched ``(C, *)``; weight ``(O, C / groups, *)``, transposed ``(C, O / groups, *)``.
"""

from __future__ import annotations

from collections.abc import Sequence

import flambeau as fb
from flambeau.errors import message

from .. import ops as kernels
from ._common import check_window, need_tensors, tuple_of

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "fold",
    "unfold",
]  # fmt: skip

Sizes = int | Sequence[int]


def conv1d(
    input: fb.Tensor, weight: fb.Tensor, bias: fb.Tensor | None = None, stride: Sizes = 1, padding: Sizes | str = 0,
    dilation: Sizes = 1, groups: int = 1,
) -> fb.Tensor:  # fmt: skip
    """Slide `weight` along the last dimension of `input`; the arguments are `conv2d`'s."""
    return _conv(1, "conv1d", input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: fb.Tensor, weight: fb.Tensor, bias: fb.Tensor | None = None, stride: Sizes = 1, padding: Sizes | str = 0,
    dilation: Sizes = 1, groups: int = 1,
) -> fb.Tensor:  # fmt: skip
    """Slide `weight` over the last two dimensions of `input` (cross-correlation).

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        weight: ``(O, C / groups, kH, kW)``.
        bias: ``(O)``.
        stride: step of the window.
        padding: zeros put on both sides; ``"valid"`` is none, ``"same"`` keeps the size (stride 1 only).
        dilation: distance between the weights.
        groups: parts that the channels are split into, each convolved on its own.

    >>> conv2d(fb.ones(1, 1, 3, 3), fb.ones(1, 1, 2, 2)).tolist()
    [[[[4.0, 4.0], [4.0, 4.0]]]]
    """
    return _conv(2, "conv2d", input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: fb.Tensor, weight: fb.Tensor, bias: fb.Tensor | None = None, stride: Sizes = 1, padding: Sizes | str = 0,
    dilation: Sizes = 1, groups: int = 1,
) -> fb.Tensor:  # fmt: skip
    """Slide `weight` over the last three dimensions of `input`; the arguments are `conv2d`'s."""
    return _conv(3, "conv3d", input, weight, bias, stride, padding, dilation, groups)


def _conv(
    n: int, op: str, input: fb.Tensor, weight: fb.Tensor, bias: fb.Tensor | None, stride: Sizes, padding: Sizes | str,
    dilation: Sizes, groups: int,
) -> fb.Tensor:  # fmt: skip
    batched = _is_batched(n, op, input, weight)
    x = input if batched else input.unsqueeze(0)
    strides = tuple_of(n, op, "stride", stride)
    dilations = tuple_of(n, op, "dilation", dilation)
    if isinstance(padding, str):
        x, paddings = _named_padding(n, op, x, weight, padding, strides, dilations)
    else:
        paddings = tuple_of(n, op, "padding", padding)
    check_window(op, n, stride=strides, padding=paddings, dilation=dilations)
    y = kernels.convolution(x, weight, bias, strides, paddings, dilations, False, (0,) * n, groups)
    return y if batched else y.squeeze(0)


def _is_batched(n: int, op: str, input: fb.Tensor, weight: fb.Tensor) -> bool:
    try:
        rank, weight_rank = input.ndim, weight.ndim
    except AttributeError:
        need_tensors(op, input=input, weight=weight)
        raise
    if weight_rank != n + 2 or rank not in (n + 1, n + 2):
        raise RuntimeError(
            message(
                op,
                f"expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {op}, and a {n + 2}D weight",
                "input (N, C, *) or (C, *)",
                input=input,
                weight=weight,
            )
        )
    return rank == n + 2


def _named_padding(
    n: int,
    op: str,
    x: fb.Tensor,
    weight: fb.Tensor,
    padding: str,
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[fb.Tensor, tuple[int, ...]]:
    if padding == "valid":
        return x, (0,) * n
    if padding != "same":
        raise RuntimeError(f"[{op}] invalid padding string: got {padding!r}, needed: 'valid' or 'same'.")
    if any(step != 1 for step in strides):
        raise RuntimeError(
            f"[{op}] padding='same' is not supported for strided convolutions: got stride {strides}."
        )
    totals = [d * (k - 1) for d, k in zip(dilations, weight.shape[2:], strict=True)]
    if any(total % 2 for total in totals):  # one zero more on the right
        x = kernels.pad(
            x, tuple(side for total in reversed(totals) for side in (0, total % 2)), "constant", 0.0
        )
    return x, tuple(total // 2 for total in totals)


def conv_transpose1d(
    input: fb.Tensor, weight: fb.Tensor, bias: fb.Tensor | None = None, stride: Sizes = 1, padding: Sizes = 0,
    output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1,
) -> fb.Tensor:  # fmt: skip
    """The transpose of `conv1d`; the arguments are `conv_transpose2d`'s."""
    return _transpose(
        1, "conv_transpose1d", input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose2d(
    input: fb.Tensor, weight: fb.Tensor, bias: fb.Tensor | None = None, stride: Sizes = 1, padding: Sizes = 0,
    output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1,
) -> fb.Tensor:  # fmt: skip
    """The transpose of `conv2d` (its gradient as an op of its own), used to enlarge.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        weight: ``(C, O / groups, kH, kW)``.
        bias: ``(O)``.
        stride: step of the window in the output.
        padding: rows and columns cut off on both sides of the output.
        output_padding: rows and columns added on one side of the output.
        groups: parts that the channels are split into.
        dilation: distance between the weights.

    >>> conv_transpose2d(fb.ones(1, 1, 1, 1), fb.ones(1, 1, 2, 2)).tolist()
    [[[[1.0, 1.0], [1.0, 1.0]]]]
    """
    return _transpose(
        2, "conv_transpose2d", input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose3d(
    input: fb.Tensor, weight: fb.Tensor, bias: fb.Tensor | None = None, stride: Sizes = 1, padding: Sizes = 0,
    output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1,
) -> fb.Tensor:  # fmt: skip
    """The transpose of `conv3d`; the arguments are `conv_transpose2d`'s."""
    return _transpose(
        3, "conv_transpose3d", input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def _transpose(
    n: int, op: str, input: fb.Tensor, weight: fb.Tensor, bias: fb.Tensor | None, stride: Sizes, padding: Sizes,
    output_padding: Sizes, groups: int, dilation: Sizes,
) -> fb.Tensor:  # fmt: skip
    batched = _is_batched(n, op, input, weight)
    strides = tuple_of(n, op, "stride", stride)
    dilations = tuple_of(n, op, "dilation", dilation)
    extra = tuple_of(n, op, "output_padding", output_padding)
    if any(more >= max(s, d) for more, s, d in zip(extra, strides, dilations, strict=True)):
        raise RuntimeError(
            f"[{op}] output padding must be smaller than either stride or dilation: got output_padding {extra}, "
            f"stride {strides}, dilation {dilations}."
        )
    x = input if batched else input.unsqueeze(0)
    paddings = tuple_of(n, op, "padding", padding)
    check_window(op, n, stride=strides, padding=paddings, dilation=dilations)
    y = kernels.convolution(x, weight, bias, strides, paddings, dilations, True, extra, groups)
    return y if batched else y.squeeze(0)


def unfold(
    input: fb.Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> fb.Tensor:
    """All windows of an image as columns.

    Shape: ``(N, C, H, W)`` to ``(N, C * kH * kW, L)``, or both without N; L is the number of windows.

    >>> unfold(fb.arange(4.0).view(1, 1, 2, 2), 2).tolist()
    [[[0.0], [1.0], [2.0], [3.0]]]
    """
    need_tensors("unfold", input=input)
    if input.ndim not in (3, 4):
        raise RuntimeError(message("unfold", "expected 3D or 4D (batch mode) input", input=input))
    kernel = kh, kw = tuple_of(2, "unfold", "kernel_size", kernel_size)
    spread = dh, dw = tuple_of(2, "unfold", "dilation", dilation)
    edge = ph, pw = tuple_of(2, "unfold", "padding", padding)
    step = sh, sw = tuple_of(2, "unfold", "stride", stride)
    check_window("unfold", 2, kernel_size=kernel, dilation=spread, padding=edge, stride=step)
    x = input if input.ndim == 4 else input.unsqueeze(0)
    if ph or pw:
        x = kernels.pad(x, (pw, pw, ph, ph), "constant", 0.0)
    high, wide = dh * (kh - 1) + 1, dw * (kw - 1) + 1
    if x.shape[2] < high or x.shape[3] < wide:
        raise RuntimeError(
            message("unfold", f"the window of {high} x {wide} doesn't fit into the padded image", input=input)
        )
    windows = x.unfold(2, high, sh).unfold(3, wide, sw)[..., ::dh, ::dw]  # N C rows columns kh kw
    n, c, rows, columns = windows.shape[:4]
    y = windows.permute(0, 1, 4, 5, 2, 3).reshape(n, c * kh * kw, rows * columns)
    return y if input.ndim == 4 else y.squeeze(0)


def fold(
    input: fb.Tensor,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> fb.Tensor:
    """Sum columns back into an image: the transpose of `unfold`.

    Shape: ``(N, C * kH * kW, L)`` to ``(N, C, H, W)``, or both without N.
    """
    need_tensors("fold", input=input)
    if input.ndim not in (2, 3):
        raise RuntimeError(message("fold", "expected 2D or 3D (batch mode) input", input=input))
    height, width = tuple_of(2, "fold", "output_size", output_size)
    kh, kw = tuple_of(2, "fold", "kernel_size", kernel_size)
    ph, pw = tuple_of(2, "fold", "padding", padding)
    x = input if input.ndim == 3 else input.unsqueeze(0)
    high, wide = height + 2 * ph, width + 2 * pw
    places = fb.arange(high * wide, dtype=fb.int64, device=input.device).view(1, 1, high, wide)
    index = unfold(places, (kh, kw), dilation, 0, stride).reshape(1, 1, -1)
    if x.shape[1] % (kh * kw) or x.shape[2] * kh * kw != index.numel():
        raise RuntimeError(
            message(
                "fold",
                "sizes don't fit together",
                f"input (N, C * {kh * kw}, {index.numel() // (kh * kw)})",
                input=input,
            )
        )
    n, c = x.shape[0], x.shape[1] // (kh * kw)
    flat = x.reshape(n, c, index.numel())
    y = fb.zeros(n, c, high * wide, dtype=x.dtype, device=x.device).scatter_add(
        2, index.expand(n, c, -1), flat
    )
    y = y.view(n, c, high, wide)[:, :, ph : ph + height, pw : pw + width]
    return y if input.ndim == 3 else y.squeeze(0)


def conv_tbc(input: fb.Tensor, weight: fb.Tensor, bias: fb.Tensor, pad: int = 0) -> fb.Tensor:
    """`conv1d` of ``(time, batch, channels)``.

    Args:
        input: ``(T, B, C)``.
        weight: ``(kT, C, O)``.
        bias: ``(O)``.
        pad: zeros put on both ends of time.

    Returns:
        ``(T + 2 * pad - kT + 1, B, O)``.

    >>> conv_tbc(fb.ones(3, 1, 2), fb.ones(2, 2, 1), fb.zeros(1)).flatten().tolist()
    [4.0, 4.0]
    """
    need_tensors("conv_tbc", input=input, weight=weight, bias=bias)
    if input.ndim != 3 or weight.ndim != 3 or input.shape[2] != weight.shape[1]:
        raise RuntimeError(
            message("conv_tbc", "sizes don't fit", "(T, B, C) and (kT, C, O)", input=input, weight=weight)
        )
    return conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad).permute(2, 0, 1)
