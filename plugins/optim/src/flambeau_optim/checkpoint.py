"""Activation checkpointing: keep the inputs of a piece of a model, not its insides, and compute it again in backward.

Source: T. Chen et al., "Training deep nets with sublinear memory cost", 2016.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import flambeau as fb
from flambeau import Tensor
from flambeau.autograd.graph import hand_over, saved_tensors_hooks
from flambeau.plugin import message, watchers

from .selective import CheckpointPolicy, SelectiveCheckpointContext, create_selective_checkpoint_contexts

__all__ = [
    "CheckpointError", "CheckpointPolicy", "SelectiveCheckpointContext", "checkpoint", "checkpoint_sequential",
    "create_selective_checkpoint_contexts", "noop_context_fn", "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]  # fmt: skip

#: What `set_checkpoint_early_stop` has set: None leaves it to each call.
_early_stop: bool | None = None

Contexts = Callable[[], tuple[AbstractContextManager[Any], AbstractContextManager[Any]]]


def noop_context_fn() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """The default of ``context_fn``: two contexts that do nothing."""
    return nullcontext(), nullcontext()


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Context manager: whether second runs of checkpoints made inside end early, whatever their ``early_stop`` says."""
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


@contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Context manager, accepted for PyTorch's sake: messages name what differs anyway."""
    yield


class CheckpointError(RuntimeError):
    """The second run of a piece of a model saved other tensors than the first."""


class _Enough(BaseException):
    """Ends the second run once everything that was saved is there."""


class _Surroundings:
    """What a second run needs of the first one's surroundings: the random state and regions such as autocast."""

    def __init__(self, preserve: bool) -> None:
        self.state = fb.default_generator.__getstate__() if preserve else None
        self.regions = [
            r for r in (getattr(w, "region", lambda: None)() for w in watchers()) if r is not None
        ]

    @contextmanager
    def again(self) -> Iterator[None]:
        """Restore them for a second run, with gradients."""
        with ExitStack() as stack:
            stack.enter_context(fb.enable_grad())
            if self.state is not None:
                stack.enter_context(fb.random.fork_rng())
                fb.default_generator.__setstate__(self.state)
            for region in self.regions:
                stack.enter_context(region)
            yield


def _fresh(a: Any) -> Any:
    """An argument for a second run: the same values, without the history."""
    return a.detach().requires_grad_(a.requires_grad) if isinstance(a, Tensor) else a


