"""Losses that compare element by element: one program each, then a mean or a sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.plugin import (
    Call,
    Expr,
    backend_of,
    call,
    kernel,
    message,
    no_bool,
    only_float,
    pointwise,
    real_numbers,
    select,
    whole,
)

if TYPE_CHECKING:
    from flambeau import Tensor
    from flambeau.plugin import Number

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "huber_loss", "kl_div", "l1_loss", "mse_loss",
    "reduced", "smooth_l1_loss",
]  # fmt: skip


def reduced(op: str, loss: Any, reduction: str) -> Any:
    """A loss per element, reduced.

    Raises:
        ValueError: no such reduction.
    """
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"[{op}] {reduction!r} is not a valid value for reduction: needed: none, mean or sum.")


@pointwise(module="nn", method=False, function=False, check=no_bool)
def squared_error(input: Tensor, target: Tensor) -> Any:
    """``(x - y) ** 2``."""
    off = call("sub", input, target)
    return off * off


@pointwise(module="nn", method=False, function=False, check=real_numbers)
def absolute_error(input: Tensor, target: Tensor) -> Any:
    """``abs(x - y)``."""
    return call("abs", call("sub", input, target))


def _bent_slope(x: Any, y: Any, beta: Any) -> Expr:
    """The derivative by x of an error that is quadratic below ``beta`` and linear above, in units of ``beta``."""
    off = call("sub", x, y)
    return select(call("le", off, -beta), -beta, select(call("ge", off, beta), beta, off))


@pointwise(
    module="nn", method=False, function=False, check=real_numbers,
    vjp={
        "input": lambda g, out, x, y, beta: g * _bent_slope(x, y, beta) / beta,
        "target": lambda g, out, x, y, beta: -(g * _bent_slope(x, y, beta) / beta),
    },
)  # fmt: skip
def smooth_error(input: Tensor, target: Tensor, beta: Number = 1.0) -> Any:
    """``off ** 2 / (2 * beta)`` where ``off = abs(x - y)`` is below ``beta``, else ``off - beta / 2``."""
    off = call("abs", call("sub", input, target))
    return select(call("lt", off, beta), off * off * 0.5 / beta, off - beta * 0.5)


@pointwise(
    module="nn", method=False, function=False, check=real_numbers,
    vjp={
        "input": lambda g, out, x, y, delta: g * _bent_slope(x, y, delta),
        "target": lambda g, out, x, y, delta: -(g * _bent_slope(x, y, delta)),
    },
)  # fmt: skip
def huber_error(input: Tensor, target: Tensor, delta: Number = 1.0) -> Any:
    """``off ** 2 / 2`` where ``off = abs(x - y)`` is at most ``delta``, else ``delta * (off - delta / 2)``."""
    off = call("abs", call("sub", input, target))
    return select(call("le", off, delta), off * off * 0.5, (off - delta * 0.5) * delta)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The squared error."""
    return reduced("mse_loss", squared_error(input, target), reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The absolute error."""
    return reduced("l1_loss", absolute_error(input, target), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """The absolute error, rounded off quadratically below ``beta``."""
    if beta < 0:
        raise RuntimeError(f"[smooth_l1_loss] does not support negative values for beta: got {beta}.")
    if beta == 0:
        return l1_loss(input, target, reduction)
    return reduced("smooth_l1_loss", smooth_error(input, target, float(beta)), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """The squared error, continued linearly above ``delta``."""
    if delta <= 0:
        raise RuntimeError(f"[huber_loss] does not support non-positive values for delta: got {delta}.")
    return reduced("huber_loss", huber_error(input, target, float(delta)), reduction)


# Probabilities


@pointwise(module="nn", method=False, function=False, result="bool", check=only_float)
def no_probability(input: Tensor) -> Any:
    """Whether a number is outside [0, 1], or NaN."""
    return ~(call("ge", input, 0) & call("le", input, 1))


@pointwise(module="nn", method=False, function=False, check=only_float)
def bernoulli_error(input: Tensor, target: Tensor) -> Any:
    """``-(y * log(x) + (1 - y) * log(1 - x))``, the logarithms at least -100."""
    x: Any = input
    y: Any = target
    low, high = call("maximum", call("log1p", -x), -100), call("maximum", call("log", x), -100)
    return (y - 1) * low - y * high


@pointwise(module="nn", method=False, function=False, check=only_float)
def bernoulli_slope(input: Tensor, target: Tensor) -> Any:
    """``(x - y) / (x * (1 - x))``, the denominator at least 1e-12."""
    x: Any = input
    return call("sub", x, target) / call("maximum", (1 - x) * x, 1e-12)


@pointwise(module="nn", method=False, function=False, check=only_float)
def log_odds(input: Tensor) -> Any:
    """``log(x) - log(1 - x)``, the logarithms at least -100."""
    x: Any = input
    return call("maximum", call("log", x), -100) - call("maximum", call("log1p", -x), -100)


@kernel(
    batch="leading", module="nn", method=False, function=False,
    default=lambda input, target: bernoulli_error(input, target),
    vjp={
        "input": lambda g, input, target: g * bernoulli_slope(input, target),
        "target": lambda g, input: -(g * log_odds(input)),
    },
)  # fmt: skip
def bernoulli_loss(input: Tensor, target: Tensor) -> Any:
    """`bernoulli_error` with a gradient that stays finite at 0 and 1."""
    s: Any = input
    return Call(s.like(), "default")


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """The cross entropy of probabilities with targets of the same shape.

    Raises:
        RuntimeError: a probability is outside [0, 1].
    """
    if not backend_of(input.spec.device).asynchronous and bool(no_probability(whole(input).detach()).any()):
        raise RuntimeError(
            message(
                "binary_cross_entropy",
                "all elements of input should be between 0 and 1",
                do="Apply sigmoid() first, or use binary_cross_entropy_with_logits.",
                input=input,
            )
        )
    loss = bernoulli_loss(input, target)
    return reduced("binary_cross_entropy", loss if weight is None else loss * weight, reduction)


def _log_one_plus_exp_minus(x: Any) -> Expr:
    """log(1 + exp(-x)) without overflow."""
    return call("log1p", call("exp", -call("abs", x))) - call("minimum", x, 0)


def _logit_slope(g: Any, out: Any, x: Any, y: Any, pos_weight: Any, weight: Any) -> Any:
    s = call("sigmoid", x)
    slope = (
        s - y if pos_weight is None else (call("mul", pos_weight, y) + 1 - y) * s - call("mul", pos_weight, y)
    )
    return g * slope if weight is None else g * slope * weight


@pointwise(module="nn", method=False, function=False, check=only_float, vjp={"input": _logit_slope})
def logit_error(
    input: Tensor, target: Tensor, pos_weight: Tensor | None = None, weight: Tensor | None = None
) -> Any:
    """The cross entropy of ``sigmoid(x)`` with y, positives and everything weighted."""
    x: Any = input
    y: Any = target
    bent = _log_one_plus_exp_minus(x)
    if pos_weight is not None:
        bent = bent * (call("mul", call("sub", pos_weight, 1), y) + 1)
    loss = (1 - y) * x + bent
    return loss if weight is None else call("mul", loss, weight)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> Any:
    """The cross entropy of ``sigmoid(input)`` with targets.

    Args:
        input, target: of one shape.
        weight: a factor for each element.
        pos_weight: a factor for positive targets.
        reduction: none, mean or sum.
    """
    loss = logit_error(input, target, pos_weight, weight)
    return reduced("binary_cross_entropy_with_logits", loss, reduction)


@pointwise(
    module="nn", method=False, function=False, check=only_float,
    vjp={
        "input": lambda g, out, x, y, log: -(g * (call("exp", y) if log else y)),
        "target": lambda g, out, x, y, log: g * (out + call("exp", y))
        if log
        else select(call("eq", y, 0), 0, g * (call("log", y) + 1)) - g * x,
    },
)  # fmt: skip
def divergence(input: Tensor, target: Tensor, log_target: bool = False) -> Any:
    """``y * (log(y) - x)``, 0 where y is 0; or with y given as its logarithm."""
    y: Any = target
    if log_target:
        return call("exp", y) * (y - input)
    return select(call("eq", y, 0), 0, y * call("log", y)) - call("mul", y, input)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """The Kullback-Leibler divergence of log-probabilities from targets; ``batchmean`` divides by the batch size."""
    loss = divergence(input, target, bool(log_target))
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.ndim else loss
    return reduced("kl_div", loss, reduction)
