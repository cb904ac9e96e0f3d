"""Streams and events, as PyTorch's. The current stream is one per device and process.

Memory goes back to the stream on which it was allocated: a tensor that another stream still reads must stay alive until
that stream is done (`Event`, `Stream.wait_stream`).
"""

from __future__ import annotations

from typing import Any

from .doors import place

__all__ = [
    "Event", "ExternalStream", "Stream", "StreamContext", "current_stream", "default_stream",
    "get_stream_from_external", "record_stream", "set_stream", "stream",
]  # fmt: skip


class Stream:
    """A queue of work on a device.

    Args:
        device: where (default: the current device).
        priority: accepted; all streams have the same.

    Attributes:
        cuda_stream: the stream's address.
    """

    def __init__(self, device: Any = None, priority: int = 0, _known: tuple[int, Any] | None = None) -> None:
        self.backend, self.index = place(device)
        self.priority = priority
        self.cuda_stream, self.raw = _known or self.backend.runtime.new_stream(self.index, priority)

    @property
    def device(self) -> Any:
        """Where it is."""
        import flambeau

        return flambeau.device(f"{self.backend.name}:{self.index}")

    def synchronize(self) -> None:
        """Wait for its work."""
        self.backend.refuse_in_capture("synchronization")
        self.backend.runtime.stream_synchronize(self.cuda_stream)

    def query(self) -> bool:
        """Whether its work is done."""
        return self.backend.runtime.stream_done(self.cuda_stream)

    def record_event(self, event: Event | None = None) -> Event:
        """An event that happens when the work so far is done."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let later work wait for an event."""
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """Let later work wait for another stream's work so far."""
        self.wait_event(stream.record_event())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self.cuda_stream, self.index, self.backend) == (
            other.cuda_stream, other.index, other.backend,
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash((self.cuda_stream, self.index))

    def __repr__(self) -> str:
        return f"<flambeau.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class Event:
    """A mark in a stream.

    Args:
        enable_timing: whether `elapsed_time` can be asked for.
        blocking, interprocess: accepted.
    """

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        self.timing = enable_timing
        self._made: tuple[Any, int, Any] | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Happen when the stream's work so far is done."""
        stream = stream or current_stream()
        if self._made is None:
            stream.backend.runtime.use(stream.index)
            address, keep = stream.backend.runtime.new_event(self.timing)
            self._made = stream.backend, address, keep
        self._made[0].runtime.record(self._made[1], stream.cuda_stream)

    def wait(self, stream: Stream | None = None) -> None:
        """Let a stream's later work wait for it."""
        if self._made is not None:
            self._made[0].runtime.wait((stream or current_stream()).cuda_stream, self._made[1])

    def synchronize(self) -> None:
        """Wait for it."""
        if self._made is not None:
            self._made[0].refuse_in_capture("synchronization")
            self._made[0].runtime.event_synchronize(self._made[1])

    def query(self) -> bool:
        """Whether it has happened."""
        return self._made is None or bool(self._made[0].runtime.event_done(self._made[1]))

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds until another event.

        Raises:
            RuntimeError: one of them was not made for timing, or not recorded.
        """
        if not (self.timing and end_event.timing):
            raise RuntimeError("[Event] both events must be created with enable_timing=True to measure time.")
        if self._made is None or end_event._made is None:
            raise RuntimeError("[Event] both events must be recorded before calculating elapsed time.")
        return float(self._made[0].runtime.elapsed(self._made[1], end_event._made[1]))


def default_stream(device: Any = None) -> Stream:
    """The stream that work goes to unless another is chosen."""
    backend, index = place(device)
    return Stream(f"{backend.name}:{index}", _known=backend.made_streams[index])


def current_stream(device: Any = None) -> Stream:
    """The stream that work goes to now."""
    backend, index = place(device)
    return Stream(f"{backend.name}:{index}", _known=backend.current[index])


def set_stream(stream: Stream) -> None:
    """Let work go to a stream from now on."""
    stream.backend.choose_stream(stream.index, stream.cuda_stream, stream.raw)


class ExternalStream(Stream):
    """A stream that another library has made; it must outlive this object.

    Args:
        stream_ptr: its address.
        device: where (default: the current device).
    """

    def __init__(self, stream_ptr: int, device: Any = None) -> None:
        super().__init__(device, _known=(stream_ptr, None))


def get_stream_from_external(data_ptr: int, device: Any = None) -> Stream:
    """Another library's stream."""
    return ExternalStream(data_ptr, device)


def record_stream(t: Any, stream: Any) -> None:
    """Say that another stream works with a tensor: its memory is not used again before that stream is done so far.

    Args:
        t: a tensor on the stream's device.
    """
    mem, backend = t.mem, stream.backend
    free = mem.free
    if free is None:  # foreign memory
        return

    def free_later(handle: Any, nbytes: int, slot: int) -> None:
        if backend.capture is None and backend.queues[slot][0] != stream.cuda_stream:
            backend.follow(slot, stream.cuda_stream, slot)
        free(handle, nbytes, slot)

    mem.free = free_later


class stream:
    """Context manager: work goes to a stream.

    Args:
        stream: which one; None changes nothing.
    """

    def __init__(self, stream: Stream | None) -> None:
        self.wanted = stream

    def __enter__(self) -> Stream | None:
        if self.wanted is not None:
            self.before = self.wanted.backend.current[self.wanted.index]
            set_stream(self.wanted)
        return self.wanted

    def __exit__(self, *exc: object) -> None:
        if self.wanted is not None:
            self.wanted.backend.choose_stream(self.wanted.index, *self.before)


StreamContext = stream
