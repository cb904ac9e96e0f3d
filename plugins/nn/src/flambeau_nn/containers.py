"""Modules that hold modules: Sequential, ModuleList, ModuleDict, Identity."""

from __future__ import annotations

import operator
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, cast, overload

import flambeau as fb

from .module import Module, _indent

__all__ = ["Identity", "ModuleDict", "ModuleList", "Sequential"]


class Identity(Module):
    """Gives its input back. Any arguments are taken and ignored.

    Shape: any, the same.

    >>> from flambeau import nn
    >>> nn.Identity(54, unused=True)(fb.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Return `input`."""
        return input


class _Numbered(Module):
    """What Sequential and ModuleList share: children named "0", "1", ... in list order."""

    _modules: dict[str, Module]  # type: ignore[assignment]  # a list has no gaps

    def _list(self) -> list[Module]:
        return list(self._modules.values())

    def _rebuild(self, modules: Iterable[Module], first: int = 0) -> None:
        """Name `modules` from `first` on, in place of those that stood there."""
        modules = list(modules)
        for name in list(self._modules)[first:]:
            self._remove("_modules", name)
        for offset, module in enumerate(modules):
            self.add_module(str(first + offset), module)

    def _place(self, op: str, index: Any) -> int:
        place = operator.index(index)
        size = len(self)
        if not -size <= place < size:
            raise IndexError(
                f"[{op}] index {place} is out of range: {type(self).__name__} has {size} modules."
            )
        return place % size

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __setitem__(self, index: int, module: Module) -> None:
        name = list(self._modules)[self._place("setitem", index)]
        setattr(self, name, module)

    def __delitem__(self, index: int | slice) -> None:
        modules = self._list()
        if isinstance(index, slice):
            del modules[index]
        else:
            del modules[self._place("delitem", index)]
        self._rebuild(modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        if not isinstance(modules, Iterable):
            raise TypeError(
                f"[extend] {type(self).__name__}.extend should be called with an iterable: "
                f"got {type(modules).__name__}."
            )
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Put a module in front of the one at `index`."""
        modules = self._list()
        modules.insert(index, module)
        self._rebuild(modules)
        return self

    def pop(self, key: int | slice) -> Any:
        """Take a module out and return it."""
        found = self[key]  # type: ignore[index]  # both subclasses define __getitem__
        del self[key]
        return found

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)


class Sequential(_Numbered):
    """Modules called one after another, each on what the one before returned.

    Args:
        args: the modules, or one ordered dictionary that names them.

    >>> from flambeau import nn
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> net(fb.ones(3, 4)).shape == (3, 2)
    True
    >>> net[:2]
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
    )
    """

    @overload
    def __init__(self, *args: Module) -> None: ...

    @overload
    def __init__(self, arg: Mapping[str, Module], /) -> None: ...

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = len(args) == 1 and isinstance(args[0], Mapping) and not isinstance(args[0], Module)
        for name, module in args[0].items() if named else ((str(i), module) for i, module in enumerate(args)):
            self.add_module(name, module)

    def forward(self, input: Any) -> fb.Tensor:
        """Call the modules in order."""
        for module in self._modules.values():
            input = module(input)
        return cast(fb.Tensor, input)

    @overload
    def __getitem__(self, index: slice) -> Sequential: ...

    @overload
    def __getitem__(self, index: int) -> Module: ...

    def __getitem__(self, index: int | slice) -> Sequential | Module:
        if isinstance(index, slice):
            return type(self)(dict(list(self._modules.items())[index]))
        return self._list()[self._place("getitem", index)]

    def insert(self, index: int, module: Module) -> Self:
        """Put a module in front of the one at `index`."""
        if not isinstance(module, Module):
            raise AssertionError(f"[insert] module should be of type Module: got {type(module).__name__}.")
        size = len(self)
        if not -size <= index <= size:
            raise IndexError(f"[insert] index out of range: got {index}, Sequential has {size} modules.")
        super().insert(index, module)
        return self

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(
                f"[add] add operator supports only objects of Sequential class: got {type(other).__name__}."
            )
        return Sequential(*self, *other)

    def __mul__(self, times: int) -> Sequential:
        if not isinstance(times, int):
            raise TypeError(
                f"[mul] unsupported operand for Sequential: got {type(times).__name__}, needed int."
            )
        if times <= 0:
            raise ValueError(f"[mul] non-positive multiplication factor {times} for Sequential.")
        return Sequential(*(self._list() * times))

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Self:
        return self.extend((self * times)._list()[len(self) :])


class ModuleList(_Numbered):
    """Modules in a list: registered, indexed and sliced as a list is.

    Args:
        modules: the modules.

    >>> from flambeau import nn
    >>> layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    >>> layers
    ModuleList(
      (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...

    @overload
    def __getitem__(self, index: int) -> Module: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self._list()[index])
        return self._modules[str(self._place("getitem", index))]

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return type(self)([*self, *other])

    def __repr__(self) -> str:
        runs: list[tuple[int, int, str]] = []
        for place, text in enumerate(map(repr, self)):
            if runs and runs[-1][2] == text:
                runs[-1] = (runs[-1][0], place, text)
            else:
                runs.append((place, place, text))
        if not runs:
            return f"{self._get_name()}()"
        lines = [
            f"({first}): {_indent(text)}"
            if first == last
            else f"({first}-{last}): {last - first + 1} x {_indent(text)}"
            for first, last, text in runs
        ]
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


class ModuleDict(Module):
    """Modules in a dictionary: registered, and looked up by name.

    Args:
        modules: a mapping of names to modules, or pairs.

    >>> from flambeau import nn
    >>> heads = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    >>> list(heads.keys())
    ['a', 'b']
    """

    _modules: dict[str, Module]  # type: ignore[assignment]  # no name is reserved with None here

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self._remove("_modules", key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take all modules out."""
        for key in list(self._modules):
            del self[key]

    def pop(self, key: str) -> Module:
        """Take one module out and return it."""
        module = self[key]
        del self[key]
        return module

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._modules.keys()

    def items(self) -> ItemsView[str, Module]:
        """The pairs of name and module."""
        return self._modules.items()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._modules.values()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules: a mapping, another ModuleDict, or pairs."""
        if not isinstance(modules, (Iterable, ModuleDict)):
            raise TypeError(
                "[update] ModuleDict.update should be called with an iterable of key/value pairs: "
                f"got {type(modules).__name__}."
            )
        if isinstance(modules, (Mapping, ModuleDict)):
            for key, module in modules.items():
                self[key] = module
            return
        for place, pair in enumerate(modules):
            if not isinstance(pair, Iterable):
                raise TypeError(
                    f"[update] ModuleDict update sequence element #{place} should be Iterable: "
                    f"got {type(pair).__name__}."
                )
            key, module = _pair("ModuleDict", place, pair)
            self[key] = module


def _pair(owner: str, place: int, pair: Any) -> tuple[str, Any]:
    values = tuple(pair)
    if len(values) != 2:
        raise ValueError(
            f"[update] {owner} update sequence element #{place} has length {len(values)}; 2 is required."
        )
    return values
