# ruff: noqa: B023  (functions over loop variables are called at once)
"""One record of PyTorch's replayed on flambeau: every form, dtype and sample."""

from __future__ import annotations

import random
import signal
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import flambeau as fb

from .compare import compared, difference, shares
from .convert import DTYPES, Converter, Unsupported, leaves, mapped, rebuilt, resolve, to_torch

__all__ = ["KINDS", "Options", "Record", "replay"]

KINDS = (
    "forward", "method", "in-place", "operator", "out=", "alias", "view", "gradient", "double gradient", "raises",
    "error type",
)  # fmt: skip

#: Names whose values are random or uninitialised: dtype and shape are compared.
RANDOM = frozenset(
    """bernoulli cauchy exponential geometric log_normal normal uniform randn randn_like rand_like randint randint_like
    multinomial empty empty_like empty_strided empty_permuted new_empty new_empty_strided nn.functional.dropout
    nn.functional.dropout2d nn.functional.dropout3d nn.functional.alpha_dropout nn.functional.feature_alpha_dropout
    nn.functional.rrelu nn.functional.fractional_max_pool2d nn.functional.fractional_max_pool3d resize_ resize_as_
    svd_lowrank pca_lowrank nn.functional.multi_head_attention_forward""".split()
)
#: Names whose last results are places of values; where values repeat any of their places is right.
PLACES = frozenset(
    "sort argsort topk kthvalue median nanmedian mode min max aminmax argmax argmin cummax cummin unique "
    "nn.functional.max_pool1d nn.functional.max_pool2d nn.functional.max_pool3d".split()
)
_SECONDS = 600
#: Dtypes whose rounding is compared with PyTorch's, and those that decide.
_WIDER = {
    torch.float16: torch.float64, torch.bfloat16: torch.float64, torch.float32: torch.float64,
    torch.complex64: torch.complex128,
}  # fmt: skip
#: How many times more these may be rounded: PyTorch has another kernel, of our kind, that rounds as ours does.
_ROUNDED = {"nn.functional.scaled_dot_product_attention": 16}
NARROW = tuple(str(d)[6:] for d in _WIDER)


def _narrow(v: Any) -> bool:
    return isinstance(v, torch.Tensor) and v.dtype in _WIDER


@dataclass
class Options:
    """What to replay."""

    seed: int = 0
    samples: int = 10**9
    dtypes: tuple[str, ...] = ()
    reference: bool = False
    strided: bool = False
    gradients: bool = True


@dataclass
class Record:
    """What was seen of one name."""

    name: str
    right: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)
    dtypes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    failures: list[tuple[str, str, str, str]] = field(default_factory=list)
    samples: list[int] = field(default_factory=lambda: [0, 0])

    def note(self, kind: str, dtype: str, sample: str, reason: str) -> bool:
        """Count one comparison; ``reason`` "" says that it was right."""
        self.total[kind] += 1
        self.right[kind] += not reason
        if kind == "forward":
            self.dtypes[dtype][0] += not reason
            self.dtypes[dtype][1] += 1
        if reason:
            self.failures.append((kind, dtype, sample, reason))
        return not reason


