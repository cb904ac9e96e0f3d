"""The parity table of the documentation, from what `python -m tests.parity --json` has seen."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

__all__ = ["COLUMNS", "KNOWN", "PAGE", "native", "table"]

#: Differences that stay, by name and kind, with their reasons.
KNOWN: dict[str, dict[str, str]] = {
    "chalf": {"forward": "there is no complex type of half floats"},
    "renorm": {"gradient": "finite where PyTorch's gradient of the largest complex size is NaN"},
    "as_strided_scatter": {
        "gradient": "PyTorch's is that of the part that is replaced, and fails PyTorch's own gradcheck"
    },
    "narrow_copy": {
        "out=": "PyTorch writes an out= with gaps between its elements as if it had none",
    },
}
COLUMNS = (
    "forward",
    "method",
    "in-place",
    "out=",
    "alias",
    "view",
    "gradient",
    "double gradient",
    "error type",
)
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "parity.md"
_HEAD = """# Parity with PyTorch

Written by `hatch run parity --json seen.json --table docs/reference/parity.md`: PyTorch's own operator records replayed
on flambeau. A cell gives comparisons that agree / all of them; ✓ means all, and – that PyTorch's record has none.
"Dtypes" counts the dtypes of the record in which every forward sample agrees. "CPU" says what computes the name on the
CPU plugin: a native kernel of that name, a required entry of the backend contract, an elementwise program, a view, the
record's default, or other operators. Values that are random or uninitialised are compared by dtype and shape.
"""


def table(seen: list[dict[str, Any]], path: Path) -> None:
    """Write the page."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for s in seen:
        groups[s["name"].rpartition(".")[0] or "top level"].append(s)
    how = sorted({s.get("how", "") for s in seen} - {""})
    lines = [_HEAD, *[f"Replayed: {text}." for text in how]]
    for group, of in groups.items():
        whole = sum(s["whole"] for s in of)
        lines += [f"\n## {group}: {whole} of {len(of)} names agree in everything\n"]
        lines.append("| name | tier | " + " | ".join(COLUMNS) + " | dtypes | CPU |")
        lines.append("|---" * (len(COLUMNS) + 4) + "|")
        for s in sorted(of, key=lambda s: (s["tier"], s["name"])):
            cells = [_cell(s["kinds"].get(k)) for k in COLUMNS]
            good = sum(a == b for a, b in s["dtypes"].values())
            dtypes = f"{good}/{len(s['dtypes'])}" if s["dtypes"] else "–"
            lines.append(
                f"| `{s['name']}` | {s['tier']} | {' | '.join(cells)} | {dtypes} | {native(s['name'])} |"
            )
    lines.append("\n## Known differences\n")
    for name, kinds in sorted(KNOWN.items()):
        lines += [f"- `{name}`, {kind}: {reason}." for kind, reason in kinds.items()]
    unexplained = [s for s in seen if any(f[0] not in KNOWN.get(s["name"], {}) for f in s["failures"])]
    lines.append("\n## Still open\n\nOne example of each kind of disagreement that has no reason above.\n")
    for s in unexplained:
        shown: set[str] = set(KNOWN.get(s["name"], {}))
        for kind, dtype, _, reason in s["failures"]:
            if kind not in shown:
                shown.add(kind)
                lines.append(f"- `{s['name']}`, {kind}{f', {dtype}' if dtype else ''}: {_plain(reason)}")
    path.write_text("\n".join(lines) + "\n")


def _cell(counts: Any) -> str:
    if not counts:
        return "–"
    return "✓" if counts[0] == counts[1] else f"{counts[0]}/{counts[1]}"


def native(name: str) -> str:
    """What computes a name on the CPU plugin."""
    import flambeau as fb
    from flambeau.ops import late
    from flambeau.registry import OPS, backend_of

    late.load()
    kernels = getattr(backend_of(fb.device("cpu")), "natives", frozenset())
    short = name.rpartition(".")[2]
    op = OPS.get(name) or OPS.get(short)
    if short in kernels or (op is not None and op.native in kernels):
        return "native"
    if op is None or op.kind == "composite":
        return "operators"
    if op.kind == "pointwise":
        return "program"
    return "view" if op.kind == "view" else "default" if op.default is not None else "entry"


def _plain(reason: str) -> str:
    text = reason.split("\n")[0].replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
    return f"`{text[:200]}`"


def main(sources: list[str], path: str) -> None:
    """From files of results; of a name that stands in several the last is taken."""
    seen = {s["name"]: s for source in sources for s in json.loads(Path(source).read_text())}
    table(list(seen.values()), Path(path))
