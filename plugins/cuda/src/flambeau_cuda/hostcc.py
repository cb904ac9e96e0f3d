"""The host's C++ compiler for the simulator: kernels become shared objects, many in one run where they are known.

Most of the time that one kernel takes is the compiler's start, its headers and the linker; among many it takes a tenth
of it. A text stands in a namespace of its own, and its kernel's name ends in the text's key.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from flambeau.plugin import DeviceUnavailable

from .cache import KERNELS, keep, key_of, place
from .errors import CompileError

__all__ = ["Text", "build", "compile_many", "compiled", "compiler", "stored"]

_FLAGS = (
    "-x", "c++", "-std=c++17", "-DHOST_SIM", "-fPIC", "-shared", "-ffp-contract=off", "-fno-strict-aliasing", "-w",
)  # fmt: skip


class Text(NamedTuple):
    """A kernel: its source, its name there, and how hard the compiler tries (compiling slow code is quicker)."""

    source: str
    name: str
    level: str = "-O1"

    @property
    def key(self) -> str:
        """What the image depends on, as a hash."""
        return key_of((self.source, self.level, *_FLAGS, compiler()[1]))

    @property
    def symbol(self) -> str:
        """The kernel's name in the image."""
        return f"{self.name}_{self.key}"

    @property
    def path(self) -> Path:
        """Where the image lies once it is made."""
        return place(self.key, ".so")


@cache
def compiler() -> tuple[str, str]:
    """The host's C++ compiler and its version.

    Raises:
        DeviceUnavailable: there is none.
    """
    for name in (os.environ.get("CXX"), "g++", "clang++", "c++"):
        path = shutil.which(name) if name else None
        if path:
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
            return path, said.partition("\n")[0]
    raise DeviceUnavailable(
        "[device] device 'cuda-sim' needs a C++17 compiler on the PATH: got none of $CXX, g++, clang++, c++. "
        "Install g++."
    )


def build(source: str, options: Sequence[str], shown: str = "") -> bytes:
    """The shared object of a source.

    Args:
        source: what is compiled.
        options: more options of the compiler.
        shown: what an error shows of it.

    Raises:
        CompileError: the compiler refuses it.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "k.so"
        command = [compiler()[0], *_FLAGS, *options, f"-I{KERNELS}", "-o", str(out), "-", "-lm"]
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
        if done.returncode or not out.exists():
            said = f"refuses a kernel (exit status {done.returncode}):\n{done.stderr[:4000]}"
            raise CompileError(f"[cuda-sim] {compiler()[0]} {said}\n{shown}")
        return out.read_bytes()


def _unit(texts: Iterable[Text]) -> str:
    """The texts as one source: what they include, then each in its namespace."""
    includes: dict[str, None] = {}
    bodies = []
    for text in texts:
        lines = text.source.splitlines()
        includes.update(dict.fromkeys(line for line in lines if line.startswith("#include")))
        rest = ["" if line.startswith("#include") else line for line in lines]
        start = [f"#define {text.name} {text.symbol}", f"namespace n_{text.key} {{", f'#line 1 "{text.name}"']
        bodies += [*start, *rest, "}", f"#undef {text.name}"]
    return "\n".join([*includes, *bodies, ""])


def compiled(text: Text) -> Path:
    """The image of a text, made if it isn't on disk yet.

    Raises:
        CompileError: the compiler refuses it.
    """
    path = text.path
    return path if path.exists() else stored(path, build(_unit([text]), (text.level,), text.source))


def stored(path: Path, image: bytes) -> Path:
    """Where an image lies once it is written: there, or in a folder of this process where it can't be written there."""
    return keep(path, image) or keep(Path(_aside().name) / path.name, image) or path


@cache
def _aside() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def compile_many(texts: Iterable[Text]) -> None:
    """Make the images of texts in one run for each level, and leave them on disk, each under its own name.

    Texts that the compiler refuses are left out: whoever asks for one is told.
    """
    levels: dict[str, list[Text]] = {}
    for text in dict.fromkeys(texts):
        if not text.path.exists():
            levels.setdefault(text.level, []).append(text)
    for level, group in levels.items():
        try:
            image = build(_unit(group), (level,))
        except CompileError:
            if len(group) > 1:
                half = len(group) // 2
                compile_many(group[:half])
                compile_many(group[half:])
            continue
        first = keep(group[0].path, image)
        if first is None:
            return
        for text in group[1:]:
            text.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(first, text.path)
            except FileExistsError:
                pass  # another process was quicker
            except OSError:
                keep(text.path, image)
