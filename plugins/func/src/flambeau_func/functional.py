"""Jacobians, Hessians and products with them, of functions of tensors: PyTorch's older interface to `flambeau.func`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import transforms
from .transforms import Linear, Trace, check_like, grad_and_value, jacfwd, jacrev
from .trees import map_tree, rebuild

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tuple(v: Any) -> tuple[Any, ...]:
    return tuple(v) if isinstance(v, (list, tuple)) else (v,)


def _trace(op: str, func: Callable[..., Any], inputs: Any, strict: bool) -> Any:
    """The function, run on its inputs, with its graph."""
    ins = _tuple(inputs)
    trace = Trace(func, ins, {}, tuple(range(len(ins))), False, op)
    if strict and not all(o.requires_grad for o in trace.outs):
        raise RuntimeError(
            f"[{op}] strict=True: got an output of the user-provided function that is independent of the inputs; "
            "needed: outputs that depend on them. Leave out strict."
        )
    return trace


def _given(op: str, v: Any, like: Sequence[Any], needed: bool) -> list[Any]:
    """The vector of a product: ones for single elements, checked otherwise."""
    if v is None:
        if needed and any(t.numel() != 1 for t in like):
            raise RuntimeError(
                f"[{op}] The vector v can only be None if the user-provided function's input or output is a single "
                "element: give v."
            )
        return [t.detach().new_ones(t.shape) for t in like]
    vs = list(_tuple(v))
    check_like(op, "v", vs, like)
    return vs


def _shown(tree: Any, create: bool) -> Any:
    return tree if create else map_tree(lambda t: t.detach(), tree)


def _as_inputs(values: Sequence[Any], inputs: Any) -> Any:
    return tuple(values) if isinstance(inputs, (list, tuple)) else values[0]


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian of a function at given inputs, of shape ``output.shape + input.shape``.

    Args:
        func: takes the inputs, returns a tensor or a tuple of tensors.
        inputs: a tensor or a tuple of tensors.
        create_graph: whether the result is recorded.
        strict: refuse outputs that don't depend on the inputs.
        vectorize: accepted for PyTorch's sake; all elements are always done at once.
        strategy: ``reverse-mode`` or ``forward-mode``.

    Returns:
        A tensor, or nested tuples over outputs and inputs where there are several.

    >>> import flambeau as fb
    >>> fb.autograd.functional.jacobian(lambda x: x * 2, fb.ones(2))
    tensor([[2., 0.],
            [0., 2.]])
    """
    if strict:
        _trace("jacobian", func, inputs, True)
    transform = jacfwd if strategy == "forward-mode" else jacrev
    numbers: Any = tuple(range(len(inputs))) if isinstance(inputs, (list, tuple)) else 0
    return _shown(transform(func, numbers)(*_tuple(inputs)), create_graph)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The Hessian of a function with one result of one element; as `jacobian` of its gradient."""
    numbers: Any = tuple(range(len(inputs))) if isinstance(inputs, (list, tuple)) else 0
    if strict:
        _trace("hessian", func, inputs, True)

    def one(*args: Any) -> Any:
        return func(*args).reshape(())

    return _shown(transforms.hessian(one, numbers)(*_tuple(inputs)), create_graph)


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """The function's value, and the product of a vector with its Jacobian."""
    t = _trace("vjp", func, inputs, strict)
    found = t.back(_given("vjp", v, t.results, True), create=create_graph)
    return _shown((t.value, _as_inputs(found, inputs)), create_graph)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """The function's value, and the product of its Jacobian with a vector."""
    t = _trace("jvp", func, inputs, strict)
    found = rebuild(t.value, Linear(t)(_given("jvp", v, _tuple(inputs), True)))
    return _shown((t.value, found), create_graph)


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """The function's value, and the product of a vector with its Hessian."""
    numbers = tuple(range(len(_tuple(inputs))))

    def both(*args: Any) -> Any:
        return grad_and_value(func, numbers)(*args)

    t = _trace("vhp", both, inputs, strict)
    vs = _given("vhp", v, _tuple(inputs), True)
    found = t.back([*vs, None], create=create_graph)
    return _shown((t.value[1], _as_inputs(found, inputs)), create_graph)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """The function's value, and the product of its Hessian with a vector: `vhp`, as the Hessian is symmetric."""
    return vhp(func, inputs, v, create_graph, strict)
