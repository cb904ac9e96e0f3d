"""``view_copy``, ``expand_copy``...: the ops that give views, giving copies instead."""

from __future__ import annotations

from typing import Any

from ..op import composite
from ..registry import OPS
from . import complexes, shapes, slicing, splitting, views  # noqa: F401  (their records are read below)


def _copies(result: Any) -> Any:
    return tuple(part.clone() for part in result) if isinstance(result, tuple) else result.clone()


def _copy_of(name: str) -> None:
    op = OPS[{"as_strided": "as_strided_view"}.get(name, name)]

    def fn(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return _copies(op(self, *args, **kwargs))
        except IndexError as e:  # of narrow_copy PyTorch's type for dimensions out of range is another
            raise (RuntimeError(str(e)) if name == "narrow" else e) from None

    fn.__doc__ = f"What `{name}` gives, as a copy."
    composite(name=name + "_copy", method=name == "narrow")(fn)


for _name in (
    "as_strided diagonal expand narrow permute select split_with_sizes squeeze t transpose unbind unfold unsqueeze "
    "view view_as_complex view_as_real"
).split():
    _copy_of(_name)


@composite(method=False)
def alias_copy(self: Any) -> Any:
    """A copy."""
    return self.clone()


@composite(name="resize_as", export="resize_as_")
def resize_as_(self: Any, other: Any, memory_format: Any = None) -> Any:
    """Resized in place to another tensor's shape."""
    return self.resize_(other.spec.shape)
