"""The simulated GPU and, where there is one, the GPU: our kernels, and the ops' defaults on the required entries."""

from __future__ import annotations

import pytest

import flambeau as fb
from flambeau.testing import BackendSuite

gpu = pytest.mark.skipif(not fb.cuda.is_available(), reason=f"needs a GPU: {fb.cuda.unavailable_reason()}")
SHARE = (
    0.01  # each program is compiled on the host; `hatch run conformance:cuda-sim` runs twenty times as many
)


class TestSim(BackendSuite):
    device = "cuda-sim"
    share = SHARE


class TestSimDefaults(BackendSuite):
    device = "cuda-sim"
    defaults = True
    share = SHARE


@gpu
@pytest.mark.gpu
class TestGpu(BackendSuite):
    device = "cuda"


@gpu
@pytest.mark.gpu
class TestGpuDefaults(BackendSuite):
    device = "cuda"
    defaults = True
