"""Jacobians, Hessians and products with them, of functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tuple(v: Any) -> tuple[Any, ...]:
    return tuple(v) if isinstance(v, (list, tuple)) else (v,)


def _fresh(inputs: Any, create: bool) -> tuple[Any, ...]:
    return tuple(t.view_as(t) if create and t.rg else t.detach().requires_grad_() for t in _tuple(inputs))


def _zeros(t: Any) -> Any:
    from ..ops.creation import zeros_like

    return zeros_like(t.detach())


def _rows(out: Any, ins: tuple[Any, ...], create: bool) -> list[Any]:
    """The Jacobian of one output by each input, of shape out.shape + in.shape."""
    from ..ops.joining import stack
    from . import grad

    parts: list[list[Any]] = [[] for _ in ins]
    flat = out.reshape(-1)
    for k in range(flat.shape[0]):
        gs = (
            grad(flat[k], ins, retain_graph=True, create_graph=create, allow_unused=True)
            if out.rg
            else [None] * len(ins)
        )
        for part, g, t in zip(parts, gs, ins, strict=True):
            part.append(_zeros(t) if g is None else g)
    return [
        stack(part).reshape((*out.shape, *t.shape)) if part else t.new_zeros((*out.shape, *t.shape))
        for part, t in zip(parts, ins, strict=True)
    ]


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
) -> Any:
    """The Jacobian of a function at given inputs, of shape ``output.shape + input.shape``.

    Returns:
        A tensor, or nested tuples over outputs and inputs where there are several.

    >>> import flambeau as fb
    >>> fb.autograd.functional.jacobian(lambda x: x * 2, fb.ones(2))
    tensor([[2., 0.],
            [0., 2.]])
    """
    from . import enable_grad

    with enable_grad():
        ins = _fresh(inputs, create_graph)
        result = func(*ins)
        table = [_rows(o, ins, create_graph) for o in _tuple(result)]
    one_in, one_out = not isinstance(inputs, (list, tuple)), not isinstance(result, (list, tuple))
    rows = [row[0] if one_in else tuple(row) for row in table]
    return rows[0] if one_out else tuple(rows)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
) -> Any:
    """The Hessian of a function with one result."""

    def first(*ins: Any) -> Any:
        found = jacobian(func, ins, create_graph=True)
        return tuple(g.reshape(t.shape) for g, t in zip(found, ins, strict=True))

    one = not isinstance(inputs, (list, tuple))
    table = jacobian(first, _tuple(inputs), create_graph)
    return table[0][0] if one else table


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """The function's value, and the product of a vector with its Jacobian."""
    from . import enable_grad, grad

    with enable_grad():
        ins = _fresh(inputs, create_graph)
        out = func(*ins)
        gs = grad(
            _tuple(out), ins, None if v is None else _tuple(v), create_graph=create_graph, allow_unused=True
        )
    gs = tuple(_zeros(t) if g is None else g for g, t in zip(gs, ins, strict=True))
    return _plain(out, create_graph), gs if isinstance(inputs, (list, tuple)) else gs[0]


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """The function's value, and the product of its Jacobian with a vector.

    Computed as the gradient, by u, of the vector-Jacobian product with u.
    """
    from ..ops.creation import zeros_like
    from . import enable_grad, grad

    with enable_grad():
        ins = _fresh(inputs, create_graph)
        vs = tuple(t.new_ones(t.shape) for t in ins) if v is None else _tuple(v)
        out = func(*ins)
        outs = _tuple(out)
        live = [o for o in outs if o.rg]
        us = [zeros_like(o.detach()).requires_grad_() for o in live]
        back = grad(live, ins, us, create_graph=True, allow_unused=True) if live else [None] * len(ins)
        pairs = [(g, w) for g, w in zip(back, vs, strict=True) if g is not None and g.rg]
        found = (
            grad(
                [g for g, _ in pairs], us, [w for _, w in pairs], create_graph=create_graph, allow_unused=True
            )
            if pairs
            else [None] * len(us)
        )
    at = iter(found)
    tangents = []
    for o in outs:
        g = next(at) if o.rg else None
        tangents.append(_zeros(o) if g is None else g)
    return _plain(out, create_graph), tuple(tangents) if isinstance(out, (list, tuple)) else tangents[0]


def _plain(out: Any, create: bool) -> Any:
    if create:
        return out
    return type(out)(o.detach() for o in out) if isinstance(out, (list, tuple)) else out.detach()


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """The function's value, and the product of a vector with its Hessian."""
    from . import enable_grad, grad

    with enable_grad():
        ins = _fresh(inputs, create_graph)
        out = func(*ins)
        first = grad(out, ins, create_graph=True, allow_unused=True)
        vs = tuple(t.new_ones(t.shape) for t in ins) if v is None else _tuple(v)
        pairs = [(g, w) for g, w in zip(first, vs, strict=True) if g is not None and g.rg]
        found = (
            grad(
                [g for g, _ in pairs],
                ins,
                [w for _, w in pairs],
                create_graph=create_graph,
                allow_unused=True,
            )
            if pairs
            else [None] * len(ins)
        )
    gs = tuple(_zeros(t) if g is None else g for g, t in zip(found, ins, strict=True))
    return _plain(out, create_graph), gs if isinstance(inputs, (list, tuple)) else gs[0]


hvp = vhp
