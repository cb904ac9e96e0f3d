"""Recurrent cells: one step of RNN, LSTM and GRU."""

from __future__ import annotations

import math
from typing import Any

import flambeau as fb
from flambeau.errors import message

from .. import init
from ..module import Module
from ..parameter import Parameter
from .scans import State, step

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]


class RNNCellBase(Module):
    """The base of recurrent cells: parameters and checks.

    >>> from flambeau import nn
    >>> isinstance(nn.GRUCell(3, 4), nn.RNNCellBase)
    True
    """

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None,
        dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(fb.empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(fb.empty((rows, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            value = Parameter(fb.empty((rows,), device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew: uniform within ``1 / sqrt(hidden_size)``."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _step(self, mode: str, input: fb.Tensor, hx: Any, states: int) -> State:
        name = type(self).__name__
        if input.ndim not in (1, 2):
            raise ValueError(
                message(name, "Expected input to be 1D or 2D", f"(N, {self.input_size}) or ({self.input_size})",
                        input=input)
            )  # fmt: skip
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                message(name, f"input has inconsistent input_size: got {input.shape[-1]} expected {self.input_size}",
                        input=input)
            )  # fmt: skip
        shape = (*input.shape[:-1], self.hidden_size)
        if hx is None:
            given: State = (fb.zeros(shape, dtype=input.dtype, device=input.device),) * states
        else:
            given = tuple(hx) if states == 2 else (hx,)
        for k, h in enumerate(given):
            if h.ndim not in (1, 2):
                raise ValueError(message(name, f"Expected hx[{k}] to be 1D or 2D", f"{list(shape)}", hx=h))
            if tuple(h.shape) != shape:
                raise RuntimeError(
                    message(name, f"hidden{k} doesn't fit the input", f"{list(shape)}", hx=h, input=input)
                )
        flat = input.ndim == 1
        x = input.unsqueeze(0) if flat else input
        given = tuple(h.unsqueeze(0) for h in given) if flat else given
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, None]
        after = step(mode, x, given, weights)
        return tuple(h.squeeze(0) for h in after) if flat else after

    def extra_repr(self) -> str:
        """Sizes, and what differs from the defaults."""
        text = f"{self.input_size}, {self.hidden_size}"
        text += f", bias={self.bias}" if self.bias is not True else ""
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        return text + (f", nonlinearity={nonlinearity}" if nonlinearity != "tanh" else "")


class RNNCell(RNNCellBase):
    """One step of `RNN`.

    Args:
        input_size, hidden_size: features of input and state.
        bias: whether there are biases.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        device, dtype: of the parameters.

    Shape: ``(N, I)`` and ``(N, H)`` to ``(N, H)``, or all without N.

    >>> from flambeau import nn
    >>> nn.RNNCell(3, 4)(fb.ones(2, 3)).shape == (2, 4)
    True
    """

    nonlinearity: str

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: Any = None,
        dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: fb.Tensor, hx: fb.Tensor | None = None) -> fb.Tensor:
        """The next state."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"[RNNCell] unknown nonlinearity: {self.nonlinearity}.")
        return self._step(f"RNN_{self.nonlinearity.upper()}", input, hx, 1)[0]


class LSTMCell(RNNCellBase):
    """One step of `LSTM`.

    Args:
        input_size, hidden_size: features of input and states.
        bias: whether there are biases.
        device, dtype: of the parameters.

    Shape: ``(N, I)`` and a pair of ``(N, H)`` to such a pair, or all without N.

    >>> from flambeau import nn
    >>> h, c = nn.LSTMCell(3, 4)(fb.ones(2, 3))
    >>> h.shape == (2, 4)
    True
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: fb.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: fb.Tensor, hx: tuple[fb.Tensor, fb.Tensor] | None = None
    ) -> tuple[fb.Tensor, fb.Tensor]:
        """The next states."""
        h, c = self._step("LSTM", input, hx, 2)
        return h, c


class GRUCell(RNNCellBase):
    """One step of `GRU`.

    Args:
        input_size, hidden_size: features of input and state.
        bias: whether there are biases.
        device, dtype: of the parameters.

    Shape: ``(N, I)`` and ``(N, H)`` to ``(N, H)``, or all without N.

    >>> from flambeau import nn
    >>> nn.GRUCell(3, 4)(fb.ones(2, 3)).shape == (2, 4)
    True
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: fb.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: fb.Tensor, hx: fb.Tensor | None = None) -> fb.Tensor:
        """The next state."""
        return self._step("GRU", input, hx, 1)[0]
