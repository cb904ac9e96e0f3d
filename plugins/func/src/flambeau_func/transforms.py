"""Functions that return derivatives of functions: backwards by the tape, forwards by the tape's own gradient.

The directional derivative is the gradient, by u, of the vector-Jacobian product with u, which is linear in u (the
"double-backward trick": J. Townsend, "A new trick for calculating Jacobian vector products", 2017): it holds for
every op whose gradient is written in recorded ops, nested to any depth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from flambeau import Tensor, enable_grad, eye, is_grad_enabled
from flambeau.autograd import Node
from flambeau.autograd import grad as tape_grad

from .batching import levels, lift, lower, vmap
from .trees import flatten, map_tree, rebuild

__all__ = [
    "Linear", "Trace", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp",
]  # fmt: skip

ArgNums = int | tuple[int, ...]


class Trace:
    """A function run on fresh inputs, with its graph: what all derivatives are taken from.

    Args:
        func: the function.
        args, kwargs: its arguments, trees of tensors.
        argnums: which arguments to differentiate by.
        has_aux: whether it returns ``(value, aux)``.
        op: the transform's name, for messages.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        argnums: ArgNums,
        has_aux: bool,
        op: str,
    ) -> None:
        self.op = op
        self.levels = levels()
        self.numbers = _wrapped(argnums, len(args), op)
        self.form = tuple(args[k] for k in self.numbers)
        given, _ = flatten(self.form)
        for t in given:
            if not isinstance(t, Tensor) or t.dtype.rank < 2:
                got = f"{list(t.shape)} {t.dtype.name}" if isinstance(t, Tensor) else type(t).__name__
                raise RuntimeError(
                    f"[{op}] got {got} to differentiate by; needed: tensors of floating-point or complex numbers. "
                    "Choose other argnums, or convert with .float()."
                )
        recording = is_grad_enabled()
        with enable_grad():
            roots = [lower(t, self.levels) for t in given]
            # A view of what has a history already: transforms around this one differentiate through it.
            self.nested = recording and any(t.requires_grad for t in roots)
            self.ins = [
                t.view_as(t) if recording and t.requires_grad else t.detach().requires_grad_() for t in roots
            ]
            fresh = rebuild(self.form, [lift(t, self.levels) for t in self.ins])
            full = list(args)
            for k, v in zip(self.numbers, fresh, strict=True):
                full[k] = v
            out = func(*full, **kwargs)
            if has_aux and not (isinstance(out, tuple) and len(out) == 2):
                raise RuntimeError(
                    f"[{op}] has_aux=True: got {type(out).__name__} from the function; needed: a tuple (value, aux). "
                    "Return both, or leave out has_aux."
                )
            self.value: Any = out[0] if has_aux else out
            self.aux: Any = out[1] if has_aux else None
            self.results, _ = flatten(self.value)
            for t in self.results:
                if not isinstance(t, Tensor):
                    raise RuntimeError(
                        f"[{op}] the function must return Tensors: got {type(t).__name__}. Return only tensors, and "
                        "the rest as aux."
                    )
            self.outs = [lower(t, self.levels) for t in self.results]
        if recording and not self.nested:
            self.nested = _reaches_others(self.outs, self.ins)

    def shown(self, tree: Any) -> Any:
        """Results as the caller gets them: without history, unless something around has one."""
        return tree if self.nested else map_tree(lambda t: t.detach() if isinstance(t, Tensor) else t, tree)

    def back(self, gs: Sequence[Any], keep: bool = True, create: bool = False) -> list[Any]:
        """Gradients by the inputs from gradients of the results, all with their levels; zeros where there is none."""
        pairs = [
            (o, lower(g, self.levels))
            for o, g in zip(self.outs, gs, strict=True)
            if o.requires_grad and g is not None
        ]
        create = create or self.nested or (is_grad_enabled() and any(_recorded(g) for _, g in pairs))
        found: Sequence[Any] = [None] * len(self.ins)
        if pairs:
            found = tape_grad(
                [o for o, _ in pairs], self.ins, [g for _, g in pairs], retain_graph=keep or create,
                create_graph=create, allow_unused=True,
            )  # fmt: skip
        return [
            lift(t.detach().new_zeros(t.shape) if g is None else g, self.levels)
            for g, t in zip(found, self.ins, strict=True)
        ]

    def by_argument(self, leaves: Sequence[Any], argnums: ArgNums) -> Any:
        """Values per input, in the form of the arguments."""
        made = rebuild(self.form, leaves)
        return made[0] if isinstance(argnums, int) else made


