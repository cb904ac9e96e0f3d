"""The reference backend against finite differences and itself in float64."""

from __future__ import annotations

from flambeau.testing import BackendSuite


class TestReference(BackendSuite):
    device = "reference"
    share = 0.05  # day by day; `hatch run conformance:run` runs all
