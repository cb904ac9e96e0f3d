"""Connectionist temporal classification (A. Graves and others, ICML 2006): the loss by the forward recursion, its
gradient by the backward recursion, all in logarithms.

The states of a target of length L are its labels with blanks before, between and after: 2 L + 1 of them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau.plugin import Call, kernel, message, only_float

from .rederive import rederive

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["ctc_loss"]

Ints = tuple[int, ...]


def _log_sum(*terms: Any) -> Any:
    """log(sum(exp)) of tensors, where some or all may be minus infinity."""
    top = terms[0]
    for t in terms[1:]:
        top = fb.maximum(top, t)
    base = top.masked_fill(top == -math.inf, 0)
    total: Any = 0
    for t in terms:
        total = total + (t - base).exp()
    return total.log() + base


def _shifted(x: Any, by: int) -> Any:
    """States moved up (or down, where negative) with minus infinity coming in."""
    n = x.shape[1]
    room = x.new_full(tuple(x.shape), -math.inf)
    if abs(by) < n:
        if by > 0:
            room.narrow(1, by, n - by).copy_(x.narrow(1, 0, n - by))
        else:
            room.narrow(1, 0, n + by).copy_(x.narrow(1, -by, n + by))
    return room


def _states(targets: Any, blank: int) -> tuple[Any, Any]:
    """Labels of the states ``(N, 2 S + 1)``, and where a state may be reached from two before."""
    n, s = targets.shape
    labels = targets.new_full((n, 2 * s + 1), blank)
    if s:
        labels[:, 1::2] = targets
    skip = fb.zeros((n, 2 * s + 1), dtype=fb.bool, device=targets.device)
    if s > 1:
        skip[:, 3::2] = targets[:, 1:] != targets[:, :-1]
    return labels, skip


def _emitted(log_probs: Any, labels: Any) -> Any:
    """The log-probabilities of the states' labels: ``(T, N, 2 S + 1)``."""
    return log_probs.gather(2, labels.unsqueeze(0).expand((log_probs.shape[0], *labels.shape)))


def _column(values: Ints, like: Any) -> Any:
    return fb.tensor(values, dtype=fb.int64, device=like.device).reshape(len(values), 1)


def _default(log_probs: Any, targets: Any, input_lengths: Ints, target_lengths: Ints, blank: int) -> Any:
    steps, n, _ = log_probs.shape
    labels, skip = _states(targets, blank)
    emitted = _emitted(log_probs, labels)
    width = labels.shape[1]
    lengths, ends = _column(input_lengths, labels), 2 * _column(target_lengths, labels)
    alphas = log_probs.new_full((steps, n, width), -math.inf)
    first = log_probs.new_full((n, width), -math.inf)
    first[:, : min(2, width)] = emitted[0, :, : min(2, width)] if steps else 0
    start = first.masked_fill(fb.arange(width, device=labels.device) > ends, -math.inf)
    if steps:
        alphas[0] = start
    for t in range(1, steps):
        before = alphas[t - 1]
        two = _shifted(before, 2).masked_fill(~skip, -math.inf)
        alphas[t] = _log_sum(before, _shifted(before, 1), two) + emitted[t]
    # An input of length 0 fits a target of length 0 alone.
    last = (
        alphas.gather(0, (lengths - 1).clamp(min=0).unsqueeze(0).expand(1, n, width)).squeeze(0)
        if steps
        else start
    )
    label_end = last.gather(1, (ends - 1).clamp(min=0)).masked_fill(ends == 0, -math.inf)
    loss = -_log_sum(last.gather(1, ends), label_end)
    nothing = fb.where(ends == 0, fb.zeros_like(loss), fb.full_like(loss, math.inf))
    return fb.where(lengths == 0, nothing, loss).squeeze(1), alphas


def _rule(
    g0: Any,
    log_probs: Any,
    targets: Any,
    out0: Any,
    out1: Any,
    input_lengths: Ints,
    target_lengths: Ints,
    blank: int,
) -> Any:
    return ctc_loss_backward(g0, log_probs, targets, out0, out1, input_lengths, target_lengths, blank)


@kernel(
    name="ctc_loss_values", module="nn", method=False, function=False, nondiff=(1,), default=_default,
    vjp={"log_probs": _rule},
)  # fmt: skip
def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: Ints, target_lengths: Ints, blank: int
) -> Any:
    """Minus the log-probability of each target, and the forward variables.

    Args:
        log_probs: ``(T, N, C)``.
        targets: ``(N, S)`` int64, filled up with anything.
        input_lengths, target_lengths: one number for each of the batch.
        blank: the class of the blank.
    """
    x: Any = log_probs
    y: Any = targets
    only_float("ctc_loss", x.dtype)
    if x.ndim != 3 or y.ndim != 2:
        raise RuntimeError(
            message("ctc_loss", "sizes don't fit", "(T, N, C) and (N, S)", log_probs=x, targets=y)
        )
    return Call((x.like(shape=(x.shape[1],)), x.like(shape=(x.shape[0], x.shape[1], 2 * y.shape[1] + 1))))


