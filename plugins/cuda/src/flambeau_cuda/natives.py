"""Native kernels of ops that have a default, by the names under which ops ask for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import natives_attention, natives_basic, natives_image, natives_rows

if TYPE_CHECKING:
    from flambeau.plugin import Spec

    from .backend import GpuBackend

__all__ = ["KERNELS", "find"]

#: Makes the kernel of an op for operands of given specs; None where it doesn't take them.
Maker = Callable[..., "Callable[[Sequence[Any], Sequence[Any], dict[str, Any]], Any] | None"]
KERNELS: dict[str, Maker] = {
    **natives_attention.KERNELS,
    **natives_basic.KERNELS,
    **natives_rows.KERNELS,
    **natives_image.KERNELS,
}


def find(backend: GpuBackend, name: str, ins: Sequence[Spec | None], attrs: dict[str, Any]) -> Any:
    """The kernel of an op for these operands, or None."""
    make = KERNELS.get(name)
    return None if make is None else make(backend, ins, attrs)
