"""Making tensors: uninitialised, filled, counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from .. import dtypes as dt
from .._tensor import Tensor
from ..devices import Device
from ..errors import message, refuse
from ..layout import format_strides, spec_of, strides_in
from ..op import NUMBERS, composite
from ..plan import Table, fresh, new_tensor, tensor_on
from ..program import Expr, Number, Program, call
from ..registry import OPS
from ..state import default_device, default_dtype
from .patterns import number_dtype, result_type_of
from .pointwise import write_program, writer
from .views import ints


def _sizes(op: str, size: Any) -> tuple[int, ...]:
    try:
        sizes = ints(size)
    except TypeError:
        raise TypeError(message(op, "size must be ints", size=size)) from None
    if any(s < 0 for s in sizes):
        raise RuntimeError(f"[{op}] Trying to create tensor with negative dimension: got size {list(sizes)}.")
    return sizes


#: The parameters `op.CREATION`, in the signature of a record: what a new tensor is made of, and where.
Creation = Any


def make(
    op: str,
    size: Any,
    value: Any = None,
    like: Tensor | None = None,
    *,
    dtype: dt.DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
    memory_format: Any = None,
    strides: tuple[int, ...] | None = None,
) -> Tensor:
    """A new tensor.

    Args:
        op: who makes it, for messages.
        size: its shape; None: that of ``like``, and its order of dimensions too.
        value: the number to fill it with (default: uninitialised).
        like: where dtype and device come from that aren't given (default: from the settings).
    """
    place = default_device() if device is None and like is None else device
    spec = None if like is None else like.spec
    key = size, value, type(value), spec, dtype, place, memory_format, strides
    plain = size is None or type(size) is int or (isinstance(size, tuple) and {*map(type, size)} <= _INT)
    plain = plain and (value is None or type(value) in NUMBERS)
    new = _made.get(key) if plain else None
    if new is None:
        new = _maker(op, size, value, spec, dtype, place, memory_format, strides)
        if plain:
            _made.keep(key, new)
    t: Tensor = new()
    return t.requires_grad_() if requires_grad else t


def _maker(
    op: str, size: Any, value: Any, like: Any, dtype: Any, device: Any, memory_format: Any, strides: Any
) -> Callable[[], Any]:
    """What `make` does for these arguments, as a function."""
    dtype = dtype or (default_dtype() if like is None else like.dtype)
    place = like.device if device is None else Device(device)
    if size is None and like is not None:
        shape: Any = like.shape
        strides = format_strides(op, like, memory_format)
    else:
        shape = _sizes(op, size)
        if memory_format is not None:
            strides = format_strides(op, spec_of(dtype, shape, place), memory_format)
    empty = fresh(spec_of(dtype, shape, place, strides))
    if value is None:
        return empty
    # 0 and 1 are numbers of any dtype.
    known = type(value) is int and 0 <= value <= 1
    number = (bool, int, float, complex)[dtype.rank](value) if known else check_number(op, value, dtype)
    return lambda: fill_with(empty(), number)


def fill_with(t: Tensor, value: Any) -> Tensor:
    """Write one number everywhere, outside the tape."""
    spec = t.spec
    fill = _fills.get(spec)
    if fill is None:
        typed = _FILL.typed((), (spec.dtype,), None, frozenset(), (_holder(spec.dtype),))
        fill = _fills.keep(spec, writer(typed, spec))
    if spec.numel:
        fill(t, value)
    return t


def _ramp(hold: dt.DType) -> Program:
    """start + step * i."""
    return Program([call("iota").to(hold) * Expr("scalar", (), 1) + Expr("scalar", (), 0)], 0, 2)


def _between() -> Program:
    """Evenly spaced numbers, counted from the nearer end, so that both ends are exact."""
    i = call("iota").to(dt.float64)
    a, b, d, n = (Expr("scalar", (), k) for k in range(4))
    return Program([call("where", call("lt", i, (n / 2).floor()), a + i * d, b - (n - 1 - i) * d)], 0, 4)


#: Functions that make tensors, by what `make` is told of them.
_made = Table()
_INT = {int}
_fills = Table()
_FILL = Program([Expr("scalar", (), 0)], 0, 1)
_RAMP = {hold: _ramp(hold) for hold in (dt.int64, dt.float64)}
_BETWEEN = _between()


def _holder(d: dt.DType) -> dt.DType:
    """The dtype in which a scalar for a tensor of a dtype is passed."""
    return dt.float32 if d in (dt.float16, dt.bfloat16) else d


_finfo = lru_cache(16)(dt.finfo)


def _overflow(op: str, value: Any, d: dt.DType) -> RuntimeError:
    return RuntimeError(f"[{op}] value cannot be converted to type {d.name} without overflow: got {value}.")


def check_number(op: str, value: Any, d: dt.DType) -> Any:
    """A number as one of a dtype.

    Raises:
        TypeError: not a number.
        RuntimeError: it doesn't fit into the dtype.
    """
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if type(value) not in (bool, int, float, complex):
        refuse(op, "fill value must be a number", value=value, error=TypeError)
    if d.is_complex:
        return complex(value)
    if d is dt.bool_:
        return bool(value)
    if type(value) is complex:
        if value.imag:
            refuse(op, f"value {value} cannot be converted to {d.name} without losing its imaginary part")
        value = value.real
    if d.is_floating_point:
        if math.isfinite(value) and abs(value) > _finfo(d).max:
            raise _overflow(op, value, d)
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise _overflow(op, value, d)
    limits = dt.iinfo(d)
    # Negative integers wrap in unsigned types.
    if not (limits.min or (0 if type(value) is float else -limits.max)) <= int(value) <= limits.max:
        raise _overflow(op, value, d)
    return int(value) if limits.min else int(value) % (limits.max + 1)


@composite(method=False)
def empty(size: Sequence[int], *, memory_format: Any = None, **made: Creation) -> Tensor:
    """An uninitialised tensor.

    Args:
        size: the shape, as ints or a sequence.
        dtype: the element type (default: the default dtype).
        device: where (default: the default device).
        requires_grad: whether to record what is computed with it.
    """
    return make("empty", size, memory_format=memory_format, **made)


@composite(method=False)
def empty_strided(size: Sequence[int], stride: Sequence[int], **made: Creation) -> Tensor:
    """An uninitialised tensor with given strides."""
    return _strided(size, stride, None, **made)


def _strided(size: Any, stride: Any, like: Tensor | None, requires_grad: bool = False, **made: Any) -> Tensor:
    shape, steps = _sizes("empty_strided", size), ints(stride)
    flat = make("empty_strided", (1,), None, like, **made).spec
    seen = spec_of(flat.dtype, shape, flat.device, steps)
    t = tensor_on(new_tensor(flat.like(shape=(seen.extent()[1] + 1,))).mem, seen)
    return t.requires_grad_() if requires_grad else t


@composite(method=False)
def full(size: Sequence[int], fill_value: Number, **made: Creation) -> Tensor:
    """A tensor with one value everywhere; its dtype follows the value where not given.

    >>> import flambeau as fb
    >>> fb.full((2,), 7)
    tensor([7, 7])
    """
    if made.get("dtype") is None:
        item = fill_value.item() if hasattr(fill_value, "item") else fill_value
        made["dtype"] = number_dtype(type(item)) if type(item) in NUMBERS else default_dtype()
    return make("full", size, fill_value, **made)


@composite(method=False)
def zeros(size: Sequence[int], **made: Creation) -> Tensor:
    """A tensor of zeros."""
    return make("zeros", size, 0, **made)


@composite(method=False)
def ones(size: Sequence[int], **made: Creation) -> Tensor:
    """A tensor of ones."""
    return make("ones", size, 1, **made)


@composite(method=False)
def empty_like(self: Tensor, *, memory_format: Any = None, **made: Creation) -> Tensor:
    """An uninitialised tensor of another's shape."""
    return make("empty_like", None, None, self, memory_format=memory_format, **made)


