"""Sequences of LSTM and GRU steps and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .kernels_plan import run

Attrs = dict[str, Any]


def lstm_sequence(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    """(states, last memory, memories, gates) from (projected input, state, memory, weight)."""
    run("lstm", (*outs, *ins))


def lstm_sequence_backward(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    """(gx, gh0, gc0) from (gradients of states and last memory; x, h0, c0, weight, memories, gates)."""
    g, g_last, _, h0, c0, weight, memories, gates = ins
    run("lstm_bwd", (*outs, g, g_last, h0, c0, memories, gates, weight))


def gru_sequence(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    """(states, gates) from (projected input, state, weight, bias)."""
    run("gru", (*outs, *ins))


def gru_sequence_backward(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    """(gx, gradient of the projected states, gh0) from (g, x, h0, weight, bias, states, gates)."""
    g, _, h0, weight, _, states, gates = ins
    run("gru_bwd", (*outs, g, h0, states, gates, weight))


def _dense(spec: Any) -> bool:
    step = 1
    for size, stride in zip(reversed(spec.shape), reversed(spec.strides), strict=True):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


def supported(in_specs: Sequence[Any], attrs: Attrs) -> bool:
    """float32, dense."""
    return all(s is None or (s.dtype.name == "float32" and _dense(s)) for s in in_specs)


KERNELS = {
    "lstm_sequence": lstm_sequence,
    "lstm_sequence_backward": lstm_sequence_backward,
    "gru_sequence": gru_sequence,
    "gru_sequence_backward": gru_sequence_backward,
}
SUPPORTS = dict.fromkeys(KERNELS, supported)
