"""Hooks on what the tape saves: ``flambeau.autograd.graph``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..state import SAVERS, modes
from ..tape import Node, Packed

__all__ = ["Node", "hand_over", "save_on_cpu", "saved_tensors_hooks"]


class saved_tensors_hooks:
    """Context manager: hand every tensor that is saved for backward to a pair of functions.

    Args:
        pack_hook: called with the tensor (detached) when it is saved; returns anything.
        unpack_hook: called with that in backward; returns a tensor with the same values.

    >>> import flambeau as fb
    >>> x = fb.tensor([2.0, 3.0], requires_grad=True)
    >>> with fb.autograd.graph.saved_tensors_hooks(lambda t: t.tolist(), fb.tensor):
    ...     y = x * x
    >>> y.sum().backward()
    >>> x.grad
    tensor([4., 6.])
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> saved_tensors_hooks:
        modes.savers = (*modes.savers, (self.pack_hook, self.unpack_hook))
        SAVERS.append(1)
        return self

    def __exit__(self, *exc: object) -> None:
        modes.savers = modes.savers[:-1]
        SAVERS.pop()


def hand_over(t: Any) -> Callable[[], Any]:
    """Hand a tensor to the innermost hooks as if it were saved.

    Args:
        t: the tensor.

    Returns:
        A function that gives it again; where no hooks are, the tensor itself.
    """
    return Packed(t, None, modes.savers[-1]).tensor if modes.savers else lambda: t


class save_on_cpu(saved_tensors_hooks):
    """Context manager: keep what is saved for backward in the host's memory.

    Args:
        pin_memory, device_type: accepted for PyTorch's sake.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda t: (t.device, t.to("cpu")), lambda kept: kept[1].to(kept[0]))
