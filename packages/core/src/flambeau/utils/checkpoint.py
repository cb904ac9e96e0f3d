"""Activation checkpointing: keep the inputs of a piece of a model, not its insides, and compute it again in backward.

Source: T. Chen et al., "Training deep nets with sublinear memory cost", 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import tape
from ..autograd import Function, enable_grad
from ..random import default_generator, fork_rng

__all__ = ["checkpoint"]


class _Checkpoint(Function):
    @staticmethod
    def forward(ctx: Any, run: Callable[..., Any], state: tuple[int, int], anchor: Any, *args: Any) -> Any:
        ctx.run, ctx.state = run, state
        ctx.where = [k for k, a in enumerate(args) if hasattr(a, "spec")]
        ctx.others = [None if hasattr(a, "spec") else a for a in args]
        ctx.save_for_backward(*[args[k] for k in ctx.where])
        return run(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        args = list(ctx.others)
        for k, t in zip(ctx.where, ctx.saved_tensors, strict=True):
            args[k] = t.detach()
            args[k].rg = t.rg
        with fork_rng(), enable_grad():
            default_generator._seed, default_generator._stream = ctx.state
            result = ctx.run(*args)
        outs = list(result) if isinstance(result, (tuple, list)) else [result]
        live = [
            (o, g) for o, g in zip(outs, grads, strict=True) if hasattr(o, "spec") and o.rg and g is not None
        ]
        if live:
            # Gradients of parameters inside arrive at their .grad on the way.
            tape.backward([o for o, _ in live], [g for _, g in live])
        return (None, None, None, *[a.held if hasattr(a, "spec") else None for a in args])


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Call a function so that its intermediate results are computed again in backward instead of kept.

    Args:
        function: a piece of a model; called with ``args`` and ``kwargs``, once now and once in backward.
        preserve_rng_state: draw the same random numbers the second time.
        use_reentrant: accepted for compatibility.

    Returns:
        What the function returns.

    >>> import flambeau as fb
    >>> x = fb.ones(2, requires_grad=True)
    >>> fb.utils.checkpoint.checkpoint(lambda t: (t * 3).exp(), x).sum().backward()
    >>> x.grad
    tensor([60.2566, 60.2566])
    """
    from ..ops.creation import ones

    def run(*inner: Any) -> Any:
        return function(*inner, **kwargs)

    state = (default_generator._seed, default_generator._stream)
    # Parameters inside may need gradients although no argument does: the anchor makes the call recorded.
    anchor = ones((), requires_grad=True)
    return _Checkpoint.apply(run, state, anchor, *args)
