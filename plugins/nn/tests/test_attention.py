"""MultiheadAttention and the transformer encoder against PyTorch."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest

import flambeau as fb
from flambeau import nn

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))
from nn_parity import assert_same, ours  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore:.*:UserWarning")]


def pair(make):
    """The same layer of both libraries with the same weights, in float64."""
    mine, other = make(nn).double(), make(torch.nn).double()
    assert list(mine.state_dict()) == list(other.state_dict())
    for p in other.parameters():
        with torch.no_grad():
            p.copy_(torch.rand_like(p) - 0.4)
    mine.load_state_dict({key: ours(value) for key, value in other.state_dict().items()})
    return mine, other


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"add_bias_kv": True, "add_zero_attn": True},
                                     {"kdim": 6, "vdim": 5}, {"batch_first": True}])  # fmt: skip
def test_multihead_attention(options) -> None:
    mine, other = pair(lambda library: library.MultiheadAttention(8, 2, **options))
    torch.manual_seed(0)
    q, k, v = (
        torch.rand(s, 3, d, dtype=torch.float64)
        for s, d in ((4, 8), (5, options.get("kdim", 8)), (5, options.get("vdim", 8)))
    )
    if options.get("batch_first"):
        q, k, v = (x.transpose(0, 1) for x in (q, k, v))
    mask, padding = torch.ones(4, 5).triu(1).bool(), torch.tensor([[False] * 4 + [True]] * 3)
    for more in ({}, {"need_weights": False}, {"average_attn_weights": False}, {"attn_mask": mask},
                 {"attn_mask": mask, "key_padding_mask": padding}):  # fmt: skip
        got = mine(*map(ours, (q, k, v)), **{key: ours(value) for key, value in more.items()})
        assert_same(got, other(q, k, v, **more))


@pytest.mark.parametrize(
    "options", [{}, {"norm_first": True, "activation": "gelu"}, {"batch_first": True, "bias": False}]
)
def test_transformer_encoder(options) -> None:
    def make(library):
        layer = library.TransformerEncoderLayer(8, 2, 16, dropout=0.0, **options)
        return library.TransformerEncoder(layer, 2, norm=library.LayerNorm(8), enable_nested_tensor=False)

    mine, other = pair(make)
    torch.manual_seed(0)
    x = torch.rand(3, 3, 8, dtype=torch.float64)
    mask = torch.ones(3, 3).triu(1).bool()
    assert_same(mine(ours(x)), other(x))
    assert_same(mine(ours(x), ours(mask)), other(x, mask))
    mine(ours(x)).sum().backward()
    other(x).sum().backward()
    named = dict(other.named_parameters())
    for name, p in mine.named_parameters():
        assert_same(p.grad, named[name].grad, 1e-6, 1e-9)


def test_mistakes() -> None:
    with pytest.raises(AssertionError, match="divisible by num_heads"):
        nn.MultiheadAttention(8, 3)
    with pytest.raises(ValueError, match="greater than 0"):
        nn.MultiheadAttention(0, 1)
    with pytest.raises(RuntimeError, match="should be relu/gelu: got 'tanh'"):
        nn.TransformerEncoderLayer(8, 2, activation="tanh")
    layer = nn.MultiheadAttention(8, 2)
    with pytest.raises(AssertionError, match="2D \\(unbatched\\) or 3D"):
        layer(fb.ones(8), fb.ones(8), fb.ones(8))
    with pytest.raises(AssertionError, match="embedding dimension of 8"):
        layer(fb.ones(4, 6), fb.ones(4, 6), fb.ones(4, 6))


@pytest.mark.parametrize("at_end", [True, False])
def test_evaluation_leaves_padding_out_as_pytorch_does(at_end) -> None:
    theirs = torch.nn.TransformerEncoder(
        torch.nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, dtype=torch.float64), 2,
        torch.nn.LayerNorm(8, dtype=torch.float64),
    ).eval()  # fmt: skip
    mine = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, dtype=fb.float64), 2,
        nn.LayerNorm(8, dtype=fb.float64),
    ).eval()  # fmt: skip
    mine.load_state_dict({key: ours(value) for key, value in theirs.state_dict().items()})
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    padding = torch.tensor(
        [[0, 0, 1, 1, 1], [0, 0, 0, 1, 1]] if at_end else [[0, 1, 0, 1, 1], [0] * 5]
    ).bool()
    with torch.no_grad(), fb.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's nested tensors are a prototype
        want = theirs(x, src_key_padding_mask=padding)
        assert_same(mine(ours(x), src_key_padding_mask=ours(padding)), want, 1e-6, 1e-7)
    assert_same(mine(ours(x), src_key_padding_mask=ours(padding)), theirs(x, src_key_padding_mask=padding))


def test_masks_as_one() -> None:
    layer = nn.MultiheadAttention(4, 2)
    x = fb.ones(3, 5, 4)
    assert layer.merge_masks(None, None, x) == (None, None)
    pad = fb.tensor([[False] * 4 + [True]] * 3)
    assert layer.merge_masks(None, pad, x)[1] == 1
    causal = fb.ones(5, 5).triu(1).bool()
    both, kind = layer.merge_masks(causal, pad, x)
    assert kind == 2
    assert both.shape == (3, 2, 5, 5)
    assert both[1, 1].tolist() == (causal | pad[1]).tolist()
    assert layer.merge_masks(causal.expand(6, 5, 5).float(), None, x)[0].shape == (3, 2, 5, 5)


def test_choice_of_kernels_changes_nothing() -> None:
    x = fb.randn(1, 2, 3, 4)
    attend = nn.functional.scaled_dot_product_attention
    with nn.attention.sdpa_kernel([nn.attention.SDPBackend.MATH, nn.attention.SDPBackend.FLASH_ATTENTION]):
        assert attend(x, x, x).tolist() == attend(x, x, x).tolist()
    with (
        pytest.raises(AssertionError, match="backend must be an instance of SDPBackend"),
        nn.attention.sdpa_kernel(3),
    ):
        pass
