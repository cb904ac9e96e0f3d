"""Recurrent layers: RNN, LSTM, GRU, of several layers and both directions, for padded and packed sequences."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import flambeau as fb
from flambeau.errors import message

from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from .scans import GATES, State, scan

__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]


class RNNBase(Module):
    """The base of recurrent layers: parameters, checks, and the walk over layers and directions.

    Args:
        mode: ``"LSTM"``, ``"GRU"``, ``"RNN_TANH"`` or ``"RNN_RELU"``.
        input_size: features of a step.
        hidden_size: features of the state.
        num_layers: layers on one another.
        bias: whether there are biases.
        batch_first: whether the batch is the first dimension of input and output.
        dropout: probability of dropping an output between layers, in training.
        bidirectional: also go through the sequence backwards; outputs stand side by side.
        proj_size: project the state of an LSTM to this size.
        device, dtype: of the parameters.

    >>> from flambeau import nn
    >>> nn.RNNBase("GRU", 3, 4).weight_ih_l0.shape == (12, 3)
    True
    """

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
        device: Any = None, dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        what = f"[{type(self).__name__}]"
        if mode not in GATES:
            raise ValueError(
                f"{what} unrecognized RNN mode: got {mode!r}, needed: one of {', '.join(GATES)}."
            )
        if not isinstance(dropout, (int, float)) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(
                f"{what} dropout should be a number in range [0, 1] representing the probability of an element being "
                f"zeroed: got {dropout!r}."
            )
        for name, value in {"hidden_size": hidden_size, "num_layers": num_layers}.items():
            if not isinstance(value, int):
                raise TypeError(f"{what} {name} should be of type int: got {type(value).__name__}.")
            if value <= 0:
                raise ValueError(f"{what} {name} must be greater than zero: got {value}.")
        if proj_size < 0 or proj_size >= hidden_size:
            raise ValueError(
                f"{what} proj_size should be smaller than hidden_size and not negative: got {proj_size}, {hidden_size}."
            )
        if proj_size and mode != "LSTM":
            raise ValueError(f"{what} proj_size argument is only supported for LSTM, not RNN or GRU.")
        if dropout and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}",
                stacklevel=3,
            )
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        directions = 2 if bidirectional else 1
        rows, out = GATES[mode] * hidden_size, proj_size or hidden_size
        self._all_names: list[list[str]] = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse")[:directions]:
                columns = input_size if layer == 0 else out * directions
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, columns), "weight_hh": (rows, out)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                names = [f"{name}_l{layer}{suffix}" for name in shapes]
                for name, shape in zip(names, shapes.values(), strict=True):
                    self.register_parameter(name, Parameter(fb.empty(shape, device=device, dtype=dtype)))
                self._all_names.append(names)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew: uniform within ``1 / sqrt(hidden_size)``."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing: for compatibility; parameters needn't lie together."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_names]

    def _weights(self) -> Iterator[list[Any]]:
        """weight_ih, weight_hh, bias_ih, bias_hh, weight_hr of each layer and direction, None where there is none."""
        for found in self.all_weights:
            row: list[Any] = list(found)
            hr = row.pop() if self.proj_size else None
            yield [*row, *[None] * (4 - len(row)), hr]

    # The walk

    def _run(self, input: Any, hx: Any) -> tuple[Any, State]:
        """Output and last states, each of the form that the input asks for."""
        name = type(self).__name__
        states = 2 if self.mode == "LSTM" else 1
        given = None if hx is None else (tuple(hx) if states == 2 else (hx,))
        if given is not None and (len(given) != states or not all(isinstance(h, fb.Tensor) for h in given)):
            raise TypeError(
                f"[{name}] hx must be {'a pair of tensors (h, c)' if states == 2 else 'a tensor'}."
            )
        packed = input if isinstance(input, PackedSequence) else None
        if packed is not None:
            data, sizes = packed.data, packed.batch_sizes.tolist()
            batch, batched, order = sizes[0], True, packed.sorted_indices
            self._check_features(data)
        else:
            if not isinstance(input, fb.Tensor) or input.ndim not in (2, 3):
                raise ValueError(
                    message(name, "expected input to be 2D or 3D", self._shape(), input=input)
                    if isinstance(input, fb.Tensor)
                    else f"[{name}] expected a tensor or a PackedSequence: got {type(input).__name__}."
                )
            batched, order = input.ndim == 3, None
            x = input if batched else input.unsqueeze(1)
            x = x.transpose(0, 1) if batched and self.batch_first else x
            self._check_features(x)
            steps, batch = x.shape[0], x.shape[1]
            if not steps:
                raise RuntimeError(message(name, "expected sequence length to be larger than 0", input=input))
            data, sizes = x.reshape(steps * batch, x.shape[2]), [batch] * steps
        first = self._start(given, batch, batched, order, data)
        out, last = self._layers(data, sizes, first)
        if packed is not None:
            back = packed.unsorted_indices
            last = tuple(h if back is None else h.index_select(1, back) for h in last)
            return PackedSequence(out, packed.batch_sizes, packed.sorted_indices, back), last
        out = out.reshape(len(sizes), batch, out.shape[1])
        if not batched:
            return out.squeeze(1), tuple(h.squeeze(1) for h in last)
        return (out.transpose(0, 1) if self.batch_first else out), last

    def _layers(self, data: fb.Tensor, sizes: list[int], first: State) -> tuple[fb.Tensor, State]:
        directions = 2 if self.bidirectional else 1
        last: list[State] = []
        weights = list(self._weights())
        for layer in range(self.num_layers):
            outs = []
            for direction in range(directions):
                k = layer * directions + direction
                state = tuple(s[k] for s in first)
                out, end = scan(self.mode, data, sizes, state, weights[k], bool(direction))
                outs.append(out)
                last.append(end)
            data = outs[0] if directions == 1 else fb.cat(outs, -1)
            if self.dropout and self.training and layer < self.num_layers - 1:
                data = F.dropout(data, self.dropout, True)
        return data, tuple(fb.stack([end[k] for end in last]) for k in range(len(first)))

    def _start(
        self, given: State | None, batch: int, batched: bool, order: fb.Tensor | None, data: fb.Tensor
    ) -> State:
        n = self.num_layers * (2 if self.bidirectional else 1)
        widths = (self.proj_size or self.hidden_size, self.hidden_size)[: 2 if self.mode == "LSTM" else 1]
        if given is None:
            return tuple(fb.zeros((n, batch, w), dtype=data.dtype, device=data.device) for w in widths)
        ready = []
        for k, (h, width) in enumerate(zip(given, widths, strict=True)):
            needed = (n, batch, width) if batched else (n, width)
            if tuple(h.shape) != needed:
                raise RuntimeError(
                    message(
                        type(self).__name__, f"Expected hidden[{k}] size {needed}, got {list(h.shape)}", hx=h
                    )
                )
            h = h if batched else h.unsqueeze(1)
            ready.append(h if order is None else h.index_select(1, order))
        return tuple(ready)

    def _shape(self) -> str:
        whole = "(N, L, H)" if self.batch_first else "(L, N, H)"
        return f"{whole} or, unbatched, (L, H), with H = input_size = {self.input_size}"

    def _check_features(self, x: fb.Tensor) -> None:
        if x.shape[-1] != self.input_size:
            raise RuntimeError(
                message(
                    type(self).__name__,
                    f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {x.shape[-1]}",
                    self._shape(),
                    input=x,
                )
            )

    def extra_repr(self) -> str:
        """Sizes, and what differs from the defaults."""
        text = f"{self.input_size}, {self.hidden_size}"
        text += f", proj_size={self.proj_size}" if self.proj_size else ""
        text += f", num_layers={self.num_layers}" if self.num_layers != 1 else ""
        text += f", bias={self.bias}" if self.bias is not True else ""
        text += f", batch_first={self.batch_first}" if self.batch_first else ""
        text += f", dropout={self.dropout}" if self.dropout else ""
        return text + (f", bidirectional={self.bidirectional}" if self.bidirectional else "")


class RNN(RNNBase):
    """``h' = tanh(x W_ih^T + b_ih + h W_hh^T + b_hh)``.

    Args:
        input_size: I, features of a step.
        hidden_size: H, features of the state.
        num_layers: layers on one another.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        bias: whether there are biases.
        batch_first: whether the batch is the first dimension of input and output.
        dropout: probability of dropping an output between layers, in training.
        bidirectional: also go through the sequence backwards.
        device, dtype: of the parameters.

    Shape: ``(L, N, I)`` (``(N, L, I)`` with `batch_first`, ``(L, I)`` without a batch) or a `PackedSequence`, and
    ``(layers * directions, N, H)``, to ``(L, N, directions * H)`` and the last state.

    >>> from flambeau import nn
    >>> output, h = nn.RNN(3, 4)(fb.ones(5, 2, 3))
    >>> output.shape == (5, 2, 4), h.shape == (1, 2, 4)
    (True, True)
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: Any = None,
        dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"[RNN] unknown nonlinearity {nonlinearity!r}: needed: 'tanh' or 'relu'.")
        self.nonlinearity = nonlinearity
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, 0, device, dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: fb.Tensor | None = None) -> tuple[Any, fb.Tensor]:
        """Go through the sequence; a first state of zeros where none is given."""
        out, (h,) = self._run(input, hx)
        return out, h


