"""Prepared launches of native kernels for fixed layouts: what a call that comes again and again costs least with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from operator import itemgetter
from typing import Any

from flambeau.plugin import bad_index

from . import kernels_sort
from ._C import lib
from .kernels_index import gather, index_error, take_specs
from .kernels_move import plan_flip
from .kernels_plan import Launch, View, bound, fail, launcher, note
from .kernels_reduce import _KINDS, _mask

__all__ = ["ENTRIES", "PLANS", "captured"]

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


_SMALL = 16384


def captured(kernel: Callable[..., None], outs: Specs, ins: Specs, attrs: dict[str, Any]) -> Launch | None:
    """A launch of a kernel for fixed layouts: it is called once to note what it runs, with stand-ins for its operands.

    Args:
        kernel: ``kernel(outs, ins, attrs)``; all that it does to memory, it does by `run`.
        outs, ins: the operands' layouts; None: absent.

    Returns:
        ``launch(*addresses)``, 0 where an operand is absent; None where the kernel needs the operands themselves.
    """
    n_out, n = len(outs), len(outs) + len(ins)
    stand_ins = [None if s is None else View(s, k + 1 << 50) for k, s in enumerate((*outs, *ins))]
    try:
        noted = note(lambda: kernel(stand_ins[:n_out], stand_ins[n_out:], attrs))
    except Exception:  # whatever is wrong is said by the call itself
        return None
    steps: list[tuple[str, Launch, list[int]]] = []
    for call in noted:
        places = [-1 if at == 0 else (at >> 50) - 1 for at in call.addresses]
        if any(at not in (0, k + 1 << 50) or k >= n for at, k in zip(call.addresses, places, strict=True)):
            return None
        size = sum(prod(s.shape) for s in call.specs if s is not None)
        steps.append((call.op, bound(*call[:4], keep_gil=size <= _SMALL), places))

    def again(op: str, code: int, addresses: Sequence[int]) -> None:
        """A bad index: the kernel itself says which."""
        if code > -16:
            fail(op, code)
        ts = [None if s is None else View(s, at) for s, at in zip((*outs, *ins), addresses, strict=True)]
        kernel(ts[:n_out], ts[n_out:], attrs)

    def launch(*addresses: int) -> None:
        for op, fn, places in steps:
            if (code := fn(*[addresses[k] if k >= 0 else 0 for k in places])) < 0:
                again(op, code, addresses)

    if len(steps) != 1:
        return launch if steps else None
    op, fn, places = steps[0]
    if places == list(range(n)):

        def launch_straight(*addresses: int) -> None:
            if (code := fn(*addresses)) < 0:
                again(op, code, addresses)

        return launch_straight
    pick = itemgetter(*[k if k >= 0 else n for k in places])

    def launch_picked(*addresses: int) -> None:
        if (code := fn(*pick((*addresses, 0)))) < 0:
            again(op, code, addresses)

    return launch_picked if len(places) > 1 else launch


#: Required entries as kernels.
ENTRIES: dict[str, Callable[..., None]] = {
    "scan": lambda outs, ins, attrs: kernels_sort.scan(attrs["kind"], outs[0], ins[0], attrs["dim"]),
    "scan2": lambda outs, ins, attrs: kernels_sort.scan2(
        attrs["kind"], outs[0], outs[1], ins[0], attrs["dim"]
    ),
    "gather": lambda outs, ins, attrs: gather(outs[0], ins[0], attrs["dim"], ins[1]),
    "sort": lambda outs, ins, attrs: kernels_sort.sort(
        outs[0], outs[1], ins[0], attrs["dim"], attrs["descending"], attrs["stable"]
    ),
}

#: Entry or native kernel -> ``plan(outs, ins, attrs)``, a launch or None.
PLANS: dict[str, Callable[[Specs, Specs, dict[str, Any]], Launch | None]] = {
    "softmax": _softmax("softmax", 0),
    "log_softmax": _softmax("softmax", 1),
    "mean": _mean,
    "index_select": _index_select,
    "scatter": _scatter,
    "flip": plan_flip,
}
