"""Compiled kernels on disk: one file per source, options and compiler, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

__all__ = ["KERNELS", "cached", "folder", "headers_hash", "keep", "key_of", "place"]

#: Where the CUDA C++ of the plugin lies.
KERNELS = Path(__file__).parent / "kernels"


def folder() -> Path:
    """The folder of compiled kernels: ``FLAMBEAU_CUDA_CACHE``, or one under the user's cache folder."""
    given = os.environ.get("FLAMBEAU_CUDA_CACHE")
    if given:
        return Path(given)
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "flambeau" / "kernels"


@cache
def headers_of(name: str) -> tuple[str, ...]:
    """The headers that a file of `KERNELS` includes, itself among them."""
    found = [name]
    for line in (KERNELS / name).read_text().splitlines():
        if line.startswith('#include "'):
            found += headers_of(line.split('"')[1])
    return tuple(sorted(set(found)))


@cache
def headers_hash(names: tuple[str, ...]) -> bytes:
    """A hash of headers and of what they include."""
    h = hashlib.sha256()
    for name in sorted({inner for n in names for inner in headers_of(n)}):
        h.update(name.encode() + b"\0" + (KERNELS / name).read_bytes())
    return h.digest()


def key_of(parts: tuple[str, ...]) -> str:
    """The name of what is compiled from these parts (the source, options, the compiler) and the headers it includes."""
    names = tuple(line.split('"')[1] for line in parts[0].splitlines() if line.startswith('#include "'))
    h = hashlib.sha256(headers_hash(names))
    for part in parts:
        h.update(part.encode() + b"\0")
    return h.hexdigest()[:40]


def place(key: str, suffix: str) -> Path:
    """Where an image lies."""
    return folder() / key[:2] / (key + suffix)


def keep(path: Path, image: bytes) -> Path | None:
    """Write an image, whole or not at all; None where the folder can't be written to."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(fd, "wb") as file:
            file.write(image)
        os.chmod(temporary, 0o755)
        os.replace(temporary, path)
    except OSError:
        return None
    return path


def cached(suffix: str, parts: tuple[str, ...], make: Callable[[], bytes]) -> tuple[bytes, Path | None]:
    """The compiled image for these parts, made if it isn't on disk yet.

    Returns:
        The image, and where it lies (None where the folder can't be written to).
    """
    path = place(key_of(parts), suffix)
    try:
        return path.read_bytes(), path
    except OSError:
        image = make()
        return image, keep(path, image)
