"""Module, the base of all layers and models: call, modes, moves between dtypes and devices, repr.

Registration is in `members`, the state in `state`, hooked calls in `hooks`.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self, TypeVar

import flambeau as fb

from .hooks import CallHooks, RemovableHandle
from .notes import note_path
from .state import Stateful

__all__ = ["Module"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)


class _HasForward(Protocol[_P, _R_co]):
    def forward(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co: ...


def _forward_missing(self: Module, *args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError(
        f'Module [{type(self).__name__}] is missing the required "forward" function. Define forward(self, ...).'
    )


class Module(Stateful):
    """The base class of all layers and models.

    Parameters, buffers and other modules that are assigned to attributes are registered: they are found by
    `parameters`, moved by `to`, saved by `state_dict`. A subclass calls ``super().__init__()`` first and defines
    ``forward``; calling the module calls it. An exception on the way gets a note that says where in the model
    it happened.

    >>> from flambeau import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = nn.Parameter(fb.tensor([2.0]))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(fb.ones(2)).tolist()
    [2.0, 2.0]
    """

    training: bool
    dump_patches = False
    call_super_init = False
    forward: Callable[..., Any] = _forward_missing
    _call_hooks: CallHooks | None = None

    def __init__(self) -> None:
        space = self.__dict__  # not through __setattr__, which needs the tables
        space["training"] = True
        space["_parameters"] = {}
        space["_buffers"] = {}
        space["_modules"] = {}
        space["_non_persistent_buffers_set"] = set()

    # -- the call -----------------------------------------------------------------------------------------------

    if TYPE_CHECKING:  # a call has the types of the subclass's forward

        def __call__(self: _HasForward[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R: ...

    else:

        def __call__(self, *args, **kwargs):
            try:
                if self._call_hooks is None:
                    return self.forward(*args, **kwargs)
                return self._call_hooks.run(self, args, kwargs)
            except Exception as error:
                note_path(error, self)
                raise

    def _hooks_of_call(self) -> CallHooks:
        own: CallHooks | None = self.__dict__.get("_call_hooks")
        if own is None:
            own = self._call_hooks = CallHooks()
        return own

    @property
    def _forward_pre_hooks(self) -> dict[int, Callable[..., Any]]:
        """The hooks before forward, by number."""
        table = self._hooks_of_call().forward_pre if "_call_hooks" in self.__dict__ else {}
        return {key: hook for key, (hook, *_) in table.items()}

    @property
    def _forward_hooks(self) -> dict[int, Callable[..., Any]]:
        """The hooks after forward, by number."""
        table = self._hooks_of_call().forward if "_call_hooks" in self.__dict__ else {}
        return {key: hook for key, (hook, *_) in table.items()}

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Run ``hook(module, args)`` before forward; what it returns, unless ``None``, replaces the arguments.

        Args:
            hook: the function; with `with_kwargs` ``hook(module, args, kwargs)``, returning ``(args, kwargs)``.
            prepend: before the hooks that are there already.
            with_kwargs: hand over keyword arguments too.
        """
        return RemovableHandle(self._hooks_of_call().forward_pre, (hook, with_kwargs, False), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Run ``hook(module, args, output)`` after forward; what it returns, unless ``None``, replaces the output.

        Args:
            hook: the function; with `with_kwargs` ``hook(module, args, kwargs, output)``.
            prepend: before the hooks that are there already.
            with_kwargs: hand over keyword arguments too.
            always_call: run it even if forward raises.

        >>> from flambeau import nn
        >>> layer = nn.Linear(2, 3)
        >>> with layer.register_forward_hook(lambda module, args, output: print(tuple(output.shape))):
        ...     y = layer(fb.ones(5, 2))
        (5, 3)
        """
        return RemovableHandle(self._hooks_of_call().forward, (hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Run ``hook(module, grad_output)`` in backward, before the module's own; a returned value replaces it."""
        return RemovableHandle(self._hooks_of_call().backward_pre, hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Run ``hook(module, grad_input, grad_output)`` in backward, when the gradients of the inputs are there.

        A returned value replaces ``grad_input``. Both are tuples with ``None`` for what has no gradient; keyword
        arguments aren't watched. If no input needs a gradient the hook runs when those of the outputs are there.
        """
        return RemovableHandle(self._hooks_of_call().backward, hook, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """The older name of `register_full_backward_hook`, with its meaning."""
        return self.register_full_backward_hook(hook)

    # -- modes and gradients ------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set training mode in this module and all below (dropout and batch norm behave differently)."""
        if not isinstance(mode, bool):
            raise ValueError(f"[train] training mode is expected to be boolean: got {type(mode).__name__}.")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode: the same as ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Record gradients for all parameters, or for none of them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; with ``set_to_none=False`` fill them with zeros."""
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                parameter.grad = parameter.grad.detach()
                parameter.grad.zero_()

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module below, then on this one; used to initialise.

        >>> from flambeau import nn
        >>> net = nn.Sequential(nn.ReLU()).apply(lambda module: print(module._get_name()))
        ReLU
        Sequential
        """
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # -- moves --------------------------------------------------------------------------------------------------

    def _apply(self, fn: Callable[[fb.Tensor], fb.Tensor], recurse: bool = True) -> Self:
        """Replace the data of every parameter, gradient and buffer by ``fn`` of it; parameters keep their identity."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for parameter in self._parameters.values():
            if parameter is None:
                continue
            with fb.no_grad():
                parameter.data = fn(parameter.data)
                if parameter.grad is not None:
                    parameter.grad = fn(parameter.grad.detach()).requires_grad_(parameter.grad.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._enter("_buffers", name, fn(buffer))
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move or cast all parameters and buffers, in place: ``to(device)``, ``to(dtype)``, ``to(device, dtype)``,
        ``to(tensor)``, with ``non_blocking=``. Only floating point and complex ones change dtype; ``memory_format=``
        is for those with 4 or 5 dimensions.

        >>> from flambeau import nn
        >>> nn.Linear(2, 1).to(fb.float64).weight.dtype == fb.float64
        True
        """
        device, dtype, options = _parse_to(args, kwargs)
        memory_format = options.pop("memory_format", None)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                f"[to] nn.Module.to only accepts floating point or complex dtypes: got desired dtype={dtype}. "
                "Cast single tensors with tensor.to(dtype)."
            )

        def move(tensor: fb.Tensor) -> fb.Tensor:
            cast = dtype if tensor.is_floating_point() or tensor.is_complex() else None
            layout = (
                {} if memory_format is None or tensor.ndim not in (4, 5) else {"memory_format": memory_format}
            )
            return tensor.to(
                tensor.device if device is None else device, cast or tensor.dtype, **layout, **options
            )

        return self._apply(move)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Move to a device without copying values, so from ``"meta"`` too."""
        return self._apply(lambda tensor: fb.empty_like(tensor, device=device), recurse=recurse)

    def cpu(self) -> Self:
        """Move to the device ``"cpu"``."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Self:
        """Move to a CUDA device: the current one, or one given by number or name."""
        return self.to("cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else device)

    def type(self, dst_type: fb.dtype) -> Self:
        """Cast all parameters and buffers to `dst_type`."""
        return self._apply(lambda tensor: tensor.to(dst_type))

    def _cast(self, dtype: fb.dtype) -> Self:
        return self._apply(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)

    def float(self) -> Self:
        """Cast floating point parameters and buffers to float32."""
        return self._cast(fb.float32)

    def double(self) -> Self:
        """Cast floating point parameters and buffers to float64."""
        return self._cast(fb.float64)

    def half(self) -> Self:
        """Cast floating point parameters and buffers to float16."""
        return self._cast(fb.float16)

    def bfloat16(self) -> Self:
        """Cast floating point parameters and buffers to bfloat16."""
        return self._cast(fb.bfloat16)

    def share_memory(self) -> Self:
        """Move parameters and buffers on the host to memory that processes forked later have in common.

        >>> from flambeau import nn
        >>> nn.Linear(2, 1).share_memory().weight.shape == (1, 2)
        True
        """
        return self._apply(_in_shared_memory)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: a call runs at once and needs no compiler. Takes what ``torch.compile`` takes."""

    # -- copies and repr ----------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        space = self.__dict__
        space.update(state)
        for table in ("_parameters", "_buffers", "_modules"):
            space[table] = dict(space.get(table, {}))  # a shallow copy must not share its tables
        space["_non_persistent_buffers_set"] = set(space.get("_non_persistent_buffers_set", ()))

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What ``repr`` says of the module itself, on one line or several; for subclasses."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        if len(lines) <= 1 and not self._modules:
            return f"{self._get_name()}({extra})"
        lines += [f"({name}): " + _indent(repr(module)) for name, module in self._modules.items()]
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


def _indent(text: str) -> str:
    return text.replace("\n", "\n  ")


def _in_shared_memory(tensor: fb.Tensor) -> fb.Tensor:
    if tensor.device.type != "cpu" or not tensor.numel():
        return tensor
    room = fb.frombuffer(mmap.mmap(-1, tensor.numel() * tensor.element_size()), dtype=tensor.dtype)
    return room.reshape(tensor.shape).copy_(tensor)


def _parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Sort the arguments of `Module.to` into device, dtype and what goes on to ``Tensor.to``."""
    options = dict(kwargs)
    device = options.pop("device", None)
    dtype = options.pop("dtype", None)
    rest = list(args)
    tensor = options.pop("tensor", None)
    if rest and isinstance(rest[0], fb.Tensor):
        tensor = rest.pop(0)
    if tensor is not None:
        device, dtype = tensor.device, tensor.dtype
    elif rest and not isinstance(rest[0], (fb.dtype, bool)):
        device = rest.pop(0)
    if rest and isinstance(rest[0], fb.dtype):
        dtype = rest.pop(0)
    elif rest and rest[0] is None:
        rest.pop(0)
    if rest and isinstance(rest[0], bool):
        options["non_blocking"] = rest.pop(0)
    unknown = set(options) - {"non_blocking", "memory_format", "copy"}
    if rest or unknown:
        what = f"unexpected argument {rest[0]!r}" if rest else f"unexpected keyword {sorted(unknown)[0]!r}"
        raise TypeError(
            f"[to] {what}: needed: to(device, dtype, non_blocking), to(dtype, ...) or to(tensor, ...)."
        )
    return device, dtype, options
