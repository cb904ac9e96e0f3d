"""What holds between the members: versions, licences, shims, entry points, and the cost of an import."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import shims

import flambeau
from flambeau._alias import FIRST_PARTY

ROOT = Path(__file__).resolve().parents[1]
VERSION = (ROOT / "VERSION").read_text().strip()
MEMBERS = sorted(path.parent for path in ROOT.glob("p*/*/pyproject.toml"))
member = pytest.mark.parametrize("member", MEMBERS, ids=lambda path: path.name)


def project(path: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((path / "pyproject.toml").read_text())["project"]
    return table


def test_all_members_are_there() -> None:
    assert {path.name for path in MEMBERS} == {
        "core",
        "cpu",
        "cuda",
        "data",
        "func",
        "io",
        "math",
        "nn",
        "optim",
        "testing",
        "vision",
    }


@member
def test_pins_follow_the_version(member: Path) -> None:
    table = project(member)
    assert "version" in table["dynamic"]
    extras = table.get("optional-dependencies", {}).values()
    wanted = [*table.get("dependencies", []), *chain.from_iterable(extras)]
    ours = [text for text in wanted if text.startswith("flambeau") and not text.startswith("flambeau[")]
    minor = ".".join(VERSION.split(".")[:2])
    assert all(text.endswith(f"=={minor}.*") for text in ours), ours
    assert ours


@member
def test_every_member_is_complete(member: Path) -> None:
    assert (member / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert not (member / "LICENSE").is_symlink()
    assert (member / "README.md").is_file()
    assert (member / "tests").is_dir()
    (package,) = (path for path in (member / "src").iterdir() if path.name.startswith("flambeau"))
    assert (package / "py.typed").is_file()
    assert project(member)["requires-python"] == ">=3.11"


def test_the_extras_name_every_plugin() -> None:
    extras = project(ROOT / "packages" / "core")["optional-dependencies"]
    names = {path.name for path in MEMBERS} - {"core", "cuda"}
    # One extra for each version of CUDA; "all" has neither, because they exclude each other and are large.
    assert set(extras) == names | {"all", "cuda12", "cuda13"}
    (everything,) = extras["all"]
    assert set(everything.removeprefix("flambeau[").removesuffix("]").split(",")) == names


def test_every_environment_has_all_members() -> None:
    for name, table in tomllib.loads((ROOT / "hatch.toml").read_text())["envs"].items():
        assert table["skip-install"], name
        if not table.get("detached"):
            assert table["workspace"]["members"] == ["packages/*", "plugins/*"], name


def test_the_vision_notice_is_part_of_the_notice() -> None:
    assert (ROOT / "plugins" / "vision" / "NOTICE").read_text().strip() in (ROOT / "NOTICE").read_text()


def test_shims_equal_the_plugins_public_modules() -> None:
    assert shims.actual() == shims.expected(), "run `hatch run stubs`"


@pytest.mark.parametrize("name", shims.NAMESPACES)
def test_a_namespace_and_its_plugin_are_one_module(name: str) -> None:
    target = FIRST_PARTY[name]
    code = f"""
import importlib, pkgutil, flambeau
real = importlib.import_module("{target}")
assert flambeau.{name} is real
for found in pkgutil.walk_packages(real.__path__, "{target}."):
    if not any(part.startswith("_") for part in found.name.split(".")[1:]):
        alias = found.name.replace("{target}", "flambeau.{name}", 1)
        module = importlib.import_module(alias)
        assert module is importlib.import_module(found.name), alias
        assert module.__spec__.name == found.name, alias
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def public_modules(name: str) -> list[str]:
    module = FIRST_PARTY[name]
    source = shims.sources(module)
    folder = source.joinpath(*module.split("."))
    # The __init__ of a folder of files may be nothing but a docstring.
    found = [
        path for path in folder.rglob("*.py") if path.name != "__init__.py" or "\nfrom ." in path.read_text()
    ]
    paths = [path.relative_to(source).with_suffix("") for path in found]
    dotted = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    return sorted(text for text in dotted if not any(part.startswith("_") for part in text.split(".")[1:]))


@pytest.mark.parametrize("module", [text for name in shims.NAMESPACES for text in public_modules(name)])
def test_public_modules_say_what_is_public(module: str) -> None:
    loaded = importlib.import_module(module)
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []


def test_import_brings_in_neither_numpy_nor_plugins() -> None:
    code = "import sys; before = set(sys.modules); import flambeau; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=bare(), capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    costly = {"asyncio", "cffi", "dataclasses", "importlib.metadata", "inspect", "numpy", "pluggy"}
    assert not loaded & costly
    assert not {name for name in loaded if name.startswith("flambeau_")}
    assert not {
        name for name in loaded if name.split(".")[0] == "flambeau" and name.split(".")[-1] in ("doctor",)
    }


def bare() -> dict[str, str]:
    """An environment in which the core is imported from its sources, without what site-packages adds."""
    return {"PYTHONPATH": str(Path(flambeau.__file__).parents[1])}


def test_the_installed_entry_points_are_those_declared() -> None:
    for path in MEMBERS:
        for group, declared in project(path).get("entry-points", {}).items():
            installed = {point.name: point.value for point in entry_points(group=group)}
            assert declared.items() <= installed.items(), "reinstall: `hatch env prune`"


def test_the_doctor_finds_nothing_wrong() -> None:
    done = subprocess.run([sys.executable, "-m", "flambeau.doctor"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for path in MEMBERS:
        assert project(path)["name"] in done.stdout
