"""Small pieces that the functional files share: tuples of sizes, reductions, shape checks, in-place forms."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import flambeau as fb
from flambeau.errors import describe, message
from flambeau.plugin import into

__all__: list[str] = []


def tuple_of(n: int, op: str, name: str, value: int | Sequence[int]) -> tuple[int, ...]:
    """`value` as a tuple of `n` ints; an int counts for all of them, a sequence of one too.

    >>> tuple_of(2, "conv2d", "stride", 3)
    (3, 3)
    """
    if type(value) is int:
        return (value,) * n
    try:
        sizes = (index(value),) if hasattr(value, "__index__") else tuple(map(index, value))
    except TypeError:
        what = f"[{op}] argument {name!r} must be an int or a tuple of ints: got {value!r}."
        raise TypeError(what) from None
    if len(sizes) == n:
        return sizes
    if len(sizes) == 1:
        return sizes * n
    raise RuntimeError(
        f"[{op}] expected {name} to be a single integer value or a list of {n} values: got {sizes}."
    )


def check_window(op: str, n: int, **sizes: tuple[int, ...]) -> None:
    """Padding is at least 0, everything else about a window at least 1."""
    for name, values in sizes.items():
        least = 0 if name == "padding" else 1
        if min(values) < least:
            raise RuntimeError(f"[{op}] {name} must be at least {least}: got {values[-n:]}.")


def reduction_of(op: str, reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """The reduction's name, after PyTorch's two old flags were read."""
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        warnings.warn(
            f"[{op}] size_average and reduce args are deprecated: please use reduction={reduction!r} instead.",
            DeprecationWarning,
            stacklevel=3,
        )
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(
            f"[{op}] {reduction!r} is not a valid value for reduction: needed: none, mean or sum."
        )
    return reduction


def reduced(loss: fb.Tensor, reduction: str) -> fb.Tensor:
    """A loss per element, reduced."""
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


def need_tensors(op: str, **values: Any) -> None:
    """Refuse anything but tensors, naming the argument. Hot functions call it only once something went wrong."""
    for name, value in values.items():
        if not isinstance(value, fb.Tensor):
            raise TypeError(f"[{op}] argument {name!r} must be a Tensor: got {describe(value)}.")


def same_shape(op: str, input: fb.Tensor, target: fb.Tensor, do: str = "") -> None:
    """Refuse a target of another shape: broadcasting in a loss is nearly always a mistake."""
    try:
        if input.shape == target.shape:
            return
    except AttributeError:
        need_tensors(op, input=input, target=target)
        raise
    if not do:
        do = "Use target.view_as(input)" if input.numel() == target.numel() else "Use target.expand_as(input)"
        do += " if that is what you mean."
    raise (ValueError if _broadcast(input, target) or "binary" in op else RuntimeError)(
        message(
            op,
            "the size of target is different to the size of input, and a loss doesn't broadcast silently",
            "equal shapes",
            do,
            input=input,
            target=target,
        )
    )


def _broadcast(a: fb.Tensor, b: fb.Tensor) -> bool:
    try:
        fb.broadcast_shapes(tuple(a.shape), tuple(b.shape))
    except RuntimeError:
        return False
    return True


def written(
    op: str, result: fb.Tensor, out: fb.Tensor | None, *inputs: fb.Tensor | None, exact: bool = False
) -> fb.Tensor:
    """The result, put into ``out`` where one is given; `exact`: which must have the result's dtype."""
    if out is None:
        return result
    if fb.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs):
        raise RuntimeError(
            f"[{op}] functions with out=... arguments don't support automatic differentiation, but one of them "
            "requires grad. Drop out=, or use no_grad()."
        )
    into(op, out, result, casts=not exact)
    return out


def in_place(fn: Callable[[fb.Tensor], fb.Tensor], input: fb.Tensor) -> fb.Tensor:
    """Write ``fn(input)`` into `input`. With gradients on, `fn` keeps a copy of the old values for backward."""
    recorded = fb.is_grad_enabled() and input.requires_grad
    return input.copy_(fn(input.clone() if recorded else input))
