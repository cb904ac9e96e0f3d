"""Times on a GPU beside PyTorch's, in one process: ``python plugins/cuda/benchmarks/speed.py [group ...]``.

Prints one line per case: microseconds here, microseconds there, the ratio (below 1: faster here), and for memory-bound
and matrix work the rate here. Every figure is the median of several loops; each loop ends with a synchronisation.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flambeau as fb
import flambeau.nn as fnn

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

DEVICE = "cuda"
RESULTS: list[dict[str, Any]] = []


def clock(fn: Callable[[], Any], sync: Callable[[], None], loops: int = 5, least: float = 0.01) -> float:
    """Seconds per call."""
    fn()
    sync()
    n = 1
    while True:
        start = time.perf_counter()
        for _ in range(n):
            fn()
        sync()
        took = time.perf_counter() - start
        if took >= least or n >= 20000:
            break
        n = max(n + 1, min(20000, int(n * least / max(took, 1e-7) * 1.2)))
    times = []
    for _ in range(loops):
        start = time.perf_counter()
        for _ in range(n):
            fn()
        sync()
        times.append((time.perf_counter() - start) / n)
    return statistics.median(times)


def case(
    group: str,
    name: str,
    ours: Callable[[], Any],
    theirs: Callable[[], Any] | None,
    rate: float = 0.0,
    unit: str = "",
) -> None:
    """Time one case and print its line.

    Args:
        rate: work per call in ``unit`` (bytes or floating-point operations), for the rate.
    """
    try:
        a = clock(ours, fb.cuda.synchronize)
    except Exception as error:
        print(f"{group:<10} {name:<44} failed: {type(error).__name__}: {str(error)[:200]}", flush=True)
        RESULTS.append({"group": group, "name": name, "error": str(error)[:300]})
        return
    b = clock(theirs, torch.cuda.synchronize) if theirs is not None and torch is not None else None
    said = f"{group:<10} {name:<44} {a * 1e6:>10.2f} us"
    if b is not None:
        said += f" {b * 1e6:>10.2f} us  ratio {a / b:>6.2f}"
    if rate:
        said += f"  {rate / a / 1e12:>7.2f} T{unit}/s"
        if b is not None:
            said += f" ({rate / b / 1e12:.2f})"
    print(said, flush=True)
    RESULTS.append(
        {
            "group": group,
            "name": name,
            "ours_us": a * 1e6,
            "torch_us": b and b * 1e6,
            "rate": rate,
            "unit": unit,
        }
    )


def pair(*shape: int, dtype: str = "float32", grad: bool = False) -> tuple[Any, Any]:
    """Random tensors of one shape, here and there."""
    a = fb.randn(*shape, device=DEVICE).to(getattr(fb, dtype))
    b = torch.randn(*shape, device="cuda", dtype=getattr(torch, dtype)) if torch is not None else None
    if grad:
        a = a.detach().requires_grad_()
        b = b.requires_grad_() if b is not None else None
    return a, b


def round_convolutions(allowed: bool) -> None:
    """Whether float32 convolutions round to TensorFloat-32, on both sides."""
    for lib in (fb, torch) if torch is not None else (fb,):
        lib.backends.cudnn.allow_tf32 = allowed


def small() -> None:
    """Eager calls on small tensors: what a call costs the host."""
    (x, tx), (y, ty) = pair(64, 64), pair(64, 64)
    case("small", "x + y", lambda: x + y, lambda: tx + ty)
    case("small", "x * 2.0", lambda: x * 2.0, lambda: tx * 2.0)
    case("small", "x.exp()", lambda: x.exp(), lambda: tx.exp())
    case("small", "x.sum()", lambda: x.sum(), lambda: tx.sum())
    case("small", "x.sum(1)", lambda: x.sum(1), lambda: tx.sum(1))
    case("small", "x.softmax(1)", lambda: x.softmax(1), lambda: tx.softmax(1))
    case("small", "x @ y", lambda: x @ y, lambda: tx @ ty)
    case("small", "x + row", lambda: x + y[0], lambda: tx + ty[0])
    (g, tg) = pair(64, 64, grad=True)
    case("small", "g * y (recorded)", lambda: g * y, lambda: tg * ty)

    def ours() -> None:
        (g * y).exp().sum().backward()
        g.grad = None

    def theirs() -> None:
        (tg * ty).exp().sum().backward()
        tg.grad = None

    case("small", "(g * y).exp().sum().backward()", ours, theirs)


def memory() -> None:
    """Memory-bound work."""
    n = 1 << 26
    for dtype, size in (("float32", 4), ("bfloat16", 2)):
        (x, tx), (y, ty) = pair(n, dtype=dtype), pair(n, dtype=dtype)
        case("memory", f"clone {dtype} 64M", lambda: x.clone(), lambda: tx.clone(), 2 * n * size, "B")
        case("memory", f"x + y {dtype} 64M", lambda: x + y, lambda: tx + ty, 3 * n * size, "B")
        case(
            "memory",
            f"gelu {dtype} 64M",
            lambda: fnn.functional.gelu(x),
            lambda: torch.nn.functional.gelu(tx),
            2 * n * size,
            "B",
        )
        case("memory", f"sum {dtype} 64M", lambda: x.sum(), lambda: tx.sum(), n * size, "B")
        a, ta = x.reshape(16384, 4096), tx.reshape(16384, 4096)
        case("memory", f"sum(0) {dtype} 16384x4096", lambda: a.sum(0), lambda: ta.sum(0), n * size, "B")
        case("memory", f"sum(1) {dtype} 16384x4096", lambda: a.sum(1), lambda: ta.sum(1), n * size, "B")
        case("memory", f"+ row {dtype} 16384x4096", lambda: a + a[0], lambda: ta + ta[0], 2 * n * size, "B")
        case(
            "memory",
            f"transpose copy {dtype} 16384x4096",
            lambda: a.T.contiguous(),
            lambda: ta.T.contiguous(),
            2 * n * size,
            "B",
        )
        case(
            "memory",
            f"softmax(1) {dtype} 16384x4096",
            lambda: a.softmax(1),
            lambda: ta.softmax(1),
            2 * n * size,
            "B",
        )
        case(
            "memory",
            f"cumsum(1) {dtype} 16384x4096",
            lambda: a.cumsum(1),
            lambda: ta.cumsum(1),
            2 * n * size,
            "B",
        )
        w, tw = pair(4096, dtype=dtype)
        f, tf = fnn.functional, torch.nn.functional if torch is not None else None
        case(
            "memory",
            f"layer_norm {dtype} 16384x4096",
            lambda: f.layer_norm(a, (4096,), w, w),
            lambda: tf.layer_norm(ta, (4096,), tw, tw),
            2 * n * size,
            "B",
        )
        case(
            "memory",
            f"dropout {dtype} 64M",
            lambda: f.dropout(x, 0.1),
            lambda: tf.dropout(tx, 0.1),
            2 * n * size,
            "B",
        )


def gemm() -> None:
    """Matrix products."""
    for dtype in ("float32", "bfloat16", "float16"):
        for n in (1024, 4096, 8192):
            (x, tx), (y, ty) = pair(n, n, dtype=dtype), pair(n, n, dtype=dtype)
            case("gemm", f"{dtype} {n}^3", lambda: x @ y, lambda: tx @ ty, 2 * n**3, "FLOP")
            case("gemm", f"{dtype} {n}^3, x @ y.T", lambda: x @ y.T, lambda: tx @ ty.T, 2 * n**3, "FLOP")
    (x, tx), (w, tw), (b, tb) = (
        pair(8192, 1024, dtype="bfloat16"),
        pair(4096, 1024, dtype="bfloat16"),
        pair(4096, dtype="bfloat16"),
    )
    f, tf = fnn.functional, torch.nn.functional
    case(
        "gemm",
        "linear bf16 8192x1024 -> 4096 with bias",
        lambda: f.linear(x, w, b),
        lambda: tf.linear(tx, tw, tb),
        2 * 8192 * 1024 * 4096,
        "FLOP",
    )
    (x, tx), (y, ty) = pair(96, 1024, 64, dtype="bfloat16"), pair(96, 64, 1024, dtype="bfloat16")
    case(
        "gemm",
        "bf16 96 x (1024x64 @ 64x1024)",
        lambda: x @ y,
        lambda: tx @ ty,
        2 * 96 * 1024 * 64 * 1024,
        "FLOP",
    )


def layers() -> None:
    """Losses, convolutions, attention, embeddings."""
    f, tf = fnn.functional, torch.nn.functional
    (x, tx) = pair(8192, 50304, dtype="bfloat16")
    t = fb.randint(0, 50304, (8192,), device=DEVICE)
    tt = torch.randint(0, 50304, (8192,), device="cuda") if torch is not None else None
    case(
        "layers",
        "cross_entropy bf16 8192x50304",
        lambda: f.cross_entropy(x, t),
        lambda: tf.cross_entropy(tx, tt),
        x.numel() * 2,
        "B",
    )
    del x, tx
    for shape, w, kw in (
        ((64, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
        ((64, 256, 14, 14), (256, 256, 3, 3), {"padding": 1}),
        ((64, 3, 224, 224), (64, 3, 7, 7), {"stride": 2, "padding": 3}),
    ):
        for dtype, tf32, channels_last in (
            ("float32", False, False), ("float32", True, False), ("bfloat16", True, False), ("bfloat16", True, True),
        ):  # fmt: skip
            (x, tx), (k, tk) = pair(*shape, dtype=dtype), pair(*w, dtype=dtype)
            if channels_last:
                x, k = (t.contiguous(memory_format=fb.channels_last) for t in (x, k))
                if torch is not None:
                    tx, tk = (t.contiguous(memory_format=torch.channels_last) for t in (tx, tk))
            round_convolutions(tf32)
            flop = 2 * shape[0] * w[0] * w[1] * w[2] * w[3] * shape[2] * shape[3] / kw.get("stride", 1) ** 2
            how = "channels last" if channels_last else "TF32" if tf32 and dtype == "float32" else ""
            case(
                "layers",
                f"conv2d {dtype} {how} {shape} {w}",
                lambda: f.conv2d(x, k, **kw),
                lambda: tf.conv2d(tx, tk, **kw),
                flop,
                "FLOP",
            )
            round_convolutions(True)
    for causal in (False, True):
        (q, tq), (k, tk), (v, tv) = (pair(8, 12, 1024, 64, dtype="bfloat16") for _ in range(3))
        case(
            "layers", f"attention bf16 8x12x1024x64 causal={causal}",
            lambda: f.scaled_dot_product_attention(q, k, v, is_causal=causal),
            lambda: tf.scaled_dot_product_attention(tq, tk, tv, is_causal=causal), 4 * 8 * 12 * 1024 * 1024 * 64 / (2 if causal else 1), "FLOP",
        )  # fmt: skip
    w, tw = pair(50304, 768, grad=True)
    i = fb.randint(0, 50304, (8, 1024), device=DEVICE)
    ti = torch.randint(0, 50304, (8, 1024), device="cuda") if torch is not None else None

    def ours() -> None:
        f.embedding(i, w).sum().backward()
        w.grad = None

    def theirs() -> None:
        tf.embedding(ti, tw).sum().backward()
        tw.grad = None

    case("layers", "embedding fwd+bwd 50304x768, 8192 rows", ours, theirs)
    x, tx = pair(1 << 22)
    case("layers", "sort 4M float32", lambda: x.sort(), lambda: tx.sort())
    x, tx = pair(4096, 1000)
    case("layers", "topk 5 of 4096x1000", lambda: x.topk(5), lambda: tx.topk(5))


def training() -> None:
    """Whole training steps: GPT-2 small in bfloat16 and ResNet-50 in float32, eager and captured."""
    from models import gpt, resnet50

    for name, dtype, batch in (
        ("GPT-2 small, 8 x 1024, bf16", "bfloat16", 8),
        ("ResNet-50, 64 x 224 x 224, TF32", "float32", 64),
    ):
        steps = []
        for lib in (fb, torch) if torch is not None else (fb,):
            make = gpt if "GPT" in name else resnet50
            model = make(lib).to("cuda").to(getattr(lib, dtype))
            optimizer = lib.optim.AdamW(model.parameters(), lr=1e-4)
            if "GPT" in name:
                ids = lib.randint(0, 50304, (batch, 1024), device="cuda")
                inputs = (
                    ids,
                    lib.randint(0, 50304, (batch, 1024), device="cuda"),
                    lib.arange(1024, device="cuda"),
                )
                loss_of = lambda model=model, inputs=inputs: model(*inputs)
            else:
                images, labels = (
                    lib.randn(batch, 3, 224, 224, device="cuda"),
                    lib.randint(0, 1000, (batch,), device="cuda"),
                )
                loss_of = lambda model=model, x=images, t=labels, lib=lib: lib.nn.functional.cross_entropy(
                    model(x), t
                )

            def grads(model: Any = model, loss_of: Any = loss_of) -> Any:
                for p in model.parameters():
                    p.grad = None
                loss = loss_of()
                loss.backward()
                return loss

            def step(grads: Any = grads, optimizer: Any = optimizer) -> Any:
                loss = grads()
                optimizer.step()
                return loss

            steps.append((step,))
        theirs = steps[1][0] if len(steps) > 1 else None
        case("training", name, steps[0][0], theirs)
        graph = fb.cuda.CUDAGraph()
        with fb.cuda.graph(graph):
            steps[0][0]()  # with the optimizer's step
        case("training", f"{name}, captured here", graph.replay, theirs)
        del steps, graph, theirs
        fb.cuda.empty_cache()
        torch.cuda.empty_cache()


GROUPS = {"training": training, "small": small, "memory": memory, "gemm": gemm, "layers": layers}


def main() -> None:
    """Run the groups that are named, or all; write the figures to ``--json=FILE`` if it is given."""
    print(
        fb.cuda.get_device_name(),
        "torch",
        torch.__version__ if torch is not None else None,
    )
    for lib in (fb, torch) if torch is not None else (fb,):  # the same arithmetic on both sides
        lib.backends.cuda.matmul.allow_tf32 = False
    round_convolutions(True)
    asked = [a for a in sys.argv[1:] if not a.startswith("--")] or list(GROUPS)
    for name in asked:
        try:
            GROUPS[name]()
        except Exception as error:
            print(f"{name}: stopped: {type(error).__name__}: {error}", flush=True)
        fb.cuda.empty_cache()
        if torch is not None:
            torch.cuda.empty_cache()
    for option in sys.argv[1:]:
        if option.startswith("--json="):
            Path(option[7:]).write_text(json.dumps(RESULTS, indent=1))


if __name__ == "__main__":
    main()
