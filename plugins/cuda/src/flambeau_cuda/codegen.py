"""Elementwise programs as CUDA C++ kernels.

One kernel text is made per program and layout class: all operands dense (16-byte accesses), or so many dimensions with
strides, with vectors along the last one where the operands allow it; 32-bit or 64-bit places.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .launch import Launch, bind, ceil_div, nothing
from .layouts import collapse, extent

if TYPE_CHECKING:
    from flambeau import dtype as DType
    from flambeau.plugin import Spec, TypedProgram

    from .backend import GpuBackend

__all__ = ["C_TYPES", "kernel_source", "literal", "plan_program"]

C_TYPES = {
    "bool": "b8", "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64", "int8": "i8", "int16": "i16",
    "int32": "i32", "int64": "i64", "float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64",
    "complex64": "c64", "complex128": "c128",
}  # fmt: skip
#: Opcodes whose value depends on the element's number.
SOURCES = frozenset(("iota", "philox32", "philox64"))
BLOCK = 256


def draws(program: TypedProgram) -> bool:
    """Whether the program makes random words; its kernels then take the address of an offset (see offsets.py)."""
    return any(i.op in ("philox32", "philox64") for i in program.code)


_WIDEST = 16  # bytes of one access
_NARROW = (1 << 31) - 1


def literal(value: Any, dtype: DType) -> str:
    """A number as a C++ expression of a dtype."""
    name = C_TYPES[dtype.name]
    if dtype.is_complex:
        part = "f32" if name == "c64" else "f64"
        z = complex(value)
        return f"{name}{{{_real(z.real, part)}, {_real(z.imag, part)}}}"
    if name in ("f16", "bf16"):
        return f"cast<{name}>({_real(float(value), 'f32')})"
    if dtype.is_floating_point:
        return _real(float(value), name)
    if name == "b8":
        return "true" if value else "false"
    return f"({name})0x{int(value) & 0xFFFFFFFFFFFFFFFF:x}ULL"


def _real(value: float, name: str) -> str:
    if value != value:
        return f"not_a_number<{name}>()"
    if value in (float("inf"), float("-inf")):
        return ("-" if value < 0 else "") + f"infinity<{name}>()"
    # A double literal is rounded by the cast, once, as every number that becomes a float is.
    return f"({name}){value.hex()}"


def body_source(program: TypedProgram, held: bool = False) -> str:
    """The function that computes one element.

    Args:
        held: whether its first argument is ``Numbers``, the run-time scalars, in place of the kernel's struct.
    """
    n_in = len(program.ins)
    args = ["int v, four *kept"] if draws(program) else []
    args += [f"{C_TYPES[d.name]} r{k}" for k, d in enumerate(program.ins)]
    args += [f"{C_TYPES[d.name]} &y{k}" for k, d in enumerate(program.outs)]
    lines = ["struct Numbers {", *("    " + f for f in scalar_fields(program)), "};"] if held else []
    lines.append(f"FB_DEV void point(const {'Numbers' if held else 'P'} &p, i64 at, {', '.join(args)}) {{")
    at, drawn = n_in, 0
    for k, d in enumerate(program.scalars):
        name = C_TYPES[d.name]
        value = f"p.s{k}" if not d.is_complex else f"c128{{p.s{k}, p.s{k}i}}"
        lines.append(f"    {name} r{at} = cast<{name}>({value});")
        at += 1
    for v, d in program.consts:
        lines.append(f"    {C_TYPES[d.name]} r{at} = {literal(v, d)};")
        at += 1
    for i in program.code:
        out = C_TYPES[i.out.name]
        srcs = ", ".join(f"r{s}" for s in i.srcs)
        if i.op == "cast":
            value = f"cast<{out}>({srcs})"
        elif i.op == "bitcast":
            value = f"bits_as<{out}>({srcs})"
        elif i.op == "iota":
            value = "at"
        elif i.op in SOURCES:
            seed, stream = (f"r{k}" for k in i.srcs)
            value = f"draw_{i.op}({seed}, {stream}, (const u64 *)p.offset, at, v, kept[{drawn}])"
            drawn += 1
        else:
            value = f"op_{i.op}({srcs})"
        lines.append(f"    {out} r{at} = {value};")
        at += 1
    lines += [f"    y{k} = r{r};" for k, r in enumerate(program.results)]
    return "\n".join([*lines, "}"])


def kernel_source(
    program: TypedProgram,
    ndim: int,
    width: int,
    inner: Sequence[int],
    narrow: bool,
    dense: bool,
    held: bool = False,
) -> str:
    """The text of a kernel named ``fb_program``.

    Args:
        ndim: dimensions that are walked.
        width: elements per thread, accessed as one vector.
        inner: of each output and input, whether the last stride is 1, 0, or (2) anything.
        narrow: places fit 32 bits.
        dense: one dimension whose size is no multiple of ``width``.
        held: scalars lie in device memory (see numbers.py).
    """
    outs, ins = [C_TYPES[t.name] for t in program.outs], [C_TYPES[t.name] for t in program.ins]
    names = [f"o{k}" for k in range(len(outs))] + [f"i{k}" for k in range(len(ins))]
    n_out, place = len(outs), "i32" if narrow else "i64"
    fields = [f"u64 {n};" for n in names]
    fields += HELD_FIELDS if held else scalar_fields(program)
    if draws(program):
        fields.append("u64 offset;")
    fields.append("i64 n;")
    fields += [f"i64 size{d}, mul{d}, shift{d};" for d in range(1, ndim)]
    if not dense:
        fields += [f"i64 {n}_{d};" for n in names for d in range(ndim)]
    head = [
        '#include "base.cuh"',
        "struct P {",
        *("    " + f for f in fields),
        "};",
        body_source(program, held),
    ]
    state = "now" if held else "p"

    def elements(at: str, vector: bool, indent: str) -> list[str]:
        """Load, compute, store; ``at``: the number of the first element."""
        lines = []
        count = sum(i.op in ("philox32", "philox64") for i in program.code)
        # Elements of one vector share blocks of random words where vectors begin at a block.
        place = "v" if vector and width % 4 == 0 else "-1"
        if count:
            lines.append(f"{indent}four kept[{count}];")
        extra = [place, "kept"] if count else []
        for n, t, kind in zip(names[n_out:], ins, inner[n_out:], strict=True):
            where = f"a_{n}"
            if vector and kind == 1:
                lines.append(
                    f"{indent}vec<{t}, {width}> x_{n} = *(const vec<{t}, {width}> *)((const {t} *)p.{n} + {where});"
                )
            elif vector:
                lines.append(f"{indent}{t} x_{n} = ((const {t} *)p.{n})[{where}];")
        if vector:
            lines += [f"{indent}vec<{t}, {width}> x_{n};" for n, t in zip(names[:n_out], outs, strict=True)]
            args = [f"x_{n}.v[v]" if kind == 1 else f"x_{n}" for n, kind in zip(names, inner, strict=True)]
            args = extra + args[n_out:] + [f"x_{n}.v[v]" for n in names[:n_out]]
            lines += [
                "#pragma unroll",
                f"{indent}for (int v = 0; v < {width}; v++) point({state}, {at} + v, {', '.join(args)});",
            ]
            lines += [
                f"{indent}*(vec<{t}, {width}> *)(({t} *)p.{n} + a_{n}) = x_{n};"
                for n, t in zip(names[:n_out], outs, strict=True)
            ]
        else:
            lines += [f"{indent}{t} x_{n};" for n, t in zip(names[:n_out], outs, strict=True)]
            args = extra + [f"((const {t} *)p.{n})[a_{n}]" for n, t in zip(names[n_out:], ins, strict=True)]
            lines.append(
                f"{indent}point({state}, {at}, {', '.join(args + [f'x_{n}' for n in names[:n_out]])});"
            )
            lines += [
                f"{indent}(({t} *)p.{n})[a_{n}] = x_{n};" for n, t in zip(names[:n_out], outs, strict=True)
            ]
        return lines

    body = ["FB_DEV void run(const P &p) {", *(HELD_LOADS if held else ())]
    if dense:
        step = [f"a_{n} = e" if kind else f"a_{n} = 0" for n, kind in zip(names, inner, strict=True)]
        body += [f"    i64 e = thread_number() * {width};", f"    if (e + {width} <= p.n) {{"]
        body += [f"        i64 {', '.join(step)};", *elements("e", width > 1, "        "), "    }"]
        if width > 1:
            body += ["    else for (; e < p.n; e++) {", f"        i64 {', '.join(step)};"]
            body += [*elements("e", False, "        "), "    }"]
    else:
        word = "u32" if narrow else "i64"
        body += ["    i64 t = thread_number();", "    if (t >= p.n) return;", f"    {word} rest = ({word})t;"]
        body.append(f"    {place} " + ", ".join(f"a_{n} = 0" for n in names) + ";")
        for d in range(ndim - 1, 0, -1):
            q = (
                f"divide(rest, {{(u32)p.size{d}, (u32)p.mul{d}, (u32)p.shift{d}, 0}})"
                if narrow
                else f"rest / p.size{d}"
            )
            body.append(f"    {{ {word} q = {q}, c = rest - q * ({word})p.size{d}; rest = q;")
            body += [f"      a_{n} += ({place})c * ({place})p.{n}_{d};" for n in names]
            body.append("    }")
        if ndim:
            body += [f"    a_{n} += ({place})rest * ({place})p.{n}_0;" for n in names]
        body += elements(f"t * {width}", width > 1, "    ")
    body.append("}")
    return "\n".join([*head, *body, f"FB_KERNEL(fb_program, P, run, {BLOCK})", ""])


def divider(d: int) -> tuple[int, int]:
    """Multiplier and shift of a division by ``d`` (see kernels/base.cuh)."""
    shift = (d - 1).bit_length()
    return ((1 << 32) * ((1 << shift) - d) // d + 1) & 0xFFFFFFFF, shift


#: Fields of a kernel whose scalars lie in device memory, and what it begins with.
HELD_FIELDS = ("u64 numbers, skip;",)
HELD_LOADS = (
    "    if (p.skip && *(const f32 *)p.skip != 0) return;",
    "    Numbers now = *(const Numbers *)p.numbers;",
)


def scalar_fields(program: TypedProgram) -> list[str]:
    """The fields of a kernel's struct that take the run-time scalars."""
    fields = []
    for k, t in enumerate(program.scalars):
        kind = "f64" if t.rank > 1 else "u64" if t.kind == "u" else "i64"
        fields.append(f"{kind} s{k};" + (f" {kind} s{k}i;" if t.is_complex else ""))
    return fields


