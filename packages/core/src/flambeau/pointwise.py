"""Pointwise ops: records whose body is an elementwise program; gradients are derived from it.

Promotion, broadcasting and the choice of the result's dtype happen here, once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import dtypes as dt
from . import op as opmod
from . import registry, tape
from .derive import backward as derive_backward
from .derive import given as given_backward
from .errors import message
from .layout import Spec, broadcast_shapes, expand_strides, spec_of
from .op import NUMBERS, Op, new_tensor, retag
from .program import Expr, Program, TypedProgram
from .state import GRAD_OFF, WATCHED, default_dtype, modes

if TYPE_CHECKING:
    from ._tensor import Tensor

__all__ = ["Pointwise", "custom", "pointwise", "result_type_of"]

_CAPACITY = 4096
_NUMBER_RANK = {bool: dt.bool_, int: dt.int64}


def number_dtype(kind: type) -> dt.DType:
    """The dtype that a Python number has on its own."""
    if kind is float:
        return default_dtype()
    return default_dtype().to_complex() if kind is complex else _NUMBER_RANK[kind]


def result_type_of(specs: Sequence[Spec], numbers: Sequence[type] = ()) -> dt.DType:
    """PyTorch's result type: tensors with dimensions decide; 0-d tensors and numbers only by a higher kind.

    >>> from flambeau import dtypes as dt
    >>> result_type_of([], [int, float])
    flambeau.float32
    """
    groups: list[dt.DType | None] = [None, None, None]
    for s in specs:
        k = 0 if s.ndim else 1
        held = groups[k]
        groups[k] = s.dtype if held is None or held is s.dtype else dt.promote_types(held, s.dtype)
    for n in numbers:
        d = number_dtype(n)
        held = groups[2]
        groups[2] = d if held is None else dt.promote_types(held, d)
    out = groups[0]
    for lower in groups[1:]:
        if lower is None:
            continue
        if out is None:
            out = lower
        elif lower.rank > out.rank:
            out = out.to_complex() if out.rank == 2 else dt.promote_types(out, lower)
    assert out is not None
    return out


class Pointwise(Op):
    """A record whose function is traced into a program.

    Attributes:
        result: the result's dtype from the common one: ``same``, ``float`` (integers become the default
            floating-point type), ``bool``, ``real``, ``complex``, or a function of the common dtype.
        raw: parameters that keep out of promotion (conditions).
        check: called with the common dtype; raises for dtypes that the op refuses.
        vjp: gradients that are written down rather than derived, by parameter name: programs of
            ``(g, out, *arguments)``.
    """

    kind = "pointwise"

    def __init__(
        self,
        fn: Callable[..., Any],
        result: str | Callable[[dt.DType], dt.DType] = "same",
        raw: tuple[str, ...] = (),
        check: Callable[[str, dt.DType], None] | None = None,
        differentiable: bool = True,
        **fields: Any,
    ) -> None:
        super().__init__(fn, **fields)
        self.result = result
        self.raw = raw
        self.check = check
        self.differentiable = differentiable and result != "bool"
        self.patterns: dict[Any, Pattern] = {}
        self.fast: dict[Any, Any] = {}
        opmod.CACHES.append(self.fast)
        self.simple = all(p.default is not opmod.Param.NONE for p in self.params[2:])

    # Fast calls; they fall back to the general one whenever anything is out of the ordinary.

    def unary(self) -> Callable[..., Any]:
        """The function for calls with one tensor."""
        fast, general = self.fast, super().__call__

        def call(self: Any = None, *args: Any, **kwargs: Any) -> Any:
            if args or kwargs or WATCHED:
                return general(*(() if self is None else (self,)), *args, **kwargs)
            try:
                plan = fast[self.spec]
            except (KeyError, AttributeError):
                return general(self)
            out = plan.run1(self)
            if self.rg and (not GRAD_OFF or modes.grad):
                plan.record((self,), (), out)
            return out

        return call

    def binary(self) -> Callable[..., Any]:
        """The function for calls with two operands, the second perhaps a number."""
        fast, general = self.fast, super().__call__

        def call(self: Any = None, *args: Any, **kwargs: Any) -> Any:
            if len(args) != 1 or kwargs or WATCHED:
                return general(*(() if self is None else (self,)), *args, **kwargs)
            other = args[0]
            kind = type(other)
            try:
                if kind in NUMBERS:
                    plan = fast[self.spec, kind]
                    out = plan.run1s(self, other)
                    if self.rg and (not GRAD_OFF or modes.grad):
                        plan.record((self,), (other,), out)
                    return out
                plan = fast[self.spec, other.spec]
            except (KeyError, AttributeError):
                return general(self, other)
            out = plan.run2(self, other)
            if (self.rg or other.rg) and (not GRAD_OFF or modes.grad):
                plan.record((self, other), (), out)
            return out

        return call

    def operator(self, general: Callable[[Any, Any], Any]) -> Callable[..., Any]:
        """The function behind a Python operator."""
        fast = self.fast

        def call(self: Any, other: Any) -> Any:
            if WATCHED:
                return general(self, other)
            kind = type(other)
            try:
                if kind in NUMBERS:
                    plan = fast[self.spec, kind]
                    out = plan.run1s(self, other)
                    if self.rg and (not GRAD_OFF or modes.grad):
                        plan.record((self,), (other,), out)
                    return out
                plan = fast[self.spec, other.spec]
            except (KeyError, AttributeError):
                return general(self, other)
            out = plan.run2(self, other)
            if (self.rg or other.rg) and (not GRAD_OFF or modes.grad):
                plan.record((self, other), (), out)
            return out

        return call

    # The general call

    def apply(self, values: list[Any]) -> Any:
        plan, tensors, scalars = self.find(values)
        out = plan.run(tensors, scalars)
        if not GRAD_OFF or modes.grad:
            for t in tensors:
                if t.rg:
                    plan.record(tensors, scalars, out)
                    break
        return out

    def find(self, values: list[Any], into: Spec | None = None) -> tuple[PointPlan, list[Any], list[Any]]:
        """The plan for these arguments, the tensors and the run-time scalars among them."""
        key: list[Any] = [into]
        tensors: list[Any] = []
        scalars: list[Any] = []
        try:
            for p, v in zip(self.params, values, strict=True):
                if p.is_tensor:
                    spec = getattr(v, "spec", None)
                    if spec is not None:
                        tensors.append(v)
                        key.append(spec)
                        continue
                    if v is None and p.default is None:
                        key.append(None)
                        continue
                    if type(v) not in NUMBERS:
                        v = self.as_number(p, v)
                    scalars.append(v)
                    key.append(type(v))
                elif p.kind == "number" and v != p.default:
                    if type(v) not in NUMBERS:
                        v = self.as_number(p, v)
                    scalars.append(v)
                    key.append(type(v))
                else:
                    key.append(None if p.kind == "number" else v)
            whole = tuple(key)
            plan = self.plans.get(whole)
        except TypeError:
            self.check_tensors(values)
            raise
        if plan is None:
            self.check_tensors(values)
            moved = self.one_device(tensors)
            plan = self.make(values, moved, into)
            plan.moves = moved is not tensors
            tensors = moved
            if len(self.plans) >= _CAPACITY:
                self.plans.clear()
                self.fast.clear()
            self.plans[whole] = plan
            if into is None:
                self.make_fast(values, plan)
        elif plan.moves:
            tensors = self.one_device(tensors)
        return plan, tensors, scalars

    def as_number(self, p: opmod.Param, v: Any) -> Any:
        """A number of another library as a Python number."""
        item = getattr(v, "item", None)
        if item is not None and getattr(v, "shape", None) == () and (p.kind != "tensor"):
            v = item()
            if type(v) in NUMBERS:
                return v
        need = (
            "a Tensor"
            if p.kind in ("tensor", "optional")
            else "a Tensor or a number"
            if p.is_tensor
            else "a number"
        )
        raise TypeError(message(self.name, f"argument '{p.name}' must be {need}", **{p.name: v}))

    def make_fast(self, values: list[Any], plan: PointPlan) -> None:
        """Let the short calls find this plan, where the call had only what they pass."""
        if plan.moves or any(v is not p.default for p, v in zip(self.params[2:], values[2:], strict=True)):
            return
        first, rest = values[0], values[1:2]
        if not hasattr(first, "spec") or not self.simple:
            return
        if not rest:
            self.fast[first.spec] = plan
        elif self.params[1].is_tensor:
            self.fast[first.spec, type(rest[0]) if type(rest[0]) in NUMBERS else rest[0].spec] = plan
        elif rest[0] is self.params[1].default:
            self.fast[first.spec] = plan

    def one_device(self, tensors: list[Any]) -> list[Any]:
        """Bring 0-d CPU tensors to the device of the others; anything else must agree."""
        devices = {t.spec.device for t in tensors}
        if len(devices) > 1:
            target = next(
                (t.spec.device for t in tensors if t.spec.ndim or t.spec.device.type != "cpu"), None
            )
            tensors = [
                t.to(target) if t.spec.ndim == 0 and t.spec.device.type == "cpu" and target is not None else t
                for t in tensors
            ]
        self.common_device(tensors)
        return tensors

    def pattern(self, values: list[Any]) -> Pattern:
        """Which arguments are tensors, which are run-time scalars, which are built into the program."""
        shape: list[Any] = []
        for p, v in zip(self.params, values, strict=True):
            if p.is_tensor:
                shape.append("t" if hasattr(v, "spec") else None if v is None else "s")
            elif p.kind == "number" and v != p.default:
                shape.append("s")
            else:
                shape.append(("=", v))
        key = tuple(shape)
        found = self.patterns.get(key)
        if found is None:
            found = self.patterns[key] = Pattern(self, key)
        return found

    def make(self, values: list[Any], tensors: list[Any], into: Spec | None) -> PointPlan:
        """Promotion, broadcasting, checks and the program for these specs."""
        pattern = self.pattern(values)
        specs = [t.spec for t in tensors]
        if not specs:
            raise TypeError(
                f"[{self.name}] needs at least one Tensor: got only numbers. Wrap one with flambeau.tensor()."
            )
        roles = [p for p, s in zip(self.params, pattern.shape, strict=True) if s == "t"]
        numbers = [
            type(v)
            for p, s, v in zip(self.params, pattern.shape, values, strict=True)
            if s == "s" and p.is_tensor and p.name not in self.raw
        ]
        counted = [s for s, p in zip(specs, roles, strict=True) if p.name not in self.raw]
        common = result_type_of(counted, numbers) if counted or numbers else specs[0].dtype
        result = self.result
        if result in ("float", "complex") and common.rank < 2:
            common = default_dtype()
        if self.check is not None:
            self.check(self.name, common)
        out_dtype = common
        if result == "bool":
            out_dtype = dt.bool_
        elif result == "real":
            out_dtype = common.to_real()
        elif result == "complex":
            out_dtype = common.to_complex()
        elif result == "natural":
            made = pattern.program.typed(
                [s.dtype for s in specs], None, common, frozenset(), (), default_dtype()
            ).outs[0]
            out_dtype = common if made.rank == common.rank == 2 else made
        elif callable(result):
            out_dtype = result(common)
        shape = broadcast_shapes(*[s.shape for s in specs], op=self.name)
        raw = frozenset(k for k, p in enumerate(roles) if p.name in self.raw)
        if into is not None:
            self.check_into(into, shape, out_dtype)
            out = into
        else:
            out = spec_of(out_dtype, shape, specs[0].device)
        typed = pattern.program.typed(
            [s.dtype for s in specs], (out.dtype,), common, raw, (), default_dtype()
        )
        return PointPlan(self, pattern, typed, out, specs, common, raw)

    def check_into(self, into: Spec, shape: Sequence[int], dtype: dt.DType) -> None:
        """Whether a result can be written into a tensor."""
        if tuple(into.shape) != tuple(shape):
            raise RuntimeError(
                f"[{self.name}_] output with shape {list(into.shape)} doesn't match the broadcast shape {list(shape)}. "
                "Use the out-of-place form."
            )
        if not dt.can_cast(dtype, into.dtype):
            raise RuntimeError(
                f"[{self.name}_] result type {dtype.name} can't be cast to the desired output type {into.dtype.name}. "
                "Use the out-of-place form, or convert with .to()."
            )


class Pattern:
    """A record traced for one combination of tensors and numbers; also the gradient rules of those calls."""

    def __init__(self, op: Pointwise, shape: tuple[Any, ...]) -> None:
        self.op = op
        self.name = op.name
        self.shape = shape
        roles = [p.name for p, s in zip(op.params, shape, strict=True) if s == "t"]
        self.raw = frozenset(k for k, name in enumerate(roles) if name in op.raw)
        n_in = shape.count("t")
        ins, scalars = iter(range(n_in)), iter(range(shape.count("s")))
        args: list[Any] = []
        for s in shape:
            if s == "t":
                args.append(Expr("in", (), next(ins)))
            elif s == "s":
                args.append(Expr("scalar", (), next(scalars)))
            else:
                args.append(None if s is None else s[1])
        n = op.n_positional
        out = op.fn(*args[:n], **dict(zip(op.names[n:], args[n:], strict=True)))
        self.program = Program(
            [out if isinstance(out, Expr) else Expr("const", (), out)], n_in, shape.count("s")
        )
        written: Any = op.vjp or {}
        takes = [p.name for p, s in zip(op.params, shape, strict=True) if s == "t"]
        g = Expr("in", (), "g")
        self.given = {
            k: written[n](g, self.program.outs[0], *args) for k, n in enumerate(takes) if n in written
        }
        self.derived: dict[int, tuple[Derived, tuple[int, ...]] | None] = {}
        self.saves: dict[int, tuple[tuple[int, ...], bool]] = {}

    def gradient(self, k: int) -> tuple[Derived, tuple[int, ...]] | None:
        """The op that computes the gradient of tensor ``k``, and what it reads."""
        if k not in self.derived:
            if k in self.given:
                found: Any = given_backward(self.program, self.given[k])
            else:
                found = derive_backward(self.program, k, self.name)
            if found:
                raw = frozenset(1 + at for at, r in enumerate(found[1]) if r in self.raw)
                found = Derived(f"{self.name}_backward", found[0], raw), found[1]
            self.derived[k] = found
        return self.derived[k]

    def what_to_save(self, needs: int) -> tuple[tuple[int, ...], bool]:
        """Numbers of the inputs that some gradients (a bit for each) read, and whether they read the output."""
        wanted = [k for k in range(needs.bit_length()) if needs >> k & 1]
        reads = {r for k in wanted if (d := self.gradient(k)) is not None for r in d[1]}
        found = self.saves[needs] = (tuple(sorted(r for r in reads if r >= 0)), -1 in reads)
        return found

    def gradients(self, node: tape.Node, gs: list[Any]) -> list[Any]:
        """Run the derived programs that are needed."""
        scalars, slots = node.attrs
        g = gs[0]
        out: list[Any] = []
        for k, e in enumerate(node.edges):
            d = None if e is None else self.gradient(k)
            if d is None:
                out.append(None)
                continue
            args = [g]
            for r in d[1]:
                saved = (
                    tape.unpack_output(node, len(slots), 0) if r < 0 else tape.unpack(node, slots.index(r))
                )
                args.append(saved)
            out.append(d[0].call(args, scalars, node.specs[k].dtype))
        return out


class PointPlan:
    """A prepared pointwise call."""

    __slots__ = ("moves", "out", "outs", "pattern", "rules_off", "run1", "run1s", "run2", "runner", "specs")

    def __init__(
        self,
        op: Pointwise,
        pattern: Pattern,
        typed: TypedProgram,
        out: Spec,
        specs: list[Spec],
        common: dt.DType,
        raw: frozenset[int],
    ) -> None:
        self.pattern = pattern
        self.out = out
        self.outs = (out,)
        self.specs = specs
        self.moves = False
        self.rules_off = not op.differentiable or not (out.dtype.is_floating_point or out.dtype.is_complex)
        self.runner = Runner(typed, out, specs)
        self.run1, self.run1s, self.run2 = self.runner.fast()

    def run(self, tensors: Sequence[Any], scalars: Sequence[Any]) -> Any:
        """Allocate the result and compute it."""
        return self.runner.run(tensors, scalars)

    def record(self, tensors: Sequence[Any], scalars: Sequence[Any], out: Any) -> None:
        """Put the call on the tape."""
        if not self.rules_off:
            record(self.pattern, self.specs, self.outs, tensors, scalars, out)


def record(
    rules: Any,
    specs: Sequence[Spec],
    outs: tuple[Spec, ...],
    tensors: Sequence[Any],
    scalars: Sequence[Any],
    out: Any,
) -> None:
    """Make the node of a pointwise call and give it to the output."""
    edges: list[Any] = []
    needs = 0
    bit = 1
    for t in tensors:
        if t.rg:
            needs |= bit
            edges.append((t.node or t, t.nr) if t.base is None else tape.edge_of(t))
        else:
            edges.append(None)
        bit += bit
    keep = rules.saves.get(needs)
    if keep is None:
        keep = rules.what_to_save(needs)
    saved: list[Any] = []
    for k in keep[0]:
        t = tensors[k]
        mem = t.mem
        if mem.watch is None:
            mem.watch = []
        saved.append((t, mem.version))
    if keep[1]:
        mem = out.mem
        if mem.watch is None:
            mem.watch = []
        saved.append(((out.spec, mem, out.ptr, out.offset), mem.version))
    out.node = tape.make_node(rules, edges, specs, saved, (scalars, keep[0]), outs)
    out.rg = True


class Runner:
    """A typed program bound to specs: how to allocate and launch."""

    __slots__ = ("backend", "expanded", "launch", "out", "typed")

    def __init__(self, typed: TypedProgram, out: Spec, specs: Sequence[Spec]) -> None:
        self.typed = typed
        self.out = out
        self.backend = registry.backend_of(out.device)
        self.expanded = [
            s
            if s.shape == out.shape
            else spec_of(s.dtype, out.shape, s.device, expand_strides(s.shape, s.strides, out.shape))
            for s in specs
        ]
        self.launch: Callable[..., Any] | None = None
        if self.backend.addressed:
            self.launch = self.backend.plan("run_program", (out,), self.expanded, {"program": typed})

    def run(self, tensors: Sequence[Any], scalars: Sequence[Any]) -> Any:
        """Into a new tensor."""
        out = new_tensor(self.out, self.backend)
        self.write(out, tensors, scalars)
        return out

    def write(self, out: Tensor, tensors: Sequence[Any], scalars: Sequence[Any]) -> None:
        """Into a tensor of the plan's output spec."""
        if self.launch is not None:
            self.launch(out.ptr, *[t.ptr for t in tensors], *scalars)
        else:
            ins = [retag(t, s) for t, s in zip(tensors, self.expanded, strict=True)]
            self.backend.run_program(self.typed, (out,), ins, scalars)

    def fast(self) -> tuple[Callable[..., Any], ...]:
        """Calls for one tensor, one tensor and a number, two tensors."""
        run = self.run
        launch = self.launch
        if launch is None:
            return (lambda a: run((a,), ())), (lambda a, s: run((a,), (s,))), (lambda a, b: run((a, b), ()))
        nbytes, slot, allocate = self.out.nbytes, self.out.device.slot, self.backend.allocate
        make = opmod.maker(self.out, self.backend)

        def run1(a: Any) -> Any:
            h = allocate(nbytes, slot)
            launch(h, a.ptr)
            return make(h)

        def run1s(a: Any, s: Any) -> Any:
            h = allocate(nbytes, slot)
            launch(h, a.ptr, s)
            return make(h)

        def run2(a: Any, b: Any) -> Any:
            h = allocate(nbytes, slot)
            launch(h, a.ptr, b.ptr)
            return make(h)

        return run1, run1s, run2


