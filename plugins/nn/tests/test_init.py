"""nn.init: ranges, moments, structure, generators, messages."""

from __future__ import annotations

import math

import pytest

import flambeau as fb
from flambeau import nn

init = nn.init


def moments(tensor) -> tuple[float, float]:
    mean = tensor.mean().item()
    return mean, math.sqrt((tensor - mean).square().mean().item())


@pytest.mark.parametrize(
    ("fill", "mean", "std"),
    [
        (lambda w: init.uniform_(w, -1, 3), 1.0, 4 / math.sqrt(12)),
        (lambda w: init.normal_(w, 2.0, 3.0), 2.0, 3.0),
        (lambda w: init.xavier_uniform_(w, 2.0), 0.0, 2.0 * math.sqrt(2 / 500)),
        (lambda w: init.xavier_normal_(w), 0.0, math.sqrt(2 / 500)),
        (lambda w: init.kaiming_uniform_(w), 0.0, math.sqrt(2 / 300)),
        (lambda w: init.kaiming_uniform_(w, a=math.sqrt(5)), 0.0, math.sqrt(2 / 6 / 300)),
        (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"), 0.0, math.sqrt(2 / 200)),
        (lambda w: init.trunc_normal_(w, std=1.0), 0.0, 0.8796),
        (lambda w: init.trunc_normal_(w, mean=0.5, std=0.1, a=0.4, b=0.6), 0.5, 0.05396),
    ],
)
def test_moments(fill, mean, std) -> None:
    w = fb.empty(200, 300)
    assert fill(w) is w
    got_mean, got_std = moments(w)
    assert got_mean == pytest.approx(mean, abs=4 * std / math.sqrt(60000))
    assert got_std == pytest.approx(std, rel=0.02)


def test_bounds() -> None:
    assert init.trunc_normal_(fb.empty(1000), a=-0.5, b=0.25).amin().item() >= -0.5
    assert init.trunc_normal_(fb.empty(1000), a=-0.5, b=0.25).amax().item() <= 0.25
    layer = nn.Linear(25, 1000)
    assert layer.weight.abs().amax().item() <= 0.2
    assert layer.bias.abs().amax().item() <= 0.2
    conv = nn.Conv2d(4, 100, 5)
    assert conv.weight.abs().amax().item() <= 0.1
    assert conv.bias.abs().amax().item() <= 0.1
    fans = init.kaiming_uniform_(fb.empty(8, 4, 3, 3), a=1.0)
    assert fans.abs().amax().item() <= math.sqrt(3 / 36)


def test_constants_and_structure() -> None:
    assert init.ones_(fb.empty(2)).tolist() == [1.0, 1.0]
    assert init.zeros_(fb.empty(2)).tolist() == [0.0, 0.0]
    assert init.constant_(fb.empty(2), 3.5).tolist() == [3.5, 3.5]
    assert init.eye_(fb.empty(2, 3)).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    conv = init.dirac_(fb.empty(4, 2, 3), groups=2)
    assert conv.sum().item() == 4.0
    assert [conv[i, i % 2, 1].item() for i in range(4)] == [1.0] * 4
    x = fb.rand(1, 3, 5, 6)
    weight = init.dirac_(fb.empty(3, 3, 3, 3))
    assert fb.allclose(nn.functional.conv2d(x, weight, padding=1), x)


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5), (6, 2, 3), (1, 3)])
def test_orthogonal(shape) -> None:
    w = init.orthogonal_(fb.empty(*shape, dtype=fb.float64), gain=2.0).reshape(shape[0], -1)
    gram = w @ w.t() if w.shape[0] <= w.shape[1] else w.t() @ w
    assert fb.allclose(gram, 4.0 * fb.eye(gram.shape[0], dtype=fb.float64), atol=1e-12)


def test_sparse() -> None:
    w = init.sparse_(fb.empty(10, 5), 0.35, std=1.0)
    assert (w == 0).sum(0).tolist() == [4] * 5


def test_generators_make_it_repeatable() -> None:
    for fill in (
        init.uniform_, init.normal_, init.trunc_normal_, init.xavier_uniform_, init.xavier_normal_, init.orthogonal_,
        init.kaiming_uniform_, init.kaiming_normal_, lambda w, generator: init.sparse_(w, 0.5, generator=generator),
    ):  # fmt: skip
        a, b = (fill(fb.empty(4, 6), generator=fb.Generator().manual_seed(7)).tolist() for _ in range(2))
        assert a == b


def test_parameters_are_filled_without_a_graph() -> None:
    p = nn.Parameter(fb.empty(3, 3))
    for fill in (init.xavier_normal_, init.orthogonal_, init.eye_, init.ones_, init.trunc_normal_):
        fill(p)
        assert p.is_leaf
        assert p.requires_grad


def test_gains() -> None:
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("conv2d") == init.calculate_gain("sigmoid") == 1
    assert init.calculate_gain("selu") == 0.75
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    assert init.calculate_gain("leaky_relu", 3) == math.sqrt(2 / 10)


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda: init.calculate_gain("maxout"), r"unsupported nonlinearity maxout"),
        (lambda: init.calculate_gain("leaky_relu", "a"), r"not a valid number"),
        (lambda: init.eye_(fb.empty(2)), r"only tensors with 2 dimensions"),
        (lambda: init.dirac_(fb.empty(2, 2)), r"3, 4, or 5 dimensions"),
        (lambda: init.dirac_(fb.empty(3, 2, 2), 2), r"divisible by groups"),
        (lambda: init.orthogonal_(fb.empty(2)), r"2 or more dimensions"),
        (lambda: init.sparse_(fb.empty(2), 0.1), r"only tensors with 2 dimensions"),
        (lambda: init.xavier_uniform_(fb.empty(2)), r"fewer than 2 dimensions"),
        (lambda: init.kaiming_normal_(fb.empty(2, 2), mode="both"), r"mode both not supported"),
    ],
)
def test_mistakes(act, text) -> None:
    with pytest.raises(ValueError, match=text):
        act()


def test_warnings() -> None:
    with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
        init.kaiming_uniform_(fb.empty(0, 3))
    with pytest.warns(UserWarning, match="more than 2 std"):
        init.trunc_normal_(fb.empty(2), mean=10.0)


@pytest.mark.parametrize("name", [n for n in init.__all__ if n + "_" in init.__all__])
def test_older_names_warn_and_do_the_same(name: str) -> None:
    more = {"constant": (0.5,), "sparse": (0.3,)}.get(name, ())
    shape = (4, 2, 3) if name == "dirac" else (4, 3)
    new = getattr(init, name + "_")
    with pytest.warns(
        FutureWarning, match=f"nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`"
    ):
        got = getattr(init, name)(fb.empty(shape), *more, **given(new))
    assert got.tolist() == new(fb.empty(shape), *more, **given(new)).tolist()


def given(fill) -> dict[str, fb.Generator]:
    """A generator of its own, where the initialiser takes one."""
    takes = "generator" in fill.__code__.co_varnames[: fill.__code__.co_argcount]
    return {"generator": fb.Generator().manual_seed(3)} if takes else {}
