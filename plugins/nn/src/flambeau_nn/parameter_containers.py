"""Modules that hold parameters: ParameterList and ParameterDict."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, KeysView, Mapping
from typing import Any, Self, overload

import flambeau as fb

from .containers import _pair
from .module import Module
from .parameter import Parameter

__all__ = ["ParameterDict", "ParameterList"]


def _as_parameter(value: Any) -> Any:
    """Tensors become parameters; other values stay."""
    if isinstance(value, fb.Tensor) and not isinstance(value, Parameter):
        return Parameter(value)
    return value


def _line(key: Any, value: Any, kind: str) -> str:
    if not isinstance(value, fb.Tensor):
        return f"  ({key}): Object of type: {type(value).__name__}"
    name = "Parameter" if isinstance(value, Parameter) else "Tensor"
    place = "" if value.device.type == "cpu" else f" ({value.device})"
    return f"  ({key}): {name} containing: [{kind} of size {'x'.join(map(str, value.shape))}{place}]"


class ParameterList(Module):
    """Parameters in a list; tensors become parameters, other values are kept as they are.

    Args:
        values: the elements.

    >>> from flambeau import nn
    >>> params = nn.ParameterList([fb.ones(2), fb.zeros(3)])
    >>> [tuple(p.shape) for p in params]
    [(2,), (3,)]
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _name(self, index: Any) -> str:
        place = operator.index(index)
        if not -self._size <= place < self._size:
            raise IndexError(
                f"[getitem] index {place} is out of range: ParameterList has {self._size} elements."
            )
        return str(place % self._size)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)([self[i] for i in range(*index.indices(self._size))])
        return getattr(self, self._name(index))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._name(index), _as_parameter(value))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(self._size))

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def append(self, value: Any) -> Self:
        """Add a value at the end."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add values at the end."""
        if not isinstance(values, Iterable) or isinstance(values, fb.Tensor):
            raise TypeError(
                f"[extend] ParameterList.extend should be called with an iterable: got {type(values).__name__}. "
                "Put a single tensor in a list, or use append."
            )
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        """One line for each element."""
        return "\n".join(
            _line(i, v, str(v.dtype) if isinstance(v, fb.Tensor) else "") for i, v in enumerate(self)
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Not callable."""
        raise RuntimeError("[ParameterList] ParameterList should not be called. Index it.")


class ParameterDict(Module):
    """Parameters in an ordered dictionary; tensors become parameters, other values are kept as they are.

    Args:
        parameters: a mapping, or pairs.

    >>> from flambeau import nn
    >>> params = nn.ParameterDict({"left": fb.ones(2), "right": fb.ones(3)})
    >>> params["right"].requires_grad
    True
    """

    def __init__(
        self, parameters: Mapping[str, Any] | ParameterDict | Iterable[tuple[str, Any]] | None = None
    ) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    @staticmethod
    def _checked(key: str) -> str:
        if not isinstance(key, str):
            raise TypeError(
                "[ParameterDict] index given to ParameterDict cannot be used as a key as it is not a string: "
                f"got {type(key).__name__}."
            )
        return key

    def __getitem__(self, key: str) -> Any:
        if self._checked(key) not in self._keys:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, self._checked(key), _as_parameter(value))
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def copy(self) -> ParameterDict:
        """A new dictionary with the same values."""
        return ParameterDict([(key, self[key]) for key in self._keys])

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value under `key`; if there is none, `default` becomes it."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Take all values out."""
        for key in list(self._keys):
            del self[key]

    def pop(self, key: str) -> Any:
        """Take one value out and return it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take out the pair that came last and return it."""
        if not self._keys:
            raise KeyError("[popitem] ParameterDict is empty.")
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value under `key`, or `default`."""
        return self[key] if key in self else default  # noqa: SIM401  # this is get

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A new dictionary with `default` under every key."""
        return ParameterDict([(key, default) for key in keys])

    def keys(self) -> KeysView[str]:
        """The keys."""
        return self._keys.keys()

    def items(self) -> Iterator[tuple[str, Any]]:
        """The pairs of key and value."""
        return ((key, self[key]) for key in self._keys)

    def values(self) -> Iterator[Any]:
        """The values."""
        return (self[key] for key in self._keys)

    def update(self, parameters: Mapping[str, Any] | ParameterDict | Iterable[tuple[str, Any]]) -> None:
        """Add or replace values. Pairs, ordered and parameter dictionaries keep their order, others are sorted."""
        if isinstance(parameters, (OrderedDict, ParameterDict)):
            for key, value in parameters.items():
                self[key] = value
        elif isinstance(parameters, Mapping):
            for key in sorted(parameters):
                self[key] = parameters[key]
        elif isinstance(parameters, Iterable):
            for place, pair in enumerate(parameters):
                if not isinstance(pair, Iterable):
                    raise TypeError(
                        f"[update] ParameterDict update sequence element #{place} should be Iterable: "
                        f"got {type(pair).__name__}."
                    )
                key, value = _pair("ParameterDict", place, pair)
                self[key] = value
        else:
            raise TypeError(
                "[update] ParameterDict.update should be called with an iterable of key/value pairs: "
                f"got {type(parameters).__name__}."
            )

    def extra_repr(self) -> str:
        """One line for each value."""
        return "\n".join(_line(key, value, _type_name(value)) for key, value in self.items())

    def __call__(self, input: Any) -> Any:
        """Not callable."""
        raise RuntimeError("[ParameterDict] ParameterDict should not be called. Index it.")

    def __or__(self, other: ParameterDict) -> ParameterDict:
        copy = self.copy()
        copy.update(other)
        return copy

    def __ror__(self, other: ParameterDict) -> ParameterDict:
        copy = ParameterDict(other)
        copy.update(self)
        return copy

    def __ior__(self, other: ParameterDict) -> Self:
        self.update(other)
        return self


def _type_name(value: Any) -> str:
    return str(value.dtype) if isinstance(value, fb.Tensor) else ""
