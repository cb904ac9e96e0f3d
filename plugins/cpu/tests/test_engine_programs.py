"""Programs of several instructions on operands of all layouts: gathered, broadcast, aliased, in blocks, on threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from test_engine_support import DTYPES, Program, run, single, spec_of

from flambeau_cpu import engine

Array = np.ndarray[Any, Any]
F32, F64, I64, U64, B = (
    DTYPES["float32"],
    DTYPES["float64"],
    DTYPES["int64"],
    DTYPES["uint64"],
    DTYPES["bool"],
)
SIZES = [0, 1, 2, 15, 16, 17, 1023, 1024, 1025, 100_003]


@pytest.fixture(params=engine.available_isas(), autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = engine.get_isa()
    engine.set_isa(request.param)
    yield request.param
    engine.set_isa(before)


@pytest.fixture
def threads() -> Iterator[None]:
    before = engine.get_num_threads()
    yield
    engine.set_num_threads(before)


# (x * y + s) where x < y, else x - 0.5
FUSED = Program(
    (F32, F32),
    (F32,),
    (
        ("mul", F32, F32, (0, 1)),
        ("add", F32, F32, (4, 2)),
        ("lt", F32, B, (0, 1)),
        ("sub", F32, F32, (0, 3)),
        ("where", F32, F32, (6, 5, 7)),
    ),
    (8,),
    (F32,),
    ((0.5, F32),),
)


def fused(x: Array, y: Array, s: float) -> Array:
    return np.where(x < y, x * y + np.float32(s), x - np.float32(0.5)).astype(np.float32)


def array(shape: tuple[int, ...], seed: int = 0, dtype: Any = np.float32) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("n", SIZES)
def test_sizes(n: int) -> None:
    x, y, out = array((n,)), array((n,), 1), np.full(n + 2, 7, np.float32)
    run(FUSED, [out[1 : n + 1]], [x, y], 0.25)
    np.testing.assert_array_equal(out[1 : n + 1], fused(x, y, 0.25))
    assert out[0] == 7
    assert out[n + 1] == 7
    run(single("add", ["float32"] * 2, "float32"), [out[1 : n + 1]], [x, y])
    np.testing.assert_array_equal(out[1 : n + 1], x + y)


BASE = array((6, 40, 50))
LAYOUTS: dict[str, Array] = {
    "dense": array((40, 50)),
    "transposed": array((50, 40)).T,
    "sliced": array((40, 70))[:, 11:61],
    "stepped": array((40, 150))[:, ::3],
    "rows stepped": array((120, 50))[::3],
    "reversed": array((40, 50))[:, ::-1],
    "both reversed": array((40, 50))[::-1, ::-1],
    "transposed reversed": array((50, 40)).T[::-1],
    "row": np.broadcast_to(array((50,)), (40, 50)),
    "column": np.broadcast_to(array((40, 1)), (40, 50)),
    "single": np.broadcast_to(array((1, 1)), (40, 50)),
    "plane of three": BASE[3].reshape(40, 50),
    "last of three": np.ascontiguousarray(BASE.transpose(1, 2, 0))[:, :, 2],
}


@pytest.mark.parametrize("first", LAYOUTS)
def test_layouts(first: str) -> None:
    x = LAYOUTS[first]
    for name, y in LAYOUTS.items():
        want = fused(x, y, 2.0)
        for out in (
            np.empty((40, 50), np.float32),
            np.empty((50, 40), np.float32).T,
            np.empty((40, 100), np.float32)[:, ::2],
            np.empty((40, 50), np.float32)[::-1],
            np.empty((50, 40), np.float32)[::-1].T,
        ):
            run(FUSED, [out], [x, y], 2.0)
            np.testing.assert_array_equal(out, want, err_msg=f"{first}, {name}, out {out.strides}")
            run(single("sub", ["float32"] * 2, "float32"), [out], [x, y])
            np.testing.assert_array_equal(out, x - y, err_msg=f"{first} - {name}, out {out.strides}")
            run(single("neg", ["float32"], "float32"), [out], [x])
            np.testing.assert_array_equal(out, -x)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64", "complex128"])
def test_copies(dtype: str) -> None:
    big = (np.random.default_rng(0).standard_normal((7, 65, 43)) * 100).astype(dtype)
    for axes in ((0, 1, 2), (0, 2, 1), (2, 1, 0), (1, 0, 2), (2, 0, 1), (1, 2, 0)):
        for src in (big.transpose(axes), big.transpose(axes)[::-1, ::2]):
            for out in (np.empty(src.shape, dtype), np.empty(src.shape[::-1], dtype).transpose()):
                launch = engine.copy_plan(
                    DTYPES[dtype].code,
                    DTYPES[dtype].code,
                    src.shape,
                    spec_of(out).strides,
                    spec_of(src).strides,
                )
                launch(out.ctypes.data, src.ctypes.data)
                np.testing.assert_array_equal(out, src)
                if dtype == "float32":
                    wide = np.empty(src.shape, np.float64)
                    engine.copy_plan(
                        F64.code, F32.code, src.shape, spec_of(wide).strides, spec_of(src).strides
                    )(wide.ctypes.data, src.ctypes.data)
                    np.testing.assert_array_equal(wide, src)


def test_copy_of_one_dim_spread_over_many() -> None:
    x = np.arange(3 * 5 * 2 * 7 * 4, dtype=np.int32).reshape(3, 5, 2, 7, 4)
    src = x.transpose(4, 2, 0, 3, 1)[::-1, :, ::2]
    out = np.empty(src.shape, np.int32)
    engine.copy_plan(7, 7, src.shape, spec_of(out).strides, spec_of(src).strides)(
        out.ctypes.data, src.ctypes.data
    )
    np.testing.assert_array_equal(out, src)
    many = np.broadcast_to(x.reshape((1,) * 11 + x.shape), (2,) * 3 + (1,) * 8 + x.shape)
    out = np.empty(many.shape, np.int32)
    engine.copy_plan(7, 7, many.shape, spec_of(out).strides, spec_of(many).strides)(
        out.ctypes.data, many.ctypes.data
    )
    np.testing.assert_array_equal(out, many)


@pytest.mark.parametrize(
    "shape", [(300, 7), (300, 1000), (5, 1500), (3, 5000), (2000, 3), (64, 1024), (9, 1025)]
)
def test_broadcast_rows_and_columns(shape: tuple[int, int]) -> None:
    x, row, column = array(shape), array((shape[1],), 1), array((shape[0], 1), 2)
    p = Program((F32, F32, F32), (F32,), (("mul", F32, F32, (0, 1)), ("add", F32, F32, (3, 2))), (4,))
    out = np.empty(shape, np.float32)
    run(p, [out], [x, np.broadcast_to(row, shape), np.broadcast_to(column, shape)])
    np.testing.assert_array_equal(out, x * row + column)
    three = (4, *shape)
    x3, mid = array(three), array((4, 1, shape[1]), 3)
    out3 = np.empty(three, np.float32)
    run(p, [out3], [x3, np.broadcast_to(mid, three), np.broadcast_to(row[::-1], three)])
    np.testing.assert_array_equal(out3, x3 * mid + row[::-1])


def test_uniform_operands_and_results() -> None:
    x = array((5000,))
    two = Program((F32, F32), (F32, F32), (("exp", F32, F32, (1,)), ("mul", F32, F32, (0, 2))), (3, 2))
    outs = [np.empty(5000, np.float32), np.empty(5000, np.float32)]
    run(two, outs, [x, np.broadcast_to(np.float32(0.0), (5000,))])
    np.testing.assert_array_equal(outs[0], x)
    np.testing.assert_array_equal(outs[1], np.ones(5000))
    out = np.empty((3, 5000), np.float64)[:, ::2]
    engine.fill_plan(F64.code, out.shape, spec_of(out).strides)(out.ctypes.data, -2.5)
    assert (out == -2.5).all()
    passing = Program((F32,), (F32, F32), (("neg", F32, F32, (0,)),), (0, 1))
    run(passing, outs, [x])
    np.testing.assert_array_equal(outs[0], x)
    np.testing.assert_array_equal(outs[1], -x)


SCALARS: list[tuple[str, Any, Any]] = [
    ("bool", True, True),
    ("uint8", 300, 44),
    ("int8", -3, -3),
    ("int64", -(2**62), -(2**62)),
    ("uint64", 2**64 - 1, 2**64 - 1),
    ("float16", 1.5, 1.5),
    ("float32", 0.1, np.float32(0.1)),
    ("float64", 0.1, 0.1),
    ("float32", 3, 3.0),
    ("float32", 1e300, np.inf),
    ("complex64", 1 + 2j, 1 + 2j),
    ("complex128", 0.1, 0.1),
]


@pytest.mark.parametrize(("dtype", "value", "want"), SCALARS)
def test_scalars(dtype: str, value: Any, want: Any) -> None:
    out = np.empty(3, dtype)
    engine.fill_plan(DTYPES[dtype].code, (3,), (1,))(out.ctypes.data, value)
    assert (out == want).all()


def test_scalars_that_are_not_numbers() -> None:
    with pytest.raises(TypeError):
        engine.fill_plan(F32.code, (3,), (1,))(np.empty(3, np.float32).ctypes.data, "1")
    with pytest.raises(TypeError, match="needed: 1 addresses and 1 scalars"):
        engine.fill_plan(F32.code, (3,), (1,))(0)


def test_outputs_in_the_memory_of_inputs() -> None:
    """A momentum step: each output overwrites its own input, others are still to be read."""
    p = Program(
        (F32, F32, F32),
        (F32, F32),
        (
            ("mul", F32, F32, (1, 3)),
            ("add", F32, F32, (4, 2)),
            ("mul", F32, F32, (5, 0)),
            ("sub", F32, F32, (0, 6)),
        ),
        (5, 7),
        (),
        ((0.9, F32),),
    )
    for n in (5, 1024, 70_001):
        w, m, g = array((n,)), array((n,), 1), array((n,), 2)
        m2 = m * np.float32(0.9) + g
        w2 = w - m2 * w
        run(p, [m, w], [w, m, g])  # in place
        np.testing.assert_array_equal(m, m2)
        np.testing.assert_array_equal(w, w2)
        # the first output takes the place of an input that later instructions read
        w, m, g = array((n,)), array((n,), 1), array((n,), 2)
        other = np.empty(n, np.float32)
        run(p, [w, other], [w, m, g])
        np.testing.assert_array_equal(w, m2)
        np.testing.assert_array_equal(other, w2)


def test_many_registers() -> None:
    """More live values than fit the first-level cache at full tile length."""
    code: list[Any] = []
    for k in range(60):
        code.append(("add", F64, F64, (0, 0 if k == 0 else k)))
    total = 60
    for k in range(1, 60):
        code.append(("add", F64, F64, (total, k)))
        total = len(code)
    p = Program((F64,), (F64,), tuple(code), (total,))
    x = array((3000,), 0, np.float64)
    out = np.empty_like(x)
    run(p, [out], [x])
    regs = [x]
    for _, _, _, (a, b) in code:
        regs.append(regs[a] + regs[b])
    np.testing.assert_array_equal(out, regs[-1])


def test_many_outputs() -> None:
    code = tuple(("add", F32, F32, (0, k)) for k in range(80))
    p = Program((F32,), (F32,) * 80, code, tuple(range(1, 81)))
    x = array((2000,))
    outs = [np.empty(2000, np.float32) for _ in range(80)]
    run(p, outs, [x])
    want = x
    for out in outs:
        want = x + want
        np.testing.assert_array_equal(out, want)


def philox(n_words: int, seed: int, stream: int, start: int = 0) -> Array:
    """The words of Philox4x32-10, by the definition, in NumPy."""
    q = np.arange(start, start + n_words // 4 + 1, dtype=np.uint64)
    low = np.uint64(0xFFFFFFFF)
    c = [q & low, q >> np.uint64(32), np.full_like(q, stream & 0xFFFFFFFF), np.full_like(q, stream >> 32)]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p, r = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (r >> np.uint64(32)) ^ c[1] ^ np.uint64(k0),
            r & low,
            (p >> np.uint64(32)) ^ c[3] ^ np.uint64(k1),
            p & low,
        ]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, 1).ravel()[:n_words].astype(np.uint32)


def bits(op: str, n: int, seed: int, stream: int) -> Array:
    dtype = "uint32" if op == "philox32" else "uint64"
    p = Program((), (DTYPES[dtype],), ((op, U64, DTYPES[dtype], (0, 1)),), (2,), (U64, U64))
    out = np.empty(n, dtype)
    run(p, [out], [], seed, stream)
    return out


def test_philox_known_answers() -> None:
    assert [hex(v) for v in bits("philox32", 4, 0, 0)] == [
        "0x6627e8d5",
        "0xe169c58d",
        "0xbc57ac4c",
        "0x9b00dbd8",
    ]
    # counter (243f6a88, 85a308d3, 13198a2e, 03707344), key (a4093822, 299f31d0): here as the reference's own check
    q, stream, seed = 0x85A308D3243F6A88, 0x0370734413198A2E, 0x299F31D0A4093822
    assert [hex(v) for v in philox(4, seed, stream, q)] == [
        "0xd16cfe09",
        "0x94fdcceb",
        "0x5001e420",
        "0x24126ea1",
    ]


@pytest.mark.parametrize("n", [1, 3, 4, 63, 64, 65, 1025, 100_003])
def test_philox(n: int, threads: None) -> None:
    seed, stream = 0x123456789ABCDEF0, 0xFEDCBA9876543210
    want = philox(2 * n, seed, stream)
    for count in (1, 2):
        engine.set_num_threads(count)
        np.testing.assert_array_equal(bits("philox32", n, seed, stream), want[:n])
        pairs = want.astype(np.uint64).reshape(n, 2)
        np.testing.assert_array_equal(
            bits("philox64", n, seed, stream), pairs[:, 0] | pairs[:, 1] << np.uint64(32)
        )


def test_index_is_that_of_the_element_not_of_memory() -> None:
    p = Program((I64,), (I64,), (("iota", I64, I64, ()), ("add", I64, I64, (0, 1))), (2,))
    for shape in ((5, 7), (1000, 130)):
        x = np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape[::-1]).T
        for out in (
            np.empty(shape, np.int64),
            np.empty(shape[::-1], np.int64).T,
            np.empty(shape, np.int64)[::-1],
        ):
            run(p, [out], [x])
            np.testing.assert_array_equal(out, x + np.arange(x.size).reshape(shape))


def test_threads_do_not_change_results(threads: None) -> None:
    x, y = array((700, 701)), array((701, 700), 1).T
    row = np.broadcast_to(array((701,), 2), x.shape)
    p = Program(
        (F32, F32, F32),
        (F32,),
        (
            ("exp", F32, F32, (0,)),
            ("tanh", F32, F32, (1,)),
            ("mul", F32, F32, (3, 4)),
            ("sub", F32, F32, (5, 2)),
        ),
        (6,),
    )
    results = []
    for count in (1, 2, 5):
        engine.set_num_threads(count)
        for inputs in ([x, y, row], [x, np.ascontiguousarray(y), row]):
            out = np.empty_like(x)
            run(p, [out], inputs)
            results.append(out)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_large_outputs_past_the_caches(threads: None) -> None:
    n = (8 << 20) // 4 + 77
    x, y = array((n,)), array((n,), 1)
    out = np.empty(n + 3, np.float32)
    for count in (1, 2):
        engine.set_num_threads(count)
        for shift in (0, 1, 3):
            run(single("add", ["float32"] * 2, "float32"), [out[shift : n + shift]], [x, y])
            np.testing.assert_array_equal(out[shift : n + shift], x + y)
    z = x.copy()
    run(single("add", ["float32"] * 2, "float32"), [z], [z, y])
    np.testing.assert_array_equal(z, x + y)


def test_bad_programs() -> None:
    with pytest.raises(KeyError):
        run(single("nonsense", ["float32"], "float32"), [np.zeros(2, np.float32)], [np.zeros(2, np.float32)])
    with pytest.raises(TypeError, match="operands"):
        engine.plan_program(FUSED, [spec_of(np.zeros(2, np.float32))], [spec_of(np.zeros(2, np.float32))])


# x = x - s * y, y = y * s
UPDATE = Program(
    (F32, F32),
    (F32, F32),
    (("mul", F32, F32, (1, 2)), ("sub", F32, F32, (0, 3))),
    (4, 3),
    (F32,),
)


def test_many_plans_in_one_launch(threads: None) -> None:
    shapes = [(0,), (), (3,), (700, 701), (64, 64), *[(5,)] * 40, (40_000,), (2, 0, 3)]
    for count in (1, 2, 5):
        engine.set_num_threads(count)
        pairs = [(array(s, k), array(s, k + 100)) for k, s in enumerate(shapes)]
        pairs.append((array((300, 200)).T, array((200, 300))))  # in blocks
        pairs.append((array((200, 30)), np.broadcast_to(array((30,)), (200, 30)).copy()))
        want = [(x - np.float32(0.25) * y, np.float32(0.25) * y) for x, y in pairs]
        specs = [[spec_of(a) for a in pair] for pair in pairs]
        launch = engine.plan_many(tuple(engine.plan_program(UPDATE, s, s) for s in specs), 2)
        launch([a.ctypes.data for pair in pairs for a in pair], (0.25,))
        for got, pair in zip(pairs, want, strict=True):
            np.testing.assert_array_equal(got[0], pair[0])
            np.testing.assert_array_equal(got[1], pair[1])


def test_many_plans_must_fit_together() -> None:
    specs = [spec_of(np.zeros(2, np.float32))] * 2
    update = engine.plan_program(UPDATE, specs, specs)
    other = engine.plan_program(single("add", ["float32"] * 2, "float32"), specs[:1], specs)
    with pytest.raises(TypeError, match="launch 1 is no plan with 2 outputs"):
        engine.plan_many((update, other), 2)
    with pytest.raises(TypeError, match="launch 0 is no plan"):
        engine.plan_many((len,), 2)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a list of 2 addresses and 1 scalars"):
        engine.plan_many((update,), 2)([1], (0.5,))
