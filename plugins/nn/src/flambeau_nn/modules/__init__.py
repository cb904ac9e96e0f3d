"""PyTorch's place of the modules' classes: ``nn.modules.Linear`` is ``nn.Linear``."""

from __future__ import annotations

from typing import Any

from . import module
from .module import Module

__all__ = ["Module", "module"]


def __getattr__(name: str) -> Any:
    import flambeau_nn

    if name not in flambeau_nn.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(flambeau_nn, name)
