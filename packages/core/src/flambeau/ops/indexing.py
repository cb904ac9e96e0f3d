"""``x[index]`` and ``x[index] = value``: views where ints, slices and None allow it, gathers where tensors index.

The geometry of an index of ints and slices is read once per spec; after that ``x[1:3]`` is one look-up and one view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import dtypes as dt
from .. import op as opmod
from .. import registry
from ..inplace import assign, check_writable, overlaps, refresh_view, touched
from ..layout import broadcast_shapes, view_strides
from ..op import CACHES, NUMBERS, composite, view_of
from ..pointwise import pointwise
from ..program import call, select
from ..state import GRAD_OFF, WATCHED, modes
from .creation import check_number, fill_with, full
from .gathering import recording, scatter_at
from .index_keys import Advanced, read_index, too_many
from .masks import flat_nonzero
from .slicing import Plan, cut_plan, take_cut
from .views import permute

if TYPE_CHECKING:
    from .._tensor import Tensor
    from ..program import Number

__all__ = ["getitem", "setitem"]

_CAPACITY = 1 << 14
#: Plans of views by (spec, int), (spec, start, stop, step) and (spec, entries).
_by_int: dict[Any, Plan] = {}
_by_slice: dict[Any, Plan] = {}
_by_tuple: dict[Any, Plan] = {}
CACHES.extend((_by_int, _by_slice, _by_tuple))
_PLAIN = frozenset({int, type(None)})


def _entries(index: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """A hashable form of a tuple of ints, slices, None and Ellipsis; None for any other."""
    out: list[Any] = []
    for i in index:
        kind = type(i)
        if kind is slice:
            out.append((i.start, i.stop, i.step))
        elif kind is int or i is None or i is Ellipsis:
            out.append(i)
        else:
            return None
    return tuple(out)


def _look_up(t: Tensor, index: Any) -> tuple[Plan | None, dict[Any, Plan], Any]:
    """The plan of a view if it is known, and where to keep it."""
    kind = type(index)
    if kind is tuple:
        key = _entries(index)
        return _by_tuple.get((t.spec, key)), _by_tuple, None if key is None else (t.spec, key)
    if kind is slice:
        whole = (t.spec, index.start, index.stop, index.step)
        return _by_slice.get(whole), _by_slice, whole
    if kind is int:
        return _by_int.get((t.spec, index)), _by_int, (t.spec, index)
    return None, _by_tuple, None


def _plain(index: Any) -> bool:
    """Whether all bounds of slices are ints, so that the plan may be kept."""
    slices = [i for i in (index if type(index) is tuple else (index,)) if type(i) is slice]
    return all(type(b) in _PLAIN for s in slices for b in (s.start, s.stop, s.step))


def _find(t: Tensor, index: Any) -> tuple[Plan, list[Advanced]]:
    """The plan of the view that comes first, and the tensors that then index it."""
    try:
        plan, cache, key = _look_up(t, index)
    except TypeError:  # bounds that have no hash: read_index says what is wrong with them
        plan, cache, key = None, _by_tuple, None
    if plan is not None:
        return plan, []
    view_key, tensors = read_index(t, index)
    plan = cut_plan(t.spec, view_key)
    if key is not None and not tensors and _plain(index):
        if len(cache) >= _CAPACITY:
            cache.clear()
        cache[key] = plan
    return plan, tensors


def getitem(t: Tensor, index: Any) -> Tensor:
    """``t[index]``: a view for ints, slices of either sign, None and Ellipsis; a copy for lists, masks, tensors.

    Raises:
        IndexError: out of range, too many entries, or not an index.
    """
    kind = type(index)
    try:
        if kind is slice:
            plan = _by_slice[t.spec, index.start, index.stop, index.step]
        elif kind is int:
            plan = _by_int[t.spec, index]
        elif kind is tuple:
            plan = _by_tuple[t.spec, _entries(index)]
        else:
            return _general(t, index)
    except (KeyError, TypeError):
        return _general(t, index)
    if (t.rg and (not GRAD_OFF or modes.grad)) or WATCHED:
        return take_cut(t, plan)
    return view_of(t, plan[0], plan[1])


def _general(t: Tensor, index: Any) -> Tensor:
    plan, tensors = _find(t, index)
    if not tensors:
        return take_cut(t, plan)
    part = take_cut(t, plan) if plan[0] is not t.spec else t
    return _take(part, tensors)


# Tensors as indices


@pointwise(method=False, function=False, name="wrap_place")
def _wrap(self: Tensor, size: Number) -> Any:
    """A place with negative ones counted from the end; -1 if it is out of range."""
    bad = call("ge", self, size) | call("lt", self, call("neg", size))
    return select(bad, -1, select(call("lt", self, 0), self + size, self))


@pointwise(method=False, function=False, name="next_place")
def _next(self: Tensor, other: Tensor, size: Number) -> Any:
    """The place in two dimensions as one number, the second of a size; -1 if either is -1."""
    bad = call("lt", self, 0) | call("lt", other, 0)
    return select(bad, -1, self * size + other)


def _places(part: Tensor, tensors: Sequence[Advanced]) -> Any:
    """One tensor of flat places in the indexed dimensions taken together."""
    shapes, found, size = [], [], 1
    place: Any = None
    for v, k, i in tensors:
        size = 1
        for n in part.spec.shape[v : v + k]:
            size *= n
        one = flat_nonzero(i) if i.spec.dtype is dt.bool_ else _wrap(i, size)
        shapes.append(list(one.shape))
        found.append((one, size))
    try:
        broadcast_shapes(*shapes)
    except RuntimeError:
        raise IndexError(
            "[getitem] shape mismatch: indexing tensors could not be broadcast together with shapes "
            + ", ".join(map(str, shapes))
            + "."
        ) from None
    for one, size in found:
        place = one if place is None else _next(place, one, size)
    return place


def _out_of_range(part: Tensor, tensors: Sequence[Advanced]) -> IndexError | None:
    """Which place is out of range."""
    for v, _, i in tensors:
        if i.spec.dtype is not dt.bool_ and i.spec.numel:
            n = part.spec.shape[v]
            for worst in (int(i.amax()), int(i.amin())):
                if not -n <= worst < n:
                    return IndexError(
                        f"[getitem] index {worst} is out of bounds for dimension {v} with size {n}."
                    )
    return None


def _arranged(part: Any, tensors: Sequence[Advanced]) -> tuple[Any, int, int, tuple[int, ...] | None]:
    """The view with its indexed dimensions side by side: also the first of them, their number, the order of dims."""
    dims = [d for v, k, _ in tensors for d in range(v, v + k)]
    if dims == list(range(dims[0], dims[0] + len(dims))):
        return part, dims[0], len(dims), None
    order = (*dims, *(d for d in range(part.spec.ndim) if d not in dims))
    return permute(part, order), 0, len(dims), order


def _merged(x: Any, d: int, k: int) -> Any:
    """Dimensions ``d`` to ``d + k - 1`` as one."""
    if k == 1:
        return x
    size = 1
    for n in x.spec.shape[d : d + k]:
        size *= n
    return x.reshape((*x.spec.shape[:d], size, *x.spec.shape[d + k :]))


def _take(part: Tensor, tensors: Sequence[Advanced]) -> Tensor:
    x, d, k, _ = _arranged(part, tensors)
    place = _places(part, tensors)
    shape = (*x.spec.shape[:d], *place.spec.shape, *x.spec.shape[d + k :])
    flat = place if place.spec.ndim == 1 else place.reshape(-1)
    try:
        rows = _merged(x, d, k).index_select(d, flat)
    except IndexError as e:
        raise (_out_of_range(part, tensors) or e) from None
    return rows if rows.spec.shape == shape else rows.reshape(shape)  # type: ignore[no-any-return]


# Assignment


def setitem(t: Tensor, index: Any, value: Any) -> None:
    """``t[index] = value``: the value broadcasts and is converted to the tensor's dtype.

    Raises:
        IndexError: as for reading.
        RuntimeError: the value doesn't broadcast to what the index names.
    """
    plan, tensors = _find(t, index)
    if tensors:
        part = take_cut(t, plan) if plan[0] is not t.spec else t
        _put_value(t, part, tensors, value)
        return
    if type(value) in NUMBERS and not recording(t):
        number = check_number("setitem", value, t.spec.dtype)
        part = view_of(t, plan[0], plan[1])
        check_writable(part, "setitem")
        fill_with(part, number)
        touched(t, "setitem")
        return
    source = as_value(t, value)
    if not recording(t, source):
        part = view_of(t, plan[0], plan[1])
        source = fitted(source, part.spec.shape)
        if source.spec.device is t.spec.device and not overlaps(part, source):
            check_writable(part, "setitem")
            registry.backend_of(t.spec.device).copy(part, source)
            touched(t, "setitem")
            return
    else:
        part = take_cut(t, plan)
    assign(part, fitted(source, part.spec.shape), "copy_")
    _notice(t)


def _notice(t: Tensor) -> None:
    """A view through which its base was written in a recorded way has a history now."""
    if t.base is not None and t.base.rg and t.seen != t.mem.version:
        refresh_view(t)


def as_value(t: Tensor, value: Any) -> Tensor:
    """What is assigned, as a tensor.

    Raises:
        TypeError: it can't be one.
    """
    if isinstance(value, opmod.TENSOR):
        return value  # type: ignore[no-any-return]
    if type(value) in NUMBERS:
        return full((), check_number("setitem", value, t.spec.dtype), dtype=t.spec.dtype, device=t.device)  # type: ignore[no-any-return]
    if isinstance(value, str) or not (hasattr(value, "__array__") or hasattr(value, "__len__")):
        raise TypeError(
            f"[setitem] can't assign a {type(value).__name__} to a {t.dtype.name} tensor: needed: a number, a tensor, "
            "an array or a list of numbers."
        )
    from ..interop import as_tensor

    return as_tensor(value, device=t.device)


def fitted(value: Any, shape: Sequence[int]) -> Any:
    """A value expanded to the shape that it is assigned to; leading sizes of 1 may be too many."""
    have = value.spec.shape
    if have == shape:
        return value
    lead = len(have) - len(shape)
    if lead > 0 and all(n == 1 for n in have[:lead]):
        value = value.reshape(have[lead:])
    try:
        return value.expand(shape)
    except RuntimeError:
        raise RuntimeError(
            f"[setitem] shape mismatch: value tensor of shape {list(have)} cannot be broadcast to indexing result of "
            f"shape {list(shape)}."
        ) from None


def _put_value(t: Tensor, part: Any, tensors: list[Advanced], value: Any) -> None:
    """Assign to what tensors name in a view."""
    first = tensors[0]
    single = len(tensors) == 1 and first[2].spec.dtype is dt.bool_
    if single and (type(value) in NUMBERS or (isinstance(value, opmod.TENSOR) and not value.spec.ndim)):
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


def put_at(part: Any, tensors: Sequence[Advanced], source: Any, accumulate: bool, op: str) -> Any:
    """Write into a tensor where tensors name places, directly where nothing is recorded."""
    reduce = "sum" if accumulate else None
    x, d, k, _ = _arranged(part, tensors)
    shape = x.spec.shape
    place = _places(part, tensors)
    source = fitted(source, (*shape[:d], *place.spec.shape, *shape[d + k :]))
    size = 1
    for n in shape[d : d + k]:
        size *= n
    flat_shape = (*shape[:d], size, *shape[d + k :])
    direct = part.mem is not source.mem and not recording(part, source)
    if direct and view_strides(shape, x.spec.strides, flat_shape) is not None:
        check_writable(part, op)
        target, at, rows = _merged(x, d, k), *_lines(place, source, d, flat_shape)
        try:
            registry.backend_of(target.spec.device).scatter(target, d, at, rows, reduce)
        except IndexError as e:
            raise (_out_of_range(part, tensors) or e) from None
        touched(part, op)
        return part
    return assign(part, put_copy(part, tensors, source, reduce, place), op)


def _lines(place: Any, source: Any, d: int, flat_shape: Sequence[int]) -> tuple[Any, Any]:
    """Places and values with the indexed dimensions as one."""
    n = place.spec.numel
    rows_shape = (*flat_shape[:d], n, *flat_shape[d + 1 :])
    at = place.reshape((n, *(1,) * (len(flat_shape) - d - 1))).expand(rows_shape)
    return at, source if source.spec.shape == rows_shape else source.reshape(rows_shape)


def put_copy(part: Any, tensors: Sequence[Advanced], source: Any, reduce: str | None, place: Any) -> Any:
    """A copy of a tensor with values put where tensors name places."""
    x, d, k, order = _arranged(part, tensors)
    flat = _merged(x, d, k)
    at, rows = _lines(place, source, d, flat.spec.shape)
    try:
        out = scatter_at(flat, d, at, rows, reduce).reshape(x.spec.shape)
    except IndexError as e:
        raise (_out_of_range(part, tensors) or e) from None
    if order is None:
        return out
    back = [0] * len(order)
    for to, dim in enumerate(order):
        back[dim] = to
    return permute(out, tuple(back))


def _listed_indices(op: str, self: Tensor, indices: Sequence[Any], values: Any) -> list[Advanced]:
    if values.spec.dtype is not self.spec.dtype:
        raise RuntimeError(
            f"[{op}] Index put requires the source and destination dtypes match, got {self.dtype.name} for the "
            f"destination and {values.dtype.name} for the source."
        )
    entries = tuple(slice(None) if i is None else i for i in indices)
    if not entries or len(entries) > max(self.spec.ndim, 1):
        raise too_many(self.spec.ndim)
    return read_index(
        self, tuple(i.reshape(1) if isinstance(i, opmod.TENSOR) and not i.spec.ndim else i for i in entries)
    )[1]


@composite()
def index_put(
    self: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False
) -> Tensor:
    """A copy with values put (or added) where index tensors, one per dimension or None, name places."""
    tensors = _listed_indices("index_put", self, indices, values)
    x, d, k, _ = _arranged(self, tensors)
    place = _places(self, tensors)
    source = fitted(values, (*x.spec.shape[:d], *place.spec.shape, *x.spec.shape[d + k :]))
    return put_copy(self, tensors, source, "sum" if accumulate else None, place)  # type: ignore[no-any-return]


@composite(function=False, name="index_put_in_place", export="index_put_")
def index_put_(
    self: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False
) -> Tensor:
    """In-place form of `index_put`."""
    tensors = _listed_indices("index_put_", self, indices, values)
    return put_at(self, tensors, values, accumulate, "index_put_")  # type: ignore[no-any-return]
