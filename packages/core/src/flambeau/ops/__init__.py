"""The operators: one record each, one file per family."""

from . import (
    activations,
    complexes,
    copies,
    creation,
    elementwise,
    families,
    gathering,
    indexing,
    joining,
    masks,
    products,
    randoms,
    rearranging,
    reduction,
    replacing,
    scans,
    selecting,
    sets,
    shapes,
    slicing,
    splitting,
    views,
)

__all__ = [
    "activations", "complexes", "copies", "creation", "elementwise", "families", "gathering", "indexing",
    "joining", "masks", "products", "randoms", "rearranging", "reduction", "replacing", "scans",
    "selecting", "sets", "shapes", "slicing", "splitting", "views",
]  # fmt: skip
