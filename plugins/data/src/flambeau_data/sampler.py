"""Samplers: in which order a dataset's samples are read, and which of them make a batch.

Random ones draw from their generator, or from one that the default generator seeds at the start of each pass,
so that `manual_seed` fixes the order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import flambeau as fb
from flambeau.plugin import message

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
    "draw_seed",
]

T_co = TypeVar("T_co", covariant=True)


def draw_seed(generator: fb.Generator | None = None) -> int:
    """A seed for another generator."""
    return int(fb.randint(0, 2**62, (), generator=generator, dtype=fb.int64, device="cpu").item())


def _own(generator: fb.Generator | None) -> fb.Generator:
    if generator is not None:
        return generator
    fresh = fb.Generator()
    fresh.manual_seed(draw_seed())
    return fresh


def _check_count(op: str, name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(message(op, f"{name} should be a positive integer value", **{name: value}))
    return value


class Sampler(Generic[T_co]):
    """Base class: a subclass defines ``__iter__`` over indices (or lists of them), and ``__len__`` if it can."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(
            f"[{type(self).__name__}] has no __iter__: a subclass of Sampler defines it."
        )


class SequentialSampler(Sampler[int]):
    """0, 1, 2 and so on.

    Args:
        data_source: what has a length.
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """In random order, or drawn at random.

    Args:
        data_source: what has a length.
        replacement: whether a sample may come again before all others have come.
        num_samples: how many; all by default.
        generator: where the numbers come from.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: fb.Generator | None = None,
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(
                message("RandomSampler", "replacement is no bool", "True or False", replacement=replacement)
            )
        if num_samples is not None:
            _check_count("RandomSampler", "num_samples", num_samples)
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator

    @property
    def num_samples(self) -> int:
        """How many indices a pass gives."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, wanted = len(self.data_source), self.num_samples
        if not wanted:
            return
        if not n:
            raise ValueError(message("RandomSampler", "data_source is empty", "at least one sample"))
        generator = _own(self.generator)
        if self.replacement:
            yield from fb.randint(0, n, (wanted,), generator=generator, dtype=fb.int64, device="cpu").tolist()
            return
        while wanted > 0:
            yield from fb.randperm(n, generator=generator, device="cpu").tolist()[:wanted]
            wanted -= n

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """Given indices in random order.

    Args:
        indices: which.
        generator: where the numbers come from.
    """

    def __init__(self, indices: Sequence[int], generator: fb.Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for k in fb.randperm(len(self.indices), generator=self.generator, device="cpu").tolist():
            yield self.indices[k]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Index i with a probability proportional to ``weights[i]``.

    Args:
        weights: not negative; they need not sum to one.
        num_samples: how many indices a pass gives.
        replacement: whether an index may come twice.
        generator: where the numbers come from.
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: fb.Generator | None = None,
    ) -> None:
        op = "WeightedRandomSampler"
        _check_count(op, "num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(message(op, "replacement is no bool", "True or False", replacement=replacement))
        self.weights = fb.as_tensor(weights, dtype=fb.float64)
        if self.weights.ndim != 1:
            raise ValueError(message(op, "weights should be a 1d sequence", weights=self.weights))
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = fb.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of ``batch_size`` indices.

    Args:
        sampler: where the indices come from.
        batch_size: how many make a batch.
        drop_last: leave out a last batch that is smaller.

    >>> list(fb.data.BatchSampler(range(5), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Sampler[int] | Iterable[int], batch_size: int, drop_last: bool) -> None:
        _check_count("BatchSampler", "batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(
                message("BatchSampler", "drop_last is no bool", "True or False", drop_last=drop_last)
            )
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
