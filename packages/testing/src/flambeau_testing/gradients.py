"""Comparison of gradients with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau as fb

__all__ = ["gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """Analytical and numerical gradients differ."""


def _listed(v: Any) -> list[Any]:
    return list(v) if isinstance(v, (list, tuple)) else [v]


def _numerical(
    fn: Callable[..., Any], inputs: list[Any], which: Any, out_nr: int, weight: Any, eps: float
) -> list[complex]:
    """The derivative of sum(real(conj(weight) * out)) by each element, by central differences."""

    flat_grads: list[complex] = []
    with fb.no_grad():
        data = which.detach()
        flat = data.reshape(-1) if data.spec.dense else None
        for k in range(which.numel()):
            parts = []
            for step in (eps, eps * 1j) if which.is_complex() else (eps,):
                values = []
                for sign in (1, -1):
                    index = _unravel(k, which.shape)
                    target = flat[k] if flat is not None else data[index]
                    kept = target.clone()
                    target.add_(sign * step)
                    out = _listed(fn(*inputs))[out_nr]
                    pairing = weight.conj() * out if out.is_complex() else weight * out
                    values.append(complex(pairing.sum().item()).real)
                    target.copy_(kept)  # not before: the result may be a view
                parts.append((values[0] - values[1]) / (2 * eps))
            flat_grads.append(complex(parts[0], parts[1] if len(parts) > 1 else 0.0))
    return flat_grads


def _unravel(k: int, shape: Any) -> tuple[int, ...]:
    index = []
    for n in reversed(shape):
        index.append(k % n)
        k //= n
    return tuple(reversed(index))


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    fast_mode: bool = False,
) -> bool:
    """Compare the gradients of a function with central differences, for every element of every input.

    Args:
        func: takes the inputs, returns a tensor or several.
        inputs: tensors; those that require grad (of float64 or complex128) are checked.
        eps: the step.
        atol, rtol: tolerances.
        raise_exception: raise rather than return False.

    Raises:
        GradcheckError: they differ.

    >>> import flambeau as fb
    >>> fb.autograd.gradcheck(fb.sin, fb.ones(3, dtype=fb.float64, requires_grad=True))
    True
    """

    args = _listed(inputs)
    checked = [a for a in args if hasattr(a, "spec") and a.rg]
    if not checked:
        raise ValueError(
            "[gradcheck] gradcheck expects at least one input tensor to require gradient: got none."
        )
    outs = [o for o in _listed(func(*args)) if o.is_floating_point() or o.is_complex()]
    # All gradients first: taking differences writes to the inputs.
    found = []
    for nr, o in enumerate(outs):
        if not o.rg:
            continue
        real = o.dtype.to_real()
        ramp = fb.arange(1, o.numel() + 1, dtype=real, device=o.device).reshape(o.shape)
        weight = (ramp * 0.7311).sin() + 1.5
        if o.is_complex():
            weight = weight + 1j * (ramp * 1.37).cos()
        found.append((nr, weight, fb.autograd.grad(o, checked, weight, retain_graph=True, allow_unused=True)))
    for nr, weight, analytical in found:
        for k, (x, g) in enumerate(zip(checked, analytical, strict=True)):
            expected = _numerical(lambda *a: outs_of(func, a), args, x, nr, weight, eps)
            got = [0j] * x.numel() if g is None else [complex(v) for v in _flat(g)]
            for e, (a, n) in enumerate(zip(got, expected, strict=True)):
                if not abs(a - n) <= atol + rtol * abs(n):
                    if not raise_exception:
                        return False
                    raise GradcheckError(
                        f"[gradcheck] Jacobian mismatch for output {nr} with respect to input {k}, element {e}: "
                        f"numerical {n if x.is_complex() else n.real}, analytical {a if x.is_complex() else a.real}."
                    )
    return True


def outs_of(func: Callable[..., Any], args: tuple[Any, ...]) -> list[Any]:
    """The differentiable outputs of a call."""
    return [o for o in _listed(func(*args)) if o.is_floating_point() or o.is_complex()]


def _flat(t: Any) -> list[Any]:
    return t.detach().reshape(-1).tolist()  # type: ignore[no-any-return]


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    fast_mode: bool = False,
) -> bool:
    """`gradcheck` of the gradients: compares second derivatives with differences of first ones."""

    args = _listed(inputs)
    outs = [o for o in outs_of(func, tuple(args)) if o.rg]
    if grad_outputs is None:
        grad_outputs = [
            (
                (fb.arange(o.numel(), dtype=o.dtype.to_real(), device=o.device).reshape(o.shape) * 0.9).cos()
                + 1.2
            )
            .to(o.dtype)
            .requires_grad_()
            for o in outs
        ]
    weights = _listed(grad_outputs)
    n = len(args)

    def first(*both: Any) -> Any:
        xs = [a for a in both[:n] if hasattr(a, "spec") and a.rg]
        ys = [o for o in outs_of(func, both[:n]) if o.rg]

        with fb.enable_grad():
            ys = [o for o in outs_of(func, both[:n]) if o.rg]
            found = fb.autograd.grad(ys, xs, list(both[n:]), create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(first, [*args, *weights], eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)
