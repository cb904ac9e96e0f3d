"""The older names of mixed precision, for device "cuda" alone: ``flambeau.cuda.amp``."""

from __future__ import annotations

import functools
from typing import Any

import flambeau as fb

from . import autocast_mode, grad_scaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]


class autocast(autocast_mode.autocast):
    """`flambeau.autocast` for device "cuda".

    Args:
        enabled: False runs the region as it stands.
        dtype: the lower precision.
        cache_enabled: keep casts of parameters until the outermost region ends.
    """

    def __init__(self, enabled: bool = True, dtype: Any = fb.float16, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(grad_scaler.GradScaler):
    """`flambeau.GradScaler` for device "cuda"; the arguments are its further ones."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


custom_fwd = functools.partial(autocast_mode.custom_fwd, device_type="cuda")
custom_bwd = functools.partial(autocast_mode.custom_bwd, device_type="cuda")
