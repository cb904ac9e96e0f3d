"""Image transforms: `flambeau.vision.transforms`.

All work on tensors of shape [..., channels, height, width], so on one image or on a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import message

__all__ = ["Compose", "ConvertImageDtype", "Lambda", "Normalize", "RandomShift", "ToTensor"]


class Compose:
    """One transform after the other.

    Args:
        transforms: in order.
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image

    def __repr__(self) -> str:
        return "\n".join(["Compose(", *(f"    {t}" for t in self.transforms), ")"])


class Lambda:
    """Any function as a transform.

    Args:
        lambd: of the image.
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(message("Lambda", "argument is not callable", "a function", lambd=lambd))
        self.lambd = lambd

    def __call__(self, image: Any) -> Any:
        return self.lambd(image)

    def __repr__(self) -> str:
        return "Lambda()"


def _largest(dtype: fb.dtype) -> float:
    return 1.0 if dtype.is_floating_point else float(fb.iinfo(dtype).max)


class ConvertImageDtype:
    """Another dtype, with values scaled to its range: 0..1 for floats, 0..largest for integers.

    Args:
        dtype: the new one.

    >>> fb.vision.transforms.ConvertImageDtype(fb.float32)(fb.tensor([0, 51, 255], dtype=fb.uint8))
    tensor([0.0000, 0.2000, 1.0000])
    """

    def __init__(self, dtype: fb.dtype = fb.float32) -> None:
        self.dtype = dtype

    def __call__(self, image: Tensor) -> Tensor:
        old, new = image.dtype, self.dtype
        if old == new or (old.is_floating_point and new.is_floating_point):
            return image.to(new)
        if new.is_floating_point:
            return image.to(new) / _largest(old)
        if old.is_floating_point:
            return (image.to(fb.float64) * (_largest(new) + 1.0 - 1e-3)).to(new)
        factor = (_largest(new) + 1.0) / (_largest(old) + 1.0)
        if factor >= 1.0:
            return image.to(new) * int(factor)
        return fb.div(image, int(1.0 / factor), rounding_mode="floor").to(new)

    def __repr__(self) -> str:
        return f"ConvertImageDtype(dtype={self.dtype})"


class ToTensor:
    """A NumPy array or PIL image [height, width(, channels)] as a float tensor [channels, height, width].

    Values of uint8 are divided by 255. A tensor keeps its shape and is converted likewise.
    """

    def __call__(self, image: Any) -> Tensor:
        x = image if isinstance(image, Tensor) else self._from_array(image)
        return x.to(fb.float32) / 255.0 if x.dtype == fb.uint8 else x

    @staticmethod
    def _from_array(image: Any) -> Tensor:
        if not hasattr(image, "__array_interface__"):
            wrong, need = "argument is no image", "a tensor, a NumPy array or a PIL image"
            raise TypeError(message("ToTensor", wrong, need, image=image))
        import numpy as np

        x: Tensor = fb.from_numpy(np.array(image))  # a copy: PIL's memory is read-only
        if x.ndim == 2:
            x = x.unsqueeze(2)
        if x.ndim != 3:
            raise ValueError(message("ToTensor", "image has a wrong number of dimensions", "2 or 3", image=x))
        return x.permute(2, 0, 1).contiguous()

    def __repr__(self) -> str:
        return "ToTensor()"


class Normalize:
    """``(image - mean) / std`` per channel.

    Args:
        mean: one number per channel, or one for all.
        std: likewise; none is zero.
        inplace: change the image itself.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean = mean
        self.std = std
        self.inplace = inplace
        if any(s == 0 for s in std):
            raise ValueError(
                message("Normalize", "std has a zero", "standard deviations other than 0", std=std)
            )

    def __call__(self, image: Tensor) -> Tensor:
        if not image.is_floating_point():
            do = "Put ConvertImageDtype(fb.float32) before it."
            raise TypeError(message("Normalize", "image is not of a floating-point type", do=do, image=image))
        if image.ndim < 3:
            need = "[..., channels, height, width]"
            raise ValueError(message("Normalize", "image has too few dimensions", need, image=image))
        mean = fb.tensor(self.mean, dtype=image.dtype, device=image.device).reshape(-1, 1, 1)
        std = fb.tensor(self.std, dtype=image.dtype, device=image.device).reshape(-1, 1, 1)
        return image.sub_(mean).div_(std) if self.inplace else (image - mean) / std

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class RandomShift:
    """Move each image by up to some pixels in both directions; what comes in from outside is ``fill``.

    In a batch every image is moved by itself.

    Args:
        pixels: the largest shift.
        fill: the value outside of the image.
        generator: where the numbers come from; the default generator by default.
    """

    def __init__(self, pixels: int, fill: float = 0, generator: fb.Generator | None = None) -> None:
        if pixels < 0:
            raise ValueError(message("RandomShift", "pixels is negative", "a number >= 0", pixels=pixels))
        self.pixels = pixels
        self.fill = fill
        self.generator = generator
        self._corners: dict[Any, Tensor] = {}

    def _corner(self, height: int, width: int, device: fb.device) -> Tensor:
        """Where the pixels of the upper left part of a larger image lie, row by row."""
        key = (height, width, device)
        if key not in self._corners:
            rows = fb.arange(height, device=device).unsqueeze(1) * (width + 2 * self.pixels)
            self._corners[key] = (rows + fb.arange(width, device=device)).reshape(-1)
        return self._corners[key]

    def __call__(self, image: Tensor) -> Tensor:
        channels, height, width = image.shape[-3:]
        p, wide = self.pixels, width + 2 * self.pixels
        images = image.reshape(-1, channels, height, width)
        n = images.shape[0]
        outside = image.new_full((n, channels, height + 2 * p, wide), self.fill)
        outside[:, :, p : p + height, p : p + width] = images
        shift = fb.randint(0, 2 * p + 1, (2, n, 1, 1), generator=self.generator).to(image.device)
        places = shift[0] * wide + shift[1] + self._corner(height, width, image.device)
        moved = outside.reshape(n, channels, -1).gather(2, places.expand(n, channels, height * width))
        return moved.reshape(image.shape)

    def __repr__(self) -> str:
        return f"RandomShift({self.pixels}, fill={self.fill})"
