"""Reductions over the elements that a mask selects, with the names of ``torch.masked``.

Every function takes ``mask`` (True: the element counts; it broadcasts) and ``dim`` as `flambeau.sum`
does. Lines without any element give the identity of the reduction (0, 1, inf, ...), or NaN where there is none. See
docs/reference/masked.md.
"""

from __future__ import annotations

from ._reductions import (
    amax,
    amin,
    argmax,
    argmin,
    cumprod,
    cumsum,
    log_softmax,
    logaddexp,
    logsumexp,
    mean,
    median,
    norm,
    normalize,
    prod,
    softmax,
    softmin,
    std,
    sum,
    var,
)

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "mean", "median",
    "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]  # fmt: skip
