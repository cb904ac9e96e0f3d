"""PyTorch's names for things that live elsewhere: ``utils.data`` is `flambeau.data`; checkpoints."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["checkpoint", "data"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; there are: {', '.join(__all__)}")
