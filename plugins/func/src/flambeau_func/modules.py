"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau as fb

__all__ = ["functional_call", "stack_module_state"]


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other tensors in place of its parameters and buffers; the module itself stays as it is.

    Args:
        module: an ``nn.Module``.
        parameter_and_buffer_dicts: tensors by the names that ``named_parameters`` and ``named_buffers`` give, in one
            dict or several; what isn't named keeps the module's own.
        args: the module's arguments, a tuple (or the only one).
        kwargs: its keyword arguments.
        tie_weights: replace a tensor that the module has under several names under all of them.
        strict: refuse names that are missing, or that the module doesn't have.

    Raises:
        KeyError: a name is unknown, or given twice.
        RuntimeError: with ``strict``, a name is missing.

    >>> import flambeau as fb
    >>> from flambeau import nn
    >>> layer = nn.Linear(2, 1)
    >>> state = {"weight": fb.ones(1, 2), "bias": fb.zeros(1)}
    >>> fb.func.functional_call(layer, state, fb.ones(3, 2)).tolist()
    [[2.0], [2.0], [2.0]]
    """
    dicts = (
        [parameter_and_buffer_dicts]
        if isinstance(parameter_and_buffer_dicts, dict)
        else parameter_and_buffer_dicts
    )
    given: dict[str, Any] = {}
    for d in dicts:
        for name, value in d.items():
            if name in given:
                raise ValueError(
                    f"[functional_call] got {name!r} in several dictionaries; needed: every name once. Merge them."
                )
            given[name] = value
    places = {
        (prefix + name): (owner, table, name)
        for prefix, owner in ((p and p + ".", m) for p, m in module.named_modules(remove_duplicate=False))
        for table in (owner._parameters, owner._buffers)
        for name in table
    }
    unknown = [n for n in given if n not in places]
    if unknown:
        raise KeyError(
            f"[functional_call] the module has no parameter or buffer of that name: got {unknown}; there are: "
            f"{', '.join(places)}."
        )
    own = {n: table[name] for n, (_, table, name) in places.items()}
    if tie_weights:
        _tie(given, own)
    if strict and (missing := [n for n, t in own.items() if t is not None and n not in given]):
        raise RuntimeError(
            f"[functional_call] strict=True: missing {missing}; needed: all. Leave out strict."
        )
    try:
        for n, value in given.items():
            _put(*places[n], value)
        arguments = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*arguments, **(kwargs or {}))
    finally:
        for n in given:
            _put(*places[n], own[n])


def _put(owner: Any, table: dict[str, Any], name: str, value: Any) -> None:
    table[name] = value
    if name in owner.__dict__:
        owner.__dict__[name] = value


def _tie(given: dict[str, Any], own: dict[str, Any]) -> None:
    """Give tensors that are one under several names one replacement."""
    groups: dict[int, list[str]] = {}
    for n, t in own.items():
        if t is not None:
            groups.setdefault(id(t), []).append(n)
    for names in groups.values():
        chosen = [given[n] for n in names if n in given]
        if len(names) > 1 and chosen:
            if any(c is not chosen[0] for c in chosen):
                raise ValueError(
                    f"[functional_call] got different tensors for {names}, which are one tensor in the module. Give "
                    "one, or tie_weights=False."
                )
            given.update(dict.fromkeys(names, chosen[0]))


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and buffers of models of one kind, stacked: what `vmap` of an ensemble goes over.

    Returns:
        Parameters (leaves that require grad where the models' do) and buffers by name, each with a leading dimension
        for the models.

    Raises:
        RuntimeError: there are no models, or they differ in class, mode or names.

    >>> import flambeau as fb
    >>> from flambeau import nn
    >>> models = [nn.Linear(2, 3) for _ in range(4)]
    >>> params, buffers = fb.func.stack_module_state(models)
    >>> params["weight"].shape
    flambeau.Size([4, 3, 2])
    >>> call = lambda p, x: fb.func.functional_call(models[0], p, x)
    >>> fb.vmap(call, in_dims=(0, None))(params, fb.ones(5, 2)).shape
    flambeau.Size([4, 5, 3])
    """
    if not models:
        raise RuntimeError("[stack_module_state] got no models; needed: at least one. Give a list of them.")
    if any(m.training != models[0].training for m in models):
        raise RuntimeError(
            "[stack_module_state] got models in different modes; needed: all train() or all eval(). Set one mode."
        )
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError(
            f"[stack_module_state] got {sorted({type(m).__name__ for m in models})}; needed: models of one class."
        )
    tables = []
    for kind in ("named_parameters", "named_buffers"):
        rows = [dict(getattr(m, kind)()) for m in models]
        if any(r.keys() != rows[0].keys() for r in rows):
            raise RuntimeError(
                f"[stack_module_state] {kind}: got models with different names; needed: the same."
            )
        tables.append({n: _stacked(n, [r[n] for r in rows]) for n in rows[0]})
    return tables[0], tables[1]


def _stacked(name: str, tensors: list[Any]) -> Any:
    if any(t.requires_grad != tensors[0].requires_grad for t in tensors):
        raise RuntimeError(
            f"[stack_module_state] {name}: got tensors of which some require grad; needed: all or none."
        )
    made = fb.stack([t.detach() for t in tensors])
    return made.requires_grad_() if tensors[0].requires_grad else made
