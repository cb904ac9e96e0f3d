"""The loader: batches of a dataset, in this process or by worker processes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar, cast

import flambeau as fb
from flambeau.plugin import message

from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset
from .fetch import EndOfData, Fetch
from .pool import Pass, WorkerPool
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed

__all__ = ["DataLoader"]

T_co = TypeVar("T_co", covariant=True)


class Indexed(Protocol[T_co]):
    """What can be read like a `Dataset` without being one: a list, a range."""

    def __getitem__(self, index: int, /) -> T_co: ...

    def __len__(self) -> int: ...


class DataLoader(Generic[T_co]):
    """Batches of a dataset; each ``iter()`` is one pass.

    With workers, batches come in the same order and with the same random numbers on every run. An exception in
    a worker is raised here with its traceback and the index of the sample; a worker that dies is an error, never
    a hang.

    Args:
        dataset: a `Dataset`, an `IterableDataset`, or anything with ``__getitem__`` and ``__len__``.
        batch_size: samples per batch; None gives the samples themselves.
        shuffle: a new random order each pass.
        sampler: in which order instead.
        batch_sampler: which indices make each batch; excludes the arguments above and ``drop_last``.
        num_workers: processes that make batches; 0 makes them here.
        collate_fn: makes a batch of a list of samples; `default_collate` by default.
        pin_memory: put batches into page-locked memory, from which copies to a GPU needn't wait; nothing without one.
        drop_last: leave out a last batch that is smaller.
        timeout: seconds to wait for a batch from a worker; 0 waits as long as it lives.
        worker_init_fn: called in each worker with its number.
        multiprocessing_context: how workers start: ``"fork"``, ``"spawn"``, ``"forkserver"`` or a context.
        generator: where the order and the workers' seeds come from.
        prefetch_factor: batches per worker that are made ahead; 2 by default.
        persistent_workers: keep the workers from one pass to the next.
        pin_memory_device: for which device's copies (default: ``"cuda"``).
        in_order: accepted; batches always come in order.

    >>> dataset = fb.data.TensorDataset(fb.arange(5), fb.arange(5) * 10)
    >>> for x, y in fb.data.DataLoader(dataset, batch_size=2):
    ...     print(x.tolist(), y.tolist())
    [0, 1] [0, 10]
    [2, 3] [20, 30]
    [4] [40]
    """

    def __init__(
        self,
        dataset: Dataset[T_co] | Indexed[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: fb.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers, multiprocessing_context)
        self.dataset = cast(Any, dataset)
        iterable = isinstance(dataset, IterableDataset)
        if iterable:
            for name, value in (("shuffle", shuffle), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value:
                    wrong = f"an IterableDataset decides on its order itself: got {name}={value!r}"
                    raise ValueError(message("DataLoader", wrong, f"no {name}"))
        if sampler is not None and shuffle:
            raise ValueError(message("DataLoader", "sampler option is mutually exclusive with shuffle"))
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                wrong = "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                raise ValueError(message("DataLoader", wrong))
            batch_size = None
        elif batch_size is None and drop_last:
            wrong = "batch_size=None disables batching and is mutually exclusive with drop_last"
            raise ValueError(message("DataLoader", wrong))
        if sampler is None:
            if iterable:
                sampler = itertools.repeat(None)
            elif shuffle and batch_sampler is None:
                sampler = RandomSampler(self.dataset, generator=generator)
            else:
                sampler = SequentialSampler(self.dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._pool: WorkerPool | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pool": None}

    def __len__(self) -> int:
        if isinstance(self.dataset, IterableDataset):
            n = len(self.dataset)  # type: ignore[arg-type]
            if self.batch_size is None:
                return n
            return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        batches = self._batches()
        if self.pin_memory and (self.pin_memory_device or fb.cuda.is_available()):
            return (_pinned(batch, self.pin_memory_device or None) for batch in batches)
        return batches

    def _batches(self) -> Iterator[Any]:
        seed = draw_seed(
            self.generator
        )  # with and without workers, so that both see the same numbers after it
        batched = self.batch_sampler is not None
        fetch_args = (self.dataset, self.collate_fn, batched, self.batch_size, self.drop_last)
        indices = iter(self.batch_sampler if self.batch_sampler is not None else self.sampler)
        if isinstance(self.dataset, IterableDataset):
            indices = itertools.repeat(None)
        if not self.num_workers:
            return _here(indices, Fetch(*fetch_args))
        pool = self._pool
        if pool is None or not pool.alive:
            pool = WorkerPool(
                self.num_workers,
                self.prefetch_factor or 2,
                self.timeout,
                self.multiprocessing_context,
                fetch_args,
                self.worker_init_fn,
            )
        if self.persistent_workers:
            self._pool = pool
        return Pass(pool, indices, seed, self.persistent_workers)


def _pinned(batch: Any, device: str | None) -> Any:
    """A batch with its tensors in page-locked memory."""
    if isinstance(batch, fb.Tensor):
        return fb.cuda.pin_memory(batch, device)
    if isinstance(batch, dict):
        return {name: _pinned(part, device) for name, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_pinned(part, device) for part in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(_pinned(part, device) for part in batch)
    return batch.pin_memory() if hasattr(batch, "pin_memory") else batch


def _here(indices: Iterator[Any], fetch: Fetch) -> Iterator[Any]:
    for chosen in indices:
        try:
            batch = fetch(chosen)
        except EndOfData:
            return
        yield batch


def _check_workers(num_workers: Any, timeout: Any, prefetch: Any, persistent: bool, context: Any) -> None:
    op = "DataLoader"
    if not isinstance(num_workers, int) or num_workers < 0:
        need = "0 (load in this process) or a positive integer"
        raise ValueError(
            message(op, "num_workers option should be non-negative", need, num_workers=num_workers)
        )
    if timeout < 0:
        raise ValueError(message(op, "timeout option should be non-negative", timeout=timeout))
    if num_workers:
        if prefetch is not None and prefetch < 1:
            raise ValueError(
                message(op, "prefetch_factor option should be positive", prefetch_factor=prefetch)
            )
        return
    for name, given in (
        ("prefetch_factor", prefetch is not None),
        ("persistent_workers", persistent),
        ("multiprocessing_context", context is not None),
    ):
        if given:
            raise ValueError(message(op, f"{name} needs worker processes", "num_workers > 0"))
