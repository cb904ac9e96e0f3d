"""Parameter and Buffer: the tensors that a module owns. Imports the core only."""

from __future__ import annotations

from typing import Any

import flambeau as fb

__all__ = ["Buffer", "Parameter"]


class Parameter(fb.Tensor):
    """A tensor that a module trains: assigned to a module's attribute, it is in ``module.parameters()``.

    It shares its data with ``data`` and stands outside of any graph, so it is a leaf. Operations on it give
    plain tensors.

    Args:
        data: the initial value; an empty tensor when left out.
        requires_grad: whether gradients are recorded for it.

    >>> from flambeau import nn
    >>> nn.Parameter(fb.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    def __new__(cls, data: fb.Tensor | None = None, requires_grad: bool = True) -> Parameter:
        parameter: Parameter = (fb.empty(0) if data is None else data).detach().as_subclass(cls)
        parameter.requires_grad = requires_grad
        return parameter

    def __init__(self, data: fb.Tensor | None = None, requires_grad: bool = True) -> None:
        pass  # __new__ has done everything

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            copy = type(self)(self.data.clone(), self.requires_grad)
            copy.__dict__.update(self.__dict__)
            memo[id(self)] = copy
        found: Parameter = memo[id(self)]
        return found

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild_parameter, (type(self), self.data, self.requires_grad, self.__dict__)


class Buffer(fb.Tensor):
    """A tensor that belongs to a module's state but isn't trained: assigned to an attribute, it is registered.

    Args:
        data: the initial value; an empty tensor when left out.
        persistent: whether it is part of the module's ``state_dict``.

    >>> from flambeau import nn
    >>> module = nn.Module()
    >>> module.mean = nn.Buffer(fb.zeros(1))
    >>> [name for name, _ in module.named_buffers()]
    ['mean']
    """

    persistent: bool

    def __new__(cls, data: fb.Tensor | None = None, *, persistent: bool = True) -> Buffer:
        source = fb.empty(0) if data is None else data
        buffer: Buffer = source.detach().as_subclass(cls)
        buffer.requires_grad = source.requires_grad
        buffer.persistent = persistent
        return buffer

    def __init__(self, data: fb.Tensor | None = None, *, persistent: bool = True) -> None:
        pass  # __new__ has done everything

    def __deepcopy__(self, memo: dict[int, Any]) -> Buffer:
        if id(self) not in memo:
            copy = type(self)(self.data.clone(), persistent=self.persistent)
            copy.requires_grad = self.requires_grad
            memo[id(self)] = copy
        found: Buffer = memo[id(self)]
        return found

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild_buffer, (type(self), self.data, self.requires_grad, self.persistent)


def _rebuild_parameter(
    cls: type[Parameter], data: fb.Tensor, requires_grad: bool, attributes: dict[str, Any]
) -> Parameter:
    parameter = cls(data, requires_grad)
    parameter.__dict__.update(attributes)
    return parameter


def _rebuild_buffer(cls: type[Buffer], data: fb.Tensor, requires_grad: bool, persistent: bool) -> Buffer:
    buffer = cls(data, persistent=persistent)
    buffer.requires_grad = requires_grad
    return buffer
