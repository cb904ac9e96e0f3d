"""Writes the pages of the reference that follow from the records of operators."""

from __future__ import annotations

from pathlib import Path

import flambeau.ops.late
from flambeau.op import Op
from flambeau.registry import OPS

__all__ = ["operators", "write"]


def _gradient(op: Op) -> str:
    if op.kind in ("composite", "pointwise"):
        return {"composite": "of its parts", "pointwise": "derived"}[op.kind]
    if callable(op.vjp):
        return "one rule for all"
    return ", ".join(f"`{name}`" for name, rule in (op.vjp or {}).items() if rule) or "–"


def operators() -> str:
    """The table of operators."""
    flambeau.ops.late.load()
    rows = [
        "| operator | parameters | written as | gradient | method | in place |",
        "|---|---|---|---|---|---|",
    ]
    for name, op in sorted(OPS.items()):
        parameters = ", ".join(param.name for param in op.params)
        method, inplace = ("yes" if held else "–" for held in (op.method, op.inplace))
        rows.append(f"| `{name}` | `{parameters}` | {op.kind} | {_gradient(op)} | {method} | {inplace} |")
    return "\n".join(rows) + "\n"


def write(folder: Path) -> None:
    """Write all generated pages; one that hasn't changed keeps its time, so that it isn't built again."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "operators.md"
    text = operators()
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
