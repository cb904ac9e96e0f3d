"""A module's state: state_dict, load_state_dict, their hooks, extra state."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import flambeau as fb

from .hooks import HookTable, RemovableHandle
from .members import Members
from .parameter import Parameter, is_lazy

if TYPE_CHECKING:
    from .module import Module

__all__ = ["IncompatibleKeys", "Stateful"]

_EXTRA = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found: keys that the state lacks, and keys that the module lacks."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class StateHooks:
    """The state hooks of one module."""

    def __init__(self) -> None:
        self.save_pre: HookTable = {}
        self.save_post: HookTable = {}
        self.load_pre: HookTable = {}
        self.load_post: HookTable = {}


class Stateful(Members):
    """The state half of `Module`."""

    _version: int = 1
    _state_hooks: StateHooks | None = None

    # -- saving -------------------------------------------------------------------------------------------------

    def state_dict(
        self, *args: Any, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """The module's parameters and persistent buffers, by path, in an ordered dictionary.

        The tensors share memory with the module's.

        Args:
            args: the others by position, an older form.
            destination: a dictionary to fill.
            prefix: put in front of every key.
            keep_vars: give the parameters themselves, not detached.

        >>> from flambeau import nn
        >>> list(nn.Linear(2, 1).state_dict())
        ['weight', 'bias']
        """
        if args:
            warnings.warn(
                "[state_dict] positional args are being deprecated, use keyword args instead.",
                FutureWarning,
                stacklevel=2,
            )
            given = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
            return self.state_dict(
                **{"destination": destination, "prefix": prefix, "keep_vars": keep_vars, **given}
            )
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()  # type: ignore[attr-defined]
        local: dict[str, Any] = {"version": self._version}
        metadata = getattr(destination, "_metadata", None)
        if metadata is not None:
            metadata[prefix[:-1]] = local
        hooks = self._state_hooks
        if hooks is not None:
            for hook in list(hooks.save_pre.values()):
                hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        if hooks is not None:
            for hook, replaces in list(hooks.save_post.values()):
                changed = hook(self, destination, prefix, local)
                if changed is not None and not replaces:
                    raise RuntimeError(
                        "[state_dict] state_dict post-hook must return None. Change the dict in place."
                    )
                destination = destination if changed is None else changed
        return cast("dict[str, Any]", destination)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Put this module's own entries into `destination`; subclasses may extend it."""
        for name, value in self._own_state().items():
            destination[prefix + name] = value if keep_vars or is_lazy(value) else value.detach()
        if type(self).get_extra_state is not Stateful.get_extra_state:
            destination[prefix + _EXTRA] = self.get_extra_state()

    def _own_state(self) -> dict[str, fb.Tensor]:
        own: dict[str, Any] = {**self._parameters}
        own.update(
            (name, b) for name, b in self._buffers.items() if name not in self._non_persistent_buffers_set
        )
        return {name: value for name, value in own.items() if value is not None}

    def get_extra_state(self) -> Any:
        """What else belongs to the state: define it together with `set_extra_state`; it must be picklable."""
        raise RuntimeError(
            "[get_extra_state] reached a code path in Module.get_extra_state() that should never be called: "
            f"{type(self).__name__} doesn't define it."
        )

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        raise RuntimeError(
            "[set_extra_state] reached a code path in Module.set_extra_state() that should never be called: "
            f"{type(self).__name__} doesn't define it."
        )

    # -- loading ------------------------------------------------------------------------------------------------

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Take values from a dictionary of the form that `state_dict` gives.

        Args:
            state_dict: the values.
            strict: whether every key must match. With ``False``, missing and unexpected keys are only reported;
                a wrong shape is an error still.
            assign: put the dictionary's tensors into the module instead of copying into the module's own.
                Optimizers made before still hold the old ones.

        Returns:
            A named tuple of missing and unexpected keys.

        >>> from flambeau import nn
        >>> layer = nn.Linear(2, 1)
        >>> layer.load_state_dict(nn.Linear(2, 1).state_dict())
        <All keys matched successfully>
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"[load_state_dict] expected state_dict to be dict-like: got {type(state_dict).__name__}. "
                "Load a file first, with flambeau.load(path)."
            )
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        metadata: dict[str, Any] = getattr(state_dict, "_metadata", None) or {}
        state: dict[str, Any] = OrderedDict(state_dict)

        def load(module: Module, part: dict[str, Any], prefix: str) -> None:
            local = dict(metadata.get(prefix[:-1], {}))
            if assign:
                local["assign_to_params_buffers"] = True
            module._load_from_state_dict(part, prefix, local, True, missing, unexpected, errors)
            for name, child in module._modules.items():
                if child is not None:
                    below = f"{prefix}{name}."
                    load(child, {key: value for key, value in part.items() if key.startswith(below)}, below)
            if module._state_hooks is not None:
                for hook in list(module._state_hooks.load_post.values()):
                    if hook(module, IncompatibleKeys(missing, unexpected)) is not None:
                        raise AssertionError(
                            "[load_state_dict] hooks registered with register_load_state_dict_post_hook are not "
                            "expected to return new values. Change incompatible_keys in place."
                        )

        load(cast("Module", self), state, "")
        if errors or (strict and (missing or unexpected)):
            raise RuntimeError(self._load_report(state, missing, unexpected, errors, strict))
        return IncompatibleKeys(missing, unexpected)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load this module's own entries, not those below it; subclasses may extend it for older versions.

        `local_metadata` has the ``version`` that was saved. Problems are appended to the three lists.
        """
        if self._state_hooks is not None:
            lists = (missing_keys, unexpected_keys, error_msgs)
            for hook in list(self._state_hooks.load_pre.values()):
                hook(self, state_dict, prefix, local_metadata, strict, *lists)
        own = self._own_state()
        assign = bool(local_metadata.get("assign_to_params_buffers", False))
        for name, value in own.items():
            key = prefix + name
            if key in state_dict:
                problem = self._load_one(name, key, value, state_dict[key], assign)
                if problem:
                    error_msgs.append(problem)
            elif strict:
                missing_keys.append(key)

        extra = prefix + _EXTRA
        if type(self).set_extra_state is not Stateful.set_extra_state:
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)
        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra:
                    name, dot, _ = key[len(prefix) :].partition(".")
                    if name not in (self._modules if dot else own):
                        unexpected_keys.append(key)

    def _load_one(self, name: str, key: str, value: fb.Tensor, given: Any, assign: bool) -> str | None:
        """Load one tensor; returns what went wrong, if anything did."""
        if not isinstance(given, fb.Tensor):
            return (
                f'while copying the parameter named "{key}": expected a Tensor, got {type(given).__name__}.'
            )
        if is_lazy(given):
            if is_lazy(value):
                return None
            return (
                f'"{key}" is not initialized in the checkpoint: call the saved module once before saving it.'
            )
        if value.ndim == 0 and tuple(given.shape) == (1,):
            given = given[0]
        if given.shape != value.shape:
            return (
                f"size mismatch for {key}: copying a param with shape {list(given.shape)} from checkpoint, "
                f"the shape in current model is {list(value.shape)}."
            )
        try:
            with fb.no_grad():
                if not assign:
                    value.copy_(given)
                elif not isinstance(value, Parameter):
                    setattr(self, name, given)
                elif isinstance(given, Parameter):
                    setattr(self, name, given.requires_grad_(value.requires_grad))
                else:
                    setattr(self, name, Parameter(given, requires_grad=value.requires_grad))
        except Exception as error:
            return f'while copying the parameter named "{key}" of shape {list(value.shape)}: {error}'
        return None

    def _load_report(
        self,
        state: dict[str, Any],
        missing: list[str],
        unexpected: list[str],
        errors: list[str],
        strict: bool,
    ) -> str:
        lines = [f"[load_state_dict] Error(s) in loading state_dict for {type(self).__name__}:"]
        if strict and missing:
            lines.append(f"Missing key(s) in state_dict: {_with_nearest(missing, unexpected)}.")
        if strict and unexpected:
            lines.append(f"Unexpected key(s) in state_dict: {_with_nearest(unexpected, missing)}.")
        lines += errors
        head = next(iter(state), "").partition(".")[0] + "."
        if strict and missing and set(missing) <= {key.removeprefix(head) for key in state}:
            lines.append(
                f"All keys match once {head!r} is taken off: {{k.removeprefix({head!r}): v for k, v in ...}}."
            )
        elif strict and not errors:
            lines.append("To load what matches and leave the rest, pass strict=False.")
        return "\n\t".join(lines)

    # -- hooks --------------------------------------------------------------------------------------------------

    def _hooks_of_state(self) -> StateHooks:
        if self._state_hooks is None:
            self._state_hooks = StateHooks()
        return self._state_hooks

    def register_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Run ``hook(module, prefix, keep_vars)`` before `state_dict`."""
        return RemovableHandle(self._hooks_of_state().save_pre, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Run ``hook(module, state_dict, prefix, local_metadata)`` after `state_dict`; it may change the dictionary."""
        return RemovableHandle(self._hooks_of_state().save_post, (hook, False))

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """The older form of `register_state_dict_post_hook`: a returned dictionary takes the place of the state's."""
        return RemovableHandle(self._hooks_of_state().save_post, (hook, True))

    def register_load_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Run ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)``
        before the module's own values are loaded; it may change the dictionary.
        """
        return RemovableHandle(self._hooks_of_state().load_pre, hook)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., None], with_module: bool = False
    ) -> RemovableHandle:
        """The older form of `register_load_state_dict_pre_hook`, without the module among its arguments."""
        run = hook if with_module else lambda module, *rest: hook(*rest)
        return RemovableHandle(self._hooks_of_state().load_pre, run)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Run ``hook(module, incompatible_keys)`` after loading; it may change the two lists in place."""
        return RemovableHandle(self._hooks_of_state().load_post, hook)


def _with_nearest(keys: Iterable[str], others: list[str]) -> str:
    """List the keys, each with the nearest one of the others (a misspelt or renamed key)."""
    from difflib import get_close_matches  # error path only

    parts = []
    for key in keys:
        near = get_close_matches(key, others, n=1, cutoff=0.8)
        parts.append(f'"{key}" (nearest: "{near[0]}")' if near else f'"{key}"')
    return ", ".join(parts)
