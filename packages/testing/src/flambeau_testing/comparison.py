"""`assert_close`, as PyTorch's ``torch.testing`` has it."""

from __future__ import annotations

from typing import Any

import flambeau as fb

__all__ = ["assert_close"]

_DEFAULT = {
    fb.float16: (1e-3, 1e-5), fb.bfloat16: (1.6e-2, 1e-5), fb.float32: (1.3e-6, 1e-5), fb.float64: (1e-7, 1e-7),
    fb.complex64: (1.3e-6, 1e-5), fb.complex128: (1e-7, 1e-7),
}  # fmt: skip


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_dtype: bool = True,
    check_device: bool = True,
    msg: str = "",
) -> None:
    """Check that two tensors (or numbers, or sequences of them) are close.

    Args:
        actual, expected: what to compare.
        rtol, atol: relative and absolute tolerance (default: by dtype, as PyTorch's).
        equal_nan: whether NaN equals NaN.

    Raises:
        AssertionError: they are not; the message says by how much.

    >>> import flambeau as fb
    >>> fb.testing.assert_close(fb.ones(2), fb.ones(2) + 1e-7)
    """
    if isinstance(actual, (list, tuple)) and isinstance(expected, (list, tuple)):
        if len(actual) != len(expected):
            raise AssertionError(
                f"The length of the sequences mismatch: {len(actual)} != {len(expected)}. {msg}"
            )
        for a, b in zip(actual, expected, strict=True):
            assert_close(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=check_dtype, msg=msg)
        return

    a, b = fb.as_tensor(actual), fb.as_tensor(expected)
    if a.shape != b.shape:
        raise AssertionError(
            f"The values for attribute 'shape' do not match: {list(a.shape)} != {list(b.shape)}. {msg}"
        )
    if check_dtype and a.dtype is not b.dtype:
        raise AssertionError(f"The values for attribute 'dtype' do not match: {a.dtype} != {b.dtype}. {msg}")
    if check_device and a.device is not b.device:
        raise AssertionError(
            f"The values for attribute 'device' do not match: {a.device} != {b.device}. {msg}"
        )
    pairs = [_DEFAULT.get(t.dtype, (0.0, 0.0)) for t in (a, b)]
    rtol = max(p[0] for p in pairs) if rtol is None else rtol
    atol = max(p[1] for p in pairs) if atol is None else atol
    common = fb.promote_types(a.dtype, b.dtype)
    a, b = a.detach().to(common), b.detach().to(b.device).to(common)
    close = a.to(b.device).isclose(b, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if not bool(close.all()):
        wide = fb.complex128 if common.is_complex else fb.float64
        gap = (a.to(wide) - b.to(wide)).abs()
        wrong = close.numel() - int(close.sum())
        raise AssertionError(
            f"Tensor-likes are not close! Mismatched elements: {wrong} / {close.numel()}; greatest absolute "
            f"difference: {float(gap.max())} (up to {atol} allowed, relative {rtol}). {msg}"
        )
