"""The tape: what an op leaves behind for its gradient, and the walker that goes back along it.

A node knows the rules of its op, its edges (where gradients of its inputs go) and what it saved. An edge is
``(node, output number)``, or ``(leaf tensor, 0)``, or None. Nodes are numbered in order of creation; every edge
leads to a lower number, so the walker needs nothing but a heap of numbers. Rules are written in recorded ops:
walking back with recording on gives the graph of the gradient.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

from .errors import message
from .state import SAVERS, is_grad_enabled, modes, set_grad

if TYPE_CHECKING:
    from ._tensor import Tensor
    from .layout import Spec

__all__ = [
    "Kind", "Node", "anomaly", "backward", "make_node", "record", "save", "save_output", "unpack", "unpack_output",
]  # fmt: skip

_numbers = count()
next_number = _numbers.__next__

#: Settings of ``autograd.set_detect_anomaly``.
anomaly = {"on": False, "nan": True}


class Freed:
    """Stands where saved tensors were, after a backward pass has freed them."""


FREED: Any = Freed()


class Kind:
    """What the nodes of one prepared call have in common.

    Attributes:
        rules: has ``name`` and ``gradients(node, gs) -> sequence`` with a gradient (or None) per edge.
        specs: the inputs' specs, one per edge.
        outs: the outputs' specs.
        attrs: whatever else the rules need.
        ins, keep: numbers of the inputs and of the outputs that are saved.
        tracked: numbers of the outputs that carry gradients; None: the one result does.
    """

    __slots__ = ("attrs", "ins", "keep", "outs", "rules", "specs", "tracked")

    def __init__(
        self,
        rules: Any,
        specs: Sequence[Any],
        outs: tuple[Any, ...],
        attrs: Any = None,
        ins: Sequence[int] = (),
        keep: Sequence[int] = (),
        tracked: tuple[int, ...] | None = None,
    ) -> None:
        self.rules = rules
        self.specs = specs
        self.outs = outs
        self.attrs = attrs
        self.ins = ins
        self.keep = keep
        self.tracked = tracked


class Node:
    """One op on the tape.

    Attributes:
        kind: what it has in common with other nodes of its op.
        edges: where the gradients go.
        saved: ``(tensor, version)`` pairs, inputs first; outputs as their parts (see `save_output`).
        values: the call's run-time numbers.
        number: its place in the order of creation.
        extra: None, or a dict: ``hooks`` (lists of functions by output number, called with the gradient of that
            output), ``pre`` and ``post`` hooks of users, ``trace`` (anomaly mode), ``metadata``.
    """

    __slots__ = ("__weakref__", "edges", "extra", "kind", "number", "saved", "values")

    kind: Kind
    edges: Any
    saved: Any
    values: Any
    number: int
    extra: dict[str, Any] | None

    def name(self) -> str:
        """PyTorch's name of the node, e.g. ``AddBackward0``."""
        name: str = self.kind.rules.name
        return (
            name
            if name.endswith("Backward")
            else "".join(p.capitalize() for p in name.split("_")) + "Backward0"
        )

    def __repr__(self) -> str:
        return f"<{self.name()} object at {hex(id(self))}>"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that gradients go to, each with the number of its output."""
        return tuple((None, 0) if e is None else (e[0], e[1]) for e in self.edges)

    @property
    def metadata(self) -> dict[str, Any]:
        """A dictionary for the user's own notes."""
        return self._extra().setdefault("metadata", {})  # type: ignore[no-any-return]

    def _extra(self) -> dict[str, Any]:
        if self.extra is None:
            self.extra = {}
        return self.extra

    def register_prehook(self, fn: Callable[..., Any]) -> Removable:
        """Call ``fn(grad_outputs)`` before the rules; what it returns replaces them."""
        return Removable.append(self._extra().setdefault("pre", []), fn)

    def register_hook(self, fn: Callable[..., Any]) -> Removable:
        """Call ``fn(grad_inputs, grad_outputs)`` after the rules; what it returns replaces the former."""
        return Removable.append(self._extra().setdefault("post", []), fn)


class Removable:
    """A hook's handle: `remove` takes it out; also a context manager."""

    __slots__ = ("hook", "hooks")

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self.hooks = hooks
        self.hook = hook

    @classmethod
    def append(cls, hooks: list[Any], hook: Any) -> Removable:
        """Add a hook to a list and give its handle."""
        hooks.append(hook)
        return cls(hooks, hook)

    def remove(self) -> None:
        """Take the hook out."""
        if self.hook in self.hooks:
            self.hooks.remove(self.hook)

    def __enter__(self) -> Removable:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def make_node(kind: Kind, edges: Any, saved: Any = (), values: Any = ()) -> Node:
    """A node, filled in field by field, because calling the class takes twice the time."""
    node: Any = object.__new__(Node)
    node.kind = kind
    node.edges = edges
    node.saved = [pack(*s) for s in saved] if SAVERS and modes.savers else saved
    node.values = values
    node.number = next_number()
    node.extra = None
    if anomaly["on"]:
        import traceback

        node.extra = {"trace": "".join(traceback.format_stack(limit=24))}
    made: Node = node
    return made


