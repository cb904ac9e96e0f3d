"""Our own format: nested containers of numbers, strings and tensors in one file that holds no code.

The file is a zip archive, stored without compression: ``flambeau.json`` describes the object, ``data/<n>`` holds the
bytes of the n-th storage, little-endian. Tensors that share memory share it again when loaded; of a storage only
the part that the saved tensors cover is written.
"""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import IO, Any

from flambeau import Size, Tensor, tensor
from flambeau import device as Device
from flambeau import dtype as DType
from flambeau.plugin import DTYPES, Storage, backend_of

from .archive import CHUNK, Archive, Corrupt, MapLocation, opened

__all__ = ["HEADER", "load", "save"]

BY_NAME = {d.name: d for d in DTYPES}

#: The first entry of a file, by which it is recognised.
HEADER = "flambeau.json"
_VERSION = 1


def save(obj: Any, file: IO[bytes]) -> None:
    """Write an object."""
    content = _Content()
    try:
        root = content.encode(obj, "obj")
    except RecursionError:
        raise ValueError("[save] the object is nested too deeply. Flatten it.") from None
    content.write(file, root)


def load(file: IO[bytes], map_location: MapLocation) -> Any:
    """Read an object."""
    with opened(file, map_location) as archive:
        return _read(archive)


# Writing


class _Content:
    """What goes into a file: the description of tensors, and the parts of storages that they cover."""

    def __init__(self) -> None:
        self.tensors: list[dict[str, Any]] = []
        self.known: dict[int, int] = {}
        self.storages: dict[int, tuple[int, Storage]] = {}
        self.parts: list[list[int]] = []
        self.kept: list[Any] = []
        self.open: set[int] = set()

    def encode(self, obj: Any, path: str) -> Any:
        """An object as JSON: what JSON lacks becomes ``{kind: content}``."""
        if obj is None or isinstance(obj, (bool, str)):
            return obj if obj is None or isinstance(obj, bool) else str(obj)
        if isinstance(obj, int):
            return int(obj)
        if isinstance(obj, float):
            return float(obj) if math.isfinite(obj) else {"float": str(float(obj))}
        if isinstance(obj, complex):
            return {"complex": [obj.real.hex(), obj.imag.hex()]}
        if isinstance(obj, Tensor):
            plain = obj.resolve_conj().resolve_neg()
            if plain is not obj:
                self.kept.append(plain)
            return {"tensor": self.tensor(plain)}
        if isinstance(obj, DType):
            return {"dtype": obj.name}
        if isinstance(obj, Device):
            return {"device": str(obj)}
        if isinstance(obj, (bytes, bytearray)):
            return {"bytes": bytes(obj).hex()}
        kind = _KINDS.get(type(obj))
        if kind is not None:
            return self.container(obj, kind, path)
        if hasattr(obj, "__array_interface__"):
            return self.array(obj, path)
        raise TypeError(
            f"[save] can't store {path}: got {type(obj).__name__}, needed: {', '.join(_KINDS.values())}, numbers, "
            "strings, bytes, None, tensors, arrays, dtypes or devices. Of a module save its state_dict()."
        )

    def container(self, obj: Any, kind: str, path: str) -> Any:
        if id(obj) in self.open:
            raise ValueError(f"[save] can't store {path}: the object contains itself.")
        self.open.add(id(obj))
        if isinstance(obj, dict):
            items: list[Any] = [
                [self.encode(k, f"key {k!r} of {path}"), self.encode(v, f"{path}[{k!r}]")]
                for k, v in obj.items()
            ]
        else:
            items = [self.encode(v, f"{path}[{i}]") for i, v in enumerate(obj)]
        self.open.discard(id(obj))
        return items if kind == "list" else {kind: items}

    def array(self, obj: Any, path: str) -> Any:
        made = tensor(obj)
        self.kept.append(made)  # its identity stands for it until the end
        return {"array" if obj.shape else "number": self.tensor(made)}

    def tensor(self, t: Tensor) -> int:
        """The number of a tensor in the description."""
        index = self.known.get(id(t))
        if index is None:
            index = self.known[id(t)] = len(self.tensors)
            spec = t.spec
            low, high = spec.extent()
            start, stop = (t.offset + low) * spec.itemsize, (t.offset + high + 1) * spec.itemsize
            number, _ = self.storages.setdefault(id(t.mem), (len(self.storages), t.mem))
            if number == len(self.parts):
                self.parts.append([start, stop])
            elif stop > start:
                part = self.parts[number]
                part[:] = (min(part[0], start), max(part[1], stop)) if part[1] > part[0] else (start, stop)
            self.tensors.append({
                "dtype": spec.dtype.name, "shape": list(spec.shape), "strides": list(spec.strides),
                "storage": number, "offset": t.offset * spec.itemsize, "requires_grad": t.requires_grad,
            })  # fmt: skip
        return index

    def write(self, file: IO[bytes], root: Any) -> None:
        """Write the archive."""
        import json
        from zipfile import ZipFile, ZipInfo

        for part in self.parts:
            part[0] &= -64  # keeps every element aligned
        for t in self.tensors:
            start, stop = self.parts[t["storage"]]
            t["offset"] = t["offset"] - start if stop > start else 0
        storages = [
            {"device": str(mem.device), "nbytes": stop - start}
            for (_, mem), (start, stop) in zip(self.storages.values(), self.parts, strict=True)
        ]
        header = {
            "version": _VERSION,
            "byteorder": sys.byteorder,
            "storages": storages,
            "tensors": self.tensors,
        }
        header["root"] = root
        with ZipFile(file, "w") as zf:
            zf.writestr(ZipInfo(HEADER), json.dumps(header, allow_nan=False, separators=(",", ":")))
            for (number, mem), (start, stop) in zip(self.storages.values(), self.parts, strict=True):
                if mem.device.type != "meta":
                    with zf.open(ZipInfo(f"data/{number}"), "w", force_zip64=True) as entry:
                        for chunk in _chunks(mem, start, stop):
                            entry.write(chunk)


