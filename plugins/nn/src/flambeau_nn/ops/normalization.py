"""Normalisation of layers, by mean and deviation or by root mean square, and the arithmetic of all normalisations.

All (those over groups and batches are in batch_statistics.py) see their input with other sizes, such that statistics
are taken over some dimensions and weights vary along the others; the arithmetic is written once for that form.
Statistics of 16-bit floats are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flambeau import bfloat16, finfo, float16, float32
from flambeau import dtype as DType
from flambeau.plugin import Call, Spec, kernel, message, only_float

from .rederive import rederive
from .windows import widened

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = [
    "Ints", "Needs", "check_parameters", "finish", "gradients", "layer_norm", "outputs", "product",
    "rms_norm", "scaled", "spread_of", "wide",
]  # fmt: skip

Ints = tuple[int, ...]
Needs = tuple[bool, ...]


def product(sizes: Sequence[int]) -> int:
    """The number of elements of sizes."""
    n = 1
    for s in sizes:
        n *= s
    return n


def wide(d: DType) -> DType:
    """The dtype of statistics."""
    return float32 if d in (float16, bfloat16) else d


# The arithmetic. x: any form; dims: what statistics are taken over; w, b: shaped to broadcast.


def spread_of(x: Any, dims: Ints, eps: float) -> tuple[Any, Any]:
    """Mean and reciprocal standard deviation."""
    mean = x.mean(dims, True)
    off = x - mean
    return mean, ((off * off).mean(dims, True) + eps).rsqrt()


def scaled(x: Any, mean: Any, rstd: Any, w: Any, b: Any) -> Any:
    """Normalised, scaled and shifted; no ``mean``: not centred."""
    y = (x if mean is None else x - mean) * rstd
    if w is not None:
        y = y * w
    return y if b is None else y + b


def gradients(g: Any, x: Any, mean: Any, rstd: Any, w: Any, dims: Ints | None, mask: Needs) -> list[Any]:
    """Gradients of the input, the weight and the bias, all of the input's form; ``dims`` None: fixed statistics."""
    normal = (x if mean is None else x - mean) * rstd
    gx = None
    if mask[0]:
        gy = g if w is None else g * w
        gx = gy
        if dims is not None:
            if mean is not None:
                gx = gx - gy.mean(dims, True)
            gx = gx - normal * (gy * normal).mean(dims, True)
        gx = gx * rstd
    return [gx, g * normal if mask[1] else None, g if mask[2] else None]


def finish(parts: Sequence[Any], x: Any, over: Ints, dtype: DType | None) -> tuple[Any, ...]:
    """Gradients in the shapes and dtypes of input and parameters; ``over``: what parameters don't vary along."""
    gx, gw, gb = parts
    d = dtype or x.dtype
    return (
        None if gx is None else gx.reshape(x.shape).to(x.dtype),
        None if gw is None else gw.sum(over).to(d),
        None if gb is None else gb.sum(over).to(d),
    )


def check_parameters(op: str, x: Spec, shape: Sequence[int], **given: Any) -> None:
    """Refuse weights and statistics of another shape or dtype."""
    for name, t in given.items():
        if t is None:
            continue
        if tuple(t.shape) != tuple(shape):
            raise RuntimeError(
                message(op, f"Expected {name} to be of the shape {list(shape)}", **{"input": x, name: t})
            )
        if t.dtype is not x.dtype and t.dtype is not wide(x.dtype):
            raise RuntimeError(
                message(
                    op,
                    f"expected {name} to have the input's dtype",
                    "one dtype, or float32 for 16-bit inputs",
                    "Convert one with .to(dtype).",
                    **{"input": x, name: t},
                )
            )


def outputs(x: Spec, mask: Needs, shape: Sequence[int], weight: Any) -> Call:
    """What a backward op returns: gradients of input, weight and bias, None where they aren't wanted."""
    p = x.like(x.dtype if weight is None else weight.dtype, shape)
    return Call((x.like() if mask[0] else None, p if mask[1] else None, p if mask[2] else None))


# Layers


