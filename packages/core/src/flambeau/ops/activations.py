"""Activations that tensors have as methods: relu, softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..dtypes import DType, bfloat16, float16, float32
from ..layout import Spec, wrap_dim
from ..op import Call, kernel
from ..program import call, select
from ._check import no_complex, only_float
from .pointwise import pointwise

__all__ = ["log_softmax", "relu", "softmax"]


def _no_bool_or_complex(op: str, d: DType) -> None:
    no_complex(op, d)
    if d.kind == "b":
        raise RuntimeError(
            f"[{op}] Boolean inputs not supported for {op}: needed: numbers. Convert with .to(dtype)."
        )


@pointwise(
    inplace=True, check=_no_bool_or_complex, vjp={"input": lambda g, out, x: select(call("le", out, 0), 0, g)}
)
def relu(input: Tensor) -> Any:
    """``max(x, 0)``; NaN stays. The gradient at 0 is 0.

    >>> import flambeau as fb
    >>> fb.relu(fb.tensor([-1., 2.]))
    tensor([0., 2.])
    """
    return select(call("le", input, 0), 0, input)


def _widened(x: Any) -> Any:
    """A tensor in the dtype that arithmetic is done in: 16-bit floats as float32."""
    return x.to(float32) if x.spec.dtype in (float16, bfloat16) else x


def _call(op: str, x: Any, dim: int, dtype: DType | None) -> Call:
    s: Spec = x
    d = wrap_dim(dim, s.ndim, op)
    out = dtype or s.dtype
    only_float(op, out)
    return Call(s.like(out), "native" if out is s.dtype else "default", {"dim": d})


def _shifted(x: Any, dim: int, dtype: DType | None) -> tuple[Any, Any]:
    """The input less its maximum, and the sum of exponentials of that."""
    x = _widened(x if dtype is None else x.to(dtype))
    shifted = x - x.amax(dim, True) if x.numel() else x
    return shifted, shifted.exp().sum(dim, True)


def _softmax_default(self: Any, dim: int, dtype: DType | None) -> Any:
    shifted, total = _shifted(self, dim, dtype)
    return (shifted.exp() / total).to(dtype or self.dtype)


def _log_softmax_default(self: Any, dim: int, dtype: DType | None) -> Any:
    shifted, total = _shifted(self, dim, dtype)
    return (shifted - total.log()).to(dtype or self.dtype)


def _softmax_rule(g: Any, out: Any, dim: int) -> Any:
    return softmax_backward(g, out, dim)


def _log_softmax_rule(g: Any, out: Any, dim: int) -> Any:
    return log_softmax_backward(g, out, dim)


@kernel(vjp={"self": _softmax_rule}, default=_softmax_default)
def softmax(self: Tensor, dim: int, dtype: DType | None = None) -> Any:
    """Exponentials divided by their sum over a dimension.

    Args:
        self: any shape.
        dim: the dimension that sums to 1.
        dtype: the dtype to compute and return (default: the input's).

    >>> import flambeau as fb
    >>> fb.softmax(fb.zeros(2), 0)
    tensor([0.5000, 0.5000])
    """
    return _call("softmax", self, dim, dtype)


@kernel(vjp={"self": _log_softmax_rule}, default=_log_softmax_default)
def log_softmax(self: Tensor, dim: int, dtype: DType | None = None) -> Any:
    """The logarithm of `softmax`, without underflow; the arguments are the same."""
    return _call("log_softmax", self, dim, dtype)


def _inner(a: Any, b: Any, dim: int) -> Any:
    return (a * b).sum(dim, True)


@kernel(
    module="nn", public=False,
    vjp={
        "grad": lambda g0, output, dim: _softmax_rule(g0, output, dim),
        "output": lambda g0, grad, output, dim: (
            g0 * (grad - _inner(grad, output, dim)) - grad * _inner(g0, output, dim)
        ),
    },
    default=lambda grad, output, dim: _narrow(_softmax_backward, grad, output, dim),
)  # fmt: skip
def softmax_backward(grad: Spec, output: Spec, dim: int) -> Any:
    """The gradient of `softmax` from its output."""
    return Call(grad.like())


@kernel(
    module="nn", public=False,
    vjp={
        "grad": lambda g0, output, dim: g0 - _inner(g0, output.exp(), dim),
        "output": lambda g0, grad, output, dim: -g0 * output.exp() * grad.sum(dim, True),
    },
    default=lambda grad, output, dim: _narrow(_log_softmax_backward, grad, output, dim),
)  # fmt: skip
def log_softmax_backward(grad: Spec, output: Spec, dim: int) -> Any:
    """The gradient of `log_softmax` from its output."""
    return Call(grad.like())


def _softmax_backward(g: Any, y: Any, dim: int) -> Any:
    return y * (g - _inner(g, y, dim))


def _log_softmax_backward(g: Any, y: Any, dim: int) -> Any:
    return g - y.exp() * g.sum(dim, True)


def _narrow(fn: Any, g: Any, y: Any, dim: int) -> Any:
    return fn(_widened(g), _widened(y), dim).to(g.dtype)
