"""EmbeddingBag: sums, means and maxima of rows of a table."""

from __future__ import annotations

from typing import Any

import flambeau as fb

from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter

__all__ = ["EmbeddingBag"]


class EmbeddingBag(Module):
    """A table of vectors, of which each bag of integers names some; gives their sum, mean or maximum.

    Args:
        num_embeddings: rows of the table.
        embedding_dim: their length.
        max_norm: rows that are used are scaled down to this norm first.
        norm_type: which norm.
        scale_grad_by_freq: divide gradients by how often a row is used.
        mode: ``"sum"``, ``"mean"`` or ``"max"``.
        sparse: taken for compatibility; gradients are dense.
        include_last_offset: the last offset is the end of the last bag.
        padding_idx: a row that counts in no bag and isn't trained.
        device, dtype: of the table.

    Shape: ``(B, L)``, or ``(N)`` and offsets ``(B)``, to ``(B, embedding_dim)``.

    >>> from flambeau import nn
    >>> nn.EmbeddingBag(10, 3)(fb.tensor([1, 2, 4, 5]), fb.tensor([0, 3])).shape == (2, 3)
    True
    """

    weight: Parameter

    def __init__(
        self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, _weight: fb.Tensor | None = None,
        include_last_offset: bool = False, padding_idx: int | None = None, device: Any = None,
        dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError(
                    f"[EmbeddingBag] padding_idx must be within num_embeddings: got {padding_idx}, "
                    f"{num_embeddings} rows."
                )
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        if _weight is None:
            table = fb.empty((num_embeddings, embedding_dim), device=device, dtype=dtype)
            self.weight = Parameter(table)
            self.reset_parameters()
        else:
            if tuple(_weight.shape) != (num_embeddings, embedding_dim):
                raise AssertionError(
                    "[EmbeddingBag] shape of weight does not match num_embeddings and embedding_dim: got "
                    f"{list(_weight.shape)}, needed [{num_embeddings}, {embedding_dim}]."
                )
            self.weight = Parameter(_weight)
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset

    def reset_parameters(self) -> None:
        """Draw the table anew: normal; the padding's row is zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with fb.no_grad():
                self.weight[self.padding_idx].fill_(0)

    def forward(
        self, input: fb.Tensor, offsets: fb.Tensor | None = None, per_sample_weights: fb.Tensor | None = None
    ) -> fb.Tensor:
        """Look up and reduce; the arguments are `functional.embedding_bag`'s."""
        return F.embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode,
            self.sparse, per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """Sizes, and what differs from the defaults."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        text += f", max_norm={self.max_norm}" if self.max_norm is not None else ""
        text += f", norm_type={self.norm_type}" if self.norm_type != 2 else ""
        text += f", scale_grad_by_freq={self.scale_grad_by_freq}" if self.scale_grad_by_freq else ""
        text += f", mode={self.mode!r}"
        return text + (f", padding_idx={self.padding_idx}" if self.padding_idx is not None else "")

    @classmethod
    def from_pretrained(
        cls, embeddings: fb.Tensor, freeze: bool = True, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
        include_last_offset: bool = False, padding_idx: int | None = None,
    ) -> EmbeddingBag:  # fmt: skip
        """A bag whose table is `embeddings` (rows, length); `freeze` keeps it from being trained."""
        if embeddings.ndim != 2:
            raise AssertionError("[from_pretrained] embeddings parameter is expected to be 2-dimensional.")
        rows, columns = embeddings.shape
        made = cls(
            rows, columns, max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings, include_last_offset,
            padding_idx,
        )  # fmt: skip
        made.weight.requires_grad = not freeze
        return made
