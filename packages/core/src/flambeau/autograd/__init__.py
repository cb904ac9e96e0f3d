"""Gradients: `backward`, `grad`, modes, custom functions, checks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import engine, tape
from .._alias import namespace
from ..errors import refuse
from ..ops.creation import ones_like, zeros_like
from ..tape import Node
from . import graph
from .function import Function

from ..state import (  # isort: skip
    WATCHED, grad_mode, is_grad_enabled, is_inference_mode_enabled, modes, set_grad, transforming,
)  # fmt: skip

if TYPE_CHECKING:
    from flambeau_func import functional

    from ..testing import gradcheck, gradgradcheck

__all__ = [
    "Function", "Node", "backward", "detect_anomaly", "enable_grad", "functional", "grad", "gradcheck", "gradgradcheck",
    "graph", "inference_mode", "is_grad_enabled", "is_inference_mode_enabled", "no_grad", "set_detect_anomaly",
    "set_grad_enabled",
]  # fmt: skip


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _start(op: str, roots: list[Any], given: list[Any]) -> list[Any]:
    """The gradients to start from: ones for single elements, checked otherwise."""
    if len(given) != len(roots):
        refuse(op, f"got {len(roots)} tensors and {len(given)} gradients: give one gradient per tensor")
    starts = []
    for root, g in zip(roots, given, strict=True):
        if not hasattr(root, "spec"):
            refuse(op, "needs Tensors", error=TypeError, tensor=root)
        if not root.requires_grad:
            wrong = "element 0 of tensors does not require grad and does not have a grad_fn"
            do = "Nothing that it was computed from has requires_grad=True, or it was computed under no_grad()."
            refuse(op, f"{wrong}: got {list(root.shape)} {root.dtype.name}", do=do)
        if g is None:
            if root.numel() != 1:
                wrong = f"grad can be implicitly created only for scalar outputs: got {list(root.shape)}"
                refuse(op, wrong, do="Reduce it first, e.g. with .sum(), or give a gradient of its shape.")
            g = ones_like(root.detach())
        elif not hasattr(g, "spec") or g.shape != root.shape:
            wrong = "Mismatch in shape: the gradient must have its tensor's shape"
            refuse(op, wrong, tensor=root, gradient=g)
        starts.append(g)
    return starts


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Compute the gradients of leaves and add them to their ``.grad``.

    Args:
        tensors: what to differentiate: a tensor or several.
        grad_tensors: the gradient of each, of its shape; None for single elements (then 1).
        retain_graph: keep what was saved, for another backward (default: ``create_graph``).
        create_graph: record the computation of the gradients.
        inputs: only these leaves get gradients.

    Raises:
        RuntimeError: a tensor has no history, or more than one element and no gradient.
    """
    roots = _listed(tensors)
    starts = _start("backward", roots, [None] * len(roots) if grad_tensors is None else _listed(grad_tensors))
    targets = None if inputs is None else _listed(inputs)
    if targets is not None and not targets:
        refuse(
            "backward", "`inputs` argument to `backward` cannot be empty", do="Leave it out for all leaves."
        )
    keep = create_graph if retain_graph is None else retain_graph
    engine.backward(roots, starts, keep, create_graph, targets)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of outputs with respect to inputs; ``.grad`` is left alone.

    Args:
        outputs, grad_outputs, retain_graph, create_graph: as for `backward`.
        inputs: tensors that require grad.
        allow_unused: return None for inputs that the outputs don't depend on (default: ``materialize_grads``).
        is_grads_batched: ``grad_outputs`` have a leading dimension to go over.
        materialize_grads: return zeros instead of None.

    Returns:
        One gradient per input.

    >>> import flambeau as fb
    >>> x = fb.tensor(3., requires_grad=True)
    >>> fb.autograd.grad(x ** 2, x)
    (tensor(6.),)
    """
    roots, targets = _listed(outputs), _listed(inputs)
    given = [None] * len(roots) if grad_outputs is None else _listed(grad_outputs)
    if allow_unused is None:
        allow_unused = materialize_grads
    if is_grads_batched:
        batched = namespace("func").transforms.batched_grad
        return batched(roots, targets, given, create_graph=create_graph, allow_unused=allow_unused)  # type: ignore[no-any-return]
    keep = create_graph if retain_graph is None else retain_graph
    starts = _start("grad", roots, given)
    options = {
        "keep": keep, "create": create_graph, "allow_unused": allow_unused, "materialize": materialize_grads,
    }  # fmt: skip
    transform = transforming("grad") if WATCHED else None
    found = _grad if transform is None else partial(transform, _grad)
    return tuple(found(roots, targets, starts, **options))


def _grad(
    roots: list[Any], targets: list[Any], starts: list[Any], keep: bool, create: bool, allow_unused: bool,
    materialize: bool,
) -> list[Any]:  # fmt: skip
    for t in targets:
        if not t.rg:
            wrong = "One of the differentiated Tensors does not require grad"
            refuse("grad", wrong, do="Call requires_grad_() on it before computing with it.", input=t)
    walked = engine.backward(roots, starts, keep, create, targets, accumulate=False)
    result = []
    for t, g in zip(targets, walked, strict=True):
        if g is None:
            if not allow_unused:
                wrong = "One of the differentiated Tensors appears to not have been used in the graph"
                refuse("grad", wrong, do="Set allow_unused=True if this is the desired behavior.", input=t)
            if materialize:
                g = zeros_like(t.detach())
        result.append(g)
    return result


class _switch(grad_mode):
    """A mode as a class: ``with no_grad():``, ``@no_grad()`` and ``@no_grad``."""

    on = True

    def __init__(self, fn: Callable[..., Any] | None = None) -> None:
        super().__init__(self.on)

    def __new__(cls, fn: Callable[..., Any] | None = None) -> Any:
        return object.__new__(cls) if fn is None else grad_mode(cls.on)(fn)


class no_grad(_switch):
    """Context manager and decorator: nothing is recorded inside.

    >>> import flambeau as fb
    >>> x = fb.ones(2, requires_grad=True)
    >>> with fb.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    on = False


