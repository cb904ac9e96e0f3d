"""Pruning: parameters part of which is kept at zero by a mask.

``<name>`` becomes ``<name>_orig`` (the parameter) times ``<name>_mask`` (a buffer), computed before each forward.
Several prunings of one parameter are kept in a `PruningContainer`, each acting on what the earlier ones have left.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from numbers import Integral, Real
from typing import Any, ClassVar

import flambeau as fb

from ..hooks import RemovableHandle
from ..module import Module
from ..parameter import Parameter
from .convert_parameters import parameters_to_vector

__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "PruningContainer",
    "RandomStructured", "RandomUnstructured", "custom_from_mask", "global_unstructured", "identity", "is_pruned",
    "l1_unstructured", "ln_structured", "random_structured", "random_unstructured", "remove",
]  # fmt: skip


class BasePruningMethod(ABC):
    """A way to choose what is pruned; a subclass defines `compute_mask`.

    Attributes:
        PRUNING_TYPE: ``"unstructured"`` (elements), ``"structured"`` (slices along ``dim``) or ``"global"``: what a
            container hands over of a tensor that was pruned before.
    """

    PRUNING_TYPE: ClassVar[str]
    _tensor_name: str | None = None
    _handle: RemovableHandle | None = None

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._name(), self.apply_mask(module))

    def _name(self) -> str:
        if self._tensor_name is None:
            raise AssertionError(f"[prune] {type(self).__name__} hasn't been applied to a tensor yet.")
        return self._tensor_name

    @abstractmethod
    def compute_mask(self, t: fb.Tensor, default_mask: fb.Tensor) -> fb.Tensor:
        """The mask: ones and zeros of t's shape, zero wherever `default_mask` is."""

    def apply_mask(self, module: Module) -> fb.Tensor:
        """The original times the mask."""
        name = self._name()
        original, mask = getattr(module, name + "_orig"), getattr(module, name + "_mask")
        made: fb.Tensor = mask.to(original.dtype) * original
        return made

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: fb.Tensor | None = None, **kwargs: Any
    ) -> BasePruningMethod:
        """Prune a module's parameter, on top of what was done before.

        Args:
            module: the owner.
            name: the parameter.
            args, kwargs: of the method's constructor.
            importance_scores: what the choice goes by, in place of the values.
        """
        before = _method_of(module, name)
        fresh = cls(*args, **kwargs)
        fresh._tensor_name = name
        method: BasePruningMethod = fresh
        value = getattr(module, name)
        scores = value if importance_scores is None else importance_scores
        if scores.shape != value.shape:
            raise AssertionError(
                f"[prune] importance_scores should have the same shape as parameter {name}: got {list(scores.shape)}, "
                f"needed {list(value.shape)}."
            )
        if before is None:
            mask = method.compute_mask(scores.detach(), default_mask=fb.ones_like(value.detach()))
            original = value if isinstance(value, Parameter) else Parameter(value)
            delattr(module, name)
            module.register_parameter(name + "_orig", original)
        else:
            method = before if isinstance(before, PruningContainer) else PruningContainer(before)
            assert isinstance(method, PruningContainer)
            method.add_pruning_method(fresh)
            old = getattr(module, name + "_mask").detach().clone()
            try:
                mask = method.compute_mask(scores.detach(), default_mask=old)
            except Exception:
                method._pruning_methods = method._pruning_methods[:-1]
                raise
            if before._handle is not None:
                before._handle.remove()
        module.register_buffer(name + "_mask", mask)
        method(module, ())
        method._handle = module.register_forward_pre_hook(method)
        return method

    def prune(
        self, t: fb.Tensor, default_mask: fb.Tensor | None = None, importance_scores: fb.Tensor | None = None
    ) -> fb.Tensor:
        """A tensor pruned by this method, on its own."""
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise AssertionError(
                f"[prune] importance_scores should have the same shape as tensor t: got {list(scores.shape)}, needed "
                f"{list(t.shape)}."
            )
        return t * self.compute_mask(
            scores, default_mask=fb.ones_like(t) if default_mask is None else default_mask
        )

    def remove(self, module: Module) -> None:
        """Make the pruned parameter an ordinary one with the values that it has."""
        name = self._name()
        value = self.apply_mask(module).detach()
        original = getattr(module, name + "_orig")
        for key in (name, name + "_orig", name + "_mask"):
            delattr(module, key)
        original.data = value
        module.register_parameter(name, original)
        if self._handle is not None:
            self._handle.remove()