def scalar_codes(program: TypedProgram) -> str:
    """The `struct` codes of those fields."""
    codes = ""
    for d in program.scalars:
        codes += "dd" if d.is_complex else "d" if d.is_floating_point else "Q" if d.kind == "u" else "q"
    return codes


def fitted(program: TypedProgram, values: Sequence[Any], n_ptr: int) -> list[Any]:
    """Addresses and scalars as `struct` takes them: complex numbers in two parts, integers wrapped."""
    out = list(values[:n_ptr])
    for v, d in zip(values[n_ptr:], program.scalars, strict=True):
        if d.is_complex:
            z = complex(v)
            out += [z.real, z.imag]
        elif d.is_floating_point:
            out.append(float(v))
        else:
            word = int(v) & 0xFFFFFFFFFFFFFFFF
            out.append(word if d.kind == "u" or word < 1 << 63 else word - (1 << 64))
    return out


def plan_program(
    backend: GpuBackend, program: TypedProgram, outs: Sequence[Spec], ins: Sequence[Spec], held: bool = False
) -> Launch:
    """A prepared launch ``launch(*addresses of outputs, *addresses of inputs, *scalars)``.

    All specs have the outputs' shape; repeated dimensions have stride 0.

    Args:
        held: in place of the scalars the launch takes the address where they lie, and that of a float32 number that
            is not 0 where nothing is to be done (see numbers.py).
    """
    first = outs[0]
    if any(i.op in ("sub", "neg") and i.dtype.name == "bool" for i in program.code):
        raise TypeError(
            "[sub] bools can't be subtracted: got bool operands, needed: numbers. "
            "Use ^ or logical_xor(), or convert them."
        )
    if not first.numel:
        return nothing
    index = first.device.slot
    specs = [*outs, *ins]
    ordered = any(i.op in SOURCES for i in program.code)
    sizes, strides = collapse(first.shape, [s.strides for s in specs], not ordered)
    items = [s.itemsize for s in specs]
    n_out = len(outs)
    narrow = first.numel < _NARROW and all(extent(sizes, s) < _NARROW for s in strides)
    dense = len(sizes) <= 1 and all(not s or s[-1] in (0, 1) for s in strides)
    dense = dense and all(not s or s[-1] == 1 for s in strides[:n_out])
    plain = _variant(backend, program, index, sizes, strides, 1, narrow, dense, held)
    width = _WIDEST // max(items)
    inner = [s[-1] if s else 1 for s in strides]
    last = sizes[-1] if sizes else 1
    if any(k not in (0, 1) for k in inner) or any(k != 1 for k in inner[:n_out]) or last == 1:
        width = 1
    while (
        width > 1
        and not dense
        and (
            last % width
            or any(k == 1 and any(x % width for x in s[:-1]) for k, s in zip(inner, strides, strict=True))
        )
    ):
        width //= 2
    fast = (
        _variant(backend, program, index, sizes, strides, width, narrow, dense, held) if width > 1 else None
    )
    # Operands that are read as vectors must lie at multiples of a vector.
    mask = width * max(items) - 1
    moved = [k for k, i in enumerate(inner) if i == 1]
    launch = _chooser(program, len(specs), plain, fast, mask, moved, held)
    launch.info = program, specs  # type: ignore[attr-defined]  # for plan_many
    return launch


