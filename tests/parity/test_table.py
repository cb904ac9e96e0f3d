"""The parity table of the documentation is that of today's names, kernels and known differences."""

from __future__ import annotations

import pytest

from parity.__main__ import family, tiers
from parity.report import COLUMNS, KNOWN, PAGE, native

ROWS = [
    [cell.strip().strip("`") for cell in line.split("|")[1:-1]]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| `")
]


def test_every_name_has_its_row() -> None:
    covered = {family(row[0]) for row in ROWS}
    names = [(t, n) for t, names in tiers().items() for n in names if family(n) in covered]
    assert sorted((row[1], row[0]) for row in ROWS) == sorted(names)
    assert "top" in covered
    assert {len(row) for row in ROWS} == {len(COLUMNS) + 4}
    assert f"| name | tier | {' | '.join(COLUMNS)} | dtypes | CPU |" in PAGE.read_text()


def test_what_computes_a_name_is_current() -> None:
    pytest.importorskip("flambeau_cpu")
    assert {row[0]: row[-1] for row in ROWS} == {row[0]: native(row[0]) for row in ROWS}


def test_known_differences_are_written_down() -> None:
    text = PAGE.read_text()
    for name, kinds in KNOWN.items():
        for kind, reason in kinds.items():
            assert f"- `{name}`, {kind}: {reason}." in text


@pytest.mark.parity
@pytest.mark.parametrize(
    "name", ["add", "conj", "cumsum", "index_put", "linalg.qr", "nn.functional.pad", "sort"]
)
def test_rows_say_what_a_replay_finds(name: str) -> None:
    pytest.importorskip("torch")
    from torch.testing._internal.common_methods_invocations import op_db

    from parity.replay import Options, replay

    record, _ = replay([op for op in op_db if op.name == name], name, Options(samples=2))
    (row,) = [row for row in ROWS if row[0] == name]
    for kind, total in record.total.items():
        if kind in COLUMNS:
            cell = row[2 + COLUMNS.index(kind)]
            assert cell not in ("", "–"), kind
            assert cell != "✓" or record.right[kind] == total, record.failures