class LSTM(RNNBase):
    """Long short-term memory: gates i, f, g, o; ``c' = f * c + i * g``, ``h' = o * tanh(c')``.

    Args:
        input_size: I, features of a step.
        hidden_size: H, features of the state.
        num_layers: layers on one another.
        bias: whether there are biases.
        batch_first: whether the batch is the first dimension of input and output.
        dropout: probability of dropping an output between layers, in training.
        bidirectional: also go through the sequence backwards.
        proj_size: P, project h to this size.
        device, dtype: of the parameters.

    Shape: ``(L, N, I)`` (``(N, L, I)`` with `batch_first`, ``(L, I)`` without a batch) or a `PackedSequence`, and a
    pair of states ``(layers * directions, N, P or H)`` and ``(..., N, H)``, to ``(L, N, directions * H)`` and the
    last states.

    >>> from flambeau import nn
    >>> output, (h, c) = nn.LSTM(3, 4, num_layers=2, bidirectional=True)(fb.ones(5, 2, 3))
    >>> output.shape == (5, 2, 8), h.shape == (4, 2, 4)
    (True, True)
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: Any = None,
        dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device,
            dtype,
        )  # fmt: skip

    def forward(
        self, input: Any, hx: tuple[fb.Tensor, fb.Tensor] | None = None
    ) -> tuple[Any, tuple[fb.Tensor, fb.Tensor]]:
        """Go through the sequence; first states of zeros where none are given."""
        out, (h, c) = self._run(input, hx)
        return out, (h, c)


class GRU(RNNBase):
    """Gated recurrent unit: gates r, z, n; ``n = tanh(x_n + r * h_n)``, ``h' = (1 - z) * n + z * h``.

    Args:
        input_size: I, features of a step.
        hidden_size: H, features of the state.
        num_layers: layers on one another.
        bias: whether there are biases.
        batch_first: whether the batch is the first dimension of input and output.
        dropout: probability of dropping an output between layers, in training.
        bidirectional: also go through the sequence backwards.
        device, dtype: of the parameters.

    Shape: as `RNN`'s.

    >>> from flambeau import nn
    >>> output, h = nn.GRU(3, 4, batch_first=True)(fb.ones(2, 5, 3))
    >>> output.shape == (2, 5, 4), h.shape == (1, 2, 4)
    (True, True)
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: Any = None, dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )

    def forward(self, input: Any, hx: fb.Tensor | None = None) -> tuple[Any, fb.Tensor]:
        """Go through the sequence; a first state of zeros where none is given."""
        out, (h,) = self._run(input, hx)
        return out, h
