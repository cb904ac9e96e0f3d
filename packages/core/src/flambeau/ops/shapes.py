"""Other shapes for the same elements: sizes of 1, merged and split dimensions, transposes; nearly all are views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from .._tensor import Tensor
from ..errors import refuse
from ..inplace import check_leaf, touched
from ..layout import Spec, broadcast_shapes, wrap_dim, wrap_dims
from ..op import composite
from ..op import view as view_op
from ..state import GRAD_OFF, modes
from .views import infer_sizes, ints, permute, see, transpose

# Sizes of 1


@view_op(vjp={"self": lambda g, self_spec: g.reshape(self_spec.shape)})
def squeeze(self: Spec, dim: int | Sequence[int] | None = None) -> Any:
    """Without its dimensions of size 1, or without those named if they have size 1."""
    dims = wrap_dims(None if dim is None else ints(dim), self.ndim, "squeeze")
    keep = [d for d in range(self.ndim) if d not in dims or self.shape[d] != 1]
    return [self.shape[d] for d in keep], [self.strides[d] for d in keep], 0


@view_op(vjp={"self": lambda g, self_spec: g.reshape(self_spec.shape)})
def unsqueeze(self: Spec, dim: int) -> Any:
    """With a dimension of size 1 put in before ``dim``."""
    d = wrap_dim(dim, self.ndim + 1, "unsqueeze")
    step = self.shape[d] * self.strides[d] if d < self.ndim else 1
    return (*self.shape[:d], 1, *self.shape[d:]), (*self.strides[:d], step, *self.strides[d:]), 0


# Merging and splitting dimensions


@lru_cache(4096)
def _flat_sizes(shape: tuple[int, ...], start: int, end: int) -> tuple[int, ...]:
    n = len(shape)
    a, b = wrap_dim(start, n, "flatten", "start_dim"), wrap_dim(end, n, "flatten", "end_dim")
    if a > b:
        wrong = f"flatten() has invalid args: start_dim cannot come after end_dim: got {start}, {end}"
        refuse("flatten", wrong)
    merged = 1
    for size in shape[a : b + 1]:
        merged *= size
    return (*shape[:a], merged, *shape[b + 1 :])


@composite()
def flatten(self: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions from ``start_dim`` to ``end_dim`` merged into one; a view where the memory allows it."""
    shape = self.spec.shape
    sizes = _flat_sizes(shape, start_dim, end_dim)
    if sizes == shape:
        return self
    return see(self, sizes) if self.spec.dense else self.reshape(sizes)