class enable_grad(_switch):
    """Context manager and decorator: recording is on inside."""


class inference_mode(grad_mode):
    """Context manager and decorator: as `no_grad`, for results that will never be recorded.

    What is made inside can't be saved for backward, written in place or made to require grad outside; ``clone()``
    gives a normal tensor. Views of normal tensors stay normal.

    >>> import flambeau as fb
    >>> with fb.inference_mode():
    ...     x = fb.ones(2)
    >>> x.is_inference(), x.clone().is_inference()
    (True, False)
    """

    def __init__(self, mode: Any = True) -> None:
        super().__init__(not mode, bool(mode))

    def __new__(cls, mode: Any = True) -> Any:
        return object.__new__(cls) if isinstance(mode, bool) else grad_mode(False, True)(mode)


class set_grad_enabled:
    """Set whether this thread records; also a context manager that restores the mode."""

    def __init__(self, mode: bool) -> None:
        self.previous = modes.grad
        self.mode = bool(mode)
        set_grad(self.mode)

    def __enter__(self) -> None:
        set_grad(self.mode)

    def __exit__(self, *exc: object) -> None:
        set_grad(self.previous)

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        set_grad(self.previous)
        return grad_mode(self.mode)(fn)


class set_detect_anomaly:
    """Note where every op was called, and stop at the first gradient that is NaN; also a context manager."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.previous = dict(tape.anomaly)
        tape.anomaly.update(on=bool(mode), nan=check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        tape.anomaly.update(self.previous)


class detect_anomaly(set_detect_anomaly):
    """`set_detect_anomaly(True)` as a context manager."""

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)


def __getattr__(name: str) -> Any:
    home = {"functional": "func", "gradcheck": "testing", "gradgradcheck": "testing"}.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(namespace(home), name)
