"""Functions of functions: derivatives (`grad`, `vjp`, `jvp`, `jacrev`, `jacfwd`, `hessian`), batching (`vmap`)."""

from __future__ import annotations

from . import batching, functional, rules, transforms
from .batching import unrolled, vmap
from .modules import functional_call, stack_module_state
from .transforms import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp

__all__ = [
    "batching", "functional", "functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp",
    "linearize", "rules", "stack_module_state", "transforms", "unrolled", "vjp", "vmap",
]  # fmt: skip
