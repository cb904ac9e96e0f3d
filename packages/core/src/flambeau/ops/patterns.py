"""What elementwise records become for their arguments: traced programs, and their derivatives as ops.

A record is traced once for each combination of tensors, run-time numbers and built-in values; the gradient of what was
traced is a program too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from .. import dtypes as dt
from .. import registry, tape
from ..layout import Spec, broadcast_shapes, expand_strides, spec_of
from ..plan import Plan, Table, prepared, resolved
from ..program import Expr, Program, TypedProgram
from ..state import WATCHED, default_dtype, is_grad_enabled, modes, past_watchers
from .derive import backward as derive_backward
from .derive import given as given_backward

if TYPE_CHECKING:
    from .pointwise import Pointwise

__all__ = ["Derived", "Pattern", "number_dtype", "result_type_of", "run_program"]

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
    groups = (
        [s.dtype for s in specs if s.ndim], [s.dtype for s in specs if not s.ndim], list(map(number_dtype, numbers)),
    )  # fmt: skip
    out, *lower = [reduce(dt.promote_types, group) for group in groups if group]
    for d in lower:
        if d.rank > out.rank:
            out = out.to_complex() if out.rank == 2 else dt.promote_types(out, d)
    return out


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


def _expanded(s: Spec, shape: Sequence[int]) -> Spec:
    return spec_of(s.dtype, shape, s.device, expand_strides(s.shape, s.strides, shape))


def run_program(
    typed: TypedProgram, out: Spec, specs: Sequence[Spec], numbers: int = 0, into: bool = False
) -> Callable[..., Any]:
    """A function that runs a program with one result for tensors of these specs and then numbers."""
    backend = registry.backend_of(out.device)
    ins = [s if s.shape == out.shape else _expanded(s, out.shape) for s in specs]

    def body(outs: Any, ins: Any, numbers: Any) -> None:
        backend.run_program(typed, outs, ins, typed.fit(numbers))

    run = prepared(backend, "run_program", body, (out,), ins, {"program": typed}, into=into, scalars=numbers)
    assert run is not None
    return run


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
        want = dtype if dtype.is_complex or not common.is_complex else common
        ins = [s.dtype for s in specs]
        typed = self.program.typed(ins, (want,), common, raw, default=default_dtype())
        out = spec_of(typed.outs[0], shape, specs[0].device)
        return Plan(self.name, run_program(typed, out, specs, len(numbers)), self, specs, (out,))
