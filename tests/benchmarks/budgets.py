"""Sizes: lines of the core, time of import, bytes installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tokenize
from importlib.util import find_spec
from pathlib import Path

import flambeau
from flambeau._alias import FIRST_PARTY

__all__ = ["budgets", "code_lines", "import_time", "sizes"]

CORE = Path(flambeau.__file__).parent
ROOT = Path(__file__).parents[2]
MEMBERS = sorted(p.parent.name for p in ROOT.glob("p*/*/src/*/__init__.py"))


def lines(*paths: Path) -> int:
    """Lines of Python that hold code, in files and folders: neither blank nor only a comment or part of a docstring."""
    files = [f for p in paths for f in (sorted(p.rglob("*.py")) if p.is_dir() else [p])]
    return sum(map(code_lines, files))


def code_lines(file: Path) -> int:
    """The lines of a file that hold code."""
    starts = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}
    held: set[int] = set()
    with file.open("rb") as source:
        tokens = [
            t for t in tokenize.tokenize(source.readline) if t.type not in (tokenize.COMMENT, tokenize.NL)
        ]
    for before, t, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        docstring = t.type == tokenize.STRING and before.type in starts and after.type == tokenize.NEWLINE
        if t.type not in starts and not docstring:
            held.update(range(t.start[0], t.end[0] + 1))
    return len(held)


#: What of the core is no machinery: ops, the oracle, the files that show plugins to type checkers.
PARTS = ("ops", "reference", *FIRST_PARTY)


def sizes() -> tuple[int, int]:
    """Lines of code of the core's machinery, and of the whole core."""
    whole = lines(CORE)
    return whole - sum(lines(CORE / p) for p in PARTS if (CORE / p).exists()), whole


def import_time(module: str, runs: int = 9) -> float:
    """Seconds that an import takes in a fresh process, the interpreter's own start not counted; the best of several."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    # a warm import reads compiled files: they must be written, even where the environment says otherwise
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    found = []
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env
        )
        if done.returncode:
            return float("nan")
        found.append(float(done.stdout))
    return min(found)


def installed(*packages: str) -> float:
    """Megabytes of the packages' files, compiled bytecode not counted; nan where one isn't installed."""
    total = 0
    for package in packages:
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            return float("nan")
        for folder in spec.submodule_search_locations:
            files = (f for f in Path(folder).rglob("*") if f.is_file() and f.suffix != ".pyc")
            total += sum(f.stat().st_size for f in files)
    return total / 1e6


def budgets() -> str:
    """A Markdown table of sizes against their budgets."""
    machinery, whole = sizes()
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
        ("installed, core and CPU plugin", f"{installed('flambeau', 'flambeau_cpu'):.1f} MB", "–"),
        ("installed, all members", f"{installed(*MEMBERS):.1f} MB", "–"),
        ("installed, torch", f"{installed('torch'):.0f} MB", "–"),
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
