"""Optimizers: the promises of the base class, mistakes. (Their steps are compared with PyTorch's in tests/parity.)"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import flambeau as fb

optim = fb.optim
NAMES = (
    "SGD",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "RAdam",
    "Adagrad",
    "Adadelta",
    "RMSprop",
    "Rprop",
    "ASGD",
    "Adafactor",
)

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


def named(names: str, **options: Any) -> Any:
    shapes = {"a": (2, 3), "b": (4,), "c": (5,)}
    return optim.Adam(
        [(n, fb.ones(shapes.get(n, (2, 3)), requires_grad=True)) for n in names.split()], **options
    )


def step(optimizer: Any) -> Any:
    for group in optimizer.param_groups:
        for k, p in enumerate(group["params"]):
            p.grad = fb.full_like(p.detach(), k + 1.0)
    optimizer.step()
    return optimizer


def test_state_is_matched_by_name() -> None:
    saved = step(named("a b c")).state_dict()
    other = named("c a b")
    other.load_state_dict(saved)
    means = [other.state[p]["exp_avg"] for p in other.param_groups[0]["params"]]
    assert [round(m.max().item(), 3) for m in means] == [0.3, 0.1, 0.2]
    assert other.param_groups[0]["param_names"] == ["c", "a", "b"]
    step(other)


def test_names_that_dont_match_are_listed() -> None:
    saved = step(named("a encoder.weight c")).state_dict()
    with pytest.raises(ValueError, match=r"missing b; unexpected encoder.weight.*take 'param_names' out"):
        named("a b c").load_state_dict(saved)
    with pytest.raises(ValueError, match=r"missing encoder.weigth \(similar: encoder.weight\)"):
        named("a encoder.weigth c").load_state_dict(saved)
    del saved["param_groups"][0]["param_names"]
    named("a encoder.weigth c").load_state_dict(saved)


def test_state_of_other_shapes_is_listed() -> None:
    saved = step(optim.Adam([fb.ones(2, requires_grad=True), fb.ones(3, 3, requires_grad=True)])).state_dict()
    with pytest.raises(
        ValueError, match=r"exp_avg of parameter 1 is \[3, 3\], the parameter \[3\]; exp_avg_sq"
    ):
        optim.Adam([fb.ones(2, requires_grad=True), fb.ones(3, requires_grad=True)]).load_state_dict(saved)


def test_adafactor_keeps_rows_and_columns_only() -> None:
    w = fb.ones(4, 6, requires_grad=True)
    state = step(optim.Adafactor([w])).state[w]
    assert {k: tuple(v.shape) for k, v in state.items() if k != "step"} == {
        "row_var": (4, 1),
        "col_var": (1, 6),
    }


def test_all_parameters_are_stepped_in_one_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    launches: list[int] = []
    backend = fb.plugin.backend_of(fb.device("cpu"))
    plan_many = type(backend).plan_many

    def counted(self: Any, group: Any, n_out: int) -> Any:
        launch = plan_many(self, group, n_out)
        return lambda *args: (launches.append(len(group)), launch(*args))[1]

    if not backend.addressed:
        pytest.skip("the reference backend has no launches")
    monkeypatch.setattr(type(backend), "plan_many", counted)
    ps = [fb.ones(k + 1, 7, requires_grad=True) for k in range(9)]
    optimizer = optim.AdamW(ps)
    for p in ps:
        p.grad = fb.ones_like(p.detach())
    optimizer.step()
    optimizer.step()
    assert launches == [9, 9]


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
    for name in NAMES:
        w = fb.ones(3, requires_grad=True)
        optimizer = getattr(optim, name)([w], lr=0.1)
        optimizer.step()
        assert w.tolist() == [1.0, 1.0, 1.0]
        assert name == "Adagrad" or optimizer.state_dict()["state"] == {}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_parameters_keep_their_dtype(dtype: str) -> None:
    for name in NAMES:
        w = fb.ones(3, dtype=getattr(fb, dtype), requires_grad=True)
        optimizer = getattr(optim, name)([w], lr=0.25)
        w.grad = fb.ones_like(w.detach())
        optimizer.step()
        assert w.dtype == getattr(fb, dtype)
        assert (
            w.detach().float().max().item() < 1.0 or name == "Adadelta"
        )  # its first step is too small for 16 bits


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


def test_a_gradient_flows_through_the_learning_rate() -> None:
    lr = fb.tensor(0.1, dtype=fb.float64, requires_grad=True)
    for name in ("SGD", "Adam", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam"):
        start = fb.tensor([1.0, 2.0], dtype=fb.float64, requires_grad=True)
        w = start.clone()
        w.grad = fb.tensor([0.5, -1.0], dtype=fb.float64)
        lr.grad = None
        getattr(optim, name)([w], lr=lr, differentiable=True).step()
        weights = fb.tensor([1.0, 2.0], dtype=fb.float64)
        (w * weights).sum().backward()
        step = ((w - start) / lr * weights).sum().item()  # a step is proportional to the rate
        np.testing.assert_allclose(lr.grad.item(), step, rtol=1e-9)


def test_parameters_on_several_devices() -> None:
    ps = [fb.ones(2, device=device, requires_grad=True) for device in ("cpu", "reference", "cpu")]
    for name in NAMES:
        optimizer = getattr(optim, name)(ps, lr=0.1)
        for p in ps:
            p.grad = fb.ones(2, device=p.device)
        optimizer.step()
        got = [p.detach().to("cpu").tolist() for p in ps]
        np.testing.assert_allclose(got, [got[0]] * 3, rtol=1e-6)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_do_not_change_a_step(threads: int) -> None:
    before = fb.get_num_threads()
    found = []
    try:
        for n in (1, threads):
            fb.set_num_threads(n)
            ps = [fb.ones(300, 301, requires_grad=True), *[fb.ones(k, requires_grad=True) for k in range(20)]]
            optimizer = optim.AdamW(ps)
            for step in range(3):
                for k, p in enumerate(ps):
                    p.grad = fb.arange(float(p.numel())).reshape(p.shape).sin() * (k + step)
                optimizer.step()
            found.append([p.detach().numpy().copy() for p in ps])
    finally:
        fb.set_num_threads(before)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


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
        (
            lambda w: optim.SGD([{"param": [w]}], lr=0.1),
            KeyError,
            "parameter group without 'params': got param",
        ),
        (lambda w: optim.SGD([w], lr="0.1"), TypeError, "lr is a string"),
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
        (lambda w: optim.Adamax([w], betas=(-0.1, 0.9)), ValueError, "Invalid beta parameter at index 0"),
        (lambda w: optim.NAdam([w], momentum_decay=-1), ValueError, "Invalid momentum_decay value"),
        (
            lambda w: optim.RAdam([w], betas=(0.9, float("nan"))),
            ValueError,
            "Invalid beta parameter at index 1",
        ),
        (lambda w: optim.Adagrad([w], lr_decay=-1), ValueError, "Invalid lr_decay value"),
        (lambda w: optim.Adadelta([w], rho=1.5), ValueError, "Invalid rho value"),
        (lambda w: optim.Rprop([w], etas=(1.2, 0.5)), ValueError, "Invalid eta values"),
        (lambda w: optim.ASGD([w], weight_decay=-1), ValueError, "Invalid weight_decay value"),
        (lambda w: optim.Adafactor([w], d=0.5), ValueError, "clipping threshold"),
        (lambda w: optim.Adafactor([w], beta2_decay=0.5), ValueError, "beta2_decay"),
        (lambda w: optim.Muon([w]), ValueError, "only supports real 2D parameters"),
        (
            lambda w: optim.Muon([w], adjust_lr_fn="x"),
            ValueError,
            "Adjust learning rate function x is not supported",
        ),
        (lambda w: optim.LBFGS([w], lr=float("nan")), ValueError, "Invalid learning rate"),
        (lambda w: optim.LBFGS([{"params": [w]}, {"params": [fb.ones(1)]}]), ValueError, "parameter groups"),
        (lambda w: optim.LBFGS([w], line_search_fn="x").step(lambda: w.sum()), RuntimeError, "strong_wolfe"),
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


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.RMSprop], ids=lambda c: c.__name__)
def test_repeated_parameters_are_updated_as_often_with_a_warning(make: Any) -> None:
    def run(repeat: int, steps: int) -> list[float]:
        w, other = fb.ones(3, requires_grad=True), fb.ones(2, requires_grad=True)
        if repeat > 1:
            with pytest.warns(UserWarning, match="duplicate parameters"):
                optimizer = make([w, other] + [w] * (repeat - 1), lr=0.1)
        else:
            optimizer = make([w, other], lr=0.1)
        for _ in range(steps):
            w.grad, other.grad = fb.tensor([1.0, 2.0, -3.0]), fb.ones(2)
            optimizer.step()
        return w.tolist()

    assert run(3, 2) == run(1, 6)
