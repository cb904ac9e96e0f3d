"""Module: registration, attributes, walks, modes, moves, copies, repr."""

from __future__ import annotations

import copy
import os
import pickle

import pytest

import flambeau as fb
from flambeau import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(3, 4)
        self.act = nn.ReLU()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        self.scale = nn.Parameter(fb.ones(1))
        self.register_buffer("seen", fb.zeros(1))
        self.register_buffer("scratch", fb.zeros(1), persistent=False)
        self.note = "text"

    def forward(self, x: fb.Tensor) -> fb.Tensor:
        return self.body(self.act(self.fc1(x))) * self.scale


def test_registration_and_order() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "scale", "fc1.weight", "fc1.bias", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias",
    ]  # fmt: skip
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert next(name for name, _ in net.named_parameters(prefix="m")) == "m.scale"
    assert [name for name, _ in net.named_buffers()][:2] == ["seen", "scratch"]
    assert [name for name, _ in net.named_modules()] == ["", "fc1", "act", "body", "body.0", "body.1"]
    assert [name for name, _ in net.named_children()] == ["fc1", "act", "body"]
    assert next(net.modules()) is net
    assert len(list(net.parameters())) == 7
    assert "scratch" not in net.state_dict()


def test_duplicates_are_named_once() -> None:
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, shared)
    assert len(list(net.named_parameters())) == 2
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert len(list(net.named_modules())) == 2
    assert len(list(net.named_modules(remove_duplicate=False))) == 3
    assert len(list(net.children())) == 1
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_attributes_move_between_tables() -> None:
    net = Net()
    net.scale = None
    assert dict(net.named_parameters(recurse=False)) == {}
    net.scale = nn.Parameter(fb.zeros(2))
    assert net.scale.shape == (2,)
    net.note = nn.Parameter(fb.ones(1))
    assert "note" in dict(net.named_parameters())
    net.seen = nn.Parameter(fb.ones(1))
    assert "seen" not in dict(net.named_buffers())
    net.act = None
    assert net.act is None
    assert "act" not in dict(net.named_children())
    net.scratch = fb.ones(3)
    assert net.scratch.shape == (3,)
    assert "scratch" in dict(net.named_buffers())
    assert "scratch" not in net.state_dict()
    del net.fc1
    assert not hasattr(net, "fc1")
    del net.scratch, net.scale
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'fc1'"):
        _ = net.fc1
    with pytest.raises(AttributeError):
        del net.fc1


def test_buffers() -> None:
    module = nn.Module()
    module.mean = nn.Buffer(fb.zeros(2))
    module.cache = nn.Buffer(fb.zeros(2), persistent=False)
    assert list(module.state_dict()) == ["mean"]
    assert isinstance(module.mean, nn.Buffer)
    module.mean = fb.ones(2)
    assert module.get_buffer("mean") is module.mean
    module.mean = None
    assert list(module.state_dict()) == []
    with pytest.raises(TypeError, match="cannot assign 'int' as buffer 'cache'"):
        module.cache = 3


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (lambda m: setattr(m, "scale", 3), TypeError, r"cannot assign 'int' as parameter 'scale'"),
        (lambda m: setattr(m, "fc1", 3), TypeError, r"cannot assign 'int' as child module 'fc1'"),
        (lambda m: m.register_parameter("a.b", None), KeyError, r"can't contain"),
        (lambda m: m.register_parameter("", None), KeyError, r"empty string"),
        (lambda m: m.register_parameter(3, None), TypeError, r"name should be a string: got int"),
        (lambda m: m.register_parameter("note", None), KeyError, r"attribute 'note' already exists"),
        (
            lambda m: m.register_parameter("p", fb.ones(1)),
            TypeError,
            r"Tensor object to parameter 'p'.*Wrap it",
        ),
        (lambda m: m.register_buffer("forward", None), KeyError, r"already exists"),
        (lambda m: m.register_buffer("b", 3), TypeError, r"cannot assign a int object to buffer 'b'"),
        (lambda m: m.add_module("m", 3), TypeError, r"int is not a Module subclass"),
        (lambda m: m.add_module("x.y", nn.ReLU()), KeyError, r"can't contain"),
        (lambda m: m.get_submodule("body.7"), AttributeError, r"has no attribute '7'"),
        (lambda m: m.get_submodule("note"), AttributeError, r"not an nn.Module"),
        (lambda m: m.get_parameter("act"), AttributeError, r"not an nn.Parameter"),
        (lambda m: m.get_buffer("scale"), AttributeError, r"not a buffer"),
        (lambda m: m.train(3), ValueError, r"expected to be boolean"),
        (lambda m: m.to(fb.int64), TypeError, r"only accepts floating point or complex dtypes"),
        (lambda m: m.to(3.5, 4, 5), TypeError, r"\[to\] unexpected argument"),
    ],
)
def test_mistakes(act, error, text) -> None:
    with pytest.raises(error, match=text):
        act(Net())


