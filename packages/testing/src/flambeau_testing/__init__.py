"""Tests of backends and of ops as an installed product; needs pytest and NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .comparison import assert_close
from .custom import check_op
from .gradients import gradcheck, gradgradcheck
from .values import Samples, T, call

if TYPE_CHECKING:
    from .suite import BackendSuite, compare, sampled

__all__ = [
    "BackendSuite", "Samples", "T", "assert_close", "call", "check_op", "compare", "gradcheck", "gradgradcheck",
    "sampled",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import suite  # reads every sample; modules of samples import this package

    return getattr(suite, name)
