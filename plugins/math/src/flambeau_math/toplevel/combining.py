"""Products of sets, blocks on a diagonal, quarter turns, places of flat places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations as choose
from itertools import combinations_with_replacement as choose_again
from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau.plugin import ints, refuse, wrap_dim

from .._records import Space

if TYPE_CHECKING:
    from flambeau import Tensor

__all__: list[str] = []

top = Space("")


def _listed(tensors: Any) -> Any:
    """Tensors given one by one, or as one list."""
    return tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors


@top.composite(method=False)
def cartesian_prod(*tensors: Any) -> Tensor:
    """All combinations of the vectors' elements, one per row."""
    given = _listed(tensors)
    if len(given) == 1:
        return given[0]  # type: ignore[no-any-return]
    return fb.stack([x.reshape(-1) for x in fb.meshgrid(given)], 1)


@top.composite()
def combinations(self: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of ``r`` elements of a vector, one per row."""
    if self.spec.ndim != 1:
        raise RuntimeError(
            f"[combinations] Expect a 1D vector, but got shape {list(self.shape)}. Use reshape(-1)."
        )
    if r < 0:
        raise RuntimeError(f"[combinations] Expect a non-negative number, but got {r}.")
    places = list((choose_again if with_replacement else choose)(range(self.spec.shape[0]), r)) if r else []
    if not places:
        return self.narrow(0, 0, 0).unsqueeze(1).expand(0, r).clone() if r else self.narrow(0, 0, 0).clone()
    flat = fb.tensor([k for row in places for k in row], device=self.device)
    return self.index_select(0, flat).reshape(len(places), r)


@top.composite(method=False)
def block_diag(*tensors: Any) -> Tensor:
    """A matrix with matrices along its diagonal."""
    blocks = [fb.atleast_2d(x) for x in _listed(tensors)]
    if any(b.ndim > 2 for b in blocks):
        raise RuntimeError("[block_diag] Input tensors must have 2 or fewer dimensions.")
    width = sum(b.shape[1] for b in blocks)
    rows, at = [], 0
    for b in blocks:
        n, m = b.shape
        rows.append(fb.cat([b.new_zeros((n, at)), b, b.new_zeros((n, width - at - m))], 1))
        at += m
    return fb.cat(rows, 0)


@top.composite()
def rot90(self: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Rotated by 90 degrees ``k`` times, from the first of two dimensions towards the second."""
    if len(dims) != 2:
        raise RuntimeError(f"[rot90] expected total rotation dims == 2, but got dims = {len(dims)}.")
    if self.spec.ndim < 2:
        raise RuntimeError(
            f"[rot90] expected total dims >= 2, but got total dims = {self.spec.ndim}: {list(self.shape)}."
        )
    a, b = (wrap_dim(d, self.spec.ndim, "rot90") for d in dims)
    if a == b:
        raise RuntimeError(f"[rot90] expected rotation dims to be different, but got {tuple(dims)}.")
    k %= 4
    if k == 2:
        return self.flip((a, b))
    if k == 1:
        return self.flip((b,)).transpose(a, b)
    return self.flip((a,)).transpose(a, b) if k else self.clone()


@top.composite(method=False)
def unravel_index(indices: Tensor, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Coordinates of places in a flattened tensor of a shape, a tensor per dimension."""
    sizes = ints(shape)
    indices = indices if indices.spec.dtype.rank != 1 else indices.to(fb.int64)
    total = math.prod(sizes)
    if indices.spec.dtype.rank != 1:
        refuse("unravel_index", "expected 'indices' to be integer dtype", indices=indices, error=ValueError)
    if indices.spec.numel and (int(indices.amin()) < 0 or int(indices.amax()) >= total):
        raise ValueError(
            f"[unravel_index] indices out of range for shape {list(sizes)}: needed: in [0, {total - 1}]."
        )
    steps = [math.prod(sizes[d + 1 :]) for d in range(len(sizes))]
    return tuple(indices // step % max(n, 1) for step, n in zip(steps, sizes, strict=True))
