"""Writing into tensors that exist: in-place forms, ``out=``, and what both do to the tape.

An in-place change of a view is recorded on its base as "the base with this part replaced", and the view gets a
node that reads it back; other views of the base notice at their next use (`refresh_view`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import plan as plans
from . import registry, tape
from .dtypes import can_cast
from .errors import is_ours, message
from .layout import Spec, broadcast_shapes, spec_of
from .op import resolved
from .state import GRAD_OFF, WATCHED, modes, past_watchers

if TYPE_CHECKING:
    from ._tensor import Tensor

__all__ = ["assign", "inplace", "into", "is_leaf_view", "touched", "writer"]


_SHARED = (
    "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
    "location"
)
_CLONE = "Please clone() the tensor before performing the operation."


def touched(op: str, *tensors: Tensor) -> None:
    """Say that tensors' memory was written in place; where the tape watches it, note by what and where."""
    note = ""
    for t in tensors:
        mem = t.mem
        mem.version += 1
        if type(mem.watch) is tuple:
            note = note or writer(op)
            mem.watch = (*mem.watch, note)[-64:]


def writer(op: str) -> str:
    """The op and the user's line that is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None and is_ours(frame):
        frame = frame.f_back
    return f"{op} at {frame.f_code.co_filename}:{frame.f_lineno}"


def check_writable(t: Tensor, op: str) -> None:
    """Refuse tensors whose elements share memory among themselves, and what nobody may write to.

    Raises:
        RuntimeError: a dimension has stride 0, or they were made in inference mode, which has ended.
    """
    if t.mem.watch is False and not modes.inference:
        raise RuntimeError(
            f"[{op}] Inplace update to inference tensor outside InferenceMode is not allowed: got self: "
            f"{list(t.spec.shape)} {t.spec.dtype.name}. Make a clone() of it to get a normal tensor."
        )
    if not t.spec.dense and any(s == 0 and n > 1 for s, n in zip(t.spec.strides, t.spec.shape, strict=True)):
        raise RuntimeError(
            message(
                op,
                "unsupported operation: more than one element of the written-to tensor refers to a single memory "
                "location",
                do=_CLONE,
                self=t,
            )
        )


def overlaps(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors share some memory without being the same view of it."""
    if a.mem is not b.mem or a.spec.numel == 0 or b.spec.numel == 0:
        return False
    if a.offset == b.offset and a.spec.strides == b.spec.strides and a.spec.shape == b.spec.shape:
        return False
    if a.spec.itemsize != b.spec.itemsize:  # then whole extents are compared
        (al, ah), (bl, bh) = a.spec.extent(), b.spec.extent()
        ka, kb = a.spec.itemsize, b.spec.itemsize
        return (a.offset + al) * ka < (b.offset + bh + 1) * kb and (b.offset + bl) * kb < (
            a.offset + ah + 1
        ) * ka
    steps = [(s, n - 1) for s, n in zip(a.spec.strides, a.spec.shape, strict=True) if n > 1]
    steps += [(-s, n - 1) for s, n in zip(b.spec.strides, b.spec.shape, strict=True) if n > 1]
    steps.sort(key=lambda step: -abs(step[0]))
    return _reaches(steps, b.offset - a.offset, [2000])


def _reaches(steps: list[tuple[int, int]], target: int, budget: list[int]) -> bool:
    """Whether the target is a sum of the steps, each taken 0 to n times; yes, too, where that is hard to say."""
    budget[0] -= 1
    if not steps or budget[0] < 0:
        return target == 0 or budget[0] < 0
    (step, most), rest = steps[0], steps[1:]
    low = sum(s * n for s, n in rest if s < 0)
    high = sum(s * n for s, n in rest if s > 0)
    if step == 0:
        return _reaches(rest, target, budget)
    ends = sorted(((target - low) / step, (target - high) / step))
    first, last = max(0, math.ceil(ends[0])), min(most, math.floor(ends[1]))
    return any(_reaches(rest, target - k * step, budget) for k in range(first, last + 1))


