"""Random tensors: programs over Philox bits, so that every device gives the same numbers.

Uniforms are the top bits of a word times a power of two. Normals come by the Box-Muller transform (G. E. P. Box and
M. E. Muller, Ann. Math. Stat. 29, 1958) from logarithm, sine and cosine written out in additions and multiplications,
the only operations besides the square root whose rounding is the same everywhere. The polynomials are minimax fits of
the Cephes library's single-precision log, sin and cos (S. L. Moshier).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import dtypes as dt
from .._tensor import Tensor
from ..errors import refuse
from ..inplace import assign
from ..op import composite, unflipped
from ..plan import Table, new_tensor
from ..program import Expr, Number, Program, call, select
from ..random import Generator, default_generator
from ..registry import OPS
from .creation import Creation, make
from .pointwise import pointwise, write_program, writer

#: Random bits in a uniform number of each dtype: as many as its significand holds, so that 1 is never reached.
BITS = {dt.float64: 53, dt.float32: 24, dt.float16: 11, dt.bfloat16: 8}


def unit(seed: Any, stream: Any, bits: int = 24) -> Expr:
    """Uniform numbers in [0, 1): the top bits of a word, as float64 for 53 bits and as float32 for fewer."""
    if bits > 24:
        return (call("philox64", seed, stream) >> (64 - bits)).to(dt.float64) * 2.0**-bits
    return (call("philox32", seed, stream) >> (32 - bits)).to(dt.int32).to(dt.float32) * 2.0**-bits


def _log(x: Expr) -> Expr:
    """The natural logarithm of a positive, normal float32, in elementary arithmetic."""
    bits = x.bits_as(dt.int32)
    e = ((bits >> 23) - 126).to(dt.float32)
    m = ((bits & 0x007FFFFF) | 0x3F000000).bits_as(dt.float32)
    low = call("lt", m, 0.707106781186547524)
    e = select(low, e - 1.0, e)
    m = select(low, m + m, m) - 1.0
    y: Expr = Expr("const", (), 7.0376836292e-2)
    for c in (-1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1,
              -2.4999993993e-1, 3.3333331174e-1):  # fmt: skip
        y = y * m + c
    z = m * m
    return (m * z) * y + e * -2.12194440e-4 - z * 0.5 + m + e * 0.693359375


def _cosine(turns: Expr) -> Expr:
    """The cosine of 2 pi times a number in [0, 1), in elementary arithmetic."""
    quarter = turns * 4.0
    q = (quarter + 0.5).to(dt.int32)
    r = (quarter - q.to(dt.float32)) * (math.pi / 2)
    z = r * r
    sin = ((z * -1.9515295891e-4 + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r
    cos = (
        ((z * 2.443315711809948e-5 - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - z * 0.5 + 1.0
    )
    value = select((q & 1).eq(1), sin, cos)
    return select(((q + 1) & 2).eq(2), -value, value)


def gauss(seed: Any, stream: Any, double: bool) -> Expr:
    """Normal numbers with mean 0 and deviation 1."""
    bits = call("philox64", seed, stream)
    if double:
        u = ((bits & 0xFFFFFFFF).to(dt.float64) + 0.5) * 2.0**-32
        v = (bits >> 32).to(dt.float64) * 2.0**-32
        return (u.log() * -2.0).sqrt() * (v * (2 * math.pi)).cos()
    u = (bits.to(dt.uint32) >> 8).to(dt.int32).to(dt.float32) * 2.0**-24 + 2.0**-25
    v = (bits >> 40).to(dt.int32).to(dt.float32) * 2.0**-24
    return (_log(u) * -2.0).sqrt() * _cosine(v)


def _program(build: Any, n_scalar: int) -> Program:
    s = [Expr("scalar", (), k) for k in range(n_scalar)]
    return Program([build(*s)], 0, n_scalar)


_U64 = (dt.uint64, dt.uint64)
_UNIFORM = {d: _program(lambda s, t, a, b, n=n: unit(s, t, n) * b + a, 4) for d, n in BITS.items()}
_NORMAL = {d: _program(lambda s, t, a, b, d=d: gauss(s, t, d is dt.float64) * b + a, 4) for d in BITS}
_BITS = _program(lambda s, t: call("philox64", s, t), 2)
_INTEGERS = _program(lambda s, t, n, low: call("rem", call("philox64", s, t), n).to(dt.int64) + low, 4)


#: Prepared launches of `fill_random`.
_fills = Table()


def _stream(generator: Generator | None) -> tuple[int, int]:
    return (generator or default_generator).next_stream()


def fill_random(
    t: Tensor, program: dict[dt.DType, Program], generator: Generator | None, a: float, b: float
) -> Tensor:
    """Fill with ``a + b * value``."""
    fill = _fills.get((program is _NORMAL, t.spec))
    if fill is not None:
        fill(t, *_stream(generator), float(a), float(b))
        return t
    d = t.spec.dtype
    if d.is_complex:
        # Both parts; the variance of normal numbers is shared by them.
        if program is _NORMAL:
            fill_random(OPS["view_as_real"](t), program, generator, 0.0, b * math.sqrt(0.5))
            return t.add_(a) if a else t
        fill_random(OPS["view_as_real"](t), program, generator, a, b)
        return t
    if d not in program:
        refuse("random", "needs a floating-point tensor", do="Use random_ for integers.", self=t)
    double = d is dt.float64
    hold = dt.float64 if double else dt.float32
    typed = program[d].typed((), (d,), None, frozenset(), (*_U64, hold, hold))
    if t.spec.numel:
        unflipped(t.spec, "fill")
        _fills.keep((program is _NORMAL, t.spec), writer(typed, t.spec))
        fill_random(t, program, generator, a, b)
    return t


def _drawn(
    op: str,
    program: dict[dt.DType, Program],
    size: Any,
    like: Tensor | None,
    generator: Generator | None,
    a: Any = 0.0,
    b: Any = 1.0,
    requires_grad: bool = False,
    **made: Any,
) -> Tensor:
    """A new tensor of ``a + b * value``."""
    t = make(op, size, None, like, **made)
    if t.spec.dtype.rank < 2:
        raise RuntimeError(
            f"[{op}] not implemented for {t.spec.dtype.name!r}: needed: a floating-point dtype. Use randint for "
            "integers."
        )
    fill_random(t, program, generator, a, b)
    return t.requires_grad_() if requires_grad else t


@composite(method=False)
def rand(size: Sequence[int], *, generator: Generator | None = None, **made: Creation) -> Tensor:
    """Numbers uniform in [0, 1)."""
    return _drawn("rand", _UNIFORM, size, None, generator, **made)


@composite(method=False)
def randn(size: Sequence[int], *, generator: Generator | None = None, **made: Creation) -> Tensor:
    """Normal numbers with mean 0 and standard deviation 1."""
    return _drawn("randn", _NORMAL, size, None, generator, **made)


@composite(method=False)
def rand_like(
    self: Tensor, *, generator: Generator | None = None, memory_format: Any = None, **made: Creation
) -> Tensor:
    """Numbers uniform in [0, 1), of another tensor's shape and dtype."""
    return _drawn("rand_like", _UNIFORM, None, self, generator, memory_format=memory_format, **made)


