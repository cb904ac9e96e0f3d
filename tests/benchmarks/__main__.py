"""``python -m tests.benchmarks [--only GROUP-OR-NAME ...] [--threads N] [--json F] [--out F] [--plot F] [--quick]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def main() -> None:
    """Measure and print; also to files."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="groups, or parts of names")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a third of the time, a larger spread")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--out", type=Path, help="the report as Markdown")
    parser.add_argument("--plot", help="a picture, PNG or SVG by its name")
    options = parser.parse_args()

    from tests.benchmarks.budgets import budgets
    from tests.benchmarks.report import plot, run, table

    import flambeau as fb
    from flambeau.registry import backend_of

    said = backend_of(fb.device("cpu")).properties(0)
    if "isa" not in said:
        raise SystemExit(
            "[benchmarks] device cpu is not flambeau-cpu's C engine but the NumPy reference backend, whose times mean "
            "nothing. Build it (pip install --no-build-isolation --no-deps -e plugins/cpu) and look at the warning of "
            "`python -m flambeau.doctor`."
        )
    try:
        torch = f"PyTorch {version('torch')}"
    except PackageNotFoundError:
        torch = "PyTorch not installed"
    kept = {k: v for k, v in os.environ.items() if k.startswith(("OPENBLAS", "OMP", "MKL"))}
    head = (
        f"Python {platform.python_version()}, {torch}, {options.threads} thread(s), instruction set {said.get('isa')}, "
        f"{said.get('processors')} processors; environment: {kept or 'no BLAS or OpenMP variables'}"
    )
    print(head, flush=True)
    seconds, rounds = (0.15, 3) if options.quick else (0.5, 7)
    rows, limits = run(options.only, options.threads, seconds, rounds)
    seen = f"copy {limits['copy'] / 1e9:.1f} GB/s, float32 products {limits['float32'] / 1e9:.0f} GF/s"
    threads = "one thread" if options.threads == 1 else f"{options.threads} threads"
    text = f"# Figures, {threads}\n\n{head}\n\nLimits measured in the same run: {seen}.\n\n{table(rows)}"
    if not options.only or "budgets" in options.only:
        text += "\n" + budgets()
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    if options.json:
        options.json.write_text(
            json.dumps(
                {"head": head, "limits": limits, "rows": [r._asdict() | {"ratio": r.ratio} for r in rows]},
                indent=1,
            )
        )
    if options.plot:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