class Packed:
    """Stands where a saved tensor was: what a hook made of it, and where its gradient goes."""

    __slots__ = ("edge", "unpack", "value")

    name = "Unpack"

    def __init__(self, t: Any, edge: Any, hooks: tuple[Any, Any]) -> None:
        self.edge, self.unpack = edge, hooks[1]
        before, modes.savers = modes.savers, modes.savers[:-1]
        try:
            self.value = hooks[0](t.detach())
        finally:
            modes.savers = before

    def tensor(self) -> Any:
        """The tensor again, with its place on the tape."""
        t = self.unpack(self.value)
        if not hasattr(t, "spec"):
            raise TypeError(message("saved_tensors_hooks", "unpack_hook must return a Tensor", unpacked=t))
        t = t.detach()
        if self.edge is not None:
            t.node, t.rg = make_node(Kind(self, [t.spec], (t.spec,)), [self.edge]), True
        return t

    def gradients(self, node: Node, gs: list[Any]) -> list[Any]:
        """The rule of the node in front of an unpacked tensor."""
        return gs


def pack(t: Any, version: int) -> tuple[Any, int]:
    """Let the innermost hook have a saved tensor, or the parts of a saved output."""
    from .plan import TENSOR

    edge = None
    if type(t) is tuple:
        t = TENSOR(*t)
    else:
        edge = edge_of(t)
    return Packed(t, edge, modes.savers[-1]), version


def record(plan: Any, tensors: Sequence[Any], values: Any, out: Any) -> None:
    """Put a prepared call on the tape: make its node and give it to the result or results."""
    edges: list[Any] = []
    needs = 0
    bit = 1
    for t in tensors:
        if t is None or not t.rg:
            edges.append(None)
        elif t.base is None or t.seen == t.mem.version:
            needs |= bit
            edges.append((t.node or t, t.nr))
        else:
            edges.append(edge_of(t))
            if t.rg:
                needs |= bit
        bit += bit
    kind = plan.kinds.get(needs)
    if kind is None:
        kind = plan.kind(needs)
    if not kind:
        return
    saved: list[Any] = []
    for k in kind.ins:
        t = tensors[k]
        mem = t.mem
        if not mem.watch:
            watch(mem)
        saved.append((t, mem.version))
    tracked = kind.tracked
    for k in kind.keep:
        saved.append(save_output(out if tracked is None else out[k]))
    node = make_node(kind, edges, saved, values)
    if tracked is None:
        out.node = node
        out.rg = True
    else:
        for k in tracked:
            t = out[k]
            t.node, t.nr, t.rg = node, k, True


def watch(mem: Any) -> None:
    """Note who writes to memory from now on.

    Raises:
        RuntimeError: it was made in inference mode.
    """
    if mem.watch is False:
        raise RuntimeError(
            "[save_for_backward] Inference tensors cannot be saved for backward: one of the operands was made in "
            "inference_mode(). Make a clone() of it outside to get a normal tensor."
        )
    if mem.watch is None:
        mem.watch = ()


def save(tensors: Sequence[Any]) -> list[Any]:
    """Keep tensors for the backward pass, with the versions that they have now."""
    kept = []
    for t in tensors:
        mem = t.mem
        watch(mem)
        kept.append((t, mem.version))
    return kept


def save_output(t: Any) -> tuple[Any, int]:
    """Keep an output: its parts, because the tensor itself would keep its node alive in a circle."""
    mem = t.mem
    watch(mem)
    return (t.spec, mem, t.ptr, t.offset), mem.version


def unpack_output(node: Node, k: int, nr: int, tracked: bool = True) -> Any:
    """A saved output as a tensor with its place on the tape."""
    from .plan import TENSOR

    parts = () if node.saved is FREED else node.saved[k][0]
    if type(parts) is not tuple or not parts or parts[1].version != node.saved[k][1]:
        t = unpack(node, k)  # raises, unless hooks have it
        parts = t.spec, t.mem, t.ptr, t.offset
    spec, mem, ptr, offset = parts
    t = TENSOR(spec, mem, ptr, offset)
    if tracked:
        t.node, t.nr, t.rg = node, nr, True
    return t


