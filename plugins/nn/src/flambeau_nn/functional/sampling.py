"""Sampling images at any places: grid_sample, and the grids of affine maps.

Places are ``(x, y)`` or ``(x, y, z)`` between -1 and 1, the last size of the image first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import flambeau as fb
from flambeau.errors import message

from ..ops.windows import widened
from ._common import need_tensors

__all__ = ["affine_grid", "grid_sample"]

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def grid_sample(
    input: fb.Tensor, grid: fb.Tensor, mode: str = "bilinear", padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> fb.Tensor:  # fmt: skip
    """The values of an image at the places of a grid.

    Args:
        input: ``(N, C, H, W)`` or ``(N, C, D, H, W)``.
        grid: ``(N, H', W', 2)`` or ``(N, D', H', W', 3)``, places between -1 and 1.
        mode: ``"bilinear"`` (trilinear for volumes), ``"nearest"``, ``"bicubic"`` (images only).
        padding_mode: what is outside: ``"zeros"``, ``"border"`` (the nearest element) or ``"reflection"``.
        align_corners: whether -1 and 1 are the centres of the outer elements; else they are the outer edges.

    Returns:
        ``(N, C, *grid sizes)``.

    >>> grid_sample(fb.arange(4.0).view(1, 1, 2, 2), fb.zeros(1, 1, 1, 2), align_corners=False).tolist()
    [[[[1.5]]]]
    """
    op = "grid_sample"
    need_tensors(op, input=input, grid=grid)
    if mode not in _MODES:
        raise ValueError(f"[{op}] expected mode to be 'bilinear', 'nearest' or 'bicubic': got {mode!r}.")
    if padding_mode not in _PADDINGS:
        raise ValueError(
            f"[{op}] expected padding_mode to be 'zeros', 'border' or 'reflection': got {padding_mode!r}."
        )
    n = input.ndim - 2
    if n not in (2, 3) or grid.ndim != input.ndim:
        raise RuntimeError(
            message(
                op, "expected 4D or 5D input and grid with same number of dimensions", input=input, grid=grid
            )
        )
    if grid.shape[0] != input.shape[0] or grid.shape[-1] != n or 0 in input.shape[2:]:
        raise RuntimeError(
            message(op, f"expected grid and input to have the same batch size, grid to have size {n} in its last "
                    "dimension and input to have non-empty spatial dimensions", input=input, grid=grid)
        )  # fmt: skip
    if mode == "bicubic" and n == 3:
        raise RuntimeError(f"[{op}] bicubic interpolation only supports 4D input.")
    return _sampled(widened(input), widened(grid), mode, padding_mode, bool(align_corners)).to(input.dtype)


def _sampled(input: fb.Tensor, grid: fb.Tensor, mode: str, padding_mode: str, align: bool) -> fb.Tensor:
    sizes = tuple(input.shape[2:])
    n = len(sizes)
    # One coordinate per dimension of the image, in the image's order.
    places = [_unscaled(grid[..., n - 1 - k], sizes[k], align) for k in range(n)]
    if mode == "bicubic":
        return _cubic(input, places, sizes, padding_mode, align)
    places = [_inside(x, m, padding_mode, align) for x, m in zip(places, sizes, strict=True)]
    if mode == "nearest":
        return _read(input, [x.round() for x in places], sizes)
    low = [x.floor() for x in places]
    total: Any = None
    for corner in product((0, 1), repeat=n):
        share: Any = 1
        for k, up in enumerate(corner):
            part = places[k] - low[k]
            share = share * (part if up else 1 - part)
        values = _read(input, [at + up for at, up in zip(low, corner, strict=True)], sizes)
        term = values * share.unsqueeze(1)
        total = term if total is None else total + term
    result: fb.Tensor = total
    return result


def _unscaled(x: fb.Tensor, size: int, align: bool) -> fb.Tensor:
    """From [-1, 1] to the numbers of elements."""
    return (x + 1) / 2 * (size - 1) if align else ((x + 1) * size - 1) / 2


def _inside(x: fb.Tensor, size: int, padding: str, align: bool) -> fb.Tensor:
    """Coordinates where the padding has them read."""
    if padding == "zeros":
        return x
    if padding == "reflection":
        x = _reflected(x, 0.0, size - 1.0) if align else _reflected(x, -0.5, size - 0.5)
    # Without a gradient at the edges themselves.
    kept: fb.Tensor = fb.where((x > 0) & (x < size - 1), x, x.detach().clamp(0, size - 1))
    return kept


def _reflected(x: fb.Tensor, low: float, high: float) -> fb.Tensor:
    span = high - low
    if span == 0:
        return fb.zeros_like(x)
    off = (x - low).abs()
    flips = (off / span).floor()
    extra = off - flips * span
    there: fb.Tensor = fb.where(flips.detach() % 2 == 0, extra + low, span - extra + low)
    return there


def _read(image: fb.Tensor, places: Sequence[fb.Tensor], sizes: Sequence[int]) -> fb.Tensor:
    """The image's values at whole coordinates ``(N, *out)``, zero outside: ``(N, C, *out)``."""
    inside: Any = True
    flat: Any = 0
    for x, size in zip(places, sizes, strict=True):
        at = x.detach()
        inside = inside & (at >= 0) & (at <= size - 1)
        flat = flat * size + fb.where(inside, at, fb.zeros_like(at)).to(fb.int64)
    n, c = image.shape[:2]
    index = fb.where(inside, flat, fb.zeros_like(flat)).flatten(1).unsqueeze(1).expand(n, c, -1)
    values = image.flatten(2).gather(2, index).reshape(n, c, *places[0].shape[1:])
    seen: fb.Tensor = inside.unsqueeze(1).to(values.dtype)
    return values * seen


def _cubic(
    image: fb.Tensor, places: Sequence[fb.Tensor], sizes: Sequence[int], padding: str, align: bool
) -> fb.Tensor:
    """Sixteen neighbours with the weights of cubic convolution (R. Keys, 1981), a = -0.75."""
    low = [x.floor() for x in places]
    shares = [_cubic_shares(x - at) for x, at in zip(places, low, strict=True)]
    total: Any = 0
    for corner in product(range(4), repeat=2):
        at = [_inside(low[k] + (corner[k] - 1), sizes[k], padding, align) for k in range(2)]
        share = shares[0][corner[0]] * shares[1][corner[1]]
        total = total + _read(image, at, sizes) * share.unsqueeze(1)
    result: fb.Tensor = total
    return result


def _cubic_shares(t: fb.Tensor) -> list[fb.Tensor]:
    a = -0.75

    def near(x: fb.Tensor) -> fb.Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: fb.Tensor) -> fb.Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def affine_grid(theta: fb.Tensor, size: Sequence[int], align_corners: bool | None = None) -> fb.Tensor:
    """The grid for `grid_sample` that applies an affine map.

    Args:
        theta: ``(N, 2, 3)`` or ``(N, 3, 4)``: for each image the matrix and, in the last column, the shift.
        size: of the result of `grid_sample`: ``(N, C, H, W)`` or ``(N, C, D, H, W)``.
        align_corners: as for `grid_sample`.

    >>> affine_grid(fb.tensor([[[1.0, 0, 0], [0, 1.0, 0]]]), (1, 1, 1, 2), align_corners=True).tolist()
    [[[[-1.0, 0.0], [1.0, 0.0]]]]
    """
    op = "affine_grid"
    need_tensors(op, theta=theta)
    if not theta.is_floating_point():
        raise ValueError(message(op, "expected theta to have floating point type", theta=theta))
    sizes = tuple(size)
    n = len(sizes) - 2
    if n not in (2, 3):
        raise NotImplementedError(
            f"[{op}] affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms: got {sizes}."
        )
    if theta.ndim != 3 or tuple(theta.shape[1:]) != (n, n + 1):
        raise ValueError(
            message(op, f"expected a batch of {n}D affine matrices of shape Nx{n}x{n + 1}", theta=theta)
        )
    if min(sizes) <= 0:
        raise ValueError(f"[{op}] expected non-zero, positive output size: got {sizes}.")
    out = sizes[2:]
    base = fb.ones((*out, n + 1), dtype=theta.dtype, device=theta.device)
    for k in range(n):  # x, the last size, first
        m = out[n - 1 - k]
        line = fb.linspace(-1, 1, m, dtype=theta.dtype, device=theta.device) if m > 1 else base.new_zeros(1)
        line = line if align_corners else line * ((m - 1) / m)
        base[..., k] = line.reshape(m, *(1,) * k)
    flat = base.reshape(1, -1, n + 1).expand(sizes[0], -1, -1)
    return flat.matmul(theta.transpose(1, 2)).reshape(sizes[0], *out, n)
