"""Three primitives (complex to complex, real to half complex, half complex to real) and the public functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.fft

import flambeau as fb
from flambeau.plugin import Call, message

from .._records import Space, like

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["c2c", "c2r", "r2c"]

space = Space("fft")


def _c2c(x: Any, dims: Sequence[int], scale: float, forward: bool) -> Any:
    run = scipy.fft.fftn if forward else scipy.fft.ifftn
    if not x.size:
        return np.zeros(x.shape, x.dtype)
    out = run(x, axes=dims, norm="backward" if forward else "forward")
    return out if scale == 1 else out * x.real.dtype.type(scale)


def _c2c_vjp(g: Any, dims: Sequence[int], scale: float, forward: bool) -> Any:
    return c2c(g, dims, scale, not forward)


@space.host(_c2c, vjp={"self": _c2c_vjp})
def c2c(self: Tensor, dims: Sequence[int], scale: float, forward: bool) -> Any:
    """The transform of complex numbers, times a factor."""
    return Call(like(self))


def _r2c(x: Any, dims: Sequence[int], scale: float, forward: bool) -> Any:
    if not x.size:
        shape = list(x.shape)
        shape[dims[-1]] = shape[dims[-1]] // 2 + 1
        return np.zeros(shape, np.result_type(x.dtype, np.complex64))
    out = scipy.fft.rfftn(x, axes=dims)
    out = out if scale == 1 else out * x.dtype.type(scale)
    return out if forward else out.conj()


def _r2c_vjp(g: Any, dims: Sequence[int], scale: float, forward: bool, self_spec: Any) -> Any:
    return c2c(resized(g, dims[-1], self_spec.shape[dims[-1]]), dims, scale, not forward).real


@space.host(_r2c, vjp={"self": _r2c_vjp})
def r2c(self: Tensor, dims: Sequence[int], scale: float, forward: bool) -> Any:
    """The transform of real numbers, of which the last dimension keeps the half that isn't redundant."""
    shape = list(self.shape)
    shape[dims[-1]] = shape[dims[-1]] // 2 + 1
    return Call(like(self, self.dtype.to_complex(), shape))


def _c2r(x: Any, dims: Sequence[int], scale: float, forward: bool, last: int) -> Any:
    sizes = [x.shape[d] for d in dims[:-1]] + [last]
    if not x.size:
        shape = list(x.shape)
        shape[dims[-1]] = last
        return np.zeros(shape, x.real.dtype)
    out = scipy.fft.irfftn(x.conj() if forward else x, sizes, axes=dims, norm="forward")
    return out if scale == 1 else out * out.dtype.type(scale)


def _c2r_vjp(g: Any, dims: Sequence[int], scale: float, forward: bool, last: int) -> Any:
    half = r2c(g, dims, scale, not forward)
    # What stands for itself and its mirror image counts twice.
    n = half.shape[dims[-1]]
    twice = fb.full((n,), 2.0, dtype=g.dtype, device=g.device)
    twice[0] = 1
    if last % 2 == 0:
        twice[n - 1] = 1
    return half * twice.reshape([n if d == dims[-1] else 1 for d in range(half.ndim)])


@space.host(_c2r, vjp={"self": _c2r_vjp})
def c2r(self: Tensor, dims: Sequence[int], scale: float, forward: bool, last: int) -> Any:
    """The real transform of what is half of a Hermitian-symmetric array; the last dimension gets size ``last``."""
    shape = list(self.shape)
    shape[dims[-1]] = last
    return Call(like(self, self.dtype.to_real(), shape))


# Arguments


def resized(x: Any, dim: int, n: int) -> Any:
    """Cut, or filled with zeros, to a size."""
    have = x.shape[dim]
    if have == n:
        return x
    if have > n:
        return x.narrow(dim, 0, n)
    shape = list(x.shape)
    shape[dim] = n - have
    return fb.cat([x, x.new_zeros(shape)], dim)


def _numbers(op: str, x: Any, real: bool = False, complex_: bool = False) -> Any:
    """The operand as floating-point or complex numbers.

    Raises:
        RuntimeError: 16-bit floats, or complex numbers where real ones are needed.
    """
    if x.dtype in (fb.float16, fb.bfloat16):
        raise RuntimeError(
            message(
                op,
                "unsupported dtype",
                "float32, float64, complex64 or complex128",
                "Use .to(dtype).",
                input=x,
            )
        )
    if real and x.dtype.is_complex:
        raise RuntimeError(message(op, f"{op} expects a real input tensor", do="Use .real, or fft.", input=x))
    if x.dtype.rank < 2:
        x = x.to(fb.get_default_dtype())
    return x.to(x.dtype.to_complex()) if complex_ else x


