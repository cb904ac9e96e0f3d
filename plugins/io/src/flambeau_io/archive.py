"""Reading zip archives of tensors: storages from entries, devices by ``map_location``, tensors that lie inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from flambeau import Tensor
from flambeau import device as Device
from flambeau import dtype as DType
from flambeau.plugin import Storage, backend_of, spec_of, tensor_on

if TYPE_CHECKING:
    from zipfile import ZipFile

__all__ = ["CHUNK", "Archive", "Corrupt", "MapLocation", "first_entry", "opened", "place"]

#: Bytes that are moved at a time.
CHUNK = 1 << 24

MapLocation = str | Device | dict[str, str] | Callable[[Any, str], Any] | None


class Corrupt(Exception):
    """The file contradicts itself."""


def first_entry(head: bytes) -> str:
    """The name of the first entry of a zip archive that begins with these bytes; empty where it is none."""
    if head[:4] != b"PK\x03\x04":
        return ""
    return head[30 : 30 + int.from_bytes(head[26:28], "little")].decode("utf-8", "replace")


@contextmanager
def opened(file: IO[bytes], map_location: MapLocation) -> Iterator[Archive]:
    """A zip archive to read from.

    Raises:
        Corrupt: it is damaged.
    """
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(file) as zf:
            yield Archive(zf, map_location)
    except (zipfile.BadZipFile, zlib.error) as e:
        raise Corrupt(str(e)) from e


def place(location: str, map_location: MapLocation = None) -> Device:
    """Where something saved on a device goes, by the rules of `load`.

    Raises:
        BackendError: the device isn't available here.
    """
    wanted: Any = map_location
    if callable(wanted) and not isinstance(wanted, Device):
        host = Device("cpu")
        wanted = wanted(host, location)
    elif isinstance(wanted, dict):
        wanted = wanted.get(location, location)
    device = Device(location if wanted is None else wanted)
    try:
        backend_of(device)
    except RuntimeError as e:
        raise type(e)(f"{e} The file was saved on {location}; load it with map_location='cpu'.") from e
    return device


class Archive:
    """A file being read: its entries, and the storages made from them so far.

    Args:
        zf: the archive.
        map_location: as `load` takes it.
    """

    def __init__(self, zf: ZipFile, map_location: MapLocation) -> None:
        self.zf = zf
        self.entries = {info.filename: info for info in zf.infolist()}
        self.map_location = map_location
        self.storages: dict[str, Storage] = {}

    def read(self, entry: str) -> bytes:
        """All bytes of an entry."""
        self._check(entry)
        return self.zf.read(entry)

    def _check(self, entry: str) -> int:
        info = self.entries.get(entry)
        if info is None:
            raise Corrupt(f"entry {entry!r} is missing")
        if info.compress_type != 0:
            raise Corrupt(f"entry {entry!r} is compressed")
        return info.file_size

    def storage(self, entry: str, nbytes: int, location: str) -> Storage:
        """The storage with an entry's bytes, made once."""
        made = self.storages.get(entry)
        if made is not None:
            return made
        if type(nbytes) is not int or nbytes < 0 or not isinstance(location, str):
            raise Corrupt(f"storage {entry!r} is described wrongly: {nbytes!r} bytes on {location!r}")
        device = place(location, self.map_location)
        backend = backend_of(device)
        if location != "meta" and self._check(entry) < nbytes:
            raise Corrupt(f"entry {entry!r} has {self._check(entry)} bytes, not {nbytes}")
        made = self.storages[entry] = Storage.allocate(backend, nbytes, device)
        if location != "meta":
            with self.zf.open(entry) as file:
                for at in range(0, nbytes, CHUNK):
                    backend.copy_in(made.handle, at, file.read(min(CHUNK, nbytes - at)))
                file.read()  # to the end, where the checksum is compared
        return made

    def tensor(
        self,
        mem: Storage,
        dtype: DType,
        shape: Sequence[int],
        strides: Sequence[int],
        offset: int,
        requires_grad: bool,
    ) -> Tensor:
        """A tensor on a storage, after checking that it lies inside."""
        numbers = (*shape, *strides, offset)
        if (
            not all(type(n) is int for n in numbers)
            or any(n < 0 for n in shape)
            or len(shape) != len(strides)
        ):
            raise Corrupt(f"a tensor's geometry is invalid: shape {list(shape)}, strides {list(strides)}")
        spec = spec_of(dtype, tuple(shape), mem.device, tuple(strides))
        low, high = spec.extent()
        if spec.numel and not 0 <= offset + low <= offset + high < mem.nbytes // dtype.itemsize:
            raise Corrupt(f"a tensor of shape {list(shape)} lies outside its storage of {mem.nbytes} bytes")
        made = tensor_on(mem, spec, offset if spec.numel else 0)
        return made.requires_grad_() if requires_grad else made
