"""Captured training steps: replays give what eager steps give, bit for bit, whatever the host changes between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as fb

GPU = fb.cuda.is_available()
DEVICES = [
    "cuda-sim",
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not GPU, reason="needs a GPU")]),
]
device = pytest.mark.parametrize("device", DEVICES)

Make = Callable[[Any], Any]
O: Any = fb.optim
OPTIMIZERS: dict[str, Make] = {
    "SGD": lambda ps: O.SGD(ps, lr=0.1),
    "SGD with momentum": lambda ps: O.SGD(ps, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda ps: O.Adam(ps, lr=0.01, amsgrad=True),
    "AdamW": lambda ps: O.AdamW(ps, lr=0.01),
    "RMSprop": lambda ps: O.RMSprop(ps, lr=0.01, momentum=0.5, centered=True),
    "Adagrad": lambda ps: O.Adagrad(ps, lr=0.1, lr_decay=0.1),
    "Adadelta": lambda ps: O.Adadelta(ps),
    "Adamax": lambda ps: O.Adamax(ps, lr=0.01),
    "NAdam": lambda ps: O.NAdam(ps, lr=0.01, weight_decay=0.01),
    "RAdam": lambda ps: O.RAdam(ps, lr=0.01),
    "ASGD": lambda ps: O.ASGD(ps, lr=0.1, t0=4),
    "Rprop": lambda ps: O.Rprop(ps),
    "Adafactor": lambda ps: O.Adafactor(ps),
    "Muon": lambda ps: O.Muon([p for p in ps if p.dim() == 2], lr=0.01),
}


class Run:
    """A small model, its optimizer and a step that can be captured."""

    def __init__(self, device: str, make: Make, scaled: bool = False) -> None:
        fb.manual_seed(3)
        nn: Any = fb.nn
        self.model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).to(device)
        self.x, self.t = fb.randn(4, 6, device=device), fb.randn(4, 3, device=device)
        self.optimizer = make(list(self.model.parameters()))
        self.scheduler = O.lr_scheduler.ExponentialLR(self.optimizer, 0.9)
        self.scaler = fb.amp.GradScaler(device, init_scale=4.0, growth_interval=3) if scaled else None

    def step(self) -> Any:
        self.optimizer.zero_grad()
        loss = ((self.model(self.x) - self.t) ** 2).mean()
        if self.scaler is None:
            loss.backward()
            fb.nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)
            self.optimizer.step()
        else:
            self.scaler.scale(loss).backward()
            self.scaler.unscale_(self.optimizer)
            fb.nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return loss

    def feed(self, k: int, bad: bool = False) -> None:
        self.x.fill_(float("inf") if bad else (k % 5 - 2) / 3)

    def state(self) -> list[Any]:
        packed = self.optimizer.state_dict()
        found = [p.tolist() for p in self.model.parameters()]
        found += [t.tolist() for entry in packed["state"].values() for t in entry.values() if t is not None]
        return [*found, packed["param_groups"][0]["lr"]]


def both(
    device: str, make: Make, steps: int, scaled: bool = False, bad: tuple[int, ...] = ()
) -> tuple[Run, Run]:
    """The same steps, eager, and captured after two eager ones."""
    runs = Run(device, make, scaled), Run(device, make, scaled)
    eager, captured = runs
    for run in runs:
        for k in range(2):
            run.feed(k)
            run.step()
    graph = fb.cuda.CUDAGraph()
    with fb.cuda.graph(graph, device=device):
        loss = captured.step()
    for k in range(steps):
        for run in runs:
            run.feed(k, k in bad)
        graph.replay()
        again = eager.step()
        if k not in bad:
            assert float(again) == float(loss)
        for run in runs:
            if k % 4 == 3:
                run.scheduler.step()
    return runs


@device
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.filterwarnings("error")
def test_replays_are_eager_steps(name: str, device: str) -> None:
    eager, captured = both(device, OPTIMIZERS[name], 100 if name in ("AdamW", "SGD with momentum") else 9)
    assert eager.state() == captured.state()


@device
@pytest.mark.filterwarnings("error")
def test_a_scaler_leaves_out_steps_in_a_graph(device: str) -> None:
    eager, captured = both(device, OPTIMIZERS["AdamW"], 12, True, (3, 7, 8, 11))
    assert eager.state() == captured.state()
    assert eager.scaler is not None
    assert captured.scaler is not None
    assert eager.scaler.state_dict() == captured.scaler.state_dict()


@device
def test_the_first_step_is_not_captured(device: str) -> None:
    run = Run(device, OPTIMIZERS["Adam"])
    graph = fb.cuda.CUDAGraph()
    with (
        pytest.raises(RuntimeError, match="the first step of a parameter can't be captured"),
        fb.cuda.graph(graph, device=device),
    ):
        run.step()
    run.step()
    with fb.cuda.graph(graph, device=device):
        run.step()
    graph.replay()


@device
def test_a_learning_rate_may_be_a_tensor(device: str) -> None:
    def make(ps: Any) -> Any:
        return O.AdamW(ps, lr=fb.tensor(0.01, device=device), capturable=True)

    eager, captured = both(device, make, 5)
    for run in (eager, captured):
        run.optimizer.param_groups[0]["lr"] = float(run.optimizer.param_groups[0]["lr"])
    assert eager.state() == captured.state()


@device
def test_numbers_that_stay_are_told(device: str) -> None:
    from flambeau_optim.multi import multi_apply

    xs = [fb.ones(3, device=device), fb.ones(2, 3, device=device).t()]

    def halve(x: Any, by: Any) -> Any:
        return (x * by,)

    graph = fb.cuda.CUDAGraph()
    with pytest.warns(RuntimeWarning, match="stay as they are"), fb.cuda.graph(graph, device=device):
        multi_apply(halve, (xs,), (), (0.5,))
    graph.replay()
    assert [x.sum().item() for x in xs] == [1.5, 3.0]
