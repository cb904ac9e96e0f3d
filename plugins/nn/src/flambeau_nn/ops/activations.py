"""Activations: elementwise non-linearities, one program each.

Gradients are derived from the programs, except where reading the result is cheaper than reading the input, or where
PyTorch has a convention of its own at a kink.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau import dtype as DType
from flambeau.plugin import Expr, call, composite, message, no_complex, only_float, pointwise, select

if TYPE_CHECKING:
    from flambeau import Tensor
    from flambeau.plugin import Number

__all__ = [
    "celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid",
    "mish", "prelu", "prelu_values", "relu6", "selu", "silu", "softplus", "softshrink", "softsign",
    "tanhshrink",
]  # fmt: skip


def _no_bool_or_complex(op: str, d: DType) -> None:
    no_complex(op, d)
    if d.kind == "b":
        raise RuntimeError(
            f"[{op}] Boolean inputs not supported for {op}: needed: numbers. Convert with .to(dtype)."
        )


def _zero_outside(g: Any, x: Any, low: Any, high: Any) -> Expr:
    return select(call("le", x, low) | call("ge", x, high), 0, g)


def _zero_inside(g: Any, x: Any, low: Any, high: Any) -> Expr:
    return select(call("ge", x, low) & call("le", x, high), 0, g)


def _clamped(x: Any, low: Any, high: Any) -> Expr:
    return select(call("le", x, low), low, select(call("ge", x, high), high, x))


@pointwise(
    module="nn", method=False, function=False, check=_no_bool_or_complex,
    vjp={"input": lambda g, out, x: _zero_outside(g, out, 0, 6)},
)  # fmt: skip
def relu6(input: Tensor) -> Any:
    """``min(max(x, 0), 6)``."""
    return _clamped(input, 0, 6)


@pointwise(
    module="nn", method=False, function=False, check=no_complex,
    vjp={"input": lambda g, out, x, low, high: _zero_outside(g, out, low, high)},
)  # fmt: skip
def hardtanh(input: Tensor, min_val: Number = -1.0, max_val: Number = 1.0) -> Any:
    """``x`` limited to ``[min_val, max_val]``; the gradient at the limits is 0."""
    return _clamped(input, min_val, max_val)


@pointwise(
    module="nn", method=False, function=False, check=only_float,
    vjp={"input": lambda g, out, x, slope: select(call("gt", x, 0), g, g * slope)},
)  # fmt: skip
def leaky_relu(input: Tensor, negative_slope: Number = 0.01) -> Any:
    """``x`` where positive, else ``negative_slope * x``."""
    return select(call("gt", input, 0), input, call("mul", input, negative_slope))


@pointwise(module="nn", method=False, function=False, check=only_float)
def prelu_values(input: Tensor, weight: Tensor) -> Any:
    """``x`` where positive, else ``weight * x``."""
    return select(call("gt", input, 0), input, call("mul", weight, input))


@composite()
def prelu(self: Tensor, weight: Tensor) -> Tensor:
    """``x`` where positive, else ``weight * x``, with one weight or one per channel (dimension 1).

    Raises:
        RuntimeError: the number of weights is neither 1 nor the number of channels.
    """
    n = weight.numel()
    channels = self.shape[1] if self.ndim > 1 else 1
    if weight.ndim > 1 or (n != 1 and n != channels):
        raise RuntimeError(
            message(
                "prelu",
                f"Mismatch of parameter numbers and input channel size: {n} weights, {channels} channels",
                "a weight of shape [1] or [channels]",
                self=self,
                weight=weight,
            )
        )
    if n == 1:
        w: Any = weight.reshape(())
    else:
        w = weight.reshape((1, n, *[1] * (self.ndim - 2)))
    return prelu_values(self, w)  # type: ignore[no-any-return]


def _exp_below(x: Any, rate: Any = 1) -> Expr:
    """exp(x / rate) where x is negative; elsewhere nothing that could overflow."""
    return call("exp", call("div", call("minimum", x, 0), rate) if rate != 1 else call("minimum", x, 0))


@pointwise(
    module="nn", method=False, function=False, check=only_float,
    vjp={"input": lambda g, out, x, alpha: select(call("gt", x, 0), g, g * alpha * _exp_below(x))},
)  # fmt: skip
def elu(input: Tensor, alpha: Number = 1.0) -> Any:
    """``x`` where positive, else ``alpha * (exp(x) - 1)``."""
    return select(call("gt", input, 0), input, call("expm1", input) * alpha)


@pointwise(
    method=False, inplace=True, check=only_float,
    vjp={"input": lambda g, out, x, alpha: select(call("gt", x, 0), g, g * _exp_below(x, alpha))},
)  # fmt: skip
def celu(input: Tensor, alpha: Number = 1.0) -> Any:
    """``x`` where positive, else ``alpha * (exp(x / alpha) - 1)``."""
    return select(call("gt", input, 0), input, call("expm1", call("div", input, alpha)) * alpha)


_ALPHA, _SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


@pointwise(
    method=False, inplace=True, check=only_float,
    vjp={"input": lambda g, out, x: select(call("gt", x, 0), g * _SCALE, g * (_ALPHA * _SCALE) * _exp_below(x))},
)  # fmt: skip
def selu(input: Tensor) -> Any:
    """The scaled exponential linear unit, whose constants keep mean 0 and variance 1."""
    return select(call("gt", input, 0), call("mul", input, _SCALE), call("expm1", input) * (_ALPHA * _SCALE))


@pointwise(module="nn", method=False, function=False, check=only_float)
def silu(input: Tensor) -> Any:
    """``x * sigmoid(x)``."""
    return call("mul", input, call("sigmoid", input))


def _log_one_plus_exp(x: Any) -> Expr:
    """log(1 + exp(x)) without overflow."""
    return call("maximum", x, 0) + call("log1p", call("exp", call("neg", call("abs", x))))


def _mish_gradient(g: Any, out: Any, x: Any) -> Any:
    t = call("tanh", _log_one_plus_exp(x))
    return g * (t + call("mul", x, (1 - t * t) * call("sigmoid", x)))


@pointwise(module="nn", method=False, function=False, check=only_float, vjp={"input": _mish_gradient})
def mish(input: Tensor) -> Any:
    """``x * tanh(log(1 + exp(x)))``."""
    return call("mul", input, call("tanh", _log_one_plus_exp(input)))


@pointwise(module="nn", method=False, function=False, check=only_float)
def gelu(input: Tensor, approximate: str = "none") -> Any:
    """``x * P(X <= x)`` of a normal X; ``approximate="tanh"`` writes the probability with tanh.

    Raises:
        RuntimeError: another approximation is asked for.
    """
    x: Any = input
    if approximate == "none":
        return x * 0.5 * (call("erf", x * 0.7071067811865476) + 1)
    if approximate != "tanh":
        raise RuntimeError(f"[gelu] approximate argument must be either none or tanh: got {approximate!r}.")
    return x * 0.5 * (call("tanh", (x + x * x * x * 0.044715) * 0.7978845608028654) + 1)


@pointwise(
    module="nn", method=False, function=False, check=only_float,
    vjp={
        "input": lambda g, out, x, beta, threshold: select(
            call("gt", call("mul", x, beta), threshold), g, g * call("sigmoid", call("mul", x, beta))
        )
    },
)  # fmt: skip
def softplus(input: Tensor, beta: Number = 1.0, threshold: Number = 20.0) -> Any:
    """``log(1 + exp(beta * x)) / beta``, and ``x`` where ``beta * x`` is above the threshold."""
    z = call("mul", input, beta)
    return select(call("gt", z, threshold), input, call("div", _log_one_plus_exp(z), beta))


@pointwise(
    module="nn", method=False, function=False, check=only_float,
    vjp={"input": lambda g, out, x: g * call("sigmoid", call("neg", x))},
)  # fmt: skip
def logsigmoid(input: Tensor) -> Any:
    """The logarithm of the sigmoid, without underflow."""
    return call("minimum", input, 0) - call("log1p", call("exp", call("neg", call("abs", input))))


@pointwise(
    module="nn", method=False, function=False, check=only_float,
    vjp={"input": lambda g, out, x: _zero_outside(g / 6, x, -3, 3)},
)  # fmt: skip
def hardsigmoid(input: Tensor) -> Any:
    """``min(max(x + 3, 0), 6) / 6``."""
    return call("div", _clamped(call("add", input, 3), 0, 6), 6)


@pointwise(
    module="nn", method=False, function=False, check=only_float,
    vjp={
        "input": lambda g, out, x: select(
            call("le", x, -3), 0, select(call("lt", x, 3), g * (call("div", x, 3) + 0.5), g)
        )
    },
)  # fmt: skip
def hardswish(input: Tensor) -> Any:
    """``x * min(max(x + 3, 0), 6) / 6``."""
    return call("div", call("mul", input, _clamped(call("add", input, 3), 0, 6)), 6)


@pointwise(check=only_float)
def hardshrink(self: Tensor, lambd: Number = 0.5) -> Any:
    """0 where ``-lambd <= x <= lambd``, else ``x``."""
    return _zero_inside(self, self, -lambd, lambd)


@pointwise(
    module="nn", method=False, function=False, check=only_float,
    vjp={"input": lambda g, out, x, lambd: _zero_inside(g, x, -lambd, lambd)},
)  # fmt: skip
def softshrink(input: Tensor, lambd: Number = 0.5) -> Any:
    """``x`` moved towards 0 by ``lambd``, 0 where it gets there."""
    down, up = call("sub", input, lambd), call("add", input, lambd)
    near = select(call("lt", input, -lambd), up, call("mul", input, 0))
    return select(call("gt", input, lambd), down, near)


@pointwise(module="nn", method=False, function=False, check=only_float)
def softsign(input: Tensor) -> Any:
    """``x / (1 + abs(x))``."""
    return call("div", input, call("abs", input) + 1)


@pointwise(module="nn", method=False, function=False, check=only_float)
def tanhshrink(input: Tensor) -> Any:
    """``x - tanh(x)``."""
    return call("sub", input, call("tanh", input))
