"""Methods of tensors. Written by tools/make_stubs.py from the records; don't edit."""

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

class TensorMethods:
    def abs(self) -> Tensor:
        """The absolute value (of complex numbers: the real modulus)."""
    def absolute(self) -> Tensor:
        """The absolute value (of complex numbers: the real modulus)."""
    def abs_(self) -> Tensor:
        """In-place form of `abs`."""
    def absolute_(self) -> Tensor:
        """In-place form of `absolute`."""
    def acos(self) -> Tensor:
        """The inverse cosine."""
    def arccos(self) -> Tensor:
        """The inverse cosine."""
    def acos_(self) -> Tensor:
        """In-place form of `acos`."""
    def arccos_(self) -> Tensor:
        """In-place form of `arccos`."""
    def acosh(self) -> Tensor:
        """The inverse hyperbolic cosine."""
    def arccosh(self) -> Tensor:
        """The inverse hyperbolic cosine."""
    def acosh_(self) -> Tensor:
        """In-place form of `acosh`."""
    def arccosh_(self) -> Tensor:
        """In-place form of `arccosh`."""
    def add(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """``self + alpha * other``."""
    def add_(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """In-place form of `add`."""
    def addbmm(self, batch1: Tensor, batch2: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor:
        """``beta * self + alpha * bmm(batch1, batch2).sum(0)``."""
    def addbmm_(self, batch1: Tensor, batch2: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor:
        """In-place form of `addbmm`."""
    def addcdiv(self, tensor1: Tensor, tensor2: Tensor, *, value: _Number = 1) -> Tensor:
        """``self + value * tensor1 / tensor2``."""
    def addcdiv_(self, tensor1: Tensor, tensor2: Tensor, *, value: _Number = 1) -> Tensor:
        """In-place form of `addcdiv`."""
    def addcmul(self, tensor1: Tensor, tensor2: Tensor, *, value: _Number = 1) -> Tensor:
        """``self + value * tensor1 * tensor2``."""
    def addcmul_(self, tensor1: Tensor, tensor2: Tensor, *, value: _Number = 1) -> Tensor:
        """In-place form of `addcmul`."""
    def addmm(self, mat1: Tensor, mat2: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor:
        """``beta * self + alpha * (mat1 @ mat2)``."""
    def addmm_(self, mat1: Tensor, mat2: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor:
        """In-place form of `addmm`."""
    def addmv(self, mat: Tensor, vec: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor:
        """``beta * self + alpha * (mat @ vec)``."""
    def addmv_(self, mat: Tensor, vec: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor:
        """In-place form of `addmv`."""
    def addr(self, vec1: Tensor, vec2: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor:
        """``beta * self + alpha * outer(vec1, vec2)``."""
    def addr_(self, vec1: Tensor, vec2: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor:
        """In-place form of `addr`."""
    def adjoint(self) -> Tensor:
        """The conjugate transposes of the matrices in the last two dimensions."""
    def all(self, dim: _Dims = None, keepdim: _bool = False) -> Tensor:
        """Whether all elements are non-zero."""
    def allclose(self, other: Tensor, rtol: _float = 1e-05, atol: _float = 1e-08, equal_nan: _bool = False) -> _bool:
        """Whether all elements are close; see `isclose`."""
    def amax(self, dim: _Dims = ..., keepdim: _bool = False) -> Tensor:
        """The largest element over dimensions (all by default); NaN if there is one."""
    def amin(self, dim: _Dims = ..., keepdim: _bool = False) -> Tensor:
        """The smallest element over dimensions (all by default); NaN if there is one."""
    def aminmax(self, *, dim: _int | None = None, keepdim: _bool = False) -> Any:
        """The smallest and the largest element."""
    def angle(self) -> Tensor:
        """The angle in radians of complex numbers; of real ones 0, or pi where negative."""
    def any(self, dim: _Dims = None, keepdim: _bool = False) -> Tensor:
        """Whether any element is non-zero."""
    def argmax(self, dim: _int | None = None, keepdim: _bool = False) -> Tensor:
        """The index of the largest element; of equal ones the first."""
    def argmin(self, dim: _int | None = None, keepdim: _bool = False) -> Tensor:
        """The index of the smallest element; of equal ones the first."""
    def argsort(self, dim: _int = -1, descending: _bool = False, stable: _bool = True) -> Tensor:
        """Where sorted values come from."""
    def argwhere(self) -> Tensor:
        """Coordinates of the elements that are not 0, one per row."""
    def as_strided_(self, size: Sequence[_int], stride: Sequence[_int], storage_offset: _int | None = None) -> Tensor:
        """In-place form of `as_strided`."""
    def as_strided_scatter(self, src: Tensor, size: Sequence[_int], stride: Sequence[_int], storage_offset: _int | None = None) -> Tensor:
        """A copy with one of its `as_strided` views replaced by ``src``."""
    def as_strided(self, size: Sequence[_int], stride: Sequence[_int], storage_offset: _int | None = None) -> Tensor:
        """A view of the whole memory with any sizes, strides and offset (in elements, from the memory's start)."""
    def asin(self) -> Tensor:
        """The inverse sine."""
    def arcsin(self) -> Tensor:
        """The inverse sine."""
    def asin_(self) -> Tensor:
        """In-place form of `asin`."""
    def arcsin_(self) -> Tensor:
        """In-place form of `arcsin`."""
    def asinh(self) -> Tensor:
        """The inverse hyperbolic sine."""
    def arcsinh(self) -> Tensor:
        """The inverse hyperbolic sine."""
    def asinh_(self) -> Tensor:
        """In-place form of `asinh`."""
    def arcsinh_(self) -> Tensor:
        """In-place form of `arcsinh`."""
    def atan(self) -> Tensor:
        """The inverse tangent."""
    def arctan(self) -> Tensor:
        """The inverse tangent."""
    def atan_(self) -> Tensor:
        """In-place form of `atan`."""
    def arctan_(self) -> Tensor:
        """In-place form of `arctan`."""
    def atan2(self, other: Tensor) -> Tensor:
        """The angle of the point (other, self)."""
    def arctan2(self, other: Tensor) -> Tensor:
        """The angle of the point (other, self)."""
    def atan2_(self, other: Tensor) -> Tensor:
        """In-place form of `atan2`."""
    def arctan2_(self, other: Tensor) -> Tensor:
        """In-place form of `arctan2`."""
    def atanh(self) -> Tensor:
        """The inverse hyperbolic tangent."""
    def arctanh(self) -> Tensor:
        """The inverse hyperbolic tangent."""
    def atanh_(self) -> Tensor:
        """In-place form of `atanh`."""
    def arctanh_(self) -> Tensor:
        """In-place form of `arctanh`."""
    def baddbmm(self, batch1: Tensor, batch2: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor:
        """``beta * self + alpha * bmm(batch1, batch2)``."""
    def baddbmm_(self, batch1: Tensor, batch2: Tensor, *, beta: _Number = 1, alpha: _Number = 1) -> Tensor:
        """In-place form of `baddbmm`."""
    def bernoulli(self, p: _float | None = None, *, generator: Generator | None = None) -> Tensor:
        """1 with the probability that the element says (or ``p``), else 0."""
    def bernoulli_(self, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
        """Overwrite with 1 with probability ``p`` (a number or a tensor), else 0."""
    def bfloat16(self, memory_format: Any = None) -> Tensor:
        """Converted to bfloat16."""
    def bincount(self, weights: Tensor | None = None, minlength: _int = 0) -> Tensor:
        """How often each number from 0 on occurs, or the sum of its weights."""
    def bitwise_and(self, other: Tensor | _Number) -> Tensor:
        """``self & other``."""
    def bitwise_and_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `bitwise_and`."""
    def bitwise_left_shift(self, other: Tensor | _Number) -> Tensor:
        """``self << other``."""
    def bitwise_left_shift_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `bitwise_left_shift`."""
    def bitwise_not(self) -> Tensor:
        """``~self``."""
    def bitwise_not_(self) -> Tensor:
        """In-place form of `bitwise_not`."""
    def bitwise_or(self, other: Tensor | _Number) -> Tensor:
        """``self | other``."""
    def bitwise_or_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `bitwise_or`."""
    def bitwise_right_shift(self, other: Tensor | _Number) -> Tensor:
        """``self >> other``."""
    def bitwise_right_shift_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `bitwise_right_shift`."""
    def bitwise_xor(self, other: Tensor | _Number) -> Tensor:
        """``self ^ other``."""
    def bitwise_xor_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `bitwise_xor`."""
    def bmm(self, mat2: Tensor) -> Tensor:
        """The products of two stacks of matrices, [B, M, K] and [B, K, N]."""
    def bool(self, memory_format: Any = None) -> Tensor:
        """Converted to bool."""
    @overload
    def broadcast_to(self, *size: _int) -> Tensor:
        """Expanded to a shape; a view."""
    @overload
    def broadcast_to(self, size: Sequence[_int]) -> Tensor:
        """Expanded to a shape; a view."""
    def byte(self, memory_format: Any = None) -> Tensor:
        """Converted to uint8."""
    def cauchy_(self, *args: _float, generator: Generator | None = None) -> Tensor:
        """Overwrite with Cauchy-distributed numbers."""
    def cdouble(self, memory_format: Any = None) -> Tensor:
        """Converted to complex128."""
    def ceil(self) -> Tensor:
        """Rounded up."""
    def ceil_(self) -> Tensor:
        """In-place form of `ceil`."""
    def ceil_float_(self) -> Tensor:
        """In-place form of `ceil_float`."""
    def celu_(self, alpha: _Number = 1.0) -> Tensor:
        """In-place form of `celu`."""
    def cfloat(self, memory_format: Any = None) -> Tensor:
        """Converted to complex64."""
    def char(self, memory_format: Any = None) -> Tensor:
        """Converted to int8."""
    def cholesky(self, upper: _bool = False) -> Any:
        """The Cholesky factor; see `flambeau.linalg.cholesky`."""
    def cholesky_inverse(self, upper: _bool = False) -> Any:
        """The inverse of the matrix whose Cholesky factor this is."""
    def cholesky_solve(self, L: Tensor, upper: _bool = False) -> Any:
        """The solution of ``A @ X = self`` where L is A's Cholesky factor."""
    def chunk(self, chunks: _int, dim: _int = 0) -> tuple[Tensor, ...]:
        """At most ``chunks`` parts of one size (the last may be smaller); views."""
    def unsafe_chunk(self, chunks: _int, dim: _int = 0) -> tuple[Tensor, ...]:
        """At most ``chunks`` parts of one size (the last may be smaller); views."""
    def clamp(self, min: Tensor | _Number | None = None, max: Tensor | _Number | None = None) -> Tensor:
        """Values limited to ``[min, max]``; NaN stays."""
    def clip(self, min: Tensor | _Number | None = None, max: Tensor | _Number | None = None) -> Tensor:
        """Values limited to ``[min, max]``; NaN stays."""
    def clamp_(self, min: Tensor | _Number | None = None, max: Tensor | _Number | None = None) -> Tensor:
        """In-place form of `clamp`."""
    def clip_(self, min: Tensor | _Number | None = None, max: Tensor | _Number | None = None) -> Tensor:
        """In-place form of `clip`."""
    def clamp_max(self, max: Tensor | _Number) -> Tensor:
        """Values lowered to at most ``max``."""
    def clamp_max_(self, max: Tensor | _Number) -> Tensor:
        """In-place form of `clamp_max`."""
    def clamp_min(self, min: Tensor | _Number) -> Tensor:
        """Values raised to at least ``min``."""
    def clamp_min_(self, min: Tensor | _Number) -> Tensor:
        """In-place form of `clamp_min`."""
    def clone(self, *, memory_format: Any = None) -> Tensor:
        """A copy with memory of its own; gradients pass through."""
    def combinations(self, r: _int = 2, with_replacement: _bool = False) -> Tensor:
        """All choices of ``r`` elements of a vector, one per row."""
    def conj(self) -> Tensor:
        """The complex conjugate, a view: the sign is changed when something reads it; real numbers: the tensor itself."""
    def conj_physical(self) -> Tensor:
        """The complex conjugate, computed; real numbers: the tensor itself."""
    def conj_physical_(self) -> Tensor:
        """In-place form of `conj_physical`."""
    def contiguous(self, *, memory_format: Any = 'contiguous_format') -> Tensor:
        """Itself if its elements lie in the order of a memory format without gaps, a copy otherwise."""
    def copy_(self, src: Tensor, non_blocking: _bool = False) -> Tensor:
        """Overwrite with another tensor's values, broadcast and converted."""
    def copysign(self, other: Tensor | _Number) -> Tensor:
        """The magnitude of one with the sign of the other."""
    def copysign_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `copysign`."""
    def corrcoef(self) -> Any:
        """The correlation coefficients of variables that stand in rows."""
    def cos(self) -> Tensor:
        """The cosine."""
    def cos_(self) -> Tensor:
        """In-place form of `cos`."""
    def cosh(self) -> Tensor:
        """The hyperbolic cosine."""
    def cosh_(self) -> Tensor:
        """In-place form of `cosh`."""
    def count_nonzero(self, dim: _Dims = None) -> Tensor:
        """How many elements are not zero."""
    def cov(self, *, correction: _int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None) -> Any:
        """The covariance matrix of variables that stand in rows."""
    def cross(self, other: Tensor, dim: _int | None = None) -> Tensor:
        """The cross products of vectors of 3 elements along a dimension (default: the first of size 3)."""
    def cummax(self, dim: _int) -> Any:
        """The running maximum along a dimension and where it was found."""
    def cummin(self, dim: _int) -> Any:
        """The running minimum along a dimension and where it was found."""
    def cumprod(self, dim: _int, *, dtype: DType | None = None) -> Tensor:
        """The running product along a dimension."""
    def cumprod_(self, dim: _int, *, dtype: DType | None = None) -> Tensor:
        """In-place form of `cumprod`."""
    def cumsum(self, dim: _int, *, dtype: DType | None = None) -> Tensor:
        """The running sum along a dimension."""
    def cumsum_(self, dim: _int, *, dtype: DType | None = None) -> Tensor:
        """In-place form of `cumsum`."""
    def deg2rad(self) -> Tensor:
        """Degrees as radians."""
    def deg2rad_(self) -> Tensor:
        """In-place form of `deg2rad`."""
    def det(self) -> Any:
        """The determinant; see `flambeau.linalg.det`."""
    def diag(self, diagonal: _int = 0) -> Tensor:
        """The diagonal of a matrix (a copy), or a matrix with a vector on its diagonal."""
    def diag_embed(self, offset: _int = 0, dim1: _int = -2, dim2: _int = -1) -> Tensor:
        """Matrices of zeros with the last dimension on their diagonals."""
    def diagflat(self, offset: _int = 0) -> Tensor:
        """A matrix with all elements on its diagonal."""
    def diagonal(self, offset: _int = 0, dim1: _int = 0, dim2: _int = 1) -> Tensor:
        """The diagonal of two dimensions as the last dimension; a view."""
    def diagonal_scatter(self, src: Tensor, offset: _int = 0, dim1: _int = 0, dim2: _int = 1) -> Tensor:
        """A copy with a diagonal replaced by ``src``."""
    def diff(self, n: _int = 1, dim: _int = -1, prepend: Tensor | None = None, append: Tensor | None = None) -> Tensor:
        """Differences of neighbours along a dimension, ``n`` times; of bools: whether neighbours differ."""
    def digamma(self) -> Tensor:
        """The logarithmic derivative of the gamma function."""
    def digamma_(self) -> Tensor:
        """In-place form of `digamma`."""
    def dist(self, other: Tensor, p: _float = 2) -> Tensor:
        """The p-norm of the difference."""
    def div(self, other: Tensor | _Number, *, rounding_mode: _str | None = None) -> Tensor:
        """``self / other``; integers give floating-point numbers unless rounded."""
    def divide(self, other: Tensor | _Number, *, rounding_mode: _str | None = None) -> Tensor:
        """``self / other``; integers give floating-point numbers unless rounded."""
    def div_(self, other: Tensor | _Number, *, rounding_mode: _str | None = None) -> Tensor:
        """In-place form of `div`."""
    def divide_(self, other: Tensor | _Number, *, rounding_mode: _str | None = None) -> Tensor:
        """In-place form of `divide`."""
    def div_floor_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `div_floor`."""
    def div_true_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `div_true`."""
    def dot(self, tensor: Tensor) -> Tensor:
        """The product of two vectors."""
    def double(self, memory_format: Any = None) -> Tensor:
        """Converted to float64."""
    def dsplit(self, indices_or_sections: _int | Sequence[_int]) -> tuple[Tensor, ...]:
        """Split along the third dimension."""
    def eq(self, other: Tensor | _Number) -> Tensor:
        """``self == other``, elementwise."""
    def eq_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `eq`."""
    def equal(self, other: Tensor) -> _bool:
        """Whether both have the same shape and the same elements."""
    def erf(self) -> Tensor:
        """The error function."""
    def erf_(self) -> Tensor:
        """In-place form of `erf`."""
    def erfc(self) -> Tensor:
        """1 - erf(x)."""
    def erfc_(self) -> Tensor:
        """In-place form of `erfc`."""
    def erfinv(self) -> Tensor:
        """The inverse error function."""
    def erfinv_(self) -> Tensor:
        """In-place form of `erfinv`."""
    def exp(self) -> Tensor:
        """The exponential."""
    def exp_(self) -> Tensor:
        """In-place form of `exp`."""
    def exp2(self) -> Tensor:
        """Two to the power."""
    def exp2_(self) -> Tensor:
        """In-place form of `exp2`."""
    @overload
    def expand(self, *size: _int, implicit: _bool = False) -> Tensor:
        """Dimensions of size 1 repeated to a larger shape, without memory; -1 keeps a size."""
    @overload
    def expand(self, size: Sequence[_int], *, implicit: _bool = False) -> Tensor:
        """Dimensions of size 1 repeated to a larger shape, without memory; -1 keeps a size."""
    def expand_as(self, other: Tensor) -> Tensor:
        """Expanded to another tensor's shape; a view."""
    def expm1(self) -> Tensor:
        """exp(x) - 1."""
    def expm1_(self) -> Tensor:
        """In-place form of `expm1`."""
    def exponential_(self, lambd: _float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Overwrite with exponentially distributed numbers of rate ``lambd``."""
    def fill(self, value: Tensor | _Number) -> Tensor:
        """A tensor of the same shape filled with one number."""
    def fill_(self, value: Tensor | _Number) -> Tensor:
        """Overwrite with one number."""
    def fill_diagonal_(self, fill_value: _Number, wrap: _bool = False) -> Tensor:
        """Overwrite the main diagonal (of equal dimensions, where there are more than two) with a number."""
    def flatten(self, start_dim: _int = 0, end_dim: _int = -1) -> Tensor:
        """Dimensions from ``start_dim`` to ``end_dim`` merged into one; a view where the memory allows it."""
    @overload
    def flip(self, *dims: _int) -> Tensor:
        """The order along dimensions reversed; a copy (``x[::-1]`` is a view)."""
    @overload
    def flip(self, dims: Sequence[_int]) -> Tensor:
        """The order along dimensions reversed; a copy (``x[::-1]`` is a view)."""
    def fliplr(self) -> Tensor:
        """The order of columns reversed."""
    def flipud(self) -> Tensor:
        """The order of rows reversed."""
    def float(self, memory_format: Any = None) -> Tensor:
        """Converted to float32."""
    def float_power(self, exponent: Tensor | _Number) -> Tensor:
        """``self ** exponent`` in float64 (complex128 where either is complex)."""
    def float_power_(self, exponent: Tensor | _Number) -> Tensor:
        """In-place form of `float_power`."""
    def floor(self) -> Tensor:
        """Rounded down."""
    def floor_(self) -> Tensor:
        """In-place form of `floor`."""
    def floor_divide(self, other: Tensor | _Number) -> Tensor:
        """``self // other``: division rounded down."""
    def floor_divide_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `floor_divide`."""
    def floor_float_(self) -> Tensor:
        """In-place form of `floor_float`."""
    def fmax(self, other: Tensor) -> Tensor:
        """The larger of each pair; the other one if one is NaN."""
    def fmin(self, other: Tensor) -> Tensor:
        """The smaller of each pair; the other one if one is NaN."""
    def fmod(self, other: Tensor | _Number) -> Tensor:
        """The remainder of division with the sign of the dividend."""
    def fmod_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `fmod`."""
    def frac(self) -> Tensor:
        """What `trunc` cuts off."""
    def frac_(self) -> Tensor:
        """In-place form of `frac`."""
    def frexp(self) -> Any:
        """Mantissas, of size in [0.5, 1), and int32 exponents with ``self == mantissa * 2**exponent``."""
    def gather(self, dim: _int, index: Tensor, *, sparse_grad: _bool = False) -> Tensor:
        """Elements along a dimension where an index says: ``out[i][j] = self[index[i][j]][j]`` for dim 0."""
    def gcd(self, other: Tensor) -> Tensor:
        """The greatest common divisor, by Euclid's algorithm."""
    def gcd_(self, other: Tensor) -> Tensor:
        """In-place form of `gcd`."""
    def ge(self, other: Tensor | _Number) -> Tensor:
        """``self >= other``, elementwise."""
    def greater_equal(self, other: Tensor | _Number) -> Tensor:
        """``self >= other``, elementwise."""
    def ge_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `ge`."""
    def greater_equal_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `greater_equal`."""
    def geometric_(self, *args: _float, generator: Generator | None = None) -> Tensor:
        """Overwrite with numbers of trials until the first success."""
    def geqrf(self) -> Tensor:
        """LAPACK's QR: R in the upper triangle, the reflections below it and their factors."""
    def gt(self, other: Tensor | _Number) -> Tensor:
        """``self > other``, elementwise."""
    def greater(self, other: Tensor | _Number) -> Tensor:
        """``self > other``, elementwise."""
    def gt_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `gt`."""
    def greater_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `greater`."""
    def half(self, memory_format: Any = None) -> Tensor:
        """Converted to float16."""
    def hardshrink(self, lambd: _Number = 0.5) -> Tensor:
        """0 where ``-lambd <= x <= lambd``, else ``x``."""
    def hash_tensor(self, dim: Any = ..., *, keepdim: _bool = False, mode: _int = 0) -> Tensor:
        """The exclusive or of all elements' bits (of float64 or int64), as uint64."""
    def heaviside(self, values: Tensor) -> Tensor:
        """0 where negative (or NaN), 1 where positive, ``values`` at 0."""
    def heaviside_(self, values: Tensor) -> Tensor:
        """In-place form of `heaviside`."""
    def histc(self, bins: _int = 100, min: _Number = 0, max: _Number = 0) -> Tensor:
        """Counts of elements in equal bins between ``min`` and ``max`` (both 0: those of the data)."""
    def histogram(self, bins: Any = 100, *, range: Any = None, weight: Tensor | None = None, density: _bool = False) -> Any:
        """The histogram of all elements."""
    def hsplit(self, indices_or_sections: _int | Sequence[_int]) -> tuple[Tensor, ...]:
        """Split along the second dimension (the first of vectors)."""
    def hypot(self, other: Tensor) -> Tensor:
        """sqrt(self**2 + other**2)."""
    def hypot_(self, other: Tensor) -> Tensor:
        """In-place form of `hypot`."""
    def i0(self) -> Tensor:
        """The modified Bessel function of the first kind of order 0."""
    def i0_(self) -> Tensor:
        """In-place form of `i0`."""
    def igamma(self, other: Tensor) -> Any:
        """The regularised lower incomplete gamma function."""
    def igamma_(self, other: Tensor) -> Tensor:
        """In-place form of `igamma`."""
    def igammac(self, other: Tensor) -> Any:
        """The regularised upper incomplete gamma function, 1 - `igamma`."""
    def igammac_(self, other: Tensor) -> Tensor:
        """In-place form of `igammac`."""
    def index_add(self, dim: _int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
        """A copy with the rows of ``source`` (times ``alpha``) added to the rows that an index names."""
    def index_add_(self, dim: _int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
        """In-place form of `index_add`."""
    def index_copy(self, dim: _int, index: Tensor, source: Tensor) -> Tensor:
        """A copy with the rows that an index names replaced by those of ``source``."""
    def index_copy_(self, dim: _int, index: Tensor, source: Tensor) -> Tensor:
        """In-place form of `index_copy`."""
    def index_fill(self, dim: _int, index: Tensor, value: Tensor | _Number) -> Tensor:
        """A copy with one number in the rows that an index names."""
    def index_fill_(self, dim: _int, index: Tensor, value: Tensor | _Number) -> Tensor:
        """In-place form of `index_fill`."""
    def index_put(self, indices: Sequence[Tensor | None], values: Tensor, accumulate: _bool = False) -> Tensor:
        """A copy with values put (or added) where index tensors, one per dimension or None, name places."""
    def index_put_(self, indices: Sequence[Tensor | None], values: Tensor, accumulate: _bool = False) -> Tensor:
        """In-place form of `index_put`."""
    def index_reduce(self, dim: _int, index: Tensor, source: Tensor, reduce: _str, *, include_self: _bool = True) -> Tensor:
        """Rows of ``source`` folded into the rows that an index names: ``prod``, ``mean``, ``amax`` or ``amin``."""
    def index_reduce_(self, dim: _int, index: Tensor, source: Tensor, reduce: _str, *, include_self: _bool = True) -> Tensor:
        """In-place form of `index_reduce`."""
    def index_select(self, dim: _int, index: Tensor) -> Tensor:
        """The rows (of a dimension) that a vector of places names."""
    def inner(self, other: Tensor) -> Tensor:
        """The products over the last dimension of both."""
    def int(self, memory_format: Any = None) -> Tensor:
        """Converted to int32."""
    def inverse(self) -> Any:
        """The inverse; see `flambeau.linalg.inv`."""
    def is_conj(self) -> _bool:
        """Whether a conjugate is still to be computed: it is a view made by `conj`."""
    def is_neg(self) -> _bool:
        """Whether a negative is still to be computed: it is the imaginary part of such a view."""
    def isclose(self, other: Tensor, rtol: _float = 1e-05, atol: _float = 1e-08, equal_nan: _bool = False) -> Tensor:
        """Whether ``|self - other| <= atol + rtol * |other|``, elementwise."""
    def isfinite(self) -> Tensor:
        """Whether each element is neither infinite nor NaN."""
    def isinf(self) -> Tensor:
        """Whether each element is infinite."""
    def isnan(self) -> Tensor:
        """Whether each element is NaN."""
    def isneginf(self) -> Tensor:
        """Whether each element is negative infinity."""
    def isposinf(self) -> Tensor:
        """Whether each element is positive infinity."""
    def isreal(self) -> Tensor:
        """Whether each element has no imaginary part."""
    def istft(self, n_fft: _int, hop_length: Any = None, win_length: Any = None, window: Any = None, center: _bool = True, normalized: _bool = False, onesided: Any = None, length: Any = None, return_complex: _bool = False) -> Any:
        """The signal whose `stft` comes nearest to the one given."""
    def kron(self, other: Tensor) -> Tensor:
        """The Kronecker product."""
    def kthvalue(self, k: _int, dim: _int = -1, keepdim: _bool = False) -> Any:
        """The k-th smallest element along a dimension and where it is."""
    def lcm(self, other: Tensor) -> Tensor:
        """The least common multiple; 0 where either is 0."""
    def lcm_(self, other: Tensor) -> Tensor:
        """In-place form of `lcm`."""
    def ldexp(self, other: Tensor) -> Tensor:
        """``self * 2**other``."""
    def ldexp_(self, other: Tensor) -> Tensor:
        """In-place form of `ldexp`."""
    def le(self, other: Tensor | _Number) -> Tensor:
        """``self <= other``, elementwise."""
    def less_equal(self, other: Tensor | _Number) -> Tensor:
        """``self <= other``, elementwise."""
    def le_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `le`."""
    def less_equal_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `less_equal`."""
    def lerp(self, end: Tensor, weight: Tensor | _Number) -> Tensor:
        """``self + weight * (end - self)``, computed from the nearer end."""
    def lerp_(self, end: Tensor, weight: Tensor | _Number) -> Tensor:
        """In-place form of `lerp`."""
    def lgamma(self) -> Tensor:
        """The logarithm of the absolute value of the gamma function."""
    def lgamma_(self) -> Tensor:
        """In-place form of `lgamma`."""
    def log(self) -> Tensor:
        """The natural logarithm."""
    def log_(self) -> Tensor:
        """In-place form of `log`."""
    def log10(self) -> Tensor:
        """The logarithm to base 10."""
    def log10_(self) -> Tensor:
        """In-place form of `log10`."""
    def log1p(self) -> Tensor:
        """log(1 + x)."""
    def log1p_(self) -> Tensor:
        """In-place form of `log1p`."""
    def log2(self) -> Tensor:
        """The logarithm to base 2."""
    def log2_(self) -> Tensor:
        """In-place form of `log2`."""
    def log_normal_(self, mean: _float = 1.0, std: _float = 2.0, *, generator: Generator | None = None) -> Tensor:
        """Overwrite with numbers whose logarithms are normal."""
    def log_softmax(self, dim: _int, dtype: DType | None = None) -> Tensor:
        """The logarithm of `softmax`, without underflow; the arguments are the same."""
    def logaddexp(self, other: Tensor) -> Tensor:
        """``log(exp(self) + exp(other))`` without overflow."""
    def logaddexp2(self, other: Tensor) -> Tensor:
        """``log2(2**self + 2**other)`` without overflow."""
    def logcumsumexp(self, dim: _int) -> Tensor:
        """The logarithm of the running sum of exponentials."""
    def logdet(self) -> Any:
        """The logarithm of the determinant: NaN where it is negative, -inf where it is 0."""
    def logical_and(self, other: Tensor) -> Tensor:
        """Whether both are non-zero."""
    def logical_and_(self, other: Tensor) -> Tensor:
        """In-place form of `logical_and`."""
    def logical_not(self) -> Tensor:
        """Whether each element is zero."""
    def logical_not_(self) -> Tensor:
        """In-place form of `logical_not`."""
    def logical_or(self, other: Tensor) -> Tensor:
        """Whether either is non-zero."""
    def logical_or_(self, other: Tensor) -> Tensor:
        """In-place form of `logical_or`."""
    def logical_xor(self, other: Tensor) -> Tensor:
        """Whether exactly one is non-zero."""
    def logical_xor_(self, other: Tensor) -> Tensor:
        """In-place form of `logical_xor`."""
    def logit(self, eps: _float | None = None) -> Tensor:
        """log(x / (1 - x)), after a clamp to [eps, 1 - eps] if eps is given; NaN outside [0, 1]."""
    def logit_(self, eps: _float | None = None) -> Tensor:
        """In-place form of `logit`."""
    def logsumexp(self, dim: _Dims, keepdim: _bool = False) -> Tensor:
        """The logarithm of the sum of exponentials, without overflow."""
    def long(self, memory_format: Any = None) -> Tensor:
        """Converted to int64."""
    def lt(self, other: Tensor | _Number) -> Tensor:
        """``self < other``, elementwise."""
    def less(self, other: Tensor | _Number) -> Tensor:
        """``self < other``, elementwise."""
    def lt_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `lt`."""
    def less_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `less`."""
    def lu(self, pivot: _bool = True, get_infos: _bool = False) -> Any:
        """Packed LU factors, pivots, and LAPACK's info if asked for."""
    def lu_solve(self, LU_data: Tensor, LU_pivots: Tensor) -> Any:
        """The solution of ``A @ X = self`` from A's packed LU factors."""
    def masked_fill(self, mask: Tensor, value: Tensor | _Number) -> Tensor:
        """A copy with one value where a mask holds; the mask broadcasts."""
    def masked_fill_(self, mask: Tensor, value: Tensor | _Number) -> Tensor:
        """In-place form of `masked_fill`."""
    def masked_fill_values_(self, mask: Tensor, value: Tensor | _Number) -> Tensor:
        """In-place form of `masked_fill_values`."""
    def masked_scatter(self, mask: Tensor, source: Tensor) -> Tensor:
        """A copy with the first elements of ``source`` put, in order, where a mask holds."""
    def masked_scatter_(self, mask: Tensor, source: Tensor) -> Tensor:
        """In-place form of `masked_scatter`."""
    def masked_select(self, mask: Tensor) -> Tensor:
        """The elements where a mask holds, in one dimension; both broadcast."""
    def matmul(self, other: Tensor) -> Tensor:
        """The matrix product; vectors are rows on the left and columns on the right, further dimensions broadcast."""
    def matrix_exp(self) -> Any:
        """The exponential of square matrices; see `flambeau.linalg.matrix_exp`."""
    def matrix_power(self, n: _int) -> Any:
        """A power of square matrices; see `flambeau.linalg.matrix_power`."""
    def max(self, dim: Any = None, keepdim: _bool = False, *, other: Tensor | None = None) -> Any:
        """The largest element; with ``dim`` also where it is; with another tensor that of each pair."""
    def maximum(self, other: Tensor) -> Tensor:
        """The larger of each pair; NaN if either is."""
    def maximum_(self, other: Tensor) -> Tensor:
        """In-place form of `maximum`."""
    def mean(self, dim: _Dims = None, keepdim: _bool = False, *, dtype: DType | None = None) -> Tensor:
        """The mean over dimensions (all by default)."""
    def median(self, dim: _int | None = None, keepdim: _bool = False) -> Any:
        """The lower median; NaN if there is one. With ``dim`` also where it is."""
    def min(self, dim: Any = None, keepdim: _bool = False, *, other: Tensor | None = None) -> Any:
        """The smallest element; with ``dim`` also where it is; with another tensor that of each pair."""
    def minimum(self, other: Tensor) -> Tensor:
        """The smaller of each pair; NaN if either is."""
    def minimum_(self, other: Tensor) -> Tensor:
        """In-place form of `minimum`."""
    def mm(self, mat2: Tensor) -> Tensor:
        """The product of two matrices, [M, K] and [K, N]."""
    def mode(self, dim: _int = -1, keepdim: _bool = False) -> Any:
        """The most frequent element along a dimension (of several the smallest) and where it last stands."""
    def movedim(self, source: _int | Sequence[_int], destination: _int | Sequence[_int]) -> Tensor:
        """Dimensions moved to other places; the others keep their order; a view."""
    def moveaxis(self, source: _int | Sequence[_int], destination: _int | Sequence[_int]) -> Tensor:
        """Dimensions moved to other places; the others keep their order; a view."""
    def msort(self) -> Tensor:
        """Sorted along the first dimension."""
    def mul(self, other: Tensor | _Number) -> Tensor:
        """``self * other``."""
    def multiply(self, other: Tensor | _Number) -> Tensor:
        """``self * other``."""
    def mul_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `mul`."""
    def multiply_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `multiply`."""
    def multinomial(self, num_samples: _int, replacement: _bool = False, *, generator: Generator | None = None) -> Tensor:
        """Indices drawn with probabilities in proportion to the elements of the last dimension."""
    def mv(self, vec: Tensor) -> Tensor:
        """The product of a matrix [M, K] and a vector [K]."""
    def mvlgamma(self, p: _int) -> Any:
        """The logarithm of the multivariate gamma function of dimension p."""
    def mvlgamma_(self, p: _int) -> Tensor:
        """In-place form of `mvlgamma`."""
    def nan_to_num(self, nan: _float = 0.0, posinf: _float | None = None, neginf: _float | None = None) -> Tensor:
        """NaN and infinities replaced; infinities by the largest finite numbers where not given."""
    def nan_to_num_(self, nan: _float = 0.0, posinf: _float | None = None, neginf: _float | None = None) -> Tensor:
        """In-place form of `nan_to_num`."""
    def nanmean(self, dim: _Dims = None, keepdim: _bool = False, *, dtype: DType | None = None) -> Tensor:
        """The mean of what is not NaN."""
    def nanmedian(self, dim: _int | None = None, keepdim: _bool = False) -> Any:
        """The lower median of what is not NaN; NaN where nothing is. With ``dim`` also where it is."""
    def nanquantile(self, q: Any, dim: _int | None = None, keepdim: _bool = False, *, interpolation: _str = 'linear') -> Tensor:
        """`quantile` of what is not NaN."""
    def nansum(self, dim: _Dims = None, keepdim: _bool = False, *, dtype: DType | None = None) -> Tensor:
        """The sum with NaN counted as 0."""
    def narrow(self, dim: _int, start: _int, length: _int) -> Tensor:
        """``length`` places of a dimension from ``start`` on; a view."""
    def ne(self, other: Tensor | _Number) -> Tensor:
        """``self != other``, elementwise."""
    def not_equal(self, other: Tensor | _Number) -> Tensor:
        """``self != other``, elementwise."""
    def ne_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `ne`."""
    def not_equal_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `not_equal`."""
    def neg(self) -> Tensor:
        """``-self``."""
    def negative(self) -> Tensor:
        """``-self``."""
    def neg_(self) -> Tensor:
        """In-place form of `neg`."""
    def negative_(self) -> Tensor:
        """In-place form of `negative`."""
    @overload
    def new_empty(self, *size: _int, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor:
        """An uninitialised tensor of this one's dtype and device."""
    @overload
    def new_empty(self, size: Sequence[_int], *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor:
        """An uninitialised tensor of this one's dtype and device."""
    @overload
    def new_empty_strided(self, size: Sequence[_int], *stride: _int, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor:
        """An uninitialised tensor of this one's dtype and device, with given strides."""
    @overload
    def new_empty_strided(self, size: Sequence[_int], stride: Sequence[_int], *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor:
        """An uninitialised tensor of this one's dtype and device, with given strides."""
    def new_full(self, size: Sequence[_int], fill_value: _Number, *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor:
        """A filled tensor of this one's dtype and device."""
    @overload
    def new_ones(self, *size: _int, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor:
        """Ones of this one's dtype and device."""
    @overload
    def new_ones(self, size: Sequence[_int], *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor:
        """Ones of this one's dtype and device."""
    def new_tensor(self, data: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor:
        """A tensor from data, of this one's dtype and device."""
    @overload
    def new_zeros(self, *size: _int, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor:
        """Zeros of this one's dtype and device."""
    @overload
    def new_zeros(self, size: Sequence[_int], *, dtype: DType | None = None, device: Any = None, requires_grad: _bool = False, layout: Any = None, pin_memory: _bool = False) -> Tensor:
        """Zeros of this one's dtype and device."""
    def nextafter(self, other: Tensor) -> Tensor:
        """The next floating-point number after each element towards the other."""
    def nextafter_(self, other: Tensor) -> Tensor:
        """In-place form of `nextafter`."""
    def nonzero(self, *, as_tuple: _bool = False) -> Any:
        """Coordinates of the elements that are not 0: one per row, or with ``as_tuple`` a tensor per dimension."""
    def nonzero_static(self, *, size: _int, fill_value: _int = -1) -> Tensor:
        """Coordinates of the elements that are not 0: ``size`` rows, cut or filled up."""
    def norm(self, p: Any = 'fro', dim: _Dims = None, keepdim: _bool = False, dtype: DType | None = None) -> Tensor:
        """The vector norm of order p over dimensions (all by default); "fro" is 2."""
    def normal_(self, mean: _float = 0.0, std: _float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Overwrite with normal numbers."""
    def orgqr(self, tau: Tensor) -> Any:
        """The product of reflections; see `flambeau.linalg.householder_product`."""
    def ormqr(self, tau: Tensor, other: Tensor, left: _bool = True, transpose: _bool = False) -> Any:
        """The product of a matrix with the Q that `geqrf` gives."""
    def outer(self, vec2: Tensor) -> Tensor:
        """All products of elements of two vectors."""
    def ger(self, vec2: Tensor) -> Tensor:
        """All products of elements of two vectors."""
    @overload
    def permute(self, *dims: _int) -> Tensor:
        """The dimensions in another order."""
    @overload
    def permute(self, dims: Sequence[_int]) -> Tensor:
        """The dimensions in another order."""
    def pinverse(self, rcond: _float = 1e-15) -> Any:
        """The pseudo-inverse; see `flambeau.linalg.pinv`."""
    def polygamma(self, n: _int) -> Any:
        """The n-th derivative of `digamma`; see `flambeau.special.polygamma`."""
    def polygamma_(self, n: _int) -> Tensor:
        """In-place form of `polygamma`."""
    def positive(self) -> Tensor:
        """``+self``: the tensor itself."""
    def pow(self, exponent: Tensor | _Number) -> Tensor:
        """``self ** exponent``."""
    def pow_(self, exponent: Tensor | _Number) -> Tensor:
        """In-place form of `pow`."""
    def prelu(self, weight: Tensor) -> Tensor:
        """``x`` where positive, else ``weight * x``, with one weight or one per channel (dimension 1)."""
    def prod(self, dim: _Dims = None, keepdim: _bool = False, *, dtype: DType | None = None) -> Tensor:
        """The product over a dimension (all by default); integers multiply as int64."""
    def put(self, index: Tensor, source: Tensor, accumulate: _bool = False) -> Tensor:
        """A copy with elements of the flattened tensor replaced, or added to."""
    def put_(self, index: Tensor, source: Tensor, accumulate: _bool = False) -> Tensor:
        """In-place form of `put`."""
    def qr(self, some: _bool = True) -> Any:
        """The QR factorisation; ``some=False`` gives a square Q."""
    def quantile(self, q: Any, dim: _int | None = None, keepdim: _bool = False, *, interpolation: _str = 'linear') -> Tensor:
        """Quantiles along a dimension (of everything by default); NaN where there is one."""
    def rad2deg(self) -> Tensor:
        """Radians as degrees."""
    def rad2deg_(self) -> Tensor:
        """In-place form of `rad2deg`."""
    def random_(self, from_: _int = 0, to: _int | None = None, *, generator: Generator | None = None) -> Tensor:
        """Overwrite with integers from ``from_`` up to, not including, ``to``."""
    def ravel(self) -> Tensor:
        """All elements in one dimension; a view where they lie in row-major order without gaps, else a copy."""
    def reciprocal(self) -> Tensor:
        """``1 / self``."""
    def reciprocal_(self) -> Tensor:
        """In-place form of `reciprocal`."""
    def relu(self) -> Tensor:
        """``max(x, 0)``; NaN stays. The gradient at 0 is 0."""
    def relu_(self) -> Tensor:
        """In-place form of `relu`."""
    def remainder(self, other: Tensor | _Number) -> Tensor:
        """``self % other``, with the sign of the divisor."""
    def remainder_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `remainder`."""
    def renorm(self, p: _Number, dim: _int, maxnorm: _Number) -> Tensor:
        """Every part along a dimension scaled down to a p-norm of at most ``maxnorm``."""
    def renorm_(self, p: _Number, dim: _int, maxnorm: _Number) -> Tensor:
        """In-place form of `renorm`."""
    @overload
    def repeat(self, *repeats: _int) -> Tensor:
        """Copies of the whole tensor along each dimension."""
    @overload
    def repeat(self, repeats: Sequence[_int]) -> Tensor:
        """Copies of the whole tensor along each dimension."""
    def repeat_interleave(self, repeats: _int | Tensor | None = None, dim: _int | None = None, *, output_size: _int | None = None) -> Tensor:
        """Each element repeated: the same number of times, or as a tensor of counts says."""
    @overload
    def reshape(self, *shape: _int) -> Tensor:
        """Another shape for the same elements; a view where the memory allows it, a copy where not."""
    @overload
    def reshape(self, shape: Sequence[_int]) -> Tensor:
        """Another shape for the same elements; a view where the memory allows it, a copy where not."""
    def reshape_as(self, other: Tensor) -> Tensor:
        """Another tensor's shape for the same elements."""
    def resize_(self, size: Sequence[_int], memory_format: Any = None) -> Tensor:
        """Another shape in place; new elements are uninitialised, memory grows where needed."""
    def resolve_conj(self) -> Tensor:
        """Itself, or a copy where its conjugate is still to be computed."""
    def resolve_neg(self) -> Tensor:
        """Itself, or a copy where its negative is still to be computed."""
    def roll(self, shifts: _int | Sequence[_int], dims: _int | Sequence[_int] = ...) -> Tensor:
        """Elements moved along dimensions; those that leave at the end come in at the start."""
    def rot90(self, k: _int = 1, dims: Sequence[_int] = ...) -> Tensor:
        """Rotated by 90 degrees ``k`` times, from the first of two dimensions towards the second."""
    def round(self, *, decimals: _int = 0) -> Tensor:
        """Rounded to the nearest, halves to even; ``decimals`` counts places after the point."""
    def round_(self, *, decimals: _int = 0) -> Tensor:
        """In-place form of `round`."""
    def round_float_(self) -> Tensor:
        """In-place form of `round_float`."""
    def rsqrt(self) -> Tensor:
        """1 / sqrt(x)."""
    def rsqrt_(self) -> Tensor:
        """In-place form of `rsqrt`."""
    def rsub(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """``other - alpha * self``."""
    def scatter_add(self, dim: _int, index: Tensor, src: Tensor) -> Tensor:
        """A copy with ``src`` added where an index says along a dimension."""
    def scatter_add_(self, dim: _int, index: Tensor, src: Tensor) -> Tensor:
        """In-place form of `scatter_add`."""
    def scatter(self, dim: _int, index: Tensor, src: Tensor | _Number, *, reduce: _str | None = None) -> Tensor:
        """A copy with ``src`` (a tensor or number) written where an index says: ``out[index[i][j]][j] = src[i][j]``."""
    def scatter_(self, dim: _int, index: Tensor, src: Tensor | _Number, *, reduce: _str | None = None) -> Tensor:
        """In-place form of `scatter`."""
    def scatter_reduce(self, dim: _int, index: Tensor, src: Tensor, reduce: _str, *, include_self: _bool = True) -> Tensor:
        """Elements of ``src`` folded into a copy where an index says."""
    def scatter_reduce_(self, dim: _int, index: Tensor, src: Tensor, reduce: _str, *, include_self: _bool = True) -> Tensor:
        """In-place form of `scatter_reduce`."""
    def select(self, dim: _int, index: _int) -> Tensor:
        """The part at one place of a dimension, which goes; a view."""
    def select_scatter(self, src: Tensor, dim: _int, index: _int) -> Tensor:
        """A copy with one place of a dimension replaced by ``src``."""
    def selu_(self) -> Tensor:
        """In-place form of `selu`."""
    def sgn(self) -> Tensor:
        """``self / abs(self)``, 0 at 0."""
    def sgn_(self) -> Tensor:
        """In-place form of `sgn`."""
    def short(self, memory_format: Any = None) -> Tensor:
        """Converted to int16."""
    def sigmoid(self) -> Tensor:
        """1 / (1 + exp(-x))."""
    def sigmoid_(self) -> Tensor:
        """In-place form of `sigmoid`."""
    def sign(self) -> Tensor:
        """-1, 0 or 1."""
    def sign_(self) -> Tensor:
        """In-place form of `sign`."""
    def signbit(self) -> Tensor:
        """Whether the sign bit is set (also of -0.0)."""
    def sin(self) -> Tensor:
        """The sine."""
    def sin_(self) -> Tensor:
        """In-place form of `sin`."""
    def sinc(self) -> Tensor:
        """sin(pi * x) / (pi * x), 1 at 0."""
    def sinc_(self) -> Tensor:
        """In-place form of `sinc`."""
    def sinh(self) -> Tensor:
        """The hyperbolic sine."""
    def sinh_(self) -> Tensor:
        """In-place form of `sinh`."""
    def slice_scatter(self, src: Tensor, dim: _int = 0, start: _int | None = None, end: _int | None = None, step: _int = 1) -> Tensor:
        """A copy with places ``start`` to ``end`` of a dimension replaced by ``src``."""
    def slogdet(self) -> Any:
        """Sign and logarithm of the determinant; see `flambeau.linalg.slogdet`."""
    def softmax(self, dim: _int, dtype: DType | None = None) -> Tensor:
        """Exponentials divided by their sum over a dimension."""
    def sort(self, dim: _int = -1, descending: _bool = False, stable: _bool = True) -> Any:
        """Values in order along a dimension, and where they were; NaN counts as the largest; always stable."""
    def split(self, split_size_or_sections: _int | Sequence[_int], dim: _int = 0) -> tuple[Tensor, ...]:
        """Parts of one size (the last may be smaller), or of the sizes listed; views."""
    def unsafe_split(self, split_size_or_sections: _int | Sequence[_int], dim: _int = 0) -> tuple[Tensor, ...]:
        """Parts of one size (the last may be smaller), or of the sizes listed; views."""
    def split_with_sizes(self, split_sizes: Sequence[_int], dim: _int = 0) -> tuple[Tensor, ...]:
        """Parts of the sizes listed; views."""
    def unsafe_split_with_sizes(self, split_sizes: Sequence[_int], dim: _int = 0) -> tuple[Tensor, ...]:
        """Parts of the sizes listed; views."""
    def sqrt(self) -> Tensor:
        """The square root."""
    def sqrt_(self) -> Tensor:
        """In-place form of `sqrt`."""
    def square(self) -> Tensor:
        """``self * self``."""
    def square_(self) -> Tensor:
        """In-place form of `square`."""
    def squeeze(self, dim: _int | Sequence[_int] | None = None) -> Tensor:
        """Without its dimensions of size 1, or without those named if they have size 1."""
    def squeeze_(self, dim: _int | Sequence[_int] | None = None) -> Tensor:
        """In-place form of `squeeze`."""
    def std(self, dim: _Dims = None, unbiased: _bool | None = None, keepdim: _bool = False, *, correction: Any = None) -> Tensor:
        """The standard deviation over dimensions (all by default)."""
    def std_mean(self, dim: _Dims = None, unbiased: _bool | None = None, keepdim: _bool = False, *, correction: Any = None) -> Any:
        """Standard deviation and mean."""
    def stft(self, n_fft: _int, hop_length: Any = None, win_length: Any = None, window: Any = None, center: _bool = True, pad_mode: _str = 'reflect', normalized: _bool = False, onesided: Any = None, return_complex: Any = None, align_to_window: Any = None) -> Any:
        """The Fourier transforms of overlapping frames of a signal."""
    def sub(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """``self - alpha * other``."""
    def subtract(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """``self - alpha * other``."""
    def sub_(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """In-place form of `sub`."""
    def subtract_(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """In-place form of `subtract`."""
    def sum(self, dim: _Dims = None, keepdim: _bool = False, *, dtype: DType | None = None) -> Tensor:
        """The sum over dimensions (all by default); integers add up as int64."""
    @overload
    def sum_to_size(self, *size: _int) -> Tensor:
        """Summed to a smaller shape that would broadcast to this one."""
    @overload
    def sum_to_size(self, size: Sequence[_int]) -> Tensor:
        """Summed to a smaller shape that would broadcast to this one."""
    def svd(self, some: _bool = True, compute_uv: _bool = True) -> Any:
        """The singular value decomposition with V, not its adjoint: ``U @ diag(S) @ V.mH``."""
    def t(self) -> Tensor:
        """The transpose of a matrix; vectors stay; a view."""
    def t_(self) -> Tensor:
        """In-place form of `t`."""
    def take(self, index: Tensor) -> Tensor:
        """Elements of the flattened tensor, in the index's shape."""
    def take_along_dim(self, indices: Tensor, dim: _int | None = None) -> Tensor:
        """`gather` with broadcasting; without a dimension along the flattened tensor."""
    def tan(self) -> Tensor:
        """The tangent."""
    def tan_(self) -> Tensor:
        """In-place form of `tan`."""
    def tanh(self) -> Tensor:
        """The hyperbolic tangent."""
    def tanh_(self) -> Tensor:
        """In-place form of `tanh`."""
    def tensor_split(self, indices_or_sections: _int | Sequence[_int] | Tensor, dim: _int = 0) -> tuple[Tensor, ...]:
        """So many parts of nearly equal size, or parts that end at the places listed; views."""
    def tensordot(self, other: Tensor, dims: Any = 2) -> Tensor:
        """The sum of products over pairs of dimensions: the last ``dims`` of one and the first of the other."""
    @overload
    def tile(self, *dims: _int) -> Tensor:
        """Copies of the whole tensor; dimensions that are not named are not repeated."""
    @overload
    def tile(self, dims: Sequence[_int]) -> Tensor:
        """Copies of the whole tensor; dimensions that are not named are not repeated."""
    def topk(self, k: _int, dim: _int = -1, largest: _bool = True, sorted: _bool = True) -> Any:
        """The k largest (or smallest) elements along a dimension, in order, and where they are."""
    def trace(self) -> Tensor:
        """The sum of a matrix's diagonal."""
    def transpose(self, dim0: _int, dim1: _int) -> Tensor:
        """Two dimensions swapped."""
    def swapaxes(self, dim0: _int, dim1: _int) -> Tensor:
        """Two dimensions swapped."""
    def swapdims(self, dim0: _int, dim1: _int) -> Tensor:
        """Two dimensions swapped."""
    def transpose_(self, dim0: _int, dim1: _int) -> Tensor:
        """In-place form of `transpose`."""
    def swapaxes_(self, dim0: _int, dim1: _int) -> Tensor:
        """In-place form of `transpose`."""
    def swapdims_(self, dim0: _int, dim1: _int) -> Tensor:
        """In-place form of `transpose`."""
    def triangular_solve(self, A: Tensor, upper: _bool = True, transpose: _bool = False, unitriangular: _bool = False) -> Any:
        """The solution of ``A @ X = self`` for triangular A, and A itself."""
    def tril(self, diagonal: _int = 0) -> Tensor:
        """The lower triangles of matrices, zeros above; ``diagonal`` moves the border up."""
    def tril_(self, diagonal: _int = 0) -> Tensor:
        """In-place form of `tril`."""
    def triu(self, diagonal: _int = 0) -> Tensor:
        """The upper triangles of matrices, zeros below; ``diagonal`` moves the border up."""
    def triu_(self, diagonal: _int = 0) -> Tensor:
        """In-place form of `triu`."""
    def true_divide(self, other: Tensor | _Number) -> Tensor:
        """``self / other``."""
    def true_divide_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `true_divide`."""
    def trunc(self) -> Tensor:
        """Rounded towards zero."""
    def fix(self) -> Tensor:
        """Rounded towards zero."""
    def trunc_(self) -> Tensor:
        """In-place form of `trunc`."""
    def fix_(self) -> Tensor:
        """In-place form of `fix`."""
    def trunc_float_(self) -> Tensor:
        """In-place form of `trunc_float`."""
    def unbind(self, dim: _int = 0) -> Tensor:
        """The parts at each place of a dimension, which goes; a tuple of views."""
    @overload
    def unflatten(self, dim: _int, *sizes: _int) -> Tensor:
        """One dimension split into several; a size may be -1."""
    @overload
    def unflatten(self, dim: _int, sizes: Sequence[_int]) -> Tensor:
        """One dimension split into several; a size may be -1."""
    def unfold(self, dimension: _int, size: _int, step: _int) -> Tensor:
        """All windows of a size along a dimension, ``step`` apart; each window lies in a new last dimension; a view."""
    def uniform_(self, from_: _float = 0.0, to: _float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Overwrite with numbers uniform in [from_, to)."""
    def unique(self, sorted: _bool = True, return_inverse: _bool = False, return_counts: _bool = False, dim: _int | None = None) -> Any:
        """The distinct elements (or slices along ``dim``) in order, as asked also where each one went and how often."""
    def unique_consecutive(self, return_inverse: _bool = False, return_counts: _bool = False, dim: _int | None = None) -> Any:
        """The elements (or slices along ``dim``) without repetitions of the one before."""
    def unsqueeze(self, dim: _int) -> Tensor:
        """With a dimension of size 1 put in before ``dim``."""
    def unsqueeze_(self, dim: _int) -> Tensor:
        """In-place form of `unsqueeze`."""
    def var(self, dim: _Dims = None, unbiased: _bool | None = None, keepdim: _bool = False, *, correction: Any = None) -> Tensor:
        """The variance over dimensions (all by default), with n - 1 in the denominator unless told otherwise."""
    def var_mean(self, dim: _Dims = None, unbiased: _bool | None = None, keepdim: _bool = False, *, correction: Any = None) -> Any:
        """Variance and mean."""
    def vdot(self, other: Tensor) -> Tensor:
        """The product of two vectors, the first one conjugated."""
    @overload
    def view(self, *shape: _int) -> Tensor:
        """The same memory seen with another shape (or, given a dtype, with other elements)."""
    @overload
    def view(self, shape: Sequence[_int]) -> Tensor:
        """The same memory seen with another shape (or, given a dtype, with other elements)."""
    def view_as(self, other: Tensor) -> Tensor:
        """The same memory seen with another tensor's shape."""
    def view_as_complex(self) -> Tensor:
        """The last dimension, of size 2, taken as real and imaginary parts; a view."""
    def view_as_real(self) -> Tensor:
        """Real and imaginary parts in a new last dimension of size 2; a view."""
    def vsplit(self, indices_or_sections: _int | Sequence[_int]) -> tuple[Tensor, ...]:
        """Split along the first dimension."""
    def where(self, condition: Tensor, other: Tensor | _Number) -> Tensor:
        """This tensor's elements where a condition holds, of ``other`` elsewhere."""
    def xlogy(self, other: Tensor | _Number) -> Tensor:
        """``self * log(other)``, 0 where self is 0."""
    def xlogy_(self, other: Tensor | _Number) -> Tensor:
        """In-place form of `xlogy`."""
    def zero_(self) -> Tensor:
        """Overwrite with zeros."""
    def __array__(self, dtype: Any = None, copy: _bool | None = None) -> Any:
        """A tensor as an array: NumPy's ``__array__`` protocol."""
    def __array_namespace__(self, /, *, api_version: _str | None = None) -> Any:
        """The namespace of the Python Array API standard: `flambeau.array_api`."""
    def __array_wrap__(self, result: Any, context: Any = None, return_scalar: _bool = False) -> Tensor:
        """A ufunc's result on a tensor, as a tensor: NumPy's ``__array_wrap__`` protocol."""
    def __deepcopy__(self, memo: dict[_int, Any]) -> Tensor:
        """``copy.deepcopy`` of a leaf, its grad and its attributes."""
    def __dlpack__(self, *, stream: Any = None, max_version: tuple[_int, _int] | None = None, dl_device: tuple[_int, _int] | None = None, copy: _bool | None = None) -> Any:
        """A tensor's memory as a capsule."""
    def __dlpack_device__(self) -> tuple[_int, _int]:
        """DLPack's device type and index of a tensor."""
    def __getitem__(self, index: Any) -> Tensor:
        """``t[index]``: a view for ints, slices of either sign, None and Ellipsis; a copy for lists, masks, tensors."""
    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """How ``pickle`` takes a tensor apart; a computed tensor comes back as a leaf."""
    def __repr__(self, *, tensor_contents: Any = None) -> _str:
        """The text of a tensor, as ``repr`` and ``str`` show it. Interceptors don't see what printing computes."""
    def __setitem__(self, index: Any, value: Any) -> None:
        """``t[index] = value``: the value broadcasts and is converted to the tensor's dtype."""
    def data_ptr(self) -> _int:
        """The address of a tensor's first element; 0 where the host has none for it."""
    def is_pinned(self, device: Any = None) -> _bool:
        """Whether a tensor lies in page-locked memory."""
    def item(self) -> Any:
        """The value of a tensor of one element as a Python number."""
    def numpy(self, *, force: _bool = False) -> Any:
        """A tensor as an array on the same memory."""
    def pin_memory(self, device: Any = None) -> Any:
        """A copy of a CPU tensor in page-locked memory, from which ``to("cuda", non_blocking=True)`` doesn't wait."""
    def record_stream(self, stream: Any) -> None:
        """Say that another stream works with a tensor: its memory is not used again before that stream is done so far."""
    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """Another dtype or device: ``to(dtype)``, ``to(device)``, ``to(device, dtype)`` or ``to(other)``."""
    def tolist(self) -> Any:
        """A tensor as nested lists of Python numbers; a 0-d tensor as one number."""
    def type(self, dtype: Any = None) -> Any:
        """The dtype as PyTorch's type string, or converted to a dtype."""
    @property
    def T(self) -> Tensor:
        """All dimensions in reverse order; a view."""
    @property
    def mT(self) -> Tensor:
        """The transposes of the matrices in the last two dimensions; a view."""
    @property
    def H(self) -> Tensor:
        """The conjugate transpose of a matrix."""
    @property
    def mH(self) -> Tensor:
        """The conjugate transposes of the matrices in the last two dimensions."""
    @property
    def real(self) -> Tensor:
        """The real part, a view; itself where it holds real numbers."""
    @real.setter
    def real(self, value: Any) -> None: ...
    @property
    def imag(self) -> Tensor:
        """The imaginary part; a view."""
    @imag.setter
    def imag(self, value: Any) -> None: ...
    def __add__(self, other: Any) -> Tensor: ...
    def __radd__(self, other: Any) -> Tensor: ...
    def __iadd__(self, other: Any) -> Tensor: ...
    def __sub__(self, other: Any) -> Tensor: ...
    def __rsub__(self, other: Any) -> Tensor: ...
    def __isub__(self, other: Any) -> Tensor: ...
    def __mul__(self, other: Any) -> Tensor: ...
    def __rmul__(self, other: Any) -> Tensor: ...
    def __imul__(self, other: Any) -> Tensor: ...
    def __truediv__(self, other: Any) -> Tensor: ...
    def __rtruediv__(self, other: Any) -> Tensor: ...
    def __itruediv__(self, other: Any) -> Tensor: ...
    def __floordiv__(self, other: Any) -> Tensor: ...
    def __rfloordiv__(self, other: Any) -> Tensor: ...
    def __ifloordiv__(self, other: Any) -> Tensor: ...
    def __mod__(self, other: Any) -> Tensor: ...
    def __rmod__(self, other: Any) -> Tensor: ...
    def __imod__(self, other: Any) -> Tensor: ...
    def __pow__(self, other: Any) -> Tensor: ...
    def __rpow__(self, other: Any) -> Tensor: ...
    def __ipow__(self, other: Any) -> Tensor: ...
    def __matmul__(self, other: Any) -> Tensor: ...
    def __rmatmul__(self, other: Any) -> Tensor: ...
    def __and__(self, other: Any) -> Tensor: ...
    def __rand__(self, other: Any) -> Tensor: ...
    def __iand__(self, other: Any) -> Tensor: ...
    def __or__(self, other: Any) -> Tensor: ...
    def __ror__(self, other: Any) -> Tensor: ...
    def __ior__(self, other: Any) -> Tensor: ...
    def __xor__(self, other: Any) -> Tensor: ...
    def __rxor__(self, other: Any) -> Tensor: ...
    def __ixor__(self, other: Any) -> Tensor: ...
    def __lshift__(self, other: Any) -> Tensor: ...
    def __rlshift__(self, other: Any) -> Tensor: ...
    def __ilshift__(self, other: Any) -> Tensor: ...
    def __rshift__(self, other: Any) -> Tensor: ...
    def __rrshift__(self, other: Any) -> Tensor: ...
    def __irshift__(self, other: Any) -> Tensor: ...
    def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
    def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]
    def __lt__(self, other: Any) -> Tensor: ...
    def __le__(self, other: Any) -> Tensor: ...
    def __gt__(self, other: Any) -> Tensor: ...
    def __ge__(self, other: Any) -> Tensor: ...
    def __neg__(self) -> Tensor: ...
    def __abs__(self) -> Tensor: ...
    def __invert__(self) -> Tensor: ...