class _Checkpoint(fb.autograd.Function):
    """The reentrant variant: one node, whose backward runs the function and a backward of its own."""

    @staticmethod
    def forward(ctx: Any, run: Callable[..., Any], around: _Surroundings, anchor: Any, *args: Any) -> Any:
        ctx.run, ctx.around = run, around
        ctx.where = [k for k, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.others = [None if isinstance(a, Tensor) else a for a in args]
        ctx.save_for_backward(*[args[k] for k in ctx.where])
        return run(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        args = list(ctx.others)
        for k, t in zip(ctx.where, ctx.saved_tensors, strict=True):
            args[k] = _fresh(t)
        with ctx.around.again():
            result = ctx.run(*args)
        outs = list(result) if isinstance(result, (tuple, list)) else [result]
        live = [
            (o, g)
            for o, g in zip(outs, grads, strict=True)
            if isinstance(o, Tensor) and o.requires_grad and g is not None
        ]
        if live:
            # Gradients of parameters inside arrive at their .grad on the way.
            fb.autograd.backward([o for o, _ in live], [g for _, g in live])
        return (None, None, None, *[a.grad if isinstance(a, Tensor) else None for a in args])


class _Frame:
    """The other variant: the graph is recorded as ever, but what it saves are numbers; the first that is asked for runs
    the function again and puts its saved tensors under these numbers."""

    def __init__(
        self, run: Callable[..., Any], args: tuple[Any, ...], around: _Surroundings, early: bool, check: bool
    ) -> None:
        self.run, self.around, self.early, self.check = run, around, early, check
        # Inside another checkpoint the arguments are its business to keep or to compute again.
        self.args = [hand_over(a) if isinstance(a, Tensor) else a for a in args]
        self.needs = [a.requires_grad if isinstance(a, Tensor) else None for a in args]
        self.specs: list[Any] = []
        self.again: dict[int, Any] = {}

    def pack(self, t: Any) -> int:
        self.specs.append(t.spec)
        return len(self.specs) - 1

    def unpack(self, k: int) -> Any:
        if k not in self.again:
            self.recompute()
        return self.again.pop(k)

    def recompute(self) -> None:
        self.again.clear()
        found: list[Any] = []

        def keep(t: Any) -> int:
            found.append(t)
            if self.early and len(found) == len(self.specs):
                raise _Enough
            return len(found) - 1

        args = [
            a if needs is None else a().detach().requires_grad_(needs)
            for a, needs in zip(self.args, self.needs, strict=True)
        ]
        try:
            with self.around.again(), saved_tensors_hooks(keep, found.__getitem__):
                self.run(*args)
        except _Enough:
            pass
        if len(found) != len(self.specs):
            wrong = "A different number of tensors was saved during the original forward and recomputation"
            got = f"{len(self.specs)} and {len(found)}"
            raise CheckpointError(f"[checkpoint] {wrong}: got {got}. {_SAME}")
        for k, (t, spec) in enumerate(zip(found, self.specs, strict=True)):
            if self.check and (t.spec.shape != spec.shape or t.spec.dtype is not spec.dtype):
                wrong = "Recomputed values have different metadata than during the forward pass"
                raise CheckpointError(f"[checkpoint] {wrong}: got {spec} and {t.spec} as number {k}. {_SAME}")
        self.again = dict(enumerate(found))


_SAME = "The function must do the same both times: look for what depends on anything but its arguments."


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Contexts = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Call a function so that its intermediate results are computed again in backward instead of kept.

    Args:
        function: a piece of a model; called with ``args`` and ``kwargs``, once now and once in backward.
        use_reentrant: False (recommended): the graph is recorded as without a checkpoint, so `autograd.grad`, double
            backward, hooks and nesting work. True: one node with a backward of its own. None: True, with a warning.
        context_fn: gives two context managers, for the first and the second run; not with ``use_reentrant=True``.
        determinism_check: ``"default"`` compares shapes and dtypes of both runs, ``"none"`` doesn't.
        debug: accepted for PyTorch's sake; messages name what differs anyway.
        early_stop: end the second run as soon as all saved tensors are there.
        preserve_rng_state: draw the same random numbers the second time.

    Returns:
        What the function returns.

    Raises:
        CheckpointError: in backward: the second run saved other tensors.
        ValueError: arguments that ``use_reentrant=True`` doesn't take.

    >>> import flambeau as fb
    >>> x = fb.ones(2, requires_grad=True)
    >>> fb.utils.checkpoint.checkpoint(lambda t: (t * 3).exp(), x, use_reentrant=False).sum().backward()
    >>> x.grad
    tensor([60.2566, 60.2566])
    """
    reentrant = _reentrant("checkpoint", use_reentrant)
    around = _Surroundings(preserve_rng_state)
    if reentrant:
        if kwargs:
            names = ", ".join(kwargs)
            raise ValueError(
                f"[checkpoint] Unexpected keyword arguments: got {names}. Pass use_reentrant=False, or positions."
            )
        # Parameters inside may need gradients although no argument does: the anchor makes the call recorded.
        return _Checkpoint.apply(function, around, fb.ones((), requires_grad=True), *args)
    if determinism_check not in ("default", "none"):
        need = "'default' or 'none'"
        raise ValueError(message("checkpoint", "unknown check", need, determinism_check=determinism_check))
    first, second = context_fn()

    def run(*inner: Any) -> Any:
        with second:
            return function(*inner, **kwargs)

    early = early_stop if _early_stop is None else _early_stop
    frame = _Frame(run, args, around, early, determinism_check == "default")
    with saved_tensors_hooks(frame.pack, frame.unpack), first:
        return function(*args, **kwargs)


def _reentrant(op: str, given: bool | None) -> bool:
    if given is None:
        warnings.warn(
            f"[{op}] the use_reentrant parameter should be passed explicitly: got None, which means True. Pass "
            "use_reentrant=False, which does more.",
            UserWarning,
            stacklevel=3,
        )
    return given is not False


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Run a sequence of modules in segments, all but the last of which are checkpoints.

    Args:
        functions: a ``Sequential``, or modules or functions in order.
        segments: how many.
        input: the first one's input.
        use_reentrant: as in `checkpoint`.
        preserve_rng_state: draw the same random numbers the second time.

    >>> import flambeau as fb
    >>> x = fb.ones(2, requires_grad=True)
    >>> steps = [fb.exp, fb.sin, fb.cos, fb.exp]
    >>> y = fb.utils.checkpoint.checkpoint_sequential(steps, 2, x, use_reentrant=False)
    >>> bool((y == x.exp().sin().cos().exp()).all())
    True
    """
    reentrant = _reentrant("checkpoint_sequential", use_reentrant)
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError(f"[checkpoint_sequential] Unexpected keyword arguments: got {', '.join(kwargs)}.")
    steps = list(functions.children() if hasattr(functions, "children") else functions)

    def segment(start: int, end: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for step in steps[start:end]:
                x = step(x)
            return x

        return run

    size = len(steps) // segments
    for k in range(segments - 1):
        run = segment(k * size, (k + 1) * size)
        input = checkpoint(run, input, use_reentrant=reentrant, preserve_rng_state=preserve)
    return segment(size * (segments - 1), len(steps))(input)
