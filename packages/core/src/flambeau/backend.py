"""Contract version 1: what a device's backend implements.

A backend is an instance of a subclass of `Backend`. The twelve abstract methods are required; everything else has a
default. Kernels write into tensors that the core has allocated (destination-passing) after it has checked shapes,
dtypes and devices; a kernel checks nothing but the values of indices. A tensor ``t`` is read through ``t.spec``
(dtype, shape, strides, numel, dense), ``t.mem.handle`` with ``t.offset`` (elements), or ``t.ptr``: where its first
element lies, if the handles are integer addresses. docs/backends.md says what each entry computes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .dtypes import DType

if TYPE_CHECKING:
    from ._tensor import Tensor
    from .layout import Spec
    from .program import TypedProgram
    from .storage import Storage

__all__ = ["COMPUTE", "CONTRACT", "Backend"]

#: Version of this contract: (major, minor). A backend of another major version, or of a later minor one, is refused.
CONTRACT = (1, 0)
#: The entries that compute.
COMPUTE = frozenset("run_program copy reduce scan scan2 matmul gather scatter sort".split())


def _lacking(self: Backend, *args: Any) -> Any:
    raise RuntimeError(f"[device] backend {self.name!r} was called by its class for an entry that it lacks.")


class Backend(ABC):
    """A device type. Class attributes declare its capabilities; what isn't declared isn't asked for.

    Attributes:
        contract: the version of the contract that the backend was written for.
        name: the device type; the entry point's name, once it is loaded.
        dtypes: the names of the dtypes that kernels take, in tensors and inside programs; None means all.
        max_dims: the most dimensions that kernels take; None means any number.
        lacks: what the device can't do: entries (``"sort"``), kinds of entries (``"reduce.prod"``) and instructions of
            programs (``"digamma"``). Such entries need no method.
        asynchronous: whether kernels may still run when their call returns. ``copy_in``, ``copy_out`` and ``free``
            must wait for the work that uses their memory, or be ordered behind it.
        host_visible: whether the host can read the memory itself: ``host_buffer`` gives it.
        streams: whether ``current_stream`` and ``wait_stream`` mean something.
        addressed: whether handles are integer addresses to which byte offsets can be added.
        plans_absent: whether `plan` is asked for calls with absent operands too: their spec is None, their address 0.
        natives: the names of the ops that `kernel` may have a kernel for.
        capture: None, or what records kernels at the moment instead of running them. Its ``again`` lists functions that
            are called before each replay, in order; updates of `plan_many` do nothing at replays in which its ``skip``
            (None, or a float32 tensor of one element) isn't 0.

    What goes beyond ``dtypes``, ``max_dims`` and ``lacks`` is computed on the host by the reference backend, visibly:
    see `flambeau.explain_fallbacks`.
    """

    contract: tuple[int, int] = CONTRACT
    name: str
    dtypes: frozenset[str] | None = None
    max_dims: int | None = None
    lacks: frozenset[str] = frozenset()
    asynchronous: bool = False
    host_visible: bool = False
    streams: bool = False
    addressed: bool = False
    plans_absent: bool = False
    natives: frozenset[str] = frozenset()
    capture: Any = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for entry in cls.lacks & COMPUTE:
            if getattr(getattr(cls, entry), "__isabstractmethod__", False):
                setattr(cls, entry, _lacking)

    def capabilities(self) -> dict[str, Any]:
        """What the backend declares, by name."""
        from .dtypes import DTYPES

        return {
            "dtypes": sorted(d.name for d in DTYPES if self.supports(d)),
            "fp64": self.dtypes is None or "float64" in self.dtypes,
            "max_dims": self.max_dims,
            "lacks": sorted(self.lacks),
            "asynchronous": self.asynchronous,
            "host_visible": self.host_visible,
            "streams": self.streams,
            "addressed": self.addressed,
        }

    # Memory

    @abstractmethod
    def allocate(self, nbytes: int, index: int) -> Any:
        """A handle of uninitialised memory on device ``index``; 0 bytes are a valid request.

        Addresses are aligned to 64 bytes. The handle must be enough to find the memory and its device again.

        Raises:
            OutOfMemoryError: there is no room; nothing has changed, and the program may go on.
        """

    @abstractmethod
    def free(self, handle: Any, nbytes: int, index: int) -> None:
        """Give memory back. Never raises; called from any thread, by the garbage collector too."""

    @abstractmethod
    def copy_in(self, handle: Any, offset: int, data: Any) -> None:
        """Copy a contiguous host buffer to memory at a byte offset; the buffer may be reused on return."""

    def copy_in_later(self, handle: Any, offset: int, data: Any) -> None:
        """As `copy_in`, but the host needn't wait: the buffer stays as it is until the device has read it."""
        self.copy_in(handle, offset, data)

    @abstractmethod
    def copy_out(self, handle: Any, offset: int, nbytes: int) -> Any:
        """Copy memory at a byte offset into a new bytes-like object on the host, once all work on it is done."""

    def copy_across(self, out: Any, src: Any, nbytes: int) -> None:
        """Copy between two handles, perhaps of different indices; by default through the host."""
        self.copy_in(out, 0, self.copy_out(src, 0, nbytes))

    def synchronize(self, index: int) -> None:
        """Wait for all work of a device."""

    def host_buffer(self, mem: Storage) -> memoryview | None:
        """The memory itself as a writable host buffer, or None where the host can't see it."""
        return None

    def wrap_host(self, address: int, nbytes: int, owner: Any) -> Any:
        """A handle for foreign host memory, or None where the device can't use it."""
        return None

    # Properties

    def device_count(self) -> int:
        """How many devices there are."""
        return 1

    def properties(self, index: int) -> dict[str, Any]:
        """What is to be known of a device: ``name``, ``total_memory`` in bytes, threads, instruction set..."""
        return {"name": self.name}

    def get_num_threads(self) -> int:
        """How many host threads kernels use."""
        return 1

    def set_num_threads(self, n: int) -> None:
        """Set how many host threads kernels may use; a backend without threads ignores it."""

    #: DLPack's device type, or None where memory can't be exchanged.
    dlpack_type: int | None = None

    def current_stream(self, index: int) -> int | None:
        """The stream that kernels run on, as DLPack numbers it."""
        return None

    def wait_stream(self, stream: int | None, index: int) -> None:
        """Let a consumer's stream wait for the work done so far."""

    def memory_stats(self, index: int) -> dict[str, int]:
        """Bytes: ``allocated`` now, ``reserved``, ``peak``, ``limit``...; {} where nothing is counted."""
        return {}

    # Compute

    @abstractmethod
    def run_program(
        self, program: TypedProgram, outs: Sequence[Tensor], ins: Sequence[Tensor], scalars: Sequence[Any]
    ) -> None:
        """Run an elementwise program; all tensors have the outputs' shape (repeated ones by stride 0).

        ``scalars`` are Python numbers of the program's scalar dtypes; integers fit.
        """

    def copy(self, out: Tensor, src: Tensor) -> None:
        """Copy with cast between tensors of one shape."""
        from .program import Expr, Program

        cast = Program([Expr("in", (), 0)], 1, 0).typed((src.spec.dtype,), (out.spec.dtype,))
        self.run_program(cast, (out,), (src,), ())

    @abstractmethod
    def reduce(self, kind: str, out: Tensor, src: Tensor, dims: tuple[int, ...]) -> None:
        """Reduce over dimensions: sum prod max min argmax argmin any all; ``out`` lacks them."""

    @abstractmethod
    def scan(self, kind: str, out: Tensor, src: Tensor, dim: int) -> None:
        """Running cumsum, cumprod or logcumsumexp along a dimension."""

    @abstractmethod
    def scan2(self, kind: str, values: Tensor, indices: Tensor, src: Tensor, dim: int) -> None:
        """Running cummax or cummin with the place where each was found."""

    @abstractmethod
    def matmul(self, out: Tensor, a: Tensor, b: Tensor) -> None:
        """[B, M, K] times [B, K, N]; any strides; 16-bit floats accumulate in float32."""

    @abstractmethod
    def gather(self, out: Tensor, src: Tensor, dim: int, index: Tensor) -> None:
        """``out[i][j] = src[index[i][j]][j]`` for dim 0; raises IndexError that names the first bad index."""

    @abstractmethod
    def scatter(self, out: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str | None) -> None:
        """``out[index[i][j]][j] = src[i][j]`` for dim 0, in the order of the index; reduce: sum prod amax amin."""

    @abstractmethod
    def sort(
        self, values: Tensor, indices: Tensor, src: Tensor, dim: int, descending: bool, stable: bool
    ) -> None:
        """Sort along a dimension; NaN is the largest."""

    # Optional: speed

    def plan(
        self, entry: str, outs: Sequence[Spec], ins: Sequence[Spec], args: dict[str, Any]
    ) -> Callable[..., Any] | None:
        """A prepared launch of a required entry for given specs, ``launch(*out_ptrs, *in_ptrs, *scalars)``.

        Only asked of backends with ``addressed``. Entries: ``"run_program"`` (args: program), ``"reduce"`` (kind,
        dims), ``"matmul"``, ``"copy"``, ``"scatter"`` into a tensor that is there (index, src; dim, reduce), and native
        kernels by name (args: the op's other arguments). None: the entry itself is called.
        """
        return None

    def plan_many(
        self, launches: Sequence[Callable[..., Any]], n_out: int
    ) -> Callable[[Sequence[Any], Sequence[Any]], None]:
        """Prepared launches of one program, whose outputs are its first inputs, as one ``launch(ptrs, scalars)``.

        Args:
            launches: what `plan` gave for ``"run_program"``, one for each group of tensors.
            n_out: how many outputs the program has; ``ptrs`` are the pointers of each group's inputs, on end. While
                `capture` is set, ``scalars`` may be a function that gives them, called before each replay.
        """

        def launch_all(ptrs: Sequence[Any], scalars: Sequence[Any]) -> None:
            width = len(ptrs) // len(launches)
            for k, launch in enumerate(launches):
                group = ptrs[k * width : (k + 1) * width]
                launch(*group[:n_out], *group, *scalars)

        return launch_all

    def kernel(
        self, name: str, ins: Sequence[Spec | None], attrs: dict[str, Any]
    ) -> Callable[[Sequence[Any], Sequence[Any], dict[str, Any]], Any] | None:
        """A native kernel ``fn(outs, ins, attrs)`` for an op that has a default, or None to use the default.

        Args:
            name: the op; only those in ``natives`` are asked for what they do.
            ins: the operands' specs, None for those that are left out.
            attrs: the other arguments by name.
        """
        return None

    def supports(self, dtype: DType) -> bool:
        """Whether kernels take a dtype."""
        return self.dtypes is None or dtype.name in self.dtypes
