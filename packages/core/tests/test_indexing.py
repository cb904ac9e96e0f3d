"""``x[...]`` in every form, against NumPy (ints and slices of either sign) and PyTorch (tensors, masks, mixtures)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import assert_same, compare, torch

import flambeau as fb

SHAPE = (3, 4, 2)
QUICK = settings(max_examples=150, deadline=None, derandomize=True)


def grid(m: Any, shape: tuple[int, ...] = SHAPE) -> Any:
    n = int(np.prod(shape))
    return m.arange(n).reshape(shape)


# Ints, slices, None, Ellipsis

bounds = st.none() | st.integers(-6, 6)
slices = st.builds(slice, bounds, bounds, st.none() | st.integers(-3, 3).filter(bool))
forward = st.builds(slice, bounds, bounds, st.none() | st.integers(1, 3))


@st.composite
def basic_keys(draw: Any) -> Any:
    entries: list[Any] = []
    for n in SHAPE[: draw(st.integers(0, len(SHAPE)))]:
        entries.append(draw(st.integers(-n, n - 1) | slices))
    at = draw(st.integers(0, len(entries)))
    if draw(st.booleans()):
        entries[at:at] = [Ellipsis]
        last = [
            draw(st.integers(-2, 1) | slices) for _ in range(min(3 - len(entries) + 1, 1)) if len(entries) < 4
        ]
        entries += last if sum(e is not Ellipsis for e in entries) < 3 and at == len(entries) - 1 else []
    for _ in range(draw(st.integers(0, 2))):
        entries.insert(draw(st.integers(0, len(entries))), None)
    return entries[0] if len(entries) == 1 and draw(st.booleans()) else tuple(entries)


@QUICK
@given(basic_keys())
def test_views_as_numpy(key: Any) -> None:
    a, x = grid(np), grid(fb)
    want = a[key]
    for _ in range(2):  # the second time from the cache
        got = x[key]
        assert got.tolist() == want.tolist()
        assert got.shape == want.shape
        assert got.mem is x.mem
    a[key] = 99
    x[key] = 99
    assert x.tolist() == a.tolist()
    a[key] = np.arange(want.size).reshape(want.shape) if want.ndim else 5
    x[key] = fb.arange(want.size).reshape(want.shape) if want.ndim else 5
    assert x.tolist() == a.tolist()


# Tensors, masks and mixtures


@st.composite
def advanced_keys(draw: Any) -> Any:
    """Keys as a function of the library."""
    common = draw(st.sampled_from([(3,), (2, 2), (0,), (1,)]))
    entries: list[Any] = []
    d = 0
    while d < len(SHAPE):
        n = SHAPE[d]
        kind = draw(
            st.sampled_from(["slice", "int", "index", "index", "mask", "none", "flag", "stop", "masks"])
        )
        if kind == "stop":
            break
        if kind == "none":
            entries.append(None)
            continue
        if kind == "flag":
            entries.append(draw(st.booleans()))
            continue
        if kind == "slice":
            entries.append(draw(forward))
        elif kind == "int":
            entries.append(draw(st.integers(-n, n - 1)))
        elif kind == "mask" or (kind == "masks" and d + 1 == len(SHAPE)):
            entries.append(np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n))))
        elif kind == "masks":
            flat = draw(st.lists(st.booleans(), min_size=n * SHAPE[d + 1], max_size=n * SHAPE[d + 1]))
            entries.append(np.array(flat).reshape(n, SHAPE[d + 1]))
            d += 1
        else:
            shape = draw(st.sampled_from([common, common[-1:], (1,)]))
            size = int(np.prod(shape))
            entries.append(
                np.array(draw(st.lists(st.integers(-n, n - 1), min_size=size, max_size=size)), int).reshape(
                    shape
                )
            )
        d += 1
    if draw(st.booleans()) and len(entries) < 3:
        entries.insert(draw(st.integers(0, len(entries))), Ellipsis)
    return entries


def key_for(m: Any, entries: list[Any]) -> tuple[Any, ...]:
    return tuple(
        m.tensor(e.tolist(), dtype=m.bool if e.dtype == bool else m.int64).reshape(e.shape)
        if isinstance(e, np.ndarray)
        else e
        for e in entries
    )


@QUICK
@given(advanced_keys(), st.booleans())
def test_mixtures_as_pytorch(entries: list[Any], turned: bool) -> None:
    x, y = (grid(m, (4, 3, 2)).transpose(0, 1) if turned else grid(m) for m in (fb, torch))
    ours, theirs = key_for(fb, entries), key_for(torch, entries)
    try:
        want = y[theirs]
    except IndexError:
        with pytest.raises(IndexError):
            x[ours]
        return
    assert_same(x[ours], want)
    x, y = x.clone(), y.clone()
    x[ours] = -1
    y[theirs] = -1
    assert_same(x, y)
    # Values only where places are distinct: which of several wins is not PyTorch's promise.
    places = (
        y.new_zeros(SHAPE)
        .reshape(-1)
        .index_put((torch.arange(24).reshape(SHAPE)[theirs].reshape(-1),), torch.tensor(1), accumulate=True)
    )
    if int(places.max()) <= 1:
        x[ours] = fb.arange(want.numel()).reshape(want.shape) * 3
        y[theirs] = torch.arange(want.numel()).reshape(want.shape) * 3
        assert_same(x, y)


GRADIENTS: list[Any] = [
    lambda m: 1,
    lambda m: slice(1, None),
    lambda m: (slice(None), 2),
    lambda m: (Ellipsis, 0),
    lambda m: None,
    lambda m: (0, 1, 1),
    lambda m: (),
    lambda m: Ellipsis,
    lambda m: (slice(0, 3, 2), None, slice(1, 3)),
    lambda m: [2, 0, 0],
    lambda m: (m.tensor([0, 2]), m.tensor([-1, 1])),
    lambda m: (slice(None), m.tensor([[0, 1], [1, 1]])),
    lambda m: (m.tensor([0, 2]), slice(None), m.tensor([1, 0])),
    lambda m: (0, slice(None), m.tensor([1, 0, 1])),
    lambda m: m.tensor([True, False, True]),
    lambda m: m.arange(12).reshape(3, 4) % 3 == 0,
    lambda m: True,
    lambda m: (slice(None), m.tensor([True, False, True, True]), m.tensor([0, 1, 1])),
    lambda m: m.tensor(2),
    lambda m: m.zeros(0, dtype=m.int64),
    lambda m: (m.tensor([[0], [1]]), m.tensor([[0, 1]])),
    lambda m: range(2),
    lambda m: np.array([1, 2]),
    lambda m: (np.int64(1), slice(m.tensor(1), None)),
    lambda m: m.tensor([1, 0], dtype=m.int32),
]


@pytest.mark.parametrize("key", GRADIENTS)
def test_gradients(key: Any) -> None:
    compare(lambda m, x: x[key(m)], (SHAPE,))


@pytest.mark.parametrize("key", GRADIENTS)
def test_gradients_of_assignment(key: Any) -> None:
    size = torch.zeros(SHAPE)[key(torch)].shape

    def fill(m: Any, x: Any, v: Any) -> Any:
        y = x * 2
        y[key(m)] = v * 3
        return y * y

    def number(m: Any, x: Any) -> Any:
        y = x * 2
        y[key(m)] = 7
        return y * y

    compare(number, (SHAPE,))
    places = torch.arange(24).reshape(SHAPE)[key(torch)].reshape(-1)
    if places.unique().numel() == places.numel():
        compare(fill, (SHAPE, tuple(size)))
        compare(fill, (SHAPE, ()))


def test_assignment_through_views_of_views() -> None:
    def fn(m: Any, x: Any, v: Any) -> Any:
        y = m.zeros(3, 4, dtype=m.float64)
        row = y[1]
        row[1:3] = v
        y[0, 0] = x[0]
        row[3] = x[1] * 2
        return y * 1, row * 2

    compare(fn, ((2,), (2,)))


def test_assignment_values() -> None:
    def calls(m: Any) -> list[Any]:
        x = grid(m)
        x[0] = m.ones(1, 1, 4, 2) * 2.9
        x[1, :, 0] = m.tensor([5], dtype=m.int32)
        x[2][x[2] > 17] = 0
        x[0, 1] = True
        x[m.tensor([2, 2]), 0] = m.tensor([[1], [1]])
        x[..., -1] = 3.7
        x[:, 3] = x[:, 2]
        z = m.zeros(2, dtype=m.complex64)
        z[0] = 1 + 2j
        z[1] = 3
        return [x, z]

    assert_same(calls(fb), calls(torch))
    x = fb.zeros(2, 3)
    x[0] = [1, 2, 3]
    x[1] = np.array([4.0, 5, 6])
    x[:, 1] = (8, 9)
    assert x.tolist() == [[1, 8, 3], [4, 9, 6]]


def test_overlap() -> None:
    x = fb.arange(5)
    x[1:] = x[:-1]
    assert x.tolist() == [0, 0, 1, 2, 3]
    x[::-1][:2] = x[:2]
    assert x.tolist() == [0, 0, 1, 0, 0]
    x = fb.arange(4)
    x[x.flip(0)] = x
    assert x.tolist() == [3, 2, 1, 0]


def test_lists_of_several_entries_are_tuples() -> None:
    x = grid(fb)
    with pytest.warns(UserWarning, match="Using a non-tuple sequence"):
        assert x[[slice(0, 2), 1]].shape == (2, 2)
    with pytest.warns(UserWarning, match="Using a non-tuple sequence"):
        assert x[[[0, 1], [1, 2]]].tolist() == x[fb.tensor([0, 1]), fb.tensor([1, 2])].tolist()
    with pytest.warns(UserWarning, match="uint8 is now deprecated"):
        assert x[fb.tensor([1, 0, 1], dtype=fb.uint8)].shape == (2, 4, 2)


def test_slices_are_views_and_copies_are_not() -> None:
    x = fb.zeros(4, 3)
    x[1:][0, ::2][1] = 5
    assert x[1].tolist() == [0, 0, 5]
    x[[0, 1]][0] = 1
    assert x[0].tolist() == [0, 0, 0]
    assert x[...].mem is x.mem
    assert x[...] is not x


def test_zero_dimensions() -> None:
    x = fb.tensor(3.0)
    assert x[...].item() == 3
    assert x[None].shape == (1,)
    assert x[True].tolist() == [3]
    assert x[False].shape == (0,)
    assert x[fb.tensor(True)].tolist() == [3]
    x[...] = 4
    x[()] = 5
    assert x.item() == 5
    x[x > 1] = 0
    assert x.item() == 0


ERRORS: list[tuple[Any, Any, str]] = [
    (lambda m, x: x[3], IndexError, "index 3 is out of bounds for dimension 0 with size 3"),
    (lambda m, x: x[0, -5], IndexError, "index -5 is out of bounds for dimension 1 with size 4"),
    (lambda m, x: x[0, 0, 0, 0], IndexError, "too many indices for tensor of dimension 3"),
    (lambda m, x: x[1.0], IndexError, r"only integers, slices .* \(got float\)"),
    (lambda m, x: m.tensor(1)[0], IndexError, "invalid index of a 0-dim tensor. Use `tensor.item"),
    (lambda m, x: x[::0], ValueError, "slice step cannot be zero"),
    (lambda m, x: x[1.0:2], TypeError, "slice indices must be integers"),
    (lambda m, x: x[m.tensor([0, 5])], IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
    (
        lambda m, x: x[:, m.tensor([0, -5])],
        IndexError,
        "index -5 is out of bounds for dimension 1 with size 4",
    ),
    (
        lambda m, x: x[m.tensor([0]), m.tensor([7])],
        IndexError,
        "index 7 is out of bounds for dimension 1 with size 4",
    ),
    (
        lambda m, x: x[m.tensor([0.5])],
        IndexError,
        "tensors used as indices must be long, int, byte or bool tensors",
    ),
    (
        lambda m, x: x[m.tensor([True, False])],
        IndexError,
        r"The shape of the mask \[2\] at index 0 does not match .*\[3, 4, 2\]",
    ),
    (lambda m, x: x[0, m.ones(4, 1, dtype=m.bool)], IndexError, r"mask \[4, 1\] at index 1 .* at index 2"),
    (
        lambda m, x: x[m.tensor([0, 1]), m.tensor([0, 1, 2])],
        IndexError,
        r"could not be broadcast together with shapes \[2\], \[3\]",
    ),
    (lambda m, x: x.__setitem__(9, 1), IndexError, "index 9 is out of bounds"),
    (lambda m, x: x.__setitem__(m.tensor([9]), 1), IndexError, "index 9 is out of bounds"),
    (lambda m, x: x.__setitem__(0, m.zeros(3, 3)), RuntimeError, "shape"),
    (
        lambda m, x: x.__setitem__(m.tensor([0, 1]), m.zeros(3)),
        RuntimeError,
        r"value tensor of shape \[3\] cannot be broadcast",
    ),
    (lambda m, x: x.__setitem__(0, "a"), TypeError, "can't assign a str"),
    (lambda m, x: x.__setitem__(0, float("inf")), RuntimeError, "without overflow"),
    (lambda m, x: x.__setitem__(0, 1j), RuntimeError, "cannot be converted"),
    (
        lambda m, x: m.zeros(1, 3).expand(2, 3).__setitem__(slice(None), 1),
        RuntimeError,
        "more than one element",
    ),
    (
        lambda m, x: x.index_put((m.tensor([0]),), m.tensor(1.0)),
        RuntimeError,
        "source and destination dtypes match",
    ),
    (
        lambda m, x: m.zeros(3).requires_grad_().__setitem__(0, 1),
        RuntimeError,
        "leaf Variable that requires grad",
    ),
]


@pytest.mark.parametrize(("fn", "error", "text"), ERRORS)
def test_errors(fn: Any, error: Any, text: str) -> None:
    with pytest.raises(error):
        fn(torch, grid(torch))
    with pytest.raises(error, match=text):
        fn(fb, grid(fb))


def test_index_put() -> None:
    def calls(m: Any, x: Any, v: Any) -> list[Any]:
        i, j = m.tensor([0, 2, 0]), m.tensor([-1, 1, -1])
        y = x * 1
        y.index_put_((i, j), v, accumulate=True)
        return [
            x.index_put((i, j), v, accumulate=True),
            m.index_put(x, [m.tensor([0, 2])], v[0]),
            y,
            x.index_put((m.tensor([True, False, True]),), v[0]),
        ]

    compare(calls, (SHAPE, (3, 2)))
    x = fb.zeros(2, 3).index_put((None, fb.tensor([1])), fb.tensor(5.0))
    assert x.tolist() == [[0, 5, 0], [0, 5, 0]]


def test_flags_are_not_ints() -> None:
    x = grid(fb)
    assert x[1].shape == (4, 2)
    assert x[True].shape == (1, *SHAPE)
    assert x[1, 0].shape == (2,)
    assert x[True, 0].shape == (1, 4, 2)


def test_plans_of_tensor_bounds_are_not_kept() -> None:
    x, n = fb.arange(5), fb.tensor(1)
    assert x[n:].tolist() == [1, 2, 3, 4]
    n += 2
    assert x[n:].tolist() == [3, 4]


def test_rows_without_elements() -> None:
    x = fb.ones(4, 0, 3)
    assert (
        x[fb.tensor([1, 3])].shape
        == x[[1, 3]].shape
        == x.index_select(0, fb.tensor([1, 3])).shape
        == (2, 0, 3)
    )
    assert x.mT[:, fb.tensor([2])].shape == (4, 1, 0)
    assert x.gather(0, fb.zeros(2, 0, 3, dtype=fb.int64)).shape == (2, 0, 3)
