"""autocast: run what gains from it in 16 bits and the rest in float32, without changing the model.

It is an interceptor: it sees every op of its thread and casts the operands of those that are in PyTorch's lists. The
casts are ops like others, so gradients come back in the parameters' own dtype.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import intercept, message

from .grad_scaler import live_scalers
from .policies import COMPOSITES, policy

__all__ = [
    "autocast", "clear_autocast_cache", "custom_bwd", "custom_fwd", "get_autocast_dtype", "is_autocast_available",
    "is_autocast_cache_enabled", "is_autocast_enabled", "set_autocast_cache_enabled", "set_autocast_dtype",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


class _State(threading.local):
    def __init__(self) -> None:
        self.entered: tuple[autocast, ...] = ()
        self.dtypes: dict[str, Any] = {}
        self.caching = True
        #: Casts of parameters, by id and whether gradients are recorded: the parameter, its version, the cast.
        self.casts: dict[tuple[int, bool, Any], tuple[Tensor, int, Tensor]] = {}


_state = _State()


def _current(device_type: str) -> autocast | None:
    for mode in reversed(_state.entered):
        if mode.device == device_type:
            return mode
    return None


def _type_of(device_type: Any) -> str:
    if not isinstance(device_type, str):
        raise ValueError(
            message(
                "autocast", "Expected device_type of type str", "'cpu', 'cuda', ...", device_type=device_type
            )
        )
    return fb.device(device_type).type


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this thread is inside autocast for a type of device."""
    mode = _current(_type_of(device_type))
    return mode is not None and mode.enabled


def get_autocast_dtype(device_type: str) -> Any:
    """The lower precision of a type of device: bfloat16 on the CPU and float16 elsewhere, unless set."""
    kind = _type_of(device_type)
    mode = _current(kind)
    if mode is not None and mode.enabled:
        return mode.fast_dtype
    return _state.dtypes.get(kind, fb.bfloat16 if kind == "cpu" else fb.float16)


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Set the lower precision that autocast takes where it is given none."""
    _state.dtypes[_type_of(device_type)] = dtype


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast knows a type of device: all that can be named."""
    return bool(_type_of(device_type))


def is_autocast_cache_enabled() -> bool:
    """Whether casts of parameters are kept until autocast ends."""
    return _state.caching


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Set whether casts of parameters are kept until autocast ends."""
    _state.caching = enabled


def clear_autocast_cache() -> None:
    """Forget the casts of parameters."""
    _state.casts.clear()


class autocast:
    """Context manager and decorator: mixed precision.

    Matrix products and convolutions of float32 operands run in a 16-bit type; on the CPU losses, elsewhere also
    exponentials, norms and sums, run in float32. Backward runs each op in the dtype of its forward; call it outside.

    Args:
        device_type: the type of device whose ops are cast.
        dtype: the lower precision (default: bfloat16 on the CPU, float16 elsewhere).
        enabled: False runs the region, also inside another autocast, as it stands.
        cache_enabled: keep casts of parameters until the outermost region ends (default: True).

    Raises:
        ValueError: ``device_type`` is no string.
        RuntimeError: an op that needs a gradient runs in float16 while there is no enabled `GradScaler`.

    >>> x, w = fb.ones(2, 3), fb.ones(3, 4, requires_grad=True)
    >>> with fb.autocast("cpu", dtype=fb.bfloat16):
    ...     y = x @ w
    >>> y.dtype, (y * 2).dtype
    (flambeau.bfloat16, flambeau.bfloat16)
    >>> y.float().sum().backward()
    >>> w.grad.dtype
    flambeau.float32
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        self.device = _type_of(device_type)
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        self.enabled = bool(enabled)
        self.caching = cache_enabled
        if self.enabled and self.fast_dtype not in (fb.bfloat16, fb.float16):
            warnings.warn(
                f"In {self.device.upper()} autocast, but the target dtype is not supported. Disabling autocast. It "
                f"supports bfloat16 and float16: got {self.fast_dtype}.",
                UserWarning,
                stacklevel=2,
            )
            self.enabled = False
        self._open: list[tuple[Any, bool]] = []

    def __enter__(self) -> autocast:
        watch = intercept(_Caster(self)) if self.enabled else None
        self._open.append((watch, _state.caching))
        _state.entered = (*_state.entered, self)
        if self.caching is not None:
            _state.caching = self.caching
        if watch is not None:
            watch.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        watch, _state.caching = self._open.pop()
        _state.entered = _state.entered[:-1]
        if watch is not None:
            watch.__exit__(None, None, None)
        if not _state.entered:
            clear_autocast_cache()

    def __call__(self, fn: F) -> F:
        @functools.wraps(fn)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return fn(*args, **kwargs)

        return run  # type: ignore[return-value]


