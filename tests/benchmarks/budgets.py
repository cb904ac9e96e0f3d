"""Sizes: lines of the core, time of import, bytes installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import flambeau

__all__ = ["budgets", "import_time"]

CORE = Path(flambeau.__file__).parent


def lines(*paths: Path) -> int:
    """Lines of Python in files and folders."""
    files = [f for p in paths for f in (sorted(p.rglob("*.py")) if p.is_dir() else [p])]
    return sum(len(f.read_text().splitlines()) for f in files)


def import_time(module: str, runs: int = 9) -> float:
    """Seconds that an import takes in a fresh process, the interpreter's own start not counted; the best of several."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    found = []
    for _ in range(runs):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            return float("nan")
        found.append(float(done.stdout))
    return min(found)


def budgets() -> str:
    """A Markdown table of sizes against their budgets."""
    whole = lines(CORE)
    parts = [CORE / p for p in ("ops", "reference", "testing", "data", "nn", "optim", "vision")]
    machinery = whole - sum(lines(p) for p in parts if p.exists())
    ours, theirs = import_time("flambeau"), import_time("torch")
    rows = [
        ("machinery of the core, lines", f"{machinery}", "4000"),
        ("whole core, lines", f"{whole}", "11000"),
        ("import flambeau", f"{ours * 1e3:.0f} ms", "60 ms"),
        (
            "import torch",
            "–" if theirs != theirs else f"{theirs * 1e3:.0f} ms (ratio {ours / theirs:.3f})",
            "ratio 0.1",
        ),
    ]
    return (
        "\n".join(
            [
                "### Budgets",
                "| | now | budget |",
                "|---|---|---|",
                *[f"| {a} | {b} | {c} |" for a, b, c in rows],
            ]
        )
        + "\n"
    )
