"""Nested tuples, lists and dicts of values: taking them apart and putting them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["flatten", "map_tree", "rebuild", "spread_prefix"]


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of a tree in order (dicts in the order of insertion), and the tree itself as a form for `rebuild`.

    >>> flatten({"a": 1, "b": (2, [3])})[0]
    [1, 2, 3]
    """
    leaves: list[Any] = []
    map_tree(leaves.append, tree)
    return leaves, tree


def map_tree(fn: Callable[[Any], Any], tree: Any) -> Any:
    """A tree of the same form with a function's value for each leaf.

    >>> map_tree(lambda x: x + 1, [1, (2, None and 3 or 3)])
    [2, (3, 4)]
    """
    if isinstance(tree, tuple):
        parts = [map_tree(fn, v) for v in tree]
        # A sequence of sizes is a value of its own kind, and a named tuple takes its fields one by one.
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    if type(tree) is list:
        return [map_tree(fn, v) for v in tree]
    if isinstance(tree, dict):
        made = {k: map_tree(fn, v) for k, v in tree.items()}
        return made if type(tree) is dict else type(tree)(made)
    return fn(tree)


def rebuild(form: Any, leaves: Sequence[Any]) -> Any:
    """A tree of a form with other leaves."""
    rest = iter(leaves)
    return map_tree(lambda _: next(rest), form)


def spread_prefix(prefix: Any, tree: Any, is_leaf: Callable[[Any], bool], what: str) -> list[Any]:
    """One value per leaf of a tree, from a tree that may stop higher up: what stands there counts for all below.

    Raises:
        ValueError: the forms don't fit.
    """
    if is_leaf(prefix):
        return [prefix] * len(flatten(tree)[0])
    same = isinstance(tree, dict) if isinstance(prefix, dict) else isinstance(tree, (list, tuple))
    if not same or len(prefix) != len(tree) or (isinstance(prefix, dict) and prefix.keys() != tree.keys()):
        raise ValueError(
            f"[vmap] {what} is not compatible with the structure of the values: got {what}={prefix!r} for "
            f"{type(tree).__name__}; needed: one entry, or a structure that matches. E.g. {what}=0."
        )
    pairs = [(prefix[k], tree[k]) for k in tree] if isinstance(tree, dict) else zip(prefix, tree, strict=True)
    return [v for p, t in pairs for v in spread_prefix(p, t, is_leaf, what)]
