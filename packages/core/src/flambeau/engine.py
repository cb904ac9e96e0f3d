"""The walker that goes back along the tape.

Nodes are numbered in order of creation and every edge leads to a lower number, so it needs nothing but a heap of
numbers. Rules are written in recorded ops: walking back with recording on gives the graph of the gradient.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from .errors import refuse
from .state import modes, set_grad
from .tape import FREED, Node, anomaly, edge_of

if TYPE_CHECKING:
    from ._tensor import Tensor
    from .layout import Spec

__all__ = ["backward"]


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
    if not accumulate:
        return results
    for t, r in zip(inputs, results, strict=True):
        if r is not None:
            _add_to_grad(t, r, create)
    return []


def fit(g: Tensor, spec: Spec, node: Node) -> Tensor:
    """Give a gradient the dtype and shape of what it is the gradient of: un-broadcast by summing."""
    if g.spec.shape != spec.shape:
        lead = g.spec.ndim - spec.ndim
        want = (1,) * lead + spec.shape
        dims = [d for d, n in enumerate(g.spec.shape) if d < lead or (want[d : d + 1] == (1,) and n != 1)]
        if lead < 0 or any(n != want[d] for d, n in enumerate(g.spec.shape) if d not in dims):
            wrong = "the gradient rule gave a wrong shape"
            refuse(node.kind.rules.name, wrong, f"{list(spec.shape)}", gradient=g)
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
        # Memory that nobody else holds is taken as it is; .grad must not alias anything a user can see: hooks may have
        # kept the gradient.
        mem, base = g.mem, g.base
        alone = g.spec.dense and g.node is None and mem.free is not None and mem.nbytes == g.spec.nbytes
        alone = alone and (leaf.extra is None or "hooks" not in leaf.extra)
        # The counts: the tensor's slot, the name here, the argument of getrefcount; of memory, the base's slot too.
        if alone and base is not None:
            alone = sys.getrefcount(base) == 3 and base.base is None
        if alone and sys.getrefcount(mem) == (3 if base is None else 4):
            leaf.grad = g.__class__(g.spec, mem, g.ptr, g.offset)
        else:
            leaf.grad = g.detach().clone()


def _look_for_nan(node: Node, grads: Sequence[Tensor | None]) -> None:
    for k, g in enumerate(grads):
        if anomaly["nan"] and g is not None and g.spec.dtype.rank > 1 and bool(g.isnan().any()):
            trace = (node.extra or {}).get("trace", "(recorded before anomaly detection was switched on)\n")
            wrong = f"Function '{node.name()}' returned nan values in its {k}th output"
            raise RuntimeError(f"[{node.kind.rules.name}] {wrong}. The forward call was made here:\n{trace}")
