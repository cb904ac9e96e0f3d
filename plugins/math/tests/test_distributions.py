"""Distributions against PyTorch's: densities, moments, entropies, divergences, transforms; samples against SciPy."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import flambeau as fb

torch: Any = pytest.importorskip("torch")
D, TD = fb.distributions, torch.distributions
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::UserWarning:torch")]

_A = [[2.0, 0.3], [0.3, 1.0]]
_L = [[1.2, 0.0], [0.4, 0.9]]
#: name -> parameters.
CASES: list[tuple[str, dict[str, Any]]] = [
    ("Bernoulli", {"probs": [0.2, 0.7]}),
    ("Bernoulli", {"logits": [-1.0, 0.5]}),
    ("Beta", {"concentration1": [0.5, 2.0], "concentration0": [1.5, 3.0]}),
    ("Binomial", {"total_count": [5.0, 5.0], "probs": [0.2, 0.7]}),
    ("Categorical", {"probs": [[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]}),
    ("Categorical", {"logits": [[0.2, -0.3, 0.5]]}),
    ("Cauchy", {"loc": [0.5, 1.0], "scale": [1.0, 2.0]}),
    ("Chi2", {"df": [1.0, 4.5]}),
    ("ContinuousBernoulli", {"probs": [0.2, 0.5, 0.8]}),
    ("Dirichlet", {"concentration": [[0.5, 2.0, 1.5], [3.0, 1.0, 2.0]]}),
    ("Exponential", {"rate": [0.5, 2.0]}),
    ("FisherSnedecor", {"df1": [3.0, 5.0], "df2": [6.0, 8.0]}),
    ("Gamma", {"concentration": [0.5, 3.0], "rate": [1.0, 2.0]}),
    ("Geometric", {"probs": [0.2, 0.7]}),
    ("Gumbel", {"loc": [0.5, 1.0], "scale": [1.0, 2.0]}),
    ("HalfCauchy", {"scale": [1.0, 2.0]}),
    ("HalfNormal", {"scale": [1.0, 2.0]}),
    ("InverseGamma", {"concentration": [2.5, 3.0], "rate": [1.0, 2.0]}),
    ("Kumaraswamy", {"concentration1": [1.5, 2.0], "concentration0": [1.5, 3.0]}),
    ("LKJCholesky", {"dim": 3, "concentration": [1.5]}),
    ("Laplace", {"loc": [0.5, 1.0], "scale": [1.0, 2.0]}),
    ("LogNormal", {"loc": [0.5, 1.0], "scale": [1.0, 0.5]}),
    ("LogisticNormal", {"loc": [0.5, 1.0], "scale": [1.0, 0.5]}),
    ("LowRankMultivariateNormal", {"loc": [0.5, 1.0], "cov_factor": [[1.0], [0.5]], "cov_diag": [1.0, 2.0]}),
    ("Multinomial", {"total_count": 4, "probs": [0.2, 0.3, 0.5]}),
    ("MultivariateNormal", {"loc": [0.5, 1.0], "covariance_matrix": _A}),
    ("MultivariateNormal", {"loc": [0.5, 1.0], "precision_matrix": _A}),
    ("MultivariateNormal", {"loc": [0.5, 1.0], "scale_tril": _L}),
    ("NegativeBinomial", {"total_count": [5.0, 2.0], "probs": [0.2, 0.7]}),
    ("Normal", {"loc": [0.5, 1.0], "scale": [1.0, 2.0]}),
    ("OneHotCategorical", {"probs": [[0.2, 0.3, 0.5]]}),
    ("Pareto", {"scale": [1.0, 2.0], "alpha": [2.5, 3.0]}),
    ("Poisson", {"rate": [0.5, 12.0]}),
    ("RelaxedBernoulli", {"temperature": [0.7], "probs": [0.2, 0.7]}),
    ("RelaxedOneHotCategorical", {"temperature": [0.7], "probs": [0.2, 0.3, 0.5]}),
    ("StudentT", {"df": [3.0, 5.0], "loc": [0.5, 1.0], "scale": [1.0, 2.0]}),
    ("Uniform", {"low": [0.0, 1.0], "high": [1.0, 3.0]}),
    ("VonMises", {"loc": [0.5, 1.0], "concentration": [1.0, 4.0]}),
    ("Weibull", {"scale": [1.0, 2.0], "concentration": [1.5, 0.8]}),
    ("Wishart", {"df": [4.0], "covariance_matrix": _A}),
]
IDS = [f"{name}-{'-'.join(p)}" for name, p in CASES]
case = pytest.mark.parametrize(("name", "parameters"), CASES, ids=IDS)


def both(name: str, parameters: dict[str, Any], grad: bool = False) -> tuple[Any, Any, list[Any], list[Any]]:
    ours = {
        k: fb.tensor(v, dtype=fb.float64).requires_grad_(grad) if isinstance(v, list) else v
        for k, v in parameters.items()
    }
    theirs = {
        k: torch.tensor(v, dtype=torch.float64).requires_grad_(grad) if isinstance(v, list) else v
        for k, v in parameters.items()
    }
    tensors = [v for v in ours.values() if isinstance(v, fb.Tensor)]
    return (
        getattr(D, name)(**ours), getattr(TD, name)(**theirs), tensors,
        [v for v in theirs.values() if isinstance(v, torch.Tensor)],
    )  # fmt: skip


def close(ours: Any, theirs: Any, tol: float = 1e-9) -> None:
    assert tuple(ours.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=tol, atol=tol)


@case
def test_density_and_its_gradients(name: str, parameters: dict[str, Any]) -> None:
    torch.manual_seed(1)
    ours, theirs, mine, others = both(name, parameters, True)
    assert tuple(ours.batch_shape) == tuple(theirs.batch_shape)
    assert tuple(ours.event_shape) == tuple(theirs.event_shape)
    value = theirs.sample((5,))
    got, want = ours.log_prob(fb.tensor(value.numpy())), theirs.log_prob(value)
    close(got, want, 1e-7)
    if want.requires_grad:
        for a, b in zip(
            fb.autograd.grad(got.sum(), mine, allow_unused=True),
            torch.autograd.grad(want.sum(), others, allow_unused=True),
            strict=True,
        ):
            assert (a is None) == (b is None)
            if a is not None:
                close(a, b, 1e-6)


@case
def test_moments_and_functions(name: str, parameters: dict[str, Any]) -> None:
    torch.manual_seed(2)
    ours, theirs, _, _ = both(name, parameters)
    seen = 0
    value = theirs.sample((4,))
    unit = torch.tensor([0.2, 0.9], dtype=torch.float64)
    arguments: dict[str, tuple[Any, ...]] = {
        "mean": (), "variance": (), "stddev": (), "mode": (), "entropy": (), "perplexity": (), "cdf": (value,),
        "icdf": (unit,), "enumerate_support": (),
    }  # fmt: skip
    for what, args in arguments.items():
        try:
            want = getattr(theirs, what)
            want = want(*args) if callable(want) else want
        except (NotImplementedError, AttributeError):
            continue
        except RuntimeError:
            continue  # shapes of icdf's argument
        if what == "mode" and name in ("Kumaraswamy", "Weibull"):
            continue  # NaN in PyTorch where there is a mode
        got = getattr(ours, what)
        got = got(*[fb.tensor(a.numpy()) for a in args]) if callable(got) else got
        close(got, want, 1e-6)
        seen += 1
    assert seen or name in ("LKJCholesky", "LogisticNormal", "RelaxedBernoulli", "RelaxedOneHotCategorical")


@case
def test_samples_have_the_moments(name: str, parameters: dict[str, Any]) -> None:
    ours, theirs, mine, _ = both(name, parameters, True)
    fb.manual_seed(3)
    x = ours.sample((20000,))
    assert tuple(x.shape) == (20000, *theirs.batch_shape, *theirs.event_shape)
    assert not x.requires_grad
    fb.manual_seed(3)
    assert bool((ours.sample((20000,)) == x).all())
    if name in ("Cauchy", "HalfCauchy", "Categorical", "VonMises", "Pareto", "StudentT", "FisherSnedecor"):
        want_mean = want_var = None
    else:
        torch.manual_seed(0)
        y = theirs.sample((200000,)).double()
        want_mean, want_var = y.mean(0), y.var(0)
    if want_mean is not None and want_var is not None:
        error = 6 * (want_var / 20000).sqrt() + 1e-9
        gap = np.abs(x.mean(0).detach().numpy() - want_mean.numpy())
        assert (gap <= error.numpy()).all()
        np.testing.assert_allclose(x.var(0).detach().numpy(), want_var.numpy(), rtol=0.25, atol=1e-3)
    assert ours.has_rsample == theirs.has_rsample
    if ours.has_rsample:
        fb.manual_seed(4)
        r = ours.rsample((3,))
        assert r.requires_grad
        grads = fb.autograd.grad((r * r).sum(), mine, allow_unused=True)
        assert any(g is not None and bool(g.isfinite().all()) for g in grads)


@pytest.mark.parametrize(
    ("name", "args", "other"),
    [
        ("Gamma", (0.3, 2.0), stats.gamma(0.3, scale=0.5)), ("Gamma", (5.0, 1.0), stats.gamma(5.0)),
        ("Beta", (0.5, 2.0), stats.beta(0.5, 2.0)), ("StudentT", (3.0,), stats.t(3.0)),
        ("Cauchy", (0.0, 1.0), stats.cauchy()), ("VonMises", (0.5, 2.0), stats.vonmises(2.0, loc=0.5)),
        ("Laplace", (0.0, 1.0), stats.laplace()), ("Pareto", (1.0, 2.0), stats.pareto(2.0)),
        ("FisherSnedecor", (3.0, 6.0), stats.f(3.0, 6.0)), ("Gumbel", (0.0, 1.0), stats.gumbel_r()),
    ],
)  # fmt: skip
def test_samples_have_the_distribution(name: str, args: tuple[float, ...], other: Any) -> None:
    fb.manual_seed(11)
    tensors = [fb.tensor(a, dtype=fb.float64) for a in args]
    x = getattr(D, name)(*tensors).sample((4000,)).numpy()
    if name == "VonMises":
        x, other = (x - 0.5 + math.pi) % (2 * math.pi) - math.pi, stats.vonmises(2.0)
    assert stats.kstest(x, other.cdf).pvalue > 1e-3


@pytest.mark.parametrize(("name", "other"), [("poisson", stats.poisson), ("binomial", stats.binom)])
def test_counts_have_the_distribution(name: str, other: Any) -> None:
    fb.manual_seed(5)
    for parameters in ((0.5,), (30.0,)) if name == "poisson" else ((7.0, 0.3), (50.0, 0.9)):
        x = getattr(fb, name)(*[fb.full((20000,), p, dtype=fb.float64) for p in parameters]).numpy()
        values, counts = np.unique(x, return_counts=True)
        expected = other.pmf(values, *parameters) * 20000
        big = expected > 20
        assert (np.abs(counts - expected)[big] < 5 * np.sqrt(expected[big])).all()


def test_gamma_numbers_have_gradients_of_their_shape() -> None:
    for a in (0.2, 0.9, 3.0, 40.0, 800.0):
        shape = fb.tensor(a, dtype=fb.float64).requires_grad_()
        fb.manual_seed(2)
        x = D.Gamma(shape.expand(200), fb.ones(200, dtype=fb.float64)).rsample()
        (g,) = fb.autograd.grad(x.sum(), shape)
        from scipy.special import gammainc, gammaincinv

        u = gammainc(a, x.detach().numpy())
        step = 1e-5 * max(a, 1)
        want = (gammaincinv(a + step, u) - gammaincinv(a - step, u)) / (2 * step)
        assert float(g) == pytest.approx(want.sum(), rel=1e-4)


def test_the_same_seed_gives_the_same_numbers_on_every_device() -> None:
    for name in ("Gamma", "Beta", "Poisson", "Binomial", "Normal", "VonMises"):
        found = []
        for device in ("cpu", "reference"):
            fb.manual_seed(9)
            two = fb.tensor([2.5, 0.7], device=device)
            args: tuple[Any, ...] = {
                "Poisson": (two,),
                "Binomial": (fb.tensor([5.0, 9.0], device=device), two / 4),
            }.get(name, (two, two + 1))
            found.append(getattr(D, name)(*args).sample((50,)).to("reference"))
        assert bool(found[0].isclose(found[1], rtol=1e-5, atol=1e-6).all()), name


SCALAR = ["Bernoulli", "Beta", "Cauchy", "ContinuousBernoulli", "Exponential", "Gamma", "Geometric", "Gumbel",
          "HalfNormal", "Laplace", "LogNormal", "Normal", "Pareto", "Poisson", "Uniform", "Dirichlet", "Categorical",
          "OneHotCategorical", "MultivariateNormal", "LowRankMultivariateNormal", "Binomial"]  # fmt: skip


@pytest.mark.parametrize(("p", "q"), [*itertools.product(SCALAR, SCALAR)])
def test_divergences(p: str, q: str) -> None:
    table = dict(reversed(CASES))
    other = {
        "loc": 0.2,
        "scale": 0.5,
        "rate": 0.3,
        "concentration": 1.0,
        "concentration1": 0.5,
        "concentration0": 0.2,
    }
    ours_p, theirs_p, _, _ = both(p, table[p])
    changed = {
        k: (np.array(v) + other.get(k, 0.0)).tolist() if isinstance(v, list) else v
        for k, v in table[q].items()
    }
    ours_q, theirs_q, _, _ = both(q, changed)
    try:
        want = TD.kl_divergence(theirs_p, theirs_q)
    except (NotImplementedError, RuntimeError):
        with pytest.raises((NotImplementedError, RuntimeError)):
            D.kl_divergence(ours_p, ours_q)
        return
    try:
        got = D.kl_divergence(ours_p, ours_q)
    except NotImplementedError:
        pytest.skip("PyTorch has a form for this pair, we haven't")
    close(got, want, 1e-6)


TRANSFORMS = [
    ("ExpTransform", (), (3,)), ("SigmoidTransform", (), (3,)), ("SoftplusTransform", (), (3,)),
    ("TanhTransform", (), (3,)), ("AffineTransform", (0.5, 2.0), (3,)), ("StickBreakingTransform", (), (2, 3)),
    ("CorrCholeskyTransform", (), (2, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "shape"), TRANSFORMS, ids=[t[0] for t in TRANSFORMS])
def test_transforms(name: str, args: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, shape)
    ours, theirs = getattr(D, name)(*args), getattr(TD, name)(*args)
    a, b = fb.tensor(x), torch.tensor(x)
    y, z = ours(a), theirs(b)
    close(y, z, 1e-8)
    close(ours.inv(y), b, 1e-6)
    close(ours.log_abs_det_jacobian(a, y), theirs.log_abs_det_jacobian(b, z), 1e-7)
    assert tuple(ours.forward_shape(shape)) == tuple(theirs.forward_shape(shape))
    assert ours == getattr(D, name)(*args)


def test_the_generalized_pareto_distribution() -> None:
    for k in (0.2, 0.0, -0.3):
        ours = D.GeneralizedPareto(*(fb.tensor(v, dtype=fb.float64) for v in (1.0, 2.0, k)))
        theirs = stats.genpareto(k, loc=1.0, scale=2.0)
        x = np.array([1.1, 2.0, 4.0])
        np.testing.assert_allclose(ours.log_prob(fb.tensor(x)).numpy(), theirs.logpdf(x), rtol=1e-9)
        np.testing.assert_allclose(ours.cdf(fb.tensor(x)).numpy(), theirs.cdf(x), rtol=1e-9)
        np.testing.assert_allclose(ours.icdf(ours.cdf(fb.tensor(x))).numpy(), x, rtol=1e-9)
        assert float(ours.mean) == pytest.approx(theirs.mean())
        assert float(ours.entropy()) == pytest.approx(float(theirs.entropy()))


def test_mixtures_and_independence() -> None:
    mix = [0.3, 0.7]
    ours = D.MixtureSameFamily(
        D.Categorical(fb.tensor(mix, dtype=fb.float64)),
        D.Normal(fb.tensor([0.0, 2.0], dtype=fb.float64), fb.tensor([1.0, 0.5], dtype=fb.float64)),
    )
    theirs = TD.MixtureSameFamily(
        TD.Categorical(torch.tensor(mix, dtype=torch.float64)),
        TD.Normal(
            torch.tensor([0.0, 2.0], dtype=torch.float64), torch.tensor([1.0, 0.5], dtype=torch.float64)
        ),
    )
    x = np.linspace(-1, 3, 7)
    close(ours.log_prob(fb.tensor(x)), theirs.log_prob(torch.tensor(x)))
    close(ours.cdf(fb.tensor(x)), theirs.cdf(torch.tensor(x)))
    close(ours.mean, theirs.mean)
    close(ours.variance, theirs.variance)
    fb.manual_seed(0)
    assert float(ours.sample((4000,)).mean()) == pytest.approx(1.4, abs=0.1)
    whole = D.Independent(D.Normal(fb.zeros(2, 3), fb.ones(2, 3)), 1)
    assert (tuple(whole.batch_shape), tuple(whole.event_shape)) == ((2,), (3,))
    assert whole.log_prob(fb.zeros(2, 3)).shape == (2,)
    assert whole.expand((4, 2)).sample().shape == (4, 2, 3)


def test_constraints_lead_to_transforms() -> None:
    c = D.constraints
    for constraint in (c.real, c.positive, c.unit_interval, c.interval(-1.0, 3.0), c.greater_than(2.0), c.simplex,
                       c.lower_cholesky, c.positive_definite, c.corr_cholesky, c.real_vector):  # fmt: skip
        shape = (3,) if constraint.event_dim < 2 or constraint is c.corr_cholesky else (3, 3)
        x = fb.tensor(np.random.default_rng(1).uniform(-1, 1, shape))
        for registry in (D.biject_to, D.transform_to):
            assert bool(constraint.check(registry(constraint)(x)).all()), constraint


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="to satisfy the constraint"):
        D.Normal(0.0, -1.0)
    with pytest.raises(ValueError, match="within the support"):
        D.Exponential(1.0).log_prob(fb.tensor(-1.0))
    with pytest.raises(ValueError, match="Either `probs` or `logits`"):
        D.Bernoulli()
    with pytest.raises(ValueError, match="not broadcastable"):
        D.Normal(fb.zeros(3), 1.0).log_prob(fb.zeros(2))
    with pytest.raises(NotImplementedError, match="No KL"):
        D.kl_divergence(D.Normal(0.0, 1.0), D.Bernoulli(0.5))
    with pytest.raises(NotImplementedError, match="no closed form"):
        D.StudentT(3.0).cdf(fb.tensor(0.0))
    assert float(D.Normal(0.0, -1.0, validate_args=False).loc) == 0.0
