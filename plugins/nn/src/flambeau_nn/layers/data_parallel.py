"""DataParallel, the wrapper that models are saved in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..module import Module

__all__ = ["DataParallel"]


class DataParallel(Module):
    """A module that calls another one; with PyTorch's names in its state, which begin with ``module.``.

    Batches aren't split over several devices: one device does all of the work.

    Args:
        module: the module.
        device_ids: None, or the one device that the module is moved to.
        output_device: None, or that device.
        dim: the batch's dimension.

    Raises:
        RuntimeError: several devices are given.

    >>> from flambeau import nn
    >>> list(nn.DataParallel(nn.Linear(2, 3)).state_dict())
    ['module.weight', 'module.bias']
    """

    def __init__(
        self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.device_ids = list(device_ids or ())
        if len(self.device_ids) > 1 or (output_device is not None and [output_device] != self.device_ids):
            raise RuntimeError(
                f"[DataParallel] batches aren't split over devices: got device_ids={device_ids}, output_device="
                f"{output_device}, needed: one device. Leave them out."
            )
        self.module = module
        self.output_device = output_device
        self.dim = dim
        for device in self.device_ids:
            self.module.to(f"cuda:{device}" if isinstance(device, int) else device)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Call the module."""
        return self.module(*inputs, **kwargs)
