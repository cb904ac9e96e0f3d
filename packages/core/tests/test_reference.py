"""The NumPy backend against Python's own numbers, published vectors and, where it is installed, PyTorch."""

from __future__ import annotations

import gc
import math
import operator
import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flambeau import dtypes as dt
from flambeau.devices import Device
from flambeau.errors import OutOfMemoryError
from flambeau.layout import contiguous_strides, spec_of
from flambeau.meta import MetaBackend
from flambeau.program import OPCODES, Instr, Program, TypedProgram, call, select
from flambeau.reference import ReferenceBackend
from flambeau.reference.arrays import as_array, cast, number, numerics
from flambeau.reference.opcodes import FUNCTIONS, SOURCES
from flambeau.reference.philox import philox4x32

BACKEND = ReferenceBackend()
DEVICE = Device("reference")
INTEGERS = [d for d in dt.DTYPES if d.is_integer]
NAN, INF = math.nan, math.inf


def empty(
    shape: tuple[int, ...], dtype: dt.DType, strides: tuple[int, ...] | None = None, offset: int = 0
) -> Any:
    """A tensor as kernels see it: a spec, memory and an offset."""
    spec = spec_of(dtype, shape, DEVICE, strides or contiguous_strides(shape))
    low, high = spec.extent()
    nbytes = (high - low + 1 + offset) * dtype.itemsize
    return SimpleNamespace(
        spec=spec, mem=SimpleNamespace(handle=BACKEND.allocate(nbytes, 0)), offset=offset - low
    )


def tensor(values: Any, dtype: dt.DType, **layout: Any) -> Any:
    if dtype is dt.bfloat16:
        data = cast(np.asarray(values, np.float32), dt.float32, dtype)
    else:
        data = np.asarray(values, dtype.name)
    t = empty(data.shape, dtype, **layout)
    as_array(t)[...] = data
    return t


def values(t: Any) -> np.ndarray[Any, Any]:
    a = as_array(t)
    return cast(a, dt.bfloat16, dt.float32) if t.spec.dtype is dt.bfloat16 else a


def run(fn: Any, *ins: Any, outs: tuple[dt.DType, ...] | None = None, scalars: tuple[Any, ...] = ()) -> Any:
    """Trace a function, run it on tensors, return the first result."""
    program = Program.trace(fn, len(ins), len(scalars)).typed([t.spec.dtype for t in ins], outs)
    made = [empty(tuple(ins[0].spec.shape), d) for d in program.outs]
    BACKEND.run_program(program, made, ins, scalars)
    return made[0]


def op(name: str, dtype: dt.DType, *operands: Any) -> list[Any]:
    """One instruction in exactly this dtype."""
    n = len(operands)
    rule = OPCODES[name]
    out = rule if isinstance(rule, dt.DType) else dt.bool_ if rule == "bool" else dtype
    if rule == "real" or (name == "abs" and dtype.is_complex):
        out = dtype.to_real()
    elif rule == "complex":
        out = dtype.to_complex()
    program = TypedProgram((dtype,) * n, (), (), (Instr(name, dtype, out, tuple(range(n))),), (n,), (out,))
    ins = [tensor(o, dtype) for o in operands]
    made = empty(tuple(ins[0].spec.shape), out)
    BACKEND.run_program(program, [made], ins, ())
    result: list[Any] = as_array(made).tolist()
    return result


def same(got: Any, want: Any, rel: float = 1e-15) -> None:
    assert got == pytest.approx(want, rel=rel, abs=0, nan_ok=True)


def test_every_opcode_has_a_meaning() -> None:
    assert set(FUNCTIONS) | set(SOURCES) | {"cast", "bitcast"} == set(OPCODES)


# Integers and bool against Python


def wrap(n: int, dtype: dt.DType) -> int:
    bits = dtype.itemsize * 8
    n %= 1 << bits
    return n - (1 << bits) if dtype.kind == "i" and n >> (bits - 1) else n


def fmod(a: int, b: int) -> int:
    return int(math.copysign(1, a)) * (abs(a) % abs(b)) if b else 0


