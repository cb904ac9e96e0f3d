"""The tape where memory is shared: views, in-place writes and what was saved, as PyTorch has it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as fb

torch = pytest.importorskip("torch")


def same(program: Callable[[Any, Any], Any]) -> None:
    """The gradient of a leaf, and what the program returns, in both libraries."""
    results = []
    for m in (fb, torch):
        w = m.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
        out = program(m, w)
        out.sum().backward()
        results.append((out.tolist(), out.requires_grad, None if w.grad is None else w.grad.tolist()))
    assert results[0] == results[1]


def view_made_before(m: Any, w: Any) -> Any:
    base = m.zeros(4)
    early, other = base[1:3], base[0:2]
    other.mul_(0).add_(w[:2])
    assert early.requires_grad
    assert not early.is_leaf
    return early * w[2]


def view_of_a_view_made_before(m: Any, w: Any) -> Any:
    base = m.zeros(2, 2)
    rows = base[1:]
    early = rows.t()[0]
    base[1].copy_(w[:2] * 2)
    return early * w[3]


def base_written_itself(m: Any, w: Any) -> Any:
    base = m.ones(4)
    early = base.view(2, 2)
    base.mul_(w)
    return early * early


def written_through_two_views(m: Any, w: Any) -> Any:
    base = m.zeros(4)
    a, all_ = base[:2], base.view(2, 2)
    a.add_(w[:2])
    base[2:].add_(w[2:] * 3)
    return all_ * 2 + base.view(2, 2)


def assigned_by_index(m: Any, w: Any) -> Any:
    base = m.zeros(4)
    early = base[:2]
    base[m.tensor([0, 2])] = w[:2]
    return early * w[1]


def nothing_reaches_the_early_view(m: Any, w: Any) -> Any:
    base = m.ones(4)
    early = base[3:]
    base[:1].mul_(w[:1])
    return early * w[3]


def a_view_after_the_write(m: Any, w: Any) -> Any:
    base = m.zeros(4)
    base[:2].add_(w[:2])
    return base[1:3] * w[0]


def a_detached_alias_stays_apart(m: Any, w: Any) -> Any:
    base = m.zeros(4)
    alias = base.detach()[:2]
    base[:2].add_(w[:2])
    assert not alias.requires_grad
    return alias * w[0]


PROGRAMS = [
    view_made_before, view_of_a_view_made_before, base_written_itself, written_through_two_views, assigned_by_index,
    nothing_reaches_the_early_view, a_view_after_the_write, a_detached_alias_stays_apart,
]  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_views_and_writes(program: Callable[[Any, Any], Any]) -> None:
    same(program)


@pytest.mark.parity
def test_the_early_view_says_what_made_it() -> None:
    for m in (fb, torch):
        w = m.ones(2, requires_grad=True)
        base = m.zeros(2)
        early = base[:1]
        assert early.grad_fn is None
        base.mul_(w)
        assert early.requires_grad
        assert type(early.requires_grad) is bool
        assert early.grad_fn is not None


@pytest.mark.parity
def test_hooks_of_a_leaf_see_its_whole_gradient_once() -> None:
    for m in (fb, torch):
        w = m.tensor([1.0, 2.0], requires_grad=True)
        seen: list[Any] = []
        w.register_hook(lambda g, seen=seen: seen.append(g.tolist()))
        after: list[Any] = []
        w.register_post_accumulate_grad_hook(lambda t, after=after: after.append(t.grad.tolist()))
        (w * 2 + w * w).sum().backward()
        assert seen == after == [[4.0, 6.0]]


def test_a_graph_dies_with_its_tensors() -> None:
    w = fb.ones(3, requires_grad=True)
    y = (w * 2).exp()
    node = weakref.ref(y.grad_fn)
    base = fb.zeros(3)
    view = base[:2]
    base.add_(y)
    assert view.requires_grad
    del y, base, view
    gc.collect()
    assert node() is None


def test_one_entry_serves_calls_by_position_and_by_name() -> None:
    x = fb.ones(2, 3)
    for _ in range(3):
        assert x.sum(1).shape == x.sum(dim=1).shape == (2,)
        assert (
            x.sum(1, True).shape == x.sum(1, keepdim=True).shape == x.sum(dim=1, keepdim=True).shape == (2, 1)
        )
        assert x.reshape(3, 2).shape == x.reshape((3, 2)).shape == x.reshape([3, 2]).shape == (3, 2)
        assert x.reshape(6).shape == (6,)
    with pytest.raises(TypeError):
        x.sum(1.0)
    with pytest.raises(TypeError):
        x.sum(dim=1.0)


def inference_cases(m: Any) -> list[tuple[str, Callable[[], Any]]]:
    w = m.tensor([1.0, 2.0], requires_grad=True)
    normal = m.ones(2)
    with m.inference_mode():
        x = m.tensor([3.0, 4.0])
        y = x * 2
        part = normal[:1]
        y.add_(1)
    return [
        ("it is one", lambda: (x.is_inference(), y.is_inference(), y[:1].is_inference())),
        ("a view of a normal one", lambda: (part.is_inference(), part.requires_grad)),
        ("a clone", lambda: y.clone().is_inference()),
        ("computing", lambda: (y + 1).tolist()),
        ("not saved", lambda: (w + y).sum().backward()),
        ("saved", lambda: w * y),
        ("saved as a clone", lambda: (w * y.clone()).sum().backward()),
        ("in place", lambda: y.add_(1)),
        ("in place again", lambda: y.mul_(2)),
        ("assigned", lambda: y.__setitem__(0, 1.0)),
        ("copied to", lambda: y.copy_(normal)),
        ("filled", lambda: y.zero_()),
        ("requires grad", lambda: y.requires_grad_()),
        ("version", lambda: y._version),
    ]


@pytest.mark.parity
def test_inference_tensors() -> None:
    for (name, ours), (_, theirs) in zip(inference_cases(fb), inference_cases(torch), strict=True):
        if name in (
            "saved",
            "in place",
            "in place again",
            "assigned",
            "copied to",
            "filled",
            "requires grad",
            "version",
        ):
            for program in (ours, theirs):
                with pytest.raises(RuntimeError, match="(?i)inference tensor"):
                    program()
        else:
            assert repr(ours()) == repr(theirs()), name


@pytest.mark.parametrize(
    ("write", "left"),
    [
        (lambda y: y.zero_(), [0.0, 0.0, 0.0]),
        (lambda y: y.fill_(3.0), [0.0, 0.0, 0.0]),
        (lambda y: y.copy_(fb.ones(3)), [0.0, 0.0, 0.0]),
        (lambda y: y.uniform_(), [0.0, 0.0, 0.0]),
        (lambda y: y[:2].zero_(), [0.0, 0.0, 2.0]),
        (lambda y: y.__setitem__(0, 5.0), [0.0, 2.0, 2.0]),
    ],
)
def test_what_is_overwritten_by_constants_stays_in_the_graph(write: Any, left: list[float]) -> None:
    x = fb.ones(3, requires_grad=True)
    y = x * 2
    write(y)
    assert y.requires_grad
    assert y.grad_fn is not None
    y.sum().backward()
    assert x.grad.tolist() == left


def test_gradients_of_leaves_alias_nothing_that_a_user_can_see() -> None:
    for through in (lambda w: w * 2, lambda w: w.reshape((3, 2)) * 2):
        w = fb.ones(2, 3, requires_grad=True)
        kept: list[fb.Tensor] = []
        w.register_hook(kept.append)
        through(w).sum().backward()
        assert w.grad is not None
        w.grad.zero_()
        assert kept[0].tolist() == [[2.0] * 3] * 2
    w, given = fb.ones(2, 3, requires_grad=True), fb.ones(3, 2)
    w.reshape((3, 2)).backward(given)
    assert w.grad is not None
    w.grad.add_(5)
    assert given.tolist() == [[1.0] * 2] * 3


def test_gradients_of_some_inputs_leave_the_others_alone() -> None:
    a, b = fb.ones(3, requires_grad=True), fb.ones(3, requires_grad=True)
    z = (a * b + a).sum()
    assert fb.autograd.grad(z, [b], retain_graph=True)[0].tolist() == [1.0] * 3
    z.backward()
    assert a.grad is not None
    assert a.grad.tolist() == [2.0] * 3
