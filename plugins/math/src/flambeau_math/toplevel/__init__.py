"""Functions of the top level and methods of tensors that are linear algebra, special functions or spectra."""

from __future__ import annotations

from . import (
    calculus,
    combining,
    einsum,
    logsums,
    lowrank,
    matrices,
    numeric,
    ranks,
    sampling,
    sets,
    spectra,
    statistics,
)

__all__ = [
    "calculus", "combining", "einsum", "logsums", "lowrank", "matrices", "numeric", "ranks", "sampling", "sets",
    "spectra", "statistics",
]  # fmt: skip
