"""Copies with one part replaced: select_scatter, slice_scatter, diagonal_scatter."""

from __future__ import annotations

from typing import Any

from .. import registry
from .._tensor import Tensor
from ..errors import refuse
from ..layout import Spec, wrap_dim
from ..op import Call, composite, kernel
from .slicing import Key, diagonal, key_along, slice_view, zeros_of


def _replaced(place: Any, self: Any, src: Any, *args: Any) -> Any:
    out = self.clone()
    registry.backend_of(out.spec.device).copy(place(out, *args), src)
    return out


@kernel(
    public=False,
    vjp={
        "self": lambda g, src_spec, key: put_slice(g, zeros_of(src_spec.like(g.spec.dtype)), key),  # type: ignore[has-type]
        "src": lambda g, key: slice_view(g, key),
    },
    default=lambda self, src, key: _replaced(slice_view, self, src, key),
)
def put_slice(self: Spec, src: Spec, key: Key) -> Any:
    """A copy with the part that a key describes replaced."""
    shape = tuple(slice_view.fn(self, key)[0])
    if src.shape != shape:
        refuse("scatter", "expected src to have a size equal to the slice of self", f"{list(shape)}", src=src)
    return Call(self.like())


@composite()
def select_scatter(self: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy with one place of a dimension replaced by ``src``."""
    d = wrap_dim(dim, self.spec.ndim, "select_scatter")
    n = self.spec.shape[d]
    if not -n <= index < n:
        raise IndexError(f"[select_scatter] index {index} is out of bounds for dimension {d} with size {n}.")
    return put_slice(self, src, key_along(self.spec.shape, d, index % n))  # type: ignore[no-any-return]


@composite()
def slice_scatter(
    self: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """A copy with places ``start`` to ``end`` of a dimension replaced by ``src``."""
    if step <= 0:
        raise RuntimeError(f"[slice_scatter] slice step must be positive: got {step}.")
    d = wrap_dim(dim, self.spec.ndim, "slice_scatter")
    places = range(*slice(start, end, step).indices(self.spec.shape[d]))
    first = places.start if len(places) else 0
    return put_slice(self, src, key_along(self.spec.shape, d, (first, len(places), step)))  # type: ignore[no-any-return]


@kernel(
    vjp={
        "self": lambda g, src_spec, offset, dim1, dim2: diagonal_scatter(  # type: ignore[has-type]
            g, zeros_of(src_spec.like(g.spec.dtype)), offset, dim1, dim2
        ),
        "src": lambda g, offset, dim1, dim2: g.diagonal(offset, dim1, dim2),
    },
    default=lambda self, src, offset, dim1, dim2: _replaced(diagonal, self, src, offset, dim1, dim2),
)
def diagonal_scatter(self: Spec, src: Spec, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A copy with a diagonal replaced by ``src``."""
    shape = tuple(diagonal.fn(self, offset, dim1, dim2)[0])
    if src.shape != shape:
        refuse(
            "diagonal_scatter",
            "expected src to have a size equal to the diagonal of self",
            f"{list(shape)}",
            src=src,
        )
    return Call(self.like())
