"""Exchange with Python, NumPy and DLPack: values, dtypes, what is shared, how long it lives, what is refused."""

from __future__ import annotations

import ctypes
import gc
import math
import random
import subprocess
import sys
import textwrap
import weakref
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau import registry
from flambeau.dtypes import DTYPES
from flambeau.ops import host, interop, literals
from flambeau.reference import ReferenceBackend

inf, nan = math.inf, math.nan
NUMPY_DTYPES = [d for d in DTYPES if d is not fb.bfloat16]


def address(t: Any) -> int:
    """Where the first element lies."""
    return int(host.host_array(t).__array_interface__["data"][0])


def names(dtypes: Any) -> list[str]:
    return [d.name for d in dtypes]


# Python numbers and sequences


@pytest.mark.parametrize(
    ("data", "dtype", "shape", "values"),
    [
        (3, fb.int64, (), 3),
        (True, fb.bool, (), True),
        (2.5, fb.float32, (), 2.5),
        (1j, fb.complex64, (), 1j),
        ([], fb.float32, (0,), []),
        ([[], []], fb.float32, (2, 0), [[], []]),
        ([[1, 2], [3, 4]], fb.int64, (2, 2), [[1, 2], [3, 4]]),
        ((1, 2.5), fb.float32, (2,), [1.0, 2.5]),
        ([True, 2], fb.int64, (2,), [1, 2]),
        ([1, 2j], fb.complex64, (2,), [1, 2j]),
        (range(3), fb.int64, (3,), [0, 1, 2]),
        ([range(2), (5, 6)], fb.int64, (2, 2), [[0, 1], [5, 6]]),
        (bytearray(b"ab"), fb.int64, (2,), [97, 98]),
        (np.float64(2.0), fb.float64, (), 2.0),
        ([np.int8(1)], fb.int8, (1,), [1]),
        ([np.int8(1), 2], fb.int64, (2,), [1, 2]),
        ([np.float16(1), 2], fb.float16, (2,), [1.0, 2.0]),
        ([np.float64(1), 2.0], fb.float64, (2,), [1.0, 2.0]),
        ([np.ones(2, np.int32), [1.0, 2.0]], fb.float32, (2, 2), [[1, 1], [1, 2]]),
        ([np.ones(2), np.zeros(2)], fb.float64, (2, 2), [[1, 1], [0, 0]]),
    ],
)
def test_parse(data: Any, dtype: Any, shape: tuple[int, ...], values: Any) -> None:
    t = fb.tensor(data)
    assert (t.dtype, t.shape, t.tolist()) == (dtype, shape, values)


def test_parse_default_dtype() -> None:
    fb.set_default_dtype(fb.float64)
    try:
        assert (fb.tensor(1.0).dtype, fb.tensor([1j]).dtype) == (fb.float64, fb.complex128)
    finally:
        fb.set_default_dtype(fb.float32)


def test_parse_tensors_inside() -> None:
    one = fb.tensor([1.0, 2.0])
    assert fb.tensor([one, one]).tolist() == [[1, 2], [1, 2]]
    assert fb.tensor([fb.tensor(1), 2.5]).tolist() == [1.0, 2.5]
    assert fb.tensor([fb.tensor([1]), fb.tensor([2])]).shape == (2,)  # PyTorch's rule for single elements


