"""The examples in READMEs, documentation and docstrings do what they say; every hook is documented and tested."""

from __future__ import annotations

import doctest
import importlib
import inspect
import io
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import flambeau
from flambeau._alias import FIRST_PARTY
from flambeau.hooks import HookSpecs, refresh

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("p*/*/README.md"), *ROOT.glob("docs/**/*.md")])
SOURCES = sorted(
    path for path in ROOT.glob("p*/*/src/**/*.py") if path.parts[-2:] != ("flambeau", "__main__.py")
)
SHIMS = {ROOT / "packages" / "core" / "src" / "flambeau" / name for name in FIRST_PARTY}

FENCE = re.compile(r"^```(?:\{(doctest|testcode|testoutput)\}|python)\n(.*?)^```$", re.M | re.S)


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """What examples register is forgotten after them."""
    yield
    refresh()


def runs(page: Path) -> bool:
    text = page.read_text()
    return ">>>" in text or "{testcode}" in text


@pytest.mark.parametrize(
    "page", [page for page in PAGES if runs(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_page(page: Path) -> None:
    names: dict[str, object] = {"__name__": page.stem}
    said = ""
    for number, (kind, text) in enumerate(FENCE.findall(page.read_text())):
        if kind == "testcode":
            stream = io.StringIO()
            with redirect_stdout(stream):
                exec(compile(text, str(page), "exec"), names)
            said = stream.getvalue()
        elif kind == "testoutput":
            assert said.split() == text.split()
        elif ">>>" in text:
            report = io.StringIO()
            test = doctest.DocTestParser().get_doctest(
                text, names, f"{page.name} block {number}", str(page), 0
            )
            failed = (
                doctest.DocTestRunner(optionflags=OPTIONS)
                .run(test, out=report.write, clear_globs=False)
                .failed
            )
            names.update(test.globs)
            assert not failed, report.getvalue()


def modules() -> list[str]:
    found = []
    for path in SOURCES:
        if ">>>" in path.read_text() and not SHIMS & set(path.parents):
            parts = path.with_suffix("").parts
            found.append(".".join(parts[parts.index("src") + 1 :]).removesuffix(".__init__"))
    return found


@pytest.mark.parametrize("name", modules())
def test_docstrings(name: str) -> None:
    report = io.StringIO()
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder().find(module, extraglobs={"fb": flambeau}):
        failed = doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.write).failed
        assert not failed, report.getvalue()


HOOKS = [name for name in vars(HookSpecs) if not name.startswith("_")]


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_documented_with_its_arguments(name: str) -> None:
    spec = getattr(HookSpecs, name)
    arguments = ", ".join(list(inspect.signature(spec).parameters)[1:])
    assert f"### `{name}({arguments})`" in (ROOT / "docs" / "plugins.md").read_text()
    assert spec.__doc__


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_tested_and_used(name: str) -> None:
    tests = "".join(path.read_text() for path in ROOT.glob("packages/core/tests/test_plugins.py"))
    assert f".{name} = " in tests
    entries = [path.read_text() for path in ROOT.glob("plugins/*/pyproject.toml")]
    assert any(f'.{name}" = ' in text for text in entries), "no first-party plugin uses it"


def test_environment_variables_are_documented() -> None:
    used = {
        name
        for path in [*SOURCES, *ROOT.glob("plugins/cpu/*.py"), *ROOT.glob("plugins/cpu/csrc/*")]
        for name in re.findall(r'"(FLAMBEAU_[A-Z_]+)"', path.read_text())
    }
    pages = "".join(path.read_text() for path in PAGES)
    assert {name for name in used if name not in pages} == set()


def test_the_version_is_told() -> None:
    assert flambeau.__version__ == (ROOT / "VERSION").read_text().strip()
