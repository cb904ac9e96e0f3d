"""The sample calls of the conformance suite against PyTorch: values, dtypes, shapes, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.testing.samples import Target, targets
from flambeau.testing.values import build, mapped, tensors_in

torch: Any = pytest.importorskip("torch")

#: Where we differ from PyTorch on purpose, and why.
DIFFERENCES: dict[str, str] = {
    **dict.fromkeys(
        (
            "int64-sort",
            "int64-argsort",
            "int64-topk",
            "int64-kthvalue",
            "int64-median",
            "bool-sort",
            "bool-argsort",
        ),
        "ties: ours are in order, PyTorch's are not",
    ),
    **dict.fromkeys(
        ("complex128-logsumexp", "complex128-logcumsumexp", "complex128-exp2", "complex128-expm1"),
        "not for complex numbers yet",
    ),
    "float64-unique": "PyTorch has no gradient to compare with",
    **dict.fromkeys(
        ("float64-vander", "complex128-vander"), "PyTorch's backward fails: it writes to what it has saved"
    ),
    **dict.fromkeys(("bool-linspace", "bool-logspace"), "PyTorch takes bool where there is nothing to make"),
    **dict.fromkeys(("float64-floor_divide", "float64-slogdet"), "PyTorch has no gradient; ours is zero"),
    **dict.fromkeys(
        ("int64-softmax", "int64-log_softmax", "bool-softmax", "bool-log_softmax"),
        "PyTorch takes integers where there are no elements",
    ),
}


def their_function(target: Target) -> Any:
    name = target.op.exports[0] if target.op is not None else target.name
    if name != target.name or (target.op is not None and target.op.module):
        return None
    return getattr(torch, name, None) or getattr(torch.Tensor, name, None)


TARGETS = [t for t in targets() if their_function(t) is not None]


def theirs(t: fb.Tensor) -> Any:
    made = torch.from_numpy(t.detach().resolve_conj().numpy().copy())
    return made.requires_grad_() if t.requires_grad else made


def flat(found: Any) -> list[Any]:
    """PyTorch's tensors in a result."""
    if isinstance(found, (tuple, list)):
        return [t for part in found for t in flat(part)]
    return [found] if isinstance(found, torch.Tensor) else []


def same(got: Any, want: Any, what: str) -> None:
    a = tensors_in(got)
    b = flat(want)
    assert len(a) == len(b), what
    if not a:
        assert got == want, what
    for x, y in zip(a, b, strict=True):
        assert str(x.dtype).removeprefix("flambeau.") == str(y.dtype).removeprefix("torch."), what
        assert tuple(x.shape) == tuple(y.shape), what
        close = (1e-7, 1e-9) if x.itemsize > 4 else (2e-6, 2e-6)
        theirs = y.detach().resolve_conj().numpy()
        np.testing.assert_allclose(
            x.detach().resolve_conj().numpy(), theirs, rtol=close[0], atol=close[1], err_msg=what
        )


@pytest.mark.parity
@pytest.mark.filterwarnings(
    "ignore:.*is deprecated in favor of:UserWarning", "ignore:A window was not:UserWarning"
)
@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("dtype", ["float64", "int64", "bool", "complex128"])
def test_same_as_pytorch(target: Target, dtype: str) -> None:
    if f"{dtype}-{target.name}" in DIFFERENCES:
        pytest.skip(DIFFERENCES[f"{dtype}-{target.name}"])
    for sample in target.samples:
        seed = f"{target.name}{sample!r}"
        kind = getattr(fb, dtype)
        args = build(list(sample.args), kind, "cpu", seed, "dense", sample.grad)
        kwargs = {k: build(v, kind, "cpu", seed + k, "dense", sample.grad) for k, v in sample.kwargs.items()}
        what = f"{seed} {dtype}"
        if not tensors_in([args, kwargs]):
            kwargs["dtype"] = kind
        other = [mapped(args, theirs), mapped(kwargs, theirs)]
        if "dtype" in kwargs:
            other[1]["dtype"] = getattr(torch, dtype)
        try:
            want = their_function(target)(*other[0], **other[1])
        except (RuntimeError, TypeError, IndexError, NotImplementedError):
            continue  # what PyTorch refuses is compared by the tests of errors
        got = target.call(*args, **kwargs)
        same(got, want, what)
        leaves = [t for t in tensors_in([args, kwargs]) if t.requires_grad]
        outs = [t for t in tensors_in(got) if t.requires_grad]
        if not leaves or not outs or not sample.grad:
            continue
        loss = outs[0]
        their_outs = [t for t in (want if isinstance(want, (tuple, list)) else [want]) if t.requires_grad]
        (loss.abs() * 1.5).sum().backward()
        (their_outs[0].abs() * 1.5).sum().backward()
        flat = [t for a in other for t in _flatten(a) if t.requires_grad]
        for x, y in zip(leaves, flat, strict=True):
            assert (x.grad is None) == (y.grad is None), what
            if x.grad is not None:
                np.testing.assert_allclose(
                    x.grad.resolve_conj().numpy(),
                    y.grad.numpy(force=True),
                    rtol=1e-6,
                    atol=1e-8,
                    err_msg=what,
                )


def _flatten(value: Any) -> list[Any]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in _flatten(v)] if isinstance(value, (list, tuple)) else []
