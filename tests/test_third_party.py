"""Third-party devices beside the CPU in one process, the tutorial, and training on the template backend."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flambeau.testing.scaffold import scaffold

pytest.importorskip("ml_dtypes")

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "examples" / "backend_template"


def environment(folder: Path) -> dict[str, str]:
    """Where two third-party devices are known: the template and a new backend."""
    scaffold("npu", folder)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TEMPLATE / "src"), str(folder / "src")]),
        "FLAMBEAU_PLUGINS": "backends/template=flambeau_template:TemplateBackend,backends/npu=flambeau_npu:NpuBackend",
        "MPLBACKEND": "Agg",
    }


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment(folder), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


THREE = """
import flambeau as fb
devices = ["cpu", "template", "template:1", "npu"]
x = fb.arange(6.0).reshape(2, 3).requires_grad_()
y = x
for device in [*devices, *reversed(devices)]:
    y = y.to(device) * 2 if device != "npu" else y.to(device) + 1
    assert str(y.device) in (device, f"{device}:0")
y.to("cpu").sum().backward()
assert x.grad.tolist() == [[64.0] * 3] * 2, x.grad
found = {d: fb.rand(5, generator=fb.Generator().manual_seed(1), device=d).tolist() for d in devices}
assert len({tuple(v) for v in found.values()}) == 1
for a in devices:
    for b in devices:
        if a == b:
            continue
        one, two = fb.ones(2, 2, device=a), fb.ones(2, 2, device=b)
        for op in (lambda: one + two, lambda: one @ two, lambda: fb.cat([one, two]), lambda: one.add_(two)):
            try:
                op()
            except RuntimeError as error:
                assert "Expected all tensors to be on the same device" in str(error), error
                assert a in str(error) and b in str(error), error
            else:
                raise AssertionError((a, b))
        one.copy_(two * 3)
        assert one.tolist() == [[3, 3], [3, 3]]
print("fine")
"""


def test_two_third_party_devices_and_the_cpu_in_one_process(tmp_path: Path) -> None:
    assert run(THREE, tmp_path).strip() == "fine"


def test_training_on_the_template_gives_the_losses_of_the_cpu(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("tqdm")
    known = environment(tmp_path / "npu")
    for device in ("cpu", "template"):
        command = [sys.executable, "-W", "ignore", str(ROOT / "examples" / "digits.py"), "--device", device]
        command += ["--epochs", "1", "--batch-size", "200", "--out", str(tmp_path / device)]
        done = subprocess.run(command, env=known, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    code = """
import sys
import flambeau as fb
one, two = (fb.load(path + "/digits.pt", map_location="cpu")["history"]["loss"] for path in sys.argv[1:])
assert len(one) == len(two) > 5
print(max(abs(a - b) / abs(a) for a, b in zip(one, two)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "cpu"), str(tmp_path / "template")],
        env=known, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-4


def test_the_tutorial_leads_from_an_empty_folder_to_a_report(tmp_path: Path) -> None:
    from tutorial import follow

    said = follow(tmp_path, quick=True)
    assert "npu: passed in part (randomness)" in said
    counts = [int(n) for n in re.findall(r"^randomness +\d+ +\d+ +(\d+)", said, re.M)]
    assert len(counts) == 2
    assert counts[0] > 20


def test_the_fragments_in_the_docs_are_marked_in_the_template() -> None:
    page = (ROOT / "docs" / "writing-a-backend.md").read_text()
    source = (TEMPLATE / "src" / "flambeau_template" / "__init__.py").read_text()
    marks = re.findall(r':(?:start-after|end-before): "(.*)"', page)
    assert len(marks) >= 10
    assert all(source.count(mark + "\n") == 1 for mark in marks)


def test_the_table_of_defects_is_up_to_date() -> None:
    source = (TEMPLATE / "mutations.py").read_text()
    names = re.findall(r'^    Defect\("([^"]*)"', source, re.M)
    table = re.findall(r"^\| (.*?) \| `.*` \|$", (ROOT / "docs" / "defects.md").read_text(), re.M)
    assert names == table
    assert len(names) >= 25
