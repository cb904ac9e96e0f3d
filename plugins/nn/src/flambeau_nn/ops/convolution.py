"""Convolutions of 1, 2 and 3 dimensions and their transposes.

Three ops, each linear in two tensors, are each other's gradients: the convolution itself, its gradient by the input
(which is the transposed convolution) and its gradient by the weight. So they can be differentiated any number of times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau import float64, stack, view_as_complex
from flambeau.plugin import Call, kernel, message, only_float

from .windows import Ints, add_windows, padded, widened, windows

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["convolution", "convolve"]


def _product(sizes: Any) -> int:
    n = 1
    for s in sizes:
        n *= s
    return n


def _extents(size: Any, padding: Ints) -> Ints:
    return tuple(n + 2 * p for n, p in zip(size, padding, strict=True))


def _output_size(op: str, x: Any, w: Any, stride: Ints, padding: Ints, dilation: Ints) -> Ints:
    room = _extents(x.shape[2:], padding)
    reach = tuple(d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilation, strict=True))
    if any(r > n for r, n in zip(reach, room, strict=True)):
        raise RuntimeError(
            message(
                op,
                f"Calculated padded input size per channel: ({' x '.join(map(str, room))}). Kernel size: "
                f"({' x '.join(map(str, reach))}). Kernel size can't be greater than actual input size",
                do="Give a larger input, more padding, or a smaller kernel.",
                input=x,
                weight=w,
            )
        )
    return tuple((n - r) // s + 1 for n, r, s in zip(room, reach, stride, strict=True))


def _check(
    op: str,
    x: Any,
    w: Any,
    b: Any,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    transposed: bool,
) -> None:
    n = w.ndim - 2
    got = {"input": x, "weight": w} | ({} if b is None else {"bias": b})
    if n not in (1, 2, 3) or x.ndim != w.ndim:
        raise RuntimeError(
            message(op, "input and weight must have the same 3, 4 or 5 dimensions", "input (N, C, *)", **got)
        )
    if not transposed:  # else its record checks, after interceptors such as autocast have seen the operands
        _check_dtypes(op, x, w, b)
    only_float(op, x.dtype)
    for name, sizes, least in (("stride", stride, 1), ("dilation", dilation, 1), ("padding", padding, 0)):
        if len(sizes) != n:
            raise RuntimeError(
                f"[{op}] expected {name} to be a single integer value or a list of {n} values: got {sizes}."
            )
        if any(s < least for s in sizes):
            kind = "negative" if least == 0 else "non-positive"
            raise RuntimeError(f"[{op}] {kind} {name} is not supported: got {name}={sizes}.")
    if groups < 1:
        raise RuntimeError(f"[{op}] non-positive groups is not supported: got groups={groups}.")
    if w.shape[0] % groups or w.shape[0] < groups:
        raise RuntimeError(
            message(
                op,
                f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of "
                f"size {list(w.shape)} instead",
                **got,
            )
        )
    channels = w.shape[0] if transposed else w.shape[1] * groups
    if x.shape[1] != channels:
        raise RuntimeError(
            message(
                op,
                f"Given groups={groups}, weight of size {list(w.shape)}, expected input{list(x.shape)} to have "
                f"{channels} channels, but got {x.shape[1]} channels instead",
                do="Inputs are (N, C, *): permute them, or change the layer's number of input channels.",
                **got,
            )
        )
    outputs = w.shape[1] * groups if transposed else w.shape[0]
    if b is not None and tuple(b.shape) != (outputs,):
        raise RuntimeError(
            message(
                op,
                f"Given weight of size {list(w.shape)}, expected bias to be 1-dimensional with {outputs} elements, but "
                f"got bias of size {list(b.shape)} instead",
                **got,
            )
        )


def _check_dtypes(op: str, x: Any, w: Any, b: Any) -> None:
    if w.dtype is not x.dtype or (b is not None and b.dtype is not x.dtype):
        got = {"input": x, "weight": w} | ({} if b is None else {"bias": b})
        wrong = "Input type, weight type and bias type should be the same"
        raise RuntimeError(message(op, wrong, do="Convert one with .to(dtype).", **got))


# The convolution


def _columns(
    x: Any, kernel: Ints, out: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Any:
    """Windows as columns: [N, groups, C / groups * kernel, places]."""
    room = padded(x, padding, _extents(x.shape[2:], padding))
    view = windows(room, kernel, stride, dilation, out)
    n, c = x.shape[:2]
    return view.reshape((n, groups, c // groups * _product(kernel), _product(out)))


def _grouped(w: Any, groups: int) -> Any:
    """A weight as one matrix per group: [groups, O / groups, C / groups * kernel]."""
    return w.reshape((groups, w.shape[0] // groups, _product(w.shape[1:])))


def _forward_default(
    input: Any, weight: Any, bias: Any, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Any:
    x, w = widened(input), widened(weight)
    out = _output_size("convolution", input, weight, stride, padding, dilation)
    columns = _columns(x, tuple(w.shape[2:]), out, stride, padding, dilation, groups)
    y = _grouped(w, groups).matmul(columns).reshape((x.shape[0], w.shape[0], *out))
    return _plus(y, bias).to(input.dtype)


def _plus(y: Any, bias: Any) -> Any:
    return y if bias is None else y + bias.reshape((-1, *[1] * (y.ndim - 2)))


def _over_channels(g: Any) -> Any:
    return g.sum((0, *range(2, g.ndim)))


def _forward_gradients(
    g: Any, x: Any, w: Any, stride: Ints, padding: Ints, dilation: Ints, groups: int, needs: tuple[bool, ...]
) -> list[Any]:
    how = (stride, padding, dilation, groups)
    gx = convolution_backward_input(g, w, None, tuple(x.shape[2:]), *how) if needs[0] else None
    gw = gb = None
    if needs[1]:
        gw, gb = convolution_backward_weight(g, x, tuple(w.shape[2:]), *how, needs[2])
    elif needs[2]:
        gb = _over_channels(g)
    return [gx, gw, gb]


@kernel(
    batch="flambeau_nn.ops.batching:convolution",
    name="convolution", module="nn", method=False, function=False, default=_forward_default,
    vjp=lambda g, input, weight, stride, padding, dilation, groups, needs: _forward_gradients(
        g, input, weight, stride, padding, dilation, groups, needs
    ),
)  # fmt: skip
def convolve(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> Any:
    """The cross-correlation of (N, C, *) with weights (O, C / groups, *)."""
    x: Any = input
    w: Any = weight
    _check("convolution", x, w, bias, stride, padding, dilation, groups, False)
    out = _output_size("convolution", x, w, stride, padding, dilation)
    return Call(x.like(shape=(x.shape[0], w.shape[0], *out)))


# Its gradient by the input


def _input_default(
    grad: Any, weight: Any, bias: Any, size: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Any:
    g, w = widened(grad), widened(weight)
    n, out, kernel = g.shape[0], tuple(g.shape[2:]), tuple(w.shape[2:])
    channels = w.shape[1] * groups
    rows = g.reshape((n, groups, w.shape[0] // groups, _product(out)))
    columns = _grouped(w, groups).mT.matmul(rows).reshape((n, channels, *kernel, *out))
    # Windows may reach beyond the padding, where the input's size is not the one that the result's size suggests.
    reach = tuple(
        (o - 1) * s + d * (k - 1) + 1 for o, s, d, k in zip(out, stride, dilation, kernel, strict=True)
    )
    room = g.new_zeros((n, channels, *map(max, reach, _extents(size, padding))))
    if room.numel() and g.numel():
        add_windows(room, columns, kernel, stride, dilation, out)
    for k, (p, m) in enumerate(zip(padding, size, strict=True)):
        room = room.narrow(2 + k, p, m)
    return _plus(room, bias).to(grad.dtype).contiguous()


def _as_far(found: Any, gy: Any) -> Any:
    """The windows that ``gy`` has; the input's size may allow further ones."""
    for k, n in enumerate(gy.shape[2:]):
        found = found if found.shape[2 + k] == n else found.narrow(2 + k, 0, n)
    return found


