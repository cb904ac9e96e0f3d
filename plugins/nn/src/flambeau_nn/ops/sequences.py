"""Whole sequences of LSTM and GRU steps as one record each, so that a backend packs the weights once.

Steps come with their input already projected: `x` is [T, N, G H] with G blocks of H units (LSTM: enter, forget, new,
leave; GRU: reset, update, new). The gates after their functions are kept for the gradient. Sources: Hochreiter and
Schmidhuber, Long short-term memory, 1997, with forget gates (Gers et al., 2000); Cho et al., 2014.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau import cat, stack, zeros_like
from flambeau.plugin import Call, kernel, message, only_float

from .normalization import Needs
from .rederive import rederive

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["gru_sequence", "lstm_sequence"]


def _check(op: str, x: Any, h0: Any, weight: Any, blocks: int) -> None:
    only_float(op, x.dtype)
    h = weight.shape[1]
    if x.ndim != 3 or tuple(weight.shape) != (blocks * h, h) or x.shape[2] != blocks * h:
        raise RuntimeError(
            message(op, f"x must be [T, N, {blocks} H] and weight [{blocks} H, H]", x=x, weight=weight)
        )
    if tuple(h0.shape) != (x.shape[1], h):
        raise RuntimeError(message(op, "the state must be [N, H]", x=x, h0=h0))


def _before(first: Any, states: Any) -> Any:
    """The state before each step."""
    return cat([first.unsqueeze(0), states[:-1]])


def _weight_gradient(g: Any, before: Any) -> Any:
    """The sum over steps and batch of outer products."""
    return g.reshape((-1, g.shape[-1])).mT.matmul(before.reshape((-1, before.shape[-1])))


def _stacked(parts: list[Any], like: Any, shape: tuple[int, ...]) -> Any:
    return stack(parts) if parts else like.new_zeros((0, *shape))


# LSTM


def _lstm_steps(x: Any, h0: Any, c0: Any, weight: Any) -> Any:
    h, c = h0, c0
    outs: list[Any] = []
    memories: list[Any] = []
    gates: list[Any] = []
    for step in x.unbind(0):
        i, f, g, o = (step + h.matmul(weight.mT)).chunk(4, -1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        h = o * c.tanh()
        outs.append(h)
        memories.append(c)
        gates.append(cat([i, f, g, o], -1))
    n, units = h0.shape
    last = c * 1 if c is c0 else c  # a result is never an input
    return (
        _stacked(outs, x, (n, units)),
        last,
        _stacked(memories, x, (n, units)),
        _stacked(gates, x, (n, 4 * units)),
    )


def _lstm_back(g: Any, g_last: Any, h0: Any, c0: Any, weight: Any, memories: Any, gates: Any) -> Any:
    dh, dc = zeros_like(h0), zeros_like(c0) if g_last is None else g_last
    found: list[Any] = []
    before = _before(c0, memories)
    for t in range(gates.shape[0] - 1, -1, -1):
        i, f, n, o = gates[t].chunk(4, -1)
        dh = dh if g is None else dh + g[t]
        s = memories[t].tanh()
        dc = dc + dh * o * (1 - s * s)
        step = cat(
            [dc * n * i * (1 - i), dc * before[t] * f * (1 - f), dc * i * (1 - n * n), dh * s * o * (1 - o)],
            -1,
        )
        found.append(step)
        dc = dc * f
        dh = step.matmul(weight)
    found.reverse()
    return _stacked(found, gates, tuple(gates.shape[1:])), dh, dc


def _lstm_rule(
    g0: Any, g1: Any, x: Any, h0: Any, c0: Any, weight: Any, out0: Any, out2: Any, out3: Any, needs: Needs
) -> list[Any]:
    gx, gh, gc = lstm_sequence_backward(_dense(g0), _dense(g1), x, h0, c0, weight, out2, out3)
    return [gx, gh, gc, _weight_gradient(gx, _before(h0, out0)) if needs[3] else None]


def _dense(g: Any) -> Any:
    return None if g is None else g.contiguous()


@kernel(
    module="nn", method=False, function=False, nondiff=(2, 3), vjp=_lstm_rule,
    default=lambda x, h0, c0, weight: _lstm_steps(x, h0, c0, weight),
)  # fmt: skip
def lstm_sequence(x: Tensor, h0: Tensor, c0: Tensor, weight: Tensor) -> Any:
    """The states of an LSTM at every step, and its last memory; also all memories and gates.

    Args:
        x: [T, N, 4 H], projected, biases included.
        h0, c0: [N, H].
        weight: [4 H, H], of the state.
    """
    s: Any = x
    w: Any = weight
    _check("lstm_sequence", s, h0, w, 4)
    steps = (*s.shape[:2], w.shape[1])
    return Call((s.like(s.dtype, steps), s.like(s.dtype, steps[1:]), s.like(s.dtype, steps), s.like()))


@kernel(
    module="nn", method=False, function=False,
    default=lambda grad, grad_last, x, h0, c0, weight, memories, gates: _lstm_back(
        grad, grad_last, h0, c0, weight, memories, gates
    ),
    vjp=lambda gs, grad, grad_last, x, h0, c0, weight, needs: _lstm_second(
        gs, grad, grad_last, x, h0, c0, weight, needs
    ),
)  # fmt: skip
def lstm_sequence_backward(
    grad: Tensor | None, grad_last: Tensor | None, x: Tensor, h0: Tensor, c0: Tensor, weight: Tensor,
    memories: Tensor, gates: Tensor,
) -> Any:  # fmt: skip
    """The gradients of `lstm_sequence` by the projected input, the first state and the first memory."""
    inputs: tuple[Any, ...] = (x, h0, c0)
    return Call(tuple(t.like() for t in inputs))


def _lstm_second(
    gs: Any, grad: Any, grad_last: Any, x: Any, h0: Any, c0: Any, weight: Any, needs: Needs
) -> list[Any]:
    def again(g: Any, last: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
        _, _, memories, gates = _lstm_steps(x, h, c, w)
        return _lstm_back(g, last, h, c, w, memories, gates)

    return [*rederive(again, (grad, grad_last, x, h0, c0, weight), needs[:6], gs), None, None]


# GRU


def _gru_steps(x: Any, h0: Any, weight: Any, bias: Any) -> Any:
    h = h0
    outs: list[Any] = []
    gates: list[Any] = []
    for step in x.unbind(0):
        xr, xz, xn = step.chunk(3, -1)
        hr, hz, hn = (h.matmul(weight.mT) + bias).chunk(3, -1)
        r, z = (xr + hr).sigmoid(), (xz + hz).sigmoid()
        n = (xn + r * hn).tanh()
        h = n + z * (h - n)
        outs.append(h)
        gates.append(cat([r, z, n, hn], -1))
    size, units = h0.shape
    return _stacked(outs, x, (size, units)), _stacked(gates, x, (size, 4 * units))


def _gru_back(g: Any, h0: Any, weight: Any, states: Any, gates: Any) -> Any:
    dh = zeros_like(h0)
    gx: list[Any] = []
    gh: list[Any] = []
    before = _before(h0, states)
    for t in range(gates.shape[0] - 1, -1, -1):
        r, z, n, hn = gates[t].chunk(4, -1)
        d = dh + g[t]
        dn = d * (1 - z) * (1 - n * n)
        dz = d * (before[t] - n) * z * (1 - z)
        dr = dn * hn * r * (1 - r)
        gx.append(cat([dr, dz, dn], -1))
        gh.append(cat([dr, dz, dn * r], -1))
        dh = d * z + gh[-1].matmul(weight)
    size, units = h0.shape
    gx.reverse()
    gh.reverse()
    return _stacked(gx, gates, (size, 3 * units)), _stacked(gh, gates, (size, 3 * units)), dh


def _gru_rule(
    g0: Any, x: Any, h0: Any, weight: Any, bias: Any, out0: Any, out1: Any, needs: Needs
) -> list[Any]:
    gx, gh, g_first = gru_sequence_backward(_dense(g0), x, h0, weight, bias, out0, out1)
    gw = _weight_gradient(gh, _before(h0, out0)) if needs[2] else None
    return [gx, g_first, gw, gh.sum((0, 1)) if needs[3] else None]


@kernel(
    module="nn", method=False, function=False, nondiff=(1,), vjp=_gru_rule,
    default=lambda x, h0, weight, bias: _gru_steps(x, h0, weight, bias),
)  # fmt: skip
def gru_sequence(x: Tensor, h0: Tensor, weight: Tensor, bias: Tensor) -> Any:
    """The states of a GRU at every step; also its gates and the new gate's share of the projected state.

    Args:
        x: [T, N, 3 H], projected, with the input's bias.
        h0: [N, H].
        weight, bias: [3 H, H] and [3 H], of the state.
    """
    s: Any = x
    w: Any = weight
    _check("gru_sequence", s, h0, w, 3)
    units = w.shape[1]
    steps = tuple(s.shape[:2])
    return Call((s.like(s.dtype, (*steps, units)), s.like(s.dtype, (*steps, 4 * units))))


@kernel(
    module="nn", method=False, function=False,
    default=lambda grad, x, h0, weight, bias, states, gates: _gru_back(grad, h0, weight, states, gates),
    vjp=lambda gs, grad, x, h0, weight, bias, needs: _gru_second(gs, grad, x, h0, weight, bias, needs),
)  # fmt: skip
def gru_sequence_backward(
    grad: Tensor, x: Tensor, h0: Tensor, weight: Tensor, bias: Tensor, states: Tensor, gates: Tensor
) -> Any:
    """The gradients of `gru_sequence` by the projected input, by the projected states, and by the first state."""
    inputs: tuple[Any, ...] = (x, x, h0)
    return Call(tuple(t.like() for t in inputs))


def _gru_second(gs: Any, grad: Any, x: Any, h0: Any, weight: Any, bias: Any, needs: Needs) -> list[Any]:
    def again(g: Any, x: Any, h: Any, w: Any, b: Any) -> Any:
        states, gates = _gru_steps(x, h, w, b)
        return _gru_back(g, h, w, states, gates)

    return [*rederive(again, (grad, x, h0, weight, bias), needs[:5], gs), None, None]
