"""Transformer: the decoder and the whole of encoder and decoder (A. Vaswani and others, 2017)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import flambeau as fb
from flambeau.errors import message

from .. import functional as F
from .. import init
from ..containers import ModuleList
from ..module import Module
from .attention import MultiheadAttention, TransformerEncoder, TransformerEncoderLayer, activation_of
from .dropout import Dropout
from .linear import Linear
from .normalization import LayerNorm

__all__ = ["Transformer", "TransformerDecoder", "TransformerDecoderLayer"]


class TransformerDecoderLayer(Module):
    """Self-attention, attention to the encoder's result, and a feed-forward network.

    Each has a residual connection and a layer norm.

    Args:
        d_model: E, the size of input and result.
        nhead: heads of the attentions.
        dim_feedforward: the size between the two linear layers.
        dropout: probability of dropping.
        activation: ``"relu"``, ``"gelu"``, or a function.
        layer_norm_eps: added to the variances.
        batch_first: whether the batch is the first dimension.
        norm_first: normalise before each part instead of after it.
        bias: whether the linear layers and norms have one.
        device, dtype: of the parameters.

    Shape: ``(T, N, E)`` and the memory ``(S, N, E)`` to ``(T, N, E)``; the batch comes first with `batch_first`.

    >>> from flambeau import nn
    >>> layer = nn.TransformerDecoderLayer(8, 2, 16)
    >>> layer(fb.ones(4, 3, 8), fb.ones(5, 3, 8)).shape == (4, 3, 8)
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
        self.multihead_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, **where
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, **where)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **where)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, **where)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, **where)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias, **where)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = activation_of("TransformerDecoderLayer", activation)

    def forward(
        self,
        tgt: fb.Tensor,
        memory: fb.Tensor,
        tgt_mask: fb.Tensor | None = None,
        memory_mask: fb.Tensor | None = None,
        tgt_key_padding_mask: fb.Tensor | None = None,
        memory_key_padding_mask: fb.Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> fb.Tensor:
        """Decode; the masks are `MultiheadAttention`'s ``attn_mask`` and ``key_padding_mask``."""

        def look_back(x: fb.Tensor) -> fb.Tensor:
            y = self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)[0]
            return self.dropout1(y)

        def look_there(x: fb.Tensor) -> fb.Tensor:
            y = self.multihead_attn(
                x, memory, memory, memory_key_padding_mask, False, memory_mask, is_causal=memory_is_causal
            )[0]
            return self.dropout2(y)

        if self.norm_first:
            x = tgt + look_back(self.norm1(tgt))
            x = x + look_there(self.norm2(x))
            return x + self._feed(self.norm3(x))
        x = self.norm1(tgt + look_back(tgt))
        x = self.norm2(x + look_there(x))
        return self.norm3(x + self._feed(x))

    def _feed(self, x: fb.Tensor) -> fb.Tensor:
        return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerDecoder(Module):
    """A stack of decoder layers.

    Args:
        decoder_layer: the layer, of which copies are made.
        num_layers: how many.
        norm: applied to the result.

    Shape: the layer's.

    >>> from flambeau import nn
    >>> decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2)
    >>> decoder(fb.ones(4, 3, 8), fb.ones(5, 3, 8)).shape == (4, 3, 8)
    True
    """

    norm: Module | None

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(decoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: fb.Tensor,
        memory: fb.Tensor,
        tgt_mask: fb.Tensor | None = None,
        memory_mask: fb.Tensor | None = None,
        tgt_key_padding_mask: fb.Tensor | None = None,
        memory_key_padding_mask: fb.Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> fb.Tensor:
        """Decode; the masks are `MultiheadAttention`'s ``attn_mask`` and ``key_padding_mask``."""
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder and a decoder.

    Args:
        d_model: E, the size of input and result.
        nhead: heads of the attentions.
        num_encoder_layers, num_decoder_layers: layers of the two stacks.
        dim_feedforward: the size between the two linear layers of each layer.
        dropout: probability of dropping.
        activation: ``"relu"``, ``"gelu"``, or a function.
        custom_encoder, custom_decoder: modules to use instead.
        layer_norm_eps: added to the variances.
        batch_first: whether the batch is the first dimension.
        norm_first: normalise before each part instead of after it.
        bias: whether the linear layers and norms have one.
        device, dtype: of the parameters.

    Shape: source ``(S, N, E)`` and target ``(T, N, E)`` to ``(T, N, E)``; the batch comes first with `batch_first`.

    >>> from flambeau import nn
    >>> model = nn.Transformer(8, 2, 1, 1, 16)
    >>> mask = model.generate_square_subsequent_mask(4)
    >>> model(fb.ones(5, 3, 8), fb.ones(4, 3, 8), tgt_mask=mask).shape == (4, 3, 8)
    True
    """

    encoder: Any
    decoder: Any

    def __init__(
        self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6, num_decoder_layers: int = 6,
        dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: str | Callable[[fb.Tensor], fb.Tensor] = F.relu, custom_encoder: Module | None = None,
        custom_decoder: Module | None = None, layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, device: Any = None, dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        how: Any = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias,
            device, dtype,
        )  # fmt: skip

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*how), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*how), num_decoder_layers, norm()
        )
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(
        self,
        src: fb.Tensor,
        tgt: fb.Tensor,
        src_mask: fb.Tensor | None = None,
        tgt_mask: fb.Tensor | None = None,
        memory_mask: fb.Tensor | None = None,
        src_key_padding_mask: fb.Tensor | None = None,
        tgt_key_padding_mask: fb.Tensor | None = None,
        memory_key_padding_mask: fb.Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> fb.Tensor:
        """Encode the source, decode the target; the masks are `MultiheadAttention`'s."""
        batch = 0 if self.batch_first else 1
        if src.ndim == 3 and src.shape[batch] != tgt.shape[batch]:
            raise RuntimeError(
                message("Transformer", "the batch number of src and tgt must be equal", src=src, tgt=tgt)
            )
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise RuntimeError(
                message("Transformer", f"the feature number of src and tgt must be equal to d_model={self.d_model}",
                        src=src, tgt=tgt)
            )  # fmt: skip
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        result: fb.Tensor = self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )
        return result

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: Any = None, dtype: fb.dtype | None = None
    ) -> fb.Tensor:
        """A mask ``(sz, sz)`` that hides later positions: minus infinity above the diagonal, 0 elsewhere."""
        return fb.full((sz, sz), float("-inf"), device=device, dtype=dtype).triu(1)

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)
