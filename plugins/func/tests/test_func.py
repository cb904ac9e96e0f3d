"""The transforms: forms of arguments and results, nesting, randomness, in-place writes, modules, messages."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as fb
from flambeau.func import (
    functional_call,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    stack_module_state,
    unrolled,
    vjp,
    vmap,
)
from flambeau.testing import assert_close


@pytest.fixture(autouse=True)
def _seeded() -> None:
    fb.manual_seed(0)


def _loss(p: dict[str, Any], x: Any) -> Any:
    return ((x @ p["w"] + p["b"]).tanh() ** 2).sum()


def _parameters() -> dict[str, Any]:
    return {"w": fb.randn(4, 3), "b": fb.randn(3)}


# grad, vjp


def test_grad_by_trees_and_several_arguments() -> None:
    p, x = _parameters(), fb.randn(2, 4)
    gs, value = grad_and_value(_loss)(p, x)
    live = {k: v.clone().requires_grad_() for k, v in p.items()}
    _loss(live, x).backward()
    assert_close(value, _loss(p, x))
    for k in p:
        assert_close(gs[k], live[k].grad)
        assert not gs[k].requires_grad
    both = grad(_loss, argnums=(0, 1))(p, x)
    assert_close(both[0]["b"], gs["b"])
    assert both[1].shape == x.shape
    assert_close(grad(_loss, -1)(p, x), both[1])


def test_aux_is_handed_through() -> None:
    g, (value, aux) = grad_and_value(lambda x: ((x**2).sum(), {"twice": x * 2}), has_aux=True)(fb.ones(2))
    assert_close(g, fb.full((2,), 2.0))
    assert float(value) == 2.0
    assert not aux["twice"].requires_grad
    assert len(grad(lambda x: (x.sum(), x), has_aux=True)(fb.ones(2))) == 2
    assert len(vjp(lambda x: (x, x), fb.ones(2), has_aux=True)) == 3
    assert len(jvp(lambda x: (x, x), (fb.ones(2),), (fb.ones(2),), has_aux=True)) == 3
    table, seen = jacrev(lambda x: (x * 2, x), has_aux=True)(fb.ones(2))
    assert_close(table, 2 * fb.eye(2))
    assert_close(seen, fb.ones(2))


def test_nested_gradients_and_what_is_around_them() -> None:
    x = fb.tensor(2.0)
    assert float(grad(grad(grad(lambda t: t**4)))(x)) == 48.0
    w = fb.tensor(3.0, requires_grad=True)
    g = grad(lambda t: w * t**2)(x)  # a closure over what requires grad
    g.backward()
    assert float(w.grad) == 4.0
    leaf = fb.tensor(2.0, requires_grad=True)
    grad(lambda t: t**3)(leaf).backward()
    assert float(leaf.grad) == 12.0
    with fb.no_grad():
        assert float(grad(lambda t: t**2)(x)) == 4.0
        assert not grad(lambda t: t**2)(leaf).requires_grad
    assert float(grad(lambda t: t.detach() * t)(x)) == 2.0

    def partly(t: Any) -> Any:
        with fb.no_grad():
            c = t**2
        return t - c

    assert float(grad(partly)(x)) == 1.0
    # Perturbations of two levels stay apart: d/dx (x * d/dy (x + y)) is 1, not 2.
    assert float(grad(lambda a: a * grad(lambda b: a + b)(fb.tensor(1.0)))(x)) == 1.0
    inner = lambda a: jvp(lambda b: a + b, (fb.tensor(1.0),), (fb.tensor(1.0),))[1]  # noqa: E731
    assert float(jvp(lambda a: a * inner(a), (x,), (fb.tensor(1.0),))[1]) == 1.0


def test_vjp_may_be_called_often() -> None:
    x = fb.randn(3)
    y, back = vjp(lambda t: {"s": t.sin(), "c": (t.cos(),)}, x)
    zero = fb.zeros(3)
    assert_close(back({"s": fb.ones(3), "c": (zero,)})[0], x.cos())
    assert_close(back({"s": zero, "c": (fb.ones(3),)})[0], -x.sin())
    assert set(y) == {"s", "c"}
    _, back = vjp(lambda a, b: (a * b, a), x, x)
    ga, gb = back((fb.ones(3), fb.ones(3)))
    assert_close(ga, x + 1)
    assert_close(gb, x)
    rows = vmap(vjp(lambda t: t.sin(), x)[1])(fb.eye(3))[0]
    assert_close(rows, fb.diag(x.cos()))


def test_linearize_and_jvp() -> None:
    x, v = fb.randn(3), fb.randn(3)
    _, d = linearize(lambda t: (t.exp(), t.sum()), x)
    assert_close(d(v)[0], x.exp() * v)
    assert_close(d(2 * v)[1], 2 * v.sum())
    assert_close(vmap(d)(fb.eye(3))[0], fb.diag(x.exp()))
    _, tangent = jvp(lambda p: p["a"] * p["b"], ({"a": x, "b": v},), ({"a": v, "b": x},))
    assert_close(tangent, v * v + x * x)
    assert_close(jvp(lambda t: fb.ones(2), (x,), (v,))[1], fb.zeros(2))
    with pytest.raises(RuntimeError, match="independent"):
        jvp(lambda t: fb.ones(2), (x,), (v,), strict=True)


# Jacobians


def test_jacobians_of_trees() -> None:
    def fn(p: dict[str, Any], x: Any) -> Any:
        return {"y": p["w"] @ x, "z": (p["b"] ** 2,)}

    p, x = {"w": fb.randn(2, 3), "b": fb.randn(2)}, fb.randn(3)
    for transform in (jacrev, jacfwd):
        table = transform(fn)(p, x)
        assert table["y"]["w"].shape == (2, 2, 3)
        assert_close(table["y"]["b"], fb.zeros(2, 2))
        assert_close(table["z"][0]["b"], fb.diag(2 * p["b"]))
        assert_close(transform(fn, 1)(p, x)["y"], p["w"])
        both = transform(fn, (0, 1))(p, x)
        assert_close(both["y"][1], p["w"])
    for chunk in (1, 2, 100):
        assert_close(jacrev(lambda t: t**2, chunk_size=chunk)(x), fb.diag(2 * x))
        assert_close(jacfwd(lambda t: t**2, chunk_size=chunk)(x), fb.diag(2 * x))
    assert jacrev(lambda t: t * 2)(fb.zeros(0)).shape == (0, 0)


def test_jacobians_under_vmap_and_on_the_tape() -> None:
    x = fb.randn(4, 3)
    third = vmap(jacrev(hessian(lambda t: (t**3).sum())))(x)
    assert_close(third[0], fb.eye(3).unsqueeze(-1) * fb.eye(3) * 6)
    leaf = fb.randn(3).requires_grad_()
    jacrev(lambda t: t**2)(leaf).sum().backward()
    assert_close(leaf.grad, fb.full((3,), 2.0))
    assert_close(jacfwd(lambda t: vmap(lambda a: a**2)(t))(x[0]), fb.diag(2 * x[0]))


# vmap


def test_dims() -> None:
    x, y = fb.randn(2, 5, 3), fb.randn(5)
    for d in (0, 1, 2, -1, -3):
        want = fb.stack([s.sum(0) for s in x.unbind(d)])
        assert_close(vmap(lambda t: t.sum(0), d)(x), want)
    assert_close(vmap(lambda t, c: t * c, (1, 0), 1)(x, y), x * y.unsqueeze(-1))
    assert vmap(lambda t: (t, t.sum()), 1, (-1, 0))(x)[0].shape == (2, 3, 5)
    got = vmap(lambda d: {"b": d["a"][0] + d["a"][1]}, ({"a": (0, None)},))({"a": (y, fb.tensor(1.0))})
    assert_close(got["b"], y + 1)
    assert_close(vmap(lambda t: fb.ones(2))(y), fb.ones(5, 2))
    for n in (1, 2, 5, 7):
        assert_close(vmap(lambda t, c: t * c, (1, None), 1, chunk_size=n)(x, fb.tensor(2.0)), 2 * x)
    assert_close(vmap(vmap(lambda a, b: a - b, (0, None)), (None, 0))(y, y), y - y.unsqueeze(1))
    assert vmap(lambda t, k: t + k, (0, None))(y, 3).shape == (5,)


def test_promotion_sees_one_example() -> None:
    single, wide = fb.ones(3, dtype=fb.float32), fb.ones(4, dtype=fb.float64)
    assert (
        vmap(lambda s: single + s)(wide).dtype is fb.float32
    )  # a 0-d tensor of the same kind doesn't promote
    assert vmap(lambda s: (single > s) & (s * single > 0))(wide).dtype is fb.bool
    assert vmap(lambda s: fb.ones(3, dtype=fb.int32) * s)(fb.ones(4, dtype=fb.int64)).dtype is fb.int32


def test_gradients_per_example() -> None:
    p, x = _parameters(), fb.randn(5, 2, 4)
    got = vmap(grad(_loss), (None, 0))(p, x)
    for k in range(5):
        want = grad(_loss)(p, x[k])
        for n in p:
            assert_close(got[n][k], want[n], rtol=1e-5, atol=1e-6)
    live = fb.randn(3).requires_grad_()
    vmap(lambda t: (live * t).sum())(fb.ones(4, 3)).sum().backward()
    assert_close(live.grad, fb.full((3,), 4.0))


def test_indexing_and_writing_per_example() -> None:
    x, at = fb.randn(4, 5, 3), fb.tensor([0, 3, 4, 1])

    def fn(t: Any, i: Any) -> Any:
        y = t.clone()
        y[0] = 7
        y[1:3] *= 2
        y[:, 0].add_(t[:, 1])
        y[i.reshape(1)] = 5.0
        y[y > 6] = 0
        y.t_().unsqueeze_(0)
        return y, t[i.reshape(1)], t[t.argmax(0), fb.arange(3)]

    many = vmap(fn)(x, at)
    for k in range(4):
        for got, want in zip((m[k] for m in many), fn(x[k], at[k]), strict=True):
            assert_close(got, want)
    out = fb.zeros(4, 2)
    vmap(lambda o, v: o.copy_(v))(out, fb.ones(4, 1))
    assert_close(out, fb.ones(4, 2))
    with pytest.raises(RuntimeError, match="out-of-place"):
        vmap(lambda v: fb.zeros(3).add_(v))(x[:, 0])
    with pytest.raises(RuntimeError, match="vmap"):
        vmap(lambda v: fb.zeros(3).copy_(v))(x[:, 0])


def test_randomness() -> None:
    x = fb.ones(4, 100)
    for fn in (
        lambda t: fb.rand(100) * t,
        lambda t: fb.randn_like(t),
        lambda t: fb.bernoulli(t / 2),
        lambda t: fb.nn.functional.dropout(t),
        lambda t: t.clone().normal_(),
        lambda t: fb.randperm(100) * t,
        lambda t: fb.randint(0, 1000, (100,)) * t,
    ):
        with pytest.raises(RuntimeError, match="randomness"):
            vmap(fn)(x)
        same = vmap(fn, randomness="same")(x)
        assert bool((same == same[0]).all())
        assert same.float().std() > 0
        different = vmap(fn, randomness="different")(x)
        assert not bool((different == different[0]).all())
        assert different.shape == (4, 100)


def test_an_op_without_a_rule_runs_example_by_example() -> None:
    class Twice(fb.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    class Own(Twice):
        @staticmethod
        def vmap(info: Any, in_dims: Any, x: Any) -> Any:
            assert info.batch_size == 4
            assert in_dims == (0,)
            return Own.apply(x), 0

    x = fb.randn(4, 3)
    before = unrolled["Twice"]
    assert_close(vmap(Twice.apply)(x), 2 * x)
    assert unrolled["Twice"] == before + 1
    assert_close(vmap(Own.apply)(x), 2 * x)
    assert unrolled["Own"] == 0
    assert_close(vmap(grad(lambda t: (Own.apply(t) ** 2).sum()))(x), 8 * x)
    assert_close(jacrev(Twice.apply)(x[0]), 2 * fb.eye(3))


def test_gradient_of_tape_inside_and_batched_gradients() -> None:
    x = fb.randn(3).requires_grad_()
    y = x**2
    rows = fb.autograd.grad(y, x, fb.eye(3), is_grads_batched=True)[0]
    assert_close(rows, fb.diag(2 * x.detach()))
    got = vmap(lambda v: fb.autograd.grad(x**2, x, v)[0])(fb.eye(3))
    assert_close(got, fb.diag(2 * x.detach()))


@pytest.mark.parametrize(
    ("error", "text", "call"),
    [
        (ValueError, "in_dims", lambda: vmap(fb.sin, in_dims="0")(fb.ones(2))),
        (ValueError, "no inputs", lambda: vmap(lambda: fb.ones(2))()),
        (ValueError, "nothing to go over", lambda: vmap(fb.sin, in_dims=None)(fb.ones(2))),
        (ValueError, "same size", lambda: vmap(fb.add)(fb.ones(2), fb.ones(3))),
        (ValueError, "in_dim=1", lambda: vmap(fb.sin, in_dims=1)(fb.ones(2))),
        (ValueError, "type int", lambda: vmap(fb.add)(fb.ones(2), 2)),
        (ValueError, "structure", lambda: vmap(fb.add, in_dims=(0,))(fb.ones(2), fb.ones(2))),
        (ValueError, "only return Tensors", lambda: vmap(lambda x: 3)(fb.ones(2))),
        (ValueError, "out_dim=2", lambda: vmap(fb.sin, out_dims=2)(fb.ones(2))),
        (ValueError, "out_dims=None", lambda: vmap(fb.sin, out_dims=None)(fb.ones(2))),
        (RuntimeError, "randomness", lambda: vmap(fb.sin, randomness="none")),
        (ValueError, "chunk_size", lambda: vmap(fb.sin, chunk_size=0)),
        (RuntimeError, "numbers", lambda: vmap(lambda x: x if x > 0 else -x)(fb.ones(2))),
        (RuntimeError, "numbers", lambda: vmap(lambda x: x.item())(fb.ones(2))),
        (RuntimeError, "flambeau.func.grad", lambda: vmap(lambda x: x.requires_grad_())(fb.ones(2))),
        (RuntimeError, "backward", lambda: vmap(lambda x: x.sum().backward())(fb.ones(2, 2))),
        (RuntimeError, "0-d tensor", lambda: grad(lambda x: x)(fb.ones(2))),
        (RuntimeError, "floating-point", lambda: grad(lambda x: x.sum())(fb.ones(2, dtype=fb.int64))),
        (RuntimeError, "argnums", lambda: grad(lambda x: x.sum(), 1)(fb.ones(2))),
        (RuntimeError, "argnums", lambda: grad(lambda x: x.sum(), (0, 0))(fb.ones(2))),
        (RuntimeError, "Tensors", lambda: vjp(lambda x: 3, fb.ones(2))),
        (RuntimeError, "has_aux", lambda: vjp(lambda x: x, fb.ones(2), has_aux=True)),
        (RuntimeError, "cotangent", lambda: vjp(fb.sin, fb.ones(2))[1](fb.ones(3))),
        (RuntimeError, "tuple", lambda: jvp(fb.sin, fb.ones(2), fb.ones(2))),
        (RuntimeError, "tangent", lambda: jvp(fb.sin, (fb.ones(2),), (fb.ones(3),))),
    ],
)
def test_bad_input(error: type[Exception], text: str, call: Any) -> None:
    with pytest.raises(error, match=text):
        call()


def test_a_tensor_that_left_its_vmap_says_so() -> None:
    kept = []
    vmap(lambda x: (kept.append(x), x)[1])(fb.ones(2))
    with pytest.raises(RuntimeError, match="vmap is over"):
        kept[0].numpy()


# Modules


def _models(n: int) -> list[Any]:
    nn = fb.nn
    return [nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)) for _ in range(n)]


def test_functional_call_leaves_the_module_alone() -> None:
    model = _models(1)[0]
    before = {k: v.clone() for k, v in model.state_dict().items()}
    x = fb.randn(6, 4)
    params = {k: v.detach() * 2 for k, v in model.named_parameters()}
    buffers = {k: v.clone() for k, v in model.named_buffers()}
    functional_call(model, (params, buffers), (x,))
    assert buffers["1.num_batches_tracked"] == 1
    for k, v in model.state_dict().items():
        assert_close(v, before[k])
    gs = grad(lambda p: functional_call(model, (p, buffers), (x,)).sum())(params)
    assert set(gs) == set(params)
    with pytest.raises(KeyError, match="nowhere"):
        functional_call(model, {"nowhere": x}, (x,))
    with pytest.raises(RuntimeError, match="missing"):
        functional_call(model, params, (x,), strict=True)
    tied = fb.nn.Linear(3, 3)
    pair = fb.nn.Sequential(tied, tied)
    out = functional_call(pair, {"0.weight": fb.eye(3), "0.bias": fb.ones(3)}, (fb.zeros(1, 3),))
    assert_close(out, fb.full((1, 3), 2.0))


def test_ensembles() -> None:
    models = _models(3)
    params, buffers = stack_module_state(models)
    assert all(p.requires_grad for p in params.values())
    x = fb.randn(6, 4)
    got = vmap(lambda p, b: functional_call(models[0], (p, b), (x,)))(params, buffers)
    for k, m in enumerate(models):
        assert_close(got[k], m(x), rtol=1e-4, atol=1e-5)
        for n, b in m.named_buffers():
            assert_close(buffers[n][k], b, rtol=1e-4, atol=1e-5)
    got.sum().backward()
    assert params["0.weight"].grad.shape == (3, 8, 4)
    with pytest.raises(RuntimeError, match="modes"):
        stack_module_state([models[0].eval(), models[1].train()])
    with pytest.raises(RuntimeError, match="no models"):
        stack_module_state([])
    with pytest.raises(RuntimeError, match="one class"):
        stack_module_state([fb.nn.ReLU(), fb.nn.Tanh()])


def test_gradients_per_example_of_a_network() -> None:
    nn = fb.nn
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.GroupNorm(2, 4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 3),
    )
    params = {k: v.detach() for k, v in model.named_parameters()}
    x, y = fb.randn(4, 1, 6, 6), fb.tensor([0, 2, 1, 1])

    def loss(p: Any, xi: Any, yi: Any) -> Any:
        out = functional_call(model, p, (xi.unsqueeze(0),))
        return nn.functional.cross_entropy(out, yi.unsqueeze(0))

    got = vmap(grad(loss), (None, 0, 0))(params, x, y)
    for k in range(4):
        want = grad(loss)(params, x[k], y[k])
        for n in params:
            assert_close(got[n][k], want[n], rtol=1e-4, atol=1e-5)
