"""Parametrizations: a parameter or buffer as a function of others, computed whenever it is read.

``register_parametrization(layer, "weight", Symmetric())`` moves ``layer.weight`` to
``layer.parametrizations.weight.original`` and makes ``layer.weight`` a property that gives ``Symmetric()(original)``.
The layer gets a class of its own for that, a subclass of the one it had.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import flambeau as fb

from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

__all__ = [
    "ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
    "transfer_parametrizations_and_params", "type_before_parametrizations",
]  # fmt: skip

_cache: dict[tuple[int, str], fb.Tensor] = {}
_cached_blocks = 0


@contextmanager
def cached() -> Iterator[None]:
    """Inside, a parametrized tensor is computed once and kept, however often it is read."""
    global _cached_blocks
    _cached_blocks += 1
    try:
        yield
    finally:
        _cached_blocks -= 1
        if not _cached_blocks:
            _cache.clear()


def _enter(module: Module, name: str, tensor: fb.Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _same(what: str, made: Any, original: fb.Tensor) -> None:
    """Refuse a tensor that isn't of the original's kind."""
    if not isinstance(made, fb.Tensor):
        raise ValueError(
            f"[register_parametrization] {what} must return a tensor: got {type(made).__name__}."
        )
    for name in ("dtype", "shape"):
        got, needed = getattr(made, name), getattr(original, name)
        if got != needed:
            raise ValueError(
                f"[register_parametrization] {what} may not change the {name} of the tensor: got {got}, "
                f"needed {needed}. Pass unsafe=True if that is what you want."
            )


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied one after another, and the tensors that it is computed from.

    Args:
        modules: the parametrizations.
        original: the tensor that they stand for.
        unsafe: leave out the checks of dtype and shape.

    Attributes:
        original: what the first parametrization gets; or ``original0``, ``original1``, ... where its
            ``right_inverse`` gives several.
    """

    def __init__(self, modules: Sequence[Module], original: fb.Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("[ParametrizationList] requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        with fb.no_grad():
            start: Any = original
            for module in reversed(list(self)):
                inverse: Any = getattr(module, "right_inverse", None)
                if inverse is not None:
                    try:
                        start = inverse(start)
                    except NotImplementedError:
                        continue
        if not isinstance(start, (fb.Tensor, Sequence)):
            raise ValueError(
                "[ParametrizationList] 'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...): "
                f"got {type(start).__name__}."
            )
        self.is_tensor = isinstance(start, fb.Tensor)
        self.ntensors = 1 if self.is_tensor else len(start)
        if isinstance(start, fb.Tensor):
            if start.dtype != dtype or start.device != original.device:
                raise ValueError(
                    "[ParametrizationList] when `right_inverse` outputs one tensor, it may not change the dtype or the "
                    f"device: got {start.dtype} {start.device}, needed {dtype} {original.device}."
                )
            if start is not original:
                original.data = start.detach()
            _enter(self, "original", original)
        else:
            for k, part in enumerate(start):
                if not isinstance(part, fb.Tensor):
                    raise ValueError(
                        "[ParametrizationList] 'right_inverse' must return a Tensor or a Sequence of tensors: got "
                        f"element {k} of type {type(part).__name__}."
                    )
                held = part.detach().clone() if part is original else part.detach()
                if isinstance(original, Parameter):
                    held = Parameter(held, original.requires_grad)
                _enter(self, f"original{k}", held)
        if not unsafe:
            with fb.no_grad():
                made = self()
            probe = fb.empty(tuple(shape), dtype=dtype, device=original.device)
            _same("a parametrization", made, probe)

    def originals(self) -> list[fb.Tensor]:
        """The tensors that the first parametrization gets."""
        return (
            [self.original]
            if self.is_tensor
            else [getattr(self, f"original{k}") for k in range(self.ntensors)]
        )

    def right_inverse(self, value: fb.Tensor) -> None:
        """Set the originals so that the parametrized tensor becomes `value`, as far as ``right_inverse`` can.

        Raises:
            RuntimeError: a parametrization has no ``right_inverse``.
        """
        with fb.no_grad():
            given: Any = value
            for module in reversed(list(self)):
                inverse: Any = getattr(module, "right_inverse", None)
                if inverse is None:
                    raise RuntimeError(
                        f"[right_inverse] parametrization {type(module).__name__} does not implement right_inverse."
                    )
                given = inverse(given)
            parts = [given] if self.is_tensor else list(given)
            if len(parts) != self.ntensors or not all(isinstance(part, fb.Tensor) for part in parts):
                raise ValueError(
                    f"[right_inverse] 'right_inverse' must return {self.ntensors} tensors: got {given!r}."
                )
            for held, part in zip(self.originals(), parts, strict=True):
                if held.dtype != part.dtype:
                    raise ValueError(
                        f"[right_inverse] the tensor returned by `right_inverse` has dtype {part.dtype}, the original "
                        f"{held.dtype}."
                    )
                held.data = part.detach().clone()

    def forward(self) -> fb.Tensor:
        """The parametrized tensor."""
        first, *rest = list(self)
        made: Any = first(*self.originals())
        for module in rest:
            made = module(made)
        return made  # type: ignore[no-any-return]


def _property(name: str) -> property:
    def read(self: Any) -> fb.Tensor:
        made: fb.Tensor
        if not _cached_blocks:
            made = self.parametrizations[name]()
            return made
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def write(self: Any, value: fb.Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(read, write)


def _own_class(module: Module) -> None:
    """Give the module a class of its own, so that a property can stand on it."""
    base = type(module)

    def duplicate(self: Any, memo: dict[int, Any]) -> Any:
        made = object.__new__(type(self))
        memo[id(self)] = made
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made

    def refuse(self: Any, protocol: Any) -> Any:
        raise RuntimeError(
            "[pickle] serialization of parametrized modules is only supported through state_dict(): save that."
        )

    body: dict[str, Any] = {"__reduce_ex__": refuse, "__module__": base.__module__}
    if not hasattr(base, "__deepcopy__"):
        body["__deepcopy__"] = duplicate
    module.__class__ = type(f"Parametrized{base.__name__}", (base,), body)


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Compute a parameter or buffer of a module by `parametrization` from now on; a second one comes on top.

    Args:
        module: the owner.
        tensor_name: the parameter or buffer.
        parametrization: a module of one tensor, or of several where its ``right_inverse`` gives several.
            ``right_inverse(tensor)``, if it has one, gives the first originals, and assignments go through it.
        unsafe: leave out the checks that dtype and shape stay.

    Raises:
        ValueError: there is no such tensor, or the checks fail.

    >>> from flambeau import nn
    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).mT
    >>> layer = register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.mT).all())
    True
    """
    if is_parametrized(module, tensor_name):
        held: Any = module.parametrizations[tensor_name]
        if not unsafe:
            with fb.no_grad():
                before = getattr(module, tensor_name)
                after: Any = parametrization(before)
                _same("a parametrization", after, before)
                inverse: Any = getattr(parametrization, "right_inverse", None)
                if inverse is not None:
                    with suppress(NotImplementedError):
                        _same("right_inverse", inverse(after), before)
        held.append(parametrization)
        held.unsafe = held.unsafe or unsafe
        return module
    if tensor_name not in module._buffers and tensor_name not in module._parameters:
        raise ValueError(
            f"[register_parametrization] module {type(module).__name__} does not have a parameter, a buffer, or a "
            f"parametrized element with name {tensor_name!r}."
        )
    original: Any = getattr(module, tensor_name)
    made = ParametrizationList([parametrization], original, unsafe=unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        _own_class(module)
        module.parametrizations = ModuleDict()
    setattr(type(module), tensor_name, _property(tensor_name))
    module.parametrizations[tensor_name] = made
    made.train(module.training)
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a module has parametrizations, or one of that tensor."""
    held = module.__dict__.get("parametrizations")
    if not isinstance(held, ModuleDict):
        return False
    return len(held) > 0 if tensor_name is None else tensor_name in held


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make a parametrized tensor an ordinary one again.

    Args:
        module: the owner.
        tensor_name: the tensor.
        leave_parametrized: it keeps the value that it has; else it gets the original's.

    Raises:
        ValueError: it isn't parametrized, or there are several originals to leave.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(
            f"[remove_parametrizations] {type(module).__name__} does not have a parametrization on {tensor_name}."
        )
    held: Any = module.parametrizations[tensor_name]
    if held.is_tensor:
        original: Any = held.original
        if leave_parametrized:
            with fb.no_grad():
                original.data = getattr(module, tensor_name).detach()
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach(), True) if value.requires_grad else value
    else:
        raise ValueError(
            "[remove_parametrizations] cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _enter(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type[Module]:
    """The class that a module had before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Parametrize one module as another is, with the same originals; all its tensors, or the one that is named."""
    if is_parametrized(from_module):
        names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
        for name in names:
            held: Any = from_module.parametrizations[name]
            if not hasattr(to_module, name):
                setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
            for parametrization in held:
                register_parametrization(to_module, name, parametrization)
            made: Any = to_module.parametrizations[name]
            for key in ["original"] if held.is_tensor else [f"original{k}" for k in range(held.ntensors)]:
                setattr(made, key, getattr(held, key))
    return to_module
