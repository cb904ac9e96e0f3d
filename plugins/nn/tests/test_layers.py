"""Layers against PyTorch: repr, parameter names and shapes, forward and gradients with the same weights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import flambeau as fb
from flambeau import nn

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))
from nn_parity import assert_same, first, ours, theirs  # noqa: E402

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore:.*:UserWarning")]

IMAGE, SEQUENCE, VOLUME, ROWS = (2, 4, 6, 8), (2, 4, 9), (1, 2, 4, 4, 4), (3, 4)
LAYERS = [
    ("Identity(5, a=1)", ROWS), ("Linear(4, 3)", ROWS), ("Linear(4, 3, bias=False)", (2, 3, 4)),
    ("Linear(in_features=4, out_features=2)", (4,)), ("Bilinear(4, 4, 3)", (ROWS, ROWS)),
    ("Bilinear(4, 4, 3, bias=False)", (ROWS, ROWS)),
    ("Conv1d(4, 6, 3, padding=1, padding_mode='circular')", SEQUENCE), ("Conv1d(4, 6, 3, stride=2)", (4, 9)),
    ("Conv2d(4, 6, 3)", IMAGE), ("Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2, False)", IMAGE),
    ("Conv2d(4, 6, 4, padding='same', padding_mode='reflect')", IMAGE),
    ("Conv2d(4, 6, 3, padding='same', dilation=2)", IMAGE),
    ("Conv2d(4, 8, 3, padding=(1, 2), padding_mode='replicate', groups=4)", IMAGE),
    ("Conv2d(4, 4, 1, padding='valid')", IMAGE),
    ("Conv3d(2, 3, 2, padding=1)", VOLUME), ("ConvTranspose1d(4, 3, 3, 2, 1, 1)", SEQUENCE),
    ("ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False, dilation=2)",
     IMAGE),
    ("ConvTranspose3d(2, 3, 2, 2)", VOLUME),
    ("Unfold(2, padding=1)", IMAGE), ("Fold((4, 5), kernel_size=2)", (2, 8, 12)),
    ("BatchNorm1d(4)", ROWS), ("BatchNorm1d(4, momentum=None)", SEQUENCE), ("BatchNorm2d(4)", IMAGE),
    ("BatchNorm2d(4, eps=0.1, momentum=0.3, affine=False)", IMAGE),
    ("BatchNorm2d(4, track_running_stats=False)", IMAGE),
    ("BatchNorm2d(4, bias=False)", IMAGE), ("BatchNorm3d(2)", VOLUME),
    ("InstanceNorm1d(4)", SEQUENCE), ("InstanceNorm2d(4, affine=True, track_running_stats=True)", IMAGE),
    ("InstanceNorm2d(4)", IMAGE[1:]), ("InstanceNorm3d(2)", VOLUME),
    ("LayerNorm(4)", ROWS), ("LayerNorm([6, 8], eps=0.1, bias=False)", IMAGE),
    ("LayerNorm((4,), elementwise_affine=False)", ROWS),
    ("RMSNorm(4)", ROWS), ("RMSNorm((6, 8), eps=0.1, elementwise_affine=False)", IMAGE),
    ("GroupNorm(2, 4)", IMAGE), ("GroupNorm(4, 4, affine=False)", SEQUENCE),
    ("GroupNorm(1, 4, bias=False)", ROWS),
    ("LocalResponseNorm(2)", IMAGE),
    ("ReLU()", ROWS), ("ReLU(inplace=True)", ROWS), ("LeakyReLU()", ROWS), ("LeakyReLU(0.2, True)", ROWS),
    ("RReLU(0.1, 0.2)", ROWS), ("ELU()", ROWS), ("ELU(0.5, inplace=True)", ROWS), ("CELU()", ROWS),
    ("SELU(True)", ROWS),
    ("SiLU()", ROWS), ("Mish()", ROWS), ("Hardtanh()", ROWS), ("Hardtanh(-0.5, 0.5, True)", ROWS),
    ("ReLU6()", ROWS),
    ("ReLU6(True)", ROWS), ("Hardsigmoid()", ROWS), ("Hardswish(True)", ROWS), ("Threshold(0.1, 20)", ROWS),
    ("Sigmoid()", ROWS), ("Tanh()", ROWS), ("LogSigmoid()", ROWS), ("GELU()", ROWS), ("GELU('tanh')", ROWS),
    ("Softplus()", ROWS),
    ("Softplus(2, 1)", ROWS), ("Softsign()", ROWS), ("Tanhshrink()", ROWS), ("Hardshrink()", ROWS),
    ("Softshrink(0.3)", ROWS),
    ("GLU()", ROWS), ("GLU(0)", (4, 2)), ("PReLU()", ROWS), ("PReLU(4, init=0.1)", IMAGE),
    ("Softmax(dim=1)", ROWS), ("Softmax()", ROWS),
    ("LogSoftmax(-1)", ROWS), ("Softmin(1)", ROWS), ("Softmax2d()", IMAGE),
    ("MaxPool1d(2)", SEQUENCE), ("MaxPool2d(3, 2, 1, ceil_mode=True)", IMAGE),
    ("MaxPool2d((2, 3), return_indices=True)", IMAGE),
    ("AvgPool1d(2)", SEQUENCE), ("AvgPool1d(3, 2, 1, True, False)", SEQUENCE), ("AvgPool2d(2)", IMAGE),
    ("AvgPool2d((3, 2), stride=(2, 1), padding=1, divisor_override=5)", IMAGE),
    ("AdaptiveAvgPool1d(4)", SEQUENCE),
    ("AdaptiveAvgPool2d((3, None))", IMAGE), ("AdaptiveAvgPool2d(1)", IMAGE[1:]),
    ("AdaptiveMaxPool1d(4)", SEQUENCE),
    ("AdaptiveMaxPool2d(3, return_indices=True)", IMAGE), ("LPPool1d(2, 3)", SEQUENCE),
    ("LPPool2d(2, (2, 3), stride=1)", IMAGE),
    ("Flatten()", IMAGE), ("Flatten(0, 2)", IMAGE), ("Unflatten(1, (2, 2))", ROWS),
    ("PixelShuffle(2)", IMAGE),
    ("PixelUnshuffle(2)", IMAGE), ("ChannelShuffle(2)", IMAGE), ("Upsample(scale_factor=2)", IMAGE),
    ("Upsample(size=(3, 4), mode='bilinear', align_corners=True)", IMAGE),
    ("Upsample(scale_factor=(2, 1.5), mode='bicubic')", IMAGE),
    ("UpsamplingNearest2d(scale_factor=2)", IMAGE), ("UpsamplingBilinear2d(size=5)", IMAGE),
    *[(f"{kind}{n}d({p})", shape) for kind in ("CircularPad", "ReflectionPad", "ReplicationPad", "ZeroPad")
      for n, p, shape in ((1, 2, SEQUENCE), (1, (1, 3), SEQUENCE), (2, 2, IMAGE), (2, (1, 0, 2, 1), IMAGE),
      (3, 1, VOLUME))],
    ("ConstantPad1d(2, 3.5)", SEQUENCE), ("ConstantPad2d((1, 0, 2, 1), 1)", IMAGE),
    ("ConstantPad3d(1, 0.5)", VOLUME),
    ("Dropout()", ROWS), ("Dropout(0.2, True)", ROWS), ("Dropout1d()", SEQUENCE), ("Dropout2d(0.1)", IMAGE),
    ("Dropout3d()", VOLUME),
    ("AlphaDropout(0.3)", ROWS), ("FeatureAlphaDropout()", IMAGE),
    ("CosineSimilarity()", (ROWS, ROWS)), ("CosineSimilarity(0, eps=1e-3)", (ROWS, ROWS)),
    ("PairwiseDistance()", (ROWS, ROWS)),
    ("PairwiseDistance(1.0, keepdim=True)", (ROWS, ROWS)),
    ("MSELoss()", (ROWS, ROWS)), ("L1Loss(reduction='sum')", (ROWS, ROWS)),
    ("SmoothL1Loss(beta=0.5)", (ROWS, ROWS)),
    ("HuberLoss('none', 0.5)", (ROWS, ROWS)), ("BCEWithLogitsLoss()", (ROWS, ROWS)),
    ("KLDivLoss(reduction='batchmean', log_target=True)", (ROWS, ROWS)),
    ("PoissonNLLLoss(full=True)", (ROWS, ROWS)), ("TripletMarginLoss(swap=True)", (ROWS, ROWS, ROWS)),
    ("TripletMarginWithDistanceLoss(margin=2.0)", (ROWS, ROWS, ROWS)),
    ("MarginRankingLoss(0.1)", (ROWS, ROWS, ROWS)),
    ("Sequential(nn.Linear(4, 8), nn.Sequential(nn.ReLU(), nn.BatchNorm1d(8)), nn.Linear(8, 2))", ROWS),
]  # fmt: skip


def make(text, library):
    return eval(text if text.startswith("nn.") else f"nn.{text}", {"nn": library})


@pytest.mark.parametrize(("text", "shapes"), LAYERS, ids=[text for text, _ in LAYERS])
@pytest.mark.parametrize("training", [True, False])
def test_layer(text, shapes, training) -> None:
    torch.manual_seed(0)
    mine, other = make(text, nn).double().train(training), make(text, torch.nn).double().train(training)
    assert repr(mine) == repr(other)
    state = other.state_dict()
    assert list(mine.state_dict()) == list(state)
    for key, value in mine.state_dict().items():
        assert tuple(value.shape) == tuple(state[key].shape)
    if training and ("Dropout" in text or "RReLU" in text):
        return
    for p in other.parameters():  # something else than ones and zeros
        with torch.no_grad():
            p.copy_(torch.rand_like(p) - 0.3)
    mine.load_state_dict({key: ours(value) for key, value in other.state_dict().items()})
    shapes = shapes if isinstance(shapes[0], tuple) else (shapes,)
    inputs = [torch.rand(shape, dtype=torch.float64) * 4 - 2 for shape in shapes]
    x = [v.clone().requires_grad_() for v in inputs]
    y = [ours(v) for v in x]
    scale = 1.0 if "inplace" not in text and "True" not in text else 1.5
    want = other(*(v * scale for v in x))
    got = mine(*(v * scale for v in y))
    assert_same(got, want, 1e-5 if "Upsampl" in text else 1e-7, 1e-6 if "Upsampl" in text else 1e-9)
    first(want).square().sum().backward()
    first(got).square().sum().backward()
    loose = (1e-4, 1e-5) if "Upsampl" in text else (1e-6, 1e-8)
    for a, b in zip(y, x, strict=True):
        assert_same(a.grad, b.grad, *loose)
    theirs_named = dict(other.named_parameters())
    for name, p in mine.named_parameters():
        assert_same(p.grad, theirs_named[name].grad, *loose)
    for name, b in mine.named_buffers():
        assert_same(b, dict(other.named_buffers())[name])


def test_public_names_and_signatures() -> None:
    import inspect

    ours = {"LazyModuleMixin", "ModelSummary", "ModuleSummary", "summary"}
    for name in sorted(set(nn.__all__) - ours):
        mine = getattr(nn, name)
        other = getattr(torch.nn, name, None)
        assert other is not None, name
        if not (inspect.isclass(mine) and issubclass(mine, nn.Module)) or mine is nn.Module:
            continue
        want = [
            p for p in inspect.signature(other.__init__).parameters if p not in ("args", "kwargs", "modules")
        ]
        got = [
            p for p in inspect.signature(mine.__init__).parameters if p not in ("args", "kwargs", "modules")
        ]
        if want != ["self"] and name not in ("Sequential", "ModuleList", "ModuleDict", "Identity"):
            assert got == want, name
            defaults = {p: v.default for p, v in inspect.signature(other.__init__).parameters.items()}
            for p, v in inspect.signature(mine.__init__).parameters.items():
                assert callable(v.default) or v.default == defaults[p], f"{name}({p})"


def test_functional_signatures() -> None:
    import inspect

    for name in nn.functional.__all__:
        try:
            want = inspect.signature(getattr(torch.nn.functional, name)).parameters
            got = inspect.signature(getattr(nn.functional, name)).parameters
        except ValueError:
            continue
        if "args" not in want:
            assert list(got) == list(want), name
            assert {p: got[p].default for p in got} == {p: want[p].default for p in want}, name


def test_embedding() -> None:
    for text in (
        "Embedding(10, 3)", "Embedding(10, 3, padding_idx=-1)",
         "Embedding(5, 2, max_norm=1.0, norm_type=1.0)",
        "Embedding(5, 2, scale_grad_by_freq=True, sparse=True)",
    ):  # fmt: skip
        assert repr(make(text, nn)) == repr(make(text, torch.nn))
    layer = nn.Embedding(4, 3, padding_idx=1)
    assert layer.weight[1].tolist() == [0.0] * 3
    layer(fb.tensor([1, 2, 2])).sum().backward()
    assert layer.weight.grad.tolist() == [[0.0] * 3, [0.0] * 3, [2.0] * 3, [0.0] * 3]
    frozen = nn.Embedding.from_pretrained(fb.ones(2, 3))
    assert not frozen.weight.requires_grad
    assert nn.Embedding.from_pretrained(fb.ones(2, 3), freeze=False).weight.requires_grad
    with pytest.warns(UserWarning, match="dense all the same"):
        nn.Embedding(4, 3, sparse=True)(fb.tensor([1]))


def test_classification_losses() -> None:
    logits, classes = torch.rand(3, 4, dtype=torch.float64), torch.tensor([0, 3, 1])
    weight = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    for text, target in (
        ("CrossEntropyLoss(w, ignore_index=3, label_smoothing=0.1)", classes),
        ("NLLLoss(w, reduction='sum')", classes),
        ("MultiMarginLoss(p=2, weight=w)", classes), ("MultiLabelSoftMarginLoss(w)", (logits > 0.5).double()),
        ("BCELoss(w)", (logits > 0.5).double()),
        ("BCEWithLogitsLoss(w, pos_weight=w)", (logits > 0.5).double()),
        ("HingeEmbeddingLoss(0.5)", (logits > 0.5).double() * 2 - 1),
        ("SoftMarginLoss()", (logits > 0.5).double() * 2 - 1),
    ):  # fmt: skip
        mine = eval(f"nn.{text}", {"nn": nn, "w": ours(weight)})
        other = eval(f"nn.{text}", {"nn": torch.nn, "w": weight})
        assert repr(mine) == repr(other)
        assert list(mine.state_dict()) == list(other.state_dict())
        assert_same(mine(ours(logits), ours(target)), other(logits, target))
    mine, other = nn.GaussianNLLLoss(full=True), torch.nn.GaussianNLLLoss(full=True)
    assert_same(mine(ours(logits), ours(logits * 2), ours(logits + 1)), other(logits, logits * 2, logits + 1))
    mine, other = nn.CosineEmbeddingLoss(0.1), torch.nn.CosineEmbeddingLoss(0.1)
    signs = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    assert_same(
        mine(*map(ours, (logits, logits * 2 - 1, signs))), other(logits, logits * 2 - 1, signs), 1e-6, 1e-7
    )


def test_transpose_with_output_size() -> None:
    layer, other = (
        nn.ConvTranspose2d(2, 3, 3, stride=2).double(),
        torch.nn.ConvTranspose2d(2, 3, 3, stride=2).double(),
    )
    layer.load_state_dict({k: ours(v) for k, v in other.state_dict().items()})
    x = torch.rand(1, 2, 4, 5, dtype=torch.float64)
    for size in ((10, 11), (1, 3, 9, 12)):
        assert_same(layer(ours(x), output_size=size), other(x, output_size=size))
    with pytest.raises(ValueError, match="can only be 9 to 10"):
        layer(ours(x), output_size=(20, 20))


def test_dropout_statistics() -> None:
    x = fb.ones(20000)
    for layer in (nn.Dropout(0.25), nn.AlphaDropout(0.25)):
        y = theirs(layer(x))
        assert abs(float(y.mean()) - (1.0 if isinstance(layer, nn.Dropout) else y.mean())) < 0.03
        assert layer.eval()(x) is x
    y = theirs(nn.Dropout(0.25)(x))
    assert set(y.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    channels = theirs(nn.Dropout2d(0.5)(fb.ones(64, 8, 2, 3))).flatten(2)
    assert bool((channels == channels[:, :, :1]).all())
    leaf = fb.ones(1000, requires_grad=True)
    out = nn.Dropout(0.5)(leaf)
    out.sum().backward()
    assert_same(leaf.grad, theirs(out))
    normal = theirs(nn.AlphaDropout(0.2)(fb.randn(40000)))
    assert abs(float(normal.mean())) < 0.03
    assert abs(float(normal.std()) - 1) < 0.03


def test_data_parallel_is_a_wrapper() -> None:
    inner = nn.Linear(2, 3)
    net = nn.DataParallel(inner, device_ids=["cpu"])
    assert net(fb.ones(4, 2)).tolist() == inner(fb.ones(4, 2)).tolist()
    assert list(net.state_dict()) == ["module.weight", "module.bias"]
    with pytest.raises(RuntimeError, match="batches aren't split over devices"):
        nn.DataParallel(inner, device_ids=["cpu", "cpu"])


def test_older_loss_of_images() -> None:
    with pytest.warns(FutureWarning, match="NLLLoss2d"):
        loss = nn.NLLLoss2d()
    assert loss(fb.zeros(1, 2, 1, 1), fb.tensor([[[1]]])).item() == 0.0


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.AdaptiveMaxPool1d(2), (0, 3, 5)), (nn.AdaptiveMaxPool2d(2), (0, 3, 5, 6)),
        (nn.AdaptiveMaxPool3d(2), (0, 3, 4, 5, 6)), (nn.FractionalMaxPool2d(2, 2), (0, 3, 5, 6)),
        (nn.FractionalMaxPool3d(2, 2), (0, 3, 5, 6, 5)), (nn.InstanceNorm2d(3), (0, 3, 5, 6)),
        (nn.MaxPool2d(2), (0, 3, 4, 4)), (nn.Conv2d(3, 4, 3), (0, 3, 5, 6)), (nn.LSTM(3, 4), (5, 0, 3)),
        (nn.TransformerEncoderLayer(4, 2, 8), (3, 0, 4)),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else "",
)  # fmt: skip
def test_batches_of_nothing(layer, shape) -> None:
    x = fb.zeros(shape, requires_grad=True)
    out = first(layer(x))
    assert out.numel() == 0
    assert 0 in out.shape
    out.sum().backward()
    assert x.grad.shape == shape


def test_weights_of_layer_norm_in_other_orders_of_memory() -> None:
    x, w = fb.randn(4, 2, 3), fb.randn(3, 2)
    F = nn.functional
    want = F.layer_norm(x, (2, 3), w.t().contiguous(), w.t().contiguous())
    fb.testing.assert_close(F.layer_norm(x, (2, 3), w.t(), w.t()), want)
    fb.testing.assert_close(F.rms_norm(x, (2, 3), w.t()), F.rms_norm(x, (2, 3), w.t().contiguous()))
