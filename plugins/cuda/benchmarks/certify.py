"""All that is checked on a GPU, in one command: ``python plugins/cuda/benchmarks/certify.py [--out FOLDER]``.

The plugin's tests with the conformance suite (bad indices are looked for at once), the tests of deferred errors, graphs,
streams and the allocator once more without that, training that must equal the CPU's, and NVIDIA's compute-sanitizer over a sample of kernels where it is
installed. The exit status is 1 if anything fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
TESTS = str(HERE.parent / "tests")


def run(name: str, command: list[str], out: Path, limit: int, **variables: str) -> bool:
    """Run a step, with its output in a file; prints its last line."""
    start = time.perf_counter()
    path = out / f"{name}.txt"
    with path.open("w") as file:
        try:
            code = subprocess.run(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=limit,
                check=False,
                env={**os.environ, **variables},
            ).returncode
        except subprocess.TimeoutExpired:
            code = 124
    lines = [line for line in path.read_text().splitlines() if line.strip()] or [""]
    print(
        f"{name:<12} {'passed' if code == 0 else 'FAILED'} {time.perf_counter() - start:6.1f} s  {lines[-1][:150]}",
        flush=True,
    )
    return code == 0


def main() -> int:
    """Run all steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("cuda-report"))
    parser.add_argument("--workers", default="auto")
    parser.add_argument("--limit", type=int, default=1800, help="seconds for each step")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    # Other people's plugins that warn about xdist would stop the run.
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:benchmark",
    ]
    workers = ["-n", given.workers]
    steps = [
        run("suite", [*pytest, *workers, TESTS, "-k", "not sim"], given.out, given.limit,
            FLAMBEAU_CUDA_LAUNCH_BLOCKING="1"),
        run("machine", [*pytest, f"{TESTS}/test_machine.py", f"{TESTS}/test_steps.py", "-k", "not sim"], given.out, given.limit),
        run("training", [sys.executable, str(HERE / "training.py")], given.out, given.limit),
    ]  # fmt: skip
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer:
        for tool in ("memcheck", "racecheck"):
            command = [
                sanitizer,
                "--tool",
                tool,
                "--error-exitcode",
                "9",
                sys.executable,
                str(HERE / "sanitized.py"),
            ]
            steps.append(run(tool, command, given.out, given.limit))
    else:
        print("memcheck, racecheck: compute-sanitizer is not installed")
    return 0 if all(steps) else 1


if __name__ == "__main__":
    sys.exit(main())
