"""What the simulator finds: writes beyond memory, reads of what nobody wrote, barriers that not all threads reach."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as fb
from flambeau.plugin import backend_of
from flambeau_cuda.launch import bind

HEAD = '#include "base.cuh"\nstruct P { u64 out, src; i64 n; };\n'


@pytest.fixture
def backend() -> Any:
    return backend_of(fb.device("cuda-sim"))


def launch(backend: Any, body: str, sync: bool, block: int, *values: int) -> None:
    macro = "FB_KERNEL_SYNC" if sync else "FB_KERNEL"
    fn = backend.function(
        f"{HEAD}FB_DEV void run(const P &p) {{ {body} }}\n{macro}(k, P, run, 256)\n", "k", 0
    )
    bind(backend, 0, fn, "QQq", b"", (1,), (block,))(*values)


def test_a_write_beyond_an_allocation_is_found(backend: Any) -> None:
    address = backend.runtime.malloc(64, 0)
    launch(backend, "((f32 *)p.out)[threadIdx.x] = 1;", False, 16, address, 0, 0)
    backend.runtime.check(address, 64)
    launch(backend, "((f32 *)p.out)[threadIdx.x] = 1;", False, 17, address, 0, 0)
    with pytest.raises(RuntimeError, match="wrote beyond an allocation of 64 bytes"):
        backend.runtime.release(address, 64, 0)
    backend.runtime._rooms.pop(address)


def test_new_memory_is_poisoned(backend: Any) -> None:
    assert bool(fb.empty(100, device="cuda-sim").isnan().all())


def test_a_barrier_that_not_all_threads_reach_is_an_error(backend: Any) -> None:
    with pytest.raises(RuntimeError, match="divergent barrier"):
        launch(backend, "if (threadIdx.x < 20) __syncthreads();", True, 64, 0, 0, 0)


def test_a_missing_barrier_shows(backend: Any) -> None:
    """Each thread reads its neighbour's word: NaN where that thread has not run yet."""
    body = "SHARED(f32, room, 64); room[threadIdx.x] = 1; {} ((f32 *)p.out)[threadIdx.x] = room[63 - threadIdx.x];"
    x = fb.zeros(64, device="cuda-sim")
    launch(backend, body.replace("{}", "__syncthreads();"), True, 64, x.ptr, 0, 0)
    assert bool((x == 1).all())
    launch(backend, body.replace("{}", ""), True, 64, x.ptr, 0, 0)
    assert bool(x.isnan().any())


def test_shuffles(backend: Any) -> None:
    x = fb.zeros(64, device="cuda-sim")
    body = "((f32 *)p.out)[threadIdx.x] = __shfl_xor_sync(~0u, (f32)threadIdx.x, 3);"
    launch(backend, body, True, 64, x.ptr, 0, 0)
    assert x.tolist() == [float(k ^ 3) for k in range(64)]


def test_an_invalid_launch_is_an_error(backend: Any) -> None:
    with pytest.raises(RuntimeError, match="invalid launch"):
        launch(backend, ";", False, 2048, 0, 0, 0)
