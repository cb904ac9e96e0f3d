"""What the tensor class is given: methods, in-place forms and operators of all records, functions of other modules."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from . import registry
from ._tensor import Tensor
from .errors import message
from .ops.late import METHODS, LateMethod
from .state import GRAD_OFF, WATCHED, modes
from .tape import record

__all__ = ["COMPARISONS", "ELSEWHERE", "OPERATORS", "UNARY", "VIEWS", "install"]

#: Operator -> record; a leading "r" swaps the operands.
OPERATORS = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_divide", "mod": "remainder",
    "pow": "pow", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}  # fmt: skip
#: Methods that are functions too.
FUNCTIONS = (
    "as_strided_ detach detach_ get_device index_put_ is_inference is_nonzero is_same_size is_signed".split()
)
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
UNARY = {"neg": "neg", "abs": "abs", "invert": "bitwise_not"}
#: Property -> record; the last two can be assigned to.
VIEWS = {
    "T": "reversed_dims", "mT": "matrix_transpose", "H": "hermitian", "mH": "adjoint", "real": "real", "imag": "imag",
}  # fmt: skip
#: Methods that are functions of other modules, which are imported when they are needed.
ELSEWHERE = {
    "__array__": "ops.interop.array", "__array_namespace__": "ops.interop.array_namespace",
    "__array_wrap__": "ops.interop.array_wrap", "__deepcopy__": "copying.deepcopy",
    "__dlpack__": "ops.dlpack.to_dlpack", "__dlpack_device__": "ops.dlpack.dlpack_device",
    "__getitem__": "ops.indexing.getitem", "__reduce_ex__": "copying.reduce_ex", "__repr__": "printing.tensor_str",
    "__setitem__": "ops.indexing.setitem", "data_ptr": "ops.host.data_ptr", "is_pinned": "cuda.is_pinned",
    "item": "ops.host.item", "numpy": "ops.interop.to_numpy", "pin_memory": "cuda.pin_memory",
    "record_stream": "cuda.record_stream", "to": "ops.copies.to", "tolist": "ops.host.tolist",
    "type": "ops.copies.as_type",
}  # fmt: skip


class Elsewhere:
    """Stands on the class for a method until its first use, which puts the function there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, obj: Any, cls: Any = None) -> Any:
        module, _, function = ELSEWHERE[self.name].rpartition(".")
        setattr(Tensor, self.name, getattr(import_module(f".{module}", __package__), function))
        return getattr(cls if obj is None else obj, self.name)


def _inplace_method(op: Any, general: Callable[..., Any] | None = None) -> Callable[..., Any]:
    method: Callable[..., Any] = op.short_into(general)
    method.__name__, method.__doc__ = op.name + "_", f"In-place form of `{op.name}`."
    return method


def _reflected(op: Any) -> Callable[..., Any]:
    def swapped(self: Tensor, other: Any) -> Any:
        if not isinstance(self, Tensor):
            kind = AttributeError if op.name == "div" else TypeError
            raise kind(message(op.name, "a reflected operator's first argument must be a Tensor", self=self))
        return op.general(other, self)

    general, table = _operator(swapped), op.plans

    def method(self: Tensor, other: Any) -> Any:
        try:
            plan = None if WATCHED else table[type(other), self.spec]
        except (AttributeError, KeyError):
            plan = None
        if plan is None:
            return general(self, other)
        out = plan.run(self, other)
        if self.rg and (not GRAD_OFF or modes.grad):
            record(plan, (self,), (other,), out)
        return out

    return method


def _operator(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Let Python try the other operand's reflected form where ours can't take it."""

    def method(self: Tensor, other: Any) -> Any:
        if isinstance(other, (Tensor, int, float, complex)):
            return fn(self, other)
        if hasattr(other, "item") and getattr(other, "shape", None) == ():
            return fn(self, other.item())
        if hasattr(other, "__array__") and not hasattr(other, "spec"):
            from .ops.interop import as_tensor

            return fn(self, as_tensor(other, device=self.spec.device))
        return NotImplemented

    return method


def _view(op: Any, writable: bool) -> property:
    def write(self: Tensor, value: Any) -> None:
        op.fn(self)[...] = value

    return property(op.fn, write if writable else None, doc=op.fn.__doc__)


def _named(fn: Callable[..., Any], op: Any, name: str) -> Callable[..., Any]:
    fn.__name__, fn.__qualname__, fn.__doc__ = name, name, op.fn.__doc__
    fn.__wrapped__ = op.fn  # type: ignore[attr-defined]
    fn.op = op  # type: ignore[attr-defined]
    return fn


def _install(op: Any) -> None:
    """Give the class the methods and in-place forms of a record, and the top level its functions."""
    functions = registry.FUNCTIONS
    call = _named(op.short(), op, op.exports[0])
    for name in op.exports:
        if op.function:
            functions[name] = call
        if op.method and (type(vars(Tensor).get(name)) is LateMethod or not hasattr(Tensor, name)):
            setattr(Tensor, name, call)
        if op.inplace:
            setattr(Tensor, name + "_", _inplace_method(op))
            if op.function:
                functions[name + "_"] = getattr(Tensor, name + "_")


def install() -> dict[str, Callable[..., Any]]:
    """Give the class all that its records and the tables say; returns the functions of the top level by name."""
    records, functions = registry.OPS, registry.FUNCTIONS
    for op in records.values():
        _install(op)
    for py, name in OPERATORS.items():
        op = records[name]
        plain = _operator(functions[name]) if op.kind == "composite" else op.short(_operator(op))
        setattr(Tensor, f"__{py}__", plain)
        setattr(Tensor, f"__r{py}__", _reflected(op))
        if name != "matmul":
            setattr(Tensor, f"__i{py}__", _inplace_method(op, _operator(_inplace_method(op))))
    Tensor.__rdiv__ = Tensor.__rtruediv__  # type: ignore[attr-defined]
    for name in COMPARISONS:
        setattr(Tensor, f"__{name}__", records[name].short(_operator(records[name])))
    for py, name in UNARY.items():
        setattr(Tensor, f"__{py}__", functions[name])
    for name in FUNCTIONS:
        functions[name] = getattr(Tensor, name)
    for py, name in VIEWS.items():
        setattr(Tensor, py, _view(records[name], py in ("real", "imag")))
    for name in ELSEWHERE:
        setattr(Tensor, name, Elsewhere(name))
    for extra, names in METHODS.items():
        for name in names.split():
            setattr(Tensor, name, LateMethod(Tensor, name, extra))
    registry.INSTALLERS.append(_install)
    return functions