class PruningContainer(BasePruningMethod):
    """Several methods that one parameter was pruned by, in their order."""

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if args:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Add a method of the same parameter."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"[prune] {type(method).__name__} is not a BasePruningMethod subclass.")
        if self._tensor_name != method._tensor_name:
            raise ValueError(
                "[prune] can only add pruning methods acting on the parameter named "
                f"{self._tensor_name!r}: got {method._tensor_name!r}."
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: Any) -> Any:
        return self._pruning_methods[idx]

    def compute_mask(self, t: fb.Tensor, default_mask: fb.Tensor) -> fb.Tensor:
        """The last method's mask, on what the earlier ones have left."""
        method: Any = self._pruning_methods[-1]
        mask = default_mask.to(t.dtype)
        kind = method.PRUNING_TYPE
        if kind == "unstructured":
            left: Any = default_mask == 1
        elif kind == "structured":
            dim = method.dim % t.ndim
            others = [d for d in range(t.ndim) if d != dim]
            left = (slice(None),) * dim + (default_mask.sum(others) != 0,)
        elif kind == "global":
            left = (slice(None),)
        else:
            raise ValueError(f"[prune] unrecognized PRUNING_TYPE {kind}.")
        mask = mask.clone()
        mask[left] = method.compute_mask(t[left], default_mask=default_mask[left]).to(mask.dtype)
        return mask


def _checked(amount: Any) -> Any:
    if not isinstance(amount, Real):
        raise TypeError(f"[prune] invalid type for amount: {amount}. Must be int or float.")
    if amount < 0 or (not isinstance(amount, Integral) and float(amount) > 1):
        raise ValueError(
            f"[prune] amount={amount} should either be a float in the range [0, 1] or a non-negative integer."
        )
    return amount


def _count(amount: Any, size: int) -> int:
    """How many of ``size`` units an amount is."""
    if not isinstance(amount, Integral):
        return round(float(amount) * size)
    if int(amount) > size:
        raise ValueError(
            f"[prune] amount={amount} should be smaller than the number of parameters to prune={size}."
        )
    return int(amount)


def _without(mask: fb.Tensor, scores: fb.Tensor, count: int) -> fb.Tensor:
    """A mask with the places of the ``count`` smallest scores at zero."""
    if not count:
        return mask.clone()
    places = fb.topk(scores.reshape(-1), count, largest=False).indices
    return mask.reshape(-1).index_fill(0, places, 0).reshape(mask.shape)