class _Caster:
    """The interceptor of one region: casts unless a region inside has taken over."""

    composites = COMPOSITES

    def __init__(self, mode: autocast) -> None:
        self.mode = mode

    def __call__(self, op: Any, call: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        mode = self.mode
        how = policy(op.name, mode.device)
        # What is written in place keeps its dtype.
        if not how or getattr(call, "writes", False) or _current(mode.device) is not mode:
            return call(*args, **kwargs)
        operands = [
            t for a in (*args, *kwargs.values()) for t in (a if isinstance(a, (list, tuple)) else (a,))
        ]
        floats = [t for t in operands if self.takes(t)]
        if not floats:
            return call(*args, **kwargs)
        if how == "widest":
            to = max((t.dtype for t in floats), key=lambda d: (d is fb.float32, d is fb.float16))
            if any(isinstance(t, Tensor) and t.dtype is fb.float64 for t in operands):
                return call(*args, **kwargs)
        else:
            to = mode.fast_dtype if how == "lower" else fb.float32

        def cast(a: Any) -> Any:
            if isinstance(a, (list, tuple)):
                return type(a)([cast(t) for t in a]) if any(isinstance(t, Tensor) for t in a) else a
            return self.cast(op.name, a, to) if self.takes(a) and a.dtype is not to else a

        return call(*[cast(a) for a in args], **{k: cast(v) for k, v in kwargs.items()})

    def region(self) -> autocast | None:
        """What a checkpoint enters again when it computes this region's ops a second time."""
        return self.mode if _current(self.mode.device) is self.mode else None

    def takes(self, t: Any) -> bool:
        return (
            isinstance(t, Tensor)
            and t.dtype in (fb.float32, fb.float16, fb.bfloat16)
            and t.device.type == self.mode.device
        )

    def cast(self, op: str, t: Tensor, to: Any) -> Tensor:
        records = t.requires_grad and fb.is_grad_enabled()
        if records and to is fb.float16 and not live_scalers():
            wrong = "float16 gradients without a scaler would underflow to zero"
            do = "Make a GradScaler before the first step, use dtype=bfloat16, or run under no_grad()."
            raise RuntimeError(message(op, wrong, "an enabled GradScaler", do, input=t))
        if not (t.requires_grad and t.is_leaf and _state.caching and t.dtype is fb.float32):
            return t.to(to)
        key = (id(t), records, to)
        held = _state.casts.get(key)
        if held is not None and held[0] is t and held[1] == t._version:
            return held[2]
        made: Tensor = t.to(to)
        _state.casts[key] = (t, t._version, made)
        return made


def custom_fwd(fwd: Any = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """Decorator of an `autograd.Function`'s ``forward``.

    Args:
        fwd: the function.
        device_type: the type of device.
        cast_inputs: run in this dtype and without autocast inside (default: in the state that surrounds the call).
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def run(*args: Any, **kwargs: Any) -> Any:
        on = is_autocast_enabled(device_type)
        args[0]._autocast = (on and cast_inputs is None, get_autocast_dtype(device_type))
        if not on or cast_inputs is None:
            return fwd(*args, **kwargs)

        def cast(a: Any) -> Any:
            if isinstance(a, Tensor):
                plain = a.is_floating_point() and a.dtype is not fb.float64 and a.device.type == device_type
                return a.to(cast_inputs) if plain else a
            return type(a)(map(cast, a)) if isinstance(a, (list, tuple)) else a

        with autocast(device_type, enabled=False):
            return fwd(*map(cast, args), **{k: cast(v) for k, v in kwargs.items()})

    return run


def custom_bwd(bwd: Any = None, *, device_type: str) -> Any:
    """Decorator of an `autograd.Function`'s ``backward``: it runs as `custom_fwd`'s forward did.

    Args:
        bwd: the function.
        device_type: the type of device.
    """
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def run(*args: Any, **kwargs: Any) -> Any:
        on, dtype = args[0]._autocast
        with autocast(device_type, dtype=dtype, enabled=on):
            return bwd(*args, **kwargs)

    return run
