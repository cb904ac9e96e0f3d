"""Pointwise ops: records whose body is an elementwise program; gradients are derived from it.

Promotion, broadcasting and the choice of the result's dtype happen here, once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import dtypes as dt
from .. import registry, tape
from ..inplace import check_cast, check_shape
from ..layout import Spec, broadcast_shapes, dense_strides, expand_strides, spec_of
from ..op import NUMBERS, Op, Param, register, resolved, unflipped
from ..plan import Plan, Table, prepared
from ..program import Expr, Program, TypedProgram
from ..state import WATCHED, default_dtype, is_grad_enabled, modes, past_watchers
from .derive import backward as derive_backward
from .derive import given as given_backward

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["Pointwise", "custom", "pointwise", "result_type_of"]

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


def result_strides(shape: Sequence[int], specs: Sequence[Spec]) -> tuple[int, ...] | None:
    """The strides of an elementwise result: those of its operands without gaps; None: row-major order."""
    full = [s for s in specs if s.ndim > 1]
    if all(s.dense for s in full):
        return None
    return dense_strides(shape, *[expand_strides(s.shape, s.strides, shape) for s in full])


class Pointwise(Op):
    """A record whose function is traced into a program.

    Attributes:
        result: the result's dtype from the common one: ``same``, ``float`` (integers become the default
            floating-point type), ``bool``, ``real``, ``complex``, or a function of the common dtype.
        raw: parameters that keep out of promotion (conditions).
        check: called with the common dtype; raises for dtypes that the op refuses.
        each: whether `check` sees every operand's dtype rather than the common one.
        guard: called with the second operand of integer calls; raises for values that the op refuses. Not on devices
            that would have to be waited for.
        vjp: gradients that are written down rather than derived, by parameter name: programs of
            ``(g, out, *arguments)``.
    """

    kind = "pointwise"
    casts_out = True

    def __init__(
        self,
        fn: Callable[..., Any],
        result: str | Callable[[dt.DType], dt.DType] = "same",
        raw: tuple[str, ...] = (),
        check: Callable[[str, dt.DType], None] | None = None,
        each: bool = False,
        guard: Callable[[str, Any], None] | None = None,
        differentiable: bool = True,
        **fields: Any,
    ) -> None:
        super().__init__(fn, **fields)
        self.result = result
        self.raw = raw
        self.check = check
        self.each = each
        self.guard = guard
        self.differentiable = differentiable and result != "bool"
        self.patterns: dict[Any, Pattern] = {}

    def read_other(self, p: Param, v: Any, key: list[Any], tensors: list[Any], numbers: list[Any]) -> None:
        """Numbers are given at run time, except those that have their defaults: they are built into the program."""
        if (v is None and p.default is None) or (p.kind == "number" and v is p.default):
            key.append(None)
            return
        if type(v) not in NUMBERS:
            v = self.as_number(p, v)
        if p.kind == "number" and v == p.default:
            key.append(None)
            return
        numbers.append(v)
        key.append(type(v))

    def as_number(self, p: Param, v: Any) -> Any:
        """A number of another library as a Python number."""
        item = getattr(v, "item", None)
        if item is not None and getattr(v, "shape", None) == () and p.kind != "tensor":
            v = item()
        if type(v) not in NUMBERS:
            self.refuse(p, v)
        return v

    def on_one_device(self, values: list[Any], tensors: list[Any]) -> tuple[list[Any], bool]:
        """0-d CPU tensors go to the device of the others; anything else must agree."""
        devices = {t.spec.device for t in tensors}
        if len(devices) < 2:
            return values, False
        target = next((t.spec.device for t in tensors if t.spec.ndim or t.spec.device.type != "cpu"), None)
        moved = [
            v.to(target)
            if p.is_tensor and hasattr(v, "spec") and not v.spec.ndim and v.spec.device.type == "cpu"
            else v
            for p, v in zip(self.params, values, strict=True)
        ]
        self.common_device(
            [v for p, v in zip(self.params, moved, strict=True) if p.is_tensor and hasattr(v, "spec")]
        )
        return moved, True

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

    def prepare(self, values: list[Any], tensors: list[Any], into: Spec | None = None) -> Plan:
        """Promotion, broadcasting, checks and the program for these specs; ``into``: to be written over the first."""
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
            seen = [*[s.dtype for s in counted], *map(number_dtype, numbers)] if self.each else [common]
            for d in seen:
                self.check(self.name, d)
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
            check_shape(self.name + "_", shape, into.shape)
            check_cast(self.name + "_", out_dtype, into.dtype)
            out = into
        else:
            out = spec_of(out_dtype, shape, specs[0].device, result_strides(shape, specs))
        typed = pattern.program.typed(
            [s.dtype for s in specs], (out.dtype,), common, raw, (), default_dtype()
        )
        recorded = self.differentiable and out.dtype.rank > 1
        run = run_program(typed, out, specs, pattern.shape.count("s"), into is not None)
        if self.guard is not None and common.rank < 2 and not registry.backend_of(out.device).asynchronous:
            run = self.guarded(run, pattern.shape)
        return Plan(self.name, run, pattern if recorded else None, specs, (out,))

    def guarded(self, run: Callable[..., Any], shape: tuple[Any, ...]) -> Callable[..., Any]:
        """A run of a program after a look at the second operand."""
        first = shape[0] == shape[1]
        at = int(first) if shape[1] == "t" else shape.count("t") + first
        guard: Any = self.guard

        def careful(*given: Any) -> Any:
            guard(self.name, given[at])
            return run(*given)

        return careful


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

    def kind_of(self, plan: Plan, needs: int) -> tape.Kind | bool:
        """What nodes of a prepared call have in common when the inputs of these bits want a gradient."""
        found = [(k, d) for k in range(needs.bit_length()) if needs >> k & 1 and (d := self.gradient(k))]
        reads = {r for _, (_, reads) in found for r in reads}
        ins = sorted(r for r in reads if r >= 0)
        slots = {r: at for at, r in enumerate([*ins, -1])}
        steps: list[Any] = []
        for k, (derived, read) in found:
            dtype = plan.specs[k].dtype  # type: ignore[union-attr]
            steps.append((k, derived, [slots[r] for r in read], dtype, {}))
        return tape.Kind(self, plan.specs, plan.outs, (steps, slots[-1]), ins, (0,) if -1 in reads else ())

    def gradients(self, node: tape.Node, gs: list[Any]) -> list[Any]:
        """Run the derived programs that are needed."""
        steps, last = node.kind.attrs
        g = gs[0]
        create = is_grad_enabled()
        out: list[Any] = [None] * len(node.edges)
        for k, derived, slots, dtype, known in steps:
            args: list[Any] = [
                g,
                *[tape.unpack(node, at) if at < last else tape.unpack_output(node, at, 0) for at in slots],
            ]
            if create or WATCHED:
                out[k] = derived.call(args, node.values, dtype)
                continue
            # The saved tensors' specs and the numbers' types are those of the plan: only the gradient's vary.
            plan = known.get(g.spec)
            if plan is None:
                if g.spec.flipped:
                    args[0] = g = resolved(g)
                plan = known[g.spec] = derived.plan(args, node.values, dtype)
            out[k] = plan.run(*args, *node.values)
        return out


def run_program(
    typed: TypedProgram, out: Spec, specs: Sequence[Spec], numbers: int = 0, into: bool = False
) -> Callable[..., Any]:
    """A function that runs a program with one result for tensors of these specs and then numbers."""
    backend = registry.backend_of(out.device)
    ins = [
        s
        if s.shape == out.shape
        else spec_of(s.dtype, out.shape, s.device, expand_strides(s.shape, s.strides, out.shape))
        for s in specs
    ]

    def body(outs: Any, ins: Any, numbers: Any) -> None:
        backend.run_program(typed, outs, ins, typed.fit(numbers))

    run = prepared(backend, "run_program", body, (out,), ins, {"program": typed}, into=into, scalars=numbers)
    assert run is not None
    return run


_writers = Table()


def write_program(typed: TypedProgram, out: Tensor, numbers: Sequence[Any]) -> Tensor:
    """Fill a tensor by a program without inputs, outside the tape."""
    key = (typed, out.spec)
    launch = _writers.get(key)
    if launch is None:
        unflipped(out.spec, "fill")
        launch = _writers.keep(key, writer(typed, out.spec))
    if out.spec.numel:
        launch(out, *numbers)
    return out


def writer(typed: TypedProgram, spec: Spec) -> Callable[..., None]:
    """A function that runs a program without inputs over a tensor of a spec."""
    backend = registry.backend_of(spec.device)
    launch = backend.plan("run_program", (spec,), (), {"program": typed}) if backend.addressed else None

    def write(out: Any, *numbers: Any) -> None:
        if launch is not None:
            launch(out.ptr, *numbers)
        else:
            backend.run_program(typed, (out,), (), typed.fit(numbers))

    return write


class Derived:
    """A derivative as an op: its program is known, its inputs are the gradient and what the rule reads."""

    kind = "derived"

    def __init__(self, name: str, program: Program, raw: frozenset[int]) -> None:
        self.name = name
        self.program = program
        self.raw = raw
        self.plans = Table()
        self.given: dict[int, Expr] = {}
        self.derived: dict[int, tuple[Derived, tuple[int, ...]] | None] = {}

    gradient = Pattern.gradient
    kind_of = Pattern.kind_of
    gradients = Pattern.gradients

    def call(self, tensors: list[Any], numbers: Sequence[Any], dtype: dt.DType) -> Any:
        """Run it, seen by interceptors, and record it where recording is on."""
        if WATCHED and modes.watchers:
            return past_watchers(self, self.call, (tensors, numbers, dtype), {})
        tensors = [resolved(t) for t in tensors]
        key = (dtype, *[t.spec for t in tensors], *map(type, numbers))
        plan = self.plans.get(key) or self.plans.keep(key, self.plan(tensors, numbers, dtype))
        out = plan.run(*tensors, *numbers)
        if tape.will_record(tensors):
            tape.record(plan, tensors, numbers, out)
        return out

    def plan(self, tensors: list[Any], numbers: Sequence[Any], dtype: dt.DType) -> Plan:
        """Prepare it for tensors like these; ``dtype`` is that of the input whose gradient it is."""
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
        out = spec_of(typed.outs[0], shape, specs[0].device)
        return Plan(self.name, run_program(typed, out, specs, len(numbers)), self, specs, (out,))


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
        if p.kind == "attr" and p.default is Param.NONE:
            p.kind = "operand"
        elif p.kind == "attr" and type(p.default) in NUMBERS:
            p.kind = "number"
    op.settle()
    return op


def pointwise(**fields: Any) -> Callable[[Callable[..., Any]], Pointwise]:
    """Decorator: the function is the elementwise program of an op. Fields: see `Pointwise` and `Op`."""

    def make(fn: Callable[..., Any]) -> Pointwise:
        op = register(Pointwise, fn, **fields)
        assert isinstance(op, Pointwise)
        return op

    return make
