"""Selective checkpointing: a policy says which results of a checkpoint's first run are kept for its second one.

Two interceptors share a list with an entry for every op in the order of its call. In the second run a kept result takes
the op's place: the op goes on the tape without being run.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from flambeau import Tensor
from flambeau.plugin import OPS, Op, intercept, message, tensor_on

__all__ = ["CheckpointPolicy", "SelectiveCheckpointContext", "create_selective_checkpoint_contexts"]


class CheckpointPolicy(enum.Enum):
    """What becomes of an op's result; ``MUST_`` and ``PREFER_`` mean the same here.

    ``SAVE`` keeps it, ``RECOMPUTE`` computes it again, ``CPU_OFFLOAD`` keeps a copy on the CPU.
    """

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


_RECOMPUTE = (CheckpointPolicy.MUST_RECOMPUTE, CheckpointPolicy.PREFER_RECOMPUTE)
_OFFLOAD = (CheckpointPolicy.MUST_CPU_OFFLOAD, CheckpointPolicy.PREFER_CPU_OFFLOAD)


class SelectiveCheckpointContext:
    """What a policy is told.

    Args:
        is_recompute: always False: a policy is only asked in the first run.
        op_output: the op's result.
    """

    def __init__(self, *, is_recompute: bool, op_output: Any = None) -> None:
        self.is_recompute = is_recompute
        self.op_output = op_output


@dataclass
class _Entry:
    """An op of the first run, and what is kept of it: None, or its results with their memory's versions."""

    op: Op
    kept: list[tuple[Any, int]] | None = None
    single: bool = True
    used: bool = False
    device: Any = None

    def keep(self, out: Any, offload: bool) -> None:
        """Keep a result, or copies of it on the CPU."""
        self.single = isinstance(out, Tensor)
        outs = [t if t is None else _alias(t) for t in ((out,) if self.single else out)]
        self.kept = [(t, 0 if t is None else t._version) for t in outs]
        self.device = next(t.device for t in outs if t is not None)
        if offload:
            self.offload()

    def offload(self) -> None:
        """Move what is kept to the CPU."""
        if self.kept is not None:
            outs = [t if t is None else t.to("cpu") for t, _ in self.kept]
            self.kept = [(t, 0 if t is None else t._version) for t in outs]

    def result(self, mutation: bool) -> Any:
        if self.used:
            raise RuntimeError(
                "[checkpoint] Trying to backward an extra time: what selective checkpointing has kept was used by the "
                "first backward. Keep nothing (PREFER_RECOMPUTE), or call backward once."
            )
        self.used, kept, self.kept = True, self.kept or [], None
        for t, version in kept:
            if t is not None and t._version != version and not mutation:
                raise RuntimeError(
                    message(
                        "checkpoint", f"a tensor kept by the checkpoint was mutated: a result of {self.op.name}",
                        "unchanged tensors", "Pass allow_cache_entry_mutation=True if that is meant.", kept=t,
                    )
                )  # fmt: skip
        outs = [t if t is None or t.device == self.device else t.to(self.device) for t, _ in kept]
        return outs[0] if self.single else tuple(outs)


def _alias(t: Any) -> Any:
    """The same memory as a tensor without history."""
    return tensor_on(t.mem, t.spec, t.offset)


def _runs_again(op: Op, call: Any) -> bool:
    """Views cost nothing, casts little (and autocast leaves some out), what writes or draws must happen again."""
    return (
        op.kind == "view" or op.name == "copy_to" or "generator" in op.index or getattr(call, "writes", False)
    )