PYTHON: dict[str, Any] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": lambda a, b: a // b if b else 0,
    "rem": lambda a, b: a % b if b else 0,
    "fmod": fmod,
    "pow": lambda a, b: a**b if b >= 0 else (a if b % 2 else 1) if abs(a) == 1 else 0,
    "maximum": max,
    "minimum": min,
    "fmax": max,
    "fmin": min,
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda d: d.name)
@pytest.mark.parametrize("name", PYTHON)
def test_integers(name: str, dtype: dt.DType) -> None:
    limits = dt.iinfo(dtype)
    some = [
        n for n in (0, 1, -1, 2, 3, -3, 7, -8, 100, limits.max, limits.min) if limits.min <= n <= limits.max
    ]
    pairs = [(a, b) for a in some for b in some]
    if name == "pow":
        pairs = [(a, b) for a, b in pairs if b <= 100]
    got = op(name, dtype, *zip(*pairs, strict=True))
    assert got == [wrap(PYTHON[name](a, b), dtype) for a, b in pairs]


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda d: d.name)
def test_integers_with_one_operand(dtype: dt.DType) -> None:
    limits = dt.iinfo(dtype)
    some = [limits.min, limits.max, 0, 1, 5]
    assert op("neg", dtype, some) == [wrap(-n, dtype) for n in some]
    assert op("abs", dtype, some) == [wrap(abs(n), dtype) for n in some]
    assert op("sign", dtype, some) == [(n > 0) - (n < 0) for n in some]
    assert op("not", dtype, some) == [wrap(~n, dtype) for n in some]
    assert op("signbit", dtype, some) == [n < 0 for n in some]
    assert op("round", dtype, some) == some


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda d: d.name)
def test_shifts(dtype: dt.DType) -> None:
    bits = dtype.itemsize * 8
    counts = [0, 1, bits - 1, bits, bits + 1, 100] + ([-1, -5] if dtype.kind == "i" else [])
    for n in (5, dt.iinfo(dtype).max, dt.iinfo(dtype).min):
        left = [wrap(n << c, dtype) if 0 <= c < bits else 0 for c in counts]
        right = [n >> c if 0 <= c < bits else -1 if n < 0 else 0 for c in counts]
        assert op("shl", dtype, [n] * len(counts), counts) == left
        assert op("shr", dtype, [n] * len(counts), counts) == right


def test_bool() -> None:
    a, b = [False, False, True, True], [False, True, False, True]
    for name, want in {
        "add": [0, 1, 1, 1],
        "mul": [0, 0, 0, 1],
        "and": [0, 0, 0, 1],
        "or": [0, 1, 1, 1],
        "xor": [0, 1, 1, 0],
        "maximum": [0, 1, 1, 1],
        "fmin": [0, 0, 0, 1],
        "eq": [1, 0, 0, 1],
        "lt": [0, 1, 0, 0],
    }.items():
        assert op(name, dt.bool_, a, b) == [bool(w) for w in want], name
    assert op("not", dt.bool_, a) == [True, True, False, False]


# Floats against the math module


def guarded(fn: Any) -> Any:
    def value(*args: float) -> float:
        try:
            return float(fn(*args))
        except ValueError:
            return NAN

    return value


UNARY = {
    name: guarded(getattr(math, name))
    for name in "exp exp2 expm1 log2 log10 log1p sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
    "erf erfc lgamma".split()
} | {
    "log": guarded(math.log),
    "neg": operator.neg,
    "abs": abs,
    "sign": lambda x: (x > 0) - (x < 0),
    "rsqrt": guarded(lambda x: 1 / math.sqrt(x)),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "floor": math.floor,
    "ceil": math.ceil,
    "trunc": math.trunc,
    "round": round,
}
BINARY = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "floordiv": operator.floordiv,
    "rem": operator.mod,
    "fmod": math.fmod,
    "pow": guarded(lambda a, b: NAN if a < 0 and b != int(b) else a**b),
    "maximum": max,
    "minimum": min,
    "fmax": max,
    "fmin": min,
    "atan2": math.atan2,
    "hypot": math.hypot,
    "copysign": math.copysign,
}
SOME = [0.3, 1.5, 2.5, -0.75, -3.25, 12.0, 0.0009765625, 1.0, -1.5]


@pytest.mark.parametrize("dtype", [dt.float32, dt.float64], ids=lambda d: d.name)
@pytest.mark.parametrize("name", UNARY)
def test_floats_with_one_operand(name: str, dtype: dt.DType) -> None:
    some = np.array(SOME, dtype.name)
    want = np.array([UNARY[name](x) if x != 1 or name != "atanh" else INF for x in some.tolist()], dtype.name)
    slack = 50 if name == "lgamma" else 3  # Python's loses digits between 1 and 2
    same(op(name, dtype, some), want.tolist(), dt.finfo(dtype).eps * (1 if dtype is dt.float32 else slack))


@pytest.mark.parametrize("dtype", [dt.float32, dt.float64], ids=lambda d: d.name)
@pytest.mark.parametrize("name", BINARY)
def test_floats_with_two_operands(name: str, dtype: dt.DType) -> None:
    a, b = (x.reshape(-1) for x in np.meshgrid(np.array(SOME, dtype.name), np.array(SOME, dtype.name)))
    want = np.array([BINARY[name](x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)])
    same(op(name, dtype, a, b), want.astype(dtype.name).tolist(), dt.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [dt.float32, dt.float64], ids=lambda d: d.name)