def _recorded(t: Any) -> bool:
    while not t.rg and hasattr(t, "value"):
        t = t.value
    return bool(t.rg)


def _wrapped(argnums: ArgNums, n: int, op: str) -> tuple[int, ...]:
    chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for k in chosen:
        if not -n <= k < n:
            raise RuntimeError(
                f"[{op}] got argnums={argnums} for {n} positional arguments; needed: from {-n} to {n - 1}. "
                "Pass what to differentiate by as a positional argument."
            )
    if not chosen or len({k % n for k in chosen}) < len(chosen):
        raise RuntimeError(
            f"[{op}] got argnums={argnums!r}; needed: at least one argument, each once. Name the arguments to "
            "differentiate by."
        )
    return tuple(k % n for k in chosen)


def _reaches_others(outs: Sequence[Any], ins: Sequence[Any]) -> bool:
    """Whether the graph of some results has leaves beside the given ones."""
    mine = {id(t) for t in ins}
    stack: list[Any] = [t.grad_fn or t for t in outs if t.requires_grad]
    seen: set[int] = set()
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if not isinstance(node, Node):
            if id(node) not in mine:
                return True
            continue
        stack += [to for to, _ in node.next_functions if to is not None]
    return False


# Reverse mode


def batched_grad(outputs: Any, inputs: Any, given: Sequence[Any], **options: Any) -> tuple[Any, ...]:
    """``autograd.grad`` with gradients of the results that have a leading dimension to go over (None: ones)."""
    used: list[bool] = []

    def back(*rows: Any) -> Any:
        rest = iter(rows)
        gs = [None if g is None else next(rest) for g in given]
        found = tape_grad(outputs, inputs, gs, retain_graph=True, **options)
        used.extend(g is not None for g in found)
        return tuple(g for g in found if g is not None)

    made = iter(vmap(back)(*[g for g in given if g is not None]))
    return tuple(next(made) if there else None for there in used)


