"""``python -m tests.parity``: replay PyTorch's operator records on flambeau and say what agrees.

Runs in one process; slices are chosen by name or tier. Needs PyTorch 2.13.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any


def tiers() -> dict[str, list[str]]:
    """Operator names by tier."""
    found: dict[str, list[str]] = {}
    key = ""
    for line in (Path(__file__).parent / "tiers.txt").read_text().splitlines():
        if line.startswith("# Tier "):
            key = line.removeprefix("# Tier ")
        elif key:
            found.setdefault(key, []).extend(line.split())
    return found


def family(name: str) -> str:
    """The namespace of a name; "top" for the top level."""
    return name.rpartition(".")[0] or "top"


def chosen(options: argparse.Namespace) -> list[tuple[str, str]]:
    """(tier, name) in the order of the tiers."""
    return [
        (tier, name)
        for tier, names in tiers().items()
        for name in names
        if tier in options.tier.split(",")
        and (not options.family or family(name) in options.family.split(","))
        and (not options.only or any(fnmatch.fnmatchcase(name, p) for p in options.only.split(",")))
    ]


def said(options: argparse.Namespace) -> str:
    """How much a run has replayed, in words."""
    parts = [f"seed {options.seed}"]
    if options.samples < 10**9:
        parts.append(f"at most {options.samples} samples of each dtype")
    if options.dtypes:
        parts.append(f"dtypes {options.dtypes}")
    parts += [
        text for text, on in (("reference inputs", options.reference), ("strided", options.strided)) if on
    ]
    return ", ".join(parts)


def main() -> int:
    """Replay and print."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.parity")
    parser.add_argument("--only", default="", help="names or patterns, separated by commas: add,linalg.*")
    parser.add_argument("--tier", default="1,2,3", help="tiers, separated by commas")
    parser.add_argument(
        "--family", default="", help="top, nn.functional, linalg, fft, special, signal.windows, masked"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--samples", type=int, default=10**9, help="at most so many samples per name and dtype"
    )
    parser.add_argument("--dtypes", default="", help="only these, e.g. float64,int64")
    parser.add_argument("--reference", action="store_true", help="the longer lists of reference inputs")
    parser.add_argument("--strided", action="store_true", help="every input with gaps between its elements")
    parser.add_argument("--no-gradients", action="store_true")
    parser.add_argument("--failures", type=int, default=3, help="print at most so many per name")
    parser.add_argument("--json", default="", help="write everything that was seen to this file")
    parser.add_argument("--table", default="", help="write the table of the documentation to this file")
    parser.add_argument(
        "--from-json",
        default="",
        help="don't replay: take what earlier runs have written, separated by commas",
    )
    options = parser.parse_args()

    sys.path.insert(0, str(Path(__file__).parents[2]))
    if options.from_json:
        from tests.parity.report import main as write

        write(options.from_json.split(","), options.table)
        return 0
    import torch
    from tests.parity.replay import KINDS, Options, replay
    from torch.testing._internal.common_methods_invocations import op_db

    import flambeau as fb

    torch.set_num_threads(1)
    fb.set_num_threads(1)
    records: dict[str, list[Any]] = defaultdict(list)
    for op in op_db:
        records[op.name].append(op)
    what = Options(
        options.seed,
        options.samples,
        tuple(d for d in options.dtypes.split(",") if d),
        options.reference,
        options.strided,
        not options.no_gradients,
    )
    seen: list[dict[str, Any]] = []
    for tier, name in chosen(options):
        record, seconds = replay(records[name], name, what)
        counts = {k: [record.right[k], record.total[k]] for k in KINDS if record.total[k]}
        whole = not record.failures and bool(record.total)
        seen.append(
            {
                "name": name, "tier": tier, "whole": whole, "samples": record.samples, "kinds": counts,
                "dtypes": record.dtypes, "failures": record.failures, "seconds": round(seconds, 1),
                "how": said(options),
            }
        )  # fmt: skip
        short = " ".join(f"{k} {r}/{t}" for k, (r, t) in counts.items())
        print(f"{'ok  ' if whole else 'FAIL'} {tier} {name} [{seconds:.1f} s] {short}", flush=True)
        shown: Counter[Any] = Counter()
        for kind, dtype, sample, reason in record.failures:
            shown[kind] += 1
            if shown[kind] <= options.failures:
                print(f"       {kind} {dtype}: {reason}\n         {sample}")
    summary(seen)
    if options.json:
        Path(options.json).write_text(json.dumps(seen))
    if options.table:
        from tests.parity.report import table

        table(seen, Path(options.table))
    return 0 if all(s["whole"] for s in seen) else 1


def summary(seen: list[dict[str, Any]]) -> None:
    """Print the shares that are right, per tier and family, and over samples."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for s in seen:
        groups[s["tier"], "all"].append(s)
        groups[s["tier"], family(s["name"])].append(s)
    print("\ntier family            names fully right     samples right")
    for (tier, group), of in sorted(groups.items()):
        right, n = sum(s["whole"] for s in of), len(of)
        good, total = (sum(s["samples"][k] for s in of) for k in (0, 1))
        print(
            f"{tier:4} {group:16} {right:5}/{n:<5} {right / n:7.2%} {good:9}/{total:<9} {good / max(total, 1):8.3%}"
        )
    for kind in ("raises", "error type"):
        good, total = (sum(s["kinds"].get(kind, (0, 0))[k] for s in seen) for k in (0, 1))
        print(f"{kind}: {good}/{total} {good / max(total, 1):.2%}")


if __name__ == "__main__":
    raise SystemExit(main())
