"""Reads PyTorch's ``.pt`` archives without PyTorch and without running any code in them.

The pickle inside is decoded by a small machine of our own: it knows the opcodes that build containers, numbers and
strings, and calls nothing but the functions of the table `_GLOBALS`.
"""

from __future__ import annotations

import pickle
import pickletools
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import IO, Any

from flambeau import Size, Tensor
from flambeau import device as Device
from flambeau import dtype as DType
from flambeau.plugin import DTYPES, Storage, backend_of, spec_of

from .archive import Archive, Corrupt, MapLocation, opened

__all__ = ["load", "read"]


BY_NAME = {d.name: d for d in DTYPES}


class _Call:
    """A function that a file may call; ``bound`` ones take the machine first."""

    __slots__ = ("bound", "fn")

    def __init__(self, fn: Callable[..., Any], bound: bool = False) -> None:
        self.fn = fn
        self.bound = bound


class _Class:
    """A class that a file may name, and nothing more."""


class _StorageType:
    """The class of a typed storage; None: of untyped bytes."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: DType | None) -> None:
        self.dtype = dtype


class _Typed:
    """A storage, and the type that its class gave to its elements."""

    __slots__ = ("dtype", "mem")

    def __init__(self, mem: Storage, dtype: DType | None) -> None:
        self.mem = mem
        self.dtype = dtype


def load(file: IO[bytes], map_location: MapLocation) -> Any:
    """The object in a file that PyTorch's ``save`` has written."""
    with opened(file, map_location) as archive:
        pickles = [name for name in archive.entries if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise Corrupt(f"it has {len(pickles)} pickles")
        return read(archive, pickles[0].removesuffix("data.pkl"))


def read(archive: Archive, prefix: str) -> Any:
    """The object in a PyTorch archive whose entries begin with a prefix."""
    order = f"{prefix}byteorder"
    if order in archive.entries and archive.read(order) != b"little":
        raise ValueError("its bytes are big-endian")
    return _Machine(archive, prefix).run(archive.read(f"{prefix}data.pkl"))


class _Machine:
    def __init__(self, archive: Archive, prefix: str) -> None:
        self.archive = archive
        self.prefix = prefix
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, code: bytes) -> Any:
        """Decode a pickle."""
        for opcode, arg, _ in pickletools.genops(code):
            name = opcode.name
            if name == "STOP":
                return self.stack.pop()
            if name in _VALUES:
                self.stack.append(arg)
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name]())
            elif name not in _IGNORED:
                step = _STEPS.get(name)
                if step is None:
                    raise pickle.UnpicklingError(
                        f"[load] the file uses a pickle opcode that is not allowed: {name}."
                    )
                try:
                    step(self, arg)
                except (TypeError, AttributeError, IndexError) as e:
                    raise ValueError(f"its pickle is invalid ({name}: {e})") from e
        raise ValueError("its pickle ends early")

    def pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def collect(self, make: Callable[[list[Any]], Any]) -> None:
        made = make(self.pop_mark())
        self.stack.append(made)

    def mark(self, arg: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def put(self, arg: Any) -> None:
        self.memo[len(self.memo) if arg is None else arg] = self.stack[-1]

    def get(self, arg: int) -> None:
        self.stack.append(self.memo[arg])

    def tuple_of(self, n: int) -> None:
        self.stack[-n:] = [tuple(self.stack[-n:])]

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise TypeError("appends to something that is not a list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise TypeError("sets items of something that is not a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[key] = value

    def add_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, set):
            raise TypeError("adds to something that is not a set")
        target.update(items)

    def find(self, where: str) -> None:
        module, _, name = where.partition(" ")
        found = _GLOBALS.get(where) or (BY_NAME.get(name) if module == "torch" else None)
        if found is None:
            raise pickle.UnpicklingError(
                f"[load] the file needs {module}.{name}, which is not among what a file may name: tensors, parameters "
                "and Python's containers are. Save a state_dict with PyTorch instead of a whole object."
            )
        self.stack.append(found)

    def find_on_stack(self, arg: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.find(f"{module} {name}")

    def call(self, arg: Any) -> None:
        args = self.stack.pop()
        fn = self.stack.pop()
        if not isinstance(fn, _Call) or not isinstance(args, tuple):
            raise pickle.UnpicklingError(
                f"[load] the file calls what is not a function: {type(fn).__name__}."
            )
        self.stack.append(fn.fn(self, *args) if fn.bound else fn.fn(*args))

    def build(self, arg: Any) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, OrderedDict) and isinstance(state, dict) and "_metadata" in state:
            target._metadata = state["_metadata"]  # type: ignore[attr-defined]  # of a module's state_dict

    def persistent(self, arg: Any) -> None:
        kind, storage, key, location, n = self.stack.pop()
        if (
            kind != "storage"
            or not isinstance(storage, _StorageType)
            or not isinstance(key, str)
            or type(n) is not int
        ):
            raise TypeError("a storage is described wrongly")
        nbytes = n * (1 if storage.dtype is None else storage.dtype.itemsize)
        mem = self.archive.storage(f"{self.prefix}data/{key}", nbytes, location)
        self.stack.append(_Typed(mem, storage.dtype))

    def tensor(
        self, storage: _Typed, offset: int, size: Any, stride: Any, requires_grad: bool = False, hooks: Any = None,
        *rest: Any,
    ) -> Any:  # fmt: skip
        """A tensor; the dtype is the storage's, or given after the hooks; marks of conjugates may stand at the end."""
        dtype = storage.dtype if storage.dtype is not None else rest[0]
        if not isinstance(dtype, DType):
            raise TypeError("a tensor has no dtype")
        made = self.archive.tensor(
            storage.mem, dtype, tuple(size), tuple(stride), offset, bool(requires_grad)
        )
        marks = rest[-1] if rest and isinstance(rest[-1], dict) else {}
        for mark, change in (("conj", Tensor.conj_physical), ("neg", Tensor.neg)):
            if marks.get(mark):
                made = change(made.detach()).requires_grad_(bool(requires_grad))
        return made

    def parameter(self, data: Any, requires_grad: bool = True, *rest: Any) -> Any:
        return data.detach().requires_grad_(bool(requires_grad))

    def subclass(self, fn: Any, cls: Any, args: Any, state: Any) -> Any:
        self.stack += [fn, args]
        self.call(None)
        return self.stack.pop()

    def meta_tensor(self, dtype: DType, size: Any, stride: Any, requires_grad: bool = False) -> Any:
        device = Device("meta")
        low, high = spec_of(dtype, tuple(size), device, tuple(stride)).extent()
        mem = Storage.allocate(backend_of(device), (high - low + 1) * dtype.itemsize, device)
        return self.archive.tensor(mem, dtype, tuple(size), tuple(stride), -low, bool(requires_grad))


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How pickles of protocol 2 spell bytes."""
    return text.encode("latin1" if encoding == "latin1" else "utf-8")


_STORAGES = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
    "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
    "ComplexFloat": "complex64", "ComplexDouble": "complex128",
}  # fmt: skip
_BUILTINS: dict[str, Callable[..., Any]] = {
    "set": set, "frozenset": frozenset, "complex": complex, "bytearray": bytearray, "slice": slice,
}  # fmt: skip
#: What a file may name, as "module name".
_GLOBALS: dict[str, Any] = {
    "torch._utils _rebuild_tensor": _Call(_Machine.tensor, True),
    "torch._utils _rebuild_tensor_v2": _Call(_Machine.tensor, True),
    "torch._utils _rebuild_tensor_v3": _Call(_Machine.tensor, True),
    "torch._utils _rebuild_parameter": _Call(_Machine.parameter, True),
    "torch._utils _rebuild_parameter_with_state": _Call(_Machine.parameter, True),
    "torch._utils _rebuild_meta_tensor_no_storage": _Call(_Machine.meta_tensor, True),
    "torch._tensor _rebuild_from_type_v2": _Call(_Machine.subclass, True),
    "torch Tensor": _Class(),
    "torch.nn.parameter Parameter": _Class(),
    "torch Size": _Call(Size),
    "torch device": _Call(lambda *parts: Device(":".join(map(str, parts)))),
    "torch UntypedStorage": _StorageType(None),
    "torch.storage UntypedStorage": _StorageType(None),
    "collections OrderedDict": _Call(OrderedDict),
    "collections Counter": _Call(Counter),
    "_codecs encode": _Call(_encode),
    **{f"torch {name}Storage": _StorageType(BY_NAME[dtype]) for name, dtype in _STORAGES.items()},
    **{f"{m} {name}": _Call(fn) for name, fn in _BUILTINS.items() for m in ("builtins", "__builtin__")},
}
_IGNORED = frozenset(("PROTO", "FRAME"))
_VALUES = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
))  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set,
}  # fmt: skip
_STEPS: dict[str, Callable[[_Machine, Any], Any]] = {
    "MARK": _Machine.mark,
    "POP": lambda m, _: m.stack.pop(),
    "POP_MARK": lambda m, _: m.pop_mark(),
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    "PUT": _Machine.put, "BINPUT": _Machine.put, "LONG_BINPUT": _Machine.put, "MEMOIZE": _Machine.put,
    "GET": _Machine.get, "BINGET": _Machine.get, "LONG_BINGET": _Machine.get,
    "TUPLE": lambda m, _: m.collect(tuple),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "LIST": lambda m, _: m.collect(list),
    "FROZENSET": lambda m, _: m.collect(frozenset),
    "APPEND": lambda m, _: m.append([m.stack.pop()]),
    "APPENDS": lambda m, _: m.append(m.pop_mark()),
    "SETITEM": lambda m, _: m.set_items([m.stack.pop(), m.stack.pop()][::-1]),
    "SETITEMS": lambda m, _: m.set_items(m.pop_mark()),
    "ADDITEMS": lambda m, _: m.add_items(m.pop_mark()),
    "GLOBAL": _Machine.find,
    "STACK_GLOBAL": _Machine.find_on_stack,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
}  # fmt: skip