@composite(method=False)
def randn_like(
    self: Tensor, *, generator: Generator | None = None, memory_format: Any = None, **made: Creation
) -> Tensor:
    """Normal numbers, of another tensor's shape and dtype."""
    return _drawn("randn_like", _NORMAL, None, self, generator, memory_format=memory_format, **made)


def _fill_integers(t: Tensor, low: int, high: int, generator: Generator | None) -> Tensor:
    if high <= low:
        raise RuntimeError(
            f"[randint] random_ expects 'from' to be less than 'to': got from={low} >= to={high}."
        )
    typed = _INTEGERS.typed((), (t.spec.dtype,), None, frozenset(), (*_U64, dt.uint64, dt.int64))
    return write_program(typed, t, (*_stream(generator), high - low, low)) if t.spec.numel else t


@composite(method=False)
def randint(
    low: int, high: Any = None, size: Any = None, *, generator: Generator | None = None, **made: Creation
) -> Tensor:
    """Integers from ``low`` (0 where only one bound is given) up to, not including, ``high``."""
    if size is None:
        low, high, size = 0, low, high
    if high is None:
        low, high = 0, low
    t = make("randint", size, **{**made, "dtype": made.get("dtype") or dt.int64})
    return _fill_integers(t, int(low), int(high), generator)


