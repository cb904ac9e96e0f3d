"""Runs the cases, the libraries taking turns, and writes what was seen."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from .cases import BARS, CASES, Case

__all__ = ["Row", "Worker", "geometric_mean", "measure", "plot", "run", "table"]

ROOT = Path(__file__).parents[2]


class Row(NamedTuple):
    """One line of the report: medians in seconds, spreads as (largest - smallest) / median, a share of the limit."""

    group: str
    name: str
    ours: float
    theirs: float | None
    spread: tuple[float, float]
    share: float | None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Our time over theirs."""
        return None if self.theirs is None or self.ours != self.ours else self.ours / self.theirs


class Worker:
    """A library's process."""

    def __init__(self, library: str, threads: int) -> None:
        self.library = library
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker", library, str(threads)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self.library} ended: code {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def _differ(a: list[float], b: list[float], tolerance: float) -> str:
    if tolerance < 0:
        return ""
    if len(a) != len(b):
        return f"{len(a)} numbers, PyTorch gives {len(b)}"
    scale = max((abs(x) for x in b if math.isfinite(x)), default=0.0)
    for x, y in zip(a, b, strict=True):
        if not (x == y or (x != x and y != y) or abs(x - y) <= tolerance * (abs(y) + scale + 1e-6)):
            return f"{x} where PyTorch gives {y}"
    return ""


def measure(
    case: Case, ours: tuple[Worker, int], theirs: tuple[Worker, list[int]] | None, seconds: float, rounds: int
) -> Row:
    """Time one case.

    Args:
        case: the case.
        ours: flambeau's process and the case's number.
        theirs: PyTorch's process and the case's numbers there, one for each memory layout; the faster one counts.
        seconds: about how long each side runs in all.
        rounds: how often they alternate.
    """

    def failed(why: str) -> Row:
        return Row(case.group, case.name, math.nan, None, (0, 0), None, why)

    made = ours[0].ask("build", case=ours[1])
    if "error" in made:
        return failed(f"flambeau: {made['error']}")
    sides = [(ours[0], made["seconds"])]
    if theirs is not None:
        worker, numbers = theirs
        built = {k: worker.ask("build", case=k) for k in numbers}
        for answer in built.values():
            if "error" in answer:
                return failed(f"PyTorch: {answer['error']}")
            if wrong := _differ(made["numbers"], answer["numbers"], case.tolerance):
                return failed(f"not the same numbers: {wrong}")
        best = min(numbers, key=lambda k: built[k]["seconds"])
        if best != numbers[-1]:
            worker.ask("build", case=best)
        sides.append((worker, built[best]["seconds"]))
    calls = [max(1, int(seconds / rounds / max(once, 1e-7))) for _, once in sides]
    seen: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for (worker, _once), n, times in zip(sides, calls, seen, strict=True):
            times.append(worker.ask("time", n=n)["seconds"])
    medians = [statistics.median(times) for times in seen]
    spreads = [(max(times) - min(times)) / m for times, m in zip(seen, medians, strict=True)]
    both = len(sides) > 1
    return Row(
        case.group, case.name, medians[0], medians[1] if both else None, (spreads[0], spreads[1] if both else 0.0), None
    )  # fmt: skip


def _pairs(only: Iterable[str]) -> Iterator[tuple[int, list[int]]]:
    """Numbers of cases, with those of PyTorch's layouts."""
    wanted = [w.lower() for w in only]
    for k, case in enumerate(CASES):
        if case.name.endswith("|last"):
            continue
        if wanted and not any(w == case.group if w in BARS else w in case.name.lower() for w in wanted):
            continue
        twin = next((j for j in (k + 1,) if j < len(CASES) and CASES[j].name == case.name + "|last"), None)
        yield k, [k] if twin is None else [k, twin]


