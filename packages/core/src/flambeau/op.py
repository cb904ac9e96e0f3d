"""Kinds of records, and the decorators that make them.

`kernel` (a backend's entry or native kernel writes the result), `view` (the result shares the input's memory),
`composite` (written in other public ops), and `pointwise` (a program; see ops/pointwise.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from . import registry
from .calls import ENTRIES, Call
from .layout import Spec, spec_of, unflipped
from .plan import Plan, resolved, viewer
from .record import Op
from .signature import NUMBERS, Param
from .state import WATCHED, modes, past_watchers

__all__ = [
    "ENTRIES", "NUMBERS", "Call", "Op", "Param", "composite", "kernel", "register", "resolved", "unflipped", "view",
]  # fmt: skip


class View(Op):
    """An op whose result shares its input's memory.

    The record's function gets the input's spec and the attributes and returns (shape, strides, offset) or a list
    of those, where need be with a dtype, and with it whether the view is flipped; offsets are in elements from the
    input's first element.
    """

    kind = "view"

    def settled(self, values: list[Any], tensors: list[Any]) -> tuple[list[Any], bool]:
        """Views of flipped tensors are flipped."""
        return values, False

    def prepare(self, values: list[Any], tensors: list[Any]) -> Plan:
        return self.plan(tensors[0].spec, self.attributes(values))

    def plan(self, src: Spec, attrs: dict[str, Any]) -> Plan:
        """The prepared call for a tensor of a spec."""
        found = self.fn(src, **attrs)
        single = not isinstance(found, list)

        def part(
            shape: Any, strides: Any, offset: int, dtype: Any = src.dtype, flipped: Any = src.flipped
        ) -> Any:
            if dtype is not src.dtype:
                unflipped(src, self.name)
            return spec_of(dtype, shape, src.device, tuple(strides), flipped), offset

        parts = [part(*f) for f in ([found] if single else found)]
        views = [viewer(src, spec, delta) for spec, delta in parts]

        def run_many(t: Any) -> Any:
            return tuple([view(t) for view in views])

        outs, run = tuple([spec for spec, _ in parts]), views[0] if single else run_many
        return Plan(self.name, run, self.rules, (src,), outs, attrs, ((0, -1),), single=single)

    def serve(self, other: Callable[..., Any]) -> Callable[..., Any]:
        """`short` for an op that does the same wherever this one can; ``other`` is that op's general call."""

        def general(*args: Any, **kwargs: Any) -> Any:
            out = other(*args, **kwargs)
            sizes = args[1:]
            if not kwargs and out.base is not None and all(type(n) is int for n in sizes):
                spec = args[0].spec
                with suppress(RuntimeError):
                    self.plans.keep((spec, *sizes), self.plan(spec, {self.names[1]: sizes}))
            return out

        return self.short(general)


class Composite(Op):
    """An op written in other public ops; the tape sees those."""

    kind = "composite"

    def __init__(self, fn: Callable[..., Any], via: View | None = None, **fields: Any) -> None:
        """``via``: a view record that does the same wherever it can; its plans then serve the op's calls."""
        super().__init__(fn, **fields)
        self.via = via
        self.variadic = bool(fn.__code__.co_flags & 4)  # inspect.CO_VARARGS

    @property
    def seen(self) -> bool:
        """Whether interceptors see it, and not only what it calls: random ops, and those with a batch rule."""
        return self.batch is not None or "generator" in self.index

    def general(self, /, *args: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        if out is not None:
            from .inplace import put_out, write_out

            if not self.variadic:
                return write_out(self, self.bind(args, kwargs), out)
            return put_out(self, args, self.fn(*args, **kwargs), out)
        if self.variadic:
            return self.fn(*args, **kwargs)
        if (
            WATCHED
            and modes.watchers
            and (self.seen or self.name in getattr(modes.watchers[-1], "composites", ()))
        ):
            return past_watchers(self, self, args, kwargs)
        if len(args) > self.n_positional or not all(k in self.index for k in kwargs):
            return self.apply(self.bind(args, kwargs))
        try:
            return self.fn(*args, **kwargs)
        except (TypeError, AttributeError):
            self.check_tensors(self.bind(args, kwargs))  # says it better where an argument is not a tensor
            raise

    def short(self, general: Callable[..., Any] | None = None) -> Callable[..., Any]:
        fn, most = self.fn, self.n_positional
        if general is None:
            general = super().short()
        required = any(p.keyword and p.default is Param.NONE for p in self.params)
        if self.variadic or self.seen or required:
            return general
        if self.via is not None:
            return self.via.serve(self.general)
        least = sum(d is Param.NONE for d in self.defaults[:most])
        spread = most > 0 and self.params[most - 1].kind == "attr"

        def call(*args: Any, **kwargs: Any) -> Any:
            n = len(args)
            if kwargs or n < least or WATCHED:
                return general(*args, **kwargs)
            if n > most:
                if not spread or any(type(a) is not int for a in args[most - 1 :]):
                    return general(*args)
                args = (*args[: most - 1], args[most - 1 :])
            try:
                return fn(*args)
            except (TypeError, AttributeError):
                self.check_tensors(self.bind(args, {}))
                raise

        return call

    def apply(self, values: Sequence[Any]) -> Any:
        n = self.n_positional
        return self.fn(*values[:n], **dict(zip(self.names[n:], values[n:], strict=False)))


def register(cls: type[Op], fn: Callable[..., Any], **fields: Any) -> Op:
    """A record, put among all records."""
    op = cls(fn, **fields)
    if op.name in registry.OPS:
        raise RuntimeError(f"[{op.name}] there are two records of this name. Rename one.")
    registry.OPS[op.name] = op
    for install in registry.INSTALLERS:
        install(op)
    return op


def kernel(**fields: Any) -> Callable[[Callable[..., Any]], Op]:
    """Decorator: the function is the infer of an op that a backend's kernel computes. Fields: see `Op`."""
    return lambda fn: register(Op, fn, **fields)


def view(**fields: Any) -> Callable[[Callable[..., Any]], Op]:
    """Decorator: the function is the geometry of a view. Fields: see `Op`."""
    return lambda fn: register(View, fn, **fields)


def composite(**fields: Any) -> Callable[[Callable[..., Any]], Op]:
    """Decorator: the function is the op, written in other public ops. Fields: see `Op`."""
    return lambda fn: register(Composite, fn, **fields)
