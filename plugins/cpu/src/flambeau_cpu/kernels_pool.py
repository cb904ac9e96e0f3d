"""Pooling in two dimensions: max, average, adaptive average, with their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .kernels_plan import Layout, View, run
from .kernels_reduce import reduce

Attrs = dict[str, Any]


def _batched(t: Any) -> Any:
    """[C, H, W] as a batch of one."""
    if t is None or len(t.spec.shape) == 4:
        return t
    return View(Layout((1, *t.spec.shape), (0, *t.spec.strides), t.spec.dtype), t.ptr)


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return (value[0], value[1]) if len(value) > 1 else (value[0], value[0])


def _ints(attrs: Attrs) -> tuple[int, ...]:
    kernel = _pair(attrs["kernel_size"])
    stride = attrs.get("stride")
    step = _pair(stride) if stride not in (None, (), []) else kernel
    padding, dilation = _pair(attrs.get("padding", 0)), _pair(attrs.get("dilation", 1))
    return (
        *kernel,
        *step,
        *padding,
        *dilation,
        int(attrs.get("count_include_pad", True)),
        attrs.get("divisor_override") or 0,
    )


def _max_pool2d(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    y, indices = (*outs, None)[:2]
    run("max_pool", (_batched(y), _batched(ins[0]), _batched(indices)), _ints(attrs))


def _max_pool2d_backward(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    run("max_pool_bwd", (_batched(outs[0]), _batched(ins[0]), _batched(ins[1])))


def _avg(op: str) -> Any:
    def kernel(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        run(op, (_batched(outs[0]), _batched(ins[0]), None), _ints(attrs))

    return kernel


def _adaptive(op: str) -> Any:
    def kernel(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        if op == "avg_pool" and tuple(outs[0].spec.shape[-2:]) == (1, 1):
            nd = len(outs[0].spec.shape)
            reduce("mean", outs[0], ins[0], (nd - 2, nd - 1))
            return
        run(op, (_batched(outs[0]), _batched(ins[0]), None), (*[0] * 10, 1))

    return kernel


def supported(in_specs: Sequence[Any], attrs: Attrs) -> bool:
    """Planes of floating point numbers."""
    spec = in_specs[0]
    return len(spec.shape) in (3, 4) and spec.dtype.name in ("float16", "bfloat16", "float32", "float64")


KERNELS = {
    "max_pool2d": _max_pool2d,
    "max_pool2d_backward": _max_pool2d_backward,
    "avg_pool2d": _avg("avg_pool"),
    "avg_pool2d_backward": _avg("avg_pool_bwd"),
    "adaptive_avg_pool2d": _adaptive("avg_pool"),
    "adaptive_avg_pool2d_backward": _adaptive("avg_pool_bwd"),
}
SUPPORTS = dict.fromkeys(KERNELS, supported)