def is_leaf_view(t: Tensor) -> bool:
    """Whether it is a view of a leaf that wants gradients."""
    return t.base is not None and bool(t.base.rg) and t.base.node is None


def check_leaf(t: Tensor, op: str) -> None:
    """Refuse to change a leaf that requires grad.

    Raises:
        RuntimeError: it is one, or a view of one.
    """
    if t.rg and t.grad_fn is None:
        raise RuntimeError(
            f"[{op}] a leaf Variable that requires grad is being used in an in-place operation: got self: "
            f"{list(t.shape)} {t.dtype.name}. Change it under no_grad(), or work on x.clone()."
        )
    if is_leaf_view(t):
        raise RuntimeError(
            f"[{op}] a view of a leaf Variable that requires grad is being used in an in-place operation. Change it "
            "under no_grad(), or work on a clone() of the leaf."
        )


def into(rec: Any, out: Tensor, result: Tensor, given: Sequence[Tensor] = (), casts: Any = True) -> None:
    """Put the result of a record (or of a function, by name) into ``out``, which takes its shape if it has none.

    Args:
        given: the record's tensors.
        casts: what dtypes ``out`` may have, see `Op.casts_out`.

    Raises:
        RuntimeError: the dtype can't be cast, or isn't the result's where it has to be; ``out`` shares
            memory with an argument other than as the whole of it.
    """
    named = isinstance(rec, str)
    op = rec if named else rec.exports[0]
    if not isinstance(out, plans.TENSOR):
        raise TypeError(message(op, "argument 'out' must be a Tensor", out=out))
    if out.spec.device is not result.spec.device:
        raise RuntimeError(message(op, "out= is on another device", "one device", out=out, result=result))
    fits = result.spec.dtype is out.spec.dtype or casts == "any"
    if not fits and not (casts and can_cast(result.spec.dtype, out.spec.dtype)):
        raise RuntimeError(
            f"[{op}] result type {result.dtype.name} can't be cast to the desired output type {out.dtype.name}. "
            "Give out= of the result's dtype."
        )
    check_writable(out, op)
    for t in given:
        both = t is out or (t.mem is out.mem and t.spec.numel and out.spec.numel)
        if overlaps(t, out) or (not named and rec.apart_out and both):
            raise RuntimeError(message(op, _SHARED, do=_CLONE, argument=t, out=out))
    if out.spec.shape != result.spec.shape:
        if out.spec.numel:
            import warnings

            warnings.warn(
                f"[{op}] out= had shape {list(out.shape)} and was resized to {list(result.shape)}; give an empty "
                "tensor or one of the right shape.",
                UserWarning,
                4,
            )
        out.resize_(result.spec.shape)
    backend = registry.backend_of(out.spec.device)
    if out.mem is result.mem:
        result = result.clone()
    if out.spec.flipped:
        flip = registry.OPS["flip_sign"]
        out, result = flip(out), flip(result)
    backend.copy(out, resolved(result))
    touched(op, out)


