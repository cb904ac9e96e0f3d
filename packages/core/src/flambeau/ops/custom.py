"""Ops of one's own that are no elementwise programs: `flambeau.op`, and `CustomOp.check`, which tests one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from .._alias import namespace
from ..errors import refuse
from ..layout import Spec
from ..op import Call, Op
from ..state import grad_mode

if TYPE_CHECKING:
    from ..backend import Backend

__all__ = ["CustomOp", "op"]

F = TypeVar("F", bound=Callable[..., Any])


class CustomOp(Op):
    """An op made by `flambeau.op`. Calling it runs the device's own kernel, else the composite, else the reference.

    Decorators of such an op, each for a function of its implementation:

    - ``@op.composite``: takes what the op takes and returns the result, written in other ops; runs on every device.
    - ``@op.reference``: the same on NumPy arrays. It is what `check` compares with, and runs where there is nothing
      else.
    - ``@op.kernel("cuda")``: ``fn(out, ..., *tensors, **others)`` writes the result (or results) into tensors that
      exist, on devices of one type.
    """

    def __init__(self, fn: Callable[..., Any], vjp: Any = None, name: str | None = None) -> None:
        self.kernels: dict[str, Callable[..., Any]] = {}
        self.on_arrays: Callable[..., Any] | None = None
        super().__init__(fn, name or fn.__name__, vjp, method=False, function=False)

    def settle(self) -> None:
        """Parameters without annotation and default are tensors."""
        notes = self.fn.__annotations__
        for p in self.params:
            note = notes.get(p.name, "" if p.default is not p.NONE else "Tensor")
            text = note if isinstance(note, str) else getattr(note, "__name__", str(note))
            p.kind = p.KINDS.get(text.replace("fb.", "").replace("flambeau.", ""), "attr")
        super().settle()

    def composite(self, fn: F) -> F:
        """Decorator: the implementation in other ops."""
        self.default = fn
        self.plans.clear()
        return fn

    def reference(self, fn: F) -> F:
        """Decorator: the implementation on NumPy arrays."""
        self.on_arrays = fn
        self.plans.clear()
        return fn

    def kernel(self, device: str) -> Callable[[F], F]:
        """Decorator: the implementation that writes into the result, for devices of a type."""

        def keep(fn: F) -> F:
            self.kernels[device] = fn
            self.plans.clear()
            return fn

        return keep

    def infer(self, values: list[Any]) -> Call:
        """What the decorated function says of the result: a spec, or a tuple of specs."""
        found = super().infer(values)
        specs = found if isinstance(found, tuple) else (found,)
        if not all(isinstance(s, Spec) for s in specs):
            wrong = "the decorated function must return a Spec, or a tuple of them"
            refuse(self.name, wrong, error=TypeError, got=found)
        return Call(found)

    def native_kernel(self, backend: Backend, specs: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """The device's kernel; on arrays only where there is no composite either."""
        fn = self.kernels.get(backend.name)
        if fn is not None:
            return quietly(fn)
        return self.run_on_arrays if self.default is None and self.on_arrays is not None else None

    def run_on_arrays(self, outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
        """Run the reference implementation and copy its results."""
        from .interop import as_tensor

        assert self.on_arrays is not None
        arrays = [None if t is None else t.numpy(force=True) for t in ins]
        found = self.on_arrays(*arrays, **attrs)
        for out, made in zip(outs, found if isinstance(found, tuple) else (found,), strict=True):
            value = as_tensor(made)
            if value.spec.shape != out.spec.shape:
                refuse(self.name, "the reference gave another shape than the op's function said", got=value)
            out.copy_(value)

    # Checking

    def check(self, *args: Any, gradients: bool = True, rtol: float | None = None, **kwargs: Any) -> None:
        """Test the op on a sample call.

        Every implementation must agree with the reference (or the first there is), give the results that the
        decorated function says, take operands of any strides and leave them alone; gradients must agree with finite
        differences, and so must their gradients.

        Args:
            args, kwargs: a call; real floating-point operands are also tried as float64 for gradients.
            gradients: whether to test gradients, where the op has them.
            rtol: how far results may differ, relatively (default: by dtype).

        Raises:
            AssertionError: something is wrong; the message says what.
        """
        namespace("testing").check_op(self, self.bind(args, kwargs), gradients, rtol)


def quietly(kernel: Callable[..., Any]) -> Callable[..., None]:
    """A user's kernel as the backend's are called: on tensors without history, unrecorded."""

    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
        with grad_mode(False):
            kernel(*outs, *[None if t is None else t.detach() for t in ins], **attrs)

    return run


def op(fn: Callable[..., Any] | None = None, *, vjp: Any = None, name: str | None = None) -> Any:
    """Decorator: an op of one's own, differentiable, on every device.

    The decorated function says what the result is: it gets the specs of the tensors (dtype, shape, device; ``x.like()``
    makes another) and the other arguments, and returns a spec, or a tuple of specs. Parameters that are annotated as
    Tensor, or neither annotated nor with a default, take tensors. What computes it is given by decorators of
    `flambeau.ops.custom.CustomOp`: ``composite``, ``reference``, ``kernel(device)``; `CustomOp.check` tests all of
    them.

    Args:
        vjp: the gradient of each tensor parameter by name (None: it has none): functions whose parameters say what
            they read: ``g`` (the result's gradient), ``out``, a parameter's name, or its name with ``_spec``.
        name: the op's name (default: the function's).

    >>> import flambeau as fb
    >>> @fb.op(vjp={"x": lambda g, x, n: g * n * x ** (n - 1)})
    ... def power(x: fb.Tensor, n: int = 2):
    ...     return x.like()
    >>> @power.composite
    ... def _(x, n):
    ...     return x ** n
    >>> @power.reference
    ... def _(x, n):
    ...     return x ** n
    >>> power.check(fb.tensor([1., 2., 3.]), n=3)
    >>> x = fb.tensor([1., 2.], requires_grad=True)
    >>> power(x, 3).sum().backward(); x.grad
    tensor([ 3., 12.])
    """
    if fn is None:
        return lambda f: CustomOp(f, vjp, name)
    return CustomOp(fn, vjp, name)
