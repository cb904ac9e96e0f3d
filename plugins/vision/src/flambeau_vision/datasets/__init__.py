"""Image data sets: `flambeau.vision.datasets`."""

from __future__ import annotations

from .digits import Digits

__all__ = ["Digits"]
