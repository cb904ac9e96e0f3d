"""Files of tensors, seen as `flambeau.io`: `save` and `load`, safetensors, PyTorch's archives."""

from __future__ import annotations

from . import safetensors
from .files import Format, load, save
from .safetensors import load_file, safe_open, save_file

__all__ = ["Format", "load", "load_file", "safe_open", "safetensors", "save", "save_file"]
