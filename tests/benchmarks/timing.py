"""Timing of two functions in turn, so that drift of the machine hits both alike."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["Row", "geometric_mean", "measure", "table"]


class Row:
    """One line of a report.

    Attributes:
        name: what was measured.
        ours, theirs: seconds (theirs may be missing).
        note: a rate, for example.
    """

    def __init__(self, name: str, ours: float, theirs: float | None, note: str = "") -> None:
        self.name, self.ours, self.theirs, self.note = name, ours, theirs, note

    @property
    def ratio(self) -> float | None:
        """Our time over theirs."""
        return None if self.theirs is None else self.ours / self.theirs


def _once(fn: Callable[[], Any], n: int) -> float:
    start = time.perf_counter()
    for _ in range(n):
        fn()
    return (time.perf_counter() - start) / n


def measure(
    name: str,
    ours: Callable[[], Any],
    theirs: Callable[[], Any] | None,
    seconds: float = 0.4,
    rounds: int = 7,
    note: Callable[[float], str] | None = None,
) -> Row:
    """The best of several rounds of each, taken in turn.

    Args:
        name: what is measured.
        ours, theirs: functions without arguments.
        seconds: about how long each of them runs in all.
        rounds: how often they alternate.
        note: makes a remark from our seconds per call.
    """
    fns = [f for f in (ours, theirs) if f is not None]
    counts = []
    for f in fns:
        f()
        once = max(_once(f, 3), 1e-8)
        counts.append(max(1, int(seconds / rounds / once)))
        _once(f, min(counts[-1], 200))
    best = [math.inf] * len(fns)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for k, f in enumerate(fns):
                best[k] = min(best[k], _once(f, counts[k]))
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return Row(name, best[0], best[1] if theirs is not None else None, note(best[0]) if note else "")


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def geometric_mean(values: Iterable[float]) -> float:
    """The geometric mean."""
    logs = [math.log(v) for v in values]
    return math.exp(sum(logs) / len(logs))


def table(title: str, rows: list[Row]) -> str:
    """A Markdown table, with the geometric mean of the ratios."""
    lines = [f"### {title}", "| | flambeau | PyTorch | ratio | |", "|---|---|---|---|---|"]
    for r in rows:
        theirs = "–" if r.theirs is None else _time(r.theirs)
        ratio = "–" if r.ratio is None else f"{r.ratio:.2f}"
        lines.append(f"| {r.name} | {_time(r.ours)} | {theirs} | {ratio} | {r.note} |")
    ratios = [r.ratio for r in rows if r.ratio is not None]
    if ratios:
        lines.append(f"| **geometric mean** | | | **{geometric_mean(ratios):.2f}** | |")
    return "\n".join(lines) + "\n"
