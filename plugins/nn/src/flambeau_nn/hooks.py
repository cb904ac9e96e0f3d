"""Hooks of a module's call: before and after forward, around its backward. Modules without hooks never come here."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

import flambeau as fb

if TYPE_CHECKING:
    from .module import Module

__all__ = ["EVERYWHERE", "CallHooks", "HookTable", "RemovableHandle"]

HookTable = dict[int, Any]
_ids = count()


class RemovableHandle:
    """Takes a hook away again: by `remove`, or as a context manager at the end of the block."""

    def __init__(self, table: HookTable, hook: Any, prepend: bool = False) -> None:
        self.table = table
        self.id = next(_ids)
        if prepend:
            rest = dict(table)
            table.clear()
            table[self.id] = hook
            table.update(rest)
        else:
            table[self.id] = hook

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self.table.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class CallHooks:
    """The hooks of one module and the call that runs them; forward tables hold (hook, kwargs?, always?)."""

    def __init__(self) -> None:
        self.forward_pre: HookTable = {}
        self.forward: HookTable = {}
        self.backward_pre: HookTable = {}
        self.backward: HookTable = {}

    def all_of(self, name: str) -> HookTable:
        """A table with the hooks of all modules in front."""
        own: HookTable = getattr(self, name)
        general: HookTable = getattr(EVERYWHERE, name)
        return own if self is EVERYWHERE or not general else {**general, **own}

    def run(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call `module`'s forward between its hooks."""
        done: set[int] = set()
        result = None
        try:
            args, kwargs = self._before(module, args, kwargs)
            watched = self.all_of("backward") or self.all_of("backward_pre")
            watch = BackwardWatch(module, self) if watched else None
            if watch is not None:
                args = watch.inputs(args)
            result = module.forward(*args, **kwargs)
            for key, (hook, with_kwargs, _) in list(self.all_of("forward").items()):
                done.add(key)
                changed = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
                result = result if changed is None else changed
            return result if watch is None else watch.outputs(result)
        except Exception:
            for key, (hook, with_kwargs, always) in list(self.all_of("forward").items()):
                if always and key not in done:
                    _run_always(
                        hook, (module, args, kwargs, result) if with_kwargs else (module, args, result)
                    )
            raise

    def _before(
        self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for hook, with_kwargs, _ in list(self.all_of("forward_pre").values()):
            if with_kwargs:
                changed = hook(module, args, kwargs)
                if changed is None:
                    continue
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        "[forward_pre_hook] forward pre-hook must return None or a tuple of (new_args, new_kwargs): "
                        f"got {changed!r}."
                    )
                args, kwargs = changed
            else:
                changed = hook(module, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        return args, kwargs


#: The hooks that every module runs; registered by `modules.module`.
EVERYWHERE = CallHooks()


def _run_always(hook: Any, arguments: tuple[Any, ...]) -> None:
    try:
        hook(*arguments)
    except Exception as error:
        warnings.warn(
            "module forward hook with always_call=True raised an exception that was silenced as another error was "
            f"raised in forward: {error}",
            stacklevel=4,
        )


class _Gate(fb.autograd.Function):
    """Identity in forward; in backward it hands the gradients of all its outputs to a callback at once."""

    @staticmethod
    def forward(ctx: Any, callback: Callable[..., Any], *tensors: fb.Tensor) -> Any:
        ctx.callback = callback
        ctx.set_materialize_grads(False)
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: fb.Tensor | None) -> Any:
        return (None, *ctx.callback(grads))


class BackwardWatch:
    """One call of a module whose backward is watched: gates around its inputs and outputs."""

    def __init__(self, module: Module, hooks: CallHooks) -> None:
        self.module = module
        self.hooks = hooks
        self.gated_inputs = False
        self.input_count = 0
        self.grad_output: tuple[Any, ...] = ()

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Put a gate on the inputs that need gradients."""
        self.input_count = len(args)
        args, places = self._through_gate(args, self._grad_input)
        self.gated_inputs = bool(places)
        return args

    def outputs(self, result: Any) -> Any:
        """Put a gate on the outputs that need gradients."""
        if isinstance(result, fb.Tensor):
            return self._through_gate((result,), self._grad_output)[0][0]
        if isinstance(result, tuple):
            gated = self._through_gate(result, self._grad_output)[0]
            return type(result)(*gated) if hasattr(result, "_fields") else gated
        warnings.warn(
            "for backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
            f"but received {type(result).__name__}",
            stacklevel=4,
        )
        return result

    def _through_gate(
        self, values: tuple[Any, ...], callback: Callable[..., Any]
    ) -> tuple[tuple[Any, ...], list[int]]:
        places = [i for i, v in enumerate(values) if isinstance(v, fb.Tensor) and v.requires_grad]
        if not places or not fb.is_grad_enabled():
            return values, []

        def spread(grads: tuple[Any, ...]) -> tuple[Any, ...]:
            full: list[Any] = [None] * len(values)
            for place, grad in zip(places, grads, strict=True):
                full[place] = grad
            changed = callback(tuple(full))
            return tuple(changed[place] for place in places)

        gated = list(values)
        for place, tensor in zip(places, _Gate.apply(spread, *(values[i] for i in places)), strict=True):
            gated[place] = tensor
        return tuple(gated), places

    def _grad_output(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in list(self.hooks.all_of("backward_pre").values()):
            grads = _replaced("backward_pre_hook", "grad_output", grads, hook(self.module, grads))
        self.grad_output = grads
        if not self.gated_inputs:
            for hook in list(self.hooks.all_of("backward").values()):
                changed = hook(self.module, (None,) * self.input_count, grads)
                if changed is not None and not (
                    isinstance(changed, tuple) and all(g is None for g in changed)
                ):
                    raise RuntimeError(
                        "[full_backward_hook] backward hook for modules where no input requires gradient should "
                        f"always return None or None for all gradients: got {type(changed).__name__}."
                    )
        return grads

    def _grad_input(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in list(self.hooks.all_of("backward").values()):
            grads = _replaced(
                "full_backward_hook", "grad_input", grads, hook(self.module, grads, self.grad_output)
            )
        return grads


def _replaced(op: str, name: str, old: tuple[Any, ...], new: Any) -> tuple[Any, ...]:
    if new is None:
        return old
    grads = new if isinstance(new, tuple) else (new,)
    if len(grads) != len(old):
        raise RuntimeError(
            f"[{op}] backward hook returned an invalid number of {name}: got {len(grads)}, needed {len(old)}."
        )
    return grads
