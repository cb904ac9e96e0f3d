"""Parameter and Buffer: the tensors that a module owns. Imports the core only."""

from __future__ import annotations

from typing import Any

import flambeau as fb

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]


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


class _Uninitialized:
    """What parameters and buffers of lazy modules are before the first call: a dtype and a device without a shape."""

    cls_to_become: type[fb.Tensor]

    def materialize(self, shape: Any, device: Any = None, dtype: fb.dtype | None = None) -> None:
        """Become an ordinary parameter or buffer of this shape, uninitialised; device and dtype stay by default."""
        this: Any = self
        made = fb.empty(tuple(shape), device=device or this.data.device, dtype=dtype or this.data.dtype)
        this.__class__ = self.cls_to_become
        this.data = made

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "[shape] can't access the shape of an uninitialized parameter or buffer. Call forward, with an input of "
            "the right size, before you use the module's parameters or load them into an initialized module."
        )

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(_Uninitialized, Parameter):  # type: ignore[misc]
    """A parameter whose shape isn't known yet.

    Args:
        requires_grad: whether gradients are recorded for it.
        device, dtype: of the parameter.

    >>> from flambeau import nn
    >>> nn.LazyLinear(3).weight
    <UninitializedParameter>
    """

    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: fb.dtype | None = None
    ) -> UninitializedParameter:
        made: Any = Parameter.__new__(cls, fb.empty(0, device=device, dtype=dtype), requires_grad)
        return made  # type: ignore[no-any-return]

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: fb.dtype | None = None) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.requires_grad, str(self.data.device), self.data.dtype)


class UninitializedBuffer(_Uninitialized, Buffer):  # type: ignore[misc]
    """A buffer whose shape isn't known yet.

    Args:
        requires_grad: whether gradients are recorded for it.
        device, dtype: of the buffer.
        persistent: whether it is part of the module's ``state_dict``.

    >>> from flambeau import nn
    >>> nn.LazyBatchNorm1d().running_mean
    <UninitializedBuffer>
    """

    cls_to_become = Buffer

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: fb.dtype | None = None,
        persistent: bool = True,
    ) -> UninitializedBuffer:
        data = fb.empty(0, device=device, dtype=dtype)
        made: Any = Buffer.__new__(cls, data, persistent=persistent)
        made.requires_grad = requires_grad
        return made  # type: ignore[no-any-return]

    def __init__(
        self,
        requires_grad: bool = False,
        device: Any = None,
        dtype: fb.dtype | None = None,
        persistent: bool = True,
    ) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            data = self.data
            memo[id(self)] = type(self)(self.requires_grad, data.device, data.dtype, self.persistent)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.requires_grad, str(self.data.device), self.data.dtype, self.persistent)


def is_lazy(value: Any) -> bool:
    """Whether a parameter or buffer has no shape yet."""
    return isinstance(value, _Uninitialized)


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
