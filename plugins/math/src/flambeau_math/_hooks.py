"""Makes this distribution's records known: those of the top level, of tensors' methods and of the namespaces."""

from __future__ import annotations

from importlib import import_module

from flambeau.hooks import hookimpl
from flambeau.plugin import add_samples

__all__ = ["register_ops"]


@hookimpl
def register_ops() -> None:
    """Import the modules in which the records stand."""
    for name in ("fft", "linalg", "masked", "signal", "special", "toplevel", "distributions.samplers"):
        import_module(f"flambeau_math.{name}")


add_samples("flambeau_math.samples")
