"""The hooks: where many plugins may answer one question. For registration and events, never per op.

A plugin names the hook in an entry point, ``"<any name>.<hook>" = "module"`` in the group ``flambeau.hooks``, and
implements it in that module::

    from flambeau.hooks import hookimpl

    @hookimpl
    def register_datasets(registry):
        registry.add("birds", Birds)

The first call of a hook imports the modules that name this hook and no others. A module that can't be imported,
misspells a hook or fails is left out and reported by one warning; the other plugins are called all the same.
``FLAMBEAU_TRACE_HOOKS=1`` prints every call.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import plugins
from .errors import refuse
from .plugins import PluginWarning

if TYPE_CHECKING:
    import pluggy

    hookimpl: pluggy.HookimplMarker

__all__ = [
    "HookSpecs", "PluginWarning", "Registry", "datasets", "formats", "hookimpl", "providers", "refresh",
    "register_ops",
]  # fmt: skip


class Registry:
    """What plugins have registered under names.

    Args:
        kind: what is registered, for messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.source = "this program"  # whose hook is being called
        self._made: dict[str, Any] = {}
        self._sources: dict[str, str] = {}
        self._clashes: dict[str, str] = {}

    def add(self, name: str, made: Any) -> None:
        """Register something under a name.

        Raises:
            PluginError: the name is taken; the message names both plugins.
        """
        if self._made.setdefault(name, made) is not made:
            both = f"got {self._sources[name]} and {self.source}, needed: one"
            clash = f"[hooks] {self.kind} {name!r} is registered twice: {both}. Uninstall or rename one."
            self._clashes[name] = clash
            raise plugins.PluginError(clash)
        self._sources.setdefault(name, self.source)

    def __getitem__(self, name: str) -> Any:
        if name in self._clashes:
            raise plugins.PluginError(self._clashes[name])
        if name not in self._made:
            failed = ", ".join(str(entry) for entry in plugins.entries("hooks") if entry in plugins.failures)
            wrong = f"no {self.kind} of that name: got {name!r}, needed: one of {', '.join(self) or 'none'}"
            do = f"Plugins left out: {failed}; see `flambeau doctor`." if failed else ""
            refuse("hooks", wrong, do=do, error=LookupError)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._made))

    def __len__(self) -> int:
        return len(self._made)

    def __contains__(self, name: object) -> bool:
        return name in self._made


class HookSpecs:
    """Every hook, with its exact arguments."""

    def register_datasets(self, registry: Registry) -> None:
        """Called at the first use of :func:`datasets`.

        Args:
            registry: takes ``registry.add(name, make)``; ``make(**options)`` gives a data set.
        """

    def register_formats(self, registry: Registry) -> None:
        """Called at the first use of :func:`formats`: the first `flambeau.save` or `flambeau.load`.

        Args:
            registry: takes ``registry.add(name, format)`` with a `flambeau.io.Format`.
        """

    def register_ops(self) -> None:
        """Called when a name of an operator isn't found, or all operators are needed: imports the plugin's records.

        Making a record (see `flambeau.plugin`) registers it. The first part of the entry's name is the plugin's.
        """


_manager: pluggy.PluginManager | None = None
_registries: dict[str, Registry] = {}


def datasets() -> Registry:
    """The data sets that plugins provide, by name.

    >>> "digits" in datasets()
    True
    """
    return _filled("register_datasets", "data set")


def formats() -> Registry:
    """The file formats that plugins provide, by name.

    >>> "safetensors" in formats()
    True
    """
    return _filled("register_formats", "file format")


def _filled(hook: str, kind: str) -> Registry:
    if hook not in _registries:
        made = Registry(kind)
        _call(hook, registry=made)
        _registries[hook] = made
    return _registries[hook]


def providers(hook: str) -> list[str]:
    """The first parts of the names of entries that name a hook."""
    split = [entry.name.rpartition(".") for entry in plugins.entries("hooks")]
    return [first for first, _, asked in split if asked == hook]


def register_ops(names: list[str]) -> None:
    """Let the plugins with these entries, ``<name>.register_ops``, register the records of their operators."""
    _call("register_ops", names)


def refresh() -> None:
    """Forget what plugins have registered; the next use asks them again."""
    global _manager
    _manager = None
    _registries.clear()
    plugins.refresh()


def _call(hook: str, only: list[str] | None = None, **arguments: Any) -> None:
    """Call a hook in every plugin that names it, or in those of the entries in `only`.

    One that fails is left out, remembered and warned about.
    """
    manager = _plugin_manager()
    failed: list[str] = []
    for entry in plugins.entries("hooks"):
        first, _, asked = entry.name.rpartition(".")
        if only is not None and first not in only:
            continue
        try:
            if not hasattr(HookSpecs, asked):
                raise plugins.PluginError(f"there is no hook {asked!r}{_similar(asked)}")
            if asked == hook:
                _register(manager, plugins.load(entry), hook)
                if "registry" in arguments:
                    arguments["registry"].source = str(entry)
                others = [module for name, module in manager.list_name_plugin() if name != entry.value]
                manager.subset_hook_caller(hook, others)(**arguments)
        except Exception as error:  # a plugin's failure is its own
            reason = error.__cause__ if error.__cause__ is not None else error
            plugins.failures.setdefault(entry, error)
            failed.append(f"[hooks] plugin left out: {entry}: {type(reason).__name__}: {reason}")
    for text in failed:
        warnings.warn(PluginWarning(text), stacklevel=3)


def _register(manager: pluggy.PluginManager, module: Any, hook: str) -> None:
    name = module.__name__
    if manager.has_plugin(name):
        return
    marked = [key for key in vars(module) if manager.parse_hookimpl_opts(module, key) is not None]
    for key in marked:
        spec = getattr(HookSpecs, key, None)
        if spec is None:
            raise plugins.PluginError(f"there is no hook {key!r}{_similar(key)}")
        codes = getattr(module, key).__code__, spec.__code__
        given, known = (code.co_varnames[: code.co_argcount] for code in codes)
        if not set(given) <= set(known[1:]):
            got, need = (f"{key}({', '.join(names)})" for names in (given, known[1:]))
            raise plugins.PluginError(f"{name}.{key} has other arguments: got {got}, needed: {need}")
    if hook not in marked:
        raise plugins.PluginError(f"{name} has no @hookimpl {hook}")
    manager.register(module, name)


def _plugin_manager() -> pluggy.PluginManager:
    global _manager
    if _manager is None:
        import pluggy

        manager = pluggy.PluginManager("flambeau")
        mark = pluggy.HookspecMarker("flambeau")
        for name, spec in vars(HookSpecs).items():
            if not name.startswith("_"):
                mark(spec)
        manager.add_hookspecs(HookSpecs)
        if os.environ.get("FLAMBEAU_TRACE_HOOKS", "0") != "0":
            manager.add_hookcall_monitoring(_trace, lambda *_: None)
        _manager = manager
    return _manager


def _trace(hook: str, impls: Any, arguments: Any) -> None:
    print(f"flambeau hook {hook}: {', '.join(impl.plugin_name for impl in impls)}", file=sys.stderr)


def _similar(name: str) -> str:
    import difflib

    known = [spec for spec in vars(HookSpecs) if not spec.startswith("_")]
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(known)}"


def __getattr__(name: str) -> Any:
    if name != "hookimpl":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pluggy

    return pluggy.HookimplMarker("flambeau")
