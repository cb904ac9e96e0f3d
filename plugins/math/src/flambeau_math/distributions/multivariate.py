"""Distributions of vectors and matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flambeau as fb

from . import constraints
from .continuous import Beta, Chi2
from .distribution import Distribution, broadcast_all
from .samplers import standard_gamma

__all__ = ["Dirichlet", "LKJCholesky", "LowRankMultivariateNormal", "MultivariateNormal", "Wishart"]


class Dirichlet(Distribution):
    """The distribution of shares that sum to 1.

    Args:
        concentration: [..., K], positive.
    """

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True
    param_event_dims = {"concentration": 1}

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise ValueError("[Dirichlet] `concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Any:
        above = (self.concentration - 1).clamp_min(0)
        mode = above / above.sum(-1, keepdim=True)
        low = (self.concentration < 1).all(-1, keepdim=True)
        places = fb.arange(mode.shape[-1], device=mode.device)
        corner = (mode.argmax(-1, keepdim=True) == places).to(mode.dtype)
        return fb.where(low, corner, mode)

    @property
    def variance(self) -> Any:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total**2 * (total + 1))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        x = standard_gamma(self.concentration.expand(self._extended_shape(sample_shape)))
        return x / x.sum(-1, keepdim=True)

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        a = self.concentration
        return fb.xlogy(a - 1, value).sum(-1) + a.sum(-1).lgamma() - a.lgamma().sum(-1)

    def entropy(self) -> Any:
        a = self.concentration
        k, total = a.shape[-1], a.sum(-1)
        return (
            a.lgamma().sum(-1)
            - total.lgamma()
            - (k - total) * total.digamma()
            - ((a - 1) * a.digamma()).sum(-1)
        )


def _mahalanobis(L: Any, gap: Any) -> Any:
    """The squared length of ``L^-1 gap``."""
    batch = fb.broadcast_shapes(L.shape[:-2], gap.shape[:-1])
    n = gap.shape[-1]
    y = fb.linalg.solve_triangular(
        L.expand((*batch, n, n)), gap.expand((*batch, n)).unsqueeze(-1), upper=False
    )
    return (y * y).sum((-2, -1))


def _precision_to_tril(P: Any) -> Any:
    """The Cholesky factor of the inverse of P."""
    flipped = fb.linalg.cholesky(P.flip((-2, -1)))
    L_inv = flipped.flip((-2, -1)).mT
    eye = fb.eye(P.shape[-1], dtype=P.dtype, device=P.device)
    return fb.linalg.solve_triangular(L_inv, eye, upper=False)


class MultivariateNormal(Distribution):
    """The normal distribution of vectors.

    Args:
        loc: [..., K], the mean.
        covariance_matrix, precision_matrix or scale_tril: [..., K, K], one of them.
    """

    arg_constraints = {
        "loc": constraints.real_vector, "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite, "scale_tril": constraints.lower_cholesky,
    }  # fmt: skip
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, loc: Any, covariance_matrix: Any = None, precision_matrix: Any = None, scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        if loc.ndim < 1:
            raise ValueError("[MultivariateNormal] loc must be at least one-dimensional.")
        given = {
            "covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril
        }  # fmt: skip
        held = {n: v for n, v in given.items() if v is not None}
        if len(held) != 1:
            raise ValueError("[MultivariateNormal] Exactly one of covariance_matrix or precision_matrix or scale_tril "
                             "may be specified.")  # fmt: skip
        ((name, matrix),) = held.items()
        if matrix.ndim < 2:
            raise ValueError(f"[MultivariateNormal] {name} must be at least two-dimensional, with optional leading "
                             "batch dimensions.")  # fmt: skip
        batch = fb.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        self.loc = loc.expand((*batch, loc.shape[-1]))
        self.__dict__[name] = matrix.expand((*batch, *matrix.shape[-2:]))
        super().__init__(batch, loc.shape[-1:], validate_args)
        if scale_tril is not None:
            self._tril = self.scale_tril
        elif covariance_matrix is not None:
            self._tril = fb.linalg.cholesky(self.covariance_matrix)
        else:
            self._tril = _precision_to_tril(self.precision_matrix)

    param_event_dims = {"loc": 1, "covariance_matrix": 2, "precision_matrix": 2, "scale_tril": 2, "_tril": 2}

    def __getattr__(self, name: str) -> Any:
        held = self.__dict__
        if "_tril" in held:
            if name == "scale_tril":
                return held["_tril"]
            if name == "covariance_matrix":
                return held["_tril"] @ held["_tril"].mT
            if name == "precision_matrix":
                return fb.cholesky_inverse(held["_tril"])
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def mean(self) -> Any:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Any:
        return (self._tril**2).sum(-1).expand((*self._batch_shape, *self._event_shape))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        eps = fb.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + (self._tril @ eps.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Any) -> Any:
        gap = self._checked_value(value) - self.loc
        half_log_det = self._tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return (
            -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + _mahalanobis(self._tril, gap))
            - half_log_det
        )

    def entropy(self) -> Any:
        half_log_det = self._tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return 0.5 * self._event_shape[0] * (1 + math.log(2 * math.pi)) + half_log_det


class LowRankMultivariateNormal(Distribution):
    """The normal distribution of vectors whose covariance is ``cov_factor @ cov_factor.mT + diag(cov_diag)``.

    Args:
        loc: [..., K].
        cov_factor: [..., K, R].
        cov_diag: [..., K], positive.
    """

    arg_constraints = {
        "loc": constraints.real_vector, "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }  # fmt: skip
    support = constraints.real_vector
    has_rsample = True
    param_event_dims = {"loc": 1, "cov_factor": 2, "cov_diag": 1, "_capacitance": 2}

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        if loc.ndim < 1:
            raise ValueError("[LowRankMultivariateNormal] loc must be at least one-dimensional.")
        k = loc.shape[-1]
        if cov_factor.ndim < 2 or cov_factor.shape[-2] != k:
            raise ValueError(f"[LowRankMultivariateNormal] cov_factor must be a batch of matrices with shape {k} x m: "
                             f"got {list(cov_factor.shape)}.")  # fmt: skip
        if cov_diag.shape[-1:] != (k,):
            raise ValueError(f"[LowRankMultivariateNormal] cov_diag must be a batch of vectors with shape ({k},): got "
                             f"{list(cov_diag.shape)}.")  # fmt: skip
        batch = fb.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        self.loc = loc.expand((*batch, k))
        self.cov_factor = cov_factor.expand((*batch, *cov_factor.shape[-2:]))
        self.cov_diag = cov_diag.expand((*batch, k))
        super().__init__(batch, (k,), validate_args)
        W = self.cov_factor
        scaled = W.mT / self.cov_diag.unsqueeze(-2)
        eye = fb.eye(W.shape[-1], dtype=W.dtype, device=W.device)
        self._capacitance = fb.linalg.cholesky(scaled @ W + eye)

    @property
    def mean(self) -> Any:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Any:
        return (self.cov_factor**2).sum(-1) + self.cov_diag

    @property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        return self.cov_factor @ self.cov_factor.mT + self.cov_diag.diag_embed()

    @property
    def scale_tril(self) -> Any:
        """Its Cholesky factor."""
        return fb.linalg.cholesky(self.covariance_matrix)

    @property
    def precision_matrix(self) -> Any:
        """Its inverse."""
        return fb.linalg.inv(self.covariance_matrix)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        like = {"dtype": self.loc.dtype, "device": self.loc.device}
        low = fb.randn((*shape[:-1], self.cov_factor.shape[-1]), **like)
        noise = fb.randn(shape, **like)
        return self.loc + (self.cov_factor @ low.unsqueeze(-1)).squeeze(-1) + self.cov_diag.sqrt() * noise

    def _log_det(self) -> Any:
        return 2 * self._capacitance.diagonal(dim1=-2, dim2=-1).log().sum(-1) + self.cov_diag.log().sum(-1)

    def log_prob(self, value: Any) -> Any:
        gap = self._checked_value(value) - self.loc
        # The inverse by M. Woodbury's identity.
        scaled = gap / self.cov_diag
        inside = (self.cov_factor.mT @ scaled.unsqueeze(-1)).squeeze(-1)
        distance = (gap * scaled).sum(-1) - _mahalanobis(self._capacitance, inside)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + self._log_det() + distance)

    def entropy(self) -> Any:
        return 0.5 * (self._event_shape[0] * (1 + math.log(2 * math.pi)) + self._log_det())


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices, with density proportional to ``det ** (concentration - 1)``.

    Source: D. Lewandowski, D. Kurowicka and H. Joe, "Generating random correlation matrices" (2009), section 3.

    Args:
        dim: the size of the matrices.
        concentration: how near they are to the identity.
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(
                f"[LKJCholesky] Expected dim to be an integer greater than or equal to 2: got {dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        super().__init__(self.concentration.shape, (dim, dim), validate_args)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        with fb.no_grad():
            c = self.concentration
            offset = fb.arange(self.dim - 1, dtype=c.dtype, device=c.device)
            offset = fb.cat([offset.new_zeros((1,)), offset])
            marginal = c.unsqueeze(-1) + 0.5 * (self.dim - 2)
            y = (
                Beta(offset + 0.5, marginal - 0.5 * offset, validate_args=False)
                .sample(sample_shape)
                .unsqueeze(-1)
            )
            u = fb.randn(self._extended_shape(sample_shape), dtype=c.dtype, device=c.device).tril(-1)
            size = u.norm(dim=-1, keepdim=True)
            unit = u / fb.where(size == 0, 1.0, size)
            w = y.sqrt() * unit
            w = fb.cat([fb.zeros_like(w[..., :1, :]), w[..., 1:, :]], -2)
            diagonal = (1 - (w**2).sum(-1)).clamp_min(fb.finfo(w.dtype).tiny).sqrt()
            return w + diagonal.diag_embed()

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        c = self.concentration
        diagonal = value.diagonal(dim1=-2, dim2=-1)[..., 1:]
        order = fb.arange(2, self.dim + 1, dtype=c.dtype, device=c.device)
        order = 2 * (c - 1).unsqueeze(-1) + self.dim - order
        body = (order * diagonal.log()).sum(-1)
        m = self.dim - 1
        alpha = c + 0.5 * m
        top = fb.mvlgamma(alpha - 0.5, m)
        return body - (0.5 * m * math.log(math.pi) + top - alpha.lgamma() * m)


class Wishart(Distribution):
    """The distribution of scatter matrices of normal vectors.

    Args:
        df: degrees of freedom, more than K - 1.
        covariance_matrix, precision_matrix or scale_tril: [..., K, K], one of them.
    """

    arg_constraints = {
        "covariance_matrix": constraints.positive_definite, "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky, "df": constraints.greater_than(0),
    }  # fmt: skip
    support = constraints.positive_definite
    has_rsample = True
    param_event_dims = {"covariance_matrix": 2, "precision_matrix": 2, "scale_tril": 2, "_tril": 2}

    def __init__(
        self, df: Any, covariance_matrix: Any = None, precision_matrix: Any = None, scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = {
            "covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril
        }  # fmt: skip
        held = {n: v for n, v in given.items() if v is not None}
        if len(held) != 1:
            raise ValueError(
                "[Wishart] Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."
            )
        ((name, matrix),) = held.items()
        if matrix.ndim < 2:
            raise ValueError(f"[Wishart] {name} must be at least two-dimensional.")
        df = (
            df
            if isinstance(df, fb.Tensor)
            else fb.tensor(float(df), dtype=matrix.dtype, device=matrix.device)
        )
        batch = fb.broadcast_shapes(df.shape, matrix.shape[:-2])
        k = matrix.shape[-1]
        self.df = df.expand(batch)
        if not bool((self.df > k - 1).all()):
            raise ValueError(f"[Wishart] Value of df={df} expected to be greater than ndim - 1 = {k - 1}.")
        self.__dict__[name] = matrix.expand((*batch, k, k))
        super().__init__(batch, (k, k), validate_args)
        if scale_tril is not None:
            self._tril = self.scale_tril
        elif covariance_matrix is not None:
            self._tril = fb.linalg.cholesky(self.covariance_matrix)
        else:
            self._tril = _precision_to_tril(self.precision_matrix)

    def __getattr__(self, name: str) -> Any:
        return MultivariateNormal.__getattr__(self, name)  # type: ignore[arg-type]

    @property
    def mean(self) -> Any:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Any:
        factor = self.df - self._event_shape[0] - 1
        return fb.where(factor > 0, factor, float("nan"))[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Any:
        V = self.covariance_matrix
        d = V.diagonal(dim1=-2, dim2=-1)
        return self.df[..., None, None] * (V**2 + d.unsqueeze(-1) * d.unsqueeze(-2))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        # M. Bartlett's decomposition.
        k = self._event_shape[0]
        shape = self._extended_shape(sample_shape)
        steps = fb.arange(k, dtype=self._tril.dtype, device=self._tril.device)
        chi = Chi2(self.df.unsqueeze(-1) - steps, validate_args=False).rsample(sample_shape).sqrt()
        noise = fb.randn(shape, dtype=self._tril.dtype, device=self._tril.device).tril(-1) + chi.diag_embed()
        factor = self._tril @ noise
        return factor @ factor.mT

    def log_prob(self, value: Any) -> Any:
        value = self._checked_value(value)
        n, k = self.df, self._event_shape[0]
        log_det = 2 * self._tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        inside = fb.cholesky_solve(value, self._tril).diagonal(dim1=-2, dim2=-1).sum(-1)
        logdet_value = fb.linalg.slogdet(value).logabsdet
        return (
            -n / 2 * log_det - n * k / 2 * math.log(2) - fb.mvlgamma(n / 2, k)
            + (n - k - 1) / 2 * logdet_value - inside / 2
        )  # fmt: skip

    def entropy(self) -> Any:
        n, k = self.df, self._event_shape[0]
        log_det = 2 * self._tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        steps = fb.arange(k, dtype=n.dtype, device=n.device)
        total = (n.unsqueeze(-1) / 2 - steps / 2).digamma().sum(-1)
        return (
            (k + 1) / 2 * (log_det + k * math.log(2))
            + fb.mvlgamma(n / 2, k)
            - (n - k - 1) / 2 * total
            + n * k / 2
        )
