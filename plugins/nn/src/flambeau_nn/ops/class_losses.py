"""Losses over classes: cross entropy of logits, and the negative log-likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau import bfloat16, float16, float32, int64, log_softmax
from flambeau.plugin import Call, Spec, kernel, message, only_float

from .losses import reduced
from .rederive import rederive
from .windows import widened

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["cross_entropy", "nll_loss"]


def _class_dim(x: Any) -> int:
    return 1 if x.ndim > 1 else 0


def _call(op: str, x: Spec, target: Spec, weight: Spec | None, reduction: str, with_lse: bool) -> Call:
    only_float(op, x.dtype)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(
            f"[{op}] {reduction!r} is not a valid value for reduction: needed: none, mean or sum."
        )
    if not x.ndim:
        raise ValueError(
            message(op, "expected 1 or more dimensions", "input (C), (N, C) or (N, C, *)", input=x)
        )
    need = () if x.ndim == 1 else (x.shape[0], *x.shape[2:])
    if tuple(target.shape) != need:
        if target.ndim and x.ndim > 1 and target.shape[0] != x.shape[0]:
            raise ValueError(
                message(
                    op,
                    f"Expected input batch_size ({x.shape[0]}) to match target batch_size ({target.shape[0]})",
                    f"a target of shape {list(need)}",
                    input=x,
                    target=target,
                )
            )
        raise RuntimeError(
            message(op, "the target's size doesn't fit", f"{list(need)}", input=x, target=target)
        )
    n = x.shape[_class_dim(x)]
    if weight is not None and (tuple(weight.shape) != (n,) or weight.dtype is not x.dtype):
        raise RuntimeError(
            message(
                op,
                f"weight tensor should be defined either for all {n} classes or no classes, with the input's dtype",
                input=x,
                weight=weight,
            )
        )
    wide = x.like(float32 if x.dtype in (float16, bfloat16) else x.dtype, ())
    loss = x.like(shape=need if reduction == "none" else ())
    total = wide.like()
    return Call((loss, wide.like(shape=need), total) if with_lse else (loss, total))


def _selected(op: str, target: Any, weight: Any, ignore_index: int, n: int) -> tuple[Any, Any, Any]:
    """Classes with the ignored ones replaced by 0, which of them count, and the weight of each.

    Raises:
        IndexError: a class is out of range.
    """
    counts = target != ignore_index
    bad = ((target < 0) | (target >= n)) & counts
    if bool(bad.any()):
        first = target.reshape((-1,)).gather(0, bad.to(int64).reshape((-1,)).argmax(0, True)).item()
        raise IndexError(
            message(
                op,
                f"Target {first} is out of bounds",
                f"classes 0..{n - 1}, or the ignore_index",
                target=target,
            )
        )
    classes = target * counts
    if weight is None:
        return classes, counts, None
    return classes, counts, _of_each(weight, classes) * counts


def _of_each(weight: Any, classes: Any) -> Any:
    """The weights of classes."""
    return widened(weight).gather(0, classes.reshape((-1,))).reshape(classes.shape)


def _weights(counts: Any, weights: Any, like: Any) -> Any:
    return counts.to(like.dtype) if weights is None else weights


def _finish(loss: Any, total: Any, reduction: str, like: Any) -> Any:
    if reduction == "mean":
        loss = loss.sum() / total
    elif reduction == "sum":
        loss = loss.sum()
    return loss.to(like.dtype)


# Cross entropy of logits


def _spread_part(weight: Any, x: Any, dim: int) -> tuple[Any, Any]:
    """What label smoothing gives each class, shaped to broadcast, and the sum of it."""
    n = x.shape[dim]
    if weight is None:
        return 1, n
    w = widened(weight)
    return w.reshape((n, *[1] * (x.ndim - 1 - dim))), w.sum()


def _cross_entropy_default(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float
) -> Any:
    x, dim = widened(input), _class_dim(input)
    n = x.shape[dim]
    classes, counts, weights = _selected("cross_entropy", target, weight, ignore_index, n)
    lse = x.logsumexp(dim)
    loss = lse - x.gather(dim, classes.unsqueeze(dim)).squeeze(dim)
    w = _weights(counts, weights, x)
    loss = loss * w
    if label_smoothing:
        per_class, _ = _spread_part(weight, x, dim)
        smooth = ((lse.unsqueeze(dim) - x) * per_class).sum(dim) * counts
        loss = loss * (1 - label_smoothing) + smooth * (label_smoothing / max(n, 1))
    # What is ignored counts 0 even where the logits are infinite.
    loss = loss.masked_fill(~counts, 0)
    total = w.sum()
    return _finish(loss, total, reduction, input), lse, total


def _coefficients(g: Any, total: Any, reduction: str) -> Any:
    g = widened(g)
    return g / total if reduction == "mean" else g


def _cross_entropy_gradient(
    g: Any,
    x: Any,
    target: Any,
    weight: Any,
    lse: Any,
    total: Any,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Any:
    """``lse`` None: taken again, so that what is recorded goes through it."""
    dtype, dim = x.dtype, _class_dim(x)
    x = widened(x)
    n = x.shape[dim]
    counts = target != ignore_index
    classes = target * counts
    w = counts.to(x.dtype) if weight is None else _of_each(weight, classes) * counts
    p = (x - (x.logsumexp(dim) if lse is None else lse).unsqueeze(dim)).exp()
    sharp = w * (1 - label_smoothing)
    # The distribution that the softmax should have been, times weights, and its sum.
    wanted = x.new_zeros(x.shape).scatter(dim, classes.unsqueeze(dim), sharp.unsqueeze(dim))
    mass = sharp
    if label_smoothing:
        per_class, sum_of_classes = _spread_part(weight, x, dim)
        part = counts.to(x.dtype) * (label_smoothing / max(n, 1))
        wanted = wanted + part.unsqueeze(dim) * per_class
        mass = mass + part * sum_of_classes
    scale = _coefficients(g, total, reduction)
    gx = (p * mass.unsqueeze(dim) - wanted) * (scale.unsqueeze(dim) if reduction == "none" else scale)
    return gx.masked_fill(~counts.unsqueeze(dim), 0).to(dtype)


def _cross_entropy_rule(
    g0: Any,
    input: Any,
    target: Any,
    weight: Any,
    out1: Any,
    out2: Any,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Any:
    return cross_entropy_backward(
        g0, input, target, weight, out1, out2, ignore_index, reduction, label_smoothing
    )


@kernel(
    batch="flambeau_nn.ops.batching:class_loss",
    name="cross_entropy", module="nn", method=False, function=False, nondiff=(1, 2), default=_cross_entropy_default,
    vjp={"input": _cross_entropy_rule},
)  # fmt: skip
def class_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Any:
    """The cross entropy of logits with classes; also log of the sum of exponentials, and the sum of weights."""
    return _call("cross_entropy", input, target, weight, reduction, True)  # type: ignore[arg-type]


@kernel(
    module="nn", method=False, function=False, default=_cross_entropy_gradient,
    vjp=lambda gs, grad, input, target, weight, total, ignore_index, reduction, label_smoothing, needs: _second(
        lambda g, x: _cross_entropy_gradient(
            g, x, target, weight, None, total, ignore_index, reduction, label_smoothing
        ),
        gs, grad, input, needs,
    ),
)  # fmt: skip
def cross_entropy_backward(
    grad: Tensor, input: Tensor, target: Tensor, weight: Tensor | None, lse: Tensor, total: Tensor, ignore_index: int,
    reduction: str, label_smoothing: float,
) -> Any:  # fmt: skip
    """The gradient of `cross_entropy` by the logits."""
    x: Any = input
    return Call(x.like())


def _second(fn: Any, gs: Any, grad: Any, x: Any, needs: tuple[bool, ...]) -> list[Any]:
    return [*rederive(fn, (grad, x), needs[:2], gs), *[None] * (len(needs) - 2)]


def _cross_entropy_of_distributions(
    x: Any, target: Any, weight: Any, reduction: str, label_smoothing: float
) -> Any:
    dim = _class_dim(x)
    if not target.is_floating_point() or target.shape != x.shape:
        raise RuntimeError(
            message(
                "cross_entropy",
                "Expected floating point type for target with class probabilities, of the input's shape",
                input=x,
                target=target,
            )
        )
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / max(x.shape[dim], 1)
    logp = log_softmax(x, dim)
    if weight is not None:
        logp = logp * weight.reshape((-1, *[1] * (x.ndim - 1 - dim)))
    loss = -(logp * target).sum(dim)
    if reduction == "mean" and x.ndim > 1:
        return loss.sum() / (x.numel() // max(x.shape[dim], 1))
    return reduced("cross_entropy", loss, reduction)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """The cross entropy of logits with classes, or with distributions over classes.

    Args:
        input: logits (C), (N, C) or (N, C, *).
        target: classes without the dimension C, or probabilities of the input's shape.
        weight: a factor for each class.
        ignore_index: a class that doesn't count.
        reduction: none, mean (weighted) or sum.
        label_smoothing: the part of the target that is spread over all classes.
    """
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(
            f"[cross_entropy] label_smoothing must be between 0.0 and 1.0: got {label_smoothing}."
        )
    if target.spec.shape == input.spec.shape and target.spec.dtype.rank > 1:
        return _cross_entropy_of_distributions(input, target, weight, reduction, label_smoothing)
    return class_cross_entropy(
        input, _classes("cross_entropy", target), weight, ignore_index, reduction, float(label_smoothing)
    )[0]


def _classes(op: str, target: Any) -> Any:
    d = target.spec.dtype
    if d is int64:
        return target
    if d.rank != 1:
        raise RuntimeError(
            message(op, "expected scalar type Long", "int64 classes", "Use target.long().", target=target)
        )
    return target.to(int64)


# Log-likelihood


def _nll_default(input: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    x, dim = widened(input), _class_dim(input)
    classes, counts, weights = _selected("nll_loss", target, weight, ignore_index, x.shape[dim])
    w = _weights(counts, weights, x)
    loss = (-x.gather(dim, classes.unsqueeze(dim)).squeeze(dim) * w).masked_fill(~counts, 0)
    total = w.sum()
    return _finish(loss, total, reduction, input), total


def _nll_gradient(
    grad: Any, target: Any, weight: Any, total: Any, classes: int, ignore_index: int, reduction: str
) -> Any:
    dim = 1 if target.ndim else 0
    counts = target != ignore_index
    at = target * counts
    w = counts.to(total.dtype) if weight is None else _of_each(weight, at) * counts
    values = (-_coefficients(grad, total, reduction) * w).masked_fill(~counts, 0).to(grad.dtype)
    shape = (*target.shape[:dim], classes, *target.shape[dim:])
    return grad.new_zeros(shape).scatter(dim, at.unsqueeze(dim), values.unsqueeze(dim))


def _nll_second(g: Any, target: Any, weight: Any, total: Any, ignore_index: int, reduction: str) -> Any:
    """The gradient is linear in the incoming one."""
    loss = nll(g, target, weight, ignore_index, "none" if reduction == "none" else "sum")[0]
    return loss / total.to(loss.dtype) if reduction == "mean" else loss


def _nll_rule(
    g0: Any, input_spec: Spec, target: Any, weight: Any, out1: Any, ignore_index: int, reduction: str
) -> Any:
    classes = input_spec.shape[_class_dim(input_spec)]
    return nll_loss_backward(g0, target, weight, out1, classes, ignore_index, reduction)


@kernel(
    batch="flambeau_nn.ops.batching:class_loss",
    name="nll_loss", module="nn", method=False, function=False, nondiff=(1,), default=_nll_default,
    vjp={"input": _nll_rule},
)  # fmt: skip
def nll(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str) -> Any:
    """Minus the log-probability of classes; also the sum of weights."""
    return _call("nll_loss", input, target, weight, reduction, False)  # type: ignore[arg-type]


@kernel(
    module="nn", method=False, function=False, default=_nll_gradient,
    vjp={
        "grad": lambda g0, target, weight, total, ignore_index, reduction: _nll_second(
            g0, target, weight, total, ignore_index, reduction
        )
    },
)  # fmt: skip
def nll_loss_backward(
    grad: Tensor,
    target: Tensor,
    weight: Tensor | None,
    total: Tensor,
    classes: int,
    ignore_index: int,
    reduction: str,
) -> Any:
    """The gradient of `nll_loss` by the log-probabilities."""
    g: Any = grad
    t: Any = target
    dim = 1 if t.ndim else 0
    return Call(g.like(shape=(*t.shape[:dim], classes, *t.shape[dim:])))


def nll_loss(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """Minus the log-probability of the target class; the arguments are those of `cross_entropy`."""
    return nll(input, _classes("nll_loss", target), weight, ignore_index, reduction)[0]
