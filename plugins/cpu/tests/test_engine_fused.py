"""Programs as machine code give what the interpreter gives, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from test_engine_support import DTYPES, Program, run

from flambeau_cpu import engine
from flambeau_cpu._C import lib

F, I, U, B = DTYPES["float32"], DTYPES["int32"], DTYPES["uint32"], DTYPES["bool"]
SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.5,
    -2.5,
    np.inf,
    -np.inf,
    np.nan,
    3e38,
    -3e38,
    1e-40,
    1e9,
    -7.0,
    2147483648.0,
]
#: Opcode, dtype of the operands, their number, dtype of the result.
FORMS = [
    *((op, F, 2, F) for op in ("add", "sub", "mul", "div", "maximum", "minimum")),
    *((op, F, 1, F) for op in ("sqrt", "rsqrt", "neg", "abs", "floor", "ceil", "trunc", "round")),
    *((op, d, 2, B) for d in (F, I) for op in ("eq", "ne", "lt", "le", "gt", "ge")),
    *((op, d, 2, d) for d in (I, U) for op in ("add", "sub", "mul", "and", "or", "xor", "shl", "shr")),
    ("isnan", F, 1, B), ("and", B, 2, B), ("or", B, 2, B), ("bitcast", F, 1, I), ("bitcast", I, 1, F),
    ("bitcast", U, 1, F), ("bitcast", F, 1, U), ("cast", U, 1, I), ("cast", I, 1, U),
    ("cast", F, 1, I), ("cast", I, 1, F), ("cast", B, 1, F), ("where", F, 3, F), ("where", I, 3, I),
]  # fmt: skip

pytestmark = pytest.mark.skipif(
    engine.available_isas()[-1] != "avx512", reason="machine code is made for AVX-512 only"
)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = engine.get_isa()
    engine.set_isa("avx512")
    was = engine.set_fusing(True)
    yield
    engine.set_fusing(was)
    engine.set_isa(before)


def numbers(rng: np.random.Generator, dtype: Any, n: int) -> Any:
    if dtype is B:
        return rng.random(n) < 0.5
    if dtype is U:
        return numbers(rng, I, n).view(np.uint32)
    if dtype is I:
        return rng.choice(np.array([0, 1, 2, 5, 31, 32, 40, -1, -9, 2**31 - 1, -(2**31)], np.int32), n)
    some = rng.standard_normal(n).astype(np.float32)
    return np.where(rng.random(n) < 0.5, some, rng.choice(np.array(SPECIAL, np.float32), n))


def program(r: random.Random, length: int) -> Program:
    """A random program with inputs, scalars and constants of all four dtypes."""
    ins, scalars, consts = (F, F, I, B, U), (F, I), ((0.75, F), (3, I), (5, U))
    kinds = [*ins, *scalars, *(d for _, d in consts)]
    code: list[Any] = []
    for _ in range(length):
        op, d, count, out = r.choice(FORMS)
        wanted = [B, d, d] if op == "where" else [d] * count
        # Mostly what was made lately, so that runs are long and values die.
        srcs = tuple(r.choice([k for k, have in enumerate(kinds) if have is w][-6:]) for w in wanted)
        code.append((op, d, out, srcs))
        kinds.append(out)
    made = range(len(kinds) - length, len(kinds))
    results = (len(kinds) - 1, r.choice(made), r.choice(made))
    return Program(ins, tuple(kinds[k] for k in results), tuple(code), results, scalars, consts)


def outputs(p: Program, ins: list[Any], n: int) -> list[Any]:
    outs: list[Any] = [np.empty(n, d.np) for d in p.outs]
    run(p, outs, ins, 1.5, 7)
    return outs


def same(a: Any, b: Any, note: str) -> None:
    np.testing.assert_array_equal(a, b, note)
    if a.dtype == np.float32:
        np.testing.assert_array_equal(np.signbit(a) & ~np.isnan(a), np.signbit(b) & ~np.isnan(b), note)


@pytest.mark.parametrize("seed", range(60))
def test_random_programs(seed: int) -> None:
    r, rng = random.Random(seed), np.random.default_rng(seed)
    p = program(r, r.choice([2, 5, 20, 60, 120]))
    for n in (1, 15, 16, 17, 100, 2500):
        ins = [numbers(rng, d, n) for d in p.ins]
        if seed % 3 == 1:
            ins[0] = np.repeat(ins[0], 2)[::2]
        if seed % 3 == 2:
            ins[1] = np.broadcast_to(ins[1][:1], (n,))
        engine.set_fusing(False)
        want = outputs(p, ins, n)
        engine.set_fusing(True)
        for got, expected in zip(outputs(p, ins, n), want, strict=True):
            same(got, expected, f"{n}: {p.code}")


def test_what_is_fused() -> None:
    p = Program(
        (F,), (F,), (("mul", F, F, (0, 0)), ("add", F, F, (1, 0)), ("sqrt", F, F, (2,))), (3,), (), ()
    )
    x = numbers(np.random.default_rng(0), F, 40)
    before = lib.fbc_fused_steps()
    run(p, [np.empty_like(x)], [x])
    assert lib.fbc_fused_steps() == before + 1
    engine.set_fusing(False)
    run(p, [np.empty_like(x)], [x])
    engine.set_fusing(True)
    engine.set_isa("avx2")
    run(p, [np.empty_like(x)], [x])
    assert lib.fbc_fused_steps() == before + 1


def test_in_place_and_on_threads() -> None:
    """What an optimizer does: three of the inputs are written where they lie."""
    code = (
        ("sub", F, F, (3, 1)), ("mul", F, F, (5, 4)), ("add", F, F, (1, 6)), ("mul", F, F, (3, 3)),
        ("maximum", F, F, (2, 8)), ("sqrt", F, F, (9,)), ("div", F, F, (7, 10)), ("sub", F, F, (0, 11)),
    )  # fmt: skip
    p = Program((F, F, F, F), (F, F, F), code, (12, 7, 9), (F,), ())
    rng = np.random.default_rng(0)
    threads = engine.get_num_threads()
    try:
        for n in (33, 70_001):
            ins = [abs(rng.standard_normal(n, np.float32)) + 1 for _ in range(4)]
            found = []
            for fusing, count in ((False, 1), (True, 1), (True, 2)):
                engine.set_fusing(fusing)
                engine.set_num_threads(count)
                copies = [x.copy() for x in ins]
                run(p, copies[:3], copies, 0.1)
                found.append(copies)
            for other in found[1:]:
                for a, b in zip(found[0], other, strict=True):
                    np.testing.assert_array_equal(a, b)
    finally:
        engine.set_num_threads(threads)
