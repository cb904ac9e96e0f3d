"""Short-time Fourier transforms, and the older names of windows.

Source of the inverse: D. Griffin and J. Lim, "Signal estimation from modified short-time Fourier transform" (1984).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau.plugin import message

from .._records import Space
from ..signal import windows

if TYPE_CHECKING:
    from flambeau import Tensor

__all__: list[str] = []

top = Space("")


def _fail(op: str, wrong: str, **got: Any) -> None:
    raise RuntimeError(message(op, wrong, **got))


def _window(op: str, window: Any, win_length: int, n_fft: int, like: Any) -> Any:
    """The window in the middle of a frame; ones by default."""
    real = like.dtype.to_real()
    if window is None:
        window = fb.ones((win_length,), dtype=real, device=like.device)
    left = (n_fft - win_length) // 2
    if win_length == n_fft:
        return window
    return fb.cat([window.new_zeros((left,)), window, window.new_zeros((n_fft - win_length - left,))])


def _padded(x: Any, pad: int, mode: str) -> Any:
    n = x.shape[-1]
    place = fb.arange(-pad, n + pad, device=x.device)
    if mode == "constant":
        zeros = x.new_zeros((*x.shape[:-1], pad))
        return fb.cat([zeros, x, zeros], -1)
    if mode == "reflect":
        if pad >= n:
            _fail("stft", f"Padding size should be less than the corresponding input dimension, but got padding {pad}",
                  input=x)  # fmt: skip
        place = (n - 1) - ((n - 1) - place.abs()).abs()
    elif mode == "replicate":
        place = place.clamp(0, n - 1)
    elif mode == "circular":
        place = place % n
    else:
        raise NotImplementedError(f"[stft] Unrecognised padding mode {mode}.")
    return x.index_select(-1, place)


@top.composite()
def stft(
    self: Tensor, n_fft: int, hop_length: Any = None, win_length: Any = None, window: Any = None, center: bool = True,
    pad_mode: str = "reflect", normalized: bool = False, onesided: Any = None, return_complex: Any = None,
    align_to_window: Any = None,
) -> Any:  # fmt: skip
    """The Fourier transforms of overlapping frames of a signal.

    Args:
        self: [T] or [B, T], real or complex.
        n_fft: the size of a frame.
        hop_length: the distance of frames; n_fft // 4 by default.
        win_length: the size of the window; n_fft by default.
        window: [win_length]; ones by default.
        center: pad both ends, so that frame t is centred at t * hop_length.
        pad_mode: how.
        normalized: divide by the square root of the frame's size.
        onesided: only the half of the spectrum that isn't redundant; by default for real signals.
        return_complex: must be given for real signals; False gives real and imaginary parts in a last dimension.
        align_to_window: accepted with center=False.

    Returns:
        [B, frequencies, frames], complex.

    >>> import flambeau as fb
    >>> fb.stft(fb.ones(16), 8, return_complex=True).shape
    flambeau.Size([5, 9])
    """
    op = "stft"
    if not (self.dtype.is_floating_point or self.dtype.is_complex):
        _fail(op, "expected a tensor of floating point or complex values", input=self)
    if self.ndim not in (1, 2):
        _fail(op, "expected a 1D or 2D tensor", input=self)
    if center and align_to_window is not None:
        _fail(op, "align_to_window should only be set when center = False", align_to_window=align_to_window)
    complex_in = self.dtype.is_complex or (window is not None and window.dtype.is_complex)
    if return_complex is None:
        if not complex_in:
            _fail(op, "stft requires the return_complex parameter be given for real inputs, and will further require "
                  "that return_complex=True", return_complex=None)  # fmt: skip
        return_complex = True
    if not return_complex:
        warnings.warn("stft with return_complex=False is deprecated; use view_as_real on its output.", UserWarning,
                      stacklevel=3)  # fmt: skip
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    x = self.unsqueeze(0) if self.ndim == 1 else self
    if center:
        x = _padded(x, n_fft // 2, pad_mode)
    n = x.shape[1]
    if n_fft <= 0 or n_fft > n:
        _fail(op, f"expected 0 < n_fft <= {n}, but got n_fft={n_fft}", input=self)
    if hop <= 0:
        _fail(op, f"expected hop_length > 0, but got hop_length={hop}")
    if size <= 0 or size > n_fft:
        _fail(op, f"expected 0 < win_length <= n_fft, but got win_length={size}")
    if window is not None and (window.ndim != 1 or window.shape[0] != size):
        _fail(op, f"expected a 1D window tensor of size equal to win_length={size}", window=window)
    framed = x.unfold(-1, n_fft, hop)
    if window is not None or size < n_fft:
        framed = framed * _window(op, window, size, n_fft, x)
    one = not complex_in if onesided is None else onesided
    if one and complex_in:
        _fail(op, "Cannot have onesided output if window or input is complex", input=self)
    norm = "ortho" if normalized else "backward"
    out = (fb.fft.rfft if one else fb.fft.fft)(framed, norm=norm).transpose(1, 2)
    out = out.squeeze(0) if self.ndim == 1 else out
    return out if return_complex else fb.view_as_real(out)


@top.composite()
def istft(
    self: Tensor, n_fft: int, hop_length: Any = None, win_length: Any = None, window: Any = None, center: bool = True,
    normalized: bool = False, onesided: Any = None, length: Any = None, return_complex: bool = False,
) -> Any:  # fmt: skip
    """The signal whose `stft` comes nearest to the one given.

    Args:
        self: [frequencies, frames] or [B, frequencies, frames], complex.
        n_fft, hop_length, win_length, window, center, normalized, onesided: as `stft` had them.
        length: cut or pad the result to this size.
        return_complex: whether the signal is complex.

    >>> import flambeau as fb
    >>> x = fb.arange(16.)
    >>> w = fb.hann_window(8)
    >>> y = fb.istft(fb.stft(x, 8, window=w, return_complex=True), 8, window=w)
    >>> fb.allclose(x, y, atol=1e-5)
    True
    """
    op = "istft"
    if not self.dtype.is_complex:
        _fail(op, "istft requires a complex-valued input tensor matching the output from stft with return_complex=True",
              input=self)  # fmt: skip
    if not self.numel():
        _fail(op, "input tensor cannot be empty", input=self)
    if self.ndim not in (2, 3):
        _fail(op, "expected a tensor with 2 or 3 dimensions", input=self)
    x = self.unsqueeze(0) if self.ndim == 2 else self
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    n_freq, n_frames = x.shape[-2:]
    one = n_freq != n_fft if onesided is None else onesided
    if n_freq != (n_fft // 2 + 1 if one else n_fft):
        _fail(op, f"expected the frequency dimension to match n_fft={n_fft} with onesided={one}", input=self)
    if not 0 < hop <= size:
        _fail(op, f"expected 0 < hop_length <= win_length, but got hop_length={hop}, win_length={size}")
    if not 0 < size <= n_fft:
        _fail(op, f"expected 0 < win_length <= n_fft, but got win_length={size}, n_fft={n_fft}")
    if window is not None and (window.ndim != 1 or window.shape[0] != size):
        _fail(op, f"invalid window tensor: expected a 1D tensor of size win_length={size}", window=window)
    if return_complex and one:
        _fail(op, "cannot have onesided input when returning a complex signal", input=self)
    if not return_complex and window is not None and window.dtype.is_complex:
        _fail(op, "complex windows are incompatible with return_complex=False", window=window)
    w = _window(op, window, size, n_fft, x)
    norm = "ortho" if normalized else "backward"
    frames = x.transpose(1, 2)
    if return_complex:
        y = fb.fft.ifft(frames, norm=norm)
    else:
        y = fb.fft.irfft(frames[..., : n_fft // 2 + 1], n_fft, norm=norm)
    y = y * w.to(y.dtype) if w.dtype is not y.dtype else y * w
    total = n_fft + hop * (n_frames - 1)
    place = (
        fb.arange(n_frames, device=x.device).unsqueeze(1) * hop + fb.arange(n_fft, device=x.device)
    ).reshape((-1,))
    out = y.new_zeros((y.shape[0], total)).index_add(1, place, y.reshape((y.shape[0], -1)))
    power = w * w
    weight = power.new_zeros((total,)).index_add(0, place, power.repeat(n_frames))
    start = n_fft // 2 if center else 0
    end = total - n_fft // 2 if center and length is None else total if length is None else start + length
    stop = min(end, total)
    out, weight = out[:, start:stop], weight[start:stop]
    if not weight.numel() or bool(weight.abs().min() <= 1e-11):
        _fail(op, "window overlap add min: the window doesn't cover the signal (some sums of its squares are 0)",
              window=w)  # fmt: skip
    out = out / weight
    if end > total:
        warnings.warn("istft: the length of the signal is shorter than the length parameter; the result is padded "
                      "with zeros.", UserWarning, stacklevel=3)  # fmt: skip
        out = fb.cat([out, out.new_zeros((out.shape[0], end - total))], 1)
    return out.squeeze(0) if self.ndim == 2 else out


# Windows


def _old(name: str, text: str, make: Any, extra: dict[str, float]) -> None:
    def window(
        window_length: int, periodic: bool = True, first: Any = None, second: Any = None, *, dtype: Any = None,
        layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False, **named: Any,
    ) -> Any:  # fmt: skip
        if window_length < 0:
            _fail(name, f"{name} requires non-negative window_length, got window_length={window_length}")
        dtype = dtype or fb.get_default_dtype()
        if dtype.rank != 2:
            _fail(name, f"{name} expects floating point dtypes", dtype=dtype)
        values = dict(extra)
        for key, v in zip(extra, (first, second), strict=False):
            if v is not None:
                values[key] = v
        for key, v in named.items():
            if key not in values:
                raise TypeError(f"[{name}] got an unexpected keyword argument '{key}'.")
            values[key] = v
        wide = dtype if dtype in (fb.float32, fb.float64) else fb.float32
        made = make(window_length, not periodic, wide, device, **values).to(dtype)
        return made.requires_grad_(requires_grad)

    window.__name__ = name
    window.__doc__ = text
    top.composite(name=name, method=False)(window)


_old("hann_window", "Hann's window; see `flambeau.signal.windows.hann`.",
     lambda n, sym, d, dev: windows.hann(n, sym=sym, dtype=d, device=dev), {})  # fmt: skip
_old("hamming_window", "Hamming's window ``alpha - beta * cos(x)``.",
     lambda n, sym, d, dev, alpha, beta: windows.general_cosine(n, a=[alpha, beta], sym=sym, dtype=d, device=dev),
     {"alpha": 0.54, "beta": 0.46})  # fmt: skip
_old("blackman_window", "Blackman's window; see `flambeau.signal.windows.blackman`.",
     lambda n, sym, d, dev: windows.blackman(n, sym=sym, dtype=d, device=dev), {})  # fmt: skip
_old("bartlett_window", "A triangle; see `flambeau.signal.windows.bartlett`.",
     lambda n, sym, d, dev: windows.bartlett(n, sym=sym, dtype=d, device=dev), {})  # fmt: skip
_old("kaiser_window", "Kaiser's window; see `flambeau.signal.windows.kaiser`.",
     lambda n, sym, d, dev, beta: windows.kaiser(n, beta=beta, sym=sym, dtype=d, device=dev), {"beta": 12.0},
)  # fmt: skip
