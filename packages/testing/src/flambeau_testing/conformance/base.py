"""What all families share: the device under test, its capabilities, and what is expected to fail."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Any, ClassVar
from zlib import crc32

import pytest

import flambeau as fb
from flambeau.plugin import Backend, backend_of, explain_fallbacks, force_defaults

__all__ = ["SuiteBase", "cases_of", "chosen", "expected_failure", "test_ids"]


@pytest.mark.filterwarnings("ignore::flambeau.errors.FallbackWarning")
class SuiteBase:
    """A device under test.

    Attributes:
        device: the device type.
        defaults: run the ops' defaults instead of the backend's own kernels.
        capabilities: what the backend must declare, by the names of `Backend.capabilities`; a backend that silently
            stops declaring something fails.
        expected_failures: test ids without ``test_``, such as ``"forward[erfinv-float64-0]"``, with the reasons why
            they fail; ``*`` stands for anything. Ids that match no test, and tests that pass, are failures.
        share: the share of each test's cases that runs, always the same ones and at least one, where all would take
            too long (a device that compiles for every call). The environment variable FLAMBEAU_CONFORMANCE_SHARE
            takes its place; `flambeau certify` runs them all.
    """

    device: ClassVar[str] = "cpu"
    defaults: ClassVar[bool] = False
    capabilities: ClassVar[dict[str, Any]] = {}
    expected_failures: ClassVar[dict[str, str]] = {}
    share: ClassVar[float] = 1.0
    _forced: ClassVar[Any]

    @property
    def backend(self) -> Backend:
        """The backend under test."""
        return backend_of(fb.device(self.device))

    @classmethod
    def setup_class(cls) -> None:
        """For all tests of the class: the defaults, where they are wanted."""
        cls._forced = force_defaults(cls.defaults)
        cls._forced.__enter__()

    @classmethod
    def teardown_class(cls) -> None:
        """Back to the ordinary."""
        cls._forced.__exit__(None, None, None)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrise the tests by their cases."""
        cases = getattr(metafunc.function, "cases", None)
        if cases is not None:
            keys = self.chosen_of(cases)
            metafunc.parametrize("case", [pytest.param(cases[key], id=key) for key in keys])

    @classmethod
    def wants(cls, case: Any) -> bool:
        """Whether a case is one of the suite's; all are, unless a suite says otherwise."""
        return True

    @classmethod
    def chosen_of(cls, cases: Mapping[str, Any]) -> list[str]:
        """The keys of a test's cases that run."""
        share = float(os.environ.get("FLAMBEAU_CONFORMANCE_SHARE", cls.share))
        return chosen([key for key, case in cases.items() if cls.wants(case)], share)

    @pytest.fixture(autouse=True)
    def _expected(self, request: pytest.FixtureRequest) -> Iterator[None]:
        node = request.node
        reason = expected_failure(type(self), node.name)
        if (
            reason is not None
        ):  # declared by the backend's author; strict: one that passes must be taken off the list
            node.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        before = sum(f.calls for f in explain_fallbacks())
        yield
        fell = sum(f.calls for f in explain_fallbacks()) > before
        node.user_properties.append(("way", "fallback" if fell else self._way(node)))

    def _way(self, node: Any) -> str:
        case = getattr(node, "callspec", None)
        target = getattr(case.params.get("case"), "target", None) if case else None
        op = getattr(target, "op", None)
        if target is None or (op is not None and op.default is None and op.kind != "composite"):
            return "native"
        return (
            "native"
            if op is not None and not self.defaults and op.native in self.backend.natives
            else "default"
        )


def chosen(keys: Iterable[str], share: float) -> list[str]:
    """A share of the keys, picked by their checksums: the same everywhere and always, and at least one."""
    keys = list(keys)
    first = set(sorted(keys, key=lambda key: crc32(key.encode()))[: max(1, round(share * len(keys)))])
    return [key for key in keys if key in first]


def expected_failure(suite: type[SuiteBase], name: str) -> str | None:
    """The reason why a test of a suite is expected to fail, or None."""
    for pattern, reason in suite.expected_failures.items():
        if _pattern(pattern).fullmatch(name.removeprefix("test_")):
            return reason
    return None


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("*"))))


def cases_of(suite: type[SuiteBase]) -> Iterator[tuple[str, Callable[[Any], None]]]:
    """Every test of a suite, whatever part of them pytest runs: its id without ``test_``, and a function of a suite."""
    for name in dir(suite):
        if name.startswith("test_"):
            test = getattr(suite, name)
            name = name.removeprefix("test_")
            if not hasattr(test, "cases"):
                yield name, test
            for key, case in getattr(test, "cases", {}).items():
                yield f"{name}[{key}]", partial(test, case=case)


def test_ids(suite: type[SuiteBase]) -> list[str]:
    """The ids of all tests of a suite, without ``test_``."""
    return [name for name, _ in cases_of(suite)]


test_ids.__test__ = False  # type: ignore[attr-defined]
