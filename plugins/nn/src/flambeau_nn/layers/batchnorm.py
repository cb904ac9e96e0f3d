"""Normalisation with running statistics: BatchNorm and InstanceNorm of 1, 2 and 3 dimensions."""

from __future__ import annotations

from typing import Any

import flambeau as fb
from flambeau.errors import message

from .. import functional as F
from ..module import Module
from ..parameter import Parameter
from .normalization import _add_affine, _reset_affine

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "SyncBatchNorm",
]  # fmt: skip


class _NormBase(Module):
    """Parameters, running statistics and their state."""

    _version = 2  # version 1 had no num_batches_tracked
    _ranks: tuple[int, ...]
    _shapes: str
    weight: Parameter | None
    bias: Parameter | None
    running_mean: fb.Tensor | None
    running_var: fb.Tensor | None
    num_batches_tracked: fb.Tensor | None

    def __init__(
        self, num_features: int, eps: float, momentum: float | None, affine: bool, track_running_stats: bool,
        device: Any, dtype: fb.dtype | None, bias: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        _add_affine(self, (num_features,), affine, affine and bias, device, dtype)
        tracked = track_running_stats
        self.register_buffer(
            "running_mean", fb.zeros(num_features, device=device, dtype=dtype) if tracked else None
        )
        self.register_buffer(
            "running_var", fb.ones(num_features, device=device, dtype=dtype) if tracked else None
        )
        count = fb.tensor(0, dtype=fb.int64, device=device) if tracked else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the running statistics: mean 0, variance 1, no batch seen."""
        if (
            self.running_mean is not None
            and self.running_var is not None
            and self.num_batches_tracked is not None
        ):
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Scale by 1, shift by 0, forget the running statistics."""
        self.reset_running_stats()
        _reset_affine(self)

    def _check_rank(self, input: fb.Tensor) -> None:
        if input.ndim not in self._ranks:
            ranks = " or ".join(f"{rank}D" for rank in self._ranks)
            raise ValueError(
                message(
                    type(self).__name__,
                    f"expected {ranks} input (got {input.ndim}D)",
                    self._shapes,
                    input=input,
                )
            )

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        key = prefix + "num_batches_tracked"
        old = (local_metadata.get("version") or 1) < 2
        if old and self.track_running_stats and key not in state_dict:
            state_dict[key] = fb.tensor(0, dtype=fb.int64)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def extra_repr(self) -> str:
        """All arguments."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_NormBase):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, device: Any = None, dtype: fb.dtype | None = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Normalise by the batch's statistics in training, by the running ones otherwise."""
        self._check_rank(input)
        factor = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the mean over all batches so far
                factor = 1.0 / float(self.num_batches_tracked)
        by_batch = self.training or (self.running_mean is None and self.running_var is None)
        keep = not self.training or self.track_running_stats
        mean, var = (self.running_mean, self.running_var) if keep else (None, None)
        return F.batch_norm(input, mean, var, self.weight, self.bias, by_batch, factor, self.eps)


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of vectors or sequences; the arguments are `BatchNorm2d`'s.

    Shape: ``(N, C)`` or ``(N, C, L)``, the same.

    >>> from flambeau import nn
    >>> nn.BatchNorm1d(1)(fb.tensor([[1.0], [3.0]])).round().tolist()
    [[-1.0], [1.0]]
    """

    _ranks = (2, 3)
    _shapes = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images: each channel gets mean 0 and variance 1 over the batch, then scale and shift.

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.
        momentum: the weight of the newest batch in the running statistics; ``None`` takes the mean over all batches.
        affine: whether it scales, and shifts if `bias`.
        track_running_stats: keep running statistics and use them in evaluation.
        device, dtype: of the parameters and buffers.
        bias: whether it shifts.

    Shape: ``(N, C, H, W)``, the same.

    >>> from flambeau import nn
    >>> bn = nn.BatchNorm2d(3)
    >>> bn(fb.ones(2, 3, 4, 4)).shape == (2, 3, 4, 4)
    True
    >>> bn.num_batches_tracked.item()
    1
    """

    _ranks = (4,)
    _shapes = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of volumes; the arguments are `BatchNorm2d`'s.

    Shape: ``(N, C, D, H, W)``, the same.

    >>> from flambeau import nn
    >>> nn.BatchNorm3d(2)(fb.ones(2, 2, 3, 3, 3)).shape == (2, 2, 3, 3, 3)
    True
    """

    _ranks = (5,)
    _shapes = "(N, C, D, H, W)"


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over the batches of all processes of a group, for any number of dimensions.

    flambeau trains in one process, so the group has one member and this is `BatchNorm2d` for any rank; models that name
    it load and train.

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.
        momentum: the weight of the newest batch in the running statistics; ``None`` takes the mean over all batches.
        affine: whether it scales, and shifts if `bias`.
        track_running_stats: keep running statistics and use them in evaluation.
        process_group: None; there are no groups of processes.
        device, dtype: of the parameters and buffers.
        bias: whether it shifts.

    Raises:
        RuntimeError: a process group is given.

    Shape: ``(N, C, *)``, the same.

    >>> from flambeau import nn
    >>> net = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)))
    >>> net[1]
    SyncBatchNorm(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    """

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, process_group: Any = None, device: Any = None, dtype: fb.dtype | None = None,
        *, bias: bool = True,
    ) -> None:  # fmt: skip
        if process_group is not None:
            raise RuntimeError(
                "[SyncBatchNorm] there are no groups of processes: "
                f"got process_group={process_group!r}, needed: None, the one process that runs. Leave it out."
            )
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check_rank(self, input: fb.Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(
                message("SyncBatchNorm", f"expected at least 2D input (got {input.ndim}D input)", input=input)
            )
        if not input.shape[1]:
            raise ValueError(
                message("SyncBatchNorm", "number of input channels should be non-zero", input=input)
            )

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module with every batch normalisation in it replaced; parameters and buffers stay the same objects.

        Args:
            module: changed in place, unless it is a batch normalisation itself.
            process_group: None; there are no groups of processes.
        """
        made = module
        if isinstance(module, _BatchNorm):
            made = cls(
                module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats,
                process_group, bias=module.bias is not None,
            )  # fmt: skip
            for name, value in (*module._parameters.items(), *module._buffers.items()):
                setattr(made, name, value)
            made.training = module.training
        for name, child in module.named_children():
            made.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return made


class _InstanceNorm(_NormBase):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = False,
        track_running_stats: bool = False, device: Any = None, dtype: fb.dtype | None = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: fb.Tensor) -> fb.Tensor:
        """Normalise by each sample's statistics; with running ones kept, by those in evaluation."""
        self._check_rank(input)
        batched = input.ndim == self._ranks[1]
        x = input if batched else input.unsqueeze(0)
        if x.shape[1] != self.num_features and self.affine:
            raise ValueError(
                message(type(self).__name__, f"expected input's size at dim={int(batched)} to match num_features "
                        f"({self.num_features})", input=input)
            )  # fmt: skip
        use_input = self.training or not self.track_running_stats
        momentum = 0.0 if self.momentum is None else self.momentum
        y = F.instance_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, use_input, momentum, self.eps
        )
        return y if batched else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of sequences; the arguments are `InstanceNorm2d`'s.

    Shape: ``(N, C, L)`` or ``(C, L)``, the same.

    >>> from flambeau import nn
    >>> nn.InstanceNorm1d(1)(fb.tensor([[[1.0, 3.0]]])).round().tolist()
    [[[-1.0, 1.0]]]
    """

    _ranks = (2, 3)
    _shapes = "(C, L) or (N, C, L)"


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of images: each channel of each sample gets mean 0 and variance 1.

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.
        momentum: the weight of the newest batch in the running statistics.
        affine: whether it scales, and shifts if `bias`.
        track_running_stats: keep running statistics and use them in evaluation.
        device, dtype: of the parameters and buffers.
        bias: whether it shifts.

    Shape: ``(N, C, H, W)`` or ``(C, H, W)``, the same.

    >>> from flambeau import nn
    >>> nn.InstanceNorm2d(3)(fb.ones(2, 3, 4, 4)).shape == (2, 3, 4, 4)
    True
    """

    _ranks = (3, 4)
    _shapes = "(C, H, W) or (N, C, H, W)"


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of volumes; the arguments are `InstanceNorm2d`'s.

    Shape: ``(N, C, D, H, W)`` or ``(C, D, H, W)``, the same.

    >>> from flambeau import nn
    >>> nn.InstanceNorm3d(2)(fb.ones(1, 2, 3, 3, 3)).shape == (1, 2, 3, 3, 3)
    True
    """

    _ranks = (4, 5)
    _shapes = "(C, D, H, W) or (N, C, D, H, W)"
