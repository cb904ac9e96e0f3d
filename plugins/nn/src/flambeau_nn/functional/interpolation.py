"""Resizing: interpolate and the upsample functions. Every mode is separable: one dimension after the other."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Any

import flambeau as fb
from flambeau.errors import message

from ._common import need_tensors
from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d
from .pooling_volumes import adaptive_avg_pool3d

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

_RANKS = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5}
_MODES = ("nearest", "nearest-exact", "area", *_RANKS)


#: What is interpolated as float32.
_NARROW = (fb.uint8, fb.float16, fb.bfloat16)


def interpolate(
    input: fb.Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> fb.Tensor:
    """Resize ``(N, C, *)`` to `size`, or by `scale_factor`.

    Args:
        input: a batch of sequences, images or volumes.
        size: the sizes of the result.
        scale_factor: factors instead of sizes.
        mode: ``nearest``, ``nearest-exact``, ``linear`` (3-d), ``bilinear`` or ``bicubic`` (4-d), ``trilinear``
            (5-d), ``area``.
        align_corners: keep the corners' values (the four last named modes but area).
        recompute_scale_factor: take the factor from the rounded size.
        antialias: widen the filter when the image shrinks (bilinear and bicubic).

    >>> interpolate(fb.tensor([[[1.0, 2.0]]]), scale_factor=2).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    """
    need_tensors("interpolate", input=input)
    _check(input, mode, align_corners, antialias)
    n = input.ndim - 2
    sizes, factors = _sizes(input, n, size, scale_factor)
    if recompute_scale_factor:
        if scale_factor is None:
            raise ValueError("[interpolate] recompute_scale_factor is not meaningful with an explicit size.")
        factors = [None] * n
    if mode == "area":
        return _area(input, sizes)
    dtype = input.dtype
    fixed = dtype == fb.uint8 and mode in ("bilinear", "bicubic")
    result = input
    if not mode.startswith("nearest"):
        result = input.to(fb.float64) if fixed else input.to(fb.float32) if dtype in _NARROW else input
    for place, (out, factor) in reversed(list(enumerate(zip(sizes, factors, strict=True)))):
        dim = place + 2
        if antialias:
            result = _antialiased(result, dim, out, factor, mode, bool(align_corners), fixed)
        elif mode.startswith("nearest"):
            result = _nearest(result, dim, out, factor, mode == "nearest-exact")
        else:
            result = _weighted(result, dim, out, factor, mode == "bicubic", bool(align_corners), fixed)
        if dtype == fb.uint8 and not mode.startswith("nearest"):
            result = (result + 0.5).floor().clamp(0, 255)
    return result.to(dtype)


def _check(input: fb.Tensor, mode: str, align_corners: bool | None, antialias: bool) -> None:
    if mode not in _MODES:
        raise NotImplementedError(
            f"[interpolate] unknown mode: got {mode!r}, needed one of {', '.join(_MODES)}."
        )
    if mode in ("nearest", "nearest-exact", "area") and align_corners is not None:
        raise ValueError(
            "[interpolate] align_corners option can only be set with the interpolating modes: linear, bilinear, "
            f"bicubic, trilinear: got mode {mode!r}."
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(
            f"[interpolate] anti-alias option is restricted to bilinear and bicubic modes: got mode {mode!r}."
        )
    if input.ndim not in (3, 4, 5) or input.ndim != _RANKS.get(mode, input.ndim):
        need = f"a {_RANKS[mode]}D input" if mode in _RANKS else "a 3D, 4D or 5D input"
        raise NotImplementedError(
            message("interpolate", f"the rank doesn't fit mode {mode!r}", need, input=input)
        )


def _sizes(input: fb.Tensor, n: int, size: Any, scale_factor: Any) -> tuple[list[int], list[float | None]]:
    if (size is None) == (scale_factor is None):
        which = "either size or scale_factor should be defined" if size is None else (
            "only one of size or scale_factor should be defined"
        )  # fmt: skip
        raise ValueError(f"[interpolate] {which}.")
    given = size if scale_factor is None else scale_factor
    name = "size" if scale_factor is None else "scale_factor"
    values = list(given) if isinstance(given, Sequence) else [given] * n
    if len(values) != n:
        raise ValueError(
            message("interpolate", f"input and {name} must have the same number of spatial dimensions",
                    f"{n} values", input=input, **{name: given})
        )  # fmt: skip
    if scale_factor is None:
        sizes, factors = [int(value) for value in values], [None] * n
    else:
        factors = [float(value) for value in values]  # type: ignore[misc]
        sizes = [floor(old * factor) for old, factor in zip(input.shape[2:], values, strict=True)]
    if min(sizes) <= 0 or 0 in input.shape[2:]:
        raise RuntimeError(
            message(
                "interpolate", f"input and output sizes should be greater than 0: output {sizes}", input=input
            )
        )
    return sizes, factors  # type: ignore[return-value]


def _area(input: fb.Tensor, sizes: list[int]) -> fb.Tensor:
    if len(sizes) == 1:
        return adaptive_avg_pool1d(input, sizes[0])
    if len(sizes) == 2:
        return adaptive_avg_pool2d(input, sizes)
    return adaptive_avg_pool3d(input, sizes)


def _nearest(x: fb.Tensor, dim: int, out: int, factor: float | None, exact: bool) -> fb.Tensor:
    size = x.shape[dim]
    # float32 throughout, so that ties fall as they do in PyTorch
    step = fb.tensor(1 / factor if factor else size / out, dtype=fb.float32)
    places = fb.arange(out, dtype=fb.float32) + (0.5 if exact else 0.0)
    index = (places * step).floor().to(fb.int64).clamp(0, size - 1)
    return x.index_select(dim, index.to(x.device))


def _centres(x: fb.Tensor, size: int, out: int, factor: float | None, align: bool) -> fb.Tensor:
    """Where the output's points lie in the input."""
    dtype = fb.float64 if x.dtype == fb.float64 else fb.float32
    places = fb.arange(out, dtype=dtype, device=x.device)
    if align:
        return places * ((size - 1) / (out - 1) if out > 1 else 0.0)
    return (places + 0.5) * (1 / factor if factor else size / out) - 0.5


