"""Recurrent layers, packed sequences, lazy layers: what the comparison with PyTorch's records doesn't reach."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

import flambeau as fb
from flambeau import nn
from flambeau.nn.utils import rnn


def t(*shape: int) -> fb.Tensor:
    return fb.rand(*shape)


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_packed_is_each_sequence_alone(make) -> None:
    layer = make(3, 4, num_layers=2, bidirectional=True)
    parts = [t(2, 3), t(5, 3), t(1, 3)]
    packed, last = layer(rnn.pack_sequence(parts, enforce_sorted=False))
    first = last[0] if isinstance(last, tuple) else last
    for k, (part, out) in enumerate(zip(parts, rnn.unpack_sequence(packed), strict=True)):
        alone, end = layer(part)
        assert fb.allclose(out, alone, atol=1e-6)
        assert fb.allclose(first[:, k], end[0] if isinstance(end, tuple) else end, atol=1e-6)


def test_dropout_between_layers() -> None:
    layer = nn.GRU(3, 4, num_layers=2, dropout=0.5)
    x = t(5, 2, 3)
    assert not fb.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert fb.equal(layer(x)[0], layer(x)[0])
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        nn.RNN(3, 4, dropout=0.5)


BAD = [
    (
        lambda: nn.LSTM(3, 4)(t(5, 2, 2)),
        RuntimeError,
        "input.size(-1) must be equal to input_size. Expected 3, got 2",
    ),
    (lambda: nn.LSTM(3, 4)(t(3)), ValueError, "expected input to be 2D or 3D"),
    (
        lambda: nn.LSTM(3, 4)(t(5, 2, 3), (t(1, 2, 4), t(1, 2, 3))),
        RuntimeError,
        "Expected hidden[1] size (1, 2, 4)",
    ),
    (lambda: nn.LSTM(3, 4)(t(5, 2, 3), t(1, 2, 4)), TypeError, "must be a pair of tensors"),
    (lambda: nn.GRU(3, 4)(t(0, 2, 3)), RuntimeError, "sequence length to be larger than 0"),
    (lambda: nn.RNN(3, 0), ValueError, "hidden_size must be greater than zero"),
    (lambda: nn.RNN(3, 4, nonlinearity="sin"), ValueError, "unknown nonlinearity"),
    (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, "proj_size should be smaller than hidden_size"),
    (lambda: nn.GRU(3, 4, dropout=2), ValueError, "should be a number in range [0, 1]"),
    (lambda: nn.GRUCell(3, 4)(t(2, 2)), RuntimeError, "inconsistent input_size: got 2 expected 3"),
    (lambda: nn.GRUCell(3, 4)(t(2, 3), t(1, 4)), RuntimeError, "doesn't fit the input"),
    (lambda: nn.LSTMCell(3, 4)(t(1, 2, 3)), ValueError, "Expected input to be 1D or 2D"),
    (
        lambda: rnn.pack_padded_sequence(t(3, 2, 1), [1, 3]),
        RuntimeError,
        "must be sorted in decreasing order",
    ),
    (lambda: rnn.pack_padded_sequence(t(3, 2, 1), [3, 0]), RuntimeError, "has to be greater than 0"),
    (lambda: rnn.pack_padded_sequence(t(3, 2, 1), [3]), RuntimeError, "equal to batch_size"),
    (lambda: rnn.pack_padded_sequence(t(3, 2, 1), [4, 1]), RuntimeError, "longer than the input"),
    (lambda: rnn.pad_sequence([]), RuntimeError, "empty list"),
    (lambda: rnn.pad_packed_sequence(rnn.pack_sequence([t(3)]), total_length=2), ValueError, "total_length"),
    (
        lambda: nn.Transformer(4, 2, 1, 1, 4)(t(3, 2, 4), t(3, 1, 4)),
        RuntimeError,
        "batch number of src and tgt",
    ),
    (
        lambda: nn.Transformer(4, 2, 1, 1, 4)(t(3, 2, 5), t(3, 2, 4)),
        RuntimeError,
        "feature number of src and tgt",
    ),
    (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 5, [3, 2]), ValueError, "sorted in an increasing order"),
    (
        lambda: nn.AdaptiveLogSoftmaxWithLoss(16, 5, [2])(t(2, 16), fb.tensor([0, 5])),
        RuntimeError,
        "in [0, 4]",
    ),
    (
        lambda: nn.CTCLoss()(t(4, 2, 3), fb.tensor([[1], [2]]), [5, 4], [1, 1]),
        RuntimeError,
        "value at most 4",
    ),
    (
        lambda: nn.CTCLoss(blank=3)(t(4, 2, 3), fb.tensor([[1], [2]]), [4, 4], [1, 1]),
        RuntimeError,
        "label range",
    ),
    (lambda: nn.MaxUnpool2d(2)(t(1, 2, 2), fb.full((1, 2, 2), 16)), RuntimeError, "invalid max index"),
    (lambda: nn.functional.grid_sample(t(1, 1, 2, 2), t(1, 2, 2, 3)), RuntimeError, "grid to have size 2"),
    (lambda: nn.EmbeddingBag(4, 2)(fb.tensor([0]), fb.tensor([1])), RuntimeError, "offsets[0] has to be 0"),
    (lambda: nn.EmbeddingBag(4, 2)(fb.tensor([0])), ValueError, "offsets has to be a 1D Tensor"),
]


@pytest.mark.parametrize(("call", "kind", "text"), BAD)
def test_mistakes(call, kind, text) -> None:
    with pytest.raises(kind, match=re.escape(text)):
        call()


def test_the_path_in_the_model() -> None:
    model = nn.ModuleDict({"body": nn.Sequential(nn.Identity(), nn.LSTM(3, 4))})

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = model

        def forward(self, x):
            return self.parts["body"](x)

    with pytest.raises(RuntimeError, match="input_size") as caught:
        Model()(t(5, 2, 2))
    assert caught.value.__notes__ == ["in model.parts.body.1: LSTM(3, 4) (model is Model)"]


# Lazy layers


def test_lazy_state_goes_both_ways() -> None:
    lazy, ready = nn.LazyConv2d(4, 3), nn.LazyConv2d(4, 3)
    assert lazy.has_uninitialized_params()
    with pytest.raises(RuntimeError, match="uninitialized parameter"):
        lazy.weight.shape  # noqa: B018
    x = t(2, 3, 8, 8)
    ready(x)
    assert type(ready) is nn.Conv2d
    lazy.load_state_dict(ready.state_dict())
    assert fb.equal(lazy(x), ready(x))
    assert type(lazy) is nn.Conv2d
    fresh = nn.LazyConv2d(4, 3)
    fresh.load_state_dict(nn.LazyConv2d(4, 3).state_dict())
    assert fresh.has_uninitialized_params()
    with pytest.raises(RuntimeError, match="is not initialized in the checkpoint"):
        ready.load_state_dict(nn.LazyConv2d(4, 3).state_dict())


def test_lazy_copies_and_moves() -> None:
    layer = nn.LazyLinear(2).double()
    twin = copy.deepcopy(layer)
    assert twin.has_uninitialized_params()
    y = twin(fb.ones(3, 4, dtype=fb.float64))
    assert y.dtype is fb.float64
    assert layer.has_uninitialized_params()
    assert isinstance(pickle.loads(pickle.dumps(layer.weight)), nn.UninitializedParameter)


def test_lazy_refuses_another_rank() -> None:
    with pytest.raises(RuntimeError, match=re.escape("Expected 3D (unbatched) or 4D (batched) input")):
        nn.LazyConv2d(4, 3)(t(3, 3))
    with pytest.raises(ValueError, match="expected 4D input"):
        nn.LazyBatchNorm2d()(t(3, 3))


def test_adaptive_softmax_is_a_distribution() -> None:
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 10, [3, 6], div_value=2.0)
    x, y = t(5, 8), fb.tensor([0, 2, 4, 7, 9])
    full = layer.log_prob(x)
    assert fb.allclose(full.exp().sum(1), fb.ones(5), atol=1e-5)
    assert fb.allclose(layer(x, y).output, full.gather(1, y.unsqueeze(1)).squeeze(1), atol=1e-5)
    assert fb.equal(layer.predict(x), full.argmax(1))


def test_a_recurrent_model_learns() -> None:
    fb.manual_seed(0)
    layer, head = nn.LSTM(1, 8), nn.Linear(8, 1)
    x = t(6, 16, 1)
    target = x.sum(0)
    parameters = [*layer.parameters(), *head.parameters()]
    losses = []
    for _ in range(60):
        loss = nn.functional.mse_loss(head(layer(x)[0][-1]), target)
        grads = fb.autograd.grad(loss, parameters)
        with fb.no_grad():
            for p, g in zip(parameters, grads, strict=True):
                p -= 0.3 * g
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("targets", [[[1, 2, 2], [3, 1, 0]], [[1, 1, 1], [2, 2, 2]]])
def test_second_derivative_of_the_ctc_loss(targets) -> None:
    fb.manual_seed(2)
    x = fb.randn(7, 2, 4, dtype=fb.float64, requires_grad=True)

    def loss(x):
        return nn.functional.ctc_loss(x.log_softmax(-1), fb.tensor(targets), [7, 6], [3, 2], reduction="none")

    assert fb.autograd.gradgradcheck(loss, (x,))


def test_second_derivative_of_ctc_losses_that_do_not_fit() -> None:
    x = fb.randn(3, 3, 4, dtype=fb.float64, requires_grad=True)
    loss = nn.functional.ctc_loss(
        x.log_softmax(-1), fb.tensor([[1, 1, 1], [1, 2, 3], [0, 0, 0]]), [3, 3, 0], [3, 3, 0],
        reduction="sum", zero_infinity=True,
    )  # fmt: skip
    (g,) = fb.autograd.grad(loss, x, create_graph=True)
    (h,) = fb.autograd.grad(g.square().sum(), x)
    assert bool(h.isfinite().all())
    assert not bool(h[:, [0, 2]].any())
    assert bool(h[:, 1].any())


def test_packed_sequences_of_other_dtypes() -> None:
    packed = nn.utils.rnn.pack_sequence([fb.tensor([1.5, 2.0]), fb.tensor([3.0])])
    for name in ("long", "int", "short", "char", "byte", "half", "double"):
        assert getattr(packed, name)().data.dtype == getattr(fb.ones(1), name)().dtype
    assert packed.cpu(fb.float64).data.dtype == fb.float64
