"""Run the public Array API test suite on flambeau and compare the outcome with the expected failures.

The suite is data-apis/array-api-tests; it isn't part of this repository. Check it out with its submodule, install its
requirements, and name the checkout::

    git clone --recurse-submodules https://github.com/data-apis/array-api-tests
    pip install -r array-api-tests/requirements.txt
    python tests/array_api array-api-tests

What follows the checkout goes to pytest. Writes ``tests/array_api/result.json``. Status 1: a failure without a reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
EXAMPLES = 20


def expected() -> dict[str, str]:
    """The tests that may fail, each with its reason: the comment above its group."""
    found: dict[str, str] = {}
    reason: list[str] = []
    for line in (HERE / "expected_failures.txt").read_text().splitlines():
        if line.startswith("#"):
            reason.append(line[1:].strip())
        elif not line:
            reason = []
        else:
            found[line] = " ".join(reason)
    return found


def run(checkout: Path, options: list[str]) -> dict[str, object]:
    """The counts of a run, and the failures by whether they have a reason."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", f"--max-examples={EXAMPLES}",
            f"--junitxml={report}", "array_api_tests", *options,
        ]  # fmt: skip
        environment = os.environ | {"ARRAY_API_TESTS_MODULE": "flambeau.array_api"}
        subprocess.run(command, cwd=checkout, env=environment, check=False)
        cases = ElementTree.parse(report).getroot().iter("testcase")
        counts = {"passed": 0, "failed": 0, "skipped": 0}
        failures: list[str] = []
        for case in cases:
            kinds = {child.tag for child in case}
            kind = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            counts[kind] += 1
            if kind == "failed":
                module, *rest = case.attrib["classname"].split(".")[1:]
                failures.append("::".join([f"array_api_tests/{module}.py", *rest, case.attrib["name"]]))
    reasons = expected()
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "suite": f"data-apis/array-api-tests at {commit}",
        "examples per test": EXAMPLES,
        **counts,
        "expected": sorted(f for f in failures if f in reasons),
        "unexpected": sorted(f for f in failures if f not in reasons),
    }


def main() -> int:
    """The command."""
    if len(sys.argv) < 2 or not (Path(sys.argv[1]) / "array_api_tests").is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    result = run(Path(sys.argv[1]).resolve(), sys.argv[2:])
    (HERE / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return 1 if result["unexpected"] else 0


if __name__ == "__main__":
    sys.exit(main())
