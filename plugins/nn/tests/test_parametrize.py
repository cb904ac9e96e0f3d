"""Parametrizations, norms of weights, pruning and fusion, against PyTorch."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest

import flambeau as fb
from flambeau import nn

torch = pytest.importorskip("torch")
pytest.importorskip("torch.nn.utils.prune")
sys.path.insert(0, str(Path(__file__).parent))
from nn_parity import assert_same, ours  # noqa: E402

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning"),
]


def pair(made_by, *sizes, **options):
    """A layer of PyTorch's and ours with the same parameters."""
    theirs = getattr(torch.nn, made_by)(*sizes, dtype=torch.float64, **options)
    mine = getattr(nn, made_by)(*sizes, dtype=fb.float64, **options)
    mine.load_state_dict({k: ours(v) for k, v in theirs.state_dict().items()})
    return mine, theirs


def carry(mine, theirs) -> None:
    mine.load_state_dict({k: ours(v) for k, v in theirs.state_dict().items()})


def same_state(mine, theirs) -> None:
    assert list(mine.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        assert_same(mine.state_dict()[key], value)


def same_run(mine, theirs, x) -> None:
    """Output, and gradients of everything."""
    a, b = ours(x).requires_grad_(), x.clone().requires_grad_()
    got, want = mine(a), theirs(b)
    assert_same(got, want)
    (got * got).sum().backward()
    (want * want).sum().backward()
    assert_same(a.grad, b.grad)
    for (name, p), q in zip(theirs.named_parameters(), mine.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        if p.grad is not None:
            assert_same(q.grad, p.grad, 1e-8, 1e-9)
    mine.zero_grad()
    theirs.zero_grad()


X = torch.randn(4, 5, dtype=torch.float64)


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("old", [True, False])
def test_weight_norm(dim, old) -> None:
    mine, theirs = pair("Linear", 5, 3)
    for module, library in ((mine, nn), (theirs, torch.nn)):
        where = library.utils if old else library.utils.parametrizations
        where.weight_norm(module, "weight", dim)
    same_state(mine, theirs)
    same_run(mine, theirs, X)
    if old:
        nn.utils.remove_weight_norm(mine)
        torch.nn.utils.remove_weight_norm(theirs)
    else:
        nn.utils.parametrize.remove_parametrizations(mine, "weight")
        torch.nn.utils.parametrize.remove_parametrizations(theirs, "weight")
    assert set(mine.state_dict()) == set(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        assert_same(mine.state_dict()[key], value)
    with pytest.raises(ValueError, match="not"):
        nn.utils.remove_weight_norm(mine)


def test_new_weight_norm_loads_the_older_state() -> None:
    old, new = nn.utils.weight_norm(nn.Linear(5, 3)), nn.utils.parametrizations.weight_norm(nn.Linear(5, 3))
    new.load_state_dict(old.state_dict())
    x = fb.randn(2, 5)
    assert fb.allclose(old(x), new(x))


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("kind", ["Linear", "Conv2d", "ConvTranspose2d"])
def test_spectral_norm(old, kind) -> None:
    mine, theirs = pair(kind, *((5, 3) if kind == "Linear" else (2, 3, 2)))
    for module, library in ((mine, nn), (theirs, torch.nn)):
        where = library.utils if old else library.utils.parametrizations
        where.spectral_norm(module)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    carry(mine, theirs)
    x = X if kind == "Linear" else torch.randn(2, 2, 4, 4, dtype=torch.float64)
    for training in (True, True, False):
        mine.train(training)
        theirs.train(training)
        same_run(mine, theirs, x)
        same_state(mine, theirs)
    if old:
        nn.utils.remove_spectral_norm(mine)
        torch.nn.utils.remove_spectral_norm(theirs)
        same_run(mine, theirs, x)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((4, 4), "cayley"), ((4, 4), "matrix_exp"), ((3, 5), "cayley"), ((5, 3), "householder")],
)
def test_orthogonal(shape, kind) -> None:
    try:
        fb.linalg  # noqa: B018
    except AttributeError:
        pytest.skip("needs the extra math")
    layer = nn.Linear(*shape, dtype=fb.float64)
    nn.utils.parametrizations.orthogonal(layer, orthogonal_map=kind)
    small = layer.weight if shape[1] <= shape[0] else layer.weight.mT
    assert fb.allclose(small @ small.mT, fb.eye(small.shape[0], dtype=fb.float64), atol=1e-9)
    (layer.weight * fb.randn_like(layer.weight)).sum().backward()
    with fb.no_grad():
        original = layer.parametrizations.weight.original
        original -= 0.1 * original.grad
    small = layer.weight if shape[1] <= shape[0] else layer.weight.mT
    assert fb.allclose(small @ small.mT, fb.eye(small.shape[0], dtype=fb.float64), atol=1e-9)


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).mT

    def right_inverse(self, x):
        return x.triu()


class Double(nn.Module):
    def forward(self, x):
        return 2 * x


