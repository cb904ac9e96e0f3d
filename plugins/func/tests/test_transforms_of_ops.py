"""vmap, jvp, jacrev, jacfwd and hessian over every record, with the sample calls of the conformance suite.

The oracles: a loop over the examples, central differences, and one walk back per element.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as fb
from flambeau import dtypes as dt
from flambeau.func import hessian, jacfwd, jacrev, jvp, vmap
from flambeau.testing.cases import compare, takes
from flambeau.testing.conformance.gradients import _differentiable
from flambeau.testing.samples import Target, targets
from flambeau.testing.values import Call, T, build, tensors_in

EXAMPLES = 3

#: Ops whose result's shape, or whose way, depends on the values.
DEPENDS_ON_VALUES: dict[str, str] = {
    **dict.fromkeys("allclose equal".split(), "returns a Python bool"),
    **dict.fromkeys(
        "nonzero nonzero_rows nonzero_places argwhere masked_select masked_select_any unique unique_consecutive "
        "bincount repeat_interleave".split(),
        "the shape of the result depends on the values",
    ),
}


def _leaves(value: Any, dtype: dt.DType, seed: str) -> list[Any]:
    return tensors_in(build(value, dtype, "cpu", seed))


def _refilled(value: Any, tensors: list[Any]) -> Any:
    """A sample's arguments with given tensors in order."""
    if isinstance(value, T):
        return tensors.pop(0)
    if isinstance(value, (list, tuple)):
        return type(value)(_refilled(v, tensors) for v in value)
    if isinstance(value, dict):
        return {k: _refilled(v, tensors) for k, v in value.items()}
    return value


def function(op: Target, sample: Call) -> Callable[..., Any]:
    """A sample call as a function of its tensors, which returns a tuple of tensors."""

    def fn(*tensors: Any) -> Any:
        left = list(tensors)
        args = _refilled(list(sample.args), left)
        kwargs = _refilled(sample.kwargs, left)
        out = op.call(*args, **kwargs)
        return tuple(tensors_in(out)) if tensors_in(out) else out

    return fn


def inputs(op: Target, sample: Call, dtype: dt.DType, k: int) -> list[Any]:
    seed = f"{op.name}{sample!r}{k}"
    found = _leaves(list(sample.args), dtype, seed)
    return found + _leaves(list(sample.kwargs.values()), dtype, seed + "kw")


def small(op: Target, most: int) -> list[Call]:
    """Samples with tensors, of few elements."""
    size = lambda s: sum(t.numel() for t in inputs(op, s, dt.float32, 0))  # noqa: E731
    return [s for s in op.samples if s.tensors and size(s) <= most]


def _dtype(op: Target) -> dt.DType:
    return dt.float64 if takes(op, dt.float64) else dt.int64


WITH_TENSORS = [t for t in targets() if t.samples[0].tensors]
DIFFERENTIABLE = [
    t
    for t in WITH_TENSORS
    if _differentiable(t) and takes(t, dt.float64) and t.name not in ("allclose", "equal", "unique")
]


@pytest.mark.parametrize("op", WITH_TENSORS, ids=lambda o: o.name)
def test_vmap(op: Target) -> None:
    """All inputs batched, each one alone, and batched along the last dimension: as a loop gives."""
    dtype = _dtype(op)
    refused = 0
    for sample in small(op, 3000):
        fn = function(op, sample)
        sets = [inputs(op, sample, dtype, k) for k in range(EXAMPLES)]
        n = len(sets[0])
        choices = {(True,) * n, *(tuple(k == j for k in range(n)) for j in range(n))}
        for batched in choices:
            rows = [[s[j] if batched[j] else sets[0][j] for j in range(n)] for s in sets]
            for dim in (0, -1):
                ins = [fb.stack([r[j] for r in rows], dim) if batched[j] else rows[0][j] for j in range(n)]
                dims = tuple(dim if b else None for b in batched)
                try:
                    got = vmap(fn, dims)(*ins)
                except (RuntimeError, ValueError):
                    if op.name not in DEPENDS_ON_VALUES:
                        raise
                    refused += 1
                    continue
                want = [fb.stack(list(r)) for r in zip(*(fn(*r) for r in rows), strict=True)]
                for g, w in zip(got, want, strict=True):
                    assert g.dtype is w.dtype
                compare(list(got), want, f"{op.name}{sample!r} batched={batched} dim={dim}", 10)
    assert bool(refused) == (op.name in DEPENDS_ON_VALUES)


