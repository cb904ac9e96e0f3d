"""All compute kernels in one place: the backend's required entries and the table of native overrides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import (
    kernels_attention,
    kernels_conv,
    kernels_index,
    kernels_matmul,
    kernels_move,
    kernels_norm,
    kernels_pool,
    kernels_recurrent,
    kernels_reduce,
    kernels_softmax,
    kernels_sort,
)
from .kernels_index import embedding, embedding_backward, gather, index_select, nonzero_count, scatter
from .kernels_matmul import matmul, plan_matmul
from .kernels_reduce import plan_reduce, reduce
from .kernels_sort import scan, scan2, sort, topk

Kernel = Callable[[Sequence[Any], Sequence[Any], dict[str, Any]], None]

KERNELS: dict[str, Kernel] = {
    **kernels_reduce.KERNELS,
    **kernels_matmul.KERNELS,
    **kernels_move.KERNELS,
    **kernels_index.KERNELS,
    **kernels_softmax.KERNELS,
    **kernels_attention.KERNELS,
    **kernels_conv.KERNELS,
    **kernels_pool.KERNELS,
    **kernels_recurrent.KERNELS,
    **kernels_norm.KERNELS,
    **kernels_sort.KERNELS,
}
"""name -> kernel(outs, ins, attrs)"""

SUPPORTS: dict[str, Callable[[Sequence[Any], dict[str, Any]], bool]] = {
    **kernels_matmul.SUPPORTS,
    **kernels_move.SUPPORTS,
    **kernels_index.SUPPORTS,
    **kernels_sort.SUPPORTS,
    **kernels_attention.SUPPORTS,
    **kernels_conv.SUPPORTS,
    **kernels_pool.SUPPORTS,
    **kernels_recurrent.SUPPORTS,
    **kernels_norm.SUPPORTS,
}
"""name -> whether the kernel takes inputs with these specs (absent: real floating-point ones)"""

__all__ = [
    "KERNELS",
    "SUPPORTS",
    "embedding",
    "embedding_backward",
    "gather",
    "index_select",
    "matmul",
    "nonzero_count",
    "plan_matmul",
    "plan_reduce",
    "reduce",
    "scan",
    "scan2",
    "scatter",
    "sort",
    "topk",
]
