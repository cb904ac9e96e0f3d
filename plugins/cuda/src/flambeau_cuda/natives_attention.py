"""Attention and its gradients: on tensor cores for 16-bit floats, plainly for everything else."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .codegen import C_TYPES
from .launch import Launch, bind, ceil_div
from .operands import Scratch
from .templates import carried, kernel

if TYPE_CHECKING:
    from flambeau.plugin import Spec

    from .backend import GpuBackend

__all__ = ["KERNELS"]

Attrs = dict[str, Any]
Run = Callable[[Sequence[Any], Sequence[Any], Attrs], None]
_ROWS, _THREADS, _PAD = 64, 128, 8  # as in attention.cuh
_MASKS = {"bool": 1, "float32": 2, "float64": 4}


class _Sizes:
    """The sizes and strides of a call, and which kernels take it."""

    def __init__(
        self, backend: GpuBackend, q: Spec, k: Spec, v: Spec, mask: Spec | None, attrs: Attrs
    ) -> None:
        self.backend, self.slot = backend, q.device.slot
        self.n, self.h, self.l, self.e = q.shape
        self.s, self.ve = k.shape[2], v.shape[3]
        self.dtype, self.causal, self.scale = q.dtype, bool(attrs["causal"]), float(attrs["scale"])
        self.mask = mask
        self.tensor_cores = (
            q.dtype.name in ("float16", "bfloat16")
            and self.e == self.ve
            and self.e in (64, 128)
            and mask is None
        )

    def takes(self) -> bool:
        """Whether there is a kernel."""
        mask_fits = self.mask is None or self.mask.dtype.name in _MASKS or self.mask.dtype is self.dtype
        fits = max(self.e, self.ve) <= 4 * _THREADS and self.n * self.h <= 65535
        return self.dtype.is_floating_point and fits and mask_fits and self.n * self.h * self.l * self.s > 0

    def fits(self, spec: Spec) -> bool:
        """Whether a kernel reads an operand of these strides."""
        if spec.strides[3] != 1 and spec.shape[3] != 1:
            return False
        return not self.tensor_cores or all(s % 8 == 0 for s in spec.strides[:3])

    def bind(
        self, call: str, strides: Sequence[Sequence[int]], grid: Sequence[int], smem: int, threads: int
    ) -> Launch:
        """``launch(out, lse, q, k, v, grad, delta, mask, gq, gk, gv)``.

        Args:
            strides: of queries, keys, values and the gradient (three each) and of the mask (four).
        """
        kind = 0 if self.mask is None else _MASKS.get(self.mask.dtype.name, 3)
        words = [self.n, self.h, self.l, self.s, self.e, self.ve, int(self.causal), kind]
        for part in strides:
            words += part
        static = struct.pack(f"=d{len(words)}q", self.scale, *words)
        fn = kernel(self.backend, "attention.cuh", call, "AttentionParams", self.slot, True)
        if smem > 48 << 10:
            self.backend.runtime.allow_shared(fn, smem)
        return bind(self.backend, self.slot, fn, "11Q", static, grid, (threads,), smem)

    def rows(self, t: Any, s: Scratch) -> tuple[int, tuple[int, ...]]:
        """An operand's address and strides of batch, head and row; of a dense copy where the kernel needs one."""
        spec = t.spec
        if self.fits(spec) and not (self.tensor_cores and t.ptr & 15):
            return t.ptr, tuple(spec.strides[:3])
        address = s.dense(t)
        if self.tensor_cores and address & 15:
            address = s.copy(t)
        return address, tuple(spec.like().strides[:3])

    def masked(self, t: Any) -> tuple[int, tuple[int, ...]]:
        """A mask's address and strides."""
        return (0, (0, 0, 0, 0)) if t is None else (t.ptr, tuple(t.spec.strides))

    def template(self) -> str:
        """The types of plain kernels."""
        return f"{carried(self.dtype)}, {C_TYPES[self.dtype.name]}"


def _tile(rows: int, e: int) -> int:
    return rows * (e + _PAD) * 2


