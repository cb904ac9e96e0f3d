"""Datasets: what a `DataLoader` reads samples from, and datasets made of datasets.

Beyond PyTorch's protocol (`__getitem__`, `__len__`, `__getitems__`), a dataset may define
``__getbatch__(indices)``: the batch that `default_collate` would make of these samples, found in one go, or
None where it can't be. `TensorDataset` does it with one ``index_select`` per tensor.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import message

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "batch_method",
    "random_split",
]

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Samples by index: a subclass defines ``__getitem__``, and ``__len__`` where the number is known."""

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(
            f"[{type(self).__name__}] has no __getitem__: a subclass of Dataset defines it."
        )

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Samples in order: a subclass defines ``__iter__``. With several workers each has a copy (`get_worker_info`)."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(
            f"[{type(self).__name__}] has no __iter__: a subclass of IterableDataset does."
        )

    def __add__(self, other: Dataset[T_co]) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


def batch_method(dataset: Any) -> Callable[[Sequence[int]], Any] | None:
    """``dataset.__getbatch__``, unless a subclass has overridden ``__getitem__`` since it was written."""
    for cls in type(dataset).__mro__:
        if "__getbatch__" in vars(cls):
            method: Callable[[Sequence[int]], Any] = dataset.__getbatch__
            return method
        if "__getitem__" in vars(cls):
            return None
    return None


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Sample i is the tuple of the i-th rows of some tensors.

    Args:
        tensors: with the same first dimension.

    >>> ds = fb.data.TensorDataset(fb.arange(6).reshape(3, 2), fb.tensor([7, 8, 9]))
    >>> ds[1]
    (tensor([2, 3]), tensor(8))
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        sizes = [len(t) for t in tensors]
        if len(set(sizes)) > 1:
            wrong, need = f"Size mismatch between tensors: first dimensions {sizes}", "one number of samples"
            raise ValueError(message("TensorDataset", wrong, need))
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getbatch__(self, indices: Sequence[int]) -> list[Tensor] | None:
        if type(indices[0]) is not int or min(indices) < 0:
            return None
        rows = fb.tensor(indices, dtype=fb.int64)
        return [t.index_select(0, rows.to(t.device)) for t in self.tensors]


class StackDataset(Dataset[Any]):
    """Sample i is the tuple (or dict) of the i-th samples of several datasets.

    Args:
        args: datasets of equal length, for tuples.
        kwargs: datasets of equal length by name, for dicts.
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            wrong = "datasets can be given by position (tuples) or by name (dicts), one of the two"
            raise ValueError(
                message("StackDataset", wrong, got={"positional": len(args), "named": len(kwargs)})
            )
        self.datasets = args or kwargs
        sizes = [len(d) for d in (args or kwargs.values())]
        if len(set(sizes)) > 1:
            wrong = f"Size mismatch between datasets: lengths {sizes}"
            raise ValueError(message("StackDataset", wrong, "one number of samples"))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: d[index] for name, d in self.datasets.items()}
        return tuple(d[index] for d in self.datasets)

    def __len__(self) -> int:
        return len(next(iter(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)))


class Subset(Dataset[T_co]):
    """Some samples of a dataset.

    Args:
        dataset: the whole.
        indices: which samples, in order.
    """

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, indices: Sequence[int]) -> list[T_co]:
        chosen = [self.indices[i] for i in indices]
        many = getattr(self.dataset, "__getitems__", None)
        return many(chosen) if many is not None else [self.dataset[i] for i in chosen]

    def __getbatch__(self, indices: Sequence[int]) -> Any:
        whole = batch_method(self.dataset)
        return None if whole is None else whole([self.indices[i] for i in indices])


class ConcatDataset(Dataset[T_co]):
    """Datasets one after the other.

    Args:
        datasets: at least one, none of them an `IterableDataset`.
    """

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            wrong = "datasets should not be an empty iterable"
            raise ValueError(message("ConcatDataset", wrong, "at least one dataset"))
        for k, d in enumerate(self.datasets):
            if isinstance(d, IterableDataset):
                do = "Use ChainDataset."
                wrong = f"datasets[{k}] is an IterableDataset, which has no indices"
                raise ValueError(message("ConcatDataset", wrong, "map-style datasets", do))
        self.cumulative_sizes = list(itertools.accumulate(len(d) for d in self.datasets))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: Any) -> T_co:
        n = len(self)
        if not -n <= index < n:
            wrong = f"index {index} is out of range"
            raise IndexError(message("ConcatDataset", wrong, f"an index in [{-n}, {n})"))
        index = index % n
        k = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[k][index - (self.cumulative_sizes[k - 1] if k else 0)]


class ChainDataset(IterableDataset[Any]):
    """`IterableDataset`s one after the other.

    Args:
        datasets: the parts.
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for k, d in enumerate(self.datasets):
            if not isinstance(d, IterableDataset):
                wrong = f"datasets[{k}] ({type(d).__name__}) is no IterableDataset"
                raise TypeError(message("ChainDataset", wrong, "iterable datasets", "Use ConcatDataset."))
            yield from d

    def __len__(self) -> int:
        return sum(len(d) for d in self.datasets)


def random_split(
    dataset: Dataset[T_co], lengths: Sequence[int | float], generator: fb.Generator | None = None
) -> list[Subset[T_co]]:
    """Split a dataset at random into parts that don't overlap.

    Args:
        dataset: what to split.
        lengths: how many samples each part gets, or which fractions of all (what rounding leaves over goes to
            the first parts, one each).
        generator: where the numbers come from; the default generator by default.

    >>> parts = fb.data.random_split(range(10), [0.7, 0.3])
    >>> [len(p) for p in parts]
    [7, 3]
    """
    n = len(dataset)  # type: ignore[arg-type]
    given = list(lengths)
    if math.isclose(sum(given), 1) and sum(given) <= 1:
        for k, part in enumerate(given):
            if not 0 <= part <= 1:
                raise ValueError(
                    message("random_split", f"Fraction at index {k} is not between 0 and 1", got=part)
                )
        sizes = [math.floor(n * part) for part in given]
        for k in range(n - sum(sizes)):
            sizes[k % len(sizes)] += 1
    else:
        sizes = [int(x) for x in given]
    if sum(sizes) != n:
        wrong = "Sum of input lengths does not equal the length of the input dataset!"
        raise ValueError(message("random_split", wrong, f"a sum of {n}", lengths=sum(sizes)))
    order = fb.randperm(n, generator=generator).tolist()
    ends = itertools.accumulate(sizes)
    return [Subset(dataset, order[end - size : end]) for end, size in zip(ends, sizes, strict=True)]
