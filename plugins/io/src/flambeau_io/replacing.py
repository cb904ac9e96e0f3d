"""Writing files that are never half written: aside, to the disk, and then in one step into their place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

__all__ = ["written"]


@contextmanager
def written(f: str | os.PathLike[str] | IO[bytes], op: str) -> Iterator[IO[bytes]]:
    """A file to write to; what ``f`` names is replaced only when all is on the disk.

    Args:
        f: a path, or an open binary file, which is given as it is.
        op: who writes, for messages.

    Raises:
        OSError: it can't be written; an existing file is unchanged.
    """
    if not isinstance(f, (str, os.PathLike)):
        yield f
        return
    try:
        with _replacing(os.path.realpath(f)) as file:
            yield file
    except OSError as e:
        error = type(e)(
            f"[{op}] can't write {os.fspath(f)!r}: {e.strerror or e}. Nothing was changed. "
            "Check the folder, its permissions and the free space."
        )
        error.errno = e.errno
        raise error from e


class _Stream:
    """A file without a position: devices tell one that never moves."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write
        self.flush = file.flush


@contextmanager
def _replacing(path: str) -> Iterator[IO[bytes]]:
    """A new file beside ``path`` that takes its place, in one step, once all is on the disk."""
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe or device, not to be replaced
        with open(path, "wb", buffering=0) as special:
            yield _Stream(special)  # type: ignore[misc]
        return
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name[:100]}.{os.urandom(6).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            os.chmod(temporary, os.stat(path).st_mode & 0o7777)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError:  # some file systems can't; the file itself is safe
            pass
        finally:
            os.close(descriptor)
