"""How this distribution makes records: `flambeau.plugin`'s, named after their namespace, with defaults on the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.plugin import Op, Spec, composite, kernel, pointwise

from ._host import on_host

__all__ = ["Space", "like"]


def like(t: Any, dtype: Any = None, shape: Sequence[int] | None = None) -> Spec:
    """The spec of a dense result on the device of an operand."""
    made: Spec = t.like(dtype, shape)
    return made


class Space:
    """Decorators for the records of a namespace; every field of `flambeau.plugin.Op` may be given.

    Args:
        name: the namespace; "" is the top level, whose records are functions and methods of tensors.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def fields(self, fn: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
        """What all records of the namespace have in common."""
        name = given.get("name") or fn.__name__.strip("_")
        if not self.name:
            return given | {"name": name}
        return (
            {"module": self.name, "method": False, "function": False, "export": name}
            | given
            | {"name": f"{self.name}.{name}"}
        )

    def host(self, run: Callable[..., Any], **given: Any) -> Callable[[Callable[..., Any]], Op]:
        """A kernel whose default is a function of arrays."""
        return lambda fn: kernel(default=on_host(run), **self.fields(fn, given))(fn)

    def composite(self, **given: Any) -> Callable[[Callable[..., Any]], Op]:
        """An op written in other ops."""
        return lambda fn: composite(**self.fields(fn, given))(fn)

    def pointwise(self, **given: Any) -> Callable[[Callable[..., Any]], Op]:
        """An elementwise program."""
        return lambda fn: pointwise(**self.fields(fn, given))(fn)
