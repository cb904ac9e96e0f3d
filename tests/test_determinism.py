"""The same seed gives the same losses: run to run, over thread counts, and (to rounding) on both backends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
import flambeau as fb
nn = fb.nn
threads, device = int(sys.argv[1]), sys.argv[2]
if device == "cpu":
    fb.set_num_threads(threads)
fb.manual_seed(3)
data = fb.vision.datasets.Digits(train=True)
x, y = data.data[:256].float().reshape(-1, 1, 8, 8).to(device) / 16, data.targets[:256].to(device)
model = nn.Sequential(
    nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.2),
    nn.Linear(128, 10),
).to(device)
optimizer = fb.optim.AdamW(model.parameters(), lr=1e-2)
loss_of = nn.CrossEntropyLoss()
for step in range(12):
    order = fb.randperm(256)[:64].to(device)
    loss = loss_of(model(x[order]), y[order])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item().hex())
"""


def losses(threads: int, device: str, folder: Path) -> list[float]:
    script = folder / "train.py"
    script.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(script), str(threads), device],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [float.fromhex(line) for line in done.stdout.split()]


def test_same_losses_bit_for_bit(tmp_path: Path) -> None:
    first = losses(1, "cpu", tmp_path)
    assert len(first) == 12
    assert first[-1] < first[0]
    assert losses(1, "cpu", tmp_path) == first
    assert losses(2, "cpu", tmp_path) == first


def test_reference_backend_agrees(tmp_path: Path) -> None:
    assert losses(1, "reference", tmp_path) == pytest.approx(losses(1, "cpu", tmp_path), rel=2e-3)
