"""The CPU backend: its own kernels, and the ops' defaults on its required entries."""

from __future__ import annotations

from flambeau.testing import BackendSuite


class TestNative(BackendSuite):
    device = "cpu"


class TestDefaults(BackendSuite):
    device = "cpu"
    defaults = True
    every = 4  # the same records run whole on the required entries of the reference and of the template
