"""Hatchling build hook: compiles the C engine into the wheel (abi3: one wheel serves CPython 3.11 and later)."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs build_ext.build() for wheels and editable installs; the sdist carries sources only."""

    def dependencies(self) -> list[str]:
        """Ask for the compiler from PyPI where the machine has none."""
        named = os.environ.get("CC") or os.environ.get("FLAMBEAU_CC")
        if self.target_name != "wheel" or named or any(map(shutil.which, ("cc", "gcc", "clang"))):
            return []
        return ["ziglang>=0.13"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, name the outputs as artifacts, tag the wheel."""
        if self.target_name != "wheel":
            return
        sys.path.insert(0, self.root)
        import build_ext

        files = build_ext.build(verbose=bool(os.environ.get("FLAMBEAU_VERBOSE")))
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"cp311-abi3-{platform}"
        if version != "editable":
            build_data["artifacts"] += [str(Path(file).relative_to(self.root)) for file in files]