@composite()
def unflatten(self: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dimension split into several; a size may be -1."""
    s = self.spec
    d = wrap_dim(dim, s.ndim, "unflatten")
    wanted = ints(sizes)
    if not wanted:
        raise RuntimeError("[unflatten] unflatten: sizes must be non-empty.")
    try:
        split = infer_sizes("unflatten", wanted, s.shape[d] if s.ndim else 1)
    except RuntimeError:
        raise RuntimeError(
            f"[unflatten] provided sizes {list(wanted)} don't multiply up to the size of dim {d} "
            f"({s.shape[d] if s.ndim else 1}) in the input tensor: got {list(s.shape)}."
        ) from None
    return self.view((*s.shape[:d], *split, *s.shape[d + 1 :]))


@composite()
def ravel(self: Tensor) -> Tensor:
    """All elements in one dimension; a view where they lie in row-major order without gaps, else a copy."""
    return self.contiguous().reshape((-1,) if self.spec.numel else (0,))


# Order of dimensions


_ordered: Callable[[Tensor, tuple[int, ...]], Tensor] = permute.short()
_swapped: Callable[[Tensor, int, int], Tensor] = transpose.short()


@lru_cache(4096)
def _moved(n: int, source: Any, destination: Any) -> tuple[int, ...]:
    a, b = wrap_dims(source, n, "movedim"), wrap_dims(destination, n, "movedim")
    if len(a) != len(b):
        wrong = f"Invalid source or destination dims: source ({list(ints(source))}) should contain the same "
        wrong += f"number of dims as destination ({list(ints(destination))})"
        refuse("movedim", wrong)
    rest = iter([d for d in range(n) if d not in a])
    moved = dict(zip(b, a, strict=True))
    return tuple(moved[k] if k in moved else next(rest) for k in range(n))


@composite(aliases=("moveaxis",))
def movedim(self: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Dimensions moved to other places; the others keep their order; a view."""
    a = source if isinstance(source, int) else tuple(source)
    b = destination if isinstance(destination, int) else tuple(destination)
    return _ordered(self, _moved(self.spec.ndim, a, b))


@view_op(vjp={"self": lambda g: g.t()})
def t(self: Spec) -> Any:
    """The transpose of a matrix; vectors stay; a view."""
    if self.ndim > 2:
        wrong = f"t() expects a tensor with <= 2 dimensions, but self is {self.ndim}D: got "
        wrong += f"{list(self.shape)}"
        refuse("t", wrong, do="Use .mT or transpose().")
    return self.shape[::-1], self.strides[::-1], 0


@composite(name="reversed_dims", public=False)
def numpy_t(self: Tensor) -> Tensor:
    """All dimensions in reverse order; a view."""
    return _ordered(self, tuple(range(self.spec.ndim))[::-1])


@composite(name="matrix_transpose", public=False)
def matrix_t(self: Tensor) -> Tensor:
    """The transposes of the matrices in the last two dimensions; a view."""
    if self.spec.ndim < 2:
        raise RuntimeError(
            f"[mT] tensor.mT is only supported on matrices or batches of matrices: got {self.spec.ndim}-D tensor."
        )
    return _swapped(self, -2, -1)


@composite()
def adjoint(self: Tensor) -> Tensor:
    """The conjugate transposes of the matrices in the last two dimensions."""
    turned: Tensor = matrix_t(self)
    return turned.conj() if self.spec.dtype.is_complex else turned


@composite(name="hermitian", public=False)
def matrix_h(self: Tensor) -> Tensor:
    """The conjugate transpose of a matrix."""
    if self.spec.ndim not in (0, 2):
        wrong = f"tensor.H is only supported on matrices (2-D tensors): got {self.spec.ndim}-D tensor"
        refuse("H", wrong, do="Use .mH.")
    turned = _swapped(self, 0, 1) if self.spec.ndim else self.view(())
    return turned.conj() if self.spec.dtype.is_complex else turned


# Repeating without memory


@composite(function=False)
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Expanded to another tensor's shape; a view."""
    return self.expand(other.spec.shape)


@composite()
def broadcast_to(self: Tensor, size: Sequence[int]) -> Tensor:
    """Expanded to a shape; a view."""
    return self.expand(ints(size))


@composite(method=False)
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """All tensors expanded to the shape that they broadcast to."""
    given = _listed(tensors)
    shape = broadcast_shapes(*[x.spec.shape for x in given], op="broadcast_tensors")
    return tuple(x.expand(shape) for x in given)


def _listed(tensors: tuple[Any, ...]) -> Sequence[Any]:
    """Tensors given one by one or as one sequence."""
    return tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors


def _at_least(tensors: tuple[Any, ...], fit: Any) -> Any:
    if len(tensors) == 1 and not isinstance(tensors[0], (list, tuple)):
        return fit(tensors[0])
    return tuple(fit(x) for x in _listed(tensors))


@composite(method=False)
def atleast_1d(*tensors: Any) -> Any:
    """Tensors with at least one dimension."""
    return _at_least(tensors, lambda x: x if x.ndim else x.reshape(1))


@composite(method=False)
def atleast_2d(*tensors: Any) -> Any:
    """Tensors with at least two dimensions; vectors become rows."""
    return _at_least(
        tensors, lambda x: x if x.ndim > 1 else x.reshape(1, -1) if x.numel() else x.unsqueeze(0)
    )


def _solid(x: Any) -> Any:
    if x.ndim == 2:
        return x.unsqueeze(-1)
    return x if x.ndim > 2 else x.reshape(1, x.numel(), 1)


@composite(method=False)
def atleast_3d(*tensors: Any) -> Any:
    """Tensors with at least three dimensions; vectors lie along the middle one."""
    return _at_least(tensors, _solid)


# In place: the same tensor gets another shape


def _become(self: Any, seen: Any, op: str) -> Any:
    """Give a tensor the geometry (and history) of one of its views."""
    recording = not GRAD_OFF or modes.grad
    if recording:
        check_leaf(self, op)
    self.spec, self.ptr, self.offset = seen.spec, seen.ptr, seen.offset
    if recording and self.rg:
        self.node, self.nr = seen.node, seen.nr
    touched(op, self)
    if self.base is not None:
        self.seen = self.mem.version
    return self


def _quietly(self: Any) -> Any:
    """What an in-place change of shape starts from; leaves raise before anything is recorded."""
    if not GRAD_OFF or modes.grad:
        check_leaf(self, "view")
    return self


@composite(function=False, name="squeeze_in_place", export="squeeze_")
def squeeze_(self: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """In-place form of `squeeze`."""
    return _become(self, squeeze(_quietly(self), dim), "squeeze_")  # type: ignore[no-any-return]


@composite(function=False, name="unsqueeze_in_place", export="unsqueeze_")
def unsqueeze_(self: Tensor, dim: int) -> Tensor:
    """In-place form of `unsqueeze`."""
    return _become(self, unsqueeze(_quietly(self), dim), "unsqueeze_")  # type: ignore[no-any-return]


@composite(function=False, name="transpose_in_place", export="transpose_", aliases=("swapaxes_", "swapdims_"))
def transpose_(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """In-place form of `transpose`."""
    return _become(self, transpose(_quietly(self), dim0, dim1), "transpose_")  # type: ignore[no-any-return]


@composite(function=False, name="t_in_place", export="t_")
def t_(self: Tensor) -> Tensor:
    """In-place form of `t`."""
    return _become(self, t(_quietly(self)), "t_")  # type: ignore[no-any-return]


@composite(function=False, name="as_strided_in_place", export="as_strided_")
def as_strided_(
    self: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """In-place form of `as_strided`."""
    seen = _quietly(self).as_strided(size, stride, storage_offset)
    return _become(self, seen, "as_strided_")  # type: ignore[no-any-return]
