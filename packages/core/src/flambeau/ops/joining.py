"""Joining tensors: cat, stack and their relatives; repetition; grids of several tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import registry
from .._tensor import Tensor
from ..errors import refuse
from ..layout import Spec, spec_of, wrap_dim
from ..op import ENTRIES, Call, composite, kernel
from ..plan import viewer
from .patterns import result_type_of
from .shapes import _listed as listed
from .shapes import atleast_1d, atleast_2d, atleast_3d
from .views import ints

if TYPE_CHECKING:
    from ..backend import Backend

#: Where a tensor goes: the part of the result as a spec, its place in bytes, and a prepared copy if there is one.
Part = tuple[Spec, int, "Callable[..., Any] | None"]


def _part(out: Spec, shape: Sequence[int], strides: tuple[int, ...], at: int, src: Spec) -> Part | None:
    if not src.numel:
        return None
    spec = spec_of(out.dtype, shape, out.device, strides)
    backend = registry.backend_of(out.device)
    launch = backend.plan("copy", (spec,), (src,), {}) if backend.addressed else None
    return spec, at, launch


def _copy_parts(b: Backend, o: Any, i: Any, a: dict[str, Any]) -> None:
    """Fill the result with copies of the operands."""
    out = o[0]
    step = out.spec.itemsize
    for t, part in zip(i, a["parts"], strict=True):
        if part is not None:
            spec, at, launch = part
            if launch is not None:
                launch(out.ptr + at * step, t.ptr)
            else:
                b.copy(viewer(out.spec, spec, at)(out), t)


ENTRIES["parts"] = _copy_parts


def _filled(op: str, out: Spec, specs: Sequence[Spec], dim: int, parts: list[Part | None]) -> Call:
    """By the backend's own kernel where it has one, else part by part."""
    backend = registry.backend_of(out.device)
    native = None if registry.settings["force_defaults"] else backend.kernel(op, list(specs), {"dim": dim})
    if native is not None:
        return Call(out, "native", {"dim": dim, "parts": parts})
    ready = [(p[1] * out.itemsize, p[2]) for p in parts if p is not None and p[2] is not None]

    def launch(to: int, *ptrs: int) -> None:
        for (at, copy), ptr in zip(ready, ptrs, strict=True):
            copy(to + at, ptr)

    whole = len(ready) == len(specs)
    return Call(out, "parts", {"dim": dim, "parts": parts}, launch=launch if whole else None)


def _nothing(s: Spec) -> bool:
    """Whether a tensor is one of shape [0], which joins anything."""
    return s.ndim == 1 and not s.shape[0]


def _cat_layout(specs: Sequence[Spec], dim: int) -> Call:
    if not specs:
        raise ValueError("[cat] expected a non-empty list of Tensors: got none.")
    for k, s in enumerate(specs):
        if not s.ndim:
            wrong = f"zero-dimensional tensor (at position {k}) cannot be concatenated"
            refuse("cat", wrong, do="Use stack, or reshape(1).")
    first = next((s for s in specs if not _nothing(s)), specs[0])
    d = wrap_dim(dim, first.ndim, "cat")
    total = 0
    for k, s in enumerate(specs):
        if _nothing(s):
            continue
        if s.ndim != first.ndim:
            wrong = f"Tensors must have same number of dimensions: got {first.ndim} and {s.ndim} "
            wrong += f"({list(first.shape)} and {list(s.shape)} at position {k})"
            refuse("cat", wrong)
        for e, (n, m) in enumerate(zip(s.shape, first.shape, strict=True)):
            if e != d and n != m:
                raise RuntimeError(
                    f"[cat] Sizes of tensors must match except in dimension {d}. Expected size {m} but got size {n} "
                    f"for tensor number {k} in the list: got {list(s.shape)}, the first is {list(first.shape)}."
                )
        total += s.shape[d]
    shape = (*first.shape[:d], total, *first.shape[d + 1 :])
    out = spec_of(result_type_of(specs), shape, first.device)
    parts = []
    at = 0
    for s in specs:
        parts.append(_part(out, s.shape, out.strides, at * out.strides[d], s))
        at += 0 if _nothing(s) else s.shape[d]
    return _filled("cat", out, specs, d, parts)


