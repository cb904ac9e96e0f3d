"""Reading and writing by index: gather, scatter, index_select, embedding, nonzero, masks."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from flambeau.plugin import OutOfRange, bad_index

from ._C import ffi, lib
from .kernels_plan import Layout, View, run

_REDUCE = {None: 0, "sum": 1, "add": 1, "prod": 2, "multiply": 2, "amax": 3, "amin": 4}
_FORMAT = {
    "bool": "?",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "float16": "e",
    "float32": "f",
    "float64": "d",
}


def _read_index(index: Any, position: Sequence[int]) -> int:
    """The index tensor's value at a position (error path)."""
    offset = sum(p * s for p, s in zip(position, index.spec.strides, strict=True))
    kind = "int32_t *" if index.spec.dtype.name == "int32" else "int64_t *"
    return int(ffi.cast(kind, index.ptr)[offset])


def _unravel(flat: int, shape: Sequence[int]) -> tuple[int, ...]:
    out: list[int] = []
    for size in reversed(shape):
        out.append(flat % size)
        flat //= size
    return tuple(reversed(out))


def _out_of_bounds(op: str, index: Any, position: Sequence[int], size: int, dim: int) -> OutOfRange:
    value = _read_index(index, position)
    where = f" at position {list(position)}" if position else ""
    return bad_index(op, value, dim, size, where)


def _take(
    op: str,
    out: Any,
    src: Any,
    dim: int,
    index: Any,
    index_strides: tuple[int, ...],
    src_strides: tuple[int, ...],
) -> None:
    """out[i] = src[i with the index along dim]; strides are for out's shape, src's with 0 where the index decides."""
    specs, ints = take_specs(out.spec, src.spec, dim, index.spec, index_strides, src_strides)
    code = run("gather", [View(spec, t.ptr) for spec, t in zip(specs, (out, src, index), strict=True)], ints)
    if code < 0:
        raise index_error(op, code, out.spec.shape, index, index_strides, ints[0], dim)


def take_specs(
    out: Any,
    src: Any,
    dim: int,
    index: Any,
    index_strides: tuple[int, ...],
    src_strides: tuple[int, ...] | None = None,
) -> tuple[tuple[Any, ...], tuple[int, int]]:
    """The layouts and numbers with which `fbk_gather` reads along a dimension."""
    if src_strides is None:
        src_strides = tuple(0 if d == dim else s for d, s in enumerate(src.strides))
    shape = tuple(out.shape)
    ints = (src.shape[dim], src.strides[dim]) if src.shape else (1, 0)
    return (out, Layout(shape, src_strides, src.dtype), Layout(shape, index_strides, index.dtype)), ints


def index_error(
    op: str, code: int, out: Sequence[int], index: Any, index_strides: Sequence[int], size: int, dim: int
) -> IndexError:
    """What a negative code of `fbk_gather` means: the place of the first bad index."""
    at = _unravel(lib.FBK_EINDEX - code, out)
    position = list(at)
    if len(index.spec.shape) != len(
        out
    ):  # an embedding or a selection: drop the dims the index does not have
        position = position[dim:][: len(index.spec.shape)]
    return _out_of_bounds(op, index, position, size, dim)


def gather(out: Any, src: Any, dim: int, index: Any) -> None:
    """torch.gather: out and index have the same shape."""
    nd = len(src.spec.shape)
    dim = dim % nd if nd else 0
    strides = tuple(0 if d == dim else s for d, s in enumerate(src.spec.strides))
    _take("gather", out, src, dim, index, tuple(index.spec.strides), strides)


def index_select(out: Any, src: Any, dim: int, index: Any) -> None:
    """torch.index_select with a 1-D (or 0-d) index."""
    nd = len(src.spec.shape)
    dim = dim % nd if nd else 0
    step = index.spec.strides[0] if index.spec.shape else 0
    lanes = tuple(step if d == dim else 0 for d in range(nd))
    strides = tuple(0 if d == dim else s for d, s in enumerate(src.spec.strides))
    _take("index_select", out, src, dim, index, lanes, strides)


