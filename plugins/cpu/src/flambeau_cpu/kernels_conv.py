"""Convolutions in one and two dimensions and their gradients; a transposed one is the gradient of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .kernels_plan import Layout, View, run
from .kernels_reduce import reduce

Attrs = dict[str, Any]


def _two_d(t: Any) -> Any:
    """A 1-D convolution's operand [N, C, L] as [N, C, 1, L]."""
    if t is None or len(t.spec.shape) != 3:
        return t
    (n, c, w), (sn, sc, sw) = t.spec.shape, t.spec.strides
    return View(Layout((n, c, 1, w), (sn, sc, sw * max(w, 1), sw), t.spec.dtype), t.ptr)


def _ints(attrs: Attrs) -> tuple[int, ...]:
    """stride, padding, dilation (h, w each) and groups."""
    out: list[int] = []
    for name, neutral in (("stride", 1), ("padding", 0), ("dilation", 1)):
        value = attrs.get(name, neutral)
        pair = (value, value) if isinstance(value, int) else tuple(value)
        out += pair if len(pair) == 2 else (neutral, pair[0])
    return (*out, attrs.get("groups", 1))


def convolution(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    """y = conv(x, w) + bias."""
    x, w, bias = (*ins, None)[:3]
    run("conv", (_two_d(outs[0]), _two_d(x), _two_d(w), bias), _ints_for(outs[0], attrs))


def _ints_for(t: Any, attrs: Attrs) -> tuple[int, ...]:
    if len(t.spec.shape) != 3:
        return _ints(attrs)
    one = {
        name: (neutral, *_tuple(attrs.get(name, neutral)))
        for name, neutral in (("stride", 1), ("padding", 0), ("dilation", 1))
    }
    return _ints({**one, "groups": attrs.get("groups", 1)})


def _tuple(value: Any) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


def convolution_backward_input(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    """gx from (gy, w); with a bias over gx's channels it is a transposed convolution."""
    gy, w, bias = (*ins, None)[:3]
    run("conv_bwd_input", (_two_d(outs[0]), _two_d(gy), _two_d(w), bias), _ints_for(outs[0], attrs))


def convolution_backward_weight(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    """(gw, gb) from (gy, x)."""
    gw, gb = (*outs, None)[:2]
    gy, x = ins
    if gw is not None:
        run("conv_bwd_weight", (_two_d(gw), _two_d(gy), _two_d(x), None), _ints_for(gw, attrs))
    if gb is not None:
        reduce("sum", gb, gy, (0, *range(2, len(gy.spec.shape))))


def supported(in_specs: Sequence[Any], attrs: Attrs) -> bool:
    """One or two spatial dims, batched, floating point."""
    spec = in_specs[0]
    return len(spec.shape) in (3, 4) and spec.dtype.name in ("float16", "bfloat16", "float32", "float64")


KERNELS = {
    "convolution": convolution,
    "convolution_backward_input": convolution_backward_input,
    "convolution_backward_weight": convolution_backward_weight,
}
SUPPORTS = dict.fromkeys(KERNELS, supported)