def grad_and_value(
    func: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the gradient by some arguments, and the value.

    Args:
        func: returns one element (and, with ``has_aux``, something else).
        argnums: which positional arguments to differentiate by; each may be a tree of tensors.
        has_aux: whether ``func`` returns ``(value, aux)``.

    Returns:
        A function that returns ``(gradient, value)`` or ``(gradient, (value, aux))``; the gradient has the form of the
        argument, or is a tuple where ``argnums`` is one.

    Raises:
        RuntimeError: the value is not one element, or an argument can't be differentiated by.

    >>> import flambeau as fb
    >>> fb.func.grad_and_value(lambda p: (p["w"] ** 2).sum())({"w": fb.tensor([1., 3.])})
    ({'w': tensor([2., 6.])}, tensor(10.))
    """

    @wraps(func)
    def derived(*args: Any, **kwargs: Any) -> Any:
        t = Trace(func, args, kwargs, argnums, has_aux, "grad")
        if not isinstance(t.value, Tensor) or t.value.ndim or t.value.dtype.rank < 2:
            got = (
                f"{list(t.value.shape)} {t.value.dtype.name}"
                if isinstance(t.value, Tensor)
                else type(t.value).__name__
            )
            raise RuntimeError(
                f"[grad] the function must return one real number, a 0-d tensor: got {got}. Reduce it, e.g. with "
                ".sum(), or use jacrev."
            )
        gs = t.shown(t.by_argument(t.back([t.value.detach().new_ones(())], keep=False), argnums))
        value = t.shown(t.value)
        return (gs, (value, t.shown(t.aux))) if has_aux else (gs, value)

    return derived


def grad(func: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of ``func`` by some arguments; see `grad_and_value`.

    Returns:
        A function that returns the gradient, or ``(gradient, aux)``.

    >>> import flambeau as fb
    >>> fb.func.grad(fb.func.grad(lambda x: x ** 3))(fb.tensor(2.))
    tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @wraps(func)
    def derived(*args: Any, **kwargs: Any) -> Any:
        g, value = both(*args, **kwargs)
        return (g, value[1]) if has_aux else g

    return derived


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value at some inputs, and the function from gradients of the results to gradients of the inputs.

    Args:
        func: takes and returns tensors or trees of them.
        primals: the inputs.
        has_aux: whether ``func`` returns ``(value, aux)``.

    Returns:
        ``(value, vjp_fn)`` or ``(value, vjp_fn, aux)``; ``vjp_fn(cotangents)`` takes what has the form of the value
        and returns a tuple with a gradient per input; it may be called many times, and mapped with `vmap`.

    >>> import flambeau as fb
    >>> y, back = fb.func.vjp(fb.sin, fb.zeros(2))
    >>> back(fb.tensor([1., 2.]))
    (tensor([1., 2.]),)
    """
    t = Trace(func, primals, {}, tuple(range(len(primals))), has_aux, "vjp")

    def vjp_fn(*cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        gs, _ = flatten(given)
        check_like("vjp", "cotangent", gs, t.results)
        found = t.back(gs, retain_graph, bool(create_graph))
        # What a gradient given with history leads to has one, too.
        shown = found if t.nested or any(_recorded(g) for g in gs) else [g.detach() for g in found]
        return t.by_argument(shown, t.numbers)

    value = t.shown(t.value)
    return (value, vjp_fn, t.shown(t.aux)) if has_aux else (value, vjp_fn)


def check_like(op: str, what: str, given: Sequence[Any], wanted: Sequence[Any]) -> None:
    if len(given) != len(wanted):
        raise RuntimeError(
            f"[{op}] got {len(given)} {what}s; needed: {len(wanted)}, one per tensor. Give them in the same structure."
        )
    for g, t in zip(given, wanted, strict=True):
        if not isinstance(g, Tensor) or g.shape != t.shape:
            got = f"{list(g.shape)} {g.dtype.name}" if isinstance(g, Tensor) else type(g).__name__
            raise RuntimeError(
                f"[{op}] {what} doesn't fit: got {got}; needed: {list(t.shape)} {t.dtype.name}. Give one of that shape."
            )


# Forward mode


class Linear:
    """The derivative of a traced function as a linear function of tangents."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        with enable_grad():
            self.live = [o for o in trace.outs if o.requires_grad]
            self.us = [o.detach().new_zeros(o.shape).requires_grad_() for o in self.live]
            back: Sequence[Any] = [None] * len(trace.ins)
            if self.live:
                back = tape_grad(self.live, trace.ins, self.us, create_graph=True, allow_unused=True)
        self.back = back

    def __call__(self, tangents: Sequence[Any]) -> list[Any]:
        """The tangents of the results from those of the inputs."""
        t = self.trace
        pairs = [
            (g, lower(v, t.levels))
            for g, v in zip(self.back, tangents, strict=True)
            if g is not None and g.rg and v is not None
        ]
        create = is_grad_enabled() and (t.nested or any(_recorded(v) for _, v in pairs))
        found: Sequence[Any] = [None] * len(self.us)
        if pairs:
            found = tape_grad(
                [g for g, _ in pairs], self.us, [v for _, v in pairs], retain_graph=True, create_graph=create,
                allow_unused=True,
            )  # fmt: skip
        rest = iter(found)
        made = []
        for o in t.outs:
            g = next(rest) if o.requires_grad else None
            made.append(lift(o.detach().new_zeros(o.shape) if g is None else g, t.levels))
        return made if create else [m.detach() for m in made]


def jvp(
    func: Callable[..., Any],
    primals: Any,
    tangents: Any,
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """The value at some inputs, and its directional derivative.

    Args:
        func: takes and returns tensors or trees of them.
        primals: a tuple of inputs.
        tangents: the direction, of the form of ``primals``.
        strict: refuse a result that doesn't depend on the inputs (default: its derivative is 0).
        has_aux: whether ``func`` returns ``(value, aux)``.

    Returns:
        ``(value, tangent)``, or ``(value, tangent, aux)``.

    >>> import flambeau as fb
    >>> fb.func.jvp(fb.sin, (fb.zeros(()),), (fb.tensor(2.),))
    (tensor(0.), tensor(2.))
    """
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple) or not given:
            raise RuntimeError(
                f"[jvp] {name}: got {type(given).__name__}; needed: a tuple of inputs. Write (x,)."
            )
    t = Trace(func, primals, {}, tuple(range(len(primals))), has_aux, "jvp")
    vs, _ = flatten(tangents)
    check_like("jvp", "tangent", vs, flatten(t.form)[0])
    if strict and not all(o.requires_grad for o in t.outs):
        raise RuntimeError(
            "[jvp] strict=True: got a result that is independent of the inputs; needed: results that depend on them. "
            "Leave out strict."
        )
    found = rebuild(t.value, Linear(t)(vs))
    value = t.shown(t.value)
    return (value, found, t.shown(t.aux)) if has_aux else (value, found)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value at some inputs, and the directional derivative there as a function of the direction.

    The function is run once; its derivative may be called many times, and mapped with `vmap`.

    >>> import flambeau as fb
    >>> y, d = fb.func.linearize(fb.exp, fb.zeros(2))
    >>> d(fb.tensor([1., 3.]))
    tensor([1., 3.])
    """
    t = Trace(func, primals, {}, tuple(range(len(primals))), False, "linearize")
    linear = Linear(t)
    inputs, _ = flatten(t.form)

    def jvp_fn(*tangents: Any) -> Any:
        vs, _ = flatten(tangents)
        check_like("linearize", "tangent", vs, inputs)
        return rebuild(t.value, linear(vs))

    return t.shown(t.value), jvp_fn


# Matrices of derivatives


def _basis(tensors: Sequence[Any]) -> list[Any]:
    """One-hot rows over all elements of some tensors, of shapes [elements, *shape]."""
    total = sum(t.numel() for t in tensors)
    rows, at = [], 0
    for t in tensors:
        n = t.numel()
        one = t.detach().new_zeros((total, n))
        if n:
            one[at : at + n] = eye(n, dtype=t.dtype, device=t.device)
        rows.append(one.reshape((total, *t.shape)))
        at += n
    return rows


def jacrev(
    func: Callable[..., Any],
    argnums: ArgNums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """A function that returns the Jacobian, by walking back for all elements of the results at once.

    Args:
        func: takes and returns tensors or trees of them.
        argnums: which positional arguments to differentiate by.
        has_aux: whether ``func`` returns ``(value, aux)``.
        chunk_size: how many elements of the results to do at once (default: all).

    Returns:
        A function whose result has the form of the value, with the form of the arguments in place of each tensor:
        tensors of shape ``result.shape + input.shape``.

    >>> import flambeau as fb
    >>> fb.func.jacrev(lambda x: x ** 2)(fb.tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @wraps(func)
    def derived(*args: Any, **kwargs: Any) -> Any:
        t = Trace(func, args, kwargs, argnums, has_aux, "jacrev")
        rows = _basis(t.results)
        if not sum(o.numel() for o in t.results):
            found = [i.detach().new_zeros((0, *i.shape)) for i in flatten(t.form)[0]]
        else:
            found = list(vmap(lambda *gs: tuple(t.back(gs)), chunk_size=chunk_size)(*rows))
        ins = flatten(t.form)[0]
        made, at = [], 0
        for o in t.results:
            n = o.numel()
            parts = [
                g.narrow(0, at, n).reshape((*o.shape, *i.shape)) for g, i in zip(found, ins, strict=True)
            ]
            made.append(t.shown(t.by_argument(parts, argnums)))
            at += n
        table = rebuild(t.value, made)
        return (table, t.shown(t.aux)) if has_aux else table

    return derived


def jacfwd(
    func: Callable[..., Any],
    argnums: ArgNums = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
    randomness: str = "error",
) -> Callable[..., Any]:
    """A function that returns the Jacobian, by directional derivatives along all elements of the inputs at once.

    Args:
        func, argnums, has_aux: as for `jacrev`.
        chunk_size: how many elements of the inputs to do at once (default: all).
        randomness: accepted as PyTorch does; the function is run once, so all directions see the same numbers.

    Returns:
        As for `jacrev`.

    >>> import flambeau as fb
    >>> fb.func.jacfwd(fb.sin)(fb.zeros(1))
    tensor([[1.]])
    """

    @wraps(func)
    def derived(*args: Any, **kwargs: Any) -> Any:
        t = Trace(func, args, kwargs, argnums, has_aux, "jacfwd")
        linear = Linear(t)
        ins = flatten(t.form)[0]
        if not sum(i.numel() for i in ins):
            found = [o.detach().new_zeros((0, *o.shape)) for o in t.results]
        else:
            found = list(vmap(lambda *vs: tuple(linear(vs)), chunk_size=chunk_size)(*_basis(ins)))
        made = []
        for column, o in zip(found, t.results, strict=True):
            parts, at = [], 0
            for i in ins:
                n = i.numel()
                parts.append(column.narrow(0, at, n).movedim(0, -1).reshape((*o.shape, *i.shape)))
                at += n
            made.append(t.by_argument(parts, argnums))
        table = rebuild(t.value, made)
        return (table, t.shown(t.aux)) if has_aux else table

    return derived


def hessian(func: Callable[..., Any], argnums: ArgNums = 0) -> Callable[..., Any]:
    """A function that returns the second derivatives: `jacfwd` of `jacrev`.

    >>> import flambeau as fb
    >>> fb.func.hessian(lambda x: (x ** 3).sum())(fb.tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)
