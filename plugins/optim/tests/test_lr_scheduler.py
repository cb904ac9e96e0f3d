"""Schedulers: saving, composition, mistakes. (Their rates are compared with PyTorch's in tests/parity.)"""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest

import flambeau as fb

optim = fb.optim
sched = fb.optim.lr_scheduler

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 7, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [3, 10, 10, 30], "gamma": 0.3}),
    ("ConstantLR", {"factor": 0.25, "total_iters": 9}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.8, "total_iters": 13}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("PolynomialLR", {"total_iters": 40, "power": 1.7}),
    ("CosineAnnealingLR", {"T_max": 17, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 100}),
    ("CosineAnnealingWarmRestarts", {"T_0": 8}),
    ("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2, "eta_min": 0.02}),
    ("OneCycleLR", {"max_lr": 0.4, "total_steps": 61}),
    ("OneCycleLR", {"max_lr": [0.4, 0.1], "epochs": 7, "steps_per_epoch": 10, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.4, "total_steps": 64, "three_phase": True, "pct_start": 0.4}),
    ("OneCycleLR", {"max_lr": 0.4, "total_steps": 64, "cycle_momentum": False, "div_factor": 5.0}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 6, "step_size_down": 11}),
    ("CyclicLR", {"base_lr": [0.01, 0.02], "max_lr": 0.2, "step_size_up": 6, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 6, "mode": "exp_range", "gamma": 0.98}),
    ("LambdaLR", {"lr_lambda": lambda e: 1.0 / (1 + e)}),
    ("LambdaLR", {"lr_lambda": [lambda e: 0.9**e, lambda e: 1.0 + math.sin(e)]}),
    ("MultiplicativeLR", {"lr_lambda": lambda e: 0.95}),
]
IDS = [f"{k}-{name}" for k, (name, _) in enumerate(SETTINGS)]


def optimizer_of(lib: Any, family: str = "SGD", **kw: Any) -> Any:
    kw = kw or {"lr": 0.3, "momentum": 0.9}
    a, b = lib.ones(1, requires_grad=True), lib.ones(1, requires_grad=True)
    return getattr(lib.optim, family)([{"params": [a]}, {"params": [b], "lr": 0.05}], **kw)


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


def warm_up_then_cosine(lib: Any, optimizer: Any) -> Any:
    s = lib.optim.lr_scheduler
    parts = [
        s.LinearLR(optimizer, 0.1, total_iters=5),
        s.CosineAnnealingLR(optimizer, 20),
        s.ExponentialLR(optimizer, 0.9),
    ]
    return s.SequentialLR(optimizer, parts, [5, 25])


@pytest.mark.parametrize(("name", "kw"), SETTINGS, ids=IDS)
def test_a_saved_scheduler_goes_on_where_it_was(name: str, kw: dict[str, Any]) -> None:
    whole = optimizer_of(fb)
    expected = walk(whole, getattr(sched, name)(whole, **kw), 30)
    first = optimizer_of(fb)
    scheduler = getattr(sched, name)(first, **kw)
    walk(first, scheduler, 12)
    saved = scheduler.state_dict()
    assert "optimizer" not in saved
    second = optimizer_of(fb)
    again = getattr(sched, name)(second, **kw)
    second.load_state_dict(first.state_dict())
    again.load_state_dict(saved)
    same(walk(second, again, 18), expected[12:])


def test_a_saved_sequence_goes_on_where_it_was() -> None:
    whole = optimizer_of(fb)
    expected = walk(whole, warm_up_then_cosine(fb, whole), 30)
    first = optimizer_of(fb)
    scheduler = warm_up_then_cosine(fb, first)
    walk(first, scheduler, 12)
    second = optimizer_of(fb)
    again = warm_up_then_cosine(fb, second)
    second.load_state_dict(first.state_dict())
    again.load_state_dict(scheduler.state_dict())
    same(walk(second, again, 18), expected[12:])


@pytest.mark.parametrize(
    ("name", "kw"), [s for s in SETTINGS if s[0] in ("StepLR", "CosineAnnealingLR", "LinearLR")]
)
def test_resuming_by_last_epoch(name: str, kw: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    results = []
    for lib in (fb, torch):
        o = optimizer_of(lib)
        for g in o.param_groups:
            g["initial_lr"] = 0.3
        results.append(walk(o, getattr(lib.optim.lr_scheduler, name)(o, last_epoch=4, **kw), 10))
    same(*results)


@pytest.mark.parametrize("epoch", [0, 3, 11])
@pytest.mark.parametrize(("name", "kw"), SETTINGS[:8], ids=IDS[:8])
def test_jumping_to_an_epoch(name: str, kw: dict[str, Any], epoch: int) -> None:
    torch = pytest.importorskip("torch")
    results = []
    for lib in (fb, torch):
        o = optimizer_of(lib)
        s = getattr(lib.optim.lr_scheduler, name)(o, **kw)
        o.step()
        with pytest.warns(UserWarning, match="epoch"):
            s.step(epoch)
        results.append([rates(o)])
    same(*results)


def test_warm_restarts_between_two_epochs() -> None:
    torch = pytest.importorskip("torch")
    results = []
    for lib in (fb, torch):
        o = optimizer_of(lib)
        s = lib.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 3, 2)
        o.step()
        seen = []
        for k in range(90):
            s.step(k / 4)
            seen.append(rates(o))
        results.append(seen)
    same(*results)