def test_parametrizations() -> None:
    P = nn.utils.parametrize
    layer = nn.Linear(3, 3)
    original = layer.weight
    P.register_parametrization(layer, "weight", Symmetric())
    assert layer.parametrizations.weight.original is original
    assert [n for n, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    assert type(layer).__name__ == "ParametrizedLinear"
    assert P.type_before_parametrizations(layer) is nn.Linear
    value = fb.arange(9.0).view(3, 3)
    layer.weight = value + value.mT
    assert fb.equal(layer.weight, value + value.mT)
    P.register_parametrization(layer, "weight", Double())
    assert fb.equal(layer.weight, 2 * (value + value.mT))
    twin = copy.deepcopy(layer)
    assert fb.equal(twin.weight, layer.weight)
    assert twin.parametrizations.weight.original is not original
    with P.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight
    with pytest.raises(RuntimeError, match="does not implement right_inverse"):
        layer.weight = value
    other = P.transfer_parametrizations_and_params(layer, nn.Linear(3, 3), "weight")
    assert fb.equal(other.weight, layer.weight)
    P.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear
    assert layer.weight is original
    assert fb.equal(layer.weight, 2 * (value + value.mT))
    assert not P.is_parametrized(layer)
    with pytest.raises(ValueError, match="may not change the shape"):
        P.register_parametrization(layer, "weight", nn.Flatten(0))
    with pytest.raises(ValueError, match="does not have a parameter"):
        P.register_parametrization(layer, "wait", Double())
    with pytest.raises(ValueError, match="does not have a parametrization"):
        P.remove_parametrizations(layer, "weight")


# Pruning


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("identity", {}),
        ("l1_unstructured", {"amount": 4}),
        ("l1_unstructured", {"amount": 0.3}),
        ("ln_structured", {"amount": 2, "n": 2, "dim": 0}),
        ("ln_structured", {"amount": 0.5, "n": 1, "dim": 1}),
    ],
)
def test_pruning(name, options) -> None:
    mine, theirs = pair("Linear", 5, 4)
    getattr(nn.utils.prune, name)(mine, "weight", **options)
    getattr(torch.nn.utils.prune, name)(theirs, "weight", **options)
    same_state(mine, theirs)
    same_run(mine, theirs, X)
    nn.utils.prune.l1_unstructured(mine, "weight", amount=0.5)  # on top of the first
    torch.nn.utils.prune.l1_unstructured(theirs, "weight", amount=0.5)
    same_state(mine, theirs)
    nn.utils.prune.ln_structured(mine, "weight", amount=1, n=2, dim=0)
    torch.nn.utils.prune.ln_structured(theirs, "weight", amount=1, n=2, dim=0)
    same_state(mine, theirs)
    same_run(mine, theirs, X)
    assert nn.utils.prune.is_pruned(mine)
    nn.utils.prune.remove(mine, "weight")
    torch.nn.utils.prune.remove(theirs, "weight")
    same_state(mine, theirs)
    assert not nn.utils.prune.is_pruned(mine)


def test_pruning_together_and_at_random() -> None:
    prune = nn.utils.prune
    one, other = pair("Linear", 5, 4), pair("Linear", 4, 3)
    mine, theirs = nn.Sequential(one[0], other[0]), torch.nn.Sequential(one[1], other[1])
    for model, library in ((mine, nn), (theirs, torch.nn)):
        method = library.utils.prune.L1Unstructured
        library.utils.prune.global_unstructured(
            [(model[0], "weight"), (model[1], "weight")], method, amount=10
        )
    same_state(mine, theirs)
    layer = prune.random_unstructured(nn.Linear(5, 4), "weight", amount=7)
    assert int((layer.weight_mask == 0).sum()) == 7
    layer = prune.random_structured(nn.Linear(5, 4), "weight", amount=2, dim=1)
    assert int((layer.weight_mask.sum(0) == 0).sum()) == 2
    mask = fb.tensor([1.0, 0, 1, 1])
    layer = prune.custom_from_mask(nn.Linear(5, 4), "bias", mask)
    assert layer.bias[1].item() == 0
    for bad, error in ((-1, ValueError), (1.5, ValueError), ("x", TypeError), (100, ValueError)):
        with pytest.raises(error, match="amount"):
            prune.l1_unstructured(nn.Linear(5, 4), "weight", amount=bad)
    with pytest.raises(ValueError, match="has to be pruned"):
        prune.remove(nn.Linear(2, 2), "weight")


@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d", "Linear"])
@pytest.mark.parametrize("bias", [True, False])
def test_fusion(kind, bias) -> None:
    linear = kind == "Linear"
    layer = getattr(nn, kind)(*((4, 3) if linear else (4, 3, 2)), bias=bias, dtype=fb.float64)
    norm = (nn.BatchNorm1d if linear else nn.BatchNorm2d)(3, dtype=fb.float64)
    x = fb.randn(*((6, 4) if linear else (2, 4, 5, 5)), dtype=fb.float64)
    with fb.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    norm(layer(x))
    layer.eval()
    norm.eval()
    if linear:
        fused = nn.utils.fuse_linear_bn_eval(layer, norm)
    else:
        fused = nn.utils.fuse_conv_bn_eval(layer, norm, transpose=kind != "Conv2d")
    assert fb.allclose(fused(x), norm(layer(x)), atol=1e-9)
    with pytest.raises(AssertionError, match="only for eval"):
        (nn.utils.fuse_linear_bn_eval if linear else nn.utils.fuse_conv_bn_eval)(layer.train(), norm)
