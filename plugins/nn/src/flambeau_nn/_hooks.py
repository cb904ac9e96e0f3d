"""What the core asks of this plugin through hooks."""

from __future__ import annotations

from flambeau.hooks import hookimpl


@hookimpl
def register_ops() -> None:
    """Import the records of operators."""
    from . import ops  # noqa: F401
