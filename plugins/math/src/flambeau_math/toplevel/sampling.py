"""Tensors overwritten with random numbers of less common distributions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau.plugin import assign

from .._records import Space

if TYPE_CHECKING:
    from flambeau import Generator, Tensor

__all__: list[str] = []

top = Space("")


def _spread(name: str, doc: str, good: Any, what: str, fill: Any) -> None:
    """An in-place sampler that turns uniform numbers of float64 into a distribution."""

    def fn(self: Tensor, *args: float, generator: Generator | None = None, **kwargs: float) -> Tensor:
        given = {**dict(zip(fill.__code__.co_varnames[1:], args, strict=False)), **kwargs}
        values = [
            given.get(n, d)
            for n, d in zip(fill.__code__.co_varnames[1:], fill.__defaults__ or (None,), strict=True)
        ]
        if not good(*values):
            raise RuntimeError(f"[{name}] expects {what}, but found {', '.join(map(str, values))}.")
        u = fb.rand(self.spec.shape, generator=generator, device=self.device, dtype=fb.float64)
        return assign(self, fill(u, *values).to(self.spec.dtype), name)

    fn.__doc__ = doc
    top.composite(function=False, name=name + "fill", export=name)(fn)


_spread(
    "cauchy_", "Overwrite with Cauchy-distributed numbers.", lambda median, sigma: sigma > 0, "sigma > 0.0",
    lambda u, median=0.0, sigma=1.0: ((u - 0.5) * math.pi).tan() * sigma + median,
)  # fmt: skip
_spread(
    "geometric_", "Overwrite with numbers of trials until the first success.", lambda p: p is not None and 0 < p < 1,
    "p to be in (0, 1)", lambda u, p=None: (u.neg().log1p() / math.log1p(-p)).ceil().clamp(min=1),
)  # fmt: skip


@top.composite(function=False, export="log_normal_", name="log_normal_fill")
def _log_normal_(
    self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None
) -> Tensor:
    """Overwrite with numbers whose logarithms are normal."""
    if std <= 0:
        raise RuntimeError(f"[log_normal_] expects std > 0.0, but found std={std}.")
    return self.normal_(mean, std, generator=generator).exp_()