def _attention(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
    q, k, v, mask = (*ins, None)[:4]
    if q is None or k is None or v is None:
        return None
    z = _Sizes(backend, q, k, v, mask, attrs)
    if not z.takes():
        return None
    t = C_TYPES[q.dtype.name]
    heads = z.n * z.h

    def make(strides: Sequence[Sequence[int]]) -> Launch:
        if z.tensor_cores:
            cols, tiles = 64, 2 if z.e == 64 and z.l > _ROWS else 1
            grid = (ceil_div(z.l, _ROWS * tiles), heads)
            call = f"attention_forward<{t}, {z.e}, {cols}, {tiles}>"
            return z.bind(call, strides, grid, 4 * _tile(cols, z.e), _THREADS)
        return z.bind(f"attention_plain<{z.template()}>", strides, (z.l, heads), 0, _THREADS)

    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        out, lse = outs
        q, k, v, mask = (*ins, None)[:4]
        with Scratch(backend, z.slot) as s:
            (qp, qs), (kp, ks), (vp, vs) = (z.rows(x, s) for x in (q, k, v))
            mp, ms = z.masked(mask)
            strides = (qs, ks, vs, (0, 0, 0), ms)
            key = (
                "attention",
                q.spec,
                k.spec,
                v.spec,
                strides,
                z.causal,
                z.scale,
                None if mask is None else mask.spec,
            )
            launch = backend.remembered(key, lambda: make(strides))
            launch(out.ptr, lse.ptr, qp, kp, vp, 0, 0, mp, 0, 0, 0)

    return run


def _attention_backward(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
    g, q, k, v, _, _, mask = (*ins, None)[:7]
    if q is None or k is None or v is None or g is None or g.dtype is not q.dtype:
        return None
    z = _Sizes(backend, q, k, v, mask, attrs)
    if not z.takes():
        return None
    t = C_TYPES[q.dtype.name]
    heads, acc = z.n * z.h, carried(q.dtype)

    def make(strides: Sequence[Sequence[int]]) -> tuple[Launch, Launch, Launch]:
        lines = ceil_div(heads * z.l * 32, 256)
        delta = z.bind(f"attention_delta<{z.template()}>", strides, (lines,), 0, 256)
        if z.tensor_cores:
            rows = 64 if z.e == 64 else 32
            cols, tiles = 64, 2 if z.e == 64 and z.l > _ROWS else 1
            queries = z.bind(
                f"attention_queries<{t}, {z.e}, {cols}, {tiles}>", strides, (ceil_div(z.l, _ROWS * tiles), heads),
                4 * _tile(cols, z.e), _THREADS,
            )  # fmt: skip
            keys = z.bind(
                f"attention_keys<{t}, {z.e}, {rows}>", strides, (ceil_div(z.s, _ROWS), heads),
                2 * _tile(_ROWS, z.e) + 4 * _tile(rows, z.e) + 16 * rows, _THREADS,
            )  # fmt: skip
            return delta, queries, keys
        call = f"attention_plain_backward<{z.template()}"
        queries = z.bind(f"{call}, false>", strides, (z.l, heads), 0, _THREADS)
        return delta, queries, z.bind(f"{call}, true>", strides, (z.s, heads), 0, _THREADS)

    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        gq, gk, gv = outs
        g, q, k, v, out, lse, mask = (*ins, None)[:7]
        with Scratch(backend, z.slot) as s:
            (gp, gs), (qp, qs), (kp, ks), (vp, vs) = (z.rows(x, s) for x in (g, q, k, v))
            mp, ms = z.masked(mask)
            strides = (qs, ks, vs, gs, ms)
            key = (
                "attention_backward",
                q.spec,
                k.spec,
                v.spec,
                strides,
                z.causal,
                z.scale,
                None if mask is None else mask.spec,
            )
            delta, queries, keys = backend.remembered(key, lambda: make(strides))
            room = s.room(heads * z.l * (8 if acc == "f64" else 4))
            values = (s.dense(out), s.dense(lse), qp, kp, vp, gp, room, mp, gq.ptr, gk.ptr, gv.ptr)
            delta(*values)
            queries(*values)
            keys(*values)

    return run


KERNELS = {"attention": _attention, "attention_backward": _attention_backward}
