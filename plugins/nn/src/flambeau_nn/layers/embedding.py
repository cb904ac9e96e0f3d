"""Embedding: a table of vectors looked up by integers."""

from __future__ import annotations

from typing import Any, Self

import flambeau as fb

from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter

__all__ = ["Embedding"]


class Embedding(Module):
    """A table of `num_embeddings` vectors, looked up by integers.

    Args:
        num_embeddings: rows of the table.
        embedding_dim: their length.
        padding_idx: a row of zeros that isn't trained.
        max_norm: rows that are used and longer than this are shortened, in place.
        norm_type: the norm of `max_norm`.
        scale_grad_by_freq: divide a row's gradient by how often the batch uses it.
        sparse: gradients are dense; with ``True`` a warning says so.
        device, dtype: of the table.

    Shape: integers ``(*)`` to ``(*, embedding_dim)``.

    >>> from flambeau import nn
    >>> nn.Embedding(10, 3)(fb.tensor([[1, 2]])).shape == (1, 2, 3)
    True
    """

    weight: Parameter

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, max_norm: float | None = None,
        norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
        _weight: fb.Tensor | None = None, _freeze: bool = False, device: Any = None, dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError(
                    f"[Embedding] padding_idx must be within num_embeddings: got {padding_idx}, {num_embeddings} rows."
                )
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is None:
            table = fb.empty((num_embeddings, embedding_dim), device=device, dtype=dtype)
            self.weight = Parameter(table, requires_grad=not _freeze)
            self.reset_parameters()
        else:
            if tuple(_weight.shape) != (num_embeddings, embedding_dim):
                raise AssertionError(
                    "[Embedding] shape of weight does not match num_embeddings and embedding_dim: got "
                    f"{list(_weight.shape)}, needed [{num_embeddings}, {embedding_dim}]."
                )
            self.weight = Parameter(_weight, requires_grad=not _freeze)

    def reset_parameters(self) -> None:
        """Draw the table anew: standard normal; zeros in the padding row."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with fb.no_grad():
                self.weight[self.padding_idx].fill_(0)

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Look the rows up."""
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        """Sizes, and what differs from the defaults."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        return text + (", sparse=True" if self.sparse else "")

    @classmethod
    def from_pretrained(
        cls, embeddings: fb.Tensor, freeze: bool = True, padding_idx: int | None = None, max_norm: float | None = None,
        norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
    ) -> Self:  # fmt: skip
        """An embedding whose table is `embeddings` (rows, length); `freeze` keeps it from being trained.

        >>> from flambeau import nn
        >>> nn.Embedding.from_pretrained(fb.eye(2))(fb.tensor([1])).tolist()
        [[0.0, 1.0]]
        """
        if embeddings.ndim != 2:
            raise AssertionError("[from_pretrained] embeddings parameter is expected to be 2-dimensional.")
        rows, columns = embeddings.shape
        return cls(
            rows, columns, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
            _weight=embeddings, _freeze=freeze,
        )  # fmt: skip
