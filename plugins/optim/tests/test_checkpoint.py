"""Checkpoints: gradients, freed memory, repeated randomness, nesting, autocast, mistakes."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from functools import partial
from typing import Any

import pytest

import flambeau as fb
from flambeau.utils.checkpoint import (
    CheckpointError,
    CheckpointPolicy,
    checkpoint,
    checkpoint_sequential,
    create_selective_checkpoint_contexts,
    set_checkpoint_early_stop,
)

VARIANTS = pytest.mark.parametrize("reentrant", [True, False])


def weights() -> tuple[Any, Any]:
    fb.manual_seed(0)
    return fb.randn(4, 4, requires_grad=True), fb.randn(3, 4, requires_grad=True)


def block(x: Any, w: Any) -> Any:
    return ((x @ w).tanh() * (x @ w).sigmoid()).sin()


@VARIANTS
def test_gradients_are_those_without(reentrant: bool) -> None:
    w, x = weights()
    block(block(x, w), w).sum().backward()
    want = w.grad, x.grad
    w.grad = x.grad = None
    y = checkpoint(block, x, w, use_reentrant=reentrant)
    checkpoint(lambda t: block(t, w), y, use_reentrant=reentrant).sum().backward()
    fb.testing.assert_close(w.grad, want[0])
    fb.testing.assert_close(x.grad, want[1])


@VARIANTS
def test_only_parameters_inside_need_gradients(reentrant: bool) -> None:
    w, x = weights()
    x = x.detach()
    checkpoint(lambda t: block(t, w), x, use_reentrant=reentrant).sum().backward()
    got = w.grad
    w.grad = None
    block(x, w).sum().backward()
    assert got.tolist() == w.grad.tolist()


@VARIANTS
def test_random_numbers_repeat_and_the_stream_goes_on(reentrant: bool) -> None:
    x = fb.ones(100, requires_grad=True)

    def noisy(t: Any) -> Any:
        return t * (fb.rand(100) > 0.5)

    fb.manual_seed(1)
    y = checkpoint(noisy, x, use_reentrant=reentrant)
    after = fb.rand(1).item()
    y.sum().backward()
    assert x.grad.tolist() == y.detach().tolist()
    fb.manual_seed(1)
    noisy(x)
    assert fb.rand(1).item() == after


def test_what_is_inside_is_not_kept() -> None:
    w, x = weights()
    alive: list[Any] = []

    def piece(t: Any) -> Any:
        inner = t @ w
        alive.append(weakref.ref(inner.detach().mem if hasattr(inner, "mem") else inner))
        return (inner * inner).sin()

    alive.clear()
    plain = piece(x)
    gc.collect()
    assert alive[0]() is not None
    y = checkpoint(piece, x, use_reentrant=False)
    gc.collect()
    assert alive[1]() is None
    (plain.sum() + y.sum()).backward()


def test_double_backward_and_grad_go_through() -> None:
    w, x = weights()

    def second(y: Any) -> Any:
        (g,) = fb.autograd.grad(y.sum(), x, create_graph=True)
        return fb.autograd.grad((g * g).sum(), (x, w))

    want = second(block(x, w))
    got = second(checkpoint(block, x, w, use_reentrant=False))
    for a, b in zip(got, want, strict=True):
        fb.testing.assert_close(a, b)
    assert w.grad is None


def test_a_graph_can_be_kept_and_walked_twice() -> None:
    w, x = weights()
    y = checkpoint(block, x, w, use_reentrant=False).sum()
    y.backward(retain_graph=True)
    once = w.grad.clone()
    y.backward()
    fb.testing.assert_close(w.grad, once * 2)


@VARIANTS
def test_checkpoints_nest(reentrant: bool) -> None:
    w, x = weights()
    runs: list[str] = []

    def inner(t: Any) -> Any:
        runs.append("inner")
        return block(t, w)

    def outer(t: Any) -> Any:
        runs.append("outer")
        return block(checkpoint(inner, block(t, w), use_reentrant=reentrant), w)

    block(block(block(x, w), w), w).sum().backward()
    want = w.grad, x.grad
    w.grad = x.grad = None
    checkpoint(outer, x, use_reentrant=reentrant).sum().backward()
    fb.testing.assert_close(w.grad, want[0])
    fb.testing.assert_close(x.grad, want[1])
    assert runs[:2] == ["outer", "inner"]
    assert runs.count("outer") == 2


def test_the_second_run_stops_early_unless_told_otherwise() -> None:
    w, x = weights()
    for early, ends in ((True, 1), (False, 2), (None, 2)):
        reached: list[int] = []

        def piece(t: Any, reached: list[int] = reached) -> Any:
            y = (t @ w).sin() + 1
            reached.append(1)
            return y

        if early is None:
            with set_checkpoint_early_stop(False):
                y = checkpoint(piece, x, use_reentrant=False)
        else:
            y = checkpoint(piece, x, use_reentrant=False, early_stop=early)
        y.sum().backward()
        assert len(reached) == ends


def test_keyword_arguments_structures_and_contexts() -> None:
    w, x = weights()
    seen: list[str] = []

    class Note:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> None:
            seen.append(self.name)

        def __exit__(self, *exc: object) -> None:
            seen.append("/" + self.name)

    def piece(t: Any, factor: float = 1.0, more: Any = None) -> Any:
        return {"y": (t * factor) @ w, "z": more["bias"].exp()}

    more = {"bias": fb.ones(2, requires_grad=True)}
    out = checkpoint(
        piece,
        x,
        factor=2.0,
        more=more,
        use_reentrant=False,
        context_fn=lambda: (Note("first"), Note("second")),
    )
    (out["y"].sum() + out["z"].sum()).backward()
    assert seen == ["first", "/first", "second", "/second"]
    fb.testing.assert_close(more["bias"].grad, more["bias"].detach().exp())


def test_a_second_run_that_differs_is_told() -> None:
    _, x = weights()
    runs: list[int] = []

    def piece(t: Any) -> Any:
        runs.append(1)
        return t.exp().sin() if len(runs) % 2 else t * 2

    with pytest.raises(CheckpointError, match=r"\[checkpoint\] A different number of tensors was saved"):
        checkpoint(piece, x, use_reentrant=False).sum().backward()

    def shrinking(t: Any) -> Any:
        runs.append(1)
        return t.exp().sin().sum() if len(runs) % 2 else t[:1].exp().sin().sum()

    runs.clear()
    with pytest.raises(CheckpointError, match="different metadata"):
        checkpoint(shrinking, x, use_reentrant=False).backward()


def test_autocast_is_the_same_the_second_time() -> None:
    w, x = weights()
    dtypes: list[Any] = []

    def piece(t: Any) -> Any:
        y = t @ w
        dtypes.append(y.dtype)
        return y.sin()

    for reentrant in (True, False):
        with fb.autocast("cpu", dtype=fb.bfloat16):
            y = checkpoint(piece, x, use_reentrant=reentrant)
        y.float().sum().backward()
    with fb.autocast("cpu"), fb.autocast("cpu", enabled=False):
        y = checkpoint(piece, x, use_reentrant=False)
    y.sum().backward()
    assert dtypes == [fb.bfloat16] * 4 + [fb.float32] * 2


@VARIANTS
@pytest.mark.parametrize("segments", [1, 2, 3])
def test_sequences(segments: int, reentrant: bool) -> None:
    w, x = weights()
    steps = [lambda t: t @ w, fb.tanh, lambda t: t @ w, fb.sigmoid, fb.sin]
    y = x
    for step in steps:
        y = step(y)
    y.sum().backward()
    want = w.grad, x.grad
    w.grad = x.grad = None
    checkpoint_sequential(steps, segments, x, use_reentrant=reentrant).sum().backward()
    fb.testing.assert_close(w.grad, want[0])
    fb.testing.assert_close(x.grad, want[1])


def test_a_sequential_module() -> None:
    model = fb.nn.Sequential(fb.nn.Linear(4, 4), fb.nn.Tanh(), fb.nn.Dropout(0.5), fb.nn.Linear(4, 4))
    _, x = weights()
    fb.manual_seed(3)
    model(x).sum().backward()
    want = [p.grad for p in model.parameters()]
    model.zero_grad()
    fb.manual_seed(3)
    checkpoint_sequential(model, 2, x, use_reentrant=False).sum().backward()
    for p, g in zip(model.parameters(), want, strict=True):
        fb.testing.assert_close(p.grad, g)


def test_mistakes() -> None:
    w, x = weights()
    with pytest.warns(
        UserWarning, match=r"\[checkpoint\] the use_reentrant parameter should be passed explicitly"
    ):
        checkpoint(block, x, w)
    with pytest.warns(UserWarning, match=r"\[checkpoint_sequential\]"):
        checkpoint_sequential([fb.sin], 1, x)
    with pytest.raises(ValueError, match="Unexpected keyword arguments: got factor"):
        checkpoint(block, x, w, use_reentrant=True, factor=1)
    with pytest.raises(ValueError, match="unknown check"):
        checkpoint(block, x, w, use_reentrant=False, determinism_check="strict")
    with pytest.raises(ValueError, match="Unexpected keyword arguments: got speed"):
        checkpoint_sequential([fb.sin], 1, x, use_reentrant=False, speed=1)


# Selective


class Counted:
    """Counts the ops of a region by name."""

    def __init__(self) -> None:
        self.names: Counter[str] = Counter()
        self.region = fb.plugin.intercept(self, outermost=True)  # sees what the checkpoint goes on with

    def __call__(self, op: Any, call: Any, args: Any, kwargs: Any) -> Any:
        self.names[op.name] += 1
        return call(*args, **kwargs)


def run_selective(policy: Any, fn: Any = block, **options: Any) -> tuple[Any, Any, Counter[str]]:
    """Gradients with selective checkpointing, and the ops that ran in backward."""
    w, x = weights()
    contexts = partial(create_selective_checkpoint_contexts, policy, **options)
    counted = Counted()

    def watched(*args: Any) -> Any:
        with counted.region:
            return fn(*args)

    loss = checkpoint(watched, x, w, use_reentrant=False, context_fn=contexts, early_stop=False).sum()
    counted.names.clear()
    loss.backward()
    return w.grad, x.grad, counted.names


def plain(fn: Any = block) -> tuple[Any, Any]:
    w, x = weights()
    fn(x, w).sum().backward()
    return w.grad, x.grad


@pytest.mark.parametrize(
    ("policy", "products", "tanhs"),
    [
        ([fb.mm], 0, 1),
        (["matmul", "tanh"], 0, 0),
        ([], 2, 1),
        (lambda context, op, *args, **kwargs: op.name == "tanh", 2, 0),
        (lambda context, op, *args, **kwargs: CheckpointPolicy.PREFER_SAVE, 0, 0),
        (lambda context, op, *args, **kwargs: CheckpointPolicy.MUST_CPU_OFFLOAD, 0, 0),
        (lambda context, op, *args, **kwargs: CheckpointPolicy.MUST_RECOMPUTE, 2, 1),
    ],
)
def test_a_policy_says_what_is_computed_again(policy: Any, products: int, tanhs: int) -> None:
    *grads, ran = run_selective(policy)
    for got, want in zip(grads, plain(), strict=True):
        assert got.tolist() == want.tolist()
    assert ran["matmul"] == products
    assert ran["tanh"] == tanhs


def test_a_policy_is_told_of_results_and_arguments() -> None:
    told = []

    def policy(context: Any, op: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
        told.append((op.name, context.is_recompute, tuple(context.op_output.shape), len(args)))
        return CheckpointPolicy.PREFER_RECOMPUTE

    run_selective(policy)
    assert told[0] == ("matmul", False, (3, 4), 2)
    assert len(told) == 6  # asked in the first run alone


def test_ops_written_in_others_are_seen_as_those() -> None:
    def rooted(x: Any, w: Any) -> Any:
        return fb.softmax(fb.std(x @ w, 1, keepdim=True) * x, 1) + fb.bernoulli(x.sigmoid())

    *grads, ran = run_selective(["softmax", "variance"], rooted)
    for got, want in zip(grads, plain(rooted), strict=True):
        assert got.tolist() == want.tolist()
    assert not ran["softmax"] + ran["variance"]
    with pytest.raises(ValueError, match="expected ops that aren't written in others"):
        run_selective([fb.std])


def test_random_numbers_of_kept_results_repeat() -> None:
    def noisy(x: Any, w: Any) -> Any:
        return fb.nn.functional.dropout(x @ w, 0.5) * fb.rand(4) + fb.nn.functional.dropout(x, 0.5)

    fb.manual_seed(5)
    got = run_selective(["dropout_keep"], noisy)[:2]
    want = plain(noisy)
    for g, w in zip(got, want, strict=True):
        assert g.tolist() == w.tolist()


def test_selective_checkpoints_and_autocast() -> None:
    w, x = weights()

    def loss() -> Any:
        with fb.autocast("cpu", dtype=fb.bfloat16):
            contexts = partial(create_selective_checkpoint_contexts, [fb.mm])
            return checkpoint(block, x, w, use_reentrant=False, context_fn=contexts).float().sum()

    loss().backward()
    got, w.grad = w.grad, None
    with fb.autocast("cpu", dtype=fb.bfloat16):
        want = block(x, w).float().sum()
    want.backward()
    assert got.tolist() == w.grad.tolist()


def test_kept_results_serve_one_backward_and_stay_unchanged() -> None:
    w, x = weights()
    contexts = partial(create_selective_checkpoint_contexts, [fb.mm])
    y = checkpoint(block, x, w, use_reentrant=False, context_fn=contexts).sum()
    y.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="backward an extra time"):
        y.backward()

    def spoiling(x: Any, w: Any) -> Any:
        product = x @ w
        return product.mul_(2).tanh()

    with pytest.raises(RuntimeError, match="was mutated: a result of matmul"):
        run_selective(["matmul"], spoiling)


def test_what_is_no_policy() -> None:
    with pytest.raises(ValueError, match="expected ops that"):
        create_selective_checkpoint_contexts(["no_such_op"])
    with pytest.raises(TypeError, match="either a function or a list"):
        create_selective_checkpoint_contexts(3)
