"""What a module owns: tables of parameters, buffers and child modules, attributes that fill them, walks over them.

Each table keeps order and names; every registered value also stands in the instance's ``__dict__``, so that reading
``self.weight`` is a plain attribute lookup. `_enter` and `_remove` are the only writers of the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import flambeau as fb

from .parameter import Buffer, Parameter

if TYPE_CHECKING:
    from .module import Module

__all__ = ["Members"]

_TABLES = ("_parameters", "_buffers", "_modules")
#: Hooks ``hook(module, name, value)`` on every registration, by table; registered by `modules.module`.
REGISTRATION: dict[str, dict[int, Callable[..., Any]]] = {table: {} for table in _TABLES}


class Members:
    """The registration half of `Module`."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, fb.Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers_set: set[str]

    # -- tables -------------------------------------------------------------------------------------------------

    def _enter(self, table: str, name: str, value: Any) -> None:
        space = self.__dict__
        for other in _TABLES:
            if other != table:
                space[other].pop(name, None)
        if table != "_buffers":
            space["_non_persistent_buffers_set"].discard(name)
        space[table][name] = value
        space[name] = value

    def _register(self, table: str, name: str, value: Any) -> None:
        """Enter a value after the hooks of registration have seen it."""
        for hook in list(REGISTRATION[table].values()):
            changed = hook(self, name, value)
            value = value if changed is None else changed
        self._enter(table, name, value)

    def _remove(self, table: str, name: str) -> None:
        del self.__dict__[table][name]
        self.__dict__.pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def _check_name(self, kind: str, table: str, name: str) -> None:
        what = f"[register_{kind}] "
        if "_parameters" not in self.__dict__:
            raise AttributeError(_too_early(kind))
        if not isinstance(name, str):
            raise TypeError(f"{what}{kind} name should be a string: got {type(name).__name__}.")
        if "." in name:
            raise KeyError(f"{what}{kind} name can't contain a dot: got {name}.")
        if name == "":
            raise KeyError(f"{what}{kind} name can't be the empty string.")
        if name not in self.__dict__[table] and hasattr(self, name):
            raise KeyError(
                f"{what}attribute {name!r} already exists in {type(self).__name__}. Choose another name."
            )

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name`; ``None`` reserves the name and appears in no ``state_dict``."""
        self._check_name("parameter", "_parameters", name)
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"[register_parameter] cannot assign a {type(param).__name__} object to parameter {name!r}: "
                    "needed: nn.Parameter or None. Wrap it: nn.Parameter(tensor)."
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"[register_parameter] cannot assign a non-leaf Tensor to parameter {name!r}: it was computed by "
                    f"{param.grad_fn.name()}. Model parameters must be created explicitly; compute the value in "
                    "forward(), or detach it first."
                )
        self._register("_parameters", name, param)

    def register_buffer(self, name: str, tensor: fb.Tensor | None, persistent: bool = True) -> None:
        """Add a buffer (a tensor of the module's state that isn't trained) under `name`.

        Args:
            name: the attribute's name.
            tensor: the value, or ``None`` to reserve the name.
            persistent: whether ``state_dict`` has it.
        """
        self._check_name("buffer", "_buffers", name)
        if tensor is not None and not isinstance(tensor, fb.Tensor):
            raise TypeError(
                f"[register_buffer] cannot assign a {type(tensor).__name__} object to buffer {name!r}: "
                "needed: a Tensor or None."
            )
        self._register("_buffers", name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child module under `name`; it becomes an attribute."""
        if module is not None and not isinstance(module, Members):
            raise TypeError(
                f"[add_module] {type(module).__name__} is not a Module subclass: needed: nn.Module or None."
            )
        self._check_name("module", "_modules", name)
        self._register("_modules", name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    # -- attributes ---------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if isinstance(getattr(type(self), name, None), property):
            return object.__getattribute__(self, name)  # its getter failed: show that error, not this one
        if name not in _TABLES and "_parameters" not in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r} (Module.__init__() hasn't run: "
                "call super().__init__() first)",
                name=name,
                obj=self,
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        space = self.__dict__
        if isinstance(value, Parameter):
            if "_parameters" not in space:
                raise AttributeError(_too_early("parameter"))
            if name not in space["_parameters"]:
                self._drop_plain(name)
            self.register_parameter(name, value)
        elif isinstance(value, Members):
            if "_modules" not in space:
                raise AttributeError(_too_early("module"))
            self._register("_modules", name, value)
        elif "_parameters" not in space:
            if isinstance(value, Buffer):
                raise AttributeError(_too_early("buffer"))
            object.__setattr__(self, name, value)
        elif name in space["_parameters"]:
            if value is not None:
                raise TypeError(_wrong_kind(value, "parameter", name, "nn.Parameter or None expected"))
            self._register("_parameters", name, None)
        elif name in space["_modules"]:
            if value is not None:
                raise TypeError(_wrong_kind(value, "child module", name, "nn.Module or None expected"))
            self._register("_modules", name, None)
        elif isinstance(value, Buffer):
            if name not in space["_buffers"]:
                self._drop_plain(name)
            self.register_buffer(name, value, value.persistent)
        elif name in space["_buffers"]:
            if value is not None and not isinstance(value, fb.Tensor):
                raise TypeError(_wrong_kind(value, "buffer", name, "nn.Buffer, Tensor or None expected"))
            self._register("_buffers", name, value)
        else:
            object.__setattr__(self, name, value)

    def _drop_plain(self, name: str) -> None:
        """Take away what an instance attribute holds before a parameter or buffer takes its name."""
        for table in _TABLES:
            if name in self.__dict__[table]:
                self._remove(table, name)
                return
        self.__dict__.pop(name, None)

    def __delattr__(self, name: str) -> None:
        for table in _TABLES:
            if name in self.__dict__.get(table, ()):
                self._remove(table, name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted(name for name in object.__dir__(self) if not name[:1].isdigit())

    # -- walks --------------------------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Iterate over the module itself and all below it, with their paths."""
        memo = set() if memo is None else memo
        this: Module = self  # type: ignore[assignment]  # Module is the only subclass
        if this in memo:
            return
        if remove_duplicate:
            memo.add(this)
        yield prefix, this
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(
                    memo, f"{prefix}.{name}" if prefix else name, remove_duplicate
                )

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """Iterate over the module itself and all below it."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Iterate over the direct children with their names."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """Iterate over the direct children."""
        for _, module in self.named_children():
            yield module

    def _named_members(
        self, members: Callable[[Module], Any], prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        this: Any = [(prefix, self)]
        walk = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else this
        for path, module in walk:
            for name, value in members(module):
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield f"{path}.{name}" if path else name, value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Iterate over parameters with their paths.

        Args:
            prefix: put in front of every path.
            recurse: also those of the modules below.
            remove_duplicate: name a shared parameter once.
        """
        return self._named_members(
            lambda module: module._parameters.items(), prefix, recurse, remove_duplicate
        )

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Iterate over parameters, each once; an optimizer takes this."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, fb.Tensor]]:
        """Iterate over buffers with their paths; the arguments are `named_parameters`'s."""
        return self._named_members(lambda module: module._buffers.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[fb.Tensor]:
        """Iterate over buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    # -- lookup by path -----------------------------------------------------------------------------------------

    def get_submodule(self, target: str) -> Module:
        """The module at the path `target`; the empty path is the module itself.

        >>> from flambeau import nn
        >>> nn.Sequential(nn.Sequential(nn.ReLU())).get_submodule("0.0")
        ReLU()
        """
        module: Module = self  # type: ignore[assignment]
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(
                    f"[get_submodule] {type(module).__name__} has no attribute {name!r} in {target!r}."
                )
            module = getattr(module, name)
            if not isinstance(module, Members):
                raise AttributeError(f"[get_submodule] {name!r} in {target!r} is not an nn.Module.")
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` at the path `target`; with `strict` there must be one already."""
        path, _, name = target.rpartition(".")
        if not name:
            raise ValueError("[set_submodule] cannot set the submodule without a target name.")
        if not isinstance(module, Members):
            raise ValueError(f"[set_submodule] {type(module).__name__} is not an nn.Module.")
        parent = self.get_submodule(path)
        if strict or hasattr(parent, name):
            self.get_submodule(target)  # raises unless a module is there
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at the path `target`, such as ``"encoder.3.weight"``."""
        owner, name = self._owner("get_parameter", target)
        value = getattr(owner, name)
        if not isinstance(value, Parameter):
            raise AttributeError(f"[get_parameter] {name!r} in {target!r} is not an nn.Parameter.")
        return value

    def get_buffer(self, target: str) -> fb.Tensor:
        """The buffer at the path `target`, such as ``"bn1.running_mean"``."""
        owner, name = self._owner("get_buffer", target)
        value = owner._buffers.get(name)
        if value is None:
            raise AttributeError(f"[get_buffer] {name!r} in {target!r} is not a buffer.")
        return value

    def _owner(self, op: str, target: str) -> tuple[Module, str]:
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if not hasattr(owner, name):
            raise AttributeError(f"[{op}] {type(owner).__name__} has no attribute {name!r} in {target!r}.")
        return owner, name


def _too_early(kind: str) -> str:
    return (
        f"cannot assign {kind} before Module.__init__() call. Call super().__init__() first in your __init__."
    )


def _wrong_kind(value: Any, kind: str, name: str, expected: str) -> str:
    return f"cannot assign {type(value).__name__!r} as {kind} {name!r} ({expected})"
