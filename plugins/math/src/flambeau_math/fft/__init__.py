"""Discrete Fourier transforms, with the names of ``torch.fft``: pocketfft on the host, gradients that are transforms.

``norm`` says where the factor 1/n stands: ``"backward"`` (default) in inverse transforms, ``"forward"`` in others,
``"ortho"`` its square root in both. See docs/reference/fft.md.
"""

from __future__ import annotations

from ._transforms import (
    fft,
    fft2,
    fftfreq,
    fftn,
    fftshift,
    hfft,
    hfft2,
    hfftn,
    ifft,
    ifft2,
    ifftn,
    ifftshift,
    ihfft,
    ihfft2,
    ihfftn,
    irfft,
    irfft2,
    irfftn,
    rfft,
    rfft2,
    rfftfreq,
    rfftn,
)

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn", "ifftshift",
    "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip
