"""How convolutions are computed on GPUs.

Attributes:
    allow_tf32: whether float32 convolutions may round their operands to TensorFloat-32; PyTorch's default, too.
    enabled, benchmark, deterministic: accepted. cuDNN is used where it is installed; its heuristics pick among its
        deterministic algorithms.

>>> import flambeau.backends.cudnn as cudnn
>>> with cudnn.flags(allow_tf32=False):
...     cudnn.allow_tf32
False
>>> cudnn.allow_tf32
True
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["allow_tf32", "benchmark", "deterministic", "enabled", "flags", "is_available", "version"]

enabled = True
benchmark = False
deterministic = False
allow_tf32 = True


def version() -> int | None:
    """cuDNN's version as a number such as 91900, or None where it isn't installed or there is no flambeau-cuda."""
    from .._alias import namespace

    ask = getattr(namespace("cuda"), "cudnn_version", None)
    return None if ask is None else ask()


def is_available() -> bool:
    """Whether cuDNN is installed."""
    return version() is not None


@contextmanager
def flags(
    enabled: bool = False, benchmark: bool = False, deterministic: bool = False, allow_tf32: bool = True
) -> Iterator[None]:
    """Context manager that sets the switches of this module."""
    here = globals()
    given = {
        "enabled": enabled,
        "benchmark": benchmark,
        "deterministic": deterministic,
        "allow_tf32": allow_tf32,
    }
    before = {name: here[name] for name in given}
    here.update(given)
    try:
        yield
    finally:
        here.update(before)
