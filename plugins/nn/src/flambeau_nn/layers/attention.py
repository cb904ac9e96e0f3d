"""MultiheadAttention and the encoder and decoder stacks built on it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import flambeau as fb

from .. import functional as F
from .. import init
from ..containers import ModuleList
from ..module import Module
from ..parameter import Parameter
from .dropout import Dropout
from .linear import Linear
from .normalization import LayerNorm

__all__ = ["MultiheadAttention", "TransformerEncoder", "TransformerEncoderLayer"]


class MultiheadAttention(Module):
    """Attention in several heads, with learnt projections before and after it.

    Args:
        embed_dim: E, the size of query and result.
        num_heads: parts that E is split into.
        dropout: probability of dropping a weight in training.
        bias: whether the projections have one.
        add_bias_kv: one more key and value, learnt.
        add_zero_attn: one more key and value of zeros.
        kdim, vdim: sizes of key and value; E when left out.
        batch_first: whether the batch is the first dimension.
        device, dtype: of the parameters.

    Shape: query ``(L, N, E)``, key and value ``(S, N, E)`` to ``(L, N, E)`` and the weights ``(N, L, S)``; the batch
    comes first with `batch_first`; or all without N.

    >>> from flambeau import nn
    >>> attention = nn.MultiheadAttention(8, 2, batch_first=True)
    >>> x = fb.ones(3, 5, 8)
    >>> result, weights = attention(x, x, x)
    >>> result.shape == (3, 5, 8), weights.shape == (3, 5, 5)
    (True, True)
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
        add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
        device: Any = None, dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "[MultiheadAttention] embed_dim and num_heads must be greater than 0: "
                f"got embed_dim={embed_dim} and num_heads={num_heads}."
            )
        if embed_dim % num_heads:
            raise AssertionError(
                f"[MultiheadAttention] embed_dim must be divisible by num_heads: got {embed_dim} and {num_heads}."
            )
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn
        together = self.kdim == embed_dim and self.vdim == embed_dim
        shapes = {
            "in_proj_weight": (3 * embed_dim, embed_dim) if together else None,
            "q_proj_weight": None if together else (embed_dim, embed_dim),
            "k_proj_weight": None if together else (embed_dim, self.kdim),
            "v_proj_weight": None if together else (embed_dim, self.vdim),
            "in_proj_bias": (3 * embed_dim,) if bias else None,
            "bias_k": (1, 1, embed_dim) if add_bias_kv else None,
            "bias_v": (1, 1, embed_dim) if add_bias_kv else None,
        }
        for name, shape in shapes.items():
            value = None if shape is None else Parameter(fb.empty(shape, device=device, dtype=dtype))
            self.register_parameter(name, value)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def merge_masks(
        self, attn_mask: fb.Tensor | None, key_padding_mask: fb.Tensor | None, query: fb.Tensor
    ) -> tuple[fb.Tensor | None, int | None]:
        """Both masks as one, and its kind.

        Args:
            attn_mask: ``(L, L)`` or ``(N * heads, L, L)``.
            key_padding_mask: ``(N, L)``.
            query: ``(N, L, E)``.

        Returns:
            ``(None, None)``; or the padding mask and 1; or ``(N, heads, L, L)`` and 2.
        """
        if attn_mask is None:
            return key_padding_mask, None if key_padding_mask is None else 1
        n, length, _ = query.shape
        merged = attn_mask.view(n if attn_mask.ndim == 3 else 1, -1, length, length)
        merged = merged.expand((n, self.num_heads, length, length))
        if key_padding_mask is not None:
            merged = merged + key_padding_mask.view(n, 1, 1, length).expand((n, self.num_heads, 1, length))
        return merged, 2

    def forward(
        self,
        query: fb.Tensor,
        key: fb.Tensor,
        value: fb.Tensor,
        key_padding_mask: fb.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: fb.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[fb.Tensor, fb.Tensor | None]:
        """Attend.

        Args:
            query, key, value: see the class.
            key_padding_mask: ``(N, S)``, True where a key is padding.
            need_weights: return the weights too; without them it is faster.
            attn_mask: ``(L, S)`` or ``(N * num_heads, L, S)``: True hides, numbers are added.
            average_attn_weights: return the mean over the heads.
            is_causal: says that `attn_mask` is causal.
        """
        swap = self.batch_first and query.ndim == 3
        if swap:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        result, weights = F.multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias, self.bias_k,
            self.bias_v, self.add_zero_attn, self.dropout, self.out_proj.weight, self.out_proj.bias,
            training=self.training, key_padding_mask=key_padding_mask, need_weights=need_weights, attn_mask=attn_mask,
            use_separate_proj_weight=self.in_proj_weight is None, q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight, v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights, is_causal=is_causal,
        )  # fmt: skip
        return (result.transpose(0, 1) if swap else result), weights


