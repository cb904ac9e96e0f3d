"""The tape: what an op leaves behind for its gradient.

A node knows the rules of its op, its edges (where gradients of its inputs go) and what it saved. An edge is
``(node, output number)``, or ``(leaf tensor, 0)``, or None. Nodes are numbered in order of creation; every edge
leads to a lower number. engine.py walks back along them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from .errors import refuse
from .state import SAVERS, is_grad_enabled, modes

if TYPE_CHECKING:
    from ._tensor import Tensor

__all__ = [
    "Kind", "Node", "anomaly", "make_node", "record", "save", "save_output", "unpack", "unpack_output",
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
        words = [word.capitalize() for word in name.split("_")]
        return name if name.endswith("Backward") else "".join(words) + "Backward0"

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
            refuse("saved_tensors_hooks", "unpack_hook must return a Tensor", error=TypeError, unpacked=t)
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
        wrong = (
            "Inference tensors cannot be saved for backward: one of the operands was made in inference_mode()"
        )
        refuse("save_for_backward", wrong, do="Make a clone() of it outside to get a normal tensor.")
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
        wrong = "Trying to backward through the graph a second time: the values saved for it were freed by the first"
        refuse(node.kind.rules.name, wrong, do="Use backward(retain_graph=True) the first time.")
    t: Any = saved[k][0]
    if type(t) is Packed:
        return t.tensor()  # type: ignore[no-any-return]
    spec, mem = (t[0], t[1]) if type(t) is tuple else (t.spec, t.mem)
    since = mem.version - saved[k][1]
    if since:
        writers = mem.watch or ()
        by = writers[-since:] if len(writers) >= since else writers
        wrong = (
            "one of the variables needed for gradient computation has been modified by an inplace operation: "
        )
        wrong += (
            f"{list(spec.shape)} {spec.dtype.name}, saved by {node.name()}, is at version {mem.version}, "
        )
        wrong += f"expected version {saved[k][1]}" + (f"; changed by {by[0]}" if by else "")
        do = "Use the out-of-place form of that operation, or clone() the tensor first."
        refuse(node.kind.rules.name, wrong, do=do)
    return t  # type: ignore[no-any-return]


def edge_of(t: Any) -> tuple[Any, int] | None:
    """Where gradients of a tensor go."""
    if not t.rg:
        return None
    if t.base is not None and t.seen != t.mem.version:
        refresh_view(t)  # noqa: F821 (set by inplace)
    return (t.node or t, t.nr) if t.rg else None


#: Set by rebase.py: gives a view whose base was written in place the node that fits its base's new history.
refresh_view: Callable[[Tensor], None]


def will_record(tensors: Sequence[Any]) -> bool:
    """Whether an op on these tensors goes on the tape."""
    return is_grad_enabled() and any(t is not None and t.rg for t in tensors)