def _fixed_point(weights: fb.Tensor) -> fb.Tensor:
    """Weights of bytes: multiples of a power of two, so that the largest is a number of 15 bits."""
    largest = float(weights.amax())
    bits = 0
    while bits < 22 and int(0.5 + largest * 2 ** (bits + 1)) < 2**15:
        bits += 1
    scaled = weights * 2.0**bits
    return (scaled.abs() + 0.5).floor() * scaled.sign() / 2.0**bits


def _weighted(
    x: fb.Tensor, dim: int, out: int, factor: float | None, cubic: bool, align: bool, fixed: bool
) -> fb.Tensor:
    size = x.shape[dim]
    at = _centres(x, size, out, factor, align)
    if not cubic:
        at = at.clamp_min(0.0)
    low = at.floor()
    part = at - low
    weights = _cubic_weights(part) if cubic else [1 - part, part]
    first = -1 if cubic else 0
    if fixed:
        seen = [(low + k).to(fb.int64).clamp(0, size - 1) for k in range(first, first + len(weights))]
        shares = fb.stack(weights, 1).to(x.dtype)
        matrix = fb.zeros((out, size), dtype=x.dtype, device=x.device).scatter_add(
            1, fb.stack(seen, 1), shares
        )
        return _by_matrix(x, dim, _fixed_point(matrix))
    shape = [1] * x.ndim
    shape[dim] = out
    total = None
    for offset, weight in enumerate(weights, first):
        index = (low + offset).to(fb.int64).clamp(0, size - 1)
        term = x.index_select(dim, index) * weight.to(x.dtype).view(shape)
        total = term if total is None else total + term
    assert total is not None
    return total


def _cubic_weights(t: fb.Tensor) -> list[fb.Tensor]:
    """Keys' kernel with a = -0.75 at the distances 1 + t, t, 1 - t, 2 - t."""
    return [
        _cubic_far(t + 1, -0.75),
        _cubic_near(t, -0.75),
        _cubic_near(1 - t, -0.75),
        _cubic_far(2 - t, -0.75),
    ]


def _cubic_near(d: fb.Tensor, a: float) -> fb.Tensor:
    return ((a + 2) * d - (a + 3)) * d * d + 1


def _cubic_far(d: fb.Tensor, a: float) -> fb.Tensor:
    return ((d - 5) * d + 8) * d * a - 4 * a


def _antialiased(
    x: fb.Tensor, dim: int, out: int, factor: float | None, mode: str, align: bool, fixed: bool
) -> fb.Tensor:
    """Resize by a matrix whose rows hold the filter, as wide as the input's step."""
    size = x.shape[dim]
    step = ((size - 1) / (out - 1) if out > 1 else 0.0) if align else 1 / factor if factor else size / out
    stretch = max(step, 1.0)
    centres = step * (fb.arange(out, dtype=fb.float64) + 0.5)
    reach = (1.0 if mode == "bilinear" else 2.0) * stretch
    points = fb.arange(size, dtype=fb.float64)
    first = (centres - reach + 0.5).to(fb.int64).clamp_min(0).to(fb.float64)
    last = (centres + reach + 0.5).to(fb.int64).clamp(max=size).to(fb.float64)
    distance = ((points[None, :] - centres[:, None] + 0.5) / stretch).abs()
    if mode == "bilinear":
        weights = (1 - distance).clamp_min(0.0)
    else:
        far = fb.where(distance < 2, _cubic_far(distance, -0.5), fb.zeros_like(distance))
        weights = fb.where(distance < 1, _cubic_near(distance, -0.5), far)
    inside = (points[None, :] >= first[:, None]) & (points[None, :] < last[:, None])
    weights = fb.where(inside, weights, fb.zeros_like(weights))
    weights = weights / weights.sum(1, keepdim=True)
    matrix = (_fixed_point(weights) if fixed else weights).to(x.dtype).to(x.device)
    return _by_matrix(x, dim, matrix)


def _by_matrix(x: fb.Tensor, dim: int, matrix: fb.Tensor) -> fb.Tensor:
    return fb.matmul(x.movedim(dim, -1), matrix.t()).movedim(-1, dim)


def upsample(
    input: fb.Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None,
) -> fb.Tensor:  # fmt: skip
    """The older name of `interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: fb.Tensor, size: Any = None, scale_factor: Any = None) -> fb.Tensor:
    """`interpolate` in mode nearest."""
    return interpolate(input, size, scale_factor)


def upsample_bilinear(input: fb.Tensor, size: Any = None, scale_factor: Any = None) -> fb.Tensor:
    """`interpolate` in mode bilinear with aligned corners."""
    return interpolate(input, size, scale_factor, "bilinear", True)
