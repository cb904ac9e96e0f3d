"""``flambeau.cuda`` where flambeau-cuda isn't installed: programs ask whether there is a GPU before they use one."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["device_count", "is_available", "is_initialized"]

__path__: list[str] = []  # ``flambeau.cuda.amp`` is a module of it


def is_available() -> bool:
    """Whether a GPU can be used: no."""
    return False


def is_initialized() -> bool:
    """Whether a GPU is in use: no."""
    return False


def device_count() -> int:
    """How many GPUs there are: none."""
    return 0


def __getattr__(name: str) -> Any:
    if name == "amp":
        return import_module("flambeau.cuda.amp")
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        f"[cuda] flambeau.cuda.{name} needs the CUDA plugin. Install it: pip install 'flambeau[cuda13]' (or cuda12)."
    )
