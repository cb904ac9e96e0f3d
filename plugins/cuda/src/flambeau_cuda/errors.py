"""Errors of the plugin."""

from __future__ import annotations

__all__ = ["CompileError", "Unavailable"]


class CompileError(RuntimeError):
    """A kernel was refused by its compiler; the message has the compiler's own words."""


class Unavailable(RuntimeError):
    """There is no usable GPU; the message says why and what would mend it."""
