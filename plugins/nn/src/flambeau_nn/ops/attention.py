"""Dropout and attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau import default_generator, ones, softmax
from flambeau.plugin import OPS, composite, only_float

dropout_keep = OPS["dropout_keep"]

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["dropout", "scaled_dot_product_attention"]


@composite(method=False)
def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Elements set to 0 with probability ``p``, the others scaled by ``1 / (1 - p)``.

    Args:
        input: any shape.
        p: the probability.
        train: False: the input is returned as it is.
    """
    if not 0 <= p <= 1:
        raise RuntimeError(f"[dropout] dropout probability has to be between 0 and 1, but got {p}.")
    if not train or p == 0:
        return input
    only_float("dropout", input.dtype)
    scale = 1 / (1 - p) if p < 1 else 0.0
    y: Tensor = dropout_keep(input, float(p), scale, *default_generator.next_stream())
    return y


def _heads(x: Any, heads: int, op: str) -> Any:
    """Key or value heads repeated to the number of query heads."""
    n = x.shape[-3]
    if n == heads:
        return x
    if not n or heads % n:
        raise RuntimeError(
            f"[{op}] enable_gqa needs query heads that are a multiple of key and value heads: got {heads}, {n}."
        )
    shape = x.shape
    wide = x.unsqueeze(-3).expand((*shape[:-2], heads // n, *shape[-2:]))
    return wide.reshape((*shape[:-3], heads, *shape[-2:]))


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """``softmax(Q K^T * scale + mask) V``.

    Args:
        query: (*, L, E).
        key: (*, S, E).
        value: (*, S, Ev).
        attn_mask: (*, L, S): bools (True takes part) or numbers that are added; a query that takes no part gives 0.
        dropout_p: probability of dropping a weight.
        is_causal: position i sees positions up to i only.
        scale: default ``1 / sqrt(E)``.
        enable_gqa: several query heads share a key and value head (dimension -3).
    """
    op = "scaled_dot_product_attention"
    if is_causal and attn_mask is not None:
        raise RuntimeError(
            f"[{op}] explicit attn_mask should not be set when is_causal=True. Fold one into the other."
        )
    if enable_gqa:
        key, value = _heads(key, query.shape[-3], op), _heads(value, query.shape[-3], op)
    e = query.shape[-1]
    factor = scale if scale is not None else 1 / math.sqrt(e) if e else 1.0
    scores = (query * factor).matmul(key.mT)
    dead = None
    if is_causal:
        seen = ones((scores.shape[-2], scores.shape[-1]), device=scores.device).tril() > 0
        scores = scores.masked_fill(~seen, -math.inf)
    elif attn_mask is not None:
        if attn_mask.dtype.kind == "b":
            scores = scores.masked_fill(~attn_mask, -math.inf)
        else:
            scores = scores + attn_mask.to(scores.dtype)
        if scores.numel():
            # Rows without any key: finite scores in, zeros out.
            dead = scores.detach().amax(-1, True) == -math.inf
            scores = scores.masked_fill(dead, 0)
    weights = softmax(scores, -1)
    if dead is not None:
        weights = weights.masked_fill(dead, 0)
    if dropout_p:
        weights = dropout(weights, dropout_p, True)
    return weights.matmul(value)
