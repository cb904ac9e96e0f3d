"""What this plugin answers to the hooks of core; imported when the first of them is called."""

from __future__ import annotations

from flambeau.hooks import Registry, hookimpl

from .datasets import Digits

__all__ = ["register_datasets"]


@hookimpl
def register_datasets(registry: Registry) -> None:
    """Make the data sets known by name."""
    registry.add("digits", Digits)
