"""The op record and its call path: read the arguments, find the plan, run it, record it.

Everything that depends only on specs and attributes (promotion, broadcasting, checks, the choice of kernel) is worked
out once and kept in a plan (plan.py). One rule makes a call's key: a tensor stands for its spec, a run-time number
for its type, a list for the tuple of its parts, anything else for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from types import MethodType
from typing import TYPE_CHECKING, Any, NoReturn

from . import plan as plans
from . import registry
from .calls import ENTRIES, Call
from .errors import refuse
from .fast import short, short_into
from .layout import Spec, unflipped
from .plan import Plan, Table, prepared, resolved
from .rules import Rules
from .signature import LOOSE, SYNONYMS, Param, frozen, read_params
from .state import GRAD_OFF, WATCHED, default_device, modes, past_watchers, set_grad
from .tape import record

if TYPE_CHECKING:
    from .backend import Backend

__all__ = ["Op"]


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
        self.settle()

    def settle(self) -> None:
        """Work out what follows from the parameters."""
        self.tensor_at = tuple(k for k, p in enumerate(self.params) if p.is_tensor)

    @cached_property
    def rules(self) -> Rules:
        """The gradient rules, in the form that the tape asks for."""
        return Rules(self)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __get__(self, obj: Any, cls: Any = None) -> Any:
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
                known = f"{self.n_positional} positional: ({', '.join(self.names[: self.n_positional])})"
                raise TypeError(f"[{self.name}] too many arguments: got {n}, takes {known}.")
            args, n = (*args[:k], tuple(args[k:])), self.n_positional
        values = [*args, *self.defaults[n:]]
        for name, v in kwargs.items():
            k = self.index.get(name, self.index.get(SYNONYMS.get(name, ""), -1))
            if k < 0:
                wrong = f"got an unexpected keyword argument '{name}'"
                raise TypeError(f"[{self.name}] {wrong}; there are: {', '.join(self.names)}.")
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
            if p.kind == "tensors":
                well = isinstance(v, (list, tuple)) and all(isinstance(t, plans.TENSOR) for t in v)
            else:
                absent = v is None and p.kind == "optional"
                well = p.kind not in ("tensor", "optional") or absent or isinstance(v, plans.TENSOR)
            if not well:
                self.refuse(p, v)

    def refuse(self, p: Param, v: Any) -> NoReturn:
        """Refuse an argument of a kind that its parameter doesn't take."""
        refuse(self.name, f"argument '{p.name}' must be {p.needs}", error=TypeError, **{p.name: v})

    # Calling

    @cached_property
    def quick(self) -> Callable[..., Any]:
        """The op as a function that finds plans at once."""
        return self.short()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.quick(*args, **kwargs)

    def general(self, /, *args: Any, **kwargs: Any) -> Any:
        """A call of any form."""
        if WATCHED and modes.watchers:
            return past_watchers(self, self, args, kwargs)
        if "out" in kwargs:
            out = kwargs.pop("out")
            if out is not None:
                from .inplace import write_out

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
                        v if type(v) not in LOOSE else frozen(v) if type(v) is list else (type(v), repr(v))
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
            self.refuse(p, v)

    short = short
    short_into = short_into

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
                v = frozen(v)
            out.append(v)
        return out

    def infer(self, values: list[Any]) -> Any:
        """Call the record's function with specs in place of tensors."""
        args = self.specs_for(values)
        n = self.n_positional
        return self.fn(*args[:n], **dict(zip(self.names[n:], args[n:], strict=True)))

    def attributes(self, values: list[Any]) -> dict[str, Any]:
        """The arguments that are no tensors, by name."""
        given = zip(self.params, self.specs_for(values), strict=True)
        return {p.name: v for p, v in given if not p.is_tensor}

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
        attrs = self.attributes(values) | (call.attrs or {})
        specs = tuple([None if t is None else t.spec for t in tensors])
        ins: Sequence[Any] = specs
        if call.ins_as is not None:
            ins = [s or t for s, t in zip(call.ins_as, specs, strict=True)]
        entry, kernel = call.entry, None
        if entry in ENTRIES:
            kernel = partial(ENTRIES[entry], backend)
        elif entry == "native" and (not registry.settings["force_defaults"] or self.default is None):
            entry, kernel = self.native, self.native_kernel(backend, specs, attrs)
        outs, single, run = call.specs, isinstance(call.outs, Spec), None
        if kernel is not None:

            def body(outs: Any, ins: Any, numbers: Any) -> None:
                kernel(outs, ins, attrs)

            run = prepared(backend, entry, body, outs, ins, attrs, single, call.outs_as, launch=call.launch)
        run = run or self.run_default(values, backend)
        mutates = self.mutates if call.mutates is None else call.mutates
        return Plan(self.name, run, self.rules, specs, outs, attrs, self.spans(values), mutates, single)

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
            wrong = f"device {backend.name!r} has no kernel and the op no default"
            refuse(self.name, wrong, "another device")
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
            if t is not None and t.spec.device is not device:
                if device is not None:
                    names = [self.names[k] for k in self.tensor_at]
                    if len(names) < len(tensors):  # a list of them
                        names = [f"{names[0]}[{k}]" for k in range(len(tensors))]
                    got = {n: t for n, t in zip(names, tensors, strict=False) if t is not None}
                    wrong, do = "Expected all tensors to be on the same device", "Move them with .to(device)."
                    refuse(self.name, wrong, do=do, **got)
                device = t.spec.device
        return device or default_device()
