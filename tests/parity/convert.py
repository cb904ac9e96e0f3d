"""Values of PyTorch as values of flambeau and back: same bytes, strides, offsets and sharing of memory."""

from __future__ import annotations

import types
from functools import partial
from typing import Any

import torch

import flambeau as fb

__all__ = ["Converter", "leaves", "mapped", "rebuilt", "resolve", "to_torch"]

#: Dtypes that flambeau has, by PyTorch's dtype.
DTYPES: dict[Any, Any] = {
    getattr(torch, name): getattr(fb, name)
    for name in (
        "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128"
    ).split()
}
_BACK = {ours: theirs for theirs, ours in DTYPES.items()}
_FORMATS = {
    torch.contiguous_format: "contiguous_format",
    torch.preserve_format: "preserve_format",
    torch.channels_last: "channels_last",
    torch.channels_last_3d: "channels_last_3d",
}


def mapped(value: Any, fn: Any) -> Any:
    """Nested lists, tuples, dicts and slices with a function applied to everything else."""
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (list, tuple)):
        made = [mapped(v, fn) for v in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    if isinstance(value, dict):
        return {k: mapped(v, fn) for k, v in value.items()}
    if isinstance(value, slice):
        return slice(mapped(value.start, fn), mapped(value.stop, fn), mapped(value.step, fn))
    return fn(value)


def leaves(value: Any, kind: Any) -> list[Any]:
    """All objects of a class in nested values, in order."""
    found: list[Any] = []
    mapped(value, lambda v: found.append(v) if isinstance(v, kind) else None)
    return found


class Unsupported(Exception):
    """A value that flambeau has no counterpart of, on purpose: a sparse layout, a dtype that it doesn't have."""


class Converter:
    """Converts; tensors that share memory, or are one object, do so afterwards."""

    def __init__(self) -> None:
        self.storages: dict[int, Any] = {}
        self.tensors: dict[int, Any] = {}
        self.kept: list[Any] = []  # so that no id is used twice

    def __call__(self, value: Any) -> Any:
        return mapped(value, self.one)

    def one(self, v: Any) -> Any:
        """One value that is no container."""
        if isinstance(v, torch.Tensor):
            if id(v) not in self.tensors:
                self.kept.append(v)
                self.tensors[id(v)] = self.tensor(v)
            return self.tensors[id(v)]
        if isinstance(v, torch.dtype):
            if v not in DTYPES:
                raise Unsupported(str(v))
            return DTYPES[v]
        if isinstance(v, torch.device):
            return fb.device(str(v))
        if isinstance(v, torch.layout):
            if v is not torch.strided:
                raise Unsupported(str(v))
            return fb.strided
        if isinstance(v, torch.memory_format):
            return getattr(fb, _FORMATS[v])
        if isinstance(v, torch.Generator):
            return fb.Generator()
        if callable(v) and not isinstance(v, type):
            return rebuilt(v)
        return v

    def tensor(self, t: Any) -> Any:
        """A tensor over its own copy of the whole storage."""
        if t.layout is not torch.strided:
            raise Unsupported(str(t.layout))
        if t.dtype not in DTYPES:
            raise Unsupported(str(t.dtype))
        plain = t.detach().resolve_conj().resolve_neg()
        storage = plain.untyped_storage()
        key = storage.data_ptr()
        if key == 0 or key not in self.storages:
            count = storage.nbytes()
            flat = torch.empty(0, dtype=torch.uint8).set_(storage, 0, (count,), (1,))
            self.kept.append(storage)
            self.storages[key] = fb.from_numpy(flat.clone().numpy())
        whole = self.storages[key]
        size = plain.element_size()
        if whole.numel() % size:
            whole = whole[: whole.numel() // size * size]
        typed = whole.view(DTYPES[t.dtype])
        with fb.no_grad():
            seen = typed.as_strided(tuple(plain.shape), plain.stride(), plain.storage_offset())
        made = fb.Tensor(seen.spec, seen.mem, seen.ptr, seen.offset)  # no view for the tape: a leaf
        return made.requires_grad_() if t.requires_grad else made


def to_torch(t: Any) -> Any:
    """A dense copy of a tensor of ours as PyTorch's."""
    t = t.detach().contiguous()
    if t.dtype is fb.bfloat16:
        return torch.from_numpy(t.view(fb.int16).numpy().copy()).view(torch.bfloat16)
    return torch.from_numpy(t.numpy().copy())


# Functions

_ROOTS = {"torch.nn.functional": "nn.functional", "torch.masked._ops": "masked", "torch.functional": ""}
_ROOTS |= {"torch._C._linalg": "linalg", "torch._C._special": "special", "torch._C._fft": "fft"}
_ROOTS |= {"torch._C._nn": "nn.functional", "torch.signal.windows.windows": "signal.windows", "torch": ""}
_PREFIX = {"linalg": "linalg_", "special": "special_", "fft": "fft_"}
_rebuilt: dict[Any, Any] = {}


def resolve(path: str) -> Any:
    """A public name of ours by its path; raises AttributeError where there is none."""
    found: Any = fb
    for part in path.split("."):
        found = getattr(found, part)
    return found


def rebuilt(fn: Any) -> Any:
    """A function of PyTorch as ours: public ones by name, Python ones of its tests with `torch` standing for us."""
    if isinstance(fn, partial):
        return partial(rebuilt(fn.func), *Converter()(fn.args), **Converter()(fn.keywords))
    try:
        if fn in _rebuilt:
            return _rebuilt[fn]
    except TypeError:
        return fn
    module = getattr(fn, "__module__", None) or ""
    name = getattr(fn, "__name__", "")
    if name == "wrapper_set_seed":
        made: Any = lambda op, *args, **kwargs: op(*args, **kwargs)  # noqa: E731
    elif module == "_operator":
        made = fn
    elif isinstance(fn, torch.nn.Module):
        made = getattr(fb.nn, type(fn).__name__)()
    elif isinstance(fn, types.FunctionType) and ("testing" in module or name == "<lambda>"):
        made = _with_our_globals(fn)
    elif module in _ROOTS:
        root = _ROOTS[module]
        made = resolve(f"{root}.{name.removeprefix(_PREFIX.get(root, ''))}".strip("."))
    elif isinstance(getattr(torch.Tensor, name, None), type(fn)) and getattr(torch.Tensor, name) is fn:
        made = getattr(fb.Tensor, name)
    elif isinstance(fn, types.FunctionType):
        made = _with_our_globals(fn)
    else:
        raise AttributeError(f"no counterpart of {module}.{name}")
    _rebuilt[fn] = made
    return made


def _with_our_globals(fn: Any) -> Any:
    names = dict(fn.__globals__)
    names["torch"] = fb
    for used in _names_of(fn.__code__):
        value = names.get(used)
        if (
            isinstance(value, types.FunctionType)
            and value is not fn
            and "testing" in (value.__module__ or "")
        ):
            names[used] = rebuilt(value)
    cells = tuple(types.CellType(Converter()(c.cell_contents)) for c in fn.__closure__ or ())
    defaults = Converter()(fn.__defaults__) if fn.__defaults__ else None
    made = types.FunctionType(fn.__code__, names, fn.__name__, defaults, cells or None)
    made.__kwdefaults__ = Converter()(fn.__kwdefaults__) if fn.__kwdefaults__ else None
    return made


def _names_of(code: Any) -> set[str]:
    found = set(code.co_names)
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            found |= _names_of(const)
    return found
