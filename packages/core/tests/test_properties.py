"""Every record gives the same on any memory layout: negative, repeating, overlapping and permuted strides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import flambeau as fb
from flambeau.testing.samples import Target, targets
from flambeau.testing.values import build, mapped, tensors_in


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


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@settings(
    max_examples=4,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_layouts(target: Target, data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(target.samples))
    dtype = getattr(fb, data.draw(st.sampled_from(DTYPES)))
    layout = data.draw(st.sampled_from(LAYOUTS))

    def strided(a: Any) -> Any:
        # Indices keep their values: repeating them could make them clash.
        return layout(a) if a.dtype is dtype else _gaps(a)

    seed = f"{target.name}{sample!r}"
    args = mapped(build(list(sample.args), dtype, "cpu", seed), strided)
    kwargs = {k: mapped(build(v, dtype, "cpu", seed + k), strided) for k, v in sample.kwargs.items()}
    plain = mapped(args, lambda t: t.clone(memory_format=fb.contiguous_format))
    plain_kwargs = {
        k: mapped(v, lambda t: t.clone(memory_format=fb.contiguous_format)) for k, v in kwargs.items()
    }
    before = [_array(t).copy() for t in tensors_in([args, kwargs])]
    got, wrong = _outcome(target, args, kwargs)
    want, refused = _outcome(target, plain, plain_kwargs)
    assert wrong is refused
    for a, b in zip(tensors_in(got), tensors_in(want), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        loose = {"float16": 1e-2, "bfloat16": 5e-2}.get(a.dtype.name, 1e-5)
        np.testing.assert_allclose(_array(a), _array(b), rtol=loose, atol=loose, equal_nan=True)
    for t, old in zip(tensors_in([args, kwargs]), before, strict=True):
        np.testing.assert_array_equal(_array(t), old)
