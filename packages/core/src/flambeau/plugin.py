"""What plugins may use beside the public API: records of ops, backends, programs, interceptors, errors."""

from __future__ import annotations

from .backend import CONTRACT, Backend
from .dtypes import DTYPES
from .errors import (
    BackendError,
    DeviceUnavailable,
    FallbackWarning,
    OutOfMemoryError,
    OutOfRange,
    bad_index,
    message,
)  # fmt: skip
from .fallback import explain_fallbacks
from .inplace import inplace, into
from .layout import Spec, broadcast_shapes, spec_of
from .multi import multi_apply
from .op import Call, Op, composite, kernel, view
from .ops._check import no_bool, no_complex, no_integers, only_float, only_int, real_numbers, whole
from .ops.results import named
from .plan import new_tensor, tensor_on
from .pointwise import Pointwise, pointwise
from .program import Expr, Instr, Number, Program, TypedProgram, call, select
from .registry import OPS, add_samples, backend_of, force_defaults, loaded_backends, register_backend
from .state import intercept, watchers
from .storage import MemoryAccount, Storage

__all__ = [
    "CONTRACT", "DTYPES", "OPS", "Backend", "BackendError", "Call", "DeviceUnavailable", "Expr",
    "FallbackWarning", "Instr", "MemoryAccount", "Number", "Op", "OutOfMemoryError", "OutOfRange", "Pointwise",
    "Program", "Spec", "Storage", "TypedProgram", "add_samples", "backend_of", "bad_index", "broadcast_shapes",
    "call", "composite", "explain_fallbacks", "force_defaults", "inplace", "intercept", "into", "kernel",
    "loaded_backends", "message", "multi_apply", "named", "new_tensor", "no_bool", "no_complex", "no_integers",
    "only_float", "only_int", "pointwise", "real_numbers", "register_backend", "select", "spec_of", "tensor_on",
    "view", "watchers", "whole",
]  # fmt: skip
