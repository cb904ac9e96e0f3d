"""What is installed beside the core: finds entry points by its own scan and loads them by name, on first use.

A plugin declares in its ``pyproject.toml`` what it offers::

    [project.entry-points."flambeau.backends"]      # a device type and the object that is its backend
    npu = "flambeau_npu:backend"
    [project.entry-points."flambeau.namespaces"]    # flambeau.audio and the module that it stands for
    audio = "flambeau_audio"
    [project.entry-points."flambeau.hooks"]         # <any name>.<hook> and the module that implements the hook
    "audio.register_datasets" = "flambeau_audio._hooks"

Nothing is imported before it is asked for by name, so a broken plugin harms neither ``import flambeau`` nor another
plugin; what went wrong is remembered and told where the plugin is used. The scan reads ``entry_points.txt`` files
itself because importing ``importlib.metadata`` takes longer than the scan.

Environment: ``FLAMBEAU_PLUGIN_AUTOLOAD=0`` leaves out everything that is installed; ``FLAMBEAU_PLUGINS`` adds entries
and replaces installed ones of the same name: ``backends/npu=my_npu:backend,hooks/x.register_datasets=my_hooks``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

from .devices import BUILT_IN
from .errors import BackendError, refuse

__all__ = [
    "BUILT_IN", "Entry", "PluginError", "PluginWarning", "entries", "failures", "find", "has_backend_entry",
    "install_command", "load", "load_backend_entry", "refresh", "status", "warn_of_built_in",
]  # fmt: skip


class PluginError(RuntimeError):
    """A plugin is declared wrongly or twice, or failed to load."""


class PluginWarning(UserWarning):
    """A plugin was left out; the message says which and why."""


class Entry(NamedTuple):
    """One entry point.

    Args:
        group: ``backends``, ``namespaces`` or ``hooks``.
        name: what it provides.
        value: where that is: ``module`` or ``module:attribute``.
        dist: the distribution that declares it, or ``FLAMBEAU_PLUGINS``.
        version: the distribution's version.
    """

    group: str
    name: str
    value: str
    dist: str
    version: str

    def __str__(self) -> str:
        return f"{self.dist} {self.version} ({self.value})" if self.version else f"{self.dist} ({self.value})"

    def __repr__(self) -> str:
        return f"Entry({self.group}/{self.name} = {self})"

    def mend(self) -> str:
        """The command that most likely mends a plugin that doesn't load."""
        if not self.version:
            return f"correct the environment variable {self.dist}"
        return f"pip install --force-reinstall {self.dist}=={self.version}"

    def told(self, cause: Exception) -> str:
        """Why it doesn't load, in a sentence, and what would mend it; our own errors say that themselves."""
        text = f"{self} raised {type(cause).__name__}: {str(cause).removesuffix('.')}."
        return text if isinstance(cause, (PluginError, BackendError)) else f"{text} To mend it: {self.mend()}"


#: What failed to load.
failures: dict[Entry, Exception] = {}

_loaded: dict[Entry, Any] = {}
_loading: list[Entry] = []
_found: dict[str, dict[str, list[Entry]]] = {}
_found_for: tuple[list[str], str | None, str | None] | None = None


def _installed() -> Iterator[Entry]:
    seen: set[str] = set()
    for folder in sys.path:
        try:
            with os.scandir(folder or ".") as listing:
                infos = [item for item in listing if item.name.endswith(".dist-info")]
        except OSError:  # a zip file, or a folder that isn't there
            continue
        for info in infos:
            dist, _, version = info.name[: -len(".dist-info")].partition("-")
            dist = dist.replace("_", "-").lower()
            if dist in seen:  # hidden by a folder that stands earlier in sys.path
                continue
            seen.add(dist)
            try:
                with open(os.path.join(info.path, "entry_points.txt"), encoding="utf-8") as file:
                    text = file.read()
            except OSError:  # most distributions have no entry points
                continue
            if "[flambeau." in text:
                yield from _parse(text, dist, version)


def _parse(text: str, dist: str, version: str) -> Iterator[Entry]:
    group = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            group = line[1:-1].strip()
        elif line and line[0] not in "#;" and group.startswith("flambeau."):
            name, _, value = line.partition("=")
            place = value.partition("[")[0].strip()
            yield Entry(group.removeprefix("flambeau."), name.strip(), place, dist, version)


def _declared(text: str) -> Iterator[Entry]:
    for item in filter(None, (part.strip() for part in text.split(","))):
        group, slash, rest = item.partition("/")
        name, equals, value = rest.partition("=")
        if not (slash and equals and group and name and value):
            wrong = f"not an entry in the environment variable FLAMBEAU_PLUGINS: got {item!r}"
            need = "group/name=module:attribute, such as backends/npu=my_npu:backend"
            refuse("plugins", f"{wrong}, needed: {need}", error=PluginError)
        yield Entry(group.strip(), name.strip(), value.strip(), "FLAMBEAU_PLUGINS", "")