@composite(method=False)
def full_like(self: Tensor, fill_value: Number, *, memory_format: Any = None, **made: Creation) -> Tensor:
    """A tensor of another's shape and dtype with one value everywhere."""
    return make("full_like", None, fill_value, self, memory_format=memory_format, **made)


@composite(method=False)
def zeros_like(self: Tensor, *, memory_format: Any = None, **made: Creation) -> Tensor:
    """Zeros of another's shape and dtype."""
    return make("zeros_like", None, 0, self, memory_format=memory_format, **made)


@composite(method=False)
def ones_like(self: Tensor, *, memory_format: Any = None, **made: Creation) -> Tensor:
    """Ones of another's shape and dtype."""
    return make("ones_like", None, 1, self, memory_format=memory_format, **made)


@composite(function=False)
def new_empty(self: Tensor, size: Sequence[int], **made: Creation) -> Tensor:
    """An uninitialised tensor of this one's dtype and device."""
    return make("new_empty", size, None, self, **made)


@composite(function=False)
def new_full(self: Tensor, size: Sequence[int], fill_value: Number, **made: Creation) -> Tensor:
    """A filled tensor of this one's dtype and device."""
    return make("new_full", size, fill_value, self, **made)


@composite(function=False)
def new_zeros(self: Tensor, size: Sequence[int], **made: Creation) -> Tensor:
    """Zeros of this one's dtype and device."""
    return make("new_zeros", size, 0, self, **made)


