"""The history of tensors that were written in place, and of their views.

An in-place change of a view is recorded on its base as "the base with this part replaced", and the view gets a
node that reads it back; other views of the base notice at their next use (`refresh_view`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import plan as plans
from . import registry, tape
from .layout import Spec, spec_of

if TYPE_CHECKING:
    from ._tensor import Tensor

__all__ = ["rebase", "refresh_view"]


class _Overwritten:
    """Gradient rules of writing a constant over a tensor."""

    name = "fill"

    def gradients(self, node: tape.Node, gs: list[Any]) -> list[Any]:
        """Zeros."""
        return [gs[0].new_zeros(node.kind.specs[0].shape)]


_OVERWRITTEN = _Overwritten()


def rebase(t: Tensor, value: Tensor) -> None:
    """Give a tensor that was written in place the history of what was written, and so its views and its base."""
    base = t.base
    if (base is None or not base.rg) and value.rg:
        owner: Any = t if base is None else base
        if owner.seen is not None:
            owner.seen.append(True)  # the views made so far want gradients from now on
            owner.seen = None
    floats = t.spec.dtype.is_floating_point or t.spec.dtype.is_complex
    if base is None:
        if value.rg and floats:
            t.node, t.nr, t.rg = (value.node or _pass_on(value)), value.nr, True
        elif t.rg:
            # Overwritten by a constant: still part of the graph, with a gradient of zeros.
            kind = tape.Kind(_OVERWRITTEN, [t.spec], (t.spec,))
            t.node, t.nr = tape.make_node(kind, [tape.edge_of(t)]), 0
        return
    real = t.spec.dtype is not base.spec.dtype
    if not (base.rg or value.rg) or (real and t.spec.dtype.to_real() is not base.spec.dtype.to_real()):
        return
    old = plans.TENSOR(base.spec, base.mem, base.ptr, base.offset)
    old.node, old.nr, old.rg = base.node, base.nr, base.rg
    whole, spec, start = _memory(tape.edge_of(old), base.spec, base.offset, real)
    value = registry.OPS["flip_sign"](value) if t.spec.flipped else value
    part, place = tape.edge_of(value), t.spec
    if real and place.dtype.is_complex:
        part, place, _ = _memory(part, place, 0, real)
    offset = t.offset * (2 if place is not t.spec else 1) - start
    attrs = {"size": place.shape, "stride": place.strides, "offset": offset}
    node = registry.OPS["as_strided_scatter"].rules.node([whole, part], [spec, place], attrs, (spec,))
    base.node, base.nr, base.rg = _elements((node, 0), spec, base.spec)[0], 0, True
    base.seen = base.mem.version
    refresh_view(t)


def _real(spec: Spec) -> Spec:
    """Complex numbers as pairs of real ones."""
    strides = (*(2 * k for k in spec.strides), 1)
    return spec_of(spec.dtype.to_real(), (*spec.shape, 2), spec.device, strides)


def _step(name: str, edge: Any, spec: Spec, out: Spec) -> Any:
    """An edge to what a view makes of something."""
    return None if edge is None else (registry.OPS[name].rules.node([edge], [spec], {}, (out,)), 0)


def _memory(edge: Any, spec: Spec, offset: int, real: bool) -> tuple[Any, Spec, int]:
    """From a tensor's edge that of what its memory holds, as real numbers where it is asked for."""
    if spec.flipped:
        edge = _step("flip_sign", edge, spec, spec)
    if real and spec.dtype.is_complex:
        return _step("view_as_real", edge, spec, _real(spec)), _real(spec), 2 * offset
    return edge, spec, offset


def _elements(edge: Any, held: Spec, spec: Spec) -> Any:
    """From the edge of what the memory holds that of a tensor of a spec."""
    if spec.dtype is not held.dtype:
        edge = _step("view_as_complex", edge, held, spec)
    return _step("flip_sign", edge, spec, spec) if spec.flipped else edge


def _pass_on(leaf: Tensor) -> tape.Node:
    copy = leaf.clone()
    assert copy.node is not None
    return copy.node


def refresh_view(t: Tensor) -> None:
    """Bring the node of a view up to date after its base, or another view of it, was written in place."""
    base = t.base
    assert base is not None
    t.seen = t.mem.version
    real = t.spec.dtype is not base.spec.dtype
    if base.node is None or (real and t.spec.dtype.to_real() is not base.spec.dtype.to_real()):
        if t.node is None and t.rg is not True:
            t.rg = False
        return
    whole, spec, start = _memory((base.node, base.nr), base.spec, base.offset, real)
    place, offset = (_real(t.spec), 2 * t.offset) if real and t.spec.dtype.is_complex else (t.spec, t.offset)
    attrs = {"size": place.shape, "stride": place.strides, "storage_offset": offset, "base_offset": start}
    node = registry.OPS["as_strided"].rules.node([whole], [spec], attrs, (place,))
    t.node, t.nr, t.rg = _elements((node, 0), place, t.spec)[0], 0, True


tape.refresh_view = refresh_view
