"""What native kernels do with operands: dense copies, scratch memory, casts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from flambeau.plugin import DTYPES, spec_of

from .entries import plan_copy

if TYPE_CHECKING:
    from flambeau.plugin import Spec

    from .backend import GpuBackend

__all__ = ["Scratch", "prepares"]

R = TypeVar("R", bound=Callable[..., Any])
_BY_C = {"f32": "float32", "f64": "float64"}
_DTYPES = {d.name: d for d in DTYPES}


def prepares(run: R, launch: Callable[..., Any]) -> R:
    """A native kernel that can be launched by addresses alone, the results' first, where all operands are dense."""

    def prepare(outs: Sequence[Spec], ins: Sequence[Spec]) -> Callable[..., Any] | None:
        return launch if all(s.dense for s in (*outs, *ins)) else None

    vars(run)["prepare"] = prepare
    return run


class Scratch:
    """A context in which a kernel is started; memory taken in it goes back at its end, in the order of the stream.

    Args:
        backend: whose memory.
        slot: the device's number.
    """

    __slots__ = ("back", "backend", "held", "slot")

    def __init__(self, backend: GpuBackend, slot: int) -> None:
        self.backend, self.slot = backend, slot
        self.held: list[tuple[int, int]] = []
        self.back: list[Any] = []

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *exc: object) -> None:
        for launch, to, source in self.back:
            launch(to, source)
        for address, nbytes in self.held:
            self.backend.free(address, nbytes, self.slot)

    def room(self, nbytes: int) -> int:
        """The address of scratch memory."""
        address = int(self.backend.allocate(nbytes, self.slot))
        self.held.append((address, nbytes))
        return address

    def copy(self, t: Any) -> int:
        """The address of a dense copy of a tensor."""
        spec = t.spec
        flat = spec.like()
        address = self.room(flat.nbytes)
        key = ("copy", flat, spec)
        self.backend.remembered(key, lambda: plan_copy(self.backend, flat, spec))(address, t.ptr)
        return address

    def dense(self, t: Any) -> int:
        """The address of a tensor's elements in row-major order: its own, or a copy; 0 for None."""
        if t is None:
            return 0
        spec = t.spec
        if spec.dense:
            return int(t.ptr)
        flat = spec.like()
        address = self.room(flat.nbytes)
        key = ("copy", flat, spec)
        launch = self.backend.remembered(key, lambda: plan_copy(self.backend, flat, spec))
        launch(address, t.ptr)
        return address

    def inplace(self, t: Any) -> int:
        """As `dense`, for a tensor that the kernel changes: a copy is copied back at the end."""
        if t is None:
            return 0
        address = self.dense(t)
        if not t.spec.dense:
            flat, spec = t.spec.like(), t.spec
            key = ("copy", spec, flat)
            launch = self.backend.remembered(key, lambda: plan_copy(self.backend, spec, flat))
            self.back.append((launch, t.ptr, address))
        return address

    @staticmethod
    def dtype(name: str) -> Any:
        """A dtype by name."""
        return _DTYPES[name]

    def cast(self, out: Any, source: int, c_type: str) -> None:
        """Write dense values of a C++ type into a tensor."""
        spec = out.spec
        src = spec_of(_DTYPES[_BY_C[c_type]], spec.shape, spec.device)
        key = ("copy", spec, src)
        launch = self.backend.remembered(key, lambda: plan_copy(self.backend, spec, src))
        launch(out.ptr, source)
