"""The older forms of weight norm and spectral norm, which recompute the parameter before each forward.

`parametrizations` has the newer ones. State is that of PyTorch's older forms: ``weight_g``, ``weight_v``;
``weight_orig``, ``weight_u``, ``weight_v``.
"""

from __future__ import annotations

import warnings
from typing import Any

import flambeau as fb

from .. import functional as F
from ..hooks import RemovableHandle
from ..module import Module
from ..parameter import Parameter, is_lazy
from .parametrizations import norm_except

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]


class _Recomputed:
    """A forward pre-hook that sets a tensor of its module anew."""

    handles: list[RemovableHandle]

    def __init__(self, name: str) -> None:
        self.name = name

    def compute(self, module: Module) -> fb.Tensor:
        """The tensor."""
        raise NotImplementedError

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.compute(module))


def _find(module: Module, kind: type[Any], name: str) -> Any:
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, kind) and hook.name == name:
            return hook
    return None


def _parameter(what: str, module: Module, kind: type[Any], name: str) -> Parameter:
    if _find(module, kind, name) is not None:
        raise RuntimeError(f"[{what}] cannot register two {what} hooks on the same parameter {name}.")
    weight = module._parameters[name]
    if weight is None:
        raise ValueError(f"[{what}] cannot be applied as parameter {name!r} is None.")
    if is_lazy(weight):
        raise ValueError(
            f"[{what}] the module can't have uninitialized parameters: run a forward pass before."
        )
    return weight


class _WeightNorm(_Recomputed):
    def __init__(self, name: str, dim: int) -> None:
        super().__init__(name)
        self.dim = dim

    def compute(self, module: Module) -> fb.Tensor:
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        made: fb.Tensor = v * (g / norm_except(v, self.dim))
        return made


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Split a parameter into ``<name>_g``, its length, and ``<name>_v``, its direction.

    Args:
        module: the owner.
        name: the parameter.
        dim: the dimension whose slices have a length each; None: one for all.
    """
    warnings.warn(
        "[weight_norm] nn.utils.weight_norm is deprecated in favor of nn.utils.parametrizations.weight_norm.",
        FutureWarning,
        stacklevel=2,
    )
    hook = _WeightNorm(name, -1 if dim is None else dim)
    weight = _parameter("weight_norm", module, _WeightNorm, name)
    delattr(module, name)
    module.register_parameter(name + "_g", Parameter(norm_except(weight.detach(), hook.dim)))
    module.register_parameter(name + "_v", Parameter(weight.detach()))
    hook(module, ())
    hook.handles = [module.register_forward_pre_hook(hook)]
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make a parameter that `weight_norm` split a single one again.

    Raises:
        ValueError: it isn't split.
    """
    hook = _find(module, _WeightNorm, name)
    if hook is None:
        raise ValueError(
            f"[remove_weight_norm] weight_norm of {name!r} not found in {type(module).__name__}."
        )
    value = hook.compute(module).detach()
    for key in (name, name + "_g", name + "_v"):
        delattr(module, key)
    module.register_parameter(name, Parameter(value))
    for handle in hook.handles:
        handle.remove()
    return module


class _SpectralNorm(_Recomputed):
    def __init__(self, name: str, n_power_iterations: int, eps: float, dim: int) -> None:
        super().__init__(name)
        self.n_power_iterations, self.eps, self.dim = n_power_iterations, eps, dim

    def matrix(self, weight: fb.Tensor) -> fb.Tensor:
        """The weight with the outputs' dimension first, as a matrix."""
        return weight.movedim(self.dim, 0).flatten(1)

    def compute(self, module: Module) -> fb.Tensor:
        return self.divided(module, module.training)

    def divided(self, module: Module, iterate: bool) -> fb.Tensor:
        """The weight divided by its largest singular value."""
        weight, u, v = (getattr(module, self.name + end) for end in ("_orig", "_u", "_v"))
        matrix = self.matrix(weight)
        if iterate:
            with fb.no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(matrix.t().mv(u), dim=0, eps=self.eps))
                    u.copy_(F.normalize(matrix.mv(v), dim=0, eps=self.eps))
                u, v = u.clone(), v.clone()
        made: fb.Tensor = weight / u.dot(matrix.mv(v))
        return made


def _version_of(module: Module, state: Any, prefix: str, local: dict[str, Any]) -> None:
    """Note the version of every spectral norm, as PyTorch's states have it."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, _SpectralNorm):
            local.setdefault("spectral_norm", {})[hook.name + ".version"] = 1


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a parameter by its largest singular value, before each forward.

    Args:
        module: the owner.
        name: the parameter.
        n_power_iterations: steps of the power method in each training call.
        eps: against division by zero.
        dim: the dimension of the outputs; 1 for transposed convolutions, else 0.
    """
    if n_power_iterations <= 0:
        raise ValueError(
            f"[spectral_norm] expected n_power_iterations to be positive: got {n_power_iterations}."
        )
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    hook = _SpectralNorm(name, n_power_iterations, eps, dim)
    weight = _parameter("spectral_norm", module, _SpectralNorm, name)
    with fb.no_grad():
        rows, columns = hook.matrix(weight).shape
        vectors = [
            F.normalize(fb.randn(size, dtype=weight.dtype, device=weight.device), dim=0, eps=eps)
            for size in (rows, columns)
        ]
    delattr(module, name)
    module.register_parameter(name + "_orig", weight)
    setattr(module, name, weight.detach())
    module.register_buffer(name + "_u", vectors[0])
    module.register_buffer(name + "_v", vectors[1])
    hook.handles = [
        module.register_forward_pre_hook(hook),
        module.register_state_dict_post_hook(_version_of),
    ]
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the parameter of `spectral_norm` an ordinary one, with the value that it has.

    Raises:
        ValueError: it has no spectral norm.
    """
    hook = _find(module, _SpectralNorm, name)
    if hook is None:
        raise ValueError(
            f"[remove_spectral_norm] spectral_norm of {name!r} not found in {type(module).__name__}."
        )
    with fb.no_grad():
        value = hook.divided(module, False).detach()
    for key in (name, name + "_u", name + "_v", name + "_orig"):
        delattr(module, key)
    module.register_parameter(name, Parameter(value))
    for handle in hook.handles:
        handle.remove()
    return module
