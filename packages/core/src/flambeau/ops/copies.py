"""Copies: of the same values, with another dtype or on another device, over what is there, and of views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import dtypes as dt
from .. import registry
from .._tensor import Tensor
from ..devices import Device
from ..errors import refuse
from ..inplace import assign, check_writable, touched
from ..layout import FORMATS, Spec, format_strides, spec_of
from ..op import Call, composite, kernel, unflipped
from ..plan import new_tensor
from ..program import Number
from ..registry import OPS
from ..tape import Kind, edge_of, make_node, will_record
from . import complexes, shapes, slicing, splitting, views  # noqa: F401  (their records are read below)
from .creation import _sizes, check_number, fill_with, full

__all__ = ["clone", "contiguous", "to", "transfer"]


@kernel(public=False, name="copy_to", vjp={"self": lambda g: g})
def _copy_to(self: Spec, dtype: dt.DType, memory_format: Any = None) -> Any:
    return Call(_formatted("to", self, memory_format, dtype), "copy")


_cast = _copy_to.short()


@kernel(vjp={"self": lambda g: g})
def clone(self: Spec, *, memory_format: Any = None) -> Any:
    """A copy with memory of its own; gradients pass through.

    Args:
        self: any tensor.
        memory_format: ``preserve_format`` (the default: the order of dimensions in memory is kept),
            ``contiguous_format`` (row-major), ``channels_last`` or ``channels_last_3d``.
    """
    return Call(_formatted("clone", self, memory_format), "copy")


def _formatted(op: str, s: Any, memory_format: Any, dtype: Any = None) -> Any:
    strides = format_strides(op, s, memory_format)
    return spec_of(dtype or s.dtype, s.shape, s.device, strides)


@composite(function=False)
def contiguous(self: Tensor, *, memory_format: Any = "contiguous_format") -> Tensor:
    """Itself if its elements lie in the order of a memory format without gaps, a copy otherwise.

    Args:
        self: any tensor.
        memory_format: ``contiguous_format`` (row-major), ``channels_last`` or ``channels_last_3d``.
    """
    return self if self.is_contiguous(memory_format) else clone(self, memory_format=memory_format)


class _Transfer:
    """Gradient rules of a copy between devices: the gradient travels back."""

    name = "to_copy"

    def gradients(self, node: Any, gs: list[Any]) -> list[Any]:
        """Back to the device that the data came from."""
        return [to(gs[0], node.kind.specs[0].device)]


_TRANSFER = _Transfer()


def transfer(t: Tensor, device: Device, later: bool = False) -> Tensor:
    """A dense copy on another device; ``later``: the host needn't wait for it."""
    source = registry.backend_of(t.spec.device)
    target = registry.backend_of(device)
    dense = t if t.spec.dense else clone(t, memory_format="contiguous_format")
    spec = spec_of(t.spec.dtype, t.spec.shape, device)
    out = new_tensor(spec)
    if spec.nbytes and device.type != "meta":
        at = dense.offset * spec.itemsize
        if source is target and not at:
            source.copy_across(out.mem.handle, dense.mem.handle, spec.nbytes)
        else:
            seen = source.host_buffer(dense.mem) if source.host_visible else None
            data = (
                source.copy_out(dense.mem.handle, at, spec.nbytes)
                if seen is None
                else seen[at : at + spec.nbytes]
            )
            (target.copy_in_later if later else target.copy_in)(out.mem.handle, 0, data)
    if will_record((t,)):
        out.node = make_node(Kind(_TRANSFER, [t.spec], (spec,)), [edge_of(t)])
        out.rg = True
    return out


def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Another dtype or device: ``to(dtype)``, ``to(device)``, ``to(device, dtype)`` or ``to(other)``.

    Returns itself where nothing changes, unless ``copy=True``.
    """
    if len(args) == 1 and not kwargs:
        if type(args[0]) is dt.DType:
            return self if args[0] is self.spec.dtype else _cast(self, args[0])
        if isinstance(args[0], (Device, str)) and Device(args[0]) is self.spec.device:
            return self
    dtype, device = kwargs.get("dtype"), kwargs.get("device")
    copy, memory_format = bool(kwargs.get("copy", False)), kwargs.get("memory_format")
    flags: list[bool] = []
    unknown = set(kwargs) - {"dtype", "device", "copy", "non_blocking", "memory_format", "other"}
    if unknown:
        raise TypeError(f"[to] got an unexpected keyword argument '{sorted(unknown)[0]}'.")
    for a in (*args, *([kwargs["other"]] if "other" in kwargs else [])):
        if isinstance(a, dt.DType):
            dtype = a
        elif isinstance(a, (Device, str)):
            device = a
        elif hasattr(a, "spec"):
            dtype, device = a.spec.dtype, a.spec.device
        elif isinstance(a, bool):
            flags.append(a)
        elif isinstance(a, int):
            device = a
        elif a is not None:
            refuse("to", "takes a dtype, a device or a tensor", argument=a, error=TypeError)
    t = self
    if device is not None:
        target = Device(device).home
        if target is not t.spec.device:
            registry.backend_of(target)
            t = transfer(t, target, bool(kwargs.get("non_blocking")) or flags[:1] == [True])
    if dtype is not None and dtype is not t.spec.dtype:
        return _copy_to(t, dtype, memory_format)  # type: ignore[no-any-return]
    copy = copy or flags[1:2] == [True]  # positional: non_blocking, copy
    own = next((f for f in FORMATS if not t.spec.dense and t.is_contiguous(f)), "contiguous_format")
    reorder = memory_format not in (None, "preserve_format", own)
    return clone(t, memory_format=memory_format) if reorder or (copy and t is self) else t


#: The names of dtypes in PyTorch's type strings.
_TYPES = dict(zip(dt.DTYPES, (
    "Bool Byte UInt16 UInt32 UInt64 Char Short Int Long Half BFloat16 Float Double ComplexFloat ComplexDouble"
).split(), strict=True))  # fmt: skip


def as_type(t: Tensor, dtype: Any = None) -> Any:
    """The dtype as PyTorch's type string, or converted to a dtype."""
    if dtype is None:
        return f"flambeau.{_TYPES[t.spec.dtype]}Tensor"
    if isinstance(dtype, str):
        name = dtype.rpartition(".")[2].removesuffix("Tensor")
        dtype = next((d for d in dt.DTYPES if _TYPES[d] == name), dtype)
    return to(t, dtype)


