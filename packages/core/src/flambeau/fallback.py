"""What a device can't do is computed on the host by the reference backend, and nobody is left unaware of it.

A backend that declares limits (``dtypes``, ``max_dims``, ``lacks``) gets guards around its entries when it is
registered; other backends are left as they are. Every op and place in the user's program warns once; all are counted.
``FLAMBEAU_FALLBACK=error`` makes them errors.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .backend import COMPUTE, Backend
from .devices import Device
from .dtypes import BY_NAME
from .errors import BackendError, FallbackWarning, is_ours, refuse
from .layout import Spec, spec_of
from .storage import Storage

__all__ = ["Fallback", "explain_fallbacks", "guard"]


class Fallback(NamedTuple):
    """One op at one place that was computed on the host.

    Attributes:
        op: the op's public name.
        device: where its operands lie.
        entry: the entry of the contract that the device couldn't do.
        reason: why.
        site: file and line of the program.
        calls: how often.
    """

    op: str
    device: str
    entry: str
    reason: str
    site: str
    calls: int


_counts: dict[tuple[str, str, str, str, str], int] = {}


def explain_fallbacks(reset: bool = False) -> list[Fallback]:
    """What was computed on the host because a device couldn't, most frequent first.

    Args:
        reset: whether to begin counting anew.

    >>> import flambeau as fb
    >>> fb.explain_fallbacks()
    []
    """
    found = sorted((Fallback(*key, n) for key, n in _counts.items()), key=lambda f: -f.calls)
    if reset:
        _counts.clear()
    return found


def guard(backend: Backend) -> None:
    """Put guards around the entries of a backend that declares limits.

    Raises:
        BackendError: it declares a dtype or a lack that doesn't exist.
    """
    if backend.dtypes is None and backend.max_dims is None and not backend.lacks:
        return
    _check_declarations(backend)
    for entry in COMPUTE:
        setattr(backend, entry, _guarded(backend, entry, getattr(backend, entry)))
    plan, kernel = backend.plan, backend.kernel

    def guarded_plan(entry: str, outs: Sequence[Spec], ins: Sequence[Spec], args: dict[str, Any]) -> Any:
        kind = args.get("program") or args.get("kind")
        return plan(entry, outs, ins, args) if _reason(backend, entry, kind, [*outs, *ins]) is None else None

    def guarded_kernel(name: str, ins: Sequence[Spec | None], attrs: dict[str, Any]) -> Any:
        given = [s for s in ins if s is not None]
        return kernel(name, ins, attrs) if _reason(backend, name, None, given) is None else None

    backend.plan, backend.kernel = guarded_plan, guarded_kernel  # type: ignore[method-assign]


#: The kinds of entries that a backend may lack.
_KINDS = {
    "reduce": "sum prod max min argmax argmin any all", "scan": "cumsum cumprod logcumsumexp",
    "scan2": "cummax cummin", "scatter": "sum prod amax amin",
}  # fmt: skip


def _check_declarations(backend: Backend) -> None:
    from .program import OPCODES

    known = {*COMPUTE, *OPCODES, *(f"{entry}.{kind}" for entry in _KINDS for kind in _KINDS[entry].split())}
    dtypes = (backend.dtypes or frozenset()) - set(BY_NAME)
    for what, unknown in (("lacks", backend.lacks - known), ("dtypes", dtypes)):
        if unknown:
            wrong = f"backend {backend.name!r} declares {what} that don't exist: got {sorted(unknown)}"
            need = ", needed: names of docs/backends.md"
            refuse("device", wrong + need, do="Correct the spelling.", error=BackendError)


def _guarded(backend: Backend, entry: str, run: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> None:
        kind = args[-1] if entry == "scatter" else args[0]
        specs: list[Spec] = []
        _each(args, lambda t: specs.append(t.spec))
        why = _reason(backend, entry, None if hasattr(kind, "spec") else kind, specs)
        if why is None:
            run(*args)
        else:
            _note(backend, entry, why)
            _on_host(backend, entry, args)

    return call


def _each(args: Sequence[Any], fn: Callable[[Any], Any]) -> list[Any]:
    """The arguments of an entry with what a function makes of each tensor in its place."""

    def made(a: Any) -> Any:
        return fn(a) if hasattr(a, "spec") else a

    return [tuple(map(made, a)) if isinstance(a, (list, tuple)) else made(a) for a in args]


def _reason(backend: Backend, entry: str, kind: Any, specs: Sequence[Spec]) -> str | None:
    """Why a device can't do an entry with these operands, or None where it can."""
    lacks = backend.lacks
    if entry in lacks:
        return f"it lacks {entry}"
    if type(kind) is str and f"{entry}.{kind}" in lacks:
        return f"it lacks {entry}.{kind}"
    for s in specs:
        if not backend.supports(s.dtype):
            return f"it has no {s.dtype.name}"
        if backend.max_dims is not None and s.ndim > backend.max_dims:
            return f"it takes {backend.max_dims} dimensions, not {s.ndim}"
    if entry == "run_program" and kind is not None:
        key = ("fallback", backend.name)
        if key not in kind.cache:
            kind.cache[key] = _program_reason(backend, kind)
        why: str | None = kind.cache[key]
        return why
    return None


