"""One elementwise program over many groups of tensors: what optimizers step with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau import get_default_dtype, promote_types
from flambeau.plugin import Program, Table, backend_of, touched

__all__ = ["Numbers", "multi_apply"]

#: Numbers of an update, or the function that works them out: what a captured graph calls before each replay.
Numbers = Sequence[Any] | Callable[[], Sequence[Any]]

_programs: dict[Any, Program] = {}
#: How many numbers an update took when it last ran.
_counts: dict[Any, int] = {}
_runs = Table()


def _typed(program: Program, specs: Sequence[Any], n_write: int) -> Any:
    """The program for one group; what it computes is rounded to each output's dtype at the end only."""
    common = specs[0].dtype
    for s in specs[1:]:
        common = promote_types(common, s.dtype)
    dtypes = [s.dtype for s in specs]
    return program.typed(dtypes, dtypes[:n_write], common, default=get_default_dtype())


def _prepare(program: Program, specs: Sequence[Any], width: int, n_write: int) -> Callable[..., None]:
    """``run(lists of tensors, scalars)`` for groups of these specs, one group after the other in ``specs``."""
    backend = backend_of(specs[0].device)
    groups = [specs[k : k + width] for k in range(0, len(specs), width)]
    typed = [_typed(program, group, n_write) for group in groups]
    if backend.addressed:
        plans = [
            backend.plan("run_program", group[:n_write], group, {"program": t})
            for group, t in zip(groups, typed, strict=True)
        ]
        launches = [plan for plan in plans if plan is not None]
        if len(launches) == len(plans):
            launch = backend.plan_many(launches, n_write)

            def run_launches(lists: Sequence[Sequence[Any]], scalars: Any) -> None:
                launch([t.ptr for group in zip(*lists, strict=True) for t in group], scalars)

            return run_launches

    def run_programs(lists: Sequence[Sequence[Any]], scalars: Sequence[Any]) -> None:
        for t, group in zip(typed, zip(*lists, strict=True), strict=True):
            backend.run_program(t, group[:n_write], group, t.fit(scalars))

    return run_programs


def multi_apply(
    fn: Callable[..., Any],
    writes: Sequence[Sequence[Any]],
    reads: Sequence[Sequence[Any]] = (),
    scalars: Numbers = (),
) -> None:
    """Run one program for every group of tensors, over the tensors of ``writes``; nothing is recorded.

    The backend gets all groups in one launch where it can take them so (`Backend.plan_many`).

    Args:
        fn: the program: takes a value per list of ``writes``, then of ``reads``, then per scalar; returns the new
            value of each of ``writes``. It is traced once and must be a function that stays (not a fresh lambda).
        writes: lists of tensors to overwrite; the k-th tensors of all lists have one shape, all one device.
        reads: lists of tensors to read only.
        scalars: numbers, or a function that returns them; a graph that captures the update calls it before each replay.

    Raises:
        RuntimeError: tensors of one group differ in shape or device.

    >>> import flambeau as fb
    >>> x, g = fb.ones(2), fb.ones(2)
    >>> def step(p, g, lr): return p - lr * g
    >>> multi_apply(step, [[x]], [[g]], [0.5]); x
    tensor([0.5000, 0.5000])
    """
    lists = (*writes, *reads)
    if not lists[0]:
        return
    n, width = len(writes), len(lists)
    captured = backend_of(lists[0][0].device).capture is not None
    if callable(scalars) and not (captured and fn in _counts):
        numbers = scalars()
        count = _counts[fn] = len(numbers)
        scalars = scalars if captured else numbers
    else:
        count = _counts[fn] if callable(scalars) else len(scalars)
    specs = tuple([t.spec for group in zip(*lists, strict=True) for t in group])
    key = (fn, n, width, count, specs)
    run = _runs.get(key)
    if run is None:
        _check(fn.__name__, specs, width)
        traced = (fn, width, count)
        program = _programs.get(traced)
        if program is None:
            program = _programs[traced] = Program.trace(fn, width, count)
        run = _runs.keep(key, _prepare(program, specs, width, n))
    run(lists, scalars)
    touched(fn.__name__, *(t for written in writes for t in written))


def _check(name: str, specs: Sequence[Any], width: int) -> None:
    for k in range(0, len(specs), width):
        for s in specs[k + 1 : k + width]:
            if s.shape != specs[k].shape or s.device is not specs[0].device:
                raise RuntimeError(
                    f"[{name}] tensors that are updated together don't fit: got {specs[k]} and {s}, needed: one "
                    "shape and device."
                )
