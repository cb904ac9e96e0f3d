"""Instances of the kernel templates in kernels/."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from .codegen import C_TYPES

if TYPE_CHECKING:
    from flambeau import dtype as DType

    from .backend import GpuBackend

__all__ = ["BLOCK", "carried", "kernel", "q"]

BLOCK = 256


def carried(dtype: DType) -> str:
    """The C++ type in which values of a dtype are added up."""
    name = C_TYPES[dtype.name]
    return "f32" if name in ("f16", "bf16") else name


def kernel(backend: GpuBackend, header: str, call: str, params: str, index: int, sync: bool = False) -> int:
    """An instance of a kernel template.

    Args:
        header: the file that has it.
        call: the template with its arguments.
        params: the type of its struct.
        sync: whether its threads wait for each other.
    """
    macro = "FB_KERNEL_SYNC" if sync else "FB_KERNEL"
    body = f'#include "{header}"\nFB_DEV void run(const {params} &p) {{ {call}(p); }}\n'
    source = f"{body}{macro}(fb_kernel, {params}, run, 256)\n"
    return backend.function(source, "fb_kernel", index)


def q(*values: int) -> bytes:
    """Words of 64 bits."""
    return struct.pack(f"={len(values)}q", *values)