def _cat_gradient(g: Any, specs: Sequence[Spec], needs: Sequence[bool], dim: int) -> list[Any]:
    out, at = [], 0
    for s, need in zip(specs, needs, strict=True):
        if _nothing(s):
            out.append(g.new_zeros((0,)) if need else None)
            continue
        out.append(g.narrow(dim, at, s.shape[dim]) if need else None)
        at += s.shape[dim]
    return out


@kernel(
    method=False,
    aliases=("concat", "concatenate"),
    vjp={"tensors": lambda g, tensors_spec, needs, dim: _cat_gradient(g, tensors_spec, needs, dim)},
)
def cat(tensors: Sequence[Spec], dim: int = 0) -> Any:
    """Tensors one after the other along a dimension; dtypes promote; tensors of shape [0] are left out.

    Raises:
        RuntimeError: there are none, or sizes of the other dimensions differ.

    >>> import flambeau as fb
    >>> fb.cat([fb.zeros(2), fb.ones(1)])
    tensor([0., 0., 1.])
    """
    return _cat_layout(tensors, dim)


def _stack_layout(specs: Sequence[Spec], dim: int) -> Call:
    if not specs:
        raise RuntimeError("[stack] stack expects a non-empty TensorList: got none.")
    first = specs[0]
    for k, s in enumerate(specs):
        if s.shape != first.shape:
            wrong = f"stack expects each tensor to be equal size, but got {list(first.shape)} at entry 0 "
            wrong += f"and {list(s.shape)} at entry {k}"
            refuse("stack", wrong, do="Use cat for different sizes.")
    d = wrap_dim(dim, first.ndim + 1, "stack")
    out = spec_of(result_type_of(specs), (*first.shape[:d], len(specs), *first.shape[d:]), first.device)
    strides = (*out.strides[:d], *out.strides[d + 1 :])
    parts = [_part(out, s.shape, strides, k * out.strides[d], s) for k, s in enumerate(specs)]
    return _filled("stack", out, specs, d, parts)


@kernel(method=False, vjp={"tensors": lambda g, dim: list(g.unbind(dim))})
def stack(tensors: Sequence[Spec], dim: int = 0) -> Any:
    """Tensors of one shape along a new dimension."""
    return _stack_layout(tensors, dim)


def _some(op: str, tensors: Sequence[Tensor]) -> None:
    if not tensors:
        raise RuntimeError(f"[{op}] expects a non-empty TensorList: got none.")


@composite(method=False)
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the second dimension (vectors: the first)."""
    _some("hstack", tensors)
    parts = atleast_1d(tuple(tensors))
    return cat(parts, 0 if parts and parts[0].ndim == 1 else 1)  # type: ignore[no-any-return]


@composite(method=False, aliases=("row_stack",))
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the first dimension; vectors are rows."""
    _some("vstack", tensors)
    return cat(atleast_2d(tuple(tensors)), 0)  # type: ignore[no-any-return]


@composite(method=False)
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the third dimension."""
    _some("dstack", tensors)
    return cat(atleast_3d(tuple(tensors)), 2)  # type: ignore[no-any-return]


@composite(method=False)
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the second dimension; vectors are columns."""
    return cat([x.reshape(-1, 1) if x.ndim < 2 else x for x in tensors], 1)  # type: ignore[no-any-return]


# Repetition


