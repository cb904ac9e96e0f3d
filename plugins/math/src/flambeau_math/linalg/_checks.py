"""What linear algebra refuses, with PyTorch's exception types."""

from __future__ import annotations

from typing import Any

import flambeau as fb
from flambeau.plugin import message

__all__ = ["LinAlgError", "as_floats", "fail", "floats", "matrices", "same", "square", "wide_floats"]


class LinAlgError(RuntimeError):
    """A matrix for which there is no such decomposition, inverse or solution; or LAPACK didn't converge."""


def fail(op: str, wrong: str, need: str = "", do: str = "", **got: Any) -> None:
    """Raise RuntimeError.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError(message(op, wrong, need, do, **got))


def floats(op: str, low: bool = False, **tensors: Any) -> None:
    """Take floating-point and complex dtypes that LAPACK has (16-bit ones too if ``low``)."""
    for name, t in tensors.items():
        if t.dtype.rank < 2:
            fail(op, "expected a floating point or complex tensor", "float32, float64, complex64 or complex128",
                 "Convert it with .to(dtype).", **{name: t})  # fmt: skip
        if t.dtype in (fb.float16, fb.bfloat16) and not low:
            fail(op, "low precision dtypes are not supported", "float32, float64, complex64 or complex128",
                 "Convert it with .to(dtype).", **{name: t})  # fmt: skip


wide_floats = floats


def as_floats(t: Any) -> Any:
    """Integers as the default floating-point type."""
    return t.to(fb.get_default_dtype()) if t.dtype.rank < 2 else t


def matrices(op: str, **tensors: Any) -> None:
    """At least two dimensions."""
    for name, t in tensors.items():
        if t.ndim < 2:
            fail(
                op,
                f"the input tensor {name} must have at least 2 dimensions",
                do="Use unsqueeze.",
                **{name: t},
            )


def square(op: str, **tensors: Any) -> None:
    """Stacks of square matrices."""
    matrices(op, **tensors)
    for name, t in tensors.items():
        if t.shape[-1] != t.shape[-2]:
            fail(
                op,
                f"{name} must be batches of square matrices, but they are {t.shape[-2]} by {t.shape[-1]} matrices",
                **{name: t},
            )


def same(op: str, **tensors: Any) -> None:
    """One dtype."""
    if len({t.dtype for t in tensors.values()}) > 1:
        fail(op, "expected operands of one dtype", do="Convert one with .to(dtype).", **tensors)
