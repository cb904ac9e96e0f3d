"""Registered callbacks: an ordered dict of functions, and the handle that takes one out again.

Imported by `optimizer.py` only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

__all__ = ["Callbacks", "RemovableHandle"]

_ids = itertools.count()


class RemovableHandle:
    """What registering a hook returns; ``remove()`` or the end of a ``with`` block takes the hook out."""

    def __init__(self, hooks: dict[int, Callable[..., Any]], key: int) -> None:
        self._hooks = hooks
        self.id = key

    def remove(self) -> None:
        """Take the hook out; does nothing the second time."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Callbacks(dict[int, Callable[..., Any]]):
    """Functions in the order in which they are to be called."""

    def register(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Add a hook at the end, or in front of all others."""
        key = next(_ids)
        if prepend:
            others = dict(self)
            self.clear()
            self[key] = hook
            self.update(others)
        else:
            self[key] = hook
        return RemovableHandle(self, key)