_writers: dict[Any, Runner] = {}
opmod.CACHES.append(_writers)


def write_program(typed: TypedProgram, out: Tensor, scalars: Sequence[Any]) -> Tensor:
    """Fill a tensor by a program without inputs, outside the tape."""
    key = (typed, out.spec)
    runner = _writers.get(key)
    if runner is None:
        if len(_writers) >= _CAPACITY:
            _writers.clear()
        runner = _writers[key] = Runner(typed, out.spec, ())
    if out.spec.numel:
        runner.write(out, (), scalars)
    return out


class Derived:
    """A derivative as an op: its program is known, its inputs are the gradient and what the rule reads."""

    kind = "derived"

    def __init__(self, name: str, program: Program, raw: frozenset[int]) -> None:
        self.name = name
        self.program = program
        self.raw = raw
        self.runners: dict[Any, Runner] = {}
        self.given: dict[int, Expr] = {}
        self.derived: dict[int, tuple[Derived, tuple[int, ...]] | None] = {}
        self.saves: dict[int, tuple[tuple[int, ...], bool]] = {}
        opmod.CACHES.append(self.runners)

    gradient = Pattern.gradient
    what_to_save = Pattern.what_to_save
    gradients = Pattern.gradients

    def call(self, tensors: list[Any], scalars: Sequence[Any], dtype: dt.DType) -> Any:
        """Run it, and record it where recording is on."""
        if WATCHED and modes.watchers:
            stack = modes.watchers
            modes.watchers = stack[:-1]
            try:
                return stack[-1](self, self.call, (tensors, scalars, dtype), {})
            finally:
                modes.watchers = stack
        key = (dtype, *[t.spec for t in tensors], *[type(s) for s in scalars])
        runner = self.runners.get(key)
        if runner is None:
            specs = [t.spec for t in tensors]
            shape = broadcast_shapes(*[s.shape for s in specs], op=self.name)
            # Conditions keep their dtype; everything else meets in the common floating-point type.
            raw = self.raw | frozenset(k for k, s in enumerate(specs) if s.dtype is dt.bool_)
            common = result_type_of([s for k, s in enumerate(specs) if k not in raw])
            if specs[0].dtype.is_complex and not common.is_complex:
                common = common.to_complex()
            typed = self.program.typed(
                [s.dtype for s in specs],
                (dtype if dtype.is_complex or not common.is_complex else common,),
                common,
                raw,
                (),
                default_dtype(),
            )
            runner = Runner(typed, spec_of(typed.outs[0], shape, specs[0].device), specs)
            if len(self.runners) >= _CAPACITY:
                self.runners.clear()
            self.runners[key] = runner
        out = runner.run(tensors, scalars)
        if tape.will_record(tensors):
            record(self, [t.spec for t in tensors], (out.spec,), tensors, scalars, out)
        return out


