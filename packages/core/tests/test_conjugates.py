"""Conjugates as views: memory shared, values right wherever they are read or written, gradients through both."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as fb

X = np.array([[1 + 2j, -3 + 0.5j, 2j], [4 - 1j, 0.25 + 1j, -2 - 2j]])


def start() -> tuple[fb.Tensor, fb.Tensor]:
    """A tensor and its conjugate view."""
    x = fb.tensor(X)
    return x, x.conj()


def test_a_conjugate_is_a_view_with_its_mark() -> None:
    x, y = start()
    assert y.is_conj()
    assert not y.is_neg()
    assert y.data_ptr() == x.data_ptr()
    assert y._base is x
    assert not y.conj().is_conj()
    assert not x.is_conj()
    assert x.mH.is_conj()
    assert x.mH.data_ptr() == x.data_ptr()
    assert x.H.is_conj()
    assert x.adjoint().is_conj()
    assert x.resolve_conj() is x
    assert not y.resolve_conj().is_conj()
    assert y.imag.is_neg()
    assert not y.imag.resolve_neg().is_neg()
    assert not y.real.is_neg()
    assert not fb.ones(2).conj().is_conj()
    assert fb.tensor(X.real).conj().data_ptr()
    for view in (
        y[0],
        y.T,
        y.reshape(6),
        y.view(6),
        y.unsqueeze(0),
        y.expand(2, 2, 3),
        y.detach(),
        y.split(1)[1],
    ):
        assert view.is_conj()
    for made in (
        y.clone(),
        y * 1,
        y.conj_physical(),
        fb.zeros_like(y),
        y.contiguous(),
        y.to(fb.complex64),
        -y,
    ):
        assert not made.is_conj()


@pytest.mark.parametrize(
    "read",
    [
        lambda t: t + 1,
        lambda t: 2 * t,
        lambda t: t * t,
        lambda t: t.sum(0),
        lambda t: t.cumsum(1),
        lambda t: t.T,
        lambda t: t @ t.T,
        lambda t: t[:, [2, 0]],
        lambda t: t[t.real > 0],
        lambda t: t.real,
        lambda t: t.imag,
        lambda t: t.imag.sum(),
        lambda t: -t.imag,
        lambda t: t.imag[1],
        lambda t: fb.cat([t, t]),
        lambda t: t.clone(),
        lambda t: fb.stack([t, t + 1]),
        lambda t: fb.where(t.real > 0, t, 0),
        lambda t: t.abs(),
        lambda t: t.angle(),
        lambda t: t.conj_physical(),
        lambda t: t.conj(),
        lambda t: t.exp(),
        lambda t: t.flip(0),
        lambda t: t.roll(1, 1),
        lambda t: t.repeat(2, 1),
        lambda t: t.to(fb.complex64),
        lambda t: fb.einsum("ij,kj->ik", t, t),
        lambda t: t.mean(),
        lambda t: t.gather(1, fb.tensor([[0], [2]])),
        lambda t: t.diagonal(),
        lambda t: t.tril(),
        lambda t: t.reshape(3, 2),
        lambda t: fb.nn.functional.linear(t, t),
        lambda t: t.unfold(1, 2, 1),
        lambda t: t.as_strided((2,), (1,), 1),
        lambda t: t.index_select(0, fb.tensor([1])),
        lambda t: t.masked_fill(t.real > 0, 1j),
        lambda t: t.prod(1),
        lambda t: fb.linalg.inv(t[:, :2]),
        lambda t: fb.fft.fft(t),
        lambda t: t.nonzero(),
        lambda t: fb.kron(t, t),
    ],
)
def test_reading(read: Callable[[Any], Any]) -> None:
    _, y = start()
    got, want = read(y), read(fb.tensor(X.conj()))
    np.testing.assert_allclose(
        got.resolve_conj().resolve_neg().numpy(), want.resolve_conj().resolve_neg().numpy()
    )
    assert got.tolist() == want.tolist() or got.dtype is fb.complex64 or "linalg" in read.__code__.co_names


WRITES: list[Callable[[Any], Any]] = [
    lambda t: t.mul_(2j),
    lambda t: t.add_(t),
    lambda t: t.copy_(t.T.conj().T),
    lambda t: t.fill_(1 + 3j),
    lambda t: t.zero_(),
    lambda t: t.__setitem__(0, 1 + 2j),
    lambda t: t.__setitem__((slice(None), 1), fb.tensor([1j, 2 - 1j])),
    lambda t: t.__setitem__([1, 0], t[[0, 1]]),
    lambda t: t.__setitem__(t.real > 0, 7j),
    lambda t: t.exp_(),
    lambda t: t.scatter_(1, fb.tensor([[0], [2]]), fb.tensor([[1j], [5j]], dtype=t.dtype)),
    lambda t: t.masked_fill_(t.real > 0, 1j),
    lambda t: t.scatter_add_(1, fb.tensor([[0], [2]]), fb.tensor([[1j], [5j]], dtype=t.dtype)),
    lambda t: t[1:].sub_(1j),
    lambda t: t.index_put_((fb.tensor([0]),), fb.tensor([3j, 2j, 1j], dtype=t.dtype)),
    lambda t: t.imag.fill_(4.0),
    lambda t: t.imag.add_(1),
    lambda t: t.real.mul_(3),
    lambda t: t.imag[0].copy_(fb.tensor([1.0, 2, 3]).double()),
    lambda t: t.conj().add_(2j),
    lambda t: t.index_add_(0, fb.tensor([0, 0]), t.clone()),
    lambda t: t.tril_(),
    lambda t: t.T.cumsum_(0),
    lambda t: fb.add(t, 1j, out=t),
    lambda t: fb.matmul(t, fb.ones(3, 3, dtype=t.dtype), out=t),
    lambda t: t.diagonal().zero_(),
]


@pytest.mark.parametrize("write", WRITES)
def test_writing_goes_to_the_memory(write: Callable[[Any], Any]) -> None:
    x, y = start()
    plain = fb.tensor(X.conj())
    write(y), write(plain)
    assert y.is_conj()
    assert y.data_ptr() == x.data_ptr()
    np.testing.assert_allclose(y.resolve_conj().numpy(), plain.numpy())
    np.testing.assert_allclose(x.numpy(), plain.numpy().conj())


@pytest.mark.parametrize("write", WRITES[:-5])
@pytest.mark.parametrize("through", ["view", "base", "own"])
def test_gradients_of_writes(write: Callable[[Any], Any], through: str) -> None:
    def run(conj: Callable[[Any], Any]) -> tuple[Any, Any]:
        leaf = fb.tensor(X, requires_grad=True)
        x = leaf * (1 + 0.5j)
        y = conj(x)
        write(y)
        if through == "base" and y.is_conj():
            y = x.conj_physical()
        out = y if through != "own" else y.detach() * 0 + y
        (out * fb.tensor([[1 + 1j, 2, 3j], [1, 1, 2 - 1j]])).abs().sum().backward()
        return out.detach().resolve_conj().numpy(), leaf.grad

    got, want = run(lambda x: x.conj()), run(lambda x: x.conj_physical())
    np.testing.assert_allclose(got[0], want[0])
    np.testing.assert_allclose(got[1].resolve_conj().numpy(), want[1].resolve_conj().numpy())


def test_second_derivatives() -> None:
    x = fb.tensor(X, requires_grad=True)
    assert fb.autograd.gradcheck(lambda t: t.conj() * t.mH.mT.exp(), (x,))
    assert fb.autograd.gradgradcheck(lambda t: (t.conj() * t).imag + t.conj().imag.exp(), (x,))


def test_leaving() -> None:
    x, y = start()
    for refused in (y.numpy, y.imag.numpy, lambda: fb.view_as_real(y), lambda: y.view(fb.float64)):
        with pytest.raises(RuntimeError, match="bit set|conj"):
            refused()
    with pytest.raises(BufferError, match="conjugate bit"):
        y.__dlpack__()
    np.testing.assert_array_equal(y.numpy(force=True), X.conj())
    assert y[0, 0].item() == 1 - 2j
    assert complex(y[0, 0]) == 1 - 2j
    assert y.tolist() == X.conj().tolist()
    for other in (copy.deepcopy(y), pickle.loads(pickle.dumps(y)), copy.copy(y), y.to("meta").to("meta")):
        assert other.shape == y.shape
        if other.device.type != "meta":
            np.testing.assert_array_equal(other.resolve_conj().numpy(), X.conj())
    assert repr(y) == repr(y.clone())
    assert str(x.conj().imag) == str(x.imag.neg())


def test_files(tmp_path: Any) -> None:
    _, y = start()
    fb.save({"y": y, "i": y.imag}, tmp_path / "a.fb")
    back = fb.load(tmp_path / "a.fb")
    np.testing.assert_array_equal(back["y"].numpy(), X.conj())
    np.testing.assert_array_equal(back["i"].numpy(), -X.imag)
    torch = pytest.importorskip("torch")
    theirs = torch.tensor(X)
    torch.save({"y": theirs.conj(), "i": theirs.clone().conj().imag, "x": theirs}, tmp_path / "a.pt")
    back = fb.load(tmp_path / "a.pt")
    np.testing.assert_array_equal(back["y"].numpy(), X.conj())
    np.testing.assert_array_equal(back["i"].numpy(), -X.imag)
    np.testing.assert_array_equal(back["x"].numpy(), X)


def test_batches() -> None:
    _, y = start()
    got = fb.func.vmap(lambda t: t.conj() * t + t.conj().imag)(y)
    np.testing.assert_allclose(got.numpy(), X * X.conj() + X.imag)
    got = fb.func.vmap(lambda t: t.mul(2j).conj())(y)
    np.testing.assert_allclose(got.resolve_conj().numpy(), X * -2j)
