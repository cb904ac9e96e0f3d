"""Parametrizations that are ready made: weight norm, spectral norm, orthogonal matrices."""

from __future__ import annotations

from typing import Any

import flambeau as fb
from flambeau.errors import message

from .. import functional as F
from ..module import Module
from .parametrize import register_parametrization

__all__ = ["norm_except", "orthogonal", "spectral_norm", "weight_norm"]


def norm_except(weight: fb.Tensor, dim: int) -> fb.Tensor:
    """The norms over all dimensions but one, which keep their places; all of them for ``dim=-1``."""
    if dim == -1:
        return weight.norm()
    over = [d for d in range(weight.ndim) if d != dim % weight.ndim]
    return weight.norm(2, over, True) if over else weight.abs()


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: fb.Tensor, weight_v: fb.Tensor) -> fb.Tensor:
        return weight_v * (weight_g / norm_except(weight_v, self.dim))

    def right_inverse(self, weight: fb.Tensor) -> tuple[fb.Tensor, fb.Tensor]:
        return norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int = 0) -> Module:
    """Split a parameter into its length and its direction (T. Salimans, D. Kingma, 2016).

    Args:
        module: the owner.
        name: the parameter.
        dim: the dimension whose slices have a length each; None: one for all.

    >>> from flambeau import nn
    >>> layer = weight_norm(nn.Linear(3, 2))
    >>> layer.parametrizations.weight.original0.shape
    flambeau.Size([2, 1])
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def older(owner: Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        keys = f"{prefix}{name}_g", f"{prefix}{name}_v"
        if all(key in state for key in keys):
            for k, key in enumerate(keys):
                state[f"{prefix}parametrizations.{name}.original{k}"] = state.pop(key)

    module.register_load_state_dict_pre_hook(older)
    return module


class _SpectralNorm(Module):
    _u: fb.Tensor
    _v: fb.Tensor

    def __init__(
        self, weight: fb.Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(
                "[spectral_norm] Dimension out of range (expected to be in range of "
                f"[{-weight.ndim}, {weight.ndim - 1}] but got {dim})."
            )
        if n_power_iterations <= 0:
            raise ValueError(
                f"[spectral_norm] expected n_power_iterations to be positive: got {n_power_iterations}."
            )
        self.dim = dim % weight.ndim
        self.eps = eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._matrix(weight.detach())
            for key, size in (("_u", matrix.shape[0]), ("_v", matrix.shape[1])):
                drawn = fb.randn(size, dtype=weight.dtype, device=weight.device)
                self.register_buffer(key, F.normalize(drawn, dim=0, eps=eps))
            self._iterate(matrix, 15)

    def _matrix(self, weight: fb.Tensor) -> fb.Tensor:
        return weight.movedim(self.dim, 0).flatten(1)

    def _iterate(self, matrix: fb.Tensor, times: int) -> None:
        """The power method: towards the first singular vectors."""
        with fb.no_grad():
            for _ in range(times):
                self._u.copy_(F.normalize(matrix.mv(self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(matrix.mH.mv(self._u), dim=0, eps=self.eps))

    def forward(self, weight: fb.Tensor) -> fb.Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        # Copies, because a later call changes the vectors in place while this call's gradient may still need them.
        u, v = self._u.clone(), self._v.clone()
        return weight / u.dot(matrix.mv(v))

    def right_inverse(self, value: fb.Tensor) -> fb.Tensor:
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a parameter by its largest singular value (T. Miyato and others, 2018).

    Args:
        module: the owner.
        name: the parameter.
        n_power_iterations: steps of the power method in each training call.
        eps: against division by zero.
        dim: the dimension of the outputs; 1 for transposed convolutions, else 0.

    >>> from flambeau import nn
    >>> layer = spectral_norm(nn.Linear(1, 1))
    >>> round(layer.weight.abs().item(), 4)
    1.0
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, fb.Tensor):
        raise ValueError(
            f"[spectral_norm] {type(module).__name__} has no parameter or buffer with name {name!r}."
        )
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))


class _Orthogonal(Module):
    base: fb.Tensor | None

    def __init__(self, weight: fb.Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("[orthogonal] the householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        self.use_trivialization = use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: fb.Tensor) -> fb.Tensor:
        tall = x.shape[-2] >= x.shape[-1]
        x = x if tall else x.mT
        n, k = x.shape[-2], x.shape[-1]
        linalg: Any = fb.linalg
        if self.orthogonal_map == "householder":
            vectors = x.tril(-1)
            tau = 2.0 / (1.0 + (vectors * vectors).sum(-2))
            q = linalg.householder_product(vectors, tau)
            q = q * x.detach().diagonal(dim1=-2, dim2=-1).unsqueeze(-2).trunc()
        else:
            low = x.tril()
            if n != k:
                low = fb.cat([low, low.new_zeros((*low.shape[:-1], n - k))], -1)
            skew = low - low.mH
            if self.orthogonal_map == "matrix_exp":
                q = fb.matrix_exp(skew)
            else:
                one = fb.eye(n, dtype=skew.dtype, device=skew.device)
                q = linalg.solve(one - skew / 2, one + skew / 2)
            q = q[..., :k] if n != k else q
        if self.use_trivialization and self.base is not None:
            q = self.base @ q
        made: fb.Tensor = q if tall else q.mT
        return made

    def right_inverse(self, q: fb.Tensor) -> fb.Tensor:
        if q.shape != self.shape:
            raise ValueError(
                message(
                    "orthogonal",
                    f"expected a matrix or batch of matrices of shape {list(self.shape)}",
                    value=q,
                )
            )
        tall = q.shape[-2] >= q.shape[-1]
        whole = q if tall else q.mT
        n, k = whole.shape[-2], whole.shape[-1]
        if not self.use_trivialization:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "[orthogonal] it is not possible to assign to the matrix exponential or the Cayley "
                    "parametrizations when use_trivialization=False."
                )
            packed, tau = fb.geqrf(whole)
            signs = packed.diagonal(dim1=-2, dim2=-1).sign()
            signs = fb.where(tau == 0, -signs, signs)
            packed = packed - fb.diag_embed(packed.diagonal(dim1=-2, dim2=-1)) if n == k else packed
            packed = packed.diagonal_scatter(signs, dim1=-2, dim2=-1)
            found: fb.Tensor = packed if tall else packed.mT
            return found
        if n != k:
            drawn = fb.randn((*whole.shape[:-1], n - k), dtype=whole.dtype, device=whole.device)
            whole = _made_orthogonal(fb.cat([whole, drawn], -1))
        elif _is_orthogonal(whole):
            whole = whole.clone()
        else:
            whole = _made_orthogonal(whole)
        self.base = whole
        start = fb.zeros_like(q)
        start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return start


def _is_orthogonal(q: fb.Tensor) -> bool:
    n, k = q.shape[-2], q.shape[-1]
    one = fb.eye(k, dtype=q.dtype, device=q.device)
    eps = 10 * n * fb.finfo(q.dtype).eps
    return bool(fb.allclose(q.mH @ q, one.expand(q.shape[:-2] + (k, k)), atol=eps))  # noqa: RUF005


def _made_orthogonal(a: fb.Tensor) -> fb.Tensor:
    """The Q of a QR decomposition whose R has a positive diagonal."""
    linalg: Any = fb.linalg
    q, r = linalg.qr(a)
    signs: fb.Tensor = r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)
    made: fb.Tensor = q * signs
    return made


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keep a matrix orthogonal (orthonormal rows or columns, whichever are fewer), or a batch of them.

    Needs the extra ``math``.

    Args:
        module: the owner.
        name: the parameter.
        orthogonal_map: ``"matrix_exp"`` (square or complex matrices by default), ``"cayley"`` or ``"householder"``
            (others by default).
        use_trivialization: multiply by an orthogonal matrix that is set when the parameter is assigned to
            (M. Lezcano-Casado, 2019).

    Raises:
        ValueError: no such tensor, fewer than two dimensions, or another map.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, fb.Tensor):
        raise ValueError(
            f"[orthogonal] {type(module).__name__} has no parameter or buffer with name {name!r}."
        )
    if weight.ndim < 2:
        raise ValueError(message("orthogonal", "expected a matrix or batch of matrices", weight=weight))
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1] or weight.is_complex()
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            f'[orthogonal] orthogonal_map has to be one of "matrix_exp", "cayley", "householder": got {orthogonal_map}.'
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization)
    return register_parametrization(module, name, made, unsafe=True)
