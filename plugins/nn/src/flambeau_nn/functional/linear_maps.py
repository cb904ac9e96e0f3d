"""Linear maps and table look-ups: linear, bilinear, embedding, one_hot."""

from __future__ import annotations

import warnings

import flambeau as fb
from flambeau.errors import message

from .. import ops as kernels
from ._common import need_tensors

__all__ = ["bilinear", "embedding", "linear", "one_hot"]

linear = kernels.linear


def bilinear(
    input1: fb.Tensor, input2: fb.Tensor, weight: fb.Tensor, bias: fb.Tensor | None = None
) -> fb.Tensor:
    """``y_o = x1 W_o x2 + b_o``.

    Shape: ``(*, I1), (*, I2), (O, I1, I2)`` to ``(*, O)``.
    """
    need_tensors("bilinear", input1=input1, input2=input2, weight=weight)
    if input1.shape[:-1] != input2.shape[:-1] or (input1.shape[-1], input2.shape[-1]) != tuple(
        weight.shape[1:]
    ):
        raise RuntimeError(
            message(
                "bilinear",
                "sizes don't fit together",
                "input1 (*, I1), input2 (*, I2) with the same leading sizes, weight (O, I1, I2)",
                input1=input1,
                input2=input2,
                weight=weight,
            )
        )
    # for each row the matrix of its first input, then that matrix times its second input
    maps = (input1 @ weight.movedim(1, 0).flatten(1)).unflatten(-1, (weight.shape[0], weight.shape[2]))
    result = (maps @ input2.unsqueeze(-1)).squeeze(-1)
    return result if bias is None else result + bias


def embedding(
    input: fb.Tensor,
    weight: fb.Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> fb.Tensor:
    """The rows of `weight` that the integers in `input` name.

    Args:
        input: int64 or int32 indices of any shape.
        weight: ``(V, D)``.
        padding_idx: a row that gets no gradient.
        max_norm: rows that are used and longer than this are shortened first, in place.
        norm_type: the norm of `max_norm`.
        scale_grad_by_freq: divide the gradient of a row by how often `input` names it.
        sparse: gradients are dense here; with ``True`` a warning says so.

    >>> embedding(fb.tensor([1, 0]), fb.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[3.0, 4.0], [1.0, 2.0]]
    """
    need_tensors("embedding", input=input, weight=weight)
    if weight.ndim != 2:
        raise RuntimeError(message("embedding", "'weight' must be 2-D", "(V, D)", weight=weight))
    rows = weight.shape[0]
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise AssertionError(
                f"[embedding] padding_idx must be within num_embeddings: got {padding_idx}, weight has {rows} rows."
            )
        padding_idx %= rows
    if sparse:
        warnings.warn("[embedding] sparse=True: the gradient is dense all the same.", stacklevel=2)
    if max_norm is not None:
        with fb.no_grad():
            used = input.reshape(-1)
            values = weight[used]
            norms = values.norm(norm_type, -1, keepdim=True)
            weight[used] = values * (max_norm / (norms + 1e-7)).clamp(max=1.0)
    result = kernels.embedding(input, weight, padding_idx)
    if scale_grad_by_freq and weight.requires_grad and fb.is_grad_enabled():
        flat = input.reshape(-1).to(fb.int64)
        counts = fb.zeros(rows, dtype=weight.dtype, device=weight.device)
        counts = counts.scatter_add(0, flat, fb.ones(flat.numel(), dtype=weight.dtype, device=weight.device))
        share = (1 / counts[flat]).reshape(*input.shape, 1)
        result = result * share + (result * (1 - share)).detach()
    return result


def one_hot(tensor: fb.Tensor, num_classes: int = -1) -> fb.Tensor:
    """A new last dimension with a 1 at the place that each integer names, 0 elsewhere.

    Args:
        tensor: int64 of any shape.
        num_classes: the size of the new dimension; -1 takes the largest value plus one.

    >>> one_hot(fb.tensor([1, 0]), 3).tolist()
    [[0, 1, 0], [1, 0, 0]]
    """
    return kernels.one_hot(tensor, num_classes)