def _input_gradients(
    g: Any, gy: Any, w: Any, stride: Ints, padding: Ints, dilation: Ints, groups: int, needs: tuple[bool, ...]
) -> list[Any]:
    how = (stride, padding, dilation, groups)
    g_gy = _as_far(convolve(g, w, None, *how), gy) if needs[0] else None
    gw = convolution_backward_weight(gy, g, tuple(w.shape[2:]), *how, False)[0] if needs[1] else None
    return [g_gy, gw, _over_channels(g) if needs[2] else None]


@kernel(
    batch="flambeau_nn.ops.batching:convolution", module="nn", method=False, function=False, default=_input_default,
    vjp=lambda g0, grad, weight, stride, padding, dilation, groups, needs: _input_gradients(
        g0, grad, weight, stride, padding, dilation, groups, needs
    ),
)  # fmt: skip
def convolution_backward_input(
    grad: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    size: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> Any:
    """The gradient of a convolution by its input of spatial ``size``; with a bias, the transposed convolution."""
    g: Any = grad
    w: Any = weight
    _check_dtypes("conv_transpose", g, w, bias)
    return Call(g.like(shape=(g.shape[0], w.shape[1] * groups, *size)))


# Its gradient by the weight


def _weight_default(
    grad: Any,
    input: Any,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    with_bias: bool,
) -> Any:
    g, x = widened(grad), widened(input)
    n, o, out = g.shape[0], g.shape[1], tuple(g.shape[2:])
    columns = _columns(x, kernel, out, stride, padding, dilation, groups)
    rows = g.reshape((n, groups, o // groups, _product(out)))
    k, places = columns.shape[2], columns.shape[3]
    left = rows.permute((1, 2, 0, 3)).reshape((groups, o // groups, n * places))
    right = columns.permute((1, 0, 3, 2)).reshape((groups, n * places, k))
    gw = left.matmul(right).reshape((o, x.shape[1] // groups, *kernel)).to(grad.dtype)
    return gw, _over_channels(g).to(grad.dtype) if with_bias else None


def _weight_gradients(
    gs: Any,
    gy: Any,
    x: Any,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    needs: tuple[bool, ...],
) -> list[Any]:
    gw, gb = gs
    how = (stride, padding, dilation, groups)
    if gw is None:
        return [gb.reshape((-1, *[1] * (gy.ndim - 2))).expand(gy.shape) if needs[0] else None, None]
    g_gy = _as_far(convolve(x, gw, gb, *how), gy) if needs[0] else None
    g_x = convolution_backward_input(gy, gw, None, tuple(x.shape[2:]), *how) if needs[1] else None
    return [g_gy, g_x]


@kernel(
    batch="flambeau_nn.ops.batching:convolution", module="nn", method=False, function=False, default=_weight_default,
    vjp=lambda gs, grad, input, stride, padding, dilation, groups, needs: _weight_gradients(
        gs, grad, input, stride, padding, dilation, groups, needs
    ),
)  # fmt: skip
def convolution_backward_weight(
    grad: Tensor,
    input: Tensor,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    with_bias: bool,
) -> Any:
    """The gradients of a convolution by its weight, whose spatial size is ``kernel``, and by its bias."""
    g: Any = grad
    x: Any = input
    o = g.shape[1]
    return Call((g.like(shape=(o, x.shape[1] // groups, *kernel)), g.like(shape=(o,)) if with_bias else None))


# The face


def _complex(x: Any, w: Any, bias: Any, *how: Any) -> Any:
    """The convolution of complex numbers by those of their parts."""
    if not w.is_complex():
        raise RuntimeError(
            message("convolution", "expected input and weight to have one dtype", input=x, weight=w)
        )
    real = convolution(x.real, w.real, None, *how) - convolution(x.imag, w.imag, None, *how)
    imag = convolution(x.real, w.imag, None, *how) + convolution(x.imag, w.real, None, *how)
    return _plus(view_as_complex(stack([real, imag], -1)), bias)


def convolution(
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Any:
    """The convolution of (N, C, *), or the transposed one.

    Args:
        input: (N, C, *).
        weight: (O, C / groups, *); transposed: (C, O / groups, *).
        bias: (O), or None.
        stride, padding, dilation: one size per spatial dimension.
        transposed: exchange the roles of input and result.
        output_padding: sizes added to the transposed convolution's result, less than stride or dilation.
        groups: into how many independent parts channels are split.
    """
    whole = input.spec.dtype.is_integer and weight.dtype is input.dtype
    if whole and (bias is None or bias.dtype is input.dtype):
        # Exact as long as sums are below 2 ** 53.
        x, w, b = (t if t is None else t.to(float64) for t in (input, weight, bias))
        exact = convolution(x, w, b, stride, padding, dilation, transposed, output_padding, groups)
        return exact.round().to(input.dtype)
    if input.is_complex():
        return _complex(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)
    how = (tuple(stride), tuple(padding), tuple(dilation), groups)
    if not transposed:
        return convolve(input, weight, bias, *how)
    op = "conv_transpose"
    extra = tuple(output_padding)
    _check(op, input.spec, weight.spec, None if bias is None else bias.spec, *how, True)
    if any(e < 0 or (e >= s and e >= d) for e, s, d in zip(extra, how[0], how[2], strict=True)):
        raise RuntimeError(
            f"[{op}] output padding must be smaller than either stride or dilation, but got output_padding: {extra}, "
            f"stride: {how[0]}, dilation: {how[2]}."
        )
    size = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(input.shape[2:], *how[:3], weight.shape[2:], extra, strict=True)
    )
    if any(n < 1 for n in size):
        raise RuntimeError(
            message(
                op,
                f"Given input size per channel: {list(input.shape[2:])}. Calculated output size per channel: "
                f"{list(size)}. Output size is too small",
                input=input,
                weight=weight,
            )
        )
    return convolution_backward_input(input, weight, bias, size, *how)
