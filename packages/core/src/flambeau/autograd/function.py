"""Custom differentiable functions, written as a class with ``forward`` and ``backward``."""

from __future__ import annotations

from typing import Any

from .. import plan as plans
from .. import tape
from ..errors import refuse
from ..ops.creation import zeros
from ..state import WATCHED, modes, set_grad, transforming

__all__ = ["Function"]


class Context:
    """What ``forward`` leaves for ``backward``; further attributes are the user's own.

    Attributes:
        needs_input_grad: per argument of ``forward``, whether its gradient is wanted.
        saved_tensors: what `save_for_backward` kept.
    """

    node: tape.Node

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self.to_save: tuple[Any, ...] = ()
        self.materialize = True
        self.dirty: tuple[Any, ...] = ()
        self.not_differentiable: tuple[Any, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs, outputs or other tensors (or None) for ``backward``."""
        self.to_save = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Accepted for compatibility; forward mode is computed from ``backward``."""

    def mark_dirty(self, *tensors: Any) -> None:
        """Say which inputs ``forward`` changed in place."""
        self.dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say which outputs carry no gradient."""
        self.not_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether gradients of unused outputs come as zeros (the default) or None."""
        self.materialize = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What was saved; an error if it was changed in place since."""
        out: list[Any] = []
        for nr, k in self.node.values[1]:
            if k is None:
                out.append(None)
            else:
                out.append(tape.unpack(self.node, k) if nr is None else tape.unpack_output(self.node, k, nr))
        return tuple(out)


class _Rules:
    """Gradient rules of a Function subclass."""

    def __init__(self, cls: type[Function]) -> None:
        self.cls = cls
        self.name = cls.__name__ + "Backward"

    def gradients(self, node: tape.Node, gs: list[Any]) -> list[Any]:
        """Call the user's backward and put its results on the edges."""
        ctx, _, where = node.values
        if node.saved is tape.FREED and ctx.to_save:
            _ = ctx.saved_tensors  # raises
        if ctx.materialize:
            pairs = zip(gs, node.kind.outs, strict=True)
            gs = [zeros(s.shape, dtype=s.dtype, device=s.device) if g is None else g for g, s in pairs]
        result = self.cls.backward(ctx, *gs)
        parts = list(result) if isinstance(result, (tuple, list)) else [result]
        wanted = len(ctx.needs_input_grad)
        if len(parts) > wanted and all(p is None for p in parts[wanted:]):
            parts = parts[:wanted]
        if len(parts) != wanted:
            wrong = f"function {self.name} returned an incorrect number of gradients: got {len(parts)}"
            refuse(
                self.name, f"{wrong}, needed: {wanted}, one per argument of forward (None where it has none)"
            )
        return [parts[k] for k in where]


class Function:
    """A differentiable function of one's own: subclass, write ``forward`` and ``backward``, call ``apply``.

    >>> import flambeau as fb
    >>> class Cube(fb.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x ** 3
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 3 * x ** 2 * g
    >>> x = fb.tensor(2., requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    _rules: Any = None

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the result; the first argument is the context, unless `setup_context` is written too."""
        raise NotImplementedError("[Function] you must implement forward for a custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Fill the context, where ``forward`` doesn't take it."""

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradient of every argument of ``forward``, from those of its results."""
        raise NotImplementedError("[Function] you must implement backward for a custom autograd.Function.")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward`` and record it."""
        if WATCHED and (transform := transforming("apply_function")):
            made = transform(cls, args, kwargs)
            if made is not NotImplemented:
                return made
        ctx = Context()
        is_tensor = [isinstance(a, plans.TENSOR) for a in args]
        ctx.needs_input_grad = tuple(t and a.rg for t, a in zip(is_tensor, args, strict=True))
        recording = modes.grad and any(ctx.needs_input_grad)
        before = modes.grad
        set_grad(False)
        try:
            if cls.setup_context is not Function.setup_context:
                result = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args, **kwargs)
        finally:
            set_grad(before)
        if not recording:
            return result
        outs = list(result) if isinstance(result, (tuple, list)) else [result]
        inputs = [a for a, t in zip(args, is_tensor, strict=True) if t]
        edges = [tape.edge_of(a) for a in inputs]
        for k, o in enumerate(outs):
            if any(o is a for a in inputs) and not any(o is d for d in ctx.dirty):
                outs[k] = o.detach()  # an input handed through is another tensor outside
        if cls._rules is None or cls._rules.cls is not cls:
            cls._rules = _Rules(cls)
        where = tuple(k for k, t in enumerate(is_tensor) if t)
        kept: list[Any] = []
        places: list[
            tuple[int | None, int | None]
        ] = []  # the number of the output, if it is one; where it is kept
        for s in ctx.to_save:
            nr = next((k for k, o in enumerate(outs) if o is s), None)
            places.append((nr, None if s is None else len(kept)))
            if s is not None:
                kept += tape.save([s]) if nr is None else [tape.save_output(s)]
        floats = [o for o in outs if isinstance(o, plans.TENSOR)]
        kind = tape.Kind(cls._rules, [a.spec for a in inputs], tuple(o.spec for o in floats))
        node = tape.make_node(kind, edges, kept, (ctx, tuple(places), where))
        ctx.node = node
        for k, o in enumerate(floats):
            if o.spec.dtype.rank > 1 and not any(o is n for n in ctx.not_differentiable):
                o.node, o.nr, o.rg = node, k, True
        return type(result)(outs) if isinstance(result, (tuple, list)) else outs[0]
