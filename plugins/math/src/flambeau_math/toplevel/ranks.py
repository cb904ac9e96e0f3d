"""Order statistics and hashes: mode, quantiles, medians without NaN."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau.plugin import OPS, dims_of, message, named, no_complex, wrap_dim

from .._records import Space

if TYPE_CHECKING:
    from flambeau import Tensor

__all__: list[str] = []

top = Space("")


@top.composite()
def mode(self: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent element along a dimension (of several the smallest) and where it last stands."""
    no_complex("mode", self.spec.dtype)
    d = wrap_dim(dim, self.ndim, "mode")
    if not self.ndim:
        return named(
            "mode", "values indices", self.clone(), fb.full((), 0, dtype=fb.int64, device=self.device)
        )
    n = self.shape[d]
    if not n:
        raise IndexError(
            f"[mode] Expected reduction dim {dim} to have non-zero size: got {list(self.shape)}."
        )
    values, indices = OPS["sort_pair"](self, d, False, True)
    place = OPS["arange"](n, device=self.device).reshape([-1 if k == d else 1 for k in range(self.ndim)])
    begins = fb.cat(
        [
            fb.full(
                [1 if k == d else m for k, m in enumerate(self.shape)],
                True,
                dtype=fb.bool,
                device=self.device,
            ),
            values.narrow(d, 1, n - 1) != values.narrow(d, 0, n - 1),
        ],
        d,
    )
    length = place - OPS["where_values"](begins, place, 0).cummax(d).values
    best = length.argmax(d, keepdim=True)
    values, indices = values.gather(d, best), indices.gather(d, best)
    if not keepdim:
        values, indices = values.squeeze(d), indices.squeeze(d)
    return named("mode", "values indices", values, indices)