def test_non_leaf_parameter() -> None:
    parameter = nn.Parameter(fb.ones(1))
    with pytest.raises((TypeError, ValueError)):
        Net().register_parameter("p", parameter * 2)


def test_without_super_init() -> None:
    class Early(nn.Module):
        def __init__(self, value) -> None:
            self.member = value

    for value, kind in (
        (nn.ReLU(), "module"),
        (nn.Parameter(fb.ones(1)), "parameter"),
        (nn.Buffer(), "buffer"),
    ):
        with pytest.raises(AttributeError, match=rf"cannot assign {kind} before Module.__init__\(\) call"):
            Early(value)
    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\) first"):
        _ = Early(3).weight


def test_errors_inside_properties_are_shown() -> None:
    class WithProperty(nn.Module):
        @property
        def size(self):
            return self.wdith

    with pytest.raises(AttributeError, match="no attribute 'wdith'"):
        _ = WithProperty().size


def test_missing_forward() -> None:
    with pytest.raises(
        NotImplementedError, match=r'Module \[Module\] is missing the required "forward" function'
    ):
        nn.Module()(1)


def test_lookup_by_path() -> None:
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("body.1") is net.body[1]
    assert net.get_parameter("body.0.weight") is net.body[0].weight
    assert net.get_buffer("body.1.running_mean") is net.body[1].running_mean
    net.set_submodule("body.1", nn.Identity())
    assert isinstance(net.body[1], nn.Identity)
    with pytest.raises(AttributeError):
        net.set_submodule("body.9", nn.Identity(), strict=True)


def test_modes_and_gradients() -> None:
    net = Net()
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.train()
    assert all(module.training for module in net.modules())
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    net.requires_grad_()
    net(fb.ones(2, 3)).sum().backward()
    assert net.scale.grad is not None
    net.zero_grad(set_to_none=False)
    assert net.scale.grad.tolist() == [0.0]
    net.zero_grad()
    assert net.scale.grad is None


def test_apply_visits_children_first() -> None:
    seen: list[str] = []
    net = Net()
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["Linear", "ReLU", "Linear", "BatchNorm1d", "Sequential", "Net"]


def test_moves_keep_identity() -> None:
    net = Net()
    before = {name: id(p) for name, p in net.named_parameters()}
    net(fb.ones(2, 3)).sum().backward()
    assert net.double() is net
    assert {name: id(p) for name, p in net.named_parameters()} == before
    assert all(isinstance(p, nn.Parameter) and p.dtype == fb.float64 for p in net.parameters())
    assert net.scale.grad is not None
    assert net.scale.grad.dtype == fb.float64
    assert net.seen.dtype == fb.float64
    assert net.body[1].num_batches_tracked.dtype == fb.int64
    assert net.fc1.weight is dict(net.named_parameters())["fc1.weight"]
    for cast, dtype in (("half", fb.float16), ("bfloat16", fb.bfloat16), ("float", fb.float32)):
        getattr(net, cast)()
        assert net.scale.dtype == dtype
    net.to(dtype=fb.float64)
    net.to("cpu", fb.float32, non_blocking=True)
    assert net.scale.dtype == fb.float32
    net.to(fb.ones(1, dtype=fb.float64))
    assert net.scale.dtype == fb.float64
    net.to(fb.device("cpu"))
    assert net.cpu() is net
    net.type(fb.float32)
    assert net.scale.requires_grad
    net(fb.ones(2, 3)).sum().backward()


def test_meta_and_to_empty() -> None:
    layer = nn.Linear(3, 2, device="meta")
    assert str(layer.weight.device) == "meta"
    layer.to_empty(device="cpu")
    assert str(layer.weight.device) == "cpu"
    assert isinstance(layer.weight, nn.Parameter)


