"""The usual calls of an op as functions that find the plan by one look-up, without binding or reading arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .signature import LOOSE, NUMBERS
from .state import GRAD_OFF, WATCHED, modes
from .tape import record

__all__ = ["short", "short_into"]

_MISSING: Any = object()


def short(op: Any, general: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """An op as a function that finds the plan at once, for a tensor and attributes or for two operands.

    Args:
        general: what is called for anything else.
    """
    general = general or op.general
    table = op.plans

    def one(*args: Any, **kwargs: Any) -> Any:
        if WATCHED:
            return general(*args, **kwargs)
        try:
            t = args[0]
            if kwargs:
                if not LOOSE.isdisjoint(map(type, (*args, *kwargs.values()))):
                    return general(*args, **kwargs)
                plan = table[(t.spec, *args[1:], *kwargs.items())]
            elif len(args) == 1:
                plan = table[t.spec]
            elif type(args[1]) in LOOSE or type(args[-1]) in LOOSE:
                return general(*args)
            else:
                plan = table[(t.spec, *args[1:])]
        except (AttributeError, IndexError, KeyError, TypeError):
            return general(*args, **kwargs)
        out = plan.run(t)
        if t.rg and (not GRAD_OFF or modes.grad):
            record(plan, (t,), (), out)
        return out

    def listed(*args: Any, **kwargs: Any) -> Any:
        if kwargs or WATCHED:
            return general(*args, **kwargs)
        try:
            ts = args[0]
            specs = tuple([t.spec for t in ts])
            plan = table[specs if len(args) == 1 else (specs, *args[1:])]
        except (AttributeError, IndexError, KeyError, TypeError):
            return general(*args)
        out = plan.run(*ts)
        if not GRAD_OFF or modes.grad:
            for t in ts:
                if t.rg:
                    record(plan, ts, (), out)
                    break
        return out

    def two(a: Any = _MISSING, b: Any = _MISSING, /, *rest: Any, **kwargs: Any) -> Any:
        if rest or kwargs or WATCHED:
            return general(*[v for v in (a, b) if v is not _MISSING], *rest, **kwargs)
        try:
            if type(b) in NUMBERS:
                plan = table[a.spec, type(b)]
                out = plan.run(a, b)
                if a.rg and (not GRAD_OFF or modes.grad):
                    record(plan, (a,), (b,), out)
                return out
            plan = table[a.spec, b.spec]
        except (AttributeError, KeyError):
            return general(*[v for v in (a, b) if v is not _MISSING])
        out = plan.run(a, b)
        if (a.rg or b.rg) and (not GRAD_OFF or modes.grad):
            record(plan, (a, b), (), out)
        return out

    def several(*args: Any, **kwargs: Any) -> Any:
        n = len(args)
        if WATCHED or n > most or (kwargs and not (n < least and named[n].issuperset(kwargs))):
            return general(*args, **kwargs)
        given = args if n >= least else (*args, *[kwargs.get(p.name, p.default) for p in op.params[n:least]])
        key: list[Any] = []
        tensors: list[Any] = []
        numbers: list[Any] = []
        try:
            for kind, a in zip(taken, given, strict=False):
                if kind == "attr":
                    if type(a) in LOOSE:
                        return general(*args, **kwargs)
                    key.append(a)
                elif type(a) in NUMBERS:
                    numbers.append(a)
                    key.append(type(a))
                else:
                    if a is not None or (kind == "optional" and op.kind != "pointwise"):
                        tensors.append(a)
                    key.append(None if a is None else a.spec)
            plan = table[tuple(key)]
        except (AttributeError, KeyError, TypeError):
            return general(*args, **kwargs)
        out = plan.run(*tensors, *numbers)
        if not GRAD_OFF or modes.grad:
            for t in tensors:
                if t is not None and t.rg:
                    record(plan, tensors, numbers, out)
                    break
        return out

    def call(*args: Any, **kwargs: Any) -> Any:
        return general(*args, **kwargs)

    kinds = tuple([op.params[k].kind for k in op.tensor_at])
    in_front = op.tensor_at == tuple(range(len(kinds)))
    if op.mutates or not kinds or (kinds != ("tensors",) and "tensors" in kinds):
        return call
    if kinds == ("tensors",):
        return listed if in_front else call
    if in_front and "optional" not in kinds and len(kinds) < 3:
        return one if len(kinds) == 1 else two
    taken = [p.kind for p in op.params[: op.n_positional]]
    least, most = op.tensor_at[-1] + 1, ([*taken, "number"]).index("number")
    named = [frozenset(op.names[n:least]) for n in range(least)]
    return several


def short_into(op: Any, general: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """The in-place form as a function that finds the plan at once for two operands.

    Args:
        general: what is called for anything else.
    """
    from .inplace import inplace, is_leaf_view

    table = op.plans
    if general is None:

        def general(*args: Any, **kwargs: Any) -> Any:
            return inplace(op, args[0], args[1:], kwargs)

    def into(*args: Any, **kwargs: Any) -> Any:
        if kwargs or WATCHED or len(args) != 2:
            return general(*args, **kwargs)
        t, b = args
        try:
            if type(b) in NUMBERS:
                plan = table[t.spec, type(b), "into"]
                rg = t.rg
            else:
                plan = table[t.spec, b.spec, "into"]
                rg = t.rg or b.rg
            if (rg or is_leaf_view(t)) and (not GRAD_OFF or modes.grad):
                return general(t, b)
            mem = t.mem
            if mem.watch is not None or (type(b) not in NUMBERS and b.mem is mem):
                return general(t, b)
        except (AttributeError, KeyError):
            return general(t, b)
        plan.run(t, b)
        mem.version += 1
        return t

    return into
