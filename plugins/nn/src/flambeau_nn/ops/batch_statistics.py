"""Normalisation over groups of channels and over batches; the arithmetic is that of normalization.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.plugin import Call, kernel, message, only_float

from .normalization import (
    Needs,
    check_parameters,
    finish,
    gradients,
    outputs,
    product,
    scaled,
    spread_of,
    wide,
)
from .rederive import rederive
from .windows import widened

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["batch_norm", "group_norm"]


# Groups: [N, groups, C / groups, places]


def _grouped(x: Any, groups: int) -> Any:
    n, c = x.shape[:2]
    return widened(x).reshape((n, groups, c // groups, product(x.shape[2:])))


def _per_channel(w: Any, groups: int) -> Any:
    return None if w is None else widened(w).reshape((groups, w.shape[0] // groups, 1))


def _group_norm_default(input: Any, weight: Any, bias: Any, num_groups: int, eps: float) -> Any:
    x = _grouped(input, num_groups)
    mean, rstd = spread_of(x, (2, 3), eps)
    y = scaled(x, mean, rstd, _per_channel(weight, num_groups), _per_channel(bias, num_groups))
    shape = (input.shape[0], num_groups)
    return y.reshape(input.shape).to(input.dtype), mean.reshape(shape), rstd.reshape(shape)


def _group_gradients(
    g: Any, x: Any, mean: Any, rstd: Any, w: Any, groups: int, eps: float | None, mask: Needs
) -> tuple[Any, ...]:
    """``eps``: take the statistics again, so that what is recorded goes through them."""
    seen = _grouped(x, groups)
    if eps is None:
        shape = (x.shape[0], groups, 1, 1)
        mean, rstd = mean.reshape(shape), rstd.reshape(shape)
    else:
        mean, rstd = spread_of(seen, (2, 3), eps)
    parts = gradients(_grouped(g, groups), seen, mean, rstd, _per_channel(w, groups), (2, 3), mask)
    gx, gw, gb = finish(parts, x, (0, 3), None if w is None else w.dtype)
    channels = (x.shape[1],)
    return gx, None if gw is None else gw.reshape(channels), None if gb is None else gb.reshape(channels)


def _group_rule(
    g0: Any, input: Any, out1: Any, out2: Any, weight: Any, num_groups: int, eps: float, needs: Needs
) -> Any:
    return group_norm_backward(g0, input, out1, out2, weight, num_groups, eps, needs)


@kernel(
    batch="flambeau_nn.ops.batching:normalization",
    name="group_norm", module="nn", method=False, function=False, nondiff=(1, 2), default=_group_norm_default,
    vjp=_group_rule,
)  # fmt: skip
def group_norm_op(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, num_groups: int, eps: float
) -> Any:
    """Groups of channels with mean 0 and variance 1, scaled and shifted; also mean and reciprocal deviation."""
    x: Any = input
    only_float("group_norm", x.dtype)
    if x.ndim < 2:
        raise RuntimeError(
            message("group_norm", "Expected at least 2 dimensions for input tensor", "(N, C, *)", input=x)
        )
    if num_groups < 1 or x.shape[1] % num_groups:
        raise RuntimeError(
            message(
                "group_norm",
                "Expected number of channels in input to be divisible by num_groups, but got input of shape "
                f"{list(x.shape)} and num_groups={num_groups}",
                input=x,
            )
        )
    check_parameters("group_norm", x, (x.shape[1],), weight=weight, bias=bias)
    stats = x.like(wide(x.dtype), (x.shape[0], num_groups))
    return Call((x.like(), stats, stats))


@kernel(
    module="nn", method=False, function=False,
    default=lambda grad, input, mean, rstd, weight, num_groups, eps, mask: _group_gradients(
        grad, input, mean, rstd, weight, num_groups, None, mask
    ),
    vjp=lambda gs, grad, input, weight, num_groups, eps, mask, needs: _group_second(
        gs, grad, input, weight, num_groups, eps, mask, needs
    ),
)  # fmt: skip
def group_norm_backward(
    grad: Tensor,
    input: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    num_groups: int,
    eps: float,
    mask: Needs,
) -> Any:
    """The gradients of `group_norm` by input, weight and bias."""
    x: Any = input
    return outputs(x, mask, (x.shape[1],), weight)


def _group_second(
    gs: Any, grad: Any, x: Any, w: Any, groups: int, eps: float, mask: Needs, needs: tuple[bool, ...]
) -> list[Any]:
    def again(g: Any, x: Any, w: Any) -> Any:
        return _group_gradients(g, x, None, None, w, groups, eps, mask)

    found = rederive(again, (grad, x, w), (needs[0], needs[1], needs[4]), gs)
    return [found[0], found[1], None, None, found[2]]


# Batches: [N, C, places]


def _channels(x: Any) -> Any:
    n, c = x.shape[:2]
    return widened(x).reshape((n, c, product(x.shape[2:])))


def _column(w: Any) -> Any:
    return None if w is None else widened(w).reshape((w.shape[0], 1))


def _batch_norm_default(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    x = _channels(input)
    c = input.shape[1]
    if training:
        mean = x.mean((0, 2), True)
        off = x - mean
        var = (off * off).mean((0, 2), True)
        rstd = (var + eps).rsqrt()
        n = x.shape[0] * x.shape[2]
        if running_mean is not None:
            _follow(running_mean, mean.reshape((c,)), momentum)
        if running_var is not None:
            _follow(running_var, var.reshape((c,)) * (n / max(n - 1, 1)), momentum)
    else:
        mean, rstd = _column(running_mean), (_column(running_var) + eps).rsqrt()
    y = scaled(x, mean, rstd, _column(weight), _column(bias))
    return y.reshape(input.shape).to(input.dtype), mean.reshape((c,)).clone(), rstd.reshape((c,))


def _follow(running: Any, new: Any, momentum: float) -> None:
    running.copy_(widened(running) * (1 - momentum) + new * momentum)


def _batch_gradients(
    g: Any, x: Any, w: Any, mean: Any, rstd: Any, training: bool, eps: float | None, mask: Needs
) -> tuple[Any, ...]:
    """``eps``: take the statistics again, so that what is recorded goes through them."""
    seen = _channels(x)
    if training and eps is not None:
        mean, rstd = spread_of(seen, (0, 2), eps)
    else:
        mean, rstd = _column(mean), _column(rstd)
    parts = gradients(_channels(g), seen, mean, rstd, _column(w), (0, 2) if training else None, mask)
    return finish(parts, x, (0, 2), None if w is None else w.dtype)


def _batch_rule(
    g0: Any, input: Any, weight: Any, out1: Any, out2: Any, training: bool, eps: float, needs: Needs
) -> Any:
    return [*batch_norm_backward(g0, input, weight, out1, out2, training, eps, needs[:3]), None, None]


@kernel(
    batch="flambeau_nn.ops.batching:batch_norm",
    name="batch_norm", module="nn", method=False, function=False, nondiff=(1, 2), default=_batch_norm_default,
    mutates=("running_mean", "running_var"), vjp=_batch_rule,
)  # fmt: skip
def batch_norm_op(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    """Channels with mean 0 and variance 1 over the batch, scaled and shifted; also mean and reciprocal deviation."""
    x: Any = input
    only_float("batch_norm", x.dtype)
    if x.ndim < 2:
        raise RuntimeError(
            message("batch_norm", "Expected at least 2 dimensions for input tensor", "(N, C, *)", input=x)
        )
    if not training and (running_mean is None or running_var is None):
        raise RuntimeError(
            "[batch_norm] Expected running_mean and running_var to be defined when training=False: got None. Use "
            "training=True, or track_running_stats."
        )
    given = {"weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
    check_parameters("batch_norm", x, (x.shape[1],), **given)
    stats = x.like(wide(x.dtype), (x.shape[1],))
    return Call((x.like(), stats, stats), mutates=None if training else ())


@kernel(
    module="nn", method=False, function=False,
    default=lambda grad, input, weight, mean, rstd, training, eps, mask: _batch_gradients(
        grad, input, weight, mean, rstd, training, None, mask
    ),
    vjp=lambda gs, grad, input, weight, mean, rstd, training, eps, mask, needs: _batch_second(
        gs, grad, input, weight, mean, rstd, training, eps, mask, needs
    ),
)  # fmt: skip
def batch_norm_backward(
    grad: Tensor,
    input: Tensor,
    weight: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    training: bool,
    eps: float,
    mask: Needs,
) -> Any:
    """The gradients of `batch_norm` by input, weight and bias."""
    x: Any = input
    return outputs(x, mask, (x.shape[1],), weight)


def _batch_second(
    gs: Any,
    grad: Any,
    x: Any,
    w: Any,
    mean: Any,
    rstd: Any,
    training: bool,
    eps: float,
    mask: Needs,
    needs: tuple[bool, ...],
) -> list[Any]:
    def again(g: Any, x: Any, w: Any) -> Any:
        return _batch_gradients(g, x, w, mean, rstd, training, eps, mask)

    return [*rederive(again, (grad, x, w), needs[:3], gs), None, None]


# What layers call


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Groups of channels of (N, C, *) with mean 0 and variance 1, then scaled and shifted per channel."""
    return group_norm_op(input, weight, bias, num_groups, float(eps))[0]


def batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Channels of (N, C, *) with mean 0 and variance 1 over the batch, then scaled and shifted.

    Args:
        input: (N, C, *).
        running_mean, running_var: (C); updated in place when training, used instead of the batch's when not.
        weight, bias: (C), or None.
        training: take statistics of the batch.
        momentum: how far running statistics move towards the batch's.
        eps: added to the variance.
    """
    if training and not input.numel():
        running_mean = running_var = None  # a batch of nothing says nothing
    return batch_norm_op(
        input, weight, bias, running_mean, running_var, bool(training), float(momentum), float(eps)
    )[0]
