"""Descriptions of arguments for sample calls, and the tensors that they stand for."""

from __future__ import annotations

import zlib
from typing import Any

import flambeau as fb

__all__ = ["LAYOUTS", "Call", "Samples", "T", "build", "call", "mapped", "tensors_in"]


class T:
    """A tensor argument.

    Args:
        shape: its sizes.
        low, high: bounds of its values.
        kind: ``"any"`` (the dtype under test), ``"index"`` (int64), ``"mask"`` (bool), ``"float"`` or ``"same"``
            (as ``any``, but never given a gradient).
        distinct: no two elements alike (for ops whose ties are a matter of choice).
    """

    def __init__(
        self, *shape: int, low: float = -2.5, high: float = 2.5, kind: str = "any", distinct: bool = False
    ) -> None:
        self.shape = shape
        self.low, self.high, self.kind, self.distinct = low, high, kind, distinct

    def __repr__(self) -> str:
        return f"T{list(self.shape)}" + ("" if self.kind == "any" else f":{self.kind}")

    def array(self, dtype: fb.dtype, seed: str) -> Any:
        """Its values as a NumPy array (float64, complex128, int64 or bool)."""
        import numpy as np

        rng = np.random.default_rng(zlib.crc32(seed.encode()))
        if self.kind == "index":
            return rng.integers(int(self.low), int(self.high), self.shape)
        if self.kind == "mask" or dtype is fb.bool:
            return rng.random(self.shape) < 0.5
        if dtype.is_integer:
            low = max(int(np.ceil(self.low)), 0 if dtype.kind == "u" else -100)
            return rng.integers(low, max(int(self.high), low) + 1, self.shape)
        values = rng.uniform(self.low, self.high, self.shape)
        if self.distinct:
            n = int(np.prod(self.shape))
            ramp = (np.arange(n) + 0.5) / max(n, 1) * (self.high - self.low) + self.low
            values = rng.permutation(ramp).reshape(self.shape)
        if dtype.is_complex:
            values = values + 1j * rng.uniform(self.low, self.high, self.shape)
        return values


def _count(value: Any) -> int:
    """How many tensors stand in nested arguments."""
    if isinstance(value, dict):
        value = tuple(value.values())
    return sum(map(_count, value)) if isinstance(value, (list, tuple)) else int(isinstance(value, T))


class Call:
    """One sample call.

    Args:
        args, kwargs: the arguments; tensors are `T`.
        grad: whether the gradient is worth comparing.
    """

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], grad: bool = True) -> None:
        self.args, self.kwargs, self.grad = args, kwargs, grad
        self.tensors = _count(args) + _count(kwargs)

    def __repr__(self) -> str:
        parts = [repr(a) for a in self.args] + [f"{k}={v!r}" for k, v in self.kwargs.items()]
        return f"({', '.join(parts)})"


def call(*args: Any, **kwargs: Any) -> Call:
    """A sample call; ``_grad=False`` leaves its gradient alone."""
    grad = kwargs.pop("_grad", True)
    return Call(args, kwargs, grad)


class Samples:
    """The sample calls of a family of records; a plugin names the module that has one as ``SAMPLES`` (`add_samples`).

    Args:
        calls: sample calls by the name of a record, or of one of `functions`.
        functions: what to call, where that is not the record of the name.
        skipped: names of records that have no sample calls, and why.
        floats: the records take floating-point numbers only.
        oracles: what calls compute, said a second time in NumPy (see `flambeau.testing.oracles`).
    """

    def __init__(
        self,
        calls: dict[str, list[Call]],
        functions: dict[str, Any] | None = None,
        skipped: dict[str, str] | None = None,
        floats: bool = False,
        oracles: dict[str, Any] | None = None,
    ) -> None:
        self.calls, self.functions, self.skipped, self.floats = calls, functions or {}, skipped or {}, floats
        self.oracles = oracles or {}


#: Layouts, as views of an array: the last argument of `build`.
LAYOUTS = ("dense", "step", "transposed", "negative", "expanded", "repeated")


def _tensor(array: Any, dtype: fb.dtype, device: str, how: str) -> Any:
    """An array as a tensor, laid out densely or in some other way; it is converted before it goes to the device."""
    import numpy as np

    def put(values: Any) -> Any:
        return fb.from_numpy(np.array(values)).to("reference").to(dtype).to(device)

    if array.ndim == 0 or how == "dense":
        return put(array)
    if how == "step":  # every second element of a larger one, the last dimension reversed
        wide = np.zeros([2 * n for n in array.shape], array.dtype)
        every = tuple(slice(None, None, 2) for _ in array.shape)
        wide[every][..., ::-1] = array
        return put(wide)[every][..., slice(None, None, -1)]
    if how == "transposed":
        return put(array.T).permute(tuple(range(array.ndim))[::-1])
    if how == "negative":
        backward = tuple(slice(None, None, -1) for _ in array.shape)
        return put(array[backward])[backward]
    first = array[..., :1]  # the first column again and again, by stride 0 or as copies
    if how == "expanded" and array.shape[-1]:
        return put(first).expand(array.shape)
    return put(np.broadcast_to(first, array.shape) if array.shape[-1] else array)


def build(value: Any, dtype: fb.dtype, device: str, seed: str, how: str = "dense", grad: bool = False) -> Any:
    """What an argument stands for on a device; containers keep their kind."""
    if isinstance(value, T):
        held = fb.int64 if value.kind == "index" else fb.bool if value.kind == "mask" else dtype
        if value.kind == "float" and dtype.rank != 2:
            held = fb.float32
        # Values first take the dtype under test, so that a wider oracle sees the same numbers.
        array = value.array(held, seed)
        t = _tensor(array, held, device, how)
        if grad and held.rank > 1 and value.kind == "any":
            t = t.detach().requires_grad_()
        return t
    if isinstance(value, (list, tuple)):
        return type(value)(build(v, dtype, device, f"{seed}/{k}", how, grad) for k, v in enumerate(value))
    return value


def tensors_in(values: Any) -> list[fb.Tensor]:
    """All tensors in nested containers."""
    if hasattr(values, "spec"):
        return [values]
    if isinstance(values, dict):
        return tensors_in(list(values.values()))
    if isinstance(values, (list, tuple)):
        return [t for v in values for t in tensors_in(v)]
    return []


def mapped(values: Any, fn: Any) -> Any:
    """Nested containers with a function applied to every tensor."""
    if hasattr(values, "spec"):
        return fn(values)
    if isinstance(values, (list, tuple)):
        return (
            type(values)(*[mapped(v, fn) for v in values])
            if hasattr(values, "_fields")
            else type(values)(mapped(v, fn) for v in values)
        )
    if isinstance(values, dict):
        return {k: mapped(v, fn) for k, v in values.items()}
    return values
