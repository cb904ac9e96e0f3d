"""Mistakes in nn.functional and the layers: exception types and texts."""

from __future__ import annotations

import inspect

import pytest

import flambeau as fb
from flambeau import nn

F = nn.functional


def t(*shape):
    return fb.ones(*shape)


FUNCTIONS = [
    (lambda: F.mse_loss(t(4, 1), t(4)), ValueError,
     r"^\[mse_loss\].*input: \[4, 1\].*target: \[4\].*view_as"),
    (lambda: F.l1_loss(t(4, 2), t(2)), ValueError, r"^\[l1_loss\].*doesn't broadcast silently.*expand_as"),
    (lambda: F.smooth_l1_loss(t(4, 1), t(4)), ValueError, r"^\[smooth_l1_loss\]"),
    (lambda: F.huber_loss(t(4, 1), t(4)), ValueError, r"^\[huber_loss\]"),
    (lambda: F.binary_cross_entropy(t(4, 1), t(4)), ValueError, r"^\[binary_cross_entropy\]"),
    (lambda: F.binary_cross_entropy_with_logits(t(4, 1), t(4)), ValueError,
     r"^\[binary_cross_entropy_with_logits\]"),
    (lambda: F.kl_div(t(4, 1), t(4)), ValueError, r"^\[kl_div\]"),
    (lambda: F.mse_loss(t(2), t(2), reduction="avg"), ValueError,
     r"'avg' is not a valid value for reduction"),
    (lambda: F.mse_loss(t(2), t(2), weight=t(3)), ValueError, r"weights and input must have the same size"),
    (lambda: F.huber_loss(t(2), t(2), delta=0), RuntimeError, r"non-positive values for delta: got 0"),
    (lambda: F.smooth_l1_loss(t(2), t(2), beta=-1), RuntimeError, r"negative values for beta: got -1"),
    (lambda: F.gaussian_nll_loss(t(2, 3), t(2, 3), t(2, 2)), ValueError, r"var is of incorrect size"),
    (lambda: F.gaussian_nll_loss(t(2), t(2), -t(2)), ValueError, r"var has negative entry"),
    (lambda: F.cross_entropy(t(3, 4), fb.tensor([1, 2])), ValueError,
     r"batch_size \(3\) to match target batch_size \(2\)"),
    (lambda: F.cross_entropy(t(3, 4), fb.tensor([[1], [2], [0]])), ValueError,
     r"shape \[3\]. Use target.squeeze\(1\)"),
    (lambda: F.cross_entropy(t(3, 4), t(3)), RuntimeError,
     r"class indices must be integers.*target.long\(\)"),
    (lambda: F.cross_entropy(t(3, 4), fb.tensor([0, 1, 2]), label_smoothing=2), RuntimeError,
     r"between 0.0 and 1.0"),
    (lambda: F.nll_loss(t(3, 4, 2), fb.tensor([0, 1, 2])), ValueError, r"a target of shape \[3, 2\]"),
    (lambda: F.multi_margin_loss(t(3, 4), fb.tensor([0, 1, 2]), p=3), ValueError, r"only p == 1 and p == 2"),
    (lambda: F.margin_ranking_loss(t(3), t(3), t(3, 1)), RuntimeError, r"same number of dimensions"),
    (lambda: F.cosine_embedding_loss(t(3, 2), t(3, 2), t(3, 1)), RuntimeError, r"sizes don't fit together"),
    (lambda: F.triplet_margin_loss(t(3), t(3), t(1, 3)), RuntimeError, r"same number of dimensions"),
    (lambda: F.triplet_margin_loss(t(3), t(3), t(3), margin=0), ValueError, r"margin must be greater than 0"),
    (lambda: F.softshrink(t(2), -1), RuntimeError, r"greater or equal to 0: got lambd -1"),
    (lambda: F.hardtanh(t(2), 2, 1), ValueError, r"min_val cannot be greater than max_val"),
    (lambda: F.celu(t(2), 0), RuntimeError, r"alpha cannot be 0"),
    (lambda: F.gelu(t(2), "exact"), RuntimeError, r"must be either none or tanh: got 'exact'"),
    (lambda: F.glu(t(3)), RuntimeError, r"halving dimension must be even"),
    (lambda: F.glu(fb.tensor(1.0)), RuntimeError, r"0-dimensional"),
    (lambda: F.prelu(t(2, 3), t(2)), RuntimeError, r"(?i)mismatch of parameter numbers and input channel size"),
    (lambda: F.bilinear(t(2, 3), t(2, 4), t(5, 4, 3)), RuntimeError, r"^\[bilinear\] sizes don't fit"),
    (lambda: F.embedding(fb.tensor([0]), t(3, 2), padding_idx=3), AssertionError,
     r"within num_embeddings: got 3"),
    (lambda: F.conv2d(t(3, 4), t(1, 3, 2, 2)), RuntimeError,
     r"^\[conv2d\] expected 3D \(unbatched\) or 4D \(batched\)"),
    (lambda: F.conv2d(t(1, 3, 4, 4), t(3, 2)), RuntimeError, r"4D weight"),
    (lambda: F.conv2d(t(1, 3, 4, 4), t(1, 3, 2, 2), stride=(1, 2, 3)), RuntimeError,
     r"stride.*list of 2 values"),
    (lambda: F.conv2d(t(1, 3, 4, 4), t(1, 3, 2, 2), stride=2, padding="same"), RuntimeError,
     r"not supported for strided"),
    (lambda: F.conv2d(t(1, 3, 4, 4), t(1, 3, 2, 2), padding="full"), RuntimeError,
     r"invalid padding string: got 'full'"),
    (lambda: F.conv_transpose2d(t(1, 3, 4, 4), t(3, 1, 2, 2), output_padding=1), RuntimeError,
     r"output padding must be"),
    (lambda: F.conv2d(t(1, 3, 4, 4), t(1, 3, 2, 2), stride=0), RuntimeError, r"stride must be at least 1: got"),
    (lambda: F.conv2d(t(1, 3, 4, 4), t(1, 3, 2, 2), padding=-1), RuntimeError, r"padding must be at least 0"),
    (lambda: F.conv2d(t(1, 3, 4, 4), t(1, 3, 2, 2), stride=1.5), TypeError, r"'stride' must be an int or a tuple"),
    (lambda: F.max_pool1d(t(1, 3, 4), 0), RuntimeError, r"kernel_size must be at least 1: got \(0,\)"),
    (lambda: F.avg_pool2d(t(1, 3, 4, 4), 2, -1), RuntimeError, r"stride must be at least 1"),
    (lambda: F.unfold(t(3), 2), RuntimeError, r"^\[unfold\] expected 3D or 4D"),
    (lambda: F.unfold(t(1, 1, 2, 2), 3), RuntimeError, r"window of 3 x 3 doesn't fit"),
    (lambda: F.fold(t(1, 5, 4), 3, 2), RuntimeError, r"input \(N, C \* 4, 4\)"),
    (lambda: F.max_pool2d(t(4, 4), 2), RuntimeError,
     r"expected 3D \(unbatched\) or 4D \(batched\) input to max_pool2d"),
    (lambda: F.max_pool2d(t(1, 1, 4, 4), 2, padding=2), RuntimeError, r"at most half of kernel size"),
    (lambda: F.avg_pool2d(t(1, 1, 4, 4), 2, divisor_override=0), RuntimeError, r"divisor must be not zero"),
    (lambda: F.adaptive_avg_pool2d(t(1, 1, 4, 4), (1, 2, 3)), RuntimeError, r"must be an int or 2 of them"),
    (lambda: F.batch_norm(t(1, 3), None, None, training=True), ValueError, r"more than 1 value per channel"),
    (lambda: F.batch_norm(t(2, 3), None, None), RuntimeError, r"running_mean and running_var to be defined"),
    (lambda: F.instance_norm(t(2, 3, 1)), ValueError, r"more than 1 spatial element"),
    (lambda: F.group_norm(t(2, 3), 2), RuntimeError, r"divisible by num_groups.*num_groups: int 2"),
    (lambda: F.local_response_norm(t(2, 3), 2), ValueError, r"3D or higher"),
    (lambda: F.dropout(t(2), 1.5), ValueError, r"between 0 and 1: got 1.5"),
    (lambda: F.dropout1d(t(2)), RuntimeError, r"2D or 3D input: got a 1D"),
    (lambda: F.pad(t(2, 3), (1,)), RuntimeError, r"divisible by 2"),
    (lambda: F.pad(t(2, 3),
    (1, 1), "mirror"), NotImplementedError, r"unrecognised padding mode: got 'mirror'"),
    (lambda: F.pad(t(1, 2, 3), (1, 1), "reflect", 2.0), ValueError, r"doesn't take in value argument"),
    (lambda: F.pixel_shuffle(t(1, 3, 2, 2), 2), RuntimeError,
     r"divisible by the square of upscale_factor, 4"),
    (lambda: F.pixel_unshuffle(t(1, 3, 3, 2), 2), RuntimeError, r"divisible by downscale_factor 2"),
    (lambda: F.channel_shuffle(t(1, 3, 3), 2), RuntimeError, r"divisible by groups"),
    (lambda: F.interpolate(t(1, 1, 4)), ValueError, r"either size or scale_factor should be defined"),
    (lambda: F.interpolate(t(1, 1, 4), 2, 2.0), ValueError, r"only one of size or scale_factor"),
    (lambda: F.interpolate(t(1, 1, 4), (2, 2)), ValueError, r"same number of spatial dimensions"),
    (lambda: F.interpolate(t(1, 1, 4), 2, mode="bilinear"), NotImplementedError, r"a 4D input"),
    (lambda: F.interpolate(t(1, 1, 4), 2, mode="lanczos"), NotImplementedError,
     r"unknown mode: got 'lanczos'"),
    (lambda: F.interpolate(t(1, 1, 4), 2, align_corners=True), ValueError,
     r"align_corners option can only be set"),
    (lambda: F.interpolate(t(1, 1, 4), 2, mode="linear", antialias=True), ValueError,
     r"restricted to bilinear"),
    (lambda: F.interpolate(t(1, 1, 4), 0), RuntimeError, r"greater than 0"),
    (lambda: F.cosine_similarity(fb.tensor([[1]]), t(1, 1)), RuntimeError, r"floating point"),
    (lambda: F.scaled_dot_product_attention(t(2), t(2), t(2)), RuntimeError, r"at least 2 dimensions"),
    (lambda: F.scaled_dot_product_attention(t(2, 2), t(2, 2).double(), t(2, 2)), RuntimeError,
     r"the same dtype"),
    (lambda: F.scaled_dot_product_attention(t(2, 2), t(2, 2), t(2, 2), t(2, 2), is_causal=True), RuntimeError,
     r"explicit attn_mask should not be set when is_causal=True"),
]  # fmt: skip

