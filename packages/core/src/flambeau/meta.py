"""Device "meta": tensors that have a shape and a dtype and no data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .backend import Backend

if TYPE_CHECKING:
    from ._tensor import Tensor
    from .layout import Spec
    from .program import TypedProgram

__all__ = ["MetaBackend"]


def _nothing(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
    """A kernel that leaves its outputs as they are: without data."""


class MetaBackend(Backend):
    """Every kernel does nothing; only reading data is an error. Handles are None."""

    name = "meta"

    def allocate(self, nbytes: int, index: int) -> Any:
        return None

    def free(self, handle: Any, nbytes: int, index: int) -> None:
        pass

    def copy_in(self, handle: Any, offset: int, data: Any) -> None:
        pass

    def copy_out(self, handle: Any, offset: int, nbytes: int) -> Any:
        raise RuntimeError(
            f"[copy] Cannot copy out of meta tensor; no data: got a request for {nbytes} bytes of device 'meta', "
            "needed: a tensor on a device with memory. Make one with empty_like(x, device='cpu') and fill it."
        )

    def copy_across(self, out: Any, src: Any, nbytes: int) -> None:
        pass

    def properties(self, index: int) -> dict[str, Any]:
        return {"name": "meta", "total_memory": 0}

    def memory_stats(self, index: int) -> dict[str, int]:
        return {"allocated": 0, "reserved": 0, "peak": 0}

    def run_program(
        self, program: TypedProgram, outs: Sequence[Tensor], ins: Sequence[Tensor], scalars: Sequence[Any]
    ) -> None:
        pass

    def copy(self, out: Tensor, src: Tensor) -> None:
        pass

    def reduce(self, kind: str, out: Tensor, src: Tensor, dims: tuple[int, ...]) -> None:
        pass

    def scan(self, kind: str, out: Tensor, src: Tensor, dim: int) -> None:
        pass

    def scan2(self, kind: str, values: Tensor, indices: Tensor, src: Tensor, dim: int) -> None:
        pass

    def matmul(self, out: Tensor, a: Tensor, b: Tensor) -> None:
        pass

    def gather(self, out: Tensor, src: Tensor, dim: int, index: Tensor) -> None:
        pass

    def scatter(self, out: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str | None) -> None:
        pass

    def sort(
        self, values: Tensor, indices: Tensor, src: Tensor, dim: int, descending: bool, stable: bool
    ) -> None:
        pass

    def kernel(
        self, name: str, ins: Sequence[Spec | None], attrs: dict[str, Any]
    ) -> Callable[[Sequence[Any], Sequence[Any], dict[str, Any]], Any] | None:
        return _nothing
