"""Values: every record over dtypes, sample calls, layouts and extreme operands; inputs stay as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fb

from ..cases import REFUSALS, Case, compare, each, expected, records, run, sampled, snapshot, takes
from ..oracles import ORACLES
from ..samples import Target
from ..values import T, tensors_in
from .base import SuiteBase

__all__ = ["Forward"]

_FLOATS = (fb.float32, fb.float64, fb.float16, fb.bfloat16)
#: Dtypes of every sample call, and those of the first two only.
_MAIN = (fb.float32, fb.int64, fb.bool, fb.complex64)
_REST = (fb.float64, fb.float16, fb.bfloat16, fb.int32, fb.uint8, fb.int16, fb.complex128, fb.uint32, fb.int8)


def _dtypes(target: Target, k: int) -> tuple[fb.dtype, ...]:
    if target.floats:
        return _FLOATS if k < 2 else _FLOATS[:2]
    return (*_MAIN, *_REST) if k < 2 else _MAIN


FORWARD = {
    f"{target.name}-{dtype.name}-{k}": Case(target, dtype, sample)
    for target, k, sample in records()
    for dtype in _dtypes(target, k)
}

LAYOUTS: dict[str, tuple[Case, str]] = {}


def _operands(sample: Any) -> list[T]:
    def walk(value: Any) -> list[T]:
        if isinstance(value, T):
            return [value]
        return [t for v in value for t in walk(v)] if isinstance(value, (list, tuple)) else []

    return walk([*sample.args, *sample.kwargs.values()])


for _target, _k, _sample in records(lambda target: bool(target.samples[0].tensors)):
    _dtype = fb.float32 if takes(_target, fb.float32) else fb.int64
    for _how in ("step", "transposed", "negative", "expanded"):
        if _how != "expanded" or not any(t.distinct for t in _operands(_sample)):
            LAYOUTS[f"{_target.name}-{_how}-{_k}"] = (Case(_target, _dtype, _sample), _how)

#: Values at which functions of one variable are tried.
_EXTREMES = [
    np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 1e30, -1e30, 0.5, -0.5, 1.5, 2.5, -2.5, 88.0, -88.0,
    1e-7, 100.25, 16777216.0, -16777217.0,
]  # fmt: skip
_PAIRS = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.5, 3.0]
EXTREMES = {
    f"{target.name}-{dtype.name}": Case(target, dtype, target.samples[0])
    for target in sampled()
    for dtype in (fb.float32, fb.float64)
    if target.op is not None
    and target.op.kind == "pointwise"
    and target.name in ORACLES
    and target.name not in ("lgamma", "copysign", "nan_to_num", "lerp", "addcmul", "addcdiv")
    and 1 <= len(target.samples[0].args) <= 2
    and takes(target, dtype)
}


class Forward(SuiteBase):
    """Values."""

    @each(FORWARD)
    def test_forward(self, case: Case) -> None:
        """The oracle's values, the reference's shape and dtype, inputs as they were, the same refusals."""
        try:
            like = run(case, "reference")[1]
        except REFUSALS as error:

            def refused() -> None:
                run(case, self.device)
                self.backend.synchronize(0)  # an asynchronous device may refuse late

            with pytest.raises((type(error), RuntimeError, TypeError)):
                refused()
            return
        before: list[bytes] = []

        def watched(*args: Any, **kwargs: Any) -> Any:
            before.extend(snapshot([args, kwargs]))
            return case.target.call(*args, **kwargs)

        args, got = run(case, self.device, call=watched)
        assert snapshot(args) == before, f"{case}: an input was modified"
        for x, y in zip(tensors_in(got), tensors_in(like), strict=True):
            assert (x.dtype, x.shape) == (y.dtype, y.shape), (
                f"{case}: got {x.dtype} {x.shape}, expected {y.dtype} {y.shape}"
            )
            assert x.device is fb.device(self.device).home, f"{case}: the result is on {x.device}"
        compare(got, expected(case), str(case), 1 if case.dtype.rank < 2 else 4)

    @each(LAYOUTS)
    def test_layout(self, case: tuple[Case, str]) -> None:
        """Operands of other strides (steps, transposed, negative, repeated by 0) give what dense ones give."""
        call, how = case
        try:
            dense = run(call, self.device, "repeated" if how == "expanded" else "dense")[1]
        except REFUSALS as error:  # such as a singular matrix
            with pytest.raises(type(error)):
                run(call, self.device, how)
            return
        try:
            got = run(call, self.device, how)[1]
        except RuntimeError:
            if "view" in call.target.name:
                return  # memory that isn't laid out for a view
            raise
        compare(got, dense, f"{call} with {how} operands", 4)

    @each(EXTREMES)
    def test_extremes(self, case: Case) -> None:
        """NaN, infinities, zeros, tiny and huge numbers."""

        if len(case.sample.args) == 1:
            operands = [np.array(_EXTREMES)]
        else:
            operands = [np.repeat(_PAIRS, len(_PAIRS)), np.tile(_PAIRS, len(_PAIRS))]
        tensors = [fb.from_numpy(a).to("reference").to(case.dtype) for a in operands]
        with np.errstate(all="ignore"):
            want = ORACLES[case.target.name](*[t.numpy().astype(np.float64) for t in tensors])
        got = case.target.call(*[t.to(self.device) for t in tensors])
        compare(got, want, f"{case.target.name} of {operands[0].tolist()}", 4)