LAYERS = [
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError,
     r"^\[Conv2d\] in_channels must be divisible by groups"),
    (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, r"out_channels must be divisible by groups"),
    (lambda: nn.Conv2d(4, 3, 3, groups=0), ValueError, r"groups must be a positive integer"),
    (lambda: nn.Conv2d(4, 3, 3, padding="full"), ValueError, r"invalid padding string 'full'"),
    (lambda: nn.Conv2d(4, 3, 3, stride=2, padding="same"), ValueError,
     r"not supported for strided convolutions"),
    (lambda: nn.Conv2d(4, 3, 3, padding_mode="mirror"), ValueError, r"padding_mode must be one of"),
    (lambda: nn.ConvTranspose2d(4, 3, 3, padding_mode="reflect"), ValueError, r'only "zeros" padding mode'),
    (lambda: nn.BatchNorm2d(3)(t(2, 3)), ValueError, r"^\[BatchNorm2d\] expected 4D input \(got 2D\)"),
    (lambda: nn.BatchNorm1d(3)(t(2, 3, 4, 5)), ValueError, r"expected 2D or 3D input \(got 4D\)"),
    (lambda: nn.InstanceNorm2d(3, affine=True)(t(2, 4, 5, 5)), ValueError, r"match num_features \(3\)"),
    (lambda: nn.GroupNorm(2, 3), ValueError, r"divisible by num_groups"),
    (lambda: nn.Dropout(-0.1), ValueError, r"between 0 and 1, but got -0.1"),
    (lambda: nn.Embedding(3, 2, padding_idx=5), AssertionError, r"padding_idx must be within num_embeddings"),
    (lambda: nn.Embedding(3, 2, _weight=t(3, 3)), AssertionError, r"shape of weight does not match"),
    (lambda: nn.Embedding.from_pretrained(t(3)), AssertionError, r"2-dimensional"),
    (lambda: nn.Hardtanh(1, 0), AssertionError, r"min_val must be less than max_val"),
    (lambda: nn.Softmax2d()(t(2, 2)), ValueError, r"3D or 4D"),
    (lambda: nn.Unflatten("a", (1, 2)), TypeError, r"dim must be an int"),
    (lambda: nn.Unflatten(1, 2), TypeError, r"must be a tuple of ints"),
    (lambda: nn.Bilinear(0, 1, 1), ValueError, r"in1_features must be > 0"),
    (lambda: nn.TripletMarginLoss(0), ValueError, r"margin to be greater than 0, got 0"),
    (lambda: nn.MultiMarginLoss(p=3), ValueError, r"only p == 1 and p == 2"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "error", "text"), FUNCTIONS + LAYERS)
