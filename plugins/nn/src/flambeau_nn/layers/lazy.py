"""Lazy layers: their input sizes are read off the first input, then they become the ordinary layer."""

from __future__ import annotations

from typing import Any

import flambeau as fb
from flambeau.errors import message

from ..module import Module
from ..parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from .batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from .conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .linear import Linear

__all__ = [
    "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d", "LazyConv2d", "LazyConv3d",
    "LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d", "LazyInstanceNorm1d", "LazyInstanceNorm2d",
    "LazyInstanceNorm3d", "LazyLinear", "LazyModuleMixin",
]  # fmt: skip


class LazyModuleMixin(Module):
    """The base of modules some of whose parameters get their shape from the first input.

    A subclass names a class in `cls_to_become`, makes its parameters as `UninitializedParameter` and defines
    ``initialize_parameters(*args, **kwargs)``, which gets the first call's arguments and materialises them.

    >>> from flambeau import nn
    >>> layer = nn.LazyLinear(2)
    >>> y = layer(fb.ones(5, 3))
    >>> layer
    Linear(in_features=3, out_features=2, bias=True)
    """

    cls_to_become: type[Module] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        space = self.__dict__
        space["_load_hook"] = self.register_load_state_dict_pre_hook(_take_shapes)
        space["_initialize_hook"] = self.register_forward_pre_hook(_infer, with_kwargs=True)

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer has no shape yet."""
        return any(is_lazy(value) for value in (*self._parameters.values(), *self._buffers.values()))

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Materialise the parameters for the first call's arguments; for subclasses."""
        raise NotImplementedError(
            f"[{type(self).__name__}] initialize_parameters is not implemented for {type(self).__name__}."
        )