def test_special_values(dtype: dt.DType) -> None:
    same(op("maximum", dtype, [1, NAN, NAN], [NAN, 1, NAN]), [NAN] * 3)
    same(op("minimum", dtype, [1, NAN, NAN], [NAN, 1, NAN]), [NAN] * 3)
    same(op("fmax", dtype, [1, NAN, NAN], [NAN, 1, NAN]), [1, 1, NAN])
    same(op("fmin", dtype, [1, NAN, NAN], [NAN, 1, NAN]), [1, 1, NAN])
    same(op("div", dtype, [1, -1, 0], [0, 0, 0]), [INF, -INF, NAN])
    same(op("floordiv", dtype, [1, -1, 0, 5, -5], [0, 0, 0, INF, INF]), [INF, -INF, NAN, 0, -1])
    same(op("rem", dtype, [1, -5, 5, NAN], [0, INF, INF, 1]), [NAN, INF, 5, NAN])
    same(op("log", dtype, [0, -1, INF]), [-INF, NAN, INF])
    same(op("sqrt", dtype, [-1, INF]), [NAN, INF])
    same(op("rsqrt", dtype, [0, INF, -1]), [INF, 0, NAN])
    same(op("sign", dtype, [NAN, -INF, -0.0]), [NAN, -1, 0])
    same(op("exp", dtype, [1000, -1000, NAN]), [INF, 0, NAN])
    same(op("sigmoid", dtype, [1000, -1000, NAN]), [1, 0, NAN])
    same(op("erf", dtype, [INF, -INF, NAN, 0]), [1, -1, NAN, 0])
    same(op("erfc", dtype, [INF, -INF, NAN, 0]), [0, 2, NAN, 1])
    same(op("erfinv", dtype, [1, -1, 2, NAN, 0]), [INF, -INF, NAN, NAN, 0])
    same(op("lgamma", dtype, [0, -1, INF, -INF, NAN, 1, 2]), [INF, INF, INF, INF, NAN, 0, 0])
    same(op("digamma", dtype, [0.0, -0.0, -1, INF, -INF, NAN]), [-INF, INF, NAN, INF, NAN, NAN])
    same(op("pow", dtype, [0, 0, -1, INF], [0, -1, INF, 0]), [1, INF, 1, 1])
    assert op("isnan", dtype, [NAN, INF, 1]) == [True, False, False]
    assert op("isinf", dtype, [NAN, -INF, 1]) == [False, True, False]
    assert op("isfinite", dtype, [NAN, INF, 1]) == [False, False, True]
    assert op("signbit", dtype, [-0.0, 0.0, -INF, 1]) == [True, False, True, False]
    assert op("eq", dtype, [NAN, 1], [NAN, 1]) == [False, True]
    assert op("ne", dtype, [NAN, 1], [NAN, 1]) == [True, False]
    assert op("ge", dtype, [NAN, 1], [NAN, 1]) == [False, True]
    assert op("round", dtype, [0.5, 1.5, 2.5, -0.5]) == [0, 2, 2, 0]
    after = np.nextafter(np.array(1, dtype.name), np.array(2, dtype.name)).item()
    assert op("nextafter", dtype, [1], [2]) == [after]
    assert after == 1 + dt.finfo(dtype).eps


def test_special_functions_have_full_precision() -> None:
    mp = pytest.importorskip("mpmath")
    x = [
        1e-300,
        1e-5,
        0.2,
        0.5,
        0.9,
        1 + 1e-9,
        1.4616,
        1.47,
        1.9999,
        2.0001,
        2.6,
        5.5,
        7.9999,
        8.0,
        33.3,
        1e9,
    ]
    with mp.workdps(40):
        same(op("lgamma", dt.float64, x), [float(mp.loggamma(v)) for v in x], 2e-15)
        same(op("digamma", dt.float64, x), [float(mp.digamma(v)) for v in x], 1e-14)
        same(op("digamma", dt.float64, [-0.3, -7.2]), [float(mp.digamma(v)) for v in (-0.3, -7.2)], 1e-14)
        p = [1e-300, -1e-9, 0.1, 0.5, -0.7, 0.999, 1 - 2**-53]
        same(op("erfinv", dt.float64, p), [float(mp.erfinv(v)) for v in p], 1e-15)
        same(op("erfc", dt.float64, x[:-2]), [float(mp.erfc(v)) for v in x[:-2]], 1e-14)


# Complex numbers


@pytest.mark.parametrize("dtype", [dt.complex64, dt.complex128], ids=lambda d: d.name)
def test_complex(dtype: dt.DType) -> None:
    import cmath

    eps = dt.finfo(dtype.to_real()).eps
    z = [1 + 2j, -0.5 + 0.25j, 0.1 - 3j, 2 + 0j]
    w = [0.5 - 1j, 2j, -1 + 1j, 3 + 0j]

    def check(name: str, want: list[Any], *operands: Any) -> None:
        np.testing.assert_allclose(op(name, dtype, *operands), want, rtol=4 * eps, atol=4 * eps, err_msg=name)

    for name in "exp log log10 sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh".split():
        check(name, [getattr(cmath, name)(v) for v in z], z)
    check("log2", [cmath.log(v) / math.log(2) for v in z], z)
    check("exp2", [2**v for v in z], z)
    check("expm1", [cmath.exp(v) - 1 for v in z], z)
    check("log1p", [cmath.log(1 + v) for v in z], z)
    check("rsqrt", [1 / cmath.sqrt(v) for v in z], z)
    check("sigmoid", [1 / (1 + cmath.exp(-v)) for v in z], z)
    check("sigmoid", [0, 1], [-1000 + 1j, 1000 + 1j])
    check("angle", [cmath.phase(v) for v in z], z)
    check("abs", [abs(v) for v in z], z)
    check("conj", [v.conjugate() for v in z], z)
    check("real", [v.real for v in z], z)
    check("imag", [v.imag for v in z], z)
    check("neg", [-v for v in z], z)
    for name in ("add", "sub", "mul", "div", "pow"):
        fn = {"div": operator.truediv}.get(name) or getattr(operator, name)
        check(name, [fn(a, b) for a, b in zip(z, w, strict=True)], z, w)
    assert op("eq", dtype, z, [1 + 2j, 0, 0, 2]) == [True, False, False, True]
    assert op("isnan", dtype, [complex(0, NAN), 1j]) == [True, False]
    assert op("complex", dtype.to_real(), [1, 2], [3, -4]) == [1 + 3j, 2 - 4j]
    tiny = op("log1p", dt.complex128, [1e-12 + 1e-12j])[0]
    assert tiny == pytest.approx(1e-12 + 1e-12j, rel=1e-11, abs=0)


