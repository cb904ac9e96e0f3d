"""Batch rules: how an op runs on the values of batched tensors.

A rule is ``rule(level, op, values)``: it gets the op's bound arguments, `Batched` ones among them, and returns results
with the examples in the leading dimension. A record may carry its own (`Op.batch`, or the name of a family); else it
has the rule of the table, of its kind, or is run example by example, which `unrolled` counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import OPS, as_value, infer_sizes, result_type_of, wrap_dim

from .batching import Batched, Level, _unbatched, unrolled

__all__ = ["FAMILIES", "RULES", "batch", "folded", "items", "one_by_one", "run", "set_items"]

Rule = Callable[[Level, Any, list[Any]], Any]


def batch(level: Level, op: Any, call: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an op of a level's function."""
    inside = level.has(args) or level.has(list(kwargs.values()))
    if op.kind == "composite" and op.batch is None:  # one that draws random numbers
        return _random(level, op, call, args, kwargs, inside)
    if not inside:
        return (
            call(*args, **kwargs)
            if op.name not in _DRAWS
            else level.wrap(_drawn(level, op, op.bind(args, kwargs)))
        )
    if getattr(call, "writes", False):
        if not isinstance(args[0], Batched):
            raise RuntimeError(_unbatched(op.name + "_", args[0], next(a for a in args if level.has(a))))
        return args[0].become(op(*args, **kwargs), op.name + "_")
    if kwargs.pop("out", None) is not None:
        raise RuntimeError(
            f"[{op.name}] out= inside of vmap: got a tensor to write to; needed: none. Drop out=."
        )
    if op.kind == "derived":
        return level.wrap(call(_aligned(level, args[0]), *args[1:]))
    values = op.bind(args, kwargs)
    op.check_tensors(values)
    return level.wrap(rule_of(op)(level, op, values))


def rule_of(op: Any) -> Rule:
    """The batch rule of a record."""
    own = op.batch
    if isinstance(own, str):  # a family, or where the rule stands: "module:name"
        module, _, name = own.partition(":")
        own = op.batch = getattr(import_module(module), name) if name else FAMILIES[own]
    if own is not None:
        return own  # type: ignore[no-any-return]
    found = RULES.get(op.name)
    if found is not None:
        return found
    if op.kind == "pointwise":
        return pointwise
    tensors = [p for p in op.params if p.is_tensor]
    if len(tensors) == 1 and tensors[0].kind == "tensor" and "dim" in op.index:
        return along
    return one_by_one


def run(op: Any, values: Sequence[Any]) -> Any:
    """Call an op with all of its arguments."""
    n = op.n_positional
    return op(*values[:n], **dict(zip(op.names[n:], values[n:], strict=True)))


# Families


def one_by_one(level: Level, op: Any, values: list[Any]) -> Any:
    """Each example by itself: the rule of what has no other."""
    unrolled[op.name] += 1
    return stacked([run(op, example(level, values, k)) for k in range(level.size)])


def example(level: Level, v: Any, k: int) -> Any:
    """What a value, or a list of values, is for one example."""
    if isinstance(v, (list, tuple)):
        parts = [example(level, e, k) for e in v]
        return tuple(parts) if isinstance(v, tuple) else parts
    return v.value.select(0, k) if level.has(v) else v


def stacked(rows: list[Any]) -> Any:
    """The results of all examples as one."""
    first = rows[0]
    if isinstance(first, (list, tuple)):
        made: list[Any] = [None if r[0] is None else stacked(list(r)) for r in zip(*rows, strict=True)]
        return type(first)(*made) if hasattr(first, "_fields") else type(first)(made)
    return fb.stack(rows)