@top.composite()
def kthvalue(self: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The k-th smallest element along a dimension and where it is."""
    d = wrap_dim(dim, self.ndim, "kthvalue")
    n = self.shape[d] if self.ndim else 1
    if not 1 <= k <= n:
        raise RuntimeError(
            f"[kthvalue] selected number k out of range for dimension {dim}: got k={k}, size {n}."
        )
    values, indices = OPS["sort_pair"](self, d, False, True)
    if self.ndim:
        values, indices = values.narrow(d, k - 1, 1), indices.narrow(d, k - 1, 1)
        if not keepdim:
            values, indices = values.squeeze(d), indices.squeeze(d)
    return named("kthvalue", "values indices", values, indices)


@top.composite()
def median(self: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median; NaN if there is one. With ``dim`` also where it is."""
    if dim is None:
        flat = self.reshape(-1)
        n = flat.shape[0]
        if not n:
            return self.new_full((), float("nan"))
        low = OPS["sort_pair"](flat, 0, False, True)[0]
        return fb.where(low[-1] != low[-1], low[-1], low[(n - 1) // 2])
    d = wrap_dim(dim, self.ndim, "median")
    n = self.shape[d] if self.ndim else 1
    values, indices = OPS["sort_pair"](self, d, False, True)
    if self.ndim:
        (mv, mi), (lv, li) = ([t.narrow(d, at, 1) for t in (values, indices)] for at in ((n - 1) // 2, n - 1))
        nan = lv != lv
        values, indices = fb.where(nan, lv, mv), fb.where(nan, li, mi)
        if not keepdim:
            values, indices = values.squeeze(d), indices.squeeze(d)
    return named("median", "values indices", values, indices)


@top.composite()
def nanmedian(self: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of what is not NaN; NaN where nothing is. With ``dim`` also where it is."""
    no_complex("nanmedian", self.spec.dtype)
    x = self.reshape(-1) if dim is None or not self.ndim else self
    d = 0 if dim is None or not self.ndim else wrap_dim(dim, self.ndim, "nanmedian")
    if not x.shape[d]:
        if dim is not None:
            raise IndexError(f"[nanmedian] Expected reduction dim {dim} to have non-zero size.")
        return self.new_full((), math.nan)
    values, indices = OPS["sort_pair"](x, d, False, True)  # NaN last
    middle = ((x == x).sum(d, keepdim=True) - 1).clamp(min=0) // 2
    values, indices = values.gather(d, middle), indices.gather(d, middle)
    if dim is None:
        return values.reshape(())
    if not self.ndim:
        values, indices = values.reshape(()), indices.reshape(())
    elif not keepdim:
        values, indices = values.squeeze(d), indices.squeeze(d)
    return named("nanmedian", "values indices", values, indices)


_BETWEEN = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(op: str, self: Any, q: Any, dim: Any, keepdim: bool, interpolation: str, skip: bool) -> Any:
    if interpolation not in _BETWEEN:
        raise RuntimeError(
            f"[{op}] interpolation must be one of {', '.join(_BETWEEN)}: got {interpolation!r}."
        )
    if not self.numel():
        raise RuntimeError(message(op, "input tensor must be non-empty", self=self))
    if self.spec.dtype not in (fb.float32, fb.float64):
        raise RuntimeError(message(op, "input tensor must be either float or double dtype", self=self))
    if hasattr(q, "spec"):
        if q.ndim > 1:
            raise RuntimeError(message(op, "q must be a scalar or 1D tensor", q=q))
        if q.spec.dtype is not self.spec.dtype:
            raise RuntimeError(message(op, "q tensor must be same dtype as the input tensor", self=self, q=q))
        if q.device is not self.device:
            raise RuntimeError(message(op, "q tensor must be on the same device as the input tensor", q=q))
        at = q
    else:
        at = fb.full((), float(q), dtype=self.spec.dtype, device=self.device)
    if at.numel() and not bool(((at >= 0) & (at <= 1)).all()):
        raise RuntimeError(f"[{op}] q values must be in the range [0, 1].")
    kept = [1] * self.ndim if dim is None else list(self.shape)
    d = 0 if dim is None else wrap_dim(dim, self.ndim, op)
    if dim is not None and self.ndim:
        kept[d] = 1
    x = self.reshape((1, -1)) if dim is None or not self.ndim else self.movedim(d, -1)
    values = OPS["sort_pair"](x, -1, False, True)[0]
    known = (values == values).sum(-1, keepdim=True)
    last = (known if skip else fb.full((), x.shape[-1], dtype=fb.int64, device=x.device)) - 1
    place = (at.reshape(-1) * last).clamp(min=0)  # [..., Q]
    place = place.expand((*x.shape[:-1], place.shape[-1]))
    if not skip:  # NaN anywhere is the result
        place = OPS["where_values"](known < x.shape[-1], x.shape[-1] - 1.0, place)
    if interpolation == "nearest":
        place = place.round()
    low, high = place.floor(), place.ceil()
    if interpolation in ("lower", "higher", "nearest"):
        out = values.gather(-1, (high if interpolation == "higher" else low).long())
    else:
        weight = (
            fb.full((), 0.5, dtype=x.dtype, device=x.device) if interpolation == "midpoint" else place - low
        )
        weight = OPS["where_values"](low == high, 0, weight)
        out = OPS["lerp"](values.gather(-1, low.long()), values.gather(-1, high.long()), weight)
    out = out.movedim(-1, 0)  # [Q, ...]
    shape = kept if keepdim else [n for k, n in enumerate(self.shape) if dim is not None and k != d]
    return out.reshape([out.shape[0], *shape] if at.ndim else shape)


@top.composite()
def quantile(
    self: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """Quantiles along a dimension (of everything by default); NaN where there is one.

    Args:
        self: float32 or float64.
        q: a number or 1-d tensor of numbers in [0, 1]; a tensor's dimension comes first in the result.
        dim: along which dimension.
        keepdim: keep it with size 1.
        interpolation: ``linear``, ``lower``, ``higher``, ``midpoint`` or ``nearest``.
    """
    return _quantile("quantile", self, q, dim, keepdim, interpolation, False)  # type: ignore[no-any-return]


@top.composite()
def nanquantile(
    self: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of what is not NaN."""
    return _quantile("nanquantile", self, q, dim, keepdim, interpolation, True)  # type: ignore[no-any-return]


@top.composite(batch="loop")
def hash_tensor(self: Tensor, dim: Any = (), *, keepdim: bool = False, mode: int = 0) -> Tensor:
    """The exclusive or of all elements' bits (of float64 or int64), as uint64."""
    dims = dims_of(dim, self.ndim, "hash_tensor")
    no_complex("hash_tensor", self.spec.dtype)
    if mode:
        raise RuntimeError(f"[hash_tensor] only mode 0 is known: got {mode}.")
    if any(self.shape[d] == 0 for d in dims):
        raise RuntimeError(
            message("hash_tensor", "Expected reduction dim to be specified for no elements", self=self)
        )
    kept = [d for d in range(self.ndim) if d not in dims]
    wide: Any = self.detach().to(fb.float64 if self.is_floating_point() else fb.int64)
    wide = wide.clone() if wide.mem is self.mem else wide
    bits = wide.contiguous().view(fb.int64).permute([*kept, *dims])
    bits = bits.reshape([*[self.shape[d] for d in kept], math.prod(self.shape[d] for d in dims)])
    while bits.shape[-1] > 1:
        n = bits.shape[-1]
        half = bits.narrow(-1, 0, n // 2) ^ bits.narrow(-1, n // 2, n // 2)
        bits = fb.cat([half, bits.narrow(-1, n - 1, 1)], -1) if n % 2 else half
    shape = [1 if d in dims else n for d, n in enumerate(self.shape) if keepdim or d not in dims]
    return bits.contiguous().view(fb.uint64).reshape(shape)  # type: ignore[no-any-return]


kthvalue.apart_out = True  # out= may not be the input
