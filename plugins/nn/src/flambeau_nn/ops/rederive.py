"""Second derivatives of fused ops: the gradient is written down once more in public ops and differentiated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flambeau import enable_grad, is_grad_enabled
from flambeau.autograd import grad

__all__ = ["rederive"]


def rederive(
    fn: Callable[..., Any], inputs: Sequence[Any], needs: Sequence[bool], gs: Sequence[Any]
) -> list[Any]:
    """The gradients of ``fn(*inputs)`` by those inputs that need one.

    Args:
        fn: written in public ops; returns a tensor or a tuple of tensors and None.
        inputs: tensors or None.
        needs: which inputs want a gradient.
        gs: the gradient of each result of ``fn``, or None.
    """
    create = is_grad_enabled()
    # Each input under a name of its own, so that the walk ends there even where one was computed from another.
    with enable_grad():
        seen = [_alias(t, create) if need else t for t, need in zip(inputs, needs, strict=True)]
        outs = fn(*seen)
    outs = outs if isinstance(outs, tuple) else (outs,)
    pairs = [
        (o, g) for o, g in zip(outs, gs, strict=True) if o is not None and g is not None and o.requires_grad
    ]
    targets = [t for t, need in zip(seen, needs, strict=True) if need]
    found: Iterator[Any] = iter(())
    if pairs and targets:
        results, seeds = zip(*pairs, strict=True)
        found = iter(grad(results, targets, seeds, create, create, allow_unused=True))
    return [next(found, None) if need else None for need in needs]


def _alias(t: Any, create: bool) -> Any:
    if create:
        return t.permute(tuple(range(t.ndim)))
    return t.detach().requires_grad_()
