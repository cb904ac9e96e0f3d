"""Gathering, scattering and masks, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from shape_cases import Case, assert_same, compare, torch

import flambeau as fb

X = (3, 4)
I = np.array([[0, 2, 1, 0], [2, 2, 0, 1]])
GATHERS: list[Case] = [
    (
        "gather",
        lambda m, x, i: (x.gather(0, i), m.gather(x, 1, i), x.gather(-1, i[:, :1]), x.gather(0, i[:0])),
        (X, I),
    ),
    ("gather scalar", lambda m, x: (x.gather(0, m.tensor(0)), x.gather(0, m.tensor([0, 0]))), ((),)),
    ("gather int32", lambda m, x, i: x.gather(0, i.int()), (X, I)),
    (
        "take_along_dim",
        lambda m, x, i: (x.take_along_dim(i, 0), x.take_along_dim(i[:1, :1], 1), m.take_along_dim(x, i)),
        (X, I),
    ),
    ("take", lambda m, x, i: (x.take(i * 3), m.take(x, -1 - i), x.mT.take(i)), (X, I)),
    (
        "put",
        lambda m, x, v: (x.put(m.tensor([0, -1]), v), m.put(x, m.tensor([2, 2]), v, accumulate=True)),
        (X, (2,)),
    ),
    (
        "index_select",
        lambda m, x: (
            x.index_select(0, m.tensor([2, 0, 2])),
            m.index_select(x, -1, m.tensor([1], dtype=m.int32)),
            x.index_select(1, m.tensor(3)),
            x.index_select(0, m.zeros(0, dtype=m.int64)),
        ),
        (X,),
    ),
    (
        "index_add",
        lambda m, x, v: (
            x.index_add(0, m.tensor([0, 0]), v),
            m.index_add(x, 0, m.tensor([2, 1]), v, alpha=2),
        ),
        (X, (2, 4)),
    ),
    (
        "index_copy",
        lambda m, x, v: (x.index_copy(0, m.tensor([2, 0]), v), m.index_copy(x, 0, m.tensor([1, 0]), v)),
        (X, (2, 4)),
    ),
    (
        "index_fill",
        lambda m, x: (x.index_fill(0, m.tensor([2, 0]), 1.5), m.index_fill(x, 1, m.tensor([-1]), -2)),
        (X,),
    ),
    ("index_fill tensor", lambda m, x, v: x.index_fill(1, m.tensor([0, 2]), v), (X, ())),
]
SCATTERS: list[Case] = [
    (
        "scatter",
        lambda m, x, v: (
            x.scatter(1, m.tensor([[0, 2, 1], [3, 1, 2]]), v),
            m.scatter(x, 0, m.tensor([[2, 1, 0]]), v[:1]),
            x.scatter(0, m.tensor([[1]]), 2.5),
        ),
        (X, (2, 3)),
    ),
    ("scatter_add", lambda m, x, v, i: (x.scatter_add(0, i, v), m.scatter_add(x, 1, i, v)), (X, (2, 4), I)),
    (
        "scatter scalar",
        lambda m, x, v: (x.scatter(0, m.tensor(0), v), x.scatter_add(0, m.tensor([0]), v.reshape(1))),
        ((), ()),
    ),
    *(
        (
            f"scatter_reduce {kind} {own}",
            lambda m, x, v, i, kind=kind, own=own: x.scatter_reduce(0, i, v, kind, include_self=own),
            (X, (2, 4), I),
        )
        for kind in ("sum", "prod", "mean", "amax", "amin")
        for own in (True, False)
    ),
    (
        "index_reduce",
        lambda m, x, v: [
            x.index_reduce(0, m.tensor([0, 0]), v, kind, include_self=own)
            for kind in ("mean", "amax", "amin")
            for own in (True, False)
        ],
        (X, (2, 4)),
    ),
]
MASKS: list[Case] = [
    (
        "where",
        lambda m, x, y: (
            m.where(x > 0, x, y),
            m.where(x > 0, x, 1.5),
            m.where(y > 0, 2.0, y),
            x.where(x > y, 0.5),
            m.where(x[:1] > 0, x, y[:, :1]),
        ),
        (X, X),
    ),
    (
        "masked_fill",
        lambda m, x: (
            x.masked_fill(x > 0, 2.5),
            m.masked_fill(x, x[0] > 0, -1),
            x.masked_fill(x[:, :1] > 0, m.tensor(3)),
        ),
        (X,),
    ),
    ("masked_fill tensor", lambda m, x, v: x.masked_fill(x > 0, v), (X, ())),
    (
        "masked_select",
        lambda m, x: (x.masked_select(x > 0), m.masked_select(x, x[0] > 0), x.mT.masked_select(x.mT < 0)),
        (X,),
    ),
    ("masked_select wide", lambda m, x: x.masked_select(m.ones(2, 3, 4, dtype=m.bool)), (X,)),
    (
        "masked_scatter",
        lambda m, x, v: (x.masked_scatter(x > 0, v), m.masked_scatter(x, x[0] > 0, v)),
        (X, (12,)),
    ),
    (
        "nonzero",
        lambda m, x: (m.nonzero(x > 0), (x > 0).nonzero(as_tuple=True), m.argwhere(x), m.where(x > 0)),
        (X,),
    ),
    ("nonzero scalar", lambda m, x: (x.nonzero(), m.nonzero(x, as_tuple=True), (x * 0).nonzero()), ((),)),
    (
        "nonzero_static",
        lambda m, x: (m.nonzero_static(x > 0, size=2), (x > 0).nonzero_static(size=20, fill_value=-5)),
        (X,),
    ),
]


@pytest.mark.parametrize(("fn", "shapes"), [c[1:] for c in GATHERS], ids=[c[0] for c in GATHERS])
def test_gathers(fn: Any, shapes: Any) -> None:
    compare(fn, shapes)


@pytest.mark.filterwarnings("ignore:index_reduce")
@pytest.mark.parametrize(("fn", "shapes"), [c[1:] for c in SCATTERS], ids=[c[0] for c in SCATTERS])
def test_scatters(fn: Any, shapes: Any) -> None:
    compare(fn, shapes)


@pytest.mark.parametrize(("fn", "shapes"), [c[1:] for c in MASKS], ids=[c[0] for c in MASKS])
def test_masks(fn: Any, shapes: Any) -> None:
    compare(fn, shapes)


@pytest.mark.filterwarnings("ignore:The reduce argument of torch.scatter")
def test_scatter_numbers_and_parts() -> None:
    def calls(m: Any) -> list[Any]:
        x, i = m.arange(12.0).reshape(3, 4), m.tensor([[1, 1, 0]])
        return [
            x.scatter(0, i, 2.0, reduce="multiply"),
            x.scatter(1, m.tensor([[1], [1]]), 3.0, reduce="add"),
            x.scatter(0, i, x, reduce="add"),
            x.scatter(1, i, x * 10),
            x.scatter(0, i[:, :0], x),
        ]

    assert_same(calls(fb), calls(torch))
    x, v = fb.zeros(3, 4), fb.ones(3, 3).requires_grad_()
    (x.scatter(1, fb.tensor([[0, 1], [2, 3]]), v) * 2).sum().backward()
    assert v.grad is not None
    assert v.grad.tolist() == [[2, 2, 0], [2, 2, 0], [0, 0, 0]]


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_gradient_of_products_with_zeros(zeros: int) -> None:
    grads = []
    for m in (fb, torch):
        x = m.tensor([2.0, 3.0]).requires_grad_()
        v = m.tensor([0.0, 5.0, 0.0, 4.0][-2 - zeros :]).requires_grad_()
        i = m.tensor([0, 0, 0, 1][-2 - zeros :])
        x.scatter_reduce(0, i, v, "prod").sum().backward()
        grads.append((x.grad, v.grad))
    assert_same(*grads)


def test_ties_share_gradients() -> None:
    grads = []
    for m in (fb, torch):
        x = m.tensor([2.0, 3.0]).requires_grad_()
        v = m.tensor([2.0, 2.0, 3.0]).requires_grad_()
        x.scatter_reduce(0, m.tensor([0, 0, 1]), v, "amax").sum().backward()
        grads.append((x.grad, v.grad))
    assert_same(*grads)


IN_PLACE: list[tuple[str, Any]] = [
    ("scatter_", lambda m, v: (0, m.tensor([[0, 2, 1, 0]]), v[:1])),
    ("scatter_", lambda m, v: (1, m.tensor([[3]]), 7.5)),
    ("scatter_add_", lambda m, v: (0, m.tensor([[0, 2, 1, 0], [0, 0, 0, 0]]), v)),
    ("scatter_reduce_", lambda m, v: (0, m.tensor([[0, 2, 1, 0], [0, 0, 0, 0]]), v, "mean")),
    ("index_add_", lambda m, v: (0, m.tensor([2, 2]), v)),
    ("index_copy_", lambda m, v: (0, m.tensor([2, 1]), v)),
    ("index_fill_", lambda m, v: (1, m.tensor([2, -4]), 3)),
    ("index_reduce_", lambda m, v: (0, m.tensor([2, 1]), v, "amax")),
    ("masked_fill_", lambda m, v: (v[0] > 0, 2.5)),
    ("masked_scatter_", lambda m, v: (v[0] > 0, m.arange(12, dtype=m.float64))),
    ("index_put_", lambda m, v: ((m.tensor([0, 2]),), v)),
    ("put_", lambda m, v: (m.tensor([0, 5]), v[0, :2])),
]


@pytest.mark.filterwarnings("ignore:index_reduce")
@pytest.mark.parametrize(("name", "args"), IN_PLACE)
def test_in_place(name: str, args: Any) -> None:
    data = np.random.default_rng(1).standard_normal((2, 4))
    plain = []
    for m in (fb, torch):
        x = m.arange(24, dtype=m.float64).reshape(4, 6).mT[::2]
        before = x._version
        assert getattr(x, name)(*args(m, m.tensor(data))) is x
        assert x._version > before
        plain.append(x)
    assert_same(*plain)

    def fn(m: Any, x: Any, v: Any) -> Any:
        y = x * 2
        getattr(y, name)(*args(m, v))
        return y * y

    compare(fn, ((3, 4), (2, 4)))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float16", "bfloat16", "complex64"])
def test_dtypes(dtype: str) -> None:
    def calls(m: Any) -> list[Any]:
        x = (m.arange(12).reshape(3, 4) % 3).to(getattr(m, dtype))
        i = m.tensor([2, 0])
        made = [
            x.gather(0, m.tensor([[2, 1]])),
            x.index_select(1, i),
            x.scatter(0, m.tensor([[1, 2]]), x[:1, :2]),
            x.masked_fill(x == 0, 1),
            x.masked_select(x != 0),
            m.where(x == 0, x, x[:1]),
            x.index_copy(1, i, x[:, :2]),
        ]
        if dtype != "bool":
            made += [x.scatter_add(0, m.tensor([[1, 2]]), x[1:2, :2]), x.index_add(1, i, x[:, :2])]
        made = [t.float() if dtype == "bfloat16" else t for t in made]
        return [*made, x.nonzero()]

    assert_same(calls(fb), calls(torch))


def test_integer_reductions() -> None:
    def calls(m: Any) -> list[Any]:
        x, i, v = m.arange(4), m.tensor([0, 0, 2]), m.tensor([7, -4, 5])
        return [
            x.scatter_reduce(0, i, v, kind, include_self=own)
            for kind in ("sum", "prod", "mean", "amax", "amin")
            for own in (True, False)
        ]

    assert_same(calls(fb), calls(torch))


def test_unravel_index() -> None:
    assert_same(
        fb.unravel_index(fb.tensor([0, 7, 23]), (2, 3, 4)),
        torch.unravel_index(torch.tensor([0, 7, 23]), (2, 3, 4)),
    )


ERRORS: list[tuple[Any, Any, str]] = [
    (
        lambda m, x: x.gather(0, m.zeros(1, 5, dtype=m.int64)),
        RuntimeError,
        r"Size does not match at dimension 1 expected index \[1, 5\]",
    ),
    (
        lambda m, x: x.gather(0, m.tensor([0])),
        RuntimeError,
        "Index tensor must have the same number of dimensions as input",
    ),
    (lambda m, x: x.gather(0, m.tensor([[0.0]])), RuntimeError, "Expected dtype int32/int64 for index"),
    (
        lambda m, x: x.gather(0, m.tensor([[7]])),
        (RuntimeError, IndexError),
        "index out of bounds",
    ),
    (lambda m, x: x.scatter(0, m.tensor([[7]]), 1.0), (RuntimeError, IndexError), "index out of bounds"),
    (
        lambda m, x: x.scatter(0, m.tensor([[0]]), m.tensor([[1]])),
        RuntimeError,
        "Expected self.dtype to be equal to src.dtype",
    ),
    (lambda m, x: x.scatter(0, m.tensor([[0, 1]]), m.zeros(1, 1)), RuntimeError, "to be no larger than src"),
    (
        lambda m, x: x.scatter(0, m.tensor([[0]]), 1.0, reduce="mean"),
        RuntimeError,
        "must be either add or multiply",
    ),
    (
        lambda m, x: x.scatter_reduce(0, m.tensor([[0]]), x, "foo"),
        RuntimeError,
        "either sum, prod, mean, amax or amin",
    ),
    (lambda m, x: x.index_select(0, m.tensor([3])), IndexError, "index"),
    (lambda m, x: x.index_select(0, m.tensor([-1])), IndexError, "index"),
    (lambda m, x: x.index_select(0, m.tensor([[0]])), IndexError, "supposed to be a vector"),
    (lambda m, x: x.index_select(0, m.tensor([0.0])), RuntimeError, "Expected dtype int32 or int64"),
    (lambda m, x: x.index_add(0, m.tensor([0]), m.zeros(1, 4).double()), RuntimeError, "same scalar type"),
    (lambda m, x: x.index_copy(0, m.tensor([0]), m.zeros(2, 4)), IndexError, "as many rows"),
    (lambda m, x: x.take(m.tensor([12])), IndexError, "index"),
    (lambda m, x: x.masked_fill(x, 1), RuntimeError, "only supports boolean masks"),
    (lambda m, x: x.masked_fill(x > 0, m.zeros(2)), RuntimeError, "0-dimensional value tensor"),
    (lambda m, x: x.long().masked_fill(x > 0, float("inf")), RuntimeError, "without overflow"),
    (lambda m, x: x.masked_select(x), RuntimeError, "expected BoolTensor for mask"),
    (
        lambda m, x: x.masked_scatter(x == 0, m.zeros(1)),
        RuntimeError,
        "Number of elements of source < number of ones in mask",
    ),
    (lambda m, x: m.where(x, x, x), RuntimeError, "expected condition to be a boolean tensor"),
    (lambda m, x: x.repeat_interleave(m.tensor([1, 2])), RuntimeError, "same size as input along dim"),
    (lambda m, x: m.take_along_dim(x, m.tensor([0]), 0), RuntimeError, "same number of dimensions"),
]


@pytest.mark.parametrize(("fn", "error", "text"), ERRORS)
def test_errors(fn: Any, error: Any, text: str) -> None:
    with pytest.raises(error):
        fn(torch, torch.zeros(3, 4))
    with pytest.raises(error, match=text):
        fn(fb, fb.zeros(3, 4))
