"""GradScaler: scales losses up so that float16 gradients don't underflow, and leaves steps out when they overflow."""

from __future__ import annotations

import weakref
from typing import Any

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import backend_of, message

from ..multi import multi_apply
from .captured import Captured

__all__ = ["GradScaler", "live_scalers"]

_live: weakref.WeakSet[GradScaler] = weakref.WeakSet()


def live_scalers() -> bool:
    """Whether there is an enabled scaler."""
    return any(scaler.is_enabled() for scaler in _live)


def _unscale(g: Any, inverse: Any) -> Any:
    return (g * inverse,)


class GradScaler:
    """Gradient scaling for training in float16.

    ``scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update()`` multiplies the loss, divides the
    gradients, steps only if they are finite, and then adapts the scale: smaller after an overflow, larger after
    ``growth_interval`` steps without one.

    Args:
        device: accepted for PyTorch's sake; tensors are scaled where they are.
        init_scale: the first scale.
        growth_factor: what it grows by; above 1.
        backoff_factor: what it shrinks by; below 1.
        growth_interval: steps without overflow between two growths.
        enabled: False makes every method do nothing more than its plain counterpart.

    >>> import flambeau as fb
    >>> w = fb.ones(1, requires_grad=True)
    >>> optimizer, scaler = fb.optim.SGD([w], lr=0.5), fb.amp.GradScaler(init_scale=8.0)
    >>> scaler.scale((w * 3).sum()).backward()
    >>> w.grad.item()
    24.0
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> w.item()
    -0.5
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        if enabled:
            if not growth_factor > 1.0:
                raise AssertionError(
                    message("GradScaler", "The growth factor must be > 1.0", growth_factor=growth_factor)
                )
            if not backoff_factor < 1.0:
                raise AssertionError(
                    message("GradScaler", "The backoff factor must be < 1.0", backoff_factor=backoff_factor)
                )
        self._scale = float(init_scale)
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._growth_tracker = 0
        #: By optimizer's id: ``"unscaled"`` or ``"stepped"``, and whether it found something that isn't finite.
        self._done: dict[int, tuple[str, bool]] = {}
        self._captured: Captured | None = None
        _live.add(self)

    def is_enabled(self) -> bool:
        """Whether it scales at all."""
        return self._enabled

    def _capture(self, device: Any) -> Captured | None:
        """The scaler's part in the graph that is being captured on a device, or None."""
        capture = backend_of(device).capture
        if capture is None:
            return None
        if self._captured is None or self._captured.capture is not capture:
            self._settle()
            self._captured = Captured(self, capture, device)
        return self._captured

    def _settle(self) -> None:
        if self._captured is not None:
            self._captured.settle()

    def scale(self, outputs: Any) -> Any:
        """Outputs times the scale.

        Args:
            outputs: a tensor, or lists and tuples of tensors.
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            captured = self._capture(outputs.device)
            if captured is not None:
                return outputs * captured.factor
            self._settle()
            return outputs * self._scale
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(o) for o in outputs)
        raise ValueError(
            message("GradScaler", "outputs must be a Tensor or an iterable of Tensors", outputs=outputs)
        )

    def unscale_(self, optimizer: Any) -> None:
        """Divide an optimizer's gradients by the scale; to be called before they are clipped or looked at.

        Raises:
            RuntimeError: they are unscaled already, or stepped.
            ValueError: a gradient is float16: parameters are to stay float32.
        """
        if not self._enabled:
            return
        stage = self._done.get(id(optimizer), ("", False))[0]
        if stage:
            wrong = {
                "unscaled": "unscale_() has already been called on this optimizer since the last update()",
                "stepped": "unscale_() is being called after step()",
            }[stage]
            raise RuntimeError(
                message("GradScaler", wrong, do="Call unscale_, step and update once each, in this order.")
            )
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if any(g.dtype is fb.float16 for g in grads):
            do = "Keep the parameters float32 and let autocast cast them."
            raise ValueError(
                message("GradScaler", "Attempting to unscale FP16 gradients", "float32 gradients", do)
            )
        bad = False
        with fb.no_grad():
            rows = [fb.view_as_real(g) if g.is_complex() else g for g in grads]
            for device in {g.device for g in rows}:
                here = [g for g in rows if g.device == device]
                captured = self._capture(device)
                multi_apply(_unscale, (here,), (), lambda: (1.0 / self._scale,))
                if captured is not None:
                    captured.look(optimizer, here)
                    continue
                # A sum that is not finite says that an element isn't, unless finite ones overflow together.
                sums = fb.stack(
                    [g.double().sum() if g.numel() else g.new_zeros((), dtype=fb.float64) for g in here]
                )
                bad = bad or (
                    not bool(sums.isfinite().all()) and not all(bool(g.isfinite().all()) for g in here)
                )
        self._done[id(optimizer)] = ("unscaled", bad)

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Unscale if that has not been done, and step the optimizer unless a gradient is not finite.

        Args:
            optimizer: the optimizer; further arguments go to its ``step``.

        Returns:
            What ``optimizer.step`` returns; None where the step was left out.

        Raises:
            RuntimeError: called twice before `update`, or with a closure.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or args:
            wrong = "Closure use is not currently supported if GradScaler is enabled"
            raise RuntimeError(message("GradScaler", wrong, "step() without a closure"))
        stage, bad = self._done.get(id(optimizer), ("", False))
        if stage == "stepped":
            wrong = "step() has already been called since the last update()"
            raise RuntimeError(message("GradScaler", wrong, do="Call update() once per iteration."))
        if not stage:
            self.unscale_(optimizer)
            bad = self._done[id(optimizer)][1]
        captured = self._captured
        if captured is not None and captured.capturing():
            result = captured.step(optimizer, kwargs)
        else:
            result = None if bad else optimizer.step(**kwargs)
        self._done[id(optimizer)] = ("stepped", bad)
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapt the scale; once per iteration, after all steps.

        Args:
            new_scale: set this scale instead.

        Raises:
            RuntimeError: no step was taken since the last update.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif self._captured is not None and self._captured.capturing():
            self._captured.updates = True
        elif not self._done and self._captured is not None and (found := self._captured.settle()) is not None:
            self._adapt(found)
        elif not self._done:
            do = "Call scaler.step(optimizer) before scaler.update()."
            raise RuntimeError(message("GradScaler", "No inf checks were recorded prior to update", do=do))
        else:
            self._adapt(any(bad for _, bad in self._done.values()))
        self._done.clear()

    def _adapt(self, bad: bool) -> None:
        if bad:
            self._scale *= self._backoff_factor
            self._growth_tracker = 0
            return
        self._growth_tracker += 1
        if self._growth_tracker == self._growth_interval:
            self._scale *= self._growth_factor
            self._growth_tracker = 0

    def get_scale(self) -> float:
        """The scale; 1 where the scaler is not enabled."""
        self._settle()
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """What the scale grows by."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the scale grows by."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale shrinks by."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the scale shrinks by."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """Steps without overflow between two growths."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set the steps without overflow between two growths."""
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """The scale and how it adapts, in PyTorch's form; empty where the scaler is not enabled."""
        if not self._enabled:
            return {}
        self._settle()
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave, here or in PyTorch.

        Raises:
            RuntimeError: it is empty: that of a scaler that was not enabled.
        """
        if not self._enabled:
            return
        if not state_dict:
            wrong = "The source state dict is empty, possibly because it was saved from a disabled GradScaler"
            raise RuntimeError(message("GradScaler", wrong, "the state of an enabled scaler"))
        for name, value in state_dict.items():
            setattr(self, name if name.startswith("_") else f"_{name}", value)
