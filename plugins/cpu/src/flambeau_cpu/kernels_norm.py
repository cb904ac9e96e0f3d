"""Normalisations with their gradients: layer, RMS, group and batch norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .kernels_plan import Layout, View, run

Attrs = dict[str, Any]
_EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}


def _flat(t: Any) -> Any:
    """A weight of any shape as 1-D."""
    if t is None or len(t.spec.shape) == 1:
        return t
    numel, expected = 1, 1
    for size, stride in zip(reversed(t.spec.shape), reversed(t.spec.strides), strict=True):
        if size != 1 and stride != expected:
            raise RuntimeError("[cpu] this kernel needs a contiguous weight")
        expected *= size
        numel *= size
    return View(Layout((numel,), (1,), t.spec.dtype), t.ptr)


def _get(ts: Sequence[Any], count: int) -> tuple[Any, ...]:
    return (*ts, *[None] * (count - len(ts)))


def _layer_norm(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    y, mean, rstd = _get(outs, 3)
    x, weight, bias = _get(ins, 3)
    ints = (len(attrs["normalized_shape"]), 0)
    run("layer_norm", (y, x, mean, rstd, _flat(weight), _flat(bias)), ints, (float(attrs.get("eps", 1e-5)),))


def _layer_norm_backward(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    gx, gw, gb = _get(outs, 3)
    g, x, mean, rstd, weight = _get(ins, 5)
    run(
        "layer_norm_bwd",
        (gx, _flat(gw), _flat(gb), g, x, mean, rstd, _flat(weight)),
        (len(attrs["normalized_shape"]), 0),
    )


def _rms_norm(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    y, rstd = _get(outs, 2)
    x, weight = _get(ins, 2)
    eps = attrs.get("eps")
    ints = (len(attrs["normalized_shape"]), 1)
    run(
        "layer_norm",
        (y, x, None, rstd, _flat(weight), None),
        ints,
        (_EPS[x.spec.dtype.name] if eps is None else float(eps),),
    )


def _rms_norm_backward(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    gx, gw = _get(outs, 2)
    g, x, rstd, weight = _get(ins, 4)
    run(
        "layer_norm_bwd",
        (gx, _flat(gw), None, g, x, None, rstd, _flat(weight)),
        (len(attrs["normalized_shape"]), 1),
    )


def _group_norm(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    y, mean, rstd = _get(outs, 3)
    x, weight, bias = _get(ins, 3)
    run(
        "group_norm",
        (y, mean, rstd, x, weight, bias),
        (attrs["num_groups"],),
        (float(attrs.get("eps", 1e-5)),),
    )


def _group_norm_backward(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    run("group_norm_bwd", (*_get(outs, 3), *_get(ins, 5)), (attrs["num_groups"],))


def _batch_norm(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    y, mean, rstd = _get(outs, 3)
    momentum = attrs.get("momentum", 0.1)
    floats = (float(0.1 if momentum is None else momentum), float(attrs.get("eps", 1e-5)))
    run("batch_norm", (y, mean, rstd, *_get(ins, 5)), (int(bool(attrs.get("training"))),), floats)


def _batch_norm_backward(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    g, x, weight, mean, rstd = ins
    run("batch_norm_bwd", (*_get(outs, 3), g, x, weight, mean, rstd), (int(bool(attrs.get("training"))),))


def supported(in_specs: Sequence[Any], attrs: Attrs) -> bool:
    """Floating point, the weights of layer and RMS norm contiguous."""
    shape = tuple(attrs.get("normalized_shape", ()))
    return all(
        spec is None or (spec.dtype.name in _EPS and (len(shape) < 2 or spec.shape != shape or spec.dense))
        for spec in in_specs
    )


KERNELS = {
    "layer_norm": _layer_norm,
    "layer_norm_backward": _layer_norm_backward,
    "rms_norm": _rms_norm,
    "rms_norm_backward": _rms_norm_backward,
    "group_norm": _group_norm,
    "group_norm_backward": _group_norm_backward,
    "batch_norm": _batch_norm,
    "batch_norm_backward": _batch_norm_backward,
}
SUPPORTS = dict.fromkeys(KERNELS, supported)
