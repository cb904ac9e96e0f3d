"""Writing into tensors that exist: in-place forms and ``out=``."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import plan as plans
from . import registry, tape
from .dtypes import DType, can_cast
from .errors import is_ours, refuse
from .layout import broadcast_shapes
from .plan import resolved
from .rebase import rebase, refresh_view
from .record import Op
from .state import GRAD_OFF, WATCHED, modes, past_watchers

if TYPE_CHECKING:
    from ._tensor import Tensor

__all__ = [
    "assign", "check_cast", "check_shape", "inplace", "into", "is_leaf_view", "put_out", "refresh_view", "touched",
    "write_out", "writer",
]  # fmt: skip


_SHARED = "unsupported operation: some elements of the input tensor and the written-to tensor refer to"
_SHARED += " a single memory location"
_REPEATED = (
    "unsupported operation: more than one element of the written-to tensor refers to a single memory location"
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
        wrong = "Inplace update to inference tensor outside InferenceMode is not allowed"
        refuse(op, wrong, do="Make a clone() of it to get a normal tensor.", self=t)
    if not t.spec.dense and any(s == 0 and n > 1 for s, n in zip(t.spec.strides, t.spec.shape, strict=True)):
        refuse(op, _REPEATED, do=_CLONE, self=t)


def overlaps(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors share some memory without being the same view of it."""
    if a.mem is not b.mem or a.spec.numel == 0 or b.spec.numel == 0:
        return False
    if a.offset == b.offset and a.spec.strides == b.spec.strides and a.spec.shape == b.spec.shape:
        return False
    if a.spec.itemsize != b.spec.itemsize:  # then whole extents are compared
        (al, ah), (bl, bh) = ([(t.offset + n) * t.spec.itemsize for n in t.spec.extent()] for t in (a, b))
        return al < bh + b.spec.itemsize and bl < ah + a.spec.itemsize
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
    what = "" if t.rg and t.grad_fn is None else "a view of " if is_leaf_view(t) else None
    if what is not None:
        wrong = f"{what}a leaf Variable that requires grad is being used in an in-place operation"
        refuse(op, wrong, do="Change it under no_grad(), or work on a clone() of the leaf.", self=t)


def check_cast(op: str, have: DType, want: DType) -> None:
    """Refuse a result whose dtype doesn't cast to that of the tensor that it is written to.

    Raises:
        RuntimeError: it is of a higher kind.
    """
    if not can_cast(have, want):
        wrong = f"result type {have.name} can't be cast to the desired output type {want.name}"
        refuse(op, wrong, do="Use the out-of-place form, or convert with .to().")


def check_shape(op: str, have: Sequence[int], want: Sequence[int]) -> None:
    """Refuse a result of another shape than the tensor that it is written to.

    Raises:
        RuntimeError: the shapes differ.
    """
    if tuple(have) != tuple(want):
        wrong = f"output with shape {list(want)} doesn't match the broadcast shape {list(have)}"
        refuse(op, wrong, do="Use the out-of-place form.")


def write_out(op: Op, values: list[Any], out: Any) -> Any:
    """Run an op and put its results where ``out`` says.

    Raises:
        RuntimeError: a dtype that can't be cast to that of ``out``, another device, or gradients are asked for.
    """
    k = op.index.get("dtype", -1)
    if k >= 0 and values[k] is None and isinstance(out, plans.TENSOR) and op.params[k].keyword:
        values[k] = out.spec.dtype
    if modes.grad and any(isinstance(v, plans.TENSOR) and v.rg for v in values):
        wrong = "functions with out=... arguments don't support automatic differentiation"
        refuse(op.name, f"{wrong}, but one of the arguments requires grad", do="Drop out=, or use no_grad().")
    planned = op.tensor_at and op.kind != "composite"
    if planned and isinstance(out, plans.TENSOR) and not out.rg and out.mem.watch is None:
        key, tensors, numbers = op.read(values)
        plan: Any = op.plans.get(key)
        launch = None if plan is None else getattr(plan.run, "launch", None)
        if launch and plan.outs[0] is out.spec and all(t.mem is not out.mem for t in tensors):
            launch(out.ptr, *[t.ptr for t in tensors], *numbers)
            out.mem.version += 1
            return out
    return put_out(op, values, op.apply(values), out)


def put_out(op: Op, values: Sequence[Any], result: Any, out: Any) -> Any:
    """Put an op's results where ``out`` says."""
    flat = [t for v in values for t in (v if isinstance(v, (list, tuple)) else (v,))]
    given = [t for t in flat if isinstance(t, plans.TENSOR)]
    casts = op.casts_out(*values) if callable(op.casts_out) else op.casts_out
    if isinstance(result, (tuple, list)):
        if len(out) != len(result):
            refuse(op.name, f"out= needs {len(result)} tensors: got {len(out)}")
        for r, o in zip(result, out, strict=True):
            into(op, o, r, given, casts == "any" and casts)
        return type(result)(*out) if hasattr(result, "_fields") else tuple(out)
    into(op, out, result, given, casts)
    return out


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
        refuse(op, "argument 'out' must be a Tensor", error=TypeError, out=out)
    if out.spec.device is not result.spec.device:
        refuse(op, "out= is on another device", "one device", out=out, result=result)
    fits = result.spec.dtype is out.spec.dtype or casts == "any"
    if not fits and not (casts and can_cast(result.spec.dtype, out.spec.dtype)):
        wrong = f"result type {result.dtype.name} can't be cast to the desired output type {out.dtype.name}"
        refuse(op, wrong, do="Give out= of the result's dtype.")
    check_writable(out, op)
    for t in given:
        both = t is out or (t.mem is out.mem and t.spec.numel and out.spec.numel)
        if overlaps(t, out) or (not named and rec.apart_out and both):
            refuse(op, _SHARED, do=_CLONE, argument=t, out=out)
    if out.spec.shape != result.spec.shape:
        if out.spec.numel:
            import warnings

            done = f"out= had shape {list(out.shape)} and was resized to {list(result.shape)}"
            warnings.warn(f"[{op}] {done}; give an empty tensor or one of the right shape.", UserWarning, 4)
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
        refuse(op.name + "_", "argument 'self' must be a Tensor", error=TypeError, self=t)
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
                    refuse(name, _SHARED, do=_CLONE, self=t, other=x)
            plan.run(*tensors, *numbers)
            if t.mem.watch is None:
                t.mem.version += 1
            else:
                touched(name, t)
            return t  # type: ignore[no-any-return]
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
    if value.spec.shape != t.spec.shape:
        check_shape(op, broadcast_shapes(value.spec.shape, t.spec.shape, op=op), t.spec.shape)
    if op != "copy_":
        check_cast(op, value.spec.dtype, t.spec.dtype)
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
