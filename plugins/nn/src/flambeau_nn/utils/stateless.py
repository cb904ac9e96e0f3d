"""Modules called with other parameters than their own; and layers made without initialisation."""

from __future__ import annotations

from typing import Any

import flambeau as fb

from ..module import Module

__all__ = ["functional_call", "skip_init"]


def functional_call(
    module: Module, parameters_and_buffers: dict[str, Any], args: Any = None, kwargs: dict[str, Any] | None = None,
    *, tie_weights: bool = True, strict: bool = False,
) -> Any:  # fmt: skip
    """Call a module with some of its parameters and buffers replaced: ``flambeau.func.functional_call``.

    Args:
        module: the module; it stays as it is.
        parameters_and_buffers: tensors by path.
        args, kwargs: of the call; one argument needs no tuple.
        tie_weights: replace shared tensors under all their names.
        strict: the paths must be those of all parameters and buffers.
    """
    return fb.func.functional_call(
        module,
        parameters_and_buffers,
        () if args is None else args,
        kwargs,
        tie_weights=tie_weights,
        strict=strict,
    )


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """A layer whose parameters are uninitialised memory: for values that are loaded right afterwards.

    Args:
        module_cls: the layer's class; its constructor must take ``device``.
        args, kwargs: of the constructor.

    >>> from flambeau import nn
    >>> skip_init(nn.Linear, 5, 1)
    Linear(in_features=5, out_features=1, bias=True)
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"[skip_init] expected a Module: got {module_cls}.")
    import inspect

    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("[skip_init] module must support a 'device' arg to skip initialization.")
    final = kwargs.pop("device", "cpu")
    make: Any = module_cls
    made: Module = make(*args, device="meta", **kwargs).to_empty(device=final)
    return made
