"""How `vmap` runs the records of this package: examples join the items of a batch, or become groups or channels.

A rule gets the level, the record and its bound arguments, and returns results with the examples in front; see
`flambeau.func.rules`. Records name their rule as text, so that nothing here is imported before a `vmap` needs it.
"""

from __future__ import annotations

from typing import Any

from flambeau.func.batching import Batched, Level
from flambeau.func.rules import folded, one_by_one, run
from flambeau.plugin import OPS, intercept

__all__ = [
    "batch_norm",
    "class_loss",
    "convolution",
    "embedding",
    "embedding_backward",
    "linear",
    "normalization",
]


def linear(level: Level, op: Any, values: list[Any]) -> Any:
    """Shared weights take any leading dimensions; others are a matrix product."""
    x, w, b = values
    if not level.has([w, b]) and x.ndim:
        return op(x.value, w, b)
    with intercept(level):
        out = x @ (w.mT if w.ndim == 2 else w)
        out = out if b is None else out + b
    return level.value(out)


def convolution(level: Level, op: Any, values: list[Any]) -> Any:
    """Shared weights: examples are further items. Weights per example: examples are further groups."""
    x, w, *rest = values
    of_weight = op.name == "convolution_backward_weight"
    if not of_weight and not level.has(values[1:3]):
        return folded(level, op, values)
    first, second = level.value(x), level.value(w)
    made = [
        _channels(first),
        _channels(second) if of_weight else second.reshape((-1, *second.shape[2:])),
        *rest,
    ]
    if not of_weight and rest[0] is not None:
        made[2] = level.value(rest[0]).reshape(-1)
    made[op.index["groups"]] *= level.size
    out = run(op, made)
    if of_weight:
        return tuple(None if o is None else o.reshape((level.size, -1, *o.shape[1:])) for o in out)
    return out.reshape((out.shape[0], level.size, -1, *out.shape[2:])).movedim(1, 0)


def _channels(v: Any) -> Any:
    """[B, N, C, ...] as [N, B * C, ...]."""
    v = v.movedim(0, 1)
    return v.reshape((v.shape[0], v.shape[1] * v.shape[2], *v.shape[3:]))


def normalization(level: Level, op: Any, values: list[Any]) -> Any:
    """layer_norm and rms_norm take any leading dimensions, group_norm more items; other weights come afterwards."""
    parts = dict(zip(op.names, values, strict=True))
    scale = {k: v for k, v in parts.items() if k in ("weight", "bias") and v is not None}
    if not level.has(list(scale.values())):
        scale = {}
    plain = [None if n in scale else v for n, v in parts.items()]
    if op.name == "group_norm":
        plain[0] = Batched(level.value(values[0]), level)
        out = folded(level, op, plain)
    else:
        plain[0] = level.value(values[0])
        out = run(op, plain)
    if not scale:
        return out
    with intercept(level):
        first = Batched(out[0] if isinstance(out, tuple) else out, level)
        behind = (1,) * (first.ndim - 2) if op.name == "group_norm" else ()
        if "weight" in scale:
            first = first * scale["weight"].reshape((*scale["weight"].shape, *behind))
        if "bias" in scale:
            first = first + scale["bias"].reshape((*scale["bias"].shape, *behind))
    return (first.value, *out[1:]) if isinstance(out, tuple) else first.value


def batch_norm(level: Level, op: Any, values: list[Any]) -> Any:
    """Every example's channels are channels of their own."""
    x, *channel = values[:5]
    if any(s is not None and not level.has(s) for s in channel[2:]) and values[5] and level.has(x):
        raise RuntimeError(
            "[batch_norm] inside of vmap: running statistics that all examples share can't be updated by each; needed: "
            "none, or statistics per example. Build the layer with track_running_stats=False, or call eval()."
        )
    v = level.value(x).movedim(0, 1)
    shape = v.shape
    wide = [None if c is None else level.value(c).reshape(-1) for c in channel]
    out = run(op, [v.reshape((shape[0], shape[1] * shape[2], *shape[3:])), *wide, *values[5:]])
    first = out[0].reshape(shape).movedim(1, 0)
    return (first, *(None if o is None else o.reshape((level.size, -1)) for o in out[1:]))


def class_loss(level: Level, op: Any, values: list[Any]) -> Any:
    """cross_entropy and nll_loss: one loss per item, reduced for each example."""
    x, target, weight, ignored = values[:4]
    reduction = values[op.index["reduction"]]
    if level.has(weight):
        return one_by_one(level, op, values)
    v, t = level.value(x), level.value(target)
    if x.ndim > 1:
        v, t = (a.reshape((a.shape[0] * a.shape[1], *a.shape[2:])) for a in (v, t))
    made = [v, t, *values[2:]]
    made[op.index["reduction"]] = "none"
    loss, *rest = run(op, made)
    counts = t != ignored
    each = counts if weight is None else weight.gather(0, (t * counts).reshape(-1)).reshape(t.shape) * counts
    total = each.reshape((level.size, -1)).to(rest[-1].dtype).sum(1)
    if reduction == "none":
        loss = loss.reshape((level.size, *target.shape))
    else:
        loss = loss.reshape((level.size, -1)).sum(1)
        loss = (loss / total).to(loss.dtype) if reduction == "mean" else loss
    return (loss, *(r.reshape((level.size, *target.shape)) for r in rest[:-1]), total)


def embedding(level: Level, op: Any, values: list[Any]) -> Any:
    """Tables per example are read along their rows."""
    w, index, padding, by_freq = values
    if by_freq:
        return one_by_one(level, op, values)
    if not level.has(w):
        return op(w, index.value, padding, by_freq)
    with intercept(level):
        if padding is not None:  # its row has no gradient
            rows = (OPS["arange"](w.shape[0], device=w.device) == padding).unsqueeze(1)
            w = OPS["where_values"](rows, w.detach(), w)
        found = w.index_select(0, index.reshape(-1)).reshape((*index.shape, w.shape[1]))
    return level.value(found)


def embedding_backward(level: Level, op: Any, values: list[Any]) -> Any:
    """Gradients of all examples side by side, as longer rows."""
    g, index, rows, padding, by_freq = values
    if level.has(index) or by_freq:
        return one_by_one(level, op, values)
    wide = g.value.movedim(0, -2).reshape((*index.shape, level.size * g.shape[-1]))
    out = op(wide, index, rows, padding, by_freq)
    return out.reshape((rows, level.size, g.shape[-1])).movedim(1, 0)
