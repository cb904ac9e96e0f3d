"""Several devices, on the simulator: launches must go to a stream of the current device, copies go across."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import flambeau as fb
from flambeau.plugin import BackendError
nccl = fb.cuda.nccl
x = fb.arange(6.0, device="cuda-sim:1").reshape(2, 3)
assert str(x.device) == "cuda-sim:1"
y = (x @ x.T).softmax(1)
assert str(y.device) == "cuda-sim:1" and y.mem.device.slot == 1
assert x.sort(1).values.tolist() == x.tolist()
assert fb.nn.functional.embedding(fb.tensor([1, 0], device="cuda-sim:1"), x)[0].tolist() == [3, 4, 5]
z = x.to("cuda-sim:0") * 2
assert str(z.device) == "cuda-sim:0" and z.tolist() == [[0, 2, 4], [6, 8, 10]]
assert x[1].to("cuda-sim:0").tolist() == [3, 4, 5]
try:
    x + z
except RuntimeError as error:
    assert "same device" in str(error)
else:
    raise AssertionError
try:
    fb.ones(2, device="cuda-sim:2")
except BackendError as error:
    assert "has 2 device(s)" in str(error)
else:
    raise AssertionError
with fb.cuda.device("cuda-sim:1"):
    assert str(fb.ones(2, device="cuda-sim").device) == "cuda-sim:1"
    assert (fb.ones(2, device="cuda-sim") + fb.ones(2, device="cuda-sim:1")).tolist() == [2, 2]
assert str(fb.ones(2, device="cuda-sim").device) == "cuda-sim:0"
model = fb.nn.Linear(3, 2).to("cuda-sim:1")
optimizer = fb.optim.AdamW(model.parameters())
for k in range(2):
    model(x).sum().backward()
    optimizer.step()
graph = fb.cuda.CUDAGraph()
with fb.cuda.graph(graph, device="cuda-sim:1"):
    model(x).sum().backward()
    optimizer.step()
z = z + 1
before = model.weight.tolist()
graph.replay()
assert model.weight.tolist() != before
for dtype in (fb.float32, fb.bfloat16, fb.int64):
    parts = [fb.arange(4, device=f"cuda-sim:{k}").to(dtype) + k for k in range(2)]
    outs = [fb.empty_like(t) for t in parts]
    nccl.all_reduce(parts, outs)
    assert [t.tolist() for t in outs] == [[1, 3, 5, 7]] * 2
    nccl.all_reduce(parts, outs, nccl.MAX)
    assert [t.tolist() for t in outs] == [[1, 2, 3, 4]] * 2
    wide = [fb.empty(8, dtype=dtype, device=t.device) for t in parts]
    nccl.all_gather(parts, wide)
    assert [t.tolist() for t in wide] == [[0, 1, 2, 3, 1, 2, 3, 4]] * 2
    halves = [fb.empty(2, dtype=dtype, device=t.device) for t in parts]
    nccl.reduce_scatter(parts, halves)
    assert [t.tolist() for t in halves] == [[1, 3], [5, 7]]
    nccl.reduce(parts, root=1)
    assert [t.tolist() for t in parts] == [[0, 1, 2, 3], [1, 3, 5, 7]]
    nccl.broadcast(parts, 1)
    assert [t.tolist() for t in parts] == [[1, 3, 5, 7]] * 2
try:
    nccl.all_reduce([parts[0], parts[0]])
except ValueError as error:
    assert "several devices" in str(error)
else:
    raise AssertionError
assert fb.cuda.memory_allocated("cuda-sim:1") > 0
print("done")
"""


def test_two_devices() -> None:
    env = {**os.environ, "FLAMBEAU_CUDA_SIM_DEVICES": "2"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout == "done\n", done.stderr