def _backward_default(
    grad: Any, log_probs: Any, targets: Any, loss: Any, alphas: Any, input_lengths: Ints, target_lengths: Ints,
    blank: int,
) -> Any:  # fmt: skip
    steps, n, classes = log_probs.shape
    labels, skip = _states(targets, blank)
    emitted = _emitted(log_probs, labels)
    width = labels.shape[1]
    lengths, ends = _column(input_lengths, labels), 2 * _column(target_lengths, labels)
    states = fb.arange(width, device=labels.device)
    final = (states == ends) | (states == ends - 1)
    # A state leads to the one two after it where that one may be reached so.
    leap = fb.zeros_like(skip)
    if width > 2:
        leap[:, :-2] = skip[:, 2:]
    beta = log_probs.new_full((n, width), -math.inf)
    shares = log_probs.new_zeros((steps, n, width))
    total = loss.reshape((n, 1))
    for t in range(steps - 1, -1, -1):
        two = _shifted(beta, -2).masked_fill(~leap, -math.inf)
        further = _log_sum(beta, _shifted(beta, -1), two) + emitted[t]
        fresh = emitted[t].masked_fill(~final, -math.inf)
        beta = fb.where(lengths - 1 == t, fresh, fb.where(lengths - 1 > t, further, beta))
        share = (alphas[t] + beta - emitted[t] + total).exp()
        dead = (alphas[t] == -math.inf) | (beta == -math.inf) | (states > ends)
        shares[t] = share.masked_fill(dead, 0)
    seen = log_probs.new_zeros((steps, n, classes)).scatter_add(
        2, labels.unsqueeze(0).expand((steps, n, width)), shares
    )
    inside = fb.arange(steps, device=labels.device).reshape((steps, 1)) < lengths.reshape((1, n))
    return (log_probs.exp() - seen) * grad.reshape((1, n, 1)) * inside.unsqueeze(2).to(log_probs.dtype)


#: Stands for the logarithm of 0 where numbers are differentiated: its weight in a sum is 0, and so its gradients are.
_NEVER = -1e30


def _moved(x: Any, by: int) -> Any:
    """`_shifted` upwards, for differentiation."""
    n, width = x.shape
    room = x.new_full((n, min(by, width)), _NEVER)
    return fb.cat([room, x[:, : width - room.shape[1]]], 1)


def _differentiable(
    log_probs: Any, targets: Any, input_lengths: Ints, target_lengths: Ints, blank: int
) -> Any:
    """The losses in public ops, with finite numbers throughout; 0 where the target doesn't fit into the input."""
    steps, n, _ = log_probs.shape
    labels, skip = _states(targets, blank)
    emitted = _emitted(log_probs, labels).clamp_min(_NEVER)
    width = labels.shape[1]
    lengths, ends = _column(input_lengths, labels), 2 * _column(target_lengths, labels)
    states = fb.arange(width, device=labels.device)
    alpha = fb.where((states < 2) & (states <= ends), emitted[0], _NEVER)
    alphas = [alpha]
    for t in range(1, steps):
        ways = [alpha, _moved(alpha, 1), fb.where(skip, _moved(alpha, 2), _NEVER)]
        alpha = fb.stack(ways).logsumexp(0) + emitted[t]
        alphas.append(alpha)
    last = fb.stack(alphas).gather(0, (lengths - 1).clamp_min(0).expand(1, n, width)).squeeze(0)
    label_end = fb.where(ends == 0, _NEVER, last.gather(1, (ends - 1).clamp_min(0)))
    loss = -fb.stack([last.gather(1, ends), label_end]).logsumexp(0)
    return fb.where((lengths > 0) & (loss < -_NEVER / 2), loss, 0.0).squeeze(1)


def _by_log_probs(
    g0: Any, grad: Any, log_probs: Any, targets: Any, input_lengths: Ints, target_lengths: Ints, blank: int
) -> Any:
    steps, n, _ = log_probs.shape
    inside = fb.arange(steps, device=g0.device).unsqueeze(1) < _column(input_lengths, targets).T
    scale = grad.reshape((1, n, 1)) * inside.unsqueeze(2)

    def gradient(x: Any) -> Any:
        loss = _differentiable(x, targets, input_lengths, target_lengths, blank)
        (unseen,) = fb.autograd.grad(loss.sum(), x, create_graph=True)
        return (x.exp() + unseen) * scale

    if not log_probs.numel():
        return fb.zeros_like(log_probs)
    low = log_probs.dtype.itemsize < 4
    x, g = (log_probs.float(), g0.float()) if low else (log_probs, g0)
    (found,) = rederive(gradient, (x,), (True,), (g,))
    return found.to(log_probs.dtype)


def _by_grad(g0: Any, grad: Any, log_probs: Any, targets: Any, loss: Any, alphas: Any, *how: Any) -> Any:
    one = fb.ones_like(grad)
    return (g0 * ctc_loss_backward(one, log_probs, targets, loss, alphas, *how)).sum((0, 2))


@kernel(
    module="nn", method=False, function=False, default=_backward_default,
    vjp={
        "grad": lambda g0, grad, log_probs, targets, loss, alphas, input_lengths, target_lengths, blank: _by_grad(
            g0, grad, log_probs, targets, loss, alphas, input_lengths, target_lengths, blank
        ),
        "log_probs": _by_log_probs,
        "loss": None,
        "alphas": None,
    },
)  # fmt: skip
def ctc_loss_backward(
    grad: Tensor, log_probs: Tensor, targets: Tensor, loss: Tensor, alphas: Tensor, input_lengths: Ints,
    target_lengths: Ints, blank: int,
) -> Any:  # fmt: skip
    """The gradient of `ctc_loss` by the logits under ``log_probs``, which is also one by ``log_probs``.

    It differs from the derivative by ``log_probs`` by a term that log_softmax's gradient takes to zero.
    """
    x: Any = log_probs
    return Call(x.like())
