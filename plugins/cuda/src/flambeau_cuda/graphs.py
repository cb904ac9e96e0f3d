"""CUDA graphs: work that is recorded once and replayed as one launch.

A graph has memory of its own, which nothing else uses as long as the graph lives. Random numbers go on from the default
generator at each replay, as if the work were run anew, and so do the numbers of optimizers: learning rates and step
counts. Other Python numbers are part of the recording: what changes must be a tensor on the device.
"""

from __future__ import annotations

from typing import Any

from flambeau.random import default_generator

from .doors import place
from .memory import new_bins
from .recording import Recording

__all__ = ["CUDAGraph", "graph", "graph_pool_handle", "is_current_stream_capturing"]


class CUDAGraph:
    """A recording of work on a device.

    >>> import flambeau as fb
    >>> x, g = fb.zeros(3, device="cuda-sim"), fb.cuda.CUDAGraph()
    >>> with fb.cuda.graph(g, device="cuda-sim"):
    ...     y = x + 1
    >>> _ = x.fill_(4)
    >>> g.replay()
    >>> y.cpu()
    tensor([5., 5., 5.])
    """

    def __init__(self) -> None:
        self._graph: Any = None
        self._bins: Any = None
        self._backend: Any = None
        self._index = 0
        self._base = self._used = self._seed = 0
        self._recording: Recording | None = None

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global", device: Any = None) -> None:
        """Start to record.

        Args:
            pool: another graph's `pool()`, whose memory is shared; their replays must not overlap.
            capture_error_mode: accepted.
            device: where (default: the current device).

        Raises:
            RuntimeError: a capture is under way.
        """
        backend, index = place(device)
        if backend.capture is not None:
            raise RuntimeError("[graph] a graph is being captured already. Captures can't be nested.")
        self._backend, self._index = backend, index
        backend.synchronize(index)
        backend.enter(index)
        backend.faults[index].prepare()
        backend.offsets.prepare(index)
        blas = backend.blas(index)
        if hasattr(blas, "workspace"):
            blas.workspace(backend.queues[index][0])
        self._recording = Recording(backend, index)
        self._bins = pool if pool is not None else self._bins or new_bins()
        self._pool = backend.pools[index]
        self._outside = self._pool.swap(self._bins)
        self._base, self._seed = default_generator.stream, default_generator.initial_seed()
        backend.capture = self._recording
        backend.offsets.active = True
        try:
            backend.runtime.begin_capture(backend.current[index][1])
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        self._backend.capture = None
        self._backend.offsets.active = False
        self._pool.swap(self._outside)

    def capture_end(self) -> None:
        """Stop to record.

        Raises:
            RuntimeError: something in the recording is not allowed in graphs.
        """
        backend = self._backend
        try:
            self._graph = backend.runtime.end_capture(backend.current[self._index][1])
        finally:
            self._leave()
        self._used = default_generator.stream - self._base
        default_generator.stream = self._base

    def replay(self) -> None:
        """Run the recording.

        Raises:
            RuntimeError: nothing was recorded.
        """
        if self._graph is None:
            raise RuntimeError("[CUDAGraph] Called CUDAGraph::replay without a preceding successful capture.")
        backend = self._backend
        assert self._recording is not None
        self._recording.prepare()
        if self._used:
            now = default_generator.stream
            seed = default_generator.initial_seed() ^ self._seed
            backend.offsets.set(self._index, now - self._base, seed)
            default_generator.stream = now + self._used
        backend.enter(self._index)
        backend.runtime.replay(self._graph, backend.queues[self._index][0])
        backend.faults[self._index].pending = True

    def pool(self) -> Any:
        """The graph's memory, for another graph to share."""
        return self._bins

    def reset(self) -> None:
        """Forget the recording."""
        self._graph = self._recording = None


class graph:
    """Context manager that records what is run inside of it.

    Args:
        cuda_graph: takes the recording.
        pool: another graph's `CUDAGraph.pool`, or None.
        stream: the stream to record on (default: the current one).
        capture_error_mode: accepted.
        device: where (default: the current device).
    """

    def __init__(
        self,
        cuda_graph: CUDAGraph,
        pool: Any = None,
        stream: Any = None,
        capture_error_mode: str = "global",
        device: Any = None,
    ) -> None:
        self.graph, self.shared, self.stream, self.device = cuda_graph, pool, stream, device

    def __enter__(self) -> None:
        from .streams import stream

        self.inside = stream(self.stream)
        self.inside.__enter__()
        self.graph.capture_begin(self.shared, device=self.device)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if kind is None:
                self.graph.capture_end()
            else:  # the recording is of no use; the error that stopped it matters
                try:
                    self.graph.capture_end()
                except Exception:
                    self.graph.reset()
                self.graph.reset()
        finally:
            self.inside.__exit__(kind, error, trace)


def graph_pool_handle() -> Any:
    """Memory for several graphs to share, whose replays must not overlap: the ``pool`` of `graph`."""
    return new_bins()


def is_current_stream_capturing() -> bool:
    """Whether a graph is being captured."""
    from .doors import is_initialized

    return is_initialized() and place()[0].capture is not None
