"""How the compute kernels are called: a C function bound to a plan (layouts and attributes), called with addresses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import get_ident
from typing import Any, NamedTuple

from flambeau.plugin import OutOfMemoryError

from ._C import bind, ffi, lib

Launch = Callable[..., Any]
_MAX_DIMS = 24
_MAX_BOUND = 4096
_HEAD: int = ffi.offsetof("fbk_plan", "t")
_SPEC: int = ffi.sizeof("fbk_spec")
_bound: dict[tuple[Any, ...], Launch] = {}


class Layout(NamedTuple):
    """All that a plan reads of a spec: for operands seen through another layout than their own."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: Any


class View(NamedTuple):
    """A tensor-like with another layout over the same memory."""

    spec: Layout
    ptr: int


def bound(
    op: str,
    specs: Sequence[Any],
    ints: Sequence[int] = (),
    floats: Sequence[float] = (),
    keep_gil: bool = False,
) -> Launch:
    """The kernel `fbk_<op>` for operands with these specs (None: absent): call it with their addresses for its code."""
    plan = ffi.new("fbk_plan *")
    plan.nt = len(specs)
    plan.ia = list(ints)
    plan.fa = list(floats)
    for k, spec in enumerate(specs):
        slot = plan.t[k]
        if spec is None:
            slot.dtype = -1
            continue
        shape = tuple(spec.shape)
        if len(shape) > _MAX_DIMS:
            raise RuntimeError(
                f"[{op}] too many dimensions: got {len(shape)}, this kernel takes {_MAX_DIMS}. Reshape first."
            )
        slot.dtype = spec.dtype.code
        slot.ndim = len(shape)
        slot.shape = shape
        slot.stride = tuple(spec.strides)
    address = int(ffi.cast("uintptr_t", ffi.addressof(lib, f"fbk_{op}")))
    return bind(address, bytes(ffi.buffer(plan, _HEAD + _SPEC * len(specs))), len(specs), keep_gil)


def cached(
    op: str, specs: tuple[Any, ...], ints: tuple[int, ...] = (), floats: tuple[float, ...] = ()
) -> Launch:
    """`bound`, remembered by its arguments."""
    key = (op, ints, floats, specs)
    fn = _bound.get(key)
    if fn is None:
        if len(_bound) >= _MAX_BOUND:
            _bound.clear()
        fn = _bound[key] = bound(op, specs, ints, floats)
    return fn


class Noted(NamedTuple):
    """A call of `run` that was noted rather than made."""

    op: str
    specs: tuple[Any, ...]
    ints: tuple[int, ...]
    floats: tuple[float, ...]
    addresses: tuple[int, ...]


_notes: dict[int, list[Noted]] = {}


def note(kernel: Callable[[], Any]) -> list[Noted]:
    """Call a kernel and note what it runs instead of running it."""
    me = get_ident()
    found: list[Noted] = []
    _notes[me] = found
    try:
        kernel()
    finally:
        del _notes[me]
    return found


def run(op: str, tensors: Sequence[Any], ints: tuple[int, ...] = (), floats: tuple[float, ...] = ()) -> int:
    """Run `fbk_<op>` on tensor-likes (None: absent); returns its count, or -16 - position of the first bad index."""
    if _notes and (notes := _notes.get(get_ident())) is not None:
        specs = tuple([None if t is None else t.spec for t in tensors])
        notes.append(Noted(op, specs, ints, floats, tuple([0 if t is None else t.ptr for t in tensors])))
        return 0
    fn = cached(op, tuple([None if t is None else t.spec for t in tensors]), ints, floats)
    code: int = fn(*[0 if t is None else t.ptr for t in tensors])
    if -16 < code < 0:
        fail(op, code)
    return code


def fail(op: str, code: int) -> None:
    """Raise what a negative code means (bad indexes are the caller's business)."""
    if code == lib.FBK_ENOMEM:
        raise OutOfMemoryError(
            f"[{op}] out of memory: its working memory was refused. Free tensors, or raise the limit."
        )
    raise RuntimeError(f"[{op}] the cpu kernel does not take these operands")


def launcher(op: str, specs: Sequence[Any], ints: Sequence[int]) -> Launch:
    """`launch(*addresses)` for fixed layouts, checking the code."""
    fn = bound(op, specs, ints)

    def launch(*addresses: int) -> None:
        if code := fn(*addresses):
            fail(op, code)

    return launch
