"""Function transforms: functions that return derivatives of functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from .autograd import enable_grad
from .autograd import functional as F
from .autograd import grad as _grad

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "vjp"]


def _pick(args: tuple[Any, ...], argnums: int | tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(args[k] for k in ((argnums,) if isinstance(argnums, int) else argnums))


def _replace(args: tuple[Any, ...], argnums: int | tuple[int, ...], new: tuple[Any, ...]) -> tuple[Any, ...]:
    out = list(args)
    for k, v in zip((argnums,) if isinstance(argnums, int) else argnums, new, strict=True):
        out[k] = v
    return tuple(out)


def grad_and_value(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the gradient by some arguments, and the value.

    Args:
        func: returns one element (and, with ``has_aux``, something else).
        argnums: which arguments to differentiate by.
        has_aux: whether ``func`` returns ``(value, aux)``.
    """

    @wraps(func)
    def derived(*args: Any, **kwargs: Any) -> Any:
        with enable_grad():
            # A view of each input: nested transforms then differentiate through it.
            ins = tuple(t.view_as(t) if t.rg else t.detach().requires_grad_() for t in _pick(args, argnums))
            result = func(*_replace(args, argnums, ins), **kwargs)
            value, aux = result if has_aux else (result, None)
            nested = any(t.rg for t in _pick(args, argnums))
            gs = _grad(value, ins, create_graph=True, allow_unused=True, materialize_grads=True)
        if not nested:
            gs = tuple(g.detach() for g in gs)
            value = value.detach()
        g = gs[0] if isinstance(argnums, int) else gs
        return (g, (value, aux)) if has_aux else (g, value)

    return derived


def grad(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the gradient of ``func`` by some arguments.

    >>> import flambeau as fb
    >>> fb.func.grad(fb.func.grad(lambda x: x ** 3))(fb.tensor(2.))
    tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @wraps(func)
    def derived(*args: Any, **kwargs: Any) -> Any:
        g, value = both(*args, **kwargs)
        return (g, value[1]) if has_aux else g

    return derived


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value at ``primals`` and a function from output gradients to input gradients."""
    with enable_grad():
        ins = tuple(t.view_as(t) if t.rg else t.detach().requires_grad_() for t in primals)
        result = func(*ins)
    value, aux = result if has_aux else (result, None)

    def back(*gs: Any) -> Any:
        given = gs[0] if len(gs) == 1 and isinstance(gs[0], (tuple, list)) else gs
        outs = list(value) if isinstance(value, (tuple, list)) else [value]
        return _grad(
            outs,
            ins,
            list(given),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
            create_graph=any(t.rg for t in primals),
        )

    nested = any(t.rg for t in primals)
    shown = value if nested else F._plain(value, False)
    return (shown, back, aux) if has_aux else (shown, back)


def jvp(func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """The value at ``primals`` and the directional derivative along ``tangents``."""
    nested = any(t.rg for t in (*primals, *tangents))
    return F.jvp(func, tuple(primals), tuple(tangents), create_graph=nested)


def jacrev(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """A function that returns the Jacobian, one backward walk per output element."""

    @wraps(func)
    def derived(*args: Any) -> Any:
        chosen = _pick(args, argnums)
        nested = any(t.rg for t in chosen)
        table = F.jacobian(lambda *xs: func(*_replace(args, argnums, xs)), chosen, create_graph=nested)
        if not isinstance(argnums, int):
            return table
        return tuple(r[0] for r in table) if isinstance(table[0], tuple) else table[0]

    return derived


def jacfwd(func: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that returns the Jacobian, one directional derivative per input element."""
    from .ops.joining import stack

    @wraps(func)
    def derived(*args: Any) -> Any:
        x = args[argnums]
        columns = []
        for k in range(x.numel()):
            basis = x.detach().new_zeros((x.numel(),))
            basis[k] = 1
            columns.append(
                F.jvp(
                    lambda t: func(*_replace(args, argnums, (t,))),
                    x,
                    basis.reshape(x.shape),
                    create_graph=x.rg,
                )[1]
            )
        return stack(columns, -1).reshape((*columns[0].shape, *x.shape))

    return derived


def hessian(func: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that returns the matrix of second derivatives."""

    @wraps(func)
    def derived(*args: Any) -> Any:
        return F.hessian(
            lambda t: func(*_replace(args, argnums, (t,))), args[argnums], create_graph=args[argnums].rg
        )

    return derived