class _First:
    """The interceptor of the first run."""

    def __init__(self, policy: Callable[..., Any], entries: list[_Entry]) -> None:
        self.policy, self.entries = policy, entries

    def __call__(self, op: Op, call: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        if _runs_again(op, call):
            return call(*args, **kwargs)
        if op.kind == "composite":
            with intercept(self):
                return call(*args, **kwargs)
        out = call(*args, **kwargs)
        told = SelectiveCheckpointContext(is_recompute=False, op_output=out)
        policy = self.policy(told, op, *args, **kwargs)
        if isinstance(policy, bool):
            policy = CheckpointPolicy.MUST_SAVE if policy else CheckpointPolicy.PREFER_RECOMPUTE
        self.entries.append(_Entry(op))
        if policy not in _RECOMPUTE:
            self.entries[-1].keep(out, policy in _OFFLOAD)
        return out


class _Second:
    """The interceptor of the second run."""

    def __init__(self, entries: list[_Entry], mutation: bool) -> None:
        self.entries, self.mutation = entries, mutation
        self.at = 0

    def __call__(self, op: Op, call: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        if _runs_again(op, call):
            return call(*args, **kwargs)
        if op.kind == "composite":
            with intercept(self):
                return call(*args, **kwargs)
        entry = self.entries[self.at] if self.at < len(self.entries) else None
        self.at += 1
        if entry is None or entry.op is not op:
            raise RuntimeError(
                f"[checkpoint] the second run differs from the first: got {op.name} as op number {self.at}, needed: "
                f"{entry.op.name if entry else 'none'}. The function must do the same both times."
            )
        if not entry.used and entry.kept is None:
            return call(*args, **kwargs)
        return op.resume(args, kwargs, entry.result(self.mutation))


class _Region:
    """A context manager that enters an interceptor below all others, so that it sees what autocast has made of an op.

    The second one begins at the first entry each time.
    """

    def __init__(self, fn: Any) -> None:
        self.fn = fn
        self.open: list[intercept] = []

    def __enter__(self) -> None:
        if isinstance(self.fn, _Second):
            self.fn.at = 0
        self.open.append(intercept(self.fn, outermost=True))
        self.open[-1].__enter__()

    def __exit__(self, *exc: object) -> None:
        self.open.pop().__exit__(None, None, None)


#: Functions whose work is done by an op of another name.
_UNDER = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot"), "matmul"),
    **dict.fromkeys([f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)], "convolution"),
    "scaled_dot_product_attention": "attention",
    "dropout": "dropout_keep",
}


def _names(ops: Iterable[Any]) -> frozenset[str]:
    """The names of ops that are given as functions, records or names.

    Raises:
        ValueError: no such op, or one that is written in others.
    """
    names = []
    for op in ops:
        name = op if isinstance(op, str) else getattr(op, "name", "") or getattr(op, "__name__", "")
        name = _UNDER.get(name, name)
        if name not in OPS or OPS[name].kind == "composite":
            raise ValueError(
                message(
                    "create_selective_checkpoint_contexts", "expected ops that aren't written in others",
                    "flambeau.matmul or the like, or a name", "A policy sees all: print its op.name.", got=op,
                )
            )  # fmt: skip
        names.append(name)
    return frozenset(names)


def create_selective_checkpoint_contexts(
    policy_fn_or_list: Any, allow_cache_entry_mutation: bool = False
) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """The contexts of a `checkpoint` that keeps some results instead of computing all of them again.

    Args:
        policy_fn_or_list: ``policy(context, op, *args, **kwargs)`` gets a `SelectiveCheckpointContext` and the op's
            record (``op.name`` is its name) and returns a `CheckpointPolicy`, or whether to save. Or a list of ops
            whose results to save: functions such as ``flambeau.matmul``, or names.
        allow_cache_entry_mutation: don't refuse results that were written to in the meantime.

    Returns:
        A pair of context managers, for ``checkpoint(context_fn=...)``.

    Raises:
        ValueError: the list has what is no op, or one that is written in others.
        TypeError: neither a function nor a list.

    >>> import functools, flambeau as fb
    >>> from flambeau.utils.checkpoint import checkpoint
    >>> keep_products = functools.partial(create_selective_checkpoint_contexts, [fb.matmul])
    >>> x = fb.ones(2, 2, requires_grad=True)
    >>> y = checkpoint(lambda t: (t @ t).sigmoid() * t, x, use_reentrant=False, context_fn=keep_products)
    >>> y.sum().backward()
    >>> x.grad
    tensor([[1.3008, 1.3008],
            [1.3008, 1.3008]])
    """
    if isinstance(policy_fn_or_list, list):
        wanted = _names(policy_fn_or_list)

        def policy(context: Any, op: Op, *args: Any, **kwargs: Any) -> bool:
            return op.name in wanted

    elif callable(policy_fn_or_list):
        policy = policy_fn_or_list
    else:
        raise TypeError(
            message(
                "create_selective_checkpoint_contexts", "policy_fn_or_list must be either a function or a list of ops",
                policy_fn_or_list=policy_fn_or_list,
            )
        )  # fmt: skip
    entries: list[_Entry] = []
    return _Region(_First(policy, entries)), _Region(_Second(entries, allow_cache_entry_mutation))
