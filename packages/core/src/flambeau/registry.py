"""Tables: the records of ops by name, the backends by device type."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import plugins
from .backend import CONTRACT, Backend
from .devices import Device
from .errors import BackendError

if TYPE_CHECKING:
    from .op import Op

__all__ = ["OPS", "backend_of", "force_defaults", "forget_plans", "loaded_backends", "register_backend"]

#: All records by name.
OPS: dict[str, Op] = {}

_backends: dict[str, Backend] = {}
#: Settings that plans depend on.
settings: dict[str, bool] = {"force_defaults": os.environ.get("FLAMBEAU_FORCE_DEFAULTS") == "1"}


def forget_plans() -> None:
    """Drop every prepared call, after a setting that they depend on has changed."""
    from .op import CACHES

    for cache in CACHES:
        cache.clear()


@contextmanager
def force_defaults(on: bool = True) -> Iterator[None]:
    """Inside, ops run their default implementation even where the backend has a native kernel."""
    before = settings["force_defaults"]
    settings["force_defaults"] = on
    forget_plans()
    try:
        yield
    finally:
        settings["force_defaults"] = before
        forget_plans()


def register_backend(backend: Backend) -> None:
    """Make a device type known in this process.

    Raises:
        BackendError: the type is taken, or the backend speaks another contract.
    """
    held = _backends.get(backend.name)
    if held is not None and held is not backend:
        raise BackendError(
            f"[register_backend] device type {backend.name!r} is taken: by {type(held).__module__}."
            f"{type(held).__qualname__}, asked for by {type(backend).__module__}.{type(backend).__qualname__}. "
            "Choose another name."
        )
    if backend.contract[0] != CONTRACT[0] or backend.contract[1] > CONTRACT[1]:
        mine, theirs = (".".join(map(str, c)) for c in (CONTRACT, backend.contract))
        raise BackendError(
            f"[device] backend {backend.name!r} speaks contract {theirs}, this flambeau speaks {mine}. "
            "Install versions of both that agree."
        )
    _backends[backend.name] = backend


def loaded_backends() -> dict[str, Backend]:
    """The backends loaded so far."""
    return dict(_backends)


def backend_of(device: Device) -> Backend:
    """The backend of a device, loaded on first use.

    Raises:
        BackendError: no plugin provides the device, its plugin fails to load, or it has no such index.
    """
    backend = _backends.get(device.type)
    if backend is None:
        backend = _load(device.type)
    if device.index and device.index >= backend.device_count():
        raise BackendError(
            f"[device] no device {device}: {backend.name!r} has {backend.device_count()} device(s), counted from 0."
        )
    return backend


def _load(name: str) -> Backend:
    if name == "meta":
        from .meta import MetaBackend

        backend: Any = MetaBackend()
    elif name == "reference":
        from .reference import ReferenceBackend

        backend = ReferenceBackend()
    elif name == "cpu":
        backend = _load_cpu()
    else:
        backend = plugins.load_backend_entry(name)
    if isinstance(backend, type):
        backend = backend()
    if not isinstance(backend, Backend):
        raise BackendError(
            f"[device] the entry point of device {name!r} is not a Backend: got {type(backend).__name__}. "
            "It must name a flambeau.backend.Backend subclass or instance."
        )
    backend.name = name
    register_backend(backend)
    return backend


def _load_cpu() -> Any:
    try:
        return plugins.load_backend_entry("cpu")
    except BackendError as e:
        if plugins.has_backend_entry("cpu"):
            warnings.warn(
                f"{e} The NumPy reference backend computes on device 'cpu' instead (slow).", RuntimeWarning, 3
            )
    from .reference import ReferenceBackend

    return ReferenceBackend()
