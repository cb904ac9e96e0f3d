"""Reductions: sums, products, extremes, variance, norms, logsumexp."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .kernels_plan import Launch, bound, launcher, run

_KINDS = {
    name: code
    for code, name in enumerate(
        (
            "sum",
            "prod",
            "max",
            "min",
            "argmax",
            "argmin",
            "any",
            "all",
            "mean",
            "sumsq",
            "norm2",
            "var",
            "std",
            "logsumexp",
        )
    )
}

_SMALL = 16384


def _mask(ndim: int, dims: Sequence[int] | int | None) -> int:
    if dims is None or dims == ():
        return (1 << ndim) - 1
    mask = 0
    for dim in (dims,) if isinstance(dims, int) else dims:
        if ndim:
            mask |= 1 << (dim % ndim)
    return mask


def reduce(kind: str, out: Any, src: Any, dims: Sequence[int]) -> None:
    """Reduce `src` over `dims` (all when empty) into `out`, whose reduced dims are removed or 1."""
    mask = _mask(len(src.spec.shape), tuple(dims))
    run("reduce", (out, src), (_KINDS[kind], mask))


def plan_reduce(kind: str, out_spec: Any, src_spec: Any, dims: Sequence[int]) -> Launch:
    """`reduce` for fixed layouts: launch(out_ptr, src_ptr)."""
    ints = (_KINDS[kind], _mask(len(src_spec.shape), tuple(dims)))
    if (
        math.prod(src_spec.shape) <= _SMALL
    ):  # no scratch memory, nothing that can fail, too short to let others run meanwhile
        return bound("reduce", (out_spec, src_spec), ints, keep_gil=True)
    return launcher("reduce", (out_spec, src_spec), ints)


def _simple(kind: str) -> Any:
    def kernel(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
        mask = _mask(len(ins[0].spec.shape), attrs.get("dim"))
        run("reduce", (outs[0], ins[0]), (_KINDS[kind], mask))

    return kernel


def _spread(kind: str) -> Any:
    def kernel(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
        mask = _mask(len(ins[0].spec.shape), attrs.get("dim"))
        correction = attrs.get("correction", 1)
        mean = outs[1] if len(outs) > 1 else None
        run(
            "reduce",
            (outs[0], ins[0], mean),
            (_KINDS[kind], mask),
            (float(1 if correction is None else correction),),
        )

    return kernel


KERNELS = {
    **{name: _simple(name) for name in ("mean", "sumsq", "norm2", "logsumexp")},
    "var": _spread("var"),
    "std": _spread("std"),
    "var_mean": _spread("var"),
    "std_mean": _spread("std"),
}
