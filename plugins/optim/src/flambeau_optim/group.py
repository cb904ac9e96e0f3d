"""What the optimizers of this package share: a step that is one fused update per parameter group.

An update is a plain function of single elements, `update(*writes, *reads, *scalars)`, that returns the new
value of every write. Core traces it once into a program; the backend then runs that program over all tensors
of the group in one call.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeAlias

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import Expr, backend_of, message, select

from .multi import Numbers, multi_apply
from .optimizer import Optimizer

__all__ = [
    "GroupOptimizer",
    "Numbers",
    "Rows",
    "check_at_least_zero",
    "check_betas",
    "check_scalar",
    "choose",
    "descend",
]

Rows: TypeAlias = Sequence[list[Tensor]]


class GroupOptimizer(Optimizer, ABC):
    """An optimizer whose step is one fused update per parameter group."""

    _like_params: ClassVar[bool] = True

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own."""
        super().add_param_group(param_group)
        self._look_at_params()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._look_at_params()

    def _look_at_params(self) -> None:
        self._complex = any(p.is_complex() for group in self.param_groups for p in group["params"])
        self._repeats = any(len(set(map(id, g["params"]))) < len(g["params"]) for g in self.param_groups)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward`` and returns the loss.
        """
        loss = None
        if closure is not None:
            with fb.enable_grad():
                loss = closure()
        with fb.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            for group in self.param_groups:
                for part in _rounds(group) if self._repeats else (group,):
                    self.update_group(part)
        return loss

    @abstractmethod
    def update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group that have a gradient."""

    def number(self, group: dict[str, Any], name: str) -> Any:
        """An option that may be a tensor: a float, or the tensor itself where gradients flow through the step."""
        value = group[name]
        return value if group.get("differentiable") else float(value)

    def fresh_state(self, group: dict[str, Any], p: Tensor, names: Sequence[str]) -> dict[str, Any]:
        """The state of a parameter before its first step."""
        return {"step": 0.0, **{name: fb.zeros_like(p) for name in names}}

    def gather(
        self, group: dict[str, Any], *names: str
    ) -> tuple[list[Tensor], list[Tensor], list[dict[str, Any]]]:
        """The parameters of a group that have a gradient, the gradients, and the parameters' states.

        A state that is still empty is made by `fresh_state`, if names are given.
        """
        params, grads = [], []
        for p in group["params"]:
            g = p.grad
            if g is not None:
                params.append(p)
                grads.append(g)
        states = [self.state[p] for p in params]
        if names:
            for p, state in zip(params, states, strict=True):
                if not state:
                    self.refuse_capture(p)
                    state.update(self.fresh_state(group, p, names))
        return params, grads, states

    def steps(
        self, group: dict[str, Any], *names: str
    ) -> Iterator[tuple[list[dict[str, Any]], Rows, list[Tensor]]]:
        """Count one more step of a group's parameters; what there is to update, by what has been counted.

        Parameters that were frozen for a while are at another step than the others; their update has other scalars.
        While a graph is captured nothing is counted; each replay will.

        Yields:
            The states of parameters that have counted the same; the lists of these parameters and of their state
            under each of the names; the gradients.
        """
        params, grads, states = self.gather(group, *names)
        alike: dict[Any, list[int]] = {}
        counters = self._counters
        if params:
            self.each_step(params[0], functools.partial(self._count_all, group, states))
        for k, state in enumerate(states):
            key = state["step"] if len(counters) == 1 else tuple([state[name] for name in counters])
            alike.setdefault(key, []).append(k)
        for chosen in alike.values():
            if len(chosen) < len(params):
                some, gs = [states[k] for k in chosen], [grads[k] for k in chosen]
                yield some, [[params[k] for k in chosen], *([s[n] for s in some] for n in names)], gs
            else:
                yield states, [params, *([s[n] for s in states] for n in names)], grads

    def refuse_capture(self, p: Tensor) -> None:
        """Raise where a graph is being captured: new state would be made anew, and cleared, at each replay.

        Raises:
            RuntimeError: it is.
        """
        if backend_of(p.device).capture is not None:
            wrong = "the first step of a parameter can't be captured: every replay would clear its state"
            do = "Run a few steps before the capture; they compile what the graph needs, too."
            raise RuntimeError(message(type(self).__name__, wrong, "state that is there", do, param=p))

    def _count_all(self, group: dict[str, Any], states: Sequence[dict[str, Any]]) -> None:
        for state in states:
            self.count(group, state)

    def count(self, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Count one more step of a parameter."""
        state["step"] += 1.0

    def each_step(self, p: Tensor, do: Callable[[], Any]) -> None:
        """Do what the host has to do in a step: now, or, while a graph is captured, before each replay."""
        capture = backend_of(p.device).capture
        if capture is None:
            do()
        else:
            capture.again.append(do)

    def apply(
        self,
        update: Callable[..., Any],
        writes: Rows,
        reads: Rows,
        scalars: Numbers,
        differentiable: bool = False,
    ) -> None:
        """Run an update in place over lists of tensors.

        Args:
            update: the update; the same object for the same arithmetic, since its trace is cached under it.
            writes: lists of equal length whose tensors are read and overwritten.
            reads: lists of that length whose tensors are only read.
            scalars: what changes from step to step (learning rate, bias corrections), or a function that returns it;
                graphs that capture the step call it before each replay.
            differentiable: run op by op on the tape, so that a gradient flows through the update.
        """
        if self._complex:  # real and imaginary parts are updated independently
            writes, reads = _real(writes), _real(reads)
        if differentiable:
            scalars = scalars() if callable(scalars) else scalars
            for row in zip(*writes, *reads, strict=True):
                for old, new in zip(row, update(*row, *scalars), strict=False):
                    old.copy_(new)
            return
        first = writes[0][0].device if writes[0] else None
        if all(t.device is first for t in writes[0]):
            multi_apply(update, writes, reads, scalars)
            return
        for device in {t.device for t in writes[0]}:  # a model that is spread over devices
            here = [k for k, t in enumerate(writes[0]) if t.device is device]
            multi_apply(
                update,
                [[ts[k] for k in here] for ts in writes],
                [[ts[k] for k in here] for ts in reads],
                scalars,
            )


def _rounds(group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A group as several in which every parameter stands once: all first mentions, all second ones, ..."""
    left = group["params"]
    while left:
        now = {id(p): p for p in left}
        yield {**group, "params": list(now.values())}
        left = [p for p in left if now.pop(id(p), None) is None]


def _real(lists: Rows) -> list[list[Tensor]]:
    return [[fb.view_as_real(t) if t.is_complex() else t for t in tensors] for tensors in lists]


def choose(cond: Any, a: Any, b: Any) -> Any:
    """``a`` where the condition holds, ``b`` elsewhere: in a program, for tensors and for a number's condition."""
    if isinstance(cond, bool):
        return a if cond else b
    return select(cond, a, b) if isinstance(cond, Expr) else fb.where(cond, a, b)


def descend(g: Any, p: Any, maximize: bool, decay: Any = None) -> Any:
    """The gradient to go down along: turned round to climb, with the gradient of an L2 penalty where there is one."""
    g = -g if maximize else g
    return g if decay is None else g + decay * p


def check_betas(op: str, betas: Sequence[Any]) -> None:
    """Refuse weights of running means that are not in [0, 1)."""
    for k, beta in enumerate(betas):
        check_scalar(op, **{f"betas[{k}]": beta})
        if not 0.0 <= float(beta) < 1.0:
            got: dict[str, Any] = {f"betas[{k}]": beta}
            raise ValueError(message(op, f"Invalid beta parameter at index {k}", "a number in [0, 1)", **got))


def check_at_least_zero(op: str, **options: Any) -> None:
    """Refuse negative and NaN options."""
    for name, value in options.items():
        if isinstance(value, str):
            raise TypeError(
                message(
                    op, f"{name} is a string", "a number >= 0", "Convert it: float(...).", **{name: value}
                )
            )
        if not value >= 0.0:
            what = {"lr": "learning rate", "eps": "epsilon value"}.get(name, f"{name} value")
            raise ValueError(message(op, f"Invalid {what}", "a number >= 0", **{name: value}))


def check_scalar(op: str, **options: Any) -> None:
    """Refuse options given as tensors of several elements."""
    for name, value in options.items():
        if isinstance(value, Tensor) and value.numel() != 1:
            got: dict[str, Any] = {name: value}
            raise ValueError(message(op, f"{name} as a tensor has several elements", "one element", **got))
