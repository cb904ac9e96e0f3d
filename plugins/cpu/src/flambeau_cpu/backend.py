"""The backend of device "cpu": hands the core's calls to the C engine and the C kernels."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau.plugin import Backend, OutOfMemoryError

from . import engine, kernels
from ._C import ffi, set_on_failure
from .kernels_prepared import ENTRIES, PLANS, captured

if TYPE_CHECKING:
    from flambeau import Tensor
    from flambeau.plugin import Spec, Storage, TypedProgram

__all__ = ["CpuBackend"]


def _human(n: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024 or unit == "GiB":
            break
        n /= 1024
    return f"{n:.4g} {unit}"


def _no_memory(nbytes: int) -> None:
    """Say what could not be allocated and what holds the memory; 0 stands for working memory of a kernel's own.

    Raises:
        OutOfMemoryError: always.
    """
    s = engine.memory_stats()
    limit = f", limit {_human(s.limit)}" if s.limit else ""
    wanted = _human(nbytes) if nbytes else "working memory"
    raise OutOfMemoryError(
        f"[allocate] out of memory on cpu: asked for {wanted}, {_human(s.allocated)} are in use by {s.live} "
        f"tensors' memory (at most {_human(s.peak)} so far{limit}). Free tensors (graphs hold saved ones: "
        "backward() or del the loss), use smaller batches, or no_grad() where no gradient is needed."
    )


set_on_failure(_no_memory)


def _copy_key(out: Spec, src: Spec) -> tuple[Any, ...]:
    return out.dtype.code, src.dtype.code, out.shape, out.strides, src.strides


class CpuBackend(Backend):
    """C kernels on the host's processors; handles are addresses."""

    name = "cpu"
    addressed = True
    plans_absent = True
    host_visible = True
    natives = frozenset(kernels.KERNELS)

    allocate = staticmethod(engine.allocate)
    free = staticmethod(engine.free)

    def copy_in(self, handle: int, offset: int, data: Any) -> None:
        """Copy a contiguous host buffer to memory."""
        view = memoryview(data).cast("B")
        ffi.memmove(ffi.cast("void *", handle + offset), view, view.nbytes)

    def copy_out(self, handle: int, offset: int, nbytes: int) -> bytes:
        """Copy memory to new bytes."""
        return ctypes.string_at(handle + offset, nbytes)

    def copy_across(self, out: int, src: int, nbytes: int) -> None:
        """Copy between two addresses."""
        ctypes.memmove(out, src, nbytes)

    def host_buffer(self, mem: Storage) -> memoryview | None:
        """The memory itself."""
        return memoryview((ctypes.c_ubyte * mem.nbytes).from_address(mem.handle)).cast("B")

    def wrap_host(self, address: int, nbytes: int, owner: Any) -> int:
        """Foreign host memory is an address like any other."""
        return address

    def properties(self, index: int) -> dict[str, Any]:
        """Threads, instruction set, BLAS kernels."""
        return {
            "name": "cpu",
            "threads": engine.get_num_threads(),
            "processors": os.cpu_count(),
            "isa": engine.get_isa(),
            "blas": engine.blas_info(),
        }

    def memory_stats(self, index: int) -> dict[str, int]:
        """The caching allocator's counts, in bytes and calls."""
        return engine.memory_stats()._asdict()

    get_num_threads = staticmethod(engine.get_num_threads)

    def set_num_threads(self, n: int) -> None:
        """Set how many threads a kernel may use.

        Raises:
            RuntimeError: not positive.
        """
        if not isinstance(n, int) or n < 1:
            raise RuntimeError(f"[set_num_threads] expects a positive integer: got {n!r}.")
        engine.set_num_threads(n)

    # Compute

    def run_program(
        self, program: TypedProgram, outs: Sequence[Tensor], ins: Sequence[Tensor], scalars: Sequence[Any]
    ) -> None:
        """Run an elementwise program."""
        launch = self.plan("run_program", [o.spec for o in outs], [i.spec for i in ins], {"program": program})
        assert launch is not None
        launch(*[o.ptr for o in outs], *[i.ptr for i in ins], *scalars)

    def __init__(self) -> None:
        self.copies: dict[Any, Callable[..., None]] = {}

    def copy(self, out: Tensor, src: Tensor) -> None:
        """Copy with cast."""
        key = _copy_key(out.spec, src.spec)
        launch = self.copies.get(key)
        if launch is None:
            if len(self.copies) > 4096:
                self.copies.clear()
            launch = self.copies[key] = self.plan_copy(out.spec, src.spec)
        launch(out.ptr, src.ptr)

    def plan_copy(self, out: Spec, src: Spec) -> Callable[..., None]:
        """A prepared copy."""
        return engine.copy_plan(out.dtype.code, src.dtype.code, out.shape, out.strides, src.strides)

    reduce = staticmethod(kernels.reduce)
    scan = staticmethod(kernels.scan)
    scan2 = staticmethod(kernels.scan2)
    matmul = staticmethod(kernels.matmul)
    gather = staticmethod(kernels.gather)
    scatter = staticmethod(kernels.scatter)
    sort = staticmethod(kernels.sort)

    def plan(
        self, entry: str, outs: Sequence[Spec], ins: Sequence[Spec], args: dict[str, Any]
    ) -> Callable[..., Any] | None:
        """Prepared launches of programs, reductions, products, copies and some native kernels."""
        if entry == "run_program":
            return engine.plan_program(args["program"], outs, ins)
        if entry == "reduce":
            return kernels.plan_reduce(args["kind"], outs[0], ins[0], args["dims"])
        if entry == "matmul":
            return kernels.plan_matmul(outs[0], ins[0], ins[1])
        if entry == "copy":
            return self.plan_copy(outs[0], ins[0])
        absent = None in outs or None in ins
        maker = None if absent else PLANS.get(entry)
        kernel = ENTRIES.get(entry) or self.kernel(entry, ins, args)
        if kernel is None and (maker is None or entry in kernels.KERNELS):
            return None
        launch = maker(outs, ins, args) if maker is not None else None
        return captured(kernel, outs, ins, args) if launch is None and kernel is not None else launch

    def plan_many(
        self, launches: Sequence[Callable[..., Any]], n_out: int
    ) -> Callable[[Sequence[Any], Sequence[Any]], None]:
        """All launches in one call, their chunks shared among the threads."""
        return engine.plan_many(tuple(launches), n_out)

    def kernel(
        self, name: str, ins: Sequence[Spec | None], attrs: dict[str, Any]
    ) -> Callable[[Sequence[Any], Sequence[Any], dict[str, Any]], Any] | None:
        """The native kernel of an op, where it takes these operands."""
        fn = kernels.KERNELS.get(name)
        if fn is None:
            return None
        supports: Any = kernels.SUPPORTS.get(name, _floats)
        return fn if supports(ins, attrs) else None


def _floats(ins: Sequence[Spec | None], attrs: dict[str, Any]) -> bool:
    """Whether the first operand is real floating-point: what kernels take unless they say otherwise."""
    return bool(ins) and ins[0] is not None and ins[0].dtype.is_floating_point