def test_mistakes(act, error, text) -> None:
    with pytest.raises(error, match=text):
        act()


def test_linear_names_both_shapes() -> None:
    with pytest.raises(RuntimeError) as caught:
        nn.Linear(3, 2)(t(5, 4))
    assert "in Linear(in_features=3, out_features=2, bias=True)" in caught.value.__notes__


def test_old_reduction_flags_warn() -> None:
    with pytest.warns(DeprecationWarning, match="reduction='sum'"):
        assert F.mse_loss(t(2), fb.zeros(2), size_average=False).item() == 2.0
    with pytest.warns(DeprecationWarning, match="reduction='none'"):
        assert nn.L1Loss(reduce=False).reduction == "none"


def test_implicit_softmax_dimension_warns() -> None:
    with pytest.warns(UserWarning, match="implicit dimension choice for softmax"):
        F.softmax(t(2, 2))


@pytest.mark.parametrize("name", F.__all__)
def test_arguments_that_are_no_tensors(name) -> None:
    function = getattr(F, name)
    parameters = inspect.signature(function).parameters.values()
    needed = [p for p in parameters if p.default is p.empty]
    sizes = {
        "upscale_factor": 2,
        "downscale_factor": 2,
        "groups": 1,
        "num_groups": 1,
        "kernel_size": 2,
        "size": 2,
    }
    sizes |= {"output_size": 2, "normalized_shape": (2,), "pad": (1, 1), "norm_type": 2.0, "value": 1.0}
    sizes |= {"threshold": 0.0, "running_mean": None, "running_var": None}
    args = [sizes.get(p.name, "text") for p in needed]
    if "value" in [p.name for p in needed] and name != "threshold" and not name.startswith("threshold"):
        args = ["text" if p.name == "value" else a for p, a in zip(needed, args, strict=True)]
    options = (
        {"size": 2} if name in ("interpolate", "upsample", "upsample_nearest", "upsample_bilinear") else {}
    )
    with pytest.raises(TypeError):
        function(*args, **options)
