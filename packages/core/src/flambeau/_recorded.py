"""What of a tensor the tape is about: whether it is recorded, its gradient, its hooks."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from . import plan as plans
from . import tape
from .errors import message
from .state import modes

if TYPE_CHECKING:
    from ._methods import TensorMethods  # what records give to tensors; see _methods.pyi
    from ._tensor import Tensor
    from .layout import Spec
    from .storage import Storage

else:
    TensorMethods = object  # the methods are put on the tensor class itself by install.py

__all__ = ["Recorded"]


class Recorded(TensorMethods):
    """The base of `flambeau.Tensor` that has its gradient; the fields are the tensor's."""

    __slots__ = ()

    if TYPE_CHECKING:
        spec: Spec
        mem: Storage
        rg: Any
        node: tape.Node | None
        nr: int
        held: Tensor | None
        base: Tensor | None
        extra: dict[str, Any] | None

    @property
    def requires_grad(self) -> bool:
        """Whether what is computed with it is recorded."""
        return self.rg if type(self.rg) is bool else tape.edge_of(self) is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set whether what is computed with it is recorded.

        Raises:
            RuntimeError: the dtype has no gradients, or it isn't a leaf.
        """
        wrong = ""
        if requires_grad and self.spec.dtype.rank < 2:
            wrong = "only Tensors of floating point and complex dtype can require gradients: got "
            wrong += f"{self.spec.dtype.name}. Convert it first, e.g. x.float()"
        elif requires_grad and self.mem.watch is False and not modes.inference:
            wrong = "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed. "
            wrong += "Make a clone() of it to get a normal tensor"
        elif not requires_grad and (node := self.grad_fn) is not None:
            wrong = "you can only change requires_grad flags of leaf variables: this one was computed by "
            wrong += f"{node.name()}. Use x.detach() to compute without history"
        if wrong:
            raise RuntimeError(f"[requires_grad_] {wrong}.")
        self.rg = bool(requires_grad)
        return self  # type: ignore[return-value]

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward has accumulated, or None."""
        return self.held

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, plans.TENSOR):
                raise TypeError(message("grad", "assigned grad must be a Tensor or None", grad=value))
            mine, other = self.spec, value.spec
            if other.shape != mine.shape or other.device is not mine.device or other.dtype is not mine.dtype:
                kind = "type" if other.dtype is not mine.dtype else "size or device"
                wrong = f"assigned grad has data of a different {kind}"
                raise RuntimeError(message("grad", wrong, tensor=self, grad=value))
        self.held = value

    @property
    def grad_fn(self) -> tape.Node | None:
        """The tape's node that made it; None for leaves."""
        if self.base is not None and self.rg:
            tape.edge_of(self)
        return self.node

    @property
    def is_leaf(self) -> bool:
        """Whether it was not computed from tensors that require grad."""
        return self.grad_fn is None

    output_nr = property(attrgetter("nr"), doc="Which output of its node it is.")

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on it while it had a history."""
        return self.grad_fn is not None and bool(self.extra and self.extra.get("retains"))

    def is_inference(self) -> bool:
        """Whether it was made in inference mode: it is never saved for backward nor written to outside."""
        return self.mem.watch is False

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Compute the gradients of the leaves that it depends on and add them to their ``.grad``.

        Args:
            gradient: the gradient of this tensor; may be left out for one element (then 1).
            retain_graph: keep what was saved, so that backward can run again (default: ``create_graph``).
            create_graph: record the computation of the gradients.
            inputs: add gradients to these tensors only.
        """
        from .autograd import backward

        backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def register_hook(self, hook: Callable[[Tensor], Any]) -> tape.Removable:
        """Call ``hook(grad)`` when the gradient of this tensor is known; what it returns replaces the gradient.

        Raises:
            RuntimeError: it doesn't require grad.
        """
        if not self.rg:
            wrong = "cannot register a hook on a tensor that doesn't require gradient"
            raise RuntimeError(f"[register_hook] {wrong}. Call requires_grad_() first.")
        node = self.grad_fn
        if node is not None:
            hooks = node._extra().setdefault("hooks", {})
            return tape.Removable.append(hooks.setdefault(self.nr, []), hook)
        return tape.Removable.append(self._extra().setdefault("hooks", []), hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> tape.Removable:
        """Call ``hook(leaf)`` after a gradient was added to this leaf's ``.grad``."""
        if self.grad_fn is not None or not self.rg:
            wrong = "only leaves that require grad accumulate gradients. Use register_hook"
            raise RuntimeError(f"[register_post_accumulate_grad_hook] {wrong}.")
        return tape.Removable.append(self._extra().setdefault("post_hooks", []), hook)

    def retain_grad(self) -> None:
        """Keep the gradient in ``.grad`` although this is no leaf."""
        if not self.rg:
            raise RuntimeError("[retain_grad] can't retain_grad on Tensor that has requires_grad=False.")
        if self.grad_fn is None or self.retains_grad:
            return
        from weakref import ref

        me = ref(self)
        self._extra()["retains"] = True

        def keep(g: Tensor) -> None:
            t = me()
            if t is not None:
                t.held = g if t.held is None else t.held + g

        self.register_hook(keep)

    def _extra(self) -> dict[str, Any]:
        if self.extra is None:
            self.extra = {}
        return self.extra
