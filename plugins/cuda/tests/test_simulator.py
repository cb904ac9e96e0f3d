"""What the simulator finds: writes beyond memory, reads of what nobody wrote, barriers that not all threads reach."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as fb
from flambeau.plugin import backend_of
from flambeau_cuda import hostcc
from flambeau_cuda.errors import CompileError
from flambeau_cuda.launch import bind

HEAD = '#include "base.cuh"\nstruct P { u64 out, src; i64 n; };\n'


@pytest.fixture
def backend() -> Any:
    return backend_of(fb.device("cuda-sim"))


def source(body: str, sync: bool) -> str:
    macro = "FB_KERNEL_SYNC" if sync else "FB_KERNEL"
    return f"{HEAD}FB_DEV void run(const P &p) {{ {body} }}\n{macro}(k, P, run, 256)\n"


def launch(backend: Any, body: str, sync: bool, block: int, *values: int) -> None:
    fn = backend.function(source(body, sync), "k", 0)
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


def test_threads_without_barriers_run_in_several_orders(backend: Any) -> None:
    """The last to write to one place wins, and isn't always the same: first or last thread, of the first or last block."""
    seen = set()
    x = fb.zeros(1, device="cuda-sim")
    fn = backend.function(source("*(f32 *)p.out = thread_number();", False), "k", 0)
    for _ in range(4):
        bind(backend, 0, fn, "QQq", b"", (2,), (8,))(x.ptr, 0, 0)
        seen.add(float(x))
    assert seen == {0.0, 7.0, 8.0, 15.0}


def test_shuffles(backend: Any) -> None:
    x = fb.zeros(64, device="cuda-sim")
    body = "((f32 *)p.out)[threadIdx.x] = __shfl_xor_sync(~0u, (f32)threadIdx.x, 3);"
    launch(backend, body, True, 64, x.ptr, 0, 0)
    assert x.tolist() == [float(k ^ 3) for k in range(64)]


def test_an_invalid_launch_is_an_error(backend: Any) -> None:
    with pytest.raises(RuntimeError, match="invalid launch"):
        launch(backend, ";", False, 2048, 0, 0, 0)


def test_shared_memory_is_poisoned_for_every_block(backend: Any) -> None:
    """The second block finds nothing of the first, nor does a kernel of the one before it."""
    body = "SHARED(f32, room, 64); f32 old = room[0]; __syncthreads(); room[threadIdx.x] = 7; ((f32 *)p.out)[blockIdx.x] = old;"
    x = fb.zeros(3, device="cuda-sim")
    for _ in range(2):
        fn = backend.function(source(body, True), "k", 0)
        bind(backend, 0, fn, "QQq", b"", (3,), (64,))(x.ptr, 0, 0)
        assert bool(x.isnan().all())


def test_the_simulator_goes_on_after_a_divergent_barrier(backend: Any) -> None:
    """Threads that were left at a barrier are not those of the next block."""
    x = fb.zeros(64, device="cuda-sim")
    for _ in range(3):
        with pytest.raises(RuntimeError, match="divergent barrier"):
            launch(backend, "if (threadIdx.x < 20) __syncthreads();", True, 64, 0, 0, 0)
        launch(backend, "__syncthreads(); ((f32 *)p.out)[threadIdx.x] += 1;", True, 64, x.ptr, 0, 0)
    assert x.tolist() == [3.0] * 64


def test_kernels_compiled_in_one_run(backend: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Each has its own image; one that the compiler refuses spoils no other."""
    monkeypatch.setenv("FLAMBEAU_CUDA_CACHE", str(tmp_path))
    bodies = [f"((f32 *)p.out)[threadIdx.x] = {k};" for k in range(5)]
    bodies[3] = "no_such_thing();"
    texts = [hostcc.Text(source(body, False), "k", "-O0") for body in bodies]
    hostcc.compile_many(texts)
    assert [text.path.exists() for text in texts] == [True, True, True, False, True]
    with pytest.raises(CompileError, match="no_such_thing"):
        hostcc.compiled(texts[3])
    monkeypatch.setattr(hostcc, "build", None)  # nothing is compiled from here on
    x = fb.zeros(4, device="cuda-sim")
    for k in (0, 1, 2, 4):
        image = backend.runtime.compile(texts[k].source, ("k",), ("-O0",), 0)
        fn = backend.runtime.load(image, ("k",), 0).functions["k"]
        bind(backend, 0, fn, "QQq", b"", (1,), (4,))(x.ptr, 0, 0)
        assert x.tolist() == [float(k)] * 4


def test_a_cache_that_cannot_be_written_to(
    backend: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLAMBEAU_CUDA_CACHE", str(tmp_path / "file"))
    x = fb.zeros(4, device="cuda-sim")
    launch(backend, "((f32 *)p.out)[threadIdx.x] = 12;", False, 4, x.ptr, 0, 0)
    assert x.tolist() == [12.0] * 4
