"""Datasets, samplers and collation."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import pytest

import flambeau as fb

data = fb.data


class Squares(data.Dataset[int]):
    def __init__(self, n: int) -> None:
        self.n = n

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < self.n:
            raise IndexError(index)
        return index * index

    def __len__(self) -> int:
        return self.n


class Count(data.IterableDataset[int]):
    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Any:
        return iter(range(self.n))

    def __len__(self) -> int:
        return self.n


def test_tensor_dataset() -> None:
    ds = data.TensorDataset(fb.arange(6).reshape(3, 2), fb.tensor([7, 8, 9]))
    assert len(ds) == 3
    x, y = ds[2]
    assert x.tolist() == [4, 5]
    assert y.item() == 9
    with pytest.raises(ValueError, match="Size mismatch between tensors"):
        data.TensorDataset(fb.ones(3), fb.ones(2))


def test_subset_concat_stack_and_chain() -> None:
    ds = Squares(4) + Squares(3)
    assert isinstance(ds, data.ConcatDataset)
    assert [ds[i] for i in range(len(ds))] == [0, 1, 4, 9, 0, 1, 4]
    assert ds[-1] == 4
    with pytest.raises(IndexError, match="out of range"):
        ds[7]
    sub = data.Subset(ds, [6, 0, 3])
    assert [sub[i] for i in range(len(sub))] == [4, 0, 9]
    assert data.StackDataset(Squares(3), sub)[1] == (1, 0)
    assert data.StackDataset(a=Squares(3), b=sub)[2] == {"a": 4, "b": 9}
    assert list(Count(2) + Count(3)) == [0, 1, 0, 1, 2]
    with pytest.raises(ValueError, match="IterableDataset"):
        data.ConcatDataset([Count(2)])
    with pytest.raises(ValueError, match="at least one dataset"):
        data.ConcatDataset([])


def test_random_split() -> None:
    g = fb.Generator()
    g.manual_seed(3)
    a, b, c = data.random_split(Squares(10), [0.5, 0.3, 0.2], generator=g)
    assert [len(a), len(b), len(c)] == [5, 3, 2]
    assert sorted([*a.indices, *b.indices, *c.indices]) == list(range(10))
    again = data.random_split(Squares(10), [5, 3, 2], generator=fb.Generator().manual_seed(3))
    assert [p.indices for p in again] == [a.indices, b.indices, c.indices]
    assert [len(p) for p in data.random_split(Squares(10), [1 / 3, 1 / 3, 1 / 3])] == [4, 3, 3]
    with pytest.raises(ValueError, match="Sum of input lengths"):
        data.random_split(Squares(10), [5, 4])


def test_samplers() -> None:
    assert list(data.SequentialSampler(range(3))) == [0, 1, 2]
    random = data.RandomSampler(range(50))
    fb.manual_seed(0)
    first, second = list(random), list(random)
    assert sorted(first) == list(range(50))
    assert first != second
    fb.manual_seed(0)
    assert list(random) == first
    more = list(data.RandomSampler(range(4), num_samples=10))
    assert len(more) == 10
    assert sorted(more[:4]) == sorted(more[4:8]) == [0, 1, 2, 3]
    drawn = list(data.RandomSampler(range(4), replacement=True, num_samples=200))
    assert len(drawn) == 200
    assert set(drawn) == {0, 1, 2, 3}
    assert sorted(data.SubsetRandomSampler([5, 7, 9])) == [5, 7, 9]
    weighted = list(data.WeightedRandomSampler([0.0, 1.0, 3.0], 2000))
    counts = collections.Counter(weighted)
    assert set(counts) == {1, 2}
    assert 2.5 < counts[2] / counts[1] < 3.6
    assert sorted(data.WeightedRandomSampler([1.0, 1.0, 1.0], 3, replacement=False)) == [0, 1, 2]
    assert list(data.BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert len(data.BatchSampler(range(5), 2, False)) == 3


def test_a_samplers_own_generator_leaves_the_default_one_alone() -> None:
    fb.manual_seed(1)
    expected = fb.rand(2).tolist()
    fb.manual_seed(1)
    g = fb.Generator()
    g.manual_seed(5)
    order = list(data.RandomSampler(range(9), generator=g))
    assert fb.rand(2).tolist() == expected
    g.manual_seed(5)
    assert list(data.RandomSampler(range(9), generator=g)) == order


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: data.RandomSampler([1], num_samples=0), "num_samples should be a positive"),
        (lambda: data.WeightedRandomSampler([[1.0]], 1), "1d sequence"),
        (lambda: data.WeightedRandomSampler([1.0], 0), "num_samples should be a positive"),
        (lambda: data.BatchSampler(range(3), 0, False), "batch_size should be a positive"),
        (lambda: list(data.RandomSampler([], num_samples=3)), "data_source is empty"),
    ],
)
def test_mistakes_with_samplers(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


Pair = collections.namedtuple("Pair", ["x", "label"])  # noqa: PYI024


def test_collate_numbers_tensors_strings_and_containers() -> None:
    c = data.default_collate
    assert c([1, 2]).dtype == fb.int64
    assert c([1.5, 2.0]).dtype == fb.float64
    assert c([True, False]).dtype == fb.bool
    assert c(["a", "b"]) == ["a", "b"]
    assert c([fb.ones(2), fb.zeros(2)]).shape == (2, 2)
    assert c([np.ones(3, np.float32)] * 2).dtype == fb.float32
    assert c([np.int16(3), np.int16(4)]).tolist() == [3, 4]
    batch = c([{"x": fb.ones(2), "t": (1, "u")}, {"x": fb.zeros(2), "t": (2, "v")}])
    assert batch["x"].tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert batch["t"][0].tolist() == [1, 2]
    assert batch["t"][1] == ["u", "v"]
    pair = c([Pair(1, "a"), Pair(2, "b")])
    assert isinstance(pair, Pair)
    assert pair.label == ["a", "b"]
    assert isinstance(c([(1, 2), (3, 4)]), list)
    ordered = c([collections.OrderedDict(a=1), collections.OrderedDict(a=2)])
    assert isinstance(ordered, collections.OrderedDict)


@pytest.mark.parametrize(
    ("batch", "error", "text"),
    [
        (
            [fb.ones(3), fb.ones(3), fb.ones(4)],
            RuntimeError,
            r"sample 0 has \[3\], sample 2 has \[4\].*equal size",
        ),
        (
            [{"a": (1, fb.ones(1))}, {"a": (1, fb.ones(2))}],
            RuntimeError,
            r"at sample\['a'\]\[1\]: sample 0 has \[1\]",
        ),
        ([(1, 2), (1,)], RuntimeError, "lengths differ: sample 0 has 2, sample 1 has 1.*equal size"),
        ([fb.ones(3), 1], TypeError, "sample 1 is a int"),
        ([{"a": 1}, {"b": 1}], KeyError, "sample 1 has no key 'a'"),
        ([object()], TypeError, "must contain tensors, numpy arrays, numbers, dicts or lists"),
        ([np.array(["a"])], TypeError, "dtype"),
        ([], ValueError, "no samples"),
    ],
)
def test_collate_mistakes(batch: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        data.default_collate(batch)


def test_convert_turns_arrays_into_tensors_and_leaves_the_rest() -> None:
    out = data.default_convert({"x": np.ones(2), "y": [np.float32(1), "s"], "z": Pair(3, np.arange(2))})
    assert isinstance(out["x"], fb.Tensor)
    assert out["y"][0].dtype == fb.float32
    assert out["y"][1] == "s"
    assert out["z"].x == 3
    assert out["z"].label.tolist() == [0, 1]
