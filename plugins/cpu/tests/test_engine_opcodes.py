"""Every opcode on every dtype that it is defined on, against NumPy or wider floats, on every instruction set."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from test_engine_support import DTYPES, apply

from flambeau_cpu import engine

Array = np.ndarray[Any, Any]
INTS = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
FLOATS = ["float32", "float64"]
COMPLEX = ["complex64", "complex128"]
ALL = ["bool", *INTS, *FLOATS, *COMPLEX]
N = 1037


@pytest.fixture(params=engine.available_isas(), autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = engine.get_isa()
    engine.set_isa(request.param)
    yield request.param
    engine.set_isa(before)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def values(dtype: str, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.integers(0, 2, N).astype(bool)
    if dtype in INTS:
        info = np.iinfo(dtype)
        a = rng.integers(info.min, info.max, N, dtype=dtype, endpoint=True)
        a[: N // 2] = rng.integers(max(-9, info.min), 10, N // 2).astype(dtype)
        a[:4] = [0, 1, info.max, info.min]
        rng.shuffle(a)
        return np.asarray(a)
    if dtype in FLOATS:
        a = rng.standard_normal(N).astype(dtype) * 10 ** rng.integers(-3, 4, N).astype(dtype)
        a[: N // 4] = rng.integers(-5, 6, N // 4)
        a[:8] = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, np.finfo(dtype).tiny / 4]
        rng.shuffle(a)
        return np.asarray(a, dtype)
    part = "float32" if dtype == "complex64" else "float64"
    rng2 = rng.standard_normal((2, N)).astype(part)
    a = (rng2[0] + 1j * rng2[1]).astype(dtype)
    a[:4] = [0, 1, -1, 1j]
    return np.asarray(a)


def same(got: Array, want: Array) -> None:
    np.testing.assert_array_equal(got, want.astype(got.dtype, copy=False))


def ulps(got: Array, exact: Array, dtype: str) -> float:
    """Largest error in units in the last place of the exact value; infinities, NaN and signs must match."""
    want = exact.astype(dtype)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(got[~finite], want[~finite])
    unit = np.spacing(np.maximum(np.abs(want[finite]), np.finfo(dtype).tiny).astype(dtype)).astype(
        exact.dtype
    )
    return float(np.max(np.abs(got[finite].astype(exact.dtype) - exact[finite]) / unit, initial=0.0))


def guard(divide: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    """Integers by zero give 0."""

    def fn(x: Array, y: Array) -> Array:
        if x.dtype.kind == "f":
            return divide(x, y)
        return np.where(y == 0, 0, divide(x, np.where(y == 0, 1, y))).astype(x.dtype)

    return fn


def int_power(x: Array, y: Array) -> Array:
    bits = x.dtype.itemsize * 8
    out = []
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if b < 0:
            out.append(1 if a == 1 else (1 if b % 2 == 0 else -1) if a == -1 else 0)
        else:
            v = pow(a, b, 1 << bits)
            out.append(v - (1 << bits) if x.dtype.kind == "i" and v >> (bits - 1) else v)
    return np.array(out, dtype=x.dtype)


BINARY: dict[str, tuple[list[str], Callable[[Array, Array], Array]]] = {
    "add": (ALL, np.add),
    "sub": ([*INTS, *FLOATS, *COMPLEX], np.subtract),
    "mul": (ALL, np.multiply),
    "div": (FLOATS, np.divide),
    "floordiv": ([*INTS, *FLOATS], guard(np.floor_divide)),
    "rem": ([*INTS, *FLOATS], guard(np.remainder)),
    "fmod": ([*INTS, *FLOATS], guard(np.fmod)),
    "pow": (INTS, int_power),
    "maximum": (["bool", *INTS, *FLOATS], np.maximum),
    "minimum": (["bool", *INTS, *FLOATS], np.minimum),
    "fmax": (["bool", *INTS, *FLOATS], np.fmax),
    "fmin": (["bool", *INTS, *FLOATS], np.fmin),
    "copysign": (FLOATS, np.copysign),
    "nextafter": (FLOATS, np.nextafter),
    "eq": (ALL, np.equal),
    "ne": (ALL, np.not_equal),
    "lt": (["bool", *INTS, *FLOATS], np.less),
    "le": (["bool", *INTS, *FLOATS], np.less_equal),
    "gt": (["bool", *INTS, *FLOATS], np.greater),
    "ge": (["bool", *INTS, *FLOATS], np.greater_equal),
    "and": (["bool", *INTS], np.bitwise_and),
    "or": (["bool", *INTS], np.bitwise_or),
    "xor": (["bool", *INTS], np.bitwise_xor),
    "shl": (INTS, np.left_shift),
    "shr": (INTS, np.right_shift),
}
COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge"}


@pytest.mark.parametrize("op", BINARY)
def test_binary(op: str) -> None:
    dtypes, reference = BINARY[op]
    for dtype in dtypes:
        x, y = values(dtype), values(dtype, 1)
        if op in ("shl", "shr"):
            y = np.concatenate([np.arange(-3, 70), y])[: len(y)].astype(dtype)
        got = apply(op, [x, y], "bool" if op in COMPARISONS else dtype)
        if op == "mul" and dtype in COMPLEX:  # NumPy's own loops contract
            np.testing.assert_allclose(got, reference(x, y), rtol=1e-6 if dtype == "complex64" else 1e-15)
        else:
            same(got, reference(x, y))


@pytest.mark.parametrize("dtype", COMPLEX)
def test_complex_division_and_power(dtype: str) -> None:
    x, y = values(dtype), values(dtype, 1)
    y = y[::-1].copy()
    rtol = 1e-5 if dtype == "complex64" else 1e-13
    ok = y != 0
    np.testing.assert_allclose(apply("div", [x, y], dtype)[ok], (x / y)[ok], rtol=rtol)
    ok &= x != 0
    np.testing.assert_allclose(apply("pow", [x, y], dtype)[ok], np.power(x, y)[ok], rtol=rtol * 10)


UNARY: dict[str, tuple[list[str], str | None, Callable[[Array], Array]]] = {
    "neg": ([*INTS, *FLOATS, *COMPLEX], None, np.negative),
    "abs": ([*INTS, *FLOATS], None, np.abs),
    "sign": ([*INTS, *FLOATS], None, np.sign),
    "not": (["bool", *INTS], None, np.invert),
    "floor": (FLOATS, None, np.floor),
    "ceil": (FLOATS, None, np.ceil),
    "round": (FLOATS, None, np.rint),
    "trunc": (FLOATS, None, np.trunc),
    "sqrt": (FLOATS, None, np.sqrt),
    "isnan": ([*FLOATS, *COMPLEX], "bool", np.isnan),
    "isinf": ([*FLOATS, *COMPLEX], "bool", np.isinf),
    "isfinite": ([*FLOATS, *COMPLEX], "bool", np.isfinite),
    "signbit": ([*INTS, *FLOATS], "bool", lambda x: x < 0 if x.dtype.kind in "iu" else np.signbit(x)),
    "conj": (COMPLEX, None, np.conj),
}


@pytest.mark.parametrize("op", UNARY)
def test_unary(op: str) -> None:
    dtypes, out, reference = UNARY[op]
    for dtype in dtypes:
        x = values(dtype)
        got = apply(op, [x], out or dtype)
        same(got, reference(x))
        if out is None and dtype in FLOATS:
            np.testing.assert_array_equal(np.signbit(got), np.signbit(reference(x)))


@pytest.mark.parametrize("dtype", COMPLEX)
def test_complex_parts(dtype: str) -> None:
    x, part = values(dtype), "float32" if dtype == "complex64" else "float64"
    same(apply("real", [x], part), x.real)
    same(apply("imag", [x], part), x.imag)
    np.testing.assert_allclose(apply("angle", [x], part), np.angle(x), rtol=1e-6)
    np.testing.assert_allclose(apply("abs", [x], part), np.abs(x), rtol=1e-6)
    same(apply("complex", [x.real.copy(), x.imag.copy()], dtype), x)


def digamma(x: float) -> float:
    if x <= 0 and x == math.floor(x):
        return math.nan if x else math.copysign(math.inf, -x)
    if x < 0:
        return digamma(1 - x) - math.pi / math.tan(math.pi * x)
    shift = 0.0
    while x < 20:
        shift -= 1 / x
        x += 1
    return (
        math.log(x)
        - 0.5 / x
        - 1 / (12 * x**2)
        + 1 / (120 * x**4)
        - 1 / (252 * x**6)
        + 1 / (240 * x**8)
        + shift
    )


def lift(fn: Callable[[float], float], otherwise: float = math.nan) -> Callable[[Array], Array]:
    def call(v: float) -> float:
        try:
            return fn(v)
        except (ValueError, OverflowError):
            return otherwise

    return lambda x: np.array([call(float(v)) for v in x])


BIG = [
    0.0,
    -0.0,
    np.inf,
    -np.inf,
    np.nan,
    1e-42,
    -1e-42,
    1e-30,
    3e38,
    -3e38,
    100.0,
    -100.0,
    88.8,
    89.0,
    -103.9,
    -104.1,
    1.0,
    -1.0,
]
# op: reference, range of ordinary arguments, largest error allowed in float32 and in float64
MATH: dict[str, tuple[Callable[[Array], Array], float, float, float, float]] = {
    "exp": (np.exp, -104, 89, 1.5, 1.5),
    "exp2": (np.exp2, -150, 128, 1.5, 1.5),
    "expm1": (np.expm1, -20, 89, 2, 2),
    "log": (np.log, 0, 100, 1.5, 1.5),
    "log2": (np.log2, 0, 100, 1.5, 2),
    "log10": (np.log10, 0, 100, 1.5, 2),
    "log1p": (np.log1p, -1, 100, 2, 2),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 0, 100, 1.6, 1.6),
    "sin": (np.sin, -1000, 1000, 2, 2),
    "cos": (np.cos, -1000, 1000, 2, 2),
    "tan": (np.tan, -1000, 1000, 1.5, 2),
    "asin": (np.arcsin, -1, 1, 1.5, 2),
    "acos": (np.arccos, -1, 1, 1.5, 2),
    "atan": (np.arctan, -50, 50, 1.5, 2),
    "sinh": (np.sinh, -50, 50, 1.5, 2),
    "cosh": (np.cosh, -50, 50, 1.5, 2),
    "tanh": (np.tanh, -10, 10, 2, 2.5),
    "asinh": (np.arcsinh, -50, 50, 1.5, 2),
    "acosh": (np.arccosh, 1, 50, 1.5, 2),
    "atanh": (np.arctanh, -1, 1, 1.5, 2),
    "sigmoid": (
        lambda x: np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x))),
        -90,
        90,
        2,
        2.5,
    ),
    "erf": (lift(math.erf), -4, 4, 2, 2),
    "erfc": (lift(math.erfc), -4, 10, 2, 2),
    "lgamma": (lift(math.lgamma, math.inf), 3, 50, 1, 64),
    "digamma": (lift(digamma), 2, 50, 2, 64),
}
LONG = np.longdouble if np.finfo(np.longdouble).nmant > 60 else np.float64


@pytest.mark.parametrize("op", MATH)
def test_math(op: str) -> None:
    reference, low, high, bound32, bound64 = MATH[op]
    for dtype, bound in (("float32", bound32), ("float64", bound64)):
        rng = np.random.default_rng(3)
        x = rng.uniform(low, high, 4000).astype(dtype)
        near = (rng.uniform(-1, 1, 1000) * 10.0 ** rng.integers(-20, 0, 1000)).astype(dtype) + (
            1 if low in (0, 1) else 0
        )
        special = [v for v in BIG if op not in ("lgamma", "digamma", "tan", "sin", "cos") or abs(v) < 1e6]
        if op == "digamma":
            special, near = [0.0, -0.0, -2.5, np.inf, -3.0], near[:0]
        if op == "lgamma":
            special, near = [1.5, np.inf, 0.0], near[:0]
        x = np.concatenate([x, near, np.array(special).astype(dtype)])
        got = apply(op, [x], dtype)
        wide = x.astype(np.float64 if dtype == "float32" else LONG)
        exact = np.asarray(reference(wide))
        assert ulps(got, exact, dtype) <= bound, (op, dtype)


def test_trigonometry_of_huge_arguments() -> None:
    for dtype, op, fn in (("float32", "sin", np.sin), ("float64", "cos", np.cos), ("float32", "tan", np.tan)):
        x = np.array([1e10, 1e20, 3e38, -7e15, 0.5, 1e5, 60000.0, 8000.0, np.inf, np.nan] * 40).astype(dtype)
        exact = fn(x.astype(np.float64))
        assert ulps(apply(op, [x], dtype), exact, dtype) <= 2


def test_zeros_keep_their_sign() -> None:
    x = np.array([0.0, -0.0])
    for op in (
        "sin",
        "tan",
        "asin",
        "atan",
        "sinh",
        "tanh",
        "asinh",
        "atanh",
        "expm1",
        "log1p",
        "erf",
        "sqrt",
    ):
        for dtype in FLOATS:
            np.testing.assert_array_equal(
                np.signbit(apply(op, [x.astype(dtype)], dtype)), [False, True], err_msg=op
            )


@pytest.mark.parametrize("dtype", FLOATS)
def test_float_power(dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 50, 3000).astype(dtype), rng.uniform(-20, 20, 3000).astype(dtype)
    exact = np.power(x.astype(LONG), y.astype(LONG))
    assert ulps(apply("pow", [x, y], dtype), exact, dtype) <= 1.5
    edge = np.array(
        [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, np.inf, -np.inf, np.nan, 1e30, -1e30], dtype
    )
    a, b = (g.ravel() for g in np.meshgrid(edge, edge))
    want = np.power(a.astype(np.float64), b.astype(np.float64)).astype(dtype)
    got = apply("pow", [a, b], dtype)
    np.testing.assert_allclose(got, want, rtol=1e-7 if dtype == "float32" else 1e-15)
    np.testing.assert_array_equal(np.signbit(got)[~np.isnan(want)], np.signbit(want)[~np.isnan(want)])


@pytest.mark.parametrize("dtype", FLOATS)
def test_float_pairs(dtype: str) -> None:
    edge = np.array([0.0, -0.0, 1.0, -1.0, 2.5, -3.0, np.inf, -np.inf, np.nan, 1e-30, 1e30], dtype)
    a, b = (g.ravel() for g in np.meshgrid(edge, edge))
    a = np.concatenate([a, values(dtype)])
    b = np.concatenate([b, values(dtype, 5)])
    for op, fn in (("atan2", np.arctan2), ("hypot", np.hypot)):
        assert ulps(apply(op, [a, b], dtype), fn(a.astype(LONG), b.astype(LONG)), dtype) <= 1.5


def test_erfinv() -> None:
    for dtype, tolerance in (("float32", 1e-6), ("float64", 1e-12)):
        x = np.concatenate([np.linspace(-0.999, 0.999, 501), [1e-12, -1e-5]]).astype(dtype)
        got = apply("erfinv", [x], dtype).astype(np.float64)
        np.testing.assert_allclose([math.erf(v) for v in got], x.astype(np.float64), rtol=tolerance)
        same(
            apply("erfinv", [np.array([1, -1, 0, 1.5, np.nan], dtype)], dtype),
            np.array([np.inf, -np.inf, 0, np.nan, np.nan]),
        )


def test_complex_functions() -> None:
    x = values("complex128")[4:]
    names = {
        "asin": "arcsin",
        "acos": "arccos",
        "atan": "arctan",
        "asinh": "arcsinh",
        "acosh": "arccosh",
        "atanh": "arctanh",
    }
    direct = "exp exp2 expm1 log log2 log10 log1p sqrt sin cos tan sinh cosh tanh".split()
    for op in [*direct, *names]:
        want = getattr(np, names.get(op, op))(x)
        np.testing.assert_allclose(apply(op, [x], "complex128"), want, rtol=1e-11, err_msg=op)
        np.testing.assert_allclose(
            apply(op, [x.astype("complex64")], "complex64"), want, rtol=2e-3, err_msg=op
        )
    np.testing.assert_allclose(apply("sigmoid", [x], "complex128"), 1 / (1 + np.exp(-x)), rtol=1e-12)
    np.testing.assert_allclose(apply("rsqrt", [x], "complex128"), 1 / np.sqrt(x), rtol=1e-12)


def bf16_round(x: Array) -> Array:
    """float64 to bfloat16 bits, to nearest even, by exact arithmetic."""
    bits = x.astype(np.float32).view(np.uint32)
    base = (bits & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64)
    step = np.abs(
        ((bits & np.uint32(0xFFFF0000)) + np.uint32(0x10000)).view(np.float32).astype(np.float64) - base
    )
    odd = (bits >> 16) & 1
    rest = np.abs(x - base)
    up = (rest > step / 2) | ((rest == step / 2) & (odd == 1))
    return np.asarray((bits >> 16) + up, np.uint16)


def test_casts() -> None:
    real = ["bool", *INTS, *FLOATS]
    for source in [*real, "float16", *COMPLEX]:
        if source == "float16":
            x = values("float32").astype(np.float16)
        else:
            x = values(source)
        if x.dtype.kind in "fc":
            x = x[np.isfinite(x)]
            small = np.abs(x) < 120
        else:
            small = np.ones(len(x), bool)
        for to in [*real, "float16", *COMPLEX]:
            y = x
            if x.dtype.kind in "fc" and to in INTS:
                y = np.abs(x[small]).astype(x.dtype)
            want = (y.real if y.dtype.kind == "c" and to not in COMPLEX and to != "bool" else y).astype(to)
            same(apply("cast", [y], to), want)


def test_casts_to_bfloat16() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal(2000) * 10.0 ** rng.integers(-30, 30, 2000)
    half = (1 + np.arange(64) / 128) + 2.0**-8  # ties, and a bit beside them
    x = np.concatenate([x, half, half * (1 + 2.0**-40), half * (1 - 2.0**-40), [0.0, -0.0]])
    got = apply("cast", [x], "bfloat16", ["float64"])
    same(got, bf16_round(x))
    same(
        apply("cast", [x.astype(np.float32)], "bfloat16", ["float32"]),
        bf16_round(x.astype(np.float32).astype(np.float64)),
    )
    back = apply("cast", [got], "float32", ["bfloat16"])
    same(back, (got.astype(np.uint32) << 16).view(np.float32))
    special = np.array([np.inf, -np.inf, np.nan, 3.4e38], np.float32)
    out = (apply("cast", [special], "bfloat16", ["float32"]).astype(np.uint32) << 16).view(np.float32)
    same(out, np.array([np.inf, -np.inf, np.nan, np.inf], np.float32))
    for name in INTS:
        i = np.arange(0, 120, dtype=name)
        same(apply("cast", [i], "bfloat16", [name]), bf16_round(i.astype(np.float64)))
        same(apply("cast", [apply("cast", [i], "bfloat16", [name])], name, ["bfloat16"]), i)


def test_all_float16_values() -> None:
    every = np.arange(65536, dtype=np.uint16)
    wide = apply("cast", [every.view(np.float16)], "float32")
    same(wide, every.view(np.float16).astype(np.float32))
    edges = np.concatenate([wide, np.nextafter(wide, np.float32(np.inf)), np.nextafter(wide, np.float32(0))])
    same(apply("cast", [edges], "float16"), edges.astype(np.float16))
    half = np.concatenate([wide[:-1] * 0.5 + wide[1:] * 0.5]).astype(np.float64)
    both = np.concatenate([half, half * (1 + 2.0**-45), half * (1 - 2.0**-45)])
    same(apply("cast", [both], "float16"), both.astype(np.float16))


def test_where_and_bitcast() -> None:
    cond = values("bool")
    for dtype in [*ALL, "float16"]:
        x, y = (
            values("float32", k).astype("float16") if dtype == "float16" else values(dtype, k) for k in (2, 3)
        )
        same(apply("where", [cond, x, y], dtype), np.where(cond, x, y))
    x = values("float32")
    same(apply("bitcast", [x], "int32"), x.view(np.int32))


def test_every_opcode_has_its_loops() -> None:
    floats, ints = FLOATS, INTS
    table = {op: dtypes for op, (dtypes, _) in BINARY.items()} | {
        op: dtypes for op, (dtypes, _, _) in UNARY.items()
    }
    table |= {op: [*floats, *COMPLEX] for op in MATH if op not in ("erf", "erfc", "lgamma", "digamma")}
    table |= dict.fromkeys(
        ("erf", "erfc", "erfinv", "lgamma", "digamma", "atan2", "hypot", "copysign", "nextafter"), floats
    )
    table |= {
        "pow": [*ints, *floats, *COMPLEX],
        "where": list(DTYPES),
        "bitcast": list(DTYPES),
        "div": [*floats, *COMPLEX],
    }
    table |= {
        "iota": ["int64"],
        "philox32": ["uint64"],
        "philox64": ["uint64"],
        "abs": [*ints, *floats, *COMPLEX],
    }
    for op, dtypes in table.items():
        for dtype in dtypes:
            assert engine.has_opcode(op, DTYPES[dtype].code), (op, dtype)
    assert all(engine.has_opcode("cast", a.code, b.code) for a in DTYPES.values() for b in DTYPES.values())
    with pytest.raises(TypeError, match="opcode and is not defined"):
        apply("and", [np.zeros(3, np.float32)] * 2, "float32")
