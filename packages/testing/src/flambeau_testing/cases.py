"""What tests are made of: cases with readable ids, calls of a record on a device, and comparisons."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

import flambeau as fb
from flambeau.plugin import host_bytes

from .oracles import ORACLES
from .samples import Target, tables, targets
from .values import Call, build, mapped, tensors_in

__all__ = [
    "REFUSALS", "TOLERANCE", "Case", "compare", "each", "expected", "floats", "records", "run", "sampled",
    "snapshot", "takes",
]  # fmt: skip

#: Relative and absolute tolerance by result dtype, for one op.
TOLERANCE = {
    fb.float16: (4e-3, 4e-3), fb.bfloat16: (3e-2, 3e-2), fb.float32: (3e-5, 3e-5), fb.float64: (1e-9, 1e-9),
    fb.complex64: (5e-5, 5e-5), fb.complex128: (1e-9, 1e-9),
}  # fmt: skip
#: How records say that they don't take an argument.
REFUSALS = (RuntimeError, TypeError, IndexError)
_WIDE = {"f": fb.float64, "c": fb.complex128, "i": fb.int64}

F = TypeVar("F", bound=Callable[..., Any])


class Case(NamedTuple):
    """A sample call of a record in a dtype."""

    target: Target
    dtype: fb.dtype
    sample: Call

    def __str__(self) -> str:
        return f"{self.target.name}{self.sample!r} {self.dtype.name}"


def each(items: Mapping[str, Any]) -> Callable[[F], F]:
    """Run a test of a suite with each item, named by its key, as ``case``; suites may take a share of them."""

    def mark(test: F) -> F:
        marked: Any = test
        marked.cases = dict(items)
        return test

    return mark


@cache
def sampled() -> tuple[Target, ...]:
    """What has sample calls."""
    return tuple(targets())


@cache
def _oracles() -> dict[str, Callable[..., Any]]:
    found = dict(ORACLES)
    for table in tables():
        found.update(table.oracles)
    return found


def records(keep: Callable[[Target], bool] = lambda target: True) -> Iterator[tuple[Target, int, Call]]:
    """Every sample call with its number."""
    for target in sampled():
        if keep(target):
            for k, sample in enumerate(target.samples):
                yield target, k, sample


def floats(device: str) -> fb.dtype:
    """The most precise floating-point type of a device."""
    from flambeau.plugin import backend_of

    return fb.float64 if backend_of(fb.device(device)).supports(fb.float64) else fb.float32


def run(
    case: Case,
    device: str,
    how: str = "dense",
    gradient: bool = False,
    call: Callable[..., Any] | None = None,
) -> tuple[list[Any], Any]:
    """Run a case; returns all its arguments and the result."""
    args, kwargs = arguments(case, device, how, gradient)
    return [*args, *kwargs.values()], (call or case.target.call)(*args, **kwargs)


def arguments(
    case: Case, device: str, how: str = "dense", gradient: bool = False
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a case on a device."""
    target, dtype, sample = case
    seed = f"{target.name}{sample!r}"
    args = build(list(sample.args), dtype, device, seed, how, gradient)
    kwargs = {k: build(v, dtype, device, seed + k, how, gradient) for k, v in sample.kwargs.items()}
    makes = target.op is not None and "device" in target.op.names
    if makes and not tensors_in([args, kwargs]) and "dtype" not in kwargs:
        kwargs |= {"device": device, "dtype": dtype}
    return args, kwargs


@cache
def takes(target: Target, dtype: fb.dtype, k: int = 0) -> Any:
    """What the reference makes of a sample call (shape, dtype of each result), or None where it refuses the dtype."""
    try:
        args, out = run(Case(target, dtype, target.samples[k]), "reference")
    except REFUSALS:
        return None
    first = args[0] if args and hasattr(args[0], "spec") else None
    return first is not None and (first.shape, first.dtype), [(t.shape, t.dtype) for t in tensors_in(out)]