def _attempt(fn: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return fn(), None
    except Exception as e:
        return None, e


def _said(e: BaseException | None) -> str:
    return f"raised {type(e).__name__}: {str(e)[:240]}"


def seeded(seed: int) -> None:
    """Set every generator that the records' samples draw from."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    fb.manual_seed(seed)


def forms(op: Any) -> Iterator[tuple[str, Any, Callable[[], Any]]]:
    """(kind, PyTorch's callable, a function that finds ours)."""
    yield "forward", op.op, lambda: _function(op)
    for kind, theirs in (
        ("method", op.method_variant),
        ("in-place", op.inplace_variant),
        ("operator", op.operator_variant),
        ("operator", op.inplace_operator_variant),
    ):
        if theirs is not None:
            yield kind, theirs, lambda theirs=theirs: _method(op, theirs)
    for alias in op.aliases:
        if alias.op is not None:
            yield "alias", alias.op, lambda alias=alias: _by_name(alias.op, alias.name)


def _by_name(theirs: Any, name: str) -> Any:
    """Ours of the same public name, where PyTorch has the callable under it."""
    path = name.replace("special_", "special.").replace("linalg_", "linalg.")
    try:
        return resolve(path)
    except AttributeError:
        return rebuilt(theirs)


def _function(op: Any) -> Any:
    named: Any = torch
    for part in op.name.split("."):
        named = getattr(named, part, None)
    if named is not None and op.op is named:
        return resolve(op.name)
    return rebuilt(op.op)


def _method(op: Any, theirs: Any) -> Any:
    name = getattr(theirs, "__name__", "")
    if getattr(torch.Tensor, name, None) is theirs:
        return getattr(fb.Tensor, name)
    return rebuilt(theirs)


class Replay:
    """The replay of one record (one variant of a name)."""

    def __init__(self, op: Any, record: Record, options: Options) -> None:
        self.op, self.record, self.options = op, record, options
        self.random = op.name in RANDOM
        self.name = f"{op.name}:{op.variant_test_name}" if op.variant_test_name else op.name

    def run(self) -> None:
        """Everything."""
        for dtype in sorted(self.op.dtypes, key=str):
            if dtype not in DTYPES or (self.options.dtypes and str(dtype)[6:] not in self.options.dtypes):
                continue
            self.dtype = str(dtype)[6:]
            floats = dtype.is_floating_point or dtype.is_complex
            grads = (
                floats
                and self.options.gradients
                and self.op.supports_autograd
                and dtype in self.op.backward_dtypes
            )
            for k, sample in enumerate(self.samples(dtype, grads)):
                if k >= self.options.samples:
                    break
                self.text = f"{self.name} #{k} {sample.summary()[:400]}"
                before = len(self.record.failures)
                self.sample(sample, grads)
                self.record.samples[1] += 1
                self.record.samples[0] += len(self.record.failures) == before
        if self.op.error_inputs_func is not None:
            self.errors()

    def samples(self, dtype: Any, grads: bool) -> Iterator[Any]:
        """PyTorch's samples of a dtype."""
        seeded(self.options.seed)
        make = self.op.reference_inputs if self.options.reference else self.op.sample_inputs
        for sample in make("cpu", dtype, requires_grad=grads):
            if sample.kwargs.get("device") is not None:
                sample.kwargs["device"] = "cpu"
            yield sample.noncontiguous() if self.options.strided else sample

    def note(self, kind: str, reason: str) -> bool:
        """Count a comparison of the sample at hand."""
        return self.record.note(kind, self.dtype, self.text, reason)

    def leafy(self, sample: Any) -> tuple[Any, ...]:
        """PyTorch's arguments with every tensor a leaf; memory stays shared."""
        seen: dict[int, Any] = {}

        def leaf(v: Any) -> Any:
            if not isinstance(v, torch.Tensor):
                return v
            if id(v) not in seen:
                seen[id(v)] = v.detach().requires_grad_(v.requires_grad)
            return seen[id(v)]

        return mapped((sample.input, tuple(sample.args), dict(sample.kwargs)), leaf)  # type: ignore[no-any-return]

    def sample(self, sample: Any, grads: bool) -> None:
        """All forms of one sample."""
        self.random = self.op.name in RANDOM or bool(sample.kwargs.get("dropout_p"))
        for kind, theirs, find in forms(self.op):
            inplace = kind == "in-place" or theirs is self.op.inplace_operator_variant
            if inplace and sample.broadcasts_input:
                continue
            first, args, kwargs = self.leafy(sample)
            if kind == "method" and not isinstance(first, torch.Tensor):
                continue
            if inplace and not isinstance(first, torch.Tensor):
                continue
            try:
                mine = Converter()((first, args, kwargs))
            except Unsupported:
                return
            except Exception as e:
                self.note(kind, f"arguments: {_said(e)}")
                return
            if inplace:
                # A copy, so that a leaf isn't written to; of the same strides.
                first_in, mine_in = first.clone(), mine[0].clone()
            else:
                first_in, mine_in = first, mine[0]
            self.arguments = (first, args, kwargs)
            seeded(7)
            want, refused = _attempt(lambda: theirs(first_in, *args, **kwargs))
            if refused is not None or any(t.dtype not in DTYPES for t in leaves(want, torch.Tensor)):
                continue  # the record's own sample doesn't work in this form
            try:
                ours = find()
            except Exception as e:
                self.note(kind, f"missing: {_said(e)}")
                continue
            got, e = _attempt(lambda: ours(mine_in, *mine[1], **mine[2]))
            if e is not None:
                self.note(kind, _said(e))
                continue
            reason = self.different(sample, got, want, mine, first, args)
            if not reason and inplace and want is first_in and got is not mine_in:
                reason = "the result is not the tensor that was written to"
            right = self.note(kind, reason)
            if kind == "forward":
                theirs_share = shares(want, (first, args, kwargs), torch.Tensor)
                ours_share = shares(got, mine, fb.Tensor)
                if any(theirs_share):
                    same = theirs_share == ours_share
                    self.note("view", "" if same else f"shares memory {ours_share}, PyTorch {theirs_share}")
                elif any(ours_share):
                    self.note("view", f"shares memory {ours_share}, PyTorch's is a copy")
            if self.op.name in PLACES or self.op.name == "msort":
                self.tied |= isinstance(first, torch.Tensor) and first.unique().numel() < first.numel()
            if grads and right and not self.random and not self.tied and kind in ("forward", "in-place"):
                self.gradients(sample, (first, args, kwargs), mine, want, got)
        if self.op.supports_out and not self.random:
            self.out(sample)

    def different(self, sample: Any, got: Any, want: Any, mine: Any, first: Any, args: Any) -> str:
        """What differs between two results."""
        try:
            theirs = compared(sample, want, False)
        except Exception:
            theirs, want_only = want, True
        else:
            want_only = False
        got2, e = (got, None) if want_only else _attempt(lambda: compared(sample, got, True))
        if e is not None:
            return f"of the result: {_said(e)}"
        reason = difference(got2, theirs, not self.random)
        self.tied = False
        if reason and self.dtype in NARROW and "differ" in reason:
            return self.closer(
                lambda *a, **k: compared(sample, self.op(*a, **k), False), theirs, got2, reason
            )
        if (
            reason
            and self.dtype == "float64"
            and "differ" in reason
            and not args
            and self.nearer(got2, theirs, first)
        ):
            return ""
        if reason and self.op.name in PLACES and "dtype" not in reason and "shape" not in reason:
            reason = self.places(got, want, mine, first, reason)
            self.tied = not reason
        return reason

    def nearer(self, ours: Any, theirs: Any, first: Any) -> bool:
        """Whether every value is as near as PyTorch's to that of the record's own reference, a function of arrays."""
        if not callable(getattr(self.op, "ref", None)) or not isinstance(theirs, torch.Tensor):
            return False
        truth, refused = _attempt(lambda: torch.as_tensor(self.op.ref(first.detach().numpy())))
        if refused is not None or truth.shape != theirs.shape:
            return False
        mine = to_torch(ours)
        same = torch.isclose(mine, theirs.detach(), 1e-9, 1e-12, equal_nan=True)
        return bool((same | ((mine - truth).abs() <= (theirs.detach() - truth).abs())).all())

    def closer(self, exact: Callable[..., Any], theirs: Any, ours: Any, reason: str) -> str:
        """PyTorch's own rounding may be the larger one: the same in float64 decides.

        Right is what is as near to that as the worst of PyTorch's values, or within a few units of the largest value.
        """

        def widened(v: Any) -> Any:
            if _narrow(v):
                return v.detach().to(_WIDER[v.dtype])
            return _WIDER.get(v, v) if isinstance(v, torch.dtype) else v

        wide = mapped(self.arguments, widened)
        with torch.no_grad():
            truth, refused = _attempt(lambda: exact(wide[0], *wide[1], **wide[2]))
        if refused is not None:
            return reason
        flat = (leaves(ours, fb.Tensor), leaves(theirs, torch.Tensor), leaves(truth, torch.Tensor))
        if len({len(f) for f in flat}) != 1:
            return reason
        for g, w, t in zip(*flat, strict=True):
            if w.dtype not in _WIDER:
                continue
            a, b = (to_torch(g).to(t.dtype) - t).abs(), (w.detach().to(t.dtype) - t).abs()
            limits = torch.finfo(w.dtype)
            room = (
                8 * _ROUNDED.get(self.op.name, 1) * limits.eps * (float(t.abs().amax()) if t.numel() else 0.0)
            )
            worst = float(b[torch.isfinite(b)].amax()) if bool(torch.isfinite(b).any()) else 0.0
            fine = (a <= max(worst, room)) | ~torch.isfinite(b)
            if not bool((fine | (t.abs() > limits.max)).all()):
                return reason
        return ""

    def places(self, got: Any, want: Any, mine: Any, first: Any, reason: str) -> str:
        """Where values repeat, other places of the same values are right too."""
        pair = isinstance(want, (tuple, list))
        if pair and difference(got[0], want[0]):
            return difference(got[0], want[0])
        a, b = (to_torch(got[-1]), want[-1]) if pair else (to_torch(got), want)
        x = first.detach()
        for dim in range(x.ndim):
            if (
                all(n == m or d == dim for d, (n, m) in enumerate(zip(a.shape, x.shape, strict=False)))
                and a.ndim == x.ndim
            ):
                try:
                    if torch.equal(x.gather(dim, a), x.gather(dim, b)):
                        return ""
                except RuntimeError:
                    continue
        if a.ndim != x.ndim or not x.ndim:
            flat = x.reshape(-1)
            for dim in range(x.ndim):
                try:
                    if torch.equal(x.gather(dim, a.unsqueeze(dim)), x.gather(dim, b.unsqueeze(dim))):
                        return ""
                except RuntimeError:
                    continue
            if (
                a.numel() == b.numel()
                and flat.numel()
                and torch.equal(flat[a.reshape(-1)], flat[b.reshape(-1)])
            ):
                return ""
        return reason

    def gradients(self, sample: Any, theirs: Any, mine: Any, want: Any, got: Any) -> None:
        """First and second derivatives."""
        wide = self.dtype in ("float64", "complex128")
        to = self.leaf_pairs(theirs, mine)
        results = leaves(compared(sample, got, True), fb.Tensor)
        pairs = [
            (g, w)
            for g, w in zip(results, leaves(compared(sample, want, False), torch.Tensor), strict=False)
            if w.requires_grad
        ]
        if not pairs or not to:
            return
        if not all(g.requires_grad for g, _ in pairs):
            self.note("gradient", "the result doesn't require grad, PyTorch's does")
            return
        seeds = [torch.randn_like(w.detach()).to(w.dtype) for _, w in pairs]
        double = wide and self.op.supports_gradgrad
        if double:
            seeds = [s.requires_grad_() for s in seeds]
        convert = Converter()
        mine_seeds = [convert(s) for s in seeds]
        first, refused = _attempt(
            lambda: torch.autograd.grad(
                [w for _, w in pairs], [w for _, w in to], seeds, allow_unused=True, create_graph=double
            )
        )
        if refused is not None:
            return
        ours, e = _attempt(
            lambda: fb.autograd.grad(
                [g for g, _ in pairs], [g for g, _ in to], mine_seeds, allow_unused=True, create_graph=double
            )
        )
        if e is not None:
            self.note("gradient", _said(e))
            return
        reason = self.grads_differ(ours, first, 10.0)
        if reason and self.dtype in NARROW and "differ" in reason:
            zeros = [
                convert(torch.zeros_like(w)) if g is None and w is not None else g
                for g, w in zip(ours, first, strict=True)
            ]
            reason = self.closer(lambda *a, **k: self.wide_grads(sample, a, k, seeds), first, zeros, reason)
        if not self.note("gradient", reason) or not double:
            return
        kept = [
            (g, w)
            for g, w in zip(ours, first, strict=True)
            if w is not None and w.requires_grad and g is not None
        ]
        if not kept:
            return
        if not all(g.requires_grad for g, _ in kept):
            # PyTorch may keep a graph of zeros.
            inputs = [w for _, w in to] + seeds
            ones = [torch.ones_like(w) for _, w in kept]
            zero, _ = _attempt(
                lambda: torch.autograd.grad([w for _, w in kept], inputs, ones, allow_unused=True)
            )
            if zero is not None and any(z is not None and bool((z != 0).any()) for z in zero):
                self.note("double gradient", "the gradient doesn't require grad, PyTorch's does")
            return
        again = [torch.randn_like(w.detach()) for _, w in kept]
        mine_again = [convert(s) for s in again]
        second, refused = _attempt(
            lambda: torch.autograd.grad(
                [w for _, w in kept], [w for _, w in to] + seeds, again, allow_unused=True
            )
        )
        if refused is not None:
            return
        ours, e = _attempt(
            lambda: fb.autograd.grad(
                [g for g, _ in kept], [g for g, _ in to] + mine_seeds, mine_again, allow_unused=True
            )
        )
        reason = _said(e) if e is not None else self.grads_differ(ours, second, 100.0)
        if reason and e is None and known_wrong(self.op, "test_fn_gradgrad"):
            # PyTorch's record says so; excused where it has NaN or nothing.
            told = [
                (g, w)
                for g, w in zip(ours, second, strict=True)
                if w is not None and not bool(w.isnan().any())
            ]
            reason = self.grads_differ([g for g, _ in told], [w for _, w in told], 100.0)
        self.note("double gradient", reason)

    def wide_grads(self, sample: Any, args: Any, kwargs: Any, seeds: Any) -> Any:
        """PyTorch's gradients in float64."""
        seen: dict[int, Any] = {}
        wanted: list[Any] = []

        def leaf(v: Any, old: Any) -> Any:
            if isinstance(v, torch.Tensor) and isinstance(old, torch.Tensor) and old.requires_grad:
                if id(old) not in seen:
                    seen[id(old)] = v.detach().requires_grad_()
                    wanted.append(seen[id(old)])
                return seen[id(old)]
            return v

        olds = iter(leaves(self.arguments, torch.Tensor))
        new = mapped(
            (args[0], args[1:], kwargs), lambda v: leaf(v, next(olds)) if isinstance(v, torch.Tensor) else v
        )
        with torch.enable_grad():
            out = compared(sample, self.op(new[0], *new[1], **new[2]), False)
            outs = [t for t in leaves(out, torch.Tensor) if t.requires_grad]
            return torch.autograd.grad(
                outs, wanted, [s.to(o.dtype) for s, o in zip(seeds, outs, strict=True)], allow_unused=True
            )

    def leaf_pairs(self, theirs: Any, mine: Any) -> list[tuple[Any, Any]]:
        """Leaves that require grad, each once."""
        seen: set[int] = set()
        out = []
        for g, w in zip(leaves(mine, fb.Tensor), leaves(theirs, torch.Tensor), strict=True):
            if w.requires_grad and id(w) not in seen:
                seen.add(id(w))
                out.append((g, w))
        return out

    def grads_differ(self, ours: Any, theirs: Any, loose: float) -> str:
        """None counts as zeros."""
        for g, w in zip(ours, theirs, strict=True):
            if w is None and g is None:
                continue
            if w is None:
                if bool((g.abs() > 1e-12).any()):
                    return "a gradient where PyTorch has none"
            elif g is None:
                if bool((w != 0).any()):
                    return "no gradient where PyTorch has one"
            elif reason := difference(g, w, loose=loose):
                return reason
        return ""

    def out(self, sample: Any) -> None:
        """``out=``: of the right shape, empty, with other strides, of another dtype."""
        first, args, kwargs = self.leafy(sample)
        with torch.no_grad():
            want, refused = _attempt(lambda: self.op(first, *args, **kwargs))
        outs = leaves(want, torch.Tensor)
        if refused is not None or not outs or not isinstance(want, (torch.Tensor, tuple)):
            return
        ours, e = _attempt(lambda: _function(self.op))
        if e is not None:
            self.note("out=", f"missing: {_said(e)}")
            return
        for made in (
            lambda t: torch.full_like(t, 1),
            lambda t: t.new_empty((0,)),
            lambda t: torch.empty((*t.shape, 2), dtype=t.dtype)[..., 0],
            lambda t: torch.empty(
                t.shape,
                dtype=torch.int64 if t.dtype.is_floating_point or t.dtype.is_complex else torch.float32,
            ),
        ):
            given = tuple(made(t) for t in outs)
            first, args, kwargs = self.leafy(sample)
            try:
                mine = Converter()((first, args, kwargs, given))
            except Exception:
                return
            single = isinstance(want, torch.Tensor)
            self.arguments = (first, args, kwargs)
            with torch.no_grad(), fb.no_grad():
                theirs, refused = _attempt(
                    lambda: self.op(first, *args, **kwargs, out=given[0] if single else given)
                )
                got, e = _attempt(
                    lambda: ours(mine[0], *mine[1], **mine[2], out=mine[3][0] if single else mine[3])
                )
            if isinstance(refused, (TypeError, NotImplementedError)):
                continue  # this form has no out=, or PyTorch hasn't written it
            if refused is not None:
                self.note("out=", "" if e is not None else f"accepted; PyTorch {_said(refused)}")
            elif e is not None:
                self.note("out=", _said(e))
            elif difference_of_own(theirs, want):
                continue  # PyTorch's own result isn't what it is without out=
            else:
                reason = self.different(sample, got, theirs, mine, first, args)
                if not reason and not all(
                    g is m for g, m in zip(leaves(got, fb.Tensor), leaves(mine[3], fb.Tensor), strict=False)
                ):
                    reason = "the result is not out="
                self.note("out=", reason)

    def errors(self) -> None:
        """Samples that PyTorch refuses."""
        seeded(self.options.seed)
        self.dtype = ""
        for k, error in enumerate(self.op.error_inputs("cpu")):
            sample = error.sample_input
            self.text = f"{self.name} error #{k} {sample.summary()[:400]}"
            with torch.no_grad():
                try:
                    mine = Converter()((sample.input, tuple(sample.args), dict(sample.kwargs)))
                except Exception:
                    continue
                _, theirs = _attempt(lambda: self.op(sample.input, *sample.args, **sample.kwargs))
            if theirs is None:
                continue
            ours, missing = _attempt(lambda: _function(self.op))
            if missing is not None:
                self.note("raises", f"missing: {_said(missing)}")
                continue
            _, e = _attempt(lambda: ours(mine[0], *mine[1], **mine[2]))
            before = len(self.record.failures)
            if self.note("raises", "" if e is not None else f"accepted; PyTorch {_said(theirs)}"):
                same = isinstance(e, type(theirs))
                self.note("error type", "" if same else f"{_said(e)}; PyTorch {_said(theirs)}")
            self.record.samples[1] += 1
            self.record.samples[0] += len(self.record.failures) == before


def known_wrong(op: Any, test: str) -> bool:
    """Whether PyTorch's record says that this test of its derivatives fails."""
    from unittest import expectedFailure

    return any(getattr(d, "test_name", "") == test and expectedFailure in d.decorators for d in op.decorators)


def difference_of_own(theirs: Any, want: Any) -> bool:
    """Whether PyTorch's results differ between its own forms by more than rounding."""
    return any(
        a.shape != b.shape or (a.dtype == b.dtype and not torch.allclose(a, b, 1e-2, 1e-2, equal_nan=True))
        for a, b in zip(leaves(theirs, torch.Tensor), leaves(want, torch.Tensor), strict=False)
    )


def _late(*_: Any) -> None:
    raise TimeoutError(f"more than {_SECONDS} s")


def replay(ops: list[Any], name: str, options: Options) -> tuple[Record, float]:
    """All variants of one name."""
    record = Record(name)
    began = time.perf_counter()
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(_SECONDS)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for op in ops:
                Replay(op, record, options).run()
    except Exception as e:  # of PyTorch's record or of this harness
        import traceback

        record.failures.append(("harness", "", name, _said(e) + traceback.format_exc()[-600:]))
    finally:
        signal.alarm(0)
    return record, time.perf_counter() - began
