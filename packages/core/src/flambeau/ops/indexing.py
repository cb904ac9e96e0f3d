"""``x[index]`` and ``x[index] = value``: views where ints, slices and None allow it, gathers where tensors index.

The geometry of an index of ints and slices is read once per spec; after that ``x[1:3]`` is one look-up and one view.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from .. import dtypes as dt
from .. import plan as plans
from .. import registry
from .._tensor import Tensor
from ..errors import refuse
from ..inplace import assign, check_writable, overlaps, refresh_view, touched
from ..layout import spec_of
from ..op import NUMBERS, composite, resolved
from ..plan import Plan, Table
from ..state import GRAD_OFF, WATCHED, modes
from ..tape import record
from .creation import check_number, fill_with, full
from .gathering import recording
from .index_keys import Advanced, read_index, too_many
from .index_tensors import arranged, eager, fitted, places, put_at, put_copy, take_at
from .masks import count_true, masked_take
from .selecting import index_select
from .slicing import cut_plan, take_cut

__all__ = ["getitem", "setitem"]

#: Prepared views by (spec, int, None or ...), (spec, start, stop, step) and (spec, entries).
_views = Table()
#: Prepared views and indexed dimensions by (spec, entries), a tensor's spec standing for the tensor.
_forms = Table()
#: Prepared launches that put rows, by the specs of the tensor, the index and the values.
_puts = Table()
_PLAIN = frozenset({int, type(None)})


def _entries(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """A hashable form of a tuple of ints, slices, None and Ellipsis.

    Raises:
        KeyError: it holds something else.
    """
    out: list[Any] = []
    for i in index:
        kind = type(i)
        if kind is slice:
            out.append((i.start, i.stop, i.step))
        elif kind is int or i is None or i is Ellipsis:
            out.append(i)
        else:
            raise KeyError
    return tuple(out)


def _key(t: Tensor, index: Any) -> tuple[Any, ...]:
    """Where the plan of a view is kept.

    Raises:
        KeyError: nowhere.
    """
    kind = type(index)
    if kind is slice:
        return t.spec, index.start, index.stop, index.step
    if kind is int or index is None or index is Ellipsis:
        return t.spec, index
    if kind is tuple:
        return t.spec, _entries(index)
    raise KeyError


def _plain(index: Any) -> bool:
    """Whether all bounds of slices are ints, so that the plan may be kept."""
    slices = [i for i in (index if type(index) is tuple else (index,)) if type(i) is slice]
    return all(type(b) in _PLAIN for s in slices for b in (s.start, s.stop, s.step))


def _form(t: Tensor, index: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """A hashable form of a tuple that tensors of int64 and masks may stand in; None for any other."""
    out: list[Any] = []
    for i in index:
        kind = type(i)
        if kind is plans.TENSOR:
            s = i.spec
            if (
                not s.ndim
                or (s.dtype is not dt.int64 and s.dtype is not dt.bool_)
                or s.device is not t.spec.device
            ):
                return None
            out.append(s)
        elif kind is slice:
            out.append((i.start, i.stop, i.step))
        elif kind is int or i is None or i is Ellipsis:
            out.append(i)
        else:
            return None
    return tuple(out)


def _find(t: Tensor, index: Any) -> tuple[Plan, list[Advanced]]:
    """The plan of the view that comes first, and the tensors that then index it."""
    entries = index if type(index) is tuple else (index,)
    form = _form(t, entries)
    try:
        plan, known = _forms[t.spec, form]
        return plan, [(v, k, entries[at]) for v, k, at in known]
    except (KeyError, TypeError):  # TypeError: bounds without a hash; read_index says what is wrong with them
        pass
    key, tensors = read_index(t, index)
    plan = cut_plan(t.spec, key)
    if form is not None and _plain(index):
        at = [n for n, i in enumerate(entries) if type(i) is plans.TENSOR]
        _forms.keep((t.spec, form), (plan, [(v, k, n) for (v, k, _), n in zip(tensors, at, strict=True)]))
    return plan, tensors


def _remember(t: Tensor, index: Any, plan: Plan) -> None:
    """Let the plan of a view be found at once."""
    if _plain(index):
        with suppress(KeyError):
            _views.keep(_key(t, index), plan)


def getitem(t: Tensor, index: Any) -> Tensor:
    """``t[index]``: a view for ints, slices of either sign, None and Ellipsis; a copy for lists, masks, tensors.

    Raises:
        IndexError: out of range, too many entries, or not an index.
    """
    kind = type(index)
    try:
        if kind is slice:
            plan = _views[t.spec, index.start, index.stop, index.step]
        elif kind is int or index is None or index is Ellipsis:
            plan = _views[t.spec, index]
        elif kind is tuple:
            plan = _views[t.spec, _entries(index)]
        elif kind is plans.TENSOR and not WATCHED:
            return _rows(t, index)
        else:
            return _general(t, index)
    except (KeyError, TypeError):
        return _general(t, index)
    if WATCHED:
        return take_cut(t, plan)
    out: Tensor = plan.run(t)
    if t.rg and (not GRAD_OFF or modes.grad):
        record(plan, (t,), (), out)
    return out


def _rows(t: Tensor, index: Tensor) -> Tensor:
    """What an index of one dimension names in the first of ``t``, by a plan that `_general` has left.

    Raises:
        KeyError: there is none.
    """
    plan = _views[t.spec, index.spec]
    try:
        out: Tensor = plan.run(t, index)
    except IndexError:  # a negative place, or one out of range
        return _general(t, index)
    if t.rg and (not GRAD_OFF or modes.grad):
        record(plan, (t, index), (), out)
    return out


def _general(t: Tensor, index: Any) -> Tensor:
    plan, tensors = _find(t, index)
    if not tensors:
        _remember(t, index, plan)
        return take_cut(t, plan)
    part = take_cut(t, plan) if plan.outs[0] is not t.spec else t
    if len(tensors) == 1:
        mask = tensors[0][2]
        if mask.spec.dtype is dt.bool_ and mask.spec.shape == part.spec.shape:
            return masked_take(part, mask, count_true(mask))  # type: ignore[no-any-return]
        if part is t and tensors[0][2] is index and t.spec.ndim and index.spec.ndim == 1:
            known = index_select.plans.get((t.spec, 0, index.spec))
            if known is not None and index.spec.dtype is dt.int64 and eager(t):
                _views.keep((t.spec, index.spec), known)
    return take_at(part, tensors)


# Assignment


def setitem(t: Tensor, index: Any, value: Any) -> None:
    """``t[index] = value``: the value broadcasts and is converted to the tensor's dtype.

    Raises:
        IndexError: as for reading.
        RuntimeError: the value doesn't broadcast to what the index names.
    """
    if type(index) is plans.TENSOR and type(value) in NUMBERS and index.spec.dtype is dt.int64:
        value = as_value(t, value)
    if type(index) is plans.TENSOR and type(value) is plans.TENSOR and not WATCHED:
        put = _puts.get((t.spec, index.spec, value.spec))
        mem = t.mem
        if (
            put
            and mem.watch is not False
            and mem is not value.mem
            and mem is not index.mem
            and not recording(t, value)
        ):
            try:
                put(t.ptr, index.ptr, value.ptr)
            except IndexError:  # a negative place, or one out of range
                pass
            else:
                touched("setitem", t)
                return
    try:
        plan = _views[_key(t, index)]
        tensors: list[Advanced] = []
    except (KeyError, TypeError):
        plan, tensors = _find(t, index)
        if not tensors:
            _remember(t, index, plan)
    if tensors:
        if tensors[0][2] is index and type(value) is plans.TENSOR:
            _remember_put(t, index, value)
        part = take_cut(t, plan) if plan.outs[0] is not t.spec else t
        _put_value(t, part, tensors, value)
        return
    aside = t.spec.flipped or recording(t)
    if type(value) in NUMBERS and not aside:
        number = check_number("setitem", value, t.spec.dtype)
        part = plan.run(t)
        check_writable(part, "setitem")
        fill_with(part, number)
        touched("setitem", t)
        return
    source = resolved(as_value(t, value))
    if not aside and not recording(source):
        part = plan.run(t)
        source = fitted(source, part.spec.shape)
        if source.spec.device is t.spec.device and not overlaps(part, source):
            check_writable(part, "setitem")
            registry.backend_of(t.spec.device).copy(part, source)
            touched("setitem", t)
            return
    else:
        part = take_cut(t, plan)
    assign(part, fitted(source, part.spec.shape), "copy_")
    _notice(t)


def _remember_put(t: Tensor, index: Tensor, value: Tensor) -> None:
    """Let `setitem` find the prepared launch that writes a tensor's rows where another names them."""
    s, i, v = t.spec, index.spec, value.spec
    key = (s, i, v)
    backend = registry.backend_of(s.device)
    if key in _puts or i.dtype is not dt.int64 or i.ndim != 1 or not s.ndim or not backend.addressed:
        return
    fits = v.dtype is s.dtype and not v.flipped and v.device is s.device and i.device is s.device and eager(t)
    shape = (*i.shape, *s.shape[1:])
    if fits and s.dense and (v.shape == shape or not v.ndim):
        places = spec_of(i.dtype, shape, i.device, (*i.strides, *(0,) * (s.ndim - 1)))
        v = v if v.ndim else spec_of(v.dtype, shape, v.device, (0,) * len(shape))
        _puts.keep(key, backend.plan("scatter", (s,), (places, v), {"dim": 0, "reduce": None}))


