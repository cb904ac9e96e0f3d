"""The grammar of error messages and the exceptions that PyTorch has no built-in type for.

Every message reads ``[op] what was wrong: what was got, what is needed. What to do.``
"""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = [
    "BackendError", "DeviceUnavailable", "FallbackWarning", "OutOfMemoryError", "OutOfRange", "bad_index", "describe",
    "is_ours", "message", "refuse",
]  # fmt: skip


class OutOfMemoryError(RuntimeError):
    """An allocation failed; nothing was written and the program can go on."""


class BackendError(RuntimeError):
    """A device's backend is missing, failed to load, or speaks another contract version."""


class DeviceUnavailable(BackendError):
    """A device's plugin is in order, but this machine has no such device, or lacks what it takes to use it."""


class OutOfRange(IndexError, RuntimeError):
    """An index beyond the size of its dimension. PyTorch raises RuntimeError in some ops and IndexError in others;
    this is both, because one kernel serves them all.
    """


class FallbackWarning(UserWarning):
    """An op ran on the host because the device can't do it."""


def is_ours(frame: Any) -> bool:
    """Whether a stack frame is flambeau's own, and not a line of the program (tests that are shipped are programs)."""
    name: str = frame.f_globals.get("__name__", "")
    return name.startswith("flambeau") and not name.startswith("flambeau_testing")


def describe(value: Any) -> str:
    """Say what a value is, for a message: a tensor by shape, dtype and device, anything else by type and value.

    >>> describe(3)
    'int 3'
    """
    spec = getattr(value, "spec", value if hasattr(value, "dense") else None)  # a Spec stands for its tensor
    if spec is not None:
        return f"{list(spec.shape)} {spec.dtype.name} {spec.device}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__} of {len(value)}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"


def message(op: str, wrong: str, need: str = "", do: str = "", **got: Any) -> str:
    """Build a message of the grammar.

    Args:
        op: the op's public name.
        wrong: what was wrong, no full stop.
        need: what is needed.
        do: a whole sentence: what to do.
        got: the operands by argument name.

    >>> message("add", "shapes don't broadcast", "equal sizes or 1", "Use reshape.", alpha=3)
    "[add] shapes don't broadcast: got alpha: int 3; needed: equal sizes or 1. Use reshape."
    """
    text = f"[{op}] {wrong}"
    if got:
        text += ": got " + ", ".join(f"{name}: {describe(v)}" for name, v in got.items())
    if need:
        text += f"{';' if got else ':'} needed: {need}"
    return f"{text}. {do}" if do else f"{text}."


def refuse(
    op: str, wrong: str, need: str = "", do: str = "", *, error: type[Exception] = RuntimeError, **got: Any
) -> NoReturn:
    """Raise an error with a message of the grammar; for its parts see `message`.

    Args:
        error: the exception's type, PyTorch's for that mistake.
    """
    raise error(message(op, wrong, need, do, **got))


def bad_index(op: str, got: Any, dim: int, size: int, where: str = "") -> OutOfRange:
    """The error of an index that lies beyond its dimension: what `gather` and `scatter` of every backend raise.

    Args:
        op: the entry.
        got: the first bad index.
        dim: the dimension that it points into.
        size: of that dimension.
        where: more about it, where that is known: ``" at position [1, 0]"``.

    >>> print(bad_index("gather", 7, 0, 4))
    [gather] index out of bounds for dimension 0 with size 4: got 7; needed: a number in [0, 3]. Check the index.
    """
    need = f"a number in [0, {size - 1}]" if size else "an empty index"
    wrong = f"index out of bounds for dimension {dim} with size {size}: got {got}{where}"
    return OutOfRange(f"[{op}] {wrong}; needed: {need}. Check the index.")
