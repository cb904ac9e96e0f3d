"""Six architectures, each one script for both libraries: the outputs and the losses of twenty training steps.

The scripts in examples/architectures say ``import flambeau as torch``; here they also run with ``import torch``.
PyTorch's random weights are carried over by ``state_dict``.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau as fb

torch: Any = pytest.importorskip("torch")

pytestmark = pytest.mark.parity

SCRIPTS = Path(__file__).resolve().parents[2] / "examples" / "architectures"
STEPS = 20
Batch = list[np.ndarray[Any, Any]]


def script(name: str, pytorch: bool) -> Any:
    source = (SCRIPTS / f"{name}.py").read_text()
    if pytorch:
        source = re.sub(r"\bimport flambeau as torch\b", "import torch", source)
        source = re.sub(r"\bflambeau\b", "torch", source)
    module = types.ModuleType(f"{name}_{'torch' if pytorch else 'flambeau'}")
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    return module


def images(rng: np.random.Generator, k: int) -> Batch:
    return [rng.standard_normal((8, 3, 32, 32)).astype("f"), rng.integers(0, 10, 8)]


def masks(rng: np.random.Generator, k: int) -> Batch:
    x = rng.standard_normal((2, 3, 24, 28)).astype("f")
    return [x, (x.mean(1, keepdims=True) > 0.2).astype("f")]


def text(rng: np.random.Generator, k: int) -> Batch:
    ids = rng.integers(0, 65, (4, 33))
    targets = ids[:, 1:].copy()
    targets[0, :5] = -1
    return [ids[:, :-1].copy(), targets]


def sentences(rng: np.random.Generator, k: int) -> Batch:
    ids = rng.integers(1, 60, (6, 20))
    for row, n in zip(ids, (20, 17, 12, 9, 20, 5), strict=True):
        row[n:] = 0
    labels = np.where((rng.random(ids.shape) < 0.3) & (ids > 0), ids, -100)
    labels[:, 0] = ids[:, 0]
    return [ids, np.repeat(np.arange(2), 10)[None].repeat(6, 0), labels, rng.integers(0, 2, 6)]


def tagged(rng: np.random.Generator, k: int) -> Batch:
    lengths = rng.permutation([12, 9, 9, 5, 1])
    words = rng.integers(1, 40, (5, 12))
    tags = words % 7
    for row, n in enumerate(lengths):
        words[row, n:], tags[row, n:] = 0, -1
    return [words, lengths, tags]


def digits(rng: np.random.Generator, k: int) -> Batch:
    return [rng.random((8, 1, 16, 16)).astype("f"), rng.standard_normal((8, 6)).astype("f")]


BATCHES: dict[str, Callable[[np.random.Generator, int], Batch]] = {
    "resnet50": images,
    "unet": masks,
    "gpt2": text,
    "bert": sentences,
    "lstm_tagger": tagged,
    "vae": digits,
}
#: How many of a batch's arrays the model's call takes.
INPUTS = {"resnet50": 1, "unet": 1, "gpt2": 1, "bert": 2, "lstm_tagger": 2, "vae": 2}


def tensors(lib: Any, arrays: Batch) -> list[Any]:
    return [lib.tensor(a) for a in arrays]


def outputs(result: Any) -> list[Any]:
    return [t.detach() for t in (result if isinstance(result, tuple) else (result,))]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n == "resnet50" else n for n in BATCHES]
)
def test_outputs_and_losses_are_pytorchs(name: str) -> None:
    torch.manual_seed(0)
    theirs = script(name, pytorch=True)
    mine = script(name, pytorch=False)
    a, b = mine.build(), theirs.build()
    weights = {k: fb.tensor(v.numpy()) for k, v in b.state_dict().items()}
    assert list(weights) == list(a.state_dict())
    a.load_state_dict(weights)
    rng = np.random.default_rng(7)
    batches = [BATCHES[name](rng, k) for k in range(4)]
    a.eval()
    b.eval()
    inputs = batches[0][: INPUTS[name]]
    with fb.no_grad(), torch.no_grad():
        for x, y in zip(outputs(a(*tensors(fb, inputs))), outputs(b(*tensors(torch, inputs))), strict=True):
            np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-4, atol=2e-5)
    a.train()
    b.train()
    step_a, step_b = mine.training(a), theirs.training(b)
    losses: list[tuple[float, float]] = []
    for k in range(STEPS):
        batch = batches[k % len(batches)]
        losses.append((step_a(*tensors(fb, batch)), step_b(*tensors(torch, batch))))
    got, want = zip(*losses, strict=True)
    np.testing.assert_allclose(got, want, rtol=1e-4)
    assert np.mean(want[-4:]) < np.mean(want[:4])


@pytest.mark.parametrize("name", [n for n in BATCHES if n != "resnet50"])
def test_mixed_precision(name: str) -> None:
    found = []
    theirs = script(name, pytorch=True).build().eval()
    mine = script(name, pytorch=False).build().eval()
    mine.load_state_dict({k: fb.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    batch = BATCHES[name](np.random.default_rng(7), 0)[: INPUTS[name]]
    for lib, model in ((fb, mine), (torch, theirs)):
        with lib.autocast("cpu", dtype=lib.bfloat16):
            result = model(*tensors(lib, batch))
        outs = result if isinstance(result, tuple) else (result,)
        size = sum(o.float().square().mean() for o in outs)
        size.backward()
        slopes = [float(p.grad.abs().sum()) for p in model.parameters() if p.grad is not None]
        found.append(([str(o.dtype).split(".")[-1] for o in outs], [size.item(), *slopes]))
    assert found[0][0] == found[1][0]
    assert all(p.grad is None or p.grad.dtype is fb.float32 for p in mine.parameters())
    got, want = np.array(found[0][1]), np.array(found[1][1])
    np.testing.assert_allclose(got, want, rtol=0.05, atol=0.02 * want[1:].max())


def test_gpt2_writes_the_same_text() -> None:
    torch.manual_seed(1)
    mine, theirs = script("gpt2", pytorch=False).build(), script("gpt2", pytorch=True).build()
    mine.load_state_dict({k: fb.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    start = np.array([[1, 2, 3]])
    got = mine.eval().generate(fb.tensor(start), 20)
    assert got.tolist() == theirs.eval().generate(torch.tensor(start), 20).tolist()