def _scale(op: str, norm: Any, sizes: Sequence[int], forward: bool) -> float:
    if norm not in (None, "backward", "forward", "ortho"):
        raise RuntimeError(
            f"[{op}] invalid normalization mode: got {norm!r}; needed: 'backward', 'forward' or 'ortho'."
        )
    n = math.prod(sizes)
    if norm == "ortho":
        return 1 / math.sqrt(n) if n else 1.0
    one = forward == (norm in (None, "backward"))
    return 1.0 if one or not n else 1 / n


def _wrap(op: str, d: Any, ndim: int) -> int:
    n = ndim or 1
    if not isinstance(d, int):
        raise TypeError(f"[{op}] dim must be an int: got {d!r}.")
    if not -n <= d < n:
        raise IndexError(f"[{op}] Dimension out of range: got dim={d}; needed: a number in [{-n}, {n - 1}].")
    return d % n


def _axis(op: str, x: Any, n: Any, dim: int, size: int | None = None) -> tuple[int, int]:
    """The dimension and the number of points of a one-dimensional transform."""
    d = _wrap(op, dim, x.ndim)
    if not x.ndim:
        raise IndexError(f"[{op}] Dimension specified as {dim} but tensor has no dimensions.")
    points = (x.shape[d] if size is None else size) if n is None else n
    if points < 1:
        raise RuntimeError(f"[{op}] invalid number of data points ({points}) specified; needed: at least 1.")
    return d, points


def _axes(op: str, x: Any, s: Any, dim: Any, last: bool = False) -> tuple[list[int], list[int]]:
    """Dimensions and numbers of points of a transform of several dimensions."""
    s = None if s is None else [s] if isinstance(s, int) else list(s)
    if dim is None:
        dims = list(range(x.ndim)) if s is None else list(range(x.ndim - len(s), x.ndim))
        if s is not None and len(s) > x.ndim:
            raise RuntimeError(
                message(
                    op, f"got shape with {len(s)} values but input tensor only has {x.ndim} dimensions", s=s
                )
            )
    else:
        dims = [_wrap(op, d, x.ndim) for d in ([dim] if isinstance(dim, int) else dim)]
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"[{op}] FFT dims must be unique: got dim={dim}.")
        if s is not None and len(s) != len(dims):
            raise RuntimeError(f"[{op}] when given, dim and shape arguments must have the same length: got "
                               f"dim={dim}, s={s}.")  # fmt: skip
    if s is None:
        sizes = [x.shape[d] for d in dims]
        if last and dims:
            sizes[-1] = 2 * (sizes[-1] - 1)
    else:
        sizes = [x.shape[d] if n == -1 else n for n, d in zip(s, dims, strict=True)]
        if last and s and s[-1] == -1:
            sizes[-1] = 2 * (x.shape[dims[-1]] - 1)
    for n in sizes:
        if n < 1:
            raise RuntimeError(f"[{op}] invalid number of data points ({n}) specified; needed: at least 1.")
    return dims, sizes


def _cut(x: Any, dims: Sequence[int], sizes: Sequence[int]) -> Any:
    for d, n in zip(dims, sizes, strict=True):
        x = resized(x, d, n)
    return x


# One dimension


def _transform(op: str, x: Any, n: Any, dim: int, norm: Any, forward: bool) -> Any:
    x = _numbers(op, x, complex_=True)
    d, points = _axis(op, x, n, dim)
    return c2c(resized(x, d, points), (d,), _scale(op, norm, [points], forward), forward)


@space.composite()
def fft(input: Tensor, n: Any = None, dim: int = -1, norm: Any = None) -> Any:
    """The discrete Fourier transform along a dimension.

    Args:
        input: real or complex.
        n: cut or pad with zeros to this size first.
        dim: the dimension.
        norm: see the module.

    >>> import flambeau as fb
    >>> fb.fft.fft(fb.tensor([1., 0., 0.])).real
    tensor([1., 1., 1.])
    """
    return _transform("fft", input, n, dim, norm, True)


@space.composite()
def ifft(input: Tensor, n: Any = None, dim: int = -1, norm: Any = None) -> Any:
    """The inverse of `fft`.

    >>> import flambeau as fb
    >>> fb.fft.ifft(fb.fft.fft(fb.tensor([1., 2.]))).real
    tensor([1., 2.])
    """
    return _transform("ifft", input, n, dim, norm, False)


def _half(op: str, x: Any, n: Any, dim: int, norm: Any, forward: bool) -> Any:
    x = _numbers(op, x, real=True)
    d, points = _axis(op, x, n, dim)
    return r2c(resized(x, d, points), (d,), _scale(op, norm, [points], forward), forward)


