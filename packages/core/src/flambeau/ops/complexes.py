"""Complex numbers seen as pairs of real ones, and back: views."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor
from ..dtypes import bool_
from ..errors import refuse
from ..layout import Spec
from ..op import composite, resolved
from ..op import view as view_op
from ..registry import OPS


@view_op(vjp={"self": lambda g: view_as_complex(g if g.spec.strides[-1] == 1 else g.contiguous())})  # type: ignore[has-type]
def view_as_real(self: Spec) -> Any:
    """Real and imaginary parts in a new last dimension of size 2; a view."""
    if not self.dtype.is_complex:
        refuse("view_as_real", "view_as_real is only supported for complex tensors", self=self)
    return (*self.shape, 2), (*(2 * k for k in self.strides), 1), 0, self.dtype.to_real()


@view_op(vjp={"self": lambda g: view_as_real(g)})
def view_as_complex(self: Spec) -> Any:
    """The last dimension, of size 2, taken as real and imaginary parts; a view."""
    if not self.dtype.is_floating_point or self.itemsize < 4:
        refuse(
            "view_as_complex",
            "view_as_complex is only supported for floating point tensors",
            "float32 or float64",
            self=self,
        )
    if not self.ndim or self.shape[-1] != 2:
        refuse("view_as_complex", "Tensor must have a last dimension of size 2", self=self)
    if self.strides[-1] != 1 or any(
        k % 2 for k, n in zip(self.strides[:-1], self.shape[:-1], strict=True) if n > 1
    ):
        raise RuntimeError(
            f"[view_as_complex] Tensor must have a last dimension with stride 1 and other strides divisible by 2: got "
            f"strides {list(self.strides)}. Use .contiguous()."
        )
    return self.shape[:-1], tuple(k // 2 for k in self.strides[:-1]), 0, self.dtype.to_complex()


@composite(method=False)
def real(self: Tensor) -> Tensor:
    """The real part, a view; itself where it holds real numbers."""
    if not self.spec.dtype.is_complex:
        return self
    held: Tensor = flip_sign(self) if self.spec.flipped else self
    return view_as_real(held).select(-1, 0)  # type: ignore[no-any-return]


@composite(method=False)
def imag(self: Tensor) -> Tensor:
    """The imaginary part; a view.

    Raises:
        RuntimeError: the tensor holds real numbers.
    """
    if not self.spec.dtype.is_complex:
        refuse("imag", "imag is not implemented for tensors with non-complex dtypes", self=self)
    if self.spec.flipped:
        return flip_sign(view_as_real(flip_sign(self)).select(-1, 1))  # type: ignore[no-any-return]
    return view_as_real(self).select(-1, 1)  # type: ignore[no-any-return]


@view_op(public=False, vjp={"self": lambda g: OPS["conj_physical" if g.is_complex() else "neg"](g)})
def flip_sign(self: Spec) -> Any:
    """The conjugates (of real numbers: the negatives) as a view: they are computed when something reads them."""
    return self.shape, self.strides, 0, self.dtype, not self.flipped


@composite()
def conj(self: Tensor) -> Tensor:
    """The complex conjugate, a view: the sign is changed when something reads it; real numbers: the tensor itself."""
    return flip_sign(self) if self.spec.dtype.is_complex else self


@composite()
def positive(self: Tensor) -> Tensor:
    """``+self``: the tensor itself."""
    if self.spec.dtype is bool_:
        refuse("positive", "The `+` operator, on a bool tensor is not supported", self=self)
    return self


@composite()
def resolve_conj(self: Tensor) -> Tensor:
    """Itself, or a copy where its conjugate is still to be computed."""
    return resolved(self) if is_conj(self) else self


@composite()
def resolve_neg(self: Tensor) -> Tensor:
    """Itself, or a copy where its negative is still to be computed."""
    return resolved(self) if is_neg(self) else self


@composite()
def is_conj(self: Tensor) -> bool:
    """Whether a conjugate is still to be computed: it is a view made by `conj`."""
    return self.spec.flipped and self.spec.dtype.is_complex


@composite()
def is_neg(self: Tensor) -> bool:
    """Whether a negative is still to be computed: it is the imaginary part of such a view."""
    return self.spec.flipped and not self.spec.dtype.is_complex


@composite(method=False, name="complex")
def complex_(real: Tensor, imag: Tensor) -> Tensor:
    """Complex numbers from real and imaginary parts, of one floating-point dtype."""
    OPS["complex"].check_tensors([real, imag])
    a, b = real.spec.dtype, imag.spec.dtype
    if not (a.is_floating_point and b.is_floating_point):
        refuse("complex", "Expected both inputs to be Half, Float or Double tensors", real=real, imag=imag)
    if a is not b:
        refuse("complex", "both inputs must have one dtype", do="Convert one.", real=real, imag=imag)
    return OPS["complex_values"](real, imag)  # type: ignore[no-any-return]
