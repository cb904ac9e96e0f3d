"""How tensors print: PyTorch's text, character for character, from Python numbers alone.

A value is formatted as a Python float of the options' precision. Of a tensor above the threshold only the
corners that are shown are fetched from its device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from .dtypes import DType, bool_, int64
from .state import get_default_dtype, modes

if TYPE_CHECKING:
    from ._tensor import Tensor

__all__ = ["get_printoptions", "printoptions", "set_printoptions", "tensor_str", "values_str"]


_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
_options = SimpleNamespace(**_PROFILES["default"], sci_mode=None)


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print; what is not given stays, except ``sci_mode``, which goes back to automatic.

    Args:
        precision: digits after the point.
        threshold: tensors of more elements are summarised.
        edgeitems: how many items a summary shows at both ends of each dimension.
        linewidth: characters per line.
        profile: ``"default"``, ``"short"`` or ``"full"``; the other arguments override it.
        sci_mode: scientific notation always, never, or (None) where the values ask for it.

    >>> import flambeau as fb
    >>> with fb.printoptions(precision=2):
    ...     print(fb.tensor([1.12345]))
    tensor([1.12])
    """
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    chosen = {k: v for k, v in given.items() if v is not None}
    if profile is not None:
        if profile not in _PROFILES:
            known = ", ".join(_PROFILES)
            raise ValueError(f"[set_printoptions] no such profile: got {profile!r}, needed: one of {known}.")
        chosen = {**_PROFILES[profile], **chosen}
    vars(_options).update(chosen, sci_mode=sci_mode)


def get_printoptions() -> dict[str, Any]:
    """The current options, as keyword arguments of `set_printoptions`."""
    return dict(vars(_options))


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Context manager: other options inside, the former ones after it."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def tensor_str(t: Tensor, *, tensor_contents: Any = None) -> str:
    """The text of a tensor, as ``repr`` and ``str`` show it. Interceptors don't see what printing computes."""
    watchers, modes.watchers = modes.watchers, ()
    try:
        return _tensor_str(t)
    finally:
        modes.watchers = watchers


def _tensor_str(t: Tensor) -> str:
    spec = t.spec
    name = type(t).__name__
    parameter = name == "Parameter"
    prefix = "tensor(" if parameter or name == "Tensor" else f"{name}("
    default = get_default_dtype()
    marks = []
    if spec.device.type != "cpu":
        index = "" if spec.device.index is not None or spec.device.type == "meta" else ":0"
        marks.append(f"device='{spec.device}{index}'")
    if spec.device.type == "meta":
        body, size, plain = "...", True, spec.dtype is default
    elif spec.numel == 0:
        body, size, plain = "[]", spec.ndim != 1, spec.dtype is default
    else:
        body = values_str(t.detach(), spec.dtype, len(prefix))
        size = not _options.edgeitems
        plain = spec.dtype in (default, default.to_complex(), int64, bool_)
    if size:
        marks.append(f"size={tuple(spec.shape)}")
    if not plain:
        marks.append(f"dtype={spec.dtype!r}")
    node = t.grad_fn
    if node is not None:
        marks.append(f"grad_fn=<{node.name()}>")
    elif t.requires_grad:
        marks.append("requires_grad=True")
    text = prefix + body
    room = _options.linewidth - (len(text) - text.rfind("\n") + 1)
    for mark in marks:
        room -= len(mark) + 2
        if room >= 0:
            text += f", {mark}"
        else:
            text += f",\n{' ' * len(prefix)}{mark}"
            room = _options.linewidth - len(prefix) - len(mark)
    return f"Parameter containing:\n{text})" if parameter else f"{text})"


def values_str(view: Any, dtype: DType, indent: int) -> str:
    """The bracketed values of a tensor or array that has at least one element.

    Args:
        view: has ``shape``, ``tolist()`` and slicing.
        dtype: its element type.
        indent: the column at which the text starts.
    """
    shape: tuple[int, ...] = tuple(view.shape)
    summary = shape != () and math.prod(shape) > _options.threshold
    edge = _options.edgeitems
    if summary and not edge:
        return "[...]"
    nested = _edges(view, edge, 0) if summary else view.tolist()
    flat = nested
    for _ in shape[1:]:
        flat = [x for row in flat for x in row]
    show, width = _formatter(flat if shape else [flat], dtype)
    cut = [summary and n > 2 * edge for n in shape]
    return _nest(nested, cut, indent, show, width) if shape else show(nested)


def _edges(view: Any, edge: int, dim: int) -> Any:
    """Nested lists of the first and last items along each dimension, or of all where there are few."""
    if dim == len(view.shape):
        return view.tolist()
    if view.shape[dim] <= 2 * edge:
        return _edges(view, edge, dim + 1)
    outer = (slice(None),) * dim
    head = _edges(view[(*outer, slice(None, edge))], edge, dim + 1)
    tail = _edges(view[(*outer, slice(view.shape[dim] - edge, None))], edge, dim + 1)
    return _join(head, tail, dim)


def _join(a: list[Any], b: list[Any], depth: int) -> list[Any]:
    return [_join(x, y, depth - 1) for x, y in zip(a, b, strict=True)] if depth else a + b


def _nest(rows: list[Any], cut: Sequence[bool], indent: int, show: Callable[[Any], str], width: int) -> str:
    """Lists in brackets; ``cut`` tells at which dimensions the middle was left out."""
    half = _options.edgeitems
    if len(cut) > 1:
        parts = [_nest(row, cut[1:], indent + 1, show, width) for row in rows]
        if cut[0]:
            parts.insert(half, "...")
        return "[" + ("," + "\n" * (len(cut) - 1) + " " * (indent + 1)).join(parts) + "]"
    parts = [show(value) for value in rows]
    if cut[0]:
        parts.insert(half, " ...")
    per_line = max(1, math.floor((_options.linewidth - indent) / (width + 2)))
    lines = [", ".join(parts[i : i + per_line]) for i in range(0, len(parts), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _formatter(values: Sequence[Any], dtype: DType) -> tuple[Callable[[Any], str], int]:
    """How to show one value, and the width that a line reckons with."""
    if dtype.is_complex:
        real, real_width = _float_formatter([v.real for v in values])
        imag, imag_width = _float_formatter([v.imag for v in values])

        def show_complex(value: complex) -> str:
            text = imag(value.imag).lstrip()
            return f"{real(value.real)}{'' if text[0] in '+-' else '+'}{text}j"

        return show_complex, real_width + imag_width + 1
    if dtype.is_floating_point:
        return _float_formatter(values)
    width = max(len(str(v)) for v in values)
    return lambda value: f"{value!s:>{width}}", width


def _float_formatter(values: Sequence[float]) -> tuple[Callable[[float], str], int]:
    """One notation and width for all: decided by the finite values other than zero."""
    known = [v for v in values if v and math.isfinite(v)]
    precision = _options.precision
    whole = all(v.is_integer() for v in known)
    scientific = bool(known and _options.sci_mode)
    if known and _options.sci_mode is None:
        low, high = min(map(abs, known)), max(map(abs, known))
        scientific = high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4

    def plain(value: float) -> str:
        if scientific:
            return f"{value:.{precision}e}"
        if whole:
            return f"{value:.0f}." if math.isfinite(value) else str(value)
        return f"{value:.{precision}f}"

    width = max([len(plain(v)) for v in known], default=1)
    return lambda value: plain(value).rjust(width), width
