"""Tests of backends and of ops as an installed product; needs pytest and NumPy."""

from __future__ import annotations

from .comparison import assert_close
from .suite import BackendSuite, compare, sampled
from .values import T, call

__all__ = ["BackendSuite", "T", "assert_close", "call", "compare", "sampled"]