def _infer(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    module.initialize_parameters(*args, **kwargs)
    if module.has_uninitialized_params():
        raise RuntimeError(
            f"[{type(module).__name__}] module has not been fully initialized by its first input."
        )
    module._initialize_hook.remove()
    module._load_hook.remove()
    del module._initialize_hook, module._load_hook
    if module.cls_to_become is not None:
        module.__class__ = module.cls_to_become


def _take_shapes(module: Any, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
    """Parameters that aren't initialised get the shapes of those that are loaded."""
    for name, value in (*module._parameters.items(), *module._buffers.items()):
        given = state_dict.get(prefix + name)
        if is_lazy(value) and isinstance(given, fb.Tensor) and not is_lazy(given):
            value.materialize(given.shape)


class LazyLinear(LazyModuleMixin, Linear):
    """A `Linear` whose ``in_features`` is the last size of its first input.

    Args:
        out_features: the last size of the output.
        bias: whether there is a bias.
        device, dtype: of the parameters.

    >>> from flambeau import nn
    >>> nn.LazyLinear(2)(fb.ones(5, 3)).shape == (5, 2)
    True
    """

    cls_to_become = Linear

    def __init__(
        self, out_features: int, bias: bool = True, device: Any = None, dtype: fb.dtype | None = None
    ) -> None:
        super().__init__(0, 0, False, device, dtype)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw the parameters anew, once there are some."""
        if not self.has_uninitialized_params() and self.in_features:
            super().reset_parameters()

    def initialize_parameters(self, input: fb.Tensor) -> None:
        """Materialise the parameters for this input."""
        if not isinstance(self.weight, UninitializedParameter):
            self.in_features = self.weight.shape[-1]
            return
        self.in_features = input.shape[-1]
        self.weight.materialize((self.out_features, self.in_features))
        if isinstance(self.bias, UninitializedParameter):
            self.bias.materialize((self.out_features,))
        self.reset_parameters()


class _LazyConv(LazyModuleMixin):
    """The lazy half of convolutional layers; the other base is the layer."""

    ndim: int
    transposed: bool
    in_channels: int
    groups: int

    def __init__(self, out_channels: int, kernel_size: Any, *args: Any, **kwargs: Any) -> None:
        bias, device, dtype = kwargs.pop("bias"), kwargs["device"], kwargs["dtype"]
        super().__init__(0, 0, kernel_size, *args, bias=False, **kwargs)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_channels = out_channels
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)
        if out_channels % self.groups:
            raise ValueError(
                f"[{type(self).__name__}] out_channels must be divisible by groups: got {out_channels}, {self.groups}."
            )

    def reset_parameters(self) -> None:
        """Draw the parameters anew, once there are some."""
        if not self.has_uninitialized_params() and self.in_channels:
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: fb.Tensor, *args: Any, **kwargs: Any) -> None:
        """Materialise the parameters for this input."""
        name, n = type(self).__name__, self.ndim
        if input.ndim not in (n + 1, n + 2):
            raise RuntimeError(
                message(name, f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input", input=input)
            )
        self.in_channels = input.shape[input.ndim - n - 1]
        if not isinstance(self.weight, UninitializedParameter):
            return
        if self.in_channels % self.groups:
            raise ValueError(
                f"[{name}] in_channels must be divisible by groups: got {self.in_channels}, {self.groups}."
            )
        sizes: Any = (self.out_channels, self.in_channels)
        first, second = reversed(sizes) if self.transposed else sizes
        kernel: Any = self.kernel_size
        self.weight.materialize((first, second // self.groups, *kernel))
        if isinstance(self.bias, UninitializedParameter):
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class _LazyPlain(_LazyConv):
    def __init__(
        self, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: Any = None,
        dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            out_channels, kernel_size, stride, padding, dilation, groups, bias=bias, padding_mode=padding_mode,
            device=device, dtype=dtype,
        )  # fmt: skip


class _LazyTranspose(_LazyConv):
    def __init__(
        self, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
        groups: int = 1, bias: bool = True, dilation: Any = 1, padding_mode: str = "zeros", device: Any = None,
        dtype: fb.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            out_channels, kernel_size, stride, padding, output_padding, groups, bias=bias, dilation=dilation,
            padding_mode=padding_mode, device=device, dtype=dtype,
        )  # fmt: skip


class LazyConv1d(_LazyPlain, Conv1d):  # type: ignore[misc]
    """A `Conv1d` whose ``in_channels`` is read off its first input; the other arguments are the same.

    >>> from flambeau import nn
    >>> nn.LazyConv1d(4, 2)(fb.ones(2, 3, 8)).shape == (2, 4, 7)
    True
    """

    cls_to_become = Conv1d


class LazyConv2d(_LazyPlain, Conv2d):  # type: ignore[misc]
    """A `Conv2d` whose ``in_channels`` is read off its first input; the other arguments are the same.

    >>> from flambeau import nn
    >>> nn.LazyConv2d(4, 2)(fb.ones(2, 3, 8, 8)).shape == (2, 4, 7, 7)
    True
    """

    cls_to_become = Conv2d


class LazyConv3d(_LazyPlain, Conv3d):  # type: ignore[misc]
    """A `Conv3d` whose ``in_channels`` is read off its first input; the other arguments are the same.

    >>> from flambeau import nn
    >>> nn.LazyConv3d(4, 2)(fb.ones(2, 3, 8, 8, 8)).shape == (2, 4, 7, 7, 7)
    True
    """

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyTranspose, ConvTranspose1d):  # type: ignore[misc]
    """A `ConvTranspose1d` whose ``in_channels`` is read off its first input; the other arguments are the same.

    >>> from flambeau import nn
    >>> nn.LazyConvTranspose1d(4, 2)(fb.ones(2, 3, 4)).shape == (2, 4, 5)
    True
    """

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyTranspose, ConvTranspose2d):  # type: ignore[misc]
    """A `ConvTranspose2d` whose ``in_channels`` is read off its first input; the other arguments are the same.

    >>> from flambeau import nn
    >>> nn.LazyConvTranspose2d(4, 2)(fb.ones(2, 3, 4, 4)).shape == (2, 4, 5, 5)
    True
    """

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyTranspose, ConvTranspose3d):  # type: ignore[misc]
    """A `ConvTranspose3d` whose ``in_channels`` is read off its first input; the other arguments are the same.

    >>> from flambeau import nn
    >>> nn.LazyConvTranspose3d(4, 2)(fb.ones(2, 3, 4, 4, 4)).shape == (2, 4, 5, 5, 5)
    True
    """

    cls_to_become = ConvTranspose3d


class _LazyNorm(LazyModuleMixin):
    """The lazy half of normalisation with running statistics; the other base is the layer."""

    num_features: int

    def __init__(
        self, eps: float = 1e-5, momentum: Any = 0.1, affine: bool = True, track_running_stats: bool = True,
        device: Any = None, dtype: fb.dtype | None = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(0, eps, momentum, False, False, device, dtype, bias=False)
        where: Any = {"device": device, "dtype": dtype}
        self.affine, self.track_running_stats = affine, track_running_stats
        if affine:
            self.weight = UninitializedParameter(**where)
            if bias:
                self.bias = UninitializedParameter(**where)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(**where)
            self.running_var = UninitializedBuffer(**where)
            self.num_batches_tracked = fb.tensor(0, dtype=fb.int64, device=device)

    def reset_parameters(self) -> None:
        """Scale by 1, shift by 0, forget the running statistics, once they are there."""
        if not self.has_uninitialized_params() and self.num_features:
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: fb.Tensor) -> None:
        """Materialise the parameters for this input."""
        ranks: Any = type(self)._ranks  # type: ignore[attr-defined]
        unbatched = (
            isinstance(self, (InstanceNorm1d, InstanceNorm2d, InstanceNorm3d)) and input.ndim == ranks[0]
        )
        if input.ndim not in ranks:
            raise ValueError(
                message(type(self).__name__, f"expected {' or '.join(f'{r}D' for r in ranks)} input", input=input)
            )  # fmt: skip
        fresh = self.has_uninitialized_params()
        self.num_features = input.shape[0 if unbatched else 1]
        for value in (*self._parameters.values(), *self._buffers.values()):
            if isinstance(value, (UninitializedParameter, UninitializedBuffer)):
                value.materialize((self.num_features,))
        if fresh:
            self.reset_parameters()


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):  # type: ignore[misc]
    """A `BatchNorm1d` whose ``num_features`` is read off its first input; the other arguments are the same.

    >>> from flambeau import nn
    >>> nn.LazyBatchNorm1d()(fb.ones(4, 3, 2)).shape == (4, 3, 2)
    True
    """

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):  # type: ignore[misc]
    """A `BatchNorm2d` whose ``num_features`` is read off its first input; the other arguments are the same.

    >>> from flambeau import nn
    >>> nn.LazyBatchNorm2d()(fb.ones(4, 3, 2, 2)).shape == (4, 3, 2, 2)
    True
    """

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):  # type: ignore[misc]
    """A `BatchNorm3d` whose ``num_features`` is read off its first input; the other arguments are the same.

    >>> from flambeau import nn
    >>> nn.LazyBatchNorm3d()(fb.ones(4, 3, 2, 2, 2)).shape == (4, 3, 2, 2, 2)
    True
    """

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):  # type: ignore[misc]
    """An `InstanceNorm1d` whose ``num_features`` is read off its first input; the other arguments are the same.

    >>> from flambeau import nn
    >>> nn.LazyInstanceNorm1d()(fb.ones(4, 3, 2)).shape == (4, 3, 2)
    True
    """

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):  # type: ignore[misc]
    """An `InstanceNorm2d` whose ``num_features`` is read off its first input; the other arguments are the same.

    >>> from flambeau import nn
    >>> nn.LazyInstanceNorm2d()(fb.ones(4, 3, 2, 2)).shape == (4, 3, 2, 2)
    True
    """

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):  # type: ignore[misc]
    """An `InstanceNorm3d` whose ``num_features`` is read off its first input; the other arguments are the same.

    >>> from flambeau import nn
    >>> nn.LazyInstanceNorm3d()(fb.ones(4, 3, 2, 2, 2)).shape == (4, 3, 2, 2, 2)
    True
    """

    cls_to_become = InstanceNorm3d
