"""Functions of the top level. Written by tools/make_stubs.py from the records; don't edit."""

import builtins
from collections.abc import Callable, Sequence
from typing import Any, overload

from ._tensor import Tensor
from .devices import Device
from .dtypes import DType
from .random import Generator

_bool = builtins.bool
_int = builtins.int
_float = builtins.float
_complex = builtins.complex
_str = builtins.str
_Number = builtins.bool | builtins.int | builtins.float | builtins.complex
_Dims = builtins.int | Sequence[builtins.int] | None


def abs(input: Tensor, *, out: Any = None) -> Tensor:
    """The absolute value (of complex numbers: the real modulus)."""
def abs_(input: Tensor, *, out: Any = None) -> Tensor: ...
def absolute(input: Tensor, *, out: Any = None) -> Tensor:
    """The absolute value (of complex numbers: the real modulus)."""
def absolute_(input: Tensor, *, out: Any = None) -> Tensor: ...
def acos(input: Tensor, *, out: Any = None) -> Tensor:
    """The inverse cosine."""
def acos_(input: Tensor, *, out: Any = None) -> Tensor: ...
def arccos(input: Tensor, *, out: Any = None) -> Tensor:
    """The inverse cosine."""
def arccos_(input: Tensor, *, out: Any = None) -> Tensor: ...
def acosh(input: Tensor, *, out: Any = None) -> Tensor:
    """The inverse hyperbolic cosine."""
def acosh_(input: Tensor, *, out: Any = None) -> Tensor: ...
def arccosh(input: Tensor, *, out: Any = None) -> Tensor:
    """The inverse hyperbolic cosine."""
def arccosh_(input: Tensor, *, out: Any = None) -> Tensor: ...
def adaptive_avg_pool1d(input: Tensor, output_size: _int | Sequence[_int], *, out: Any = None) -> Tensor:
    """The means of ``output_size`` windows that cover (N, C, L) evenly."""
def add(input: Tensor | _Number, other: Tensor | _Number, *, alpha: _Number = 1, out: Any = None) -> Tensor:
    """``self + alpha * other``."""
def add_(input: Tensor | _Number, other: Tensor | _Number, *, alpha: _Number = 1, out: Any = None) -> Tensor: ...
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Any = None) -> Tensor:
    """``beta * self + alpha * bmm(batch1, batch2).sum(0)``."""
def addbmm_(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Any = None) -> Tensor: ...
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: _Number = 1, out: Any = None) -> Tensor:
    """``self + value * tensor1 / tensor2``."""
def addcdiv_(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: _Number = 1, out: Any = None) -> Tensor: ...
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: _Number = 1, out: Any = None) -> Tensor:
    """``self + value * tensor1 * tensor2``."""
def addcmul_(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: _Number = 1, out: Any = None) -> Tensor: ...
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Any = None) -> Tensor:
    """``beta * self + alpha * (mat1 @ mat2)``."""
def addmm_(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Any = None) -> Tensor: ...
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Any = None) -> Tensor:
    """``beta * self + alpha * (mat @ vec)``."""
def addmv_(input: Tensor, mat: Tensor, vec: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Any = None) -> Tensor: ...
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Any = None) -> Tensor:
    """``beta * self + alpha * outer(vec1, vec2)``."""
def addr_(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Any = None) -> Tensor: ...
def adjoint(input: Tensor, *, out: Any = None) -> Tensor:
    """The conjugate transposes of the matrices in the last two dimensions."""
def alias_copy(input: Any, *, out: Any = None) -> Any:
    """A copy."""
def all(input: Tensor, dim: _Dims = None, keepdim: _bool = False, *, out: Any = None) -> Tensor:
    """Whether all elements are non-zero."""
def allclose(input: Tensor, other: Tensor, rtol: _float = 1e-05, atol: _float = 1e-08, equal_nan: _bool = False, *, out: Any = None) -> _bool:
    """Whether all elements are close; see `isclose`."""
def amax(input: Tensor, dim: _Dims = ..., keepdim: _bool = False, *, out: Any = None) -> Tensor:
    """The largest element over dimensions (all by default); NaN if there is one."""
def amin(input: Tensor, dim: _Dims = ..., keepdim: _bool = False, *, out: Any = None) -> Tensor:
    """The smallest element over dimensions (all by default); NaN if there is one."""
def aminmax(input: Tensor, *, dim: _int | None = None, keepdim: _bool = False, out: Any = None) -> Any:
    """The smallest and the largest element."""
def angle(input: Tensor, *, out: Any = None) -> Tensor:
    """The angle in radians of complex numbers; of real ones 0, or pi where negative."""
def any(input: Tensor, dim: _Dims = None, keepdim: _bool = False, *, out: Any = None) -> Tensor:
    """Whether any element is non-zero."""
