"""Tests of an op of one's own: what `flambeau.op`'s ``check`` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau.ops.custom import quietly
from flambeau.plugin import backend_of, message, new_tensor

if TYPE_CHECKING:
    from flambeau.ops.custom import CustomOp
    from flambeau.plugin import Call

__all__ = ["check_op"]


def check_op(op: CustomOp, values: list[Any], gradients: bool, rtol: float | None) -> None:
    """See `flambeau.ops.custom.CustomOp.check`; ``values`` are all arguments in order."""
    op.check_tensors(values)
    _, tensors, _ = op.read(values)
    call = op.infer(values)
    named = op.attributes(values)
    before = [t.detach().clone() for t in tensors]
    results = {name: run(tensors, call, named) for name, run in _ways(op, values).items()}
    if not results:
        raise AssertionError(
            f"[{op.name}] there is no implementation. Give a composite, a reference or a kernel."
        )
    for t, kept in zip(tensors, before, strict=True):
        _same(op.name, "an operand was changed", t.detach(), kept, 0.0)
    (first, want), *others = results.items()
    for name, got in others:
        for k, (g, w) in enumerate(zip(got, want, strict=True)):
            _same(op.name, f"{name} differs from {first} in result {k}", g, w, rtol)
    turned = [_strided(t) for t in tensors]
    for name, run in _ways(op, values).items():
        for k, (g, w) in enumerate(zip(run(turned, call, named), want, strict=True)):
            _same(
                op.name,
                f"{name} is wrong for operands that are not contiguous, in result {k}",
                g,
                w,
                rtol,
            )
    if gradients and op.vjp:
        _check_gradients(op, values)


def _ways(op: CustomOp, values: list[Any]) -> dict[str, Callable[..., list[Any]]]:
    """The implementations there are for these arguments, by name: functions of (tensors, call, attributes)."""

    def into(write: Callable[..., None]) -> Callable[..., list[Any]]:
        def run(ts: list[Any], call: Call, attrs: dict[str, Any]) -> list[Any]:
            outs = [new_tensor(s) for s in call.specs]
            write(outs, [t.detach() for t in ts], attrs)
            return outs

        return run

    def by_default(ts: list[Any], call: Call, attrs: dict[str, Any]) -> list[Any]:
        made = op.run_default(values, backend_of(ts[0].spec.device))(*[t.detach() for t in ts])
        outs = list(made) if isinstance(made, tuple) else [made]
        for k, (t, s) in enumerate(zip(outs, call.specs, strict=True)):
            if t.spec.shape != s.shape or t.spec.dtype is not s.dtype:
                raise AssertionError(f"[{op.name}] the composite gives {t.spec} as result {k}, not {s}.")
        return outs

    found: dict[str, Callable[..., list[Any]]] = {}
    if op.on_arrays is not None:
        found["the reference"] = into(op.run_on_arrays)
    if op.default is not None:
        found["the composite"] = by_default
    device = next(v.spec.device for v in values if isinstance(v, fb.Tensor))
    if device.type in op.kernels:
        kernel = op.kernels[device.type]
        found[f"the kernel for {device.type}"] = into(quietly(kernel))
    return found


def _check_gradients(op: CustomOp, values: list[Any]) -> None:
    """Compare gradients, and theirs, with finite differences."""
    rules = dict.fromkeys(op.names, op.vjp) if callable(op.vjp) else op.vjp or {}
    wants = {name for name, rule in rules.items() if rule is not None}
    given = [
        v.detach().to(fb.float64).requires_grad_(p.name in wants)
        if isinstance(v, fb.Tensor) and v.is_floating_point()
        else v
        for p, v in zip(op.params, values, strict=True)
    ]
    leaves = [v for v in given if isinstance(v, fb.Tensor) and v.requires_grad]

    def of_leaves(*xs: Any) -> Any:
        at = iter(xs)
        all_ = [next(at) if isinstance(v, fb.Tensor) and v.requires_grad else v for v in given]
        n = op.n_positional
        return op(*all_[:n], **dict(zip(op.names[n:], all_[n:], strict=True)))

    for name, test in (
        ("gradient", fb.autograd.gradcheck),
        ("gradient of its gradient", fb.autograd.gradgradcheck),
    ):
        try:
            test(of_leaves, tuple(leaves))
        except RuntimeError as e:
            raise AssertionError(f"[{op.name}] the {name} is wrong: {e}") from e


def _strided(t: Any) -> Any:
    """The same values behind other strides."""
    wide = t.detach().unsqueeze(-1).expand((*t.spec.shape, 2)).contiguous()
    return wide[..., 0]


def _same(op: str, what: str, got: Any, want: Any, rtol: float | None) -> None:
    loose = rtol if rtol is not None else {2: 1e-3, 4: 1e-5, 8: 1e-9}.get(want.spec.itemsize, 1e-5)
    if got.spec.shape != want.spec.shape or not got.allclose(
        want.to(got.dtype), loose, loose, equal_nan=True
    ):
        raise AssertionError(
            message(op, what, got=got, wanted=want) + f" Values: {got.tolist()} and {want.tolist()}."
        )
