"""Window functions. Every one takes ``sym`` (symmetric, for filters) or not (periodic, for spectra).

Source: F. Harris, "On the use of windows for harmonic analysis with the discrete Fourier transform" (1978).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flambeau as fb
from flambeau.plugin import Op

from .._records import Space

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming", "hann",
    "kaiser", "nuttall",
]  # fmt: skip

windows = Space("signal.windows")


def _check(name: str, M: int, dtype: Any, layout: Any) -> Any:
    """The dtype of the window.

    Raises:
        ValueError: M is negative, or the dtype not float32 or float64.
    """
    if not isinstance(M, int):
        raise TypeError(f"[signal.windows.{name}] M must be an int: got {M!r}.")
    if M < 0:
        raise ValueError(f"[signal.windows.{name}] {name} requires non-negative window length: got M={M}.")
    if layout not in (None, fb.strided):
        raise ValueError(
            f"[signal.windows.{name}] {name} is implemented for strided tensors only: got {layout}."
        )
    dtype = dtype or fb.get_default_dtype()
    if dtype not in (fb.float32, fb.float64):
        raise ValueError(f"[signal.windows.{name}] expects float32 or float64 dtypes: got {dtype}.")
    return dtype


def _empty(M: int, dtype: Any, device: Any, requires_grad: bool) -> Any:
    return fb.empty((0,), dtype=dtype, device=device, requires_grad=requires_grad)


def _points(start: float, stop: float, M: int, dtype: Any, device: Any) -> Any:
    return fb.linspace(start, stop, M, dtype=dtype, device=device)


@windows.composite()
def exponential(
    M: int, *, center: Any = None, tau: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Any:  # fmt: skip
    """exp(-abs(n - center) / tau).

    Args:
        M: how many points.
        center: where the peak is; only for periodic windows. The middle by default.
        tau: the decay.
        sym: symmetric or periodic.

    >>> import flambeau as fb
    >>> fb.signal.windows.exponential(3)
    tensor([0.3679, 1.0000, 0.3679])
    """
    dtype = _check("exponential", M, dtype, layout)
    if tau <= 0:
        raise ValueError(f"[signal.windows.exponential] Tau must be positive: got {tau}.")
    if sym and center is not None:
        raise ValueError("[signal.windows.exponential] Center must be None for symmetric windows.")
    if not M:
        return _empty(M, dtype, device, requires_grad)
    if center is None:
        center = (M if not sym and M > 1 else M - 1) / 2.0
    k = _points(-center / tau, (-center + M - 1) / tau, M, dtype, device)
    return (-k.abs()).exp().requires_grad_(requires_grad)


@windows.composite()
def cosine(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """Half a period of the sine.

    Args:
        M: how many points.
        sym: symmetric or periodic.

    >>> import flambeau as fb
    >>> fb.signal.windows.cosine(3)
    tensor([0.5000, 1.0000, 0.5000])
    """
    dtype = _check("cosine", M, dtype, layout)
    if not M:
        return _empty(M, dtype, device, requires_grad)
    step = math.pi / (M + 1 if not sym and M > 1 else M)
    return _points(0.5 * step, (M - 0.5) * step, M, dtype, device).sin().requires_grad_(requires_grad)


@windows.composite()
def gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """The bell of a normal density with its peak at 1.

    Args:
        M: how many points.
        std: the deviation, in points.
        sym: symmetric or periodic.

    >>> import flambeau as fb
    >>> fb.signal.windows.gaussian(3)
    tensor([0.6065, 1.0000, 0.6065])
    """
    dtype = _check("gaussian", M, dtype, layout)
    if std <= 0:
        raise ValueError(f"[signal.windows.gaussian] Standard deviation must be positive: got {std}.")
    if not M:
        return _empty(M, dtype, device, requires_grad)
    start = -(M if not sym and M > 1 else M - 1) / 2.0
    step = 1 / (std * math.sqrt(2))
    k = _points(start * step, (start + M - 1) * step, M, dtype, device)
    return (-(k * k)).exp().requires_grad_(requires_grad)


@windows.composite()
def kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """Kaiser's window: a ratio of modified Bessel functions.

    Args:
        M: how many points.
        beta: its shape; 0 is a rectangle.
        sym: symmetric or periodic.

    >>> import flambeau as fb
    >>> fb.signal.windows.kaiser(3, beta=0.)
    tensor([1., 1., 1.])
    """
    dtype = _check("kaiser", M, dtype, layout)
    if beta < 0:
        raise ValueError(f"[signal.windows.kaiser] beta must be non-negative: got {beta}.")
    if not M:
        return _empty(M, dtype, device, requires_grad)
    if M == 1:
        return fb.ones((1,), dtype=dtype, device=device, requires_grad=requires_grad)
    step = 2.0 * beta / (M if not sym else M - 1)
    k = _points(-beta, min(beta, -beta + (M - 1) * step), M, dtype, device)
    inside = (beta * beta - k * k).clamp_min(0).sqrt()
    top = fb.tensor(float(beta), dtype=dtype, device=device)
    return (fb.special.i0(inside) / fb.special.i0(top)).requires_grad_(requires_grad)


@windows.composite()
def general_cosine(
    M: int, *, a: Sequence[float], sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """The sum of ``(-1)**i * a[i] * cos(i * x)`` over one period.

    Args:
        M: how many points.
        a: the coefficients.
        sym: symmetric or periodic.

    >>> import flambeau as fb
    >>> fb.signal.windows.general_cosine(3, a=[0.5, 0.5])
    tensor([0., 1., 0.])
    """
    dtype = _check("general_cosine", M, dtype, layout)
    if not isinstance(a, (list, tuple)):
        raise TypeError(
            f"[signal.windows.general_cosine] Coefficients must be a list or tuple: got {type(a).__name__}."
        )
    if not a:
        raise ValueError("[signal.windows.general_cosine] Coefficients cannot be empty: got none.")
    if not M:
        return _empty(M, dtype, device, requires_grad)
    if M == 1:
        return fb.ones((1,), dtype=dtype, device=device, requires_grad=requires_grad)
    step = 2 * math.pi / (M if not sym else M - 1)
    k = _points(0, (M - 1) * step, M, dtype, device)
    total: Any = 0
    for i, c in enumerate(a):
        total = total + (k * i).cos() * ((-1) ** i * c)
    return total.requires_grad_(requires_grad)


@windows.composite()
def general_hamming(
    M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """``alpha - (1 - alpha) * cos(x)`` over one period.

    Args:
        M: how many points.
        alpha: the coefficient.
        sym: symmetric or periodic.

    >>> import flambeau as fb
    >>> fb.signal.windows.general_hamming(3, alpha=0.5)
    tensor([0., 1., 0.])
    """
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, dtype=dtype, layout=layout, device=device,
                          requires_grad=requires_grad)  # fmt: skip


def _named(name: str, text: str, coefficients: Sequence[float]) -> Op:
    def fn(
        M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False,
    ) -> Any:  # fmt: skip
        _check(name, M, dtype, layout)
        return general_cosine(M, a=list(coefficients), sym=sym, dtype=dtype, layout=layout, device=device,
                              requires_grad=requires_grad)  # fmt: skip

    fn.__name__ = name
    fn.__doc__ = f"""{text}

    Args:
        M: how many points.
        sym: symmetric or periodic.
    """
    return windows.composite()(fn)


hamming = _named("hamming", "Hamming's window: 0.54 - 0.46 cos(x).", (0.54, 0.46))
hann = _named("hann", "Hann's window: 0.5 - 0.5 cos(x).", (0.5, 0.5))
blackman = _named("blackman", "Blackman's window: 0.42 - 0.5 cos(x) + 0.08 cos(2x).", (0.42, 0.5, 0.08))
nuttall = _named("nuttall", "Nuttall's window of four terms.", (0.3635819, 0.4891775, 0.1365995, 0.0106411))


@windows.composite()
def bartlett(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """A triangle.

    Args:
        M: how many points.
        sym: symmetric or periodic.

    >>> import flambeau as fb
    >>> fb.signal.windows.bartlett(3)
    tensor([0., 1., 0.])
    """
    dtype = _check("bartlett", M, dtype, layout)
    if not M:
        return _empty(M, dtype, device, requires_grad)
    if M == 1:
        return fb.ones((1,), dtype=dtype, device=device, requires_grad=requires_grad)
    step = 2 / (M if not sym else M - 1)
    k = _points(-1, -1 + (M - 1) * step, M, dtype, device)
    return (1 - k.abs()).requires_grad_(requires_grad)