@space.composite()
def rfft(input: Tensor, n: Any = None, dim: int = -1, norm: Any = None) -> Any:
    """The first n // 2 + 1 numbers of the transform of real numbers; the others are their conjugates.

    >>> import flambeau as fb
    >>> fb.fft.rfft(fb.tensor([1., 0., 0., 0.])).real
    tensor([1., 1., 1.])
    """
    return _half("rfft", input, n, dim, norm, True)


@space.composite()
def ihfft(input: Tensor, n: Any = None, dim: int = -1, norm: Any = None) -> Any:
    """The inverse of `hfft`: the half of a Hermitian-symmetric signal whose spectrum is real.

    >>> import flambeau as fb
    >>> fb.fft.ihfft(fb.tensor([4., 0., 0., 0.])).real
    tensor([1., 1., 1.])
    """
    return _half("ihfft", input, n, dim, norm, False)


def _whole(op: str, x: Any, n: Any, dim: int, norm: Any, forward: bool) -> Any:
    x = _numbers(op, x, complex_=True)
    d = _wrap(op, dim, x.ndim)
    d, points = _axis(op, x, n, dim, 2 * (x.shape[d] - 1) if x.ndim else None)
    x = resized(x, d, points // 2 + 1)
    return c2r(x, (d,), _scale(op, norm, [points], forward), forward, points)


@space.composite()
def irfft(input: Tensor, n: Any = None, dim: int = -1, norm: Any = None) -> Any:
    """The inverse of `rfft`; ``n`` is the size of the result (by default an even one).

    >>> import flambeau as fb
    >>> fb.fft.irfft(fb.fft.rfft(fb.tensor([1., 2., 3.])), 3)
    tensor([1., 2., 3.])
    """
    return _whole("irfft", input, n, dim, norm, False)


@space.composite()
def hfft(input: Tensor, n: Any = None, dim: int = -1, norm: Any = None) -> Any:
    """The real spectrum of a Hermitian-symmetric signal of which one half is given.

    >>> import flambeau as fb
    >>> fb.fft.hfft(fb.tensor([1., 1., 1.]))
    tensor([4., 0., 0., 0.])
    """
    return _whole("hfft", input, n, dim, norm, True)


# Several dimensions


def _transform_n(op: str, x: Any, s: Any, dim: Any, norm: Any, forward: bool) -> Any:
    x = _numbers(op, x, complex_=True)
    dims, sizes = _axes(op, x, s, dim)
    scale = _scale(op, norm, sizes, forward)
    return c2c(_cut(x, dims, sizes), tuple(dims), scale, forward) if dims else x.clone()


@space.composite()
def fftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Any:
    """The transform over several dimensions.

    Args:
        s: sizes to cut or pad to; -1 keeps one.
        dim: the dimensions; all, or the last ``len(s)``, by default.

    >>> import flambeau as fb
    >>> fb.fft.fftn(fb.ones(2, 2)).real
    tensor([[4., 0.],
            [0., 0.]])
    """
    return _transform_n("fftn", input, s, dim, norm, True)


@space.composite()
def ifftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Any:
    """The inverse of `fftn`.

    >>> import flambeau as fb
    >>> fb.fft.ifftn(fb.ones(2, 2)).real
    tensor([[1., 0.],
            [0., 0.]])
    """
    return _transform_n("ifftn", input, s, dim, norm, False)


@space.composite()
def fft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: Any = None) -> Any:
    """The transform over the last two dimensions.

    >>> import flambeau as fb
    >>> fb.fft.fft2(fb.ones(2, 2)).real
    tensor([[4., 0.],
            [0., 0.]])
    """
    return _transform_n("fft2", input, s, dim, norm, True)


@space.composite()
def ifft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: Any = None) -> Any:
    """The inverse of `fft2`.

    >>> import flambeau as fb
    >>> fb.fft.ifft2(fb.ones(2, 2)).real
    tensor([[1., 0.],
            [0., 0.]])
    """
    return _transform_n("ifft2", input, s, dim, norm, False)


def _need_dims(op: str, dims: Sequence[int]) -> None:
    if not dims:
        raise RuntimeError(f"[{op}] {op} must transform at least one axis: got none.")


def _half_n(op: str, x: Any, s: Any, dim: Any, norm: Any, forward: bool) -> Any:
    x = _numbers(op, x, real=True)
    dims, sizes = _axes(op, x, s, dim)
    _need_dims(op, dims)
    return r2c(_cut(x, dims, sizes), tuple(dims), _scale(op, norm, sizes, forward), forward)


@space.composite()
def rfftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Any:
    """The transform of real numbers over several dimensions; the last one is halved.

    >>> import flambeau as fb
    >>> fb.fft.rfftn(fb.ones(2, 4)).shape
    flambeau.Size([2, 3])
    """
    return _half_n("rfftn", input, s, dim, norm, True)