@composite(function=False)
def new_ones(self: Tensor, size: Sequence[int], **made: Creation) -> Tensor:
    """Ones of this one's dtype and device."""
    return make("new_ones", size, 1, self, **made)


@composite(function=False, export="new_tensor")
def new_tensor_from(self: Tensor, data: Any, **made: Creation) -> Tensor:
    """A tensor from data, of this one's dtype and device."""
    from .interop import tensor

    place, dtype = made.get("device"), made.get("dtype") or self.spec.dtype
    where = self.spec.device if place is None else place
    return tensor(data, dtype=dtype, device=where, requires_grad=bool(made.get("requires_grad")))


class _StepZero(RuntimeError, ValueError):
    """PyTorch raises one or the other, depending on how the step came to be zero."""


def _ends(op: str, dtype: dt.DType, *ends: Any) -> tuple[Any, ...]:
    """Bounds as Python numbers.

    Raises:
        NotImplementedError: the dtype is bool (PyTorch's exception type for a dtype that an op refuses).
        RuntimeError: the dtype can't hold them.
    """
    if dtype is dt.bool_:
        raise NotImplementedError(f"[{op}] \"{op}\" not implemented for 'bool'. Give a dtype of numbers.")
    ends = tuple(v.item() if hasattr(v, "item") else v for v in ends)
    for v in ends:
        if isinstance(v, complex) and not dtype.is_complex:
            raise RuntimeError(f"[{op}] {v} can't be safely cast to {dtype.name}. Give another dtype.")
    return tuple(check_number(op, v, dtype) for v in ends) if dtype.rank < 2 and op != "arange" else ends


