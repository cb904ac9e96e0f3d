"""Helpers of the tests against PyTorch: move values there and back, compare results and gradients."""

from __future__ import annotations

import pytest

import flambeau as fb

torch = pytest.importorskip("torch")


def ours(value):
    """PyTorch's tensors and dtypes as ours, inside lists and tuples too."""
    if isinstance(value, torch.Tensor):
        dtype = getattr(fb, str(value.dtype).split(".")[-1])
        made = fb.tensor(value.detach().reshape(-1).tolist(), dtype=dtype).reshape(tuple(value.shape))
        return made.requires_grad_(value.requires_grad) if value.requires_grad else made
    if isinstance(value, torch.dtype):
        return getattr(fb, str(value).split(".")[-1])
    if isinstance(value, (list, tuple)) and any(isinstance(v, torch.Tensor) for v in value):
        return type(value)(ours(v) for v in value)
    return value


def theirs(tensor) -> torch.Tensor:
    """Our tensor as PyTorch's."""
    dtype = getattr(torch, str(tensor.dtype).split(".")[-1])
    return torch.tensor(tensor.detach().reshape(-1).tolist(), dtype=dtype).reshape(tuple(tensor.shape))


def assert_same(got, want, rtol: float = 1e-9, atol: float = 1e-11) -> None:
    """Same structure, shapes, dtypes; values within a tolerance."""
    if isinstance(want, (tuple, list)):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            assert_same(g, w, rtol, atol)
    elif isinstance(want, torch.Tensor):
        torch.testing.assert_close(theirs(got), want.detach(), rtol=rtol, atol=atol, equal_nan=True)
    else:
        assert got == want


def first(value):
    """The first tensor of a result."""
    return value[0] if isinstance(value, (tuple, list)) else value


def compare(ours_fn, theirs_fn, args, kwargs=None, rtol: float = 1e-9, atol: float = 1e-11) -> None:
    """Call both on the same values; compare results and the gradients of a weighted sum of the first result."""
    kwargs = kwargs or {}
    their_args = [
        a.clone().requires_grad_(a.is_floating_point()) if isinstance(a, torch.Tensor) else a for a in args
    ]
    our_args = [ours(a) for a in their_args]
    our_kwargs = {k: ours(v) for k, v in kwargs.items()}
    want = theirs_fn(*their_args, **kwargs)
    got = ours_fn(*our_args, **our_kwargs)
    assert_same(got, want, rtol, atol)
    out = first(want)
    if not out.requires_grad:
        return
    weights = torch.linspace(0.5, 1.5, out.numel(), dtype=out.dtype).reshape(out.shape)
    (out * weights).sum().backward()
    (first(got) * ours(weights)).sum().backward()
    for mine, other in zip(our_args, their_args, strict=True):
        if isinstance(other, torch.Tensor) and other.grad is not None:
            assert mine.grad is not None
            assert_same(mine.grad, other.grad, rtol, atol)