_KINDS: dict[type, str] = {
    list: "list", tuple: "tuple", Size: "size", dict: "dict", OrderedDict: "OrderedDict", set: "set",
    frozenset: "frozenset",
}  # fmt: skip


def _chunks(mem: Storage, start: int, stop: int) -> Iterator[Any]:
    backend = backend_of(mem.device)
    backend.synchronize(mem.device.slot)
    whole = backend.host_buffer(mem) if stop > start else None
    for at in range(start, stop, CHUNK):
        n = min(CHUNK, stop - at)
        yield (
            backend.copy_out(mem.handle, at, n) if whole is None else memoryview(whole).cast("B")[at : at + n]
        )


# Reading


def _read(archive: Archive) -> Any:
    import json

    header = json.loads(archive.read(HEADER))
    try:
        if header["version"] > _VERSION:
            raise Corrupt(f"it has version {header['version']}, this flambeau reads up to {_VERSION}")
        if header["byteorder"] != sys.byteorder:
            raise Corrupt(f"its byte order is {header['byteorder']}, this machine's is {sys.byteorder}")
        tensors = []
        for t in header["tensors"]:
            dtype = BY_NAME[t["dtype"]]
            part = header["storages"][t["storage"]]
            if t["offset"] % dtype.itemsize:
                raise Corrupt("a tensor is not aligned")
            mem = archive.storage(f"data/{t['storage']}", part["nbytes"], part["device"])
            offset = t["offset"] // dtype.itemsize
            tensors.append(archive.tensor(mem, dtype, t["shape"], t["strides"], offset, t["requires_grad"]))
        return _decode(header["root"], tensors)
    except (TypeError, AttributeError, IndexError) as e:
        raise Corrupt(f"its description is invalid ({e})") from e


def _decode(node: Any, tensors: list[Tensor]) -> Any:
    if isinstance(node, list):
        return [_decode(item, tensors) for item in node]
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    if kind in ("tensor", "array", "number"):
        t = tensors[content]
        return t if kind == "tensor" else t.item() if kind == "number" else t.numpy(force=True)
    if kind in ("dict", "OrderedDict"):
        pairs = ((_decode(k, tensors), _decode(v, tensors)) for k, v in content)
        return dict(pairs) if kind == "dict" else OrderedDict(pairs)
    make = _MAKERS.get(kind)
    if make is not None:
        return make(content)
    for container, name in _KINDS.items():
        if name == kind:
            return container(_decode(content, tensors))
    raise Corrupt(f"unknown kind {kind!r}; perhaps a newer flambeau wrote it")


_MAKERS: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "complex": lambda parts: complex(float.fromhex(parts[0]), float.fromhex(parts[1])),
    "bytes": bytes.fromhex,
    "dtype": lambda name: BY_NAME[name],
    "device": Device,
}
