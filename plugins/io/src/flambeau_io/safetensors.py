"""The safetensors format: named tensors in one file that holds no code.

A file is the length of its header (8 bytes, little-endian), the header (JSON: a name's dtype, shape and where its
bytes begin and end, counted from the header's end; ``__metadata__`` may hold strings), and the bytes, row-major and
little-endian, without gaps (https://huggingface.co/docs/safetensors). Everything in a header is checked before
any of it is believed.
"""

from __future__ import annotations

import io
import json
import math
import os
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Any

import flambeau as fb
from flambeau import Size, Tensor
from flambeau.plugin import Storage, backend_of, spec_of, tensor_on

from .archive import CHUNK, Corrupt, MapLocation, place
from .replacing import written

__all__ = ["load", "load_file", "safe_open", "save", "save_file"]

#: A longer header is refused, as the format asks.
LONGEST_HEADER = 100_000_000
_METADATA = "__metadata__"
DTYPES = {
    "BOOL": fb.bool, "U8": fb.uint8, "I8": fb.int8, "U16": fb.uint16, "I16": fb.int16, "F16": fb.float16,
    "BF16": fb.bfloat16, "U32": fb.uint32, "I32": fb.int32, "F32": fb.float32, "U64": fb.uint64, "I64": fb.int64,
    "F64": fb.float64, "C64": fb.complex64,
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def save_file(
    tensors: Mapping[str, Tensor], filename: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors to a safetensors file, which is replaced only when all is on the disk.

    Args:
        tensors: the tensors by name, of any strides and on any device; each is written whole, also where two share
            memory.
        filename: a path.
        metadata: strings by name, to stand in the header.

    Raises:
        TypeError: a name or value of the wrong kind, or a dtype that the format doesn't have.
        OSError: the file can't be written; an existing file is unchanged.

    >>> import tempfile, flambeau as fb
    >>> path = tempfile.mkdtemp() + "/model.safetensors"
    >>> fb.io.save_file({"weight": fb.ones(2), "step": fb.tensor(3)}, path)
    >>> fb.io.load_file(path)
    {'step': tensor(3), 'weight': tensor([1., 1.])}
    """
    header, order = _plan(tensors, metadata)
    with written(filename, "save_file") as file:
        _write(file, header, order)


def write(tensors: Any, file: IO[bytes]) -> None:
    """Write named tensors to an open file: how `flambeau.save` writes this format."""
    if not isinstance(tensors, Mapping):
        raise TypeError(f"[save] safetensors takes a dict of tensors by name: got {type(tensors).__name__}.")
    _write(file, *_plan(tensors, None))


def read(file: IO[bytes], device: MapLocation) -> dict[str, Tensor]:
    """All tensors of an open file: how `flambeau.load` reads this format."""
    with safe_open(file, device=device) as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118


def save(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """What `save_file` would write, as bytes."""
    file = io.BytesIO()
    _write(file, *_plan(tensors, metadata))
    return file.getvalue()


def load_file(filename: str | os.PathLike[str], device: MapLocation = "cpu") -> dict[str, Tensor]:
    """All tensors of a safetensors file by name, in the order of their bytes.

    Args:
        filename: a path.
        device: where they go.

    Raises:
        RuntimeError: it is no such file, corrupted or truncated.
    """
    with open(filename, "rb") as file:
        return read(file, device)


def load(data: bytes) -> dict[str, Tensor]:
    """All tensors of a safetensors file that is in memory."""
    return read(io.BytesIO(data), "cpu")


class safe_open:
    """A safetensors file whose tensors are read when they are asked for; a context manager.

    Args:
        filename: a path, or a seekable binary file.
        framework: taken for compatibility.
        device: where tensors go.

    Raises:
        RuntimeError: it is no such file, corrupted or truncated.

    >>> import io, flambeau as fb
    >>> data = fb.io.safetensors.save({"a": fb.arange(4.)}, metadata={"made": "here"})
    >>> with fb.io.safe_open(io.BytesIO(data)) as file:
    ...     list(file.keys()), file.metadata(), file.get_slice("a")[1:3]
    (['a'], {'made': 'here'}, tensor([1., 2.]))
    """

    def __init__(
        self,
        filename: str | os.PathLike[str] | IO[bytes],
        framework: str = "flambeau",
        device: MapLocation = "cpu",
    ) -> None:
        self._device = place("cpu", device)
        self._file: IO[bytes]
        if isinstance(filename, (str, os.PathLike)):
            self._name, self._owned = os.fspath(filename), True
            self._file = open(filename, "rb")  # noqa: SIM115 (closed by __exit__)
        else:
            self._name, self._owned, self._file = getattr(filename, "name", "bytes"), False, filename
        try:
            self._metadata, self._entries, self._start = _read_header(self._file)
        except (Corrupt, ValueError, RecursionError) as e:
            self.__exit__()
            raise RuntimeError(
                f"[load_file] can't read {self._name!r}: {e}. The file is corrupted, truncated, or not in the "
                "safetensors format."
            ) from e

    def __enter__(self) -> safe_open:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        value: BaseException | None = None,
        tb: TracebackType | None = None,
    ) -> None:
        if self._owned:
            self._file.close()

    def keys(self) -> list[str]:
        """The names, in the order of their bytes."""
        return list(self._entries)

    def metadata(self) -> dict[str, str]:
        """The strings that stand in the header."""
        return dict(self._metadata)

    def get_tensor(self, name: str) -> Tensor:
        """A tensor.

        Raises:
            KeyError: there is none of that name.
        """
        dtype, shape, start, stop = self._entry(name)
        backend = backend_of(self._device)
        mem = Storage.allocate(backend, stop - start, self._device)
        self._file.seek(self._start + start)
        for at in range(0, stop - start, CHUNK):
            n = min(CHUNK, stop - start - at)
            data = self._file.read(n)
            if len(data) < n:
                raise RuntimeError(f"[load_file] {self._name!r} has become shorter while it was read.")
            backend.copy_in(mem.handle, at, data)
        return tensor_on(mem, spec_of(dtype, shape, self._device))

    def get_slice(self, name: str) -> _Slice:
        """A tensor that is read when it is indexed."""
        return _Slice(self, name, *self._entry(name)[:2])

    def _entry(self, name: str) -> tuple[Any, tuple[int, ...], int, int]:
        if name not in self._entries:
            raise KeyError(
                f"[load_file] no tensor {name!r} in {self._name!r}; there are: {', '.join(self._entries)}."
            )
        return self._entries[name]


class _Slice:
    def __init__(self, file: safe_open, name: str, dtype: Any, shape: tuple[int, ...]) -> None:
        self._file, self._name, self._dtype, self._shape = file, name, dtype, shape

    def get_shape(self) -> list[int]:
        """The whole tensor's shape."""
        return list(self._shape)

    def get_dtype(self) -> str:
        """The format's name of the dtype."""
        return NAMES[self._dtype]

    def __getitem__(self, index: Any) -> Tensor:
        return self._file.get_tensor(self._name)[index]


# Writing


def _plan(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None) -> tuple[bytes, list[Tensor]]:
    """The header with its length, and the tensors in the order of their bytes: aligned by falling size."""
    for name, t in tensors.items():
        if not isinstance(name, str) or name == _METADATA:
            raise TypeError(f"[save_file] a name must be a string other than {_METADATA!r}: got {name!r}.")
        if not isinstance(t, Tensor):
            raise TypeError(
                f"[save_file] the value of {name!r} must be a Tensor: got {type(t).__name__}. Of a module save its "
                "state_dict()."
            )
        if t.dtype not in NAMES:
            raise TypeError(
                f"[save_file] safetensors has no {t.dtype.name}: got tensor {name!r}. Convert it, or use flambeau.save."
            )
        if t.is_meta:
            raise TypeError(f"[save_file] {name!r} is on the meta device and has no values to write.")
    header: dict[str, Any] = {}
    if metadata:
        if not all(isinstance(s, str) for pair in metadata.items() for s in pair):
            raise TypeError(f"[save_file] metadata must be strings by name: got {dict(metadata)!r}.")
        header[_METADATA] = dict(metadata)
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    at = 0
    for name in order:
        t = tensors[name]
        header[name] = {
            "dtype": NAMES[t.dtype],
            "shape": list(t.shape),
            "data_offsets": [at, at + t.nbytes],
        }
        at += t.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, [tensors[name] for name in order]


def _write(file: IO[bytes], header: bytes, tensors: list[Tensor]) -> None:
    if sys.byteorder != "little":
        raise RuntimeError("[save_file] safetensors files are little-endian; this machine is not.")
    file.write(header)
    for t in tensors:
        dense = t.detach().contiguous()
        backend = backend_of(dense.device)
        backend.synchronize(dense.device.slot)
        start = dense.storage_offset() * dense.itemsize
        for at in range(start, start + dense.nbytes, CHUNK):
            file.write(backend.copy_out(dense.mem.handle, at, min(CHUNK, start + dense.nbytes - at)))


# Reading


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Corrupt("its header has a name twice")
    return found


def _read_header(file: IO[bytes]) -> tuple[dict[str, str], dict[str, tuple[Any, Size, int, int]], int]:
    """Metadata, entries (dtype, shape, first byte, last) in the order of their bytes, and where those begin."""
    if sys.byteorder != "little":
        raise Corrupt("its bytes are little-endian, this machine's are not")
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, LONGEST_HEADER):
        raise Corrupt(f"its header of {length} bytes doesn't fit into {size} bytes")
    text = file.read(length)
    if text[:1] != b"{":
        raise Corrupt("its header doesn't begin with '{'")
    header = json.loads(text.decode("utf-8"), object_pairs_hook=_once)
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise Corrupt("its metadata are not strings by name")
    entries = {}
    for name, entry in header.items():
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise Corrupt(f"the description of {name!r} is invalid: {entry!r}")
        dtype = DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
        if dtype is None:
            raise Corrupt(f"{name!r} has a dtype that is not known here: {entry['dtype']!r}")
        shape, offsets = entry["shape"], entry["data_offsets"]
        numbers = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [-1]
        if not all(type(n) is int and 0 <= n < 1 << 63 for n in numbers) or len(offsets) != 2:
            raise Corrupt(
                f"the description of {name!r} is invalid: shape {shape!r}, data_offsets {offsets!r}"
            )
        if offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
            raise Corrupt(
                f"{name!r} of shape {shape} {dtype.name} doesn't take bytes {offsets[0]} to {offsets[1]}"
            )
        entries[name] = (dtype, Size(shape), *offsets)
    entries = dict(sorted(entries.items(), key=lambda item: item[1][2:]))
    at = 0
    for name, (_, _, start, stop) in entries.items():
        if start != at:
            raise Corrupt(
                f"the bytes of {name!r} begin at {start}, not at {at} where the tensor before it ends"
            )
        at = stop
    if at != size - 8 - length:
        raise Corrupt(f"its tensors take {at} bytes, {size - 8 - length} are there")
    return metadata, entries, 8 + length
