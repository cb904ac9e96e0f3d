"""Writing into tensors that exist: in-place forms, ``out=``, views, and operands that share memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.plugin import OPS, inplace

from ..cases import Case, arguments, compare, each, records, run, takes
from ..values import tensors_in
from .base import SuiteBase

__all__ = ["Writing"]

_DTYPES = (fb.float32, fb.int64, fb.bfloat16)


def _in_place() -> dict[str, Case]:
    found = {}
    for target, k, sample in records(lambda t: t.op is not None and t.op.inplace):
        for dtype in _DTYPES:
            shapes = takes(target, dtype, k)
            if shapes and shapes[0] and [shapes[0]] == shapes[1]:
                found[f"{target.name}-{dtype.name}-{k}"] = Case(target, dtype, sample)
    return found


def _outs() -> dict[str, Case]:
    found = {}
    for target, k, sample in records(lambda t: t.op is not None and t.op.function and t.op.kind != "view"):
        dtype = fb.float32 if takes(target, fb.float32, k) else fb.int64
        shapes = takes(target, dtype, k)
        if shapes and shapes[0] and len(shapes[1]) == 1 and k < 3 and isinstance(shapes[1], list):
            args, out = run(Case(target, dtype, sample), "reference")
            if hasattr(out, "spec") and all(out.mem is not t.mem for t in tensors_in(args)):
                found[f"{target.name}-{k}"] = Case(target, dtype, sample)
    return found


class Writing(SuiteBase):
    """Writing into tensors that exist."""

    @each(_in_place())
    def test_in_place(self, case: Case) -> None:
        """The in-place form gives the function's result, also through a transposed view."""
        want = run(case, self.device)[1]
        args, kwargs = arguments(case, self.device)
        assert inplace(case.target.op, args[0], args[1:], kwargs) is args[0]
        compare(args[0], want, f"{case} in place")
        args, kwargs = arguments(case, self.device)
        if args[0].ndim:
            view = OPS["zeros"](tuple(args[0].shape)[::-1], dtype=case.dtype, device=self.device).permute(
                tuple(range(args[0].ndim))[::-1]
            )
            view.copy_(args[0])
            inplace(case.target.op, view, args[1:], kwargs)
            compare(view, want, f"{case} in place, transposed")

    @each(_outs())
    def test_out(self, case: Case) -> None:
        """``out=`` takes the result, dense or not, and nothing beside it is touched."""
        want = run(case, self.device)[1]
        args, kwargs = arguments(case, self.device)
        out = OPS["zeros"](tuple(want.shape), dtype=want.dtype, device=self.device)
        assert case.target.call(*args, **kwargs, out=out) is out
        compare(out, want, f"{case} with out=")
        if want.ndim:
            room = OPS["ones"]((*want.shape[:-1], 2 * want.shape[-1]), dtype=want.dtype, device=self.device)
            out = room[..., slice(None, None, 2)]
            case.target.call(*args, **kwargs, out=out)
            compare(out, want, f"{case} with a strided out=")
            beside = room[..., slice(1, None, 2)].to("reference")
            assert bool((beside == 1).all()), f"{case}: out= wrote beside the view"

    @each({name: name for name in "add sub mul maximum div".split()})
    def test_operands_that_share_memory(self, case: str) -> None:
        """Both operands one tensor; an in-place op on itself; parts of one memory that don't overlap."""
        values = np.arange(1.0, 13.0).reshape(3, 4)
        fn: Any = {
            "add": np.add,
            "sub": np.subtract,
            "mul": np.multiply,
            "maximum": np.maximum,
            "div": np.divide,
        }[case]
        x = self._of(values)
        compare(OPS[case](x, x), fn(values, values), case)
        inplace(OPS[case], x, [x], {})
        compare(x, fn(values, values), f"{case}_ on itself")
        x = self._of(values)
        inplace(OPS[case], x[:, :2], [x[:, 2:]], {})
        values[:, :2] = fn(values[:, :2], values[:, 2:])
        compare(x, values, f"{case}_ between parts")

    def test_overlapping_operands_are_refused(self) -> None:
        """Writing over what is being read elsewhere is an error, not a wrong answer."""
        x = self._of(np.arange(6.0))
        with pytest.raises(RuntimeError, match="single memory location"):
            x[1:].add_(x[:-1])
        with pytest.raises(RuntimeError, match="single memory location"):
            self._of(np.ones((1,))).expand((3,)).add_(1)

    @each(
        {"row": 1, "column": (slice(None), 2), "step": (slice(None, None, -2), slice(1, 3)), "mask": "mask"},
    )
    def test_assignment(self, case: Any) -> None:
        """Assignment through an index changes that part and no other."""
        values = np.arange(12.0).reshape(3, 4)
        x = self._of(values)
        if case == "mask":
            x[x > 5] = -1.0
            values[values > 5] = -1.0
        else:
            x[case] = 7.0
            values[case] = 7.0
        compare(x, values, f"x[{case}] = 7")

    def test_views_see_what_is_written(self) -> None:
        """A view and its base are one memory."""
        x = self._of(np.zeros((3, 4)))
        view = x.t()[1]
        view.add_(2)
        x[0, 1] = 5.0
        compare(view, np.array([5.0, 2.0, 2.0]), "view")
        compare(x, np.array([[0, 5.0, 0, 0], [0, 2, 0, 0], [0, 2, 0, 0]]), "base")

    def _of(self, values: Any) -> Any:

        return fb.from_numpy(np.array(values)).to("reference").to(fb.float32).to(self.device)
