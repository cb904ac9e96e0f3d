"""The base class under which type checkers see the methods that records give to tensors (see _methods.pyi)."""

from __future__ import annotations

__all__ = ["TensorMethods"]


class TensorMethods:
    """Nothing at run time: `_tensor.install` puts the methods on the tensor class itself."""

    __slots__ = ()
