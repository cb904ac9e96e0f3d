"""The extension ``fft``: `flambeau.fft` of ``flambeau-math`` under the standard's signatures."""

from __future__ import annotations

from typing import Any

import flambeau as fb
from flambeau import Tensor

_ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
_MANY = ("fftn", "ifftn", "rfftn", "irfftn")
__all__ = [*_ONE, *_MANY, "fftfreq", "fftshift", "ifftshift", "rfftfreq"]

_own: Any = fb.fft


def _one(name: str) -> Any:
    def fn(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
        return getattr(_own, name)(x, n, axis, norm)

    return _named(fn, name)


def _many(name: str) -> Any:
    def fn(x: Tensor, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Any:
        return getattr(_own, name)(x, s, axes, norm)

    return _named(fn, name)


def _named(fn: Any, name: str) -> Any:
    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"`flambeau.fft.{name}`, with the standard's arguments."
    return fn


globals().update({n: _one(n) for n in _ONE} | {n: _many(n) for n in _MANY})


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of `fft` of ``n`` samples at distance ``d``."""
    return _own.fftfreq(n, d, dtype=dtype, device=device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of `rfft` of ``n`` samples at distance ``d``."""
    return _own.rfftfreq(n, d, dtype=dtype, device=device)


def fftshift(x: Tensor, /, *, axes: Any = None) -> Any:
    """The zero frequency moved to the middle."""
    return _own.fftshift(x, axes)


def ifftshift(x: Tensor, /, *, axes: Any = None) -> Any:
    """The zero frequency moved back to the front."""
    return _own.ifftshift(x, axes)