# Casts


def test_bfloat16_rounds_to_nearest_even() -> None:
    bits = [
        0x3F800000,
        0x3F808000,
        0x3F818000,
        0x3F808001,
        0x3F807FFF,
        0x7F7FFFFF,
        0x7F800000,
        0x80000001,
        0x00008001,
    ]
    want = [0x3F80, 0x3F80, 0x3F82, 0x3F81, 0x3F80, 0x7F80, 0x7F80, 0x8000, 0x0001]
    floats = np.array(bits, np.uint32).view(np.float32)
    assert cast(floats, dt.float32, dt.bfloat16).tolist() == want
    for nan in (0x7FC00000, 0xFFC00001, 0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF):
        word = cast(np.array([nan], np.uint32).view(np.float32), dt.float32, dt.bfloat16)
        back = cast(word, dt.bfloat16, dt.float32)
        assert np.isnan(back[0])
        assert np.signbit(back[0]) == (nan >> 31)
    every = np.arange(65536, dtype=np.uint16)
    numbers = cast(every, dt.bfloat16, dt.float32)
    again = cast(numbers, dt.float32, dt.bfloat16)
    assert (again == every)[~np.isnan(numbers)].all()


def test_float16() -> None:
    x = tensor([1.0, 65504.0, 65520.0, 2.0**-24, 2.0**-26, 1 + 2.0**-11, 1 + 3 * 2.0**-11], dt.float32)
    out = empty((7,), dt.float16)
    BACKEND.copy(out, x)
    assert values(out).tolist() == [struct.unpack("e", struct.pack("e", v))[0] for v in (1.0, 65504.0)] + [
        INF,
        2.0**-24,
        0.0,
        1.0,
        1 + 2.0**-9,
    ]


def test_arithmetic_in_16_bits_rounds_once() -> None:
    for dtype, bits in ((dt.float16, 10), (dt.bfloat16, 7)):
        a, b = tensor([1.0, 3.0], dtype), tensor([2.0**-bits, 1.0], dtype)
        # The product and the sum are rounded to float32 between, to 16 bits only at the end.
        got = values(run(lambda x, y: (x + y / 2) + y / 2, a, b))
        assert got.tolist() == [1 + 2.0**-bits, 4.0]


@pytest.mark.parametrize("to", INTEGERS, ids=lambda d: d.name)
def test_float_to_integer(to: dt.DType) -> None:
    limits = dt.iinfo(to)
    inside = [v for v in (0.0, 1.9, -1.9, 100.5, -100.5, 3e4) if limits.min <= int(v) <= limits.max]
    got = cast(np.array(inside), dt.float64, to).tolist()
    assert got == [int(v) for v in inside]
    # What x86 makes of the rest: the low bits of the next int32 or int64, or of its lowest number.
    wide = 63 if to.name in ("int64", "uint32", "uint64") else 31
    lowest = -(2**wide)
    for v in (NAN, INF, -INF, 3e9, -3e9, 1e19, 1e30, -1.0, 300.0):
        whole = int(v) if math.isfinite(v) and -(2.0**wide) <= v < 2.0**wide else lowest
        if to.name == "uint64" and v >= 2.0**63:
            whole = int(v) if v < 2.0**64 else 0
        with numerics("cast"):
            assert cast(np.array([v]), dt.float64, to).tolist() == [wrap(whole, to)], v


def test_casts_between_all_dtypes() -> None:
    for source in dt.DTYPES:
        for to in dt.DTYPES:
            out = empty((3,), to)
            BACKEND.copy(out, tensor([0, 1, 3], source))
            high = source is dt.bool_ or to is dt.bool_
            assert values(out).tolist() == ([0, 1, 1] if high else [0, 1, 3]), (source, to)
    assert cast(np.array([NAN, 0.0, -0.0, 0.1]), dt.float64, dt.bool_).tolist() == [True, False, False, True]
    assert cast(np.array([2j, 0]), dt.complex128, dt.bool_).tolist() == [True, False]
    assert cast(np.array([1.9 + 2j]), dt.complex128, dt.int8).tolist() == [1]
    assert cast(np.array([-1, 300]), dt.int64, dt.uint8).tolist() == [255, 44]


def test_bitcast() -> None:
    bits = run(lambda x: x.bits_as(dt.uint32), tensor([1.0, -0.0], dt.float32))
    assert as_array(bits).tolist() == [0x3F800000, 0x80000000]


