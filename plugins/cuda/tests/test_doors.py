"""PyTorch's names in `flambeau.cuda`, pinned memory, streams that share tensors; on the simulator."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import flambeau as fb
from flambeau.plugin import backend_of

SIM = "cuda-sim"

#: What `torch.cuda` has and `flambeau.cuda` has not, by reason.
ABSENT = {
    "typed storages and tensors are of PyTorch's own making": {
        *(f"{t}{kind}" for t in ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short")
          for kind in ("Storage", "Tensor")), "ComplexDoubleStorage", "ComplexFloatStorage",
    },
    "errors and handles of PyTorch's own runtime": {
        "CudaError", "DeferredCudaCallError", "check_error", "cudaStatus", "cudart", "current_blas_handle",
        "current_solver_handle", "jiterator",
    },
    "PyTorch's allocators": {
        "caching_allocator_alloc", "caching_allocator_delete", "caching_allocator_disabled", "caching_allocator_enable",
        "get_allocator_backend", "CUDAPluggableAllocator", "change_current_allocator", "MemPool", "use_mem_pool",
        "memory_snapshot", "memory_stats_as_nested_dict", "host_memory_stats", "host_memory_stats_as_nested_dict",
        "reset_accumulated_host_memory_stats", "reset_peak_host_memory_stats",
    },
    "asks NVIDIA's management library": {
        "device_memory_used", "list_gpu_processes", "memory_usage", "temperature", "power_draw", "clock_rate",
        "utilization",
    },
    "not here": {
        "GreenContext", "default_generators", "get_gencode_flags", "get_sync_debug_mode", "set_sync_debug_mode",
        "has_half", "has_magma", "make_graphed_callables", "nvtx", "profiler", "random", "sparse", "tunable",
    },
}  # fmt: skip


def test_every_name_of_pytorch_is_here_or_accounted_for() -> None:
    torch = pytest.importorskip("torch")
    accounted = {name for names in ABSENT.values() for name in names}
    missing = {name for name in torch.cuda.__all__ if not hasattr(fb.cuda, name)}
    assert missing <= accounted
    assert not {name for name in accounted if hasattr(fb.cuda, name)}


def test_streams_and_events_have_pytorchs_methods() -> None:
    torch = pytest.importorskip("torch")
    absent = {"from_ipc_handle", "ipc_handle", "debug_dump", "enable_debug_mode", "get_graph_data", "instantiate",
              "raw_cuda_graph", "raw_cuda_graph_exec"}  # fmt: skip
    for name in ("Stream", "Event", "CUDAGraph"):
        theirs = {n for n in dir(getattr(torch.cuda, name)) if not n.startswith("_")}
        assert {n for n in theirs - absent if not hasattr(getattr(fb.cuda, name), n)} == set()


def test_pinned_memory_and_copies_that_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    backend: Any = backend_of(fb.device(SIM))
    waits: list[bool] = []
    to_device = backend.runtime.to_device

    def noted(address: int, host: int, nbytes: int, stream: int, wait: bool) -> None:
        waits.append(wait)
        to_device(address, host, nbytes, stream, wait)

    monkeypatch.setattr(backend.runtime, "to_device", noted)
    x = fb.arange(20.0).reshape(4, 5)
    pinned = fb.cuda.pin_memory(x, device=SIM)
    assert fb.cuda.is_pinned(pinned, device=SIM)
    assert fb.cuda.is_pinned(pinned[1:], device=SIM)
    assert not fb.cuda.is_pinned(x, device=SIM)
    for source, non_blocking, wait in (
        (pinned, True, False),
        (pinned, False, True),
        (x, True, True),
        (pinned[2], True, False),
    ):
        waits.clear()
        assert source.to(SIM, non_blocking=non_blocking).tolist() == source.tolist()
        assert waits == [wait]
    assert pinned.to(SIM, fb.float32, True).tolist() == x.tolist()
    n = len(backend.pinned._rooms)
    with pytest.raises(RuntimeError, match="only CPU tensors can be pinned"):
        fb.cuda.pin_memory(x.to(SIM), device=SIM)
    del pinned, source
    fb.ones(1, device=SIM)
    backend.pinned._reading.clear()
    gc.collect()
    assert len(backend.pinned._rooms) == n - 1


def test_memory_that_another_stream_reads_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    backend: Any = backend_of(fb.device(SIM))
    followed: list[Any] = []
    monkeypatch.setattr(backend, "follow", lambda index, stream, of: followed.append((index, stream, of)))
    side = fb.cuda.Stream(SIM)
    x = fb.ones(3, device=SIM)
    before = fb.cuda.memory_allocated(SIM)
    fb.cuda.record_stream(x, side)
    assert not followed
    del x
    assert followed == [(0, side.cuda_stream, 0)]
    assert fb.cuda.memory_allocated(SIM) == before - 12


def test_questions_about_memory_and_devices() -> None:
    x = fb.ones(1000, device=SIM)
    stats = fb.cuda.memory_stats(SIM)
    assert stats["allocated_bytes.all.current"] == stats["allocated"] >= x.nbytes
    assert "allocated" in fb.cuda.memory_summary(SIM)
    assert fb.cuda.get_per_process_memory_fraction(SIM) == 1.0
    assert fb.cuda.can_device_access_peer("cuda-sim:0", "cuda-sim:0")
    with pytest.raises(AssertionError, match="Invalid device id"):
        fb.cuda.can_device_access_peer("cuda-sim:0", "cuda-sim:1")
    with fb.cuda.device_of(x), fb.cuda.device(-1), fb.cuda.device(None):
        assert fb.ones(2, device=SIM).device == x.device
    assert fb.cuda.get_device_properties(SIM).major == 9


def test_graphs_share_memory() -> None:
    pool = fb.cuda.graph_pool_handle()
    x = fb.zeros(3, device=SIM)
    graphs, results = [fb.cuda.CUDAGraph() for _ in range(2)], []
    for k, graph in enumerate(graphs):
        with fb.cuda.graph(graph, pool=pool, device=SIM):
            results.append(x + k)
    x.fill_(5)
    for graph in graphs:
        graph.replay()
    assert [r.tolist() for r in results] == [[5, 5, 5], [6, 6, 6]]
    assert graphs[0].pool() is graphs[1].pool() is pool


def test_one_device_by_two_names() -> None:
    x, y = fb.ones(2, device=SIM), fb.ones(2, device="cuda-sim:0")
    assert x.device == y.device == fb.device("cuda-sim:0")
    assert (x + y).tolist() == [2, 2]
    assert x.to("cuda-sim:0") is x
    assert y.to(SIM) is y


def test_loaders_pin_their_batches() -> None:
    class Samples(fb.data.Dataset[Any]):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            return {"x": fb.full((3,), float(index)), "name": str(index)}, index

    loader: Any = fb.data.DataLoader(Samples(), 2, pin_memory=True, pin_memory_device=SIM)
    batches = list(loader)
    assert [b[0]["name"] for b in batches] == [["0", "1"], ["2", "3"]]
    for batch, labels in batches:
        assert fb.cuda.is_pinned(batch["x"], SIM)
        assert fb.cuda.is_pinned(labels, SIM)
        assert batch["x"].to(SIM, non_blocking=True)[:, 0].tolist() == labels.tolist()
    plain = list(fb.data.DataLoader(Samples(), 2, pin_memory=True))
    assert not fb.cuda.is_pinned(plain[0][1], SIM)
