"""The backend of devices "cuda" and "cuda-sim": the contract's entries on a runtime."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau.plugin import Backend, DeviceUnavailable

from . import entries, natives, sorting
from .codegen import plan_program
from .errors import Unavailable
from .faults import Faults
from .memory import make_pool, new_bins
from .multi import plan_many
from .offsets import Offsets
from .pinned import Pinned
from .runtime import Module, Runtime

if TYPE_CHECKING:
    from flambeau import Tensor
    from flambeau.plugin import Spec, Storage, TypedProgram

__all__ = ["CudaBackend", "GpuBackend", "SimBackend"]


class GpuBackend(Backend):
    """Kernels on a runtime; handles are device addresses.

    Attributes:
        runtime: where kernels run.
        queues: of each device, a list with the current stream.
        pools: of each device, its memory.
        immediate: whether bad indices are looked for after every kernel that can meet them (which waits for it).
    """

    addressed = True
    natives = frozenset(natives.KERNELS)

    def __init__(self, runtime: Runtime, immediate: bool) -> None:
        self.runtime = runtime
        count = runtime.device_count()
        self._count = count
        self.immediate = immediate
        self.made_streams = [
            runtime.new_stream(k) if not runtime.simulated or count > 1 else (0, None) for k in range(count)
        ]
        self.current = list(self.made_streams)
        self.queues = [[s[0]] for s in self.made_streams]
        self._stream_bins: dict[tuple[int, int], Any] = {}
        self.offsets = Offsets(self)
        self.pools = [make_pool(runtime, k) for k in range(count)]
        self.note_params: Callable[[int, int], None] | None = getattr(runtime, "note_params", None)
        self._functions: dict[Any, int] = {}
        self._modules: list[Module] = []
        self._plans: dict[Any, Any] = {}
        self._blas: dict[int, Any] = {}
        self._dnn: dict[int, Any] = {}
        self.pinned = Pinned()
        self.faults = [Faults(self, k) for k in range(count)]
        for k in range(count - 1, -1, -1):
            runtime.use(k)
        if count == 1:
            self.allocate, self.free = self.pools[0].calls()  # type: ignore[method-assign]

    def choose_stream(self, index: int, stream: int, raw: Any) -> None:
        """Let a device's work go to a stream; memory then comes from that stream's lists."""
        pool = self.pools[index]
        if stream == self.made_streams[index][0]:
            pool.swap(pool.main)
        else:
            pool.swap(self._stream_bins.setdefault((index, stream), new_bins()))
        self.current[index] = (stream, raw)
        self.queues[index][0] = stream

    # Kernels

    def function(self, source: str, name: str, index: int, options: Sequence[str] = ()) -> int:
        """A kernel of a source text, compiled and loaded when it is first asked for."""
        key = (source, name, index)
        found = self._functions.get(key)
        if found is None:
            image = self.runtime.compile(source, (name,), options, index)
            module = self.runtime.load(image, (name,), index)
            self._modules.append(module)
            found = self._functions[key] = module.functions[name]
        return found

    def guarded(self, launch: Callable[..., None], index: int) -> Callable[..., None]:
        """A launch that makes its device the current one, where there are several."""
        if self._count == 1:
            return launch
        use = self.runtime.use

        def on_device(*values: Any) -> None:
            use(index)
            launch(*values)

        return on_device

    def enter(self, index: int) -> None:
        """Make a device the current one, where there are several."""
        if self._count > 1:
            self.runtime.use(index)

    def fill(self, address: int, byte: int, nbytes: int, index: int) -> None:
        """Set every byte, in the order of the device's stream."""
        self.enter(index)
        self.runtime.fill(address, byte, nbytes, self.queues[index][0])

    def follow(self, index: int, stream: int, of: int) -> None:
        """Let a device's stream wait for the work so far of a stream of another one."""
        self.enter(of)
        event, keep = self.runtime.new_event(False)
        self.runtime.record(event, stream)
        self.runtime.wait(self.queues[index][0], event)
        del keep

    def remembered(self, key: Any, make: Callable[[], Any]) -> Any:
        """A plan by its key, made when it is first asked for."""
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= 1 << 14:
                self._plans.clear()
            found = self._plans[key] = make()
        return found

    def blas(self, index: int) -> Any:
        """The device's library of matrix products, or None."""
        if index not in self._blas:
            blas = self.runtime.blas(index)
            if hasattr(blas, "attach"):
                blas.attach(self.queues[index])
            if blas is not None:
                blas.guard = lambda launch: self.guarded(launch, index)
            self._blas[index] = blas
        return self._blas[index]

    def dnn(self, index: int) -> Any:
        """The device's library of convolutions, or None."""
        if index not in self._dnn:
            self._dnn[index] = self.runtime.dnn(self, index)
        return self._dnn[index]

    # Memory

    def allocate(self, nbytes: int, index: int) -> int:
        """A block of the device's pool."""
        return int(self.pools[index].allocate(nbytes))

    def free(self, handle: int, nbytes: int, index: int) -> None:
        """Give a block back to its pool."""
        self.pools[index].free(handle, nbytes)

    def _index_of(self, handle: int) -> int:
        return 0 if self._count == 1 else self.runtime.index_of(handle)

    def copy_in(self, handle: int, offset: int, data: Any) -> None:
        """Copy a contiguous host buffer to the device."""
        address, nbytes, keep = host_address(data)
        if nbytes:
            self.refuse_in_capture("copy from the host")
            index = self._index_of(handle)
            self.runtime.to_device(handle + offset, address, nbytes, self.queues[index][0], True)
        del keep

    def copy_in_later(self, handle: int, offset: int, data: Any) -> None:
        """Copy a host buffer to the device; from pinned memory the host goes on at once."""
        address, nbytes, keep = host_address(data)
        index = self._index_of(handle)
        room = self.pinned.find(address, nbytes) if nbytes else None
        if room is None:
            self.copy_in(handle, offset, data)
            return
        self.refuse_in_capture("copy from the host")
        self.enter(index)
        stream = self.queues[index][0]
        self.runtime.to_device(handle + offset, address, nbytes, stream, False)
        self.pinned.keep(self.runtime, stream, room)
        del keep

    def copy_out(self, handle: int, offset: int, nbytes: int) -> Any:
        """Copy device memory to new bytes."""
        room = bytearray(nbytes)
        if nbytes:
            self.refuse_in_capture("copy to the host")
            index = self._index_of(handle)
            address, _, keep = host_address(room)
            self.runtime.to_host(address, handle + offset, nbytes, self.queues[index][0], True)
            del keep
            self.faults[index].check()
        return room

    def copy_across(self, out: int, src: int, nbytes: int) -> None:
        """Copy between addresses, perhaps of different devices."""
        if nbytes:
            a, b = self._index_of(out), self._index_of(src)
            if a != b:
                self.follow(a, self.queues[b][0], b)
            self.enter(a)
            self.runtime.across(out, src, nbytes, self.queues[a][0])
            if a != b:  # the source may be written over, or freed, from then on
                self.follow(b, self.queues[a][0], a)

    def refuse_in_capture(self, what: str) -> None:
        """Raise where a graph is being captured and the host would have to wait.

        Raises:
            RuntimeError: it is.
        """
        if self.capture is not None:
            raise RuntimeError(
                f"[{self.name}] not possible while a graph is captured: got a {what}, needed: kernels alone. Leave out "
                "item(), print, .cpu() and tensors made from Python values inside of flambeau.cuda.graph()."
            )

    def synchronize(self, index: int) -> None:
        """Wait for all work of a device.

        Raises:
            IndexError: a kernel met a bad index.
        """
        self.refuse_in_capture("synchronization")
        self.runtime.synchronize(index)
        self.faults[index].check()

    # Properties

    def device_count(self) -> int:
        """How many devices there are."""
        return self._count

    def properties(self, index: int) -> dict[str, Any]:
        """Name, compute capability, memory, multiprocessors."""
        return self.runtime.properties(index)

    def memory_stats(self, index: int) -> dict[str, int]:
        """The pool's counts."""
        stats: dict[str, int] = self.pools[index].stats()
        return stats

    def current_stream(self, index: int) -> int | None:
        """The stream that kernels run on."""
        return int(self.queues[index][0])

    def wait_stream(self, stream: int | None, index: int) -> None:
        """Let a consumer's stream wait for the work done so far."""
        mine = self.queues[index][0]
        if self.runtime.simulated or stream == mine:
            return
        self.enter(index)
        event, keep = self.runtime.new_event(False)
        self.runtime.record(event, mine)
        # DLPack: 1 is the legacy default stream, 2 the per-thread one; CUDA calls them by the same numbers.
        self.runtime.wait(stream or 0, event)
        del keep

    # Compute

    def run_program(
        self, program: TypedProgram, outs: Sequence[Tensor], ins: Sequence[Tensor], scalars: Sequence[Any]
    ) -> None:
        """Run an elementwise program."""
        out_specs, in_specs = tuple(o.spec for o in outs), tuple(i.spec for i in ins)
        key = (program, out_specs, in_specs)
        launch = self.remembered(key, lambda: plan_program(self, program, out_specs, in_specs))
        launch(*[o.ptr for o in outs], *[i.ptr for i in ins], *scalars)

    def copy(self, out: Tensor, src: Tensor) -> None:
        """Copy with cast."""
        key = ("copy", out.spec, src.spec)
        launch = self.remembered(key, lambda: entries.plan_copy(self, out.spec, src.spec))
        launch(out.ptr, src.ptr)

    def reduce(self, kind: str, out: Tensor, src: Tensor, dims: tuple[int, ...]) -> None:
        """Sums, products, extremes over dimensions."""
        key = ("reduce", kind, out.spec, src.spec, dims)
        launch = self.remembered(key, lambda: entries.plan_reduce(self, kind, out.spec, src.spec, dims))
        launch(out.ptr, src.ptr)

    def scan(self, kind: str, out: Tensor, src: Tensor, dim: int) -> None:
        """Running sums and products."""
        key = ("scan", kind, out.spec, src.spec, dim)
        launch = self.remembered(key, lambda: entries.plan_scan(self, kind, out.spec, None, src.spec, dim))
        launch(out.ptr, 0, src.ptr)

    def scan2(self, kind: str, values: Tensor, indices: Tensor, src: Tensor, dim: int) -> None:
        """Running extremes and their places."""
        key = ("scan2", kind, values.spec, indices.spec, src.spec, dim)
        launch = self.remembered(
            key, lambda: entries.plan_scan(self, kind, values.spec, indices.spec, src.spec, dim)
        )
        launch(values.ptr, indices.ptr, src.ptr)

    def matmul(self, out: Tensor, a: Tensor, b: Tensor) -> None:
        """Batched matrix products."""
        key = ("matmul", out.spec, a.spec, b.spec)
        launch = self.remembered(key, lambda: entries.plan_matmul(self, out.spec, a.spec, b.spec))
        launch(out.ptr, a.ptr, b.ptr)

    def gather(self, out: Tensor, src: Tensor, dim: int, index: Tensor) -> None:
        """Take along a dimension."""
        entries.gather(self, out, src, dim, index)

    def scatter(self, out: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str | None) -> None:
        """Put along a dimension, in the order of the index."""
        entries.scatter(self, out, dim, index, src, reduce)

    def sort(
        self, values: Tensor, indices: Tensor, src: Tensor, dim: int, descending: bool, stable: bool
    ) -> None:
        """Sort along a dimension, stably."""
        sorting.sort(self, values, indices, src, dim, descending)

    def plan(
        self, entry: str, outs: Sequence[Spec], ins: Sequence[Spec], args: dict[str, Any]
    ) -> Callable[..., Any] | None:
        """Prepared launches of programs, reductions, products, copies and some native kernels."""
        if entry == "run_program":
            return plan_program(self, args["program"], outs, ins)
        if entry == "reduce":
            return entries.plan_reduce(self, args["kind"], outs[0], ins[0], args["dims"])
        if entry == "matmul":
            return entries.plan_matmul(self, outs[0], ins[0], ins[1])
        if entry == "copy":
            return entries.plan_copy(self, outs[0], ins[0])
        if entry not in self.natives or None in outs or None in ins:
            return None
        prepare = getattr(natives.find(self, entry, ins, args), "prepare", None)
        found: Callable[..., Any] | None = None if prepare is None else prepare(outs, ins)
        return found

    def plan_many(
        self, launches: Sequence[Callable[..., Any]], n_out: int
    ) -> Callable[[Sequence[Any], Sequence[Any]], None]:
        """All launches of a program as one, where all operands are dense."""
        return plan_many(self, launches, n_out, lambda: Backend.plan_many(self, launches, n_out))

    def kernel(
        self, name: str, ins: Sequence[Spec | None], attrs: dict[str, Any]
    ) -> Callable[[Sequence[Any], Sequence[Any], dict[str, Any]], Any] | None:
        """The native kernel of an op, where it takes these operands."""
        found: Callable[[Sequence[Any], Sequence[Any], dict[str, Any]], Any] | None
        found = natives.find(self, name, ins, attrs)
        return found


