"""Mathematics for flambeau: linear algebra, Fourier transforms, special functions, windows, masked reductions and
distributions. Each is seen as a namespace of its own: ``flambeau.linalg`` is ``flambeau_math.linalg``, and so on.
"""

from __future__ import annotations

__all__ = ["distributions", "fft", "linalg", "masked", "signal", "special"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return import_module(f"{__name__}.{name}")
