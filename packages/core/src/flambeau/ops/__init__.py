"""The operators: one record each, one file per family."""

from ..registry import OPS
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
    numeric,
    products,
    randoms,
    rearranging,
    reduction,
    replacing,
    scans,
    selecting,
    shapes,
    slicing,
    splitting,
    views,
)

# Where the kind of a record doesn't tell what its out= takes (see Op.casts_out and Op.apart_out).
_CAST = """addr angle atleast_1d cat column_stack div divide dstack hstack hypot logit logsumexp max mean min mvlgamma
    normal nansum nanmean outer pow round sinc stack std true_divide var vstack nuclear_norm"""
_EXACT = """bitwise_not ceil complex floor frac isneginf isposinf nan_to_num neg round sgn sign
    signbit trunc abs positive"""
_APART = "cat gather_along index_select masked_select_any multinomial nonzero_places take take_along_dim"
products.inner.casts_out = lambda a, b: not (a.ndim and b.ndim)
for _name, _op in OPS.items():
    if _name in _CAST.split():
        _op.casts_out = True
    if _name in _EXACT.split():
        _op.casts_out = False
    _op.apart_out = _name in _APART.split()

__all__ = [
    "activations", "complexes", "copies", "creation", "elementwise", "families", "gathering", "indexing",
    "joining", "masks", "numeric", "products", "randoms", "rearranging", "reduction", "replacing", "scans",
    "selecting", "shapes", "slicing", "splitting", "views",
]  # fmt: skip