def arange(start: _Number, end: _Number | None = None, step: _Number = 1, *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """Numbers from ``start`` up to, not including, ``end``."""
def argmax(input: Tensor, dim: _int | None = None, keepdim: _bool = False, *, out: Any = None) -> Tensor:
    """The index of the largest element; of equal ones the first."""
def argmin(input: Tensor, dim: _int | None = None, keepdim: _bool = False, *, out: Any = None) -> Tensor:
    """The index of the smallest element; of equal ones the first."""
def argsort(input: Tensor, dim: _int = -1, descending: _bool = False, stable: _bool = True, *, out: Any = None) -> Tensor:
    """Where sorted values come from."""
def argwhere(input: Tensor, *, out: Any = None) -> Tensor:
    """Coordinates of the elements that are not 0, one per row."""
def as_strided_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `as_strided` gives, as a copy."""
def as_strided_scatter(input: Tensor, src: Tensor, size: Sequence[_int], stride: Sequence[_int], storage_offset: _int | None = None, *, out: Any = None) -> Tensor:
    """A copy with one of its `as_strided` views replaced by ``src``."""
def as_strided(input: Tensor, size: Sequence[_int], stride: Sequence[_int], storage_offset: _int | None = None, *, out: Any = None) -> Tensor:
    """A view of the whole memory with any sizes, strides and offset (in elements, from the memory's start)."""
def asin(input: Tensor, *, out: Any = None) -> Tensor:
    """The inverse sine."""
def asin_(input: Tensor, *, out: Any = None) -> Tensor: ...
def arcsin(input: Tensor, *, out: Any = None) -> Tensor:
    """The inverse sine."""
def arcsin_(input: Tensor, *, out: Any = None) -> Tensor: ...
def asinh(input: Tensor, *, out: Any = None) -> Tensor:
    """The inverse hyperbolic sine."""
def asinh_(input: Tensor, *, out: Any = None) -> Tensor: ...
def arcsinh(input: Tensor, *, out: Any = None) -> Tensor:
    """The inverse hyperbolic sine."""
def arcsinh_(input: Tensor, *, out: Any = None) -> Tensor: ...
def atan(input: Tensor, *, out: Any = None) -> Tensor:
    """The inverse tangent."""
def atan_(input: Tensor, *, out: Any = None) -> Tensor: ...
def arctan(input: Tensor, *, out: Any = None) -> Tensor:
    """The inverse tangent."""
def arctan_(input: Tensor, *, out: Any = None) -> Tensor: ...
def atan2(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """The angle of the point (other, self)."""
def atan2_(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def arctan2(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """The angle of the point (other, self)."""
def arctan2_(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def atanh(input: Tensor, *, out: Any = None) -> Tensor:
    """The inverse hyperbolic tangent."""
def atanh_(input: Tensor, *, out: Any = None) -> Tensor: ...
def arctanh(input: Tensor, *, out: Any = None) -> Tensor:
    """The inverse hyperbolic tangent."""
def arctanh_(input: Tensor, *, out: Any = None) -> Tensor: ...
def atleast_1d(*tensors: Any, out: Any = None) -> Any:
    """Tensors with at least one dimension."""
def atleast_2d(*tensors: Any, out: Any = None) -> Any:
    """Tensors with at least two dimensions; vectors become rows."""
def atleast_3d(*tensors: Any, out: Any = None) -> Any:
    """Tensors with at least three dimensions; vectors lie along the middle one."""
def avg_pool1d(input: Tensor, kernel_size: _int | Sequence[_int], stride: Any = ..., padding: _int | Sequence[_int] = 0, ceil_mode: _bool = False, count_include_pad: _bool = True, *, out: Any = None) -> Tensor:
    """The mean of each window of (N, C, L)."""
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Any = None) -> Tensor:
    """``beta * self + alpha * bmm(batch1, batch2)``."""
def baddbmm_(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Any = None) -> Tensor: ...
def bartlett_window(window_length: _int, periodic: _bool = True, first: Any = None, second: Any = None, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: _bool = False, requires_grad: _bool = False, out: Any = None) -> Any:
    """A triangle; see `flambeau.signal.windows.bartlett`."""
def batch_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None, running_var: Tensor | None, training: _bool, momentum: _float, eps: _float, cudnn_enabled: _bool = True, *, out: Any = None) -> Tensor:
    """Channels of (N, C, *) with mean 0 and variance 1 over the batch, then scaled and shifted."""
def bernoulli(input: Tensor, p: _float | None = None, *, generator: Generator | None = None, out: Any = None) -> Tensor:
    """1 with the probability that the element says (or ``p``), else 0."""
def bincount(input: Tensor, weights: Tensor | None = None, minlength: _int = 0, *, out: Any = None) -> Tensor:
    """How often each number from 0 on occurs, or the sum of its weights."""
def binomial(count: Tensor, prob: Tensor, generator: Any = None, *, out: Any = None) -> Any:
    """Numbers of binomial distributions."""
def bitwise_and(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self & other``."""
def bitwise_and_(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def bitwise_left_shift(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self << other``."""
def bitwise_left_shift_(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def bitwise_not(input: Tensor, *, out: Any = None) -> Tensor:
    """``~self``."""
def bitwise_not_(input: Tensor, *, out: Any = None) -> Tensor: ...
def bitwise_or(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self | other``."""
def bitwise_or_(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def bitwise_right_shift(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self >> other``."""
def bitwise_right_shift_(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def bitwise_xor(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self ^ other``."""
def bitwise_xor_(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def blackman_window(window_length: _int, periodic: _bool = True, first: Any = None, second: Any = None, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: _bool = False, requires_grad: _bool = False, out: Any = None) -> Any:
    """Blackman's window; see `flambeau.signal.windows.blackman`."""
def block_diag(*tensors: Any, out: Any = None) -> Tensor:
    """A matrix with matrices along its diagonal."""
def bmm(input: Tensor, mat2: Tensor, *, out: Any = None) -> Tensor:
    """The products of two stacks of matrices, [B, M, K] and [B, K, N]."""
def broadcast_tensors(*tensors: Any, out: Any = None) -> tuple[Tensor, ...]:
    """All tensors expanded to the shape that they broadcast to."""
@overload
def broadcast_to(input: Tensor, *size: _int, out: Any = None) -> Tensor:
    """Expanded to a shape; a view."""
@overload
def broadcast_to(input: Tensor, size: Sequence[_int], *, out: Any = None) -> Tensor:
    """Expanded to a shape; a view."""
def bucketize(input: Tensor | _Number, boundaries: Tensor, *, out_int32: _bool = False, right: _bool = False, out: Any = None) -> Tensor:
    """The number of the bucket between sorted boundaries that each value falls into."""
def cartesian_prod(*tensors: Any, out: Any = None) -> Tensor:
    """All combinations of the vectors' elements, one per row."""
def cat(tensors: Sequence[Tensor], dim: _int = 0, *, out: Any = None) -> Tensor:
    """Tensors one after the other along a dimension; dtypes promote; tensors of shape [0] are left out."""
def concat(tensors: Sequence[Tensor], dim: _int = 0, *, out: Any = None) -> Tensor:
    """Tensors one after the other along a dimension; dtypes promote; tensors of shape [0] are left out."""
def concatenate(tensors: Sequence[Tensor], dim: _int = 0, *, out: Any = None) -> Tensor:
    """Tensors one after the other along a dimension; dtypes promote; tensors of shape [0] are left out."""
def cdist(x1: Tensor, x2: Tensor, p: _float = 2.0, compute_mode: _str = 'use_mm_for_euclid_dist_if_necessary', *, out: Any = None) -> Any:
    """The p-norm distances of every row of one matrix from every row of another."""
def ceil(input: Tensor, *, out: Any = None) -> Tensor:
    """Rounded up."""
def ceil_(input: Tensor, *, out: Any = None) -> Tensor: ...
def celu(input: Tensor, alpha: _Number = 1.0, *, out: Any = None) -> Tensor:
    """``x`` where positive, else ``alpha * (exp(x / alpha) - 1)``."""
def celu_(input: Tensor, alpha: _Number = 1.0, *, out: Any = None) -> Tensor: ...
def chain_matmul(*given: Tensor, out: Any = None) -> Any:
    """The product of matrices in the order that costs least."""
def cholesky(input: Tensor, upper: _bool = False, *, out: Any = None) -> Any:
    """The Cholesky factor; see `flambeau.linalg.cholesky`."""
def cholesky_inverse(input: Tensor, upper: _bool = False, *, out: Any = None) -> Any:
    """The inverse of the matrix whose Cholesky factor this is."""
def cholesky_solve(input: Tensor, L: Tensor, upper: _bool = False, *, out: Any = None) -> Any:
    """The solution of ``A @ X = self`` where L is A's Cholesky factor."""
def chunk(input: Tensor, chunks: _int, dim: _int = 0, *, out: Any = None) -> tuple[Tensor, ...]:
    """At most ``chunks`` parts of one size (the last may be smaller); views."""
def unsafe_chunk(input: Tensor, chunks: _int, dim: _int = 0, *, out: Any = None) -> tuple[Tensor, ...]:
    """At most ``chunks`` parts of one size (the last may be smaller); views."""
def clamp(input: Tensor, min: Tensor | _Number | None = None, max: Tensor | _Number | None = None, *, out: Any = None) -> Tensor:
    """Values limited to ``[min, max]``; NaN stays."""
def clamp_(input: Tensor, min: Tensor | _Number | None = None, max: Tensor | _Number | None = None, *, out: Any = None) -> Tensor: ...
def clip(input: Tensor, min: Tensor | _Number | None = None, max: Tensor | _Number | None = None, *, out: Any = None) -> Tensor:
    """Values limited to ``[min, max]``; NaN stays."""
def clip_(input: Tensor, min: Tensor | _Number | None = None, max: Tensor | _Number | None = None, *, out: Any = None) -> Tensor: ...
def clamp_max(input: Tensor, max: Tensor | _Number, *, out: Any = None) -> Tensor:
    """Values lowered to at most ``max``."""
def clamp_max_(input: Tensor, max: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def clamp_min(input: Tensor, min: Tensor | _Number, *, out: Any = None) -> Tensor:
    """Values raised to at least ``min``."""
def clamp_min_(input: Tensor, min: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def clone(input: Tensor, *, memory_format: Any = None, out: Any = None) -> Tensor:
    """A copy with memory of its own; gradients pass through."""
def column_stack(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor:
    """Joined along the second dimension; vectors are columns."""
def combinations(input: Tensor, r: _int = 2, with_replacement: _bool = False, *, out: Any = None) -> Tensor:
    """All choices of ``r`` elements of a vector, one per row."""
def complex(real: Tensor, imag: Tensor, *, out: Any = None) -> Tensor:
    """Complex numbers from real and imaginary parts, of one floating-point dtype."""
def conj(input: Tensor, *, out: Any = None) -> Tensor:
    """The complex conjugate, a view: the sign is changed when something reads it; real numbers: the tensor itself."""
def conj_physical(input: Tensor, *, out: Any = None) -> Tensor:
    """The complex conjugate, computed; real numbers: the tensor itself."""
def conj_physical_(input: Tensor, *, out: Any = None) -> Tensor: ...
def conv1d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _int | Sequence[_int] | _str = 0, dilation: _int | Sequence[_int] = 1, groups: _int = 1, *, out: Any = None) -> Tensor:
    """The cross-correlation of (N, C, L) with weights (O, C / groups, K)."""
def conv2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _int | Sequence[_int] | _str = 0, dilation: _int | Sequence[_int] = 1, groups: _int = 1, *, out: Any = None) -> Tensor:
    """The cross-correlation of (N, C, H, W) with weights (O, C / groups, kH, kW)."""
def conv3d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _int | Sequence[_int] | _str = 0, dilation: _int | Sequence[_int] = 1, groups: _int = 1, *, out: Any = None) -> Tensor:
    """The cross-correlation of (N, C, D, H, W) with weights (O, C / groups, kD, kH, kW)."""
def conv_transpose1d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _int | Sequence[_int] = 0, output_padding: _int | Sequence[_int] = 0, groups: _int = 1, dilation: _int | Sequence[_int] = 1, *, out: Any = None) -> Tensor:
    """The transposed convolution of (N, C, L) with weights (C, O / groups, K)."""
def conv_transpose2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _int | Sequence[_int] = 0, output_padding: _int | Sequence[_int] = 0, groups: _int = 1, dilation: _int | Sequence[_int] = 1, *, out: Any = None) -> Tensor:
    """The transposed convolution of (N, C, H, W) with weights (C, O / groups, kH, kW): the gradient of `conv2d`."""
def conv_transpose3d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _int | Sequence[_int] = 1, padding: _int | Sequence[_int] = 0, output_padding: _int | Sequence[_int] = 0, groups: _int = 1, dilation: _int | Sequence[_int] = 1, *, out: Any = None) -> Tensor:
    """The transposed convolution of (N, C, D, H, W) with weights (C, O / groups, kD, kH, kW)."""
def copysign(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """The magnitude of one with the sign of the other."""
def copysign_(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def corrcoef(input: Tensor, *, out: Any = None) -> Any:
    """The correlation coefficients of variables that stand in rows."""
def cos(input: Tensor, *, out: Any = None) -> Tensor:
    """The cosine."""
def cos_(input: Tensor, *, out: Any = None) -> Tensor: ...
def cosh(input: Tensor, *, out: Any = None) -> Tensor:
    """The hyperbolic cosine."""
def cosh_(input: Tensor, *, out: Any = None) -> Tensor: ...
def count_nonzero(input: Tensor, dim: _Dims = None, *, out: Any = None) -> Tensor:
    """How many elements are not zero."""
def cov(input: Tensor, *, correction: _int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None, out: Any = None) -> Any:
    """The covariance matrix of variables that stand in rows."""
def cross(input: Tensor, other: Tensor, dim: _int | None = None, *, out: Any = None) -> Tensor:
    """The cross products of vectors of 3 elements along a dimension (default: the first of size 3)."""
def cummax(input: Tensor, dim: _int, *, out: Any = None) -> Any:
    """The running maximum along a dimension and where it was found."""
def cummin(input: Tensor, dim: _int, *, out: Any = None) -> Any:
    """The running minimum along a dimension and where it was found."""
def cumprod(input: Tensor, dim: _int, *, dtype: DType | None = None, out: Any = None) -> Tensor:
    """The running product along a dimension."""
def cumprod_(input: Tensor, dim: _int, *, dtype: DType | None = None, out: Any = None) -> Tensor: ...
def cumsum(input: Tensor, dim: _int, *, dtype: DType | None = None, out: Any = None) -> Tensor:
    """The running sum along a dimension."""
def cumsum_(input: Tensor, dim: _int, *, dtype: DType | None = None, out: Any = None) -> Tensor: ...
def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: _Number = 1, dim: _int = -1, out: Any = None) -> Tensor:
    """The running integral along a dimension by the trapezoidal rule."""
def deg2rad(input: Tensor, *, out: Any = None) -> Tensor:
    """Degrees as radians."""
def deg2rad_(input: Tensor, *, out: Any = None) -> Tensor: ...
def det(input: Tensor, *, out: Any = None) -> Any:
    """The determinant; see `flambeau.linalg.det`."""
def diag(input: Tensor, diagonal: _int = 0, *, out: Any = None) -> Tensor:
    """The diagonal of a matrix (a copy), or a matrix with a vector on its diagonal."""
def diag_embed(input: Tensor, offset: _int = 0, dim1: _int = -2, dim2: _int = -1, *, out: Any = None) -> Tensor:
    """Matrices of zeros with the last dimension on their diagonals."""
def diagflat(input: Tensor, offset: _int = 0, *, out: Any = None) -> Tensor:
    """A matrix with all elements on its diagonal."""
def diagonal(input: Tensor, offset: _int = 0, dim1: _int = 0, dim2: _int = 1) -> Tensor:
    """The diagonal of two dimensions as the last dimension; a view."""
def diagonal_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `diagonal` gives, as a copy."""
def diagonal_scatter(input: Tensor, src: Tensor, offset: _int = 0, dim1: _int = 0, dim2: _int = 1, *, out: Any = None) -> Tensor:
    """A copy with a diagonal replaced by ``src``."""
def diff(input: Tensor, n: _int = 1, dim: _int = -1, prepend: Tensor | None = None, append: Tensor | None = None, *, out: Any = None) -> Tensor:
    """Differences of neighbours along a dimension, ``n`` times; of bools: whether neighbours differ."""
def digamma(input: Tensor, *, out: Any = None) -> Tensor:
    """The logarithmic derivative of the gamma function."""
def digamma_(input: Tensor, *, out: Any = None) -> Tensor: ...
def dist(input: Tensor, other: Tensor, p: _float = 2, *, out: Any = None) -> Tensor:
    """The p-norm of the difference."""
def div(input: Tensor | _Number, other: Tensor | _Number, *, rounding_mode: _str | None = None, out: Any = None) -> Tensor:
    """``self / other``; integers give floating-point numbers unless rounded."""
def div_(input: Tensor | _Number, other: Tensor | _Number, *, rounding_mode: _str | None = None, out: Any = None) -> Tensor: ...
def divide(input: Tensor | _Number, other: Tensor | _Number, *, rounding_mode: _str | None = None, out: Any = None) -> Tensor:
    """``self / other``; integers give floating-point numbers unless rounded."""
def divide_(input: Tensor | _Number, other: Tensor | _Number, *, rounding_mode: _str | None = None, out: Any = None) -> Tensor: ...
def dot(input: Tensor, tensor: Tensor, *, out: Any = None) -> Tensor:
    """The product of two vectors."""
def dropout(input: Tensor, p: _float, train: _bool, *, out: Any = None) -> Tensor:
    """Elements set to 0 with probability ``p``, the others scaled by ``1 / (1 - p)``."""
def dsplit(input: Tensor, indices_or_sections: _int | Sequence[_int], *, out: Any = None) -> tuple[Tensor, ...]:
    """Split along the third dimension."""
def dstack(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor:
    """Joined along the third dimension."""
def einsum(equation: _str, *operands: Any, out: Any = None) -> Tensor:
    """The sum of products that an equation in Einstein's notation describes."""
@overload
def empty(*size: _int, memory_format: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor:
    """An uninitialised tensor."""
@overload
def empty(size: Sequence[_int], *, memory_format: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor:
    """An uninitialised tensor."""
def empty_like(input: Tensor, *, memory_format: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """An uninitialised tensor of another's shape."""
@overload
def empty_permuted(size: Sequence[_int], *physical_layout: _int, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """An uninitialised tensor without gaps whose dimensions lie in memory in a given order, outermost first."""
@overload
def empty_permuted(size: Sequence[_int], physical_layout: Sequence[_int], *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """An uninitialised tensor without gaps whose dimensions lie in memory in a given order, outermost first."""
@overload
def empty_strided(size: Sequence[_int], *stride: _int, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """An uninitialised tensor with given strides."""
@overload
def empty_strided(size: Sequence[_int], stride: Sequence[_int], *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """An uninitialised tensor with given strides."""
def eq(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self == other``, elementwise."""
def eq_(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def equal(input: Tensor, other: Tensor, *, out: Any = None) -> _bool:
    """Whether both have the same shape and the same elements."""
def erf(input: Tensor, *, out: Any = None) -> Tensor:
    """The error function."""
def erf_(input: Tensor, *, out: Any = None) -> Tensor: ...
def erfc(input: Tensor, *, out: Any = None) -> Tensor:
    """1 - erf(x)."""
def erfc_(input: Tensor, *, out: Any = None) -> Tensor: ...
def erfinv(input: Tensor, *, out: Any = None) -> Tensor:
    """The inverse error function."""
def erfinv_(input: Tensor, *, out: Any = None) -> Tensor: ...
def exp(input: Tensor, *, out: Any = None) -> Tensor:
    """The exponential."""
def exp_(input: Tensor, *, out: Any = None) -> Tensor: ...
def exp2(input: Tensor, *, out: Any = None) -> Tensor:
    """Two to the power."""
def exp2_(input: Tensor, *, out: Any = None) -> Tensor: ...
@overload
def expand(input: Tensor, *size: _int, implicit: _bool = False) -> Tensor:
    """Dimensions of size 1 repeated to a larger shape, without memory; -1 keeps a size."""
@overload
def expand(input: Tensor, size: Sequence[_int], *, implicit: _bool = False) -> Tensor:
    """Dimensions of size 1 repeated to a larger shape, without memory; -1 keeps a size."""
def expand_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `expand` gives, as a copy."""
def expm1(input: Tensor, *, out: Any = None) -> Tensor:
    """exp(x) - 1."""
def expm1_(input: Tensor, *, out: Any = None) -> Tensor: ...
def eye(n: _int, m: _int | None = None, *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """The identity matrix, of shape (n, m)."""
def fill(input: Tensor, value: Tensor | _Number, *, out: Any = None) -> Tensor:
    """A tensor of the same shape filled with one number."""
def fill_(input: Tensor, value: Tensor | _Number, *, out: Any = None) -> Tensor:
    """Overwrite with one number."""
def flatten(input: Tensor, start_dim: _int = 0, end_dim: _int = -1, *, out: Any = None) -> Tensor:
    """Dimensions from ``start_dim`` to ``end_dim`` merged into one; a view where the memory allows it."""
@overload
def flip(input: Tensor, *dims: _int, out: Any = None) -> Tensor:
    """The order along dimensions reversed; a copy (``x[::-1]`` is a view)."""
@overload
def flip(input: Tensor, dims: Sequence[_int], *, out: Any = None) -> Tensor:
    """The order along dimensions reversed; a copy (``x[::-1]`` is a view)."""
def fliplr(input: Tensor, *, out: Any = None) -> Tensor:
    """The order of columns reversed."""
def flipud(input: Tensor, *, out: Any = None) -> Tensor:
    """The order of rows reversed."""
def float_power(input: Tensor | _Number, exponent: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self ** exponent`` in float64 (complex128 where either is complex)."""
def float_power_(input: Tensor | _Number, exponent: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def floor(input: Tensor, *, out: Any = None) -> Tensor:
    """Rounded down."""
def floor_(input: Tensor, *, out: Any = None) -> Tensor: ...
def floor_divide(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self // other``: division rounded down."""
def floor_divide_(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def fmax(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """The larger of each pair; the other one if one is NaN."""
def fmin(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """The smaller of each pair; the other one if one is NaN."""
def fmod(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """The remainder of division with the sign of the dividend."""
def fmod_(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def frac(input: Tensor, *, out: Any = None) -> Tensor:
    """What `trunc` cuts off."""
def frac_(input: Tensor, *, out: Any = None) -> Tensor: ...
def frexp(input: Tensor, *, out: Any = None) -> Any:
    """Mantissas, of size in [0.5, 1), and int32 exponents with ``self == mantissa * 2**exponent``."""
def full(size: Sequence[_int], fill_value: _Number, *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor:
    """A tensor with one value everywhere; its dtype follows the value where not given."""
def full_like(input: Tensor, fill_value: _Number, *, memory_format: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """A tensor of another's shape and dtype with one value everywhere."""
def gather(input: Tensor, dim: _int, index: Tensor, *, sparse_grad: _bool = False, out: Any = None) -> Tensor:
    """Elements along a dimension where an index says: ``out[i][j] = self[index[i][j]][j]`` for dim 0."""
def gcd(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """The greatest common divisor, by Euclid's algorithm."""
def gcd_(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def ge(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self >= other``, elementwise."""
def ge_(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def greater_equal(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self >= other``, elementwise."""
def greater_equal_(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def geqrf(input: Tensor, *, out: Any = None) -> Tensor:
    """LAPACK's QR: R in the upper triangle, the reflections below it and their factors."""
def gradient(input: Tensor, *, spacing: Any = 1.0, dim: Any = None, edge_order: _int = 1, out: Any = None) -> list[Tensor]:
    """Slopes along dimensions of values sampled on a grid."""
def group_norm(input: Tensor, num_groups: _int, weight: Tensor | None = None, bias: Tensor | None = None, eps: _float = 1e-05, cudnn_enabled: _bool = True, *, out: Any = None) -> Tensor:
    """Groups of channels of (N, C, *) with mean 0 and variance 1, then scaled and shifted per channel."""
def gt(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self > other``, elementwise."""
def gt_(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def greater(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self > other``, elementwise."""
def greater_(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def hamming_window(window_length: _int, periodic: _bool = True, first: Any = None, second: Any = None, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: _bool = False, requires_grad: _bool = False, out: Any = None) -> Any:
    """Hamming's window ``alpha - beta * cos(x)``."""
def hann_window(window_length: _int, periodic: _bool = True, first: Any = None, second: Any = None, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: _bool = False, requires_grad: _bool = False, out: Any = None) -> Any:
    """Hann's window; see `flambeau.signal.windows.hann`."""
def hardshrink(input: Tensor, lambd: _Number = 0.5, *, out: Any = None) -> Tensor:
    """0 where ``-lambd <= x <= lambd``, else ``x``."""
def hash_tensor(input: Tensor, dim: Any = ..., *, keepdim: _bool = False, mode: _int = 0, out: Any = None) -> Tensor:
    """The exclusive or of all elements' bits (of float64 or int64), as uint64."""
def heaviside(input: Tensor, values: Tensor, *, out: Any = None) -> Tensor:
    """0 where negative (or NaN), 1 where positive, ``values`` at 0."""
def heaviside_(input: Tensor, values: Tensor, *, out: Any = None) -> Tensor: ...
def histc(input: Tensor, bins: _int = 100, min: _Number = 0, max: _Number = 0, *, out: Any = None) -> Tensor:
    """Counts of elements in equal bins between ``min`` and ``max`` (both 0: those of the data)."""
def histogram(input: Tensor, bins: Any = 100, *, range: Any = None, weight: Tensor | None = None, density: _bool = False, out: Any = None) -> Any:
    """The histogram of all elements."""
def histogramdd(input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: _bool = False, out: Any = None) -> Any:
    """The histogram of points of several dimensions."""
def hsplit(input: Tensor, indices_or_sections: _int | Sequence[_int], *, out: Any = None) -> tuple[Tensor, ...]:
    """Split along the second dimension (the first of vectors)."""
def hstack(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor:
    """Joined along the second dimension (vectors: the first)."""
def hypot(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """sqrt(self**2 + other**2)."""
def hypot_(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def i0(input: Tensor, *, out: Any = None) -> Tensor:
    """The modified Bessel function of the first kind of order 0."""
def i0_(input: Tensor, *, out: Any = None) -> Tensor: ...
def igamma(input: Tensor, other: Tensor, *, out: Any = None) -> Any:
    """The regularised lower incomplete gamma function."""
def igamma_(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def igammac(input: Tensor, other: Tensor, *, out: Any = None) -> Any:
    """The regularised upper incomplete gamma function, 1 - `igamma`."""
def igammac_(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def imag(input: Tensor, *, out: Any = None) -> Tensor:
    """The imaginary part; a view."""
def index_add(input: Tensor, dim: _int, index: Tensor, source: Tensor, *, alpha: Any = 1, out: Any = None) -> Tensor:
    """A copy with the rows of ``source`` (times ``alpha``) added to the rows that an index names."""
def index_copy(input: Tensor, dim: _int, index: Tensor, source: Tensor, *, out: Any = None) -> Tensor:
    """A copy with the rows that an index names replaced by those of ``source``."""
def index_fill(input: Tensor, dim: _int, index: Tensor, value: Tensor | _Number, *, out: Any = None) -> Tensor:
    """A copy with one number in the rows that an index names."""
def index_put(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: _bool = False, *, out: Any = None) -> Tensor:
    """A copy with values put (or added) where index tensors, one per dimension or None, name places."""
def index_reduce(input: Tensor, dim: _int, index: Tensor, source: Tensor, reduce: _str, *, include_self: _bool = True, out: Any = None) -> Tensor:
    """Rows of ``source`` folded into the rows that an index names: ``prod``, ``mean``, ``amax`` or ``amin``."""
def index_select(input: Tensor, dim: _int, index: Tensor, *, out: Any = None) -> Tensor:
    """The rows (of a dimension) that a vector of places names."""
def inner(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """The products over the last dimension of both."""
def inverse(input: Tensor, *, out: Any = None) -> Any:
    """The inverse; see `flambeau.linalg.inv`."""
def is_conj(input: Tensor, *, out: Any = None) -> _bool:
    """Whether a conjugate is still to be computed: it is a view made by `conj`."""
def is_neg(input: Tensor, *, out: Any = None) -> _bool:
    """Whether a negative is still to be computed: it is the imaginary part of such a view."""
def isclose(input: Tensor, other: Tensor, rtol: _float = 1e-05, atol: _float = 1e-08, equal_nan: _bool = False, *, out: Any = None) -> Tensor:
    """Whether ``|self - other| <= atol + rtol * |other|``, elementwise."""
def isfinite(input: Tensor, *, out: Any = None) -> Tensor:
    """Whether each element is neither infinite nor NaN."""
def isin(elements: Tensor | _Number, test_elements: Tensor | _Number, *, assume_unique: _bool = False, invert: _bool = False, out: Any = None) -> Tensor:
    """Whether each element is one of the tested ones."""
def isinf(input: Tensor, *, out: Any = None) -> Tensor:
    """Whether each element is infinite."""
def isnan(input: Tensor, *, out: Any = None) -> Tensor:
    """Whether each element is NaN."""
def isneginf(input: Tensor, *, out: Any = None) -> Tensor:
    """Whether each element is negative infinity."""
def isposinf(input: Tensor, *, out: Any = None) -> Tensor:
    """Whether each element is positive infinity."""
def isreal(input: Tensor, *, out: Any = None) -> Tensor:
    """Whether each element has no imaginary part."""
def istft(input: Tensor, n_fft: _int, hop_length: Any = None, win_length: Any = None, window: Any = None, center: _bool = True, normalized: _bool = False, onesided: Any = None, length: Any = None, return_complex: _bool = False, *, out: Any = None) -> Any:
    """The signal whose `stft` comes nearest to the one given."""
def kaiser_window(window_length: _int, periodic: _bool = True, first: Any = None, second: Any = None, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: _bool = False, requires_grad: _bool = False, out: Any = None) -> Any:
    """Kaiser's window; see `flambeau.signal.windows.kaiser`."""
def kron(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """The Kronecker product."""
def kthvalue(input: Tensor, k: _int, dim: _int = -1, keepdim: _bool = False, *, out: Any = None) -> Any:
    """The k-th smallest element along a dimension and where it is."""
def layer_norm(input: Tensor, normalized_shape: Sequence[_int], weight: Tensor | None = None, bias: Tensor | None = None, eps: _float = 1e-05, cudnn_enable: _bool = True, *, out: Any = None) -> Tensor:
    """The last dimensions, of sizes ``normalized_shape``, with mean 0 and variance 1, then scaled and shifted."""
def lcm(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """The least common multiple; 0 where either is 0."""
def lcm_(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def ldexp(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """``self * 2**other``."""
def ldexp_(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def le(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self <= other``, elementwise."""
def le_(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def less_equal(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self <= other``, elementwise."""
def less_equal_(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def lerp(input: Tensor, end: Tensor, weight: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self + weight * (end - self)``, computed from the nearer end."""
def lerp_(input: Tensor, end: Tensor, weight: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def lgamma(input: Tensor, *, out: Any = None) -> Tensor:
    """The logarithm of the absolute value of the gamma function."""
def lgamma_(input: Tensor, *, out: Any = None) -> Tensor: ...
def linspace(start: _Number, end: _Number, steps: _int, *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """``steps`` numbers evenly spaced from ``start`` to ``end``, both included."""
def lobpcg(A: Tensor, k: Any = None, B: Any = None, X: Any = None, n: Any = None, iK: Any = None, niter: Any = None, tol: Any = None, largest: Any = None, method: Any = None, tracker: Any = None, ortho_iparams: Any = None, ortho_fparams: Any = None, ortho_bparams: Any = None, *, out: Any = None) -> Any:
    """A few extreme eigenvalues of a symmetric matrix, by the locally optimal block method."""
def log(input: Tensor, *, out: Any = None) -> Tensor:
    """The natural logarithm."""
def log_(input: Tensor, *, out: Any = None) -> Tensor: ...
def log10(input: Tensor, *, out: Any = None) -> Tensor:
    """The logarithm to base 10."""
def log10_(input: Tensor, *, out: Any = None) -> Tensor: ...
def log1p(input: Tensor, *, out: Any = None) -> Tensor:
    """log(1 + x)."""
def log1p_(input: Tensor, *, out: Any = None) -> Tensor: ...
def log2(input: Tensor, *, out: Any = None) -> Tensor:
    """The logarithm to base 2."""
def log2_(input: Tensor, *, out: Any = None) -> Tensor: ...
def log_softmax(input: Tensor, dim: _int, dtype: DType | None = None, *, out: Any = None) -> Tensor:
    """The logarithm of `softmax`, without underflow; the arguments are the same."""
def logaddexp(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """``log(exp(self) + exp(other))`` without overflow."""
def logaddexp2(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """``log2(2**self + 2**other)`` without overflow."""
def logcumsumexp(input: Tensor, dim: _int, *, out: Any = None) -> Tensor:
    """The logarithm of the running sum of exponentials."""
def logdet(input: Tensor, *, out: Any = None) -> Any:
    """The logarithm of the determinant: NaN where it is negative, -inf where it is 0."""
def logical_and(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """Whether both are non-zero."""
def logical_and_(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def logical_not(input: Tensor, *, out: Any = None) -> Tensor:
    """Whether each element is zero."""
def logical_not_(input: Tensor, *, out: Any = None) -> Tensor: ...
def logical_or(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """Whether either is non-zero."""
def logical_or_(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def logical_xor(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """Whether exactly one is non-zero."""
def logical_xor_(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def logit(input: Tensor, eps: _float | None = None, *, out: Any = None) -> Tensor:
    """log(x / (1 - x)), after a clamp to [eps, 1 - eps] if eps is given; NaN outside [0, 1]."""
def logit_(input: Tensor, eps: _float | None = None, *, out: Any = None) -> Tensor: ...
def logspace(start: _Number, end: _Number, steps: _int, base: _float = 10.0, *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """``steps`` powers of a base, their exponents evenly spaced from ``start`` to ``end``, both included."""
def logsumexp(input: Tensor, dim: _Dims, keepdim: _bool = False, *, out: Any = None) -> Tensor:
    """The logarithm of the sum of exponentials, without overflow."""
def lt(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self < other``, elementwise."""
def lt_(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def less(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self < other``, elementwise."""
def less_(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def lu(A: Tensor, pivot: _bool = True, get_infos: _bool = False, *, out: Any = None) -> Any:
    """Packed LU factors, pivots, and LAPACK's info if asked for."""
def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Any = None) -> Any:
    """The solution of ``A @ X = self`` from A's packed LU factors."""
def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: _bool = True, unpack_pivots: _bool = True, *, out: Any = None) -> Any:
    """P, L and U from packed factors."""
def masked_fill(input: Tensor, mask: Tensor, value: Tensor | _Number, *, out: Any = None) -> Tensor:
    """A copy with one value where a mask holds; the mask broadcasts."""
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor, *, out: Any = None) -> Tensor:
    """A copy with the first elements of ``source`` put, in order, where a mask holds."""
def masked_select(input: Tensor, mask: Tensor, *, out: Any = None) -> Tensor:
    """The elements where a mask holds, in one dimension; both broadcast."""
def matmul(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """The matrix product; vectors are rows on the left and columns on the right, further dimensions broadcast."""
def matrix_exp(input: Tensor, *, out: Any = None) -> Any:
    """The exponential of square matrices; see `flambeau.linalg.matrix_exp`."""
def matrix_power(input: Tensor, n: _int, *, out: Any = None) -> Any:
    """A power of square matrices; see `flambeau.linalg.matrix_power`."""
def max(input: Tensor, dim: Any = None, keepdim: _bool = False, *, other: Tensor | None = None, out: Any = None) -> Any:
    """The largest element; with ``dim`` also where it is; with another tensor that of each pair."""
def max_pool1d(input: Tensor, kernel_size: _int | Sequence[_int], stride: Any = ..., padding: _int | Sequence[_int] = 0, dilation: _int | Sequence[_int] = 1, ceil_mode: _bool = False, *, out: Any = None) -> Tensor:
    """The largest value of each window of (N, C, L)."""
def max_pool2d(input: Tensor, kernel_size: _int | Sequence[_int], stride: Any = ..., padding: _int | Sequence[_int] = 0, dilation: _int | Sequence[_int] = 1, ceil_mode: _bool = False, *, out: Any = None) -> Tensor:
    """The largest value of each window of (N, C, H, W)."""
def maximum(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """The larger of each pair; NaN if either is."""
def maximum_(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def mean(input: Tensor, dim: _Dims = None, keepdim: _bool = False, *, dtype: DType | None = None, out: Any = None) -> Tensor:
    """The mean over dimensions (all by default)."""
def median(input: Tensor, dim: _int | None = None, keepdim: _bool = False, *, out: Any = None) -> Any:
    """The lower median; NaN if there is one. With ``dim`` also where it is."""
def meshgrid(*tensors: Any, indexing: _str | None = None, out: Any = None) -> tuple[Tensor, ...]:
    """Each vector spread over the grid of all; ``indexing`` is ``"ij"`` (the default) or ``"xy"``."""
def min(input: Tensor, dim: Any = None, keepdim: _bool = False, *, other: Tensor | None = None, out: Any = None) -> Any:
    """The smallest element; with ``dim`` also where it is; with another tensor that of each pair."""
def minimum(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """The smaller of each pair; NaN if either is."""
def minimum_(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def mm(input: Tensor, mat2: Tensor, *, out: Any = None) -> Tensor:
    """The product of two matrices, [M, K] and [K, N]."""
def mode(input: Tensor, dim: _int = -1, keepdim: _bool = False, *, out: Any = None) -> Any:
    """The most frequent element along a dimension (of several the smallest) and where it last stands."""
def movedim(input: Tensor, source: _int | Sequence[_int], destination: _int | Sequence[_int], *, out: Any = None) -> Tensor:
    """Dimensions moved to other places; the others keep their order; a view."""
def moveaxis(input: Tensor, source: _int | Sequence[_int], destination: _int | Sequence[_int], *, out: Any = None) -> Tensor:
    """Dimensions moved to other places; the others keep their order; a view."""
def msort(input: Tensor, *, out: Any = None) -> Tensor:
    """Sorted along the first dimension."""
def mul(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self * other``."""
def mul_(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def multiply(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self * other``."""
def multiply_(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def multinomial(input: Tensor, num_samples: _int, replacement: _bool = False, *, generator: Generator | None = None, out: Any = None) -> Tensor:
    """Indices drawn with probabilities in proportion to the elements of the last dimension."""
def mv(input: Tensor, vec: Tensor, *, out: Any = None) -> Tensor:
    """The product of a matrix [M, K] and a vector [K]."""
def mvlgamma(input: Tensor, p: _int, *, out: Any = None) -> Any:
    """The logarithm of the multivariate gamma function of dimension p."""
def mvlgamma_(input: Tensor, p: _int, *, out: Any = None) -> Tensor: ...
def nan_to_num(input: Tensor, nan: _float = 0.0, posinf: _float | None = None, neginf: _float | None = None, *, out: Any = None) -> Tensor:
    """NaN and infinities replaced; infinities by the largest finite numbers where not given."""
def nan_to_num_(input: Tensor, nan: _float = 0.0, posinf: _float | None = None, neginf: _float | None = None, *, out: Any = None) -> Tensor: ...
def nanmean(input: Tensor, dim: _Dims = None, keepdim: _bool = False, *, dtype: DType | None = None, out: Any = None) -> Tensor:
    """The mean of what is not NaN."""
def nanmedian(input: Tensor, dim: _int | None = None, keepdim: _bool = False, *, out: Any = None) -> Any:
    """The lower median of what is not NaN; NaN where nothing is. With ``dim`` also where it is."""
def nanquantile(input: Tensor, q: Any, dim: _int | None = None, keepdim: _bool = False, *, interpolation: _str = 'linear', out: Any = None) -> Tensor:
    """`quantile` of what is not NaN."""
def nansum(input: Tensor, dim: _Dims = None, keepdim: _bool = False, *, dtype: DType | None = None, out: Any = None) -> Tensor:
    """The sum with NaN counted as 0."""
def narrow(input: Tensor, dim: _int, start: _int, length: _int, *, out: Any = None) -> Tensor:
    """``length`` places of a dimension from ``start`` on; a view."""
def narrow_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `narrow` gives, as a copy."""
def ne(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self != other``, elementwise."""
def ne_(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def not_equal(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self != other``, elementwise."""
def not_equal_(input: Tensor, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def neg(input: Tensor, *, out: Any = None) -> Tensor:
    """``-self``."""
def neg_(input: Tensor, *, out: Any = None) -> Tensor: ...
def negative(input: Tensor, *, out: Any = None) -> Tensor:
    """``-self``."""
def negative_(input: Tensor, *, out: Any = None) -> Tensor: ...
def nextafter(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """The next floating-point number after each element towards the other."""
def nextafter_(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor: ...
def nonzero(input: Tensor, *, as_tuple: _bool = False, out: Any = None) -> Any:
    """Coordinates of the elements that are not 0: one per row, or with ``as_tuple`` a tensor per dimension."""
def nonzero_static(input: Tensor, *, size: _int, fill_value: _int = -1, out: Any = None) -> Tensor:
    """Coordinates of the elements that are not 0: ``size`` rows, cut or filled up."""
def norm(input: Tensor, p: Any = 'fro', dim: _Dims = None, keepdim: _bool = False, dtype: DType | None = None, *, out: Any = None) -> Tensor:
    """The vector norm of order p over dimensions (all by default); "fro" is 2."""
def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """Normal numbers with the given means and standard deviations (numbers with a size, or tensors)."""
@overload
def ones(*size: _int, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """A tensor of ones."""
@overload
def ones(size: Sequence[_int], *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """A tensor of ones."""
def ones_like(input: Tensor, *, memory_format: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """Ones of another's shape and dtype."""
def orgqr(input: Tensor, tau: Tensor, *, out: Any = None) -> Any:
    """The product of reflections; see `flambeau.linalg.householder_product`."""
def ormqr(input: Tensor, tau: Tensor, other: Tensor, left: _bool = True, transpose: _bool = False, *, out: Any = None) -> Any:
    """The product of a matrix with the Q that `geqrf` gives."""
def outer(input: Tensor, vec2: Tensor, *, out: Any = None) -> Tensor:
    """All products of elements of two vectors."""
def ger(input: Tensor, vec2: Tensor, *, out: Any = None) -> Tensor:
    """All products of elements of two vectors."""
def pca_lowrank(A: Tensor, q: Any = None, center: _bool = True, niter: _int = 2, *, out: Any = None) -> Any:
    """The principal components of the rows of A: `svd_lowrank` with the columns' means taken out."""
@overload
def permute(input: Tensor, *dims: _int) -> Tensor:
    """The dimensions in another order."""
@overload
def permute(input: Tensor, dims: Sequence[_int]) -> Tensor:
    """The dimensions in another order."""
def permute_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `permute` gives, as a copy."""
def pinverse(input: Tensor, rcond: _float = 1e-15, *, out: Any = None) -> Any:
    """The pseudo-inverse; see `flambeau.linalg.pinv`."""
def poisson(input: Tensor, generator: Any = None, *, out: Any = None) -> Any:
    """Numbers of Poisson distributions."""
def polar(abs: Tensor, angle: Tensor, *, out: Any = None) -> Tensor:
    """Complex numbers from their size and angle (float32 or float64)."""
def polygamma(n: _int, input: Tensor, *, out: Any = None) -> Any:
    """The n-th derivative of `digamma`."""
def positive(input: Tensor, *, out: Any = None) -> Tensor:
    """``+self``: the tensor itself."""
def pow(input: Tensor | _Number, exponent: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self ** exponent``."""
def pow_(input: Tensor | _Number, exponent: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def prelu(input: Tensor, weight: Tensor, *, out: Any = None) -> Tensor:
    """``x`` where positive, else ``weight * x``, with one weight or one per channel (dimension 1)."""
def prod(input: Tensor, dim: _Dims = None, keepdim: _bool = False, *, dtype: DType | None = None, out: Any = None) -> Tensor:
    """The product over a dimension (all by default); integers multiply as int64."""
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: _bool = False, *, out: Any = None) -> Tensor:
    """A copy with elements of the flattened tensor replaced, or added to."""
def qr(input: Tensor, some: _bool = True, *, out: Any = None) -> Any:
    """The QR factorisation; ``some=False`` gives a square Q."""
def quantile(input: Tensor, q: Any, dim: _int | None = None, keepdim: _bool = False, *, interpolation: _str = 'linear', out: Any = None) -> Tensor:
    """Quantiles along a dimension (of everything by default); NaN where there is one."""
def rad2deg(input: Tensor, *, out: Any = None) -> Tensor:
    """Radians as degrees."""
def rad2deg_(input: Tensor, *, out: Any = None) -> Tensor: ...
@overload
def rand(*size: _int, generator: Generator | None = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """Numbers uniform in [0, 1)."""
@overload
def rand(size: Sequence[_int], *, generator: Generator | None = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """Numbers uniform in [0, 1)."""
def rand_like(input: Tensor, *, generator: Generator | None = None, memory_format: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """Numbers uniform in [0, 1), of another tensor's shape and dtype."""
def randint(low: _int, high: Any = None, size: Any = None, *, generator: Generator | None = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """Integers from ``low`` (0 where only one bound is given) up to, not including, ``high``."""
def randint_like(input: Tensor, low: _int, high: _int | None = None, *, generator: Generator | None = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """Random integers of another tensor's shape and dtype."""
@overload
def randn(*size: _int, generator: Generator | None = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """Normal numbers with mean 0 and standard deviation 1."""
@overload
def randn(size: Sequence[_int], *, generator: Generator | None = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """Normal numbers with mean 0 and standard deviation 1."""
def randn_like(input: Tensor, *, generator: Generator | None = None, memory_format: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """Normal numbers, of another tensor's shape and dtype."""
def randperm(n: _int, *, generator: Generator | None = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """The integers from 0 to n - 1 in random order: the order that sorts n random words."""
def ravel(input: Tensor, *, out: Any = None) -> Tensor:
    """All elements in one dimension; a view where they lie in row-major order without gaps, else a copy."""
def real(input: Tensor, *, out: Any = None) -> Tensor:
    """The real part, a view; itself where it holds real numbers."""
def reciprocal(input: Tensor, *, out: Any = None) -> Tensor:
    """``1 / self``."""
def reciprocal_(input: Tensor, *, out: Any = None) -> Tensor: ...
def relu(input: Tensor, *, out: Any = None) -> Tensor:
    """``max(x, 0)``; NaN stays. The gradient at 0 is 0."""
def relu_(input: Tensor, *, out: Any = None) -> Tensor: ...
def remainder(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self % other``, with the sign of the divisor."""
def remainder_(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def renorm(input: Tensor, p: _Number, dim: _int, maxnorm: _Number, *, out: Any = None) -> Tensor:
    """Every part along a dimension scaled down to a p-norm of at most ``maxnorm``."""
def renorm_(input: Tensor, p: _Number, dim: _int, maxnorm: _Number, *, out: Any = None) -> Tensor: ...
def repeat_interleave(input: Tensor, repeats: _int | Tensor | None = None, dim: _int | None = None, *, output_size: _int | None = None, out: Any = None) -> Tensor:
    """Each element repeated: the same number of times, or as a tensor of counts says."""
@overload
def reshape(input: Tensor, *shape: _int, out: Any = None) -> Tensor:
    """Another shape for the same elements; a view where the memory allows it, a copy where not."""
@overload
def reshape(input: Tensor, shape: Sequence[_int], *, out: Any = None) -> Tensor:
    """Another shape for the same elements; a view where the memory allows it, a copy where not."""
def resize_as_(input: Any, other: Any, memory_format: Any = None, *, out: Any = None) -> Any:
    """Resized in place to another tensor's shape."""
def resize_(input: Tensor, size: Sequence[_int], memory_format: Any = None, *, out: Any = None) -> Tensor:
    """Another shape in place; new elements are uninitialised, memory grows where needed."""
def resolve_conj(input: Tensor, *, out: Any = None) -> Tensor:
    """Itself, or a copy where its conjugate is still to be computed."""
def resolve_neg(input: Tensor, *, out: Any = None) -> Tensor:
    """Itself, or a copy where its negative is still to be computed."""
def result_type(tensor1: Tensor | _Number, tensor2: Tensor | _Number, *, out: Any = None) -> DType:
    """The dtype in which two operands meet."""
def rms_norm(input: Tensor, normalized_shape: Sequence[_int], weight: Tensor | None = None, eps: _float | None = None, *, out: Any = None) -> Tensor:
    """The last dimensions divided by their root mean square, then scaled."""
def roll(input: Tensor, shifts: _int | Sequence[_int], dims: _int | Sequence[_int] = ..., *, out: Any = None) -> Tensor:
    """Elements moved along dimensions; those that leave at the end come in at the start."""
def rot90(input: Tensor, k: _int = 1, dims: Sequence[_int] = ..., *, out: Any = None) -> Tensor:
    """Rotated by 90 degrees ``k`` times, from the first of two dimensions towards the second."""
def round(input: Tensor, *, decimals: _int = 0, out: Any = None) -> Tensor:
    """Rounded to the nearest, halves to even; ``decimals`` counts places after the point."""
def round_(input: Tensor, *, decimals: _int = 0, out: Any = None) -> Tensor: ...
def rsqrt(input: Tensor, *, out: Any = None) -> Tensor:
    """1 / sqrt(x)."""
def rsqrt_(input: Tensor, *, out: Any = None) -> Tensor: ...
def rsub(input: Tensor, other: Tensor | _Number, *, alpha: _Number = 1, out: Any = None) -> Tensor:
    """``other - alpha * self``."""
def scalar_tensor(s: _Number, *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """A 0-d tensor of one number."""
def scatter_add(input: Tensor, dim: _int, index: Tensor, src: Tensor, *, out: Any = None) -> Tensor:
    """A copy with ``src`` added where an index says along a dimension."""
def scatter(input: Tensor, dim: _int, index: Tensor, src: Tensor | _Number, *, reduce: _str | None = None, out: Any = None) -> Tensor:
    """A copy with ``src`` (a tensor or number) written where an index says: ``out[index[i][j]][j] = src[i][j]``."""
def scatter_reduce(input: Tensor, dim: _int, index: Tensor, src: Tensor, reduce: _str, *, include_self: _bool = True, out: Any = None) -> Tensor:
    """Elements of ``src`` folded into a copy where an index says."""
def searchsorted(sorted_sequence: Tensor, input: Tensor | _Number, *, out_int32: _bool = False, right: _bool = False, side: _str | None = None, sorter: Tensor | None = None, out: Any = None) -> Tensor:
    """Where values would go into sorted sequences: before equal elements, or with ``right`` after them."""
def select(input: Tensor, dim: _int, index: _int, *, out: Any = None) -> Tensor:
    """The part at one place of a dimension, which goes; a view."""
def select_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `select` gives, as a copy."""
def select_scatter(input: Tensor, src: Tensor, dim: _int, index: _int, *, out: Any = None) -> Tensor:
    """A copy with one place of a dimension replaced by ``src``."""
def selu(input: Tensor, *, out: Any = None) -> Tensor:
    """The scaled exponential linear unit, whose constants keep mean 0 and variance 1."""
def selu_(input: Tensor, *, out: Any = None) -> Tensor: ...
def sgn(input: Tensor, *, out: Any = None) -> Tensor:
    """``self / abs(self)``, 0 at 0."""
def sgn_(input: Tensor, *, out: Any = None) -> Tensor: ...
def sigmoid(input: Tensor, *, out: Any = None) -> Tensor:
    """1 / (1 + exp(-x))."""
def sigmoid_(input: Tensor, *, out: Any = None) -> Tensor: ...
def sign(input: Tensor, *, out: Any = None) -> Tensor:
    """-1, 0 or 1."""
def sign_(input: Tensor, *, out: Any = None) -> Tensor: ...
def signbit(input: Tensor, *, out: Any = None) -> Tensor:
    """Whether the sign bit is set (also of -0.0)."""
def sin(input: Tensor, *, out: Any = None) -> Tensor:
    """The sine."""
def sin_(input: Tensor, *, out: Any = None) -> Tensor: ...
def sinc(input: Tensor, *, out: Any = None) -> Tensor:
    """sin(pi * x) / (pi * x), 1 at 0."""
def sinc_(input: Tensor, *, out: Any = None) -> Tensor: ...
def sinh(input: Tensor, *, out: Any = None) -> Tensor:
    """The hyperbolic sine."""
def sinh_(input: Tensor, *, out: Any = None) -> Tensor: ...
def slice_scatter(input: Tensor, src: Tensor, dim: _int = 0, start: _int | None = None, end: _int | None = None, step: _int = 1, *, out: Any = None) -> Tensor:
    """A copy with places ``start`` to ``end`` of a dimension replaced by ``src``."""
def slogdet(input: Tensor, *, out: Any = None) -> Any:
    """Sign and logarithm of the determinant; see `flambeau.linalg.slogdet`."""
def softmax(input: Tensor, dim: _int, dtype: DType | None = None, *, out: Any = None) -> Tensor:
    """Exponentials divided by their sum over a dimension."""
def sort(input: Tensor, dim: _int = -1, descending: _bool = False, stable: _bool = True, *, out: Any = None) -> Any:
    """Values in order along a dimension, and where they were; NaN counts as the largest; always stable."""
def split(input: Tensor, split_size_or_sections: _int | Sequence[_int], dim: _int = 0, *, out: Any = None) -> tuple[Tensor, ...]:
    """Parts of one size (the last may be smaller), or of the sizes listed; views."""
def unsafe_split(input: Tensor, split_size_or_sections: _int | Sequence[_int], dim: _int = 0, *, out: Any = None) -> tuple[Tensor, ...]:
    """Parts of one size (the last may be smaller), or of the sizes listed; views."""
def split_with_sizes(input: Tensor, split_sizes: Sequence[_int], dim: _int = 0, *, out: Any = None) -> tuple[Tensor, ...]:
    """Parts of the sizes listed; views."""
def unsafe_split_with_sizes(input: Tensor, split_sizes: Sequence[_int], dim: _int = 0, *, out: Any = None) -> tuple[Tensor, ...]:
    """Parts of the sizes listed; views."""
def split_with_sizes_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `split_with_sizes` gives, as a copy."""
def sqrt(input: Tensor, *, out: Any = None) -> Tensor:
    """The square root."""
def sqrt_(input: Tensor, *, out: Any = None) -> Tensor: ...
def square(input: Tensor, *, out: Any = None) -> Tensor:
    """``self * self``."""
def square_(input: Tensor, *, out: Any = None) -> Tensor: ...
def squeeze(input: Tensor, dim: _int | Sequence[_int] | None = None) -> Tensor:
    """Without its dimensions of size 1, or without those named if they have size 1."""
def squeeze_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `squeeze` gives, as a copy."""
def stack(tensors: Sequence[Tensor], dim: _int = 0, *, out: Any = None) -> Tensor:
    """Tensors of one shape along a new dimension."""
def std(input: Tensor, dim: _Dims = None, unbiased: _bool | None = None, keepdim: _bool = False, *, correction: Any = None, out: Any = None) -> Tensor:
    """The standard deviation over dimensions (all by default)."""
def std_mean(input: Tensor, dim: _Dims = None, unbiased: _bool | None = None, keepdim: _bool = False, *, correction: Any = None, out: Any = None) -> Any:
    """Standard deviation and mean."""
def stft(input: Tensor, n_fft: _int, hop_length: Any = None, win_length: Any = None, window: Any = None, center: _bool = True, pad_mode: _str = 'reflect', normalized: _bool = False, onesided: Any = None, return_complex: Any = None, align_to_window: Any = None, *, out: Any = None) -> Any:
    """The Fourier transforms of overlapping frames of a signal."""
def sub(input: Tensor | _Number, other: Tensor | _Number, *, alpha: _Number = 1, out: Any = None) -> Tensor:
    """``self - alpha * other``."""
def sub_(input: Tensor | _Number, other: Tensor | _Number, *, alpha: _Number = 1, out: Any = None) -> Tensor: ...
def subtract(input: Tensor | _Number, other: Tensor | _Number, *, alpha: _Number = 1, out: Any = None) -> Tensor:
    """``self - alpha * other``."""
def subtract_(input: Tensor | _Number, other: Tensor | _Number, *, alpha: _Number = 1, out: Any = None) -> Tensor: ...
def sum(input: Tensor, dim: _Dims = None, keepdim: _bool = False, *, dtype: DType | None = None, out: Any = None) -> Tensor:
    """The sum over dimensions (all by default); integers add up as int64."""
def svd(input: Tensor, some: _bool = True, compute_uv: _bool = True, *, out: Any = None) -> Any:
    """The singular value decomposition with V, not its adjoint: ``U @ diag(S) @ V.mH``."""
def svd_lowrank(A: Tensor, q: Any = 6, niter: Any = 2, M: Any = None, *, out: Any = None) -> Any:
    """About the ``q`` largest singular values with their vectors, by random projection."""
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors stay; a view."""
def t_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `t` gives, as a copy."""
def take(input: Tensor, index: Tensor, *, out: Any = None) -> Tensor:
    """Elements of the flattened tensor, in the index's shape."""
def take_along_dim(input: Tensor, indices: Tensor, dim: _int | None = None, *, out: Any = None) -> Tensor:
    """`gather` with broadcasting; without a dimension along the flattened tensor."""
def tan(input: Tensor, *, out: Any = None) -> Tensor:
    """The tangent."""
def tan_(input: Tensor, *, out: Any = None) -> Tensor: ...
def tanh(input: Tensor, *, out: Any = None) -> Tensor:
    """The hyperbolic tangent."""
def tanh_(input: Tensor, *, out: Any = None) -> Tensor: ...
def tensor_split(input: Tensor, indices_or_sections: _int | Sequence[_int] | Tensor, dim: _int = 0, *, out: Any = None) -> tuple[Tensor, ...]:
    """So many parts of nearly equal size, or parts that end at the places listed; views."""
def tensordot(input: Tensor, other: Tensor, dims: Any = 2, *, out: Any = None) -> Tensor:
    """The sum of products over pairs of dimensions: the last ``dims`` of one and the first of the other."""
@overload
def tile(input: Tensor, *dims: _int, out: Any = None) -> Tensor:
    """Copies of the whole tensor; dimensions that are not named are not repeated."""
@overload
def tile(input: Tensor, dims: Sequence[_int], *, out: Any = None) -> Tensor:
    """Copies of the whole tensor; dimensions that are not named are not repeated."""
def topk(input: Tensor, k: _int, dim: _int = -1, largest: _bool = True, sorted: _bool = True, *, out: Any = None) -> Any:
    """The k largest (or smallest) elements along a dimension, in order, and where they are."""
def trace(input: Tensor, *, out: Any = None) -> Tensor:
    """The sum of a matrix's diagonal."""
def transpose(input: Tensor, dim0: _int, dim1: _int) -> Tensor:
    """Two dimensions swapped."""
def swapaxes(input: Tensor, dim0: _int, dim1: _int) -> Tensor:
    """Two dimensions swapped."""
def swapdims(input: Tensor, dim0: _int, dim1: _int) -> Tensor:
    """Two dimensions swapped."""
def transpose_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `transpose` gives, as a copy."""
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: _Number = 1, dim: _int = -1, out: Any = None) -> Tensor:
    """The integral along a dimension by the trapezoidal rule, at points ``x`` or with steps ``dx``."""
def trapz(y: Tensor, x: Tensor | None = None, *, dx: _Number = 1, dim: _int = -1, out: Any = None) -> Tensor:
    """The integral along a dimension by the trapezoidal rule, at points ``x`` or with steps ``dx``."""
def triangular_solve(input: Tensor, A: Tensor, upper: _bool = True, transpose: _bool = False, unitriangular: _bool = False, *, out: Any = None) -> Any:
    """The solution of ``A @ X = self`` for triangular A, and A itself."""
def tril(input: Tensor, diagonal: _int = 0, *, out: Any = None) -> Tensor:
    """The lower triangles of matrices, zeros above; ``diagonal`` moves the border up."""
def tril_(input: Tensor, diagonal: _int = 0, *, out: Any = None) -> Tensor: ...
def tril_indices(row: _int, col: _int, offset: _int = 0, *, dtype: Any = None, device: Any = None, out: Any = None) -> Tensor:
    """Rows and columns of a lower triangle's elements."""
def triu(input: Tensor, diagonal: _int = 0, *, out: Any = None) -> Tensor:
    """The upper triangles of matrices, zeros below; ``diagonal`` moves the border up."""
def triu_(input: Tensor, diagonal: _int = 0, *, out: Any = None) -> Tensor: ...
def triu_indices(row: _int, col: _int, offset: _int = 0, *, dtype: Any = None, device: Any = None, out: Any = None) -> Tensor:
    """Rows and columns of an upper triangle's elements."""
def true_divide(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self / other``."""
def true_divide_(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def trunc(input: Tensor, *, out: Any = None) -> Tensor:
    """Rounded towards zero."""
def trunc_(input: Tensor, *, out: Any = None) -> Tensor: ...
def fix(input: Tensor, *, out: Any = None) -> Tensor:
    """Rounded towards zero."""
def fix_(input: Tensor, *, out: Any = None) -> Tensor: ...
def unbind(input: Tensor, dim: _int = 0) -> Tensor:
    """The parts at each place of a dimension, which goes; a tuple of views."""
def unbind_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `unbind` gives, as a copy."""
@overload
def unflatten(input: Tensor, dim: _int, *sizes: _int, out: Any = None) -> Tensor:
    """One dimension split into several; a size may be -1."""
@overload
def unflatten(input: Tensor, dim: _int, sizes: Sequence[_int], *, out: Any = None) -> Tensor:
    """One dimension split into several; a size may be -1."""
def unfold_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `unfold` gives, as a copy."""
def unique(input: Tensor, sorted: _bool = True, return_inverse: _bool = False, return_counts: _bool = False, dim: _int | None = None, *, out: Any = None) -> Any:
    """The distinct elements (or slices along ``dim``) in order, as asked also where each one went and how often."""
def unique_consecutive(input: Tensor, return_inverse: _bool = False, return_counts: _bool = False, dim: _int | None = None, *, out: Any = None) -> Any:
    """The elements (or slices along ``dim``) without repetitions of the one before."""
@overload
def unravel_index(indices: Tensor, *shape: _int, out: Any = None) -> tuple[Tensor, ...]:
    """Coordinates of places in a flattened tensor of a shape, a tensor per dimension."""
@overload
def unravel_index(indices: Tensor, shape: Sequence[_int], *, out: Any = None) -> tuple[Tensor, ...]:
    """Coordinates of places in a flattened tensor of a shape, a tensor per dimension."""
def unsqueeze(input: Tensor, dim: _int) -> Tensor:
    """With a dimension of size 1 put in before ``dim``."""
def unsqueeze_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `unsqueeze` gives, as a copy."""
def vander(x: Tensor, N: _int | None = None, increasing: _bool = False, *, out: Any = None) -> Any:
    """The Vandermonde matrix of a vector: its powers, falling from the first column on unless ``increasing``."""
def var(input: Tensor, dim: _Dims = None, unbiased: _bool | None = None, keepdim: _bool = False, *, correction: Any = None, out: Any = None) -> Tensor:
    """The variance over dimensions (all by default), with n - 1 in the denominator unless told otherwise."""
def var_mean(input: Tensor, dim: _Dims = None, unbiased: _bool | None = None, keepdim: _bool = False, *, correction: Any = None, out: Any = None) -> Any:
    """Variance and mean."""
def vdot(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """The product of two vectors, the first one conjugated."""
def view_as_complex(input: Tensor) -> Tensor:
    """The last dimension, of size 2, taken as real and imaginary parts; a view."""
def view_as_complex_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `view_as_complex` gives, as a copy."""
def view_as_real(input: Tensor) -> Tensor:
    """Real and imaginary parts in a new last dimension of size 2; a view."""
def view_as_real_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `view_as_real` gives, as a copy."""
def view_copy(input: Any, *args: Any, out: Any = None) -> Any:
    """What `view` gives, as a copy."""
def vsplit(input: Tensor, indices_or_sections: _int | Sequence[_int], *, out: Any = None) -> tuple[Tensor, ...]:
    """Split along the first dimension."""
def vstack(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor:
    """Joined along the first dimension; vectors are rows."""
def row_stack(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor:
    """Joined along the first dimension; vectors are rows."""
def where(condition: Tensor, input: Tensor | _Number | None = None, other: Tensor | _Number | None = None, *, out: Any = None) -> Any:
    """Elements of ``self`` where a condition holds, of ``other`` elsewhere; alone: where it holds, per dimension."""
def xlogy(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor:
    """``self * log(other)``, 0 where self is 0."""
def xlogy_(input: Tensor | _Number, other: Tensor | _Number, *, out: Any = None) -> Tensor: ...
def zero_(input: Tensor, *, out: Any = None) -> Tensor:
    """Overwrite with zeros."""
@overload
def zeros(*size: _int, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """A tensor of zeros."""
@overload
def zeros(size: Sequence[_int], *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """A tensor of zeros."""
def zeros_like(input: Tensor, *, memory_format: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False, out: Any = None) -> Tensor:
    """Zeros of another's shape and dtype."""

__all__ = [
    "abs",
    "abs_",
    "absolute",
    "absolute_",
    "acos",
    "acos_",
    "acosh",
    "acosh_",
    "adaptive_avg_pool1d",
    "add",
    "add_",
    "addbmm",
    "addbmm_",
    "addcdiv",
    "addcdiv_",
    "addcmul",
    "addcmul_",
    "addmm",
    "addmm_",
    "addmv",
    "addmv_",
    "addr",
    "addr_",
    "adjoint",
    "alias_copy",
    "all",
    "allclose",
    "amax",
    "amin",
    "aminmax",
    "angle",
    "any",
    "arange",
    "arccos",
    "arccos_",
    "arccosh",
    "arccosh_",
    "arcsin",
    "arcsin_",
    "arcsinh",
    "arcsinh_",
    "arctan",
    "arctan2",
    "arctan2_",
    "arctan_",
    "arctanh",
    "arctanh_",
    "argmax",
    "argmin",
    "argsort",
    "argwhere",
    "as_strided",
    "as_strided_copy",
    "as_strided_scatter",
    "asin",
    "asin_",
    "asinh",
    "asinh_",
    "atan",
    "atan2",
    "atan2_",
    "atan_",
    "atanh",
    "atanh_",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "avg_pool1d",
    "baddbmm",
    "baddbmm_",
    "bartlett_window",
    "batch_norm",
    "bernoulli",
    "bincount",
    "binomial",
    "bitwise_and",
    "bitwise_and_",
    "bitwise_left_shift",
    "bitwise_left_shift_",
    "bitwise_not",
    "bitwise_not_",
    "bitwise_or",
    "bitwise_or_",
    "bitwise_right_shift",
    "bitwise_right_shift_",
    "bitwise_xor",
    "bitwise_xor_",
    "blackman_window",
    "block_diag",
    "bmm",
    "broadcast_tensors",
    "broadcast_to",
    "bucketize",
    "cartesian_prod",
    "cat",
    "cdist",
    "ceil",
    "ceil_",
    "celu",
    "celu_",
    "chain_matmul",
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "chunk",
    "clamp",
    "clamp_",
    "clamp_max",
    "clamp_max_",
    "clamp_min",
    "clamp_min_",
    "clip",
    "clip_",
    "clone",
    "column_stack",
    "combinations",
    "complex",
    "concat",
    "concatenate",
    "conj",
    "conj_physical",
    "conj_physical_",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "copysign",
    "copysign_",
    "corrcoef",
    "cos",
    "cos_",
    "cosh",
    "cosh_",
    "count_nonzero",
    "cov",
    "cross",
    "cummax",
    "cummin",
    "cumprod",
    "cumprod_",
    "cumsum",
    "cumsum_",
    "cumulative_trapezoid",
    "deg2rad",
    "deg2rad_",
    "det",
    "diag",
    "diag_embed",
    "diagflat",
    "diagonal",
    "diagonal_copy",
    "diagonal_scatter",
    "diff",
    "digamma",
    "digamma_",
    "dist",
    "div",
    "div_",
    "divide",
    "divide_",
    "dot",
    "dropout",
    "dsplit",
    "dstack",
    "einsum",
    "empty",
    "empty_like",
    "empty_permuted",
    "empty_strided",
    "eq",
    "eq_",
    "equal",
    "erf",
    "erf_",
    "erfc",
    "erfc_",
    "erfinv",
    "erfinv_",
    "exp",
    "exp2",
    "exp2_",
    "exp_",
    "expand",
    "expand_copy",
    "expm1",
    "expm1_",
    "eye",
    "fill",
    "fill_",
    "fix",
    "fix_",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "float_power",
    "float_power_",
    "floor",
    "floor_",
    "floor_divide",
    "floor_divide_",
    "fmax",
    "fmin",
    "fmod",
    "fmod_",
    "frac",
    "frac_",
    "frexp",
    "full",
    "full_like",
    "gather",
    "gcd",
    "gcd_",
    "ge",
    "ge_",
    "geqrf",
    "ger",
    "gradient",
    "greater",
    "greater_",
    "greater_equal",
    "greater_equal_",
    "group_norm",
    "gt",
    "gt_",
    "hamming_window",
    "hann_window",
    "hardshrink",
    "hash_tensor",
    "heaviside",
    "heaviside_",
    "histc",
    "histogram",
    "histogramdd",
    "hsplit",
    "hstack",
    "hypot",
    "hypot_",
    "i0",
    "i0_",
    "igamma",
    "igamma_",
    "igammac",
    "igammac_",
    "imag",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_reduce",
    "index_select",
    "inner",
    "inverse",
    "is_conj",
    "is_neg",
    "isclose",
    "isfinite",
    "isin",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "istft",
    "kaiser_window",
    "kron",
    "kthvalue",
    "layer_norm",
    "lcm",
    "lcm_",
    "ldexp",
    "ldexp_",
    "le",
    "le_",
    "lerp",
    "lerp_",
    "less",
    "less_",
    "less_equal",
    "less_equal_",
    "lgamma",
    "lgamma_",
    "linspace",
    "lobpcg",
    "log",
    "log10",
    "log10_",
    "log1p",
    "log1p_",
    "log2",
    "log2_",
    "log_",
    "log_softmax",
    "logaddexp",
    "logaddexp2",
    "logcumsumexp",
    "logdet",
    "logical_and",
    "logical_and_",
    "logical_not",
    "logical_not_",
    "logical_or",
    "logical_or_",
    "logical_xor",
    "logical_xor_",
    "logit",
    "logit_",
    "logspace",
    "logsumexp",
    "lt",
    "lt_",
    "lu",
    "lu_solve",
    "lu_unpack",
    "masked_fill",
    "masked_scatter",
    "masked_select",
    "matmul",
    "matrix_exp",
    "matrix_power",
    "max",
    "max_pool1d",
    "max_pool2d",
    "maximum",
    "maximum_",
    "mean",
    "median",
    "meshgrid",
    "min",
    "minimum",
    "minimum_",
    "mm",
    "mode",
    "moveaxis",
    "movedim",
    "msort",
    "mul",
    "mul_",
    "multinomial",
    "multiply",
    "multiply_",
    "mv",
    "mvlgamma",
    "mvlgamma_",
    "nan_to_num",
    "nan_to_num_",
    "nanmean",
    "nanmedian",
    "nanquantile",
    "nansum",
    "narrow",
    "narrow_copy",
    "ne",
    "ne_",
    "neg",
    "neg_",
    "negative",
    "negative_",
    "nextafter",
    "nextafter_",
    "nonzero",
    "nonzero_static",
    "norm",
    "normal",
    "not_equal",
    "not_equal_",
    "ones",
    "ones_like",
    "orgqr",
    "ormqr",
    "outer",
    "pca_lowrank",
    "permute",
    "permute_copy",
    "pinverse",
    "poisson",
    "polar",
    "polygamma",
    "positive",
    "pow",
    "pow_",
    "prelu",
    "prod",
    "put",
    "qr",
    "quantile",
    "rad2deg",
    "rad2deg_",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "ravel",
    "real",
    "reciprocal",
    "reciprocal_",
    "relu",
    "relu_",
    "remainder",
    "remainder_",
    "renorm",
    "renorm_",
    "repeat_interleave",
    "reshape",
    "resize_",
    "resize_as_",
    "resolve_conj",
    "resolve_neg",
    "result_type",
    "rms_norm",
    "roll",
    "rot90",
    "round",
    "round_",
    "row_stack",
    "rsqrt",
    "rsqrt_",
    "rsub",
    "scalar_tensor",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "searchsorted",
    "select",
    "select_copy",
    "select_scatter",
    "selu",
    "selu_",
    "sgn",
    "sgn_",
    "sigmoid",
    "sigmoid_",
    "sign",
    "sign_",
    "signbit",
    "sin",
    "sin_",
    "sinc",
    "sinc_",
    "sinh",
    "sinh_",
    "slice_scatter",
    "slogdet",
    "softmax",
    "sort",
    "split",
    "split_with_sizes",
    "split_with_sizes_copy",
    "sqrt",
    "sqrt_",
    "square",
    "square_",
    "squeeze",
    "squeeze_copy",
    "stack",
    "std",
    "std_mean",
    "stft",
    "sub",
    "sub_",
    "subtract",
    "subtract_",
    "sum",
    "svd",
    "svd_lowrank",
    "swapaxes",
    "swapdims",
    "t",
    "t_copy",
    "take",
    "take_along_dim",
    "tan",
    "tan_",
    "tanh",
    "tanh_",
    "tensor_split",
    "tensordot",
    "tile",
    "topk",
    "trace",
    "transpose",
    "transpose_copy",
    "trapezoid",
    "trapz",
    "triangular_solve",
    "tril",
    "tril_",
    "tril_indices",
    "triu",
    "triu_",
    "triu_indices",
    "true_divide",
    "true_divide_",
    "trunc",
    "trunc_",
    "unbind",
    "unbind_copy",
    "unflatten",
    "unfold_copy",
    "unique",
    "unique_consecutive",
    "unravel_index",
    "unsafe_chunk",
    "unsafe_split",
    "unsafe_split_with_sizes",
    "unsqueeze",
    "unsqueeze_copy",
    "vander",
    "var",
    "var_mean",
    "vdot",
    "view_as_complex",
    "view_as_complex_copy",
    "view_as_real",
    "view_as_real_copy",
    "view_copy",
    "vsplit",
    "vstack",
    "where",
    "xlogy",
    "xlogy_",
    "zero_",
    "zeros",
    "zeros_like",
]
