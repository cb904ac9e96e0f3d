"""Device "cuda" on a fake of CuPy whose GPUs are the simulator: the runtime, the pool, streams, graphs, two devices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import flambeau as fb

PROGRAM = """
import gc, sys
sys.path.insert(0, {here!r})
import fake_cupy
gpus = fake_cupy.install({count})
import flambeau as fb
from flambeau.plugin import backend_of
assert fb.cuda.is_available() and fb.cuda.device_count() == {count} and not fb.cuda.is_initialized()
DEVICE = "cuda:{index}"
fb.cuda.set_device({index})
assert fb.cuda.current_device() == {index} and fb.cuda.get_device_properties().name == "fake GPU"
fb.manual_seed(0)
nn, F = fb.nn, fb.nn.functional
model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.25), nn.Linear(8, 3)).cuda()
assert str(model[0].weight.device) == DEVICE
optimizer = fb.optim.AdamW(model.parameters(), lr=0.05)
x, t = fb.randn(5, 6, device="cuda"), fb.randint(0, 3, (5,), device="cuda")
def step():
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), t)
    loss.backward()
    optimizer.step()
    return loss
for _ in range(3):
    step()
saved = [p.detach().clone() for p in model.parameters()]
state = [{{k: v.clone() if isinstance(v, fb.Tensor) else v for k, v in s.items()}} for s in optimizer.state.values()]
fb.manual_seed(1)
eager = [float(step()) for _ in range(20)]
with fb.no_grad():
    for p, s in zip(model.parameters(), saved):
        p.copy_(s)
for s, old in zip(optimizer.state.values(), state):
    s.update({{k: s[k].copy_(v) if isinstance(v, fb.Tensor) else v for k, v in old.items()}})
graph, side = fb.cuda.CUDAGraph(), fb.cuda.Stream()
with fb.cuda.graph(graph, stream=side):
    loss = step()
fb.manual_seed(1)
replayed = []
for _ in range(20):
    graph.replay()
    replayed.append(float(loss))
assert replayed == eager, (replayed, eager)
start, end = fb.cuda.Event(enable_timing=True), fb.cuda.Event(enable_timing=True)
with fb.cuda.stream(side):
    side.wait_stream(fb.cuda.default_stream())
    start.record()
    y = (x @ x.T).softmax(1).sort(1).values
    end.record()
    y.record_stream(fb.cuda.default_stream())
fb.cuda.current_stream().wait_stream(side)
assert end.query() and start.elapsed_time(end) >= 0
assert float(y.sum()) > 4.9
del y
pinned = fb.arange(30.0).pin_memory()
assert pinned.is_pinned() and pinned.to("cuda", non_blocking=True).tolist() == pinned.tolist()
interface = x.__cuda_array_interface__
assert interface["stream"] == fb.cuda.current_stream().cuda_stream and interface["version"] == 3
class Foreign:
    __cuda_array_interface__ = interface
shared = fb.as_tensor(Foreign())
assert str(shared.device) == DEVICE and shared.data_ptr() == x.data_ptr()
again = fb.from_dlpack(x)
assert str(again.device) == DEVICE and again.data_ptr() == x.data_ptr()
try:
    fb.ones(4, device="cuda").gather(0, fb.full((1,), 9, device="cuda"))
    fb.cuda.synchronize()
except IndexError as error:
    assert "[gather]" in str(error)
else:
    raise AssertionError
before = fb.cuda.memory_reserved()
big = fb.empty(20 << 18, device="cuda")
del big
assert fb.cuda.memory_reserved() >= before + (20 << 20)
fb.cuda.empty_cache()
assert fb.cuda.memory_reserved() == before
try:
    fb.empty(1 << 26, device="cuda")
except fb.OutOfMemoryError as error:
    assert "parameters of Sequential.0" in str(error)
else:
    raise AssertionError
if {count} > 1:
    other = fb.ones(3, 6, device="cuda:0")
    assert str((other * 2).device) == "cuda:0" and (other @ other.T).tolist() == [[6.0] * 3] * 3
    assert other.to(DEVICE).tolist() == other.tolist() and str(other.to(DEVICE).device) == DEVICE
    assert x.to("cuda:0").tolist() == x.tolist()
    with fb.cuda.device(0):
        assert str(fb.ones(1, device="cuda").device) == "cuda:0"
for dtype in (fb.float16, fb.bfloat16):
    q = fb.randn(1, 1, 70, 64, device="cuda").to(dtype).requires_grad_()
    F.scaled_dot_product_attention(q, q, q, is_causal=True).float().sum().backward()
    assert bool(q.grad.isfinite().all())
print("done")
"""


@pytest.mark.skipif(fb.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(("count", "index"), [(1, 0), (2, 1)])
def test_the_gpus_runtime(count: int, index: int) -> None:
    program = PROGRAM.format(here=str(Path(__file__).parent), count=count, index=index)
    env = {**os.environ, "FLAMBEAU_CUDA_LAUNCH_BLOCKING": "0"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout == "done\n", done.stderr
