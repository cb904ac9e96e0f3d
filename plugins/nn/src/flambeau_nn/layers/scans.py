"""How recurrent layers go through a sequence: cells, one direction of one layer, packed or not.

A cell takes the projected input of a step and the state and gives the state's successor. Sequences are lists of steps
``(batch of the step, features)``; in a packed sequence the batch shrinks from step to step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flambeau as fb

from .. import functional as F
from .. import ops as kernels
from ..ops.recurrent import gru_state, lstm_memory, lstm_state
from ..ops.sequences import gru_sequence, lstm_sequence

__all__ = ["CELLS", "GATES", "State", "Weights", "scan", "step"]

#: h, or for LSTM (h, c).
State = tuple[fb.Tensor, ...]
#: weight_ih, weight_hh, bias_ih or None, bias_hh or None, weight_hr or None.
Weights = Sequence[Any]
GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _lstm(x: fb.Tensor, h: fb.Tensor, state: State, weights: Weights) -> State:
    enter, forget, new, leave = (x + h).chunk(4, -1)
    memory = lstm_memory(enter, forget, new, state[1])
    out: Any = lstm_state(leave, memory)
    return (out if weights[4] is None else kernels.linear(out, weights[4], None)), memory


def _gru(x: fb.Tensor, h: fb.Tensor, state: State, weights: Weights) -> State:
    (rx, zx, nx), (rh, zh, nh) = x.chunk(3, -1), h.chunk(3, -1)
    return (gru_state(rx, rh, zx, zh, nx, nh, state[0]),)


def _tanh(x: fb.Tensor, h: fb.Tensor, state: State, weights: Weights) -> State:
    return ((x + h).tanh(),)


def _relu(x: fb.Tensor, h: fb.Tensor, state: State, weights: Weights) -> State:
    return (F.relu(x + h),)


CELLS: dict[str, Callable[[fb.Tensor, fb.Tensor, State, Weights], State]] = {
    "LSTM": _lstm, "GRU": _gru, "RNN_TANH": _tanh, "RNN_RELU": _relu,
}  # fmt: skip


def step(mode: str, x: fb.Tensor, state: State, weights: Weights) -> State:
    """One step of a cell: input ``(N, I)`` and state ``(N, H)``."""
    projected = kernels.linear(x, weights[0], weights[2])
    return CELLS[mode](projected, kernels.linear(state[0], weights[1], weights[3]), state, weights)


def _whole(
    mode: str, data: fb.Tensor, steps: int, state: State, weights: Weights, reverse: bool
) -> tuple[fb.Tensor, State] | None:
    """`scan` by one record, for batches of one size; None where operands differ in dtype."""
    _, weight, bias, bias_h, _ = weights
    if mode == "LSTM" and bias is not None:
        bias = bias + bias_h
    x: Any = kernels.linear(data, weights[0], bias)
    if any(t.dtype is not x.dtype for t in (weight, *state)):  # under autocast
        return None
    x = x.reshape(steps, -1, x.shape[-1])
    first = [s.contiguous() for s in state]
    x, weight = x.flip(0) if reverse else x.contiguous(), weight.contiguous()
    if mode == "LSTM":
        out, memory = lstm_sequence(x, *first, weight)[:2]
        last: State = (out[-1], memory)
    else:
        out = gru_sequence(x, *first, weight, x.new_zeros(x.shape[-1]) if bias_h is None else bias_h)[0]
        last = (out[-1],)
    return (out.flip(0) if reverse else out).reshape(-1, out.shape[-1]), last


def scan(
    mode: str, data: fb.Tensor, sizes: Sequence[int], state: State, weights: Weights, reverse: bool
) -> tuple[fb.Tensor, State]:
    """One direction of one layer.

    Args:
        mode: the kind of cell.
        data: the steps after one another ``(sum of sizes, I)``.
        sizes: the batch of each step, never growing.
        state: at the beginning, for the largest batch.
        weights: of this direction.
        reverse: start with the last step.

    Returns:
        The outputs in the form of `data`, and the last state of every sequence.
    """
    if len(set(sizes)) == 1 and mode in ("LSTM", "GRU") and weights[4] is None:
        found = _whole(mode, data, len(sizes), state, weights, reverse)
        if found is not None:
            return found
    cell = CELLS[mode]
    parts = list(kernels.linear(data, weights[0], weights[2]).split(list(sizes)))
    outs: list[Any] = [None] * len(parts)
    weight, bias = weights[1], weights[3]
    if reverse:
        now = tuple(s[: sizes[-1]] for s in state)
        for t in range(len(parts) - 1, -1, -1):
            have = now[0].shape[0]
            if sizes[t] > have:
                now = tuple(fb.cat([s, first[have : sizes[t]]]) for s, first in zip(now, state, strict=True))
            now = cell(parts[t], kernels.linear(now[0], weight, bias), now, weights)
            outs[t] = now[0]
        return fb.cat(outs), now
    now, done = state, []
    for t, part in enumerate(parts):
        size = sizes[t]
        if size < now[0].shape[0]:
            done.append(tuple(s[size:] for s in now))
            now = tuple(s[:size] for s in now)
        now = cell(part, kernels.linear(now[0], weight, bias), now, weights)
        outs[t] = now[0]
    if done:
        done.append(now)
        now = tuple(fb.cat([part[k] for part in reversed(done)]) for k in range(len(now)))
    return fb.cat(outs), now
