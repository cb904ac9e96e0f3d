"""``flambeau doctor``: what is installed, what of it works, and what each device can do.

It loads every backend and asks every hook, so that what is broken shows; it exits with 1 if something is.
"""

from __future__ import annotations

import argparse
import platform
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import hooks, plugins, registry
from .backend import CONTRACT, Backend
from .devices import Device
from .errors import BackendError, DeviceUnavailable
from .fallback import explain_fallbacks
from .ops import late

__all__ = ["main", "report"]


def report() -> tuple[str, bool]:
    """The report, and whether everything works."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they would say stands in the report
        late.load()
        devices = list(_devices())
        registered = {"data sets": list(hooks.datasets()), "file formats": list(hooks.formats())}
        for entry in plugins.entries("namespaces"):
            if entry.name in _own_names():
                wrong = f"flambeau.{entry.name} is the core's own; rename it in the plugin"
                plugins.failures[entry] = plugins.PluginError(wrong)
            with suppress(plugins.PluginError):  # told by plugins.status
                if plugins.find("namespaces", entry.name):
                    plugins.load(entry)
    refused = {name for name, backend in devices if isinstance(backend, BackendError)}
    found = _plugins(refused)
    lines = [*_about(), "", "plugins", *_indent(found or ["none found"]), "", "devices"]
    for name, backend in devices:
        lines += _indent(_device(name, backend))
    known = [f"{kind}: {', '.join(names) or 'none'}" for kind, names in registered.items()]
    calls = f"fallbacks to the host: {sum(f.calls for f in explain_fallbacks())} calls"
    lines += ["", "registered", *_indent([*known, calls])]
    broken = any(isinstance(b, Exception) and not isinstance(b, DeviceUnavailable) for _, b in devices)
    return "\n".join(lines), not (broken or any(": failed: " in line for line in found))


def _about() -> Iterator[str]:
    yield f"flambeau {_version('flambeau')}, backend contract {_dotted(CONTRACT)}"
    yield f"Python {platform.python_version()}, NumPy {_version('numpy')}, {platform.platform()}"


def _own_names() -> set[str]:
    from . import __all__ as public
    from ._alias import FIRST_PARTY

    return {*public, *(path.stem for path in Path(__file__).parent.iterdir())} - set(FIRST_PARTY)


def _plugins(refused: set[str]) -> list[str]:
    lines = []
    for entry in [e for group in ("backends", "namespaces", "hooks") for e in plugins.entries(group)]:
        status = plugins.status(entry)
        if status == "loaded" and entry.group == "backends" and entry.name in refused:
            status = "loaded, but refused as a device: see below"
        lines.append(f"{entry.group}/{entry.name}: {entry}: {status}")
        failure = plugins.failures.get(entry)
        if failure is not None and not isinstance(failure, (plugins.PluginError, BackendError)):
            lines.append(f"  to mend it: {entry.mend()}")
    return lines


def _devices() -> Iterator[tuple[str, Backend | Exception]]:
    installed = [entry.name for entry in plugins.entries("backends")]
    for name in dict.fromkeys(["cpu", *installed, "reference", "meta", *registry.loaded_backends()]):
        try:
            yield name, registry.backend_of(Device(name))
        except Exception as error:  # a broken backend is what this is here to tell
            yield name, error


def _device(name: str, backend: Backend | Exception) -> Iterator[str]:
    if isinstance(backend, Exception):
        yield f"{name}: {type(backend).__name__}: {backend}"
        return
    kind = type(backend)
    count = backend.device_count()
    yield f"{name}: {kind.__module__}.{kind.__qualname__}, contract {_dotted(backend.contract)}, devices: {count}"
    for index in range(count):
        facts = {**backend.properties(index), **backend.memory_stats(index)}
        yield f"  {name}:{index}: " + ", ".join(f"{key} {_readable(value)}" for key, value in facts.items())
    declared = {key: value for key, value in backend.capabilities().items() if key != "dtypes"}
    yield "  declares: " + ", ".join(f"{key} {_listed(value)}" for key, value in declared.items())
    yield f"  dtypes: {_listed(backend.capabilities()['dtypes'])}"
    kernels = {op.native for op in registry.OPS.values() if op.default is not None}
    native = kernels & backend.natives
    yield f"  ops with a native kernel: {len(native)}, with their default: {len(kernels - native)}"


def _listed(value: Any) -> str:
    return ", ".join(value) or "nothing" if isinstance(value, list) else str(value)


def _readable(value: Any) -> str:
    return f"{value / 2**20:.1f} MiB" if isinstance(value, int) and value >= 2**20 else str(value)


def _version(dist: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(dist)
    except PackageNotFoundError:
        return "(not installed)"


def _dotted(version: Sequence[Any]) -> str:
    return ".".join(map(str, version))


def _indent(lines: Iterator[str] | list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report."""
    argparse.ArgumentParser(prog="flambeau doctor", description=__doc__).parse_args(arguments)
    text, well = report()
    print(text)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
