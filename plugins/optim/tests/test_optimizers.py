"""Optimizers: fifty steps against PyTorch, the promises of the base class, mistakes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import flambeau as fb

optim = fb.optim

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "maximize": True}),
    ("Adam", {"lr": 0.02}),
    ("Adam", {"lr": 0.02, "amsgrad": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.02, "betas": (0.7, 0.95), "eps": 1e-3, "maximize": True}),
    ("AdamW", {"lr": 0.02}),
    ("AdamW", {"lr": 0.02, "amsgrad": True, "weight_decay": 0.3, "maximize": True}),
    ("RMSprop", {"lr": 0.02}),
    ("RMSprop", {"lr": 0.02, "centered": True, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.02, "momentum": 0.8, "alpha": 0.9}),
    ("RMSprop", {"lr": 0.02, "momentum": 0.8, "centered": True, "maximize": True}),
]
IDS = [f"{name}-{'-'.join(f'{k}={v}' for k, v in kw.items())}" for name, kw in SETTINGS]
SHAPES = [(4, 3), (3,), (), (2, 0), (5, 1, 2)]


def params(seed: int = 0, dtype: str = "float32") -> list[Any]:
    rng = np.random.default_rng(seed)
    return [fb.tensor(rng.standard_normal(s).astype(dtype), requires_grad=True) for s in SHAPES]


def gradients(step: int, dtype: str = "float32") -> list[np.ndarray]:
    rng = np.random.default_rng(1000 + step)
    return [np.asarray(rng.standard_normal(s), dtype) for s in SHAPES]


def set_grads(ps: list[Any], step: int, lib: Any = fb, dtype: str = "float32") -> None:
    for k, (p, g) in enumerate(zip(ps, gradients(step, dtype), strict=True)):
        p.grad = None if k == 1 and step % 3 == 0 else lib.tensor(g)  # one parameter is frozen now and then


def close(a: Any, b: Any, rtol: float = 2e-5) -> None:
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize(("name", "kw"), SETTINGS, ids=IDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fifty_steps_as_in_pytorch(name: str, kw: dict[str, Any], dtype: str) -> None:
    torch = pytest.importorskip("torch")
    mine = params(dtype=dtype)
    theirs = [torch.tensor(p.detach().numpy(), requires_grad=True) for p in mine]
    a = getattr(optim, name)([{"params": mine[:3]}, {"params": mine[3:], "lr": 0.03}], **kw)
    b = getattr(torch.optim, name)([{"params": theirs[:3]}, {"params": theirs[3:], "lr": 0.03}], **kw)
    for step in range(50):
        set_grads(mine, step, fb, dtype)
        set_grads(theirs, step, torch, dtype)
        a.step()
        b.step()
    for p, q in zip(mine, theirs, strict=True):
        close(p, q, 2e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize(("name", "kw"), SETTINGS, ids=IDS)
@pytest.mark.parametrize("way", ["to pytorch", "from pytorch"])
def test_state_dict_is_interchangeable(name: str, kw: dict[str, Any], way: str) -> None:
    torch = pytest.importorskip("torch")
    libs = (fb, torch) if way == "to pytorch" else (torch, fb)
    first = [libs[0].tensor(p.detach().numpy(), requires_grad=True) for p in params()]
    a = getattr(libs[0].optim, name)(first, **kw)
    for step in range(5):
        set_grads(first, step, libs[0])
        a.step()
    second = [libs[1].tensor(p.detach().numpy(), requires_grad=True) for p in first]
    b = getattr(libs[1].optim, name)(second, **kw)
    saved = a.state_dict()
    assert set(saved) == {"state", "param_groups"}
    assert sorted(saved["param_groups"][0]) == sorted(b.state_dict()["param_groups"][0])
    state = {
        k: {n: libs[1].tensor(v.detach().numpy()) for n, v in entry.items()}
        for k, entry in saved["state"].items()
    }
    b.load_state_dict({"state": state, "param_groups": saved["param_groups"]})
    for step in range(5, 15):
        set_grads(first, step, libs[0])
        set_grads(second, step, libs[1])
        a.step()
        b.step()
    for p, q in zip(first, second, strict=True):
        close(p, q)


def test_step_counter_is_saved_as_a_tensor_and_loaded_state_is_a_copy() -> None:
    ps = params()
    a = optim.Adam(ps)
    set_grads(ps, 1)
    a.step()
    saved = a.state_dict()
    step = saved["state"][0]["step"]
    assert step.dtype == fb.float32
    assert step.shape == ()
    assert step.item() == 1.0
    kept = saved["state"][0]["exp_avg"].clone()
    b = optim.Adam(ps)
    b.load_state_dict(saved)
    b.step()
    assert saved["state"][0]["exp_avg"].tolist() == kept.tolist()


def test_names_of_parameters_are_kept() -> None:
    ps = params()
    named = optim.SGD([(f"p{k}", p) for k, p in enumerate(ps)], lr=0.1)
    saved = named.state_dict()
    assert saved["param_groups"][0]["param_names"] == ["p0", "p1", "p2", "p3", "p4"]
    other = optim.SGD(ps, lr=0.2)
    other.load_state_dict(saved)
    assert other.param_groups[0]["lr"] == 0.1
    assert other.param_groups[0]["param_names"] == saved["param_groups"][0]["param_names"]
    plain = optim.SGD(ps, lr=0.3).state_dict()
    named.load_state_dict(plain)
    assert named.param_groups[0]["param_names"] == saved["param_groups"][0]["param_names"]


def test_closure_runs_with_gradients_and_its_loss_is_returned() -> None:
    w = fb.tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.25)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with fb.no_grad():
        assert optimizer.step(closure).item() == 4.0
    assert w.tolist() == [1.0]


def test_zero_grad() -> None:
    w = fb.tensor([2.0], requires_grad=True)
    (w * w).sum().backward()
    optimizer = optim.SGD([w], lr=0.25)
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0]
    optimizer.zero_grad()
    assert w.grad is None


def test_zero_grad_leaves_a_gradient_with_a_graph_alone() -> None:
    w = fb.tensor([2.0], requires_grad=True)
    (graph,) = fb.autograd.grad((w**3).sum(), w, create_graph=True)
    w.grad = graph
    optim.SGD([w], lr=0.25).zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0]
    assert not w.grad.requires_grad
    assert graph.requires_grad


def test_parameters_are_changed_in_place_and_their_version_is_bumped() -> None:
    w = fb.tensor([1.0, 2.0], requires_grad=True)
    view = w.detach()
    loss = (w * w).sum()
    w.grad = fb.ones(2)
    optim.SGD([w], lr=0.5).step()
    assert view.tolist() == [0.5, 1.5]
    with pytest.raises(RuntimeError, match="inplace|in place|in-place"):
        loss.backward()


def test_parameters_without_gradient_and_empty_steps_change_nothing() -> None:
    for name in ("SGD", "Adam", "AdamW", "RMSprop"):
        w = fb.ones(3, requires_grad=True)
        optimizer = getattr(optim, name)([w], lr=0.1)
        optimizer.step()
        assert w.tolist() == [1.0, 1.0, 1.0]
        assert optimizer.state_dict()["state"] == {}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_parameters_keep_their_dtype(dtype: str) -> None:
    for name in ("SGD", "Adam", "AdamW", "RMSprop"):
        w = fb.ones(3, dtype=getattr(fb, dtype), requires_grad=True)
        optimizer = getattr(optim, name)([w], lr=0.25)
        w.grad = fb.ones_like(w.detach())
        optimizer.step()
        assert w.dtype == getattr(fb, dtype)
        assert w.detach().float().max().item() < 1.0


def test_complex_parameters_are_updated_as_pairs_of_reals() -> None:
    torch = pytest.importorskip("torch")
    z = np.array([1 + 2j, -3 + 0.5j], np.complex64)
    for name in ("SGD", "Adam", "RMSprop"):
        mine, theirs = fb.tensor(z, requires_grad=True), torch.tensor(z, requires_grad=True)
        a, b = getattr(optim, name)([mine], lr=0.1), getattr(torch.optim, name)([theirs], lr=0.1)
        for step in range(5):
            g = (z * (step + 1) + 1j).astype(np.complex64)
            mine.grad, theirs.grad = fb.tensor(g), torch.tensor(g)
            a.step()
            b.step()
        close(mine, theirs)


def test_parameters_with_other_strides_than_their_gradient() -> None:
    base = fb.arange(6, dtype=fb.float32).reshape(2, 3)
    w = base.t().detach().requires_grad_()
    w.grad = fb.ones(3, 2)
    optim.SGD([w], lr=1.0, momentum=0.9).step()
    assert w.tolist() == [[-1.0, 2.0], [0.0, 3.0], [1.0, 4.0]]


def test_learning_rate_as_a_tensor() -> None:
    w = fb.ones(2, requires_grad=True)
    lr = fb.tensor(0.5)
    optimizer = optim.SGD([w], lr=lr)
    w.grad = fb.ones(2)
    optimizer.step()
    lr.fill_(0.25)
    optimizer.step()
    assert w.tolist() == [0.25, 0.25]


def test_a_gradient_flows_through_a_differentiable_step() -> None:
    start = fb.tensor([1.0, 2.0], requires_grad=True)
    w = start.clone()
    g = fb.tensor([0.5, 1.0], requires_grad=True)
    w.grad = g
    optim.SGD([w], lr=0.1, differentiable=True).step()
    w.sum().backward()
    np.testing.assert_allclose(g.grad.numpy(), [-0.1, -0.1], rtol=1e-6)
    assert start.grad.tolist() == [1.0, 1.0]


def test_a_group_can_be_added_later() -> None:
    ps = params()
    optimizer = optim.AdamW(ps[:2], lr=0.1)
    set_grads(ps, 1)
    optimizer.step()
    optimizer.add_param_group({"params": ps[2], "lr": 0.01})
    optimizer.step()
    assert len(optimizer.param_groups) == 2
    assert optimizer.param_groups[1]["weight_decay"] == 0.01
    assert [s["step"].item() for s in optimizer.state_dict()["state"].values()] == [2.0, 2.0, 1.0]


def test_hooks_run_in_order_and_can_be_removed() -> None:
    w = fb.ones(1, requires_grad=True)
    w.grad = fb.ones(1)
    optimizer = optim.SGD([w], lr=0.5)
    calls: list[str] = []
    handles = [
        optimizer.register_step_pre_hook(lambda o, a, k: calls.append("pre")),
        optimizer.register_step_post_hook(lambda o, a, k: calls.append("post")),
        optimizer.register_state_dict_pre_hook(lambda o: calls.append("save")),
        optimizer.register_state_dict_post_hook(lambda o, s: {**s, "note": 1}),
        optimizer.register_load_state_dict_pre_hook(lambda o, s: calls.append("load")),
        optimizer.register_load_state_dict_post_hook(lambda o: calls.append("loaded")),
        optimizer.register_load_state_dict_post_hook(lambda o: calls.append("first"), prepend=True),
    ]
    optimizer.step()
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved)
    assert calls == ["pre", "post", "save", "load", "first", "loaded"]
    assert saved["note"] == 1
    for h in handles:
        h.remove()
    optimizer.step()
    assert len(calls) == 6


def test_a_subclass_that_calls_the_step_of_its_base_runs_the_hooks_once() -> None:
    class Twice(optim.SGD):  # type: ignore[misc, name-defined]
        def step(self, closure: Any = None) -> Any:
            super().step()
            return super().step(closure)

    w = fb.ones(1, requires_grad=True)
    w.grad = fb.ones(1)
    optimizer = Twice([w], lr=0.25)
    calls: list[int] = []
    optimizer.register_step_post_hook(lambda o, a, k: calls.append(1))
    optimizer.step()
    assert w.tolist() == [0.5]
    assert calls == [1]


def test_a_users_own_optimizer() -> None:
    class Sign(optim.Optimizer):  # type: ignore[misc, name-defined]
        def __init__(self, params: Any, lr: float) -> None:
            super().__init__(params, {"lr": lr})

        def step(self, closure: Any = None) -> None:
            with fb.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        p -= group["lr"] * p.grad.sign()

    w = fb.tensor([1.0, -1.0], requires_grad=True)
    w.grad = fb.tensor([3.0, -2.0])
    optimizer = Sign([w], 0.5)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    optimizer.step()
    scheduler.step()
    assert w.tolist() == [0.5, -0.5]
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_pickle_and_copy_keep_the_state() -> None:
    ps = params()
    optimizer = optim.AdamW(ps)
    set_grads(ps, 1)
    optimizer.step()
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert other.state_dict()["state"][0]["step"].item() == 1.0
        theirs = other.param_groups[0]["params"]
        set_grads(theirs, 2)
        other.step()
        assert theirs[0].tolist() != ps[0].tolist()


def test_repr_lists_the_options() -> None:
    text = repr(optim.SGD(params(), lr=0.1, momentum=0.9))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n")
    assert "    lr: 0.1\n    maximize: False\n    momentum: 0.9\n" in text


W = [1.0, 2.0]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda w: optim.SGD([], lr=0.1), ValueError, "empty parameter list"),
        (lambda w: optim.SGD(w, lr=0.1), TypeError, "one tensor"),
        (lambda w: optim.SGD([1.0], lr=0.1), TypeError, "can only optimize Tensors"),
        (lambda w: optim.SGD([w * 2], lr=0.1), ValueError, "can't optimize a non-leaf Tensor"),
        (lambda w: optim.SGD([w, w], lr=0.1), ValueError, "duplicate parameters"),
        (lambda w: optim.SGD([{"params": [w]}, {"params": w}]), ValueError, "more than one parameter group"),
        (lambda w: optim.SGD([{"params": {w}}]), TypeError, "ordered collection"),
        (lambda w: optim.SGD([("w", w), fb.ones(1)]), ValueError, "with/without names"),
        (lambda w: optim.SGD([w]).add_param_group([w]), TypeError, "must be a dict"),
        (lambda w: optim.SGD([w], lr=-1.0), ValueError, "Invalid learning rate"),
        (lambda w: optim.Adam([w], lr=float("nan")), ValueError, "Invalid learning rate"),
        (lambda w: optim.SGD([w], momentum=-1.0), ValueError, "Invalid momentum value"),
        (lambda w: optim.SGD([w], nesterov=True), ValueError, "Nesterov momentum requires a momentum"),
        (lambda w: optim.Adam([w], betas=(0.9, 1.0)), ValueError, "Invalid beta parameter at index 1"),
        (lambda w: optim.AdamW([w], eps=-1e-8), ValueError, r"\[AdamW\] Invalid epsilon value"),
        (lambda w: optim.AdamW([w], weight_decay=-1), ValueError, "Invalid weight_decay value"),
        (lambda w: optim.AdamW([w], lr=fb.ones(2)), ValueError, "several elements"),
        (lambda w: optim.RMSprop([w], alpha=-0.1), ValueError, "Invalid alpha value"),
    ],
)
def test_mistakes(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make(fb.tensor(W, requires_grad=True))


def test_a_state_dict_of_another_model_is_refused_and_changes_nothing() -> None:
    ps = params()
    optimizer = optim.SGD(ps, lr=0.1)
    with pytest.raises(ValueError, match="doesn't match the size"):
        optimizer.load_state_dict(optim.SGD(ps[:2], lr=0.2).state_dict())
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optimizer.load_state_dict(optim.SGD([{"params": ps[:2]}, {"params": ps[2:]}]).state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.1
