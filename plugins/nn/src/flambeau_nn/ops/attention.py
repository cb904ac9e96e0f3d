"""Dropout and attention.

Attention without dropout is one record, so that a backend may compute it tile by tile without the matrix of weights
(Dao et al., FlashAttention, 2022); its gradient is another, from the result and the logarithm of each row's sum.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flambeau import default_generator, ones, softmax
from flambeau.plugin import OPS, Call, composite, kernel, only_float

from .normalization import Needs, wide
from .rederive import rederive
from .windows import widened

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


def _scores(query: Any, key: Any, mask: Any, causal: bool, scale: float) -> Any:
    scores = (query * scale).matmul(key.mT)
    if causal:
        seen = ones((scores.shape[-2], scores.shape[-1]), device=scores.device).tril() > 0
        return scores.masked_fill(~seen, -math.inf)
    if mask is None:
        return scores
    return scores.masked_fill(~mask, -math.inf) if mask.dtype.kind == "b" else scores + mask.to(scores.dtype)


def _weights(query: Any, key: Any, mask: Any, causal: bool, scale: float) -> Any:
    scores = _scores(query, key, mask, causal, scale)
    if mask is None or not scores.numel():
        return softmax(scores, -1)
    # Rows without any key: finite scores in, zeros out.
    dead = scores.detach().amax(-1, True) == -math.inf
    return softmax(scores.masked_fill(dead, 0), -1).masked_fill(dead, 0)


def _attention_default(query: Any, key: Any, value: Any, mask: Any, causal: bool, scale: float) -> Any:
    q, k, v = widened(query), widened(key), widened(value)
    scores = _scores(q, k, mask, causal, scale)
    lse = scores.logsumexp(-1)
    lse = lse.masked_fill(lse == -math.inf, math.inf)
    return (scores - lse.unsqueeze(-1)).exp().matmul(v).to(query.dtype), lse


def _gradients(g: Any, q: Any, k: Any, v: Any, weights: Any, out: Any, scale: float) -> tuple[Any, ...]:
    scored = weights * (g.matmul(v.mT) - (g * out).sum(-1, True)) * scale
    return scored.matmul(k), scored.mT.matmul(q), weights.mT.matmul(g)


def _backward_default(
    grad: Any, query: Any, key: Any, value: Any, output: Any, lse: Any, mask: Any, causal: bool, scale: float
) -> Any:
    g, q, k, v, out = (widened(t) for t in (grad, query, key, value, output))
    weights = (_scores(q, k, mask, causal, scale) - lse.unsqueeze(-1)).exp()
    return tuple(t.to(query.dtype) for t in _gradients(g, q, k, v, weights, out, scale))


def _second(
    gs: Any, grad: Any, query: Any, key: Any, value: Any, mask: Any, causal: bool, scale: float, needs: Needs
) -> list[Any]:
    def again(g: Any, q: Any, k: Any, v: Any) -> tuple[Any, ...]:
        weights = _weights(q, k, mask, causal, scale)
        return _gradients(g, q, k, v, weights, weights.matmul(v), scale)

    # The result and the logarithms are functions of query, key and value: their share is in those gradients.
    return [*rederive(again, (grad, query, key, value), needs[:4], gs), None, None, None]


def _rule(
    g0: Any, query: Any, key: Any, value: Any, mask: Any, out0: Any, out1: Any, causal: bool, scale: float,
) -> Any:  # fmt: skip
    return [*attention_backward(g0, query, key, value, out0, out1, mask, causal, scale), None]


@kernel(
    batch="items", module="nn", method=False, function=False, nondiff=(1,), default=_attention_default, vjp=_rule,
)  # fmt: skip
def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, scale: float
) -> Any:
    """``softmax(scale * Q K^T + mask) V`` and the logarithm of each row's sum of exponentials.

    Args:
        query: [N, H, L, E].
        key: [N, H, S, E].
        value: [N, H, S, V].
        mask: [N, H, L, S]: bools (True takes part) or numbers that are added, without gradient.
        causal: position i sees positions up to i only.
        scale: the factor of the scores.

    Returns:
        the result [N, H, L, V], and the logarithms [N, H, L], infinite for rows without any key.
    """
    q: Any = query
    v: Any = value
    only_float("attention", q.dtype)
    return Call((q.like(q.dtype, (*q.shape[:3], v.shape[3])), q.like(wide(q.dtype), q.shape[:3])))


@kernel(batch="items", module="nn", method=False, function=False, default=_backward_default, vjp=_second)
def attention_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, lse: Tensor, mask: Tensor | None,
    causal: bool, scale: float,
) -> Any:  # fmt: skip
    """The gradients of `attention` by query, key and value."""
    inputs: tuple[Any, ...] = (query, key, value)
    return Call(tuple(t.like() for t in inputs))


def _as_heads(t: Any) -> Any:
    """Any leading dimensions as two."""
    if t.ndim > 4:
        return t.reshape((-1, *t.shape[-3:]))
    return t[(None,) * (4 - t.ndim)]


def _one_record(query: Any, key: Any, value: Any, mask: Any) -> bool:
    """Whether `attention` takes these operands."""
    return (
        query.ndim > 1
        and query.dtype is key.dtype is value.dtype
        and query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
        and query.shape[-1] == key.shape[-1]
        and key.shape[-2] == value.shape[-2] > 0
        and query.numel() > 0
        and (mask is None or (not mask.requires_grad and mask.dtype.kind in "bf"))
    )


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
    factor = float(scale) if scale is not None else 1 / math.sqrt(e) if e else 1.0
    if not dropout_p and _one_record(query, key, value, attn_mask):
        lead = query.shape[:-2]
        if attn_mask is not None:
            attn_mask = _as_heads(attn_mask.expand((*lead, query.shape[-2], key.shape[-2])))
        q, k, v = (_as_heads(t) for t in (query, key, value))
        out = attention(q, k, v, attn_mask, is_causal, factor)[0]
        return out if query.ndim == 4 else out.reshape((*lead, query.shape[-2], value.shape[-1]))
    weights = _weights(query, key, attn_mask, is_causal, factor)
    if dropout_p:
        weights = dropout(weights, dropout_p, True)
    return weights.matmul(value)
