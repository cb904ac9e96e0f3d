"""Averaged models: means and moving averages beside PyTorch's, buffers, batch statistics measured anew, mistakes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import flambeau as fb

swa = fb.optim.swa_utils
nn = fb.nn
torch: Any
try:
    import torch
    import torch.optim.swa_utils
except ImportError:
    torch = None


def model_of(lib: Any) -> Any:
    model = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.Linear(4, 2))
    set_values(lib, model, 0)
    return model


def set_values(lib: Any, model: Any, step: int) -> None:
    rng = np.random.default_rng(step)
    with lib.no_grad():
        for t in [*model.parameters(), *model.buffers()]:
            if t.is_floating_point():
                t.copy_(lib.tensor(rng.standard_normal(tuple(t.shape)).astype("f")))
            else:
                t.fill_(step)


KINDS: dict[str, Any] = {
    "mean": lambda u: {},
    "mean of each": lambda u: {"avg_fn": u.get_swa_avg_fn()},
    "mean of all": lambda u: {"multi_avg_fn": u.get_swa_multi_avg_fn()},
    "ema": lambda u: {"avg_fn": u.get_ema_avg_fn(0.9)},
    "ema of all": lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.9)},
    "ema with buffers": lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.9), "use_buffers": True},
    "own": lambda u: {"avg_fn": lambda a, b, n: 0.5 * (a + b)},
}


@pytest.mark.skipif(torch is None, reason="PyTorch isn't installed")
@pytest.mark.parametrize("kind", KINDS)
def test_averages_are_pytorchs(kind: str) -> None:
    found = []
    for lib in (fb, torch):
        model = model_of(lib)
        averaged = lib.optim.swa_utils.AveragedModel(model, **KINDS[kind](lib.optim.swa_utils))
        for step in range(1, 6):
            set_values(lib, model, step)
            averaged.update_parameters(model)
        found.append(averaged.state_dict())
    assert list(found[0]) == list(found[1])
    for key, value in found[0].items():
        np.testing.assert_allclose(value.numpy(), found[1][key].numpy(), rtol=1e-5, atol=1e-6, err_msg=key)
    assert found[0]["n_averaged"].item() == 5


def test_the_model_itself_is_not_touched_and_the_copy_runs() -> None:
    model = model_of(fb)
    averaged = swa.AveragedModel(model)
    before = copy.deepcopy(model.state_dict())
    averaged.update_parameters(model)
    set_values(fb, averaged, 9)
    for key, value in model.state_dict().items():
        assert value.tolist() == before[key].tolist()
    assert averaged.eval()(fb.ones(2, 3)).shape == (2, 2)
    again = pickle.loads(pickle.dumps(swa.AveragedModel(model)))
    again.load_state_dict(averaged.state_dict())


def test_an_average_in_16_bits_and_of_complex_numbers() -> None:
    for dtype in (fb.bfloat16, fb.complex64):
        model = nn.Module()
        model.w = nn.Parameter(fb.zeros(3, dtype=dtype))
        averaged = swa.AveragedModel(model)
        for value in (1.0, 2.0, 6.0):
            with fb.no_grad():
                model.w.fill_(value)
            averaged.update_parameters(model)
        assert averaged.module.w.tolist() == [3.0] * 3
        assert averaged.module.w.dtype is dtype


@pytest.mark.skipif(torch is None, reason="PyTorch isn't installed")
def test_batch_statistics_are_measured_anew() -> None:
    rng = np.random.default_rng(0)
    batches = [rng.standard_normal((5, 3)).astype("f") for _ in range(4)]
    found = []
    for lib in (fb, torch):
        model = model_of(lib).eval()
        loader = [(lib.tensor(b), "a label") for b in batches]
        lib.optim.swa_utils.update_bn(loader, model)
        found.append(model.state_dict())
        assert not model.training
        assert model[1].momentum == 0.1
    for key, value in found[0].items():
        np.testing.assert_allclose(value.numpy(), found[1][key].numpy(), rtol=1e-5, atol=1e-6, err_msg=key)


def test_without_batch_statistics_the_loader_is_not_read() -> None:
    swa.update_bn(iter(()), nn.Linear(1, 1))
    swa.update_bn((1 / 0 for _ in range(1)), nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: swa.get_ema_avg_fn(1.5), ValueError, "Invalid decay value"),
        (lambda: swa.get_ema_multi_avg_fn(-0.1), ValueError, "Invalid decay value"),
        (
            lambda: swa.AveragedModel(
                nn.Linear(1, 1), avg_fn=swa.get_swa_avg_fn(), multi_avg_fn=swa.get_swa_multi_avg_fn()
            ),
            AssertionError,
            "Only one of avg_fn and multi_avg_fn",
        ),
        (lambda: swa.SWALR(optimizer(), 0.1, anneal_strategy="x"), ValueError, "'cos' or 'linear'"),
        (lambda: swa.SWALR(optimizer(), 0.1, anneal_epochs=-1), ValueError, "equal or greater than 0"),
        (lambda: swa.SWALR(optimizer(), [0.1, 0.2]), ValueError, "wrong number of values for swa_lr"),
        (lambda: swa.SWALR(nn.Linear(1, 1), 0.1), TypeError, "not an Optimizer"),
    ],
)
def test_mistakes(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


def optimizer() -> Any:
    return fb.optim.SGD([fb.ones(1, requires_grad=True)], lr=0.1)
