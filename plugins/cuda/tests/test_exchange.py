"""Memory of other CUDA libraries as tensors and back: without a GPU, with a fake library on the simulator's memory."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as fb
from flambeau.plugin import backend_of
from flambeau_cuda.exchange import cuda_array_interface, describe, from_cuda_array

SIM = fb.device("cuda-sim")


class Foreign:
    """An array of another library."""

    def __init__(self, **interface: Any) -> None:
        self.__cuda_array_interface__ = interface


def backend() -> Any:
    return backend_of(SIM)


def test_a_tensor_tells_its_memory_and_its_stream() -> None:
    x = fb.arange(6, dtype=fb.float32, device=SIM).reshape(2, 3)
    said = describe(x, backend())
    assert said == {
        "shape": (2, 3), "typestr": "<f4", "data": (x.data_ptr(), False), "version": 3, "strides": None, "stream": 1,
    }  # fmt: skip
    assert describe(x.t()[1:], backend())["strides"] == (4, 12)
    assert describe(x.t()[1:], backend())["data"][0] == x.data_ptr() + 4
    assert describe(x > 0, backend())["typestr"] == "|b1"
    assert describe(x[:0], backend())["data"] == (0, False)
    side = fb.cuda.Stream("cuda-sim")
    with fb.cuda.stream(side):
        assert describe(x, backend())["stream"] == side.cuda_stream


def test_what_has_no_word_for_it() -> None:
    with pytest.raises(AttributeError, match="non-CUDA tensor"):
        cuda_array_interface(fb.ones(2))
    with pytest.raises(AttributeError, match="has no word"):
        describe(fb.ones(2, dtype=fb.bfloat16, device=SIM), backend())
    with pytest.raises(RuntimeError, match="requires grad"):
        describe(fb.ones(2, device=SIM, requires_grad=True), backend())


def test_foreign_memory_is_shared_and_kept() -> None:
    x = fb.arange(12, dtype=fb.int32, device=SIM).reshape(3, 4)
    other = Foreign(**describe(x.t(), backend()))
    y = from_cuda_array(other, backend())
    assert y.device == fb.device("cuda-sim:0")
    assert y.tolist() == x.t().tolist()
    y[0, 0] = 50
    assert int(x[0, 0]) == 50
    assert y.mem.owner is other
    flipped = Foreign(
        shape=(4,), typestr="<i4", data=(x.data_ptr() + 12, False), strides=(-4,), version=3, stream=None
    )
    assert from_cuda_array(flipped, backend()).tolist() == [3, 2, 1, 50]


def test_read_only_memory_is_copied() -> None:
    x = fb.ones(3, device=SIM)
    y = from_cuda_array(Foreign(**{**describe(x, backend()), "data": (x.data_ptr(), True)}), backend())
    y.zero_()
    assert x.tolist() == [1, 1, 1]


def test_the_other_streams_work_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    runtime = backend().runtime
    monkeypatch.setattr(runtime, "record", lambda event, stream: calls.append(("record", stream)))
    monkeypatch.setattr(runtime, "wait", lambda stream, event: calls.append(("wait", stream)))
    x = fb.ones(3, device=SIM)
    for stream, recorded in ((77, 77), (2, 2), (None, None), (1, None)):  # the simulator's own stream is 0
        calls.clear()
        from_cuda_array(Foreign(**{**describe(x, backend()), "stream": stream}), backend())
        assert calls == ([("record", recorded), ("wait", 0)] if recorded else [])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"typestr": ">f4"}, "typestr '>f4'"), ({"typestr": "<f3"}, "typestr '<f3'"), ({"mask": 3}, "mask 3"),
        ({"strides": (6,)}, r"strides \(6,\) bytes"),
    ],
)  # fmt: skip
def test_what_can_not_be_shared(changed: dict[str, Any], words: str) -> None:
    x = fb.ones(3, device=SIM)
    with pytest.raises(BufferError, match=words):
        from_cuda_array(Foreign(**{**describe(x, backend()), **changed}), backend())


def test_as_tensor_and_tensor_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import flambeau_cuda

    x = fb.arange(3.0, device=SIM)
    other = Foreign(**describe(x, backend()))
    monkeypatch.setattr(flambeau_cuda, "from_cuda_array", lambda source: from_cuda_array(source, backend()))
    assert fb.as_tensor(other).data_ptr() == x.data_ptr()
    assert fb.asarray(other, copy=True).data_ptr() != x.data_ptr()
    assert fb.tensor(other, device=SIM).data_ptr() != x.data_ptr()
    assert fb.as_tensor(other).tolist() == [0, 1, 2]


@pytest.mark.gpu
@pytest.mark.skipif(not fb.cuda.is_available(), reason="needs a GPU")
def test_cupy_shares_memory() -> None:
    cupy = pytest.importorskip("cupy")
    x = fb.arange(6.0, device="cuda").reshape(2, 3)
    y = cupy.asarray(x)
    y += 1
    cupy.cuda.runtime.deviceSynchronize()
    assert x.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert from_cuda_array(y).tolist() == x.tolist()
    assert not hasattr(fb.ones(2), "__cuda_array_interface__")
