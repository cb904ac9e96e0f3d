"""One elementwise program over many groups of tensors: what optimizers step with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import op as opmod
from . import registry
from .dtypes import promote_types
from .inplace import touched
from .program import Program
from .state import default_dtype

__all__ = ["multi_apply"]

_programs: dict[Any, Program] = {}


class _MultiRunner:
    """A program with several outputs bound to specs, written over tensors that exist."""

    __slots__ = ("backend", "launch", "typed")

    def __init__(self, program: Program, specs: Sequence[Any], n_write: int) -> None:
        common = specs[0].dtype
        for s in specs[1:]:
            common = promote_types(common, s.dtype)
        self.typed = program.typed(
            [s.dtype for s in specs],
            [s.dtype for s in specs[:n_write]],
            common,
            frozenset(),
            (),
            default_dtype(),
        )
        self.backend = registry.backend_of(specs[0].device)
        self.launch = None
        if self.backend.addressed:
            self.launch = self.backend.plan("run_program", specs[:n_write], specs, {"program": self.typed})


_runners: dict[Any, _MultiRunner] = {}
opmod.CACHES.append(_runners)


def multi_apply(
    fn: Callable[..., Any],
    writes: Sequence[Sequence[Any]],
    reads: Sequence[Sequence[Any]] = (),
    scalars: Sequence[float] = (),
) -> None:
    """Run one program for every group of tensors, over the tensors of ``writes``; nothing is recorded.

    Args:
        fn: the program: takes a value per list of ``writes``, then of ``reads``, then per scalar; returns the new
            value of each of ``writes``. It is traced once and must be a function that stays (not a fresh lambda).
        writes: lists of tensors to overwrite; the k-th tensors of all lists have one shape and device.
        reads: lists of tensors to read only.
        scalars: numbers.

    >>> import flambeau as fb
    >>> x, g = fb.ones(2), fb.ones(2)
    >>> def step(p, g, lr): return p - lr * g
    >>> fb.plugin.multi_apply(step, [[x]], [[g]], [0.5]); x
    tensor([0.5000, 0.5000])
    """
    lists = (*writes, *reads)
    if not lists[0]:
        return
    key = (fn, len(lists), len(scalars))
    program = _programs.get(key)
    if program is None:
        program = _programs[key] = Program.trace(fn, len(lists), len(scalars))
    n = len(writes)
    name = fn.__name__
    for group in zip(*lists, strict=True):
        specs = tuple([t.spec for t in group])
        runner = _runners.get((key, specs))
        if runner is None:
            runner = _runners[key, specs] = _MultiRunner(program, specs, n)
        if runner.launch is not None:
            ptrs = [t.ptr for t in group]
            runner.launch(*ptrs[:n], *ptrs, *scalars)
        else:
            runner.backend.run_program(runner.typed, group[:n], group, scalars)
        for t in group[:n]:
            if t.mem.watch is None:
                t.mem.version += 1
            else:
                touched(t, name)
