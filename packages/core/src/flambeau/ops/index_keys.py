"""Reading the brackets of ``x[...]``: which part is a view, and which of its dimensions tensors index."""

from __future__ import annotations

import warnings
from typing import Any

from .. import dtypes as dt
from .. import plan as plans
from .._tensor import Tensor
from ..errors import refuse
from ..layout import Spec
from .slicing import Key

__all__ = ["Advanced", "read_index", "too_many"]

#: A tensor that indexes: the view's first dimension that it indexes, how many it does, and the tensor.
Advanced = tuple[int, int, "Tensor"]
_NEEDED = (
    "integers, slices (`:`), ellipsis (`...`), None and long, int, byte or bool tensors are valid indices"
)


class Flag:
    """A Python bool as an index: a new dimension of size 1 or 0."""

    __slots__ = ("value",)

    def __init__(self, value: bool) -> None:
        self.value = value


def too_many(ndim: int) -> IndexError:
    """The error of an index with more entries than dimensions."""
    if not ndim:
        return IndexError(
            "[getitem] invalid index of a 0-dim tensor. Use `tensor.item()` to convert a 0-dim tensor to a number."
        )
    return IndexError(f"[getitem] too many indices for tensor of dimension {ndim}.")


def _as_tuple(index: Any) -> tuple[Any, ...]:
    """The entries of an index; a list that holds more than plain numbers counts as a tuple, as in PyTorch."""
    if isinstance(index, tuple):
        return index
    if type(index) is list and len(index) < 32:
        nested = (slice, list, tuple, type(None), type(Ellipsis), plans.TENSOR)
        if any(isinstance(i, nested) for i in index):
            warnings.warn(
                "[getitem] Using a non-tuple sequence for multidimensional indexing is deprecated; use x[tuple(seq)], "
                "or x[tensor(seq)] for an index of several dimensions.",
                UserWarning,
                stacklevel=4,
            )
            return tuple(index)
    return (index,)


_INDICES = frozenset({dt.bool_, dt.int32, dt.int64})


def _entry(i: Any, t: Tensor) -> Any:
    """An entry as an int, a slice, None, Ellipsis, a `Flag` or a tensor of bools or int64."""
    if i is None or i is Ellipsis or type(i) is int or type(i) is slice:
        return i
    if isinstance(i, bool):
        return Flag(i)
    if not isinstance(i, plans.TENSOR):
        if hasattr(i, "__index__") and not hasattr(i, "dtype"):
            return i.__index__()
        if isinstance(i, slice):
            return i
        if isinstance(i, str) or not (hasattr(i, "__array__") or hasattr(i, "__len__")):
            raise IndexError(f"[getitem] only {_NEEDED} (got {type(i).__name__}).")
        from .interop import as_tensor

        i = as_tensor([] if not hasattr(i, "dtype") and not len(i) else i)
        if not i.spec.numel and i.spec.dtype.is_floating_point and i.spec.ndim == 1:
            i = i.long()
    d = i.spec.dtype
    if d is dt.uint8:
        warnings.warn(
            "[getitem] indexing with dtype flambeau.uint8 is now deprecated, please use a dtype flambeau.bool instead.",
            UserWarning,
            stacklevel=5,
        )
        i, d = i != 0, dt.bool_
    if d.rank > 1 or (i.spec.ndim and d not in _INDICES):
        wrong = f"tensors used as indices must be long, int, byte or bool tensors: got {list(i.shape)} "
        wrong += f"{d.name}"
        refuse("getitem", wrong, do="Convert with .long().", error=IndexError)
    if not i.spec.ndim:
        return Flag(bool(i)) if d is dt.bool_ else int(i)
    if i.spec.device is not t.spec.device:
        if i.spec.device.type != "cpu":
            wrong = "indices should be either on cpu or on the same device as the indexed tensor "
            wrong += f"({t.device}): got {i.device}"
            refuse("getitem", wrong, do="Move them with .to(device).")
        i = i.to(t.spec.device)
    return i if d is dt.bool_ or d is dt.int64 else i.long()


def _range(s: slice, n: int) -> tuple[int, int, int]:
    start, stop, step = s.indices(n)
    length = len(range(start, stop, step))
    return (start if length else 0), length, step


def read_index(t: Tensor, index: Any) -> tuple[Key, list[Advanced]]:
    """The key of the view that comes first, and the tensors that then index it.

    Raises:
        IndexError: too many entries, out of range, not an index, or a mask of another shape.
    """
    entries = [_entry(i, t) for i in _as_tuple(index)]
    spec = t.spec
    used = 0
    for e in entries:
        if type(e) is int or isinstance(e, slice):
            used += 1
        elif isinstance(e, plans.TENSOR):
            used += e.spec.ndim if e.spec.dtype is dt.bool_ else 1
    if used > spec.ndim:
        raise too_many(spec.ndim)
    key: list[Any] = []
    tensors: list[Advanced] = []
    d = v = 0
    rest = spec.ndim - used
    named = all(e.spec.numel for e in entries if isinstance(e, plans.TENSOR))
    for e in entries:
        if e is Ellipsis:
            key += [(0, n, 1) for n in spec.shape[d : d + rest]]
            d, v, rest = d + rest, v + rest, 0
        elif type(e) is int:
            n = spec.shape[d]
            if not -n <= e < n:
                raise IndexError(f"[getitem] index {e} is out of bounds for dimension {d} with size {n}.")
            key.append(e + n if e < 0 else e)
            d += 1
        elif e is None or isinstance(e, Flag):
            if e is not None:
                tensors.append((v, 1, _flag(e.value, spec)))
            key.append(None)
            v += 1
        elif isinstance(e, slice):
            key.append(_range(e, spec.shape[d]))
            d, v = d + 1, v + 1
        else:
            k = e.spec.ndim if e.spec.dtype is dt.bool_ else 1
            if e.spec.dtype is not dt.bool_ and not spec.shape[d] and named:
                raise IndexError(f"[getitem] index is out of bounds for dimension {d} with size 0.")
            if e.spec.dtype is dt.bool_ and e.spec.shape != spec.shape[d : d + k]:
                at = next(j for j in range(k) if e.spec.shape[j] != spec.shape[d + j])
                wrong = f"The shape of the mask {list(e.shape)} at index {at} does not match the shape of "
                wrong += f"the indexed tensor {list(t.shape)} at index {d + at}"
                refuse("getitem", wrong, error=IndexError)
            tensors.append((v, k, e))
            key += [(0, n, 1) for n in spec.shape[d : d + k]]
            d, v = d + k, v + k
    return tuple(key), tensors


def _flag(value: bool, spec: Spec) -> Tensor:
    from .creation import full

    return full((1,), value, dtype=dt.bool_, device=spec.device)  # type: ignore[no-any-return]
