"""Tables: the records of ops by name, the backends by device type."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import fallback, plugins
from .backend import CONTRACT, Backend
from .devices import Device
from .errors import BackendError, DeviceUnavailable, refuse

if TYPE_CHECKING:
    from .op import Op

__all__ = [
    "FUNCTIONS", "INSTALLERS", "OPS", "SAMPLES", "add_samples", "backend_of", "force_defaults", "forget_plans",
    "loaded_backends", "register_backend",
]  # fmt: skip

#: All records by name.
OPS: dict[str, Op] = {}
#: The functions that records have given to the top level.
FUNCTIONS: dict[str, Callable[..., Any]] = {}
#: Called with every record that is made later.
INSTALLERS: list[Callable[[Op], None]] = []
#: Modules with sample calls of plugins' records (see `flambeau.testing.samples.Samples`).
SAMPLES: list[str] = []


def add_samples(module: str) -> None:
    """Name the module whose ``SAMPLES`` are the sample calls of a plugin's records; conformance tests import it."""
    SAMPLES.append(module)


_backends: dict[str, Backend] = {}
#: Settings that plans depend on.
settings: dict[str, bool] = {"force_defaults": os.environ.get("FLAMBEAU_FORCE_DEFAULTS") == "1"}


def forget_plans() -> None:
    """Drop every prepared call, after a setting that they depend on has changed."""
    from .plan import CACHES

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
    if held is backend:
        return
    if held is not None:
        wrong = f"device type {backend.name!r} is taken: by {_name(type(held))}, asked for by {_name(type(backend))}"
        refuse("register_backend", wrong, do="Choose another name.", error=BackendError)
    _check_contract(backend.name, backend.contract)
    fallback.guard(backend)
    _backends[backend.name] = backend
    forget_plans()


def _check_contract(name: str, spoken: Any) -> None:
    if not (isinstance(spoken, tuple) and len(spoken) == 2 and all(type(part) is int for part in spoken)):
        wrong = f"backend {name!r} doesn't say which contract it speaks: got {spoken!r}"
        refuse("device", f"{wrong}, needed: a pair of integers such as (1, 0)", error=BackendError)
    if spoken[0] != CONTRACT[0] or spoken[1] > CONTRACT[1]:
        mine, theirs = (".".join(map(str, c)) for c in (CONTRACT, spoken))
        wrong = f"backend {name!r} speaks contract {theirs}, this flambeau speaks {mine}"
        refuse("device", wrong, do="Install versions of both that agree.", error=BackendError)


def loaded_backends() -> dict[str, Backend]:
    """The backends loaded so far."""
    return dict(_backends)


def backend_of(device: Device) -> Backend:
    """The backend of a device, loaded on first use.

    Raises:
        BackendError: no plugin provides the device, its plugin fails to load, or it has no such index.
    """
    backend = _backends.get(device.type) or _load(device.type)
    if device.index and device.index >= backend.device_count():
        wrong = f"no device {device}: {backend.name!r} has {backend.device_count()} device(s), counted from 0"
        refuse("device", wrong, error=BackendError)
    return backend


def _load(name: str) -> Backend:
    if name in plugins.BUILT_IN:
        plugins.warn_of_built_in(name)
    backend: Any
    if name == "meta":
        from .meta import MetaBackend

        backend = MetaBackend()
    elif name in ("reference", "cpu"):
        backend = _reference() if name == "reference" else _load_cpu()
    else:
        backend = plugins.load_backend_entry(name)
    kind = backend if isinstance(backend, type) else type(backend)
    if not issubclass(kind, Backend):
        wrong = f"the entry point of device {name!r} is not a Backend: got {kind.__name__}"
        do = "It must name a flambeau.plugin.Backend subclass or instance."
        refuse("device", wrong, do=do, error=BackendError)
    _check_contract(name, kind.contract)
    if missing := sorted(kind.__abstractmethods__):
        wrong = f"backend {name!r} lacks required entries: got {_name(kind)} without {', '.join(missing)}"
        do = "Implement them; those that compute may be named in `lacks` instead."
        refuse("device", wrong, do=do, error=BackendError)
    if backend is kind:
        try:
            backend = kind()
        except DeviceUnavailable:  # it has said why
            raise
        except Exception as error:  # whatever a plugin raises is told as its failure
            wrong = f"backend {name!r} didn't start: {_name(kind)}() raised {type(error).__name__}: {error}"
            raise BackendError(f"[device] {wrong}. `flambeau doctor` shows it.") from error
    made: Backend = backend
    if made in _backends.values():
        wrong = f"device {name!r} has the backend object of device {made.name!r}: {_name(kind)}"
        refuse("device", wrong, do="Give each device type an object of its own.", error=BackendError)
    made.name = name
    register_backend(made)
    return made


def _load_cpu() -> Any:
    try:
        return plugins.load_backend_entry("cpu")
    except BackendError as e:
        if plugins.has_backend_entry("cpu"):
            slow = "The NumPy reference backend computes on device 'cpu' instead (slow)."
            warnings.warn(f"{str(e).removesuffix('.')}. {slow}", RuntimeWarning, 3)
    return _reference()


def _reference() -> Any:
    from .reference import ReferenceBackend

    return ReferenceBackend()


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