def embedding(out: Any, weight: Any, index: Any) -> None:
    """Rows of weight [V, D] by an index of any shape."""
    lead = len(index.spec.shape)
    _take("embedding", out, weight, 0, index, (*index.spec.strides, 0), (*[0] * lead, weight.spec.strides[1]))


def _scalar(value: Any, like: Any) -> Any:
    """A one-element operand of `like`'s dtype holding a Python number, repeated over index's shape by stride 0."""
    name = like.spec.dtype.name
    if name in ("complex64", "complex128"):
        kind, number = ("f" if name == "complex64" else "d"), complex(value)
        data = struct.pack(f"=2{kind}", number.real, number.imag)
    elif name == "bfloat16":
        bits = struct.unpack("=I", struct.pack("=f", value))[0]
        data = struct.pack("=H", ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) & 0xFFFF)
    else:
        data = struct.pack(
            f"={_FORMAT[name]}",
            value if name.startswith("float") else bool(value) if name == "bool" else int(value),
        )
    return ffi.new("char[]", data)


def scatter(out: Any, dim: int, index: Any, src: Any, reduce: str | None = None) -> None:
    """torch.scatter(_reduce) into the pre-filled out; src may be a number."""
    nd = len(out.spec.shape)
    dim = dim % nd if nd else 0
    shape = tuple(index.spec.shape)
    keep = None
    if isinstance(src, (bool, int, float, complex)):
        keep = _scalar(src, out)
        src = View(Layout(shape, (0,) * len(shape), out.spec.dtype), int(ffi.cast("uintptr_t", keep)))
    part = View(Layout(shape, tuple(src.spec.strides), src.spec.dtype), src.ptr)
    code = run("scatter", (out, index, part), (dim, _REDUCE[reduce]))
    if code < 0:
        size = out.spec.shape[dim] if out.spec.shape else 1
        along = lib.FBK_EINDEX - code
        for flat in range(max(1, _numel(shape))):
            position = _unravel(flat, shape)
            if (not position or position[dim] == along) and not 0 <= _read_index(index, position) < size:
                raise _out_of_bounds("scatter", index, position, size, dim)
    del keep


def _numel(shape: Sequence[int]) -> int:
    n = 1
    for size in shape:
        n *= size
    return n


def embedding_backward(
    gw: Any, g: Any, index: Any, padding_idx: int | None = None, scale_grad_by_freq: bool = False
) -> None:
    """The gradient of an embedding's weight, written whole."""
    size = gw.spec.shape[0]
    pad = -1 if padding_idx is None else padding_idx % max(size, 1)
    code = run("embedding_bwd", (gw, g, index), (pad, int(scale_grad_by_freq)))
    if code < 0:
        raise _out_of_bounds("embedding", index, _unravel(lib.FBK_EINDEX - code, index.spec.shape), size, 0)


def nonzero_count(x: Any) -> int:
    """How many elements are not zero."""
    return run("nonzero_count", (None, x))


def _embedding_backward(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
    padding = attrs.get("padding_idx")
    embedding_backward(
        outs[0],
        ins[0],
        ins[1],
        None if padding in (None, -1) else padding,
        bool(attrs.get("scale_grad_by_freq")),
    )


def _nonzero(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
    run("nonzero", (outs[0], ins[0]))


def _masked_select(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
    run("masked_select", (outs[0], ins[0], ins[1]))


def _masked_scatter(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
    run("masked_scatter", (outs[0], ins[0], ins[1]))


KERNELS = {
    "index_select": lambda outs, ins, attrs: index_select(outs[0], ins[0], attrs["dim"], ins[1]),
    "embedding": lambda outs, ins, attrs: embedding(outs[0], ins[0], ins[1]),
    "embedding_backward": _embedding_backward,
    "nonzero": _nonzero,
    "masked_select": _masked_select,
    "masked_scatter": _masked_scatter,
}


def _any(in_specs: Sequence[Any], attrs: dict[str, Any]) -> bool:
    return True


def _float(in_specs: Sequence[Any], attrs: dict[str, Any]) -> bool:
    return bool(in_specs[0].dtype.is_floating_point)


SUPPORTS = {**dict.fromkeys(KERNELS, _any), "embedding_backward": _float}
