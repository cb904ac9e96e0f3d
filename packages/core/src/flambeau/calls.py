"""What the backend has to do for an op: the call that an `infer` function decides on, and how entries are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from .layout import Spec

if TYPE_CHECKING:
    from .backend import Backend

__all__ = ["ENTRIES", "Call"]


class Call(NamedTuple):
    """What an `infer` function decides: outputs, and what the backend has to do.

    Args:
        outs: the results' specs (one Spec, or a tuple).
        entry: a required entry of the backend contract, or ``"native"``: the op's kernel, else its default.
        attrs: arguments for the entry; they also replace the attributes that gradient rules see.
        outs_as, ins_as: other specs through which the backend sees the same memory.
        mutates: parameters that this call writes to (default: those that the record names).
        launch: a launch of the entry that is prepared already, where the backend has addresses.
    """

    outs: Spec | tuple[Spec | None, ...]  # None: a native kernel is asked to leave that result out
    entry: str = "native"
    attrs: dict[str, Any] | None = None
    outs_as: tuple[Spec, ...] | None = None
    ins_as: tuple[Spec | None, ...] | None = None
    mutates: tuple[str, ...] | None = None
    launch: Callable[..., Any] | None = None

    @property
    def specs(self) -> tuple[Any, ...]:
        """The results' specs, in a tuple also where there is one."""
        return (self.outs,) if isinstance(self.outs, Spec) else self.outs


def _scatter(b: Backend, o: Any, i: Any, a: dict[str, Any]) -> None:
    """scatter(input, index, src): the output starts as a copy of the input."""
    b.copy(o[0], i[0])
    b.scatter(o[0], a["dim"], i[1], i[2], a["reduce"])


#: Required entries: how each is called with (backend, outs, ins, attrs).
ENTRIES: dict[str, Callable[[Backend, Any, Any, dict[str, Any]], None]] = {
    "reduce": lambda b, o, i, a: b.reduce(a["kind"], o[0], i[0], a["dims"]),
    "scan": lambda b, o, i, a: b.scan(a["kind"], o[0], i[0], a["dim"]),
    "scan2": lambda b, o, i, a: b.scan2(a["kind"], o[0], o[1], i[0], a["dim"]),
    "matmul": lambda b, o, i, a: b.matmul(o[0], i[0], i[1]),
    "gather": lambda b, o, i, a: b.gather(o[0], i[0], a["dim"], i[1]),
    "sort": lambda b, o, i, a: b.sort(o[0], o[1], i[0], a["dim"], a["descending"], a["stable"]),
    "copy": lambda b, o, i, a: b.copy(o[0], i[0]),
    "scatter": _scatter,
}
