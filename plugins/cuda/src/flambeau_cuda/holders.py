"""Who holds a device's memory: parameters, gradients, optimizer state, what graphs keep; for out-of-memory errors."""

from __future__ import annotations

import gc
from typing import Any

from flambeau import Tensor

__all__ = ["holders", "human", "report"]


def _tensors(value: Any) -> list[Any]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in _tensors(v)] if isinstance(value, (list, tuple)) else []


def _own(o: Any) -> Any:
    """An object's own attributes, past what its class may do when it is asked for them."""
    try:
        return object.__getattribute__(o, "__dict__")
    except (AttributeError, TypeError):
        return {}


def report(device: str, index: int) -> list[tuple[str, int]]:
    """What holds memory of a device, and how many bytes each, most first.

    Every storage counts once: for the first of a module's parameter or buffer (by its path), a gradient, optimizer
    state, other tensors (results that are alive, what graphs have saved).
    """
    gc.collect()
    seen: set[int] = set()
    found: dict[str, int] = {}

    def count(label: str, t: Any) -> None:
        mem = t.mem
        place = mem.device
        if place.type == device and place.slot == index and id(mem) not in seen:
            seen.add(id(mem))
            found[label] = found.get(label, 0) + mem.nbytes

    objects = gc.get_objects()
    types = set(map(type, objects))  # few, where objects are millions

    def those(*names: str) -> list[Any]:
        wanted = {t for t in types if all(hasattr(t, name) for name in names)}
        return [o for o in objects if type(o) in wanted]

    modules = those("named_parameters", "named_modules")
    inner = {id(m) for o in modules for name, m in o.named_modules() if name}
    for root in modules:
        if id(root) in inner:
            continue
        kind = type(root).__name__
        named = [("parameters", n, p) for n, p in root.named_parameters()]
        named += [("buffers", n, b) for n, b in root.named_buffers()]
        for what, name, t in named:
            layer = name.rpartition(".")[0] or "itself"
            count(f"{what} of {kind}.{layer}", t)
            if t.grad is not None:
                count(f"gradients of {kind}.{layer}", t.grad)
    for o in those("step", "zero_grad"):
        state = _own(o).get("state")
        if isinstance(state, dict):
            for t in _tensors(list(state.values())):
                count(f"state of {type(o).__name__}", t)
    tensors = {t for t in types if issubclass(t, Tensor)}
    for o in objects:
        if type(o) in tensors:
            count("saved for backward and results" if o.node is not None else "other tensors", o)
    return sorted(found.items(), key=lambda item: -item[1])


def holders(device: str, index: int, most: int = 6) -> str:
    """The largest holders as a sentence; empty where none is known."""
    try:
        found = report(device, index)
    except Exception:  # an error on the way to an error message must not hide the message
        return ""
    if not found:
        return ""
    parts = [f"{label} {human(n)}" for label, n in found[:most]]
    rest = sum(n for _, n in found[most:])
    if rest:
        parts.append(f"others {human(rest)}")
    return f" Held by: {', '.join(parts)}."


def human(n: float) -> str:
    """Bytes in words.

    >>> human(3 << 20)
    '3 MiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if n < 1024 or unit == "TiB":
            break
        n /= 1024
    return f"{n:.4g} {unit}"
