"""``python -m tests.parity.modules``: PyTorch's modules replayed on flambeau's.

Each module is built in both with the same arguments (those of PyTorch's own test records, and more below), PyTorch's
state is loaded into ours, and output, gradients of inputs and parameters, buffers, keys and repr are compared, in
training and in evaluation, batched and unbatched. Needs PyTorch 2.13.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import flambeau as fb
from flambeau import nn

from .convert import Converter, to_torch

__all__ = ["Sample", "failures", "samples", "tiers"]

#: Relative and absolute tolerance of float32.
CLOSE = (1e-4, 2e-5)


class Sample:
    """Arguments of a constructor and of a call, in PyTorch's types.

    Attributes:
        init, init_names: of the constructor.
        args, names: of the call.
        what: says which sample it is.
    """

    def __init__(self, init: Any, init_names: Any, args: Any, names: Any, what: str = "") -> None:
        self.init, self.init_names, self.args, self.names, self.what = init, init_names, args, names, what


def tiers() -> dict[str, list[str]]:
    """Names of modules by tier, and those that the tables leave out."""
    found: dict[str, list[str]] = {}
    key = ""
    for line in (Path(__file__).parent / "modules.txt").read_text().splitlines():
        if line.startswith("# "):
            key = line.removeprefix("# ")
        else:
            found.setdefault(key, []).extend(line.split())
    return found


def _r(*shape: int, **options: Any) -> torch.Tensor:
    return torch.randn(*shape, requires_grad=True, **options)


def _more(name: str) -> Iterator[Sample]:
    """Samples beside those of PyTorch's records."""

    def of(*init: Any, **names: Any) -> Any:
        return lambda *args, **kwargs: Sample(init, names, args, kwargs, f"{init} {names}")

    eight = torch.arange(8)
    table: dict[str, list[Sample]] = {
        **{f"Dropout{d}": [of(0.0)(_r(2, 3, *[4] * n)), of(0.5)(_r(2, 3, *[4] * n))] for d, n in (("", 1), ("1d", 1), ("2d", 2), ("3d", 3))},
        **{n: [of(0.0)(_r(2, 3, 4)), of(0.3)(_r(2, 3, 4))] for n in ("AlphaDropout", "FeatureAlphaDropout")},
        "Upsample": [of(scale_factor=2, mode=m)(_r(2, 3, 4)) for m in ("nearest", "linear")]
        + [of(size=(5, 7), mode=m)(_r(1, 2, 4, 3)) for m in ("nearest", "bilinear", "bicubic")]
        + [of(scale_factor=(1, 2, 1.5), mode=m)(_r(1, 2, 3, 4, 2)) for m in ("nearest", "trilinear")]
        + [of(size=(5, 7), mode="bilinear", align_corners=True)(_r(1, 2, 4, 3))],
        "UpsamplingNearest2d": [of(scale_factor=2)(_r(1, 2, 3, 4))],
        "UpsamplingBilinear2d": [of(size=(5, 6))(_r(1, 2, 3, 4))],
        "ChannelShuffle": [of(3)(_r(2, 6, 4)), of(2)(_r(1, 4, 2, 2))],
        "PixelShuffle": [of(2)(_r(2, 8, 3, 2)), of(2)(_r(4, 2, 2))],
        "PixelUnshuffle": [of(2)(_r(2, 2, 4, 6))],
        "Flatten": [of()(_r(2, 3, 4)), of(0, 1)(_r(2, 3, 4))],
        "Unflatten": [of(1, (2, 3))(_r(2, 6, 4))],
        "Identity": [of(3, x=2)(_r(2, 3))],
        "TripletMarginLoss": [of()(_r(3, 4), _r(3, 4), _r(3, 4)), of(0.5, 3, swap=True, reduction="none")(_r(3, 4), _r(3, 4), _r(3, 4)), of(reduction="sum")(_r(4), _r(4), _r(4))],
        "TripletMarginWithDistanceLoss": [of(margin=2.0, swap=True)(_r(3, 4), _r(3, 4), _r(3, 4))],
        "AdaptiveLogSoftmaxWithLoss": [of(8, 10, [2, 5])(_r(6, 8), torch.tensor([0, 1, 4, 9, 6, 2])), of(8, 10, [4], div_value=2.0, head_bias=True)(_r(8), torch.tensor(7))],
        "EmbeddingBag": [of(10, 3, mode=m, **k)(eight, torch.tensor([0, 3, 3, 8])) for m in ("sum", "mean", "max") for k in ({}, {"padding_idx": 2}, {"include_last_offset": True})]
        + [of(10, 3, mode="sum")(eight.view(2, 4), None, _r(2, 4)), of(10, 3, scale_grad_by_freq=True)(eight.view(2, 4) // 2)],
        **{f"MaxUnpool{n}d": [of(2)(_r(2, 3, *[3] * n), _places(n)), of(2, 2, 0)(_r(3, *[3] * n), _places(n)[0])] for n in (1, 2, 3)},
        "TransformerDecoder": [of(torch.nn.TransformerDecoderLayer(4, 2, 8, 0.0), 2, torch.nn.LayerNorm(4))(_r(3, 2, 4), _r(5, 2, 4))],
        "CosineSimilarity": [of(1, 1e-6)(_r(3, 4), _r(3, 4))],
        "PairwiseDistance": [of()(_r(3, 4), _r(3, 4)), of(1.0, keepdim=True)(_r(4), _r(4))],
        "Unfold": [of((2, 3), dilation=1, padding=1, stride=2)(_r(2, 3, 5, 6)), of(2)(_r(3, 4, 4))],
        "Fold": [of((4, 5), (2, 2))(_r(1, 8, 12)), of((4, 5), 2, 1, 1, 2)(_r(8, 9))],
        "Hardsigmoid": [of()(_r(3, 4))],
        "RReLU": [of()(_r(3, 4)), of(0.2, 0.2)(_r(3, 4))],
        "CrossMapLRN2d": [of(n, alpha=0.3, beta=0.8, k=k)(torch.randn(2, 7, 3, 2)) for n, k in ((2, 1), (3, 2.0), (5, 1), (20, 1))],
        "SyncBatchNorm": [of(3)(_r(4, 3)), of(3, momentum=None, bias=False)(_r(4, 3, 2, 2, 2)), of(2, affine=False, track_running_stats=False)(_r(3, 2, 5))],
        "LazyLinear": [of(3)(_r(2, 4))],
        **{f"Lazy{k}Norm{n}d": [of()(_r(4, 3, *[2] * n))] for k in ("Batch", "Instance") for n in (1, 2, 3)},
        "RNN": [of(3, 4, 2, nonlinearity="relu", bidirectional=True)(_r(5, 2, 3), _r(4, 2, 4)), of(3, 4)(_packed(3))],
        "LSTM": [of(3, 4, 2, proj_size=2, bidirectional=True)(_r(5, 2, 3)), of(3, 4, 2, batch_first=True)(_r(2, 5, 3), (_r(2, 2, 4), _r(2, 2, 4))), of(3, 4, 2, bidirectional=True)(_packed(3)), of(3, 4, proj_size=2)(_r(5, 3))]
        + [of(3, 4, 2, bidirectional=True, proj_size=2, bias=bias)(_packed(3, ordered), *state) for bias, ordered, state in ((True, True, ()), (False, False, ((_r(4, 3, 2), _r(4, 3, 4)),)))],
        "GRU": [of(3, 4, 3, bias=False)(_r(5, 2, 3)), of(3, 4, 2, bidirectional=True)(_packed(3, False)), of(3, 4, bidirectional=True)(_r(5, 3), _r(2, 4))],
        "MultiheadAttention": [of(8, 2, kdim=3, vdim=5, add_bias_kv=True, add_zero_attn=True)(_r(4, 2, 8), _r(5, 2, 3), _r(5, 2, 5), attn_mask=torch.rand(4, 5) > 0.7), of(8, 2, bias=False, batch_first=True)(_r(2, 4, 8), _r(2, 5, 8), _r(2, 5, 8), average_attn_weights=False, key_padding_mask=torch.tensor([[False] * 5, [False] * 3 + [True] * 2]))],
    }  # fmt: skip
    yield from table.get(name, ())


def _places(n: int) -> torch.Tensor:
    """Indices as max pooling of windows of two gives them."""
    pool = getattr(torch.nn.functional, f"max_pool{n}d")
    return pool(torch.randn(2, 3, *[6] * n), 2, return_indices=True)[1]


def _packed(features: int, in_order: bool = True) -> Any:
    from torch.nn.utils.rnn import pack_sequence

    lengths = (4, 2, 1) if in_order else (2, 4, 1)
    return pack_sequence([torch.randn(n, features) for n in lengths], enforce_sorted=in_order)


def samples(name: str, training: bool) -> Iterator[Sample]:
    """All samples of a module."""
    from torch.testing._internal.common_modules import module_db

    for record in module_db:
        if record.module_cls.__name__ == name:
            made = record.module_inputs_func(
                record, device="cpu", dtype=torch.float32, requires_grad=True, training=training
            )
            for k, one in enumerate(made):
                first, call = one.constructor_input, one.forward_input
                if call is not None:
                    yield Sample(first.args, first.kwargs, call.args, call.kwargs, f"#{k} {one.desc}")
    yield from _more(name)


# The comparison


def _leaves(value: Any, kind: Any) -> list[Any]:
    """All objects of a class in nested values, in order."""
    if isinstance(value, kind):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [t for part in parts for t in _leaves(part, kind)]


class _Ours:
    """Arguments as ours; modules among them are built anew."""

    def __init__(self) -> None:
        self.convert = Converter()

    def __call__(self, value: Any) -> Any:
        if isinstance(value, torch.nn.utils.rnn.PackedSequence):
            return nn.utils.rnn.PackedSequence(*(self(t) for t in value))
        if isinstance(value, dict):
            return {k: self(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
            return type(value)(self(v) for v in value)
        if isinstance(value, torch.nn.Module):
            return _twin(value)
        if callable(value) and getattr(value, "__module__", "").startswith("torch"):
            return getattr(nn.functional, value.__name__)
        if type(value).__name__ == "LinearCrossEntropyOptions":
            return nn.LinearCrossEntropyOptions(
                *(self(getattr(value, n)) for n in value.__dataclass_fields__)
            )
        return self.convert(value)


def _twin(module: Any) -> Any:
    """Our module of the same kind and state, for those that are given to constructors."""
    name = type(module).__name__
    if name == "LayerNorm":
        made: Any = nn.LayerNorm(module.normalized_shape, module.eps)
    elif name == "Linear":
        made = nn.Linear(module.in_features, module.out_features, module.bias is not None)
    else:
        layer = getattr(nn, name)
        attention = module.self_attn
        made = layer(
            attention.embed_dim, attention.num_heads, module.linear1.out_features, module.dropout.p,
            getattr(nn.functional, module.activation.__name__), module.norm1.eps, attention.batch_first,
            module.norm_first, module.linear1.bias is not None,
        )  # fmt: skip
    made.load_state_dict({k: Converter()(v) for k, v in module.state_dict().items()})
    return made


def _floats(values: Any, kind: Any) -> list[Any]:
    return [t for t in _leaves(values, kind) if t.requires_grad]


def _apart(got: Any, want: Any, what: str) -> str:
    """What differs between results, or ""."""
    if isinstance(want, torch.Tensor):
        if not isinstance(got, fb.Tensor):
            return f"{what}: got {type(got).__name__}"
        if tuple(got.shape) != tuple(want.shape):
            return f"{what}: shape {list(got.shape)}, PyTorch {list(want.shape)}"
        a, b = to_torch(got), want.detach()
        if a.dtype != b.dtype:
            return f"{what}: dtype {a.dtype}, PyTorch {b.dtype}"
        if not torch.allclose(a, b, *CLOSE, equal_nan=True):
            return f"{what}: differs by {(a.double() - b.double()).abs().max():.3g}"
        return ""
    if isinstance(want, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(got) != len(want):
            return f"{what}: {got!r} for {want!r}"
        return next(
            filter(
                None, (_apart(g, w, f"{what}[{k}]") for k, (g, w) in enumerate(zip(got, want, strict=True)))
            ),
            "",
        )
    return "" if got == want or (got is None) == (want is None) else f"{what}: {got!r}, PyTorch {want!r}"


def compare(name: str, sample: Sample, training: bool) -> str:
    """What differs for one sample, or ""."""
    ours_of = _Ours()
    theirs = getattr(torch.nn, name)(*sample.init, **sample.init_names)
    mine = getattr(nn, name)(*ours_of(sample.init), **ours_of(dict(sample.init_names)))
    theirs.train(training)
    mine.train(training)
    if name.startswith("Lazy"):
        state = torch.get_rng_state()
        with torch.no_grad():
            theirs(*sample.args, **sample.names)
        torch.set_rng_state(state)
        for key, value in theirs.state_dict().items():
            if "running" in key or "num_batches" in key:
                value.fill_(1 if "var" in key else 0)
    if name.startswith("Fractional"):
        n = int(name[-2])
        lead = sample.args[0].shape[: sample.args[0].ndim - n]
        theirs._random_samples = torch.rand(*((1, *lead) if len(lead) == 1 else lead), n)
        mine._random_samples = Converter()(theirs._random_samples)
    before = theirs.state_dict()
    if not name.startswith("Lazy") and list(before) != list(mine.state_dict()):
        return f"keys {list(mine.state_dict())}, PyTorch {list(before)}"
    mine.load_state_dict({k: Converter()(v) for k, v in before.items()})
    if mine.state_dict() and [tuple(v.shape) for v in mine.state_dict().values()] != [
        tuple(v.shape) for v in before.values()
    ]:
        return "shapes of the state differ"
    random = training and any(p in name for p in ("Dropout", "RReLU"))
    args, names = ours_of(sample.args), ours_of(dict(sample.names))
    got, want = mine(*args, **names), theirs(*sample.args, **sample.names)
    # The class of the projection behind attention has another name in PyTorch, for a reason of its quantisation.
    if repr(theirs).replace("NonDynamicallyQuantizableLinear", "Linear").replace(
        "torch.float", "flambeau.float"
    ) != repr(mine):
        return f"repr {mine!r}, PyTorch {theirs!r}"
    if random and sample.init != (0.0,) and sample.init != (0.2, 0.2):
        return "" if tuple(got.shape) == tuple(want.shape) else "shape"
    problem = _apart(got, want, "output")
    if problem:
        return problem
    outs, their_outs = _floats(got, fb.Tensor), _floats(want, torch.Tensor)
    if len(outs) != len(their_outs):
        return f"{len(outs)} outputs need gradients, PyTorch {len(their_outs)}"
    if outs:
        weights = [torch.rand_like(t) + 0.5 for t in their_outs]
        sum((t * w).sum() for t, w in zip(their_outs, weights, strict=True)).backward()
        loss: Any = 0
        for t, w in zip(outs, weights, strict=True):
            loss = loss + (t * Converter()(w)).sum()
        loss.backward()
        pairs = [
            (x.grad, y.grad, f"gradient of input {k}")
            for k, (x, y) in enumerate(
                zip(
                    _floats((args, names), fb.Tensor),
                    _floats((sample.args, sample.names), torch.Tensor),
                    strict=True,
                )
            )
        ]
        pairs += [
            (p.grad, q.grad, f"gradient of {key}")
            for (key, q), p in zip(theirs.named_parameters(), mine.parameters(), strict=True)
        ]
        for a, b, what in pairs:
            if (a is None) != (b is None):
                return f"{what}: {'none' if a is None else 'some'}, PyTorch {'none' if b is None else 'some'}"
            problem = "" if a is None else _apart(a, b, what)
            if problem:
                return problem
    after = theirs.state_dict()
    return next(filter(None, (_apart(v, after[k], f"state {k}") for k, v in mine.state_dict().items())), "")


def failures(name: str) -> tuple[int, list[str]]:
    """How many samples were compared, and what differed."""
    count, found = 0, []
    for training in (True, False):
        torch.manual_seed(0)
        for sample in samples(name, training):
            count += 1
            for t in _floats((sample.args, sample.names), torch.Tensor):
                t.retain_grad()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    problem = compare(name, sample, training)
            except Exception as error:
                notes = "; ".join(getattr(error, "__notes__", ()))
                problem = f"raised {type(error).__name__}: {error} {notes}"
            if problem:
                found.append(f"{'train' if training else 'eval'} {sample.what}: {problem}")
    return count, found


def main() -> int:
    """Replay and print."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.parity.modules")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--tier", default="1,2,3,plus")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bad = 0
    for tier, names in tiers().items():
        if tier not in options.tier.split(","):
            continue
        good, asked = 0, [n for n in names if not options.names or n in options.names]
        for name in asked:
            count, found = failures(name)
            good += count > 0 and not found
            state = "ok  " if count and not found else "FAIL"
            if state == "FAIL" or options.names:
                print(f"{state} {tier} {name}: {count - len(found)}/{count}")
            for line in found[:3]:
                print(f"       {line[:400]}")
        print(f"tier {tier}: {good} of {len(asked)} modules agree", flush=True)
        bad += len(asked) - good
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
