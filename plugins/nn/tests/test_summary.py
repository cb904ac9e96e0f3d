"""nn.summary: counts beside a real run and PyTorch's counter, the table, what stays untouched, its cost, mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

import flambeau as fb
from flambeau import nn


class Block(nn.Module):
    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d), nn.Dropout(0.1))

    def forward(self, x: Any) -> Any:
        b, t, d = x.shape
        q, k, v = (y.view(b, t, self.heads, -1).transpose(1, 2) for y in self.qkv(self.norm1(x)).chunk(3, -1))
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, d))
        return x + self.mlp(self.norm2(x))


class Decoder(nn.Module):
    def __init__(self, vocabulary: int = 50, d: int = 16, heads: int = 2, layers: int = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, d)
        self.layers = nn.ModuleList([Block(d, heads) for _ in range(layers)])
        self.head = nn.Linear(d, vocabulary, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: Any) -> Any:
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x + fb.arange(ids.shape[1])[:, None])
        return self.head(x)


def convolutions() -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Flatten(), nn.Linear(4 * 64, 10),
    )  # fmt: skip


MODELS: dict[str, tuple[Any, Any]] = {
    "decoder": (Decoder, lambda lib: lib.zeros(3, 7, dtype=lib.int64)),
    "convolutions": (convolutions, lambda lib: lib.zeros(2, 3, 8, 8)),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_is_saved_is_what_a_real_run_saves(name: str) -> None:
    make, sample = MODELS[name]
    model = make()
    parameters = {id(p.mem) for p in [*model.parameters(), *model.buffers()]}
    kept: dict[int, Any] = {}

    def pack(t: Any) -> Any:
        if id(t.mem) not in parameters:
            kept[id(t.mem)] = t.mem
        return t

    found = nn.summary(model, sample(fb))
    with fb.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        model(sample(fb))
    assert found.activation_bytes == sum(m.nbytes for m in kept.values())
    assert sum(m.own_saved_bytes for m in found.modules) == found.activation_bytes


def test_flops_are_those_that_pytorch_counts() -> None:
    pytest.importorskip("torch")
    import torch
    import torch.nn.attention
    from torch.utils.flop_counter import FlopCounterMode

    t = torch.nn
    theirs = t.Sequential(
        t.Conv2d(3, 8, 3, padding=1), t.BatchNorm2d(8), t.ReLU(), t.MaxPool2d(2),
        t.ConvTranspose2d(8, 4, 2, stride=2), t.Flatten(), t.Linear(4 * 64, 10),
    )  # fmt: skip
    with FlopCounterMode(display=False) as counter:
        theirs(torch.zeros(2, 3, 8, 8))
    assert nn.summary(convolutions(), fb.zeros(2, 3, 8, 8)).flops == counter.get_total_flops()
    q = torch.zeros(2, 4, 6, 8)
    with (
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        torch.nn.functional.scaled_dot_product_attention(q, q, q)

    class Attention(nn.Module):
        def forward(self, q: Any) -> Any:
            return nn.functional.scaled_dot_product_attention(q, q, q)

    assert nn.summary(Attention(), fb.zeros(2, 4, 6, 8)).flops == counter.get_total_flops()


def test_rows_of_modules() -> None:
    found = nn.summary(Decoder(), fb.zeros(3, 7, dtype=fb.int64, device="meta"))
    model = Decoder()
    assert [m.name for m in found.modules] == [n for n, _ in model.named_modules()]
    assert found.total_parameters == sum(p.numel() for p in model.parameters())  # the tied weight counts once
    block = found["layers.1"]
    assert block.input_shapes == block.output_shapes == [[3, 7, 16]]
    assert block.depth == 2
    assert block.type == "Block"
    mlp = found["layers.1.mlp.0"]
    assert mlp.flops == 2 * 3 * 7 * 16 * 64
    assert mlp.own_parameters == 16 * 64 + 64
    assert found["layers"].flops == 2 * block.flops
    assert found["head"].parameters == 50 * 16
    with pytest.raises(KeyError, match="no module of that name"):
        found["layers.7"]


def test_frozen_shared_and_unused_modules() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.b = self.a
            self.unused = nn.Linear(4, 2)
            self.a.bias.requires_grad_(False)

        def forward(self, x: Any, scale: float = 1.0) -> Any:
            return {"y": self.b(self.a(x)) * scale}

    found = nn.summary(Odd(), {"x": fb.ones(5, 4), "scale": 2.0})
    assert found["a"].calls == 2
    assert found.trainable_parameters == 16 + 10
    assert found.training_bytes == 4 * (30 + 26) + found.activation_bytes
    text = str(found)
    assert "[5, 4] (2 calls)" in text
    assert "unused: Linear  not run" in text
    assert "(26 trainable, 4 frozen)" in text


def test_recurrent_layers_count_their_products() -> None:
    found = nn.summary(nn.LSTM(8, 16, batch_first=True), fb.zeros(3, 5, 8))
    assert found.flops == 2 * 3 * 5 * 64 * (8 + 16)
    assert found.modules[0].output_shapes == [[3, 5, 16], [1, 3, 16], [1, 3, 16]]


def test_the_model_and_the_random_stream_stay_as_they_are() -> None:
    model = convolutions().eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    objects = [id(t) for t in model.state_dict(keep_vars=True).values()]
    state = fb.get_rng_state().tolist()
    nn.summary(model, fb.zeros(2, 3, 8, 8))
    assert not any(m.training for m in model.modules())
    assert [id(t) for t in model.state_dict(keep_vars=True).values()] == objects
    for k, v in model.state_dict().items():
        assert v.tolist() == before[k].tolist()
    assert fb.get_rng_state().tolist() == state
    assert model._call_hooks is None or not model._call_hooks.forward_pre
    assert fb.ones(1).device.type == "cpu"


def test_the_table_in_text_and_in_notebooks() -> None:
    found = nn.summary(Decoder(), fb.zeros(3, 7, dtype=fb.int64), depth=1)
    assert str(found).count("\n") == 9
    page = found._repr_html_()
    assert page.count("<tr>") == 5
    assert "├─ embed: Embedding" in page
    assert "<script" not in nn.summary(nn.Linear(1, 1), fb.ones(1, 1))._repr_html_()


def test_a_model_that_looks_at_values_is_named() -> None:
    class Looks(nn.Module):
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    with pytest.raises(RuntimeError, match="meta tensor") as caught:
        nn.summary(nn.Sequential(nn.Linear(2, 2), Looks()), fb.ones(1, 2))
    assert any("Looks" in note for note in caught.value.__notes__)
    with pytest.raises(TypeError, match="model is no Module"):
        nn.summary(fb.ones(1), fb.ones(1))


SEVEN_BILLION = """
import json, time
start = time.perf_counter()
import flambeau as fb
from flambeau import nn

