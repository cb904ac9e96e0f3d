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
    x, weight, *rest = ins
    bias = rest[0] if rest else None
    y = outs[0]
    shape, wst = tuple(y.spec.shape), tuple(weight.spec.strides)
    if len(shape) == 1:  # a vector in: one row
        y = View(Layout((1, *shape), (shape[0], *y.spec.strides), y.spec.dtype), y.ptr)
        x = View(Layout((1, *x.spec.shape), (x.spec.shape[0], *x.spec.strides), x.spec.dtype), x.ptr)
        shape = (1, *shape)
    lead = (0,) * (len(shape) - 2)
    features = tuple(weight.spec.shape)
    wt = View(
        Layout((*shape[:-2], features[1], features[0]), (*lead, wst[1], wst[0]), weight.spec.dtype),
        weight.ptr,
    )
    if bias is None:
        run("matmul", (y, x, wt))
        return
    row = View(Layout(shape, (*lead, 0, bias.spec.strides[0]), bias.spec.dtype), bias.ptr)
    run("matmul", (y, x, wt, row), (), (1.0, 1.0))


def _any(in_specs: Sequence[Any], attrs: dict[str, Any]) -> bool:
    return True


KERNELS = {"addmm": _addmm, "baddbmm": _addmm, "linear": _linear}
SUPPORTS = dict.fromkeys(KERNELS, _any)
