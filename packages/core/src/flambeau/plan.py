"""Prepared calls: all that can be worked out once for given specs and attributes, and how such a call runs.

An op finds a plan by one look-up (see record.py), hands it the call's tensors and run-time numbers, and puts the call
on the tape by what the plan knows. Every fresh result is made by `fresh`, every view by `view_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import registry
from .layout import Spec
from .state import GRAD_OFF, modes
from .storage import Storage

if TYPE_CHECKING:
    from ._tensor import Tensor
    from .backend import Backend
    from .tape import Kind

__all__ = [
    "CACHES", "Plan", "Table", "fresh", "new_tensor", "prepared", "resolved", "retag", "tensor_on", "viewer",
]  # fmt: skip

#: Every table of prepared calls, so that settings that they depend on can empty them.
CACHES: list[dict[Any, Any]] = []
_CAPACITY = 4096

#: The class of tensors; set by _tensor.py when it defines it.
TENSOR: Any = None


class Table(dict[Any, Any]):
    """A bounded table of what was prepared: full, it is emptied; so it is when a setting changes (`forget_plans`)."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        CACHES.append(self)

    def keep(self, key: Any, value: Any) -> Any:
        """Remember a value, and give it back."""
        if len(self) >= _CAPACITY:
            self.clear()
        self[key] = value
        return value


class Plan:
    """A prepared call.

    Attributes:
        name: the op's.
        run: a function of the call's tensors and then its run-time numbers; it gives the result.
        rules: ``kind_of(plan, needs)`` says what nodes of such calls are; None: no gradients.
        specs, outs: the tensors' and the results' specs.
        attrs: the call's other arguments by name.
        spans: where each tensor parameter's tensors begin, and how many there are (-1: it is no list).
        kinds: what nodes have in common, by the bits of the tensors that want a gradient; False: not recorded.
        mutates: parameters that the call writes to.
        single: whether the result is one tensor rather than a tuple.
    """

    __slots__ = ("attrs", "kinds", "mutates", "name", "outs", "rules", "run", "single", "spans", "specs")

    def __init__(
        self,
        name: str,
        run: Callable[..., Any],
        rules: Any,
        specs: Sequence[Spec | None],
        outs: tuple[Any, ...],
        attrs: dict[str, Any] | None = None,
        spans: tuple[tuple[int, int], ...] = (),
        mutates: tuple[str, ...] = (),
        single: bool = True,
    ) -> None:
        self.name = name
        self.run = run
        self.single = single
        self.rules = rules
        self.specs = specs
        self.outs = outs
        self.attrs = attrs or {}
        self.spans = spans
        self.mutates = mutates
        self.kinds: dict[int, Kind | bool] = {}

    def kind(self, needs: int) -> Kind | bool:
        """What nodes have in common when the tensors of these bits want a gradient."""
        found: Kind | bool = False if self.rules is None else self.rules.kind_of(self, needs)
        self.kinds[needs] = found
        return found


# Tensors


_makers = Table()


def fresh(spec: Spec) -> Callable[[], Any]:
    """A function that makes uninitialised dense tensors of a spec."""
    return _makers.get(spec) or _makers.keep(spec, _maker(spec, registry.backend_of(spec.device)))  # type: ignore[no-any-return]


def _maker(spec: Spec, backend: Backend) -> Callable[[], Any]:
    """See `fresh`. Fields are set one by one, because calling the classes takes twice the time."""
    new, cls, device, nbytes, slot = object.__new__, TENSOR, spec.device, spec.nbytes, spec.device.slot
    allocate, free = backend.allocate, backend.free

    def make() -> Any:
        m: Any = new(Storage)
        m.free = None  # until there is something to free
        m.handle = handle = allocate(nbytes, slot)
        m.nbytes = nbytes
        m.device = device
        m.free = free
        m.owner = None
        m.version = 0
        m.watch = False if GRAD_OFF and modes.inference else None
        t: Any = new(cls)
        t.spec = spec
        t.mem = m
        t.ptr = handle
        t.offset = 0
        t.rg = False
        t.node = None
        t.nr = 0
        t.held = None
        t.base = None
        t.seen = None
        t.extra = None
        return t

    return make


def new_tensor(spec: Spec) -> Tensor:
    """An uninitialised dense tensor."""
    t: Tensor = fresh(spec)()
    return t


def tensor_on(mem: Storage, spec: Spec, offset: int = 0) -> Tensor:
    """A tensor over memory that exists, its first element ``offset`` elements (of the spec's dtype) into it."""
    handle = mem.handle
    if modes.inference and mem.watch is None and not mem.version:
        mem.watch = False
    t: Tensor = TENSOR(spec, mem, handle + offset * spec.itemsize if type(handle) is int else handle, offset)
    return t