def test_deepcopy_and_pickle() -> None:
    net = Net()
    net.tied = net.fc1.weight
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.fc1.weight is not net.fc1.weight
        assert twin.tied is twin.fc1.weight
        assert isinstance(twin.fc1.weight, nn.Parameter)
        assert twin.fc1.weight is dict(twin.named_parameters(remove_duplicate=False))["fc1.weight"]
        assert twin.fc1.weight.requires_grad
        for (name, a), (other, b) in zip(net.state_dict().items(), twin.state_dict().items(), strict=True):
            assert name == other
            assert a.tolist() == b.tolist()
        twin.eval()
        net.eval()
        x = fb.ones(2, 3)
        assert twin(x).tolist() == net(x).tolist()


def test_shallow_copy_has_its_own_tables() -> None:
    layer = nn.Linear(2, 2)
    twin = copy.copy(layer)
    assert twin.weight is layer.weight
    twin.weight = nn.Parameter(fb.zeros(2, 2))
    assert dict(layer.named_parameters())["weight"] is layer.weight
    assert layer.weight is not twin.weight


def test_parameter_and_buffer_objects() -> None:
    data = fb.ones(2)
    parameter = nn.Parameter(data)
    assert isinstance(parameter, fb.Tensor)
    assert parameter.requires_grad
    assert parameter.is_leaf
    data.add_(1)
    assert parameter.tolist() == [2.0, 2.0]  # shared
    assert repr(nn.Parameter(fb.ones(1), requires_grad=False)).startswith("Parameter containing:\n")
    assert not isinstance(parameter * 2, nn.Parameter)
    with fb.no_grad():
        assert nn.Parameter(fb.ones(1)).requires_grad
    with pytest.raises(RuntimeError):
        nn.Parameter(fb.tensor([1]))
    assert nn.Parameter(fb.tensor([1]), requires_grad=False).dtype == fb.int64
    assert nn.Parameter().shape == (0,)
    buffer = pickle.loads(pickle.dumps(nn.Buffer(fb.ones(1), persistent=False)))
    assert not buffer.persistent
    assert copy.deepcopy(buffer).tolist() == [1.0]


def test_repr_nests() -> None:
    class Described(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(1, 2))

        def extra_repr(self) -> str:
            return "a=1\nb=2"

    assert repr(Described()) == (
        "Described(\n  a=1\n  b=2\n  (inner): Sequential(\n"
        "    (0): Linear(in_features=1, out_features=2, bias=True)\n  )\n)"
    )
    assert repr(nn.Module()) == "Module()"
    assert "fc1" in dir(Net())
    assert "0" not in dir(nn.Sequential(nn.ReLU()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_shared_memory_is_written_by_forked_processes() -> None:
    net = Net().share_memory()
    want = net.fc1.weight.tolist()
    child = os.fork()
    if not child:
        with fb.no_grad():
            net.fc1.bias.fill_(7.0)
        os._exit(0)
    os.waitpid(child, 0)
    assert net.fc1.bias.tolist() == [7.0] * 4
    assert net.fc1.weight.tolist() == want
    net(fb.ones(2, 3)).sum().backward()
    assert net.fc1.bias.grad is not None


def test_compile_changes_nothing() -> None:
    net = Net().eval()
    before = net(fb.ones(2, 3)).tolist()
    assert net.compile(fullgraph=True, mode="max-autotune") is None
    assert net(fb.ones(2, 3)).tolist() == before


def test_memory_format_of_a_model() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=fb.channels_last)
    assert net[0].weight.is_contiguous(memory_format=fb.channels_last)
    assert net[0].bias.is_contiguous()
    assert net(fb.ones(2, 3, 5, 5)).shape == (2, 4, 3, 3)


def test_synchronised_batch_norm() -> None:
    net = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Sequential(nn.BatchNorm1d(4, affine=False))
    ).eval()
    made = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert made is net
    assert type(net[1]) is nn.SyncBatchNorm
    assert type(net[2][0]) is nn.SyncBatchNorm
    assert not net[1].training
    assert list(net.state_dict()) == [
        "0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked",
        "2.0.running_mean", "2.0.running_var", "2.0.num_batches_tracked",
    ]  # fmt: skip
    single = nn.BatchNorm2d(2)
    alone = nn.SyncBatchNorm.convert_sync_batchnorm(single)
    assert alone.weight is single.weight
    assert alone.running_var is single.running_var
    with pytest.raises(RuntimeError, match="there are no groups of processes"):
        nn.SyncBatchNorm(2, process_group=object())
    with pytest.raises(ValueError, match="expected at least 2D input"):
        alone(fb.ones(2))
    with pytest.raises(ValueError, match="number of input channels should be non-zero"):
        alone(fb.ones(2, 0))
