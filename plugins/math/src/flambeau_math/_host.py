"""Records whose default runs on the host: tensors as arrays and back, broadcasting loops over matrices.

LAPACK and pocketfft are reached through NumPy and SciPy. A device of its own memory pays two copies; the result lies
on the tensors' own device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import flambeau as fb

__all__ = ["Array", "array_of", "each", "on_host", "tensor_of"]

Array = np.ndarray[Any, Any]


def array_of(t: Any) -> Array:
    """A tensor's values as an array, on its own memory where that is host memory (read only, by agreement)."""
    t = t.detach()
    if t.dtype in (fb.bfloat16, fb.float16):
        t = t.to(fb.float32)
    a: Array = t.numpy(force=True)
    return a


def tensor_of(a: Any, device: Any) -> Any:
    """An array as a tensor on a device; on the host it keeps the array's memory."""
    a = np.asarray(a)
    t = fb.from_numpy(a if a.flags.writeable else a.copy())
    return t if t.device == device else t.to(device)


def on_host(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A default implementation from a function of arrays; attributes are passed on as they are.

    The function returns an array or a tuple of arrays (None for a result that isn't asked for).
    """

    def default(*args: Any, **kwargs: Any) -> Any:
        device = next(a.device for a in [*args, *kwargs.values()] if isinstance(a, fb.Tensor))

        def seen(v: Any) -> Any:
            return array_of(v) if isinstance(v, fb.Tensor) else v

        with np.errstate(all="ignore"):
            made = fn(*map(seen, args), **{k: seen(v) for k, v in kwargs.items()})
        if isinstance(made, tuple):
            return tuple(None if a is None else tensor_of(a, device) for a in made)
        return tensor_of(made, device)

    return default


def each(batch: Sequence[int], *stacks: Array) -> Iterable[tuple[Any, ...]]:
    """The matrices (or vectors) of several stacks together, with their place in the batch first."""
    for at in np.ndindex(*batch):
        yield (at, *(s[at] for s in stacks))
