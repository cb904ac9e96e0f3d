"""The functions that records give to the top level (type checkers read _functions.pyi)."""

from __future__ import annotations

from . import ops
from .install import install

_made = install()
globals().update(_made)
__all__ = list(_made)
del ops