class Block(nn.Module):
    def __init__(self, d, h, f):
        super().__init__()
        self.h = h
        self.n1, self.n2 = nn.RMSNorm(d), nn.RMSNorm(d)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.gate, self.up = nn.Linear(d, f, bias=False), nn.Linear(d, f, bias=False)
        self.down = nn.Linear(f, d, bias=False)
    def forward(self, x):
        b, t, d = x.shape
        y = self.n1(x)
        q, k, v = (m(y).view(b, t, self.h, -1).transpose(1, 2) for m in (self.q, self.k, self.v))
        a = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(a.transpose(1, 2).reshape(b, t, d))
        y = self.n2(x)
        return x + self.down(nn.functional.silu(self.gate(y)) * self.up(y))

class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(32000, 4096)
        self.layers = nn.ModuleList([Block(4096, 32, 11008) for _ in range(32)])
        self.norm, self.head = nn.RMSNorm(4096), nn.Linear(4096, 32000, bias=False)
    def forward(self, ids):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))

with fb.device("meta"):
    model = Decoder()
found = nn.summary(model, fb.empty(1, 2048, dtype=fb.int64, device="meta"))
text = str(found)
seconds = time.perf_counter() - start
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([found.total_parameters, found.flops, seconds, int(peak.split()[1]) / 1000]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_seven_billion_parameters() -> None:
    done = subprocess.run([sys.executable, "-c", SEVEN_BILLION], capture_output=True, text=True, check=True)
    parameters, flops, seconds, megabytes = json.loads(done.stdout)
    assert parameters == 6_738_415_616
    products = 2 * 2048 * (parameters - 32000 * 4096 - 65 * 4096)
    assert flops == products + 32 * 4 * 2048 * 2048 * 4096
    assert megabytes < 200
    assert seconds < 20  # 0.9 s alone on a core; a busy machine may take longer
