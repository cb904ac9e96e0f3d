"""How float32 matrix products are computed on GPUs.

>>> import flambeau as fb
>>> fb.set_float32_matmul_precision("high")
>>> fb.backends.cuda.matmul.allow_tf32
True
>>> fb.backends.cuda.matmul.allow_tf32 = False
>>> fb.get_float32_matmul_precision()
'highest'
"""

from __future__ import annotations

from ..errors import message

__all__ = ["get_float32_matmul_precision", "is_built", "matmul", "set_float32_matmul_precision"]

_PRECISIONS = ("highest", "high", "medium")


class _Matmul:
    """Switches of matrix products.

    Attributes:
        allow_tf32: whether float32 products may round their operands to TensorFloat-32 (10 bits of mantissa).
        precision: the word of `set_float32_matmul_precision`.
        allow_fp16_reduced_precision_reduction, allow_bf16_reduced_precision_reduction: accepted; sums of 16-bit
            products are in float32.
    """

    precision = "highest"
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True

    @property
    def allow_tf32(self) -> bool:
        return self.precision != "highest"

    @allow_tf32.setter
    def allow_tf32(self, allowed: bool) -> None:
        self.precision = "high" if allowed else "highest"


matmul = _Matmul()


def set_float32_matmul_precision(precision: str) -> None:
    """How float32 matrix products are computed on GPUs: ``highest`` (float32), ``high`` or ``medium`` (TensorFloat-32).

    Raises:
        RuntimeError: another word.
    """
    if precision not in _PRECISIONS:
        op, need = "set_float32_matmul_precision", "one of " + ", ".join(_PRECISIONS)
        raise RuntimeError(message(op, "not a precision", need, precision=precision))
    matmul.precision = precision


def get_float32_matmul_precision() -> str:
    """The word of `set_float32_matmul_precision`."""
    return matmul.precision


def is_built() -> bool:
    """Whether flambeau-cuda is installed."""
    from importlib.util import find_spec

    return find_spec("flambeau_cuda") is not None
