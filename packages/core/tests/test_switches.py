"""Names of PyTorch's top level that ask for nothing here, and functions of nn there."""

from __future__ import annotations

import pytest

import flambeau as fb


def test_deterministic() -> None:
    fb.use_deterministic_algorithms(True)
    assert fb.are_deterministic_algorithms_enabled()
    fb.use_deterministic_algorithms(False)
    assert not fb.are_deterministic_algorithms_enabled()


def test_compile_gives_what_it_is_given() -> None:
    model = fb.nn.Linear(2, 1)
    assert fb.compile(model) is model

    @fb.compile(mode="max-autotune", fullgraph=True)
    def double(x: fb.Tensor) -> fb.Tensor:
        return x * 2

    assert double(fb.ones(2)).tolist() == [2, 2]


def test_functions_of_nn_at_the_top() -> None:
    x = fb.arange(12.0).reshape(1, 12, 1, 1)
    assert fb.pixel_shuffle(x, 2).shape == (1, 3, 2, 2)
    assert fb.cosine_similarity(x.flatten(), x.flatten(), 0).item() == pytest.approx(1)
    assert fb.threshold(fb.tensor([1.0, 3.0]), 2, 0).tolist() == [0, 3]
