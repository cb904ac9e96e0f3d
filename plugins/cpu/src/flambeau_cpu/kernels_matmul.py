"""Matrix products: batched, strided, any dtype; with an added matrix or bias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .kernels_plan import Launch, Layout, bound, fail, launcher, run


def matmul(out: Any, a: Any, b: Any) -> None:
    """out = a @ b for [..., M, K] and [..., K, N] with equal batch dims (stride 0: shared)."""
    run("matmul", (out, a, b))


def plan_matmul(out_spec: Any, a_spec: Any, b_spec: Any) -> Launch:
    """`matmul` for fixed layouts: launch(out_ptr, a_ptr, b_ptr)."""
    return launcher("matmul", (out_spec, a_spec, b_spec), ())


def _addmm(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
    c, a, b = ins
    run("matmul", (outs[0], a, b, c), (), (float(attrs.get("alpha", 1)), float(attrs.get("beta", 1))))


_linears: dict[tuple[Any, ...], Launch] = {}


def _plan_linear(y: Any, x: Any, weight: Any, bias: Any) -> Launch:
    """The product x @ weight.T (+ bias) for these specs."""
    shape, xs, ys = tuple(y.shape), x, y
    if len(shape) == 1:  # a vector in: one row
        shape = (1, *shape)
        ys = Layout(shape, (shape[1], *y.strides), y.dtype)
        xs = Layout((1, *x.shape), (x.shape[0], *x.strides), x.dtype)
    lead = (0,) * (len(shape) - 2)
    wt = Layout((*shape[:-2], *reversed(weight.shape)), (*lead, *reversed(weight.strides)), weight.dtype)
    if bias is None:
        return bound("matmul", (ys, xs, wt))
    row = Layout(shape, (*lead, 0, bias.strides[0]), bias.dtype)
    return bound("matmul", (ys, xs, wt, row), (), (1.0, 1.0))


def _linear(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
    y = outs[0]
    x, weight, *rest = ins
    bias = rest[0] if rest else None
    key = (y.spec, x.spec, weight.spec, None if bias is None else bias.spec)
    fn = _linears.get(key)
    if fn is None:
        if len(_linears) >= 1024:
            _linears.clear()
        fn = _linears[key] = _plan_linear(*key)
    code = fn(y.ptr, x.ptr, weight.ptr) if bias is None else fn(y.ptr, x.ptr, weight.ptr, bias.ptr)
    if code:
        fail("linear", code)


def _any(in_specs: Sequence[Any], attrs: dict[str, Any]) -> bool:
    return True


KERNELS = {"addmm": _addmm, "baddbmm": _addmm, "linear": _linear}
SUPPORTS = dict.fromkeys(KERNELS, _any)
