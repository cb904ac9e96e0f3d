"""How far the kernels' results are from exact ones, in units in the last place.

``hatch run cpu:accuracy [OP ...] [--points N]`` takes N (10 million) bit patterns of float32 at random, so that every
exponent has its share, and all of float16 and bfloat16, and compares elementwise functions with SciPy's in float64.
Then sums, means and the like of long rows, beside PyTorch's where it is installed. Prints tables; the status is 1 if a
function of float32 is more than 2 units off, one of a narrower dtype more than 1, or a reduction worse than PyTorch's.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sc

import flambeau as fb

Array = np.ndarray[Any, Any]
BOUNDS = {"float32": 2.0, "float16": 1.0, "bfloat16": 1.0}


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, small, 1.0) / (1 + small))


#: Functions of one operand: the name, the exact values for float64.
UNARY: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "sigmoid": _sigmoid, "erf": sc.erf, "erfc": sc.erfc,
    "erfinv": sc.erfinv, "lgamma": lambda x: np.where(np.isinf(x), np.inf, sc.gammaln(x)), "digamma": sc.digamma,
}  # fmt: skip
#: Functions of two operands.
BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "pow": np.power, "atan2": np.arctan2, "hypot": np.hypot,
}  # fmt: skip


def spacing(exact: Array, dtype: str) -> Array:
    """The distance of neighbouring numbers of a dtype at exact values (subnormal ones have that of the smallest)."""
    bits, least = {"float32": (23, -126), "float16": (10, -14), "bfloat16": (7, -126)}[dtype]
    _, e = np.frexp(np.abs(exact))
    return np.asarray(np.ldexp(1.0, np.maximum(e - 1, least) - bits))


def worst(got: Array, exact: Array, dtype: str) -> tuple[float, int]:
    """The largest error in units in the last place, and where; infinite where one side is no finite number alone."""
    limit = float(fb.finfo(getattr(fb, dtype)).max)
    with np.errstate(all="ignore"):
        step = spacing(exact, dtype)
        error = np.abs(got - exact) / step
        over = np.abs(exact) >= limit + step / 2  # rounds to infinity
    same = (np.isnan(got) & np.isnan(exact)) | (np.isinf(got) & over & (np.sign(got) == np.sign(exact)))
    near = np.isinf(got) & (np.abs(exact) > limit * (1 - 2.0**-6)) & (np.abs(exact) < limit + step * 2)
    error = np.where(same | near, 0.0, np.where(np.isfinite(error), error, np.inf))
    at = int(np.argmax(error)) if error.size else 0
    return (float(error[at]) if error.size else 0.0), at


def patterns(dtype: str, points: int, seed: int) -> fb.Tensor:
    """All numbers of a narrow dtype, or numbers of float32 with random bits."""
    if dtype == "float32":
        bits = np.random.default_rng(seed).integers(0, 1 << 32, points, dtype=np.uint32)
        return fb.from_numpy(bits.view(np.float32))
    return fb.arange(1 << 16).to(fb.int32).to(fb.int16).view(getattr(fb, dtype))


def elementwise(ops: list[str], points: int) -> bool:
    """Print the largest error of every function; whether all are within bounds."""
    good = True
    print("| function | dtype | numbers | largest error, ulp | at |\n|---|---|---|---|---|")
    for op in ops:
        for dtype, bound in BOUNDS.items():
            most, where, seen = 0.0, "", 0
            for part in range(-(-points // 1_000_000) if dtype == "float32" else 1):
                n = min(points, 1_000_000)
                x = patterns(dtype, n, 2 * part)
                args = [x] if op in UNARY else [x, patterns(dtype, n, 2 * part + 1).flip(0)]
                if op in BINARY and dtype != "float32":
                    args[1] = args[1][fb.randperm(len(x), generator=fb.Generator().manual_seed(1))]
                wide = [a.double().numpy() for a in args]
                with np.errstate(all="ignore"):
                    exact = np.asarray((UNARY | BINARY)[op](*wide), np.float64)
                got = getattr(fb, op)(*args).double().numpy()
                error, at = worst(got, exact, dtype)
                seen += x.numel()
                if error > most:
                    most = error
                    where = (
                        ", ".join(f"{v[at]:.9g}" for v in wide) + f": {got[at]:.9g}, exact {exact[at]:.12g}"
                    )
            good = good and most <= bound
            print(
                f"| {op} | {dtype} | {seen} | {most:.2f}{'' if most <= bound else ' **'} | {where} |",
                flush=True,
            )
    return good


def _logsumexp(x: Array) -> Array:
    top = x.max(1, keepdims=True)
    return np.asarray(np.log(np.exp(x - top).sum(1, keepdims=True)) + top)


def _normal(x: Array, dim: int) -> Array:
    y = (x - x.mean(dim, keepdims=True)) / np.sqrt(x.var(dim, keepdims=True) + 1e-5)
    return np.asarray(y.reshape(len(x), -1))


def _halves(x: Array) -> Array:
    return _normal(x.reshape(len(x), 2, -1), 2)


def _batch_norm(m: Any, x: Any) -> Any:
    return m.nn.functional.batch_norm(x, None, None, training=True)


#: Reductions and normalisations of rows: the call, in our API and PyTorch's; the exact values; the errors' scale.
FORMS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Array], Array], str]] = {
    "sum": (lambda m, x: x.sum(1), lambda x: x.sum(1), "terms"),
    "sum of columns": (lambda m, x: x.t().contiguous().sum(0), lambda x: x.sum(1), "terms"),
    "cumsum, last": (lambda m, x: x.cumsum(1)[:, -1], lambda x: x.sum(1), "terms"),
    "mean": (lambda m, x: x.mean(1), lambda x: x.mean(1), "range"),
    "var": (lambda m, x: x.var(1), lambda x: x.var(1, ddof=1), "value"),
    "var of columns": (lambda m, x: x.t().contiguous().var(0), lambda x: x.var(1, ddof=1), "value"),
    "norm": (lambda m, x: x.norm(dim=1), lambda x: np.sqrt((x * x).sum(1)), "value"),
    "logsumexp": (lambda m, x: x.logsumexp(1), lambda x: _logsumexp(x)[:, 0], "value"),
    "prod of 64": (lambda m, x: x[:, :64].prod(1), lambda x: x[:, :64].prod(1), "value"),
    "softmax": (lambda m, x: x.softmax(1), lambda x: np.exp(x - _logsumexp(x)), "value"),
    "log_softmax": (lambda m, x: x.log_softmax(1), lambda x: x - _logsumexp(x), "value"),
    "layer_norm": (lambda m, x: m.nn.functional.layer_norm(x, x.shape[1:]), lambda x: _normal(x, 1), "value"),
    "group_norm": (
        lambda m, x: m.nn.functional.group_norm(x, 2),
        lambda x: _normal(x.reshape(len(x), 2, -1), 2),
        "value",
    ),
    "batch_norm": (
        lambda m, x: m.nn.functional.batch_norm(x.t(), None, None, training=True).t(),
        lambda x: _normal(x, 1),
        "value",
    ),
}


def reductions(rows: int = 32, n: int = 1 << 17) -> bool:
    """Print errors of reductions of long rows beside PyTorch's; whether none is worse."""
    try:
        import torch
    except ImportError:
        torch = None  # type: ignore[assignment]
    rng = np.random.default_rng(0)
    good = True
    print("\n| reduction | values | relative error | PyTorch's |\n|---|---|---|---|")
    normal = rng.standard_normal((rows, n))
    kinds = {"normal": normal, "uniform": rng.random((rows, n)), "normal + 10,000": normal + 1e4}
    for name, (run, reference, measure) in FORMS.items():
        for kind, values in kinds.items():
            x = values.astype(np.float32)
            exact = reference(x.astype(np.longdouble)).astype(np.float64)
            per = {"terms": np.abs(x).sum(), "range": np.abs(x).mean(), "value": np.abs(exact).mean()}[
                measure
            ]
            if measure == "terms":
                per /= rows
            if not np.isfinite(per):
                continue
            found = []
            for m in (fb, torch):
                got = None if m is None else run(m, m.from_numpy(x)).double().numpy()
                found.append(float("nan") if got is None else float(np.abs(got - exact).mean() / per))
            # up to half a unit in the last place is the rounding of the result
            worse = found[0] > found[1] * 1.1 + 3e-8
            good = good and not worse
            print(
                f"| {name} | {kind} | {found[0]:.1e}{' **' if worse else ''} | {found[1]:.1e} |", flush=True
            )
    return good


def main() -> int:
    """The command."""
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("ops", nargs="*", help="functions (default: all, and reductions)")
    args.add_argument("--points", type=int, default=10_000_000, help="numbers of float32")
    given = args.parse_args()
    warnings.simplefilter("ignore")
    good = elementwise(given.ops or [*UNARY, *BINARY], given.points)
    if not given.ops:
        good = reductions() and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
