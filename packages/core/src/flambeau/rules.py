"""Gradient rules of kernel records: what each rule reads, what a call must save for it, how it is given it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import tape
from .errors import refuse

if TYPE_CHECKING:
    from .op import Op
    from .plan import Plan
    from .tape import Node

__all__ = ["Rules"]


def names_of(rule: Callable[..., Any]) -> tuple[str, ...]:
    """The parameters of a rule."""
    return rule.__code__.co_varnames[: rule.__code__.co_argcount]


class Recipe:
    """What one pattern of arguments saves, and how its rules are called.

    Attributes:
        ins: numbers of the tensors to save.
        outs: numbers of the outputs to save.
        calls: per needed rule: its first edge, its number of edges (-1: one), the function, its readers.
    """

    __slots__ = ("calls", "ins", "outs", "spans")

    def __init__(
        self, rules: Rules, needs: tuple[bool | None, ...], spans: tuple[tuple[int, int], ...]
    ) -> None:
        self.spans = spans
        wanted: list[Any] = []
        if rules.joint is not None and any(needs):
            wanted.append((0, len(needs), rules.joint, names_of(rules.joint), None))
        for (fn, names), p, (at, n) in zip(rules.readers, rules.tensors, spans, strict=True):
            edges = needs[at : at + (1 if n < 0 else n)]
            if fn is not None and any(edges):
                wanted.append((at, n, fn, names, p))
        read = {name for w in wanted for name in w[3]}
        self.ins: list[int] = []
        where: dict[str, Any] = {}
        for p, (at, n) in zip(rules.tensors, spans, strict=True):
            if p.name in read:
                slots = tuple(range(len(self.ins), len(self.ins) + abs(n)))
                absent = n < 0 and needs[at] is None
                where[p.name] = slots if n >= 0 else None if absent else slots[0]
                self.ins += [] if absent else range(at, at + abs(n))
        self.outs = [k for k in range(rules.n_out_names) if f"out{k}" in read or (k == 0 and "out" in read)]
        for j, k in enumerate(self.outs):
            where[f"out{k}"] = (len(self.ins) + j, k)
        if "out0" in where:
            where["out"] = where["out0"]
        self.calls = [
            (at, n, fn, [self.reader(name, where, rules) for name in names]) for at, n, fn, names, _ in wanted
        ]

    def reader(self, name: str, where: dict[str, Any], rules: Rules) -> Callable[..., Any]:
        """A function (node, gs) -> what a rule's parameter stands for."""
        if name == "g" or (name[0] == "g" and name[1:].isdigit()):
            k = int(name[1:] or 0)
            return lambda node, gs: gs[k]
        if name in where and (name == "out" or (name[:3] == "out" and name[3:].isdigit())):
            slot, nr = where[name]
            tracked = nr not in rules.op.nondiff
            return lambda node, gs: tape.unpack_output(node, slot, nr, tracked)
        if name in where:
            at = where[name]
            if at is None:
                return lambda node, gs: None
            if type(at) is tuple:
                return lambda node, gs: tuple(tape.unpack(node, j) for j in at)
            return lambda node, gs: tape.unpack(node, at)
        if name.endswith("_spec"):
            for p, (at, n) in zip(rules.tensors, self.spans, strict=True):
                if p.name == name[:-5]:
                    if n < 0:
                        return lambda node, gs, at=at: node.kind.specs[at]
                    return lambda node, gs, at=at, n=n: tuple(node.kind.specs[at : at + n])
        if name == "gs":
            return lambda node, gs: tuple(gs)
        if name == "needs":
            return lambda node, gs: tuple(e is not None for e in node.edges)
        return lambda node, gs: node.kind.attrs[0][name]


class Rules:
    """Gradient rules of a record.

    A rule is a function whose parameter names say what it reads: ``g`` (``g0``, ``g1``... with several outputs), a
    tensor parameter's name (saved), ``NAME_spec`` (only the spec is kept), ``out`` (``out0``...), ``needs`` (which
    edges want a gradient), ``gs`` (the gradients of all outputs, None where there is none), or an attribute's name.
    """

    def __init__(self, op: Op) -> None:
        self.op = op
        self.name = op.name
        self.tensors = [op.params[k] for k in op.tensor_at]
        self.readers: list[tuple[Callable[..., Any] | None, tuple[str, ...]]] = []
        vjp: Any = op.vjp
        self.joint: Callable[..., Any] | None = vjp if callable(vjp) else None
        for p in self.tensors:
            fn = None if self.joint or not vjp else vjp.get(p.name)
            self.readers.append((fn, () if fn is None else names_of(fn)))
        self.n_out_names = 8
        self.recipes: dict[Any, Recipe] = {}

    def recipe(self, needs: tuple[bool | None, ...], spans: tuple[tuple[int, int], ...]) -> Recipe:
        """What calls save whose tensors want gradients so (None: there is no tensor)."""
        found = self.recipes.get((needs, spans))
        if found is None:
            if len(self.recipes) >= 256:  # lists of many lengths
                self.recipes.clear()
            found = self.recipes[needs, spans] = Recipe(self, needs, spans)
        return found

    def kind_of(self, plan: Plan, needs: int) -> tape.Kind | bool:
        """What nodes of a prepared call have in common.

        Raises:
            RuntimeError: the op has no gradient.
        """
        op = self.op
        if op.vjp is None:
            refuse(op.name, "has no gradient rule", do="Detach its input, or compute it under no_grad().")
        wanted = [None if s is None else bool(needs >> k & 1) for k, s in enumerate(plan.specs)]
        recipe = self.recipe(tuple(wanted), plan.spans)
        if not recipe.calls:
            return False
        floats = [k for k, s in enumerate(plan.outs) if s is not None and s.dtype.rank > 1]
        tracked = None if plan.single else tuple(k for k in floats if k not in op.nondiff)
        if plan.single and (not floats or 0 in op.nondiff):
            return False
        attrs = plan.attrs, recipe
        return tape.Kind(self, plan.specs, plan.outs, attrs, recipe.ins, recipe.outs, tracked)

    def node(self, edges: list[Any], specs: list[Any], attrs: dict[str, Any], outs: tuple[Any, ...]) -> Node:
        """A node for a call that did not happen as such; its rules must read specs and attributes only."""
        spans = tuple((k, -1) for k in range(len(edges)))
        recipe = self.recipe(tuple([e is not None for e in edges]), spans)
        return tape.make_node(tape.Kind(self, specs, outs, (attrs, recipe)), edges)

    def gradients(self, node: Node, gs: list[Any]) -> list[Any]:
        """Run the rules that are needed."""
        result: list[Any] = [None] * len(node.edges)
        edges = node.edges
        for at, n, fn, readers in node.kind.attrs[1].calls:
            if n < 0 and edges[at] is None:
                continue
            found = fn(*[r(node, gs) for r in readers])
            if n < 0:
                result[at] = found
            else:
                result[at : at + n] = found
        return result
