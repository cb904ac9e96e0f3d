"""nn.functional against PyTorch: values and gradients in float64."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import flambeau as fb
from flambeau import nn

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))
from nn_parity import assert_same, compare, ours  # noqa: E402

F = nn.functional
TF = torch.nn.functional
pytestmark = pytest.mark.parity


def r(*shape, seed=0, low=-2.0, high=2.0):
    generator = torch.Generator().manual_seed(seed + len(shape) + sum(shape))
    return torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low


def ints(high, *shape):
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(1))


X = r(3, 4)
PROBS = r(3, 4, low=0.05, high=0.95)
SIGNS = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)

CASES = [
    *[(name, [r(5, 6, low=-5, high=7)], {}) for name in (
        "relu", "relu6", "silu", "mish", "selu", "elu", "celu", "leaky_relu", "hardtanh", "hardsigmoid",
         "hardswish",
        "gelu", "softplus", "logsigmoid", "softsign", "tanhshrink", "hardshrink", "softshrink", "sigmoid",
         "tanh",
        "glu", "rrelu",
    )],
    ("elu", [X, 0.5], {}), ("celu", [X, 0.5], {}), ("leaky_relu", [X, 0.2], {}),
    ("hardtanh", [X, -0.5, 0.25], {}),
    ("gelu", [X], {"approximate": "tanh"}), ("softplus", [X, 2.0, 1.0], {}), ("hardshrink", [X, 1.0], {}),
    ("softshrink", [X, 1.0], {}), ("threshold", [X, 0.5, 9.0], {}), ("glu", [r(4, 3), 0], {}),
    ("prelu", [X, r(1)], {}), ("prelu", [r(2, 3, 4), r(3)], {}), ("prelu", [r(5), r(1)], {}),
    ("softmax", [X, 1], {}), ("softmax", [r(2, 3, 4), -2], {}), ("log_softmax", [X, 0], {}),
    ("softmin", [X, 1], {}),
    ("softmax", [X.float(), 1], {"dtype": torch.float64}),
    ("linear", [r(2, 3, 4), r(5, 4), r(5)], {}), ("linear", [r(4), r(5, 4)], {}),
    ("bilinear", [r(3, 4), r(3, 2), r(5, 4, 2), r(5)], {}),
    ("bilinear", [r(2, 3, 4), r(2, 3, 2), r(5, 4, 2)], {}),
    ("embedding", [ints(6, 3, 4), r(6, 2)], {}), ("embedding", [ints(6, 3, 4), r(6, 2)], {"padding_idx": -1}),
    ("embedding", [ints(3, 3, 4), r(6, 2)], {"scale_grad_by_freq": True}),
    ("one_hot", [ints(4, 3, 2)], {}), ("one_hot", [ints(4, 3, 2), 6], {}),
    ("conv1d", [r(2, 3, 9), r(4, 3, 3), r(4)], {"stride": 2, "padding": 1}),
    ("conv1d", [r(3, 9), r(4, 3, 3)], {"dilation": 2}),
    ("conv1d", [r(2, 3, 9), r(4, 3, 4), r(4)], {"padding": "same"}),
    ("conv2d", [r(2, 3, 7, 8), r(4, 3, 3, 2), r(4)], {"stride": (2, 1), "padding": (1, 0)}),
    ("conv2d", [r(2, 4, 7, 8), r(6, 2, 3, 3), r(6)], {"groups": 2, "dilation": 2}),
    ("conv2d", [r(2, 4, 7, 8), r(4, 1, 3, 3)], {"groups": 4, "padding": "same"}),
    ("conv2d", [r(2, 2, 7, 8), r(4, 2, 4, 3)], {"padding": "same", "dilation": (1, 2)}),
    ("conv2d", [r(3, 7, 8), r(4, 3, 1, 1), r(4)], {"padding": "valid"}),
    ("conv3d", [r(1, 2, 4, 5, 4), r(3, 2, 2, 3, 2), r(3)], {"padding": 1, "stride": 2}),
    ("conv_transpose1d", [r(2, 3, 5), r(3, 4, 3), r(4)], {"stride": 2, "output_padding": 1}),
    ("conv_transpose2d", [r(2, 3, 4, 5), r(3, 4, 3, 2), r(4)], {"stride": (2, 3), "padding": 1,
     "output_padding": (1, 2)}),
    ("conv_transpose2d", [r(2, 4, 4, 5), r(4, 3, 3, 3), r(6)], {"groups": 2, "dilation": 2}),
    ("conv_transpose2d", [r(3, 4, 5), r(3, 4, 2, 2)], {"stride": 2}),
    ("conv_transpose3d", [r(1, 2, 3, 3, 3), r(2, 3, 2, 2, 2), r(3)], {"stride": 2}),
    ("unfold", [r(2, 3, 6, 7), (2, 3)], {"dilation": (2, 1), "padding": 1, "stride": (1, 2)}),
    ("unfold", [r(3, 4, 4), 2], {}),
    ("fold", [r(2, 12, 20), (5, 6), (2, 2)], {}), ("fold", [r(12, 9), (6, 7),
    (2, 3)], {"padding": 1, "stride": (2, 3), "dilation": (2, 1)}),
    ("max_pool1d", [r(2, 3, 9), 3], {}), ("max_pool1d", [r(3, 9), 3, 2, 1, 1, True], {}),
    ("max_pool2d", [r(2, 3, 8, 9), 2], {}), ("max_pool2d", [r(3, 8, 9), (3, 2), (2, 1),
    (1, 0)], {"dilation": (1, 2)}),
    ("max_pool2d", [r(2, 3, 8, 9), 3, 2, 1], {"ceil_mode": True, "return_indices": True}),
    ("avg_pool1d", [r(2, 3, 9), 3, 2, 1], {}), ("avg_pool1d", [r(3, 9), 2], {"ceil_mode": True}),
    ("avg_pool2d", [r(2, 3, 8, 9), 2], {}), ("avg_pool2d", [r(3, 8, 9), (3, 2), (2, 1),
    (1, 0)], {"count_include_pad": False}),
    ("avg_pool2d", [r(2, 3, 8, 9), 3, 2, 1], {"ceil_mode": True}),
    ("avg_pool2d", [r(2, 3, 8, 9), 2], {"divisor_override": 3}),
    ("adaptive_avg_pool1d", [r(2, 3, 7), 3], {}), ("adaptive_avg_pool2d", [r(2, 3, 7, 5), (3, None)], {}),
    ("adaptive_avg_pool2d", [r(3, 7, 5), 2], {}), ("adaptive_max_pool1d", [r(2, 3, 7), 3], {}),
    ("adaptive_max_pool2d", [r(2, 3, 7, 5), (3, 2)], {}), ("adaptive_max_pool2d", [r(3, 7, 5),
    (3, None), True], {}),
    ("lp_pool1d", [r(2, 3, 9, low=0.1), 2.0, 3], {}), ("lp_pool2d", [r(2, 3, 8, 9, low=0.1), 2.0, 2], {}),
    ("layer_norm", [r(2, 3, 4), (3, 4), r(3, 4), r(3, 4)], {}), ("layer_norm", [X, (4,)], {"eps": 0.1}),
    ("rms_norm", [r(2, 3, 4), (4,), r(4)], {}), ("rms_norm", [X, (4,)], {"eps": 0.1}),
    ("group_norm", [r(2, 6, 4), 3, r(6), r(6)], {}), ("group_norm", [r(2, 6), 2], {}),
    ("batch_norm", [r(4, 3, 5), None, None, r(3), r(3), True], {}),
    ("batch_norm", [r(4, 3)], {"running_mean": r(3), "running_var": r(3, low=0.1), "weight": r(3)}),
    ("instance_norm", [r(2, 3, 4, 5)], {}), ("instance_norm", [r(2, 3, 5), None, None, r(3), r(3)], {}),
    ("local_response_norm", [r(2, 6, 4, 3), 3], {}),
    ("local_response_norm", [r(2, 6, 4), 4, 0.5, 0.5, 2.0], {}),
    ("normalize", [X], {}), ("normalize", [r(2, 3, 4), 1.0, -1], {}),
    ("cosine_similarity", [X, r(3, 4, seed=3)], {}), ("cosine_similarity", [r(2, 3, 4), r(4), -1], {}),
    ("pairwise_distance", [X, r(3, 4, seed=3)], {}),
    ("pairwise_distance", [X, r(3, 4, seed=3), 1.0, 1e-3, True], {}),
    ("pdist", [X], {}),
    ("pixel_shuffle", [r(2, 8, 3, 4), 2], {}), ("pixel_shuffle", [r(9, 3, 4), 3], {}),
    ("pixel_unshuffle", [r(2, 2, 6, 4), 2], {}), ("channel_shuffle", [r(2, 6, 3), 3], {}),
    ("pad", [X, (1, 2)], {}), ("pad", [X, (1, -1, 2, 0)], {"value": 3.0}), ("pad", [r(2, 3, 5),
    (2, 1)], {"mode": "reflect"}),
    ("pad", [r(2, 3, 5, 4), (2, 1, 0, 3)], {"mode": "replicate"}), ("pad", [r(2, 3, 5, 4),
    (2, 1, 4, 3)], {"mode": "circular"}),
    ("pad", [r(2, 3, 5, 4), (2, 1, 4, 3)], {"mode": "reflect"}), ("pad", [r(2, 3, 5),
    (1, 2)], {"mode": "circular"}),
]  # fmt: skip

for mode in ("nearest", "nearest-exact", "linear", "area"):
    CASES += [("interpolate", [r(2, 3, 7), size], {"mode": mode}) for size in (3, 13)]
for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area"):
    CASES += [("interpolate", [r(2, 3, 5, 7), size], {"mode": mode}) for size in ((3, 4), (11, 9))]
    CASES += [
        ("interpolate", [r(2, 3, 5, 7)], {"mode": mode, "scale_factor": s}) for s in (2, 0.6, (1.7, 0.5))
    ]
CASES += [
    ("interpolate", [r(2, 3, 3, 4, 5), (5, 2, 6)], {"mode": mode})
    for mode in ("nearest", "trilinear", "area")
]
for mode in ("bilinear", "bicubic"):
    CASES += [("interpolate", [r(2, 3, 5, 7), (4, 12)], {"mode": mode, "align_corners": True})]
    CASES += [("interpolate", [r(2, 3, 9, 11), (4, 16)], {"mode": mode, "antialias": True})]
    CASES += [
        (
            "interpolate",
            [r(2, 3, 9, 11)],
            {"mode": mode, "scale_factor": 0.37, "recompute_scale_factor": True},
        )
    ]

Y = r(3, 4, seed=9)
for reduction in ("mean", "sum", "none"):
    red = {"reduction": reduction}
    CASES += [
        (name, [X, Y], red)
        for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss")
    ]
    CASES += [
        ("mse_loss", [X, Y], {**red, "weight": PROBS}), ("l1_loss", [X, Y], {**red, "weight": PROBS}),
        ("huber_loss", [X, Y], {**red, "weight": PROBS, "delta": 0.3}),
        ("smooth_l1_loss", [X, Y], {**red, "beta": 0.3}),
        ("smooth_l1_loss", [X, Y], {**red, "beta": 0.0}), ("huber_loss", [X, Y], {**red, "delta": 0.3}),
        ("binary_cross_entropy", [PROBS, r(3, 4, low=0, high=1)], red),
        ("binary_cross_entropy", [PROBS, r(3, 4, low=0, high=1)], {**red, "weight": r(4, low=0, high=1)}),
        ("binary_cross_entropy_with_logits", [X, r(3, 4, low=0, high=1)], red),
        ("binary_cross_entropy_with_logits", [X, r(3, 4, low=0, high=1)],
            {**red, "weight": r(3, 1, low=0, high=1), "pos_weight": r(4, low=0, high=3)}),
        ("kl_div", [X, PROBS], red), ("kl_div", [X, Y], {**red, "log_target": True}),
        ("poisson_nll_loss", [PROBS, r(3, 4, low=0.5, high=5)], {**red, "log_input": False, "full": True}),
        ("gaussian_nll_loss", [X, Y, PROBS], {**red, "full": True}),
        ("gaussian_nll_loss", [X, Y, r(3, low=0, high=1)], red),
        ("gaussian_nll_loss", [X, Y, 0.5], red),
        ("hinge_embedding_loss", [r(3), SIGNS], red), ("soft_margin_loss", [r(3)], {**red, "target": SIGNS}),
        ("cross_entropy", [X, ints(4, 3)], red),
        ("cross_entropy", [X, ints(4, 3)], {**red, "weight": PROBS[0]}),
        ("cross_entropy", [X, ints(4, 3)], {**red, "label_smoothing": 0.2, "weight": PROBS[0]}),
        ("cross_entropy", [X, ints(4, 3)], {**red, "ignore_index": int(ints(4, 3)[0])}),
        ("cross_entropy", [X, PROBS], {**red, "label_smoothing": 0.2}),
        ("cross_entropy", [r(4), ints(4)], red),
        ("cross_entropy", [r(2, 4, 3, 2), ints(4, 2, 3, 2)], {**red, "label_smoothing": 0.1}),
        ("nll_loss", [X, ints(4, 3)], red),
        ("nll_loss", [r(2, 4, 3), ints(4, 2, 3)], {**red, "weight": PROBS[0]}),
        ("multilabel_soft_margin_loss", [X, (Y > 0).double()], {**red, "weight": PROBS[0]}),
        ("multi_margin_loss", [X, ints(4, 3)], red),
        ("multi_margin_loss", [X, ints(4, 3), 2, 0.5], {**red, "weight": PROBS[0]}),
        ("multi_margin_loss", [r(4), ints(4)], red),
        ("margin_ranking_loss", [r(3), r(3, seed=4), SIGNS, 0.3], red),
        ("cosine_embedding_loss", [X, Y, SIGNS, 0.1], red),
        ("cosine_embedding_loss", [r(4), r(4, seed=2), SIGNS[0]], red),
        ("triplet_margin_loss", [X, Y, PROBS], red),
        ("triplet_margin_loss", [X, Y, PROBS], {**red, "swap": True, "p": 1.0}),
        ("triplet_margin_with_distance_loss", [X, Y, PROBS], red),
    ]  # fmt: skip
CASES += [("kl_div", [X, PROBS], {"reduction": "batchmean"})]
Q, K, V = r(2, 3, 5, 4), r(2, 3, 6, 4), r(2, 3, 6, 7)
CASES += [
    ("scaled_dot_product_attention", [Q, K, V], {}),
    ("scaled_dot_product_attention", [Q, K, V], {"is_causal": True}),
    ("scaled_dot_product_attention", [Q, K, V], {"attn_mask": r(5, 6), "scale": 0.3}),
    ("scaled_dot_product_attention", [Q, K, V], {"attn_mask": r(5, 6) > -1.5}),
    ("scaled_dot_product_attention", [r(2, 4, 5, 4), K[:, :2], V[:, :2]], {"enable_gqa": True}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "args", "kwargs"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)]
)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_same_as_pytorch(name, args, kwargs) -> None:
    # PyTorch computes interpolation weights, and the 1/6 of hardsigmoid's gradient, in float32
    tight = name not in ("interpolate", "hardsigmoid", "cosine_embedding_loss")
    compare(getattr(F, name), getattr(TF, name), args, kwargs, *((1e-9, 1e-11) if tight else (1e-5, 1e-5)))


def test_every_tier_1_name_exists() -> None:
    names = """adaptive_avg_pool2d avg_pool2d batch_norm binary_cross_entropy binary_cross_entropy_with_logits conv1d
    conv2d conv_transpose2d cosine_similarity cross_entropy dropout elu embedding gelu group_norm hardsigmoid hardswish
    hardtanh huber_loss interpolate kl_div l1_loss layer_norm leaky_relu linear logsigmoid max_pool1d max_pool2d
    mse_loss multi_head_attention_forward nll_loss normalize one_hot pad pixel_shuffle relu relu6 rms_norm
    scaled_dot_product_attention silu smooth_l1_loss softplus"""
    assert [name for name in names.split() if not hasattr(F, name)] == []
    assert [name for name in F.__all__ if not hasattr(TF, name)] == []
    assert len(set(F.__all__)) == len(F.__all__)


@pytest.mark.parametrize(
    "name",
    "relu relu6 silu mish selu elu celu leaky_relu hardtanh hardsigmoid hardswish rrelu".split(),
)
def test_in_place_activations(name) -> None:
    want = getattr(TF, name)(X)
    x = ours(X)
    y = getattr(F, name)(x, inplace=True)
    assert y is x
    assert_same(x, want)
    leaf, their = ours(X.clone().requires_grad_()), X.clone().requires_grad_()
    getattr(F, name)(leaf * 2, inplace=True).sum().backward()
    getattr(TF, name)(their * 2).sum().backward()
    assert_same(leaf.grad, their.grad, 1e-7)


def test_in_place_functions() -> None:
    for name in ("relu_", "elu_", "selu_", "celu_", "leaky_relu_", "hardtanh_"):
        x = ours(X)
        assert getattr(F, name)(x) is x
        assert_same(x, getattr(TF, name[:-1])(X))


def test_batch_norm_updates_running_statistics() -> None:
    x, mean, var = r(4, 3, 5), r(3), r(3, low=0.1)
    m, v = ours(mean), ours(var)
    got = F.batch_norm(ours(x), m, v, training=True, momentum=0.3)
    want = TF.batch_norm(x, mean, var, training=True, momentum=0.3)
    assert_same(got, want)
    assert_same(m, mean)
    assert_same(v, var)
    got = F.instance_norm(ours(x), m, v, momentum=0.3)
    want = TF.instance_norm(x, mean, var, momentum=0.3)
    assert_same(got, want)
    assert_same(m, mean)
    assert_same(v, var)
    assert_same(
        F.instance_norm(ours(x), m, v, use_input_stats=False),
        TF.instance_norm(x, mean, var, use_input_stats=False),
    )


def test_embedding_max_norm_renormalises_in_place() -> None:
    table, places = r(6, 3), torch.tensor([[0, 2], [2, 5]])
    mine = ours(table)
    got = F.embedding(ours(places), mine, max_norm=1.0)
    want = TF.embedding(places, table, max_norm=1.0)
    assert_same(got, want)
    assert_same(mine, table)


@pytest.mark.parametrize("masks", ["none", "bool", "float", "heads", "padding", "both"])
@pytest.mark.parametrize(
    "extra", [{}, {"add_zero_attn": True}, {"bias_k": r(1, 1, 8), "bias_v": r(1, 1, 8, seed=1)}]
)
def test_multi_head_attention(masks, extra) -> None:
    q, k, v = r(5, 2, 8), r(6, 2, 8), r(6, 2, 8, seed=1)
    options = {
        "embed_dim_to_check": 8, "num_heads": 4, "in_proj_weight": r(24, 8), "in_proj_bias": r(24),
         "bias_k": None,
        "bias_v": None, "add_zero_attn": False, "dropout_p": 0.0, "out_proj_weight": r(8, 8),
         "out_proj_bias": r(8),
    }  # fmt: skip
    options.update(extra)
    if masks in ("bool", "both"):
        options["attn_mask"] = torch.ones(5, 6, dtype=torch.bool).triu(2)
    if masks == "float":
        options["attn_mask"] = r(5, 6)
    if masks == "heads":
        options["attn_mask"] = r(8, 5, 6)
    if masks in ("padding", "both"):
        options["key_padding_mask"] = torch.tensor([[False] * 6, [False] * 4 + [True] * 2])
    for more in ({}, {"average_attn_weights": False}, {"need_weights": False}):
        compare(
            F.multi_head_attention_forward, TF.multi_head_attention_forward, [q, k, v], {**options, **more}
        )
    unbatched = {k: v for k, v in options.items() if k != "key_padding_mask"}
    if masks not in ("heads",):
        compare(
            F.multi_head_attention_forward,
            TF.multi_head_attention_forward,
            [q[:, 0], k[:, 0], v[:, 0]],
            unbatched,
        )


def test_gradients_of_gradients() -> None:
    x = fb.tensor([0.3, -0.7, 1.2], dtype=fb.float64, requires_grad=True)
    (g,) = fb.autograd.grad(F.gelu(x).sum(), x, create_graph=True)
    (gg,) = fb.autograd.grad(g.sum(), x)
    t = torch.tensor([0.3, -0.7, 1.2], dtype=torch.float64, requires_grad=True)
    (tg,) = torch.autograd.grad(TF.gelu(t).sum(), t, create_graph=True)
    (tgg,) = torch.autograd.grad(tg.sum(), t)
    assert_same(gg, tgg)


def test_gumbel_softmax() -> None:
    logits = fb.tensor([[0.0, 1.0, 2.0]]).expand(4000, 3).clone().requires_grad_()
    soft = F.gumbel_softmax(logits, tau=0.5)
    assert fb.allclose(soft.sum(1), fb.ones(4000))
    hard = F.gumbel_softmax(logits, hard=True)
    assert set(hard.detach().unique().tolist()) <= {0.0, 1.0}
    share = hard.detach().mean(0)
    assert fb.allclose(share, fb.softmax(fb.tensor([0.0, 1.0, 2.0]), 0), atol=0.04)
    hard[:, 0].sum().backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum().item() > 0
