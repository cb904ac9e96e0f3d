"""Hooks of the call, backward hooks, and the notes on exceptions."""

from __future__ import annotations

import copy
import traceback

import pytest

import flambeau as fb
from flambeau import nn


def notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def test_forward_hooks_replace_values() -> None:
    layer = nn.Identity()
    one = layer.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    two = layer.register_forward_pre_hook(lambda module, args: args[0] * 10)
    three = layer.register_forward_hook(lambda module, args, output: output + args[0])
    assert layer(fb.tensor([1.0])).tolist() == [40.0]
    two.remove()
    two.remove()
    assert layer(fb.tensor([1.0])).tolist() == [4.0]
    one.remove()
    three.remove()
    assert layer(fb.tensor([1.0])).tolist() == [1.0]


def test_order_and_kwargs() -> None:
    class Add(nn.Module):
        def forward(self, x, *, more=0):
            return x + more

    layer = Add()
    order: list[str] = []
    layer.register_forward_pre_hook(lambda module, args: order.append("b"))
    layer.register_forward_pre_hook(lambda module, args: order.append("a"), prepend=True)
    layer.register_forward_pre_hook(lambda module, args, kwargs: (args, {"more": 5}), with_kwargs=True)
    layer.register_forward_hook(
        lambda module, args, kwargs, output: order.append(f"more={kwargs['more']}"), with_kwargs=True
    )
    assert layer(1, more=2) == 6
    assert order == ["a", "b", "more=5"]
    layer.register_forward_pre_hook(lambda module, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"must return None or a tuple of \(new_args, new_kwargs\)"):
        layer(1)


def test_always_call() -> None:
    class Broken(nn.Module):
        def forward(self, x):
            raise ValueError("broken")

    seen: list[object] = []
    layer = Broken()
    layer.register_forward_hook(lambda module, args, output: seen.append(output), always_call=True)
    layer.register_forward_hook(lambda module, args, output: seen.append("never"))
    with pytest.raises(ValueError, match="broken"):
        layer(1)
    assert seen == [None]
    layer.register_forward_hook(lambda module, args, output: 1 / 0, always_call=True)
    with (
        pytest.warns(UserWarning, match="always_call=True raised"),
        pytest.raises(ValueError, match="broken"),
    ):
        layer(1)


def test_hooks_are_copied_and_as_context() -> None:
    seen: list[int] = []
    layer = nn.Identity()
    with layer.register_forward_hook(lambda module, args, output: seen.append(1)):
        copy.deepcopy(layer)(fb.ones(1))
        layer(fb.ones(1))
    layer(fb.ones(1))
    assert seen == [1, 1]


def test_full_backward_hook_sees_and_replaces() -> None:
    layer = nn.Linear(2, 1, bias=False)
    with fb.no_grad():
        layer.weight.copy_(fb.tensor([[2.0, 3.0]]))
    seen = {}

    def hook(module, grad_input, grad_output):
        seen["in"] = [None if g is None else g.tolist() for g in grad_input]
        seen["out"] = [g.tolist() for g in grad_output]
        return (grad_input[0] * 10,)

    handle = layer.register_full_backward_hook(hook)
    x = fb.ones(1, 2, requires_grad=True)
    layer(x).backward(fb.tensor([[5.0]]))
    assert seen == {"in": [[[10.0, 15.0]]], "out": [[[5.0]]]}
    assert x.grad.tolist() == [[100.0, 150.0]]
    handle.remove()
    x.grad = None
    layer(x).sum().backward()
    assert x.grad.tolist() == [[2.0, 3.0]]


def test_backward_pre_hook_and_inputs_without_grad() -> None:
    layer = nn.Linear(2, 1, bias=False)
    seen = []
    layer.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 3,))
    layer.register_full_backward_hook(lambda module, gi, go: seen.append((gi, go[0].tolist())))
    layer(fb.ones(1, 2)).sum().backward()
    assert seen == [((None,), [[3.0]])]
    assert layer.weight.grad.tolist() == [[3.0, 3.0]]


def test_backward_hooks_with_several_values() -> None:
    class Swap(nn.Module):
        def forward(self, x, k, y):
            return y * k, x, "text"

    seen = []
    layer = Swap()
    layer.register_full_backward_hook(lambda module, gi, go: seen.append((gi, go)))
    x, y = fb.ones(1, requires_grad=True), fb.ones(1, requires_grad=True)
    a, b, text = layer(x, 4, y)
    assert text == "text"
    (a + 2 * b).sum().backward()
    ((gi, go),) = seen
    assert [None if g is None else g.tolist() for g in gi] == [[2.0], None, [4.0]]
    assert [None if g is None else g.tolist() for g in go] == [[1.0], [2.0], None]
    assert y.grad.tolist() == [4.0]


