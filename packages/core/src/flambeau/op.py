"""The op record and its call path: bind, find the plan, allocate, launch, record.

Everything that depends only on specs and attributes (promotion, broadcasting, checks, the choice of kernel)
is worked out once and kept in a plan; a call with known specs is a dictionary look-up, an allocation and a launch.

Kinds of records: `kernel` (a backend's entry or native kernel writes the result), `view` (the result shares the
input's memory), `composite` (written in other public ops), and `pointwise` (a program; see pointwise.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import registry
from .errors import message
from .layout import Spec, spec_of
from .rules import Rules
from .state import GRAD_OFF, WATCHED, default_device, modes
from .storage import Storage

if TYPE_CHECKING:
    from ._tensor import Tensor
    from .backend import Backend

__all__ = ["CACHES", "Call", "Op", "Param", "composite", "kernel", "new_tensor", "tensor_on", "view"]

#: Every plan cache, so that settings that plans depend on can empty them.
CACHES: list[dict[Any, Any]] = []
_CAPACITY = 4096
NUMBERS = frozenset({bool, int, float, complex})
_LOOSE = frozenset({bool, float, complex})

#: The class of tensors; set by _tensor.py when it defines it.
TENSOR: Any = None


class Param:
    """A parameter of an op, read off the annotation of its Python signature.

    Attributes:
        name: its name.
        kind: ``tensor``, ``optional`` (tensor or None), ``operand`` (tensor or number), ``tensors``, ``number``,
            ``attr``.
        default: its default, or `Param.NONE`.
    """

    NONE = object()
    KINDS = {
        "Tensor": "tensor",
        "Tensor | None": "optional",
        "Tensor | Number": "operand",
        "Tensor | Number | None": "operand",
        "Sequence[Tensor]": "tensors",
        "Number": "number",
    }

    __slots__ = ("default", "is_tensor", "keyword", "kind", "name")

    def __init__(self, name: str, annotation: str, default: Any, keyword: bool) -> None:
        self.name = name
        self.kind = self.KINDS.get(annotation, "attr")
        self.is_tensor = self.kind in ("tensor", "optional", "operand", "tensors")
        self.default = default
        self.keyword = keyword


def read_params(fn: Callable[..., Any]) -> tuple[Param, ...]:
    """The parameters of a function, without the weight of `inspect`."""
    code = fn.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    defaults = dict(
        zip(
            names[code.co_argcount - len(fn.__defaults__ or ()) : code.co_argcount],
            fn.__defaults__ or (),
            strict=True,
        )
    )
    defaults.update(fn.__kwdefaults__ or {})
    return tuple(
        Param(n, str(fn.__annotations__.get(n, "")), defaults.get(n, Param.NONE), k >= code.co_argcount)
        for k, n in enumerate(names)
    )


class Call:
    """What an `infer` function decides: outputs, and what the backend has to do.

    Args:
        outs: the results' specs (one Spec, or a tuple).
        entry: a required entry of the backend contract, or ``"native"``: the op's kernel, else its default.
        attrs: arguments for the entry; they also replace the attributes that gradient rules see.
        outs_as, ins_as: other specs through which the backend sees the same memory.
        mutates: parameters that this call writes to (default: those that the record names).
    """

    __slots__ = ("attrs", "entry", "ins_as", "mutates", "outs", "outs_as", "single")

    def __init__(
        self,
        outs: Spec | tuple[Spec | None, ...],
        entry: str = "native",
        attrs: dict[str, Any] | None = None,
        outs_as: tuple[Spec, ...] | None = None,
        ins_as: tuple[Spec | None, ...] | None = None,
        mutates: tuple[str, ...] | None = None,
    ) -> None:
        self.single = isinstance(outs, Spec)
        # None: a native kernel is asked to leave that result out.
        self.outs: tuple[Any, ...] = (outs,) if isinstance(outs, Spec) else outs
        self.mutates = mutates
        self.entry = entry
        self.attrs = attrs or {}
        self.outs_as = outs_as
        self.ins_as = ins_as


#: Required entries: how each is called with (backend, outs, ins, attrs).
ENTRIES: dict[str, Callable[[Backend, Any, Any, dict[str, Any]], None]] = {
    "reduce": lambda b, o, i, a: b.reduce(a["kind"], o[0], i[0], a["dims"]),
    "scan": lambda b, o, i, a: b.scan(a["kind"], o[0], i[0], a["dim"]),
    "scan2": lambda b, o, i, a: b.scan2(a["kind"], o[0], o[1], i[0], a["dim"]),
    "matmul": lambda b, o, i, a: b.matmul(o[0], i[0], i[1]),
    "gather": lambda b, o, i, a: b.gather(o[0], i[0], a["dim"], i[1]),
    "sort": lambda b, o, i, a: b.sort(o[0], o[1], i[0], a["dim"], a["descending"], a["stable"]),
    "copy": lambda b, o, i, a: b.copy(o[0], i[0]),
}


def scatter_entry(b: Backend, o: Any, i: Any, a: dict[str, Any]) -> None:
    """scatter(input, index, src): the output starts as a copy of the input."""
    b.copy(o[0], i[0])
    b.scatter(o[0], a["dim"], i[1], i[2], a["reduce"])


ENTRIES["scatter"] = scatter_entry


def maker(spec: Spec, backend: Backend) -> Callable[[Any], Any]:
    """A function from a handle that was just allocated to the dense tensor over it.

    Both objects are filled in here, field by field, because calling their classes takes twice the time.
    """
    new, cls, device, nbytes, free = object.__new__, TENSOR, spec.device, spec.nbytes, backend.free

    def make(handle: Any) -> Any:
        m: Any = new(Storage)
        m.handle = handle
        m.nbytes = nbytes
        m.device = device
        m.free = free
        m.owner = None
        m.version = 0
        m.watch = None
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
        t.seen = 0
        t.extra = None
        return t

    return make


def new_tensor(spec: Spec, backend: Backend | None = None) -> Tensor:
    """An uninitialised dense tensor."""
    backend = backend or registry.backend_of(spec.device)
    handle = backend.allocate(spec.nbytes, spec.device.slot)
    t: Tensor = TENSOR(spec, Storage(handle, spec.nbytes, spec.device, backend.free), handle)
    return t


def tensor_on(mem: Storage, spec: Spec, offset: int = 0) -> Tensor:
    """A tensor over memory that exists, its first element ``offset`` elements (of the spec's dtype) into it."""
    handle = mem.handle
    t: Tensor = TENSOR(spec, mem, handle + offset * spec.itemsize if type(handle) is int else handle, offset)
    return t


def retag(t: Any, spec: Spec | None) -> Any:
    """The same memory through another spec, for a backend's eyes."""
    if spec is None or t is None or spec is t.spec:
        return t
    return TENSOR(spec, t.mem, t.ptr, t.offset)


class Plan:
    """A prepared call: the outputs' specs, and `run(tensors, values) -> tensors`."""

    __slots__ = ("attrs", "mutates", "run", "single")

    def __init__(
        self, run: Callable[..., Any], single: bool, attrs: dict[str, Any], mutates: tuple[str, ...] = ()
    ) -> None:
        self.run = run
        self.single = single
        self.attrs = attrs
        self.mutates = mutates


class Op:
    """A record of an op; calling it runs the op.

    Attributes:
        name: the public name.
        fn: the Python function of the record: infer, view or body, by kind.
        params: its parameters.
        kind: ``kernel``, ``view``, ``composite`` or ``pointwise``.
        vjp: gradient rules by parameter name (None: not differentiable in it), or one rule that returns a
            gradient for each tensor parameter.
        default: the implementation in other ops, where a backend has no kernel.
        nondiff: numbers of outputs that carry no gradient.
        mutates: parameters that the kernel also writes to.
        method, inplace: whether tensors have the op as a method, and with a trailing underscore.
        exports: the public names.
        module: the namespace that has it; "" is the top level.
        native: the name under which backends may have a kernel.
        samples: gives sample calls for conformance tests.
        batch: how ``vmap`` runs it, where its kind doesn't say: a rule, the name of a family of
            `flambeau.func.rules`, or where a rule stands, as ``"module:name"``.
    """

    kind = "kernel"

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        vjp: dict[str, Callable[..., Any] | None] | Callable[..., Any] | None = None,
        default: Callable[..., Any] | None = None,
        nondiff: tuple[int, ...] = (),
        mutates: tuple[str, ...] = (),
        method: bool = True,
        inplace: bool = False,
        function: bool = True,
        samples: Callable[..., Any] | None = None,
        aliases: tuple[str, ...] = (),
        module: str = "",
        export: str = "",
        native: str = "",
        batch: Any = None,
    ) -> None:
        self.name = name or fn.__name__.strip("_")
        self.fn = fn
        self.params = read_params(fn)
        self.names = tuple(p.name for p in self.params)
        self.index = {n: k for k, n in enumerate(self.names)}
        self.n_positional = sum(not p.keyword for p in self.params)
        self.defaults = [p.default for p in self.params]
        self.tensor_at = tuple(k for k, p in enumerate(self.params) if p.is_tensor)
        self.vjp = vjp
        self.default = default
        self.nondiff = frozenset(nondiff)
        self.mutates = mutates
        self.method, self.inplace, self.function = method, inplace, function
        self.samples = samples
        self.aliases = aliases
        self.module = module
        self.native = native or self.name
        self.batch = batch
        self.exports = (export or self.name, *aliases)
        self.plans: dict[Any, Any] = {}
        self.fast: dict[Any, Any] = {}
        CACHES.extend((self.plans, self.fast))
        self.__doc__ = fn.__doc__
        self.__name__ = self.name
        self.__wrapped__ = fn
        self._rules: Any = None

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __get__(self, obj: Any, cls: Any = None) -> Any:
        from types import MethodType

        return self if obj is None else MethodType(self, obj)

    # Binding

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
        """The values of all parameters in order.

        Raises:
            TypeError: too many, missing or unknown arguments.
        """
        n = len(args)
        if n > self.n_positional:
            # The trailing sizes or dims may be given one by one: x.permute(1, 0).
            k = self.n_positional - 1
            if not (self.params[k].kind == "attr" and all(isinstance(a, int) for a in args[k:])):
                raise TypeError(
                    f"[{self.name}] too many arguments: got {n}, takes {self.n_positional} positional: "
                    f"({', '.join(self.names[: self.n_positional])})."
                )
            args, n = (*args[:k], tuple(args[k:])), self.n_positional
        values = [*args, *self.defaults[n:]]
        for name, v in kwargs.items():
            k = self.index.get(name, -1)
            if k < 0:
                k = self.index.get(_SYNONYMS.get(name, ""), -1)
            if k < 0:
                raise TypeError(
                    f"[{self.name}] got an unexpected keyword argument '{name}'; there are: {', '.join(self.names)}."
                )
            if k < n:
                raise TypeError(f"[{self.name}] got multiple values for argument '{self.names[k]}'.")
            values[k] = v
        for k, v in enumerate(values):
            if v is Param.NONE:
                raise TypeError(f"[{self.name}] missing required argument '{self.names[k]}'.")
        return values

    def check_tensors(self, values: list[Any]) -> None:
        """Say which argument is not what its parameter takes."""
        for p, v in zip(self.params, values, strict=True):
            if p.kind == "tensor" or (p.kind == "optional" and v is not None):
                if not isinstance(v, TENSOR):
                    raise TypeError(
                        message(self.name, f"argument '{p.name}' must be a Tensor", **{p.name: v})
                    )
            elif p.kind == "tensors" and not (
                isinstance(v, (list, tuple)) and all(isinstance(t, TENSOR) for t in v)
            ):
                raise TypeError(
                    message(self.name, f"argument '{p.name}' must be a list of Tensors", **{p.name: v})
                )

    # Calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if WATCHED and modes.watchers:
            return self.watched(args, kwargs)
        out = kwargs.pop("out", None)
        values = self.bind(args, kwargs)
        if out is not None:
            return write_out(self, values, out)
        return self.apply(values)

    def short(self) -> Callable[..., Any]:
        """The op as a function that finds the plan at once.

        It does so for one tensor (or list) with attributes, two tensors alone, and a tensor, a dimension and an index.
        """
        fast, general, rest = self.fast, self.__call__, self.defaults[len(self.tensor_at) :]

        def unary(*args: Any, **kwargs: Any) -> Any:
            if kwargs or WATCHED:
                return general(*args, **kwargs)
            if (
                len(args) > 1 and type(args[1]) in _LOOSE
            ):  # equal to an int, but perhaps no argument for this op
                return general(*args)
            try:
                t = args[0]
                plan, more = fast[t.spec, args[1:]]
            except KeyError:
                return self.learn(args, (t.spec, args[1:]), [t])
            except (AttributeError, IndexError, TypeError):
                return general(*args)
            out = plan.run((t,), (t, *more))
            if t.rg and (not GRAD_OFF or modes.grad):
                self.record((t,), plan, (t, *more), (out,) if plan.single else out)
            return out

        def binary(*args: Any, **kwargs: Any) -> Any:
            if len(args) != 2 or kwargs or WATCHED:
                return general(*args, **kwargs)
            a, b = args
            try:
                plan = fast[a.spec, b.spec]
            except (KeyError, AttributeError):
                return general(*args)
            values = [a, b, *rest]
            out = plan.run(args, values)
            if (a.rg or b.rg) and (not GRAD_OFF or modes.grad):
                self.record(args, plan, values, (out,) if plan.single else out)
            return out

        def listed(*args: Any, **kwargs: Any) -> Any:
            if kwargs or WATCHED:
                return general(*args, **kwargs)
            try:
                ts = args[0]
                key = tuple([t.spec for t in ts]), args[1:]
                plan, more = fast[key]
            except KeyError:
                return self.learn(args, key, [*ts])
            except (AttributeError, IndexError, TypeError):
                return general(*args)
            out = plan.run(ts, (ts, *more))
            if not GRAD_OFF or modes.grad:
                for t in ts:
                    if t.rg:
                        self.record(ts, plan, (ts, *more), (out,) if plan.single else out)
                        break
            return out

        def along(*args: Any, **kwargs: Any) -> Any:
            if len(args) != 3 or kwargs or WATCHED:
                return general(*args, **kwargs)
            a, dim, b = args
            try:
                key = a.spec, dim, b.spec
                plan, more = fast[key]
            except KeyError:
                return self.learn(args, key, [a, b])
            except (AttributeError, TypeError):
                return general(*args)
            out = plan.run((a, b), (a, dim, b, *more))
            if (a.rg or b.rg) and (not GRAD_OFF or modes.grad):
                self.record((a, b), plan, (a, dim, b, *more), (out,) if plan.single else out)
            return out

        n = len(self.tensor_at)
        if self.tensor_at == (0,) and self.params[0].kind == "tensors":
            return listed
        if self.tensor_at == (0, 2) and self.params[0].kind == self.params[2].kind == "tensor":
            return along
        if self.tensor_at == tuple(range(n)) and all(p.kind == "tensor" for p in self.params[:n]):
            if n == 1:
                return unary
            if n == 2:
                return binary
        return general

    def learn(self, args: Sequence[Any], key: Any, tensors: list[Any]) -> Any:
        """Run an op whose tensors all stand among these arguments, and keep its plan by a key."""
        values = self.bind(args, {})
        self.check_tensors(values)
        plan = self.make_plan(values, tensors)
        if not plan.mutates:
            if len(self.fast) >= _CAPACITY:
                self.fast.clear()
            self.fast[key] = plan, tuple(values[len(args) if self.tensor_at == (0, 2) else 1 :])
        return self.apply(values)

    def operator(self, general: Callable[[Any, Any], Any]) -> Callable[..., Any]:
        """The function behind a Python operator of two tensors."""
        fast = self.fast

        def call(self_: Any, other: Any) -> Any:
            try:
                plan = fast[self_.spec, other.spec]
            except (KeyError, AttributeError):
                return general(self_, other)
            if WATCHED:
                return general(self_, other)
            both = (self_, other)
            out = plan.run(both, both)
            if (self_.rg or other.rg) and (not GRAD_OFF or modes.grad):
                self.record(both, plan, both, (out,))
            return out

        return call

    def watched(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Hand the call to this thread's interceptors."""
        stack = modes.watchers

        def go_on(*a: Any, **k: Any) -> Any:
            return self(*a, **k)

        modes.watchers = stack[:-1]
        try:
            return stack[-1](self, go_on, args, kwargs)
        finally:
            modes.watchers = stack

    def apply(self, values: list[Any]) -> Any:
        """Run with all parameters bound."""
        key: list[Any] = []
        tensors: list[Any] = []
        try:
            for p, v in zip(self.params, values, strict=True):
                if p.is_tensor:
                    if p.kind == "tensors":
                        tensors.extend(v)
                        key.append(tuple([t.spec for t in v]))
                    else:
                        tensors.append(v)
                        key.append(None if v is None else v.spec)
                elif type(v) is list:
                    key.append(_freeze(v))
                else:
                    key.append(v)
                    key.append(type(v))
            whole = tuple(key)
            plan = self.plans.get(whole)
        except (AttributeError, TypeError):
            self.check_tensors(values)
            raise
        if plan is None:
            self.check_tensors(values)
            plan = self.make_plan(values, tensors)
            if len(self.plans) >= _CAPACITY:
                self.plans.clear()
                self.fast.clear()
            self.plans[whole] = plan
            n = len(self.tensor_at)
            if (
                n <= 2
                and len(tensors) == n
                and all(v is d for v, d in zip(values[n:], self.defaults[n:], strict=True))
            ):
                specs = [None if t is None else t.spec for t in tensors]
                if None not in specs and self.params[0].kind == "tensor":
                    self.fast[specs[0] if n == 1 else tuple(specs)] = plan
        outs = plan.run(tensors, values)
        if plan.mutates:
            self.note_writes(plan.mutates, values)
        if not GRAD_OFF or modes.grad:
            for t in tensors:
                if t is not None and t.rg:
                    self.record(tensors, plan, values, (outs,) if plan.single else outs)
                    break
        return outs

    def note_writes(self, names: Sequence[str], values: list[Any]) -> None:
        """Tell the tape which arguments the kernel has written to."""
        from .inplace import touched

        for name in names:
            t = values[self.index[name]]
            if t is not None:
                touched(t, self.name)

    def specs_for(self, values: list[Any]) -> list[Any]:
        """The arguments with specs in place of tensors, for the infer function."""
        out = []
        for p, v in zip(self.params, values, strict=True):
            if p.kind == "tensors":
                v = tuple(t.spec for t in v)
            elif p.is_tensor and v is not None:
                v = v.spec
            elif type(v) is list:
                v = _freeze(v)
            out.append(v)
        return out

    def infer(self, values: list[Any]) -> Any:
        """Call the record's function with specs in place of tensors."""
        args = self.specs_for(values)
        n = self.n_positional
        return self.fn(*args[:n], **dict(zip(self.names[n:], args[n:], strict=True)))

    def make_plan(self, values: list[Any], tensors: list[Any]) -> Plan:
        """Work out what to do for these specs and attributes."""
        device = self.common_device(tensors)
        call: Call = self.infer(values)
        backend = registry.backend_of(device)
        attrs = {
            p.name: v for p, v in zip(self.params, self.specs_for(values), strict=True) if not p.is_tensor
        }
        attrs |= call.attrs
        if call.entry in ("native", "default"):
            run = self.native_runner(call, backend, tensors, attrs, values)
        else:
            run = entry_runner(call, backend, tensors, attrs)
        return Plan(run, call.single, attrs, self.mutates if call.mutates is None else call.mutates)

    def native_runner(
        self, call: Call, backend: Backend, tensors: list[Any], attrs: dict[str, Any], values: list[Any]
    ) -> Callable[..., Any]:
        """Run the backend's own kernel, or the default."""
        outs, single = call.outs, call.single
        fn = None
        if call.entry == "native" and (not registry.settings["force_defaults"] or self.default is None):
            fn = backend.kernel(self.native, [None if t is None else t.spec for t in tensors], attrs)
        if fn is None:
            default = self.default
            if default is None:
                raise RuntimeError(
                    message(
                        self.name,
                        f"device {backend.name!r} has no kernel and the op no default",
                        "another device",
                    )
                )
            names, n = self.names, self.n_positional

            def run_default(ts: list[Any], vs: list[Any]) -> Any:
                grad = modes.grad
                from .state import set_grad

                set_grad(False)
                try:
                    return default(*vs[:n], **dict(zip(names[n:], vs[n:], strict=True)))
                finally:
                    set_grad(grad)

            return run_default
        kernel_fn = fn
        outs_as = call.outs_as or outs

        def run(ts: list[Any], vs: list[Any]) -> Any:
            made = tuple(None if s is None else new_tensor(s, backend) for s in outs)
            kernel_fn([retag(t, s) for t, s in zip(made, outs_as, strict=True)], ts, attrs)
            return made[0] if single else made

        return run

    def common_device(self, tensors: list[Any]) -> Any:
        """The device of the operands.

        Raises:
            RuntimeError: they are on several devices.
        """
        device = None
        for t in tensors:
            if t is not None:
                if device is None:
                    device = t.spec.device
                elif t.spec.device is not device:
                    got = {n: t for n, t in zip(self.names, tensors, strict=False) if t is not None}
                    raise RuntimeError(
                        message(
                            self.name,
                            "Expected all tensors to be on the same device",
                            do="Move them with .to(device).",
                            **got,
                        )
                    )
        return device if device is not None else default_device()

    # Recording

    def record(self, tensors: Sequence[Any], plan: Plan, values: Any, outs: tuple[Any, ...]) -> None:
        """Put the call on the tape."""
        rules = self._rules
        if rules is None:
            rules = self._rules = Rules(self)
        rules.record(tensors, plan.attrs, values, outs)


def entry_runner(
    call: Call, backend: Backend, tensors: list[Any], attrs: dict[str, Any]
) -> Callable[..., Any]:
    """Run a required entry; through a prepared launch where the backend has addresses."""
    entry, outs, single = call.entry, call.outs, call.single
    outs_as = call.outs_as or outs
    ins_as = call.ins_as or tuple(None for _ in tensors)
    seen = [s or t.spec for s, t in zip(ins_as, tensors, strict=True)]
    if backend.addressed and single:
        launch = backend.plan(entry, outs_as, seen, attrs)
        if launch is not None:
            nbytes, slot, allocate = outs[0].nbytes, outs[0].device.slot, backend.allocate
            make = maker(outs[0], backend)
            if len(seen) == 1:

                def run1(ts: Any, vs: Any) -> Any:
                    h = allocate(nbytes, slot)
                    launch(h, ts[0].ptr)
                    return make(h)

                return run1

            if len(seen) == 2:

                def run2(ts: Any, vs: Any) -> Any:
                    h = allocate(nbytes, slot)
                    launch(h, ts[0].ptr, ts[1].ptr)
                    return make(h)

                return run2

            def run_many(ts: Any, vs: Any) -> Any:
                h = allocate(nbytes, slot)
                launch(h, *[t.ptr for t in ts])
                return make(h)

            return run_many
    body = ENTRIES[entry]
    plain = all(s is None for s in ins_as) and outs_as is outs

    def run(ts: list[Any], vs: Any) -> Any:
        made = tuple(new_tensor(s, backend) for s in outs)
        if plain:
            body(backend, made, ts, attrs)
        else:
            body(
                backend,
                [retag(t, s) for t, s in zip(made, outs_as, strict=True)],
                [retag(t, s) for t, s in zip(ts, ins_as, strict=True)],
                attrs,
            )
        return made[0] if single else made

    return run


_VARIADIC = 4  # inspect.CO_VARARGS
_SYNONYMS = {"input": "self", "self": "input", "axis": "dim", "keepdims": "keepdim", "x": "self"}


def _freeze(v: Any) -> Any:
    return tuple(_freeze(e) for e in v) if isinstance(v, (list, tuple)) else v


class View(Op):
    """An op whose result shares its input's memory.

    The record's function gets the input's spec and the attributes and returns (shape, strides, offset) or a list
    of those; offsets are in elements from the input's first element.
    """

    kind = "view"

    def make_plan(self, values: list[Any], tensors: list[Any]) -> Plan:
        src = tensors[0].spec
        found = self.infer(values)
        single = not isinstance(found, list)
        parts = [
            (spec_of(f[3] if len(f) > 3 else src.dtype, f[0], src.device, tuple(f[1])), f[2])
            for f in ([found] if single else found)
        ]
        attrs = {
            p.name: v for p, v in zip(self.params, self.specs_for(values), strict=True) if not p.is_tensor
        }

        def run_many(ts: list[Any], vs: Any) -> Any:
            return tuple(view_of(ts[0], spec, delta) for spec, delta in parts)

        spec0, delta0 = parts[0] if parts else (src, 0)

        def run_one(ts: list[Any], vs: Any) -> Any:
            return view_of(ts[0], spec0, delta0)

        return Plan(run_one if single else run_many, single, attrs)


def view_of(t: Tensor, spec: Spec, delta: int) -> Tensor:
    """A tensor over the memory of another, its first element ``delta`` elements (of t's dtype) further on."""
    offset = t.offset + delta
    ptr = t.ptr
    if delta and type(ptr) is int:
        ptr += delta * t.spec.itemsize
    if spec.itemsize != t.spec.itemsize:
        offset = offset * t.spec.itemsize // spec.itemsize
    r: Any = object.__new__(TENSOR)
    r.spec = spec
    r.mem = t.mem
    r.ptr = ptr
    r.offset = offset
    r.rg = False
    r.node = None
    r.nr = 0
    r.held = None
    r.base = t if t.base is None else t.base
    r.seen = t.mem.version
    r.extra = None
    made: Tensor = r
    return made


class Composite(Op):
    """An op written in other public ops; the tape sees those."""

    kind = "composite"

    @property
    def seen(self) -> bool:
        """Whether interceptors see it, and not only what it calls: random ops, and those with a batch rule."""
        return self.batch is not None or "generator" in self.index

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        if out is not None:
            return write_out(self, self.bind(args, kwargs), out)
        if self.fn.__code__.co_flags & _VARIADIC:
            return self.fn(*args, **kwargs)
        if (
            WATCHED
            and modes.watchers
            and (self.seen or self.name in getattr(modes.watchers[-1], "composites", ()))
        ):
            return self.watched(args, kwargs)
        if len(args) > self.n_positional or not all(k in self.index for k in kwargs):
            return self.apply(self.bind(args, kwargs))
        try:
            return self.fn(*args, **kwargs)
        except (TypeError, AttributeError):
            self.check_tensors(self.bind(args, kwargs))  # says it better where an argument is not a tensor
            raise

    def short(self) -> Callable[..., Any]:
        fn, general, most = self.fn, self.__call__, self.n_positional
        if (
            fn.__code__.co_flags & _VARIADIC
            or self.seen
            or any(p.keyword and p.default is Param.NONE for p in self.params)
        ):
            return general
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

    def apply(self, values: list[Any]) -> Any:
        n = self.n_positional
        return self.fn(*values[:n], **dict(zip(self.names[n:], values[n:], strict=True)))


def write_out(op: Op, values: list[Any], out: Any) -> Any:
    """Run an op and put its results where ``out`` says.

    Raises:
        RuntimeError: a dtype that can't be cast to that of ``out``, another device, or gradients are asked for.
    """
    from .inplace import into

    if modes.grad and any(isinstance(v, TENSOR) and v.rg for v in values):
        raise RuntimeError(
            f"[{op.name}] functions with out=... arguments don't support automatic differentiation, but one of the "
            "arguments requires grad. Drop out=, or use no_grad()."
        )
    result = op.apply(values)
    if isinstance(result, (tuple, list)):
        if len(out) != len(result):
            raise RuntimeError(f"[{op.name}] out= needs {len(result)} tensors: got {len(out)}.")
        for r, o in zip(result, out, strict=True):
            into(op.name, o, r)
        return type(result)(*out) if hasattr(result, "_fields") else tuple(out)
    into(op.name, out, result)
    return out


def _register(cls: type[Op], fn: Callable[..., Any], **fields: Any) -> Op:
    op = cls(fn, **fields)
    if op.name in registry.OPS:
        raise RuntimeError(f"[{op.name}] there are two records of this name. Rename one.")
    registry.OPS[op.name] = op
    for install in registry.INSTALLERS:
        install(op)
    return op


def kernel(**fields: Any) -> Callable[[Callable[..., Any]], Op]:
    """Decorator: the function is the infer of an op that a backend's kernel computes. Fields: see `Op`."""
    return lambda fn: _register(Op, fn, **fields)


def view(**fields: Any) -> Callable[[Callable[..., Any]], Op]:
    """Decorator: the function is the geometry of a view. Fields: see `Op`."""
    return lambda fn: _register(View, fn, **fields)


def composite(**fields: Any) -> Callable[[Callable[..., Any]], Op]:
    """Decorator: the function is the op, written in other public ops. Fields: see `Op`."""
    return lambda fn: _register(Composite, fn, **fields)
