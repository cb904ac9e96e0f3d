"""The parent's side of the worker processes: start them, hand out tasks in turn, take batches in order, end them.

Task i goes to worker i modulo their number, and batches are taken in the order of the tasks, so that the order
and the random numbers don't depend on which worker is faster. A worker that dies is noticed by its sentinel.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import time
import warnings
import weakref
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from flambeau.plugin import message

from . import worker
from .worker import Batch, Failure

__all__ = ["Pass", "WorkerPool"]

#: Seconds that workers get to end by themselves before they are made to.
PATIENCE = 3.0


class _Worker(NamedTuple):
    process: Any
    tasks: Connection
    results: Connection


class WorkerPool:
    """Worker processes that make batches.

    Args:
        num_workers: how many.
        prefetch: how many tasks each has at most before its first batch is taken.
        timeout: seconds to wait for a batch; 0 waits as long as its worker lives.
        context: how processes start: None, a name (``"fork"``, ``"spawn"``) or a multiprocessing context.
        fetch_args: of `Fetch`.
        init: the user's ``worker_init_fn``.
    """

    def __init__(
        self,
        num_workers: int,
        prefetch: int,
        timeout: float,
        context: Any,
        fetch_args: tuple[Any, ...],
        init: Any,
    ) -> None:
        self.prefetch = prefetch
        self.timeout = timeout
        self.workers: list[_Worker] = []
        self.epoch = 0
        self.alive = True
        named = context is None or isinstance(context, str)
        ctx: Any = multiprocessing.get_context(context) if named else context
        listening, stop = ctx.Pipe(duplex=False)
        self._end = weakref.finalize(self, _shut_down, self.workers, stop, os.getpid())
        with warnings.catch_warnings():
            # Forking a process with threads: the kernels' threads are made to survive it.
            warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
            for k in range(num_workers):
                theirs_in, tasks = ctx.Pipe(duplex=False)
                results, theirs_out = ctx.Pipe(duplex=False)
                args = (k, num_workers, fetch_args, init, theirs_in, theirs_out, listening)
                name = f"DataLoader worker {k}"
                process = ctx.Process(target=worker.run, args=args, daemon=True, name=name)
                process.start()
                theirs_in.close()  # so that reading from a dead worker ends
                theirs_out.close()
                self.workers.append(_Worker(process, tasks, results))
        listening.close()

    def shut_down(self) -> None:
        """End the workers; does nothing the second time."""
        self.alive = False
        self._end()

    def put(self, w: _Worker, task: tuple[Any, ...]) -> None:
        """Give a worker a task."""
        try:
            w.tasks.send(task)
        except OSError:
            raise self.died(w) from None

    def take(self, w: _Worker, epoch: int, number: int) -> Any:
        """The next message of a worker that belongs to this pass."""
        deadline = time.monotonic() + self.timeout if self.timeout else None
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready = wait([w.results, w.process.sentinel], left)
            if not ready:
                self.shut_down()
                do = "Give it more time by timeout=, or find out what the dataset waits for."
                wrong = f"DataLoader timed out after {self.timeout} seconds waiting for batch {number}"
                raise RuntimeError(message("DataLoader", wrong, do=do))
            if w.results not in ready and not w.results.poll(0):
                raise self.died(w)
            try:
                result = worker.receive(w.results)
            except (EOFError, ConnectionError):
                raise self.died(w) from None
            if result.epoch == epoch:
                return result

    def died(self, w: _Worker) -> RuntimeError:
        """End all workers because of this one; the error that says so."""
        w.process.join(PATIENCE)
        code = w.process.exitcode
        self.shut_down()
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
            do = "It may have run out of memory or crashed in native code; num_workers=0 shows where."
        else:
            how = f"ended with exit code {code}"
            do = "What it wrote to stderr says why."
        wrong = f"DataLoader worker (pid {w.process.pid}) exited unexpectedly: it {how}"
        return RuntimeError(message("DataLoader", wrong, do=do))


class Pass:
    """One pass over the data: an iterator over the batches in order, which goes on after a batch that failed.

    Args:
        pool: the workers.
        indices: what to ask for, batch by batch.
        seed: of the first worker; the others follow.
        keep: leave the workers running after the pass.
    """

    def __init__(self, pool: WorkerPool, indices: Iterator[Any], seed: int, keep: bool) -> None:
        self.pool = pool
        self.indices = indices
        self.keep = keep
        self.number = 0
        self.active = deque(pool.workers)  # in the order of their turns
        self.waiting: deque[_Worker] = deque()  # whose result comes next
        pool.epoch += 1
        self.epoch = pool.epoch
        for k, w in enumerate(pool.workers):
            pool.put(w, (self.epoch, seed + k, None))
        for _ in range(pool.prefetch * len(pool.workers)):
            self._hand_out()

    def _hand_out(self) -> None:
        for indices in self.indices if self.active else ():
            w = self.active[0]
            self.pool.put(w, (self.epoch, None, indices))
            self.waiting.append(w)
            self.active.rotate(-1)
            return

    def __iter__(self) -> Pass:
        return self

    def __next__(self) -> Any:
        if self.epoch != self.pool.epoch:
            wrong = "a later pass has taken over the persistent workers"
            raise RuntimeError(message("DataLoader", wrong, do="Finish one pass before the next."))
        if self.waiting and not self.pool.alive:
            wrong = "the workers of this pass have ended after an error"
            raise RuntimeError(message("DataLoader", wrong, do="Start a new pass by iter()."))
        while self.waiting:
            w = self.waiting.popleft()
            result = self.pool.take(w, self.epoch, self.number)
            if isinstance(result, Batch) and result.ended:
                if w in self.active:
                    self.active.remove(w)
                continue
            self.number += 1
            self._hand_out()
            if isinstance(result, Failure):
                raise _rebuild(result, self.pool.workers.index(w))
            return result.value
        if not self.keep:
            self.pool.shut_down()
        raise StopIteration


def _shut_down(workers: list[_Worker], stop: Connection, owner: int) -> None:
    if os.getpid() != owner:  # a forked copy of the parent: not its workers
        return
    with contextlib.suppress(OSError):  # all have died
        stop.send_bytes(b"")  # nobody reads it: it stays readable for all workers
    for w in workers:
        w.results.close()
    deadline = time.monotonic() + PATIENCE
    for w in workers:
        w.process.join(max(0.0, deadline - time.monotonic()))
    for w in workers:
        if w.process.is_alive():
            w.process.terminate()
            w.process.join(1.0)
        if w.process.is_alive():
            w.process.kill()
            w.process.join()
        w.tasks.close()
    stop.close()


class _Verbatim(str):
    """Text that ``str(KeyError(text))`` shows as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _rebuild(failure: Failure, k: int) -> Exception:
    """The worker's exception with its traceback as text: of the same type where that takes one argument."""
    kind: Any = RuntimeError
    try:
        kind = pickle.loads(failure.kind)
        text = f"Caught {kind.__name__} in DataLoader worker process {k}.\nOriginal {failure.text}"
        error = kind(_Verbatim(text))
        if isinstance(error, Exception) and not isinstance(error, (StopIteration, StopAsyncIteration)):
            return error
    except Exception:  # a class that is unknown here, or wants other arguments
        text = f"Caught an exception in DataLoader worker process {k}.\nOriginal {failure.text}"
    return RuntimeError(text)
