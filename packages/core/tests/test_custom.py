"""Ops of one's own: what runs, what is recorded, and what `check` finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fb


def made(rule: Any = None, **parts: Any) -> Any:
    """``a * x + y`` with sums over rows, as a custom op."""

    @fb.op(
        vjp=rule or {"x": lambda g, a: (g * a).unsqueeze(-1), "y": lambda g, y_spec: g.expand(y_spec.shape)}
    )
    def rows(x: fb.Tensor, y: fb.Tensor, a: float = 2.0) -> Any:
        return x.like(shape=x.shape[:-1])

    rows.reference(lambda x, y, a: (a * x).sum(-1) + y)
    rows.composite(lambda x, y, a: (x * a).sum(-1) + y)
    for name, fn in parts.items():
        getattr(rows, name)(fn)
    return rows


X, Y = fb.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), fb.tensor([1.0, 0.0, -1.0])
WIDE = {"x": lambda g, x_spec, a: (g * a).unsqueeze(-1).expand(x_spec.shape), "y": lambda g: g}


def test_calls_and_gradients() -> None:
    op = made(WIDE)
    want = [7.0, 14.0, 21.0]
    assert op(X, Y).tolist() == op(X, Y, 2.0).tolist() == op(X, y=Y, a=2.0).tolist() == want
    op.check(X, Y, a=0.5)
    x = X.clone().requires_grad_()
    y = op(x, Y, 3.0)
    assert repr(y.grad_fn).startswith("<RowsBackward0")
    (y * y).sum().backward()
    assert x.grad.tolist() == (2 * y.detach() * 3)[:, None].expand(3, 2).tolist()
    assert op(X.to("meta"), Y.to("meta")).shape == (3,)


def test_the_reference_alone_runs_everywhere() -> None:
    @fb.op
    def median_of_rows(x: fb.Tensor) -> Any:
        return x.like(shape=x.shape[:-1])

    median_of_rows.reference(lambda x: np.median(x, -1))
    assert median_of_rows(X).tolist() == [1.5, 3.5, 5.5]
    median_of_rows.check(X)
    with pytest.raises(RuntimeError, match=r"\[median_of_rows\] has no gradient rule"):
        median_of_rows(X.clone().requires_grad_())


def test_kernels_of_a_device() -> None:
    calls = []

    def kernel(out: Any, x: Any, y: Any, a: float) -> None:
        calls.append(out.device.type)
        out.copy_((x * a).sum(-1) + y)

    op = made(WIDE)
    op.kernel("cpu")(kernel)
    assert op(X, Y).tolist() == [7.0, 14.0, 21.0]
    assert calls == ["cpu"]
    op(X.to("reference"), Y.to("reference"))
    assert calls == ["cpu"]
    op.check(X, Y)


def test_several_results() -> None:
    @fb.op(vjp={"x": lambda g0, g1, x: (0 if g0 is None else g0) + (0 if g1 is None else g1 * 2 * x)})
    def twice(x):  # type: ignore[no-untyped-def]
        return x, x

    twice.composite(lambda x: (x.clone(), x * x))
    twice.check(fb.tensor([1.0, 2.0]))
    x = fb.tensor([3.0], requires_grad=True)
    a, b = twice(x)
    (a + b).backward()
    assert x.grad.tolist() == [7.0]


def spoils(out: Any, x: Any, y: Any, a: float) -> None:
    out.copy_((x * a).sum(-1) + y)
    x.zero_()


def ignores_strides(x: Any, y: Any, a: float) -> Any:
    whole = fb.as_strided(x, x.shape, (x.shape[1], 1))
    return (whole * a).sum(-1) + y


@pytest.mark.parametrize(
    ("op", "text"),
    [
        (made(), "the gradient is wrong|gradient rule"),
        (
            made({"x": lambda g, x_spec, a: (g * a * a).unsqueeze(-1).expand(x_spec.shape)}),
            "the gradient is wrong",
        ),
        (made(WIDE, composite=lambda x, y, a: (x * a).sum(-1)), "the composite differs from the reference"),
        (made(WIDE, composite=lambda x, y, a: x), "the composite gives"),
        (made(WIDE, composite=ignores_strides), "not contiguous"),
    ],
    ids=["shape of a gradient", "gradient", "values", "spec", "strides"],
)
def test_check_finds(op: Any, text: str) -> None:
    with pytest.raises(AssertionError, match=r"\[rows\].*" + f"({text})"):
        op.check(X, Y, a=0.5)


def test_check_finds_changed_operands() -> None:
    op = made(WIDE)
    op.kernel("cpu")(spoils)
    with pytest.raises(AssertionError, match="an operand was changed"):
        op.check(X.clone(), Y)


def test_mistakes() -> None:
    @fb.op
    def empty(x: fb.Tensor) -> Any:
        return x.like()

    with pytest.raises(RuntimeError, match=r"\[empty\] device 'cpu' has no kernel and the op no default"):
        empty(X)
    with pytest.raises(AssertionError, match="there is no implementation"):
        empty.check(X)
    with pytest.raises(TypeError, match=r"\[empty\] argument 'x' must be a Tensor"):
        empty([1.0])

    @fb.op
    def wrong(x: fb.Tensor) -> Any:
        return (2, 3)

    wrong.reference(lambda x: x)
    with pytest.raises(TypeError, match=r"\[wrong\] the decorated function must return a Spec"):
        wrong(X)

    @fb.op
    def lies(x: fb.Tensor) -> Any:
        return x.like(shape=(7,))

    lies.reference(lambda x: x)
    with pytest.raises(RuntimeError, match=r"\[lies\] the reference gave another shape"):
        lies(X)