def _scan() -> dict[str, dict[str, list[Entry]]]:
    global _found, _found_for
    autoload, declared = os.environ.get("FLAMBEAU_PLUGIN_AUTOLOAD"), os.environ.get("FLAMBEAU_PLUGINS")
    key = (sys.path.copy(), autoload, declared)
    if key != _found_for:
        found: dict[str, dict[str, list[Entry]]] = {}
        for entry in sorted(_installed(), key=lambda e: e.dist) if autoload != "0" else ():
            found.setdefault(entry.group, {}).setdefault(entry.name, []).append(entry)
        for entry in _declared(declared or ""):
            found.setdefault(entry.group, {})[entry.name] = [entry]
        _found, _found_for = found, key
    return _found


def refresh() -> None:
    """Forget what was found and what failed; what has been loaded stays loaded."""
    global _found_for
    _found_for = None
    failures.clear()


def entries(group: str) -> list[Entry]:
    """Every entry of a group, sorted by name."""
    return [entry for _, found in sorted(_scan().get(group, {}).items()) for entry in found]


def find(group: str, name: str) -> Entry | None:
    """The entry of that name, or None.

    Raises:
        PluginError: more than one distribution provides it.
    """
    found = _scan().get(group, {}).get(name, ())
    if len(found) > 1:
        wrong = f"[plugins] {group}/{name} is provided more than once: got {' and '.join(map(str, found))}"
        do = f"Uninstall one: {', or '.join(f'pip uninstall {e.dist}' for e in found)}"
        raise PluginError(f"{wrong}, needed: one. {do}")
    return found[0] if found else None


def load(entry: Entry) -> Any:
    """The object that an entry names; imported at the first call, a failure is remembered.

    Raises:
        PluginError: it couldn't be imported, now or before; the message says why and what would mend it.
    """
    if entry in _loaded:
        return _loaded[entry]
    what = f"{entry.group}/{entry.name}"
    if entry not in failures:
        if entry in _loading:
            loop = [*_loading[_loading.index(entry) :], entry]
            way = " -> ".join(f"{e.group}/{e.name} ({e.value})" for e in loop)
            do = "Don't use the device or namespace where its own modules are imported."
            refuse(
                "plugins",
                f"{what} asks for itself while it is being imported: {way}",
                do=do,
                error=PluginError,
            )
        _loading.append(entry)
        try:
            value = _loaded[entry] = _import(entry)
            return value
        except Exception as error:  # whatever a plugin raises is its own failure and nobody else's
            failures[entry] = error
        except SystemExit as error:
            failures[entry] = RuntimeError(f"it called exit({error})")
        finally:
            _loading.pop()
    cause = failures[entry]
    raise PluginError(f"[plugins] {what} failed to load: {entry.told(cause)}") from cause


def _import(entry: Entry) -> Any:
    module, _, path = entry.value.partition(":")
    value: Any = import_module(module)
    for attribute in filter(None, path.split(".")):
        value = getattr(value, attribute)
    return value


def warn_of_built_in(device: str) -> None:
    """Warn of plugins that declare a device type that the core itself provides; they are left out."""
    for entry in _scan().get("backends", {}).get(device, ()):
        import warnings

        why = f"device type {device!r} is built in"
        failures.setdefault(entry, PluginError(f"{why}; rename it in the plugin"))
        text = f"[plugins] plugin left out: {entry}: {why}. Rename it in the plugin."
        warnings.warn(PluginWarning(text), stacklevel=5)


def has_backend_entry(name: str) -> bool:
    """Whether an installed plugin says that it provides a device type; whether it loads is another question."""
    return name in _scan().get("backends", {})


def load_backend_entry(name: str) -> Any:
    """The backend object that a plugin provides for a device type.

    Raises:
        BackendError: no plugin provides it, several do, or it failed to load.
    """
    try:
        entry = find("backends", name)
        if entry is not None:
            return load(entry)
    except PluginError as error:
        raise BackendError(str(error)) from error.__cause__
    known = ", ".join(other.name for other in entries("backends")) or "none"
    off = os.environ.get("FLAMBEAU_PLUGIN_AUTOLOAD") == "0"
    command = "Unset FLAMBEAU_PLUGIN_AUTOLOAD." if off else install_command(name)
    wrong = f"[device] no plugin provides device {name!r}: needed: one of the installed backends ({known})"
    raise BackendError(f"{wrong}. {command or '`flambeau doctor` lists what is installed.'}")


def install_command(name: str) -> str:
    """How to install the backend of a device type, as a sentence; empty where no extra of ours provides it."""
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        extras = metadata("flambeau").get_all("Provides-Extra") or []
    except PackageNotFoundError:  # run from the sources, not installed
        extras = []
    for extra in extras:
        if extra.rstrip("0123456789") == name:  # flambeau[cuda12] provides "cuda"
            return f"Install it: pip install 'flambeau[{extra}]'"
    return ""


def status(entry: Entry) -> str:
    """``loaded``, ``not loaded`` (nobody asked for it yet) or ``failed: why``."""
    if entry.group != "hooks":
        try:
            find(entry.group, entry.name)
        except PluginError as error:
            return f"failed: {error}"
    if entry in failures:
        return f"failed: {type(failures[entry]).__name__}: {failures[entry]}"
    if entry in _loaded or (entry.group == "namespaces" and entry.value in sys.modules):
        return "loaded"
    return "not loaded"
