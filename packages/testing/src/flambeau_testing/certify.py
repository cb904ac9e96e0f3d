"""``flambeau certify --device NAME``: run the conformance suite and write down what the device can do.

It prints, for each family of tests, how many were computed by the device's own entries and kernels (native), by ops'
defaults, and on the host (fallback), and how many failed; and writes all of that with versions as a JSON certificate.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import flambeau as fb

__all__ = ["certify", "main"]

_FILE = """from flambeau.testing import BackendSuite


class TestDevice(BackendSuite):
    device = {device!r}
"""
_WAYS = ("native", "default", "fallback", "expected", "failing")


class _Collector:
    """A plugin of pytest that counts how tests went, by family."""

    def __init__(self, families: dict[str, str]) -> None:
        self.families = families
        self.counts: dict[str, dict[str, int]] = {}
        self.outcomes: dict[str, str] = {}
        self.skipped = 0
        self.failing: dict[str, str] = {}
        self.expected: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        name = report.nodeid.rpartition("::")[2]
        if report.failed:
            self.failing[name.removeprefix("test_")] = str(report.longrepr).strip().rpartition("\n")[2]
            self.outcomes[name] = "failing"
        elif report.skipped and hasattr(
            report, "wasxfail"
        ):  # printed with the reason that the suite declares
            self.expected[name.removeprefix("test_")] = report.wasxfail
            self.outcomes[name] = "expected"
        elif report.skipped:
            self.outcomes[name] = "skipped"
            self.skipped += 1
        if report.when == "teardown":  # by now the test has said how it went
            way = self.outcomes.pop(name, None) or dict(report.user_properties).get("way", "native")
            if way != "skipped":
                family = self.families.get(name.partition("[")[0], "suite")
                self.counts.setdefault(family, dict.fromkeys(_WAYS, 0))[way] += 1

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.failing[report.nodeid] = str(report.longrepr)


def certify(
    device: str, tests: Path | None = None, workers: int | None = None, only: Sequence[str] = ()
) -> dict[str, Any]:
    """Run the suite and return the certificate.

    Args:
        device: the device type.
        tests: a test file with a `BackendSuite` that has capabilities and expected failures (default: none of both).
        workers: how many processes (default: one for each processor, if pytest-xdist is installed).
        only: families to run, by lower-case name (default: all).

    Returns:
        What stands in the file: ``certified``, versions, the device's properties and capabilities, counts by family,
        failures that were expected and others, seconds.
    """
    import pytest

    from flambeau.plugin import backend_of

    from .suite import FAMILIES, BackendSuite, test_ids

    backend = backend_of(fb.device(device))
    families = {name: f.__name__.lower() for f in FAMILIES for name in vars(f) if name.startswith("test_")}
    unknown = set(only) - set(families.values())
    if unknown:
        raise ValueError(
            f"[certify] no such family: got {sorted(unknown)}, needed: of {sorted(set(families.values()))}."
        )
    collector = _Collector(families)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        file = tests or Path(folder, "test_device.py")
        if tests is None:
            file.write_text(_FILE.format(device=device))
        options = [str(file.resolve()), f"--rootdir={folder}", "-p", "no:cacheprovider", "-p", "no:terminal"]
        options += [
            "-c",
            os.devnull,
            "--import-mode=importlib",
            "-W",
            "error::flambeau.plugins.PluginWarning",
        ]
        if only:
            options += ["-k", " or ".join(name for name, family in families.items() if family in only)]
        options += _parallel(workers)
        with patch.dict(os.environ, FLAMBEAU_CONFORMANCE_SHARE="1"):  # of this process and its workers
            pytest.main(options, plugins=[collector])
    total = sum(sum(counts.values()) for counts in collector.counts.values())
    left_out = 0 if only else max(len(test_ids(BackendSuite)) - total - collector.skipped, 0)
    return {
        "device": device,
        "certified": bool(total) and not (collector.failing or only or left_out),
        "partial": sorted(only),
        "versions": _versions(backend),
        "properties": {key: str(value) for key, value in backend.properties(0).items()},
        "capabilities": backend.capabilities(),
        "natives": sorted(backend.natives),
        "tests": total,
        "left_out": left_out,
        "families": collector.counts,
        "expected_failures": collector.expected,
        "failing": collector.failing,
        "seconds": round(time.perf_counter() - began, 1),
        "date": time.strftime("%Y-%m-%d"),
    }


def _parallel(workers: int | None) -> list[str]:
    from importlib.util import find_spec

    if find_spec("xdist") is None or workers == 0:
        return []
    return [
        "-n",
        str(workers or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else "auto"),
    ]


def _versions(backend: Any) -> dict[str, str]:
    import numpy as np

    from flambeau.plugin import CONTRACT, entries

    entry = next((e for e in entries("backends") if e.name == backend.name), None)
    return {
        "flambeau": fb.__version__,
        "contract": ".".join(map(str, CONTRACT)),
        "backend contract": ".".join(map(str, backend.contract)),
        "backend": str(entry) if entry else f"{type(backend).__module__}.{type(backend).__qualname__}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }


def describe(certificate: dict[str, Any]) -> str:
    """A certificate as a table."""
    lines = [f"{'family':14}" + "".join(f"{way:>10}" for way in _WAYS)]
    for family, counts in sorted(certificate["families"].items()):
        lines.append(f"{family:14}" + "".join(f"{counts[way]:10}" for way in _WAYS))
    sums = [sum(counts[way] for counts in certificate["families"].values()) for way in _WAYS]
    lines.append(f"{'all':14}" + "".join(f"{n:10}" for n in sums))
    failing = list(certificate["failing"].items())
    lines += [f"FAILED {name}: {why}" for name, why in failing[:20]]
    if len(failing) > 20:
        lines.append(f"... and {len(failing) - 20} more; the certificate has them all")
    verdict = "certified" if certificate["certified"] else "not certified"
    if certificate["left_out"]:
        verdict += f" ({certificate['left_out']} tests didn't run)"
    if certificate["partial"] and not failing:
        verdict = f"passed in part ({', '.join(certificate['partial'])}); a certificate needs all families"
    lines.append(
        f"{certificate['device']}: {verdict}, {certificate['tests']} tests in {certificate['seconds']} s"
    )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 if nothing failed."""
    p = argparse.ArgumentParser(prog="flambeau certify", description=(__doc__ or "").partition("\n")[0])
    p.add_argument("--device", required=True, help="the device type")
    p.add_argument(
        "--tests", type=Path, help="a test file with a BackendSuite (capabilities, expected failures)"
    )
    p.add_argument("--out", type=Path, help="where to write the certificate (default: NAME-certificate.json)")
    p.add_argument("--only", nargs="+", default=[], metavar="FAMILY", help="run these families only")
    p.add_argument("-n", dest="workers", type=int, help="how many processes (0: in this one)")
    args = p.parse_args(arguments)
    try:
        import pytest  # noqa: F401

        if args.tests is not None and not args.tests.is_file():
            raise ValueError(f"[certify] no test file {args.tests}.")
        certificate = certify(args.device, args.tests, args.workers, args.only)
    except ModuleNotFoundError as error:
        print(f"[certify] needs {error.name}: pip install 'flambeau[testing]'")
        return 2
    except (RuntimeError, ValueError) as error:
        print(error)
        return 2
    out = args.out or Path(f"{args.device}-certificate.json")
    out.write_text(json.dumps(certificate, indent=1) + "\n")
    print(describe(certificate))
    print(f"written to {out}")
    return 1 if certificate["failing"] or not certificate["tests"] else 0