def _float_parts(op: Target, sample: Call) -> tuple[Any, list[Any]] | None:
    """The sample as a function of the tensors that gradients are taken by, returning what has a gradient."""
    fn = function(op, sample)
    ins = inputs(op, sample, dt.float64, 0)
    kinds = [t for v in [list(sample.args), sample.kwargs] for t in _descriptions(v)]
    at = [k for k, (t, d) in enumerate(zip(ins, kinds, strict=True)) if t.dtype.rank > 1 and d.kind == "any"]
    if not at:
        return None

    def part(*xs: Any) -> Any:
        full = list(ins)
        for k, x in zip(at, xs, strict=True):
            full[k] = x
        out = fn(*full)
        return tuple(o for o in out if isinstance(o, fb.Tensor) and o.dtype.rank > 1)

    chosen = [ins[k] for k in at]
    out = part(*[x.detach().requires_grad_() for x in chosen])
    if not out or not any(o.requires_grad for o in out):
        return None
    keep = [k for k, o in enumerate(out) if o.requires_grad]
    return (lambda *xs: tuple(part(*xs)[k] for k in keep)), chosen


def _descriptions(value: Any) -> list[T]:
    if isinstance(value, T):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in _descriptions(v)] if isinstance(value, (list, tuple)) else []


def _loop_jacobian(fn: Any, ins: list[Any]) -> list[list[Any]]:
    """One walk back per element of every result."""
    xs = [x.detach().requires_grad_() for x in ins]
    table = []
    for o in fn(*xs):
        rows = []
        for k in range(o.numel()):
            g = fb.zeros(o.numel(), dtype=o.dtype)
            g[k] = 1
            rows.append(
                fb.autograd.grad(o, xs, g.reshape(o.shape), retain_graph=True, materialize_grads=True)
            )
        table.append(
            [
                fb.stack([r[j] for r in rows]).reshape((*o.shape, *x.shape))
                if rows
                else x.new_zeros((*o.shape, *x.shape))
                for j, x in enumerate(xs)
            ]
        )
    return table


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda o: o.name)
def test_jacobians(op: Target) -> None:
    """jacrev and jacfwd: as one walk back per element gives."""
    for sample in small(op, 40):
        found = _float_parts(op, sample) if sample.grad else None
        if found is None:
            continue
        fn, ins = found
        want = _loop_jacobian(fn, ins)
        numbers = tuple(range(len(ins)))
        for transform in (jacrev, jacfwd):
            got = transform(fn, numbers)(*ins)
            for row, expected in zip(got, want, strict=True):
                # Walking back from a complex result to a real input gives the real part of the derivative.
                parts = [
                    g.real if g.dtype.is_complex and not e.dtype.is_complex else g
                    for g, e in zip(row, expected, strict=True)
                ]
                compare(parts, expected, f"{transform.__name__} {op.name}{sample!r}", 100)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda o: o.name)
def test_jvp(op: Target) -> None:
    """jvp: as central differences give."""
    for sample in small(op, 200):
        found = _float_parts(op, sample) if sample.grad else None
        if found is None:
            continue
        fn, ins = found
        fb.manual_seed(1)
        vs = [fb.randn_like(x) for x in ins]
        values, tangents = jvp(fn, tuple(ins), tuple(vs))
        compare(list(values), list(fn(*ins)), f"{op.name}{sample!r}")
        if not all(x.numel() for x in ins):
            continue
        h = 1e-6
        up = fn(*[x + h * v for x, v in zip(ins, vs, strict=True)])
        down = fn(*[x - h * v for x, v in zip(ins, vs, strict=True)])
        for t, a, b in zip(tangents, up, down, strict=True):
            fb.testing.assert_close(
                t, (a - b) / (2 * h), rtol=1e-4, atol=1e-4, equal_nan=True, msg=f"{op.name}{sample!r}"
            )


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda o: o.name)
def test_hessian(op: Target) -> None:
    """hessian of a nonlinear sum of all results: as the loop over the gradient's elements gives; and vmap over it."""
    for sample in small(op, 14):
        found = _float_parts(op, sample) if sample.grad else None
        if found is None:
            continue
        fn, ins = found

        def scalar(*xs: Any, fn: Any = fn) -> Any:
            total: Any = 0
            for o in fn(*xs):
                o = fb.view_as_real(o) if o.dtype.is_complex else o
                total = (
                    total + (o * fb.arange(1.0, o.numel() + 1, dtype=o.dtype).reshape(o.shape)).sum().sin()
                )
            return total

        def gradient(*xs: Any) -> Any:
            return fb.autograd.grad(scalar(*xs), xs, create_graph=True, materialize_grads=True)

        def tracked(*xs: Any) -> Any:
            return [g if g.requires_grad else g + 0 * sum(x.sum() for x in xs) for g in gradient(*xs)]

        want = _loop_jacobian(tracked, ins)
        numbers = tuple(range(len(ins)))
        got = hessian(scalar, numbers)(*ins)
        for row, expected in zip(got, want, strict=True):
            compare(list(row), expected, f"hessian {op.name}{sample!r}", 1000)
        many = [fb.stack([x, x]) for x in ins]
        both = vmap(hessian(scalar, numbers))(*many)
        for row, expected in zip(both, want, strict=True):
            compare([b[1] for b in row], expected, f"vmap of hessian {op.name}{sample!r}", 1000)
