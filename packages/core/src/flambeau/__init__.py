"""flambeau: tensors with PyTorch's API on devices that plugins bring.

>>> import flambeau as fb
>>> fb.tensor([1., 2.]) + 1
tensor([2., 3.])
"""

from __future__ import annotations

from importlib import import_module as _import_module
from math import e, inf, nan, pi
from typing import TYPE_CHECKING
from typing import Any as _Any

from . import _alias, _functions
from ._functions import *  # noqa: F403
from ._tensor import Tensor
from .devices import Device as device
from .dtypes import DType as dtype
from .errors import OutOfMemoryError
from .layout import Size, broadcast_shapes
from .ops import late
from .ops.custom import op
from .ops.interop import as_tensor, asarray, from_numpy, frombuffer, tensor
from .ops.pointwise import custom as pointwise

# Lists of names, several to a line.
# isort: off
from ._api import (
    are_deterministic_algorithms_enabled, compile, get_num_threads, is_complex, is_floating_point, is_tensor, numel,
    set_num_threads, synchronize, use_deterministic_algorithms,
)  # fmt: skip
from .autograd import (
    enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad, set_grad_enabled,
)  # fmt: skip
from .dtypes import (
    bfloat16, can_cast, complex64, complex128, finfo, float16, float32, float64, iinfo, int8, int16, int32, int64,
    promote_types, uint8, uint16, uint32, uint64,
)  # fmt: skip
from .dtypes import bool_ as bool
from .random import (
    Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state,
)  # fmt: skip
from .state import get_default_device, get_default_dtype, set_default_device, set_default_dtype
# isort: on

if TYPE_CHECKING:
    from . import (  # isort: skip
        amp, autograd, backends, cuda, data, func, io, nn, ops, optim, plugin, random, testing, vision,
    )  # fmt: skip
    from .amp import (  # isort: skip
        GradScaler, autocast, clear_autocast_cache, get_autocast_dtype, is_autocast_available,
        is_autocast_cache_enabled, is_autocast_enabled, set_autocast_cache_enabled, set_autocast_dtype,
    )  # fmt: skip
    from .backends.cuda import get_float32_matmul_precision, set_float32_matmul_precision
    from .fallback import explain_fallbacks
    from .func import vmap
    from .io import load, save
    from .nn.functional import (  # isort: skip
        bilinear, cosine_similarity, pairwise_distance, pixel_shuffle, pixel_unshuffle, threshold,
    )  # fmt: skip
    from .ops.dlpack import from_dlpack
    from .printing import get_printoptions, printoptions, set_printoptions

_alias.install()

#: Names that are loaded on first use, and the module that has each; that of a plugin's namespace too.
_LAZY = {
    name: module
    for module, names in {
        "amp": """GradScaler autocast clear_autocast_cache get_autocast_dtype is_autocast_available
            is_autocast_cache_enabled is_autocast_enabled set_autocast_cache_enabled set_autocast_dtype""",
        "backends.cuda": "get_float32_matmul_precision set_float32_matmul_precision",
        "fallback": "explain_fallbacks",
        "func": "vmap",
        "io": "load save",
        "nn.functional": "bilinear cosine_similarity pairwise_distance pixel_shuffle pixel_unshuffle threshold",
        "ops.dlpack": "from_dlpack",
        "printing": "get_printoptions printoptions set_printoptions",
    }.items()
    for name in names.split()
}
_MODULES = frozenset("autograd backends doctor hooks ops plugin plugins random utils".split())
half, float, double, cfloat, cdouble = float16, float32, float64, complex64, complex128
short, int, long = int16, int32, int64
strided = "flambeau.strided"
contiguous_format, preserve_format = "contiguous_format", "preserve_format"
channels_last, channels_last_3d = "channels_last", "channels_last_3d"
newaxis = None


__all__ = [
    "Generator", "GradScaler", "OutOfMemoryError", "Size", "Tensor", "amp", "are_deterministic_algorithms_enabled",
    "as_tensor", "asarray", "autocast", "autograd", "backends", "bfloat16", "bilinear", "bool", "broadcast_shapes",
    "can_cast", "cdouble", "cfloat", "channels_last", "channels_last_3d", "clear_autocast_cache", "compile",
    "complex64", "complex128", "contiguous_format", "cosine_similarity", "cuda", "data", "default_generator",
    "device", "double", "dtype", "e", "enable_grad", "explain_fallbacks", "finfo", "float", "float16", "float32",
    "float64", "from_dlpack", "from_numpy", "frombuffer", "func", "get_autocast_dtype", "get_default_device",
    "get_default_dtype", "get_float32_matmul_precision", "get_num_threads", "get_printoptions", "get_rng_state",
    "half", "iinfo", "inf", "inference_mode", "initial_seed", "int", "int8", "int16", "int32", "int64", "io",
    "is_autocast_available", "is_autocast_cache_enabled", "is_autocast_enabled", "is_complex", "is_floating_point",
    "is_grad_enabled", "is_inference_mode_enabled", "is_tensor", "load", "long", "manual_seed", "nan", "newaxis",
    "nn", "no_grad", "numel", "op", "ops", "optim", "pairwise_distance", "pi", "pixel_shuffle", "pixel_unshuffle",
    "plugin", "pointwise", "preserve_format", "printoptions", "promote_types", "random", "save", "seed",
    "set_autocast_cache_enabled", "set_autocast_dtype", "set_default_device", "set_default_dtype",
    "set_float32_matmul_precision", "set_grad_enabled", "set_num_threads", "set_printoptions", "set_rng_state",
    "short", "strided", "synchronize", "tensor", "testing", "threshold", "uint8", "uint16", "uint32", "uint64",
    "use_deterministic_algorithms", "vision", "vmap",
]  # fmt: skip
__all__ += _functions.__all__


def __getattr__(name: str) -> _Any:
    module = _LAZY.get(name)
    if module is not None:
        value = globals()[name] = getattr(_alias.module(module), name)
        return value
    if name in _MODULES:
        return _import_module("." + name, __name__)
    if name == "__version__":
        from importlib.metadata import version

        return version("flambeau")
    op = None if name.startswith("_") or name in _alias.FIRST_PARTY else late.function(name)
    if op is not None:
        globals()[name] = op
        return op
    return _alias.namespace(name)
