"""Every record gives the same for other shapes and dtypes on any memory layout: negative, repeating, overlapping and
permuted strides. The oracle is the reference backend on dense operands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import flambeau as fb
from flambeau.testing.samples import Target, targets
from flambeau.testing.values import T, build, mapped, tensors_in


def _backwards(t: fb.Tensor) -> fb.Tensor:
    return t[tuple(slice(None, None, -1) for _ in t.shape)]


def _permuted(t: fb.Tensor) -> fb.Tensor:
    order = list(reversed(range(t.ndim)))
    return t.permute(order).contiguous().permute(order)


def _repeated(t: fb.Tensor) -> fb.Tensor:
    return t[:1].expand(t.shape) if t.ndim and t.shape[0] else t


def _overlapping(t: fb.Tensor) -> fb.Tensor:
    """Neighbours along all dimensions share memory."""
    return t.reshape(-1).as_strided(t.shape, (1,) * t.ndim) if t.numel() else t


def _gaps(t: fb.Tensor) -> fb.Tensor:
    wide = fb.stack([t, t], -1)
    return wide[..., 1]


LAYOUTS: tuple[Callable[[fb.Tensor], fb.Tensor], ...] = (
    _backwards,
    _permuted,
    _repeated,
    _overlapping,
    _gaps,
)
DTYPES = ("float32", "float64", "float16", "bfloat16", "complex64", "int64", "int8", "uint8", "bool")
#: Names whose result depends on more than the values, and why.
DIFFERENT = {
    **dict.fromkeys(("empty_like", "is_contiguous"), "uninitialised"),
    **dict.fromkeys(("view", "view_as", "view_dtype", "view_shape", "as_strided"), "about memory"),
}
TARGETS = [t for t in targets() if t.name not in DIFFERENT]


def _outcome(target: Target, args: list[Any], kwargs: dict[str, Any]) -> Any:
    try:
        return target.call(*args, **kwargs), None
    except Exception as e:
        return None, type(e)


def _array(t: fb.Tensor) -> Any:
    return (t.to(fb.float32) if t.dtype is fb.bfloat16 else t).numpy(force=True)


def _resized(value: Any, sizes: dict[int, int]) -> Any:
    """A sample's argument with other sizes: equal ones stay equal, 0 and 1 stay."""
    if isinstance(value, T):
        shape = [sizes.get(n, n) for n in value.shape]
        return T(*shape, low=value.low, high=value.high, kind=value.kind, distinct=value.distinct)
    if isinstance(value, (list, tuple)):
        return type(value)(_resized(v, sizes) for v in value)
    return value


def _sizes(value: Any) -> set[int]:
    if isinstance(value, T):
        return {n for n in value.shape if n > 1}
    return {n for v in value for n in _sizes(v)} if isinstance(value, (list, tuple)) else set()


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@settings(
    max_examples=4,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_shapes_strides_and_dtypes(target: Target, data: st.DataObject) -> None:
    """What the reference backend gives for dense operands, any layout gives, and refuses what it refuses."""
    sample = data.draw(st.sampled_from(target.samples))
    names = list(sample.kwargs)
    values = [*sample.args, *sample.kwargs.values()]
    sizes = {n: data.draw(st.one_of(st.just(n), st.integers(0, 7))) for n in sorted(_sizes(values))}
    values = [_resized(v, sizes) for v in values]
    dtype = getattr(fb, data.draw(st.sampled_from(DTYPES)))
    # Now and then the operands' dtypes differ.
    dtypes = [
        dtype if data.draw(st.integers(0, 3)) else getattr(fb, data.draw(st.sampled_from(DTYPES)))
        for _ in values
    ]
    dtypes[:1] = [dtype] if dtypes else []
    layout = data.draw(st.sampled_from(LAYOUTS))
    seed = f"{target.name}{sample!r}"
    held = [build(v, d, "cpu", f"{seed}{k}") for k, (v, d) in enumerate(zip(values, dtypes, strict=True))]

    def strided(t: Any) -> Any:
        # Indices keep their values: repeating them could make them clash.
        return layout(t) if t.dtype in dtypes else _gaps(t)

    def called(values: list[Any]) -> Any:
        n = len(sample.args)
        return _outcome(target, values[:n], dict(zip(names, values[n:], strict=True)))

    laid = mapped(held, strided)
    plain = mapped(laid, lambda t: t.clone(memory_format=fb.contiguous_format).to("reference"))
    before = [_array(t).copy() for t in tensors_in(laid)]
    got, wrong = called(laid)
    want, refused = called(plain)
    assert wrong is refused
    for a, b in zip(tensors_in(got), tensors_in(want), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        loose = {"float16": 1e-2, "bfloat16": 5e-2, "float64": 1e-9, "complex128": 1e-9}.get(
            a.dtype.name, 1e-5
        )
        np.testing.assert_allclose(_array(a), _array(b.cpu()), rtol=loose, atol=loose, equal_nan=True)
    for t, old in zip(tensors_in(laid), before, strict=True):
        np.testing.assert_array_equal(_array(t), old)