def _flat_layers(x: Any, n: int) -> Any:
    """[batch, layer]: the last ``n`` dimensions are the layer."""
    at = x.ndim - n
    return widened(x).reshape((product(x.shape[:at]), product(x.shape[at:])))


def _line(w: Any) -> Any:
    return None if w is None else widened(w).reshape((product(w.shape),))


def _layer_norm_default(input: Any, weight: Any, bias: Any, normalized_shape: Ints, eps: float) -> Any:
    x = _flat_layers(input, len(normalized_shape))
    mean, rstd = spread_of(x, (1,), eps)
    y = scaled(x, mean, rstd, _line(weight), _line(bias)).reshape(input.shape).to(input.dtype)
    batch = input.shape[: input.ndim - len(normalized_shape)]
    return y, mean.reshape(batch), rstd.reshape(batch)


def _layer_gradients(
    g: Any, x: Any, mean: Any, rstd: Any, w: Any, n: int, eps: float | None, mask: Needs
) -> tuple[Any, ...]:
    """``eps``: take the statistics again, so that what is recorded goes through them."""
    flat = _flat_layers(x, n)
    if eps is None:
        mean, rstd = mean.reshape((-1, 1)), rstd.reshape((-1, 1))
    else:
        mean, rstd = spread_of(flat, (1,), eps)
    parts = gradients(_flat_layers(g, n), flat, mean, rstd, _line(w), (1,), mask)
    gx, gw, gb = finish(parts, x, (0,), None if w is None else w.dtype)
    shape = x.shape[x.ndim - n :]
    return gx, None if gw is None else gw.reshape(shape), None if gb is None else gb.reshape(shape)


def _check_layer(op: str, x: Spec, normalized_shape: Ints) -> None:
    only_float(op, x.dtype)
    n = len(normalized_shape)
    if not n or x.ndim < n or tuple(x.shape[x.ndim - n :]) != tuple(normalized_shape):
        raise RuntimeError(
            message(
                op,
                f"Given normalized_shape={list(normalized_shape)}, expected input with shape [*, "
                f"{', '.join(map(str, normalized_shape))}], but got input of size {list(x.shape)}",
                input=x,
            )
        )


def _layer_rule(
    g0: Any, input: Any, out1: Any, out2: Any, weight: Any, normalized_shape: Ints, eps: float, needs: Needs
) -> Any:
    return layer_norm_backward(g0, input, out1, out2, weight, normalized_shape, eps, needs)


@kernel(
    batch="flambeau_nn.ops.batching:normalization",
    name="layer_norm", module="nn", method=False, function=False, nondiff=(1, 2), default=_layer_norm_default,
    vjp=_layer_rule,
)  # fmt: skip
def layer_norm_op(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, normalized_shape: Ints, eps: float
) -> Any:
    """The last dimensions with mean 0 and variance 1, scaled and shifted; also mean and reciprocal deviation."""
    x: Any = input
    _check_layer("layer_norm", x, normalized_shape)
    check_parameters("layer_norm", x, normalized_shape, weight=weight, bias=bias)
    stats = x.like(wide(x.dtype), x.shape[: x.ndim - len(normalized_shape)])
    return Call((x.like(), stats, stats))


@kernel(
    module="nn", method=False, function=False,
    default=lambda grad, input, mean, rstd, weight, normalized_shape, eps, mask: _layer_gradients(
        grad, input, mean, rstd, weight, len(normalized_shape), None, mask
    ),
    vjp=lambda gs, grad, input, weight, normalized_shape, eps, mask, needs: _second(
        lambda g, x, w: _layer_gradients(g, x, None, None, w, len(normalized_shape), eps, mask),
        gs, grad, input, weight, needs,
    ),
)  # fmt: skip
def layer_norm_backward(
    grad: Tensor,
    input: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    normalized_shape: Ints,
    eps: float,
    mask: Needs,
) -> Any:
    """The gradients of `layer_norm` by input, weight and bias."""
    x: Any = input
    return outputs(x, mask, normalized_shape, weight)


