"""The allocator, the thread pool, fork, and what the environment says."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from test_engine_support import DTYPES, Program, run

from flambeau_cpu import engine
from flambeau_cpu._C import ffi, lib

F32 = DTYPES["float32"]
EXP = Program((F32,), (F32,), (("exp", F32, F32, (0,)),), (1,))
MIB = 1 << 20
HANDLER = """
from flambeau_cpu import engine
from flambeau_cpu._C import set_on_failure
def handler(nbytes):
    raise RuntimeError(f"asked for {nbytes}")
set_on_failure(handler)
engine.inject_failure(above=100)
try:
    engine.allocate(123)
except RuntimeError as e:
    print(e)
set_on_failure(None)
print(engine.allocate(123))
"""


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    threads = engine.get_num_threads()
    yield
    engine.set_memory_limit(None)
    engine.inject_failure()
    engine.set_num_threads(threads)


def refused(nbytes: int) -> bool:
    """Whether an allocation fails: the backend's handler raises, without it the address is 0."""
    try:
        p = engine.allocate(nbytes)
    except RuntimeError:
        return True
    if p:
        engine.free(p, nbytes)
    return not p


def test_sizes_alignment_and_statistics() -> None:
    before = engine.memory_stats()
    blocks = {}
    sizes = [
        0,
        1,
        63,
        64,
        65,
        512,
        513,
        1000,
        4096,
        65536,
        65537,
        MIB - 1,
        MIB,
        MIB + 1,
        3 * MIB,
        9 * MIB + 5,
    ]
    for size in sizes:
        p = engine.allocate(size)
        assert p
        assert p % 64 == 0
        if size >= 2 * MIB:
            assert p % (2 * MIB) == 0
        ffi.memmove(ffi.cast("char *", p), b"\xaa" * size, size)
        blocks[p] = size
    stats = engine.memory_stats()
    assert stats.allocated - before.allocated == sum(sizes)
    assert stats.live - before.live == len(sizes)
    assert stats.peak >= stats.allocated
    assert stats.reserved >= stats.allocated
    spans = sorted((p, p + max(size, 1)) for p, size in blocks.items())
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    for p, size in blocks.items():
        engine.free(p, size)
    after = engine.memory_stats()
    assert after.allocated == before.allocated
    assert after.live == before.live
    engine.reset_peak()
    assert engine.memory_stats().peak == after.allocated


def test_every_class_holds_its_sizes() -> None:
    """Blocks of neighbouring sizes, written to their ends, don't touch."""
    rng = np.random.default_rng(0)
    live = []
    for k in range(600):
        size = int(2 ** rng.uniform(0, 21))
        p = engine.allocate(size)
        ffi.memmove(ffi.cast("char *", p), bytes([k % 256]) * size, size)
        live.append((p, size, k % 256))
        if k % 3 == 0:
            q, n, mark = live.pop(int(rng.integers(len(live))))
            assert bytes(ffi.buffer(ffi.cast("char *", q), n)) == bytes([mark]) * n
            engine.free(q, n)
    for q, n, mark in live:
        assert bytes(ffi.buffer(ffi.cast("char *", q), n)) == bytes([mark]) * n
        engine.free(q, n)


def test_blocks_are_used_again() -> None:
    for size in (100, 200_000, 5 * MIB):
        p = engine.allocate(size)
        engine.free(p, size)
        before = engine.memory_stats().system_allocations
        assert engine.allocate(size) == p
        engine.free(p, size)
        assert engine.memory_stats().system_allocations == before


def test_a_larger_free_block_is_lent() -> None:
    """A request without a free block of its class takes a larger one, which returns to its own class."""
    engine.empty_cache()
    made = [engine.allocate(9 * MIB) for _ in range(20)]
    for p in made:
        engine.free(p, 9 * MIB)
    before = engine.memory_stats()
    lent = [engine.allocate(5 * MIB + k) for k in range(20)]
    assert set(lent) == set(made)
    for k in np.random.default_rng(0).permutation(20):
        engine.free(lent[k], 5 * MIB + int(k))
    after = engine.memory_stats()
    assert (after.cached, after.reserved) == (before.cached, before.reserved)
    assert {engine.allocate(9 * MIB) for _ in range(20)} == set(made)
    for p in made:
        engine.free(p, 9 * MIB)
    engine.empty_cache()


def test_empty_cache() -> None:
    engine.free(engine.allocate(50 * MIB), 50 * MIB)
    before = engine.memory_stats()
    assert before.cached >= 50 * MIB
    engine.empty_cache()
    after = engine.memory_stats()
    assert after.cached <= before.cached - 50 * MIB
    assert after.reserved <= before.reserved - 50 * MIB


