"""Sample calls of neural-network ops."""

from __future__ import annotations

from flambeau.testing import Samples, T, call

from .. import ops

__all__ = ["SAMPLES"]

_ACT = [call(T(3, 4)), call(T()), call(T(0, 2)), call(T(1030))]


def _target(*shape: int, classes: int) -> T:
    return T(*shape, low=0, high=classes, kind="index")


TABLE = {
    "pad": [call(T(2, 3), (1, 2), "constant", 0.5), call(T(2, 3, 4), (1, 1), "reflect", None), call(T(2, 3, 4), (2, 1), "replicate", None), call(T(2, 3, 4), (1, 2), "circular", None)],
    **dict.fromkeys(
        "relu6 silu mish selu hardsigmoid hardswish logsigmoid softsign tanhshrink".split(), _ACT
    ),
    "gelu": [*_ACT, call(T(3, 4), "tanh")],
    "leaky_relu": [call(T(3, 4), 0.2)],
    **dict.fromkeys(("elu", "celu"), [call(T(3, 4), 1.5)]),
    "softplus": [call(T(3, 4), 2.0, 3.0)],
    "hardtanh": [call(T(3, 4), -1.0, 1.5)],
    **dict.fromkeys(("hardshrink", "softshrink"), [call(T(3, 4), 0.7)]),
    "linear": [call(T(3, 4), T(5, 4), T(5)), call(T(2, 3, 4), T(5, 4), None), call(T(4), T(5, 4), T(5))],
    "convolution": [
        call(T(2, 3, 5, 6), T(4, 3, 3, 3), T(4), (1, 1), (1, 1), (1, 1), False, (0, 0), 1),
        call(T(2, 4, 6, 5), T(6, 2, 3, 2), None, (2, 1), (1, 0), (1, 2), False, (0, 0), 2),
        call(T(2, 3, 7), T(4, 3, 3), T(4), (2,), (1,), (1,), False, (0,), 1),
        call(T(2, 4, 4, 4), T(4, 3, 3, 3), T(3), (2, 2), (1, 1), (1, 1), True, (1, 1), 1),
        call(T(1, 2, 3, 4, 4), T(2, 2, 2, 2, 2), T(2), (1, 1, 1), (0, 1, 0), (1, 1, 1), False, (0, 0, 0), 1),
    ],
    "max_pool2d": [call(T(2, 3, 6, 5, distinct=True), (2, 2), (2, 2), (0, 0), (1, 1), False, False), call(T(1, 2, 7, 7, distinct=True), (3, 3), (2, 2), (1, 1), (1, 1), True, False)],
    "avg_pool2d": [call(T(2, 3, 6, 5), (2, 2), (2, 2), (0, 0), False, True, None), call(T(1, 2, 7, 7), (3, 3), (2, 2), (1, 1), True, False, None)],
    "adaptive_avg_pool2d": [call(T(2, 3, 6, 5), (3, 2)), call(T(1, 2, 5, 7), (1, 1))],
    "batch_norm": [call(T(4, 3, 2, 2), None, None, T(3), T(3), True, 0.1, 1e-5), call(T(4, 3), T(3, kind="same"), T(3, low=0.5, kind="same"), T(3), T(3), False, 0.1, 1e-5)],
    "layer_norm": [call(T(3, 4), (4,), T(4), T(4), 1e-5), call(T(2, 3, 4), (3, 4), None, None, 1e-5)],
    "group_norm": [call(T(2, 4, 3), 2, T(4), T(4), 1e-5)],
    "rms_norm": [call(T(3, 4), (4,), T(4), None), call(T(2, 3, 4), (3, 4), None, 1e-5)],
    "cross_entropy": [
        call(T(5, 3), _target(5, classes=3), None, -100, "mean", 0.0),
        call(T(5, 3), _target(5, classes=3), T(3, low=0.5, high=2, kind="same"), 1, "sum", 0.1),
        call(T(2, 3, 4), _target(2, 4, classes=3), None, -100, "none", 0.0),
        call(T(5, 3), T(5, 3, low=0, high=1, kind="same"), None, -100, "mean", 0.0),
    ],
    "nll_loss": [call(T(5, 3), _target(5, classes=3), None, -100, "mean"), call(T(5, 3), _target(5, classes=3), T(3, low=0.5, high=2, kind="same"), 2, "sum")],
    "embedding": [call(_target(2, 3, classes=5), T(5, 4), None), call(_target(4, classes=5), T(5, 4), 2, _grad=False)],
    **dict.fromkeys(("mse_loss", "l1_loss"), [call(T(3, 4), T(3, 4), "mean"), call(T(3), T(3), "none")]),
    **dict.fromkeys(("smooth_l1_loss", "huber_loss"), [call(T(3, 4), T(3, 4), "mean", 0.7), call(T(3), T(3), "sum", 1.0)]),
    "binary_cross_entropy": [call(T(3, 4, low=0.1, high=0.9), T(3, 4, low=0, high=1, kind="same"), None, "mean")],
    "binary_cross_entropy_with_logits": [call(T(3, 4), T(3, 4, low=0, high=1, kind="same"), None, None, "mean"), call(T(3, 4), T(3, 4, low=0, high=1, kind="same"), T(4, low=0.5, kind="same"), T(4, low=0.5, kind="same"), "sum")],
    "kl_div": [call(T(3, 4), T(3, 4, low=0.1, high=1), "mean", False), call(T(3, 4), T(3, 4), "batchmean", True)],
    "scaled_dot_product_attention": [call(T(2, 3, 4), T(2, 5, 4), T(2, 5, 4), None, 0.0, False, None, False), call(T(2, 2, 3, 4), T(2, 2, 3, 4), T(2, 2, 3, 4), None, 0.0, True, None, False), call(T(2, 3, 4), T(2, 5, 4), T(2, 5, 6), T(3, 5), 0.0, False, 0.7, False)],
    "one_hot": [call(_target(4, classes=5), 5)],
}  # fmt: skip

SAMPLES = Samples(
    {
        **TABLE,
        "prelu": [call(T(3, 4), T(4)), call(T(3, 4), T(1))],
        "hardshrink": [call(T(3, 4)), call(T(), 0.7)],
        "lstm_memory": [call(*[T(3, 4)] * 4), call(*[T(2, 0)] * 4)],
        "gru_state": [call(*[T(3, 4)] * 7)],
        "ctc_loss_values": [
            call(T(5, 2, 4), T(2, 3, low=1, high=4, kind="index"), (5, 4), (2, 1), 0, _grad=False)
        ],
        "lstm_sequence": [call(T(3, 2, 12), T(2, 3), T(2, 3), T(12, 3))],
        "gru_sequence": [call(T(3, 2, 9), T(2, 3), T(9, 3), T(9))],
    },
    functions={name: getattr(ops, name) for name in TABLE},
    skipped={"dropout": "random: compared by their bits", "prelu_values": "part of another op"},
    floats=True,
)