@composite(method=False)
def arange(start: Number, end: Number | None = None, step: Number = 1, **made: Creation) -> Tensor:
    """Numbers from ``start`` up to, not including, ``end``.

    Raises:
        RuntimeError: a step of 0, or one that leads away from ``end``.

    >>> import flambeau as fb
    >>> fb.arange(1, 10, 4)
    tensor([1, 5, 9])
    """
    first, last, by = _ends("arange", made.get("dtype") or dt.float64, start, end, step)
    if last is None:
        first, last = 0, first
    floats = any(isinstance(v, float) for v in (first, last, by))
    if floats and not all(map(math.isfinite, (first, last, by))):
        raise RuntimeError(f"[arange] unsupported range: got {first} to {last} by {by}. Use finite numbers.")
    dtype = made.pop("dtype", None) or (default_dtype() if floats else dt.int64)
    if dtype is dt.int64:
        first, last, by, floats = int(first), int(last), int(by), False
    if by == 0:
        raise _StepZero(f"[arange] step must be nonzero: got {step}.")
    if (by > 0) != (last >= first) and last != first:
        wrong = f"upper bound and lower bound inconsistent with step sign: got {first} to {last} by {by}"
        refuse("arange", wrong)
    n = max(0, math.ceil((last - first) / by)) if floats else max(0, -((first - last) // by))
    out = make("arange", (int(n),), dtype=dtype, **made)
    hold = dt.float64 if dtype.rank > 1 else dt.int64
    conv: Any = float if dtype.rank > 1 else int
    typed = _RAMP[hold].typed((), (dtype,), None, frozenset(), (hold, hold))
    return write_program(typed, out, (conv(first), conv(by)))


@composite(method=False)
def linspace(start: Number, end: Number, steps: int, **made: Creation) -> Tensor:
    """``steps`` numbers evenly spaced from ``start`` to ``end``, both included."""
    dtype = made.pop("dtype", None) or number_dtype(complex if complex in (type(start), type(end)) else float)
    start, end = _ends("linspace", dtype, start, end)
    if not isinstance(steps, int):
        raise TypeError(f"[linspace] steps must be an int: got {type(steps).__name__} {steps}.")
    if steps < 0:
        raise RuntimeError(f"[linspace] number of steps must be non-negative: got {steps}.")
    if complex in (type(start), type(end)):
        grad = made.pop("requires_grad", False)
        parts = [(complex(start).real, complex(end).real), (complex(start).imag, complex(end).imag)]
        z: Tensor = OPS["complex"](*[linspace(*ends, steps, dtype=dtype.to_real(), **made) for ends in parts])
        return z.requires_grad_() if grad else z
    out = make("linspace", (steps,), dtype=dtype, **made)
    if steps == 1:
        end = start
    step = (end - start) / (steps - 1) if steps > 1 else 0.0
    typed = _BETWEEN.typed((), (dtype,), None, frozenset(), (dt.float64,) * 4)
    return write_program(typed, out, (float(start), float(end), float(step), float(steps)))  # type: ignore[arg-type]


@composite(method=False)
def logspace(start: Number, end: Number, steps: int, base: float = 10.0, **made: Creation) -> Tensor:
    """``steps`` powers of a base, their exponents evenly spaced from ``start`` to ``end``, both included."""
    grad = made.pop("requires_grad", False)
    d = made.pop("dtype", None) or number_dtype(complex if complex in (type(start), type(end)) else float)
    start, end = _ends("logspace", d, start, end)
    wide = dt.complex128 if d.is_complex else dt.float64
    powers: Tensor = OPS["pow"](float(base), linspace(start, end, steps, dtype=wide, **made)).to(d)
    return powers.requires_grad_() if grad else powers


@composite(method=False)
def scalar_tensor(s: Number, **made: Creation) -> Tensor:
    """A 0-d tensor of one number."""
    return make("scalar_tensor", (), s, **made)


@composite(method=False)
def empty_permuted(size: Sequence[int], physical_layout: Sequence[int], **made: Creation) -> Tensor:
    """An uninitialised tensor without gaps whose dimensions lie in memory in a given order, outermost first."""
    sizes, order = _sizes("empty_permuted", size), ints(physical_layout)
    if len(sizes) != len(order):
        wrong = "Number of dimensions in size does not match the length of the physical_layout: got "
        wrong += f"{len(sizes)} and {len(order)}"
        refuse("empty_permuted", wrong)
    if any(not 0 <= d < len(sizes) for d in order):
        raise RuntimeError(f"[empty_permuted] Dimension out of range in physical_layout: got {list(order)}.")
    if len(set(order)) != len(order):
        raise RuntimeError(f"[empty_permuted] Duplicate dim not allowed: got physical_layout {list(order)}.")
    return _strided(sizes, strides_in(reversed(order), sizes), None, **made)


@composite(function=False)
def new_empty_strided(self: Tensor, size: Sequence[int], stride: Sequence[int], **made: Creation) -> Tensor:
    """An uninitialised tensor of this one's dtype and device, with given strides."""
    return _strided(size, stride, self, **made)


@composite(method=False)
def eye(n: int, m: int | None = None, **made: Creation) -> Tensor:
    """The identity matrix, of shape (n, m)."""
    out = make("eye", (n, n if m is None else m), 0, **made)
    on_it = out.detach().as_strided((min(out.shape),), (out.shape[1] + 1,))
    fill_with(on_it, check_number("eye", 1, out.dtype))
    return out


@composite(method=False)
def result_type(tensor1: Tensor | Number, tensor2: Tensor | Number) -> dt.DType:
    """The dtype in which two operands meet."""
    both = (tensor1, tensor2)
    return result_type_of(
        [t.spec for t in both if hasattr(t, "spec")], [type(t) for t in both if not hasattr(t, "spec")]
    )


__all__ = ["Creation", "check_number", "fill_with", "make"]
