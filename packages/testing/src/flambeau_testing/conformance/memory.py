"""Memory: handles, accounting, leaks, and what happens when there is none left."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.plugin import OPS, OutOfMemoryError, forget_plans

from ..cases import compare, each
from .base import SuiteBase

__all__ = ["Memory"]


def _training(x: Any) -> None:
    ((x * 2).exp().sum() + (x @ x.t()).mean()).backward()
    x.grad = None


_WORK: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda x: (x * 2 + 1).tanh(),
    "reduction": lambda x: x.sum(0) + x.max(1)[0],
    "product": lambda x: x @ x,
    "softmax": lambda x: x.softmax(1),
    "indexing": lambda x: x[x > 0.5].sort()[0],
    "joining": lambda x: OPS["cat"]([x, x.t()], 0),
    "training": _training,
}


class Memory(SuiteBase):
    """Memory."""

    @each({str(n): n for n in (0, 1, 7, 64, 1000, 1 << 20)})
    def test_handles(self, case: int) -> None:
        """Bytes written to memory come back, at any offset, and freeing never raises."""
        backend = self.backend
        handle = backend.allocate(case, 0)
        other = backend.allocate(case, 0)
        data = bytes(np.random.default_rng(case).integers(0, 256, case, dtype=np.uint8))
        if case:
            backend.copy_in(handle, 0, data)
            backend.copy_in(other, 0, bytes(case))
            assert bytes(backend.copy_out(handle, 0, case)) == data
            middle = case // 2
            assert bytes(backend.copy_out(handle, middle, case - middle)) == data[middle:]
            backend.copy_in(handle, middle, b"\x07")
            assert bytes(backend.copy_out(handle, 0, case)) == data[:middle] + b"\x07" + data[middle + 1 :]
            backend.copy_across(other, handle, case)
            assert bytes(backend.copy_out(other, 0, case)) == bytes(backend.copy_out(handle, 0, case))
        for held in (handle, other):
            backend.free(held, case, 0)

    def test_copy_in_is_a_copy(self) -> None:
        """The caller may change its buffer at once, however much work stands before the copy."""
        handle = self.backend.allocate(1 << 16, 0)
        x = OPS["ones"]((256, 256), device=self.device)
        data = bytearray(b"a" * (1 << 16))
        for _ in range(20):
            x = x @ x * (1 / 256)
        self.backend.copy_in(handle, 0, data)
        data[:] = b"b" * (1 << 16)
        assert bytes(self.backend.copy_out(handle, 0, 1 << 16)) == b"a" * (1 << 16)
        self.backend.free(handle, 1 << 16, 0)

    def test_copy_out_is_a_copy(self) -> None:
        """What was read stays as it is when the memory is written again."""
        handle = self.backend.allocate(8, 0)
        self.backend.copy_in(handle, 0, b"12345678")
        read = self.backend.copy_out(handle, 0, 8)
        self.backend.copy_in(handle, 0, b"abcdefgh")
        assert bytes(read) == b"12345678"
        self.backend.free(handle, 8, 0)

    def test_statistics(self) -> None:
        """``allocated`` counts what is held, and goes back when it is freed."""
        gc.collect()  # what earlier tests left in cycles would go back in the middle
        before = self._allocated()
        x = OPS["zeros"]((1 << 18,), device=self.device)
        held = self._allocated()
        assert held >= before + x.spec.nbytes
        stats = self.backend.memory_stats(0)
        assert stats.get("peak", held) >= held
        del x
        assert self._allocated() <= before + 4096

    @each(_WORK)
    def test_memory_is_returned(self, case: Callable[[Any], Any]) -> None:
        """A thousand steps leave as much memory in use as ten."""
        x = OPS["rand"]((16, 16), device=self.device).requires_grad_(case is _training)
        for _ in range(10):
            case(x)
        gc.collect()
        before, live = self._allocated(), _Count(self.backend)
        with live:
            for _ in range(1000):
                case(x)
        gc.collect()
        assert live.held == 0, f"{live.held} allocations were never freed"
        assert self._allocated() <= before + 4096

    def test_memory_is_freed_by_other_threads(self) -> None:
        """The last owner may be a thread of its own, or the garbage collector."""
        before = self._allocated()
        made = [OPS["zeros"]((1000,), device=self.device) for _ in range(20)]
        thread = threading.Thread(target=made.clear)
        thread.start()
        thread.join()
        loop: list[Any] = [OPS["zeros"]((1000,), device=self.device)]
        loop.append(loop)
        del loop
        gc.collect()
        assert self._allocated() <= before + 4096

    def test_a_request_that_can_never_be_met(self) -> None:
        """Too much memory is an `OutOfMemoryError` with the size asked for; the device works on."""
        x = OPS["ones"]((2,), device=self.device)
        with pytest.raises(OutOfMemoryError, match=r"out of memory"):
            OPS["empty"]((1 << 53,), dtype=fb.float64, device=self.device)
        with pytest.raises(OutOfMemoryError):
            self.backend.allocate(1 << 56, 0)
        assert (x + x).tolist() == [2, 2]

    @each({f"{name}-{n}": (fn, n) for name, fn in _WORK.items() for n in range(4)})
    def test_out_of_memory(self, case: tuple[Callable[[Any], Any], int]) -> None:
        """When the n-th allocation fails, operands are as they were, nothing leaks, and the next try succeeds."""
        work, n = case
        values = np.random.default_rng(1).uniform(0, 1, (16, 16))

        x = (
            fb.from_numpy(values)
            .to("reference")
            .to(fb.float32)
            .to(self.device)
            .requires_grad_(work is _training)
        )
        work(x)
        gc.collect()
        before = self._allocated()
        with _failing(self.backend, n) as failure:
            try:
                work(x)
            except OutOfMemoryError:
                assert failure.raised
            else:
                assert not failure.raised, "an allocation failed and nobody said so"
        gc.collect()
        assert self._allocated() <= before + 4096, "memory leaked when an allocation failed"
        compare(x, values, "the operand after a failure")
        x.grad = None
        work(x)

    def _allocated(self) -> int:
        stats = self.backend.memory_stats(0)
        assert "allocated" in stats or not stats, f"memory_stats has no 'allocated': {sorted(stats)}"
        return stats.get("allocated", 0)


class _Patched:
    """A backend whose ``allocate`` and ``free`` are replaced for a while."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend

    def __enter__(self) -> Any:
        self.mine = vars(self.backend).get("allocate"), vars(self.backend).get("free")
        self.allocate, self.free = self.backend.allocate, self.backend.free
        self.backend.allocate, self.backend.free = self._allocate, self._free
        forget_plans()
        return self

    def __exit__(self, *exc: object) -> None:
        for name, was in zip(("allocate", "free"), self.mine, strict=True):
            if was is None:
                delattr(self.backend, name)
            else:
                setattr(self.backend, name, was)
        forget_plans()

    def _allocate(self, nbytes: int, index: int) -> Any:
        return self.allocate(nbytes, index)

    def _free(self, handle: Any, nbytes: int, index: int) -> None:
        self.free(handle, nbytes, index)


class _Count(_Patched):
    """Counts allocations that were not freed."""

    held = 0

    def _allocate(self, nbytes: int, index: int) -> Any:
        self.held += 1
        return self.allocate(nbytes, index)

    def _free(self, handle: Any, nbytes: int, index: int) -> None:
        self.held -= 1
        self.free(handle, nbytes, index)


class _Failing(_Patched):
    """Lets one allocation fail."""

    raised = False
    left = 0

    def _allocate(self, nbytes: int, index: int) -> Any:
        self.left -= 1
        if self.left == -1:
            self.raised = True
            raise OutOfMemoryError(f"[allocate] out of memory: a test wants {nbytes} bytes to be too many.")
        return self.allocate(nbytes, index)


@contextmanager
def _failing(backend: Any, n: int) -> Iterator[_Failing]:
    patch = _Failing(backend)
    patch.left = n
    with patch:
        yield patch
