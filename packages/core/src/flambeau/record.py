"""The op record and its call path: read the arguments, find the plan, run it, record it.

Everything that depends only on specs and attributes (promotion, broadcasting, checks, the choice of kernel) is worked
out once and kept in a plan (plan.py). One rule makes a call's key: a tensor stands for its spec, a run-time number
for its type, a list for the tuple of its parts, anything else for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import plan as plans
from . import registry
from .errors import message
from .fast import short, short_into
from .layout import Spec
from .plan import Plan, Table, prepared
from .rules import Rules
from .signature import LOOSE, SYNONYMS, Param, read_params
from .state import GRAD_OFF, WATCHED, default_device, modes, past_watchers, set_grad
from .tape import record

if TYPE_CHECKING:
    from .backend import Backend

__all__ = ["ENTRIES", "Call", "Op", "put_out", "resolved", "unflipped", "write_out"]


class Call:
    """What an `infer` function decides: outputs, and what the backend has to do.

    Args:
        outs: the results' specs (one Spec, or a tuple).
        entry: a required entry of the backend contract, or ``"native"``: the op's kernel, else its default.
        attrs: arguments for the entry; they also replace the attributes that gradient rules see.
        outs_as, ins_as: other specs through which the backend sees the same memory.
        mutates: parameters that this call writes to (default: those that the record names).
        launch: a launch of the entry that is prepared already, where the backend has addresses.
    """

    __slots__ = ("attrs", "entry", "ins_as", "launch", "mutates", "outs", "outs_as", "single")

    def __init__(
        self,
        outs: Spec | tuple[Spec | None, ...],
        entry: str = "native",
        attrs: dict[str, Any] | None = None,
        outs_as: tuple[Spec, ...] | None = None,
        ins_as: tuple[Spec | None, ...] | None = None,
        mutates: tuple[str, ...] | None = None,
        launch: Callable[..., Any] | None = None,
    ) -> None:
        self.launch = launch
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
        function: whether the top level has it; ``public=False`` stands for neither method nor function.
        exports: the public names.
        module: the namespace that has it; "" is the top level.
        native: the name under which backends may have a kernel.
        samples: gives sample calls for conformance tests.
        batch: how ``vmap`` runs it, where its kind doesn't say: a rule, the name of a family of
            `flambeau.func.rules`, or where a rule stands, as ``"module:name"``.
    """

    kind = "kernel"
    #: Whether ``out=`` may have any dtype that the result casts to, otherwise it must have the result's own; "any": any
    #: dtype at all. Or a function of the arguments that says so.
    casts_out: Any = False
    #: Whether ``out=`` may not share memory with an argument even as a whole.
    apart_out = False

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
        public: bool = True,
    ) -> None:
        self.name = name or fn.__name__.strip("_")
        self.fn = fn
        self.params = read_params(fn)
        self.names = tuple(p.name for p in self.params)
        self.index = {n: k for k, n in enumerate(self.names)}
        self.n_positional = sum(not p.keyword for p in self.params)
        self.defaults = [p.default for p in self.params]
        self.vjp = vjp
        self.default = default
        self.nondiff = frozenset(nondiff)
        self.mutates = mutates
        self.method, self.inplace, self.function = method and public, inplace, function and public
        self.samples = samples
        self.aliases = aliases
        self.module = module
        self.native = native or self.name
        self.batch = batch
        self.exports = (export or self.name, *aliases)
        self.plans = Table()
        self.__doc__ = fn.__doc__
        self.__name__ = self.name
        self.__wrapped__ = fn
        self._rules: Rules | None = None
        self.settle()

    def settle(self) -> None:
        """Work out what follows from the parameters."""
        self.tensor_at = tuple(k for k, p in enumerate(self.params) if p.is_tensor)

    @property
    def rules(self) -> Rules:
        """The gradient rules, in the form that the tape asks for."""
        if self._rules is None:
            self._rules = Rules(self)
        return self._rules

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
                k = self.index.get(SYNONYMS.get(name, ""), -1)
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
                if not isinstance(v, plans.TENSOR):
                    raise TypeError(
                        message(self.name, f"argument '{p.name}' must be a Tensor", **{p.name: v})
                    )
            elif p.kind == "tensors" and not (
                isinstance(v, (list, tuple)) and all(isinstance(t, plans.TENSOR) for t in v)
            ):
                raise TypeError(
                    message(self.name, f"argument '{p.name}' must be a list of Tensors", **{p.name: v})
                )

    # Calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if WATCHED and modes.watchers:
            return self.watched(args, kwargs)
        if "out" in kwargs:
            out = kwargs.pop("out")
            if out is not None:
                return write_out(self, self.bind(args, kwargs), out)
        if not kwargs and len(args) <= self.n_positional:
            return self.apply(args)
        values = self.bind(args, kwargs)
        out = self.apply(values)
        if self.tensor_at == (0,) and args and LOOSE.isdisjoint(map(type, (*args, *kwargs.values()))):
            plan = self.plans.get(self.read(values)[0])  # found at once the next time that it is called so
            if plan is not None and hasattr(args[0], "spec"):
                self.plans.keep((args[0].spec, *args[1:], *kwargs.items()), plan)
        return out

    def apply(self, args: Sequence[Any]) -> Any:
        """Run with the arguments in order; defaults at the end may be left out."""
        if self.tensor_at and len(args) <= self.tensor_at[-1]:
            args = self.bind(args, {})
        key, tensors, numbers = self.read(args)
        try:
            plan = self.plans.get(key)
        except TypeError:  # an argument without a hash
            self.check_tensors(self.bind(args, {}))
            raise
        if plan is None:
            values = self.bind(args, {}) if len(args) < len(self.params) else list(args)
            self.check_tensors(values)
            values, changed = self.settled(values, tensors)
            if changed:
                return self.apply(values)
            plan = self.plans.keep(key, self.prepare(values, tensors))
        out = plan.run(*tensors, *numbers)
        if plan.mutates:
            self.note_writes(plan.mutates, args)
        if not GRAD_OFF or modes.grad:
            for t in tensors:
                if t is not None and t.rg:
                    record(plan, tensors, numbers, out)
                    break
        return out

    def read(self, args: Sequence[Any]) -> tuple[Any, list[Any], list[Any]]:
        """The call's key, the tensors and the run-time numbers among the arguments."""
        key: list[Any] = []
        tensors: list[Any] = []
        numbers: list[Any] = []
        try:
            for p, v in zip(self.params, args, strict=False):
                kind = p.kind
                if kind == "attr":
                    key.append(
                        v if type(v) not in LOOSE else _freeze(v) if type(v) is list else (type(v), repr(v))
                    )
                elif kind == "tensors":
                    tensors.extend(v)
                    key.append(tuple([t.spec for t in v]))
                else:
                    spec = getattr(v, "spec", None)
                    if spec is None or kind == "number":
                        self.read_other(p, v, key, tensors, numbers)
                    else:
                        tensors.append(v)
                        key.append(spec)
        except (AttributeError, TypeError):
            self.check_tensors(self.bind(args, {}))
            raise
        return key[0] if len(key) == 1 else tuple(key), tensors, numbers

    def read_other(self, p: Param, v: Any, key: list[Any], tensors: list[Any], numbers: list[Any]) -> None:
        """What stands for an argument that is a number, or absent: numbers are attributes, unless the op says else."""
        if p.kind == "number":
            key.append((type(v), repr(v.item() if hasattr(v, "spec") else v)))
        elif v is None and p.kind == "optional":
            tensors.append(None)
            key.append(None)
        else:
            raise TypeError(message(self.name, f"argument '{p.name}' must be a Tensor", **{p.name: v}))

    short = short
    short_into = short_into

    def watched(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Hand the call to this thread's interceptors."""

        def go_on(*a: Any, **k: Any) -> Any:
            return self(*a, **k)

        return past_watchers(self, go_on, args, kwargs)

    def resume(self, args: Sequence[Any], kwargs: dict[str, Any], out: Any) -> Any:
        """Put a call on the tape whose result is known, instead of running it; gives the result."""
        values, moved = self.bind(args, kwargs), True
        while moved:
            key, tensors, numbers = self.read(values)
            values, moved = self.on_one_device(values, tensors)
        plan = self.plans.get(key) or self.plans.keep(key, self.prepare(values, tensors))
        if (not GRAD_OFF or modes.grad) and any(t is not None and t.rg for t in tensors):
            record(plan, tensors, numbers, out)
        return out

    def note_writes(self, names: Sequence[str], values: Sequence[Any]) -> None:
        """Tell the tape which arguments the kernel has written to."""
        from .inplace import touched

        for name in names:
            t = values[self.index[name]]
            if t is not None:
                touched(self.name, t)

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

    def attributes(self, values: list[Any]) -> dict[str, Any]:
        """The arguments that are no tensors, by name."""
        return {
            p.name: v for p, v in zip(self.params, self.specs_for(values), strict=True) if not p.is_tensor
        }

    def spans(self, values: list[Any]) -> tuple[tuple[int, int], ...]:
        """Where each tensor parameter's tensors begin, and how many there are (-1: it is no list)."""
        out, at = [], 0
        for k in self.tensor_at:
            n = len(values[k]) if self.params[k].kind == "tensors" else -1
            out.append((at, n))
            at += 1 if n < 0 else n
        return tuple(out)

    def prepare(self, values: list[Any], tensors: list[Any]) -> Plan:
        """Work out what to do for these specs and attributes."""
        device = self.common_device(tensors)
        call: Call = self.infer(values)
        backend = registry.backend_of(device)
        attrs = self.attributes(values) | call.attrs
        specs = tuple([None if t is None else t.spec for t in tensors])
        ins: Sequence[Any] = specs
        if call.ins_as is not None:
            ins = [s or t for s, t in zip(call.ins_as, specs, strict=True)]
        entry, body = call.entry, None
        if entry in ENTRIES:
            required = ENTRIES[entry]

            def body(outs: Any, ins: Any, numbers: Any) -> None:
                required(backend, outs, ins, attrs)

        elif entry == "native" and (not registry.settings["force_defaults"] or self.default is None):
            entry = self.native
            native = self.native_kernel(backend, specs, attrs)
            if native is not None:

                def body(outs: Any, ins: Any, numbers: Any) -> None:
                    native(outs, ins, attrs)

        run = None
        if body is not None:
            run = prepared(
                backend, entry, body, call.outs, ins, attrs, call.single, call.outs_as, launch=call.launch
            )
        return Plan(
            self.name,
            run or self.run_default(values, backend),
            self.rules,
            specs,
            call.outs,
            attrs,
            self.spans(values),
            self.mutates if call.mutates is None else call.mutates,
            call.single,
        )

    def native_kernel(self, backend: Backend, specs: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """The backend's own kernel, ``fn(outs, ins, attrs)``, or None."""
        return backend.kernel(self.native, specs, attrs)

    def run_default(self, values: list[Any], backend: Backend) -> Callable[..., Any]:
        """The default implementation as a function of the tensors, its other arguments known.

        Raises:
            RuntimeError: there is none.
        """
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
        places = list(zip(self.tensor_at, self.spans(values), strict=True))
        known = [None if p.is_tensor else v for p, v in zip(self.params, values, strict=True)]

        def run(*ts: Any) -> Any:
            vs = known.copy()
            for k, (at, count) in places:
                vs[k] = ts[at] if count < 0 else list(ts[at : at + count])
            grad = modes.grad
            set_grad(False)
            try:
                return default(*vs[:n], **dict(zip(names[n:], vs[n:], strict=True)))
            finally:
                set_grad(grad)

        return run

    def settled(self, values: list[Any], tensors: list[Any]) -> tuple[list[Any], bool]:
        """The arguments as kernels take them, conjugates computed and on one device; and whether that changed any."""
        if not any(t is not None and t.spec.flipped for t in tensors):
            return self.on_one_device(values, tensors)
        for name in self.mutates:
            if values[self.index[name]] is not None:
                unflipped(values[self.index[name]].spec, self.name)
        return [
            [resolved(t) for t in v] if p.kind == "tensors" else resolved(v) if p.is_tensor else v
            for p, v in zip(self.params, values, strict=True)
        ], True

    def on_one_device(self, values: list[Any], tensors: list[Any]) -> tuple[list[Any], bool]:
        """The arguments, with what may be moved to the others' device moved there, and whether anything was."""
        return values, False

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


def _freeze(v: Any) -> Any:
    return tuple(_freeze(e) for e in v) if isinstance(v, (list, tuple)) else v


def resolved(t: Any) -> Any:
    """A tensor whose memory holds its elements as they are: itself, or where it is flipped a copy."""
    spec = getattr(t, "spec", None)
    if spec is None or not spec.flipped:
        return t
    return registry.OPS["conj_values" if spec.dtype.is_complex else "neg"](registry.OPS["flip_sign"](t))


def unflipped(spec: Spec, op: str) -> None:
    """Refuse a flipped tensor where memory is read or written as it is.

    Raises:
        RuntimeError: it is one.
    """
    if spec.flipped:
        name = "conj" if spec.dtype.is_complex else "neg"
        do = f"Use tensor.resolve_{name}() first."
        raise RuntimeError(
            message(op, f"this doesn't work on a tensor with the {name} bit set", do=do, self=spec)
        )


def write_out(op: Op, values: list[Any], out: Any) -> Any:
    """Run an op and put its results where ``out`` says.

    Raises:
        RuntimeError: a dtype that can't be cast to that of ``out``, another device, or gradients are asked for.
    """
    k = op.index.get("dtype", -1)
    if k >= 0 and values[k] is None and isinstance(out, plans.TENSOR) and op.params[k].keyword:
        values[k] = out.spec.dtype
    if modes.grad and any(isinstance(v, plans.TENSOR) and v.rg for v in values):
        raise RuntimeError(
            f"[{op.name}] functions with out=... arguments don't support automatic differentiation, but one of the "
            "arguments requires grad. Drop out=, or use no_grad()."
        )
    return put_out(op, values, op.apply(values), out)


def put_out(op: Op, values: Sequence[Any], result: Any, out: Any) -> Any:
    """Put an op's results where ``out`` says."""
    from .inplace import into

    given = [
        t
        for v in values
        for t in (v if isinstance(v, (list, tuple)) else (v,))
        if isinstance(t, plans.TENSOR)
    ]
    casts = op.casts_out(*values) if callable(op.casts_out) else op.casts_out
    if isinstance(result, (tuple, list)):
        if len(out) != len(result):
            raise RuntimeError(f"[{op.name}] out= needs {len(result)} tensors: got {len(out)}.")
        for r, o in zip(result, out, strict=True):
            into(op, o, r, given, casts == "any" and casts)
        return type(result)(*out) if hasattr(result, "_fields") else tuple(out)
    into(op, out, result, given, casts)
    return out