def test_a_rate_given_as_a_tensor_keeps_its_identity() -> None:
    w = fb.ones(1, requires_grad=True)
    lr = fb.tensor(0.5)
    optimizer = optim.SGD([w], lr=lr)
    scheduler = sched.StepLR(optimizer, 1, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == 0.25
    assert scheduler.base_lrs[0].item() == 0.5


def test_a_step_before_the_optimizers_warns_and_the_right_order_does_not() -> None:
    optimizer = optimizer_of(fb)
    scheduler = sched.StepLR(optimizer, 3)
    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\)` before `optimizer.step\(\)"):
        scheduler.step()
    optimizer = optimizer_of(fb)
    scheduler = sched.StepLR(optimizer, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        scheduler.step()


def test_get_lr_outside_a_step_warns() -> None:
    scheduler = sched.StepLR(optimizer_of(fb), 3)
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()


def test_a_users_own_scheduler() -> None:
    class Halve(sched.LRScheduler):  # type: ignore[misc, name-defined]
        def get_lr(self) -> list[float]:
            return [base / (self.last_epoch + 1) for base in self.base_lrs]

    optimizer = optimizer_of(fb)
    scheduler = Halve(optimizer)
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.15, 0.025]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda o: sched.StepLR("sgd", 3), TypeError, "str is not an Optimizer"),
        (lambda o: sched.StepLR(o, 3, last_epoch=5), KeyError, "initial_lr"),
        (lambda o: sched.LambdaLR(o, [lambda e: 1.0]), ValueError, "wrong number of values for lr_lambda"),
        (lambda o: sched.LambdaLR(o, 0.5), TypeError, "not callable"),
        (lambda o: sched.OneCycleLR(o, 0.1), ValueError, "length of the cycle is unknown"),
        (lambda o: sched.OneCycleLR(o, 0.1, total_steps=0), ValueError, "total_steps is not positive"),
        (lambda o: sched.OneCycleLR(o, 0.1, total_steps=9, pct_start=2.0), ValueError, "pct_start"),
        (
            lambda o: sched.OneCycleLR(o, 0.1, total_steps=9, anneal_strategy="x"),
            ValueError,
            "anneal_strategy",
        ),
        (lambda o: sched.ConstantLR(o, 2.0), ValueError, "factor out of range"),
        (lambda o: sched.LinearLR(o, 0.0), ValueError, "start_factor out of range"),
        (lambda o: sched.CyclicLR(o, 0.1, 0.2, mode="x"), ValueError, "mode is invalid"),
        (lambda o: sched.ReduceLROnPlateau(o, factor=1.5), ValueError, "Factor should be < 1.0"),
        (lambda o: sched.ReduceLROnPlateau(o, mode="up"), ValueError, "mode up is unknown"),
        (lambda o: sched.SequentialLR(o, [sched.StepLR(o, 3)], [4]), ValueError, "milestones"),
        (lambda o: sched.SequentialLR(o, [], []), ValueError, "no scheduler"),
        (
            lambda o: sched.SequentialLR(optimizer_of(fb), [sched.StepLR(o, 3)], []),
            ValueError,
            "another optimizer",
        ),
        (lambda o: sched.CosineAnnealingWarmRestarts(o, 0), ValueError, "T_0 is not positive"),
    ],
)
def test_mistakes(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make(optimizer_of(fb))


def test_more_steps_than_the_cycle_has() -> None:
    optimizer = optimizer_of(fb)
    scheduler = sched.OneCycleLR(optimizer, 0.1, total_steps=3)
    walk(optimizer, scheduler, 3)
    with pytest.raises(ValueError, match="the schedule ends after 3 total steps"):
        scheduler.step()


def test_an_optimizer_without_momentum_needs_cycle_momentum_off() -> None:
    class Plain(optim.Optimizer):  # type: ignore[misc, name-defined]
        def __init__(self, params: Any) -> None:
            super().__init__(params, {"lr": 0.1})

    optimizer = Plain([fb.ones(1, requires_grad=True)])
    with pytest.raises(ValueError, match="cycle_momentum=False"):
        sched.OneCycleLR(optimizer, 0.1, total_steps=3)
    sched.OneCycleLR(optimizer, 0.1, total_steps=3, cycle_momentum=False)
