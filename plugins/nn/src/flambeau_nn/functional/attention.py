"""Attention: scaled_dot_product_attention and the function behind MultiheadAttention."""

from __future__ import annotations

from math import sqrt

import flambeau as fb
from flambeau.errors import message

from .. import ops as kernels
from ._common import need_tensors
from .activations import softmax
from .dropouts import dropout

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: fb.Tensor, key: fb.Tensor, value: fb.Tensor, attn_mask: fb.Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> fb.Tensor:  # fmt: skip
    """``softmax(Q K^T * scale + mask) V``.

    Args:
        query: ``(*, L, E)``.
        key: ``(*, S, E)``.
        value: ``(*, S, Ev)``.
        attn_mask: ``(*, L, S)``: booleans (True takes part) or numbers that are added.
        dropout_p: probability of dropping a weight.
        is_causal: position i sees positions up to i only; not together with `attn_mask`.
        scale: ``1 / sqrt(E)`` when left out.
        enable_gqa: several query heads share a key and value head (dimension -3).
    """
    need_tensors("scaled_dot_product_attention", query=query, key=key, value=value)
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            message("scaled_dot_product_attention", "expected at least 2 dimensions", "(*, L, E)",
                    query=query, key=key, value=value)
        )  # fmt: skip
    if not query.dtype == key.dtype == value.dtype:
        raise RuntimeError(
            message("scaled_dot_product_attention", "expected query, key, and value to have the same dtype",
                    query=query, key=key, value=value)
        )  # fmt: skip
    if is_causal and attn_mask is not None:
        raise RuntimeError(
            "[scaled_dot_product_attention] explicit attn_mask should not be set when is_causal=True. "
            "Fold the causal part into the mask."
        )
    return kernels.scaled_dot_product_attention(
        query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa
    )


