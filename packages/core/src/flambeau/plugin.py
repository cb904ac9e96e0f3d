"""What plugins may use beside the public API: records of ops, backends, programs, interceptors, errors."""

from __future__ import annotations

from .backend import CONTRACT, Backend
from .dtypes import DTYPES

from .errors import (  # isort: skip
    BackendError, DeviceUnavailable, FallbackWarning, OutOfMemoryError, OutOfRange, bad_index, message, refuse,
)  # fmt: skip
from .fallback import explain_fallbacks
from .inplace import assign, inplace, into, touched
from .layout import Spec, broadcast_shapes, spec_of, wrap_dim
from .op import Call, Op, Param, composite, kernel, view
from .ops._check import no_bool, no_complex, no_integers, only_float, only_int, real_numbers, whole
from .ops.host import host_array, host_bytes
from .ops.indexing import as_value
from .ops.late import load as load_records
from .ops.patterns import result_type_of
from .ops.pointwise import Pointwise, pointwise
from .ops.reduction import dims_of
from .ops.results import named
from .ops.views import infer_sizes, ints
from .plan import Table, new_tensor, tensor_on
from .plugins import BUILT_IN, entries
from .program import Expr, Instr, Number, Program, TypedProgram, call, select

from .registry import (  # isort: skip
    OPS, SAMPLES, add_samples, backend_of, force_defaults, forget_plans, loaded_backends, register_backend,
)  # fmt: skip
from .state import intercept, watchers
from .storage import MemoryAccount, Storage

__all__ = [
    "BUILT_IN", "CONTRACT", "DTYPES", "OPS", "SAMPLES", "Backend", "BackendError", "Call", "DeviceUnavailable",
    "Expr", "FallbackWarning", "Instr", "MemoryAccount", "Number", "Op", "OutOfMemoryError", "OutOfRange", "Param",
    "Pointwise", "Program", "Spec", "Storage", "Table", "TypedProgram", "add_samples", "as_value", "assign",
    "backend_of", "bad_index", "broadcast_shapes", "call", "composite", "dims_of", "entries", "explain_fallbacks",
    "force_defaults", "forget_plans", "host_array", "host_bytes", "infer_sizes", "inplace", "intercept", "into",
    "ints", "kernel", "load_records", "loaded_backends", "message", "named", "new_tensor", "no_bool", "no_complex",
    "no_integers", "only_float", "only_int", "pointwise", "real_numbers", "refuse", "register_backend",
    "result_type_of", "select", "spec_of", "tensor_on", "touched", "view", "watchers", "whole", "wrap_dim",
]  # fmt: skip
