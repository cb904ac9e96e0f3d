"""Pooling of (N, C, H, W): the largest or the mean value of each window, and their gradients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau import arange, iinfo, int64, is_grad_enabled
from flambeau.plugin import Call, Spec, kernel, message, only_float

from .windows import Ints, add_windows, padded, widened, windows

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["adaptive_avg_pool2d", "avg_pool2d", "max_pool2d"]


def _output_size(
    op: str, x: Spec, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> Ints:
    """The number of windows; in ceil mode the last one may reach out on the right, but not start there."""
    if x.ndim != 4:
        raise RuntimeError(
            message(op, "input must have 4 dimensions", "(N, C, H, W)", "Use unsqueeze().", input=x)
        )
    if any(k < 1 for k in kernel) or any(s < 1 for s in stride) or any(d < 1 for d in dilation):
        raise RuntimeError(
            f"[{op}] kernel size, stride and dilation should be greater than zero: got {kernel}, {stride}, {dilation}."
        )
    if any(p < 0 or 2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise RuntimeError(
            f"[{op}] pad should be at most half of effective kernel size, and not negative: got pad={padding}, "
            f"kernel_size={kernel}."
        )
    out = []
    for n, k, s, p, d in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        m = (room + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (m - 1) * s >= n + p:
            m -= 1
        out.append(m)
    if any(m < 1 for m in out):
        raise RuntimeError(
            message(
                op,
                f"Given input size: {list(x.shape[1:])}. Calculated output size: {[x.shape[1], *out]}. Output size is "
                "too small",
                do="Give a larger input, more padding, or a smaller kernel.",
                input=x,
            )
        )
    return tuple(out)


def _reach(out: Ints, kernel: Ints, stride: Ints, dilation: Ints) -> Ints:
    return tuple(
        (o - 1) * s + d * (k - 1) + 1 for o, k, s, d in zip(out, kernel, stride, dilation, strict=True)
    )


# The largest value


def _flat(t: Any) -> Any:
    n, c, h, w = t.shape
    return t.reshape((n, c, h * w))


def _lowest(x: Any) -> Any:
    return -math.inf if x.dtype.is_floating_point else iinfo(x.dtype).min


def _max_default(
    input: Any,
    kernel_size: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    ceil_mode: bool,
    with_indices: bool,
) -> Any:
    h, w = input.shape[2:]
    out = _output_size("max_pool2d", input.spec, kernel_size, stride, padding, dilation, ceil_mode)
    room = padded(input, padding, _reach(out, kernel_size, stride, dilation), _lowest(input))
    n, c = input.shape[:2]
    seen = windows(room, kernel_size, stride, dilation, out).reshape(
        (n, c, kernel_size[0] * kernel_size[1], *out)
    )
    best = seen.argmax(2)
    values = seen.gather(2, best.unsqueeze(2)).squeeze(2)
    if not with_indices:
        return values, None
    # Where all that a window holds is the padding's value, the first element inside the input counts.
    places, firsts = [], []
    inside: Any = True
    for k, (size, at) in enumerate(((h, best // kernel_size[1]), (w, best % kernel_size[1]))):
        start = arange(out[k], device=input.device) * stride[k] - padding[k]
        start = start.reshape((-1, 1)) if k == 0 else start
        place = at * dilation[k] + start
        places.append(place)
        firsts.append(start.clamp(min=0) + start.clamp(max=0) % dilation[k])
        inside = inside & (place >= 0) & (place < size)
    index = (places[0] * w + places[1]) * inside + (firsts[0] * w + firsts[1]) * ~inside
    return values, index


def _max_rule(g0: Any, out1: Any, input_spec: Spec) -> Any:
    return max_pool2d_backward(g0, out1, tuple(input_spec.shape[2:]))


@kernel(
    batch="items", name="max_pool2d", module="nn", method=False, function=False, default=_max_default, nondiff=(1,),
    vjp={"input": _max_rule},
)  # fmt: skip
def max_pool2d_pair(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    ceil_mode: bool,
    with_indices: bool,
) -> Any:
    """The largest value of each window, and where it is in the flattened image."""
    s: Any = input
    out = _output_size("max_pool2d", s, kernel_size, stride, padding, dilation, ceil_mode)
    shape = (*s.shape[:2], *out)
    return Call((s.like(shape=shape), s.like(int64, shape) if with_indices else None))


@kernel(
    batch="items", module="nn", method=False, function=False,
    vjp={"grad": lambda g0, indices: _flat(g0).gather(2, _flat(indices)).reshape(indices.shape)},
    default=lambda grad, indices, size: grad.new_zeros((*grad.shape[:2], size[0] * size[1]))
    .scatter_add(2, _flat(indices), _flat(grad))
    .reshape((*grad.shape[:2], *size)),
)  # fmt: skip
def max_pool2d_backward(grad: Tensor, indices: Tensor, size: Ints) -> Any:
    """The gradient of `max_pool2d` for an input of ``size``: each gradient goes to where its value came from."""
    s: Any = grad
    return Call(s.like(shape=(*s.shape[:2], *size)))


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value of each window of (N, C, H, W); on request also its place in the flattened image.

    Args:
        input: (N, C, H, W).
        kernel_size, stride, padding, dilation: a size for each dimension; padding never wins.
        ceil_mode: let the last window reach beyond the padding.
        return_indices: return the pair (values, indices).
    """
    wanted = return_indices or (input.requires_grad and is_grad_enabled())
    values, indices = max_pool2d_pair(
        input, tuple(kernel_size), tuple(stride), tuple(padding), tuple(dilation), bool(ceil_mode), wanted
    )
    return (values, indices) if return_indices else values


