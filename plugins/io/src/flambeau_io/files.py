"""``save`` and ``load``: which format a file has, and what to do with it.

A path is replaced in one step, after all bytes are on the disk. Formats come from the hook ``register_formats``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO, Any, NamedTuple

from flambeau import hooks

from . import native, pytorch, safetensors
from .archive import Corrupt, MapLocation, first_entry
from .replacing import written

__all__ = ["HEAD", "Format", "load", "register", "save"]

#: So many bytes of a file's beginning a format gets to see to recognise it.
HEAD = 512


class Format(NamedTuple):
    """A file format, for the hook ``register_formats``.

    Args:
        recognises: whether a file is of this format, by its first bytes (`HEAD` of them, or all there are).
        load: ``load(file, map_location)`` gives the object in a seekable binary file.
        save: ``save(obj, file)`` writes one; None: the format is only read.
        suffixes: names of files that `flambeau.save` writes in this format, by how they end.
    """

    recognises: Callable[[bytes], bool]
    load: Callable[[IO[bytes], MapLocation], Any]
    save: Callable[[Any, IO[bytes]], None] | None = None
    suffixes: tuple[str, ...] = ()


def save(obj: Any, f: str | os.PathLike[str] | IO[bytes], format: str | None = None) -> None:
    """Write an object to a file.

    Args:
        obj: nested dict, OrderedDict, list, tuple, set of numbers, strings, bytes, None, tensors, arrays, dtypes,
            devices and shapes. A Parameter comes back as a tensor that requires grad. Other formats take less:
            safetensors a dict of tensors by name.
        f: a path, which is replaced only when all is written, or a binary file object.
        format: the format's name; by default the one whose suffix the path has (``"model.safetensors"``), else our
            own, ``"flambeau"``.

    Raises:
        TypeError: something else lies in the object; the message says where.
        ValueError: the format can only be read.
        LookupError: no format of that name.
        OSError: the file can't be written; an existing file is unchanged.

    >>> import io, flambeau as fb
    >>> file = io.BytesIO()
    >>> fb.save({"w": fb.ones(2), "step": 3}, file)
    >>> fb.load(file)
    {'w': tensor([1., 1.]), 'step': 3}
    """
    known = _formats()
    name = format or _by_suffix(known, f)
    write = known[name].save
    if write is None:
        raise ValueError(f"[save] files of format {name!r} can only be read. Use another format.")
    with written(f, "save") as file:
        write(obj, file)


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: MapLocation = None,
    weights_only: bool = True,
    format: str | None = None,
) -> Any:
    """Read an object that `save`, PyTorch's ``save`` or another writer of a known format has written.

    No code in a file of our own formats is ever run.

    Args:
        f: a path or a seekable binary file object.
        map_location: where tensors go: a device, a dict from saved to wanted devices, or a function of
            ``(host, location)`` that returns ``host`` or a device; by default where they were.
        weights_only: taken for compatibility; files are always read in the way that True stands for.
        format: the format's name; by default the file's first bytes say it.

    Raises:
        RuntimeError: not such a file, corrupted or truncated, or its device is not available.
        LookupError: no format of that name.
        pickle.UnpicklingError: a PyTorch file needs code that is not allowed.
    """
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return _load(file, os.fspath(f), map_location, format)
    return _load(f, getattr(f, "name", type(f).__name__), map_location, format)


def _load(file: IO[bytes], name: Any, map_location: MapLocation, format: str | None) -> Any:
    known = _formats()
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    found = [format] if format else [name for name in known if known[name].recognises(head)]
    try:
        if not found:
            raise Corrupt(f"it begins like none of the formats {', '.join(known)}")
        return known[found[0]].load(file, map_location)
    except (Corrupt, EOFError, KeyError, ValueError, RecursionError) as e:
        raise RuntimeError(
            f"[load] can't read {name!r}: {e}. The file is corrupted, truncated, or was not written by "
            "flambeau.save or by torch.save of PyTorch 1.6 or later."
        ) from e


def _formats() -> hooks.Registry:
    known = hooks.formats()
    if "flambeau" not in known:  # plugins aren't loaded by themselves here: FLAMBEAU_PLUGIN_AUTOLOAD=0
        register(known)
    return known


def _by_suffix(known: hooks.Registry, f: Any) -> str:
    path = os.fsdecode(f) if isinstance(f, (str, os.PathLike)) else ""
    found = [name for name in known if known[name].save and path.endswith(known[name].suffixes)]
    return found[0] if found else "flambeau"


def register(registry: hooks.Registry) -> None:
    """Make our own formats known."""
    registry.add("flambeau", _OWN)
    registry.add("pytorch", _PYTORCH)
    registry.add("safetensors", _SAFETENSORS)


_OWN = Format(lambda head: first_entry(head) == native.HEADER, native.load, native.save)
_PYTORCH = Format(lambda head: first_entry(head).endswith("/data.pkl"), pytorch.load)
_SAFETENSORS = Format(
    lambda head: head[8:9] == b"{", safetensors.read, safetensors.write, suffixes=(".safetensors",)
)