@pytest.mark.parametrize(
    ("data", "dtype", "error", "text"),
    [
        ([[1, 2, 3], [1, 2]], None, ValueError, r"expected sequence of length 3 at dim 1 \(got 2\)"),
        ([[], [1]], None, ValueError, r"expected sequence of length 0 at dim 1 \(got 1\)"),
        ([[1, 2], 3], None, TypeError, "numbers and sequences side by side at dim 1: got int beside list"),
        ([1, [2]], None, TypeError, "numbers and sequences side by side"),
        ("abc", None, TypeError, "invalid data type 'str'"),
        ([1, "a"], None, TypeError, "invalid data type 'str'"),
        (None, None, RuntimeError, "Could not infer dtype of NoneType"),
        ([1.0, None], None, RuntimeError, "Could not infer dtype of NoneType"),
        ({"a": 1}, None, RuntimeError, "Could not infer dtype of dict"),
        ((x for x in [1]), None, RuntimeError, "Could not infer dtype of generator"),
        (2**63, None, ValueError, "Overflow when unpacking long long"),
        ([300], fb.uint8, RuntimeError, "cannot be converted to type uint8 without overflow: got 300"),
        ([-256], fb.uint8, RuntimeError, "without overflow"),
        ([nan], fb.int64, RuntimeError, "without overflow: got nan"),
        ([127.5], fb.int8, RuntimeError, "without overflow"),
        ([-1], fb.uint64, OverflowError, "out of range for uint64"),
        ([10**400], fb.float32, OverflowError, "out of range for float32"),
        ([1j], fb.float32, TypeError, "must be real number, not complex"),
        ([1j], fb.int32, TypeError, "'complex' object cannot be interpreted as an integer"),
        (1, "float32", TypeError, "dtype is not a dtype: got str 'float32'"),
        (np.array(["a"]), None, TypeError, "can't convert np.ndarray of type <U1"),
        ([np.array([None])], None, TypeError, "can't convert an array of type object"),
    ],
)
def test_parse_refuses(data: Any, dtype: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        fb.tensor(data, dtype=dtype)


def test_parse_refuses_a_list_in_itself() -> None:
    data: list[Any] = []
    data.append(data)
    with pytest.raises(ValueError, match="too many dimensions"):
        fb.tensor(data)


def test_conversions() -> None:
    assert fb.tensor([-1, 255], dtype=fb.uint8).tolist() == [255, 255]
    assert fb.tensor([1.7, -1.7], dtype=fb.int64).tolist() == [1, -1]
    assert fb.tensor([0, 0.5, nan], dtype=fb.bool).tolist() == [False, True, True]
    assert fb.tensor([1e40, -1e6], dtype=fb.float16).tolist() == [inf, -inf]
    assert fb.tensor([3.4e38, 1.00390625, 1.01171875], dtype=fb.bfloat16).tolist() == [inf, 1.0, 1.015625]
    assert fb.tensor([2**63], dtype=fb.uint64).tolist() == [2**63]
    assert math.isnan(fb.tensor(nan, dtype=fb.bfloat16).item())


def _random_number(rng: random.Random) -> float:
    special = [nan, inf, -inf, -0.0, 1e40, 65519.0, 65520.0, 5e-324, 2.0**-25, 2.0**-24, 3.4e38, 3.3961e38]
    return rng.choice(special) if rng.random() < 0.2 else rng.gauss(0, 1) * 10.0 ** rng.randint(-12, 12)


@pytest.mark.parity
@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.rank != 1], ids=lambda d: d.name)
def test_packing_like_pytorch(dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    rng = random.Random(dtype.code)
    for _ in range(100):
        values = [_random_number(rng) for _ in range(7)]
        theirs = torch.tensor(values, dtype=getattr(torch, dtype.name)).tolist()
        buffer, shape, _ = literals.parse(values, dtype)
        assert repr(literals.nest(literals.unpack(buffer, dtype), shape)) == repr(theirs)


@pytest.mark.parametrize("dtype", DTYPES, ids=names(DTYPES))
def test_lists_round_trip(dtype: Any) -> None:
    values = [[True, False], [True, True]] if dtype is fb.bool else [[0, 1], [2, 100]]
    t = fb.tensor(values, dtype=dtype)
    assert t.tolist() == values
    assert type(t[0, 0].item()) is {"b": bool, "u": int, "i": int, "f": float, "c": complex}[dtype.kind]
    assert t.permute(1, 0).tolist() == [list(column) for column in zip(*values, strict=True)]


def test_item_refuses() -> None:
    with pytest.raises(RuntimeError, match="a Tensor with 3 elements cannot be converted to Scalar"):
        fb.ones(3).item()
    with pytest.raises(RuntimeError, match="cannot be called on meta tensors"):
        fb.ones(1, device="meta").item()
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        fb.ones(3, device="meta").tolist()


def test_no_numpy_for_lists_and_printing() -> None:
    code = "import sys, flambeau as fb; from flambeau import printing; from flambeau.ops import literals, interop; "
    code += "b, s, d = literals.parse([[1.5, 2], [3, 4]]); literals.nest(literals.unpack(b, d), s); "
    code += "sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# NumPy


@pytest.mark.parametrize("dtype", NUMPY_DTYPES, ids=names(NUMPY_DTYPES))
def test_numpy_shares_memory(dtype: Any) -> None:
    a = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype.name)
    t = fb.from_numpy(a)
    assert (t.dtype, t.shape, t.stride()) == (dtype, (2, 3), (3, 1))
    assert t.tolist() == a.tolist()
    back = t.numpy()
    assert back.dtype == a.dtype
    assert np.shares_memory(back, a)
    a[0, 0] = 1
    assert t[0, 0].item() == 1


