"""Pointwise ops: records whose body is an elementwise program; gradients are derived from it.

Promotion, broadcasting and the choice of the result's dtype happen here, once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import dtypes as dt
from .. import registry
from ..errors import refuse
from ..inplace import check_cast, check_shape
from ..layout import Spec, broadcast_shapes, dense_strides, expand_strides, spec_of
from ..op import NUMBERS, Op, Param, register, unflipped
from ..plan import Plan, Table
from ..program import TypedProgram
from ..state import default_dtype
from .patterns import Pattern, number_dtype, result_type_of, run_program

if TYPE_CHECKING:
    from .._tensor import Tensor

__all__ = ["Pointwise", "custom", "pointwise", "result_type_of"]


def result_strides(shape: Sequence[int], specs: Sequence[Spec]) -> tuple[int, ...] | None:
    """The strides of an elementwise result: those of its operands without gaps; None: row-major order."""
    full = [s for s in specs if s.ndim > 1]
    if all(s.dense for s in full):
        return None
    return dense_strides(shape, *[expand_strides(s.shape, s.strides, shape) for s in full])


_RESULTS: dict[str, Callable[[dt.DType], dt.DType]] = {
    "same": lambda d: d, "float": lambda d: d, "bool": lambda d: dt.bool_,
    "real": dt.DType.to_real, "complex": dt.DType.to_complex,
}  # fmt: skip


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
        moved = list(values)
        for k in self.tensor_at:
            spec = getattr(values[k], "spec", None)
            if spec is not None and not spec.ndim and spec.device.type == "cpu":
                moved[k] = values[k].to(target)
        self.common_device([moved[k] for k in self.tensor_at if hasattr(moved[k], "spec")])
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
        ins = [s.dtype for s in specs]
        if not specs:
            do = "Wrap one with flambeau.tensor()."
            refuse(self.name, "needs at least one Tensor: got only numbers", do=do, error=TypeError)
        roles = [p for p, s in zip(self.params, pattern.shape, strict=True) if s == "t"]
        given = zip(self.params, pattern.shape, values, strict=True)
        numbers = [type(v) for p, s, v in given if s == "s" and p.is_tensor and p.name not in self.raw]
        counted = [s for s, p in zip(specs, roles, strict=True) if p.name not in self.raw]
        common = result_type_of(counted, numbers) if counted or numbers else specs[0].dtype
        result = self.result
        if result in ("float", "complex") and common.rank < 2:
            common = default_dtype()
        if self.check is not None:
            seen = [*[s.dtype for s in counted], *map(number_dtype, numbers)] if self.each else [common]
            for d in seen:
                self.check(self.name, d)
        if result == "natural":
            made = pattern.program.typed(ins, None, common, default=default_dtype()).outs[0]
            out_dtype = common if made.rank == common.rank == 2 else made
        else:
            out_dtype = result(common) if callable(result) else _RESULTS[result](common)
        shape = broadcast_shapes(*[s.shape for s in specs], op=self.name)
        raw = frozenset(k for k, p in enumerate(roles) if p.name in self.raw)
        if into is not None:
            check_shape(self.name + "_", shape, into.shape)
            check_cast(self.name + "_", out_dtype, into.dtype)
            out = into
        else:
            out = spec_of(out_dtype, shape, specs[0].device, result_strides(shape, specs))
        typed = pattern.program.typed(ins, (out.dtype,), common, raw, default=default_dtype())
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
