"""flambeau's CPU backend: C kernels through cffi."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).parents[2]
if (_ROOT / "build_ext.py").is_file():  # an editable checkout
    from ._dev import ensure_built

    ensure_built(_ROOT)

from .backend import CpuBackend  # noqa: E402

backend = CpuBackend

__all__ = ["CpuBackend", "backend"]
