"""The extension ``fft``: `flambeau.fft` of ``flambeau-math`` under the standard's signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau as fb
from flambeau import Tensor

_ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
_MANY = ("fftn", "ifftn", "rfftn", "irfftn")
__all__ = [*_ONE, *_MANY, "fftfreq", "fftshift", "ifftshift", "rfftfreq"]  # noqa: PLE0604

_own: Any = fb.fft  # type: ignore[attr-defined]


def _one(name: str) -> Callable[..., Tensor]:
    def fn(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
        made: Tensor = getattr(_own, name)(x, n, axis, norm)
        return made

    return _named(fn, name)


def _many(name: str) -> Callable[..., Tensor]:
    def fn(x: Tensor, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Tensor:
        made: Tensor = getattr(_own, name)(x, s, axes, norm)
        return made

    return _named(fn, name)


def _named(fn: Any, name: str) -> Any:
    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"`flambeau.fft.{name}`, with the standard's arguments."
    return fn


globals().update({n: _one(n) for n in _ONE} | {n: _many(n) for n in _MANY})


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Tensor:
    """The frequencies of `fft` of ``n`` samples at distance ``d``."""
    made: Tensor = _own.fftfreq(n, d, dtype=dtype, device=device)
    return made


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Tensor:
    """The frequencies of `rfft` of ``n`` samples at distance ``d``."""
    made: Tensor = _own.rfftfreq(n, d, dtype=dtype, device=device)
    return made


def fftshift(x: Tensor, /, *, axes: Any = None) -> Tensor:
    """The zero frequency moved to the middle."""
    made: Tensor = _own.fftshift(x, axes)
    return made


def ifftshift(x: Tensor, /, *, axes: Any = None) -> Tensor:
    """The zero frequency moved back to the front."""
    made: Tensor = _own.ifftshift(x, axes)
    return made
