"""Image data sets and transforms: `flambeau.vision`."""

from __future__ import annotations

from . import datasets, transforms

__all__ = ["datasets", "transforms"]
