"""What a worker process does: read tasks, make batches, send them; survive errors, end with its parent.

Batches travel pickled, with the tensors' memory out of band; a thread of the worker sends them, so that the next
batch is made while the last one is still on its way.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import queue
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import flambeau as fb

from .fetch import EndOfData, Fetch

__all__ = ["Batch", "Failure", "WorkerInfo", "get_worker_info", "receive", "run"]


class WorkerInfo:
    """Which worker this is, in a worker process.

    Attributes:
        id: from 0 on.
        num_workers: how many there are.
        seed: what the default generator was seeded with here.
        dataset: this worker's copy.
    """

    def __init__(self, id: int, num_workers: int, seed: int, dataset: Any) -> None:
        self.id = id
        self.num_workers = num_workers
        self.seed = seed
        self.dataset = dataset

    def __repr__(self) -> str:
        return f"WorkerInfo(id={self.id}, num_workers={self.num_workers}, seed={self.seed})"


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process which one it is; None anywhere else."""
    return _info


class Batch(NamedTuple):
    """A batch, or word that there are no more: ``ended``."""

    epoch: int
    value: Any
    ended: bool = False


class Failure(NamedTuple):
    """What went wrong in a worker: the type of the exception and its traceback as text."""

    epoch: int
    kind: bytes
    text: str


def _failure(epoch: int, error: Exception) -> Failure:
    try:
        kind = pickle.dumps(type(error))
    except Exception:  # a class that only the worker knows
        kind = pickle.dumps(RuntimeError)
    return Failure(epoch, kind, "".join(traceback.format_exception(error)))


def _send(results: Connection, outgoing: queue.SimpleQueue[Any]) -> None:
    """The sending thread: messages are a head, and the buffers that it refers to."""
    with contextlib.suppress(OSError):  # the parent has gone or wants no more
        while (message := outgoing.get()) is not None:
            head, buffers = message
            results.send_bytes(len(buffers).to_bytes(4, "little") + head)
            for b in buffers:
                results.send_bytes(b.raw())


def _pack(message: Any) -> tuple[bytes, list[pickle.PickleBuffer]]:
    buffers: list[pickle.PickleBuffer] = []
    return pickle.dumps(message, 5, buffer_callback=buffers.append), buffers


def receive(results: Connection) -> Any:
    """In the parent: read one message."""
    head = results.recv_bytes()
    buffers = [results.recv_bytes() for _ in range(int.from_bytes(head[:4], "little"))]
    return pickle.loads(memoryview(head)[4:], buffers=buffers)


def run(
    worker: int,
    num_workers: int,
    fetch_args: tuple[Any, ...],
    init: Callable[[int], Any] | None,
    tasks: Connection,
    results: Connection,
    stop: Connection,
) -> None:
    """The main function of a worker process.

    Args:
        worker: which one it is.
        num_workers: how many there are.
        fetch_args: of `Fetch`; the first is the dataset.
        init: the user's ``worker_init_fn``.
        tasks: ``(epoch, seed)`` starts a pass, ``(epoch, None, indices)`` asks for a batch.
        results: where batches go.
        stop: readable as soon as the worker is to end.
    """
    global _info
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_send, args=(results, outgoing), daemon=True).start()
    parent = multiprocessing.parent_process()
    assert parent is not None
    ends: list[Any] = [stop, parent.sentinel]
    fetch: Fetch | None = None
    broken: Exception | None = None
    ready_to_work = False
    while True:
        ready = wait([tasks, *ends])
        if any(end in ready for end in ends):
            return
        try:
            epoch, seed, indices = tasks.recv()
        except EOFError:
            return
        if seed is not None:
            broken = None
            try:
                _seed(seed)
                if not ready_to_work:
                    fb.set_num_threads(1)
                    _info = WorkerInfo(worker, num_workers, seed, fetch_args[0])
                    if init is not None:
                        init(worker)
                    ready_to_work = True
                assert _info is not None
                _info.seed = seed
                fetch = Fetch(*fetch_args)
            except Exception as e:
                broken = e
            continue
        message: Any
        try:
            if broken is not None:
                raise broken
            assert fetch is not None
            message = _pack(Batch(epoch, fetch(indices)))
        except EndOfData:
            message = _pack(Batch(epoch, None, ended=True))
        except Exception as e:
            message = _pack(_failure(epoch, e))
        outgoing.put(message)


def _seed(seed: int) -> None:
    random.seed(seed)
    fb.manual_seed(seed)
    np = sys.modules.get("numpy")
    if np is not None:
        np.random.seed(seed % 2**32)
