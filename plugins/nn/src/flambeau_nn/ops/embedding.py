"""Rows of a table by index, and their gradient; one-hot vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau.plugin import Call, composite, kernel, message, whole

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["embedding", "one_hot"]


def _embedding_default(
    weight: Any, index: Any, padding_idx: int | None = None, scale_grad_by_freq: bool = False
) -> Any:
    rows = weight.index_select(0, index.reshape(-1))
    return rows.reshape((*index.spec.shape, weight.spec.shape[1]))


@kernel(
    batch="flambeau_nn.ops.batching:embedding",
    name="embedding",
    method=False,
    function=False,
    vjp={
        "weight": lambda g, weight_spec, index, padding_idx, scale_grad_by_freq: embedding_backward(  # type: ignore[has-type]
            g, index, weight_spec.shape[0], padding_idx, scale_grad_by_freq
        )
    },
    default=_embedding_default,
)
def embedding_rows(
    weight: Tensor, index: Tensor, padding_idx: int | None = None, scale_grad_by_freq: bool = False
) -> Any:
    """Rows of a table."""
    w: Any = weight
    i: Any = index
    if w.ndim != 2:
        raise RuntimeError(message("embedding", "'weight' must be 2-D", weight=w))
    if i.dtype not in (fb.int64, fb.int32):
        raise RuntimeError(
            message("embedding", "Expected tensor for argument 'indices' to have int64 or int32", input=i)
        )
    return Call(w.like(shape=(*i.shape, w.shape[1])))


def _embedding_backward(
    grad: Any, index: Any, rows: int, padding_idx: int | None, scale_grad_by_freq: bool
) -> Any:
    flat, g = index.long().reshape(-1), grad.reshape(-1, grad.spec.shape[-1]) if grad.numel() else None
    out = grad.new_zeros((rows, grad.shape[-1]))
    if g is None:
        return out
    if padding_idx is not None:
        g = g.masked_fill((flat == padding_idx).unsqueeze(1), 0)
    if scale_grad_by_freq:
        counts = flat.new_zeros((rows,)).scatter_add(0, flat, flat * 0 + 1)
        g = g / counts.gather(0, flat).unsqueeze(1)
    return out.index_add_(0, flat, g)


@kernel(
    batch="flambeau_nn.ops.batching:embedding_backward",
    method=False,
    function=False,
    vjp={
        "grad": lambda g, index, padding_idx, scale_grad_by_freq: _embedding_forward(
            g, index, padding_idx, scale_grad_by_freq
        )
    },
    default=_embedding_backward,
)
def embedding_backward(
    grad: Tensor, index: Tensor, rows: int, padding_idx: int | None, scale_grad_by_freq: bool
) -> Any:
    """The gradient of a table: rows of gradients added up where they were read."""
    s: Any = grad
    return Call(s.like(shape=(rows, s.shape[-1])))


def _embedding_forward(g: Any, index: Any, padding_idx: int | None, scale: bool) -> Any:
    rows = embedding_rows(g, index)
    if padding_idx is not None:
        rows = rows.masked_fill((index == padding_idx).unsqueeze(-1), 0)
    if scale:
        flat = index.long().reshape(-1)
        counts = flat.new_zeros((g.shape[0],)).scatter_add(0, flat, flat * 0 + 1)
        rows = rows / counts.gather(0, flat).reshape(index.spec.shape).unsqueeze(-1)
    return rows


@composite(name="embedding_lookup", export="embedding", module="nn", function=False, method=False)
def embedding(
    input: Tensor, weight: Tensor, padding_idx: int | None = None, scale_grad_by_freq: bool = False
) -> Tensor:
    """The rows of ``weight`` that ``input`` names; the row ``padding_idx`` gets no gradient."""
    return embedding_rows(weight, input, padding_idx, scale_grad_by_freq)  # type: ignore[no-any-return]


@composite(name="one_hot", module="nn", function=False, method=False)
def one_hot(self: Tensor, num_classes: int = -1) -> Tensor:
    """Vectors of zeros with a 1 at each element's place, in a new last dimension; int64.

    Raises:
        RuntimeError: a class is negative or not below ``num_classes``.
    """
    if self.spec.dtype is not fb.int64:
        raise RuntimeError(
            message("one_hot", "one_hot is only applicable to index tensor", "int64", self=self)
        )
    if not self.spec.numel:
        if num_classes <= 0:
            raise RuntimeError(
                "[one_hot] Can not infer total number of classes from empty tensor: give num_classes."
            )
        return self.new_empty((*self.spec.shape, num_classes))
    low, high = int(whole(self).amin()), int(whole(self).amax())
    if low < 0:
        raise RuntimeError(f"[one_hot] Class values must be non-negative: got {low}.")
    if num_classes == -1:
        num_classes = int(self.amax()) + 1
    elif num_classes < 1:
        raise RuntimeError(f"[one_hot] num_classes should be positive: got {num_classes}.")
    if high >= num_classes:
        raise RuntimeError(
            f"[one_hot] Class values must be smaller than num_classes: got {high}, num_classes={num_classes}."
        )
    return self.new_zeros((*self.shape, num_classes)).scatter(-1, self.unsqueeze(-1), 1)
