"""Hooks that every module runs, before its own: for profiling and debugging."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..hooks import EVERYWHERE, RemovableHandle
from ..members import REGISTRATION
from ..module import Module

__all__ = [
    "Module", "register_module_backward_hook", "register_module_buffer_registration_hook",
    "register_module_forward_hook", "register_module_forward_pre_hook", "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook", "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]  # fmt: skip


def _add(table: dict[int, Any], hook: Any) -> RemovableHandle:
    Module._call_hooks = (
        EVERYWHERE  # what modules without hooks of their own find; until then calls cost nothing
    )
    return RemovableHandle(table, hook)


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, args)`` before every module's forward; what it returns replaces the arguments.

    >>> from flambeau import nn
    >>> import flambeau as fb
    >>> with register_module_forward_pre_hook(lambda module, args: print(module)):
    ...     y = nn.Sequential(nn.ReLU())(fb.ones(1))
    Sequential(
      (0): ReLU()
    )
    ReLU()
    """
    return _add(EVERYWHERE.forward_pre, (hook, False, False))


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Run ``hook(module, args, output)`` after every module's forward; what it returns replaces the output.

    Args:
        hook: the function; with `with_kwargs` ``hook(module, args, kwargs, output)``.
        with_kwargs: hand over keyword arguments too.
        always_call: run it even if forward raises.
    """
    return _add(EVERYWHERE.forward, (hook, with_kwargs, always_call))


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, grad_output)`` in each module's backward; what it returns replaces ``grad_output``."""
    return _add(EVERYWHERE.backward_pre, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, grad_input, grad_output)`` in each module's backward; a result replaces ``grad_input``."""
    return _add(EVERYWHERE.backward, hook)


def register_module_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """The older name of `register_module_full_backward_hook`, with its meaning."""
    return register_module_full_backward_hook(hook)


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, name, buffer)`` whenever a module registers a buffer; what it returns replaces it."""
    return RemovableHandle(REGISTRATION["_buffers"], hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, name, submodule)`` whenever a module registers another; what it returns replaces it."""
    return RemovableHandle(REGISTRATION["_modules"], hook)


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, name, parameter)`` whenever a module registers a parameter; what it returns replaces it.

    >>> from flambeau import nn
    >>> with register_module_parameter_registration_hook(lambda module, name, parameter: print(name)):
    ...     layer = nn.Linear(2, 3)
    weight
    bias
    """
    return RemovableHandle(REGISTRATION["_parameters"], hook)