def test_backward_hook_mistakes() -> None:
    layer = nn.Linear(2, 1)
    layer.register_full_backward_hook(lambda module, gi, go: (gi[0], gi[0]))
    with pytest.raises(RuntimeError, match="invalid number of grad_input"):
        layer(fb.ones(1, 2, requires_grad=True)).sum().backward()
    layer = nn.Linear(2, 1)
    layer.register_full_backward_hook(lambda module, gi, go: (go[0],))
    with pytest.raises(RuntimeError, match="should always return None"):
        layer(fb.ones(1, 2)).sum().backward()


def test_no_grad_skips_backward_hooks() -> None:
    layer = nn.Linear(2, 1)
    layer.register_full_backward_hook(lambda module, gi, go: pytest.fail("called"))
    with fb.no_grad():
        assert not layer(fb.ones(1, 2)).requires_grad


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 2))

    def forward(self, x):
        return self.encoder(x)


def test_notes_carry_the_path() -> None:
    with pytest.raises(RuntimeError) as caught:
        Encoder()(fb.ones(1, 3))
    assert notes(caught.value) == [
        "in model.encoder.2: Linear(in_features=5, out_features=2, bias=True) (model is Encoder)"
    ]
    assert "model.encoder.2" in "".join(traceback.format_exception(caught.value))


def test_notes_of_a_single_module_and_of_modules_between() -> None:
    with pytest.raises(RuntimeError) as caught:
        nn.Linear(5, 2)(fb.ones(1, 3))
    assert notes(caught.value) == ["in Linear(in_features=5, out_features=2, bias=True)"]

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, x):
            raise KeyError("mine")

    with pytest.raises(KeyError) as own:
        nn.Sequential(Own())(1)
    assert notes(own.value) == ["in model.0: Own(...) (model is Sequential)"]


def test_notes_do_not_mask_the_error() -> None:
    class Odd(Exception):
        def __setattr__(self, name, value):
            raise TypeError("no attributes")

    class Broken(nn.Module):
        def forward(self, x):
            raise Odd

        def extra_repr(self):
            raise RuntimeError("repr is broken too")

    with pytest.raises(Odd):
        nn.Sequential(Broken())(1)


def test_hooks_of_all_modules() -> None:
    from flambeau.nn.modules import module as everywhere

    seen = []
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model[0].register_forward_hook(lambda m, args, out: seen.append("own"))
    handles = [
        everywhere.register_module_forward_pre_hook(lambda m, args: seen.append(f"pre {type(m).__name__}")),
        everywhere.register_module_forward_hook(lambda m, args, out: seen.append(f"post {type(m).__name__}")),
        everywhere.register_module_full_backward_hook(
            lambda m, gi, go: seen.append(f"back {type(m).__name__}")
        ),
    ]
    model(fb.ones(1, 2, requires_grad=True)).sum().backward()
    first = ["pre Sequential", "pre Linear", "post Linear", "own", "pre ReLU", "post ReLU", "post Sequential"]
    assert seen[:7] == first
    assert seen[7:] == ["back ReLU", "back Linear", "back Sequential"]
    for handle in handles:
        handle.remove()
    seen.clear()
    model(fb.ones(1, 2))
    assert seen == ["own"]
    assert nn.modules.Linear is nn.Linear


def test_hooks_of_registration() -> None:
    seen = []

    def note(module, name, value):
        seen.append((type(module).__name__, name, type(value).__name__))

    hooks = nn.modules.module
    handles = [
        hooks.register_module_parameter_registration_hook(note),
        hooks.register_module_buffer_registration_hook(note),
        hooks.register_module_module_registration_hook(note),
    ]
    net = nn.Sequential(nn.BatchNorm1d(2))
    net[0].weight = nn.Parameter(fb.ones(2))
    for handle in handles:
        handle.remove()
    nn.Linear(2, 2)
    assert seen == [
        ("BatchNorm1d", "weight", "Parameter"), ("BatchNorm1d", "bias", "Parameter"),
        ("BatchNorm1d", "running_mean", "Tensor"), ("BatchNorm1d", "running_var", "Tensor"),
        ("BatchNorm1d", "num_batches_tracked", "Tensor"), ("Sequential", "0", "BatchNorm1d"),
        ("BatchNorm1d", "weight", "Parameter"),
    ]  # fmt: skip
    with hooks.register_module_parameter_registration_hook(lambda m, n, p: nn.Parameter(p.data, False)):
        assert not nn.Linear(1, 1).weight.requires_grad


def test_older_state_hooks() -> None:
    layer = nn.Linear(2, 2)
    layer._register_state_dict_hook(
        lambda module, state, prefix, local: {"new." + k: v for k, v in state.items()}
    )
    assert list(layer.state_dict()) == ["new.weight", "new.bias"]
    told = []
    plain = nn.Linear(2, 2)
    plain._register_load_state_dict_pre_hook(lambda state, prefix, *rest: told.append((prefix, len(rest))))
    plain._register_load_state_dict_pre_hook(lambda module, *rest: told.append(module), with_module=True)
    plain.load_state_dict(nn.Linear(2, 2).state_dict())
    assert told == [("", 5), plain]
    with pytest.warns(FutureWarning, match="positional args are being deprecated"):
        assert list(plain.state_dict({}, "a.")) == ["a.weight", "a.bias"]
