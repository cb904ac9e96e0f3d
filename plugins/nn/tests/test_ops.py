"""Ops of neural networks against torch.nn.functional: values, gradients, gradients of gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import flambeau as fb
from flambeau.registry import backend_of, force_defaults
from flambeau_nn import ops as kernels

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss:UserWarning"),
]


def _ways() -> list[str]:
    """Native kernels where the device has them, and the default implementations."""
    reference = type(backend_of(fb.device("cpu"))).__module__.startswith("flambeau.reference")
    return ["default"] if reference else ["native", "default"]


@pytest.fixture(autouse=True, params=_ways())
def _both_ways(request: pytest.FixtureRequest) -> Any:
    with force_defaults(request.param == "default"):
        yield


def data(*shape: int, seed: int = 0, dtype: str = "float64", low: float | None = None) -> Any:
    rng = np.random.default_rng(sum(shape) + 31 * seed + len(shape))
    values = rng.standard_normal(shape) if low is None else rng.uniform(low, 1 - low, shape)
    return values.astype(dtype)


def ours(a: Any, grad: bool = False) -> Any:
    return None if a is None else fb.tensor(a).requires_grad_(grad)


def theirs(a: Any, grad: bool = False) -> Any:
    return None if a is None else torch.tensor(a).requires_grad_(grad)


def close(a: Any, b: Any, tol: float = 1e-10) -> None:
    assert a is not None
    assert b is not None
    assert tuple(a.shape) == tuple(b.shape)
    assert str(a.dtype).rpartition(".")[2] == str(b.dtype).rpartition(".")[2]
    if b.dtype in (torch.float16, torch.bfloat16):
        a, b, tol = a.float(), b.float(), max(tol, 2e-2)
    x, y = np.array(a.detach().tolist()), np.array(b.detach().clone().tolist())
    np.testing.assert_allclose(x, y, rtol=tol, atol=tol)


def compare(
    fn: Callable[..., Any],
    ref: Callable[..., Any],
    arrays: Sequence[Any],
    double: bool = True,
    tol: float = 1e-10,
) -> None:
    """Values, gradients, and gradients of a function of the gradients."""
    xs, ts = [ours(a, a is not None) for a in arrays], [theirs(a, a is not None) for a in arrays]
    y, t = fn(*xs), ref(*ts)
    close(y, t, tol)
    weights = data(*t.shape, seed=7)
    gw, tw = ours(weights, True), theirs(weights, True)
    leaves, roots = [x for x in xs if x is not None], [x for x in ts if x is not None]
    g = fb.autograd.grad(y, leaves, gw, create_graph=double, materialize_grads=True)
    h = torch.autograd.grad(t, roots, tw, create_graph=double, materialize_grads=True)
    for a, b in zip(g, h, strict=True):
        close(a, b, tol)
    if not double:
        return
    pairs = [(a, b) for a, b in zip(g, h, strict=True) if b.requires_grad]
    mine = sum(((a * ours(data(*b.shape, seed=9))).sum() for a, b in pairs), fb.zeros((), dtype=fb.float64))
    other = sum(
        ((b * theirs(data(*b.shape, seed=9))).sum() for _, b in pairs), torch.zeros((), dtype=torch.float64)
    )
    g2 = fb.autograd.grad(mine, [*leaves, gw], allow_unused=True)
    h2 = torch.autograd.grad(other, [*roots, tw], allow_unused=True)
    for a, b in zip(g2, h2, strict=True):
        if b is None:
            assert a is None or float(a.abs().sum().item()) == 0
        elif a is None:
            assert float(b.abs().sum()) == 0
        else:
            close(a, b, tol * 10)


# Activations

ACTIVATIONS: list[tuple[str, tuple[Any, ...]]] = [
    ("relu", ()), ("relu6", ()), ("silu", ()), ("mish", ()), ("selu", ()), ("hardsigmoid", ()),
    ("hardswish", ()), ("logsigmoid", ()), ("softsign", ()), ("tanhshrink", ()),
    ("gelu", ("none",)), ("gelu", ("tanh",)), ("leaky_relu", (0.01,)),
    ("leaky_relu", (0.3,)), ("elu", (1.0,)), ("elu", (0.7,)), ("celu", (1.0,)),
    ("celu", (2.0,)), ("softplus", (1.0, 20.0)), ("softplus", (2.5, 1.5)),
    ("hardtanh", (-1.0, 1.0)), ("hardtanh", (-0.5, 2.0)), ("hardshrink", (0.5,)),
    ("hardshrink", (0.2,)), ("softshrink", (0.5,)), ("softshrink", (0.1,)),
]  # fmt: skip


def reference_activation(name: str, args: tuple[Any, ...]) -> Callable[..., Any]:
    if name == "gelu":
        return lambda x: F.gelu(x, approximate=args[0])
    return lambda x: getattr(F, name)(x, *args)


@pytest.mark.parametrize(("name", "args"), ACTIVATIONS)
def test_activation(name: str, args: tuple[Any, ...]) -> None:
    fn = getattr(kernels, name)
    # PyTorch has no second derivative of hardsigmoid, and takes 1/6 in single precision in its first.
    rough = name == "hardsigmoid"
    ref = reference_activation(name, args)
    compare(lambda x: fn(x, *args), ref, [data(5, 7) * 4], not rough, 1e-7 if rough else 1e-10)


@pytest.mark.parametrize(("name", "args"), ACTIVATIONS)
def test_activation_at_kinks_and_extremes(name: str, args: tuple[Any, ...]) -> None:
    edges = [0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 6.0, 0.5, -0.5, 2.0, -2.0, 200.0, -200.0, 0.2, -0.2, 0.6]
    edges += [math.inf, -math.inf, math.nan] if name in ("relu", "hardtanh", "relu6", "hardshrink") else []
    for dtype in ("float32", "float64"):
        x, t = ours(np.array(edges, dtype), True), theirs(np.array(edges, dtype), True)
        y, r = getattr(kernels, name)(x, *args), reference_activation(name, args)(t)
        close(y, r, 2e-6)
        y.sum().backward()
        r.sum().backward()
        close(x.grad, t.grad, 2e-6)


@pytest.mark.parametrize(("name", "args"), ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_activation_of_16_bits(name: str, args: tuple[Any, ...], dtype: str) -> None:
    x, t = ours(data(3, 5)).to(getattr(fb, dtype)), theirs(data(3, 5)).to(getattr(torch, dtype))
    close(getattr(kernels, name)(x, *args), reference_activation(name, args)(t))


def test_activation_in_place() -> None:
    a = data(4, 3)
    x = ours(a)
    assert kernels.silu_(x) is x
    close(x, F.silu(theirs(a)))
    y = ours(a, True) * 2
    kernels.relu_(y)
    y.sum().backward()
    z = ours(a, True)
    fb.relu_(z * 1).sum().backward()
    close(z.grad, (theirs(a) > 0).double())


def test_relu_keeps_integers() -> None:
    assert kernels.relu(fb.tensor([-2, 0, 3])).tolist() == [0, 0, 3]
    with pytest.raises(RuntimeError, match="gelu"):
        kernels.gelu(fb.tensor([1]))


@pytest.mark.parametrize("n", [1, 3])
def test_prelu(n: int) -> None:
    compare(fb.prelu, F.prelu, [data(4, 3, 2), data(n, seed=1)])
    with pytest.raises(RuntimeError, match="Mismatch of parameter numbers"):
        fb.prelu(fb.ones(2, 3), fb.ones(2))


# Softmax, linear


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize(
    ("shape", "dim"),
    [((3, 5), 1), ((3, 5), 0), ((2, 3, 4), -2), ((7,), 0), ((), 0), ((0, 3), 1), ((3, 0), 1)],
)
def test_softmax(name: str, shape: tuple[int, ...], dim: int) -> None:
    compare(
        lambda x: getattr(kernels, name)(x, dim, None),
        lambda t: getattr(F, name)(t, dim),
        [data(*shape) * 3],
        math.prod(shape) > 0,
    )


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_other_dtypes(name: str) -> None:
    x = data(3, 4, dtype="float32")
    close(getattr(fb, name)(ours(x), 1, fb.float64), getattr(torch, name)(theirs(x), 1, torch.float64))
    close(getattr(fb, name)(ours(x).bfloat16(), 1), getattr(torch, name)(theirs(x).bfloat16(), 1))
    a, b = ours(x, True), theirs(x, True)
    (getattr(fb, name)(a, 1, fb.float64) * ours(x).double()).sum().backward()
    (getattr(torch, name)(b, 1, torch.float64) * theirs(x).double()).sum().backward()
    close(a.grad, b.grad, 1e-6)
    with pytest.raises(RuntimeError, match=name):
        getattr(fb, name)(fb.tensor([1, 2]), 0)
    with pytest.raises(IndexError, match="Dimension out of range"):
        getattr(fb, name)(fb.ones(2), 1)


def test_softmax_of_infinities() -> None:
    x = np.array([[-math.inf, 0.0, 1.0], [math.inf, 0.0, 0.0], [1e4, -1e4, 1e4]])
    close(fb.softmax(ours(x), 1), torch.softmax(theirs(x), 1))
    close(fb.log_softmax(ours(x[::2]), 1), torch.log_softmax(theirs(x[::2].copy()), 1))


@pytest.mark.parametrize("shape", [(3, 5), (2, 4, 5), (5,), (0, 5), (2, 1, 3, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape: tuple[int, ...], bias: bool) -> None:
    arrays = [data(*shape), data(4, 5, seed=1), data(4, seed=2) if bias else None]
    compare(kernels.linear, F.linear, arrays)


def test_linear_with_a_vector_and_errors() -> None:
    compare(kernels.linear, F.linear, [data(3, 5), data(5, seed=1), None])
    with pytest.raises(RuntimeError, match=r"cannot be multiplied \(3x5 and 4x2\)"):
        kernels.linear(fb.ones(3, 5), fb.ones(2, 4))
    with pytest.raises(RuntimeError, match="dtype"):
        kernels.linear(fb.ones(3, 5), fb.ones(2, 5, dtype=fb.float64))


# Convolution

CONVOLUTIONS = [
    # input, weight, stride, padding, dilation, groups
    ((2, 3, 9), (4, 3, 3), (1,), (0,), (1,), 1),
    ((2, 4, 10), (6, 2, 4), (3,), (2,), (2,), 2),
    ((2, 3, 7, 8), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 4, 9, 7), (4, 1, 3, 2), (2, 1), (1, 0), (1, 2), 4),
    ((2, 4, 8, 8), (6, 2, 1, 1), (3, 2), (0, 0), (1, 1), 2),
    ((2, 2, 6, 5), (3, 2, 3, 3), (2, 2), (2, 1), (1, 1), 1),
    ((0, 2, 6, 5), (3, 2, 3, 3), (1, 1), (0, 0), (1, 1), 1),
    ((1, 2, 5, 4, 6), (3, 2, 2, 3, 2), (2, 1, 2), (1, 1, 0), (1, 1, 2), 1),
]


@pytest.mark.parametrize(("shape", "kernel", "stride", "padding", "dilation", "groups"), CONVOLUTIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_convolution(
    shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int, bias: bool
) -> None:
    ref = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[len(shape)]
    none = (0,) * len(stride)
    arrays = [data(*shape), data(*kernel, seed=1), data(kernel[0], seed=2) if bias else None]
    compare(
        lambda x, w, b: kernels.convolution(x, w, b, stride, padding, dilation, False, none, groups),
        lambda x, w, b: ref(x, w, b, stride, padding, dilation, groups),
        arrays,
    )


@pytest.mark.parametrize(("shape", "kernel", "stride", "padding", "dilation", "groups"), CONVOLUTIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_transposed_convolution(
    shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int, bias: bool
) -> None:
    ref = {3: F.conv_transpose1d, 4: F.conv_transpose2d, 5: F.conv_transpose3d}[len(shape)]
    extra = tuple(s - 1 for s in stride)
    weight = (shape[1], kernel[1], *kernel[2:])
    arrays = [data(*shape), data(*weight, seed=1), data(kernel[1] * groups, seed=2) if bias else None]
    compare(
        lambda x, w, b: kernels.convolution(x, w, b, stride, padding, dilation, True, extra, groups),
        lambda x, w, b: ref(x, w, b, stride, padding, extra, groups, dilation),
        arrays,
    )


def test_convolution_functions() -> None:
    x, w, b = data(3, 8, 9), data(4, 3, 3, 4, seed=1), data(4, seed=2)
    for padding in ("same", "valid", 1):
        w = data(4, 3, 3, 5, seed=1)
        close(
            fb.conv2d(ours(x), ours(w), ours(b), padding=padding),
            F.conv2d(theirs(x), theirs(w), theirs(b), padding=padding),
        )
    x, w = data(2, 4, 8), data(4, 3, 3, seed=1)
    close(fb.conv_transpose1d(ours(x), ours(w), stride=2), F.conv_transpose1d(theirs(x), theirs(w), stride=2))
    y, t = ours(data(2, 9, 7, 3)).permute(0, 3, 2, 1), theirs(data(2, 9, 7, 3)).permute(0, 3, 2, 1)
    w = data(5, 3, 3, 2, seed=3)
    close(fb.conv2d(y, ours(w)), F.conv2d(t, theirs(w)))
    half = fb.conv2d(y.bfloat16(), ours(w).bfloat16())
    close(half, F.conv2d(t.bfloat16(), theirs(w).bfloat16()), 5e-2)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: fb.conv2d(fb.ones(1, 2, 5, 5), fb.ones(3, 3, 3, 3)),
            r"expected input\[1, 2, 5, 5\] to have 3 channels, but got 2",
        ),
        (
            lambda: fb.conv2d(fb.ones(1, 3, 2, 2), fb.ones(3, 3, 3, 3)),
            r"Kernel size can't be greater than actual input size",
        ),
        (
            lambda: fb.conv2d(fb.ones(1, 3, 5, 5), fb.ones(3, 3, 3, 3), stride=0),
            "non-positive stride is not supported",
        ),
        (
            lambda: fb.conv2d(fb.ones(1, 3, 5, 5), fb.ones(3, 3, 3, 3), padding=-1),
            "negative padding is not supported",
        ),
        (
            lambda: fb.conv2d(fb.ones(3, 5), fb.ones(3, 3, 3, 3)),
            r"Expected 3D \(unbatched\) or 4D \(batched\) input to conv2d",
        ),
        (
            lambda: fb.conv2d(fb.ones(1, 3, 5, 5), fb.ones(3, 3, 3, 3), fb.ones(2)),
            "expected bias to be 1-dimensional with 3 elements",
        ),
        (lambda: fb.conv2d(fb.ones(1, 3, 5, 5), fb.ones(3, 3, 3, 3).double()), "Input type, weight type"),
        (
            lambda: fb.conv2d(fb.ones(1, 4, 5, 5), fb.ones(3, 2, 3, 3), groups=2),
            "divisible by 2 at dimension 0",
        ),
        (
            lambda: fb.conv_transpose2d(fb.ones(1, 3, 5, 5), fb.ones(3, 3, 3, 3), output_padding=1),
            "output padding must be smaller",
        ),
    ],
)
def test_convolution_errors(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(RuntimeError, match=text):
        call()


# Pooling

MAX_POOLS = [
    ((2, 3, 8, 7), (2, 2), (2, 2), (0, 0), (1, 1), False), ((2, 3, 8, 7), (3, 3), (2, 2), (1, 1), (1, 1), True),
    ((1, 2, 9, 9), (3, 2), (1, 3), (1, 1), (2, 1), False), ((1, 2, 9, 8), (3, 3), (2, 3), (1, 0), (2, 2), True),
    ((0, 2, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1), False),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "kernel", "stride", "padding", "dilation", "ceil"), MAX_POOLS)
def test_max_pool(shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> None:
    rest = (kernel, stride, padding, dilation, ceil)
    compare(lambda x: kernels.max_pool2d(x, *rest, False), lambda t: F.max_pool2d(t, *rest), [data(*shape)])
    y, at = kernels.max_pool2d(ours(data(*shape)), *rest, True)
    r, where = F.max_pool2d(theirs(data(*shape)), *rest, return_indices=True)
    close(y, r)
    assert at.tolist() == where.tolist()


def test_max_pool_of_ties_nan_and_infinities() -> None:
    x = np.zeros((1, 1, 5, 6), "float32")
    x[0, 0, 1, 1], x[0, 0, :3, 4:], x[0, 0, 4, 0] = math.nan, -math.inf, 2
    low = np.full((1, 1, 5, 5), -math.inf, "float32")
    for a in (x, low):
        for rest in (((2, 2), (2, 2), (1, 1), (1, 1), False), ((3, 3), (2, 2), (1, 1), (2, 2), True)):
            y, at = kernels.max_pool2d(ours(a), *rest, True)
            r, where = F.max_pool2d(theirs(a), *rest, return_indices=True)
            close(y, r)
            assert at.tolist() == where.tolist()


AVG_POOLS = [
    ((2, 3, 8, 7), (2, 2), (2, 2), (0, 0), False, True, None), ((2, 3, 8, 7), (3, 3), (2, 2), (1, 1), True, True, None),
    ((2, 3, 8, 7), (3, 3), (2, 2), (1, 1), True, False, None),
    ((1, 2, 9, 9), (3, 2), (1, 3), (1, 1), False, False, None),
    ((1, 2, 9, 8), (4, 3), (2, 3), (2, 0), True, True, 5), ((0, 2, 4, 4), (2, 2), (2, 2), (0, 0), False, True, None),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "kernel", "stride", "padding", "ceil", "include", "divisor"), AVG_POOLS)
def test_avg_pool(
    shape: Any, kernel: Any, stride: Any, padding: Any, ceil: bool, include: bool, divisor: Any
) -> None:
    rest = (kernel, stride, padding, ceil, include, divisor)
    compare(lambda x: kernels.avg_pool2d(x, *rest), lambda t: F.avg_pool2d(t, *rest), [data(*shape)])


@pytest.mark.parametrize(
    ("shape", "size"),
    [((2, 3, 8, 6), (4, 3)), ((2, 3, 7, 9), (3, 4)), ((1, 1, 3, 2), (5, 4)), ((0, 2, 5, 5), (1, 1))],
)
def test_adaptive_avg_pool(shape: Any, size: Any) -> None:
    compare(
        lambda x: kernels.adaptive_avg_pool2d(x, size),
        lambda t: F.adaptive_avg_pool2d(t, size),
        [data(*shape)],
    )


def test_pooling_functions_and_errors() -> None:
    x = data(2, 3, 11)
    close(fb.max_pool1d(ours(x), 3, 2, 1), F.max_pool1d(theirs(x), 3, 2, 1))
    close(fb.avg_pool1d(ours(x[0]), 3, ceil_mode=True), F.avg_pool1d(theirs(x[0]), 3, ceil_mode=True))
    close(fb.adaptive_avg_pool1d(ours(x), 4), F.adaptive_avg_pool1d(theirs(x), 4))
    close(fb.max_pool2d(ours(x), 2), F.max_pool2d(theirs(x), 2))
    with pytest.raises(RuntimeError, match="at most half of"):
        fb.max_pool2d(fb.ones(1, 1, 4, 4), 2, padding=2)
    with pytest.raises(RuntimeError, match="Output size is too small"):
        fb.max_pool2d(fb.ones(1, 1, 2, 2), 3)


# Normalisation


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("shape", "n"), [((3, 5), 1), ((2, 3, 4), 2), ((4,), 1), ((0, 4), 1), ((2, 3, 4), 1)]
)
def test_layer_and_rms_norm(shape: tuple[int, ...], n: int, affine: bool) -> None:
    sizes = shape[-n:]
    w, b = (data(*sizes, seed=1), data(*sizes, seed=2)) if affine else (None, None)
    double = math.prod(shape) > 0
    compare(
        lambda x, w, b: kernels.layer_norm(x, sizes, w, b, 1e-3),
        lambda x, w, b: F.layer_norm(x, sizes, w, b, 1e-3), [data(*shape), w, b], double,
    )  # fmt: skip
    for eps in (None, 1e-3):
        compare(
            lambda x, w, eps=eps: kernels.rms_norm(x, sizes, w, eps),
            lambda x, w, eps=eps: F.rms_norm(x, sizes, w, eps),
            [data(*shape), w],
            double,
        )


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("shape", "groups"), [((3, 4), 2), ((2, 6, 5), 3), ((2, 4, 3, 3), 1), ((2, 4, 3, 3), 4)]
)
def test_group_norm(shape: tuple[int, ...], groups: int, affine: bool) -> None:
    w, b = (data(shape[1], seed=1), data(shape[1], seed=2)) if affine else (None, None)
    compare(
        lambda x, w, b: kernels.group_norm(x, groups, w, b, 1e-3), lambda x, w, b: F.group_norm(x, groups, w, b, 1e-3),
        [data(*shape), w, b],
    )  # fmt: skip


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(6, 3), (3, 4, 5), (2, 3, 4, 3)])
def test_batch_norm(shape: tuple[int, ...], affine: bool, training: bool) -> None:
    c = shape[1]
    w, b = (data(c, seed=1), data(c, seed=2)) if affine else (None, None)
    mean, var = data(c, seed=3), np.abs(data(c, seed=4)) + 0.5
    stats, their_stats = (ours(mean), ours(var)), (theirs(mean), theirs(var))
    compare(
        lambda x, w, b: kernels.batch_norm(x, *stats, w, b, training, 0.3, 1e-3),
        lambda x, w, b: F.batch_norm(x, *their_stats, w, b, training, 0.3, 1e-3), [data(*shape), w, b],
    )  # fmt: skip
    close(stats[0], their_stats[0])
    close(stats[1], their_stats[1])
    assert (stats[0]._version > 0) == training


def test_batch_norm_without_statistics_and_of_16_bits() -> None:
    x = data(4, 3, 5)
    compare(
        lambda x: kernels.batch_norm(x, None, None, None, None, True, 0.1, 1e-5),
        lambda t: F.batch_norm(t, None, None, None, None, True, 0.1, 1e-5), [x],
    )  # fmt: skip
    half = ours(x).bfloat16()
    y = kernels.batch_norm(half, fb.zeros(3), fb.ones(3), fb.ones(3), fb.zeros(3), True, 0.1, 1e-5)
    args = (torch.zeros(3), torch.ones(3), torch.ones(3), torch.zeros(3), True, 0.1, 1e-5)
    close(y, F.batch_norm(theirs(x).bfloat16(), *args))
    with pytest.raises(RuntimeError, match="running_mean"):
        kernels.batch_norm(half, None, None, None, None, False, 0.1, 1e-5)


def test_normalization_errors_and_functions() -> None:
    with pytest.raises(RuntimeError, match=r"Given normalized_shape=\[4\], expected input with shape"):
        fb.layer_norm(fb.ones(2, 3), (4,))
    with pytest.raises(RuntimeError, match="divisible by num_groups"):
        fb.group_norm(fb.ones(2, 3), 2)
    with pytest.raises(RuntimeError, match="weight"):
        fb.layer_norm(fb.ones(2, 3), (3,), fb.ones(2))
    x = data(4, 6)
    close(fb.layer_norm(ours(x), (6,)), torch.layer_norm(theirs(x), (6,)))
    close(fb.layer_norm(ours(x).bfloat16(), (6,)), torch.layer_norm(theirs(x).bfloat16(), (6,)))
    close(fb.rms_norm(ours(x).mT, (4,)), torch.rms_norm(theirs(x).mT, (4,)))


# Losses

REDUCTIONS = ["mean", "sum", "none"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_elementwise_losses(reduction: str) -> None:
    x, y = data(4, 5) * 2, data(4, 5, seed=1)
    compare(
        lambda x, y: kernels.mse_loss(x, y, reduction),
        lambda x, y: F.mse_loss(x, y, reduction=reduction),
        [x, y],
    )
    compare(
        lambda x, y: kernels.l1_loss(x, y, reduction),
        lambda x, y: F.l1_loss(x, y, reduction=reduction),
        [x, y],
    )
    for beta in (1.0, 0.3):
        compare(
            lambda x, y, beta=beta: kernels.smooth_l1_loss(x, y, reduction, beta),
            lambda x, y, beta=beta: F.smooth_l1_loss(x, y, reduction=reduction, beta=beta), [x, y],
        )  # fmt: skip
        compare(
            lambda x, y, beta=beta: kernels.huber_loss(x, y, reduction, beta),
            lambda x, y, beta=beta: F.huber_loss(x, y, reduction=reduction, delta=beta), [x, y],
        )  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [True, False])
def test_binary_cross_entropy(reduction: str, weighted: bool) -> None:
    p, y = data(4, 5, low=0.05), data(4, 5, seed=1, low=0.0)
    w = data(5, seed=2, low=0.1) if weighted else None
    compare(
        lambda p, y: kernels.binary_cross_entropy(p, y, ours(w), reduction),
        lambda p, y: F.binary_cross_entropy(p, y, theirs(w), reduction=reduction), [p, y],
    )  # fmt: skip
    pos = data(5, seed=3, low=0.1) if weighted else None
    compare(
        lambda x, y: kernels.binary_cross_entropy_with_logits(x, y, ours(w), ours(pos), reduction),
        lambda x, y: F.binary_cross_entropy_with_logits(
            x, y, theirs(w), reduction=reduction, pos_weight=theirs(pos)
        ),
        [data(4, 5) * 3, y],
    )


def test_binary_cross_entropy_at_the_borders() -> None:
    p, y = np.array([0.0, 1.0, 0.0, 1.0, 0.5]), np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    compare(
        lambda p: kernels.binary_cross_entropy(p, ours(y), None, "none"),
        lambda p: F.binary_cross_entropy(p, theirs(y), reduction="none"), [p], False, 1e-7,
    )  # fmt: skip
    x = np.array([0.0, 500.0, -500.0, 0.0, 1.0])
    compare(
        lambda x: kernels.binary_cross_entropy_with_logits(x, ours(y), None, None, "none"),
        lambda x: F.binary_cross_entropy_with_logits(x, theirs(y), reduction="none"), [x],
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="all elements of input should be between 0 and 1"):
        kernels.binary_cross_entropy(fb.tensor([1.5]), fb.tensor([1.0]), None, "mean")


@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
@pytest.mark.parametrize("log_target", [True, False])
def test_kl_div(reduction: str, log_target: bool) -> None:
    y = np.log(data(4, 5, seed=1, low=0.01)) if log_target else data(4, 5, seed=1, low=0.01)
    compare(
        lambda x, y: kernels.kl_div(x, y, reduction, log_target),
        lambda x, y: F.kl_div(x, y, reduction=reduction, log_target=log_target), [data(4, 5), y],
    )  # fmt: skip
    zero = np.array([0.0, 1.0])
    x, t = ours(zero, True), theirs(zero, True)
    kernels.kl_div(x, ours(zero), "sum", False).backward()
    F.kl_div(t, theirs(zero), reduction="sum").backward()
    close(x.grad, t.grad)


CLASSES = [((5,), ()), ((4, 5), (4,)), ((2, 5, 3), (2, 3)), ((2, 5, 3, 2), (2, 3, 2)), ((0, 5), (0,))]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("shape", "target"), CLASSES)
def test_cross_entropy(shape: Any, target: Any, smoothing: float, weighted: bool, reduction: str) -> None:
    t = np.random.default_rng(1).integers(0, 5, target)
    ignored = 3 if target else -100
    w = data(5, seed=2, low=0.1) if weighted else None
    if 0 in shape and reduction == "mean":
        pytest.skip("the mean of nothing is NaN")
    compare(
        lambda x: kernels.cross_entropy(x, ours(t), ours(w), ignored, reduction, smoothing),
        lambda x: F.cross_entropy(
            x, theirs(t), theirs(w), ignore_index=ignored, reduction=reduction, label_smoothing=smoothing
        ),
        [data(*shape) * 2],
    )
    if not smoothing:
        compare(
            lambda x: kernels.nll_loss(x, ours(t), ours(w), ignored, reduction),
            lambda x: F.nll_loss(x, theirs(t), theirs(w), ignore_index=ignored, reduction=reduction), [data(*shape)],
        )  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 5, 3)])
def test_cross_entropy_of_distributions(shape: Any, weighted: bool, reduction: str) -> None:
    w = data(5, seed=2, low=0.1) if weighted else None
    for smoothing in (0.0, 0.3):
        compare(
            lambda x, p, e=smoothing: kernels.cross_entropy(x, p, ours(w), -100, reduction, e),
            lambda x, p, e=smoothing: F.cross_entropy(
                x, p, theirs(w), reduction=reduction, label_smoothing=e
            ),
            [data(*shape), data(*shape, seed=1, low=0.0)],
        )


def test_class_losses_errors_and_edges() -> None:
    for fn in (lambda x, t: kernels.cross_entropy(x, t), lambda x, t: kernels.nll_loss(x, t)):
        with pytest.raises(IndexError, match=r"(?i)target.* out of bounds"):
            fn(fb.ones(2, 3), fb.tensor([0, 3]))
        with pytest.raises(ValueError, match=r"batch_size \(2\) to match target batch_size \(3\)"):
            fn(fb.ones(2, 3), fb.tensor([0, 1, 2]))
        with pytest.raises(RuntimeError, match="Long"):
            fn(fb.ones(2, 3), fb.tensor([0.0, 1.0]))
        assert math.isnan(fn(fb.ones(2, 3), fb.tensor([-100, -100])).item())
    with pytest.raises(ValueError, match="reduction"):
        kernels.cross_entropy(fb.ones(2, 3), fb.tensor([0, 1]), None, -100, "max")
    x, t = data(3, 4, dtype="float32"), np.array([0, 1, 3])
    a, b = ours(x).bfloat16().requires_grad_(), theirs(x).bfloat16().requires_grad_()
    u, v = kernels.cross_entropy(a, ours(t)), F.cross_entropy(b, theirs(t))
    close(u, v)
    u.backward()
    v.backward()
    close(a.grad, b.grad)


# Attention, dropout


@pytest.mark.parametrize("kind", ["plain", "causal", "bool", "float", "dead"])
def test_attention(kind: str) -> None:
    q, k, v = data(2, 3, 4, 5), data(2, 3, 6, 5, seed=1), data(2, 3, 6, 7, seed=2)
    mask = None
    if kind == "bool":
        mask = data(4, 6, seed=3) > -1
    elif kind == "float":
        mask = data(2, 1, 4, 6, seed=3)
    elif kind == "dead":
        mask = np.ones((4, 6), bool)
        mask[1] = False
    causal = kind == "causal"
    compare(
        lambda q, k, v: kernels.scaled_dot_product_attention(q, k, v, ours(mask), 0.0, causal, None, False),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, theirs(mask), 0.0, causal), [q, k, v],
        kind != "dead",
    )  # fmt: skip


def test_attention_with_shared_heads_and_scale() -> None:
    q, k, v = data(1, 4, 3, 5), data(1, 2, 6, 5, seed=1), data(1, 2, 6, 5, seed=2)
    compare(
        lambda q, k, v: kernels.scaled_dot_product_attention(q, k, v, None, 0.0, False, 0.3, True),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.3, enable_gqa=True), [q, k, v], False,
    )  # fmt: skip


def test_dropout() -> None:
    fb.manual_seed(3)
    x = fb.ones(40, 50, requires_grad=True)
    y = kernels.dropout(x, 0.25, True)
    kept = float((y != 0).float().mean().item())
    assert abs(kept - 0.75) < 0.05
    assert y[y != 0].unique().tolist() == pytest.approx([4 / 3]) if hasattr(y, "unique") else True
    y.sum().backward()
    assert (x.grad - y.detach()).abs().max().item() == 0
    assert kernels.dropout(x, 0.5, False) is x
    assert kernels.dropout(x, 1.0, True).abs().sum().item() == 0
    fb.manual_seed(3)
    assert (kernels.dropout(x, 0.25, True) - y).abs().max().item() == 0
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        kernels.dropout(x, 1.5, True)


# Gradients of higher order, by differences


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, w: fb.conv2d(x, w, stride=2, padding=1),
        lambda x, w: fb.layer_norm(x, (4,)) * fb.layer_norm(w, (3,)).sum(),
        lambda x, w: fb.softmax(x, 1) * fb.log_softmax(w, 0).sum(),
    ],
)
def test_second_gradients_by_differences(fn: Callable[..., Any]) -> None:
    x, w = ours(data(1, 2, 3, 4), True), ours(data(1, 2, 2, 3, seed=1), True)
    assert fb.autograd.gradgradcheck(fn, (x, w))


def test_third_gradient() -> None:
    """Against the definition in PyTorch's elementary ops (its own layer_norm is right up to second gradients)."""

    def defined(t: Any) -> Any:
        off = t - t.mean(1, keepdim=True)
        return off * ((off * off).mean(1, keepdim=True) + 1e-5).rsqrt()

    def third(fn: Callable[..., Any], leaf: Any, weights: Any, grad: Callable[..., Any]) -> Any:
        y = (fn(leaf) * weights).sum()
        for _ in range(3):
            (g,) = grad(y, leaf, create_graph=True)
            y = (g * weights).sum()
        return g

    a, w = data(2, 3), data(2, 3, seed=1)
    mine = third(lambda x: fb.layer_norm(x, (3,)), ours(a, True), ours(w), fb.autograd.grad)
    close(mine, third(defined, theirs(a, True), theirs(w), torch.autograd.grad), 1e-7)


