"""NVRTC through ctypes: CUDA C++ to machine code; needs no GPU."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from .cache import KERNELS, cached
from .errors import CompileError, Unavailable

__all__ = ["ARCHITECTURES", "compile_for", "find_library", "library", "version"]

#: What every kernel must compile for.
ARCHITECTURES = (80, 90, 100, 120)
_OPTIONS = ("-std=c++17", "-default-device", "-w")


def _candidates(part: str, names: Sequence[str]) -> Iterator[str]:
    for folder in sys.path:
        for package in (("nvidia", "cu13"), ("nvidia", part), ("nvidia", "cu12")):
            for sub in ("lib", "bin"):
                root = Path(folder or ".", *package, sub)
                for name in names:
                    if (root / name).exists():
                        yield str(root / name)
    yield from names
    for home in (os.environ.get("CUDA_PATH"), os.environ.get("CUDA_HOME"), "/usr/local/cuda"):
        if home:
            for name in names:
                yield str(Path(home, "lib64", name))


def find_library(part: str, names: Sequence[str], what: str) -> Any:
    """Load a library of CUDA: from NVIDIA's wheels, else from the system.

    Raises:
        Unavailable: it is nowhere.
    """
    tried = []
    for path in _candidates(part, names):
        try:
            # NVRTC opens its built-in functions by name, which works if they are loaded already.
            for beside in Path(path).parent.glob("libnvrtc-builtins.so*") if "/" in path else ():
                ctypes.CDLL(str(beside))
            return ctypes.CDLL(path)
        except OSError as error:
            tried.append(f"{path}: {error}")
    raise Unavailable(
        f"[cuda] {what} is not installed: none of {', '.join(names)} could be loaded. "
        "Install it: pip install 'flambeau[cuda13]' (or cuda12)."
    )


@cache
def library() -> Any:
    """NVRTC.

    Raises:
        Unavailable: it is not installed.
    """
    return find_library("cuda_nvrtc", ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"), "NVRTC")


@cache
def version() -> tuple[int, int]:
    """NVRTC's version."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def _check(code: int, what: str) -> None:
    if code:
        get = library().nvrtcGetErrorString
        get.restype = ctypes.c_char_p
        raise CompileError(f"[cuda] NVRTC failed in {what}: {get(code).decode()}.")


def _build(source: str, architecture: str, options: Sequence[str]) -> bytes:
    lib = library()
    program = ctypes.c_void_p()
    _check(
        lib.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None), "create"
    )
    try:
        flags = [f"-arch=sm_{architecture}", *_OPTIONS, *options, f"-I{KERNELS}"]
        array = (ctypes.c_char_p * len(flags))(*(f.encode() for f in flags))
        if lib.nvrtcCompileProgram(program, len(flags), array):
            size = ctypes.c_size_t()
            lib.nvrtcGetProgramLogSize(program, ctypes.byref(size))
            log = ctypes.create_string_buffer(size.value + 1)
            lib.nvrtcGetProgramLog(program, log)
            raise CompileError(
                f"[cuda] NVRTC refuses a kernel for sm_{architecture}:\n{log.value.decode()[:4000]}\n{source}"
            )
        size = ctypes.c_size_t()
        _check(lib.nvrtcGetCUBINSize(program, ctypes.byref(size)), "size")
        image = ctypes.create_string_buffer(size.value)
        _check(lib.nvrtcGetCUBIN(program, image), "get")
        return image.raw
    finally:
        lib.nvrtcDestroyProgram(ctypes.byref(program))


def compile_for(architecture: str, source: str, options: Sequence[str] = ()) -> bytes:
    """Machine code (a cubin) of a kernel text, from the cache on disk where it was compiled before.

    Args:
        architecture: compute capability without the dot, such as ``"90"`` or ``"90a"``.

    Raises:
        CompileError: NVRTC refuses the text.
        Unavailable: NVRTC is not installed.
    """
    flags = tuple(o for o in options if not o.startswith("-O"))
    parts = (source, architecture, *flags, *_OPTIONS, *map(str, version()))
    return cached(".cubin", parts, lambda: _build(source, architecture, flags))[0]
