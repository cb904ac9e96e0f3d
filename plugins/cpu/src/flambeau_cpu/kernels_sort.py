"""Sorting, the k largest, and running sums, products, maxima."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .kernels_plan import run

_SCANS = {"cumsum": 0, "cumprod": 1, "logcumsumexp": 2, "cummax": 3, "cummin": 4}


def _dim(dim: int, t: Any) -> int:
    nd = len(t.spec.shape)
    return dim % nd if nd else 0


def sort(
    values: Any, indices: Any, src: Any, dim: int, descending: bool = False, stable: bool = True
) -> None:
    """Stable sort along `dim`, NaN as the largest; values or indices may be None."""
    run("sort", (values, indices, src), (_dim(dim, src), int(descending)))


def topk(
    values: Any, indices: Any, src: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> None:
    """The k largest (smallest) along `dim`, sorted; equal values in the order of their positions."""
    run("topk", (values, indices, src), (_dim(dim, src), int(largest), k))


def scan(kind: str, out: Any, src: Any, dim: int) -> None:
    """cumsum, cumprod or logcumsumexp along `dim`."""
    run("scan", (out, None, src), (_dim(dim, src), _SCANS[kind]))


def scan2(kind: str, values: Any, indices: Any, src: Any, dim: int) -> None:
    """cummax or cummin along `dim`: values and where they were found (the last of equals)."""
    run("scan", (values, indices, src), (_dim(dim, src), _SCANS[kind]))


def _topk(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
    topk(outs[0], outs[1], ins[0], attrs["k"], attrs.get("dim", -1), attrs.get("largest", True))


def _ordered(in_specs: Sequence[Any], attrs: dict[str, Any]) -> bool:
    return not in_specs[0].dtype.is_complex


KERNELS = {"topk": _topk}
SUPPORTS = {"topk": _ordered}
