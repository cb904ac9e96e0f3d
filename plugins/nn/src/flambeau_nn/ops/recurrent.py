"""The elementwise parts of recurrent cells: one program each, so that a step is a few launches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.plugin import call, only_float, pointwise

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["gru_state", "lstm_memory", "lstm_state"]


@pointwise(module="nn", method=False, function=False, check=only_float)
def lstm_memory(enter: Tensor, forget: Tensor, new: Tensor, memory: Tensor) -> Any:
    """``sigmoid(forget) * memory + sigmoid(enter) * tanh(new)``."""
    kept = call("mul", call("sigmoid", forget), memory)
    return kept + call("mul", call("sigmoid", enter), call("tanh", new))


@pointwise(module="nn", method=False, function=False, check=only_float)
def lstm_state(leave: Tensor, memory: Tensor) -> Any:
    """``sigmoid(leave) * tanh(memory)``."""
    return call("mul", call("sigmoid", leave), call("tanh", memory))


@pointwise(module="nn", method=False, function=False, check=only_float)
def gru_state(
    reset_x: Tensor,
    reset_h: Tensor,
    update_x: Tensor,
    update_h: Tensor,
    new_x: Tensor,
    new_h: Tensor,
    state: Tensor,
) -> Any:
    """``(1 - z) * n + z * h``, where r and z are sigmoids of sums and ``n = tanh(new_x + r * new_h)``."""
    reset = call("sigmoid", call("add", reset_x, reset_h))
    update = call("sigmoid", call("add", update_x, update_h))
    new = call("tanh", call("add", new_x, call("mul", reset, new_h)))
    return new + call("mul", update, call("sub", state, new))
