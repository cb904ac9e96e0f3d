"""Which kernel attention runs on, in PyTorch's terms (``flambeau.nn.attention``)."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flambeau.errors import message

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(enum.IntEnum):
    """PyTorch's kernels of attention. Here a device has one kernel, which never holds the whole matrix of weights."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(backends: SDPBackend | Sequence[SDPBackend], set_priority: bool = False) -> Iterator[None]:
    """Context manager: which kernels attention may choose; there is one, which does what all of PyTorch's do.

    Args:
        backends: one or several.
        set_priority: whether their order counts.

    Raises:
        AssertionError: something else than `SDPBackend`.

    >>> import flambeau as fb
    >>> x = fb.ones(1, 1, 2, 4)
    >>> with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
    ...     y = fb.nn.functional.scaled_dot_product_attention(x, x, x)
    >>> y.shape
    flambeau.Size([1, 1, 2, 4])
    """
    given = [backends] if isinstance(backends, SDPBackend) else backends
    if not isinstance(given, (list, tuple)) or not all(isinstance(b, SDPBackend) for b in given):
        raise AssertionError(
            message(
                "sdpa_kernel",
                "backend must be an instance of SDPBackend or a list of those",
                backends=backends,
            )
        )
    yield