def _program_reason(backend: Backend, program: Any) -> str | None:
    for step in program.code:
        if step.op in backend.lacks:
            return f"it lacks the instruction {step.op}"
        inner = (step.out, step.dtype)[: 1 if step.op.startswith("philox") else 2]  # the seed is no tensor
        for dtype in inner:
            if not backend.supports(dtype):
                return f"it has no {dtype.name}"
    return None


#: Which arguments of an entry are written to.
_OUTS = {
    "run_program": (1,), "copy": (0,), "reduce": (1,), "scan": (1,), "scan2": (1, 2), "matmul": (0,), "gather": (0,),
    "scatter": (0,), "sort": (0, 1),
}  # fmt: skip


def _on_host(backend: Backend, entry: str, args: Sequence[Any]) -> None:
    from .plan import tensor_on
    from .registry import backend_of

    device = Device("reference")
    reference = backend_of(device)

    def down(t: Any) -> Any:
        low, high = t.spec.extent()
        size = t.spec.itemsize
        mem = Storage.allocate(reference, (high - low + 1) * size, device)
        if mem.nbytes:
            data = backend.copy_out(t.mem.handle, (t.offset + low) * size, mem.nbytes)
            reference.copy_in(mem.handle, 0, data)
        spec = spec_of(t.spec.dtype, t.spec.shape, device, t.spec.strides)
        return tensor_on(mem, spec, -low)

    host = _each(args, down)
    getattr(reference, entry)(*host)
    for k in _OUTS[entry]:
        for there, here in (
            [(args[k], host[k])] if hasattr(args[k], "spec") else zip(args[k], host[k], strict=True)
        ):
            if here.mem.nbytes:
                start = (there.offset - here.offset) * there.spec.itemsize
                data = reference.copy_out(here.mem.handle, 0, here.mem.nbytes)
                backend.copy_in(there.mem.handle, start, data)


def _note(backend: Backend, entry: str, why: str) -> None:
    op, file, line = _caller(entry)
    mode = os.environ.get("FLAMBEAU_FALLBACK", "warn")
    text = (
        f"[{op}] device {backend.name!r} can't do it: got {entry}, {why}; computed on the host by the reference "
        "backend, with copies both ways (slow). Use another dtype or device; flambeau.explain_fallbacks() counts these."
    )
    if mode == "error":
        raise RuntimeError(
            text.replace("; computed", "; FLAMBEAU_FALLBACK=error forbids that it be computed")
        )
    if mode != "warn":
        refuse("fallback", f"FLAMBEAU_FALLBACK is {mode!r}, needed: 'warn' or 'error'", do="Correct it.")
    key = (op, backend.name, entry, why, f"{file}:{line}")
    _counts[key] = _counts.get(key, 0) + 1
    if _counts[key] == 1:
        import warnings

        warnings.warn_explicit(FallbackWarning(text), None, file, line)


def _caller(entry: str) -> tuple[str, str, int]:
    """The outermost op on the stack, and the line of the program that called it."""
    name = entry
    frame: Any = sys._getframe(2)
    while frame.f_back is not None and is_ours(frame):
        for variable in ("self", "op", "plan", "general"):
            name = _op_name(frame.f_locals.get(variable)) or name
        frame = frame.f_back
    return name, frame.f_code.co_filename, frame.f_lineno


def _op_name(value: Any) -> str | None:
    from .op import Op
    from .plan import Plan

    value = getattr(value, "__self__", value)
    return value.name if isinstance(value, (Op, Plan)) else None
