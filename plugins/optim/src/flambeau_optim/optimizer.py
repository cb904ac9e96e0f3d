"""The base class of all optimizers: parameter groups, state, saving and loading, hooks."""

from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, ClassVar, Final, TypeAlias

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import message

from ._hooks import Callbacks, RemovableHandle

__all__ = [
    "Optimizer",
    "ParamsT",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]

ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class _Required:
    """The default of an option that every parameter group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required: Final = _Required()

_step_pre_hooks = Callbacks()
_step_post_hooks = Callbacks()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before every step of every optimizer."""
    return _step_pre_hooks.register(hook)


def register_optimizer_step_post_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after every step of every optimizer."""
    return _step_post_hooks.register(hook)


def _hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """A ``step`` that runs the hooks, once even where it calls the ``step`` of its base class."""

    @functools.wraps(step)
    def run(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if self._in_step:
            return step(self, *args, **kwargs)
        self._in_step = self._opt_called = True
        try:
            for hook in (*_step_pre_hooks.values(), *self._step_pre_hooks.values()):
                changed = hook(self, (self, *args), kwargs)
                if changed is None:
                    continue
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    need = "None or a tuple (args, kwargs)"
                    raise RuntimeError(
                        message(type(self).__name__, "bad result of a step pre-hook", need, result=changed)
                    )
                args, kwargs = changed[0][1:], changed[1]
            result = step(self, *args, **kwargs)
            for hook in (*self._step_post_hooks.values(), *_step_post_hooks.values()):
                hook(self, (self, *args), kwargs)
            return result
        finally:
            self._in_step = False

    return run


def similar(name: str, among: Iterable[str]) -> str:
    """A hint at the nearest name, or nothing."""
    import difflib

    close = difflib.get_close_matches(name, list(among), 1)
    return f" (similar: {close[0]})" if close else ""


class Optimizer:
    """Base class of the optimizers.

    Args:
        params: tensors, ``(name, tensor)`` pairs, or dicts with ``"params"`` and options of that group.
        defaults: the options of groups that don't give them.

    Attributes:
        param_groups: dicts of options with the list ``"params"`` (and ``"param_names"`` where names were given).
        state: what the optimizer keeps per parameter.
        defaults: as given.
    """

    param_groups: list[dict[str, Any]]
    state: defaultdict[Any, dict[str, Any]]
    defaults: dict[str, Any]

    #: State that is kept as a Python number, and saved as a 0-d float32 tensor as PyTorch does.
    _counters: ClassVar[tuple[str, ...]] = ()
    #: Whether all other tensors in the state have their parameter's shape.
    _like_params: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _hooked(cls.__dict__["step"])  # type: ignore[method-assign]

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        op = type(self).__name__
        if isinstance(params, Tensor):
            wrong, need = (
                "params argument is one tensor",
                "an iterable of tensors, (name, tensor) pairs or dicts",
            )
            raise TypeError(message(op, wrong, need, "Write [tensor].", params=params))
        self.defaults = defaults
        self._no_hooks()
        self.state = defaultdict(dict)
        self.param_groups = []
        entries: list[Any] = list(params)
        if not entries:
            do = "A generator such as model.parameters() can be read only once; a model without parameters has none."
            raise ValueError(message(op, "optimizer got an empty parameter list", "at least one tensor", do))
        groups = entries if isinstance(entries[0], dict) else [{"params": entries}]
        for group in groups:
            self.add_param_group(group)

    def _no_hooks(self) -> None:
        self._in_step = False
        self._opt_called = False  # read by the schedulers: has step() run at all?
        self._step_pre_hooks = Callbacks()
        self._step_post_hooks = Callbacks()
        self._state_dict_pre_hooks = Callbacks()
        self._state_dict_post_hooks = Callbacks()
        self._load_pre_hooks = Callbacks()
        self._load_post_hooks = Callbacks()

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_step_pre_hooks" not in self.__dict__:
            self._no_hooks()

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for k, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {k}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own, for example layers that are unfrozen later.

        Args:
            param_group: ``"params"`` (a tensor, tensors, or ``(name, tensor)`` pairs) and options.
        """
        op = type(self).__name__
        if not isinstance(param_group, dict):
            raise TypeError(
                message(op, "param_group must be a dict", "a dict with 'params'", param_group=param_group)
            )
        if "params" not in param_group:
            names = ", ".join(map(str, param_group)) or "nothing"
            raise KeyError(
                f"[{op}] parameter group without 'params': got {names}; needed: 'params' with tensors."
            )
        given = param_group["params"]
        if isinstance(given, set):
            do = "The order of a set changes from run to run; use a list."
            raise TypeError(message(op, "params is a set", "an ordered collection", do))
        entries: list[Any] = [given] if isinstance(given, Tensor) else list(given)
        named = [isinstance(e, tuple) for e in entries]
        if any(named) and not all(named):
            need = "a name for every parameter or for none"
            raise ValueError(message(op, "all optimizer params should be with/without names", need))
        params: list[Tensor] = [e[1] for e in entries] if any(named) else entries
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    message(op, f"parameter group didn't specify a value of {name!r}", f"{name}=...")
                )
        differentiable = param_group.get("differentiable", self.defaults.get("differentiable"))
        for k, p in enumerate(params):
            if not isinstance(p, Tensor):
                wrong = "optimizer can only optimize Tensors"
                raise TypeError(message(op, wrong, "tensors in params", **{f"params[{k}]": p}))
            if not (differentiable or p.is_leaf or p.retains_grad):
                do = "Pass the parameter that it was computed from, or detach it."
                got = {f"params[{k}]": p}
                raise ValueError(
                    message(op, "can't optimize a non-leaf Tensor", "a leaf of the graph", do, **got)
                )
        seen = {id(p) for g in self.param_groups for p in g["params"]}
        if any(id(p) in seen for p in params):
            wrong, do = "some parameters appear in more than one parameter group", "Take them out of one."
            raise ValueError(message(op, wrong, "every parameter once", do))
        if len({id(p) for p in params}) < len(params):
            wrong = "optimizer contains a parameter group with duplicate parameters, which are updated several times"
            warnings.warn(
                message(op, wrong, "every parameter once", "Take the repeated ones out."), UserWarning, 3
            )
        if self.param_groups and ("param_names" in self.param_groups[0]) != any(named):
            wrong = "all optimizer param groups should be with/without names"
            raise ValueError(message(op, wrong, "names in every group or in none"))
        param_group["params"] = params
        if any(named):
            param_group["param_names"] = [e[0] for e in entries]
        for name, default in self.defaults.items():
            param_group.setdefault(name, default)
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters.

        Args:
            set_to_none: drop the tensors (cheaper, the default) instead of filling them with zeros.
        """
        for group in self.param_groups:
            for p in group["params"]:
                g = p.grad
                if set_to_none or g is None:
                    p.grad = None
                    continue
                if g.requires_grad:  # made with create_graph=True: leave its graph
                    g = p.grad = g.detach()
                g.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once.

        Args:
            closure: computes the loss and its gradients; its result is returned.
        """
        raise NotImplementedError(
            f"[{type(self).__name__}] has no step(): a subclass of Optimizer defines it."
        )

    # ---- saving and loading -------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Options and state with parameters replaced by their positions: PyTorch's format, both ways."""
        for hook in self._state_dict_pre_hooks.values():
            hook(self)
        places: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                places.setdefault(id(p), len(places))
            packed = {name: value for name, value in group.items() if name != "params"}
            packed["params"] = [places[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {
            places[id(k)] if isinstance(k, Tensor) else k: self._export(v) for k, v in self.state.items() if v
        }
        saved: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._state_dict_post_hooks.values():
            changed = hook(self, saved)
            saved = saved if changed is None else changed
        return saved

    def _export(self, entry: dict[str, Any]) -> dict[str, Any]:
        numbers = {n: fb.tensor(float(entry[n]), dtype=fb.float32) for n in self._counters if n in entry}
        return {name: numbers.get(name, value) for name, value in entry.items()} if numbers else entry

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave, here or in PyTorch. Tensors are copied to the parameters' devices.

        Args:
            state_dict: where both it and this optimizer have names of parameters, state goes by name, else by position.

        Raises:
            ValueError: groups, names or shapes don't fit; the message lists which.
        """
        op = type(self).__name__
        saved = dict(state_dict)
        for hook in self._load_pre_hooks.values():
            changed = hook(self, saved)
            saved = saved if changed is None else changed
        new_groups: list[dict[str, Any]] = deepcopy(saved["param_groups"])
        if len(new_groups) != len(self.param_groups):
            wrong = "loaded state dict has a different number of parameter groups"
            raise ValueError(message(op, wrong, f"{len(self.param_groups)}", loaded=len(new_groups)))
        for k, (mine, new) in enumerate(zip(self.param_groups, new_groups, strict=True)):
            if len(mine["params"]) != len(new["params"]):
                wrong = (
                    f"loaded state dict contains a parameter group that doesn't match the size of group {k}"
                )
                raise ValueError(
                    message(op, wrong, f"{len(mine['params'])} parameters", loaded=len(new["params"]))
                )
        where = self._places(new_groups)
        self._check_shapes(where, saved["state"])
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for key, entry in saved["state"].items():
            if key in where:
                p = where[key]
                state[p] = {name: self._import(p, name, value) for name, value in entry.items()}
            else:
                state[key] = entry
        for mine, new in zip(self.param_groups, new_groups, strict=True):
            new["params"] = mine["params"]
            if "param_names" in mine:
                new["param_names"] = mine["param_names"]
            for name, default in self.defaults.items():  # files written before an option existed
                new.setdefault(name, default)
        self.__setstate__({"state": state, "param_groups": new_groups})
        for hook in self._load_post_hooks.values():
            hook(self)

    def _places(self, new_groups: list[dict[str, Any]]) -> dict[Any, Tensor]:
        """Which parameter each saved number means: by name where both sides have names, else by position."""
        mine = [p for group in self.param_groups for p in group["params"]]
        keys = [key for group in new_groups for key in group["params"]]
        names, saved = (
            [n for g in gs for n in g.get("param_names", ())] for gs in (self.param_groups, new_groups)
        )
        if len(names) < len(mine) or len(saved) < len(keys) or len({*names}) < len(names):
            return dict(zip(keys, mine, strict=True))
        missing, unknown = (sorted({*a} - {*b}) for a, b in ((names, saved), (saved, names)))
        if missing or unknown:
            wrong = "loaded state dict has other parameter names: "
            wrong += "; ".join(
                f"{what} {', '.join(name + similar(name, among) for name in some)}"
                for what, some, among in (("missing", missing, saved), ("unexpected", unknown, names))
                if some
            )
            do = "To go by position, take 'param_names' out of its param_groups."
            raise ValueError(
                message(type(self).__name__, wrong, "the names of this optimizer's parameters", do)
            )
        by_name = dict(zip(names, mine, strict=True))
        return {key: by_name[name] for key, name in zip(keys, saved, strict=True)}

    def _check_shapes(self, where: dict[Any, Tensor], saved: dict[Any, dict[str, Any]]) -> None:
        names = {
            id(p): n
            for g in self.param_groups
            for n, p in zip(g.get("param_names", ()), g["params"], strict=False)
        }
        wrong = [
            f"{name} of {names.get(id(where[key]), f'parameter {key}')} is {list(value.shape)}, the parameter "
            f"{list(where[key].shape)}"
            for key, entry in saved.items()
            if self._like_params and key in where
            for name, value in entry.items()
            if isinstance(value, Tensor) and name not in self._counters and value.shape != where[key].shape
        ]
        if wrong:
            need = "state of the parameters' shapes"
            raise ValueError(
                message(type(self).__name__, f"loaded state doesn't fit: {'; '.join(wrong)}", need)
            )

    def _import(self, p: Tensor, name: str, value: Any) -> Any:
        if name in self._counters:
            return float(value)
        if isinstance(value, Tensor):
            if name != "step" and p.is_floating_point():
                return value.detach().to(device=p.device, dtype=p.dtype, copy=True)
            return value.detach().to(device=p.device, copy=True)
        if isinstance(value, dict):
            return {k: self._import(p, k, v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._import(p, "", v) for v in value)
        return value

    # ---- hooks --------------------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before every step; it may return new ``(args, kwargs)``."""
        return self._step_pre_hooks.register(hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after every step."""
        return self._step_post_hooks.register(hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., None], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` before ``state_dict``."""
        return self._state_dict_pre_hooks.register(hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after ``state_dict``; it may return another dict."""
        return self._state_dict_post_hooks.register(hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before loading; it may return another dict."""
        return self._load_pre_hooks.register(hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., None], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` after loading."""
        return self._load_post_hooks.register(hook, prepend)