def test_bfloat16_arrays() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    a = np.array([1.0, 2.5], ml_dtypes.bfloat16)
    t = fb.from_numpy(a)
    assert (t.dtype, t.tolist()) == (fb.bfloat16, [1.0, 2.5])
    assert t.numpy().dtype == ml_dtypes.bfloat16
    assert np.shares_memory(t.numpy(), a)


def test_bfloat16_without_ml_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(TypeError, match=r"unsupported ScalarType BFloat16.*\.float\(\)"):
        fb.ones(2, dtype=fb.bfloat16).numpy()


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1],
        lambda a: a[:, ::-2],
        lambda a: a[1:, 1:],
        lambda a: a.T,
        lambda a: a[::-1, ::-1].T,
        lambda a: a[0, 0],
        lambda a: a[:, :0],
        lambda a: np.broadcast_to(a[:1], (3, 4)).copy()[:, 1:],
    ],
)
def test_views_keep_their_strides(view: Any) -> None:
    a = view(np.arange(12.0).reshape(3, 4))
    if not isinstance(a, np.ndarray):
        a = np.array(a)
    t = fb.from_numpy(a)
    assert t.tolist() == a.tolist()
    assert t.size() == a.shape
    if a.size:
        assert t.stride() == tuple(s // 8 for s in a.strides)
        assert np.shares_memory(t.numpy(), a)
        assert t.numpy().strides == a.strides


def test_lifetimes_of_shared_arrays() -> None:
    a = np.arange(4.0)
    alive = weakref.ref(a)
    t = fb.from_numpy(a)
    part = t[1:]
    del a, t
    gc.collect()
    assert alive() is not None
    assert part.tolist() == [1, 2, 3]
    del part
    gc.collect()
    assert alive() is None
    t = fb.tensor([1.0, 2.0, 3.0])
    memory = weakref.ref(t.mem)
    b = t.numpy()[1:]
    del t
    gc.collect()
    assert memory() is not None
    assert b.tolist() == [2, 3]
    del b
    gc.collect()
    assert memory() is None


def test_read_only_arrays_warn() -> None:
    a = np.arange(3.0)
    a.flags.writeable = False
    with pytest.warns(UserWarning, match=r"\[from_numpy\] the array is not writable"):
        fb.from_numpy(a)
    t = fb.tensor(a)  # a copy needs no warning
    assert t.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: [1.0], TypeError, "expected np.ndarray: got list"),
        (lambda: np.float32(3), TypeError, "expected np.ndarray: got float32"),
        (lambda: np.array([1, 2], ">i4"), ValueError, "byte order different from the native"),
        (lambda: np.array(["a"]), TypeError, "can't convert np.ndarray of type <U1"),
        (lambda: np.zeros(3, [("a", "i1"), ("b", "f4")])["b"], ValueError, "strides are not a multiple"),
        (lambda: np.frombuffer(bytearray(9), np.uint8)[1:].view(np.float64), ValueError, "not aligned"),
    ],
)
def test_from_numpy_refuses(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        fb.from_numpy(make())


def test_tensor_copies_what_cannot_be_shared() -> None:
    assert fb.tensor(np.array([1, 2], ">i4")).tolist() == [1, 2]
    assert fb.as_tensor(np.zeros(3, [("a", "i1"), ("b", "f4")])["b"]).tolist() == [0, 0, 0]


def test_numpy_refuses() -> None:
    with pytest.raises(
        RuntimeError, match=r"Can't call numpy\(\) on Tensor that requires grad.*detach\(\)\.numpy\(\)"
    ):
        fb.tensor([1.0], requires_grad=True).numpy()
    with pytest.raises(TypeError, match="can't convert meta device type tensor to numpy"):
        fb.ones(3, device="meta").numpy()
    assert fb.tensor([1.0], requires_grad=True).numpy(force=True).tolist() == [1.0]


def test_array_protocol() -> None:
    t = fb.tensor([1.0, 4.0])
    assert np.shares_memory(np.asarray(t), t.numpy())
    assert np.asarray(t, dtype=np.int32).tolist() == [1, 4]
    assert not np.shares_memory(np.array(t), t.numpy())
    with pytest.raises(ValueError, match="can't convert without copying"):
        np.asarray(t, dtype=np.float64, copy=False)
    root = np.sqrt(t)
    assert isinstance(root, fb.Tensor)
    assert root.tolist() == [1, 2]


def test_as_tensor() -> None:
    t = fb.tensor([1.0, 2.0])
    assert fb.as_tensor(t) is t
    assert fb.as_tensor([1, 2]).dtype is fb.int64
    a = np.arange(3)
    assert np.shares_memory(fb.as_tensor(a).numpy(), a)
    assert not np.shares_memory(fb.as_tensor(a, dtype=fb.float32).numpy(), a)
    assert not np.shares_memory(fb.tensor(a).numpy(), a)
    assert fb.tensor(t).mem is not t.mem


def test_asarray() -> None:
    a = np.arange(3.0)
    assert np.shares_memory(fb.asarray(a, copy=False).numpy(), a)
    assert not np.shares_memory(fb.asarray(a, copy=True).numpy(), a)
    assert fb.asarray([1, 2]).tolist() == [1, 2]
    t = fb.tensor([1.0], requires_grad=True)
    assert not fb.asarray(t).requires_grad
    assert fb.asarray(t, requires_grad=True) is t
    assert fb.asarray(bytearray(b"\1\2"), dtype=fb.uint8).tolist() == [1, 2]
    for given, dtype in (([1, 2], None), (a, fb.float32)):
        with pytest.raises(ValueError, match=r"\[asarray\] can't alias this with copy=False"):
            fb.asarray(given, dtype=dtype, copy=False)


def test_frombuffer() -> None:
    data = bytearray(range(8))
    t = fb.frombuffer(data, dtype=fb.int16, count=2, offset=2)
    data[2] = 7
    assert t.tolist() == [0x0307, 0x0504]
    assert fb.frombuffer(bytearray(b"\x80\x3f"), dtype=fb.bfloat16).tolist() == [1.0]
    for wanted in ({"count": 5}, {"offset": 9}, {"offset": 1}):
        with pytest.raises(ValueError, match=r"\[frombuffer\] buffer size doesn't fit: got 8 bytes"):
            fb.frombuffer(data, dtype=fb.int16, **wanted)


# DLPack


@pytest.mark.parametrize("dtype", NUMPY_DTYPES, ids=names(NUMPY_DTYPES))
def test_dlpack_with_numpy(dtype: Any) -> None:
    a = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype.name)
    t = fb.from_dlpack(a)
    assert (t.dtype, t.tolist()) == (dtype, a.tolist())
    assert np.shares_memory(t.numpy(), a)
    back = np.from_dlpack(t)
    assert back.dtype == a.dtype
    assert np.shares_memory(back, a)


