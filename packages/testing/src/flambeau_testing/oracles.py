"""What records compute, said a second time in NumPy and nothing of flambeau: the oracle of the forward tests.

An oracle has its record's arguments. Floating-point operands come in double precision (holding values of the dtype
under test), integers and bools in their own dtype. Results are rounded to the result's dtype by the comparison.
Records without an oracle are compared with the reference backend in double precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["ORACLES"]

#: Arrays are not looked into by type checkers here: NumPy's functions are generous.
Array = Any
Oracle = Callable[..., Any]


def _float(x: Any) -> Any:
    """Integers and bools as float64; what is floating-point or complex as it is."""
    if isinstance(x, np.ndarray):
        return x.astype(np.float64) if x.dtype.kind in "bui" else x
    return float(x) if isinstance(x, (bool, int)) else x


def _floats(fn: Oracle) -> Oracle:
    return lambda *args: fn(*map(_float, args))


def _whole(fn: Oracle) -> Oracle:
    """A function to which integers and bools are what they are."""
    return lambda x: x if np.asarray(x).dtype.kind in "bui" else fn(x)


def _scalar(fn: Callable[[float], float]) -> Oracle:
    return _floats(lambda x: np.vectorize(fn, otypes=[np.float64])(x) if x.size else x)


def _axes(x: Array, dim: Any) -> tuple[int, ...]:
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(x.ndim))
    return tuple(d % max(x.ndim, 1) for d in ((dim,) if isinstance(dim, int) else dim)) if x.ndim else ()


def _reduce(fn: Oracle) -> Oracle:
    return lambda x, dim=None, keepdim=False: fn(x, axis=_axes(x, dim), keepdims=keepdim)


def _total(fn: Oracle) -> Oracle:
    def run(x: Array, dim: Any = None, keepdim: bool = False) -> Any:
        wide = np.int64 if x.dtype.kind in "bui" else x.dtype
        return fn(x, axis=_axes(x, dim), keepdims=keepdim, dtype=wide)

    return run


def _lines(x: Array) -> Array:
    return x.reshape(1) if x.ndim == 0 else x


def _along(fn: Callable[[Array, int], Any]) -> Callable[[Array, int], Any]:
    """A function along one dimension, which a 0-d array has too."""

    def run(x: Array, dim: int) -> Any:
        out = fn(_lines(x), dim)
        return tuple(o.reshape(x.shape) for o in out) if isinstance(out, tuple) else out.reshape(x.shape)

    return run


def _extreme(pick: Oracle, place: Oracle, pair: Oracle) -> Oracle:
    def run(x: Array, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(dim, np.ndarray):
            return pair(x, dim)
        if dim is None:
            return pick(x)
        return pick(x, axis=dim, keepdims=keepdim), place(x, axis=dim, keepdims=keepdim)

    return run


def _place(fn: Oracle) -> Oracle:
    def run(x: Array, dim: int | None = None, keepdim: bool = False) -> Any:
        return fn(x) if dim is None else fn(x, axis=dim, keepdims=keepdim)

    return run


def _spread(fn: Oracle) -> Oracle:
    def run(x: Array, dim: Any = None, *, correction: int = 1, keepdim: bool = False) -> Any:
        return fn(x, axis=_axes(x, dim), ddof=correction, keepdims=keepdim)

    return run


def _logsumexp(x: Array, dim: Any, keepdim: bool = False) -> Any:
    x = _float(x)
    return np.log(np.sum(np.exp(x), axis=_axes(x, dim), keepdims=keepdim))


def _norm(x: Array, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Any:
    size, axes = np.abs(x), _axes(x, dim)
    if p == math.inf:
        return size.max(axis=axes, keepdims=keepdim)
    return np.sum(size**p, axis=axes, keepdims=keepdim) ** (1 / p)


def _cumulate(fn: Oracle) -> Oracle:
    return _along(lambda x, dim: fn(x, axis=dim, dtype=np.int64 if x.dtype.kind in "bui" else x.dtype))


def _logcumsumexp(x: Array, dim: int) -> Array:
    return np.log(np.cumsum(np.exp(_float(x)), axis=dim))


def _running(better: Oracle) -> Callable[[Array, int], Any]:
    def run(x: Array, dim: int) -> tuple[Array, Array]:
        rows = np.moveaxis(x, dim, 0)
        values, places = rows.copy(), np.zeros(rows.shape, np.int64)
        for i in range(1, len(rows)):
            take = better(rows[i], values[i - 1])
            values[i] = np.where(take, rows[i], values[i - 1])
            places[i] = np.where(take, i, places[i - 1])
        return np.moveaxis(values, 0, dim), np.moveaxis(places, 0, dim)

    return _along(run)


def _order(x: Array, dim: int, descending: bool) -> Array:
    if descending:
        n = x.shape[dim]
        return n - 1 - np.flip(np.argsort(np.flip(x, dim), axis=dim, kind="stable"), dim)
    return np.argsort(x, axis=dim, kind="stable")


def _sort(x: Array, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    return _along(
        lambda a, d: (np.take_along_axis(a, _order(a, d, descending), d), _order(a, d, descending))
    )(x, dim)


def _topk(x: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Array, Array]:
    values, places = _sort(x, dim, largest)
    return np.take(values, range(k), dim), np.take(places, range(k), dim)


def _kthvalue(x: Array, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Array, Array]:
    values, places = _sort(x, dim)
    at: Any = [k - 1] if keepdim else k - 1
    return np.take(values, at, dim), np.take(places, at, dim)


def _median(x: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    if dim is None:
        return np.sort(x.reshape(-1))[(x.size - 1) // 2]
    return _kthvalue(x, (x.shape[dim] + 1) // 2, dim, keepdim)


def _added(fn: Oracle) -> Oracle:
    """``beta * base + alpha * product``."""
    return lambda base, *args, beta=1, alpha=1: beta * base + alpha * fn(*args)


def _addbmm(base: Array, a: Array, b: Array, *, beta: Any = 1, alpha: Any = 1) -> Any:
    if a.dtype == bool:
        return NotImplemented
    return beta * base + alpha * np.matmul(a, b).sum(0, dtype=a.dtype)


def _plus(fn: Oracle) -> Oracle:
    return lambda a, b, *, alpha=1: fn(a, b) if alpha == 1 else fn(a, alpha * b)


def _div(a: Any, b: Any, *, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return np.true_divide(_float(a), _float(b))
    if rounding_mode == "floor":
        return np.floor_divide(a, b)
    whole = np.asarray(a).dtype.kind in "ui"
    return np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)) if whole else np.trunc(a / b)


def _clamp(x: Array, min: Any = None, max: Any = None) -> Any:
    if x.dtype.kind == "u":  # bounds wrap
        min, max = (np.asarray(v).astype(x.dtype) if isinstance(v, int) else v for v in (min, max))
    x = x if min is None else np.maximum(x, min)
    return x if max is None else np.minimum(x, max)


def _split(x: Array, size: Any, dim: int = 0) -> list[Array]:
    if isinstance(size, int):
        return np.split(x, range(size, x.shape[dim], size), dim)
    return np.split(x, np.cumsum(size)[:-1], dim)


def _chunk(x: Array, chunks: int, dim: int = 0) -> list[Array]:
    return _split(x, -(-x.shape[dim] // chunks), dim)


def _cat(tensors: Sequence[Array], dim: int = 0) -> Array:
    return np.concatenate(tensors, dim)


def _gather(x: Array, dim: int, index: Array) -> Array:
    cut = tuple(slice(None) if d == dim % x.ndim else slice(n) for d, n in enumerate(index.shape))
    return np.take_along_axis(x[cut], index, dim) if index.size else np.zeros(index.shape, x.dtype)


def _put_along(
    base: Array, dim: int, index: Array, src: Any, combine: Callable[[Any, Any], Any] | None
) -> Array:
    """One element after the other."""
    out = base.copy()
    for at in np.ndindex(*index.shape):
        to = (*at[:dim], int(index[at]), *at[dim + 1 :])
        value = src[at] if isinstance(src, np.ndarray) else src
        out[to] = value if combine is None else combine(out[to], value)
    return out


def _scatter_reduce(
    x: Array, dim: int, index: Array, src: Array, reduce: str, *, include_self: bool = True
) -> Array:
    start = {"sum": 0, "prod": 1, "amax": -np.inf, "amin": np.inf}[reduce]
    fn: Oracle = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}[reduce]
    base = x.astype(np.float64) if x.dtype.kind == "f" else x
    if not include_self:
        if x.dtype.kind != "f":
            return NotImplemented
        base = _put_along(base, dim, index, start, None)
    return _put_along(base, dim, index, src, fn)


def _rows(fn: Callable[[Array, Array, Any], None]) -> Oracle:
    """Change the rows that an index names."""

    def run(x: Array, dim: int, index: Array, source: Any) -> Array:
        out = x.copy()
        fn(
            np.moveaxis(out, dim, 0),
            index,
            np.moveaxis(source, dim, 0) if isinstance(source, np.ndarray) else source,
        )
        return out

    return run


def _assign_rows(rows: Array, index: Array, source: Any) -> None:
    rows[index] = source


def _masked_scatter(x: Array, mask: Array, source: Array) -> Array:
    out = x.copy()
    out[mask] = source.reshape(-1)[: int(mask.sum())]
    return out


def _masked_fill(x: Array, mask: Array, value: Any) -> Array:
    if not isinstance(value, np.ndarray):
        value = np.asarray(value).astype(x.dtype)
    return np.where(mask, value, x)


def _diag(x: Array, diagonal: int = 0) -> Array:
    return np.diag(x, diagonal)


def _diag_embed(x: Array, offset: int = 0) -> Array:
    n = x.shape[-1] + abs(offset)
    out = np.zeros((*x.shape[:-1], n, n), x.dtype)
    for i in range(x.shape[-1]):
        out[..., i + max(-offset, 0), i + max(offset, 0)] = x[..., i]
    return out


def _unfold(x: Array, dim: int, size: int, step: int) -> Array:
    starts = range(0, x.shape[dim] - size + 1, step)
    rows = [np.moveaxis(np.take(x, range(s, s + size), dim), dim, -1) for s in starts]
    return np.stack(rows, dim)


def _roll(x: Array, shifts: Any, dims: Any = None) -> Array:
    return np.roll(x, shifts, dims)


def _squeeze(x: Array, dim: Any = None) -> Array:
    if dim is None:
        return np.squeeze(x)
    dims = (dim,) if isinstance(dim, int) else dim
    return np.squeeze(x, tuple(d for d in dims if x.shape[d] == 1))


def _flatten(x: Array, start: int = 0, end: int = -1) -> Array:
    return x.reshape(1) if x.ndim == 0 else x.reshape(*x.shape[:start], -1)


def _unflatten(x: Array, dim: int, sizes: Sequence[int]) -> Array:
    dim %= x.ndim
    return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :])


def _expand(x: Array, size: Sequence[int]) -> Array:
    lead = len(size) - x.ndim
    return np.broadcast_to(x, [x.shape[k - lead] if n == -1 else n for k, n in enumerate(size)])


def _sum_to_size(x: Array, size: Sequence[int]) -> Array:
    lead = x.ndim - len(size)
    dims = tuple(range(lead)) + tuple(lead + k for k, n in enumerate(size) if n == 1)
    return np.sum(x, axis=dims, keepdims=True).reshape(size)


def _repeat(x: Array, sizes: Sequence[int]) -> Array:
    return np.tile(x.reshape((1,) * (len(sizes) - x.ndim) + x.shape), sizes)


def _softmax(x: Array, dim: int, log: bool = False) -> Array:
    y = _lines(x)
    e = np.exp(y - y.max(axis=dim, keepdims=True)) if y.size else y
    total = e.sum(axis=dim, keepdims=True)
    out = (y - y.max(axis=dim, keepdims=True) - np.log(total) if y.size else y) if log else e / total
    return out.reshape(x.shape)


def _pad(x: Array, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Array:
    width = [(0, 0)] * (x.ndim - len(pad) // 2) + [(pad[k], pad[k + 1]) for k in range(len(pad) - 2, -1, -2)]
    if mode == "constant":
        return np.pad(x, width, constant_values=np.asarray(value or 0).astype(x.dtype))
    how: Any = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    return np.pad(x, width, how)


def _round(x: Array, *, decimals: int = 0) -> Any:
    return np.rint(x * 10**decimals) / 10**decimals if decimals else _whole(np.rint)(x)


def _lerp(a: Array, b: Array, weight: Any) -> Array:
    return a + weight * (b - a)


def _isclose(a: Array, b: Array) -> Any:
    return np.abs(_float(a) - _float(b)) <= 1e-8 + 1e-5 * np.abs(_float(b))


def _complex(re: Array, im: Array) -> Array:
    out = np.empty(re.shape, np.complex128)
    out.real, out.imag = re, im
    return out


def _combinations(x: Array, r: int = 2) -> Array:
    import itertools

    return np.array(list(itertools.combinations(x, r)), x.dtype)


_UNARY: dict[str, Oracle] = {
    "abs": np.abs, "acos": _floats(np.arccos), "acosh": _floats(np.arccosh), "asin": _floats(np.arcsin),
    "asinh": _floats(np.arcsinh), "atan": _floats(np.arctan), "atanh": _floats(np.arctanh),
    "ceil": _whole(np.ceil), "conj": np.conjugate, "cos": _floats(np.cos), "cosh": _floats(np.cosh),
    "erf": _scalar(math.erf), "erfc": _scalar(math.erfc), "exp": _floats(np.exp), "expm1": _floats(np.expm1),
    "exp2": _floats(lambda x: np.power(2.0, x)), "floor": _whole(np.floor), "frac": lambda x: x - np.trunc(x),
    "isfinite": np.isfinite, "isinf": np.isinf, "isnan": np.isnan, "isneginf": np.isneginf, "isposinf": np.isposinf,
    "isreal": np.isreal, "lgamma": _scalar(lambda x: math.lgamma(x) if x > 0 or x != int(x) else math.inf),
    "log": _floats(np.log), "log10": _floats(np.log10), "log1p": _floats(np.log1p), "log2": _floats(np.log2),
    "logical_not": np.logical_not, "bitwise_not": np.invert, "neg": np.negative, "positive": lambda x: x,
    "log_odds": _floats(lambda x: np.maximum(np.log(x), -100) - np.maximum(np.log1p(-x), -100)),
    "reciprocal": _floats(lambda x: 1 / x),
    "relu": lambda x: np.maximum(x, 0), "round": _round, "rsqrt": _floats(lambda x: 1 / np.sqrt(x)),
    "sgn": lambda x: x if x.dtype == bool else np.sign(x), "sign": lambda x: x if x.dtype == bool else np.sign(x),
    "sigmoid": _floats(lambda x: 1 / (1 + np.exp(-x))),
    "signbit": lambda x: np.signbit(x) if x.dtype.kind == "f" else x < 0, "sin": _floats(np.sin),
    "sinh": _floats(np.sinh), "sqrt": _floats(np.sqrt), "square": lambda x: x * x, "tan": _floats(np.tan),
    "tanh": _floats(np.tanh), "trunc": _whole(np.trunc), "nan_to_num": np.nan_to_num,
}  # fmt: skip
_BINARY: dict[str, Oracle] = {
    "add": _plus(np.add), "sub": _plus(np.subtract), "rsub": lambda a, b, *, alpha=1: b - alpha * a,
    "mul": np.multiply, "div": _div, "true_divide": _div, "floor_divide": np.floor_divide, "remainder": np.remainder,
    "fmod": np.fmod, "pow": np.power, "float_power": _floats(np.float_power), "maximum": np.maximum,
    "minimum": np.minimum, "fmax": np.fmax, "fmin": np.fmin, "atan2": _floats(np.arctan2),
    "hypot": _floats(np.hypot), "copysign": _floats(np.copysign), "eq": np.equal, "ne": np.not_equal, "lt": np.less,
    "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "logical_and": np.logical_and,
    "logical_or": np.logical_or, "logical_xor": np.logical_xor, "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor, "bitwise_left_shift": np.left_shift,
    "bitwise_right_shift": np.right_shift,
    "xlogy": _floats(lambda x, y: np.where((x == 0) & ~np.isnan(y), 0.0, x * np.log(y))),
    "isclose": _isclose, "allclose": lambda a, b: bool(_isclose(a, b).all()), "equal": np.array_equal,
    "complex": _complex, "dist": lambda a, b, p=2: _norm(a - b, p),
}  # fmt: skip
_REDUCED: dict[str, Oracle] = {
    "sum": _total(np.sum), "prod": _total(np.prod), "mean": _reduce(np.mean), "amax": _reduce(np.max),
    "amin": _reduce(np.min), "any": _reduce(np.any), "all": _reduce(np.all), "nansum": _total(np.nansum),
    "nanmean": _reduce(np.nanmean), "count_nonzero": lambda x, dim=None: np.count_nonzero(x, axis=_axes(x, dim)),
    "max": _extreme(np.max, np.argmax, np.maximum), "min": _extreme(np.min, np.argmin, np.minimum),
    "argmax": _place(np.argmax), "argmin": _place(np.argmin), "var": _spread(np.var), "std": _spread(np.std),
    "var_mean": lambda x, dim=None: (np.var(x, axis=_axes(x, dim), ddof=1), np.mean(x, axis=_axes(x, dim))),
    "std_mean": lambda x, dim=None: (np.std(x, axis=_axes(x, dim), ddof=1), np.mean(x, axis=_axes(x, dim))),
    "logsumexp": _logsumexp, "norm": _norm, "norm2": lambda x, dim=None, keepdim=False: _norm(x, 2, dim, keepdim),
    "aminmax": lambda x, dim=None: (np.min(x, axis=dim), np.max(x, axis=dim)), "cumsum": _cumulate(np.cumsum),
    "cumprod": _cumulate(np.cumprod), "logcumsumexp": _along(_logcumsumexp), "cummax": _running(np.greater_equal),
    "cummin": _running(np.less_equal), "sort": _sort, "sort_pair": _sort, "topk": _topk, "topk_pair": _topk,
    "argsort": lambda x, dim=-1, descending=False: _sort(x, dim, descending)[1], "msort": lambda x: np.sort(x, 0),
    "kthvalue": _kthvalue, "median": _median, "softmax": _softmax,
    "log_softmax": lambda x, dim: _softmax(x, dim, True),
}  # fmt: skip
_PRODUCTS: dict[str, Oracle] = {
    "matmul": np.matmul, "mm": np.matmul, "bmm": np.matmul, "mv": np.matmul, "dot": np.dot, "vdot": np.vdot,
    "inner": np.inner, "outer": np.multiply.outer, "addmm": _added(np.matmul), "addmv": _added(np.matmul),
    "baddbmm": _added(np.matmul), "addbmm": _addbmm,
    "addr": _added(np.multiply.outer), "tensordot": lambda a, b, dims=2: np.tensordot(a, b, dims),
    "addcmul": lambda x, a, b, *, value=1: x + value * a * b,
    "addcdiv": lambda x, a, b, *, value=1: x + value * (a / b),
    "lerp": _floats(_lerp), "clamp": _clamp, "clamp_min": _clamp, "clamp_max": lambda x, max: _clamp(x, None, max),
}  # fmt: skip
_MOVED: dict[str, Oracle] = {
    "view": lambda x, s: x.reshape(s), "view_shape": lambda x, s: x.reshape(s), "reshape": lambda x, s: x.reshape(s),
    "view_as": lambda x, y: x.reshape(y.shape), "reshape_as": lambda x, y: x.reshape(y.shape),
    "transpose": lambda x, a, b: np.swapaxes(x, a, b) if x.ndim else x, "permute": np.transpose, "expand": _expand,
    "expand_as": lambda x, y: np.broadcast_to(x, y.shape), "broadcast_to": np.broadcast_to, "t": np.transpose,
    "adjoint": lambda x: np.conjugate(np.swapaxes(x, -1, -2)), "flatten": _flatten, "unflatten": _unflatten,
    "ravel": np.ravel, "squeeze": _squeeze, "unsqueeze": np.expand_dims, "movedim": np.moveaxis,
    "select": lambda x, dim, i: np.take(x, i, dim), "narrow": lambda x, d, s, n: np.take(x, range(s, s + n), d),
    "diagonal": np.diagonal, "unfold": _unfold, "unbind": lambda x, dim=0: list(np.moveaxis(x, dim, 0)),
    "split": _split, "split_with_sizes": _split, "chunk": _chunk,
    "tensor_split": lambda x, n, dim=0: np.array_split(x, n, dim), "hsplit": np.hsplit, "vsplit": np.vsplit,
    "dsplit": np.dsplit, "atleast_1d": np.atleast_1d, "atleast_2d": np.atleast_2d, "atleast_3d": np.atleast_3d,
    "cat": _cat, "stack": lambda ts, dim=0: np.stack(ts, dim), "hstack": np.hstack, "vstack": np.vstack,
    "dstack": np.dstack, "column_stack": np.column_stack, "repeat": _repeat, "tile": np.tile,
    "repeat_interleave": lambda x, n, dim=None: np.repeat(x, n, dim), "flip": np.flip, "fliplr": np.fliplr,
    "flipud": np.flipud, "roll": _roll, "rot90": np.rot90, "tril": np.tril, "triu": np.triu, "diag": _diag,
    "diag_embed": _diag_embed, "diagflat": np.diagflat, "sum_to_size": _sum_to_size, "gather": _gather,
    "scatter": lambda x, dim, index, src: _put_along(x, dim, index, src, None),
    "scatter_add": lambda x, dim, index, src: _put_along(x, dim, index, src, np.add),
    "scatter_reduce": _scatter_reduce, "take": np.take,
    "take_along_dim": lambda x, index, dim: np.take_along_axis(x, index, dim),
    "index_select": lambda x, dim, index: np.take(x, index, dim), "index_add": _rows(np.add.at),
    "index_fill": _rows(_assign_rows), "index_copy": _rows(_assign_rows),
    "masked_select": lambda x, mask: x[np.broadcast_to(mask, x.shape)],
    "masked_fill": _masked_fill,
    "masked_fill_values": lambda x, mask, value: np.where(mask, value, x),
    "where": np.where, "where_values": np.where,
    "nonzero": np.argwhere, "argwhere": np.argwhere, "masked_scatter": _masked_scatter, "unique": np.unique,
    "searchsorted": lambda line, x: np.searchsorted(line, x), "combinations": _combinations, "pad": _pad,
    "clone": np.copy, "contiguous": np.copy, "fill": lambda x, v: np.full_like(x, v),
    "zeros_like": np.zeros_like, "ones_like": np.ones_like, "full_like": np.full_like,
}  # fmt: skip

#: Record -> the same in NumPy.
ORACLES: dict[str, Oracle] = {**_UNARY, **_BINARY, **_REDUCED, **_PRODUCTS, **_MOVED}
