"""The CPU backend: its own kernels, and the ops' defaults on its required entries."""

from __future__ import annotations

from flambeau.testing import BackendSuite


class TestNative(BackendSuite):
    device = "cpu"


class TestDefaults(BackendSuite):
    device = "cpu"
    defaults = True
    every = 4
