"""Compile the simulator's kernels for a conformance run, many in one run of the compiler; ``hatch run conformance:cuda-sim``.

Every test is called once on a runtime that starts no kernel, only to learn which kernels it asks for. What a test asks
for depending on values isn't found that way and is compiled when the test runs.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any
from zlib import crc32

import flambeau as fb
from flambeau.plugin import force_defaults
from flambeau.testing import BackendSuite
from flambeau_cuda import rt_host
from flambeau_cuda.hostcc import Text, compile_many
from flambeau_cuda.runtime import Module

BATCH = 100
_NOTHING = 1


class Scout(rt_host.HostRuntime):
    """Notes what is to be compiled and runs nothing; new memory is zero, as good a value as any."""

    wanted: list[Text]

    def __init__(self) -> None:
        super().__init__()
        self.wanted = []

    def malloc(self, nbytes: int, index: int) -> int:
        address = super().malloc(nbytes, index)
        if address:
            self.fill(address, 0, nbytes, 0)
        return address

    def compile(self, source: str, names: Sequence[str], options: Sequence[str], index: int) -> bytes:
        self.wanted.append(rt_host.text_of(source, names, options))
        if len(self.wanted) >= BATCH:
            self.flush()
        return b""

    def flush(self) -> None:
        """Compile what was noted."""
        compile_many(self.wanted)
        self.wanted.clear()

    def load(self, image: bytes, names: Sequence[str], index: int) -> Module:
        return Module(dict.fromkeys(names, _NOTHING), None)

    def launch(self, *args: int) -> None:
        pass


def calls(suite: type[BackendSuite]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The tests of a suite that run, each a function of a suite."""
    for name in dir(suite):
        if name.startswith("test_"):
            test: Any = getattr(suite, name)
            if hasattr(test, "cases"):
                for key in suite.chosen_of(test.cases):
                    yield key, partial(test, case=test.cases[key])
            elif not suite.defaults:
                yield name, test


def scout(suites: Sequence[type[BackendSuite]], part: int, parts: int) -> None:
    """Compile what a part of the tests needs."""
    runtimes: list[Scout] = []

    def make() -> Scout:
        runtimes.append(Scout())
        return runtimes[-1]

    rt_host.HostRuntime = make  # type: ignore[assignment, misc]
    for name in ("forward", "gradients", "writing", "moving", "models", "randomness", "contract", "mistakes"):
        for check in ("compare", "expected"):
            module: Any = import_module(f"flambeau_testing.conformance.{name}")
            if hasattr(module, check):
                setattr(module, check, lambda *args, **kwargs: None)
    warnings.simplefilter("ignore")
    for suite in suites:
        with force_defaults(suite.defaults):
            for key, call in calls(suite):
                if crc32(key.partition("-")[0].encode()) % parts == part:
                    with suppress(BaseException):
                        call(suite())
    for runtime in runtimes:
        runtime.flush()


def main() -> None:
    """Compile with as many processes as there are processors."""
    from test_conformance import TestSim, TestSimDefaults

    start = time.perf_counter()
    parts = fb.get_num_threads()
    children = []
    for part in range(parts):
        child = os.fork()
        if not child:
            scout((TestSim, TestSimDefaults), part, parts)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    print(f"compiled the simulator's kernels in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
