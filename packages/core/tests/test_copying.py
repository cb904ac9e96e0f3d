"""deepcopy and pickle: what shares memory shares it in the copy."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import flambeau as fb


def test_deepcopy() -> None:
    t = fb.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    t.grad = fb.ones(2, 2)
    view = t.detach()[1]
    whole, part, again = copy.deepcopy([t, view, t])
    assert whole is again
    assert whole.mem is part.mem
    assert whole.mem is not t.mem
    assert (whole.tolist(), whole.requires_grad, whole.grad.tolist()) == (t.tolist(), True, [[1, 1], [1, 1]])
    assert whole.grad is not t.grad
    part[0] = 9.0
    assert whole.detach()[1, 0].item() == 9.0
    assert t.detach()[1, 0].item() == 3.0


def test_deepcopy_of_a_computed_tensor() -> None:
    t = fb.tensor([1.0], requires_grad=True)
    with pytest.raises(
        RuntimeError, match=r"Only Tensors created explicitly by the user .*MulBackward0.*detach"
    ):
        copy.deepcopy(t * 2)


def test_copy_shares_memory() -> None:
    t = fb.tensor([1.0, 2.0])
    assert copy.copy(t).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(protocol: int) -> None:
    t = fb.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    objects = [
        t,
        t.detach().permute(1, 0),
        t,
        fb.empty(3, device="meta"),
        fb.float16,
        fb.device("cpu"),
        fb.Size((2,)),
    ]
    whole, turned, again, meta, *rest = pickle.loads(pickle.dumps(objects, protocol))
    assert whole is again
    assert whole.mem is turned.mem
    assert (whole.tolist(), whole.requires_grad) == (t.tolist(), True)
    assert (turned.tolist(), turned.stride()) == ([[1, 3], [2, 4]], (1, 2))
    assert (meta.shape, meta.device.type) == ((3,), "meta")
    assert rest == [fb.float16, fb.device("cpu"), (2,)]


class Labelled(fb.Tensor):
    """A subclass with attributes."""


@pytest.mark.parametrize("again", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_subclasses_and_attributes(again: Any) -> None:
    t = fb.tensor([1.0]).as_subclass(Labelled)
    t.label = ["x"]
    back = again(t)
    assert type(back) is Labelled
    assert back.label == ["x"]
    assert back.label is not t.label
