"""Files of tensors, seen as `flambeau.io`: `save` and `load`, safetensors, PyTorch's archives; DLPack."""

from __future__ import annotations

from . import safetensors
from .dlpack import from_dlpack
from .files import Format, load, save
from .safetensors import load_file, safe_open, save_file

__all__ = ["Format", "from_dlpack", "load", "load_file", "safe_open", "safetensors", "save", "save_file"]
