"""Tensors print as PyTorch prints them: fixed texts, and hundreds of random tensors beside PyTorch."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import pytest

import flambeau as fb
from flambeau import printing
from flambeau.dtypes import DTYPES
from flambeau.state import intercept

inf, nan = math.inf, math.nan


@pytest.fixture(autouse=True)
def _default_options() -> Iterator[None]:
    before = printing.get_printoptions()
    yield
    printing.set_printoptions(**before)


TEXTS: list[tuple[Any, dict[str, Any], str]] = [
    ([1.0, 2.0, 3.0], {}, "tensor([1., 2., 3.])"),
    ([1, 2, -3], {}, "tensor([ 1,  2, -3])"),
    ([True, False], {}, "tensor([ True, False])"),
    (3.5, {}, "tensor(3.5000)"),
    (7, {}, "tensor(7)"),
    (-0.0, {}, "tensor(-0.)"),
    (True, {}, "tensor(True)"),
    (1 + 2j, {}, "tensor(1.+2.j)"),
    ([], {}, "tensor([])"),
    ([[], []], {}, "tensor([], size=(2, 0))"),
    ([[], []], {"dtype": fb.int64}, "tensor([], size=(2, 0), dtype=flambeau.int64)"),
    ([0.5, 100.25], {}, "tensor([  0.5000, 100.2500])"),
    ([1e-5, 1.0], {}, "tensor([1.0000e-05, 1.0000e+00])"),
    ([1e10, 2e10], {}, "tensor([1.0000e+10, 2.0000e+10])"),
    ([nan, inf, -inf, 1.0], {}, "tensor([nan, inf, -inf, 1.])"),
    ([nan, 1.5], {}, "tensor([   nan, 1.5000])"),
    ([0.0, nan], {}, "tensor([0., nan])"),
    ([1.0, 2.0], {"dtype": fb.float64}, "tensor([1., 2.], dtype=flambeau.float64)"),
    ([1.1, 2.0], {"dtype": fb.float16}, "tensor([1.0996, 2.0000], dtype=flambeau.float16)"),
    ([1.1, 2.0], {"dtype": fb.bfloat16}, "tensor([1.1016, 2.0000], dtype=flambeau.bfloat16)"),
    ([1, 200], {"dtype": fb.uint8}, "tensor([  1, 200], dtype=flambeau.uint8)"),
    ([1 + 2j, -0.5 - 3j], {}, "tensor([ 1.0000+2.j, -0.5000-3.j])"),
    ([1.0, 2.0], {"requires_grad": True}, "tensor([1., 2.], requires_grad=True)"),
    ([[1, 2], [3, 40]], {}, "tensor([[ 1,  2],\n        [ 3, 40]])"),
    ([[[1], [2]], [[3], [4]]], {}, "tensor([[[1],\n         [2]],\n\n        [[3],\n         [4]]])"),
    (
        list(range(30)), {},
        "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n"
        "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])",
    ),
    (list(range(1001)), {}, "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    (
        [list(range(r, r + 300)) for r in range(0, 2100, 300)], {},
        "tensor([[   0,    1,    2,  ...,  297,  298,  299],\n"
        "        [ 300,  301,  302,  ...,  597,  598,  599],\n"
        "        [ 600,  601,  602,  ...,  897,  898,  899],\n"
        "        ...,\n"
        "        [1200, 1201, 1202,  ..., 1497, 1498, 1499],\n"
        "        [1500, 1501, 1502,  ..., 1797, 1798, 1799],\n"
        "        [1800, 1801, 1802,  ..., 2097, 2098, 2099]])",
    ),
    (
        [1.0], {"device": "meta", "dtype": fb.float64},
        "tensor(..., device='meta', size=(1,), dtype=flambeau.float64)",
    ),
    ([[1.0, 2.0, 3.0]], {"device": "meta"}, "tensor(..., device='meta', size=(1, 3))"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "how", "text"), TEXTS, ids=[t[2][:40] for t in TEXTS])
def test_texts(data: Any, how: dict[str, Any], text: str) -> None:
    t = fb.tensor(data, **how)
    assert repr(t) == text
    assert str(t) == text


def test_grad_fn() -> None:
    x = fb.tensor([1.0, 2.0], requires_grad=True)
    assert repr(x + 1) == "tensor([2., 3.], grad_fn=<AddBackward0>)"
    assert repr(x.detach()) == "tensor([1., 2.])"


def test_default_dtype_has_no_mark() -> None:
    double, single = fb.tensor([1.5], dtype=fb.float64), fb.tensor([1.5])
    fb.set_default_dtype(fb.float64)
    try:
        assert repr(double) == "tensor([1.5000])"
        assert repr(single) == "tensor([1.5000], dtype=flambeau.float32)"
    finally:
        fb.set_default_dtype(fb.float32)


def test_marks_wrap_at_the_line_width() -> None:
    t = fb.tensor([0.123456] * 8, dtype=fb.float64, requires_grad=True)
    assert repr(t) == (
        "tensor([0.1235, 0.1235, 0.1235, 0.1235, 0.1235, 0.1235, 0.1235, 0.1235],\n"
        "       dtype=flambeau.float64, requires_grad=True)"
    )


def test_subclass_names_itself() -> None:
    class Labelled(fb.Tensor):
        pass

    assert repr(fb.tensor([1.0]).as_subclass(Labelled)) == "Labelled([1.])"


def test_parameter() -> None:
    class Parameter(fb.Tensor):
        pass

    p = fb.tensor([1.0]).as_subclass(Parameter).requires_grad_()
    assert repr(p) == "Parameter containing:\ntensor([1.], requires_grad=True)"


def test_options() -> None:
    t = fb.tensor([math.pi, 100.0])
    with printing.printoptions(precision=2):
        assert repr(t) == "tensor([  3.14, 100.00])"
    with printing.printoptions(sci_mode=True):
        assert repr(t) == "tensor([3.1416e+00, 1.0000e+02])"
    with printing.printoptions(profile="short", threshold=5):
        assert repr(fb.tensor(list(range(10)))) == "tensor([0, 1,  ..., 8, 9])"
    with printing.printoptions(profile="full"):
        assert "..." not in repr(fb.tensor(list(range(2000))))
    assert repr(t) == "tensor([  3.1416, 100.0000])"
    assert printing.get_printoptions() == {
        "precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None,
    }  # fmt: skip
    with pytest.raises(
        ValueError, match=r"\[set_printoptions\] no such profile: got 'long'.*default, short, full"
    ):
        printing.set_printoptions(profile="long")


def test_interceptors_do_not_see_printing() -> None:
    t = fb.tensor([[float(i * j) for i in range(60)] for j in range(60)]).permute(1, 0)
    seen: list[str] = []
    with intercept(lambda op, call, args, kwargs: (seen.append(op.name), call(*args, **kwargs))[1]):
        assert repr(t).count("...") == 7
    assert seen == []


class _Counted:
    """A long vector that counts what is fetched of it."""

    fetched = 0

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __getitem__(self, index: tuple[slice, ...]) -> _Counted:
        kept = [len(range(*s.indices(n))) for s, n in zip(index, self.shape, strict=False)]
        return _Counted((*kept, *self.shape[len(index) :]))

    def tolist(self) -> Any:
        _Counted.fetched += math.prod(self.shape)
        data: Any = 1.0
        for n in reversed(self.shape):
            data = [data] * n
        return data


def test_summary_fetches_only_what_it_shows() -> None:
    _Counted.fetched = 0
    text = printing.values_str(_Counted((10**6, 5, 10**6)), fb.float32, 7)
    assert text.count("1.") == 6 * 5 * 6
    assert _Counted.fetched == 6 * 5 * 6


def _random_tensor(torch: Any, rng: random.Random) -> Any:
    dtype = getattr(torch, rng.choice(DTYPES).name)
    sizes = [0, 1, 2, 3, 5, 6, 7, 8, 13, 40] if rng.random() < 0.6 else [1, 4, 6, 7, 9, 17, 33, 60]
    shape = [rng.choice(sizes) for _ in range(rng.randrange(5))]
    while math.prod(shape) > 20000:
        shape[shape.index(max(shape))] = 2
    scale = rng.choice([1, 10, 1e3, 1e-3, 1e-5, 1e6, 1e9, 1e-30])
    if dtype is torch.bool:
        return torch.rand(shape) > 0.5
    if not (dtype.is_floating_point or dtype.is_complex):
        high = min(torch.iinfo(dtype).max, rng.choice([3, 100, 10**6, 2**62]))
        return torch.randint(max(torch.iinfo(dtype).min, -high), high, shape).to(dtype)
    t = torch.randn(shape, dtype=torch.complex128 if dtype.is_complex else torch.float64) * scale
    if rng.random() < 0.4:
        t = torch.view_as_complex(torch.view_as_real(t).round()) if dtype.is_complex else t.round()
    for special in (nan, inf, -inf, 0.0, -0.0):
        if rng.random() < 0.2:
            t = torch.where(
                torch.rand(shape) < rng.choice([0.1, 0.9, 1.0]), torch.tensor(special, dtype=t.dtype), t
            )
    return t.to(dtype)


@pytest.mark.parity
@pytest.mark.parametrize("seed", range(8))
def test_like_pytorch(seed: int) -> None:
    torch = pytest.importorskip("torch")
    rng = random.Random(seed)
    torch.manual_seed(seed)
    for _ in range(60):
        theirs = _random_tensor(torch, rng)
        options: dict[str, Any] = {}
        if rng.random() < 0.4:
            options = {
                "precision": rng.choice([0, 1, 2, 4, 8]), "threshold": rng.choice([0, 5, 1000, inf]),
                "edgeitems": rng.choice([0, 1, 2, 3, 5]), "linewidth": rng.choice([20, 80, 120]),
                "sci_mode": rng.choice([None, True, False]),
            }  # fmt: skip
        ours = fb.from_dlpack(theirs)
        if rng.random() < 0.3 and (theirs.is_floating_point() or theirs.is_complex()):
            ours.requires_grad_()
            theirs.requires_grad_()
        try:
            torch.set_printoptions(profile="default", **options)
            printing.set_printoptions(profile="default", **options)
            expected = repr(theirs)
            # The dtype's name is longer here, which may move a mark to the next line.
            if "dtype" not in expected:
                assert repr(ours) == expected
            else:
                assert repr(ours).split("dtype")[0].split() == expected.split("dtype")[0].split()
        finally:
            torch.set_printoptions(profile="default")
