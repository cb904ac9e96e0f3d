"""softmax and log_softmax, cross-entropy and negative log likelihood, with their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._C import ffi, lib
from .kernels_plan import run

_REDUCTION = {"none": 0, "mean": 1, "sum": 2}
Attrs = dict[str, Any]


def _softmax(op: str, log: int) -> Any:
    def kernel(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        nd = len(outs[0].spec.shape)
        run(op, (outs[0], *ins), (attrs["dim"] % nd if nd else 0, log))

    return kernel


def _loss(op: str, tensors: Sequence[Any], target: Any, attrs: Attrs, name: str, classes: int) -> None:
    reduction = attrs.get("reduction", "mean")
    ints = (
        attrs.get("ignore_index", -100),
        reduction if isinstance(reduction, int) else _REDUCTION[reduction],
    )
    code = run(op, tensors, ints, (float(attrs.get("label_smoothing", 0.0)),))
    if code < 0:
        flat = lib.FBK_EINDEX - code
        position: list[int] = []
        for size in reversed(target.spec.shape):
            position.insert(0, flat % size)
            flat //= size
        offset = sum(i * s for i, s in zip(position, target.spec.strides, strict=True))
        kind = "int32_t *" if target.spec.dtype.name == "int32" else "int64_t *"
        value = int(ffi.cast(kind, target.ptr)[offset])
        raise IndexError(
            f"[{name}] target out of bounds: class {value} at position {position}, the input has {classes} classes. "
            f"Use classes 0..{classes - 1}, or the ignore_index."
        )


def _classes(t: Any) -> int:
    shape = t.spec.shape
    return int(shape[1] if len(shape) > 1 else shape[0])


def _cross_entropy(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    logits, target, weight = (*ins, None)[:3]
    _loss("cross_entropy", (*outs, logits, target, weight), target, attrs, "cross_entropy", _classes(logits))


def _cross_entropy_backward(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    _loss("cross_entropy_bwd", (outs[0], *ins), ins[2], attrs, "cross_entropy", _classes(ins[1]))


def _nll_loss(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    logp, target, weight = (*ins, None)[:3]
    loss, total = outs
    _loss("nll", (loss, None, total, logp, target, weight), target, attrs, "nll_loss", _classes(logp))


def _nll_loss_backward(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
    g, target, weight, total = ins
    _loss(
        "nll_bwd",
        (outs[0], g, None, target, weight, None, total),
        target,
        attrs,
        "nll_loss",
        _classes(outs[0]),
    )


KERNELS = {
    "softmax": _softmax("softmax", 0),
    "log_softmax": _softmax("softmax", 1),
    "softmax_backward": _softmax("softmax_bwd", 0),
    "log_softmax_backward": _softmax("softmax_bwd", 1),
    "cross_entropy": _cross_entropy,
    "cross_entropy_backward": _cross_entropy_backward,
    "nll_loss": _nll_loss,
    "nll_loss_backward": _nll_loss_backward,
}
