"""PyTorch's switches of libraries: ``flambeau.backends.cudnn``, ``.cuda.matmul``; and questions about absent ones."""

from __future__ import annotations

from . import cuda, cudnn

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]


class _Absent:
    """A library that nothing here is computed with.

    >>> import flambeau as fb
    >>> fb.backends.mps.is_available()
    False
    """

    enabled = False

    def is_available(self) -> bool:
        """Whether it can be used: no."""
        return False

    is_built = is_available


mkl, mkldnn, mps, openmp = _Absent(), _Absent(), _Absent(), _Absent()
