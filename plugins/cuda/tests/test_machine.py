"""Memory, graphs, streams, faults and the words for machines without a GPU."""

from __future__ import annotations

import random
import sys
import types
from typing import Any

import pytest

import flambeau as fb
from flambeau.plugin import BackendError, backend_of
from flambeau_cuda import rt_cupy
from flambeau_cuda.memory import Pool, size_class

GPU = fb.cuda.is_available()
DEVICES = [
    "cuda-sim",
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not GPU, reason="needs a GPU")]),
]
device = pytest.mark.parametrize("device", DEVICES)


class FakeRuntime:
    """Memory of 200 MiB in numbers only."""

    device = "cuda"
    simulated = False

    def __init__(self) -> None:
        self.left = 200 << 20
        self.next = 1 << 32

    def malloc(self, nbytes: int, index: int) -> int:
        if nbytes > self.left:
            return 0
        self.left -= nbytes
        self.next += nbytes
        return self.next - nbytes

    def release(self, address: int, nbytes: int, index: int) -> None:
        self.left += nbytes

    def synchronize(self, index: int) -> None:
        pass

    def memory_info(self, index: int) -> tuple[int, int]:
        return self.left, 200 << 20


def test_the_pool_reuses_blocks_and_gives_back_what_is_cached() -> None:
    pool: Any = Pool(FakeRuntime(), 0)  # type: ignore[arg-type]
    allocate, free = pool.calls()
    a = allocate(5000, 0)
    free(a, 5000, 0)
    assert allocate(4900, 0) == a  # one size class
    big = allocate(100 << 20, 0)
    free(big, 100 << 20, 0)
    assert allocate(150 << 20, 0)  # the cached block went back to the system first
    assert pool.stats()["retries"] == 1
    with pytest.raises(fb.OutOfMemoryError, match=r"out of memory on cuda:0: asked for 90 MiB"):
        allocate(90 << 20, 0)
    assert pool.stats()["live"] == 2
    assert pool.stats()["allocated"] == size_class(4900) + size_class(150 << 20)


def test_blocks_of_a_graph_stay_with_it() -> None:
    from flambeau_cuda.memory import new_bins

    pool: Any = Pool(FakeRuntime(), 0)  # type: ignore[arg-type]
    allocate, free = pool.calls()
    outside = pool.swap(new_bins())
    a = allocate(700, 0)
    free(a, 700, 0)
    inside = allocate(700, 0)
    assert inside == a
    pool.swap(outside)
    assert allocate(700, 0) != a
    free(inside, 700, 0)
    assert allocate(700, 0) != inside


@device
def test_the_allocator_under_stress(device: str) -> None:
    rng = random.Random(1)
    held: dict[int, Any] = {}
    before = fb.cuda.memory_allocated(device)
    streams = [fb.cuda.default_stream(device), fb.cuda.Stream(device)]
    for k in range(5000 if device == "cuda" else 200):
        with fb.cuda.stream(rng.choice(streams)):
            n = int(2 ** rng.uniform(0, 24 if device == "cuda" else 12))
            held[k] = fb.full((n,), k, dtype=fb.int32, device=device)
        while len(held) > 40 or (held and rng.random() < 0.4):
            name = rng.choice(list(held))
            t = held.pop(name)
            fb.cuda.synchronize(device)
            assert int(t[0]) == int(t[-1]) == name
    for name, t in held.items():
        assert bool((t == name).all())
    held.clear()
    del t
    assert fb.cuda.memory_allocated(device) == before


@device
def test_running_out_of_memory_says_what_holds_it(device: str) -> None:
    model = fb.nn.Sequential(fb.nn.Linear(300, 300), fb.nn.ReLU()).to(device)
    model(fb.ones(4, 300, device=device)).sum().backward()
    with pytest.raises(fb.OutOfMemoryError, match=r"parameters of Sequential\.0.*gradients of Sequential\.0"):
        fb.empty(1 << 46, device=device)
    assert float(fb.ones(3, device=device).sum()) == 3


@device
def test_a_captured_step_replays_as_it_would_run(device: str) -> None:
    fb.manual_seed(0)
    w = fb.randn(16, 16, device=device).requires_grad_()
    x = fb.randn(8, 16, device=device)

    def step() -> Any:
        w.grad = None
        y = fb.nn.functional.dropout((x @ w).relu(), 0.5)
        loss = (y * y).mean()
        loss.backward()
        return loss

    step()
    graph = fb.cuda.CUDAGraph()
    with fb.cuda.graph(graph, device=device):
        loss = step()
    fb.manual_seed(5)
    replayed = []
    for k in range(100 if device == "cuda" else 4):
        x.fill_(k % 7 - 3)
        graph.replay()
        replayed.append((float(loss), float(w.grad.sum())))
    fb.manual_seed(5)
    for k, (a, b) in enumerate(replayed):
        x.fill_(k % 7 - 3)
        again = step()
        assert (float(again), float(w.grad.sum())) == (a, b)


@device
def test_waiting_inside_of_a_capture_is_an_error(device: str) -> None:
    x = fb.ones(3, device=device)
    with (
        pytest.raises(RuntimeError, match="not possible while a graph is captured"),
        fb.cuda.graph(fb.cuda.CUDAGraph(), device=device),
    ):
        float(x.sum())
    assert (x + 1).tolist() == [2, 2, 2]
    with pytest.raises(RuntimeError, match="without a preceding successful capture"):
        fb.cuda.CUDAGraph().replay()