@composite(function=False)
def repeat(self: Tensor, repeats: Sequence[int]) -> Tensor:
    """Copies of the whole tensor along each dimension.

    >>> import flambeau as fb
    >>> fb.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    times, s = ints(repeats), self.spec
    lead = len(times) - s.ndim
    if lead < 0:
        wrong = "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
        wrong += f"tensor: got {list(times)} for {list(s.shape)}"
        refuse("repeat", wrong)
    if any(n < 0 for n in times):
        refuse("repeat", f"Trying to create tensor with negative dimension: got repeats {list(times)}")
    shape = (1,) * lead + tuple(s.shape)
    total = [n * m for n, m in zip(times, shape, strict=True)]
    one: list[int] = []
    many: list[int] = []
    for n, m in zip(times, shape, strict=True):
        one += [1, m]
        many += [n, m]
    spread = self.reshape(one).expand(many)
    return spread.clone(memory_format="contiguous_format").view(total)


@composite()
def tile(self: Tensor, dims: Sequence[int]) -> Tensor:
    """Copies of the whole tensor; dimensions that are not named are not repeated."""
    times = ints(dims)
    return repeat(self, (1,) * (self.spec.ndim - len(times)) + times)  # type: ignore[no-any-return]


@composite()
def repeat_interleave(
    self: Tensor,
    repeats: int | Tensor | None = None,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> Tensor:
    """Each element repeated: the same number of times, or as a tensor of counts says.

    >>> import flambeau as fb
    >>> fb.tensor([5, 6]).repeat_interleave(fb.tensor([1, 2]))
    tensor([5, 6, 6])
    """
    if repeats is None:
        return _places(self, output_size)
    x = self.reshape(-1) if dim is None else self
    if not x.spec.ndim:
        x = x.reshape(1)
    d = 0 if dim is None else wrap_dim(dim, x.spec.ndim, "repeat_interleave")
    n = x.spec.shape[d]
    if isinstance(repeats, int):
        if repeats < 0:
            raise RuntimeError(f"[repeat_interleave] repeats can not be negative: got {repeats}.")
        shape = list(x.spec.shape)
        return (
            x.unsqueeze(d + 1)
            .expand([*shape[: d + 1], repeats, *shape[d + 1 :]])
            .contiguous()
            .flatten(d, d + 1)
        )
    if repeats.spec.ndim > 1 or repeats.spec.numel not in (1, n):
        refuse(
            "repeat_interleave",
            "repeats must have the same size as input along dim",
            f"{n} counts, or one",
            self=self,
            repeats=repeats,
        )
    return x.index_select(d, _places(repeats.reshape(-1).expand(n), output_size))


def _places(repeats: Tensor, output_size: int | None) -> Tensor:
    """Each position as often as its count says."""
    from .creation import ones, zeros

    if repeats.spec.ndim != 1 or repeats.spec.dtype.rank != 1:
        refuse("repeat_interleave", "repeats has to be a 1-d tensor of int64 or int32", repeats=repeats)
    n = repeats.spec.shape[0]
    if n and int(repeats.amin()) < 0:
        raise RuntimeError("[repeat_interleave] repeats can not be negative: got a negative count.")
    ends = repeats.long().cumsum(0)
    total = (int(ends[-1]) if n else 0) if output_size is None else output_size
    # Position p belongs to the element with as many ends at or before p.
    marks = zeros((total + 1,), dtype=ends.dtype, device=repeats.device)
    marks = marks.scatter_add(0, ends, ones((n,), dtype=ends.dtype, device=repeats.device))
    return marks.cumsum(0).narrow(0, 0, total)  # type: ignore[no-any-return]


# Grids


@composite(method=False)
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Each vector spread over the grid of all; ``indexing`` is ``"ij"`` (the default) or ``"xy"``."""
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'[meshgrid] indexing must be one of "xy" or "ij", but received: {indexing!r}.')
    given = [x.reshape(1) if not x.ndim else x for x in listed(tensors)]
    if not given:
        raise RuntimeError("[meshgrid] meshgrid expects a non-empty TensorList: got none.")
    for x in given:
        if x.ndim > 1:
            wrong = f"Expected 0D or 1D tensor in the tensor list but got: {list(x.shape)} {x.dtype.name}"
            refuse("meshgrid", wrong)
    swap = indexing == "xy" and len(given) > 1
    if swap:
        given[0], given[1] = given[1], given[0]
    shape = [x.shape[0] for x in given]
    grids = [
        x.reshape([n if k == e else 1 for e in range(len(shape))]).expand(shape)
        for k, (x, n) in enumerate(zip(given, shape, strict=True))
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@composite(function=False)
def sum_to_size(self: Tensor, size: Sequence[int]) -> Tensor:
    """Summed to a smaller shape that would broadcast to this one."""
    sizes, s = ints(size), self.spec
    lead = s.ndim - len(sizes)
    if lead < 0 or any(m not in (1, n) for n, m in zip(s.shape[lead:], sizes, strict=True)):
        wrong = f"size {list(sizes)} is not expandable to size {list(s.shape)}: needed: equal sizes, or 1"
        refuse("sum_to_size", wrong)
    if not sizes:
        return self.sum()
    dims = [d for d, n in enumerate(s.shape) if d < lead or (sizes[d - lead] == 1 and n != 1)]
    return self.sum(dims, keepdim=True).reshape(sizes) if dims else self
