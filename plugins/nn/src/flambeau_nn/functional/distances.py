"""Distances and similarities of vectors."""

from __future__ import annotations

import flambeau as fb
from flambeau.errors import message

from ._common import need_tensors

__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]


def cosine_similarity(x1: fb.Tensor, x2: fb.Tensor, dim: int = 1, eps: float = 1e-8) -> fb.Tensor:
    """The cosine of the angle between vectors along `dim`; the shapes broadcast.

    >>> cosine_similarity(fb.tensor([[1.0, 0.0]]), fb.tensor([[2.0, 0.0]])).tolist()
    [1.0]
    """
    need_tensors("cosine_similarity", x1=x1, x2=x2)
    if not all(x.is_floating_point() or x.is_complex() for x in (x1, x2)):
        raise RuntimeError(
            message("cosine_similarity", "expected common dtype to be floating point", x1=x1, x2=x2)
        )
    x1, x2 = fb.broadcast_tensors(x1, x2)
    length1 = x1.norm(2, dim, keepdim=True).clamp_min(eps)
    length2 = x2.norm(2, dim, keepdim=True).clamp_min(eps)
    return (x1 / length1 * (x2 / length2)).sum(dim)


def pairwise_distance(
    x1: fb.Tensor, x2: fb.Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> fb.Tensor:
    """The p-norm of ``x1 - x2 + eps`` along the last dimension."""
    need_tensors("pairwise_distance", x1=x1, x2=x2)
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)


def pdist(input: fb.Tensor, p: float = 2.0) -> fb.Tensor:
    """The distances between all pairs of rows: ``(N, D)`` to ``(N * (N - 1) / 2)``."""
    need_tensors("pdist", input=input)
    if input.ndim != 2:
        raise RuntimeError(message("pdist", "only supports 2D tensors", input=input))
    n = input.shape[0]
    first = fb.tensor([i for i in range(n) for _ in range(i + 1, n)], dtype=fb.int64, device=input.device)
    second = fb.tensor([j for i in range(n) for j in range(i + 1, n)], dtype=fb.int64, device=input.device)
    return (input[first] - input[second]).norm(p, -1)
