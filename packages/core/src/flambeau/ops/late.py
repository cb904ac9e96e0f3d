"""Names of ops whose records live in plugins, and the loading of those records on first use.

Importing a plugin's records registers them in `registry.OPS`; the hook ``register_ops`` does that and nothing else. The
tables say which plugin of ours has a name of PyTorch's, so that asking for ``flambeau.conv2d`` imports one plugin, and
asking for it without the plugin says what to install.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import hooks, registry

__all__ = ["METHODS", "NAMES", "LateMethod", "function", "load"]

#: Names at the top level, by the extra that brings them. The plugins' tests compare the tables with the records.
NAMES = {
    "nn": """adaptive_avg_pool1d avg_pool1d batch_norm celu celu_ conv1d conv2d conv3d conv_transpose1d conv_transpose2d
        conv_transpose3d dropout group_norm hardshrink layer_norm max_pool1d max_pool2d prelu rms_norm selu selu_""",
    "math": """bartlett_window bincount binomial blackman_window block_diag bucketize cartesian_prod
        cdist chain_matmul cholesky cholesky_inverse cholesky_solve combinations corrcoef cov cross
        cumulative_trapezoid det diff einsum float_power float_power_ frexp gcd gcd_ geqrf gradient
        hamming_window hann_window hash_tensor heaviside heaviside_ histc histogram histogramdd i0 i0_ igamma
        igamma_ igammac igammac_ inverse isin istft kaiser_window kron kthvalue lcm lcm_ ldexp ldexp_ lobpcg
        logaddexp logaddexp2 logcumsumexp logdet logit logit_ lu lu_solve lu_unpack matrix_exp matrix_power
        median mode mvlgamma mvlgamma_ nanmedian nanquantile nextafter nextafter_ orgqr ormqr pca_lowrank
        pinverse poisson polar polygamma qr quantile renorm renorm_ rot90 searchsorted sinc sinc_ slogdet stft
        svd svd_lowrank tensordot trapezoid trapz triangular_solve unique unique_consecutive unravel_index
        vander""",
}
#: Methods of tensors likewise.
METHODS = {
    "nn": "hardshrink prelu",
    "math": """bincount cauchy_ cholesky cholesky_inverse cholesky_solve combinations corrcoef cov
        cross det diff float_power float_power_ frexp gcd gcd_ geometric_ geqrf hash_tensor heaviside heaviside_
        histc histogram i0 i0_ igamma igamma_ igammac igammac_ inverse istft kron kthvalue lcm lcm_ ldexp ldexp_
        log_normal_ logaddexp logaddexp2 logcumsumexp logdet logit logit_ lu lu_solve matrix_exp matrix_power
        median mode mvlgamma mvlgamma_ nanmedian nanquantile nextafter nextafter_ orgqr ormqr pinverse polygamma
        polygamma_ qr quantile renorm renorm_ rot90 sinc sinc_ slogdet stft svd tensordot triangular_solve
        unique unique_consecutive""",
}

_owners = {name: extra for extra, names in NAMES.items() for name in names.split()}
_loaded: set[str] = set()


def load(*extras: str) -> None:
    """Register the records of these plugins, or of every installed plugin that has some.

    Args:
        extras: the first parts of entry names: ``nn`` stands for the entry ``nn.register_ops``.
    """
    wanted = [name for name in extras or hooks.providers("register_ops") if name not in _loaded]
    if wanted:
        hooks.register_ops(wanted)
        _loaded.update(wanted)


def function(name: str) -> Callable[..., Any] | None:
    """The function that a plugin's record gives to the top level; None where no plugin has one of that name.

    Raises:
        AttributeError: a plugin of ours has it and is not installed.
    """
    extra = _owners.get(name)
    if name not in registry.FUNCTIONS:
        for plugin in [extra] if extra else hooks.providers("register_ops"):
            if extra or plugin not in NAMES:
                load(plugin)
    if extra and name not in registry.FUNCTIONS:
        raise AttributeError(_missing(f"flambeau.{name}", extra))
    return registry.FUNCTIONS.get(name)


def _missing(name: str, extra: str) -> str:
    if extra in hooks.providers("register_ops"):
        return f"{name} is part of flambeau-{extra}, whose operators failed to load; see `flambeau doctor`"
    return f"{name} is part of flambeau-{extra}, which is not installed: pip install 'flambeau[{extra}]'"


class LateMethod:
    """Stands on a class for a method until the records of its plugin are loaded and put the method there.

    Args:
        owner: the class.
        name: the method.
        extra: the plugin.
    """

    def __init__(self, owner: type[Any], name: str, extra: str) -> None:
        self.owner, self.name, self.extra = owner, name, extra

    def __get__(self, obj: Any, cls: Any = None) -> Any:
        load(self.extra)
        if vars(self.owner)[self.name] is self:
            raise AttributeError(_missing(f"Tensor.{self.name}", self.extra))
        return getattr(cls if obj is None else obj, self.name)
