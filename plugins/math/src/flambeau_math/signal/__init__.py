"""Signals: `flambeau.signal.windows` has the windows of ``torch.signal.windows``."""

from __future__ import annotations

from . import windows

__all__ = ["windows"]
