"""Notes on exceptions that pass out of a module: where in the model it happened. Only the error path comes here."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .module import Module

__all__ = ["note_path"]

_TRAIL = "_flambeau_trail"


class _Trail:
    """The path so far: innermost module described once, path and note growing as the exception passes out."""

    def __init__(self, module: Module) -> None:
        self.place = _one_line(module)
        self.path = ""
        self.below = weakref.ref(module)
        self.note = f"in {self.place}"

    def grow(self, module: Module) -> bool:
        """Put the module above in front of the path; False if it doesn't own the module below."""
        below = self.below()
        name = next((name for name, child in module.named_modules() if child is below), "")
        if not name:
            return False
        self.path = f"{name}.{self.path}" if self.path else name
        self.below = weakref.ref(module)
        self.note = f"in model.{self.path}: {self.place} (model is {type(module).__name__})"
        return True


def note_path(error: Exception, module: Module) -> None:
    """Say in a note on `error` that it came out of `module`; called once by each module on the way out.

    The first call (the innermost module) adds the note, the later ones rewrite it with a longer path. An exception
    that takes no notes is left alone: the error itself matters more.
    """
    with suppress(Exception):
        trail: _Trail | None = getattr(error, _TRAIL, None)
        if trail is None:
            trail = _Trail(module)
            setattr(error, _TRAIL, trail)
            error.add_note(trail.note)
            return
        notes = error.__notes__
        old = trail.note
        if trail.grow(module) and old in notes:
            notes[notes.index(old)] = trail.note


def _one_line(module: Module) -> str:
    """``Linear(in_features=3, out_features=1, bias=True)``; modules with long descriptions by name alone."""
    extra = module.extra_repr()
    if next(module.children(), None) is not None or "\n" in extra:
        return f"{type(module).__name__}(...)"
    return f"{type(module).__name__}({extra})"