class TransformerEncoderLayer(Module):
    """Self-attention and a feed-forward network, each with a residual connection and a layer norm.

    Args:
        d_model: E, the size of input and result.
        nhead: heads of the attention.
        dim_feedforward: the size between the two linear layers.
        dropout: probability of dropping.
        activation: ``"relu"``, ``"gelu"``, or a function.
        layer_norm_eps: added to the variances.
        batch_first: whether the batch is the first dimension.
        norm_first: normalise before each part instead of after it.
        bias: whether the linear layers and norms have one.
        device, dtype: of the parameters.

    Shape: ``(S, N, E)``, or ``(N, S, E)`` with `batch_first`, or ``(S, E)``, the same.

    >>> from flambeau import nn
    >>> nn.TransformerEncoderLayer(8, 2, 16)(fb.ones(5, 3, 8)).shape == (5, 3, 8)
    True
    """

    activation: Callable[[fb.Tensor], fb.Tensor]

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: str | Callable[[fb.Tensor], fb.Tensor] = F.relu, layer_norm_eps: float = 1e-5,
        batch_first: bool = False, norm_first: bool = False, bias: bool = True, device: Any = None,
        dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        where = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **where)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **where)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **where)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, **where)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, **where)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = activation_of("TransformerEncoderLayer", activation)

    def forward(
        self,
        src: fb.Tensor,
        src_mask: fb.Tensor | None = None,
        src_key_padding_mask: fb.Tensor | None = None,
        is_causal: bool = False,
    ) -> fb.Tensor:
        """Encode; the masks are `MultiheadAttention`'s ``attn_mask`` and ``key_padding_mask``."""
        if self.norm_first:
            x = src + self._attend(self.norm1(src), src_mask, src_key_padding_mask, is_causal)
            return x + self._feed(self.norm2(x))
        x = self.norm1(src + self._attend(src, src_mask, src_key_padding_mask, is_causal))
        return self.norm2(x + self._feed(x))

    def _attend(
        self, x: fb.Tensor, mask: fb.Tensor | None, padding: fb.Tensor | None, is_causal: bool
    ) -> fb.Tensor:
        y = self.self_attn(x, x, x, padding, need_weights=False, attn_mask=mask, is_causal=is_causal)[0]
        return self.dropout1(y)

    def _feed(self, x: fb.Tensor) -> fb.Tensor:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


def activation_of(
    what: str, given: str | Callable[[fb.Tensor], fb.Tensor]
) -> Callable[[fb.Tensor], fb.Tensor]:
    """The function of an activation's name, or the function that is given."""
    if not isinstance(given, str):
        return given
    if given not in ("relu", "gelu"):
        raise RuntimeError(f"[{what}] activation should be relu/gelu: got {given!r}.")
    return F.relu if given == "relu" else F.gelu


class TransformerEncoder(Module):
    """A stack of encoder layers.

    Args:
        encoder_layer: the layer, of which copies are made.
        num_layers: how many.
        norm: applied to the result.
        enable_nested_tensor: in evaluation without gradients, leave out what is padding in the whole batch, and
            give zeros at the padded places, as PyTorch does; only for layers with `batch_first`.
        mask_check: do so only if padding is at the end of each sequence.

    Shape: the layer's.

    >>> from flambeau import nn
    >>> nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2)(fb.ones(5, 3, 8)).shape == (5, 3, 8)
    True
    """

    norm: Module | None

    def __init__(
        self, encoder_layer: Module, num_layers: int, norm: Module | None = None, enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check
        self.use_nested_tensor = enable_nested_tensor and _can_shorten(encoder_layer)

    def forward(
        self,
        src: fb.Tensor,
        mask: fb.Tensor | None = None,
        src_key_padding_mask: fb.Tensor | None = None,
        is_causal: bool | None = None,
    ) -> fb.Tensor:
        """Encode; the masks are `MultiheadAttention`'s ``attn_mask`` and ``key_padding_mask``."""
        causal = bool(is_causal)
        padding = src_key_padding_mask
        whole = src
        kept = None if padding is None or mask is not None else self._kept(src, padding)
        if kept is not None:
            length = int(kept.sum(1).amax())
            src, padding = src[:, :length], None if padding is None else padding[:, :length]
        for layer in self.layers:
            src = layer(src, src_mask=mask, src_key_padding_mask=padding, is_causal=causal)
        if kept is not None:
            src = F.pad(src, (0, 0, 0, whole.shape[1] - src.shape[1])).masked_fill(~kept.unsqueeze(2), 0)
        return src if self.norm is None else self.norm(src)

    def _kept(self, src: fb.Tensor, padding: fb.Tensor) -> fb.Tensor | None:
        """Which places aren't padding, where the padded ones may be left out; else None."""
        recorded = fb.is_grad_enabled() and (
            src.requires_grad or any(p.requires_grad for p in self.parameters())
        )
        if not self.use_nested_tensor or self.training or recorded or src.ndim != 3:
            return None
        kept = ~padding if padding.dtype == fb.bool else padding == 0
        if tuple(kept.shape) != tuple(src.shape[:2]) or not bool(kept.any(1).all()):
            return None
        between = kept[:, 1:] & ~kept[:, :-1]  # a token after padding
        return None if self.mask_check and bool(between.any()) else kept


def _can_shorten(layer: Module) -> bool:
    """Whether a layer is one that PyTorch runs without the padding."""
    if not isinstance(layer, TransformerEncoderLayer):
        return False
    attention = layer.self_attn
    return (
        attention.batch_first
        and not layer.norm_first
        and attention.in_proj_weight is not None
        and attention.in_proj_bias is not None
        and layer.activation in (F.relu, F.gelu)
        and layer.norm1.eps == layer.norm2.eps
        and attention.num_heads % 2 == 0
    )
