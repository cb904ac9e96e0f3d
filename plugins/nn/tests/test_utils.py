"""nn.utils: clipping of gradients and parameters as a vector; and the examples in the docstrings."""

from __future__ import annotations

import doctest
import importlib
import math
import pkgutil

import pytest

import flambeau as fb
import flambeau_nn
from flambeau import nn


def with_grads(*grads):
    made = []
    for grad in grads:
        p = nn.Parameter(fb.zeros(len(grad)))
        p.grad = fb.tensor(grad)
        made.append(p)
    return made


def test_memory_format_of_convolutions() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 2), nn.Sequential(nn.ConvTranspose2d(4, 2, 2)))
    before = [p.tolist() for p in net.parameters()]
    assert nn.utils.convert_conv2d_weight_memory_format(net, fb.channels_last) is net
    assert net[0].weight.is_contiguous(memory_format=fb.channels_last)
    assert net[2][0].weight.is_contiguous(memory_format=fb.channels_last)
    assert net[1].weight.is_contiguous()
    nn.utils.convert_conv3d_weight_memory_format(net, fb.channels_last_3d)
    assert net[1].weight.is_contiguous(memory_format=fb.channels_last_3d)
    assert [p.tolist() for p in net.parameters()] == before
    nn.utils.convert_conv2d_weight_memory_format(net, fb.contiguous_format)
    assert net[0].weight.is_contiguous()


def test_clip_grad_norm() -> None:
    params = [*with_grads([3.0, 0.0], [4.0]), nn.Parameter(fb.zeros(1))]
    assert nn.utils.clip_grad_norm_(params, 10.0).item() == 5.0
    assert params[1].grad.tolist() == [4.0]
    assert nn.utils.clip_grad_norm_(iter(params), 1.0).item() == 5.0
    assert params[0].grad.tolist() == pytest.approx([0.6, 0.0], abs=1e-5)
    params = with_grads([3.0, -7.0], [4.0])
    assert nn.utils.clip_grad_norm_(params, 1.0, norm_type=math.inf).item() == 7.0
    assert nn.utils.clip_grad_norm_(with_grads([3.0, -7.0])[0], 1.0, norm_type=1).item() == 10.0
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0.0


def test_clip_grad_norm_of_nan() -> None:
    params = with_grads([math.nan])
    with pytest.raises(RuntimeError, match="non-finite, so it cannot be clipped"):
        nn.utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert math.isnan(nn.utils.clip_grad_norm_(params, 1.0).item())


def test_clip_grad_value() -> None:
    params = with_grads([3.0, -7.0, 0.5])
    nn.utils.clip_grad_value_(params, 2)
    assert params[0].grad.tolist() == [2.0, -2.0, 0.5]


def test_parameters_as_vector() -> None:
    net = nn.Linear(2, 3)
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (9,)
    nn.utils.vector_to_parameters(fb.arange(9.0), net.parameters())
    assert net.weight.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    assert net.bias.tolist() == [6.0, 7.0, 8.0]
    with pytest.raises(TypeError, match="expected a Tensor: got list"):
        nn.utils.vector_to_parameters([1.0], net.parameters())
    with pytest.raises(RuntimeError, match="too short"):
        nn.utils.vector_to_parameters(fb.ones(7), net.parameters())


MODULES = ["flambeau_nn", *(m.name for m in pkgutil.walk_packages(flambeau_nn.__path__, "flambeau_nn."))]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_every_public_class_has_an_example() -> None:
    for name in sorted(set(nn.__all__) - {"ModelSummary", "ModuleSummary"}):  # made by summary
        thing = getattr(nn, name)
        if isinstance(thing, type):
            assert thing.__doc__, name
            assert ">>>" in thing.__doc__, name
