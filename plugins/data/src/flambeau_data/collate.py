"""From a list of samples to a batch: tensors are stacked, numbers become tensors, containers keep their form."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import message

__all__ = ["default_collate", "default_convert"]


def default_collate(batch: Sequence[Any]) -> Any:
    """Make a batch of samples.

    Tensors and NumPy arrays are stacked along a new first dimension; numbers become a tensor; strings a list;
    dicts, named tuples and sequences are collated entry by entry (a plain tuple becomes a list, as in PyTorch).

    Args:
        batch: the samples.

    >>> fb.data.default_collate([{"x": 1, "name": "a"}, {"x": 2, "name": "b"}])
    {'x': tensor([1, 2]), 'name': ['a', 'b']}
    """
    if not batch:
        raise ValueError(message("default_collate", "no samples to collate", "at least one sample"))
    return _collate(batch, "")


def _collate(batch: Sequence[Any], path: str) -> Any:
    first = batch[0]
    if isinstance(first, Tensor):
        return _stack(batch, path)
    if _is_numpy(first):
        if first.dtype.kind in "OSUV":
            wrong = f"can't make a tensor of NumPy's dtype {first.dtype}{_at(path)}"
            raise TypeError(message("default_collate", wrong, "numbers or bools"))
        return _stack([fb.as_tensor(x) for x in batch], path)
    if isinstance(first, (bool, int)):
        return fb.tensor(batch)
    if isinstance(first, float):
        return fb.tensor(batch, dtype=fb.float64)
    if isinstance(first, (str, bytes)):
        return batch if isinstance(batch, list) else list(batch)
    if isinstance(first, Mapping):
        return _mapping(batch, first, path)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        columns = _columns(batch, path)
        return type(first)(
            *(_collate(c, f"{path}.{name}") for name, c in zip(first._fields, columns, strict=True))
        )
    if isinstance(first, Sequence):
        collated = [_collate(c, f"{path}[{k}]") for k, c in enumerate(_columns(batch, path))]
        return collated if isinstance(first, (tuple, list)) else _like(first, collated)
    wrong = (
        f"batch must contain tensors, numpy arrays, numbers, dicts or lists; found {type(first)}{_at(path)}"
    )
    raise TypeError(message("default_collate", wrong, do="Give the DataLoader a collate_fn of your own."))


def _stack(tensors: Sequence[Any], path: str) -> Tensor:
    shape = tensors[0].shape
    for k, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            wrong = f"sample 0 is a tensor{_at(path)}, sample {k} is a {type(t).__name__}"
            raise TypeError(message("default_collate", wrong, "samples of one form"))
        if t.shape != shape:
            wrong = f"shapes differ{_at(path)}: sample 0 has {list(shape)}, sample {k} has {list(t.shape)}"
            do = "Resize or pad the samples, or give the DataLoader a collate_fn of your own."
            raise RuntimeError(
                message("default_collate", wrong, "stack expects each tensor to be equal size", do)
            )
    return fb.stack(list(tensors))


def _columns(batch: Sequence[Any], path: str) -> list[list[Any]]:
    sizes = [len(x) for x in batch]
    for k, size in enumerate(sizes):
        if size != sizes[0]:
            wrong = f"lengths differ{_at(path)}: sample 0 has {sizes[0]}, sample {k} has {size}"
            need = "each element in list of batch should be of equal size"
            raise RuntimeError(message("default_collate", wrong, need))
    return [list(column) for column in zip(*batch, strict=True)]


def _mapping(batch: Sequence[Any], first: Mapping[Any, Any], path: str) -> Any:
    collated = {}
    for key in first:
        column = []
        for k, sample in enumerate(batch):
            if key not in sample:
                wrong = f"sample {k} has no key {key!r}{_at(path)}, sample 0 has"
                raise KeyError(message("default_collate", wrong, "samples with the same keys"))
            column.append(sample[key])
        collated[key] = _collate(column, f"{path}[{key!r}]")
    return collated if type(first) is dict else _like(first, collated)


def default_convert(data: Any) -> Any:
    """Turn NumPy arrays and scalars into tensors, inside containers too; leave everything else.

    Args:
        data: one sample, as read with ``batch_size=None``.
    """
    if isinstance(data, (Tensor, str, bytes)):
        return data
    if _is_numpy(data):
        return data if data.dtype.kind in "OSUV" else fb.as_tensor(data)
    if isinstance(data, Mapping):
        return _like(data, {k: default_convert(v) for k, v in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, (tuple, list)):
        return [default_convert(x) for x in data]
    return data


def _like(model: Any, value: Any) -> Any:
    """The value as the model's type, where that can be made of it."""
    try:
        return type(model)(value)
    except TypeError:
        return value


def _is_numpy(value: Any) -> bool:
    np = sys.modules.get("numpy")
    return np is not None and isinstance(value, (np.ndarray, np.generic))


def _at(path: str) -> str:
    return f" at sample{path}" if path else ""