# Embedding


@pytest.mark.parametrize(("padding", "scaled"), [(None, False), (1, False), (1, True)])
def test_embedding(padding: int | None, scaled: bool) -> None:
    for index in (np.array([[0, 2, 1], [1, 1, 0]]), np.array([0, 2, 1]), np.array(1)):
        compare(
            lambda w, i=index: kernels.embedding(ours(i), w, padding, scaled),
            lambda w, i=index: F.embedding(theirs(i), w, padding, scale_grad_by_freq=scaled),
            [data(3, 2)],
            double=not scaled,
        )
    with pytest.raises(IndexError):
        kernels.embedding(fb.tensor([5]), fb.zeros(3, 2))


def test_one_hot() -> None:
    for args in ((), (5,)):
        for i in (np.array([[0, 2], [1, 1]]), np.array(2), np.array([1])):
            close(kernels.one_hot(ours(i), *args), F.one_hot(theirs(i), *args))
    with pytest.raises(RuntimeError, match="Class values must be smaller than num_classes"):
        kernels.one_hot(fb.tensor([3]), 2)
    with pytest.raises(RuntimeError, match="must be non-negative"):
        kernels.one_hot(fb.tensor([-1]))


# The names that the core keeps


def test_the_core_knows_the_names() -> None:
    from flambeau.ops import late
    from flambeau.plugin import OPS

    records = [op for op in OPS.values() if op.fn.__module__.startswith("flambeau_nn.")]
    names = {n + e for op in records if op.function for n in op.exports for e in ("", "_")[: 1 + op.inplace]}
    methods = {name for op in records if op.method for name in op.exports}
    assert names == set(late.NAMES["nn"].split())
    assert methods == set(late.METHODS["nn"].split())