def _second(fn: Any, gs: Any, grad: Any, x: Any, w: Any, needs: Needs) -> list[Any]:
    """Gradients of a backward op (grad, input, mean, rstd, weight): statistics are part of the input's."""
    found = rederive(fn, (grad, x, w), (needs[0], needs[1], needs[-1]), gs)
    return [found[0], found[1], *[None] * (len(needs) - 3), found[2]]


# Root mean squares


def _rms_eps(eps: float | None, d: DType) -> float:
    return float(finfo(d).eps) if eps is None else eps


def _rms_rstd(x: Any, eps: float) -> Any:
    return ((x * x).mean(1, True) + eps).rsqrt()


def _rms_default(input: Any, weight: Any, normalized_shape: Ints, eps: float | None) -> Any:
    x = _flat_layers(input, len(normalized_shape))
    rstd = _rms_rstd(x, _rms_eps(eps, input.dtype))
    y = scaled(x, None, rstd, _line(weight), None).reshape(input.shape).to(input.dtype)
    return y, rstd.reshape(input.shape[: input.ndim - len(normalized_shape)])


def _rms_gradients(
    g: Any, x: Any, rstd: Any, w: Any, n: int, eps: float | None, mask: Needs
) -> tuple[Any, ...]:
    flat = _flat_layers(x, n)
    rstd = _rms_rstd(flat, eps) if rstd is None and eps is not None else rstd.reshape((-1, 1))
    parts = gradients(_flat_layers(g, n), flat, None, rstd, _line(w), (1,), (mask[0], mask[1], False))
    gx, gw, _ = finish(parts, x, (0,), None if w is None else w.dtype)
    return gx, None if gw is None else gw.reshape(x.shape[x.ndim - n :])


def _rms_rule(
    g0: Any, input: Any, out1: Any, weight: Any, normalized_shape: Ints, eps: float | None, needs: Needs
) -> Any:
    return rms_norm_backward(g0, input, out1, weight, normalized_shape, eps, needs)


@kernel(
    batch="flambeau_nn.ops.batching:normalization",
    name="rms_norm", module="nn", method=False, function=False, nondiff=(1,), default=_rms_default, vjp=_rms_rule
)  # fmt: skip
def rms_norm_op(input: Tensor, weight: Tensor | None, normalized_shape: Ints, eps: float | None) -> Any:
    """The last dimensions divided by their root mean square, scaled; also the factor."""
    x: Any = input
    _check_layer("rms_norm", x, normalized_shape)
    check_parameters("rms_norm", x, normalized_shape, weight=weight)
    return Call((x.like(), x.like(wide(x.dtype), x.shape[: x.ndim - len(normalized_shape)])))


@kernel(
    module="nn", method=False, function=False,
    default=lambda grad, input, rstd, weight, normalized_shape, eps, mask: _rms_gradients(
        grad, input, rstd, weight, len(normalized_shape), None, mask
    ),
    vjp=lambda gs, grad, input, weight, normalized_shape, eps, mask, needs: _second(
        lambda g, x, w: _rms_gradients(g, x, None, w, len(normalized_shape), _rms_eps(eps, x.dtype), mask),
        gs, grad, input, weight, needs,
    ),
)  # fmt: skip
def rms_norm_backward(
    grad: Tensor,
    input: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    normalized_shape: Ints,
    eps: float | None,
    mask: Needs,
) -> Any:
    """The gradients of `rms_norm` by input and weight."""
    x: Any = input
    w: Any = weight
    p = x.like(x.dtype if w is None else w.dtype, normalized_shape)
    return Call((x.like() if mask[0] else None, p if mask[1] else None))


# What layers call


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """The last dimensions, of sizes ``normalized_shape``, with mean 0 and variance 1, then scaled and shifted."""
    return layer_norm_op(input, weight, bias, tuple(normalized_shape), float(eps))[0]


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """The last dimensions divided by their root mean square, then scaled."""
    if input.is_complex():
        over = tuple(range(input.ndim - len(normalized_shape), input.ndim))
        tiny = _rms_eps(eps, input.real.dtype)
        return scaled(input, None, ((input * input).mean(over, True) + tiny).rsqrt(), weight, None)
    return rms_norm_op(input, weight, tuple(normalized_shape), eps)[0]