class Identity(BasePruningMethod):
    """Prunes nothing, but gives the parameter a mask."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: fb.Tensor, default_mask: fb.Tensor) -> fb.Tensor:
        """The mask that was there."""
        return default_mask


class RandomUnstructured(BasePruningMethod):
    """Prunes elements at random.

    Args:
        amount: how many, as a number or a share.
    """

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: float) -> None:
        self.amount = _checked(amount)

    def compute_mask(self, t: fb.Tensor, default_mask: fb.Tensor) -> fb.Tensor:
        """See the class."""
        return _without(default_mask, fb.rand_like(t), _count(self.amount, t.numel()))


class L1Unstructured(BasePruningMethod):
    """Prunes the elements of least absolute value.

    Args:
        amount: how many, as a number or a share.
    """

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: float) -> None:
        self.amount = _checked(amount)

    def compute_mask(self, t: fb.Tensor, default_mask: fb.Tensor) -> fb.Tensor:
        """See the class."""
        return _without(default_mask, t.abs(), _count(self.amount, t.numel()))


class _Structured(BasePruningMethod):
    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        self.amount = _checked(amount)
        self.dim = dim

    def _scores(self, t: fb.Tensor) -> fb.Tensor:
        """A number per slice; the slices of the smallest are pruned."""
        raise NotImplementedError

    def compute_mask(self, t: fb.Tensor, default_mask: fb.Tensor) -> fb.Tensor:
        """See the class."""
        if t.ndim <= 1:
            raise ValueError(
                "[prune] structured pruning can only be applied to multidimensional tensors: found tensor of shape "
                f"{list(t.shape)} with {t.ndim} dims."
            )
        if not -t.ndim <= self.dim < t.ndim:
            raise IndexError(f"[prune] invalid index {self.dim} for tensor of size {list(t.shape)}.")
        dim = self.dim % t.ndim
        size = t.shape[dim]
        count = _count(self.amount, size)
        if not count:
            return default_mask
        kept = _without(fb.ones(size, dtype=t.dtype, device=t.device), self._scores(t), count)
        return kept.reshape(-1, *[1] * (t.ndim - 1 - dim)) * default_mask.to(t.dtype)


class RandomStructured(_Structured):
    """Prunes slices at random.

    Args:
        amount: how many, as a number or a share.
        dim: along which dimension.
    """

    def _scores(self, t: fb.Tensor) -> fb.Tensor:
        return fb.rand(t.shape[self.dim], device=t.device)


class LnStructured(_Structured):
    """Prunes the slices of least norm.

    Args:
        amount: how many, as a number or a share.
        n: which norm.
        dim: along which dimension.
    """

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t: fb.Tensor) -> fb.Tensor:
        return t.norm(self.n, [d for d in range(t.ndim) if d != self.dim % t.ndim])


class CustomFromMask(BasePruningMethod):
    """Prunes where a mask is zero.

    Args:
        mask: of the parameter's shape.
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask: fb.Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: fb.Tensor, default_mask: fb.Tensor) -> fb.Tensor:
        """See the class."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"[prune] the mask must have the parameter's shape: got {list(self.mask.shape)}, needed "
                f"{list(default_mask.shape)}."
            )
        return default_mask * self.mask.to(default_mask.dtype)


# Functions


def identity(module: Module, name: str) -> Module:
    """Give a parameter a mask of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prune elements of a parameter at random; `amount` is a number or a share."""
    RandomUnstructured.apply(module, name, amount=amount)
    return module


def l1_unstructured(
    module: Module, name: str, amount: float, importance_scores: fb.Tensor | None = None
) -> Module:
    """Prune a parameter's elements of least absolute value; `amount` is a number or a share.

    >>> from flambeau import nn
    >>> layer = l1_unstructured(nn.Linear(4, 2), "weight", amount=0.5)
    >>> int((layer.weight == 0).sum()), [name for name, _ in layer.named_parameters()]
    (4, ['bias', 'weight_orig'])
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prune slices of a parameter along `dim` at random; `amount` is a number or a share."""
    RandomStructured.apply(module, name, amount=amount, dim=dim)
    return module


def ln_structured(
    module: Module, name: str, amount: float, n: Any, dim: int, importance_scores: fb.Tensor | None = None
) -> Module:
    """Prune a parameter's slices along `dim` of least n-norm; `amount` is a number or a share."""
    LnStructured.apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: fb.Tensor) -> Module:
    """Prune a parameter where a mask is zero."""
    CustomFromMask.apply(module, name, mask=mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]], pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], fb.Tensor] | None = None, **kwargs: Any,
) -> None:  # fmt: skip
    """Prune several parameters as if they were one.

    Args:
        parameters: pairs of a module and a name.
        pruning_method: an unstructured method.
        importance_scores: what the choice goes by, by pair.
        kwargs: of the method's constructor.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("[global_unstructured] parameters is not an Iterable.")
    if importance_scores is not None and not isinstance(importance_scores, dict):
        raise TypeError("[global_unstructured] importance_scores must be of type dict.")
    pairs, scores = list(parameters), importance_scores or {}
    values = [getattr(module, name) for module, name in pairs]
    whole = parameters_to_vector(
        [scores.get(pair, value) for pair, value in zip(pairs, values, strict=True)]
    ).detach()
    masks = parameters_to_vector(
        [
            getattr(m, name + "_mask", fb.ones_like(v.detach()))
            for (m, name), v in zip(pairs, values, strict=True)
        ]
    ).detach()
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            "[global_unstructured] only 'unstructured' PRUNING_TYPE supported for the `pruning_method`: got "
            f"{pruning_method.__name__} of type {method.PRUNING_TYPE}."
        )
    found = PruningContainer(method).compute_mask(whole, masks)
    at = 0
    for (module, name), value in zip(pairs, values, strict=True):
        custom_from_mask(module, name, found[at : at + value.numel()].view(value.shape))
        at += value.numel()


def _method_of(module: Module, name: str | None) -> BasePruningMethod | None:
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, BasePruningMethod) and name in (None, hook._tensor_name):
            return hook
    return None


def remove(module: Module, name: str) -> Module:
    """Make a pruned parameter an ordinary one with the values that it has.

    Raises:
        ValueError: it isn't pruned.
    """
    method = _method_of(module, name)
    if method is None:
        raise ValueError(
            f"[remove] parameter {name!r} of {type(module).__name__} has to be pruned before pruning can be removed."
        )
    method.remove(module)
    return module


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one below it, is pruned."""
    return any(_method_of(part, None) is not None for part in module.modules())
