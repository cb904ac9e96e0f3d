"""Formats by name, by suffix, by a file's first bytes; formats of other plugins."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import flambeau as fb


def test_the_suffix_says_how_a_path_is_written(tmp_path: Path) -> None:
    tensors = {"b": fb.arange(3), "a": fb.ones(2, 2)}
    fb.save(tensors, tmp_path / "model.safetensors")
    assert fb.io.load_file(tmp_path / "model.safetensors")["a"].tolist() == [[1, 1], [1, 1]]
    for name in ("model.pt", "model", "safetensors"):
        fb.save(tensors, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"PK")
    for name in os.listdir(tmp_path):
        back = fb.load(tmp_path / name)
        assert {key: t.tolist() for key, t in back.items()} == {key: t.tolist() for key, t in tensors.items()}


def test_a_format_by_name() -> None:
    file = io.BytesIO()
    fb.save({"a": fb.ones(2)}, file, format="safetensors")
    assert file.getvalue()[8:9] == b"{"
    assert fb.load(file)["a"].tolist() == fb.load(file, format="safetensors")["a"].tolist() == [1, 1]
    with pytest.raises(RuntimeError, match=r"\[load\] can't read"):
        fb.load(file, format="flambeau")


def test_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    with pytest.raises(TypeError, match=r"\[save\] safetensors takes a dict of tensors by name: got list"):
        fb.save([fb.ones(2)], path)
    with pytest.raises(TypeError, match="the value of 'step' must be a Tensor: got int"):
        fb.save({"step": 3}, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.safetensors"]
    with pytest.raises(ValueError, match=r"\[save\] files of format 'pytorch' can only be read"):
        fb.save({}, path, format="pytorch")
    for use in (lambda: fb.save({}, path, format="zip"), lambda: fb.load(path, format="zip")):
        with pytest.raises(
            LookupError, match=r"no file format of that name: got 'zip', needed: one of flambeau"
        ):
            use()
    with pytest.raises(RuntimeError, match=r"begins like none of the formats flambeau, pytorch, safetensors"):
        fb.load(path)


LINES = """
    import flambeau as fb
    from flambeau.hooks import hookimpl

    def load(file, map_location):
        return file.read().decode().split("\\n")[1:]

    def save(obj, file):
        file.write("\\n".join(["lines:", *obj]).encode())

    @hookimpl
    def register_formats(registry):
        registry.add("lines", fb.io.Format(lambda head: head.startswith(b"lines:"), load, save, (".lines",)))
"""
USE = """
    import flambeau as fb
    fb.save(["one", "two"], "a.lines")
    fb.save({"a": fb.ones(1)}, "a.pt")
    assert fb.load("a.lines") == ["one", "two"]
    assert fb.load("a.pt")["a"].tolist() == [1]
"""


@pytest.mark.parametrize("autoload", ["1", "0"])
def test_a_format_of_another_plugin(tmp_path: Path, autoload: str) -> None:
    (tmp_path / "lines_plugin.py").write_text(dedent(LINES))
    known = {
        "FLAMBEAU_PLUGINS": "hooks/lines.register_formats=lines_plugin",
        "FLAMBEAU_PLUGIN_AUTOLOAD": autoload,
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", dedent(USE)],
        env={**os.environ, **known, "PYTHONPATH": str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_broken_format_plugin_harms_no_other_format(tmp_path: Path) -> None:
    code = "import flambeau as fb; fb.save([1], 'a.pt'); print(fb.load('a.pt'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FLAMBEAU_PLUGINS": "hooks/x.register_formats=nothing_of_that_name"},
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[1]"
    assert "PluginWarning: [hooks] plugin left out: FLAMBEAU_PLUGINS (nothing_of_that_name)" in done.stderr