def test_numbers_fit_their_dtypes() -> None:
    given = {
        dt.uint64: -1,
        dt.int64: 2**63,
        dt.uint8: 300,
        dt.int8: 200,
        dt.bool_: 7,
        dt.float32: 2,
        dt.complex64: 1,
    }
    program = TypedProgram((), tuple(given), (), (), (), ())
    assert program.fit(list(given.values())) == [2**64 - 1, -(2**63), 44, -56, True, 2.0, 1 + 0j]
    assert number(1.5, dt.bfloat16).tolist() == [0x3FC0]


# Programs


def test_sources() -> None:
    x = tensor(np.zeros((2, 3)), dt.float32)
    assert as_array(run(lambda a: call("iota"), x)).tolist() == [[0, 1, 2], [3, 4, 5]]
    constant = run(lambda a: call("add", 2, 3).to(dt.int16), x)
    assert as_array(constant).tolist() == [[5] * 3] * 2


VECTORS = [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), VECTORS)
def test_philox_vectors(counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]) -> None:
    got = philox4x32([np.array([c], np.uint64) for c in counter], key)
    assert tuple(int(w[0]) for w in got) == words


def test_philox_words_of_tensors() -> None:
    def block(seed: int, stream: int, q: int) -> list[int]:
        counter = (q & 0xFFFFFFFF, q >> 32, stream & 0xFFFFFFFF, stream >> 32)
        got = philox4x32([np.array([c], np.uint64) for c in counter], (seed & 0xFFFFFFFF, seed >> 32))
        return [int(w[0]) for w in got]

    def words(name: str, shape: tuple[int, ...], seed: int, stream: int) -> list[int]:
        program = Program.trace(lambda s, k: call(name, s, k), 0, 2).typed((), scalars=(dt.uint64, dt.uint64))
        out = empty(shape, program.outs[0])
        BACKEND.run_program(program, [out], [], (seed, stream))
        flat: list[int] = as_array(out).reshape(-1).tolist()
        return flat

    seed, stream = 2**40 + 1, 2**33 + 7
    blocks = [block(seed, stream, q) for q in range(4)]
    assert words("philox32", (3, 5), seed, stream) == [w for b in blocks for w in b][:15]
    assert (
        words("philox64", (7,), seed, stream) == [b[k] | b[k + 1] << 32 for b in blocks for k in (0, 2)][:7]
    )
    assert words("philox32", (), 0, 0) == [0x6627E8D5]
    assert words("philox32", (0, 3), 0, 0) == []
    assert f"{words('philox64', (1,), 42, 3)[0]:016x}" == "72148a910a51a6b2"


def test_strides() -> None:
    # A transposed, reversed and repeated operand, and an output with gaps.
    a = tensor([[1.0, 2, 3], [4, 5, 6]], dt.float32, strides=(1, 2))
    b = tensor([[1.0, 2, 3], [4, 5, 6]], dt.float32, strides=(-3, -1), offset=2)
    c = tensor([10.0], dt.float32)
    c.spec = spec_of(dt.float32, (2, 3), DEVICE, (0, 0))
    out = empty((2, 3), dt.float32, strides=(-10, 3))
    program = Program.trace(lambda x, y, z: x * z + y, 3).typed((dt.float32,) * 3)
    BACKEND.run_program(program, [out], [a, b, c], ())
    assert as_array(out).tolist() == [[11, 22, 33], [44, 55, 66]]


def test_outputs_may_lie_on_inputs() -> None:
    a, b = tensor([1.0, 2.0], dt.float32), tensor([3.0, 4.0], dt.float32)
    swap = Program.trace(lambda x, y: (y, x), 2).typed((dt.float32, dt.float32))
    BACKEND.run_program(swap, [a, b], [a, b], ())
    assert (as_array(a).tolist(), as_array(b).tolist()) == ([3, 4], [1, 2])
    line = tensor([1.0, 2, 3, 4], dt.float32)
    view: Any = SimpleNamespace(spec=spec_of(dt.float32, (3,), DEVICE), mem=line.mem, offset=0)
    shifted: Any = SimpleNamespace(spec=view.spec, mem=line.mem, offset=1)
    BACKEND.copy(shifted, view)
    assert as_array(line).tolist() == [1, 1, 2, 3]


def test_scalars_select_and_dimensionless_tensors() -> None:
    x = tensor(-2.0, dt.float32)
    assert as_array(run(lambda a, s: select(a < 0, a * s, a), x, scalars=(0.5,))).tolist() == -1
    n = tensor(2**31 - 1, dt.int32)
    assert as_array(run(lambda a: a + 1, n)).tolist() == -(2**31)


# Reductions, scans


def reduced(kind: str, data: Any, dtype: dt.DType, dims: tuple[int, ...], to: dt.DType | None = None) -> Any:
    src = tensor(data, dtype)
    shape = tuple(n for d, n in enumerate(src.spec.shape) if d not in dims)
    out = empty(shape, to or dtype)
    BACKEND.reduce(kind, out, src, dims)
    return values(out).tolist()


