"""The conformance suite: what a backend must do.

A backend's whole test file::

    from flambeau.testing import BackendSuite

    class TestMyDevice(BackendSuite):
        device = "mydevice"
        capabilities = {"asynchronous": True, "fp64": False}
        expected_failures = {"forward[erfinv-float64-0]": "computed in float32"}

Values are compared with NumPy functions that are no part of flambeau where a record has one, else with the reference
backend in the widest dtype.
"""

from __future__ import annotations

from .cases import compare, run, sampled
from .conformance.base import cases_of, expected_failure, test_ids
from .conformance.concurrency import Concurrency
from .conformance.contract import Contract
from .conformance.forward import Forward
from .conformance.gradients import Gradients
from .conformance.memory import Memory
from .conformance.mistakes import Mistakes
from .conformance.models import Models
from .conformance.moving import Moving
from .conformance.randomness import Randomness
from .conformance.writing import Writing

__all__ = [
    "FAMILIES",
    "BackendSuite",
    "cases_of",
    "compare",
    "expected_failure",
    "run",
    "sampled",
    "test_ids",
]

#: The families, in the order in which they say most.
FAMILIES = (Contract, Memory, Moving, Forward, Writing, Gradients, Randomness, Mistakes, Concurrency, Models)


class BackendSuite(
    Contract, Memory, Moving, Forward, Writing, Gradients, Randomness, Mistakes, Concurrency, Models
):
    """All tests of a device; subclass it and name the device. Attributes: see `conformance.base.SuiteBase`."""

    def test_expected_failures_exist(self) -> None:
        """Ids and patterns that match no test are errors."""
        from .conformance.base import _pattern

        ids = test_ids(type(self))
        unknown = [p for p in self.expected_failures if not any(_pattern(p).fullmatch(i) for i in ids)]
        assert not unknown, f"expected_failures name no test: {unknown}"
