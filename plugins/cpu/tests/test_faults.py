"""Allocations that fail, one after the other, in training steps; forks and threads in the middle of the work."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as fb
from flambeau.plugin import OutOfMemoryError
from flambeau.registry import forget_plans
from flambeau_cpu import engine

nn = pytest.importorskip("flambeau.nn")
optim = pytest.importorskip("flambeau.optim")


def mlp() -> tuple[Any, tuple[int, ...]]:
    return nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.LayerNorm(64), nn.Dropout(0.1), nn.Linear(64, 5)), (
        8,
        32,
    )


def cnn() -> tuple[Any, tuple[int, ...]]:
    body = [nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)]
    body += [
        nn.Conv2d(16, 16, 3, groups=16),
        nn.Conv2d(16, 24, 3, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    return nn.Sequential(*body, nn.Linear(24, 5)), (4, 3, 16, 16)


class Encoder(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.layer(x).mean(1))


class Recurrent(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(16, 24, batch_first=True)
        self.head = nn.Linear(24, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.lstm(x)[0][:, -1])


MODELS: dict[str, Callable[[], tuple[Any, tuple[int, ...]]]] = {
    "mlp": mlp, "cnn": cnn, "encoder": lambda: (Encoder(), (4, 9, 16)), "lstm": lambda: (Recurrent(), (4, 9, 16)),
}  # fmt: skip


def in_a_thread(work: Callable[[], Any]) -> Any:
    """In a thread of its own, whose scratch memory is empty."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    assert found, "the thread raised"
    return found[0]


@pytest.mark.parametrize(
    ("name", "cold"), [*((name, False) for name in MODELS), ("mlp", True), ("lstm", True)]
)
def test_every_allocation_of_a_training_step_may_fail(name: str, cold: bool) -> None:
    """A clean error each time, nothing leaks, and the next step works: its loss is what it is without the failure.

    Cold: calls are prepared anew, which takes memory of its own.
    """
    fb.manual_seed(0)
    model, shape = MODELS[name]()
    x, labels = fb.randn(shape), fb.arange(shape[0]) % 5
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)

    said: set[str] = set()

    def step(fail_at: int) -> float | None:
        """The loss, or None where memory was missing."""
        fb.manual_seed(1)
        optimizer.zero_grad()
        if cold:
            forget_plans()
        engine.inject_failure(countdown=fail_at)
        try:
            loss = nn.functional.cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
            return float(loss)
        except OutOfMemoryError as error:
            said.add(str(error).partition(":")[0])
            return None
        finally:
            engine.inject_failure()
            optimizer.zero_grad()

    threads = engine.get_num_threads()
    engine.set_num_threads(1)
    try:
        kept = {key: value.clone() for key, value in model.state_dict().items()}
        want = in_a_thread(lambda: step(0))
        gc.collect()
        live = engine.memory_stats().live
        failures, at = 0, 1
        while in_a_thread(lambda: step(at)) is None:  # noqa: B023 (called at once)
            failures += 1
            gc.collect()
            assert engine.memory_stats().live == live, f"failure {at} leaks"
            model.load_state_dict(kept)
            assert in_a_thread(lambda: step(0)) == want, f"after failure {at}"
            at += 1 if at < 40 else 3
        assert failures > 20
        assert all(text.startswith("[") and "] out of memory" in text for text in said), said
    finally:
        engine.set_num_threads(threads)


FORK = """
import os, sys, threading, time, warnings
import flambeau as fb
warnings.simplefilter("ignore")
fb.set_num_threads(3)
tries = int(sys.argv[1])
x = fb.linspace(-2, 2, 300_000)
want = x.exp().sum().item()
stop = threading.Event()

def busy():
    while not stop.is_set():
        (x.exp() + fb.rand(1000).sum()).sum()

others = [threading.Thread(target=busy) for _ in range(2)]
for other in others:
    other.start()
for k in range(tries):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            y = fb.ones(50, 50, requires_grad=True)
            (y @ y).sum().backward()
            code = 0 if x.exp().sum().item() == want and y.grad[0, 0].item() == 100 else 2
        finally:
            os._exit(code)
    until = time.monotonic() + 60
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > until:
            os.kill(pid, 9)
            raise SystemExit(f"try {k} hangs")
        time.sleep(0.0005)
    if status:
        raise SystemExit(f"try {k} ended with {status}")
stop.set()
for other in others:
    other.join()
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_forks_in_the_middle_of_threaded_work() -> None:
    """While two threads compute on the pool, children are forked that compute and end; none hangs, none errs."""
    tries = os.environ.get("FLAMBEAU_TEST_FORKS", "50")
    done = subprocess.run([sys.executable, "-c", FORK, tries], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "fine"), done.stderr


def test_two_threads_train_at_once() -> None:
    """Each gets the losses that it gets alone."""

    def train(name: str) -> list[float]:
        generator = fb.Generator().manual_seed(3)
        model, shape = MODELS[name]()
        with fb.no_grad():
            for p in model.parameters():
                p.copy_(fb.randn(p.shape, generator=generator) * 0.1)
        x, labels = fb.randn(shape, generator=generator), fb.arange(shape[0]) % 5
        optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        losses = []
        for _ in range(10):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
            losses.append(float(loss))
        return losses

    names = ["cnn", "lstm"]
    alone = [train(name) for name in names]
    found: dict[int, list[float]] = {}
    threads = [
        threading.Thread(target=lambda k=k, name=name: found.update({k: train(name)}))  # type: ignore[misc]
        for k, name in enumerate([*names, *names])
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [found[k] for k in range(4)] == [*alone, *alone]
