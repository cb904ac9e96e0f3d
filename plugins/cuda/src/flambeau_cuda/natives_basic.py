"""Native kernels on the entries' own: means and norms, rows by index, linear layers, the k largest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .codegen import C_TYPES
from .entries import describer, plan_gemm, plan_reduce, take, unravel
from .launch import Launch, bind
from .operands import Scratch, prepares
from .sorting import order_places, plan_topk
from .templates import carried, kernel, q

if TYPE_CHECKING:
    from flambeau.plugin import Spec

    from .backend import GpuBackend

__all__ = ["KERNELS"]

Attrs = dict[str, Any]
Run = Callable[[Sequence[Any], Sequence[Any], Attrs], None]


# Reductions


def _dims(spec: Spec, attrs: Attrs) -> tuple[int, ...]:
    dims = attrs.get("dims")
    if dims is None:
        dim = attrs.get("dim")
        dims = tuple(range(spec.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    return tuple(d % spec.ndim for d in dims) if spec.ndim else ()


def _reduction(kind: str) -> Any:
    def make(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
        x = ins[0]
        if x is None or not x.dtype.is_floating_point:
            return None
        dims = _dims(x, attrs)
        correction = attrs.get("correction", 0) if kind == "var" else 0
        extra = float(1 if correction is None else correction)

        def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
            out, x = outs[0], ins[0]
            key = (kind, out.spec, x.spec, dims, extra)
            launch = backend.remembered(
                key, lambda: plan_reduce(backend, kind, out.spec, x.spec, dims, extra)
            )
            launch(out.ptr, x.ptr)

        vars(run)["prepare"] = lambda outs, ins: plan_reduce(backend, kind, outs[0], ins[0], dims, extra)
        return run

    return make


# Rows


def _index_select(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        out, (src, index) = outs[0], ins
        nd = src.spec.ndim
        dim = attrs["dim"] % nd if nd else 0
        step = index.spec.strides[0] if index.spec.ndim else 0
        shape = out.spec.shape
        index_strides = [step if d == dim else 0 for d in range(nd)]
        strides = [0 if d == dim else s for d, s in enumerate(src.spec.strides)]

        def where(flat: int) -> list[int]:
            return [unravel(flat, shape)[dim]] if index.spec.ndim else []

        take(backend, "index_select", out, src, dim, index, index_strides, strides, where)

    return run


def _embedding(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        out, (weight, index) = outs[0], ins
        lead = index.spec.ndim
        shape = out.spec.shape
        take(
            backend, "embedding", out, weight, 0, index, [*index.spec.strides, 0],
            [*[0] * lead, weight.spec.strides[1]], lambda flat: unravel(flat, shape)[:lead],
        )  # fmt: skip

    return run


def _embedding_backward(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
    g, index = ins
    if g is None or index is None or not g.dtype.is_floating_point or not g.numel:
        return None
    rows, width, count, slot = attrs["rows"], g.shape[-1], index.numel, g.device.slot
    padding = attrs["padding_idx"]
    padding = -1 if padding is None else padding % max(rows, 1)
    t, acc = C_TYPES[g.dtype.name], carried(g.dtype)
    call = f"embedding_backward<{acc}, {t}, {C_TYPES[index.dtype.name]}>"
    fn = kernel(backend, "index.cuh", call, "EmbeddingParams", slot)
    static = q(rows, count, width, padding, int(bool(attrs["scale_grad_by_freq"])), width, 1)
    threads = 32
    while threads < 256 and threads < width:
        threads *= 2
    launch = bind(backend, slot, fn, "QQQQQq", static, (count,), (threads,))
    nbytes = rows * width * g.itemsize

    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        out, (g, index) = outs[0], ins
        with Scratch(backend, slot) as s:
            gp, ip = s.dense(g), s.dense(index)
            flat = _Flat(index.spec, ip, count)
            order = s.room(8 * count)
            order_places(backend, order, flat, 0, 1, count, rows)
            backend.fill(out.ptr, 0, nbytes, slot)
            faults = backend.faults[slot]
            shape = index.spec.shape
            describe = describer(backend, "embedding", index, 0, rows, lambda at: unravel(at, shape))
            fault, number = faults.begin(describe)
            launch(out.ptr, gp, ip, order, fault, number)
            faults.end()

    return run


class _Flat:
    """Dense memory as one line."""

    __slots__ = ("ptr", "spec")

    def __init__(self, spec: Spec, ptr: int, count: int) -> None:
        self.spec = spec.like(shape=(count,))
        self.ptr = ptr


# Linear layers


def _linear(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
    x, weight, bias = (*ins, None)[:3]
    if x is None or weight is None or weight.ndim != 2 or not x.numel or not weight.numel:
        return None
    slot = x.device.slot
    n, k = weight.shape
    rows = x.numel // k
    flat = x.ndim == 2
    xs = x if flat else x.like(shape=(rows, k))
    ys = x.like(shape=(rows, n))
    wt = _spec(weight, (k, n), (weight.strides[1], weight.strides[0]))
    blas = backend.blas(slot)
    launch: Launch | None = None
    if blas is not None and (bias is None or bias.strides[0] == 1 or n == 1):
        launch = blas.plan(backend, ys, xs, wt, "" if bias is None else "bias")
    if launch is None:
        row = None if bias is None else _spec(bias, (rows, n), (0, bias.strides[0]))
        own = plan_gemm(backend, ys, xs, wt, row)
        if bias is None:
            launch = lambda y, x, w: own(y, x, w, 0, 1.0, 0.0)  # noqa: E731
        else:
            launch = lambda y, x, w, b: own(y, x, w, b, 1.0, 1.0)  # noqa: E731
    found = launch

    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        x, weight, bias = (*ins, None)[:3]
        rest = () if bias is None else (bias.ptr,)
        if flat or x.spec.dense:
            found(outs[0].ptr, x.ptr, weight.ptr, *rest)
            return
        with Scratch(backend, slot) as s:
            found(outs[0].ptr, s.dense(x), weight.ptr, *rest)

    return prepares(run, found)


def _spec(like: Spec, shape: tuple[int, ...], strides: tuple[int, ...]) -> Spec:
    from flambeau.plugin import spec_of

    return spec_of(like.dtype, shape, like.device, strides)


# The k largest


def _topk(backend: GpuBackend, ins: Sequence[Spec | None], attrs: Attrs) -> Run | None:
    x = ins[0]
    if x is None or x.dtype.is_complex or not x.numel:
        return None
    dim = attrs.get("dim", -1) % x.ndim if x.ndim else 0
    largest, k = bool(attrs.get("largest", True)), attrs["k"]
    if not k:
        return None

    def run(outs: Sequence[Any], ins: Sequence[Any], attrs: Attrs) -> None:
        values, indices = outs
        src = ins[0]
        key = ("topk", values.spec, indices.spec, src.spec, dim, largest, k)
        launch = backend.remembered(
            key,
            lambda: plan_topk(backend, src.spec, dim, largest, k, values.spec.strides, indices.spec.strides),
        )
        launch(values.ptr, indices.ptr, src.ptr)

    vars(run)["prepare"] = lambda outs, ins: plan_topk(
        backend, ins[0], dim, largest, k, outs[0].strides, outs[1].strides
    )
    return run


KERNELS = {
    **{kind: _reduction(kind) for kind in ("mean", "norm2", "logsumexp", "var")},
    "index_select": _index_select,
    "embedding": _embedding,
    "embedding_backward": _embedding_backward,
    "linear": _linear,
    "topk": _topk,
}
