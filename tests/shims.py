"""The files that show plugins to type checkers as ``flambeau.nn`` and so on; ``python tests/shims.py`` writes them.

A shim is never executed: ``flambeau._alias`` puts the plugin's own module in its place.
"""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

from flambeau._alias import FIRST_PARTY

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "packages" / "core" / "src" / "flambeau"
TEXT = '''"""For type checkers: at run time this is the module ``{0}`` itself."""

from {0} import *
'''
NAMESPACES = tuple(FIRST_PARTY)


def sources(module: str) -> Path:
    """The folder of a plugin's module in which its package stands."""
    plugin = module.partition(".")[0].removeprefix("flambeau_")
    (found,) = ROOT.glob(f"p*/{plugin}/src")
    return found


def _exported(module: Path) -> list[str]:
    """The names that a module spells out in ``__all__``."""
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Assign):
            target = node.targets[0]
        elif isinstance(node, ast.AnnAssign):
            target = node.target
        else:
            continue
        if node.value is not None and ast.unparse(target) == "__all__":
            # Names of other modules' lists are no submodules.
            return [n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant)]
    raise ValueError(f"{module} has no __all__")


def _shims(source: Path, module: str, place: Path) -> dict[Path, str]:
    """The shim of a module and of the submodules that it exports."""
    init = source / "__init__.py"
    if not init.is_file():
        return {place.with_suffix(".py"): TEXT.format(module)}
    found = {place / "__init__.py": TEXT.format(module)}
    for name in _exported(init):
        if (source / name).is_dir() or (source / f"{name}.py").is_file():
            found |= _shims(source / name, f"{module}.{name}", place / name)
    return found


def expected() -> dict[Path, str]:
    """The text of every shim, by path."""
    found: dict[Path, str] = {}
    for name, module in FIRST_PARTY.items():
        found |= _shims(sources(module).joinpath(*module.split(".")), module, CORE / name)
    return found


def actual() -> dict[Path, str]:
    """The shims that are there, by path."""
    return {path: path.read_text() for name in NAMESPACES for path in (CORE / name).rglob("*.py")}


if __name__ == "__main__":
    for name in NAMESPACES:
        shutil.rmtree(CORE / name, ignore_errors=True)
    for path, text in expected().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
