"""Clipping of gradients, by norm and by value."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from math import inf

import flambeau as fb

__all__ = [
    "clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm",
]  # fmt: skip


def _grads(parameters: fb.Tensor | Iterable[fb.Tensor]) -> list[fb.Tensor]:
    listed = [parameters] if isinstance(parameters, fb.Tensor) else list(parameters)
    return [p.grad for p in listed if p.grad is not None]


def get_total_norm(
    tensors: fb.Tensor | Iterable[fb.Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> fb.Tensor:  # fmt: skip
    """The norm of all tensors as if they were one vector; `foreach` is taken for compatibility.

    >>> get_total_norm([fb.tensor([3.0]), fb.tensor([4.0])]).item()
    5.0
    """
    listed = [tensors] if isinstance(tensors, fb.Tensor) else list(tensors)
    if not listed:
        return fb.tensor(0.0)
    with fb.no_grad():
        norms = [tensor.norm(norm_type).to(listed[0].device) for tensor in listed]
        total = norms[0] if len(norms) == 1 else fb.stack(norms).norm(norm_type)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(
            f"[clip_grad_norm_] the total norm of order {norm_type} for gradients is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "error_if_nonfinite=False."
        )
    return total


def clip_grads_with_norm_(
    parameters: fb.Tensor | Iterable[fb.Tensor],
    max_norm: float,
    total_norm: fb.Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale the gradients by ``max_norm / total_norm`` if that is less than 1."""
    factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    with fb.no_grad():
        for grad in _grads(parameters):
            grad.mul_(factor.to(grad.device))


def clip_grad_norm_(
    parameters: fb.Tensor | Iterable[fb.Tensor], max_norm: float, norm_type: float = 2.0,
    error_if_nonfinite: bool = False, foreach: bool | None = None,
) -> fb.Tensor:  # fmt: skip
    """Scale all gradients together so that their norm is at most `max_norm`.

    Args:
        parameters: tensors whose ``grad`` is clipped in place.
        max_norm: the largest norm.
        norm_type: the order of the norm; ``inf`` is the largest absolute value.
        error_if_nonfinite: raise if the norm is nan or infinite.
        foreach: taken for compatibility.

    Returns:
        The norm before clipping.
    """
    listed = [parameters] if isinstance(parameters, fb.Tensor) else list(parameters)
    total = get_total_norm(_grads(listed), norm_type, error_if_nonfinite, foreach)
    if max_norm != inf:
        clip_grads_with_norm_(listed, max_norm, total, foreach)
    return total


def clip_grad_value_(
    parameters: fb.Tensor | Iterable[fb.Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Clamp every gradient's elements to ``[-clip_value, clip_value]``."""
    bound = float(clip_value)
    with fb.no_grad():
        for grad in _grads(parameters):
            grad.clamp_(-bound, bound)


def clip_grad_norm(
    parameters: fb.Tensor | Iterable[fb.Tensor], max_norm: float, norm_type: float = 2.0,
    error_if_nonfinite: bool = False, foreach: bool | None = None,
) -> fb.Tensor:  # fmt: skip
    """The older name of `clip_grad_norm_`."""
    warnings.warn("[clip_grad_norm] is deprecated in favor of clip_grad_norm_.", FutureWarning, stacklevel=2)
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)
