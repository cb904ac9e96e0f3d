"""Prepared launches of native kernels for fixed layouts: what a call that comes again and again costs least with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.plugin import bad_index

from ._C import lib
from .kernels_index import index_error, take_specs
from .kernels_plan import Launch, View, bound, fail, launcher
from .kernels_reduce import _KINDS, _mask

__all__ = ["PLANS"]

Specs = Sequence[Any]


def _softmax(op: str, log: int) -> Callable[..., Launch]:
    def plan(outs: Specs, ins: Specs, attrs: dict[str, Any]) -> Launch:
        nd = len(outs[0].shape)
        return launcher(op, (outs[0], *ins), (attrs["dim"] % nd if nd else 0, log))

    return plan


def _mean(outs: Specs, ins: Specs, attrs: dict[str, Any]) -> Launch:
    return launcher("reduce", (outs[0], ins[0]), (_KINDS["mean"], _mask(len(ins[0].shape), attrs["dim"])))


def _index_select(outs: Specs, ins: Specs, attrs: dict[str, Any]) -> Launch:
    src, index = ins
    nd = len(src.shape)
    dim = attrs["dim"] % nd if nd else 0
    step = index.strides[0] if index.shape else 0
    lanes = tuple(step if d == dim else 0 for d in range(nd))
    specs, ints = take_specs(outs[0], src, dim, index, lanes)
    fn = bound("gather", specs, ints)

    def launch(out: int, src_at: int, index_at: int) -> None:
        code: int = fn(out, src_at, index_at)
        if code < 0:
            if code > -16:
                fail("index_select", code)
            raise index_error("index_select", code, outs[0].shape, View(index, index_at), lanes, ints[0], dim)

    return launch


def _scatter(outs: Specs, ins: Specs, attrs: dict[str, Any]) -> Launch | None:
    """Into a tensor that is there: ``launch(out, index, src)``."""
    if len(ins) != 2 or attrs["reduce"] is not None or not outs[0].shape:
        return None
    fn = bound("scatter", (outs[0], *ins), (attrs["dim"], 0))

    def launch(out: int, index: int, src: int) -> None:
        code: int = fn(out, index, src)
        if code < 0:
            if code > -16:
                fail("scatter", code)
            where = f" at position {lib.FBK_EINDEX - code}"
            raise bad_index("scatter", "a bad index", attrs["dim"], outs[0].shape[attrs["dim"]], where)

    return launch


#: Entry or native kernel -> ``plan(outs, ins, attrs)``, a launch or None.
PLANS: dict[str, Callable[[Specs, Specs, dict[str, Any]], Launch | None]] = {
    "softmax": _softmax("softmax", 0),
    "log_softmax": _softmax("softmax", 1),
    "mean": _mean,
    "index_select": _index_select,
    "scatter": _scatter,
}
