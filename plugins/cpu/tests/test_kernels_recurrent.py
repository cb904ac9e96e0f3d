"""Sequences of LSTM and GRU steps: the kernels against the records' defaults, over sizes and instruction sets."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as fb
from flambeau.plugin import OPS, force_defaults

fb.nn  # noqa: B018  (registers the records)


pytestmark = pytest.mark.usefixtures("isa")


def results(name: str, shape: tuple[int, int, int], dtype: Any) -> list[fb.Tensor]:
    """Outputs and gradients of a record on fixed numbers."""
    t, n, h = shape
    fb.manual_seed(3)
    blocks = 4 if name == "lstm_sequence" else 3
    states = [fb.randn(n, h) for _ in range(blocks - 2)]
    more = [] if blocks == 4 else [fb.randn(blocks * h)]
    made = [fb.randn(t, n, blocks * h), *states, fb.randn(blocks * h, h) / h**0.5, *more]
    ins = [x.to(dtype).requires_grad_() for x in made]
    outs = [o for o in OPS[name](*ins) if o.requires_grad]
    grads = fb.autograd.grad(sum((o * o).sum() for o in outs), ins)
    return [*(o.detach() for o in outs), *grads]


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 7), (4, 17, 33), (6, 40, 16)])
@pytest.mark.parametrize("name", ["lstm_sequence", "gru_sequence"])
def test_against_steps(name: str, shape: tuple[int, int, int]) -> None:
    """The kernel gives what the steps in float64 give."""
    got = results(name, shape, fb.float32)
    with force_defaults():
        want = results(name, shape, fb.float64)
    for a, b in zip(got, want, strict=True):
        scale = max(1.0, float(b.abs().max()))
        assert float((a.double() - b).abs().max()) <= 3e-6 * scale


@pytest.mark.parametrize("name", ["lstm_sequence", "gru_sequence"])
@pytest.mark.parametrize("shape", [(4, 50, 20), (5, 70, 100), (3, 7, 150)])
def test_threads(name: str, shape: tuple[int, int, int]) -> None:
    """The same bits with any number of threads, whether they share a step's units or not."""
    before = fb.get_num_threads()
    try:
        found = []
        for n in (1, 3, 8):
            fb.set_num_threads(n)
            found.append(results(name, shape, fb.float32))
    finally:
        fb.set_num_threads(before)
    for other in found[1:]:
        assert all(bool((a == b).all()) for a, b in zip(found[0], other, strict=True))