def run(
    only: list[str], threads: int, seconds: float, rounds: int, say: Any = print
) -> tuple[list[Row], dict[str, float]]:
    """Time the cases whose group or name is asked for (none: all); returns the rows and the machine's limits."""
    from . import models  # noqa: F401  (adds cases)

    ours = Worker("flambeau", threads)
    theirs = Worker("torch", threads) if find_spec("torch") else None
    limits = ours.ask("limits")
    peak = next(k for k, c in enumerate(CASES) if c.group == "gemm" and c.name.startswith("1024x1024"))
    limits["float32"] = CASES[peak].flops / min(
        [ours.ask("build", case=peak)["seconds"]]
        + ([theirs.ask("build", case=peak)["seconds"]] if theirs else [])
    )
    rows = []
    try:
        for k, twins in _pairs(only):
            case = CASES[k]
            row = measure(case, (ours, k), (theirs, twins) if theirs else None, seconds, rounds)
            share = None
            if case.bytes and row.ours == row.ours:
                share = case.bytes / row.ours / limits["copy"]
            elif case.flops and row.ours == row.ours:
                share = case.flops / row.ours / limits["float32"]
            rows.append(row._replace(share=share))
            say(line(rows[-1]), flush=True)
    finally:
        ours.close()
        if theirs:
            theirs.close()
    return rows, limits


def _time(seconds: float | None) -> str:
    if seconds is None or seconds != seconds:
        return "–"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def line(r: Row) -> str:
    """A row of the Markdown table."""
    ratio = "–" if r.ratio is None else f"{r.ratio:.2f}"
    share = "–" if r.share is None else f"{r.share:.0%}"
    return (
        f"| {r.name} | {_time(r.ours)} ±{r.spread[0]:.0%} | {_time(r.theirs)} ±{r.spread[1]:.0%} | {ratio} | {share} "
        f"| {r.note} |"
    )


def geometric_mean(values: Iterable[float]) -> float:
    """The geometric mean."""
    logs = [math.log(v) for v in values]
    return math.exp(sum(logs) / len(logs))


def table(rows: list[Row]) -> str:
    """The report: a Markdown table for each group, and one of the groups."""
    out = []
    heads = ["## Groups", "", "| group | geometric mean | bar | rows | above 1.2 |", "|---|---|---|---|---|"]
    for group, (title, bar) in BARS.items():
        own = [r for r in rows if r.group == group]
        if not own:
            continue
        ratios = [r.ratio for r in own if r.ratio is not None]
        mean = f"{geometric_mean(ratios):.2f}" if ratios else "–"
        over = sum(x > 1.2 for x in ratios)
        heads.append(f"| {title} | {mean} | {bar} | {len(own)} | {over} |")
        out += [
            f"\n### {title}\n",
            "| | flambeau | PyTorch | ratio | share of the limit | |", "|---|---|---|---|---|---|", *map(line, own),
        ]  # fmt: skip
    return "\n".join([*heads, *out]) + "\n"


def plot(rows: list[Row], path: str) -> None:
    """Every row's ratio as a picture, by group."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups = [g for g in BARS if any(r.group == g and r.ratio for r in rows)]
    figure, axis = plt.subplots(figsize=(9, 0.6 * len(groups) + 1.5))
    for at, group in enumerate(groups):
        ratios = [r.ratio for r in rows if r.group == group and r.ratio]
        axis.scatter(ratios, [at] * len(ratios), s=18, alpha=0.5)
        axis.plot([geometric_mean(ratios)] * 2, [at - 0.3, at + 0.3], color="black")
        axis.plot([BARS[group][1]] * 2, [at - 0.3, at + 0.3], color="red", linestyle=":")
    axis.set_yticks(range(len(groups)), groups)
    axis.set_xscale("log")
    axis.axvline(1, color="grey", linewidth=0.5)
    axis.set_xlabel("flambeau's time / PyTorch's (black: geometric mean, red: bar)")
    figure.tight_layout()
    figure.savefig(path)