def _notice(t: Tensor) -> None:
    """A view through which its base was written in a recorded way has a history now."""
    if t.base is not None and t.base.rg and t.seen != t.mem.version:
        refresh_view(t)


def as_value(t: Tensor, value: Any) -> Tensor:
    """What is assigned, as a tensor.

    Raises:
        TypeError: it can't be one.
    """
    if isinstance(value, plans.TENSOR):
        return value  # type: ignore[no-any-return]
    if type(value) in NUMBERS:
        return full((), check_number("setitem", value, t.spec.dtype), dtype=t.spec.dtype, device=t.device)  # type: ignore[no-any-return]
    if isinstance(value, str) or not (hasattr(value, "__array__") or hasattr(value, "__len__")):
        wrong = f"can't assign a {type(value).__name__} to a {t.dtype.name} tensor: needed: a number, a "
        wrong += "tensor, an array or a list of numbers"
        refuse("setitem", wrong, error=TypeError)
    from .interop import as_tensor

    return as_tensor(value, device=t.device)


def _put_value(t: Tensor, part: Any, tensors: list[Advanced], value: Any) -> None:
    """Assign to what tensors name in a view."""
    first = tensors[0]
    single = len(tensors) == 1 and first[2].spec.dtype is dt.bool_
    if single and (type(value) in NUMBERS or (isinstance(value, plans.TENSOR) and not value.spec.ndim)):
        v, k, mask = first
        trailing = part.spec.ndim - v - k
        mask = mask.reshape((*mask.spec.shape, *(1,) * trailing)) if trailing else mask
        if mask.spec.ndim == part.spec.ndim or k:
            part.masked_fill_(mask, value)
            _notice(t)
            return
    source = as_value(t, value)
    if source.spec.device is not t.spec.device:
        source = source.to(t.spec.device)
    put_at(part, tensors, source.to(t.spec.dtype), False, "setitem")
    _notice(t)


