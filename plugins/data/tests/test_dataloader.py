"""The loader: batches, order, randomness; worker processes, their failures and their end."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from typing import Any

import numpy as np
import pytest

import flambeau as fb

data = fb.data
DataLoader = data.DataLoader


class Numbers(data.Dataset[Any]):
    """Sample i is (i, a row that holds i); a function may be run first."""

    def __init__(self, n: int, before: Any = None) -> None:
        self.n = n
        self.before = before

    def __getitem__(self, index: int) -> Any:
        if self.before is not None:
            self.before(index)
        return index, fb.full((3,), float(index))

    def __len__(self) -> int:
        return self.n


class Shards(data.IterableDataset[int]):
    """0..n-1, each worker taking its share."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Any:
        info = data.get_worker_info()
        return iter(range(self.n)) if info is None else iter(range(info.id, self.n, info.num_workers))


def running() -> int:
    """How many workers there are; an iterator lives on in the traceback of its error until that is collected."""
    gc.collect()
    return len([p for p in multiprocessing.active_children() if "DataLoader" in p.name])


def flat(loader: Any) -> list[int]:
    return [i for batch in loader for i in (batch[0] if isinstance(batch, list) else batch).tolist()]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_in_order(workers: int) -> None:
    loader = DataLoader(Numbers(7), batch_size=3, num_workers=workers)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert [b[0].tolist() for b in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert batches[1][1].tolist() == [[3.0] * 3, [4.0] * 3, [5.0] * 3]
    assert len(list(DataLoader(Numbers(7), batch_size=3, drop_last=True, num_workers=workers))) == 2


@pytest.mark.parametrize("workers", [0, 3])
def test_the_seed_fixes_the_order_with_and_without_workers(workers: int) -> None:
    fb.manual_seed(7)
    expected = flat(DataLoader(Numbers(20), batch_size=4, shuffle=True))
    after = fb.rand(1).item()
    fb.manual_seed(7)
    loader = DataLoader(Numbers(20), batch_size=4, shuffle=True, num_workers=workers)
    assert flat(loader) == expected
    assert fb.rand(1).item() == after
    assert sorted(expected) == list(range(20))
    assert flat(loader) != expected


def test_a_generator_of_ones_own() -> None:
    g = fb.Generator()
    loader = DataLoader(Numbers(20), batch_size=4, shuffle=True, generator=g)
    g.manual_seed(1)
    first = flat(loader)
    g.manual_seed(1)
    fb.manual_seed(99)
    assert flat(loader) == first


def test_sampler_batch_sampler_and_no_batching() -> None:
    assert flat(DataLoader(Numbers(9), batch_size=2, sampler=[5, 3, 1])) == [5, 3, 1]
    loader = DataLoader(Numbers(9), batch_sampler=[[0, 8], [4]])
    assert [b[0].tolist() for b in loader] == [[0, 8], [4]]
    assert len(loader) == 2
    plain = list(DataLoader([np.float32(1.5), "text"], batch_size=None))
    assert plain[0].dtype == fb.float32
    assert plain[1] == "text"
    assert list(DataLoader(Numbers(4), batch_size=2, collate_fn=len)) == [2, 2]
    assert list(DataLoader(range(5), batch_size=2))[2].tolist() == [4]


@pytest.mark.parametrize("workers", [0, 2])
def test_iterable_datasets(workers: int) -> None:
    loader = DataLoader(Shards(11), batch_size=2, num_workers=workers)
    assert sorted(flat(loader)) == list(range(11))
    assert sorted(flat(loader)) == list(range(11))
    whole = DataLoader(Shards(11), batch_size=2, num_workers=workers, drop_last=True)
    assert all(len(b) == 2 for b in whole)
    assert sorted(DataLoader(Shards(5), batch_size=None, num_workers=workers)) == [0, 1, 2, 3, 4]


def test_tensor_datasets_and_their_subsets_are_read_a_batch_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ds = data.TensorDataset(fb.arange(20).reshape(10, 2), fb.arange(10))
    fb.manual_seed(0)
    slow = [
        tuple(t.tolist() for t in b)
        for b in DataLoader(ds, 4, shuffle=True, collate_fn=lambda s: data.default_collate(s))
    ]
    part = data.Subset(ds, [9, 0, 5])
    monkeypatch.setattr(data.TensorDataset, "__getitem__", None)
    fb.manual_seed(0)
    fast = [tuple(t.tolist() for t in b) for b in DataLoader(ds, 4, shuffle=True)]
    assert fast == slow
    (batch,) = DataLoader(part, 3)
    assert batch[0].tolist() == [[18, 19], [0, 1], [10, 11]]


def test_an_overridden_getitem_is_not_passed_over() -> None:
    class Doubled(data.TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            return tuple(2 * t for t in super().__getitem__(index))

    (batch,) = DataLoader(Doubled(fb.arange(3)), 3)
    assert batch[0].tolist() == [0, 2, 4]


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_both_ways_of_starting_workers(context: str) -> None:
    ds = data.TensorDataset(fb.arange(10), fb.arange(10) * 2.0)
    loader = DataLoader(ds, 4, num_workers=2, multiprocessing_context=context)
    assert [b[1].tolist() for b in loader] == [[0.0, 2.0, 4.0, 6.0], [8.0, 10.0, 12.0, 14.0], [16.0, 18.0]]


def test_persistent_workers_stay_and_give_the_same_numbers() -> None:
    class Draws(Numbers):
        def __getitem__(self, index: int) -> Any:
            return index, os.getpid(), random.random(), fb.rand(()).item()

    def passes(keep: bool) -> list[list[Any]]:
        fb.manual_seed(3)
        loader = DataLoader(Draws(8), batch_size=2, num_workers=2, persistent_workers=keep)
        return [
            list(zip(*(column.tolist() for column in batch), strict=True)) for batch in [*loader, *loader]
        ]

    kept, fresh = passes(True), passes(False)
    assert [[row[2:] for row in b] for b in kept] == [[row[2:] for row in b] for b in fresh]
    assert len({row[1] for b in kept for row in b}) == 2
    assert len({row[1] for b in fresh for row in b}) == 4
    values = [row[3] for b in kept for row in b[:2]]
    assert len(set(values)) == len(values)


def test_a_pass_that_was_left_early_does_not_disturb_the_next() -> None:
    loader = DataLoader(Numbers(40), batch_size=2, num_workers=2, persistent_workers=True)
    for k, _ in enumerate(loader):
        if k == 2:
            break
    assert flat(loader) == list(range(40))
    early = iter(loader)
    next(early)
    assert flat(loader) == list(range(40))
    with pytest.raises(RuntimeError, match="later pass"):
        next(early)


def test_worker_info_and_init_function() -> None:
    seen = []

    def init(k: int) -> None:
        info = data.get_worker_info()
        assert info is not None
        info.dataset.n = 100 + k

    class Info(Numbers):
        def __getitem__(self, index: int) -> Any:
            info = data.get_worker_info()
            assert info is not None
            return info.id, info.num_workers, self.n, info.seed - info.id, fb.get_num_threads()

    for batch in DataLoader(Info(4), batch_size=1, num_workers=2, worker_init_fn=init):
        seen.append([int(x) for x in batch])
    assert [s[:3] for s in seen] == [[0, 2, 100], [1, 2, 101], [0, 2, 100], [1, 2, 101]]
    assert len({s[3] for s in seen}) == 1
    assert {s[4] for s in seen} == {1}
    assert data.get_worker_info() is None


class OddError(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)


def fail(kind: type[Exception], *args: Any) -> Any:
    def before(index: int) -> None:
        if index == 5:
            raise kind(*args)

    return before


def notes(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_an_error_in_this_process_names_the_sample() -> None:
    with pytest.raises(ValueError, match="^bad pixel\n?") as caught:
        list(DataLoader(Numbers(8, fail(ValueError, "bad pixel")), batch_size=2))
    assert "while reading sample 5" in notes(caught.value)


def test_an_error_in_a_worker_is_raised_with_its_traceback_and_sample() -> None:
    loader = DataLoader(Numbers(8, fail(ValueError, "bad pixel")), batch_size=2, num_workers=2)
    batches = iter(loader)
    assert next(batches)[0].tolist() == [0, 1]
    assert next(batches)[0].tolist() == [2, 3]
    with pytest.raises(ValueError, match="Caught ValueError in DataLoader worker process 0") as caught:
        next(batches)
    text = str(caught.value)
    assert "in before" in text
    assert "ValueError: bad pixel" in text
    assert "while reading sample 5" in text
    assert next(batches)[0].tolist() == [6, 7]
    assert list(batches) == []


@pytest.mark.parametrize(
    ("before", "kind", "text"),
    [
        (fail(KeyError, "name"), KeyError, "KeyError: 'name'\n"),
        (fail(OddError, 3, "odd"), RuntimeError, "OddError"),
        (fail(StopIteration), RuntimeError, "StopIteration was raised"),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_awkward_types(before: Any, kind: type[Exception], text: str, workers: int) -> None:
    if not workers and kind is RuntimeError and "Odd" in text:
        kind = OddError
    with pytest.raises(kind) as caught:
        list(DataLoader(Numbers(8, before), batch_size=2, num_workers=workers))
    assert text in notes(caught.value)


def test_an_error_of_a_class_that_only_the_worker_knows() -> None:
    class Local(Exception):
        pass

    with pytest.raises(RuntimeError, match="Local: gone"):
        list(DataLoader(Numbers(8, fail(Local, "gone")), num_workers=1))


@pytest.mark.parametrize("workers", [0, 1])
def test_samples_of_different_shapes(workers: int) -> None:
    rows = [fb.ones(3), fb.ones(3), fb.ones(3), fb.ones(4)]
    with pytest.raises(RuntimeError, match=r"sample 0 has \[3\], sample 1 has \[4\]") as caught:
        list(DataLoader(rows, batch_size=2, num_workers=workers))
    assert "while collating samples [2, 3]" in notes(caught.value)


def test_an_init_function_that_fails() -> None:
    def init(k: int) -> None:
        raise OSError("no such camera")

    with pytest.raises(OSError, match="no such camera"):
        list(DataLoader(Numbers(4), num_workers=2, worker_init_fn=init))


def test_a_batch_that_cannot_be_sent() -> None:
    with pytest.raises(Exception, match="worker process 0"):
        list(DataLoader(Numbers(2), num_workers=1, collate_fn=lambda s: lambda: s))


def kill_at_five(index: int) -> None:
    if index == 5:
        os.kill(os.getpid(), signal.SIGKILL)


def exit_at_five(index: int) -> None:
    if index == 5:
        os._exit(3)


@pytest.mark.parametrize(
    ("before", "how"), [(kill_at_five, "killed by SIGKILL"), (exit_at_five, "exit code 3")]
)
@pytest.mark.parametrize("keep", [False, True])
def test_a_worker_that_dies_is_an_error_and_no_hang(before: Any, how: str, keep: bool) -> None:
    loader = DataLoader(Numbers(40, before), batch_size=2, num_workers=2, persistent_workers=keep)
    started = time.monotonic()
    with pytest.raises(RuntimeError, match=rf"worker \(pid \d+\) exited unexpectedly: it .*{how}"):
        list(loader)
    assert time.monotonic() - started < 10
    assert running() == 0
    loader.dataset.before = None
    assert flat(loader) == list(range(40))


def test_a_worker_that_is_killed_from_outside() -> None:
    loader = DataLoader(Numbers(2000), batch_size=1, num_workers=2)
    batches = iter(loader)
    next(batches)
    victim = next(p for p in multiprocessing.active_children() if "DataLoader" in p.name)
    os.kill(victim.pid or 0, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(batches)
    with pytest.raises(RuntimeError, match="have ended after an error"):
        next(batches)


def test_a_timeout() -> None:
    loader = DataLoader(Numbers(2, lambda i: time.sleep(30)), num_workers=1, timeout=0.3)
    started = time.monotonic()
    with pytest.raises(RuntimeError, match=r"timed out after 0.3 seconds waiting for batch 0"):
        list(loader)
    assert time.monotonic() - started < 10


def test_large_batches_cross_the_pipes() -> None:
    class Wide(Numbers):
        def __getitem__(self, index: int) -> Any:
            return fb.full((300_000,), float(index))

    sums = [b.sum(1).tolist() for b in DataLoader(Wide(8), batch_size=2, num_workers=2)]
    assert sums == [[0.0, 3e5], [6e5, 9e5], [12e5, 15e5], [18e5, 21e5]]


def test_workers_end_with_the_pass_with_the_iterator_and_with_the_program() -> None:
    loader = DataLoader(Numbers(6), num_workers=2)
    assert running() == 0
    list(loader)
    assert running() == 0
    for _ in loader:
        break
    assert running() == 0


PROGRAM = """
import os, sys, time
import flambeau as fb
class D(fb.data.Dataset):
    def __getitem__(self, i): return i
    def __len__(self): return 1000
if __name__ == "__main__":
    it = iter(fb.data.DataLoader(D(), num_workers=2, persistent_workers=True))
    print(*[w.process.pid for w in it.pool.workers], flush=True)
    next(it)
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), 9)
    if sys.argv[1] == "raises":
        raise SystemExit(5)
"""


def gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")
@pytest.mark.parametrize("how", ["ends", "raises", "killed"])
def test_no_worker_outlives_the_program(how: str, tmp_path: Any) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    done = subprocess.run([sys.executable, str(script), how], capture_output=True, text=True, timeout=60)
    assert done.returncode == {"ends": 0, "raises": 5, "killed": -9}[how], done.stderr
    assert "Traceback" not in done.stderr
    pids = [int(p) for p in done.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while not all(gone(p) for p in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(gone(p) for p in pids)


@pytest.mark.parametrize(
    ("kw", "text"),
    [
        ({"num_workers": -1}, "num_workers option should be non-negative"),
        ({"timeout": -1}, "timeout option should be non-negative"),
        ({"prefetch_factor": 2}, "prefetch_factor needs worker processes"),
        ({"persistent_workers": True}, "persistent_workers needs worker processes"),
        ({"num_workers": 1, "prefetch_factor": 0}, "prefetch_factor option should be positive"),
        ({"batch_size": 0}, "batch_size should be a positive"),
        ({"shuffle": True, "sampler": [1]}, "mutually exclusive with shuffle"),
        ({"batch_sampler": [[1]], "batch_size": 2}, "mutually exclusive with batch_size"),
        ({"batch_size": None, "drop_last": True}, "mutually exclusive with drop_last"),
    ],
)
def test_mistakes(kw: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        DataLoader(Numbers(3), **kw)


def test_mistakes_with_iterable_datasets() -> None:
    with pytest.raises(ValueError, match="IterableDataset decides on its order"):
        DataLoader(Shards(3), shuffle=True)
    with pytest.raises(TypeError, match="len"):
        len(DataLoader(Shards(3)))
