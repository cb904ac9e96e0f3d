"""What a model is made of and what it costs, worked out from shapes alone: a run on device ``meta`` moves no data.

The run is an ordinary forward call: hooks on the modules note shapes and who is running, an interceptor counts
operations, and hooks on saved tensors see exactly what the tape would keep for backward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import flambeau as fb
from flambeau.plugin import intercept, message

from .module import Module

__all__ = ["ModelSummary", "ModuleSummary", "summary"]


def _product(sizes: Sequence[int]) -> int:
    total = 1
    for n in sizes:
        total *= n
    return total


def _attention(query: Any, key: Any, value: Any, *rest: Any) -> int:
    flops: int = 2 * _product(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])
    return flops


#: Floating-point operations of an op from its arguments and its result: a multiplication and an addition are two.
#: Only products count, as is usual; everything else is bound by memory.
_FLOPS: dict[str, Callable[..., int]] = {
    "matmul": lambda out, a, b: 2 * out.numel() * a.shape[-1],
    "linear": lambda out, x, *_: 2 * out.numel() * x.shape[-1],
    "convolution": lambda out, x, weight, *_: 2 * out.numel() * _product(weight.shape[1:]),
    "convolution_backward_input": lambda out, x, weight, *_: 2 * x.numel() * _product(weight.shape[1:]),
    "attention": lambda out, *args: _attention(*args),
    "lstm_sequence": lambda out, x, h0, c0, weight: 2 * x.numel() * weight.shape[1],
    "gru_sequence": lambda out, x, h0, weight, bias: 2 * x.numel() * weight.shape[1],
}


class ModuleSummary:
    """One module of a summary.

    Attributes:
        name: its path in the model; ``""`` for the model itself.
        depth: how many modules stand above it.
        type: its class's name.
        calls: how often the run called it.
        input_shapes, output_shapes: shapes of the tensors of its last call.
        parameters, trainable: numbers of elements, children included; what is shared counts once.
        own_parameters: of the module itself.
        parameter_bytes: memory of the parameters, children included.
        flops: floating-point operations of forward, children included.
        saved_bytes: what the tape keeps for backward, children included; parameters don't count.
        own_saved_bytes: of the module itself.
    """

    def __init__(self, name: str, depth: int, kind: str) -> None:
        self.name, self.depth, self.type = name, depth, kind
        self.calls = 0
        self.input_shapes: list[list[int]] = []
        self.output_shapes: list[list[int]] = []
        self.parameters = self.own_parameters = self.trainable = self.parameter_bytes = 0
        self.flops = self.saved_bytes = self.own_saved_bytes = 0

    def __repr__(self) -> str:
        return (
            f"ModuleSummary({self.name!r}, {self.type}, {self.parameters:,} parameters, {self.flops:,} FLOPs)"
        )


class ModelSummary:
    """The table that `summary` gives: prints as text, and as HTML in notebooks.

    Attributes:
        modules: a `ModuleSummary` per module, in the order of ``named_modules``; the first is the model.
        max_depth: how deep the table goes (None: to the leaves).
        total_parameters, trainable_parameters: numbers of elements.
        parameter_bytes, buffer_bytes: their memory.
        flops: floating-point operations of one forward call.
        activation_bytes: what the tape keeps for backward, beside the parameters.
        training_bytes: parameters, their gradients, buffers and activations together, without the optimizer's state.
    """

    def __init__(
        self, modules: list[ModuleSummary], buffer_bytes: int, gradient_bytes: int, max_depth: int | None
    ) -> None:
        top = modules[0]
        self.modules = modules
        self.max_depth = max_depth
        self.total_parameters, self.trainable_parameters = top.parameters, top.trainable
        self.parameter_bytes, self.buffer_bytes = top.parameter_bytes, buffer_bytes
        self.flops, self.activation_bytes = top.flops, top.saved_bytes
        self.training_bytes = self.parameter_bytes + gradient_bytes + buffer_bytes + top.saved_bytes

    def __getitem__(self, name: str) -> ModuleSummary:
        for module in self.modules:
            if module.name == name:
                return module
        raise KeyError(f"[summary] no module of that name: got {name!r}.")

    def _rows(self) -> Iterator[tuple[ModuleSummary, str]]:
        """The modules to show, each with the lines of the tree in front of it."""
        shown = [m for m in self.modules if self.max_depth is None or m.depth <= self.max_depth]
        for k, module in enumerate(shown):
            if not module.depth:
                yield module, ""
                continue
            lines = []
            for level in range(1, module.depth + 1):
                # whether another module of this level comes later, before the tree goes back above it
                later = next((m.depth for m in shown[k + 1 :] if m.depth <= level), 0) == level
                own = level == module.depth
                lines.append(("├─ " if later else "└─ ") if own else ("│  " if later else "   "))
            yield module, "".join(lines)

    def _cells(self, module: ModuleSummary, tree: str) -> list[str]:
        name = module.name.rpartition(".")[2]
        below = module.name + "." if module.name else ""
        runs = any(
            m.calls for m in self.modules if m.name.startswith(below)
        )  # a list of modules has no call itself
        shapes = " ".join(map(str, module.output_shapes)) if module.calls else "–" if runs else "not run"
        return [
            f"{tree}{name + ': ' if name else ''}{module.type}",
            shapes + (f" ({module.calls} calls)" if module.calls > 1 else ""),
            f"{module.parameters:,}" if module.parameters else "–",
            _count(module.flops) if module.flops else "–",
            _bytes(module.saved_bytes) if module.saved_bytes else "–",
        ]

    def _totals(self) -> list[str]:
        frozen = self.total_parameters - self.trainable_parameters
        return [
            f"parameters: {self.total_parameters:,}"
            + (f" ({self.trainable_parameters:,} trainable, {frozen:,} frozen)" if frozen else "")
            + f", {_bytes(self.parameter_bytes)}"
            + (f"; buffers {_bytes(self.buffer_bytes)}" if self.buffer_bytes else ""),
            f"forward: {_count(self.flops)}FLOPs; saved for backward: {_bytes(self.activation_bytes)}",
            f"training: {_bytes(self.training_bytes)} (parameters, gradients, saved tensors; without optimizer state)",
        ]

    def __str__(self) -> str:
        table = [list(_HEADS), *(self._cells(*row) for row in self._rows())]
        widths = [max(len(row[k]) for row in table) for k in range(len(_HEADS))]
        lines = []
        for row in table:
            cells = [
                c.ljust(w) if k < 2 else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells))
        rule = "─" * max(map(len, lines))
        return "\n".join(
            [lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:]), rule, *self._totals()]
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table for notebooks."""
        import html  # slow, and rarely wanted

        def row(cells: list[str], tag: str) -> str:
            return "<tr>" + "".join(
                f'<{tag} style="text-align:{"left" if k < 2 else "right"};white-space:pre">{html.escape(c)}</{tag}>'
                for k, c in enumerate(cells)
            ) + "</tr>"  # fmt: skip

        body = "".join(row(self._cells(*r), "td") for r in self._rows())
        notes = "<br>".join(html.escape(line) for line in self._totals())
        return f"<table><thead>{row(list(_HEADS), 'th')}</thead><tbody>{body}</tbody></table><p>{notes}</p>"