def multi_head_attention_forward(
    query: fb.Tensor,
    key: fb.Tensor,
    value: fb.Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: fb.Tensor | None,
    in_proj_bias: fb.Tensor | None,
    bias_k: fb.Tensor | None,
    bias_v: fb.Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: fb.Tensor,
    out_proj_bias: fb.Tensor | None,
    training: bool = True,
    key_padding_mask: fb.Tensor | None = None,
    need_weights: bool = True,
    attn_mask: fb.Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: fb.Tensor | None = None,
    k_proj_weight: fb.Tensor | None = None,
    v_proj_weight: fb.Tensor | None = None,
    static_k: fb.Tensor | None = None,
    static_v: fb.Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[fb.Tensor, fb.Tensor | None]:
    """Attention in several heads, with the projections before and after it.

    Args:
        query, key, value: ``(L, N, E)``, ``(S, N, E)``, ``(S, N, E)``, or without N.
        embed_dim_to_check: E.
        num_heads: parts that E is split into.
        in_proj_weight: ``(3 E, E)``, the three projections stacked, unless `use_separate_proj_weight`.
        in_proj_bias: ``(3 E)``.
        bias_k, bias_v: ``(1, 1, E)``, one more key and value.
        add_zero_attn: one more key and value of zeros.
        dropout_p: probability of dropping a weight in training.
        out_proj_weight, out_proj_bias: ``(E, E)``, ``(E)``.
        training: whether dropout acts.
        key_padding_mask: ``(N, S)``, True or minus infinity where a key is padding.
        need_weights: return the weights too.
        attn_mask: ``(L, S)`` or ``(N * num_heads, L, S)``: True hides, numbers are added.
        use_separate_proj_weight: take `q_proj_weight`, `k_proj_weight`, `v_proj_weight`.
        static_k, static_v: ``(N * num_heads, S, E / num_heads)``, projected already.
        average_attn_weights: return the mean over the heads.
        is_causal: says that `attn_mask` is causal, so that it needn't be read.

    Returns:
        The result ``(L, N, E)`` and the weights ``(N, L, S)``, ``(N, num_heads, L, S)`` or ``None``.
    """
    op = "multi_head_attention_forward"
    need_tensors(op, query=query, key=key, value=value)
    batched = query.ndim == 3
    if query.ndim not in (2, 3) or key.ndim != query.ndim or value.ndim != query.ndim:
        raise AssertionError(
            message(
                op,
                "query, key and value should all be 2D (unbatched) or 3D",
                query=query,
                key=key,
                value=value,
            )
        )
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, n, width = query.shape
    if width != embed_dim_to_check or width % num_heads:
        raise AssertionError(
            message(op, f"was expecting embedding dimension of {embed_dim_to_check}, divisible by {num_heads} heads",
                    query=query)
        )  # fmt: skip
    if is_causal and attn_mask is None:
        raise RuntimeError(f"[{op}] need attn_mask if specifying the is_causal hint.")
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    weights = [w for w in separate if w is not None] if use_separate_proj_weight else []
    if in_proj_weight is not None and not use_separate_proj_weight:
        weights = list(in_proj_weight.chunk(3))
    if len(weights) != 3:
        raise AssertionError(f"[{op}] needed: in_proj_weight, or the three separate projection weights.")
    biases = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (kernels.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
    mask = _as_numbers(op, "attn_mask", attn_mask, q)
    padding = _as_numbers(op, "key_padding_mask", key_padding_mask, q)
    if bias_k is not None and bias_v is not None:
        k, v = fb.cat([k, bias_k.expand(1, n, width)]), fb.cat([v, bias_v.expand(1, n, width)])
        mask, padding = _one_more(mask), _one_more(padding)
    head = width // num_heads
    q = _split(q, n, num_heads, head)
    k = _split(k, n, num_heads, head) if static_k is None else static_k.view(n, num_heads, -1, head)
    v = _split(v, n, num_heads, head) if static_v is None else static_v.view(n, num_heads, -1, head)
    if add_zero_attn:
        zeros = fb.zeros(n, num_heads, 1, head, dtype=k.dtype, device=k.device)
        k, v = fb.cat([k, zeros], 2), fb.cat([v, zeros], 2)
        mask, padding = _one_more(mask), _one_more(padding)
    mask = _merged(op, mask, padding, (n, num_heads, length, k.shape[2]))
    drop = dropout_p if training else 0.0
    shares = None
    if need_weights:
        scores = fb.matmul(q * sqrt(1.0 / head), k.transpose(-2, -1))
        shares = dropout(softmax(scores if mask is None else scores + mask, -1), drop)
        mixed = fb.matmul(shares, v)
    else:
        mixed = scaled_dot_product_attention(q, k, v, mask, drop)
    result = kernels.linear(
        mixed.permute(2, 0, 1, 3).reshape(length, n, width), out_proj_weight, out_proj_bias
    )
    if shares is not None:
        shares = shares.mean(1) if average_attn_weights else shares
        shares = shares if batched else shares.squeeze(0)
    return (result if batched else result.squeeze(1)), shares


def _split(x: fb.Tensor, n: int, heads: int, head: int) -> fb.Tensor:
    """``(L, N, E)`` to ``(N, heads, L, E / heads)``."""
    return x.reshape(x.shape[0], n, heads, head).permute(1, 2, 0, 3)


def _as_numbers(op: str, name: str, mask: fb.Tensor | None, like: fb.Tensor) -> fb.Tensor | None:
    """Boolean masks become 0 and minus infinity."""
    if mask is None or mask.is_floating_point():
        return mask
    if mask.dtype != fb.bool:
        raise AssertionError(message(op, f"only bool and floating types of {name} are supported", mask=mask))
    return fb.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(mask, float("-inf"))


def _one_more(mask: fb.Tensor | None) -> fb.Tensor | None:
    return None if mask is None else kernels.pad(mask, (0, 1), "constant", 0.0)


def _merged(
    op: str, mask: fb.Tensor | None, padding: fb.Tensor | None, shape: tuple[int, int, int, int]
) -> fb.Tensor | None:
    """One mask that broadcasts to ``(N, heads, L, S)``."""
    n, heads, length, keys = shape
    if mask is not None:
        if tuple(mask.shape) == (n * heads, length, keys):
            mask = mask.view(shape)
        elif tuple(mask.shape) != (length, keys):
            raise RuntimeError(
                message(op, "the shape of the attn_mask is not correct",
                        f"({length}, {keys}) or ({n * heads}, {length}, {keys})", attn_mask=mask)
            )  # fmt: skip
    if padding is None:
        return mask
    if tuple(padding.shape) != (n, keys):
        raise AssertionError(
            message(
                op,
                "the shape of the key_padding_mask is not correct",
                f"({n}, {keys})",
                key_padding_mask=padding,
            )
        )
    padding = padding.view(n, 1, 1, keys)
    return padding if mask is None else mask + padding
