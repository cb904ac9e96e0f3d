"""From indices to a batch: runs in the process of the loop or in a worker, and says on failure where it was."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from .collate import default_collate
from .dataset import IterableDataset, batch_method

__all__ = ["EndOfData", "Fetch"]


class EndOfData(Exception):
    """An `IterableDataset` has no more samples."""


class Fetch:
    """Reads and collates one batch at a time.

    Args:
        dataset: the samples.
        collate_fn: makes a batch of a list of samples (or converts the one sample).
        batched: whether indices come as lists.
        batch_size: samples per batch of an `IterableDataset`.
        drop_last: whether its last, smaller batch is left out.
    """

    def __init__(
        self,
        dataset: Any,
        collate_fn: Callable[[Any], Any],
        batched: bool,
        batch_size: int | None,
        drop_last: bool,
    ) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.batched = batched
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.whole = batch_method(dataset) if collate_fn is default_collate and batched else None
        self.many = getattr(dataset, "__getitems__", None) if batched else None
        self.samples = iter(dataset) if isinstance(dataset, IterableDataset) else None

    def __call__(self, indices: Any) -> Any:
        """Read the samples with these indices (or the next ones) and make a batch of them."""
        if self.samples is not None:
            return self.next_batch(self.samples)
        if not self.batched:
            with _Noting("reading sample", indices):
                sample = self.dataset[indices]
            with _Noting("converting sample", indices):
                return self.collate_fn(sample)
        if self.whole is not None and indices:
            with _Noting("reading samples", indices):
                batch = self.whole(indices)
            if batch is not None:
                return batch
        samples = self.read(indices)
        with _Noting("collating samples", indices):
            return self.collate_fn(samples)

    def read(self, indices: Any) -> list[Any]:
        """The samples of a batch, one by one unless the dataset reads many at once."""
        if self.many is not None:
            with _Noting("reading samples", indices):
                return list(self.many(indices))
        samples: list[Any] = []
        dataset = self.dataset
        noting = _Noting("reading sample", None)
        with noting:
            for index in indices:
                noting.indices = index
                samples.append(dataset[index])
        return samples

    def next_batch(self, samples: Iterator[Any]) -> Any:
        """The next samples of an `IterableDataset`."""
        if self.batch_size is None:
            for sample in samples:
                return self.collate_fn(sample)
            raise EndOfData
        batch = list(itertools.islice(samples, self.batch_size))
        if not batch or (self.drop_last and len(batch) < self.batch_size):
            raise EndOfData
        return self.collate_fn(batch)


class _Noting:
    """Notes on an exception that passes what was being done; a stray StopIteration would end the loop in silence."""

    __slots__ = ("doing", "indices")

    def __init__(self, doing: str, indices: Any) -> None:
        self.doing = doing
        self.indices = indices

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception):
            return
        text = str(self.indices)
        note = f"[DataLoader] while {self.doing} {text if len(text) <= 500 else text[:497] + '...'}"
        if isinstance(error, StopIteration):
            raise RuntimeError(f"{note}: StopIteration was raised") from error
        error.add_note(note)