_HEADS = ("module", "output", "parameters", "FLOPs", "saved for backward")


def _count(n: float) -> str:
    for unit in ("", "K", "M", "G", "T", "P"):
        if n < 1000 or unit == "P":
            break
        n /= 1000
    return f"{n:.4g} {unit}"


def _bytes(n: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if n < 1024 or unit == "TiB":
            break
        n /= 1024
    return f"{n:.4g} {unit}"


def summary(model: Module, sample: Any, *, depth: int | None = None, train: bool = True) -> ModelSummary:
    """What a model is made of and what one call of it costs, without computing it or touching memory.

    Args:
        model: the model; it is left as it is. Its parameters may lie anywhere, on ``meta`` too.
        sample: an input: a tensor, a tuple of arguments, or a dict of keyword arguments. Only shapes and dtypes count;
            tensors of device ``meta`` will do.
        depth: how many levels of modules the table shows (None: all).
        train: run in training mode, as a training step does; False: as the model stands.

    Returns:
        The table, with everything in it as attributes.

    Raises:
        RuntimeError: the model looks at values, which ``meta`` doesn't have; the message names the module.

    >>> from flambeau import nn
    >>> model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 2))
    >>> nn.summary(model, fb.empty(64, 10, device="meta"))
    module        output    parameters    FLOPs  saved for backward
    ───────────────────────────────────────────────────────────────
    Sequential    [64, 2]          418  49.15 K            10.5 KiB
    ├─ 0: Linear  [64, 32]         352  40.96 K             2.5 KiB
    ├─ 1: ReLU    [64, 32]           –        –               8 KiB
    └─ 2: Linear  [64, 2]           66  8.192 K                   –
    ───────────────────────────────────────────────────────────────
    parameters: 418, 1.633 KiB
    forward: 49.15 KFLOPs; saved for backward: 10.5 KiB
    training: 13.77 KiB (parameters, gradients, saved tensors; without optimizer state)
    """
    if not isinstance(model, Module):
        raise TypeError(message("summary", "model is no Module", "an nn.Module", model=model))
    run = _Run(model)
    modes = [(m, m.training) for m in model.modules()]
    try:
        if train:
            model.train()
        run.forward(sample)
    finally:
        for m, mode in modes:
            m.training = mode
    return run.result(depth)


def _on_meta(a: Any) -> Any:
    if isinstance(a, fb.Tensor):
        return fb.empty(a.shape, dtype=a.dtype, device="meta", requires_grad=a.requires_grad)
    if isinstance(a, dict):
        return type(a)((k, _on_meta(v)) for k, v in a.items())
    if isinstance(a, (list, tuple)) and not hasattr(a, "_fields"):
        return type(a)(map(_on_meta, a))
    return a


def _tensors(a: Any) -> Iterator[fb.Tensor]:
    if isinstance(a, fb.Tensor):
        yield a
    elif isinstance(a, dict):
        a = a.values()
    if isinstance(a, (list, tuple, type({}.values()))):
        for item in a:
            yield from _tensors(item)


class _Run:
    """One shape-only call: the modules' rows while it goes on."""

    def __init__(self, model: Module) -> None:
        self.model = model
        self.rows: dict[int, ModuleSummary] = {}  # by id of the module
        self.parents: dict[int, int | None] = {}
        self.running: list[int] = []
        self.kept: dict[int, Any] = {}  # what is saved already, by id of its memory
        self.unlike: dict[int, fb.Tensor] = {}
        self._walk(model, "", 0, None)

    def _walk(self, module: Module, name: str, depth: int, parent: int | None) -> set[int]:
        """Make the rows below a module; returns the ids of all parameters there."""
        row = self.rows[id(module)] = ModuleSummary(name, depth, type(module).__name__)
        self.parents[id(module)] = parent
        own = {id(p): p for p in module._parameters.values() if p is not None}
        row.own_parameters = sum(p.numel() for p in own.values())
        self.unlike.update(own)
        below = set(own)
        for child, inner in module.named_children():
            if id(inner) not in self.rows:
                below |= self._walk(inner, f"{name}.{child}" if name else child, depth + 1, id(module))
            else:
                below |= {id(p) for p in inner.parameters()}
        all_of_them = [self.unlike[k] for k in below]
        row.parameters = sum(p.numel() for p in all_of_them)
        row.trainable = sum(p.numel() for p in all_of_them if p.requires_grad)
        row.parameter_bytes = sum(p.numel() * p.element_size() for p in all_of_them)
        return below

    # -- what happens during the run ------------------------------------------------------------------------------

    def enter(self, module: Module, args: Any, kwargs: Any) -> None:
        row = self.rows[id(module)]
        row.calls += 1
        row.input_shapes = [list(t.shape) for t in _tensors([args, kwargs])]
        self.running.append(id(module))

    def leave(self, module: Module, args: Any, output: Any) -> None:
        if output is not None:
            self.rows[id(module)].output_shapes = [list(t.shape) for t in _tensors(output)]
        self.running.pop()

    def count(self, op: Any, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        out = call(*args, **kwargs)
        cost = _FLOPS.get(op.name)
        if cost is not None:
            values = op.bind(args, kwargs)
            flops = cost(out[0] if isinstance(out, tuple) else out, *values)
            for row in self.above():
                row.flops += flops
        return out

    def save(self, t: fb.Tensor) -> fb.Tensor:
        memory = t.mem
        if id(memory) not in self.kept:
            self.kept[id(memory)] = memory
            rows = list(self.above())
            rows[0].own_saved_bytes += memory.nbytes
            for row in rows:
                row.saved_bytes += memory.nbytes
        return t

    def above(self) -> Iterator[ModuleSummary]:
        """The module that is running, and those that it stands in."""
        at: int | None = self.running[-1] if self.running else id(self.model)
        while at is not None:
            yield self.rows[at]
            at = self.parents[at]

    def forward(self, sample: Any) -> None:
        """Call the model with stand-ins of its parameters, buffers and input."""
        state: dict[str, fb.Tensor] = {}
        made: dict[int, fb.Tensor] = {}
        for named in (self.model.named_parameters, self.model.named_buffers):
            for name, t in named(remove_duplicate=False):
                if id(t) not in made:
                    made[id(t)] = _on_meta(t)
                state[name] = made[id(t)]
        self.kept = {id(t.mem): t.mem for t in made.values()}  # parameters are not saved for backward
        sample = _on_meta(sample)
        kwargs = sample if isinstance(sample, dict) else {}
        args = () if isinstance(sample, dict) else sample if isinstance(sample, tuple) else (sample,)
        with ExitStack() as stack:
            for module in self.model.modules():
                hooks = (
                    module.register_forward_pre_hook(self.enter, prepend=True, with_kwargs=True),
                    module.register_forward_hook(self.leave, always_call=True),
                )
                for hook in hooks:
                    stack.callback(hook.remove)
            stack.enter_context(fb.device("meta"))
            stack.enter_context(fb.random.fork_rng())
            stack.enter_context(fb.enable_grad())
            stack.enter_context(fb.autograd.graph.saved_tensors_hooks(self.save, lambda t: t))
            stack.enter_context(intercept(self.count))
            fb.func.functional_call(self.model, state, args, kwargs)

    def result(self, depth: int | None) -> ModelSummary:
        buffers = {id(b): b.numel() * b.element_size() for b in self.model.buffers()}
        gradients = sum(p.numel() * p.element_size() for p in self.unlike.values() if p.requires_grad)
        return ModelSummary(list(self.rows.values()), sum(buffers.values()), gradients, depth)