@space.composite()
def rfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: Any = None) -> Any:
    """`rfftn` over the last two dimensions.

    >>> import flambeau as fb
    >>> fb.fft.rfft2(fb.ones(2, 4)).shape
    flambeau.Size([2, 3])
    """
    return _half_n("rfft2", input, s, dim, norm, True)


@space.composite()
def ihfftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Any:
    """The inverse of `hfftn`.

    >>> import flambeau as fb
    >>> fb.fft.ihfftn(fb.ones(2, 4)).shape
    flambeau.Size([2, 3])
    """
    return _half_n("ihfftn", input, s, dim, norm, False)


@space.composite()
def ihfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: Any = None) -> Any:
    """`ihfftn` over the last two dimensions.

    >>> import flambeau as fb
    >>> fb.fft.ihfft2(fb.ones(2, 4)).shape
    flambeau.Size([2, 3])
    """
    return _half_n("ihfft2", input, s, dim, norm, False)


def _whole_n(op: str, x: Any, s: Any, dim: Any, norm: Any, forward: bool) -> Any:
    x = _numbers(op, x, complex_=True)
    dims, sizes = _axes(op, x, s, dim, last=True)
    _need_dims(op, dims)
    x = _cut(x, dims, [*sizes[:-1], sizes[-1] // 2 + 1])
    return c2r(x, tuple(dims), _scale(op, norm, sizes, forward), forward, sizes[-1])


@space.composite()
def irfftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Any:
    """The inverse of `rfftn`.

    >>> import flambeau as fb
    >>> fb.fft.irfftn(fb.ones(2, 3)).shape
    flambeau.Size([2, 4])
    """
    return _whole_n("irfftn", input, s, dim, norm, False)


@space.composite()
def irfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: Any = None) -> Any:
    """`irfftn` over the last two dimensions.

    >>> import flambeau as fb
    >>> fb.fft.irfft2(fb.ones(2, 3)).shape
    flambeau.Size([2, 4])
    """
    return _whole_n("irfft2", input, s, dim, norm, False)


@space.composite()
def hfftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Any:
    """The real spectrum of a signal that is Hermitian-symmetric in its last dimension.

    >>> import flambeau as fb
    >>> fb.fft.hfftn(fb.ones(2, 3)).shape
    flambeau.Size([2, 4])
    """
    return _whole_n("hfftn", input, s, dim, norm, True)


@space.composite()
def hfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: Any = None) -> Any:
    """`hfftn` over the last two dimensions.

    >>> import flambeau as fb
    >>> fb.fft.hfft2(fb.ones(2, 3)).shape
    flambeau.Size([2, 4])
    """
    return _whole_n("hfft2", input, s, dim, norm, True)


# Helpers


@space.composite()
def fftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """The frequencies of the numbers that `fft` gives.

    Args:
        n: how many.
        d: the distance of samples.

    >>> import flambeau as fb
    >>> fb.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    dtype = dtype or fb.get_default_dtype()
    k = fb.arange(n, device=device, dtype=dtype)
    k = fb.where(k > (n - 1) // 2, k - n, k) * (1 / (n * d) if n else 1.0)
    return k.requires_grad_(requires_grad)


@space.composite()
def rfftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """The frequencies of the numbers that `rfft` gives.

    >>> import flambeau as fb
    >>> fb.fft.rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])
    """
    dtype = dtype or fb.get_default_dtype()
    k = fb.arange(n // 2 + 1, device=device, dtype=dtype) * (1 / (n * d) if n else 1.0)
    return k.requires_grad_(requires_grad)


def _shift(x: Any, dim: Any, up: bool) -> Any:
    dims = list(range(x.ndim)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    if not dims:
        return x.clone()
    shifts = [x.shape[d] // 2 if up else (x.shape[d] + 1) // 2 for d in dims]
    return x.roll(shifts, dims)


@space.composite()
def fftshift(input: Tensor, dim: Any = None) -> Any:
    """The zero frequency moved to the middle.

    >>> import flambeau as fb
    >>> fb.fft.fftshift(fb.fft.fftfreq(4))
    tensor([-0.5000, -0.2500,  0.0000,  0.2500])
    """
    return _shift(input, dim, True)


@space.composite()
def ifftshift(input: Tensor, dim: Any = None) -> Any:
    """The inverse of `fftshift`.

    >>> import flambeau as fb
    >>> fb.fft.ifftshift(fb.tensor([-1., 0., 1.]))
    tensor([ 0.,  1., -1.])
    """
    return _shift(input, dim, False)