@pytest.mark.parity
@pytest.mark.parametrize("dtype", DTYPES, ids=names(DTYPES))
def test_dlpack_with_pytorch(dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.tensor([[0, 1, 2], [3, 4, 5]]).to(getattr(torch, dtype.name))
    ours = fb.from_dlpack(theirs)
    assert (ours.dtype, ours.tolist(), address(ours)) == (dtype, theirs.tolist(), theirs.data_ptr())
    again = torch.from_dlpack(ours.permute(1, 0)[1:])
    assert again.dtype is theirs.dtype
    assert again.tolist() == theirs.T[1:].tolist()
    assert again.data_ptr() == theirs.data_ptr() + dtype.itemsize
    assert fb.tensor(theirs).tolist() == theirs.tolist()


@pytest.mark.parametrize("version", [None, (0, 8), (1, 0), (1, 3)])
def test_capsules(version: Any) -> None:
    t = fb.tensor([[1.0, 2.0], [3.0, 4.0]])
    capsule = t.__dlpack__(max_version=version)
    assert ("dltensor_versioned" in repr(capsule)) == (version is not None and version[0] >= 1)
    assert address(fb.from_dlpack(capsule)) == address(t)
    with pytest.raises(RuntimeError, match=r"\[from_dlpack\] not a DLPack capsule: .*consumed once"):
        fb.from_dlpack(capsule)
    with pytest.raises(RuntimeError, match="not a DLPack capsule"):
        fb.from_dlpack(3)


@pytest.mark.parametrize("version", [None, (1, 0)])
def test_capsule_lifetimes(version: Any) -> None:
    t = fb.tensor([1.0, 2.0])
    memory = weakref.ref(t.mem)
    capsule = t.__dlpack__(max_version=version)
    del t
    gc.collect()
    assert memory() is not None
    del capsule  # never consumed
    gc.collect()
    assert memory() is None
    t = fb.tensor([1.0, 2.0])
    memory = weakref.ref(t.mem)
    taken = fb.from_dlpack(t.__dlpack__(max_version=version))
    part = taken[1:]
    del t, taken
    gc.collect()
    assert memory() is not None
    assert part.tolist() == [2.0]
    del part
    gc.collect()
    assert memory() is None


@pytest.mark.parity
def test_lifetime_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    t = fb.tensor([1.0, 2.0])
    memory = weakref.ref(t.mem)
    theirs = torch.from_dlpack(t)
    del t
    gc.collect()
    assert memory() is not None
    assert theirs.tolist() == [1.0, 2.0]
    del theirs
    gc.collect()
    assert memory() is None


@pytest.mark.parity
def test_release_while_an_exception_is_pending() -> None:
    torch = pytest.importorskip("torch")

    def fail() -> None:
        taken = torch.from_dlpack(fb.tensor([1.0, 2.0]))
        raise KeyError(int(taken.sum()))

    with pytest.raises(KeyError, match="3"):
        fail()
    with pytest.raises((BufferError, RuntimeError)):
        np.from_dlpack(fb.ones(2, dtype=fb.bfloat16))  # the consumer refuses: the capsule dies unconsumed


@pytest.mark.parity
@pytest.mark.slow
def test_exchanged_memory_at_interpreter_exit() -> None:
    pytest.importorskip("torch")
    code = """
        import numpy, torch, flambeau as fb
        a = torch.from_dlpack(fb.ones(3)); b = numpy.from_dlpack(fb.ones(3)); c = fb.ones(3).__dlpack__()
        d = fb.from_dlpack(torch.ones(3)); e = fb.from_dlpack(numpy.ones(3))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_negative_strides_are_copied_for_export() -> None:
    t = fb.from_numpy(np.arange(3.0)[::-1])
    out = np.from_dlpack(t)
    assert out.tolist() == [2, 1, 0]
    assert not np.shares_memory(out, t.numpy())
    with pytest.raises(BufferError, match="can't export negative strides without copying"):
        t.__dlpack__(copy=False)
    assert fb.from_dlpack(np.arange(3)[::-1]).tolist() == [2, 1, 0]


def test_dlpack_copies() -> None:
    a = np.arange(3)
    assert not np.shares_memory(fb.from_dlpack(a, copy=True).numpy(), a)
    assert np.shares_memory(fb.from_dlpack(a, copy=False).numpy(), a)
    t = fb.from_dlpack(a)
    assert not np.shares_memory(np.from_dlpack(t, copy=True), a)
    a.flags.writeable = False
    assert not np.shares_memory(fb.from_dlpack(a).numpy(), a)
    with pytest.raises(BufferError, match=r"read-only memory.*copy=False"):
        fb.from_dlpack(a, copy=False)


def test_empty_and_0d_by_dlpack() -> None:
    for shape in ((0,), (2, 0), ()):
        a = np.ones(shape, np.float32)
        assert fb.from_dlpack(a).tolist() == a.tolist()
        assert np.from_dlpack(fb.ones(shape)).tolist() == a.tolist()


def test_dlpack_refuses() -> None:
    with pytest.raises(BufferError, match=r"Can't export tensors that require gradient.*detach\(\)"):
        fb.tensor([1.0], requires_grad=True).__dlpack__()
    with pytest.raises(BufferError, match="memory of device meta can't be exchanged"):
        fb.ones(3, device="meta").__dlpack__()
    with pytest.raises(BufferError, match=r"can't export to device \(2, 0\)"):
        fb.ones(3).__dlpack__(dl_device=(2, 0))
    assert fb.ones(1).__dlpack_device__() == (1, 0)


class _Legacy:
    """A producer of the protocol's first version."""

    def __init__(self, a: Any) -> None:
        self.a = a

    def __dlpack__(self, *, stream: Any = None) -> Any:
        return self.a.__dlpack__(stream=stream)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def test_legacy_producers() -> None:
    a = np.arange(3)
    t = fb.from_dlpack(_Legacy(a))
    assert np.shares_memory(t.numpy(), a)
    assert interop.asarray(_Legacy(a)).tolist() == [0, 1, 2]


class _Far(ReferenceBackend):
    """A device with its own addresses and streams that exchanges memory as DLPack's device type 99."""

    name = "far"
    addressed = True
    asynchronous = True
    dlpack_type = 99

    def __init__(self) -> None:
        super().__init__()
        self.blocks: dict[int, Any] = {}
        self.waits: list[Any] = []

    def allocate(self, nbytes: int, index: int) -> Any:
        block = super().allocate(nbytes, index)
        self.blocks[block.ctypes.data] = block
        return block.ctypes.data

    def free(self, handle: Any, nbytes: int, index: int) -> None:
        del self.blocks[handle]

    def copy_in(self, handle: Any, offset: int, data: Any) -> None:
        ctypes.memmove(handle + offset, bytes(data), memoryview(data).nbytes)

    def copy_out(self, handle: Any, offset: int, nbytes: int) -> Any:
        return ctypes.string_at(handle + offset, nbytes)

    def host_buffer(self, mem: Any) -> Any:
        return None

    def wrap_host(self, address: int, nbytes: int, owner: Any) -> Any:
        return None

    def device_count(self) -> int:
        return 2

    def current_stream(self, index: int) -> Any:
        return 7

    def wait_stream(self, stream: Any, index: int) -> None:
        self.waits.append((stream, index))


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> _Far:
    monkeypatch.setattr(registry, "_backends", dict(registry._backends))
    backend = _Far()
    registry.register_backend(backend)
    return backend


@pytest.mark.parametrize("dtype", [fb.float32, fb.bfloat16], ids=names([fb.float32, fb.bfloat16]))
def test_dlpack_between_other_devices(far: _Far, dtype: Any) -> None:
    t = fb.tensor([1.0, 2.0, 3.0], dtype=dtype, device="far:1")
    assert t.__dlpack_device__() == (99, 1)
    capsule = t.__dlpack__(stream=5, max_version=(1, 0))
    assert far.waits == [(5, 1)]
    back = fb.from_dlpack(capsule)
    assert (back.device, back.dtype, back.data_ptr()) == (t.device, dtype, t.data_ptr())
    assert back.tolist() == [1, 2, 3]
    memory = weakref.ref(t.mem)
    del t, capsule
    gc.collect()
    assert memory() is not None
    del back
    gc.collect()
    assert memory() is None
    assert not far.blocks


def test_dlpack_hands_over_the_stream(far: _Far) -> None:
    t = fb.from_dlpack(fb.tensor([1.0], device="far:1"))
    assert far.waits == [(7, 1)]
    assert t.device == fb.device("far:1")
    far.waits.clear()
    t.__dlpack__(stream=-1)
    assert far.waits == []


def test_memory_of_other_devices_on_the_host(far: _Far) -> None:
    t = fb.tensor([[1.0, 2.0], [3.0, 4.0]], device="far")
    assert t.tolist() == [[1, 2], [3, 4]]
    assert t[1, 0].item() == 3.0
    with pytest.raises(TypeError, match=r"can't convert far device type tensor to numpy.*Tensor\.cpu\(\)"):
        t.numpy()
    assert repr(t) == "tensor([[1., 2.],\n        [3., 4.]], device='far:0')"


def test_unknown_dlpack_devices(far: _Far, monkeypatch: pytest.MonkeyPatch) -> None:
    t = fb.tensor([1.0], device="far")
    capsule = t.__dlpack__()
    monkeypatch.setattr(_Far, "dlpack_type", None)
    with pytest.raises(
        BufferError, match=r"\[from_dlpack\] no backend for this memory: got DLPack device type 99"
    ):
        fb.from_dlpack(capsule)
