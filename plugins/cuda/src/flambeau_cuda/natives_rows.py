"""Native kernels along lines: softmax, cross entropy, normalisation."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .codegen import C_TYPES
from .entries import describer, unravel
from .launch import Launch, bind, ceil_div
from .operands import Scratch, prepares
from .templates import carried, kernel

if TYPE_CHECKING:
    from flambeau.plugin import Spec

    from .backend import GpuBackend

__all__ = ["KERNELS"]

Attrs = dict[str, Any]
Run = Callable[[Sequence[Any], Sequence[Any], Attrs], None]
BLOCK = 256
_EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}


def _product(sizes: Sequence[int]) -> int:
    n = 1
    for s in sizes:
        n *= s
    return n


def row_launch(
    backend: GpuBackend,
    call: str,
    slot: int,
    f: float,
    g: float,
    words: Sequence[int],
    grid: Sequence[int],
    sync: bool,
    threads: int = BLOCK,
) -> Launch:
    """``launch(out, out2, out3, x, y, z, w, v)`` of a kernel in rows.cuh.

    Args:
        f, g, words: the rest of its ``RowParams``.
    """
    fn = kernel(backend, "rows.cuh", call, "RowParams", slot, sync)
    return bind(backend, slot, fn, "8Q", struct.pack("=2d5q", f, g, *words), grid, (threads,))


def row_choice(
    backend: GpuBackend,
    call: str,
    slot: int,
    f: float,
    g: float,
    words: Sequence[int],
    lines: int,
    width: int,
    vectors: Sequence[int],
) -> Launch:
    """`row_launch` of a kernel with a block per line whose last template argument is the width of its accesses.

    Args:
        call: the template with its other arguments, the list left open.
        width: elements per access, where addresses allow it.
        vectors: which of the eight addresses are then read as vectors.
    """
    count = words[1]
    plain: list[Launch] = []

    def narrow() -> Launch:
        if not plain:
            plain.append(
                row_launch(backend, f"{call}, 1>", slot, f, g, words, (lines,), True, _block_for(count))
            )
        return plain[0]

    if width == 1 or count % width or count < 2 * width:
        return narrow()
    threads = _block_for(ceil_div(count, 2 * width))
    wide = row_launch(backend, f"{call}, {width}>", slot, f, g, words, (lines,), True, threads)

    def launch(*values: int) -> None:
        bits = 0
        for k in vectors:
            bits |= values[k]
        (narrow() if bits & 31 else wide)(*values)

    return launch


def _block_for(count: int) -> int:
    n = 32
    while n < BLOCK and n < count:
        n *= 2
    return n


def _middle(shape: Sequence[int], dim: int) -> tuple[int, int, int]:
    """Lines, their length, and how far apart their elements are."""
    count = shape[dim] if shape else 1
    inner = _product(shape[dim + 1 :]) if shape else 1
    return (_product(shape) // count if count else 0), count, inner


def _floats(ins: Sequence[Spec | None]) -> bool:
    return bool(ins) and all(s is None or s.dtype.is_floating_point for s in ins)


def _softmax(log: bool) -> Any:
    def make(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
        x = ins[0]
        if x is None or not _floats(ins):
            return None
        lines, count, inner = _middle(x.shape, attrs["dim"])
        types = f"{carried(x.dtype)}, {C_TYPES[x.dtype.name]}, {'true' if log else 'false'}"
        slot = x.device.slot
        if not x.numel:
            return lambda outs, ins, attrs: None
        width = 16 // x.itemsize if inner == 1 else 1
        launch = row_choice(
            backend, f"softmax<{types}", slot, 0, 0, (lines, count, inner, 0, 0), lines, width, (0, 3)
        )

        def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
            with Scratch(backend, slot) as s:
                launch(outs[0].ptr, 0, 0, s.dense(ins[0]), 0, 0, 0, 0)

        return prepares(run, lambda out, x: launch(out, 0, 0, x, 0, 0, 0, 0))

    return make


def _softmax_backward(log: bool) -> Any:
    def make(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
        g, y = ins
        if g is None or y is None or not _floats(ins) or y.dtype is not g.dtype:
            return None
        lines, count, inner = _middle(g.shape, attrs["dim"])
        types = f"{carried(g.dtype)}, {C_TYPES[g.dtype.name]}, {'true' if log else 'false'}"
        slot = g.device.slot
        if not g.numel:
            return lambda outs, ins, attrs: None
        width = 16 // g.itemsize if inner == 1 else 1
        launch = row_choice(
            backend,
            f"softmax_backward<{types}",
            slot,
            0,
            0,
            (lines, count, inner, 0, 0),
            lines,
            width,
            (0, 3, 4),
        )

        def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
            with Scratch(backend, slot) as s:
                launch(outs[0].ptr, 0, 0, s.dense(ins[0]), s.dense(ins[1]), 0, 0, 0)

        return prepares(run, lambda out, g, y: launch(out, 0, 0, g, y, 0, 0, 0))

    return make


# Cross entropy


def _cross_entropy(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
    x, target = ins[:2]
    if x is None or target is None or not x.dtype.is_floating_point or not x.numel or not target.numel:
        return None
    if target.dtype.name != "int64":
        return None
    dim = 1 if x.ndim > 1 else 0
    lines, count, inner = _middle(x.shape, dim)
    t, acc, slot = C_TYPES[x.dtype.name], carried(x.dtype), x.device.slot
    smoothing, ignored, reduction = float(attrs["label_smoothing"]), attrs["ignore_index"], attrs["reduction"]
    static = struct.pack("=2d4q", smoothing, 0, lines, count, inner, ignored)

    def prepare(width: int) -> Launch:
        fn = kernel(backend, "rows.cuh", f"cross_entropy<{acc}, {t}, {width}>", "RowParams", slot, True)
        threads = _block_for(ceil_div(count, width))
        # The launch's number comes last: all words before it are dynamic to the packer.
        return bind(backend, slot, fn, f"8Q{len(static)}sq", b"", (lines,), (threads,))

    width = 16 // x.itemsize
    narrow = prepare(1)
    wide = prepare(width) if inner == 1 and not count % width and count >= 2 * width else narrow
    mean, none = reduction == "mean", reduction == "none"
    total = row_launch(
        backend, f"cross_entropy_total<{acc}, {t}>", slot, 0, 0, (lines, 1, 1, int(mean), 0), (1,), True
    )
    size = lines * (8 if acc == "f64" else 4)
    same = t == acc
    shape = target.shape

    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        logits, classes, w = (*ins, None)[:3]
        loss, lse, whole = outs
        with Scratch(backend, slot) as s:
            each = loss.ptr if none and same else s.room(size)
            weights = s.room(size)
            faults = backend.faults[slot]
            describe = describer(
                backend, "cross_entropy", classes, dim, count, lambda flat: unravel(flat, shape)
            )
            fault, number = faults.begin(describe)
            at = s.dense(logits)
            (narrow if at & 31 else wide)(
                each,
                lse.ptr,
                weights,
                at,
                s.dense(classes),
                s.dense(w),
                0,
                fault,
                static,
                number,
            )
            faults.end()
            total(0 if none else loss.ptr, whole.ptr, 0, each, weights, 0, 0, 0)
            if none and not same:
                s.cast(loss, each, acc)

    return run


def _cross_entropy_backward(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
    g, x, target = ins[:3]
    if (
        x is None
        or target is None
        or g is None
        or not x.dtype.is_floating_point
        or not x.numel
        or not target.numel
    ):
        return None
    if target.dtype.name != "int64" or g.dtype is not x.dtype:
        return None
    dim = 1 if x.ndim > 1 else 0
    lines, count, inner = _middle(x.shape, dim)
    t, acc, slot = C_TYPES[x.dtype.name], carried(x.dtype), x.device.slot
    reduction = attrs["reduction"]
    how = (0 if reduction == "none" else 1) | (2 if reduction == "mean" else 0)
    words = (lines, count, inner, attrs["ignore_index"], how)
    width = 16 // x.itemsize if inner == 1 else 1
    smoothing = float(attrs["label_smoothing"])
    call = f"cross_entropy_backward<{acc}, {t}"
    launch = row_choice(backend, call, slot, smoothing, 0, words, lines, width, (0, 3))

    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        g, x, target, weight, lse, total = ins
        with Scratch(backend, slot) as s:
            launch(
                outs[0].ptr,
                s.dense(g),
                0,
                s.dense(x),
                s.dense(target),
                s.dense(weight),
                s.dense(lse),
                s.dense(total),
            )

    return run


# Layers


def _norm_specs(x: Spec, weight: Spec | None, bias: Spec | None) -> bool:
    if not x.dtype.is_floating_point or not x.numel:
        return False
    return weight is None or bias is None or weight.dtype is bias.dtype


def _layer_norm(centred: bool, groups: bool = False) -> Any:
    def make(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
        x, weight, bias = (*ins, None, None)[:3]
        if x is None or not _norm_specs(x, weight, bias):
            return None
        t, acc, slot = C_TYPES[x.dtype.name], carried(x.dtype), x.device.slot
        scale = weight or bias
        w = C_TYPES[scale.dtype.name] if scale else t
        if groups:
            n_groups = attrs["num_groups"]
            lines, count = x.shape[0] * n_groups, x.numel // (x.shape[0] * n_groups)
            inner, flag = _product(x.shape[2:]), n_groups
        else:
            count = _product(attrs["normalized_shape"])
            lines, inner, flag = x.numel // count, 1, 0
        eps = attrs["eps"]
        eps = _EPS[x.dtype.name] if eps is None else float(eps)
        call = f"layer_norm<{acc}, {t}, {w}, {'true' if centred else 'false'}"
        words = (lines, count, inner, flag, 0)
        width = 1 if groups else 16 // x.itemsize
        launch = row_choice(backend, call, slot, eps, 0, words, lines, width, (0, 3, 5, 6))

        def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
            x, weight, bias = (*ins, None, None)[:3]
            y, mean, rstd = outs if centred else (outs[0], None, outs[1])
            with Scratch(backend, slot) as s:
                launch(
                    y.ptr,
                    mean.ptr if mean is not None else 0,
                    rstd.ptr,
                    s.dense(x),
                    0,
                    s.dense(weight),
                    s.dense(bias),
                    0,
                )

        return run

    return make


def _layer_norm_backward(centred: bool, groups: bool = False) -> Any:
    def make(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
        if centred:
            g, x, _, _, weight = ins
        else:
            g, x, _, weight = ins
        if x is None or g is None or not _norm_specs(x, weight, None) or g.dtype is not x.dtype:
            return None
        mask = attrs["mask"]
        if groups and any(mask[1:]):
            return None
        t, acc, slot = C_TYPES[x.dtype.name], carried(x.dtype), x.device.slot
        w = C_TYPES[weight.dtype.name] if weight else t
        if groups:
            n_groups = attrs["num_groups"]
            lines, count = x.shape[0] * n_groups, x.numel // (x.shape[0] * n_groups)
            inner, flag = _product(x.shape[2:]), n_groups
        else:
            count = _product(attrs["normalized_shape"])
            lines, inner, flag = x.numel // count, 1, 0
        truth = "true" if centred else "false"
        call, words = f"layer_norm_backward<{acc}, {t}, {w}, {truth}", (lines, count, inner, flag, 0)
        width = 1 if groups else 16 // x.itemsize
        launch = row_choice(backend, call, slot, 0, 0, words, lines, width, (0, 3, 4, 5))
        columns = None
        if not groups:
            columns, parts, per = ceil_div(count, 32), 1, lines
            parts = max(1, min(ceil_div(lines, 32), ceil_div(512, columns)))
            per = ceil_div(lines, parts)
            parts = ceil_div(lines, per)
            sums = row_launch(
                backend, f"layer_norm_weights<{acc}, {t}, {truth}>", slot, 0, 0, (lines, count, 1, per, 0),
                (columns, parts), True,
            )  # fmt: skip
            finish = row_launch(
                backend,
                f"layer_norm_finish<{acc}, {w}>",
                slot,
                0,
                0,
                (parts, count, 1, 0, 0),
                (ceil_div(count, BLOCK),),
                False,
            )
            room = parts * count * (8 if acc == "f64" else 4)

        def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
            if centred:
                g, x, mean, rstd, weight = ins
            else:
                (g, x, rstd, weight), mean = ins, None
            gx, gw, gb = (*outs, None)[:3]
            with Scratch(backend, slot) as s:
                gp, xp, mp, rp, wp = (s.dense(v) for v in (g, x, mean, rstd, weight))
                if gx is not None:
                    launch(gx.ptr, 0, 0, gp, xp, wp, mp, rp)
                if gw is not None or gb is not None:
                    a, b = s.room(room), s.room(room)
                    sums(a, b, 0, gp, xp, 0, mp, rp)
                    finish(gw.ptr if gw is not None else 0, gb.ptr if gb is not None else 0, 0, a, b, 0, 0, 0)

        return run

    return make


# Batches


def _channel_sizes(x: Spec) -> tuple[int, int, int]:
    return x.shape[0], x.shape[1], _product(x.shape[2:])


def _parts(channels: int, total: int) -> tuple[int, int]:
    """Parts of a channel, and the elements of each."""
    parts = max(1, min(ceil_div(total, 4 * BLOCK), ceil_div(1024, channels)))
    per = ceil_div(ceil_div(total, parts), 8) * 8  # whole vectors
    return ceil_div(total, per), per


def _by_vectors(make: Callable[[int], Launch], width: int, vectors: Sequence[int]) -> Launch:
    """``make(1)``, or ``make(width)`` where addresses allow vectors.

    Args:
        vectors: which of the eight addresses are then read as vectors.
    """
    if width == 1:
        return make(1)
    wide = make(width)
    plain: list[Launch] = []

    def launch(*values: int) -> None:
        bits = 0
        for k in vectors:
            bits |= values[k]
        if not bits & 15:
            wide(*values)
            return
        if not plain:
            plain.append(make(1))
        plain[0](*values)

    return launch


def _vector(x: Spec, inner: int) -> int:
    """Elements per access of planes of a size."""
    width = 16 // x.itemsize
    return 1 if inner % width else width


def _batch_norm(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
    x, weight, bias, mean, var = (*ins, None, None, None, None)[:5]
    if x is None or not _norm_specs(x, weight, bias) or not attrs["training"]:
        return None
    if (mean is None) != (var is None) or (
        mean is not None and var is not None and mean.dtype is not var.dtype
    ):
        return None
    n, channels, inner = _channel_sizes(x)
    t, acc, slot = C_TYPES[x.dtype.name], carried(x.dtype), x.device.slot
    scale = weight or bias
    w = C_TYPES[scale.dtype.name] if scale else t
    r = C_TYPES[mean.dtype.name] if mean else acc
    parts, per = _parts(channels, n * inner)
    width = _vector(x, inner)

    def make_moments(width: int) -> Launch:
        call, words = f"channel_moments<{acc}, {t}, {width}>", (n, channels, inner, per, 0)
        return row_launch(backend, call, slot, 0, 0, words, (channels, parts), True)

    moments = _by_vectors(make_moments, width, (3,))
    finish = row_launch(
        backend, f"channel_finish<{acc}, {r}>", slot, attrs["eps"], attrs["momentum"], (n, channels, inner, parts, 0),
        (ceil_div(channels, BLOCK),), False,
    )  # fmt: skip
    numel = x.numel

    def make_apply(width: int) -> Launch:
        call, grid = f"channel_apply<{acc}, {t}, {w}, {width}>", (ceil_div(numel, BLOCK * width),)
        return row_launch(backend, call, slot, 0, 0, (n, channels, inner, 0, 0), grid, False)

    apply = _by_vectors(make_apply, width, (0, 3))
    room = channels * parts * 3 * (8 if acc == "f64" else 4)

    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        x, weight, bias, mean, var = (*ins, None, None, None, None)[:5]
        y, m, rstd = outs
        with Scratch(backend, slot) as s:
            xp, part = s.dense(x), s.room(room)
            moments(part, 0, 0, xp, 0, 0, 0, 0)
            finish(m.ptr, rstd.ptr, 0, part, s.inplace(mean), s.inplace(var), 0, 0)
            apply(y.ptr, 0, 0, xp, s.dense(bias), s.dense(weight), m.ptr, rstd.ptr)

    return run


def _batch_norm_backward(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
    g, x, weight = ins[:3]
    if x is None or g is None or not _norm_specs(x, weight, None) or g.dtype is not x.dtype:
        return None
    n, channels, inner = _channel_sizes(x)
    t, acc, slot = C_TYPES[x.dtype.name], carried(x.dtype), x.device.slot
    w = C_TYPES[weight.dtype.name] if weight else t
    parts, per = _parts(channels, n * inner)
    words = (n, channels, inner)
    width, numel = _vector(x, inner), x.numel

    def make_sums(width: int) -> Launch:
        call = f"channel_sums<{acc}, {t}, {width}>"
        return row_launch(backend, call, slot, 0, 0, (*words, per, 0), (channels, parts), True)

    sums = _by_vectors(make_sums, width, (3, 4))
    finish = row_launch(
        backend,
        f"channel_sums_finish<{acc}, {w}>",
        slot,
        0,
        0,
        (*words, parts, 0),
        (ceil_div(channels, BLOCK),),
        False,
    )

    def make_back(width: int) -> Launch:
        call, grid = f"channel_backward<{acc}, {t}, {w}, {width}>", (ceil_div(numel, BLOCK * width),)
        return row_launch(backend, call, slot, 0, 0, (*words, 0, 0), grid, False)

    back = _by_vectors(make_back, width, (0, 3, 4))
    pair = 2 * (8 if acc == "f64" else 4)
    training = attrs["training"]

    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        g, x, weight, mean, rstd = ins
        gx, gw, gb = (*outs, None)[:3]
        with Scratch(backend, slot) as s:
            gp, xp, wp, mp, rp = (s.dense(v) for v in (g, x, weight, mean, rstd))
            whole = 0
            if training or gw is not None or gb is not None:
                part, whole = s.room(channels * parts * pair), s.room(channels * pair)
                sums(part, 0, 0, xp, gp, 0, mp, rp)
                finish(
                    whole, gw.ptr if gw is not None else 0, gb.ptr if gb is not None else 0, part, 0, 0, 0, 0
                )
            if gx is not None:
                back(gx.ptr, whole if training else 0, 0, xp, gp, wp, mp, rp)

    return run


KERNELS = {
    "softmax": _softmax(False),
    "log_softmax": _softmax(True),
    "softmax_backward": _softmax_backward(False),
    "log_softmax_backward": _softmax_backward(True),
    "cross_entropy": _cross_entropy,
    "cross_entropy_backward": _cross_entropy_backward,
    "layer_norm": _layer_norm(True),
    "layer_norm_backward": _layer_norm_backward(True),
    "rms_norm": _layer_norm(False),
    "rms_norm_backward": _layer_norm_backward(False),
    "group_norm": _layer_norm(True, True),
    "group_norm_backward": _layer_norm_backward(True, True),
    "batch_norm": _batch_norm,
    "batch_norm_backward": _batch_norm_backward,
}