@device
def test_operands_on_two_devices_are_named(device: str) -> None:
    x, y, at = fb.ones(3, 4, device=device), fb.ones(3, 4), fb.zeros(3, 1, dtype=fb.int64)
    for call, names in (
        (lambda: x + y, ("self", "other")),
        (lambda: x.gather(1, at), ("self", "index")),
        (lambda: fb.cat([x, y]), (r"tensors\[0\]", r"tensors\[1\]")),
    ):
        said = rf"{names[0]}: \[3, 4\] float32 {device}\S*, {names[1]}: \[3, \d\] \w+ cpu.* \.to\(device\)"
        with pytest.raises(RuntimeError, match=f"Expected all tensors to be on the same device: got {said}"):
            call()


@device
def test_streams_and_events(device: str) -> None:
    side = fb.cuda.Stream(device)
    start, end = fb.cuda.Event(enable_timing=True), fb.cuda.Event(enable_timing=True)
    x = fb.ones(100, device=device)
    side.wait_stream(fb.cuda.current_stream(device))
    with fb.cuda.stream(side):
        start.record(side)
        y = x * 2 + 1
        end.record(side)
    end.synchronize()
    assert start.elapsed_time(end) >= 0
    assert end.query()
    assert fb.cuda.current_stream(device) == fb.cuda.default_stream(device)
    assert float(y.sum()) == 300
    with pytest.raises(RuntimeError, match="enable_timing"):
        fb.cuda.Event().elapsed_time(end)


@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="needs a GPU")
def test_a_bad_index_is_told_when_the_host_waits() -> None:
    backend = backend_of(fb.device("cuda"))
    if getattr(backend, "immediate", False):
        pytest.skip("told at once")
    y = fb.ones(3, 4, device="cuda").gather(1, fb.full((3, 1), 9, device="cuda"))
    with pytest.raises(IndexError, match=r"\[gather\] index out of bounds for dimension 1 with size 4"):
        fb.cuda.synchronize()
    del y
    fb.cuda.synchronize()


@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="needs a GPU")
def test_memory_is_shared_with_other_libraries() -> None:
    torch = pytest.importorskip("torch")
    x = fb.arange(6.0, device="cuda").reshape(2, 3)
    torch.from_dlpack(x).add_(1)
    assert x.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert fb.from_dlpack(torch.arange(4, device="cuda")).tolist() == [0, 1, 2, 3]
    pinned = fb.cuda.pin_memory(fb.arange(10.0))
    assert pinned.to("cuda").tolist() == pinned.tolist()


@pytest.mark.skipif(GPU, reason="there is a GPU")
def test_without_a_gpu() -> None:
    assert not fb.cuda.is_available()
    assert fb.cuda.device_count() == 0
    assert not fb.cuda.is_initialized()
    with pytest.raises(BackendError, match=r"\[device\] device 'cuda' can't be used: .*pip install"):
        fb.ones(2, device="cuda")


def fake_cupy(monkeypatch: pytest.MonkeyPatch, version: str, count: Any) -> None:
    class CudaError(RuntimeError):
        pass

    def get_device_count() -> int:
        if isinstance(count, str):
            raise CudaError(count)
        return int(count)

    cupy = types.ModuleType("cupy")
    cupy.__version__ = version  # type: ignore[attr-defined]
    runtime = types.ModuleType("runtime")
    vars(runtime).update(
        getDeviceCount=get_device_count, CUDARuntimeError=CudaError, driverGetVersion=lambda: 12020,
        runtimeGetVersion=lambda: 13000,
    )  # fmt: skip
    api = types.ModuleType("api")
    api.runtime = runtime  # type: ignore[attr-defined]
    for name, module in (
        ("cupy", cupy),
        ("cupy_backends", api),
        ("cupy_backends.cuda", api),
        ("cupy_backends.cuda.api", api),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda.api.runtime", runtime)


@pytest.mark.parametrize(
    ("version", "count", "said"),
    [
        ("13.4", 1, "CuPy is too old: got 13.4"),
        (
            "14.2.0",
            "cudaErrorInsufficientDriver: too old",
            r"the driver speaks CUDA 12\.2, this CuPy needs CUDA 13\.0",
        ),
        ("14.2.0", "cudaErrorNoDevice: none", "the NVIDIA driver sees no GPU"),
        ("14.2.0", "cudaErrorUnknown: lost", "CUDA fails"),
        ("14.2.0", 0, "the NVIDIA driver sees no GPU"),
        ("14.2.0", 2, "^$"),
    ],
)
def test_why_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch, version: str, count: Any, said: str) -> None:
    import re

    fake_cupy(monkeypatch, version, count)
    assert re.search(said, rt_cupy.diagnose())


def test_both_wheels_of_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    """They write to the same folder: which of them is left isn't known."""
    monkeypatch.setattr(rt_cupy, "_installed", lambda name: name != "cupy")
    rt_cupy.wheels.cache_clear()
    try:
        assert not fb.cuda.is_available()
        assert "pip uninstall -y cupy-cuda12x cupy-cuda13x" in fb.cuda.unavailable_reason()
    finally:
        rt_cupy.wheels.cache_clear()


@pytest.mark.parametrize(
    "error", [ImportError("libcuda.so.1"), UserWarning("two of them"), RuntimeError("NumPy's ABI")]
)
def test_a_cupy_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    class Finder:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name == "cupy":
                raise error

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert f"CuPy can't be imported ({error})" in fb.cuda.unavailable_reason()


def test_every_name_of_cupy_is_there() -> None:
    """The contract with CuPy: runs wherever a wheel is installed, with or without a GPU."""
    pytest.importorskip("cupy")
    from importlib import import_module

    assert [n for n in rt_cupy.CUPY_NAMES if not hasattr(import_module(n[0]), n[1])] == []
