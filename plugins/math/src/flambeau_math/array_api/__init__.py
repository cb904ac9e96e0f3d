"""The Python Array API standard, version 2025.12: flambeau under the names and with the rules of the standard.

Functions take and return plain tensors; where the standard and PyTorch differ, the function here follows the standard:
0-d arrays promote like others, ``sum`` of unsigned integers is unsigned, ``std`` has no correction. `linalg` and `fft`
are the extensions.

>>> import flambeau as fb
>>> x = fb.tensor([1., 2., 3.])
>>> xp = x.__array_namespace__()
>>> xp.cumulative_sum(xp.concat([x, x]), include_initial=True)
tensor([ 0.,  1.,  3.,  6.,  7.,  9., 12.])
"""

from __future__ import annotations

from math import e, inf, nan, pi

from flambeau import (
    bool,
    complex64,
    complex128,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)

from . import creation, elementwise, fft, functions, info, linalg
from .creation import *  # noqa: F403
from .elementwise import *  # noqa: F403
from .functions import *  # noqa: F403
from .info import *  # noqa: F403

newaxis = None
__array_api_version__ = info.VERSION

__all__ = [
    "__array_api_version__", "bool", "complex128", "complex64", "e", "fft", "float32", "float64", "inf",
    "int16", "int32", "int64", "int8", "linalg", "nan", "newaxis", "pi", "uint16", "uint32", "uint64", "uint8",
    *creation.__all__, *elementwise.__all__, *functions.__all__, *info.__all__,
]  # fmt: skip