def unpack(node: Node, k: int) -> Tensor:
    """A saved tensor.

    Raises:
        RuntimeError: it was freed by an earlier backward, or changed in place since.
    """
    saved = node.saved
    if saved is FREED:
        raise RuntimeError(
            f"[{node.kind.rules.name}] Trying to backward through the graph a second time: the values saved for it "
            "were freed by the first backward. Use backward(retain_graph=True) the first time."
        )
    t: Any = saved[k][0]
    if type(t) is Packed:
        return t.tensor()  # type: ignore[no-any-return]
    spec, mem = (t[0], t[1]) if type(t) is tuple else (t.spec, t.mem)
    since = mem.version - saved[k][1]
    if since:
        writers = mem.watch or ()
        by = writers[-since:] if len(writers) >= since else writers
        raise RuntimeError(
            f"[{node.kind.rules.name}] one of the variables needed for gradient computation has been modified by an "
            f"inplace operation: {list(spec.shape)} {spec.dtype.name}, saved by {node.name()}, is at version "
            f"{mem.version}, expected version {saved[k][1]}"
            + (f"; changed by {by[0]}" if by else "")
            + ". Use the out-of-place form of that operation, or clone() the tensor first."
        )
    return t  # type: ignore[no-any-return]


def edge_of(t: Tensor) -> tuple[Any, int] | None:
    """Where gradients of a tensor go."""
    if not t.rg:
        return None
    if t.base is not None and t.seen != t.mem.version:
        refresh_view(t)  # noqa: F821 (set by inplace)
    return (t.node or t, t.nr) if t.rg else None


#: Set by ops.views: gives a view whose base was written in place the node that fits its base's new history.
refresh_view: Callable[[Tensor], None]


def _reach(roots: list[Any], targets: set[Any]) -> set[Any]:
    """The nodes from which a target can be reached; targets are leaves' ids or (node, number)."""
    good: set[Any] = set()
    done: set[Any] = set()
    stack: list[tuple[Any, bool]] = [(r, False) for r in roots]
    while stack:
        node, ready = stack.pop()
        if ready:
            for e in node.edges:
                if _leads(e, good, targets):
                    good.add(node)
                    break
        elif node not in done:
            done.add(node)
            stack.append((node, True))
            stack.extend((e[0], False) for e in node.edges if e is not None and type(e[0]) is Node)
    return good


def _leads(e: Any, only: Any, targets: Any) -> bool:
    """Whether an edge leads to a target."""
    if e is None:
        return False
    return id(e[0]) in targets if type(e[0]) is not Node else e[0] in only or (e[0], e[1]) in targets


def backward(
    roots: Sequence[Tensor],
    grads: Sequence[Tensor],
    keep: bool = False,
    create: bool = False,
    inputs: Sequence[Tensor] | None = None,
    accumulate: bool = True,
) -> list[Tensor | None]:
    """Walk back from ``roots`` with their gradients.

    Args:
        roots: tensors with a history.
        grads: their gradients, of their shapes and dtypes.
        keep: leave saved tensors in place for another walk.
        create: record the walk.
        inputs: only compute the gradients of these.
        accumulate: add gradients to ``.grad`` of leaves (of ``inputs``, where given); otherwise return them.

    Returns:
        The gradients of ``inputs`` (None where unreached); empty without ``inputs``.
    """
    found: dict[Any, Tensor] = {}
    targets: set[Any] | None = None
    only: set[Any] | None = None
    starts = [edge_of(r) for r in roots]
    if inputs is not None:
        keys = [id(e[0]) if type(e[0]) is not Node else e for e in (edge_of(i) or (i, 0) for i in inputs)]
        targets = set(keys)
        only = _reach([s[0] for s in starts if s is not None and type(s[0]) is Node], targets)
    pending: dict[Any, list[Any]] = {}
    leaves: dict[int, list[Any]] = {}
    heap: list[tuple[int, Any]] = []

    def arrive(target: Any, nr: int, g: Tensor) -> None:
        if type(target) is not Node:
            held = leaves.get(id(target))
            if held is not None:
                held[1] = held[1] + g
            elif targets is None or id(target) in targets:
                leaves[id(target)] = [target, g]
            return
        buffer = pending.get(target)
        if buffer is None:
            if only is not None and target not in only and (target, nr) not in targets:  # type: ignore[operator]
                return
            buffer = pending[target] = [None] * len(target.kind.outs)
            heappush(heap, (-target.number, target))
        other = buffer[nr]
        buffer[nr] = g if other is None else other + g

    before = modes.grad
    set_grad(create)
    try:
        for s, g in zip(starts, grads, strict=True):
            if s is not None:
                arrive(s[0], s[1], g)
        while heap:
            node = heappop(heap)[1]
            gs = pending.pop(node)
            extra = node.extra
            if extra is not None and "hooks" in extra:
                for nr, fns in extra["hooks"].items():
                    if gs[nr] is not None:
                        gs[nr] = run_hooks(fns, gs[nr])
            if targets is not None:
                for nr, g in enumerate(gs):
                    if g is not None and (node, nr) in targets:
                        found[node, nr] = g
                if node not in only:  # type: ignore[operator]
                    continue
            if extra is not None and "pre" in extra:
                for fn in list(extra["pre"]):
                    gs = list(fn(tuple(gs)) or gs)
            kind = node.kind
            edges = node.edges
            if targets is None:
                ins = kind.rules.gradients(node, gs)
            else:  # rules work out what their node has edges for
                try:
                    node.edges = [e if _leads(e, only, targets) else None for e in edges]
                    ins = kind.rules.gradients(node, gs)
                finally:
                    node.edges = edges
            if extra is not None and "post" in extra:
                for fn in list(extra["post"]):
                    ins = fn(tuple(ins), tuple(gs)) or ins
            if anomaly["on"]:
                _look_for_nan(node, ins)
            if not keep:
                node.saved = FREED
            for e, spec, g in zip(edges, kind.specs, ins, strict=True):
                if e is None or g is None:
                    continue
                have = g.spec
                if have is not spec and (have.shape != spec.shape or have.dtype is not spec.dtype):
                    g = fit(g, spec, node)
                arrive(e[0], e[1], g)
        # Leaves come last, each once, so that its hooks see its whole gradient.
        for leaf, g in leaves.values():
            if targets is None:
                accumulate_leaf(leaf, g, create)
            else:
                found[id(leaf)] = run_hooks(leaf.extra.get("hooks", ()), g) if leaf.extra else g
    finally:
        set_grad(before)
    if inputs is None:
        return []
    results = [found.get(k) for k in keys]
    if accumulate:
        for t, r in zip(inputs, results, strict=True):
            if r is not None:
                _add_to_grad(t, r, create)
        return []
    return results