def pointwise(level: Level, op: Any, values: list[Any]) -> Any:
    """Dimensions aligned at the right; a 0-d example keeps its low rank in promotion."""
    tensors = [v for v in values if isinstance(v, Tensor)]
    cast = None
    if len({t.spec.dtype for t in tensors}) > 1 and len({not t.ndim for t in tensors}) > 1:
        counted = [
            v.spec
            for v, p in zip(values, op.params, strict=True)
            if isinstance(v, Tensor) and p.name not in op.raw
        ]
        cast = result_type_of(counted) if counted else None
    found = iter(_aligned(level, tensors))
    made: list[Any] = []
    for v, p in zip(values, op.params, strict=True):
        if isinstance(v, Tensor):
            low = cast is not None and not v.ndim and p.name not in op.raw
            v = next(found)
            v = v.to(cast) if low else v
        made.append(v)
    return run(op, made)


def _aligned(level: Level, tensors: Sequence[Any]) -> list[Any]:
    """Values of one number of dimensions but for those that all examples share, which broadcast as they are."""
    most = max(t.ndim for t in tensors)
    return [_padded(t.value, most - t.ndim) if level.has(t) else t for t in tensors]


def _padded(v: Any, n: int) -> Any:
    """Dimensions of size 1 put in behind the examples."""
    return v.reshape((v.shape[0], *(1,) * n, *v.shape[1:])) if n else v


#: Attributes that name dimensions.
_DIMS = ("dim", "dims", "dim0", "dim1", "dim2", "dimension")
#: Attributes that are the shape of one example, by op.
_SHAPES = {
    "view_shape": "shape", "slice_backward": "shape", "diagonal_backward": "shape", "unfold_backward": "shape",
    "gather_backward": "shape", "index_select_backward": "shape",
}  # fmt: skip
#: Ops whose dimensions are those of the result, which has one (or more) that the input lacks.
_GROWS = {"unsqueeze": 1, "stack": 1, "diag_embed": 1}


def along(level: Level, op: Any, values: list[Any]) -> Any:
    """All tensors with the examples in front, dimensions counted from behind those."""
    ins = [v for v, p in zip(values, op.params, strict=True) if p.is_tensor and v is not None]
    first = ins[0][0] if isinstance(ins[0], (list, tuple)) else ins[0]
    shape = _SHAPES.get(op.name)
    n = len(values[op.index[shape]]) if shape and shape != "size" else first.ndim + _GROWS.get(op.name, 0)
    flat = n == 0 and op.name not in _GROWS  # a 0-d example takes dim=0 and dim=-1 as a 1-d one does
    made = []
    for v, p in zip(values, op.params, strict=True):
        if p.kind == "tensors":
            v = [_line(level.value(t), flat) for t in v]
        elif p.is_tensor and v is not None:
            v = _line(level.value(v), flat)
        elif p.name in _DIMS:
            v = _moved(v, n or 1, op.name)
        elif p.name == shape:
            v = (level.size, *v)
        made.append(v)
    out = run(op, made)
    if not flat:
        return out
    parts = out if isinstance(out, (list, tuple)) else [out]
    back = [o.squeeze(1) if o.ndim > 1 else o for o in parts]
    return tuple(back) if isinstance(out, (list, tuple)) else back[0]


def _line(v: Any, flat: bool) -> Any:
    return v.unsqueeze(1) if flat else v


def _moved(dim: Any, n: int, op: str) -> Any:
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(1, n + 1))
    if isinstance(dim, (tuple, list)):
        return tuple(wrap_dim(d, n, op) + 1 for d in dim)
    return wrap_dim(dim, n, op) + 1


def leading(level: Level, op: Any, values: list[Any]) -> Any:
    """An op that takes any leading dimensions: all tensors get the examples there, and as many dimensions."""
    tensors = [v for v, p in zip(values, op.params, strict=True) if p.is_tensor and v is not None]
    most = max(t.ndim for t in tensors)
    return run(
        op,
        [
            _padded(level.value(v), most - v.ndim) if p.is_tensor and v is not None else v
            for v, p in zip(values, op.params, strict=True)
        ],
    )


def folded(level: Level, op: Any, values: list[Any]) -> Any:
    """An op over items in dimension 0 of its first tensor, with parameters beside: examples and items as one dimension.

    Parameters that differ between the examples make it run example by example.
    """
    if level.has(values[1:]):
        return one_by_one(level, op, values)
    return _apart(level, run(op, [_joined(level.value(values[0])), *values[1:]]))


