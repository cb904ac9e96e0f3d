"""Settings of Sphinx; before a build, the pages that follow from the code are written to reference/generated."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402

project = "flambeau"
author = "The flambeau authors"
copyright = "2026, The flambeau authors"
release = (HERE.parent / "VERSION").read_text().strip()

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "reference/generated"]

html_theme = "furo"
html_title = f"flambeau {release}"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
default_role = "code"
doctest_test_doctest_blocks = ""  # docstrings are run by tests/test_docs.py
suppress_warnings = ["ref.python"]  # names that the core and a plugin both have

generate.write(HERE / "reference" / "generated")


def escape_names(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Let ``uniform_`` outside quotes be a name and not a link, and an ``s`` stand right behind quotes."""
    for number, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [re.sub(r"(\w)_(?!\w)", r"\1\\_", part) for part in parts[::2]]
        lines[number] = re.sub(r"(`[^`]+`)(?=\w)", r"\1\\ ", "`".join(parts))


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", escape_names)
