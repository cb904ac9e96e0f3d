"""The safetensors format: files made by hand, round trips, damaged and lying files, failed writes."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau as fb
from flambeau.io import safetensors


def by_hand(header: Any, data: bytes = b"", pad: int = 0) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * pad
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: str, shape: list[int], start: int, stop: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


#: The format's name, ours, and two values as bytes.
BYTES: list[tuple[str, Any, bytes, list[Any]]] = [
    ("BOOL", fb.bool, b"\1\0", [True, False]),
    ("U8", fb.uint8, b"\xff\2", [255, 2]),
    ("I8", fb.int8, b"\xff\2", [-1, 2]),
    ("U16", fb.uint16, b"\xff\xff\2\0", [65535, 2]),
    ("I16", fb.int16, b"\xfe\xff\2\0", [-2, 2]),
    ("F16", fb.float16, b"\0\x3c\0\xc0", [1.0, -2.0]),
    ("BF16", fb.bfloat16, b"\x80\x3f\0\xc0", [1.0, -2.0]),
    ("U32", fb.uint32, b"\xff\xff\xff\xff\2\0\0\0", [2**32 - 1, 2]),
    ("I32", fb.int32, b"\xff\xff\xff\xff\2\0\0\0", [-1, 2]),
    ("F32", fb.float32, b"\0\0\x80\x3f\0\0\0\xc0", [1.0, -2.0]),
    ("U64", fb.uint64, b"\xff" * 8 + b"\2" + b"\0" * 7, [2**64 - 1, 2]),
    ("I64", fb.int64, b"\xff" * 8 + b"\2" + b"\0" * 7, [-1, 2]),
    ("F64", fb.float64, b"\0" * 6 + b"\xf0\x3f" + b"\0" * 7 + b"\xc0", [1.0, -2.0]),
    ("C64", fb.complex64, b"\0\0\x80\x3f\0\0\0\xc0" + b"\0" * 8, [1 - 2j, 0j]),
]


@pytest.mark.parametrize(("name", "dtype", "data", "values"), BYTES, ids=[b[0] for b in BYTES])
def test_bytes_of_every_dtype(name: str, dtype: Any, data: bytes, values: list[Any]) -> None:
    file = by_hand({"x": entry(name, [2], 0, len(data))}, data)
    x = safetensors.load(file)["x"]
    assert (x.dtype, x.tolist()) == (dtype, values)
    assert safetensors.save({"x": x}).endswith(data)
    with fb.io.safe_open(io.BytesIO(file)) as opened:
        part = opened.get_slice("x")
        assert (part.get_dtype(), part.get_shape(), part[1].item()) == (name, [2], values[1])


def test_a_file_made_by_hand(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"format": "pt", "note": "\u00e9"},
        "b.weight": entry("F32", [2, 3], 0, 24),
        "empty": entry("F32", [0, 3], 24, 24),
        "a": entry("I64", [], 24, 32),
    }
    data = np.arange(6, dtype="<f4").tobytes() + np.int64(-7).tobytes()
    path = tmp_path / "model.safetensors"
    path.write_bytes(by_hand(header, data, pad=5))
    found = fb.io.load_file(path)
    assert list(found) == ["b.weight", "empty", "a"]
    assert found["b.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (found["empty"].shape, found["a"].item()) == ((0, 3), -7)
    with fb.io.safe_open(path, framework="pt", device="cpu") as file:
        assert file.metadata() == {"format": "pt", "note": "\u00e9"}
        with pytest.raises(
            KeyError, match=r"no tensor 'c' in .*model.safetensors'; there are: b.weight, empty, a"
        ):
            file.get_tensor("c")


def test_what_is_written() -> None:
    tensors = {"small": fb.tensor([1, 2], dtype=fb.int8), "b": fb.tensor(2.0), "a": fb.ones(1)}
    data = safetensors.save(tensors, metadata={"k": "v"})
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    header = json.loads(data[8 : 8 + length])
    assert header == {
        "__metadata__": {"k": "v"},
        "a": entry("F32", [1], 0, 4),
        "b": entry("F32", [], 4, 8),
        "small": entry("I8", [2], 8, 10),
    }
    assert data[8 + length :] == np.float32([1, 2]).tobytes() + b"\1\2"
    assert safetensors.load(safetensors.save({})) == {}


def test_strides_and_shared_memory() -> None:
    x = fb.arange(6.0).reshape(2, 3)
    back = safetensors.load(
        safetensors.save({"t": x.t(), "row": x[1], "grad": fb.ones(2, requires_grad=True)})
    )
    assert back["t"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert back["t"].is_contiguous()
    assert back["row"].tolist() == [3, 4, 5]
    assert not back["grad"].requires_grad


@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda n: n != "__metadata__"),
        st.tuples(st.sampled_from(BYTES), st.lists(st.integers(0, 3), max_size=3)),
        max_size=5,
    ),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
)
@settings(max_examples=100, deadline=None)
def test_round_trips(made: dict[str, Any], metadata: dict[str, str]) -> None:
    def encodable(text: str) -> bool:
        return not any("\ud800" <= c <= "\udfff" for c in text)

    if not all(map(encodable, [*made, *metadata, *metadata.values()])):
        return
    tensors = {
        name: fb.arange(int(np.prod(shape))).reshape(shape).to(kind[1])
        for name, (kind, shape) in made.items()
    }
    data = safetensors.save(tensors, metadata)
    back = safetensors.load(data)
    assert back.keys() == tensors.keys()
    for name, t in tensors.items():
        assert (back[name].dtype, back[name].shape, back[name].tolist()) == (t.dtype, t.shape, t.tolist())
    with fb.io.safe_open(io.BytesIO(data)) as file:
        assert file.metadata() == metadata


LYING: dict[str, Any] = {
    "no length": b"\0\0\0",
    "a length beyond the file": (1 << 40).to_bytes(8, "little") + b"{}",
    "a header that is no object": by_hand(b"[1]"),
    "a header that is no JSON": by_hand(b"{x"),
    "a header that is no UTF-8": by_hand(b'{"\xff\xfe":1}'),
    "leading space": by_hand(b" {}"),
    "deep nesting": by_hand(b'{"a":' * 100_000),
    "a name twice": by_hand(b'{"a":' + json.dumps(entry("U8", [0], 0, 0)).encode() + b',"a":1}'),
    "an unknown dtype": by_hand({"a": entry("F7", [1], 0, 1)}, b"x"),
    "a dtype that is no string": by_hand({"a": entry([], [1], 0, 1)}, b"x"),  # type: ignore[arg-type]
    "a wrong size": by_hand({"a": entry("F32", [2], 0, 4)}, b"1234"),
    "a size that is not whole": by_hand({"a": entry("U8", [1.0], 0, 1)}, b"x"),  # type: ignore[list-item]
    "a size that is true": by_hand({"a": entry("U8", [True], 0, 1)}, b"x"),
    "a negative size": by_hand({"a": entry("U8", [-1, -1], 0, 1)}, b"x"),
    "sizes that overflow": by_hand({"a": entry("U8", [1 << 40, 1 << 40], 0, 0)}),
    "offsets that fall": by_hand({"a": entry("U8", [1], 1, 0)}, b"x"),
    "three offsets": by_hand({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1, 2]}}, b"x"),
    "a missing field": by_hand({"a": {"dtype": "U8", "shape": [1]}}, b"x"),
    "one field more": by_hand({"a": {**entry("U8", [1], 0, 1), "code": "x"}}, b"x"),
    "an entry that is no object": by_hand({"a": 1}),
    "a gap": by_hand({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, b"xyz"),
    "an overlap": by_hand({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, b"xyz"),
    "bytes behind the last": by_hand({"a": entry("U8", [1], 0, 1)}, b"xy"),
    "too few bytes": by_hand({"a": entry("U8", [2], 0, 2)}, b"x"),
    "metadata that are no strings": by_hand({"__metadata__": {"a": 1}}),
    "metadata that are a list": by_hand({"__metadata__": []}),
}


@pytest.mark.parametrize("data", LYING.values(), ids=LYING.keys())
def test_lying_files(data: bytes) -> None:
    with pytest.raises(
        RuntimeError, match=r"\[load_file\] can't read 'bytes'.*corrupted, truncated, or not in the"
    ):
        safetensors.load(data)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_files_never_crash(data: st.DataObject) -> None:
    good = bytearray(safetensors.save({"w": fb.ones(2, 3), "i": fb.tensor([1, 2])}, {"k": "v"}))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    found: dict[str, Any] = {}
    with contextlib.suppress(RuntimeError):
        found = safetensors.load(bytes(good[:cut] if data.draw(st.booleans()) else good))
    assert all(isinstance(t, fb.Tensor) for t in found.values())


@pytest.mark.parametrize(
    ("tensors", "metadata", "text"),
    [
        ({1: fb.ones(1)}, None, "a name must be a string"),
        ({"__metadata__": fb.ones(1)}, None, "other than '__metadata__'"),
        ({"a": [1]}, None, "the value of 'a' must be a Tensor: got list.*state_dict"),
        ({"a": fb.ones(1, dtype=fb.complex128)}, None, "safetensors has no complex128"),
        ({"a": fb.empty(2, device="meta")}, None, "'a' is on the meta device"),
        ({}, {"a": 1}, "metadata must be strings"),
    ],
)
def test_save_refuses(tensors: Any, metadata: Any, text: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"\[save_file\].*" + text):
        fb.io.save_file(tensors, tmp_path / "x", metadata)
    assert os.listdir(tmp_path) == []


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    fb.io.save_file({"a": fb.ones(2)}, path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        OSError, match=r"\[save_file\] can't write .*No space left on device. Nothing was changed"
    ):
        fb.io.save_file({"a": fb.zeros(2)}, path)
    assert fb.io.load_file(path)["a"].tolist() == [1, 1]
    assert os.listdir(tmp_path) == ["model.safetensors"]


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    fb.io.save_file({"a": fb.ones(2)}, path)
    code = f"""
        import os, signal
        import flambeau as fb
        real = os.fsync
        os.fsync = lambda d: os.kill(os.getpid(), signal.SIGKILL)
        fb.io.save_file({{"a": fb.zeros(100_000)}}, {str(path)!r})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -9
    assert fb.io.load_file(path)["a"].tolist() == [1, 1]


def test_the_real_library_agrees(tmp_path: Path) -> None:
    theirs = pytest.importorskip("safetensors.numpy")
    arrays = {"w": np.arange(6.0).reshape(2, 3), "i": np.array([1, 2], dtype=np.int16)}
    ours = safetensors.load(theirs.save(arrays))
    assert {k: v.tolist() for k, v in ours.items()} == {k: v.tolist() for k, v in arrays.items()}
    back = theirs.load(safetensors.save(ours))
    assert {k: v.tolist() for k, v in back.items()} == {k: v.tolist() for k, v in arrays.items()}
