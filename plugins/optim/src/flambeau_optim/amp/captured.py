"""A GradScaler's part in a captured graph: what is done on the device, and what the host learns of it afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import backend_of

if TYPE_CHECKING:
    from .grad_scaler import GradScaler

__all__ = ["Captured"]


class Captured:
    """What a scaler does in a graph, from the first use to the end of the capture.

    On the device the loss is multiplied, gradients are divided and looked at, and updates are left out where something
    isn't finite. Before the next replay the host reads what was found (it waits for the last replay), counts left-out
    steps back and adapts the scale.

    Args:
        scaler: whose part it is.
        capture: the recording under way (`flambeau.plugin.Backend.capture`).
        device: where.

    Attributes:
        factor: the scale, a float32 tensor of one element.
        updates: whether the graph adapts the scale.
    """

    def __init__(self, scaler: GradScaler, capture: Any, device: Any) -> None:
        self.scaler, self.capture = scaler, capture
        self.factor = fb.empty((), dtype=fb.float32, device=device)
        self.updates = False
        self._found: dict[int, Tensor] = {}
        self._saved: dict[int, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
        self._pending = False
        capture.again.append(self._begin)

    def capturing(self) -> bool:
        """Whether the capture is still under way."""
        return backend_of(self.factor.device).capture is self.capture

    def _begin(self) -> None:
        self.settle()
        self.factor.fill_(self.scaler._scale)
        self._pending = True

    def look(self, optimizer: Any, grads: Sequence[Tensor]) -> None:
        """Look for gradients that are not finite."""
        # Sums of narrower floats in float64 are finite if all elements are.
        sums = [g.double().sum() if g.dtype is not fb.float64 else g.abs().amax() for g in grads if g.numel()]
        finite = fb.stack(sums).isfinite().all() if sums else fb.ones_like(self.factor)
        self._found[id(optimizer)] = finite.logical_not().to(fb.float32)

    def step(self, optimizer: Any, kwargs: dict[str, Any]) -> Any:
        """An optimizer's step, whose updates are left out where something was found."""
        self.capture.again.append(lambda: self._save(optimizer))
        optimizer.register_state_dict_pre_hook(lambda _: self.settle())
        self.capture.skip = self._found[id(optimizer)]
        try:
            return optimizer.step(**kwargs)
        finally:
            self.capture.skip = None

    def _save(self, optimizer: Any) -> None:
        names = optimizer._counters
        states = [state for state in optimizer.state.values() if state]
        self._saved[id(optimizer)] = [(s, {n: s[n] for n in names if n in s}) for s in states]

    def settle(self) -> bool | None:
        """Take in what the last replay found, if that has not been done; whether something was not finite."""
        if not self._pending:
            return None
        self._pending = False
        bad = False
        for key, found in self._found.items():
            if bool(found):
                bad = True
                for state, counted in self._saved.pop(key, ()):
                    state.update(counted)
        if self.updates:
            self.scaler._adapt(bad)
        return bad
