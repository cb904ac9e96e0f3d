"""The operators: one record each, one file per family."""

from . import (
    complexes,
    copies,
    creation,
    elementwise,
    embedding,
    families,
    gathering,
    indexing,
    joining,
    masks,
    nn,
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
    "complexes", "copies", "creation", "elementwise", "embedding", "families", "gathering", "indexing",
    "joining", "masks", "nn", "products", "randoms", "rearranging", "reduction", "replacing", "scans",
    "selecting", "sets", "shapes", "slicing", "splitting", "views",
]  # fmt: skip