def items(level: Level, op: Any, values: list[Any]) -> Any:
    """An op all of whose tensors have items in dimension 0: examples and items as one dimension."""
    pairs = zip(values, op.params, strict=True)
    return _apart(
        level, run(op, [_joined(level.value(v)) if p.is_tensor and v is not None else v for v, p in pairs])
    )


def _joined(v: Any) -> Any:
    return v.reshape((v.shape[0] * v.shape[1], *v.shape[2:]))


def _apart(level: Level, out: Any) -> Any:
    if isinstance(out, tuple):
        return tuple(None if o is None else _apart(level, o) for o in out)
    return out.reshape((level.size, out.shape[0] // level.size, *out.shape[1:]))


# Rules of single ops


def _expand(level: Level, op: Any, values: list[Any]) -> Any:
    v, size = values[0].value, values[1]
    size = (size,) if isinstance(size, int) else tuple(size)
    return op(_padded(v, len(size) - v.ndim + 1), (level.size, *size))


def _as_strided(level: Level, op: Any, values: list[Any]) -> Any:
    v = values[0].value
    return op(v, (level.size, *values[1]), (v.stride(0), *values[2]), values[3], base_offset=values[4])


def _view_shape(level: Level, op: Any, values: list[Any]) -> Any:
    return values[0].value.reshape((level.size, *infer_sizes("view", values[1], values[0].numel())))


def _squeeze(level: Level, op: Any, values: list[Any]) -> Any:
    t, dim = values
    dims = range(t.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    found = [d for d in {wrap_dim(d, max(t.ndim, 1), "squeeze") for d in dims} if t.ndim and t.shape[d] == 1]
    return t.value.squeeze(tuple(d + 1 for d in found)) if found else t.value.squeeze(())


def _permute(level: Level, op: Any, values: list[Any]) -> Any:
    t, dims = values
    op.infer(values)
    return op(t.value, (0, *_moved(tuple(dims), t.ndim, "permute")) if t.ndim else (0,))


def _t(level: Level, op: Any, values: list[Any]) -> Any:
    t = values[0]
    return t.value.transpose(1, 2) if op.fn(t.spec) and t.ndim == 2 else t.value.view(t.value.shape)


def _keyed(level: Level, op: Any, values: list[Any]) -> Any:
    """slice, slice_backward, put_slice: the key begins with the dimension that examples lie in."""
    made = [level.value(v) if isinstance(v, Tensor) else v for v in values]
    made[op.index["key"]] = ((0, level.size, 1), *values[op.index["key"]])
    if "shape" in op.index:
        made[op.index["shape"]] = (level.size, *values[op.index["shape"]])
    return run(op, made)


def _pad(level: Level, op: Any, values: list[Any]) -> Any:
    t, widths, value = values
    if level.has(value):
        return one_by_one(level, op, values)
    return op(t.value, (0, 0, *widths), value)


def _same(level: Level, op: Any, values: list[Any]) -> Any:
    """Ops whose attributes say nothing of dimensions before the last ones."""
    return run(op, [level.value(v) if isinstance(v, Tensor) else v for v in values])


def _split(level: Level, op: Any, values: list[Any]) -> Any:
    return op(values[0].value, values[1], wrap_dim(values[2], values[0].ndim, "split") + 1)


def _extreme_place(level: Level, op: Any, values: list[Any]) -> Any:
    t, dim, keepdim = values
    if dim is not None:
        return along(level, op, values)
    found = op(t.value.reshape((level.size, t.numel())), 1, False)
    return found.reshape((level.size, *(1,) * t.ndim)) if keepdim else found


def _cat(level: Level, op: Any, values: list[Any]) -> Any:
    tensors, dim = values
    kept = [t for t in tensors if t.shape != (0,)] or tensors
    return op([level.value(t) for t in kept], wrap_dim(dim, kept[0].ndim, "cat") + 1)


def _flip(level: Level, op: Any, values: list[Any]) -> Any:
    t, dims = values
    dims = (dims,) if isinstance(dims, int) else dims
    return op(t.value, tuple(wrap_dim(d, t.ndim, "flip") + 1 for d in dims))


def _roll(level: Level, op: Any, values: list[Any]) -> Any:
    t, shifts, dims = values
    if dims is None or dims == ():
        return op(t.value.reshape((level.size, t.numel())), shifts, 1).reshape(t.value.shape)
    return op(t.value, shifts, _moved(dims, t.ndim, "roll"))


def _matmul(level: Level, op: Any, values: list[Any]) -> Any:
    a, b = values
    op.infer(values)  # what doesn't fit is told of in the terms of one example
    x, y = (a.value if level.has(a) else a), (b.value if level.has(b) else b)
    if a.ndim == 1:
        x = x.unsqueeze(-2)
    if b.ndim == 1:
        y = y.unsqueeze(-1)
    inner = max(a.ndim, b.ndim, 2) - 2  # how many leading dimensions examples have
    x = _padded(x, inner - max(a.ndim - 2, 0)) if level.has(a) else x
    y = _padded(y, inner - max(b.ndim - 2, 0)) if level.has(b) else y
    out = op(x, y)
    if a.ndim == 1:
        out = out.squeeze(-2)
    return out.squeeze(-1) if b.ndim == 1 else out


def _index_select(level: Level, op: Any, values: list[Any]) -> Any:
    t, dim, index = values
    if not level.has(index) and t.ndim:
        return op(t.value, wrap_dim(dim, t.ndim, "index_select") + 1, index)
    if not t.ndim:
        return one_by_one(level, op, values)
    return OPS["gather"](level.value(t), *_spread_index(level, dim, index, t.shape))


def _spread_index(level: Level, dim: int, index: Any, shape: Sequence[int]) -> tuple[int, Any]:
    """An index of rows as one of elements, for `gather` and `scatter`."""
    d = wrap_dim(dim, len(shape), "index_select") + 1
    i = level.value(index).reshape((level.size, -1)).to(fb.int64)
    full = (level.size, *shape)
    i = i.reshape((level.size, *(1,) * (d - 1), i.shape[1], *(1,) * (len(full) - d - 1)))
    return d, i.expand((*full[:d], i.shape[d], *full[d + 1 :]))


def _index_select_backward(level: Level, op: Any, values: list[Any]) -> Any:
    g, shape, dim, index = values
    if not level.has(index) and len(shape):
        return op(level.value(g), (level.size, *shape), wrap_dim(dim, len(shape), "index_select") + 1, index)
    if not len(shape):
        return one_by_one(level, op, values)
    return OPS["gather_backward"](
        level.value(g), (level.size, *shape), *_spread_index(level, dim, index, shape)
    )


def _index_write(level: Level, op: Any, values: list[Any]) -> Any:
    """index_add and index_copy: along a dimension with a shared index, element by element with a batched one."""
    t, dim, index, source = values[:4]
    if not t.ndim or not source.ndim:
        return one_by_one(level, op, values)
    if not level.has(index):
        d = wrap_dim(dim, t.ndim, op.name) + 1
        return run(op, [level.value(t), d, index, level.value(source), *values[4:]])
    d, i = _spread_index(level, dim, index, t.shape)
    v = level.value(source)
    if op.name == "index_copy":
        return OPS["scatter"](level.value(t), d, i, v)
    return OPS["scatter_sum"](level.value(t), d, i, v if values[4] == 1 else v * values[4])


def _drawn(level: Level, op: Any, values: list[Any]) -> Any:
    """Pointwise ops that draw random numbers: by the place of the element, so that examples differ by themselves."""
    _allowed(level, op)
    if level.randomness == "same":
        return stacked([run(op, example(level, values, k)) for k in range(level.size)])
    return pointwise(
        level, op, [Batched(level.value(v), level) if isinstance(v, Tensor) else v for v in values]
    )


_DRAWS = frozenset({"dropout_keep"})


def _allowed(level: Level, op: Any) -> None:
    if level.randomness == "error":
        raise RuntimeError(
            f"[{op.name}] random numbers inside of vmap: got randomness='error'; needed: 'different' (every example "
            "draws its own) or 'same'. Give vmap(..., randomness=...)."
        )


def _random(
    level: Level, op: Any, call: Callable[..., Any], args: Any, kwargs: dict[str, Any], inside: bool
) -> Any:
    """A random op: drawn once, or example by example."""
    _allowed(level, op)
    values = op.bind(args, kwargs)
    name = op.exports[0]
    if name.endswith("_") and level.has(values[0]):
        if level.randomness == "same":
            fresh = OPS["empty_like"](example(level, values[0], 0))
            return values[0].become(run(op, [fresh, *example(level, values[1:], 0)]), name)
        run(op, [values[0].value, *values[1:]])
        return values[0]
    if level.randomness == "same" and not inside:
        return call(*args, **kwargs)
    if name.endswith("_"):
        raise RuntimeError(_unbatched(name, values[0], "random numbers that differ"))
    if "size" in op.index and not inside:
        size = values[op.index["size"]]
        values[op.index["size"]] = (level.size, *((size,) if isinstance(size, int) else size))
        return level.wrap(run(op, values))
    state = _generator(op, values).get_state()
    rows = []
    for k in range(level.size):
        if level.randomness == "same":
            _generator(op, values).set_state(state)
        rows.append(run(op, example(level, values, k)))
    return level.wrap(stacked(rows))


def _generator(op: Any, values: list[Any]) -> Any:
    return values[op.index["generator"]] or fb.default_generator


FAMILIES: dict[str, Rule] = {
    "pointwise": pointwise, "along": along, "leading": leading, "folded": folded, "items": items,
    "same": _same, "loop": one_by_one,
}  # fmt: skip

RULES: dict[str, Rule] = {
    **dict.fromkeys(
        "transpose unsqueeze diagonal unfold unbind diagonal_backward unfold_backward gather gather_backward "
        "scatter scatter_sum scatter_fold stack diag_embed diagonal_scatter softmax_backward "
        "log_softmax_backward".split(),
        along,
    ),
    **dict.fromkeys("slice slice_backward put_slice".split(), _keyed),
    **dict.fromkeys("view_as_real view_as_complex view_dtype flip_sign copy_to clone".split(), _same),
    "view_shape": _view_shape, "constant_pad": _pad, "permute": _permute, "expand": _expand,
    "as_strided": _as_strided, "squeeze": _squeeze, "t": _t, "split_parts": _split, "argmax": _extreme_place,
    "argmin": _extreme_place, "cat": _cat, "flip": _flip, "roll": _roll, "matmul": _matmul,
    "index_select": _index_select, "index_select_backward": _index_select_backward, "index_add": _index_write,
    "index_copy": _index_write, "dropout_keep": _drawn,
}  # fmt: skip


def set_items(t: Batched, index: Any, value: Any) -> None:
    """``t[index] = value`` for every example."""
    source = as_value(t, value)
    entries = index if isinstance(index, tuple) else (index,)
    if not any(isinstance(i, (Tensor, list)) for i in entries):
        t[index].copy_(source)
        return
    if len(entries) == 1 and isinstance(index, Tensor) and index.dtype is fb.bool:
        mask = index.reshape((*index.shape, *(1,) * (t.ndim - index.ndim)))
        t.copy_(OPS["where_values"](mask, source.to(t.dtype), t))
        return
    # The elements' numbers, indexed in the same way, say where to write.
    places = OPS["arange"](t.numel(), device=t.device).reshape(t.shape)[index]
    source = source.to(t.dtype).expand(places.shape).reshape(-1)
    t.copy_(OPS["scatter"](t.reshape(-1), 0, places.reshape(-1), source).reshape(t.shape))