def custom(fn: Callable[..., Any]) -> Pointwise:
    """Decorator: an elementwise function of one's own, fused into one pass on every device, with its derivatives.

    The function is traced: its arguments support arithmetic, comparisons and methods such as ``exp``, ``sqrt``,
    ``tanh``, ``maximum`` (see docs/programs.md); `flambeau.plugin.select` stands for ``if``. Parameters with a number
    as default are numbers, the others tensors or numbers; operands broadcast and promote as in any op.

    >>> import flambeau as fb
    >>> @fb.pointwise
    ... def swish(x, beta=1.0):
    ...     return x / (1 + (-beta * x).exp())
    >>> x = fb.tensor([0., 1.], requires_grad=True)
    >>> y = swish(x, beta=2.0); y
    tensor([0.0000, 0.8808], grad_fn=<SwishBackward0>)
    >>> y.sum().backward(); x.grad
    tensor([0.5000, 1.0908])
    """
    op = Pointwise(fn, result="natural", method=False, function=False)
    for p in op.params:
        if p.kind == "attr" and p.default is opmod.Param.NONE:
            p.kind, p.is_tensor = "operand", True
        elif p.kind == "attr" and type(p.default) in NUMBERS:
            p.kind = "number"
    op.tensor_at = tuple(k for k, p in enumerate(op.params) if p.is_tensor)
    return op


def pointwise(**fields: Any) -> Callable[[Callable[..., Any]], Pointwise]:
    """Decorator: the function is the elementwise program of an op. Fields: see `Pointwise` and `Op`."""

    def make(fn: Callable[..., Any]) -> Pointwise:
        op = opmod._register(Pointwise, fn, **fields)
        assert isinstance(op, Pointwise)
        return op

    return make
