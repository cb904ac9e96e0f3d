"""state_dict and load_state_dict: round trips, messages, hooks, extra state, old versions."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import flambeau as fb
from flambeau import nn


def small() -> nn.Sequential:
    return nn.Sequential(OrderedDict(fc=nn.Linear(3, 2), bn=nn.BatchNorm1d(2)))


def test_round_trip() -> None:
    a, b = small(), small()
    assert repr(b.load_state_dict(a.state_dict())) == "<All keys matched successfully>"
    for key, value in a.state_dict().items():
        assert b.state_dict()[key].tolist() == value.tolist()
    assert list(a.state_dict()) == [
        "fc.weight", "fc.bias", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked",
    ]  # fmt: skip
    assert next(iter(a.state_dict(prefix="m."))) == "m.fc.weight"
    assert not a.state_dict()["fc.weight"].requires_grad
    assert a.state_dict(keep_vars=True)["fc.weight"] is a.fc.weight
    assert a.state_dict()._metadata["bn"] == {"version": 2}


def test_values_share_memory_and_are_copied_on_load() -> None:
    a, b = small(), small()
    state = a.state_dict()
    with fb.no_grad():
        a.fc.weight.fill_(7)
    assert state["fc.weight"].tolist() == [[7.0] * 3] * 2
    weight = b.fc.weight
    b.load_state_dict(state)
    assert b.fc.weight is weight
    with fb.no_grad():
        a.fc.weight.fill_(8)
    assert weight.tolist() == [[7.0] * 3] * 2


def test_assign() -> None:
    a, b = small(), small().double()
    b.fc.weight.requires_grad_(False)
    b.load_state_dict(a.state_dict(), assign=True)
    assert b.fc.weight.dtype == fb.float32
    assert isinstance(b.fc.weight, nn.Parameter)
    assert not b.fc.weight.requires_grad
    assert b.fc.bias.requires_grad
    assert b.fc.weight.tolist() == a.fc.weight.tolist()


def test_missing_unexpected_and_nearest() -> None:
    state = small().state_dict()
    state["fc.weigth"] = state.pop("fc.weight")
    state["zzz"] = fb.ones(1)
    with pytest.raises(RuntimeError) as caught:
        small().load_state_dict(state)
    text = str(caught.value)
    assert text.startswith("[load_state_dict] Error(s) in loading state_dict for Sequential:")
    assert 'Missing key(s) in state_dict: "fc.weight" (nearest: "fc.weigth")' in text
    assert 'Unexpected key(s) in state_dict: "zzz", "fc.weigth" (nearest: "fc.weight").' in text
    assert "strict=False" in text
    found = small().load_state_dict(state, strict=False)
    assert found.missing_keys == ["fc.weight"]
    assert sorted(found.unexpected_keys) == ["fc.weigth", "zzz"]
    assert "missing_keys=['fc.weight']" in repr(found)


def test_wrong_shapes() -> None:
    state = small().state_dict()
    state["fc.weight"] = fb.ones(4, 3)
    for strict in (True, False):
        with pytest.raises(
            RuntimeError, match=r"size mismatch for fc.weight: .*\[4, 3\].*current model is \[2, 3\]"
        ):
            small().load_state_dict(state, strict=strict)


def test_common_prefix_is_named() -> None:
    state = {f"module.{key}": value for key, value in small().state_dict().items()}
    with pytest.raises(RuntimeError, match=r"All keys match once 'module.' is taken off"):
        small().load_state_dict(state)


def test_wrong_kinds() -> None:
    with pytest.raises(TypeError, match=r"expected state_dict to be dict-like: got str"):
        small().load_state_dict("model.pt")
    with pytest.raises(RuntimeError, match=r"expected a Tensor, got int"):
        small().load_state_dict({**small().state_dict(), "fc.bias": 3})


def test_scalars_saved_as_vectors() -> None:
    module = nn.Module()
    module.scale = nn.Parameter(fb.tensor(1.0))
    module.load_state_dict({"scale": fb.tensor([3.0])})
    assert module.scale.item() == 3.0


def test_version_1_batch_norm() -> None:
    state = nn.BatchNorm1d(2).state_dict()
    del state["num_batches_tracked"], state._metadata
    layer = nn.BatchNorm1d(2)
    layer.load_state_dict(state)
    assert layer.num_batches_tracked.item() == 0


def test_extra_state() -> None:
    class Counter(nn.Module):
        count = 0

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state) -> None:
            self.count = state["count"]

    a, b = nn.Sequential(Counter()), nn.Sequential(Counter())
    a[0].count = 5
    assert a.state_dict() == {"0._extra_state": {"count": 5}}
    b.load_state_dict(a.state_dict())
    assert b[0].count == 5
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "0._extra_state"'):
        b.load_state_dict({})
    with pytest.raises(RuntimeError, match=r"Unexpected key"):
        nn.Sequential(nn.ReLU()).load_state_dict(a.state_dict())


def test_hooks() -> None:
    net = small()
    calls: list[str] = []
    handles = [
        net.register_state_dict_pre_hook(lambda module, prefix, keep_vars: calls.append("save pre")),
        net.register_state_dict_post_hook(lambda module, state, prefix, meta: state.update(extra=fb.ones(1))),
        net.register_load_state_dict_pre_hook(lambda module, state, *rest: state.pop("extra")),
        net.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear()),
    ]
    state = net.state_dict()
    assert calls == ["save pre"]
    assert "extra" in state
    del state["fc.bias"]
    net.load_state_dict(state)
    for handle in handles:
        handle.remove()
    assert "extra" not in net.state_dict()
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict(state)


def test_hooks_must_return_none() -> None:
    net = small()
    with (
        net.register_state_dict_post_hook(lambda *args: 1),
        pytest.raises(RuntimeError, match="must return None"),
    ):
        net.state_dict()
    with net.register_load_state_dict_post_hook(lambda *args: 1), pytest.raises(AssertionError):
        net.load_state_dict(small().state_dict())
