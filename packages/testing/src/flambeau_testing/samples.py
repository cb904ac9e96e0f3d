"""Sample calls for every record: by rule for pointwise ops, by table for the others."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from flambeau.plugin import OPS, SAMPLES, Op, Param, load_records

from .samples_shape import SHAPE
from .values import Call, Samples, T, call

__all__ = ["NOT_SAMPLED", "TABLE", "Target", "tables", "targets"]

#: Where the functions of one variable are defined; elsewhere values between -2.5 and 2.5 are taken.
DOMAIN: dict[str, tuple[float, float]] = {
    "log": (0.1, 4), "log2": (0.1, 4), "log10": (0.1, 4), "log1p": (-0.8, 4), "sqrt": (0.1, 4), "rsqrt": (0.1, 4),
    "asin": (-0.9, 0.9), "acos": (-0.9, 0.9), "atanh": (-0.9, 0.9), "acosh": (1.1, 4), "erfinv": (-0.9, 0.9),
    "lgamma": (0.2, 4), "digamma": (0.2, 4), "reciprocal": (0.3, 3), "tan": (-1.2, 1.2), "logit": (0.1, 0.9), "log_odds": (0.1, 0.9),
}  # fmt: skip
#: Where second operands are taken from.
SECOND: dict[str, tuple[float, float]] = {
    "div": (0.5, 3), "true_divide": (0.5, 3), "floor_divide": (0.6, 3), "remainder": (0.6, 3), "fmod": (0.6, 3),
    "pow": (1.1, 3), "bitwise_left_shift": (0, 4), "bitwise_right_shift": (0, 4), "xlogy": (0.3, 3), "hypot": (0.5, 3),
    "atan2": (0.5, 3), "copysign": (0.5, 3), "float_power": (1.1, 3), "divergence": (0.2, 2),
    "bernoulli_error": (0.1, 0.9), "bernoulli_slope": (0.1, 0.9),
}  # fmt: skip
FIRST: dict[str, tuple[float, float]] = {"pow": (0.3, 3), "float_power": (0.3, 3), "atan2": (0.5, 3), "hypot": (0.5, 3), "bernoulli_error": (0.1, 0.9), "bernoulli_slope": (0.1, 0.9)}  # fmt: skip

#: Composites of one or two operands that are sampled as pointwise records are.
FAMILIES = frozenset(
    "true_divide floor ceil trunc frac isinf isfinite signbit isposinf isneginf isreal nan_to_num".split()
)

#: Records that have no sample calls, and why.
NOT_SAMPLED: dict[str, str] = {
    **dict.fromkeys(
        "rand randn rand_like randn_like randint randint_like randperm normal uniform_fill normal_fill random_fill "
        "bernoulli bernoulli_fill exponential_fill multinomial "
        "dropout_keep".split(),
        "random: compared by their bits",
    ),
    **dict.fromkeys(
        "empty empty_like empty_permuted empty_strided new_empty new_empty_strided resize_memory".split(),
        "uninitialised memory",
    ),
    **dict.fromkeys("copy_from fill_all zero_all".split(), "in place only: tested by name"),
    **dict.fromkeys(
        "view_dtype as_strided as_strided_view as_strided_backward as_strided_scatter".split(),
        "memory layout",
    ),
    **dict.fromkeys("angle_complex complex_values conj_values".split(), "part of another op"),
    **dict.fromkeys("result_type new_tensor_from".split(), "other arguments than tensors first"),
}


def _binary(name: str, number: bool = True) -> list[Call]:
    a, b = FIRST.get(name, (-2.5, 2.5)), SECOND.get(name, (-2.5, 2.5))

    def pair(x: tuple[int, ...], y: tuple[int, ...]) -> Call:
        return call(T(*x, low=a[0], high=a[1]), T(*y, low=b[0], high=b[1]))

    return [
        pair((3, 4), (3, 4)), pair((3, 1), (4,)), pair((), ()), pair((0, 3), (3,)), pair((2, 1, 3), (4, 1)),
        pair((1030,), (1030,)), pair((3, 4), ()), *([call(T(5, low=a[0], high=a[1]), 2)] if number else []),
    ]  # fmt: skip


def _unary(name: str) -> list[Call]:
    low, high = DOMAIN.get(name, (-2.5, 2.5))
    return [call(T(*shape, low=low, high=high)) for shape in ((3, 4), (), (0, 2), (1030,), (2, 1, 3))]


REDUCE = [
    call(T(3, 4)), call(T(3, 4), 1), call(T(2, 3, 4), 0), call(T(2, 3, 4), -1, True), call(T()), call(T(130, 70), 0),
    call(T(1100)), call(T(70, 130), 1),
]  # fmt: skip
MANY = [*REDUCE, call(T(2, 3, 4), (0, 2)), call(T(0, 3), 0), call(T(2, 0), dim=0, keepdim=True)]
DISTINCT = [
    call(T(3, 4, distinct=True), 1), call(T(5, distinct=True), 0), call(T(2, 3, 4, distinct=True), -2),
    call(T(1100, distinct=True), 0),
]  # fmt: skip

TABLE: dict[str, list[Call]] = {
    **dict.fromkeys(("sum", "mean"), MANY),
    "prod": REDUCE[:6],
    **dict.fromkeys(("amax", "amin"), [call(T(3, 4, distinct=True)), call(T(3, 4, distinct=True), 1), call(T(2, 3, 4, distinct=True), (0, 2)), call(T()), call(T(2, 3), 0, True)]),
    **dict.fromkeys(("max", "min"), [call(T(3, 4, distinct=True)), call(T(3, 4, distinct=True), 1), call(T(2, 5, distinct=True), 0, True), call(T(3, 4), T(3, 4))]),
    **dict.fromkeys(("argmax", "argmin"), [call(T(3, 4, distinct=True)), call(T(3, 4, distinct=True), 1), call(T(7, distinct=True), 0, True), call(T(600, 3, distinct=True), 0)]),
    **dict.fromkeys(("any", "all"), [call(T(3, 4)), call(T(3, 4), 1), call(T(0, 3)), call(T(0, 3), 0), call(T(2, 3, 4), (0, 1))]),
    "count_nonzero": [call(T(3, 4)), call(T(3, 4), 1)],
    **dict.fromkeys(("var", "std"), [call(T(3, 4)), call(T(3, 4), 1), call(T(2, 3, 4), (0, 2), keepdim=True), call(T(9), 0, correction=0), call(T(300, 5), 0)]),
    "variance": [call(T(3, 4), 1), call(T(3, 4), None, correction=0)],
    **dict.fromkeys(("var_mean", "std_mean"), [call(T(3, 4)), call(T(3, 4), 1)]),
    "logsumexp": [call(T(3, 4), 1), call(T(3, 4), (0, 1)), call(T(5), 0, True)],
    "norm": [call(T(3, 4)), call(T(3, 4), 2, 1), call(T(3, 4), 1, 0), call(T(3, 4), 3.0), call(T(3, 4, low=0.1, distinct=True), float("inf"))],
    "norm2": [call(T(3, 4)), call(T(3, 4), 1, True)],
    **dict.fromkeys(("nansum", "nanmean"), [call(T(3, 4)), call(T(3, 4), 1)]),
    "aminmax": [call(T(3, 4, distinct=True)), call(T(3, 4, distinct=True), dim=1)],
    **dict.fromkeys(("cumsum", "cumprod"), [call(T(3, 4), 1), call(T(3, 4), 0), call(T(5), -1), call(T(), 0), call(T(0, 3), 1)]),
    **dict.fromkeys(("cummax", "cummin", "cummax_pair", "cummin_pair"), [*DISTINCT, call(T(), 0)]),
    **dict.fromkeys(("sort", "argsort"), [*DISTINCT, call(T(3, 4, distinct=True), 1, True), call(T(), 0)]),
    "sort_pair": [call(T(3, 4, distinct=True), 1, True, True)],
    "msort": [call(T(3, 4, distinct=True))],
    "topk": [call(T(3, 5, distinct=True), 2), call(T(3, 5, distinct=True), 2, 0, False), call(T(400, distinct=True), 7)],
    "topk_pair": [call(T(3, 5, distinct=True), 2, 1, True, True)],
    "matmul": [call(T(3, 4), T(4, 5)), call(T(4), T(4)), call(T(3, 4), T(4)), call(T(4), T(4, 2)), call(T(2, 3, 4), T(4, 5)), call(T(2, 3, 4), T(2, 4, 5)), call(T(2, 1, 3, 4), T(3, 4, 2)), call(T(0, 3), T(3, 2)), call(T(3, 0), T(0, 2)), call(T(4), T(2, 4, 3)), call(T(3, 4), T(2, 4, 3)), call(T(70, 65), T(65, 40))],
    "mm": [call(T(3, 4), T(4, 5)), call(T(1, 1), T(1, 1))],
    "bmm": [call(T(2, 3, 4), T(2, 4, 5)), call(T(0, 3, 4), T(0, 4, 5))],
    "mv": [call(T(3, 4), T(4))],
    **dict.fromkeys(("dot", "vdot"), [call(T(5), T(5))]),
    "inner": [call(T(5), T(5)), call(T(2, 4), T(3, 4))],
    "outer": [call(T(3), T(4))],
    "addmm": [call(T(3, 5), T(3, 4), T(4, 5)), call(T(5), T(3, 4), T(4, 5), beta=2, alpha=3)],
    "baddbmm": [call(T(2, 3, 5), T(2, 3, 4), T(2, 4, 5)), call(T(5), T(2, 3, 4), T(2, 4, 5), beta=2)],
    "addbmm": [call(T(3, 5), T(2, 3, 4), T(2, 4, 5))],
    "addmv": [call(T(3), T(3, 4), T(4), alpha=2)],
    "addr": [call(T(3, 4), T(3), T(4))],
    "addcmul": [call(T(3, 4), T(3, 4), T(4)), call(T(3), T(3), T(3), value=2)],
    "addcdiv": [call(T(3, 4), T(3, 4), T(4, low=0.5)), call(T(3), T(3), T(3, low=0.5), value=2)],
    "lerp": [call(T(3, 4), T(3, 4), T(3, 4, low=0, high=1)), call(T(3), T(3), 0.3), call(T(3), T(3), 0.8)],
    "clamp": [call(T(3, 4), -1, 1), call(T(3, 4), T(4, low=-2, high=-1), T(4, low=0, high=1)), call(T(5), min=0), call(T(5), max=1)],
    **dict.fromkeys(("clamp_min", "clamp_max"), [call(T(3, 4), 0.5), call(T(3, 4), T(4))]),
    "where_values": [call(T(3, 4, kind="mask"), T(3, 4), T(4)), call(T(4, kind="mask"), T(3, 4), 1)],
    "masked_fill_values": [call(T(3, 4), T(4, kind="mask"), 2), call(T(3, 4), T(3, 1, kind="mask"), T())],
    "sub": [*_binary("sub"), call(T(3), T(3), alpha=2)],
    "add": [*_binary("add"), call(T(3), T(3), alpha=2), call(T(3), 1, alpha=2)],
    "rsub": [call(T(3), T(3)), call(T(3), 2, alpha=2)],
    "div": [*_binary("div"), call(T(5), T(5, low=0.5), rounding_mode="floor", _grad=False), call(T(5), T(5, low=0.6), rounding_mode="trunc", _grad=False)],
    "div_trunc_int": [call(T(5), T(5, low=1, high=3))],
    **dict.fromkeys(("div_true", "div_floor"), [call(T(5), T(5, low=0.6, high=3))]),
    "round": [*_unary("round"), call(T(5), decimals=1, _grad=False)],
    **dict.fromkeys(("isclose", "allclose", "equal"), [call(T(3, 4), T(3, 4)), call(T(3), T(3))]),
    "dist": [call(T(3, 4), T(3, 4)), call(T(3), T(3), 1)],
    "complex": [call(T(3, kind="float"), T(3, kind="float"))],

    "full": [call((2, 3), 7), call((), 2.5), call((0,), True)],
    **dict.fromkeys(("zeros", "ones"), [call((2, 3)), call(())]),
    "full_like": [call(T(2, 3), 2)],
    **dict.fromkeys(("zeros_like", "ones_like", "clone", "contiguous", "positive", "fill"), [call(T(2, 3)), call(T()), call(T(0, 2))]),
    "new_full": [call(T(2), (2, 3), 2)],
    **dict.fromkeys(("new_zeros", "new_ones"), [call(T(2), (2, 3))]),
    "copy_to": [],
    "arange": [call(5), call(1, 10, 3), call(0.0, 3.0, 1.0), call(5, 0, -2)],
    "logspace": [call(0, 1, 5), call(-2.0, 2.0, 1), call(0, 1, 0)],
    "scalar_tensor": [call(3)],
    "angle": _unary("angle"),
    **dict.fromkeys(("conj", "conj_physical"), _unary("conj")),
    "linspace": [call(0, 1, 5), call(-2.0, 2.0, 1), call(0, 1, 0), call(3, -3, 8)],
    "eye": [call(3), call(2, 4), call(0)],
    "adjoint": [call(T(3, 4)), call(T(2, 3, 4))],
    "relu": [call(T(3, 4)), call(T()), call(T(0, 2)), call(T(1030))],
    **dict.fromkeys(("softmax", "log_softmax"), [call(T(3, 4), 1), call(T(3, 4), 0), call(T(), 0), call(T(2, 3, 4), -2), call(T(0, 3), 1), call(T(5, 300), 1)]),
    **SHAPE,
}  # fmt: skip
TABLE["fill"] = [call(T(2, 3), 2)]


class Target:
    """Something to call, by its public name.

    Attributes:
        name: the name.
        call: the function.
        op: the record, where one stands behind it.
        samples: sample calls.
        floats: whether it takes floating-point numbers only.
    """

    def __init__(
        self,
        name: str,
        fn: Callable[..., Any],
        op: Op | None,
        samples: list[Call] | None,
        floats: bool = False,
    ) -> None:
        self.name, self.call, self.op, self.floats = name, fn, op, floats
        if samples is None:
            assert op is not None
            operands = [p for p in op.params if p.kind in ("tensor", "operand")]
            number = len(operands) == 2 and operands[1].kind == "operand"
            samples = _binary(name, number) if len(operands) == 2 else _unary(name)
        self.samples = samples


def tables() -> list[Samples]:
    """The samples of the core and of every installed plugin."""
    load_records()
    return [Samples(TABLE, skipped=NOT_SAMPLED), *(import_module(name).SAMPLES for name in SAMPLES)]


def targets() -> list[Target]:
    """Everything that has sample calls: the tables' names, and pointwise records of one or two operands."""
    held = tables()
    exported = {name: op for op in OPS.values() for name in (op.name, *(op.exports if op.function else ()))}
    made = [
        Target(n, s.functions[n], OPS.get(n), calls, s.floats)
        if n in s.functions
        else Target(n, exported[n], exported[n], calls, s.floats)
        for s in held
        for n, calls in s.calls.items()
    ]
    known = {name for s in held for name in (*s.calls, *s.skipped)}
    for op in OPS.values():
        operands = [p for p in op.params if p.is_tensor]
        plain = all(p.default is not Param.NONE for p in op.params if not p.is_tensor)
        simple = op.kind == "pointwise" or op.name in FAMILIES
        if op.name not in known and len(operands) in (1, 2) and plain and simple:
            made.append(Target(op.name, op, op, None))
    return [t for t in made if t.samples]