def expected(case: Case, precise: bool = False) -> Any:
    """What a case should give: NumPy's result where an oracle says it, else the reference's in the widest dtype."""
    args, kwargs = arguments(case, "reference")
    wide = _WIDE.get(case.dtype.kind)
    oracle = _oracles().get(case.target.name)
    if oracle is not None:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            out = oracle(*mapped(args, _array), **mapped(kwargs, _array))
        if out is not NotImplemented:
            return out
    if case.dtype.rank < 2 and not precise:
        return case.target.call(*args, **kwargs)

    def widen(t: Any) -> Any:
        return t.to(wide) if wide is not None and t.dtype is case.dtype else t

    if kwargs.get("dtype") is case.dtype:
        kwargs["dtype"] = wide or case.dtype
    return case.target.call(*mapped(args, widen), **mapped(kwargs, widen))


def has_oracle(target: Target) -> bool:
    """Whether the record is said a second time in NumPy."""
    return target.name in _oracles()


def _array(t: Any) -> Any:
    wide = fb.float64 if t.dtype.kind == "f" else fb.complex128 if t.dtype.kind == "c" else t.dtype
    return np.array(t.detach().to("reference").to(wide).numpy(force=True))


def snapshot(values: Any) -> list[bytes]:
    """The bits of all tensors."""
    return [bytes(host_bytes(t)) for t in tensors_in(values)]


def _results(values: Any) -> list[Any]:
    if isinstance(values, (list, tuple)):
        return [r for v in values for r in _results(v)]
    return [values] if hasattr(values, "spec") or isinstance(values, (np.ndarray, np.generic)) else []


def compare(got: Any, want: Any, what: str, loose: float = 1.0) -> None:
    """Compare results with an oracle's (tensors or arrays), element by element, up to the rounding of their dtype.

    Raises:
        AssertionError: they differ; the message says where.
    """
    a, b = tensors_in(got), _results(want)
    if not a:
        assert got == want, f"{what}: got {got}, expected {want}"
        return
    assert len(a) == len(b), f"{what}: {len(a)} results, expected {len(b)}"
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        ys: Any = np.asarray(y) if not hasattr(y, "spec") else y.detach().to("reference")
        if hasattr(y, "spec"):
            ys = (ys.to(fb.float32) if y.dtype is fb.bfloat16 else ys).numpy(force=True)
        assert x.shape == ys.shape, f"{what}: result {k} has shape {list(x.shape)}, expected {list(ys.shape)}"
        _compare(x, ys, f"{what}: result {k}", loose)


def _compare(x: Any, ys: np.ndarray[Any, Any], what: str, loose: float) -> None:
    xs = x.detach().to("reference")
    xs = (xs.to(fb.float32) if x.dtype is fb.bfloat16 else xs).numpy(force=True)
    with np.errstate(all="ignore"):
        if x.dtype.rank < 2:
            close = xs == (ys.astype(bool) if x.dtype is fb.bool else ys.astype(xs.dtype))
        else:
            wide: Any = np.complex128 if x.dtype.is_complex or ys.dtype.kind == "c" else np.float64
            xs, ys = xs.astype(wide), ys.astype(wide)
            if x.dtype in (fb.float16, fb.bfloat16, fb.float32):
                limit = fb.finfo(x.dtype).max
                ys = np.where(np.abs(ys) > limit, np.copysign(np.inf, ys.real), ys)
            rtol, atol = TOLERANCE[x.dtype]
            close = np.isclose(xs, ys, rtol=rtol * loose, atol=atol * loose, equal_nan=True)
    if not close.all():
        at = tuple(int(i) for i in np.argwhere(~close)[0])
        raise AssertionError(
            f"{what} ({x.dtype.name}) differs at {at}: got {xs[at]!r}, expected {ys[at]!r} "
            f"({int((~close).sum())} of {close.size} elements)"
        )