def _variant(
    backend: GpuBackend,
    program: TypedProgram,
    index: int,
    sizes: Sequence[int],
    strides: Sequence[Sequence[int]],
    width: int,
    narrow: bool,
    dense: bool,
    held: bool,
) -> Any:
    """A function that makes the launch, when it is first needed."""

    def make() -> Launch:
        ndim = len(sizes)
        inner = tuple((s[-1] if s[-1] in (0, 1) else 2) if s else 1 for s in strides)
        key = (
            backend.name,
            index,
            ndim,
            width,
            inner if dense or width > 1 else None,
            narrow or dense,
            dense,
            held,
        )
        fn = program.cache.get(key)
        if fn is None:
            source = kernel_source(program, ndim, width, inner, narrow, dense, held)
            fn = program.cache[key] = backend.function(source, "fb_program", index, ("--fmad=false", "-O0"))
        total = 1
        for n in sizes:
            total *= n
        if dense:
            words, threads = [total], ceil_div(total, width)
        else:
            steps = [*sizes[:-1], sizes[-1] // width] if sizes else []
            threads = total // width
            words = [threads]
            for n in steps[1:]:
                words += [n, *divider(n)]
            for s in strides:
                words += [*s[:-1], s[-1] * width] if s else []
        static = struct.pack(f"={len(words)}q", *words)
        random = draws(program)
        codes = "Q" * len(strides) + ("QQ" if held else scalar_codes(program)) + ("Q" if random else "")
        launch = bind(backend, index, fn, codes, static, (ceil_div(threads, BLOCK),), (BLOCK,))
        if not random:
            return launch
        offsets = backend.offsets
        return lambda *values: launch(*values, offsets.address(index))

    made: list[Launch] = []

    def get() -> Launch:
        if not made:
            made.append(make())
        return made[0]

    return get


def _chooser(
    program: TypedProgram, n_ptr: int, plain: Any, fast: Any, mask: int, moved: list[int], held: bool
) -> Launch:
    """The launch that picks vectors where addresses allow them, and makes scalars fit where `struct` refuses them."""
    if program.scalars and not held:
        complex_scalars = any(d.is_complex for d in program.scalars)

        def run(get: Any, values: Sequence[Any]) -> None:
            if not complex_scalars:
                try:
                    get()(*values)
                    return
                except (struct.error, TypeError, OverflowError):
                    pass
            get()(*fitted(program, values, n_ptr))
    else:

        def run(get: Any, values: Sequence[Any]) -> None:
            get()(*values)

    if fast is None:
        if not program.scalars:
            return _lazy(plain)
        return lambda *values: run(plain, values)
    if not held and not program.scalars and moved == list(range(n_ptr)) and n_ptr in (2, 3):
        return _short(plain, fast, mask, n_ptr)

    def choose(*values: Any) -> None:
        bits = 0
        for k in moved:
            bits |= values[k]
        run(plain if bits & mask else fast, values)

    return choose


def _lazy(get: Any) -> Launch:
    launch: list[Launch] = []

    def first(*values: Any) -> None:
        if not launch:
            launch.append(get())
        launch[0](*values)

    return first


def _short(plain: Any, fast: Any, mask: int, n_ptr: int) -> Launch:
    """The choice for two or three dense operands, which most calls have."""
    made: list[Any] = [None]

    def two(a: int, b: int) -> None:
        if (a | b) & mask:
            plain()(a, b)
        elif (launch := made[0]) is not None:
            launch(a, b)
        else:
            made[0] = fast()
            made[0](a, b)

    def three(a: int, b: int, c: int) -> None:
        if (a | b | c) & mask:
            plain()(a, b, c)
        elif (launch := made[0]) is not None:
            launch(a, b, c)
        else:
            made[0] = fast()
            made[0](a, b, c)

    return two if n_ptr == 2 else three
