"""Write the type stubs of tensor methods and top-level functions from the records of ops.

Run it after a record's signature has changed: ``python packages/core/tools/make_stubs.py``; with ``--check`` it only
says whether the stubs are up to date (exit status 1 if not).
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import flambeau
from flambeau.install import COMPARISONS, ELSEWHERE, OPERATORS, UNARY, VIEWS
from flambeau.op import Op, Param
from flambeau.ops.late import NAMES, load
from flambeau.registry import OPS

load(*NAMES)
#: Ours: those of the core, and of the plugins whose names it knows.
OURS = {"flambeau", *(f"flambeau_{extra}" for extra in NAMES)}
RECORDS = [op for op in OPS.values() if op.fn.__module__.partition(".")[0] in OURS]
PACKAGE = Path(flambeau.__file__).parent
HEAD = '''"""{doc} Written by tools/make_stubs.py from the records; don't edit."""

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

'''
#: Annotation in a record -> annotation in a stub; names that methods shadow get an underscore.
NAMES = {
    "Number": "_Number", "Tensor | Number": "Tensor | _Number", "dt.DType": "DType", "Dims": "_Dims", "Any_": "Any",
    "dt.DType | None": "DType | None",
}  # fmt: skip
BUILTINS = ("bool", "int", "float", "complex", "str")


def annotation(text: str) -> str:
    """An annotation as a stub says it."""
    text = NAMES.get(text, text).replace("dt.", "").replace("Tensor | Number", "Tensor | _Number")
    parts = []
    for word in text.replace("[", " [ ").replace("]", " ] ").replace(",", " , ").split():
        parts.append(
            "_" + word
            if word in BUILTINS
            else "_Number"
            if word == "Number"
            else "_Dims"
            if word == "Dims"
            else word
        )
    out = " ".join(parts)
    for a, b in ((" [ ", "["), (" ]", "]"), (" ,", ",")):
        out = out.replace(a, b)
    return out or "Any"


def returns(op: Op) -> str:
    """The annotation of what an op returns."""
    text = annotation(str(op.fn.__annotations__.get("return", "Any")))
    return "Tensor" if op.kind in ("kernel", "view", "pointwise") else text


def parameter(p: Param, op: Op) -> str:
    """One parameter."""
    text = annotation(p.annotation.replace("Spec", "Tensor") or "Any")
    name = p.name.rstrip("_") if p.name == "from_" else p.name
    name = "from_" if name == "from" else name
    return f"{name}: {text}" + (
        "" if p.default is Param.NONE else f" = {p.default!r}" if _plain(p.default) else " = ..."
    )


def _plain(value: Any) -> bool:
    return (
        value is None
        or isinstance(value, (bool, int, str))
        or (isinstance(value, float) and value == value and abs(value) < 1e300)
    )


def signature(op: Op, method: bool, spread: bool) -> str:
    """The parameter list; ``spread`` lists a trailing sequence of ints as ``*sizes``."""
    parts = []
    star = False
    for k, p in enumerate(op.params):
        if method and k == 0:
            parts.append("self")
            continue
        if p.keyword and not star:
            parts.append("*")
            star = True
        if spread and k == op.n_positional - 1:
            parts.append(f"*{p.name}: _int")
            star = True
            continue
        parts.append(parameter(p, op))
    code = op.fn.__code__
    if code.co_flags & 4:  # inspect.CO_VARARGS: they stand before keywords
        name = code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
        at = parts.index("*") if star else len(parts)
        parts[at : at + 1] = [f"*{name}: {annotation(str(op.fn.__annotations__.get(name, 'Any')))}"]
        star = True
    if not method:
        parts = ["input" + q[4:] if q.startswith("self:") else q for q in parts]
        if op.kind != "view" and "out" not in op.names and op.fn.__name__ not in ("empty", "full"):
            parts += ["out: Any = None"] if star else ["*", "out: Any = None"]
    return ", ".join(parts)


def spreads(op: Op) -> bool:
    """Whether sizes may be given one by one."""
    if not op.n_positional:
        return False
    last = op.params[op.n_positional - 1]
    return last.annotation == "Sequence[int]" and last.default is Param.NONE


def lines_of(op: Op, name: str, method: bool, indent: str) -> list[str]:
    """The stub of one function."""
    doc = (op.fn.__doc__ or "").strip().splitlines()
    out = []
    for spread in (True, False) if spreads(op) else (False,):
        if spreads(op):
            out.append(f"{indent}@overload")
        out.append(f"{indent}def {name}({signature(op, method, spread)}) -> {returns(op)}:")
        out.append(f'{indent}    """{doc[0] if doc else name}"""')
    return out


def methods() -> str:
    """The stub of the methods."""
    out = [HEAD.format(doc="Methods of tensors.") + "class TensorMethods:"]
    own = {
        n
        for n, v in vars(flambeau.Tensor).items()
        if not hasattr(v, "op") and getattr(v, "__doc__", "") is not None
    }
    for op in sorted(RECORDS, key=lambda o: o.name):
        names = op.exports if op.method else ()
        for name in names:
            if name not in own and op.params and op.params[0].is_tensor:
                out += lines_of(op, name, True, "    ")
        if op.inplace:
            for name in op.exports:
                out.append(f"    def {name}_({signature(op, True, False)}) -> Tensor:")
                out.append(f'        """In-place form of `{name}`."""')
    for name, home in ELSEWHERE.items():
        module, _, function = home.rpartition(".")
        out += elsewhere(name, getattr(import_module(f"flambeau.{module}"), function))
    for name, record in VIEWS.items():
        out += ["    @property", f"    def {name}(self) -> Tensor:"]
        out.append(f'        """{(OPS[record].fn.__doc__ or "").splitlines()[0]}"""')
        if getattr(flambeau.Tensor, name).fset:
            out += [f"    @{name}.setter", f"    def {name}(self, value: Any) -> None: ..."]
    for py in OPERATORS:
        out.append(f"    def __{py}__(self, other: Any) -> Tensor: ...")
        out.append(f"    def __r{py}__(self, other: Any) -> Tensor: ...")
        if py != "matmul":
            out.append(f"    def __i{py}__(self, other: Any) -> Tensor: ...")
    for py in COMPARISONS:
        ignore = "  # type: ignore[override]" if py in ("eq", "ne") else ""
        out.append(f"    def __{py}__(self, other: Any) -> Tensor: ...{ignore}")
    for py in UNARY:
        out.append(f"    def __{py}__(self) -> Tensor: ...")
    return "\n".join(out) + "\n"


def elsewhere(name: str, fn: Any) -> list[str]:
    """The stub of a method that is a function of another module."""

    def known(text: str) -> str:
        return "Any" if text.startswith("np.") or text == "_empty" else annotation(text)

    given = inspect.signature(fn)
    first, *others = given.parameters.values()
    parts = [p.replace(annotation=known(str(p.annotation))) for p in others]
    me = first.replace(name="self", annotation=inspect.Parameter.empty)
    made = given.replace(parameters=[me, *parts], return_annotation=known(str(given.return_annotation)))
    text = str(made).replace("'", "")
    doc = (fn.__doc__ or "").splitlines()[0]
    return [f"    def {name}{text}:", f'        """{doc}"""']


def functions() -> str:
    """The stub of the functions."""
    out = [HEAD.format(doc="Functions of the top level.")]
    names: list[str] = []
    for op in sorted(RECORDS, key=lambda o: o.name):
        if op.function and not op.module:
            for name in op.exports:
                out += lines_of(op, name, False, "")
                names.append(name)
                if op.inplace:
                    out.append(f"def {name}_({signature(op, False, False)}) -> Tensor: ...")
                    names.append(name + "_")
    listed = ",\n".join(f'    "{n}"' for n in sorted(set(names)))
    return "\n".join(out) + f"\n\n__all__ = [\n{listed},\n]\n"


def main() -> int:
    """Write or check both stubs."""
    stale = False
    for name, text in (("_methods.pyi", methods()), ("_functions.pyi", functions())):
        path = PACKAGE / name
        if not path.exists() or path.read_text() != text:
            stale = True
            if "--check" not in sys.argv:
                path.write_text(text)
            print(f"{name}: {'is not up to date' if '--check' in sys.argv else 'written'}")
    return int(stale and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
