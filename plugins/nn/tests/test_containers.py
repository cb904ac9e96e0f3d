"""Containers of modules and parameters."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import flambeau as fb
from flambeau import nn


def test_sequential() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert len(net) == 3
    assert net(fb.ones(4, 2)).shape == (4, 1)
    assert [type(m).__name__ for m in net] == ["Linear", "ReLU", "Linear"]
    assert net[-1] is net[2]
    assert isinstance(net[1:], nn.Sequential)
    assert list(net[1:].state_dict()) == ["2.weight", "2.bias"]
    net[1] = nn.Tanh()
    assert isinstance(net[1], nn.Tanh)
    del net[1]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    net.insert(1, nn.ReLU()).append(nn.Sigmoid()).extend([nn.ReLU()])
    assert [type(m).__name__ for m in net] == ["Linear", "ReLU", "Linear", "Sigmoid", "ReLU"]
    assert isinstance(net.pop(-1), nn.ReLU)
    del net[1:3]
    assert len(net) == 2
    both = net.__add__(nn.Sequential(nn.ReLU()))
    assert len(both) == 3
    assert len(nn.Sequential(nn.ReLU()) * 3) == 3
    net += nn.Sequential(nn.ReLU())
    assert len(net) == 3
    for bad in (3, -4):
        with pytest.raises(IndexError, match="out of range"):
            net[bad]
    with pytest.raises(TypeError, match="not a Module subclass"):
        nn.Sequential(3)
    with pytest.raises(ValueError, match="supports only objects of Sequential"):
        net.__add__([nn.ReLU()])


def test_named_sequential() -> None:
    net = nn.Sequential(OrderedDict([("a", nn.Linear(1, 1)), ("b", nn.ReLU())]))
    assert list(net.state_dict()) == ["a.weight", "a.bias"]
    assert net.b is net[1]
    assert repr(net[:1]) == "Sequential(\n  (a): Linear(in_features=1, out_features=1, bias=True)\n)"
    assert nn.Sequential()(5) == 5


def test_module_list() -> None:
    layers = nn.ModuleList([nn.Linear(1, 1) for _ in range(2)])
    layers.append(nn.ReLU()).extend([nn.ReLU(), nn.Tanh()])
    layers.insert(1, nn.Sigmoid())
    assert [type(m).__name__ for m in layers] == ["Linear", "Sigmoid", "Linear", "ReLU", "ReLU", "Tanh"]
    assert repr(layers) == (
        "ModuleList(\n  (0): Linear(in_features=1, out_features=1, bias=True)\n  (1): Sigmoid()\n"
        "  (2): Linear(in_features=1, out_features=1, bias=True)\n  (3-4): 2 x ReLU()\n  (5): Tanh()\n)"
    )
    assert isinstance(layers[1:3], nn.ModuleList)
    del layers[0]
    assert list(layers.state_dict()) == ["1.weight", "1.bias"]
    assert len(layers.__add__([nn.ReLU()])) == 6
    layers += [nn.ReLU()]
    assert isinstance(layers.pop(0), nn.Sigmoid)
    assert layers[-1] is layers[4]
    with pytest.raises(IndexError):
        layers[9]
    with pytest.raises(NotImplementedError):
        layers(1)
    with pytest.raises(TypeError, match="should be called with an iterable"):
        layers.extend(3)


def test_module_dict() -> None:
    heads = nn.ModuleDict({"b": nn.ReLU(), "a": nn.Linear(1, 1)})
    assert list(heads) == ["b", "a"]
    assert "a" in heads
    assert len(heads) == 2
    heads["c"] = nn.Tanh()
    heads.update([("d", nn.Tanh()), ("e", nn.Tanh())])
    heads.update(nn.ModuleDict({"f": nn.ReLU()}))
    assert list(heads.keys()) == ["b", "a", "c", "d", "e", "f"]
    assert isinstance(heads.pop("f"), nn.ReLU)
    del heads["e"]
    assert [type(m).__name__ for m in heads.values()] == ["ReLU", "Linear", "Tanh", "Tanh"]
    assert dict(heads.items())["a"] is heads["a"]
    assert list(heads.state_dict()) == ["a.weight", "a.bias"]
    heads.clear()
    assert repr(heads) == "ModuleDict()"
    with pytest.raises(KeyError):
        heads["a"]
    with pytest.raises(TypeError, match="should be called with an iterable of key/value pairs"):
        heads.update(3)
    with pytest.raises(ValueError, match="has length 3; 2 is required"):
        heads.update([("a", nn.ReLU(), 1)])


def test_parameter_list() -> None:
    params = nn.ParameterList([fb.ones(2, 3), nn.Parameter(fb.zeros(1)), "text"])
    assert len(params) == 3
    assert isinstance(params[0], nn.Parameter)
    assert params[-1] == "text"
    assert [name for name, _ in params.named_parameters()] == ["0", "1"]
    params.append(fb.ones(1)).extend([fb.ones(1)])
    params += [fb.ones(2)]
    params[1] = fb.full((1,), 5.0)
    assert params[1].tolist() == [5.0]
    assert len(params[1:3]) == 2
    assert repr(params[:2]).replace("torch.", "flambeau.") == (
        "ParameterList(\n    (0): Parameter containing: [flambeau.float32 of size 2x3]\n"
        "    (1): Parameter containing: [flambeau.float32 of size 1]\n)"
    )
    with pytest.raises(IndexError):
        params[9]
    with pytest.raises(TypeError, match="should be called with an iterable"):
        params.extend(fb.ones(2))
    with pytest.raises(RuntimeError, match="should not be called"):
        params()
    other = nn.ParameterList([fb.zeros(2, 3)])
    other.load_state_dict({"0": fb.ones(2, 3)})
    assert other[0].sum().item() == 6.0


def test_parameter_dict() -> None:
    params = nn.ParameterDict({"b": fb.ones(2), "a": fb.ones(3)})
    assert list(params) == ["a", "b"]  # a plain mapping is sorted, as PyTorch does
    params["c"] = 7
    params.update([("z", fb.ones(1))])
    assert list(reversed(params)) == ["z", "c", "b", "a"]
    assert params.get("q", 1) == 1
    assert params.setdefault("d", fb.ones(1)).requires_grad
    assert "c" in params
    assert params.pop("c") == 7
    key, _ = params.popitem()
    assert key == "d"
    assert [name for name, _ in params.named_parameters()] == ["a", "b", "z"]
    assert len(params | nn.ParameterDict({"y": fb.ones(1)})) == 4
    params |= {"x": fb.ones(1)}
    assert len(params.copy()) == 4
    assert list(params.fromkeys(["k"], 3).items()) == [("k", 3)]
    assert len(list(params.values())) == len(params.keys()) == 4
    del params["x"]
    params.clear()
    assert len(params) == 0
    with pytest.raises(KeyError):
        params["missing"]
    with pytest.raises(TypeError, match="not a string: got int"):
        params[3] = fb.ones(1)
    with pytest.raises(RuntimeError, match="should not be called"):
        params(1)
