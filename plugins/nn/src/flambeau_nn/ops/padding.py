"""Borders around tensors: of one value, of the edges, reflected, or from the other end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import OPS, composite, ints

__all__ = ["pad"]


def _pad_places(mode: str, n: int, low: int, high: int, device: Any) -> Any:
    at = fb.arange(-low, n + high, device=device)
    if mode == "replicate":
        return at.clamp(0, n - 1)
    return (n - 1) - ((n - 1) - at.abs()).abs()


def _edges(x: Any, widths: Sequence[int], mode: str) -> Any:
    """Borders that come from the edges; negative widths move what is read, edges stay where they are."""
    for j in range(len(widths) // 2):
        low, high = widths[2 * j], widths[2 * j + 1]
        d = x.spec.ndim - 1 - j
        n = x.spec.shape[d]
        if not n or n + low + high < 1 or (mode == "reflect" and max(low, high) >= n):
            raise RuntimeError(
                f"[pad] Padding size should be less than the corresponding input dimension, but got: padding "
                f"({low}, {high}) at dimension {d} of input {list(x.shape)} (mode {mode!r})."
            )
        if low or high:
            x = x.index_select(d, _pad_places(mode, n, low, high, x.device))
    return x


@composite(name="pad", module="nn", public=False)
def pad(self: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """A border around a tensor.

    Args:
        self: the tensor.
        pad: widths before and after, pairs from the last dimension on.
        mode: ``constant``, ``reflect`` (without the edge), ``replicate`` (the edge) or ``circular``.
        value: what ``constant`` pads with (default 0).
    """
    widths, shape = ints(pad), self.spec.shape
    if len(widths) % 2:
        raise RuntimeError(f"[pad] Padding length must be divisible by 2: got {list(widths)}.")
    k, ndim = len(widths) // 2, len(shape)
    if k > ndim:
        raise RuntimeError(
            f"[pad] Padding length should be less than or equal to two times the input dimension but got padding "
            f"length {len(widths)} and input of dimension {ndim}."
        )
    if mode == "constant":
        pairs = [widths[2 * j : 2 * j + 2] for j in range(k)][::-1]
        full = (0, 0) * (ndim - k) + tuple(w for p in pairs for w in p)
        return OPS["constant_pad"](self, full, 0 if value is None else value)  # type: ignore[no-any-return]
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(
            f"[pad] Unrecognised padding mode {mode!r}: needed: constant, reflect, replicate or circular."
        )
    if value not in (None, 0):
        raise ValueError(f'[pad] Padding mode "{mode}" doesn\'t take in value argument: got value={value}.')
    if not (1 <= k <= 3 and ndim - k in (1, 2)):
        raise NotImplementedError(
            f"[pad] Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now: got padding "
            f"{list(widths)} for {list(shape)}, needed: all dimensions but one or two."
        )
    if mode != "circular":
        return _edges(self, widths, mode)  # type: ignore[no-any-return]
    cuts = [(min(widths[2 * j], 0), min(widths[2 * j + 1], 0)) for j in range(k)][::-1]
    x = self
    if any(a or b for a, b in cuts):
        x = OPS["constant_pad"](x, (0, 0) * (ndim - k) + tuple(w for p in cuts for w in p), 0)
    for j in range(k):
        low, high = max(widths[2 * j], 0), max(widths[2 * j + 1], 0)
        d = ndim - 1 - j
        n = x.spec.shape[d]
        if max(low, high) > n or not n:
            raise RuntimeError(
                f"[pad] Padding size should be less than the corresponding input dimension, but got: padding "
                f"({low}, {high}) at dimension {d} of input {list(shape)} (mode {mode!r})."
            )
        if low or high:
            x = x.index_select(d, fb.arange(-low, n + high, device=self.device) % n)
    return x