def test_reduce() -> None:
    x = [[1.0, 5.0, 2.0], [4.0, 3.0, 9.0]]
    assert reduced("sum", x, dt.float32, (0,)) == [5, 8, 11]
    assert reduced("sum", x, dt.bfloat16, (0, 1)) == 24
    assert reduced("prod", x, dt.int8, (1,), dt.int64) == [10, 108]
    assert reduced("sum", [True, True], dt.bool_, (0,), dt.int64) == 2
    assert reduced("sum", [200, 100], dt.uint8, (0,)) == 44
    assert reduced("max", x, dt.float16, (1,)) == [5, 9]
    assert reduced("min", x, dt.bfloat16, (0,)) == [1, 3, 2]
    same(reduced("max", [1, NAN, 2], dt.bfloat16, (0,)), NAN)
    same(reduced("min", [1, NAN, 2], dt.float32, (0,)), NAN)
    assert reduced("argmax", [[1, 3, 3], [NAN, NAN, 5]], dt.float32, (1,), dt.int64) == [1, 0]
    assert reduced("argmin", [[3, 1, 1], [9, NAN, 5]], dt.bfloat16, (1,), dt.int64) == [1, 1]
    assert reduced("argmax", [[1, 3], [4, 3]], dt.int32, (0,), dt.int64) == [1, 0]
    assert reduced("any", [[0, 0], [0, NAN]], dt.float32, (1,), dt.bool_) == [False, True]
    assert reduced("all", [[1, 1], [1, 0]], dt.int16, (1,), dt.bool_) == [True, False]
    assert reduced("sum", np.zeros((0, 2)), dt.float32, (0,)) == [0, 0]
    assert reduced("prod", np.zeros((0,)), dt.float32, (0,)) == 1
    assert reduced("all", np.zeros((0,)), dt.float32, (0,), dt.bool_) is True
    assert reduced("sum", 3.0, dt.float32, ()) == 3
    assert reduced("sum", [1 + 1j, 2 - 3j], dt.complex64, (0,)) == 3 - 2j
    assert (
        reduced("sum", np.full((1000, 10), 0.1), dt.float16, (0,)) == [100] * 10
    )  # 0.1 in 16 bits is 0.09998


def scanned(kind: str, data: Any, dtype: dt.DType, dim: int = 0, to: dt.DType | None = None) -> Any:
    src = tensor(data, dtype)
    out = empty(tuple(src.spec.shape), to or dtype)
    BACKEND.scan(kind, out, src, dim)
    return values(out).tolist()


def test_scan() -> None:
    assert scanned("cumsum", [[1, 2], [3, 4]], dt.int8, 0, dt.int64) == [[1, 2], [4, 6]]
    assert scanned("cumsum", [[1, 2], [3, 4]], dt.bfloat16, 1) == [[1, 3], [3, 7]]
    assert scanned("cumprod", [1, 2, 3], dt.float32) == [1, 2, 6]
    assert scanned("cumsum", 5.0, dt.float32) == 5
    assert scanned("cumsum", [True, True], dt.bool_, 0, dt.int64) == [1, 2]
    same(scanned("logcumsumexp", [0.0, 0.0, -INF], dt.float64), [0, math.log(2), math.log(2)])
    same(
        scanned("logcumsumexp", [-INF, -INF, 1000, 1000], dt.float64), [-INF, -INF, 1000, 1000 + math.log(2)]
    )
    got = np.array(scanned("logcumsumexp", [1j, -1j], dt.complex128))
    np.testing.assert_allclose(np.exp(got), np.cumsum(np.exp([1j, -1j])), rtol=1e-14)


def test_scan2() -> None:
    src = tensor([1, 2, 2, 1, NAN, 3, NAN], dt.bfloat16)
    out, place = empty((7,), dt.bfloat16), empty((7,), dt.int64)
    BACKEND.scan2("cummax", out, place, src, 0)
    same(values(out).tolist(), [1, 2, 2, 2, NAN, NAN, NAN])
    assert as_array(place).tolist() == [0, 1, 2, 2, 4, 4, 6]
    src = tensor([[3, 1], [3, 0]], dt.int32)
    out, place = empty((2, 2), dt.int32), empty((2, 2), dt.int64)
    BACKEND.scan2("cummin", out, place, src, 0)
    assert as_array(out).tolist() == [[3, 1], [3, 0]]
    assert as_array(place).tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize(
    "dtype",
    [dt.bool_, dt.uint8, dt.int32, dt.int64, dt.float16, dt.bfloat16, dt.float32, dt.float64, dt.complex64],
    ids=lambda d: d.name,
)
def test_matmul(dtype: dt.DType) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 2 if dtype is dt.bool_ else 4, s) for s in ((2, 3, 4), (2, 4, 5)))
    out = empty((2, 3, 5), dtype)
    BACKEND.matmul(out, tensor(a, dtype, strides=(12, 1, 3)), tensor(b, dtype))
    want = a @ b
    assert (values(out) == (want > 0 if dtype is dt.bool_ else want)).all()
    none = empty((2, 3, 5), dtype)
    BACKEND.matmul(none, tensor(np.zeros((2, 3, 0)), dtype), tensor(np.zeros((2, 0, 5)), dtype))
    assert not values(none).any()


