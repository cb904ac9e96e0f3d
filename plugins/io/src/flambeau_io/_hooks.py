"""What this plugin answers to the hooks of core; imported when the first of them is called."""

from __future__ import annotations

from flambeau.hooks import Registry, hookimpl

from . import files

__all__ = ["register_formats"]


@hookimpl
def register_formats(registry: Registry) -> None:
    """Make our own file formats known by name."""
    files.register(registry)