class CudaBackend(GpuBackend):
    """NVIDIA GPUs.

    Raises:
        DeviceUnavailable: there is none that can be used; the message says why.
    """

    name = "cuda"
    asynchronous = True
    streams = True
    dlpack_type = 2

    def __init__(self) -> None:
        from .rt_cupy import CupyRuntime

        try:
            runtime = CupyRuntime()
        except Unavailable as error:
            raise DeviceUnavailable(f"[device] device 'cuda' can't be used: {error}") from None
        super().__init__(runtime, os.environ.get("FLAMBEAU_CUDA_LAUNCH_BLOCKING") == "1")
        from flambeau import Tensor

        from .exchange import cuda_array_interface

        Tensor.__cuda_array_interface__ = property(cuda_array_interface)  # type: ignore[attr-defined]


class SimBackend(GpuBackend):
    """The same kernels on the host, for tests.

    Raises:
        DeviceUnavailable: there is no C++ compiler.
    """

    name = "cuda-sim"

    def __init__(self) -> None:
        from .rt_host import HostRuntime

        super().__init__(HostRuntime(), True)

    def host_buffer(self, mem: Storage) -> memoryview | None:
        """None: as on a GPU, the host can't see the memory."""
        return None


def host_address(data: Any) -> tuple[int, int, Any]:
    """The address and size of a contiguous host buffer, and what keeps it there."""
    import numpy as np

    view = memoryview(data)
    if not view.nbytes:
        return 0, 0, view
    array = np.frombuffer(view.cast("B") if view.format != "B" or view.ndim != 1 else view, np.uint8)
    return int(array.__array_interface__["data"][0]), array.size, array