@composite(method=False)
def randint_like(
    self: Tensor, low: int, high: int | None = None, *, generator: Generator | None = None, **made: Creation
) -> Tensor:
    """Random integers of another tensor's shape and dtype."""
    bounds = (0, int(low)) if high is None else (int(low), int(high))
    return _fill_integers(make("randint_like", None, None, self, **made), *bounds, generator)


@composite(method=False)
def randperm(n: int, *, generator: Generator | None = None, **made: Creation) -> Tensor:
    """The integers from 0 to n - 1 in random order: the order that sorts n random words."""
    if n < 0:
        raise RuntimeError(f"[randperm] n must be non-negative: got {n}.")
    dtype = made.pop("dtype", None)
    keys = make("randperm", (int(n),), dtype=dt.int64, device=made.get("device"))
    if n:
        typed = _BITS.typed((), (dt.int64,), None, frozenset(), _U64)
        write_program(typed, keys, _stream(generator))
    order = OPS["argsort"](keys)
    return order if dtype is None else order.to(dtype)  # type: ignore[no-any-return]


@composite(method=False)
def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, **made: Creation
) -> Tensor:
    """Normal numbers with the given means and standard deviations (numbers with a size, or tensors)."""
    tensors = [t for t in (mean, std) if hasattr(t, "spec")]
    if (hasattr(std, "spec") and bool((std < 0).any())) or (not hasattr(std, "spec") and std < 0):
        raise RuntimeError("[normal] normal expects all elements of std >= 0.0: got a negative one.")
    if not tensors:
        return _drawn("normal", _NORMAL, () if size is None else size, None, generator, mean, std, **made)
    like = (mean + std) if len(tensors) == 2 else tensors[0]
    return randn(like.shape, generator=generator, dtype=like.dtype, device=like.device) * std + mean  # type: ignore[no-any-return]


def _in_place(t: Tensor, fresh: Any, op: str) -> Tensor:
    """Write random values over a tensor."""
    return assign(t, fresh(new_tensor(t.spec.like())), op)


