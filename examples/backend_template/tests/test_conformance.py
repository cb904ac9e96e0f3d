"""The backend against flambeau's conformance suite: this is all that a backend's tests need."""

from flambeau.testing import BackendSuite


class TestTemplate(BackendSuite):
    device = "template"
    capabilities = {"asynchronous": True, "host_visible": False, "fp64": True}
    expected_failures: dict[str, str] = {}
