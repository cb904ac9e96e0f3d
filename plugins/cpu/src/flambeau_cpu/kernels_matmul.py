"""Matrix products: batched, strided, any dtype; with an added matrix or bias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .kernels_plan import Launch, Layout, View, launcher, run


def matmul(out: Any, a: Any, b: Any) -> None:
    """out = a @ b for [..., M, K] and [..., K, N] with equal batch dims (stride 0: shared)."""
    run("matmul", (out, a, b))


def plan_matmul(out_spec: Any, a_spec: Any, b_spec: Any) -> Launch:
    """`matmul` for fixed layouts: launch(out_ptr, a_ptr, b_ptr)."""
    return launcher("matmul", (out_spec, a_spec, b_spec), ())


def _addmm(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
    c, a, b = ins
    run("matmul", (outs[0], a, b, c), (), (float(attrs.get("alpha", 1)), float(attrs.get("beta", 1))))


def _linear(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
    y = outs[0]
    x, weight, *rest = ins
    bias = rest[0] if rest else None
    ys, xs, ws = y.spec, x.spec, weight.spec
    shape = tuple(ys.shape)
    if len(shape) == 1:  # a vector in: one row
        shape = (1, *shape)
        y = View(Layout(shape, (shape[1], *ys.strides), ys.dtype), y.ptr)
        x = View(Layout((1, *xs.shape), (xs.shape[0], *xs.strides), xs.dtype), x.ptr)
    lead = (0,) * (len(shape) - 2)
    wt = View(
        Layout((*shape[:-2], *reversed(ws.shape)), (*lead, *reversed(ws.strides)), ws.dtype), weight.ptr
    )
    if bias is None:
        run("matmul", (y, x, wt))
    else:
        row = View(Layout(shape, (*lead, 0, bias.spec.strides[0]), bias.spec.dtype), bias.ptr)
        run("matmul", (y, x, wt, row), (), (1.0, 1.0))


def _any(in_specs: Sequence[Any], attrs: dict[str, Any]) -> bool:
    return True


KERNELS = {"addmm": _addmm, "baddbmm": _addmm, "linear": _linear}
SUPPORTS = dict.fromkeys(KERNELS, _any)
