"""Elementwise functions on the host: records of one or two operands from a function of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import flambeau as fb
from flambeau.plugin import Call, Op, broadcast_shapes, kernel, message

from .._host import array_of, tensor_of
from .._records import like

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["no_gradient", "of_one", "of_two", "promoted"]


def _refuse_complex(op: str, dtype: Any) -> None:
    if dtype.is_complex:
        raise RuntimeError(
            f'[{op}] "{op}" not implemented for {dtype.name!r}: needed: real numbers. Use .real.'
        )


def _floating(dtype: Any) -> Any:
    return dtype if dtype.rank > 1 else fb.get_default_dtype()


def _on_arrays(op: str, fn: Callable[..., Any], *tensors: Any) -> Any:
    dtype = _floating(tensors[0].dtype)
    wide = np.float64 if dtype is fb.float64 else np.float32
    arrays = [array_of(t).astype(wide, copy=False) for t in tensors]
    with np.errstate(all="ignore"):
        out = np.asarray(fn(*arrays)).astype(wide, copy=False)
    made = tensor_of(out, tensors[0].device)
    return made if made.dtype is dtype else made.to(dtype)


def no_gradient(op: str, name: str) -> Callable[..., Any]:
    """A rule for a derivative that nobody has written.

    The rule raises RuntimeError.
    """

    def rule(g: Any) -> Any:
        raise RuntimeError(
            message(op, f"the derivative for {name!r} is not implemented", do=f"Detach {name!r} first.")
        )

    return rule


def of_one(
    name: str, fn: Callable[..., Any], doc: str, slope: Callable[..., Any] | None = None, **fields: Any
) -> Op:
    """A function of one variable.

    Args:
        name: the record's name, with its namespace.
        fn: the function of an array.
        doc: what it computes.
        slope: ``(g, self, out)`` to the gradient; None: there is none.
    """

    def infer(self: Tensor) -> Any:
        _refuse_complex(name, self.dtype)
        return Call(like(self, _floating(self.dtype)))

    infer.__doc__ = doc
    infer.__name__ = name.rpartition(".")[2]
    module = name.rpartition(".")[0]
    base = {"module": module, "method": not module, "function": not module, "export": infer.__name__}
    rule = no_gradient(name, "self") if slope is None else slope
    return kernel(
        name=name, vjp={"self": rule}, default=lambda self: _on_arrays(name, fn, self), **(base | fields)
    )(infer)


def of_two(
    name: str, fn: Callable[..., Any], first: Callable[..., Any] | None, second: Callable[..., Any] | None
) -> Op:
    """A function of two tensors of one floating-point dtype, which broadcast; the gradients are rules."""

    def infer(self: Tensor, other: Tensor) -> Any:
        return Call(like(self, None, broadcast_shapes(self.shape, other.shape, op=name)))

    infer.__name__ = name
    return kernel(
        name=name, method=False, function=False, module="special",
        vjp={"self": first or no_gradient(name, "self"), "other": second or no_gradient(name, "other")},
        default=lambda self, other: _on_arrays(name, fn, self, other),
    )(infer)  # fmt: skip


def promoted(op: str, a: Any, b: Any, integers: bool = True) -> tuple[Any, Any]:
    """Two operands, one of which may be a number, in their common floating-point dtype.

    Raises:
        RuntimeError: complex numbers, or integers alone where those aren't taken.
    """
    if not isinstance(a, fb.Tensor) and not isinstance(b, fb.Tensor):
        raise TypeError(
            f"[{op}] needs at least one Tensor: got only numbers. Wrap one with flambeau.tensor()."
        )
    found = fb.result_type(a, b)
    if found.rank < 2 and not integers:
        raise RuntimeError(
            f'[{op}] "{op}" not implemented for {found.name!r}: needed: floating-point numbers.'
        )
    dtype = _floating(found)
    _refuse_complex(op, dtype)
    device = a.device if isinstance(a, fb.Tensor) else b.device
    if isinstance(a, fb.Tensor) and isinstance(b, fb.Tensor) and a.device != b.device:
        if not b.ndim:
            b = b.to(device)
        elif not a.ndim:
            a = a.to(b.device)
    x, y = (
        t.to(dtype) if isinstance(t, fb.Tensor) else fb.tensor(t, dtype=dtype, device=device) for t in (a, b)
    )
    return x, y