@composite(function=False, export="uniform_", name="uniform_fill")
def _uniform_(
    self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Overwrite with numbers uniform in [from_, to)."""
    if from_ > to:
        raise RuntimeError(
            f"[uniform_] expects to return a [from, to) range, but found from={from_} > to={to}."
        )
    return _in_place(self, lambda t: fill_random(t, _UNIFORM, generator, from_, to - from_), "uniform_")


@composite(function=False, export="normal_", name="normal_fill")
def _normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Overwrite with normal numbers."""
    if std < 0:
        raise RuntimeError(f"[normal_] expects std >= 0.0, but found std {std}.")
    if self.spec.dtype.rank < 2:
        refuse("normal_", "needs a floating-point tensor", self=self)
    return _in_place(self, lambda t: fill_random(t, _NORMAL, generator, mean, std), "normal_")


@composite(function=False, export="random_", name="random_fill")
def _random_(
    self: Tensor, from_: int = 0, to: int | None = None, *, generator: Generator | None = None
) -> Tensor:
    """Overwrite with integers from ``from_`` up to, not including, ``to``."""
    if to is None and from_:
        from_, to = 0, from_
    d = self.spec.dtype
    if to is None:
        to = {
            dt.float32: 1 << 24,
            dt.float64: 1 << 53,
            dt.float16: 1 << 11,
            dt.bfloat16: 1 << 8,
            dt.bool_: 2,
        }.get(d) or (dt.iinfo(d).max + (d is not dt.int64 and d is not dt.uint64))
    return _in_place(self, lambda t: _fill_integers(t, from_, to, generator), "random_")


@composite()
def bernoulli(self: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that the element says (or ``p``), else 0."""
    if p is not None:
        return _bernoulli_(OPS["empty_like"](self), p, generator=generator)  # type: ignore[no-any-return]
    if self.spec.dtype.rank != 2:
        refuse("bernoulli", "bernoulli needs floating-point probabilities", self=self)
    if self.numel() and not bool(((self >= 0) & (self <= 1)).all()):
        raise RuntimeError(
            "[bernoulli] Expected p_in >= 0 && p_in <= 1: got values outside. Clamp them first."
        )
    u = rand(self.spec.shape, generator=generator, device=self.device)
    return (u < self.detach()).to(self.spec.dtype)  # type: ignore[no-any-return]


@composite(function=False, export="bernoulli_", name="bernoulli_fill")
def _bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Overwrite with 1 with probability ``p`` (a number or a tensor), else 0."""
    if not hasattr(p, "spec") and not 0 <= p <= 1:
        raise RuntimeError(f"[bernoulli_] expects p to be in [0, 1], but got p={p}.")
    u = rand(self.spec.shape, generator=generator, device=self.device)
    return assign(self, (u < p).to(self.spec.dtype), "bernoulli_")


@composite(function=False, export="exponential_", name="exponential_fill")
def _exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Overwrite with exponentially distributed numbers of rate ``lambd``."""
    if lambd <= 0:
        raise RuntimeError(f"[exponential_] expects lambda > 0.0, but found lambda={lambd}.")
    u = rand(self.spec.shape, generator=generator, device=self.device, dtype=dt.float64)
    return assign(self, (u.neg().log1p() / -lambd).to(self.spec.dtype), "exponential_")


@composite()
def multinomial(
    self: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn with probabilities in proportion to the elements of the last dimension.

    Args:
        self: [K] or [N, K], not negative.
        num_samples: how many to draw from each row.
        replacement: whether an index can be drawn twice.
    """
    w = self.detach()
    if w.ndim not in (1, 2) or w.spec.dtype.rank != 2:
        refuse("multinomial", "prob_dist must be 1 or 2 dim and of a floating-point dtype", self=self)
    if num_samples <= 0 or (not replacement and num_samples > w.shape[-1]):
        raise RuntimeError(
            f"[multinomial] cannot sample n_sample > prob_dist.size(-1) samples without replacement: got "
            f"{num_samples} of {w.shape[-1]}; needed: at least 1."
        )
    if bool(((w < 0) | ~w.isfinite()).any()) or bool((w.sum(-1) <= 0).any()):
        raise RuntimeError(
            "[multinomial] probability tensor contains either `inf`, `nan` or element < 0, or sums to 0."
        )
    wide = w.to(dt.float64)
    if not replacement:
        if bool(((w > 0).sum(-1) < num_samples).any()):
            raise RuntimeError(
                "[multinomial] invalid multinomial distribution (with replacement=False, not enough "
                "non-negative category to sample)."
            )
        # The exponential race: the smallest arrival times are a draw without replacement.
        noise = rand(w.shape, generator=generator, device=w.device, dtype=dt.float64)
        race = noise.neg().log1p().neg() / wide
        return race.topk(num_samples, -1, largest=False).indices  # type: ignore[no-any-return]
    rows = wide if wide.ndim == 2 else wide.unsqueeze(0)
    edges = rows.cumsum(-1)
    u = (
        rand((rows.shape[0], num_samples), generator=generator, device=w.device, dtype=dt.float64)
        * edges[:, -1:]
    )
    drawn = (u.unsqueeze(-1) >= edges.unsqueeze(-2)).sum(-1).clamp(max=w.shape[-1] - 1)
    return drawn if w.ndim == 2 else drawn[0]  # type: ignore[no-any-return]


@pointwise(public=False, name="dropout_keep")
def dropout_keep(self: Tensor, p: Number, scale: Number, seed: Number, stream: Number) -> Any:
    """``self * scale`` where a uniform number is at least ``p``, else 0; the mask is drawn again in backward."""
    return select(call("ge", unit(seed, stream), p), call("mul", self, scale), 0)


__all__ = ["dropout_keep", "gauss", "unit"]