def _listed_indices(op: str, self: Tensor, indices: Sequence[Any], values: Any) -> list[Advanced]:
    if values.spec.dtype is not self.spec.dtype:
        wrong = f"Index put requires the source and destination dtypes match, got {self.dtype.name} for the "
        wrong += f"destination and {values.dtype.name} for the source"
        refuse(op, wrong)
    entries = tuple(slice(None) if i is None else i for i in indices)
    if not entries or len(entries) > max(self.spec.ndim, 1):
        raise too_many(self.spec.ndim)
    return read_index(
        self, tuple(i.reshape(1) if isinstance(i, plans.TENSOR) and not i.spec.ndim else i for i in entries)
    )[1]


@composite()
def index_put(
    self: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False
) -> Tensor:
    """A copy with values put (or added) where index tensors, one per dimension or None, name places."""
    tensors = _listed_indices("index_put", self, indices, values)
    x, d, k, _ = arranged(self, tensors)
    place = places(self, tensors)
    source = fitted(values, (*x.spec.shape[:d], *place.spec.shape, *x.spec.shape[d + k :]))
    return put_copy(self, tensors, source, "sum" if accumulate else None, place)  # type: ignore[no-any-return]


@composite(function=False, name="index_put_in_place", export="index_put_")
def index_put_(
    self: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False
) -> Tensor:
    """In-place form of `index_put`."""
    tensors = _listed_indices("index_put_", self, indices, values)
    return put_at(self, tensors, values, accumulate, "index_put_")  # type: ignore[no-any-return]
