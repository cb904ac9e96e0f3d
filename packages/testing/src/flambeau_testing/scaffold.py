"""``flambeau new-backend NAME``: a project with a device that works from the first minute.

Its memory is real, and all computing is declared as lacking, so that the reference backend does it on the host. The
author implements entry after entry and takes their names out of ``lacks``; the suite passes all the way.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main", "scaffold"]

_PYPROJECT = """[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "flambeau-{name}"
version = "0.1.0"
description = "Device {name} for flambeau"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["flambeau>=0.1"]

[project.optional-dependencies]
test = ["flambeau[testing]", "pytest-xdist>=3.8"]

[project.entry-points."flambeau.backends"]
{name} = "flambeau_{name}:{title}Backend"

[tool.hatch.build.targets.wheel]
packages = ["src/flambeau_{name}"]

[tool.pytest.ini_options]
addopts = ["--import-mode=importlib"]
"""
_BACKEND = '''"""Device "{name}"."""

from __future__ import annotations

from typing import Any

from flambeau.plugin import Backend, MemoryAccount


class {title}Backend(Backend):
    """What flambeau asks of the device; its docs, "The backend contract", say what each entry computes."""

    contract = (1, 0)
    #: What the device can't do yet is computed on the host. Implement an entry, take its name out, run the tests.
    lacks = frozenset("run_program copy reduce scan scan2 matmul gather scatter sort".split())

    def __init__(self) -> None:
        self.account = MemoryAccount("{name}")

    def allocate(self, nbytes: int, index: int) -> bytearray:
        return self.account.allocate(nbytes, bytearray)

    def free(self, handle: bytearray, nbytes: int, index: int) -> None:
        self.account.free(nbytes)

    def copy_in(self, handle: bytearray, offset: int, data: Any) -> None:
        view = memoryview(data).cast("B") if memoryview(data).nbytes else b""
        handle[offset : offset + len(view)] = view

    def copy_out(self, handle: bytearray, offset: int, nbytes: int) -> bytes:
        return bytes(handle[offset : offset + nbytes])

    def memory_stats(self, index: int) -> dict[str, int]:
        return self.account.stats()
'''
_TESTS = '''"""Device "{name}" against flambeau's conformance suite."""

from flambeau.testing import BackendSuite


class Test{title}(BackendSuite):
    device = "{name}"
    capabilities = {{"asynchronous": False, "host_visible": False}}
    expected_failures: dict[str, str] = {{}}  # test id, as pytest shows it without "test_": the reason
'''
_README = """# flambeau-{name}

Device `"{name}"` for flambeau.

```
pip install -e .[test]
pytest -n auto
flambeau certify --device {name} --tests tests/test_conformance.py
```
"""
_CI = """name: ci
on: [push, pull_request]
jobs:
  certify:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {{ python-version: "3.12" }}
      - run: pip install .[test]
      - run: flambeau certify --device {name} --tests tests/test_conformance.py
      - uses: actions/upload-artifact@v4
        with: {{ name: certificate, path: {name}-certificate.json }}
"""
_FILES = {
    "pyproject.toml": _PYPROJECT,
    "README.md": _README,
    "src/flambeau_{name}/__init__.py": _BACKEND,
    "src/flambeau_{name}/py.typed": "",
    "tests/test_conformance.py": _TESTS,
    ".github/workflows/ci.yml": _CI,
}


def scaffold(name: str, folder: Path) -> list[Path]:
    """Write the project of a backend.

    Args:
        name: the device type: lower-case letters, digits and underscores, a letter first.
        folder: where; it must be empty or not there yet.

    Returns:
        The files.

    Raises:
        ValueError: not a name, or one that is taken.
        FileExistsError: the folder has something in it.
    """
    from flambeau.plugin import BUILT_IN, entries

    if not (name.isidentifier() and name == name.lower() and name.isascii() and name[0] != "_"):
        raise ValueError(
            f"[new-backend] not the name of a device: got {name!r}, needed: lower-case letters, digits and "
            "underscores, a letter first."
        )
    if name in (*BUILT_IN, "cpu", *(entry.name for entry in entries("backends"))):
        raise ValueError(f"[new-backend] device {name!r} is there already. Choose another name.")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"[new-backend] {folder} is not empty. Choose another folder.")
    made = []
    for path, text in _FILES.items():
        file = folder / path.format(name=name)
        file.parent.mkdir(parents=True, exist_ok=True)
        title = "".join(part.capitalize() for part in name.split("_"))
        file.write_text(text.format(name=name, title=title))
        made.append(file)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    p = argparse.ArgumentParser(prog="flambeau new-backend", description=(__doc__ or "").partition("\n")[0])
    p.add_argument("name", help="the device type, such as npu")
    p.add_argument("--folder", type=Path, help="where (default: flambeau-NAME)")
    args = p.parse_args(arguments)
    folder = args.folder or Path(f"flambeau-{args.name}")
    try:
        made = scaffold(args.name, folder)
    except (ValueError, OSError) as error:
        print(error)
        return 2
    print(*made, sep="\n")
    print(f"next: cd {folder}; pip install -e .[test]; pytest -n auto")
    return 0