# Indices


def test_gather() -> None:
    src = tensor([[1, 2, 3], [4, 5, 6]], dt.bfloat16)
    out = empty((1, 3), dt.bfloat16)
    BACKEND.gather(out, src, 0, tensor([[1, 0, 1]], dt.int64))
    assert values(out).tolist() == [[4, 2, 6]]
    out = empty((), dt.float32)
    BACKEND.gather(out, tensor(7.0, dt.float32), 0, tensor(0, dt.int64))
    assert as_array(out).tolist() == 7
    BACKEND.gather(empty((0,), dt.float32), tensor([1.0], dt.float32), 0, tensor([], dt.int64))


def test_bad_indices() -> None:
    src = tensor([[1, 2, 3], [4, 5, 6]], dt.float32)
    out = empty((2, 2), dt.float32)
    text = r"\[gather\] index out of bounds for dimension 1 with size 3: got 3 at position \[1, 0\] .*needed: a number"
    with pytest.raises(IndexError, match=text):
        BACKEND.gather(out, src, 1, tensor([[0, 2], [3, -1]], dt.int64))
    before = as_array(src).tolist()
    with pytest.raises(IndexError, match=r"\[scatter\] .* got -1 at position \[0, 1\]"):
        BACKEND.scatter(src, 1, tensor([[0, -1], [2, 9]], dt.int64), out, None)
    assert as_array(src).tolist() == before
    with pytest.raises(IndexError, match="size 0: got 0 .* an empty index"):
        BACKEND.gather(empty((1,), dt.float32), empty((0,), dt.float32), 0, tensor([0], dt.int64))


@pytest.mark.parametrize("dtype", [dt.int32, dt.float16, dt.bfloat16, dt.float32], ids=lambda d: d.name)
def test_scatter(dtype: dt.DType) -> None:
    def put(reduce: str | None, start: Any, index: Any, src: Any, dim: int = 0) -> Any:
        out = tensor(start, dtype)
        BACKEND.scatter(out, dim, tensor(index, dt.int64), tensor(src, dtype), reduce)
        return values(out).tolist()

    assert put(None, [0, 0, 0], [1, 1, 0], [5, 6, 7]) == [7, 6, 0]
    assert put("sum", [1, 1, 1], [1, 1, 0], [5, 6, 7]) == [8, 12, 1]
    assert put("prod", [2, 2, 2], [1, 1, 0], [5, 6, 7]) == [14, 60, 2]
    assert put("amax", [6, 6, 6], [1, 1, 0], [5, 8, 7]) == [7, 8, 6]
    assert put("amin", [6, 6, 6], [1, 1, 0], [5, 4, 7]) == [6, 4, 6]
    assert put(None, [[0, 0], [0, 0]], [[1, 0]], [[1, 2], [3, 4]], 0) == [[0, 2], [1, 0]]
    assert put("sum", [[0, 0], [0, 0]], [[1, 1], [0, 0]], [[1, 2], [3, 4]], 1) == [[0, 3], [7, 0]]
    assert put(None, 0, 0, 3) == 3


def test_scatter_goes_in_the_order_of_the_index() -> None:
    index = tensor(np.zeros((50, 40), np.int64), dt.int64, strides=(1, 50))
    src = tensor(np.arange(2000).reshape(50, 40), dt.int64, strides=(1, 50))
    out = tensor(np.zeros((1, 40)), dt.int64)
    BACKEND.scatter(out, 0, index, src, None)
    assert as_array(out).tolist() == [list(range(1960, 2000))]


@pytest.mark.parametrize("dtype", [dt.bfloat16, dt.float32], ids=lambda d: d.name)
def test_sort(dtype: dt.DType) -> None:
    src = tensor([3, NAN, 1, 3, NAN, 2], dtype)
    out, place = empty((6,), dtype), empty((6,), dt.int64)
    BACKEND.sort(out, place, src, 0, False, True)
    same(values(out).tolist(), [1, 2, 3, 3, NAN, NAN])
    assert as_array(place).tolist() == [2, 5, 0, 3, 1, 4]
    BACKEND.sort(out, place, src, 0, True, True)
    same(values(out).tolist(), [NAN, NAN, 3, 3, 2, 1])
    assert as_array(place).tolist() == [1, 4, 0, 3, 5, 2]


def test_sort_along_a_dimension() -> None:
    src = tensor([[3, 1], [2, 2], [3, 0]], dt.uint8)
    out, place = empty((3, 2), dt.uint8), empty((3, 2), dt.int64)
    BACKEND.sort(out, place, src, 0, True, True)
    assert as_array(out).tolist() == [[3, 2], [3, 1], [2, 0]]
    assert as_array(place).tolist() == [[0, 1], [2, 0], [1, 2]]


# Against PyTorch


