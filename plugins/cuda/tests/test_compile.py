"""Every kernel compiles for the GPUs that are supported; needs NVRTC, no GPU."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as fb
from flambeau.plugin import OPS, Program
from flambeau_cuda import nvrtc, recording
from flambeau_cuda.codegen import kernel_source
from flambeau_cuda.errors import CompileError, Unavailable
from flambeau_cuda.multi import _source

try:
    nvrtc.library()
except Unavailable as error:
    pytest.skip(str(error), allow_module_level=True)

architectures = pytest.mark.parametrize("architecture", [str(a) for a in nvrtc.ARCHITECTURES])

_REDUCE = [f"{op}<f32>" for op in ("Sum", "Mean", "SumSquares", "Norm2", "Prod", "LogSumExp")]
_REDUCE += [f"{op}<f32, {b}>" for op in ("Extreme", "Place", "Truth", "Variance") for b in ("true", "false")]
#: header -> (struct of the arguments, instances)
KERNELS: dict[str, tuple[str, list[str]]] = {
    "reduce.cuh": (
        "ReduceParams",
        [f"reduce<{op}, bf16, f32, false, {w}>" for op in _REDUCE for w in (1, 8)]
        + [f"reduce<Join<{op}>, {op}::acc, f32, false, 1>" for op in _REDUCE]
        + [f"reduce_columns<{op}, f16, f32, true, 8>" for op in _REDUCE]
        + ["reduce<Sum<c128>, c64, c128, true, 1>", "reduce<Prod<i64>, u8, i64, false, 1>"],
    ),
    "scan.cuh": (
        "ScanParams",
        [
            f"{how}<{op}>"
            for how in ("scan_serial", "scan_block")
            for op in (
                "CumSum<f32>, f16, f16", "CumProd<i64>, i64, i32", "LogCumSumExp<c64>, c64, c64",
                "LogCumSumExp<f64>, f64, f64", "CumExtreme<f32, true>, bf16, bf16", "CumExtreme<i8, false>, i8, i8",
            )
        ],
    ),
    "sort.cuh SortParams": (
        "SortParams",
        [f"{k}<{t}>" for k in ("sort_short",) for t in ("b8", "bf16", "f64", "i64", "u16")]
        + [f"{k}<{t}>" for k in ("sort_line", "sort_count", "sort_put") for t in ("b8, 16", "f32, 16", "f64, 8")]
        + ["sort_offsets", "sort_offsets_few"],
    ),
    "sort.cuh TopkParams": ("TopkParams", [f"topk<{t}>" for t in ("b8", "u8", "bf16", "f32", "i32", "f64", "i64")]),
    "gemm.cuh": (
        "GemmParams", ["gemm<f32, bf16, 4>", "gemm<f64, f64, 4>", "gemm<i64, i64, 4>", "gemm<c128, c128, 1>", "gemm<b8, b8, 1>"],
    ),
    "attention.cuh": (
        "AttentionParams",
        [f"attention_forward<{t}, {e}, 64, {m}>" for t in ("f16", "bf16") for e, m in ((64, 1), (64, 2), (128, 1))]
        + [f"attention_queries<bf16, {e}, 64, {m}>" for e, m in ((64, 1), (64, 2), (128, 1))]
        + ["attention_keys<bf16, 64, 64>", "attention_keys<f16, 128, 32>", "attention_delta<f32, bf16>"]
        + ["attention_plain<f64, f64>", *(f"attention_plain_backward<f32, f32, {b}>" for b in ("true", "false"))],
    ),
}  # fmt: skip
KERNELS["index.cuh GatherParams"] = (
    "GatherParams",
    [f"gather<{w}, i64>" for w in ("u8", "u16", "u32", "u64", "c128")],
)
KERNELS["index.cuh ScatterParams"] = (
    "ScatterParams",
    [f"{how}<{op}<f32>, f32, bf16, i64>" for how in ("scatter_lines", "scatter_sorted")
     for op in ("Put", "PutSum", "PutProd", "PutMax", "PutMin")],
)  # fmt: skip
KERNELS["index.cuh EmbeddingParams"] = ("EmbeddingParams", ["embedding_backward<f32, bf16, i32>"])
_NORM = "f32, bf16, f32"
KERNELS["rows.cuh"] = (
    "RowParams",
    [
        f"{k}<f32, bf16, {log}, {w}>"
        for k in ("softmax", "softmax_backward")
        for log in ("true", "false")
        for w in (1, 8)
    ]
    + [f"{k}<f32, f16, {w}>" for k in ("cross_entropy", "cross_entropy_backward") for w in (1, 8)]
    + [
        f"{k}<{_NORM}, {c}, {w}>"
        for k in ("layer_norm", "layer_norm_backward")
        for c in ("true", "false")
        for w in (1, 8)
    ]
    + [
        "cross_entropy_total<f32, bf16>",
        "layer_norm_weights<f32, bf16, true>",
        "layer_norm_finish<f32, bf16>",
    ]
    + [
        *(f"channel_moments<f32, f16, {n}>" for n in (1, 8)),
        "channel_finish<f64, f64>",
        *(f"channel_sums<f32, f32, {n}>" for n in (1, 4)),
        "channel_sums_finish<f32, f16>",
    ]
    + [f"{k}<{_NORM}, {n}>" for k in ("channel_apply", "channel_backward") for n in (1, 8)],
)
KERNELS["image.cuh ConvParams"] = (
    "ConvParams",
    [f"conv<f32, bf16, {k}, 4>" for k in range(3)] + ["conv<f64, f64, 2, 1>"],
)
KERNELS["image.cuh PoolParams"] = (
    "PoolParams", [f"{k}<f32, bf16>" for k in ("max_pool", "max_pool_backward", "avg_pool", "avg_pool_backward")],
)  # fmt: skip


@architectures
@pytest.mark.parametrize("family", list(KERNELS))
def test_kernels_compile(family: str, architecture: str) -> None:
    params, instances = KERNELS[family]
    lines = [f'#include "{family.split()[0]}"']
    for k, call in enumerate(instances):
        lines.append(
            f"FB_DEV void run{k}(const {params} &p) {{ {call}(p); }}\nFB_KERNEL_SYNC(k{k}, {params}, run{k}, 256)"
        )
    assert nvrtc.compile_for(architecture, "\n".join(lines))[:4] == b"\x7fELF"


def _typed(name: str, dtype: Any) -> Any:
    op: Any = OPS[name]
    n = 2 if name in ("add", "pow", "atan2", "remainder", "floor_divide") else 1
    return Program.trace(op.fn, n).typed((dtype,) * n)


@architectures
def test_programs_compile(architecture: str) -> None:
    for name in ("add", "pow", "atan2", "remainder", "floor_divide", "exp", "erfinv", "digamma", "sigmoid"):
        program = _typed(name, fb.float32)
        n = len(program.ins) + 1
        for ndim, width, inner, narrow, dense in (
            (1, 4, (1,) * n, True, True), (3, 1, (2,) * n, True, False), (2, 4, (1,) * n, False, False),
        ):  # fmt: skip
            source = kernel_source(program, ndim, width, inner, narrow, dense)
            assert nvrtc.compile_for(architecture, source, ("--fmad=false",))[:4] == b"\x7fELF"


@architectures
def test_optimizer_steps_compile(architecture: str) -> None:
    step = Program.trace(lambda p, m, g, lr: (p - lr * m, m + 0.1 * (g - m)), 3, 1)
    program = step.typed((fb.bfloat16, fb.float32, fb.bfloat16), (fb.bfloat16, fb.float32), fb.float32)
    for held in (False, True):
        assert (
            nvrtc.compile_for(architecture, _source(program, 200, 2, held), ("--fmad=false",))[:4]
            == b"\x7fELF"
        )
    source = kernel_source(program, 2, 4, (1,) * 5, True, False, True)
    assert nvrtc.compile_for(architecture, source, ("--fmad=false",))[:4] == b"\x7fELF"
    assert nvrtc.compile_for(architecture, recording._SOURCE)[:4] == b"\x7fELF"


def test_a_kernel_that_does_not_compile_is_an_error_with_the_compilers_words() -> None:
    with pytest.raises(CompileError, match="no_such_thing"):
        nvrtc.compile_for("90", "__global__ void k() { no_such_thing(); }")
