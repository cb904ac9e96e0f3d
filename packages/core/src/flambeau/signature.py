"""Parameters of ops, read off the signatures of their records' functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["CREATION", "LOOSE", "NUMBERS", "SYNONYMS", "Param", "frozen", "read_params"]

NUMBERS = frozenset({bool, int, float, complex})
#: Types whose values may equal an int that stands for something else, or be no key (nan); and those without a hash.
LOOSE = frozenset({float, complex, list})
#: Other names of parameters that calls may use.
SYNONYMS = {"input": "self", "self": "input", "axis": "dim", "keepdims": "keepdim", "x": "self"}


def frozen(v: Any) -> Any:
    """A list as a tuple, with what is in it; anything else as it is."""
    return tuple(frozen(e) for e in v) if isinstance(v, (list, tuple)) else v


class Param:
    """A parameter of an op, read off the annotation of its Python signature.

    Attributes:
        name: its name.
        kind: ``tensor``, ``optional`` (tensor or None), ``operand`` (tensor or number), ``tensors``, ``number``,
            ``attr``.
        annotation: what its function says of it.
        default: its default, or `Param.NONE`.
        keyword: whether it is given by name only.
    """

    NONE = object()
    #: Annotation -> kind; functions that infer say ``Spec``, as that is what they get.
    KINDS = {
        "Tensor": "tensor", "Tensor | None": "optional", "Tensor | Number": "operand",
        "Tensor | Number | None": "operand", "Sequence[Tensor]": "tensors", "Number": "number",
        "Spec": "tensor", "Spec | None": "optional", "Sequence[Spec]": "tensors",
    }  # fmt: skip

    __slots__ = ("annotation", "default", "keyword", "kind", "name")

    def __init__(self, name: str, annotation: str, default: Any, keyword: bool) -> None:
        self.name = name
        self.annotation = annotation
        self.kind = self.KINDS.get(annotation, "attr")
        self.default = default
        self.keyword = keyword

    @property
    def is_tensor(self) -> bool:
        """Whether tensors stand there."""
        return self.kind in ("tensor", "optional", "operand", "tensors")

    @property
    def needs(self) -> str:
        """What it takes, for messages."""
        kinds = {"operand": "a Tensor or a number", "tensors": "a list of Tensors", "number": "a number"}
        return kinds.get(self.kind, "a Tensor")


#: What ``**made: Creation`` stands for in a record's signature: how all functions that make tensors are told what of.
CREATION = {
    "dtype": ("dt.DType | None", None), "device": ("Any", None), "requires_grad": ("bool", False),
    "layout": ("Any", None), "pin_memory": ("bool", False),
}  # fmt: skip


def read_params(fn: Callable[..., Any]) -> tuple[Param, ...]:
    """The parameters of a function, without the weight of `inspect`."""
    code = fn.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    given = fn.__defaults__ or ()
    defaults = dict(zip(names[code.co_argcount - len(given) : code.co_argcount], given, strict=True))
    defaults |= fn.__kwdefaults__ or {}
    notes = fn.__annotations__
    own = [
        Param(n, str(notes.get(n, "")), defaults.get(n, Param.NONE), k >= code.co_argcount)
        for k, n in enumerate(names)
    ]
    group = CREATION if "Creation" in notes.values() else {}
    return (*own, *(Param(n, note, default, True) for n, (note, default) in group.items()))
