"""Dimensions indexed by tensors: places as one number, rows taken at them, values put at them.

Index tensors become one tensor of flat places in the dimensions that they index; -1 stands for a place out of range,
which kernels refuse, so that nothing has to be read back to check it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import dtypes as dt
from .. import registry
from .._tensor import Tensor
from ..inplace import assign, check_writable, touched
from ..layout import broadcast_shapes, view_strides
from ..op import resolved
from ..program import Number, call, select
from .gathering import recording, scatter_at
from .index_keys import Advanced
from .masks import flat_nonzero
from .pointwise import pointwise
from .selecting import index_select
from .views import permute

__all__ = ["arranged", "eager", "fitted", "places", "put_at", "put_copy", "take_at"]

_select = index_select.short()


@pointwise(public=False, name="wrap_place")
def _wrap(self: Tensor, size: Number) -> Any:
    """A place with negative ones counted from the end; -1 if it is out of range."""
    bad = call("ge", self, size) | call("lt", self, call("neg", size))
    return select(bad, -1, select(call("lt", self, 0), self + size, self))


@pointwise(public=False, name="next_place")
def _next(self: Tensor, other: Tensor, size: Number) -> Any:
    """The place in two dimensions as one number, the second of a size; -1 if either is -1."""
    bad = call("lt", self, 0) | call("lt", other, 0)
    return select(bad, -1, self * size + other)


@pointwise(public=False, name="two_places")
def _two(self: Tensor, other: Tensor, rows: Number, columns: Number) -> Any:
    """Places in two dimensions as one number; negative ones count from the end; -1 if one is out of range."""
    bad = call("ge", self, rows) | call("lt", self, call("neg", rows))
    bad = bad | call("ge", other, columns) | call("lt", other, call("neg", columns))
    a = select(call("lt", self, 0), self + rows, self)
    b = select(call("lt", other, 0), other + columns, other)
    return select(bad, -1, a * columns + b)


def places(part: Tensor, tensors: Sequence[Advanced], wrap: bool = True) -> Any:
    """One tensor of flat places in the indexed dimensions taken together; ``wrap``: negative ones made positive."""
    shape = part.spec.shape
    if len(tensors) == 1:
        v, _, i = tensors[0]
        if i.spec.dtype is dt.bool_:
            return flat_nonzero(i)
        return _wrap(i, shape[v]) if wrap else i
    masks = [i.spec.dtype is dt.bool_ for _, _, i in tensors]
    ones = [flat_nonzero(i) if m else i for (_, _, i), m in zip(tensors, masks, strict=True)]
    try:
        broadcast_shapes(*[one.spec.shape for one in ones])
    except RuntimeError:
        raise IndexError(
            "[getitem] shape mismatch: indexing tensors could not be broadcast together with shapes "
            + ", ".join(str(list(one.shape)) for one in ones)
            + "."
        ) from None
    sizes = [_count(shape[v : v + k]) for v, k, _ in tensors]
    if len(ones) == 2:
        return _two(*ones, *sizes)
    place = _wrap(ones[0], sizes[0])
    for one, size in zip(ones[1:], sizes[1:], strict=True):
        place = _next(place, _wrap(one, size), size)
    return place


def _count(sizes: Sequence[int]) -> int:
    n = 1
    for size in sizes:
        n *= size
    return n


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


def arranged(part: Any, tensors: Sequence[Advanced]) -> tuple[Any, int, int, tuple[int, ...] | None]:
    """The view with its indexed dimensions side by side: also the first of them, their number, the order of dims."""
    dims = [d for v, k, _ in tensors for d in range(v, v + k)]
    if dims == list(range(dims[0], dims[0] + len(dims))):
        return part, dims[0], len(dims), None
    order = (*dims, *(d for d in range(part.spec.ndim) if d not in dims))
    return permute(part, order), 0, len(dims), order


def _merged(x: Any, d: int, k: int) -> Any:
    """Dimensions ``d`` to ``d + k - 1`` as one."""
    shape = x.spec.shape
    return x if k == 1 else x.reshape((*shape[:d], _count(shape[d : d + k]), *shape[d + k :]))


def eager(t: Any) -> bool:
    """Whether a kernel's IndexError comes at once, so that negative places need a second look only after one."""
    return not registry.backend_of(t.spec.device).asynchronous


def take_at(part: Tensor, tensors: Sequence[Advanced]) -> Tensor:
    x, d, k, _ = arranged(part, tensors)
    source = _merged(x, d, k)
    late = len(tensors) == 1 and eager(part)
    place = places(part, tensors, not late)
    flat = place if place.spec.ndim == 1 else place.reshape(-1)
    try:
        rows = _select(source, d, flat)
    except IndexError as e:
        if not late:
            raise (_out_of_range(part, tensors) or e) from None
        try:
            rows = _select(source, d, _wrap(flat, source.spec.shape[d]))
        except IndexError:
            raise (_out_of_range(part, tensors) or e) from None
    if k == 1 and place.spec.ndim == 1:
        return rows  # type: ignore[no-any-return]
    shape = x.spec.shape
    return rows.reshape((*shape[:d], *place.spec.shape, *shape[d + k :]))  # type: ignore[no-any-return]


# Writing


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


def put_at(part: Any, tensors: Sequence[Advanced], source: Any, accumulate: bool, op: str) -> Any:
    """Write into a tensor where tensors name places, directly where nothing is recorded."""
    reduce = "sum" if accumulate else None
    x, d, k, _ = arranged(part, tensors)
    shape = x.spec.shape
    flat_shape = (*shape[:d], _count(shape[d : d + k]), *shape[d + k :])
    source = resolved(source)
    direct = part.mem is not source.mem and not part.spec.flipped and not recording(part, source)
    direct = direct and (k == 1 or view_strides(shape, x.spec.strides, flat_shape) is not None)
    late = (
        direct and reduce is None and len(tensors) == 1 and part.mem is not tensors[0][2].mem and eager(part)
    )
    place = places(part, tensors, not late)
    source = fitted(source, (*shape[:d], *place.spec.shape, *shape[d + k :]))
    if direct:
        check_writable(part, op)
        target, at, rows = _merged(x, d, k), *_lines(place, source, d, flat_shape)
        scatter = registry.backend_of(target.spec.device).scatter
        try:
            scatter(target, d, at, rows, reduce)
        except IndexError as e:
            bad = _out_of_range(part, tensors)
            if bad is not None or not late:
                raise (bad or e) from None
            scatter(target, d, _wrap(at, flat_shape[d]), rows, None)
        touched(op, part)
        return part
    return assign(part, put_copy(part, tensors, source, reduce, place), op)


def _lines(place: Any, source: Any, d: int, flat_shape: Sequence[int]) -> tuple[Any, Any]:
    """Places and values with the indexed dimensions as one."""
    n = place.spec.numel
    rows_shape = (*flat_shape[:d], n, *flat_shape[d + 1 :])
    after = len(flat_shape) - d - 1
    at = place if place.spec.ndim == 1 and not after else place.reshape((n, *(1,) * after))
    at = at if at.spec.shape == rows_shape else at.expand(rows_shape)
    return at, source if source.spec.shape == rows_shape else source.reshape(rows_shape)


def put_copy(part: Any, tensors: Sequence[Advanced], source: Any, reduce: str | None, place: Any) -> Any:
    """A copy of a tensor with values put where tensors name places."""
    x, d, k, order = arranged(part, tensors)
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
