"""The CPU backend: its own kernels, and the ops' defaults on its required entries."""

from __future__ import annotations

from flambeau.testing import BackendSuite

SHARE = 0.05  # day by day; `hatch run conformance:run` runs all


class TestNative(BackendSuite):
    device = "cpu"
    share = SHARE


class TestDefaults(BackendSuite):
    device = "cpu"
    defaults = True
    share = SHARE