def retag(t: Any, spec: Spec | None) -> Any:
    """The same memory through another spec, for a backend's eyes."""
    if spec is None or t is None or spec is t.spec:
        return t
    return TENSOR(spec, t.mem, t.ptr, t.offset)


def viewer(have: Spec, spec: Spec, delta: int) -> Callable[[Any], Any]:
    """A function from tensors of one spec to views of their memory, ``delta`` elements further on.

    Views made while nothing is recorded share a list as their ``rg``, empty and so false, with their base's ``seen``:
    when the base gets a history by being written in place, one entry makes all of them true (`inplace.rebase`).
    """
    new, cls = object.__new__, TENSOR
    old, size = have.itemsize, spec.itemsize
    shift = delta * old

    def view(t: Any) -> Any:
        offset = t.offset + delta
        ptr = t.ptr
        if shift and type(ptr) is int:
            ptr += shift
        base = t.base
        if base is None:
            base = t
        later = base.seen
        if later is None:
            later = base.seen = []
        mem = t.mem
        r: Any = new(cls)
        r.spec = spec
        r.mem = mem
        r.ptr = ptr
        r.offset = offset if old == size else offset * old // size
        r.rg = later
        r.node = None
        r.nr = 0
        r.held = None
        r.base = base
        r.seen = mem.version
        r.extra = None
        return r

    return view


def resolved(t: Any) -> Any:
    """A tensor whose memory holds its elements as they are: itself, or where it is flipped a copy."""
    spec = getattr(t, "spec", None)
    if spec is None or not spec.flipped:
        return t
    return registry.OPS["conj_values" if spec.dtype.is_complex else "neg"](registry.OPS["flip_sign"](t))


# Running


def prepared(
    backend: Backend,
    entry: str,
    body: Callable[[Any, Any, Any], None] | None,
    outs: tuple[Any, ...],
    ins: Sequence[Any],
    attrs: dict[str, Any],
    single: bool = True,
    outs_as: tuple[Spec, ...] | None = None,
    into: bool = False,
    scalars: int = 0,
    launch: Callable[..., Any] | None = None,
) -> Callable[..., Any] | None:
    """A function of tensors and then numbers that runs an entry of a backend and gives the result.

    Args:
        backend: whose entry.
        entry: its name; a backend with addresses may have a prepared launch for it.
        body: ``body(outs, ins, scalars)`` runs it where there is none; None: then there is no such function.
        outs: the results' specs; None for one to leave out.
        ins: the specs through which the backend sees the tensors.
        attrs: its other arguments.
        single: whether to give the one result rather than a tuple.
        outs_as: the specs through which the backend sees the results.
        into: write over the first tensor instead of making a result.
        scalars: how many numbers there are.
        launch: the entry's launch, where it is prepared already.
    """
    seen = outs_as or outs
    absent = None in seen or None in ins
    if launch is None and backend.addressed and (backend.plans_absent or not absent):
        launch = backend.plan(entry, seen, ins, attrs)
    n = len(ins)
    if launch is not None and single and not into and not absent:
        return _launched(fresh(outs[0]), launch, n, scalars)
    if launch is None and body is None:
        return None
    makes = [None if s is None else fresh(s) for s in outs]

    def run(*given: Any) -> Any:
        ts = given[:n]
        made: tuple[Any, ...] = ts[:1] if into else tuple([None if m is None else m() for m in makes])
        if launch is not None:
            if absent:
                launch(*[0 if t is None else t.ptr for t in (*made, *ts)], *given[n:])
            else:
                launch(*[t.ptr for t in made], *[t.ptr for t in ts], *given[n:])
        else:
            body(  # type: ignore[misc]
                [retag(t, s) for t, s in zip(made, seen, strict=True)],
                [retag(t, s) for t, s in zip(ts, ins, strict=True)],
                given[n:],
            )
        return made[0] if single else made

    return run


def _launched(
    make: Callable[[], Any], launch: Callable[..., Any], n: int, scalars: int
) -> Callable[..., Any]:
    """The usual cases of one result, without lists."""

    def run1(a: Any) -> Any:
        t = make()
        launch(t.ptr, a.ptr)
        return t

    def run1s(a: Any, s: Any) -> Any:
        t = make()
        launch(t.ptr, a.ptr, s)
        return t

    def run2(a: Any, b: Any) -> Any:
        t = make()
        launch(t.ptr, a.ptr, b.ptr)
        return t

    def run(*given: Any) -> Any:
        t = make()
        launch(t.ptr, *[a.ptr for a in given[:n]], *given[n:])
        return t

    cases: dict[tuple[int, int], Callable[..., Any]] = {(1, 0): run1, (1, 1): run1s, (2, 0): run2}
    found: Any = cases.get((n, scalars), run)
    found.launch = launch  # for results that are there already
    return found  # type: ignore[no-any-return]