@pytest.mark.parity
def test_parity_with_pytorch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(size=200) * 3, [0.0, -0.0, 1, -1, 2, -2, INF, -INF, NAN, 1e-30, 40, -40]])
    y = np.roll(x, 7)
    unary = "asin exp2 expm1 rsqrt sigmoid erf erfc erfinv digamma lgamma round tanh acosh atanh log1p trunc"
    for name in unary.split():
        want = getattr(torch, name)(torch.tensor(x)).numpy()
        np.testing.assert_allclose(op(name, dt.float64, x), want, rtol=1e-10, atol=1e-13, err_msg=name)
    for name in "floordiv rem fmod pow maximum fmin atan2 hypot copysign nextafter".split():
        theirs = {"floordiv": "floor_divide", "rem": "remainder"}.get(name, name)
        want = getattr(torch, theirs)(torch.tensor(x), torch.tensor(y)).numpy()
        np.testing.assert_allclose(op(name, dt.float64, x, y), want, rtol=1e-12, atol=1e-14, err_msg=name)
    for to in (dt.int32, dt.int64, dt.uint8, dt.bool_, dt.float16):
        with numerics("cast"):
            got = cast(x, dt.float64, to)
        assert np.array_equal(
            got, torch.tensor(x).to(getattr(torch, to.name)).numpy(), equal_nan=to is dt.float16
        )
    single = x.astype(np.float32)
    words = torch.tensor(single).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    words = np.where(np.isnan(single), 0x7FC0, words)  # PyTorch's vectorised code makes another NaN
    assert np.array_equal(cast(single, dt.float32, dt.bfloat16), words)


# Memory


def test_memory_is_counted() -> None:
    backend = ReferenceBackend()
    a, b = backend.allocate(1000, 0), backend.allocate(24, 0)
    assert a.ctypes.data % 64 == b.ctypes.data % 64 == 0
    assert a.nbytes == 1000
    stats = backend.memory_stats(0)
    assert (stats["allocated"], stats["peak"], stats["allocations"]) == (1024, 1024, 2)
    backend.free(a, 1000, 0)
    stats = backend.memory_stats(0)
    assert (stats["allocated"], stats["peak"], stats["allocations"]) == (24, 1024, 1)
    backend.reset_peak()
    assert backend.memory_stats(0)["peak"] == 24
    assert backend.allocate(0, 0).nbytes == 0


def test_out_of_memory() -> None:
    backend = ReferenceBackend()
    backend.account.limit = 100
    backend.allocate(60, 0)
    with pytest.raises(
        OutOfMemoryError, match=r"out of memory on reference: got a request for 50 bytes with 60 .*limit 100"
    ):
        backend.allocate(50, 0)
    backend.account.limit = None
    for nbytes in (1 << 60, 1 << 63, 1 << 70):
        with pytest.raises(OutOfMemoryError, match="Free tensors"):
            backend.allocate(nbytes, 0)
    assert backend.memory_stats(0)["allocated"] == 60
    assert backend.allocate(40, 0).nbytes == 40
    with pytest.raises(OutOfMemoryError, match=r"\[sum\]"), numerics("sum"):
        raise MemoryError("no.")


def test_host_memory() -> None:
    backend = ReferenceBackend()
    handle = backend.allocate(8, 0)
    backend.copy_in(handle, 0, np.arange(4, dtype=np.complex128).view(np.uint8)[:8])
    backend.copy_in(handle, 4, b"\x01\x02")
    backend.copy_in(handle, 8, b"")
    out = backend.copy_out(handle, 4, 2)
    assert bytes(out) == b"\x01\x02"
    other = backend.allocate(8, 0)
    backend.copy_across(other, handle, 8)
    assert bytes(other) == bytes(handle)
    mem: Any = SimpleNamespace(handle=handle)
    view = backend.host_buffer(mem)
    assert view is not None
    view[0] = 9
    assert handle[0] == 9

    owner = np.arange(3, dtype=np.int32)
    wrapped = backend.wrap_host(owner.ctypes.data, owner.nbytes, owner)
    wrapped[0] = 7
    assert owner[0] == 7
    del owner
    gc.collect()
    assert wrapped.view(np.int32).tolist() == [7, 1, 2]
    assert backend.wrap_host(0, 0, None).nbytes == 0
    assert backend.properties(0)["threads"] == 1


def test_meta_has_shapes_and_no_data() -> None:
    backend = MetaBackend()
    assert backend.allocate(1 << 60, 0) is None
    backend.free(None, 1 << 60, 0)
    backend.copy_in(None, 0, b"abc")
    with pytest.raises(RuntimeError, match=r"Cannot copy out of meta tensor; no data: .* needed: "):
        backend.copy_out(None, 0, 4)
    fn = backend.kernel("softmax", (), {})
    assert fn is not None
    assert fn((), (), {}) is None
    big: Any = SimpleNamespace(spec=spec_of(dt.float32, (1 << 40,), Device("meta")), mem=None, offset=0)
    program = Program.trace(lambda x: x + 1, 1).typed((dt.float32,))
    backend.run_program(program, [big], [big], ())
    backend.copy(big, big)
    backend.reduce("sum", big, big, (0,))
    backend.scan("cumsum", big, big, 0)
    backend.scan2("cummax", big, big, big, 0)
    backend.matmul(big, big, big)
    backend.gather(big, big, 0, big)
    backend.scatter(big, 0, big, big, None)
    backend.sort(big, big, big, 0, False, True)
