"""Scaled dot-product attention and its gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .kernels_plan import run

Attrs = dict[str, Any]


def attention(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    """(result, logarithms of the rows' sums) from (query, key, value, mask)."""
    run("attention", (*outs, *ins), (int(attrs["causal"]),), (attrs["scale"],))


def attention_backward(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    """(gq, gk, gv) from (g, query, key, value, result, logarithms, mask)."""
    run("attention_bwd", (*outs, *ins), (int(attrs["causal"]),), (attrs["scale"],))


def supported(in_specs: Sequence[Any], attrs: Attrs) -> bool:
    """Floating point of 32 or 16 bits."""
    return in_specs[0].dtype.name in ("float16", "bfloat16", "float32")


KERNELS = {"attention": attention, "attention_backward": attention_backward}
SUPPORTS = dict.fromkeys(KERNELS, supported)
