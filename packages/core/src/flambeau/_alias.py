"""``flambeau.nn`` IS ``flambeau_nn``: one module object under two names. Imports ``plugins`` alone.

A namespace such as ``flambeau.nn`` lives in a distribution of its own. Two finders map names: the one in front
knows the first-party namespaces (their shim files in this package are for type checkers and never run), the one at
the end asks the entry points of the group ``flambeau.namespaces``, after everything else has failed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

from . import plugins

__all__ = ["FIRST_PARTY", "install", "module", "namespace"]

#: Namespaces that have shims here, and the module that each is; ``flambeau_<x>`` is in ``flambeau-<x>``.
FIRST_PARTY = {
    name: f"flambeau_{name}" for name in ("cuda", "data", "func", "io", "nn", "optim", "testing", "vision")
}
FIRST_PARTY |= {
    name: f"flambeau_math.{name}"
    for name in ("array_api", "distributions", "fft", "linalg", "masked", "signal", "special")
}
FIRST_PARTY["amp"] = "flambeau_optim.amp"

#: What a namespace is where its distribution isn't installed, for those that programs ask whether they are of use.
STAND_INS = {f"{__package__}.cuda": f"{__package__}._no_cuda"}

#: Modules that another distribution than their package's provides.
ELSEWHERE = {
    f"{__package__}.autograd.functional": "flambeau_func.functional",
    f"{__package__}.cuda.amp": "flambeau_optim.amp.cuda",
}

_PREFIX = __package__ + "."


class AliasFinder:
    """Finds ``flambeau.<name>.<rest>`` as ``<target>.<rest>``.

    Args:
        target: the module that a namespace's name stands for, or None.
    """

    def __init__(self, target: Callable[[str], str | None]) -> None:
        self.target = target

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_PREFIX):
            return None
        head, _, rest = fullname[len(_PREFIX) :].partition(".")
        top = ELSEWHERE.get(fullname) or self.target(head)
        if top is None:
            return None
        try:
            module = import_module(f"{top}.{rest}" if rest and fullname not in ELSEWHERE else top)
        except Exception as error:
            if not isinstance(error, ModuleNotFoundError) or error.name not in (top, top.partition(".")[0]):
                if rest or head in FIRST_PARTY or fullname in ELSEWHERE:
                    raise
                raise ImportError(_broken(head, error), name=fullname) from error
            stand_in = STAND_INS.get(fullname)
            if stand_in is None:
                raise ModuleNotFoundError(_not_installed(fullname, top), name=error.name) from None
            module = import_module(stand_in)
        return self.spec(fullname, module)

    def spec(self, fullname: str, module: ModuleType) -> ModuleSpec:
        """The spec under which a module that exists already is found by another name."""
        loader: Any = self  # has what the import system calls; importlib.abc is costly to import
        spec = ModuleSpec(fullname, loader, is_package=hasattr(module, "__path__"))
        spec.loader_state = (module, module.__spec__)
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module: ModuleType = spec.loader_state[0]
        return module

    def exec_module(self, module: ModuleType) -> None:
        alias = module.__spec__
        assert alias is not None
        own: ModuleSpec | None = alias.loader_state[1]
        module.__spec__ = own  # the import system has just put the alias there
        module.__loader__ = own.loader if own else None

    def get_code(self, fullname: str) -> CodeType | None:
        """The code of the module behind an alias, for ``python -m flambeau.nn.x``."""
        own: Any = import_module(fullname).__spec__
        code: CodeType | None = own.loader.get_code(own.name)
        return code


def _broken(name: str, error: Exception) -> str:
    entry = plugins.find("namespaces", name)
    assert entry is not None
    return f"flambeau.{name}: {entry.told(error)}"


def _not_installed(fullname: str, module: str) -> str:
    """Why an alias can't be followed to a module, and what would mend it."""
    head = fullname[len(_PREFIX) :].partition(".")[0]
    if head in FIRST_PARTY or fullname in ELSEWHERE:
        name = fullname if fullname in ELSEWHERE else _PREFIX + head
        extra = module.partition(".")[0].removeprefix("flambeau_")
        return f"{name} is not installed: pip install 'flambeau[{extra}]'"
    entry = plugins.find("namespaces", head)
    assert entry is not None
    return f"{fullname}: {entry} has no such module: {entry.mend()}"


def _third_party(name: str) -> str | None:
    entry = plugins.find("namespaces", name)
    return entry.value if entry and name not in FIRST_PARTY else None


def install() -> None:
    """Put the finders into ``sys.meta_path``, once."""
    if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, AliasFinder(FIRST_PARTY.get))
        sys.meta_path.append(AliasFinder(_third_party))


def namespace(name: str) -> ModuleType:
    """The namespace ``flambeau.<name>``; for the package's ``__getattr__``.

    Raises:
        AttributeError: there is no such namespace, or its distribution isn't installed; the message says which.
    """
    target = FIRST_PARTY.get(name) or _third_party(name)
    if target is None:
        raise AttributeError(f"module 'flambeau' has no attribute {name!r}")
    return module(name)


def module(name: str) -> ModuleType:
    """The module ``flambeau.<name>``, of this package or of a plugin.

    Raises:
        AttributeError: the plugin isn't installed; the message says which.
    """
    try:
        return import_module(_PREFIX + name)
    except ModuleNotFoundError as error:
        if "pip install" not in str(error):
            raise
        raise AttributeError(str(error)) from None
