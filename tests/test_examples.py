"""The examples, run on small settings: what they write, that they can be repeated and resumed, mistakes."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import flambeau as fb

pytest.importorskip("tqdm")
pytest.importorskip("matplotlib")

SCRIPT = Path(__file__).parents[1] / "examples" / "digits.py"


def run(*args: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, str(SCRIPT), *args], capture_output=True, text=True, timeout=300)
    assert done.returncode == expect, done.stderr
    assert "Traceback" not in done.stderr
    return done


def losses(folder: Path) -> list[float]:
    found: list[float] = fb.load(folder / "digits.pt")["history"]["loss"]
    return found


@pytest.fixture
def digits() -> ModuleType:
    spec = importlib.util.spec_from_file_location("digits_example", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_digits_trains_and_the_same_seed_gives_the_same_losses(tmp_path: Path) -> None:
    one, two, other = (str(tmp_path / name) for name in ("one", "two", "other"))
    done = run("--quick", "--out", one, "--threads", "1")
    found = re.search(r"test accuracy ([\d.]+)% after 2 epochs on cpu", done.stdout.splitlines()[-1])
    assert found is not None
    assert float(found[1]) > 80
    assert "image/s" in done.stderr
    assert (tmp_path / "one" / "digits.png").read_bytes()[:4] == b"\x89PNG"
    run("--quick", "--out", two, "--threads", "2")
    run("--quick", "--out", other, "--seed", "1")
    first = losses(tmp_path / "one")
    assert len(first) == 2 * 23
    assert losses(tmp_path / "two") == first
    assert losses(tmp_path / "other") != first


def test_an_interrupted_run_is_resumed_to_the_same_result(
    digits: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = ["--epochs", "3", "--batch-size", "360", "--out", str(tmp_path / "whole")]
    parts = ["--epochs", "3", "--batch-size", "360", "--out", str(tmp_path / "parts")]
    assert digits.main(whole) == 0
    evaluate, calls = digits.evaluate, []

    def interrupted(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return evaluate(*args)

    monkeypatch.setattr(digits, "evaluate", interrupted)
    assert digits.main(parts) == 130
    assert len(losses(tmp_path / "parts")) == 5
    assert "--resume" in capsys.readouterr().err
    assert digits.main([*parts, "--resume"]) == 0
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert digits.main([*parts, "--resume"]) == 0
    assert digits.main([*parts, "--resume", "--seed", "5"]) == 2
    assert "made with seed=0, not 5" in capsys.readouterr().err


def test_a_full_disk_costs_no_checkpoint(
    digits: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save, calls = fb.save, []

    def full(obj: Any, path: Path) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        save(obj, path)

    monkeypatch.setattr(digits.fb, "save", full)
    assert digits.main(["--epochs", "3", "--batch-size", "720", "--out", str(tmp_path)]) == 2
    assert "can't write the checkpoint" in capsys.readouterr().err
    assert fb.load(tmp_path / "digits.pt")["epoch"] == 1


def test_mistakes_are_told_without_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    out = ["--out", str(tmp_path / "out")]
    done = run("--device", "abacus", *out, expect=2)
    assert "can't compute on device 'abacus'" in done.stderr
    done = run("--quick", "--out", str(file / "folder"), expect=2)
    assert "can't write into the output folder" in done.stderr
    done = run("--quick", "--resume", *out, expect=2)
    assert "no checkpoint" in done.stderr
    done = run("--epochs", "0", expect=2)
    assert "0 is not a positive number" in done.stderr
    (tmp_path / "out" / "digits.pt").write_bytes(b"PK\x03\x04 not really")
    done = run("--quick", "--resume", *out, expect=2)
    assert "can't read the checkpoint" in done.stderr
