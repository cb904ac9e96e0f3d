"""The simulated GPU and, where there is one, the GPU: our kernels, and the ops' defaults on the required entries."""

from __future__ import annotations

from typing import Any

import pytest

from flambeau.testing import BackendSuite
from flambeau_cuda.natives import KERNELS

SHARE = 0.003  # `hatch run conformance:cuda-sim` runs all


class Defaults(BackendSuite):
    """The defaults of ops that have a native kernel here; those of others run in the other suite."""

    defaults = True

    @classmethod
    def wants(cls, case: Any) -> bool:
        target = getattr(case, "target", None)
        op = getattr(target, "op", None)
        if op is not None and op.native in KERNELS:
            return True
        name = getattr(target, "name", "")
        return any(name and (name in native or native in name) for native in KERNELS)


class TestSim(BackendSuite):
    device = "cuda-sim"
    share = SHARE


class TestSimDefaults(Defaults):
    device = "cuda-sim"
    share = SHARE


@pytest.mark.gpu
class TestGpu(BackendSuite):
    device = "cuda"


@pytest.mark.gpu
class TestGpuDefaults(Defaults):
    device = "cuda"
