"""Native kernels of images: convolutions in one to three dimensions by implicit GEMM, pooling in two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau.backends import cudnn

from .codegen import C_TYPES
from .entries import plan_reduce
from .launch import Launch, bind, ceil_div
from .operands import Scratch
from .templates import carried, kernel, q

if TYPE_CHECKING:
    from flambeau.plugin import Spec

    from .backend import GpuBackend

__all__ = ["KERNELS"]

Attrs = dict[str, Any]
Run = Callable[[Sequence[Any], Sequence[Any], Attrs], None]
BLOCK = 256
_LIMIT = (1 << 31) - 1


def _product(sizes: Sequence[int]) -> int:
    n = 1
    for s in sizes:
        n *= s
    return n


def _three(sizes: Sequence[int], neutral: int) -> tuple[int, ...]:
    """Three sizes; missing ones in front."""
    return (*[neutral] * (3 - len(sizes)), *sizes)


def _conv_launch(
    backend: GpuBackend,
    kind: int,
    dtype: Any,
    slot: int,
    n: int,
    ci: int,
    co: int,
    size: Sequence[int],
    out: Sequence[int],
    kernel_size: Sequence[int],
    attrs: Attrs,
    biased: bool,
) -> tuple[Launch, int, int] | None:
    """``launch(out, a, b, bias)``, the number of splits of the sum, and bytes of an element of the parts."""
    groups = attrs["groups"]
    dnn = backend.dnn(slot)
    if dnn is not None:
        x, w, y = (n, ci, *size), (co, ci // groups, *kernel_size), (n, co, *out)
        picked = dnn.pick(
            kind, dtype.name, x, w, y, attrs["stride"], attrs["padding"], attrs["dilation"], groups, biased
        )
        if picked is not None:
            # cuDNN takes the weight before the gradient of the result.
            return (picked if kind != 1 else lambda o, a, b, bias: picked(o, b, a, bias)), 1, 4
    places, sources, taps = _product(out), _product(size), _product(kernel_size)
    rows = (ci if kind == 1 else co) // groups
    columns = ci // groups * taps if kind == 2 else n * (sources if kind == 1 else places)
    depth = (ci // groups * taps, co // groups * taps, n * places)[kind]
    if max(rows, columns, depth, places, sources) >= _LIMIT:
        return None
    cell = 1 if backend.runtime.simulated or (rows <= 16 and columns <= 256) else 4
    tile = 16 * cell
    blocks = ceil_div(rows, tile) * ceil_div(columns, tile) * groups
    splits = 1
    if kind == 2:
        splits = max(1, min(ceil_div(depth, 512), ceil_div(512, blocks)))
    part = ceil_div(ceil_div(depth, splits), 16) * 16
    splits = ceil_div(depth, part)
    acc = carried(dtype)
    fn = kernel(
        backend, "image.cuh", f"conv<{acc}, {C_TYPES[dtype.name]}, {kind}, {cell}>", "ConvParams", slot, True
    )
    how = [_three(attrs[k], 0 if k == "padding" else 1) for k in ("stride", "padding", "dilation")]
    static = q(
        n, groups, ci // groups, co // groups, *_three(size, 1), *_three(out, 1), *_three(kernel_size, 1), *how[0],
        *how[1], *how[2], splits, part,
    )  # fmt: skip
    grid = (ceil_div(columns, tile), ceil_div(rows, tile), groups * splits)
    if grid[1] > 65535 or grid[2] > 65535:
        return None
    return bind(backend, slot, fn, "QQQQ", static, grid, (BLOCK,)), splits, 8 if acc == "f64" else 4


def _pointwise(
    backend: GpuBackend, kind: int, w: Spec, other: Spec, out: Spec, attrs: Attrs
) -> Launch | None:
    """``launch(out, a, weight, bias)`` of a 1x1 convolution (or, kind 1, its gradient by the input) as a product.

    Args:
        other: the input, or the gradient of the result.
    """
    plain = all(n == 1 for n in (*w.shape[2:], *attrs["stride"], *attrs["dilation"], attrs["groups"]))
    blas = backend.blas(out.device.slot)
    if not plain or any(attrs["padding"]) or blas is None:
        return None
    from flambeau.plugin import spec_of

    n, places = out.shape[0], _product(out.shape[2:])
    rows, columns = w.shape[:2]
    turned = (n, columns, rows), (0, 1, columns)
    shape, strides = turned if kind == 1 else ((n, rows, columns), (0, columns, 1))
    left = spec_of(w.dtype, shape, w.device, strides)
    product = blas.plan(
        backend,
        out.like(shape=(n, out.shape[1], places)),
        left,
        other.like(shape=(n, other.shape[1], places)),
        tf32=lambda: cudnn.allow_tf32,
    )
    return None if product is None else lambda o, a, b, bias: product(o, b, a)


def _takes(*specs: Spec | None) -> bool:
    return all(s is None or (s.dtype.is_floating_point and s.numel > 0) for s in specs)


def _convolution(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
    x, w, bias = (*ins, None)[:3]
    if x is None or w is None or not _takes(x, w, bias):
        return None
    size, taps = x.shape[2:], w.shape[2:]
    out = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(
            size, attrs["padding"], attrs["dilation"], taps, attrs["stride"], strict=True
        )
    ]
    slot = x.device.slot
    made = _conv_launch(
        backend,
        0,
        x.dtype,
        slot,
        x.shape[0],
        x.shape[1],
        w.shape[0],
        size,
        out,
        taps,
        attrs,
        bias is not None,
    )
    if made is None:
        return None
    launch = made[0]

    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        x, w, bias = (*ins, None)[:3]
        with Scratch(backend, slot) as s:
            launch(outs[0].ptr, s.dense(x), s.dense(w), s.dense(bias))

    return run


def _convolution_backward_input(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
    g, w, bias = (*ins, None)[:3]
    if g is None or w is None or not _takes(g, w, bias):
        return None
    slot, size = g.device.slot, attrs["size"]
    channels = w.shape[1] * attrs["groups"]
    product = (
        None
        if bias is not None
        else _pointwise(backend, 1, w, g, g.like(shape=(g.shape[0], channels, *size)), attrs)
    )
    made = (
        (product, 1, 4)
        if product is not None
        else _conv_launch(
            backend,
            1,
            g.dtype,
            slot,
            g.shape[0],
            channels,
            w.shape[0],
            size,
            g.shape[2:],
            w.shape[2:],
            attrs,
            bias is not None,
        )
    )
    if made is None or not _product(size):
        return None
    launch = made[0]

    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        g, w, bias = (*ins, None)[:3]
        with Scratch(backend, slot) as s:
            launch(outs[0].ptr, s.dense(g), s.dense(w), s.dense(bias))

    return run


def _convolution_backward_weight(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
    g, x = ins
    if g is None or x is None or not _takes(g, x):
        return None
    slot, taps = g.device.slot, attrs["kernel"]
    made = _conv_launch(
        backend,
        2,
        g.dtype,
        slot,
        g.shape[0],
        x.shape[1],
        g.shape[1],
        x.shape[2:],
        g.shape[2:],
        taps,
        attrs,
        False,
    )
    if made is None:
        return None
    launch, splits, item = made
    whole = g.shape[1] * (x.shape[1] // attrs["groups"]) * _product(taps)
    wide = "float64" if item == 8 else "float32"

    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        gw, gb = (*outs, None)[:2]
        g, x = ins
        with Scratch(backend, slot) as s:
            gp = s.dense(g)
            if gw is not None and splits == 1:
                launch(gw.ptr, s.dense(x), gp, 0)
            elif gw is not None:
                parts = s.room(splits * whole * item)
                launch(parts, s.dense(x), gp, 0)
                flat, stacked = gw.spec.like(shape=(whole,)), gw.spec.like(s.dtype(wide), (splits, whole))
                key: Any = ("parts", flat, stacked)
                backend.remembered(key, lambda: plan_reduce(backend, "sum", flat, stacked, (0,)))(
                    gw.ptr, parts
                )
            if gb is not None:
                dims = (0, *range(2, g.spec.ndim))
                dense = g.spec.like()
                key = ("reduce", "sum", gb.spec, dense, dims)
                backend.remembered(key, lambda: plan_reduce(backend, "sum", gb.spec, dense, dims))(gb.ptr, gp)

    return run


# Pooling


def _pair(value: Any, neutral: int) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    pair = tuple(value or (neutral,))
    return (pair[0], pair[-1])


def _pool_launch(
    backend: GpuBackend,
    name: str,
    dtype: Any,
    slot: int,
    planes: int,
    size: Sequence[int],
    out: Sequence[int],
    attrs: Attrs,
    threads: int,
    adaptive: bool,
) -> Launch:
    """``launch(out, places, x)``."""
    taps = _pair(attrs.get("kernel_size", 1), 1)
    stride = _pair(attrs.get("stride") or taps, 1)
    padding, dilation = _pair(attrs.get("padding", 0), 0), _pair(attrs.get("dilation", 1), 1)
    fn = kernel(backend, "image.cuh", f"{name}<{carried(dtype)}, {C_TYPES[dtype.name]}>", "PoolParams", slot)
    static = q(
        planes, *size, *out, *taps, *stride, *padding, *dilation, int(bool(attrs.get("count_include_pad", True))),
        attrs.get("divisor_override") or 0, int(adaptive),
    )  # fmt: skip
    return bind(backend, slot, fn, "QQQ", static, (ceil_div(threads, BLOCK),), (BLOCK,))


def _pool(name: str, back: bool, adaptive: bool = False) -> Any:
    """A pooling kernel, or its gradient, whose result has the attribute ``size``."""

    def make(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
        x = ins[0]
        if x is None or x.ndim != 4 or not x.numel or not (x.dtype.is_floating_point or name == "max_pool"):
            return None
        slot, planes = x.device.slot, x.shape[0] * x.shape[1]
        made: dict[Any, Launch] = {}

        def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
            out, x = outs[0], ins[0]
            here, there = tuple(x.spec.shape[2:]), tuple(out.spec.shape[2:])
            launch = made.get(there)
            if launch is None:
                threads = planes if name == "max_pool_backward" else out.spec.numel
                size, cells = (there, here) if back else (here, there)
                launch = made[there] = _pool_launch(
                    backend, name, x.spec.dtype, slot, planes, size, cells, attrs, threads, adaptive
                )
            with Scratch(backend, slot) as s:
                if name == "max_pool_backward":
                    backend.fill(out.ptr, 0, out.spec.nbytes, slot)
                    places = s.dense(ins[1])
                else:
                    places = outs[1].ptr if len(outs) > 1 and outs[1] is not None else 0
                launch(out.ptr, places, s.dense(x))

        return run

    return make


KERNELS = {
    "convolution": _convolution,
    "convolution_backward_input": _convolution_backward_input,
    "convolution_backward_weight": _convolution_backward_weight,
    "max_pool2d": _pool("max_pool", False),
    "max_pool2d_backward": _pool("max_pool_backward", True),
    "avg_pool2d": _pool("avg_pool", False),
    "avg_pool2d_backward": _pool("avg_pool_backward", True),
    "adaptive_avg_pool2d": _pool("avg_pool", False, True),
    "adaptive_avg_pool2d_backward": _pool("avg_pool_backward", True, True),
}
