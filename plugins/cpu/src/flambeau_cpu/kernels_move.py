"""Elements in another order, as one strided copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .engine import copy_plan
from .kernels_plan import Launch


def plan_flip(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> Launch:
    """Dimensions backwards: ``launch(out, src)``."""
    out, src = outs[0], ins[0]
    dims = attrs["dims"]
    nd = len(src.shape)
    turned = {d % nd for d in ((dims,) if isinstance(dims, int) else dims)} if nd else set()
    strides = tuple(-s if d in turned else s for d, s in enumerate(src.strides))
    last = sum((src.shape[d] - 1) * src.strides[d] for d in turned) if out.numel else 0
    copy = copy_plan(out.dtype.code, src.dtype.code, tuple(out.shape), tuple(out.strides), strides)
    delta = last * src.itemsize

    def launch(to: int, at: int) -> None:
        copy(to, at + delta)

    return launch


def _flip(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
    plan_flip([outs[0].spec], [ins[0].spec], attrs)(outs[0].ptr, ins[0].ptr)


def _any(in_specs: Sequence[Any], attrs: dict[str, Any]) -> bool:
    return True


KERNELS = {"flip": _flip}
SUPPORTS = {"flip": _any}