def inplace(op: Any, t: Tensor, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    """``t.op_(...)``: the op with its result written over its first argument."""
    if not isinstance(t, plans.TENSOR):
        raise TypeError(message(op.name + "_", "argument 'self' must be a Tensor", self=t))
    if WATCHED and modes.watchers:

        def go_on(*a: Any, **k: Any) -> Tensor:
            return inplace(op, a[0], a[1:], k)

        go_on.writes = True  # type: ignore[attr-defined]  # how an interceptor tells it from the op itself
        r: Tensor = past_watchers(op, go_on, (t, *args), kwargs)
        return r
    name = op.name + "_"
    values: Sequence[Any] = (t, *args)
    if kwargs or len(values) > op.n_positional:
        values = op.bind(values, kwargs)
    on = not GRAD_OFF or modes.grad
    if op.kind == "pointwise":
        key, tensors, numbers = op.read(values)
        into = (*key, "into") if type(key) is tuple else (key, "into")
        if not (on and (is_leaf_view(t) or any(x.rg for x in tensors))):
            plan = op.plans.get(into)
            if plan is None or t.mem.watch is False:
                check_writable(t, name)
            if plan is None:
                values = op.bind(values, {}) if len(values) < len(op.params) else list(values)
                op.check_tensors(values)
                if t.spec.flipped:
                    return assign(t, op.apply(values), name)
                values, changed = op.settled(values, tensors)
                if changed:
                    return inplace(op, t, values[1:], {})
                plan = op.plans.keep(into, op.prepare(values, tensors, t.spec))
            for x in tensors[1:]:
                if x.mem is t.mem and overlaps(t, x):
                    raise RuntimeError(message(name, _SHARED, do=_CLONE, self=t, other=x))
            plan.run(*tensors, *numbers)
            if t.mem.watch is None:
                t.mem.version += 1
            else:
                touched(name, t)
            made: Tensor = t
            return made
    if on and (t.rg or is_leaf_view(t) or any(isinstance(v, plans.TENSOR) and v.rg for v in values)):
        check_leaf(t, name)
        check_writable(t, name)
        # Computed aside and then assigned: the rules may read the old value.
        n = op.n_positional
        named = dict(zip(op.names[n:], values[n:], strict=False))
        return assign(t, op(old_value(t), *values[1:n], **named), name)
    check_writable(t, name)
    return assign(t, op.apply(values), name)


def old_value(t: Tensor) -> Tensor:
    """What a tensor is now, as a tensor of its own on the tape: rules may save it, and it is written next."""
    tape.edge_of(t)  # brings the node of a view up to date
    r: Tensor = plans.TENSOR(t.spec, t.mem, t.ptr, t.offset)
    r.node, r.nr, r.rg = t.node, t.nr, t.rg
    return r.clone()


def assign(t: Tensor, value: Tensor, op: str) -> Tensor:
    """Write a value into a tensor and give the tensor the value's history."""
    if t.spec.flipped:
        flip = registry.OPS["flip_sign"]
        assign(flip(t), flip(value.to(t.spec.dtype)), op)
        return t
    value = resolved(value)
    if value.spec.device is not t.spec.device:
        value = value.to(t.spec.device)
    if broadcast_shapes(value.spec.shape, t.spec.shape, op=op) != t.spec.shape:
        raise RuntimeError(
            f"[{op}] output with shape {list(t.shape)} doesn't match the broadcast shape "
            f"{list(broadcast_shapes(value.shape, t.shape))}. Use the out-of-place form."
        )
    if op != "copy_" and not can_cast(value.spec.dtype, t.spec.dtype):
        raise RuntimeError(
            f"[{op}] result type {value.dtype.name} can't be cast to the desired output type {t.dtype.name}. "
            "Use the out-of-place form, or convert with .to()."
        )
    recording = (not GRAD_OFF or modes.grad) and (value.rg or t.rg or is_leaf_view(t))
    if recording:
        check_leaf(t, op)
    check_writable(t, op)
    source = value if value.spec.shape == t.spec.shape else value.expand(t.spec.shape)
    data = source.detach() if source.rg else source
    if overlaps(t, data):
        data = data.clone()
    base = t.base
    if recording and base is not None:
        tape.edge_of(base)
    registry.backend_of(t.spec.device).copy(t, data)
    touched(op, t)
    if recording:
        if source.spec.dtype is not t.spec.dtype:
            source = source.to(t.spec.dtype)
        rebase(t, source)
    return t


class _Overwritten:
    """Gradient rules of writing a constant over a tensor."""

    name = "fill"

    def gradients(self, node: tape.Node, gs: list[Any]) -> list[Any]:
        """Zeros."""
        return [gs[0].new_zeros(node.kind.specs[0].shape)]


_OVERWRITTEN = _Overwritten()


def rebase(t: Tensor, value: Tensor) -> None:
    """Give a tensor that was written in place the history of what was written, and so its views and its base."""
    base = t.base
    if (base is None or not base.rg) and value.rg:
        owner: Any = t if base is None else base
        if owner.seen is not None:
            owner.seen.append(True)  # the views made so far want gradients from now on
            owner.seen = None
    floats = t.spec.dtype.is_floating_point or t.spec.dtype.is_complex
    if base is None:
        if value.rg and floats:
            t.node, t.nr, t.rg = (value.node or _pass_on(value)), value.nr, True
        elif t.rg:
            # Overwritten by a constant: still part of the graph, with a gradient of zeros.
            kind = tape.Kind(_OVERWRITTEN, [t.spec], (t.spec,))
            t.node, t.nr = tape.make_node(kind, [tape.edge_of(t)]), 0
        return
    real = t.spec.dtype is not base.spec.dtype
    if not (base.rg or value.rg) or (real and t.spec.dtype.to_real() is not base.spec.dtype.to_real()):
        return
    old = plans.TENSOR(base.spec, base.mem, base.ptr, base.offset)
    old.node, old.nr, old.rg = base.node, base.nr, base.rg
    whole, spec, start = _memory(tape.edge_of(old), base.spec, base.offset, real)
    value = registry.OPS["flip_sign"](value) if t.spec.flipped else value
    part, place = tape.edge_of(value), t.spec
    if real and place.dtype.is_complex:
        part, place, _ = _memory(part, place, 0, real)
    attrs = {
        "size": place.shape,
        "stride": place.strides,
        "offset": t.offset * (2 if place is not t.spec else 1) - start,
    }
    node = registry.OPS["as_strided_scatter"].rules.node([whole, part], [spec, place], attrs, (spec,))
    base.node, base.nr, base.rg = _elements((node, 0), spec, base.spec)[0], 0, True
    base.seen = base.mem.version
    refresh_view(t)


def _real(spec: Spec) -> Spec:
    """Complex numbers as pairs of real ones."""
    strides = (*(2 * k for k in spec.strides), 1)
    return spec_of(spec.dtype.to_real(), (*spec.shape, 2), spec.device, strides)


def _step(name: str, edge: Any, spec: Spec, out: Spec) -> Any:
    """An edge to what a view makes of something."""
    return None if edge is None else (registry.OPS[name].rules.node([edge], [spec], {}, (out,)), 0)


def _memory(edge: Any, spec: Spec, offset: int, real: bool) -> tuple[Any, Spec, int]:
    """From a tensor's edge that of what its memory holds, as real numbers where it is asked for."""
    if spec.flipped:
        edge = _step("flip_sign", edge, spec, spec)
    if real and spec.dtype.is_complex:
        return _step("view_as_real", edge, spec, _real(spec)), _real(spec), 2 * offset
    return edge, spec, offset


def _elements(edge: Any, held: Spec, spec: Spec) -> Any:
    """From the edge of what the memory holds that of a tensor of a spec."""
    if spec.dtype is not held.dtype:
        edge = _step("view_as_complex", edge, held, spec)
    return _step("flip_sign", edge, spec, spec) if spec.flipped else edge


def _pass_on(leaf: Tensor) -> tape.Node:
    copy = leaf.clone()
    assert copy.node is not None
    return copy.node


def refresh_view(t: Tensor) -> None:
    """Bring the node of a view up to date after its base, or another view of it, was written in place."""
    base = t.base
    assert base is not None
    t.seen = t.mem.version
    real = t.spec.dtype is not base.spec.dtype
    if base.node is None or (real and t.spec.dtype.to_real() is not base.spec.dtype.to_real()):
        if t.node is None and t.rg is not True:
            t.rg = False
        return
    whole, spec, start = _memory((base.node, base.nr), base.spec, base.offset, real)
    place, offset = (_real(t.spec), 2 * t.offset) if real and t.spec.dtype.is_complex else (t.spec, t.offset)
    attrs = {"size": place.shape, "stride": place.strides, "storage_offset": offset, "base_offset": start}
    node = registry.OPS["as_strided"].rules.node([whole], [spec], attrs, (place,))
    t.node, t.nr, t.rg = _elements((node, 0), place, t.spec)[0], 0, True


tape.refresh_view = refresh_view
