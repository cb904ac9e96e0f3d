"""Shapes: views, splitting, joining, repetition, rearranging, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from shape_cases import Case, assert_same, compare, torch

import flambeau as fb

X = (2, 3, 4)
VIEWS: list[Case] = [
    ("select", lambda m, x: (x.select(1, 2), x.select(-1, -4), m.select(x, 0, 1)), (X,)),
    ("narrow", lambda m, x: (x.narrow(1, 1, 2), x.narrow(-1, -3, 2), x.narrow(0, 2, 0)), (X,)),
    ("diagonal", lambda m, x: (x.diagonal(), x.diagonal(1, 1, 2), x.diagonal(-1, -1, 0)), (X,)),
    ("diagonal outside", lambda m, x: (x.diagonal(5), x.diagonal(-7, 1, 2)), (X,)),
    ("unfold", lambda m, x: (x.unfold(2, 2, 1), x.unfold(1, 2, 2), x.unfold(0, 2, 3)), (X,)),
    ("unfold gap", lambda m, x: x.unfold(0, 2, 3), ((7,),)),
    ("unfold scalar", lambda m, x: (x.unfold(0, 1, 1), x.unfold(0, 0, 1)), ((),)),
    (
        "squeeze",
        lambda m, x: (x.squeeze(), x.squeeze(1), x.squeeze(2), x.squeeze((0, -1))),
        ((1, 2, 1, 3, 1),),
    ),
    ("squeeze scalar", lambda m, x: (x.squeeze(), x.squeeze(0), x.squeeze(-1)), ((),)),
    ("unsqueeze", lambda m, x: (x.unsqueeze(0), x.unsqueeze(-1), x.unsqueeze(dim=2), x.unsqueeze(-4)), (X,)),
    (
        "flatten",
        lambda m, x: (x.flatten(), x.flatten(1), x.flatten(0, 1), x.flatten(-2, -1), x.flatten(1, 1)),
        (X,),
    ),
    ("flatten scalar", lambda m, x: (x.flatten(), x.ravel()), ((),)),
    ("flatten turned", lambda m, x: (x.mT.flatten(1), x.permute(2, 0, 1).ravel()), (X,)),
    (
        "unflatten",
        lambda m, x: (x.unflatten(2, (2, 2)), x.unflatten(-1, (2, -1)), x.unflatten(0, [1, 2])),
        (X,),
    ),
    ("movedim", lambda m, x: (x.movedim(0, 2), m.movedim(x, (0, 1), (-1, 0)), m.moveaxis(x, -1, 0)), (X,)),
    ("swap", lambda m, x: (x.swapaxes(0, 1), m.swapdims(x, 0, -1), x.transpose(1, 1)), (X,)),
    ("t", lambda m, x: (x.t(), m.t(x), x.T, x.mT, x.H, x.mH), ((3, 4),)),
    ("t of vector", lambda m, x: (x.t(), x.flatten()), ((3,),)),
    ("mT", lambda m, x: (x.mT, x.mH, x.adjoint()), (X,)),
    ("expand_as", lambda m, x, y: x.expand_as(y), ((3, 1), X)),
    ("broadcast_to", lambda m, x: (m.broadcast_to(x, (2, 3, 4)), x.broadcast_to(5, 3, 4)), ((3, 1),)),
    ("broadcast_tensors", lambda m, x, y: m.broadcast_tensors(x, y), ((3, 1), (2, 1, 4))),
    ("atleast", lambda m, x: [f(x) for f in (m.atleast_1d, m.atleast_2d, m.atleast_3d)], ((),)),
    ("atleast 1", lambda m, x: [f(x) for f in (m.atleast_1d, m.atleast_2d, m.atleast_3d)], ((3,),)),
    ("atleast many", lambda m, x, y: (m.atleast_2d(x, y), m.atleast_3d([x, y])), ((3,), (2, 3))),
]
SPLITS: list[Case] = [
    ("unbind", lambda m, x: (x.unbind(), m.unbind(x, 1), x.unbind(-1)), (X,)),
    ("iterate", lambda m, x: [row * k for k, row in enumerate(x)], (X,)),
    ("split", lambda m, x: (x.split(2, 2), m.split(x, 3, dim=-1), x.split([1, 0, 2], 1), x.split(9)), (X,)),
    ("split_with_sizes", lambda m, x: x.split_with_sizes((1, 3), 2), (X,)),
    ("chunk", lambda m, x: (x.chunk(3, 2), m.chunk(x, 2, 1), x.chunk(9, 0)), (X,)),
    ("chunk empty", lambda m, x: x.chunk(3, 0), ((0, 2),)),
    (
        "tensor_split",
        lambda m, x: (x.tensor_split(3), x.tensor_split((1, 4)), x.tensor_split([-2, 20])),
        ((7, 2),),
    ),
    (
        "tensor_split tensor",
        lambda m, x: (x.tensor_split(m.tensor([2, 5])), x.tensor_split(m.tensor(2))),
        ((7,),),
    ),
    ("hsplit", lambda m, x: (x.hsplit(3), x.vsplit([1]), x.dsplit(2)), (X,)),
    ("hsplit vector", lambda m, x: m.hsplit(x, 2), ((4,),)),
    ("one part used", lambda m, x: (x.split(2, 2)[1] * 2, x.unbind(1)[0]), (X,)),
]
JOINS: list[Case] = [
    (
        "cat",
        lambda m, x, y: (m.cat([x, y]), m.cat((y, x, y), dim=-2), m.concat([x]), m.concatenate([x, y], 0)),
        ((2, 3), (4, 3)),
    ),
    ("cat empties", lambda m, x, y: m.cat([m.zeros(0, dtype=x.dtype), x, y, x[:0]]), ((2, 3), (4, 3))),
    ("cat only empties", lambda m, x: m.cat([x, x]), ((0,),)),
    (
        "stack",
        lambda m, x, y: (m.stack([x, y]), m.stack([x, y, x], 1), m.stack((x, y), -1)),
        ((2, 3), (2, 3)),
    ),
    ("stack scalars", lambda m, x, y: m.stack([x, y]), ((), ())),
    (
        "hstack",
        lambda m, x, y: (m.hstack([x, y]), m.vstack((x, y)), m.dstack([x, y]), m.row_stack([x, y])),
        ((2, 3), (2, 3)),
    ),
    (
        "hstack vectors",
        lambda m, x, y: [f([x, y]) for f in (m.hstack, m.vstack, m.dstack, m.column_stack)],
        ((3,), (3,)),
    ),
    (
        "hstack scalars",
        lambda m, x, y: [f([x, y]) for f in (m.hstack, m.vstack, m.dstack, m.column_stack)],
        ((), ()),
    ),
    ("column_stack", lambda m, x, y: m.column_stack([x, y]), ((3,), (3, 2))),
    ("repeat", lambda m, x: (x.repeat(2, 3), x.repeat(2, 1, 2), x.repeat(0, 1), x.repeat((1, 1))), ((2, 3),)),
    ("repeat scalar", lambda m, x: (x.repeat(3), x.repeat(2, 2), x.repeat(())), ((),)),
    ("tile", lambda m, x: (x.tile(2), m.tile(x, (2, 1, 3))), ((2, 3),)),
    (
        "repeat_interleave",
        lambda m, x: (x.repeat_interleave(2), m.repeat_interleave(x, 3, dim=1), x.repeat_interleave(0, 0)),
        ((2, 3),),
    ),
    (
        "repeat_interleave counts",
        lambda m, x: (
            x.repeat_interleave(m.tensor([2, 0, 3]), dim=1),
            x.repeat_interleave(m.tensor([2]), 0),
            m.repeat_interleave(m.tensor([0, 2, 0, 0, 3, 0])),
            m.repeat_interleave(m.tensor([1, 2]), output_size=3),
        ),
        ((2, 3),),
    ),
    (
        "meshgrid",
        lambda m, x, y: (m.meshgrid(x, y, indexing="ij"), m.meshgrid([x, y], indexing="xy")),
        ((2,), (3,)),
    ),
    ("meshgrid three", lambda m, x, y, z: m.meshgrid(x, y, z, indexing="xy"), ((2,), (), (3,))),
    ("meshgrid empty", lambda m, x, y: m.meshgrid(x, y, indexing="ij"), ((2,), (0,))),
    ("cartesian_prod", lambda m, x, y: (m.cartesian_prod(x, y), m.cartesian_prod(x)), ((2,), (3,))),
    (
        "combinations",
        lambda m, x: (m.combinations(x), m.combinations(x, 3), m.combinations(x, 2, True)),
        ((4,),),
    ),
    ("block_diag", lambda m, x, y, z: m.block_diag(x, y, z), ((2, 3), (3,), ())),
    (
        "sum_to_size",
        lambda m, x: (x.sum_to_size(3, 1), x.sum_to_size((1, 4)), x.sum_to_size(2, 3, 4), x.sum_to_size(())),
        (X,),
    ),
]
MOVES: list[Case] = [
    ("flip", lambda m, x: (x.flip(0), m.flip(x, (0, -1)), x.flip([1]), x.flip(())), (X,)),
    ("flip scalar", lambda m, x: x.flip(0), ((),)),
    ("fliplr", lambda m, x: (x.fliplr(), m.flipud(x)), (X,)),
    (
        "roll",
        lambda m, x: (
            x.roll(1),
            x.roll(-2, 1),
            m.roll(x, (1, 2), (0, -1)),
            x.roll(7, 2),
            x.roll((1, 1), (0, 0)),
        ),
        (X,),
    ),
    ("roll scalar", lambda m, x: x.roll(1), ((),)),
    ("rot90", lambda m, x: [m.rot90(x, k, (0, 2)) for k in range(-1, 5)] + [x.rot90()], (X,)),
    ("tril", lambda m, x: (x.tril(), x.triu(), m.tril(x, 1), x.triu(-2), x.tril(-9), x.triu(9)), (X,)),
    ("diag", lambda m, x: (x.diag(), m.diag(x, 1), x.diag(-2)), ((3, 4),)),
    ("diag of vector", lambda m, x: (x.diag(), x.diag(2), x.diag(-1), x.diagflat(1)), ((3,),)),
    (
        "diag_embed",
        lambda m, x: (m.diag_embed(x), x.diag_embed(1, 0, 2), x.diag_embed(-2, dim1=0, dim2=1)),
        ((2, 3),),
    ),
    ("diagflat", lambda m, x: m.diagflat(x), ((2, 2),)),
    (
        "slice_scatter",
        lambda m, x, y: (
            m.slice_scatter(x, y, 0, 1),
            x.select_scatter(y[0], 0, -1),
            x.slice_scatter(x[:, :2], 1, 0, 3, 2),
        ),
        ((2, 3), (1, 3)),
    ),
    (
        "diagonal_scatter",
        lambda m, x, y: (x.diagonal_scatter(y), m.diagonal_scatter(x, y, 1)),
        ((3, 4), (3,)),
    ),
]


@pytest.mark.parametrize(("fn", "shapes"), [c[1:] for c in VIEWS], ids=[c[0] for c in VIEWS])
def test_views(fn: Any, shapes: Any) -> None:
    compare(fn, shapes)


@pytest.mark.parametrize(("fn", "shapes"), [c[1:] for c in SPLITS], ids=[c[0] for c in SPLITS])
def test_splitting(fn: Any, shapes: Any) -> None:
    compare(fn, shapes)


@pytest.mark.parametrize(("fn", "shapes"), [c[1:] for c in JOINS], ids=[c[0] for c in JOINS])
def test_joining(fn: Any, shapes: Any) -> None:
    compare(fn, shapes)


@pytest.mark.parametrize(("fn", "shapes"), [c[1:] for c in MOVES], ids=[c[0] for c in MOVES])
def test_rearranging(fn: Any, shapes: Any) -> None:
    compare(fn, shapes)


def test_views_share_memory_with_pytorchs_strides() -> None:
    for _, fn, shapes in VIEWS[:4] + VIEWS[9:10] + VIEWS[13:17]:
        x = fb.zeros(shapes[0])
        y = torch.zeros(shapes[0])
        for ours, theirs in zip(fn(fb, x), fn(torch, y), strict=True):
            assert ours.mem is x.mem
            assert ours.stride() == theirs.stride()
            assert ours.storage_offset() == theirs.storage_offset()


def test_writes_go_through_views() -> None:
    x = fb.arange(12).reshape(3, 4)
    x.select(0, 1).fill_(0)
    x.diagonal().fill_(9)
    x.split(2, 1)[1].narrow(0, 2, 1).fill_(7)
    x.unbind(1)[0][2] = 5
    assert x.tolist() == [[9, 1, 2, 3], [0, 9, 0, 0], [5, 9, 7, 7]]


@pytest.mark.parametrize("name", ["squeeze_", "unsqueeze_", "transpose_", "t_", "swapaxes_", "as_strided_"])
def test_shape_in_place(name: str) -> None:
    args = {
        "squeeze_": (0,),
        "unsqueeze_": (1,),
        "transpose_": (0, 1),
        "swapaxes_": (0, -1),
        "as_strided_": ((2,), (1,)),
    }
    results = []
    for m in (fb, torch):
        leaf = m.arange(3, dtype=m.float64).reshape(1, 3).requires_grad_()
        y = leaf * 2
        z = getattr(y, name)(*args.get(name, ()))
        assert z is y
        ((y * y).sum() + y.sum()).backward()
        results.append((y, leaf.grad))
        plain = m.zeros(1, 3)
        getattr(plain, name)(*args.get(name, ()))
        results[-1] += (plain,)
    assert_same(*results)


def test_shape_in_place_on_leaf() -> None:
    x = fb.zeros(3).requires_grad_()
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x.unsqueeze_(0)
    with fb.no_grad():
        x.unsqueeze_(0)
    assert x.shape == (1, 3)


def test_in_place_triangles() -> None:
    for name in ("tril_", "triu_"):
        x, y = fb.ones(3, 3), torch.ones(3, 3)
        getattr(x, name)(1)
        getattr(y, name)(1)
        assert_same(x, y)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float16", "bfloat16", "complex64"])
def test_dtypes(dtype: str) -> None:
    def calls(m: Any) -> list[Any]:
        x = (m.arange(6).reshape(2, 3) % 4).to(getattr(m, dtype))
        y = x.flip(0)
        made = [m.cat([x, y], 1), m.stack([x, y]), x.roll(1, 0), x.tril(), y.repeat(2, 2), x.diag_embed()]
        return [t.float() if dtype == "bfloat16" else t for t in made]

    assert_same(calls(fb), calls(torch))


def test_cat_promotes() -> None:
    def calls(m: Any) -> list[Any]:
        i, f = m.arange(3), m.ones(2, dtype=m.float64)
        return [m.cat([i, f]), m.cat([i, i.bool()]), m.stack([i.int(), i.half()]), m.cat([m.zeros(0), i])]

    assert_same(calls(fb), calls(torch))


def test_out() -> None:
    a, out = fb.ones(2), fb.empty(0)
    assert fb.cat([a, a], out=out) is out
    assert out.tolist() == [1, 1, 1, 1]
    assert fb.stack([a, a], out=fb.zeros(2, 2)).sum() == 4


def test_negative_strides() -> None:
    x = fb.arange(6.0).reshape(2, 3)[::-1, ::-1]
    y = torch.arange(6.0).reshape(2, 3).flip((0, 1))
    assert x.stride() == (-3, -1)
    for fn in (
        lambda m, t: (t.reshape(-1), t.flatten(), t.mT, t.select(0, 1), t.diagonal(), t.narrow(1, 1, 2)),
        lambda m, t: (
            m.cat([t, t]),
            t.roll(1),
            t.tril(),
            t.unfold(1, 2, 1),
            t.repeat(1, 2),
            t.unsqueeze(1),
            t.view(2, 3),
        ),
        lambda m, t: (
            t[0],
            t[:, 1:],
            t.gather(1, m.tensor([[0], [2]])),
            t.index_select(1, m.tensor([0])),
            t.clone(),
        ),
    ):
        assert_same(fn(fb, x), fn(torch, y))


def test_complex_views() -> None:
    def calls(m: Any, z: Any) -> list[Any]:
        pairs = m.view_as_real(z)
        turned = [z.mH, z[0:1].H]
        return [
            z.real,
            z.imag,
            m.real(z),
            m.imag(z),
            pairs,
            m.view_as_complex(pairs),
            *(t.resolve_conj() for t in turned),
        ]

    compare(calls, (np.array([[1 + 2j, 3 - 1j], [0.5j, -2]]),))
    z = fb.zeros(2, dtype=fb.complex64)
    z.real = fb.tensor([1.0, 2.0])
    z.imag[1] = 5
    assert z.tolist() == [1, 2 + 5j]
    assert z.real.stride() == (2,)
    x = fb.ones(2)
    assert x.real is x
    with pytest.raises(RuntimeError, match="imag is not implemented for tensors with non-complex dtypes"):
        _ = x.imag


PADS: list[tuple[Any, ...]] = [
    (X, (1, 2), "constant", None),
    (X, (1, 2, 0, 1), "constant", 3.5),
    (X, (-1, 2, 1, -1, 0, 1), "constant", 1.0),
    (X, (2, 1), "reflect", None),
    (X, (1, 3), "replicate", None),
    (X, (2, 4), "circular", None),
    (X, (1, 2, 2, 0), "replicate", None),
    (X, (1, 1, 1, 2), "reflect", None),
    (X, (-1, 2, 0, 1), "circular", None),
    ((2, 3), (1, 1), "reflect", None),
]


@pytest.mark.parametrize(("shape", "pad", "mode", "value"), PADS)
def test_pad(shape: Any, pad: Any, mode: str, value: Any) -> None:
    def fn(m: Any, x: Any) -> Any:
        return m.nn.functional.pad(x, pad, mode, value)

    compare(fn, (shape,))


E_ = fb.zeros(2, 3)
ERRORS: list[tuple[Any, Any, str]] = [
    (
        lambda m, x: x.select(0, 2),
        IndexError,
        r"\[select\] index 2 out of range .* size \[2, 3\] at dimension 0",
    ),
    (lambda m, x: x.select(2, 0), IndexError, "Dimension out of range"),
    (
        lambda m, x: x.narrow(1, 2, 2),
        RuntimeError,
        r"start \(2\) \+ length \(2\) exceeds dimension size \(3\)",
    ),
    (lambda m, x: x.narrow(0, 0, -1), RuntimeError, "length must be non-negative"),
    (lambda m, x: x.narrow(0, 3, 0), IndexError, "start out of range"),
    (lambda m, x: x.diagonal(0, 1, 1), RuntimeError, "diagonal dimensions cannot be identical"),
    (
        lambda m, x: x.unfold(1, 4, 1),
        RuntimeError,
        "maximum size for tensor at dimension 1 is 3 but size is 4",
    ),
    (lambda m, x: x.flatten(1, 0), RuntimeError, "start_dim cannot come after end_dim"),
    (lambda m, x: x.unflatten(1, (2, 2)), RuntimeError, "don't multiply up to the size of dim 1"),
    (lambda m, x: x.movedim((0, 1), (0,)), RuntimeError, "Invalid source or destination dims"),
    (lambda m, x: m.zeros(2, 2, 2).t(), RuntimeError, r"expects a tensor with <= 2 dimensions"),
    (lambda m, x: x[0].mT, RuntimeError, "only supported on matrices or batches of matrices"),
    (lambda m, x: x.split(-1), RuntimeError, "split_size be non-negative"),
    (lambda m, x: x.split([1, 2]), RuntimeError, "split_sizes to sum exactly to 2"),
    (lambda m, x: x.chunk(0), RuntimeError, "expects `chunks` to be greater than 0"),
    (lambda m, x: x.hsplit(2), RuntimeError, "is not divisible by the split_size 2"),
    (lambda m, x: m.cat([]), ValueError, "expected a non-empty list of Tensors"),
    (
        lambda m, x: m.cat([x, m.zeros(2, 2)]),
        RuntimeError,
        r"Sizes of tensors must match except in dimension 0\.",
    ),
    (lambda m, x: m.cat([x, x[0]]), RuntimeError, "same number of dimensions: got 2 and 1"),
    (
        lambda m, x: m.cat([x[0, 0]]),
        RuntimeError,
        r"zero-dimensional tensor \(at position 0\) cannot be concatenated",
    ),
    (lambda m, x: m.cat([x, 1]), TypeError, "tensors"),
    (
        lambda m, x: m.stack([x, x[0]]),
        RuntimeError,
        r"each tensor to be equal size, but got \[2, 3\] at entry 0 and \[3\]",
    ),
    (lambda m, x: m.stack([]), RuntimeError, "expects a non-empty TensorList"),
    (lambda m, x: x.repeat(2), RuntimeError, "can not be smaller than number of dimensions of tensor"),
    (lambda m, x: m.broadcast_to(x, (3, 3)), RuntimeError, "expanded size of the tensor"),
    (lambda m, x: x.roll((1, 2), (0,)), RuntimeError, "shifts and dimensions must align"),
    (lambda m, x: m.rot90(x, 1, (0, 0)), RuntimeError, "rotation dims to be different"),
    (lambda m, x: x[0].tril(), RuntimeError, "must have at least 2 dimensions"),
    (lambda m, x: m.zeros(1, 1, 1).diag(), RuntimeError, "1D or 2D"),
    (lambda m, x: m.view_as_complex(x), RuntimeError, "last dimension of size 2"),
    (lambda m, x: m.view_as_real(x), RuntimeError, "only supported for complex tensors"),
    (lambda m, x: m.meshgrid(x, indexing="ij"), RuntimeError, "Expected 0D or 1D tensor"),
    (lambda m, x: m.combinations(x), RuntimeError, "Expect a 1D vector"),
    (lambda m, x: x.sum_to_size(2, 2), RuntimeError, r"size \{?\[2, 2\]\}? is not expandable to size"),
    (lambda m, x: x.squeeze(5), IndexError, "Dimension out of range"),
    (lambda m, x: x.unsqueeze(4), IndexError, "Dimension out of range"),
    (lambda m, x: x.view(6).unbind(1), IndexError, "Dimension out of range"),
]


@pytest.mark.parametrize(("fn", "error", "text"), ERRORS)
def test_errors(fn: Any, error: Any, text: str) -> None:
    with pytest.raises(error):
        fn(torch, torch.zeros(2, 3))
    with pytest.raises(error, match=text):
        fn(fb, E_)


def test_copies() -> None:
    x = fb.arange(6).reshape(2, 3)
    for name, args in (
        ("t", ()),
        ("view", (3, 2)),
        ("select", (0, 1)),
        ("narrow", (1, 0, 2)),
        ("unsqueeze", (0,)),
    ):
        copy = getattr(fb, name + "_copy")(x, *args)
        assert copy.tolist() == getattr(x, name)(*args).tolist()
        assert copy.mem is not x.mem
    assert [p.tolist() for p in fb.unbind_copy(x)] == x.tolist()
    assert x.trace() == 4


def test_triangle_indices() -> None:
    for name in ("tril_indices", "triu_indices"):
        for args in ((3, 4), (4, 3, 1), (3, 3, -1), (0, 3), (2, 2, -5)):
            assert_same(getattr(fb, name)(*args), getattr(torch, name)(*args))


def test_empty() -> None:
    def calls(m: Any) -> list[Any]:
        x = m.zeros(0, 3)
        return [
            x.flip(0),
            x.roll(1, 0),
            x.tril(),
            x.reshape(3, 0),
            x.mT,
            x.flatten(),
            x.repeat(2, 2),
            m.cat([x, x], 1),
            m.stack([x, x]),
            x.unsqueeze(0),
            x.split(2),
            x.chunk(2),
            x.diag_embed(),
            x.diagonal(),
            m.zeros(0).diag(),
        ]

    assert_same(calls(fb), calls(torch))