def fit(g: Tensor, spec: Spec, node: Node) -> Tensor:
    """Give a gradient the dtype and shape of what it is the gradient of: un-broadcast by summing."""
    if g.spec.shape != spec.shape:
        lead = g.spec.ndim - spec.ndim
        dims = [
            d for d in range(g.spec.ndim) if d < lead or (spec.shape[d - lead] == 1 and g.spec.shape[d] != 1)
        ]
        if lead < 0 or any(
            d >= lead and d not in dims and n != spec.shape[d - lead] for d, n in enumerate(g.spec.shape)
        ):
            raise RuntimeError(
                message(
                    node.kind.rules.name,
                    "the gradient rule gave a wrong shape",
                    f"{list(spec.shape)}",
                    gradient=g,
                )
            )
        g = g.sum(dims, keepdim=True).reshape(spec.shape) if dims else g.reshape(spec.shape)
    if g.spec.dtype is not spec.dtype:
        if g.spec.dtype.is_complex and not spec.dtype.is_complex:
            g = g.real
        g = g.to(spec.dtype)
    return g


def run_hooks(hooks: Sequence[Callable[[Any], Any]], g: Any) -> Any:
    """Run hooks on a gradient, each on what the one before returned."""
    for fn in list(hooks):
        new = fn(g)
        if new is not None:
            g = new
    return g


def accumulate_leaf(leaf: Tensor, g: Tensor, create: bool) -> None:
    """A gradient has arrived at a leaf: run its hooks and add it to ``.grad``."""
    extra = leaf.extra
    if extra is not None:
        g = run_hooks(extra.get("hooks", ()), g)
    _add_to_grad(leaf, g, create)
    if extra is not None:
        for fn in list(extra.get("post_hooks", ())):
            fn(leaf)


def _add_to_grad(leaf: Tensor, g: Tensor, create: bool) -> None:
    held = leaf.grad
    if create:
        leaf.grad = g if held is None else held + g
    elif held is not None:
        leaf.grad = held.add_(g) if held.spec.dtype is g.spec.dtype else held + g
    else:
        # Memory that nobody else holds is taken as it is; .grad must not alias anything a user can see.
        # The count: the gradient's slot and the argument of getrefcount.
        alone = sys.getrefcount(g.mem) == 2 and g.spec.dense and g.node is None and g.mem.free is not None
        leaf.grad = g.detach() if alone else g.detach().clone()


def _look_for_nan(node: Node, grads: Sequence[Tensor | None]) -> None:
    if not anomaly["nan"]:
        return
    for k, g in enumerate(grads):
        if (
            g is not None
            and (g.spec.dtype.is_floating_point or g.spec.dtype.is_complex)
            and bool(g.isnan().any())
        ):
            trace = (node.extra or {}).get("trace", "(recorded before anomaly detection was switched on)\n")
            raise RuntimeError(
                f"[{node.kind.rules.name}] Function '{node.name()}' returned nan values in its {k}th output. The "
                f"forward call was made here:\n{trace}"
            )


def will_record(tensors: Sequence[Any]) -> bool:
    """Whether an op on these tensors goes on the tape."""
    return is_grad_enabled() and any(t is not None and t.rg for t in tensors)
