"""Modes: what is recorded, who watches, and the defaults of creation.

Modes belong to a thread. So that an op need not look at thread-local data, two global lists tell whether
any thread has left the ordinary mode: `GRAD_OFF` and `WATCHED` are empty in the ordinary case.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from . import dtypes as dt
from .devices import Device, device_stack

__all__ = [
    "GRAD_OFF", "WATCHED", "Interceptor", "default_device", "default_dtype", "get_default_device", "get_default_dtype",
    "grad_mode", "intercept", "is_grad_enabled", "is_inference_mode_enabled", "set_default_device",
    "set_default_dtype", "watchers",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])

#: One entry per thread and level at which gradients are not recorded; empty: every thread records.
GRAD_OFF: list[int] = []
#: One entry per interceptor entered anywhere.
WATCHED: list[Any] = []
#: One entry per pair of hooks on saved tensors that is entered anywhere.
SAVERS: list[Any] = []

Interceptor = Callable[..., Any]


class _Modes(threading.local):
    grad = True
    inference = False
    watchers: tuple[Interceptor, ...] = ()
    savers: tuple[Any, ...] = ()


modes = _Modes()
_dtype = dt.float32
_device: Device | None = None


def is_grad_enabled() -> bool:
    """Whether this thread records gradients."""
    return not GRAD_OFF or modes.grad


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside ``inference_mode``."""
    return modes.inference


class grad_mode:
    """Context manager and decorator that sets whether this thread records gradients.

    Args:
        mode: whether to record.
        inference: whether to also say that the results will never be recorded.
    """

    def __init__(self, mode: bool, inference: bool | None = None) -> None:
        self.mode = mode
        self.inference = inference
        self.previous: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self.previous.append((modes.grad, modes.inference))
        set_grad(self.mode)
        if self.inference is not None:
            modes.inference = self.inference

    def __exit__(self, *exc: object) -> None:
        grad, modes.inference = self.previous.pop()
        set_grad(grad)

    def __call__(self, fn: F) -> F:
        from functools import wraps

        mode, inference = self.mode, self.inference

        @wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with grad_mode(mode, inference):
                return fn(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


def set_grad(mode: bool) -> None:
    """Set this thread's mode and keep the global count right."""
    if modes.grad and not mode:
        GRAD_OFF.append(1)
    elif mode and not modes.grad:
        GRAD_OFF.pop()
    modes.grad = mode


class intercept:
    """Context manager: let ``fn(op, call, args, kwargs)`` see every op of this thread.

    Args:
        fn: the interceptor.
        outermost: let it see ops after all that are entered already, rather than before.

    ``call(*args, **kwargs)`` goes on with the op; what ``fn`` returns is the op's result; for ``x.op_()`` ``call`` has
    an attribute ``writes``. Interceptors nest, the last one entered sees the op first, and ops inside an interceptor
    are seen by the outer ones only. An op that is written in other ops is not seen, they are; unless ``fn`` has an
    attribute ``composites`` with its name.

    >>> import flambeau as fb
    >>> seen = []
    >>> with fb.plugin.intercept(lambda op, call, args, kwargs: (seen.append(op.name), call(*args, **kwargs))[1]):
    ...     _ = fb.ones(2) + 1
    >>> seen[-1]
    'add'
    """

    def __init__(self, fn: Interceptor, outermost: bool = False) -> None:
        self.fn = fn
        self.outermost = outermost

    def __enter__(self) -> intercept:
        modes.watchers = (self.fn, *modes.watchers) if self.outermost else (*modes.watchers, self.fn)
        WATCHED.append(self.fn)
        return self

    def __exit__(self, *exc: object) -> None:
        modes.watchers = modes.watchers[1:] if self.outermost else modes.watchers[:-1]
        WATCHED.pop()


def past_watchers(op: Any, go_on: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Hand a call to this thread's innermost interceptor; what that goes on with is seen by the outer ones."""
    stack = modes.watchers
    modes.watchers = stack[:-1]
    try:
        return stack[-1](op, go_on, args, kwargs)
    finally:
        modes.watchers = stack


def watchers() -> tuple[Interceptor, ...]:
    """This thread's interceptors, outermost first."""
    return modes.watchers


def transforming(what: str) -> Callable[..., Any] | None:
    """The method of that name of this thread's innermost interceptor that has one: ``grad(go_on, outputs, inputs,
    starts, **options)`` takes over ``autograd.grad``, ``apply_function(cls, args, kwargs)`` an ``autograd.Function``.
    """
    return next((getattr(w, what) for w in reversed(modes.watchers) if hasattr(w, what)), None)


def get_default_dtype() -> dt.DType:
    """The floating-point type of new tensors."""
    return _dtype


def set_default_dtype(dtype: dt.DType) -> None:
    """Set the floating-point type of new tensors.

    Raises:
        TypeError: not a floating-point type.
    """
    global _dtype
    if not isinstance(dtype, dt.DType) or not dtype.is_floating_point:
        raise TypeError(f"[set_default_dtype] only floating-point types can be the default: got {dtype!r}.")
    if dtype is not _dtype:
        from .registry import forget_plans

        _dtype = dtype
        forget_plans()


default_dtype = get_default_dtype
_CPU = Device("cpu")


def default_device() -> Device:
    """The device of new tensors: the innermost ``with device(...)``, the default set, or the CPU."""
    if device_stack:
        return device_stack[-1]
    return _device or _CPU


get_default_device = default_device


def set_default_device(device: Any) -> None:
    """Set where new tensors are created; None restores the CPU."""
    global _device
    if device is not None:
        from .registry import backend_of

        device = Device(device)
        backend_of(device)
    _device = device
