"""A buffer of a backend: who allocated it, how large it is, and how often it was written in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backend import Backend
    from .devices import Device

__all__ = ["Storage"]


class Storage:
    """Memory on a device, freed with its last owner.

    Attributes:
        handle: the backend's handle; an int address where the backend has addresses.
        nbytes: its size.
        device: where it is.
        version: how often it was written in place since it was made.
        free: the backend's ``free``, or None for foreign memory.
        owner: what keeps foreign memory alive.
        watch: None, or the latest in-place writers once the tape has saved a tensor that lies here; False: it was
            made in inference mode and is never saved.
    """

    __slots__ = ("__weakref__", "device", "free", "handle", "nbytes", "owner", "version", "watch")

    def __init__(self, handle: Any, nbytes: int, device: Device, free: Any, owner: Any = None) -> None:
        self.handle = handle
        self.nbytes = nbytes
        self.device = device
        self.free = free
        self.owner = owner
        self.version = 0
        self.watch: tuple[str, ...] | bool | None = None

    def __del__(self) -> None:
        free = self.free
        if free is not None:
            free(self.handle, self.nbytes, self.device.slot)

    @classmethod
    def allocate(cls, backend: Backend, nbytes: int, device: Device) -> Storage:
        """New, uninitialised memory."""
        return cls(backend.allocate(nbytes, device.slot), nbytes, device, backend.free)

    @classmethod
    def wrap(cls, handle: Any, nbytes: int, device: Device, owner: Any) -> Storage:
        """Foreign memory: ``owner`` is kept alive; nothing is freed here."""
        return cls(handle, nbytes, device, None, owner)
