"""Every scheduler against PyTorch: the rates and momenta of a hundred steps, and state dicts both ways."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as fb

torch: Any = pytest.importorskip("torch")

pytestmark = pytest.mark.parity

STEPS = 100


def by(name: str, **kw: Any) -> Callable[[Any, Any], Any]:
    return lambda lib, optimizer: getattr(lib.optim.lr_scheduler, name)(optimizer, **kw)


def sequence(lib: Any, optimizer: Any) -> Any:
    s = lib.optim.lr_scheduler
    parts = [
        s.LinearLR(optimizer, 0.1, total_iters=5),
        s.CosineAnnealingLR(optimizer, 20),
        s.ExponentialLR(optimizer, 0.9),
    ]
    return s.SequentialLR(optimizer, parts, [5, 25])


def sequence_of_cycles(lib: Any, optimizer: Any) -> Any:
    s = lib.optim.lr_scheduler
    return s.SequentialLR(
        optimizer, [s.ConstantLR(optimizer, 0.5, 4), s.CosineAnnealingWarmRestarts(optimizer, 7, 2)], [6]
    )


def chained(lib: Any, optimizer: Any) -> Any:
    s = lib.optim.lr_scheduler
    return s.ChainedScheduler([s.ConstantLR(optimizer, 0.1, 3), s.ExponentialLR(optimizer, 0.9)], optimizer)


SETTINGS: dict[str, Callable[[Any, Any], Any]] = {
    "step": by("StepLR", step_size=7, gamma=0.5),
    "multistep": by("MultiStepLR", milestones=[3, 10, 10, 30], gamma=0.3),
    "constant": by("ConstantLR", factor=0.25, total_iters=9),
    "linear": by("LinearLR", start_factor=0.1, end_factor=0.8, total_iters=13),
    "exponential": by("ExponentialLR", gamma=0.93),
    "polynomial": by("PolynomialLR", total_iters=40, power=1.7),
    "cosine": by("CosineAnnealingLR", T_max=17, eta_min=0.01),
    "cosine-once": by("CosineAnnealingLR", T_max=100),
    "restarts": by("CosineAnnealingWarmRestarts", T_0=8),
    "restarts-longer": by("CosineAnnealingWarmRestarts", T_0=5, T_mult=2, eta_min=0.02),
    "one-cycle": by("OneCycleLR", max_lr=0.4, total_steps=101),
    "one-cycle-linear": by(
        "OneCycleLR", max_lr=[0.4, 0.1], epochs=11, steps_per_epoch=10, anneal_strategy="linear"
    ),
    "one-cycle-three-phases": by("OneCycleLR", max_lr=0.4, total_steps=104, three_phase=True, pct_start=0.4),
    "one-cycle-fixed-momentum": by(
        "OneCycleLR", max_lr=0.4, total_steps=104, cycle_momentum=False, div_factor=5.0
    ),
    "cyclic": by("CyclicLR", base_lr=0.01, max_lr=0.2, step_size_up=6, step_size_down=11),
    "cyclic-triangular2": by(
        "CyclicLR", base_lr=[0.01, 0.02], max_lr=0.2, step_size_up=6, mode="triangular2"
    ),
    "cyclic-range": by("CyclicLR", base_lr=0.01, max_lr=0.2, step_size_up=6, mode="exp_range", gamma=0.98),
    "cyclic-scaled": by(
        "CyclicLR",
        base_lr=0.01,
        max_lr=0.2,
        step_size_up=6,
        scale_fn=lambda k: math.cos(k),
        scale_mode="iterations",
    ),
    "lambda": by("LambdaLR", lr_lambda=lambda e: 1.0 / (1 + e)),
    "lambda-each": by("LambdaLR", lr_lambda=[lambda e: 0.9**e, lambda e: 1.0 + math.sin(e)]),
    "multiplicative": by("MultiplicativeLR", lr_lambda=lambda e: 0.95),
    "sequence": sequence,
    "sequence-of-cycles": sequence_of_cycles,
    "chained": chained,
    "swa": lambda lib, o: lib.optim.swa_utils.SWALR(o, swa_lr=0.02, anneal_epochs=12),
    "swa-linear": lambda lib, o: lib.optim.swa_utils.SWALR(
        o, swa_lr=[0.02, 0.1], anneal_epochs=7, anneal_strategy="linear"
    ),
    "swa-at-once": lambda lib, o: lib.optim.swa_utils.SWALR(o, swa_lr=0.02, anneal_epochs=0),
}


def optimizer_of(lib: Any, family: str = "SGD", tensor: bool = False) -> Any:
    a, b = lib.ones(1, requires_grad=True), lib.ones(1, requires_grad=True)
    lr = lib.tensor(0.3, dtype=lib.float64) if tensor else 0.3
    kw: dict[str, Any] = {"momentum": 0.9} if family == "SGD" else {}
    return getattr(lib.optim, family)([{"params": [a]}, {"params": [b], "lr": 0.05}], lr=lr, **kw)


def rates(optimizer: Any) -> list[float]:
    found = []
    for group in optimizer.param_groups:
        found += [float(group["lr"]), group["betas"][0] if "betas" in group else group["momentum"]]
    return found


def walk(optimizer: Any, scheduler: Any, steps: int, *args: Any) -> list[list[float]]:
    seen = [rates(optimizer)]
    for k in range(steps):
        optimizer.step()
        scheduler.step(*(a[k] for a in args))
        assert scheduler.get_last_lr() == [g["lr"] for g in optimizer.param_groups]
        seen.append(rates(optimizer))
    return seen


def same(a: list[list[float]], b: list[list[float]]) -> None:
    for x, y in zip(a, b, strict=True):
        assert x == pytest.approx(y, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("family", ["SGD", "AdamW"])
@pytest.mark.parametrize("name", SETTINGS)
def test_hundred_steps(name: str, family: str) -> None:
    a, b = optimizer_of(fb, family), optimizer_of(torch, family)
    same(walk(a, SETTINGS[name](fb, a), STEPS), walk(b, SETTINGS[name](torch, b), STEPS))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_rate_that_is_a_tensor(name: str) -> None:
    a, b = optimizer_of(fb, tensor=True), optimizer_of(torch, tensor=True)
    lr = a.param_groups[0]["lr"]
    mine = walk(a, SETTINGS[name](fb, a), STEPS)
    same(mine, walk(b, SETTINGS[name](torch, b), STEPS))
    assert a.param_groups[0]["lr"] is lr


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateau(mode: str, threshold_mode: str) -> None:
    metric = [math.cos(k * 0.7) + 5.0 / (1 + k) for k in range(STEPS)]
    kw: dict[str, Any] = {"mode": mode, "threshold_mode": threshold_mode, "patience": 2, "cooldown": 3}
    kw["min_lr"] = [1e-3, 1e-2]
    a, b = optimizer_of(fb), optimizer_of(torch)
    s, t = (
        fb.optim.lr_scheduler.ReduceLROnPlateau(a, **kw),
        torch.optim.lr_scheduler.ReduceLROnPlateau(b, **kw),
    )
    same(walk(a, s, STEPS, metric), walk(b, t, STEPS, metric))
    assert s.best == t.best
    assert sorted(s.state_dict()) == sorted(t.state_dict())


@pytest.mark.parametrize("way", ["to pytorch", "from pytorch"])
@pytest.mark.parametrize("name", SETTINGS)
def test_state_dicts_are_interchangeable(name: str, way: str) -> None:
    libs = (fb, torch) if way == "to pytorch" else (torch, fb)
    first, second = optimizer_of(libs[0]), optimizer_of(libs[1])
    scheduler, again = SETTINGS[name](libs[0], first), SETTINGS[name](libs[1], second)
    walk(first, scheduler, 12)
    saved = scheduler.state_dict()
    assert sorted(saved) == sorted(again.state_dict())
    again.load_state_dict(saved)
    for mine, theirs in zip(second.param_groups, first.param_groups, strict=True):
        mine.update({k: v for k, v in theirs.items() if k != "params"})
    same(walk(second, again, 40), walk(first, scheduler, 40))