def _conversion(name: str, d: dt.DType) -> None:
    def fn(self: Tensor, memory_format: Any = None) -> Tensor:
        return to(self, d) if memory_format is None else to(self, d, memory_format=memory_format)

    fn.__doc__ = f"Converted to {d.name}."
    composite(name=name + "_cast", export=name, function=False)(fn)


for _name, _dtype in (
    dt.ALIASES | {"bool": dt.bool_, "byte": dt.uint8, "char": dt.int8, "bfloat16": dt.bfloat16}
).items():
    _conversion(_name, _dtype)


# Writing in place


@composite(function=False, name="copy_from", export="copy_")
def _copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Overwrite with another tensor's values, broadcast and converted."""
    if not hasattr(src, "spec"):
        src = full((), src, dtype=self.dtype, device=self.device)
    return assign(self, src, "copy_")


@composite(inplace=False, name="fill_all", export="fill_")
def _fill_(self: Tensor, value: Tensor | Number) -> Tensor:
    """Overwrite with one number."""
    if hasattr(value, "spec"):
        if value.spec.ndim:
            refuse("fill_", "fill_ only supports 0-dimension value tensor", value=value)
        filled: Any = value
        return assign(self, filled, "fill_")
    number = check_number("fill_", value, self.spec.dtype)
    if self.rg or self.base is not None or self.spec.flipped:
        return assign(self, full((), number, dtype=self.spec.dtype, device=self.spec.device), "fill_")
    check_writable(self, "fill_")
    fill_with(self, number)
    touched("fill_", self)
    return self


@composite()
def fill(self: Tensor, value: Tensor | Number) -> Tensor:
    """A tensor of the same shape filled with one number."""
    return self.clone().fill_(value)


@composite(function=True, name="zero_all", export="zero_")
def _zero_(self: Tensor) -> Tensor:
    """Overwrite with zeros."""
    return _fill_.fn(self, 0)  # type: ignore[no-any-return]


@composite(name="resize_memory", export="resize_")
def _resize_(self: Tensor, size: Sequence[int], memory_format: Any = None) -> Tensor:
    """Another shape in place; new elements are uninitialised, memory grows where needed."""
    unflipped(self.spec, "resize_")
    spec = spec_of(self.spec.dtype, _sizes("resize_", size), self.spec.device)
    if self.rg:
        raise RuntimeError(
            "[resize_] cannot resize variables that require grad. Use reshape, or detach it first."
        )
    if self.offset * spec.itemsize + spec.nbytes > self.mem.nbytes:
        grown = new_tensor(spec)
        keep = min(self.spec.numel, spec.numel)
        if keep and self.spec.dense:
            part = spec_of(spec.dtype, (keep,), spec.device)
            registry.backend_of(spec.device).copy(
                Tensor(part, grown.mem, grown.ptr, 0), Tensor(part, self.mem, self.ptr, self.offset)
            )
        self.mem, self.ptr, self.offset = grown.mem, grown.ptr, 0
    self.spec = spec
    touched("resize_", self)
    return self


# What gives views, giving copies instead


def _copies(result: Any) -> Any:
    return tuple(part.clone() for part in result) if isinstance(result, tuple) else result.clone()


def _copy_of(name: str) -> None:
    op = OPS[{"as_strided": "as_strided_view"}.get(name, name)]

    def fn(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return _copies(op(self, *args, **kwargs))
        except IndexError as e:  # of narrow_copy PyTorch's type for dimensions beyond the last is another
            beyond = name == "narrow" and args and args[0] >= self.ndim
            raise (RuntimeError(str(e)) if beyond else e) from None

    fn.__doc__ = f"What `{name}` gives, as a copy."
    composite(name=name + "_copy", method=name == "narrow")(fn)


for _name in (
    "as_strided diagonal expand narrow permute select split_with_sizes squeeze t transpose unbind unfold unsqueeze "
    "view view_as_complex view_as_real"
).split():
    _copy_of(_name)


@composite(method=False)
def alias_copy(self: Any) -> Any:
    """A copy."""
    return self.clone()


@composite(name="resize_as", export="resize_as_")
def resize_as_(self: Any, other: Any, memory_format: Any = None) -> Any:
    """Resized in place to another tensor's shape."""
    return self.resize_(other.spec.shape)
