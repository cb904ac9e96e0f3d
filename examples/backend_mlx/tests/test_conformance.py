"""The MLX backend against flambeau's conformance suite."""

from flambeau.testing import BackendSuite


class TestMlx(BackendSuite):
    device = "mlx"
    capabilities = {"asynchronous": True, "host_visible": False, "fp64": False}
    expected_failures = {
        "extremes[floor_divide-float32]": "floor(inf / x) is inf where Python's inf // x is NaN",
    }
