"""Copies of tensors as whole objects, by ``copy.deepcopy`` and ``pickle``. What shares memory shares it in the copy."""

from __future__ import annotations

import copy
import copyreg
from typing import Any

from ._tensor import Tensor
from .devices import Device
from .dtypes import DType
from .errors import describe, refuse
from .layout import Size, spec_of
from .plan import tensor_on
from .registry import backend_of
from .storage import Storage

__all__ = ["deepcopy", "reduce_ex"]


def deepcopy(t: Tensor, memo: dict[int, Any]) -> Tensor:
    """``copy.deepcopy`` of a leaf, its grad and its attributes.

    Raises:
        RuntimeError: the tensor was computed; its history can't be copied.
    """
    if id(t) in memo:
        known: Tensor = memo[id(t)]
        return known
    node = t.grad_fn
    if node is not None:
        wrong = (
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol: got "
        )
        refuse("deepcopy", f"{wrong}{describe(t)} of {node.name()}", do="Use t.detach() first.")
    mem = memo.get(id(t.mem))
    if mem is None:
        mem = memo[id(t.mem)] = _duplicate(t.mem)
    made = tensor_on(mem, t.spec, t.offset)
    if type(t) is not Tensor:
        made = made.as_subclass(type(t))
    memo[id(t)] = made
    made.requires_grad_(t.requires_grad)
    if t.grad is not None:
        made.grad = copy.deepcopy(t.grad, memo)
    if attributes := getattr(t, "__dict__", None):
        made.__dict__.update(copy.deepcopy(attributes, memo))
    return made


def reduce_ex(t: Tensor, protocol: Any) -> tuple[Any, ...]:
    """How ``pickle`` takes a tensor apart; a computed tensor comes back as a leaf."""
    spec = t.spec
    parts = (type(t), t.mem, spec.dtype, spec.shape, spec.strides, t.offset, t.requires_grad, spec.flipped)
    return _tensor, parts, getattr(t, "__dict__", None) or None


def _duplicate(mem: Storage) -> Storage:
    backend = backend_of(mem.device)
    made = Storage.allocate(backend, mem.nbytes, mem.device)
    backend.copy_across(made.handle, mem.handle, mem.nbytes)
    return made


def _tensor(
    cls: type[Tensor],
    mem: Storage,
    dtype: DType,
    shape: Size,
    strides: tuple[int, ...],
    offset: int,
    requires_grad: bool,
    flipped: bool = False,
) -> Tensor:
    made = tensor_on(mem, spec_of(dtype, tuple(shape), mem.device, strides, flipped), offset)
    if cls is not Tensor:
        made = made.as_subclass(cls)
    return made.requires_grad_(requires_grad)


def _storage(device: Device, nbytes: int, data: bytes) -> Storage:
    backend = backend_of(device)
    made = Storage.allocate(backend, nbytes, device)
    if data:
        backend.copy_in(made.handle, 0, data)
    return made


def _reduce_storage(mem: Storage) -> tuple[Any, ...]:
    data = b""
    if mem.nbytes and mem.device.type != "meta":
        data = bytes(backend_of(mem.device).copy_out(mem.handle, 0, mem.nbytes))
    return _storage, (mem.device, mem.nbytes, data)


copyreg.pickle(Storage, _reduce_storage)
