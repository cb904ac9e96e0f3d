"""Functions of the top level and methods of tensors that are linear algebra, special functions or spectra."""

from __future__ import annotations

from . import lowrank, matrices, spectra, statistics

__all__ = ["lowrank", "matrices", "spectra", "statistics"]
