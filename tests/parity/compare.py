"""Whether a result of ours is PyTorch's: structure, dtype, shape, values, sharing of memory."""

from __future__ import annotations

from typing import Any

import torch

import flambeau as fb

from .convert import DTYPES, leaves, to_torch

__all__ = ["compared", "difference", "shares"]

#: (rtol, atol) by dtype: those of PyTorch's own tests.
TOLERANCES: dict[Any, tuple[float, float]] = {
    torch.float16: (2e-3, 1e-4),
    torch.bfloat16: (1.6e-2, 1e-4),
    torch.float32: (1.3e-5, 1e-5),
    torch.float64: (1e-7, 1e-7),
    torch.complex64: (1.3e-5, 1e-5),
    torch.complex128: (1e-7, 1e-7),
}


def difference(got: Any, want: Any, values: bool = True, loose: float = 1.0) -> str:
    """What differs, or "". ``values`` False compares dtypes and shapes alone; ``loose`` widens tolerances."""
    if isinstance(want, torch.Tensor):
        if not isinstance(got, fb.Tensor):
            return f"got {type(got).__name__}, PyTorch a tensor"
        return _tensors(got, want, values, loose)
    if isinstance(want, (list, tuple)) and not isinstance(want, torch.Size):
        if not isinstance(got, (list, tuple)) or len(got) != len(want):
            return f"got {type(got).__name__} of {_len(got)}, PyTorch {type(want).__name__} of {len(want)}"
        return next((d for g, w in zip(got, want, strict=True) if (d := difference(g, w, values, loose))), "")
    if isinstance(want, torch.Size):
        return "" if tuple(got) == tuple(want) else f"got {got}, PyTorch {want}"
    if isinstance(want, torch.dtype):
        return "" if got is DTYPES.get(want) else f"got {got}, PyTorch {want}"
    if isinstance(want, (bool, int, float, complex)):
        if type(got) is not type(want):
            return f"got {type(got).__name__}, PyTorch {type(want).__name__}"
        same = (
            not values or got == want or (got != got and want != want) or abs(got - want) <= 1e-6 * abs(want)
        )
        return "" if same else f"got {got}, PyTorch {want}"
    return ""


def _len(v: Any) -> Any:
    return len(v) if isinstance(v, (list, tuple)) else "no length"


def _tensors(got: Any, want: Any, values: bool, loose: float) -> str:
    if DTYPES.get(want.dtype) is not got.dtype:
        return f"dtype {got.dtype.name}, PyTorch {str(want.dtype)[6:]}"
    if tuple(got.shape) != tuple(want.shape):
        return f"shape {list(got.shape)}, PyTorch {list(want.shape)}"
    if not values or not want.numel():
        return ""
    mine, theirs = to_torch(got), want.detach().resolve_conj().resolve_neg()
    if want.dtype in TOLERANCES:
        rtol, atol = TOLERANCES[want.dtype]
        wide = torch.complex128 if want.dtype.is_complex else torch.float64
        mine, theirs = mine.to(wide), theirs.to(wide)
        bad = ~torch.isclose(mine, theirs, rtol=rtol * loose, atol=atol * loose, equal_nan=True)
    else:
        bad = mine != theirs
    n = int(bad.sum())
    if not n:
        return ""
    at = tuple(bad.nonzero()[0].tolist())
    first = f"{mine[at].item()}, PyTorch {theirs[at].item()}"
    return f"{n} of {want.numel()} values differ, first at {list(at)}: {first}"


def shares(outs: Any, ins: Any, kind: Any) -> list[bool]:
    """Which results share memory with some input."""
    if kind is torch.Tensor:
        held = {t.untyped_storage().data_ptr() for t in leaves(ins, kind) if t.numel()}
        return [t.untyped_storage().data_ptr() in held for t in leaves(outs, kind) if t.numel()]
    mine = {id(t.mem) for t in leaves(ins, kind) if t.numel()}
    return [id(t.mem) in mine for t in leaves(outs, kind) if t.numel()]


def compared(sample: Any, out: Any, ours: bool) -> Any:
    """The result made independent of free choices (signs of eigenvectors), as the record says."""
    fn = sample.output_process_fn_grad
    if fn.__code__.co_code == (lambda x: x).__code__.co_code:
        return out
    from .convert import rebuilt

    return (rebuilt(fn) if ours else fn)(out)
