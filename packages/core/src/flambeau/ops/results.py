"""Named tuples that ops with several results return, as PyTorch's ``torch.return_types``."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

__all__ = ["named"]

_known: dict[str, Any] = {}


def named(op: str, fields: str, *values: Any) -> Any:
    """A named tuple of an op's results.

    >>> named("max", "values indices", 1, 2).indices
    2
    """
    cls = _known.get(op)
    if cls is None:
        cls = _known[op] = namedtuple(op, fields)  # noqa: PYI024
        cls.__module__ = "flambeau.return_types"
        names = fields.split()

        def show(self: Any) -> str:
            body = ",\n".join(f"{n}={v!r}" for n, v in zip(names, self, strict=True))
            return f"flambeau.return_types.{op}(\n{body})"

        setattr(cls, "__repr__", show)  # noqa: B010
    return cls(*values)