# The mean


def _counts(
    like: Any,
    size: Ints,
    out: Ints,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    count_include_pad: bool,
    divisor: int | None,
) -> Any:
    """By how much the sum of each window is divided: a number or [oh, ow]."""
    if divisor is not None:
        return divisor
    counts = []
    for n, m, k, s, p in zip(size, out, kernel, stride, padding, strict=True):
        start = arange(m, device=like.device) * s - p
        end = start + k
        counts.append(
            end.clamp(max=n + p) - start if count_include_pad else end.clamp(max=n) - start.clamp(min=0)
        )
    return (counts[0].unsqueeze(1) * counts[1]).to(like.dtype)


def _avg_default(
    input: Any,
    kernel_size: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    x = widened(input)
    out = _output_size("avg_pool2d", input.spec, kernel_size, stride, padding, (1, 1), ceil_mode)
    room = padded(x, padding, _reach(out, kernel_size, stride, (1, 1)))
    total = windows(room, kernel_size, stride, (1, 1), out).sum((2, 3))
    counts = _counts(x, x.shape[2:], out, kernel_size, stride, padding, count_include_pad, divisor_override)
    return (total / counts).to(input.dtype)


def _avg_rule(
    g: Any,
    input_spec: Spec,
    kernel_size: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: Any,
) -> Any:
    size = tuple(input_spec.shape[2:])
    return avg_pool2d_backward(
        g, size, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@kernel(
    batch="items",
    name="avg_pool2d", module="nn", method=False, function=False, default=_avg_default, vjp={"input": _avg_rule}
)  # fmt: skip
def avg_pool2d_op(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: Any,
) -> Any:
    """The mean of each window."""
    s: Any = input
    if divisor_override == 0:
        raise RuntimeError("[avg_pool2d] divisor must be not zero: got divisor_override=0.")
    only_float("avg_pool2d", s.dtype)
    out = _output_size("avg_pool2d", s, kernel_size, stride, padding, (1, 1), ceil_mode)
    return Call(s.like(shape=(*s.shape[:2], *out)))


def _avg_backward_default(
    grad: Any,
    size: Ints,
    kernel_size: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: Any,
) -> Any:
    g = widened(grad)
    out = tuple(g.shape[2:])
    g = g / _counts(g, size, out, kernel_size, stride, padding, count_include_pad, divisor_override)
    reach = _reach(out, kernel_size, stride, (1, 1))
    room = g.new_zeros(
        (*g.shape[:2], *(max(r, n + 2 * p) for r, n, p in zip(reach, size, padding, strict=True)))
    )
    if room.numel() and g.numel():
        parts = g.reshape((*g.shape[:2], 1, 1, *out)).expand((*g.shape[:2], *kernel_size, *out))
        add_windows(room, parts, kernel_size, stride, (1, 1), out)
    inner = room.narrow(2, padding[0], size[0]).narrow(3, padding[1], size[1])
    return inner.to(grad.dtype).contiguous()


@kernel(
    batch="items", module="nn", method=False, function=False, default=_avg_backward_default,
    vjp={
        "grad": lambda g0, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override: avg_pool2d_op(
            g0, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        )
    },
)  # fmt: skip
def avg_pool2d_backward(
    grad: Tensor,
    size: Ints,
    kernel_size: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: Any,
) -> Any:
    """The gradient of `avg_pool2d` for an input of ``size``."""
    s: Any = grad
    return Call(s.like(shape=(*s.shape[:2], *size)))


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> Any:
    """The mean of each window of (N, C, H, W).

    Args:
        input: (N, C, H, W).
        kernel_size, stride, padding: a size for each dimension.
        ceil_mode: let the last window reach beyond the padding.
        count_include_pad: count padding among the elements.
        divisor_override: what sums are divided by instead.
    """
    return avg_pool2d_op(
        input,
        tuple(kernel_size),
        tuple(stride),
        tuple(padding),
        bool(ceil_mode),
        bool(count_include_pad),
        divisor_override,
    )


# The mean, windows made to fit


def _cells(n: int, m: int) -> list[tuple[int, int]]:
    """Start and length of ``m`` windows that cover ``n`` elements."""
    return [(k * n // m, -(-(k + 1) * n // m) - k * n // m) for k in range(m)]


def _adaptive_default(input: Any, output_size: Ints) -> Any:
    y = widened(input)
    for dim, m in ((2, output_size[0]), (3, output_size[1])):
        room = y.new_empty((*y.shape[:dim], m, *y.shape[dim + 1 :]))
        for k, (at, n) in enumerate(_cells(y.shape[dim], m)):
            room.select(dim, k).copy_(y.narrow(dim, at, n).mean(dim))
        y = room
    return y.to(input.dtype)


def _adaptive_backward_default(grad: Any, size: Ints) -> Any:
    g = widened(grad)
    for dim, n in ((2, size[0]), (3, size[1])):
        room = g.new_zeros((*g.shape[:dim], n, *g.shape[dim + 1 :]))
        for k, (at, count) in enumerate(_cells(n, g.shape[dim])):
            room.narrow(dim, at, count).add_(g.narrow(dim, k, 1) / count)
        g = room
    return g.to(grad.dtype)


def _adaptive_rule(g: Any, input_spec: Spec) -> Any:
    return adaptive_avg_pool2d_backward(g, tuple(input_spec.shape[2:]))


@kernel(
    batch="items", module="nn", method=False, function=False, default=_adaptive_default, vjp={"input": _adaptive_rule}
)  # fmt: skip
def adaptive_avg_pool2d(input: Tensor, output_size: Ints) -> Any:
    """The means of ``output_size`` windows that cover (N, C, H, W) evenly."""
    s: Any = input
    only_float("adaptive_avg_pool2d", s.dtype)
    if s.ndim != 4 or any(n == 0 for n in s.shape[1:]):
        raise RuntimeError(
            message(
                "adaptive_avg_pool2d",
                "Expected 4 dimensions, and a non-zero size for non-batch dimensions",
                "(N, C, H, W)",
                input=s,
            )
        )
    return Call(s.like(shape=(*s.shape[:2], *output_size)))


@kernel(
    batch="items", module="nn", method=False, function=False, default=_adaptive_backward_default,
    vjp={"grad": lambda g0, grad_spec: adaptive_avg_pool2d(g0, tuple(grad_spec.shape[2:]))},
)  # fmt: skip
def adaptive_avg_pool2d_backward(grad: Tensor, size: Ints) -> Any:
    """The gradient of `adaptive_avg_pool2d` for an input of ``size``."""
    s: Any = grad
    return Call(s.like(shape=(*s.shape[:2], *size)))
