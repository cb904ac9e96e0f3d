"""The entries of the contract called one by one, over dtypes, strides and the values on which devices differ."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.plugin import CONTRACT, DTYPES, OPS, Backend, Expr, Program, new_tensor

from ..cases import compare, each
from .base import SuiteBase

__all__ = ["Contract"]

_NUMBERS = [d for d in DTYPES if not d.is_complex]
_ARITHMETIC = [d for d in DTYPES if d is not fb.bool]


def _values(dtype: fb.dtype, shape: tuple[int, ...], seed: int = 0, special: bool = True) -> Any:
    """Numbers with ties, and NaN where there is one."""
    rng = np.random.default_rng(seed)
    if dtype is fb.bool:
        return rng.random(shape) < 0.5
    if dtype.is_integer:
        return rng.integers(0 if dtype.kind == "u" else -9, 10, shape).astype(dtype.name)
    x = np.round(rng.uniform(-4, 4, shape) * 4) / 4
    if dtype.is_complex:
        return (x + 1j * np.round(rng.uniform(-2, 2, shape))).astype(dtype.name)
    if special and x.size > 10:
        x.reshape(-1)[5] = np.nan
    return x


def _as_is(t: Any) -> Any:
    return t


def _transposed(t: Any) -> Any:
    return t.permute((2, 1, 0)).clone().permute((2, 1, 0))


def _on(values: Any, dtype: fb.dtype, device: str) -> Any:
    return fb.from_numpy(np.array(values)).to("reference").to(dtype).to(device)


#: Instructions -> kinds of dtypes that they take (docs/programs.md).
_INSTRUCTIONS: dict[str, str] = {
    **dict.fromkeys("add mul eq ne where".split(), "bifc"),
    **dict.fromkeys("maximum minimum fmax fmin lt le gt ge".split(), "bif"),
    **dict.fromkeys("sub pow neg abs".split(), "ifc"),
    **dict.fromkeys("floordiv rem fmod sign signbit".split(), "if"),
    **dict.fromkeys("and or xor not".split(), "bi"),
    **dict.fromkeys("shl shr".split(), "i"),
    **dict.fromkeys(
        "div exp exp2 expm1 log log2 log10 log1p sqrt rsqrt sigmoid sin cos tan asin acos atan sinh cosh tanh asinh "
        "acosh atanh isnan isinf isfinite".split(),
        "fc",
    ),
    **dict.fromkeys(
        "erf erfc erfinv lgamma digamma floor ceil trunc round atan2 hypot copysign nextafter".split(), "f"
    ),
    **dict.fromkeys("real imag angle conj".split(), "c"),
}


class Contract(SuiteBase):
    """Entries."""

    def test_contract_version(self) -> None:
        """The backend speaks a contract that this flambeau understands."""
        spoken = self.backend.contract
        assert spoken[0] == CONTRACT[0]
        assert spoken[1] <= CONTRACT[1]

    def test_contract_capabilities(self) -> None:
        """What the suite says that the backend declares, it declares."""
        declared = self.backend.capabilities()
        for name, value in self.capabilities.items():
            assert declared[name] == value, f"{name} is {declared[name]}, expected {value}"

    @each({name: name for name in sorted(Backend.__abstractmethods__)})
    def test_contract_signature(self, case: str) -> None:
        """Required entries take the contract's arguments."""
        mine = getattr(type(self.backend), case)
        try:
            bound = inspect.signature(getattr(self.backend, case))
        except ValueError:  # a function of C
            return
        want = list(inspect.signature(getattr(Backend, case)).parameters.values())[1:]
        try:
            bound.bind(*want)
        except TypeError as error:
            raise AssertionError(
                f"{mine} takes {bound}, the contract says {[p.name for p in want]}"
            ) from error

    @each(
        {
            f"{kind}-{dtype.name}": (kind, dtype)
            for kind in ("sum", "prod", "max", "min", "argmax", "argmin", "any", "all")
            for dtype in (DTYPES if kind in ("any", "all", "sum", "prod") else _NUMBERS)
        },
    )
    def test_reduce(self, case: tuple[str, fb.dtype]) -> None:
        """Reductions over every choice of dimensions, dense and strided; NaN wins, the first of equals is found."""
        kind, dtype = case
        values = _values(dtype, (4, 3, 5), 3, kind not in ("sum", "prod"))
        wide = values if dtype.rank < 2 else values.astype(np.complex128 if dtype.is_complex else np.float64)
        held = fb.int64 if dtype.rank < 2 and kind in ("sum", "prod") else dtype
        out_dtype = {"a": fb.bool, "s": held, "p": held, "m": dtype}[kind[0]]
        if kind in ("argmax", "argmin"):
            out_dtype = fb.int64
        for dims in ((0,), (2,), (1,), (0, 2), (0, 1), (1, 2), (0, 1, 2)):
            moved = np.transpose(wide, [d for d in range(3) if d not in dims] + list(dims))
            rows = moved.reshape(*moved.shape[: 3 - len(dims)], -1)
            extra = {"dtype": np.int64} if kind in ("sum", "prod") and dtype.rank < 2 else {}
            want = getattr(np, kind)(rows, axis=-1, **extra)
            for layout in (_as_is, _transposed):
                src = layout(_on(values, dtype, self.device))
                shape = tuple(n for d, n in enumerate(values.shape) if d not in dims)
                out = new_tensor(src.spec.like(out_dtype, shape))
                self.backend.reduce(kind, out, src, dims)
                compare(out, want, f"{kind} of {dtype.name} over {dims}", 4)

    @each(
        {
            f"{kind}-{n}": (kind, n)
            for kind in ("sum", "max", "argmin", "any")
            for n in (1, 2, 31, 1025, 5000)
        },
    )
    def test_reduce_lengths(self, case: tuple[str, int]) -> None:
        """Rows of many lengths, one short of a block and one beyond it."""
        kind, n = case
        values = np.random.default_rng(n).uniform(-4, 4, (3, n)).astype(np.float32).astype(np.float64)
        src = _on(values, fb.float32, self.device)
        out = new_tensor(src.spec.like({"argmin": fb.int64, "any": fb.bool}.get(kind, fb.float32), (3,)))
        self.backend.reduce(kind, out, src, (1,))
        compare(out, getattr(np, kind)(values, axis=1), f"{kind} of {n}", 4)

    @each(
        {f"{k}-{d.name}": (k, d) for k in ("sum", "cumsum", "matmul") for d in (fb.float16, fb.bfloat16)},
    )
    def test_accumulation(self, case: tuple[str, fb.dtype]) -> None:
        """Long sums of 16-bit floats are rounded once, at the end."""
        kind, dtype = case
        src = _on(np.random.default_rng(41).uniform(0, 1, (1, 1, 3000)), dtype, self.device)
        values = src.to("reference").to(fb.float64).numpy()[0, 0]
        shape = {"sum": (1, 1), "cumsum": (1, 1, 3000), "matmul": (1, 1, 1)}[kind]
        out = new_tensor(src.spec.like(shape=shape))
        if kind == "sum":
            self.backend.reduce("sum", out, src, (2,))
        elif kind == "cumsum":
            self.backend.scan("cumsum", out, src, 2)
        else:
            one = _on(np.ones((1, 3000, 1)), dtype, self.device)
            self.backend.matmul(out, src, one)
        got = out.to("reference").to(fb.float64).numpy().reshape(-1)[-1]
        ulp = 2.0**-10 if dtype is fb.float16 else 2.0**-7
        assert abs(got - values.sum()) <= 0.75 * ulp * values.sum(), f"got {got}, expected {values.sum()}"

    @each(
        {
            f"{k}-{d.name}": (k, d)
            for k in ("cumsum", "cumprod", "logcumsumexp")
            for d in _ARITHMETIC
            if k != "logcumsumexp" or d.is_floating_point
        },
    )
    def test_scan(self, case: tuple[str, fb.dtype]) -> None:
        """Running values along each dimension."""
        kind, dtype = case
        values = _values(dtype, (4, 3, 6), 5, special=False)
        if kind == "cumprod":
            values = np.clip(values.real, -2, 2).astype(values.dtype)
        wide = np.int64 if dtype.is_integer else np.complex128 if dtype.is_complex else np.float64
        for dim in range(3):
            src = _on(values, dtype, self.device)
            out = new_tensor(src.spec.like(fb.int64 if dtype.is_integer else dtype))
            self.backend.scan(kind, out, src, dim)
            x = values.astype(wide)
            want = (
                np.log(np.cumsum(np.exp(x), dim))
                if kind == "logcumsumexp"
                else getattr(np, kind)(x, axis=dim)
            )
            compare(out, want, f"{kind} of {dtype.name} along {dim}", 8)

    @each({f"{k}-{d.name}": (k, d) for k in ("cummax", "cummin") for d in _NUMBERS})
    def test_scan2(self, case: tuple[str, fb.dtype]) -> None:
        """Of equals the last is taken; from the first NaN on, NaN."""
        kind, dtype = case
        values = _values(dtype, (3, 9), 7)
        src = _on(values, dtype, self.device)
        out, places = (new_tensor(src.spec.like(d)) for d in (dtype, fb.int64))
        self.backend.scan2(kind, out, places, src, 1)
        want, at = values.copy(), np.zeros(values.shape, np.int64)
        for row in range(3):
            for i in range(9):
                old, new = (want[row, i - 1] if i else values[row, 0]), values[row, i]
                better = new >= old if kind == "cummax" else new <= old
                take = i == 0 or bool(better) or bool(new != new)
                want[row, i], at[row, i] = (new, i) if take else (old, at[row, i - 1])
        compare(out, want, f"{kind} of {dtype.name}")
        compare(places, at, f"places of {kind} of {dtype.name}")

    @each(
        {f"{d.name}-{'down' if down else 'up'}": (d, down) for d in _NUMBERS for down in (False, True)},
    )
    def test_sort(self, case: tuple[fb.dtype, bool]) -> None:
        """A stable order of values with ties; NaN is the largest."""
        dtype, down = case
        values = _values(dtype, (7, 40), 11)
        keys = values.astype(np.float64)
        for dim in (0, 1):
            src = _on(values, dtype, self.device)
            out, places = (new_tensor(src.spec.like(d)) for d in (dtype, fb.int64))
            self.backend.sort(out, places, src, dim, down, True)
            rows = np.moveaxis(keys, dim, -1)
            order = np.array([sorted(range(len(row)), key=partial(_rank, row, down)) for row in rows])
            compare(places, np.moveaxis(order, -1, dim), f"order of {dtype.name}")
            compare(out, np.take_along_axis(keys, np.moveaxis(order, -1, dim), dim), f"sorted {dtype.name}")

    @each({d.name: d for d in DTYPES})
    def test_gather(self, case: fb.dtype) -> None:
        """Elements are moved as they are, NaN too; the first and last places count."""
        values = _values(case, (5, 4), 13)
        places = np.array([[0, 4, 2, 1], [4, 0, 3, 3]])
        src, index = _on(values, case, self.device), _on(places, fb.int64, self.device)
        out = new_tensor(src.spec.like(shape=(2, 4)))
        self.backend.gather(out, src, 0, index)
        compare(out, np.take_along_axis(values, places, 0), f"gather of {case.name}")
        flipped = src.flip((1,)) if case is fb.bool else src[:, slice(None, None, -1)]
        self.backend.gather(out, flipped, 0, index)
        compare(out, np.take_along_axis(values[:, ::-1], places, 0), f"gather of reversed {case.name}")

    @each({f"{n}-{low}": (n, low) for n in ("gather", "scatter") for low in (-1, 5, 1 << 40)})
    def test_index_out_of_bounds(self, case: tuple[str, int]) -> None:
        """A bad index is an IndexError that names it, not a wild access."""
        entry, bad = case
        src = _on(np.ones((5, 4)), fb.float32, self.device)
        index = _on(np.array([[0, bad, 2, 1]]), fb.int64, self.device)
        out = new_tensor(src.spec.like(shape=(1, 4)))

        def use() -> None:
            if entry == "gather":
                self.backend.gather(out, src, 0, index)
            else:
                self.backend.scatter(src, 0, index, out, None)
            self.backend.synchronize(0)

        with pytest.raises(IndexError, match=str(bad)):
            use()

    @each(
        {
            f"{how or 'last'}-{d.name}": (how, d)
            for how in (None, "sum", "prod", "amax", "amin")
            for d in (_NUMBERS if how in ("amax", "amin") else _ARITHMETIC)
        },
    )
    def test_scatter(self, case: tuple[str | None, fb.dtype]) -> None:
        """Places that occur twice: the last one stays, or all are combined."""
        how, dtype = case
        base, src = _values(dtype, (3, 4), 17, special=False), _values(dtype, (6, 4), 19, special=False)
        places = np.array(
            [[0, 1, 2, 0], [0, 0, 2, 1], [2, 2, 2, 2], [1, 0, 1, 0], [0, 1, 0, 2], [1, 1, 2, 0]]
        )
        out = _on(base, dtype, self.device)
        self.backend.scatter(out, 0, _on(places, fb.int64, self.device), _on(src, dtype, self.device), how)
        fn: Any = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}.get(how or "")
        want = (
            base.astype(np.complex128 if dtype.is_complex else np.float64) if dtype.rank > 1 else base.copy()
        )
        for at in np.ndindex(6, 4):
            to = (places[at], at[1])
            want[to] = src[at] if fn is None else fn(want[to], src[at])
        compare(out, want, f"scatter {how} of {dtype.name}", 8)
        room = _on(np.zeros((8, 3)), dtype, self.device)
        strided = room[slice(1, None, 2)].t()
        strided.copy_(_on(base, dtype, self.device))
        self.backend.scatter(
            strided, 0, _on(places, fb.int64, self.device), _on(src, dtype, self.device), how
        )
        compare(strided, want, f"scatter {how} of {dtype.name} into a strided tensor", 8)
        assert not bool((room[slice(0, None, 2)] != 0).any()), "scatter wrote beside its tensor"

    @each(
        {
            f"{d.name}-{how}": (d, how)
            for d in DTYPES
            for how in ("dense", "transposed", "strided", "batched", "empty")
        },
    )
    def test_matmul(self, case: tuple[fb.dtype, str]) -> None:
        """Products of every dtype and layout; 16-bit floats accumulate in float32, integers wrap."""
        dtype, how = case
        batch, m, k, n = {"batched": (3, 4, 5, 6), "empty": (2, 3, 0, 4)}.get(how, (1, 17, 33, 9))
        a, b = _values(dtype, (batch, m, k), 23, False), _values(dtype, (batch, k, n), 29, False)
        x, y = _on(a, dtype, self.device), _on(b, dtype, self.device)
        if how == "transposed":
            x, y = x.transpose(1, 2).clone().transpose(1, 2), y.transpose(1, 2).clone().transpose(1, 2)
        elif how == "strided":
            x, y = (OPS["cat"]([t, t], -1)[..., slice(0, t.shape[-1])] for t in (x, y))
        out = new_tensor(x.spec.like(shape=(batch, m, n)))
        self.backend.matmul(out, x, y)
        wide: Any = np.complex128 if dtype.is_complex else np.float64
        want = np.matmul(a, b) if dtype.rank < 2 else np.matmul(a.astype(wide), b.astype(wide))
        compare(out, want, f"{how} matmul of {dtype.name}", 8)

    @each({f"{a.name}-{b.name}": (a, b) for a in DTYPES for b in DTYPES})
    def test_cast(self, case: tuple[fb.dtype, fb.dtype]) -> None:
        """Every dtype to every other: to nearest even, towards zero, wrapping, the real part."""
        source, to = case
        if source.rank < 2:
            values = _values(source, (4, 7), 31)
        else:
            values = np.array(
                [
                    0.0,
                    -0.0,
                    1.5,
                    -1.5,
                    2.5,
                    0.1,
                    -0.1,
                    65504.0,
                    1e-8,
                    3.0078125,
                    1.00390625,
                    100.75,
                    7,
                    -3,
                    255,
                ]
            )
            if to.kind == "u":
                values = np.abs(values)
            if to.is_integer:
                values = values[np.abs(values) <= (127 if to.itemsize == 1 else 32000)]
            if source.is_complex:
                values = values + 2j
        src = _on(values, source, self.device)
        out = new_tensor(src.spec.like(to))
        self.backend.copy(out, src)
        there = out.to("reference")
        want = src.to("reference").to(to)
        assert bool(((there == want) | (want != want)).all()), (
            f"{source.name} to {to.name}: {there}, expected {want}"
        )
        strided = new_tensor(src.spec.like(to, (*src.shape, 2)))[..., 0]
        self.backend.copy(strided, src)
        assert bool(((strided.to("reference") == want) | (want != want)).all()), (
            f"{source.name} to strided {to.name}"
        )

    @each({
        "ties": ([1.00390625, 1.01171875, -1.00390625], fb.bfloat16, [1.0, 1.015625, -1.0]),
        "up": ([1.0039063692092896], fb.bfloat16, [1.0078125]),
        "half-ties": ([1.00048828125, 1.00146484375], fb.float16, [1.0, 1.001953125]),
        "half-overflow": ([65519.0, 65520.0], fb.float16, [65504.0, float("inf")]),
        "subnormal": ([6e-8, 2.9e-8], fb.float16, [5.960464477539063e-08, 0.0]),
    })  # fmt: skip
    def test_rounding(self, case: tuple[list[float], fb.dtype, list[float]]) -> None:
        """Into 16-bit floats: to nearest, ties to even."""
        values, to, want = case
        got = _on(np.array(values), fb.float32, self.device).to(to)
        assert got.tolist() == want

    @each(
        {
            f"{op}-{d.name}": (op, d)
            for op, kinds in _INSTRUCTIONS.items()
            for d in (fb.float32, fb.float64, fb.int32, fb.int64, fb.uint8, fb.bool, fb.complex64)
            if d.kind.replace("u", "i") in kinds
        },
    )
    def test_program(self, case: tuple[str, fb.dtype]) -> None:
        """Every instruction in the dtypes that docs/programs.md gives it, compared with the reference's."""
        op, dtype = case
        arity = {"where": 3}.get(op, 2 if op in _TWO else 1)
        rng = np.random.default_rng(37)
        arrays: list[Any]
        arrays = [
            rng.integers(0, 6, (3, 5)) if dtype.rank == 1 else rng.uniform(0.15, 0.85, (3, 5))
            for _ in range(arity)
        ]
        for a in arrays:
            if dtype.rank > 1:
                a[0, 0] = 0.5  # halfway between two integers
        if op == "acosh":
            arrays = [a + 1 for a in arrays]
        if dtype is fb.bool:
            arrays = [a > 0.5 for a in arrays]
        program = Program([Expr(op, tuple(Expr("in", (), k) for k in range(arity)))], arity, 0)
        results = []
        for device in (self.device, "reference"):
            ins = [_on(a, dtype if op != "where" or k else fb.bool, device) for k, a in enumerate(arrays)]
            typed = program.typed([t.spec.dtype for t in ins])
            results.append(self._program(typed, ins, device))
        compare(results[0], results[1], f"{op} of {dtype.name}", 4)

    def _program(self, typed: Any, ins: list[Any], device: str) -> Any:
        from flambeau.plugin import backend_of

        backend = backend_of(fb.device(device))
        out = new_tensor(ins[0].spec.like(typed.outs[0]))
        backend.run_program(typed, (out,), ins, ())
        return out

    def test_program_with_several_outputs_over_its_inputs(self) -> None:
        """Outputs may be inputs, and a value is read before it is overwritten."""
        x, y = (_on(np.arange(6.0) + k, fb.float32, self.device) for k in (0, 10))
        program = Program.trace(lambda a, b, s: (b * s, a + b), 2, 1)
        self.backend.run_program(program.typed([fb.float32] * 2, [fb.float32] * 2), (x, y), (x, y), (3.0,))
        compare(x, (np.arange(6.0) + 10) * 3, "first output")
        compare(y, np.arange(6.0) * 2 + 10, "second output")


_TWO = frozenset(
    "add sub mul div floordiv rem fmod pow maximum minimum fmax fmin atan2 hypot copysign nextafter eq ne lt le gt ge "
    "and or xor shl shr".split()
)


def _rank(row: Any, down: bool, place: int) -> tuple[float, float, int]:
    """A key that sorts NaN as the largest and keeps equals in order."""
    value = row[place]
    nan = value != value
    sign = -1 if down else 1
    return (sign * float(nan), 0.0 if nan else sign * value, place)
