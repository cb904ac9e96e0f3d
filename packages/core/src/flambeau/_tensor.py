"""The tensor: what a user holds. Methods of ops come from the records (install.py); here is the rest."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from . import plan as plans
from . import tape
from ._recorded import Recorded
from .devices import Device
from .dtypes import DType
from .errors import message
from .layout import FORMATS, Size, Spec, format_strides, wrap_dim
from .storage import Storage

__all__ = ["Tensor"]


def _spec(name: str, doc: str) -> Any:
    """A property that the tensor's spec has."""
    return property(attrgetter("spec." + name), doc=doc)


def _on(kind: str, doc: str) -> Any:
    """A property that says whether the tensor lies on devices of a type."""
    return property(lambda self: self.spec.device.type == kind, doc=doc)


class _Size(property):
    """``x.size`` and ``x.size(dim)``, and ``Tensor.size(x, dim)``."""

    def __call__(self, t: Tensor, dim: int | None = None) -> Any:
        return t.spec.count(dim)


class Tensor(Recorded):
    """A strided array on a device that records what is computed with it.

    Made by `flambeau.tensor` and the creation functions; ``Tensor(2, 3)`` (uninitialised) and ``Tensor([1, 2])``
    (of the default dtype) work as PyTorch's do.

    Attributes:
        spec: dtype, shape, strides and device.
        mem: the memory.
        offset: the first element's place in it, in elements.
        ptr: where the first element lies, on devices with addresses.
        node, nr: the op that made it, and which of its outputs this is; None for leaves.
        base: the tensor of which this is a view.

    >>> import flambeau as fb
    >>> x = fb.tensor([1., 2., 3.], requires_grad=True)
    >>> (x ** 2).sum().backward()
    >>> x.grad
    tensor([2., 4., 6.])
    """

    __slots__ = (
        "__weakref__", "base", "extra", "held", "mem", "node", "nr", "offset", "ptr", "rg", "seen", "spec",
    )  # fmt: skip

    spec: Spec
    mem: Storage
    ptr: Any
    offset: int

    def __init__(
        self, spec: Any = None, mem: Any = None, ptr: Any = None, offset: Any = 0, *rest: int
    ) -> None:
        if type(mem) is not Storage:
            sizes = (spec, mem, ptr, *([offset] if rest or (ptr is not None and offset) else []), *rest)
            from .ops.interop import legacy

            made = legacy([v for v in sizes if v is not None])
            spec, mem, ptr, offset = made.spec, made.mem, made.ptr, made.offset
        self.spec = spec
        self.mem = mem
        self.ptr = ptr
        self.offset = offset
        self.rg = False
        self.node: tape.Node | None = None
        self.nr = 0
        self.held: Tensor | None = None
        self.base: Tensor | None = None
        self.seen: Any = None
        self.extra: dict[str, Any] | None = None

    # What it is

    @property
    def shape(self) -> Size:
        """The sizes of its dimensions."""
        return self.spec.shape

    dtype: DType = _spec("dtype", "The type of its elements.")
    device: Device = _spec("device", "Where it lies.")
    ndim: int = _spec("ndim", "The number of its dimensions.")
    itemsize: int = _spec("itemsize", "Bytes per element.")
    nbytes: int = _spec("nbytes", "Bytes of all elements.")
    is_meta: bool = _on("meta", "Whether it has a shape only.")
    is_cuda: bool = _on("cuda", "Whether it lies on a CUDA device.")
    is_cpu: bool = _on("cpu", "Whether it lies on the CPU.")
    layout = "flambeau.strided"
    is_sparse = is_quantized = is_nested = False

    if TYPE_CHECKING:

        def size(self, dim: int | None = None) -> Any:
            """All sizes, or the size of one dimension; without a call, the number of elements."""

    else:
        size = _Size(attrgetter("spec.count"))

    def stride(self, dim: int | None = None) -> Any:
        """All strides in elements, or one."""
        strides = self.spec.strides
        return strides if dim is None else strides[wrap_dim(dim, self.spec.ndim, "stride")]

    def dim(self) -> int:
        """The number of its dimensions."""
        return self.spec.ndim

    def is_nonzero(self) -> bool:
        """Whether its only element is not 0."""
        return bool(self)

    def numel(self) -> int:
        """The number of its elements."""
        return self.spec.numel

    nelement = numel
    ndimension = dim

    def element_size(self) -> int:
        """Bytes per element."""
        return self.spec.itemsize

    def storage_offset(self) -> int:
        """Where its first element lies in its memory, in elements."""
        return self.offset

    def is_contiguous(self, memory_format: Any = "contiguous_format") -> bool:
        """Whether its elements lie in the order of a memory format (row-major by default) without gaps."""
        if memory_format not in FORMATS:
            return self.spec.dense
        if self.spec.ndim not in FORMATS[memory_format]:
            return False
        want = format_strides("", self.spec, memory_format) or ()
        steps = zip(self.spec.shape, self.spec.strides, want, strict=True)
        return not self.spec.numel or all(n == 1 or s == k for n, s, k in steps)

    def is_floating_point(self) -> bool:
        """Whether its dtype is a floating-point type."""
        return self.spec.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether its dtype is complex."""
        return self.spec.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether its dtype has negative values."""
        return self.spec.dtype.is_signed

    def get_device(self) -> int:
        """The index of its device; -1 for the CPU."""
        return -1 if self.spec.device.type == "cpu" else self.spec.device.slot

    def is_same_size(self, other: Tensor) -> bool:
        """Whether both have the same shape."""
        return self.spec.shape == other.spec.shape

    def _is_view(self) -> bool:
        return self.base is not None

    _base: Tensor | None = property(attrgetter("base"))  # type: ignore[assignment]

    @property
    def _version(self) -> int:
        if self.mem.watch is False:
            raise RuntimeError("[_version] Inference tensors do not track version counter.")
        return self.mem.version

    # History and memory

    def detach(self) -> Tensor:
        """The same memory without history."""
        return Tensor(self.spec, self.mem, self.ptr, self.offset)

    def detach_(self) -> Tensor:
        """Drop the history."""
        self.node, self.nr, self.rg, self.base = None, 0, False, None
        return self

    @property
    def data(self) -> Tensor:
        """The same memory without history; assigning gives this tensor another's memory, shape and dtype."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(message("data", "data must be a Tensor", data=value))
        self.spec, self.mem, self.ptr, self.offset = value.spec, value.mem, value.ptr, value.offset

    def set_(self, source: Tensor) -> Tensor:
        """Make this tensor share another's memory, shape and dtype."""
        self.data = source
        return self

    def as_subclass(self, cls: type[Any]) -> Any:
        """The same memory and history as an instance of a subclass (whose ``__init__`` doesn't run)."""
        t = object.__new__(cls)
        Tensor.__init__(t, self.spec, self.mem, self.ptr, self.offset)
        t.node, t.nr, t.rg, t.base, t.seen = self.node, self.nr, self.rg, self.base, self.seen
        return t

    # Values

    __array_priority__ = 1000

    def to_device(self, device: Any, /, *, stream: Any = None) -> Tensor:
        """On another device: the Array API standard's name of ``to``."""
        return self.to(Device(device))

    def __bool__(self) -> bool:
        if self.spec.numel != 1:
            wrong = f"Tensor with {'more than one value' if self.spec.numel else 'no values'} is ambiguous"
            raise RuntimeError(
                f"[bool] Boolean value of {wrong}: got {list(self.shape)}. Use .any() or .all()."
            )
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.spec.dtype.rank > 1 or self.spec.numel != 1:
            wrong = "only integer tensors of a single element can be converted to an index"
            raise TypeError(message("index", wrong, self=self))
        return int(self.item())

    def __len__(self) -> int:
        if not self.spec.ndim:
            raise TypeError("[len] len() of a 0-d tensor. Use .item() to get its value.")
        return self.spec.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.spec.ndim:
            raise TypeError("[iter] iteration over a 0-d tensor. Use .item() to get its value.")
        return iter(self.unbind(0))

    def __pos__(self) -> Tensor:
        return self

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    def __hash__(self) -> int:
        return id(self) >> 4

    def __format__(self, spec: str) -> str:
        if self.spec.ndim == 0 and spec:
            return format(self.item(), spec)
        return object.__format__(self, spec) if spec else repr(self)

    # Moving and converting

    def cpu(self) -> Tensor:
        """On the CPU."""
        return self.to(Device("cpu"))

    def cuda(self, device: Any = None) -> Tensor:
        """On a CUDA device."""
        return self.to(Device("cuda" if device is None else device))

    def type_as(self, other: Tensor) -> Tensor:
        """Converted to another's dtype."""
        return self.to(other.spec.dtype)


plans.TENSOR = Tensor
