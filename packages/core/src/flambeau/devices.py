"""Names of devices: a type and an index. What stands behind a name is the registry's business."""

from __future__ import annotations

from typing import Any

__all__ = ["BUILT_IN", "Device", "device_stack"]

#: Device types that plugins can't provide because the core does.
BUILT_IN = frozenset({"meta", "reference"})
#: Types of which there is one, in the host's memory or in none: their names take no index.
_HOST = BUILT_IN | {"cpu"}
#: Devices entered by ``with flambeau.device(...)``; the last one is where creation functions create.
device_stack: list[Device] = []


class Device:
    """A device such as ``cpu`` or ``cuda:1``; also a context manager that sets where tensors are created.

    Args:
        type: the device's type, optionally with an index: ``"cuda:1"``.
        index: the index, where the type has none.

    >>> Device("cuda:1").index
    1
    """

    __slots__ = ("home", "index", "slot", "type")
    _known: dict[tuple[str, int | None], Device] = {}
    type: str
    index: int | None
    slot: int
    #: Where tensors of this name are: with an index, but on the host. `flambeau.cuda.set_device` may move it.
    home: Device

    def __new__(cls, type: Any = "cpu", index: int | None = None) -> Device:
        if isinstance(type, Device):
            return type
        if isinstance(type, int):
            type, index = "cuda", type
        found = cls._known.get((type, index))
        if found is not None:
            return found
        name, sep, number = type.partition(":") if isinstance(type, str) else ("", "", "")
        if not name or (sep and not number.isdigit()) or (sep and index is not None):
            need = "a device type with an optional index, such as 'cpu' or 'cuda:1'"
            raise RuntimeError(f"[device] not a device: got {type!r}, needed: {need}.")
        if sep:
            index = int(number)
        self = cls._known.get((name, index))
        if self is None:
            self = object.__new__(cls)
            self.type, self.index, self.slot = name, index, index or 0
            cls._known[name, index] = self
            self.home = self if index is not None or name in _HOST else cls(name, 0)
        return self

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (f", index={self.index})" if self.index is not None else ")")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Device, (str(self),))

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self) >> 4

    def __enter__(self) -> Device:
        device_stack.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        device_stack.pop()
