"""Mixed precision: what is cast, how regions nest, gradients, the scaler; dtypes and losses beside PyTorch's."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import pytest

import flambeau as fb

torch: Any
try:
    import torch
except ImportError:
    torch = None

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)


def functional(lib: Any) -> Any:
    return fb.nn.functional if lib is fb else torch.nn.functional


CASES: dict[str, Any] = {
    "matmul": lambda lib, F, x: x @ x.T,
    "mm": lambda lib, F, x: lib.mm(x, x.T),
    "bmm": lambda lib, F, x: lib.bmm(x[None], x.T[None]),
    "linear": lambda lib, F, x: F.linear(x, x, x[:, 0]),
    "addmm": lambda lib, F, x: lib.addmm(x @ x.T, x, x.T),
    "baddbmm": lambda lib, F, x: lib.baddbmm(lib.zeros(1, 4, 4), x[None], x.T[None]),
    "einsum": lambda lib, F, x: lib.einsum("ij,kj->ik", x, x),
    "conv1d": lambda lib, F, x: F.conv1d(x[None], lib.ones(2, 4, 2)),
    "conv2d": lambda lib, F, x: F.conv2d(x[None, None], lib.ones(2, 1, 2, 2), lib.ones(2)),
    "conv_transpose2d": lambda lib, F, x: F.conv_transpose2d(x[None, None], lib.ones(1, 2, 2, 2)),
    "attention": lambda lib, F, x: F.scaled_dot_product_attention(x[None], x[None], x[None]),
    "softmax of a product": lambda lib, F, x: (x @ x.T).softmax(-1),
    "exp": lambda lib, F, x: (x @ x.T).exp(),
    "sum": lambda lib, F, x: (x @ x.T).sum(),
    "prod": lambda lib, F, x: (x @ x.T).prod(),
    "add float32": lambda lib, F, x: x @ x.T + lib.ones(4, 4),
    "layer_norm": lambda lib, F, x: F.layer_norm(x @ x.T, (4,)),
    "mse_loss": lambda lib, F, x: F.mse_loss(x @ x.T, lib.ones(4, 4)),
    "l1_loss": lambda lib, F, x: F.l1_loss(x @ x.T, lib.ones(4, 4)),
    "smooth_l1_loss": lambda lib, F, x: F.smooth_l1_loss(x @ x.T, lib.ones(4, 4)),
    "huber_loss": lambda lib, F, x: F.huber_loss(x @ x.T, lib.ones(4, 4)),
    "cross_entropy": lambda lib, F, x: F.cross_entropy(x @ x.T, lib.tensor([0, 1, 2, 3])),
    "nll_loss": lambda lib, F, x: F.nll_loss((x @ x.T).log_softmax(1), lib.tensor([0, 1, 2, 3])),
    "bce_with_logits": lambda lib, F, x: F.binary_cross_entropy_with_logits(x @ x.T, lib.ones(4, 4)),
    "kl_div": lambda lib, F, x: F.kl_div(x @ x.T, lib.ones(4, 4), reduction="sum"),
    "cat": lambda lib, F, x: lib.cat([x @ x.T, lib.ones(4, 4)]),
    "stack": lambda lib, F, x: lib.stack([x @ x.T, lib.ones(4, 4)]),
    "float64": lambda lib, F, x: x.double() @ x.double().T,
    "integers": lambda lib, F, x: lib.ones(2, 2, dtype=lib.int64) @ lib.ones(2, 2, dtype=lib.int64),
    "in place": lambda lib, F, x: (x * 1).sub_(x @ x.T[:, :3]),
}


@pytest.mark.skipif(torch is None, reason="PyTorch isn't installed")
@pytest.mark.parametrize("name", CASES)
def test_dtypes_are_pytorchs(name: str) -> None:
    dtypes, values = [], []
    for lib in (fb, torch):
        with lib.autocast("cpu", dtype=lib.bfloat16):
            y = CASES[name](lib, functional(lib), lib.tensor(X))
        dtypes.append(str(y.dtype).split(".")[-1])
        values.append(np.asarray(y.double().tolist()))
    assert dtypes[0] == dtypes[1]
    np.testing.assert_allclose(values[0], values[1], rtol=0.02, atol=0.02)


def product() -> Any:
    x = fb.tensor(X)
    return (x @ x.T).dtype


def test_regions_nest_and_can_be_switched_off() -> None:
    with fb.autocast("cpu"):
        assert product() is fb.bfloat16
        assert fb.is_autocast_enabled("cpu")
        with fb.autocast("cpu", enabled=False):
            assert product() is fb.float32
            assert not fb.is_autocast_enabled("cpu")
            with fb.no_grad(), fb.autocast("cpu", dtype=fb.float16):
                assert product() is fb.float16
                assert fb.get_autocast_dtype("cpu") is fb.float16
        with fb.autocast("cuda", dtype=fb.bfloat16):
            assert product() is fb.bfloat16
        assert product() is fb.bfloat16
    assert product() is fb.float32
    assert not fb.is_autocast_enabled("cpu")
    with fb.autocast("cuda", dtype=fb.bfloat16):
        assert product() is fb.float32  # ops of another device


def test_it_is_a_decorator_and_can_be_entered_again() -> None:
    mode = fb.autocast("cpu")
    assert mode(product)() is fb.bfloat16
    with mode, mode:
        assert product() is fb.bfloat16
    assert product() is fb.float32


def test_it_is_left_after_an_exception_and_belongs_to_its_thread() -> None:
    seen: list[Any] = []

    @fb.autocast("cpu")
    def fail() -> None:
        thread = threading.Thread(target=lambda: seen.append(product()))
        thread.start()
        thread.join()
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seen == [fb.float32]
    assert product() is fb.float32


def test_parameters_are_cast_once_and_their_gradient_is_float32() -> None:
    w, x = fb.ones(3, 3, requires_grad=True), fb.tensor(X)
    casts: list[str] = []

    def watch(op: Any, call: Any, args: Any, kwargs: Any) -> Any:
        out = call(*args, **kwargs)
        if isinstance(out, fb.Tensor) and out.dtype is fb.bfloat16 and args[0] is w:
            casts.append(op.name)
        return out

    with fb.plugin.intercept(watch), fb.autocast("cpu"):
        y = (x @ w) @ w
        assert len(casts) == 1
        with fb.no_grad():
            w.mul_(1.0)
        y = x @ w
        assert len(casts) == 2  # a parameter that was changed is cast anew
    y.sum().backward()
    assert w.grad.dtype is fb.float32


def test_float16_without_a_scaler_says_so() -> None:
    w, x = fb.ones(3, 3, requires_grad=True), fb.tensor(X)
    with fb.autocast("cpu", dtype=fb.float16):
        with fb.no_grad():
            assert (x @ w).dtype is fb.float16
        with pytest.raises(RuntimeError, match=r"\[matmul\] float16 gradients without a scaler.*GradScaler"):
            x @ w
        scaler = fb.GradScaler(enabled=False)
        with pytest.raises(RuntimeError, match="without a scaler"):
            x @ w
        scaler = fb.GradScaler()
        assert (x @ w).dtype is fb.float16
    del scaler


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="Expected device_type of type str"):
        fb.autocast(fb.bfloat16)
    with pytest.warns(UserWarning, match="target dtype is not supported. Disabling"):
        mode = fb.autocast("cpu", dtype=fb.float64)
    with mode:
        assert product() is fb.float32


def train(lib: Any, dtype: Any, steps: int = 5) -> list[float]:
    rng = np.random.default_rng(0)
    w1, w2 = (
        lib.tensor(rng.standard_normal(s).astype("f") * 0.3).requires_grad_() for s in ((8, 16), (16, 4))
    )
    x, t = lib.tensor(rng.standard_normal((32, 8)).astype("f")), lib.tensor(rng.integers(0, 4, 32))
    optimizer = lib.optim.SGD([w1, w2], lr=0.5)
    scaler = lib.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        with lib.autocast("cpu", dtype=dtype):
            loss = functional(lib).cross_entropy(functional(lib).gelu(x @ w1) @ w2, t)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    return [*losses, scaler.get_scale()]


@pytest.mark.skipif(torch is None, reason="PyTorch isn't installed")
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_training_as_in_pytorch(dtype: str) -> None:
    mine, theirs = train(fb, getattr(fb, dtype)), train(torch, getattr(torch, dtype))
    np.testing.assert_allclose(mine, theirs, rtol=0.02)
    assert mine[-1] == theirs[-1]
    assert mine[4] < mine[0]


def test_custom_functions_run_as_they_ask() -> None:
    class Square(fb.autograd.Function):
        @staticmethod
        @fb.amp.custom_fwd(device_type="cpu", cast_inputs=fb.float32)
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            assert x.dtype is fb.float32
            assert product() is fb.float32
            return x * x

        @staticmethod
        @fb.amp.custom_bwd(device_type="cpu")
        def backward(ctx: Any, g: Any) -> Any:
            assert product() is fb.float32
            return 2 * ctx.saved_tensors[0] * g

    x = fb.ones(2, dtype=fb.bfloat16, requires_grad=True)
    with fb.autocast("cpu"):
        y = Square.apply(x)
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def scaled(value: float, **kw: Any) -> tuple[Any, Any, Any]:
    w = fb.ones(2, requires_grad=True)
    optimizer, scaler = fb.optim.SGD([w], lr=1.0), fb.GradScaler(init_scale=4.0, growth_interval=2, **kw)
    scaler.scale((w * fb.tensor([1.0, value])).sum()).backward()
    return w, optimizer, scaler


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_step_with_infinite_gradients_is_left_out(value: float) -> None:
    w, optimizer, scaler = scaled(value)
    assert scaler.step(optimizer) is None
    scaler.update()
    assert w.tolist() == [1.0, 1.0]
    assert scaler.get_scale() == 2.0


def test_large_finite_gradients_are_not_taken_for_infinite_ones() -> None:
    w = fb.ones(4, dtype=fb.float64, requires_grad=True)
    optimizer, scaler = fb.optim.SGD([w], lr=1e-300), fb.GradScaler(init_scale=1.0)
    w.grad = fb.full((4,), 1.5e308, dtype=fb.float64)
    scaler.step(optimizer)
    assert w[0].item() < 0


def test_the_scale_grows_and_can_be_saved() -> None:
    _, optimizer, scaler = scaled(2.0)
    for _ in range(2):
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 8.0
    saved = scaler.state_dict()
    other = fb.GradScaler()
    other.load_state_dict(saved)
    assert other.state_dict() == saved
    if torch is not None:
        theirs = torch.amp.GradScaler("cpu")
        theirs.load_state_dict(saved)
        assert sorted(theirs.state_dict()) == sorted(saved)
    scaler.update(new_scale=3.0)
    assert scaler.get_scale() == 3.0


def test_gradients_can_be_clipped_after_unscaling() -> None:
    w, optimizer, scaler = scaled(2.0)
    scaler.unscale_(optimizer)
    assert w.grad.tolist() == [1.0, 2.0]
    scaler.step(optimizer)
    assert w.tolist() == [0.0, -1.0]


def test_the_order_of_calls_is_checked() -> None:
    w, optimizer, scaler = scaled(2.0)
    with pytest.raises(RuntimeError, match="No inf checks were recorded prior to update"):
        scaler.update()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="already been called on this optimizer"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="step\\(\\) has already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="Closure use is not currently supported"):
        scaler.step(optimizer, closure=lambda: w.sum())
    half = fb.ones(1, dtype=fb.float16, requires_grad=True)
    half.grad = fb.ones(1, dtype=fb.float16)
    with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
        fb.GradScaler().unscale_(fb.optim.SGD([half]))
    with pytest.raises(RuntimeError, match="source state dict is empty"):
        fb.GradScaler().load_state_dict({})


def test_a_scaler_that_is_switched_off_does_nothing() -> None:
    w, optimizer, scaler = scaled(2.0, enabled=False)
    assert w.grad.tolist() == [1.0, 2.0]
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == [0.0, -1.0]
    assert scaler.get_scale() == 1.0
    assert scaler.state_dict() == {}


def test_the_older_names() -> None:
    from flambeau.cuda.amp import GradScaler, autocast, custom_fwd

    assert fb.cuda.amp.autocast is autocast
    assert not fb.cuda.is_available() or fb.cuda.device_count()
    with autocast(), fb.cuda.amp.autocast(enabled=False):
        assert product() is fb.float32
    assert GradScaler(init_scale=4.0).get_scale() == 4.0
    assert callable(custom_fwd(lambda ctx: None))


def test_importing_it_warns_about_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fb.amp.autocast is fb.autocast