def test_the_cache_does_not_grow_without_end() -> None:
    for k in range(40):
        size = (64 + 8 * k) * MIB
        engine.free(engine.allocate(size), size)
    stats = engine.memory_stats()
    assert stats.cached <= stats.allocated + (1 << 30)
    engine.empty_cache()


def test_limit() -> None:
    now = engine.memory_stats().allocated
    engine.set_memory_limit(now + MIB)
    assert refused(2 * MIB)
    p = engine.allocate(MIB // 2)
    assert p
    engine.free(p, MIB // 2)
    assert refused(1 << 60)
    assert engine.memory_stats().limit == now + MIB


def test_injected_failures() -> None:
    engine.inject_failure(countdown=2)
    p = engine.allocate(10)
    assert p
    assert refused(10)
    q = engine.allocate(10)
    assert q
    engine.inject_failure(above=1000)
    assert refused(1001)
    engine.inject_failure()
    engine.free(p, 10)
    engine.free(q, 10)


def test_failure_handler() -> None:
    """In a process of its own, as the backend has set one here."""
    done = subprocess.run([sys.executable, "-c", HANDLER], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["asked", "for", "123", "0"]


def test_allocation_from_many_threads() -> None:
    before = engine.memory_stats().live
    errors: list[str] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        mine: list[tuple[int, int]] = []
        for _ in range(2000):
            size = int(rng.integers(8, 3000))
            p = engine.allocate(size)
            ffi.cast("int64_t *", p)[0] = seed
            mine.append((p, size))
            if len(mine) > 20:
                q, n = mine.pop(0)
                if ffi.cast("int64_t *", q)[0] != seed:
                    errors.append("overwritten")
                engine.free(q, n)
        for q, n in mine:
            engine.free(q, n)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not errors
    assert engine.memory_stats().live == before


def test_programs_from_many_threads_at_once() -> None:
    engine.set_num_threads(3)
    x = np.linspace(-5, 5, 300_000, dtype=np.float32)
    want = np.empty_like(x)
    run(EXP, [want], [x])
    results: list[bool] = []

    def work() -> None:
        out = np.empty_like(x)
        for _ in range(10):
            out[:] = 0
            run(EXP, [out], [x])
            results.append(bool((out == want).all()))

    workers = [threading.Thread(target=work) for _ in range(12)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert len(results) == 120
    assert all(results)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_fork() -> None:
    """The child has no worker threads and starts its own."""
    engine.set_num_threads(2)
    x = np.linspace(-5, 5, 500_000, dtype=np.float32)
    want = np.empty_like(x)
    run(EXP, [want], [x])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            out = np.empty_like(x)
            for _ in range(5):
                run(EXP, [out], [x])
            p = engine.allocate(100)
            code = 0 if (out == want).all() and p else 2
        finally:
            os._exit(code)
    out = np.empty_like(x)
    run(EXP, [out], [x])
    assert os.waitpid(pid, 0)[1] == 0
    assert (out == want).all()


def test_bind() -> None:
    """Any C function int64_t fn(context, args) as a builtin; here one that is at hand."""
    fn = int(ffi.cast("uintptr_t", ffi.addressof(lib, "fbc_echo")))
    call = engine.bind(fn, np.array([7, 8], np.int64).tobytes(), 2, True)
    assert call(1, 2) == 7 + 8 + 1 + 2
    assert engine.bind(fn, np.array([7, 8], np.int64).tobytes(), 2, False)(-20, 2) == -3
    with pytest.raises(TypeError, match="needed: 2"):
        call(1)


def environment(code: str, **env: str) -> str:
    code = f"import flambeau_cpu.engine as e; print({code})"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_environment() -> None:
    assert environment("e.get_num_threads()", FLAMBEAU_NUM_THREADS="3") == "3"
    assert environment("e.get_isa()", FLAMBEAU_CPU_ISA="base") == "base"
    assert environment("e.get_isa()", FLAMBEAU_CPU_ISA="no such") == engine.available_isas()[-1]


def test_unknown_isa() -> None:
    with pytest.raises(ValueError, match="unknown instruction set: got 'mmx'"):
        engine.set_isa("mmx")


def test_blas_kernels_ignore_what_is_meant_for_other_copies() -> None:
    if engine.blas_info().startswith("none"):
        pytest.skip("built without the bundled OpenBLAS")
    free_choice = environment("e.blas_info()", OPENBLAS_CORETYPE="")
    assert environment("e.blas_info()", OPENBLAS_CORETYPE="Nehalem") == free_choice
    assert environment("e.blas_info()", FLAMBEAU_CPU_BLAS_CORE="Haswell") == "Haswell"
