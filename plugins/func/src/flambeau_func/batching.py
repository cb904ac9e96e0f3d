"""`vmap`: a function of one example, run once for all of them.

Inside, a tensor that differs from example to example is a `Batched`: its spec is that of one example, its value has
the examples in a leading dimension. Every `vmap` is a level, an interceptor that sees the ops of its function; an op
that meets a `Batched` of the level is run on the values by the op's batch rule (see `rules`), outside of the level.
The tape only ever sees values, so gradients need no rules of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple

from flambeau import Tensor, cat
from flambeau.plugin import assign, intercept, message, spec_of, watchers, wrap_dim

from .trees import flatten, rebuild, spread_prefix

__all__ = ["Batched", "Level", "levels", "lift", "lower", "unrolled", "vmap"]

#: How often an op was run example by example, for want of a batch rule, by the op's name.
unrolled: Counter[str] = Counter()


class Level:
    """One `vmap` that runs: how many examples, and what random numbers do.

    Args:
        size: the number of examples.
        randomness: ``error``, ``different`` or ``same``.
        depth: how many levels are around it.
    """

    def __init__(self, size: int, randomness: str, depth: int) -> None:
        self.size = size
        self.randomness = randomness
        self.depth = depth

    def __call__(self, op: Any, call: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """See one op; the interceptor's protocol."""
        from .rules import batch

        return batch(self, op, call, args, kwargs)

    def grad(self, go_on: Callable[..., Any], outputs: Any, inputs: Any, starts: Any, **options: Any) -> Any:
        """``autograd.grad`` of batched tensors: of their values, which alone the tape knows."""
        some = levels_of([*outputs, *inputs])
        found = go_on(*([lower(t, some) for t in ts] for ts in (outputs, inputs, starts)), **options)
        return [lift(g, some) for g in found]

    def apply_function(self, cls: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """An ``autograd.Function`` on batched tensors: by its own ``vmap(info, in_dims, *args)``, or one by one."""
        some = levels_of(args)
        return apply_function(some[-1], cls, args, kwargs) if some else NotImplemented

    def has(self, v: Any) -> bool:
        """Whether a value, or one in a list of values, differs between this level's examples."""
        if isinstance(v, (list, tuple)):
            return any(self.has(e) for e in v)
        return isinstance(v, Batched) and v.level is self

    def value(self, t: Any) -> Any:
        """A tensor with the examples in front; what is the same for all is repeated without memory."""
        if self.has(t):
            return t.value
        return t.unsqueeze(0).expand((self.size, *t.shape))

    def wrap(self, outs: Any) -> Any:
        """Results with the examples in front, as results of one example."""
        if isinstance(outs, (list, tuple)):
            made = [self.wrap(o) for o in outs]
            return type(outs)(*made) if hasattr(outs, "_fields") else type(outs)(made)
        return Batched(outs, self) if isinstance(outs, Tensor) else outs


def levels() -> list[Level]:
    """The levels inside of which this thread is, outermost first."""
    return [w for w in watchers() if type(w) is Level]


class Batched(Tensor):
    """A tensor that differs between the examples of a level; what a function sees inside of `vmap`.

    Attributes:
        value: all examples, in the leading dimension.
        level: the `vmap` that it belongs to.
    """

    __slots__ = ("level", "value")

    def __init__(self, value: Any, level: Level) -> None:
        s = value.spec
        self.spec = spec_of(s.dtype, s.shape[1:], s.device, tuple(s.strides[1:]), s.flipped)
        self.rg, self.node, self.nr, self.held, self.base, self.seen, self.extra = (
            False, None, 0, None, None, 0, None,
        )  # fmt: skip
        self.value, self.level = value, level

    def _memory(self) -> Any:
        where = "" if self.level in watchers() else " (and its vmap is over)"
        raise RuntimeError(
            message(
                "vmap",
                f"this needs a tensor's memory or numbers, and a tensor inside of vmap stands for many{where}",
                "ops that work for every example",
                "Write a batched tensor into a batched one only, and decide with where() instead of if.",
                tensor=self,
            )
        )

    mem = property(_memory)
    ptr = property(_memory)
    offset = property(_memory)

    def item(self) -> Any:
        """A number can't be had: there is one per example."""
        return self._memory()

    @property
    def requires_grad(self) -> bool:
        """Whether what is computed with it is recorded."""
        return bool(self.value.requires_grad)

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Refused, as in PyTorch: differentiate with the functions of `flambeau.func`."""
        raise RuntimeError(
            "[requires_grad_] inside of vmap: got a batched tensor; needed: a tensor with memory of its own. Use "
            "flambeau.func.grad, vjp or jvp."
        )

    def backward(self, *args: Any, **kwargs: Any) -> None:
        """Refused, as in PyTorch: a gradient per example is asked for by `flambeau.func.grad`."""
        raise RuntimeError(
            "[backward] inside of vmap: got a batched tensor, whose leaves' .grad is for all examples; needed: results "
            "of vmap. Use flambeau.func.grad inside, or call backward() outside."
        )

    def detach(self) -> Tensor:
        """The same values without history."""
        return Batched(self.value.detach(), self.level)

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """Another dtype or device; see `Tensor.to`."""
        return Batched(self.value.to(*args, **kwargs), self.level)

    def as_strided(self, size: Any, stride: Any, storage_offset: Any = None) -> Tensor:
        """A view of every example's memory; ``storage_offset`` counts from the example's first element."""
        v = self.value
        made = v.as_strided(
            (self.level.size, *size), (v.stride(0), *stride), v.storage_offset() + (storage_offset or 0)
        )
        return Batched(made, self.level)

    def __setitem__(self, index: Any, value: Any) -> None:
        from .rules import set_items

        set_items(self, index, value)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"Batched(level={self.level.depth + 1}, size={self.level.size}, value=\n{self.value!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self.clone()

    def become(self, result: Any, op: str) -> Batched:
        """Take over the values of a result: what ``x.op_()`` does.

        Raises:
            RuntimeError: the result doesn't fit, in shape or dtype.
        """
        source = self.level.value(result)
        while source.ndim < self.value.ndim:
            source = source.unsqueeze(1)
        if isinstance(self.value, Batched):
            self.value.become(source, op)
        else:
            if levels_of([source]):
                raise RuntimeError(_unbatched(op, self, result))
            assign(self.value, source, op)
        return self


def _unbatched(op: str, t: Any, source: Any) -> str:
    return message(
        op,
        "vmap: inplace arithmetic on a tensor that is the same for all examples, with values that differ",
        "a batched tensor to write to",
        f"Use the out-of-place form of {op.rstrip('_')}.",
        self=t,
        values=source,
    )


# Levels taken off and put on


def levels_of(tensors: Sequence[Any]) -> list[Level]:
    """The levels of some tensors, outermost first."""
    found: set[Level] = set()
    for t in tensors:
        while isinstance(t, Batched):
            found.add(t.level)
            t = t.value
    return sorted(found, key=lambda level: level.depth)


def lower(t: Any, some: Sequence[Level]) -> Any:
    """A tensor with the examples of some levels as leading dimensions, the outermost level first."""
    if not some:
        return t
    last = some[-1]
    if isinstance(t, Batched) and t.level is last:
        return lower(t.value, some[:-1])
    if isinstance(t, Batched) and t.level.depth > last.depth:
        return Batched(lower(t.value, some).movedim(len(some), 0), t.level)
    return lower(last.value(t), some[:-1])


def lift(t: Any, some: Sequence[Level]) -> Any:
    """The inverse of `lower`."""
    if not some or t is None:
        return t
    last = some[-1]
    if isinstance(t, Batched) and t.level.depth > last.depth:
        return Batched(lift(t.value.movedim(0, len(some)), some), t.level)
    return Batched(lift(t, some[:-1]), last)


# vmap


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that does for all examples at once what ``func`` does for one.

    Args:
        func: takes and returns tensors, or tuples, lists and dicts of them; what it computes may not depend on
            values by way of Python (``if``, ``.item()``).
        in_dims: the dimension of the inputs along which the examples lie, or None for an input that all share; one
            int, or a structure that matches the inputs.
        out_dims: where the results have it; None for a result that doesn't depend on the example.
        randomness: ``"error"``: random ops are refused; ``"different"``: every example has its own numbers;
            ``"same"``: all have the same.
        chunk_size: how many examples to run at once (default: all); bounds the memory.

    Raises:
        ValueError: dimensions that the inputs don't have, sizes that differ, or nothing to go over.

    >>> import flambeau as fb
    >>> fb.vmap(fb.dot)(fb.ones(3, 2), fb.ones(3, 2))
    tensor([2., 2., 2.])
    >>> x = fb.tensor([1., 2.])
    >>> fb.vmap(fb.func.grad(lambda w, x: (w * x) ** 2), in_dims=(None, 0))(fb.tensor(3.), x)
    tensor([ 6., 24.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            f"[vmap] got randomness={randomness!r}; needed: 'error', 'different' or 'same'. Give one of them."
        )
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"[vmap] got chunk_size={chunk_size}; needed: at least 1, or None for all at once.")

    @wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves, dims, size = _inputs(args, in_dims)
        if chunk_size is None or chunk_size >= size:
            return _run(func, args, leaves, dims, size, out_dims, randomness, kwargs)
        parts = []
        for start in range(0, size, chunk_size):
            n = min(chunk_size, size - start)
            part = [t if d is None else t.narrow(d, start, n) for t, d in zip(leaves, dims, strict=True)]
            parts.append(_run(func, args, part, dims, n, out_dims, randomness, kwargs))
        _, form = flatten(parts[0])
        places = spread_prefix(out_dims, form, _is_dim, "out_dims")
        rows = zip(*(flatten(p)[0] for p in parts), strict=True)
        return rebuild(
            form, [r[0] if d is None else cat(list(r), d) for r, d in zip(rows, places, strict=True)]
        )

    return mapped


def _is_dim(d: Any) -> bool:
    return d is None or (isinstance(d, int) and not isinstance(d, bool))


def _inputs(args: tuple[Any, ...], in_dims: Any) -> tuple[list[Any], list[int | None], int]:
    """The leaves of the arguments, the dimension to go over of each, and its size."""
    if not (_is_dim(in_dims) or isinstance(in_dims, (tuple, list))):
        raise ValueError(
            f"[vmap] got in_dims={in_dims!r}; needed: an int, None, or a tuple that matches the inputs. E.g. (0, None)."
        )
    if not args:
        raise ValueError(
            "[vmap] got no inputs: needed: at least one tensor to go over. Give it as an argument."
        )
    leaves, _ = flatten(args)
    dims: list[int | None] = []
    sizes = set()
    for t, d in zip(leaves, spread_prefix(in_dims, args, _is_dim, "in_dims"), strict=True):
        if d is None:
            dims.append(None)
            continue
        if not isinstance(t, Tensor):
            raise ValueError(
                f"[vmap] got in_dims={in_dims!r} with dimension {d} for an input of type {type(t).__name__}; needed: "
                "None for what is no tensor. Give in_dims as a tuple, one entry per argument."
            )
        if not -t.ndim <= d < t.ndim:
            raise ValueError(
                f"[vmap] got in_dim={d} for an input of shape {list(t.shape)}; needed: a dimension that it has, "
                f"from {-t.ndim} to {t.ndim - 1}. Use None for an input that all examples share."
            )
        dims.append(wrap_dim(d, t.ndim, "vmap"))
        sizes.add(t.shape[d])
    if not sizes:
        raise ValueError(
            f"[vmap] got in_dims={in_dims!r}: nothing to go over; needed: a dimension for at least one input. "
            "Set one of in_dims."
        )
    if len(sizes) > 1:
        raise ValueError(
            f"[vmap] expected all inputs to have the same size in the mapped dimension: got sizes {sorted(sizes)}. "
            "Check in_dims."
        )
    return leaves, dims, sizes.pop()


def _run(
    func: Callable[..., Any],
    args: Any,
    leaves: list[Any],
    dims: list[int | None],
    size: int,
    out_dims: Any,
    randomness: str,
    kwargs: dict[str, Any],
) -> Any:
    _install()
    level = Level(size, randomness, len(levels()))
    ins = [t if d is None else Batched(t.movedim(d, 0), level) for t, d in zip(leaves, dims, strict=True)]
    with intercept(level):
        out = func(*rebuild(args, ins), **kwargs)
    found, form = flatten(out)
    if not (_is_dim(out_dims) or isinstance(out_dims, (tuple, list, dict))):
        raise ValueError(f"[vmap] got out_dims={out_dims!r}; needed: an int, None, or a structure of them.")
    places = spread_prefix(out_dims, form, _is_dim, "out_dims")
    return rebuild(form, [_result(level, t, d) for t, d in zip(found, places, strict=True)])


def _result(level: Level, t: Any, d: int | None) -> Any:
    if not isinstance(t, Tensor):
        raise ValueError(
            f"[vmap] the function must only return Tensors: got {type(t).__name__}. Return only what is a tensor."
        )
    if d is None:
        if level.has(t):
            raise ValueError(
                f"[vmap] got out_dims=None for a result that differs between examples: {list(t.shape)}; needed: the "
                "dimension where they shall lie. E.g. out_dims=0."
            )
        return t
    v = level.value(t)
    if not -v.ndim <= d < v.ndim:
        raise ValueError(
            f"[vmap] got out_dim={d} for a result of shape {list(t.shape)} per example; needed: from {-v.ndim} to "
            f"{v.ndim - 1}. Check out_dims."
        )
    return v.movedim(0, d) if d else v


def apply_function(level: Level, cls: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An ``autograd.Function`` on batched tensors: by its own ``vmap(info, in_dims, *args)``, or example by example."""
    from .rules import example, stacked

    own = getattr(cls, "vmap", None)
    if own is None:
        unrolled[cls.__name__] += 1
        rows = [cls.apply(*example(level, args, k), **kwargs) for k in range(level.size)]
        return level.wrap(stacked(rows))
    dims = tuple(0 if level.has(a) else None for a in args)
    outs, places = own(
        VmapInfo(level.size, level.randomness), dims, *[a.value if level.has(a) else a for a in args]
    )
    found, form = flatten(outs)
    put = spread_prefix(places, form, _is_dim, "out_dims")
    return rebuild(
        form, [t if d is None else Batched(t.movedim(d, 0), level) for t, d in zip(found, put, strict=True)]
    )


class VmapInfo(NamedTuple):
    """What a Function's ``vmap`` is told.

    Attributes:
        batch_size: how many examples there are.
        randomness: as given to `vmap`.
    """

    batch_size: int
    randomness: str


# In-place methods: the result is computed aside and taken over


def _copy(self: Any, src: Any, non_blocking: bool = False) -> Any:
    return src.to(self.dtype).expand(self.shape)


def _fill(self: Any, value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to(self.dtype).expand(self.shape)
    return self.new_full(self.shape, value)


#: What in-place methods compute, where it isn't the method without the underscore.
_ASIDE: dict[str, Callable[..., Any]] = {
    "copy_": _copy,
    "fill_": _fill,
    "zero_": lambda self: self.new_zeros(self.shape),
}
#: Those that change the shape, not the values.
_RESHAPES = frozenset({"squeeze_", "unsqueeze_", "transpose_", "swapaxes_", "swapdims_", "t_", "as_strided_"})
_seen = 0


def _install() -> None:
    """Give batched tensors the in-place methods of the tensors' records, as far as they are known by now."""
    global _seen
    have = vars(Tensor)
    if len(have) == _seen:
        return
    _seen = len(have)
    for name, method in list(have.items()):
        record = getattr(method, "op", None)
        if name.startswith("__i") and f"__{name[3:]}" in have:
            setattr(Batched, name, _in_place(name, have[f"__{name[3:]}"]))
        elif (
            name.endswith("_")
            and name[-2] != "_"
            and not (record is not None and "generator" in record.index)
        ):
            plain = _ASIDE.get(name) or have.get(name[:-1])
            if plain is not None and name not in vars(Batched):
                setattr(Batched, name, _in_place(name, plain))


def _in_place(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Batched, *args: Any, **kwargs: Any) -> Any:
        result = plain(self, *args, **kwargs)
        if result is NotImplemented:
            return result
        if name in _RESHAPES:
            self.value, self.spec = result.value, result.spec
            return self
        return self.become(result, name)

    method.__name__ = name
    return method
